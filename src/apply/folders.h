/*
 * Where things of a lab are kept on a host.
 *
 *   /run/nestvisor/<lab>/                lock, journal, state.json, lab.json (the lab as applied), dnsmasq's files
 *   /run/nestvisor/<lab>/guests/<name>/  pid, qmp, qga, console, logs of a guest of this host
 *   /var/lib/nestvisor/<lab>/            overlays and seeds: <name>.qcow2, <name>.seed
 *
 * NESTVISOR_RUN_DIR and NESTVISOR_STATE_DIR replace the first two parts of these.
 */
#ifndef NESTVISOR_APPLY_FOLDERS_H
#define NESTVISOR_APPLY_FOLDERS_H

struct arena;
struct error;

struct folders {
	const char *lab;
	const char *run, *state; /* of this lab */
	const char *lock, *lab_file;
};

const char *folders_run_root(void);
const char *folders_state_root(void);

/* Refuses names that are no lab names, so that none can lead out of the folders. Makes nothing. Strings live in the
 * arena. */
int folders_of(struct arena *arena, const char *lab, struct folders *ret, struct error **err);
int folders_make(const struct folders *folders, struct error **err);

const char *folders_guest(struct arena *arena, const struct folders *folders, const char *name);
const char *folders_guest_file(struct arena *arena, const struct folders *folders, const char *name, const char *file);
const char *folders_disk(struct arena *arena, const struct folders *folders, const char *name);
const char *folders_seed(struct arena *arena, const struct folders *folders, const char *name);

#endif
