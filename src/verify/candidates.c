/*
 * What might help where a packet ends: a few changes each, the narrowest and likeliest first. Whether one does help is
 * not decided here: each is tried.
 */
#include "verify/repair_internal.h"

#include "base/arena.h"
#include "verify/ends.h"
#include "verify/neighbourhood.h"

#include <netinet/in.h>
#include <string.h>

struct finder {
	const struct trial *trial;
	const struct answer *answer; /* where it fails */
	bool reply;
	struct candidates *found;
};

static struct change_site site_of(const struct finder *finder, const struct stack_host *host)
{
	return (struct change_site){finder->trial->arena, finder->trial->bundle, host->facts};
}

static void add_candidate(struct finder *finder, struct change *change)
{
	struct candidates *found = finder->found;

	if (!change || found->count == CANDIDATES_MAX)
		return;
	for (size_t i = 0; i < found->count; i++)
		if (change_equal(found->items[i], change))
			return;
	found->items[found->count++] = change;
}

const struct step *last_step(const struct answer *answer, enum step_kind kind)
{
	for (size_t i = answer->step_count; i-- > 0 && answer->steps[i].host == answer->where;) {
		if (answer->steps[i].kind == kind)
			return &answer->steps[i];
		if (answer->steps[i].kind == STEP_ARRIVE || answer->steps[i].kind == STEP_SEND)
			break;
	}
	return NULL;
}

static const struct stack_link *carrier(const struct stack_link *link)
{
	return link && link->master ? link->master : link;
}

/* ---- rules ---- */

/* The base chain in which the way to the deciding rule begins, and the rule's index in it; 0: its policy decides. */
static const struct stack_chain *base_of(const struct answer *answer, uint32_t *ret_before)
{
	const struct stack_chain *chain = answer->chain;

	*ret_before = answer->rule ? answer->rule->index : 0;
	if (chain->chain->hook != HOOK_NONE)
		return chain;
	for (size_t i = answer->step_count; i-- > 0;) {
		const struct step *step = &answer->steps[i];

		if (step->kind == STEP_RULE && step->host == answer->where && step->chain && step->rule &&
		    step->chain->table == chain->table && step->chain->chain->hook != HOOK_NONE) {
			*ret_before = step->rule->index;
			return step->chain;
		}
	}
	return NULL;
}

/* What iptables and nftables match with -i, -o, iifname and oifname at a hook. */
static struct rule_wish wish_of(const struct finder *finder)
{
	const struct answer *answer = finder->answer;
	const struct step *arrive = last_step(answer, STEP_ARRIVE), *route = last_step(answer, STEP_ROUTE);
	enum family family = answer->chain->table->table->family;
	bool named = family != FAMILY_BRIDGE && family != FAMILY_NETDEV;
	struct rule_wish wish = {.packet = &answer->packet,
				 .any_source = ends_is_world(&answer->packet.src),
				 .any_destination = ends_is_world(&answer->packet.dst)};

	if (named && arrive && carrier(arrive->link) &&
	    (answer->hook == HOOK_FORWARD || answer->hook == HOOK_INPUT || answer->hook == HOOK_PREROUTING))
		wish.iif = carrier(arrive->link)->name;
	if (named && route && route->link &&
	    (answer->hook == HOOK_FORWARD || answer->hook == HOOK_OUTPUT || answer->hook == HOOK_POSTROUTING))
		wish.oif = route->link->name;
	return wish;
}

static void add_rule(struct finder *finder, const struct stack_chain *base, uint32_t before,
		     const struct rule_wish *wish)
{
	struct change_site site = site_of(finder, finder->answer->where);

	add_candidate(finder, change_rule(&site, base->table->table, base->chain, before, wish));
}

/* Where the chain ends in a goto, its own end is never reached: its beginning is. */
static void add_rules(struct finder *finder, const struct rule_wish *wish)
{
	uint32_t before;
	const struct stack_chain *base = base_of(finder->answer, &before);

	if (!base)
		return;
	add_rule(finder, base, before, wish);
	if (before != 1 && base->chain->rule_count)
		add_rule(finder, base, 1, wish);
}

/* Answers are let through as answers; where connection tracking does not know them, by the port they come from. */
static void candidates_of_rule(struct finder *finder)
{
	struct rule_wish wish;

	if (!finder->answer->chain)
		return;
	wish = wish_of(finder);
	if (!finder->reply) {
		add_rules(finder, &wish);
		return;
	}
	if (wish.iif || wish.oif) { /* bridges and devices come before connection tracking */
		wish.answers = true;
		add_rules(finder, &wish);
		wish.answers = false;
	}
	wish.untracked = true;
	add_rules(finder, &wish);
}

