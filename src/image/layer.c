/*
 * A layer is what a script made of Debian packages, before nestvisor is added. It lies under its content's hash, and a
 * link leads there from the hash of the script: the packages of that day are kept until NESTVISOR_REFRESH=1 asks for
 * those of today. The script leaves root folders (guest, host), which become archives here, and files.
 */
#include "image/image_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "image/cpio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FRESH_SECONDS = 600 };

const struct embedded_file *recipe_file(const struct image_recipe *recipe, const char *name)
{
	const struct embedded_file *file = recipe->table;

	while (file->name && strcmp(file->name, name) != 0)
		file++;
	return file->name ? file : NULL;
}

void layer_key(const struct image_recipe *recipe, char ret[IMAGE_ID_SIZE])
{
	cleanup_strbuf struct strbuf all = {0};
	char hash[HASH_TEXT_SIZE];

	strbuf_add(&all, recipe->name);
	for (const char *const *name = recipe->files; *name; name++) {
		const struct embedded_file *file = recipe_file(recipe, *name);

		strbuf_printf(&all, "\n%s %zu\n", *name, file ? file->length : 0);
		if (file)
			strbuf_add_bytes(&all, file->data, file->length);
	}
	hash_bytes(all.text, all.length, hash);
	snprintf(ret, IMAGE_ID_SIZE, "%.20s", hash);
}

/* A root folder becomes an archive; a script that makes none of that name is fine. */
static int pack_root(const char *out, const char *root, const char *archive, struct error **err)
{
	cleanup_free char *from = NULL, *to = NULL;
	struct cpio *cpio;
	int r;

	if (asprintf(&from, "%s/%s", out, root) < 0 || asprintf(&to, "%s/%s", out, archive) < 0)
		abort();
	if (!file_exists(from))
		return 0;
	r = cpio_open(to, &cpio, err);
	if (r < 0)
		return r;
	r = cpio_add_tree(cpio, from, err);
	if (r < 0) {
		cpio_abandon(cpio);
		return r;
	}
	r = cpio_close(cpio, err);
	return r < 0 ? r : dir_remove(from, err);
}

static int sync_and_sum(const struct image_build *build, const char *out, const char *name, json_t *sums,
			struct error **err)
{
	const char *path = arena_printf(build->arena, "%s/%s", out, name);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return error_errno(err, errno, "cannot write %s", path);
	return sums_add(sums, out, name, NULL, build->cancel, err);
}

static int sum_files(const struct image_build *build, const char *out, json_t *sums, struct error **err)
{
	cleanup_closedir DIR *dir = opendir(out);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return error_errno(err, errno, "cannot read %s", out);
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_type == DT_REG)
			r = sync_and_sum(build, out, entry->d_name, sums, err);
	return r;
}

/* The lines of a file of the script's: packages, libraries. */
static json_t *read_lines(const struct image_build *build, const char *out, const char *name)
{
	cleanup_free char *text = NULL;
	json_t *lines = json_array();
	size_t length;

	if (file_read(arena_printf(build->arena, "%s/%s", out, name), 16 << 20, &text, &length, NULL) < 0)
		return lines;
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
		json_array_append_new(lines, json_stringn(line, (size_t)(end - line)));
	return lines;
}

static int describe(const struct image_build *build, const char *out, const json_t *sums, json_t *manifest,
		    struct error **err)
{
	const struct image_recipe *recipe = build->recipe;
	const json_t *disk = json_object_get(sums, "disk.raw");

	if (!json_object_get(sums, "vmlinux") || !json_object_get(sums, "guest.initrd") ||
	    (recipe->kind == IMAGE_DISK_KERNEL) != (disk != NULL))
		return error_set(err, EIO, "making image %s failed: its script did not make all that belongs to it",
				 recipe->name);
	json_object_set_new(manifest, "name", json_string(recipe->name));
	json_object_set_new(manifest, "packages", read_lines(build, out, "packages"));
	json_object_set_new(manifest, "libraries", read_lines(build, out, "libraries"));
	if (disk) {
		char serial[IMAGE_ID_SIZE];
		cleanup_json json_t *parts = sums_parts(sums, "disk.raw");

		json_identify(parts, serial);
		json_object_set_new(manifest, "disk",
				    json_pack("{sssssI}", "serial", serial, "format", "raw", "size",
					      json_integer_value(json_object_get(disk, "size"))));
	}
	return 0;
}

