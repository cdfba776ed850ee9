/*
 * cli/: the parser and the frame of commands, progress on a terminal and elsewhere, what is found out of the machine,
 * and the completion of real shells. Called as "nestvisor" (by a symbolic link) this program is nestvisor itself, with
 * its real table of commands.
 */
int nestvisor_main(int argc, char **argv);
#define main nestvisor_main
#include "main.c"
#undef main

#include "base/arena.h"
#include "base/utf8.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/progress.h"
#include "cli/surroundings.h"
#include "render/schema.h"
#include "render/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema_check.h"

static char folder[] = "/tmp/nestvisor-test-cli.XXXXXX";

static char *in_folder(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

static void put_file(const char *name, const char *text)
{
	cleanup_free char *path = in_folder(name), *parent = strdup(path);
	cleanup_error struct error *err = NULL;

	*strrchr(parent, '/') = '\0';
	assert_int_equal(dir_make(parent, 0755, &err), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, &err), 0);
}

/* The parser, over a table of its own. */

static int run_nothing(struct invocation *inv)
{
	return EXIT_DONE;
}

static const struct command test_up = {
	.name = "up",
	.summary = "ups",
	.operands = (const struct command_operand[]){{.name = "FILE", .help = "it", .optional = true}, {}},
	.options =
		(const struct command_option[]){
			{.name = "number",
			 .letter = 'n',
			 .kind = OPTION_INTEGER,
			 .argument = "N",
			 .help = "how many",
			 .minimum = 1,
			 .maximum = 99},
			{.name = "name-it", .letter = 'N', .kind = OPTION_STRING, .help = "a name"},
			{.name = "yes", .letter = 'y', .help = "yes"},
			{.name = "format",
			 .kind = OPTION_CHOICE,
			 .help = "how",
			 .choices = (const char *const[]){"tree", "mermaid", NULL},
			 .fallback = "tree"},
			{.name = "port", .letter = 'p', .kind = OPTION_INTEGER, .repeated = true, .help = "p"},
			{.name = "wait", .kind = OPTION_SECONDS, .help = "t", .maximum = 3600000},
			{.name = "secret", .hidden = true, .no_env = true, .help = "s"},
			{}},
	.json = "up",
	.run = run_nothing,
};
static const struct command test_exec = {
	.name = "exec",
	.summary = "runs",
	.operands = (const struct command_operand[]){{.name = "GUEST", .help = "it"}, {}},
	.rest = "COMMAND",
	.rest_required = true,
	.options =
		(const struct command_option[]){{.name = "timeout", .letter = 't', .kind = OPTION_SECONDS, .help = "t"},
						{}},
	.lab = true,
	.run = run_nothing,
};
static const struct command test_cp = {
	.name = "copy",
	.summary = "copies",
	.operands = (const struct command_operand[]){{.name = "FROM", .help = "f"},
						     {.name = "TO", .help = "t", .repeated = true},
						     {}},
	.run = run_nothing,
};
static const struct command *const test_commands[] = {&test_up, &test_exec, &test_cp, NULL};

enum { MOST_WORDS = 12 };

/* Splits at single spaces; "''" is an empty word. */
static void split(char *text, const char *words[MOST_WORDS])
{
	size_t count = 0;
	char *save = NULL;

	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(count + 1 < MOST_WORDS);
		words[count++] = strcmp(word, "''") == 0 ? "" : word;
	}
	words[count] = NULL;
}

static struct command_line parse_with(const char *text, environment_function environment, struct error **err)
{
	static char copy[512];
	const char *words[MOST_WORDS];
	struct command_line line;

	snprintf(copy, sizeof(copy), "%s", text);
	split(copy, words);
	command_line_parse(test_commands, words, environment, &line, err);
	return line;
}

static struct command_line parse(const char *text)
{
	struct error *err = NULL;
	struct command_line line = parse_with(text, NULL, &err);

	if (err)
		fail_msg("\"%s\": %s", text, err->message);
	return line;
}

static const char *last_text(const struct command_line *line, const char *name)
{
	const struct option_value *value = option_values_find(&line->values, name);

	return value && value->count ? value->texts[value->count - 1] : NULL;
}

static void assert_refused(const char *text, const char *message, const char *hint)
{
	cleanup_error struct error *err = NULL;
	struct command_line line = parse_with(text, NULL, &err);

	if (!err)
		fail_msg("\"%s\" was taken", text);
	if (!strstr(err->message, message))
		fail_msg("\"%s\": \"%s\" instead of \"%s\"", text, err->message, message);
	if (hint && !(err->hint && strstr(err->hint, hint)))
		fail_msg("\"%s\": hint \"%s\" instead of \"%s\"", text, err->hint ? err->hint : "none", hint);
	command_line_clear(&line);
}

static void test_forms_of_options(void **state)
{
	static const char *const same[] = {"up -n3 -y f",	    "up -yn3 f",	  "up f -n 3 --yes",
					   "up --number=3 --yes f", "up --number 3 -y f", "up -y --num 3 f",
					   "up -y -n 3 -- f",	    "up -n 7 -n3 f -y"};

	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
		struct command_line line = parse(same[i]);

		assert_ptr_equal(line.command, &test_up);
		assert_int_equal(option_values_find(&line.values, "number")->integer, 3);
		assert_int_equal(option_values_find(&line.values, "yes")->integer, 1);
		assert_int_equal(line.operand_count, 1);
		assert_string_equal(line.operands[0], "f");
		assert_null(line.operands[1]);
		command_line_clear(&line);
	}
}

