/*
 * The files on the image of a CD or DVD, read where they lie: nothing is mounted. UDF (ECMA-167 as OSTA's UDF 1.02 to
 * 2.01 use it, one physical partition), which is where Windows' media keep their files, else ISO 9660 (ECMA-119), by
 * its Joliet names where it has them. Names are compared without regard to case, as Windows does.
 *
 * The image is somebody else's: sizes, places and depths are checked, and what lies beyond its end is an error.
 */
#ifndef NESTVISOR_IMAGE_VOLUME_H
#define NESTVISOR_IMAGE_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct error;
struct volume;

/* A stretch of the image. */
struct volume_extent {
	uint64_t offset, length; /* bytes */
};

struct volume_file {
	uint64_t size;
	bool folder;
	struct volume_extent *extents; /* in the volume's arena */
	size_t extent_count;
};

/* -EMEDIUMTYPE: no CD; -EBADMSG: a broken or a truncated one. */
int volume_open(const char *path, struct volume **ret, struct error **err);
void volume_close(struct volume *volume); /* NULL is fine */

static inline void volume_closep(struct volume **volume)
{
	volume_close(*volume);
}
#define cleanup_volume __attribute__((cleanup(volume_closep)))

const char *volume_path(const struct volume *volume);
const char *volume_label(const struct volume *volume);	/* may be "" */
const char *volume_format(const struct volume *volume); /* "UDF", "ISO 9660 with Joliet names", "ISO 9660" */

/* "sources/install.wim". -ENOENT, without an error, where there is none. */
int volume_find(struct volume *volume, const char *path, struct volume_file *ret, struct error **err);
bool volume_has(struct volume *volume, const char *path);

/* Exactly these bytes of a file; -EBADMSG where it has no such. */
int volume_read(const struct volume *volume, const struct volume_file *file, uint64_t offset, void *buffer,
		size_t length, struct error **err);

#endif
