/*
 * From one host's interface to the next: over cables and through bridges. A frame goes to whoever has the next address.
 * Which port of a bridge that is behind follows from where the cables lead; on the way are the chains of devices, the
 * bridge's own, and those of IP where it calls them for frames (bridge-nf).
 */
#include "verify/spread_search.h"

#include "base/arena.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MOST_TARGETS = 256 };

/* ---- on the way ---- */

static void redirect(struct spread *spread, struct stream *stream);

/* Chains of IP that a bridge calls. Where it is not known whether it does, both are taken to be possible. */
static void call_ip(struct spread *spread, struct stream *stream, const struct stack_link *bridge, enum hook hook)
{
	enum truth calls = spread_calls_ip(stream->host, bridge, stream->family);
	struct stream before = *stream;
	struct change *changes;

	if (calls == TRUTH_NO)
		return;
	if (calls == TRUTH_YES) {
		spread_hook(spread, stream, stream->family, hook, INT_MIN, INT_MAX);
		return;
	}
	stream->packets.must = PSET_EMPTY;
	spread_hook(spread, stream, stream->family, hook, INT_MIN, INT_MAX);
	changes = arena_alloc(spread->arena, 2 * sizeof(*changes));
	changes[0] = (struct change){
		.before = before.packets, .after = stream->packets, .inner = stream->passage, .outer = before.passage};
	changes[1] = (struct change){.before = before.packets, .after = before.packets};
	changes[1].after.must = PSET_EMPTY;
	stream->packets = bounds_or(spread->space, stream->packets, changes[1].after);
	stream->passage = before.passage;
	spread_pass(spread, stream, changes, 2);
}

/* A frame comes in by a port, before it is known where it goes. Behind that br_netfilter and the chains of a higher
 * priority; where both have the same, the chain is the younger and comes first. */
static void enter_bridge(struct spread *spread, struct stream *stream, const struct stack_link *bridge)
{
	if (stream->redirected) /* it was here before */
		return;
	spread_hook(spread, stream, STACK_BRIDGE, HOOK_PREROUTING, INT_MIN, 0);
	if (!bounds_are_empty(stream->packets))
		call_ip(spread, stream, bridge, HOOK_PREROUTING);
	if (!bounds_are_empty(stream->packets))
		spread_hook(spread, stream, STACK_BRIDGE, HOOK_PREROUTING, 1, INT_MAX);
	redirect(spread, stream);
}

static void bridge_on(struct spread *spread, const struct stream *stream, const struct nexthop *nexthop);

/* Does the route lead back to the bridge that the frame came in by? */
static const struct nexthop *leads_back(const struct stream *stream, const struct decision *decision)
{
	const struct route *route = decision->kind == DECIDED_ROUTE ? decision->route->route : NULL;

	if (!route || route->type != ROUTE_TYPE_UNICAST)
		return NULL;
	for (size_t i = 0; i < route->nexthop_count; i++)
		if (route->nexthops[i].dev && strcmp(route->nexthops[i].dev, stream->iif->name) == 0)
			return &route->nexthops[i];
	return NULL;
}

/* Packets that were translated to the address that they came for, as far as that can be told. */
static pset translated_to_same(struct spread *spread, pset translated)
{
	struct space *space = spread->space;
	struct interval *intervals;
	size_t count = pset_project(space, translated, PSET_DADDR, &intervals);
	pset same = PSET_EMPTY;

	for (size_t i = 0; i < count && count <= MOST_TARGETS; i++) {
		wide size = intervals[i].last - intervals[i].first;
		pset both;

		if (size != 0 && size != ((wide)1 << 96) - 1) /* more than one address */
			continue;
		both = pset_and(space, pset_interval(space, PSET_DADDR, intervals[i].first, intervals[i].last),
				pset_interval(space, PSET_CT_DADDR, intervals[i].first, intervals[i].last));

		same = pset_or(space, same, both);
	}
	free(intervals);
	return pset_and(space, translated, same);
}

