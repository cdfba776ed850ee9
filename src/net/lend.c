/*
 * A tap that is lent to libvirt, whose nwfilter writes its rules where libvirt is, for ports of a bridge. In the host's
 * root namespace the tap gets a bridge that has nothing else on it but one end of a veth; the other end takes the tap's
 * place in the lab, with its name, so that the lab's rules hold the guest as before. (OpenStack's "hybrid" ports are
 * wired like this, for the same reason.)
 *
 *   root namespace of the host                              namespace nestvisor-<lab>
 *   QEMU ── nv<id>t0 ── bridge nv<id>b0 ── nv<id>c0 ── veth ── <tap> ── <bridge of the network>
 *           (libvirt's rules)                                  (the lab's rules)
 *
 * The machine itself must not be met on that bridge: what is for the bridge itself, or for everybody, ends at a table
 * of rules that is called nestvisor/<bridge> and stands before the bridge is up. And the machine says nothing there:
 * its IPv6 is off.
 */
#include "net/network.h"
#include "net/veth.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/nftables.h"
#include "model/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct lent {
	char tap[LINK_NAME_SIZE], bridge[LINK_NAME_SIZE], cable[LINK_NAME_SIZE];
	char inner[LINK_NAME_SIZE]; /* the cable's other end, until the tap's name is free */
	char what[64];		    /* of the bridge, in its alias */
};

static void name_lent(const struct nic *nic, struct lent *ret)
{
	nic_loose_tap(nic, ret->tap);
	snprintf(ret->bridge, sizeof(ret->bridge), "nv%.8sb%u", nic->guest->id, nic->index % 10000);
	snprintf(ret->cable, sizeof(ret->cable), "nv%.8sc%u", nic->guest->id, nic->index % 10000);
	snprintf(ret->inner, sizeof(ret->inner), "nv%.8si%u", nic->guest->id, nic->index % 10000);
	snprintf(ret->what, sizeof(ret->what), "lent %s", nic->tap);
}

int net_remove_lent(struct net *net, struct netlink *root, const char *tap, struct error **err)
{
	cleanup_free struct link *links = NULL;
	char alias[LINK_ALIAS_SIZE];
	size_t count = 0;
	int r = link_list(root, &links, &count, err);

	snprintf(alias, sizeof(alias), "%slent %s", net->names.mark, tap);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (strcmp(links[i].kind, "bridge") == 0 && strcmp(links[i].alias, alias) == 0)
			r = net_remove_lent_bridge(root, &links[i], err);
	return r;
}

static int keep_apart(const char *interface, struct error **err)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", interface);
	return file_exists(path) ? file_poke(path, "1", err) : 0; /* a kernel without IPv6 */
}

static int run_rules(const char *commands, struct error **err)
{
	cleanup_nftables struct nftables nft = NFTABLES_CLOSED;
	int r = nftables_open(-1, 0, &nft, err);

	return r < 0 ? r : nftables_run(&nft, commands, NULL, err);
}

/* In the hook of the bridge that leads to the machine; all that comes that way came from the tap or from the lab. */
static int make_rules(const struct lent *names, struct error **err)
{
	char commands[512];

	snprintf(commands, sizeof(commands),
		 "add table bridge nestvisor/%s\ndelete table bridge nestvisor/%s\n"
		 "table bridge nestvisor/%s {\n\tchain input {\n\t\ttype filter hook input priority 0; policy accept;\n"
		 "\t\tiifname { \"%s\", \"%s\" } drop\n\t}\n}\n",
		 names->bridge, names->bridge, names->bridge, names->tap, names->cable);
	return run_rules(commands, err);
}

int net_remove_lent_bridge(struct netlink *root, const struct link *bridge, struct error **err)
{
	char commands[128];
	int r = link_delete(root, bridge, err);

	snprintf(commands, sizeof(commands), "add table bridge nestvisor/%s\ndelete table bridge nestvisor/%s\n",
		 bridge->name, bridge->name);
	return r < 0 ? r : run_rules(commands, err);
}

static int make_bridge(struct net *net, struct netlink *root, const struct nic *nic, const struct lent *names,
		       struct link *ret, struct error **err)
{
	uint8_t mac[6];
	int r;

