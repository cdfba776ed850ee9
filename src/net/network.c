/*
 * A network is a bridge with the gateway's addresses; of one that is at home on another machine it has none (tunnel.c).
 * A guest's nic is a tap on it. The tap lives as long as somebody holds its descriptor, which is the guest's QEMU: when
 * that dies in whatever way, the kernel removes the tap, and there is nothing to clean up. Nothing else holds it
 * (nestvisor closes its copy once QEMU has started).
 */
#include "net/network.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "model/lab.h"
#include "net/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TAP_FREE_MS = 2000 };

/* No guest has a nic of this number, so no guest has the bridge's address, even one with the network's path. */
enum { BRIDGE_NIC = 0xffff, BRIDGE_AWAY_NIC = 0xfffe };

void network_mac(const struct lab *lab, const struct network *network, uint8_t ret[6])
{
	model_derive_mac(lab->name, network->path, BRIDGE_NIC, ret);
}

/* Away from home the gateway is behind a port, so the bridge's own address is another. */
static void bridge_mac(const struct lab *lab, const struct network *network, uint8_t ret[6])
{
	if (network_is_home(network))
		network_mac(lab, network, ret);
	else
		model_derive_mac(lab->name, network->path, BRIDGE_AWAY_NIC, ret);
}

int network_create_bridge(struct netlink *nl, const char *name, const uint8_t mac[6], struct error **err)
{
	struct nlmsghdr *request = link_create(nl, name);
	struct link_kind kind;
	int r;

	/* Said, not left to the kernel, which would take the lowest of its ports: guests remember their gateway's. */
	mnl_attr_put(request, IFLA_ADDRESS, 6, mac);
	kind = link_kind_begin(request, "bridge");
	mnl_attr_put_u32(request, IFLA_BR_FORWARD_DELAY, 0);
	mnl_attr_put_u32(request, IFLA_BR_STP_STATE, 0);
	/* Without a querier on the link, snooping only finds ways to lose neighbour discovery. */
	mnl_attr_put_u8(request, IFLA_BR_MCAST_SNOOPING, 0);
	link_kind_end(request, &kind);
	r = netlink_ask(nl, request, NULL, NULL);
	return r < 0 ? netlink_fail(nl, r, err, "cannot make the bridge %s", name) : 0;
}

/* Both at once; nothing is sent where both are so already. */
static int set_mac_and_mtu(struct netlink *nl, const struct link *link, const uint8_t mac[6], unsigned mtu,
			   struct error **err)
{
	struct nlmsghdr *request = link_change(nl, link->index);
	bool change = false;
	int r;

	if (memcmp(link->mac, mac, sizeof(link->mac)) != 0) {
		mnl_attr_put(request, IFLA_ADDRESS, 6, mac);
		change = true;
	}
	if (link->mtu != mtu) {
		mnl_attr_put_u32(request, IFLA_MTU, mtu);
		change = true;
	}
	r = change ? netlink_ask(nl, request, NULL, NULL) : 0;
	return r < 0 ? netlink_fail(nl, r, err, "cannot set %s to an MTU of %u", link->name, mtu) : 0;
}

int network_set_ipv6(struct net *net, const char *interface, bool on, struct error **err)
{
	char path[80];
	int r;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", interface);
	r = netns_poke(net->netns, path, on ? "0" : "1", on ? err : NULL);
	if (r < 0 && on)
		error_hint(err, "the kernel has no IPv6 (ipv6.disable=1?): leave the IPv6 subnets out of the lab");
	return on ? r : 0;
}

static int set_gateways(struct net *net, struct netlink *nl, const struct network *network, const struct link *bridge,
			bool fresh, struct error **err)
{
	struct prefix addresses[3] = {{.ip = network->gateway4, .length = network->subnet4.length},
				      {.ip = network->gateway6, .length = network->subnet6.length}};
	bool home = network_is_home(network), ipv6 = home && network->subnet6.ip.family != 0;
	int r = 0;

	if (ipv6) {
		uint8_t mac[6];

		network_mac(net->lab, network, mac);
		addresses[2] = (struct prefix){.ip = link_local(mac), .length = 64};
	}
	if (ipv6 || !fresh) /* a fresh one has none */
		r = network_set_ipv6(net, bridge->name, ipv6, err);
	return r < 0 ? r : link_set_addresses(nl, bridge, addresses, home ? 3 : 0, err);
}