/* ---- routes ---- */

static bool is_connected(const struct stack_host *host, const struct ip *address, struct prefix *ret)
{
	for (size_t i = 0; i < host->link_count; i++)
		for (size_t j = 0; j < host->links[i].link->address_count && !host->links[i].loopback; j++) {
			const struct prefix *prefix = &host->links[i].link->addresses[j].prefix;

			if (prefix->length < ip_bits(&prefix->ip) && prefix_contains(prefix, address)) {
				*ret = prefix_network(prefix);
				return true;
			}
		}
	return false;
}

/* Whoever has the address, and the subnet he has it in; else somebody on whose link it is. */
static const struct stack_host *owner_of(const struct stack *stack, const struct ip *address, struct prefix *ret)
{
	*ret = (struct prefix){.ip = *address, .length = ip_bits(address)};
	for (size_t i = 0; i < stack->host_count; i++)
		if (stack_link_with_address(&stack->hosts[i], address)) {
			is_connected(&stack->hosts[i], address, ret);
			return &stack->hosts[i];
		}
	for (size_t i = 0; i < stack->host_count; i++)
		if (is_connected(&stack->hosts[i], address, ret))
			return &stack->hosts[i];
	return NULL;
}

struct way {
	struct ip via; /* none: on the link itself */
	const char *dev;
};

static const struct route *default_route(const struct stack_host *host, uint8_t family)
{
	const struct stack_fib *fib = stack_fib(family == AF_INET ? &host->routing4 : &host->routing6, "main");

	for (size_t i = 0; fib && i < fib->route_count; i++) {
		const struct route *route = fib->routes[i].route;

		if (fib->routes[i].to.length == 0 && route->type == ROUTE_TYPE_UNICAST && route->nexthop_count &&
		    route->nexthops[0].dev)
			return route;
	}
	return NULL;
}

static bool way_by_neighbour(const struct finder *finder, const struct stack_host *at, const struct stack_host *to,
			     uint8_t family, struct way *ret)
{
	const struct address *gateway;
	struct adjacency hop;

	if (!neighbourhood_first_hop(finder->trial->arena, finder->trial->stack, at, to, family, &hop))
		return false;
	gateway = link_gateway_address(hop.theirs, at, family);
	*ret = (struct way){gateway->prefix.ip, hop.mine->name};
	return true;
}

/* To what is outside: as the host's own default route, else towards a host that has one. */
static bool way_outside(const struct finder *finder, const struct stack_host *at, uint8_t family, struct way *ret,
			bool *ret_own)
{
	const struct stack *stack = finder->trial->stack;
	const struct route *route = default_route(at, family);

	*ret_own = route != NULL;
	if (route) {
		*ret = (struct way){route->nexthops[0].via, route->nexthops[0].dev};
		return true;
	}
	for (size_t i = 0; i < stack->host_count; i++)
		if (default_route(&stack->hosts[i], family) &&
		    way_by_neighbour(finder, at, &stack->hosts[i], family, ret))
			return true;
	return false;
}

/* The table whose route, and the policy rule that, decided at that step. */
struct decision {
	const struct route *route;
	const struct policy_rule *policy;
};

static struct decision decision_of(const struct step *step)
{
	const struct facts *facts = step->host->facts;
	struct decision found = {0};

	for (size_t i = 0; i < facts->route_count; i++)
		if (step->origin == &facts->routes[i].origin)
			found.route = &facts->routes[i];
	for (size_t i = 0; i < facts->policy_rule_count; i++)
		if (step->origin == &facts->policy_rules[i].origin)
			found.policy = &facts->policy_rules[i];
	return found;
}

/* The first rule that leads to that table. */
static const struct policy_rule *rule_to(const struct facts *facts, uint8_t family, const char *table)
{
	const struct policy_rule *found = NULL;

	for (size_t i = 0; i < facts->policy_rule_count; i++) {
		const struct policy_rule *rule = &facts->policy_rules[i];

		if (rule->family == family && rule->table && strcmp(rule->table, table) == 0 && rule->priority.known &&
		    (!found || rule->priority.value < found->priority.value))
			found = rule;
	}
	return found;
}

static void add_route(struct finder *finder, const struct stack_host *at, const struct prefix *to,
		      const struct way *way, const char *table)
{
	struct change_site site = site_of(finder, at);

	add_candidate(finder, change_route(&site, to, way->via.family ? &way->via : NULL, way->dev, table));
}

