/*
 * Which rules a set of packets meets on its way through chains. The tree of segments leads the way: a segment in which
 * nothing happens to packets of the set that is asked for is passed over as a whole.
 */
#include "verify/chain_internal.h"

#include "base/arena.h"
#include "verify/effect.h"

#include <stdlib.h>

struct walk {
	struct chains *chains;
	unsigned kinds; /* the ends that are looked for; 0: undecided ones */
	uint32_t interesting_id;
	met_visitor *visitor;
	void *context;
	unsigned depth;
};

enum { DEEPEST_WALK = 64 };

struct wanted_end {
	const struct outcomes *outcomes;
	struct end end;
	bool alone;
};

static uint32_t comes_to(void *context, uint32_t number)
{
	const struct wanted_end *wanted = context;
	size_t count;
	const struct end *ends = outcome_ends(wanted->outcomes, number, &count);

	for (size_t i = 0; i < count; i++)
		if (ends[i].kind == wanted->end.kind && ends[i].effect == wanted->end.effect)
			return !wanted->alone || count == 1;
	return 0;
}

struct bounds chains_ending(struct chains *chains, diagram function, struct end end)
{
	struct wanted_end may = {chains->outcomes, end, false}, must = {chains->outcomes, end, true};
	struct diagram_mapping mapping = {comes_to, &may,
					  chains_operation(chains, CHAINS_COMES_TO, end.kind, end.effect)};
	struct bounds bounds;

	bounds.may = diagram_map(chains->space, &mapping, function);
	mapping = (struct diagram_mapping){comes_to, &must,
					   chains_operation(chains, CHAINS_COMES_TO_ALONE, end.kind, end.effect)};
	bounds.must = diagram_map(chains->space, &mapping, function);
	return bounds;
}

size_t chains_ends(struct chains *chains, diagram function, enum end_kind kind, struct end **ret)
{
	struct effects effects = chains_effects(chains, function, kind);

	*ret = arena_alloc(chains->arena, (effects.count + 1) * sizeof(**ret));
	for (size_t i = 0; i < effects.count; i++)
		(*ret)[i] = (struct end){kind, effects.items[i]};
	return effects.count;
}

pset chains_going_on(struct chains *chains, diagram function, pset set)
{
	struct effects effects = chains_effects(chains, function, END_CONTINUE);
	pset all = PSET_EMPTY;

	for (size_t i = 0; i < effects.count; i++) {
		pset one = chains_ending(chains, function, (struct end){END_CONTINUE, effects.items[i]}).may;

		one = chains_changed(chains, pset_and(chains->space, set, one), effects.items[i]);
		all = pset_or(chains->space, all, one);
	}
	return all;
}

/* Does an outcome have the ends that are looked for, or more than one? */
static uint32_t interesting(void *context, uint32_t number)
{
	const struct walk *walk = context;
	size_t count;

	if (walk->kinds)
		return (outcome_kinds(walk->chains->outcomes, number) & walk->kinds) != 0;
	outcome_ends(walk->chains->outcomes, number, &count);
	return count > 1;
}

static pset of_interest(struct walk *walk, diagram function, pset set)
{
	struct diagram_mapping mapping = {interesting, walk, walk->interesting_id};

	return pset_and(walk->chains->space, set, diagram_map(walk->chains->space, &mapping, function));
}

static void walk_chain(struct walk *walk, const struct stack_chain *chain, pset set);

static void walk_verdict(struct walk *walk, const struct stack_chain *from, const struct verdict *verdict, pset set)
{
	const struct stack_chain *target;

	if (verdict->kind != VERDICT_JUMP && verdict->kind != VERDICT_GOTO)
		return;
	target = stack_chain(from->table, verdict->chain);
	if (target && !pset_is_empty(set) && walk->depth < DEEPEST_WALK)
		walk_chain(walk, target, set);
}

static void walk_elements(struct walk *walk, const struct stack_chain *chain, const struct statement *statement,
			  pset set)
{
	const struct expr *map = statement->verdict_map.map;
	const struct stack_set *named = map->kind == EXPR_SET_REF ? stack_set(chain->table, map->text) : NULL;
	const struct element *elements = named ? named->set->elements : map->set.elements;
	size_t count = named ? named->set->element_count : map->kind == EXPR_SET ? map->set.count : 0;

	for (size_t i = 0; i < count; i++) {
		struct bounds in;

		if (!elements[i].data || elements[i].data->kind != EXPR_VERDICT)
			continue;
		in = match_element(&walk->chains->scope, statement->verdict_map.key, &elements[i]);
		walk_verdict(walk, chain, &elements[i].data->verdict, pset_and(walk->chains->space, set, in.may));
	}
}

