#include "cli/command.h"

#include <yaml.h>

static int run(struct invocation *inv)
{
	if (inv->json)
		invocation_answer(inv,
				  json_pack("{s:s, s:{s:s, s:s}}", "version", NESTVISOR_VERSION, "libraries", "jansson",
					    jansson_version_str(), "libyaml", yaml_get_version_string()));
	else
		invocation_print(inv, "nestvisor %s\n", NESTVISOR_VERSION);
	return EXIT_DONE;
}

const struct command command_version = {
	.name = "version",
	.group = GROUP_OTHER,
	.summary = "prints the version",
	.description = "Prints the version of this program; with --json also those of the libraries it runs with.",
	.examples = (const struct command_example[]){{"nestvisor version --json", "for a bug report"}, {}},
	.json = "version",
	.run = run,
};
