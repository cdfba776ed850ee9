/* Remote Desktop of a guest: the port is forwarded while the user's own client runs. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/forwarding.h"
#include "cli/target.h"

#include <string.h>
#include <sys/socket.h>

enum { RDP_PORT = 3389 };

/* The first that is installed is taken. The last is Windows' own, as WSL offers it. */
static const struct viewer clients[] = {
	{.program = "xfreerdp3", .host = "/v:127.0.0.1:", .user = "/u:"},
	{.program = "xfreerdp", .host = "/v:127.0.0.1:", .user = "/u:"},
	{.program = "remmina", .option = "-c", .host = "rdp://127.0.0.1:"},
	{.program = "mstsc.exe", .host = "/v:127.0.0.1:"},
	{0},
};

/* A name stands on a line of its own in the file. */
static bool is_line(const char *text)
{
	uint32_t c;

	for (size_t left = strlen(text), length; left; text += length, left -= length) {
		length = utf8_next(text, left, &c);
		if (!length || c < ' ' || c == 0x7f)
			return false;
	}
	return true;
}

/* What a .rdp file holds: name, type, value; its lines end as Windows ends them. */
static const char *settings(struct arena *arena, unsigned port, const char *user)
{
	return arena_printf(arena, "full address:s:127.0.0.1:%u\r\nprompt for credentials:i:1\r\n%s%s%s", port,
			    user ? "username:s:" : "", user ? user : "", user ? "\r\n" : "");
}

static int run(struct invocation *inv)
{
	static const struct ip here = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
	const char *file = invocation_string(inv, "output"), *user = invocation_string(inv, "user"), *text;
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	cleanup_close int listener = -1;
	const char *const *client;
	const struct guest *target;
	uint16_t port = 0;
	int status = target_lab(inv, NULL, &lab), r;

	if (status == EXIT_DONE)
		status = target_guest(inv, lab, invocation_operand(inv, 0), &target);
	if (status != EXIT_DONE)
		return status;
	if (user && !is_line(user))
		return invocation_usage(inv, "the user's name must be one line of text");
	r = forwarding_listen(&here, (uint16_t)invocation_integer(inv, "as", 0), &listener, &port, &err);
	text = settings(arena, port, user);
	if (r == 0 && file)
		r = file_write_output(file, text, strlen(text), 0644, &err);
	if (r < 0)
		return invocation_fail(inv, &err);
	client = invocation_flag(inv, "print") ? NULL : forwarding_viewer(arena, clients, port, user);
	if (!client && !file)
		invocation_print_text(inv, text);
	invocation_note(inv, "Remote Desktop of %s is at 127.0.0.1 port %u %s", target->path, port,
			client ? "until its client is closed" : "until Ctrl-C");
	r = forwarding_serve(inv, listener, lab, target, arena_printf(arena, "%d", RDP_PORT), client, &err);
	return r < 0 ? invocation_fail(inv, &err) : EXIT_DONE;
}

const struct command command_rdp = {
	.name = "rdp",
	.group = GROUP_INSIDE,
	.summary = "opens a guest's Remote Desktop while it runs, at any depth",
	.description =
		"Makes port 3389 of a guest reachable at this machine's own address, and starts a client where one is "
		"installed (xfreerdp, remmina, or Windows' own from WSL) and there is a screen to show it on; else it "
		"prints what a .rdp file holds, for a client of your own. No rule is made; the guest must have a fixed "
		"address and let its host in. The screen itself, without Remote Desktop, shows nestvisor view.",
	.operands =
		(const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/win11", COMPLETE_GUEST}, {0}},
	.options =
		(const struct command_option[]){
			{"as", 0, OPTION_INTEGER, "PORT", .help = "the port at 127.0.0.1; one that is free if left out",
			 .minimum = 1, .maximum = 65535, .no_env = true},
			{"user", 'u', OPTION_STRING, "NAME", .help = "who logs in", .no_env = true},
			{"output", 'o', OPTION_STRING, "FILE", .help = "write the .rdp file there",
			 .complete = COMPLETE_FILE, .no_env = true},
			{"print", 0, .help = "start no client"},
			{0}},
	.examples = (const struct command_example[]){{"nestvisor rdp hv1/win11 --user nestvisor", "in a window"},
						     {"nestvisor rdp hv1/win11 --print --as 13389 -o win11.rdp",
						      "for a client of your own"},
						     {0}},
	.lab = true,
	.run = run,
};
