#include "verify/ends.h"

#include "base/error.h"
#include "verify/neighbourhood.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Somebody on the internet. */
static const struct ip world4 = {AF_INET, {8, 8, 8, 8}},
		       world6 = {AF_INET6, {0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x88}};

struct stack_host *ends_host(const struct stack *stack, const char *name)
{
	struct stack_host *host = stack_host(stack, name);

	for (size_t i = 0; i < stack->host_count && !host; i++)
		if (facts_is_called(stack->hosts[i].facts, name))
			host = &stack->hosts[i];
	if (!host && stack->host_count == 1 && strcmp(name, "L0") == 0)
		host = &stack->hosts[0];
	return host;
}

/* Unless one of the hosts is called so. */
static bool is_world(const struct stack *stack, const char *name)
{
	return strcasecmp(name, "world") == 0 && !ends_host(stack, name);
}

static struct stack_host *owner(const struct stack *stack, const struct ip *address)
{
	for (size_t i = 0; i < stack->host_count && !ip_is_loopback(address); i++)
		if (stack_link_with_address(&stack->hosts[i], address))
			return &stack->hosts[i];
	return NULL;
}

bool ends_knows(const struct stack *stack, const char *word)
{
	struct ip address;

	return ends_host(stack, word) || is_world(stack, word) || ip_parse(word, &address);
}

static int no_such_end(const char *option, const char *name, struct error **err)
{
	return error_set(err, EINVAL, "--%s %s: neither a host of these facts nor an address", option, name);
}

struct resolver {
	const struct stack *stack;
	const struct ends *ends;
	struct question *question;
	struct stack_host *target;
	struct error **err;
};

/* ---- which address of a host ---- */

static bool is_reachable(const struct address *address)
{
	const struct ip *ip = &address->prefix.ip;

	return !ip_is_loopback(ip) && !ip_is_link_local(ip) && !(address->scope && strcmp(address->scope, "host") == 0);
}

/* Both are on one subnet, and the interfaces may well be on one link. */
static bool is_near(const struct stack_host *from, const struct address *address)
{
	for (size_t i = 0; from && i < from->link_count; i++)
		for (size_t j = 0; j < from->links[i].link->address_count; j++)
			if (is_reachable(&from->links[i].link->addresses[j]) &&
			    prefix_contains(&from->links[i].link->addresses[j].prefix, &address->prefix.ip) &&
			    !ip_equal(&from->links[i].link->addresses[j].prefix.ip, &address->prefix.ip))
				return true;
	return false;
}

/* The one on the asker's own subnet; else that of a network card rather than that of a bridge for guests. */
static const struct address *choose_address(const struct stack_host *host, const struct stack_host *from,
					    uint8_t family)
{
	const struct address *best = NULL;
	unsigned best_rank = 0;

	for (size_t i = 0; i < host->link_count; i++) {
		const struct stack_link *link = &host->links[i];

		for (size_t j = 0; j < link->link->address_count; j++) {
			const struct address *address = &link->link->addresses[j];
			unsigned rank = 1;

			if (address->prefix.ip.family != family || !is_reachable(address))
				continue;
			rank += is_near(from, address) ? 4 : 0;
			rank += link->is_bridge ? 0 : 2;
			rank += link->link->up == TRUTH_NO ? 0 : 1;
			if (rank > best_rank) {
				best = address;
				best_rank = rank;
			}
		}
	}
	return best;
}

/* ---- where the world is ---- */

static const struct ip *gateway_of(const struct stack_route *route)
{
	return route->to.length == 0 && route->route->type == ROUTE_TYPE_UNICAST && route->route->nexthop_count &&
			       route->route->nexthops[0].dev
		       ? &route->route->nexthops[0].via
		       : NULL;
}

/* The interface of a host's default route, where that leads out of what was captured. */
static struct stack_link *way_out(const struct stack *stack, struct stack_host *host, uint8_t family)
{
	const struct stack_fib *fib = stack_fib(family == AF_INET ? &host->routing4 : &host->routing6, "main");

	for (size_t i = 0; fib && i < fib->route_count; i++) {
		const struct ip *gateway = gateway_of(&fib->routes[i]);
		const struct stack_host *next = gateway && gateway->family ? owner(stack, gateway) : NULL;

		if (gateway && (!next || next == host))
			return stack_link(host, fib->routes[i].route->nexthops[0].dev);
	}
	return NULL;
}

/* L0 is the one nearest to the world; in a lab that is L0-root, and L0 has none. */
static struct stack_link *world_entrance(const struct stack *stack, uint8_t family)
{
	struct stack_host *l0 = ends_host(stack, "L0");
	struct stack_link *found = l0 ? way_out(stack, l0, family) : NULL;

	/* WSL2 has the addresses of the Windows that it runs in, and rules that say what becomes of packets. */
	for (int windows = 0; windows < 2; windows++)
		for (size_t i = 0; i < stack->host_count && !found; i++)
			if ((stack->hosts[i].facts->system == SYSTEM_WINDOWS) == (windows == 1))
				found = way_out(stack, &stack->hosts[i], family);
	return found;
}

