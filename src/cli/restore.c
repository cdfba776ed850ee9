#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/snapshotting.h"
#include "render/text.h"

static int restore(struct snapshotting *s, const struct guest *guest, const char *name, json_t **ret,
		   struct error **err)
{
	struct snapshot_restored done;
	int r;

	s->session.overwrite = invocation_flag(s->inv, "overwrite");
	r = snapshot_restore(&s->session, guest, name, invocation_flag(s->inv, "no-memory"), s->arena, &done, err);
	if (r == 0)
		*ret = json_pack("{s:s, s:s, s:b, s:I, s:I, s:s?}", "guest", guest->path, "name", name, "memory",
				 done.memory, "flows", (json_int_t)done.flows, "behind", (json_int_t)done.behind,
				 "clock", done.clock);
	return r;
}

static void print(const struct snapshotting *s)
{
	const json_t *one;
	size_t i;

	json_array_foreach (s->answers, i, one) {
		const char *guest = json_get_string(one, "guest", ""), *name = json_get_string(one, "name", "");
		const char *clock = json_get_string(one, "clock", NULL);
		char behind[DURATION_TEXT_SIZE];

		text_duration(json_get_integer(one, "behind", 0) * 1000, behind);
		if (!json_is_true(json_object_get(one, "memory")))
			invocation_print(s->inv, "%s: booted from its disk as it was at %s\n", guest, name);
		else if (!clock)
			invocation_print(s->inv, "%s: goes on from %s; its clock was %s behind, and is set\n", guest,
					 name, behind);
		else
			invocation_print(s->inv, "%s: goes on from %s\n", guest, name);
		if (clock)
			invocation_warn(s->inv, "the clock of %s is %s behind, and could not be set: %s", guest, behind,
					clock);
	}
}

static int run(struct invocation *inv)
{
	cleanup_snapshotting struct snapshotting s = {.inv = inv, .session = {.lock = -1}};
	bool everybody = invocation_flag(inv, "all");
	const char *name = invocation_operand(inv, everybody ? 0 : 1);
	const char *options[] = {"--json", NULL, NULL, NULL};
	size_t count = 1;
	int status;

	if (!name || (everybody && invocation_operand(inv, 1)))
		return invocation_usage(inv, "restore: a guest and a snapshot, or --all and a snapshot; see nestvisor "
					     "snapshots");
	if (invocation_flag(inv, "no-memory"))
		options[count++] = "--no-memory";
	if (invocation_flag(inv, "overwrite"))
		options[count++] = "--overwrite";
	status = snapshotting_run(&s, name, "restored", options, restore);
	if (status != EXIT_DONE && json_array_size(s.answers) == 0)
		return status;
	if (inv->json)
		invocation_answer(inv, json_pack("{s:s, s:O}", "lab", s.lab->name, "restored", s.answers));
	else
		print(&s);
	return status;
}

const struct command command_restore = {
	.name = "restore",
	.group = GROUP_STACK,
	.summary = "has a guest be again what it was at a snapshot",
	.description =
		"The guest is ended, and goes on from the snapshot: with its disk, memory, UEFI variables and TPM of "
		"that moment, or, where the snapshot has no memory, booted from its disk. What it did since is lost, "
		"but for other snapshots, which all stay and can be gone back to, older and younger ones.\n\n"
		"Isolation is that of now, not of then: who is cut stays cut, and the rules stand before the guest "
		"runs. Its connections are forgotten on this host: those that it had at the snapshot are unknown to "
		"their other ends and end with their next packet, and administrators' sessions of now are unknown to "
		"the guest and end, too. Its clock is set by its agent.\n\n"
		"The machine must be what it was: where the lab file has given it other memory, CPUs or networks "
		"since, "
		"or QEMU is another release, nothing is touched and it is said what differs; --no-memory then boots "
		"it from its disk. Killed anywhere it is finished by the next `restore`, `snapshot` or `up`.",
	.operands = (const struct command_operand[]){{"GUEST", "a guest's path; with --all left out", COMPLETE_GUEST,
						      .optional = true},
						     {"NAME", "the snapshot", .optional = true},
						     {0}},
	.options =
		(const struct command_option[]){
			SNAPSHOTTING_ALL,
			{"no-memory", .help = "boot it from its disk as it was then"},
			{"overwrite", .help = "also where somebody changed the guest in its libvirt, which is lost"},
			{0}},
	.examples =
		(const struct command_example[]){{"nestvisor restore hv1/win11 clean", "a guest of a guest"},
						 {"nestvisor restore --all before-update", "each guest that has it"},
						 {0}},
	.json = "restore",
	.lab = true,
	.run = run,
};