static int make_network(struct net *net, const struct network *network, struct error **err)
{
	uint8_t mac[6];
	struct netlink *nl;
	struct link bridge;
	char what[128];
	int r = net_inside(net, &nl, err), known;

	if (r < 0)
		return r;
	if (strcmp(network->bridge, NET_WORLD) == 0 || strcmp(network->bridge, "lo") == 0)
		return error_set(err, EINVAL, "a network cannot be called \"%s\": there is such an interface already",
				 network->name);
	bridge_mac(net->lab, network, mac);
	known = link_get(nl, network->bridge, &bridge);
	if (known < 0) {
		r = network_create_bridge(nl, network->bridge, mac, err);
		if (r == 0 && (r = link_get(nl, network->bridge, &bridge)) < 0)
			netlink_fail(nl, r, err, "cannot find the bridge %s", network->bridge);
	} else if (strcmp(bridge.kind, "bridge") != 0) {
		r = error_set(err, EEXIST, "there is an interface %s already, and it is not a bridge", network->bridge);
	}
	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "network %s", network->name);
	r = net_put_alias(net, nl, &bridge, what, err);
	if (r == 0)
		r = set_mac_and_mtu(nl, &bridge, mac, network->mtu, err);
	if (r == 0 && (r = link_raise(nl, bridge.index)) < 0)
		netlink_fail(nl, r, err, "cannot bring up the bridge %s", network->bridge);
	if (r == 0)
		r = set_gateways(net, nl, network, &bridge, known < 0, err);
	return r < 0 ? r : net_make_tunnels(net, nl, network, &bridge, err);
}

int net_make_network(struct net *net, const struct network *network, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = make_network(net, network, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "network %s", network->path) : 0;
}

/* Removes what is on the bridge and was made with it; taps are their guests'. */
static int remove_network(struct net *net, const char *name, struct error **err)
{
	cleanup_free struct link *links = NULL;
	struct link bridge;
	struct netlink *nl;
	size_t count = 0;
	int r = net_inside(net, &nl, err);

	if (r < 0 || link_get(nl, name, &bridge) < 0 || !net_is_ours(&net->names, &bridge))
		return r;
	r = link_list(nl, &links, &count, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (links[i].master == bridge.index && net_is_ours(&net->names, &links[i]) &&
		    strcmp(links[i].kind, "tun") != 0)
			r = link_delete(nl, &links[i], err);
	return r < 0 ? r : link_delete(nl, &bridge, err);
}

int net_remove_network(struct net *net, const char *bridge, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = net_end_dhcp(net->run_dir, bridge, err);
	if (r == 0 && net->netns >= 0)
		r = remove_network(net, bridge, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "network on the bridge %s", bridge) : 0;
}

/*
 * A tap has one owner. A QEMU that was killed lets go of its own a little after it has ended: its io_uring, which waits
 * for all its descriptors, is taken apart by a worker of the kernel (io_ring_exit_work()).
 */
static int take_tap(int fd, struct ifreq *request)
{
	long long end = clock_ms() + TAP_FREE_MS;

	while (ioctl(fd, TUNSETIFF, request) < 0)
		if (errno != EBUSY || clock_ms() >= end || cancel_sleep(NULL, 10) < 0)
			return -1;
	return 0;
}

static int open_queue(const char *name, short flags, int *ret, struct error **err)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};
	int r;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	*ret = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (*ret < 0) {
		r = error_errno(err, errno, "cannot open /dev/net/tun");
		error_hint(err, "modprobe tun; a container needs the device passed in");
		return r;
	}
	if (take_tap(*ret, &request) == 0)
		return 0;
	r = error_errno(err, errno, "cannot make the tap %s", name);
	if (r == -EBUSY)
		error_hint(err, "a running guest still has it");
	return r;
}

