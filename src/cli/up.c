#include "apply/up.h"

#include "apply/adopted.h"
#include "apply/isolate.h"
#include "apply/machines.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/adopted.h"
#include "cli/command.h"
#include "cli/labfile.h"
#include "cli/surroundings.h"
#include "fork/loss.h"
#include "fork/snapshot.h"
#include "render/plan.h"
#include "render/status.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

/* After Ctrl-C: what is left, and how to go on. */
static void say_what_is_left(struct invocation *inv, struct session *session)
{
	struct lab_status status;
	size_t running = 0, starting = 0;

	session->cancel = NULL; /* looking must not be stopped, too; a second Ctrl-C ends the program */
	if (session_status(session, &status, NULL) < 0)
		return;
	for (size_t i = 0; i < session->lab->guest_count; i++) {
		running += status.guests[i].state == GUEST_RUNNING;
		starting += status.guests[i].state == GUEST_STARTING;
	}
	invocation_note(inv,
			"stopped: of %zu guest%s %zu %s up and %zu %s starting. `nestvisor up` goes on from there, "
			"`nestvisor down %s` takes all of it away",
			session->lab->guest_count, plural(session->lab->guest_count), running,
			running == 1 ? "is" : "are", starting, starting == 1 ? "is" : "are", session->lab->name);
}

static int answer(struct invocation *inv, const struct session *session, const struct plan *plan, long long started)
{
	const struct lab *lab = session->lab;
	char duration[DURATION_TEXT_SIZE];

	if (inv->json) {
		json_t *document = plan_json(plan->changes, plan->change_count);

		json_object_set_new(document, "lab", json_string(lab->name));
		json_object_set_new(document, "seconds", json_real((double)(clock_ms() - started) / 1000));
		invocation_answer(inv, document);
		return EXIT_DONE;
	}
	if (inv->quiet)
		return EXIT_DONE;
	if (plan->step_count == 0)
		invocation_print(inv, "%s: everything runs: ", lab->name);
	else
		invocation_print(inv, "%s: up in %s: ", lab->name, text_duration(clock_ms() - started, duration));
	invocation_print(inv, "%zu guest%s, %zu network%s\n", lab->guest_count, plural(lab->guest_count),
			 lab->network_count, plural(lab->network_count));
	return EXIT_DONE;
}

static bool only_creates(const struct plan *plan)
{
	for (size_t i = 0; i < plan->change_count; i++)
		if (plan->changes[i].action != PLAN_CREATE)
			return false;
	return true;
}

/* What the lab file leaves open, with the lock: where guests run that have been there is what was applied last. */
static int settle(struct invocation *inv, struct session *session, struct lab *lab, struct error **err)
{
	const struct machine_room room = surroundings_room();
	cleanup_lab struct lab *applied = session_applied(session);
	int r = machines_check_part(lab, applied, err);

	return r < 0 ? r : machines_settle(lab, &room, inv->reporter, inv->cancel, err);
}

static int bring_up(struct invocation *inv, struct lab *lab)
{
	cleanup_session struct session session = {.lock = -1};
	cleanup_plan struct plan plan = {0};
	cleanup_error struct error *err = NULL;
	cleanup_free char *what = NULL;
	long long started = clock_ms();
	enum session_mode mode = invocation_flag(inv, "no-wait") ? SESSION_CHANGE_NOW : SESSION_CHANGE;
	int r;

	if (asprintf(&what, "up %s", lab->name) < 0)
		abort();
	r = session_open(lab, mode, what, inv->reporter, inv->cancel, &session, &err);
	if (r < 0)
		return invocation_fail(inv, &err);
	session.overwrite = invocation_flag(inv, "overwrite");
	session.discard_snapshots = invocation_flag(inv, "discard-snapshots");
	if (state_interrupted(session.state))
		invocation_note(inv, "an earlier run was stopped at: %s; going on from there",
				state_interrupted(session.state));
	r = settle(inv, &session, lab, &err);
	if (r == 0)
		r = snapshot_recover(&session, &err);
	if (r == 0)
		r = session_plan(&session, &plan, &err);
	if (r == 0)
		loss_tell(&session, &plan);
	if (r == 0 && plan.change_count && !inv->json && !inv->quiet) {
		cleanup_strbuf struct strbuf text = {0};

		plan_text(plan.changes, plan.change_count, inv->style, &text);
		if (inv->verbose || !only_creates(&plan))
			invocation_print_text(inv, text.text);
	}
	if (r == 0)
		r = loss_check(&session, &plan, &err);
	if (r == 0 && (plan.step_count || plan.change_count))
		r = apply_plan(&session, &plan, &err);
	if (r == -ECANCELED) {
		say_what_is_left(inv, &session);
		error_set(&err, ECANCELED, "stopped");
	}
	if (r < 0)
		return invocation_fail(inv, &err);
	return answer(inv, &session, &plan, started);
}

