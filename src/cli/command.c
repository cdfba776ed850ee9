/*
 * From argv to an exit status: parse, set up what a command works with (signals, progress, style), run it, and see that
 * what it printed arrived. The parser is parse.c's, the texts are help.c's.
 */
#include "cli/command.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/progress.h"
#include "config/config.h"
#include "render/schema.h"
#include "render/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * A signal handler is given nothing but the signal's number, so what it needs stands here, once per process: where to
 * pass the first signal on to, and which one it was.
 */
static struct cancel interrupt = {.fd = -1};
static volatile sig_atomic_t interrupted_by;

static void on_signal(int number)
{
	if (interrupted_by)
		_exit(128 + number);
	interrupted_by = number;
	cancel_request(&interrupt);
}

static void install_signals(void)
{
	struct sigaction ours = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN}, before;
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		/* What was started to live on (nohup) or in the background keeps what it was given. */
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &ours, NULL);
	}
	/* A socket or pipe whose other end went away is an error to report, not a reason to die in the middle of work.
	 */
	sigaction(SIGPIPE, &ignore, NULL);
}

static struct option_value *value_of(const struct invocation *inv, const char *name)
{
	struct option_value *value = option_values_find(inv->values, name);

	if (!value) {
		fprintf(stderr, "nestvisor: bug: %s asks for an option --%s that it does not have\n",
			inv->command->name, name);
		abort();
	}
	return value;
}

bool invocation_flag(const struct invocation *inv, const char *name)
{
	return value_of(inv, name)->integer != 0;
}

const char *invocation_string(const struct invocation *inv, const char *name)
{
	const struct option_value *value = value_of(inv, name);

	return value->count > 0 ? value->texts[value->count - 1] : NULL;
}

long long invocation_integer(const struct invocation *inv, const char *name, long long unset)
{
	const struct option_value *value = value_of(inv, name);

	return value->count > 0 ? value->integer : unset;
}

bool invocation_given(const struct invocation *inv, const char *name)
{
	return value_of(inv, name)->source >= VALUE_ENVIRONMENT;
}

bool invocation_typed(const struct invocation *inv, const char *name)
{
	return value_of(inv, name)->source > VALUE_ENVIRONMENT;
}

const char *const *invocation_strings(const struct invocation *inv, const char *name, size_t *ret_count)
{
	static const char *const none[] = {NULL};
	const struct option_value *value = value_of(inv, name);

	*ret_count = value->count;
	return value->count > 0 ? value->texts : none;
}

const char *invocation_operand(const struct invocation *inv, size_t index)
{
	return index < inv->operand_count ? inv->operands[index] : NULL;
}

void invocation_print_text(struct invocation *inv, const char *text)
{
	progress_hold(inv->progress);
	if ((fputs(text, stdout) < 0 || fflush(stdout) != 0) && !inv->output_error)
		inv->output_error = errno;
	progress_release(inv->progress);
}

void invocation_print(struct invocation *inv, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	invocation_print_text(inv, text);
}

/* For people to read on a terminal, for programs on one line. */
static void print_document(struct invocation *inv, const char *schema_name, json_t *members)
{
	const struct schema *schema = schema_find(schema_name);
	cleanup_json json_t *document = NULL, *taken = members;
	cleanup_free char *text = NULL;
	char tag[SCHEMA_TAG_SIZE];

	if (schema)
		document = json_pack("{s:s}", "schema", schema_tag(schema, tag));
	if (!document || json_object_update(document, taken) < 0) {
		fprintf(stderr, "nestvisor: bug: the answer \"%s\" has no schema or no members\n", schema_name);
		abort();
	}
	text = json_dumps(document, isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);
	if (!text)
		abort();
	inv->answered = true;
	invocation_print(inv, "%s\n", text);
}

void invocation_answer(struct invocation *inv, json_t *answer)
{
	print_document(inv, inv->command->json, answer);
}

