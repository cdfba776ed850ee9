/*
 * Live streams through a real qemu-ga: by the relay, which is this program itself under the name of nestvisor, and by
 * the shell where there is no nestvisor.
 */
#include "agent.h"
#include "base/error.h"
#include "transport/relay.h"
#include "transport/relay_protocol.h"
#include "transport/transport.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { LONG_MS = 60000, SIZE = 3 << 20 };

#define ARGV(...)  ((const char *const[]){__VA_ARGS__, NULL})
#define SHELL(...) ARGV("sh", "-c", __VA_ARGS__)

struct fixture {
	struct agent agent;
	struct transport *t;
	char search[160];
};

static int open_fixture(void **state, const char *nestvisor)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char folder[] = "/tmp/nestvisor-path.XXXXXX", link[64];

	*state = f;
	if (!mkdtemp(folder))
		return -1;
	snprintf(link, sizeof(link), "%s/nestvisor", folder);
	if (nestvisor && symlink(nestvisor, link) < 0)
		return -1;
	snprintf(f->search, sizeof(f->search), "%s:/usr/bin:/bin", folder);
	f->agent.search = f->search;
	if (agent_start_fifos(&f->agent) < 0 || transport_qga(f->agent.path, NULL, &f->t, NULL) < 0)
		return -1;
	return qga_wait(f->t, LONG_MS, NULL, NULL);
}

static int by_relay(void **state)
{
	static char self[256];

	return readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 ? open_fixture(state, self) : -1;
}

static int by_shell(void **state)
{
	return open_fixture(state, NULL);
}

/* A nestvisor that knows no relay: the shell steps in. */
static int by_old_nestvisor(void **state)
{
	return open_fixture(state, "/bin/false");
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char *colon = strchr(f->search, ':');

	transport_close(f->t);
	agent_stop(&f->agent);
	*colon = '\0';
	dir_remove(f->search, NULL);
	free(f);
	return 0;
}

static int memory_file(const void *data, size_t length)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	if (length)
		assert_int_equal(pwrite(fd, data, length, 0), length);
	return fd;
}

static char *contents(int fd, size_t *ret_length)
{
	off_t length = lseek(fd, 0, SEEK_END);
	char *data = calloc(1, (size_t)length + 1);

	assert_int_equal(pread(fd, data, (size_t)length, 0), length);
	*ret_length = (size_t)length;
	return data;
}

