/*
 * Packets of connections that were there before. What their connection began with, and under which rules, is not known;
 * so this is an upper bound:
 *
 * - at every host they are in any state, with any mark of the connection and any first packet; only their direction
 *   stays what it was;
 * - where the kernel translates they stay as they are, or are translated as the nat chains that are there now would do
 *   with a first packet, or as the answer to such a one: what was translated to is turned back into whatever the rule
 *   would have translated, as far as addresses and ports tell;
 * - connections in a flowtable pass by the rules of the forward hook: their packets end as unknown there.
 *
 * Packets that come to a place where others of the question came before go no further: spread_origin() knows those
 * others only.
 *
 * It does not hold for connections that were translated by rules which are gone since. Where a host's table was asked,
 * there is more to go by: spread_table.c.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <string.h>

struct gathering {
	struct spread *spread;
	const struct stream *stream;
	struct changes changes;
};

bool spread_is_known(const struct stream *stream)
{
	return stream->state == PSET_ESTABLISHED;
}

pset spread_entered_known(struct spread *spread, pset set)
{
	static const pset_fields forgotten = PSET_BIT(PSET_CT_SADDR) | PSET_BIT(PSET_CT_DADDR) |
					     PSET_BIT(PSET_CT_SPORT) | PSET_BIT(PSET_CT_DPORT) |
					     PSET_BIT(PSET_CT_MARK) | PSET_BIT(PSET_STATUS) | PSET_BIT(PSET_STATE);

	set = pset_forget(spread->space, set, forgotten);
	return pset_minus(spread->space, set, pset_kind(spread->space, PSET_STATE, PSET_UNTRACKED));
}

/* A place, and all that came to it. */
struct visit {
	const struct stack_link *iif, *in_port;
	enum stack_family family;
	unsigned fragment;
	bool prerouted;
	pset packets;
};

static bool is_at(const struct visit *visit, const struct stream *stream)
{
	return visit->iif == stream->iif && visit->in_port == stream->in_port && visit->family == stream->family &&
	       visit->fragment == stream->fragment && visit->prerouted == stream->prerouted;
}

void spread_visit_known(struct spread *spread, struct stream *stream)
{
	struct visit *visit = NULL;
	pset came = stream->packets.may;

	for (size_t i = 0; i < spread->visit_count && !visit; i++)
		if (is_at(&spread->visits[i], stream))
			visit = &spread->visits[i];
	if (!visit) {
		visit = arena_push(spread->arena, spread->visits, spread->visit_count);
		*visit = (struct visit){stream->iif,	  stream->in_port,   stream->family,
					stream->fragment, stream->prerouted, PSET_EMPTY};
	}
	stream->packets.may = pset_minus(spread->space, came, visit->packets);
	visit->packets = pset_or(spread->space, visit->packets, came);
}

static bool is_source_hook(enum hook hook)
{
	return hook == HOOK_POSTROUTING || hook == HOOK_INPUT;
}

static const struct stack_hook *hook_of(const struct stream *stream, enum hook hook)
{
	return &stream->host->hooks[stream->family][hook];
}

/* ---- as a first packet ---- */

static void add_stream(struct spread *spread, struct changes *changes, const struct stream *before,
		       const struct stream *after)
{
	struct change change = {
		.before = before->packets, .after = after->packets, .inner = after->passage, .outer = before->passage};

	spread_add_change(spread, changes, &change);
}

static void translate_as_first(struct gathering *gathering, enum hook hook)
{
	const struct stack_hook *chains = hook_of(gathering->stream, hook);
	struct stream original = *gathering->stream;

	original.packets.may = pset_and(gathering->spread->space, original.packets.may,
					pset_value(gathering->spread->space, PSET_DIRECTION, 0));
	for (size_t i = 0; i < chains->count; i++) {
		struct stream rest, translated;

		if (chains->chains[i]->chain->type != CHAIN_NAT)
			continue;
		spread_run_nat(gathering->spread, &original, chains->chains[i], &rest, &translated);
		add_stream(gathering->spread, &gathering->changes, &original, &translated);
	}
}

/*
 * Where the table was told, what is in none of its entries is a first packet, and goes through the chains as such: one
 * after the other, until one translates it. The others stay; `*ret_rest` are these.
 */
static void translate_first_ones(struct gathering *gathering, enum hook hook, struct stream *ret_rest)
{
	const struct stack_hook *chains = hook_of(gathering->stream, hook);
	const struct stream original = *ret_rest;

	for (size_t i = 0; i < chains->count && !bounds_are_empty(ret_rest->packets); i++) {
		struct stream asked = *ret_rest, translated;

		if (chains->chains[i]->chain->type != CHAIN_NAT)
			continue;
		spread_run_nat(gathering->spread, &asked, chains->chains[i], ret_rest, &translated);
		add_stream(gathering->spread, &gathering->changes, &original, &translated);
	}
}

/* ---- as an answer ---- */

struct turning {
	struct gathering *gathering;
	bool source; /* which statements */
};

/* A statement that translates the source of first packets changes the destination of answers, and the other way round.
 */