static void test_values(void **state)
{
	struct command_line line = parse("up --name-it= --port 1 -p2 --port=3 --wait 1.5s -");
	const struct option_value *ports = option_values_find(&line.values, "port");

	assert_string_equal(last_text(&line, "name-it"), "");
	assert_string_equal(last_text(&line, "format"), "tree");
	assert_int_equal(option_values_find(&line.values, "format")->source, VALUE_FALLBACK);
	assert_int_equal(ports->count, 3);
	assert_string_equal(ports->texts[0], "1");
	assert_string_equal(ports->texts[2], "3");
	assert_null(ports->texts[3]);
	assert_int_equal(option_values_find(&line.values, "wait")->integer, 1500);
	assert_string_equal(line.operands[0], "-");
	command_line_clear(&line);

	line = parse("up -y -- --yes");
	assert_string_equal(line.operands[0], "--yes");
	command_line_clear(&line);
	line = parse("up -n 5 -N -x");
	assert_string_equal(last_text(&line, "name-it"), "-x");
	command_line_clear(&line);
}

static void test_seconds(void **state)
{
	static const struct {
		const char *text;
		long long ms;
	} cases[] = {{"up --wait 90", 90000},	  {"up --wait 250ms", 250}, {"up --wait 2m", 120000},
		     {"up --wait 0.5h", 1800000}, {"up --wait 0", 0},	    {"up --wait 1.5", 1500}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct command_line line = parse(cases[i].text);

		assert_int_equal(option_values_find(&line.values, "wait")->integer, cases[i].ms);
		command_line_clear(&line);
	}
	assert_refused("up --wait 2h", "between 0 and 3600 seconds", NULL);
	assert_refused("up --wait soon", "needs a time", "250ms");
	assert_refused("up --wait -1", "needs a time", NULL);
	assert_refused("up --wait 1d", "needs a time", NULL);
	assert_refused("up --wait nan", "needs a time", NULL);
	assert_refused("up --wait ''", "needs a time", NULL);
}

static void test_rest(void **state)
{
	static const char *const same[] = {"exec g -- ls -l",	   "exec g ls -l",
					   "exec -- g ls -l",	   "exec --lab x g -- ls -l",
					   "exec g -t 3 -- ls -l", "exec g --timeout=3 ls -l"};
	struct command_line line;

	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
		line = parse(same[i]);
		assert_int_equal(line.operand_count, 1);
		assert_string_equal(line.operands[0], "g");
		assert_int_equal(line.rest_count, 2);
		assert_string_equal(line.rest[0], "ls");
		assert_string_equal(line.rest[1], "-l");
		assert_null(line.rest[2]);
		command_line_clear(&line);
	}
	line = parse("exec g -- -x -- --help");
	assert_int_equal(line.rest_count, 3);
	assert_false(line.help);
	command_line_clear(&line);
	assert_refused("exec g", "needs a COMMAND", "nestvisor exec");
	assert_refused("exec", "needs GUEST", "nestvisor exec [OPTION]… GUEST -- COMMAND…");
	assert_refused("copy a", "needs TO", NULL);
}

static void test_before_the_command(void **state)
{
	struct command_line line = parse("-q --lab x exec g -- y");

	assert_string_equal(last_text(&line, "lab"), "x");
	assert_int_equal(option_values_find(&line.values, "quiet")->integer, 1);
	command_line_clear(&line);
	line = parse("--version");
	assert_true(line.version);
	assert_null(line.command);
	command_line_clear(&line);
	line = parse("up --help extra words and --bogus");
	assert_true(line.help);
	command_line_clear(&line);
	line = parse("");
	assert_null(line.command);
	command_line_clear(&line);
	assert_refused("--json exec g -- y", "exec has no option \"--json\"", NULL);
	assert_refused("--lab x up", "up has no option \"--lab\"", NULL);
	assert_refused("--bogus up", "nestvisor has no option \"--bogus\"", NULL);
	assert_refused("--lab", "needs a value", NULL);
}

static void test_wrong_lines(void **state)
{
	assert_refused("upp", "there is no command \"upp\"", "did you mean \"up\"?");
	assert_refused("exce", "there is no command", "did you mean \"exec\"?");
	assert_refused("frobnicate", "there is no command", "nestvisor help");
	assert_refused("up --fromat tree", "up has no option \"--fromat\"", "did you mean --format?");
	assert_refused("up --n 3", "could be several options", NULL);
	assert_refused("up -x", "up has no option \"-x\"", "up --help");
	assert_refused("up --yes=1", "takes no value", NULL);
	assert_refused("up --number", "needs a value: N", NULL);
	assert_refused("up -n", "needs a value", NULL);
	assert_refused("up -n 0", "between 1 and 99", NULL);
	assert_refused("up -n 1x", "needs a whole number", NULL);
	assert_refused("up -n ''", "needs a whole number", NULL);
	assert_refused("up -n 99999999999999999999", "needs a whole number", NULL);
	assert_refused("up --format treee", "cannot be \"treee\"",
		       "did you mean \"tree\"? It is one of: tree, mermaid");
	assert_refused("up --format ''", "cannot be", "it is one of");
	assert_refused("up a b", "does not know what to do with \"b\"", "nestvisor up");
	assert_refused("up --sec", "up has no option \"--sec\"", NULL); /* what is hidden has to be written out */
}

static char *fake_environment(const char *name)
{
	return strcmp(name, "NESTVISOR_NUMBER") == 0	? "7"
	       : strcmp(name, "NESTVISOR_NAME_IT") == 0 ? "joe"
	       : strcmp(name, "NESTVISOR_YES") == 0	? "true"
	       : strcmp(name, "NESTVISOR_QUIET") == 0	? ""
	       : strcmp(name, "NESTVISOR_SECRET") == 0	? "1"
	       : strcmp(name, "NESTVISOR_HELP") == 0	? "1"
							: NULL;
}

static char *wrong_environment(const char *name)
{
	return strcmp(name, "NESTVISOR_FORMAT") == 0 ? "round" : NULL;
}

