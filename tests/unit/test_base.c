/* base/: addresses, files, locks, processes. */
#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/process.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char folder[] = "/tmp/nestvisor-test-base.XXXXXX";

static char *in_folder(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	return dir_remove(folder, NULL);
}

static void test_prefixes(void **state)
{
	struct prefix a, b, network;
	struct ip ip, host;
	char text[PREFIX_TEXT_SIZE], ip_text[IP_TEXT_SIZE];

	assert_true(prefix_parse("192.168.122.7/24", &a));
	network = prefix_network(&a);
	assert_string_equal(prefix_format(&network, text), "192.168.122.0/24");
	assert_true(ip_parse("192.168.122.255", &ip) && prefix_contains(&a, &ip));
	host = prefix_broadcast(&a);
	assert_true(ip_equal(&host, &ip));
	assert_true(ip_parse("192.168.123.0", &ip) && !prefix_contains(&a, &ip));
	assert_true(prefix_parse("192.168.0.0/16", &b) && prefix_overlaps(&a, &b) && prefix_overlaps(&b, &a));
	assert_true(prefix_parse("fd00:122::ffff/64", &b) && !prefix_overlaps(&a, &b));
	host = prefix_host(&b, 0x1ffff);
	assert_string_equal(ip_format(&host, ip_text), "fd00:122::1:ffff");
	assert_true(prefix_parse("0.0.0.0/0", &a) && prefix_contains(&a, &ip));
	for (size_t i = 0; i < 8; i++) {
		static const char *const wrong[8] = {"1.2.3.4/33", "1.2.3.4/", "1.2.3/8",    "::1/129",
						     "/8",	   "",	       "1.2.3.4/8x", "01.2.3.4/0000"};

		assert_false(prefix_parse(wrong[i], &a));
	}
}

static void test_mac(void **state)
{
	uint8_t mac[6];
	char text[MAC_TEXT_SIZE];

	assert_true(mac_parse("52:54:00:FC:38:e0", mac));
	assert_string_equal(mac_format(mac, text), "52:54:00:fc:38:e0");
	assert_false(mac_parse("52:54:00:fc:38", mac));
	assert_false(mac_parse("52:54:00:fc:38:e0:", mac));
	assert_false(mac_parse("52:54:00:fc:38:g0", mac));
}

static void test_arena(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	int *numbers = NULL;
	size_t count = 0;

	for (int i = 0; i < 1000; i++)
		*arena_push(arena, numbers, count) = i;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(numbers[i], i);
	assert_int_equal(strlen(arena_printf(arena, "%0200000d", 1)), 200000);
}

static void test_errors(void **state)
{
	cleanup_error struct error *err = NULL;

	assert_int_equal(error_errno(&err, ENOENT, "cannot read %s", "x"), -ENOENT);
	error_hint(&err, "first");
	error_hint(&err, "second");
	assert_int_equal(error_wrap(&err, "lab %s", "first"), -ENOENT);
	assert_string_equal(err->message, "lab first: cannot read x: No such file or directory");
	assert_string_equal(err->hint, "first");
	assert_int_equal(error_set(NULL, EIO, "nobody listens"), -EIO);
}