/* One message in one write(2), its further lines below its first. */
static void print_message(struct invocation *inv, enum colour colour, const char *what, const char *message,
			  const char *hint)
{
	struct style style = style_of(STDERR_FILENO, inv->no_color);
	cleanup_strbuf struct strbuf out = {}, safe = {};

	text_paint(&out, &style, colour, "nestvisor:");
	strbuf_printf(&out, " %s", what);
	text_safe(&out, message, true);
	strbuf_add_char(&out, '\n');
	if (hint) {
		text_safe(&safe, hint, true);
		text_paint(&out, &style, COLOUR_BOLD, "  try:");
		for (char *line = safe.text, *next; line; line = next) {
			next = strchr(line, '\n');
			if (next)
				*next++ = '\0';
			strbuf_printf(&out, "%s%s\n", line == safe.text ? " " : "       ", line);
		}
	}
	progress_hold(inv->progress);
	fwrite(out.text, 1, out.length, stderr);
	progress_release(inv->progress);
}

void invocation_note(struct invocation *inv, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list args;

	if (inv->quiet)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	print_message(inv, COLOUR_BOLD, "", text, NULL);
}

void invocation_warn(struct invocation *inv, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	print_message(inv, COLOUR_YELLOW, "warning: ", text, NULL);
}

static void answer_with_error(struct invocation *inv, int status, const struct error *err, json_t *problems)
{
	json_t *members = json_pack("{s:{s:o, s:o, s:i}}", "error", "message", text_json(err->message), "hint",
				    text_json(err->hint), "status", status);

	if (problems)
		json_object_set_new(members, "problems", problems);
	print_document(inv, "error", members);
}

int invocation_fail_as(struct invocation *inv, int status, struct error **err)
{
	if (*err) {
		print_message(inv, COLOUR_RED, "", (*err)->message, (*err)->hint);
		if (inv->json && !inv->answered)
			answer_with_error(inv, status, *err, NULL);
	}
	error_freep(err);
	return status;
}

int invocation_fail(struct invocation *inv, struct error **err)
{
	bool stopped = *err && (*err)->code == ECANCELED && interrupted_by;

	return invocation_fail_as(inv, stopped ? 128 + (int)interrupted_by : EXIT_FAILED, err);
}

int invocation_usage(struct invocation *inv, const char *format, ...)
{
	struct error *err = NULL;
	cleanup_free char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	error_set(&err, EINVAL, "%s", text);
	error_hint(&err, "nestvisor %s --help", inv->command->name);
	return invocation_fail_as(inv, EXIT_USAGE, &err);
}

int invocation_problems(struct invocation *inv, const struct problems *problems)
{
	cleanup_strbuf struct strbuf text = {};
	cleanup_error struct error *err = NULL;

	if (problems->count > 0) {
		problems_format(problems, &text);
		progress_hold(inv->progress);
		fwrite(text.text, 1, text.length, stderr);
		progress_release(inv->progress);
	}
	if (problems->errors == 0)
		return EXIT_DONE;
	if (inv->json && !inv->answered) {
		error_set(&err, EINVAL, "%s has %zu error%s", problems->file, problems->errors,
			  problems->errors == 1 ? "" : "s");
		answer_with_error(inv, EXIT_USAGE, err, problems_json(problems));
	}
	return EXIT_USAGE;
}

void invocation_preview(struct invocation *inv, const char *difference)
{
	cleanup_strbuf struct strbuf safe = {};

	text_safe(&safe, difference, true);
	if (!safe.length)
		return;
	if (!inv->json) {
		invocation_print_text(inv, safe.text);
		return;
	}
	progress_hold(inv->progress);
	fwrite(safe.text, 1, safe.length, stderr);
	progress_release(inv->progress);
}

