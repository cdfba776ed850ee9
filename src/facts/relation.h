/* How the hosts of a bundle hang together. Within facts/ only. */
#ifndef NESTVISOR_FACTS_RELATION_H
#define NESTVISOR_FACTS_RELATION_H

#include "base/json.h"
#include "facts/bundle.h"
#include "facts/text.h"

/* Finds all relations; `links` is links.json, or NULL. */
void relate_hosts(struct pool *pool, struct bundle *bundle, const json_t *links, const char *source);

/* By its kind, or where that was not captured because it has ports. */
bool link_is_bridge(const struct facts *host, const struct link *link);

#endif
