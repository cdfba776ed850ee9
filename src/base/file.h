/* Files and folders: whole reads, atomic writes, trees, locks. Paths are used as they are; nothing here starts a shell.
 */
#ifndef NESTVISOR_BASE_FILE_H
#define NESTVISOR_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct cancel;
struct error;
struct reporter;

/* Reads a whole file of at most `limit` bytes (-EFBIG beyond), or standard input for "-". The data gets a NUL after its
 * end. */
int file_read(const char *path, size_t limit, char **ret_data, size_t *ret_length, struct error **err);
int file_read_fd(int fd, const char *name, size_t limit, char **ret_data, size_t *ret_length, struct error **err);

/* Writes to a temporary file in the same folder, syncs and renames: afterwards there is the old file or the new, never
 * a part. */
int file_write_atomic(const char *path, const void *data, size_t length, mode_t mode, struct error **err);
/* The same for a file that the user named: a symbolic link stays one, and what is no regular file (/dev/stdout, a FIFO)
 * is written to. */
int file_write_output(const char *path, const void *data, size_t length, mode_t mode, struct error **err);
/*
 * The same without waiting for the disk: whoever reads it while the machine runs finds all of it; after a power cut it
 * may be there in part. file_sync waits for the disk with the file and its name in the folder; file_settle does and
 * gives it another name.
 */
int file_write_soon(const char *path, const void *data, size_t length, mode_t mode, struct error **err);
int file_sync(const char *path, struct error **err);
int file_settle(const char *soon, const char *path, struct error **err);

/* A regular file, to be read: -ELOOP for a symbolic link, -EINVAL for whatever else is there. */
int file_open_regular(const char *path, int *ret_fd, struct error **err);

/*
 * Makes a new file (-EEXIST where there is one) and waits until it is on disk. Owner, mode and extended attributes,
 * thus POSIX ACLs and SELinux labels, are those of the regular file `like`; where that does not exist, `mode` holds. So
 * a file that is somebody else's is replaced: written beside it, then renamed.
 */
int file_write_like(const char *path, const char *like, const void *data, size_t length, mode_t mode,
		    struct error **err);

/* Writes to an existing file such as one under /proc/sys or /sys, in one write(2). */
int file_poke(const char *path, const char *text, struct error **err);

bool file_exists(const char *path);

/* mkdir -p */
int dir_make(const char *path, mode_t mode, struct error **err);

/* Waits until what was made, renamed and removed in a folder, or in that of a path, is on disk. */
int dir_sync(const char *path, struct error **err);
int dir_sync_parent(const char *path, struct error **err);

/* rm -rf, never crossing a mount point or following a symbolic link. A missing folder is success. */
int dir_remove(const char *path, struct error **err);

/* SHA-256 of a file or of bytes as 64 hexadecimal digits (FIPS 180-4). */
enum { HASH_TEXT_SIZE = 65 };
int file_hash(const char *path, char ret[HASH_TEXT_SIZE], struct error **err);
void hash_bytes(const void *data, size_t length, char ret[HASH_TEXT_SIZE]);

/*
 * An advisory lock (flock(2)) on a file that is created if missing and names its holder: "<pid> <what>". The kernel
 * drops it when the holder ends in any way, so it is never stale. Waits up to wait_ms (0: do not wait, -1: for ever),
 * reporting the holder once; -EBUSY with the holder in the message when it could not be had. Close the descriptor to
 * release it.
 */
int file_lock(const char *path, const char *what, int wait_ms, struct reporter *reporter, struct cancel *cancel,
	      int *ret_fd, struct error **err);

#endif
