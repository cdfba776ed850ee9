/* Who reaches whom, as pictures: a Mermaid flowchart of what gets through, and the matrix as SVG. */
#include "render/reach_lab.h"
#include "render/render_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

static const char *const titles[] = {"IPv4", "IPv6"};

/* The services between two groups with a verdict; "all" where there are several and it is all of them. */
static size_t services_with(const struct reach_lab *lab, const struct reach_cell *cells, enum reach_verdict verdict,
			    const char *between, struct strbuf *out)
{
	char text[REACH_SERVICE_TEXT_SIZE];
	size_t count = 0;

	for (size_t i = 0; i < lab->service_count; i++)
		count += cells[i].verdict == verdict;
	if (count == lab->service_count && count > 2) {
		strbuf_add(out, "all");
		return count;
	}
	for (size_t i = 0, told = 0; i < lab->service_count; i++)
		if (cells[i].verdict == verdict)
			strbuf_printf(out, "%s%s", told++ ? between : "", reach_service_text(&lab->services[i], text));
	return count;
}

/* ---- Mermaid ---- */

static void mermaid_edge(const struct reach_lab *lab, int family, const struct reach_group *groups, size_t from,
			 size_t to, struct strbuf *out)
{
	static const enum reach_verdict verdicts[] = {REACH_ALLOWED, REACH_PARTLY, REACH_UNKNOWN};
	static const char *const arrows[] = {"-->", "-.->", "-.->"}, *const notes[] = {"", " partly", " unknown"};
	const struct reach_cell *cells = reach_group_cell(lab, family, &groups[from], &groups[to], 0);

	for (size_t i = 0; cells && i < sizeof(verdicts) / sizeof(*verdicts); i++) {
		cleanup_strbuf struct strbuf services = {};

		if (services_with(lab, cells, verdicts[i], ", ", &services))
			strbuf_printf(out, "  %c%zu %s|\"%s%s\"| %c%zu\n", 'a' + family, from, arrows[i], services.text,
				      notes[i], 'a' + family, to);
	}
}

void reach_lab_mermaid(const struct reach_lab *lab, const char *name, struct strbuf *out)
{
	cleanup_arena struct arena *arena = arena_new();

	strbuf_add(out, "flowchart LR\n");
	if (name) {
		strbuf_add(out, "  %% ");
		mermaid_label(out, name);
		strbuf_add_char(out, '\n');
	}
	for (int family = 0; family < 2; family++) {
		struct reach_group *groups;
		size_t count = lab->tables[family].present ? reach_groups(lab, family, false, arena, &groups) : 0;

		for (size_t i = 0; i < count; i++) {
			cleanup_strbuf struct strbuf label = {};
			bool world = !lab->nodes[groups[i].members[0]].host;

			reach_group_name(lab, &groups[i], &label);
			strbuf_printf(out, "  %c%zu%s\"", 'a' + family, i, world ? "((" : "[");
			mermaid_label(out, label.text);
			strbuf_printf(out, "%s\"%s\n", family ? "<br>IPv6" : "", world ? "))" : "]");
		}
		for (size_t from = 0; from < count; from++)
			for (size_t to = 0; to < count; to++)
				mermaid_edge(lab, family, groups, from, to, out);
	}
}

/* ---- SVG ---- */

/* Lengths in pixels; a letter of the font is some 7 of them wide. */
enum { LETTER = 7, LINE = 16, PADDING = 10, MOST_LETTERS = 28, LEGEND = 500 };

struct drawing {
	const struct reach_lab *lab;
	struct strbuf *out;
	int family;
	struct reach_group *groups;
	size_t count;
	size_t top;		  /* where this family's matrix begins */
	size_t heads, cell, line; /* widths of the names and of a cell, height of a row */
};

/* Names may hold anything. XML has no way to write most control characters, so text_safe() goes first. */
static void put_xml(struct strbuf *out, const char *text)
{
	cleanup_strbuf struct strbuf safe = {};

	text_safe(&safe, text, false);
	if (safe.text)
		strbuf_add_xml(out, safe.text);
}

static void put_text(struct strbuf *out, size_t x, size_t y, const char *class, const char *text)
{
	static const struct style style = {.utf8 = true};
	cleanup_strbuf struct strbuf fitted = {};

	text_fit(&fitted, &style, text, MOST_LETTERS);
	strbuf_printf(out, "<text x=\"%zu\" y=\"%zu\" class=\"%s\">", x, y, class);
	put_xml(out, fitted.text);
	strbuf_add(out, "</text>\n");
}

static void group_label(const struct drawing *drawing, size_t group, struct strbuf *out)
{
	reach_group_name(drawing->lab, &drawing->groups[group], out);
}

/* One line for each verdict there is. */
static const enum reach_verdict drawn[] = {REACH_ALLOWED, REACH_PARTLY, REACH_UNKNOWN};
enum { DRAWN_COUNT = sizeof(drawn) / sizeof(*drawn) };

static void cell_line(const struct drawing *drawing, const struct reach_cell *cells, enum reach_verdict verdict,
		      struct strbuf *out)
{
	if (!services_with(drawing->lab, cells, verdict, ", ", out))
		return;
	if (verdict != REACH_ALLOWED)
		strbuf_printf(out, " %s", reach_verdict_word(verdict));
}

static size_t at_most(size_t letters)
{
	return (letters < MOST_LETTERS ? letters : MOST_LETTERS) * LETTER + 2 * PADDING;
}

static const struct reach_cell *cells_at(const struct drawing *drawing, size_t from, size_t to)
{
	const struct reach_cell *cells =
		reach_group_cell(drawing->lab, drawing->family, &drawing->groups[from], &drawing->groups[to], 0);

	return cells && cells->verdict != REACH_NONE ? cells : NULL;
}

