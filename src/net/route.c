#include "net/route.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "net/net.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

enum {
	DUMP_TRIES = 16,
	MOST_FOREIGN = 64, /* routes taken away at a time */
	EVERYWHERE = 4,	   /* a default route may come in halves or quarters: prefixes shorter than this */
};

struct route_dump {
	struct route *routes;
	size_t count;
};

static void collect_route(const struct nlmsghdr *message, void *data)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[RTA_MAX + 1];
	struct route_dump *dump = data;
	struct route route = {.type = header->rtm_type,
			      .protocol = header->rtm_protocol,
			      .tos = header->rtm_tos,
			      .table = header->rtm_table};

	if (message->nlmsg_type != RTM_NEWROUTE || (header->rtm_flags & RTM_F_CLONED) ||
	    (header->rtm_family != AF_INET && header->rtm_family != AF_INET6))
		return;
	netlink_attributes(message, sizeof(*header), a, RTA_MAX);
	route.to = (struct prefix){.ip = {.family = header->rtm_family}, .length = header->rtm_dst_len};
	if (a[RTA_DST])
		route.to.ip = netlink_get_ip(a[RTA_DST], header->rtm_family);
	if (a[RTA_GATEWAY])
		route.via = netlink_get_ip(a[RTA_GATEWAY], header->rtm_family);
	if (a[RTA_PREFSRC])
		route.source = netlink_get_ip(a[RTA_PREFSRC], header->rtm_family);
	if (a[RTA_OIF])
		route.interface = (int)mnl_attr_get_u32(a[RTA_OIF]);
	else if (a[RTA_MULTIPATH] && mnl_attr_get_payload_len(a[RTA_MULTIPATH]) >= sizeof(struct rtnexthop))
		route.interface = ((const struct rtnexthop *)mnl_attr_get_payload(a[RTA_MULTIPATH]))->rtnh_ifindex;
	if (a[RTA_TABLE])
		route.table = mnl_attr_get_u32(a[RTA_TABLE]);
	if (a[RTA_PRIORITY])
		route.metric = mnl_attr_get_u32(a[RTA_PRIORITY]);
	dump->routes = realloc(dump->routes, (dump->count + 1) * sizeof(*dump->routes));
	if (!dump->routes)
		abort();
	dump->routes[dump->count++] = route;
}

int route_list(struct netlink *nl, struct route **ret, size_t *ret_count, struct error **err)
{
	struct route_dump dump = {0};
	int r = -EINTR;

	for (int try = 0; r == -EINTR && try < DUMP_TRIES; try++) {
		struct nlmsghdr *request = netlink_begin(nl, RTM_GETROUTE, NLM_F_DUMP);

		dump.count = 0;
		mnl_nlmsg_put_extra_header(request, sizeof(struct rtmsg));
		r = netlink_ask(nl, request, collect_route, &dump);
	}
	if (r < 0) {
		free(dump.routes);
		return netlink_fail(nl, r, err, "cannot list the routes");
	}
	*ret = dump.routes;
	*ret_count = dump.count;
	return 0;
}

static struct nlmsghdr *route_request(struct netlink *nl, uint16_t type, uint16_t flags, const struct route *route)
{
	struct nlmsghdr *request = netlink_begin(nl, type, flags);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->rtm_family = route->to.ip.family;
	header->rtm_dst_len = route->to.length;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = NET_ROUTE_PROTOCOL;
	header->rtm_scope = route->via.family ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	header->rtm_type = RTN_UNICAST;
	if (route->to.length)
		netlink_put_ip(request, RTA_DST, &route->to.ip);
	if (route->via.family)
		netlink_put_ip(request, RTA_GATEWAY, &route->via);
	if (route->source.family)
		netlink_put_ip(request, RTA_PREFSRC, &route->source);
	if (route->interface)
		mnl_attr_put_u32(request, RTA_OIF, (uint32_t)route->interface);
	return request;
}

static bool same_route(const struct route *a, const struct route *b)
{
	return a->interface == b->interface && a->to.length == b->to.length && ip_equal(&a->to.ip, &b->to.ip) &&
	       ip_equal(&a->via, &b->via) && ip_equal(&a->source, &b->source);
}

static bool holds_route(const struct route *routes, size_t count, const struct route *route)
{
	for (size_t i = 0; i < count; i++)
		if (same_route(&routes[i], route))
			return true;
	return false;
}

static int add_route(struct netlink *nl, const struct route *route, bool replace, struct error **err)
{
	char to[PREFIX_TEXT_SIZE], via[IP_TEXT_SIZE];
	int r = netlink_ask(
		nl, route_request(nl, RTM_NEWROUTE, NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL), route), NULL,
		NULL);

	if (r == 0)
		return 0;
	netlink_fail(nl, r, err, "cannot add the route to %s via %s", prefix_format(&route->to, to),
		     ip_format(&route->via, via));
	if (r == -EEXIST)
		error_hint(err,
			   "another route to %s is there already (ip route show %s): give the network another subnet, "
			   "or remove that route",
			   to, to);
	return r;
}

