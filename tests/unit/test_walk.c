/*
 * verify/: the interpreter. First what the kernel did with real packets in twelve stacks (tests/data/kernel-sample), to
 * every question the same verdict, place, addresses and ports; then one small host for each thing that is easy to get
 * wrong.
 */
#include "facts_check.h"

#include "base/arena.h"
#include "verify/batch.h"

#include <dirent.h>

/* ---- the kernel's answers ---- */

/* What both say is the same. Null in the truth: the kernel may choose. */
static bool agrees(const json_t *truth, const json_t *answer, const char *key)
{
	const json_t *a = json_object_get(truth, key), *b = json_object_get(answer, key);

	return !a || json_is_null(a) || json_is_null(b) || (b && json_equal(a, b));
}

static void check_answer(const char *place, const json_t *question, const json_t *truth, const json_t *answer)
{
	static const char *const keys[] = {"verdict", "where", "to",	"src",	  "dst",      "sport",	 "dport",
					   "hook",    "table", "chain", "reason", "answered", "out_port"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		cleanup_free char *asked = json_text(question), *said = json_text(answer), *wanted = json_text(truth);

		if (!agrees(truth, answer, keys[i]))
			fail_msg("%s: %s\nasked  %s\nkernel %s\nhere   %s", place, keys[i], asked, wanted, said);
	}
}

static json_t *read_lines(const char *folder, const char *name)
{
	cleanup_free char *path = NULL, *text = NULL;
	json_t *rows = json_array();
	size_t length;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	text = read_file(path, &length);
	for (char *line = text, *end; *line; line = end) {
		end = line + strcspn(line, "\n");
		end += *end == '\n';
		json_array_append_new(rows, json_loadb(line, (size_t)(end - line), 0, NULL));
	}
	return rows;
}

static json_t *ask(const struct stack *stack, const json_t *json, unsigned flags)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	struct question *question;

	if (question_from_json(stack, json, arena, &question, &err) < 0)
		fail_msg("%s", err->message);
	return answer_json(walk_ask(stack, question, flags, arena));
}

static size_t check_scenario(const char *folder)
{
	cleanup_bundle struct bundle *bundle = load(folder);
	cleanup_stack struct stack *stack = stack_new(bundle);
	cleanup_json json_t *questions = read_lines(folder, "questions.jsonl");
	cleanup_json json_t *answers = read_lines(folder, "answers.jsonl");

	assert_int_equal(json_array_size(questions), json_array_size(answers));
	for (size_t i = 0; i < json_array_size(questions); i++) {
		cleanup_json json_t *answer = ask(stack, json_array_get(questions, i), 0);

		check_answer(folder, json_array_get(questions, i), json_array_get(answers, i), answer);
	}
	return json_array_size(questions);
}

static void test_kernel_sample(void **state)
{
	cleanup_free char *folder = source_path("tests/data/kernel-sample");
	cleanup_closedir DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		cleanup_free char *path = NULL;

		if (entry->d_name[0] != '0')
			continue;
		assert_true(asprintf(&path, "%s/%s", folder, entry->d_name) > 0);
		count += check_scenario(path);
	}
	assert_int_equal(count, 252);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernel_sample)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
