/* image/: builds that fail, disks that are full, several builders at once, killed and cancelled ones. */
#include "image_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

static void assert_nothing_left(const struct fixture *f)
{
	assert_false(file_exists(in_cache(f, "build.tiny")));
	assert_int_equal(count_entries(in_cache(f, "images")), 0);
	assert_int_equal(count_entries(in_cache(f, "layers")), 0);
	assert_int_equal(count_entries(in_cache(f, "current")), 0);
}

/* ------------------------------------------------------------------ failures */

static void test_script_fails(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("fail"));
	struct image_build build = make_build(f, &recipe);
	cleanup_error struct error *err = NULL;
	cleanup_free char *log = NULL;
	struct image image;
	size_t length;

	assert_int_equal(image_get_built(&build, NULL, &image, &err), -EIO);
	assert_string_equal(err->message, "making image tiny failed: the sky fell");
	assert_non_null(strstr(err->hint, "hold it up"));
	assert_int_equal(file_read(in_cache(f, "tiny.log"), 1 << 20, &log, &length, NULL), 0);
	assert_string_equal(log, "this goes to the log\n");
	assert_nothing_left(f);

	recipe = make_recipe(TABLE("crash"));
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -EIO);
	assert_non_null(strstr(err->message, "status 7: sh: something broke"));
	assert_nothing_left(f);

	recipe = make_recipe(TABLE("empty"));
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -EIO);
	assert_non_null(strstr(err->message, "did not make all"));
	assert_nothing_left(f);
}

static void test_missing_program(void **state)
{
	static const struct image_program programs[] = {{"sh", "dash"}, {"no-such-program", "a-package"}, {NULL, NULL}};
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	cleanup_error struct error *err = NULL;
	struct image image;

	recipe.programs = programs;
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -ENOENT);
	assert_non_null(strstr(err->message, "no-such-program"));
	assert_string_equal(err->hint, "apt-get install a-package");
	assert_int_equal(runs(f), 0);
	assert_nothing_left(f);
}

static void test_no_folder(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("ok"));
	struct image_build build = make_build(f, &recipe);
	cleanup_error struct error *err = NULL;
	struct image image;

	build.cache = make_nestvisor(f, "a file");
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -ENOTDIR);
	assert_non_null(strstr(err->message, build.cache));
	assert_non_null(strstr(err->hint, "NESTVISOR_CACHE"));
}

struct disk_full {
	uint64_t needs;
	const char *mode;
	size_t nestvisor_size;
};

/* On a tmpfs of 8 MB in a mount namespace of its own. Its exit status is that of this child. */
static void fill_disk(const struct fixture *f, const struct disk_full *how)
{
	struct image_recipe recipe = make_recipe(TABLE(how->mode));
	struct image_build build = make_build(f, &recipe);
	struct error *err = NULL;
	struct image image;
	char *big = malloc(how->nestvisor_size + 1);

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", f->cache, "tmpfs", 0, "size=8m") < 0)
		_exit(77);
	recipe.needs_space = how->needs;
	if (how->nestvisor_size) {
		memset(big, 'x', how->nestvisor_size); /* not zeros, which would take no room */
		build.nestvisor = arena_printf(f->arena, "%s/large", f->folder);
		if (file_write_atomic(build.nestvisor, big, how->nestvisor_size, 0755, NULL) < 0)
			_exit(2);
	}
	if (image_get_built(&build, NULL, &image, &err) != -ENOSPC) {
		print_error("%s\n", err ? err->message : "no error");
		_exit(3);
	}
	if (!strstr(err->message, f->cache) || !strstr(err->message, " MB are free") ||
	    !strstr(err->hint, "NESTVISOR_CACHE"))
		_exit(4);
	if (file_exists(in_cache(f, "build.tiny")) || file_exists(in_cache(f, "tiny.log")) ||
	    count_entries(in_cache(f, "images")) != 0)
		_exit(5);
	_exit(0);
}

static void test_disk_full(void **state)
{
	static const struct disk_full ways[] = {
		{.needs = 700 << 20, .mode = "ok"},			     /* seen before anything is done */
		{.needs = 1 << 20, .mode = "big"},			     /* while the script works */
		{.needs = 1 << 20, .mode = "ok", .nestvisor_size = 7 << 20}, /* while it is packed */
		{.needs = 1 << 20, .mode = "ok", .nestvisor_size = 2 << 20}, /* while the carrier is made */
	};
	struct fixture *f = *state;
	int status;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0)
			fill_disk(f, &ways[i]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77) {
			print_message("skipped: a mount namespace cannot be made here\n");
			skip();
		}
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* ------------------------------------------------------------------ several builders, and killed ones */

