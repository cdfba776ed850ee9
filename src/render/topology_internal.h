/* What the three pictures of a topology share: what is worth drawing, and the words for it. */
#ifndef NESTVISOR_RENDER_TOPOLOGY_INTERNAL_H
#define NESTVISOR_RENDER_TOPOLOGY_INTERNAL_H

#include "render/topology.h"

/* Has it an address, a port, or something of another host? Loopback addresses and those of the link alone do not count.
 */
bool link_is_drawn(const struct topology_link *link);
bool address_is_drawn(const struct address *address);

/* "L1"; "L1+": at least; "L0?": nobody said whether that host is a guest itself. */
enum { LAYER_TEXT_SIZE = 16 };
const char *layer_name(const struct topology_host *host, char ret[LAYER_TEXT_SIZE]);

const char *link_role_name(const struct topology_link *link); /* "bridge", "tap", "vlan", "interface" */
const char *relation_name(enum relation_kind kind);	      /* "cable", "tap", … */

/* The one interface by which what is not translated is forwarded, where forwarding is known to be on; NULL: none. */
struct topology_link *link_forwards_to(const struct topology_link *link);

/* The networks that an interface's addresses are in, without doubles: "192.168.122.0/24". */
void link_subnets(const struct topology_link *link, uint8_t family, struct strbuf *out);

#endif
