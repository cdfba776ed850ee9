#include "verify/match_part.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- sets ---- */

/* What is looked up: one selector, or one for each part of a concatenation. */
struct key {
	struct selector parts[16];
	size_t count;
};

static struct key key_of(const struct match_scope *scope, const struct expr *expr)
{
	struct key key = {.count = 1};

	if (expr->kind != EXPR_CONCAT) {
		key.parts[0] = selector_of(scope, expr);
		return key;
	}
	key.count = expr->concat.count < 16 ? expr->concat.count : 16;
	for (size_t i = 0; i < key.count; i++)
		key.parts[i] = selector_of(scope, expr->concat.items[i]);
	return key;
}

static struct bounds key_exists(const struct match_scope *scope, const struct key *key)
{
	struct bounds exists = bounds_exactly(PSET_FULL);

	for (size_t i = 0; i < key->count; i++)
		exists = bounds_and(scope->space, exists,
				    key->parts[i].coding == CODING_NONE ? BOUNDS_UNKNOWN
									: selector_exists(scope, &key->parts[i]));
	return exists;
}

/* Of a concatenation only this part is open where a packet may not have what it asks for: the others still decide. */
static struct bounds part_within(const struct match_scope *scope, const struct key *key, size_t part,
				 struct bounds bounds)
{
	const struct selector *selector = &key->parts[part];

	if (key->count == 1 || selector->coding == CODING_NONE)
		return bounds;
	return bounds_within(scope->space, bounds, selector_exists(scope, selector));
}

/* What is looked up is there: what was found, for such packets. */
static struct bounds key_within(const struct match_scope *scope, const struct key *key, struct bounds bounds)
{
	struct bounds exists = key_exists(scope, key);

	return key->count == 1 ? bounds_within(scope->space, bounds, exists) : bounds_and(scope->space, bounds, exists);
}

static struct bounds in_element(const struct match_scope *scope, const struct key *key, const struct stack_part *parts,
				size_t count)
{
	struct bounds bounds = bounds_exactly(PSET_FULL);

	for (size_t i = 0; i < key->count; i++)
		bounds = bounds_and(scope->space, bounds,
				    i < count ? part_within(scope, key, i, match_part(scope, &key->parts[i], &parts[i]))
					      : BOUNDS_UNKNOWN);
	return bounds;
}

static struct bounds or_all(struct space *space, struct bounds *all, size_t count)
{
	if (count == 0)
		return bounds_exactly(PSET_EMPTY);
	for (size_t step = 1; step < count; step *= 2)
		for (size_t i = 0; i + step < count; i += 2 * step)
			all[i] = bounds_or(space, all[i], all[i + step]);
	return all[0];
}

static bool has_exceptions(const struct stack_set *set)
{
	for (size_t i = 0; i < set->element_count; i++)
		if (set->elements[i].element->nomatch)
			return true;
	return false;
}

/* How many of all values an element holds, roughly: the sum of its parts' free bits. */
static unsigned generality(const struct stack_set *set, const struct stack_element *element)
{
	unsigned bits = 0;

	for (size_t i = 0; i < set->part_count; i++)
		for (wide span = element->parts[i].high - element->parts[i].low; span; span >>= 1)
			bits++;
	return bits;
}

/* The narrowest element that fits decides, and it may be an exception (ipset(8), nomatch). */
static struct bounds in_set_with_exceptions(const struct match_scope *scope, const struct key *key,
					    const struct stack_set *set)
{
	struct bounds bounds = bounds_exactly(PSET_EMPTY);

	for (unsigned bits = 256; bits-- > 0;) {
		for (size_t i = 0; i < set->element_count; i++) {
			const struct stack_element *element = &set->elements[i];
			struct bounds in;

			if (generality(set, element) != bits)
				continue;
			in = in_element(scope, key, element->parts, set->part_count);
			bounds = element->element->nomatch ? bounds_minus(scope->space, bounds, in)
							   : bounds_or(scope->space, bounds, in);
		}
	}
	return bounds;
}

static struct bounds in_elements(const struct match_scope *scope, const struct key *key, const struct stack_set *set)
{
	struct gathering gathering;
	struct bounds *all, bounds;

