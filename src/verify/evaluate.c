/*
 * Expressions and comparisons. A value is a range, since ports may be one; a comparison with a range is sure where the
 * whole value is inside or outside.
 */
#include "verify/evaluate.h"

#include <string.h>
#include <sys/socket.h>

static const struct value unknown = {.kind = VALUE_UNKNOWN};

/* ---- values ---- */

static wide compute(enum binary_op op, wide a, wide b)
{
	switch (op) {
	case BINARY_AND:
		return a & b;
	case BINARY_OR:
		return a | b;
	case BINARY_XOR:
		return a ^ b;
	case BINARY_LSHIFT:
		return b < 128 ? a << b : 0;
	case BINARY_RSHIFT:
		return b < 128 ? a >> b : 0;
	case BINARY_NONE:
		break;
	}
	return 0;
}

static bool is_exact(const struct value *value)
{
	return value->kind == VALUE_RANGE && value->low == value->high;
}

static struct value value_of(const struct scene *scene, const struct expr *expr);

static struct value binary_value(const struct scene *scene, const struct expr *expr)
{
	struct value left = value_of(scene, expr->pair.left), right = value_of(scene, expr->pair.right);

	if (left.kind == VALUE_ABSENT || right.kind == VALUE_ABSENT)
		return left.kind == VALUE_ABSENT ? left : right;
	if (!is_exact(&left) || !is_exact(&right))
		return unknown;
	left.low = left.high = compute(expr->pair.op, left.low, right.low);
	if (expr->pair.op == BINARY_LSHIFT || expr->type == TYPE_MARK)
		left.low = left.high = left.low & UINT32_MAX;
	return left;
}

static struct value constant_value(const struct expr *expr)
{
	struct stack_part part = stack_part(expr);

	if (part.kind == PART_TEXT)
		return (struct value){.kind = VALUE_TEXT, .text = part.text};
	if (part.kind == PART_RANGE)
		return (struct value){.kind = VALUE_RANGE, .family = part.family, .low = part.low, .high = part.high};
	return unknown;
}

static struct value map_value(const struct scene *scene, const struct expr *expr)
{
	struct values key = evaluate_values(scene, expr->pair.left);
	struct found_element found[2];

	for (size_t i = 0; i < key.count; i++)
		if (key.items[i].kind == VALUE_ABSENT)
			return key.items[i];
	if (evaluate_lookup(scene, expr->pair.right, &key, found, 2) == 0)
		return (struct value){.kind = VALUE_ABSENT};
	if (found[0].truth != TRUTH_YES || !found[0].element->data)
		return unknown;
	return value_of(scene, found[0].element->data);
}

static struct value value_of(const struct scene *scene, const struct expr *expr)
{
	switch (expr->kind) {
	case EXPR_NUMBER:
	case EXPR_IP:
	case EXPR_MAC:
	case EXPR_TEXT:
	case EXPR_BYTES:
	case EXPR_PREFIX:
	case EXPR_RANGE:
		return constant_value(expr);
	case EXPR_FIELD:
		return field_value(scene, expr);
	case EXPR_FIB:
		return fib_value(scene, expr);
	case EXPR_BINARY:
		return binary_value(scene, expr);
	case EXPR_MAP:
		return map_value(scene, expr);
	case EXPR_NONE:
	case EXPR_WILDCARD:
	case EXPR_ANY:
	case EXPR_VERDICT:
	case EXPR_SET:
	case EXPR_SET_REF:
	case EXPR_IPSET:
	case EXPR_PAYLOAD:
	case EXPR_GENERATED:
	case EXPR_CONCAT:
	case EXPR_UNKNOWN:
	case EXPR_KIND_COUNT:
		break;
	}
	return unknown;
}

struct values evaluate_values(const struct scene *scene, const struct expr *expr)
{
	struct values values = {.count = 1};

	if (expr->kind != EXPR_CONCAT) {
		values.items[0] = value_of(scene, expr);
		return values;
	}
	values.count = expr->concat.count < VALUES_MAX ? expr->concat.count : VALUES_MAX;
	for (size_t i = 0; i < values.count; i++)
		values.items[i] = value_of(scene, expr->concat.items[i]);
	return values;
}