static void test_environment(void **state)
{
	cleanup_error struct error *err = NULL;
	struct command_line line = parse_with("up --number 3", fake_environment, &err);

	assert_null(err);
	assert_int_equal(option_values_find(&line.values, "number")->integer, 3);
	assert_string_equal(last_text(&line, "name-it"), "joe");
	assert_int_equal(option_values_find(&line.values, "name-it")->source, VALUE_ENVIRONMENT);
	assert_int_equal(option_values_find(&line.values, "yes")->integer, 1);
	assert_int_equal(option_values_find(&line.values, "quiet")->source, VALUE_UNSET);
	assert_int_equal(option_values_find(&line.values, "secret")->integer, 0);
	assert_false(line.help);
	command_line_clear(&line);
	line = parse_with("up", wrong_environment, &err);
	assert_non_null(err);
	assert_non_null(strstr(err->message, "NESTVISOR_FORMAT cannot be \"round\""));
	command_line_clear(&line);
}

static void test_nearest(void **state)
{
	static const char *const names[] = {"status", "seal", "ssh", "up", NULL};

	assert_string_equal(command_nearest("stauts", names), "status");
	assert_string_equal(command_nearest("STATUS", names), "status");
	assert_string_equal(command_nearest("ss", names), "ssh");
	assert_null(command_nearest("xy", names));
	assert_null(command_nearest("verify", names));
	assert_null(command_nearest("", names));
}

/* The real table of commands. */

static void check_option(const struct command *command, const struct command_option *option)
{
	assert_non_null(option->help);
	if (option->help[strlen(option->help) - 1] == '.')
		fail_msg("%s --%s: its help ends with a full stop", command->name, option->name);
	assert_true((option->kind == OPTION_CHOICE) == (option->choices != NULL));
	if (option->kind != OPTION_FLAG && option->kind != OPTION_CHOICE && !option->argument)
		fail_msg("%s --%s: what is its value called?", command->name, option->name);
}

static void check_options(const struct command *command)
{
	const struct command_option *a, *b;

	for (size_t i = 0; (a = command_option_at(command, i)); i++) {
		check_option(command, a);
		for (size_t j = 0; j < i && (b = command_option_at(command, j)); j++)
			if (strcmp(a->name, b->name) == 0 || (a->letter && a->letter == b->letter))
				fail_msg("%s: --%s and --%s", command->name, a->name, b->name);
	}
}

static void test_table_of_commands(void **state)
{
	for (size_t i = 0; commands[i]; i++) {
		const struct command *command = commands[i];

		assert_ptr_equal(command_find(commands, command->name), command);
		assert_non_null(command->run);
		assert_non_null(command->summary);
		if (command->json && !schema_find(command->json))
			fail_msg("%s: its answer \"%s\" has no schema", command->name, command->json);
		check_options(command);
		if (command->hidden)
			continue;
		if (!command->examples || !command->examples->command || !command->description)
			fail_msg("%s has no example or no description", command->name);
		for (const struct command_example *e = command->examples; e->command; e++)
			assert_non_null(strstr(e->command, "nestvisor"));
	}
}

/* Examples are read by the parser that they explain. */
static void test_examples_parse(void **state)
{
	for (size_t i = 0; commands[i]; i++) {
		for (const struct command_example *e = commands[i]->examples; e && e->command; e++) {
			cleanup_free char *copy = strdup(e->command);
			cleanup_command_line struct command_line line = {};
			cleanup_error struct error *err = NULL;
			const char *words[MOST_WORDS];

			if (strncmp(copy, "nestvisor ", 10) != 0)
				continue;
			copy[strcspn(copy, "|><;'\"")] = '\0';
			split(copy + 10, words);
			command_line_parse(commands, words, NULL, &line, &err);
			if (err)
				fail_msg("%s: %s", e->command, err->message);
		}
	}
}

static void test_manual_pages(void **state)
{
	cleanup_strbuf struct strbuf all = {};

	manual_program(commands, &all);
	assert_non_null(strstr(all.text, "nestvisor(1) \"nestvisor "));
	for (size_t i = 0; commands[i]; i++) {
		cleanup_strbuf struct strbuf page = {};
		cleanup_output struct process_output output = {};
		cleanup_error struct error *err = NULL;
		const struct process_spec scdoc = {
			.argv = (const char *const[]){"scdoc", NULL}, .netns = -1, .in = -1, .out = -1, .err = -1};

		manual_command(commands[i], &page);
		if (process_run(&scdoc, page.text, page.length, 10000, NULL, &output, &err) < 0) {
			print_message("scdoc is not here: the pages were not set\n");
			return;
		}
		if (output.status != 0)
			fail_msg("%s: %s\n%s", commands[i]->name, output.err, page.text);
		assert_non_null(strstr(output.out, ".SH EXIT STATUS"));
	}
}

/* nestvisor itself, as a process. */

static struct process_output nestvisor(const char *const *argv, const char *const *env)
{
	cleanup_free char *program = in_folder("nestvisor"), *run = NULL;
	cleanup_error struct error *err = NULL;
	const char *words[MOST_WORDS] = {program}, *variables[MOST_WORDS] = {};
	struct process_output output = {};
	size_t count = 0;
	struct process_spec spec = {.argv = words, .env = variables, .netns = -1, .in = -1, .out = -1, .err = -1};

	assert_true(asprintf(&run, "NESTVISOR_RUN_DIR=%s/run", folder) > 0);
	variables[count++] = run;
	for (; env && *env; env++)
		variables[count++] = *env;
	for (size_t i = 0; argv[i]; i++)
		words[i + 1] = argv[i];
	if (process_run(&spec, NULL, 0, 30000, NULL, &output, &err) < 0)
		fail_msg("%s", err->message);
	return output;
}

#define words(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void assert_says(const char *const *argv, int status, const char *out, const char *err)
{
	cleanup_output struct process_output output = nestvisor(argv, NULL);

	if (output.status != status || !strstr(output.out, out) || !strstr(output.err, err))
		fail_msg("status %d, out: %s, err: %s", output.status, output.out, output.err);
	if (!*out)
		assert_string_equal(output.out, "");
	if (!*err)
		assert_string_equal(output.err, "");
}

