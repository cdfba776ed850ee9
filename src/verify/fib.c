/*
 * Routing, as the kernel does it: policy rules choose a table, a table the longest prefix; what is found for a packet
 * that arrived is checked against the way back (net/ipv4/fib_frontend.c, route.c, fib_trie.c, fib_rules.c;
 * net/ipv6/route.c, ip6_output.c).
 */
#include "verify/walk_internal.h"

#include <string.h>
#include <sys/socket.h>

static const struct stack_routing *routing_of(const struct stack_host *host, uint8_t family)
{
	return family == AF_INET ? &host->routing4 : &host->routing6;
}

/* ---- policy rules ---- */

static bool in_prefix(const struct prefix *prefix, const struct ip *ip)
{
	if (!prefix->ip.family)
		return true;
	return ip ? prefix_contains(prefix, ip) : prefix->length == 0;
}

static bool is_named(const char *name, const struct stack_link *link)
{
	return strcmp(name, link ? link->name : "lo") == 0;
}

static bool has_port(const struct port_range *range, const struct ports *ports)
{
	return !range->set || (ports->first >= range->first && ports->last <= range->last);
}

static bool transport_matches(const struct policy_rule *rule, const struct fib_query *query)
{
	static const struct packet none;
	const struct packet *packet = query->transport ? query->transport : &none;
	bool ports = packet_has_ports(packet) && packet->fragment == FRAGMENT_NONE;
	struct ports sport = ports ? packet->sport : port_of(0), dport = ports ? packet->dport : port_of(0);

	if (rule->protocol.known && rule->protocol.value != packet->protocol)
		return false;
	return has_port(&rule->sport, query->swapped ? &dport : &sport) &&
	       has_port(&rule->dport, query->swapped ? &sport : &dport);
}

static bool selector_matches(const struct policy_rule *rule, const struct fib_query *query)
{
	if (!in_prefix(&rule->from, query->src) || !in_prefix(&rule->to, query->dst))
		return false;
	if (rule->iif && !is_named(rule->iif, query->iif))
		return false;
	if (rule->oif && (!query->oif || !is_named(rule->oif, query->oif)))
		return false;
	if (rule->mark.known && query->mark.known &&
	    ((rule->mark.value ^ query->mark.value) & number_or(rule->mark_mask, UINT32_MAX)))
		return false;
	if (rule->tos.known && rule->tos.value && rule->tos.value != query->tos)
		return false;
	return !rule->l3mdev && transport_matches(rule, query);
}

static bool policy_matches(struct walk *walk, const struct policy_rule *rule, const struct fib_query *query)
{
	bool matches = selector_matches(rule, query);
	bool unsure = rule->rest || (rule->uid_first.known && !query->iif) || (rule->mark.known && !query->mark.known);

	if (matches && unsure)
		matches = walk_decide(walk, 2, "it applies", NULL, "%s: whether the policy rule \"%s\" applies",
				      query->host->name, rule->text) == 0;
	return matches != rule->negated;
}

/* ---- tables ---- */

static bool nexthop_usable(const struct stack_host *host, const struct nexthop *nexthop, const struct fib_query *query,
			   struct stack_link **ret_link)
{
	*ret_link = nexthop->dev ? stack_link(host, nexthop->dev) : NULL;
	for (size_t i = 0; i < nexthop->flag_count; i++)
		if (strcmp(nexthop->flags[i], "dead") == 0)
			return false;
	if (*ret_link && (*ret_link)->link->up == TRUTH_NO)
		return false;
	return !query->oif || *ret_link == query->oif;
}

/* One of the next hops that can be used; which of several is up to a hash. */
static bool choose_nexthop(struct walk *walk, const struct fib_query *query, const struct stack_route *route,
			   struct fib_found *found)
{
	const struct nexthop *usable[64];
	struct stack_link *link;
	size_t count = 0;
	unsigned taken;

