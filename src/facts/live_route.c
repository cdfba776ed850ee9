/*
 * Routes of all tables and the rules that choose among them, of both families (rtnetlink(7), RTM_GETROUTE and
 * RTM_GETRULE). Each gets the text that ip(8) would print, in one line, to be cited.
 *
 * A route may name a nexthop object instead of saying where it leads (ip-nexthop(8)). The kernel says both, unless
 * net.ipv4.nexthop_compat_mode is 0: then the objects are looked up.
 */
#include "facts/live_internal.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "facts/field.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/nexthop.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert((int)ROUTE_TYPE_UNICAST == RTN_UNICAST && (int)ROUTE_TYPE_XRESOLVE == RTN_XRESOLVE,
	       "types of routes have the kernel's numbers");

/* The flags of a nexthop by ip(8)'s words, in its order. */
static const struct {
	uint32_t flag;
	const char *name;
} nexthop_flags[] = {{RTNH_F_DEAD, "dead"},
		     {RTNH_F_ONLINK, "onlink"},
		     {RTNH_F_PERVASIVE, "pervasive"},
		     {RTNH_F_OFFLOAD, "offload"},
		     {RTNH_F_TRAP, "trap"},
		     {RTNH_F_LINKDOWN, "linkdown"},
		     {RTNH_F_UNRESOLVED, "unresolved"},
		     {RTM_F_OFFLOAD, "rt_offload"},
		     {RTM_F_TRAP, "rt_trap"},
		     {RTM_F_OFFLOAD_FAILED, "rt_offload_failed"}};

struct nexthop_object {
	uint32_t id;
	struct nexthop nexthop; /* of a single one */
	bool blackhole;
	const struct nexthop_grp *members; /* of a group */
	size_t member_count;
};

struct route_dump {
	struct live *live;
	uint8_t family;
	struct object_route {
		size_t route; /* index */
		uint32_t id;
	} * objects; /* routes that only name an object */
	size_t object_count;
	struct nexthop_object *known;
	size_t known_count;
};

static struct ip gateway_of(const struct nlattr *const *a, uint8_t family)
{
	const struct rtvia *via;
	size_t length;

	if (a[RTA_GATEWAY])
		return netlink_get_ip(a[RTA_GATEWAY], family);
	if (!a[RTA_VIA] || mnl_attr_get_payload_len(a[RTA_VIA]) < sizeof(*via))
		return (struct ip){};
	via = mnl_attr_get_payload(a[RTA_VIA]);
	length = via->rtvia_family == AF_INET6 ? 16 : 4;
	if (mnl_attr_get_payload_len(a[RTA_VIA]) < sizeof(*via) + length)
		return (struct ip){};
	struct ip ip = {.family = (uint8_t)via->rtvia_family};
	memcpy(ip.bytes, via->rtvia_addr, length);
	return ip;
}

static void add_nexthop(struct live *live, struct route *route, const struct nlattr *const *a, uint32_t index,
			uint32_t flags, struct number weight)
{
	struct arena *arena = live->pool->arena;
	struct nexthop nexthop = {.via = gateway_of(a, route->family), .weight = weight};

	if (index)
		nexthop.dev = live_interface(live, index);
	for (size_t i = 0; i < sizeof(nexthop_flags) / sizeof(*nexthop_flags); i++)
		if (flags & nexthop_flags[i].flag)
			texts_push(arena, &nexthop.flags, &nexthop.flag_count, nexthop_flags[i].name);
	if (nexthop.via.family || nexthop.dev || nexthop.flag_count)
		*arena_push(arena, route->nexthops, route->nexthop_count) = nexthop;
}

static void take_multipath(struct live *live, struct route *route, const struct nlattr *multipath)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	int left = mnl_attr_get_payload_len(multipath);

	while (RTNH_OK(hop, left)) {
		const struct nlattr *a[RTA_MAX + 1] = {}, *attribute;
		const char *end = (const char *)hop + hop->rtnh_len;

		netlink_attributes_in (attribute, (const struct nlattr *)RTNH_DATA(hop), end)
			if (mnl_attr_get_type(attribute) <= RTA_MAX)
				a[mnl_attr_get_type(attribute)] = attribute;
		add_nexthop(live, route, a, (uint32_t)hop->rtnh_ifindex, hop->rtnh_flags,
			    number_of(hop->rtnh_hops + 1U));
		left -= (int)RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
}

static void put_nexthop(struct strbuf *out, const struct nexthop *nexthop, uint8_t family)
{
	char text[IP_TEXT_SIZE];

	if (nexthop->via.family)
		strbuf_printf(out, " via %s%s",
			      nexthop->via.family == family    ? ""
			      : nexthop->via.family == AF_INET ? "inet "
							       : "inet6 ",
			      ip_format(&nexthop->via, text));
	if (nexthop->dev)
		strbuf_printf(out, " dev %s", nexthop->dev);
}