/* Opens the FIFO for writing, which waits until a script reads it. */
static int wait_for_script(const struct fixture *f)
{
	int fd = open(f->fifo, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static pid_t read_pid(const struct fixture *f)
{
	cleanup_free char *text = NULL;
	size_t length;

	assert_int_equal(file_read(in_cache(f, "pid"), 64, &text, &length, NULL), 0);
	return (pid_t)atoi(text);
}

static pid_t start_builder(const struct fixture *f, const struct image_recipe *recipe)
{
	struct image_build build = make_build(f, recipe);
	struct image image;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(image_get_built(&build, NULL, &image, NULL) == 0 ? 0 : 1);
	return child;
}

/* Lets the script go on as soon as somebody waits for the lock. */
struct releaser {
	struct collector collector;
	int fd;
	const char *go;
};

static void release(struct reporter *reporter, enum report_kind kind, const char *subject, const char *text)
{
	struct releaser *r = (struct releaser *)reporter;

	collect(reporter, kind, subject, text);
	if (kind == REPORT_BEGIN && strstr(text, "waiting for process"))
		assert_int_equal(write(r->fd, r->go, strlen(r->go)), (ssize_t)strlen(r->go));
}

static void test_second_builder_waits(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("block"));
	struct image_build build = make_build(f, &recipe);
	struct releaser releaser = {.collector = {.reporter = {release}}, .go = "go\n"};
	pid_t first = start_builder(f, &recipe);
	struct image image;
	char expect[64];
	int status;

	releaser.fd = wait_for_script(f);
	build.reporter = &releaser.collector.reporter;
	assert_built(&build, &image);
	close(releaser.fd);
	assert_int_equal(waitpid(first, &status, 0), first);
	assert_int_equal(status, 0);
	assert_int_equal(runs(f), 1);
	snprintf(expect, sizeof(expect), "waiting for process %d image tiny", first);
	assert_non_null(strstr(releaser.collector.text, expect));
}

/* Its script lives on for a moment and holds the lock; then the next builder clears up and builds. */
static void test_builder_killed(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("block"));
	struct image_build build = make_build(f, &recipe);
	struct releaser releaser = {.collector = {.reporter = {release}}, .go = "go\ngo\n"};
	pid_t first = start_builder(f, &recipe);
	struct image image;
	int status;

	releaser.fd = wait_for_script(f);
	assert_int_equal(kill(first, SIGKILL), 0);
	assert_int_equal(waitpid(first, &status, 0), first);
	assert_true(file_exists(in_cache(f, "build.tiny/script")));
	assert_int_equal(file_write_atomic(in_cache(f, "build.tiny/out/left over"), "x", 1, 0644, NULL), 0);
	build.reporter = &releaser.collector.reporter;
	assert_built(&build, &image);
	close(releaser.fd);
	assert_int_equal(runs(f), 2);
	assert_int_equal(count_entries(in_cache(f, "layers")), 1);
	assert_false(file_exists(arena_printf(f->arena, "%s/left over", image.vmlinux)));
}

static void *cancel_when_there(void *arg)
{
	void **args = arg;
	int fd = open(((struct fixture *)args[0])->fifo, O_WRONLY | O_CLOEXEC);

	cancel_request(args[1]);
	return (void *)(intptr_t)fd;
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = make_recipe(TABLE("block"));
	struct image_build build = make_build(f, &recipe);
	cleanup_error struct error *err = NULL;
	struct cancel cancel;
	struct image image;
	pthread_t thread;
	void *fd;

	assert_int_equal(cancel_open(&cancel), 0);
	build.cancel = &cancel;
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_there, (void *[]){f, &cancel}), 0);
	assert_int_equal(image_get_built(&build, NULL, &image, &err), -ECANCELED);
	assert_int_equal(pthread_join(thread, &fd), 0);
	close((int)(intptr_t)fd);
	cancel_close(&cancel);
	assert_int_equal(kill(read_pid(f), 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_nothing_left(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_script_fails),	 TEST(test_missing_program), TEST(test_no_folder), TEST(test_disk_full),
		TEST(test_second_builder_waits), TEST(test_builder_killed),  TEST(test_cancel),
	};

	return RUN_TESTS("image_builders", tests);
}