	for (size_t i = 0; i < route->route->nexthop_count && count < 64; i++)
		if (nexthop_usable(query->host, &route->route->nexthops[i], query, &link))
			usable[count++] = &route->route->nexthops[i];
	if (count == 0)
		return route->route->nexthop_count == 0 && !query->oif;
	taken = count == 1
			? 0
			: walk_decide(walk, (unsigned)count, "the first", WALK_VARIES,
				      "%s: which next hop of \"%s\" is taken", query->host->name, route->route->text);
	found->nexthop = usable[taken];
	found->link = usable[taken]->dev ? stack_link(query->host, usable[taken]->dev) : NULL;
	return true;
}

static enum fib_outcome outcome_of(uint8_t type)
{
	switch (type) {
	case ROUTE_TYPE_BLACKHOLE:
		return FIB_BLACKHOLE;
	case ROUTE_TYPE_UNREACHABLE:
		return FIB_UNREACHABLE;
	case ROUTE_TYPE_PROHIBIT:
		return FIB_PROHIBIT;
	default:
		return FIB_FOUND;
	}
}

/* In IPv6 a route over the interface that was asked for comes before others of the same metric (rt6_score_route). */
static bool is_better(const struct fib_query *query, const struct stack_route *kept, const struct fib_found *now,
		      const struct stack_route *route)
{
	const struct stack_link *wanted = query->oif ? query->oif : query->iif;

	if (!kept)
		return true;
	return query->family == AF_INET6 && wanted && kept->to.length == route->to.length &&
	       kept->metric == route->metric && now->link != wanted && route->route->nexthop_count &&
	       route->route->nexthops[0].dev && strcmp(route->route->nexthops[0].dev, wanted->name) == 0;
}

/* False: nothing there, on to the next rule. A `throw` says so outright. */
static bool lookup_table(struct walk *walk, const struct fib_query *query, const struct stack_fib *fib,
			 struct fib_found *found)
{
	struct stack_fib_cursor cursor = {};
	const struct stack_route *route;

	while ((route = stack_fib_next(fib, query->dst, &cursor))) {
		struct fib_found now = {
			.outcome = outcome_of(route->route->type), .type = route->route->type, .route = route};

		if (found->route && (found->route->to.length != route->to.length || query->family == AF_INET))
			break;
		if (number_or(route->route->tos, 0) && number_or(route->route->tos, 0) != query->tos)
			continue;
		if (route->route->from.ip.family && !in_prefix(&route->route->from, query->src))
			continue;
		if (route->route->type == ROUTE_TYPE_THROW)
			return false;
		if (!is_better(query, found->route, found, route))
			continue;
		if (now.outcome == FIB_FOUND && !choose_nexthop(walk, query, route, &now))
			continue;
		if (query->strict && now.link != (query->oif ? query->oif : query->iif))
			continue;
		*found = now;
	}
	return found->route != NULL;
}

/* The table was not captured, and so something may be there that we do not see. */
static bool table_unknown(struct walk *walk, const struct fib_query *query, const struct stack_policy *policy)
{
	const struct stack_host *host = query->host;
	const char *name = policy->rule->table, *family = query->family == AF_INET ? "" : "-6 ";

	if (!name || (policy->fib && policy->fib->known == TRUTH_YES))
		return false;
	if (strcmp(name, "local") == 0) {
		walk_assume(walk, walk_text(walk, "ip %sroute show table local", family),
			    "%s: the local routing table holds what follows from the addresses", host->name);
		return false;
	}
	if (strcmp(name, "default") == 0) {
		walk_assume(walk, walk_text(walk, "ip %sroute show table default", family),
			    "%s: the routing table \"default\" is empty", host->name);
		return false;
	}
	if (policy->fib && policy->fib->route_count > 0 && policy->fib->routes[0].derived) {
		walk_assume(walk, "route print", "%s: it has the routes that its addresses and gateways give",
			    host->name);
		return false;
	}
	if (policy->fib && policy->fib->route_count > 0) {
		walk_assume(walk, walk_text(walk, "ip %sroute show table %s", family, name),
			    "%s: there are no more routes in table %s than were captured", host->name, name);
		return false;
	}
	walk_unknown(walk, query->host, walk_text(walk, "ip %sroute show table %s", family, name),
		     "%s: the routes of table %s", host->name, name);
	return true;
}

