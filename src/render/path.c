#include "render/path.h"

#include "base/cleanup.h"
#include "render/table.h"
#include "verify/batch.h"

#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {
	[STEP_ARRIVE] = "in",
	[STEP_SEND] = "sent",
	[STEP_RULE] = "rule",
	[STEP_POLICY] = "policy",
	[STEP_ROUTE] = "route",
	[STEP_SOURCE_CHECK] = "source check",
	[STEP_CONNECTION] = "connection",
	[STEP_TRANSLATE] = "translation",
	[STEP_BRIDGE] = "bridge",
	[STEP_NEIGHBOUR] = "neighbour",
	[STEP_LEAVE] = "out",
	[STEP_END] = "end",
};

enum fate path_fate(const struct answer *answer, const struct stack_host *meant)
{
	return answer->fate == FATE_DELIVERED && !walk_arrived(answer, meant) ? FATE_LOST : answer->fate;
}

static const char *source_of(const struct step *step, char ret[ORIGIN_TEXT_SIZE])
{
	return step->origin && step->origin->source ? origin_format(step->origin, ret) : NULL;
}

/* ---- for people ---- */

static enum colour effect_colour(const struct step *step)
{
	const char *effect = step->effect ? step->effect : "";

	if (strstr(effect, "drop") || strstr(effect, "reject") || strcmp(effect, "lost") == 0)
		return COLOUR_RED;
	return strstr(effect, "accept") || strcmp(effect, "delivered") == 0 ? COLOUR_GREEN : COLOUR_NONE;
}

/* "forward filter FORWARD 4" */
static void place_cell(struct table *table, const struct step *step)
{
	if (!step->chain)
		table_cell(table, COLOUR_NONE, kinds[step->kind]);
	else if (step->rule)
		table_cellf(table, COLOUR_NONE, "%s: %s %s %u", hook_name(step->hook), step->chain->table->table->name,
			    step->chain->chain->name, step->rule->index);
	else
		table_cellf(table, COLOUR_NONE, "%s: %s %s", hook_name(step->hook), step->chain->table->table->name,
			    step->chain->chain->name);
}

static void step_row(struct table *table, const struct step *step, const struct stack_host *before)
{
	char source[ORIGIN_TEXT_SIZE];

	table_row(table);
	table_cell(table, COLOUR_BOLD, step->host == before ? NULL : step->host->name);
	place_cell(table, step);
	table_cell(table, effect_colour(step), step->effect);
	table_cell(table, COLOUR_DIM, source_of(step, source));
	table_cell(table, COLOUR_NONE, step->text);
}

static void put_steps(const struct answer *answer, const struct style *style, struct strbuf *out)
{
	static const char *const headings[] = {"HOST", "AT", "WHAT", "SOURCE", "BECAUSE", NULL};
	cleanup_table struct table *table = table_new(headings);
	const struct stack_host *before = NULL;

	for (size_t i = 0; i < answer->step_count; i++) {
		step_row(table, &answer->steps[i], before);
		before = answer->steps[i].host;
	}
	table_draw(table, style, out);
}

static void put_reason(const struct answer *answer, struct strbuf *line)
{
	if (answer->fate == FATE_LOST) {
		strbuf_printf(line, ": %s", answer->reason_text);
	} else if (answer->rule) {
		strbuf_printf(line, " by rule %u of chain %s, table %s", answer->rule->index,
			      answer->chain->chain->name, answer->chain->table->table->name);
	} else if (answer->chain) {
		strbuf_printf(line, " by the policy of chain %s, table %s", answer->chain->chain->name,
			      answer->chain->table->table->name);
	}
	if (answer->answered)
		strbuf_printf(line, " (its sender is told: %s)", answer->answered);
	else if (answer->fate == FATE_REJECTED)
		strbuf_add(line, " (its sender is not told: the answer does not get out)");
}

/* "rejected at vm1 by rule 4 of chain FORWARD, table filter" */
static void put_verdict(const struct answer *answer, const struct stack_host *meant, const struct style *style,
			struct strbuf *out)
{
	enum fate fate = path_fate(answer, meant);
	cleanup_strbuf struct strbuf line = {};

