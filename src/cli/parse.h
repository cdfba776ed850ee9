/* The parser of command lines, over the table of commands (command.h says what it understands). Help, completion and
 * the tests use it too. */
#ifndef NESTVISOR_CLI_PARSE_H
#define NESTVISOR_CLI_PARSE_H

#include "cli/command.h"

struct arena;
struct strbuf;

enum value_source { VALUE_UNSET, VALUE_FALLBACK, VALUE_ENVIRONMENT, VALUE_GIVEN };

struct option_value {
	const struct command_option *option;
	enum value_source source;
	const char **texts; /* NULL-terminated, in the order given */
	size_t count;
	long long integer; /* of the last text, for integers and seconds; 0 or 1 for flags */
};

struct option_values {
	struct option_value *items;
	size_t count;
};

struct command_line {
	struct arena *arena;	       /* of everything here that was not on the command line itself */
	const struct command *command; /* NULL: none was named */
	bool help, version;
	struct option_values values;   /* of the command, or of the global options where there is none */
	const char **operands, **rest; /* NULL-terminated */
	size_t operand_count, rest_count;
};

/*
 * Parses argv without the program's name. `environment` is getenv or a test's own; NULL: none. -EINVAL with a message
 * and a hint where the line is wrong. Where help or the version is asked for nothing else is checked.
 */
typedef char *(*environment_function)(const char *name);
int command_line_parse(const struct command *const *commands, const char *const *argv, environment_function environment,
		       struct command_line *ret, struct error **err);
void command_line_clear(struct command_line *line);
#define cleanup_command_line __attribute__((cleanup(command_line_clear)))

struct option_value *option_values_find(const struct option_values *values,
					const char *name); /* NULL: no such option */

const struct command *command_find(const struct command *const *commands, const char *name);

/*
 * The options of a command one after the other, its own first, then the global ones that it has; NULL after the last.
 * With command NULL those that may stand before one.
 */
const struct command_option *command_option_at(const struct command *command, size_t index);
size_t command_own_option_count(const struct command *command);

/*
 * The option that a long name (without dashes, up to an "=") or a unique beginning of one means. NULL and the number of
 * options that it could mean otherwise.
 */
const struct command_option *command_match_option(const struct command *command, const char *name, size_t length,
						  size_t *ret_matches);
const struct command_option *command_letter_option(const struct command *command, char letter);
bool option_takes_value(const struct command_option *option);

/* "NESTVISOR_SOME_NAME" into `out`, or false for an option that is not taken from the environment. */
bool option_variable(const struct command_option *option, struct strbuf *out);

/* "nestvisor exec [OPTION]… GUEST -- COMMAND…" */
void command_usage(const struct command *command, struct strbuf *out);

/* The nearest of some names to a misspelt word, or NULL where none is near enough to be meant. */
struct nearest {
	const char *word, *name;
	size_t distance;
};
void nearest_try(struct nearest *nearest, const char *name);

#endif