static bool suppressed(const struct policy_rule *rule, const struct fib_found *found)
{
	return rule->suppress_prefix_length.known && found->outcome == FIB_FOUND &&
	       found->route->to.length <= rule->suppress_prefix_length.value;
}

static struct fib_found of_action(enum policy_action action, const struct stack_policy *policy)
{
	return (struct fib_found){.outcome = action == POLICY_RULE_BLACKHOLE	 ? FIB_BLACKHOLE
					     : action == POLICY_RULE_UNREACHABLE ? FIB_UNREACHABLE
										 : FIB_PROHIBIT,
				  .policy = policy};
}

/* Without having seen them they are taken for the usual ones, unless there are tables that only others would ask. */
static bool policies_unknown(struct walk *walk, const struct fib_query *query, const struct stack_routing *routing)
{
	static const char *const usual[] = {"local", "main", "default"};
	const char *command = query->family == AF_INET ? "ip rule" : "ip -6 rule";
	size_t others = 0;

	if (routing->policies_known)
		return false;
	for (size_t i = 0; i < routing->fib_count; i++) {
		others += routing->fibs[i].route_count > 0;
		for (size_t j = 0; j < sizeof(usual) / sizeof(*usual); j++)
			if (strcmp(routing->fibs[i].name, usual[j]) == 0 && routing->fibs[i].route_count > 0)
				others--;
	}
	if (others)
		walk_unknown(walk, query->host, command, "%s: which policy rules there are", query->host->name);
	else
		walk_assume(walk, command, "%s: the policy rules are the usual ones", query->host->name);
	return others > 0;
}

struct fib_found fib_lookup(struct walk *walk, const struct fib_query *query)
{
	const struct stack_routing *routing = routing_of(query->host, query->family);

	if (policies_unknown(walk, query, routing))
		return (struct fib_found){.outcome = FIB_UNKNOWN};
	for (size_t i = 0; i < routing->policy_count; i++) {
		const struct stack_policy *policy = &routing->policies[i];
		const struct policy_rule *rule = policy->rule;
		struct fib_found found = {.policy = policy};

		if (rule->action == POLICY_RULE_NOP || !policy_matches(walk, rule, query))
			continue;
		if (rule->action == POLICY_RULE_GOTO) {
			i = policy->target - 1;
			continue;
		}
		if (rule->action == POLICY_RULE_BLACKHOLE || rule->action == POLICY_RULE_UNREACHABLE ||
		    rule->action == POLICY_RULE_PROHIBIT)
			return of_action(rule->action, policy);
		if (rule->action != POLICY_RULE_LOOKUP) {
			walk_unknown(walk, query->host, NULL, "%s: what the policy rule \"%s\" does", query->host->name,
				     rule->text);
			return (struct fib_found){.outcome = FIB_UNKNOWN};
		}
		if (table_unknown(walk, query, policy))
			return (struct fib_found){.outcome = FIB_UNKNOWN};
		if (!policy->fib || !lookup_table(walk, query, policy->fib, &found) || suppressed(rule, &found))
			continue;
		found.policy = policy;
		return found;
	}
	return (struct fib_found){.outcome = FIB_NO_ROUTE};
}

/* ---- kinds of addresses ---- */

static const struct stack_route *find_local(const struct stack_host *host, const struct ip *address)
{
	const struct stack_fib *fib = stack_fib(routing_of(host, address->family), "local");
	struct stack_fib_cursor cursor = {};

	return fib ? stack_fib_next(fib, address, &cursor) : NULL;
}

/* Only the local table is asked, whatever the policy rules say (inet_addr_type in fib_frontend.c). */
uint8_t fib_address_type(struct stack_host *host, const struct ip *address, const struct stack_link *link)
{
	const struct stack_route *route = find_local(host, address);
	const struct nexthop *nexthop;

	if (address->family == AF_INET && (address->bytes[0] == 0 || ip_is_limited_broadcast(address)))
		return ROUTE_TYPE_BROADCAST;
	if (ip_is_multicast(address))
		return ROUTE_TYPE_MULTICAST;
	if (!route)
		return ROUTE_TYPE_UNICAST;
	nexthop = route->route->nexthop_count ? &route->route->nexthops[0] : NULL;
	if (link && (!nexthop || !nexthop->dev || strcmp(nexthop->dev, link->name) != 0))
		return ROUTE_TYPE_UNICAST;
	return route->route->type;
}

