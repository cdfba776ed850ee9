/* Man pages from the table of commands, in the language of scdoc(5). Text goes through add_text, so nothing in the
 * table is taken for markup. */
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/help.h"
#include "cli/parse.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#ifndef NESTVISOR_VERSION
#error "the build defines NESTVISOR_VERSION"
#endif

static void add_text(struct strbuf *out, const char *text)
{
	for (bool start = true; *text; text++) {
		bool paragraph = *text == '\n' && text[1] == '\n';

		if (*text == '\n' && !paragraph) {
			strbuf_add_char(out, ' ');
			continue;
		}
		if (strchr("\\*_+", *text) || (start && ispunct((unsigned char)*text)))
			strbuf_add_char(out, '\\');
		strbuf_add_char(out, *text);
		start = *text == '\n';
		if (paragraph) {
			strbuf_add_char(out, '\n');
			text++;
		}
	}
}

static void add_paragraph(struct strbuf *out, const char *text)
{
	add_text(out, text);
	strbuf_add(out, "\n\n");
}

/* An indented explanation below a term. */
static void add_explanation(struct strbuf *out, const char *text)
{
	strbuf_add_char(out, '\t');
	add_text(out, text);
	strbuf_add(out, "\n\n");
}

static void add_preamble(struct strbuf *out, const char *name)
{
	strbuf_printf(out, "%s(1) \"nestvisor %s\" \"nestvisor manual\"\n\n", name, NESTVISOR_VERSION);
}

static void add_option(struct strbuf *out, const struct command *command, const struct command_option *option)
{
	cleanup_strbuf struct strbuf label = {}, text = {}, variable = {};
	size_t length;

	help_option_label(option, &label);
	help_option_text(command, option, &text);
	if (option_variable(option, &variable))
		strbuf_printf(&text, ". %s", variable.text);
	if (option->letter)
		strbuf_printf(out, "*-%c*, ", option->letter);
	length = strcspn(label.text, " ");
	strbuf_printf(out, "*%.*s*", (int)length, label.text);
	if (label.text[length]) {
		strbuf_add(out, " _");
		add_text(out, label.text + length + 1);
		strbuf_add_char(out, '_');
	}
	strbuf_add_char(out, '\n');
	add_explanation(out, text.text);
}

static void add_options(struct strbuf *out, const struct command *command)
{
	const struct command_option *option;

	for (size_t i = 0; (option = command_option_at(command, i)); i++)
		if (!option->hidden)
			add_option(out, command, option);
}

static void add_statuses(struct strbuf *out, const struct command *command)
{
	struct command_status status;

	strbuf_add(out, "# EXIT STATUS\n\n");
	for (size_t i = 0; help_status_at(command, i, &status); i++) {
		strbuf_printf(out, "*%d*\n", status.status);
		add_explanation(out, status.means);
	}
}

void manual_command(const struct command *command, struct strbuf *out)
{
	cleanup_strbuf struct strbuf usage = {}, name = {};

	strbuf_printf(&name, "nestvisor-%s", command->name);
	add_preamble(out, name.text);
	strbuf_printf(out, "# NAME\n\n%s - ", name.text);
	add_paragraph(out, command->summary);
	strbuf_add(out, "# SYNOPSIS\n\n");
	command_usage(command, &usage);
	add_paragraph(out, usage.text);
	if (command->description) {
		strbuf_add(out, "# DESCRIPTION\n\n");
		add_paragraph(out, command->description);
	}
	for (const struct command_operand *o = command->operands; o && o->name; o++) {
		strbuf_printf(out, "%s_%s_\n", o == command->operands ? "# OPERANDS\n\n" : "", o->name);
		add_explanation(out, o->help);
	}
	strbuf_add(out, "# OPTIONS\n\n");
	add_options(out, command);
	if (command->examples && command->examples->command)
		strbuf_add(out, "# EXAMPLES\n\n");
	for (const struct command_example *e = command->examples; e && e->command; e++) {
		strbuf_add(out, "*");
		add_text(out, e->command);
		strbuf_add(out, "*\n");
		add_explanation(out, e->does);
	}
	add_statuses(out, command);
	strbuf_add(out, "# SEE ALSO\n\n*nestvisor*(1), *nestvisor.nest.yaml*(5)\n");
}

