/*
 * The way through one host follows the kernel: ip_rcv(), ip_route_input_slow(), ip_forward(), ip_output() and their
 * counterparts of IPv6. At each fork the set is split, and each part goes its own way to its end.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MOST_HOPS = 24 };

struct spread *spread_new(const struct stack *stack, struct space *space)
{
	struct spread *spread = calloc(1, sizeof(*spread));

	if (!spread)
		abort();
	spread->stack = stack;
	spread->space = space;
	spread->arena = arena_new();
	spread->chains = calloc(stack->host_count + 1, sizeof(*spread->chains));
	spread->routing = calloc(stack->host_count + 1, sizeof(*spread->routing));
	if (!spread->chains || !spread->routing)
		abort();
	spread->first_id = space_operator_id(space);
	spread->put_id = space_operator_id(space);
	return spread;
}

void spread_free(struct spread *spread)
{
	if (!spread)
		return;
	for (size_t i = 0; i < spread->stack->host_count; i++)
		chains_free(spread->chains[i]);
	free(spread->chains);
	free(spread->routing);
	arena_free(spread->arena);
	free(spread);
}

struct chains *spread_chains(struct spread *spread, const struct stack_host *host)
{
	struct chains **chains = &spread->chains[host->number];

	if (!*chains)
		*chains = chains_new(spread->space, host, NULL, spread_match_routing(spread, host));
	return *chains;
}

struct bounds bounds_in(struct space *space, struct bounds packets, pset set)
{
	return bounds_and(space, packets, bounds_exactly(set));
}

struct bounds bounds_out(struct space *space, struct bounds packets, pset set)
{
	return (struct bounds){pset_minus(space, packets.may, set), pset_minus(space, packets.must, set)};
}

/* ---- ends ---- */

static struct spread_end *add_end(struct spread *spread, const struct stream *stream, struct bounds packets,
				  enum spread_fate fate)
{
	struct spread_end *end = arena_push(spread->arena, spread->ends, spread->end_count);

	*end = (struct spread_end){
		.fate = fate, .hop = stream->hop, .host = stream->host, .oif = stream->oif, .packets = packets};
	return end;
}

void spread_end_at(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum spread_reason reason)
{
	if (!bounds_are_empty(packets))
		add_end(spread, stream, packets, fate)->reason = reason;
}

void spread_end_on(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum spread_reason reason, const struct stack_route *route)
{
	struct spread_end *end;

	if (bounds_are_empty(packets))
		return;
	end = add_end(spread, stream, packets, fate);
	end->reason = reason;
	end->route = route;
}

void spread_end_by(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum hook hook, const struct stack_chain *chain)
{
	struct spread_end *end;

	if (bounds_are_empty(packets))
		return;
	end = add_end(spread, stream, packets, fate);
	end->hook = hook;
	end->chain = chain;
	if (fate == SPREAD_UNKNOWN)
		end->reason = SPREAD_FOR_PROGRAM;
}

/* Takes packets out of the stream that end here. */
static void lose(struct spread *spread, struct stream *stream, pset set, enum spread_reason reason)
{
	spread_end_at(spread, stream, bounds_in(spread->space, stream->packets, set), SPREAD_LOST, reason);
	stream->packets = bounds_out(spread->space, stream->packets, set);
}

/* The same for packets that are only perhaps let through. */
static void keep(struct spread *spread, struct stream *stream, struct bounds kept, enum spread_reason reason)
{
	struct bounds lost = {pset_minus(spread->space, stream->packets.may, kept.must),
			      pset_minus(spread->space, stream->packets.must, kept.may)};

	spread_end_at(spread, stream, lost, SPREAD_LOST, reason);
	stream->packets = bounds_and(spread->space, stream->packets, kept);
}

/* ---- addresses that do not belong where they are ---- */

static pset prefix_of(struct spread *spread, enum pset_field field, const char *text)
{
	struct prefix prefix;
	struct interval interval;

	if (!prefix_parse(text, &prefix))
		return PSET_EMPTY;
	interval = interval_of_prefix(&prefix);
	return pset_interval(spread->space, field, interval.first, interval.last);
}

