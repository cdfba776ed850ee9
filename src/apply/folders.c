#include "apply/folders.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/places.h"
#include "model/lab.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { LOCK_TRIES = 100 };

int folders_of(struct arena *arena, const char *lab, struct folders *ret, struct error **err)
{
	const char *allowed = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(lab);

	if (length == 0 || length > LAB_NAME_MAX || strspn(lab, allowed) != length || strchr("._-", lab[0]))
		return error_set(err, EINVAL,
				 "\"%.60s\" is not a lab's name: it has 1 to %d of a-z, 0-9, '.', '_' and '-', "
				 "and begins with a letter or digit",
				 lab, LAB_NAME_MAX);
	ret->lab = arena_strdup(arena, lab);
	ret->run = arena_printf(arena, "%s/%s", places_run_root(), lab);
	ret->state = arena_printf(arena, "%s/%s", places_state_root(), lab);
	ret->lock = arena_printf(arena, "%s/lock", ret->run);
	ret->lab_file = arena_printf(arena, "%s/lab.json", ret->run);
	return 0;
}

int folders_make(const struct folders *folders, struct error **err)
{
	int r = dir_make(folders->run, 0700, err);

	if (r == 0)
		r = dir_make(folders->state, 0700, err);
	if (r < 0 && geteuid() != 0)
		error_hint(err, "namespaces, taps and nftables need root: run nestvisor as root");
	return r;
}

int folders_lock(const struct folders *folders, const char *what, int wait_ms, struct reporter *reporter,
		 struct cancel *cancel, int *ret_fd, struct error **err)
{
	for (int tries = 1;; tries++) {
		cleanup_error struct error *problem = NULL;
		int r = folders_make(folders, &problem);

		if (r == 0)
			r = file_lock(folders->lock, what, wait_ms, reporter, cancel, ret_fd, &problem);
		/* The holder may be a `down`, with which the folders go while we wait at their lock. */
		if (r == -ENOENT && tries < LOCK_TRIES)
			continue;
		return r < 0 ? error_move(err, &problem) : folders_make(folders, err);
	}
}

int folders_remove(struct arena *arena, const struct folders *folders, bool keep_state, struct error **err)
{
	int r = keep_state ? 0 : dir_remove(folders->state, err);
	cleanup_closedir DIR *dir = r == 0 ? opendir(folders->run) : NULL;
	struct dirent *entry;

	if (r < 0)
		return r;
	if (!dir)
		return errno == ENOENT ? 0 : error_errno(err, errno, "cannot look into %s", folders->run);

	/* Whoever waits takes over as soon as the lock's name is gone, and must not lose what he makes then. */
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, "lock") != 0)
			r = dir_remove(arena_printf(arena, "%s/%s", folders->run, entry->d_name), err);
	if (r < 0)
		return r;
	if (unlink(folders->lock) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot remove %s", folders->lock);
	if (rmdir(folders->run) < 0 && errno != ENOENT && errno != ENOTEMPTY)
		return error_errno(err, errno, "cannot remove %s", folders->run);
	/* The folders above are ours, too; they go with the last lab. */
	rmdir(places_run_root());
	rmdir(places_state_root());
	return 0;
}

const char *folders_guest(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/guests/%s", folders->run, name);
}

const char *folders_guest_file(struct arena *arena, const struct folders *folders, const char *name, const char *file)
{
	return arena_printf(arena, "%s/guests/%s/%s", folders->run, name, file);
}

const char *folders_disk(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/%s.qcow2", folders->state, name);
}

const char *folders_seed(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/%s.seed", folders->state, name);
}

const char *folders_installed(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/%s.installed", folders->state, name);
}

const char *folders_own(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/%s.own", folders->state, name);
}

const char *folders_snapshots(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/%s.snapshots", folders->state, name);
}

const char *folders_current(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/%s.snapshots/current", folders->state, name);
}

const char *folders_active_disk(struct arena *arena, const struct folders *folders, const char *name)
{
	cleanup_free char *overlay = NULL;
	size_t length;

	if (file_read(folders_current(arena, folders, name), 256, &overlay, &length, NULL) < 0)
		return folders_disk(arena, folders, name);
	return arena_printf(arena, "%s/%s", folders_snapshots(arena, folders, name), overlay);
}
