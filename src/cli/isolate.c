#include "apply/isolate.h"

#include "apply/adopted_watch.h"
#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/isolation.h"
#include "cli/target.h"
#include "net/net.h"
#include "render/status.h"
#include "render/table.h"

#include <errno.h>
#include <string.h>

enum { INPUT_LIMIT = 64 << 20 };

static void add_guest(struct table *table, const struct lab_status *now, const struct guest *guest)
{
	const struct isolation_setting *s = &now->isolation->settings[guest->index];
	struct isolation_effect effect = isolation_effect(now->isolation, guest);
	enum world world = isolation_world(now->isolation, guest);
	const char *missing = now->guests[guest->index].not_in_force;
	cleanup_strbuf struct strbuf allowed = {0};
	char until[UNTIL_TEXT_SIZE] = "";

	isolation_put_allowed(effect.allowed, effect.allowed_count, &allowed);
	if (effect.open_ms > 0)
		isolation_format_until(effect.open_until, until);
	table_row(table);
	table_cell(table, COLOUR_BOLD, guest->path);
	table_cell(table, world_colour(world), world_name(world));
	table_cell(table, COLOUR_NONE, isolation_method_name(s->method));
	table_cell(table, COLOUR_NONE, until);
	table_cell(table, COLOUR_NONE, effect.world == WORLD_CUT ? neighbours_name(effect.neighbours) : "");
	table_cell(table, COLOUR_NONE, allowed.text);
	table_cell(table, COLOUR_NONE, s->at_run_time ? s->by : "the lab file");
	if (missing)
		table_cellf(table, COLOUR_RED, "not at %s", missing);
	else
		table_cell(table, COLOUR_GREEN, "yes");
}

static int show(struct invocation *inv, const struct lab *lab, const struct lab_status *now)
{
	static const char *const headings[] = {"GUEST",	  "WORLD",   "METHOD",	 "UNTIL", "NEIGHBOURS",
					       "ALLOWED", "SAID BY", "IN FORCE", NULL};
	cleanup_table struct table *table = table_new(headings);
	cleanup_strbuf struct strbuf text = {0};
	json_t *guests = json_array();
	bool incomplete = false;

	for (size_t i = 0; i < lab->guest_count; i++) {
		const char *missing = now->guests[i].not_in_force;
		json_t *one = isolation_guest_json(now->isolation, lab->guests[i]);

		incomplete |= missing != NULL;
		json_object_set_new(one, "missing_at", text_json(missing));
		json_array_append_new(guests, one);
		add_guest(table, now, lab->guests[i]);
	}
	if (inv->json) {
		invocation_answer(
			inv, json_pack("{s:s, s:b, s:o}", "lab", lab->name, "complete", !incomplete, "guests", guests));
		return EXIT_DONE;
	}
	json_decref(guests);
	table_draw(table, inv->style, &text);
	invocation_print_text(inv, text.text);
	if (incomplete)
		invocation_warn(inv, "the rules are not everywhere those of the lab: nestvisor up mends them");
	return EXIT_DONE;
}

static int status_of(struct invocation *inv, const struct lab *lab)
{
	cleanup_session struct session session = {.lock = -1};
	cleanup_error struct error *err = NULL;
	struct lab_status now;

	if (session_open(lab, SESSION_LOOK, "isolate", inv->reporter, inv->cancel, &session, &err) < 0 ||
	    session_status(&session, &now, &err) < 0)
		return invocation_fail(inv, &err);
	return show(inv, lab, &now);
}

static int take(struct invocation *inv, const struct lab *lab)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_json json_t *said = NULL;
	cleanup_free char *text = NULL;
	struct isolate_result result;
	size_t length;

	if (file_read("-", INPUT_LIMIT, &text, &length, &err) < 0 ||
	    json_parse(text, length, "standard input", &said, &err) < 0)
		return invocation_fail_as(inv, EXIT_USAGE, &err);
	if (isolate_take(arena, lab, said, inv->cancel, &result, &err) < 0)
		return invocation_fail(inv, &err);
	return isolation_answer(inv, lab, NULL, 0, &result, NULL);
}

static int watch(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_free char *name = NULL;
	struct folders folders;
	int status = target_name(inv, NULL, &name);

	if (status != EXIT_DONE)
		return status;
	if (folders_of(arena, name, &folders, &err) < 0 || adopted_watch_run(&folders, inv->cancel, &err) < 0)
		return invocation_fail(inv, &err);
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_lab struct lab *lab = NULL;
	bool watches = invocation_operand(inv, 0) && strcmp(inv->operands[0], "watch") == 0;
	int status = watches ? watch(inv) : target_lab(inv, NULL, &lab);

	if (status != EXIT_DONE || watches)
		return status;
	return invocation_operand(inv, 0) && strcmp(inv->operands[0], "take") == 0 ? take(inv, lab)
										   : status_of(inv, lab);
}

const struct command command_isolate = {
	.name = "isolate",
	.group = GROUP_ISOLATE,
	.summary = "shows how far each guest may reach, who said so, and whether it is in force",
	.description = "`isolate status` lists the guests of a lab with what holds for them now: what the lab file "
		       "says, or what was "
		       "said since by `cut`, `open` and `seal`; how long an opening lasts; what a cut guest keeps; and "
		       "whether the "
		       "rules are in force at this host and known to be at those below.\n\n"
		       "`isolate take` is what the layer above runs inside a guest: it reads what was said as JSON "
		       "from standard "
		       "input, puts it in place of all that was said here, and makes it real, here and below.\n\n"
		       "`isolate watch` is what a cut of an adopted lab starts and leaves behind: until nobody is "
		       "held any more, it asks libvirt whose a new tap is, which "
		       "passes nothing before.",
	.operands = (const struct command_operand[]){{"ACTION", "what to do; status if left out",
						      .choices = (const char *const[]){"status", "take", "watch", NULL},
						      .optional = true},
						     {0}},
	.examples =
		(const struct command_example[]){
			{"nestvisor isolate status", "of the lab of this folder, or the one that runs"}, {0}},
	.json = "isolation",
	.lab = true,
	.run = run,
};
