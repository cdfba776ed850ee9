/*
 * A rule is a function from packets to outcomes: where it does not match, the packet goes on. Two rules in a row are
 * one function: where the first goes on, what the second says. That operation is associative, so a chain of n rules is
 * put together as a balanced tree, in which every segment is a function and is kept. Putting together halves of like
 * size is also quicker than adding rule by rule (docs/architecture.md has figures).
 *
 * Where a rule changed the packet before it went on, the second part is asked about the changed packet: as a function
 * of the packet as it was, it is the function with the assigned bits put in (before_effect).
 */
#include "verify/chain.h"

#include "base/arena.h"
#include "verify/effect.h"

#include <stdlib.h>
#include <string.h>

enum { DEEPEST_CALL = 64 };

enum progress {
	NOT_BUILT,
	BUILDING,
	BUILT,
};

/* Of one chain: segments as in a heap, the root is 1; the leaves are its rules, filled up to a power of two. */
struct segments {
	const struct stack_chain *chain;
	diagram *functions;
	bool *valid;
	size_t leaves;
	diagram function;
	enum progress progress; /* of `function` */
};

struct chains {
	struct space *space;
	const struct stack_host *host;
	struct match_scope scope;
	struct arena *arena;
	struct outcomes *outcomes;
	struct segments *segments;				      /* by the chains' numbers */
	uint32_t then_id, guard_id, either_id, go_on_id, accepted_id; /* of operations on outcomes */
	unsigned depth;
};

struct chains *chains_new(struct space *space, const struct stack_host *host, const struct slice *slice,
			  const struct match_routing *routing)
{
	struct chains *chains = calloc(1, sizeof(*chains));

	if (!chains)
		abort();
	chains->arena = arena_new();
	chains->space = space;
	chains->host = host;
	chains->scope =
		(struct match_scope){.space = space, .arena = chains->arena, .slice = slice, .routing = routing};
	chains->outcomes = outcomes_new();
	chains->segments = calloc(host->chain_count + 1, sizeof(*chains->segments));
	if (!chains->segments)
		abort();
	chains->then_id = space_operator_id(space);
	chains->guard_id = space_operator_id(space);
	chains->either_id = space_operator_id(space);
	chains->go_on_id = space_operator_id(space);
	chains->accepted_id = space_operator_id(space);
	return chains;
}

void chains_free(struct chains *chains)
{
	if (!chains)
		return;
	for (size_t i = 0; i < chains->host->chain_count; i++) {
		free(chains->segments[i].functions);
		free(chains->segments[i].valid);
	}
	free(chains->segments);
	outcomes_free(chains->outcomes);
	arena_free(chains->arena);
	free(chains);
}

struct outcomes *chains_outcomes(struct chains *chains)
{
	return chains->outcomes;
}

/* ---- operations on functions ---- */

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

static diagram guard(struct chains *chains, struct bounds condition, diagram function)
{
	struct diagram_operator operator= {shortcut_guard, chains->outcomes, chains->guard_id, false};

	return diagram_combine(chains->space, &operator, standing(chains->space, condition), function);
}

static diagram only(struct chains *chains, pset set, diagram function)
{
	static const struct diagram_operator operator= {shortcut_only, NULL, OPERATION_ONLY, false};

	return diagram_combine(chains->space, &operator, set, function);
}

static diagram either(struct chains *chains, diagram a, diagram b)
{
	struct diagram_operator operator= {shortcut_either, chains->outcomes, chains->either_id, true};

	return diagram_combine(chains->space, &operator, a, b);
}

/* ---- what was done to packets ---- */

/* Ends that go on, of all outcomes a function leads to. */
struct effects {
	effect *items;
	size_t count;
	bool unchanged; /* 0 is among them */
};

