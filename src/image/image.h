/*
 * Images: what a guest boots from. `micro` and `debian-12` are made on the spot from Debian packages by a script that is
 * part of the program; anything else is a path to a qcow2 or raw file of the user's. Images are built once, cached by
 * content, checksummed; a build is atomic and locked against a second builder. Deeper layers never get copies: a host
 * receives a read-only disk whose serial number is the image's id, and finds the image there.
 */
#ifndef NESTVISOR_IMAGE_IMAGE_H
#define NESTVISOR_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct cancel;
struct error;
struct reporter;

enum image_kind {
	IMAGE_KERNEL, /* kernel and initramfs only: `micro` */
	IMAGE_DISK_KERNEL, /* kernel, initramfs and a root disk: `debian-12` */
	IMAGE_DISK,   /* a disk that boots by itself */
};

struct image {
	const char *name;
	char id[21];           /* 20 characters of its content's SHA-256: fits a virtio-blk serial */
	enum image_kind kind;
	const char *kernel;    /* path of a bzImage, or NULL */
	const char *vmlinux;   /* path of an uncompressed ELF kernel for PVH boots, or NULL */
	const char *initrd;    /* initramfs of a plain guest, or NULL */
	const char *initrd_host; /* initramfs of a guest that has guests, or NULL */
	const char *disk;      /* path of the root disk, or NULL */
	const char *disk_format; /* "raw" or "qcow2" */
	uint64_t disk_size;    /* virtual size in bytes */
	const char *carrier;   /* path of the read-only disk that carries this image to a deeper host */
	const char *append;    /* kernel command line words the image wants, or "" */
};

/* Where images are kept: $NESTVISOR_CACHE, else /var/cache/nestvisor. */
const char *image_cache_dir(void);

/*
 * Finds or makes the image. In order: a disk carried down by the layer above (whose serial is in `id`, when given), the cache, a build. Everything returned
 * lives in the arena. `id` NULL: whatever is current.
 */
int image_get(struct arena *arena, const char *name_or_path, const char *id, struct reporter *reporter, struct cancel *cancel,
	      struct image *ret, struct error **err);

/* Whether a name is one of the built-in images. */
bool image_is_builtin(const char *name);

/* A qcow2 overlay of the image's disk, at least `size` bytes (0: as the image); made under a temporary name and renamed. */
int image_make_overlay(const struct image *image, const char *path, uint64_t size, struct cancel *cancel, struct error **err);

/* Checks that a user's file is a readable qcow2 or raw disk and tells its virtual size. */
int image_inspect(const char *path, const char **ret_format, uint64_t *ret_size, struct error **err);

/* A NoCloud seed disk (cloud-init) with meta-data, user-data and network-config. */
int image_make_cloud_seed(const char *path, const char *meta_data, const char *user_data, const char *network_config,
			  struct cancel *cancel, struct error **err);

#endif