static pset mac_of(struct spread *spread, enum pset_field field, const struct stack_link *link)
{
	if (!link || !link->link->mac.known)
		return PSET_FULL;
	return pset_value(spread->space, field, wide_of_mac(link->link->mac.bytes));
}

/* How packets arrive: in the frame they are in, in one for who is there, or in one for all. */
enum frame { FRAME_AS_IT_IS, FRAME_FOR_ONE, FRAME_FOR_ALL };

/* The frame has one of these MACs, as far as that is known. Where nobody asks only those to all are told apart. */
static void write_macs(struct spread *spread, struct stream *stream, enum frame frame, pset_fields fields, pset macs)
{
	struct space *space = spread->space;
	struct bounds before = stream->packets;

	if (frame != FRAME_FOR_ALL && spread->omits_macs)
		return;
	stream->packets.may = pset_and(space, pset_forget(space, before.may, fields), macs);
	stream->packets.must = bounds_are_exact(before)
				       ? stream->packets.may
				       : pset_and(space, pset_forget(space, before.must, fields), macs);
	spread_renew(spread, stream, before, fields);
}

/*
 * The destination was translated before the bridge decides (br_nf_pre_routing_finish). Where the new one is behind this
 * bridge, too, the frame is bridged on to it, whatever MAC it was for, and keeps its source's; otherwise it is routed.
 * IPv6 looks up a route and no more; IPv4 checks all that it checks of what it forwards.
 */
static void redirect(struct spread *spread, struct stream *stream)
{
	pset translated = pset_masked(spread->space, PSET_STATUS, CT_STATUS_DNAT, CT_STATUS_DNAT);
	struct stream all = *stream;
	bool checked = stream->family == STACK_IP4;
	struct routed *routed;
	size_t count;

	if (stream->redirected)
		return;
	translated = pset_and(spread->space, stream->packets.may, translated);
	translated = pset_minus(spread->space, translated, translated_to_same(spread, translated));
	all.packets = bounds_in(spread->space, stream->packets, translated);
	if (bounds_are_empty(all.packets))
		return;
	stream->packets = bounds_out(spread->space, stream->packets, translated);
	all.prerouted = true;
	all.oif = all.out_port = NULL;
	if (checked)
		spread_refuse_martians(spread, &all);
	count = spread_route(spread, &all, false, &routed);
	for (size_t i = 0; i < count; i++) {
		struct stream part = all;
		const struct nexthop *back = leads_back(&all, &routed[i].decision);

		part.packets = routed[i].packets;
		if (back && checked) {
			spread_check_forwarding(spread, &part, routed[i].decision.route);
			spread_check_source(spread, &part, part.iif);
		}
		if (back) {
			bridge_on(spread, &part, back);
			continue;
		}
		write_macs(spread, &part, FRAME_FOR_ONE, PSET_BIT(PSET_DMAC), mac_of(spread, PSET_DMAC, part.iif));
		spread_hook(spread, &part, STACK_BRIDGE, HOOK_INPUT, INT_MIN, INT_MAX);
		if (!bounds_are_empty(part.packets))
			spread_arrive(spread, &part);
	}
}

/* Rules that a frame between two ports passes. */
static void pass_bridge(struct spread *spread, struct stream *stream, const struct stack_link *bridge)
{
	bool tracks = spread_calls_ip(stream->host, bridge, stream->family) != TRUTH_NO;
	pset came = stream->packets.may;
	struct stream in;

	if (tracks)
		spread_look_back(spread, stream);
	in = *stream;
	in.oif = in.out_port = NULL;
	enter_bridge(spread, &in, bridge);
	stream->packets = in.packets;
	stream->passage = in.passage;
	stream->tracked = in.tracked;
	stream->translated[false] = in.translated[false];
	spread_hook(spread, stream, STACK_BRIDGE, HOOK_FORWARD, INT_MIN, 0);
	call_ip(spread, stream, bridge, HOOK_FORWARD);
	spread_hook(spread, stream, STACK_BRIDGE, HOOK_FORWARD, 1, INT_MAX);
	spread_hook(spread, stream, STACK_BRIDGE, HOOK_POSTROUTING, INT_MIN, INT_MAX);
	stream->iif = NULL;
	call_ip(spread, stream, bridge, HOOK_POSTROUTING);
	if (tracks)
		spread_note_bridged(spread, stream, came);
}

