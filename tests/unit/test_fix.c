/*
 * Fixes on real files and with real commands: applied, refused, failing in the middle, on a full disk, taken back, and
 * killed at every system call that changes anything, where afterwards all must be as before or as wanted, nothing
 * between, and nothing left lying about.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "doctor/fix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 1 << 20 };

/* Stands in for the C library's, so that a test can have a file system without modes. */
static bool refuse_modes;

int fchmod(int fd, mode_t mode)
{
	if (!refuse_modes)
		return (int)syscall(SYS_fchmod, fd, mode);
	errno = EPERM;
	return -1;
}

/* A folder of its own for each test: `etc` is what is mended, `state` is nestvisor's. */
struct fixture {
	char top[40];
	char *etc, *state, *modules, *hosts, *new, *log;
	char *run_argument, *undo_argument, *done_argument;
	const char *run[4], *undo[4], *done[4];
	struct fix_action actions[3];
	struct fix fix;
	struct strbuf said;
	struct reporter reporter;
};

static char *print(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *print(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&text, format, args) >= 0);
	va_end(args);
	return text;
}

static void take_event(struct reporter *reporter, enum report_kind kind, const char *subject, const char *text)
{
	struct fixture *f = (struct fixture *)((char *)reporter - offsetof(struct fixture, reporter));

	if (kind == REPORT_WARNING)
		strbuf_printf(&f->said, "%s: %s\n", subject, text);
}

static void put(const char *path, const char *text)
{
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0640, NULL), 0);
}

static void check_text(const char *path, const char *wanted)
{
	cleanup_free char *text = NULL;
	size_t length;

	if (!wanted) {
		assert_int_equal(access(path, F_OK), -1);
		return;
	}
	assert_int_equal(file_read(path, LIMIT, &text, &length, NULL), 0);
	assert_string_equal(text, wanted);
}

static void shell(const char **ret, const char *script)
{
	const char *argv[] = {"sh", "-c", script, NULL};

	memcpy(ret, argv, sizeof(argv));
}

/* A file that is there, a file in folders that are not, and a switch; the log says what was run. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->top, sizeof(f->top), "/tmp/nestvisor-test-fix.XXXXXX");
	assert_non_null(mkdtemp(f->top));
	f->etc = print("%s/etc", f->top);
	f->state = print("%s/state", f->top);
	f->hosts = print("%s/hosts", f->etc);
	f->modules = print("%s/modprobe.d/deep", f->etc);
	f->new = print("%s/kvm.conf", f->modules);
	f->log = print("%s/switch", f->top);
	assert_int_equal(mkdir(f->etc, 0755), 0);
	put(f->hosts, "127.0.0.1 localhost\n");
	put(f->log, "off\n");
	setenv("NESTVISOR_STATE_DIR", f->state, 1);
	f->run_argument = print("echo on >%s", f->log);
	f->undo_argument = print("echo off >%s", f->log);
	f->done_argument = print("grep -q on %s", f->log);
	shell(f->run, f->run_argument);
	shell(f->undo, f->undo_argument);
	shell(f->done, f->done_argument);
	f->actions[0] = (struct fix_action){.kind = FIX_FILE,
					    .path = f->hosts,
					    .text = "127.0.0.1 localhost\n127.0.0.2 l1\n",
					    .length = 33,
					    .mode = 0600};
	f->actions[1] = (struct fix_action){
		.kind = FIX_FILE, .path = f->new, .text = "options kvm_amd nested=1\n", .length = 25, .mode = 0644};
	f->actions[2] = (struct fix_action){.kind = FIX_RUN, .run = f->run, .undo = f->undo, .done = f->done};
	f->fix =
		(struct fix){.id = "kvm.nested", .does = "switch nesting on", .actions = f->actions, .action_count = 3};
	f->reporter.event = take_event;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dir_remove(f->top, NULL), 0);
	free(f->etc);
	free(f->state);
	free(f->hosts);
	free(f->modules);
	free(f->new);
	free(f->log);
	free(f->run_argument);
	free(f->undo_argument);
	free(f->done_argument);
	free(f->said.text);
	free(f);
	return 0;
}

static size_t count_entries(const char *folder)
{
	cleanup_closedir DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lock") != 0)
			count++;
	return count;
}

static size_t count_records(const struct fixture *f)
{
	cleanup_free char *folder = print("%s/.fixes", f->state);

	return count_entries(folder);
}

static void check_before(const struct fixture *f)
{
	cleanup_free char *first = print("%s/modprobe.d", f->etc);

	check_text(f->hosts, "127.0.0.1 localhost\n");
	check_text(f->new, NULL);
	check_text(first, NULL);
	check_text(f->log, "off\n");
	assert_int_equal(count_entries(f->etc), 1); /* nothing lies about */
}