int invocation_confirm(struct invocation *inv, const char *question)
{
	cleanup_strbuf struct strbuf safe = {};
	struct error *err = NULL;
	char answer[16] = "";
	ssize_t n;

	if (invocation_flag(inv, "yes"))
		return EXIT_DONE;
	text_safe(&safe, question, true);
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return invocation_usage(inv, "%s There is no terminal to ask on: say --yes", safe.text);
	progress_hold(inv->progress);
	fprintf(stderr, "%s [y/N] ", safe.text);
	n = cancel_poll(inv->cancel, STDIN_FILENO, POLLIN, -1) == 1 ? read(STDIN_FILENO, answer, sizeof(answer) - 1)
								    : 0;
	progress_release(inv->progress);
	if (n > 0 && (answer[0] == 'y' || answer[0] == 'Y'))
		return EXIT_DONE;
	error_set(&err, EPERM, "nothing changed");
	return invocation_fail(inv, &err);
}

void invocation_leave_terminal(struct invocation *inv)
{
	fflush(stdout);
	progress_hold(inv->progress);
}

/* What was printed has arrived, or the exit status says so. */
static int finish_output(struct invocation *inv, int status)
{
	struct error *err = NULL;

	if (fflush(stdout) != 0 && !inv->output_error)
		inv->output_error = errno;
	if (!inv->output_error)
		return status;
	if (inv->output_error == EPIPE)
		return 128 + SIGPIPE; /* as `nestvisor status | head` ends */
	inv->answered = true;
	error_errno(&err, inv->output_error, "cannot write to standard output");
	return invocation_fail_as(inv, EXIT_FAILED, &err);
}

static int run_command(struct invocation *inv)
{
	int r, status;
	cleanup_error struct error *err = NULL;

	r = cancel_open(&interrupt);
	if (r < 0) {
		error_errno(&err, r, "cannot make an eventfd");
		return invocation_fail(inv, &err);
	}
	inv->cancel = &interrupt;
	install_signals();
	inv->progress = progress_new(STDERR_FILENO, inv->quiet ? PROGRESS_QUIET : progress_mode_for(STDERR_FILENO),
				     style_of(STDERR_FILENO, inv->no_color).colour, inv->verbose);
	inv->reporter = progress_reporter(inv->progress);
	status = inv->command->run(inv);
	progress_free(inv->progress);
	inv->progress = NULL;
	return finish_output(inv, status);
}

static bool flag_of(const struct option_values *values, const char *name)
{
	const struct option_value *value = option_values_find(values, name);

	return value && value->integer != 0;
}

static bool wants_json(const char *const *argv)
{
	for (; *argv && strcmp(*argv, "--") != 0; argv++)
		if (strcmp(*argv, "--json") == 0)
			return true;
	return false;
}

static int print_help(struct invocation *inv)
{
	cleanup_strbuf struct strbuf out = {};

	if (inv->command)
		help_command(inv->command, inv->style, &out);
	else
		help_overview(inv->commands, inv->style, &out);
	invocation_print_text(inv, out.text);
	return finish_output(inv, EXIT_DONE);
}

int command_main(const struct command *const *commands, int argc, char **argv)
{
	cleanup_command_line struct command_line line = {};
	cleanup_error struct error *err = NULL;
	struct invocation inv = {.commands = commands, .program = argc > 0 ? argv[0] : "nestvisor"};
	struct style style;
	int r = command_line_parse(commands, (const char *const *)argv + (argc > 0), getenv, &line, &err);

	inv.command = line.command;
	inv.values = &line.values;
	inv.no_color = flag_of(&line.values, "no-color");
	style = style_of(STDOUT_FILENO, inv.no_color);
	inv.style = &style;
	if (r < 0 && !line.help) {
		inv.json = wants_json((const char *const *)argv);
		return finish_output(&inv, invocation_fail_as(&inv, EXIT_USAGE, &err));
	}
	if (line.version && !line.command)
		inv.command = command_find(commands, "version");
	inv.json = flag_of(&line.values, "json");
	inv.quiet = flag_of(&line.values, "quiet");
	inv.verbose = flag_of(&line.values, "verbose");
	inv.operands = line.operands;
	inv.operand_count = line.operand_count;
	inv.rest = line.rest;
	inv.rest_count = line.rest_count;
	if (line.help || !inv.command)
		return print_help(&inv);
	return run_command(&inv);
}
