/*
 * Interfaces and their addresses, by one dump each (RTM_GETLINK, RTM_GETADDR). Words are those of ip(8), so that facts
 * of the kernel and of captured text compare. The dump of links also carries every sysctl below
 * net.ipv4.conf.INTERFACE and net.ipv6.conf.INTERFACE (IFLA_AF_SPEC), so no file of /proc need be read for them.
 */
#include "facts/live_internal.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_bridge.h>
#include <linux/if_tun.h>
#include <linux/if_tunnel.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *attribute_text(struct live *live, const struct nlattr *attribute)
{
	return attribute ? pool_intern(live->pool, (struct span){mnl_attr_get_payload(attribute),
								 strnlen(mnl_attr_get_payload(attribute),
									 mnl_attr_get_payload_len(attribute))})
			 : NULL;
}

static struct number attribute_u16(const struct nlattr *attribute)
{
	return attribute ? number_of(mnl_attr_get_u16(attribute)) : (struct number){};
}

static enum truth attribute_truth(const struct nlattr *attribute)
{
	return attribute ? truth_of(mnl_attr_get_u8(attribute) != 0) : TRUTH_UNKNOWN;
}

/* An address that is not "any". */
static struct ip attribute_ip(const struct nlattr *attribute)
{
	static const uint8_t none[16];
	size_t length = attribute ? mnl_attr_get_payload_len(attribute) : 0;
	struct ip ip = {};

	if (length == 4 || length == 16)
		ip = netlink_get_ip(attribute, length == 4 ? AF_INET : AF_INET6);
	return memcmp(ip.bytes, none, sizeof(none)) == 0 ? (struct ip){} : ip;
}

static void take_flags(struct live *live, struct link *link, unsigned flags)
{
	static const struct {
		unsigned flag;
		const char *name;
	} names[] = {{IFF_LOOPBACK, "LOOPBACK"},   {IFF_BROADCAST, "BROADCAST"},   {IFF_POINTOPOINT, "POINTOPOINT"},
		     {IFF_MULTICAST, "MULTICAST"}, {IFF_NOARP, "NOARP"},	   {IFF_ALLMULTI, "ALLMULTI"},
		     {IFF_PROMISC, "PROMISC"},	   {IFF_MASTER, "MASTER"},	   {IFF_SLAVE, "SLAVE"},
		     {IFF_DEBUG, "DEBUG"},	   {IFF_DYNAMIC, "DYNAMIC"},	   {IFF_AUTOMEDIA, "AUTOMEDIA"},
		     {IFF_PORTSEL, "PORTSEL"},	   {IFF_NOTRAILERS, "NOTRAILERS"}, {IFF_UP, "UP"},
		     {IFF_LOWER_UP, "LOWER_UP"},   {IFF_DORMANT, "DORMANT"},	   {IFF_ECHO, "ECHO"}};
	struct arena *arena = live->pool->arena;

	if ((flags & IFF_UP) && !(flags & IFF_RUNNING))
		texts_push(arena, &link->flags, &link->flag_count, "NO-CARRIER");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (flags & names[i].flag)
			texts_push(arena, &link->flags, &link->flag_count, names[i].name);
	link->up = truth_of(flags & IFF_UP);
	link->carrier = truth_of(flags & IFF_LOWER_UP);
}

/* Hardware types (ARPHRD_*) that say what a link is where no driver does, by ip(8)'s names. */
static const char *hardware_kind(struct live *live, uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {{ARPHRD_ETHER, "ether"}, {ARPHRD_LOOPBACK, "loopback"},
		     {ARPHRD_PPP, "ppp"},     {ARPHRD_INFINIBAND, "infiniband"},
		     {ARPHRD_TUNNEL, "ipip"}, {ARPHRD_TUNNEL6, "tunnel6"},
		     {ARPHRD_SIT, "sit"},     {ARPHRD_IPGRE, "gre"},
		     {ARPHRD_IP6GRE, "gre6"}, {ARPHRD_CAN, "can"},
		     {ARPHRD_NONE, "none"},   {ARPHRD_NETLINK, "netlink"},
		     {ARPHRD_RAWIP, "rawip"}, {ARPHRD_IEEE80211, "ieee802.11"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].type == type)
			return names[i].name;
	return arena_printf(live->pool->arena, "[%u]", type);
}

