/*
 * Routing tables. A table's routes are one array, the longest prefixes first, and within a length by address, so that
 * the routes to an address are found by halving once for each length that occurs: in practice three to six times.
 * (fib_trie and fib6 of the kernel find the same ones in the same order.)
 *
 * Where nobody captured the local table or the policy rules, they are what the kernel makes of the addresses, and
 * begins with.
 */
#include "verify/stack_internal.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct routing_builder {
	struct stack_host *host;
	struct arena *arena;
	struct stack_routing *routing;
	uint8_t family;
};

static int compare_fib(const void *key, const void *entry)
{
	return strcmp(key, ((const struct stack_fib *)entry)->name);
}

struct stack_fib *stack_fib(const struct stack_routing *routing, const char *name)
{
	if (!name || routing->fib_count == 0)
		return NULL;
	return bsearch(name, routing->fibs, routing->fib_count, sizeof(*routing->fibs), compare_fib);
}

static int by_fib_name(const void *a, const void *b)
{
	return strcmp(((const struct stack_fib *)a)->name, ((const struct stack_fib *)b)->name);
}

static struct stack_fib *add_fib(struct routing_builder *builder, const char *name)
{
	struct stack_routing *routing = builder->routing;
	struct stack_fib *fib;

	for (size_t i = 0; i < routing->fib_count; i++)
		if (strcmp(routing->fibs[i].name, name) == 0)
			return &routing->fibs[i];
	fib = arena_push(builder->arena, routing->fibs, routing->fib_count);
	*fib = (struct stack_fib){
		.name = name,
		.family = builder->family,
		.known = facts_routes_known(builder->host->facts, builder->family, name) ? TRUTH_YES : TRUTH_UNKNOWN};
	return fib;
}

/* IPv6's default metric is 1024 (IP6_RT_PRIO_USER), IPv4's is 0. */
static uint64_t metric_of(const struct route *route)
{
	return number_or(route->metric, route->family == AF_INET6 && route->type == ROUTE_TYPE_UNICAST ? 1024 : 0);
}

static void add_route(struct routing_builder *builder, const struct route *route, bool derived)
{
	struct stack_fib *fib = add_fib(builder, route->table ? route->table : "main");

	*arena_push(builder->arena, fib->routes, fib->route_count) = (struct stack_route){
		.route = route, .to = prefix_network(&route->to), .metric = metric_of(route), .derived = derived};
}

static void derive(struct routing_builder *builder, const struct stack_link *link, const struct address *address,
		   uint8_t type, const struct prefix *to)
{
	struct route *route = arena_new_struct(builder->arena, struct route);
	char text[PREFIX_TEXT_SIZE], ip[IP_TEXT_SIZE];
	bool whole = to->length == ip_bits(&to->ip);

	*route = (struct route){.family = builder->family,
				.type = type,
				.to = *to,
				.table = "local",
				.scope = type == ROUTE_TYPE_LOCAL ? "host" : "link",
				.protocol = "kernel",
				.origin = address->origin,
				.nexthop_count = 1};
	route->nexthops = arena_new_struct(builder->arena, struct nexthop);
	route->nexthops[0].dev = link->name;
	route->text = arena_printf(builder->arena, "%s %s dev %s table local", symbol_name(TYPE_ROUTE_TYPE, type),
				   whole ? ip_format(&to->ip, ip) : prefix_format(to, text), link->name);
	add_route(builder, route, true);
}

/* What the kernel puts into the local table for an address (fib_add_ifaddr in net/ipv4/fib_frontend.c; addrconf.c). */
static void derive_local(struct routing_builder *builder, const struct stack_link *link, const struct address *address)
{
	struct prefix prefix = address->prefix;
	struct ip broadcast;

	if (link->loopback && builder->family == AF_INET)
		derive(builder, link, address, ROUTE_TYPE_LOCAL, &prefix);
	prefix.length = ip_bits(&prefix.ip);
	derive(builder, link, address, ROUTE_TYPE_LOCAL, &prefix);
	if (builder->family != AF_INET || address->prefix.length >= 31 || link->loopback)
		return;
	broadcast = prefix_broadcast(&address->prefix);
	derive(builder, link, address, ROUTE_TYPE_BROADCAST, &(struct prefix){broadcast, 32});
	if (address->broadcast.family && !ip_equal(&address->broadcast, &broadcast))
		derive(builder, link, address, ROUTE_TYPE_BROADCAST, &(struct prefix){address->broadcast, 32});
}

