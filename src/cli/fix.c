#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/batch.h"
#include "cli/fixing.h"
#include "cli/lasting.h"
#include "cli/repair.h"
#include "cli/undo.h"

#include <string.h>

/* "let wsl2 reach vm2 (tcp port 22)" */
static const char *describe(struct arena *arena, const struct repair_view *view)
{
	cleanup_strbuf struct strbuf packet = {0};

	packet_format(view->packet, &packet);
	return arena_printf(arena, "let %s reach %s (%s)", view->from, view->to, packet.text);
}

static int build(struct fixing *fixing, const struct repair *repair, bool permanent, struct error **err)
{
	int r = 0;

	for (size_t i = 0; i < repair->change_count && r == 0; i++)
		r = fixing_add_change(fixing, repair->changes[i], err);
	if (r == 0 && permanent)
		r = lasting_add(fixing, repair->changes, repair->change_count, err);
	return r;
}

static int preview(struct invocation *inv, const struct fixing *fixing)
{
	cleanup_strbuf struct strbuf changes = {}, out = {};
	cleanup_error struct error *err = NULL;

	if (fix_preview(&fixing->fix, &changes, &err) < 0)
		return invocation_fail(inv, &err);
	strbuf_printf(&out, "%s:\n%s", fixing->fix.does, changes.text ? changes.text : "");
	invocation_preview(inv, out.text);
	return EXIT_DONE;
}

/* What becomes of the packet now, as the hosts tell themselves; `before` with what was done about it. */
static int look_again(struct invocation *inv, const struct repair_asked *before)
{
	cleanup_hosts struct hosts hosts = {.arena = before->arena};
	cleanup_repair_asked struct repair_asked now = {.arena = before->arena};
	cleanup_strbuf struct strbuf out = {};
	int status = repair_ask(inv, &hosts, &now);

	if (status != EXIT_DONE) {
		invocation_note(inv, "the changes are made; `nestvisor fix --undo` takes them back");
		return status;
	}
	if (inv->json) {
		json_t *answer = fix_json(&before->view);

		json_object_set_new(answer, "applied", json_true());
		json_object_set_new(answer, "now", why_json(&now.view));
		invocation_answer(inv, answer);
	} else {
		strbuf_add(&out, "Made. Asked again: ");
		why_text(&now.view, inv->style, &out);
		invocation_print_text(inv, out.text);
	}
	if (now.view.repair->cause_count)
		invocation_warn(inv,
				"the changes are made, but are not enough; `nestvisor fix --undo` takes them back");
	return now.view.repair->cause_count ? EXIT_FAILED : repair_status(inv, now.view.repair);
}

/* There is nothing to do, or nothing that would help. */
static int answer(struct invocation *inv, const struct repair_asked *asked)
{
	cleanup_strbuf struct strbuf out = {};

	if (inv->json) {
		json_t *answer = fix_json(&asked->view);

		json_object_set_new(answer, "applied", json_false());
		invocation_answer(inv, answer);
	} else {
		fix_text(&asked->view, inv->style, &out);
		invocation_print_text(inv, out.text);
	}
	return repair_status(inv, asked->view.repair);
}

static int apply(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_hosts struct hosts hosts = {.arena = arena};
	cleanup_repair_asked struct repair_asked asked = {.arena = arena};
	struct fixing fixing = {.arena = arena, .hosts = &hosts, .cancel = inv->cancel, .fix.id = FIXING_ID};
	cleanup_error struct error *err = NULL;
	bool changed, permanent = invocation_flag(inv, "permanent");
	int status;

	/* What keeps its rules and routes is no fact of its network. */
	hosts.kind = permanent ? COLLECT_FACTS : COLLECT_NETWORK;
	/* What an earlier one left half done is no part of what is. */
	if (fix_recover(inv->reporter, &err) < 0)
		return invocation_fail(inv, &err);
	status = repair_ask(inv, &hosts, &asked);
	if (status != EXIT_DONE)
		return status;
	if (!asked.view.repair->mended || !asked.view.repair->change_count)
		return answer(inv, &asked);
	fixing.bundle = asked.bundle;
	fixing.fix.does = describe(arena, &asked.view);
	if (build(&fixing, asked.view.repair, permanent, &err) < 0)
		return invocation_fail(inv, &err);
	status = preview(inv, &fixing);
	if (status == EXIT_DONE)
		status = invocation_confirm(inv, "Make these changes?");
	if (status != EXIT_DONE)
		return status;
	if (fix_apply(&fixing.fix, inv->reporter, &changed, &err) < 0)
		return invocation_fail(inv, &err);
	return look_again(inv, &asked);
}

static int undo(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *difference;
	size_t count;
	int status = undo_fixes(inv, arena, FIXING_ID, false, &count, &difference);

	if (status != EXIT_DONE)
		return status;
	if (inv->json)
		invocation_answer(inv, json_pack("{s:[], s:i}", "changes", "undone", (int)count));
	else
		invocation_print(inv, count ? "%zu fix%s taken back\n" : "no fix is in force\n", count,
				 count == 1 ? "" : "es");
	return EXIT_DONE;
}