static void test_program(void **state)
{
	assert_says(words(), 0, "Usage", "");
	assert_says(words("help"), 0, "Build and remove", "");
	assert_says(words("--help"), 0, "Build and remove", "");
	assert_says(words("help", "validate"), 0, "nestvisor validate --no-host", "");
	assert_says(words("validate", "--help"), 0, "Examples", "");
	assert_says(words("help", "valdate"), 2, "", "did you mean \"validate\"?");
	assert_says(words("version"), 0, "nestvisor ", "");
	assert_says(words("--version"), 0, "nestvisor ", "");
	assert_says(words("nosuch"), 2, "", "nestvisor: there is no command \"nosuch\"\n  try: nestvisor help");
	assert_says(words("completion", "tcsh"), 2, "", "one of: bash, zsh, fish");
	assert_says(words("schema", "--of", "stats"), 2, "", "did you mean \"status\"?");
	assert_says(words("validate", "/no/such\033[2J.yaml"), 2, "", "/no/such\\x1b[2J.yaml");
}

static json_t *answer_of(const char *const *argv, int status, const char *schema)
{
	cleanup_output struct process_output output = nestvisor(argv, NULL);
	json_t *json = json_loads(output.out, 0, NULL);
	char tag[SCHEMA_TAG_SIZE];

	assert_int_equal(output.status, status);
	assert_non_null(json);
	assert_string_equal(json_get_string(json, "schema", ""), schema_tag(schema_find(schema), tag));
	return json;
}

static void test_answers(void **state)
{
	assert_fits("version", answer_of(words("version", "--json"), 0, "version"));
	assert_fits("help", answer_of(words("help", "--json"), 0, "help"));
	assert_fits("help", answer_of(words("help", "up", "--json"), 0, "help"));
	assert_fits("schemas", answer_of(words("--json", "schema", "--list"), 0, "schemas"));
	assert_fits("error", answer_of(words("nosuch", "--json"), 2, "error"));
	assert_fits("error", answer_of(words("help", "nosuch", "--json"), 2, "error"));
	assert_fits("error", answer_of(words("validate", "--json", "/no/such/file"), 2, "error"));
}

static void test_lab_files(void **state)
{
	cleanup_free char *good = in_folder("good/good.nest.yaml"), *bad = in_folder("cwd/first.nest.yaml");
	cleanup_json json_t *answer = NULL;

	assert_says(words("validate", "--no-host", good), 0,
		    "good: 2 guests on 3 layers, 2 networks, 0 policies: fine\n", "");
	assert_says(words("validate", bad), 2, "first.nest.yaml: 1 error\n", "first.nest.yaml:2:1: error: ");
	assert_says(words("adopt", "--name", "Bad Name"), 2, "", "is not a lab's name");
	assert_says(words("graph", "--planned", good), 0, "L2 a  inner 10.2.0.5", "");
	assert_says(words("graph", good), 0, "L1 hv1  lab 10.1.0.5", "");
	assert_says(words("graph", "-f", "mermaid", good), 0, "flowchart TB\n", "");
	assert_fits("validate", answer_of(words("validate", "--no-host", "--json", good), 0, "validate"));
	assert_fits("graph", answer_of(words("graph", "--json", good), 0, "graph"));
	assert_fits("error", answer_of(words("graph", "--json", bad), 2, "error"));
	answer = answer_of(words("validate", "--json", bad), 2, "validate");
	assert_int_equal(json_array_size(json_object_get(answer, "problems")), 1);
	assert_fits("validate", json_incref(answer));
}

static void test_schema_command(void **state)
{
	for (const struct schema *schema = schema_table(); schema->name; schema++) {
		cleanup_output struct process_output output = nestvisor(words("schema", "--of", schema->name), NULL);
		cleanup_json json_t *printed = json_loads(output.out, 0, NULL), *wanted = schema_document(schema);

		assert_int_equal(output.status, 0);
		assert_true(json_equal(printed, wanted));
	}
}

static void test_full_output(void **state)
{
	cleanup_free char *command = NULL;
	cleanup_output struct process_output output = {};
	cleanup_error struct error *err = NULL;
	const struct process_spec spec = {.argv = (const char *const[]){"sh", "-c", "\"$1\" help >/dev/full", "sh",
									command = in_folder("nestvisor"), NULL},
					  .netns = -1,
					  .in = -1,
					  .out = -1,
					  .err = -1};

	assert_int_equal(process_run(&spec, NULL, 0, 30000, NULL, &output, &err), 0);
	assert_int_equal(output.status, 1);
	assert_non_null(strstr(output.err, "cannot write to standard output: No space left on device"));
}

/* Reads until `wanted` was seen; the writer's end is still open, so this waits for the event itself. */
static void read_until(int fd, struct strbuf *seen, const char *wanted)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	long long deadline = clock_ms() + 30000; /* only so that a failure ends */
	char data[4096];

	while (!seen->text || !strstr(seen->text, wanted)) {
		ssize_t n;

		if (clock_ms() > deadline || poll(&p, 1, 30000) <= 0)
			fail_msg("\"%s\" did not come; there was: %s", wanted, seen->text ? seen->text : "");
		n = read(fd, data, sizeof(data));
		assert_true(n > 0);
		strbuf_add_bytes(seen, data, (size_t)n);
	}
}

/* Signals: a child runs a command that waits, says so, and is sent signals. */

static int run_patient(struct invocation *inv)
{
	struct error *err = NULL;

	invocation_print(inv, "waiting\n");
	if (cancel_sleep(inv->cancel, 30000) == 0)
		return EXIT_DONE;
	error_set(&err, ECANCELED, "stopped");
	return invocation_fail(inv, &err);
}