/* Past the policy rule that sent it to another table, or nowhere. */
static void add_policy(struct finder *finder, const struct step *step, const struct decision *decision)
{
	struct change_site site = site_of(finder, step->host);
	const struct packet *packet = &finder->answer->packet;
	const struct policy_rule *rule = decision->policy;
	const struct step *first = step;

	if (decision->route)
		rule = rule_to(step->host->facts, packet->family, decision->route->table);
	if (!rule || !rule->priority.known)
		return;
	while (first > finder->answer->steps && first[-1].host == step->host)
		first--;
	add_candidate(finder, change_policy(&site, first->kind == STEP_SEND ? NULL : &packet->src, &packet->dst,
					    rule->priority.value));
}

static bool is_main(const char *table)
{
	return strcmp(table, "main") == 0 || strcmp(table, "local") == 0;
}

/* What is on an interface that is switched off is not on its link, as far as routes go. */
static void add_link(struct finder *finder, const struct stack_host *at, const struct ip *dst)
{
	struct change_site site = site_of(finder, at);

	for (size_t i = 0; i < at->link_count; i++)
		for (size_t j = 0; j < at->links[i].link->address_count; j++)
			if (at->links[i].link->up == TRUTH_NO &&
			    prefix_contains(&at->links[i].link->addresses[j].prefix, dst))
				add_candidate(finder, change_link_up(&site, at->links[i].name));
}

/* Routes from the host of that step towards the packet's destination. */
static void candidates_at(struct finder *finder, const struct step *step, const struct ip *dst)
{
	const struct stack_host *at = step->host, *to;
	struct decision decision = decision_of(step);
	struct prefix subnet, connected, alone = {.ip = *dst, .length = ip_bits(dst)},
					 all = {.ip = {.family = dst->family}};
	struct way way = {0};
	bool own = true;

	add_link(finder, at, dst);
	to = owner_of(finder->trial->stack, dst, &subnet);
	if (to == at || (to && !way_by_neighbour(finder, at, to, dst->family, &way)))
		to = NULL;
	if (!to && !way_outside(finder, at, dst->family, &way, &own))
		return;
	if (way.via.family && ip_equal(&way.via, dst))
		way.via = (struct ip){0}; /* on the link itself: no gateway to go through */
	if (to && (way.via.family || is_connected(at, dst, &connected)))
		add_route(finder, at, &subnet, &way, "main");
	if (!own)
		add_route(finder, at, &all, &way, "main");
	add_route(finder, at, &alone, &way, "main");
	if (decision.route && !is_main(decision.route->table))
		add_route(finder, at, &alone, &way, decision.route->table);
	add_policy(finder, step, &decision);
}

/* It left the way before: the host that has a better one is looked for along the way it took. */
static void candidates_of_way(struct finder *finder)
{
	const struct answer *answer = finder->answer;
	const struct stack_host *asked = NULL;

	for (size_t i = answer->step_count; i-- > 0;) {
		const struct step *step = &answer->steps[i];

		if (step->kind != STEP_ROUTE || step->host == asked)
			continue;
		asked = step->host;
		candidates_at(finder, step, &answer->packet.dst);
	}
}

/*
 * An answer that does not find its way home need not: where the last host before the destination sends in its own name,
 * the destination knows the way.
 */
static void candidates_of_masquerade(struct finder *finder, const struct answer *there)
{
	const struct step *route = NULL;
	struct change_site site;
	struct rule_wish wish;

	for (size_t i = 0; i < there->step_count; i++)
		if (there->steps[i].kind == STEP_ROUTE && there->steps[i].link && there->steps[i].host != there->where)
			route = &there->steps[i];
	if (!route)
		return;
	site = site_of(finder, route->host);
	wish = (struct rule_wish){.packet = &there->packet, .oif = route->link->name};
	add_candidate(finder, change_masquerade(&site, &wish));
}

/* ---- sysctls and links ---- */

static void add_sysctl(struct finder *finder, const char *name, unsigned value)
{
	struct change_site site = site_of(finder, finder->answer->where);

	add_candidate(finder, change_sysctl(&site, name, value));
}

/* "net.ipv4.conf.eth0.rp_filter"; a dot in the interface's name is a slash. */
static const char *sysctl_of_link(const struct finder *finder, const char *link, const char *what)
{
	char *name = arena_strdup(finder->trial->arena, link);

	for (char *c = name; *c; c++)
		if (*c == '.')
			*c = '/';
	return arena_printf(finder->trial->arena, "net.ipv4.conf.%s.%s", name, what);
}

