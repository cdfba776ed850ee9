/*
 * One hook in two sets of facts: both are functions over the same space, so what differs is a set. It is told as boxes:
 * from a packet of it each field is given all values, one field after the other, with which all of the box is in the
 * set.
 */
#include "verify/diff.h"

#include "base/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INTERVALS = 4096 }; /* of one field, that anybody might read */

struct side {
	const struct stack_host *host;
	struct chains *chains;
	const struct stack_hook *hook;
	struct bounds accepted;
};

struct differing {
	const struct diff_hook_question *question;
	struct space *space;
	struct diff_hook *diff;
	struct side before, after;
	pset asked;
};

/* ---- what is asked ---- */

static pset asked_of(struct space *space, const struct diff_hook_question *question, enum stack_family family)
{
	pset set = pset_kind(space, PSET_FAMILY, family == STACK_IP4 ? PSET_IP4 : PSET_IP6), ports = PSET_EMPTY;
	pset syn = pset_or(space, pset_not(space, pset_value(space, PSET_PROTOCOL, PROTOCOL_TCP)),
			   pset_value(space, PSET_TCP_FLAGS, TCP_SYN));

	set = pset_and(space, set, pset_kind(space, PSET_STATE, PSET_NEW));
	set = pset_and(space, set, pset_kind(space, PSET_FRAGMENT, PSET_WHOLE));
	set = pset_and(space, set, pset_value(space, PSET_DIRECTION, 0));
	set = pset_and(space, set, syn);
	if (question->protocol >= 0)
		set = pset_and(space, set, pset_value(space, PSET_PROTOCOL, (wide)question->protocol));
	for (size_t i = 0; i < question->port_count; i++)
		ports = pset_or(space, ports, pset_value(space, PSET_DPORT, question->ports[i]));
	return question->port_count ? pset_and(space, set, ports) : set;
}

static void look_at(struct differing *differing, struct side *side, enum stack_family family)
{
	side->hook = &side->host->hooks[family][differing->question->hook];
	side->accepted = bounds_exactly(PSET_FULL);
	if (side->hook->count)
		side->accepted = chains_bounds(side->chains, chains_hook(side->chains, side->hook),
					       END_BIT(END_ACCEPT) | END_BIT(END_CONTINUE));
}

/* ---- one box ---- */

static pset field_set(struct space *space, const struct diff_class *class, enum pset_field field, pset_fields done)
{
	if (done & PSET_BIT(field))
		return class->box[field].all;
	return pset_value(space, field, class->witness.fields[field]);
}

/* All values of a field with which no packet of `outside` is in the box. */
static struct diff_values widen(struct differing *differing, const struct diff_class *class, pset outside,
				enum pset_field field, pset_fields done)
{
	struct space *space = differing->space;
	struct diff_values values = {};
	struct interval *found;
	size_t count;

	for (unsigned i = 0; i < PSET_FIELD_COUNT; i++)
		if (i != field && class->fields & PSET_BIT(i))
			outside = pset_and(space, outside, field_set(space, class, i, done));
	outside = pset_forget(space, outside, ~PSET_BIT(field));
	values.all = pset_not(space, outside);
	if (!pset_project_few(space, values.all, field, MOST_INTERVALS, &found, &count)) {
		wide value = class->witness.fields[field];

		*arena_push(differing->diff->arena, values.items, values.count) = (struct interval){value, value};
		values.more = true;
		return values;
	}
	for (size_t i = 0; i < count; i++)
		*arena_push(differing->diff->arena, values.items, values.count) = found[i];
	free(found);
	return values;
}

/* What people ask for last stays narrow longest: the port, then who to whom. */
static void widen_all(struct differing *differing, struct diff_class *class, pset set)
{
	static const enum pset_field last[] = {PSET_SPORT, PSET_SADDR, PSET_DADDR, PSET_DPORT, PSET_PROTOCOL};
	pset outside = pset_not(differing->space, set);
	pset_fields late = 0, done = 0;

	class->fields = pset_support(differing->space, set);
	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++)
		late |= PSET_BIT(last[i]);
	for (unsigned i = 0; i < PSET_FIELD_COUNT; i++)
		if (class->fields & PSET_BIT(i) && !(late & PSET_BIT(i))) {
			class->box[i] = widen(differing, class, outside, i, done);
			done |= PSET_BIT(i);
		}
	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++)
		if (class->fields & PSET_BIT(last[i])) {
			class->box[last[i]] = widen(differing, class, outside, last[i], done);
			done |= PSET_BIT(last[i]);
		}
}

static pset box_set(struct space *space, const struct diff_class *class)
{
	pset set = PSET_FULL;

	for (unsigned i = PSET_FIELD_COUNT; i-- > 0;)
		if (class->fields & PSET_BIT(i))
			set = pset_and(space, field_set(space, class, i, class->fields), set);
	return set;
}

/* ---- which rules ---- */

