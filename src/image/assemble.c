/*
 * Puts nestvisor on top of a layer. nestvisor changes with every build of it, the layer hardly ever, so this must be
 * quick: nestvisor and the libraries that the layer lacks make a small archive, which is written behind the layer's
 * archives into one file, the initramfs of a host. The sums of the layer's files are known and are not taken again.
 * Then everything that a deeper host needs goes into a file system, the carrier.
 */
#include "image/image_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/report.h"
#include "image/cpio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY_FOLDER "usr/lib/x86_64-linux-gnu"
#define LOADER	       "/lib64/ld-linux-x86-64.so.2"

/* Part of the key of images: increase it when this file makes something else of the same input. */
enum { FORMAT = 2 };

/* What a carrier has of the layer, besides host.initrd; an image without a disk has no boot loaders. */
static const char *const carried[] = {"bzImage", "vmlinux", "guest.initrd", "shim.efi", "grub.efi"};

static int nestvisor_hash(const struct image_build *build, char ret[HASH_TEXT_SIZE], struct error **err)
{
	cleanup_json json_t *fact = NULL;
	char key[IMAGE_ID_SIZE];
	int r = known_key("hash", build->nestvisor, key, err);

	if (r < 0)
		return r;
	fact = known_get(build->cache, key);
	if (json_string_length(fact) == HASH_TEXT_SIZE - 1) {
		memcpy(ret, json_string_value(fact), HASH_TEXT_SIZE);
		return 0;
	}
	r = file_hash(build->nestvisor, ret, err);
	if (r < 0)
		return r;
	json_decref(fact);
	fact = json_string(ret);
	known_put(build->cache, key, fact);
	return 0;
}

int assemble_key(const struct image_build *build, const char *layer_id, char ret[IMAGE_ID_SIZE], struct error **err)
{
	char hash[HASH_TEXT_SIZE];
	cleanup_json json_t *key = NULL;
	int r = nestvisor_hash(build, hash, err);

	if (r < 0)
		return r;
	key = json_pack("[isss]", FORMAT, build->recipe->append, layer_id, hash);
	json_identify(key, ret);
	return 0;
}

static int append_file(int to, const char *path, struct error **err)
{
	cleanup_close int from = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (from < 0)
		return error_errno(err, errno, "cannot read %s", path);
	while ((n = sendfile(to, from, NULL, 1 << 30)) > 0)
		;
	return n < 0 ? error_errno(err, errno, "cannot copy %s", path) : 0;
}

/* A copy without symbols where `strip` is there; without it the image is only larger. */
static int copy_nestvisor(const struct image_build *build, const char *to, struct error **err)
{
	const char *const strip[] = {"strip", to, NULL};
	cleanup_close int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	int r;

	if (fd < 0)
		return error_errno(err, errno, "cannot create %s", to);
	r = append_file(fd, build->nestvisor, err);
	if (r == 0 && process_must(strip, build->cancel, NULL) == -ECANCELED)
		r = error_set(err, ECANCELED, "making image %s was stopped", build->recipe->name);
	return r;
}

static bool has_library(const json_t *list, const char *soname)
{
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		if (strcmp(json_string_value(one), soname) == 0)
			return true;
	return false;
}