	if (has_exceptions(set))
		return in_set_with_exceptions(scope, key, set);
	if (key->count == 1) {
		gathering = gathering_new(scope, &key->parts[0]);
		for (size_t i = 0; i < set->element_count; i++)
			gathering_add(&gathering, &set->elements[i].parts[0]);
		return gathering_end(&gathering);
	}
	all = calloc(set->element_count + 1, sizeof(*all));
	if (!all)
		abort();
	for (size_t i = 0; i < set->element_count; i++)
		all[i] = in_element(scope, key, set->elements[i].parts, set->part_count);
	bounds = or_all(scope->space, all, set->element_count);
	free(all);
	return bounds;
}

static struct bounds in_named_set(const struct match_scope *scope, const struct key *key, const struct stack_set *set)
{
	struct bounds bounds;

	if (!set || set->changing)
		return BOUNDS_UNKNOWN;
	bounds = in_elements(scope, key, set);
	if (!set->complete)
		bounds.may = PSET_FULL;
	return bounds;
}

static size_t element_parts(const struct expr *key, const struct expr *const **ret, const struct expr **single)
{
	if (key->kind == EXPR_CONCAT) {
		*ret = (const struct expr *const *)key->concat.items;
		return key->concat.count;
	}
	*single = key;
	*ret = single;
	return 1;
}

static struct bounds in_expr(const struct match_scope *scope, const struct key *key, const struct expr *right)
{
	const struct expr *const *items, *single;
	struct bounds bounds = bounds_exactly(PSET_FULL);
	size_t count;

	if (right->kind == EXPR_SET_REF)
		return in_named_set(scope, key, scope->table ? stack_set(scope->table, right->text) : NULL);
	if (right->kind == EXPR_SET) {
		struct bounds *all = calloc(right->set.count + 1, sizeof(*all));

		if (!all)
			abort();
		for (size_t i = 0; i < right->set.count; i++)
			all[i] = in_expr(scope, key, right->set.elements[i].key);
		bounds = or_all(scope->space, all, right->set.count);
		free(all);
		return bounds;
	}
	count = element_parts(right, &items, &single);
	for (size_t i = 0; i < key->count; i++) {
		struct key part = {.parts = {key->parts[i]}, .count = 1};
		struct stack_part constant;

		if (i >= count)
			break;
		if (items[i]->kind == EXPR_SET) { /* "5060" as a port of TCP and of UDP */
			bounds = bounds_and(scope->space, bounds,
					    part_within(scope, key, i, in_expr(scope, &part, items[i])));
			continue;
		}
		constant = stack_part(items[i]);
		bounds = bounds_and(scope->space, bounds,
				    part_within(scope, key, i, match_part(scope, &part.parts[0], &constant)));
	}
	return bounds;
}

/* An unnamed set of single values: the usual `tcp dport { 22, 80 }`, without a diagram for each element. */
static struct bounds in_plain_set(const struct match_scope *scope, const struct selector *selector,
				  const struct expr *right)
{
	struct gathering gathering = gathering_new(scope, selector);

	for (size_t i = 0; i < right->set.count; i++) {
		struct stack_part part = stack_part(right->set.elements[i].key);

		gathering_add(&gathering, &part);
	}
	return gathering_end(&gathering);
}

static struct bounds is_in(const struct match_scope *scope, const struct key *key, const struct expr *right)
{
	if (right->kind == EXPR_SET && key->count == 1)
		return in_plain_set(scope, &key->parts[0], right);
	return in_expr(scope, key, right);
}

struct bounds match_element(const struct match_scope *scope, const struct expr *key_expr, const struct element *element)
{
	struct key key = key_of(scope, key_expr);

	return key_within(scope, &key, in_expr(scope, &key, element->key));
}

/* ---- ipsets ---- */

static struct bounds in_ipset(const struct match_scope *scope, const struct stack_set *set, const struct expr *lookup,
			      unsigned depth);

