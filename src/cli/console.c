#include "apply/folders.h"
#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/pump.h"
#include "cli/target.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { ESCAPE = 0x1d /* Ctrl-], as telnet(1) and virsh console have it */ };

static int connect_socket(const char *path, struct error **err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_close int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, ENAMETOOLONG, "%s is too long for a socket's name", path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = error_errno(err, errno, "cannot open the console at %s", path);

		error_hint(err, "is the guest running (nestvisor status), and is nobody else at its console?");
		return r;
	}
	return steal_fd(&fd);
}

/* Raw, so that every key goes to the guest; undone by restore. */
static bool make_raw(struct termios *before)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, before) < 0)
		return false;
	raw = *before;
	cfmakeraw(&raw);
	return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static int attach(struct invocation *inv, const struct lab *lab, const struct guest *target, struct error **err)
{
	static const char *const raw[] = {"--raw", NULL};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_transport struct transport *t = NULL;
	bool all = invocation_flag(inv, "raw");
	struct folders folders;
	struct into_way way;
	int r = folders_of(arena, lab->name, &folders, err), status = 0;

	if (r == 0)
		/* The escape key is for the nestvisor that has the guest's console. */
		r = into_way(arena, lab, target, "console", all ? raw : NULL, NULL, &way, err);
	if (r < 0)
		return r;
	if (way.direct) {
		cleanup_close int peer =
			connect_socket(folders_guest_file(arena, &folders, target->name, "console"), err);

		return peer < 0 ? peer
				: pump(STDIN_FILENO, STDOUT_FILENO, peer, all ? PUMP_NO_ESCAPE : ESCAPE, inv->cancel);
	}
	r = into_open(arena, &folders, lab, way.first, inv->cancel, &t, err);
	if (r == 0)
		r = transport_stream(t, way.argv, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, inv->cancel, &status,
				     err);
	if (r == 0 && status != 0)
		r = error_set(err, EIO, "the console of %s ended with status %d", target->path, status);
	return r;
}

static int run(struct invocation *inv)
{
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	const struct guest *target;
	struct termios before;
	int status = target_lab(inv, NULL, &lab), r;
	bool raw;

	if (status == EXIT_DONE)
		status = target_guest(inv, lab, invocation_operand(inv, 0), &target);
	if (status != EXIT_DONE)
		return status;
	if (isatty(STDIN_FILENO))
		invocation_note(inv, "console of %s; Ctrl-] leaves it", target->path);
	invocation_leave_terminal(inv);
	raw = make_raw(&before);
	r = attach(inv, lab, target, &err);
	if (raw) {
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
		printf("\r\n");
	}
	return r < 0 ? invocation_fail(inv, &err) : EXIT_DONE;
}

const struct command command_console = {
	.name = "console",
	.group = GROUP_INSIDE,
	.summary = "opens a guest's serial console, at any depth",
	.description = "Connects this terminal with the serial console of a guest; it needs neither a network nor an "
		       "agent in the "
		       "guest. Ctrl-] leaves. What the console printed before is in console.log in the guest's folder "
		       "under /run/nestvisor.",
	.operands = (const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/a", COMPLETE_GUEST}, {0}},
	.options = (const struct command_option[]){{"raw", .help = "no escape key: every byte goes to the guest"}, {0}},
	.examples =
		(const struct command_example[]){{"nestvisor console hv1/a", "the console of a guest of a guest"}, {0}},
	.lab = true,
	.run = run,
};
