/*
 * From one host's interface to the next: over cables and through bridges. A frame goes to whoever has the next address.
 * Which port of a bridge that is behind follows from where the cables lead; the bridge's own rules, and those of IP
 * where it calls them for frames (bridge-nf), are asked on the way.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>

/* A bridge that a frame goes through: in by one port (NULL: it is the bridge's host that sends), out by another (NULL:
 * it is for that host). */
struct crossing {
	struct stack_link *bridge, *in_port, *out_port;
	const struct crossing *before;
};

/* Where a frame may come to: an interface with addresses, or out of what was captured. */
struct far_end {
	struct stack_link *link; /* NULL: outside */
	struct stack_link *last; /* the last interface that was captured on the way there */
	const struct crossing *crossings;
};

struct search {
	struct spread *spread;
	struct far_end *ends;
	size_t end_count;
	unsigned depth;
};

enum { DEEPEST_LINK = 32 };

static void reach_end(struct search *search, struct stack_link *link, struct stack_link *last,
		      const struct crossing *crossings)
{
	*arena_push(search->spread->arena, search->ends, search->end_count) = (struct far_end){link, last, crossings};
}

static void search_from(struct search *search, struct stack_link *link, const struct crossing *crossings);

static const struct crossing *cross(struct search *search, struct stack_link *bridge, struct stack_link *in_port,
				    struct stack_link *out_port, const struct crossing *before)
{
	struct crossing *crossing = arena_new_struct(search->spread->arena, struct crossing);

	*crossing = (struct crossing){bridge, in_port, out_port, before};
	return crossing;
}

static bool isolates(const struct stack_link *in_port, const struct stack_link *out_port)
{
	return in_port && in_port->link->port.isolated == TRUTH_YES && out_port->link->port.isolated == TRUTH_YES;
}

/* A frame comes in at a link from outside it. */
static void search_at(struct search *search, struct stack_link *link, const struct crossing *crossings)
{
	if (!link->master) {
		reach_end(search, link, link, crossings);
		return;
	}
	reach_end(search, link->master, link, cross(search, link->master, link, NULL, crossings));
	for (size_t i = 0; i < link->master->port_count; i++) {
		struct stack_link *port = link->master->ports[i];

		if (port == link || isolates(link, port))
			continue;
		search_from(search, port, cross(search, link->master, link, port, crossings));
	}
}

/* A frame is sent by a link. */
static void search_from(struct search *search, struct stack_link *link, const struct crossing *crossings)
{
	if (++search->depth > DEEPEST_LINK)
		return;
	if (link->is_bridge) {
		for (size_t i = 0; i < link->port_count; i++)
			search_from(search, link->ports[i], cross(search, link, NULL, link->ports[i], crossings));
	} else if (link->cable_count == 0 && link->parent && link->link->kind &&
		   strcmp(link->link->kind, "veth") == 0) {
		search_at(search, link->parent, crossings);
	} else if (link->cable_count == 0) {
		reach_end(search, NULL, link, crossings);
	}
	for (size_t i = 0; !link->is_bridge && i < link->cable_count; i++) {
		if (link->cables[i].link)
			search_at(search, link->cables[i].link, crossings);
		else
			reach_end(search, NULL, link, crossings);
	}
	search->depth--;
}

/* ---- on the way ---- */

static bool calls_ip(const struct stack_host *host, enum stack_family family)
{
	const struct stack_sysctl *sysctl =
		family == STACK_IP4 ? &host->bridge_nf_iptables : &host->bridge_nf_ip6tables;

	return number_or(sysctl->value, 0) != 0;
}

/* Rules that a frame between two ports passes. */
static void pass_bridge(struct spread *spread, struct stream *stream)
{
	spread_hook(spread, stream, STACK_BRIDGE, HOOK_PREROUTING, INT_MIN, INT_MAX);
	if (calls_ip(stream->host, stream->family)) {
		spread_hook(spread, stream, stream->family, HOOK_PREROUTING, INT_MIN, INT_MAX);
	}
	spread_hook(spread, stream, STACK_BRIDGE, HOOK_FORWARD, INT_MIN, -1);
	if (calls_ip(stream->host, stream->family))
		spread_hook(spread, stream, stream->family, HOOK_FORWARD, INT_MIN, INT_MAX);
	spread_hook(spread, stream, STACK_BRIDGE, HOOK_FORWARD, 0, INT_MAX);
	if (calls_ip(stream->host, stream->family))
		spread_hook(spread, stream, stream->family, HOOK_POSTROUTING, INT_MIN, INT_MAX);
	spread_hook(spread, stream, STACK_BRIDGE, HOOK_POSTROUTING, INT_MIN, INT_MAX);
}

static void pass_crossing(struct spread *spread, struct stream *stream, const struct crossing *crossing)
{
	stream->host = crossing->bridge->host;
	stream->in_port = crossing->in_port;
	stream->out_port = crossing->out_port;
	stream->iif = crossing->in_port ? crossing->bridge : NULL;
	stream->oif = crossing->out_port ? crossing->bridge : NULL;
	if (crossing->in_port && crossing->out_port) {
		pass_bridge(spread, stream);
	} else if (crossing->out_port) { /* from the bridge's own host */
		spread_hook(spread, stream, STACK_BRIDGE, HOOK_OUTPUT, INT_MIN, INT_MAX);
		spread_hook(spread, stream, STACK_BRIDGE, HOOK_POSTROUTING, INT_MIN, INT_MAX);
	} else { /* for it */
		spread_hook(spread, stream, STACK_BRIDGE, HOOK_PREROUTING, INT_MIN, INT_MAX);
		spread_hook(spread, stream, STACK_BRIDGE, HOOK_INPUT, INT_MIN, INT_MAX);
	}
}

