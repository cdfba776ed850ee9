#include "image/image_internal.h"

#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/report.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------ what is built in */

static const char *const micro_files[] = {"micro.sh",	"library.sh", "init",	       "inittab", "fstab",
					  "profile",	"network",    "dhcp",	       "agent",	  "late",
					  "hypervisor", "shutdown",   "modprobe.conf", NULL};
static const char *const micro_libvirt_files[] = {
	"micro-libvirt.sh", "micro.sh",	     "library.sh", "init",  "inittab", "fstab",
	"profile",	    "network",	     "dhcp",	   "agent", "late",    "hypervisor",
	"shutdown",	    "modprobe.conf", NULL};
static const struct image_program micro_programs[] = {
	{"apt-get", "apt"}, {"dpkg-deb", "dpkg"}, {"lz4", "lz4"}, {"mke2fs", "e2fsprogs"}, {NULL, NULL}};

static const char *const debian_files[] = {"debian-12.sh",
					   "library.sh",
					   "init-disk",
					   "network",
					   "hypervisor",
					   "modprobe.conf",
					   "nestvisor-network.service",
					   "nestvisor-hypervisor.service",
					   "nestvisor-ready.service",
					   NULL};
static const struct image_program debian_programs[] = {
	{"apt-get", "apt"},	 {"dpkg-deb", "dpkg"},	       {"lz4", "lz4"},
	{"mke2fs", "e2fsprogs"}, {"mmdebstrap", "mmdebstrap"}, {NULL, NULL}};

static const struct image_recipe recipes[] = {
	{.name = "micro",
	 .kind = IMAGE_KERNEL,
	 .script = "micro.sh",
	 .files = micro_files,
	 .table = embedded_files,
	 .programs = micro_programs,
	 .needs_space = 450 << 20,
	 .append = "cryptomgr.notests lsm=capability", /* both only cost time at its start */
	 .nestvisor_prefix = ""},
	{.name = "micro-libvirt",
	 .kind = IMAGE_KERNEL,
	 .script = "micro-libvirt.sh",
	 .files = micro_libvirt_files,
	 .table = embedded_files,
	 .programs = micro_programs,
	 .needs_space = 800 << 20,
	 .append = "cryptomgr.notests lsm=capability",
	 .nestvisor_prefix = ""},
	{.name = "debian-12",
	 .kind = IMAGE_DISK_KERNEL,
	 .script = "debian-12.sh",
	 .files = debian_files,
	 .table = embedded_files,
	 .programs = debian_programs,
	 .needs_root = true,
	 .needs_space = 1200 << 20,
	 .append = "net.ifnames=0 cryptomgr.notests",
	 .nestvisor_prefix = "nestvisor/"},
};

static const struct image_recipe *find_recipe(const char *name)
{
	for (size_t i = 0; i < sizeof(recipes) / sizeof(*recipes); i++)
		if (strcmp(recipes[i].name, name) == 0)
			return &recipes[i];
	return NULL;
}

bool image_is_builtin(const char *name)
{
	return find_recipe(name) != NULL;
}

const char *image_cache_dir(void)
{
	const char *cache = getenv("NESTVISOR_CACHE");

	return cache && *cache ? cache : "/var/cache/nestvisor";
}

/* ------------------------------------------------------------------ finding and making one */

static const char *path_if_there(struct arena *arena, const char *folder, const char *name)
{
	const char *path = arena_printf(arena, "%s/%s", folder, name);

	return file_exists(path) ? path : NULL;
}

int image_from_manifest(struct arena *arena, const json_t *manifest, const char *boot, const char *layer,
			struct image *ret, struct error **err)
{
	const json_t *disk = json_object_get(manifest, "disk");
	const char *id = json_get_string(manifest, "id", "");

	*ret = (struct image){.name = arena_strdup(arena, json_get_string(manifest, "name", "")),
			      .kind = disk ? IMAGE_DISK_KERNEL : IMAGE_KERNEL,
			      .append = arena_strdup(arena, json_get_string(manifest, "append", "")),
			      .kernel = path_if_there(arena, layer, "bzImage"),
			      .vmlinux = path_if_there(arena, layer, "vmlinux"),
			      .initrd = path_if_there(arena, layer, "guest.initrd"),
			      .shim = path_if_there(arena, layer, "shim.efi"),
			      .grub = path_if_there(arena, layer, "grub.efi"),
			      .initrd_host = path_if_there(arena, boot, "host.initrd")};
	if (strlen(id) != IMAGE_ID_SIZE - 1 || !ret->vmlinux || !ret->initrd || !ret->initrd_host)
		return error_set(err, EBADMSG, "%s holds no whole image", boot);
	memcpy(ret->id, id, IMAGE_ID_SIZE);
	if (disk) {
		ret->disk_format = "raw";
		ret->disk_size = (uint64_t)json_get_integer(disk, "size", 0);
	}
	return 0;
}

