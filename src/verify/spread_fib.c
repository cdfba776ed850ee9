/* What rules ask routing: `fib`, and iptables' addrtype and rpfilter. nft_fib(8); net/ipv4/netfilter/nft_fib_ipv4.c. */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <string.h>
#include <sys/socket.h>

static pset prefix_set(struct space *space, enum pset_field field, const char *text)
{
	struct interval interval;
	struct prefix prefix;

	if (!prefix_parse(text, &prefix))
		return PSET_EMPTY;
	interval = interval_of_prefix(&prefix);
	return pset_interval(space, field, interval.first, interval.last);
}

static enum pset_field asked_field(const struct expr *fib)
{
	return fib->fib.flags & FIB_SADDR ? PSET_SADDR : PSET_DADDR;
}

/* Only addresses of the interface that the packet came in or leaves by count. */
static pset on_link(struct space *space, const struct expr *fib, const struct route *route)
{
	enum pset_field field = fib->fib.flags & FIB_IIF ? PSET_IIF : PSET_OIF;
	pset set = PSET_EMPTY;

	if (!(fib->fib.flags & (FIB_IIF | FIB_OIF)))
		return PSET_FULL;
	for (size_t i = 0; i < route->nexthop_count; i++)
		if (route->nexthops[i].dev)
			set = pset_or(space, set, pset_value(space, field, wide_of_name(route->nexthops[i].dev)));
	return set;
}

/* Addresses that are of this type by the host's table "local"; of one that is longer the shorter ones do not count. */
static pset of_local_type(struct spread *spread, const struct stack_routing *routing, const struct expr *fib,
			  uint8_t type)
{
	const struct stack_fib *local = stack_fib(routing, "local");
	pset found = PSET_EMPTY, seen = PSET_EMPTY;

	for (size_t i = 0; local && i < local->route_count; i++) {
		struct interval interval = interval_of_prefix(&local->routes[i].to);
		pset set = pset_interval(spread->space, asked_field(fib), interval.first, interval.last);

		set = pset_minus(spread->space, set, seen);
		seen = pset_or(spread->space, seen, set);
		if (local->routes[i].route->type == type)
			found = pset_or(
				spread->space, found,
				pset_and(spread->space, set, on_link(spread->space, fib, local->routes[i].route)));
	}
	return found;
}

/* inet_addr_type(): the table "local", and what is so by itself. */
static pset type4(struct spread *spread, const struct stack_host *host, const struct expr *fib, uint8_t type)
{
	struct space *space = spread->space;
	enum pset_field field = asked_field(fib);
	pset broadcast =
		pset_or(space, prefix_set(space, field, "0.0.0.0/8"), prefix_set(space, field, "255.255.255.255/32"));
	pset multicast = prefix_set(space, field, "224.0.0.0/4"), special = pset_or(space, broadcast, multicast),
	     others;

	if (type == ROUTE_TYPE_UNICAST) {
		others = pset_or(space, of_local_type(spread, &host->routing4, fib, ROUTE_TYPE_LOCAL),
				 of_local_type(spread, &host->routing4, fib, ROUTE_TYPE_BROADCAST));
		return pset_not(space, pset_or(space, special, others));
	}
	others = pset_minus(space, of_local_type(spread, &host->routing4, fib, type), special);
	if (type == ROUTE_TYPE_BROADCAST)
		return pset_or(space, others, broadcast);
	if (type == ROUTE_TYPE_MULTICAST)
		return pset_or(space, others, multicast);
	return others;
}

/* Routing as a rule asks it: without the packet's mark, if the rule does not name it. */
static struct bounds routed_for(const struct spread_context *asking, const struct expr *fib, enum stack_family family,
				struct interval names)
{
	struct space *space = asking->spread->space;
	struct bounds routed =
		spread_routed_by(asking->spread, asking->host, family, NULL, fib->fib.flags & FIB_SADDR, names);

	if (!(fib->fib.flags & FIB_MARK)) {
		routed.may = pset_before(space, routed.may, pset_bits_of(PSET_MARK), 0, UINT32_MAX);
		routed.must = pset_before(space, routed.must, pset_bits_of(PSET_MARK), 0, UINT32_MAX);
	}
	return routed;
}

/* In IPv6 a link-local address is looked for on the link that the packet came in by, and nowhere else. */
static struct bounds on_own_link(const struct spread_context *asking, const struct expr *fib, struct bounds others,
				 struct interval names)
{
	struct spread *spread = asking->spread;
	struct space *space = spread->space;
	pset link_local = spread_prefix(spread, asked_field(fib), "fe80::/10");
	struct bounds all = bounds_out(space, others, link_local);