static void add_effects(const struct chains *chains, diagram function, uint8_t *seen, struct effects *ret)
{
	const struct end *ends;
	size_t count;

	while (!diagram_is_number(function)) {
		struct diagram_node node = diagram_node(chains->space, function);

		if (seen[function / 8] >> function % 8 & 1)
			return;
		seen[function / 8] |= (uint8_t)(1u << function % 8);
		for (size_t i = 0; i + 1 < node.edge_count; i++)
			add_effects(chains, node.edges[i].below, seen, ret);
		if (!node.edges)
			add_effects(chains, node.then, seen, ret);
		function = node.edges ? node.edges[node.edge_count - 1].below : node.otherwise;
	}
	ends = outcome_ends(chains->outcomes, diagram_number(function), &count);
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		if (ends[i].kind != END_CONTINUE)
			continue;
		for (size_t j = 0; j < ret->count; j++)
			known = known || ret->items[j] == ends[i].effect;
		if (!known)
			*arena_push(chains->arena, ret->items, ret->count) = ends[i].effect;
	}
}

static struct effects effects_of(const struct chains *chains, diagram function)
{
	struct effects effects = {};
	uint8_t *seen = calloc(space_node_count(chains->space) / 8 + 1, 1);

	if (!seen)
		abort();
	add_effects(chains, function, seen, &effects);
	free(seen);
	return effects;
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

static uint32_t pending(void *context, uint32_t number)
{
	return outcome_as(context, number, END_BIT(END_CONTINUE), END_PENDING);
}

/* The first function, and where it goes on, the second. */
static diagram then(struct chains *chains, diagram first, diagram second)
{
	struct continuing continuing = {chains->outcomes, {END_CONTINUE, 0}};
	struct diagram_operator operator= {shortcut_then, &continuing, chains->then_id, false};
	struct diagram_mapping mapping = {pending, chains->outcomes, 0};
	struct effects effects;

	if (!outcomes_go_on_changed(chains->outcomes))
		return diagram_combine(chains->space, &operator, first, second);
	effects = effects_of(chains, first);
	if (effects.count == 1 && effects.items[0] == 0)
		return diagram_combine(chains->space, &operator, first, second);
	mapping.id = space_operator_id(chains->space);
	first = diagram_map(chains->space, &mapping, first);
	for (size_t i = 0; i < effects.count; i++) {
		continuing.end = (struct end){END_PENDING, effects.items[i]};
		operator.id = space_operator_id(chains->space);
		first = diagram_combine(chains->space, &operator, first,
					before_effect(chains, second, effects.items[i]));
	}
	return first;
}

/* ---- rules ---- */

static diagram of_ends(struct chains *chains, unsigned kinds, effect done)
{
	outcome result = OUTCOME_CONTINUE;
	bool first = true;

	for (unsigned kind = 0; kind < END_KIND_COUNT; kind++) {
		outcome one;

		if (!(kinds & END_BIT(kind)))
			continue;
		one = outcome_of(chains->outcomes, (enum end_kind)kind, done);
		result = first ? one : outcome_either(chains->outcomes, result, one);
		first = false;
	}
	return diagram_of(result);
}

/* Not known, not even whether it goes on. */
static diagram anything(struct chains *chains)
{
	return of_ends(chains, END_BIT(END_CONTINUE) | END_BIT(END_ACCEPT) | END_BIT(END_DROP), 0);
}

static diagram called(struct chains *chains, const struct stack_table *table, const char *name)
{
	const struct stack_chain *chain = stack_chain(table, name);

	if (!chain || chains->depth > DEEPEST_CALL || chains->segments[chain->number].progress == BUILDING)
		return anything(chains);
	return chains_function(chains, chain);
}

static uint32_t return_after(void *context, uint32_t number)
{
	return outcome_as(context, number, END_BIT(END_CONTINUE), END_RETURN);
}

static diagram of_verdict(struct chains *chains, const struct stack_table *table, const struct verdict *verdict)
{
	struct diagram_mapping mapping = {return_after, chains->outcomes, 0};

	switch (verdict->kind) {
	case VERDICT_NONE:
	case VERDICT_CONTINUE:
		return diagram_of(OUTCOME_CONTINUE);
	case VERDICT_ACCEPT:
		return of_ends(chains, END_BIT(END_ACCEPT), 0);
	case VERDICT_DROP:
		return of_ends(chains, END_BIT(END_DROP), 0);
	case VERDICT_RETURN:
		return of_ends(chains, END_BIT(END_RETURN), 0);
	case VERDICT_JUMP:
		return called(chains, table, verdict->chain);
	case VERDICT_GOTO:
		mapping.id = space_operator_id(chains->space);
		return diagram_map(chains->space, &mapping, called(chains, table, verdict->chain));
	case VERDICT_QUEUE:
		return of_ends(chains, END_BIT(END_ELSEWHERE), 0);
	}
	return diagram_of(OUTCOME_CONTINUE);
}

/* Elements do not overlap; of one that is not known the verdict may be any. */
static diagram of_elements(struct chains *chains, const struct stack_table *table, const struct expr *key,
			   const struct element *elements, size_t count)
{
	diagram *parts = calloc(count + 1, sizeof(*parts)), result;
	pset *sure = calloc(count + 1, sizeof(*sure));

	if (!parts || !sure)
		abort();
	for (size_t i = 0; i < count; i++) {
		struct bounds in = match_element(&chains->scope, key, &elements[i]);
		const struct expr *data = elements[i].data;

		parts[i] = only(chains, in.may,
				data && data->kind == EXPR_VERDICT ? of_verdict(chains, table, &data->verdict)
								   : anything(chains));
		sure[i] = in.must;
	}
	parts[count] = only(chains, pset_not(chains->space, pset_or_all(chains->space, sure, count)),
			    diagram_of(OUTCOME_CONTINUE));
	for (size_t step = 1; step <= count; step *= 2)
		for (size_t i = 0; i + step <= count; i += 2 * step)
			parts[i] = either(chains, parts[i], parts[i + step]);
	result = parts[0];
	free(parts);
	free(sure);
	return result;
}

static diagram of_verdict_map(struct chains *chains, const struct stack_table *table, const struct statement *statement)
{
	const struct expr *map = statement->verdict_map.map, *key = statement->verdict_map.key;
	const struct stack_set *set;

	if (map->kind == EXPR_SET)
		return of_elements(chains, table, key, map->set.elements, map->set.count);
	set = map->kind == EXPR_SET_REF ? stack_set(table, map->text) : NULL;
	if (!set || !set->complete || set->changing)
		return anything(chains);
	return of_elements(chains, table, key, set->set->elements, set->set->element_count);
}

/* What becomes of a packet that a rule's conditions before this statement let through. */
static diagram of_statement(struct chains *chains, const struct stack_table *table, const struct statement *statement,
			    diagram behind)
{
	struct assignment assignment;

	switch (statement->kind) {
	case STATEMENT_VERDICT:
		return of_verdict(chains, table, &statement->verdict);
	case STATEMENT_VERDICT_MAP:
		return then(chains, of_verdict_map(chains, table, statement), behind);
	case STATEMENT_REJECT:
		return of_ends(chains, END_BIT(END_REJECT), effect_of(chains->outcomes, 0, statement));
	case STATEMENT_NAT:
		return of_ends(chains, END_BIT(END_ACCEPT), effect_of(chains->outcomes, 0, statement));
	case STATEMENT_ASSIGN:
	case STATEMENT_NOTRACK:
		if (!statement_assignment(&chains->scope, statement, &assignment))
			return behind;
		return then(chains, of_ends(chains, END_BIT(END_CONTINUE), effect_of(chains->outcomes, 0, statement)),
			    behind);
	case STATEMENT_DIVERT: /* a copy, or an offer to a flowtable, lets the packet itself go on */
		if (strcmp(statement->action.name, "dup") == 0 || strcmp(statement->action.name, "flow") == 0)
			return behind;
		return either(chains, of_ends(chains, END_BIT(END_ELSEWHERE), 0), behind);
	case STATEMENT_UNKNOWN:
		return anything(chains);
	case STATEMENT_MATCH:
	case STATEMENT_CONDITION:
	case STATEMENT_SET_UPDATE:
	case STATEMENT_NONE:
	case STATEMENT_EFFECT:
	case STATEMENT_KIND_COUNT:
		break;
	}
	return behind;
}

static bool is_condition(const struct statement *statement)
{
	return statement->kind == STATEMENT_MATCH || statement->kind == STATEMENT_CONDITION ||
	       statement->kind == STATEMENT_SET_UPDATE;
}

/* What lies behind conditions that stand together. */
static diagram of_conditions(struct chains *chains, struct conditions *conditions, diagram behind)
{
	if (!diagram_is_number(behind))
		return guard(chains, conditions_all(chains->space, conditions), behind);
	conditions_sort(chains->space, conditions);
	for (size_t i = 0; i < conditions->count;) {
		struct bounds same = conditions_next(chains->space, conditions, &i);

		behind = guard(chains, same, behind);
	}
	return behind;
}

static diagram of_rule(struct chains *chains, const struct stack_table *table, const struct rule *rule)
{
	diagram function = diagram_of(OUTCOME_CONTINUE);

	match_begin_rule(&chains->scope, rule);
	for (size_t i = rule->statement_count; i > 0;) {
		struct conditions conditions = {.count = 0};

		for (; i > 0 && is_condition(&rule->statements[i - 1]); i--)
			if (function != diagram_of(OUTCOME_CONTINUE))
				match_statement(&chains->scope, &rule->statements[i - 1], &conditions);
		if (conditions.count > 0)
			function = of_conditions(chains, &conditions, function);
		if (i > 0)
			function = of_statement(chains, table, &rule->statements[--i], function);
	}
	return function;
}

/* ---- chains ---- */

static struct segments *segments_of(struct chains *chains, const struct stack_chain *chain)
{
	struct segments *segments = &chains->segments[chain->number];

