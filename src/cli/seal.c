#include "cli/isolation.h"

static int edit(void *data, const struct guest *guest, struct isolation_setting *ret, struct error **err)
{
	*ret = (struct isolation_setting){.world = WORLD_SEALED};
	return 0;
}

static int run(struct invocation *inv)
{
	return isolation_run(inv, NULL, edit, NULL);
}

const struct command command_seal = {
	.name = "seal",
	.group = GROUP_ISOLATE,
	.summary = "lets no packet into guests or out of them",
	.description =
		"What `cut` does, and more: neither neighbours nor administrators reach the guest over the network, "
		"and "
		"it reaches nobody. `nestvisor exec`, `console` and `cp` still do, through its agent, which needs no "
		"network. `nestvisor open` takes it back.",
	.operands = ISOLATION_OPERANDS,
	.options = (const struct command_option[]){ISOLATION_OPTIONS, {0}},
	.examples = (const struct command_example[]){{"nestvisor seal hv1/win11", "one guest"}, {0}},
	.statuses = ISOLATION_STATUSES,
	.json = "isolation",
	.lab = true,
	.run = run,
};