static void turn_back(void *data, const struct nat *nat, bool source, pset first)
{
	const struct turning *turning = data;
	struct gathering *gathering = turning->gathering;
	struct spread *spread = gathering->spread;
	struct space *space = spread->space;
	const struct stream *stream = gathering->stream;
	struct nat_range range;
	pset_fields fields = PSET_BIT(source ? PSET_DPORT : PSET_SPORT);
	struct change change = {.before = {PSET_EMPTY, PSET_EMPTY}, .after = {PSET_EMPTY, PSET_EMPTY}};

	if (source != turning->source)
		return;
	/* what is said of the source of first packets is looked for in the destination of answers */
	range = spread_nat_range(spread, stream->host, stream->family, nat, !source);
	if (range.moves_address)
		fields |= PSET_BIT(source ? PSET_DADDR : PSET_SADDR);
	change.renewed = fields;
	change.before.may = pset_and(space, stream->packets.may, pset_value(space, PSET_DIRECTION, 1));
	change.before.may = pset_and(space, change.before.may, pset_and(space, range.address, range.port));
	change.after.may =
		pset_and(space, pset_forget(space, change.before.may, fields), spread_answers_to(space, first));
	if (!pset_is_empty(change.before.may))
		spread_add_change(spread, &gathering->changes, &change);
}

static void translate_as_answer(struct gathering *gathering, enum hook hook)
{
	const struct stack_hook *chains = hook_of(gathering->stream, hook);
	struct turning turning = {gathering, is_source_hook(hook)};

	for (size_t i = 0; i < chains->count; i++)
		if (chains->chains[i]->chain->type == CHAIN_NAT)
			spread_each_nat(gathering->spread, gathering->stream->host, chains->chains[i], turn_back,
					&turning);
}

/* ---- both ---- */

static void become(struct spread *spread, struct stream *stream, const struct changes *changes)
{
	stream->packets = (struct bounds){PSET_EMPTY, PSET_EMPTY};
	for (size_t i = 0; i < changes->count; i++)
		stream->packets = bounds_or(spread->space, stream->packets, changes->items[i].after);
	spread_pass(spread, stream, changes->items, changes->count);
}

/* Of first packets that no chain has translated. */
static void change_ports(struct spread *spread, struct stream *stream)
{
	struct change same = {.before = stream->packets, .after = stream->packets};
	struct changes changes = {};

	spread_change_ports(spread, stream, true, &changes);
	if (changes.count == 0)
		return;
	spread_add_change(spread, &changes, &same);
	become(spread, stream, &changes);
}

/* Where the table was told: of what is in it the entries say how. `*kept`: what rules did to those that no rule
 * translated. Returns those that nothing was done to. */
static struct bounds translate_told(struct gathering *gathering, enum hook hook, struct changes *kept)
{
	struct spread *spread = gathering->spread;
	struct space *space = spread->space;
	const struct stream *stream = gathering->stream;
	pset first = pset_and(space, spread_first_ones(spread), pset_value(space, PSET_DIRECTION, 0));
	pset told = spread_translate_told(spread, stream, is_source_hook(hook), &gathering->changes);
	struct bounds same = bounds_out(space, stream->packets, pset_or(space, first, told));
	struct stream original = *stream, rest;

	original.packets = bounds_in(space, original.packets, first);
	rest = original;
	translate_first_ones(gathering, hook, &rest);
	if (is_source_hook(hook))
		change_ports(spread, &rest);
	if (rest.passage == stream->passage)
		return bounds_or(space, same, rest.packets);
	add_stream(spread, kept, &original, &rest);
	return same;
}

static void translate_any(struct gathering *gathering, enum hook hook)
{
	translate_as_first(gathering, hook);
	translate_as_answer(gathering, is_source_hook(hook) ? HOOK_PREROUTING : HOOK_POSTROUTING);
	translate_as_answer(gathering, is_source_hook(hook) ? HOOK_OUTPUT : HOOK_INPUT);
	spread_change_ports(gathering->spread, gathering->stream, is_source_hook(hook), &gathering->changes);
}

void spread_translate_known(struct spread *spread, struct stream *stream, enum hook hook, struct stream *ret_again)
{
	struct gathering gathering = {.spread = spread, .stream = stream};
	struct change same = {.before = stream->packets, .after = stream->packets};
	struct changes kept = {};

	if (spread_is_told(spread, stream->host))
		same.before = same.after = translate_told(&gathering, hook, &kept);
	else
		translate_any(&gathering, hook);
	if (ret_again) {
		*ret_again = *stream;
		become(spread, ret_again, &gathering.changes);
	} else {
		for (size_t i = 0; i < gathering.changes.count; i++)
			spread_add_change(spread, &kept, &gathering.changes.items[i]);
	}
	if (kept.count == 0) {
		stream->packets = same.after;
		return;
	}
	spread_add_change(spread, &kept, &same);
	become(spread, stream, &kept);
}

static bool offers(const struct rule *rule)
{
	for (size_t i = 0; i < rule->statement_count; i++)
		if (rule->statements[i].kind == STATEMENT_DIVERT &&
		    strcmp(rule->statements[i].action.name, "flow") == 0)
			return true;
	return false;
}

bool spread_offloads(const struct stack_host *host, enum stack_family family)
{
	const struct stack_hook *chains = &host->hooks[family][HOOK_FORWARD];

	for (size_t i = 0; i < chains->count; i++) {
		const struct stack_table *table = chains->chains[i]->table;

		for (size_t j = 0; j < table->chain_count; j++)
			for (size_t k = 0; k < table->chains[j].chain->rule_count; k++)
				if (offers(&table->chains[j].chain->rules[k]))
					return true;
	}
	return false;
}