bool fib_is_local(struct stack_host *host, const struct ip *address)
{
	return fib_address_type(host, address, NULL) == ROUTE_TYPE_LOCAL;
}

/* ---- packets that arrive ---- */

static struct fib_query query_of(const struct hop *hop)
{
	return (struct fib_query){.host = hop->host,
				  .family = hop->packet.family,
				  .dst = &hop->packet.dst,
				  .src = &hop->packet.src,
				  .iif = hop->iif,
				  .mark = hop->mark,
				  .tos = number_or(hop->packet.tos, 0) & 0x1e,
				  .transport = &hop->packet};
}

static const char *sysctl_name(struct hop *hop, const char *key)
{
	return walk_text(hop->walk, "net.ipv4.conf.%s.%s", hop->iif->name, key);
}

static uint64_t link_sysctl(struct hop *hop, const struct stack_sysctl *sysctl, const char *key, uint64_t usual,
			    unsigned count)
{
	return walk_sysctl(hop, sysctl, sysctl_name(hop, key), usual, count);
}

static void cite_sysctl(struct hop *hop, const struct stack_sysctl *sysctl)
{
	struct step *step = walk_step(hop, STEP_SOURCE_CHECK);

	step->link = hop->iif;
	step->effect = "fails";
	step->text = "the way back";
	if (sysctl->from) {
		step->text = walk_text(hop->walk, "%s = %s", sysctl->from->name, sysctl->from->value);
		step->origin = &sysctl->from->origin;
	}
}

bool fib_uses_link(const struct fib_found *found, const struct stack_link *link)
{
	const struct route *route = found->route ? found->route->route : NULL;

	for (size_t i = 0; route && link && i < route->nexthop_count; i++)
		if (route->nexthops[i].dev && strcmp(route->nexthops[i].dev, link->name) == 0)
			return true;
	return false;
}

static bool lose_local_source(struct hop *hop)
{
	char text[IP_TEXT_SIZE];

	if (link_sysctl(hop, &hop->iif->accept_local, "accept_local", 0, 2))
		return false;
	cite_sysctl(hop, &hop->iif->accept_local);
	walk_lose(hop, LOST_MARTIAN_SOURCE_IS_LOCAL, "its source %s is an address of %s itself",
		  ip_format(&hop->packet.src, text), hop->host->name);
	return true;
}

static bool lose_rp_filter(struct hop *hop, const char *why)
{
	char text[IP_TEXT_SIZE];

	cite_sysctl(hop, &hop->iif->rp_filter);
	walk_lose(hop, LOST_RP_FILTER, "rp_filter of %s: %s %s", hop->iif->name, why,
		  ip_format(&hop->packet.src, text));
	return true;
}

/* rp_filter is asked for only where it makes a difference, so that it need not be known everywhere. */
static bool fails_rp_filter(struct hop *hop, const char *why, bool loose)
{
	uint64_t mode = link_sysctl(hop, &hop->iif->rp_filter, "rp_filter", 0, 3);

	return (mode == 1 || (mode == 2 && !loose)) && lose_rp_filter(hop, why);
}

/* Is the packet's source an address of this host's? Where the addresses were not captured the local table knows. */
static bool has_source(const struct hop *hop)
{
	return stack_link_with_address(hop->host, &hop->packet.src) ||
	       (hop->iif->link->addresses4_known != TRUTH_YES && fib_is_local(hop->host, &hop->packet.src));
}

/*
 * True: lost. fib_validate_source(): `out` is where it is to leave by, or NULL where it is for the host; `several`: it
 * is for others as well, and the way back is asked without its destination.
 */
