#include "doctor/doctor.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/patients.h"
#include "cli/target.h"
#include "cli/undo.h"
#include "doctor/print.h"

#include <string.h>

static int add_patients(struct invocation *inv, struct patients *patients)
{
	const char *facts = invocation_string(inv, "facts"), *root = invocation_string(inv, "root"),
		   *given = invocation_operand(inv, 0), *xml = invocation_string(inv, "xml");
	bool probe = !invocation_flag(inv, "no-probe");
	struct lab *lab;
	int status;

	if (xml)
		return patients_add_definition(patients, xml);
	if (facts)
		return patients_add_bundle(patients, facts);
	if (root)
		return patients_add_root(patients, root);
	if (!given)
		return patients_add_this_host(patients, probe);
	status = target_lab(inv, given, &lab);
	return status == EXIT_DONE ? patients_add_lab(patients, lab, probe) : status;
}

static int answer(struct invocation *inv, struct examination *examination, json_t *fixes)
{
	cleanup_strbuf struct strbuf out = {};

	if (inv->json) {
		json_t *document = examination_json(examination);

		if (fixes)
			json_object_set_new(document, "fixes", fixes);
		invocation_answer(inv, document);
	} else {
		examination_text(examination, inv->verbose, inv->style, &out);
		invocation_print_text(inv, out.text);
	}
	return examination_status(examination);
}

static int examine(struct invocation *inv)
{
	cleanup_patients struct patients patients;
	int status;

	patients_open(inv, &patients);
	status = add_patients(inv, &patients);
	if (status != EXIT_DONE)
		return status;
	examination_run(patients.examination);
	return answer(inv, patients.examination, NULL);
}

static int list(struct invocation *inv)
{
	cleanup_strbuf struct strbuf out = {};

	if (inv->json) {
		invocation_answer(inv, json_pack("{s:[], s:s, s:o}", "checks", "summary", "", "table", checks_json()));
		return EXIT_DONE;
	}
	checks_text(inv->style, &out);
	invocation_print_text(inv, out.text);
	return EXIT_DONE;
}

/* Two findings may have the same remedy: it is shown and taken once. */
static bool is_first(const struct examination *examination, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (examination->findings[i].fix &&
		    strcmp(examination->findings[i].fix->does, examination->findings[index].fix->does) == 0)
			return false;
	return true;
}

static int preview(struct invocation *inv, const struct examination *examination, size_t *ret_count)
{
	cleanup_strbuf struct strbuf out = {};
	cleanup_error struct error *err = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < examination->finding_count; i++) {
		const struct fix *fix = examination->findings[i].fix;
		cleanup_strbuf struct strbuf changes = {};

		if (!fix || !is_first(examination, i))
			continue;
		if (fix_preview(fix, &changes, &err) < 0)
			return invocation_fail(inv, &err);
		if (!changes.length)
			continue;
		++*ret_count;
		strbuf_printf(&out, "%s: %s\n%s", fix->id, fix->does, changes.text);
	}
	invocation_preview(inv, out.text ? out.text : "");
	return EXIT_DONE;
}

/* Each fix by itself: that one cannot be applied now is no reason to leave the others. */
static int apply_all(struct invocation *inv, const struct examination *examination, json_t *fixes)
{
	int status = EXIT_DONE;

	for (size_t i = 0; i < examination->finding_count; i++) {
		const struct fix *fix = examination->findings[i].fix;
		cleanup_error struct error *err = NULL;
		bool changed;

		if (!fix || !is_first(examination, i))
			continue;
		if (fix_apply(fix, inv->reporter, &changed, &err) < 0) {
			json_array_append_new(fixes, json_pack("{s:s, s:s, s:s, s:o}", "id", fix->id, "does", fix->does,
							       "result", "failed", "why", text_json(err->message)));
			invocation_warn(inv, "%s", err->message);
			status = EXIT_FAILED;
			continue;
		}
		json_array_append_new(fixes, json_pack("{s:s, s:s, s:s, s:n}", "id", fix->id, "does", fix->does,
						       "result", changed ? "done" : "nothing", "why"));
	}
	return status;
}

/* Fixes what can be fixed safely, and says what is left. */
static int mend(struct invocation *inv)
{
	cleanup_patients struct patients before, after;
	cleanup_json json_t *fixes = json_array();
	size_t count;
	int status, left;

	patients_open(inv, &before);
	patients_open(inv, &after);
	status = add_patients(inv, &before);
	if (status != EXIT_DONE)
		return status;
	examination_run(before.examination);
	status = preview(inv, before.examination, &count);
	if (status != EXIT_DONE)
		return status;
	if (count == 0) {
		invocation_note(inv, "there is nothing here that can be mended without you");
		return answer(inv, before.examination, json_incref(fixes));
	}
	status = invocation_confirm(inv, "Apply these changes?");
	if (status != EXIT_DONE)
		return status;
	status = apply_all(inv, before.examination, fixes);
	left = add_patients(inv, &after);
	if (left != EXIT_DONE)
		return left;
	examination_run(after.examination);
	left = answer(inv, after.examination, json_incref(fixes));
	return status != EXIT_DONE ? status : left;
}

