/*
 * What makes changes last on a host (verify/lasting.h), carried out: files are read there, what is to stand in them is
 * put where it belongs, and they are written back in one rename, or commands are run. Undo puts back exactly what was
 * there, unless somebody else changed it since.
 */
#ifndef NESTVISOR_CLI_LASTING_H
#define NESTVISOR_CLI_LASTING_H

#include "cli/fixing.h"

/* Adds to the fix what makes these changes last. -ENOTSUP, with what to do, where a host has nothing that would carry
 * them out at its start. */
int lasting_add(struct fixing *fixing, struct change *const *changes, size_t count, struct error **err);

#endif
