#include "apply/machines.h"
#include "base/arena.h"
#include "cli/command.h"
#include "cli/surroundings.h"

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	struct machine_room room = surroundings_room();
	size_t count = 0, limit = 0;
	struct ip *to;

	while (invocation_operand(inv, limit))
		limit++;
	to = arena_alloc(arena, (limit + 1) * sizeof(*to));
	for (; count < limit; count++)
		if (!ip_parse(invocation_operand(inv, count), &to[count]))
			return invocation_usage(inv, "%s is no address", invocation_operand(inv, count));
	if (inv->json)
		invocation_answer(inv, machines_room(&room, to, count));
	else
		invocation_print(inv, "%u CPUs, %llu MiB of memory are free\n", room.cpus,
				 (unsigned long long)room.memory >> 20);
	return EXIT_DONE;
}

const struct command command_room = {
	.name = "room",
	.group = GROUP_OTHER,
	.summary = "says what this machine has for guests; what a lab with several hosts asks each of them",
	.description =
		"The CPUs and the free memory of this machine, and with --json its version, whether it is root who "
		"asks, and how large packets to some addresses may be. The machine where a lab with `hosts` is used "
		"runs it on each of them.",
	.operands =
		(const struct command_operand[]){
			{"ADDRESS", "of the lab's other hosts", .optional = true, .repeated = true}, {0}},
	.examples =
		(const struct command_example[]){{"nestvisor room --json 10.0.0.3", "also how packets get there"}, {0}},
	.json = "room",
	.hidden = true,
	.run = run,
};
