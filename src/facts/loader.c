#include "facts/loader.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "facts/recognise.h"

#include <stdlib.h>
#include <string.h>

struct capture *loader_add_capture(struct loader *loader, const char *source, uint32_t line)
{
	struct facts *facts = loader->facts;
	struct capture *capture = arena_push(loader->pool->arena, facts->captures, facts->capture_count);

	*capture = (struct capture){.source = source, .line = line};
	return capture;
}

/* Facts that say "this is all": a capture that only shows a part must not. */
static void weaken(struct facts *facts, const struct facts *before, struct ruleset *ruleset)
{
	struct {
		enum truth *now;
		enum truth before;
	} truths[] = {{&facts->links_known, before->links_known},
		      {&facts->neighbours_known, before->neighbours_known},
		      {&facts->fdb_known, before->fdb_known},
		      {&facts->policy_rules4_known, before->policy_rules4_known},
		      {&facts->policy_rules6_known, before->policy_rules6_known},
		      {&facts->sysctls_known, before->sysctls_known},
		      {&facts->connections4_known, before->connections4_known},
		      {&facts->connections6_known, before->connections6_known},
		      {&facts->modules_known, before->modules_known},
		      {&facts->listeners_known, before->listeners_known}};

	for (size_t i = 0; i < sizeof(truths) / sizeof(*truths); i++)
		if (*truths[i].now == TRUTH_YES && truths[i].before != TRUTH_YES)
			*truths[i].now = TRUTH_NO;
	facts->route_coverage_count = before->route_coverage_count;
	ruleset->coverage_count = 0;
	for (size_t i = 0; i < ruleset->table_count; i++) {
		ruleset->tables[i].whole = TRUTH_NO;
		for (size_t j = 0; j < ruleset->tables[i].chain_count; j++)
			ruleset->tables[i].chains[j].whole = TRUTH_NO;
	}
}

static void parse_json_text(struct reader *reader, const struct recognised *recognised, json_t *document)
{
	reader->json = true;
	recognised->format->parse_json(reader, &recognised->asked, document);
}

/* One command's output. */
static void load_section(struct loader *loader, const char *source, struct span text, uint32_t line,
			 const struct recognised *recognised)
{
	struct facts *facts = loader->facts, before = *facts;
	struct ruleset ruleset = {};
	struct capture *capture = loader_add_capture(loader, source, line + 1);
	struct reader reader = {.pool = loader->pool,
				.facts = facts,
				.ruleset = &ruleset,
				.capture = capture,
				.source = source,
				.at = text.at,
				.end = text.at + text.length,
				.line = line,
				.encoding = loader->encoding};
	cleanup_json json_t *document = NULL;
	cleanup_error struct error *err = NULL;
	struct span start = span_trim(text);
	struct recognised json;

	capture->used = true;
	capture->cut_off = loader->partial;
	capture->command = recognised_command(loader->pool, recognised);
	if (start.length > 0 && (start.at[0] == '[' || start.at[0] == '{') && recognised->format->parse_json) {
		if (json_parse(start.at, start.length, "this", &document, &err) < 0) {
			reader_note(&reader, "%s", err->message);
			capture->used = false;
			capture->why = "not valid JSON";
			return;
		}
		json = *recognised;
		json.asked.json = true;
		capture->command = recognised_command(loader->pool, &json);
		parse_json_text(&reader, &json, document);
	} else {
		recognised->format->parse(&reader, &recognised->asked);
	}
	if (recognised->filtered || capture->cut_off)
		weaken(facts, &before, &ruleset);
	if (recognised->format->rank == 0)
		return;
	*arena_push(loader->pool->arena, loader->rules, loader->rule_count) = (struct captured_rules){
		.ruleset = ruleset, .capture = facts->capture_count - 1, .rank = recognised->format->rank};
}

