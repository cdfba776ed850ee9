#include "facts/rule.h"

static bool expr_has_unknown(const struct expr *expr);
static bool statements_have_unknown(const struct statement *statements, size_t count);

static bool elements_have_unknown(const struct element *elements, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (expr_has_unknown(elements[i].key) || expr_has_unknown(elements[i].data) ||
		    statements_have_unknown(elements[i].statements, elements[i].statement_count))
			return true;
	return false;
}

static bool expr_has_unknown(const struct expr *expr)
{
	if (!expr)
		return false;
	switch (expr->kind) {
	case EXPR_UNKNOWN:
		return true;
	case EXPR_RANGE:
	case EXPR_BINARY:
	case EXPR_MAP:
		return expr_has_unknown(expr->pair.left) || expr_has_unknown(expr->pair.right);
	case EXPR_CONCAT:
		for (size_t i = 0; i < expr->concat.count; i++)
			if (expr_has_unknown(expr->concat.items[i]))
				return true;
		return false;
	case EXPR_SET:
		return elements_have_unknown(expr->set.elements, expr->set.count);
	case EXPR_NONE:
	case EXPR_NUMBER:
	case EXPR_IP:
	case EXPR_MAC:
	case EXPR_TEXT:
	case EXPR_WILDCARD:
	case EXPR_BYTES:
	case EXPR_ANY:
	case EXPR_PREFIX:
	case EXPR_VERDICT:
	case EXPR_SET_REF:
	case EXPR_IPSET:
	case EXPR_FIELD:
	case EXPR_FIB:
	case EXPR_PAYLOAD:
	case EXPR_GENERATED:
	case EXPR_KIND_COUNT:
		break;
	}
	return false;
}

static bool statement_has_unknown(const struct statement *statement)
{
	switch (statement->kind) {
	case STATEMENT_UNKNOWN:
		return true;
	case STATEMENT_MATCH:
		return expr_has_unknown(statement->match.left) || expr_has_unknown(statement->match.right);
	case STATEMENT_CONDITION:
		return statement->condition.reason == CONDITION_UNKNOWN ||
		       statement->condition.reason == CONDITION_LACKING;
	case STATEMENT_VERDICT_MAP:
		return expr_has_unknown(statement->verdict_map.key) || expr_has_unknown(statement->verdict_map.map);
	case STATEMENT_NAT:
		return expr_has_unknown(statement->nat.address) || expr_has_unknown(statement->nat.port);
	case STATEMENT_ASSIGN:
		return expr_has_unknown(statement->assign.field) || expr_has_unknown(statement->assign.value);
	case STATEMENT_SET_UPDATE:
		return expr_has_unknown(statement->update.key) || expr_has_unknown(statement->update.data) ||
		       statements_have_unknown(statement->update.statements, statement->update.statement_count);
	case STATEMENT_NONE:
	case STATEMENT_VERDICT:
	case STATEMENT_REJECT:
	case STATEMENT_NOTRACK:
	case STATEMENT_DIVERT:
	case STATEMENT_EFFECT:
	case STATEMENT_KIND_COUNT:
		break;
	}
	return false;
}

static bool statements_have_unknown(const struct statement *statements, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (statement_has_unknown(&statements[i]))
			return true;
	return false;
}

bool rule_has_unknown(const struct rule *rule)
{
	return statements_have_unknown(rule->statements, rule->statement_count);
}
