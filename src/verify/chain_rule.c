/* What a rule does, as a function of the packet: from its last statement to its first. */
#include "verify/chain_internal.h"

#include "base/arena.h"
#include "verify/effect.h"

#include <stdlib.h>
#include <string.h>

enum { DEEPEST_CALL = 64 };

diagram chains_of_ends(struct chains *chains, unsigned kinds, effect done)
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

diagram chains_anything(struct chains *chains)
{
	return chains_of_ends(chains, END_BIT(END_CONTINUE) | END_BIT(END_ACCEPT) | END_BIT(END_DROP), 0);
}

static diagram called(struct chains *chains, const struct stack_table *table, const char *name)
{
	const struct stack_chain *chain = stack_chain(table, name);

	if (!chain || chains->depth > DEEPEST_CALL || chains->segments[chain->number].progress == BUILDING)
		return chains_anything(chains);
	return chains_function(chains, chain);
}

static diagram of_verdict(struct chains *chains, const struct stack_table *table, const struct verdict *verdict)
{
	switch (verdict->kind) {
	case VERDICT_NONE:
	case VERDICT_CONTINUE:
		return diagram_of(OUTCOME_CONTINUE);
	case VERDICT_ACCEPT:
		return chains_of_ends(chains, END_BIT(END_ACCEPT), 0);
	case VERDICT_DROP:
		return chains_of_ends(chains, END_BIT(END_DROP), 0);
	case VERDICT_RETURN:
		return chains_of_ends(chains, END_BIT(END_RETURN), 0);
	case VERDICT_JUMP:
		return called(chains, table, verdict->chain);
	case VERDICT_GOTO:
		return chains_exchange(chains, called(chains, table, verdict->chain), END_BIT(END_CONTINUE),
				       END_BIT(END_RETURN));
	case VERDICT_QUEUE:
		return chains_of_ends(chains, END_BIT(END_ELSEWHERE), 0);
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

		parts[i] = chains_only(chains, in.may,
				       data && data->kind == EXPR_VERDICT ? of_verdict(chains, table, &data->verdict)
									  : chains_anything(chains));
		sure[i] = in.must;
	}
	parts[count] = chains_only(chains, pset_not(chains->space, pset_or_all(chains->space, sure, count)),
				   diagram_of(OUTCOME_CONTINUE));
	for (size_t step = 1; step <= count; step *= 2)
		for (size_t i = 0; i + step <= count; i += 2 * step)
			parts[i] = chains_either(chains, parts[i], parts[i + step]);
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
		return chains_anything(chains);
	return of_elements(chains, table, key, set->set->elements, set->set->element_count);
}

/* ---- statements that take a value out of a map ---- */

/* The map that a statement takes its value from; NULL: none. */
static const struct expr *map_of(const struct statement *statement)
{
	const struct expr *value = NULL;

	if (statement->kind == STATEMENT_ASSIGN)
		value = statement->assign.value;
	else if (statement->kind == STATEMENT_NAT)
		value = statement->nat.address ? statement->nat.address : statement->nat.port;
	return value && value->kind == EXPR_MAP ? value : NULL;
}

/* The statement as it is for one element: with a constant in place of the map. */
static const struct statement *with_constant(struct chains *chains, const struct statement *statement,
					     const struct element *element)
{
	struct statement *constant;

	for (size_t i = 0; i < chains->constant_count; i++)
		if (chains->constants[i].from == statement && chains->constants[i].element == element)
			return chains->constants[i].statement;
	constant = arena_new_struct(chains->arena, struct statement);
	*constant = *statement;
	if (statement->kind == STATEMENT_ASSIGN)
		constant->assign.value = element->data;
	else if (statement->nat.address)
		constant->nat.address = element->data;
	else
		constant->nat.port = element->data;
	*arena_push(chains->arena, chains->constants, chains->constant_count) =
		(struct constant){statement, element, constant};
	return constant;
}

static diagram of_statement(struct chains *chains, const struct stack_table *table, const struct statement *statement,
			    diagram behind);

