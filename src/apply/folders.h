/*
 * Where things of a lab are kept on a host.
 *
 *   /run/nestvisor/<lab>/                lock, journal, state.json, lab.json (the lab as applied), dnsmasq's files
 *   /run/nestvisor/<lab>/guests/<name>/  pid, qmp, qga, console, logs of a guest of this host
 *   /var/lib/nestvisor/<lab>/            overlays and seeds: <name>.qcow2, <name>.seed; <name>.own/ (driver/own.h);
 *                                        <name>.installed where Windows was installed (boot.h);
 *                                        <name>.snapshots/ (fork/snapshot.h)
 *
 * The first two parts of these are those of base/places.h.
 */
#ifndef NESTVISOR_APPLY_FOLDERS_H
#define NESTVISOR_APPLY_FOLDERS_H

#include <stdbool.h>

struct arena;
struct cancel;
struct error;
struct reporter;

struct folders {
	const char *lab;
	const char *run, *state; /* of this lab */
	const char *lock, *lab_file;
};

/* Refuses names that are no lab names, so that none can lead out of the folders. Makes nothing. Strings live in the
 * arena. */
int folders_of(struct arena *arena, const char *lab, struct folders *ret, struct error **err);
int folders_make(const struct folders *folders, struct error **err);

/* Makes the folders and locks the lab; wait_ms < 0: waits for the holder, however long. -EBUSY: another holds it. */
int folders_lock(const struct folders *folders, const char *what, int wait_ms, struct reporter *reporter,
		 struct cancel *cancel, int *ret_fd, struct error **err);

/* The other end of it, for whoever holds the lock: removes the lab's folders, the lock last of all. */
int folders_remove(struct arena *arena, const struct folders *folders, bool keep_state, struct error **err);

const char *folders_guest(struct arena *arena, const struct folders *folders, const char *name);
const char *folders_guest_file(struct arena *arena, const struct folders *folders, const char *name, const char *file);
const char *folders_disk(struct arena *arena, const struct folders *folders, const char *name);
const char *folders_seed(struct arena *arena, const struct folders *folders, const char *name);
const char *folders_installed(struct arena *arena, const struct folders *folders, const char *name);
const char *folders_own(struct arena *arena, const struct folders *folders, const char *name);
const char *folders_snapshots(struct arena *arena, const struct folders *folders, const char *name);
/* What the guest writes to: folders_disk at first, after a snapshot or a restore an overlay over it. */
const char *folders_active_disk(struct arena *arena, const struct folders *folders, const char *name);
/* <name>.snapshots/current, where the name of that overlay stands. */
const char *folders_current(struct arena *arena, const struct folders *folders, const char *name);

#endif
