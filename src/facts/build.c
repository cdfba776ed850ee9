#include "facts/build.h"

#include "facts/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct expr *expr_new(struct arena *arena, enum expr_kind kind, enum datatype type)
{
	struct expr *expr = arena_new_struct(arena, struct expr);

	expr->kind = kind;
	expr->type = type;
	return expr;
}

struct expr *expr_number(struct arena *arena, enum datatype type, uint64_t value)
{
	struct expr *expr = expr_new(arena, EXPR_NUMBER, type);

	expr->number = value;
	return expr;
}

struct expr *expr_text(struct arena *arena, enum expr_kind kind, enum datatype type, const char *text)
{
	struct expr *expr = expr_new(arena, kind, type);

	expr->text = text;
	return expr;
}

static enum datatype type_of_ip(const struct ip *ip)
{
	return ip->family == AF_INET ? TYPE_IP4 : TYPE_IP6;
}

struct expr *expr_ip(struct arena *arena, const struct ip *ip)
{
	struct expr *expr = expr_new(arena, EXPR_IP, type_of_ip(ip));

	expr->ip = *ip;
	return expr;
}

struct expr *expr_prefix(struct arena *arena, const struct prefix *prefix)
{
	struct expr *expr;

	if (prefix->length == ip_bits(&prefix->ip))
		return expr_ip(arena, &prefix->ip);
	expr = expr_new(arena, EXPR_PREFIX, type_of_ip(&prefix->ip));
	expr->prefix = prefix_network(prefix);
	return expr;
}

struct expr *expr_mac(struct arena *arena, const struct mac *mac)
{
	struct expr *expr = expr_new(arena, EXPR_MAC, TYPE_MAC);

	memcpy(expr->mac, mac->bytes, sizeof(expr->mac));
	return expr;
}

struct expr *expr_field(struct arena *arena, enum field field)
{
	struct expr *expr = expr_new(arena, EXPR_FIELD, field_info(field)->type);

	expr->field.field = field;
	return expr;
}

struct expr *expr_other_field(struct arena *arena, const char *name, enum datatype type)
{
	struct expr *expr = expr_new(arena, EXPR_FIELD, type);

	expr->field.field = FIELD_OTHER;
	expr->field.name = name;
	return expr;
}

struct expr *expr_fib(struct arena *arena, uint8_t flags, enum fib_result result)
{
	static const enum datatype types[] = {TYPE_NONE, TYPE_INTERFACE, TYPE_INTERFACE, TYPE_ROUTE_TYPE};
	struct expr *expr = expr_new(arena, EXPR_FIB, types[result]);

	expr->fib.flags = flags;
	expr->fib.result = result;
	return expr;
}

struct expr *expr_pair(struct arena *arena, enum expr_kind kind, enum datatype type, struct expr *left,
		       struct expr *right)
{
	struct expr *expr = expr_new(arena, kind, type);

	expr->pair.left = left;
	expr->pair.right = right;
	return expr;
}

struct expr *expr_binary(struct arena *arena, enum binary_op op, struct expr *left, struct expr *right)
{
	struct expr *expr = expr_pair(arena, EXPR_BINARY, left->type, left, right);

	expr->pair.op = op;
	return expr;
}

struct expr *expr_range(struct arena *arena, struct expr *first, struct expr *last)
{
	return expr_pair(arena, EXPR_RANGE, first->type, first, last);
}

struct expr *expr_concat(struct arena *arena)
{
	return expr_new(arena, EXPR_CONCAT, TYPE_NONE);
}

void expr_concat_add(struct arena *arena, struct expr *concat, struct expr *item)
{
	*arena_push(arena, concat->concat.items, concat->concat.count) = item;
}

struct expr *expr_set(struct arena *arena, enum datatype type)
{
	return expr_new(arena, EXPR_SET, type);
}

struct element *expr_set_add(struct arena *arena, struct expr *set, struct expr *key, struct expr *data)
{
	struct element *element = arena_push(arena, set->set.elements, set->set.count);

	*element = (struct element){.key = key, .data = data};
	return element;
}

