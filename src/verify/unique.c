/*
 * Two connections must not be taken for one another: answers to both would look the same. Where a translation would
 * make them so, the kernel looks for another port (get_unique_tuple() and nf_nat_l4proto_unique_tuple() in
 * net/netfilter/nf_nat_core.c), also for connections that no statement translates; a first packet for which there is
 * none is dropped as it leaves (__nf_conntrack_confirm() in nf_conntrack_core.c). Which port it is, is chance.
 *
 * The connections that a host has are those that the walk made, and those that stand in its table (conntrack(8)), which
 * may be gone.
 */
#include "verify/evaluate.h"

#include <sys/socket.h>

static enum truth either(enum truth a, enum truth b)
{
	if (a == TRUTH_YES || b == TRUTH_YES)
		return TRUTH_YES;
	return a == TRUTH_UNKNOWN || b == TRUTH_UNKNOWN ? TRUTH_UNKNOWN : TRUTH_NO;
}

static bool is_exact(const struct ports *ports)
{
	return ports->first == ports->last;
}

static bool overlap(const struct ports *a, const struct ports *b)
{
	return a->first <= b->last && b->first <= a->last;
}

static enum truth same_tuple(const struct tuple *a, const struct tuple *b)
{
	if (a->family != b->family || a->protocol != b->protocol || !ip_equal(&a->src, &b->src) ||
	    !ip_equal(&a->dst, &b->dst) || !overlap(&a->sport, &b->sport) || !overlap(&a->dport, &b->dport))
		return TRUTH_NO;
	if (is_exact(&a->sport) && is_exact(&b->sport) && is_exact(&a->dport) && is_exact(&b->dport))
		return TRUTH_YES;
	return TRUTH_UNKNOWN;
}

/* ---- the host's table ---- */

static bool is_icmp(uint8_t protocol)
{
	return protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6;
}

static struct tuple tuple_of_side(const struct connection *entry, const struct flow_side *side)
{
	struct tuple tuple = {.family = entry->family,
			      .protocol = (uint8_t)entry->protocol.value,
			      .src = side->source,
			      .dst = side->destination};

	if (is_icmp(tuple.protocol)) {
		tuple.sport = port_of((uint16_t)number_or(side->icmp_id, 0));
		tuple.dport = port_of(
			(uint16_t)(number_or(side->icmp_type, 0) << 8 | (number_or(side->icmp_code, 0) & 0xff)));
	} else if (protocol_has_ports(tuple.protocol)) {
		tuple.sport = port_of((uint16_t)number_or(side->source_port, 0));
		tuple.dport = port_of((uint16_t)number_or(side->destination_port, 0));
	}
	return tuple;
}

/* Those of zones are apart; one with the same first packet is this connection itself. */
static bool is_in_table(const struct hop *hop, const struct tuple *answers)
{
	const struct facts *facts = hop->host->facts;

	for (size_t i = 0; i < facts->connection_count; i++) {
		const struct connection *entry = &facts->connections[i];
		struct tuple original = tuple_of_side(entry, &entry->original);
		struct tuple reply = tuple_of_side(entry, &entry->reply);

		if ((entry->zone.known && entry->zone.value) || !entry->protocol.known ||
		    tuple_equal(&original, &hop->flow->original))
			continue;
		if (tuple_equal(&original, answers) || tuple_equal(&reply, answers))
			return true;
	}
	return false;
}

/* ---- taken ---- */

enum truth unique_is_taken(const struct hop *hop, const struct tuple *now)
{
	const struct walk *walk = hop->walk;
	struct tuple answers = tuple_inverse(now);
	enum truth taken = TRUTH_NO;

	for (size_t i = 0; i < walk->flow_count; i++) {
		const struct flow *flow = walk->flows[i];

		if (flow->host != hop->host || flow == hop->flow || !flow->confirmed)
			continue;
		taken = either(taken, same_tuple(&flow->original, &answers));
		taken = either(taken, same_tuple(&flow->reply, &answers));
	}
	return taken == TRUTH_NO && is_in_table(hop, &answers) ? TRUTH_UNKNOWN : taken;
}

/* ---- another one ---- */

/* Identifiers of ICMP are all alike, and no rule asks for them: the next one that nobody has. */
static void take_next_identifier(const struct hop *hop, struct tuple *now)
{
	for (unsigned i = 0; i < UINT16_MAX && unique_is_taken(hop, now) != TRUTH_NO; i++)
		now->sport = port_of((uint16_t)(now->sport.first + 1));
}

/* Privileged ports stay privileged. */
struct ports unique_alike(const struct ports *port)
{
	if (port->last < 512)
		return (struct ports){1, 511};
	return port->last < 1024 ? (struct ports){600, 1023} : (struct ports){1024, 65535};
}

void unique_make(const struct hop *hop, bool source, const struct ports *range, struct tuple *now)
{
	struct ports *port = source ? &now->sport : &now->dport, others;
	enum truth taken = unique_is_taken(hop, now);

	if (taken == TRUTH_NO)
		return;
	if (is_icmp(now->protocol)) {
		take_next_identifier(hop, now);
		return;
	}
	if (!protocol_has_ports(now->protocol) || (!source && !range))
		return; /* the source's port will be another one */
	others = range ? *range : unique_alike(port);
	if (is_exact(&others))
		return;
	if (taken == TRUTH_UNKNOWN && port->first < others.first)
		others.first = port->first;
	if (taken == TRUTH_UNKNOWN && port->last > others.last)
		others.last = port->last;
	*port = others;
}

bool unique_confirm(struct hop *hop)
{
	struct tuple now = tuple_inverse(&hop->flow->reply);
	enum truth taken;

	if (hop->flow->confirmed || hop->walk->rehearsal)
		return true;
	taken = unique_is_taken(hop, &now);
	if (taken == TRUTH_UNKNOWN && is_exact(&now.sport) && is_exact(&now.dport) &&
	    walk_decide(hop->walk, 2, "no", "conntrack -L",
			"%s: whether another connection is translated to the same address and port", hop->host->name))
		taken = TRUTH_YES;
	if (taken != TRUTH_YES)
		return true;
	walk_lose(hop, LOST_NO_NAT_PORT, "answers to it would be taken for those of another connection");
	return false;
}