static int undo(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *difference;
	size_t count;
	int status = undo_fixes(inv, arena, NULL, false, &count, &difference);

	if (status != EXIT_DONE)
		return status;
	if (inv->json)
		invocation_answer(inv, json_pack("{s:[], s:s, s:i}", "checks", "summary", "", "undone", (int)count));
	else
		invocation_print(inv, count ? "%zu fix%s taken back\n" : "no fix is in force\n", count,
				 count == 1 ? "" : "es");
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	int places =
		!!invocation_string(inv, "facts") + !!invocation_string(inv, "root") + !!invocation_string(inv, "xml");
	bool elsewhere = places > 0;

	if (places > 1)
		return invocation_usage(inv, "--facts, --root and --xml are places to look at: give one of them");
	if (elsewhere && invocation_operand(inv, 0))
		return invocation_usage(inv,
					"a lab, --facts, --root and --xml are places to look at: give one of them");
	elsewhere = elsewhere || invocation_operand(inv, 0);
	if (elsewhere && (invocation_flag(inv, "fix") || invocation_flag(inv, "undo")))
		return invocation_usage(
			inv,
			"only this host can be mended; in a guest: nestvisor exec GUEST -- nestvisor doctor --fix");
	if (invocation_flag(inv, "fix") && invocation_flag(inv, "undo"))
		return invocation_usage(inv, "give --fix or --undo, not both");
	if (invocation_flag(inv, "list") && (invocation_flag(inv, "fix") || invocation_flag(inv, "undo")))
		return invocation_usage(inv, "--list shows the checks there are: it does not go with --fix or --undo");
	if (invocation_typed(inv, "yes") && !invocation_flag(inv, "fix") && !invocation_flag(inv, "undo"))
		return invocation_usage(inv, "--yes answers what --fix and --undo ask: give one of them");
	if (invocation_flag(inv, "list"))
		return list(inv);
	if (invocation_flag(inv, "undo"))
		return undo(inv);
	return invocation_flag(inv, "fix") ? mend(inv) : examine(inv);
}

const struct command command_doctor = {
	.name = "doctor",
	.group = GROUP_MACHINE,
	.summary = "says what is wrong with a host, and how to mend it",
	.description =
		"Checks everything that guests inside guests need, from the CPU's flags to the firewall's rules, and "
		"says "
		"of each finding what is the case, why that matters, on which fact it rests and which commands mend "
		"it. "
		"Whether KVM works is found by booting a tiny guest, since a /dev/kvm that opens proves nothing; the "
		"answer "
		"is kept until the kernel, QEMU or the machine changes.\n\n"
		"Nothing is said to be fine that was not looked at: a fact that is missing makes a check unknown.\n\n"
		"Of a lab every host is examined: guests that run are asked through their agents; what a guest that "
		"does not "
		"run will see is derived from the host it will run on and the lab file.\n\n"
		"--fix shows what it would change, asks, and does it: files that configure modules, modules that are "
		"loaded, "
		"permissions. A module is not reloaded while guests run. --undo shows, asks and takes all of it back.",
	.operands =
		(const struct command_operand[]){
			{.name = "LAB",
			 .help = "a running lab's name, or a lab file: examine every layer of it",
			 .complete = COMPLETE_LAB_OR_FILE,
			 .optional = true},
			{}},
	.options =
		(const struct command_option[]){
			{.name = "facts",
			 .kind = OPTION_STRING,
			 .argument = "BUNDLE",
			 .help = "examine the hosts of a bundle of captured facts instead of this one",
			 .complete = COMPLETE_FOLDER,
			 .no_env = true},
			{.name = "root",
			 .kind = OPTION_STRING,
			 .argument = "DIR",
			 .help = "examine the host whose root folder this is: a mounted disk, a container",
			 .complete = COMPLETE_FOLDER,
			 .no_env = true},
			{.name = "xml",
			 .kind = OPTION_STRING,
			 .argument = "FILE",
			 .help = "examine one guest by its libvirt definition, - for standard input: of a guest with "
				 "Windows each setting that it lacks, why it matters and who says so",
			 .complete = COMPLETE_FILE,
			 .no_env = true},
			{.name = "no-probe", .help = "do not boot a guest to see whether KVM works"},
			{.name = "fix", .help = "mend what can be mended safely, after asking", .no_env = true},
			{.name = "yes", .letter = 'y', .help = "do not ask"},
			{.name = "undo", .help = "take back what --fix did, after asking", .no_env = true},
			{.name = "list", .help = "list the checks there are", .no_env = true},
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor doctor", "what this machine can run, and what keeps it from more"},
			{"nestvisor doctor --verbose", "with everything that is fine, and the facts it rests on"},
			{"nestvisor doctor --fix", "switch on what is switched off, after asking"},
			{"nestvisor doctor first.nest.yaml", "every layer of a lab, whether it runs or not"},
			{"nestvisor doctor --facts bundle/", "of hosts that somebody captured"},
			{"virsh dumpxml win11 | nestvisor doctor --xml -", "of one guest's definition"},
			{}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "nothing fails"},
						    {EXIT_FAILED, "something fails"},
						    {EXIT_UNKNOWN,
						     "nothing fails, but something that matters is not known"},
						    {}},
	.json = "doctor",
	.run = run,
};
