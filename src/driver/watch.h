/*
 * Watching a guest that may restart by itself, as a system does that installs itself or updates: how often it was
 * reset, and what its disk got from one reset to the next. One that is reset again and again without getting on is in a
 * boot loop, which no waiting ends: it is stopped where it is, so that its screen can be looked at.
 *
 * It has a monitor of its own, <run_dir>/events, for a QEMU monitor tells events only to who is connected: the other
 * one stays free for screenshots and keys.
 */
#ifndef NESTVISOR_DRIVER_WATCH_H
#define NESTVISOR_DRIVER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct cancel;
struct error;
struct reporter;
struct watch;

/*
 * When resets are a loop. An installation writes gigabytes before the first and hundreds of MiB before the later ones,
 * also where it does nothing but devices and updates; a system that fails at its start writes logs.
 */
enum { WATCH_IDLE_RESETS = 4, WATCH_RESETS = 25 };
#define WATCH_IDLE_BYTES (UINT64_C(64) << 20)

struct watch_count {
	unsigned resets;  /* in all */
	unsigned idle;	  /* the last ones, between which less than WATCH_IDLE_BYTES were written */
	uint64_t written; /* up to the last reset, bytes */
};

/* One reset more, after which so much has been written in all. True: it is a loop. */
bool watch_count_reset(struct watch_count *count, uint64_t written);

/* NULL, without an error, where the guest in run_dir has no such monitor: it does not restart by itself. `path` names
 * the guest in what is reported. */
int watch_open(const char *run_dir, const char *path, struct reporter *reporter, const struct cancel *cancel,
	       struct watch **ret, struct error **err);
void watch_close(struct watch *watch); /* NULL is fine */

static inline void watch_closep(struct watch **watch)
{
	watch_close(*watch);
}
#define cleanup_watch __attribute__((cleanup(watch_closep)))

/*
 * To be called about once a second: reports restarts, and how much was written. -ELOOP, once it was stopped, for a
 * guest that does not get on; -ECONNRESET when QEMU has ended. Presses a key where a CD of Windows asks for one, "Press
 * any key to boot from CD", which it does at the first boot alone and before anything is on the disk.
 */
int watch_turn(struct watch *watch, const struct cancel *cancel, struct error **err);

/* Bytes that its disks read and wrote: grows as long as it does something there. */
uint64_t watch_bytes(const struct watch *watch);
bool watch_installs(const struct watch *watch); /* it has a CD */

#endif