static bool source_fails(struct hop *hop, const struct stack_link *out, bool several)
{
	struct fib_query query = query_of(hop);
	struct fib_found found;

	query.dst = &hop->packet.src;
	query.src = several ? NULL : &hop->packet.dst;
	query.iif = out;
	query.swapped = true;
	/* Without rp_filter and policy rules the kernel only looks whether it has that address itself. */
	if (hop->iif->rp_filter.value.known && hop->iif->rp_filter.value.value == 0 && hop->iif != out &&
	    stack_routing_is_usual(&hop->host->routing4))
		return has_source(hop) && lose_local_source(hop);
	if (!(query.mark.known && query.mark.value == 0) &&
	    !walk_sysctl_or(hop, &hop->iif->src_valid_mark, sysctl_name(hop, "src_valid_mark"), 0))
		query.mark = number_of(0);
	found = fib_lookup(hop->walk, &query);
	if (found.outcome == FIB_UNKNOWN)
		return true;
	if (found.outcome != FIB_FOUND)
		return fails_rp_filter(hop, "there is no route back to", false);
	if (found.type == ROUTE_TYPE_LOCAL) {
		if (lose_local_source(hop))
			return true;
	} else if (found.type != ROUTE_TYPE_UNICAST) {
		char text[IP_TEXT_SIZE];

		walk_lose(hop, LOST_MARTIAN_SOURCE, "its source %s is no host's address",
			  ip_format(&hop->packet.src, text));
		return true;
	}
	if (fib_uses_link(&found, hop->iif) || (found.type == ROUTE_TYPE_LOCAL && hop->iif->loopback))
		return false;
	return fails_rp_filter(hop, "it is not the way back to", stack_link_has_addresses4(hop->iif));
}

static void record_route(struct hop *hop, const struct fib_found *found)
{
	struct walk *walk = hop->walk;
	struct step *step = walk_step(hop, STEP_ROUTE);
	char via[IP_TEXT_SIZE];

	step->link = found->link;
	if (found->route) {
		step->text = found->route->route->text;
		step->origin = &found->route->route->origin;
	} else if (found->policy) {
		step->text = found->policy->rule->text;
		step->origin = &found->policy->rule->origin;
	}
	if (found->outcome != FIB_FOUND)
		step->effect = found->outcome == FIB_NO_ROUTE ? "no route" : "no way";
	else if (found->type == ROUTE_TYPE_LOCAL)
		step->effect = "for this host";
	else if (found->nexthop && found->nexthop->via.family)
		step->effect = walk_text(walk, "via %s dev %s", ip_format(&found->nexthop->via, via),
					 found->link ? found->link->name : "?");
	else
		step->effect = walk_text(walk, "dev %s", found->link ? found->link->name : "?");
}

/* What the sender is told (ip_error, ip6_pkt_discard, ip6_pkt_prohibit); a blackhole says nothing. */
static const char *error_of(const struct hop *hop, enum fib_outcome outcome)
{
	bool v4 = hop->packet.family == AF_INET;

	switch (outcome) {
	case FIB_NO_ROUTE:
		return v4 ? "icmp 3/0" : "icmp 1/0";
	case FIB_UNREACHABLE:
		return v4 ? "icmp 3/1" : "icmp 1/3";
	case FIB_PROHIBIT:
		return v4 ? "icmp 3/13" : "icmp 1/1";
	case FIB_FOUND:
	case FIB_BLACKHOLE:
	case FIB_UNKNOWN:
		break;
	}
	return NULL;
}

/* An interface that is switched off takes its routes with it: one with an address near the destination, else any. */
static const struct stack_link *find_off(const struct stack_host *host, const struct ip *dst,
					 const struct address **ret_address)
{
	const struct stack_link *found = NULL;

	for (size_t i = 0; i < host->link_count; i++) {
		const struct link *link = host->links[i].link;

		for (size_t j = 0; j < link->address_count && link->up == TRUTH_NO; j++) {
			const struct address *address = &link->addresses[j];
			bool near = prefix_contains(&address->prefix, dst);

			if (address->prefix.ip.family != dst->family || (found && !near))
				continue;
			found = &host->links[i];
			*ret_address = address;
			if (near)
				return found;
		}
	}
	return found;
}