/* --undo takes all back: nothing else that is said can have a part in it. */
static int check_undo(struct invocation *inv)
{
	static const char *const with[] = {"undo", "yes", NULL};

	for (const struct command_option *option = inv->command->options; option->name; option++) {
		bool fits = false;

		for (size_t i = 0; with[i]; i++)
			fits = fits || strcmp(with[i], option->name) == 0;
		if (!fits && invocation_typed(inv, option->name))
			return invocation_usage(
				inv, "--undo takes back all that --apply did, the last first: --%s has no part in it",
				option->name);
	}
	if (invocation_typed(inv, "lab"))
		return invocation_usage(inv, "--undo takes back all that --apply did, in whichever lab: leave --lab");
	return EXIT_DONE;
}

static int check_usage(struct invocation *inv, bool applies, bool undoes)
{
	if (applies && undoes)
		return invocation_usage(inv, "give --apply or --undo, not both");
	if (undoes)
		return check_undo(inv);
	if (invocation_string(inv, "policy") && invocation_flag(inv, "batch"))
		return invocation_usage(inv, "--policy is for one question");
	if (applies && invocation_flag(inv, "batch"))
		return invocation_usage(inv, "--apply is for one question");
	if (applies && invocation_string(inv, "facts"))
		return invocation_usage(
			inv, "captured facts are no hosts to change: name those with --host NAME=ssh://user@address");
	if (invocation_flag(inv, "permanent") && !applies)
		return invocation_usage(inv, "--permanent goes with --apply");
	if (invocation_typed(inv, "yes") && !applies && !undoes)
		return invocation_usage(inv, "--yes answers what --apply and --undo ask: give one of them");
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	bool applies = invocation_flag(inv, "apply"), undoes = invocation_flag(inv, "undo");
	int status = check_usage(inv, applies, undoes);

	if (status != EXIT_DONE)
		return status;
	if (undoes)
		return undo(inv);
	if (!applies)
		return repair_command(inv, fix_text, fix_json);
	status = question_check(inv);
	return status == EXIT_DONE ? apply(inv) : status;
}

const struct command command_fix = {
	.name = "fix",
	.group = GROUP_PROVE,
	.summary = "finds the smallest change that lets a packet arrive, and makes it",
	.description =
		"Finds the fewest changes with which the packet arrives and its answer comes back: a route, a rule in "
		"front of the one that blocks and as narrow as the question, a sysctl, a translation. They are shown "
		"as commands in the words of what each host uses, with how they are made to last there. Each was tried "
		"on the facts before it is shown; without --apply nothing is changed.\n\n"
		"In a lab, or with --policy, all that the lab file promises is verified as it would be with the "
		"changes: "
		"what would break a promise that is kept now is not proposed, and said to be refused with the "
		"promise.\n\n"
		"--apply shows what it will do, asks, runs the commands on the hosts concerned, asks the hosts for "
		"their facts again and says whether the packet arrives now. Hosts are this machine, guests of a lab "
		"(through their agents, as `nestvisor exec` does), and those named with --host. Either all of it is "
		"done or nothing: where a command fails, or nestvisor is killed, what was done is taken back, by "
		"itself "
		"or by the next --apply or --undo. --permanent also writes the files that make it last on each host, "
		"and --undo puts back what was in them. --undo takes all of it back, the last first; "
		"where a host is not there, nothing is taken back on it, which is said (status 1) and stays on "
		"record.\n\n" QUESTION_ENDS,
	.options =
		(const struct command_option[]){
			QUESTION_OPTIONS,
			{.name = "apply", .letter = 'a', .help = "make the changes, after asking", .no_env = true},
			{.name = "permanent", .help = "--apply: write what makes them last, too", .no_env = true},
			{.name = "undo", .help = "take back what --apply did, after asking", .no_env = true},
			{.name = "yes", .letter = 'y', .help = "do not ask"},
			GUARD_OPTION,
			BATCH_OPTION,
			HOSTS_OPTION,
			FACTSOURCE_OPTIONS,
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor fix --from L0 --to hv1/a --port 22",
			 "may L0 use ssh on a, and if not, what mends it?"},
			{"nestvisor fix --facts bundle/ --from wsl2 --to vm2 --port 22",
			 "the same, in facts that were captured"},
			{"nestvisor fix --host vm1=ssh://root@192.168.122.191 --from vm1 --to 192.168.124.91 --apply",
			 "a host that nestvisor did not make, mended at once"},
			{"nestvisor fix --undo", "takes all of that back"},
			{}},
	.statuses =
		(const struct command_status[]){
			{EXIT_DONE, "it arrives, or the changes are shown, made or taken back"},
			{EXIT_FAILED, "nothing that nestvisor knows mends it, or it could "
				      "not be carried out"},
			{EXIT_UNKNOWN, "unknown: a fact is missing, or a host could not be asked"},
			{}},
	.json = "fix",
	.lab = true,
	.run = run,
};
