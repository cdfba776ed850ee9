#include "cli/help.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/parse.h"
#include "config/config.h"
#include "render/schema.h"
#include "render/text.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_COLUMNS = 80, MOST_COLUMNS = 100, LABEL_COLUMNS = 26 };

const char *command_group_title(enum command_group group)
{
	static const char *const titles[] = {
		[GROUP_LAB] = "Build and remove",
		[GROUP_INSIDE] = "Into guests",
		[GROUP_ISOLATE] = "Isolation",
		[GROUP_PROVE] = "Proof and diagnosis",
		[GROUP_SHOW] = "See",
		[GROUP_STACK] = "Snapshots",
		[GROUP_MACHINE] = "The machine",
		[GROUP_OTHER] = "About nestvisor",
	};

	return titles[group];
}

void help_option_label(const struct command_option *option, struct strbuf *out)
{
	strbuf_printf(out, "--%s", option->name);
	if (option->kind == OPTION_CHOICE) {
		for (const char *const *choice = option->choices; *choice; choice++)
			strbuf_printf(out, "%s%s", choice == option->choices ? " " : "|", *choice);
	} else if (option->kind != OPTION_FLAG) {
		strbuf_printf(out, " %s", option->argument ? option->argument : "VALUE");
	}
}

void help_option_text(const struct command *command, const struct command_option *option, struct strbuf *out)
{
	strbuf_add(out, option->help);
	if (command && command->json && strcmp(option->name, "json") == 0)
		strbuf_printf(out, " (nestvisor schema --of %s)", command->json);
	if (option->repeated)
		strbuf_add(out, "; may be given several times");
	if (option->fallback)
		strbuf_printf(out, " (default: %s)", option->fallback);
}

static const char *status_meaning(const struct command *command, int status)
{
	static const char *const usual[] = {
		[EXIT_DONE] = "done", [EXIT_FAILED] = "failed", [EXIT_USAGE] = "wrong usage or bad input"};

	for (const struct command_status *s = command ? command->statuses : NULL; s && s->means; s++)
		if (s->status == status)
			return s->means;
	return status >= 0 && status <= EXIT_USAGE ? usual[status] : NULL;
}

bool help_status_at(const struct command *command, size_t index, struct command_status *ret)
{
	for (int status = 0; status < 256; status++) {
		const char *means = status_meaning(command, status);

		if (means && index-- == 0) {
			*ret = (struct command_status){status, means};
			return true;
		}
	}
	return false;
}

static unsigned columns_of(const struct style *style)
{
	unsigned columns = style->columns ? style->columns : DEFAULT_COLUMNS;

	return columns > MOST_COLUMNS ? MOST_COLUMNS : columns < 40 ? 40 : columns;
}

static void heading(struct strbuf *out, const struct style *style, const char *text)
{
	strbuf_add_char(out, '\n');
	text_paint(out, style, COLOUR_BOLD, text);
	strbuf_add_char(out, '\n');
}

/* "  label      text", the text filled beside it, or below it where the label is too long. */
static void entry(struct strbuf *out, const struct style *style, const char *label, unsigned label_columns,
		  const char *text)
{
	cleanup_strbuf struct strbuf filled = {};
	size_t width = text_width(label);

	text_fill(&filled, text, label_columns + 4, columns_of(style));
	strbuf_add(out, "  ");
	text_paint(out, style, COLOUR_CYAN, label);
	if (width > label_columns)
		strbuf_printf(out, "\n%s", filled.text);
	else
		strbuf_printf(out, "%*s%s", (int)(label_columns - width), "", filled.text + label_columns + 2);
}

