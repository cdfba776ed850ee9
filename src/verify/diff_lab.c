/*
 * Two matrices of who reaches whom, question by question. Of each that differs, and of those that only some packets
 * pass in both, a packet is looked for that gets through in one of the two only; the interpreter tells what decided.
 */
#include "verify/diff_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "verify/batch.h"
#include "verify/ends.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MOST_EXPLAINED = 2000, SOME_PORT = 40000 };

struct comparing {
	const struct reach_lab *before, *after;
	struct diff_lab *diff;
	struct diff_sets *sets;
	size_t explained;
};

static const char *name_of(const struct reach_lab *lab, size_t node)
{
	return lab->nodes[node].host ? lab->nodes[node].host->name : "world";
}

/* SIZE_MAX: there is none. */
static size_t node_called(const struct reach_lab *lab, const struct reach_lab *other, size_t node)
{
	const struct stack_host *host = other->nodes[node].host;

	if (!host)
		return lab->node_count - 1;
	host = stack_host(lab->stack, host->name);
	return host ? host->number : SIZE_MAX;
}

/* ---- what is asked ---- */

/* Two ends and a service, in both. */
struct pair {
	int family;
	size_t from[2], to[2]; /* before, after */
	size_t service;
};

static const struct reach_lab *lab_of(const struct comparing *comparing, int side)
{
	return side ? comparing->after : comparing->before;
}

/* Of several addresses of a host the one that is reached where more gets through. */
static const char *address_of(const struct comparing *comparing, const struct pair *pair, enum diff_kind kind,
			      char ret[IP_TEXT_SIZE])
{
	int side = kind == DIFF_CLOSES ? 0 : 1;
	const struct reach_lab *lab = lab_of(comparing, side);
	const struct reach_node *target = &lab->nodes[pair->to[side]];
	const struct reach_cell *cell;

	if (!target->host || !target->address_counts[pair->family])
		return pair->family ? "2001:4860:4860::8888" : "8.8.8.8";
	cell = reach_lab_cell(lab, pair->family, pair->from[side], pair->to[side], pair->service);
	return ip_format(&target->addresses[pair->family][cell->address], ret);
}

static bool ask(const struct comparing *comparing, const struct pair *pair, enum diff_kind kind, struct diff_asked *ret)
{
	const struct reach_service *service = &comparing->after->services[pair->service];
	char address[IP_TEXT_SIZE];

	*ret = (struct diff_asked){.any_port = !service->has_port};
	for (int side = 0; side < 2; side++) {
		const struct reach_lab *lab = lab_of(comparing, side);
		struct question *question = &ret->questions[side];
		struct ends ends = {.from = name_of(lab, pair->from[side]),
				    .to = address_of(comparing, pair, kind, address)};
		struct stack_host *owner;

		if (!lab->tables[pair->family].present || ends_resolve(lab->stack, &ends, question, &owner, NULL) < 0)
			return false;
		ret->meant[side] = lab->nodes[pair->to[side]].host;
		ret->from_world = !lab->nodes[pair->from[side]].host;
		question->packet.protocol =
			service->protocol == PROTOCOL_ICMP && pair->family ? PROTOCOL_ICMPV6 : service->protocol;
		question->packet.dport = port_of(service->port);
		question->packet.sport = port_of(SOME_PORT);
		question_complete(question, true, service->has_port, false, false);
	}
	return true;
}

/* ---- what decided ---- */

static const char *rule_text(struct arena *arena, const char *what, const struct stack_chain *chain,
			     const struct rule *rule)
{
	const char *table = chain->table->table->name, *host = chain->table->host->name;

	if (!rule)
		return arena_printf(arena, "%s by the policy of %s %s at %s", what, table, chain->chain->name, host);
	return arena_printf(arena, "%s by rule %u of %s %s at %s: %s", what, rule->index, table, chain->chain->name,
			    host, rule->text);
}

