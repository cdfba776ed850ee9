/* Texts made from the table of commands: the overview, --help, and man pages in scdoc's language (scdoc(5)). */
#ifndef NESTVISOR_CLI_HELP_H
#define NESTVISOR_CLI_HELP_H

#include "cli/command.h"

struct strbuf;

void help_overview(const struct command *const *commands, const struct style *style, struct strbuf *out);
void help_command(const struct command *command, const struct style *style, struct strbuf *out);

/* nestvisor(1), and nestvisor-<command>(1). */
void manual_program(const struct command *const *commands, struct strbuf *out);
void manual_command(const struct command *command, struct strbuf *out);

const char *command_group_title(enum command_group group);
enum { COMMAND_GROUPS = GROUP_OTHER + 1 };

/* "--format FORMAT", "--format tree|mermaid", "--yes": an option with its value. */
void help_option_label(const struct command_option *option, struct strbuf *out);
/* What the help of an option says, its default and the schema of --json included. */
void help_option_text(const struct command *command, const struct command_option *option, struct strbuf *out);
/* The exit statuses of a command one after the other, 0, 1 and 2 included; false after the last. */
bool help_status_at(const struct command *command, size_t index, struct command_status *ret);

#endif