/* Do packets end by the rule itself, not in a chain that it calls? */
static bool ends_itself(const struct rule *rule)
{
	for (size_t i = 0; i < rule->statement_count; i++) {
		const struct statement *statement = &rule->statements[i];

		if (statement->kind == STATEMENT_VERDICT)
			return statement->verdict.kind != VERDICT_JUMP && statement->verdict.kind != VERDICT_GOTO;
	}
	return true;
}

static void walk_rule(struct walk *walk, const struct stack_chain *chain, const struct rule *rule, diagram function,
		      pset set)
{
	struct chains *chains = walk->chains;
	struct bounds all = {PSET_FULL, PSET_FULL};
	struct met_rule met = {chain, rule, PSET_EMPTY};
	struct assignment assignment;
	pset got_to = set;

	match_begin_rule(&chains->scope, rule);
	for (size_t i = 0; i < rule->statement_count; i++) {
		const struct statement *statement = &rule->statements[i];
		struct conditions conditions = {.count = 0};

		if (statement_is_condition(statement)) {
			match_statement(&chains->scope, statement, &conditions);
			all = bounds_and(chains->space, all, conditions_all(chains->space, &conditions));
			continue;
		}
		got_to = pset_and(chains->space, set, all.may);
		if (statement->kind == STATEMENT_VERDICT)
			walk_verdict(walk, chain, &statement->verdict, got_to);
		else if (statement->kind == STATEMENT_VERDICT_MAP)
			walk_elements(walk, chain, statement, got_to);
		else if (statement_assignment(&chains->scope, statement, &assignment))
			set = chains_changed(chains, got_to, effect_of(chains->outcomes, 0, statement));
	}
	got_to = pset_and(chains->space, set, all.may);
	if (walk->kinds && ends_itself(rule))
		met.packets = of_interest(walk, function, set);
	else if (!walk->kinds)
		met.packets = pset_minus(chains->space, of_interest(walk, function, got_to), all.must);
	if (!pset_is_empty(met.packets))
		walk->visitor(walk->context, &met);
}

/* Returns the packets that go on behind the segment. */
static pset walk_segment(struct walk *walk, const struct stack_chain *chain, struct segment *segment, size_t first,
			 pset set)
{
	diagram function;

	if (!segment || pset_is_empty(set))
		return set;
	function = chains_segment(walk->chains, chain, segment, first);
	if (pset_is_empty(of_interest(walk, function, set)))
		return chains_going_on(walk->chains, function, set);
	if (!segment->left) {
		walk_rule(walk, chain, &chain->chain->rules[first], function, set);
		return chains_going_on(walk->chains, function, set);
	}
	set = walk_segment(walk, chain, segment->left, first, set);
	return walk_segment(walk, chain, segment->right, first + segment->left->count, set);
}

static pset returning(struct chains *chains, const struct segment *root, pset set)
{
	if (!root)
		return PSET_EMPTY;
	return pset_and(chains->space, set, chains_bounds(chains, root->function, END_BIT(END_RETURN)).may);
}

static void walk_chain(struct walk *walk, const struct stack_chain *chain, pset set)
{
	struct segments *segments = chains_segments(walk->chains, chain);
	const struct stack_table *outer = walk->chains->scope.table;
	unsigned policy = chain->chain->policy == VERDICT_ACCEPT ? END_BIT(END_ACCEPT) : END_BIT(END_DROP);
	struct met_rule met = {chain, NULL, PSET_EMPTY};
	pset rest;

	walk->chains->scope.table = chain->table;
	walk->depth++;
	rest = walk_segment(walk, chain, segments->root, 0, set);
	walk->depth--;
	walk->chains->scope.table = outer;
	if (chain->chain->hook == HOOK_NONE || !(walk->kinds & policy))
		return;
	met.packets = pset_or(walk->chains->space, rest, returning(walk->chains, segments->root, set));
	if (!pset_is_empty(met.packets))
		walk->visitor(walk->context, &met);
}

static void walk_from(struct chains *chains, const struct stack_chain *chain, pset set, unsigned kinds,
		      met_visitor *visitor, void *context)
{
	struct walk walk = {.chains = chains,
			    .kinds = kinds,
			    .interesting_id = chains_operation(chains, CHAINS_INTERESTING, kinds, 0),
			    .visitor = visitor,
			    .context = context};

	chains_function(chains, chain);
	walk_chain(&walk, chain, set);
}

void chains_deciding(struct chains *chains, const struct stack_chain *chain, pset set, unsigned kinds,
		     met_visitor *visitor, void *context)
{
	walk_from(chains, chain, set, kinds, visitor, context);
}

void chains_undecided(struct chains *chains, const struct stack_chain *chain, pset set, met_visitor *visitor,
		      void *context)
{
	walk_from(chains, chain, set, 0, visitor, context);
}