	for (size_t i = 0; i < asking->host->link_count; i++) {
		const struct stack_link *link = &asking->host->links[i];
		wide name = wide_of_name(link->name);
		struct bounds here;

		if (name < names.first || name > names.last)
			continue;
		here = spread_routed_by(spread, asking->host, STACK_IP6, link, fib->fib.flags & FIB_SADDR,
					(struct interval){name, name});
		here = bounds_in(space, here, pset_and(space, link_local, pset_value(space, PSET_IIF, name)));
		all = bounds_or(space, all, here);
	}
	return all;
}

/* In IPv6 it is what routing would do with the address. */
static struct bounds type6(const struct spread_context *asking, const struct expr *fib, uint8_t type)
{
	struct spread *spread = asking->spread;
	const struct stack_host *host = asking->host;
	struct space *space = spread->space;
	enum pset_field field = asked_field(fib);
	pset local = of_local_type(spread, &host->routing6, fib, ROUTE_TYPE_LOCAL);
	pset multicast = prefix_set(space, field, "ff00::/8");
	struct bounds routed;

	if (type == ROUTE_TYPE_LOCAL)
		return bounds_exactly(local);
	if (type == ROUTE_TYPE_MULTICAST)
		return bounds_exactly(multicast);
	if (type == ROUTE_TYPE_ANYCAST)
		return bounds_exactly(of_local_type(spread, &host->routing6, fib, type));
	if (type == ROUTE_TYPE_BROADCAST)
		return bounds_exactly(PSET_EMPTY);
	routed = routed_for(asking, fib, STACK_IP6, (struct interval){1, ~(wide)0});
	if (type == ROUTE_TYPE_UNICAST)
		return bounds_out(space, routed, pset_or(space, local, multicast));
	if (type == ROUTE_TYPE_UNREACHABLE)
		return bounds_out(space, bounds_not(space, routed), pset_or(space, local, multicast));
	return BOUNDS_UNKNOWN;
}

static struct bounds of_family(struct space *space, struct bounds bounds, enum pset_family family)
{
	return bounds_in(space, bounds, pset_kind(space, PSET_FAMILY, family));
}

static struct bounds fib_type(void *context, const struct expr *fib, uint8_t type)
{
	const struct spread_context *asking = context;
	struct spread *spread = asking->spread;
	struct bounds ip4 = bounds_exactly(type4(spread, asking->host, fib, type));
	struct bounds ip6 = type6(asking, fib, type);

	return bounds_or(spread->space, of_family(spread->space, ip4, PSET_IP4),
			 of_family(spread->space, ip6, PSET_IP6));
}

/* What comes over the loopback is reached by it (nft_fib_is_loopback). */
static struct bounds looped(struct space *space, struct bounds bounds, struct interval names)
{
	pset over = pset_value(space, PSET_IIF, wide_of_name("lo"));
	bool named = wide_of_name("lo") >= names.first && wide_of_name("lo") <= names.last;

	bounds = bounds_out(space, bounds, over);
	return named ? bounds_or(space, bounds, bounds_exactly(over)) : bounds;
}

/* The packets whose address is reached by interfaces with these names; with `fib … . iif` only by the one they came in
 * by. */
static struct bounds fib_oif(void *context, const struct expr *fib, struct interval names)
{
	const struct spread_context *asking = context;
	struct spread *spread = asking->spread;
	struct space *space = spread->space;
	struct bounds all = bounds_exactly(PSET_EMPTY);

	for (enum stack_family family = STACK_IP4; family <= STACK_IP6; family++) {
		enum pset_family of = family == STACK_IP4 ? PSET_IP4 : PSET_IP6;
		struct bounds some;

		if (!(fib->fib.flags & (FIB_IIF | FIB_OIF))) {
			some = routed_for(asking, fib, family, names);
			if (family == STACK_IP6)
				some = on_own_link(asking, fib, some, names);
			all = bounds_or(space, all, of_family(space, some, of));
			continue;
		}
		for (size_t i = 0; i < asking->host->link_count; i++) {
			wide name = wide_of_name(asking->host->links[i].name);
			enum pset_field field = fib->fib.flags & FIB_IIF ? PSET_IIF : PSET_OIF;

			if (name < names.first || name > names.last)
				continue;
			some = routed_for(asking, fib, family, (struct interval){name, name});
			if (family == STACK_IP6)
				some = on_own_link(asking, fib, some, (struct interval){name, name});
			some = bounds_in(space, some, pset_value(space, field, name));
			all = bounds_or(space, all, of_family(space, some, of));
		}
	}
	return looped(space, all, names);
}

static struct bounds fib_exists(void *context, const struct expr *fib)
{
	return fib_oif(context, fib, (struct interval){1, ~(wide)0});
}

struct match_routing *spread_match_routing(struct spread *spread, const struct stack_host *host)
{
	struct match_routing *routing = arena_new_struct(spread->kept, struct match_routing);
	struct spread_context *context = arena_new_struct(spread->kept, struct spread_context);

	*context = (struct spread_context){spread, host};
	*routing = (struct match_routing){fib_type, fib_exists, fib_oif, context};
	return routing;
}
