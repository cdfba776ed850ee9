#include "apply/machines.h"
#include "apply/session.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/adopted.h"
#include "cli/command.h"
#include "cli/labfile.h"
#include "cli/snapshotting.h"
#include "cli/surroundings.h"
#include "fork/loss.h"
#include "render/plan.h"

static int find_changes(struct session *session, struct lab *lab, struct arena *arena, struct plan *plan,
			struct plan_change **ret, size_t *ret_count, struct error **err)
{
	const struct machine_room room = surroundings_room();
	int r;

	if (session->lab->adopted)
		return adopted_changes(session->lab, session, arena, ret, ret_count, err);
	r = machines_settle(lab, &room, session->reporter, session->cancel, err);
	if (r == 0)
		r = session_plan(session, plan, err);
	if (r == 0)
		loss_tell(session, plan);
	*ret = plan->changes;
	*ret_count = plan->change_count;
	return r;
}

static int run(struct invocation *inv)
{
	cleanup_session struct session session = {.lock = -1};
	cleanup_strbuf struct strbuf text = {0};
	cleanup_error struct error *err = NULL;
	cleanup_plan struct plan plan = {0};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_lab struct lab *lab = NULL;
	struct plan_change *changes;
	size_t count;
	int status = labfile_load(inv, invocation_operand(inv, 0), true, &lab);

	if (status != EXIT_DONE)
		return status;
	if (session_open(lab, SESSION_LOOK, "plan", inv->reporter, inv->cancel, &session, &err) < 0 ||
	    find_changes(&session, lab, arena, &plan, &changes, &count, &err) < 0)
		return invocation_fail(inv, &err);
	snapshotting_warn(inv, &session);
	if (inv->json) {
		json_t *document = plan_json(changes, count);

		json_object_set_new(document, "unsure", json_boolean(session.unsure));
		invocation_answer(inv, document);
	} else if (!count && session.unsure) {
		invocation_print(inv, "nothing to do that is known, and not all is known\n");
	} else {
		plan_text(changes, count, inv->style, &text);
		invocation_print_text(inv, text.text);
	}
	return count ? EXIT_CHANGES : session.unsure ? EXIT_UNKNOWN : EXIT_DONE;
}

const struct command command_plan = {
	.name = "plan",
	.group = GROUP_LAB,
	.summary = "says what up would do",
	.description =
		"Compares the lab file with what runs, at every layer, and lists what `nestvisor up` would "
		"create, change, "
		"restart and remove, with the reason. Nothing is changed. What somebody else changed of a guest "
		"in libvirt is shown as what it would overwrite, if told to by `up --overwrite`.\n\n"
		"Of a lab that was adopted from a libvirt it lists where libvirt's domains and networks are no longer "
		"what the file says, which up does not change, and whether those that are cut or sealed are held.",
	.operands = (const struct command_operand[]){{"FILE",
						      "the lab file; the one *.nest.yaml of this folder if left out",
						      COMPLETE_LAB_FILE, .optional = true},
						     {0}},
	.examples = (const struct command_example[]){{"nestvisor plan", "what up would do with the lab of this folder"},
						     {0}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "there is nothing to do"},
						    {EXIT_CHANGES, "there is something to do"},
						    {EXIT_UNKNOWN, "nothing that is known; but a host did not answer, "
								   "or what a guest is like now is not known"},
						    {0}},
	.json = "plan",
	.run = run,
};
