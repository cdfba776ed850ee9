/* Disks that are made for one guest: overlays over an image's disk, and cloud-init seeds. */
#include "image/image.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* A finished file gets its name, or is removed. */
static int put_in_place(const char *temporary, const char *path, int r, struct error **err)
{
	cleanup_close int fd = r < 0 ? -1 : open(temporary, O_RDONLY | O_CLOEXEC);

	if (r == 0 && (fd < 0 || fsync(fd) < 0 || rename(temporary, path) < 0))
		r = error_errno(err, errno, "cannot write %s", path);
	if (r < 0)
		unlink(temporary);
	return r;
}

static char *temporary_name(const char *path)
{
	char *name;

	if (asprintf(&name, "%s.new-%d", path, gettid()) < 0)
		abort();
	return name;
}

/* Runs a program; all that it says in several lines belongs to the message, the first says most. */
static int must(const char *const *argv, const char *package, const char *what, struct cancel *cancel,
		struct error **err)
{
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1};
	cleanup_output struct process_output output = {0};
	cleanup_free char *found = NULL;
	int r = process_find(argv[0], package, &found, err);

	if (r == 0)
		r = process_run(&spec, NULL, 0, -1, cancel, &output, err);
	if (r < 0) {
		error_wrap(err, "cannot make %s", what);
		return r;
	}
	if (output.status == 0)
		return 0;
	for (char *end = output.err + output.err_length; end > output.err && end[-1] == '\n'; end--)
		end[-1] = '\0';
	for (char *newline; (newline = strchr(output.err, '\n'));)
		*newline = ' ';
	return error_set(err, EIO, "cannot make %s: %s ended with status %d: %s", what, argv[0], output.status,
			 output.err);
}

int image_make_overlay(const struct image *image, const char *path, uint64_t size, struct cancel *cancel,
		       struct error **err)
{
	cleanup_free char *temporary = temporary_name(path), *bytes = NULL;
	const char *argv[16] = {"qemu-img", "create", "-q", "-f", "qcow2"};
	size_t n = 5;

	if (size && size < image->disk_size)
		return error_set(err, EINVAL,
				 "a disk of %" PRIu64 " bytes is too small for image %s, which has %" PRIu64, size,
				 image->name, image->disk_size);
	if (!image->disk && !size)
		return error_set(err, EINVAL, "image %s has no disk, and no size was given for one", image->name);
	if (image->disk) {
		argv[n++] = "-b";
		argv[n++] = image->disk;
		argv[n++] = "-F";
		argv[n++] = image->disk_format;
	}
	argv[n++] = "--";
	argv[n++] = temporary;
	if (size) {
		if (asprintf(&bytes, "%" PRIu64, size) < 0)
			abort();
		argv[n++] = bytes;
	}
	return put_in_place(temporary, path, must(argv, "qemu-utils", path, cancel, err), err);
}

static int add_file(const char *disk, const char *from, const char *to, struct cancel *cancel, struct error **err)
{
	const char *const argv[] = {"mcopy", "-i", disk, "--", from, to, NULL};

	return must(argv, "mtools", disk, cancel, err);
}

/* A text, by way of a file of its own: mcopy reads no pipe for certain. `image` is the file that `disk` lies in. */
static int add_text(const char *image, const char *disk, const char *to, const char *text, struct cancel *cancel,
		    struct error **err)
{
	cleanup_free char *content = NULL;
	int r;

	if (asprintf(&content, "%s.text", image) < 0)
		abort();
	r = file_write_atomic(content, text, strlen(text), 0600, err);
	if (r == 0)
		r = add_file(disk, content, to, cancel, err);
	unlink(content);
	return r;
}

/*
 * UEFI 2.10, 13.3.3: a partition of type 0xef in a table of the old kind, for firmware to find a file system in; GRUB
 * does not look at a disk without partitions. It begins at sector 2048, as partitions do.
 */
enum { SECTOR = 512, PARTITION_START = 2048 };

