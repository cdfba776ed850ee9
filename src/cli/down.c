#include "apply/up.h"

#include "apply/folders.h"
#include "apply/machines.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/target.h"
#include "config/config.h"
#include "fork/snapshot.h"
#include "render/text.h"

#include <errno.h>
#include <string.h>

/* The lab as it was applied; NULL where that cannot be read. */
static struct lab *applied(const char *name)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_problems struct problems problems = {};
	struct lab *lab = NULL;
	struct folders folders;

	if (folders_of(arena, name, &folders, NULL) < 0 || !file_exists(folders.lab_file) ||
	    config_load(folders.lab_file, NULL, &problems, &lab, NULL) < 0)
		return NULL;
	return lab;
}

/* What another machine made here goes when that asks for it; a lab of this machine's own does not. */
static int check_home(struct invocation *inv, const struct lab *lab)
{
	const char *home = invocation_string(inv, "home");
	cleanup_error struct error *err = NULL;

	if (!home || !lab || (lab->home && machines_same(lab->home, home)))
		return EXIT_DONE;
	error_set(&err, EEXIST, "the lab %s here is not that of %s: it is left alone", lab->name, home);
	return invocation_fail(inv, &err);
}

static void say_nothing_was_there(struct invocation *inv, const char *name)
{
	cleanup_free char *running = target_running_names();

	invocation_print(inv, "%s: nothing of a lab with this name was there\n", name);
	if (*running)
		invocation_note(inv, "labs that are there: %s", running);
	else
		invocation_note(inv, "no lab is there");
}

static int run(struct invocation *inv)
{
	cleanup_error struct error *err = NULL;
	cleanup_free char *name = NULL;
	char duration[DURATION_TEXT_SIZE];
	long long started = clock_ms();
	cleanup_lab struct lab *lab = NULL;
	bool was_there = false, adopted;
	size_t snapshots;
	unsigned flags = (invocation_flag(inv, "keep-disks") ? DOWN_KEEP_DISKS : 0) |
			 (invocation_flag(inv, "force") ? DOWN_FORCE : 0) |
			 (invocation_flag(inv, "forget-hosts") ? DOWN_FORGET_HOSTS : 0);
	int status = target_name(inv, invocation_operand(inv, 0), &name), r;

	if (status != EXIT_DONE)
		return status;
	lab = applied(name);
	status = check_home(inv, lab);
	if (status != EXIT_DONE)
		return status;
	adopted = lab && lab->adopted; /* what goes is nestvisor's rules alone: its guests are libvirt's */
	snapshots = snapshot_count(name);
	r = apply_down(name, flags, &was_there, inv->reporter, inv->cancel, &err);
	if (r < 0)
		return invocation_fail_as(inv, r == -EINVAL ? EXIT_USAGE : EXIT_FAILED, &err);
	if (inv->json)
		invocation_answer(inv,
				  json_pack("{s:s, s:b, s:I}", "lab", name, "disks_kept",
					    invocation_flag(inv, "keep-disks"), "snapshots", (json_int_t)snapshots));
	else if (!was_there)
		say_nothing_was_there(inv, name);
	else if (adopted)
		invocation_print(
			inv, "%s: nobody of it is held any more; its domains and networks are as libvirt has them\n",
			name);
	else
		invocation_print(inv, "%s: gone, in %s\n", name, text_duration(clock_ms() - started, duration));
	if (snapshots && !inv->json)
		invocation_print(inv, "%s: %zu snapshot%s of its guests %s\n", name, snapshots,
				 snapshots == 1 ? "" : "s",
				 flags & DOWN_KEEP_DISKS ? "kept with their disks" : "gone with their disks");
	return EXIT_DONE;
}

const struct command command_down = {
	.name = "down",
	.group = GROUP_LAB,
	.summary = "stops and removes a lab, and nothing else",
	.description =
		"Ends the lab's guests and removes its networks, disks and files: everything that carries the "
		"lab's mark, and "
		"only that. It needs the lab's name alone; the lab file may be gone. What the guests wrote to "
		"their disks is "
		"lost unless --keep-disks is given, and so are their snapshots. Running it when nothing is there is "
		"fine.\n\n"
		"Guests that are domains of a libvirt are ended and undefined by it. One that is not there, or hangs, "
		"is given up after 15 seconds, and the guests run on; with --force their QEMUs are ended all the "
		"same, and what libvirt still has of them is named.\n\n"
		"The domains and networks of a lab that was adopted from a libvirt are not the lab's to remove: they "
		"go on as they are. What goes is nestvisor's: the rules that held those that were cut or sealed, who "
		"are open then.",
	.operands =
		(const struct command_operand[]){
			{"LAB", "a running lab's name, or a lab file; the lab of this folder if left out",
			 COMPLETE_LAB_OR_FILE, .optional = true},
			{0}},
	.options =
		(const struct command_option[]){
			{"keep-disks", .help = "leave the guests' disks for the next up"},
			{"force", .help = "end guests whose libvirt does not answer without it"},
			{"forget-hosts", .help = "go on without hosts of the lab that do not answer"},
			{"home", 0, OPTION_STRING, "NAME", "only where it is a part of that machine's lab",
			 .hidden = true},
			{0}},
	.examples = (const struct command_example[]){{"nestvisor down",
						      "takes away the lab of this folder, or the one that runs"},
						     {"nestvisor down first --keep-disks", "and leaves its disks"},
						     {"nestvisor down first --force", "though libvirtd hangs"},
						     {0}},
	.json = "down",
	.lab = true,
	.run = run,
};
