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

/* An address that the kernel takes to send from (inet_select_addr, ipv6_dev_get_saddr). */
static bool is_usable(const struct address *address, uint8_t family)
{
	return stack_address_is_usable(address, family) && !ip_is_loopback(&address->prefix.ip) &&
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

/* Which of a link's IPv6 addresses: all of them, those that are good for more than the link, or of these the current
 * ones; or those that reach as far as the link or the site.
 */
enum choice { CHOOSE_ANY, CHOOSE_WIDE, CHOOSE_CURRENT, CHOOSE_HOST, CHOOSE_LINK, CHOOSE_SITE };

static bool is_choice(const struct address *address, enum choice choice)
{
	const struct ip *ip = &address->prefix.ip;

	if (ip->family != AF_INET6 ||
	    (stack_address_has_flag(address, "tentative") && !stack_address_has_flag(address, "optimistic")))
		return false;
	switch (choice) {
	case CHOOSE_ANY:
		return true;
	case CHOOSE_HOST:
		return ip_scope(ip) == SCOPE_HOST;
	case CHOOSE_LINK:
		return ip_scope(ip) == SCOPE_LINK;
	case CHOOSE_SITE:
		return ip_scope(ip) == SCOPE_SITE;
	case CHOOSE_WIDE:
	case CHOOSE_CURRENT:
		break;
	}
	return !ip_is_link_local(ip) && !ip_is_loopback(ip) &&
	       (choice == CHOOSE_WIDE || !stack_address_has_flag(address, "deprecated"));
}

static size_t count_choices(const struct stack_link *link, enum choice choice)
{
	size_t count = 0;

	for (size_t i = 0; link && i < link->link->address_count; i++)
		count += is_choice(&link->link->addresses[i], choice);
	return count;
}

/* One of a link's addresses (NULL: of all links'): which one is not for us to say. False: there is none. */
static bool to_any_of(struct translation *translation, const struct stack_link *only, enum choice choice,
		      struct bounds packets, const struct target *target)
{
	const struct stack_host *host = translation->stream->host;
	size_t count = 0;

	for (size_t i = 0; i < host->link_count; i++)
		if (!only || only == &host->links[i])
			count += count_choices(&host->links[i], choice);
	if (count > 1)
		packets.must = PSET_EMPTY;
	for (size_t i = 0; i < host->link_count; i++) {
		const struct link *link = host->links[i].link;

		if (only && only != &host->links[i])
			continue;
		for (size_t j = 0; j < link->address_count; j++)
			if (is_choice(&link->addresses[j], choice))
				to_address(translation, packets, *target, &link->addresses[j].prefix.ip);
	}
	return count > 0;
}

/* What goes to an address of the host's own is sent from that. Returns the others. */
static struct bounds to_itself(struct translation *translation, struct bounds packets, const struct target *target)
{
	const struct stack_host *host = translation->stream->host;
	struct space *space = translation->spread->space;

	for (size_t i = 0; i < host->link_count; i++)
		for (size_t j = 0; j < host->links[i].link->address_count; j++) {
			const struct address *address = &host->links[i].link->addresses[j];
			wide value = wide_of_address(&address->prefix.ip);
			pset same;

			if (!is_choice(address, CHOOSE_WIDE))
				continue;
			same = pset_interval(space, PSET_DADDR, value, value);
			to_address(translation, bounds_in(space, packets, same), *target, &address->prefix.ip);
			packets = bounds_out(space, packets, same);
		}
	return packets;
}

/*
 * RFC 6724, as far as it leaves no choice (ipv6_dev_get_saddr()): the destination itself; an address good for as much,
 * and current; one of the interface that the packet leaves by. On that one's own link others do not count.
 */
static bool masquerade6(struct translation *translation, const struct stack_link *link, struct bounds packets,
			const struct target *target, struct bounds *ret_rest)
{
	struct spread *spread = translation->spread;
	struct space *space = spread->space;
	pset near = pset_or(space, spread_multicast(spread, STACK_IP6), spread_prefix(spread, PSET_DADDR, "fe80::/10"));
	struct bounds far;

	near = pset_or(space, near, spread_prefix(spread, PSET_DADDR, "::1/128"));
	far = to_itself(translation, bounds_out(space, packets, near), target);
	*ret_rest = bounds_in(space, packets, near);
	if (to_any_of(translation, link, CHOOSE_ANY, *ret_rest, target))
		*ret_rest = (struct bounds){PSET_EMPTY, PSET_EMPTY};
	if (count_choices(link, CHOOSE_CURRENT) ? to_any_of(translation, link, CHOOSE_CURRENT, far, target)
						: to_any_of(translation, NULL, CHOOSE_WIDE, far, target) ||
							  to_any_of(translation, NULL, CHOOSE_ANY, far, target))
		return bounds_are_empty(*ret_rest);
	*ret_rest = bounds_or(space, *ret_rest, far);
	return false;
}

/* Destinations that reach so far and no farther; see ip_scope(). */
static pset reaching(struct spread *spread, enum ip_scope scope)
{
	const char *prefix = scope == SCOPE_HOST ? "::1/128" : scope == SCOPE_LINK ? "fe80::/10" : "fec0::/10";
	pset set = spread_prefix(spread, PSET_DADDR, prefix);

	for (unsigned flags = 0; flags < 16; flags++) {
		struct prefix group = {{AF_INET6, {0xff, (uint8_t)(flags << 4 | scope)}}, 16};
		struct interval interval = interval_of_prefix(&group);
		pset more = pset_interval(spread->space, PSET_DADDR, interval.first, interval.last);

		set = pset_or(spread->space, set, more);
	}
	return set;
}

/* REDIRECT takes the first one, for a destination that does not reach far the first that reaches as far
 * (nf_nat_redirect_ipv6). `ret_rest`: those for which there is none. */
static bool redirect6(struct translation *translation, const struct stack_link *link, struct bounds packets,
		      const struct target *target, struct bounds *ret_rest)
{
	static const struct {
		enum ip_scope scope;
		enum choice choice;
	} near[] = {{SCOPE_HOST, CHOOSE_HOST}, {SCOPE_LINK, CHOOSE_LINK}, {SCOPE_SITE, CHOOSE_SITE}};
	struct spread *spread = translation->spread;

	*ret_rest = (struct bounds){PSET_EMPTY, PSET_EMPTY};
	for (size_t i = 0; i < sizeof(near) / sizeof(*near); i++) {
		pset set = reaching(spread, near[i].scope);
		struct bounds some = bounds_in(spread->space, packets, set);

		packets = bounds_out(spread->space, packets, set);
		if (!link || !to_any_of(translation, link, near[i].choice, some, target))
			*ret_rest = bounds_or(spread->space, *ret_rest, some);
	}
	if (!link || (!to_any_of(translation, link, CHOOSE_WIDE, packets, target) &&
		      !to_any_of(translation, link, CHOOSE_ANY, packets, target)))
		*ret_rest = bounds_or(spread->space, *ret_rest, packets);
	return bounds_are_empty(*ret_rest);
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

	if (family == AF_INET6 && by_subnet && (addresses_known(link, family) || count_choices(link, CHOOSE_WIDE)))
		done = masquerade6(translation, link, packets, &target, &packets);
	else if (family == AF_INET6 && !by_subnet)
		done = redirect6(translation, link, packets, &target, &packets);
	else if (family == AF_INET)
		done = from_subnet(translation, link, packets, &target, by_subnet);
	for (size_t i = 0; !done && by_subnet && family == AF_INET && i < host->link_count; i++)
		done = from_subnet(translation, &host->links[i], packets, &target,
				   true); /* of another interface, then */
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

static bool nat_is_source(const struct nat *nat, enum hook hook)
{
	if (nat->kind == NAT_BY_HOOK)
		return hook == HOOK_POSTROUTING || hook == HOOK_INPUT;
	return nat->kind == NAT_SOURCE || nat->kind == NAT_MASQUERADE;
}

void spread_each_nat(struct spread *spread, const struct stack_host *host, const struct stack_chain *chain,
		     spread_nat_visit visit, void *data)
{
	struct chains *chains = spread_chains(spread, host);
	diagram function = chains_function(chains, chain);
	struct end *ends;
	size_t count = chains_ends(chains, function, END_ACCEPT, &ends);

	for (size_t i = 0; i < count; i++) {
		const struct statement *last;
		effect before;

		if (!ends[i].effect)
			continue;
		last = effect_statement(chains_outcomes(chains), ends[i].effect, &before);
		if (last->kind == STATEMENT_NAT)
			visit(data, &last->nat, nat_is_source(&last->nat, chain->chain->hook),
			      chains_ending(chains, function, ends[i]).may);
	}
}

void spread_translate(struct spread *spread, const struct stream *stream, const struct nat *nat,
		      const struct change *change, struct changes *changes)
{
	struct translation translation = {spread, stream, nat, changes, *change};
	struct bounds packets = change->after; /* as the rules before left them */
	struct target target = {};
	static const struct ip loopback4 = {AF_INET, {127, 0, 0, 1}}, loopback6 = {AF_INET6, {[15] = 1}};

	translation.change.source = nat_is_source(nat, changes->chain->chain->hook);
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