static int run_stubborn(struct invocation *inv)
{
	invocation_print(inv, "waiting\n");
	cancel_sleep(inv->cancel, 30000);
	invocation_print(inv, "cleaning up\n");
	alarm(30);
	while (cancel_requested(inv->cancel))
		pause();
	return EXIT_DONE;
}

static const struct command test_patient = {.name = "patient", .summary = "waits", .json = "up", .run = run_patient};
static const struct command test_stubborn = {.name = "stubborn", .summary = "does not stop", .run = run_stubborn};
static const struct command *const waiting_commands[] = {&test_patient, &test_stubborn, NULL};

static pid_t start_command(const char *name, const char *option, int out)
{
	char *argv[] = {(char *)"nestvisor", (char *)name, (char *)option, NULL};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		/* A shell's background jobs ignore some, which the program then does as well. */
		for (int number = 1; number < NSIG; number++)
			signal(number, SIG_DFL);

		dup2(out, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		_exit(command_main(waiting_commands, option ? 3 : 2, argv));
	}
	return pid;
}

static int end_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void make_pipe(int ends[2])
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

static void test_first_signal_stops(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		cleanup_strbuf struct strbuf seen = {};
		int ends[2];
		pid_t pid;

		make_pipe(ends);
		pid = start_command("patient", "--json", ends[1]);
		read_until(ends[0], &seen, "waiting\n");
		assert_int_equal(kill(pid, signals[i]), 0);
		read_until(ends[0], &seen, "nestvisor/error/1");
		assert_int_equal(end_status(pid), 128 + signals[i]);
		close(ends[0]);
		close(ends[1]);
	}
}

static void test_second_signal_ends(void **state)
{
	cleanup_strbuf struct strbuf seen = {};
	int ends[2];
	pid_t pid;

	make_pipe(ends);
	pid = start_command("stubborn", NULL, ends[1]);
	read_until(ends[0], &seen, "waiting\n");
	assert_int_equal(kill(pid, SIGINT), 0);
	read_until(ends[0], &seen, "cleaning up\n");
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_int_equal(end_status(pid), 130);
	close(ends[0]);
	close(ends[1]);
}

/* Progress. */

static void event(struct progress *progress, enum report_kind kind, const char *subject, const char *text)
{
	report(progress_reporter(progress), kind, subject, "%s", text);
}

/* "  0.1s x" → "T x": what a line says, without when. */
static void without_times(struct strbuf *text)
{
	cleanup_strbuf struct strbuf out = {};
	const char *at = text->text ? text->text : "";

	strbuf_add(&out, "");
	while (*at) {
		const char *start = at + strspn(at, " ");
		size_t digits = strspn(start, "0123456789.ms");
		bool time = digits > 1 && start[digits - 1] == 's' && (start[digits] == ' ');
		const char *end = strchr(at, '\n');

		if (time) {
			strbuf_add_char(&out, 'T');
			at = start + digits;
		}
		end = end ? end + 1 : at + strlen(at);
		strbuf_add_bytes(&out, at, (size_t)(end - at));
		at = end;
	}
	free(text->text);
	text->length = out.length;
	text->text = strbuf_steal(&out);
}

static void test_progress_lines(void **state)
{
	cleanup_strbuf struct strbuf seen = {};
	struct progress *progress;
	int ends[2];

	make_pipe(ends);
	progress = progress_new(ends[1], PROGRESS_LINES, false, false);
	event(progress, REPORT_BEGIN, "hv1", "starting");
	event(progress, REPORT_UPDATE, "hv1", "waiting for its agent");
	event(progress, REPORT_WARNING, "hv1", "no KVM: \033[31mslow");
	event(progress, REPORT_DONE, "hv1", "ready");
	event(progress, REPORT_BEGIN, "hv2", "starting");
	event(progress, REPORT_FAILED, "hv2", "it ended\nlast line");
	event(progress, REPORT_DONE, "rules", "");
	event(progress, REPORT_NOTE, "", "a note");
	event(progress, REPORT_BEGIN, "left over", "never ends");
	progress_free(progress);
	close(ends[1]);
	read_until(ends[0], &seen, "a note\n");
	close(ends[0]);
	without_times(&seen);
	assert_string_equal(seen.text, "T warning: hv1: no KVM: \\x1b[31mslow\n"
				       "T hv1: ready\n"
				       "T failed: hv2: it ended\n       last line\n"
				       "T rules: done\n"
				       "T a note\n");
}

static void test_progress_lines_of_long_work(void **state)
{
	cleanup_strbuf struct strbuf seen = {};
	struct progress *progress;
	int ends[2];

	make_pipe(ends);
	progress = progress_new(ends[1], PROGRESS_LINES, false, false);
	event(progress, REPORT_BEGIN, "hv1", "waiting for its agent");
	read_until(ends[0], &seen, "hv1: waiting for its agent (for 2.");
	progress_free(progress);
	close(ends[0]);
	close(ends[1]);
}

static void test_progress_verbose_and_quiet(void **state)
{
	cleanup_strbuf struct strbuf verbose = {}, quiet = {};
	struct progress *progress;
	int ends[2];

	make_pipe(ends);
	progress = progress_new(ends[1], PROGRESS_LINES, false, true);
	event(progress, REPORT_BEGIN, "hv1", "starting");
	event(progress, REPORT_DONE, "hv1", "ready");
	progress_free(progress);
	progress = progress_new(ends[1], PROGRESS_QUIET, false, true);
	read_until(ends[0], &verbose, "ready\n");
	without_times(&verbose);
	assert_string_equal(verbose.text, "T hv1: starting\nT hv1: ready\n");
	event(progress, REPORT_BEGIN, "hv1", "starting");
	event(progress, REPORT_NOTE, "hv1", "note");
	event(progress, REPORT_DONE, "hv1", "ready");
	event(progress, REPORT_FAILED, "hv2", "broken");
	progress_free(progress);
	read_until(ends[0], &quiet, "broken\n");
	without_times(&quiet);
	assert_string_equal(quiet.text, "T failed: hv2: broken\n");
	close(ends[0]);
	close(ends[1]);
}

