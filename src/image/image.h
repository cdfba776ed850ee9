/*
 * Images: what a guest boots from. `micro` and `debian-12` are made on the spot from Debian packages by a script that
 * is part of the program; anything else is a path to a qcow2 or raw file of the user's. Images are built once, cached
 * by content, checksummed; a build is atomic and locked against a second builder.
 *
 * Deeper layers never get copies. A host receives an image's carriers: read-only disks whose virtio-blk serial number
 * says what they are. It finds them in /sys/block/<disk>/serial, and hands the very same block devices on to its own
 * hosts. An image that nestvisor made has a boot carrier, an ext4 file system with a manifest, kernel and initramfs,
 * whose serial is the image's id; its root disk, where it has one, is a carrier of its own, because an overlay needs
 * the disk and not a file on one. Its serial is named in the manifest and does not change when only nestvisor was
 * rebuilt. The one carrier of a user's disk is that disk, its serial the image's id.
 *
 * What is built in obeys these words on the kernel command line, besides those of the native seed (guest/network):
 *   nestvisor.host=1   the guest is a hypervisor: loads KVM with nested=1 and what networks need, and forwards
 *   nestvisor.probe    prints "nestvisor: probe ok" on the console and resets the machine (with -no-reboot QEMU ends)
 * Its console is ttyS0, with a root shell on it that asks for no password: who can open the console owns the machine.
 * Once all of the above is done it prints "nestvisor: ready" there and makes the file /run/nestvisor.ready. The agent
 * answers earlier, but never before the network is set up.
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
	IMAGE_KERNEL,	   /* kernel and initramfs only: `micro` */
	IMAGE_DISK_KERNEL, /* kernel, initramfs and a root disk: `debian-12` */
	IMAGE_DISK,	   /* a disk that boots by itself */
};

/* A disk to be attached read-only, under its serial number. */
struct image_carrier {
	const char *serial; /* at most 20 characters */
	const char *path;
	const char *format; /* "raw" or "qcow2" */
};

struct image {
	const char *name;
	char id[21]; /* 20 characters of its content's SHA-256: fits a virtio-blk serial */
	enum image_kind kind;
	const char *kernel;		      /* path of a bzImage, or NULL */
	const char *vmlinux;		      /* path of an uncompressed ELF kernel for PVH boots, or NULL */
	const char *initrd;		      /* initramfs of a plain guest, or NULL */
	const char *initrd_host;	      /* initramfs of a guest that has guests, or NULL */
	const char *disk;		      /* path of the root disk, or NULL */
	const char *disk_format;	      /* "raw" or "qcow2" */
	uint64_t disk_size;		      /* virtual size in bytes */
	const char *shim, *grub;	      /* signed boot loaders for UEFI, or NULL */
	const char *append;		      /* kernel command line words the image wants, or "" */
	const struct image_carrier *carriers; /* the disks to hand to a host whose guests boot this */
	size_t carrier_count;
};

/* Where images are kept: $NESTVISOR_CACHE, else /var/cache/nestvisor. */
const char *image_cache_dir(void);

/*
 * Finds or makes the image. In order: the disks carried down by the layer above, the cache, a build; `name` may also be
 * the path of a disk. `id` NULL: whatever is current; otherwise the one with that id, or an error. Everything returned
 * lives in the arena. Where a build is under way in another process, waits for it, telling the reporter who builds.
 *
 * Each use checks sizes and times of the cached files; NESTVISOR_VERIFY=1 in the environment checks their content too,
 * and NESTVISOR_REFRESH=1 makes images that are older than ten minutes from the packages of today. What is damaged is
 * made again, with a warning.
 */
int image_get(struct arena *arena, const char *name_or_path, const char *id, struct reporter *reporter,
	      struct cancel *cancel, struct image *ret, struct error **err);

/*
 * The kernel that a built-in image boots, as its file says it: "6.1.0-28-cloud-amd64 (debian-kernel@…) #1 SMP … Debian
 * 6.1.119-1 (2024-11-22)". NULL where the image was not made here yet, or is none of ours.
 */
const char *image_kernel_version(struct arena *arena, const char *name);

/* Whether a name is one of the built-in images. */
bool image_is_builtin(const char *name);

/*
 * A qcow2 overlay of the image's disk, of `size` bytes (0: as the image; never smaller); made under a temporary name
 * and renamed. Of an image without a disk: an empty disk of that size.
 */
int image_make_overlay(const struct image *image, const char *path, uint64_t size, struct cancel *cancel,
		       struct error **err);

/*
 * Checks that a user's file is a whole qcow2 or raw disk and tells its format ("qcow2", "raw") and virtual size.
 * Refused with a message: what is empty, truncated, compressed, of another format, has no partition table or file
 * system, is encrypted, or refers to files outside its own folder. Reads metadata only and starts no program.
 */
int image_inspect(const char *path, const char **ret_format, uint64_t *ret_size, struct error **err);

/*
 * A disk from which UEFI boots the image's own kernel, Secure Boot or not: an EFI system partition with shim, GRUB, the
 * kernel, the initramfs of a host or a guest, and these words for the kernel. What was there is replaced. -ENOTSUP where
 * the image has no boot loaders.
 */
int image_make_boot_disk(const struct image *image, bool host, const char *words, const char *path,
			 struct cancel *cancel, struct error **err);

/* A NoCloud seed disk (cloud-init): a FAT file system CIDATA with meta-data, user-data and network-config (or NULL). */
int image_make_cloud_seed(const char *path, const char *meta_data, const char *user_data, const char *network_config,
			  struct cancel *cancel, struct error **err);

#endif
