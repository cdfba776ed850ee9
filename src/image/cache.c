#include "image/image_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/report.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { JSON_LIMIT = 4 << 20, KEEP_IMAGES = 3 };

int cache_prepare(const char *cache, struct error **err)
{
	static const char *const folders[] = {"layers", "images", "current", "known"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		cleanup_free char *path = NULL;
		int r;

		if (asprintf(&path, "%s/%s", cache, folders[i]) < 0)
			abort();
		r = dir_make(path, 0755, err);
		if (r < 0) {
			error_wrap(err, "images are kept in %s", cache);
			error_hint(err, "set NESTVISOR_CACHE to a folder that you may write to, or run as root");
			return r;
		}
	}
	return 0;
}

static uint64_t free_bytes(const char *folder)
{
	struct statvfs st;

	return statvfs(folder, &st) < 0 ? UINT64_MAX : (uint64_t)st.f_bavail * st.f_frsize;
}

int cache_fail_full(const struct image_build *build, struct error **err)
{
	uint64_t have = free_bytes(build->cache);
	int r = error_set(err, ENOSPC, "making image %s needs about %llu MB in %s, and %llu MB are free there",
			  build->recipe->name, (unsigned long long)build->recipe->needs_space >> 20, build->cache,
			  (unsigned long long)have >> 20);

	error_hint(err, "make room there, or set NESTVISOR_CACHE to a folder on a larger disk");
	return r;
}

int cache_check_space(const struct image_build *build, struct error **err)
{
	return free_bytes(build->cache) < build->recipe->needs_space ? cache_fail_full(build, err) : 0;
}

/* After a failure: so little is left that this was the reason. */
bool cache_is_full(const char *folder)
{
	return free_bytes(folder) < 4 << 20;
}

int cache_put_folder(const char *from, const char *to, struct error **err)
{
	cleanup_close int folder = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (folder < 0 || fsync(folder) < 0)
		return error_errno(err, errno, "cannot write %s", from);
	if (rename(from, to) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return error_errno(err, errno, "cannot rename %s to %s", from, to);
	r = dir_remove(to, err);
	if (r == 0 && rename(from, to) < 0)
		r = error_errno(err, errno, "cannot rename %s to %s", from, to);
	return r;
}

int cache_put_link(const char *cache, const char *key, const char *target, struct error **err)
{
	cleanup_free char *path = NULL, *temporary = NULL;

	if (asprintf(&path, "%s/current/%s", cache, key) < 0 || asprintf(&temporary, "%s.new", path) < 0)
		abort();
	unlink(temporary);
	if (symlink(target, temporary) < 0 || rename(temporary, path) < 0)
		return error_errno(err, errno, "cannot write %s", path);
	return 0;
}

char *cache_read_link(struct arena *arena, const char *cache, const char *key)
{
	char *path = arena_printf(arena, "%s/current/%s", cache, key), target[256];
	ssize_t n = readlink(path, target, sizeof(target));

	return n > 0 && n < (ssize_t)sizeof(target) ? arena_strndup(arena, target, (size_t)n) : NULL;
}

int known_key(const char *what, const char *path, char ret[IMAGE_ID_SIZE], struct error **err)
{
	char text[256], hash[HASH_TEXT_SIZE];
	struct stat st;

	if (stat(path, &st) < 0)
		return error_errno(err, errno, "cannot read %s", path);
	/* The device is left out: its number may change when the machine starts again. */
	snprintf(text, sizeof(text), "%s %llu %lld %lld.%09ld", what, (unsigned long long)st.st_ino,
		 (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	hash_bytes(text, strlen(text), hash);
	snprintf(ret, IMAGE_ID_SIZE, "%.20s", hash);
	return 0;
}

static char *known_path(const char *cache, const char *key)
{
	char *path;

	if (asprintf(&path, "%s/known/%s", cache, key) < 0)
		abort();
	return path;
}

json_t *known_get(const char *cache, const char *key)
{
	cleanup_free char *path = known_path(cache, key);
	json_t *fact = NULL;

	return json_read_file(path, JSON_LIMIT, &fact, NULL) < 0 ? NULL : fact;
}

/* What cannot be remembered is found out again. */
void known_put(const char *cache, const char *key, const json_t *fact)
{
	cleanup_free char *path = known_path(cache, key);

	json_write_file(path, fact, NULL);
}

void cache_entry_clear(struct cache_entry *entry)
{
	json_decref(entry->manifest);
	json_decref(entry->sums);
	*entry = (struct cache_entry){0};
}

int cache_entry_write(const char *folder, const json_t *manifest, const json_t *sums, struct error **err)
{
	cleanup_free char *manifest_path = NULL, *sums_path = NULL;
	int r = 0;

	if (asprintf(&manifest_path, "%s/manifest.json", folder) < 0 ||
	    asprintf(&sums_path, "%s/sums.json", folder) < 0)
		abort();
	if (manifest)
		r = json_write_file(manifest_path, manifest, err);
	return r < 0 ? r : json_write_file(sums_path, sums, err);
}

static bool is_id(const char *text)
{
	size_t n = 0;

	while (isxdigit((unsigned char)text[n]) && !isupper((unsigned char)text[n]))
		n++;
	return n == IMAGE_ID_SIZE - 1 && !text[n];
}

/* A missing or unreadable file of an entry that is there means damage. */
static int read_part(const char *path, json_t **ret, struct error **err)
{
	cleanup_error struct error *failure = NULL;

	if (json_read_file(path, JSON_LIMIT, ret, &failure) == 0)
		return 0;
	return error_set(err, EBADMSG, "%s", failure->message);
}

int cache_entry_read(const struct image_build *build, const char *kind, const char *id, struct cache_entry *ret,
		     struct error **err)
{
	char *path = arena_printf(build->arena, "%s/%s/%s", build->cache, kind, id);
	cleanup_entry struct cache_entry entry = {.path = path};
	const char *verify = getenv("NESTVISOR_VERIFY");
	bool changed = false;
	int r;

	if (!is_id(id) || !file_exists(path))
		return error_set(err, ENOENT, "there is no %s", path);
	snprintf(entry.id, sizeof(entry.id), "%s", id);
	r = read_part(arena_printf(build->arena, "%s/manifest.json", path), &entry.manifest, err);
	if (r == 0)
		r = read_part(arena_printf(build->arena, "%s/sums.json", path), &entry.sums, err);
	if (r == 0)
		r = sums_check(entry.sums, path, verify && strcmp(verify, "1") == 0, build->cancel, &changed, err);
	if (r < 0)
		return r;
	if (changed)
		cache_entry_write(path, NULL, entry.sums, NULL);
	*ret = entry;
	entry = (struct cache_entry){0};
	return 0;
}
