/* What the drivers share of a guest's run_dir (driver.h). */
#ifndef NESTVISOR_DRIVER_RUN_DIR_H
#define NESTVISOR_DRIVER_RUN_DIR_H

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* <run_dir>/<file>, freed by the caller. */
static inline char *in_dir(const char *run_dir, const char *file)
{
	char *path;

	if (asprintf(&path, "%s/%s", run_dir, file) < 0)
		abort();
	return path;
}

/* Files that are not there are passed over. */
static inline void remove_listed(const char *run_dir, const char *const list[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		cleanup_free char *path = in_dir(run_dir, list[i]);

		unlink(path);
	}
}

/* The agent's: see transport/qga_channel.c. */
static inline int make_fifos(const char *run_dir, struct error **err)
{
	static const char *const names[] = {"qga.in", "qga.out"};

	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *path = in_dir(run_dir, names[i]);

		if (mkfifo(path, 0600) < 0)
			return error_errno(err, errno, "cannot make %s", path);
	}
	return 0;
}

#endif