/* What is not libvirt's but ours. */
static bool is_own(const struct plan_change *change)
{
	return strcmp(change->what, "rules") == 0 || strcmp(change->what, "policy") == 0;
}

/* What libvirt has is as its owner wants it: what up can do for such a lab is to hold who is cut or sealed. */
static int hold_adopted(struct invocation *inv, const struct lab *lab)
{
	cleanup_session struct session session = {.lock = -1};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_strbuf struct strbuf text = {0};
	cleanup_error struct error *err = NULL;
	struct plan_change *changes = NULL;
	size_t count = 0, differences = 0;
	int r = session_open(lab, invocation_flag(inv, "no-wait") ? SESSION_CHANGE_NOW : SESSION_CHANGE, "up",
			     inv->reporter, inv->cancel, &session, &err);

	if (r == 0)
		r = adopted_changes(lab, &session, arena, &changes, &count, &err);
	for (size_t i = 0; i < count; i++)
		differences += !is_own(&changes[i]);
	if (r == 0 && differences) {
		plan_text(changes, count, inv->style, &text);
		if (!inv->json)
			invocation_print_text(inv, text.text);
		r = error_set(&err, EPERM,
			      "libvirt's domains or networks are not what the lab file says, and nestvisor "
			      "changes none that it did not make");
		error_hint(&err, "virsh -c %s edit changes a domain; nestvisor adopt writes the file anew",
			   lab->adopted);
	}
	if (r == 0 && count && !differences && !inv->json && !inv->quiet) {
		plan_text(changes, count, inv->style, &text);
		invocation_print_text(inv, text.text);
	}
	if (r == 0)
		r = adopted_remember(&session.folders, lab, &err);
	if (r == 0)
		r = isolate_make_rules(&session, &err);
	if (r < 0)
		return invocation_fail(inv, &err);
	if (inv->json) {
		json_t *document = plan_json(changes, count);

		json_object_set_new(document, "lab", json_string(lab->name));
		json_object_set_new(document, "seconds", json_real(0));
		invocation_answer(inv, document);
	} else if (!inv->quiet) {
		invocation_print(
			inv,
			"%s: as libvirt has it: %zu guest%s, %zu network%s; nestvisor starts and ends none of them\n",
			lab->name, lab->guest_count, plural(lab->guest_count), lab->network_count,
			plural(lab->network_count));
	}
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_lab struct lab *lab = NULL;
	int status = labfile_load(inv, invocation_operand(inv, 0), true, &lab);

	if (status != EXIT_DONE)
		return status;
	return lab->adopted ? hold_adopted(inv, lab) : bring_up(inv, lab);
}

const struct command command_up = {
	.name = "up",
	.group = GROUP_LAB,
	.summary = "builds and starts a lab, or changes a running one to what its file says",
	.description =
		"Reads the lab file, compares it with what runs and makes the difference real: at this machine "
		"and, through "
		"the nestvisor inside every guest that has guests, at every layer below.\n\n"
		"Running it again does nothing. A change that a guest only sees once it is started again "
		"restarts that guest; "
		"a change of the `policy` alone restarts nobody: it is what `nestvisor verify` asks from then on. "
		"`nestvisor plan` says beforehand which. A run that was killed is continued by the next.\n\n"
		"What somebody else has changed of a guest that is a libvirt's domain (virsh edit, "
		"virt-manager) is not "
		"overwritten: `up` then says what it would overwrite and does nothing, until --overwrite allows "
		"it or the "
		"lab file says the same. Nor are snapshots: where they would go with a guest that is renamed, removed, "
		"moved "
		"to another host, or gets a new disk, `up` fails until --discard-snapshots allows it.\n\n"
		"A lab that was adopted from a libvirt has its guests already, and libvirt starts and ends them: up "
		"sees to it that those that are cut or sealed are held, and fails where libvirt's are not what the "
		"file says.",
	.operands = (const struct command_operand[]){{"FILE",
						      "the lab file; the one *.nest.yaml of this folder if left out",
						      COMPLETE_LAB_FILE, .optional = true},
						     {0}},
	.options =
		(const struct command_option[]){
			{"no-wait", .help = "fail at once when another nestvisor is changing the lab"},
			{"overwrite",
			 .help = "also make again what the lab file says where somebody changed a guest in libvirt"},
			{"discard-snapshots",
			 .help = "also where snapshots go with a guest that is removed, moved or made anew"},
			{0}},
	.examples = (const struct command_example[]){{"nestvisor up", "brings up the lab of this folder"},
						     {"nestvisor up examples/first.nest.yaml", "brings up this one"},
						     {"nestvisor up --overwrite",
						      "undoes what virsh or virt-manager changed of its domains"},
						     {0}},
	.json = "up",
	.run = run,
};
