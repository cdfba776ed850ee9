#include "net/route.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "net/net.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

enum { DUMP_TRIES = 16 };

struct route_dump {
	struct route *routes;
	size_t count;
};

static void collect_route(const struct nlmsghdr *message, void *data)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[RTA_MAX + 1];
	struct route_dump *dump = data;
	struct route route = {.type = header->rtm_type, .protocol = header->rtm_protocol, .table = header->rtm_table};

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

static bool ours_through(const struct route *route, const int *interfaces, size_t count)
{
	if (route->protocol != NET_ROUTE_PROTOCOL || route->table != RT_TABLE_MAIN || route->type != RTN_UNICAST)
		return false;
	for (size_t i = 0; i < count; i++)
		if (route->interface == interfaces[i])
			return true;
	return false;
}

static int list_ours(struct netlink *nl, const int *interfaces, size_t interface_count, struct route **ret,
		     size_t *ret_count, struct error **err)
{
	size_t there = 0;
	int r = route_list(nl, ret, &there, err);

	*ret_count = 0;
	for (size_t i = 0; r == 0 && i < there; i++)
		if (ours_through(&(*ret)[i], interfaces, interface_count))
			(*ret)[(*ret_count)++] = (*ret)[i];
	return r;
}

int route_check(struct netlink *nl, const struct route *wanted, size_t count, const int *interfaces,
		size_t interface_count, bool *ret_same, struct error **err)
{
	cleanup_free struct route *there = NULL;
	size_t ours = 0;
	int r = list_ours(nl, interfaces, interface_count, &there, &ours, err);

	*ret_same = r == 0 && ours == count;
	for (size_t i = 0; *ret_same && i < count; i++)
		*ret_same = holds_route(there, ours, &wanted[i]);
	return r;
}

int route_set(struct netlink *nl, const struct route *wanted, size_t count, const int *interfaces,
	      size_t interface_count, bool alone, struct error **err)
{
	cleanup_free struct route *there = NULL;
	size_t ours = 0;
	int r = list_ours(nl, interfaces, interface_count, &there, &ours, err);

	for (size_t i = 0; r == 0 && i < ours; i++) {
		if (holds_route(wanted, count, &there[i]))
			continue;
		r = netlink_ask(nl, route_request(nl, RTM_DELROUTE, 0, &there[i]), NULL, NULL);
		r = r < 0 && r != -ESRCH ? netlink_fail(nl, r, err, "cannot remove a route") : 0;
	}
	for (size_t i = 0; r == 0 && i < count; i++)
		if (!holds_route(there, ours, &wanted[i]))
			r = add_route(nl, &wanted[i], alone, err);
	return r;
}
