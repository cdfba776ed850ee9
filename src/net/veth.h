/*
 * A cable between the lab's namespace and the host's root namespace, known by its mark: the uplink is one, the way in
 * for administrators another.
 */
#ifndef NESTVISOR_NET_VETH_H
#define NESTVISOR_NET_VETH_H

#include "net/net_internal.h"

struct veth {
	const char *inner, *outer; /* what its ends are called */
	const char *what;	   /* in their alias */
};

/* Makes it, with the mark and this MTU, or what is there so. Its ends are down at first. */
int veth_make(struct net *net, const struct veth *veth, struct netlink *root, struct netlink *inside, unsigned mtu,
	      struct error **err);
/* Both ends; an outer end that is not ours stays. */
int veth_remove(struct net *net, const struct veth *veth, struct netlink *root, struct netlink *inside,
		struct error **err);

/* Of the outer end: it forwards, takes no router advertisements, and has IPv6 or not. */
int veth_set_sysctls(const char *outer, bool ipv6, struct error **err);

/*
 * The transit addresses and, with IPv6, a link-local one in the third place: for a packet that is forwarded, and not
 * its own, Linux asks for the next hop with that address or not at all (ndisc_send_ns in net/ipv6/ndisc.c).
 */
int veth_set_addresses(struct netlink *nl, const struct link *link, struct prefix addresses[3], struct error **err);
/* Whether that end is there, up, and has the transit addresses. */
int veth_check_addresses(struct netlink *nl, const char *name, const struct prefix addresses[2], bool *ret_has,
			 struct error **err);

#endif
