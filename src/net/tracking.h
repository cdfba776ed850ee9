/* Entries of connection tracking in a namespace: reading all of them, ending one. */
#ifndef NESTVISOR_NET_TRACKING_H
#define NESTVISOR_NET_TRACKING_H

#include "base/ip.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct netlink;

/* What one direction's packets are known by. */
struct side {
	struct ip source, destination;
	uint8_t protocol, icmp_type, icmp_code;
	uint16_t source_port, destination_port; /* of ICMP: the identifier, in both; of GRE: the keys */
};

struct flow {
	struct side original, reply;
};

/*
 * Both call `each` for flows of the namespace in which the socket is, `netns` (-1: the thread's own); where a read is
 * begun anew, for some of them twice. Without connection tracking in the kernel there are none.
 *
 * tracking_read: for all that were there all the time, or it fails: also where the kernel tracks connections there, and
 * does not say which (no ctnetlink).
 * tracking_read_few: in less time where there are few. *ret_all: as tracking_read; otherwise one may have been left
 * out, because others ended meanwhile.
 */
typedef void (*tracking_each)(const struct flow *flow, void *data);
int tracking_read(struct netlink *nl, int netns, tracking_each each, void *data, struct error **err);
int tracking_read_few(struct netlink *nl, int netns, tracking_each each, void *data, bool *ret_all, struct error **err);

/* Ends the flow of which this is the original direction; one that has ended by itself is fine. */
int tracking_end(struct netlink *nl, const struct side *side, struct error **err);

/* A line of /proc/net/nf_conntrack, without the line's end. */
bool tracking_parse(const char *line, struct flow *ret);

#endif
