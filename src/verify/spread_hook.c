/*
 * Packets at one hook: they run through its base chains in turn, and the kernel's own translation stands between those.
 *
 * Rules may ask for the first packet's addresses (ct original). Until a packet is translated they are its own, and what
 * asks for them is asked for its own; when it is, they move into the CT_ fields, and stay there while it is at the
 * host.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void spread_name_links(struct spread *spread, struct stream *stream)
{
	const struct {
		enum pset_field field;
		const struct stack_link *link;
	} names[] = {{PSET_IIF, stream->iif},
		     {PSET_IN_PORT, stream->in_port},
		     {PSET_OIF, stream->oif},
		     {PSET_OUT_PORT, stream->out_port}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		wide name = names[i].link ? wide_of_name(names[i].link->name) : 0;
		struct pset_bits bits = pset_bits_of(names[i].field);

		stream->packets.may = pset_after(spread->space, stream->packets.may, bits, name, ~(wide)0);
		stream->packets.must = pset_after(spread->space, stream->packets.must, bits, name, ~(wide)0);
	}
}

/* ---- translation ---- */

/* One translation of some packets: which field, to which values. */
struct translation {
	struct spread *spread;
	const struct stream *stream;
	const struct stack_chain *chain;
	bool source;
	struct bounds done;
};

static wide status_bit(bool source)
{
	return source ? CT_STATUS_SNAT : CT_STATUS_DNAT;
}

/* Moves what a field was to where the first packet's is kept; the field itself may be anything then. */
static pset move(struct space *space, pset set, enum pset_field from, enum pset_field to)
{
	return pset_exchange(space, pset_forget(space, set, PSET_BIT(to)), from, to);
}

struct target {
	struct interval address, port; /* as fields hold them */
	bool has_address, has_port;
};

static pset translate_set(const struct translation *translation, pset set, const struct target *target)
{
	struct space *space = translation->spread->space;
	enum pset_field address = translation->source ? PSET_SADDR : PSET_DADDR;
	enum pset_field port = translation->source ? PSET_SPORT : PSET_DPORT;
	wide bit = status_bit(translation->source);

	if (pset_is_empty(set))
		return set;
	if (target->has_address)
		set = pset_after_range(space,
				       move(space, set, address, translation->source ? PSET_CT_SADDR : PSET_CT_DADDR),
				       address, target->address.first, target->address.last);
	/* the kernel keeps a source port where it can; but it may be taken */
	if (target->has_port || translation->source)
		set = move(space, set, port, translation->source ? PSET_CT_SPORT : PSET_CT_DPORT);
	if (target->has_port)
		set = pset_after_range(space, set, port, target->port.first, target->port.last);
	return pset_after(space, set, pset_bits_of(PSET_STATUS), bit, bit);
}

static void translate(struct translation *translation, struct bounds packets, const struct target *target)
{
	struct space *space = translation->spread->space;

	translation->done.may = pset_or(space, translation->done.may, translate_set(translation, packets.may, target));
	translation->done.must =
		pset_or(space, translation->done.must, translate_set(translation, packets.must, target));
}

/* Some address of a link, of a family. */
static bool link_address(const struct stack_link *link, uint8_t family, struct ip *ret)
{
	for (size_t i = 0; link && i < link->link->address_count; i++) {
		const struct address *address = &link->link->addresses[i];

		if (address->prefix.ip.family != family)
			continue;
		if (address->scope && strcmp(address->scope, "link") == 0)
			continue;
		*ret = address->prefix.ip;
		return true;
	}
	return false;
}

static void set_address(struct target *target, const struct stack_part *part)
{
	unsigned shift = part->family == AF_INET ? 96 : 0;

	target->has_address = true;
	target->address.first = part->low << shift;
	target->address.last = part->high << shift | (shift ? ((wide)1 << shift) - 1 : 0);
}

static void set_any(struct target *target, bool address)
{
	if (address) {
		target->has_address = true;
		target->address = (struct interval){0, ~(wide)0};
	} else {
		target->has_port = true;
		target->port = (struct interval){0, 65535};
	}
}

