/*
 * The command line's frame. A command is one file in cli/ with one `const struct command`; main.c holds the table of
 * them. From that table come the parser, --help, the man pages, shell completion and `nestvisor help --json`: nothing
 * is listed twice.
 *
 * GNU style: --name=value, --name value, -n 3, -n3, -xvn3, `--` ends the options; options may stand before or after
 * operands, and the global ones also before the command. A command with a `rest` (exec GUEST -- COMMAND…) takes options
 * up to `--`, or up to the first word after its operands. An option may be shortened as far as it stays unique.
 * The default of every option --some-name that is not given is NESTVISOR_SOME_NAME from the environment, else the
 * table's.
 *
 * Every command has --help, --quiet, --verbose and --no-color; --json where `json` is set and --lab where `lab` is.
 * They must not be listed in `options`; their values are found like the others: invocation_flag(inv, "json").
 *
 * A command's run function returns its exit status. What it prints:
 * - its answer on standard output: text by invocation_print, or with --json one document by invocation_answer;
 * - errors by invocation_fail: on standard error for people, and with --json also as {"schema": "nestvisor/error/1",
 *   "error": {"message", "hint"}} on standard output where no answer was given yet. So with --json standard output
 * holds exactly one document however the command ends, and its `schema` says which;
 * - progress by inv->reporter.
 */
#ifndef NESTVISOR_CLI_COMMAND_H
#define NESTVISOR_CLI_COMMAND_H

#include "base/cancel.h"
#include "base/error.h"
#include "base/json.h"
#include "base/report.h"

#include <stdbool.h>
#include <stddef.h>

struct invocation;
struct problems;
struct progress;

enum {
	EXIT_DONE = 0,		/* done, or it holds */
	EXIT_FAILED = 1,	/* failed, or violated */
	EXIT_USAGE = 2,		/* wrong usage or bad input */
	EXIT_CHANGES = 3,	/* plan: there is something to do */
	EXIT_UNKNOWN = 4,	/* verify, plan: a fact is missing */
	EXIT_INTERRUPTED = 130, /* 128 + SIGINT, as shells say it */
};

/* Where a command stands in the overview. */
enum command_group {
	GROUP_LAB,     /* build, show, remove */
	GROUP_INSIDE,  /* into guests */
	GROUP_ISOLATE, /* cut, open, seal */
	GROUP_PROVE,   /* verify, path, why, fix */
	GROUP_SHOW,    /* graph, top, logs */
	GROUP_STACK,   /* snapshot, snapshots, restore */
	GROUP_MACHINE, /* doctor, tune, wsl */
	GROUP_OTHER,   /* completion, schema, version, help */
};

/* What a word on the command line is, for shell completion. */
enum completion {
	COMPLETE_NONE,
	COMPLETE_FILE,
	COMPLETE_FOLDER,
	COMPLETE_LAB_FILE, /* *.nest.yaml */
	COMPLETE_LAB,	   /* a running lab's name */
	COMPLETE_LAB_OR_FILE,
	COMPLETE_GUEST,	     /* a guest's path, of the running labs and of the lab file in the current folder */
	COMPLETE_HOST,	     /* the same, and L0 */
	COMPLETE_GUEST_FILE, /* GUEST:PATH or a local file, as cp takes them */
	COMPLETE_COMMAND,
	COMPLETE_SCHEMA, /* what `schema --of` knows */
};

enum option_kind {
	OPTION_FLAG,	/* --yes */
	OPTION_STRING,	/* --name NAME */
	OPTION_INTEGER, /* -n 3; checked against minimum and maximum, unless both are 0 */
	OPTION_CHOICE,	/* --format tree|mermaid */
	OPTION_SECONDS, /* --timeout 90, 1.5, 250ms, 90s, 2m, 1h: kept in milliseconds, see invocation_integer */
};

struct command_option {
	const char *name; /* long, without dashes; NULL ends the table */
	char letter;	  /* short; 0: none */
	enum option_kind kind;
	const char *argument;	    /* what help calls the value: "NAME"; unused for flags and choices */
	const char *help;	    /* one sentence without a full stop: "leave the disks" */
	const char *const *choices; /* NULL-terminated */
	const char *fallback;	    /* the default as text, or NULL: not set */
	long long minimum, maximum;
	enum completion complete;
	bool repeated; /* may be given several times: see invocation_strings */
	bool no_env;   /* not taken from the environment */
	bool hidden;
};

struct command_operand {
	const char *name; /* as help writes it: "FILE", "GUEST"; NULL ends the table */
	const char *help;
	enum completion complete;
	const char *const *choices; /* the only allowed values, or NULL */
	bool optional;
	bool repeated; /* only the last */
};

struct command_example {
	const char *command; /* the whole line: "nestvisor up first.nest.yaml"; NULL ends the table */
	const char *does;
};