/* A set of sets: each of them is looked up in turn. */
static struct bounds in_list(const struct match_scope *scope, const struct stack_set *list, const struct expr *lookup,
			     unsigned depth)
{
	struct bounds bounds = bounds_exactly(PSET_EMPTY);

	for (size_t i = 0; i < list->element_count; i++) {
		const struct stack_part *part = &list->elements[i].parts[0];
		const struct stack_set *member =
			part->kind == PART_TEXT ? stack_ipset(scope->table->host, part->text) : NULL;

		bounds = bounds_or(scope->space, bounds,
				   depth < 4 ? in_ipset(scope, member, lookup, depth + 1) : BOUNDS_UNKNOWN);
	}
	return bounds;
}

static struct bounds in_ipset(const struct match_scope *scope, const struct stack_set *set, const struct expr *lookup,
			      unsigned depth)
{
	enum family family = scope->table->table->family;
	struct match_scope looking = *scope;
	struct expr *key_expr;
	struct key key;

	if (!set)
		return BOUNDS_UNKNOWN;
	if (set->set->type && strncmp(set->set->type, "list:", 5) == 0)
		return in_list(scope, set, lookup, depth);
	key_expr = ipset_key(scope->arena, set->set, family, lookup);
	if (!key_expr) /* of another family, or asked with too few directions: the kernel finds nothing */
		return set->set->type ? bounds_exactly(PSET_EMPTY) : BOUNDS_UNKNOWN;
	looking.ports = set->set->type && strcmp(set->set->type, "bitmap:port") == 0 ? PORTS_OF_BITMAP : PORTS_OF_SET;
	key = key_of(&looking, key_expr);
	return key_within(scope, &key, in_named_set(scope, &key, set));
}

/* ---- statements ---- */

static struct bounds compare(const struct match_scope *scope, const struct selector *selector, enum match_op op,
			     const struct expr *right)
{
	struct stack_part part = stack_part(right);
	wide bound = part.low;

	if (part.kind != PART_RANGE)
		return BOUNDS_UNKNOWN;
	part.low = 0;
	part.high = ~(wide)0;
	if (part.family == AF_INET)
		part.high = UINT32_MAX;
	if ((op == MATCH_LT && bound == 0) || (op == MATCH_GT && bound == part.high))
		return bounds_exactly(PSET_EMPTY);
	if (op == MATCH_LT)
		part.high = bound - 1;
	else if (op == MATCH_LE)
		part.high = bound;
	else if (op == MATCH_GT)
		part.low = bound + 1;
	else
		part.low = bound;
	return match_part(scope, selector, &part);
}

/* Any of these bits is set. States of iptables' SNAT and DNAT are bits of the connection's status. */
static struct bounds any_bit(const struct match_scope *scope, const struct selector *selector, const struct expr *right)
{
	struct stack_part part = stack_part(right);
	struct gathering gathering = gathering_new(scope, selector);
	wide status = 0, all = match_ones(selector->bits.count);
	pset set;

	if (part.kind != PART_RANGE || part.low != part.high || selector->shift)
		return BOUNDS_UNKNOWN;
	if (selector->coding == CODING_KIND) {
		for (size_t i = 0; i < selector->kind_count; i++)
			if (selector->kinds[i].number & part.low)
				gathering_add_kinds(&gathering, selector->kinds[i].number, selector->kinds[i].number);
		if (selector->bits.field == PSET_STATE) {
			status |= part.low & CT_STATE_SNAT ? CT_STATUS_SNAT : 0;
			status |= part.low & CT_STATE_DNAT ? CT_STATUS_DNAT : 0;
		}
		set = match_masked(scope, pset_bits_of(PSET_STATUS), 0, status);
		if (status)
			gathering_add_bounds(&gathering, bounds_exactly(pset_not(scope->space, set)));
		return gathering_end(&gathering);
	}
	if (selector->coding != CODING_NUMBER || (selector->flip & all))
		return BOUNDS_UNKNOWN;
	set = match_masked(scope, selector->bits, 0, part.low & selector->mask & all);
	return bounds_exactly(pset_not(scope->space, set));
}