static void pass_crossing(struct spread *spread, struct stream *stream, const struct way *way)
{
	stream->host = way->link->host;
	stream->in_port = way->in_port;
	stream->out_port = way->out_port;
	stream->iif = way->in_port ? way->link : NULL;
	stream->oif = way->out_port ? way->link : NULL;
	if (way->in_port && way->out_port) {
		pass_bridge(spread, stream, way->link);
	} else if (way->out_port) { /* from the bridge's own host */
		spread_hook(spread, stream, STACK_BRIDGE, HOOK_OUTPUT, INT_MIN, INT_MAX);
		spread_hook(spread, stream, STACK_BRIDGE, HOOK_POSTROUTING, INT_MIN, INT_MAX);
	} else { /* for it */
		enter_bridge(spread, stream, way->link);
		spread_hook(spread, stream, STACK_BRIDGE, HOOK_INPUT, INT_MIN, INT_MAX);
		stream->prerouted = spread_calls_ip(stream->host, way->link, stream->family) == TRUTH_YES;
	}
}

static void pass_device(struct spread *spread, struct stream *stream, const struct way *way)
{
	bool leaving = way->kind == LEAVING;
	const struct stack_link *link = way->link;

	if (stream->redirected && !leaving)
		return;
	stream->host = link->host;
	if (!leaving)
		spread_enter_host(spread, stream);
	if (link->link->up == TRUTH_NO) {
		spread_end_at(spread, stream, stream->packets, SPREAD_LOST, SPREAD_FOR_LINK);
		stream->packets = (struct bounds){PSET_EMPTY, PSET_EMPTY};
		return;
	}
	spread_device(spread, stream, leaving ? &link->egress : &link->ingress, leaving ? HOOK_EGRESS : HOOK_INGRESS,
		      link);
}

static void pass(struct spread *spread, struct stream *stream, const struct way *way)
{
	if (!way)
		return;
	pass(spread, stream, way->before);
	if (bounds_are_empty(stream->packets))
		return;
	if (way->kind == CROSSING)
		pass_crossing(spread, stream, way);
	else
		pass_device(spread, stream, way);
	if (way->kind == CROSSING)
		stream->redirected = false;
}

/* ---- whose frames ---- */

static pset address_set(struct spread *spread, const struct ip *ip)
{
	struct prefix prefix = {*ip, ip_bits(ip)};
	struct interval interval = interval_of_prefix(&prefix);

	return pset_interval(spread->space, PSET_DADDR, interval.first, interval.last);
}

/* Packets to the next address, which is that of a router, or the destination itself, among those of a set. */
static pset next_is(struct spread *spread, const struct ip *next, const struct ip *ip)
{
	if (next)
		return ip_equal(next, ip) ? PSET_FULL : PSET_EMPTY;
	return address_set(spread, ip);
}

static uint8_t family_of(const struct stream *stream)
{
	return stream->family == STACK_IP4 ? AF_INET : AF_INET6;
}

/* What the sender itself knows of its neighbours counts first. */
static pset known_neighbour(struct spread *spread, const struct stream *stream, const struct stack_link *link,
			    const struct ip *next)
{
	const struct facts *facts = stream->host->facts;
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < facts->neighbour_count; i++) {
		const struct neighbour *neighbour = &facts->neighbours[i];

		if (neighbour->mac.known && link->link->mac.known && neighbour->dev && stream->oif &&
		    strcmp(neighbour->dev, stream->oif->name) == 0 && neighbour->ip.family == family_of(stream) &&
		    memcmp(neighbour->mac.bytes, link->link->mac.bytes, 6) == 0)
			set = pset_or(spread->space, set, next_is(spread, next, &neighbour->ip));
	}
	return set;
}

