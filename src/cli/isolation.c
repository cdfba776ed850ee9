#include "cli/isolation.h"

#include "apply/nwfilter.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/target.h"
#include "render/status.h"
#include "render/table.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ─── which guests ─── */

struct choice {
	const struct guest **guests;
	size_t count;
};

static bool has_tag(const struct guest *guest, const char *tag)
{
	for (size_t i = 0; i < guest->tag_count; i++)
		if (strcmp(guest->tags[i], tag) == 0)
			return true;
	return false;
}

static void choose(struct choice *choice, const struct guest *guest)
{
	for (size_t i = 0; i < choice->count; i++)
		if (choice->guests[i] == guest)
			return;
	choice->guests[choice->count++] = guest;
}

static int choose_tag(struct invocation *inv, const struct lab *lab, const char *tag, struct choice *ret)
{
	bool any = false;

	for (size_t i = 0; i < lab->guest_count; i++)
		if (has_tag(lab->guests[i], tag)) {
			choose(ret, lab->guests[i]);
			any = true;
		}
	return any ? EXIT_DONE : invocation_usage(inv, "lab %s has no guest with the tag \"%s\"", lab->name, tag);
}

static int choose_guests(struct invocation *inv, struct arena *arena, const struct lab *lab, struct choice *ret)
{
	size_t tag_count = 0;
	const char *const *tags = invocation_strings(inv, "tag", &tag_count);
	int status = EXIT_DONE;

	*ret = (struct choice){.guests = arena_alloc(arena, (lab->guest_count + 1) * sizeof(*ret->guests))};
	for (size_t i = 0; i < inv->operand_count && status == EXIT_DONE; i++) {
		const struct guest *guest;

		status = target_guest(inv, lab, inv->operands[i], &guest);
		if (status == EXIT_DONE)
			choose(ret, guest);
	}
	for (size_t i = 0; i < tag_count && status == EXIT_DONE; i++)
		status = choose_tag(inv, lab, tags[i], ret);
	for (size_t i = 0; i < lab->guest_count && status == EXIT_DONE && invocation_flag(inv, "all"); i++)
		choose(ret, lab->guests[i]);
	if (status == EXIT_DONE && ret->count == 0)
		return invocation_usage(inv, "which guests? Name them, or say --all or --tag");
	return status;
}

static enum isolation_method method_of(struct invocation *inv)
{
	const char *name = invocation_string(inv, "method");

	return strcmp(name, isolation_method_name(ISOLATION_NWFILTER)) == 0 ? ISOLATION_NWFILTER : ISOLATION_NFT;
}

/* The command as it was given, as far as the log wants it. */
static const char *words_of(struct invocation *inv, struct arena *arena, const char *more)
{
	const char *words = inv->command->name;
	size_t count = 0;
	const char *const *tags = invocation_strings(inv, "tag", &count);

	if (invocation_flag(inv, "all"))
		words = arena_printf(arena, "%s --all", words);
	for (size_t i = 0; i < count; i++)
		words = arena_printf(arena, "%s --tag %s", words, tags[i]);
	for (size_t i = 0; i < inv->operand_count; i++)
		words = arena_printf(arena, "%s %s", words, inv->operands[i]);
	if (method_of(inv) == ISOLATION_NWFILTER)
		words = arena_printf(arena, "%s --method nwfilter", words);
	return more ? arena_printf(arena, "%s%s", words, more) : words;
}

/* ─── the answer ─── */

static json_t *allowed_json(const struct isolation_setting *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->allowed_count; i++) {
		char text[ALLOWANCE_TEXT_SIZE];

		json_array_append_new(list, json_pack("{s:s, s:o}", "to", allowance_format(&s->allowed[i], text),
						      "asked", text_json(s->allowed[i].asked)));
	}
	return list;
}

/* ─── what a guest keeps, and kept before ─── */

static bool is_allowed(const struct isolation_setting *s, const struct allowance *allowance)
{
	char wanted[ALLOWANCE_TEXT_SIZE], text[ALLOWANCE_TEXT_SIZE];

	allowance_format(allowance, wanted);
	for (size_t i = 0; i < s->allowed_count; i++)
		if (strcmp(allowance_format(&s->allowed[i], text), wanted) == 0)
			return true;
	return false;
}

/* Whether a cut took the place of another with other words, which a person may have meant to go on. */
static bool is_loosened(const struct isolation_setting *before, const struct isolation_setting *now)
{
	for (size_t i = 0; i < before->allowed_count; i++)
		if (!is_allowed(now, &before->allowed[i]))
			return true;
	return now->neighbours < before->neighbours;
}

static const char *neighbours_option(enum neighbours neighbours)
{
	return neighbours == NEIGHBOURS_CUT ? " --strict" : neighbours == NEIGHBOURS_DROP ? " --neighbours drop" : "";
}