static void refuse_martians4(struct spread *spread, struct stream *stream)
{
	bool localnet = number_or(stream->iif->route_localnet.value, 0) != 0;

	lose(spread, stream, prefix_of(spread, PSET_SADDR, "224.0.0.0/4"), SPREAD_FOR_SOURCE);
	lose(spread, stream, prefix_of(spread, PSET_SADDR, "255.255.255.255/32"), SPREAD_FOR_SOURCE);
	lose(spread, stream, prefix_of(spread, PSET_SADDR, "0.0.0.0/8"), SPREAD_FOR_SOURCE);
	lose(spread, stream, prefix_of(spread, PSET_DADDR, "0.0.0.0/8"), SPREAD_FOR_DESTINATION);
	if (!localnet) {
		lose(spread, stream, prefix_of(spread, PSET_DADDR, "127.0.0.0/8"), SPREAD_FOR_DESTINATION);
		lose(spread, stream, prefix_of(spread, PSET_SADDR, "127.0.0.0/8"), SPREAD_FOR_SOURCE);
	}
}

static void refuse_martians6(struct spread *spread, struct stream *stream)
{
	lose(spread, stream, prefix_of(spread, PSET_SADDR, "ff00::/8"), SPREAD_FOR_SOURCE);
	lose(spread, stream, prefix_of(spread, PSET_SADDR, "::1/128"), SPREAD_FOR_SOURCE);
	lose(spread, stream, prefix_of(spread, PSET_DADDR, "::1/128"), SPREAD_FOR_DESTINATION);
	lose(spread, stream, prefix_of(spread, PSET_DADDR, "::/128"), SPREAD_FOR_DESTINATION);
}

/*
 * The packets that would be answered by where they came in (strict), or by any interface, as rp_filter asks. The
 * question is put as if the answer came in at `oif`, where the packet is to leave; of one for this host itself, as if
 * it made it.
 */
static struct bounds routed_back(struct spread *spread, const struct stream *stream, const struct stack_link *oif,
				 bool strict)
{
	wide name = wide_of_name(stream->iif->name);
	struct interval names = {strict ? name : 1, strict ? name : ~(wide)0};
	struct bounds back = spread_routed_by(spread, stream->host, stream->family, oif, true, names);

	/* the mark does not count, unless the interface says so */
	if (number_or(stream->iif->src_valid_mark.value, 0) == 0) {
		back.may = pset_before(spread->space, back.may, pset_bits_of(PSET_MARK), 0, UINT32_MAX);
		back.must = pset_before(spread->space, back.must, pset_bits_of(PSET_MARK), 0, UINT32_MAX);
	}
	return back;
}

/* fib_validate_source(): of IPv4 only. */
static void check_source(struct spread *spread, struct stream *stream, const struct stack_route *route)
{
	const struct number *rp_filter = &stream->iif->rp_filter.value;
	const struct route *taken = route->route;
	const char *dev = taken->type == ROUTE_TYPE_UNICAST && taken->nexthop_count ? taken->nexthops[0].dev : NULL;
	struct bounds back;

	if (stream->family != STACK_IP4)
		return;
	if (number_or(stream->iif->accept_local.value, 0) == 0)
		lose(spread, stream, spread_own_addresses(spread, stream->host, stream->family, PSET_SADDR),
		     SPREAD_FOR_SOURCE);
	if (rp_filter->known && rp_filter->value == 0)
		return;
	back = routed_back(spread, stream, dev ? stack_link(stream->host, dev) : NULL,
			   !rp_filter->known || rp_filter->value == 1);
	if (!rp_filter->known)
		back.may = PSET_FULL;
	keep(spread, stream, back, SPREAD_FOR_SOURCE);
}

/* ---- leaving ---- */

/* Behind the decision: postrouting, and out. */
static void leave(struct spread *spread, struct stream *stream, const struct stack_route *route,
		  const struct nexthop *nexthop)
{
	if (stream->oif && stream->oif->link->up == TRUTH_NO) {
		spread_end_on(spread, stream, stream->packets, SPREAD_LOST, SPREAD_FOR_LINK, route);
		return;
	}
	spread_hook(spread, stream, stream->family, HOOK_POSTROUTING, INT_MIN, INT_MAX);
	if (!bounds_are_empty(stream->packets))
		spread_send(spread, stream, nexthop->via.family ? &nexthop->via : NULL);
}

/* One of several next hops is taken: which one is not for us to say. */
static struct bounds of_several(struct bounds packets, size_t count)
{
	if (count > 1)
		packets.must = PSET_EMPTY;
	return packets;
}

