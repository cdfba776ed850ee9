#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/factsource.h"
#include "verify/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- many questions ---- */

struct batch {
	struct invocation *inv;
	const struct stack *stack;
	unsigned flags;
	unsigned long line;
	bool bad; /* a line was no question */
};

static void print_line(struct batch *batch, json_t *answer, const json_t *question)
{
	static const char *const kept[] = {"id", "scenario"};
	cleanup_json json_t *line = json_object();
	cleanup_free char *text = NULL;

	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (json_object_get(question, kept[i]))
			json_object_set(line, kept[i], json_object_get(question, kept[i]));
	json_object_update(line, answer);
	json_decref(answer);
	text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
	invocation_print(batch->inv, "%s\n", text);
}

static void answer_line(struct batch *batch, const char *text, size_t length)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_json json_t *json = NULL;
	struct question *question = NULL;
	char what[32];

	snprintf(what, sizeof(what), "line %lu", batch->line);
	if (json_parse(text, length, what, &json, &err) < 0 ||
	    question_from_json(batch->stack, json, arena, &question, &err) < 0) {
		batch->bad = true;
		print_line(batch, json_pack("{s:{s:s}}", "error", "message", err->message), json);
		return;
	}
	print_line(batch, answer_json(walk_ask(batch->stack, question, batch->flags, arena)), json);
}

static int answer_lines(struct batch *batch)
{
	cleanup_free char *line = NULL;
	size_t capacity = 0;
	ssize_t length;

	while ((length = getline(&line, &capacity, stdin)) > 0) {
		batch->line++;
		if (strspn(line, " \t\r\n") < (size_t)length)
			answer_line(batch, line, (size_t)length);
	}
	return batch->bad ? EXIT_USAGE : EXIT_DONE;
}

static int run(struct invocation *inv)
{
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_stack struct stack *stack = NULL;
	cleanup_free char *host = NULL;
	struct batch batch = {.inv = inv, .flags = invocation_flag(inv, "assume") ? WALK_ASSUME : 0};
	int status = factsource_bundle(inv, NULL, &bundle, &host);

	if (status != EXIT_DONE)
		return status;
	stack = stack_new(bundle);
	batch.stack = stack;
	return answer_lines(&batch);
}

const struct command command_path = {
	.name = "path",
	.group = GROUP_PROVE,
	.summary = "one packet's way, hop by hop, with the rule that decided",
	.description =
		"Pushes one packet through the hosts as the kernel would: bridges, routes, rules of iptables and "
		"nftables, "
		"translation, connection tracking, and the same for the answer. Each step names where it comes from.",
	.options =
		(const struct command_option[]){
			FACTSOURCE_OPTIONS,
			{.name = "batch",
			 .help = "answer the questions on standard input, one JSON object a line, in order"},
			{.name = "assume", .help = "where a fact is missing, take what is usual and say so"},
			{}},
	.examples =
		(const struct command_example[]){
			{"nestvisor path --batch --facts bundle/ < questions.jsonl", "many questions at once"}, {}},
	.statuses = (const struct command_status[]){{EXIT_DONE, "delivered"},
						    {EXIT_FAILED, "not delivered"},
						    {EXIT_UNKNOWN, "unknown: a fact is missing"},
						    {}},
	.lab = true,
	.run = run,
};
