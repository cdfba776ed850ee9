#include "base/cleanup.h"
#include "base/error.h"
#include "cli/isolation.h"

#include <errno.h>
#include <stdio.h>

struct opening {
	long long ms; /* 0: for good */
	struct isolation_clock now;
};

static int edit(void *data, const struct guest *guest, struct isolation_setting *ret, struct error **err)
{
	const struct opening *opening = data;
	int r;

	if (!opening->ms) {
		*ret = (struct isolation_setting){.world = WORLD_OPEN};
		return 0;
	}
	if (ret->world == WORLD_OPEN) {
		r = error_set(err, EINVAL,
			      "%s is open already, and not for a while: there is nothing that it could go back to",
			      guest->path);
		error_hint(err, "nestvisor cut %s first", guest->path);
		return r;
	}
	ret->open_deadline = opening->now.monotonic + opening->ms;
	ret->open_until = opening->now.wall + (opening->ms + 999) / 1000;
	return 0;
}

static int run(struct invocation *inv)
{
	struct opening opening = {.ms = invocation_integer(inv, "for", 0)};

	char more[48] = "";

	isolation_clock_read(&opening.now);
	if (opening.ms)
		snprintf(more, sizeof(more), " --for %llds", opening.ms / 1000);
	return isolation_run(inv, more, edit, &opening);
}

const struct command command_open = {
	.name = "open",
	.group = GROUP_ISOLATE,
	.summary = "lets guests out into the world again, for good or for a while",
	.description =
		"Takes back what `cut` and `seal` did: what the network's uplink allows is allowed again, at once. "
		"A guest in another one that is cut stays cut until that one is open as well.\n\n"
		"With --for the guest is open for that time and then again what it was. The kernel closes it by "
		"itself: it does not matter what has become of nestvisor by then.",
	.operands = ISOLATION_OPERANDS,
	.options = (const struct command_option[]){ISOLATION_OPTIONS,
						   {"for", 0, OPTION_SECONDS, "TIME",
						    .help = "close again after this time: 90, 30m, 2h", .minimum = 1,
						    .maximum = 366LL * 24 * 3600},
						   {0}},
	.examples = (const struct command_example[]){{"nestvisor open hv1/win11", "for good"},
						     {"nestvisor open hv1/win11 --for 30m", "for half an hour"},
						     {0}},
	.statuses = ISOLATION_STATUSES,
	.json = "isolation",
	.lab = true,
	.run = run,
};