static void add_options(const struct isolation_setting *s, struct strbuf *out)
{
	char text[ALLOWANCE_TEXT_SIZE];

	strbuf_add(out, neighbours_option(s->neighbours));
	for (size_t i = 0; i < s->allowed_count; i++)
		strbuf_printf(out, " --allow %s", allowance_format(&s->allowed[i], text));
}

/* *ret: how to say again what was said before, or NULL: nothing of it was lost. */
static char *lost_words(const struct isolate_result *result, const struct guest *guest)
{
	const struct isolation_setting *before = result->before ? &result->before->settings[guest->index] : NULL,
				       *now = &result->isolation->settings[guest->index];
	cleanup_strbuf struct strbuf out = {0};
	char *words;

	if (!before || before->world != WORLD_CUT || now->world != WORLD_CUT || !is_loosened(before, now))
		return NULL;
	strbuf_printf(&out, "nestvisor cut %s", guest->path);
	add_options(before, &out);
	words = strdup(out.text);
	if (!words)
		abort();
	return words;
}

static void print_lost(struct invocation *inv, const struct isolate_result *result, const struct guest *guest)
{
	const struct isolation_setting *before, *now = &result->isolation->settings[guest->index];
	cleanup_free char *words = lost_words(result, guest);
	cleanup_strbuf struct strbuf was = {0}, is = {0};

	if (!words)
		return;
	before = &result->before->settings[guest->index];
	add_options(before, &was);
	add_options(now, &is);
	invocation_note(inv, "%s was cut with%s before, now %s%s; to keep it: %s", guest->path, was.text,
			is.length ? "with" : "without", is.text, words);
}

json_t *isolation_guest_json(const struct isolation *isolation, const struct guest *guest)
{
	const struct isolation_setting *s = &isolation->settings[guest->index];
	struct isolation_effect effect = isolation_effect(isolation, guest);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:o, s:b, s:o, s:o}", "path", guest->path, "world",
			 world_name(isolation_world(isolation, guest)), "set", world_name(s->world), "file",
			 world_name(guest->world), "method", isolation_method_name(s->method), "open_until",
			 effect.open_ms > 0 ? json_integer(effect.open_until) : json_null(), "neighbours",
			 neighbours_name(effect.neighbours), "allow", allowed_json(s), "at_run_time", s->at_run_time,
			 "since", s->since ? json_integer(s->since) : json_null(), "by", text_json(s->by));
}

static json_t *answer_json(const struct lab *lab, const struct guest *const *guests, size_t count,
			   const struct isolate_result *result)
{
	json_t *list = json_array(), *layers = json_array();

	for (size_t i = 0; i < count; i++) {
		cleanup_free char *words = lost_words(result, guests[i]);
		json_t *one = isolation_guest_json(result->isolation, guests[i]);

		json_object_set_new(one, "replaced", text_json(words));
		json_array_append_new(list, one);
	}
	for (size_t i = 0; i < result->layer_count; i++) {
		const struct isolate_layer *layer = &result->layers[i];

		json_array_append_new(layers, json_pack("{s:s, s:s, s:o, s:f}", "host", layer->host, "result",
							isolate_outcome_name(layer->outcome), "why",
							text_json(layer->why), "ms", layer->ms));
	}
	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:I, s:I, s:b, s:f}", "lab", lab->name, "complete",
			 result->complete, "unsure", text_json(result->unsure), "guests", list, "layers", layers,
			 "elements", (json_int_t)result->switched.elements, "flows", (json_int_t)result->flows,
			 "reloaded", result->switched.reloaded, "transaction_ms",
			 (double)result->switched.transaction_ns / 1e6);
}

static void print_layers(struct invocation *inv, const struct isolate_result *result)
{
	static const char *const headings[] = {"HOST", "RESULT", ">AFTER", "WHY", NULL};
	cleanup_table struct table *table = table_new(headings);
	cleanup_strbuf struct strbuf text = {0};

	for (size_t i = 0; i < result->layer_count; i++) {
		const struct isolate_layer *layer = &result->layers[i];

		table_row(table);
		table_cell(table, COLOUR_BOLD, *layer->host ? layer->host : "L0");
		table_cell(table,
			   layer->outcome == ISOLATE_DONE    ? COLOUR_GREEN
			   : layer->outcome == ISOLATE_WAITS ? COLOUR_YELLOW
							     : COLOUR_RED,
			   isolate_outcome_name(layer->outcome));
		table_cellf(table, COLOUR_NONE, "%.1f ms", layer->ms);
		table_cell(table, COLOUR_NONE,
			   layer->outcome == ISOLATE_WAITS ? "it does not run; it gets this when it starts"
							   : layer->why);
	}
	table_draw(table, inv->style, &text);
	invocation_print_text(inv, text.text);
}

void isolation_put_allowed(const struct allowance *allowed, size_t count, struct strbuf *out)
{
	char text[ALLOWANCE_TEXT_SIZE];

	strbuf_add(out, "");
	for (size_t i = 0; i < count; i++) {
		strbuf_printf(out, "%s%s", i ? ", " : "", allowance_format(&allowed[i], text));
		if (allowed[i].asked)
			strbuf_printf(out, " (%s)", allowed[i].asked);
	}
}

