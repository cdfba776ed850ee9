#include "facts/print.h"

#include "facts/ruleset.h"

#include <inttypes.h>
#include <string.h>

enum { DEPTH_MAX = 60 };

static void print_at(struct strbuf *out, const struct expr *expr, unsigned depth);
static void print_statements(struct strbuf *out, const struct statement *statements, size_t count, unsigned depth);

static void print_verdict(struct strbuf *out, const struct verdict *verdict)
{
	strbuf_add(out, verdict->kind ? verdict_name(verdict->kind) : "?");
	if (verdict->chain)
		strbuf_printf(out, " %s", verdict->chain);
	if (verdict->kind == VERDICT_QUEUE)
		strbuf_printf(out, "%s to %s", verdict->bypass ? " flags bypass" : "",
			      verdict->queue ? verdict->queue : "0");
}

/* Flags by their names, in the order of their bits. */
static void print_bits(struct strbuf *out, enum datatype type, uint64_t bits, const char *separator)
{
	bool first = true;

	for (unsigned i = 0; i < 64; i++) {
		uint64_t bit = (uint64_t)1 << i;
		const char *name = bits & bit ? symbol_name(type, bit) : NULL;

		if (!(bits & bit))
			continue;
		if (!first)
			strbuf_add(out, separator);
		if (name)
			strbuf_add(out, name);
		else
			strbuf_printf(out, "0x%" PRIx64, bit);
		first = false;
	}
	if (first)
		strbuf_add(out, "0x0");
}

static void print_number(struct strbuf *out, enum datatype type, uint64_t number)
{
	bool plain = type == TYPE_PORT || type == TYPE_USER || type == TYPE_GROUP;
	const char *name = plain ? NULL : symbol_name(type, number);

	if (datatype_is_bits(type))
		print_bits(out, type, number, ",");
	else if (name)
		strbuf_add(out, name);
	else if (type == TYPE_MARK)
		strbuf_printf(out, "0x%08" PRIx64, number);
	else if (type == TYPE_TIME)
		strbuf_printf(out, "%" PRIu64 "ms", number);
	else if (type == TYPE_CLASSID)
		strbuf_printf(out, "%" PRIx64 ":%" PRIx64, number >> 16, number & 0xffff);
	else
		strbuf_printf(out, "%" PRIu64, number);
}

/* A comma means another thing in sets, and in operations. */
static void print_operand(struct strbuf *out, const struct expr *expr, unsigned depth)
{
	if (expr && expr->kind == EXPR_NUMBER && datatype_is_bits(expr->type))
		print_bits(out, expr->type, expr->number, " | ");
	else
		print_at(out, expr, depth);
}

static void print_element(struct strbuf *out, const struct element *element, unsigned depth)
{
	print_operand(out, element->key, depth);
	if (element->nomatch)
		strbuf_add(out, " nomatch");
	if (element->statement_count > 0) {
		strbuf_add_char(out, ' ');
		print_statements(out, element->statements, element->statement_count, depth);
	}
	if (element->data) {
		strbuf_add(out, " : ");
		print_at(out, element->data, depth);
	}
}

static void print_set(struct strbuf *out, const struct element *elements, size_t count, unsigned depth)
{
	strbuf_add(out, "{ ");
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			strbuf_add(out, ", ");
		print_element(out, &elements[i], depth);
	}
	strbuf_add(out, " }");
}

static void print_field(struct strbuf *out, const struct expr *expr)
{
	static const char *const directions[] = {"", "original ", "reply "};
	const struct field_info *info = field_info(expr->field.field);

	if (expr->field.field == FIELD_OTHER)
		strbuf_add(out, expr->field.name ? expr->field.name : "?");
	else
		strbuf_printf(out, "%s %s%s", info->space, directions[expr->field.direction], info->key);
}

static void print_fib(struct strbuf *out, const struct expr *expr)
{
	static const char *const flags[] = {"saddr", "daddr", "mark", "iif", "oif"}, *const results[] = {"?", "oif",
													 "oifname",
													 "type"};
	bool first = true;

	strbuf_add(out, "fib ");
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (!(expr->fib.flags >> i & 1))
			continue;
		strbuf_printf(out, "%s%s", first ? "" : " . ", flags[i]);
		first = false;
	}
	strbuf_printf(out, " %s", results[expr->fib.result]);
}

static void print_pair(struct strbuf *out, const struct expr *expr, unsigned depth)
{
	static const char *const ops[] = {"?", "&", "|", "^", "<<", ">>"};
	const struct expr *right;

	if (expr->kind == EXPR_BINARY)
		strbuf_add_char(out, '(');
	print_at(out, expr->pair.left, depth);
	if (expr->kind == EXPR_RANGE)
		strbuf_add_char(out, '-');
	else
		strbuf_printf(out, " %s ", expr->kind == EXPR_MAP ? "map" : ops[expr->pair.op]);
	right = expr->pair.right;
	if (expr->kind == EXPR_BINARY && right && right->kind == EXPR_NUMBER && datatype_is_bits(right->type)) {
		strbuf_add_char(out, '(');
		print_operand(out, right, depth);
		strbuf_add_char(out, ')');
	} else {
		print_at(out, right, depth);
	}
	if (expr->kind == EXPR_BINARY)
		strbuf_add_char(out, ')');
}