static void set_part(struct target *target, const struct expr *expr, bool address)
{
	struct stack_part part = stack_part(expr);

	if (part.kind != PART_RANGE)
		set_any(target, address);
	else if (address)
		set_address(target, &part);
	else {
		target->has_port = true;
		target->port = (struct interval){part.low, part.high};
	}
}

/* The address and the port that a constant, or what a map gives, says. */
static void set_value(struct target *target, const struct expr *value, bool address)
{
	if (value->kind != EXPR_CONCAT) {
		set_part(target, value, address);
		return;
	}
	if (value->concat.count > 0)
		set_part(target, value->concat.items[0], true);
	if (value->concat.count > 1)
		set_part(target, value->concat.items[1], false);
}

static void translate_to(struct translation *translation, struct bounds packets, const struct nat *nat,
			 struct target target)
{
	uint8_t family = translation->stream->family == STACK_IP4 ? AF_INET : AF_INET6;
	const struct stack_link *link =
		nat->kind == NAT_MASQUERADE ? translation->stream->oif : translation->stream->iif;
	struct ip address = {};
	bool loopback = nat->kind == NAT_REDIRECT && !translation->stream->iif;

	if (nat->port && nat->port->kind != EXPR_MAP)
		set_value(&target, nat->port, false);
	else if (nat->port)
		set_any(&target, false);
	if (loopback && ip_parse(family == AF_INET ? "127.0.0.1" : "::1", &address)) {
		target.has_address = true;
	} else if (nat->kind == NAT_MASQUERADE || nat->kind == NAT_REDIRECT) {
		if (!link_address(link, family, &address))
			set_any(&target, true);
		target.has_address = true;
	}
	if (address.family) {
		struct prefix prefix = {address, (uint8_t)(family == AF_INET ? 32 : 128)};

		target.address = interval_of_prefix(&prefix);
	}
	translate(translation, packets, &target);
}

static bool translates_source(const struct nat *nat, enum hook hook)
{
	if (nat->kind == NAT_BY_HOOK)
		return hook == HOOK_POSTROUTING || hook == HOOK_INPUT;
	return nat->kind == NAT_SOURCE || nat->kind == NAT_MASQUERADE;
}

/* What a nat statement makes of packets of the stream. */
static struct bounds translated(struct spread *spread, const struct stream *stream, const struct stack_chain *chain,
				const struct nat *nat, struct bounds packets)
{
	struct translation translation = {
		spread, stream, chain, translates_source(nat, chain->chain->hook), {PSET_EMPTY, PSET_EMPTY}};
	struct target target = {};

	if (nat->address)
		set_value(&target, nat->address, true);
	translate_to(&translation, packets, nat, target);
	return translation.done;
}

/* ---- chains ---- */

static int32_t place_of(const struct chain *chain)
{
	if (chain->type != CHAIN_NAT)
		return chain->priority;
	return chain->hook == HOOK_PREROUTING || chain->hook == HOOK_OUTPUT ? STACK_PRIORITY_NAT_DESTINATION
									    : STACK_PRIORITY_NAT_SOURCE;
}

/* Sets that rules ask for the first packet's addresses, asked for the packet's own where it is not translated. */
static pset ask_own(struct space *space, pset set)
{
	static const struct {
		enum pset_field kept, own;
		bool source;
	} pairs[] = {{PSET_CT_SADDR, PSET_SADDR, true},
		     {PSET_CT_SPORT, PSET_SPORT, true},
		     {PSET_CT_DADDR, PSET_DADDR, false},
		     {PSET_CT_DPORT, PSET_DPORT, false}};
	pset_fields support = pset_support(space, set);

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		wide bit = status_bit(pairs[i].source);
		pset translated, own;

		if (!(support & PSET_BIT(pairs[i].kept)))
			continue;
		translated = pset_masked(space, PSET_STATUS, bit, bit);
		own = pset_as(space, set, pairs[i].kept, pairs[i].own);
		set = pset_or(space, pset_and(space, set, translated), pset_minus(space, own, translated));
	}
	return set;
}

