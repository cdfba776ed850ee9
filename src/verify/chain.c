/*
 * A rule is a function from packets to outcomes: where it does not match, the packet goes on. Two rules in a row are
 * one function: where the first goes on, what the second says. That operation is associative, so a chain of n rules is
 * put together as a balanced tree (chain_tree.c), in which every segment is a function and is kept: after one rule
 * changed, came or went, the segments that it is in are put together again, and those of the chains that call its
 * chain. Putting together halves of like size is also quicker than adding rule by rule (docs/performance.md).
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
	return chains;
}

void chains_free(struct chains *chains)
{
	if (!chains)
		return;
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

	if (!segments->chain)
		segments->root = segment_build(segments, chains->arena, chain->chain->rule_count);
	segments->chain = chain;
	return segments;
}

diagram chains_segment(struct chains *chains, const struct stack_chain *chain, struct segment *segment, size_t first)
{
	if (segment->valid)
		return segment->function;
	if (segment->left)
		segment->function =
			chains_then(chains, chains_segment(chains, chain, segment->left, first),
				    chains_segment(chains, chain, segment->right, first + segment->left->count));
	else
		segment->function = chains_of_rule(chains, chain->table, &chain->chain->rules[first]);
	segment->valid = true;
	return segment->function;
}

uint32_t chains_operation(const struct chains *chains, enum chains_operation operation, uint32_t a, uint32_t b)
{
	uint32_t key[] = {chains->then_id, operation, a, b};

	return space_id_of(chains->space, key, sizeof(key));
}

struct exchange {
	struct outcomes *outcomes;
	unsigned from, to;
};

static uint32_t exchange(void *context, uint32_t number)
{
	const struct exchange *exchange = context;
	outcome result = OUTCOME_NOTHING;

	for (unsigned kind = 0; kind < END_KIND_COUNT; kind++)
		if (exchange->to & END_BIT(kind))
			result = outcome_either(exchange->outcomes, result,
						outcome_as(exchange->outcomes, number, exchange->from, kind));
	return result;
}

diagram chains_exchange(struct chains *chains, diagram function, unsigned from, unsigned to)
{
	struct exchange context = {chains->outcomes, from, to};
	struct diagram_mapping mapping = {exchange, &context, chains_operation(chains, CHAINS_EXCHANGE, from, to)};

	if (!(outcomes_kinds(chains->outcomes) & from & ~to))
		return function;
	return diagram_map(chains->space, &mapping, function);
}

/* How packets end that no rule of a chain decided about. */
static unsigned end_of(const struct chain *chain)
{
	if (chain->hook == HOOK_NONE)
		return END_BIT(END_CONTINUE);
	if (chain->policy == VERDICT_ACCEPT)
		return END_BIT(END_ACCEPT);
	if (chain->policy == VERDICT_DROP)
		return END_BIT(END_DROP);
	return END_BIT(END_ACCEPT) | END_BIT(END_DROP);
}

diagram chains_function(struct chains *chains, const struct stack_chain *chain)
{
	static const unsigned undecided = END_BIT(END_RETURN) | END_BIT(END_CONTINUE);
	struct segments *segments = chains_segments(chains, chain);
	const struct stack_table *outer = chains->scope.table;
	diagram function = diagram_of(OUTCOME_CONTINUE);

	if (segments->progress == BUILT)
		return segments->function;
	segments->progress = BUILDING;
	chains->depth++;
	chains->scope.table = chain->table;
	if (segments->root)
		function = chains_segment(chains, chain, segments->root, 0);
	if (chain->chain->whole == TRUTH_NO) /* rules may follow that were not captured */
		function = chains_then(chains, chains_exchange(chains, function, undecided, END_BIT(END_CONTINUE)),
				       chains_either(chains, chains_anything(chains), diagram_of(OUTCOME_CONTINUE)));
	segments->function = chains_exchange(chains, function, undecided, end_of(chain->chain));
	chains->scope.table = outer;
	chains->depth--;
	segments->progress = BUILT;
	return segments->function;
}

diagram chains_hook(struct chains *chains, const struct stack_hook *hook)
{
	diagram function = diagram_of(OUTCOME_CONTINUE);

	if (hook->count == 0)
		return chains_of_ends(chains, END_BIT(END_ACCEPT), 0);
	for (size_t i = 0; i < hook->count; i++) {
		diagram one = chains_function(chains, hook->chains[i]);

		if (i + 1 < hook->count)
			one = chains_exchange(chains, one, END_BIT(END_ACCEPT), END_BIT(END_CONTINUE));
		function = chains_then(chains, function, one);
	}
	return function;
}

/* ---- rules changed ---- */

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

/* The rules that call a chain are other functions now, and so are their chains. */
static void callers_changed(struct chains *chains, const struct stack_chain *chain)
{
	const struct stack_table *table = chain->table;

	if (chains->segments[chain->number].progress != BUILT)
		return;
	chains->segments[chain->number].progress = NOT_BUILT;
	for (size_t i = 0; i < table->chain_count; i++) {
		const struct stack_chain *caller = &table->chains[i];

		if (!chains->segments[caller->number].chain)
			continue;
		for (size_t j = 0; j < caller->chain->rule_count; j++)
			if (rule_calls(table, &caller->chain->rules[j], chain->chain->name))
				chains_rule_changed(chains, caller, j);
	}
}

void chains_rule_changed(struct chains *chains, const struct stack_chain *chain, size_t rule)
{
	struct segments *segments = &chains->segments[chain->number];

	segment_change(segments->root, rule);
	callers_changed(chains, chain);
}

void chains_rule_added(struct chains *chains, const struct stack_chain *chain, size_t rule)
{
	struct segments *segments = &chains->segments[chain->number];

	if (segments->chain)
		segments->root = segment_insert(segments, chains->arena, segments->root, rule);
	callers_changed(chains, chain);
}

void chains_rule_removed(struct chains *chains, const struct stack_chain *chain, size_t rule)
{
	struct segments *segments = &chains->segments[chain->number];

	if (segments->chain)
		segments->root = segment_remove(segments, segments->root, rule);
	callers_changed(chains, chain);
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
	struct diagram_mapping may = {may_end, &wanted, chains_operation(chains, CHAINS_MAY, kinds, 0)};
	struct diagram_mapping must = {must_end, &wanted, chains_operation(chains, CHAINS_MUST, kinds, 0)};

	struct bounds bounds = {.may = diagram_map(chains->space, &may, function)};

	bounds.must = outcomes_open(chains->outcomes) ? diagram_map(chains->space, &must, function) : bounds.may;
	return bounds;
}