static void derive_main(struct routing_builder *builder, const struct stack_link *link, const struct prefix *to,
			const struct ip *via, const struct origin *origin)
{
	struct route *route = arena_new_struct(builder->arena, struct route);
	char text[PREFIX_TEXT_SIZE], gateway[IP_TEXT_SIZE];

	*route = (struct route){.family = builder->family,
				.type = ROUTE_TYPE_UNICAST,
				.to = prefix_network(to),
				.table = "main",
				.origin = *origin,
				.nexthop_count = 1};
	route->nexthops = arena_new_struct(builder->arena, struct nexthop);
	route->nexthops[0].dev = link->name;
	if (via)
		route->nexthops[0].via = *via;
	route->text =
		arena_printf(builder->arena, "%s%s%s dev %s", to->length ? prefix_format(&route->to, text) : "default",
			     via ? " via " : "", via ? ip_format(via, gateway) : "", link->name);
	add_route(builder, route, true);
}

/* ipconfig shows no routes, but all that they are made of, unless somebody added one. */
static void derive_windows_table(struct routing_builder *builder)
{
	const struct stack_host *host = builder->host;
	const struct prefix all = {.ip = {.family = builder->family}};

	if (host->facts->system != SYSTEM_WINDOWS || host->facts->route_count)
		return;
	for (size_t i = 0; i < host->link_count; i++) {
		const struct link *link = host->links[i].link;

		for (size_t j = 0; j < link->address_count && link->up != TRUTH_NO; j++) {
			const struct prefix *prefix = &link->addresses[j].prefix;

			if (prefix->ip.family == builder->family && prefix->length < ip_bits(&prefix->ip))
				derive_main(builder, &host->links[i], prefix, NULL, &link->addresses[j].origin);
		}
		for (size_t j = 0; j < link->gateway_count && link->up != TRUTH_NO; j++)
			if (link->gateways[j].family == builder->family && link->origin_count)
				derive_main(builder, &host->links[i], &all, &link->gateways[j], &link->origins[0]);
	}
}

static void derive_local_table(struct routing_builder *builder)
{
	const struct stack_host *host = builder->host;

	if (facts_routes_known(host->facts, builder->family, "local"))
		return;
	for (size_t i = 0; i < host->link_count; i++) {
		const struct stack_link *link = &host->links[i];

		for (size_t j = 0; j < link->link->address_count; j++)
			if (link->link->addresses[j].prefix.ip.family == builder->family && link->link->up != TRUTH_NO)
				derive_local(builder, link, &link->link->addresses[j]);
	}
}

/* ---- order ---- */

static int by_prefix(const void *a, const void *b)
{
	const struct stack_route *left = a, *right = b;
	int order;

	if (left->to.length != right->to.length)
		return left->to.length > right->to.length ? -1 : 1;
	order = memcmp(left->to.ip.bytes, right->to.ip.bytes, sizeof(left->to.ip.bytes));
	if (order)
		return order;
	if (left->route->family == AF_INET && number_or(left->route->tos, 0) != number_or(right->route->tos, 0))
		return number_or(left->route->tos, 0) > number_or(right->route->tos, 0) ? -1 : 1;
	if (left->metric != right->metric)
		return left->metric < right->metric ? -1 : 1;
	return left->route < right->route ? -1 : left->route > right->route;
}

static bool same_nexthops(const struct route *a, const struct route *b)
{
	if (a->nexthop_count != b->nexthop_count)
		return false;
	for (size_t i = 0; i < a->nexthop_count; i++) {
		const struct nexthop *x = &a->nexthops[i], *y = &b->nexthops[i];

		if (!ip_equal(&x->via, &y->via) || (!x->dev != !y->dev) || (x->dev && strcmp(x->dev, y->dev) != 0))
			return false;
	}
	return true;
}

