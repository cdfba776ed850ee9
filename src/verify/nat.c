/*
 * NAT statements: what the first packet of a connection gets, and all others after it (nf_nat_setup_info in
 * net/netfilter/nf_nat_core.c). The answers' tuple of the flow is changed; flow_translate() does the rest.
 */
#include "verify/evaluate.h"

#include <string.h>
#include <sys/socket.h>

enum { CHOICE_OF_ADDRESSES_MAX = 8 };

struct mapping {
	struct value address, port; /* absent: stays */
};

/* A map's element may hold address and port at once. */
static void take_data(const struct scene *scene, const struct expr *data, struct mapping *mapping)
{
	struct values values = evaluate_values(scene, data);

	mapping->address = values.items[0];
	if (values.count > 1)
		mapping->port = values.items[1];
}

/* False: the map has no element for this packet, and the rule does not apply. */
static bool from_map(const struct scene *scene, const struct expr *map, struct mapping *mapping)
{
	struct walk *walk = scene->hop->walk;
	struct values key = evaluate_values(scene, map->pair.left);
	struct found_element found[CHOICE_OF_ADDRESSES_MAX];
	size_t count;
	unsigned taken = 0;

	for (size_t i = 0; i < key.count; i++)
		if (key.items[i].kind == VALUE_ABSENT)
			return false;
	count = evaluate_lookup(scene, map->pair.right, &key, found, CHOICE_OF_ADDRESSES_MAX);
	if (count == 0)
		return false;
	if (found[0].truth != TRUTH_YES)
		taken = walk_decide(walk, (unsigned)count + 1, "the first", NULL,
				    "%s: which element of its map a NAT rule in chain %s finds", scene->hop->host->name,
				    scene->chain->chain->name);
	if (taken >= count || !found[taken].element->data)
		return false;
	take_data(scene, found[taken].element->data, mapping);
	return true;
}

/* Which of several addresses is taken is up to a hash. */
static struct ip choose_address(const struct scene *scene, const struct value *address)
{
	wide count = address->high - address->low + 1;
	unsigned taken = 0;

	if (count > 1)
		taken = walk_decide(scene->hop->walk,
				    count < CHOICE_OF_ADDRESSES_MAX ? (unsigned)count : CHOICE_OF_ADDRESSES_MAX,
				    "the first", NULL, "%s: which address of its range a NAT rule in chain %s takes",
				    scene->hop->host->name, scene->chain->chain->name);
	return wide_to_ip(address->low + taken, address->family);
}

static struct ip map_prefix(const struct ip *old, const struct value *prefix)
{
	wide host = prefix->high - prefix->low; /* all ones: the bits that stay */

	return wide_to_ip(prefix->low | (wide_of_ip(old) & host), prefix->family);
}

/* REDIRECT takes the interface's first address; in IPv6, for a destination that does not reach far, the first that
 * reaches as far (nf_nat_redirect_ipv6). */
static struct ip redirect_address(struct hop *hop)
{
	static const struct ip loopback4 = {AF_INET, {127, 0, 0, 1}}, loopback6 = {AF_INET6, {[15] = 1}};
	enum ip_scope scope = ip_scope(&hop->packet.dst);

	if (hop->hook == HOOK_OUTPUT)
		return hop->packet.family == AF_INET ? loopback4 : loopback6;
	for (size_t i = 0; i < hop->iif->link->address_count; i++) {
		const struct ip *ip = &hop->iif->link->addresses[i].prefix.ip;

		if (ip->family == hop->packet.family && (scope == SCOPE_WIDE || ip_scope(ip) == scope))
			return *ip;
	}
	return (struct ip){};
}

static struct ip masquerade_address(struct hop *hop)
{
	const struct nexthop *nexthop = hop->route.nexthop;
	bool gateway = hop->packet.family == AF_INET && nexthop && nexthop->via.family == AF_INET;
	const struct ip *toward = gateway ? &nexthop->via : &hop->packet.dst;

	return fib_select_address(hop->host, hop->out, toward);
}

/* ---- ports ---- */

static bool is_random(const struct nat *nat)
{
	return nat->random || nat->fully_random;
}

static bool inside(const struct ports *ports, const struct value *range)
{
	return ports->first >= range->low && ports->last <= range->high;
}

