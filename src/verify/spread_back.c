/*
 * The way back. Every place where packets become others leaves a passage behind: what was done to which of them. From
 * an end one goes back from passage to passage; at each, those packets are looked for that became these.
 *
 * Interfaces are not undone but forgotten: they are what the place says, and the packets before a passage have theirs.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <netinet/in.h>
#include <sys/socket.h>

void spread_pass(struct spread *spread, struct stream *stream, struct change *changes, size_t count)
{
	struct passage *passage = arena_new_struct(spread->arena, struct passage);

	*passage = (struct passage){stream->passage, changes, count};
	stream->passage = passage;
}

void spread_renew(struct spread *spread, struct stream *stream, struct bounds before, pset_fields fields)
{
	struct change *change = arena_new_struct(spread->arena, struct change);

	*change = (struct change){.before = before, .after = stream->packets, .renewed = fields};
	spread_pass(spread, stream, change, 1);
}

/* ---- undone ---- */

/* What `from` was moved to and then became one of an interval: it is what it was. */
static pset undo_move(struct space *space, pset set, enum pset_field from, enum pset_field kept)
{
	return pset_exchange(space, pset_forget(space, set, PSET_BIT(from)), from, kept);
}

static pset undo_translation(struct spread *spread, const struct change *change, pset set)
{
	struct space *space = spread->space;
	bool source = change->source;
	wide bit = source ? CT_STATUS_SNAT : CT_STATUS_DNAT;

	set = pset_before(space, set, pset_bits_of(PSET_STATUS), bit, bit);
	if (change->moved & PSET_BIT(source ? PSET_SPORT : PSET_DPORT))
		set = undo_move(space, set, source ? PSET_SPORT : PSET_DPORT, source ? PSET_CT_SPORT : PSET_CT_DPORT);
	if (change->moved & PSET_BIT(source ? PSET_SADDR : PSET_DADDR))
		set = undo_move(space, set, source ? PSET_SADDR : PSET_DADDR, source ? PSET_CT_SADDR : PSET_CT_DADDR);
	return set;
}

/* `sure`: only by what surely happens. */
static pset undo_until(struct spread *spread, const struct passage *passage, const struct passage *until, bool sure,
		       pset set);

static pset undo(struct spread *spread, const struct change *change, bool sure, pset set)
{
	struct space *space = spread->space;
	pset before = sure ? change->before.must : change->before.may;
	pset after = sure ? change->after.must : change->after.may;

	set = pset_and(space, set, pset_forget(space, after, spread_place_fields));
	if (pset_is_empty(set))
		return set;
	if (change->inner)
		set = undo_until(spread, change->inner, change->outer, sure, set);
	if (change->moved)
		set = undo_translation(spread, change, set);
	set = pset_forget(space, set, change->renewed);
	if (change->done)
		set = chains_unchanged(change->chains, set, change->done);
	if (change->renewed)
		set = pset_forget(space, set, change->renewed);
	return pset_and(space, set, before);
}

static pset undo_until(struct spread *spread, const struct passage *passage, const struct passage *until, bool sure,
		       pset set)
{
	for (; passage != until; passage = passage->before) {
		pset before = PSET_EMPTY;

		set = pset_forget(spread->space, set, spread_place_fields);
		for (size_t i = 0; i < passage->change_count; i++)
			before = pset_or(spread->space, before, undo(spread, &passage->changes[i], sure, set));
		set = before;
	}
	return pset_forget(spread->space, set, spread_place_fields);
}

pset spread_origin(struct spread *spread, const struct spread_end *end, pset packets)
{
	return undo_until(spread, end->passage, NULL, false, packets);
}

/* ---- one packet ---- */

static struct ports port_in(const struct packet_values *values, enum pset_field field)
{
	return port_of((uint16_t)values->fields[field]);
}

static struct mac mac_in(const struct packet_values *values, enum pset_field field)
{
	struct mac mac = {.known = values->fields[field] < PSET_NO_MAC && values->fields[field] != 0};

	for (int i = 0; i < 6 && mac.known; i++)
		mac.bytes[i] = (uint8_t)(values->fields[field] >> (40 - 8 * i));
	return mac;
}

static enum question_state state_in(const struct packet_values *values)
{
	switch (values->fields[PSET_STATE]) {
	case PSET_NEW:
		return STATE_NEW;
	case PSET_ESTABLISHED:
		return STATE_ESTABLISHED;
	case PSET_RELATED:
		return STATE_RELATED;
	case PSET_INVALID:
		return STATE_INVALID;
	default: /* untracked: what a rule made it */
		return STATE_NEW;
	}
}

static struct packet packet_in(const struct packet_values *values)
{
	uint8_t family = values->fields[PSET_FAMILY] == PSET_IP4 ? AF_INET : AF_INET6;
	struct packet packet = {
		.family = family,
		.protocol = (uint8_t)values->fields[PSET_PROTOCOL],
		.src = wide_to_address(values->fields[PSET_SADDR], family),
		.dst = wide_to_address(values->fields[PSET_DADDR], family),
		.fragment = values->fields[PSET_FRAGMENT] == PSET_WHOLE		   ? FRAGMENT_NONE
			    : values->fields[PSET_FRAGMENT] == PSET_FIRST_FRAGMENT ? FRAGMENT_FIRST
										   : FRAGMENT_LATER,
		.ttl = number_of((uint64_t)values->fields[PSET_TTL]),
		.ttl_given = true,
		.tos = number_of((uint64_t)values->fields[PSET_TOS]),
		.src_mac = mac_in(values, PSET_SMAC),
		.dst_mac = mac_in(values, PSET_DMAC),
	};