	/* As taps do (network_plug_tap): the guest's own with another first byte, and another one than those. */
	memcpy(mac, nic->mac, sizeof(mac));
	mac[0] = mac[0] == 0xf6 ? 0xf2 : 0xf6;
	if (link_get(root, names->bridge, ret) < 0) {
		r = network_create_bridge(root, names->bridge, mac, err);
		if (r < 0)
			return r;
	} else if (!net_is_ours(&net->names, ret)) {
		return error_set(err, EEXIST, "there is an interface %s already, and it is not this lab's",
				 names->bridge);
	}
	r = link_get(root, names->bridge, ret);
	if (r < 0)
		return netlink_fail(root, r, err, "cannot find the bridge %s", names->bridge);
	r = net_put_alias(net, root, ret, names->what, err);
	if (r == 0)
		r = keep_apart(names->bridge, err);
	if (r == 0)
		r = make_rules(names, err);
	if (r == 0 && (r = link_raise(root, ret->index)) < 0)
		netlink_fail(root, r, err, "cannot bring up the bridge %s", names->bridge);
	return r;
}

/* Out of the lab's namespace, under libvirt's name for it. It leaves its bridge by that, and is down. */
static int bring_out(struct netlink *inside, const struct link *tap, const char *name, struct error **err)
{
	cleanup_close int root_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct nlmsghdr *request;
	int r;

	if (root_fd < 0)
		return error_errno(err, errno, "cannot open the host's network namespace");
	request = link_change(inside, tap->index);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)root_fd);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	r = netlink_ask(inside, request, NULL, NULL);
	return r < 0 ? netlink_fail(inside, r, err, "cannot move the tap %s out of the lab's namespace", tap->name) : 0;
}

static int put_on(struct netlink *root, const char *name, const struct link *bridge, unsigned mtu, struct error **err)
{
	struct nlmsghdr *request;
	struct link link;
	int r = link_get(root, name, &link);

	if (r < 0)
		return netlink_fail(root, r, err, "cannot find %s", name);
	r = keep_apart(name, err);
	if (r < 0)
		return r;
	request = link_change(root, link.index);
	mnl_attr_put_u32(request, IFLA_MTU, mtu);
	mnl_attr_put_u32(request, IFLA_MASTER, (uint32_t)bridge->index);
	r = netlink_ask(root, request, NULL, NULL);
	if (r == 0)
		r = link_raise(root, link.index);
	return r < 0 ? netlink_fail(root, r, err, "cannot plug %s into the bridge %s", name, bridge->name) : 0;
}

static int rename_inner(struct netlink *inside, const char *from, const char *to, struct error **err)
{
	struct nlmsghdr *request;
	struct link link;
	int r = link_get(inside, from, &link);

	if (r == 0) {
		request = link_change(inside, link.index);
		mnl_attr_put_strz(request, IFLA_IFNAME, to);
		r = netlink_ask(inside, request, NULL, NULL);
	}
	return r < 0 ? netlink_fail(inside, r, err, "cannot put a cable in the place of the tap %s", to) : 0;
}

static bool is_lent(struct netlink *inside, struct netlink *root, const struct nic *nic, const struct lent *names)
{
	struct link inner, tap, bridge, cable;

	return link_get(inside, nic->tap, &inner) == 0 && strcmp(inner.kind, "veth") == 0 && inner.up &&
	       link_get(root, names->bridge, &bridge) == 0 && bridge.up && link_get(root, names->tap, &tap) == 0 &&
	       tap.master == bridge.index && tap.up && link_get(root, names->cable, &cable) == 0 &&
	       cable.master == bridge.index && cable.up;
}

/* Everything that can be prepared is, before the tap is moved: the guest is without its network for the rest. */
static int lend(struct net *net, const struct nic *nic, struct error **err)
{
	struct netlink *inside, *root;
	struct link bridge, place;
	struct lent names;
	struct veth veth = {.inner = names.inner, .outer = names.cable, .what = names.what};
	int r = net_inside(net, &inside, err);

	name_lent(nic, &names);
	if (r == 0)
		r = net_root(net, &root, err);
	if (r < 0 || is_lent(inside, root, nic, &names))
		return r;
	if (link_get(inside, nic->tap, &place) < 0)
		place = (struct link){0};
	if (strcmp(place.kind, "veth") == 0) /* of one that was killed in the middle */
		veth.inner = nic->tap;
	r = make_bridge(net, root, nic, &names, &bridge, err);
	if (r == 0)
		r = veth_make(net, &veth, root, inside, nic->network->mtu, err);
	if (r == 0)
		r = put_on(root, names.cable, &bridge, nic->network->mtu, err);
	if (r == 0 && strcmp(place.kind, "tun") == 0)
		r = bring_out(inside, &place, names.tap, err);
	if (r == 0)
		r = put_on(root, names.tap, &bridge, nic->network->mtu, err);
	if (r == 0 && veth.inner != nic->tap)
		r = rename_inner(inside, names.inner, nic->tap, err);
	return r < 0 ? r : network_plug_tap(net, inside, nic, err);
}

int net_lend_tap(struct net *net, const struct nic *nic, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = lend(net, nic, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "nic %u of %s", nic->index, nic->guest->path) : 0;
}
