/* What logs say: each pattern on lines of real logs, none on a boring one, and what is done with them. */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "facts/logs.h"
#include "facts_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BORING_LINES = 10000, SHORTEST_ANCHOR = 6, ID_SIZE = 64, MATCHES = 8 };

static char *read_fixture(const char *name, size_t *ret_length)
{
	cleanup_free char *below = NULL, *path = NULL;

	if (asprintf(&below, "tests/fixtures/logs/%s", name) < 0)
		abort();
	path = source_path(below);
	return read_file(path, ret_length);
}

static const struct log_pattern *find(const char *id)
{
	size_t count;
	const struct log_pattern *patterns = log_patterns(&count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(patterns[i].id, id) == 0)
			return &patterns[i];
	fail_msg("excerpts.txt speaks of %s, which is no pattern", id);
	return NULL;
}

static void test_table(void **state)
{
	size_t count;
	const struct log_pattern *patterns = log_patterns(&count);

	assert_true(count >= 40);
	for (size_t i = 0; i < count; i++) {
		const struct log_pattern *pattern = &patterns[i];
		cleanup_free char *match = strdup(pattern->match);
		char *save, *alternative;

		assert_true(pattern->id && pattern->cause && pattern->remedy && pattern->source);
		assert_true(pattern->where && !(pattern->where & ~(unsigned)LOG_ANY));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(patterns[j].id, pattern->id);
		for (alternative = strtok_r(match, "|", &save); alternative; alternative = strtok_r(NULL, "|", &save)) {
			size_t longest = 0;

			for (const char *at = alternative; *at; at += strcspn(at, "*"), at += *at == '*')
				longest = strcspn(at, "*") > longest ? strcspn(at, "*") : longest;
			if (longest < SHORTEST_ANCHOR) /* would be looked at in too many lines */
				fail_msg("%s: nothing in \"%s\" is long enough to look for", pattern->id, alternative);
		}
	}
}

static void test_excerpts(void **state)
{
	size_t count, length, seen_count = 0;
	const struct log_pattern *patterns = log_patterns(&count), *wanted = NULL;
	cleanup_free char *text = read_fixture("excerpts.txt", &length);
	cleanup_free bool *seen = calloc(count, sizeof(*seen));
	char *save, *line;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const struct log_pattern *found;
		char id[ID_SIZE];

		if (sscanf(line, "## %63s", id) == 1) {
			wanted = find(id);
			continue;
		}
		assert_non_null(wanted);
		found = log_match_line(line, strlen(line), LOG_ANY);
		if (found != wanted)
			fail_msg("\"%s\" is found as %s, not as %s", line, found ? found->id : "nothing", wanted->id);
		assert_ptr_equal(log_match_line(line, strlen(line), wanted->where), wanted);
		seen[wanted - patterns] = true;
	}
	for (size_t i = 0; i < count; i++) {
		if (!seen[i])
			fail_msg("no line of a real log was seen for %s", patterns[i].id);
		seen_count += seen[i];
	}
	assert_int_equal(seen_count, count);
}

static void fail_on_match(const struct log_match *match, void *data)
{
	fail_msg("line %zu is found as %s: %.*s", match->line, match->pattern->id, (int)match->length, match->text);
}

static void test_boring(void **state)
{
	cleanup_strbuf struct strbuf text = {0};
	size_t length, lines = 0;
	cleanup_free char *boring = read_fixture("boring.txt", &length);

	for (size_t i = 0; i < length; i++)
		lines += boring[i] == '\n';
	assert_true(lines > 200);
	for (size_t written = 0; written < BORING_LINES; written += lines)
		strbuf_add(&text, boring);
	assert_int_equal(log_scan(text.text, text.length, LOG_ANY, fail_on_match, NULL), 0);
}

struct matches {
	size_t count;
	size_t lines[MATCHES];
	const char *ids[MATCHES];
	char last[128];
};