static bool is_ours(const struct route *route, const struct route_scope *scope)
{
	if (route->protocol != NET_ROUTE_PROTOCOL || route->table != RT_TABLE_MAIN || route->type != RTN_UNICAST)
		return false;
	for (size_t i = 0; i < scope->count; i++)
		if (route->interface == scope->interfaces[i])
			return true;
	return false;
}

static bool leads_there(const struct prefix *to, const struct prefix *wanted)
{
	if (to->ip.family != wanted->ip.family)
		return false;
	if (wanted->length == 0)
		return to->length < EVERYWHERE;
	return to->length == wanted->length && ip_equal(&to->ip, &wanted->ip);
}

/* Not ours, and in the place of one of these: the kernel may prefer it, by its metric, say. */
static bool is_in_place(const struct route *route, const struct route *wanted, size_t count,
			const struct route_scope *scope)
{
	if (!scope->alone || route->table != RT_TABLE_MAIN || route->protocol == RTPROT_KERNEL ||
	    route->protocol == NET_ROUTE_PROTOCOL || is_ours(route, scope))
		return false;
	for (size_t i = 0; i < count; i++)
		if (leads_there(&route->to, &wanted[i].to))
			return true;
	return false;
}

static size_t keep_ours(struct route *routes, size_t count, const struct route_scope *scope)
{
	size_t ours = 0;

	for (size_t i = 0; i < count; i++)
		if (is_ours(&routes[i], scope))
			routes[ours++] = routes[i];
	return ours;
}

int route_check(struct netlink *nl, const struct route *wanted, size_t count, const struct route_scope *scope,
		bool *ret_same, struct error **err)
{
	cleanup_free struct route *there = NULL;
	size_t there_count = 0;
	int r = route_list(nl, &there, &there_count, err);

	*ret_same = r == 0;
	for (size_t i = 0; *ret_same && i < there_count; i++)
		*ret_same = !is_in_place(&there[i], wanted, count, scope);
	there_count = keep_ours(there, there_count, scope);
	*ret_same = *ret_same && there_count == count;
	for (size_t i = 0; *ret_same && i < count; i++)
		*ret_same = holds_route(there, there_count, &wanted[i]);
	return r;
}

/* By all that tells it from others: of several alike the kernel would take the first. */
static int remove_foreign(struct netlink *nl, const struct route *route, struct error **err)
{
	struct nlmsghdr *request = route_request(nl, RTM_DELROUTE, 0, route);
	struct rtmsg *header = mnl_nlmsg_get_payload(request);
	char to[PREFIX_TEXT_SIZE];
	int r;

	header->rtm_protocol = route->protocol;
	header->rtm_type = route->type;
	header->rtm_tos = route->tos;
	header->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	if (route->metric)
		mnl_attr_put_u32(request, RTA_PRIORITY, route->metric);
	r = netlink_ask(nl, request, NULL, NULL);
	if (r == 0 || r == -ESRCH)
		return 0;
	return netlink_fail(nl, r, err, "cannot remove the foreign route to %s", prefix_format(&route->to, to));
}

/* Of one over several ways the kernel takes away a way at a time (IPv6), so it is looked again. */
static int remove_in_place(struct netlink *nl, const struct route *wanted, size_t count,
			   const struct route_scope *scope, struct error **err)
{
	bool found = scope->alone;
	int r = 0;

	for (unsigned i = 0; found && r == 0 && i < MOST_FOREIGN; i++) {
		cleanup_free struct route *there = NULL;
		size_t there_count = 0;

		found = false;
		r = route_list(nl, &there, &there_count, err);
		for (size_t j = 0; j < there_count && r == 0; j++)
			if (is_in_place(&there[j], wanted, count, scope)) {
				found = true;
				r = remove_foreign(nl, &there[j], err);
			}
	}
	return r;
}

int route_set(struct netlink *nl, const struct route *wanted, size_t count, const struct route_scope *scope,
	      struct error **err)
{
	cleanup_free struct route *there = NULL;
	size_t ours = 0;
	int r = remove_in_place(nl, wanted, count, scope, err);

	if (r == 0)
		r = route_list(nl, &there, &ours, err);
	ours = keep_ours(there, ours, scope);
	for (size_t i = 0; r == 0 && i < ours; i++) {
		if (holds_route(wanted, count, &there[i]))
			continue;
		r = netlink_ask(nl, route_request(nl, RTM_DELROUTE, 0, &there[i]), NULL, NULL);
		r = r < 0 && r != -ESRCH ? netlink_fail(nl, r, err, "cannot remove a route") : 0;
	}
	for (size_t i = 0; r == 0 && i < count; i++)
		if (!holds_route(there, ours, &wanted[i]))
			r = add_route(nl, &wanted[i], scope->alone, err);
	return r;
}
