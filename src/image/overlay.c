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

/* One file of the seed, by way of a file of its own: mcopy reads no pipe for certain. */
static int add_to_seed(const char *disk, const char *name, const char *text, struct cancel *cancel, struct error **err)
{
	cleanup_free char *content = NULL, *target = NULL;
	const char *argv[] = {"mcopy", "-i", disk, "--", NULL, NULL, NULL};
	int r;

	if (asprintf(&content, "%s.%s", disk, name) < 0 || asprintf(&target, "::%s", name) < 0)
		abort();
	argv[4] = content;
	argv[5] = target;
	r = file_write_atomic(content, text, strlen(text), 0600, err);
	if (r == 0)
		r = must(argv, "mtools", disk, cancel, err);
	unlink(content);
	return r;
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
		r = add_to_seed(temporary, "meta-data", meta_data, cancel, err);
	if (r == 0)
		r = add_to_seed(temporary, "user-data", user_data, cancel, err);
	if (r == 0 && network_config)
		r = add_to_seed(temporary, "network-config", network_config, cancel, err);
	return put_in_place(temporary, path, r, err);
}
