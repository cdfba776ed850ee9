/*
 * What a host must know of the layers below it, from the model alone: which networks of deeper hosts can be reached
 * from here with their own addresses, through which of its guests, and how far a guest may reach out.
 */
#ifndef NESTVISOR_NET_REACH_H
#define NESTVISOR_NET_REACH_H

#include "model/lab.h"

/* The guest's address of a family on its first nic that has one: where routes to what lies behind it point. NULL: none.
 */
const struct nic *reach_nic(const struct guest *guest, uint8_t family);

/*
 * The network of `root` through which a network of the lab is reached with addresses of that family: itself where root
 * owns it, else the one that its outermost host is attached to. NULL where it is hidden: a host on the way does
 * not route it (uplink nat or none), or has no fixed address of that family.
 */
const struct network *reach_entry(const struct host *root, const struct network *network, uint8_t family);

/* The subnet of a family; family 0 where the network has none. */
const struct prefix *reach_subnet(const struct network *network, uint8_t family);

#endif
