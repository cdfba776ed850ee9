/*
 * A network that reaches over to other machines: its bridge gets the end of a tunnel as one more port. The tunnel's
 * device lies in the lab's namespace, its UDP socket where the device was made: the request is sent in the host's own
 * namespace and names the lab's as the place for the device, so that the packets on the outside are the host's.
 *
 * VXLAN (RFC 7348): one device; frames for unknown addresses and broadcasts are copied to every peer, who are the
 * entries for the address 00:00:00:00:00:00 in the device's forwarding table (bridge(8), "fdb append"). GENEVE (RFC
 * 8926): the kernel's device has one peer, so there is one for each. Peers are a full mesh: what comes in from one must
 * not go out to another, or it would go round for ever. That is so of itself in VXLAN; GENEVE's ports are made isolated
 * ones, between which a bridge does not forward.
 *
 * A stretched network's machines know each other's guests. Their Ethernet addresses stand in the device's table for
 * good, and the kernel drops what comes from such an address and another peer (vxlan_snoop() in vxlan_core.c): no
 * machine can be another's guest, nor the gateway, for whoever looks at Ethernet addresses. The bridge's rules do
 * (rules_bridge.c). That the packets are the peer's is for the host's own rules (guard.c), and the network between.
 *
 * What a tunnel is made from stands in its alias. A tunnel whose alias says something else is made anew.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "model/lab.h"
#include "net/net_internal.h"
#include "net/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { GENEVE_PORT = 6081, DUMP_TRIES = 16 };
enum { LEARN_LIMIT = 65536 }; /* addresses, so that no peer can fill the machine's memory with some that it invents */

size_t net_tunnel_count(const struct network *network)
{
	switch (network->encapsulation) {
	case ENCAP_VXLAN:
		return 1;
	case ENCAP_GENEVE:
		return network->peer_count;
	case ENCAP_NONE:
		break;
	}
	return 0;
}

void net_tunnel_name(const struct network *network, size_t i, char ret[LINK_NAME_SIZE])
{
	char suffix[8];

	/* A character that no name in a lab file has, so that no bridge or tap is called the same. */
	snprintf(suffix, sizeof(suffix), "~%u", (unsigned)i % 10000);
	model_derive_interface(network->name, suffix, ret);
}

static void describe(const struct network *network, size_t i, char *ret, size_t size)
{
	char peer[IP_TEXT_SIZE] = "";

	if (network->encapsulation == ENCAP_GENEVE)
		ip_format(&network->peers[i], peer);
	snprintf(ret, size, "tunnel %s %s %u %s", network->name, encapsulation_name(network->encapsulation),
		 network->vni, peer);
}

static void put_vxlan(struct nlmsghdr *request, const struct network *network)
{
	const struct ip any6 = {.family = AF_INET6};

	mnl_attr_put_u32(request, IFLA_VXLAN_ID, network->vni);
	mnl_attr_put_u16(request, IFLA_VXLAN_PORT, htons(NET_VXLAN_PORT));
	if (network_is_stretched(network))
		mnl_attr_put_u32(request, IFLA_VXLAN_LIMIT, LEARN_LIMIT);
	/* The family of the socket. */
	if (network->peer_count && network->peers[0].family == AF_INET6)
		netlink_put_ip(request, IFLA_VXLAN_LOCAL6, &any6);
}

static void put_geneve(struct nlmsghdr *request, const struct network *network, size_t i)
{
	const struct ip *peer = &network->peers[i];

	mnl_attr_put_u32(request, IFLA_GENEVE_ID, network->vni);
	mnl_attr_put_u16(request, IFLA_GENEVE_PORT, htons(GENEVE_PORT));
	netlink_put_ip(request, peer->family == AF_INET ? IFLA_GENEVE_REMOTE : IFLA_GENEVE_REMOTE6, peer);
}

static int create(struct net *net, const struct network *network, size_t i, const char *name, struct error **err)
{
	bool vxlan = network->encapsulation == ENCAP_VXLAN;
	const char *kind_name = vxlan ? "vxlan" : "geneve";
	struct nlmsghdr *request;
	struct link_kind kind;
	struct netlink *root;
	int r = net_root(net, &root, err);

	if (r < 0)
		return r;
	request = link_create(root, name);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)net->netns);
	kind = link_kind_begin(request, kind_name);
	if (vxlan)
		put_vxlan(request, network);
	else
		put_geneve(request, network, i);
	link_kind_end(request, &kind);
	r = netlink_ask(root, request, NULL, NULL);
	if (r == 0)
		return 0;
	netlink_fail(root, r, err, "cannot make the %s tunnel %s with VNI %u", kind_name, name, network->vni);
	if (r == -EEXIST)
		error_hint(err, "another tunnel of this host has this VNI: give the network another one");
	else if (r == -EOPNOTSUPP)
		error_hint(err, "this kernel has no %s (modprobe %s)", kind_name, kind_name);
	return r;
}

