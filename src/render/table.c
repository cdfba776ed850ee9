#include "render/table.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct cell {
	enum colour colour;
	const char *text;
};

struct row {
	struct cell *cells; /* columns of them */
};

struct table {
	struct arena *arena;
	size_t columns;
	struct cell *headings;
	bool *right;
	struct row *rows;
	size_t row_count, filled; /* cells filled in the last row */
};

struct table *table_new(const char *const *headings)
{
	struct arena *arena = arena_new();
	struct table *table = arena_new_struct(arena, struct table);

	table->arena = arena;
	while (headings[table->columns])
		table->columns++;
	table->headings = arena_alloc(arena, table->columns * sizeof(*table->headings));
	table->right = arena_alloc(arena, table->columns * sizeof(*table->right));
	for (size_t i = 0; i < table->columns; i++) {
		table->right[i] = headings[i][0] == '>';
		table->headings[i].text = headings[i] + table->right[i];
		table->headings[i].colour = COLOUR_DIM;
	}
	return table;
}

void table_free(struct table *table)
{
	if (table)
		arena_free(table->arena);
}

void table_row(struct table *table)
{
	struct row *row = arena_push(table->arena, table->rows, table->row_count);

	row->cells = arena_alloc(table->arena, table->columns * sizeof(*row->cells));
	table->filled = 0;
}

void table_cell(struct table *table, enum colour colour, const char *text)
{
	struct cell *cell = &table->rows[table->row_count - 1].cells[table->filled++];

	cell->colour = colour;
	cell->text = text ? arena_strdup(table->arena, text) : NULL;
}

void table_cellf(struct table *table, enum colour colour, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	table_cell(table, colour, text);
	free(text);
}

/* Widths of the columns that have any text; 0 for those that have none. */
static void measure(const struct table *table, size_t *widths)
{
	for (size_t c = 0; c < table->columns; c++) {
		widths[c] = 0;
		for (size_t r = 0; r < table->row_count; r++) {
			const char *text = table->rows[r].cells[c].text;
			size_t width = text ? text_width(text) : 0;

			widths[c] = width > widths[c] ? width : widths[c];
		}
		if (widths[c] > 0 && text_width(table->headings[c].text) > widths[c])
			widths[c] = text_width(table->headings[c].text);
	}
}

static void spaces(struct strbuf *out, size_t count)
{
	strbuf_printf(out, "%*s", (int)count, "");
}

static void draw_cell(const struct cell *cell, size_t room, const struct style *style, struct strbuf *out)
{
	cleanup_strbuf struct strbuf shortened = {};

	if (text_width(cell->text) <= room) {
		text_paint(out, style, cell->colour, cell->text);
		return;
	}
	/* What text_fit gives is safe already, and text_paint leaves safe text as it is. */
	text_fit(&shortened, style, cell->text, room);
	text_paint(out, style, cell->colour, shortened.text);
}

static void draw_row(const struct table *table, const struct cell *cells, const size_t *widths,
		     const struct style *style, struct strbuf *out)
{
	size_t column = 0, owed = 0; /* owed: spaces that are only written when something follows */
	size_t limit = style->columns ? style->columns : SIZE_MAX;

	for (size_t c = 0; c < table->columns; c++) {
		size_t width = cells[c].text ? text_width(cells[c].text) : 0,
		       pad = widths[c] > width ? widths[c] - width : 0;

		if (widths[c] == 0)
			continue;
		if (width > 0 && column + owed < limit) {
			size_t before = owed + (table->right[c] ? pad : 0);
			size_t room = limit - column > before ? limit - column - before : 0;

			spaces(out, before);
			draw_cell(&cells[c], room, style, out);
			column += before + (width < room ? width : room);
			owed = table->right[c] ? 0 : pad;
		} else {
			owed += widths[c];
		}
		owed += 2;
	}
	strbuf_add_char(out, '\n');
}

void table_draw(const struct table *table, const struct style *style, struct strbuf *out)
{
	size_t *widths = arena_alloc(table->arena, table->columns * sizeof(*widths));

	strbuf_add(out, "");
	measure(table, widths);
	draw_row(table, table->headings, widths, style, out);
	for (size_t r = 0; r < table->row_count; r++)
		draw_row(table, table->rows[r].cells, widths, style, out);
}