/* ---- whom an address that nobody has sends its packets through ---- */

static const struct prefix *subnet_of(const struct stack_link *link, const struct ip *address)
{
	for (size_t i = 0; i < link->link->address_count && !link->loopback; i++) {
		const struct prefix *prefix = &link->link->addresses[i].prefix;

		if (prefix->length < ip_bits(&prefix->ip) && prefix_contains(prefix, address))
			return prefix;
	}
	return NULL;
}

static bool has_address(const struct stack_link *link, const struct ip *address)
{
	for (size_t i = 0; i < link->link->address_count; i++)
		if (ip_equal(&link->link->addresses[i].prefix.ip, address))
			return true;
	return false;
}

/* Others send their packets to an address of this link, to be passed on. */
static bool is_gateway(const struct stack *stack, const struct stack_link *link)
{
	for (size_t i = 0; i < stack->host_count; i++)
		for (size_t j = 0; j < stack->hosts[i].facts->route_count; j++) {
			const struct route *route = &stack->hosts[i].facts->routes[j];

			for (size_t k = 0; &stack->hosts[i] != link->host && k < route->nexthop_count; k++)
				if (route->nexthops[k].via.family && has_address(link, &route->nexthops[k].via))
					return true;
		}
	return false;
}

static bool has_another_side(const struct stack_link *link)
{
	for (size_t i = 0; i < link->host->link_count; i++) {
		const struct stack_link *other = &link->host->links[i];

		if (other != link && !other->loopback && link_global_address(other, AF_INET))
			return true;
		if (other != link && !other->loopback && link_global_address(other, AF_INET6))
			return true;
	}
	return false;
}