/* What let it pass where the other one stopped it; else that it arrived. */
static const char *passed_by(struct arena *arena, const struct answer *answer, const struct answer *stopped)
{
	for (size_t i = answer->step_count; i-- > 0;) {
		const struct step *step = &answer->steps[i];

		if ((step->kind == STEP_RULE || step->kind == STEP_POLICY) && step->chain && stopped->chain &&
		    step->hook == stopped->hook && step->effect && strncmp(step->effect, "accept", 6) == 0 &&
		    strcmp(step->host->name, stopped->where->name) == 0)
			return rule_text(arena, "accepted", step->chain, step->rule);
	}
	return arena_printf(arena, "delivered at %s", answer->where->name);
}

static const char *stopped_by(struct arena *arena, const struct answer *answer)
{
	if (answer->chain)
		return rule_text(arena, fate_word(answer->fate), answer->chain, answer->rule);
	if (answer->reason_text)
		return arena_printf(arena, "%s at %s: %s", fate_word(answer->fate), answer->where->name,
				    answer->reason_text);
	return arena_printf(arena, "%s at %s", fate_word(answer->fate), answer->where->name);
}

static void tell(struct comparing *comparing, struct diff_change *change, const struct packet *packet,
		 const struct answer *was, const struct answer *is)
{
	struct arena *arena = comparing->diff->arena;

	change->packet = *packet;
	if (!change->packet.src.family)
		change->packet.src = is->source.family ? is->source : was->source;
	change->before = was->fate == FATE_DELIVERED ? passed_by(arena, was, is) : stopped_by(arena, was);
	change->after = is->fate == FATE_DELIVERED ? passed_by(arena, is, was) : stopped_by(arena, is);
}

/* The packet has to show what changed. */
static bool explain_by(struct comparing *comparing, struct diff_change *change, const struct diff_asked *asked,
		       const struct packet *packet)
{
	cleanup_arena struct arena *arena = arena_new();
	struct question before = asked->questions[0], after = asked->questions[1];
	const struct answer *was, *is;

	if (packet)
		before.packet = after.packet = *packet;
	was = walk_ask(comparing->before->stack, &before, 0, arena);
	is = walk_ask(comparing->after->stack, &after, 0, arena);
	if (!diff_shows(change->kind, was, is, asked->meant))
		return false;
	tell(comparing, change, &after.packet, was, is);
	return true;
}

/* Mostly the usual packet shows it. False: no packet was found that does. */
static bool explain(struct comparing *comparing, const struct pair *pair, struct diff_change *change, bool usual)
{
	struct diff_asked asked;
	struct packet packet;

	if (comparing->explained == MOST_EXPLAINED || !ask(comparing, pair, change->kind, &asked))
		return false;
	comparing->explained++;
	if (usual && !asked.any_port && explain_by(comparing, change, &asked, NULL))
		return true;
	return diff_sets_find(comparing->sets, &asked, change->kind, &packet) &&
	       explain_by(comparing, change, &asked, &packet);
}

/* ---- questions ---- */

static unsigned openness(enum reach_verdict verdict)
{
	return verdict == REACH_ALLOWED ? 2 : verdict == REACH_PARTLY ? 1 : 0;
}

static enum diff_kind kind_of(enum reach_verdict before, enum reach_verdict after)
{
	if (before == REACH_UNKNOWN || after == REACH_UNKNOWN)
		return DIFF_UNCLEAR;
	return openness(after) > openness(before) ? DIFF_OPENS : DIFF_CLOSES;
}

/* Who has no address of a family is not reached by it. */
static enum reach_verdict verdict_of(const struct reach_lab *lab, const struct pair *pair, int side)
{
	enum reach_verdict verdict = REACH_NONE;

	if (lab->tables[pair->family].present)
		verdict = reach_lab_cell(lab, pair->family, pair->from[side], pair->to[side], pair->service)->verdict;
	return verdict == REACH_NONE ? REACH_BLOCKED : verdict;
}

