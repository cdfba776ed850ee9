/*
 * What nestvisor did for one lab on one host, kept under /run so that it goes with a reboot, as the guests do. (What it
 * did on further machines of layer 0 does not: apply/machines.h.)
 *
 *   state.json   resources and their values at the end of the last run
 *   journal      one JSON line per step since then: {"begin":ID,…} before it is taken, {"done":ID,…} after it
 *
 * A resource is "guest:hv1/a" or "network:hv1/inner" (paths of the whole lab); its value is an object with at least
 * "spec", what it was made from. Opening folds the journal into the state, so a killed run loses nothing: a resource
 * whose step began and did not end has "pending": true. The file is written to a temporary name and renamed; the
 * journal is only emptied after that. Functions may be called from several threads.
 */
#ifndef NESTVISOR_PLAN_STATE_H
#define NESTVISOR_PLAN_STATE_H

#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>

struct error;
struct state;

/* Reads what is there; a folder without state is an empty state. Nothing is written before the first state_begin. */
int state_open(const char *run_dir, struct state **ret, struct error **err);
void state_close(struct state *state); /* NULL is fine */
static inline void state_closep(struct state **state)
{
	state_close(*state);
}
#define cleanup_state __attribute__((cleanup(state_closep)))

/* Journals a step before it is taken. resource and value may be NULL where the step has none. Borrows value. */
int state_begin(struct state *state, const char *step, const char *resource, const json_t *value, struct error **err);

/* Journals its end. value NULL with a resource: the resource is gone. */
int state_done(struct state *state, const char *step, const char *resource, const json_t *value, struct error **err);

/* Sets a resource (value NULL: removes it) without a step of its own: what a guest's nestvisor answered. */
int state_put(struct state *state, const char *resource, const json_t *value, struct error **err);

/* Sets a resource as it was known before a reboot; it is written with the next state_compact. */
void state_recall(struct state *state, const char *resource, const json_t *value);

/* Writes state.json and empties the journal. */
int state_compact(struct state *state, struct error **err);

/* The value of a resource (borrowed, valid until the next change of it), or NULL. */
json_t *state_get(struct state *state, const char *resource);

/* All resources as they are now: a new object of key → value. */
json_t *state_resources(struct state *state);

/* The steps that a killed run had begun and not ended, as found at opening: "start hv1/a, image micro"; or NULL. */
const char *state_interrupted(const struct state *state);

#endif