static bool forwards(const struct stack_host *host, uint8_t family)
{
	const char *value =
		facts_sysctl(host->facts, family == AF_INET ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding");

	return value && strcmp(value, "0") != 0;
}

/* 0: not on this link, or an end host, which passes nothing on. */
static unsigned rank_of_entrance(const struct resolver *resolver, const struct stack_link *link, const struct ip *from)
{
	const struct stack *stack = resolver->stack;
	struct ip to;

	if (!subnet_of(link, from))
		return 0;
	if (link->host == resolver->target && (!ip_parse(resolver->ends->to, &to) || has_address(link, &to)))
		return 16;
	return (is_gateway(stack, link) ? 8 : 0) + (forwards(link->host, from->family) ? 4 : 0) +
	       (has_another_side(link) ? 2 : 0) + (facts_is_called(link->host->facts, "L0") ? 1 : 0);
}

/* By which a packet of that address comes in; *ret_near: somebody is on its link, though nobody passes it on. */
static struct stack_link *near_entrance(const struct resolver *resolver, const struct ip *from, bool *ret_near)
{
	const struct stack *stack = resolver->stack;
	struct stack_link *best = NULL;
	unsigned best_rank = 1; /* that it is called L0 alone does not make it a router */

	for (size_t i = 0; i < stack->host_count; i++)
		for (size_t j = 0; j < stack->hosts[i].link_count; j++) {
			struct stack_link *link = &stack->hosts[i].links[j];
			unsigned rank = rank_of_entrance(resolver, link, from);

			*ret_near = *ret_near || subnet_of(link, from);
			if (rank > best_rank) {
				best = link;
				best_rank = rank;
			}
		}
	return best;
}

bool ends_is_world(const struct ip *address)
{
	return ip_equal(address, &world4) || ip_equal(address, &world6);
}

bool ends_is_stranger(const struct question *question)
{
	return question->iif && subnet_of(question->iif, &question->packet.src) &&
	       !owner(question->at->stack, &question->packet.src);
}

bool ends_is_private(const struct ip *address)
{
	static const char *const private[] = {"10.0.0.0/8",	"172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
					      "169.254.0.0/16", "fc00::/7",	 "fe80::/10"};

	for (size_t i = 0; i < sizeof(private) / sizeof(*private); i++) {
		struct prefix prefix;

		if (prefix_parse(private[i], &prefix) && prefix_contains(&prefix, address))
			return true;
	}
	return false;
}

bool ends_needs_publishing(const struct question *question, struct ip *ret)
{
	const struct address *own;
	const struct packet *packet = &question->packet;

	if (!question->iif || !packet->src.family || ends_is_private(&packet->src) || ip_is_loopback(&packet->src) ||
	    !ends_is_private(&packet->dst) || has_address(question->iif, &packet->dst))
		return false;
	own = link_global_address(question->iif, packet->family);
	*ret = own ? own->prefix.ip : (struct ip){0};
	return true;
}

/* ---- the two ends ---- */

static uint8_t family_of_word(const char *word)
{
	struct ip ip;

	return word && ip_parse(word, &ip) ? ip.family : 0;
}

/* What the addresses say, else what was asked for, else what the target has. */
static uint8_t choose_family(const struct resolver *resolver)
{
	const struct ends *ends = resolver->ends;
	uint8_t family = family_of_word(ends->to);

	if (!family)
		family = family_of_word(ends->from);
	if (!family)
		family = family_of_word(ends->source);
	if (!family)
		family = ends->family;
	if (family)
		return family;
	return resolver->target && !choose_address(resolver->target, NULL, AF_INET) &&
			       choose_address(resolver->target, NULL, AF_INET6)
		       ? AF_INET6
		       : AF_INET;
}

static int from_outside(struct resolver *resolver, const struct ip *address)
{
	struct question *question = resolver->question;
	bool near = false;
	struct stack_link *link = near_entrance(resolver, address, &near);
	char text[IP_TEXT_SIZE];

	if (!link && near) {
		int r = error_set(resolver->err, EINVAL,
				  "no host of these facts has %s, and none that is on its link passes packets on",
				  ip_format(address, text));

		error_hint(resolver->err, "say which host it comes in at: --from HOST --iif INTERFACE --src %s", text);
		return r;
	}
	if (!link)
		link = world_entrance(resolver->stack, address->family);
	if (!link)
		return error_set(resolver->err, EINVAL, "no host of these facts has a way to %s",
				 ip_format(address, text));
	question->at = link->host;
	question->iif = link->master ? link->master : link;
	question->packet.src = *address;
	return 0;
}

static int resolve_from(struct resolver *resolver, uint8_t family)
{
	const struct ends *ends = resolver->ends;
	struct question *question = resolver->question;
	struct ip address;

	if (is_world(resolver->stack, ends->from))
		return from_outside(resolver, family == AF_INET ? &world4 : &world6);
	if ((question->at = ends_host(resolver->stack, ends->from)))
		return 0;
	if (!ip_parse(ends->from, &address))
		return no_such_end("from", ends->from, resolver->err);
	question->packet.src = address;
	question->at = owner(resolver->stack, &address);
	return question->at ? 0 : from_outside(resolver, &address);
}

static int resolve_to(struct resolver *resolver, uint8_t family)
{
	struct packet *packet = &resolver->question->packet;
	const struct address *address;

	if (is_world(resolver->stack, resolver->ends->to)) {
		packet->dst = family == AF_INET ? world4 : world6;
		return 0;
	}
	if (ip_parse(resolver->ends->to, &packet->dst))
		return 0;
	/* From outside a host has the address by which it is met first. */
	address = resolver->question->iif && resolver->question->iif->host == resolver->target
			  ? link_global_address(resolver->question->iif, family)
			  : NULL;
	if (!address)
		address = choose_address(resolver->target, resolver->question->at, family);
	if (!address)
		return error_set(resolver->err, EINVAL, "%s has no %s address that others could reach",
				 resolver->target->name, family == AF_INET ? "IPv4" : "IPv6");
	packet->dst = address->prefix.ip;
	return 0;
}

static int find_target(struct resolver *resolver)
{
	const char *to = resolver->ends->to;
	struct ip address;

	if (is_world(resolver->stack, to))
		return 0;
	resolver->target = ends_host(resolver->stack, to);
	if (resolver->target)
		return 0;
	if (!ip_parse(to, &address))
		return no_such_end("to", to, resolver->err);
	resolver->target = owner(resolver->stack, &address);
	return 0;
}

static int resolve_details(struct resolver *resolver)
{
	const struct ends *ends = resolver->ends;
	struct question *question = resolver->question;

	if (ends->source && !ip_parse(ends->source, &question->packet.src))
		return error_set(resolver->err, EINVAL, "%s is no address", ends->source);
	if (ends->interface) {
		question->iif = stack_link(question->at, ends->interface);
		if (!question->iif)
			return error_set(resolver->err, EINVAL, "%s has no interface %s", question->at->name,
					 ends->interface);
		if (!question->packet.src.family)
			return error_set(resolver->err, EINVAL,
					 "a packet that arrives by %s needs the address it comes from",
					 ends->interface);
	}
	if (question->packet.src.family && question->packet.src.family != question->packet.dst.family)
		return error_set(resolver->err, EINVAL, "the two ends are of two address families");
	question->packet.family = question->packet.dst.family;
	return 0;
}

int ends_resolve(const struct stack *stack, const struct ends *ends, struct question *question,
		 struct stack_host **ret_target, struct error **err)
{
	struct resolver resolver = {.stack = stack, .ends = ends, .question = question, .err = err};
	uint8_t family;
	int r = find_target(&resolver);

	if (r < 0)
		return r;
	family = choose_family(&resolver);
	if ((r = resolve_from(&resolver, family)) < 0 || (r = resolve_to(&resolver, family)) < 0 ||
	    (r = resolve_details(&resolver)) < 0)
		return r;
	*ret_target = resolver.target;
	return 0;
}