static void print_ipset(struct strbuf *out, const struct expr *expr)
{
	strbuf_printf(out, "<ipset %s", expr->ipset.name);
	for (unsigned i = 0; i < expr->ipset.dimension; i++)
		strbuf_printf(out, "%c%s", i ? ',' : ' ', expr->ipset.directions >> i & 1 ? "dst" : "src");
	strbuf_add_char(out, '>');
}

static void print_payload(struct strbuf *out, const struct expr *expr)
{
	static const char *const bases[] = {"?", "ll", "nh", "th", "ih"};

	strbuf_printf(out, "@%s,%" PRIu32 ",%" PRIu32, bases[expr->payload.base], expr->payload.offset,
		      expr->payload.length);
}

static void print_at(struct strbuf *out, const struct expr *expr, unsigned depth)
{
	char text[PREFIX_TEXT_SIZE];

	if (!expr || depth >= DEPTH_MAX) {
		strbuf_add(out, "?");
		return;
	}
	depth++;
	switch (expr->kind) {
	case EXPR_NUMBER:
		print_number(out, expr->type, expr->number);
		break;
	case EXPR_IP:
		strbuf_add(out, ip_format(&expr->ip, text));
		break;
	case EXPR_MAC:
		strbuf_add(out, mac_format(expr->mac, text));
		break;
	case EXPR_TEXT:
		strbuf_printf(out, "\"%s\"", expr->text);
		break;
	case EXPR_WILDCARD:
		strbuf_printf(out, "\"%s*\"", expr->text);
		break;
	case EXPR_BYTES:
	case EXPR_GENERATED:
		strbuf_add(out, expr->text);
		break;
	case EXPR_ANY:
		strbuf_add_char(out, '*');
		break;
	case EXPR_PREFIX:
		strbuf_add(out, prefix_format(&expr->prefix, text));
		break;
	case EXPR_RANGE:
	case EXPR_BINARY:
	case EXPR_MAP:
		print_pair(out, expr, depth);
		break;
	case EXPR_VERDICT:
		print_verdict(out, &expr->verdict);
		break;
	case EXPR_SET:
		print_set(out, expr->set.elements, expr->set.count, depth);
		break;
	case EXPR_SET_REF:
		strbuf_printf(out, "@%s", expr->text);
		break;
	case EXPR_IPSET:
		print_ipset(out, expr);
		break;
	case EXPR_FIELD:
		print_field(out, expr);
		break;
	case EXPR_FIB:
		print_fib(out, expr);
		break;
	case EXPR_PAYLOAD:
		print_payload(out, expr);
		break;
	case EXPR_CONCAT:
		for (size_t i = 0; i < expr->concat.count; i++) {
			strbuf_add(out, i ? " . " : "");
			print_at(out, expr->concat.items[i], depth);
		}
		break;
	case EXPR_UNKNOWN:
		strbuf_printf(out, "<unknown: %s>", expr->text);
		break;
	case EXPR_NONE:
	case EXPR_KIND_COUNT:
		strbuf_add_char(out, '?');
		break;
	}
}

void print_expr(struct strbuf *out, const struct expr *expr)
{
	print_at(out, expr, 0);
}

static void print_match(struct strbuf *out, const struct statement *statement, unsigned depth)
{
	static const char *const ops[] = {"?", "", "!= ", "< ", "> ", "<= ", ">= ", "", "! "};
	const struct expr *left = statement->match.left;
	enum match_op op = statement->match.op;
	/* "tcp flags syn" asks for the bit, "tcp flags == syn" for this value alone */
	bool exact = op == MATCH_EQ && left && left->kind == EXPR_FIELD && datatype_is_bits(left->type) &&
		     statement->match.right && statement->match.right->kind == EXPR_NUMBER;

	if (left) {
		print_at(out, left, depth);
		strbuf_add_char(out, ' ');
	}
	strbuf_add(out, exact || (op == MATCH_EQ && left && left->kind == EXPR_BINARY) ? "== " : ops[op]);
	print_at(out, statement->match.right, depth);
}

static void print_arguments(struct strbuf *out, const struct argument *arguments, size_t count)
{
	for (size_t i = 0; i < count; i++)
		strbuf_printf(out, "%s%s%s%s%s", arguments[i].negated ? " !" : "", *arguments[i].name ? " " : "",
			      arguments[i].name, arguments[i].value ? " " : "",
			      arguments[i].value ? arguments[i].value : "");
}

static void print_condition(struct strbuf *out, const struct statement *statement)
{
	strbuf_printf(out, "<%s%s%s", statement->condition.reason == CONDITION_UNKNOWN ? "unknown: " : "",
		      statement->condition.negated ? "not " : "", statement->condition.name);
	print_arguments(out, statement->condition.arguments, statement->condition.argument_count);
	strbuf_add_char(out, '>');
}