static struct bounds compare_with(const struct match_scope *scope, const struct selector *selector,
				  const struct statement *statement)
{
	const struct expr *right = statement->match.right;
	struct key key = {.parts = {*selector}, .count = 1};

	switch (statement->match.op) {
	case MATCH_EQ:
	case MATCH_NEQ:
		return is_in(scope, &key, right);
	case MATCH_LT:
	case MATCH_GT:
	case MATCH_LE:
	case MATCH_GE:
		return compare(scope, selector, statement->match.op, right);
	case MATCH_ANY_BIT:
	case MATCH_NO_BIT:
		return any_bit(scope, selector, right);
	case MATCH_NONE:
		break;
	}
	return BOUNDS_UNKNOWN;
}

static void match_one(const struct match_scope *scope, const struct statement *statement,
		      const struct selector *selector, bool negated, struct conditions *ret)
{
	struct space *space = scope->space;
	struct bounds bounds;

	if (selector->coding == CODING_NONE) {
		conditions_add(space, ret, BOUNDS_UNKNOWN);
		return;
	}
	bounds = compare_with(scope, selector, statement);
	if (selector->other) /* "!=" holds if neither of the two is it */
		bounds = bounds_or(space, bounds, compare_with(scope, selector->other, statement));
	if (negated)
		bounds = bounds_not(space, bounds);
	for (size_t i = 0; i < selector->exist_count; i++)
		conditions_add(space, ret, bounds_exactly(selector->exists[i]));
	conditions_add(space, ret, selector_within(scope, selector, bounds));
}

/* To addrtype of ip6tables an address is unicast also where it is the host's own (xt_addrtype.c, match_type6()). */
static struct bounds or_unicast6(const struct match_scope *scope, const struct expr *fib, struct bounds others)
{
	enum pset_field field = fib->fib.flags & FIB_SADDR ? PSET_SADDR : PSET_DADDR;
	pset ip6 = pset_kind(scope->space, PSET_FAMILY, PSET_IP6);
	pset unicast = pset_interval(scope->space, field, 1, ((wide)0xff << 120) - 1); /* neither :: nor ff00::/8 */
	struct bounds ip4 = bounds_and(scope->space, others, bounds_exactly(pset_not(scope->space, ip6)));

	return bounds_or(scope->space, ip4, bounds_exactly(pset_and(scope->space, ip6, unicast)));
}

static struct bounds match_type(const struct match_scope *scope, const struct expr *fib, uint8_t type)
{
	struct bounds bounds = scope->routing->type(scope->routing->context, fib, type);
	bool xtables = scope->table && scope->table->table->backend != BACKEND_NFTABLES;

	return xtables && type == ROUTE_TYPE_UNICAST ? or_unicast6(scope, fib, bounds) : bounds;
}

static struct bounds match_fib(const struct match_scope *scope, const struct statement *statement)
{
	const struct match_routing *routing = scope->routing;
	const struct expr *fib = statement->match.left, *right = statement->match.right;
	const struct element single = {.key = (struct expr *)right}, *elements = &single;
	struct bounds bounds = bounds_exactly(PSET_EMPTY);
	size_t count = 1;

	if (!routing || (statement->match.op != MATCH_EQ && statement->match.op != MATCH_NEQ))
		return BOUNDS_UNKNOWN;
	if (right->kind == EXPR_SET) {
		elements = right->set.elements;
		count = right->set.count;
	}
	for (size_t i = 0; i < count; i++) {
		struct stack_part part = stack_part(elements[i].key);
		struct bounds one = BOUNDS_UNKNOWN;

		if (part.kind == PART_RANGE && part.low == part.high && fib->fib.result == FIB_RESULT_TYPE)
			one = match_type(scope, fib, (uint8_t)part.low);
		else if (part.kind == PART_RANGE && elements[i].key->type == TYPE_BOOLEAN)
			one = routing->exists(routing->context, fib);
		else if (part.kind == PART_TEXT)
			one = routing->oif(routing->context, fib,
					   (struct interval){wide_of_name(part.text), wide_of_name(part.text)});
		else if (part.kind == PART_PREFIX)
			one = routing->oif(routing->context, fib, interval_of_wildcard(part.text));
		if (part.kind == PART_RANGE && elements[i].key->type == TYPE_BOOLEAN && part.low == 0)
			one = bounds_not(scope->space, one);
		bounds = bounds_or(scope->space, bounds, one);
	}
	return statement->match.op == MATCH_NEQ ? bounds_not(scope->space, bounds) : bounds;
}