static void check_after(const struct fixture *f)
{
	check_text(f->hosts, "127.0.0.1 localhost\n127.0.0.2 l1\n");
	check_text(f->new, "options kvm_amd nested=1\n");
	check_text(f->log, "on\n");
	assert_int_equal(count_entries(f->etc), 2);
	assert_int_equal(count_entries(f->modules), 1);
}

static bool apply(struct fixture *f)
{
	cleanup_error struct error *err = NULL;
	bool changed = false;

	if (fix_apply(&f->fix, &f->reporter, &changed, &err) < 0)
		fail_msg("%s", err->message);
	return changed;
}

/* Fails with this number, and says this. */
static void apply_fails(struct fixture *f, int code, const char *says)
{
	cleanup_error struct error *err = NULL;
	bool changed = true;

	assert_int_equal(fix_apply(&f->fix, &f->reporter, &changed, &err), -code);
	assert_false(changed);
	if (!strstr(err->message, says))
		fail_msg("\"%s\" is not in: %s", says, err->message);
}

static size_t undo(struct fixture *f, const char *id)
{
	cleanup_error struct error *err = NULL;
	size_t count = 99;

	if (fix_undo(id, &f->reporter, &count, &err) < 0)
		fail_msg("%s", err->message);
	return count;
}

static void undo_fails(struct fixture *f, const char *id, const char *says, size_t others)
{
	cleanup_error struct error *err = NULL;
	size_t count = 99;

	assert_int_equal(fix_undo(id, &f->reporter, &count, &err), -EEXIST);
	assert_int_equal(count, others);
	if (!strstr(err->message, says))
		fail_msg("\"%s\" is not in: %s", says, err->message);
}

