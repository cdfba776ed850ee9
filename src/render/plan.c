#include "render/plan.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *past;
	char mark;
	enum colour colour;
} actions[] = {
	[PLAN_CREATE] = {"create", "to create", '+', COLOUR_GREEN},
	[PLAN_CHANGE] = {"change", "to change", '~', COLOUR_YELLOW},
	[PLAN_REMOVE] = {"remove", "to remove", '-', COLOUR_RED},
	[PLAN_RESTART] = {"restart", "to restart", '!', COLOUR_CYAN},
};

enum { ACTION_COUNT = sizeof(actions) / sizeof(*actions) };

const char *plan_action_name(enum plan_action action)
{
	return actions[action].name;
}

/* Columns are as wide as they need to be, but one long path does not push everything aside. */
static size_t column_width(const struct plan_change *changes, size_t count, size_t limit, bool path)
{
	size_t widest = 0;

	for (size_t i = 0; i < count; i++) {
		size_t width = text_width(path ? changes[i].path : changes[i].what);

		if (width > widest && width <= limit)
			widest = width;
	}
	return widest;
}

static void pad(struct strbuf *out, const char *text, size_t width)
{
	size_t taken = text_width(text);

	strbuf_printf(out, "%*s", taken < width ? (int)(width - taken) : 0, "");
}

static void add_line(const struct plan_change *change, size_t what_width, size_t path_width, const struct style *style,
		     struct strbuf *out)
{
	char mark[] = {actions[change->action].mark, '\0'};

	text_paint(out, style, actions[change->action].colour, mark);
	strbuf_add_char(out, ' ');
	text_safe(out, change->what, false);
	if (*change->path || *change->why) {
		pad(out, change->what, what_width);
		strbuf_add_char(out, ' ');
		text_paint(out, style, COLOUR_BOLD, change->path);
	}
	if (change->host) {
		pad(out, change->path, path_width);
		path_width = 0;
		strbuf_add(out, "  on ");
		text_safe(out, change->host, false);
	}
	if (*change->why) {
		pad(out, change->path, path_width);
		strbuf_add(out, "  ");
		text_paint(out, style, COLOUR_DIM, change->why);
	}
	strbuf_add_char(out, '\n');
}

void plan_text(const struct plan_change *changes, size_t count, const struct style *style, struct strbuf *out)
{
	size_t what_width = column_width(changes, count, 16, false),
	       path_width = column_width(changes, count, 40, true);
	size_t counts[ACTION_COUNT] = {0};
	const char *separator = "";

	if (count == 0) {
		strbuf_add(out, "nothing to do\n");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		add_line(&changes[i], what_width, path_width, style, out);
		counts[changes[i].action]++;
	}
	for (size_t action = 0; action < ACTION_COUNT; action++) {
		if (counts[action] == 0)
			continue;
		strbuf_printf(out, "%s%zu %s", separator, counts[action], actions[action].past);
		separator = ", ";
	}
	strbuf_add_char(out, '\n');
}

json_t *plan_json(const struct plan_change *changes, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:s*, s:o, s:o*}", "do",
						      actions[changes[i].action].name, "what", changes[i].what, "path",
						      text_json(changes[i].path), "host", changes[i].host, "why",
						      text_json(changes[i].why), "overwrites",
						      changes[i].overwrites ? json_true() : NULL));
	return json_pack("{s:o}", "changes", list);
}
