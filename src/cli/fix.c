#include "cli/batch.h"
#include "cli/repair.h"

static int run(struct invocation *inv)
{
	return repair_command(inv, fix_text, fix_json);
}

const struct command command_fix = {
	.name = "fix",
	.group = GROUP_PROVE,
	.summary = "finds the smallest change that lets a packet arrive",
	.description = "Finds the fewest changes (a route, a rule in front of the one that blocks and as narrow as the "
		       "question, a sysctl, "
		       "a translation) with which the packet arrives and its answer comes back, as commands in the "
		       "words of what "
		       "the host uses, and how to make them last there. Each was tried on the facts before it is "
		       "shown; nothing "
		       "is changed.",
	.options = (const struct command_option[]){QUESTION_OPTIONS, BATCH_OPTION, FACTSOURCE_OPTIONS, {}},
	.examples = (const struct command_example[]){{"nestvisor fix --from L0 --to hv1/a --port 22",
						      "may L0 use ssh on a, and if not, what mends it?"},
						     {"nestvisor fix --facts bundle/ --from wsl2 --to vm2 --port 22",
						      "the same, in facts that were captured"},
						     {}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "it arrives, or the changes are shown"},
						    {EXIT_FAILED, "nothing that nestvisor knows mends it"},
						    {EXIT_UNKNOWN, "unknown: a fact is missing"},
						    {}},
	.json = "fix",
	.lab = true,
	.run = run,
};