/* Finds the next prompt from `at` on. False: the rest belongs to one command. */
static bool next_prompt(struct loader *loader, struct span text, size_t at, uint32_t *line, size_t *ret_start,
			size_t *ret_end, struct recognised *ret, struct span *ret_command)
{
	while (at < text.length) {
		struct span rest = span_skip(text, at), row = span_cut(&rest, '\n');

		if (recognise_prompt(loader->pool, span_trim(row), ret, ret_command)) {
			*ret_start = at;
			*ret_end = at + row.length + 1 < text.length ? at + row.length + 1 : text.length;
			return true;
		}
		at += row.length + 1;
		++*line;
	}
	return false;
}

static bool is_blank(struct span text)
{
	return span_trim(text).length == 0;
}

/* What stands between two prompts. `command` is what was typed where that is none of ours. */
static void load_part(struct loader *loader, const char *source, struct span text, uint32_t line,
		      const struct recognised *recognised, struct span command)
{
	struct recognised seen = *recognised;
	struct capture *capture;

	if (!seen.format && command.length == 0)
		recognise_text(text, &seen);
	if (seen.format) {
		load_section(loader, source, text, line, &seen);
		return;
	}
	capture = loader_add_capture(loader, source, line + 1);
	capture->why = command.length ? "no command that is read here" : "not recognised";
	capture->command = command.length ? pool_intern(loader->pool, span_first(command, 200)) : NULL;
}

/* Reads a text: all of it by its name, unless prompts part it into several commands' output. */
static void load_text(struct loader *loader, const char *source, struct span text, const struct recognised *named)
{
	struct recognised current = *named, next;
	struct span command = {"", 0}, typed;
	size_t start = 0, prompt = 0, behind = 0;
	uint32_t first_line = 0, line = 0;

	while (!(named->format && named->format->plain) &&
	       next_prompt(loader, text, start, &line, &prompt, &behind, &next, &typed)) {
		struct span part = span_first(span_skip(text, start), prompt - start);

		if (!is_blank(part))
			load_part(loader, source, part, first_line, &current, command);
		current = next;
		command = next.format ? (struct span){"", 0} : typed;
		start = behind;
		first_line = ++line;
	}
	text = span_skip(text, start);
	if (start == 0 || current.format || !is_blank(text))
		load_part(loader, source, text, first_line, &current, command);
}

static bool recognise_file(struct loader *loader, struct span name, struct span text, struct recognised *ret)
{
	cleanup_json json_t *document = NULL;
	struct span start = span_trim(text);

	if (recognise_name(loader->pool, name, ret)) {
		struct recognised seen;

		if (ret->weak && recognise_text(text, &seen) && seen.format->parse != ret->format->parse)
			*ret = seen;
		return true;
	}
	if (start.length > 0 && (start.at[0] == '[' || start.at[0] == '{') &&
	    json_parse(start.at, start.length, "this", &document, NULL) == 0)
		return recognise_json(document, ret);
	return false;
}

void loader_capture(struct loader *loader, const char *source, const char *name, const char *data, size_t length,
		    bool partial)
{
	struct recognised recognised = {};
	size_t clean;
	char *text = text_clean(loader->pool->arena, data, length, &clean);

	source = pool_text(loader->pool, source);
	name = pool_text(loader->pool, name);
	loader->partial = partial;
	loader->encoding = text_encoding(data, length);
	recognise_file(loader, span_of(name), (struct span){text, clean}, &recognised);
	load_text(loader, source, (struct span){text, clean}, &recognised);
	loader->partial = false;
}

void loader_unused(struct loader *loader, const char *source, const char *command, const char *why)
{
	struct capture *capture = loader_add_capture(loader, pool_text(loader->pool, source), 0);

	capture->command = pool_text(loader->pool, command);
	capture->why = pool_text(loader->pool, why);
}

void loader_begin(struct loader *loader, struct pool *pool, const char *host)
{
	struct facts *facts = arena_new_struct(pool->arena, struct facts);

	facts->name = pool_text(pool, host);
	*loader = (struct loader){.pool = pool, .facts = facts};
}

void loader_end(struct loader *loader)
{
	merge_rules(loader->pool, loader->facts, loader->rules, loader->rule_count);
	merge_finish(loader->pool, loader->facts);
}