/* A terminal, as far as progress uses one. It fails on what it does not know, and on a line that would wrap. */
enum { SCREEN_LINES = 200, SCREEN_COLUMNS = 200 };
struct screen {
	char lines[SCREEN_LINES][SCREEN_COLUMNS * 4];
	size_t row, column, columns, last;
};

static const char *draw_escape(struct screen *screen, const char *at)
{
	char *end;
	unsigned long number = strtoul(at, &end, 10);

	switch (*end) {
	case 'A':
		assert_true(number >= 1 && number <= screen->row);
		screen->row -= number;
		break;
	case 'J':
		assert_int_equal(screen->column, 0);
		for (size_t row = screen->row; row < SCREEN_LINES; row++)
			screen->lines[row][0] = '\0';
		break;
	case 'm':
		break;
	default:
		fail_msg("an unknown escape: %s", at);
	}
	return end + 1;
}

static void draw(struct screen *screen, const char *text)
{
	while (*text) {
		uint32_t c = 0;
		size_t length = utf8_next(text, 4, &c);
		char *line = screen->lines[screen->row];

		if (strncmp(text, "\033[", 2) == 0) {
			text = draw_escape(screen, text + 2);
			continue;
		}
		assert_true(length > 0);
		if (c == '\r') {
			screen->column = 0;
		} else if (c == '\n') {
			assert_true(++screen->row < SCREEN_LINES);
			screen->column = 0;
		} else {
			if (screen->column == 0)
				*line = '\0';
			strncat(line, text, length);
			screen->column++;
		}
		text += length;
	}
}

static void open_terminal(unsigned short columns, unsigned short rows, int *master, int *slave)
{
	struct winsize size = {.ws_col = columns, .ws_row = rows};

	assert_int_equal(openpty(master, slave, NULL, NULL, &size), 0);
}

static void assert_screen(const struct strbuf *seen, const char *wanted)
{
	struct screen *screen = calloc(1, sizeof(*screen));
	struct strbuf all = {};

	assert_non_null(screen);
	draw(screen, seen->text);
	strbuf_add(&all, "");
	for (size_t row = 0; row < screen->row; row++)
		strbuf_printf(&all, "%s\n", screen->lines[row]);
	free(screen);
	without_times(&all);
	assert_string_equal(all.text, wanted);
	strbuf_freep(&all);
}

static void test_progress_live(void **state)
{
	cleanup_strbuf struct strbuf seen = {};
	struct progress *progress;
	int master, slave;

	open_terminal(40, 24, &master, &slave);
	progress = progress_new(slave, PROGRESS_LIVE, true, false);
	event(progress, REPORT_BEGIN, "hv1", "starting");
	event(progress, REPORT_BEGIN, "hv1/a", "waiting for its agent, which takes its time");
	read_until(master, &seen, "hv1/a: waiting for its agent, w…");
	assert_screen(&seen, "T hv1: starting\nT hv1/a: waiting for its agent, w…\n");
	event(progress, REPORT_WARNING, "", "something");
	read_until(master, &seen, "something");
	event(progress, REPORT_DONE, "hv1", "ready");
	read_until(master, &seen, "ready");
	/* The seconds go on by themselves. */
	read_until(master, &seen, " 1s hv1/a");
	read_until(master, &seen, " 2s hv1/a");
	progress_free(progress);
	dprintf(slave, "end\n");
	read_until(master, &seen, "end\r\n");
	assert_screen(&seen, "T warning: something\nT hv1: ready\nend\n");
	close(master);
	close(slave);
}

static void test_progress_on_a_small_terminal(void **state)
{
	cleanup_strbuf struct strbuf seen = {};
	struct progress *progress;
	int master, slave;

	open_terminal(12, 6, &master, &slave);
	progress = progress_new(slave, PROGRESS_LIVE, false, false);
	for (int i = 0; i < 9; i++) {
		char name[8];

		snprintf(name, sizeof(name), "g%d", i);
		event(progress, REPORT_BEGIN, name, "waiting");
	}
	read_until(master, &seen, "and…\r\n");
	progress_hold(progress);
	dprintf(slave, "mine\n");
	progress_release(progress);
	read_until(master, &seen, "mine\r\n");
	event(progress, REPORT_NOTE, "", "x");
	read_until(master, &seen, "x");
	progress_free(progress);
	dprintf(slave, "end\n");
	read_until(master, &seen, "end\r\n");
	assert_screen(&seen, "mine\nT x\nend\n");
	close(master);
	close(slave);
}

/* While the terminal is somebody else's nothing is drawn; a second progress, not held, tells that time has passed. */
static void test_progress_held(void **state)
{
	cleanup_strbuf struct strbuf seen = {}, clock = {};
	struct progress *progress, *other;
	int master, slave, ends[2];

	open_terminal(40, 24, &master, &slave);
	make_pipe(ends);
	progress = progress_new(slave, PROGRESS_LIVE, false, false);
	event(progress, REPORT_BEGIN, "hv1", "starting");
	progress_hold(progress);
	other = progress_new(ends[1], PROGRESS_LINES, false, false);
	event(other, REPORT_BEGIN, "clock", "");
	event(progress, REPORT_UPDATE, "hv1", "waiting");
	read_until(ends[0], &clock, "(for 2.");
	dprintf(slave, "mine\n");
	read_until(master, &seen, "mine\r\n");
	assert_screen(&seen, "mine\n");
	progress_release(progress);
	read_until(master, &seen, "hv1: waiting\r\n");
	progress_free(progress);
	progress_free(other);
	close(master);
	close(slave);
	close(ends[0]);
	close(ends[1]);
}

/* Many threads at once: what comes out is whole lines, one per event. */
enum { THREADS = 8, EVENTS = 100 };