	if (segments->chain)
		return segments;
	segments->chain = chain;
	for (segments->leaves = 1; segments->leaves < chain->chain->rule_count;)
		segments->leaves *= 2;
	segments->functions = calloc(2 * segments->leaves, sizeof(*segments->functions));
	segments->valid = calloc(2 * segments->leaves, sizeof(*segments->valid));
	if (!segments->functions || !segments->valid)
		abort();
	return segments;
}

/* Of segment `at`, which holds `count` rules from `first` on. */
static diagram segment(struct chains *chains, struct segments *segments, size_t at, size_t first, size_t count)
{
	const struct stack_chain *chain = segments->chain;
	diagram *function = &segments->functions[at];

	if (segments->valid[at])
		return *function;
	if (first >= chain->chain->rule_count)
		*function = diagram_of(OUTCOME_CONTINUE);
	else if (count == 1)
		*function = of_rule(chains, chain->table, &chain->chain->rules[first]);
	else
		*function = then(chains, segment(chains, segments, 2 * at, first, count / 2),
				 segment(chains, segments, 2 * at + 1, first + count / 2, count / 2));
	segments->valid[at] = true;
	return *function;
}

static diagram policy(struct chains *chains, const struct chain *chain)
{
	if (chain->policy == VERDICT_ACCEPT)
		return of_ends(chains, END_BIT(END_ACCEPT), 0);
	if (chain->policy == VERDICT_DROP)
		return of_ends(chains, END_BIT(END_DROP), 0);
	return of_ends(chains, END_BIT(END_ACCEPT) | END_BIT(END_DROP), 0);
}

static uint32_t go_on(void *context, uint32_t number)
{
	return outcome_as(context, number, END_BIT(END_RETURN), END_CONTINUE);
}

diagram chains_function(struct chains *chains, const struct stack_chain *chain)
{
	struct segments *segments = segments_of(chains, chain);
	struct diagram_mapping mapping = {go_on, chains->outcomes, chains->go_on_id};
	const struct stack_table *outer = chains->scope.table;

	if (segments->progress == BUILT)
		return segments->function;
	segments->progress = BUILDING;
	chains->depth++;
	chains->scope.table = chain->table;
	segments->function = segment(chains, segments, 1, 0, segments->leaves);
	segments->function = diagram_map(chains->space, &mapping, segments->function);
	if (chain->chain->whole == TRUTH_NO) /* rules may follow that were not captured */
		segments->function = then(chains, segments->function,
					  either(chains, anything(chains), diagram_of(OUTCOME_CONTINUE)));
	if (chain->chain->hook != HOOK_NONE)
		segments->function = then(chains, segments->function, policy(chains, chain->chain));
	chains->scope.table = outer;
	chains->depth--;
	segments->progress = BUILT;
	return segments->function;
}

static uint32_t accepted(void *context, uint32_t number)
{
	return outcome_as(context, number, END_BIT(END_ACCEPT), END_CONTINUE);
}

diagram chains_hook(struct chains *chains, const struct stack_hook *hook)
{
	struct diagram_mapping mapping = {accepted, chains->outcomes, chains->accepted_id};
	diagram function = diagram_of(OUTCOME_CONTINUE);

	for (size_t i = 0; i < hook->count; i++) {
		diagram one = diagram_map(chains->space, &mapping, chains_function(chains, hook->chains[i]));

		function = then(chains, function, one);
	}
	return then(chains, function, of_ends(chains, END_BIT(END_ACCEPT), 0));
}

/* ---- a rule changed ---- */

static bool verdict_calls(const struct verdict *verdict, const char *name)
{
	return (verdict->kind == VERDICT_JUMP || verdict->kind == VERDICT_GOTO) && strcmp(verdict->chain, name) == 0;
}

static bool elements_call(const struct element *elements, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (elements[i].data && elements[i].data->kind == EXPR_VERDICT &&
		    verdict_calls(&elements[i].data->verdict, name))
			return true;
	return false;
}

static bool rule_calls(const struct stack_table *table, const struct rule *rule, const char *name)
{
	for (size_t i = 0; i < rule->statement_count; i++) {
		const struct statement *statement = &rule->statements[i];
		const struct stack_set *set;

		if (statement->kind == STATEMENT_VERDICT && verdict_calls(&statement->verdict, name))
			return true;
		if (statement->kind != STATEMENT_VERDICT_MAP)
			continue;
		if (statement->verdict_map.map->kind == EXPR_SET &&
		    elements_call(statement->verdict_map.map->set.elements, statement->verdict_map.map->set.count,
				  name))
			return true;
		set = statement->verdict_map.map->kind == EXPR_SET_REF
			      ? stack_set(table, statement->verdict_map.map->text)
			      : NULL;
		if (set && elements_call(set->set->elements, set->set->element_count, name))
			return true;
	}
	return false;
}

void chains_rule_changed(struct chains *chains, const struct stack_chain *chain, size_t rule)
{
	struct segments *segments = &chains->segments[chain->number];
	const struct stack_table *table = chain->table;

	if (!segments->chain)
		return;
	for (size_t at = segments->leaves + rule; at > 0; at /= 2)
		segments->valid[at] = false;
	if (segments->progress != BUILT)
		return;
	segments->progress = NOT_BUILT;
	for (size_t i = 0; i < table->chain_count; i++) {
		const struct stack_chain *caller = &table->chains[i];

		if (chains->segments[caller->number].progress != BUILT)
			continue;
		for (size_t j = 0; j < caller->chain->rule_count; j++)
			if (rule_calls(table, &caller->chain->rules[j], chain->chain->name))
				chains_rule_changed(chains, caller, j);
	}
}

/* ---- what comes out ---- */

struct wanted {
	const struct outcomes *outcomes;
	unsigned kinds;
};

static uint32_t may_end(void *context, uint32_t number)
{
	const struct wanted *wanted = context;

	return (outcome_kinds(wanted->outcomes, number) & wanted->kinds) != 0;
}

static uint32_t must_end(void *context, uint32_t number)
{
	const struct wanted *wanted = context;
	unsigned kinds = outcome_kinds(wanted->outcomes, number);

	return kinds && !(kinds & ~wanted->kinds);
}

struct bounds chains_bounds(struct chains *chains, diagram function, unsigned kinds)
{
	struct wanted wanted = {chains->outcomes, kinds};
	struct diagram_mapping may = {may_end, &wanted, space_operator_id(chains->space)};
	struct diagram_mapping must = {must_end, &wanted, space_operator_id(chains->space)};

	return (struct bounds){diagram_map(chains->space, &may, function), diagram_map(chains->space, &must, function)};
}
