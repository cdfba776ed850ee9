/* The files of a guest's snapshots, for the other files of this folder (see snapshot.h). */
#ifndef NESTVISOR_FORK_STORE_H
#define NESTVISOR_FORK_STORE_H

#include "fork/snapshot.h"

struct driver_ops;
struct reporter;

/* A guest and its folders; strings live in the arena. */
struct store {
	struct arena *arena;
	const struct folders *folders;
	const struct guest *guest;
	const char *folder; /* of its snapshots */
	const char *run_dir, *own;
	const struct driver_ops *driver;
};

struct store store_of(struct arena *arena, const struct folders *folders, const struct guest *guest);
/* The path of a file in there, or of the guest's first disk, "../a.qcow2". */
const char *store_file(const struct store *store, const char *name);

/* -ENOENT, with the names that there are. */
int store_find(const struct store *store, const char *name, struct snapshot *ret, struct error **err);

/* How many snapshots a folder of them has. */
size_t store_count(const char *folder);

/* Fills the snapshot from its folder; -EBADMSG for what is no snapshot. */
int store_read(const struct store *store, const char *name, struct snapshot *ret, struct error **err);

struct pending {
	const char *action; /* "snapshot", "restore" */
	const char *name, *disk, *before;
	bool without_memory;
};
/* false: nothing goes on. */
bool store_read_pending(const struct store *store, struct pending *ret);
int store_write_pending(const struct store *store, const struct pending *pending, struct error **err);
int store_end_pending(const struct store *store, struct error **err);

/* "disk-4.qcow2": a name that none has had which is still in use. */
const char *store_next_disk(const struct store *store);
/* An empty overlay of that name over a disk (a path). */
int store_make_overlay(const struct store *store, const char *name, const char *over, struct cancel *cancel,
		       struct error **err);
/* Which the guest writes to from now on; NULL: its first disk. What `current` says: NULL, too. */
int store_set_current(const struct store *store, const char *name, struct error **err);
const char *store_current(const struct store *store);
/* On how many overlays a disk lies, itself included; -EIO or what else kept one of them from being read. */
int store_depth(const struct store *store, const char *path, size_t *ret, struct error **err);
/* Removes overlays that neither the guest (its QEMU, if it runs) nor a snapshot needs, and what was left of .new and
 * .gone. Where an overlay cannot be read, on what it lies is not known: none is removed then, and it is reported. */
int store_collect(const struct store *store, struct reporter *reporter, struct error **err);

/* SHA-256 of a snapshot's memory, UEFI variables and TPM, as they are in its folder, into its JSON. */
int store_add_sums(const struct store *store, const char *folder, json_t *json, struct error **err);
/* -ENODATA: they are not as they were written. Snapshots without sums pass. */
int store_check_sums(const struct store *store, const struct snapshot *snapshot, bool memory, struct error **err);

/* Copies UEFI variables and the TPM's state from one folder to another, which is made; those that are not there are
 * left out. ret_ may be NULL. */
int store_copy_own(const struct store *store, const char *from, const char *to, bool *ret_variables, bool *ret_tpm,
		   struct error **err);

/* Bytes on disk of a file, or of all in a folder. */
uint64_t store_size(const char *path);

#endif
