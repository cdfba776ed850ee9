/*
 * base/diff.h: known differences, and for texts drawn at random that the difference turns the one into the other, has
 * no more changes than the longest common subsequence leaves (computed here the slow way), and that patch(1) takes it.
 */
#include "base/cleanup.h"
#include "base/diff.h"
#include "base/file.h"
#include "base/process.h"
#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *diff_of(const char *from, const char *to, size_t context)
{
	struct strbuf out = {};
	bool differ = diff_unified(&out, &(struct diff_side){"a", from, strlen(from)},
				   &(struct diff_side){"b", to, strlen(to)}, context);

	assert_int_equal(differ, strcmp(from, to) != 0);
	return strbuf_steal(&out);
}

static void check(const char *from, const char *to, const char *wanted)
{
	cleanup_free char *got = diff_of(from, to, DIFF_CONTEXT);

	assert_string_equal(got, wanted);
}

static void test_known(void **state)
{
	check("", "", "");
	check("a\n", "a\n", "");
	check("", "a\n", "--- a\n+++ b\n@@ -0,0 +1 @@\n+a\n");
	check("a\n", "", "--- a\n+++ b\n@@ -1 +0,0 @@\n-a\n");
	check("a", "a\n", "--- a\n+++ b\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
	check("[wsl2]\nmemory=4GB\n", "[wsl2]\nmemory=4GB\nnetworkingMode=mirrored\n",
	      "--- a\n+++ b\n@@ -1,2 +1,3 @@\n [wsl2]\n memory=4GB\n+networkingMode=mirrored\n");
	check("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n",
	      "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n");
}

/* Changes six equal lines apart share a hunk, seven do not. */
static void test_hunks(void **state)
{
	cleanup_free char *near = diff_of("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n", 3);
	cleanup_free char *far = diff_of("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n", 3);

	assert_string_equal(near, "--- a\n+++ b\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
	assert_string_equal(far,
			    "--- a\n+++ b\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
}

enum { LINES_MAX = 24 };

/* A text of up to LINES_MAX lines out of few different ones, so that much is common. */
static size_t draw(unsigned *seed, char *ret)
{
	size_t count = (size_t)rand_r(seed) % (LINES_MAX + 1);

	for (size_t i = 0; i < count; i++) {
		ret[2 * i] = (char)('a' + rand_r(seed) % 4);
		ret[2 * i + 1] = '\n';
	}
	if (count > 0 && rand_r(seed) % 4 == 0)
		ret[2 * count - 1] = '\0';
	ret[2 * count] = '\0';
	return count;
}

static bool same_line(const char *a, const char *b)
{
	return a[0] == b[0] && a[1] == b[1];
}

static size_t longest_common(const char *a, size_t n, const char *b, size_t m)
{
	size_t longest[LINES_MAX + 1][LINES_MAX + 1] = {};

	for (size_t i = 1; i <= n; i++)
		for (size_t j = 1; j <= m; j++) {
			size_t best = longest[i - 1][j] > longest[i][j - 1] ? longest[i - 1][j] : longest[i][j - 1];

			longest[i][j] = same_line(a + 2 * (i - 1), b + 2 * (j - 1)) ? longest[i - 1][j - 1] + 1 : best;
		}
	return longest[n][m];
}

static size_t count_changes(const char *diff)
{
	size_t changes = 0;

	for (const char *line = diff; *line; line = strchr(line, '\n') + 1)
		if ((line[0] == '-' || line[0] == '+') && line[1] != line[0])
			changes++;
	return changes;
}

/* With a context of everything there is one hunk, and both texts stand in it. */
static void check_sides(const char *diff, const char *from, const char *to)
{
	cleanup_strbuf struct strbuf old = {}, new = {};
	const char *line = strstr(diff, "@@\n");

	assert_non_null(line);
	for (line += 3; *line; line = strchr(line, '\n') + 1) {
		size_t length = (size_t)(strchr(line, '\n') - line);

		if (strncmp(line + length, "\n\\ No", 5) != 0)
			length++;
		if (line[0] == ' ' || line[0] == '-')
			strbuf_add_bytes(&old, line + 1, length - 1);
		if (line[0] == ' ' || line[0] == '+')
			strbuf_add_bytes(&new, line + 1, length - 1);
	}
	assert_string_equal(old.text ? old.text : "", from);
	assert_string_equal(new.text ? new.text : "", to);
}

static void test_smallest(void **state)
{
	unsigned seed = 4711;

	for (int i = 0; i < 3000; i++) {
		char from[2 * LINES_MAX + 1] = "", to[2 * LINES_MAX + 1] = "";
		size_t n = draw(&seed, from), m = draw(&seed, to);
		cleanup_free char *diff = diff_of(from, to, 100);

		if (!*diff)
			continue;
		check_sides(diff, from, to);
		assert_int_equal(count_changes(diff), n + m - 2 * longest_common(from, n, to, m));
	}
}

static void test_patch(void **state)
{
	char folder[] = "/tmp/nestvisor-test-diff.XXXXXX";
	cleanup_free char *patch = NULL, *path = NULL, *file_argument = NULL;
	unsigned seed = 815;

	if (process_find("patch", "patch", &patch, NULL) < 0)
		skip();
	assert_non_null(mkdtemp(folder));
	assert_true(asprintf(&path, "%s/file", folder) > 0);
	assert_true(asprintf(&file_argument, "--directory=%s", folder) > 0);
	for (int i = 0; i < 40; i++) {
		const char *argv[] = {patch, "--quiet", file_argument, "file", NULL};
		struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
		char from[2 * LINES_MAX + 1] = "", to[2 * LINES_MAX + 1] = "";
		cleanup_output struct process_output output = {};
		cleanup_free char *diff = NULL, *result = NULL;
		size_t length;

		draw(&seed, from);
		draw(&seed, to);
		diff = diff_of(from, to, (size_t)(i % 4));
		if (!*diff || !*to)
			continue;
		assert_int_equal(file_write_atomic(path, from, strlen(from), 0644, NULL), 0);
		assert_int_equal(process_run(&spec, diff, strlen(diff), -1, NULL, &output, NULL), 0);
		if (output.status != 0)
			fail_msg("patch refuses:\n%s\n%s", diff, output.out);
		assert_int_equal(file_read(path, 1 << 20, &result, &length, NULL), 0);
		assert_string_equal(result, to);
	}
	assert_int_equal(dir_remove(folder, NULL), 0);
}

/* Texts with nothing in common end in one replacement, in bounded time and memory. */
static void test_hopeless(void **state)
{
	cleanup_strbuf struct strbuf from = {}, to = {};
	cleanup_free char *diff = NULL;

	for (int i = 0; i < 20000; i++) {
		strbuf_printf(&from, "old %d\n", i);
		strbuf_printf(&to, "new %d\n", i);
	}
	diff = diff_of(from.text, to.text, 3);
	assert_ptr_equal(strstr(diff, "@@ -1,20000 +1,20000 @@\n-old 0\n-old 1\n"), strstr(diff, "@@"));
	assert_int_equal(count_changes(diff), 40000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known), cmocka_unit_test(test_hunks),    cmocka_unit_test(test_smallest),
		cmocka_unit_test(test_patch), cmocka_unit_test(test_hopeless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
