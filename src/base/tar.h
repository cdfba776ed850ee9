/*
 * Tar archives in memory: written as POSIX ustar (pax(1), "ustar Interchange Format"), read as what GNU tar, BSD tar
 * and busybox write: ustar, pax headers (path, size) and GNU's long names. Only plain files matter here; folders, links
 * and devices are passed over. Nothing is ever written to disk by reading, so paths need not be trusted: they come back
 * as they are, without leading "./" and "/".
 */
#ifndef NESTVISOR_BASE_TAR_H
#define NESTVISOR_BASE_TAR_H

#include "base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct error;

/* Adds a file. The path has at most 255 bytes, 100 of them behind a slash: -ENAMETOOLONG. */
int tar_add(struct strbuf *out, const char *path, const void *data, size_t length, mode_t mode, time_t mtime,
	    struct error **err);
/* The end of the archive. */
void tar_end(struct strbuf *out);

enum { TAR_PATH_SIZE = 4096 };

struct tar_reader {
	const char *name; /* of the archive, for errors */
	const unsigned char *data;
	size_t length, at;
	char path[TAR_PATH_SIZE]; /* of the entry read last */
	/* tar.c's own: what extended headers said of the entry to come */
	char next_path[TAR_PATH_SIZE];
	uint64_t next_size;
	bool has_path, has_size;
};

struct tar_entry {
	const char *path; /* in the reader, until the next entry */
	const char *data; /* in the archive; not NUL-terminated */
	size_t length;
};

/* Does this look like an archive, or a compressed one? */
bool tar_looks_like(const void *data, size_t length);

/* -EINVAL for what is no archive; where it is compressed the message says with what, the hint how to unpack. */
int tar_open(struct tar_reader *reader, const char *name, const void *data, size_t length, struct error **err);
/* The next file: 1, or 0 at the end, or -EINVAL where the archive is damaged or cut off. */
int tar_next(struct tar_reader *reader, struct tar_entry *ret, struct error **err);

#endif