static bool any_absent(const struct values *values)
{
	for (size_t i = 0; i < values->count; i++)
		if (values->items[i].kind == VALUE_ABSENT)
			return true;
	return false;
}

/* ---- is a value in a part? ---- */

static enum truth truth_and(enum truth a, enum truth b)
{
	if (a == TRUTH_NO || b == TRUTH_NO)
		return TRUTH_NO;
	return a == TRUTH_YES && b == TRUTH_YES ? TRUTH_YES : TRUTH_UNKNOWN;
}

static enum truth truth_or(enum truth a, enum truth b)
{
	if (a == TRUTH_YES || b == TRUTH_YES)
		return TRUTH_YES;
	return a == TRUTH_NO && b == TRUTH_NO ? TRUTH_NO : TRUTH_UNKNOWN;
}

static enum truth truth_not(enum truth a)
{
	return a == TRUTH_UNKNOWN ? a : a == TRUTH_YES ? TRUTH_NO : TRUTH_YES;
}

static enum truth range_in(const struct value *value, const struct stack_part *part)
{
	if (value->family && part->family && value->family != part->family)
		return TRUTH_NO;
	if (value->low >= part->low && value->high <= part->high)
		return TRUTH_YES;
	return value->high < part->low || value->low > part->high ? TRUTH_NO : TRUTH_UNKNOWN;
}

static enum truth value_in(const struct value *value, const struct stack_part *part)
{
	if (value->kind == VALUE_ABSENT)
		return TRUTH_NO;
	if (part->kind == PART_ANY)
		return TRUTH_YES;
	if (part->kind == PART_UNKNOWN || value->kind == VALUE_UNKNOWN)
		return TRUTH_UNKNOWN;
	if (value->kind == VALUE_RANGE)
		return part->kind == PART_RANGE ? range_in(value, part) : TRUTH_UNKNOWN;
	if (part->kind == PART_RANGE) /* "fib … oif exists": a name where a truth is asked for */
		return truth_of((value->text[0] != '\0') == (part->low != 0));
	if (part->kind == PART_PREFIX)
		return truth_of(strncmp(value->text, part->text, strlen(part->text)) == 0);
	return truth_of(strcmp(value->text, part->text) == 0);
}

static enum truth values_in(const struct values *values, const struct stack_part *parts)
{
	enum truth truth = TRUTH_YES;

	for (size_t i = 0; i < values->count && truth != TRUTH_NO; i++)
		truth = truth_and(truth, value_in(&values->items[i], &parts[i]));
	return truth;
}

/* The same for an element's key as it stands in the facts. */
static enum truth values_in_expr(const struct scene *scene, const struct values *values, const struct expr *key)
{
	enum truth truth = TRUTH_YES;

	if (key->kind == EXPR_ANY)
		return TRUTH_YES;
	if (key->kind != EXPR_CONCAT) {
		struct stack_part part = stack_part(key);

		return values->count == 1 ? value_in(&values->items[0], &part) : TRUTH_UNKNOWN;
	}
	if (key->concat.count != values->count)
		return TRUTH_UNKNOWN;
	for (size_t i = 0; i < values->count && truth != TRUTH_NO; i++) {
		struct stack_part part = stack_part(key->concat.items[i]);

		truth = truth_and(truth, value_in(&values->items[i], &part));
	}
	return truth;
}

/* ---- sets ---- */

struct collector {
	struct found_element *found;
	size_t count, max;
	struct found_element rest; /* the element for everything else: "*" */
};

static void collect(struct collector *collector, const struct element *element, enum truth truth, bool for_rest)
{
	if (truth == TRUTH_NO)
		return;
	if (for_rest) {
		collector->rest = (struct found_element){element, truth};
		return;
	}
	if (truth == TRUTH_YES && collector->count > 0 && collector->count < collector->max)
		collector->found[collector->count++] = collector->found[0];
	if (truth == TRUTH_YES && collector->max > 0) {
		collector->found[0] = (struct found_element){element, truth};
		collector->count = collector->count ? collector->count : 1;
	} else if (collector->count < collector->max) {
		collector->found[collector->count++] = (struct found_element){element, truth};
	}
}

