/*
 * The INI files of WSL, .wslconfig of Windows and wsl.conf of a distribution: read as WSL itself reads them, and edited
 * so that every byte that is not meant stays: comments, order, line ends, encoding, unknown keys, white space.
 *
 * How WSL reads (microsoft/WSL, src/shared/configfile/configfile.cpp, version 2.9.4 of 2026-08-08):
 * - "[section]" and "key = value", names of letters and digits, not beginning with a digit; their case does not matter.
 * - A value ends with the line or with "#", white space around it falls away. Quotes keep both and fall away
 * themselves;
 *   \\ \" \b \n \t are characters, a backslash at the end of a line joins it with the next, any other makes the line
 *   invalid. Only "#" begins a comment: a line with ";" is invalid.
 * - Of a key that is set twice in a section the first counts.
 * - Of .wslconfig invalid lines are passed over. In wsl.conf the first one ends the reading: what follows is ignored.
 * - .wslconfig may be UTF-8, with or without a byte order mark, or UTF-16 in little endian with one (_wfopen,
 * ccs=UTF-8). wsl.conf has to be without: a mark makes its first line invalid.
 */
#ifndef NESTVISOR_FACTS_INI_H
#define NESTVISOR_FACTS_INI_H

#include "facts/text.h"

struct error;

enum ini_reader {
	INI_WSLCONFIG,
	INI_WSLCONF,
};

enum ini_kind {
	INI_BLANK,
	INI_COMMENT,
	INI_SECTION,
	INI_SETTING,
	INI_INVALID,
};

/* A line, or several that a backslash joins. */
struct ini_item {
	enum ini_kind kind;
	uint32_t line;		 /* from 1 */
	size_t start, end;	 /* in the text, with its end of line */
	size_t value, value_end; /* the value as it stands there */
	const char *section;	 /* as written; "": before the first */
	const char *key, *text;	 /* of settings: the value as WSL understands it */
	/* Why WSL does not take it; NULL: it does. Whether it knows the key is another question. */
	const char *ignored;
};

struct ini {
	struct arena *arena;
	enum ini_reader reader;
	enum text_encoding encoding;
	char *text; /* UTF-8, or whatever 8-bit encoding it is, without a byte order mark */
	size_t length;
	struct ini_item *items;
	size_t item_count;
	bool crlf; /* how most of its lines end */
	/* What WSL does not read at all, and why; NULL: it is read. */
	const char *unreadable;
};

/* -EILSEQ: UTF-16 that is none, which cannot be written back as it was. Lives in the arena. */
int ini_parse(struct arena *arena, enum ini_reader reader, const char *data, size_t length, struct ini **ret,
	      struct error **err);
/* The same for text that was cleaned (text_clean), whose encoding was this: to be read, not to be written. */
struct ini *ini_parse_clean(struct arena *arena, enum ini_reader reader, enum text_encoding encoding, const char *text,
			    size_t length);

/* The setting that counts; NULL: none. */
const struct ini_item *ini_find(const struct ini *ini, const char *section, const char *key);

/*
 * Edits. All items are new afterwards. A setting that counts gets another value in its place; where there is none, one
 * is added behind the last of its section, or with the section at the end of the file, or at its beginning where WSL
 * does not read to the end. -EINVAL: the file cannot be read at all, or the value cannot be written.
 */
int ini_set(struct ini *ini, const char *section, const char *key, const char *value, struct error **err);
/* Takes every line away that sets it; true where there was one. */
bool ini_remove(struct ini *ini, const char *section, const char *key);
/* Gives a file that WSL cannot read for its encoding one that it can; true where that was so. */
bool ini_make_readable(struct ini *ini);

/* The file as it is to be written, in its encoding. Lives in the arena. */
char *ini_encode(const struct ini *ini, size_t *ret_length);

#endif
