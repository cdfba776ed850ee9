/*
 * Routing as functions: for every packet at once which route it takes. A table is its routes, the longest prefix first,
 * put together so that the first one that fits counts; the policy rules choose between tables in the same way.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { NO_DECISION = 0, THROWN = 1, NOT_KNOWN = 2, FIRST_ROUTE = 3 };

static bool shortcut_first(void *context, diagram a, diagram b, diagram *ret)
{
	if (a == diagram_of(NO_DECISION))
		*ret = b;
	else if (diagram_is_number(a))
		*ret = a;
	else
		return false;
	return true;
}

/* The first, and where that is nothing the second. */
static diagram first_of(struct spread *spread, diagram a, diagram b)
{
	struct diagram_operator operator= {shortcut_first, NULL, spread->first_id, false};

	return diagram_combine(spread->space, &operator, a, b);
}

static bool shortcut_put(void *context, diagram set, diagram value, diagram *ret)
{
	if (set == PSET_FULL)
		*ret = value;
	else if (set == PSET_EMPTY || value == diagram_of(NO_DECISION))
		*ret = diagram_of(NO_DECISION);
	else
		return false;
	return true;
}

/* The function for the packets of a set; nothing for others. */
static diagram put(struct spread *spread, pset set, diagram function)
{
	struct diagram_operator operator= {shortcut_put, NULL, spread->put_id, false};

	return diagram_combine(spread->space, &operator, set, function);
}

/* ---- one table ---- */

struct building {
	struct spread *spread;
	const struct stack_host *host;
	const struct stack_routing *from;
	struct spread_routing *routing;
	uint8_t family;
	bool arriving; /* for packets that came in */
};

static uint32_t add_decision(struct building *building, const struct stack_route *route)
{
	struct spread_routing *routing = building->routing;

	for (size_t i = FIRST_ROUTE; i < routing->decision_count; i++)
		if (routing->decisions[i].route == route)
			return (uint32_t)i;
	*arena_push(building->spread->kept, routing->decisions, routing->decision_count) =
		(struct decision){DECIDED_ROUTE, route};
	return (uint32_t)routing->decision_count - 1;
}

/* Has it a next hop that can be used, or needs it none? */
static bool is_usable(const struct stack_host *host, const struct route *route)
{
	for (size_t i = 0; i < route->nexthop_count; i++)
		if (spread_usable(host, &route->nexthops[i]))
			return true;
	return route->nexthop_count == 0;
}

static pset destinations(struct space *space, const struct stack_route *route)
{
	struct interval interval = interval_of_prefix(&route->to), source;
	pset set = pset_interval(space, PSET_DADDR, interval.first, interval.last);

	if (route->route->from.ip.family) {
		source = interval_of_prefix(&route->route->from);
		set = pset_and(space, set, pset_interval(space, PSET_SADDR, source.first, source.last));
	}
	if (number_or(route->route->tos, 0)) /* without the two outermost bits */
		set = pset_and(space, set, pset_masked(space, PSET_TOS, route->route->tos.value, 0x1e));
	return set;
}

static bool is_found(const struct route *route)
{
	return route->type != ROUTE_TYPE_BLACKHOLE && route->type != ROUTE_TYPE_UNREACHABLE &&
	       route->type != ROUTE_TYPE_PROHIBIT && route->type != ROUTE_TYPE_THROW;
}

static pset by_device(struct space *space, const struct route *route)
{
	const char *dev = route->nexthop_count ? route->nexthops[0].dev : NULL;

	return dev ? pset_value(space, PSET_IIF, wide_of_name(dev)) : PSET_EMPTY;
}

/* In IPv6 packets to a link-local address stay on the link that they came in by. */
static pset stays(struct spread *spread, const struct stack_route *route)
{
	pset others = pset_not(spread->space, spread_prefix(spread, PSET_DADDR, "fe80::/10"));

	return pset_or(spread->space, others, by_device(spread->space, route->route));
}

static bool are_rivals(const struct stack_route *a, const struct stack_route *b)
{
	return a->metric == b->metric && a->to.length == b->to.length && ip_equal(&a->to.ip, &b->to.ip);
}

/* In IPv6 the one over the interface that the packet came in by comes before others of the same metric
 * (rt6_score_route). */
static pset preferred(struct building *building, const struct stack_fib *fib, size_t index)
{
	const struct stack_route *route = &fib->routes[index];
	bool rivals = (index > 0 && are_rivals(route, &fib->routes[index - 1])) ||
		      (index + 1 < fib->route_count && are_rivals(route, &fib->routes[index + 1]));

	return rivals ? by_device(building->spread->space, route->route) : PSET_EMPTY;
}

