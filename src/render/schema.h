/*
 * The answers that `--json` gives, in one table: their names, versions and JSON Schemas (2020-12). `nestvisor schema
 * --of NAME` prints them; every document carries "schema": "nestvisor/<name>/<version>".
 */
#ifndef NESTVISOR_RENDER_SCHEMA_H
#define NESTVISOR_RENDER_SCHEMA_H

#include "base/json.h"

struct schema {
	const char *name; /* NULL ends the table */
	unsigned version;
	const char *summary;
	const char
		*text; /* JSON: "properties" (without `schema`), "required" and, where it refers to itself, "$defs" */
};

const struct schema *schema_table(void);
const struct schema *schema_find(const char *name); /* NULL: no such answer */

/* "nestvisor/status/1" */
enum { SCHEMA_TAG_SIZE = 64 };
const char *schema_tag(const struct schema *schema, char ret[SCHEMA_TAG_SIZE]);

/* The whole JSON Schema; a new reference. */
json_t *schema_document(const struct schema *schema);

#endif
