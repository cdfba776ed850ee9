#include "cli/pack.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "base/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void pack_add(struct pack *pack, const char *path, const char *data, size_t length)
{
	*arena_push(pack->arena, pack->files, pack->count) = (struct packed_file){path, data, length};
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length > end_length && strcmp(text + length - end_length, end) == 0;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Does the folder hold a bundle as pack_write() makes them, and nothing else? */
static bool holds_bundle(const char *path)
{
	cleanup_closedir DIR *dir = opendir(path);
	struct dirent *entry;
	bool any = false;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (strcmp(entry->d_name, "hosts") != 0 && strcmp(entry->d_name, "README.txt") != 0)
			return false;
		any = true;
	}
	return dir && any;
}

static bool is_empty(const char *path)
{
	cleanup_closedir DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return false;
	return dir;
}

int pack_check(const char *path, bool force, struct error **err)
{
	struct stat st;
	bool exists = lstat(path, &st) == 0, folder = is_folder(path);

	if (!folder && !ends_with(path, ".tar") && !ends_with(path, "/")) {
		error_set(err, EINVAL, "%s is neither an archive nor a folder", path);
		error_hint(err,
			   "give a name that ends with .tar, or with a slash for a folder; compress it afterwards");
		return -EINVAL;
	}
	if (!exists || (folder && is_empty(path)))
		return 0;
	if (!force) {
		error_set(err, EEXIST, "%s is there already", path);
		error_hint(err, "--force replaces it");
		return -EEXIST;
	}
	if (folder && !holds_bundle(path))
		return error_set(err, EEXIST, "%s holds more than a bundle, and is not replaced", path);
	if (!folder && !S_ISREG(st.st_mode))
		return error_set(err, EEXIST, "%s is no plain file, and is not replaced", path);
	return 0;
}

static int write_archive(const struct pack *pack, const char *path, time_t when, size_t *ret_bytes, struct error **err)
{
	cleanup_strbuf struct strbuf out = {0};

	for (size_t i = 0; i < pack->count; i++) {
		const struct packed_file *file = &pack->files[i];
		int r = tar_add(&out, file->path, file->data, file->length, 0600, when, err);

		if (r < 0)
			return r;
	}
	tar_end(&out);
	*ret_bytes = out.length;
	return file_write_output(path, out.text, out.length, 0600, err);
}

static int write_files(const struct pack *pack, const char *folder, size_t *ret_bytes, struct error **err)
{
	*ret_bytes = 0;
	for (size_t i = 0; i < pack->count; i++) {
		const struct packed_file *file = &pack->files[i];
		const char *path = arena_printf(pack->arena, "%s/%s", folder, file->path);
		const char *slash = strrchr(path, '/');
		int r = dir_make(arena_strndup(pack->arena, path, (size_t)(slash - path)), 0700, err);

		if (r == 0)
			r = file_write_atomic(path, file->data, file->length, 0600, err);
		if (r < 0)
			return r;
		*ret_bytes += file->length;
	}
	return 0;
}

/* Made beside its place and then put there; what was there goes out of the way in the same step. */
static int write_folder(const struct pack *pack, const char *path, size_t *ret_bytes, struct error **err)
{
	char *place = arena_strdup(pack->arena, path), *temporary;
	size_t end = strlen(place);
	int r;

	while (end > 1 && place[end - 1] == '/')
		place[--end] = '\0';
	temporary = arena_printf(pack->arena, "%s.XXXXXX", place);
	if (!mkdtemp(temporary))
		return error_errno(err, errno, "cannot write %s", place);
	r = write_files(pack, temporary, ret_bytes, err);
	if (r == 0 && is_folder(place)) {
		if (renameat2(AT_FDCWD, temporary, AT_FDCWD, place, RENAME_EXCHANGE) < 0)
			r = error_errno(err, errno, "cannot replace %s", place);
	} else if (r == 0 && rename(temporary, place) < 0) {
		r = error_errno(err, errno, "cannot write %s", place);
	}
	if (r == 0)
		r = dir_sync_parent(place, err);
	dir_remove(temporary, NULL);
	return r;
}

int pack_write(const struct pack *pack, const char *path, time_t when, size_t *ret_bytes, struct error **err)
{
	return ends_with(path, ".tar") && !is_folder(path) ? write_archive(pack, path, when, ret_bytes, err)
							   : write_folder(pack, path, ret_bytes, err);
}