struct gathered {
	diagram *parts;
	size_t count;
};

static void add_route(struct building *building, const struct stack_route *route, pset among, int suppressed,
		      struct gathered *ret)
{
	struct spread *spread = building->spread;
	pset set = pset_and(spread->space, destinations(spread->space, route), among);
	uint32_t number = THROWN;

	if (pset_is_empty(set) || !is_usable(building->host, route->route))
		return;
	if (building->arriving && building->family == AF_INET6)
		set = pset_and(spread->space, set, stays(spread, route));
	if (route->route->type != ROUTE_TYPE_THROW && ((int)route->to.length > suppressed || !is_found(route->route)))
		number = add_decision(building, route);
	ret->parts[ret->count++] = put(spread, set, diagram_of(number));
}

/* A table of which nothing was captured may hold anything; what "local" and "default" hold is as good as known. */
static bool is_unknown(const struct stack_fib *fib, const char *name)
{
	if (fib && fib->known == TRUTH_YES)
		return false;
	if (!name || strcmp(name, "local") == 0 || strcmp(name, "default") == 0)
		return false;
	return !fib || fib->route_count == 0;
}

/* Routes no longer than `suppressed` do not count; -1: all do. */
static diagram table(struct building *building, const struct stack_policy *policy, int suppressed)
{
	const struct stack_fib *fib = policy->fib;
	struct gathered table = {.parts = calloc(2 * (fib ? fib->route_count : 0) + 2, sizeof(*table.parts))};
	diagram result = diagram_of(NO_DECISION);

	if (!table.parts)
		abort();
	for (size_t i = 0; fib && i < fib->route_count; i++) {
		bool rivals = building->arriving && building->family == AF_INET6;

		if (rivals && (i == 0 || !are_rivals(&fib->routes[i], &fib->routes[i - 1])))
			for (size_t j = i; j < fib->route_count && are_rivals(&fib->routes[i], &fib->routes[j]); j++)
				add_route(building, &fib->routes[j], preferred(building, fib, j), suppressed, &table);
		add_route(building, &fib->routes[i], PSET_FULL, suppressed, &table);
	}
	if (is_unknown(fib, policy->rule->table))
		table.parts[table.count++] = diagram_of(NOT_KNOWN);
	for (size_t step = 1; step < table.count; step *= 2)
		for (size_t i = 0; i + step < table.count; i += 2 * step)
			table.parts[i] = first_of(building->spread, table.parts[i], table.parts[i + step]);
	if (table.count)
		result = table.parts[0];
	free(table.parts);
	return result;
}

static uint32_t not_thrown(void *context, uint32_t number)
{
	return number == THROWN ? NO_DECISION : number;
}

/* ---- policy rules ---- */

/* Packets that have no ports count as those with port 0. */
static pset ports(struct space *space, enum pset_field field, const struct port_range *range)
{
	pset having = pset_and(space, spread_with_ports(space), pset_kind(space, PSET_FRAGMENT, PSET_WHOLE)), set;

	if (!range->set)
		return PSET_FULL;
	set = pset_and(space, having, pset_interval(space, field, range->first, range->last));
	return range->first == 0 ? pset_or(space, set, pset_not(space, having)) : set;
}

static pset prefix_set(struct space *space, enum pset_field field, const struct prefix *prefix)
{
	struct interval interval;

	if (!prefix->ip.family)
		return PSET_FULL;
	interval = interval_of_prefix(prefix);
	return pset_interval(space, field, interval.first, interval.last);
}

/* The packets that a rule is for. A packet of the host itself comes from "lo". */
static struct bounds selected(const struct building *building, const struct policy_rule *rule, bool local)
{
	struct space *space = building->spread->space;
	pset set = prefix_set(space, PSET_SADDR, &rule->from);
	struct bounds bounds;

	set = pset_and(space, set, prefix_set(space, PSET_DADDR, &rule->to));
	set = pset_and(space, set, ports(space, PSET_SPORT, &rule->sport));
	set = pset_and(space, set, ports(space, PSET_DPORT, &rule->dport));
	if (rule->mark.known)
		set = pset_and(space, set,
			       pset_masked(space, PSET_MARK, rule->mark.value, number_or(rule->mark_mask, UINT32_MAX)));
	if (number_or(rule->tos, 0))
		set = pset_and(space, set, pset_masked(space, PSET_TOS, rule->tos.value, 0x1e));
	if (rule->protocol.known)
		set = pset_and(space, set, pset_value(space, PSET_PROTOCOL, rule->protocol.value));
	if (rule->iif && local)
		set = strcmp(rule->iif, "lo") == 0 ? set : PSET_EMPTY;
	else if (rule->iif)
		set = pset_and(space, set, pset_value(space, PSET_IIF, wide_of_name(rule->iif)));
	if (rule->oif || rule->l3mdev) /* only of sockets that are bound to an interface */
		set = PSET_EMPTY;
	bounds = bounds_exactly(set);
	if (rule->rest || (local && rule->uid_first.known))
		bounds.must = PSET_EMPTY;
	return rule->negated ? bounds_not(space, bounds) : bounds;
}

