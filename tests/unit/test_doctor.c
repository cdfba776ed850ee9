/*
 * The doctor on whole hosts: tests/fixtures/doctor holds one folder per case, a root folder and what commands print
 * beside it, with what is said of it in tests/golden/doctor. NESTVISOR_GOLDEN=write writes the golden files anew.
 */
#include "base/arena.h"
#include "doctor/checks.h"
#include "doctor/print.h"

#include "facts_check.h"
#include "schema_check.h"

#include <dirent.h>

static const char *const cases[] = {"amd",	 "arm",	  "docker-firewalld", "fedora",	    "firmware",
				    "inside-l1", "intel", "old-kernel",	      "virtualbox", "wsl2"};
enum { CASES = sizeof(cases) / sizeof(*cases) };

static struct bundle *load_case(const char *name)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/fixtures/doctor/%s", name) > 0);
	path = source_path(below);
	return load(path);
}

static struct examination *examine(const struct bundle *bundle)
{
	struct examination *examination = examination_new();

	for (size_t i = 0; i < bundle->host_count; i++)
		examination_add(examination, bundle->hosts[i]->name, bundle->hosts[i]);
	examination_relate(examination, bundle);
	examination_run(examination);
	return examination;
}

static void check_case_golden(const char *name, const char *suffix, const char *got)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/golden/doctor/%s.%s", name, suffix) > 0);
	path = source_path(below);
	check_golden(path, got);
}

static void test_golden(void **state)
{
	for (size_t i = 0; i < CASES; i++) {
		struct bundle *bundle = load_case(cases[i]);
		struct examination *examination = examine(bundle);
		cleanup_json json_t *json = examination_json(examination);
		cleanup_free char *document = json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS);
		cleanup_strbuf struct strbuf text = {}, lines = {};

		examination_text(examination, false, &(struct style){.utf8 = true}, &text);
		check_case_golden(cases[i], "txt", text.text);
		strbuf_printf(&lines, "%s\n", document);
		check_case_golden(cases[i], "json", lines.text);
		examination_free(examination);
		bundle_free(bundle);
	}
}

static void test_schema(void **state)
{
	struct bundle *bundle = load_case("docker-firewalld");
	struct examination *examination = examine(bundle);
	cleanup_json json_t *json = examination_json(examination);
	char why[WHY_SIZE] = "";

	json_object_set_new(json, "schema", json_string("nestvisor/doctor/1"));
	if (!schema_fits("doctor", json, why))
		fail_msg("%s", why);
	examination_free(examination);
	bundle_free(bundle);
}

/* The statuses that scripts rely on. */
static void test_status(void **state)
{
	static const struct {
		const char *name;
		int status;
	} wanted[] = {{"intel", 4}, {"fedora", 1}, {"arm", 1}, {"firmware", 1}};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		struct bundle *bundle = load_case(wanted[i].name);
		struct examination *examination = examine(bundle);

		assert_int_equal(examination_status(examination), wanted[i].status);
		examination_free(examination);
		bundle_free(bundle);
	}
}

/* Where nothing was captured nothing passes, and nothing fails. */
static void test_nothing(void **state)
{
	struct facts facts = {.name = "empty"};
	struct examination *examination = examination_new();

	examination_add(examination, "empty", &facts);
	examination_run(examination);
	assert_true(examination->finding_count > 20);
	for (size_t i = 0; i < examination->finding_count; i++)
		if (examination->findings[i].result != RESULT_UNKNOWN)
			fail_msg("%s is %s without a single fact", examination->findings[i].check->id,
				 result_name(examination->findings[i].result));
	assert_int_equal(examination_status(examination), 4);
	examination_free(examination);
}

enum { CHECKS_MAX = 256 };

/* The worst that each check says. */
static void worst(const struct facts *facts, enum result *results)
{
	struct examination *examination = examination_new();
	size_t count = 0;

	examination_add(examination, "host", facts);
	examination_run(examination);
	while (doctor_checks[count])
		results[count++] = RESULT_NONE;
	assert_true(count < CHECKS_MAX);
	for (size_t i = 0; i < examination->finding_count; i++)
		for (size_t j = 0; j < count; j++)
			if (doctor_checks[j] == examination->findings[i].check &&
			    examination->findings[i].result > results[j])
				results[j] = examination->findings[i].result;
	examination_free(examination);
}

/* One kind of fact at a time is taken away: what was found wrong, or was not known, must not pass then. */
static void test_less_never_passes(void **state)
{
	enum { KINDS = 14 };

	for (size_t i = 0; i < CASES; i++) {
		struct bundle *bundle = load_case(cases[i]);
		enum result before[CHECKS_MAX], after[CHECKS_MAX];

		worst(bundle->hosts[0], before);
		for (size_t kind = 0; kind < KINDS; kind++) {
			struct facts less = *bundle->hosts[0];

			switch (kind) {
			case 0:
				less.attribute_count = 0;
				break;
			case 1:
				less.node_count = 0;
				break;
			case 2:
				less.module_count = 0;
				less.modules_known = TRUTH_UNKNOWN;
				break;
			case 3:
				less.processor = (struct processor){0};
				break;
			case 4:
				less.memory = (struct memory){0};
				break;
			case 5:
				less.kernel = (struct kernel){0};
				break;
			case 6:
				less.caller = (struct caller){0};
				break;
			case 7:
				less.ruleset = (struct ruleset){0};
				break;
			case 8:
				less.link_count = 0;
				less.links_known = TRUTH_UNKNOWN;
				break;
			case 9:
				less.listener_count = 0;
				less.listeners_known = TRUTH_UNKNOWN;
				break;
			case 10:
				less.sysctl_count = 0;
				less.sysctls_known = TRUTH_UNKNOWN;
				break;
			case 11:
				less.group_count = 0;
				less.groups_known = TRUTH_UNKNOWN;
				break;
			case 12:
				less.document_count = 0;
				break;
			default:
				less.log_line_count = 0;
				less.logs_known = TRUTH_UNKNOWN;
				break;
			}
			worst(&less, after);
			for (size_t j = 0; doctor_checks[j]; j++)
				if (after[j] == RESULT_PASS && before[j] > RESULT_PASS)
					fail_msg("%s: %s passes once facts of kind %zu are gone", cases[i],
						 doctor_checks[j]->id, kind);
		}
		bundle_free(bundle);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_less_never_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