struct expr *expr_verdict(struct arena *arena, enum verdict_kind kind, const char *chain)
{
	struct expr *expr = expr_new(arena, EXPR_VERDICT, TYPE_VERDICT);

	expr->verdict.kind = kind;
	expr->verdict.chain = chain;
	return expr;
}

struct expr *expr_unknown(struct pool *pool, struct span text)
{
	return expr_text(pool->arena, EXPR_UNKNOWN, TYPE_NONE, pool_intern(pool, text));
}

bool prefix_is_all(const struct prefix *prefix)
{
	return prefix->length == 0;
}

struct statement *statement_add(struct arena *arena, struct statement **statements, size_t *count,
				enum statement_kind kind)
{
	struct statement *statement = arena_push(arena, *statements, *count);

	memset(statement, 0, sizeof(*statement));
	statement->kind = kind;
	return statement;
}

struct statement *rule_add(struct arena *arena, struct rule *rule, enum statement_kind kind)
{
	return statement_add(arena, &rule->statements, &rule->statement_count, kind);
}

void rule_match(struct arena *arena, struct rule *rule, struct expr *left, enum match_op op, struct expr *right)
{
	struct statement *statement = rule_add(arena, rule, STATEMENT_MATCH);

	statement->match.left = left;
	statement->match.op = op;
	statement->match.right = right;
}

void rule_verdict(struct arena *arena, struct rule *rule, enum verdict_kind kind, const char *chain)
{
	struct statement *statement = rule_add(arena, rule, STATEMENT_VERDICT);

	statement->verdict.kind = kind;
	statement->verdict.chain = chain;
}

void rule_gap(struct pool *pool, struct rule *rule, const char *format, ...)
{
	char *text = NULL;
	const char *kept;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	text_repair(text);
	kept = pool_intern(pool, span_of(text));
	free(text);
	if (rule->understood == UNDERSTOOD_FULLY)
		rule->understood = UNDERSTOOD_PARTLY;
	for (size_t i = 0; i < rule->gap_count; i++)
		if (rule->gaps[i] == kept)
			return;
	texts_push(pool->arena, &rule->gaps, &rule->gap_count, kept);
}

struct table *ruleset_add_table(struct reader *reader, struct ruleset *ruleset, enum backend backend,
				enum family family, const char *name)
{
	struct table *table = ruleset_table(ruleset, backend, family, name);

	if (table)
		return table;
	table = reader_push(reader, ruleset->tables, ruleset->table_count);
	*table = (struct table){
		.backend = backend,
		.family = family,
		.name = pool_text(reader->pool, name),
		.origin = reader_origin(reader),
	};
	return table;
}

struct chain *table_add_chain(struct reader *reader, struct table *table, const char *name)
{
	struct chain *chain = table_chain(table, name);

	if (chain)
		return chain;
	chain = reader_push(reader, table->chains, table->chain_count);
	*chain = (struct chain){.name = pool_text(reader->pool, name), .origin = reader_origin(reader)};
	names_add(reader->pool->arena, &table->chain_names, chain->name);
	return chain;
}

struct rule *chain_add_rule(struct reader *reader, struct chain *chain, uint32_t before)
{
	struct rule *rule = reader_push(reader, chain->rules, chain->rule_count);
	size_t last = chain->rule_count - 1;

	if (before > 0 && before <= last) {
		memmove(&chain->rules[before], &chain->rules[before - 1], (last - before + 1) * sizeof(*rule));
		for (size_t i = before; i <= last; i++)
			chain->rules[i].index++;
		rule = &chain->rules[before - 1];
		last = before - 1;
	}
	*rule = (struct rule){.index = (uint32_t)last + 1, .origin = reader_origin(reader)};
	return rule;
}

void ruleset_cover(struct reader *reader, struct ruleset *ruleset, enum backend backend, enum family family,
		   const char *table, const char *chain)
{
	struct coverage *coverage = reader_push(reader, ruleset->coverage, ruleset->coverage_count);

	*coverage = (struct coverage){.backend = backend,
				      .family = family,
				      .table = pool_text(reader->pool, table),
				      .chain = pool_text(reader->pool, chain),
				      .origin = reader_origin(reader)};
}
