/*
 * WSL: what is said of files as people have them (tests/golden/wsl/<case>/in, with what else was captured beside them),
 * and what is made of them. Each case is checked, changed by a fix, changed again (nothing), and taken back.
 */
#include "facts_check.h"

#include "base/arena.h"
#include "cli/wslfiles.h"
#include "doctor/print.h"
#include "doctor/wsl_apply.h"
#include "doctor/wsl_keys.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const cases[] = {"appended", "notepad",   "marked", "messy", "fresh",
				    "done",	"windows10", "values", "bundle"};

struct fixture {
	struct arena *arena;
	char folder[40];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->arena = arena_new();
	snprintf(f->folder, sizeof(f->folder), "/tmp/nestvisor-test-wsl.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	setenv("NESTVISOR_STATE_DIR", arena_printf(f->arena, "%s/state", f->folder), 1);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dir_remove(f->folder, NULL), 0);
	arena_free(f->arena);
	free(f);
	return 0;
}

static const char *golden(struct fixture *f, const char *name, const char *file)
{
	cleanup_free char *path = source_path("tests/golden/wsl");

	return arena_printf(f->arena, "%s/%s/%s", path, name, file);
}

/* All that a finding says, without how it is drawn. */
static void add_finding(struct strbuf *out, const struct finding *finding)
{
	strbuf_printf(out, "%s %s (%s): %s\n", result_name(finding->result), finding->check->id, finding->patient->host,
		      finding->why);
	if (finding->evidence)
		strbuf_printf(out, "\tseen: %s\n", finding->evidence);
	for (size_t i = 0; i < finding->remedy_count; i++)
		strbuf_printf(out, "\tdo: %s\n", finding->remedy[i]);
	if (finding->after != AFTER_NOTHING)
		strbuf_printf(out, "\tthen: %s\n", afterwards_name(finding->after));
}

static void check_case(struct fixture *f, const char *name)
{
	cleanup_bundle struct bundle *bundle = load(golden(f, name, "in"));
	struct examination *examination = examination_new();
	cleanup_strbuf struct strbuf out = {};

	examination->bundle = bundle;
	for (size_t i = 0; i < bundle->host_count; i++)
		examination_add(examination, bundle->host_count > 1 ? bundle->hosts[i]->name : "WSL", bundle->hosts[i]);
	examination_run(examination);
	for (size_t i = 0; i < examination->finding_count; i++)
		if (strncmp(examination->findings[i].check->id, "wsl.", 4) == 0)
			add_finding(&out, &examination->findings[i]);
	check_golden(golden(f, name, "check.expected"), out.text);
	examination_free(examination);
}

static void test_checks(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_case(*state, cases[i]);
}

/* Bytes, which may be none of text. */
static void check_bytes(const char *path, const char *wanted_path)
{
	cleanup_free char *wanted = NULL, *got = NULL;
	size_t wanted_length = 0, length = 0;

	assert_int_equal(file_read(path, CAPTURE_SIZE_MAX, &got, &length, NULL), 0);
	if (getenv("NESTVISOR_GOLDEN")) {
		assert_int_equal(file_write_atomic(wanted_path, got, length, 0644, NULL), 0);
		return;
	}
	if (file_read(wanted_path, CAPTURE_SIZE_MAX, &wanted, &wanted_length, NULL) < 0)
		fail_msg("%s is missing; NESTVISOR_GOLDEN=write makes it", wanted_path);
	assert_int_equal(length, wanted_length);
	assert_memory_equal(got, wanted, length);
}

static const char *copy_in(struct fixture *f, const char *name, const char *file)
{
	const char *from = golden(f, name, arena_printf(f->arena, "in/%s", file));
	const char *to = arena_printf(f->arena, "%s/%s", f->folder, file);
	cleanup_free char *data = NULL;
	size_t length;

	if (file_read(from, CAPTURE_SIZE_MAX, &data, &length, NULL) == 0)
		assert_int_equal(file_write_atomic(to, data, length, 0644, NULL), 0);
	else
		unlink(to);
	return to;
}

static struct wsl_wishes read_wishes(struct fixture *f, const char *name)
{
	struct wsl_wishes wishes = {.nested = true, .mirrored = true, .keep_running = true, .systemd = true};
	cleanup_free char *text = NULL;
	struct wsl_route *routes = arena_alloc(f->arena, 8 * sizeof(*routes));
	size_t length;
	char *rest, *line;