/* Turns the script's out/ into a layer and puts it in its place. */
static int finish(const struct image_build *build, const char *work, const char *out, char ret_id[IMAGE_ID_SIZE],
		  struct error **err)
{
	cleanup_json json_t *sums = json_object(), *manifest = json_object(), *content = NULL;
	cleanup_entry struct cache_entry same = {0};
	int r;

	report(build->reporter, REPORT_UPDATE, build->subject, "packing");
	r = dir_remove(work, err); /* what is not needed makes room */
	if (r == 0)
		r = pack_root(out, "guest", "guest.initrd", err);
	if (r == 0)
		r = pack_root(out, "host", "host.cpio", err);
	if (r == 0)
		r = sum_files(build, out, sums, err);
	if (r == 0)
		r = describe(build, out, sums, manifest, err);
	if (r < 0)
		return r;
	content = json_pack("{sOso}", "manifest", manifest, "sums", sums_portable(sums));
	json_identify(content, ret_id);
	if (cache_entry_read(build, "layers", ret_id, &same, NULL) == 0) /* guests may run from it: it is left alone */
		return 0;
	r = cache_entry_write(out, manifest, sums, err);
	return r < 0 ? r : cache_put_folder(out, arena_printf(build->arena, "%s/layers/%s", build->cache, ret_id), err);
}

static int make(const struct image_build *build, const char *key, char ret_id[IMAGE_ID_SIZE], struct error **err)
{
	const char *folder = arena_printf(build->arena, "%s/build.%s", build->cache, build->recipe->name);
	cleanup_free char *found = NULL;
	int r = cache_check_space(build, err);

	if (r == 0 && build->recipe->needs_root && geteuid() != 0) {
		r = error_set(err, EPERM, "making image %s needs root: its disk has files of several users",
			      build->recipe->name);
		error_hint(err, "run this once as root, or use image: micro");
	}
	for (const struct image_program *p = build->recipe->programs; r == 0 && p->name; p++) {
		free(steal_pointer(&found));
		r = process_find(p->name, p->package, &found, err);
		if (r < 0)
			error_wrap(err, "making image %s", build->recipe->name);
	}
	if (r == 0)
		r = dir_make(folder, 0755, err);
	if (r == 0)
		r = script_run(build, folder, err);
	if (r == 0)
		r = finish(build, arena_printf(build->arena, "%s/work", folder),
			   arena_printf(build->arena, "%s/out", folder), ret_id, err);
	if (r == 0)
		r = cache_put_link(build->cache, key, ret_id, err);
	return r;
}

/* Whether packages of today are asked for. What was made just now is of today, or each image of a lab would be made
 * anew. */
static bool is_stale(const struct image_build *build, const char *key)
{
	const char *refresh = getenv("NESTVISOR_REFRESH");
	struct stat st;

	return refresh && strcmp(refresh, "1") == 0 &&
	       lstat(arena_printf(build->arena, "%s/current/%s", build->cache, key), &st) == 0 &&
	       time(NULL) - st.st_mtim.tv_sec > FRESH_SECONDS;
}

int layer_get(const struct image_build *build, bool may_build, struct cache_entry *ret, struct error **err)
{
	char key[IMAGE_ID_SIZE], id[IMAGE_ID_SIZE];
	cleanup_error struct error *failure = NULL;
	const char *current;
	int r = -ENOENT;

	layer_key(build->recipe, key);
	current = is_stale(build, key) ? NULL : cache_read_link(build->arena, build->cache, key);
	if (current)
		r = cache_entry_read(build, "layers", current, ret, &failure);
	if (r == 0)
		return 0;
	if (!may_build || (r != -ENOENT && r != -EBADMSG))
		return failure ? error_move(err, &failure)
			       : error_set(err, ENOENT, "there is no %s yet", build->subject);
	if (r == -EBADMSG)
		report(build->reporter, REPORT_WARNING, build->subject, "%s; making it anew", failure->message);
	r = make(build, key, id, err);
	return r < 0 ? r : cache_entry_read(build, "layers", id, ret, err);
}
