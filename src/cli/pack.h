/* A bundle on its way to disk: files in memory, written whole or not at all, as a tar archive or as a folder. */
#ifndef NESTVISOR_CLI_PACK_H
#define NESTVISOR_CLI_PACK_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct packed_file {
	const char *path; /* inside the bundle */
	const char *data; /* the caller's */
	size_t length;
};

struct pack {
	struct arena *arena;
	struct packed_file *files;
	size_t count;
};

void pack_add(struct pack *pack, const char *path, const char *data, size_t length);

/* Can it be written there? A path that ends with .tar becomes an archive, one that ends with a slash, or is a folder
 * already, a folder. What exists is replaced only with `force`, and a folder only where it holds nothing but a bundle.
 * -EINVAL, -EEXIST. */
int pack_check(const char *path, bool force, struct error **err);

/* Everything in it can be read by its owner only. */
int pack_write(const struct pack *pack, const char *path, time_t when, size_t *ret_bytes, struct error **err);

#endif
