/*
 * What the layer above carried down. It is known by the serial numbers of virtio-blk disks. A boot carrier is told from
 * a root disk by the identifier of its ext4 file system, which is made from the image's id: no disk is mounted just to
 * see. It is mounted once, at carried/<id> in the cache, and stays mounted; the guests' kernels are read from there.
 */
#include "image/image_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

struct block_device {
	const char *path; /* "/dev/vdb" */
	char serial[IMAGE_ID_SIZE];
	uint64_t size; /* bytes */
	bool read_only;
};

/* One line of a file of sysfs; empty where there is none. */
static void read_attribute(struct arena *arena, const char *device, const char *name, char *ret, size_t size)
{
	cleanup_close int fd = open(arena_printf(arena, "/sys/block/%s/%s", device, name), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, size - 1);

	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

static size_t list_devices(struct arena *arena, struct block_device **ret)
{
	cleanup_closedir DIR *dir = opendir("/sys/block");
	struct block_device *list = NULL;
	struct dirent *entry;
	size_t count = 0;
	char text[32];

	while (dir && (entry = readdir(dir))) {
		struct block_device *d;

		if (*entry->d_name == '.')
			continue;
		read_attribute(arena, entry->d_name, "serial", text, sizeof(text));
		if (!*text || strlen(text) >= sizeof(d->serial))
			continue;
		d = arena_push(arena, list, count);
		*d = (struct block_device){.path = arena_printf(arena, "/dev/%s", entry->d_name)};
		memcpy(d->serial, text, sizeof(d->serial));
		read_attribute(arena, entry->d_name, "size", text, sizeof(text));
		d->size = strtoull(text, NULL, 10) * 512; /* always in units of 512 (block/genhd.c) */
		read_attribute(arena, entry->d_name, "ro", text, sizeof(text));
		d->read_only = strcmp(text, "1") == 0;
	}
	*ret = list;
	return count;
}

static const struct block_device *find_serial(const struct block_device *list, size_t count, const char *serial)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].serial, serial) == 0)
			return &list[i];
	return NULL;
}

/* ext4's superblock is at 1024; in it, the magic at 0x38 and the UUID at 0x68
 * (Documentation/filesystems/ext4/super.rst). */
static bool is_boot_carrier(const struct block_device *device)
{
	cleanup_close int fd = open(device->path, O_RDONLY | O_CLOEXEC);
	unsigned char super[0x80];
	char text[2 * 8 + 1];

	if (fd < 0 || pread(fd, super, sizeof(super), 1024) != (ssize_t)sizeof(super))
		return false;
	for (size_t i = 0; i < 8; i++)
		snprintf(text + 2 * i, 3, "%02x", super[0x68 + i]);
	return super[0x38] == 0x53 && super[0x39] == 0xef && strncmp(text, device->serial, 16) == 0;
}

static int mount_carrier(struct arena *arena, const struct block_device *device, const char **ret, struct error **err)
{
	const char *at = arena_printf(arena, "%s/carried/%s", image_cache_dir(), device->serial);
	int r;

	*ret = at;
	if (file_exists(arena_printf(arena, "%s/manifest.json", at)))
		return 0;
	r = dir_make(at, 0755, err);
	if (r < 0)
		return r;
	/* EBUSY: another thread was faster. */
	if (mount(device->path, at, "ext4", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 || errno == EBUSY)
		return 0;
	return error_errno(err, errno, "cannot mount the carried image %s at %s", device->path, at);
}

static int read_carrier(struct arena *arena, const struct block_device *device, json_t **ret_manifest,
			const char **ret_at, struct error **err)
{
	int r = mount_carrier(arena, device, ret_at, err);

	return r < 0 ? r : json_read_file(arena_printf(arena, "%s/manifest.json", *ret_at), 4 << 20, ret_manifest, err);
}

/* An image that nestvisor made: a boot carrier, and perhaps a root disk on a device of its own. */
static int from_carrier(struct arena *arena, const struct block_device *list, size_t count,
			const struct block_device *device, const json_t *manifest, const char *at, struct image *ret,
			struct error **err)
{
	struct image_carrier *carriers = arena_alloc(arena, 2 * sizeof(*carriers));
	const json_t *disk = json_object_get(manifest, "disk");
	int r = image_from_manifest(arena, manifest, at, at, ret, err);

	if (r < 0)
		return r;
	ret->carriers = carriers;
	carriers[ret->carrier_count++] =
		(struct image_carrier){arena_strdup(arena, device->serial), device->path, "raw"};
	if (disk) {
		const char *serial = json_get_string(disk, "serial", "");
		const struct block_device *root = find_serial(list, count, serial);

		if (!root)
			return error_set(err, ENODEV, "the root disk %s of image %s was not carried down with it",
					 serial, ret->name);
		ret->disk = root->path;
		carriers[ret->carrier_count++] = (struct image_carrier){arena_strdup(arena, serial), root->path, "raw"};
	}
	return 0;
}

/* A disk of the user's. Whatever format it has above, here it is the raw disk. */
static int from_disk(struct arena *arena, const char *name, const struct block_device *device, struct image *ret)
{
	struct image_carrier *carrier = arena_new_struct(arena, struct image_carrier);

	*carrier = (struct image_carrier){arena_strdup(arena, device->serial), device->path, "raw"};
	*ret = (struct image){.name = arena_strdup(arena, name),
			      .kind = IMAGE_DISK,
			      .disk = device->path,
			      .disk_format = "raw",
			      .disk_size = device->size,
			      .append = "",
			      .carriers = carrier,
			      .carrier_count = 1};
	memcpy(ret->id, device->serial, sizeof(ret->id));
	return 1;
}

/* Whether nestvisor started the machine that this runs on: only then are disks nobody named looked at. */
static bool is_guest(void)
{
	cleanup_free char *words = NULL;
	size_t length;

	return file_read("/proc/cmdline", 1 << 20, &words, &length, NULL) == 0 && strstr(words, " nestvisor.");
}

int carried_get(struct arena *arena, const char *name, const char *id, struct image *ret, struct error **err)
{
	struct block_device *list;
	size_t count = id || is_guest() ? list_devices(arena, &list) : 0;

	for (size_t i = 0; i < count; i++) {
		cleanup_json json_t *manifest = NULL;
		const char *at;
		int r;

		if (id ? strcmp(list[i].serial, id) != 0 : !list[i].read_only)
			continue;
		if (!is_boot_carrier(&list[i])) {
			if (id)
				return from_disk(arena, name, &list[i], ret);
			continue;
		}
		r = read_carrier(arena, &list[i], &manifest, &at, err);
		if (r == 0 && !id && strcmp(json_get_string(manifest, "name", ""), name) != 0)
			continue;
		if (r == 0)
			r = from_carrier(arena, list, count, &list[i], manifest, at, ret, err);
		return r < 0 ? r : 1;
	}
	return 0;
}