/* Where no element holds the packet the rule ends, and it goes on with the next one. */
static diagram of_mapped(struct chains *chains, const struct stack_table *table, const struct statement *statement,
			 const struct expr *map, diagram behind)
{
	const struct expr *right = map->pair.right;
	const struct stack_set *named = right->kind == EXPR_SET_REF ? stack_set(table, right->text) : NULL;
	const struct element *elements = named ? named->set->elements : right->set.elements;
	size_t count = named ? named->set->element_count : right->kind == EXPR_SET ? right->set.count : 0;
	diagram result = diagram_of(OUTCOME_NOTHING);
	pset sure = PSET_EMPTY;

	if (right->kind == EXPR_SET_REF && (!named || !named->complete || named->changing))
		return chains_either(chains, chains_anything(chains), behind);
	for (size_t i = 0; i < count; i++) {
		struct bounds in = match_element(&chains->scope, map->pair.left, &elements[i]);
		const struct statement *constant = with_constant(chains, statement, &elements[i]);

		if (!elements[i].data || elements[i].data->kind == EXPR_MAP)
			continue;
		result = chains_either(chains, result,
				       chains_only(chains, in.may, of_statement(chains, table, constant, behind)));
		sure = pset_or(chains->space, sure, in.must);
	}
	return chains_either(chains, result,
			     chains_only(chains, pset_not(chains->space, sure), diagram_of(OUTCOME_CONTINUE)));
}

/* ---- statements ---- */

/* A translation to an address of one family leaves the other as it is (nft_nat_inet_eval). */
static diagram of_nat(struct chains *chains, const struct statement *statement, diagram behind)
{
	const struct expr *address = statement->nat.address;
	diagram translated = chains_of_ends(chains, END_BIT(END_ACCEPT), effect_of(chains->outcomes, 0, statement));
	struct stack_part part = {};
	struct bounds of_family;

	if (address)
		part = stack_part(address->kind == EXPR_CONCAT && address->concat.count ? address->concat.items[0]
											: address);
	if (!part.family)
		return translated;
	of_family = match_family(&chains->scope, part.family);
	return chains_either(chains, chains_only(chains, of_family.may, translated),
			     chains_only(chains, pset_not(chains->space, of_family.may), behind));
}

/* What becomes of a packet that a rule's conditions before this statement let through. */
static diagram of_statement(struct chains *chains, const struct stack_table *table, const struct statement *statement,
			    diagram behind)
{
	const struct expr *map = map_of(statement);
	struct assignment assignment;

	switch (statement->kind) {
	case STATEMENT_VERDICT:
		return of_verdict(chains, table, &statement->verdict);
	case STATEMENT_VERDICT_MAP:
		return chains_then(chains, of_verdict_map(chains, table, statement), behind);
	case STATEMENT_REJECT:
		return chains_of_ends(chains, END_BIT(END_REJECT), effect_of(chains->outcomes, 0, statement));
	case STATEMENT_NAT:
		return map ? of_mapped(chains, table, statement, map, behind) : of_nat(chains, statement, behind);
	case STATEMENT_ASSIGN:
		if (map)
			return of_mapped(chains, table, statement, map, behind);
		/* fall through */
	case STATEMENT_NOTRACK:
		if (!statement_assignment(&chains->scope, statement, &assignment))
			return behind;
		return chains_then(
			chains,
			chains_of_ends(chains, END_BIT(END_CONTINUE), effect_of(chains->outcomes, 0, statement)),
			behind);
	case STATEMENT_DIVERT: /* a copy, or an offer to a flowtable, lets the packet itself go on */
		if (strcmp(statement->action.name, "dup") == 0 || strcmp(statement->action.name, "flow") == 0)
			return behind;
		return chains_either(chains, chains_of_ends(chains, END_BIT(END_ELSEWHERE), 0), behind);
	case STATEMENT_UNKNOWN:
		return chains_anything(chains);
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

bool statement_is_condition(const struct statement *statement)
{
	return statement->kind == STATEMENT_MATCH || statement->kind == STATEMENT_CONDITION ||
	       statement->kind == STATEMENT_SET_UPDATE;
}

/* What lies behind conditions that stand together. */
static diagram of_conditions(struct chains *chains, struct conditions *conditions, diagram behind)
{
	if (!diagram_is_number(behind))
		return chains_guard(chains, conditions_all(chains->space, conditions), behind);
	conditions_sort(chains->space, conditions);
	for (size_t i = 0; i < conditions->count;) {
		struct bounds same = conditions_next(chains->space, conditions, &i);

		behind = chains_guard(chains, same, behind);
	}
	return behind;
}

diagram chains_of_rule(struct chains *chains, const struct stack_table *table, const struct rule *rule)
{
	diagram function = diagram_of(OUTCOME_CONTINUE);

	match_begin_rule(&chains->scope, rule);
	for (size_t i = rule->statement_count; i > 0;) {
		struct conditions conditions = {.count = 0};

		for (; i > 0 && statement_is_condition(&rule->statements[i - 1]); i--)
			if (function != diagram_of(OUTCOME_CONTINUE))
				match_statement(&chains->scope, &rule->statements[i - 1], &conditions);
		if (conditions.count > 0)
			function = of_conditions(chains, &conditions, function);
		if (i > 0)
			function = of_statement(chains, table, &rule->statements[--i], function);
	}
	return function;
}