static const char *state_name(uint8_t state)
{
	static const char *const names[] = {"UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN",
					    "TESTING", "DORMANT",    "UP"};

	return state < sizeof(names) / sizeof(*names) ? names[state] : NULL;
}

static const char *xdp_text(struct live *live, const struct nlattr *xdp)
{
	static const char *const modes[] = {NULL, "xdp", "xdpgeneric", "xdpoffload", "xdpmulti"};
	const struct nlattr *a[IFLA_XDP_MAX + 1];
	uint8_t mode;

	netlink_nested(xdp, a, IFLA_XDP_MAX);
	mode = a[IFLA_XDP_ATTACHED] ? mnl_attr_get_u8(a[IFLA_XDP_ATTACHED]) : XDP_ATTACHED_NONE;
	if (mode == XDP_ATTACHED_NONE)
		return NULL;
	return arena_printf(live->pool->arena, "%s id %u", mode < 5 ? modes[mode] : "xdp",
			    a[IFLA_XDP_PROG_ID] ? mnl_attr_get_u32(a[IFLA_XDP_PROG_ID]) : 0);
}

static void take_bridge(struct live *live, struct link *link, const struct nlattr *data)
{
	const struct nlattr *a[IFLA_BR_MAX + 1];
	struct bridge *bridge = &link->bridge;

	netlink_nested(data, a, IFLA_BR_MAX);
	if (a[IFLA_BR_STP_STATE])
		bridge->stp = truth_of(mnl_attr_get_u32(a[IFLA_BR_STP_STATE]) != 0);
	bridge->vlan_filtering = attribute_truth(a[IFLA_BR_VLAN_FILTERING]);
	bridge->mcast_snooping = attribute_truth(a[IFLA_BR_MCAST_SNOOPING]);
	bridge->nf_call_iptables = attribute_truth(a[IFLA_BR_NF_CALL_IPTABLES]);
	bridge->nf_call_ip6tables = attribute_truth(a[IFLA_BR_NF_CALL_IP6TABLES]);
	bridge->nf_call_arptables = attribute_truth(a[IFLA_BR_NF_CALL_ARPTABLES]);
	if (a[IFLA_BR_BRIDGE_ID] && mnl_attr_get_payload_len(a[IFLA_BR_BRIDGE_ID]) >= sizeof(struct ifla_bridge_id)) {
		const struct ifla_bridge_id *id = mnl_attr_get_payload(a[IFLA_BR_BRIDGE_ID]);

		bridge->id = arena_printf(live->pool->arena, "%02x%02x.%x:%x:%x:%x:%x:%x", id->prio[0], id->prio[1],
					  id->addr[0], id->addr[1], id->addr[2], id->addr[3], id->addr[4], id->addr[5]);
	}
}

static void take_port(struct link *link, const struct nlattr *data)
{
	static const char *const states[] = {"disabled", "listening", "learning", "forwarding", "blocking"};
	const struct nlattr *a[IFLA_BRPORT_MAX + 1];
	struct bridge_port *port = &link->port;

	netlink_nested(data, a, IFLA_BRPORT_MAX);
	if (a[IFLA_BRPORT_STATE] && mnl_attr_get_u8(a[IFLA_BRPORT_STATE]) < sizeof(states) / sizeof(*states))
		port->state = states[mnl_attr_get_u8(a[IFLA_BRPORT_STATE])];
	port->hairpin = attribute_truth(a[IFLA_BRPORT_MODE]);
	port->isolated = attribute_truth(a[IFLA_BRPORT_ISOLATED]);
	port->learning = attribute_truth(a[IFLA_BRPORT_LEARNING]);
	port->flood = attribute_truth(a[IFLA_BRPORT_UNICAST_FLOOD]);
	port->guard = attribute_truth(a[IFLA_BRPORT_GUARD]);
	port->locked = attribute_truth(a[IFLA_BRPORT_LOCKED]);
	port->neigh_suppress = attribute_truth(a[IFLA_BRPORT_NEIGH_SUPPRESS]);
	port->priority = attribute_u16(a[IFLA_BRPORT_PRIORITY]);
	port->cost = live_u32(a[IFLA_BRPORT_COST]);
}

