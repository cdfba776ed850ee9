#include "render/diff.h"

#include "base/cleanup.h"
#include "render/reach.h"
#include "render/reach_lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *const kind_words[] = {[DIFF_OPENS] = "opens", [DIFF_CLOSES] = "closes", [DIFF_UNCLEAR] = "unclear"};
static const char *const titles[] = {[DIFF_OPENS] = "Gets through now:",
				     [DIFF_CLOSES] = "No longer gets through:",
				     [DIFF_UNCLEAR] = "Cannot be decided in one of the two, or in both:"};
static const enum colour colours[] = {
	[DIFF_OPENS] = COLOUR_GREEN, [DIFF_CLOSES] = COLOUR_RED, [DIFF_UNCLEAR] = COLOUR_YELLOW};
static const enum diff_kind kinds[] = {DIFF_OPENS, DIFF_CLOSES, DIFF_UNCLEAR};
enum { MOST_VALUES = 8, KIND_COUNT = sizeof(kinds) / sizeof(*kinds) };

/* ---- packets ---- */

static uint8_t family_in(const struct packet_values *values)
{
	return values->fields[PSET_FAMILY] == PSET_IP4 ? AF_INET : AF_INET6;
}

static uint8_t family_of(const struct diff_class *class)
{
	return family_in(&class->witness);
}

static bool is_name(enum pset_field field)
{
	return field == PSET_IIF || field == PSET_OIF || field == PSET_IN_PORT || field == PSET_OUT_PORT;
}

static void range_text(const struct diff_class *class, enum pset_field field, const struct interval *interval,
		       struct strbuf *out)
{
	char text[INTERVAL_TEXT_SIZE], name[WIDE_NAME_SIZE], last[WIDE_NAME_SIZE];

	if (field == PSET_SADDR || field == PSET_DADDR)
		strbuf_add(out, interval_text(interval, family_of(class), text));
	else if (is_name(field) && interval->first == interval->last)
		strbuf_add(out, interval->first ? wide_to_name(interval->first, name) : "none");
	else if (is_name(field))
		strbuf_printf(out, "%s to %s", wide_to_name(interval->first, name), wide_to_name(interval->last, last));
	else if (field == PSET_PROTOCOL && interval->first == interval->last)
		strbuf_add(out, protocol_name((uint8_t)interval->first, name));
	else if (interval->first == interval->last)
		strbuf_printf(out, "%llu", (unsigned long long)interval->first);
	else
		strbuf_printf(out, "%llu-%llu", (unsigned long long)interval->first,
			      (unsigned long long)interval->last);
}

/* All values but a few single ones: "not lo". */
static bool put_without(const struct diff_class *class, enum pset_field field, struct strbuf *out)
{
	const struct diff_values *values = &class->box[field];
	const struct interval *last = &values->items[values->count - 1];

	if (field == PSET_SADDR || field == PSET_DADDR || values->count < 2 || values->items[0].first != 0 ||
	    last->last != pset_field_last(field))
		return false;
	for (size_t i = 0; i + 1 < values->count; i++) {
		struct interval hole = {values->items[i].last + 1, values->items[i + 1].first - 1};

		strbuf_add(out, i ? ", " : "not ");
		range_text(class, field, &hole, out);
	}
	return true;
}

static void field_text(const struct diff_class *class, enum pset_field field, struct strbuf *out)
{
	const struct diff_values *values = &class->box[field];

	if (put_without(class, field, out))
		return;
	for (size_t i = 0; i < values->count && i < MOST_VALUES; i++) {
		strbuf_add(out, i ? ", " : "");
		range_text(class, field, &values->items[i], out);
	}
	if (values->more)
		strbuf_add(out, " and others");
	if (values->count > MOST_VALUES)
		strbuf_printf(out, " and %zu more", values->count - MOST_VALUES);
}

static bool is_asked(const struct diff_class *class, enum pset_field field)
{
	const struct diff_values *values = &class->box[field];

	return class->fields & PSET_BIT(field) && values->count &&
	       (values->count > 1 || values->items[0].first != 0 || values->items[0].last != pset_field_last(field));
}

static struct packet packet_in(const struct packet_values *values)
{
	const wide *fields = values->fields;
	uint8_t family = family_in(values);

