/*
 * Connection tracking, as far as packets that begin a connection and those that belong to none go: what a connection
 * may begin with (nf_conntrack_proto_tcp.c, nf_conntrack_proto_icmp.c, nf_conntrack_proto_icmpv6.c).
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

static bool tracks(const struct stream *stream)
{
	return stream->family == STACK_IP4 ? stream->host->tracks4 : stream->host->tracks6;
}

pset spread_with_ports(struct space *space)
{
	struct interval protocols[256];
	size_t count = 0;

	for (wide protocol = 0; protocol < 256; protocol++)
		if (protocol_has_ports((uint8_t)protocol))
			protocols[count++] = (struct interval){protocol, protocol};
	return pset_intervals(space, PSET_PROTOCOL, protocols, count);
}

/* Flags with which TCP connections are taken up: a SYN; without tcp_loose off also a lone ACK. */
static pset beginning_flags(struct space *space, bool loose)
{
	enum { IGNORED = TCP_PSH | TCP_ECE | TCP_CWR };
	struct interval flags[256];
	size_t count = 0;

	for (unsigned value = 0; value < 256; value++) {
		unsigned rest = value & ~(unsigned)IGNORED & ~(unsigned)TCP_URG;
		bool begins = rest == TCP_SYN || (rest == TCP_ACK && loose);

		if (begins)
			flags[count++] = (struct interval){value, value};
	}
	return pset_intervals(space, PSET_TCP_FLAGS, flags, count);
}

static pset of_types(struct space *space, uint8_t protocol, const struct interval *types, size_t count)
{
	return pset_and(space, pset_value(space, PSET_PROTOCOL, protocol),
			pset_intervals(space, PSET_ICMP_TYPE, types, count));
}

static pset beginning(struct space *space, const struct stream *stream)
{
	static const struct interval requests4[] = {{8, 8}, {13, 13}, {15, 15}, {17, 17}};
	static const struct interval requests6[] = {{128, 128}, {139, 139}};
	bool v4 = stream->family == STACK_IP4;
	uint8_t icmp = v4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
	pset tcp = pset_value(space, PSET_PROTOCOL, PROTOCOL_TCP), begins;

	begins = pset_not(space, pset_or(space, tcp, pset_value(space, PSET_PROTOCOL, icmp)));
	tcp = pset_and(space, tcp, beginning_flags(space, number_or(stream->host->tcp_loose.value, 1) != 0));
	begins = pset_or(space, begins, tcp);
	return pset_or(space, begins,
		       v4 ? of_types(space, icmp, requests4, sizeof(requests4) / sizeof(*requests4))
			  : of_types(space, icmp, requests6, sizeof(requests6) / sizeof(*requests6)));
}

/* Neighbour discovery and multicast listener reports are left alone. */
static pset left_alone(struct space *space, const struct stream *stream)
{
	static const struct interval types[] = {{130, 136}, {143, 143}};

	return stream->family == STACK_IP4 ? PSET_EMPTY : of_types(space, PROTOCOL_ICMPV6, types, 2);
}

static void set_state(struct spread *spread, struct bounds packets, unsigned state, struct changes *changes)
{
	struct pset_bits bits = pset_bits_of(PSET_STATE);
	struct change change = {.before = packets, .renewed = PSET_BIT(PSET_STATE)};

	change.after.may = pset_after(spread->space, packets.may, bits, state, pset_field_last(PSET_STATE));
	change.after.must = pset_after(spread->space, packets.must, bits, state, pset_field_last(PSET_STATE));
	spread_add_change(spread, changes, &change);
}

static void confine(struct spread *spread, struct stream *stream)
{
	if (spread_is_known(stream))
		spread_confine(spread, stream);
}

void spread_track(struct spread *spread, struct stream *stream)
{
	struct space *space = spread->space;
	struct bounds packets = stream->packets, left = {PSET_EMPTY, PSET_EMPTY};
	pset untracked = pset_kind(space, PSET_STATE, PSET_UNTRACKED);
	pset known = pset_or(space, pset_kind(space, PSET_STATE, PSET_ESTABLISHED),
			     pset_kind(space, PSET_STATE, PSET_RELATED));
	struct changes changes = {};
	struct change same = {};
	pset alone, none;

	if (stream->tracked || !tracks(stream))
		return;
	stream->tracked = true;
	alone = pset_minus(space, left_alone(space, stream), untracked);
	none = pset_minus(space, pset_not(space, beginning(space, stream)),
			  pset_or(space, pset_or(space, alone, known), untracked));
	if (stream->state == PSET_INVALID)
		none = PSET_EMPTY; /* they are already */
	set_state(spread, bounds_in(space, packets, alone), PSET_UNTRACKED, &changes);
	set_state(spread, bounds_in(space, packets, none), PSET_INVALID, &changes);
	if (changes.count == 0) {
		confine(spread, stream);
		return;
	}
	same.before = same.after = bounds_out(space, packets, pset_or(space, alone, none));
	spread_add_change(spread, &changes, &same);
	for (size_t i = 0; i < changes.count; i++)
		left = bounds_or(space, left, changes.items[i].after);
	stream->packets = left;
	spread_pass(spread, stream, changes.items, changes.count);
	confine(spread, stream);
}

void spread_make_whole(struct spread *spread, struct stream *stream)
{
	struct bounds before = stream->packets;
	struct pset_bits bits = pset_bits_of(PSET_FRAGMENT);
	wide all = pset_field_last(PSET_FRAGMENT);

	if (stream->fragment == PSET_WHOLE)
		return;

	stream->packets.may = pset_after(spread->space, before.may, bits, PSET_WHOLE, all);
	stream->packets.must = pset_after(spread->space, before.must, bits, PSET_WHOLE, all);
	spread_renew(spread, stream, before, PSET_BIT(PSET_FRAGMENT));
}

void spread_defragment(struct spread *spread, struct stream *stream)
{
	if (tracks(stream) && !stream->tracked)
		spread_make_whole(spread, stream);
}
