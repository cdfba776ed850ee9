#include "fork/store.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "driver/driver.h"
#include "image/image.h"
#include "image/qcow2.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JSON_LIMIT = 1 << 20, OWN_LIMIT = 64 << 20 };

/* driver/own.h */
#define VARIABLES "variables"
#define TPM_STATE "tpm/tpm2-00.permall"

struct store store_of(struct arena *arena, const struct folders *folders, const struct guest *guest)
{
	struct store store = {.arena = arena, .folders = folders, .guest = guest};

	store.folder = folders_snapshots(arena, folders, guest->name);
	store.run_dir = folders_guest(arena, folders, guest->name);
	store.own = folders_own(arena, folders, guest->name);
	store.driver = driver_of(store.run_dir);
	return store;
}

const char *store_file(const struct store *store, const char *name)
{
	if (strncmp(name, "../", 3) == 0)
		return arena_printf(store->arena, "%s/%s", store->folders->state, name + 3);
	return arena_printf(store->arena, "%s/%s", store->folder, name);
}

int snapshot_check_name(const char *name, struct error **err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t length = strlen(name);

	/* "disk-1.qcow2" is none, lest it be taken for an overlay; nor are the two files of the folder. */
	if (length > 0 && length <= SNAPSHOT_NAME_MAX && strspn(name, allowed) == length && !strchr("._-", name[0]) &&
	    strncmp(name, "disk-", 5) != 0 && strcmp(name, "current") != 0 && strcmp(name, "pending") != 0)
		return 0;
	return error_set(err, EINVAL,
			 "\"%.80s\" is not a snapshot's name: it has 1 to %d letters, digits, '.', '_' and '-', begins "
			 "with a letter or digit, and not with \"disk-\"",
			 name, SNAPSHOT_NAME_MAX);
}

/* ─── what there is ─── */

uint64_t store_size(const char *path)
{
	cleanup_closedir DIR *dir = NULL;
	struct dirent *entry;
	uint64_t total;
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	total = (uint64_t)st.st_blocks * 512;
	dir = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
	while (dir && (entry = readdir(dir))) {
		cleanup_free char *name = NULL;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
			abort();
		total += store_size(name);
	}
	return total;
}

static const char *find_damage(const struct store *store, const struct snapshot *snapshot)
{
	const char *memory = arena_printf(store->arena, "%s/%s/memory", store->folder, snapshot->name);
	const char *own = arena_printf(store->arena, "%s/%s/own", store->folder, snapshot->name);
	struct stat st;

	if (snapshot->disk && !file_exists(store_file(store, snapshot->disk)))
		return arena_printf(store->arena, "its disk, %s, is gone", store_file(store, snapshot->disk));
	if (snapshot->memory && (stat(memory, &st) < 0 || st.st_size != json_get_integer(snapshot->json, "bytes", -1)))
		return arena_printf(store->arena, "its memory, %s, is gone or not whole", memory);
	if (snapshot->variables && !file_exists(arena_printf(store->arena, "%s/" VARIABLES, own)))
		return "its UEFI variables are gone";
	if (snapshot->tpm && !file_exists(arena_printf(store->arena, "%s/" TPM_STATE, own)))
		return "its TPM's state is gone";
	return NULL;
}

static void free_json(void *json)
{
	json_decref(json);
}

int store_read(const struct store *store, const char *name, struct snapshot *ret, struct error **err)
{
	const char *folder = store_file(store, name);
	json_t *json = NULL;
	int r = json_read_file(arena_printf(store->arena, "%s/snapshot.json", folder), JSON_LIMIT, &json, err);

	if (r < 0)
		return r;
	arena_adopt(store->arena, json, free_json);
	*ret = (struct snapshot){.guest = store->guest->path,
				 .name = arena_strdup(store->arena, name),
				 .description = json_get_string(json, "description", ""),
				 .time = json_get_integer(json, "time", 0),
				 .nanoseconds = json_get_integer(json, "nanoseconds", 0),
				 .memory = json_is_true(json_object_get(json, "memory")),
				 .variables = json_is_true(json_object_get(json, "variables")),
				 .tpm = json_is_true(json_object_get(json, "tpm")),
				 .disk = json_get_string(json, "disk", NULL),
				 .qemu = json_get_string(json, "qemu", NULL),
				 .json = json};
	if (!json_is_object(json) || (ret->disk && strchr(ret->disk, '/') && strncmp(ret->disk, "../", 3) != 0))
		return error_set(err, EBADMSG, "%s/snapshot.json is not a snapshot's", folder);
	ret->damage = find_damage(store, ret);
	ret->size = store_size(folder) + (ret->disk ? store_size(store_file(store, ret->disk)) : 0);
	return 0;
}

