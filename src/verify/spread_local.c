/*
 * Packets of the host's own: routed, through the output hook, and routed once more where rules changed what routing
 * asks for (nf_route_table_hook4, nf_nat_ipv4_local_fn).
 */
#include "verify/spread_internal.h"

#include <limits.h>

/* A packet that has its route, at the output hook: before the chain with this index. */
struct leaving {
	struct routed routed;
	const struct nexthop *nexthop; /* NULL: none, it is for the host itself */
	struct stack_link *shown;      /* the interface of its first route: chains of this hook go on seeing that one */
	size_t index;
};

static void route_out(struct spread *spread, const struct stream *stream, struct stack_link *shown, size_t index);

/* 127.0.0.0/8 does not leave the host by an interface that does not allow it (__mkroute_output()). */
static void refuse_loopback(struct spread *spread, struct stream *stream)
{
	if (stream->family == STACK_IP4 && !stream->oif->loopback)
		spread_lose_unless(spread, stream, spread_prefix(spread, PSET_SADDR, "127.0.0.0/8"),
				   &stream->oif->route_localnet.value);
}

/* Behind a host's last hook a connection is in the table (nf_conntrack_confirm). */
static void confirm(struct spread *spread, struct stream *stream)
{
	static const enum pset_state none[] = {PSET_INVALID, PSET_UNTRACKED};
	struct space *space = spread->space;
	struct bounds before = stream->packets, others = {PSET_EMPTY, PSET_EMPTY}, connected = before;
	struct pset_bits bits = pset_bits_of(PSET_STATUS);

	if (!stream->tracked)
		return;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		pset of_state = pset_kind(space, PSET_STATE, none[i]);

		others = bounds_or(space, others, bounds_in(space, before, of_state));
		connected = bounds_out(space, connected, of_state);
	}
	connected.may = pset_after(space, connected.may, bits, CT_STATUS_CONFIRMED, CT_STATUS_CONFIRMED);
	connected.must = pset_after(space, connected.must, bits, CT_STATUS_CONFIRMED, CT_STATUS_CONFIRMED);
	stream->packets = bounds_or(space, others, connected);
	spread_renew(spread, stream, before, PSET_BIT(PSET_STATUS));
}

/* Over the loopback and in again; the route it has stays with it. */
static void loop_back(struct spread *spread, struct stream *stream, const struct routed *routed)
{
	spread_hook(spread, stream, stream->family, HOOK_POSTROUTING, INT_MIN, INT_MAX);
	confirm(spread, stream);
	stream->iif = stream->oif;
	stream->oif = NULL;
	spread_hook(spread, stream, stream->family, HOOK_PREROUTING, INT_MIN, INT_MAX);
	spread_deliver(spread, stream, &(struct routed){routed->decision, stream->packets});
}

static void send_by(struct spread *spread, struct stream *stream, struct leaving *leaving)
{
	struct stack_link *oif = stream->oif;
	struct stream again;

	refuse_loopback(spread, stream);
	stream->oif = leaving->shown ? leaving->shown : oif;
	while (!bounds_are_empty(stream->packets) && spread_output(spread, stream, &leaving->index, &again)) {
		again.oif = NULL;
		route_out(spread, &again, stream->oif, leaving->index);
	}
	stream->oif = oif;
	if (bounds_are_empty(stream->packets))
		return;
	if (leaving->nexthop && !stream->oif->loopback)
		spread_leave(spread, stream, leaving->routed.decision.route, leaving->nexthop);
	else
		loop_back(spread, stream, &leaving->routed);
}

/* Every next hop that can be used. */
static void send_by_each(struct spread *spread, const struct stream *stream, const struct routed *routed,
			 struct stack_link *shown, size_t index)
{
	const struct route *route = routed->decision.route->route;

	if (spread_has_no_way(spread, stream, routed))
		return;
	for (size_t i = 0; i < route->nexthop_count; i++) {
		const struct nexthop *nexthop = &route->nexthops[i];
		struct leaving leaving = {*routed, nexthop, shown, index};
		struct stream out = *stream;

		if (!spread_usable(stream->host, nexthop))
			continue;
		out.packets = spread_of_several(routed->packets, route);
		out.oif = nexthop->dev ? stack_link(stream->host, nexthop->dev) : NULL;
		if (out.oif)
			send_by(spread, &out, &leaving);
		else
			spread_end_on(spread, &out, out.packets, SPREAD_UNKNOWN, SPREAD_FOR_MISSING,
				      routed->decision.route);
	}
}

static void route_out(struct spread *spread, const struct stream *stream, struct stack_link *shown, size_t index)
{
	struct routed *routed;
	size_t count = spread_route(spread, stream, true, &routed);

	for (size_t i = 0; i < count; i++) {
		struct stream part = *stream;
		struct leaving leaving = {routed[i], NULL, shown, index};

		part.packets = routed[i].packets;
		if (spread_refuse(spread, &part, &routed[i]))
			continue;
		part.oif = stack_link(stream->host, "lo");
		if (routed[i].decision.route->route->type == ROUTE_TYPE_LOCAL && part.oif)
			send_by(spread, &part, &leaving);
		else
			send_by_each(spread, stream, &routed[i], shown, index);
	}
}

void spread_send_out(struct spread *spread, const struct stream *stream)
{
	route_out(spread, stream, NULL, 0);
}
