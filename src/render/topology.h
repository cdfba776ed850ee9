/*
 * A bundle of facts as a picture: the hosts in their layers, their bridges and interfaces with addresses, what connects
 * them, the ways out and what is translated. Says nothing that the facts do not say.
 */
#ifndef NESTVISOR_RENDER_TOPOLOGY_H
#define NESTVISOR_RENDER_TOPOLOGY_H

#include "facts/topology.h"
#include "render/text.h"

/* `name` is what the bundle is called. */
void topology_tree(const struct topology *topology, const char *name, const struct style *style, struct strbuf *out);

/* A Mermaid flowchart: hosts are subgraphs within those of their hosts, interfaces are nodes. See graph_mermaid(). */
void topology_mermaid(const struct topology *topology, const char *name, struct strbuf *out);

/* {"facts", "nodes": [{"id", "kind": "host|interface|network|world", …}], "edges": [{"from", "to", "kind", …}]} */
json_t *topology_json(const struct topology *topology, const char *name);

#endif