/* Not what a killed write of `current` or `pending` left: a file beside it with letters at its name's end. */
static bool is_snapshot(const struct dirent *entry)
{
	return entry->d_type != DT_REG && snapshot_check_name(entry->d_name, NULL) == 0;
}

static int by_time(const void *a, const void *b)
{
	const struct snapshot *one = a, *other = b;

	if (one->time != other->time)
		return one->time < other->time ? -1 : 1;
	if (one->nanoseconds != other->nanoseconds)
		return one->nanoseconds < other->nanoseconds ? -1 : 1;
	return strcmp(one->name, other->name);
}

int snapshot_list(struct arena *arena, const struct folders *folders, const struct guest *guest, struct snapshot **ret,
		  size_t *ret_count, struct error **err)
{
	struct store store = store_of(arena, folders, guest);
	cleanup_closedir DIR *dir = opendir(store.folder);
	struct dirent *entry;

	*ret = NULL;
	*ret_count = 0;
	while (dir && (entry = readdir(dir))) {
		struct snapshot one;
		int r;

		if (!is_snapshot(entry))
			continue;
		r = store_read(&store, entry->d_name, &one, err);
		if (r < 0)
			return r;
		*arena_push(arena, *ret, *ret_count) = one;
	}
	if (*ret_count)
		qsort(*ret, *ret_count, sizeof(**ret), by_time);
	return 0;
}

size_t store_count(const char *folder)
{
	cleanup_closedir DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir)))
		count += is_snapshot(entry);
	return count;
}

size_t snapshot_count(const char *lab)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_closedir DIR *dir = NULL;
	struct folders folders;
	struct dirent *entry;
	size_t count = 0;

	if (folders_of(arena, lab, &folders, NULL) < 0)
		return 0;
	dir = opendir(folders.state);
	while (dir && (entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');

		if (dot && strcmp(dot, ".snapshots") == 0)
			count += store_count(arena_printf(arena, "%s/%s", folders.state, entry->d_name));
	}
	return count;
}