static void forward_by(struct spread *spread, const struct stream *stream, const struct routed *routed)
{
	const struct route *route = routed->decision.route->route;

	if (route->nexthop_count == 0)
		spread_end_on(spread, stream, routed->packets, SPREAD_UNKNOWN, SPREAD_FOR_MISSING,
			      routed->decision.route);
	for (size_t i = 0; i < route->nexthop_count; i++) {
		const struct nexthop *nexthop = &route->nexthops[i];
		struct stream out = *stream;

		out.oif = nexthop->dev ? stack_link(stream->host, nexthop->dev) : NULL;
		out.packets = of_several(routed->packets, route->nexthop_count);
		if (!out.oif) {
			spread_end_on(spread, &out, out.packets, SPREAD_UNKNOWN, SPREAD_FOR_MISSING,
				      routed->decision.route);
			continue;
		}
		spread_hook(spread, &out, stream->family, HOOK_FORWARD, INT_MIN, INT_MAX);
		if (!bounds_are_empty(out.packets))
			leave(spread, &out, routed->decision.route, nexthop);
	}
}

static void deliver(struct spread *spread, const struct stream *stream, const struct routed *routed)
{
	struct stream in = *stream;

	in.packets = routed->packets;
	spread_hook(spread, &in, stream->family, HOOK_INPUT, INT_MIN, INT_MAX);
	spread_end_on(spread, &in, in.packets, SPREAD_DELIVERED, SPREAD_FOR_NONE, routed->decision.route);
}

static bool forwards(const struct stream *stream, struct bounds *packets)
{
	const struct stack_sysctl *sysctl =
		stream->family == STACK_IP4 ? &stream->iif->forwarding4 : &stream->iif->forwarding6;

	if (!sysctl->value.known)
		packets->must = PSET_EMPTY;
	return !sysctl->value.known || sysctl->value.value != 0;
}

/* What routing said of packets that came in. */
static void take_route(struct spread *spread, const struct stream *stream, struct routed *routed)
{
	const struct stack_route *route = routed->decision.route;
	uint8_t type = route ? route->route->type : ROUTE_TYPE_UNSPEC;
	struct bounds all = routed->packets;

	switch (routed->decision.kind) {
	case DECIDED_UNKNOWN:
		spread_end_at(spread, stream, all, SPREAD_UNKNOWN, SPREAD_FOR_MISSING);
		return;
	case DECIDED_THROW:
		spread_end_at(spread, stream, all, SPREAD_LOST, SPREAD_FOR_ROUTE);
		return;
	case DECIDED_NOTHING:
		spread_end_at(spread, stream, all, SPREAD_LOST, SPREAD_FOR_NO_ROUTE);
		return;
	case DECIDED_ROUTE:
		break;
	}
	if (type == ROUTE_TYPE_LOCAL) {
		deliver(spread, stream, routed);
	} else if (type == ROUTE_TYPE_BROADCAST || type == ROUTE_TYPE_ANYCAST || type == ROUTE_TYPE_MULTICAST) {
		spread_end_on(spread, stream, all, SPREAD_UNKNOWN, SPREAD_FOR_MANY, route);
	} else if (type != ROUTE_TYPE_UNICAST) {
		spread_end_on(spread, stream, all, SPREAD_LOST, SPREAD_FOR_ROUTE, route);
	} else if (!forwards(stream, &routed->packets)) {
		spread_end_on(spread, stream, all, SPREAD_LOST, SPREAD_FOR_FORWARDING, route);
	} else {
		if (routed->packets.must != all.must)
			spread_end_on(spread, stream, (struct bounds){all.may, PSET_EMPTY}, SPREAD_LOST,
				      SPREAD_FOR_FORWARDING, route);
		forward_by(spread, stream, routed);
	}
}

/* ---- coming in ---- */

static size_t add_hop(struct spread *spread, const struct stream *stream)
{
	struct spread_hop *hop = arena_push(spread->arena, spread->hops, spread->hop_count);

	*hop = (struct spread_hop){stream->host, stream->iif, stream->packets, stream->hop};
	return spread->hop_count - 1;
}

/* What a host does not know of a packet that comes to it: marks, and the first packet of its connection. */
static void enter_host(struct spread *spread, struct stream *stream)
{
	static const pset_fields forgotten = PSET_BIT(PSET_CT_SADDR) | PSET_BIT(PSET_CT_DADDR) |
					     PSET_BIT(PSET_CT_SPORT) | PSET_BIT(PSET_CT_DPORT) | PSET_BIT(PSET_TTL);
	static const enum pset_field cleared[] = {PSET_MARK, PSET_CT_MARK, PSET_STATUS, PSET_DIRECTION};

	stream->packets.may = pset_forget(spread->space, stream->packets.may, forgotten);
	stream->packets.must = pset_forget(spread->space, stream->packets.must, forgotten);
	for (size_t i = 0; i < sizeof(cleared) / sizeof(*cleared); i++) {
		struct pset_bits bits = pset_bits_of(cleared[i]);

		stream->packets.may = pset_after(spread->space, stream->packets.may, bits, 0, ~(wide)0);
		stream->packets.must = pset_after(spread->space, stream->packets.must, bits, 0, ~(wide)0);
	}
}

