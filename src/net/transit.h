/*
 * The transit link: the two addresses of each family between the namespace and what is behind its uplink. IPv4: a /30
 * of 100.64.0.0/10, the space for links that are nobody's (RFC 6598); IPv6: a /126 of a unique local prefix (RFC 4193).
 * Both follow from the names of lab and host; where the machine uses that part already, the next free one is taken.
 * What a standing uplink has is kept.
 */
#ifndef NESTVISOR_NET_TRANSIT_H
#define NESTVISOR_NET_TRANSIT_H

#include "net/net_internal.h"

struct net_transit {
	struct prefix root4, inside4; /* the outer and the inner end, with the prefix length of the link */
	struct prefix root6, inside6; /* family 0 where the lab has no IPv6 */
};

/* For the cable whose outer end is called so. */
int transit_choose(struct net *net, struct netlink *root, const char *outer, struct net_transit *ret,
		   struct error **err);

#endif
