#include "render/verify.h"

#include "base/cleanup.h"
#include "render/path.h"
#include "render/table.h"
#include "verify/batch.h"

#include <string.h>

static enum colour colour_of(enum policy_result result)
{
	return result == POLICY_PROVED ? COLOUR_GREEN : result == POLICY_VIOLATED ? COLOUR_RED : COLOUR_YELLOW;
}

static bool is_line(const struct promise *promise)
{
	return promise->kind == PROMISE_ALLOW || promise->kind == PROMISE_DENY;
}

static struct path path_of(const struct policy_witness *witness)
{
	return (struct path){.packet = &witness->packet,
			     .there = witness->answer,
			     .meant = witness->meant,
			     .back = witness->back,
			     .asker = witness->asker};
}

/* ---- for people ---- */

static void put_table(const struct policy_report *report, const struct style *style, struct strbuf *out)
{
	static const char *const headings[] = {"RESULT", "PROMISE", NULL};
	cleanup_table struct table *table = table_new(headings);

	for (size_t i = 0; i < report->verdict_count; i++) {
		const struct policy_verdict *verdict = &report->verdicts[i];

		table_row(table);
		table_cell(table, colour_of(verdict->result), policy_result_word(verdict->result));
		table_cell(table, COLOUR_NONE, verdict->promise->text);
	}
	table_draw(table, style, out);
}

static void put_items(const struct assumption *items, size_t count, const struct style *style, struct strbuf *out)
{
	for (size_t i = 0; i < count; i++) {
		strbuf_add(out, "- ");
		text_safe(out, items[i].text, false);
		if (items[i].command) {
			strbuf_add(out, " (");
			text_paint(out, style, COLOUR_DIM, items[i].command);
			strbuf_add_char(out, ')');
		}
		strbuf_add_char(out, '\n');
	}
}

static void put_heading(const struct policy_verdict *verdict, const struct style *style, struct strbuf *out)
{
	strbuf_add_char(out, '\n');
	text_paint(out, style, colour_of(verdict->result), policy_result_word(verdict->result));
	strbuf_add(out, ": ");
	text_paint(out, style, COLOUR_BOLD, verdict->promise->text);
	strbuf_add_char(out, '\n');
}

static void put_witness(const struct policy_verdict *verdict, const struct style *style, struct strbuf *out)
{
	struct path path = path_of(verdict->witness);

	strbuf_add(out, "A packet that ");
	text_safe(out, verdict->witness->who, false);
	strbuf_add(out, " sends: ");
	text_safe(out, verdict->why, false);
	strbuf_add(out, ".\n");
	path_text(&path, style, out);
}

static void put_isolated(const struct policy_verdict *verdict, struct strbuf *out)
{
	strbuf_printf(out, "It does not hold because %s is %s", verdict->isolated->path, world_name(verdict->world));
	if (verdict->result == POLICY_SUSPENDED)
		strbuf_printf(out, ", until `nestvisor open %s`.\n", verdict->isolated->path);
	else
		strbuf_add(out, ", which the lab file says itself: it contradicts itself.\n");
}

static void put_verdict(const struct policy_verdict *verdict, const struct style *style, struct strbuf *out)
{
	if (verdict->result == POLICY_PROVED)
		return;
	put_heading(verdict, style, out);
	if (verdict->isolated)
		put_isolated(verdict, out);
	if (verdict->result == POLICY_VIOLATED && verdict->witness)
		put_witness(verdict, style, out);
	if (verdict->guarantee_count > 0)
		strbuf_add(out, "What the other hosts stop even so:\n");
	for (size_t i = 0; i < verdict->guarantee_count; i++) {
		strbuf_add(out, "- ");
		text_safe(out, verdict->guarantees[i], false);
		strbuf_add_char(out, '\n');
	}
	if (verdict->missing_count > 0)
		strbuf_add(out, "What would tell:\n");
	put_items(verdict->missing, verdict->missing_count, style, out);
}

void verify_line(const struct policy_report *report, const struct style *style, struct strbuf *out)
{
	size_t counts[POLICY_SUSPENDED + 1] = {};

	for (size_t i = 0; i < report->verdict_count; i++)
		counts[report->verdicts[i].result]++;
	text_paint(out, style, colour_of(report->result), policy_result_word(report->result));
	strbuf_printf(out, ": %zu of %zu promise%s kept", counts[POLICY_PROVED], report->verdict_count,
		      report->verdict_count == 1 ? "" : "s");
	if (counts[POLICY_VIOLATED])
		strbuf_printf(out, ", %zu violated", counts[POLICY_VIOLATED]);
	if (counts[POLICY_UNKNOWN])
		strbuf_printf(out, ", %zu unknown", counts[POLICY_UNKNOWN]);
	if (counts[POLICY_SUSPENDED])
		strbuf_printf(out, ", %zu suspended by what was cut or sealed", counts[POLICY_SUSPENDED]);
	strbuf_add_char(out, '\n');
}

void verify_text(const struct policy_report *report, const struct style *style, bool verbose, struct strbuf *out)
{
	put_table(report, style, out);
	for (size_t i = 0; i < report->verdict_count; i++)
		put_verdict(&report->verdicts[i], style, out);
	if (report->verdict_count > 0)
		strbuf_add_char(out, '\n');
	verify_line(report, style, out);
	if (report->assumption_count == 0)
		return;
	if (!verbose) {
		strbuf_printf(out, "%zu thing%s taken for granted, because %s not captured (--verbose tells)\n",
			      report->assumption_count, report->assumption_count == 1 ? " was" : "s were",
			      report->assumption_count == 1 ? "it was" : "they were");
		return;
	}
	strbuf_add(out, "\nTaken for granted:\n");
	put_items(report->assumptions, report->assumption_count, style, out);
}

/* ---- for programs ---- */

static json_t *witness_json(const struct policy_witness *witness)
{
	struct path path;
	json_t *json;

	if (!witness)
		return json_null();
	path = path_of(witness);
	json = path_json(&path);
	json_object_set_new(json, "from", text_json(witness->who));
	return json;
}

static json_t *guarantees_json(const struct policy_verdict *verdict)
{
	json_t *list = json_array();

	for (size_t i = 0; i < verdict->guarantee_count; i++)
		json_array_append_new(list, text_json(verdict->guarantees[i]));
	return list;
}

static json_t *isolated_json(const struct policy_verdict *verdict)
{
	if (!verdict->isolated)
		return json_null();
	return json_pack("{s:s, s:s}", "guest", verdict->isolated->path, "world", world_name(verdict->world));
}

static json_t *verdict_json(const struct policy_verdict *verdict)
{
	const struct promise *promise = verdict->promise;

	return json_pack(
		"{s:o, s:b, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "text", text_json(promise->text), "implied",
		!is_line(promise), "line",
		is_line(promise) && promise->line->place.line ? json_integer(promise->line->place.line) : json_null(),
		"result", policy_result_word(verdict->result), "isolated", isolated_json(verdict), "why",
		text_json(verdict->why), "witness", witness_json(verdict->witness), "missing",
		assumptions_json(verdict->missing, verdict->missing_count), "guarantees", guarantees_json(verdict));
}

json_t *verify_json(const struct policy_report *report)
{
	json_t *policies = json_array();

	for (size_t i = 0; i < report->verdict_count; i++)
		json_array_append_new(policies, verdict_json(&report->verdicts[i]));
	return json_pack("{s:s, s:o, s:o}", "result", policy_result_word(report->result), "policies", policies,
			 "assumptions", assumptions_json(report->assumptions, report->assumption_count));
}
