/*
 * Problems are collected in any order, sorted by place at the end, and shown in one walk through the text: each is
 * searched from where the one before was found, so that many problems in a large file (or in one long line, as the JSON
 * of a part is) do not read it again and again.
 */
#include "base/arena.h"
#include "config/problems_internal.h"
#include "config/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	MOST_ERRORS = 200,
	MOST_WARNINGS = 100,
	QUOTE_CHARACTERS = 64,
	LINE_COLUMNS = 110, /* of a line that are shown */
	TAB_COLUMNS = 8,
};

void problems_open(struct problems *problems, const char *file)
{
	*problems = (struct problems){.arena = arena_new(), .text = ""};
	problems->file = arena_strdup(problems->arena, file);
}

void problems_clear(struct problems *problems)
{
	arena_free(problems->arena);
	*problems = (struct problems){0};
}

__attribute__((format(printf, 2, 0))) static const char *format_text(struct arena *arena, const char *format,
								     va_list args)
{
	char *text = NULL;
	const char *copy;

	if (vasprintf(&text, format, args) < 0)
		abort();
	copy = arena_strdup(arena, text);
	free(text);
	return copy;
}

/* Takes one over where there is room. Of what there is too much of, one more says so. */
static void add(struct problems *problems, const struct problem *problem)
{
	size_t so_far = problem->warning ? problems->count - problems->errors : problems->errors;
	size_t most = problem->warning ? MOST_WARNINGS : MOST_ERRORS;
	struct problem *item;

	if (so_far > most)
		return;
	item = arena_push(problems->arena, problems->items, problems->count);
	*item = *problem;
	if (!problem->warning)
		problems->errors++;
	if (so_far == most)
		*item = (struct problem){.warning = problem->warning,
					 .message = problems_text(problems, "there are more; only %zu %s are shown",
								  most, problem->warning ? "warnings" : "errors")};
}

void problems_error(struct problems *problems, struct spot spot, const char *hint, const char *format, ...)
{
	struct problem problem = {.place = spot.place, .width = spot.width, .hint = hint};
	va_list args;

	if (problems->errors > MOST_ERRORS)
		return;
	va_start(args, format);
	problem.message = format_text(problems->arena, format, args);
	va_end(args);
	add(problems, &problem);
}

void problems_warning(struct problems *problems, struct spot spot, const char *hint, const char *format, ...)
{
	struct problem problem = {.warning = true, .place = spot.place, .width = spot.width, .hint = hint};
	va_list args;

	if (problems->count - problems->errors > MOST_WARNINGS)
		return;
	va_start(args, format);
	problem.message = format_text(problems->arena, format, args);
	va_end(args);
	add(problems, &problem);
}

bool problems_enough(const struct problems *problems)
{
	return problems->errors > MOST_ERRORS;
}

const char *problems_text(struct problems *problems, const char *format, ...)
{
	const char *text;
	va_list args;

	va_start(args, format);
	text = format_text(problems->arena, format, args);
	va_end(args);
	return text;
}

/* Adds one character as it may be shown; what is hidden or no UTF-8 becomes U+FFFD. Returns the bytes it took. */
static size_t add_visible(struct strbuf *out, const char *text, size_t left, unsigned *ret_columns)
{
	uint32_t c;
	size_t length = utf8_next(text, left, &c);

	if (length == 0 || utf8_is_hidden(c)) {
		strbuf_add(out, "\xef\xbf\xbd");
		*ret_columns = 1;
		return length ? length : 1;
	}
	strbuf_add_bytes(out, text, length);
	*ret_columns = utf8_columns(c);
	return length;
}

static void add_all_visible(struct strbuf *out, const char *text)
{
	size_t left = strlen(text), length;
	unsigned unused;

	for (; left; text += length, left -= length)
		length = add_visible(out, text, left, &unused);
}

const char *problems_quote(struct problems *problems, const char *text)
{
	cleanup_strbuf struct strbuf out = {0};
	size_t left = strlen(text), length;
	unsigned shown = 0, unused;

	strbuf_add_char(&out, '"');
	for (; left && shown < QUOTE_CHARACTERS; text += length, left -= length, shown++)
		length = add_visible(&out, text, left, &unused);
	strbuf_add(&out, left ? "…\"" : "\"");
	return arena_strdup(problems->arena, out.text);
}

const char *problems_did_you_mean(struct problems *problems, const char *best)
{
	return best ? problems_text(problems, "did you mean %s?", problems_quote(problems, best)) : NULL;
}

static int compare(const void *left, const void *right)
{
	const struct problem *a = left, *b = right;
	unsigned a_line = a->place.line ? a->place.line : UINT32_MAX,
		 b_line = b->place.line ? b->place.line : UINT32_MAX;

	if (a_line != b_line)
		return a_line < b_line ? -1 : 1;
	if (a->place.column != b->place.column)
		return a->place.column < b->place.column ? -1 : 1;
	if (a->warning != b->warning)
		return a->warning ? 1 : -1;
	return strcmp(a->message, b->message);
}