/* One host after the other could go on for ever; a packet's time to live does not. */
static bool goes_round(struct spread *spread, const struct stream *stream)
{
	if (stream->depth < MOST_HOPS)
		return false;
	spread_end_at(spread, stream, stream->packets, SPREAD_LOST, SPREAD_FOR_LOOP);
	return true;
}

static pset multicast(struct spread *spread, enum stack_family family)
{
	if (family == STACK_IP6)
		return prefix_of(spread, PSET_DADDR, "ff00::/8");
	return pset_or(spread->space, prefix_of(spread, PSET_DADDR, "224.0.0.0/4"),
		       prefix_of(spread, PSET_DADDR, "255.255.255.255/32"));
}

static void end_for_many(struct spread *spread, struct stream *stream)
{
	pset many = multicast(spread, stream->family);

	spread_end_at(spread, stream, bounds_in(spread->space, stream->packets, many), SPREAD_UNKNOWN, SPREAD_FOR_MANY);
	stream->packets = bounds_out(spread->space, stream->packets, many);
}

/* From prerouting on. */
static void route_arrived(struct spread *spread, struct stream *stream)
{
	struct routed *routed;
	size_t count;

	end_for_many(spread, stream);
	if (stream->family == STACK_IP4)
		refuse_martians4(spread, stream);
	else
		refuse_martians6(spread, stream);
	count = spread_route(spread, stream, false, &routed);
	for (size_t i = 0; i < count; i++) {
		struct stream part = *stream;

		part.packets = routed[i].packets;
		if (routed[i].decision.kind == DECIDED_ROUTE &&
		    (routed[i].decision.route->route->type == ROUTE_TYPE_LOCAL ||
		     routed[i].decision.route->route->type == ROUTE_TYPE_UNICAST))
			check_source(spread, &part, routed[i].decision.route);
		routed[i].packets = part.packets;
		if (!bounds_are_empty(part.packets))
			take_route(spread, &part, &routed[i]);
	}
}

void spread_arrive(struct spread *spread, const struct stream *arriving)
{
	struct stream stream = *arriving;

	enter_host(spread, &stream);
	stream.hop = add_hop(spread, &stream);
	if (goes_round(spread, &stream))
		return;
	if (stream.iif->link->up == TRUTH_NO) {
		spread_end_at(spread, &stream, stream.packets, SPREAD_LOST, SPREAD_FOR_LINK);
		return;
	}
	spread_hook(spread, &stream, stream.family, HOOK_PREROUTING, INT_MIN, INT_MAX);
	route_arrived(spread, &stream);
}

/* ---- sent by the host itself ---- */

/* Routed once more where the rules changed what routing asks for: the mark, or the addresses. */
static void send_out(struct spread *spread, const struct stream *stream, unsigned round);

static void send_by(struct spread *spread, const struct stream *stream, const struct routed *routed,
		    const struct nexthop *nexthop, bool local, unsigned round)
{
	struct stream out = *stream, again;
	const struct stack_route *route = routed->decision.route;
	struct bounds before;

	out.packets = routed->packets;
	out.oif = nexthop && nexthop->dev ? stack_link(stream->host, nexthop->dev) : NULL;
	if (local)
		out.oif = stack_link(stream->host, "lo");
	if (round == 0) {
		spread_name_links(spread, &out);
		before = out.packets;
		spread_hook(spread, &out, stream->family, HOOK_OUTPUT, INT_MIN, INT_MAX);
		again = out;
		/* what left the hook as it came keeps its route */
		again.packets = (struct bounds){pset_minus(spread->space, out.packets.may, before.may),
						pset_minus(spread->space, out.packets.must, before.may)};
		out.packets = bounds_in(spread->space, out.packets, before.may);
		if (!bounds_are_empty(again.packets))
			send_out(spread, &again, 1);
	}
	if (bounds_are_empty(out.packets))
		return;
	if (local) {
		spread_hook(spread, &out, stream->family, HOOK_POSTROUTING, INT_MIN, INT_MAX);
		out.iif = out.oif;
		out.oif = NULL;
		spread_hook(spread, &out, stream->family, HOOK_PREROUTING, INT_MIN, INT_MAX);
		deliver(spread, &out, &(struct routed){routed->decision, out.packets});
		return;
	}
	leave(spread, &out, route, nexthop);
}