static void put_flags(struct strbuf *out, const struct nexthop *nexthop)
{
	for (size_t i = 0; i < nexthop->flag_count; i++)
		strbuf_printf(out, " %s", nexthop->flags[i]);
}

static void put_destination(struct strbuf *out, const struct route *route)
{
	char text[PREFIX_TEXT_SIZE];

	if (route->type != ROUTE_TYPE_UNICAST)
		strbuf_printf(out, "%s ", symbol_name(TYPE_ROUTE_TYPE, route->type));
	if (route->to.length == 0)
		strbuf_add(out, "default");
	else if (route->to.length == ip_bits(&route->to.ip))
		strbuf_add(out, ip_format(&route->to.ip, text));
	else
		strbuf_add(out, prefix_format(&route->to, text));
	if (route->from.ip.family)
		strbuf_printf(out, " from %s", prefix_format(&route->from, text));
	if (route->tos.known)
		strbuf_printf(out, " tos 0x%02x", (unsigned)route->tos.value);
}

/* In ip-route(8)'s words and order. */
static const char *route_text(struct live *live, const struct route *route)
{
	cleanup_strbuf struct strbuf out = {};
	const struct nexthop *single =
		route->nexthop_count == 1 && !route->nexthops[0].weight.known ? route->nexthops : NULL;
	char text[IP_TEXT_SIZE];

	put_destination(&out, route);
	if (single)
		put_nexthop(&out, single, route->family);
	if (strcmp(route->table, "main") != 0)
		strbuf_printf(&out, " table %s", route->table);
	if (route->protocol)
		strbuf_printf(&out, " proto %s", route->protocol);
	if (route->scope)
		strbuf_printf(&out, " scope %s", route->scope);
	if (route->source.family)
		strbuf_printf(&out, " src %s", ip_format(&route->source, text));
	if (route->metric.known)
		strbuf_printf(&out, " metric %u", (unsigned)route->metric.value);
	if (single)
		put_flags(&out, single);
	if (route->mtu.known)
		strbuf_printf(&out, " mtu %u", (unsigned)route->mtu.value);
	for (size_t i = 0; !single && i < route->nexthop_count; i++) {
		const struct nexthop *nexthop = &route->nexthops[i];

		strbuf_add(&out, " nexthop");
		put_nexthop(&out, nexthop, route->family);
		if (nexthop->weight.known)
			strbuf_printf(&out, " weight %u", (unsigned)nexthop->weight.value);
		put_flags(&out, nexthop);
	}
	return arena_strdup(live->pool->arena, out.text);
}

static struct number metric_of(const struct nlattr *metrics, uint16_t type)
{
	const struct nlattr *a[RTAX_MAX + 1];

	netlink_nested(metrics, a, RTAX_MAX);
	return live_u32(a[type]);
}

/* A member that is NULL stands for what ip(8) leaves out: the protocol boot, the scope global. */
static void take_route(const struct nlmsghdr *message, void *data)
{
	struct route_dump *dump = data;
	struct live *live = dump->live;
	struct facts *facts = live->facts;
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[RTA_MAX + 1];
	struct route route = {.family = dump->family, .type = header->rtm_type, .origin = {.source = LIVE_ROUTE}};

	if (message->nlmsg_type != RTM_NEWROUTE || header->rtm_family != dump->family ||
	    (header->rtm_flags & RTM_F_CLONED))
		return;
	netlink_attributes(message, sizeof(*header), a, RTA_MAX);
	route.to = (struct prefix){{.family = dump->family}, header->rtm_dst_len};
	if (a[RTA_DST])
		route.to.ip = netlink_get_ip(a[RTA_DST], dump->family);
	if (a[RTA_SRC] && header->rtm_src_len)
		route.from = (struct prefix){netlink_get_ip(a[RTA_SRC], dump->family), header->rtm_src_len};
	route.table = live_name(live, LIVE_TABLES, a[RTA_TABLE] ? mnl_attr_get_u32(a[RTA_TABLE]) : header->rtm_table);
	route.metric = live_u32(a[RTA_PRIORITY]);
	if (header->rtm_tos)
		route.tos = number_of(header->rtm_tos);
	if (header->rtm_protocol != RTPROT_BOOT)
		route.protocol = live_name(live, LIVE_PROTOCOLS, header->rtm_protocol);
	if (header->rtm_scope != RT_SCOPE_UNIVERSE)
		route.scope = live_name(live, LIVE_SCOPES, header->rtm_scope);
	route.source = netlink_get_ip(a[RTA_PREFSRC], dump->family);
	route.mtu = metric_of(a[RTA_METRICS], RTAX_MTU);
	if (a[RTA_MULTIPATH])
		take_multipath(live, &route, a[RTA_MULTIPATH]);
	else
		add_nexthop(live, &route, a, a[RTA_OIF] ? mnl_attr_get_u32(a[RTA_OIF]) : 0, header->rtm_flags,
			    (struct number){});
	if (a[RTA_NH_ID] && !a[RTA_MULTIPATH] && !a[RTA_OIF] && header->rtm_type == RTN_UNICAST)
		*arena_push(live->pool->arena, dump->objects, dump->object_count) =
			(struct object_route){facts->route_count, mnl_attr_get_u32(a[RTA_NH_ID])};
	*arena_push(live->pool->arena, facts->routes, facts->route_count) = route;
}