/* "there is no route to 10.0.1.2; eth1, with 10.0.1.1/24, is switched off" */
static void lose_without_route(struct hop *hop)
{
	const struct address *address = NULL;
	const struct stack_link *off = find_off(hop->host, &hop->packet.dst, &address);
	char text[IP_TEXT_SIZE], own[PREFIX_TEXT_SIZE];

	ip_format(&hop->packet.dst, text);
	if (!off) {
		walk_lose(hop, LOST_NO_ROUTE, "there is no route to %s", text);
		return;
	}
	walk_lose(hop, LOST_NO_ROUTE, "there is no route to %s; %s, with %s, is switched off", text, off->name,
		  prefix_format(&address->prefix, own));
}

/* "the policy rule \"1000: from all unreachable\"", "the route \"blackhole 10.0.1.0/24\" of table main" */
static const char *name_of_ban(struct hop *hop, const struct fib_found *found)
{
	if (!found->route)
		return walk_text(hop->walk, "the policy rule \"%s\"", found->policy->rule->text);
	return walk_text(hop->walk, "the route \"%s\" of table %s", found->route->route->text,
			 found->policy->rule->table);
}

static bool lose_route(struct hop *hop, const struct fib_found *found)
{
	static const enum lost_reason lost[] = {[FIB_BLACKHOLE] = LOST_BLACKHOLE_ROUTE,
						[FIB_UNREACHABLE] = LOST_UNREACHABLE_ROUTE,
						[FIB_PROHIBIT] = LOST_PROHIBIT_ROUTE};
	char text[IP_TEXT_SIZE];

	if (found->outcome == FIB_UNKNOWN)
		return false;
	record_route(hop, found);
	if (found->outcome == FIB_NO_ROUTE)
		lose_without_route(hop);
	else
		walk_lose(hop, lost[found->outcome], "%s forbids %s", name_of_ban(hop, found),
			  ip_format(&hop->packet.dst, text));
	if (hop->iif)
		hop->walk->answer->answered = error_of(hop, found->outcome);
	return false;
}

static bool lose_forwarding(struct hop *hop, const struct stack_sysctl *sysctl, const char *name)
{
	struct step *step = walk_step(hop, STEP_ROUTE);

	step->link = hop->iif;
	step->effect = "not forwarded";
	step->text = sysctl->from ? walk_text(hop->walk, "%s = %s", sysctl->from->name, sysctl->from->value) : name;
	step->origin = sysctl->from ? &sysctl->from->origin : NULL;
	walk_lose(hop, LOST_FORWARDING_OFF, "%s does not forward: %s is 0", hop->host->name, name);
	return false;
}

static bool is_martian(struct hop *hop)
{
	const struct packet *packet = &hop->packet;
	char text[IP_TEXT_SIZE];

	if (ip_is_multicast(&packet->src) || ip_is_limited_broadcast(&packet->src) ||
	    (packet->src.bytes[0] == 0 && !ip_is_limited_broadcast(&packet->dst))) {
		walk_lose(hop, LOST_MARTIAN_SOURCE, "%s is no host's address", ip_format(&packet->src, text));
		return true;
	}
	if (packet->dst.bytes[0] == 0) {
		walk_lose(hop, LOST_MARTIAN_DESTINATION, "%s is no host's address", ip_format(&packet->dst, text));
		return true;
	}
	if ((ip_is_loopback(&packet->dst) || ip_is_loopback(&packet->src)) &&
	    !link_sysctl(hop, &hop->iif->route_localnet, "route_localnet", 0, 2)) {
		cite_sysctl(hop, &hop->iif->route_localnet);
		walk_lose(hop, LOST_MARTIAN_LOCALNET, "%s may not come in from outside",
			  ip_format(ip_is_loopback(&packet->dst) ? &packet->dst : &packet->src, text));
		return true;
	}
	return false;
}

