#include "verify/effect.h"

#include "verify/match_field.h"

static wide all_bits(struct pset_bits bits)
{
	return ~(wide)0 >> (128 - bits.count);
}

/* A constant, or the same field with some of its bits changed: "meta mark and 0xff00 or 0x12". */
static void assign_value(const struct match_scope *scope, const struct selector *target, const struct expr *value,
			 struct assignment *ret)
{
	struct stack_part part = stack_part(value);
	struct selector source = {};
	wide all = all_bits(ret->bits);

	if (part.kind == PART_RANGE && part.low == part.high) {
		ret->known = all;
		ret->value = part.low & all;
		return;
	}
	ret->unknown = all;
	if (value->kind != EXPR_BINARY && value->kind != EXPR_FIELD)
		return;
	source = selector_of(scope, value);
	if (source.coding != target->coding || source.bits.field != target->bits.field ||
	    source.bits.start != target->bits.start || source.shift)
		return;
	ret->known = ~source.mask & all;
	ret->value = source.flip & ret->known;
	ret->flipped = source.mask & source.flip & all;
	ret->unknown = 0;
	if (pset_field_has_ranges(ret->bits.field) && ret->known != all) {
		ret->unknown = ret->known | ret->flipped ? all : 0;
		ret->known = ret->flipped = 0;
	}
}

bool statement_assignment(const struct match_scope *scope, const struct statement *statement, struct assignment *ret)
{
	struct selector target;

	*ret = (struct assignment){};
	if (statement->kind == STATEMENT_NOTRACK) {
		ret->bits = pset_bits_of(PSET_STATE);
		ret->known = all_bits(ret->bits);
		ret->value = PSET_UNTRACKED;
		return true;
	}
	if (statement->kind != STATEMENT_ASSIGN)
		return false;
	target = selector_of(scope, statement->assign.field);
	if (target.coding != CODING_NUMBER && target.coding != CODING_ADDRESS)
		return false;
	ret->bits = target.bits;
	assign_value(scope, &target, statement->assign.value, ret);
	return true;
}