/*
 * Makes the device, or with one queue opens one that has lasted: it belongs to the namespace that /dev/net/tun was
 * opened in. A tap of several queues has no owner: whoever opens it gets one more. So that none is added to those of a
 * QEMU that ends, the first open is to make it.
 */
static int open_queues(const char *name, bool several, size_t count, int *ret_fds, struct error **err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = open_queue(name, several ? (short)(IFF_MULTI_QUEUE | (i == 0 ? IFF_TUN_EXCL : 0)) : 0, &ret_fds[i],
			       err);
	return r;
}

static void close_queues(size_t count, int *fds)
{
	for (size_t i = 0; i < count; i++)
		cleanup_closep(&fds[i]);
}

/* Closes, where it fails, what it opened. */
static int create_tap(int netns, const char *name, bool several, bool lasting, size_t count, int *ret_fds,
		      struct error **err)
{
	struct netns_visit visit;
	int r;

	for (size_t i = 0; i < count; i++)
		ret_fds[i] = -1;
	r = netns_enter(netns, &visit, err);
	if (r < 0)
		return r;
	r = open_queues(name, several, count, ret_fds, err);
	if (r == 0 && ioctl(ret_fds[0], TUNSETPERSIST, lasting) < 0)
		r = error_errno(err, errno, "cannot make the tap %s", name);
	netns_leave(&visit);
	if (r < 0)
		close_queues(count, ret_fds);
	return r;
}

int network_plug_tap(struct net *net, struct netlink *nl, const struct nic *nic, struct error **err)
{
	struct link tap, bridge;
	struct nlmsghdr *request;
	uint8_t mac[6];
	char what[128];
	int r = link_get(nl, nic->network->bridge, &bridge);

	if (r < 0) {
		netlink_fail(nl, r, err, "cannot find the bridge %s", nic->network->bridge);
		return r;
	}
	r = link_get(nl, nic->tap, &tap);
	if (r < 0)
		return netlink_fail(nl, r, err, "cannot find the tap %s", nic->tap);
	/* The guest's own address with another first byte: stable, and never taken for the guest's. */
	memcpy(mac, nic->mac, sizeof(mac));
	mac[0] = mac[0] == 0xfe ? 0xfa : 0xfe;
	snprintf(what, sizeof(what), "tap %s %u", nic->guest->name, nic->index);
	r = net_put_alias(net, nl, &tap, what, err);
	if (r == 0)
		r = set_mac_and_mtu(nl, &tap, mac, nic->network->mtu, err);
	if (r < 0)
		return r;
	request = link_change(nl, tap.index);
	mnl_attr_put_u32(request, IFLA_MASTER, (uint32_t)bridge.index);
	r = netlink_ask(nl, request, NULL, NULL);
	if (r < 0)
		return netlink_fail(nl, r, err, "cannot plug %s into the bridge %s", nic->tap, bridge.name);
	r = link_raise(nl, tap.index);
	return r < 0 ? netlink_fail(nl, r, err, "cannot bring up the tap %s", nic->tap) : 0;
}

int net_make_tap(struct net *net, const struct nic *nic, size_t queues, int *ret_fds, struct error **err)
{
	bool made = false;
	struct netlink *nl;
	int r;

	pthread_mutex_lock(&net->mutex);
	r = net_inside(net, &nl, err);
	if (r == 0)
		r = create_tap(net->netns, nic->tap, queues > 1, false, queues, ret_fds, err);
	made = r == 0;
	if (r == 0)
		r = network_plug_tap(net, nl, nic, err);
	pthread_mutex_unlock(&net->mutex);
	if (r < 0 && made)
		close_queues(queues, ret_fds);
	return r < 0 ? error_wrap(err, "nic %u of %s", nic->index, nic->guest->path) : 0;
}

/* Removes a tap that nobody has open any more, or that is about to be nobody's; or the cable in its place (lend.c). */
static int remove_stale_tap(const struct net *net, struct netlink *nl, const char *name, struct error **err)
{
	struct link link;

	if (link_get(nl, name, &link) < 0 ||
	    (strcmp(link.kind, "tun") != 0 && (strcmp(link.kind, "veth") != 0 || !net_is_ours(&net->names, &link))))
		return 0;
	return link_delete(nl, &link, err);
}