static struct ports shifted(const struct nat *nat, const struct value *range, const struct ports *old)
{
	return port_of(
		(uint16_t)((wide)old->first - nat->base.value + range->low)); /* the base is where the range begins */
}

/* The port stays where it can; whether somebody has it is asked later. */
static struct ports new_port(const struct nat *nat, bool source, const struct value *range, const struct ports *old)
{
	if (range->kind != VALUE_RANGE)
		return source && is_random(nat) ? unique_alike(old) : *old;
	if (nat->base.known)
		return shifted(nat, range, old);
	if (range->low != range->high && inside(old, range) && !is_random(nat))
		return *old;
	return (struct ports){(uint16_t)range->low, (uint16_t)range->high};
}

static bool is_source(const struct hop *hop, const struct nat *nat)
{
	if (nat->kind == NAT_BY_HOOK)
		return hop->hook != HOOK_PREROUTING && hop->hook != HOOK_OUTPUT;
	return nat->kind == NAT_SOURCE || nat->kind == NAT_MASQUERADE;
}

/* Address and port as the statement says them. False: it does not apply. */
static bool read_mapping(const struct scene *scene, const struct nat *nat, struct mapping *mapping)
{
	if (nat->address && nat->address->kind == EXPR_MAP) {
		if (!from_map(scene, nat->address, mapping))
			return false;
	} else if (nat->address) {
		take_data(scene, nat->address, mapping);
	}
	if (nat->port)
		mapping->port = evaluate_values(scene, nat->port).items[0];
	return true;
}

static const char *effect_text(struct walk *walk, const struct nat *nat, bool source, const struct ip *ip,
			       const struct ports *ports, bool ported)
{
	const char *word = nat->kind == NAT_MASQUERADE ? "masquerade as"
			   : nat->kind == NAT_REDIRECT ? "redirect to"
			   : source		       ? "snat to"
						       : "dnat to";
	char text[IP_TEXT_SIZE];

	ip_format(ip, text);
	if (!ported)
		return walk_text(walk, "%s %s", word, text);
	if (ports->first == ports->last)
		return walk_text(walk, ip->family == AF_INET6 ? "%s [%s]:%u" : "%s %s:%u", word, text, ports->first);
	return walk_text(walk, ip->family == AF_INET6 ? "%s [%s]:%u-%u" : "%s %s:%u-%u", word, text, ports->first,
			 ports->last);
}

static struct ip new_address(const struct scene *scene, const struct nat *nat, const struct mapping *mapping,
			     const struct ip *old)
{
	if (nat->kind == NAT_MASQUERADE)
		return masquerade_address(scene->hop);
	if (nat->kind == NAT_REDIRECT)
		return redirect_address(scene->hop);
	if (mapping->address.kind == VALUE_ABSENT)
		return *old;
	if (nat->netmap)
		return map_prefix(old, &mapping->address);
	return choose_address(scene, &mapping->address);
}

static void apply(struct flow *flow, bool source, const struct tuple *now)
{
	struct tuple before = tuple_inverse(&flow->reply);

	if (source) {
		flow->source_done = true;
		flow->source_nat = !tuple_equal(now, &before);
	} else {
		flow->destination_done = true;
		flow->destination_nat = !tuple_equal(now, &before);
	}
	flow->reply = tuple_inverse(now);
}

/* ---- who sends from one place keeps to one ---- */

/* Is it an end that the statement would give? Its addresses are those of `mapping`, or the one that was chosen. */
static bool is_within(const struct nat *nat, const struct mapping *mapping, const struct ip *chosen,
		      const struct tuple *tuple)
{
	const struct value *range = &mapping->address;
	wide address = wide_of_ip(&tuple->src);
	bool fits = ip_equal(chosen, &tuple->src);

	if (range->kind == VALUE_RANGE && !nat->netmap)
		fits = address >= range->low && address <= range->high;
	return fits && (mapping->port.kind != VALUE_RANGE || !protocol_has_ports(tuple->protocol) ||
			inside(&tuple->sport, &mapping->port));
}

