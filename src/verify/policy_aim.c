/*
 * Where packets have come to. An end is a host of the facts that takes them in, or an interface that leads out of them:
 * behind the tap of a guest that was not captured is that guest, behind any other is the world.
 */
#include "verify/policy_internal.h"

#include "base/arena.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* ---- sets ---- */

pset set_of_prefix(struct space *space, enum pset_field field, const struct prefix *prefix)
{
	struct interval interval;

	if (!prefix->ip.family)
		return PSET_EMPTY;
	interval = interval_of_prefix(prefix);
	return pset_and(space, pset_kind(space, PSET_FAMILY, prefix->ip.family == AF_INET ? PSET_IP4 : PSET_IP6),
			pset_interval(space, field, interval.first, interval.last));
}

pset set_of_address(struct space *space, enum pset_field field, const struct ip *ip)
{
	return set_of_prefix(space, field, &(struct prefix){*ip, ip_bits(ip)});
}

/* Whole packets and first fragments: the others show no port, and are nothing without the first. */
static pset with_ports(struct space *space, uint8_t protocol, uint16_t first, uint16_t last)
{
	pset set = pset_and(space, pset_value(space, PSET_PROTOCOL, protocol),
			    pset_interval(space, PSET_DPORT, first, last));

	return pset_minus(space, set, pset_kind(space, PSET_FRAGMENT, PSET_LATER_FRAGMENT));
}

pset set_of_ports(struct space *space, const struct policy *line)
{
	pset set = PSET_EMPTY;

	if (line->port_count == 0)
		return PSET_FULL;
	for (size_t i = 0; i < line->port_count; i++)
		set = pset_or(space, set,
			      with_ports(space, line->ports[i].protocol, line->ports[i].first, line->ports[i].last));
	return set;
}

/* What programs that know names listen on: DNS, and DNS over TLS (RFC 7858). */
static pset questions_for_names(struct space *space)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	static const uint16_t ports[] = {53, 853};
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < 2; j++)
			set = pset_or(space, set, with_ports(space, protocols[i], ports[j], ports[j]));
	return pset_and(space, set, pset_value(space, PSET_DIRECTION, 0)); /* no answers */
}

/* The first packet of a connection, or of an exchange, as hosts send it. */
pset first_packets(struct space *space)
{
	static const struct {
		uint8_t protocol;
		enum pset_field field;
		wide value;
	} begins[] = {{IPPROTO_TCP, PSET_TCP_FLAGS, TCP_SYN},
		      {IPPROTO_ICMP, PSET_ICMP_TYPE, 8},
		      {IPPROTO_ICMPV6, PSET_ICMP_TYPE, 128}};
	pset set = pset_and(space, pset_kind(space, PSET_STATE, PSET_NEW), pset_kind(space, PSET_FRAGMENT, PSET_WHOLE));

	for (size_t i = 0; i < 3; i++) {
		pset others = pset_not(space, pset_value(space, PSET_PROTOCOL, begins[i].protocol));
		pset first = pset_value(space, begins[i].field, begins[i].value);

		if (begins[i].field == PSET_ICMP_TYPE)
			first = pset_and(space, first, pset_value(space, PSET_ICMP_CODE, 0));
		set = pset_and(space, set, pset_or(space, others, first));
	}
	set = pset_minus(space, set,
			 pset_or(space,
				 pset_and(space, pset_kind(space, PSET_FAMILY, PSET_IP4),
					  pset_value(space, PSET_PROTOCOL, IPPROTO_ICMPV6)),
				 pset_and(space, pset_kind(space, PSET_FAMILY, PSET_IP6),
					  pset_value(space, PSET_PROTOCOL, IPPROTO_ICMP))));
	set = pset_and(space, set, pset_value(space, PSET_TTL, SPREAD_USUAL_TTL));
	return pset_and(space, set, spread_usual_source_ports(space));
}

/* ---- who ---- */