	wishes.routes = routes;
	if (file_read(golden(f, name, "routes"), CAPTURE_SIZE_MAX, &text, &length, NULL) < 0)
		return wishes;
	for (rest = text; (line = strsep(&rest, "\n")) && *line; wishes.route_count++)
		assert_int_equal(wsl_route_parse(line, &routes[wishes.route_count], NULL), 0);
	return wishes;
}

static void plan(struct fixture *f, const char *name, const char *wslconfig, const char *wslconf,
		 struct wsl_change *ret)
{
	struct wsl_wishes wishes = read_wishes(f, name);
	cleanup_error struct error *err = NULL;

	if (wsl_change(f->arena, wslconfig, wslconf, &wishes, ret, &err) < 0)
		fail_msg("%s: %s", name, err->message);
}

/* The folder of the test is not part of what is expected. */
static void without_folder(struct fixture *f, struct strbuf *out, const char *text)
{
	size_t length = strlen(f->folder);

	for (const char *at; (at = strstr(text, f->folder)); text = at + length)
		strbuf_add_bytes(out, text, (size_t)(at - text));
	strbuf_add(out, text);
}

static void check_difference(struct fixture *f, const char *name, const struct wsl_change *change)
{
	cleanup_strbuf struct strbuf preview = {}, shown = {};

	assert_int_equal(fix_preview(&change->fix, &preview, NULL), 0);
	for (size_t i = 0; i < change->note_count; i++)
		strbuf_printf(&preview, "note: %s\n", change->notes[i]);
	without_folder(f, &shown, preview.text ? preview.text : "");
	check_golden(golden(f, name, "difference.expected"), shown.text);
}

static void apply_case(struct fixture *f, const char *name)
{
	const char *wslconfig = copy_in(f, name, ".wslconfig"), *wslconf = copy_in(f, name, "wsl.conf");
	bool had_config = file_exists(wslconfig), had_conf = file_exists(wslconf), changed;
	struct wsl_change change, again;
	size_t count;

	plan(f, name, wslconfig, wslconf, &change);
	check_difference(f, name, &change);
	assert_int_equal(fix_apply(&change.fix, NULL, &changed, NULL), 0);
	assert_int_equal(changed, change.fix.action_count > 0);
	check_bytes(wslconfig, golden(f, name, "wslconfig.expected"));
	check_bytes(wslconf, golden(f, name, "wsl.conf.expected"));

	plan(f, name, wslconfig, wslconf, &again);
	assert_int_equal(again.fix.action_count, 0);

	assert_int_equal(fix_undo("wsl", NULL, &count, NULL), 0);
	assert_int_equal(count, changed);
	assert_true(file_exists(wslconfig) == had_config && file_exists(wslconf) == had_conf);
	if (getenv("NESTVISOR_GOLDEN"))
		return;
	if (had_config)
		check_bytes(wslconfig, golden(f, name, "in/.wslconfig"));
	if (had_conf)
		check_bytes(wslconf, golden(f, name, "in/wsl.conf"));
}

static void test_apply(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		apply_case(*state, cases[i]);
}

/* After it was applied nothing of what is wished is complained about. */
static void test_applied_is_fine(void **state)
{
	static const char *const cured[] = {"wsl.nested", "wsl.networking", "wsl.dhcp-port", "wsl.loopback",
					    "wsl.idle",	  "wsl.systemd",    "wsl.routes"};
	struct fixture *f = *state;
	struct examination *examination;
	static const char version[] = "Microsoft Windows [Version 10.0.22631.4602]\r\n";
	struct capture_text texts[3] = {{"ver", "ver.txt", version, sizeof(version) - 1}};
	const char *names[] = {".wslconfig", "wsl.conf"};
	struct bundle *bundle;
	bool changed;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *wslconfig = copy_in(f, cases[i], ".wslconfig"), *wslconf = copy_in(f, cases[i], "wsl.conf");
		struct wsl_change change;

		plan(f, cases[i], wslconfig, wslconf, &change);
		assert_int_equal(fix_apply(&change.fix, NULL, &changed, NULL), 0);
		for (size_t j = 0; j < 2; j++) {
			char *data;

			assert_int_equal(
				file_read(j ? wslconf : wslconfig, CAPTURE_SIZE_MAX, &data, &texts[j + 1].length, NULL),
				0);
			texts[j + 1] = (struct capture_text){names[j], names[j], data, texts[j + 1].length};
		}
		bundle = bundle_from_texts("WSL", texts, 3);
		examination = examination_new();
		examination_add(examination, "WSL", bundle->hosts[0]);
		examination_run(examination);
		for (size_t j = 0; j < examination->finding_count; j++)
			for (size_t k = 0; k < sizeof(cured) / sizeof(*cured); k++)
				if (strcmp(examination->findings[j].check->id, cured[k]) == 0 &&
				    examination->findings[j].result != RESULT_PASS)
					fail_msg("%s: %s: %s", cases[i], cured[k], examination->findings[j].why);
		examination_free(examination);
		bundle_free(bundle);
		free((char *)texts[1].text);
		free((char *)texts[2].text);
		assert_int_equal(fix_undo(NULL, NULL, &(size_t){0}, NULL), 0);
	}
}