static struct diff_change change_of(const struct comparing *comparing, const struct pair *pair, enum diff_kind kind)
{
	struct arena *arena = comparing->diff->arena;

	return (struct diff_change){.kind = kind,
				    .family = pair->family,
				    .from = arena_strdup(arena, name_of(comparing->after, pair->from[1])),
				    .to = arena_strdup(arena, name_of(comparing->after, pair->to[1])),
				    .service = comparing->after->services[pair->service]};
}

static void add_change(struct comparing *comparing, struct diff_change change, enum reach_verdict was,
		       enum reach_verdict is)
{
	struct diff_lab *diff = comparing->diff;

	change.before_verdict = was;
	change.after_verdict = is;
	*arena_push(diff->arena, diff->changes, diff->change_count) = change;
}

/* Some packets pass in both: are they the same? */
static void compare_parts(struct comparing *comparing, const struct pair *pair)
{
	static const enum diff_kind kinds[] = {DIFF_OPENS, DIFF_CLOSES};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct diff_change change = change_of(comparing, pair, kinds[i]);

		if (explain(comparing, pair, &change, false))
			add_change(comparing, change, REACH_PARTLY, REACH_PARTLY);
	}
}

static void compare_cell(struct comparing *comparing, const struct pair *pair)
{
	enum reach_verdict was = verdict_of(comparing->before, pair, 0), is = verdict_of(comparing->after, pair, 1);
	struct diff_lab *diff = comparing->diff;
	struct diff_change change;

	if (was == REACH_UNKNOWN && is == REACH_UNKNOWN) {
		if (diff->unknown_count++ == 0)
			diff->unknown = change_of(comparing, pair, DIFF_UNCLEAR);
		return;
	}
	if (was == REACH_PARTLY && is == REACH_PARTLY)
		compare_parts(comparing, pair);
	if (was == is)
		return;
	change = change_of(comparing, pair, kind_of(was, is));
	explain(comparing, pair, &change, true);
	add_change(comparing, change, was, is);
}

static void compare_from(struct comparing *comparing, int family, size_t before, size_t after)
{
	for (size_t to = 0; to < comparing->after->node_count; to++) {
		size_t old_to = node_called(comparing->before, comparing->after, to);

		if (old_to == SIZE_MAX || to == after)
			continue;
		for (size_t service = 0; service < comparing->after->service_count; service++)
			compare_cell(comparing, &(struct pair){family, {before, after}, {old_to, to}, service});
	}
}

static size_t only_in(struct diff_lab *diff, const struct reach_lab *lab, const struct reach_lab *other,
		      const char ***ret)
{
	size_t count = 0;

	for (size_t i = 0; i < lab->node_count; i++)
		if (node_called(other, lab, i) == SIZE_MAX)
			*arena_push(diff->arena, *ret, count) = arena_strdup(diff->arena, name_of(lab, i));
	return count;
}

struct diff_lab *diff_lab_new(const struct reach_lab *before, const struct reach_lab *after, size_t memory)
{
	struct diff_lab *diff = calloc(1, sizeof(*diff));
	struct comparing comparing = {before, after, diff, .sets = diff_sets_new(before->stack, after->stack, memory)};

	if (!diff)
		abort();
	diff->arena = arena_new();
	diff->gone_count = only_in(diff, before, after, &diff->gone);
	diff->come_count = only_in(diff, after, before, &diff->come);
	for (int family = 0; family < 2; family++)
		for (size_t from = 0; from < after->node_count; from++) {
			size_t old = node_called(before, after, from);

			if (old != SIZE_MAX)
				compare_from(&comparing, family, old, from);
		}
	diff_sets_free(comparing.sets);
	return diff;
}

void diff_lab_free(struct diff_lab *diff)
{
	if (!diff)
		return;
	arena_free(diff->arena);
	free(diff);
}