bool aim_at(const struct asking *asking, const struct endpoint *to, struct aim *ret)
{
	static const enum aim_kind kinds[] = {[ENDPOINT_L0] = AIM_L0,
					      [ENDPOINT_WORLD] = AIM_WORLD,
					      [ENDPOINT_GUEST] = AIM_GUEST,
					      [ENDPOINT_NETWORK] = AIM_NETWORK,
					      [ENDPOINT_PREFIX] = AIM_PREFIX};

	*ret = (struct aim){.kind = kinds[to->kind],
			    .guest = to->guest,
			    .network = to->network,
			    .prefix = &to->prefix,
			    .packets = PSET_FULL,
			    .kept = PSET_EMPTY,
			    .kept_known = PSET_EMPTY};
	if (to->kind == ENDPOINT_L0)
		return asking->input->lab->root->layer == 0;
	return to->kind != ENDPOINT_GUEST || to->guest;
}

static bool is_in(const struct party *party, const struct guest *guest)
{
	return party && party->guest && guest_is_in(party->guest, guest);
}

static bool is_on(const struct guest *guest, const struct network *network)
{
	for (size_t i = 0; i < guest->nic_count; i++)
		if (guest->nics[i].network == network)
			return true;
	return false;
}

/* A host's resolver, which asks the world for whoever asks it. */
enum resolver {
	RESOLVER_NONE,	  /* or it asks nobody: what a host that is cut asks for is its own promise, and what one that
			   * was taken over sends is among what it is taken to send anyway */
	RESOLVER_PERHAPS, /* what listens there was not captured */
	RESOLVER_SURE,
};

static bool has_names(const struct host *host)
{
	for (size_t i = 0; i < host->network_count; i++)
		if (host->networks[i]->dns)
			return true;
	return false;
}

static enum resolver resolver_of(const struct asking *asking, const struct party *party, const struct stack_host *host)
{
	const struct facts *facts = host->facts;

	if (!party || !party->host || spread_is_taken_over(asking->spread, host) ||
	    (party->guest && isolation_world(asking->input->isolation, party->guest) != WORLD_OPEN))
		return RESOLVER_NONE;
	if (party->network == host && has_names(party->host)) /* dnsmasq: net/dnsmasq.c */
		return RESOLVER_SURE;
	for (size_t i = 0; i < facts->listener_count; i++)
		if (facts->listeners[i].port.known &&
		    (facts->listeners[i].port.value == 53 || facts->listeners[i].port.value == 853))
			return RESOLVER_SURE;
	return facts->listeners_known == TRUTH_YES ? RESOLVER_NONE : RESOLVER_PERHAPS;
}

static pset to_resolver(const struct asking *asking, const struct party *party, const struct stack_host *host)
{
	return resolver_of(asking, party, host) == RESOLVER_NONE ? PSET_EMPTY : questions_for_names(asking->space);
}

bool aim_is_doubtful(const struct asking *asking, const struct aim *aim, const struct answer *answer)
{
	const struct party *party = answer->where ? places_role(&asking->places, answer->where) : NULL;

	return aim->kind == AIM_WORLD && party && !answer->out &&
	       resolver_of(asking, party, answer->where) == RESOLVER_PERHAPS;
}

/* Packets for the network: to its subnets, and to the link-local addresses of a guest that is on no other. */
static pset to_network(struct space *space, const struct network *network, const struct guest *guest)
{
	static const struct prefix link_local = {{AF_INET6, {0xfe, 0x80}}, 10};
	pset set = pset_or(space, set_of_prefix(space, PSET_DADDR, &network->subnet4),
			   set_of_prefix(space, PSET_DADDR, &network->subnet6));
	bool only = guest && guest->nic_count > 0;

	for (size_t i = 0; guest && i < guest->nic_count; i++)
		only = only && guest->nics[i].network == network;
	return only ? pset_or(space, set, set_of_prefix(space, PSET_DADDR, &link_local)) : set;
}

