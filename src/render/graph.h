/*
 * A lab as a picture: its layers, hosts, networks, guests, and what connects them. From the lab alone, or with what
 * runs of it (`status` may be NULL everywhere).
 */
#ifndef NESTVISOR_RENDER_GRAPH_H
#define NESTVISOR_RENDER_GRAPH_H

#include "base/json.h"
#include "model/lab.h"
#include "model/status.h"
#include "render/text.h"

/* The tree of layers: under each host its networks, then its guests. */
void graph_tree(const struct lab *lab, const struct lab_status *status, const struct style *style, struct strbuf *out);

/*
 * A Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html): hosts are subgraphs that hold their networks and
 * guests, NICs are edges that carry addresses, uplinks lead to a node `world`. Node ids are made from positions, never
 * from names, and labels are escaped: no name can break the syntax or add markup. Cut and sealed guests differ by shape
 * and by colour.
 */
void graph_mermaid(const struct lab *lab, const struct lab_status *status, struct strbuf *out);

/* {"lab", "nodes": [{"id", "kind": "host|network|guest|world", …}], "edges": [{"from", "to", "kind", …}]} */
json_t *graph_json(const struct lab *lab, const struct lab_status *status);

#endif
