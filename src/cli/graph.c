#include "render/graph.h"

#include "apply/folders.h"
#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/factsource.h"
#include "cli/labfile.h"
#include "cli/target.h"
#include "render/topology.h"

#include <string.h>

static int draw(struct invocation *inv, const struct lab *lab, const struct lab_status *status)
{
	cleanup_strbuf struct strbuf out = {};

	if (inv->json) {
		invocation_answer(inv, graph_json(lab, status));
		return EXIT_DONE;
	}
	if (strcmp(invocation_string(inv, "format"), "mermaid") == 0)
		graph_mermaid(lab, status, &out);
	else
		graph_tree(lab, status, inv->style, &out);
	invocation_print_text(inv, out.text);
	return EXIT_DONE;
}

/* With what runs, where anything does. */
static int draw_running(struct invocation *inv, const struct lab *lab)
{
	cleanup_session struct session session = {.lock = -1};
	cleanup_error struct error *err = NULL;
	struct lab_status status;

	if (session_open(lab, SESSION_LOOK, "graph", inv->reporter, inv->cancel, &session, &err) < 0)
		return invocation_fail(inv, &err);
	if (!file_exists(session.folders.run))
		return draw(inv, lab, NULL);
	if (session_status(&session, &status, &err) < 0)
		return invocation_fail(inv, &err);
	return draw(inv, lab, &status);
}

/* What the picture is called: the bundle's file, the lab, or this machine. */
static const char *facts_name(struct invocation *inv, struct arena *arena, const struct bundle *bundle)
{
	const char *path = invocation_string(inv, "facts"), *lab = invocation_string(inv, "lab"), *slash;
	cleanup_free char *whole = path ? realpath(path, NULL) : NULL;

	if (!path)
		return lab ? lab : bundle->hosts[0]->name;
	slash = strrchr(whole ? whole : path, '/');
	return arena_strdup(arena, slash && slash[1] ? slash + 1 : path);
}

static int draw_facts(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_strbuf struct strbuf out = {};
	cleanup_free char *host = NULL;
	const struct topology *topology;
	const char *name;
	int status;

	if (inv->operand_count > 0 || invocation_flag(inv, "planned"))
		return invocation_usage(inv,
					"with --facts or --live hosts are drawn, not a lab file; --live --lab NAME "
					"draws the hosts of a running lab");
	status = factsource_bundle(inv, NULL, COLLECT_NETWORK, &bundle, &host);
	if (status != EXIT_DONE)
		return status;
	name = facts_name(inv, arena, bundle);
	topology = topology_new(arena, bundle);
	if (inv->json) {
		invocation_answer(inv, topology_json(topology, name));
		return EXIT_DONE;
	}
	if (strcmp(invocation_string(inv, "format"), "mermaid") == 0)
		topology_mermaid(topology, name, &out);
	else
		topology_tree(topology, name, inv->style, &out);
	invocation_print_text(inv, out.text);
	return EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_lab struct lab *lab = NULL;
	const char *given = invocation_operand(inv, 0);
	bool planned = invocation_flag(inv, "planned");
	int status;

	if (invocation_string(inv, "facts") || invocation_flag(inv, "live"))
		return draw_facts(inv);
	status = planned ? labfile_load(inv, given, false, &lab) : target_lab(inv, given, &lab);
	if (status != EXIT_DONE)
		return status;
	return planned ? draw(inv, lab, NULL) : draw_running(inv, lab);
}

const struct command command_graph = {
	.name = "graph",
	.group = GROUP_SHOW,
	.summary = "draws a lab, or hosts from their facts: layers, networks, addresses, uplinks",
	.description = "A tree of layers for the terminal, or a Mermaid flowchart that GitHub, GitLab and many wikis "
		       "show as a picture. Of a "
		       "running lab the states are drawn in; of one that does not run, what its file says.\n\n"
		       "With --facts or --live it draws hosts as their facts show them, whoever built them: which is a "
		       "guest of which, bridges and their ports, addresses, gateways, what is translated on its way.",
	.operands =
		(const struct command_operand[]){
			{.name = "LAB",
			 .help = "a running lab's name, or a lab file; the lab of this folder if left out",
			 .complete = COMPLETE_LAB_OR_FILE,
			 .optional = true},
			{}},
	.options =
		(const struct command_option[]){
			{.name = "format",
			 .letter = 'f',
			 .kind = OPTION_CHOICE,
			 .help = "how to draw",
			 .choices = (const char *const[]){"tree", "mermaid", NULL},
			 .fallback = "tree"},
			FACTSOURCE_OPTIONS,
			{.name = "live",
			 .help = "draw what this machine, or with --lab every host of a running "
				 "lab, says of itself now"},
			{.name = "planned", .help = "draw the lab file, and do not ask what runs"},
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor graph", "the lab of this folder as a tree"},
			{"nestvisor graph --facts bundle", "the hosts whose output was captured in this folder"},
			{"nestvisor graph --live", "this machine as it is wired now"},
			{"nestvisor graph --format mermaid first.nest.yaml > first.mmd", "a picture for a document"},
			{}},
	.json = "graph",
	.lab = true,
	.run = run,
};