/* ip_route_input_slow() */
static bool route_input4(struct hop *hop)
{
	struct fib_query query = query_of(hop);
	struct fib_found found;
	bool forwarding;

	if (is_martian(hop))
		return false;
	if (ip_is_limited_broadcast(&hop->packet.dst) || ip_is_multicast(&hop->packet.dst)) {
		if (!ip_is_any(&hop->packet.src) && source_fails(hop, NULL, true))
			return false;
		hop->route = (struct fib_found){.outcome = FIB_FOUND, .type = ROUTE_TYPE_LOCAL};
		return true;
	}
	found = fib_lookup(hop->walk, &query);
	if (found.outcome == FIB_UNKNOWN)
		return false;
	if (found.outcome == FIB_FOUND && (found.type == ROUTE_TYPE_LOCAL || found.type == ROUTE_TYPE_BROADCAST)) {
		if (source_fails(hop, NULL, found.type == ROUTE_TYPE_BROADCAST))
			return false;
		record_route(hop, &found);
		found.type = ROUTE_TYPE_LOCAL;
		hop->route = found;
		return true;
	}
	forwarding = link_sysctl(hop, &hop->iif->forwarding4, "forwarding", 1, 2);
	if (!forwarding)
		return lose_forwarding(hop, &hop->iif->forwarding4, sysctl_name(hop, "forwarding"));
	if (found.outcome != FIB_FOUND)
		return lose_route(hop, &found);
	if (source_fails(hop, found.link, false))
		return false;
	record_route(hop, &found);
	hop->route = found;
	return true;
}

/* ip6_rcv_core(), ip6_route_input(), and what ip6_forward() checks before the forward hook */
static bool route_input6(struct hop *hop)
{
	const struct packet *packet = &hop->packet;
	struct fib_query query = query_of(hop);
	struct fib_found found;
	char text[IP_TEXT_SIZE];

	if (ip_is_multicast(&packet->src) || (ip_is_loopback(&packet->src) && !hop->iif->loopback)) {
		walk_lose(hop, LOST_MARTIAN_SOURCE, "%s is no host's address", ip_format(&packet->src, text));
		return false;
	}
	if (ip_is_loopback(&packet->dst) && !hop->iif->loopback) {
		walk_lose(hop, LOST_MARTIAN_DESTINATION, "::1 may not come in from outside");
		return false;
	}
	if (ip_is_multicast(&packet->dst)) {
		hop->route = (struct fib_found){.outcome = FIB_FOUND, .type = ROUTE_TYPE_LOCAL};
		return true;
	}
	query.strict = ip_is_link_local(&packet->dst);
	found = fib_lookup(hop->walk, &query);
	if (found.outcome != FIB_FOUND)
		return lose_route(hop, &found);
	if (found.type == ROUTE_TYPE_LOCAL || found.type == ROUTE_TYPE_ANYCAST) {
		record_route(hop, &found);
		found.type = ROUTE_TYPE_LOCAL;
		hop->route = found;
		return true;
	}
	if (!walk_sysctl(hop, &hop->host->forwarding6, "net.ipv6.conf.all.forwarding", 1, 2))
		return lose_forwarding(hop, &hop->host->forwarding6, "net.ipv6.conf.all.forwarding");
	if (ip_is_link_local(&packet->src) || ip_is_any(&packet->src)) {
		walk_lose(hop, LOST_LINK_LOCAL, "%s is valid on its own link only", ip_format(&packet->src, text));
		return false;
	}
	record_route(hop, &found);
	hop->route = found;
	return true;
}

bool fib_route_input(struct hop *hop)
{
	return hop->packet.family == AF_INET ? route_input4(hop) : route_input6(hop);
}

bool fib_route_frame(struct hop *hop)
{
	struct fib_query query = query_of(hop);
	struct fib_found found;

	if (hop->packet.family == AF_INET)
		return route_input4(hop);
	query.strict = ip_is_link_local(&hop->packet.dst);
	found = fib_lookup(hop->walk, &query);
	if (found.outcome == FIB_UNKNOWN)
		return false;
	if (found.outcome == FIB_FOUND && found.type == ROUTE_TYPE_UNICAST && found.link == hop->iif) {
		record_route(hop, &found);
		hop->route = found;
		return true;
	}
	if (!route_input6(hop)) {
		hop->walk->answer->answered = NULL; /* it is put away without a word */
		return false;
	}
	return true;
}