int store_find(const struct store *store, const char *name, struct snapshot *ret, struct error **err)
{
	cleanup_strbuf struct strbuf names = {0};
	struct snapshot *list;
	size_t count;
	int r = snapshot_check_name(name, err);

	if (r == 0 && file_exists(arena_printf(store->arena, "%s/%s/snapshot.json", store->folder, name)))
		return store_read(store, name, ret, err);
	if (r == 0)
		r = snapshot_list(store->arena, store->folders, store->guest, &list, &count, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		strbuf_printf(&names, "%s%s", i ? ", " : "", list[i].name);
	r = error_set(err, ENOENT, "%s has no snapshot \"%s\"", store->guest->path, name);
	error_hint(err, count ? "there are: %s" : "nestvisor snapshot %s takes one",
		   count ? names.text : store->guest->path);
	return r;
}

/* ─── what goes on ─── */

bool store_read_pending(const struct store *store, struct pending *ret)
{
	json_t *json = NULL;

	if (json_read_file(store_file(store, "pending"), JSON_LIMIT, &json, NULL) < 0)
		return false;
	arena_adopt(store->arena, json, free_json);
	*ret = (struct pending){.action = json_get_string(json, "do", ""),
				.name = json_get_string(json, "name", ""),
				.disk = json_get_string(json, "disk", NULL),
				.before = json_get_string(json, "before", NULL),
				.without_memory = json_is_true(json_object_get(json, "without-memory"))};
	return true;
}

int store_write_pending(const struct store *store, const struct pending *pending, struct error **err)
{
	cleanup_json json_t *json =
		json_pack("{s:s, s:s, s:s*, s:s*, s:b}", "do", pending->action, "name", pending->name, "disk",
			  pending->disk, "before", pending->before, "without-memory", pending->without_memory);
	int r = dir_make(store->folder, 0700, err);

	return r < 0 ? r : json_write_file(store_file(store, "pending"), json, err);
}

int store_end_pending(const struct store *store, struct error **err)
{
	const char *path = store_file(store, "pending");

	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot remove %s", path);
	return 0;
}

const char *snapshot_interrupted(struct arena *arena, const struct folders *folders, const struct guest *guest)
{
	struct store store = store_of(arena, folders, guest);
	struct pending pending;

	return store_read_pending(&store, &pending) ? arena_printf(arena, "%s %s", pending.action, pending.name) : NULL;
}

/* ─── disks ─── */

static unsigned disk_number(const char *name)
{
	unsigned number = 0;
	int end = 0;

	return sscanf(name, "disk-%u.qcow2%n", &number, &end) == 1 && end && name[end] == '\0' ? number : 0;
}

const char *store_next_disk(const struct store *store)
{
	cleanup_closedir DIR *dir = opendir(store->folder);
	struct dirent *entry;
	unsigned highest = 0;

	while (dir && (entry = readdir(dir)))
		if (disk_number(entry->d_name) > highest)
			highest = disk_number(entry->d_name);
	return arena_printf(store->arena, "disk-%u.qcow2", highest + 1);
}

int store_make_overlay(const struct store *store, const char *name, const char *over, struct cancel *cancel,
		       struct error **err)
{
	const struct image below = {.name = store->guest->path, .disk = over, .disk_format = "qcow2"};

	return image_make_overlay(&below, store_file(store, name), 0, cancel, err);
}

int store_set_current(const struct store *store, const char *name, struct error **err)
{
	const char *path = folders_current(store->arena, store->folders, store->guest->name);

	if (name)
		return file_write_atomic(path, name, strlen(name), 0600, err);
	return unlink(path) < 0 && errno != ENOENT ? error_errno(err, errno, "cannot remove %s", path) : 0;
}

const char *store_current(const struct store *store)
{
	const char *disk = folders_active_disk(store->arena, store->folders, store->guest->name);
	const char *first = folders_disk(store->arena, store->folders, store->guest->name);

	return strcmp(disk, first) == 0 ? NULL : strrchr(disk, '/') + 1;
}

/* The name of an overlay in the folder; NULL for what overlays lie on: the first disk, under which there are none. */
static const char *overlay_name(const struct store *store, const char *path)
{
	size_t length = strlen(store->folder);

	return strncmp(path, store->folder, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

/* Marks an overlay and all that it lies on, as their files say, until one that is marked. */
static int keep(const struct store *store, const char *path, json_t *kept, struct error **err)
{
	const char *name;

	while ((name = overlay_name(store, path)) && !json_object_get(kept, name)) {
		cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
		struct qcow2 disk;
		struct stat st;
		int r;

		json_object_set_new(kept, name, json_true());
		if (fd < 0 || fstat(fd, &st) < 0)
			return error_errno(err, errno, "cannot read %s", path);
		r = qcow2_read_head(fd, path, (uint64_t)st.st_size, &disk, err);
		if (r < 0)
			return r;
		if (disk.backing[0] != '/')
			return error_set(err, EIO, "%s does not say on which disk it lies", path);
		path = arena_strdup(store->arena, disk.backing);
	}
	return 0;
}

int store_depth(const struct store *store, const char *path, size_t *ret, struct error **err)
{
	cleanup_json json_t *kept = json_object();
	int r = keep(store, path, kept, err);

	*ret = json_object_size(kept);
	return r;
}

static int keep_all(const struct store *store, const struct snapshot *list, size_t count, json_t *kept,
		    struct error **err)
{
	int r = keep(store, folders_active_disk(store->arena, store->folders, store->guest->name), kept, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		if (list[i].disk)
			r = keep(store, store_file(store, list[i].disk), kept, err);
	return r;
}

int store_collect(const struct store *store, struct reporter *reporter, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	cleanup_json json_t *kept = json_object();
	cleanup_closedir DIR *dir = NULL;
	struct snapshot *list;
	struct dirent *entry;
	size_t count;
	int r = snapshot_list(store->arena, store->folders, store->guest, &list, &count, err);

	if (r == 0)
		r = dir_remove(store_file(store, ".new"), err);
	if (r == 0)
		r = dir_remove(store_file(store, ".gone"), err);
	if (r < 0)
		return r;
	if (keep_all(store, list, count, kept, &problem) < 0) {
		report(reporter, REPORT_WARNING, store->guest->path,
		       "which of its disks are needed is not known, and none is removed: %s", problem->message);
		return 0;
	}
	dir = opendir(store->folder);
	while (dir && (entry = readdir(dir)))
		if (disk_number(entry->d_name) && !json_object_get(kept, entry->d_name) &&
		    !driver_holds(store->run_dir, store_file(store, entry->d_name)))
			unlink(store_file(store, entry->d_name));
	rmdir(store->folder); /* where it is empty */
	return 0;
}

/* ─── sums ─── */

static const char *const summed[] = {"memory", "own/" VARIABLES, "own/" TPM_STATE};

int store_add_sums(const struct store *store, const char *folder, json_t *json, struct error **err)
{
	json_t *sums = json_object();
	int r = 0;

	json_object_set_new(json, "sums", sums);
	for (size_t i = 0; r == 0 && i < sizeof(summed) / sizeof(*summed); i++) {
		const char *path = arena_printf(store->arena, "%s/%s", folder, summed[i]);
		char sum[HASH_TEXT_SIZE];

		if (!file_exists(path))
			continue;
		r = file_hash(path, sum, err);
		if (r == 0)
			json_object_set_new(sums, summed[i], json_string(sum));
	}
	return r;
}

int store_check_sums(const struct store *store, const struct snapshot *snapshot, bool memory, struct error **err)
{
	const json_t *sums = json_object_get(snapshot->json, "sums");

	for (size_t i = memory ? 0 : 1; i < sizeof(summed) / sizeof(*summed); i++) {
		const char *path = arena_printf(store->arena, "%s/%s/%s", store->folder, snapshot->name, summed[i]);
		const char *expected = json_get_string(sums, summed[i], NULL);
		char sum[HASH_TEXT_SIZE];
		int r = expected ? file_hash(path, sum, err) : 0;

		if (r < 0)
			return r;
		if (!expected || strcmp(sum, expected) == 0)
			continue;
		r = error_set(err, ENODATA, "the snapshot %s of %s is damaged: %s is not as it was written",
			      snapshot->name, snapshot->guest, path);
		if (i == 0 && snapshot->disk)
			error_hint(err, "nestvisor restore --no-memory %s %s boots it from its disk as it was then",
				   snapshot->guest, snapshot->name);
		return r;
	}
	return 0;
}

/* ─── UEFI variables and TPM ─── */

static int copy_file(const char *from, const char *to, struct error **err)
{
	cleanup_free char *bytes = NULL;
	size_t length;
	int r = file_read(from, OWN_LIMIT, &bytes, &length, err);

	return r < 0 ? r : file_write_atomic(to, bytes, length, 0600, err);
}

int store_copy_own(const struct store *store, const char *from, const char *to, bool *ret_variables, bool *ret_tpm,
		   struct error **err)
{
	static const char *const files[] = {VARIABLES, TPM_STATE};
	bool found[2] = {false, false};
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		const char *source = arena_printf(store->arena, "%s/%s", from, files[i]);
		const char *target = arena_printf(store->arena, "%s/%s", to, files[i]);

		found[i] = file_exists(source);
		if (found[i])
			r = dir_make(arena_strndup(store->arena, target, (size_t)(strrchr(target, '/') - target)), 0700,
				     err);
		if (found[i] && r == 0)
			r = copy_file(source, target, err);
	}
	if (ret_variables)
		*ret_variables = found[0];
	if (ret_tpm)
		*ret_tpm = found[1];
	return r;
}
