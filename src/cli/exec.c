#include "apply/folders.h"
#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	INPUT_LIMIT = 64 << 20,
	NOT_FOUND = 127, /* there is no such program, as shells say it */
};

static int write_output(const struct process_output *output)
{
	if (fwrite(output->out, 1, output->out_length, stdout) != output->out_length || fflush(stdout) != 0)
		return EXIT_FAILED;
	fwrite(output->err, 1, output->err_length, stderr);
	return output->status;
}

static int answer(struct invocation *inv, const char *path, const struct process_output *output)
{
	json_t *out = json_stringn(output->out, output->out_length),
	       *err = json_stringn(output->err, output->err_length);

	/* JSON holds text only: bytes that are none are left out, and said to be. */
	invocation_answer(inv, json_pack("{s:s, s:i, s:o, s:o, s:b}", "path", path, "status", output->status, "stdout",
					 out ? out : json_null(), "stderr", err ? err : json_null(), "binary",
					 !out || !err));
	return output->status;
}

/* At this machine itself: in the lab's namespace, where its gateways and routes are. Does not return on success. */
static int exec_here(struct invocation *inv, const struct lab *lab)
{
	cleanup_error struct error *err = NULL;

	if (target_enter(lab, &err) < 0)
		return invocation_fail(inv, &err);
	target_become(inv, inv->rest, &err);
	return invocation_fail_as(inv, NOT_FOUND, &err);
}

static int exec_there(struct invocation *inv, const struct lab *lab, const struct guest *target)
{
	static const char *const with_input[] = {"-i", NULL};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_free char *input = NULL;
	struct folders folders;
	struct into_way way;
	size_t length = 0;
	bool interactive = invocation_flag(inv, "stdin"), missing = false;
	int timeout = (int)invocation_integer(inv, "timeout", -1), r = 0;

	if (interactive)
		r = file_read("-", INPUT_LIMIT, &input, &length, &err);
	if (r == 0)
		r = folders_of(arena, lab->name, &folders, &err);
	if (r == 0)
		r = into_way(arena, lab, target, "exec", interactive ? with_input : NULL, inv->rest, &way, &err);
	if (r == 0)
		r = into_open(arena, &folders, lab, way.first, inv->cancel, &t, &err);
	if (r == 0) {
		r = transport_run(t, way.argv, input, length, timeout, inv->cancel, &output, &err);
		missing = r == -ENOENT;
	}
	if (r < 0) {
		error_wrap(&err, "cannot run %s in %s", inv->rest[0], target->path);
		return invocation_fail_as(inv,
					  r == -ECANCELED ? EXIT_INTERRUPTED
					  : missing	  ? NOT_FOUND
							  : EXIT_FAILED,
					  &err);
	}
	return inv->json ? answer(inv, target->path, &output) : write_output(&output);
}

static int run(struct invocation *inv)
{
	const char *path = invocation_operand(inv, 0);
	cleanup_lab struct lab *lab = NULL;
	const struct guest *target;
	int status = target_lab(inv, NULL, &lab);

	if (status != EXIT_DONE)
		return status;
	if (strcmp(path, "L0") == 0 && lab->root->layer == 0)
		return exec_here(inv, lab);
	status = target_guest(inv, lab, path, &target);
	return status == EXIT_DONE ? exec_there(inv, lab, target) : status;
}

const struct command command_exec = {
	.name = "exec",
	.group = GROUP_INSIDE,
	.summary = "runs a command in a guest, at any depth",
	.description = "Runs a command in a guest through its agent, without a network, and gives back its output and "
		       "its exit status. "
		       "No shell is involved: words arrive as they are. L0 runs it at this machine inside the lab's "
		       "own network.",
	.operands =
		(const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/a; or L0", COMPLETE_HOST}, {0}},
	.rest = "COMMAND",
	.rest_required = true,
	.options = (const struct command_option[]){{"stdin", 'i', .help = "pass on standard input"},
						   {"timeout", 't', OPTION_SECONDS, "TIME", "give up after this long"},
						   {0}},
	.examples =
		(const struct command_example[]){
			{"nestvisor exec hv1/a -- uname -a", "in a guest of a guest"},
			{"nestvisor exec L0 -- ping -c1 192.168.124.91", "from this machine, inside the lab"},
			{"echo hello | nestvisor exec -i hv1 -- tee /tmp/x", "with standard input"},
			{0}},
	.statuses = (const struct command_status[]){{0, "the command's own status, whatever it is"},
						    {EXIT_FAILED, "also: it could not be run"},
						    {127, "also: there is no such program"},
						    {0}},
	.json = "exec",
	.lab = true,
	.run = run,
};
