#include "render/verify.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/factsource.h"
#include "cli/target.h"
#include "cli/verification.h"
#include "config/config.h"

#include <errno.h>

static int show(struct invocation *inv, const struct policy_report *report)
{
	cleanup_strbuf struct strbuf out = {};

	if (inv->json) {
		invocation_answer(inv, verify_json(report));
	} else {
		verify_text(report, inv->style, inv->verbose, &out);
		invocation_print_text(inv, out.text);
	}
	return verification_status(report);
}

/* What is promised of captured facts stands in a file, not in what runs here by chance. */
static bool has_lab(struct invocation *inv)
{
	cleanup_free char *file = NULL;

	return invocation_operand(inv, 0) || invocation_string(inv, "lab") || config_find(&file, NULL) != -ENOENT;
}

static void say_which_policy(struct invocation *inv, const struct lab *lab, const struct lab *applied)
{
	size_t added, removed;

	if (applied && lab_policy_differs(lab, applied, &added, &removed) && added + removed)
		invocation_note(
			inv,
			"this asks the policy of the file, which is another than that of the lab as it was applied "
			"(%zu added, %zu removed): `nestvisor up` takes it",
			added, removed);
}

static int run(struct invocation *inv)
{
	cleanup_verification struct verification verification = {};
	cleanup_isolation struct isolation *of_file = NULL;
	cleanup_lab struct lab *lab = NULL, *applied = NULL;
	cleanup_free char *file = NULL;
	const char *given = invocation_operand(inv, 0) ? invocation_operand(inv, 0) : invocation_string(inv, "lab");
	struct bundle *bundle = NULL;
	char *host = NULL; /* none is named, so none comes */
	int status;

	if (invocation_string(inv, "facts") && !has_lab(inv))
		return invocation_usage(inv, "--facts needs a lab file, which says what is promised");
	if (!given && invocation_string(inv, "facts") && config_find(&file, NULL) == 0)
		given = file;
	status = target_lab_said(inv, given, &lab, &applied);
	if (status == EXIT_DONE)
		say_which_policy(inv, lab, applied);
	if (status == EXIT_DONE && invocation_string(inv, "facts")) {
		status = factsource_bundle(inv, NULL, COLLECT_NETWORK, &bundle, &host);
		of_file = isolation_new(lab);
	}
	if (status == EXIT_DONE)
		status = verification_run(inv, lab, of_file, bundle, &verification);
	return status == EXIT_DONE ? show(inv, verification.report) : status;
}

const struct command command_verify = {
	.name = "verify",
	.group = GROUP_PROVE,
	.summary = "proves what can reach what: the lab's policy, and what its file implies",
	.description =
		"Asks every line of the lab's `policy`, and what follows from the rest of the file: a guest with "
		"`world: cut` reaches nothing outside, in any protocol and both families, with flows that live and "
		"names through its host's resolver included; a sealed one sends and gets nothing; nothing leaves a "
		"network without an uplink; L0 reaches its guests. Cuts said at run time count like those of the file."
		"\n\n"
		"All packets there are get asked, over the facts of all hosts: bridges, routes, rules, translation, "
		"connection tracking. Each promise is proved; violated, with a packet that breaks it and its way hop "
		"by "
		"hop; or unknown, with the fact that is missing and how to get it. A violation is only said where two "
		"independent implementations agree on the packet.\n\n"
		"What is allowed but taken away by a guest that was cut or sealed at run time is suspended until "
		"`open`, which "
		"breaks nothing.\n\n"
		"`even-if-compromised: [hosts]` in a line takes away every rule and route of those hosts and lets them "
		"send any packet, with any address, MAC and VLAN: what do the others still guarantee?",
	.operands =
		(const struct command_operand[]){
			{"LAB", "a lab that runs, or a lab file", COMPLETE_LAB_OR_FILE, .optional = true}, {}},
	.options = (const struct command_option[]){FACTSOURCE_OPTIONS, {}},
	.examples =
		(const struct command_example[]){
			{"nestvisor verify", "the lab of this folder, or the one that runs"},
			{"nestvisor verify first --json", "for programs"},
			{"nestvisor verify first.nest.yaml --facts bundle.tar", "in facts that were captured"},
			{}},
	.statuses =
		(const struct command_status[]){
			{EXIT_DONE, "proved, all of it but what is suspended"},
			{EXIT_FAILED, "violated"},
			{EXIT_USAGE, "wrong usage, or no such lab"},
			{EXIT_UNKNOWN,
			 "unknown: a fact is missing, a host could not be asked, or the question is too large"},
			{}},
	.json = "verify",
	.lab = true,
	.run = run,
};
