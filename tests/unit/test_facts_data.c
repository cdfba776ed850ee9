/*
 * facts/: real captures that nobody here wrote (../shared/data beside the source tree, or NESTVISOR_DATA). Each loads
 * without a crash, and no rule is lost: as many are read as lines begin with one. Skipped where the folder is missing.
 */
#include "facts_check.h"

#include <errno.h>
#include <dirent.h>
#include <sys/stat.h>

enum { MISSING = 77 };

static char *data;

struct totals {
	size_t files, rules, fully, partly, none;
};

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void walk(const char *folder, void (*visit)(const char *path, void *context), void *context)
{
	cleanup_closedir DIR *dir = opendir(folder);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		cleanup_free char *path = NULL;

		if (entry->d_name[0] == '.')
			continue;
		assert_true(asprintf(&path, "%s/%s", folder, entry->d_name) > 0);
		if (is_folder(path))
			walk(path, visit, context);
		else
			visit(path, context);
	}
}

/* Lines that are rules, counted without any of the parsers. */
static size_t count_lines(const char *text, const char *const *starts)
{
	size_t count = 0;

	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		while (*line == ' ' || *line == '\t')
			line++;
		if (*line == '[') /* counters */
			line += strcspn(line, " \n") + 1;
		for (const char *const *start = starts; *start; start++) {
			if (strncmp(line, *start, strlen(*start)) == 0) {
				count++;
				break;
			}
		}
	}
	return count;
}

static void count_rule(const struct table *table, const struct chain *chain, const struct rule *rule, void *context)
{
	struct totals *totals = context;

	totals->rules++;
	totals->fully += rule->understood == UNDERSTOOD_FULLY;
	totals->partly += rule->understood == UNDERSTOOD_PARTLY;
	totals->none += rule->understood == UNDERSTOOD_NOT;
	assert_non_null(rule->text);
	assert_true(rule->origin.line > 0);
	assert_true((rule->understood == UNDERSTOOD_FULLY) == (rule->gap_count == 0));
	assert_false(rule->understood == UNDERSTOOD_FULLY && rule_has_unknown(rule));
}

static void print_totals(const char *what, const struct totals *totals)
{
	print_message("%s: %zu files, %zu rules: %zu understood fully, %zu partly, %zu not\n", what, totals->files,
		      totals->rules, totals->fully, totals->partly, totals->none);
}

/* All that is not understood of them is what somebody blanked: MAC addresses. */
static void check_gaps(const struct table *table, const struct chain *chain, const struct rule *rule, void *context)
{
	for (size_t i = 0; i < rule->gap_count; i++)
		assert_string_equal(rule->gaps[i], "value XX:XX:XX:XX:XX:XX");
}

/* Dumps of iptables-save: as many rules as lines with -A. */
static void check_save(const char *path, void *context)
{
	static const char *const starts[] = {"-A ", NULL};
	struct totals *totals = context;
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_free char *text = NULL;
	size_t length, before = totals->rules, lines;

	if (!strstr(path, "iptables-save") && !strstr(path, "ip6tables-save") && !strstr(path, "saveakachan") &&
	    !strstr(path, "configs_ipv6_server") && !strstr(path, "/dumps/") && !strstr(path, ".dfwfw"))
		return;
	if (strstr(path, "info") || strstr(path, ".xml") || strstr(path, "cheating"))
		return;
	text = read_file(path, &length);
	lines = count_lines(text, starts);
	bundle = load(path);
	for_each_rule(bundle->hosts[0], count_rule, totals);
	for_each_rule(bundle->hosts[0], check_gaps, NULL);
	if (totals->rules - before != lines)
		fail_msg("%s: %zu rules read of %zu", path, totals->rules - before, lines);
	totals->files++;
}

static void in_data(const char *below, void (*visit)(const char *path, void *context), void *context)
{
	cleanup_free char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", data, below) > 0);
	walk(path, visit, context);
}

static void test_saves(void **state)
{
	struct totals totals = {};

	in_data("net-network", check_save, &totals);
	in_data("iptables-tests/iptables", check_save, &totals);
	print_totals("iptables-save dumps", &totals);
	assert_true(totals.files >= 18);
	assert_true(totals.rules > 19000);
	assert_int_equal(totals.none, 0);
}

/* Listings: every line that is no heading is a rule. */
static void check_listing(const char *path, void *context)
{
	struct totals *totals = context;
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_free char *text = NULL;
	size_t length, lines = 0, before = totals->rules;

	if (!strstr(path, "iptables-Ln") && !strstr(path, "akachan-Lnv"))
		return;
	text = read_file(path, &length);
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		while (*line == ' ')
			line++;
		lines += *line && *line != '#' && strncmp(line, "Chain ", 6) != 0 && strncmp(line, "target ", 7) != 0 &&
			 strncmp(line, "pkts ", 5) != 0 && strncmp(line, "num ", 4) != 0;
	}
	bundle = load(path);
	for_each_rule(bundle->hosts[0], count_rule, totals);
	if (totals->rules - before != lines)
		fail_msg("%s: %zu rules read of %zu", path, totals->rules - before, lines);
	totals->files++;
}

static void test_listings(void **state)
{
	struct totals totals = {};

	in_data("net-network", check_listing, &totals);
	print_totals("iptables -L listings", &totals);
	assert_int_equal(totals.files, 5);
	assert_int_equal(totals.none, 0);
}