/* Which attributes of a kind of tunnel hold what; 0: it has none of these. */
static const struct tunnel_kind {
	const char *kind;
	uint16_t id, link, local, local6, remote, remote6, port;
} tunnel_kinds[] = {
	{"vxlan", IFLA_VXLAN_ID, IFLA_VXLAN_LINK, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6, IFLA_VXLAN_GROUP,
	 IFLA_VXLAN_GROUP6, IFLA_VXLAN_PORT},
	{"geneve", IFLA_GENEVE_ID, 0, 0, 0, IFLA_GENEVE_REMOTE, IFLA_GENEVE_REMOTE6, IFLA_GENEVE_PORT},
	{"gre", 0, IFLA_GRE_LINK, IFLA_GRE_LOCAL, 0, IFLA_GRE_REMOTE, 0, 0},
	{"gretap", 0, IFLA_GRE_LINK, IFLA_GRE_LOCAL, 0, IFLA_GRE_REMOTE, 0, 0},
	{"erspan", 0, IFLA_GRE_LINK, IFLA_GRE_LOCAL, 0, IFLA_GRE_REMOTE, 0, 0},
	{"ip6gre", 0, IFLA_GRE_LINK, IFLA_GRE_LOCAL, 0, IFLA_GRE_REMOTE, 0, 0},
	{"ip6gretap", 0, IFLA_GRE_LINK, IFLA_GRE_LOCAL, 0, IFLA_GRE_REMOTE, 0, 0},
	{"ip6erspan", 0, IFLA_GRE_LINK, IFLA_GRE_LOCAL, 0, IFLA_GRE_REMOTE, 0, 0},
	{"ipip", 0, IFLA_IPTUN_LINK, IFLA_IPTUN_LOCAL, 0, IFLA_IPTUN_REMOTE, 0, 0},
	{"sit", 0, IFLA_IPTUN_LINK, IFLA_IPTUN_LOCAL, 0, IFLA_IPTUN_REMOTE, 0, 0},
	{"ip6tnl", 0, IFLA_IPTUN_LINK, IFLA_IPTUN_LOCAL, 0, IFLA_IPTUN_REMOTE, 0, 0},
	{"vti", 0, IFLA_VTI_LINK, IFLA_VTI_LOCAL, 0, IFLA_VTI_REMOTE, 0, 0},
	{"vti6", 0, IFLA_VTI_LINK, IFLA_VTI_LOCAL, 0, IFLA_VTI_REMOTE, 0, 0},
};

enum { TUNNEL_ATTRIBUTES = 31 };
_Static_assert((int)IFLA_VXLAN_LOCAL6 <= TUNNEL_ATTRIBUTES && (int)IFLA_GENEVE_REMOTE6 <= TUNNEL_ATTRIBUTES &&
		       (int)IFLA_GRE_REMOTE <= TUNNEL_ATTRIBUTES,
	       "the table of a tunnel's attributes is too short");

