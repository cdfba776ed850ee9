#include "apply/isolate.h"
#include "apply/machines.h"
#include "apply/up.h"

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/labfile.h"
#include "fork/loss.h"
#include "fork/snapshot.h"

/* The part of another machine's lab does not replace a lab of this one's own. */
static int refuse_foreign(struct session *session, struct error **err)
{
	cleanup_lab struct lab *applied = session_applied(session);

	return machines_check_part(session->lab, applied, err);
}

static int run(struct invocation *inv)
{
	cleanup_session struct session session = {.lock = -1};
	cleanup_error struct error *err = NULL;
	cleanup_plan struct plan plan = {0};
	cleanup_lab struct lab *lab = NULL;
	int status = labfile_load(inv, invocation_operand(inv, 0), false, &lab);

	if (status != EXIT_DONE)
		return status;
	if (apply_wait_for_host(inv->cancel, &err) < 0 ||
	    session_open(lab, SESSION_CHANGE, "apply", inv->reporter, inv->cancel, &session, &err) < 0)
		return invocation_fail(inv, &err);
	if (refuse_foreign(&session, &err) < 0) /* what is here is nothing to tell */
		return invocation_fail(inv, &err);
	session.overwrite = invocation_flag(inv, "overwrite");
	session.discard_snapshots = invocation_flag(inv, "discard-snapshots");
	if (lab->isolation)
		isolate_adopt(&session, lab->isolation, &err);
	if (!err)
		snapshot_recover(&session, &err);
	if (!err && session_plan(&session, &plan, &err) == 0 && (plan.step_count || plan.change_count) &&
	    loss_check(&session, &plan, &err) == 0)
		apply_plan(&session, &plan, &err);
	status = err ? EXIT_FAILED : EXIT_DONE;
	if (inv->json)
		invocation_answer(inv, apply_answer(&session, err));
	return err ? invocation_fail(inv, &err) : status;
}

const struct command command_apply = {
	.name = "apply",
	.group = GROUP_OTHER,
	.summary = "makes a host's part of a lab real; what the layer above runs inside a guest",
	.description = "Does what `up` does, for the part of a lab that belongs to this host. The nestvisor of the "
		       "layer above runs "
		       "it as `nestvisor apply --json -` with the part, a lab file in JSON with the key \"at\", on "
		       "standard input. "
		       "Nothing keeps a person from doing the same by hand.",
	.operands =
		(const struct command_operand[]){
			{"FILE", "the part; - is standard input", COMPLETE_FILE, .optional = false}, {0}},
	.options = (const struct command_option[]){{"overwrite", .help = "as with up"},
						   {"discard-snapshots", .help = "as with up"},
						   {0}},
	.examples =
		(const struct command_example[]){
			{"nestvisor apply --json - < part.json", "applies a part and answers with what runs"}, {0}},
	.json = "apply",
	.hidden = true,
	.run = run,
};
