#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/forwarding.h"
#include "cli/target.h"
#include "driver/display.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* The first that is installed is taken. Two colons: a port, and no display's number. */
static const struct viewer viewers[] = {
	{.program = "remote-viewer", .host = "vnc://127.0.0.1:"},
	{.program = "vncviewer", .host = "127.0.0.1::"},
	{.program = "gvncviewer", .host = "127.0.0.1::"},
	{0},
};

static int run(struct invocation *inv)
{
	static const struct ip here = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	cleanup_close int listener = -1;
	const char *const *viewer;
	const struct guest *target;
	uint16_t port = 0;
	int status = target_lab(inv, NULL, &lab), r = 0;

	if (status == EXIT_DONE)
		status = target_guest(inv, lab, invocation_operand(inv, 0), &target);
	if (status != EXIT_DONE)
		return status;
	if (!target->display)
		r = display_missing(target->path, &err);
	if (r == 0)
		r = forwarding_listen(&here, (uint16_t)invocation_integer(inv, "as", 0), &listener, &port, &err);
	if (r < 0)
		return invocation_fail(inv, &err);
	viewer = invocation_flag(inv, "print") ? NULL : forwarding_viewer(arena, viewers, port, NULL);
	invocation_note(inv, "the screen of %s is at vnc://127.0.0.1:%u %s", target->path, port,
			viewer ? "until its viewer is closed" : "until Ctrl-C");
	r = forwarding_serve(inv, listener, lab, target, "display", viewer, &err);
	return r < 0 ? invocation_fail(inv, &err) : EXIT_DONE;
}

const struct command command_view = {
	.name = "view",
	.group = GROUP_INSIDE,
	.summary = "shows a guest's screen while it runs, at any depth",
	.description = "Makes the screen of a guest reachable by VNC at this machine's own address, and starts a "
		       "viewer where one "
		       "is installed (remote-viewer, vncviewer, gvncviewer) and there is a screen to show it on; else "
		       "it prints "
		       "the address. Nothing is needed inside the guest, and on the way the guest agents carry it. "
		       "Whoever may "
		       "connect to a port of this machine while it runs can see the screen and type. The guest needs a "
		       "display: "
		       "Windows guests have one, others with `display: true` in the lab file.",
	.operands =
		(const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/win11", COMPLETE_GUEST}, {0}},
	.options = (const struct command_option[]){{"as", 0, OPTION_INTEGER, "PORT",
						    .help = "the port at 127.0.0.1; one that is free if left out",
						    .minimum = 1, .maximum = 65535, .no_env = true},
						   {"print", 0, .help = "only print the address, start no viewer"},
						   {0}},
	.examples = (const struct command_example[]){{"nestvisor view hv1/win11", "in a window"},
						     {"nestvisor view hv1/win11 --print --as 5900",
						      "for a viewer of your own"},
						     {0}},
	.lab = true,
	.run = run,
};