static void test_there_and_back(void **state)
{
	struct fixture *f = *state;
	bool has_attributes = setxattr(f->hosts, "user.nestvisor", "kept", 4, 0) == 0;
	char value[8] = "";
	struct stat st;

	assert_true(apply(f));
	check_after(f);
	assert_int_equal(stat(f->hosts, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stat(f->new, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	if (has_attributes)
		assert_int_equal(getxattr(f->hosts, "user.nestvisor", value, sizeof(value)), 4);
	assert_int_equal(count_records(f), 1);

	assert_false(apply(f));
	assert_int_equal(count_records(f), 1);
	assert_int_equal(undo(f, "another.fix"), 0);
	check_after(f);
	assert_int_equal(undo(f, "kvm.nested"), 1);
	check_before(f);
	assert_int_equal(stat(f->hosts, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	if (has_attributes)
		assert_string_equal((getxattr(f->hosts, "user.nestvisor", value, sizeof(value)), value), "kept");
	assert_int_equal(count_records(f), 0);
	assert_int_equal(undo(f, NULL), 0);
	assert_null(f->said.text);
}

/* Owners are kept where root replaces a file of somebody else's. */
static void test_owner(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(f->hosts, 12, 34), 0);
	assert_int_equal(chmod(f->hosts, 04750), 0);
	assert_true(apply(f));
	assert_int_equal(stat(f->hosts, &st), 0);
	assert_true(st.st_uid == 12 && st.st_gid == 34 && (st.st_mode & 07777) == 04750);
	assert_int_equal(undo(f, NULL), 1);
	assert_int_equal(stat(f->hosts, &st), 0);
	assert_true(st.st_uid == 12 && st.st_gid == 34 && (st.st_mode & 07777) == 04750);
}

/* On a drive of Windows every file has one mode, and chmod(2) says EPERM. */
static void test_no_modes(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	/* The records are nestvisor's own, and must be private. */
	f->fix.action_count = 2;
	refuse_modes = true;
	apply_fails(f, EPERM, "cannot write");
	check_before(f);
	refuse_modes = false;
	assert_true(apply(f));
	assert_int_equal(undo(f, NULL), 1);

	assert_int_equal(file_write_like(f->log, f->hosts, "x", 1, 0640, NULL), -EEXIST);
	assert_int_equal(unlink(f->log), 0);
	refuse_modes = true;
	assert_int_equal(file_write_like(f->log, f->hosts, "off\n", 4, 0640, NULL), 0);
	refuse_modes = false;
	assert_int_equal(stat(f->log, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* Only what is missing is done, and only that is taken back. */
static void test_partly_done(void **state)
{
	struct fixture *f = *state;

	put(f->log, "on\n");
	put(f->hosts, "127.0.0.1 localhost\n127.0.0.2 l1\n");
	assert_true(apply(f));
	check_after(f);
	assert_int_equal(undo(f, NULL), 1);
	check_text(f->new, NULL);
	check_text(f->log, "on\n");
	check_text(f->hosts, "127.0.0.1 localhost\n127.0.0.2 l1\n");
}

static void test_failing_action(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *script = print("echo half >%s; echo no such module >&2; exit 3", f->log);

	shell(f->run, script);
	apply_fails(f, EIO, "no such module");
	check_before(f);
	assert_int_equal(count_records(f), 0);

	/* The one that fails stands in the middle, and what would come behind it is never done. */
	f->actions[2] = f->actions[0];
	f->actions[0] = (struct fix_action){.kind = FIX_RUN, .run = f->run, .undo = f->undo};
	apply_fails(f, EIO, "status 3");
	check_before(f);
	assert_int_equal(count_records(f), 0);
}

/* A fix that fails and cannot be taken back says both; the next call finishes it. */
static void test_failing_undo(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *gate = print("%s/gate", f->top), *script = print("test -e %s && echo off >%s", gate, f->log);

	shell(f->run, "exit 3");
	shell(f->undo, script);
	apply_fails(f, EIO, "taking back what was done failed");
	check_text(f->hosts, "127.0.0.1 localhost\n");
	check_text(f->new, NULL);
	assert_int_equal(count_records(f), 1);
	apply_fails(f, EIO, "half done");
	put(gate, "");
	assert_int_equal(undo(f, "another.fix"), 0);
	assert_non_null(strstr(f->said.text, "an earlier fix was stopped half way (switch nesting on)"));
	check_before(f);
	assert_int_equal(count_records(f), 0);
}

/* A host that is gone: nothing is said to be taken back there, the record stays, and it is in nobody's way. */
static void test_gone(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *there = print("%s/there", f->top),
			  *script = print("test -e %s || { echo lab first does not run >&2; exit %d; }; echo off >%s",
					  there, FIX_GONE, f->log);
	struct fix other = {.id = "other", .does = "something else", .action_count = 1};
	struct fix_action action = {.kind = FIX_FILE, .path = f->new, .text = "x\n", .length = 2, .mode = 0644};
	cleanup_error struct error *err = NULL;
	size_t count;
	bool changed;

	shell(f->undo, script);
	f->actions[1] = f->actions[2];
	f->fix.action_count = 2;
	assert_true(apply(f));
	assert_int_equal(fix_undo("kvm.nested", &f->reporter, &count, &err), -EHOSTDOWN);
	assert_int_equal(count, 0);
	assert_non_null(strstr(err->message, "lab first does not run"));
	assert_non_null(strstr(err->hint, "remove the record"));
	check_text(f->log, "on\n");
	check_text(f->hosts, "127.0.0.1 localhost\n"); /* all else is back */
	assert_int_equal(count_records(f), 1);

	other.actions = &action;
	assert_int_equal(fix_apply(&other, &f->reporter, &changed, NULL), 0);
	assert_true(changed);
	assert_int_equal(undo(f, "other"), 1);
	assert_int_equal(count_records(f), 1);

	put(there, "");
	assert_int_equal(undo(f, "kvm.nested"), 1); /* which it says, though it was begun before */
	assert_non_null(strstr(f->said.text, "taken back only in part (switch nesting on): going on"));
	check_text(f->log, "off\n");
	assert_int_equal(count_records(f), 0);
	assert_int_equal(undo(f, "kvm.nested"), 0);
}

static void test_not_safe(void **state)
{
	struct fixture *f = *state;
	const char *safe[4];

	shell(safe, "echo two guests run >&2; exit 1");
	f->actions[2].safe = safe;
	apply_fails(f, EBUSY, "two guests run");
	check_before(f);
	assert_int_equal(count_records(f), 0);
	/* Nobody asks whether it is safe to do what is done. */
	put(f->log, "on\n");
	assert_true(apply(f));
	check_after(f);
}

static void test_changed_since(void **state)
{
	struct fixture *f = *state;
	struct fix other = {.id = "other", .does = "change a file of its own", .action_count = 1};
	cleanup_free char *path = print("%s/other", f->etc);
	struct fix_action action = {.kind = FIX_FILE, .path = path, .text = "x\n", .length = 2};
	bool changed;

	other.actions = &action;
	assert_int_equal(fix_apply(&other, NULL, &changed, NULL), 0);
	assert_true(apply(f));
	put(f->hosts, "mine\n");
	undo_fails(f, NULL, "hosts was changed since \"switch nesting on\": it is left as it is", 1);
	check_text(f->hosts, "mine\n");
	check_text(f->new, "options kvm_amd nested=1\n");
	check_text(f->log, "on\n");
	check_text(path, NULL);
	/* Put back by hand, it may be taken back. */
	put(f->hosts, "127.0.0.1 localhost\n");
	assert_int_equal(undo(f, NULL), 1);
	check_before(f);
}

static void test_order(void **state)
{
	struct fixture *f = *state;
	struct fix_action action = {.kind = FIX_FILE, .path = f->hosts, .text = "second\n", .length = 7};
	struct fix second = {.id = "second", .does = "write it again", .actions = &action, .action_count = 1};
	bool changed;

	assert_true(apply(f));
	assert_int_equal(fix_apply(&second, NULL, &changed, NULL), 0);
	undo_fails(f, "kvm.nested", "changed since by \"write it again\": take that back first", 0);
	check_text(f->hosts, "second\n");
	assert_int_equal(undo(f, NULL), 2);
	check_before(f);
}

static void test_no_regular_file(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *target = print("%s/target", f->top);

	put(target, "far away\n");
	assert_int_equal(unlink(f->hosts), 0);
	assert_int_equal(symlink(target, f->hosts), 0);
	apply_fails(f, ELOOP, "is a symbolic link, which is not followed");
	check_text(target, "far away\n");
	assert_int_equal(unlink(f->hosts), 0);
	assert_int_equal(mkfifo(f->hosts, 0600), 0);
	apply_fails(f, EINVAL, "is no regular file");
	assert_int_equal(unlink(f->hosts), 0);
	assert_int_equal(mkdir(f->hosts, 0700), 0);
	apply_fails(f, EINVAL, "is no regular file");
	check_text(f->new, NULL);
	check_text(f->log, "off\n");
	f->actions[0].path = "relative";
	apply_fails(f, EINVAL, "no absolute path");
}

/* A link that comes into the file's place after the fix is no more followed than one that was there before. */
static void test_link_since(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *target = print("%s/target", f->top);
	size_t count;

	assert_true(apply(f));
	put(target, "127.0.0.1 localhost\n127.0.0.2 l1\n");
	assert_int_equal(unlink(f->hosts), 0);
	assert_int_equal(symlink(target, f->hosts), 0);
	assert_int_equal(fix_undo(NULL, NULL, &count, NULL), -ELOOP);
	check_text(target, "127.0.0.1 localhost\n127.0.0.2 l1\n");
	check_text(f->log, "on\n");
}

/* The file changes between the look and the rename. */
static void test_changed_meanwhile(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *script = print("echo somebody >%s", f->hosts);
	const char *run[4];

	shell(run, script);
	f->actions[2] = f->actions[0];
	f->actions[0] = (struct fix_action){.kind = FIX_RUN, .run = run};
	apply_fails(f, EAGAIN, "changed by somebody else at this very moment");
	check_text(f->hosts, "somebody\n");
	check_text(f->new, NULL);
	assert_non_null(strstr(f->said.text, "hosts was changed by somebody since: it is left as it is"));
	assert_int_equal(count_entries(f->etc), 1);
	/* The copy is kept, and the fix is over. */
	assert_int_equal(count_records(f), 1);
	assert_int_equal(undo(f, NULL), 0);
}

static void test_locked(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *folder = print("%s/.fixes", f->state), *lock = print("%s/lock", folder);
	cleanup_error struct error *err = NULL;
	size_t count;
	int fd;

	assert_int_equal(dir_make(folder, 0700, NULL), 0);
	assert_int_equal(file_lock(lock, "doctor", 0, NULL, NULL, &fd, NULL), 0);
	apply_fails(f, EBUSY, "held by process");
	assert_int_equal(fix_undo(NULL, NULL, &count, &err), -EBUSY);
	check_before(f);
	close(fd);
	assert_true(apply(f));
}

/* What is printed for people does the same. */
static void test_commands(void **state)
{
	struct fixture *f = *state;
	cleanup_strbuf struct strbuf commands = {}, script = {};
	cleanup_free char *quoted = NULL, *crlf = print("%s/crlf", f->etc);

	f->actions[0].text = "it's\n\n# 100 %\n";
	f->actions[0].length = strlen(f->actions[0].text);
	f->actions[1] = (struct fix_action){
		.kind = FIX_FILE, .path = crlf, .text = "\xef\xbb\xbf[a]\r\nb=%s\\n\r\nno end'", .length = 23};
	fix_commands(&f->fix, &commands);
	quoted = print("printf '%%s\\n' 'it'\\''s' '' '# 100 %%' | tee %s >/dev/null\n"
		       "printf '\\357\\273\\277[a]\\r\\nb=%%%%s\\\\n\\r\\nno end'\\''' | tee %s >/dev/null\n"
		       "sh -c 'echo on >%s'\n",
		       f->hosts, crlf, f->log);
	assert_string_equal(commands.text, quoted);
	strbuf_printf(&script, "exec >/dev/null; %s", commands.text);
	assert_int_equal(system(script.text), 0);
	assert_false(apply(f)); /* all of it is done */
}

static void test_preview(void **state)
{
	struct fixture *f = *state;
	cleanup_strbuf struct strbuf shown = {}, done = {}, ends = {};
	cleanup_free char *wanted = print("--- %s\n+++ %s\n@@ -1 +1,2 @@\n 127.0.0.1 localhost\n+127.0.0.2 l1\n"
					  "--- /dev/null\n+++ %s\n@@ -0,0 +1 @@\n+options kvm_amd nested=1\n"
					  "$ sh -c 'echo on >%s'\n",
					  f->hosts, f->hosts, f->new, f->log);

	assert_int_equal(fix_preview(&f->fix, &shown, NULL), 0);
	assert_string_equal(shown.text, wanted);
	check_before(f);
	assert_true(apply(f));
	assert_int_equal(fix_preview(&f->fix, &done, NULL), 0);
	assert_null(done.text);
	put(f->hosts, "127.0.0.1 localhost\r\n127.0.0.2 l1\r\n");
	assert_int_equal(fix_preview(&f->fix, &ends, NULL), 0);
	assert_non_null(strstr(ends.text, "only how they end or are encoded changes"));
}

/* A script with an argument is shown as a person would type it; one that needs quotes is left as it is. */
static void test_shown_as_typed(void **state)
{
	static const char *const poke[] = {"sh", "-c", "echo 0 > \"$1\"", "sh", "/sys/a", NULL},
				 *const test[] = {"sh", "-c", "test -d \"/sys/$1/b\"", "sh", "kvm", NULL},
				 *const blank[] = {"sh", "-c", "cat \"$1\"", "sh", "a b", NULL};
	const struct fix_action actions[] = {
		{.kind = FIX_RUN, .run = poke}, {.kind = FIX_RUN, .run = test}, {.kind = FIX_RUN, .run = blank}};
	const struct fix fix = {.id = "x", .does = "x", .actions = actions, .action_count = 3};
	cleanup_strbuf struct strbuf shown = {};

	assert_int_equal(fix_preview(&fix, &shown, NULL), 0);
	assert_string_equal(shown.text, "$ echo 0 > /sys/a\n$ test -d \"/sys/kvm/b\"\n$ sh -c 'cat \"$1\"' sh 'a b'\n");
}

/* The newest first, each as it will be then; nothing is touched. */
static void test_undo_preview(void **state)
{
	struct fixture *f = *state;
	struct fix_action again = {.kind = FIX_FILE, .path = f->hosts, .text = "::1 l1\n", .length = 7};
	struct fix second = {.id = "hosts", .does = "write it again", .actions = &again, .action_count = 1};
	cleanup_strbuf struct strbuf nothing = {}, shown = {}, one = {}, left = {};
	cleanup_free char *first = print("kvm.nested: take back: switch nesting on\n$ sh -c 'echo off >%s'\n"
					 "--- %s\n+++ /dev/null\n@@ -1 +0,0 @@\n-options kvm_amd nested=1\n"
					 "--- %s\n+++ %s\n@@ -1,2 +1 @@\n 127.0.0.1 localhost\n-127.0.0.2 l1\n",
					 f->log, f->new, f->hosts, f->hosts);
	cleanup_free char *wanted = print("hosts: take back: write it again\n--- %s\n+++ %s\n@@ -1 +1,2 @@\n"
					  "-::1 l1\n+127.0.0.1 localhost\n+127.0.0.2 l1\n%s",
					  f->hosts, f->hosts, first);
	bool changed;

	assert_int_equal(fix_undo_preview(NULL, &nothing, NULL), 0);
	assert_null(nothing.text);
	assert_true(apply(f));
	assert_int_equal(fix_undo_preview("kvm.nested", &one, NULL), 0);
	assert_string_equal(one.text, first);
	check_after(f);
	assert_int_equal(fix_apply(&second, &f->reporter, &changed, NULL), 0);
	assert_int_equal(fix_undo_preview(NULL, &shown, NULL), 0);
	assert_string_equal(shown.text, wanted);
	put(f->hosts, "mine\n");
	assert_int_equal(fix_undo_preview("hosts", &left, NULL), 0);
	assert_non_null(strstr(left.text, "was changed since"));
	assert_int_equal(count_records(f), 2);
}

/* A small file system of one's own, to be filled: a child's, so that it goes with it. -1: not allowed here. */
static int on_small_disk(struct fixture *f, const char *folder, int (*what)(struct fixture *f))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) < 0 ||
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("tmpfs", folder, "tmpfs", 0, "size=64k") < 0)
			_exit(77);
		_exit(what(f));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Assertions jump out of a child: there, a number says what is wrong. */
#define WANT(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                        \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)

static bool has_text(const char *path, const char *wanted)
{
	cleanup_free char *text = NULL;
	size_t length;

	return file_read(path, LIMIT, &text, &length, NULL) == 0 && strcmp(text, wanted) == 0;
}

static bool fill_disk(const char *path)
{
	char block[4096] = "full";
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	while (write(fd, block, sizeof(block)) > 0 || write(fd, block, 1) > 0)
		continue;
	close(fd);
	return errno == ENOSPC;
}

/* /etc is full: the second new text does not fit any more, and the first file was not changed for that. */
static int full_etc(struct fixture *f)
{
	cleanup_error struct error *err = NULL;
	char big[80000];
	bool changed;

	memset(big, 'x', sizeof(big));
	WANT(file_write_atomic(f->hosts, "127.0.0.1 localhost\n", 20, 0640, NULL) == 0);
	f->actions[1].text = big;
	f->actions[1].length = sizeof(big);
	WANT(fix_apply(&f->fix, NULL, &changed, &err) == -ENOSPC);
	WANT(has_text(f->hosts, "127.0.0.1 localhost\n"));
	WANT(access(f->new, F_OK) < 0 && access(f->modules, F_OK) < 0);
	WANT(count_entries(f->etc) == 1);
	WANT(has_text(f->log, "off\n"));
	return 0;
}

/* Where nestvisor keeps its records is full: nothing is begun. */
static int full_state(struct fixture *f)
{
	cleanup_free char *filler = print("%s/filler", f->state);
	cleanup_error struct error *err = NULL;
	bool changed;
	int r;

	WANT(fill_disk(filler));
	r = fix_apply(&f->fix, NULL, &changed, &err);
	if (r != -ENOSPC)
		fprintf(stderr, "%d: %s\n", r, err ? err->message : "no error");
	WANT(r == -ENOSPC);
	WANT(has_text(f->hosts, "127.0.0.1 localhost\n"));
	WANT(count_entries(f->etc) == 1);
	WANT(has_text(f->log, "off\n"));
	WANT(unlink(filler) == 0);
	WANT(fix_apply(&f->fix, NULL, &changed, NULL) == 0 && changed);
	/* And full again: taking back needs no room there. */
	WANT(fill_disk(filler));
	WANT(fix_undo(NULL, NULL, &(size_t){0}, NULL) == 0);
	WANT(has_text(f->hosts, "127.0.0.1 localhost\n") && has_text(f->log, "off\n"));
	return 0;
}

static void test_full_disk(void **state)
{
	struct fixture *f = *state;
	int etc, records;

	assert_int_equal(dir_make(f->state, 0700, NULL), 0);
	etc = on_small_disk(f, f->etc, full_etc);
	records = on_small_disk(f, f->state, full_state);
	if (etc == 77 || records == 77)
		skip();
	assert_int_equal(etc, 0);
	assert_int_equal(records, 0);
}

/*
 * Killed.
 */

static void do_apply(struct fixture *f)
{
	bool changed;

	fix_apply(&f->fix, NULL, &changed, NULL);
}

static void do_undo(struct fixture *f)
{
	size_t count;

	fix_undo(NULL, NULL, &count, NULL);
}

/* System calls that change nothing another process could see: a kill behind them is one behind the call before. */
static bool is_harmless(uint64_t number)
{
	static const long harmless[] = {
		SYS_read,	  SYS_pread64,	  SYS_close,	 SYS_fstat, SYS_newfstatat, SYS_lseek,
		SYS_mmap,	  SYS_munmap,	  SYS_mprotect,	 SYS_brk,   SYS_getdents64, SYS_rt_sigprocmask,
		SYS_rt_sigaction, SYS_getpid,	  SYS_geteuid,	 SYS_fcntl, SYS_faccessat,  SYS_clock_gettime,
		SYS_ppoll,	  SYS_flistxattr, SYS_fgetxattr, SYS_pipe2, SYS_madvise,    SYS_gettid,
		SYS_statx,	  SYS_pidfd_open, SYS_getrandom, SYS_fsync, SYS_fdatasync,  SYS_futex,
#ifdef SYS_poll
		SYS_poll,	  SYS_access,	  SYS_stat,	 SYS_lstat,
#endif
	};

	for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
		if ((uint64_t)harmless[i] == number)
			return true;
	return false;
}

/* Runs it in a child that is killed right behind its nth change. False: it came to its end before. */
static bool killed_at(struct fixture *f, unsigned nth, void (*what)(struct fixture *f))
{
	struct __ptrace_syscall_info info;
	pid_t pid = fork();
	uint64_t entered = 0;
	int status, signal = 0;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(77);
		raise(SIGSTOP);
		what(f);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, signal), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status))
			return false;
		signal = 0;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			signal = WSTOPSIG(status);
			continue;
		}
		assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
			entered = info.entry.nr;
		} else if (!is_harmless(entered) && nth-- == 0) {
			kill(pid, SIGKILL);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			/* Commands that it had started end by themselves, as they would without us. */
			while (waitpid(-1, NULL, 0) > 0)
				continue;
			return true;
		}
	}
}

