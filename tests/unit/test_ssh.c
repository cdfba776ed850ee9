/*
 * The ssh transport against a real server, OpenSSH's or Dropbear's, which lives in a network namespace of its own; this
 * program stays outside, so that only the transport's entering it leads there. Mounts are private to this program.
 */
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "transport/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG_MS = 60000, PORT = 2222, SIZE = 3 << 20 };

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct {
	char folder[64];
	char key[96], known_hosts[96], control[96];
	struct process_id sshd;
	int netns;
	struct ssh_target target;
} here = {.netns = -1};

static int write_text(const char *path, const char *text)
{
	return file_write_atomic(path, text, strlen(text), 0600, NULL);
}

/* A passwd(5) with the user that sshd wants, and root at home in our folder, where Dropbear looks for its keys; and a
 * /run of our own. */
static int make_mounts(void)
{
	cleanup_free char *text = NULL, *more = NULL;
	const char *others;
	char passwd[96];
	size_t length;

	snprintf(passwd, sizeof(passwd), "%s/passwd", here.folder);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/run", "tmpfs", 0, "mode=755") < 0 || mkdir("/run/sshd", 0755) < 0 ||
	    file_read("/etc/passwd", 1 << 20, &text, &length, NULL) < 0)
		return -1;
	others = strncmp(text, "root:", 5) == 0 ? strchr(text, '\n') : NULL;
	if (!others || asprintf(&more, "root:x:0:0:root:%s:/bin/sh%s%s", here.folder, others,
				strstr(text, "\nsshd:") ? "" : "sshd:x:64222:65534::/run/sshd:/bin/false\n") < 0)
		return -1;
	if (file_write_atomic(passwd, more, strlen(more), 0644, NULL) < 0)
		return -1;
	return mount(passwd, "/etc/passwd", NULL, MS_BIND, NULL);
}

static int make_namespace(void)
{
	struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	cleanup_close int outside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), sock = -1;

	if (outside < 0 || unshare(CLONE_NEWNET) < 0)
		return -1;
	here.netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (here.netns < 0 || sock < 0 || ioctl(sock, SIOCSIFFLAGS, &loopback) < 0)
		return -1;
	return setns(outside, CLONE_NEWNET);
}