/* What the dynamic loader would load for the program, by name, with the path it would take: ld.so(8), --list. */
static int list_libraries(const struct image_build *build, const char *program, json_t *ret, struct error **err)
{
	const char *const argv[] = {LOADER, "--list", program, NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1};
	cleanup_output struct process_output output = {0};
	char soname[256], path[4096], *line = output.out;
	int r = process_run(&spec, NULL, 0, -1, build->cancel, &output, err);

	if (r < 0)
		return r;
	if (output.status != 0) /* a static program has none */
		return 0;
	for (line = output.out; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (sscanf(line, " %255[^ /] => %4095s", soname, path) == 2)
			json_object_set_new(ret, soname, json_string(path));
	return 0;
}

static int add_folders(struct cpio *cpio, const char *path, struct error **err)
{
	int r = 0;

	for (const char *slash = strchr(path, '/'); r == 0 && slash; slash = strchr(slash + 1, '/')) {
		cleanup_free char *folder = strndup(path, (size_t)(slash - path));

		if (!folder)
			abort();
		r = cpio_add_folder(cpio, folder, err);
	}
	return r;
}

static int add_nestvisor(const struct image_build *build, struct cpio *cpio, const char *program,
			 const json_t *libraries, const json_t *present, struct error **err)
{
	const char *prefix = build->recipe->nestvisor_prefix, *name, *to;
	json_t *path;
	int r;

	to = arena_printf(build->arena, "%susr/local/bin/nestvisor", prefix);
	r = add_folders(cpio, to, err);
	if (r == 0)
		r = cpio_add_file(cpio, to, program, 0755, err);
	if (r == 0)
		r = add_folders(cpio, arena_printf(build->arena, "%s" LIBRARY_FOLDER "/", prefix), err);
	json_object_foreach ((json_t *)(uintptr_t)libraries, name, path) {
		to = arena_printf(build->arena, "%s" LIBRARY_FOLDER "/%s", prefix, name);
		if (r == 0 && !has_library(present, name))
			r = cpio_add_file(cpio, to, json_string_value(path), 0755, err);
	}
	return r;
}

static int pack_nestvisor(const struct image_build *build, const struct cache_entry *layer, const char *folder,
			  json_t *ret_libraries, struct error **err)
{
	const char *program = arena_printf(build->arena, "%s/nestvisor", folder);
	const char *archive = arena_printf(build->arena, "%s/nestvisor.cpio", folder);
	struct cpio *cpio;
	int r = copy_nestvisor(build, program, err);

	if (r == 0)
		r = list_libraries(build, program, ret_libraries, err);
	if (r == 0)
		r = cpio_open(archive, &cpio, err);
	if (r < 0)
		return r;
	r = add_nestvisor(build, cpio, program, ret_libraries, json_object_get(layer->manifest, "libraries"), err);
	if (r < 0) {
		cpio_abandon(cpio);
		return r;
	}
	return cpio_close(cpio, err);
}

/* The archives one after the other, and their sums one after the other. */
static int join_archives(const struct image_build *build, const struct cache_entry *layer, const char *folder,
			 const char *image, json_t *sums, struct error **err)
{
	cleanup_json json_t *own = json_object();
	json_t *parts = json_array();
	const char *path = arena_printf(build->arena, "%s/host.initrd", image);
	const char *names[] = {"guest.initrd", "host.cpio"};
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int r = fd < 0 ? error_errno(err, errno, "cannot create %s", path) : 0;

	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(*names); i++) {
		json_t *known = sums_parts(layer->sums, names[i]);

		if (known)
			r = append_file(fd, arena_printf(build->arena, "%s/%s", layer->path, names[i]), err);
		json_array_extend(parts, known);
		json_decref(known);
	}
	if (r == 0)
		r = sums_add(own, folder, "nestvisor.cpio", NULL, build->cancel, err);
	if (r == 0)
		r = append_file(fd, arena_printf(build->arena, "%s/nestvisor.cpio", folder), err);
	if (r == 0) {
		json_t *known = sums_parts(own, "nestvisor.cpio");

		json_array_extend(parts, known);
		json_decref(known);
		if (fsync(fd) < 0)
			r = error_errno(err, errno, "cannot write %s", path);
	}
	if (r < 0) {
		json_decref(parts);
		return r;
	}
	return sums_add(sums, image, "host.initrd", parts, build->cancel, err);
}

static json_t *describe(const struct image_build *build, const struct cache_entry *layer, const json_t *sums,
			const json_t *libraries, char ret_id[IMAGE_ID_SIZE])
{

	json_t *manifest, *files = sums_portable(sums), *portable = sums_portable(layer->sums);
	json_t *disk = json_object_get(layer->manifest, "disk");

	for (size_t i = 0; i < sizeof(carried) / sizeof(*carried); i++)
		if (json_object_get(portable, carried[i]))
			json_object_set(files, carried[i], json_object_get(portable, carried[i]));
	json_decref(portable);
	manifest = json_pack("{sssisssssoss*sO*}", "schema", "nestvisor-image", "format", FORMAT, "name",
			     build->recipe->name, "append", build->recipe->append, "files", files, "layer", layer->id,
			     "disk", disk);
	json_object_set_new(manifest, "libraries", json_deep_copy(libraries));
	json_identify(manifest, ret_id);
	json_object_set_new(manifest, "id", json_string(ret_id));
	return manifest;
}

static int link_into(const struct image_build *build, const char *from, const char *name, const char *to,
		     uint64_t *size, struct error **err)
{
	const char *source = arena_printf(build->arena, "%s/%s", from, name);
	struct stat st;

	if (stat(source, &st) < 0 || link(source, arena_printf(build->arena, "%s/%s", to, name)) < 0)
		return error_errno(err, errno, "cannot put %s into %s", source, to);
	*size += (uint64_t)st.st_size;
	return 0;
}

