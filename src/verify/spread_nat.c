/*
 * Translation of sets. What a field was moves to where the first packet's is kept (CT_SADDR and so on), and the field
 * becomes what the rule says: one value, or any of several where the kernel chooses. The way back is in spread_back.c.
 */
#include "verify/spread_internal.h"

#include "base/arena.h"

#include <string.h>
#include <sys/socket.h>

struct target {
	struct interval address, port; /* as fields hold them */
	bool has_address, has_port;
};

/* One translation of some packets. */
struct translation {
	struct spread *spread;
	const struct stream *stream;
	const struct nat *nat;
	struct changes *changes;
	struct change change; /* what all of them have in common */
};

static uint8_t family_of(const struct stream *stream)
{
	return stream->family == STACK_IP4 ? AF_INET : AF_INET6;
}

/* Moves what a field was to where the first packet's is kept; the field itself may be anything then. */
static pset move(struct space *space, pset set, enum pset_field from, enum pset_field to)
{
	return pset_exchange(space, pset_forget(space, set, PSET_BIT(to)), from, to);
}

static pset translate_ports(const struct translation *translation, pset set, const struct target *target)
{
	struct space *space = translation->spread->space;
	bool source = translation->change.source;
	pset having = spread_with_ports(space), others = pset_minus(space, set, having);

	set = move(space, pset_and(space, set, having), source ? PSET_SPORT : PSET_DPORT,
		   source ? PSET_CT_SPORT : PSET_CT_DPORT);
	if (target->has_port)
		set = pset_after_range(space, set, source ? PSET_SPORT : PSET_DPORT, target->port.first,
				       target->port.last);
	return pset_or(space, set, others);
}

static pset translate_set(const struct translation *translation, pset set, const struct target *target)
{
	struct space *space = translation->spread->space;
	bool source = translation->change.source;
	enum pset_field address = source ? PSET_SADDR : PSET_DADDR;
	wide bit = source ? CT_STATUS_SNAT : CT_STATUS_DNAT;

	if (pset_is_empty(set))
		return set;
	if (target->has_address)
		set = pset_after_range(space, move(space, set, address, source ? PSET_CT_SADDR : PSET_CT_DADDR),
				       address, target->address.first, target->address.last);
	/* the kernel keeps a source port where it can; but it may be taken */
	if (target->has_port || source)
		set = translate_ports(translation, set, target);
	return pset_after(space, set, pset_bits_of(PSET_STATUS), bit, bit);
}

static void add(struct translation *translation, struct bounds packets, const struct target *target)
{
	bool source = translation->change.source;
	struct change change = translation->change;

	if (bounds_are_empty(packets))
		return;
	change.after.may = translate_set(translation, packets.may, target);
	change.after.must = translate_set(translation, packets.must, target);
	if (target->has_address)
		change.moved |= PSET_BIT(source ? PSET_SADDR : PSET_DADDR);
	if (target->has_port || source)
		change.moved |= PSET_BIT(source ? PSET_SPORT : PSET_DPORT);
	if (!change.moved) { /* to the port that it has */
		change.after.may = packets.may;
		change.after.must = packets.must;
	}
	spread_add_change(translation->spread, translation->changes, &change);
}

