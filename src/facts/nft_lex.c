#include "facts/nft.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct lexer {
	struct nft *nft;
	const char *at, *end;
	uint32_t line;
};

static struct token *add(struct lexer *lexer, enum token_kind kind, const char *start, const char *end)
{
	struct nft *nft = lexer->nft;
	struct token *token;

	if (nft->token_count >= nft->token_capacity) {
		nft->token_capacity = nft->token_capacity ? nft->token_capacity * 2 : 1024;
		nft->tokens = reallocarray(nft->tokens, nft->token_capacity, sizeof(*nft->tokens));
		if (!nft->tokens)
			abort();
	}
	token = &nft->tokens[nft->token_count++];
	*token = (struct token){.kind = kind, .text = {start, (size_t)(end - start)}, .line = lexer->line};
	lexer->at = end;
	return token;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool is_letter(char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* nftables' {string}: a letter, or _ or ., then letters, digits, and / - _ . as well; maybe * at the end. */
static bool is_word_char(char c)
{
	return is_letter(c) || is_digit(c) || c == '_' || c == '.' || c == '/' || c == '-' || (unsigned char)c >= 0x80;
}

/* An IPv6 or Ethernet address: both have colons, as has a map's element, so all that fits is tried as one. */
static bool lex_address6(struct lexer *lexer)
{
	const char *end = lexer->at;
	unsigned colons = 0;
	struct span text;
	struct ip ip;

	while (end < lexer->end && (is_hex(*end) || *end == ':' || *end == '.'))
		colons += *end++ == ':';
	if (colons < 2)
		return false;
	text = (struct span){lexer->at, (size_t)(end - lexer->at)};
	if (span_ip(text, &ip) && ip.family == AF_INET6) {
		add(lexer, TOKEN_IP, lexer->at, end)->ip = ip;
		return true;
	}
	if (colons == 5 && span_mac(text).known) {
		add(lexer, TOKEN_MAC, lexer->at, end);
		return true;
	}
	return false;
}

static void lex_number(struct lexer *lexer)
{
	const char *end = lexer->at;
	struct span text;
	struct token *token;
	struct ip ip;
	uint64_t number;

	while (end < lexer->end && (is_digit(*end) || *end == '.'))
		end++;
	text = (struct span){lexer->at, (size_t)(end - lexer->at)};
	if (span_ip(text, &ip)) {
		add(lexer, TOKEN_IP, lexer->at, end)->ip = ip;
		return;
	}
	end = lexer->at;
	while (end < lexer->end && (is_digit(*end) || is_letter(*end)))
		end++;
	text = (struct span){lexer->at, (size_t)(end - lexer->at)};
	if (span_number(text, &number)) {
		token = add(lexer, TOKEN_NUMBER, lexer->at, end);
		token->number = number;
	} else {
		add(lexer, TOKEN_WORD, lexer->at, end);
	}
}

static void lex_word(struct lexer *lexer)
{
	const char *end = lexer->at;

	while (end < lexer->end && is_word_char(*end))
		end++;
	if (end < lexer->end && *end == '*')
		end++;
	add(lexer, TOKEN_WORD, lexer->at, end);
}

static void lex_string(struct lexer *lexer)
{
	const char *start = lexer->at + 1, *end = start;

	while (end < lexer->end && *end != '"' && *end != '\n')
		end++;
	add(lexer, TOKEN_STRING, start, end);
	if (end < lexer->end && *end == '"')
		lexer->at = end + 1;
}

static void lex_punctuation(struct lexer *lexer)
{
	static const char *const pairs[] = {"==", "!=", "<=", ">=", "<<", ">>"};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs) && lexer->end - lexer->at >= 2; i++) {
		if (lexer->at[0] == pairs[i][0] && lexer->at[1] == pairs[i][1]) {
			add(lexer, TOKEN_PUNCTUATION, lexer->at, lexer->at + 2);
			return;
		}
	}
	add(lexer, TOKEN_PUNCTUATION, lexer->at, lexer->at + 1);
}

static void lex_comment(struct lexer *lexer)
{
	const char *end = memchr(lexer->at, '\n', (size_t)(lexer->end - lexer->at));

	add(lexer, TOKEN_COMMENT, lexer->at, end ? end : lexer->end);
}