static void test_routes(void **state)
{
	static const char *const wrong[] = {"",
					    "192.168.124.0/24",
					    "192.168.124.0/24 via",
					    "192.168.124.0/24 via fd00::1",
					    "192.168.124.0/33 via 192.168.122.191",
					    "192.168.124.0/24 via 192.168.122.191; rm -rf /",
					    "192.168.124.0/24 via 192.168.122.191 dev virbr0 metric 5",
					    "default via 192.168.122.191"};
	struct wsl_route route;
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		cleanup_error struct error *err = NULL;

		assert_int_equal(wsl_route_parse(wrong[i], &route, &err), -EINVAL);
	}
	assert_int_equal(wsl_route_parse("192.168.124.7/24 via 192.168.122.191", &route, NULL), 0);
	assert_string_equal(prefix_format(&route.to, text), "192.168.124.0/24");
}

/* One wish touches nothing that another would. */
static void test_one_wish(void **state)
{
	struct fixture *f = *state;
	const char *path = copy_in(f, "messy", ".wslconfig");
	struct wsl_wishes wishes = {.nested = true};
	cleanup_strbuf struct strbuf preview = {};
	struct wsl_change change;

	assert_int_equal(wsl_change(f->arena, path, NULL, &wishes, &change, NULL), 0);
	assert_int_equal(change.fix.action_count, 1);
	assert_int_equal(fix_preview(&change.fix, &preview, NULL), 0);
	assert_null(strstr(preview.text, "mirrored\n+"));
	assert_non_null(strstr(preview.text, "+nestedVirtualization=true"));
	assert_null(strstr(strstr(preview.text, "@@ ") + 3, "\n-"));
}

/* UTF-16 that is none is left alone, aloud. */
static void test_unwritable(void **state)
{
	struct fixture *f = *state;
	const char *path = arena_printf(f->arena, "%s/.wslconfig", f->folder);
	struct wsl_wishes wishes = {.nested = true};
	cleanup_error struct error *err = NULL;
	struct wsl_change change;

	assert_int_equal(file_write_atomic(path, "\xff\xfe[", 3, 0644, NULL), 0);
	assert_int_equal(wsl_change(f->arena, path, NULL, &wishes, &change, &err), -EILSEQ);
	assert_non_null(strstr(err->message, ".wslconfig"));
}