/* ---- packets that are sent ---- */

static struct ip fib_source(const struct stack_host *host, const struct fib_found *found, const struct ip *dst)
{
	const struct route *route = found->route ? found->route->route : NULL;
	bool gateway = found->nexthop && found->nexthop->via.family == dst->family;

	if (route && route->source.family)
		return route->source;
	if (found->type == ROUTE_TYPE_LOCAL)
		return *dst;
	/* IPv6 does not look at the next hop (ip6_route_get_saddr(), nf_nat_masquerade_ipv6()). */
	return fib_select_address(host, found->link, gateway && dst->family == AF_INET ? &found->nexthop->via : dst);
}

static struct fib_found lookup_output(struct hop *hop)
{
	struct fib_query query = query_of(hop);

	query.iif = NULL;
	if (!hop->packet.src.family)
		query.src = NULL;
	return fib_lookup(hop->walk, &query);
}

/* 127.0.0.0/8 does not leave the host by an interface that does not allow it (__mkroute_output()). */
static bool lose_loopback_source(struct hop *hop, const struct stack_link *out)
{
	const struct packet *packet = &hop->packet;
	const char *name;
	char text[IP_TEXT_SIZE];

	if (packet->family != AF_INET || !ip_is_loopback(&packet->src) || !out || out->loopback)
		return false;
	name = walk_text(hop->walk, "net.ipv4.conf.%s.route_localnet", out->name);
	if (walk_sysctl(hop, &out->route_localnet, name, 0, 2))
		return false;
	walk_lose(hop, LOST_MARTIAN_LOCALNET, "%s may not leave by %s: %s is 0", ip_format(&packet->src, text),
		  out->name, name);
	return true;
}

bool fib_route_output(struct hop *hop)
{
	struct fib_found found = lookup_output(hop);
	struct stack_link *loopback = stack_link(hop->host, "lo");

	if (found.outcome != FIB_FOUND)
		return lose_route(hop, &found);
	if (found.type == ROUTE_TYPE_LOCAL && loopback)
		found.link = loopback;
	record_route(hop, &found);
	if (lose_loopback_source(hop, found.link))
		return false;
	hop->route = found;
	return true;
}

/* Sockets choose their address by the route; then the packet is routed with it. */
bool fib_choose_source(struct hop *hop)
{
	struct fib_found found;

	if (hop->packet.src.family)
		return true;
	found = lookup_output(hop);
	if (found.outcome != FIB_FOUND)
		return lose_route(hop, &found);
	hop->packet.src = fib_source(hop->host, &found, &hop->packet.dst);
	hop->walk->answer->source = hop->packet.src;
	if (!hop->packet.src.family)
		walk_lose(hop, LOST_NO_SOURCE, "%s has no address to send from", hop->host->name);
	return hop->packet.src.family != 0;
}

const struct ip *fib_next_hop(const struct hop *hop)
{
	const struct nexthop *nexthop = hop->route.nexthop;

	return nexthop && nexthop->via.family ? &nexthop->via : &hop->packet.dst;
}

/* ---- questions of rules ---- */

struct fib_found fib_reverse(struct hop *hop, uint8_t flags)
{
	struct fib_query query = query_of(hop);

	query.iif = NULL;
	query.transport = NULL;
	if (!(flags & FIB_MARK))
		query.mark = number_of(0);
	if (flags & FIB_SADDR) {
		if (hop->hook == HOOK_FORWARD && flags & FIB_IIF)
			query.iif = hop->out;
		query.dst = &hop->packet.src;
		query.src = &hop->packet.dst;
	}
	if (query.family == AF_INET6 && ip_is_link_local(query.dst)) {
		query.iif = hop->in;
		query.strict = true;
	}
	return fib_lookup(hop->walk, &query);
}