pset spread_has(struct spread *spread, const struct stream *stream, const struct stack_link *link,
		const struct ip *next)
{
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < link->link->address_count; i++)
		if (link->link->addresses[i].prefix.ip.family == family_of(stream))
			set = pset_or(spread->space, set, next_is(spread, next, &link->link->addresses[i].prefix.ip));
	return set;
}

static pset has_mac(struct spread *spread, const struct stream *stream, const struct stack_link *link,
		    const struct ip *next)
{
	if (!link->link->mac.known)
		return PSET_EMPTY;
	return pset_value(spread->space, PSET_DMAC, wide_of_mac(link->link->mac.bytes));
}

/* A host answers for all that is local to it on every interface (arp_ignore 0), for IPv6 only on the one that has it;
 * as a proxy for everything. */
pset spread_answers(struct spread *spread, const struct stream *stream, const struct stack_link *link,
		    const struct ip *next)
{
	pset own, ip;

	if (stream->family == STACK_IP6 || number_or(link->arp_ignore.value, 0) != 0)
		return PSET_EMPTY;
	if (number_or(link->proxy_arp.value, 0) != 0)
		return PSET_FULL;
	own = spread_own_addresses(spread, link->host, stream->family, PSET_DADDR);
	if (!next)
		return own;
	ip = address_set(spread, next);
	return pset_is_subset(spread->space, ip, own) ? PSET_FULL : PSET_EMPTY;
}

static void arrive_at(struct spread *spread, const struct stream *sent, const struct far_end *end,
		      struct bounds packets, enum frame frame)
{
	static const pset_fields both = PSET_BIT(PSET_SMAC) | PSET_BIT(PSET_DMAC);
	struct space *space = spread->space;
	struct stream stream = *sent;
	pset from = mac_of(spread, PSET_SMAC, sent->oif);

	stream.packets = packets;
	stream.prerouted = false;
	if (frame == FRAME_FOR_ONE && sent->redirected)
		write_macs(spread, &stream, frame, PSET_BIT(PSET_DMAC), mac_of(spread, PSET_DMAC, end->link));
	else if (frame == FRAME_FOR_ONE)
		write_macs(spread, &stream, frame, both, pset_and(space, from, mac_of(spread, PSET_DMAC, end->link)));
	else if (frame == FRAME_FOR_ALL)
		write_macs(spread, &stream, frame, both, pset_and(space, from, spread_group_frames(spread)));
	pass(spread, &stream, end->way);
	if (bounds_are_empty(stream.packets))
		return;
	stream.host = end->last->host;
	if (!end->link) {
		stream.oif = sent->oif && sent->oif->host == stream.host ? sent->oif
			     : end->last->master			 ? end->last->master
									 : end->last;
		spread_end_at(spread, &stream, stream.packets, SPREAD_SENT, SPREAD_FOR_NONE);
		return;
	}
	stream.iif = end->link;
	stream.in_port = end->last->master == end->link ? end->last : NULL;
	stream.oif = stream.out_port = NULL;
	spread_hand_on(spread, &stream);
}

/* Of whom the sender has a permanent entry, and so asks nobody. */
static pset fixed_neighbours(struct spread *spread, const struct stream *stream, const struct search *search,
			     const struct ip *next)
{
	const struct facts *facts = stream->host->facts;
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < search->end_count; i++) /* one whose MAC was not captured may be the one that is meant */
		if (search->ends[i].link && !search->ends[i].link->link->mac.known)
			return PSET_EMPTY;
	for (size_t i = 0; i < facts->neighbour_count && stream->oif; i++) {
		const struct neighbour *neighbour = &facts->neighbours[i];

		if (neighbour->mac.known && neighbour->state && strcmp(neighbour->state, "PERMANENT") == 0 &&
		    neighbour->dev && strcmp(neighbour->dev, stream->oif->name) == 0 &&
		    neighbour->ip.family == family_of(stream))
			set = pset_or(spread->space, set, next_is(spread, next, &neighbour->ip));
	}
	return set;
}

/* ---- sending ---- */