/* The table: no key twice, every default one that the key may have, and each key found by what it is called. */
static void test_table(void **state)
{
	size_t count = 0;

	for (const struct wsl_key *key = wsl_keys; key->name; key++, count++) {
		assert_ptr_equal(wsl_key(key->file, key->section, key->name), key);
		assert_non_null(key->use);
		assert_true((key->type == WSL_CHOICE) == (key->choices != NULL));
		if (key->fallback && wsl_value_problem(key, key->fallback))
			fail_msg("%s: %s", key->name, wsl_value_problem(key, key->fallback));
		if (key->with)
			assert_non_null(wsl_key_named(key->file, key->with));
		if (key->also)
			assert_ptr_equal(wsl_key(key->file, key->also, key->name), key);
		assert_true((key->with == NULL) == (!key->with_value && !key->without_value));
	}
	assert_in_range(count, 60, 200);
	assert_string_equal(wsl_key_near(INI_WSLCONFIG, "wsl2", "nestedVirtualisation")->name, "nestedVirtualization");
	assert_string_equal(wsl_key_near(INI_WSLCONF, "boot", "sytemd")->name, "systemd");
	assert_null(wsl_key_near(INI_WSLCONFIG, "wsl2", "useWindowsDnsCache"));
	assert_null(wsl_key_named(INI_WSLCONF, "enabled"));
	assert_string_equal(wsl_section_near(INI_WSLCONFIG, "wsl"), "wsl2");
	assert_null(wsl_section_near(INI_WSLCONFIG, "Experimental"));
}

static void test_values(void **state)
{
	const struct wsl_key *ports = wsl_key(INI_WSLCONFIG, "experimental", "ignoredPorts");
	const struct wsl_key *memory = wsl_key(INI_WSLCONFIG, "wsl2", "memory");
	const struct wsl_key *kernel = wsl_key(INI_WSLCONFIG, "wsl2", "kernel");

	assert_null(wsl_value_problem(ports, "67"));
	assert_null(wsl_value_problem(ports, "53, 67,5353"));
	assert_non_null(wsl_value_problem(ports, ""));
	assert_non_null(wsl_value_problem(ports, "67,"));
	assert_non_null(wsl_value_problem(ports, "0"));
	assert_non_null(wsl_value_problem(ports, "65536"));
	assert_true(wsl_has_port("53, 67,5353", 67) && !wsl_has_port("670,6", 67) && wsl_has_port("x,67", 67));
	assert_null(wsl_value_problem(memory, "4G"));
	assert_null(wsl_value_problem(memory, "4GB"));
	assert_null(wsl_value_problem(memory, "4294967296"));
	assert_non_null(wsl_value_problem(memory, "4gb"));
	assert_non_null(wsl_value_problem(memory, "-4GB"));
	assert_null(wsl_value_problem(kernel, "C:\\temp\\new"));
	assert_non_null(wsl_value_problem(kernel, "C:\temp\new"));
}

static void check_version(const char *text, const char *version, const char *windows)
{
	cleanup_bundle struct bundle *bundle =
		bundle_from_texts("w", &(struct capture_text){"v", "wsl-version.txt", text, strlen(text)}, 1);
	const struct wsl *wsl = &bundle->hosts[0]->wsl;

	assert_true(version ? wsl->version && strcmp(wsl->version, version) == 0 : !wsl->version);
	assert_true(windows ? wsl->windows && strcmp(wsl->windows, windows) == 0 : !wsl->windows);
}

