/* What a resource is made from, as a flat JSON object: what the state remembers, and what the planner compares. */
#ifndef NESTVISOR_PLAN_SPEC_H
#define NESTVISOR_PLAN_SPEC_H

#include "base/json.h"
#include "model/change.h"
#include "model/lab.h"

struct strbuf;

json_t *spec_guest(const struct lab *lab, const struct guest *guest);
json_t *spec_network(const struct network *network);

struct spec_difference {
	enum plan_action action; /* the stronger of PLAN_CHANGE and PLAN_RESTART that it needs */
	bool new_disk;
};

/* Compares two specs of one kind; false when they are the same. The reasons are added to `why`: "memory 128 MiB → 256
 * MiB, …". */
bool spec_differs(const json_t *before, const json_t *after, struct spec_difference *ret, struct strbuf *why);

#endif