	return (struct packet){.family = family,
			       .protocol = (uint8_t)fields[PSET_PROTOCOL],
			       .src = wide_to_address(fields[PSET_SADDR], family),
			       .dst = wide_to_address(fields[PSET_DADDR], family),
			       .sport = port_of((uint16_t)fields[PSET_SPORT]),
			       .dport = port_of((uint16_t)fields[PSET_DPORT]),
			       .icmp_type = (uint8_t)fields[PSET_ICMP_TYPE]};
}

static struct packet witness_packet(const struct diff_class *class)
{
	return packet_in(&class->witness);
}

/* All that are asked are first packets of a connection, whole. */
static const pset_fields assumed = PSET_BIT(PSET_FAMILY) | PSET_BIT(PSET_STATE) | PSET_BIT(PSET_FRAGMENT) |
				   PSET_BIT(PSET_DIRECTION) | PSET_BIT(PSET_TCP_FLAGS);

/* "tcp 10.0.0.0/8 → 192.168.1.1 port 22, iif eth0" */
static void class_text(const struct diff_class *class, struct strbuf *out)
{
	const pset_fields told =
		assumed | PSET_BIT(PSET_PROTOCOL) | PSET_BIT(PSET_SADDR) | PSET_BIT(PSET_DADDR) | PSET_BIT(PSET_DPORT);
	const struct diff_values *protocol = &class->box[PSET_PROTOCOL];
	char name[4];

	if (!is_asked(class, PSET_PROTOCOL)) {
		strbuf_add(out, family_of(class) == AF_INET ? "any IPv4" : "any IPv6");
	} else if (protocol->count == 1 && protocol->items[0].first == protocol->items[0].last) {
		strbuf_add(out, protocol_name((uint8_t)protocol->items[0].first, name));
	} else {
		strbuf_add(out, "protocol ");
		field_text(class, PSET_PROTOCOL, out);
	}
	strbuf_add_char(out, ' ');
	if (is_asked(class, PSET_SADDR))
		field_text(class, PSET_SADDR, out);
	else
		strbuf_add(out, "any");
	strbuf_add(out, " → ");
	if (is_asked(class, PSET_DADDR))
		field_text(class, PSET_DADDR, out);
	else
		strbuf_add(out, "any");
	if (is_asked(class, PSET_DPORT)) {
		strbuf_add(out, " port ");
		field_text(class, PSET_DPORT, out);
	}
	for (unsigned i = 0; i < PSET_FIELD_COUNT; i++) {
		if (told & PSET_BIT(i) || !is_asked(class, i))
			continue;
		strbuf_printf(out, ", %s ", pset_field_name(i));
		field_text(class, i, out);
	}
}

static void decision_text(const struct diff_decision *decision, struct strbuf *out)
{
	char source[ORIGIN_TEXT_SIZE];

	if (!decision->chain) {
		strbuf_add(out, "passes, there is no rule");
		return;
	}
	strbuf_printf(out, "%s by ", decision->passes ? "passes" : "stopped");
	if (!decision->rule) {
		strbuf_printf(out, "the policy of %s %s", decision->chain->table->table->name,
			      decision->chain->chain->name);
		return;
	}
	strbuf_printf(out, "rule %u of %s %s: ", decision->rule->index, decision->chain->table->table->name,
		      decision->chain->chain->name);
	text_safe(out, decision->rule->text, false);
	if (decision->rule->origin.source)
		strbuf_printf(out, " [%s]", origin_format(&decision->rule->origin, source));
}

/* ---- one hook ---- */

static json_t *decision_json(const struct diff_decision *decision)
{
	char source[ORIGIN_TEXT_SIZE];
	json_t *json = json_pack("{s:b}", "passes", decision->passes);

	if (decision->chain) {
		json_object_set_new(json, "table", text_json(decision->chain->table->table->name));
		json_object_set_new(json, "chain", text_json(decision->chain->chain->name));
	}
	if (decision->rule) {
		json_object_set_new(json, "index", json_integer(decision->rule->index));
		json_object_set_new(json, "source", text_json(origin_format(&decision->rule->origin, source)));
		json_object_set_new(json, "text", text_json(decision->rule->text));
	}
	return json;
}