void help_overview(const struct command *const *commands, const struct style *style, struct strbuf *out)
{
	static const char what[] =
		"nestvisor runs labs of virtual machines inside virtual machines: one file describes every "
		"layer; nestvisor builds them, reaches into every guest, shows what there is, and takes it all away "
		"again.";

	text_fill(out, what, 0, columns_of(style));
	heading(out, style, "Usage");
	strbuf_add(out, "  nestvisor COMMAND [OPTION]… [OPERAND]…\n");
	for (enum command_group group = GROUP_LAB; group <= GROUP_OTHER; group++) {
		bool any = false;

		for (size_t i = 0; commands[i]; i++) {
			if (commands[i]->group != group || commands[i]->hidden)
				continue;
			if (!any)
				heading(out, style, command_group_title(group));
			any = true;
			entry(out, style, commands[i]->name, 12, commands[i]->summary);
		}
	}
	heading(out, style, "More");
	strbuf_add(out, "  nestvisor help COMMAND      its options, with examples\n"
			"  man nestvisor.nest.yaml     the lab file\n");
}

static void option_entries(const struct command *command, bool own, const struct style *style, struct strbuf *out)
{
	const struct command_option *option;
	size_t own_count = command_own_option_count(command);

	for (size_t i = own ? 0 : own_count; (option = command_option_at(command, i)) && (!own || i < own_count); i++) {
		cleanup_strbuf struct strbuf label = {}, text = {};

		if (option->hidden)
			continue;
		if (option->letter)
			strbuf_printf(&label, "-%c, ", option->letter);
		else
			strbuf_add(&label, "    ");
		help_option_label(option, &label);
		help_option_text(command, option, &text);
		entry(out, style, label.text, LABEL_COLUMNS, text.text);
	}
}

static void status_entries(const struct command *command, const struct style *style, struct strbuf *out)
{
	struct command_status status;

	for (size_t i = 0; help_status_at(command, i, &status); i++) {
		char number[16];

		snprintf(number, sizeof(number), "%d", status.status);
		entry(out, style, number, 3, status.means);
	}
}

void help_command(const struct command *command, const struct style *style, struct strbuf *out)
{
	cleanup_strbuf struct strbuf usage = {};

	strbuf_printf(out, "nestvisor %s: %s\n", command->name, command->summary);
	heading(out, style, "Usage");
	command_usage(command, &usage);
	strbuf_printf(out, "  %s\n", usage.text);
	if (command->description) {
		strbuf_add_char(out, '\n');
		text_fill(out, command->description, 0, columns_of(style));
	}
	if (command->operands && command->operands->name)
		heading(out, style, "Operands");
	for (const struct command_operand *o = command->operands; o && o->name; o++)
		entry(out, style, o->name, LABEL_COLUMNS, o->help);
	if (command_own_option_count(command) > 0) {
		heading(out, style, "Options");
		option_entries(command, true, style, out);
	}
	heading(out, style, "General options");
	option_entries(command, false, style, out);
	if (command->examples && command->examples->command)
		heading(out, style, "Examples");
	for (const struct command_example *e = command->examples; e && e->command; e++) {
		strbuf_add(out, "  ");
		text_paint(out, style, COLOUR_CYAN, e->command);
		strbuf_add_char(out, '\n');
		text_fill(out, e->does, 6, columns_of(style));
	}
	heading(out, style, "Exit status");
	status_entries(command, style, out);
	strbuf_add(out, "\nNESTVISOR_<OPTION> in the environment gives the default of an option; see nestvisor(1).\n");
}

static const char *kind_name(enum option_kind kind)
{
	static const char *const names[] = {[OPTION_FLAG] = "flag",
					    [OPTION_STRING] = "string",
					    [OPTION_INTEGER] = "integer",
					    [OPTION_CHOICE] = "choice",
					    [OPTION_SECONDS] = "seconds"};

	return names[kind];
}

static json_t *strings_json(const char *const *texts)
{
	json_t *list = json_array();

	for (; texts && *texts; texts++)
		json_array_append_new(list, json_string(*texts));
	return list;
}

static json_t *option_json(const struct command_option *option)
{
	cleanup_strbuf struct strbuf variable = {};
	char letter[] = {option->letter, '\0'};
	bool env = option_variable(option, &variable);

	return json_pack("{s:s, s:s?, s:s, s:s?, s:s, s:o, s:s?, s:s?, s:b}", "name", option->name, "letter",
			 option->letter ? letter : NULL, "kind", kind_name(option->kind), "argument", option->argument,
			 "help", option->help, "choices", strings_json(option->choices), "default", option->fallback,
			 "variable", env ? variable.text : NULL, "repeated", option->repeated);
}