void isolation_format_until(long long until, char ret[UNTIL_TEXT_SIZE])
{
	time_t then = (time_t)until;
	struct tm local;

	strftime(ret, UNTIL_TEXT_SIZE, "%Y-%m-%d %H:%M:%S", localtime_r(&then, &local));
}

static const char *how_far(const struct isolate_result *result)
{
	return result->complete ? "" : result->unsure ? ", as far as is known" : ", but not at every layer";
}

static void print_guest(struct invocation *inv, const struct guest *guest, const struct isolate_result *result)
{
	struct isolation_effect effect = isolation_effect(result->isolation, guest);
	enum world world = isolation_world(result->isolation, guest);
	cleanup_strbuf struct strbuf more = {0};
	char until[UNTIL_TEXT_SIZE];

	strbuf_add(&more, "");
	if (world == WORLD_CUT && effect.allowed_count) {
		strbuf_add(&more, ", but for ");
		isolation_put_allowed(effect.allowed, effect.allowed_count, &more);
	}
	if (world == WORLD_CUT && effect.neighbours != NEIGHBOURS_KEEP)
		strbuf_printf(&more, ", neighbours: %s", neighbours_name(effect.neighbours));
	if (result->isolation->settings[guest->index].method == ISOLATION_NWFILTER)
		strbuf_add(&more, " by nwfilter");
	if (effect.open_ms > 0) {
		isolation_format_until(effect.open_until, until);
		strbuf_printf(&more, " until %s", until);
	}
	invocation_print(inv, "%s: %s%s%s\n", guest->path, world_name(world), more.text, how_far(result));
}

static void print_answer(struct invocation *inv, const struct guest *const *guests, size_t count,
			 const struct isolate_result *result)
{
	for (size_t i = 0; i < count && count <= 10; i++)
		print_guest(inv, guests[i], result);
	if (count > 10)
		invocation_print(inv, "%zu guests%s\n", count, how_far(result));
	print_layers(inv, result);
	for (size_t i = 0; i < count && count <= 10; i++)
		print_lost(inv, result, guests[i]);
	if (result->switched.reloaded)
		invocation_note(inv, "the rules were not those of the lab: all of them were loaded anew");
	if (result->unsure)
		invocation_warn(inv, "%s", result->unsure);
	else if (!result->complete)
		invocation_warn(
			inv,
			"not every layer has heard it. What is outside of these holds. Say it again, or `nestvisor "
			"up`, once they answer");
}

int isolation_answer(struct invocation *inv, const struct lab *lab, const struct guest *const *guests, size_t count,
		     const struct isolate_result *result, const char *what)
{
	json_t *document = inv->json ? answer_json(lab, guests, count, result) : NULL;
	int status = result->complete ? EXIT_DONE : EXIT_FAILED;

	if (!document)
		print_answer(inv, guests, count, result);
	if (what) {
		cleanup_error struct error *err = NULL;
		const char *verdict;

		fflush(stdout); /* that it is in force is said before it is proved, which takes longer */
		if (proof_show(inv, lab, guests, count, result->isolation, document, &verdict) != EXIT_DONE)
			status = EXIT_FAILED;
		if (isolate_log_verdict(lab, what, verdict, &err) < 0)
			invocation_warn(inv, "%s", err->message);
	}
	if (document)
		invocation_answer(inv, document);
	return status;
}

/* What the command asks for, by the method that it names. */
struct by_method {
	const struct lab *lab;
	enum isolation_method method;
	isolate_edit edit;
	void *data;
};

static int edit_by_method(void *data, const struct guest *guest, struct isolation_setting *ret, struct error **err)
{
	const struct by_method *by = data;
	int r = by->edit(by->data, guest, ret, err);

	ret->method = by->method;
	return r < 0 ? r : nwfilter_check(by->lab, guest, ret, err);
}

int isolation_run(struct invocation *inv, const char *more, isolate_edit edit, void *data)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	struct by_method by = {.method = method_of(inv), .edit = edit, .data = data};
	struct isolate_request request = {.edit = edit_by_method, .data = &by};
	struct isolate_result result;
	struct choice choice;
	int status = target_lab(inv, NULL, &lab), r;

	if (status == EXIT_DONE)
		status = choose_guests(inv, arena, lab, &choice);
	if (status != EXIT_DONE)
		return status;
	by.lab = lab;
	request.what = words_of(inv, arena, more);
	request.guests = choice.guests;
	request.guest_count = choice.count;
	r = isolate_change(arena, lab, &request, inv->cancel, &result, &err);
	if (r < 0)
		return invocation_fail(inv, &err);
	return isolation_answer(inv, lab, choice.guests, choice.count, &result,
				invocation_flag(inv, "no-verify") ? NULL : request.what);
}