/* Who is first gets it. */
static void claim(struct spread *spread, const struct stream *stream, const struct search *search,
		  pset (*whose)(struct spread *, const struct stream *, const struct stack_link *, const struct ip *),
		  const struct ip *next, struct bounds *rest)
{
	for (size_t i = 0; i < search->end_count && !bounds_are_empty(*rest); i++) {
		const struct far_end *end = &search->ends[i];
		struct bounds packets;
		pset set;

		if (!end->link || end->link == stream->oif)
			continue;
		set = whose(spread, stream, end->link, next);
		packets = bounds_in(spread->space, *rest, set);
		*rest = bounds_out(spread->space, *rest, set);
		if (!bounds_are_empty(packets))
			arrive_at(spread, stream, end, packets, FRAME_FOR_ONE);
	}
}

/* Whoever has taken over a host on the link may say that it has any address. */
static void offer(struct spread *spread, const struct stream *stream, const struct search *search,
		  struct bounds packets)
{
	packets.must = PSET_EMPTY;
	for (size_t i = 0; i < search->end_count; i++)
		if (search->ends[i].link && spread_is_taken_over(spread, search->ends[i].link->host))
			arrive_at(spread, stream, &search->ends[i], packets, FRAME_FOR_ONE);
}

static void send_outside(struct spread *spread, const struct stream *stream, const struct search *search,
			 struct bounds rest)
{
	size_t outside = 0;

	for (size_t i = 0; i < search->end_count; i++)
		outside += !search->ends[i].link;
	if (outside == 0)
		spread_end_at(spread, stream, rest, SPREAD_LOST, SPREAD_FOR_NEIGHBOUR);
	if (outside > 1)
		rest.must = PSET_EMPTY;
	for (size_t i = 0; i < search->end_count && !bounds_are_empty(rest); i++)
		if (!search->ends[i].link)
			arrive_at(spread, stream, &search->ends[i], rest, FRAME_FOR_ONE);
}

/* Who is behind the port that the frame came in by does not get it from there; whether the next one is, is not known.
 */
static void send_on(struct spread *spread, const struct stream *stream, const struct search *search, struct bounds rest)
{
	rest.must = PSET_EMPTY;
	send_outside(spread, stream, search, rest);
	spread_end_at(spread, stream, rest, SPREAD_LOST, SPREAD_FOR_NEIGHBOUR);
}

/* Frames for everybody on the link. */
static void send_to_all(struct spread *spread, const struct stream *stream, const struct search *search,
			struct bounds packets)
{
	for (size_t i = 0; i < search->end_count && !bounds_are_empty(packets); i++)
		if (search->ends[i].link != stream->oif)
			arrive_at(spread, stream, &search->ends[i], packets, FRAME_FOR_ALL);
}

void spread_send(struct spread *spread, const struct stream *sent, const struct ip *next)
{
	struct search search = {.spread = spread};
	struct stream stream = *sent;
	pset many = spread_multicast(spread, stream.family), fixed;
	struct bounds rest;

	if (!next)
		spread_join(spread, &stream);
	if (bounds_are_empty(stream.packets))
		return;
	rest = stream.packets;
	search_sent(&search, stream.oif);
	if (!next) {
		send_to_all(spread, &stream, &search, bounds_in(spread->space, rest, many));
		rest = bounds_out(spread->space, rest, many);
	}
	offer(spread, &stream, &search, rest);
	claim(spread, &stream, &search, known_neighbour, next, &rest);
	fixed = fixed_neighbours(spread, &stream, &search, next);
	send_outside(spread, &stream, &search, bounds_in(spread->space, rest, fixed));
	rest = bounds_out(spread->space, rest, fixed);
	claim(spread, &stream, &search, spread_has, next, &rest);
	claim(spread, &stream, &search, spread_answers, next, &rest);
	send_outside(spread, &stream, &search, rest);
}

