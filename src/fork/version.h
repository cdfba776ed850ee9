/*
 * Which QEMU wrote a snapshot's memory. Guests get a machine by its short name ("pc"), which is another one with each
 * release of QEMU, and takes no memory of that of an older one; Debian's updates of a release are the same.
 */
#ifndef NESTVISOR_FORK_VERSION_H
#define NESTVISOR_FORK_VERSION_H

#include "base/json.h"

#include <stdbool.h>

struct error;
struct snapshot;
struct store;

/* Of the guest that runs, into the snapshot's JSON; what cannot be found out is left out. */
void version_note(const struct store *store, json_t *json);

/* -ENOTSUP where the QEMU that is there now is of another release. */
int version_check(const struct store *store, const struct snapshot *snapshot, struct error **err);

/* "7.2" of what `qemu --version` says, "QEMU emulator version 7.2.22 (Debian …)"; false: no version is in there. */
enum { VERSION_TEXT_SIZE = 24 };
bool version_parse(const char *text, char ret[VERSION_TEXT_SIZE]);

#endif