static void collect_ordered(struct collector *collector, const struct stack_set *set, const struct values *key)
{
	const struct value *value = &key->items[0];
	size_t low = 0, high = set->element_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (set->elements[middle].parts[0].high < value->low)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < set->element_count && set->elements[low].parts[0].low <= value->high; low++)
		collect(collector, set->elements[low].element, values_in(key, set->elements[low].parts), false);
}

static void collect_set(struct collector *collector, const struct stack_set *set, const struct values *key)
{
	if (set->ordered && key->count == 1 && key->items[0].kind == VALUE_RANGE) {
		collect_ordered(collector, set, key);
		return;
	}
	for (size_t i = 0; i < set->element_count; i++)
		collect(collector, set->elements[i].element, values_in(key, set->elements[i].parts),
			set->elements[i].element->key->kind == EXPR_ANY);
}

static const struct stack_set *named_set(const struct scene *scene, const struct expr *expr)
{
	return expr->kind == EXPR_SET_REF ? stack_set(scene->chain->table, expr->text) : NULL;
}

size_t evaluate_lookup(const struct scene *scene, const struct expr *map, const struct values *key,
		       struct found_element *ret, size_t max)
{
	struct collector collector = {.found = ret, .max = max};
	const struct stack_set *set = named_set(scene, map);

	if (set) {
		collect_set(&collector, set, key);
	} else if (map->kind == EXPR_SET) {
		for (size_t i = 0; i < map->set.count; i++)
			collect(&collector, &map->set.elements[i], values_in_expr(scene, key, map->set.elements[i].key),
				map->set.elements[i].key->kind == EXPR_ANY);
	}
	if (collector.rest.element && (collector.count == 0 || ret[0].truth != TRUTH_YES) && collector.count < max) {
		if (collector.count)
			collector.rest.truth = TRUTH_UNKNOWN;
		ret[collector.count++] = collector.rest;
	}
	return collector.count;
}

static enum truth in_named_set(const struct scene *scene, const struct stack_set *set, const struct values *values)
{
	struct found_element found[1];
	struct collector collector = {.found = found, .max = 1};

	if (!set)
		return TRUTH_UNKNOWN;
	if (set->part_count != values->count && set->element_count)
		return TRUTH_UNKNOWN;
	collect_set(&collector, set, values);
	if (collector.rest.element)
		return TRUTH_YES;
	if (collector.count == 0)
		return set->complete ? TRUTH_NO : TRUTH_UNKNOWN;
	return found[0].element->statement_count ? TRUTH_UNKNOWN : found[0].truth;
}

/* ---- ipsets ---- */

static wide part_size(const struct stack_part *part)
{
	return part->kind == PART_RANGE ? part->high - part->low : part->kind == PART_ANY ? ~(wide)0 : 0;
}

/* Is a narrower than b? The kernel looks from the longest prefixes to the shortest (ip_set_hash_gen.h). */
static bool is_narrower(const struct stack_set *set, const struct stack_element *a, const struct stack_element *b)
{
	for (size_t i = 0; i < set->part_count; i++) {
		wide x = part_size(&a->parts[i]), y = part_size(&b->parts[i]);

		if (x != y)
			return x < y;
	}
	return false;
}

static enum truth in_ipset(const struct scene *scene, const struct expr *lookup, const char *name, unsigned depth);

/* The members of a list, one after the other. */
static enum truth in_list(const struct scene *scene, const struct stack_set *set, const struct expr *lookup,
			  unsigned depth)
{
	enum truth truth = TRUTH_NO;

	for (size_t i = 0; i < set->element_count && truth != TRUTH_YES; i++)
		if (set->elements[i].parts[0].kind == PART_TEXT)
			truth = truth_or(truth, in_ipset(scene, lookup, set->elements[i].parts[0].text, depth + 1));
	return truth;
}

