/*
 * Text for a terminal: what may be drawn there, how wide it is, in which colour. Widths are columns of a terminal,
 * without help from the C library's locale, so that a hypervisor guest without locales and a golden test see the same.
 */
#ifndef NESTVISOR_RENDER_TEXT_H
#define NESTVISOR_RENDER_TEXT_H

#include "base/json.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How to draw on one stream. A zeroed style is the plainest: ASCII, no colour, no limit. */
struct style {
	bool colour;
	bool utf8;	  /* lines and dots may be drawn; false: ASCII only */
	unsigned columns; /* 0: no limit */
};

/*
 * The style for a descriptor: colour on a terminal unless NO_COLOR (https://no-color.org) is set, TERM is "dumb" or
 * no_colour is given; UTF-8 unless the locale in LC_ALL, LC_CTYPE or LANG says otherwise.
 */
struct style style_of(int fd, bool no_colour);

enum colour {
	COLOUR_NONE,
	COLOUR_BOLD,
	COLOUR_DIM,
	COLOUR_RED,
	COLOUR_GREEN,
	COLOUR_YELLOW,
	COLOUR_BLUE,
	COLOUR_CYAN,
};

/* Adds text in a colour, where the style has colours. The text is made safe (text_safe). */
void text_paint(struct strbuf *out, const struct style *style, enum colour colour, const char *text);

/*
 * Adds text so that it can do a terminal no harm and hide nothing: control characters (escape sequences among them),
 * bytes that are no UTF-8 and characters that reorder or hide text (Unicode's bidirectional controls, tags,
 * zero-width ones) become \xNN or \u{NNNN}. A newline becomes \n unless keep_lines.
 */
void text_safe(struct strbuf *out, const char *text, bool keep_lines);

/* A JSON string, or null for NULL. Text that is no UTF-8, which JSON cannot hold, goes through text_safe. */
json_t *text_json(const char *text);

/* Columns that text takes once it went through text_safe; of its one line. */
size_t text_width(const char *text);

/* Adds as much of safe text as fits in `columns`, with "…" or "..." in place of the rest. Returns the columns taken. */
size_t text_fit(struct strbuf *out, const struct style *style, const char *text, size_t columns);

/* Adds text filled to `columns` at word boundaries, each line behind `indent` spaces; an empty line parts paragraphs.
 */
void text_fill(struct strbuf *out, const char *text, unsigned indent, unsigned columns);

/* "0.4s", "12.3s", "4m07s", "2h05m"; ms of time. */
enum { DURATION_TEXT_SIZE = 32 };
const char *text_duration(long long ms, char ret[DURATION_TEXT_SIZE]);

/* "2 GiB", "1.5 GiB", "512 MiB"; bytes, in powers of 1024. */
enum { BYTES_TEXT_SIZE = 24 };
const char *text_bytes(uint64_t bytes, char ret[BYTES_TEXT_SIZE]);

#endif
