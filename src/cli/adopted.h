/*
 * Labs that were adopted from a libvirt: where the lab file and libvirt differ. nestvisor mends that in neither, so
 * plan tells it and up refuses.
 */
#ifndef NESTVISOR_CLI_ADOPTED_H
#define NESTVISOR_CLI_ADOPTED_H

#include "model/change.h"
#include "model/lab.h"

#include <stddef.h>

struct arena;
struct error;
struct session;

/*
 * Adopts once more what libvirt has now and compares. Domains and networks that the file leaves out are nothing to it.
 * What the file alone can say (world, tags, transport, ssh, policies) is not compared; whether what holds of `world` is
 * in force is the session's to tell.
 */
int adopted_changes(const struct lab *lab, struct session *session, struct arena *arena, struct plan_change **ret,
		    size_t *ret_count, struct error **err);

/* Fills in the names that bridges and taps have now (driver/libvirt_adopted.h). Where libvirt does not answer they stay
 * as they are: whoever needs them asks again and says so. */
void adopted_attach(struct lab *lab);

#endif
