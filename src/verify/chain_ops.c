/* Functions to outcomes, put together: one after the other, one or the other, one where a condition holds. */
#include "verify/chain_internal.h"

#include "base/arena.h"
#include "verify/effect.h"

#include <stdlib.h>

struct continuing {
	struct outcomes *outcomes;
	struct end end;
};

static bool shortcut_then(void *context, diagram a, diagram b, diagram *ret)
{
	const struct continuing *continuing = context;

	if (a == diagram_of(OUTCOME_CONTINUE) && continuing->end.kind == END_CONTINUE && !continuing->end.effect) {
		*ret = b;
		return true;
	}
	if (!diagram_is_number(a))
		return false;
	if (diagram_is_number(b))
		*ret = diagram_of(
			outcome_then(continuing->outcomes, diagram_number(a), continuing->end, diagram_number(b)));
	else if (!(outcome_kinds(continuing->outcomes, diagram_number(a)) & END_BIT(continuing->end.kind)))
		*ret = a;
	else
		return false;
	return true;
}

static bool shortcut_either(void *context, diagram a, diagram b, diagram *ret)
{
	if (a == b || b == diagram_of(OUTCOME_NOTHING))
		*ret = a;
	else if (a == diagram_of(OUTCOME_NOTHING))
		*ret = b;
	else if (diagram_is_number(a) && diagram_is_number(b))
		*ret = diagram_of(outcome_either(context, diagram_number(a), diagram_number(b)));
	else
		return false;
	return true;
}

/* The second for packets of the first, a set; no packet else. */
static bool shortcut_only(void *context, diagram a, diagram b, diagram *ret)
{
	if (a == PSET_FULL)
		*ret = b;
	else if (a == PSET_EMPTY || b == diagram_of(OUTCOME_NOTHING))
		*ret = diagram_of(OUTCOME_NOTHING);
	else
		return false;
	return true;
}

/* How a condition stands: it does not hold, it does, or that cannot be decided. */
enum holds {
	HOLDS_NOT,
	HOLDS,
	HOLDS_PERHAPS,
};

/* The second where the first holds, else on with the next rule. */
static bool shortcut_guard(void *context, diagram a, diagram b, diagram *ret)
{
	if (a == diagram_of(HOLDS))
		*ret = b;
	else if (a == diagram_of(HOLDS_NOT) || b == diagram_of(OUTCOME_CONTINUE))
		*ret = diagram_of(OUTCOME_CONTINUE);
	else if (diagram_is_number(a) && diagram_is_number(b))
		*ret = diagram_of(outcome_either(context, OUTCOME_CONTINUE, diagram_number(b)));
	else
		return false;
	return true;
}

static bool shortcut_perhaps(void *context, diagram may, diagram must, diagram *ret)
{
	if (may == must || may == PSET_EMPTY)
		*ret = may;
	else if (diagram_is_number(may) && diagram_is_number(must))
		*ret = diagram_of(HOLDS_PERHAPS);
	else
		return false;
	return true;
}

/* Operators that depend on no data; those of sets have the ids below. */
enum { OPERATION_PERHAPS = 8, OPERATION_ONLY };

/* How conditions stand, as one function. */
static diagram standing(struct space *space, struct bounds bounds)
{
	static const struct diagram_operator perhaps = {shortcut_perhaps, NULL, OPERATION_PERHAPS, false};

	return bounds_are_exact(bounds) ? bounds.may : diagram_combine(space, &perhaps, bounds.may, bounds.must);
}

diagram chains_guard(struct chains *chains, struct bounds condition, diagram function)
{
	struct diagram_operator operator= {shortcut_guard, chains->outcomes, chains->guard_id, false};

	return diagram_combine(chains->space, &operator, standing(chains->space, condition), function);
}

diagram chains_only(struct chains *chains, pset set, diagram function)
{
	static const struct diagram_operator operator= {shortcut_only, NULL, OPERATION_ONLY, false};

	return diagram_combine(chains->space, &operator, set, function);
}

diagram chains_either(struct chains *chains, diagram a, diagram b)
{
	struct diagram_operator operator= {shortcut_either, chains->outcomes, chains->either_id, true};

	return diagram_combine(chains->space, &operator, a, b);
}

/* ---- what was done to packets ---- */