static diagram action(struct building *building, const struct stack_policy *policy, const diagram *behind)
{
	struct spread *spread = building->spread;
	struct diagram_mapping mapping = {not_thrown, NULL, space_operator_id(spread->space)};
	int suppressed = -1;

	switch (policy->rule->action) {
	case POLICY_RULE_LOOKUP:
		if (policy->rule->suppress_prefix_length.known)
			suppressed = (int)policy->rule->suppress_prefix_length.value;
		return diagram_map(spread->space, &mapping, table(building, policy, suppressed));
	case POLICY_RULE_GOTO:
		return policy->target < building->from->policy_count ? behind[policy->target] : diagram_of(NO_DECISION);
	case POLICY_RULE_NOP:
	case POLICY_RULE_NONE:
		return diagram_of(NO_DECISION);
	case POLICY_RULE_BLACKHOLE:
	case POLICY_RULE_UNREACHABLE:
	case POLICY_RULE_PROHIBIT:
		return diagram_of(THROWN); /* a decision, with no route: see decide() */
	case POLICY_RULE_UNKNOWN:
		break;
	}
	return diagram_of(NOT_KNOWN);
}

/* Without having seen them they are taken for the usual ones, unless there are tables that only others would ask. */
static bool policies_unknown(const struct stack_routing *from)
{
	static const char *const usual[] = {"local", "main", "default"};

	for (size_t i = 0; !from->policies_known && i < from->fib_count; i++) {
		bool known = from->fibs[i].route_count == 0;

		for (size_t j = 0; j < sizeof(usual) / sizeof(*usual); j++)
			known = known || strcmp(from->fibs[i].name, usual[j]) == 0;
		if (!known)
			return true;
	}
	return false;
}

/* What is decided from each rule on, from the last to the first. */
static diagram policies(struct building *building, bool local)
{
	struct spread *spread = building->spread;
	size_t count = building->from->policy_count;
	diagram *behind = calloc(count + 1, sizeof(*behind)), result;

	if (!behind)
		abort();
	behind[count] = diagram_of(NO_DECISION);
	for (size_t i = count; i-- > 0;) {
		struct bounds for_these = selected(building, building->from->policies[i].rule, local);
		diagram decided = action(building, &building->from->policies[i], behind);
		pset perhaps = pset_minus(spread->space, for_these.may, for_these.must);

		behind[i] = first_of(spread, put(spread, for_these.must, decided), behind[i + 1]);
		behind[i] = first_of(spread, put(spread, perhaps, diagram_of(NOT_KNOWN)), behind[i]);
	}
	result = policies_unknown(building->from) ? diagram_of(NOT_KNOWN) : behind[0];
	free(behind);
	return result;
}

struct spread_routing *spread_routing(struct spread *spread, const struct stack_host *host, enum stack_family family)
{
	struct spread_routing *routing = &spread->routing[host->number][family];
	struct building building = {.spread = spread,
				    .host = host,
				    .from = family == STACK_IP4 ? &host->routing4 : &host->routing6,
				    .routing = routing,
				    .family = family == STACK_IP4 ? AF_INET : AF_INET6};

	if (routing->built)
		return routing;
	for (unsigned i = 0; i < FIRST_ROUTE; i++) {
		enum decision_kind kind = i == NOT_KNOWN ? DECIDED_UNKNOWN
					  : i == THROWN	 ? DECIDED_THROW
							 : DECIDED_NOTHING;

		*arena_push(spread->kept, routing->decisions, routing->decision_count) = (struct decision){kind, NULL};
	}
	building.arriving = true;
	routing->arriving = policies(&building, false);
	building.arriving = false;
	routing->local = policies(&building, true);
	routing->built = true;
	return routing;
}

/* ---- asked ---- */

static uint32_t is_number(void *context, uint32_t number)
{
	return number == *(const uint32_t *)context;
}

static pset decided(struct spread *spread, diagram function, uint32_t number)
{
	struct diagram_mapping mapping = {is_number, &number, space_operator_id(spread->space)};

	return diagram_map(spread->space, &mapping, function);
}

