/* config/: files that mean no good: empty, binary, large, full of aliases, with names that aim at a shell or at another
 * folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config_load.h"

static char *repeat(const char *start, const char *piece, size_t count, size_t *ret_length)
{
	struct strbuf text = {0};

	strbuf_add(&text, start);
	for (size_t i = 0; i < count; i++)
		strbuf_add(&text, piece);
	*ret_length = text.length;
	return strbuf_steal(&text);
}

static void assert_refused(const char *text, size_t length, const char *message)
{
	cleanup_loaded struct loaded loaded = {0};

	load_bytes(&loaded, "test", text, length, NULL);
	if (loaded.r == 0 || !strstr(loaded.text.text, message))
		fail_msg("expected \"%s\", got:\n%.2000s", message, loaded.text.text);
	assert_true(loaded.text.length < 200000); /* whatever the file's size, a person can read what is said */
}

static void test_empty(void **state)
{
	assert_refused("", 0, "the file is empty");
	assert_refused("\n\n  \n", 5, "the file is empty");
	assert_refused("---\n...\n", 8, "the file is empty");
	assert_refused("~", 1, "the file is empty");
}

static void test_binary(void **state)
{
	char bytes[4096];
	uint32_t random = 1;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		random = random * 1664525 + 1013904223;
		bytes[i] = (char)(random >> 24);
	}
	assert_refused(bytes, sizeof(bytes), "this is not a text file");
	assert_refused("\x7f"
		       "ELF\x02\x01\x01\0\0\0",
		       10, "this is not a text file");
	assert_refused("lab: x\0y\n", 9, "test:1:7: error: this is not a text file");
	assert_refused("\xff\xfel\0a\0b\0", 8, "UTF-16");
}

static void test_ten_megabytes(void **state)
{
	static const struct {
		const char *start, *piece, *message;
	} files[] = {
		{"", "aaaaaaaaaa", "must be a map"},
		{"", "a: 1\n", "there are more"},
		{"lab: x\nguests: {a: {tags: [", "[", "more than 200 levels"},
		{"lab: x\nguests:\n", " - a\n", "must be a map of names"},
		{"lab: x\npolicy:\n", " - deny: {from: a, to: b}\n", "there are more"},
		{"lab: x\nguests: {g: {nics: [], publish: [", "22,", "not YAML"},
		{"", "#aaaaaaaaa\n", "the file is empty"},
		{"lab: ", "&a ", "not YAML"},
		{"", "\xff\xff\xff\xff", "not a text file"},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		size_t length;
		cleanup_free char *text =
			repeat(files[i].start, files[i].piece, 10000000 / strlen(files[i].piece), &length);

		assert_refused(text, length, files[i].message);
	}
}

static void test_too_large(void **state)
{
	size_t length;
	cleanup_free char *text = repeat("lab: x\n", "################################################################",
					 (64 << 20) / 64, &length);

	assert_refused(text, length, "larger than 64 MiB");
}

static void test_aliases(void **state)
{
	cleanup_strbuf struct strbuf text = {0};
	cleanup_loaded struct loaded loaded = {0};
	size_t said = 0;

	strbuf_add(&text, "lab: x\ndefaults: &a0 {cpus: 1}\n");
	for (int i = 1; i < 1000; i++)
		strbuf_printf(&text, "k%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1, i - 1);
	load_bytes(&loaded, "test", text.text, text.length, NULL);
	for (size_t i = 0; i < loaded.problems.count; i++)
		said += strstr(loaded.problems.items[i].message, "anchors and aliases") != NULL;
	assert_int_equal(said, 1); /* once, however many there are */
}

static void test_many_problems_are_cut(void **state)
{
	cleanup_strbuf struct strbuf text = {0};
	cleanup_loaded struct loaded loaded = {0};

	strbuf_add(&text, "lab: x\nguests:\n");
	for (int i = 0; i < 5000; i++)
		strbuf_printf(&text, "  g%d: {cpus: none, nisc: []}\n", i);
	load_bytes(&loaded, "test", text.text, text.length, NULL);
	assert_true(loaded.problems.errors > 100 && loaded.problems.errors < 300);
	assert_int_equal(loaded.problems.items[0].place.line, 3);
	assert_non_null(strstr(loaded.problems.items[loaded.problems.count - 1].message, "there are more"));
}

static void test_hostile_names(void **state)
{
	static const char *const names[] = {"../x", "..",  ".",	   "a b", "it's", "a\\\"b", "$(x)", "`x`",
					    "a;b",  "-rf", "/etc", "a/b", "A",	  "é",	    ""};
	char name[301];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cleanup_free char *lab = NULL, *guest = NULL, *network = NULL;

		assert_true(asprintf(&lab, "lab: \"%s\"\n", names[i]) > 0);
		assert_error(lab, "is not a name");
		assert_true(asprintf(&guest, "lab: x\nguests: {\"%s\": {nics: []}}\n", names[i]) > 0);
		assert_error(guest, "is not a name");
		assert_true(asprintf(&network, "lab: x\nnetworks: {\"%s\": {subnet: 10.0.0.0/24}}\n", names[i]) > 0);
		assert_error(network, "is not a name");
	}
	memset(name, 'x', 300);
	name[300] = '\0';
	{
		cleanup_free char *lab = NULL, *guest = NULL;

		assert_true(asprintf(&lab, "lab: %s\n", name) > 0);
		assert_error(lab, "has 300 characters; a name has at most 40");
		assert_true(asprintf(&guest, "lab: x\nguests: {%s: {nics: []}}\n", name) > 0);
		assert_error(guest, "has 300 characters");
	}
	name[40] = '\0';
	{
		cleanup_free char *lab = NULL;

		assert_true(asprintf(&lab, "lab: %s\n", name) > 0);
		lab_free(load_fine(lab));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),	      cmocka_unit_test(test_binary),
		cmocka_unit_test(test_ten_megabytes), cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_aliases),	      cmocka_unit_test(test_many_problems_are_cut),
		cmocka_unit_test(test_hostile_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
