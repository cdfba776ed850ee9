#include "base/file.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

int file_read_fd(int fd, const char *name, size_t limit, char **ret_data, size_t *ret_length, struct error **err)
{
	cleanup_free char *data = NULL;
	size_t length = 0, room = 0;

	for (;;) {
		ssize_t got;

		if (length + 1 >= room) {
			char *bigger;

			room = room ? room * 2 : 4096;
			bigger = realloc(data, room);
			if (!bigger)
				return error_errno(err, ENOMEM, "cannot read %s", name);
			data = bigger;
		}
		got = read(fd, data + length, room - length - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, errno, "cannot read %s", name);
		if (got == 0)
			break;
		length += (size_t)got;
		if (length > limit)
			return error_set(err, EFBIG, "%s is larger than %zu bytes", name, limit);
	}
	data[length] = '\0';
	*ret_data = steal_pointer(&data);
	*ret_length = length;
	return 0;
}

int file_read(const char *path, size_t limit, char **ret_data, size_t *ret_length, struct error **err)
{
	cleanup_close int fd = -1;

	if (strcmp(path, "-") == 0)
		return file_read_fd(STDIN_FILENO, "standard input", limit, ret_data, ret_length, err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot read %s", path);
	return file_read_fd(fd, path, limit, ret_data, ret_length, err);
}

static int write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

/* The owner comes before the mode: a change of owner takes set-user-ID bits away (chown(2)). */
static int copy_owner(int from, int to, mode_t *ret_mode)
{
	struct stat old, new;

	if (fstat(from, &old) < 0 || fstat(to, &new) < 0)
		return -errno;
	*ret_mode = old.st_mode & 07777;
	if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) && fchown(to, old.st_uid, old.st_gid) < 0)
		return -errno;
	return 0;
}

/* xattr(7). What the kernel keeps to itself or the file system does not have is no loss: it is made anew or not there.
 */
static int copy_attributes(int from, int to)
{
	char names[4096], value[4096];
	ssize_t length = flistxattr(from, names, sizeof(names));

	if (length < 0)
		return errno == ENOTSUP || errno == ENOSYS ? 0 : -errno;
	for (const char *name = names; name < names + length; name += strlen(name) + 1) {
		ssize_t size = fgetxattr(from, name, value, sizeof(value));

		if (size < 0 && errno == ENODATA)
			continue;
		if (size < 0)
			return -errno;
		if (fsetxattr(to, name, value, (size_t)size, 0) < 0 && errno != ENOTSUP && errno != EPERM)
			return -errno;
	}
	return 0;
}

/*
 * File systems without modes (vfat, Windows' drives in WSL) show the same one for every file, and refuse others: what
 * they show is then all there is to have.
 */
static int set_mode(int fd, mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 07777) == mode || fchmod(fd, mode) == 0)
		return 0;
	return errno == EPERM && (geteuid() == 0 || st.st_uid == geteuid()) ? 0 : -errno;
}

static int write_and_rename(const char *path, const void *data, size_t length, mode_t mode, bool sync,
			    struct error **err)
{
	cleanup_free char *temporary = NULL;
	cleanup_close int fd = -1;
	int r;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		abort();
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "cannot write %s", path);
	r = write_all(fd, data, length);
	if (r == 0 && (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0) || rename(temporary, path) < 0))
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return error_errno(err, r, "cannot write %s", path);
	}
	return 0;
}

int file_write_atomic(const char *path, const void *data, size_t length, mode_t mode, struct error **err)
{
	return write_and_rename(path, data, length, mode, true, err);
}

/* A device, a FIFO: renamed over, it would be lost. */
static int write_into(const char *path, const void *data, size_t length, struct error **err)
{
	cleanup_close int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	int r = fd < 0 ? -errno : write_all(fd, data, length);

	return r < 0 ? error_errno(err, r, "cannot write %s", path) : 0;
}

int file_write_output(const char *path, const void *data, size_t length, mode_t mode, struct error **err)
{
	cleanup_free char *real = realpath(path, NULL);
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_into(path, data, length, err);
	return file_write_atomic(real ? real : path, data, length, mode, err);
}

int file_write_soon(const char *path, const void *data, size_t length, mode_t mode, struct error **err)
{
	return write_and_rename(path, data, length, mode, false, err);
}

static int sync_one(const char *path, int flags)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int sync_folder_of(const char *path)
{
	cleanup_free char *name = strdup(path);

	if (!name)
		abort();
	return sync_one(dirname(name), O_DIRECTORY);
}

int file_sync(const char *path, struct error **err)
{
	int r = sync_one(path, 0);

	if (r == 0)
		r = sync_folder_of(path);
	return r < 0 ? error_errno(err, r, "cannot write %s", path) : 0;
}

int file_settle(const char *soon, const char *path, struct error **err)
{
	int r = sync_one(soon, 0);

	if (r == 0 && rename(soon, path) < 0)
		r = -errno;
	if (r == 0)
		r = sync_folder_of(path);
	return r < 0 ? error_errno(err, r, "cannot write %s", path) : 0;
}

int file_open_regular(const char *path, int *ret_fd, struct error **err)
{
	/* Without O_NONBLOCK a FIFO would wait for its other end. */
	cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ELOOP)
		return error_set(err, ELOOP, "%s is a symbolic link, which is not followed", path);
	if (fd < 0)
		return error_errno(err, errno, "cannot read %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "%s is no regular file", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}

int file_write_like(const char *path, const char *like, const void *data, size_t length, mode_t mode,
		    struct error **err)
{
	cleanup_close int old = -1, fd = -1;
	cleanup_error struct error *problem = NULL;
	int r = file_open_regular(like, &old, &problem);

	if (r < 0 && r != -ENOENT)
		return error_move(err, &problem);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, errno, "cannot write %s", path);
	r = write_all(fd, data, length);
	if (r == 0 && old >= 0)
		r = copy_owner(old, fd, &mode);
	if (r == 0)
		r = set_mode(fd, mode);
	if (r == 0 && old >= 0)
		r = copy_attributes(old, fd);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0) {
		unlink(path);
		return error_errno(err, r, "cannot write %s", path);
	}
	return 0;
}