/* What is decided of packets that come in by one interface, or of the host's own. */
struct spread_ways {
	const struct stack_link *iif;
	bool local; /* its own */
	diagram function;
	pset *sets; /* of each decision, where `found` */
	bool *found;
};

static struct spread_ways *find_ways(struct spread *spread, struct spread_routing *routing,
				     const struct stack_link *iif, bool local)
{
	struct spread_ways *ways;

	for (size_t i = 0; i < routing->way_count; i++)
		if (routing->ways[i].local == local && (local || routing->ways[i].iif == iif))
			return &routing->ways[i];
	ways = arena_push(spread->kept, routing->ways, routing->way_count);
	*ways = (struct spread_ways){.iif = iif, .local = local, .function = routing->local};
	if (!local)
		ways->function = pset_before(spread->space, routing->arriving, pset_bits_of(PSET_IIF),
					     iif ? wide_of_name(iif->name) : 0, ~(wide)0);
	ways->sets = arena_alloc(spread->kept, routing->decision_count * sizeof(*ways->sets));
	ways->found = arena_alloc(spread->kept, routing->decision_count * sizeof(*ways->found));
	return ways;
}

static pset packets_of(struct spread *spread, struct spread_ways *ways, uint32_t number)
{
	if (!ways->found[number])
		ways->sets[number] = decided(spread, ways->function, number);
	ways->found[number] = true;
	return ways->sets[number];
}

static void find_number(void *context, diagram d)
{
	bool *found = context;

	if (diagram_is_number(d))
		found[diagram_number(d)] = true;
}

size_t spread_route(struct spread *spread, const struct stream *stream, bool local, struct routed **ret)
{
	struct spread_routing *routing = spread_routing(spread, stream->host, stream->family);
	struct spread_ways *ways = find_ways(spread, routing, stream->iif, local);
	bool *found = calloc(routing->decision_count, sizeof(*found));
	size_t count = 0;

	if (!found)
		abort();
	diagram_visit(spread->space, put(spread, stream->packets.may, ways->function), find_number, found);
	found[NO_DECISION] = true; /* outside the set it stands for nothing; inside it is no route */
	*ret = arena_alloc(spread->arena, (routing->decision_count + 1) * sizeof(**ret));
	for (uint32_t i = 0; i < routing->decision_count; i++) {
		struct bounds packets = stream->packets;

		if (!found[i])
			continue;
		packets = bounds_in(spread->space, packets, packets_of(spread, ways, i));
		if (!bounds_are_empty(packets))
			(*ret)[count++] = (struct routed){routing->decisions[i], packets};
	}
	free(found);
	return count;
}

static bool leads_out_by(const struct route *route, struct interval names)
{
	for (size_t i = 0; i < route->nexthop_count; i++) {
		wide name = route->nexthops[i].dev ? wide_of_name(route->nexthops[i].dev) : 0;

		if (name && name >= names.first && name <= names.last)
			return true;
	}
	return false;
}

struct bounds spread_routed_by(struct spread *spread, const struct stack_host *host, enum stack_family family,
			       const struct stack_link *iif, bool back, struct interval names)
{
	struct space *space = spread->space;
	struct spread_routing *routing = spread_routing(spread, host, family);
	diagram function = iif ? routing->arriving : routing->local;
	struct bounds routed = {PSET_EMPTY, PSET_EMPTY};

	if (iif)
		function = pset_before(space, function, pset_bits_of(PSET_IIF), wide_of_name(iif->name), ~(wide)0);
	for (uint32_t i = FIRST_ROUTE; i < routing->decision_count; i++) {
		const struct route *route = routing->decisions[i].route->route;

		if (route->type == ROUTE_TYPE_UNICAST && leads_out_by(route, names))
			routed.must = pset_or(space, routed.must, decided(spread, function, i));
	}
	routed.may = pset_or(space, routed.must, decided(spread, function, NOT_KNOWN));
	if (back) {
		routed.may = pset_exchange_ends(space, routed.may);
		routed.must = pset_exchange_ends(space, routed.must);
	}
	return routed;
}

pset spread_own_addresses(struct spread *spread, const struct stack_host *host, enum stack_family family,
			  enum pset_field field)
{
	const struct stack_routing *from = family == STACK_IP4 ? &host->routing4 : &host->routing6;
	const struct stack_fib *fib = stack_fib(from, "local");
	pset own = PSET_EMPTY;

	for (size_t i = 0; fib && i < fib->route_count; i++) {
		struct interval interval = interval_of_prefix(&fib->routes[i].to);

		if (fib->routes[i].route->type == ROUTE_TYPE_LOCAL)
			own = pset_or(spread->space, own,
				      pset_interval(spread->space, field, interval.first, interval.last));
	}
	return own;
}
