/*
 * The "newc" format: each entry is a header of 110 characters (a magic and 13 numbers in hexadecimal), its name with a
 * NUL, and its content, the last two padded to a multiple of four bytes; an entry named TRAILER!!! ends the archive.
 */
#include "image/cpio.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cpio {
	FILE *f;
	char *path;
	uint32_t inode;
};

int cpio_open(const char *path, struct cpio **ret, struct error **err)
{
	struct cpio *cpio;
	FILE *f = fopen(path, "wxe");

	if (!f)
		return error_errno(err, errno, "cannot create %s", path);
	cpio = calloc(1, sizeof(*cpio));
	if (!cpio || !(cpio->path = strdup(path)))
		abort();
	cpio->f = f;
	*ret = cpio;
	return 0;
}

void cpio_abandon(struct cpio *cpio)
{
	if (!cpio)
		return;
	fclose(cpio->f);
	free(cpio->path);
	free(cpio);
}

static int check(const struct cpio *cpio, struct error **err)
{
	return ferror(cpio->f) ? error_errno(err, errno ? errno : EIO, "cannot write %s", cpio->path) : 0;
}

static void pad(struct cpio *cpio, size_t length)
{
	static const char zeros[4];

	fwrite(zeros, 1, -length & 3, cpio->f);
}

static void add_header(struct cpio *cpio, const char *name, mode_t mode, size_t length)
{
	size_t name_length = strlen(name) + 1;

	fprintf(cpio->f, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", ++cpio->inode, mode, 0, 0, 1,
		0, length, 0, 0, 0, 0, name_length, 0);
	fwrite(name, 1, name_length, cpio->f);
	pad(cpio, 110 + name_length);
}

int cpio_close(struct cpio *cpio, struct error **err)
{
	int r;

	add_header(cpio, "TRAILER!!!", 0, 0);
	r = check(cpio, err);
	if (r == 0 && (fflush(cpio->f) != 0 || fsync(fileno(cpio->f)) < 0))
		r = error_errno(err, errno, "cannot write %s", cpio->path);
	cpio_abandon(cpio);
	return r;
}

int cpio_add_folder(struct cpio *cpio, const char *name, struct error **err)
{
	add_header(cpio, name, S_IFDIR | 0755, 0);
	return check(cpio, err);
}

static int add_content(struct cpio *cpio, int fd, const char *from, size_t length, struct error **err)
{
	static const size_t chunk = 1 << 18;
	cleanup_free char *buffer = malloc(chunk);
	size_t left = length;

	if (!buffer)
		abort();
	while (left) {
		ssize_t n = read(fd, buffer, left < chunk ? left : chunk);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, n < 0 ? errno : EIO, "cannot read %s: %s", from,
					 n < 0 ? strerror(errno) : "it became shorter meanwhile");
		fwrite(buffer, 1, (size_t)n, cpio->f);
		left -= (size_t)n;
	}
	pad(cpio, length);
	return check(cpio, err);
}

static int add_file_at(struct cpio *cpio, const char *name, int folder, const char *from, mode_t permissions,
		       struct error **err)
{
	cleanup_close int fd = openat(folder, from, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "cannot read %s", name);
	if (!S_ISREG(st.st_mode) || st.st_size > UINT32_MAX)
		return error_set(err, EINVAL, "%s cannot go into an initramfs: %s", name,
				 S_ISREG(st.st_mode) ? "it is larger than 4 GiB" : "it is no file");
	add_header(cpio, name, S_IFREG | (permissions ? permissions : st.st_mode & 07777), (size_t)st.st_size);
	return add_content(cpio, fd, name, (size_t)st.st_size, err);
}

int cpio_add_file(struct cpio *cpio, const char *name, const char *from, mode_t permissions, struct error **err)
{
	return add_file_at(cpio, name, AT_FDCWD, from, permissions, err);
}

static int add_link_at(struct cpio *cpio, const char *name, int folder, const char *from, struct error **err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(folder, from, target, sizeof(target));

	if (n < 0)
		return error_errno(err, errno, "cannot read the link %s", name);
	add_header(cpio, name, S_IFLNK | 0777, (size_t)n);
	fwrite(target, 1, (size_t)n, cpio->f);
	pad(cpio, (size_t)n);
	return check(cpio, err);
}

static int not_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_folder_content(struct cpio *cpio, int folder, const char *prefix, struct error **err);

static int add_entry(struct cpio *cpio, int folder, const char *prefix, const char *entry, struct error **err)
{
	cleanup_free char *name = NULL;
	cleanup_close int below = -1;
	struct stat st;

	if (asprintf(&name, "%s%s%s", prefix, *prefix ? "/" : "", entry) < 0)
		abort();
	if (fstatat(folder, entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, errno, "cannot read %s", name);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return add_file_at(cpio, name, folder, entry, 0, err);
	case S_IFLNK:
		return add_link_at(cpio, name, folder, entry, err);
	case S_IFDIR:
		add_header(cpio, name, S_IFDIR | (st.st_mode & 07777), 0);
		below = openat(folder, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0)
			return error_errno(err, errno, "cannot read %s", name);
		return add_folder_content(cpio, below, name, err);
	default:
		return error_set(err, EINVAL, "%s cannot go into an initramfs: it is no file, folder or link", name);
	}
}

static int add_folder_content(struct cpio *cpio, int folder, const char *prefix, struct error **err)
{
	struct dirent **entries;
	int count = scandirat(folder, ".", &entries, not_dots, by_name), r = 0;

	if (count < 0)
		return error_errno(err, errno, "cannot read the folder %s", prefix);
	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = add_entry(cpio, folder, prefix, entries[i]->d_name, err);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int cpio_add_tree(struct cpio *cpio, const char *root, struct error **err)
{
	cleanup_close int folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return error_errno(err, errno, "cannot read %s", root);
	return add_folder_content(cpio, folder, "", err);
}