static json_t *class_json(const struct diff_hook *diff, const struct diff_class *class)
{
	json_t *fields = json_pack("{s:s}", "family", family_of(class) == AF_INET ? "ip" : "ip6");
	cleanup_strbuf struct strbuf text = {}, packet = {};
	struct packet witness = witness_packet(class);

	for (unsigned i = 0; i < PSET_FIELD_COUNT; i++) {
		cleanup_strbuf struct strbuf value = {};

		if (!is_asked(class, i) || assumed & PSET_BIT(i))
			continue;
		field_text(class, i, &value);
		json_object_set_new(fields, pset_field_name(i), text_json(value.text));
	}
	class_text(class, &text);
	packet_format(&witness, &packet);
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "change", kind_words[class->kind], "hook",
			 hook_name(diff->hook), "text", text_json(text.text), "fields", fields, "witness",
			 text_json(packet.text), "before", decision_json(&class->before), "after",
			 decision_json(&class->after));
}

json_t *diff_hooks_json(const struct diff_hook *const *diffs, size_t count)
{
	json_t *answer = json_pack("{s:[], s:[]}", "hooks", "changes");
	bool same = true, more = false;
	int unknown = 0;

	for (size_t i = 0; i < count; i++) {
		json_array_append_new(json_object_get(answer, "hooks"), json_string(hook_name(diffs[i]->hook)));
		for (size_t j = 0; j < diffs[i]->class_count; j++)
			json_array_append_new(json_object_get(answer, "changes"),
					      class_json(diffs[i], &diffs[i]->classes[j]));
		same = same && diffs[i]->class_count == 0;
		more = more || diffs[i]->more;
		unknown += diffs[i]->unknown;
	}
	json_object_set_new(answer, "same", json_boolean(same));
	json_object_set_new(answer, "more", json_boolean(more));
	json_object_set_new(answer, "unknown", json_integer(unknown));
	return answer;
}

static void put_title(enum diff_kind kind, const struct style *style, struct strbuf *out)
{
	strbuf_add(out, out->length ? "\n" : "");
	text_paint(out, style, colours[kind], titles[kind]);
	strbuf_add_char(out, '\n');
}

static void put_hook(const struct diff_hook *diff, const struct style *style, struct strbuf *out)
{
	for (size_t k = 0; k < KIND_COUNT; k++) {
		enum diff_kind kind = kinds[k];
		bool titled = false;

		for (size_t i = 0; i < diff->class_count; i++) {
			const struct diff_class *class = &diff->classes[i];
			struct packet witness = witness_packet(class);

			if (class->kind != kind)
				continue;
			if (!titled)
				put_title(kind, style, out);
			titled = true;
			strbuf_add(out, "  ");
			class_text(class, out);
			strbuf_add(out, "\n    for example ");
			packet_format(&witness, out);
			strbuf_add(out, "\n    before: ");
			decision_text(&class->before, out);
			strbuf_add(out, "\n    after:  ");
			decision_text(&class->after, out);
			strbuf_add_char(out, '\n');
		}
	}
	if (diff->more)
		strbuf_add(out, "\nThere is more than is shown; --proto and --port ask for less.\n");
}

/* What the packets of a hook are. */
static const char *hook_packets(enum hook hook)
{
	switch (hook) {
	case HOOK_FORWARD:
		return "Packets that pass through (hook forward)";
	case HOOK_INPUT:
		return "Packets for the host itself (hook input)";
	case HOOK_OUTPUT:
		return "Packets that the host sends (hook output)";
	case HOOK_PREROUTING:
		return "Packets that come in, before they are routed (hook prerouting)";
	case HOOK_POSTROUTING:
		return "Packets that leave, after they were routed (hook postrouting)";
	case HOOK_NONE:
	case HOOK_INGRESS:
	case HOOK_EGRESS:
	case HOOK_BROUTING:
		break;
	}
	return hook_name(hook);
}

static void put_same(const struct diff_hook *const *diffs, size_t count, struct strbuf *out)
{
	cleanup_strbuf struct strbuf same = {};
	size_t same_count = 0;
	bool unknown = false;

	for (size_t i = 0; i < count; i++) {
		unknown = unknown || diffs[i]->unknown;
		if (diffs[i]->class_count)
			continue;
		strbuf_printf(&same, "%s%s", same_count++ ? ", " : "", hook_name(diffs[i]->hook));
	}
	if (same_count == 0)
		return;
	strbuf_add(out, out->length ? "\n" : "");
	if (count == 1)
		strbuf_add(out, "Both let the same packets through");
	else if (same_count == count)
		strbuf_add(out, "Both let the same packets through, at every hook");
	else
		strbuf_printf(out, "The same packets get through at: %s", same.text);
	strbuf_add(out, unknown ? ", as far as is known.\n" : ".\n");
}

