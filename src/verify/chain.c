/*
 * A rule is a function from packets to outcomes: where it does not match, the packet goes on. Two rules in a row are
 * one function: where the first goes on, what the second says. That operation is associative, so a chain of n rules is
 * put together as a balanced tree, in which every segment is a function and is kept. Putting together halves of like
 * size is also quicker than adding rule by rule (docs/architecture.md has figures).
 *
 * Where a rule changed the packet before it went on, the second part is asked about the changed packet: as a function
 * of the packet as it was, it is the function with the assigned bits put in (before_effect).
 */
#include "verify/chain_internal.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

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

struct segments *chains_segments(struct chains *chains, const struct stack_chain *chain)
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

diagram chains_segment(struct chains *chains, struct segments *segments, size_t at, size_t first, size_t count)
{
	const struct stack_chain *chain = segments->chain;
	diagram *function = &segments->functions[at];

	if (segments->valid[at])
		return *function;
	if (first >= chain->chain->rule_count)
		*function = diagram_of(OUTCOME_CONTINUE);
	else if (count == 1)
		*function = chains_of_rule(chains, chain->table, &chain->chain->rules[first]);
	else
		*function = chains_then(chains, chains_segment(chains, segments, 2 * at, first, count / 2),
					chains_segment(chains, segments, 2 * at + 1, first + count / 2, count / 2));
	segments->valid[at] = true;
	return *function;
}

static diagram policy(struct chains *chains, const struct chain *chain)
{
	if (chain->policy == VERDICT_ACCEPT)
		return chains_of_ends(chains, END_BIT(END_ACCEPT), 0);
	if (chain->policy == VERDICT_DROP)
		return chains_of_ends(chains, END_BIT(END_DROP), 0);
	return chains_of_ends(chains, END_BIT(END_ACCEPT) | END_BIT(END_DROP), 0);
}

static uint32_t go_on(void *context, uint32_t number)
{
	return outcome_as(context, number, END_BIT(END_RETURN), END_CONTINUE);
}

diagram chains_function(struct chains *chains, const struct stack_chain *chain)
{
	struct segments *segments = chains_segments(chains, chain);
	struct diagram_mapping mapping = {go_on, chains->outcomes, chains->go_on_id};
	const struct stack_table *outer = chains->scope.table;

	if (segments->progress == BUILT)
		return segments->function;
	segments->progress = BUILDING;
	chains->depth++;
	chains->scope.table = chain->table;
	segments->function = chains_segment(chains, segments, 1, 0, segments->leaves);
	segments->function = diagram_map(chains->space, &mapping, segments->function);
	if (chain->chain->whole == TRUTH_NO) /* rules may follow that were not captured */
		segments->function =
			chains_then(chains, segments->function,
				    chains_either(chains, chains_anything(chains), diagram_of(OUTCOME_CONTINUE)));
	if (chain->chain->hook != HOOK_NONE)
		segments->function = chains_then(chains, segments->function, policy(chains, chain->chain));
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

		function = chains_then(chains, function, one);
	}
	return chains_then(chains, function, chains_of_ends(chains, END_BIT(END_ACCEPT), 0));
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

/* The same for the same chains and kinds, so that after one rule changed little is computed again. */
static uint32_t bounds_id(struct chains *chains, bool may, unsigned kinds)
{
	struct {
		const struct chains *chains;
		uint32_t may, kinds;
	} key = {chains, may, kinds};

	return space_id_of(chains->space, &key, sizeof(key));
}

struct bounds chains_bounds(struct chains *chains, diagram function, unsigned kinds)
{
	struct wanted wanted = {chains->outcomes, kinds};
	struct diagram_mapping may = {may_end, &wanted, bounds_id(chains, true, kinds)};
	struct diagram_mapping must = {must_end, &wanted, bounds_id(chains, false, kinds)};

	return (struct bounds){diagram_map(chains->space, &may, function), diagram_map(chains->space, &must, function)};
}