/* Who of the lab takes a packet in that ends at this host. */
static pset at_host(const struct asking *asking, const struct aim *aim, const struct stack_host *host)
{
	const struct party *party = places_role(&asking->places, host);
	const struct guest *guest = party ? party->guest : NULL;

	switch (aim->kind) {
	case AIM_WORLD:
		if (!party)
			return PSET_FULL;
		return aim->resolvers && !is_in(party, aim->guest) ? to_resolver(asking, party, host) : PSET_EMPTY;
	case AIM_L0:
		return party && !guest ? PSET_FULL : PSET_EMPTY;
	case AIM_GUEST:
		return guest && guest == aim->guest ? PSET_FULL : PSET_EMPTY;
	case AIM_NETWORK:
		return party ? to_network(asking->space, aim->network, guest) : PSET_EMPTY;
	case AIM_PREFIX:
		return party ? PSET_FULL : PSET_EMPTY;
	case AIM_ANYBODY:
		return is_in(party, aim->guest) ? PSET_EMPTY : PSET_FULL;
	case AIM_GUESTS:
	case AIM_OPEN:
		if (!guest || is_in(party, aim->guest) || guest_is_in(aim->guest, guest))
			return PSET_EMPTY;
		return aim->kind == AIM_GUESTS || isolation_world(asking->input->isolation, guest) == WORLD_OPEN
			       ? PSET_FULL
			       : PSET_EMPTY;
	case AIM_ELSEWHERE:
		if (party && party->host == aim->network->owner)
			return PSET_EMPTY;
		return guest && is_on(guest, aim->network) ? PSET_EMPTY : PSET_FULL;
	}
	return PSET_EMPTY;
}

/* The same behind a tap, which is a guest that was not captured. */
static pset at_nic(const struct asking *asking, const struct aim *aim, const struct nic *nic)
{
	const struct guest *guest = nic->guest;

	switch (aim->kind) {
	case AIM_WORLD:
	case AIM_L0:
		return PSET_EMPTY;
	case AIM_GUEST: /* who is in it: aim_unseen() */
		return guest == aim->guest ? PSET_FULL : PSET_EMPTY;
	case AIM_NETWORK:
		return to_network(asking->space, aim->network, guest);
	case AIM_PREFIX:
		return PSET_FULL;
	case AIM_ANYBODY:
		return guest_is_in(guest, aim->guest) ? PSET_EMPTY : PSET_FULL;
	case AIM_GUESTS:
	case AIM_OPEN:
		if (guest_is_in(guest, aim->guest) || guest_is_in(aim->guest, guest))
			return PSET_EMPTY;
		return aim->kind == AIM_GUESTS || isolation_world(asking->input->isolation, guest) == WORLD_OPEN
			       ? PSET_FULL
			       : PSET_EMPTY;
	case AIM_ELSEWHERE:
		return is_on(guest, aim->network) ? PSET_EMPTY : PSET_FULL;
	}
	return PSET_EMPTY;
}

static pset nic_addresses(struct space *space, const struct nic *nic)
{
	pset set = PSET_EMPTY;

	if (!nic->address4.family || !nic->address6.family)
		return PSET_FULL; /* what it was given, or gave itself */
	set = set_of_address(space, PSET_DADDR, &nic->address4);
	return pset_or(space, set, set_of_address(space, PSET_DADDR, &nic->address6));
}

/* Out of what was captured by a network of the lab: to whichever of its guests has the address. */
static pset on_network(const struct asking *asking, const struct aim *aim, const struct network *network)
{
	const struct places *places = &asking->places;
	pset set = PSET_EMPTY;

	for (size_t i = 0; i < places->lab->guest_count; i++) {
		const struct guest *guest = places->lab->guests[i];

		if (places_party(places, guest)->machine)
			continue;
		for (size_t j = 0; j < guest->nic_count; j++)
			if (guest->nics[j].network == network)
				set = pset_or(asking->space, set,
					      pset_and(asking->space, at_nic(asking, aim, &guest->nics[j]),
						       nic_addresses(asking->space, &guest->nics[j])));
	}
	return set;
}

static pset by_link(const struct asking *asking, const struct aim *aim, const struct stack_link *link)
{
	const struct nic *nic = places_tap(&asking->places, link);
	const struct network *network = places_bridge(&asking->places, link);

	if (nic)
		return at_nic(asking, aim, nic);
	if (network)
		return on_network(asking, aim, network);
	if (places_unseen(&asking->places, link))
		return PSET_EMPTY;
	switch (aim->kind) {
	case AIM_WORLD:
	case AIM_ANYBODY:
	case AIM_ELSEWHERE:
	case AIM_PREFIX:
		return PSET_FULL;
	case AIM_L0:
	case AIM_GUEST:
	case AIM_NETWORK:
	case AIM_GUESTS:
	case AIM_OPEN:
		break;
	}
	return PSET_EMPTY;
}