static void print_reject(struct strbuf *out, const struct statement *statement)
{
	static const struct {
		const char *word;
		enum datatype type;
	} kinds[] = {{"?"}, {"icmp", TYPE_ICMP_CODE}, {"icmpv6", TYPE_ICMPV6_CODE}, {"icmpx", TYPE_ICMPX_CODE}};

	strbuf_add(out, "reject with ");
	if (statement->reject.with == REJECT_TCP_RESET) {
		strbuf_add(out, "tcp reset");
		return;
	}
	strbuf_printf(out, "%s ", kinds[statement->reject.with].word);
	print_number(out, kinds[statement->reject.with].type, statement->reject.code.value);
}

static void print_nat(struct strbuf *out, const struct nat *nat, unsigned depth)
{
	static const char *const kinds[] = {"?", "snat", "dnat", "masquerade", "redirect", "<netmap>"};
	const struct {
		bool set;
		const char *word;
	} flags[] = {{nat->random, "random"}, {nat->fully_random, "fully-random"}, {nat->persistent, "persistent"}};
	bool first = true;

	strbuf_add(out, kinds[nat->kind]);
	if (nat->address_is_both)
		strbuf_add(out, " addr . port");
	else if (nat->netmap)
		strbuf_add(out, " prefix");
	if (nat->address || nat->port)
		strbuf_add(out, " to");
	if (nat->address) {
		strbuf_add_char(out, ' ');
		print_at(out, nat->address, depth);
	}
	if (nat->port) {
		strbuf_add(out, " :");
		print_at(out, nat->port, depth);
	}
	if (nat->base.known)
		strbuf_printf(out, " <from %" PRIu64 ">", nat->base.value);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (!flags[i].set)
			continue;
		strbuf_printf(out, "%c%s", first ? ' ' : ',', flags[i].word);
		first = false;
	}
}

static void print_update(struct strbuf *out, const struct statement *statement, unsigned depth)
{
	static const char *const ops[] = {"?", "add", "update", "delete", "meter"};

	strbuf_printf(out, "%s %s%s { ", ops[statement->update.op], statement->update.ipset ? "<ipset> " : "@",
		      statement->update.set);
	if (statement->update.key)
		print_at(out, statement->update.key, depth);
	if (statement->update.statement_count > 0) {
		strbuf_add_char(out, ' ');
		print_statements(out, statement->update.statements, statement->update.statement_count, depth);
	}
	if (statement->update.data) {
		strbuf_add(out, " : ");
		print_at(out, statement->update.data, depth);
	}
	strbuf_add(out, " }");
}

static void print_statement_at(struct strbuf *out, const struct statement *statement, unsigned depth)
{
	switch (statement->kind) {
	case STATEMENT_MATCH:
		print_match(out, statement, depth);
		break;
	case STATEMENT_CONDITION:
		print_condition(out, statement);
		break;
	case STATEMENT_VERDICT:
		print_verdict(out, &statement->verdict);
		break;
	case STATEMENT_VERDICT_MAP:
		print_at(out, statement->verdict_map.key, depth);
		strbuf_add(out, " vmap ");
		print_at(out, statement->verdict_map.map, depth);
		break;
	case STATEMENT_REJECT:
		print_reject(out, statement);
		break;
	case STATEMENT_NAT:
		print_nat(out, &statement->nat, depth);
		break;
	case STATEMENT_ASSIGN:
		print_at(out, statement->assign.field, depth);
		strbuf_add(out, " set ");
		print_at(out, statement->assign.value, depth);
		break;
	case STATEMENT_NOTRACK:
		strbuf_add(out, "notrack");
		break;
	case STATEMENT_SET_UPDATE:
		print_update(out, statement, depth);
		break;
	case STATEMENT_DIVERT:
	case STATEMENT_EFFECT:
		strbuf_printf(out, "<%s", statement->action.name);
		print_arguments(out, statement->action.arguments, statement->action.argument_count);
		strbuf_add_char(out, '>');
		break;
	case STATEMENT_UNKNOWN:
		strbuf_printf(out, "<unknown: %s>", statement->text);
		break;
	case STATEMENT_NONE:
	case STATEMENT_KIND_COUNT:
		break;
	}
}

static void print_statements(struct strbuf *out, const struct statement *statements, size_t count, unsigned depth)
{
	if (depth >= DEPTH_MAX)
		return;
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			strbuf_add_char(out, ' ');
		print_statement_at(out, &statements[i], depth + 1);
	}
}

void print_statement(struct strbuf *out, const struct statement *statement)
{
	print_statement_at(out, statement, 0);
}

void print_rule(struct strbuf *out, const struct rule *rule)
{
	bool first = true;

	strbuf_add(out, "");
	for (size_t i = 0; i < rule->statement_count; i++) {
		if (rule->statements[i].kind == STATEMENT_EFFECT)
			continue;
		if (!first)
			strbuf_add_char(out, ' ');
		print_statement(out, &rule->statements[i]);
		first = false;
	}
}