/* Index 0 of an attribute table is never filled: no attribute has type 0 (IFLA_*_UNSPEC). */
static void take_tunnel(struct link *link, const struct nlattr *data, uint32_t *ret_device)
{
	const struct nlattr *a[TUNNEL_ATTRIBUTES + 1];
	struct tunnel *tunnel = &link->tunnel;
	const struct tunnel_kind *kind = NULL;

	for (size_t i = 0; i < sizeof(tunnel_kinds) / sizeof(*tunnel_kinds); i++)
		if (strcmp(tunnel_kinds[i].kind, link->kind) == 0)
			kind = &tunnel_kinds[i];
	if (!kind)
		return;
	netlink_nested(data, a, TUNNEL_ATTRIBUTES);
	tunnel->id = live_u32(a[kind->id]);
	tunnel->local = attribute_ip(a[kind->local]);
	if (!tunnel->local.family)
		tunnel->local = attribute_ip(a[kind->local6]);
	tunnel->remote = attribute_ip(a[kind->remote]);
	if (!tunnel->remote.family)
		tunnel->remote = attribute_ip(a[kind->remote6]);
	tunnel->port = live_be16(a[kind->port]);
	*ret_device = a[kind->link] ? mnl_attr_get_u32(a[kind->link]) : 0;
}

/* What names other links, which are only known at the end. */
struct pending {
	uint32_t master, lower, device; /* 0: none */
	bool elsewhere;			/* the lower one is in another namespace */
};

struct link_dump {
	struct live *live;
	struct pending *pending; /* one per link */
	size_t pending_count;
};

static void take_linkinfo(struct live *live, struct link *link, struct pending *pending, const struct nlattr *info)
{
	const struct nlattr *a[IFLA_INFO_MAX + 1], *data[IFLA_TUN_MAX + 1];
	const char *kind, *slave;

	netlink_nested(info, a, IFLA_INFO_MAX);
	kind = attribute_text(live, a[IFLA_INFO_KIND]);
	slave = attribute_text(live, a[IFLA_INFO_SLAVE_KIND]);
	if (slave && strcmp(slave, "bridge") == 0)
		take_port(link, a[IFLA_INFO_SLAVE_DATA]);
	if (!kind)
		return;
	link->kind = kind;
	if (strcmp(kind, "bridge") == 0) {
		take_bridge(live, link, a[IFLA_INFO_DATA]);
	} else if (strcmp(kind, "vlan") == 0) {
		netlink_nested(a[IFLA_INFO_DATA], data, IFLA_VLAN_ID);
		link->vlan_id = attribute_u16(data[IFLA_VLAN_ID]);
	} else if (strcmp(kind, "tun") == 0) {
		netlink_nested(a[IFLA_INFO_DATA], data, IFLA_TUN_MAX);
		if (data[IFLA_TUN_TYPE])
			link->tun_type = mnl_attr_get_u8(data[IFLA_TUN_TYPE]) == IFF_TAP ? "tap" : "tun";
	} else {
		take_tunnel(link, a[IFLA_INFO_DATA], &pending->device);
	}
}

