/* The parser of nftables' language: tokens, expressions, statements. nft(8), nftables' src/scanner.l. Within facts/
 * only. */
#ifndef NESTVISOR_FACTS_NFT_H
#define NESTVISOR_FACTS_NFT_H

#include "facts/build.h"

enum token_kind {
	TOKEN_END,
	TOKEN_NEWLINE,
	TOKEN_COMMENT, /* "# handle 12" */
	TOKEN_WORD,    /* names and keywords; also 1h30m */
	TOKEN_STRING,  /* quoted; the text is without the quotes */
	TOKEN_NUMBER,
	TOKEN_IP,
	TOKEN_MAC,
	TOKEN_PUNCTUATION, /* one of { } ( ) [ ] , . : ; = ! < > & | ^ / - @ $ + *, or == != <= >= << >> */
};

struct token {
	enum token_kind kind;
	uint32_t line;
	struct span text;
	uint64_t number;
	struct ip ip;
};

struct nft {
	struct reader *reader;
	struct arena *arena;
	struct token *tokens; /* ends with TOKEN_END; malloced */
	size_t token_count, token_capacity;
	size_t at;
	unsigned depth;	   /* of nested expressions */
	size_t table;	   /* indices into the ruleset; SIZE_MAX: none */
	struct rule *rule; /* being read; gaps go there. NULL: none */
};

void nft_lex(struct nft *nft);

/* Tokens. In braces newlines mean nothing: nft_skip_newlines. */
static inline const struct token *nft_peek(const struct nft *nft)
{
	return &nft->tokens[nft->at];
}
const struct token *nft_peek_behind(const struct nft *nft, size_t count); /* the count-th behind the next one */
const struct token *nft_next(struct nft *nft);				  /* stays at the end */
void nft_skip(struct nft *nft, size_t count);				  /* as well */
bool nft_is(const struct token *token, const char *text);		  /* a word or punctuation */
bool nft_accept(struct nft *nft, const char *text);
bool nft_accept_number(struct nft *nft, uint64_t *ret);
void nft_skip_newlines(struct nft *nft);
bool nft_ends_statement(const struct token *token); /* newline, semicolon, closing brace, comment, end */
/* The text from a token up to the next one to be read, on one line. */
const char *nft_text_since(struct nft *nft, size_t first);
const char *nft_name(struct nft *nft); /* takes a word or string; NULL where there is none */

/*
 * Expressions. NULL: not understood; the tokens read so far are then the caller's to give up (nft->at is anywhere).
 * `type` is what is expected, for words that stand for values.
 */
struct expr *nft_selector(struct nft *nft); /* the left side of a match: fields, concatenated or masked */
struct expr *nft_expression(struct nft *nft, enum datatype type); /* anything that gives a value */
struct expr *nft_value(struct nft *nft, enum datatype type);	  /* a constant, a prefix or a range */
/* What a selector is compared with. */
struct expr *nft_right_side(struct nft *nft, const struct expr *left);
/* "{ … }" behind its opening brace; key says the types of the parts. `map`: elements have data of type `data`. */
struct expr *nft_set(struct nft *nft, const enum datatype *key, size_t key_count, const enum datatype *data,
		     size_t data_count);
/* Elements up to the closing brace, into an EXPR_SET. False: something was not understood. */
bool nft_elements(struct nft *nft, struct expr *set, const enum datatype *key, size_t key_count,
		  const enum datatype *data, size_t data_count);
/* The types of an expression's parts. */
size_t nft_types(const struct expr *expr, const enum datatype **ret, enum datatype buffer[16]);
bool nft_verdict(struct nft *nft, struct verdict *ret);
bool nft_duration(struct span text, uint64_t *ret_ms); /* "1d2h3m4s500ms" */

/* Shared by what reads tables and what reads sets. */
struct origin nft_token_origin(const struct nft *nft, const struct token *token);
void nft_ignore(struct nft *nft); /* to the end of the line, over blocks, as not understood */
bool nft_at_end(struct nft *nft);
void nft_skip_separators(struct nft *nft);
void nft_cut_off(struct nft *nft, const char *what, const char *name);
struct set *nft_add_set(struct nft *nft, const char *name,
			bool map);		     /* to the current table, or the one that is there */
void nft_set_body(struct nft *nft, struct set *set); /* up to its closing brace */

/* The statements up to the end of the rule. */
void nft_statements(struct nft *nft, struct rule *rule);
/* Statements inside a set's element or update: "limit rate 1/second counter". */
bool nft_inner_statements(struct nft *nft, const struct statement **ret, size_t *ret_count);

#endif
