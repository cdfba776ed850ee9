#include "doctor/doctor.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "doctor/print.h"
#include "driver/driver.h"
#include "facts/bundle.h"
#include "facts/files.h"

#include <string.h>

struct work {
	struct invocation *inv;
	struct bundle *bundle;
	struct examination *examination;
};

static void work_clear(struct work *work)
{
	examination_free(work->examination);
	bundle_free(work->bundle);
}
#define cleanup_work __attribute__((cleanup(work_clear)))

static int answer(struct work *work)
{
	struct invocation *inv = work->inv;
	cleanup_strbuf struct strbuf out = {};

	examination_run(work->examination);
	if (inv->json) {
		invocation_answer(inv, examination_json(work->examination));
	} else {
		examination_text(work->examination, inv->verbose, inv->style, &out);
		invocation_print_text(inv, out.text);
	}
	return examination_status(work->examination);
}

static void add_hosts(struct work *work)
{
	work->examination->bundle = work->bundle;
	for (size_t i = 0; i < work->bundle->host_count; i++)
		examination_add(work->examination, work->bundle->hosts[i]->name, work->bundle->hosts[i]);
}

static int examine_bundle(struct work *work, const char *path)
{
	cleanup_error struct error *err = NULL;

	if (bundle_load(path, &work->bundle, &err) < 0)
		return invocation_fail_as(work->inv, EXIT_USAGE, &err);
	add_hosts(work);
	return answer(work);
}

static int examine_root(struct work *work, const char *root)
{
	cleanup_error struct error *err = NULL;

	if (bundle_from_root(root, root, &work->bundle, &err) < 0)
		return invocation_fail_as(work->inv, EXIT_USAGE, &err);
	add_hosts(work);
	return answer(work);
}

static int probe(struct work *work, struct patient *patient)
{
	struct invocation *inv = work->inv;
	cleanup_free char *why = NULL;
	cleanup_error struct error *err = NULL;
	enum accelerator accelerator;

	if (driver_probe(false, inv->reporter, inv->cancel, &accelerator, &why, &err) < 0) {
		if (cancel_requested(inv->cancel))
			return invocation_fail(inv, &err);
		/* That the question could not be asked is not an answer. */
		patient->probe_why = arena_strdup(work->examination->arena, err->message);
		return EXIT_DONE;
	}
	patient->probe = accelerator == ACCEL_KVM ? PROBE_WORKS : PROBE_FAILS;
	patient->probe_why = why ? arena_strdup(work->examination->arena, why) : NULL;
	return EXIT_DONE;
}

static int examine_this_host(struct work *work)
{
	struct invocation *inv = work->inv;
	cleanup_error struct error *err = NULL;
	struct patient *patient;
	int status = EXIT_DONE;

	if (bundle_from_root("/", "L0", &work->bundle, &err) < 0)
		return invocation_fail(inv, &err);
	patient = examination_add(work->examination, "L0", work->bundle->hosts[0]);
	patient->layer_known = true;
	if (!invocation_flag(inv, "no-probe"))
		status = probe(work, patient);
	return status == EXIT_DONE ? answer(work) : status;
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

static int run(struct invocation *inv)
{
	cleanup_work struct work work = {.inv = inv, .examination = examination_new()};
	const char *facts = invocation_string(inv, "facts"), *root = invocation_string(inv, "root");

	if (facts && root)
		return invocation_usage(inv, "--facts and --root are two places to look at: give one of them");
	if (invocation_flag(inv, "list"))
		return list(inv);
	if (facts)
		return examine_bundle(&work, facts);
	return root ? examine_root(&work, root) : examine_this_host(&work);
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
		"Nothing is said to be fine that was not looked at: a fact that is missing makes a check unknown.",
	.options =
		(const struct command_option[]){
			{.name = "facts",
			 .kind = OPTION_STRING,
			 .argument = "DIR",
			 .help = "examine the hosts of a bundle of captured facts instead of this one",
			 .complete = COMPLETE_FOLDER,
			 .no_env = true},
			{.name = "root",
			 .kind = OPTION_STRING,
			 .argument = "DIR",
			 .help = "examine the host whose root folder this is: a mounted disk, a container",
			 .complete = COMPLETE_FOLDER,
			 .no_env = true},
			{.name = "no-probe", .help = "do not boot a guest to see whether KVM works"},
			{.name = "list", .help = "list the checks there are", .no_env = true},
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor doctor", "what this machine can run, and what keeps it from more"},
			{"nestvisor doctor --verbose", "with everything that is fine, and the facts it rests on"},
			{"nestvisor doctor --facts bundle/", "of hosts that somebody captured"},
			{}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "nothing fails"},
						    {EXIT_FAILED, "something fails"},
						    {EXIT_UNKNOWN,
						     "nothing fails, but something that matters is not known"},
						    {}},
	.json = "doctor",
	.run = run,
};
