#include "fork/snapshot.h"

#include "apply/up.h"
#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "driver/driver.h"
#include "fork/guard.h"
#include "fork/store.h"
#include "fork/version.h"
#include "plan/spec.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* libvirt refuses chains of more than 200 files; below the first overlay there are the first disk and images. */
enum { DEPTH_MAX = 180 };

struct take {
	struct session *session;
	const struct store *store;
	const char *name, *description;
	const char *over;    /* the disk that the guest writes to until then; NULL: it has none */
	const char *overlay; /* the name of the one from then on; NULL */
	bool running, variables, tpm;
};

static const char *new_file(const struct take *take, const char *name)
{
	return arena_printf(take->store->arena, "%s/.new/%s", take->store->folder, name);
}

/* Back to where nothing was taken; what the guest writes to is what its QEMU has, whatever was killed meanwhile. */
static int settle(const struct store *store, const char *overlay, struct reporter *reporter, struct error **err)
{
	struct driver_state state = {0};
	int r = store->driver->look(store->run_dir, &state, err);

	if (r == 0 && state.running)
		r = store->driver->pause(store->run_dir, err);
	if (r == 0 && overlay && state.running && driver_holds(store->run_dir, store_file(store, overlay)))
		r = store_set_current(store, overlay, err);
	if (r == 0 && state.running)
		r = store->driver->resume(store->run_dir, err);
	if (r == 0)
		r = store_end_pending(store, err);
	return r < 0 ? r : store_collect(store, reporter, err);
}

/* What stands still is copied, and then goes on. */
static int stand_still(struct take *take, struct driver_save *save, long long *ret_ms, struct error **err)
{
	const struct store *store = take->store;
	long long began = clock_ms();
	int r = store->driver->save(store->run_dir, save, take->session->cancel, err);

	if (r == 0)
		r = store_copy_own(store, store->own, new_file(take, "own"), &take->variables, &take->tpm, err);
	if (r == 0 && take->overlay)
		r = store_set_current(store, take->overlay, err);
	if (r == 0)
		r = store->driver->resume(store->run_dir, err);
	*ret_ms = clock_ms() - began;
	return r;
}

static struct timespec time_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

static int describe(const struct take *take, struct error **err)
{
	const struct store *store = take->store;
	const struct session *s = take->session;
	const struct timespec now = time_now();
	const char *memory = new_file(take, "memory"), *slash = take->over ? strrchr(take->over, '/') : NULL;
	cleanup_json json_t *json = json_pack(
		"{s:s, s:s, s:I, s:I, s:b, s:b, s:b, s:o}", "name", take->name, "description", take->description,
		"time", (json_int_t)now.tv_sec, "nanoseconds", (json_int_t)now.tv_nsec, "memory", take->running,
		"variables", take->variables, "tpm", take->tpm, "spec", spec_guest(s->lab, store->guest));
	struct stat st;
	int r = 0;

	if (slash && strcmp(take->over, folders_disk(store->arena, store->folders, store->guest->name)) == 0)
		json_object_set_new(json, "disk", json_string(arena_printf(store->arena, "..%s", slash)));
	else if (slash)
		json_object_set_new(json, "disk", json_string(slash + 1));
	if (take->running) {
		r = file_sync(memory, err);
		if (r == 0 && stat(memory, &st) < 0)
			r = error_errno(err, errno, "cannot read %s", memory);
		if (r == 0)
			json_object_set_new(json, "bytes", json_integer(st.st_size));
		version_note(store, json);
	}
	if (r == 0)
		r = store_add_sums(store, store_file(store, ".new"), json, err);
	return r < 0 ? r : json_write_file(new_file(take, "snapshot.json"), json, err);
}

static int carry_out(struct take *take, long long *ret_ms, struct error **err)
{
	const struct store *store = take->store;
	struct driver_save save = {.memory = new_file(take, "memory")};
	int r = 0;

	if (take->overlay) {
		save.disk = take->over;
		save.overlay = store_file(store, take->overlay);
		r = store_make_overlay(store, take->overlay, take->over, take->session->cancel, err);
	}
	if (r == 0 && take->running)
		r = stand_still(take, &save, ret_ms, err);
	else if (r == 0)
		r = store_copy_own(store, store->own, new_file(take, "own"), &take->variables, &take->tpm, err);
	if (r == 0 && !take->running)
		r = store_set_current(store, take->overlay, err);
	if (r == 0)
		r = describe(take, err);
	if (r == 0 && rename(store_file(store, ".new"), store_file(store, take->name)) < 0)
		r = error_errno(err, errno, "cannot name %s", store_file(store, take->name));
	if (r == 0)
		r = dir_sync(store->folder, err);
	return r < 0 ? r : store_end_pending(store, err);
}