static void take_object(const struct nlmsghdr *message, void *data)
{
	struct route_dump *dump = data;
	struct live *live = dump->live;
	const struct nhmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[NHA_MAX + 1], *as_route[RTA_MAX + 1] = {};
	struct nexthop_object object = {};
	struct route route = {.family = header->nh_family};

	netlink_attributes(message, sizeof(*header), a, NHA_MAX);
	if (message->nlmsg_type != RTM_NEWNEXTHOP || !a[NHA_ID])
		return;
	object.id = mnl_attr_get_u32(a[NHA_ID]);
	object.blackhole = a[NHA_BLACKHOLE] != NULL;
	if (a[NHA_GROUP]) {
		size_t length = mnl_attr_get_payload_len(a[NHA_GROUP]);
		void *members = arena_alloc(live->pool->arena, length + 1);

		memcpy(members, mnl_attr_get_payload(a[NHA_GROUP]), length);
		object.members = members;
		object.member_count = length / sizeof(*object.members);
	}
	as_route[RTA_GATEWAY] = a[NHA_GATEWAY];
	add_nexthop(live, &route, as_route, a[NHA_OIF] ? mnl_attr_get_u32(a[NHA_OIF]) : 0, header->nh_flags,
		    (struct number){});
	if (route.nexthop_count)
		object.nexthop = route.nexthops[0];
	*arena_push(live->pool->arena, dump->known, dump->known_count) = object;
}

static const struct nexthop_object *find_object(const struct route_dump *dump, uint32_t id)
{
	for (size_t i = 0; i < dump->known_count; i++)
		if (dump->known[i].id == id)
			return &dump->known[i];
	return NULL;
}

static void use_object(struct route_dump *dump, struct route *route, uint32_t id)
{
	const struct nexthop_object *object = find_object(dump, id), *member;
	struct arena *arena = dump->live->pool->arena;

	if (!object)
		return;
	if (object->blackhole)
		route->type = ROUTE_TYPE_BLACKHOLE;
	else if (!object->members)
		*arena_push(arena, route->nexthops, route->nexthop_count) = object->nexthop;
	for (size_t i = 0; i < object->member_count; i++) {
		member = find_object(dump, object->members[i].id);
		if (!member)
			continue;
		*arena_push(arena, route->nexthops, route->nexthop_count) = member->nexthop;
		route->nexthops[route->nexthop_count - 1].weight = number_of(object->members[i].weight + 1U);
	}
}

static int use_objects(struct route_dump *dump)
{
	struct live *live = dump->live;
	struct nlmsghdr *request;
	int r;

	if (dump->object_count == 0)
		return 0;
	request = netlink_begin(&live->route, RTM_GETNEXTHOP, NLM_F_DUMP);
	mnl_nlmsg_put_extra_header(request, sizeof(struct nhmsg));
	r = live_dump(&live->route, request, take_object, dump, &dump->known_count);
	for (size_t i = 0; r == 0 && i < dump->object_count; i++)
		use_object(dump, &live->facts->routes[dump->objects[i].route], dump->objects[i].id);
	return r;
}

static void read_routes(struct live *live, uint8_t family, const char *command)
{
	struct nlmsghdr *request = netlink_begin(&live->route, RTM_GETROUTE, NLM_F_DUMP);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	struct route_dump dump = {.live = live, .family = family};
	struct facts *facts = live->facts;
	size_t before = facts->route_count;
	int r = -EINTR;

	header->rtm_family = family;
	for (int again = 0; again < LIVE_DUMPS_MAX && r == -EINTR; again++) {
		facts->route_count = before;
		dump.object_count = 0;
		r = netlink_ask(&live->route, request, take_route, &dump);
	}
	if (r == 0)
		r = use_objects(&dump);
	for (size_t i = before; i < facts->route_count; i++)
		facts->routes[i].text = route_text(live, &facts->routes[i]);
	if (r < 0) {
		live_unknown(live, LIVE_ROUTE, command, "routes: %s", strerror(-r));
		return;
	}
	live_capture(live, LIVE_ROUTE, command)->items = (uint32_t)(facts->route_count - before);
	*arena_push(live->pool->arena, facts->route_coverage, facts->route_coverage_count) =
		(struct route_coverage){family, NULL, {.source = LIVE_ROUTE}};
}

void live_routes(struct live *live)
{
	read_routes(live, AF_INET, "ip route show table all");
	read_routes(live, AF_INET6, "ip -6 route show table all");
}
