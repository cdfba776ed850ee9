/*
 * Sources that do not belong where packets came in: addresses that no host has, and those that the way back to leads
 * elsewhere (ip_route_input_slow() and fib_validate_source() of IPv4, ip6_rcv_core() of IPv6).
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <string.h>
#include <sys/socket.h>

void spread_lose_unless(struct spread *spread, struct stream *stream, pset set, const struct number *allowed)
{
	struct bounds perhaps;

	if (allowed->known && allowed->value)
		return;
	if (allowed->known) {
		spread_lose(spread, stream, set, SPREAD_FOR_SOURCE);
		return;
	}
	perhaps = bounds_in(spread->space, stream->packets, set);
	perhaps.must = PSET_EMPTY;
	spread_end_at(spread, stream, perhaps, SPREAD_LOST, SPREAD_FOR_SOURCE);
	stream->packets.must = pset_minus(spread->space, stream->packets.must, set);
}

static void refuse_martians4(struct spread *spread, struct stream *stream)
{
	struct space *space = spread->space;
	pset zero = spread_prefix(spread, PSET_SADDR, "0.0.0.0/8");
	pset loopback = pset_or(space, spread_prefix(spread, PSET_SADDR, "127.0.0.0/8"),
				spread_prefix(spread, PSET_DADDR, "127.0.0.0/8"));

	/* who has no address yet asks everybody for one */
	zero = pset_minus(space, zero, spread_prefix(spread, PSET_DADDR, "255.255.255.255/32"));
	spread_lose(spread, stream, spread_prefix(spread, PSET_SADDR, "224.0.0.0/4"), SPREAD_FOR_SOURCE);
	spread_lose(spread, stream, spread_prefix(spread, PSET_SADDR, "255.255.255.255/32"), SPREAD_FOR_SOURCE);
	spread_lose(spread, stream, zero, SPREAD_FOR_SOURCE);
	spread_lose(spread, stream, spread_prefix(spread, PSET_DADDR, "0.0.0.0/8"), SPREAD_FOR_DESTINATION);
	spread_lose_unless(spread, stream, loopback, &stream->iif->route_localnet.value);
}

static void refuse_martians6(struct spread *spread, struct stream *stream)
{
	spread_lose(spread, stream, spread_prefix(spread, PSET_SADDR, "ff00::/8"), SPREAD_FOR_SOURCE);
	if (stream->iif->loopback)
		return;
	spread_lose(spread, stream, spread_prefix(spread, PSET_SADDR, "::1/128"), SPREAD_FOR_SOURCE);
	spread_lose(spread, stream, spread_prefix(spread, PSET_DADDR, "::1/128"), SPREAD_FOR_DESTINATION);
}

void spread_refuse_martians(struct spread *spread, struct stream *stream)
{
	if (stream->family == STACK_IP4)
		refuse_martians4(spread, stream);
	else
		refuse_martians6(spread, stream);
}

/* ---- the way back ---- */

/* What the way back to a source is, as far as it matters. */
enum back {
	BACK_HERE,	/* by the interface that it came in by */
	BACK_ELSEWHERE, /* by another one */
	BACK_NOWHERE,
	BACK_OWN,	    /* it is the host's own, of this interface */
	BACK_OWN_ELSEWHERE, /* or of another one */
	BACK_MARTIAN,	    /* broadcast and the like */
	BACK_UNKNOWN,
	BACK_COUNT,
};

struct spread_back {
	const struct stack_link *iif, *oif;
	pset sets[BACK_COUNT];
};

struct classifying {
	const struct spread_routing *routing;
	const struct stack_link *iif;
};

static bool uses(const struct route *route, const struct stack_link *link)
{
	for (size_t i = 0; i < route->nexthop_count; i++)
		if (route->nexthops[i].dev && strcmp(route->nexthops[i].dev, link->name) == 0)
			return true;
	return false;
}

static uint32_t classify(void *context, uint32_t number)
{
	const struct classifying *classifying = context;
	const struct decision *decision = &classifying->routing->decisions[number];
	const struct route *route;

	if (decision->kind == DECIDED_UNKNOWN)
		return BACK_UNKNOWN;
	if (decision->kind != DECIDED_ROUTE)
		return BACK_NOWHERE;
	route = decision->route->route;
	switch (route->type) {
	case ROUTE_TYPE_LOCAL:
		return uses(route, classifying->iif) || classifying->iif->loopback ? BACK_OWN : BACK_OWN_ELSEWHERE;
	case ROUTE_TYPE_UNICAST:
		return uses(route, classifying->iif) ? BACK_HERE : BACK_ELSEWHERE;
	case ROUTE_TYPE_BLACKHOLE:
	case ROUTE_TYPE_UNREACHABLE:
	case ROUTE_TYPE_PROHIBIT:
		return BACK_NOWHERE;
	default:
		return BACK_MARTIAN;
	}
}

static uint32_t is_class(void *context, uint32_t number)
{
	return number == *(const uint32_t *)context;
}