static int from_cache(const struct image_build *build, const struct cache_entry *image, const struct cache_entry *layer,
		      struct image *ret, struct error **err)
{
	const json_t *disk = json_object_get(layer->manifest, "disk");
	struct image_carrier *carriers = arena_alloc(build->arena, 2 * sizeof(*carriers));
	int r = image_from_manifest(build->arena, image->manifest, image->path, layer->path, ret, err);

	if (r < 0)
		return r;
	ret->carriers = carriers;
	carriers[ret->carrier_count++] = (struct image_carrier){
		arena_strdup(build->arena, ret->id), arena_printf(build->arena, "%s/carrier.img", image->path), "raw"};
	if (disk) {
		ret->disk = arena_printf(build->arena, "%s/disk.raw", layer->path);
		carriers[ret->carrier_count++] = (struct image_carrier){
			arena_strdup(build->arena, json_get_string(disk, "serial", "")), ret->disk, "raw"};
	}
	return 0;
}

/* Looks in the cache alone. -ENOENT and -EBADMSG are what a build can mend. */
static int look(const struct image_build *build, const char *id, struct image *ret, struct error **err)
{
	cleanup_entry struct cache_entry image = {0}, layer = {0};
	char key[IMAGE_ID_SIZE];
	int r;

	if (id) {
		r = cache_entry_read(build, "images", id, &image, err);
		if (r == 0)
			r = cache_entry_read(build, "layers", json_get_string(image.manifest, "layer", ""), &layer,
					     err);
		return r < 0 ? r : from_cache(build, &image, &layer, ret, err);
	}
	r = layer_get(build, false, &layer, err);
	if (r == 0)
		r = assemble_key(build, layer.id, key, err);
	if (r < 0)
		return r;
	id = cache_read_link(build->arena, build->cache, key);
	if (!id)
		return error_set(err, ENOENT, "there is no %s yet", build->subject);
	r = cache_entry_read(build, "images", id, &image, err);
	return r < 0 ? r : from_cache(build, &image, &layer, ret, err);
}

/* With the lock held. The folder is removed whatever happens: nothing half made stays behind. */
static int make(const struct image_build *build, struct image *ret, struct error **err)
{
	const char *folder = arena_printf(build->arena, "%s/build.%s", build->cache, build->recipe->name);
	cleanup_entry struct cache_entry image = {0}, layer = {0};
	int r = dir_remove(folder, err); /* of a builder that was killed */
	bool full;

	if (r == 0)
		r = layer_get(build, true, &layer, err);
	if (r == 0)
		r = dir_make(folder, 0755, err);
	if (r == 0)
		r = assemble(build, &layer, folder, &image, err);
	if (r == 0)
		r = from_cache(build, &image, &layer, ret, err);
	full = r < 0 && (r == -ENOSPC || cache_is_full(build->cache));
	dir_remove(folder, NULL);
	if (r == 0)
		cache_prune(build);
	return full ? cache_fail_full(build, err) : r;
}

static int make_locked(struct image_build *build, struct image *ret, struct error **err)
{
	const char *lock = arena_printf(build->arena, "%s/%s.lock", build->cache, build->recipe->name);
	cleanup_error struct error *why = NULL;
	cleanup_close int lock_fd = -1;
	long long start = clock_ms();
	int r = cache_prepare(build->cache, err);

	if (r == 0)
		r = file_lock(lock, build->subject, -1, build->reporter, build->cancel, &lock_fd, err);
	if (r < 0)
		return r;
	build->lock_fd = lock_fd;
	r = look(build, NULL, ret, &why); /* somebody else may have made it meanwhile */
	if (r == -EBADMSG)
		report(build->reporter, REPORT_WARNING, build->subject, "%s; making it anew", why->message);
	if (r != -ENOENT && r != -EBADMSG)
		return r < 0 ? error_move(err, &why) : 0;
	report(build->reporter, REPORT_BEGIN, build->subject, "making it");
	r = make(build, ret, err);
	if (r < 0)
		report(build->reporter, REPORT_FAILED, build->subject, "%s",
		       err && *err ? (*err)->message : strerror(-r));
	else
		report(build->reporter, REPORT_DONE, build->subject, "made in %.1f s",
		       (double)(clock_ms() - start) / 1000);
	return r;
}

