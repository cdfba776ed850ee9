#include "apply/session.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/snapshotting.h"
#include "cli/target.h"
#include "render/status.h"

#include <time.h>

static int run(struct invocation *inv)
{
	cleanup_session struct session session = {.lock = -1};
	cleanup_strbuf struct strbuf text = {0};
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	struct lab_status status;
	int r = target_lab(inv, invocation_operand(inv, 0), &lab);

	if (r != EXIT_DONE)
		return r;
	if (session_open(lab, SESSION_LOOK, "status", inv->reporter, inv->cancel, &session, &err) < 0 ||
	    session_status(&session, &status, &err) < 0)
		return invocation_fail(inv, &err);
	snapshotting_warn(inv, &session);
	if (inv->json) {
		invocation_answer(inv, status_json(&status));
		return EXIT_DONE;
	}
	status_table(&status, (long long)time(NULL), inv->style, &text);
	invocation_print_text(inv, text.text);
	return EXIT_DONE;
}

const struct command command_status = {
	.name = "status",
	.group = GROUP_LAB,
	.summary = "shows what runs of a lab, at every layer",
	.description = "Lists the guests of a lab with their state, addresses and isolation. A guest of a guest is "
		       "checked where it "
		       "runs; where its host does not answer, its state is \"unknown\", never a guess. What somebody "
		       "else changed of "
		       "a guest that is a libvirt's domain is shown, as libvirt writes it.",
	.operands =
		(const struct command_operand[]){
			{"LAB", "a running lab's name, or a lab file; the lab of this folder if left out",
			 COMPLETE_LAB_OR_FILE, .optional = true},
			{0}},
	.examples =
		(const struct command_example[]){{"nestvisor status", "the lab of this folder, or the one that runs"},
						 {"nestvisor status first --json", "for programs"},
						 {0}},
	.json = "status",
	.lab = true,
	.run = run,
};