static void test_versions(void **state)
{
	check_version(
		"WSL version: 2.0.14.0\nKernel version: 5.15.133.1-1\nWSLg version: 1.0.59\nMSRDC version: "
		"1.2.4677\nDirect3D version: 1.611.1-81528511\nDXCore version: 10.0.25131.1002-220531-1700.rs-onecore\n"
		"Windows version: 10.0.22621.3155\n",
		"2.0.14.0", "10.0.22621.3155");
	check_version(
		"Версия WSL: 1.2.5.0\nВерсия DXCore: 10.0.25131.1002-220531-1700\nВерсия Windows: 10.0.23471.1000\n",
		"1.2.5.0", "10.0.23471.1000");
	check_version("Microsoft Windows [Versione 10.0.19045.3930]", NULL, "10.0.19045.3930");
	check_version("10.0.\n", NULL, NULL);
}

static void make_user(struct fixture *f, const char *name)
{
	assert_int_equal(dir_make(arena_printf(f->arena, "%s/mnt/c/Users/%s", f->folder, name), 0755, NULL), 0);
}

static void check_home(struct fixture *f, const char *wanted)
{
	cleanup_error struct error *err = NULL;
	const char *home;

	if (wslfiles_windows_home(f->arena, f->folder, NULL, &home, &err) < 0)
		fail_msg("%s", err->message);
	assert_string_equal(home, wanted);
}

/* Windows itself is asked first, then PATH, then its folders. */
static void test_windows_home(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	const char *system32 = arena_printf(f->arena, "%s/mnt/c/Windows/System32", f->folder), *home;
	const char *cmd = arena_printf(f->arena, "%s/cmd.exe", system32);
	const char *answers = "#!/bin/sh\n[ \"$1 $2\" = '/d /c' ] || exit 1\n"
			      "case $3 in ver) printf '\\r\\nMicrosoft Windows [Version 10.0.22631.1]\\r\\n' ;;\n"
			      "*) printf 'C:\\\\Users\\\\Jane Doe\\r\\n' ;; esac\n";
	cleanup_free char *path = strdup(getenv("PATH"));

	assert_false(wslfiles_inside(f->folder));
	assert_int_equal(dir_make(arena_printf(f->arena, "%s/run/WSL", f->folder), 0755, NULL), 0);
	assert_true(wslfiles_inside(f->folder));
	assert_int_equal(wslfiles_windows_home(f->arena, f->folder, NULL, &home, NULL), -ENOENT);
	make_user(f, "Public");
	make_user(f, "Default");
	make_user(f, "me");
	check_home(f, "/mnt/c/Users/me");
	make_user(f, "Jane Doe");
	assert_int_equal(wslfiles_windows_home(f->arena, f->folder, NULL, &home, &err), -ENOTUNIQ);
	assert_non_null(strstr(err->message, "/mnt/c/Users/me"));
	assert_non_null(strstr(err->hint, "--windows-home"));
	setenv("PATH",
	       arena_printf(f->arena, "%s:/mnt/c/Windows:/mnt/c/Users/me/AppData/Local/Microsoft/WindowsApps", path),
	       1);
	check_home(f, "/mnt/c/Users/me");
	assert_null(wslfiles_windows_version(f->arena, f->folder, NULL));
	assert_int_equal(dir_make(system32, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(cmd, answers, strlen(answers), 0755, NULL), 0);
	check_home(f, "/mnt/c/Users/Jane Doe");
	assert_non_null(strstr(wslfiles_windows_version(f->arena, f->folder, NULL), "10.0.22631.1"));
	setenv("PATH", path, 1);
	assert_int_equal(file_write_atomic(cmd, "#!/bin/sh\nexit 1\n", 17, 0755, NULL), 0);
	assert_int_equal(wslfiles_windows_home(f->arena, f->folder, NULL, &home, NULL), -ENOTUNIQ);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_checks),   TEST(test_apply),	      TEST(test_applied_is_fine), TEST(test_routes),
		TEST(test_one_wish), TEST(test_unwritable),   TEST(test_table),		  TEST(test_values),
		TEST(test_versions), TEST(test_windows_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