static int write_partition_table(const char *path, uint32_t sectors, struct error **err)
{
	unsigned char table[SECTOR] = {[446] = 0x80, [510] = 0x55, [511] = 0xaa};
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint32_t start = PARTITION_START;

	memset(table + 447, 0xff, 7); /* no cylinders: the numbers of sectors count */
	table[450] = 0xef;
	for (unsigned i = 0; i < 4; i++) {
		table[454 + i] = (unsigned char)(start >> 8 * i);
		table[458 + i] = (unsigned char)(sectors >> 8 * i);
	}
	if (fd < 0 || pwrite(fd, table, sizeof(table), 0) != (ssize_t)sizeof(table) ||
	    ftruncate(fd, ((off_t)PARTITION_START + sectors) * SECTOR) < 0)
		return error_errno(err, errno, "cannot write %s", path);
	return 0;
}

static int file_sectors(const char *path, uint32_t *total, struct error **err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return error_errno(err, errno, "cannot read %s", path);
	*total += (uint32_t)(st.st_size / SECTOR) + 64; /* and what its last cluster leaves empty */
	return 0;
}

int image_make_boot_disk(const struct image *image, bool host, const char *words, const char *path,
			 struct cancel *cancel, struct error **err)
{
	const char *initrd = host && image->initrd_host ? image->initrd_host : image->initrd;
	/* The path in which Debian's signed GRUB looks for its configuration is part of what is signed. */
	const char *const files[][2] = {{image->shim, "::/EFI/BOOT/BOOTX64.EFI"},
					{image->grub, "::/EFI/BOOT/grubx64.efi"},
					{image->kernel, "::/vmlinuz"},
					{initrd, "::/initrd"}};
	cleanup_free char *temporary = temporary_name(path), *disk = NULL, *size = NULL, *config = NULL;
	uint32_t sectors = 8192; /* the file system's own: two tables and a root folder */
	int r = 0;

	if (!image->shim || !image->grub || !image->kernel)
		return error_set(err, ENOTSUP, "image %s has no boot loader for UEFI", image->name);
	for (size_t i = 0; r == 0 && i < sizeof(files) / sizeof(*files); i++)
		r = file_sectors(files[i][0], &sectors, err);
	if (asprintf(&disk, "%s@@%d", temporary, PARTITION_START * SECTOR) < 0 || asprintf(&size, "%u", sectors) < 0 ||
	    asprintf(&config, "set timeout=0\nlinux /vmlinuz %s\ninitrd /initrd\nboot\n", words) < 0)
		abort();
	if (r == 0)
		r = write_partition_table(temporary, sectors, err);
	if (r == 0) {
		const char *const format[] = {"mformat", "-i", disk,   "-T", size, "-H",
					      "2048",	 "-v", "BOOT", "::", NULL};

		r = must(format, "mtools", path, cancel, err);
	}
	if (r == 0) {
		const char *const folders[] = {"mmd", "-i", disk, "::/EFI", "::/EFI/BOOT", "::/EFI/debian", NULL};

		r = must(folders, "mtools", path, cancel, err);
	}
	for (size_t i = 0; r == 0 && i < sizeof(files) / sizeof(*files); i++)
		r = add_file(disk, files[i][0], files[i][1], cancel, err);
	if (r == 0)
		r = add_text(temporary, disk, "::/EFI/debian/grub.cfg", config, cancel, err);
	return put_in_place(temporary, path, r, err);
}

/* cloud-init, NoCloud: a FAT or ISO 9660 file system with the label CIDATA. FAT, because mtools needs nothing but libc.
 */
int image_make_cloud_seed(const char *path, const char *meta_data, const char *user_data, const char *network_config,
			  struct cancel *cancel, struct error **err)
{
	cleanup_free char *temporary = temporary_name(path);
	const char *const format[] = {"mformat", "-C", "-i", temporary, "-f", "1440", "-v", "CIDATA", "::", NULL};
	int r = must(format, "mtools", path, cancel, err);

	if (r == 0)
		r = add_text(temporary, temporary, "::meta-data", meta_data, cancel, err);
	if (r == 0)
		r = add_text(temporary, temporary, "::user-data", user_data, cancel, err);
	if (r == 0 && network_config)
		r = add_text(temporary, temporary, "::network-config", network_config, cancel, err);
	return put_in_place(temporary, path, r, err);
}
