/* A table: cells are collected, then drawn with each column as wide as its widest cell. */
#ifndef NESTVISOR_RENDER_TABLE_H
#define NESTVISOR_RENDER_TABLE_H

#include "render/text.h"

struct table;

/* Headings, NULL-terminated. A heading that begins with '>' (not shown) makes its column right-aligned. */
struct table *table_new(const char *const *headings);
void table_free(struct table *table); /* NULL is fine */

/* Cells from left to right; the row begins with its first cell and the rest of a short row stays empty. Text may be
 * anything. */
void table_row(struct table *table);
void table_cell(struct table *table, enum colour colour, const char *text); /* NULL: empty */
void table_cellf(struct table *table, enum colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Draws it: two spaces between columns, no space at a line's end. A column without any text is left out with its
 * heading. Where the style's columns do not suffice, the last column is shortened, and no line ever wraps.
 */
void table_draw(const struct table *table, const struct style *style, struct strbuf *out);

static inline void table_freep(struct table **table)
{
	table_free(*table);
}
#define cleanup_table __attribute__((cleanup(table_freep)))

#endif
