#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/surroundings.h"
#include "config/config.h"
#include "render/text.h"

#include <stdio.h>

struct findings {
	struct problems problems;
	struct lab *lab; /* NULL where there are errors */
};

static unsigned count_layers(const struct lab *lab)
{
	unsigned deepest = lab->root->layer;

	for (size_t i = 0; i < lab->guest_count; i++)
		if (lab->guests[i]->layer > deepest)
			deepest = lab->guests[i]->layer;
	return deepest - lab->root->layer + 1;
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

/* "first: 3 guests on 3 layers, 2 networks, 3 policies: fine, 1 warning" */
static void add_summary(const struct findings *findings, struct strbuf *out)
{
	const struct lab *lab = findings->lab;
	size_t errors = findings->problems.errors, warnings = findings->problems.count - errors;
	unsigned layers;

	if (!lab) {
		text_safe(out, findings->problems.file, false);
		strbuf_printf(out, ": %zu error%s", errors, plural(errors));
	} else {
		layers = count_layers(lab);
		text_safe(out, lab->name, false);
		strbuf_printf(out, ": %zu guest%s on %u layer%s, %zu network%s, %zu polic%s: fine", lab->guest_count,
			      plural(lab->guest_count), layers, plural(layers), lab->network_count,
			      plural(lab->network_count), lab->policy_count, lab->policy_count == 1 ? "y" : "ies");
	}
	if (warnings > 0)
		strbuf_printf(out, ", %zu warning%s", warnings, plural(warnings));
	strbuf_add_char(out, '\n');
}

static json_t *findings_json(const struct findings *findings)
{
	const struct lab *lab = findings->lab;
	const struct problems *problems = &findings->problems;
	json_t *json = json_pack("{s:o, s:b, s:I, s:I, s:o, s:s?}", "file", text_json(problems->file), "valid",
				 lab != NULL, "errors", (json_int_t)problems->errors, "warnings",
				 (json_int_t)(problems->count - problems->errors), "problems", problems_json(problems),
				 "lab", lab ? lab->name : NULL);

	if (lab) {
		json_object_set_new(json, "guests", json_integer((json_int_t)lab->guest_count));
		json_object_set_new(json, "networks", json_integer((json_int_t)lab->network_count));
		json_object_set_new(json, "policies", json_integer((json_int_t)lab->policy_count));
		json_object_set_new(json, "layers", json_integer(count_layers(lab)));
	}
	return json;
}

static int show(struct invocation *inv, const struct findings *findings)
{
	cleanup_strbuf struct strbuf summary = {};

	if (inv->json) {
		invocation_answer(inv, findings_json(findings));
	} else {
		invocation_problems(inv, &findings->problems);
		add_summary(findings, &summary);
		invocation_print_text(inv, summary.text);
	}
	return findings->lab ? EXIT_DONE : EXIT_USAGE;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_free char *found = NULL;
	const char *path = invocation_operand(inv, 0);
	struct findings findings = {};
	struct surroundings machine;
	bool host = !invocation_flag(inv, "no-host");
	int status;

	if (!path) {
		if (config_find(&found, &err) < 0)
			return invocation_fail_as(inv, EXIT_USAGE, &err);
		path = found;
	}
	if (host)
		surroundings_collect("", arena, &machine);
	if (config_load(path, host ? &machine : NULL, &findings.problems, &findings.lab, &err) < 0 &&
	    findings.problems.errors == 0)
		status = invocation_fail_as(inv, EXIT_USAGE, &err);
	else
		status = show(inv, &findings);
	problems_clear(&findings.problems);
	lab_free(findings.lab);
	return status;
}

const struct command command_validate = {
	.name = "validate",
	.group = GROUP_LAB,
	.summary = "checks a lab file and says everything that is wrong with it",
	.description = "Every problem is shown with its line, the place in it and what was expected; all of them at "
		       "once. Errors make the "
		       "file unusable; warnings do not. The lab is also checked against this machine: its CPUs, its "
		       "memory and its routes.\n\n"
		       "Nothing is started or changed, and no privilege is needed.",
	.operands =
		(const struct command_operand[]){
			{.name = "FILE",
			 .help = "the lab file, - for standard input; the one *.nest.yaml of this folder if "
				 "left out",
			 .complete = COMPLETE_LAB_FILE,
			 .optional = true},
			{}},
	.options =
		(const struct command_option[]){
			{.name = "no-host", .help = "do not check against this machine: the lab is for another"}, {}},
	.examples = (const struct command_example[]){{"nestvisor validate", "checks the lab file of this folder"},
						     {"nestvisor validate --no-host big.nest.yaml",
						      "checks a lab that is for another machine"},
						     {}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "the file is fine; there may be warnings"},
						    {EXIT_USAGE, "the file has errors or could not be read"},
						    {}},
	.json = "validate",
	.run = run,
};