static bool is_of_same_source(const struct hop *hop, const struct flow *other, const struct tuple *now)
{
	return other->host == hop->host && other != hop->flow && other->source_done &&
	       other->original.protocol == now->protocol && ip_equal(&other->original.src, &now->src) &&
	       other->original.sport.first == now->sport.first && other->original.sport.last == now->sport.last;
}

/*
 * A source that fits already stays; one that sent something else before is translated as that was, if it fits
 * (find_appropriate_src). False: neither.
 */
static bool keep_source(const struct hop *hop, const struct nat *nat, const struct mapping *mapping,
			const struct ip *chosen, struct tuple *now)
{
	const struct walk *walk = hop->walk;

	if (is_random(nat))
		return false;
	if (is_within(nat, mapping, chosen, now))
		return unique_is_taken(hop, now) == TRUTH_NO;
	for (size_t i = walk->flow_count; i-- > 0;) {
		struct tuple mapped = tuple_inverse(&walk->flows[i]->reply), candidate = *now;

		if (!is_of_same_source(hop, walk->flows[i], now))
			continue;
		candidate.src = mapped.src;
		candidate.sport = mapped.sport;
		if (!is_within(nat, mapping, chosen, &candidate))
			continue;
		if (unique_is_taken(hop, &candidate) != TRUTH_NO)
			return false;
		*now = candidate;
		return true;
	}
	return false;
}

/* The end of the connection as the statement has it, where nobody else has the same. */
static void translate_end(const struct scene *scene, const struct nat *nat, bool source, const struct mapping *mapping,
			  const struct ip *address, struct tuple *now)
{
	const struct value *range = &mapping->port;
	struct ports specified = {(uint16_t)range->low, (uint16_t)range->high};
	struct ports *port = source ? &now->sport : &now->dport;

	if (source && keep_source(scene->hop, nat, mapping, address, now))
		return;
	*(source ? &now->src : &now->dst) = *address;
	if (protocol_has_ports(now->protocol))
		*port = new_port(nat, source, range, port);
	unique_make(scene->hop, source, range->kind == VALUE_RANGE ? &specified : NULL, now);
}

void nat_setup_none(struct hop *hop, bool source)
{
	struct tuple now = tuple_inverse(&hop->flow->reply);

	unique_make(hop, source, NULL, &now);
	apply(hop->flow, source, &now);
}

static bool addresses_unknown(const struct hop *hop, const struct stack_link *link)
{
	return link && (hop->packet.family == AF_INET ? link->link->addresses4_known : link->link->addresses6_known) !=
			       TRUTH_YES;
}

bool nat_setup(const struct scene *scene, const struct nat *nat, const char **ret_effect)
{
	struct hop *hop = scene->hop;
	struct mapping mapping = {};
	bool source = is_source(hop, nat);
	struct tuple now;
	struct ip address;

	*ret_effect = NULL;
	if (!hop->flow || (source ? hop->flow->source_done : hop->flow->destination_done))
		return true;
	if (!read_mapping(scene, nat, &mapping))
		return true;
	if (mapping.address.kind == VALUE_UNKNOWN || mapping.port.kind == VALUE_UNKNOWN) {
		walk_unknown(hop->walk, hop->host, NULL, "%s: what the NAT rule in chain %s translates to",
			     hop->host->name, scene->chain->chain->name);
		return true;
	}
	/* "dnat ip to" in a table of both families says nothing of the other one (nft_nat_inet_eval). */
	if (mapping.address.kind == VALUE_RANGE && mapping.address.family != hop->packet.family)
		return true;
	now = tuple_inverse(&hop->flow->reply);
	address = new_address(scene, nat, &mapping, source ? &now.src : &now.dst);
	if (!address.family && addresses_unknown(hop, source ? hop->out : hop->iif)) {
		walk_unknown(hop->walk, hop->host, "ip addr", "%s: the addresses of %s", hop->host->name,
			     (source && hop->out ? hop->out : hop->iif)->name);
		return true;
	}
	if (!address.family)
		return false;
	translate_end(scene, nat, source, &mapping, &address, &now);
	apply(hop->flow, source, &now);
	*ret_effect =
		effect_text(hop->walk, nat, source, source ? &now.src : &now.dst, source ? &now.sport : &now.dport,
			    protocol_has_ports(now.protocol) && mapping.port.kind == VALUE_RANGE);
	return true;
}
