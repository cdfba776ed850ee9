#include "apply/folders.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "model/lab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *root_from(const char *variable, const char *fallback)
{
	const char *value = getenv(variable);

	return value && *value ? value : fallback;
}

const char *folders_run_root(void)
{
	return root_from("NESTVISOR_RUN_DIR", "/run/nestvisor");
}

const char *folders_state_root(void)
{
	return root_from("NESTVISOR_STATE_DIR", "/var/lib/nestvisor");
}

int folders_of(struct arena *arena, const char *lab, struct folders *ret, struct error **err)
{
	const char *allowed = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(lab);

	if (length == 0 || length > LAB_NAME_MAX || strspn(lab, allowed) != length || strchr("._-", lab[0]))
		return error_set(err, EINVAL,
				 "\"%.60s\" is not a lab's name: it has 1 to %d of a-z, 0-9, '.', '_' and '-', "
				 "and begins with a letter or digit",
				 lab, LAB_NAME_MAX);
	ret->lab = arena_strdup(arena, lab);
	ret->run = arena_printf(arena, "%s/%s", folders_run_root(), lab);
	ret->state = arena_printf(arena, "%s/%s", folders_state_root(), lab);
	ret->lock = arena_printf(arena, "%s/lock", ret->run);
	ret->lab_file = arena_printf(arena, "%s/lab.json", ret->run);
	return 0;
}

int folders_make(const struct folders *folders, struct error **err)
{
	int r = dir_make(folders->run, 0700, err);

	if (r == 0)
		r = dir_make(folders->state, 0700, err);
	if (r < 0 && geteuid() != 0)
		error_hint(err, "namespaces, taps and nftables need root: run nestvisor as root");
	return r;
}

const char *folders_guest(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/guests/%s", folders->run, name);
}

const char *folders_guest_file(struct arena *arena, const struct folders *folders, const char *name, const char *file)
{
	return arena_printf(arena, "%s/guests/%s/%s", folders->run, name, file);
}

const char *folders_disk(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/%s.qcow2", folders->state, name);
}

const char *folders_seed(struct arena *arena, const struct folders *folders, const char *name)
{
	return arena_printf(arena, "%s/%s.seed", folders->state, name);
}