static void measure(struct drawing *drawing)
{
	size_t lines = 1;

	drawing->heads = drawing->cell = at_most(5);
	for (size_t i = 0; i < drawing->count; i++) {
		cleanup_strbuf struct strbuf label = {};

		group_label(drawing, i, &label);
		if (at_most(text_width(label.text)) > drawing->heads)
			drawing->heads = at_most(text_width(label.text));
		for (size_t j = 0; j < drawing->count; j++) {
			const struct reach_cell *cells = cells_at(drawing, i, j);
			size_t used = 0;

			for (size_t k = 0; cells && k < DRAWN_COUNT; k++) {
				cleanup_strbuf struct strbuf line = {};

				cell_line(drawing, cells, drawn[k], &line);
				used += line.length > 0;
				if (line.length && at_most(line.length) > drawing->cell)
					drawing->cell = at_most(line.length);
			}
			lines = used > lines ? used : lines;
		}
	}
	if (drawing->heads > drawing->cell)
		drawing->cell = drawing->heads;
	drawing->line = lines * LINE + PADDING;
}

static void draw_cell(const struct drawing *drawing, size_t from, size_t to)
{
	static const char *const classes[] = {
		[REACH_ALLOWED] = "allowed", [REACH_PARTLY] = "partly", [REACH_UNKNOWN] = "partly"};
	const struct reach_cell *cells = cells_at(drawing, from, to);
	size_t x = drawing->heads + to * drawing->cell, y = drawing->top + 2 * LINE + PADDING + from * drawing->line;
	size_t next = y + LINE;
	const char *class = cells ? "blocked" : "self";

	for (size_t i = DRAWN_COUNT; cells && i-- > 0;)
		for (size_t j = 0; j < drawing->lab->service_count; j++)
			if (cells[j].verdict == drawn[i])
				class = classes[drawn[i]];
	strbuf_printf(drawing->out, "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%zu\" class=\"%s\"/>\n", x, y,
		      drawing->cell, drawing->line, class);
	for (size_t i = 0; cells && i < DRAWN_COUNT; i++) {
		cleanup_strbuf struct strbuf line = {};

		cell_line(drawing, cells, drawn[i], &line);
		if (!line.length)
			continue;
		put_text(drawing->out, x + PADDING, next, "ports", line.text);
		next += LINE;
	}
}

static void draw_family(struct drawing *drawing)
{
	put_text(drawing->out, PADDING, drawing->top + LINE, "title", titles[drawing->family]);
	for (size_t i = 0; i < drawing->count; i++) {
		cleanup_strbuf struct strbuf label = {};

		group_label(drawing, i, &label);
		put_text(drawing->out, drawing->heads + i * drawing->cell + PADDING, drawing->top + 2 * LINE, "name",
			 label.text);
		put_text(drawing->out, PADDING, drawing->top + 2 * LINE + PADDING + i * drawing->line + LINE, "name",
			 label.text);
		for (size_t j = 0; j < drawing->count; j++)
			draw_cell(drawing, i, j);
	}
}

static void put_legend(struct strbuf *out, size_t y)
{
	static const struct {
		const char *class, *text;
	} colours[] = {
		{"allowed", "gets through"}, {"partly", "partly, or not known"}, {"blocked", "nothing else does"}};
	size_t x = PADDING;

	for (size_t i = 0; i < sizeof(colours) / sizeof(*colours); i++) {
		strbuf_printf(out, "<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" class=\"%s\"/>\n", x, y, LINE,
			      LINE, colours[i].class);
		put_text(out, x + LINE + LETTER, y + LINE - 4, "ports", colours[i].text);
		x += LINE + 2 * LETTER + strlen(colours[i].text) * LETTER + PADDING;
	}
	put_text(out, PADDING, y + 2 * LINE, "ports", "from the row's end");
	put_text(out, PADDING + 19 * LETTER, y + 2 * LINE, "ports", "to the column's");
}

void reach_lab_svg(const struct reach_lab *lab, const char *name, struct strbuf *out)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_strbuf struct strbuf body = {};
	size_t width = 0, top = name ? 2 * LINE : 0;

	for (int family = 0; family < 2; family++) {
		struct drawing drawing = {.lab = lab, .out = &body, .family = family, .top = top};

		if (!lab->tables[family].present)
			continue;
		drawing.count = reach_groups(lab, family, false, arena, &drawing.groups);
		measure(&drawing);
		draw_family(&drawing);
		top += 3 * LINE + PADDING + drawing.count * drawing.line;
		if (drawing.heads + drawing.count * drawing.cell > width)
			width = drawing.heads + drawing.count * drawing.cell;
	}
	width = width < LEGEND ? LEGEND : width + PADDING;
	strbuf_printf(
		out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\" viewBox=\"0 0 %zu %zu\">\n",
		width, top + 4 * LINE, width, top + 4 * LINE);
	strbuf_add(out, "<style>text{font:12px monospace;fill:#222} .title{font-weight:bold;font-size:14px} "
			".name{font-weight:bold} rect{stroke:#fff;stroke-width:2} .allowed{fill:#b7e1b0} "
			".partly{fill:#f7e3a1} .blocked{fill:#f3c6c0} .self{fill:#eee}</style>\n"
			"<rect x=\"0\" y=\"0\" width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
	if (name)
		put_text(out, PADDING, LINE + 4, "title", name);
	strbuf_add(out, body.text ? body.text : "");
	put_legend(out, top + LINE);
	strbuf_add(out, "</svg>\n");
}