static char *pattern(void)
{
	char *data = malloc(SIZE);

	for (size_t i = 0; i < SIZE; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	return data;
}

static int stream(struct fixture *f, const char *const argv[], int in, int out, int error)
{
	cleanup_error struct error *err = NULL;
	int status = -1, r = transport_stream(f->t, argv, in, out, error, NULL, &status, &err);

	if (r < 0)
		print_error("%s\n", err->message);
	assert_int_equal(r, 0);
	return status;
}

static void test_streams(void **state)
{
	cleanup_close int in = memory_file("abc", 3), out = memory_file(NULL, 0), error = memory_file(NULL, 0);
	cleanup_free char *out_text = NULL, *error_text = NULL;
	size_t length;

	assert_int_equal(
		stream(*state, SHELL("cat; echo \"[$1]\"; echo two >&2; exit 7", "sh", "a 'b"), in, out, error), 7);
	out_text = contents(out, &length);
	error_text = contents(error, &length);
	assert_string_equal(out_text, "abc[a 'b]\n");
	assert_string_equal(error_text, "two\n");
	assert_int_equal(stream(*state, SHELL("kill -9 $$"), -1, -1, -1), 128 + 9);
	assert_int_equal(stream(*state, ARGV("cat"), -1, -1, -1), 0); /* no input is its end at once */
	assert_int_equal(stream(*state, ARGV("true"), -1, -1, -1), 0);
}

/* More than any window, buffer or pipe, there and back. */
static void test_large(void **state)
{
	cleanup_free char *data = pattern(), *back = NULL;
	cleanup_close int in = memory_file(data, SIZE), out = memory_file(NULL, 0);
	size_t length;

	assert_int_equal(stream(*state, ARGV("cat"), in, out, -1), 0);
	back = contents(out, &length);
	assert_int_equal(length, SIZE);
	assert_memory_equal(back, data, SIZE);
}

/* A reader in the guest that is slow, so that input has to wait, again and again. */
static void test_slow_program(void **state)
{
	static const char script[] = "n=0; while [ $n -lt 12 ]; do sleep 0.05; dd bs=20000 count=1 iflag=fullblock "
				     "2>/dev/null; n=$((n+1)); done;"
				     "exec cat";
	cleanup_free char *data = pattern(), *back = NULL;
	cleanup_close int in = memory_file(data, 500001), out = memory_file(NULL, 0);
	size_t length;

	assert_int_equal(stream(*state, SHELL(script), in, out, -1), 0);
	back = contents(out, &length);
	assert_int_equal(length, 500001);
	assert_memory_equal(back, data, 500001);
}

/* A program that does not want all its input, and one that ends without any. */
static void test_early_end(void **state)
{
	cleanup_free char *data = pattern(), *back = NULL;
	cleanup_close int in = memory_file(data, SIZE), again = memory_file(data, SIZE), out = memory_file(NULL, 0);
	size_t length;

	assert_int_equal(stream(*state, ARGV("head", "-c", "10"), in, out, -1), 0);
	back = contents(out, &length);
	assert_int_equal(length, 10);
	assert_memory_equal(back, data, 10);
	assert_int_equal(stream(*state, SHELL("exit 4"), again, -1, -1), 4);
}

struct reader {
	int fd;
	size_t total;
	uint32_t sum;
};

static void *read_main(void *argument)
{
	struct reader *reader = argument;
	char buffer[3000];
	ssize_t n;

	while ((n = read(reader->fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			reader->sum = reader->sum * 31 + (unsigned char)buffer[i];
		reader->total += (size_t)n;
	}
	return NULL;
}

/* Our reader is a pipe that blocks. */
static void test_pipe_output(void **state)
{
	cleanup_free char *data = pattern();
	cleanup_close int in = memory_file(data, SIZE);
	struct reader reader = {0};
	uint32_t sum = 0;
	pthread_t thread;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	reader.fd = fds[0];
	assert_int_equal(pthread_create(&thread, NULL, read_main, &reader), 0);
	assert_int_equal(stream(*state, ARGV("cat"), in, fds[1], -1), 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	for (size_t i = 0; i < SIZE; i++)
		sum = sum * 31 + (unsigned char)data[i];
	assert_int_equal(reader.total, SIZE);
	assert_int_equal(reader.sum, sum);
}

struct running {
	struct fixture *fixture;
	const char *const *argv;
	int in, out, result, status;
	struct cancel *cancel;
	struct error *err;
	pthread_t thread;
};

static void *run_main(void *argument)
{
	struct running *r = argument;

	r->result = transport_stream(r->fixture->t, r->argv, r->in, r->out, -1, r->cancel, &r->status, &r->err);
	return NULL;
}

static void run(struct running *r)
{
	assert_int_equal(pthread_create(&r->thread, NULL, run_main, r), 0);
}

static void test_interactive(void **state)
{
	int in[2], out[2];
	struct running r = {.fixture = *state, .argv = ARGV("cat")};
	long long began;
	char c;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	r.in = in[0];
	r.out = out[1];
	run(&r);
	assert_int_equal(write(in[1], "-", 1), 1);
	assert_int_equal(read(out[0], &c, 1), 1);
	began = clock_ms();
	for (int i = 0; i < 100; i++) {
		char key = (char)('a' + i % 26);

		assert_int_equal(write(in[1], &key, 1), 1);
		assert_int_equal(read(out[0], &c, 1), 1);
		assert_int_equal(c, key);
	}
	print_message("  echo of a keystroke: %.1f ms\n", (double)(clock_ms() - began) / 100);
	close(in[1]);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.result, 0);
	assert_int_equal(r.status, 0);
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

/* Waits until the program in the guest said who it is, and returns a descriptor that becomes readable when it ends. */
static int program_of(int fd)
{
	char line[32] = "";
	size_t n = 0;

	while (n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	return pidfd_open(atoi(line), 0);
}

static void test_cancel(void **state)
{
	struct cancel cancel;
	struct running r = {.fixture = *state, .argv = SHELL("echo $$; exec sleep 1000"), .in = -1, .cancel = &cancel};
	cleanup_close int program = -1;
	int out[2];

	assert_int_equal(cancel_open(&cancel), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	r.out = out[1];
	run(&r);
	program = program_of(out[0]);
	assert_true(program >= 0);
	cancel_request(&cancel);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.result, -ECANCELED);
	assert_int_equal(cancel_poll(NULL, program, POLLIN, LONG_MS), 1);
	error_free(r.err);
	cancel_close(&cancel);
	close(out[0]);
	close(out[1]);
}

static void test_reader_gone(void **state)
{
	struct running r = {
		.fixture = *state, .argv = SHELL("echo $$; while :; do echo more; sleep 0.01; done"), .in = -1};
	cleanup_close int program = -1;
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	r.out = out[1];
	run(&r);
	program = program_of(out[0]);
	close(out[0]);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.result, -EPIPE);
	assert_int_equal(cancel_poll(NULL, program, POLLIN, LONG_MS), 1);
	error_free(r.err);
	close(out[1]);
}

static void test_missing_program(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	int status = -1;

	assert_int_equal(transport_stream(f->t, ARGV("nestvisor-no-such-program"), -1, -1, -1, NULL, &status, &err),
			 -ENOENT);
	assert_non_null(strstr(err->message, "nestvisor-no-such-program"));
	assert_int_equal(stream(f, ARGV("true"), -1, -1, -1), 0);
}

static void test_missing_in_shell(void **state)
{
	cleanup_close int error = memory_file(NULL, 0);
	cleanup_free char *text = NULL;
	size_t length;

	assert_int_equal(stream(*state, ARGV("nestvisor-no-such-program"), -1, -1, error), 127);
	text = contents(error, &length);
	assert_non_null(strstr(text, "nestvisor-no-such-program"));
}

static void test_agent_dies(void **state)
{
	struct fixture *f = *state;
	struct running r = {.fixture = f, .argv = SHELL("echo $$; exec sleep 1000"), .in = -1};
	cleanup_close int program = -1;
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	r.out = out[1];
	run(&r);
	program = program_of(out[0]);
	agent_close_fifos(&f->agent); /* as when QEMU dies */
	pthread_join(r.thread, NULL);
	assert_int_equal(r.result, -EPIPE);
	assert_non_null(strstr(r.err->message, f->agent.path));
	error_free(r.err);
	pidfd_send_signal(program, SIGKILL, NULL, 0);
	close(out[0]);
	close(out[1]);
}

/* A host that is killed: the relay notices by itself, ends the program and itself. */
static void test_host_gone(void **state)
{
	struct fixture *f = *state;
	cleanup_close int program = -1;
	int out[2], status;
	pid_t host;

	assert_int_equal(stream(f, ARGV("true"), -1, -1, -1), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	host = fork();
	if (host == 0) {
		struct transport *t;

		if (transport_qga(f->agent.path, NULL, &t, NULL) == 0)
			transport_stream(t, SHELL("echo $$; exec sleep 1000"), -1, out[1], -1, NULL, &status, NULL);
		_exit(1);
	}
	program = program_of(out[0]);
	assert_true(program >= 0);
	assert_int_equal(cancel_poll(NULL, program, POLLIN, 0), 0);
	kill(host, SIGKILL);
	assert_int_equal(waitpid(host, &status, 0), host);
	assert_int_equal(cancel_poll(NULL, program, POLLIN, LONG_MS), 1);
	assert_int_equal(stream(f, ARGV("true"), -1, -1, -1), 0);
	close(out[0]);
	close(out[1]);
}

/* Relays that lie. What they send is in the word after "--". */
static void test_bad_relays(void **state)
{
	static const char *const kinds[] = {"greeting", "length", "type", "ack", "status"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		cleanup_error struct error *err = NULL;
		char word[64];
		int status;

		snprintf(word, sizeof(word), "bad-relay-%s", kinds[i]);
		assert_int_equal(transport_stream(f->t, ARGV(word), -1, -1, -1, NULL, &status, &err), -EPROTO);
		assert_non_null(strstr(err->message, f->agent.path));
	}
}

static int bad_relay(const char *token, const char *kind)
{
	struct {
		struct relay_header header;
		uint64_t payload;
	} frame = {{RELAY_OUT, 8}, 1ull << 40};
	struct relay_header hello = {RELAY_HELLO, (uint32_t)strlen(token)};
	int fd = memfd_create("bad", 0), other = memfd_create("bad", 0);

	if (strcmp(kind, "greeting") == 0)
		token = "0123456789abcdef";
	else if (strcmp(kind, "length") == 0)
		frame.header.length = UINT32_MAX;
	else if (strcmp(kind, "type") == 0)
		frame.header.type = 77;
	else if (strcmp(kind, "ack") == 0)
		frame.header.type = RELAY_ACK; /* of more than was ever sent */
	else
		frame.header.type = RELAY_EXIT; /* of the wrong size */
	if (write(fd, &hello, sizeof(hello)) < 0 || write(fd, token, strlen(token)) < 0 ||
	    write(fd, &frame, sizeof(frame)) < 0 || dup2(fd, RELAY_TO_HOST_FD) < 0 ||
	    dup2(other, RELAY_TO_GUEST_FD) < 0)
		return 1;
	pause(); /* until the host ends it */
	return 0;
}

static int relay_main(const char *const argv[])
{
	const char *command = argv[4];

	if (strncmp(command, "bad-relay-", 10) == 0)
		return bad_relay(argv[2], command + 10);
	return relay_run_within(argv[2], argv + 4, 2000 + RELAY_SIGN_OF_LIFE_MS, NULL) < 0;
}

#define STREAM_TEST(test, setup)                                                                                       \
	{                                                                                                              \
#test "(" #setup ")", test, setup, tear_down, NULL                                                     \
	}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		STREAM_TEST(test_streams, by_relay),
		STREAM_TEST(test_streams, by_shell),
		STREAM_TEST(test_streams, by_old_nestvisor),
		STREAM_TEST(test_large, by_relay),
		STREAM_TEST(test_large, by_shell),
		STREAM_TEST(test_slow_program, by_relay),
		STREAM_TEST(test_slow_program, by_shell),
		STREAM_TEST(test_early_end, by_relay),
		STREAM_TEST(test_early_end, by_shell),
		STREAM_TEST(test_pipe_output, by_relay),
		STREAM_TEST(test_pipe_output, by_shell),
		STREAM_TEST(test_interactive, by_relay),
		STREAM_TEST(test_interactive, by_shell),
		STREAM_TEST(test_cancel, by_relay),
		STREAM_TEST(test_cancel, by_shell),
		STREAM_TEST(test_reader_gone, by_relay),
		STREAM_TEST(test_reader_gone, by_shell),
		STREAM_TEST(test_missing_program, by_relay),
		STREAM_TEST(test_missing_in_shell, by_shell),
		STREAM_TEST(test_agent_dies, by_relay),
		STREAM_TEST(test_agent_dies, by_shell),
		STREAM_TEST(test_host_gone, by_relay),
		STREAM_TEST(test_bad_relays, by_relay),
	};

	if (argc > 4 && strcmp(argv[1], "relay") == 0)
		return relay_main((const char *const *)argv);
	if (getuid() != 0 || !file_exists("/usr/sbin/qemu-ga")) {
		puts("skipped: needs root and /usr/sbin/qemu-ga");
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