static int make_loose_tap(struct net *net, const struct nic *nic, bool several_queues, struct error **err)
{
	cleanup_close int fd = -1;
	char name[INTERFACE_NAME_SIZE], what[128];
	struct netlink *inside, *root;
	struct link tap;
	int r = net_inside(net, &inside, err);

	nic_loose_tap(nic, name);
	if (r == 0)
		r = remove_stale_tap(net, inside, nic->tap, err);
	if (r == 0)
		r = net_root(net, &root, err);
	if (r == 0)
		r = remove_stale_tap(net, root, name, err);
	if (r == 0)
		r = net_remove_lent(net, root, nic->tap, err);
	if (r == 0)
		r = create_tap(-1, name, several_queues, true, 1, &fd, err);
	if (r < 0)
		return r;
	r = link_get(root, name, &tap);
	if (r < 0)
		return netlink_fail(root, r, err, "cannot find the tap %s", name);
	snprintf(what, sizeof(what), "tap %s %u", nic->guest->name, nic->index);
	return net_put_alias(net, root, &tap, what, err);
}

int net_make_loose_tap(struct net *net, const struct nic *nic, bool several_queues, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = make_loose_tap(net, nic, several_queues, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "nic %u of %s", nic->index, nic->guest->path) : 0;
}

/* Into the lab's namespace under its name there, in one request; it arrives without an address and down. */
static int move_tap(struct net *net, struct netlink *root, const char *from, const char *to, struct error **err)
{
	struct nlmsghdr *request;
	struct link tap;
	int r = link_get(root, from, &tap);

	if (r < 0)
		return netlink_fail(root, r, err, "cannot find the tap %s", from);
	request = link_change(root, tap.index);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)net->netns);
	mnl_attr_put_strz(request, IFLA_IFNAME, to);
	r = netlink_ask(root, request, NULL, NULL);
	return r < 0 ? netlink_fail(root, r, err, "cannot move the tap %s into the lab's namespace", from) : 0;
}

int net_plug_tap(struct net *net, const struct nic *nic, struct error **err)
{
	struct netlink *inside, *root;
	char name[INTERFACE_NAME_SIZE];
	int r;

	nic_loose_tap(nic, name);
	pthread_mutex_lock(&net->mutex);
	r = net_inside(net, &inside, err);
	if (r == 0)
		r = net_root(net, &root, err);
	if (r == 0)
		r = move_tap(net, root, name, nic->tap, err);
	if (r == 0)
		r = network_plug_tap(net, inside, nic, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "nic %u of %s", nic->index, nic->guest->path) : 0;
}

/* Of starts that were killed before the tap came to its network, and of those that were lent. */
int net_remove_loose_taps(const struct net_names *names, struct error **err)
{
	cleanup_free struct link *links = NULL;
	struct netlink root;
	size_t count = 0;
	int r = netlink_open(&root, -1, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	r = link_list(&root, &links, &count, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (net_is_ours(names, &links[i]) && strcmp(links[i].kind, "tun") == 0)
			r = link_delete(&root, &links[i], err);
		else if (net_is_ours(names, &links[i]) && strcmp(links[i].kind, "bridge") == 0)
			r = net_remove_lent_bridge(&root, &links[i], err);
	netlink_close(&root);
	return r;
}

static int remove_tap(struct net *net, const char *tap, struct error **err)
{
	struct netlink *inside, *root;
	int r = 0;

	if (net->netns < 0 || strcmp(tap, NET_WORLD) == 0 || strcmp(tap, NET_ADMIN) == 0)
		return 0;
	r = net_inside(net, &inside, err);
	if (r == 0)
		r = remove_stale_tap(net, inside, tap, err);
	if (r == 0)
		r = net_root(net, &root, err);
	return r < 0 ? r : net_remove_lent(net, root, tap, err);
}

int net_remove_tap(struct net *net, const char *tap, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = remove_tap(net, tap, err);
	pthread_mutex_unlock(&net->mutex);
	return r;
}
