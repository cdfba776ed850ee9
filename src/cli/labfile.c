#include "cli/labfile.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/surroundings.h"
#include "config/config.h"

#include <errno.h>

int labfile_load(struct invocation *inv, const char *path, bool host, struct lab **ret)
{
	cleanup_problems struct problems problems = {};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_free char *found = NULL;
	struct surroundings machine;
	int r;

	if (!path) {
		if (config_find(&found, &err) < 0)
			return invocation_fail_as(inv, EXIT_USAGE, &err);
		path = found;
	}
	if (host)
		surroundings_collect("", arena, &machine);
	r = config_load(path, host ? &machine : NULL, &problems, ret, &err);
	if (r < 0 && problems.errors == 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	return invocation_problems(inv, &problems);
}
