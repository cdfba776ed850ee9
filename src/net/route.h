/* Routes of the main table and what else a namespace's routing tables hold (rtnetlink(7), RTM_*ROUTE). */
#ifndef NESTVISOR_NET_ROUTE_H
#define NESTVISOR_NET_ROUTE_H

#include "base/ip.h"
#include "base/netlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct route {
	struct prefix to; /* length 0: the default route */
	struct ip via;	  /* family 0: on the link */
	struct ip source; /* the preferred source address; family 0: the kernel's choice */
	int interface;	  /* index; of several next hops the first; 0: none (blackhole) */
	uint8_t type;	  /* RTN_UNICAST, … */
	uint8_t protocol;
	uint8_t tos;
	uint32_t table;
	uint32_t metric; /* the lowest wins; 0: none, which is IPv4's lowest */
};

/* Every route of both families, of every table; freed by the caller. */
int route_list(struct netlink *nl, struct route **ret, size_t *ret_count, struct error **err);

/* Interfaces whose routes of our mark are to be certain ones. */
struct route_scope {
	const int *interfaces;
	size_t count;
	/* In a lab's namespace, in which nobody else has a say: of the main table no route may be there in place of a
	 * wanted one, to the same prefix or, where that is the default route, to a half or a quarter of all addresses.
	 */
	bool alone;
};

/*
 * Makes the routes that carry our mark and leave by one of the given interfaces exactly these: missing ones are added,
 * stale ones removed, others left alone. A route to the same prefix that is not ours is a failure, or, where the scope
 * is alone, removed.
 */
int route_set(struct netlink *nl, const struct route *wanted, size_t count, const struct route_scope *scope,
	      struct error **err);
/* Whether they are these already. */
int route_check(struct netlink *nl, const struct route *wanted, size_t count, const struct route_scope *scope,
		bool *ret_same, struct error **err);

#endif
