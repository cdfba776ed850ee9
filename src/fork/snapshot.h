/*
 * Snapshots of one guest of this host: its disk, its memory, its UEFI variables and its TPM as they were at one
 * moment. Those of one that is down have no memory. Guests of deeper hosts are their hosts' affair.
 *
 * In /var/lib/nestvisor/<lab>/<guest>.snapshots/:
 *   <name>/snapshot.json   what it is: below
 *   <name>/memory          as the driver's `save` writes it; missing where the guest was down
 *   <name>/own/            the UEFI variables and the TPM's state, as in driver/own.h
 *   disk-<n>.qcow2         overlays, each over another or the guest's first disk. What a snapshot names is written to
 *                          no more; `current` names the one that the guest writes to
 *   pending                what goes on, or was killed: {"do": "snapshot" | "restore", "name", "disk", "before",
 *                          "without-memory"}
 *   .new/, .gone/          a snapshot that is being made, or removed
 *
 * The order of a snapshot: pending, overlay; then the guest stands still: memory, the switch to the overlay, UEFI
 * variables and TPM, `current`; it runs on; .new is synced and gets its name. Killed before that there is no
 * snapshot, and the guest goes on. Of a restore: pending, a new overlay over the snapshot's disk; the guest is
 * ended, its variables and TPM replaced, `current`; it is started. Killed anywhere the next run does it all again. So a
 * guest never has a disk of one time and the memory of another.
 *
 * snapshot.json has sums of what is in the folder (SHA-256): a snapshot that is damaged is refused before its guest is
 * ended.
 *
 * All but snapshot_list want a session that holds the lock. First snapshot_recover: it finishes what was killed.
 */
#ifndef NESTVISOR_FORK_SNAPSHOT_H
#define NESTVISOR_FORK_SNAPSHOT_H

#include "apply/session.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SNAPSHOT_NAME_MAX = 64 };

struct snapshot {
	const char *guest; /* path */
	const char *name, *description;
	long long time;	       /* seconds since 1970 */
	long long nanoseconds; /* of that second; 0: not known */
	bool memory, variables, tpm;
	const char *disk;   /* the file in the folder, "disk-1.qcow2" or "../a.qcow2"; NULL: the guest has none */
	const char *qemu;   /* that wrote the memory: its version; NULL: unknown, or there is no memory */
	const char *damage; /* what of it is missing, or NULL */
	uint64_t size;	    /* bytes that it takes; its disk's overlay included, what lies below that not */
	json_t *json;	    /* borrowed from the list's arena: all of it */
};

/* -EINVAL for what is no name: a letter or digit, then letters, digits, '.', '_' and '-'. */
int snapshot_check_name(const char *name, struct error **err);

/* Oldest first; in the arena. None is success. */
int snapshot_list(struct arena *arena, const struct folders *folders, const struct guest *guest, struct snapshot **ret,
		  size_t *ret_count, struct error **err);

/* How many the guests of a lab have on this host, by its name alone: the lab file may be gone. */
size_t snapshot_count(const char *lab);

/* What of the guest was begun and not ended, "snapshot x"; NULL: nothing. In the arena. */
const char *snapshot_interrupted(struct arena *arena, const struct folders *folders, const struct guest *guest);

struct snapshot_taken {
	struct snapshot snapshot;
	long long stopped_ms; /* how long the guest stood still */
};

/* -EEXIST: there is one of that name. -EOPNOTSUPP, with what to do instead: an adopted guest, and one with guests of
 * its own. -ENODATA: it is down and has no disk. -EMLINK: as many snapshots as a chain of disks can have were taken one
 * after the other. */
int snapshot_take(struct session *session, const struct guest *guest, const char *name, const char *description,
		  struct arena *arena, struct snapshot_taken *ret, struct error **err);

struct snapshot_restored {
	bool memory;	   /* it goes on from there; false: it was booted */
	size_t flows;	   /* connections that were forgotten with what it was */
	long long behind;  /* seconds since the snapshot */
	const char *clock; /* why the guest's clock could not be set; NULL: it was, or it was booted */
};

/*
 * without_memory: boots from its disk as it was then. -ENOENT: there is no such snapshot; -ENOTSUP: the guest, or QEMU,
 * is another than it was; -ENODATA: part of it is missing. Until then nothing was touched. Where QEMU refuses
 * the memory itself the guest is down, with its disk as it was before.
 */
int snapshot_restore(struct session *session, const struct guest *guest, const char *name, bool without_memory,
		     struct arena *arena, struct snapshot_restored *ret, struct error **err);

int snapshot_remove(struct session *session, const struct guest *guest, const char *name, uint64_t *ret_freed,
		    struct error **err);

/* For every guest of this host: a snapshot that was killed is undone and its guest runs on, a restore is done. */
int snapshot_recover(struct session *session, struct error **err);

#endif