/* Scripts: libvirt's commands, one word a line, and those of classbench. */
static void check_script(const char *path, void *context)
{
	static const char *const words[] = {"--append ", "--insert ", "-A ", "-I ", "rule \\", "ip6tables -A ", NULL};
	struct totals *totals = context;
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_free char *text = NULL;
	size_t length, before = totals->rules, lines;

	if (!strstr(path, ".iptables") && !strstr(path, ".nftables") && !strstr(path, ".args") && !strstr(path, ".fw"))
		return;
	text = read_file(path, &length);
	lines = count_lines(text, words);
	bundle = load(path);
	for_each_rule(bundle->hosts[0], count_rule, totals);
	if (totals->rules - before != lines)
		fail_msg("%s: %zu rules read of %zu", path, totals->rules - before, lines);
	totals->files++;
}

static void test_scripts(void **state)
{
	struct totals totals = {};

	in_data("libvirt", check_script, &totals);
	in_data("classbench-ip6tables", check_script, &totals);
	print_totals("scripts", &totals);
	assert_true(totals.files > 60);
	assert_int_equal(totals.none, 0);
}

/* Docker's pages: each indented block that is a listing or a ruleset. */
static void check_block(const char *block, size_t length, struct totals *totals)
{
	cleanup_bundle struct bundle *bundle = bundle_from_text("captured.txt", block, length);

	if (bundle->hosts[0]->capture_count == 0 || !bundle->hosts[0]->captures[0].used)
		return;
	for_each_rule(bundle->hosts[0], count_rule, totals);
	totals->files++;
}

static void check_page(const char *path, void *context)
{
	cleanup_free char *text = NULL;
	struct strbuf block = {};
	size_t length;

	if (!strstr(path, ".md"))
		return;
	text = read_file(path, &length);
	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		size_t end = strcspn(line, "\n");
		bool more = strncmp(line, "    ", 4) == 0;

		/* a listing and the commands that make it stand in one block, parted by an empty line */
		if (more && strncmp(line, "    -P ", 7) == 0 && block.text && strstr(block.text, "Chain ")) {
			check_block(block.text, block.length, context);
			block.length = 0;
			block.text[0] = '\0';
		}
		if (more) {
			strbuf_add_bytes(&block, line + 4, end - 4);
			strbuf_add_char(&block, '\n');
		} else if (block.length > 0 && end > 0) {
			check_block(block.text, block.length, context);
			block.length = 0;
			block.text[0] = '\0';
		}
	}
	free(block.text);
}

static void test_pages(void **state)
{
	struct totals totals = {};

	in_data("docker-moby", check_page, &totals);
	print_totals("Docker's pages (blocks)", &totals);
	assert_true(totals.files > 40);
	assert_true(totals.rules > 400);
	assert_int_equal(totals.partly + totals.none, 0);
}

/* The kernel's sample: all of every scenario. */
static void test_scenarios(void **state)
{
	struct totals totals = {};
	size_t shadowed = 0;

	for (int i = 1; i <= 12; i++) {
		cleanup_free char *path = NULL;
		cleanup_bundle struct bundle *bundle = NULL;

		assert_true(asprintf(&path, "%s/kernel-sample/%04d", data, i) > 0);
		bundle = load(path);
		for (size_t h = 0; h < bundle->host_count; h++) {
			const struct facts *facts = bundle->hosts[h];

			for (size_t c = 0; c < facts->capture_count; c++) {
				assert_true(facts->captures[c].used);
				assert_int_equal(facts->captures[c].ignored, 0);
				assert_false(facts->captures[c].cut_off);
			}
			assert_int_equal(facts->note_count, 0);
			assert_int_equal(facts->links_known, TRUTH_YES);
			assert_true(facts_routes_known(facts, 2, "local") && facts_routes_known(facts, 10, "main"));
			for (size_t t = 0; t < facts->ruleset.table_count; t++)
				for (size_t j = 0; j < facts->ruleset.tables[t].chain_count; j++) {
					const struct chain *chain = &facts->ruleset.tables[t].chains[j];

					shadowed += chain->shadowed != NULL;
					for (size_t k = 0; k < chain->rule_count && !chain->shadowed; k++) {
						count_rule(NULL, NULL, &chain->rules[k], &totals);
						assert_int_equal(chain->rules[k].understood, UNDERSTOOD_FULLY);
					}
				}
			totals.files += facts->capture_count;
		}
	}
	print_totals("the kernel's sample", &totals);
	assert_true(shadowed > 10);
}

/* Every file there is, whatever it holds. */
/* Every file is read, or is refused because it is nobody's output: notes, licences, scripts. */
static void check_any(const char *path, void *context)
{
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_error struct error *err = NULL;

	if (bundle_load(path, &bundle, &err) == 0)
		++*(size_t *)context;
	else if (err->code != ENOENT)
		fail_msg("%s", err->message);
}

static void test_everything(void **state)
{
	size_t files = 0;

	walk(data, check_any, &files);
	print_message("%zu files hold facts\n", files);
	assert_true(files > 700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_saves), cmocka_unit_test(test_listings),	cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_pages), cmocka_unit_test(test_scenarios), cmocka_unit_test(test_everything),
	};
	int failed;

	data = getenv("NESTVISOR_DATA") ? strdup(getenv("NESTVISOR_DATA")) : source_path("../shared/data");
	if (!is_folder(data)) {
		printf("skip - facts_data: there are no captures in %s\n", data);
		free(data);
		return MISSING;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(data);
	return failed;
}