/* The identifier of the file system is the image's, and the times are none: equal content makes an equal carrier. */
static int make_file_system(const struct image_build *build, const char *from, const char *to, const char *id,
			    uint64_t size, struct error **err)
{
	const char *uuid = arena_printf(build->arena, "%.8s-%.4s-%.4s-%.4s-000000000000", id, id + 8, id + 12, id + 16);
	const char *kilobytes =
		arena_printf(build->arena, "%lluk", (unsigned long long)(size + size / 64) / 1024 + 1024);
	const char *argv[] = {"mke2fs",
			      "-q",
			      "-F",
			      "-t",
			      "ext4",
			      "-O",
			      "^has_journal,^metadata_csum,^resize_inode",
			      "-b",
			      "4096",
			      "-m",
			      "0",
			      "-N",
			      "32",
			      "-U",
			      uuid,
			      "-E",
			      arena_printf(build->arena, "hash_seed=%s,root_owner=0:0", uuid),
			      "-d",
			      from,
			      to,
			      kilobytes,
			      NULL};
	const char *env[] = {"E2FSPROGS_FAKE_TIME=1", NULL};
	struct process_spec spec = {.argv = argv, .env = env, .netns = -1, .in = -1};
	cleanup_output struct process_output output = {0};
	cleanup_free char *found = NULL;
	int r = process_find(argv[0], "e2fsprogs", &found, err);

	if (r == 0)
		r = process_run(&spec, NULL, 0, -1, build->cancel, &output, err);
	if (r == 0 && output.status != 0)
		r = error_set(err, EIO, "mke2fs could not make %s: %s", to, output.err);
	return r;
}

static int make_carrier(const struct image_build *build, const struct cache_entry *layer, const char *folder,
			const char *image, const json_t *manifest, const char *id, json_t *sums, struct error **err)
{
	const char *content = arena_printf(build->arena, "%s/carrier", folder);
	const char *carrier = arena_printf(build->arena, "%s/carrier.img", image);
	cleanup_close int fd = -1;
	uint64_t size = 0;
	int r = dir_make(content, 0755, err);

	if (r == 0)
		r = json_write_file(arena_printf(build->arena, "%s/manifest.json", content), manifest, err);
	for (size_t i = 0; r == 0 && i < sizeof(carried) / sizeof(*carried); i++)
		if (json_object_get(layer->sums, carried[i]))
			r = link_into(build, layer->path, carried[i], content, &size, err);
	if (r == 0)
		r = link_into(build, image, "host.initrd", content, &size, err);
	if (r == 0)
		r = make_file_system(build, content, carrier, id, size, err);
	if (r < 0)
		return r;
	fd = open(carrier, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return error_errno(err, errno, "cannot write %s", carrier);
	return sums_add(sums, image, "carrier.img", NULL, build->cancel, err);
}

int assemble(const struct image_build *build, const struct cache_entry *layer, const char *folder,
	     struct cache_entry *ret, struct error **err)
{
	const char *image = arena_printf(build->arena, "%s/image", folder);
	cleanup_json json_t *sums = json_object(), *libraries = json_object(), *manifest = NULL;
	char key[IMAGE_ID_SIZE], id[IMAGE_ID_SIZE];
	int r;

	report(build->reporter, REPORT_UPDATE, build->subject, "putting nestvisor in");
	r = assemble_key(build, layer->id, key, err);
	if (r == 0)
		r = dir_make(image, 0755, err);
	if (r == 0)
		r = pack_nestvisor(build, layer, folder, libraries, err);
	if (r == 0)
		r = join_archives(build, layer, folder, image, sums, err);
	if (r < 0)
		return r;
	manifest = describe(build, layer, sums, libraries, id);
	if (cache_entry_read(build, "images", id, ret, NULL) ==
	    0) /* another nestvisor, but the same once it is stripped */
		return cache_put_link(build->cache, key, id, err);
	r = make_carrier(build, layer, folder, image, manifest, id, sums, err);
	if (r == 0)
		r = cache_entry_write(image, manifest, sums, err);
	if (r == 0)
		r = cache_put_folder(image, arena_printf(build->arena, "%s/images/%s", build->cache, id), err);
	if (r == 0)
		r = cache_put_link(build->cache, key, id, err);
	return r < 0 ? r : cache_entry_read(build, "images", id, ret, err);
}