int dir_sync(const char *path, struct error **err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Some file systems cannot sync a folder (EINVAL, as 9p says it): then there is nothing to wait for. */
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		return error_errno(err, errno, "cannot sync the folder %s", path);
	return 0;
}

int dir_sync_parent(const char *path, struct error **err)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");

	if (!parent)
		abort();
	return dir_sync(parent, err);
}

int file_poke(const char *path, const char *text, struct error **err)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return error_errno(err, errno, "cannot write \"%s\" to %s", text, path);
	return 0;
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int dir_make(const char *path, mode_t mode, struct error **err)
{
	cleanup_free char *part = strdup(path);

	if (!part)
		abort();
	for (char *slash = part + 1;; slash++) {
		char end = *slash;

		if (end != '/' && end != '\0')
			continue;
		*slash = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return error_errno(err, errno, "cannot make the folder %s", part);
		if (end == '\0')
			return 0;
		*slash = '/';
	}
}

static int remove_children(int dir_fd, dev_t device);

/* Takes the descriptor. */
static int remove_folder_at(int parent, const char *name, dev_t device)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_dev != device) {
		close(fd);
		return -EXDEV;
	}
	r = remove_children(fd, device);
	if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

static int remove_children(int dir_fd, dev_t device)
{
	cleanup_closedir DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		close(dir_fd);
		return -errno;
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) == 0 || errno == ENOENT)
			continue;
		r = errno == EISDIR || errno == EPERM ? remove_folder_at(dirfd(dir), entry->d_name, device) : -errno;
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

int dir_remove(const char *path, struct error **err)
{
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : error_errno(err, errno, "cannot remove %s", path);
	r = S_ISDIR(st.st_mode) ? remove_folder_at(AT_FDCWD, path, st.st_dev) : unlink(path) < 0 ? -errno : 0;
	if (r < 0 && r != -ENOENT)
		return error_errno(err, r, "cannot remove %s", path);
	return 0;
}

static void hash_text(SHA2_CTX *context, char ret[HASH_TEXT_SIZE])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256Final(digest, context);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

int file_hash(const char *path, char ret[HASH_TEXT_SIZE], struct error **err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	cleanup_free unsigned char *buffer = malloc(1 << 17);
	SHA2_CTX context;

	if (!buffer)
		abort();
	if (fd < 0)
		return error_errno(err, errno, "cannot read %s", path);
	SHA256Init(&context);
	for (;;) {
		ssize_t n = read(fd, buffer, 1 << 17);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, errno, "cannot read %s", path);
		if (n == 0)
			break;
		SHA256Update(&context, buffer, (size_t)n);
	}
	hash_text(&context, ret);
	return 0;
}

void hash_bytes(const void *data, size_t length, char ret[HASH_TEXT_SIZE])
{
	SHA2_CTX context;

	SHA256Init(&context);
	SHA256Update(&context, data, length);
	hash_text(&context, ret);
}

static void read_holder(int fd, char *ret, size_t size)
{
	ssize_t n = pread(fd, ret, size - 1, 0);

	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	if (!ret[0])
		snprintf(ret, size, "another process");
}

/* Whether the name still leads to the file that was locked: the former holder may have removed it, as `down` does. */
static bool still_named(int fd, const char *path)
{
	struct stat locked, named;

	return fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_ino == named.st_ino &&
	       locked.st_dev == named.st_dev;
}

/* Opens and tries to lock: 0 with the lock, -EWOULDBLOCK with the holder's words, or another -errno. */
static int try_lock(const char *path, int *ret_fd, char *holder, size_t holder_size)
{
	for (;;) {
		cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EINTR)
				continue;
			read_holder(fd, holder, holder_size);
			return -errno;
		}
		if (still_named(fd, path)) {
			*ret_fd = steal_fd(&fd);
			return 0;
		}
	}
}

int file_lock(const char *path, const char *what, int wait_ms, struct reporter *reporter, struct cancel *cancel,
	      int *ret_fd, struct error **err)
{
	long long deadline = wait_ms < 0 ? -1 : clock_ms() + wait_ms;
	cleanup_close int fd = -1;
	char holder[256] = "";
	bool said = false;
	int r;

	/* flock(2) has no timeout; a lock is held for seconds, so asking ten times a second costs nothing. */
	while ((r = try_lock(path, &fd, holder, sizeof(holder))) == -EWOULDBLOCK) {
		if (deadline >= 0 && clock_ms() >= deadline) {
			if (said)
				report(reporter, REPORT_FAILED, path, "still held by process %s", holder);
			return error_set(err, EBUSY, "%s is held by process %s", path, holder);
		}
		if (!said)
			report(reporter, REPORT_BEGIN, path, "waiting for process %s", holder);
		said = true;
		if (cancel_sleep(cancel, 100) < 0)
			return error_set(err, ECANCELED, "stopped while waiting for process %s to release %s", holder,
					 path);
	}
	if (r < 0)
		return error_errno(err, r, "cannot lock %s", path);
	if (said)
		report(reporter, REPORT_DONE, path, "free now");
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d %s\n", getpid(), what) < 0)
		return error_errno(err, errno, "cannot write the lock %s", path);
	*ret_fd = steal_fd(&fd);
	return 0;
}
