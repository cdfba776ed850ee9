#include "base/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *from_environment(const char *variable, const char *fallback)
{
	const char *value = getenv(variable);

	return value && *value ? value : fallback;
}

const char *places_run_root(void)
{
	return from_environment("NESTVISOR_RUN_DIR", "/run/nestvisor");
}

const char *places_state_root(void)
{
	return from_environment("NESTVISOR_STATE_DIR", "/var/lib/nestvisor");
}

char *places_user_state(void)
{
	const char *given = from_environment("NESTVISOR_STATE_DIR", NULL);
	const char *state = from_environment("XDG_STATE_HOME", NULL), *home = from_environment("HOME", NULL);
	char *path = NULL;
	int r;

	if (given || geteuid() == 0)
		r = asprintf(&path, "%s", places_state_root());
	else if (state && state[0] == '/')
		r = asprintf(&path, "%s/nestvisor", state);
	else if (home)
		r = asprintf(&path, "%s/.local/state/nestvisor", home);
	else
		return NULL;
	if (r < 0)
		abort();
	return path;
}