struct command_status {
	int status;
	const char *means; /* NULL ends the table */
};

struct command {
	const char *name;
	enum command_group group;
	const char *summary;	 /* for the overview: "builds and starts a lab, or changes a running one" */
	const char *description; /* paragraphs with an empty line between; no markup, lines are refilled */
	const struct command_operand *operands;
	const char *rest; /* what help calls the argv that may follow: "COMMAND"; NULL: none */
	bool rest_required;
	const struct command_option *options;
	const struct command_example *examples; /* at least one, unless hidden */
	const struct command_status *statuses;	/* beyond or in place of the usual 0, 1, 2 */
	const char *json; /* the name of its answer's schema (render/schema.c), or NULL: has no --json */
	bool lab;	  /* has --lab NAME */
	bool hidden;
	int (*run)(struct invocation *inv);
};

/* How text is drawn on standard output. See render/text.h. */
struct style;

struct invocation {
	const struct command *command;
	const struct command *const *commands; /* all of them, NULL-terminated */
	const char *program;		       /* argv[0] */
	struct reporter *reporter;
	struct cancel *cancel;	   /* set by SIGINT, SIGTERM and SIGHUP; the second one ends the program at once */
	const struct style *style; /* of standard output */
	bool json, quiet, verbose, no_color;
	const char *const *operands; /* NULL-terminated, as many as the table allows */
	size_t operand_count;
	const char *const *rest; /* NULL-terminated; what follows, see struct command */
	size_t rest_count;
	/* below: command.c's own */
	struct option_values *values;
	struct progress *progress;
	bool answered;
	int output_error; /* errno of the first write to standard output that failed */
};

/*
 * The values of options, given or by default. Naming an option that the command does not have, or asking it as another
 * kind, is a bug and aborts.
 */
bool invocation_flag(const struct invocation *inv, const char *name);
const char *invocation_string(const struct invocation *inv, const char *name); /* also of a choice; NULL: not set */
long long invocation_integer(const struct invocation *inv, const char *name, long long unset); /* seconds: in ms */
bool invocation_given(const struct invocation *inv, const char *name); /* by the user: a flag or the environment */
bool invocation_typed(const struct invocation *inv, const char *name); /* by the user, on the command line */
/* All values of a repeated option, NULL-terminated. */
const char *const *invocation_strings(const struct invocation *inv, const char *name, size_t *ret_count);
const char *invocation_operand(const struct invocation *inv, size_t index); /* NULL: not given */

/* Text on standard output; live progress lines are taken away first. Text that came from a guest or a file must go
 * through render's text_safe. */
void invocation_print(struct invocation *inv, const char *format, ...) __attribute__((format(printf, 2, 3)));
void invocation_print_text(struct invocation *inv, const char *text);

/* The answer of --json: the members of `answer`, an object whose reference is taken, behind "schema":
 * "nestvisor/<command's json>/1". */
void invocation_answer(struct invocation *inv, json_t *answer);

/* What would be changed, made safe: on standard output, or, where that is for the answer of --json, on standard error.
 */
void invocation_preview(struct invocation *inv, const char *difference);

/* A note or a warning on standard error (notes: not with --quiet). */
void invocation_note(struct invocation *inv, const char *format, ...) __attribute__((format(printf, 2, 3)));
void invocation_warn(struct invocation *inv, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Prints the error, frees it, leaves NULL and returns the exit status: EXIT_INTERRUPTED for ECANCELED after a signal,
 * EXIT_FAILED for all else. With _as the status is the caller's.
 */
int invocation_fail(struct invocation *inv, struct error **err);
int invocation_fail_as(struct invocation *inv, int status, struct error **err);
/* Wrong usage: prints the message and where to read on; EXIT_USAGE. */
int invocation_usage(struct invocation *inv, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The problems of a lab file: all of them on standard error, as an error document with --json where any is an error.
 * Returns EXIT_DONE (warnings only) or EXIT_USAGE. */
int invocation_problems(struct invocation *inv, const struct problems *problems);

/*
 * Asks on the terminal. EXIT_DONE: go on; at once with --yes (which the command then lists as a flag among its
 * options). Else the exit status to return, with the reason printed: EXIT_FAILED, "nothing changed", for any other
 * answer; EXIT_USAGE, with a message that names --yes, where there is no terminal to ask on.
 */
int invocation_confirm(struct invocation *inv, const char *question);

/* Takes the live progress lines off the terminal and stops drawing, before the terminal is handed to another (console,
 * ssh). */
void invocation_leave_terminal(struct invocation *inv);

/* The nearest of `names` (NULL-terminated) to a misspelt word, or NULL where none is near. */
const char *command_nearest(const char *word, const char *const *names);

/* Finds and runs a command: main() is one call of this. */
int command_main(const struct command *const *commands, int argc, char **argv);

#endif
