/* A port of a guest at this machine for as long as the command runs: also for ports that were not published. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/ip.h"
#include "cli/command.h"
#include "cli/forwarding.h"
#include "cli/target.h"

#include <stdlib.h>

static int parse(struct invocation *inv, struct ip *ret_address, uint16_t *ret_port, uint16_t *ret_as)
{
	const char *text = invocation_operand(inv, 1), *address = invocation_string(inv, "address");
	char *end;
	long port = strtol(text, &end, 10);

	if (*end || port < 1 || port > 65535)
		return invocation_usage(inv, "\"%s\" is no port", text);
	if (!ip_parse(address, ret_address))
		return invocation_usage(inv, "\"%s\" is no address of this machine", address);
	*ret_port = (uint16_t)port;
	*ret_as = (uint16_t)invocation_integer(inv, "as", port);
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	cleanup_close int listener = -1;
	const struct guest *target;
	char text[IP_TEXT_SIZE];
	uint16_t port = 0, as = 0;
	struct ip address;
	int status = parse(inv, &address, &port, &as), r;

	if (status == EXIT_DONE)
		status = target_lab(inv, NULL, &lab);
	if (status == EXIT_DONE)
		status = target_guest(inv, lab, invocation_operand(inv, 0), &target);
	if (status != EXIT_DONE)
		return status;
	if (forwarding_listen(&address, as, &listener, &as, &err) < 0)
		return invocation_fail(inv, &err);
	invocation_note(inv, "port %u of %s is at %s port %u until Ctrl-C", port, target->path,
			ip_format(&address, text), as);
	r = forwarding_serve(inv, listener, lab, target, arena_printf(arena, "%u", port), NULL, &err);
	return r < 0 ? invocation_fail(inv, &err) : EXIT_DONE;
}

const struct command command_forward = {
	.name = "forward",
	.group = GROUP_INSIDE,
	.summary = "makes a TCP port of a guest reachable at this machine while it runs",
	.description =
		"Listens at this machine and connects whoever comes with the guest's port, at any depth, until it is "
		"stopped. No rule is made and nothing need be forwarded by the machine; the way goes through the guest "
		"agents. For ports that are to stay, and for speed, there is `publish:` in the lab file.",
	.operands = (const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/a", COMPLETE_GUEST},
						     {"PORT", "a TCP port of the guest"},
						     {0}},
	.options = (const struct command_option[]){{"as", 0, OPTION_INTEGER, "PORT",
						    .help = "the port at this machine; the same number if left out",
						    .minimum = 1, .maximum = 65535, .no_env = true},
						   {"address", 0, OPTION_STRING, "ADDRESS",
						    .help = "listen at this address", .fallback = "127.0.0.1",
						    .no_env = true},
						   {0}},
	.examples =
		(const struct command_example[]){
			{"nestvisor forward hv1/win11 3389 --as 13389", "then: xfreerdp /v:127.0.0.1:13389"},
			{"nestvisor forward hv1/a 22 --address 0.0.0.0 --as 2222", "for other machines, too"},
			{0}},
	.lab = true,
	.run = run,
};