/* Interfaces of a kind ("tun", "veth"): those of the host, by their names. */
static struct bounds match_link_kind(const struct match_scope *scope, const struct statement *statement)
{
	bool in = statement->match.left->field.field == FIELD_META_IIFKIND, equal = statement->match.op == MATCH_EQ;
	struct pset_bits bits = pset_bits_of(in ? PSET_IIF : PSET_OIF);
	struct stack_part part = stack_part(statement->match.right);
	const struct stack_host *host = scope->table->host;
	struct bounds bounds = bounds_exactly(PSET_EMPTY);

	if (part.kind != PART_TEXT || (!equal && statement->match.op != MATCH_NEQ))
		return BOUNDS_UNKNOWN;
	for (size_t i = 0; i < host->link_count; i++) {
		const char *kind = host->links[i].link->kind;
		wide name = wide_of_name(host->links[i].name);
		struct bounds one = bounds_exactly(match_values(scope, bits, &(struct interval){name, name}, 1));

		if (!kind)
			one.must = PSET_EMPTY;
		if (!kind || (strcmp(kind, part.text) == 0) == equal)
			bounds = bounds_or(scope->space, bounds, one);
	}
	return bounds;
}

static void match_match(const struct match_scope *scope, const struct statement *statement, struct conditions *ret)
{
	const struct expr *left = statement->match.left, *right = statement->match.right;
	bool negated = statement->match.op == MATCH_NEQ || statement->match.op == MATCH_NO_BIT;
	struct bounds bounds = BOUNDS_UNKNOWN;
	struct selector selector;
	struct key key;

	if (!left) {
		if (right->kind == EXPR_IPSET && scope->table)
			bounds = in_ipset(scope, stack_ipset(scope->table->host, right->ipset.name), right, 0);
		bounds = negated ? bounds_not(scope->space, bounds) : bounds;
	} else if (left->kind == EXPR_FIB) {
		bounds = match_fib(scope, statement);
	} else if (scope->table && left->kind == EXPR_FIELD &&
		   (left->field.field == FIELD_META_IIFKIND || left->field.field == FIELD_META_OIFKIND)) {
		bounds = match_link_kind(scope, statement);
	} else if (left->kind != EXPR_CONCAT) {
		selector = selector_of(scope, left);
		match_one(scope, statement, &selector, negated, ret);
		return;
	} else if (statement->match.op == MATCH_EQ || statement->match.op == MATCH_NEQ) {
		key = key_of(scope, left);
		bounds = is_in(scope, &key, right);
		bounds = negated ? bounds_not(scope->space, bounds) : bounds;
		bounds = key_within(scope, &key, bounds);
	}
	conditions_add(scope->space, ret, bounds);
}

static bool has_condition(const struct statement *statements, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (statements[i].kind != STATEMENT_EFFECT)
			return true;
	return false;
}

void match_statement(const struct match_scope *scope, const struct statement *statement, struct conditions *ret)
{
	switch (statement->kind) {
	case STATEMENT_MATCH:
		match_match(scope, statement, ret);
		break;
	case STATEMENT_CONDITION:
	case STATEMENT_UNKNOWN:
		conditions_add(scope->space, ret, BOUNDS_UNKNOWN);
		break;
	case STATEMENT_SET_UPDATE:
		if (has_condition(statement->update.statements, statement->update.statement_count))
			conditions_add(scope->space, ret, BOUNDS_UNKNOWN);
		break;
	case STATEMENT_NONE:
	case STATEMENT_VERDICT:
	case STATEMENT_VERDICT_MAP:
	case STATEMENT_REJECT:
	case STATEMENT_NAT:
	case STATEMENT_ASSIGN:
	case STATEMENT_NOTRACK:
	case STATEMENT_DIVERT:
	case STATEMENT_EFFECT:
	case STATEMENT_KIND_COUNT:
		break;
	}
}