static pset exactly(struct space *space, const struct packet_values *packet)
{
	pset set = PSET_FULL;

	for (unsigned i = PSET_FIELD_COUNT; i-- > 0;)
		set = pset_and(space, pset_value(space, i, packet->fields[i]), set);
	return set;
}

static void note_first(void *context, const struct met_rule *met)
{
	struct diff_decision *decision = context;

	if (decision->chain)
		return;
	decision->chain = met->chain;
	decision->rule = met->rule;
}

static struct diff_decision decision_in(const struct side *side, size_t chain, pset set, unsigned kinds)
{
	struct diff_decision decision = {};

	chains_deciding(side->chains, side->hook->chains[chain], set, kinds, note_first, &decision);
	return decision;
}

/* The first chain that stops the packet; else what lets it through: the last rule that does, or a policy. */
static struct diff_decision decision_of(struct space *space, const struct side *side,
					const struct packet_values *packet)
{
	pset set = exactly(space, packet);
	struct diff_decision decision = {}, policy = {};

	for (size_t i = 0; i < side->hook->count && !decision.chain; i++)
		decision = decision_in(side, i, set, END_BIT(END_DROP) | END_BIT(END_REJECT));
	if (decision.chain)
		return decision;
	for (size_t i = side->hook->count; i-- > 0 && !decision.rule;) {
		decision = decision_in(side, i, set, END_BIT(END_ACCEPT));
		if (side->hook->chains[i]->chain->type != CHAIN_NAT && !policy.chain)
			policy = decision;
	}
	decision = decision.rule ? decision : policy;
	decision.passes = true;
	return decision;
}

/* ---- all of it ---- */

static void add_classes(struct differing *differing, pset set, enum diff_kind kind)
{
	struct diff_hook *diff = differing->diff;
	struct space *space = differing->space;

	for (size_t i = 0; !pset_is_empty(set); i++) {
		struct diff_class class = {.kind = kind};

		if (i == DIFF_CLASSES) {
			diff->more = true;
			return;
		}
		if (!pset_pick(space, set, &class.witness) || space_check(space, NULL) < 0)
			return;
		widen_all(differing, &class, set);
		class.before = decision_of(space, &differing->before, &class.witness);
		class.after = decision_of(space, &differing->after, &class.witness);
		set = pset_minus(space, set, box_set(space, &class));
		*arena_push(diff->arena, diff->classes, diff->class_count) = class;
	}
}

static void note_unknown(struct differing *differing, struct bounds before, struct bounds after)
{
	struct space *space = differing->space;
	pset unknown =
		pset_and(space, pset_minus(space, before.may, before.must), pset_minus(space, after.may, after.must));

	if (!differing->diff->unknown)
		differing->diff->unknown =
			pset_pick(space, pset_and(space, differing->asked, unknown), &differing->diff->unknown_witness);
}

static void compare(struct differing *differing, enum stack_family family)
{
	struct space *space = differing->space;
	struct bounds before, after;
	pset opens, closes, unclear;

	look_at(differing, &differing->before, family);
	look_at(differing, &differing->after, family);
	before = differing->before.accepted;
	after = differing->after.accepted;
	differing->asked = asked_of(space, differing->question, family);
	opens = pset_and(space, differing->asked, pset_minus(space, after.must, before.may));
	closes = pset_and(space, differing->asked, pset_minus(space, before.must, after.may));
	/* what is not decided of both in the same way */
	unclear = pset_or(space, pset_minus(space, after.may, before.may), pset_minus(space, before.may, after.may));
	unclear = pset_or(space, unclear, pset_minus(space, after.must, before.must));
	unclear = pset_or(space, unclear, pset_minus(space, before.must, after.must));
	unclear = pset_minus(space, pset_and(space, differing->asked, unclear), pset_or(space, opens, closes));
	note_unknown(differing, before, after);
	add_classes(differing, opens, DIFF_OPENS);
	add_classes(differing, closes, DIFF_CLOSES);
	add_classes(differing, unclear, DIFF_UNCLEAR);
}

int diff_hook_new(const struct diff_hook_question *question, struct diff_hook **ret, struct error **err)
{
	cleanup_space struct space *space = pset_space_new(question->memory, err);
	cleanup_chains struct chains *before = NULL, *after = NULL;
	cleanup_diff_hook struct diff_hook *diff = calloc(1, sizeof(*diff));
	struct differing differing = {question, space, diff, {.host = question->before}, {.host = question->after}, 0};

	if (!diff)
		abort();
	if (!space)
		return -ENOMEM;
	diff->arena = arena_new();
	diff->hook = question->hook;
	differing.before.chains = before = chains_new(space, question->before, NULL, NULL);
	differing.after.chains = after = chains_new(space, question->after, NULL, NULL);
	compare(&differing, STACK_IP4);
	compare(&differing, STACK_IP6);
	if (space_check(space, err) < 0)
		return -E2BIG;
	*ret = diff;
	diff = NULL;
	return 0;
}

void diff_hook_free(struct diff_hook *diff)
{
	if (!diff)
		return;
	arena_free(diff->arena);
	free(diff);
}