/* Packets that are for others as well: the way back is asked without their destination. */
static pset for_several(struct spread *spread, const struct stack_host *host)
{
	const struct stack_fib *local = stack_fib(&host->routing4, "local");
	pset set = pset_or(spread->space, spread_prefix(spread, PSET_DADDR, "224.0.0.0/4"),
			   spread_prefix(spread, PSET_DADDR, "255.255.255.255/32"));

	for (size_t i = 0; local && i < local->route_count; i++) {
		struct interval interval = interval_of_prefix(&local->routes[i].to);

		if (local->routes[i].route->type == ROUTE_TYPE_BROADCAST)
			set = pset_or(spread->space, set,
				      pset_interval(spread->space, PSET_DADDR, interval.first, interval.last));
	}
	return set;
}

/* The question is put as if the answer came in where the packet is to leave; of one for this host, as if it made it. */
static struct spread_back *find_back(struct spread *spread, const struct stream *stream, const struct stack_link *oif)
{
	struct space *space = spread->space;
	struct spread_routing *routing = spread_routing(spread, stream->host, stream->family);
	struct classifying classifying = {routing, stream->iif};
	struct diagram_mapping mapping = {classify, &classifying, space_operator_id(space)};
	diagram function = oif ? routing->arriving : routing->local;
	pset several = oif ? PSET_EMPTY : for_several(spread, stream->host);
	struct spread_back *back;

	for (size_t i = 0; i < routing->back_count; i++)
		if (routing->backs[i]->iif == stream->iif && routing->backs[i]->oif == oif)
			return routing->backs[i];
	back = arena_new_struct(spread->kept, struct spread_back);
	*back = (struct spread_back){.iif = stream->iif, .oif = oif};
	if (oif)
		function = pset_before(space, function, pset_bits_of(PSET_IIF), wide_of_name(oif->name), ~(wide)0);
	/* the mark does not count, unless the interface says so */
	if (number_or(stream->iif->src_valid_mark.value, 0) == 0)
		function = pset_before(space, function, pset_bits_of(PSET_MARK), 0, UINT32_MAX);
	function = diagram_map(space, &mapping, function);
	for (uint32_t i = 0; i < BACK_COUNT; i++) {
		struct diagram_mapping one = {is_class, &i, space_operator_id(space)};
		pset set = diagram_map(space, &one, function);
		pset of_nobody = pset_before(space, set, pset_bits_of(PSET_SADDR), 0, ~(wide)0);

		back->sets[i] = pset_or(space, pset_minus(space, pset_exchange_ends(space, set), several),
					pset_and(space, pset_exchange_ends(space, of_nobody), several));
	}
	*arena_push(spread->kept, routing->backs, routing->back_count) = back;
	return back;
}

/* Without rp_filter and policy rules the kernel only looks whether it has that address itself. */
static pset own_sources(struct spread *spread, const struct stream *stream)
{
	pset own = PSET_EMPTY;

	if (stream->iif->link->addresses4_known != TRUTH_YES)
		own = spread_own_addresses(spread, stream->host, stream->family, PSET_SADDR);
	for (size_t i = 0; i < stream->host->link_count; i++) {
		const struct link *link = stream->host->links[i].link;

		for (size_t j = 0; j < link->address_count; j++) {
			struct prefix prefix = link->addresses[j].prefix;
			struct interval interval;

			prefix.length = ip_bits(&prefix.ip);
			interval = interval_of_prefix(&prefix);
			if (prefix.ip.family == AF_INET)
				own = pset_or(spread->space, own,
					      pset_interval(spread->space, PSET_SADDR, interval.first, interval.last));
		}
	}
	return own;
}

/* rp_filter: strict (1) and loose (2); what one of them lets through and the other does not is open if it is not known.
 */
static void filter(struct spread *spread, struct stream *stream, pset set, bool loose_passes)
{
	const struct number *mode = &stream->iif->rp_filter.value;
	struct number allowed = *mode;

	if (mode->known)
		allowed.value = mode->value == 0 || (mode->value == 2 && loose_passes);
	spread_lose_unless(spread, stream, set, &allowed);
}

void spread_check_source(struct spread *spread, struct stream *stream, const struct stack_link *oif)
{
	const struct number *rp_filter = &stream->iif->rp_filter.value;
	struct number own_allowed = number_of(number_or(stream->iif->accept_local.value, 0));
	const struct spread_back *back;
	struct bounds unknown;

	if (stream->family != STACK_IP4)
		return;
	own_allowed.known = stream->iif->accept_local.value.known;
	if (rp_filter->known && rp_filter->value == 0 && stream->iif != oif &&
	    stack_routing_is_usual(&stream->host->routing4)) {
		spread_lose_unless(spread, stream, own_sources(spread, stream), &own_allowed);
		return;
	}
	back = find_back(spread, stream, oif);
	spread_lose_unless(spread, stream, pset_or(spread->space, back->sets[BACK_OWN], back->sets[BACK_OWN_ELSEWHERE]),
			   &own_allowed);
	spread_lose(spread, stream, back->sets[BACK_MARTIAN], SPREAD_FOR_SOURCE);
	filter(spread, stream, back->sets[BACK_NOWHERE], false);
	filter(spread, stream, pset_or(spread->space, back->sets[BACK_ELSEWHERE], back->sets[BACK_OWN_ELSEWHERE]),
	       stack_link_has_addresses4(stream->iif));
	unknown = bounds_in(spread->space, stream->packets, back->sets[BACK_UNKNOWN]);
	spread_end_at(spread, stream, unknown, SPREAD_UNKNOWN, SPREAD_FOR_MISSING);
	stream->packets = bounds_out(spread->space, stream->packets, back->sets[BACK_UNKNOWN]);
}