/* Only packets with the addresses that were asked for. */
static pset addressed(const struct asking *asking, const struct aim *aim, pset set)
{
	struct space *space = asking->space;

	if (aim->kind == AIM_PREFIX)
		set = pset_and(space, set, set_of_prefix(space, PSET_DADDR, aim->prefix));
	return pset_and(space, pset_minus(space, set, aim->kept), aim->packets);
}

/* A packet for several that comes to a host is taken for one that it takes in; routers do not send such on by
 * themselves. */
static bool is_taken_in(const struct spread_end *end)
{
	return end->fate == SPREAD_DELIVERED || (end->fate == SPREAD_UNKNOWN && end->reason == SPREAD_FOR_MANY);
}

static bool is_at_door(const struct asking *asking, const struct aim *aim, const struct stack_host *host)
{
	const struct party *party = host ? places_role(&asking->places, host) : NULL;

	return aim->door && party && party->guest && party->guest == aim->guest;
}

pset aim_hit(const struct asking *asking, const struct aim *aim, const struct spread_end *end)
{
	if (is_at_door(asking, aim, end->host))
		return aim->packets;
	if (is_taken_in(end))
		return addressed(asking, aim, at_host(asking, aim, end->host));
	if (end->fate == SPREAD_SENT && end->oif)
		return addressed(asking, aim, by_link(asking, aim, end->oif));
	/* nobody knows where it goes on to */
	return end->fate == SPREAD_UNKNOWN ? aim->packets : PSET_EMPTY;
}

/* To whoever on the network is the end of them, by the address that the lab file gives him. */
static pset to_ends(const struct asking *asking, const struct network *network)
{
	const struct lab *lab = asking->places.lab;
	struct space *space = asking->space;
	pset set = PSET_EMPTY;

	for (size_t i = 0; network && i < lab->guest_count; i++)
		for (size_t j = 0; !lab->guests[i]->host && j < lab->guests[i]->nic_count; j++) {
			const struct nic *nic = &lab->guests[i]->nics[j];

			if (nic->network != network)
				continue;
			set = pset_or(space, set, set_of_address(space, PSET_DADDR, &nic->address4));
			set = pset_or(space, set, set_of_address(space, PSET_DADDR, &nic->address6));
		}
	return set;
}

/* Ports may be translated there, and addresses. */
pset aim_unseen(const struct asking *asking, const struct aim *aim, const struct spread_end *end)
{
	if (end->fate != SPREAD_SENT || !end->oif || is_at_door(asking, aim, end->host) ||
	    !places_unseen(&asking->places, end->oif))
		return PSET_EMPTY;
	return pset_minus(asking->space, PSET_FULL, to_ends(asking, places_bridge(&asking->places, end->oif)));
}

static const struct stack_link *left_by(const struct asking *asking, const struct answer *answer)
{
	return answer->out_port && places_tap(&asking->places, answer->out_port) ? answer->out_port : answer->out;
}

const struct party *aim_unseen_by(const struct asking *asking, const struct aim *aim, const struct answer *answer)
{
	if (answer->fate != FATE_DELIVERED || !answer->out || aim_is_hit(asking, aim, answer))
		return NULL;
	return places_unseen(&asking->places, left_by(asking, answer));
}

bool aim_is_hit(const struct asking *asking, const struct aim *aim, const struct answer *answer)
{
	const struct question question = {.packet = answer->packet};
	pset packets, hit;

	if (is_at_door(asking, aim, answer->where))
		return true;
	if (answer->fate != FATE_DELIVERED)
		return false;
	if (answer->out)
		hit = by_link(asking, aim, left_by(asking, answer));
	else
		hit = at_host(asking, aim, answer->where);
	packets = pset_forget(asking->space, spread_question(asking->space, &question), PSET_BIT(PSET_STATE));
	return pset_overlap(asking->space, addressed(asking, aim, hit), packets);
}

const char *aim_sentence(const struct asking *asking, const struct answer *answer)
{
	struct arena *arena = asking->arena;

	if (answer->fate != FATE_DELIVERED)
		return arena_printf(arena, "it is %s%s%s", fate_word(answer->fate), answer->where ? " at " : "",
				    answer->where ? answer->where->name : "");
	if (!answer->out)
		return arena_printf(arena, "%s takes it in", answer->where->name);
	return arena_printf(arena, "it leaves by %s of %s",
			    answer->out_port ? answer->out_port->name : answer->out->name, answer->where->name);
}