static void remember(const struct log_match *match, void *data)
{
	struct matches *matches = data;

	assert_true(matches->count < MATCHES);
	matches->lines[matches->count] = match->line;
	matches->ids[matches->count++] = match->pattern->id;
	snprintf(matches->last, sizeof(matches->last), "%.*s", (int)match->length, match->text);
}

static void scan(const char *text, unsigned where, struct matches *ret)
{
	size_t count;

	*ret = (struct matches){0};
	count = log_scan(text, strlen(text), where, remember, ret);
	assert_int_equal(count, ret->count);
}

static void test_order(void **state)
{
	struct matches matches;

	/* in the order of lines, not of the table; twice in a line counts once; the end of the text is an end of a line
	 */
	scan("one\n"
	     "[ 1.0] tsc: Marking TSC unstable due to x\n"
	     "\n"
	     "qemu-system-x86_64: Failed to get \"write\" lock Failed to get \"write\" lock\r\n"
	     "kvm: disabled by bios",
	     LOG_ANY, &matches);
	assert_int_equal(matches.count, 3);
	assert_int_equal(matches.lines[0], 2);
	assert_string_equal(matches.ids[0], "time.tsc-unstable");
	assert_int_equal(matches.lines[1], 4);
	assert_string_equal(matches.ids[1], "qemu.image-locked");
	assert_int_equal(matches.lines[2], 5);
	assert_string_equal(matches.ids[2], "kvm.firmware-off");
	assert_string_equal(matches.last, "kvm: disabled by bios");
}

static void test_stars(void **state)
{
	struct matches matches;

	/* the pieces must be in order, and in one line */
	scan("avc: denied { x } scontext=a:svirt_t", LOG_ANY, &matches);
	assert_int_equal(matches.count, 1);
	scan("scontext=a:svirt_t avc: denied { x }", LOG_ANY, &matches);
	assert_int_equal(matches.count, 0);
	scan("avc: denied { x }\nscontext=a:svirt_t", LOG_ANY, &matches);
	assert_int_equal(matches.count, 0);
	scan("", LOG_ANY, &matches);
	assert_int_equal(matches.count, 0);
}

static void test_where(void **state)
{
	static const char line[] = "WslRegisterDistribution failed with error: 0x80370102\n";
	struct matches matches;

	scan(line, LOG_KERNEL | LOG_QEMU | LOG_LIBVIRT, &matches);
	assert_int_equal(matches.count, 0);
	scan(line, LOG_WINDOWS, &matches);
	assert_int_equal(matches.count, 1);
}

/* The special pattern counts, although the general one fits, too. */
static void test_special_first(void **state)
{
	struct matches matches;

	scan("qemu-system-x86_64: -accel kvm: failed to initialize kvm: Permission denied\n"
	     "qemu-system-x86_64: -drive file=a: Could not open 'a': Permission denied\n"
	     "qemu-kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory\n",
	     LOG_QEMU, &matches);
	assert_int_equal(matches.count, 3);
	assert_string_equal(matches.ids[0], "kvm.permission");
	assert_string_equal(matches.ids[1], "qemu.cannot-open");
	assert_string_equal(matches.ids[2], "qemu.memory");
}

static void test_clean(void **state)
{
	static const char line[] = "\033[31mred\033[0m \033]0;title\a\xc2\x9b"
				   "31m \t";
	char clean[32];

	log_clean_line(line, sizeof(line) - 1, clean, sizeof(clean));
	assert_string_equal(clean, "red ]0;title??31m");
	log_clean_line("abcdef", 6, clean, 4);
	assert_string_equal(clean, "abc");
	log_clean_line("\033[", 2, clean, sizeof(clean));
	assert_string_equal(clean, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	      cmocka_unit_test(test_excerpts), cmocka_unit_test(test_boring),
		cmocka_unit_test(test_order),	      cmocka_unit_test(test_stars),    cmocka_unit_test(test_where),
		cmocka_unit_test(test_special_first), cmocka_unit_test(test_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
