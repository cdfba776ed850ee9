/*
 * Ending flows (conntrack entries) of guests that are no longer open, by netlink: after the rules that stop their
 * packets, so that nothing of them is left to wake up when they are opened again.
 */
#ifndef NESTVISOR_NET_FLOWS_H
#define NESTVISOR_NET_FLOWS_H

#include "model/isolation.h"
#include "net/net_internal.h"

/*
 * Ends what each guest that is held more tightly after than before has with the world and, as far as it has lost them,
 * with its neighbours: in the namespace and, translated, in the root namespace of the host; and for each that is opened
 * what it has with the resolver of the cut.
 * What others have, and what somebody above began (an administrator), is left alone. `above`: as rules_format.
 */
int flows_end(struct net *net, const struct isolation *before, const struct isolation *after,
	      const struct prefix *above, size_t above_count, size_t *ret_count, struct error **err);

/* Ends all that a guest has, whoever began it. */
int flows_end_all(struct net *net, const struct guest *guest, size_t *ret_count, struct error **err);

#endif
