/* Facts as JSON, both ways: the document nestvisor/facts/1 (docs/facts.md). */
#ifndef NESTVISOR_FACTS_JSON_H
#define NESTVISOR_FACTS_JSON_H

#include "base/json.h"
#include "facts/bundle.h"
#include "facts/stats.h"

/* The members of the document, without "schema"; of one host only where `host` names it. A new reference. */
json_t *bundle_json(const struct bundle *bundle, const char *host);
json_t *stats_json(const struct stats *stats);
/* Reads what bundle_json() wrote into an empty bundle that has an arena. */
int bundle_from_json(const json_t *document, struct bundle *bundle, struct error **err);
/* Do two bundles say the same? */
bool bundle_equal(const struct bundle *a, const struct bundle *b);
/* The JSON Schema of the document: properties, required and $defs. A new reference. */
json_t *bundle_schema(void);

#endif