static void add_commands(struct strbuf *out, const struct command *const *commands)
{
	for (enum command_group group = GROUP_LAB; group <= GROUP_OTHER; group++) {
		bool any = false;

		for (size_t i = 0; commands[i]; i++) {
			if (commands[i]->group != group || commands[i]->hidden)
				continue;
			if (!any)
				strbuf_printf(out, "## %s\n\n", command_group_title(group));
			any = true;
			strbuf_printf(out, "*nestvisor-%s*(1)\n", commands[i]->name);
			add_explanation(out, commands[i]->summary);
		}
	}
}

static const struct {
	const char *name, *means;
} variables[] =
	{
		{"NESTVISOR_<OPTION>", "the default of the option --<option>, with - written as _: "
				       "NESTVISOR_LAB=first, NESTVISOR_QUIET=1. An option "
				       "on the command line is stronger."},
		{"NESTVISOR_RUN_DIR", "where the state of running labs is kept, in place of /run/nestvisor"},
		{"NESTVISOR_STATE_DIR", "where disks are kept, in place of /var/lib/nestvisor"},
		{"NESTVISOR_CACHE", "where built images are kept, in place of /var/cache/nestvisor"},
		{"NO_COLOR", "no colours, where it is set and not empty"},
},
  files[] =
	  {
		  {"*.nest.yaml", "a lab file, see nestvisor.nest.yaml(5). A command that takes one finds the one in "
				  "the current folder by itself."},
		  {"/run/nestvisor/<lab>",
		   "what runs: state, journal, sockets, one folder for each guest of this machine"},
		  {"/var/lib/nestvisor/<lab>", "the guests' disks"},
		  {"/var/cache/nestvisor", "built images"},
},
  statuses[] = {
	  {"0", "done, or it holds"},
	  {"1", "failed, or it is violated"},
	  {"2", "wrong usage or bad input"},
	  {"3", "plan: there is something to do"},
	  {"4", "verify: a fact is missing, so nothing can be said"},
	  {"130", "stopped by Ctrl-C (128 + the signal's number). The first one stops cleanly, a second one at once."},
};

#define add_terms(out, title, terms)                                                                                   \
	do {                                                                                                           \
		strbuf_add((out), "# " title "\n\n");                                                                  \
		for (size_t i_ = 0; i_ < sizeof(terms) / sizeof(*(terms)); i_++) {                                     \
			strbuf_add((out), "*");                                                                        \
			add_text((out), (terms)[i_].name);                                                             \
			strbuf_add((out), "*\n");                                                                      \
			add_explanation((out), (terms)[i_].means);                                                     \
		}                                                                                                      \
	} while (0)

void manual_program(const struct command *const *commands, struct strbuf *out)
{
	add_preamble(out, "nestvisor");
	strbuf_add(out,
		   "# NAME\n\nnestvisor - runs labs of virtual machines inside virtual machines\n\n# SYNOPSIS\n\n");
	add_paragraph(out, "nestvisor COMMAND [OPTION]… [OPERAND]…");
	strbuf_add(out, "# DESCRIPTION\n\n");
	add_paragraph(
		out,
		"One file, the lab file, describes machines inside machines: L0 is this machine, L1 its guests, L2 the "
		"guests of those, and so on, with the networks that each owns. nestvisor checks the file against the "
		"machine, builds the stack, reaches into every guest at every depth, shows what there is, and removes "
		"it again "
		"without a trace.\n\n"
		"A guest is named by its path: hv1/win11 is the guest win11 of the guest hv1. Every host in a lab runs "
		"nestvisor "
		"itself for the guests it has, so there is no daemon and no second protocol.\n\n"
		"What a command answers goes to standard output, everything else to standard error. With --json the "
		"answer is "
		"one document on standard output, whose member schema names its form; nestvisor schema --of NAME "
		"prints that. "
		"A command that fails then answers with the form nestvisor/error/1.");
	strbuf_add(out, "# COMMANDS\n\n");
	add_commands(out, commands);
	strbuf_add(out, "# OPTIONS\n\nThese may also stand before the command.\n\n");
	add_options(out, NULL);
	add_terms(out, "ENVIRONMENT", variables);
	add_terms(out, "FILES", files);
	add_terms(out, "EXIT STATUS", statuses);
	strbuf_add(out, "# SEE ALSO\n\n*nestvisor.nest.yaml*(5), *qemu-system-x86_64*(1), *ip-netns*(8), *nft*(8)\n");
}