static int check_depth(const struct take *take, struct error **err)
{
	const struct guest *guest = take->store->guest;
	size_t depth = 0;
	int r = take->over ? store_depth(take->store, take->over, &depth, err) : 0;

	if (r < 0 || depth < DEPTH_MAX)
		return r;
	r = error_set(err, EMLINK,
		      "the disk of %s lies on %zu others, one for each snapshot taken since the first: more QEMU and "
		      "libvirt do not take, and removing snapshots does not make it less",
		      guest->path, depth);
	error_hint(err, "nestvisor restore %s SNAPSHOT goes back to an older one, and on from there", guest->path);
	return r;
}

static int prepare(struct take *take, struct error **err)
{
	const struct store *store = take->store;
	const char *path = store->guest->path, *disk;
	struct driver_state state = {0};
	struct pending pending = {.action = "snapshot", .name = take->name};
	int r = snapshot_check_name(take->name, err);

	if (r == 0)
		r = guard_kind(take->session, store->guest, err);
	if (r == 0 && file_exists(store_file(store, take->name))) {
		r = error_set(err, EEXIST, "%s has a snapshot \"%s\" already", path, take->name);
		error_hint(err, "nestvisor snapshot --remove %s %s, or another name", path, take->name);
	}
	if (r == 0)
		r = store->driver->look(store->run_dir, &state, err);
	if (r == 0 && state.running)
		r = apply_check_drift(take->session, store->guest, store->run_dir, err);
	if (r < 0)
		return r;
	take->running = state.running;
	disk = folders_active_disk(store->arena, store->folders, store->guest->name);
	take->over = file_exists(disk) ? disk : NULL;
	if (!take->running && !take->over) {
		r = error_set(err, ENODATA, "%s is down and has no disk: there is nothing that could be kept", path);
		error_hint(err, "nestvisor up starts it");
		return r;
	}
	r = check_depth(take, err);
	if (r < 0)
		return r;
	if (take->over)
		pending.disk = take->overlay = store_next_disk(store);
	r = dir_make(store->folder, 0700, err);
	if (r == 0)
		r = store_write_pending(store, &pending, err);
	if (r == 0)
		r = dir_make(store_file(store, ".new"), 0700, err);
	return r;
}

int snapshot_take(struct session *session, const struct guest *guest, const char *name, const char *description,
		  struct arena *arena, struct snapshot_taken *ret, struct error **err)
{
	struct store store = store_of(arena, &session->folders, guest);
	struct take take = {
		.session = session, .store = &store, .name = name, .description = description ? description : ""};
	int r = prepare(&take, err);

	*ret = (struct snapshot_taken){0};
	if (r < 0)
		return r;
	report(session->reporter, REPORT_BEGIN, guest->path, "taking the snapshot %s", name);
	r = carry_out(&take, &ret->stopped_ms, err);
	if (r < 0) {
		cleanup_error struct error *problem = NULL;

		error_wrap(err, "no snapshot of %s was taken", guest->path);
		if (settle(&store, take.overlay, session->reporter, &problem) < 0)
			report(session->reporter, REPORT_WARNING, guest->path, "%s", problem->message);
	}
	report(session->reporter, r < 0 ? REPORT_FAILED : REPORT_ENDED, guest->path, "no snapshot");
	return r < 0 ? r : store_read(&store, name, &ret->snapshot, err);
}

int snapshot_remove(struct session *session, const struct guest *guest, const char *name, uint64_t *ret_freed,
		    struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct store store = store_of(arena, &session->folders, guest);
	struct snapshot snapshot;
	uint64_t before = store_size(store.folder), after;
	int r = store_find(&store, name, &snapshot, err);

	if (r == 0)
		r = dir_remove(store_file(&store, ".gone"), err);
	if (r == 0 && rename(store_file(&store, name), store_file(&store, ".gone")) < 0)
		r = error_errno(err, errno, "cannot remove %s", store_file(&store, name));
	if (r == 0)
		r = store_collect(&store, session->reporter, err);
	after = store_size(store.folder);
	*ret_freed = before > after ? before - after : 0;
	return r;
}

static int recover_one(struct session *s, struct arena *arena, const struct guest *guest, struct error **err)
{
	struct store store = store_of(arena, &s->folders, guest);
	struct snapshot_restored restored;
	struct pending pending;

	if (!store_read_pending(&store, &pending))
		return 0;
	if (strcmp(pending.action, "restore") == 0) {
		report(s->reporter, REPORT_NOTE, guest->path,
		       "its restore to %s was interrupted: it is done from the beginning", pending.name);
		return snapshot_restore(s, guest, pending.name, pending.without_memory, arena, &restored, err);
	}
	if (file_exists(store_file(&store, pending.name)))
		report(s->reporter, REPORT_NOTE, guest->path, "its snapshot %s is whole", pending.name);
	else
		report(s->reporter, REPORT_NOTE, guest->path,
		       "its snapshot %s was interrupted: there is none, and the guest goes on", pending.name);
	return settle(&store, pending.disk, s->reporter, err);
}

int snapshot_recover(struct session *session, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct host *root = session->lab->root;
	int r = 0;

	for (size_t i = 0; r == 0 && !session->lab->adopted && i < root->guest_count; i++)
		r = recover_one(session, arena, root->guests[i], err);
	return r;
}