	if (packet_has_ports(&packet)) {
		packet.sport = port_in(values, PSET_SPORT);
		packet.dport = port_in(values, PSET_DPORT);
	}
	if (packet.protocol == PROTOCOL_TCP)
		packet.tcp_flags = (uint8_t)values->fields[PSET_TCP_FLAGS];
	if (packet_is_icmp(&packet)) {
		packet.icmp_type = (uint8_t)values->fields[PSET_ICMP_TYPE];
		packet.icmp_code = (uint8_t)values->fields[PSET_ICMP_CODE];
	}
	return packet;
}

bool spread_pick(struct spread *spread, pset set, struct packet *ret, enum question_state *ret_state)
{
	struct packet_values values;

	if (!pset_pick(spread->space, set, &values))
		return false;
	*ret = packet_in(&values);
	*ret_state = state_in(&values);
	return true;
}

bool spread_witness(struct spread *spread, const struct spread_start *start, const struct spread_end *end,
		    struct question *ret)
{
	pset origin = PSET_EMPTY;
	size_t first = end->hop;

	if (!pset_is_empty(end->packets.must))
		origin = undo_until(spread, end->passage, NULL, true, end->packets.must);
	if (pset_is_empty(origin) && !pset_is_empty(end->packets.must))
		origin = spread_origin(spread, end, end->packets.must);
	if (pset_is_empty(origin))
		origin = spread_origin(spread, end, end->packets.may);
	*ret = (struct question){.at = (struct stack_host *)start->host,
				 .iif = (struct stack_link *)start->iif,
				 .in_port = (struct stack_link *)start->in_port,
				 .bridged = start->bridged};
	if (start->out || start->frames) {
		while (first != SIZE_MAX && spread->hops[first].from != SIZE_MAX)
			first = spread->hops[first].from;
		if (first == SIZE_MAX)
			return false;
		ret->at = (struct stack_host *)spread->hops[first].host;
		ret->iif = (struct stack_link *)spread->hops[first].iif;
		ret->in_port = (struct stack_link *)spread->hops[first].in_port;
		ret->bridged = false;
	}
	return spread_pick(spread, origin, &ret->packet, &ret->state);
}

/* ---- a question as a set ---- */

static void fix(struct space *space, pset *set, enum pset_field field, wide first, wide last)
{
	*set = pset_and(space, *set, pset_interval(space, field, first, last));
}

/* The addresses, with all of the bits that IPv4 does not use. */
static void fix_address(struct space *space, pset *set, enum pset_field field, const struct ip *ip)
{
	struct prefix prefix = {*ip, ip_bits(ip)};
	struct interval interval = interval_of_prefix(&prefix);

	if (ip->family)
		fix(space, set, field, interval.first, interval.last);
}

static void fix_number(struct space *space, pset *set, enum pset_field field, const struct number *number)
{
	if (number->known)
		fix(space, set, field, number->value, number->value);
}

static void fix_mac(struct space *space, pset *set, enum pset_field field, const struct mac *mac)
{
	wide value = mac->known ? wide_of_mac(mac->bytes) : 0;

	if (mac->known)
		fix(space, set, field, value, value);
}

pset spread_question(struct space *space, const struct question *question)
{
	static const unsigned states[] = {PSET_NEW, PSET_ESTABLISHED, PSET_RELATED, PSET_INVALID};
	const struct packet *packet = &question->packet;
	pset set = pset_kind(space, PSET_FAMILY, packet->family == AF_INET ? PSET_IP4 : PSET_IP6);

	set = pset_and(space, set, pset_kind(space, PSET_STATE, states[question->state]));
	set = pset_and(space, set, pset_kind(space, PSET_FRAGMENT, (unsigned)packet->fragment));
	fix(space, &set, PSET_PROTOCOL, packet->protocol, packet->protocol);
	fix_address(space, &set, PSET_SADDR, &packet->src);
	fix_address(space, &set, PSET_DADDR, &packet->dst);
	if (packet_has_ports(packet)) {
		fix(space, &set, PSET_SPORT, packet->sport.first, packet->sport.last);
		fix(space, &set, PSET_DPORT, packet->dport.first, packet->dport.last);
	}
	if (packet->protocol == PROTOCOL_TCP)
		fix(space, &set, PSET_TCP_FLAGS, packet->tcp_flags, packet->tcp_flags);
	if (packet_is_icmp(packet)) {
		fix(space, &set, PSET_ICMP_TYPE, packet->icmp_type, packet->icmp_type);
		fix(space, &set, PSET_ICMP_CODE, packet->icmp_code, packet->icmp_code);
	}
	fix_number(space, &set, PSET_TTL, &packet->ttl);
	fix_number(space, &set, PSET_TOS, &packet->tos);
	fix_number(space, &set, PSET_LENGTH, &packet->length);
	fix_mac(space, &set, PSET_SMAC, &packet->src_mac);
	fix_mac(space, &set, PSET_DMAC, &packet->dst_mac);
	return set;
}