void problems_close(struct problems *problems, const char *text, size_t length)
{
	if (problems->count == 0)
		return;
	qsort(problems->items, problems->count, sizeof(*problems->items), compare);
	problems->text = arena_strndup(problems->arena, text, length);
	problems->length = length;
}

/* Where the walk through the text is: a character's bytes, with its line and column. */
struct walk {
	const char *at, *end;
	const char *line_start;
	unsigned line, column;
};

/* LF, CR LF and CR alone end a line, as they do for YAML. */
static size_t line_end(const char *at, const char *end)
{
	if (at < end && *at == '\r')
		return at + 1 < end && at[1] == '\n' ? 2 : 1;
	return at < end && *at == '\n';
}

static void walk_to(struct walk *walk, struct place place)
{
	uint32_t unused;

	while (walk->line < place.line && walk->at < walk->end) {
		size_t ending = line_end(walk->at, walk->end);

		walk->at += ending ? ending : 1;
		if (ending) {
			walk->line++;
			walk->column = 1;
			walk->line_start = walk->at;
		}
	}
	while (walk->line == place.line && walk->column < place.column && walk->at < walk->end &&
	       !line_end(walk->at, walk->end)) {
		size_t length = utf8_next(walk->at, (size_t)(walk->end - walk->at), &unused);

		walk->at += length ? length : 1;
		walk->column++;
	}
}

/* Where showing the line begins: at its own beginning, unless the caret is too far from there. */
static const char *window_start(const struct walk *walk)
{
	const char *start = walk->at;
	unsigned columns = LINE_COLUMNS / 2;

	if (walk->column <= LINE_COLUMNS * 3 / 4)
		return walk->line_start;
	while (start > walk->line_start && columns) {
		start--;
		while (start > walk->line_start && (*start & 0xc0) == 0x80)
			start--;
		columns--;
	}
	return start;
}

/* One line of the file, and how many columns lie before the caret and below it. */
struct shown_line {
	struct strbuf text;
	unsigned before, below;
};

static void show_line(const struct walk *walk, unsigned width, struct shown_line *ret)
{
	const char *at = window_start(walk);
	unsigned columns = 0, taken, character = 0;
	bool cut = at > walk->line_start;
	size_t length;

	if (cut) {
		strbuf_add(&ret->text, "…");
		columns = 1;
	}
	for (ret->before = columns; at < walk->end && !line_end(at, walk->end); at += length) {
		if (columns >= LINE_COLUMNS) {
			strbuf_add(&ret->text, "…");
			break;
		}
		if (*at == '\t') {
			taken = TAB_COLUMNS - columns % TAB_COLUMNS;
			length = 1;
			strbuf_printf(&ret->text, "%*s", (int)taken, "");
		} else {
			length = add_visible(&ret->text, at, (size_t)(walk->end - at), &taken);
		}
		columns += taken;
		if (at < walk->at)
			ret->before = columns;
		else if (character++ < width)
			ret->below += taken;
	}
	if (ret->below == 0)
		ret->below = 1;
}

static void format_line(struct walk *walk, const struct problem *problem, struct strbuf *out)
{
	struct shown_line line = {0};

	walk_to(walk, problem->place);
	if (walk->line != problem->place.line)
		return;
	show_line(walk, problem->width, &line);
	strbuf_printf(out, "%5u | %s\n      | %*s^", problem->place.line, line.text.text ? line.text.text : "",
		      (int)line.before, "");
	for (unsigned i = 1; i < line.below; i++)
		strbuf_add_char(out, '~');
	strbuf_add_char(out, '\n');
	free(line.text.text);
}

void problems_format(const struct problems *problems, struct strbuf *out)
{
	struct walk walk = {.at = problems->text, .line = 1, .column = 1, .line_start = problems->text};

	walk.end = walk.at ? walk.at + problems->length : NULL;
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->items[i];

		add_all_visible(out, problems->file);
		if (problem->place.line)
			strbuf_printf(out, ":%u:%u", problem->place.line, problem->place.column);
		strbuf_printf(out, ": %s: %s\n", problem->warning ? "warning" : "error", problem->message);
		if (problem->place.line && problems->length)
			format_line(&walk, problem, out);
		if (problem->hint)
			strbuf_printf(out, "      = %s\n", problem->hint);
	}
}

json_t *problems_json(const struct problems *problems)
{
	cleanup_strbuf struct strbuf file = {0};
	json_t *list = json_array();

	if (problems->file)
		add_all_visible(&file, problems->file);
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->items[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I, s:I, s:s, s:s?}", "severity",
						problem->warning ? "warning" : "error", "file",
						file.text ? file.text : "", "line", (json_int_t)problem->place.line,
						"column", (json_int_t)problem->place.column, "message",
						problem->message, "hint", problem->hint));
	}
	return list;
}
