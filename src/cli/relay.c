#include "base/cleanup.h"
#include "cli/command.h"
#include "transport/relay.h"

static int run(struct invocation *inv)
{
	cleanup_error struct error *err = NULL;

	return relay_run(invocation_operand(inv, 0), inv->rest, &err) < 0 ? invocation_fail(inv, &err) : EXIT_DONE;
}

const struct command command_relay = {
	.name = "relay",
	.group = GROUP_OTHER,
	.summary = "runs a program with named pipes as its input and output; what a stream through the guest agent is "
		   "made of",
	.description = "The layer above starts it in a guest, and reads and writes through the agent.",
	.operands = (const struct command_operand[]){{"TOKEN", "by which the host knows the relay that it started"}, {0}},
	.rest = "COMMAND",
	.rest_required = true,
	.examples = (const struct command_example[]){{"nestvisor relay x -- cat", "echoes"}, {0}},
	.hidden = true,
	.run = run,
};
