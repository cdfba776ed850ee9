#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/snapshotting.h"
#include "cli/target.h"
#include "render/table.h"
#include "render/text.h"

#include <string.h>
#include <time.h>

/* Of one guest of this host. */
static int list(struct snapshotting *s, const struct folders *folders, const struct guest *guest, struct error **err)
{
	const char *interrupted = snapshot_interrupted(s->arena, folders, guest);
	struct snapshot *snapshots;
	size_t count;
	int r = snapshot_list(s->arena, folders, guest, &snapshots, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		json_array_append_new(s->answers, snapshotting_json(&snapshots[i]));
	if (interrupted)
		invocation_warn(s->inv, "%s: \"%s\" goes on, or was interrupted; nestvisor up then finishes it",
				guest->path, interrupted);
	return r;
}

/* All below a guest that is a host, or all on another machine, as its own nestvisor says it. */
static void ask_host(struct snapshotting *s, const struct folders *folders, const struct guest *host)
{
	const char *const argv[] = {"nestvisor", "snapshots", "--json", "--lab", s->lab->name, NULL};
	cleanup_transport struct transport *t = NULL;
	cleanup_output struct process_output output = {0};
	cleanup_json json_t *answer = NULL;
	cleanup_error struct error *err = NULL;

	if (into_open(s->arena, folders, s->lab, host, s->inv->cancel, &t, &err) == 0 &&
	    transport_run(t, argv, NULL, 0, 60000, s->inv->cancel, &output, &err) == 0)
		json_parse(output.out, output.out_length, "its answer", &answer, NULL);
	if (json_is_array(json_object_get(answer, "snapshots"))) {
		json_array_extend(s->answers, json_object_get(answer, "snapshots"));
		return;
	}
	s->failed = true;
	invocation_warn(s->inv, "what snapshots there are in %s is not known: %s", host->path,
			err ? err->message : "its nestvisor does not answer");
}

/* Another machine answers for all its guests at once. */
static bool is_first_there(const struct lab *lab, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (lab->root->guests[i]->machine == lab->root->guests[index]->machine)
			return false;
	return true;
}

static int gather(struct snapshotting *s, const struct guest *only, struct error **err)
{
	static const char *const options[] = {"--json", NULL};
	cleanup_json json_t *answer = NULL;
	struct folders folders;
	int r = folders_of(s->arena, s->lab->name, &folders, err);

	if (r == 0 && only && (only->parent != s->lab->root || only->machine)) {
		r = snapshotting_ask(s, only, "snapshots", options, NULL, "snapshots", &answer, err);
		return r < 0 ? r : json_array_extend(s->answers, answer);
	}
	if (r == 0 && only)
		return list(s, &folders, only, err);
	for (size_t i = 0; r == 0 && i < s->lab->root->guest_count; i++) {
		const struct guest *guest = s->lab->root->guests[i];

		if (guest->machine) {
			if (is_first_there(s->lab, i))
				ask_host(s, &folders, guest);
			continue;
		}
		r = list(s, &folders, guest, err);
		if (r == 0 && guest->host && guest->host->guest_count)
			ask_host(s, &folders, guest);
	}
	return r;
}

static void print(const struct snapshotting *s)
{
	static const char *const headings[] = {"GUEST", "SNAPSHOT", "TAKEN", "SIZE", "OF", "DESCRIPTION", NULL};
	cleanup_table struct table *table = table_new(headings);
	cleanup_strbuf struct strbuf text = {0};
	const json_t *one;
	size_t i;

	json_array_foreach (s->answers, i, one) {
		const char *damage = json_get_string(one, "damage", NULL);
		time_t when = (time_t)json_get_integer(one, "time", 0);
		char taken[32], size[BYTES_TEXT_SIZE];
		struct tm local;

		strftime(taken, sizeof(taken), "%Y-%m-%d %H:%M:%S", localtime_r(&when, &local));
		table_row(table);
		table_cell(table, COLOUR_BOLD, json_get_string(one, "guest", ""));
		table_cell(table, COLOUR_NONE, json_get_string(one, "name", ""));
		table_cell(table, COLOUR_NONE, taken);
		table_cell(table, COLOUR_NONE, text_bytes((uint64_t)json_get_integer(one, "size", 0), size));
		table_cell(table, COLOUR_NONE, snapshotting_parts(s->arena, one));
		if (damage)
			table_cellf(table, COLOUR_RED, "not whole: %s", damage);
		else
			table_cell(table, COLOUR_NONE, json_get_string(one, "description", ""));
	}
	table_draw(table, s->inv->style, &text);
	invocation_print_text(s->inv, text.text);
}

static int run(struct invocation *inv)
{
	cleanup_snapshotting struct snapshotting s = {
		.inv = inv, .session = {.lock = -1}, .arena = arena_new(), .answers = json_array()};
	cleanup_error struct error *err = NULL;
	const struct guest *only = NULL;
	int status = target_lab(inv, NULL, &s.lab);

	if (status == EXIT_DONE && invocation_operand(inv, 0))
		status = target_guest(inv, s.lab, invocation_operand(inv, 0), &only);
	if (status != EXIT_DONE)
		return status;
	if (gather(&s, only, &err) < 0)
		return invocation_fail(inv, &err);
	if (inv->json)
		invocation_answer(inv, json_pack("{s:s, s:O}", "lab", s.lab->name, "snapshots", s.answers));
	else if (json_array_size(s.answers) == 0)
		invocation_print(inv, "%s: no snapshots\n", only ? only->path : s.lab->name);
	else
		print(&s);
	return s.failed ? EXIT_FAILED : EXIT_DONE;
}

const struct command command_snapshots = {
	.name = "snapshots",
	.group = GROUP_STACK,
	.summary = "lists the snapshots of guests, at every layer",
	.description =
		"With what each is of, when it was taken and how much it takes: its memory, and the overlay that its "
		"disk was until then. One that lies below that is another snapshot's, or the guest's first disk.",
	.operands =
		(const struct command_operand[]){
			{"GUEST", "a guest's path; all if left out", COMPLETE_GUEST, .optional = true}, {0}},
	.examples = (const struct command_example[]){{"nestvisor snapshots", "of all guests of the lab"},
						     {"nestvisor snapshots hv1/win11 --json", "of one, for programs"},
						     {0}},
	.json = "snapshots",
	.lab = true,
	.run = run,
};
