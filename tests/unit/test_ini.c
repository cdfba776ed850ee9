/*
 * facts/ini.h: what WSL takes of a file and what not, and that an edit leaves every other byte where it was, in every
 * encoding and with every end of line.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "facts/ini.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	struct arena *arena;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->arena = arena_new();
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	arena_free(f->arena);
	free(f);
	return 0;
}

static struct ini *parse_bytes(struct fixture *f, enum ini_reader reader, const char *data, size_t length)
{
	cleanup_error struct error *err = NULL;
	struct ini *ini = NULL;
	size_t again;
	char *encoded;

	if (ini_parse(f->arena, reader, data, length, &ini, &err) < 0)
		fail_msg("%s", err->message);
	encoded = ini_encode(ini, &again);
	assert_int_equal(again, length);
	assert_memory_equal(encoded, data, length);
	return ini;
}

static struct ini *parse(struct fixture *f, enum ini_reader reader, const char *text)
{
	return parse_bytes(f, reader, text, strlen(text));
}

/* "line section.key=value", and behind an exclamation mark why it does not count; of invalid lines the reason alone. */
static void check_items(const struct ini *ini, const char *wanted)
{
	cleanup_strbuf struct strbuf got = {};

	for (size_t i = 0; i < ini->item_count; i++) {
		const struct ini_item *item = &ini->items[i];

		if (item->kind == INI_SETTING)
			strbuf_printf(&got, "%u %s.%s=<%s>", item->line, item->section, item->key, item->text);
		else if (item->kind == INI_INVALID)
			strbuf_printf(&got, "%u", item->line);
		else
			continue;
		if (item->ignored)
			strbuf_printf(&got, " ! %s", item->ignored);
		strbuf_add_char(&got, '\n');
	}
	assert_string_equal(got.text ? got.text : "", wanted);
}

static void check_text(const struct ini *ini, const char *wanted)
{
	assert_string_equal(ini->text, wanted);
}

static void test_values(void **state)
{
	check_items(parse(*state, INI_WSLCONFIG,
			  "[wsl2]\n"
			  "memory=4GB\n"
			  "  swap \t=\t 0  \t\n"
			  "kernel=C:\\\\Users\\\\me\\\\bzImage # mine\n"
			  "kernelCommandLine = \"a # b \" c\\n\\t\\\"\n"
			  "empty=\n"
			  "long = one \\\n"
			  "  two\n"
			  "last=1"),
		    "2 wsl2.memory=<4GB>\n"
		    "3 wsl2.swap=<0>\n"
		    "4 wsl2.kernel=<C:\\Users\\me\\bzImage>\n"
		    "5 wsl2.kernelCommandLine=<a # b  c\n\t\">\n"
		    "6 wsl2.empty=<>\n"
		    "7 wsl2.long=<one   two>\n"
		    "9 wsl2.last=<1>\n");
}

/* Lines that WSL does not understand are passed over in .wslconfig. */
static void test_invalid_lines(void **state)
{
	check_items(parse(*state, INI_WSLCONFIG,
			  "; a comment for others\n"
			  "[wsl2]\n"
			  "kernel=C:\\Users\\me\n"
			  "two words=1\n"
			  "9lives=1\n"
			  "novalue\n"
			  "open=\"x\n"
			  "memory=1GB\n"),
		    "1 ! WSL knows comments with # only\n"
		    "3 ! a backslash stands before a character that needs none: write \\\\ for it\n"
		    "4 ! a line is a [section], \"key=value\" with a key of letters and digits, or a comment with #\n"
		    "5 ! a key begins with a letter\n"
		    "6 ! a line is a [section], \"key=value\" with a key of letters and digits, or a comment with #\n"
		    "7 ! a quote is not closed\n"
		    "8 wsl2.memory=<1GB>\n");
}

/* A section that is not understood is not the one before it either, but for one case: that is how WSL's reader works.
 */
static void test_sections(void **state)
{
	check_items(parse(*state, INI_WSLCONFIG,
			  "early=1\n"
			  "[WSL2] # comment\n"
			  "a=1\n"
			  "[experimental] ; comment\n"
			  "b=1\n"
			  "[ wsl2 ]\n"
			  "c=1\n"
			  "[exp erimental]\n"
			  "d=1\n"),
		    "1 .early=<1> ! it stands in no section\n"
		    "3 WSL2.a=<1>\n"
		    "4 ! behind a section's name only a comment with # may stand\n"
		    "5 expe.b=<1>\n"
		    "6 ! a section's name begins with a letter, right behind the bracket\n"
		    "7 expe.c=<1>\n"
		    "8 ! a section's name has letters and digits only, and ends with ]\n"
		    "9 .d=<1> ! it stands in no section\n");
}