static void *report_many(void *argument)
{
	for (int i = 0; i < EVENTS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%p-%d", (void *)&name, i);
		report(argument, REPORT_BEGIN, name, "begins");
		report(argument, REPORT_UPDATE, name, "goes on");
		report(argument, REPORT_DONE, name, "done");
	}
	return NULL;
}

static void test_progress_from_many_threads(void **state)
{
	cleanup_free char *path = in_folder("many"), *text = NULL;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct progress *progress = progress_new(fd, PROGRESS_LINES, false, false);
	pthread_t threads[THREADS];
	size_t length, lines = 0;

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, report_many, progress_reporter(progress)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	progress_free(progress);
	close(fd);
	assert_int_equal(file_read(path, 1 << 20, &text, &length, NULL), 0);
	for (char *at = text; (at = strstr(at, ": done\n")); at++)
		lines++;
	assert_int_equal(lines, THREADS * EVENTS);
}

/* This machine. */

static void test_surroundings(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *root = in_folder("machine");
	struct surroundings found;

	put_file("machine/proc/meminfo", "MemTotal:       16384000 kB\nMemFree:        1 kB\n");
	put_file("machine/proc/self/cgroup", "0::/a.slice/b.scope\n");
	put_file("machine/sys/fs/cgroup/a.slice/memory.max", "1073741824\n");
	put_file("machine/sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n");
	surroundings_collect(root, arena, &found);
	assert_true(found.cpus >= 1);
	assert_int_equal(found.memory, 1 << 30);
	assert_int_equal(found.route_count, 0); /* those of a folder cannot be asked of the kernel */
}

static void test_unknown_surroundings(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct surroundings found;

	surroundings_collect("/nonexistent", arena, &found);
	assert_int_equal(found.memory, 0);
	assert_int_equal(found.route_count, 0);
	surroundings_collect("", arena, &found);
	assert_true(found.memory > 0);
}

/* Completion, by the shells themselves. */

static const struct completion_case {
	const char *line;	/* the last word is completed; a line that ends with a space has an empty one */
	const char *candidates; /* sorted, joined by spaces */
	bool everywhere;	/* also in the shells that take long to start; what fits is the same code for all */
} completions[] = {
	{"nestvisor vali", "validate", true},
	{"nestvisor vers", "version"},
	{"nestvisor __", ""},
	{"nestvisor validate --no-", "--no-color --no-host", true},
	{"nestvisor --qu", "--quiet"},
	{"nestvisor graph --format ", "mermaid tree"},
	{"nestvisor graph --format=m", "--format=mermaid", true},
	{"nestvisor graph -f t", "tree"},
	{"nestvisor schema --of st", "status", true},
	{"nestvisor help comp", "completion"},
	{"nestvisor completion ", "bash fish zsh", true},
	{"nestvisor status --lab ", "first second"},
	{"nestvisor --lab first exec hv1/", "hv1/a hv1/b", true},
	{"nestvisor exec hv1/", "hv1/a hv1/b hv1/z"},
	{"nestvisor exec L", "L0"},
	{"nestvisor exec --lab=second h", "hv1/z"},
	{"nestvisor status --lab first --js", "--json"},
	{"nestvisor nosuch ", NULL}, /* files or nothing: only that it does not fail */
	{"nestvisor validate ", "first.nest.yaml sub/", true},
};