/* ---- where to ---- */

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
	unsigned shift = part.family == AF_INET ? 96 : 0;

	if (part.kind != PART_RANGE) {
		set_any(target, address);
	} else if (address) {
		target->has_address = true;
		target->address.first = part.low << shift;
		target->address.last = part.high << shift | (shift ? ((wide)1 << shift) - 1 : 0);
	} else {
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

static void to_address(struct translation *translation, struct bounds packets, struct target target,
		       const struct ip *address)
{
	struct prefix prefix = {*address, ip_bits(address)};

	target.has_address = true;
	target.address = interval_of_prefix(&prefix);
	add(translation, packets, &target);
}

static bool has_flag(const struct address *address, const char *flag)
{
	for (size_t i = 0; i < address->flag_count; i++)
		if (strcmp(address->flags[i], flag) == 0)
			return true;
	return false;
}

/* An address that the kernel takes to send from (inet_select_addr, ipv6_dev_get_saddr). */
static bool is_usable(const struct address *address, uint8_t family)
{
	return address->prefix.ip.family == family && !has_flag(address, "secondary") &&
	       !has_flag(address, "tentative") && !has_flag(address, "deprecated") &&
	       !ip_is_loopback(&address->prefix.ip) &&
	       !(family == AF_INET && address->scope && strcmp(address->scope, "host") == 0);
}

/* The link's address in whose subnet the next address is (that of a router, or the destination), or else its first. */
static bool from_subnet(struct translation *translation, const struct stack_link *link, struct bounds packets,
			const struct target *target, bool by_subnet)
{
	struct space *space = translation->spread->space;
	const struct ip *next = translation->stream->next;
	uint8_t family = family_of(translation->stream);
	const struct address *first = NULL;

	for (size_t i = 0; link && i < link->link->address_count; i++) {
		const struct address *address = &link->link->addresses[i];
		struct interval interval = interval_of_prefix(&address->prefix);
		pset inside;

		if (!is_usable(address, family) || (family == AF_INET6 && ip_is_link_local(&address->prefix.ip)))
			continue;
		first = first ? first : address;
		if (!by_subnet)
			continue;
		inside = pset_interval(space, PSET_DADDR, interval.first, interval.last);
		if (next && next->family == family)
			inside = prefix_contains(&address->prefix, next) ? PSET_FULL : PSET_EMPTY;
		to_address(translation, bounds_in(space, packets, inside), *target, &address->prefix.ip);
		packets = bounds_out(space, packets, inside);
	}
	if (!first)
		return false;
	to_address(translation, packets, *target, &first->prefix.ip);
	return true;
}

/* In IPv6 which of several is taken depends on the destination: it may be each of them. */
static bool from_any(struct translation *translation, const struct stack_link *link, struct bounds packets,
		     const struct target *target)
{
	const struct address *only = NULL;
	size_t count = 0;

	for (size_t i = 0; link && i < link->link->address_count; i++) {
		const struct address *address = &link->link->addresses[i];

		if (!is_usable(address, AF_INET6) || ip_is_link_local(&address->prefix.ip))
			continue;
		only = address;
		count++;
	}
	if (count > 1)
		packets.must = PSET_EMPTY;
	for (size_t i = 0; count > 0 && i < link->link->address_count; i++)
		if (count == 1 ? &link->link->addresses[i] == only
			       : is_usable(&link->link->addresses[i], AF_INET6) &&
					 !ip_is_link_local(&link->link->addresses[i].prefix.ip))
			to_address(translation, packets, *target, &link->link->addresses[i].prefix.ip);
	return count > 0;
}

static bool addresses_known(const struct stack_link *link, uint8_t family)
{
	return link && (family == AF_INET ? link->link->addresses4_known : link->link->addresses6_known) == TRUTH_YES;
}

/* MASQUERADE, REDIRECT: an address of a link. Without any, the packet is dropped where that is certain. */
static void to_link(struct translation *translation, struct bounds packets, struct target target,
		    const struct stack_link *link)
{
	const struct stack_host *host = translation->stream->host;
	uint8_t family = family_of(translation->stream);
	bool by_subnet = translation->nat->kind == NAT_MASQUERADE, done = false;

	done = family == AF_INET ? from_subnet(translation, link, packets, &target, by_subnet)
				 : from_any(translation, link, packets, &target);
	for (size_t i = 0; !done && by_subnet && i < host->link_count; i++) /* of another interface, then */
		done = family == AF_INET ? from_subnet(translation, &host->links[i], packets, &target, true)
					 : from_any(translation, &host->links[i], packets, &target);
	if (done)
		return;
	if (addresses_known(link, family)) {
		spread_end_at(translation->spread, translation->stream, packets, SPREAD_LOST, SPREAD_FOR_TRANSLATION);
		return;
	}
	set_any(&target, true);
	packets.must = PSET_EMPTY;
	add(translation, packets, &target);
}

bool spread_nat_is_source(const struct nat *nat, enum hook hook)
{
	if (nat->kind == NAT_BY_HOOK)
		return hook == HOOK_POSTROUTING || hook == HOOK_INPUT;
	return nat->kind == NAT_SOURCE || nat->kind == NAT_MASQUERADE;
}

void spread_translate(struct spread *spread, const struct stream *stream, const struct nat *nat,
		      const struct change *change, struct changes *changes)
{
	struct translation translation = {spread, stream, nat, changes, *change};
	struct bounds packets = change->after; /* as the rules before left them */
	struct target target = {};
	static const struct ip loopback4 = {AF_INET, {127, 0, 0, 1}}, loopback6 = {AF_INET6, {[15] = 1}};

	translation.change.source = spread_nat_is_source(nat, changes->chain->chain->hook);
	if (nat->address)
		set_value(&target, nat->address, true);
	if (nat->port && nat->port->kind != EXPR_MAP)
		set_value(&target, nat->port, false);
	else if (nat->port)
		set_any(&target, false);
	if (nat->kind == NAT_REDIRECT && changes->chain->chain->hook == HOOK_OUTPUT)
		to_address(&translation, packets, target, stream->family == STACK_IP4 ? &loopback4 : &loopback6);
	else if (nat->kind == NAT_MASQUERADE)
		to_link(&translation, packets, target, stream->oif);
	else if (nat->kind == NAT_REDIRECT)
		to_link(&translation, packets, target, stream->iif);
	else
		add(&translation, packets, &target);
}

struct nat_range spread_nat_range(struct spread *spread, const struct stack_host *host, enum stack_family family,
				  const struct nat *nat, bool source)
{
	enum pset_field address = source ? PSET_SADDR : PSET_DADDR, port = source ? PSET_SPORT : PSET_DPORT;
	struct nat_range range = {PSET_FULL, PSET_FULL, true};
	struct target target = {};

	if (nat->address)
		set_value(&target, nat->address, true);
	if (nat->port && nat->port->kind != EXPR_MAP)
		set_value(&target, nat->port, false);
	if (target.has_address)
		range.address = pset_interval(spread->space, address, target.address.first, target.address.last);
	else if (nat->kind == NAT_MASQUERADE || nat->kind == NAT_REDIRECT)
		range.address = spread_own_addresses(spread, host, family, address);
	else
		range.moves_address = false;
	if (target.has_port)
		range.port = pset_or(spread->space, pset_not(spread->space, spread_with_ports(spread->space)),
				     pset_interval(spread->space, port, target.port.first, target.port.last));
	return range;
}
