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
	bool open = answer->fate == FATE_DELIVERED || answer->fate == FATE_UNKNOWN;

	return open && walk_astray(answer, meant) ? FATE_LOST : answer->fate;
}

static const char *source_of(const struct step *step, char ret[ORIGIN_TEXT_SIZE])
{
	return step->origin && step->origin->source ? origin_format(step->origin, ret) : NULL;
}

/* Where a way ends is told as the whole of it is: "delivered" to somebody else is not. */
static const char *effect_of(const struct answer *answer, const struct stack_host *meant, const struct step *step)
{
	if (step->kind != STEP_END || !step->effect || strcmp(step->effect, fate_word(FATE_DELIVERED)) != 0)
		return step->effect;
	if (path_fate(answer, meant) == FATE_LOST)
		return "elsewhere";
	return answer->fate == FATE_UNKNOWN ? "perhaps delivered" : step->effect;
}

/* ---- for people ---- */

static enum colour effect_colour(const char *effect)
{
	if (!effect)
		return COLOUR_NONE;
	if (strncmp(effect, "perhaps", strlen("perhaps")) == 0)
		return COLOUR_YELLOW;

	if (strstr(effect, "drop") || strstr(effect, "reject") || strcmp(effect, "lost") == 0 ||
	    strcmp(effect, "elsewhere") == 0)
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

static void step_row(struct table *table, const struct step *step, const char *effect, const struct stack_host *before)
{
	char source[ORIGIN_TEXT_SIZE];

	table_row(table);
	table_cell(table, COLOUR_BOLD, step->host == before ? NULL : step->host->name);
	place_cell(table, step);
	table_cell(table, effect_colour(effect), effect);
	table_cell(table, COLOUR_DIM, source_of(step, source));
	table_cell(table, COLOUR_NONE, step->text);
}

static void put_steps(const struct answer *answer, const struct stack_host *meant, const struct style *style,
		      struct strbuf *out)
{
	static const char *const headings[] = {"HOST", "AT", "WHAT", "SOURCE", "BECAUSE", NULL};
	cleanup_table struct table *table = table_new(headings);
	const struct stack_host *before = NULL;

	for (size_t i = 0; i < answer->step_count; i++) {
		step_row(table, &answer->steps[i], effect_of(answer, meant, &answer->steps[i]), before);
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

static void put_place(const struct answer *answer, struct strbuf *line)
{
	if (answer->out)
		strbuf_printf(line, "whatever is behind %s of %s", answer->out->name, answer->where->name);
	else
		strbuf_add(line, answer->where->name);
}

/* Of a way that does not end where it was meant to: "it ends at whatever is behind eth1 of wsl2" */
static void put_astray(const struct answer *answer, struct strbuf *line)
{
	if (answer->fate == FATE_DELIVERED) {
		strbuf_add(line, "it ends at ");
		put_place(answer, line);
		return;
	}
	strbuf_printf(line, "it is %s at %s", fate_word(answer->fate), answer->where->name);
	if (answer->fate == FATE_LOST)
		strbuf_printf(line, " (%s)", answer->reason_text);
}

/* Each way that it may take, none of which ends where it was meant to. */
static void put_ends(const struct answer *answer, struct strbuf *line)
{
	cleanup_strbuf struct strbuf all = {};

	for (size_t i = 0; i < answer->end_count; i++) {
		cleanup_strbuf struct strbuf one = {};

		put_astray(answer->ends[i], &one);
		if (!all.text || !strstr(all.text, one.text))
			strbuf_printf(&all, "%s%s", all.length ? "; or " : "", one.text);
	}
	strbuf_printf(line, " whatever the missing facts are: %s", all.text);
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
	if (fate == FATE_DELIVERED) {
		strbuf_add(&line, " to ");
		put_place(answer, &line);
	} else if (fate == answer->fate) {
		if (answer->where)
			strbuf_printf(&line, " at %s", answer->where->name);
		put_reason(answer, &line);
	} else if (answer->fate == FATE_UNKNOWN) {
		put_ends(answer, &line);
	} else {
		strbuf_add(&line, ": ");
		put_astray(answer, &line);
	}
	if (fate != answer->fate && meant)
		strbuf_printf(&line, ", and not at %s", meant->name);
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
static void put_list(const char *heading, bool varies, const struct assumption *items, size_t count,
		     const struct answer *before, struct strbuf *out)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		if (items[i].varies != varies)
			continue;
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
	put_steps(answer, meant, style, out);
	strbuf_add_char(out, '\n');
	put_verdict(answer, meant, style, out);
	put_list(path_fate(answer, meant) == FATE_UNKNOWN ? "Not known, and it depends on it:"
							  : "Not known, and it depends on it which way it takes:",
		 false, answer->missing, answer->missing_count, NULL, out);
	put_list("It is not the same for every packet:", true, answer->missing, answer->missing_count, NULL, out);
	put_list("Taken for granted:", false, answer->assumptions, answer->assumption_count, before, out);
	put_list("Taken for what is usual, though it is not the same for every packet:", true, answer->assumptions,
		 answer->assumption_count, before, out);
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

static json_t *step_json(const struct step *step, const char *effect)
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
	set_text(json, "effect", effect);
	return json;
}

/* Steps on one host, one after the other, are one hop. */
static json_t *hops_json(const struct answer *answer, const struct stack_host *meant)
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
		json_array_append_new(steps, step_json(step, effect_of(answer, meant, step)));
	}
	return hops;
}

static json_t *way_json(const struct answer *answer, const struct stack_host *meant)
{
	json_t *json = answer_json(answer);

	json_object_del(json, "rules");
	json_object_set_new(json, "hops", hops_json(answer, meant));
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
