#include "cli/batch.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/question.h"
#include "config/spelling.h"
#include "verify/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct batch {
	struct invocation *inv;
	const struct stack *stack;
	batch_answer *answer;
	const void *context;
	unsigned long line;
	bool bad; /* a line was no question */
};

/* What is the asker's own, and comes back with the answer. */
static const char *const kept[] = {"id", "scenario", NULL};

static void print_line(struct batch *batch, json_t *answer, const json_t *question)
{
	cleanup_json json_t *line = json_object();
	cleanup_free char *text = NULL;

	for (size_t i = 0; kept[i]; i++)
		if (json_object_get(question, kept[i]))
			json_object_set(line, kept[i], json_object_get(question, kept[i]));
	json_object_update(line, answer);
	json_decref(answer);
	text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
	invocation_print(batch->inv, "%s\n", text);
}

static bool is_among(const char *const *words, const char *word)
{
	while (*words && strcmp(*words, word) != 0)
		words++;
	return *words != NULL;
}

static int unknown_key(const char *key, struct error **err)
{
	struct spelling spelling = {.word = key};
	cleanup_strbuf struct strbuf list = {};

	for (const char *const *known = question_keys(); *known; known++) {
		spelling_try(&spelling, *known);
		strbuf_printf(&list, "%s%s", list.length ? ", " : "", *known);
	}
	if (spelling.best)
		return error_set(err, EINVAL, "a question has no \"%s\"; did you mean \"%s\"?", key, spelling.best);
	return error_set(err, EINVAL, "a question has no \"%s\"; it may have id, %s", key, list.text);
}

/* A member that nobody reads would be a question that was not asked. Those of a name with "_" are the asker's own. */
static int check_keys(const json_t *question, struct error **err)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)question, key, value)
		if (key[0] != '_' && !is_among(question_keys(), key) && !is_among(kept, key))
			return unknown_key(key, err);
	value = json_object_get(question, "of");
	if (json_is_object(value) && check_keys(value, err) < 0)
		return error_wrap(err, "\"of\"");
	return 0;
}

static void answer_line(struct batch *batch, const char *text, size_t length)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_json json_t *json = NULL;
	struct question *question = NULL;
	char what[32];

	snprintf(what, sizeof(what), "line %lu", batch->line);
	if (json_parse(text, length, what, &json, &err) < 0 || check_keys(json, &err) < 0 ||
	    question_from_json(batch->stack, json, arena, &question, &err) < 0) {
		batch->bad = true;
		print_line(batch, json_pack("{s:{s:s}}", "error", "message", err->message), json);
		return;
	}
	print_line(batch, batch->answer(batch->context, question, arena), json);
}

int batch_run(struct invocation *inv, const struct stack *stack, batch_answer *answer, const void *context)
{
	struct batch batch = {.inv = inv, .stack = stack, .answer = answer, .context = context};
	cleanup_free char *line = NULL;
	size_t capacity = 0;
	ssize_t length;

	while ((length = getline(&line, &capacity, stdin)) > 0) {
		batch.line++;
		if (strspn(line, " \t\r\n") < (size_t)length)
			answer_line(&batch, line, (size_t)length);
	}
	return batch.bad ? EXIT_USAGE : EXIT_DONE;
}

int batch_check(struct invocation *inv)
{
	const struct command_option of_one[] = {QUESTION_OPTIONS, {}};

	if (!invocation_flag(inv, "batch"))
		return question_check(inv);
	for (const struct command_option *option = of_one; option->name; option++)
		if (invocation_given(inv, option->name))
			return invocation_usage(inv, "--batch takes its questions from standard input, not from --%s",
						option->name);
	return inv->json ? invocation_usage(inv, "--batch always answers in JSON, one line each") : EXIT_DONE;
}
