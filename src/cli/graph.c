#include "render/graph.h"

#include "apply/folders.h"
#include "apply/session.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/labfile.h"
#include "cli/target.h"

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

static int run(struct invocation *inv)
{
	cleanup_lab struct lab *lab = NULL;
	const char *given = invocation_operand(inv, 0);
	bool planned = invocation_flag(inv, "planned");
	int status = planned ? labfile_load(inv, given, false, &lab) : target_lab(inv, given, &lab);

	if (status != EXIT_DONE)
		return status;
	return planned ? draw(inv, lab, NULL) : draw_running(inv, lab);
}

const struct command command_graph = {
	.name = "graph",
	.group = GROUP_SHOW,
	.summary = "draws a lab: layers, networks, addresses, uplinks",
	.description = "A tree of layers for the terminal, or a Mermaid flowchart that GitHub, GitLab and many wikis "
		       "show as a picture. Of a "
		       "running lab the states are drawn in; of one that does not run, what its file says.",
	.operands =
		(const struct command_operand[]){
			{.name = "LAB",
			 .help = "a running lab's name, or a lab file; the lab of this folder if left out",
			 .complete = COMPLETE_LAB_OR_FILE,
			 .optional = true},
			{}},
	.options = (const struct command_option[]){{.name = "format",
						    .letter = 'f',
						    .kind = OPTION_CHOICE,
						    .help = "how to draw",
						    .choices = (const char *const[]){"tree", "mermaid", NULL},
						    .fallback = "tree"},
						   {.name = "planned",
						    .help = "draw the lab file, and do not ask what runs"},
						   {}},
	.examples = (const struct command_example[]){{"nestvisor graph", "the lab of this folder as a tree"},
						     {"nestvisor graph --format mermaid first.nest.yaml > first.mmd",
						      "a picture for a document"},
						     {}},
	.json = "graph",
	.lab = true,
	.run = run,
};