/* A frame at a port of a bridge, where all of its packets go to the same host or their own destination. */
static void bridge_on(struct spread *spread, const struct stream *stream, const struct nexthop *nexthop)
{
	const struct ip *next = nexthop->via.family ? &nexthop->via : NULL;
	struct search search = {.spread = spread};
	struct stream at = *stream;
	struct bounds rest = stream->packets;

	at.redirected = true;
	search_at(&search, at.in_port, 0, NULL);
	at.oif = at.iif; /* it is not for the bridge itself */
	claim(spread, &at, &search, spread_has, next, &rest);
	claim(spread, &at, &search, spread_answers, next, &rest);
	send_on(spread, &at, &search, rest);
}

/* ---- frames of any kind ---- */

static void arrive_everywhere(struct spread *spread, const struct stream *stream, const struct search *search)
{
	for (size_t i = 0; i < search->end_count && !bounds_are_empty(stream->packets); i++)
		arrive_at(spread, stream, &search->ends[i], stream->packets, FRAME_AS_IT_IS);
}

static void flood(struct spread *spread, const struct stream *stream, struct stack_link *link, uint64_t vlan,
		  bool leaving)
{
	struct search search = {.spread = spread};

	if (leaving)
		search_from(&search, link, vlan, NULL);
	else
		search_at(&search, link, vlan, NULL);
	if (leaving)
		search_neighbours(&search, link);
	arrive_everywhere(spread, stream, &search);
}

/* With every VLAN that anybody has. */
void spread_flood(struct spread *spread, const struct stream *stream, struct stack_link *link, bool leaving)
{
	uint8_t seen[4096 / 8] = {};

	flood(spread, stream, link, 0, leaving);
	for (size_t i = 0; i < spread->stack->host_count; i++)
		for (size_t j = 0; j < spread->stack->hosts[i].link_count; j++) {
			const struct number *id = &spread->stack->hosts[i].links[j].link->vlan_id;

			if (!id->known || id->value >= 4096 || seen[id->value / 8] >> id->value % 8 & 1)
				continue;
			seen[id->value / 8] |= (uint8_t)(1u << id->value % 8);
			flood(spread, stream, link, id->value, leaving);
		}
}

/* What nobody on the bridge has may be translated to what somebody has. */
static void translate_for_nobody(struct spread *spread, const struct stream *stream, struct bounds *rest)
{
	struct way coming = {COMING, stream->in_port, NULL, NULL, NULL};
	struct stream at = *stream;

	at.packets = *rest;
	at.prerouted = false;
	pass_device(spread, &at, &coming);
	if (!bounds_are_empty(at.packets))
		enter_bridge(spread, &at, stream->iif);
	*rest = at.packets;
}

void spread_frames(struct spread *spread, const struct stream *stream)
{
	struct search search = {.spread = spread}, whole = {.spread = spread};
	struct stream for_all = *stream;
	struct bounds rest = stream->packets;
	bool by_mac = pset_support(spread->space, rest.may) & PSET_BIT(PSET_DMAC);

	search_at(&search, stream->in_port ? stream->in_port : stream->iif, 0, NULL);
	if (by_mac) {
		for_all.packets = bounds_in(spread->space, rest, spread_group_frames(spread));
		rest = bounds_out(spread->space, rest, spread_group_frames(spread));
		arrive_everywhere(spread, &for_all, &search);
		claim(spread, stream, &search, has_mac, NULL, &rest);
	}
	if (by_mac && stream->in_port) /* by any port, also by those that do not get it */
		search_from(&whole, stream->iif, 0, NULL);
	if (!search_leads_out(&whole)) { /* else it is for somebody outside, whatever address is in it */
		claim(spread, stream, &search, spread_has, NULL, &rest);
		claim(spread, stream, &search, spread_answers, NULL, &rest);
	}
	if (stream->in_port && !search_leads_out(&search) && !bounds_are_empty(rest))
		translate_for_nobody(spread, stream, &rest);
	send_on(spread, stream, &search, rest);
}

void spread_into_port(struct spread *spread, const struct stream *stream)
{
	struct search search = {.spread = spread};

	search_at(&search, stream->in_port, 0, NULL);
	for (size_t i = 0; i < search.end_count; i++)
		if (search.ends[i].link == stream->iif)
			arrive_at(spread, stream, &search.ends[i], stream->packets, FRAME_AS_IT_IS);
}
