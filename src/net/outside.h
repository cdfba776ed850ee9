/* The host's own network as far as it matters to an uplink: where its default route leads, and whether it forwards. */
#ifndef NESTVISOR_NET_OUTSIDE_H
#define NESTVISOR_NET_OUTSIDE_H

#include "net/net_internal.h"

struct outside {
	bool default4, default6;	/* it has a default route */
	char interface[LINK_NAME_SIZE]; /* the IPv4 one's, or "" */
	unsigned mtu;			/* of that interface; 1500 without one */
	bool forwards4, forwards6;
	/* The chain that drops what is forwarded, "ip filter FORWARD"; "" where the sysctl alone decides. IPv4, then
	 * IPv6. */
	char chain4[96], chain6[96];
};

int outside_look(struct net *net, struct netlink *root, struct outside *ret, struct error **err);

/* Notes the base chains that drop what is forwarded in the output of `nft list chains`. */
void outside_find_drops(const char *chains, struct outside *ret);

/* On a host that is a guest of the lab: forwarding on, for both families. */
int outside_switch_on(struct outside *outside, struct error **err);

/* What to do so that it forwards, for both ways out of the lab. */
void outside_warn(const struct net *net, const struct outside *outside, bool pasta_failed, struct reporter *reporter);
void outside_warn6(const struct net *net, const struct outside *outside, struct reporter *reporter);

#endif