static bool is_after(const struct fixture *f)
{
	return has_text(f->new, "options kvm_amd nested=1\n") && has_text(f->log, "on\n") &&
	       has_text(f->hosts, "127.0.0.1 localhost\n127.0.0.2 l1\n");
}

static void test_killed_applying(void **state)
{
	struct fixture *f = *state;
	unsigned nth = 0, whole = 0;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (; killed_at(f, nth, do_apply); nth++) {
		assert_int_equal(undo(f, "another.fix"), 0);
		if (is_after(f)) {
			check_after(f);
			assert_int_equal(undo(f, NULL), 1);
			whole++;
		}
		check_before(f);
		assert_int_equal(count_records(f), 0);
	}
	check_after(f);
	print_message("killed %u times, %u of them when all was done\n", nth, whole);
	assert_in_range(nth, 25, 1000);
	assert_in_range(whole, 1, nth / 3);
}

static void test_killed_undoing(void **state)
{
	struct fixture *f = *state;
	unsigned nth = 0;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_true(apply(f));
	for (; killed_at(f, nth, do_undo); nth++) {
		/* It is not begun, or it goes on: never is it half. */
		undo(f, "another.fix");
		if (is_after(f))
			check_after(f);
		else
			check_before(f);
		apply(f);
		check_after(f);
		assert_int_equal(count_records(f), 1);
	}
	check_before(f);
	assert_in_range(nth, 15, 1000);
}

