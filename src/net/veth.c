#include "net/veth.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The outer end is born where it stays: moving it there would make the kernel wait twice for all its processors. So for
 * a moment it has no mark. It is never taken for ours by its name, though: a run killed in that moment leaves the inner
 * end, too, and removing that removes both.
 */
static int create(struct net *net, const struct veth *veth, struct netlink *root, struct netlink *inside, unsigned mtu,
		  struct error **err)
{
	cleanup_close int root_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct nlmsghdr *request = link_create(inside, veth->inner);
	struct link inner, outer;
	struct link_kind kind;
	struct nlattr *peer;
	int r;

	if (root_fd < 0)
		return error_errno(err, errno, "cannot open the host's network namespace");
	mnl_attr_put_u32(request, IFLA_MTU, mtu);
	kind = link_kind_begin(request, "veth");
	peer = mnl_attr_nest_start(request, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, IFLA_IFNAME, veth->outer);
	mnl_attr_put_u32(request, IFLA_MTU, mtu);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)root_fd);
	mnl_attr_nest_end(request, peer);
	link_kind_end(request, &kind);
	r = netlink_ask(inside, request, NULL, NULL);
	if (r == -EEXIST)
		return error_set(err, EEXIST, "there is an interface %s already, and it is not this lab's",
				 veth->outer);
	if (r == 0)
		r = link_get(inside, veth->inner, &inner);
	if (r < 0)
		return netlink_fail(inside, r, err, "cannot make the veth pair %s", veth->outer);
	r = link_get(root, veth->outer, &outer);
	if (r < 0)
		return netlink_fail(root, r, err, "cannot find %s", veth->outer);
	r = net_put_alias(net, root, &outer, veth->what, err);
	return r < 0 ? r : net_put_alias(net, inside, &inner, veth->what, err);
}

/* First the inner end, which takes the outer one with it; what is left outside is either marked or not ours. */
int veth_remove(struct net *net, const struct veth *veth, struct netlink *root, struct netlink *inside,
		struct error **err)
{
	struct link link;
	int r = link_get(inside, veth->inner, &link) == 0 ? link_delete(inside, &link, err) : 0;

	if (r == 0 && link_get(root, veth->outer, &link) == 0 && net_is_ours(&net->names, &link))
		r = link_delete(root, &link, err);
	return r;
}

static int set_mtu(struct netlink *nl, const struct link *link, unsigned mtu, struct error **err)
{
	struct nlmsghdr *request;
	int r;

	if (link->mtu == mtu)
		return 0;
	request = link_change(nl, link->index);
	mnl_attr_put_u32(request, IFLA_MTU, mtu);
	r = netlink_ask(nl, request, NULL, NULL);
	return r < 0 ? netlink_fail(nl, r, err, "cannot set %s to an MTU of %u", link->name, mtu) : 0;
}

int veth_make(struct net *net, const struct veth *veth, struct netlink *root, struct netlink *inside, unsigned mtu,
	      struct error **err)
{
	struct link inner, outer;
	int r;

	if (link_get(inside, veth->inner, &inner) == 0 && strcmp(inner.kind, "veth") == 0 &&
	    link_get(root, veth->outer, &outer) == 0 && net_is_ours(&net->names, &outer)) {
		r = set_mtu(inside, &inner, mtu, err);
		return r < 0 ? r : set_mtu(root, &outer, mtu, err);
	}
	r = veth_remove(net, veth, root, inside, err);
	return r < 0 ? r : create(net, veth, root, inside, mtu, err);
}

int veth_set_sysctls(const char *outer, bool ipv6, struct error **err)
{
	const struct {
		const char *family, *key, *value;
	} settings[] = {
		{"ipv4", "forwarding", "1"}, {"ipv6", "disable_ipv6", ipv6 ? "0" : "1"}, {"ipv6", "accept_ra", "0"}};

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		char path[96];
		int r;

		snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", settings[i].family, outer, settings[i].key);
		if (i > 0 && !ipv6 && !file_exists(path)) /* a kernel without IPv6 */
			continue;
		r = file_poke(path, settings[i].value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int veth_check_addresses(struct netlink *nl, const char *name, const struct prefix addresses[2], bool *ret_has,
			 struct error **err)
{
	struct link link;

	*ret_has = link_get(nl, name, &link) == 0 && link.up;
	return *ret_has ? link_check_addresses(nl, &link, addresses, 2, ret_has, err) : 0;
}

int veth_set_addresses(struct netlink *nl, const struct link *link, struct prefix addresses[3], struct error **err)
{
	if (addresses[1].ip.family)
		addresses[2] = (struct prefix){.ip = link_local(link->mac), .length = 64};
	return link_set_addresses(nl, link, addresses, 3, err);
}
