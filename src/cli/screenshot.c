#include "apply/folders.h"
#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/target.h"
#include "driver/display.h"

#include <errno.h>
#include <string.h>

enum { TIMEOUT_MS = 60000 };

/* Of a deeper guest its own host takes it, and prints it. */
static int take(struct invocation *inv, const struct lab *lab, const struct guest *target, char **ret_png,
		size_t *ret_length, struct error **err)
{
	static const char *const to_output[] = {"--output", "-", NULL};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	struct folders folders;
	struct into_way way;
	int r = folders_of(arena, lab->name, &folders, err);

	if (r == 0)
		r = into_way(arena, lab, target, "screenshot", to_output, NULL, &way, err);
	if (r < 0)
		return r;
	if (way.direct)
		return display_screenshot(folders_guest(arena, &folders, target->name), inv->cancel, ret_png,
					  ret_length, err);
	r = into_open(arena, &folders, lab, way.first, inv->cancel, &t, err);
	if (r == 0)
		r = transport_run(t, way.argv, NULL, 0, TIMEOUT_MS, inv->cancel, &output, err);
	if (r == 0 && output.status != 0)
		r = error_set(err, EIO, "%s", output.err_length ? output.err : "its host took no screenshot");
	if (r < 0)
		return r;
	*ret_png = steal_pointer(&output.out);
	*ret_length = output.out_length;
	return 0;
}

static int run(struct invocation *inv)
{
	const char *to = invocation_string(inv, "output");
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	cleanup_free char *png = NULL;
	const struct guest *target;
	size_t length;
	int status = target_lab(inv, NULL, &lab), r;

	if (status == EXIT_DONE)
		status = target_guest(inv, lab, invocation_operand(inv, 0), &target);
	if (status != EXIT_DONE)
		return status;
	r = take(inv, lab, target, &png, &length, &err);
	if (r == 0 && strcmp(to, "-") == 0)
		r = fwrite(png, 1, length, stdout) == length && fflush(stdout) == 0
			    ? 0
			    : error_errno(&err, errno, "cannot write to standard output");
	else if (r == 0)
		r = file_write_output(to, png, length, 0644, &err);
	return r < 0 ? invocation_fail(inv, &err) : EXIT_DONE;
}

const struct command command_screenshot = {
	.name = "screenshot",
	.group = GROUP_INSIDE,
	.summary = "writes what a guest's screen shows to a PNG file, at any depth",
	.description = "Needs nothing inside the guest: firmware, boot loaders and installers are seen, too. The guest "
		       "needs a display: Windows guests have one, others with `display: true` in the lab file.",
	.operands =
		(const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/win11", COMPLETE_GUEST}, {0}},
	.options =
		(const struct command_option[]){{"output", 'o', OPTION_STRING, "FILE",
						 .help = "where to write it; - for standard output",
						 .fallback = "screen.png", .complete = COMPLETE_FILE, .no_env = true},
						{0}},
	.examples =
		(const struct command_example[]){{"nestvisor screenshot hv1/win11 -o x.png", "of a guest of a guest"},
						 {0}},
	.lab = true,
	.run = run,
};