static void take_link(const struct nlmsghdr *message, void *data)
{
	struct link_dump *dump = data;
	struct live *live = dump->live;
	struct arena *arena = live->pool->arena;
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[IFLA_MAX + 1];
	struct link link = {.index = number_of((uint32_t)header->ifi_index), .master = ""};
	struct pending pending = {};

	netlink_attributes(message, sizeof(*header), a, IFLA_MAX);
	if (message->nlmsg_type != RTM_NEWLINK || !a[IFLA_IFNAME])
		return;
	link.name = attribute_text(live, a[IFLA_IFNAME]);
	take_flags(live, &link, header->ifi_flags);
	take_linkinfo(live, &link, &pending, a[IFLA_LINKINFO]);
	if (!link.kind)
		link.kind = hardware_kind(live, header->ifi_type);
	link.state = a[IFLA_OPERSTATE] ? state_name(mnl_attr_get_u8(a[IFLA_OPERSTATE])) : NULL;
	link.mtu = live_u32(a[IFLA_MTU]);
	link.mac = live_mac(a[IFLA_ADDRESS]);
	link.permanent_mac = live_mac(a[IFLA_PERM_ADDRESS]);
	if (link.permanent_mac.known && link.mac.known && memcmp(link.permanent_mac.bytes, link.mac.bytes, 6) == 0)
		link.permanent_mac = (struct mac){};
	link.qdisc = attribute_text(live, a[IFLA_QDISC]);
	link.alias = attribute_text(live, a[IFLA_IFALIAS]);
	link.group = live_u32(a[IFLA_GROUP]);
	link.peer_netnsid = live_u32(a[IFLA_LINK_NETNSID]);
	link.xdp = xdp_text(live, a[IFLA_XDP]);
	link.addresses4_known = link.addresses6_known = TRUTH_NO; /* until they were asked for */
	*arena_push(arena, link.origins, link.origin_count) = (struct origin){.source = LIVE_ROUTE};
	pending.master = a[IFLA_MASTER] ? mnl_attr_get_u32(a[IFLA_MASTER]) : 0;
	pending.lower = a[IFLA_LINK] ? mnl_attr_get_u32(a[IFLA_LINK]) : 0;
	pending.elsewhere = a[IFLA_LINK_NETNSID] != NULL;
	*arena_push(arena, live->facts->links, live->facts->link_count) = link;
	*arena_push(arena, dump->pending, dump->pending_count) = pending;
	*arena_push(arena, live->interfaces, live->interface_count) =
		(struct live_interface){(uint32_t)header->ifi_index, header->ifi_flags, link.name};
	live_link_sysctls(live, link.name, a[IFLA_AF_SPEC]);
}

static void settle_names(struct live *live, const struct pending *pending, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct link *link = &live->facts->links[i];
		const struct live_interface *lower =
			pending[i].elsewhere ? NULL : live_find_interface(live, pending[i].lower);

		if (pending[i].master)
			link->master = live_interface(live, pending[i].master);
		link->tunnel.dev = live_interface(live, pending[i].device);
		if (lower)
			link->parent = lower->name;
		else if (pending[i].lower)
			link->peer_index = number_of(pending[i].lower);
		if (lower && !(lower->flags & IFF_UP))
			texts_push(live->pool->arena, &link->flags, &link->flag_count, "M-DOWN");
	}
}

/* ip(8)'s words in its order; not to be told from the text are only those that it does not print. */
static void take_address_flags(struct live *live, struct address *address, uint8_t family, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {{IFA_F_NODAD, "nodad"},
		     {IFA_F_OPTIMISTIC, "optimistic"},
		     {IFA_F_DADFAILED, "dadfailed"},
		     {IFA_F_HOMEADDRESS, "home"},
		     {IFA_F_DEPRECATED, "deprecated"},
		     {IFA_F_TENTATIVE, "tentative"},
		     {0, "dynamic"}, /* not IFA_F_PERMANENT */
		     {IFA_F_MANAGETEMPADDR, "mngtmpaddr"},
		     {IFA_F_NOPREFIXROUTE, "noprefixroute"},
		     {IFA_F_MCAUTOJOIN, "autojoin"},
		     {IFA_F_STABLE_PRIVACY, "stable-privacy"}};
	struct arena *arena = live->pool->arena;

	if (flags & IFA_F_SECONDARY)
		texts_push(arena, &address->flags, &address->flag_count, family == AF_INET ? "secondary" : "temporary");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].flag ? (flags & names[i].flag) != 0 : !(flags & IFA_F_PERMANENT))
			texts_push(arena, &address->flags, &address->flag_count, names[i].name);
}

struct address_dump {
	struct live *live;
	struct found_address {
		uint32_t index;
		struct address address;
	} * items;
	size_t count;
};