int image_get_built(struct image_build *build, const char *id, struct image *ret, struct error **err)
{
	cleanup_error struct error *why = NULL;
	int r = look(build, id, ret, &why);

	if (r == 0)
		return 0;
	if (id) {
		error_set(err, -r, "this host has no image %s with the id %s: %s", build->recipe->name, id,
			  why->message);
		error_hint(
			err,
			"the host above attaches images as disks when it starts this one: take this host down and up "
			"again");
		return r;
	}
	return r == -ENOENT || r == -EBADMSG ? make_locked(build, ret, err) : error_move(err, &why);
}

/* ------------------------------------------------------------------ a disk of the user's */

/*
 * A user's disk is known by its identity (inode, size, time of modification) instead of its content: that takes no time
 * even for a large disk, and it changes whenever the content does, which is what overlays need to be told apart by.
 */
static int get_disk(struct arena *arena, const char *path, struct image *ret, struct error **err)
{
	struct image_carrier *carrier = arena_new_struct(arena, struct image_carrier);
	char id[IMAGE_ID_SIZE];
	const char *format;
	uint64_t size;
	int r = image_inspect(path, &format, &size, err);

	if (r == 0)
		r = known_key("disk", path, id, err);
	if (r < 0)
		return r;
	*ret = (struct image){.name = arena_strdup(arena, path),
			      .kind = IMAGE_DISK,
			      .disk = arena_strdup(arena, path),
			      .disk_format = format,
			      .disk_size = size,
			      .append = "",
			      .carriers = carrier,
			      .carrier_count = 1};
	memcpy(ret->id, id, sizeof(ret->id));
	*carrier = (struct image_carrier){arena_strdup(arena, id), ret->disk, format};
	return 0;
}

int image_get(struct arena *arena, const char *name_or_path, const char *id, struct reporter *reporter,
	      struct cancel *cancel, struct image *ret, struct error **err)
{
	const struct image_recipe *recipe = find_recipe(name_or_path);
	struct image_build build = {.recipe = recipe,
				    .nestvisor = "/proc/self/exe",
				    .cache = image_cache_dir(),
				    .subject = arena_printf(arena, "image %s", name_or_path),
				    .arena = arena,
				    .reporter = reporter,
				    .cancel = cancel,
				    .lock_fd = -1};
	int r = carried_get(arena, name_or_path, id, ret, err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (recipe)
		return image_get_built(&build, id, ret, err);
	if (!id)
		return get_disk(arena, name_or_path, ret, err);
	r = error_set(err, ENOENT, "this host was not handed the disk %s of image %s", id, name_or_path);
	error_hint(err,
		   "the host above attaches images as disks when it starts this one: take this host down and up again");
	return r;
}

/* Documentation/arch/x86/boot.rst: the text lies 0x200 bytes behind where kernel_version, at 0x20e, points to. */
static const char *read_version(struct arena *arena, const char *path)
{
	enum { START_SIZE = 0x10000, POINTER = 0x20e, SHIFT = 0x200 };
	char *start = arena_alloc(arena, START_SIZE + 1);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd >= 0 ? pread(fd, start, START_SIZE, 0) : -1;
	uint16_t pointer;

	if (got < POINTER + 2 || memcmp(start + 0x202, "HdrS", 4) != 0)
		return NULL;
	memcpy(&pointer, start + POINTER, sizeof(pointer));
	pointer = le16toh(pointer);
	return pointer && pointer + SHIFT < got ? start + pointer + SHIFT : NULL;
}

const char *image_kernel_version(struct arena *arena, const char *name)
{
	struct image_build build = {.recipe = find_recipe(name),
				    .cache = image_cache_dir(),
				    .subject = arena_printf(arena, "image %s", name),
				    .arena = arena,
				    .lock_fd = -1};
	cleanup_entry struct cache_entry layer = {0};

	if (!build.recipe || layer_get(&build, false, &layer, NULL) < 0)
		return NULL;
	return read_version(arena, arena_printf(arena, "%s/bzImage", layer.path));
}
