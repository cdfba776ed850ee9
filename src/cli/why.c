#include "cli/batch.h"
#include "cli/repair.h"

static int run(struct invocation *inv)
{
	return repair_command(inv, why_text, why_json);
}

const struct command command_why = {
	.name = "why",
	.group = GROUP_PROVE,
	.summary = "says why a packet does not arrive, and what else would stop it",
	.description =
		"One paragraph for people: the first thing that blocks, with the rule, route or sysctl and where it "
		"stands, and "
		"everything that would block after it. What was not captured is taken for the usual and listed.\n"
		"\n"
		"`nestvisor path` shows the same way hop by hop, `nestvisor fix` the changes that mend "
		"it.\n\n" QUESTION_ENDS,
	.options =
		(const struct command_option[]){QUESTION_OPTIONS, BATCH_OPTION, HOSTS_OPTION, FACTSOURCE_OPTIONS, {}},
	.examples = (const struct command_example[]){{"nestvisor why --from L0 --to hv1/a --port 22",
						      "may L0 use ssh on a, and if not, why?"},
						     {"nestvisor why --facts bundle/ --from wsl2 --to vm2 --port 22",
						      "the same, in facts that were captured"},
						     {}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "it arrives"},
						    {EXIT_FAILED, "it does not arrive"},
						    {EXIT_UNKNOWN,
						     "unknown: a fact is missing, or a host could not be asked"},
						    {}},
	.json = "why",
	.lab = true,
	.run = run,
};