/* `ip route show table all` prints both families, so that IPv6's routes may have been captured twice. */
static bool is_same(const struct stack_route *a, const struct stack_route *b)
{
	return a->to.length == b->to.length && ip_equal(&a->to.ip, &b->to.ip) && a->metric == b->metric &&
	       a->route->type == b->route->type && number_or(a->route->tos, 0) == number_or(b->route->tos, 0) &&
	       a->route->from.length == b->route->from.length && ip_equal(&a->route->from.ip, &b->route->from.ip) &&
	       same_nexthops(a->route, b->route);
}

static void drop_twins(struct stack_fib *fib)
{
	size_t kept = 0;

	for (size_t i = 0; i < fib->route_count; i++) {
		bool seen = false;

		for (size_t j = kept; j-- > 0 && !seen;) {
			if (fib->routes[j].to.length != fib->routes[i].to.length ||
			    !ip_equal(&fib->routes[j].to.ip, &fib->routes[i].to.ip))
				break;
			seen = is_same(&fib->routes[j], &fib->routes[i]);
		}
		if (!seen)
			fib->routes[kept++] = fib->routes[i];
	}
	fib->route_count = kept;
}

static void order_fib(struct routing_builder *builder, struct stack_fib *fib)
{
	if (fib->route_count)
		qsort(fib->routes, fib->route_count, sizeof(*fib->routes), by_prefix);
	drop_twins(fib);
	for (size_t i = 0; i < fib->route_count; i++) {
		struct stack_fib_length *last = fib->length_count ? &fib->lengths[fib->length_count - 1] : NULL;

		if (!last || last->length != fib->routes[i].to.length) {
			last = arena_push(builder->arena, fib->lengths, fib->length_count);
			*last = (struct stack_fib_length){.length = fib->routes[i].to.length, .first = i};
		}
		last->count++;
	}
}

