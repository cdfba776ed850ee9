#include "image/volume_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int volume_read_at(const struct volume *volume, uint64_t offset, void *buffer, size_t length, struct error **err)
{
	ssize_t got;

	if (offset > volume->size || length > volume->size - offset)
		return error_set(err, EBADMSG,
				 "%s is truncated: it has %llu bytes, and what is on it reaches to byte %llu",
				 volume->path, (unsigned long long)volume->size, (unsigned long long)(offset + length));
	got = pread(volume->fd, buffer, length, (off_t)offset);
	if (got < 0)
		return error_errno(err, errno, "cannot read %s", volume->path);
	return (size_t)got == length ? 0 : error_set(err, EBADMSG, "%s became shorter while it was read", volume->path);
}

int volume_broken(const struct volume *volume, struct error **err, const char *format, ...)
{
	cleanup_free char *what = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&what, format, args);
	va_end(args);
	if (n < 0)
		abort();
	return error_set(err, EBADMSG, "%s is a broken CD image: %s", volume->path, what);
}

int volume_add_extent(struct volume *volume, struct volume_file *file, uint64_t offset, uint64_t length,
		      struct error **err)
{
	if (file->extent_count >= VOLUME_EXTENTS_MAX)
		return volume_broken(volume, err, "a file lies in too many pieces");
	if (offset > volume->size || length > volume->size - offset)
		return error_set(err, EBADMSG,
				 "%s is truncated: it has %llu bytes, and a file on it reaches to byte %llu",
				 volume->path, (unsigned long long)volume->size, (unsigned long long)(offset + length));
	*arena_push(volume->arena, file->extents, file->extent_count) = (struct volume_extent){offset, length};
	return 0;
}

void volume_add_character(struct strbuf *sb, unsigned c)
{
	if (c >= 0xd800 && c < 0xe000)
		c = 0xfffd;
	if (c < 0x80) {
		strbuf_add_char(sb, (char)c);
		return;
	}
	if (c < 0x800) {
		strbuf_add_char(sb, (char)(0xc0 | c >> 6));
	} else {
		strbuf_add_char(sb, (char)(0xe0 | c >> 12));
		strbuf_add_char(sb, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	strbuf_add_char(sb, (char)(0x80 | (c & 0x3f)));
}

static int open_file(struct volume *volume, struct error **err)
{
	struct stat st;

	volume->fd = open(volume->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (volume->fd < 0 || fstat(volume->fd, &st) < 0)
		return error_errno(err, errno, "cannot read %s", volume->path);
	volume->size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(volume->fd, BLKGETSIZE64, &volume->size) < 0)
		return error_errno(err, errno, "cannot read the size of %s", volume->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(err, EMEDIUMTYPE, "%s is no CD image but %s", volume->path,
				 S_ISDIR(st.st_mode) ? "a folder" : "a special file");
	return 0;
}

int volume_open(const char *path, struct volume **ret, struct error **err)
{
	struct arena *arena = arena_new();
	struct volume *volume = arena_new_struct(arena, struct volume);
	int r;

	*volume = (struct volume){.arena = arena, .path = arena_strdup(arena, path), .label = "", .fd = -1};
	r = open_file(volume, err);
	if (r == 0)
		r = volume_open_udf(volume, err);
	if (r == 0)
		r = volume_open_iso(volume, err);
	if (r == 0)
		r = error_set(err, EMEDIUMTYPE, "%s is no image of a CD or DVD: it has neither UDF nor ISO 9660 on it",
			      path);
	if (r < 0) {
		volume_close(volume);
		return r;
	}
	*ret = volume;
	return 0;
}

void volume_close(struct volume *volume)
{
	if (!volume)
		return;
	if (volume->fd >= 0)
		close(volume->fd);
	arena_free(volume->arena);
}

const char *volume_path(const struct volume *volume)
{
	return volume->path;
}

const char *volume_label(const struct volume *volume)
{
	return volume->label;
}

const char *volume_format(const struct volume *volume)
{
	return volume->format;
}

int volume_read(const struct volume *volume, const struct volume_file *file, uint64_t offset, void *buffer,
		size_t length, struct error **err)
{
	unsigned char *to = buffer;

	if (offset > file->size || length > file->size - offset)
		return volume_broken(volume, err, "a file on it is shorter than it says of itself");
	for (size_t i = 0; i < file->extent_count && length; i++) {
		const struct volume_extent *extent = &file->extents[i];
		uint64_t left = extent->length > offset ? extent->length - offset : 0;
		size_t part = left < length ? (size_t)left : length;
		int r = part ? volume_read_at(volume, extent->offset + offset, to, part, err) : 0;

		if (r < 0)
			return r;
		offset = part ? 0 : offset - extent->length;
		to += part;
		length -= part;
	}
	return length ? volume_broken(volume, err, "a file on it has fewer bytes than it says") : 0;
}

static int step_down(struct volume *volume, const struct volume_file *folder, const char *name, struct volume_file *ret,
		     struct error **err)
{
	cleanup_free unsigned char *content = NULL;
	int r;

	if (folder->size > VOLUME_FOLDER_MAX)
		return volume_broken(volume, err, "a folder on it has %llu bytes", (unsigned long long)folder->size);
	content = malloc(folder->size + 1);
	if (!content)
		abort();
	r = volume_read(volume, folder, 0, content, folder->size, err);
	if (r == 0)
		r = volume->look_up(volume, content, folder->size, name, ret, err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int volume_find(struct volume *volume, const char *path, struct volume_file *ret, struct error **err)
{
	struct volume_file at = volume->root;

	while (*path) {
		size_t length = strcspn(path, "/");
		cleanup_free char *name = strndup(path, length);
		struct volume_file next = {0};
		int r;

		if (!name)
			abort();
		r = at.folder ? step_down(volume, &at, name, &next, err) : -ENOENT;
		if (r < 0)
			return r;
		at = next;
		path += length + (path[length] == '/');
	}
	*ret = at;
	return 0;
}

bool volume_has(struct volume *volume, const char *path)
{
	struct volume_file file;

	return volume_find(volume, path, &file, NULL) == 0;
}
