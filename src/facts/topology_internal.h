/* What the two halves of topology share. Within facts/ only. */
#ifndef NESTVISOR_FACTS_TOPOLOGY_INTERNAL_H
#define NESTVISOR_FACTS_TOPOLOGY_INTERNAL_H

#include "facts/topology.h"

struct topology_link *topology_find_link(const struct topology_host *host, const char *name); /* NULL: none */
/* The default way of a family; NULL: none is known. */
struct topology_way *topology_default_way(const struct topology_host *host, uint8_t family);

/* Fills nats, nat4_known and nat6_known; links and ways must be there. */
void topology_find_nats(struct arena *arena, struct topology_host *host);

#endif