static int plug(struct netlink *nl, const struct link *tunnel, const struct network *network, const struct link *bridge,
		struct error **err)
{
	struct nlmsghdr *request = link_change(nl, tunnel->index);
	int r;

	mnl_attr_put_u32(request, IFLA_MTU, network->mtu);
	mnl_attr_put_u32(request, IFLA_MASTER, (uint32_t)bridge->index);
	r = netlink_ask(nl, request, NULL, NULL);
	if (r == 0 && network->encapsulation == ENCAP_GENEVE) {
		struct nlattr *port;

		request = link_change(nl, tunnel->index);
		((struct ifinfomsg *)mnl_nlmsg_get_payload(request))->ifi_family = AF_BRIDGE;
		port = mnl_attr_nest_start(request, IFLA_PROTINFO | NLA_F_NESTED);
		mnl_attr_put_u8(request, IFLA_BRPORT_ISOLATED, 1);
		mnl_attr_nest_end(request, port);
		r = netlink_ask(nl, request, NULL, NULL);
	}
	if (r == 0)
		r = link_raise(nl, tunnel->index);
	return r < 0 ? netlink_fail(nl, r, err, "cannot plug %s into the bridge %s", tunnel->name, bridge->name) : 0;
}

/* What stays in the device's forwarding table: behind which peer an Ethernet address is. */
struct entry {
	uint8_t mac[6]; /* all 0: whatever is for everybody, or for an address that is not known */
	struct ip peer;
};

struct entries {
	int index;
	struct entry *items;
	size_t count;
};

static void add_entry(struct entries *list, const uint8_t mac[6], const struct ip *peer)
{
	list->items = realloc(list->items, (list->count + 1) * sizeof(*list->items));
	if (!list->items)
		abort();
	list->items[list->count].peer = *peer;
	memcpy(list->items[list->count++].mac, mac, sizeof(list->items->mac));
}

static void clear_entries(struct entries *list)
{
	free(list->items);
}
#define cleanup_entries __attribute__((cleanup(clear_entries)))

static void collect_entry(const struct nlmsghdr *message, void *data)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[NDA_MAX + 1];
	struct entries *list = data;
	struct ip peer;

	netlink_attributes(message, sizeof(*header), a, NDA_MAX);
	if (message->nlmsg_type != RTM_NEWNEIGH || header->ndm_ifindex != list->index ||
	    !(header->ndm_state & NUD_PERMANENT) || !a[NDA_DST] || !a[NDA_LLADDR] ||
	    mnl_attr_get_payload_len(a[NDA_LLADDR]) != sizeof(list->items->mac))
		return;
	peer = netlink_get_ip(a[NDA_DST], mnl_attr_get_payload_len(a[NDA_DST]) == 4 ? AF_INET : AF_INET6);
	add_entry(list, mnl_attr_get_payload(a[NDA_LLADDR]), &peer);
}

static int list_entries(struct netlink *nl, const struct link *tunnel, struct entries *ret, struct error **err)
{
	int r = -EINTR;

	ret->index = tunnel->index;
	for (int try = 0; r == -EINTR && try < DUMP_TRIES; try++) {
		struct nlmsghdr *request = netlink_begin(nl, RTM_GETNEIGH, NLM_F_DUMP);
		struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

		ret->count = 0;
		header->ndm_family = AF_BRIDGE;
		header->ndm_ifindex = tunnel->index;
		r = netlink_ask(nl, request, collect_entry, ret);
	}
	return r < 0 ? netlink_fail(nl, r, err, "cannot list what is behind %s", tunnel->name) : 0;
}

static bool has_entry(const struct entries *list, const struct entry *entry)
{
	for (size_t i = 0; i < list->count; i++)
		if (ip_equal(&list->items[i].peer, &entry->peer) &&
		    memcmp(list->items[i].mac, entry->mac, sizeof(entry->mac)) == 0)
			return true;
	return false;
}

static int change_entry(struct netlink *nl, const struct link *tunnel, bool add, const struct entry *entry,
			struct error **err)
{
	static const uint8_t everyone[6];
	/* Everyone is behind many peers, an address behind one: what was learned of it is replaced. */
	const uint16_t how = memcmp(entry->mac, everyone, sizeof(everyone)) == 0 ? NLM_F_APPEND : NLM_F_REPLACE;
	struct nlmsghdr *request = netlink_begin(nl, add ? RTM_NEWNEIGH : RTM_DELNEIGH, add ? NLM_F_CREATE | how : 0);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	char ip[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];
	int r;