static enum truth in_elements(const struct stack_set *set, const struct values *key)
{
	const struct stack_element *best = NULL;
	enum truth truth = set->complete ? TRUTH_NO : TRUTH_UNKNOWN;
	bool unsure = false;

	for (size_t i = 0; i < set->element_count; i++) {
		const struct stack_element *element = &set->elements[i];
		enum truth inside = values_in(key, element->parts);

		unsure = unsure || inside == TRUTH_UNKNOWN;
		if (inside == TRUTH_YES && (!best || is_narrower(set, element, best)))
			best = element;
	}
	if (best)
		truth = best->element->nomatch ? TRUTH_NO : TRUTH_YES;
	return unsure && truth != TRUTH_YES ? TRUTH_UNKNOWN : truth;
}

static enum truth in_ipset(const struct scene *scene, const struct expr *lookup, const char *name, unsigned depth)
{
	struct hop *hop = scene->hop;
	const struct stack_set *set = stack_ipset(hop->host, name);
	enum family family = hop->packet.family == AF_INET ? FAMILY_IP : FAMILY_IP6;
	const struct expr *key;
	struct values values;

	if (!set)
		return TRUTH_UNKNOWN;
	if (set->set->type && strcmp(set->set->type, "list:set") == 0)
		return depth < 8 ? in_list(scene, set, lookup, depth) : TRUTH_NO;
	key = ipset_key(hop->walk->arena, set->set, family, lookup);
	if (!key)
		return TRUTH_NO; /* another family's, or too few directions */
	values = evaluate_values(scene, key);
	if (any_absent(&values))
		return TRUTH_NO;
	return set->part_count == values.count || set->element_count == 0 ? in_elements(set, &values) : TRUTH_UNKNOWN;
}

/* ---- matches ---- */

static enum truth is_equal(const struct scene *scene, const struct values *left, const struct expr *right)
{
	enum truth truth = TRUTH_NO;
	struct values values;

	if (right->kind == EXPR_SET_REF)
		return in_named_set(scene, stack_set(scene->chain->table, right->text), left);
	if (right->kind == EXPR_SET) {
		for (size_t i = 0; i < right->set.count && truth != TRUTH_YES; i++)
			truth = truth_or(truth, values_in_expr(scene, left, right->set.elements[i].key));
		return truth;
	}
	if (right->kind != EXPR_FIELD && right->kind != EXPR_BINARY && right->kind != EXPR_FIB &&
	    right->kind != EXPR_MAP)
		return values_in_expr(scene, left, right);
	values = evaluate_values(scene, right);
	if (left->count != 1 || !is_exact(&left->items[0]) || !is_exact(&values.items[0]))
		return TRUTH_UNKNOWN;
	return truth_of(left->items[0].low == values.items[0].low);
}

static enum truth compare(enum match_op op, const struct value *left, const struct value *right)
{
	if (left->kind != VALUE_RANGE || !is_exact(right))
		return TRUTH_UNKNOWN;
	switch (op) {
	case MATCH_LT:
		return left->high < right->low ? TRUTH_YES : left->low >= right->low ? TRUTH_NO : TRUTH_UNKNOWN;
	case MATCH_GE:
		return left->low >= right->low ? TRUTH_YES : left->high < right->low ? TRUTH_NO : TRUTH_UNKNOWN;
	case MATCH_GT:
		return left->low > right->low ? TRUTH_YES : left->high <= right->low ? TRUTH_NO : TRUTH_UNKNOWN;
	case MATCH_LE:
		return left->high <= right->low ? TRUTH_YES : left->low > right->low ? TRUTH_NO : TRUTH_UNKNOWN;
	case MATCH_ANY_BIT:
		return is_exact(left) ? truth_of((left->low & right->low) != 0) : TRUTH_UNKNOWN;
	case MATCH_NO_BIT:
		return is_exact(left) ? truth_of((left->low & right->low) == 0) : TRUTH_UNKNOWN;
	case MATCH_NONE:
	case MATCH_EQ:
	case MATCH_NEQ:
		break;
	}
	return TRUTH_UNKNOWN;
}