/* Nothing can be said of these, and nobody should take that for "the same". */
static void put_unknown_packets(const struct diff_hook *const *diffs, size_t count, struct strbuf *out)
{
	const struct diff_hook *first = NULL;
	cleanup_strbuf struct strbuf hooks = {};
	struct packet packet;

	for (size_t i = 0; i < count; i++) {
		if (!diffs[i]->unknown)
			continue;
		strbuf_printf(&hooks, "%s%s", first ? ", " : "", hook_name(diffs[i]->hook));
		first = first ? first : diffs[i];
	}
	if (!first)
		return;
	packet = packet_in(&first->unknown_witness);
	strbuf_printf(out,
		      "\nNot known of some packets in either, as what no packet shows decides (hook %s): for example ",
		      hooks.text);
	packet_format(&packet, out);
	strbuf_add(out, ".\n");
}

void diff_hooks_text(const struct diff_hook *const *diffs, size_t count, const struct style *style, struct strbuf *out)
{
	for (size_t i = 0; i < count; i++) {
		cleanup_strbuf struct strbuf changes = {};

		if (diffs[i]->class_count == 0)
			continue;
		put_hook(diffs[i], style, &changes);
		strbuf_add(out, out->length ? "\n" : "");
		if (count > 1) {
			text_paint(out, style, COLOUR_BOLD, hook_packets(diffs[i]->hook));
			strbuf_add(out, "\n\n");
		}
		strbuf_add(out, changes.text);
	}
	put_same(diffs, count, out);
	put_unknown_packets(diffs, count, out);
}

/* ---- all hosts ---- */

static json_t *change_json(const struct diff_change *change)
{
	char service[REACH_SERVICE_TEXT_SIZE];
	cleanup_strbuf struct strbuf packet = {};

	if (change->packet.family)
		packet_format(&change->packet, &packet);
	return json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o}", "change", kind_words[change->kind],
			 "family", change->family ? "ip6" : "ip", "from", text_json(change->from), "to",
			 text_json(change->to), "service", reach_service_text(&change->service, service), "was",
			 reach_verdict_word(change->before_verdict), "is", reach_verdict_word(change->after_verdict),
			 "witness", text_json(packet.text), "before", text_json(change->before), "after",
			 text_json(change->after));
}

static json_t *names_json(const char *const *names, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, text_json(names[i]));
	return list;
}

static bool is_same(const struct diff_lab *diff)
{
	return diff->change_count + diff->gone_count + diff->come_count == 0;
}