static void pass_crossings(struct spread *spread, struct stream *stream, const struct crossing *crossing)
{
	if (!crossing)
		return;
	pass_crossings(spread, stream, crossing->before);
	if (!bounds_are_empty(stream->packets))
		pass_crossing(spread, stream, crossing);
}

/* ---- sending ---- */

static pset addresses_of(struct spread *spread, const struct stack_link *link, enum stack_family family)
{
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < link->link->address_count; i++) {
		struct prefix prefix = link->link->addresses[i].prefix;
		struct interval interval;

		if (prefix.ip.family != (family == STACK_IP4 ? AF_INET : AF_INET6))
			continue;
		prefix.length = ip_bits(&prefix.ip);
		interval = interval_of_prefix(&prefix);
		set = pset_or(spread->space, set,
			      pset_interval(spread->space, PSET_DADDR, interval.first, interval.last));
	}
	return set;
}

static bool has_address(const struct stack_link *link, const struct ip *address)
{
	for (size_t i = 0; i < link->link->address_count; i++)
		if (ip_equal(&link->link->addresses[i].prefix.ip, address))
			return true;
	return false;
}

/* A host answers for the addresses of all its interfaces (arp_ignore 0), if not for link-local ones of IPv6. */
static pset answered(struct spread *spread, const struct stack_link *link, enum stack_family family)
{
	pset set = addresses_of(spread, link, family);

	if (family == STACK_IP6 || number_or(link->arp_ignore.value, 0) != 0)
		return set;
	for (size_t i = 0; i < link->host->link_count; i++)
		if (!link->host->links[i].loopback)
			set = pset_or(spread->space, set, addresses_of(spread, &link->host->links[i], family));
	return set;
}

static bool answers(const struct stack_link *link, const struct ip *address)
{
	if (has_address(link, address))
		return true;
	if (address->family == AF_INET6 || number_or(link->arp_ignore.value, 0) != 0)
		return false;
	for (size_t i = 0; i < link->host->link_count; i++)
		if (!link->host->links[i].loopback && has_address(&link->host->links[i], address))
			return true;
	return false;
}

/* Whose frame it is, as far as that is known. */
static void address_frame(struct spread *spread, struct stream *stream, enum pset_field field,
			  const struct stack_link *link)
{
	struct pset_bits bits = pset_bits_of(field);

	if (!link || !link->link->mac.known) {
		stream->packets.may = pset_forget(spread->space, stream->packets.may, PSET_BIT(field));
		stream->packets.must = pset_forget(spread->space, stream->packets.must, PSET_BIT(field));
		return;
	}
	stream->packets.may =
		pset_after(spread->space, stream->packets.may, bits, wide_of_mac(link->link->mac.bytes), ~(wide)0);
	stream->packets.must =
		pset_after(spread->space, stream->packets.must, bits, wide_of_mac(link->link->mac.bytes), ~(wide)0);
}

static void arrive_at(struct spread *spread, const struct stream *sent, const struct far_end *end,
		      struct bounds packets)
{
	struct stream stream = *sent;

	stream.packets = packets;
	address_frame(spread, &stream, PSET_SMAC, sent->oif);
	address_frame(spread, &stream, PSET_DMAC, end->link);
	pass_crossings(spread, &stream, end->crossings);
	if (bounds_are_empty(stream.packets))
		return;
	if (!end->link) {
		stream.host = end->last->host;
		stream.oif = sent->oif;
		spread_end_at(spread, &stream, stream.packets, SPREAD_SENT, SPREAD_FOR_NONE);
		return;
	}
	stream.host = end->link->host;
	stream.iif = end->link;
	stream.in_port = end->link != end->last ? end->last : NULL;
	stream.oif = stream.out_port = NULL;
	stream.depth++;
	spread_arrive(spread, &stream);
}

/* To whom a frame for the next address goes: somebody who was captured, or the outside; where there are several ways
 * out, all of them. */
void spread_send(struct spread *spread, const struct stream *stream, const struct ip *next)
{
	struct search search = {.spread = spread};
	struct bounds rest = stream->packets;
	bool outside = false;

	search_from(&search, stream->oif, NULL);
	for (size_t i = 0; i < search.end_count; i++) {
		const struct far_end *end = &search.ends[i];
		struct bounds packets;
		pset whose;

		if (!end->link || end->link->host == stream->host)
			continue;
		whose = next ? (answers(end->link, next) ? PSET_FULL : PSET_EMPTY)
			     : answered(spread, end->link, stream->family);
		packets = bounds_in(spread->space, rest, whose);
		rest = bounds_out(spread->space, rest, whose);
		if (!bounds_are_empty(packets))
			arrive_at(spread, stream, end, packets);
	}
	for (size_t i = 0; i < search.end_count; i++) {
		if (search.ends[i].link || bounds_are_empty(rest))
			continue;
		arrive_at(spread, stream, &search.ends[i], rest);
		outside = true;
	}
	if (!outside)
		spread_end_at(spread, stream, rest, SPREAD_LOST, SPREAD_FOR_NEIGHBOUR);
}
