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
 * What a tunnel is made from stands in its alias. A tunnel whose alias says something else is made anew.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "model/lab.h"
#include "net/net_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { VXLAN_PORT = 4789, GENEVE_PORT = 6081, DUMP_TRIES = 16 };

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
	mnl_attr_put_u16(request, IFLA_VXLAN_PORT, htons(VXLAN_PORT));
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

struct peers {
	int index;
	struct ip *items;
	size_t count;
};

static void collect_peer(const struct nlmsghdr *message, void *data)
{
	static const uint8_t everyone[6];
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[NDA_MAX + 1];
	struct peers *peers = data;
	uint8_t family;

	netlink_attributes(message, sizeof(*header), a, NDA_MAX);
	if (message->nlmsg_type != RTM_NEWNEIGH || header->ndm_ifindex != peers->index || !a[NDA_DST] ||
	    !a[NDA_LLADDR] || mnl_attr_get_payload_len(a[NDA_LLADDR]) != sizeof(everyone) ||
	    memcmp(mnl_attr_get_payload(a[NDA_LLADDR]), everyone, sizeof(everyone)) != 0)
		return;
	family = mnl_attr_get_payload_len(a[NDA_DST]) == 4 ? AF_INET : AF_INET6;
	peers->items = realloc(peers->items, (peers->count + 1) * sizeof(*peers->items));
	if (!peers->items)
		abort();
	peers->items[peers->count++] = netlink_get_ip(a[NDA_DST], family);
}

static int list_peers(struct netlink *nl, const struct link *tunnel, struct peers *ret, struct error **err)
{
	int r = -EINTR;

	*ret = (struct peers){.index = tunnel->index};
	for (int try = 0; r == -EINTR && try < DUMP_TRIES; try++) {
		struct nlmsghdr *request = netlink_begin(nl, RTM_GETNEIGH, NLM_F_DUMP);
		struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

		ret->count = 0;
		header->ndm_family = AF_BRIDGE;
		header->ndm_ifindex = tunnel->index;
		r = netlink_ask(nl, request, collect_peer, ret);
	}
	return r < 0 ? netlink_fail(nl, r, err, "cannot list the peers of %s", tunnel->name) : 0;
}

static bool has_ip(const struct ip *list, size_t count, const struct ip *ip)
{
	for (size_t i = 0; i < count; i++)
		if (ip_equal(&list[i], ip))
			return true;
	return false;
}

static int change_peer(struct netlink *nl, const struct link *tunnel, bool add, const struct ip *peer,
		       struct error **err)
{
	static const uint8_t everyone[6];
	struct nlmsghdr *request =
		netlink_begin(nl, add ? RTM_NEWNEIGH : RTM_DELNEIGH, add ? NLM_F_CREATE | NLM_F_APPEND : 0);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	char text[IP_TEXT_SIZE];
	int r;

	header->ndm_family = AF_BRIDGE;
	header->ndm_ifindex = tunnel->index;
	header->ndm_state = NUD_PERMANENT | NUD_NOARP;
	header->ndm_flags = NTF_SELF;
	mnl_attr_put(request, NDA_LLADDR, sizeof(everyone), everyone);
	netlink_put_ip(request, NDA_DST, peer);
	r = netlink_ask(nl, request, NULL, NULL);
	return r < 0 ? netlink_fail(nl, r, err, "cannot %s the peer %s of %s", add ? "add" : "remove",
				    ip_format(peer, text), tunnel->name)
		     : 0;
}

static int set_peers(struct netlink *nl, const struct link *tunnel, const struct network *network, struct error **err)
{
	struct peers peers;
	int r = list_peers(nl, tunnel, &peers, err);

	for (size_t i = 0; r == 0 && i < peers.count; i++)
		if (!has_ip(network->peers, network->peer_count, &peers.items[i]))
			r = change_peer(nl, tunnel, false, &peers.items[i], err);
	for (size_t i = 0; r == 0 && i < network->peer_count; i++)
		if (!has_ip(peers.items, peers.count, &network->peers[i]))
			r = change_peer(nl, tunnel, true, &network->peers[i], err);
	free(peers.items);
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
		r = set_peers(nl, &tunnel, network, err);
	return r;
}

int net_make_tunnels(struct net *net, struct netlink *inside, const struct network *network, const struct link *bridge,
		     struct error **err)
{
	int r = remove_stale(inside, network, err);

	for (size_t i = 0; r == 0 && i < net_tunnel_count(network); i++)
		r = make_tunnel(net, inside, network, i, bridge, err);
	return r;
}