static void test_first_counts(void **state)
{
	struct ini *ini = parse(*state, INI_WSLCONFIG,
				"[wsl2]\nmemory=1GB\nMemory=2GB\n[experimental]\nmemory=3GB\n[Wsl2]\nmemory=4GB\n");

	check_items(ini, "2 wsl2.memory=<1GB>\n"
			 "3 wsl2.Memory=<2GB> ! line 2 has set it already, and the first counts\n"
			 "5 experimental.memory=<3GB>\n"
			 "7 Wsl2.memory=<4GB> ! line 2 has set it already, and the first counts\n");
	assert_string_equal(ini_find(ini, "WSL2", "MEMORY")->text, "1GB");
	assert_null(ini_find(ini, "wsl2", "swap"));
}

/* In wsl.conf the first line that is not understood ends it all. */
static void test_wslconf_stops(void **state)
{
	check_items(parse(*state, INI_WSLCONF, "[boot]\nsystemd=true\n; for Docker\n[user]\ndefault=me\n"),
		    "2 boot.systemd=<true>\n"
		    "3 ! WSL knows comments with # only\n"
		    "5 user.default=<me> ! WSL reads this file only to line 3, which it does not understand\n");
	check_items(parse(*state, INI_WSLCONF, "\xef\xbb\xbf[boot]\nsystemd=true\n"),
		    "2 boot.systemd=<true> ! WSL reads nothing of this file: it begins with a byte order mark\n");
	check_items(parse(*state, INI_WSLCONFIG, "\xef\xbb\xbf[wsl2]\nmemory=1GB\n"), "2 wsl2.memory=<1GB>\n");
}

static void test_line_ends(void **state)
{
	struct ini *ini = parse(*state, INI_WSLCONFIG, "[wsl2]\r\nmemory=1GB\r\nswap=a \\\r\nb\r\n\r\nx=1\rlast=2");

	assert_true(ini->crlf);
	check_items(ini, "2 wsl2.memory=<1GB>\n3 wsl2.swap=<a b>\n6 wsl2.x=<1>\n7 wsl2.last=<2>\n");
}

static void set(struct ini *ini, const char *section, const char *key, const char *value)
{
	cleanup_error struct error *err = NULL;

	if (ini_set(ini, section, key, value, &err) < 0)
		fail_msg("%s", err->message);
	assert_string_equal(ini_find(ini, section, key)->text, value);
}

static void test_set(void **state)
{
	struct ini *ini = parse(*state, INI_WSLCONFIG,
				"# mine\n[wsl2]\nmemory = 1GB   # enough\n\n# more\n[experimental]\nsparseVhd=true");

	set(ini, "wsl2", "memory", "1GB");
	set(ini, "wsl2", "Memory", "2GB");
	set(ini, "wsl2", "networkingMode", "mirrored");
	set(ini, "experimental", "ignoredPorts", "67");
	set(ini, "general", "instanceIdleTimeout", "-1");
	set(ini, "general", "text", " a # \"b\"\\ ");
	check_text(ini, "# mine\n[wsl2]\nmemory = 2GB   # enough\nnetworkingMode=mirrored\n\n# "
			"more\n[experimental]\nsparseVhd=true\n"
			"ignoredPorts=67\n\n[general]\ninstanceIdleTimeout=-1\ntext=\" a # \\\"b\\\"\\\\ \"\n");
}

static void test_set_in_nothing(void **state)
{
	struct ini *windows = parse(*state, INI_WSLCONFIG, ""), *linux_ = parse(*state, INI_WSLCONF, "");

	set(windows, "wsl2", "nestedVirtualization", "true");
	check_text(windows, "[wsl2]\r\nnestedVirtualization=true\r\n");
	set(linux_, "boot", "systemd", "true");
	check_text(linux_, "[boot]\nsystemd=true\n");
}

/* An empty value gets one, and one that wraps lines is replaced as a whole. */
static void test_set_odd_values(void **state)
{
	struct ini *ini = parse(*state, INI_WSLCONF, "[boot]\ncommand =\nsystemd=\\\n  false # off\n");

	set(ini, "boot", "command", "ip route add 10.0.0.0/8 via 192.168.122.2");
	set(ini, "boot", "systemd", "true");
	check_text(ini, "[boot]\ncommand =ip route add 10.0.0.0/8 via 192.168.122.2\nsystemd=true # off\n");
}

/* A last line that asks for one more does not take what is set behind it. */
static void test_set_behind_a_wrapped_end(void **state)
{
	struct ini *ini = parse(*state, INI_WSLCONFIG, "[experimental]\r\nsparseVhd=tru\\\r\n");

	set(ini, "experimental", "ignoredPorts", "67");
	check_text(ini, "[experimental]\r\nsparseVhd=tru\\\r\n\r\nignoredPorts=67\r\n");
	assert_string_equal(ini_find(ini, "experimental", "sparseVhd")->text, "tru");
}

/* What is set where WSL does not read to the end stands before that. */
static void test_set_before_the_stop(void **state)
{
	struct ini *ini = parse(*state, INI_WSLCONF, "[user]\ndefault=me\n; old\n[boot]\ncommand=x\n");

	set(ini, "boot", "systemd", "true");
	set(ini, "user", "extra", "1");
	set(ini, "boot", "command", "y");
	check_text(ini, "[boot]\nsystemd=true\ncommand=y\n\n[user]\ndefault=me\nextra=1\n; old\n[boot]\ncommand=x\n");
}