static json_t *command_json(const struct command *command)
{
	json_t *operands = json_array(), *options = json_array(), *examples = json_array();
	const struct command_option *option;

	for (const struct command_operand *o = command->operands; o && o->name; o++)
		json_array_append_new(operands, json_pack("{s:s, s:s, s:b, s:b, s:o}", "name", o->name, "help", o->help,
							  "optional", o->optional, "repeated", o->repeated, "choices",
							  strings_json(o->choices)));
	if (command->rest)
		json_array_append_new(operands, json_pack("{s:s, s:s, s:b, s:b, s:[]}", "name", command->rest, "help",
							  "what follows --", "optional", !command->rest_required,
							  "repeated", true, "choices"));
	for (size_t i = 0; (option = command_option_at(command, i)); i++)
		if (!option->hidden)
			json_array_append_new(options, option_json(option));
	for (const struct command_example *e = command->examples; e && e->command; e++)
		json_array_append_new(examples, json_pack("{s:s, s:s}", "command", e->command, "does", e->does));
	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o, s:o, s:o}", "name", command->name, "group",
			 command_group_title(command->group), "summary", command->summary, "description",
			 command->description ? command->description : "", "json", command->json, "operands", operands,
			 "options", options, "examples", examples);
}

static json_t *commands_json(const struct command *const *commands, const struct command *only)
{
	json_t *list = json_array();

	for (; *commands; commands++)
		if (only ? *commands == only : !(*commands)->hidden)
			json_array_append_new(list, command_json(*commands));
	return json_pack("{s:o}", "commands", list);
}

static int run(struct invocation *inv)
{
	const char *name = invocation_operand(inv, 0);
	const struct command *command = name ? command_find(inv->commands, name) : NULL;
	cleanup_strbuf struct strbuf out = {};

	if (name && strcmp(name, "nestvisor.nest.yaml") == 0 && invocation_flag(inv, "man")) {
		config_manual(&out);
		invocation_print_text(inv, out.text);
		return EXIT_DONE;
	}
	if (name && !command) {
		struct nearest nearest = {.word = name};

		for (size_t i = 0; inv->commands[i]; i++)
			if (!inv->commands[i]->hidden)
				nearest_try(&nearest, inv->commands[i]->name);
		return invocation_usage(inv, "there is no command \"%s\"%s%s%s", name,
					nearest.name ? "; did you mean \"" : "", nearest.name ? nearest.name : "",
					nearest.name ? "\"?" : "");
	}
	if (inv->json) {
		invocation_answer(inv, commands_json(inv->commands, command));
		return EXIT_DONE;
	}
	if (invocation_flag(inv, "man") && command)
		manual_command(command, &out);
	else if (invocation_flag(inv, "man"))
		manual_program(inv->commands, &out);
	else if (command)
		help_command(command, inv->style, &out);
	else
		help_overview(inv->commands, inv->style, &out);
	invocation_print_text(inv, out.text);
	return EXIT_DONE;
}

const struct command command_help = {
	.name = "help",
	.group = GROUP_OTHER,
	.summary = "says what the commands do",
	.description = "Without a command: an overview of all. With one: what it does, its operands, options, examples "
		       "and exit status, as "
		       "its --help does. With --json the table of commands for programs.",
	.operands = (const struct command_operand[]){{.name = "COMMAND",
						      .help = "the command to explain",
						      .complete = COMPLETE_COMMAND,
						      .optional = true},
						     {}},
	.options = (const struct command_option[]){{.name = "man",
						    .help = "the source of the man page, in the language of scdoc(5)",
						    .hidden = true,
						    .no_env = true},
						   {}},
	.examples = (const struct command_example[]){{"nestvisor help up", "explains up, with examples"},
						     {"nestvisor help", "lists all commands"},
						     {}},
	.json = "help",
	.run = run,
};
