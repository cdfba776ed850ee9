/* What the renderers share: finding a network's position in its lab, and saying the same thing the same way. */
#ifndef NESTVISOR_RENDER_INTERNAL_H
#define NESTVISOR_RENDER_INTERNAL_H

#include "base/json.h"
#include "base/strbuf.h"
#include "model/status.h"
#include "render/status.h"
#include "render/text.h"

struct arena;

/* Positions of networks in lab->networks, by binary search; guests know theirs. Lives in the arena. */
struct positions;
struct positions *positions_new(struct arena *arena, const struct lab *lab);
size_t positions_network(const struct positions *positions, const struct network *network);

/* "192.168.122.191, fd00::1", "dhcp" where an address is left to it, nothing where neither. */
void nic_addresses(const struct nic *nic, struct strbuf *out);
/* The fixed addresses of one NIC, or of all of them, as a JSON array of texts. */
json_t *nic_addresses_json(const struct nic *nic);
json_t *guest_addresses_json(const struct guest *guest);
json_t *network_subnets_json(const struct network *network);
json_t *network_gateways_json(const struct network *network);

/* "127.0.0.1:13389" and "3389/tcp". */
void publish_outside(const struct publish *publish, struct strbuf *out);
void publish_inside(const struct publish *publish, struct strbuf *out);
const char *publish_protocol(const struct publish *publish);

/* Text as a Mermaid label takes it, without the quotes; and a chart's first lines: "lab first". */
void mermaid_label(struct strbuf *out, const char *text);
void mermaid_title(struct strbuf *out, const char *kind, const char *name);

/* The schema of facts follows from their shapes: schema_facts.c is made by tests/unit/test_facts_schema.c. */
extern const char schema_facts[];

enum colour state_colour(enum guest_state state);

#endif
