#include "fork/version.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "driver/driver.h"
#include "fork/store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ASK_MS = 20000 };

bool version_parse(const char *text, char ret[VERSION_TEXT_SIZE])
{
	const char *at = strstr(text, "version ");
	unsigned major, minor;

	if (!at || sscanf(at, "version %u.%u", &major, &minor) != 2)
		return false;
	snprintf(ret, VERSION_TEXT_SIZE, "%u.%u", major, minor);
	return true;
}

static bool ask(const char *program, char ret[VERSION_TEXT_SIZE])
{
	const char *const argv[] = {program, "--version", NULL};
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};

	return process_run(&spec, NULL, 0, ASK_MS, NULL, &output, NULL) == 0 && output.status == 0 &&
	       version_parse(output.out, ret);
}

static long long changed(const char *program)
{
	struct stat st;

	return stat(program, &st) == 0 ? st.st_mtim.tv_sec : -1;
}

void version_note(const struct store *store, json_t *json)
{
	struct driver_state state = {0};
	char link[64], program[PATH_MAX], version[VERSION_TEXT_SIZE];
	ssize_t length;

	if (store->driver->look(store->run_dir, &state, NULL) < 0 || !state.running)
		return;
	snprintf(link, sizeof(link), "/proc/%d/exe", state.process.pid);
	length = readlink(link, program, sizeof(program) - 1);
	if (length < 0)
		return;
	program[length] = '\0';
	if (changed(program) < 0 || !ask(program, version)) /* replaced while it ran */
		return;
	json_object_set_new(json, "qemu", json_string(version));
	json_object_set_new(json, "program", json_string(program));
	json_object_set_new(json, "program-changed", json_integer(changed(program)));
}

int version_check(const struct store *store, const struct snapshot *snapshot, struct error **err)
{
	const char *program = json_get_string(snapshot->json, "program", NULL);
	char version[VERSION_TEXT_SIZE];
	int r;

	if (!program || !snapshot->qemu ||
	    changed(program) == json_get_integer(snapshot->json, "program-changed", -2) || !ask(program, version) ||
	    strcmp(version, snapshot->qemu) == 0)
		return 0;
	r = error_set(err, ENOTSUP,
		      "the memory of %s in snapshot %s was written by QEMU %s, and %s is QEMU %s now: its machines are "
		      "others, and do not take it",
		      store->guest->path, snapshot->name, snapshot->qemu, program, version);
	if (snapshot->disk)
		error_hint(err, "nestvisor restore --no-memory %s %s boots it from its disk as it was then",
			   store->guest->path, snapshot->name);
	return r;
}