static void send_out(struct spread *spread, const struct stream *stream, unsigned round)
{
	struct routed *routed;
	size_t count = spread_route(spread, stream, true, &routed);

	for (size_t i = 0; i < count; i++) {
		const struct stack_route *route = routed[i].decision.route;
		struct stream part = *stream;
		uint8_t type = route ? route->route->type : ROUTE_TYPE_UNSPEC;

		part.packets = routed[i].packets;
		if (!route || (type != ROUTE_TYPE_LOCAL && type != ROUTE_TYPE_UNICAST)) {
			take_route(spread, &part, &routed[i]);
			continue;
		}
		if (type == ROUTE_TYPE_LOCAL)
			send_by(spread, &part, &routed[i], NULL, true, round);
		for (size_t j = 0; type == ROUTE_TYPE_UNICAST && j < route->route->nexthop_count; j++) {
			struct routed one = {routed[i].decision,
					     of_several(routed[i].packets, route->route->nexthop_count)};

			send_by(spread, &part, &one, &route->route->nexthops[j], false, round);
		}
	}
}

/* ---- asked ---- */

static void follow(struct spread *spread, const struct spread_start *start, enum stack_family family)
{
	pset of_family = pset_kind(spread->space, PSET_FAMILY, family == STACK_IP4 ? PSET_IP4 : PSET_IP6);
	struct stream stream = {.host = (struct stack_host *)start->host,
				.family = family,
				.iif = (struct stack_link *)start->iif,
				.in_port = (struct stack_link *)start->in_port,
				.packets = bounds_exactly(pset_and(spread->space, start->packets, of_family)),
				.hop = SIZE_MAX};
	pset known = pset_or(spread->space, pset_kind(spread->space, PSET_STATE, PSET_ESTABLISHED),
			     pset_kind(spread->space, PSET_STATE, PSET_RELATED));

	spread_end_at(spread, &stream, bounds_in(spread->space, stream.packets, known), SPREAD_UNKNOWN,
		      SPREAD_FOR_STATE);
	stream.packets = bounds_out(spread->space, stream.packets, known);
	if (bounds_are_empty(stream.packets))
		return;
	if (stream.iif) {
		spread_arrive(spread, &stream);
		return;
	}
	enter_host(spread, &stream);
	stream.hop = add_hop(spread, &stream);
	end_for_many(spread, &stream);
	send_out(spread, &stream, 0);
}

int spread_follow(struct spread *spread, const struct spread_start *start, const struct spread_end **ret,
		  size_t *ret_count, struct error **err)
{
	int result;

	spread->ends = NULL;
	spread->hops = NULL;
	spread->end_count = spread->hop_count = 0;
	follow(spread, start, STACK_IP4);
	follow(spread, start, STACK_IP6);
	result = space_check(spread->space, err);
	*ret = spread->ends;
	*ret_count = spread->end_count;
	return result;
}

const struct spread_hop *spread_hops(const struct spread *spread, size_t *ret_count)
{
	*ret_count = spread->hop_count;
	return spread->hops;
}

void spread_deciding(struct spread *spread, const struct spread_end *end, met_visitor *visitor, void *context)
{
	if (end->chain)
		chains_deciding(spread_chains(spread, end->host), end->chain, end->packets.may,
				end->fate == SPREAD_REJECTED  ? END_BIT(END_REJECT)
				: end->fate == SPREAD_UNKNOWN ? END_BIT(END_ELSEWHERE)
							      : END_BIT(END_DROP),
				visitor, context);
}

const char *spread_reason_text(enum spread_reason reason)
{
	static const char *const texts[] = {
		[SPREAD_FOR_NONE] = "",
		[SPREAD_FOR_NO_ROUTE] = "no route",
		[SPREAD_FOR_ROUTE] = "a route that refuses",
		[SPREAD_FOR_SOURCE] = "a source that does not belong there",
		[SPREAD_FOR_DESTINATION] = "a destination that does not belong there",
		[SPREAD_FOR_FORWARDING] = "forwarding is off",
		[SPREAD_FOR_NEIGHBOUR] = "nobody has the next address",
		[SPREAD_FOR_LINK] = "the interface is down",
		[SPREAD_FOR_LOOP] = "it goes round in circles",
		[SPREAD_FOR_PROGRAM] = "a program decides",
		[SPREAD_FOR_MANY] = "it is for several",
		[SPREAD_FOR_STATE] = "it belongs to a connection",
		[SPREAD_FOR_MISSING] = "it was not captured",
	};

	return texts[reason];
}