/* The next fix, not only the next undo, takes back what was left, and then does its own work. */
static void test_killed_then_applied(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (unsigned nth = 0; killed_at(f, nth, do_apply); nth += 3) {
		apply(f);
		check_after(f);
		assert_int_equal(undo(f, NULL), 1);
		check_before(f);
	}
}

/* A last line that the power cut is not counted, and what follows does not stick to it. */
static void test_torn_journal(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *journal = print("%s/.fixes/000001/journal", f->state),
			  *broken = print("%s/.fixes/000007", f->state), *other = print("%s/journal", broken);
	cleanup_error struct error *err = NULL;
	size_t count;
	int fd;

	assert_true(apply(f));
	fd = open(journal, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "{\"undo\": tr", 11), 11);
	close(fd);
	assert_int_equal(undo(f, NULL), 1);
	check_before(f);

	assert_int_equal(dir_make(broken, 0700, NULL), 0);
	put(other, "{\"begin\": 0}\n");
	assert_int_equal(fix_undo(NULL, NULL, &count, &err), -EINVAL);
	assert_non_null(strstr(err->message, "is no journal of a fix"));
	assert_non_null(strstr(err->hint, "remove its folder"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back),
		TEST(test_owner),
		TEST(test_no_modes),
		TEST(test_partly_done),
		TEST(test_failing_action),
		TEST(test_failing_undo),
		TEST(test_gone),
		TEST(test_not_safe),
		TEST(test_changed_since),
		TEST(test_order),
		TEST(test_no_regular_file),
		TEST(test_link_since),
		TEST(test_changed_meanwhile),
		TEST(test_locked),
		TEST(test_commands),
		TEST(test_preview),
		TEST(test_undo_preview),
		TEST(test_shown_as_typed),
		TEST(test_full_disk),
		TEST(test_killed_applying),
		TEST(test_killed_undoing),
		TEST(test_killed_then_applied),
		TEST(test_torn_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