enum { COMPLETIONS = sizeof(completions) / sizeof(*completions) };

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Candidates as lines "word" or "word<tab>what", sorted and joined. */
static void join_sorted(char *lines, struct strbuf *out)
{
	char *items[256], *save = NULL;
	size_t count = 0;

	for (char *line = strtok_r(lines, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
		line[strcspn(line, "\t")] = '\0';
		if (*line && count < 256)
			items[count++] = line;
	}
	qsort(items, count, sizeof(*items), by_name);
	strbuf_add(out, "");
	for (size_t i = 0; i < count; i++)
		if (i == 0 || strcmp(items[i], items[i - 1]) != 0)
			strbuf_printf(out, "%s%s", out->length ? " " : "", items[i]);
}

/* Runs a shell on a script that is given the line as its argument, in a folder with a lab file and a folder. False: the
 * shell is not here. */
static bool complete_in(const char *shell, bool all, const char *const *shell_argv)
{
	cleanup_free char *path = NULL, *run = NULL, *cwd = in_folder("cwd"), *old = getcwd(NULL, 0);
	const char *environment[] = {NULL, NULL, "LC_ALL=C.UTF-8", "TERM=xterm", "HOME=/nonexistent", NULL};
	const char *argv[MOST_WORDS];

	assert_true(asprintf(&path, "PATH=%s:%s", folder, getenv("PATH")) > 0);
	assert_true(asprintf(&run, "NESTVISOR_RUN_DIR=%s/run", folder) > 0);
	environment[0] = path;
	environment[1] = run;
	assert_int_equal(chdir(cwd), 0);
	for (size_t i = 0; i < COMPLETIONS; i++) {
		cleanup_output struct process_output output = {};
		cleanup_error struct error *err = NULL;
		cleanup_strbuf struct strbuf joined = {};
		const struct process_spec spec = {
			.argv = argv, .env = environment, .netns = -1, .in = -1, .out = -1, .err = -1};
		size_t n = 0;

		if (!all && !completions[i].everywhere)
			continue;
		for (; shell_argv[n]; n++)
			argv[n] = shell_argv[n];
		argv[n] = completions[i].line;
		argv[n + 1] = NULL;
		if (process_run(&spec, NULL, 0, 30000, NULL, &output, &err) < 0) {
			assert_int_equal(chdir(old), 0);
			print_message("%s is not here: its completion was not tested\n", shell);
			return false;
		}
		join_sorted(output.out, &joined);
		if (completions[i].candidates && strcmp(joined.text, completions[i].candidates) != 0)
			fail_msg("%s: \"%s\": \"%s\" instead of \"%s\"; %s", shell, completions[i].line, joined.text,
				 completions[i].candidates, output.err);
	}
	assert_int_equal(chdir(old), 0);
	return true;
}

static void test_bash(void **state)
{
	/* Splits the line as readline does for COMP_WORDS, at blanks and at = and :, and prints whole words again. */
	static const char script[] =
		"source <(nestvisor completion bash)\n"
		"line=$1; COMP_WORDS=(); COMP_LINE=$line; COMP_POINT=${#line}\n"
		"IFS=' ' read -ra parts <<<\"${line//[=]/ = }\"\n"
		"COMP_WORDS=(\"${parts[@]}\")\n"
		"[[ $line == *' ' ]] && COMP_WORDS+=('')\n"
		"COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
		"_nestvisor\n"
		"front=''; [[ ${line##* } == --*=* ]] && front=${line##* } && front=${front%%=*}=\n"
		"for reply in \"${COMPREPLY[@]}\"; do\n"
		"  [[ -d $reply ]] && reply+=/\n"
		"  printf '%s\\n' \"$front$reply\"\n"
		"done\n";

	assert_true(complete_in("bash", true, (const char *const[]){"bash", "--norc", "-c", script, "bash", NULL}));
}

static void test_zsh(void **state)
{
	/* A zsh on a terminal of its own, where compadd tells what it was given: what a person would see after Tab. */
	static const char script[] =
		"zmodload zsh/zpty || exit 1\n"
		"zpty shell zsh -f -i\n"
		"zpty -w shell \"PS1=; stty -echo\"\n"
		"zpty -w shell 'autoload -Uz compinit; compinit -D -u; source <(nestvisor completion zsh)'\n"
		"zpty -w shell 'compadd() { local -a w; builtin compadd -O w \"$@\"; print -rl -- \"<<\"${^w}\">>\"; "
		"builtin compadd \"$@\" }'\n"
		"zpty -w shell 'finish() { print \"END\"OF; exit }; zle -N finish; bindkey \"^X\" finish; bindkey "
		"\"^I\" list-choices'\n"
		"zpty -w shell 'print \"REA\"DY'\n"
		"zpty -r shell out '*READY*'\n"
		"zpty -w -n shell \"$1\"$'\\t\\x18'\n"
		"zpty -r shell out '*ENDOF*'\n"
		"print -r -- $out | grep -o '<<[^>]*>>' | sed 's/^<<//; s/>>$//' |\n"
		"while read -r word; do [[ -d $word ]] && word+=/; print -r -- $word; done\n"
		"zpty -d shell\n";

	if (!complete_in("zsh", false, (const char *const[]){"zsh", "-f", "-c", script, "zsh", NULL}))
		skip();
}

static void test_fish(void **state)
{
	static const char script[] = "nestvisor completion fish | source; complete -C \"$argv[1]\"";

	if (!complete_in("fish", false, (const char *const[]){"fish", "--no-config", "-c", script, NULL}))
		skip();
}

static void test_completion_of_guest_files(void **state)
{
	cleanup_output struct process_output output =
		nestvisor(words("__complete", "--", "cp", "--lab", "first", "hv1/a"), NULL);

	/* Where there is a command that copies; files of this machine fit as well. */
	if (command_find(commands, "cp"))
		assert_string_equal(output.out, "guestfile\nhv1/a:\tguest of first\n");
}

static int make_folder(void **state)
{
	cleanup_free char *program = NULL, *self = NULL;

	if (!mkdtemp(folder))
		return -1;
	program = in_folder("nestvisor");
	self = realpath("/proc/self/exe", NULL);
	if (!self || symlink(self, program) < 0)
		return -1;
	put_file("run/first/lab.json",
		 "{\"lab\": \"first\", \"guests\": {\"hv1\": {\"guests\": {\"a\": {}, \"b\": {}}}}}");
	put_file("run/second/lab.json", "{\"lab\": \"second\", \"at\": \"hv1\", \"guests\": {\"z\": {}}}");
	put_file("cwd/first.nest.yaml", "lab: [\n");
	put_file("good/good.nest.yaml",
		 "lab: good\n"
		 "networks: {lab: {subnet: 10.1.0.0/24, uplink: none}}\n"
		 "guests:\n"
		 "  hv1:\n"
		 "    cpus: 2\n"
		 "    memory: 1G\n"
		 "    nics: [{network: lab, address: 10.1.0.5}]\n"
		 "    networks: {inner: {subnet: 10.2.0.0/24, uplink: none}}\n"
		 "    guests: {a: {memory: 128M, nics: [{network: inner, address: 10.2.0.5}]}}\n");
	put_file("cwd/other.txt", "");
	put_file("cwd/sub/x", "");
	return 0;
}

static int remove_folder(void **state)
{
	return dir_remove(folder, NULL);
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms_of_options),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_before_the_command),
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_table_of_commands),
		cmocka_unit_test(test_examples_parse),
		cmocka_unit_test(test_manual_pages),
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_lab_files),
		cmocka_unit_test(test_schema_command),
		cmocka_unit_test(test_full_output),
		cmocka_unit_test(test_first_signal_stops),
		cmocka_unit_test(test_second_signal_ends),
		cmocka_unit_test(test_progress_lines),
		cmocka_unit_test(test_progress_lines_of_long_work),
		cmocka_unit_test(test_progress_verbose_and_quiet),
		cmocka_unit_test(test_progress_live),
		cmocka_unit_test(test_progress_on_a_small_terminal),
		cmocka_unit_test(test_progress_held),
		cmocka_unit_test(test_progress_from_many_threads),
		cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_unknown_surroundings),
		cmocka_unit_test(test_bash),
		cmocka_unit_test(test_zsh),
		cmocka_unit_test(test_fish),
		cmocka_unit_test(test_completion_of_guest_files),
	};

	if (strcmp(name ? name + 1 : argv[0], "nestvisor") == 0)
		return nestvisor_main(argc, argv);
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