	text_paint(out, style,
		   fate == FATE_DELIVERED ? COLOUR_GREEN
		   : fate == FATE_UNKNOWN ? COLOUR_YELLOW
					  : COLOUR_RED,
		   fate_word(fate));
	if (answer->fate == FATE_DELIVERED) {
		strbuf_add(&line, fate == FATE_LOST ? ": it ends elsewhere, at" : " to");
		if (answer->out)
			strbuf_printf(&line, " whatever is behind %s of %s", answer->out->name, answer->where->name);
		else
			strbuf_printf(&line, " %s", answer->where->name);
		if (fate == FATE_LOST)
			strbuf_printf(&line, ", and not at %s", meant->name);
	} else {
		if (answer->where)
			strbuf_printf(&line, " at %s", answer->where->name);
		put_reason(answer, &line);
	}
	text_safe(out, line.text ? line.text : "", false);
	strbuf_add_char(out, '\n');
}

static bool is_among(const struct assumption *item, const struct assumption *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(items[i].text, item->text) == 0)
			return true;
	return false;
}

/* Without what was said of the way before it. */
static void put_list(const char *heading, const struct assumption *items, size_t count, const struct answer *before,
		     struct strbuf *out)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		if (before && is_among(&items[i], before->assumptions, before->assumption_count))
			continue;
		if (!any)
			strbuf_printf(out, "\n%s\n", heading);
		any = true;
		strbuf_add(out, "- ");
		text_safe(out, items[i].text, false);
		if (items[i].command) {
			strbuf_add(out, " (");
			text_safe(out, items[i].command, false);
			strbuf_add_char(out, ')');
		}
		strbuf_add_char(out, '\n');
	}
}

static void put_way(const struct answer *answer, const struct stack_host *meant, const struct answer *before,
		    const struct style *style, struct strbuf *out)
{
	put_steps(answer, style, out);
	strbuf_add_char(out, '\n');
	put_verdict(answer, meant, style, out);
	put_list("Not known, and it depends on it:", answer->missing, answer->missing_count, NULL, out);
	put_list("Taken for granted:", answer->assumptions, answer->assumption_count, before, out);
}

void path_text(const struct path *path, const struct style *style, struct strbuf *out)
{
	cleanup_strbuf struct strbuf packet = {};

	packet_format(path->packet, &packet);
	text_safe(out, packet.text, false);
	strbuf_add(out, "\n\n");
	put_way(path->there, path->meant, NULL, style, out);
	if (!path->back)
		return;
	strbuf_add(out, "\nThe answer:\n\n");
	put_way(path->back, path->asker, path->there, style, out);
}

/* ---- for programs ---- */

static void set_text(json_t *json, const char *key, const char *text)
{
	if (text)
		json_object_set_new(json, key, text_json(text));
}

static json_t *step_json(const struct step *step)
{
	json_t *json = json_object();
	char source[ORIGIN_TEXT_SIZE];

	set_text(json, "step", kinds[step->kind]);
	set_text(json, "hook", hook_name(step->hook));
	if (step->chain) {
		set_text(json, "family", family_name(step->chain->table->table->family));
		set_text(json, "table", step->chain->table->table->name);
		set_text(json, "chain", step->chain->chain->name);
	}
	if (step->rule)
		json_object_set_new(json, "index", json_integer(step->rule->index));
	set_text(json, "interface", step->link ? step->link->name : NULL);
	set_text(json, "source", source_of(step, source));
	set_text(json, "text", step->text);
	set_text(json, "effect", step->effect);
	return json;
}

/* Steps on one host, one after the other, are one hop. */
static json_t *hops_json(const struct answer *answer)
{
	json_t *hops = json_array(), *steps = NULL;
	const struct stack_host *before = NULL;

	for (size_t i = 0; i < answer->step_count; i++) {
		const struct step *step = &answer->steps[i];

		if (step->host != before) {
			steps = json_array();
			json_array_append_new(
				hops, json_pack("{s:o, s:o}", "host", text_json(step->host->name), "steps", steps));
			before = step->host;
		}
		json_array_append_new(steps, step_json(step));
	}
	return hops;
}

static json_t *way_json(const struct answer *answer, const struct stack_host *meant)
{
	json_t *json = answer_json(answer);

	json_object_del(json, "rules");
	json_object_set_new(json, "hops", hops_json(answer));
	if (path_fate(answer, meant) == answer->fate)
		return json;
	json_object_set_new(json, "verdict", json_string(fate_word(FATE_LOST)));
	json_object_set_new(json, "reason", json_string("elsewhere"));
	return json;
}

json_t *path_json(const struct path *path)
{
	json_t *json = way_json(path->there, path->meant);
	cleanup_strbuf struct strbuf packet = {};

	packet_format(path->packet, &packet);
	json_object_set_new(json, "packet", text_json(packet.text));
	json_object_set_new(json, "reply", path->back ? way_json(path->back, path->asker) : json_null());
	return json;
}