/* The first route of a length whose address is not below this one. */
static size_t lower_bound(const struct stack_fib *fib, const struct stack_fib_length *length, const struct ip *address)
{
	size_t low = length->first, high = length->first + length->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memcmp(fib->routes[middle].to.ip.bytes, address->bytes, sizeof(address->bytes)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct stack_route *stack_fib_next(const struct stack_fib *fib, const struct ip *address,
					 struct stack_fib_cursor *cursor)
{
	while (cursor->route >= cursor->end) {
		const struct stack_fib_length *length;
		struct ip network;

		if (cursor->length >= fib->length_count)
			return NULL;
		length = &fib->lengths[cursor->length++];
		network = prefix_network(&(struct prefix){*address, length->length}).ip;
		cursor->route = cursor->end = lower_bound(fib, length, &network);
		while (cursor->end < length->first + length->count &&
		       ip_equal(&fib->routes[cursor->end].to.ip, &network))
			cursor->end++;
	}
	return &fib->routes[cursor->route++];
}

/* ---- policy rules ---- */

static int by_priority(const void *a, const void *b)
{
	const struct stack_policy *left = a, *right = b;
	uint64_t x = number_or(left->rule->priority, 0), y = number_or(right->rule->priority, 0);

	if (x != y)
		return x < y ? -1 : 1;
	return left->rule < right->rule ? -1 : left->rule > right->rule;
}

static void derive_policy(struct routing_builder *builder, uint64_t priority, const char *table)
{
	struct policy_rule *rule = arena_new_struct(builder->arena, struct policy_rule);

	*rule = (struct policy_rule){
		.family = builder->family,
		.priority = number_of(priority),
		.action = POLICY_RULE_LOOKUP,
		.table = table,
		.text = arena_printf(builder->arena, "%u: from all lookup %s", (unsigned)priority, table)};
	*arena_push(builder->arena, builder->routing->policies, builder->routing->policy_count) =
		(struct stack_policy){.rule = rule, .derived = true};
}

static void build_policies(struct routing_builder *builder)
{
	const struct facts *facts = builder->host->facts;
	struct stack_routing *routing = builder->routing;

	routing->policies_known =
		(builder->family == AF_INET ? facts->policy_rules4_known : facts->policy_rules6_known) == TRUTH_YES;
	for (size_t i = 0; i < facts->policy_rule_count; i++)
		if (facts->policy_rules[i].family == builder->family)
			*arena_push(builder->arena, routing->policies, routing->policy_count) =
				(struct stack_policy){.rule = &facts->policy_rules[i]};
	if (!routing->policies_known && routing->policy_count == 0) {
		derive_policy(builder, 0, "local");
		derive_policy(builder, 32766, "main");
		if (builder->family == AF_INET)
			derive_policy(builder, 32767, "default");
	}
	if (routing->policy_count)
		qsort(routing->policies, routing->policy_count, sizeof(*routing->policies), by_priority);
}

static void resolve_policies(struct stack_routing *routing)
{
	for (size_t i = 0; i < routing->policy_count; i++) {
		struct stack_policy *policy = &routing->policies[i];

		policy->fib = stack_fib(routing, policy->rule->table);
		if (policy->rule->action != POLICY_RULE_GOTO)
			continue;
		policy->target = i + 1; /* a goto leads forward only */
		while (policy->target < routing->policy_count &&
		       number_or(routing->policies[policy->target].rule->priority, 0) <
			       number_or(policy->rule->goto_priority, 0))
			policy->target++;
	}
}

static void build_family(struct stack_host *host, struct stack_routing *routing, uint8_t family)
{
	const struct facts *facts = host->facts;
	struct routing_builder builder = {host, host->stack->arena, routing, family};

	for (size_t i = 0; i < facts->route_count; i++)
		if (facts->routes[i].family == family)
			add_route(&builder, &facts->routes[i], false);
	derive_local_table(&builder);
	derive_windows_table(&builder);
	build_policies(&builder);
	for (size_t i = 0; i < routing->policy_count; i++)
		if (routing->policies[i].rule->action == POLICY_RULE_LOOKUP && routing->policies[i].rule->table)
			add_fib(&builder, routing->policies[i].rule->table);
	for (size_t i = 0; i < routing->fib_count; i++)
		order_fib(&builder, &routing->fibs[i]);
	if (routing->fib_count)
		qsort(routing->fibs, routing->fib_count, sizeof(*routing->fibs), by_fib_name);
	resolve_policies(routing);
}

void stack_build_routing(struct stack_host *host)
{
	build_family(host, &host->routing4, AF_INET);
	build_family(host, &host->routing6, AF_INET6);
}

bool stack_routing_is_usual(const struct stack_routing *routing)
{
	for (size_t i = 0; i < routing->policy_count; i++) {
		const struct policy_rule *rule = routing->policies[i].rule;

		if (rule->action != POLICY_RULE_LOOKUP || rule->from.length || rule->to.length || rule->iif ||
		    rule->oif || rule->mark.known || rule->negated || !rule->table ||
		    (strcmp(rule->table, "local") != 0 && strcmp(rule->table, "main") != 0 &&
		     strcmp(rule->table, "default") != 0))
			return false;
	}
	return true;
}

bool stack_link_has_addresses4(const struct stack_link *link)
{
	for (size_t i = 0; i < link->link->address_count; i++)
		if (link->link->addresses[i].prefix.ip.family == AF_INET)
			return true;
	return link->link->addresses4_known != TRUTH_YES;
}

bool stack_address_has_flag(const struct address *address, const char *flag)
{
	for (size_t i = 0; i < address->flag_count; i++)
		if (strcmp(address->flags[i], flag) == 0)
			return true;
	return false;
}

bool stack_address_is_usable(const struct address *address, uint8_t family)
{
	return address->prefix.ip.family == family && !stack_address_has_flag(address, "secondary") &&
	       !stack_address_has_flag(address, "tentative") && !stack_address_has_flag(address, "deprecated");
}
