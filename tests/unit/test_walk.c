/*
 * verify/: the interpreter. First what the kernel did with real packets in twelve stacks (tests/data/kernel-sample), to
 * every question the same verdict, place, addresses and ports; then one small host for each thing that is easy to get
 * wrong.
 */
#include "facts_check.h"
#include "schema_check.h"
#include "walk_cases.h"

#include "base/arena.h"
#include "render/path.h"
#include "verify/batch.h"
#include "verify/ends.h"
#include "verify/engines.h"

#include <dirent.h>
#include <errno.h>

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

/* ---- small hosts ---- */

/* A bundle of its hosts. */
static struct bundle *build(const struct walk_scenario *scenario)
{
	char folder[] = "/tmp/nestvisor-walk-XXXXXX";
	struct bundle *bundle;

	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < 4 && scenario->hosts[i].name; i++)
		put_host(folder, scenario->hosts[i].name, scenario->hosts[i].session);
	if (scenario->links)
		put_file(folder, "links.json", scenario->links);
	bundle = load(folder);
	assert_int_equal(dir_remove(folder, NULL), 0);
	return bundle;
}

/* ' stands for " in cases. */
static json_t *case_json(const char *text)
{
	cleanup_free char *quoted = strdup(text);
	cleanup_error struct error *err = NULL;
	json_t *json = NULL;

	for (char *at = quoted; *at; at++)
		if (*at == '\'')
			*at = '"';
	if (json_parse(quoted, strlen(quoted), text, &json, &err) < 0)
		fail_msg("%s", err->message);
	return json;
}

static json_t *base_question(const struct walk_scenario *scenario)
{
	json_t *base = case_json("{'at': 'r', 'iif': 'eth0', 'src': '10.0.0.2', 'dst': '10.0.1.2', 'proto': 'tcp',"
				 " 'sport': 40000, 'dport': 22, 'state': 'new'}");
	cleanup_json json_t *own = scenario->base ? case_json(scenario->base) : json_object();

	json_object_update(base, own);
	return base;
}

static void check_case(const struct walk_scenario *scenario, const struct stack *stack, const struct walk_case *test)
{
	cleanup_json json_t *question = base_question(scenario), *own = case_json(test->question);
	cleanup_json json_t *wanted = case_json(test->answer), *answer = NULL;
	const char *key;
	json_t *value;

	json_object_update(question, own);
	answer = ask(stack, question, 0);
	json_object_foreach (wanted, key, value) {
		cleanup_free char *text = json_text(answer);

		if (!json_equal(value, json_object_get(answer, key)))
			fail_msg("%s\n  asked  %s\n  wanted %s\n  is     %s", scenario->name, test->question,
				 test->answer, text);
	}
}

static void test_small_hosts(void **state)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
		cleanup_bundle struct bundle *bundle = build(&scenarios[i]);
		cleanup_stack struct stack *stack = stack_new(bundle);

		for (size_t j = 0; j < 12 && scenarios[i].cases[j].question; j++)
			check_case(&scenarios[i], stack, &scenarios[i].cases[j]);
	}
}

/* ---- the same, asked of the sets ---- */

/* The sets may leave more open than the interpreter, but where they answer, it is the same. */
static enum agreement compare(const struct stack *stack, struct spread *spread, const struct walk_scenario *scenario,
			      const struct walk_case *test)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_json json_t *json = base_question(scenario), *own = case_json(test->question);
	struct question *question;
	struct answer *symbolic;
	enum agreement agreement;

	json_object_update(json, own);
	assert_int_equal(question_from_json(stack, json, arena, &question, NULL), 0);
	agreement = engines_compare(spread, question, walk_ask(stack, question, 0, arena), arena, &symbolic);
	if (agreement == ENGINES_DIFFER)
		print_message("%s\n  asked  %s\n  wanted %s\n  sets   %s at %s\n", scenario->name, test->question,
			      test->answer, fate_word(symbolic->fate), symbolic->where ? symbolic->where->name : "?");
	return agreement;
}

static void test_sets(void **state)
{
	size_t counts[3] = {};

	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
		cleanup_bundle struct bundle *bundle = build(&scenarios[i]);
		cleanup_stack struct stack *stack = NULL;
		cleanup_space struct space *space = pset_space_new((size_t)1 << 28, NULL);
		cleanup_spread struct spread *spread = NULL;

		stack = stack_new(bundle);
		spread = spread_new(stack, space);
		for (size_t j = 0; j < 12 && scenarios[i].cases[j].question; j++)
			counts[compare(stack, spread, &scenarios[i], &scenarios[i].cases[j])]++;
	}
	print_message("%zu agree, %zu open\n", counts[ENGINES_AGREE], counts[ENGINES_OPEN]);
	assert_int_equal(counts[ENGINES_DIFFER], 0);
	assert_true(counts[ENGINES_AGREE] > counts[ENGINES_OPEN]);
}