static void take_address(const struct nlmsghdr *message, void *data)
{
	struct address_dump *dump = data;
	struct live *live = dump->live;
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[IFA_MAX + 1];
	struct address address = {.origin = {.source = LIVE_ROUTE}};
	struct ip other;

	if (message->nlmsg_type != RTM_NEWADDR || (header->ifa_family != AF_INET && header->ifa_family != AF_INET6))
		return;
	netlink_attributes(message, sizeof(*header), a, IFA_MAX);
	address.prefix.ip = netlink_get_ip(a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS], header->ifa_family);
	address.prefix.length = header->ifa_prefixlen;
	other = netlink_get_ip(a[IFA_ADDRESS], header->ifa_family);
	if (a[IFA_LOCAL] && other.family && !ip_equal(&other, &address.prefix.ip))
		address.peer = other;
	address.broadcast = netlink_get_ip(a[IFA_BROADCAST], header->ifa_family);
	address.scope = live_name(live, LIVE_SCOPES, header->ifa_scope);
	address.label = attribute_text(live, a[IFA_LABEL]);
	take_address_flags(live, &address, header->ifa_family,
			   a[IFA_FLAGS] ? mnl_attr_get_u32(a[IFA_FLAGS]) : header->ifa_flags);
	*arena_push(live->pool->arena, dump->items, dump->count) = (struct found_address){header->ifa_index, address};
}

/* Links are in the order of their indexes now; addresses of one link follow each other mostly. */
static void hand_out(struct live *live, const struct address_dump *dump)
{
	struct facts *facts = live->facts;

	for (size_t i = 0; i < dump->count; i++) {
		const struct live_interface *interface = live_find_interface(live, dump->items[i].index);
		struct link *link;

		if (!interface) /* came up since */
			continue;
		link = &facts->links[interface - live->interfaces];
		*arena_push(live->pool->arena, link->addresses, link->address_count) = dump->items[i].address;
	}
	for (size_t i = 0; i < facts->link_count; i++)
		facts->links[i].addresses4_known = facts->links[i].addresses6_known = TRUTH_YES;
}

static int links_by_index(const void *a, const void *b)
{
	uint64_t left = ((const struct link *)a)->index.value, right = ((const struct link *)b)->index.value;

	return left < right ? -1 : left > right;
}

static void read_addresses(struct live *live)
{
	struct nlmsghdr *request = netlink_begin(&live->route, RTM_GETADDR, NLM_F_DUMP);
	struct address_dump dump = {.live = live};
	int r;

	mnl_nlmsg_put_extra_header(request, sizeof(struct ifaddrmsg));
	r = live_dump(&live->route, request, take_address, &dump, &dump.count);
	if (r < 0)
		live_unknown(live, LIVE_ROUTE, "ip addr", "addresses: %s", strerror(-r));
	else
		hand_out(live, &dump);
}

int live_links(struct live *live, struct error **err)
{
	struct nlmsghdr *request = netlink_begin(&live->route, RTM_GETLINK, NLM_F_DUMP);
	struct capture *capture = live_capture(live, LIVE_ROUTE, "ip -d addr");
	struct link_dump dump = {.live = live};
	struct facts *facts = live->facts;
	size_t sysctls = facts->sysctl_count;
	int r;

	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	for (int again = 0; again < LIVE_DUMPS_MAX; again++) {
		facts->link_count = live->interface_count = dump.pending_count = 0;
		facts->sysctl_count = sysctls;
		r = netlink_ask(&live->route, request, take_link, &dump);
		if (r != -EINTR)
			break;
	}
	if (r < 0 && r != -EINTR)
		return netlink_fail(&live->route, r, err, "cannot list the interfaces");
	facts->links_known = r == 0 ? TRUTH_YES : TRUTH_NO;
	capture->items = (uint32_t)facts->link_count;
	/* Names and flags of all are needed first; the order of the dump is not that of the indexes everywhere. */
	live_sort_interfaces(live);
	settle_names(live, dump.pending, dump.pending_count);
	if (facts->link_count)
		qsort(facts->links, facts->link_count, sizeof(*facts->links), links_by_index);
	read_addresses(live);
	return 0;
}