static void candidates_of_forwarding(struct finder *finder, const char *link)
{
	const struct facts *facts = finder->answer->where->facts;
	bool six = finder->answer->packet.family == AF_INET6;
	const char *all = six ? "net.ipv6.conf.all.forwarding" : "net.ipv4.ip_forward", *value;

	value = facts_sysctl(facts, all);
	if (!six && link && value && strcmp(value, "0") != 0)
		add_sysctl(finder, sysctl_of_link(finder, link, "forwarding"), 1);
	else
		add_sysctl(finder, all, 1);
}

/* Strict reverse path filtering is content, too, once the way back is the way it came. */
static void candidates_of_rp_filter(struct finder *finder, const char *link)
{
	struct step step = {.host = finder->answer->where};

	if (link)
		add_sysctl(finder, sysctl_of_link(finder, link, "rp_filter"), 2);
	candidates_at(finder, &step, &finder->answer->packet.src);
}

static void candidates_of_link(struct finder *finder)
{
	const struct stack_host *host = finder->answer->where;
	struct change_site site = site_of(finder, host);
	const char *reason = finder->answer->reason_text;

	for (size_t i = 0; i < host->link_count && reason; i++)
		if (host->links[i].link->up == TRUTH_NO && strstr(reason, host->links[i].name))
			add_candidate(finder, change_link_up(&site, host->links[i].name));
}

static void candidates_of_loss(struct finder *finder)
{
	const struct answer *answer = finder->answer;
	const struct step *arrive = last_step(answer, STEP_ARRIVE), *route = last_step(answer, STEP_ROUTE);
	const char *link = arrive && carrier(arrive->link) ? carrier(arrive->link)->name : NULL;

	switch (answer->reason) {
	case LOST_FORWARDING_OFF:
		candidates_of_forwarding(finder, link);
		break;
	case LOST_RP_FILTER:
		candidates_of_rp_filter(finder, link);
		break;
	case LOST_MARTIAN_LOCALNET:
		if (!arrive && route && route->link)
			link = route->link->name;
		if (link)
			add_sysctl(finder, sysctl_of_link(finder, link, "route_localnet"), 1);
		break;
	case LOST_LINK_DOWN:
	case LOST_NO_ROUTE:
		candidates_of_link(finder);
		candidates_of_way(finder);
		break;
	case LOST_BLACKHOLE_ROUTE:
	case LOST_UNREACHABLE_ROUTE:
	case LOST_PROHIBIT_ROUTE:
	case LOST_NO_NEIGHBOUR:
	case LOST_NO_PORT:
	case LOST_LOOP:
	case LOST_MARTIAN_SOURCE_IS_LOCAL: /* it came back to its sender */
		candidates_of_way(finder);
		break;
	case LOST_NOT:
	case LOST_MARTIAN_SOURCE:
	case LOST_MARTIAN_DESTINATION:
	case LOST_NO_SOURCE:
	case LOST_NOT_OURS:
	case LOST_ISOLATED:
	case LOST_LINK_LOCAL:
	case LOST_NO_NAT_ADDRESS:
	case LOST_NO_NAT_PORT:
	case LOST_SEVERAL_SENT_ON:
	case LOST_REASON_COUNT:
		break;
	}
}

bool turned_back(const struct answer *answer)
{
	const struct stack_link *in = NULL;

	for (size_t i = 0; i < answer->step_count; i++) {
		const struct step *step = &answer->steps[i];

		if (step->kind == STEP_ARRIVE)
			in = carrier(step->link);
		else if (step->kind == STEP_SEND)
			in = NULL;
		else if (step->kind == STEP_ROUTE && in && in->host == step->host && step->link == in)
			return true;
	}
	return false;
}

void candidates_find(const struct trial *trial, struct candidates *ret)
{
	struct finder finder = {.trial = trial, .answer = trial->failed, .reply = trial->failed == trial->reply};
	enum fate fate = finder.answer->fate;

	finder.found = ret;
	*ret = (struct candidates){0};
	if (!finder.answer->where || fate == FATE_OPEN || fate == FATE_UNKNOWN)
		return;
	if (fate == FATE_REJECTED || fate == FATE_DROPPED) {
		if (turned_back(finder.answer)) /* whoever drops it there is right to: it is not where it belongs */
			candidates_of_way(&finder);
		candidates_of_rule(&finder);
		return;
	}
	if (fate == FATE_DELIVERED)
		candidates_of_way(&finder);
	else
		candidates_of_loss(&finder);
	if (finder.reply)
		candidates_of_masquerade(&finder, trial->answer);
}
