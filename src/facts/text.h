/* What the parsers read with: pieces of text, words, lines with their numbers, and strings kept once. */
#ifndef NESTVISOR_FACTS_TEXT_H
#define NESTVISOR_FACTS_TEXT_H

#include "base/arena.h"
#include "base/ip.h"
#include "facts/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of text that is not NUL-terminated. */
struct span {
	const char *at;
	size_t length;
};

struct span span_of(const char *text);
bool span_is(struct span span, const char *text);
bool span_is_nocase(struct span span, const char *text);
bool span_starts(struct span span, const char *text);
bool span_ends(struct span span, const char *text);
struct span span_skip(struct span span, size_t bytes); /* without its first bytes, at most all */
struct span span_first(struct span span, size_t bytes);
struct span span_trim(struct span span); /* without white space at both ends */
/* Where `text` begins in it, or SIZE_MAX. */
size_t span_find(struct span span, const char *text);
size_t span_find_char(struct span span, char c);
/* Splits at the first c: what is before comes back, what is behind stays in *span (empty where there is no c). */
struct span span_cut(struct span *span, char c);

/* Takes the next word, parted by white space, from *rest; false at the end. */
bool span_word(struct span *rest, struct span *ret);

bool span_number(struct span span, uint64_t *ret);  /* decimal, 0x… or 0… octal is not: "010" is ten */
bool span_counter(struct span span, uint64_t *ret); /* with K, M, G, T, P: thousands, as iptables -L -v prints */
struct number span_to_number(struct span span);
bool span_ip(struct span span, struct ip *ret);
bool span_prefix(struct span span, struct prefix *ret); /* "default" and short forms are not prefixes */
struct mac span_mac(struct span span);			/* 52:54:0:1:2:3, too, and with dashes */
enum truth span_truth(struct span span);		/* on, yes, 1, true; off, no, 0, false */
/* The bits of a mask where it is one: 255.255.255.0 is 24. */
bool mask_length(const struct ip *mask, uint8_t *ret);

/* Strings kept once: equal texts have one address within a pool. */
struct pool {
	struct arena *arena;
	const char **slots;
	size_t size, used;
};

const char *pool_intern(struct pool *pool, struct span span);
/* Of any text: a file's name, an interface's alias. What is no UTF-8 is repaired; NULL stays NULL. */
const char *pool_text(struct pool *pool, const char *text);

/* How a text is encoded, as far as its beginning says so. */
enum text_encoding {
	TEXT_UTF8,	  /* or something else of 8 bits */
	TEXT_UTF8_MARKED, /* with a byte order mark */
	TEXT_UTF16_LITTLE,
	TEXT_UTF16_BIG,
};
enum text_encoding text_encoding(const char *data, size_t length);
/* RFC 2781, without a byte order mark. What is no character becomes U+FFFD. */
char *text_from_utf16(struct arena *arena, const char *data, size_t length, bool big, size_t *ret_length);
char *text_to_utf16(struct arena *arena, const char *text, size_t length, bool big, size_t *ret_length);

/*
 * A parser's input: cleaned text of one capture (see text_clean), the facts to fill, and where what is read comes from.
 * Lines are numbered as in the file.
 */
struct reader {
	struct pool *pool;
	struct facts *facts;
	struct ruleset *ruleset; /* where rules go: of this capture alone, until it is known which capture counts */
	struct capture *capture;
	const char *source;
	const char *at, *end;
	uint32_t line; /* of the line read last */
	bool json;     /* origins are items of a JSON document: see reader_item */
	uint32_t item;
	enum text_encoding encoding; /* that it had before it was cleaned */
};

/* The next line without its end and without white space around; false at the end. */
bool reader_line(struct reader *reader, struct span *ret);
struct origin reader_origin(const struct reader *reader);
const char *reader_intern(struct reader *reader, struct span span);
/* A note with the place where the reader is. */
void reader_note(struct reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line that no parser understood: counted, and the first few of a capture noted. */
void reader_ignored(struct reader *reader, struct span line);

/* Text that was cut somewhere is UTF-8 again: what is left of a character becomes question marks. */
void text_repair(char *text);

#define reader_new(reader, type)	  arena_new_struct((reader)->pool->arena, type)
#define reader_push(reader, items, count) arena_push((reader)->pool->arena, items, count)

/* The link of a name, found or added; this place is noted as one that speaks of it. */
struct link *reader_link(struct reader *reader, struct span name);
/* Sets a text that is not known yet. */
void text_set(const char **text, const char *value);
void truth_set(enum truth *truth, enum truth value);
void number_set(struct number *number, struct number value);

/* Adds a text to a list of texts. */
void texts_push(struct arena *arena, const char ***items, size_t *count, const char *text);

/*
 * Text as parsers want it: UTF-8 without a byte order mark, NULs and carriage returns. UTF-16, which PowerShell's `>`
 * writes, is decoded; bytes that are no UTF-8 become U+FFFD.
 */
char *text_clean(struct arena *arena, const char *data, size_t length, size_t *ret_length);

#endif