json_t *diff_lab_json(const struct diff_lab *diff)
{
	json_t *answer = json_pack("{s:b, s:[], s:b, s:o, s:o, s:i}", "same", is_same(diff), "changes", "more", false,
				   "gone", names_json(diff->gone, diff->gone_count), "come",
				   names_json(diff->come, diff->come_count), "unknown", (int)diff->unknown_count);

	for (size_t i = 0; i < diff->change_count; i++)
		json_array_append_new(json_object_get(answer, "changes"), change_json(&diff->changes[i]));
	return answer;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* The same change from the same end to the same one, for the same reasons: their services are told together. */
static bool is_like(const struct diff_change *one, const struct diff_change *other)
{
	return one->kind == other->kind && one->family == other->family && strcmp(one->from, other->from) == 0 &&
	       strcmp(one->to, other->to) == 0 && one->before_verdict == other->before_verdict &&
	       one->after_verdict == other->after_verdict && same_text(one->before, other->before) &&
	       same_text(one->after, other->after);
}

/* A change of one asker's; those of others that read the same go with it. */
struct told {
	const struct diff_change *change;
	struct strbuf what, why; /* behind who asks; what decided */
	bool done;
};

static void tell_change(const struct diff_lab *diff, size_t first, struct told *ret)
{
	const struct diff_change *change = &diff->changes[first];
	char service[REACH_SERVICE_TEXT_SIZE];

	ret->change = change;
	strbuf_add(&ret->what, " → ");
	text_safe(&ret->what, change->to, false);
	strbuf_add(&ret->what, change->family ? " (IPv6): " : ": ");
	for (size_t i = first; i < diff->change_count; i++)
		if (is_like(change, &diff->changes[i]))
			strbuf_printf(&ret->what, "%s%s", i == first ? "" : ", ",
				      reach_service_text(&diff->changes[i].service, service));
	strbuf_printf(&ret->what, " (%s, was %s)\n", reach_verdict_word(change->after_verdict),
		      reach_verdict_word(change->before_verdict));
	strbuf_add(&ret->why, "");
	if (!change->packet.family)
		return;
	strbuf_add(&ret->why, "    before: ");
	text_safe(&ret->why, change->before, false);
	strbuf_add(&ret->why, "\n    after:  ");
	text_safe(&ret->why, change->after, false);
	strbuf_add_char(&ret->why, '\n');
}

static bool reads_like(const struct told *one, const struct told *other)
{
	return strcmp(one->what.text, other->what.text) == 0 && strcmp(one->why.text, other->why.text) == 0;
}

/* The packet is that of the first of them; `verbose`: each has a line of its own. */
static void put_together(struct told *told, size_t count, bool verbose, struct strbuf *out)
{
	for (size_t i = 0; i < count; i++) {
		if (told[i].done)
			continue;
		strbuf_add(out, "  ");
		text_safe(out, told[i].change->from, false);
		for (size_t j = i + 1; j < count && !verbose; j++) {
			if (told[j].done || !reads_like(&told[i], &told[j]))
				continue;
			strbuf_add(out, ", ");
			text_safe(out, told[j].change->from, false);
			told[j].done = true;
		}
		strbuf_add(out, told[i].what.text);
		if (told[i].change->packet.family) {
			strbuf_add(out, "    for example ");
			packet_format(&told[i].change->packet, out);
			strbuf_add_char(out, '\n');
		}
		strbuf_add(out, told[i].why.text);
	}
}

static void put_hosts(const char *const *names, size_t count, const char *title, struct strbuf *out)
{
	for (size_t i = 0; i < count; i++) {
		strbuf_add(out, i ? ", " : title);
		text_safe(out, names[i], false);
	}
	strbuf_add(out, count ? "\n" : "");
}

static void put_kind(const struct diff_lab *diff, enum diff_kind kind, const struct style *style, bool verbose,
		     struct strbuf *out)
{
	struct told *told = calloc(diff->change_count + 1, sizeof(*told));
	size_t count = 0;

	if (!told)
		abort();
	for (size_t i = 0; i < diff->change_count; i++) {
		bool known = diff->changes[i].kind != kind;

		for (size_t j = 0; j < i && !known; j++)
			known = is_like(&diff->changes[i], &diff->changes[j]);
		if (known)
			continue;
		tell_change(diff, i, &told[count++]);
	}
	if (count)
		put_title(kind, style, out);
	put_together(told, count, verbose, out);
	for (size_t i = 0; i < count; i++) {
		strbuf_freep(&told[i].what);
		strbuf_freep(&told[i].why);
	}
	free(told);
}

/* Nothing can be said of these, and nobody should take that for "the same". */
static void put_unknown(const struct diff_lab *diff, struct strbuf *out)
{
	char service[REACH_SERVICE_TEXT_SIZE];

	if (!diff->unknown_count)
		return;
	strbuf_add(out, "\nNot known of either: ");
	text_safe(out, diff->unknown.from, false);
	strbuf_add(out, " → ");
	text_safe(out, diff->unknown.to, false);
	strbuf_printf(out, "%s: %s", diff->unknown.family ? " (IPv6)" : "",
		      reach_service_text(&diff->unknown.service, service));
	if (diff->unknown_count > 1)
		strbuf_printf(out, " and %zu more question%s", diff->unknown_count - 1,
			      diff->unknown_count == 2 ? "" : "s");
	strbuf_add(out, "; `nestvisor reach` says what each depends on.\n");
}

void diff_lab_text(const struct diff_lab *diff, const struct style *style, bool verbose, struct strbuf *out)
{
	for (size_t k = 0; k < KIND_COUNT; k++)
		put_kind(diff, kinds[k], style, verbose, out);
	put_hosts(diff->gone, diff->gone_count, "\nHosts that are gone: ", out);
	put_hosts(diff->come, diff->come_count, "\nHosts that have come: ", out);
	if (is_same(diff))
		strbuf_add(out, diff->unknown_count ? "Who reaches whom is the same, as far as is known.\n"
						    : "Who reaches whom is the same.\n");
	put_unknown(diff, out);
}