static int make_keys(const char *dropbear)
{
	char host_key[96], public_key[112], authorized[96], folder[72];
	cleanup_free char *text = NULL;
	size_t length;

	snprintf(here.key, sizeof(here.key), "%s/key", here.folder);
	snprintf(host_key, sizeof(host_key), "%s/host_key", here.folder);
	snprintf(public_key, sizeof(public_key), "%s.pub", here.key);
	snprintf(folder, sizeof(folder), "%s/.ssh", here.folder);
	snprintf(authorized, sizeof(authorized), "%s/authorized_keys", folder);
	if (mkdir(folder, 0700) < 0 ||
	    process_must(ARGV("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", here.key), NULL, NULL) < 0 ||
	    process_must(dropbear ? ARGV("dropbearkey", "-t", "ed25519", "-f", host_key)
				  : ARGV("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key),
			 NULL, NULL) < 0 ||
	    file_read(public_key, 4096, &text, &length, NULL) < 0)
		return -1;
	return write_text(authorized, text);
}

static int start_sshd(const char *sshd)
{
	char config[96], text[1024];
	struct process_spec spec = {
		.argv = ARGV(sshd, "-D", "-f", config), .netns = here.netns, .in = -1, .out = -1, .err = -1};

	snprintf(config, sizeof(config), "%s/sshd_config", here.folder);
	snprintf(text, sizeof(text),
		 "ListenAddress 127.0.0.1:%d\nHostKey %s/host_key\nAuthorizedKeysFile "
		 "%s/.ssh/authorized_keys\nStrictModes no\n"
		 "PermitRootLogin yes\nUsePAM no\nPidFile none\nMaxSessions 50\n",
		 PORT, here.folder, here.folder);
	if (write_text(config, text) < 0)
		return -1;
	return process_spawn(&spec, &here.sshd, NULL);
}

static int start_dropbear(const char *dropbear)
{
	char key[96], address[32];
	/* In the foreground, without passwords, and no file that says who it is. */
	struct process_spec spec = {.argv = ARGV(dropbear, "-F", "-s", "-r", key, "-p", address, "-P", ""),
				    .netns = here.netns,
				    .in = -1,
				    .out = -1,
				    .err = -1};

	snprintf(key, sizeof(key), "%s/host_key", here.folder);
	snprintf(address, sizeof(address), "127.0.0.1:%d", PORT);
	return process_spawn(&spec, &here.sshd, NULL);
}

static int set_up(void **state)
{
	cleanup_free char *sshd = NULL, *dropbear = NULL;

	(void)state;
	strcpy(here.folder, "/tmp/nestvisor-ssh.XXXXXX");
	if (process_find("sshd", NULL, &sshd, NULL) < 0 && process_find("dropbear", NULL, &dropbear, NULL) < 0)
		return -1;
	if (!mkdtemp(here.folder) || make_mounts() < 0 || make_namespace() < 0 || make_keys(dropbear) < 0 ||
	    (dropbear ? start_dropbear(dropbear) : start_sshd(sshd)) < 0)
		return -1;
	snprintf(here.known_hosts, sizeof(here.known_hosts), "%s/known %%hosts", here.folder);
	snprintf(here.control, sizeof(here.control), "%s/a %%C b", here.folder);
	here.target = (struct ssh_target){.host = "127.0.0.1",
					  .user = "root",
					  .key = here.key,
					  .port = PORT,
					  .control_path = here.control,
					  .known_hosts = here.known_hosts,
					  .netns = here.netns};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ssh_end_master(&here.target, NULL, NULL);
	process_end(&here.sshd, 1000, NULL);
	umount("/etc/passwd");
	dir_remove(here.folder, NULL);
	return 0;
}

static struct transport *open_ssh(void)
{
	struct transport *t = NULL;

	assert_int_equal(transport_ssh(&here.target, &t, NULL), 0);
	/* sshd says nowhere that it listens. */
	for (int i = 0; i < 2000; i++) {
		cleanup_output struct process_output output = {0};

		if (transport_run(t, ARGV("true"), NULL, 0, LONG_MS, NULL, &output, NULL) == 0)
			return t;
		cancel_sleep(NULL, 5);
	}
	fail_msg("sshd does not listen");
	return NULL;
}

static void test_run(void **state)
{
	cleanup_transport struct transport *t = open_ssh();
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	long long began;

	(void)state;
	assert_int_equal(
		transport_run(t, ARGV("sh", "-c", "cat; echo two >&2; exit 3"), "one", 3, LONG_MS, NULL, &output, &err),
		0);
	assert_int_equal(output.status, 3);
	assert_string_equal(output.out, "one");
	assert_string_equal(output.err, "two\n");
	process_output_clear(&output);
	assert_int_equal(transport_run(t,
				       ARGV("printf", "[%s]", "a b", "", "'\"$HOME`\\\\", "ä!", "\n\t;|&", "-n", "*"),
				       NULL, 0, LONG_MS, NULL, &output, &err),
			 0);
	assert_string_equal(output.out, "[a b][]['\"$HOME`\\\\][ä!][\n\t;|&][-n][*]");
	process_output_clear(&output);
	assert_int_equal(transport_run(t, ARGV("sh", "-c", "kill -9 $$"), NULL, 0, LONG_MS, NULL, &output, &err), 0);
	assert_int_equal(output.status, 128 + 9);
	process_output_clear(&output);
	/* A program's own 255 is no failure of ssh's. */
	assert_int_equal(
		transport_run(t, ARGV("sh", "-c", "echo bad >&2; exit 255"), NULL, 0, LONG_MS, NULL, &output, &err), 0);
	assert_int_equal(output.status, 255);
	assert_string_equal(output.err, "bad\n");
	process_output_clear(&output);
	assert_int_equal(transport_run(t, ARGV("nestvisor-no-such-program"), NULL, 0, LONG_MS, NULL, &output, &err), 0);
	assert_int_equal(output.status, 127);
	process_output_clear(&output);
	began = clock_ms();
	for (int i = 0; i < 10; i++) {
		assert_int_equal(transport_run(t, ARGV("true"), NULL, 0, LONG_MS, NULL, &output, &err), 0);
		process_output_clear(&output);
	}
	assert_true(file_exists(here.control)); /* all of them used one connection */
	print_message("  one run through the master: %.1f ms\n", (double)(clock_ms() - began) / 10);
}

static void test_failures(void **state)
{
	struct ssh_target target = here.target;
	cleanup_transport struct transport *refused = NULL, *elsewhere = NULL;
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	struct transport *t;
	int status;

	(void)state;
	target.control_path = NULL;
	target.port = 1;
	assert_int_equal(transport_ssh(&target, &refused, NULL), 0);
	assert_int_equal(transport_run(refused, ARGV("true"), NULL, 0, LONG_MS, NULL, &output, &err), -ECONNREFUSED);
	assert_non_null(strstr(err->message, "refused"));
	assert_non_null(strstr(err->message, "127.0.0.1"));
	assert_non_null(strstr(err->hint, "ssh -p 1 root@127.0.0.1"));
	error_freep(&err);
	assert_int_equal(transport_stream(refused, ARGV("true"), -1, -1, -1, NULL, &status, &err), -ECONNREFUSED);
	error_freep(&err);

	target.port = PORT; /* right, but not from this namespace */
	target.netns = -1;
	assert_int_equal(transport_ssh(&target, &elsewhere, NULL), 0);
	assert_int_equal(transport_run(elsewhere, ARGV("true"), NULL, 0, LONG_MS, NULL, &output, &err), -ECONNREFUSED);
	error_freep(&err);

	target.control_path =
		"/tmp/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
		"89";
	assert_int_equal(transport_ssh(&target, &t, &err), -ENAMETOOLONG);
	error_freep(&err);
	target.control_path = "/tmp/\"x";
	assert_int_equal(transport_ssh(&target, &t, &err), -EINVAL);
}

static void test_stream(void **state)
{
	cleanup_transport struct transport *t = open_ssh();
	cleanup_close int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
	cleanup_free char *data = malloc(SIZE), *back = malloc(SIZE + 1);
	struct cancel cancel;
	int status = -1;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	assert_int_equal(pwrite(in, data, SIZE, 0), SIZE);
	assert_int_equal(transport_stream(t, ARGV("sh", "-c", "cat; exit 5"), in, out, -1, NULL, &status, NULL), 0);
	assert_int_equal(status, 5);
	assert_int_equal(pread(out, back, SIZE + 1, 0), SIZE);
	assert_memory_equal(back, data, SIZE);
	assert_int_equal(cancel_open(&cancel), 0);
	cancel_request(&cancel);
	assert_int_equal(transport_stream(t, ARGV("sleep", "1000"), -1, -1, -1, &cancel, &status, NULL), -ECANCELED);
	cancel_close(&cancel);
}

/* The words for a person's own ssh; all in one block. */
static void test_command(void **state)
{
	cleanup_free char **argv = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(ssh_command(&here.target, ARGV("uname", "-a"), &argv, NULL), 0);
	while (argv[count])
		count++;
	assert_string_equal(argv[0], "ssh");
	assert_string_equal(argv[count - 4], "--");
	assert_string_equal(argv[count - 3], "127.0.0.1");
	assert_string_equal(argv[count - 2], "uname");
	assert_string_equal(argv[count - 1], "-a");
}

static void test_end_master(void **state)
{
	struct ssh_target target = here.target;
	struct stat st;
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/plain", here.folder);
	target.control_path = path;
	{
		cleanup_transport struct transport *t = NULL;
		cleanup_output struct process_output output = {0};

		assert_int_equal(transport_ssh(&target, &t, NULL), 0);
		assert_int_equal(transport_run(t, ARGV("true"), NULL, 0, LONG_MS, NULL, &output, NULL), 0);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(ssh_end_master(&target, NULL, NULL), 0);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(ssh_end_master(&target, NULL, NULL), 0);
}

enum { CROWD = 6, RUNS = 12 };

struct member {
	struct transport *t;
	const struct cancel *over;
	pthread_t thread;
	unsigned done, lost, failed;
	char problem[256];
};

/* Each run leaves a line: so it is known how often it began. */
static void *run_often(void *data)
{
	struct member *m = data;
	char command[160];

	snprintf(command, sizeof(command), "echo x >>%s/lines; cat; exit 255", here.folder);
	for (int i = 0; i < RUNS; i++) {
		cleanup_output struct process_output output = {0};
		cleanup_error struct error *problem = NULL;
		int r = transport_run(m->t, ARGV("sh", "-c", command), "in", 2, LONG_MS, NULL, &output, &problem);

		if (r == 0 && output.status == 255 && strcmp(output.out, "in") == 0 && output.err_length == 0)
			m->done++;
		else if (r == -ECONNRESET || r == -ECONNREFUSED)
			m->lost++;
		else
			m->failed++;
		if (r < 0)
			snprintf(m->problem, sizeof(m->problem), "%s", problem->message);
	}
	return NULL;
}

static void *end_often(void *data)
{
	struct member *m = data;

	do
		ssh_end_master(&here.target, NULL, NULL);
	while (cancel_sleep(m->over, 40) == 0);
	return NULL;
}

static size_t count_lines(void)
{
	cleanup_free char *text = NULL;
	char path[96];
	size_t length;

	snprintf(path, sizeof(path), "%s/lines", here.folder);
	assert_int_equal(file_read(path, 1 << 20, &text, &length, NULL), 0);
	unlink(path);
	return length / 2;
}

static unsigned run_crowd(struct transport *t)
{
	struct member crowd[CROWD] = {{0}};
	unsigned done = 0, lost = 0;
	size_t lines;

	for (size_t i = 0; i < CROWD; i++) {
		crowd[i].t = t;
		assert_int_equal(pthread_create(&crowd[i].thread, NULL, run_often, &crowd[i]), 0);
	}
	for (size_t i = 0; i < CROWD; i++) {
		pthread_join(crowd[i].thread, NULL);
		done += crowd[i].done;
		lost += crowd[i].lost;
		if (crowd[i].lost || crowd[i].failed)
			print_message("  %u lost, %u failed: %s\n", crowd[i].lost, crowd[i].failed, crowd[i].problem);
		assert_int_equal(crowd[i].failed, 0);
	}
	lines = count_lines();
	print_message("  %u runs, %u lost, begun %zu times\n", done, lost, lines);
	assert_int_equal(done + lost, CROWD * RUNS);
	/* What is done was begun once; what is lost, once at most. */
	assert_in_range(lines, done, done + lost);
	return lost;
}

/* All at once, the first of them without a master. Dropbear ends a session that opens while another one closes. */
static void test_crowd(void **state)
{
	cleanup_transport struct transport *t = open_ssh();

	(void)state;
	ssh_end_master(&here.target, NULL, NULL);
	run_crowd(t);
}

/* The master goes again and again: its sessions are lost, and say so; 255 is only ever the program's. */
static void test_master_gone(void **state)
{
	cleanup_transport struct transport *t = open_ssh();
	struct member ender = {0};
	struct cancel over;

	(void)state;
	assert_int_equal(cancel_open(&over), 0);
	ender.over = &over;
	assert_int_equal(pthread_create(&ender.thread, NULL, end_often, &ender), 0);
	run_crowd(t);
	cancel_request(&over);
	pthread_join(ender.thread, NULL);
	cancel_close(&over);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run),	    cmocka_unit_test(test_failures),   cmocka_unit_test(test_stream),
		cmocka_unit_test(test_command),	    cmocka_unit_test(test_end_master), cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_master_gone),
	};
	cleanup_free char *ssh = NULL, *sshd = NULL;

	if (getuid() != 0 || process_find("ssh", NULL, &ssh, NULL) < 0 ||
	    (process_find("sshd", NULL, &sshd, NULL) < 0 && process_find("dropbear", NULL, &sshd, NULL) < 0)) {
		puts("skipped: needs root, ssh, and sshd or dropbear");
		return 77;
	}
	signal(SIGPIPE, SIG_IGN); /* as the program itself does */
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