static void test_files(void **state)
{
	cleanup_free char *path = in_folder("a/b/c"), *parent = in_folder("a"), *data = NULL,
			  *file = in_folder("a/b/c/f"), *link = in_folder("a/out");
	cleanup_error struct error *err = NULL;
	char hash[HASH_TEXT_SIZE], hash2[HASH_TEXT_SIZE];
	struct stat st;
	size_t length;

	assert_int_equal(dir_make(path, 0755, &err), 0);
	assert_int_equal(dir_make(path, 0755, &err), 0);
	assert_int_equal(file_write_atomic(file, "abc", 3, 0640, &err), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(file_read(file, 100, &data, &length, &err), 0);
	assert_int_equal(length, 3);
	assert_string_equal(data, "abc");
	assert_int_equal(file_hash(file, hash, &err), 0);
	hash_bytes("abc", 3, hash2);
	assert_string_equal(hash, hash2);
	assert_string_equal(hash,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-4, B.1 */
	assert_int_equal(file_read(file, 2, &data, &length, &err), -EFBIG);
	assert_int_equal(symlink("/etc", link), 0);
	assert_int_equal(dir_remove(parent, &err), 0);
	assert_false(file_exists(parent));
	assert_true(file_exists("/etc/passwd"));
	assert_int_equal(dir_remove(parent, &err), 0);
	assert_int_equal(file_read(file, 2, &data, &length, &err), -ENOENT);
}

/* What a user names as the place for an output may be no file of ours to replace. */
static void test_output(void **state)
{
	cleanup_free char *file = in_folder("output"), *link = in_folder("link"), *fifo = in_folder("fifo");
	cleanup_error struct error *err = NULL;
	cleanup_close int reader = -1;
	char text[8] = "";
	struct stat st;

	assert_int_equal(file_write_output(file, "abc", 3, 0600, &err), 0);
	assert_int_equal(symlink(file, link), 0);
	assert_int_equal(file_write_output(link, "defg", 4, 0600, &err), 0);
	assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	assert_true(stat(file, &st) == 0 && st.st_size == 4);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(file_write_output(fifo, "hij", 3, 0600, &err), 0);
	assert_true(lstat(fifo, &st) == 0 && S_ISFIFO(st.st_mode));
	assert_int_equal(read(reader, text, sizeof(text)), 3);
	assert_string_equal(text, "hij");
	assert_int_equal(file_write_output("/dev/full", "x", 1, 0600, &err), -ENOSPC);
	assert_true(stat("/dev/full", &st) == 0 && S_ISCHR(st.st_mode));
	assert_true(unlink(file) == 0 && unlink(link) == 0 && unlink(fifo) == 0);
}

static void test_lock(void **state)
{
	cleanup_free char *path = in_folder("lock");
	cleanup_error struct error *err = NULL;
	cleanup_close int first = -1;
	int second = -1;

	assert_int_equal(file_lock(path, "up first", 0, NULL, NULL, &first, &err), 0);
	assert_int_equal(file_lock(path, "down first", 0, NULL, NULL, &second, &err), -EBUSY);
	assert_non_null(strstr(err->message, "up first"));
	close(steal_fd(&first));
	assert_int_equal(file_lock(path, "down first", 0, NULL, NULL, &second, &err), 0);
	close(second);
}

static void test_run(void **state)
{
	static const char *const argv[] = {"sh", "-c", "cat; echo oops >&2; exit 7", NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	size_t size = 3 << 20;
	char *big = malloc(size);

	assert_non_null(big);
	memset(big, 'x', size);
	assert_int_equal(process_run(&spec, big, size, -1, NULL, &output, &err), 0);
	assert_int_equal(output.status, 7);
	assert_int_equal(output.out_length, size);
	assert_memory_equal(output.out, big, size);
	assert_string_equal(output.err, "oops\n");
	free(big);
}

/* Its input waits for what it says; of what never says it, the input just ends. */
static void test_run_in_after(void **state)
{
	static const char *const says[] = {"sh", "-c", "echo before >&2; echo ready >&2; cat", NULL};
	static const char *const never[] = {"sh", "-c", "echo before >&2; exec 2>&-; cat", NULL};
	struct process_spec spec = {.argv = says, .netns = -1, .in = -1, .out = -1, .err = -1, .in_after = "ready\n"};
	cleanup_output struct process_output output = {0};

	(void)state;
	assert_int_equal(process_run(&spec, "in", 2, -1, NULL, &output, NULL), 0);
	assert_string_equal(output.out, "in");
	assert_string_equal(output.err, "before\nready\n");
	process_output_clear(&output);
	spec.argv = never;
	assert_int_equal(process_run(&spec, "in", 2, -1, NULL, &output, NULL), 0);
	assert_int_equal(output.out_length, 0);
	assert_string_equal(output.err, "before\n");
}

static void test_run_limits(void **state)
{
	static const char *const argv[] = {"sleep", "1000", NULL};
	static const char *const missing[] = {"/no/such/program", NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	struct cancel cancel;

	assert_int_equal(process_run(&spec, NULL, 0, 20, NULL, &output, &err), -ETIMEDOUT);
	assert_int_equal(cancel_open(&cancel), 0);
	cancel_request(&cancel);
	assert_int_equal(process_run(&spec, NULL, 0, -1, &cancel, &output, &err), -ECANCELED);
	cancel_close(&cancel);
	spec.argv = missing;
	assert_int_equal(process_run(&spec, NULL, 0, -1, NULL, &output, &err), -ENOENT);
	assert_non_null(strstr(err->message, "/no/such/program"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to reap */
	assert_int_equal(errno, ECHILD);
}

static void test_pid_file(void **state)
{
	cleanup_free char *path = in_folder("pid");
	const char *const argv[] = {"sleep", "1000", NULL};
	struct process_spec spec = {
		.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1, .pid_file = path, .detach = true};
	cleanup_error struct error *err = NULL;
	struct process_id id, read_back, wrong;

	assert_int_equal(process_spawn(&spec, &id, &err), 0);
	assert_int_equal(process_read_pid_file(path, &read_back, &err), 0);
	assert_int_equal(read_back.pid, id.pid);
	assert_true(read_back.start == id.start);
	assert_true(process_alive(&id));
	wrong = id;
	wrong.start++;
	assert_false(process_alive(&wrong)); /* the same pid, another process */
	assert_int_equal(process_end(&wrong, 1000, &err), 0);
	assert_true(process_alive(&id));
	assert_int_equal(process_end(&id, 1000, &err), 0);
	assert_false(process_alive(&id));
	assert_int_equal(process_end(&id, 1000, &err), 0);
}

static void test_end_stubborn(void **state)
{
	int ready[2];
	const char *const argv[] = {"sh", "-c", "trap '' TERM; echo; while :; do read x < /dev/zero; done", NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .err = -1};
	cleanup_error struct error *err = NULL;
	struct process_id id;
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	spec.out = ready[1];
	assert_int_equal(process_spawn(&spec, &id, &err), 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1); /* the trap is set */
	close(ready[0]);
	assert_int_equal(process_end(&id, 20, &err), 0);
	assert_false(process_alive(&id));
}

static void test_json(void **state)
{
	cleanup_error struct error *err = NULL;
	cleanup_json json_t *json = NULL;

	assert_int_equal(json_parse("{\"a\": 1, \"b\": \"x\"}", 18, "the answer", &json, &err), 0);
	assert_int_equal(json_get_integer(json, "a", 0), 1);
	assert_int_equal(json_get_integer(json, "b", 5), 5);
	assert_string_equal(json_get_string(json, "b", ""), "x");
	json_decref(steal_pointer(&json));
	assert_int_equal(json_parse("{\n  \"a\": }", 10, "the answer", &json, &err), -EBADMSG);
	assert_non_null(strstr(err->message, "line 2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),     cmocka_unit_test(test_mac),
		cmocka_unit_test(test_arena),	     cmocka_unit_test(test_errors),
		cmocka_unit_test(test_files),	     cmocka_unit_test(test_output),
		cmocka_unit_test(test_lock),	     cmocka_unit_test(test_run),
		cmocka_unit_test(test_run_in_after), cmocka_unit_test(test_run_limits),
		cmocka_unit_test(test_pid_file),     cmocka_unit_test(test_json),
		cmocka_unit_test(test_end_stubborn),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