void nft_lex(struct nft *nft)
{
	struct lexer lexer = {
		.nft = nft, .at = nft->reader->at, .end = nft->reader->end, .line = nft->reader->line + 1};

	while (lexer.at < lexer.end) {
		char c = *lexer.at;

		if (c == '\n') {
			add(&lexer, TOKEN_NEWLINE, lexer.at, lexer.at + 1);
			lexer.line++;
		} else if (c == '\\' && lexer.at + 1 < lexer.end && lexer.at[1] == '\n') {
			lexer.at += 2;
			lexer.line++;
		} else if (c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\'' || c == '\\') {
			lexer.at++; /* a shell's quotes as well */
		} else if (c == '#') {
			lex_comment(&lexer);
		} else if (c == '"') {
			lex_string(&lexer);
		} else if ((is_hex(c) || c == ':') && lex_address6(&lexer)) {
			continue;
		} else if (is_digit(c)) {
			lex_number(&lexer);
		} else if (is_letter(c) || c == '_' || (unsigned char)c >= 0x80) {
			lex_word(&lexer);
		} else {
			lex_punctuation(&lexer);
		}
	}
	add(&lexer, TOKEN_END, lexer.end, lexer.end);
}

const struct token *nft_peek_behind(const struct nft *nft, size_t count)
{
	return &nft->tokens[nft->at + count < nft->token_count ? nft->at + count : nft->token_count - 1];
}

const struct token *nft_next(struct nft *nft)
{
	const struct token *token = &nft->tokens[nft->at];

	if (token->kind != TOKEN_END)
		nft->at++;
	return token;
}

void nft_skip(struct nft *nft, size_t count)
{
	nft->at = nft->at + count < nft->token_count ? nft->at + count : nft->token_count - 1;
}

bool nft_is(const struct token *token, const char *text)
{
	if (token->kind != TOKEN_WORD && token->kind != TOKEN_PUNCTUATION)
		return false;
	/* Asked some fifty times for each token; those two are never empty. */
	return token->text.at[0] == text[0] && span_is(token->text, text);
}

bool nft_accept(struct nft *nft, const char *text)
{
	if (!nft_is(nft_peek(nft), text))
		return false;
	nft->at++;
	return true;
}

bool nft_accept_number(struct nft *nft, uint64_t *ret)
{
	if (nft_peek(nft)->kind != TOKEN_NUMBER)
		return false;
	*ret = nft_next(nft)->number;
	return true;
}

void nft_skip_newlines(struct nft *nft)
{
	while (nft_peek(nft)->kind == TOKEN_NEWLINE || nft_peek(nft)->kind == TOKEN_COMMENT)
		nft->at++;
}

bool nft_ends_statement(const struct token *token)
{
	return token->kind == TOKEN_NEWLINE || token->kind == TOKEN_END || token->kind == TOKEN_COMMENT ||
	       nft_is(token, ";") || nft_is(token, "}");
}

const char *nft_text_since(struct nft *nft, size_t first)
{
	const char *start, *end;
	char *text, *to;

	if (first >= nft->at)
		return "";
	start = nft->tokens[first].text.at - (nft->tokens[first].kind == TOKEN_STRING);
	end = nft->tokens[nft->at - 1].text.at + nft->tokens[nft->at - 1].text.length;
	end += nft->tokens[nft->at - 1].kind == TOKEN_STRING && end < nft->reader->end && *end == '"';
	text = to = arena_alloc(nft->arena, (size_t)(end - start) + 1);
	for (; start < end; start++) {
		bool continued = *start == '\\' && start + 1 < end && start[1] == '\n';
		bool blank = *start == ' ' || *start == '\t' || *start == '\n' || continued;

		if (!blank)
			*to++ = *start;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	while (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
	return text;
}

const char *nft_name(struct nft *nft)
{
	const struct token *token = nft_peek(nft);

	if (token->kind != TOKEN_WORD && token->kind != TOKEN_STRING && token->kind != TOKEN_NUMBER)
		return NULL;
	nft->at++;
	return reader_intern(nft->reader, token->text);
}

static const struct {
	const char *unit;
	uint64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};

bool nft_duration(struct span text, uint64_t *ret_ms)
{
	uint64_t total = 0;

	while (text.length > 0) {
		size_t digits = 0, letters = 0, i;
		uint64_t number;

		while (digits < text.length && is_digit(text.at[digits]))
			digits++;
		while (digits + letters < text.length && is_letter(text.at[digits + letters]))
			letters++;
		if (!span_number(span_first(text, digits), &number))
			return false;
		for (i = 0; i < sizeof(units) / sizeof(*units); i++)
			if (span_is((struct span){text.at + digits, letters}, units[i].unit))
				break;
		if (i == sizeof(units) / sizeof(*units) || __builtin_mul_overflow(number, units[i].ms, &number) ||
		    __builtin_add_overflow(total, number, &total))
			return false;
		text = span_skip(text, digits + letters);
	}
	*ret_ms = total;
	return true;
}
