/* The part of a lab that a guest with guests of its own, or a further machine of L0, has to see to: told, and its
 * answer. */
#ifndef NESTVISOR_APPLY_PART_H
#define NESTVISOR_APPLY_PART_H

#include "model/lab.h"

#include <stdbool.h>

struct error;
struct session;

/*
 * Runs nestvisor there on its part, and takes over in the session's state what it answers. -ETIMEDOUT: the guest's
 * agent has fallen silent; -EPIPE: its QEMU ended.
 */
int part_run(struct session *session, const struct guest *guest, struct error **err);

/* Takes all that is below a guest out of the session's state: it has ended. */
int part_forget(struct session *session, const char *path, struct error **err);

/* Whether that host does not know what holds for its guests (isolate.h), or may not. */
bool part_lags(const struct session *session, const struct guest *guest);

#endif
