/*
 * Connections must not be taken for one another (unique.c has the kernel's side of it): a first packet that no
 * statement translates leaves with another source port, as good as its own, where answers to it would look as those to
 * another connection do. That takes one which the host has translated:
 *
 * - to packets that look like these: from an address to which a statement translates sources, or to one to which it
 *   translates destinations;
 * - while these look like answers to its first packet, from which the kernel knows them apart by the addresses that it
 *   put in.
 *
 * Which connections there are is not for us to say. So all packets of that kind may keep their ports or get others;
 * what is sure of them (the lower bound) is said as of hosts where nobody has the same ports. Statements that translate
 * sources leave any port open (spread_nat.c).
 *
 * Where no other port can be had, because the statement names one or the protocol has none, the packet is lost. That is
 * looked at where packets come to a host again: others' connections are taken to end before one would need their place.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <sys/socket.h>

/* Of one host and family. */
struct spread_clashes {
	pset packets;	 /* that a translated connection may look like */
	bool fixed_port; /* a statement translates sources to one port */
	bool looked_for;
};

/* Answers to packets of the set, as far as addresses and ports tell. */
pset spread_answers_to(struct space *space, pset set)
{
	static const pset_fields told = PSET_BIT(PSET_FAMILY) | PSET_BIT(PSET_PROTOCOL) | PSET_BIT(PSET_SADDR) |
					PSET_BIT(PSET_DADDR) | PSET_BIT(PSET_SPORT) | PSET_BIT(PSET_DPORT);

	return pset_exchange_ends(space, pset_forget(space, set, ~told & (PSET_BIT(PSET_FIELD_COUNT) - 1)));
}

struct looking {
	struct spread *spread;
	const struct stream *stream;
	struct spread_clashes *clashes;
};

static void look_at_statement(void *data, const struct nat *nat, bool source, pset first)
{
	const struct looking *looking = data;
	struct spread *spread = looking->spread;
	const struct stream *stream = looking->stream;
	struct spread_clashes *clashes = looking->clashes;
	struct space *space = spread->space;
	struct nat_range range = spread_nat_range(spread, stream->host, stream->family, nat, source);
	struct stack_part port = nat->port ? stack_part(nat->port) : (struct stack_part){};
	pset like = pset_and(space, range.address, range.port);

	like = pset_or(space, like, spread_answers_to(space, first));
	clashes->packets = pset_or(space, clashes->packets, like);
	clashes->fixed_port =
		clashes->fixed_port || (source && nat->port && (port.kind != PART_RANGE || port.low == port.high));
}

static const struct spread_clashes *clashes_at(struct spread *spread, const struct stream *stream)
{
	static const enum hook hooks[] = {HOOK_PREROUTING, HOOK_INPUT, HOOK_OUTPUT, HOOK_POSTROUTING};
	struct spread_clashes *clashes;
	struct looking looking;

	if (!spread->clashes)
		spread->clashes = arena_alloc(spread->kept, spread->stack->host_count * STACK_FAMILY_COUNT *
								    sizeof(*spread->clashes));
	clashes = &spread->clashes[stream->host->number * STACK_FAMILY_COUNT + stream->family];
	if (clashes->looked_for)
		return clashes;
	*clashes = (struct spread_clashes){.packets = PSET_EMPTY, .looked_for = true};
	looking = (struct looking){spread, stream, clashes};
	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++) {
		const struct stack_hook *hook = &stream->host->hooks[stream->family][hooks[i]];

		for (size_t j = 0; j < hook->count; j++)
			if (hook->chains[j]->chain->type == CHAIN_NAT)
				spread_each_nat(spread, stream->host, hook->chains[j], look_at_statement, &looking);
	}
	return clashes;
}

/* ---- another port ---- */

static const struct {
	struct interval from, to;
} alike[] = {{{0, 511}, {1, 511}}, {{512, 1023}, {600, 1023}}, {{1024, 65535}, {1024, 65535}}};

static void change_port(struct spread *spread, pset packets, enum pset_field port, struct interval from,
			struct interval to, struct changes *changes)
{
	struct space *space = spread->space;
	struct change change = {
		.before = {PSET_EMPTY, PSET_EMPTY}, .after = {PSET_EMPTY, PSET_EMPTY}, .renewed = PSET_BIT(port)};

	change.before.may = pset_and(space, packets, pset_interval(space, port, from.first, from.last));
	change.after.may = pset_after_range(space, change.before.may, port, to.first, to.last);
	spread_add_change(spread, changes, &change);
}

void spread_change_ports(struct spread *spread, const struct stream *stream, bool source, struct changes *changes)
{
	struct space *space = spread->space;
	bool known = spread_is_known(stream);
	pset packets = stream->packets.may, like;

	if (!stream->host->translates[stream->family] || (!known && !source))
		return;
	like = clashes_at(spread, stream)->packets;
	packets = pset_and(space, packets, spread_with_ports(space));
	packets = pset_and(space, packets, source ? like : spread_answers_to(space, like));
	if (known)
		packets = pset_and(space, packets, pset_value(space, PSET_DIRECTION, !source));
	else
		packets = pset_and(space, pset_and(space, packets, pset_kind(space, PSET_STATE, PSET_NEW)),
				   pset_masked(space, PSET_STATUS, 0, CT_STATUS_SNAT));
	for (size_t i = 0; i < sizeof(alike) / sizeof(*alike); i++) {
		if (source)
			change_port(spread, packets, PSET_SPORT, alike[i].from, alike[i].to, changes);
		else
			change_port(spread, packets, PSET_DPORT, alike[i].to, alike[i].from, changes);
	}
}

/* ---- no other port ---- */

void spread_lose_clashing(struct spread *spread, const struct stream *stream)
{
	struct space *space = spread->space;
	struct bounds lost = {PSET_EMPTY, PSET_EMPTY};
	pset fixed;

	if (!stream->host->translates[stream->family] || !stream->tracked)
		return;
	fixed = pset_not(space, spread_with_ports(space));
	if (clashes_at(spread, stream)->fixed_port)
		fixed = pset_or(space, fixed, pset_masked(space, PSET_STATUS, CT_STATUS_SNAT, CT_STATUS_SNAT));
	fixed = pset_and(space, fixed, pset_kind(space, PSET_STATE, PSET_NEW));
	lost.may = pset_and(space, pset_and(space, stream->packets.may, stream->back), fixed);
	spread_end_at(spread, stream, lost, SPREAD_LOST, SPREAD_FOR_TRANSLATION);
}