static void test_set_unreadable(void **state)
{
	cleanup_error struct error *err = NULL;
	struct ini *ini = parse(*state, INI_WSLCONF, "\xef\xbb\xbf[user]\ndefault=me\n");

	assert_int_equal(ini_set(ini, "boot", "systemd", "true", &err), -EINVAL);
	assert_non_null(strstr(err->message, "byte order mark"));
	ini = parse(*state, INI_WSLCONF, "\xef\xbb\xbf[user]\ndefault=me\n");
	assert_true(ini_make_readable(ini));
	assert_false(ini_make_readable(ini));
	set(ini, "boot", "systemd", "true");
	parse(*state, INI_WSLCONF, ini_encode(ini, &(size_t){0}));
	check_text(ini, "[user]\ndefault=me\n\n[boot]\nsystemd=true\n");
}

static void test_remove(void **state)
{
	struct ini *ini =
		parse(*state, INI_WSLCONFIG,
		      "[wsl2]\r\nignoredPorts=67\r\nmemory=1GB\r\nIgnoredPorts = 53 # x\r\n[a]\r\nignoredPorts=1");

	assert_true(ini_remove(ini, "wsl2", "ignoredports"));
	assert_false(ini_remove(ini, "wsl2", "ignoredports"));
	check_text(ini, "[wsl2]\r\nmemory=1GB\r\n[a]\r\nignoredPorts=1");
}

/* "[wsl2]\r\nmemory=1GB # für 𝄞\r\n" as Notepad writes it. */
static void test_utf16(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "[wsl2]\r\nmemory=1GB # f\xc3\xbcr \xf0\x9d\x84\x9e\r\n";

	for (int big = 0; big < 2; big++) {
		size_t length, written;
		char *wide = text_to_utf16(f->arena, text, strlen(text), big, &length),
		     *data = arena_alloc(f->arena, length + 2);
		const char *after = "[wsl2]\r\nmemory=2GB # f\xc3\xbcr \xf0\x9d\x84\x9e\r\n";
		char *wanted;
		struct ini *ini;

		memcpy(data, big ? "\xfe\xff" : "\xff\xfe", 2);
		memcpy(data + 2, wide, length);
		ini = parse_bytes(f, INI_WSLCONFIG, data, length + 2);
		if (big) {
			check_items(
				ini,
				"2 wsl2.memory=<1GB> ! WSL reads nothing of this file: it is UTF-16 in big endian\n");
			assert_true(ini_make_readable(ini));
			check_text(ini, text);
			continue;
		}
		set(ini, "wsl2", "memory", "2GB");
		wanted = text_to_utf16(f->arena, after, strlen(after), false, &length);
		data = ini_encode(ini, &written);
		assert_int_equal(written, length + 2);
		assert_memory_equal(data, "\xff\xfe", 2);
		assert_memory_equal(data + 2, wanted, length);
	}
}

/* Half a surrogate pair and half a unit cannot be written back: such a file is left alone. */
static void test_broken_utf16(void **state)
{
	struct fixture *f = *state;
	struct ini *ini;

	assert_int_equal(ini_parse(f->arena, INI_WSLCONFIG, "\xff\xfe\x00\xd8", 4, &ini, NULL), -EILSEQ);
	assert_int_equal(ini_parse(f->arena, INI_WSLCONFIG, "\xff\xfe[\0w", 5, &ini, NULL), -EILSEQ);
	assert_int_equal(ini_parse(f->arena, INI_WSLCONFIG, "\xff\xfe[\0", 4, &ini, NULL), 0);
}

/* Bytes of an old code page, NULs and the like stay what they are. */
static void test_other_bytes(void **state)
{
	static const char data[] = "[wsl2]\r\n# f\xfcr \0 alle\r\nmemory=1GB\r\n";
	static const char after[] = "[wsl2]\r\n# f\xfcr \0 alle\r\nmemory=2GB\r\n";
	struct ini *ini = parse_bytes(*state, INI_WSLCONFIG, data, sizeof(data) - 1);
	size_t length;
	char *written;

	set(ini, "wsl2", "memory", "2GB");
	written = ini_encode(ini, &length);
	assert_int_equal(length, sizeof(after) - 1);
	assert_memory_equal(written, after, length);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_values),
		TEST(test_invalid_lines),
		TEST(test_sections),
		TEST(test_first_counts),
		TEST(test_wslconf_stops),
		TEST(test_line_ends),
		TEST(test_set),
		TEST(test_set_in_nothing),
		TEST(test_set_odd_values),
		TEST(test_set_behind_a_wrapped_end),
		TEST(test_set_before_the_stop),
		TEST(test_set_unreadable),
		TEST(test_remove),
		TEST(test_utf16),
		TEST(test_broken_utf16),
		TEST(test_other_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
