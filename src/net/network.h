/* Shared by the files of net/ that deal with bridges. */
#ifndef NESTVISOR_NET_NETWORK_H
#define NESTVISOR_NET_NETWORK_H

#include "net/net_internal.h"

/* The gateway's, and at home the bridge's own address, derived like those of the nics. */
void network_mac(const struct lab *lab, const struct network *network, uint8_t ret[6]);

/* Switches IPv6 of an interface in the namespace, which is off for new ones. */
int network_set_ipv6(struct net *net, const char *interface, bool on, struct error **err);

int network_create_bridge(struct netlink *nl, const char *name, const uint8_t mac[6], struct error **err);
/* What has the tap's name in the namespace comes onto its network's bridge, and up. */
int network_plug_tap(struct net *net, struct netlink *nl, const struct nic *nic, struct error **err);

#endif