static enum truth match_values(const struct scene *scene, const struct values *left, enum match_op op,
			       const struct expr *right)
{
	struct value value;

	if (any_absent(left))
		return TRUTH_NO;
	if (op == MATCH_EQ)
		return is_equal(scene, left, right);
	if (op == MATCH_NEQ)
		return truth_not(is_equal(scene, left, right));
	value = value_of(scene, right);
	return compare(op, &left->items[0], &value);
}

/* Either port: "==" holds if one of them does, "!=" if neither does. */
static enum truth match_any_port(const struct scene *scene, enum match_op op, const struct expr *right)
{
	static const struct expr source = {.kind = EXPR_FIELD, .field = {.field = FIELD_TH_SPORT}},
				 destination = {.kind = EXPR_FIELD, .field = {.field = FIELD_TH_DPORT}};
	struct values sport = evaluate_values(scene, &source), dport = evaluate_values(scene, &destination);
	enum truth truth;

	if (any_absent(&sport))
		return TRUTH_NO;
	truth = truth_or(is_equal(scene, &sport, right), is_equal(scene, &dport, right));
	return op == MATCH_NEQ ? truth_not(truth) : truth;
}

/*
 * addrtype of ip6tables (xt_addrtype.c, match_type6): every type that is asked for must hold, and an address is unicast
 * also where it is the host's own.
 */
static enum truth match_type6(const struct scene *scene, const struct expr *fib, const struct expr *right)
{
	struct hop *hop = scene->hop;
	const struct ip *address = fib->fib.flags & FIB_SADDR ? &hop->packet.src : &hop->packet.dst;
	bool multicast = ip_is_multicast(address), any = ip_is_any(address), routed = false;
	struct value type = fib_value(scene, fib);
	enum truth truth = TRUTH_YES;

	for (uint64_t kind = 0; kind <= ROUTE_TYPE_XRESOLVE; kind++) {
		struct values wanted = {.items = {value_of_number(kind)}, .count = 1};

		if (is_equal(scene, &wanted, right) != TRUTH_YES)
			continue;
		if ((kind == ROUTE_TYPE_MULTICAST && !multicast) ||
		    (kind == ROUTE_TYPE_UNICAST && (multicast || any)) || (kind == ROUTE_TYPE_UNSPEC && !any))
			return TRUTH_NO;
		if (kind == ROUTE_TYPE_LOCAL || kind == ROUTE_TYPE_ANYCAST || kind == ROUTE_TYPE_UNREACHABLE) {
			struct stack_part part = {.kind = PART_RANGE, .low = kind, .high = kind};

			truth = truth_or(routed ? truth : TRUTH_NO, value_in(&type, &part));
			routed = true;
		}
	}
	return truth;
}

static bool is_type6(const struct scene *scene, const struct expr *left)
{
	return left->kind == EXPR_FIB && left->fib.result == FIB_RESULT_TYPE && scene->hop->packet.family == AF_INET6 &&
	       scene->chain->table->table->backend != BACKEND_NFTABLES;
}

enum truth evaluate_match(const struct scene *scene, const struct statement *statement)
{
	const struct expr *left = statement->match.left, *right = statement->match.right;
	struct values values;

	if (right->kind == EXPR_IPSET) {
		enum truth truth = in_ipset(scene, right, right->ipset.name, 0);

		return statement->match.op == MATCH_NEQ ? truth_not(truth) : truth;
	}
	if (left->kind == EXPR_FIELD && left->field.field == FIELD_XT_PORT)
		return match_any_port(scene, statement->match.op, right);
	if (is_type6(scene, left)) {
		enum truth truth = match_type6(scene, left, right);

		return statement->match.op == MATCH_NEQ ? truth_not(truth) : truth;
	}
	values = evaluate_values(scene, left);
	return match_values(scene, &values, statement->match.op, right);
}