static struct bounds coming_to(struct spread *spread, struct chains *chains, diagram function, struct end end,
			       struct bounds packets)
{
	struct bounds to = chains_ending(chains, function, end);

	to.may = ask_own(spread->space, to.may);
	to.must = ask_own(spread->space, to.must);
	return bounds_and(spread->space, packets, to);
}

static struct bounds changed(struct spread *spread, struct chains *chains, const struct stream *stream,
			     const struct stack_chain *chain, struct bounds packets, effect done)
{
	const struct statement *last;
	effect before;

	packets.may = chains_changed(chains, packets.may, done);
	packets.must = chains_changed(chains, packets.must, done);
	if (!done)
		return packets;
	last = effect_statement(chains_outcomes(chains), done, &before);
	if (last->kind != STATEMENT_NAT)
		return packets;
	return translated(spread, stream, chain, &last->nat, packets);
}

static void end_packets(struct spread *spread, struct stream *stream, const struct stack_chain *chain, diagram function,
			enum end_kind kind, enum spread_fate fate)
{
	struct chains *chains = spread_chains(spread, stream->host);
	struct end *ends;
	size_t count = chains_ends(chains, function, kind, &ends);

	for (size_t i = 0; i < count; i++)
		spread_end_by(spread, stream, coming_to(spread, chains, function, ends[i], stream->packets), fate,
			      chain->chain->hook, chain);
}

static void run_chain(struct spread *spread, struct stream *stream, const struct stack_chain *chain)
{
	struct chains *chains = spread_chains(spread, stream->host);
	diagram function = chains_function(chains, chain);
	struct bounds left = {PSET_EMPTY, PSET_EMPTY};
	struct end *ends;
	size_t count;

	/* before connection tracking no packet has a state, which rules see as invalid (nft_ct_get_eval) */
	if (place_of(chain->chain) < STACK_PRIORITY_CONNTRACK &&
	    (chain->chain->hook == HOOK_PREROUTING || chain->chain->hook == HOOK_OUTPUT))
		function = pset_before(spread->space, function, pset_bits_of(PSET_STATE), PSET_INVALID,
				       pset_field_last(PSET_STATE));
	end_packets(spread, stream, chain, function, END_DROP, SPREAD_DROPPED);
	end_packets(spread, stream, chain, function, END_REJECT, SPREAD_REJECTED);
	end_packets(spread, stream, chain, function, END_ELSEWHERE, SPREAD_UNKNOWN);
	count = chains_ends(chains, function, END_ACCEPT, &ends);
	for (size_t i = 0; i < count; i++) {
		struct bounds packets = coming_to(spread, chains, function, ends[i], stream->packets);

		left = bounds_or(spread->space, left, changed(spread, chains, stream, chain, packets, ends[i].effect));
	}
	stream->packets = left;
}

/* Only the first packet of a connection is asked, and only once for its source and once for its destination. */
static void run_nat_chain(struct spread *spread, struct stream *stream, const struct stack_chain *chain)
{
	bool source = place_of(chain->chain) == STACK_PRIORITY_NAT_SOURCE;
	pset asked = pset_and(spread->space, pset_kind(spread->space, PSET_STATE, PSET_NEW),
			      pset_masked(spread->space, PSET_STATUS, 0, status_bit(source)));
	struct bounds others = bounds_out(spread->space, stream->packets, asked);

	stream->packets = bounds_in(spread->space, stream->packets, asked);
	run_chain(spread, stream, chain);
	stream->packets = bounds_or(spread->space, stream->packets, others);
}

void spread_hook(struct spread *spread, struct stream *stream, enum stack_family family, enum hook hook, int32_t first,
		 int32_t last)
{
	const struct stack_hook *chains = &stream->host->hooks[family][hook];

	spread_name_links(spread, stream);
	for (size_t i = 0; i < chains->count && !bounds_are_empty(stream->packets); i++) {
		const struct stack_chain *chain = chains->chains[i];
		int32_t place = place_of(chain->chain);

		if (place < first || place > last)
			continue;
		if (chain->chain->type == CHAIN_NAT)
			run_nat_chain(spread, stream, chain);
		else
			run_chain(spread, stream, chain);
	}
}