/* ---- as people ask ---- */

struct people_case {
	const char *from, *to;
	const char *at, *iif;	 /* where it begins */
	const char *dst, *meant; /* NULL: nobody in particular */
};

static void check_people(const struct stack *stack, const struct people_case *test)
{
	struct ends ends = {.from = test->from, .to = test->to};
	struct question question = {};
	struct stack_host *target = NULL;
	cleanup_error struct error *err = NULL;
	char text[IP_TEXT_SIZE];

	if (ends_resolve(stack, &ends, &question, &target, &err) < 0)
		fail_msg("%s to %s: %s", test->from, test->to, err->message);
	assert_string_equal(question.at->name, test->at);
	assert_string_equal(question.iif ? question.iif->name : "-", test->iif ? test->iif : "-");
	assert_string_equal(ip_format(&question.packet.dst, text), test->dst);
	assert_string_equal(target ? target->name : "-", test->meant ? test->meant : "-");
}

static void test_people(void **state)
{
	static const struct people_case cases[] = {
		{"L0", "l2", "l0", NULL, "192.168.100.2", "l2"},
		{"l2", "l2b", "l2", NULL, "192.168.100.13", "l2b"},
		{"l1", "192.168.100.13", "l1", NULL, "192.168.100.13", "l2b"},
		{"192.168.50.50", "l0", "l1", NULL, "192.168.50.1", "l0"},
		{"world", "l1", "l0", "eth0", "192.168.50.50", "l1"},
		{"9.9.9.9", "l1", "l0", "eth0", "192.168.50.50", "l1"},
		{"l2", "world", "l2", NULL, "8.8.8.8", NULL},
		{"fd00:20::13", "world", "l2b", NULL, "2001:4860:4860::8888", NULL},
	};
	cleanup_free char *folder = source_path("tests/data/kernel-sample/0002");
	cleanup_bundle struct bundle *bundle = load(folder);
	cleanup_stack struct stack *stack = stack_new(bundle);
	struct ends wrong = {.from = "l7", .to = "l2"};
	struct question question = {};
	struct stack_host *target;
	cleanup_error struct error *err = NULL;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_people(stack, &cases[i]);
	assert_int_equal(ends_resolve(stack, &wrong, &question, &target, &err), -EINVAL);
	assert_string_equal(err->message, "--from l7: neither a host of these facts nor an address");
	assert_true(ends_knows(stack, "l2") && ends_knows(stack, "World") && ends_knows(stack, "fe80::1"));
	assert_false(ends_knows(stack, "l7"));
}

/* There and back, as text and as JSON that fits its schema. */
static void check_path(const struct stack *stack, const json_t *json)
{
	static const struct style plain = {};
	cleanup_arena struct arena *arena = arena_new();
	cleanup_strbuf struct strbuf text = {};
	struct question *question;
	struct path path;

	assert_int_equal(question_from_json(stack, json, arena, &question, NULL), 0);
	path = (struct path){.packet = &question->packet, .there = walk_ask(stack, question, 0, arena)};
	path.back = walk_reply(stack, question, 0, arena);
	assert_true(!path.back == (path.there->fate != FATE_DELIVERED));
	path_text(&path, &plain, &text);
	assert_non_null(strstr(text.text, fate_word(path.there->fate)));
	assert_fits("path", path_json(&path));
}

static void test_paths(void **state)
{
	static const char *const names[] = {"0003", "0010", "0012"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		cleanup_free char *below = NULL, *folder = NULL;
		cleanup_bundle struct bundle *bundle = NULL;
		cleanup_stack struct stack *stack = NULL;
		cleanup_json json_t *questions = NULL;

		assert_true(asprintf(&below, "tests/data/kernel-sample/%s", names[i]) > 0);
		folder = source_path(below);
		bundle = load(folder);
		stack = stack_new(bundle);
		questions = read_lines(folder, "questions.jsonl");
		for (size_t j = 0; j < json_array_size(questions); j++)
			check_path(stack, json_array_get(questions, j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernel_sample), cmocka_unit_test(test_small_hosts),
					   cmocka_unit_test(test_sets), cmocka_unit_test(test_people),
					   cmocka_unit_test(test_paths)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
