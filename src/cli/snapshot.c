#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/snapshotting.h"
#include "render/text.h"

#include <time.h>

static int take(struct snapshotting *s, const struct guest *guest, const char *name, json_t **ret, struct error **err)
{
	struct snapshot_taken taken;
	int r = snapshot_take(&s->session, guest, name, invocation_string(s->inv, "description"), s->arena, &taken,
			      err);

	if (r < 0)
		return r;
	*ret = snapshotting_json(&taken.snapshot);
	json_object_set_new(*ret, "stopped_ms", json_integer(taken.stopped_ms));
	return 0;
}

static int take_away(struct snapshotting *s, const struct guest *guest, const char *name, json_t **ret,
		     struct error **err)
{
	uint64_t freed = 0;
	int r = snapshot_remove(&s->session, guest, name, &freed, err);

	if (r == 0)
		*ret = json_pack("{s:s, s:s, s:I}", "guest", guest->path, "name", name, "freed", (json_int_t)freed);
	return r;
}

static void print(struct snapshotting *s, bool removes)
{
	const json_t *one;
	size_t i;

	json_array_foreach (s->answers, i, one) {
		char size[BYTES_TEXT_SIZE], duration[DURATION_TEXT_SIZE];
		const char *guest = json_get_string(one, "guest", ""), *name = json_get_string(one, "name", "");

		text_bytes((uint64_t)json_get_integer(one, removes ? "freed" : "size", 0), size);
		if (removes)
			invocation_print(s->inv, "%s: the snapshot %s is gone, and %s with it\n", guest, name, size);
		else if (json_is_true(json_object_get(one, "memory")))
			invocation_print(s->inv, "%s: snapshot %s: %s, %s; it stood still for %s\n", guest, name,
					 snapshotting_parts(s->arena, one), size,
					 text_duration(json_get_integer(one, "stopped_ms", 0), duration));
		else
			invocation_print(s->inv, "%s: snapshot %s: %s, %s; it is down\n", guest, name,
					 snapshotting_parts(s->arena, one), size);
	}
}

static const char *name_of_now(char text[32])
{
	time_t now = time(NULL);
	struct tm local;

	strftime(text, 32, "%Y-%m-%d-%H%M%S", localtime_r(&now, &local));
	return text;
}

static int run(struct invocation *inv)
{
	cleanup_snapshotting struct snapshotting s = {.inv = inv, .session = {.lock = -1}};
	bool everybody = invocation_flag(inv, "all"), removes = invocation_flag(inv, "remove");
	const char *name = invocation_operand(inv, everybody ? 0 : 1),
		   *description = invocation_string(inv, "description");
	const char *const options[] = {"--json",
				       removes	     ? "--remove"
				       : description ? "--description"
						     : NULL,
				       removes ? NULL : description, NULL};
	char now[32];
	int status;

	if (!everybody && !invocation_operand(inv, 0))
		return invocation_usage(inv, "snapshot: which guest? Or --all");
	if (everybody && invocation_operand(inv, 1))
		return invocation_usage(inv, "snapshot: with --all no guest is named");
	if (removes && !name)
		return invocation_usage(inv, "snapshot --remove: which snapshot? See nestvisor snapshots");
	status = snapshotting_run(&s, name ? name : name_of_now(now), removes ? "removed" : "snapshots", options,
				  removes ? take_away : take);
	if (status != EXIT_DONE && json_array_size(s.answers) == 0)
		return status;
	if (inv->json)
		invocation_answer(
			inv, json_pack("{s:s, s:O}", "lab", s.lab->name, removes ? "removed" : "snapshots", s.answers));
	else
		print(&s, removes);
	return status;
}

const struct command command_snapshot = {
	.name = "snapshot",
	.group = GROUP_STACK,
	.summary = "keeps a guest as it is: disk, memory, UEFI variables and TPM of one moment",
	.description =
		"The guest goes on: it stands still while its memory is written, and from then on writes to a new "
		"overlay over the disk that is kept. One that is down has a snapshot without memory. Guests of "
		"libvirt's and of nestvisor's own QEMU are the same to it; virsh shows the domain with its new disk, "
		"and no snapshot, since libvirt 9.0 goes back to none that is kept outside of the disk.\n\n"
		"Snapshots are kept where the guest's disk is, on its host, over restarts of the guest and of that "
		"machine; `nestvisor down` removes them, with --keep-disks it leaves them. Who is cut is cut before "
		"and after it: isolation is not part of a snapshot.\n\n"
		"Each guest is kept for itself: with --all one after the other, not all at one moment. A guest with "
		"guests or networks of its own cannot be kept yet, nor one that libvirt has and nestvisor adopted, nor "
		"one of "
		"the libvirt of a user's session (driver: qemu:///session), which cannot write where snapshots are "
		"kept. "
		"Killed anywhere there is no snapshot, and the next `snapshot`, `restore` or `up` has the guest go on.",
	.operands =
		(const struct command_operand[]){
			{"GUEST", "a guest's path; with --all left out", COMPLETE_GUEST, .optional = true},
			{"NAME", "what the snapshot is called; date and time if left out", .optional = true},
			{0}},
	.options = (const struct command_option[]){SNAPSHOTTING_ALL,
						   {"description", 'd', OPTION_STRING, "TEXT",
						    .help = "what `snapshots` shows beside it", .no_env = true},
						   {"remove", .help = "remove it; the guest stays as it is"},
						   {0}},
	.examples = (const struct command_example[]){{"nestvisor snapshot hv1/win11 clean", "of a guest of a guest"},
						     {"nestvisor snapshot --all before-update -d June",
						      "of each guest, one after the other"},
						     {"nestvisor snapshot --remove hv1/win11 clean", "it is gone"},
						     {0}},
	.json = "snapshot",
	.lab = true,
	.run = run,
};