	header->ndm_family = AF_BRIDGE;
	header->ndm_ifindex = tunnel->index;
	header->ndm_state = NUD_PERMANENT | NUD_NOARP;
	header->ndm_flags = NTF_SELF;
	mnl_attr_put(request, NDA_LLADDR, sizeof(entry->mac), entry->mac);
	netlink_put_ip(request, NDA_DST, &entry->peer);
	r = netlink_ask(nl, request, NULL, NULL);
	return r < 0 ? netlink_fail(nl, r, err, "cannot %s %s behind the peer %s of %s", add ? "put" : "take away",
				    mac_format(entry->mac, mac), ip_format(&entry->peer, ip), tunnel->name)
		     : 0;
}

static void collect_wanted(const struct lab *lab, const struct network *network, struct entries *ret)
{
	static const uint8_t everyone[6];
	uint8_t mac[6];

	for (size_t i = 0; i < network->peer_count; i++)
		add_entry(ret, everyone, &network->peers[i]);
	for (size_t i = 0; i < network->far_count; i++)
		if (network->far[i].machine.family)
			add_entry(ret, network->far[i].mac, &network->far[i].machine);
	if (network_is_home(network))
		return;
	network_mac(lab, network, mac);
	add_entry(ret, mac, &network->home);
}

static int set_entries(const struct lab *lab, struct netlink *nl, const struct link *tunnel,
		       const struct network *network, struct error **err)
{
	cleanup_entries struct entries there = {0}, wanted = {0};
	int r = list_entries(nl, tunnel, &there, err);

	collect_wanted(lab, network, &wanted);
	for (size_t i = 0; r == 0 && i < there.count; i++)
		if (!has_entry(&wanted, &there.items[i]))
			r = change_entry(nl, tunnel, false, &there.items[i], err);
	for (size_t i = 0; r == 0 && i < wanted.count; i++)
		if (!has_entry(&there, &wanted.items[i]))
			r = change_entry(nl, tunnel, true, &wanted.items[i], err);
	return r;
}

/* Tunnels that the network does not have any more, the last one first: a kill on the way leaves no gap in the numbers.
 */
static int remove_stale(struct netlink *nl, const struct network *network, struct error **err)
{
	size_t wanted = net_tunnel_count(network), there = wanted;
	char name[LINK_NAME_SIZE];
	struct link tunnel;
	int r = 0;

	for (;; there++) {
		net_tunnel_name(network, there, name);
		if (link_get(nl, name, &tunnel) < 0)
			break;
	}
	while (r == 0 && there > wanted) {
		net_tunnel_name(network, --there, name);
		if (link_get(nl, name, &tunnel) == 0)
			r = link_delete(nl, &tunnel, err);
	}
	return r;
}

static int make_tunnel(struct net *net, struct netlink *nl, const struct network *network, size_t i,
		       const struct link *bridge, struct error **err)
{
	char name[LINK_NAME_SIZE], what[128];
	struct link tunnel;
	int r;

	net_tunnel_name(network, i, name);
	describe(network, i, what, sizeof(what));
	r = link_get(nl, name, &tunnel);
	if (r == 0 &&
	    (!net_is_ours(&net->names, &tunnel) || strcmp(tunnel.alias + strlen(net->names.mark), what) != 0)) {
		r = link_delete(nl, &tunnel, err);
		if (r < 0)
			return r;
		r = -ENODEV;
	}
	if (r < 0) {
		r = create(net, network, i, name, err);
		if (r == 0 && (r = link_get(nl, name, &tunnel)) < 0)
			netlink_fail(nl, r, err, "cannot find the tunnel %s", name);
	}
	if (r == 0)
		r = net_put_alias(net, nl, &tunnel, what, err);
	if (r == 0 && (tunnel.master != bridge->index || !tunnel.up || tunnel.mtu != network->mtu))
		r = plug(nl, &tunnel, network, bridge, err);
	if (r == 0 && network->encapsulation == ENCAP_VXLAN)
		r = set_entries(net->lab, nl, &tunnel, network, err);
	return r;
}

int net_make_tunnels(struct net *net, struct netlink *inside, const struct network *network, const struct link *bridge,
		     struct error **err)
{
	int r = network_is_stretched(network) ? net_make_guard(net, err) : 0;

	if (r == 0)
		r = remove_stale(inside, network, err);
	for (size_t i = 0; r == 0 && i < net_tunnel_count(network); i++)
		r = make_tunnel(net, inside, network, i, bridge, err);
	return r;
}