struct finding {
	const struct chains *chains;
	enum end_kind kind;
	struct effects effects;
};

static void add_effect(struct finding *finding, effect done)
{
	struct effects *effects = &finding->effects;

	for (size_t i = 0; i < effects->count; i++)
		if (effects->items[i] == done)
			return;
	*arena_push(finding->chains->arena, effects->items, effects->count) = done;
}

static void add_effects(void *context, diagram d)
{
	struct finding *finding = context;
	const struct end *ends;
	size_t count;

	if (!diagram_is_number(d))
		return;
	ends = outcome_ends(finding->chains->outcomes, diagram_number(d), &count);
	for (size_t i = 0; i < count; i++)
		if (ends[i].kind == finding->kind)
			add_effect(finding, ends[i].effect);
}

struct effects chains_effects(const struct chains *chains, diagram function, enum end_kind kind)
{
	struct finding finding = {.chains = chains, .kind = kind};

	diagram_visit(chains->space, function, add_effects, &finding);
	return finding.effects;
}

/* What a function is for the packet as an effect left it, as a function of the packet before. */
static diagram before_effect(struct chains *chains, diagram function, effect done)
{
	struct diagram_operator operator= {shortcut_either, chains->outcomes, chains->either_id, true};

	while (done) {
		const struct statement *statement = effect_statement(chains->outcomes, done, &done);
		struct assignment assignment;

		if (!statement_assignment(&chains->scope, statement, &assignment))
			continue;
		if (assignment.known)
			function = pset_before(chains->space, function, assignment.bits, assignment.value,
					       assignment.known);
		if (assignment.flipped)
			function = pset_flipped(chains->space, function, assignment.bits, assignment.flipped);
		if (assignment.unknown)
			function = pset_for_all_values(chains->space, &operator, function, assignment.bits,
						       assignment.unknown);
	}
	return function;
}

/* The first function, and where it goes on, the second. */
diagram chains_then(struct chains *chains, diagram first, diagram second)
{
	struct continuing continuing = {chains->outcomes, {END_CONTINUE, 0}};
	struct diagram_operator operator= {shortcut_then, &continuing, chains->then_id, false};
	struct effects effects;

	if (!outcomes_go_on_changed(chains->outcomes))
		return diagram_combine(chains->space, &operator, first, second);
	effects = chains_effects(chains, first, END_CONTINUE);
	if (effects.count == 1 && effects.items[0] == 0)
		return diagram_combine(chains->space, &operator, first, second);
	first = chains_exchange(chains, first, END_BIT(END_CONTINUE), END_BIT(END_PENDING));
	for (size_t i = 0; i < effects.count; i++) {
		continuing.end = (struct end){END_PENDING, effects.items[i]};
		operator.id = chains_operation(chains, CHAINS_THEN, effects.items[i], 0);
		first = diagram_combine(chains->space, &operator, first,
					before_effect(chains, second, effects.items[i]));
	}
	return first;
}

pset chains_changed(struct chains *chains, pset set, effect done)
{
	const struct statement *statement;
	struct assignment assignment;
	wide any;

	if (!done)
		return set;
	statement = effect_statement(chains->outcomes, done, &done);
	set = chains_changed(chains, set, done);
	if (!statement_assignment(&chains->scope, statement, &assignment))
		return set;
	if (assignment.flipped)
		set = pset_flipped(chains->space, set, assignment.bits, assignment.flipped);
	any = assignment.unknown | assignment.known;
	if (any)
		set = pset_forget_bits(chains->space, set, assignment.bits, any);
	if (assignment.known)
		set = pset_and(chains->space, set,
			       pset_bits_masked(chains->space, assignment.bits, assignment.value, assignment.known));
	return set;
}

pset chains_unchanged(struct chains *chains, pset set, effect done)
{
	while (done) {
		const struct statement *statement = effect_statement(chains->outcomes, done, &done);
		struct assignment assignment;

		if (!statement_assignment(&chains->scope, statement, &assignment))
			continue;
		if (assignment.known)
			set = pset_before(chains->space, set, assignment.bits, assignment.value, assignment.known);
		if (assignment.flipped)
			set = pset_flipped(chains->space, set, assignment.bits, assignment.flipped);
		if (assignment.unknown)
			set = pset_forget_bits(chains->space, set, assignment.bits, assignment.unknown);
	}
	return set;
}
