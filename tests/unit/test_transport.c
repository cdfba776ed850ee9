/* The transports' parts, the local one, and the guest agent's with a real qemu-ga and with peers that misbehave. */
#include "agent.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "transport/base64.h"
#include "transport/framer.h"
#include "transport/qga_channel.h"
#include "transport/transport.h"
#include "transport/unix_socket.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { LONG_MS = 60000 };

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_contains(const struct error *err, const char *text)
{
	assert_non_null(err);
	if (!strstr(err->message, text)) {
		print_error("\"%s\" is not in: %s\n", text, err->message);
		fail();
	}
}

static void test_base64(void **state)
{
	/* RFC 4648, section 10 */
	static const char *const vectors[][2] = {{"", ""},
						 {"f", "Zg=="},
						 {"fo", "Zm8="},
						 {"foo", "Zm9v"},
						 {"foob", "Zm9vYg=="},
						 {"fooba", "Zm9vYmE="},
						 {"foobar", "Zm9vYmFy"}};
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zg=g", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zm9\n", "Zg==Zg==", "Zm-_"};

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		cleanup_strbuf struct strbuf text = {0};
		cleanup_free char *data = NULL;
		size_t length;

		base64_encode(&text, vectors[i][0], strlen(vectors[i][0]));
		assert_string_equal(text.text ? text.text : "", vectors[i][1]);
		assert_true(base64_decode(vectors[i][1], strlen(vectors[i][1]), &data, &length));
		assert_int_equal(length, strlen(vectors[i][0]));
		assert_string_equal(data, vectors[i][0]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *data;
		size_t length;

		if (base64_decode(bad[i], strlen(bad[i]), &data, &length)) {
			print_error("accepted: %s\n", bad[i]);
			fail();
		}
	}
	for (size_t size = 0; size < 20000; size = size * 3 / 2 + 1) {
		cleanup_strbuf struct strbuf text = {0};
		cleanup_free char *bytes = malloc(size + 1), *data = NULL;
		size_t length;

		for (size_t i = 0; i < size; i++)
			bytes[i] = (char)(i * 167 + size);
		base64_encode(&text, bytes, size);
		assert_true(base64_decode(text.text ? text.text : "", text.length, &data, &length));
		assert_int_equal(length, size);
		assert_memory_equal(data, bytes, size);
	}
}

static void test_framer(void **state)
{
	static const char bytes[] = "one\n\nthree\xff\nfo";
	const char *line;
	size_t length;

	(void)state;
	/* However the bytes come in pieces, the same lines come out. */
	for (size_t step = 1; step < sizeof(bytes); step++) {
		struct framer framer = {0};
		size_t lines = 0, sum = 0;

		for (size_t at = 0; at < sizeof(bytes) - 1; at += step) {
			size_t left = sizeof(bytes) - 1 - at;

			framer_feed(&framer, bytes + at, left < step ? left : step);
			while (framer_line(&framer, &line, &length) == 1) {
				lines++;
				sum += length;
			}
		}
		assert_int_equal(lines, 3);
		assert_int_equal(sum, 3 + 0 + 6);
		assert_false(framer_empty(&framer));
		framer_feed(&framer, "ur\n", 3);
		assert_int_equal(framer_line(&framer, &line, &length), 1);
		assert_memory_equal(line, "four", 4);
		assert_true(framer_empty(&framer));
		framer_clear(&framer);
	}
}

static void test_framer_limit(void **state)
{
	static char chunk[1 << 20];
	struct framer framer = {0};
	const char *line;
	size_t length;
	int r = 0;

	(void)state;
	memset(chunk, 'x', sizeof(chunk));
	for (size_t i = 0; i <= FRAMER_LINE_MAX / sizeof(chunk) && r == 0; i++) {
		framer_feed(&framer, chunk, sizeof(chunk));
		r = framer_line(&framer, &line, &length);
	}
	assert_int_equal(r, -EMSGSIZE);
	framer_clear(&framer);
}

static bool is_sync(const char *line)
{
	return qga_is_sync_answer(line, strlen(line), 42);
}

static void test_sync_answer(void **state)
{
	(void)state;
	assert_true(is_sync("\xff{\"return\": 42}"));
	assert_true(is_sync("{\"return\": {}}junk\xff\xff{\"return\": 42}"));
	assert_false(is_sync("{\"return\": 42}"));
	assert_false(is_sync("\xff{\"return\": 41}"));
	assert_false(is_sync("\xff{\"return\": \"42\"}"));
	assert_false(is_sync("\xff{\"return\": 42"));
	assert_false(is_sync("\xff"));
	assert_false(is_sync(""));
}

/* What every transport must do; the agent's and the local one are held to the same. */
static void check_run(struct transport *t)
{
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;

	assert_int_equal(
		transport_run(t, ARGV("sh", "-c", "cat; echo two >&2; exit 3"), "one", 3, LONG_MS, NULL, &output, &err),
		0);
	assert_int_equal(output.status, 3);
	assert_string_equal(output.out, "one");
	assert_string_equal(output.err, "two\n");
	process_output_clear(&output);

	/* No shell takes an argument apart. */
	assert_int_equal(transport_run(t, ARGV("printf", "[%s]", "a b", "", "'\"$HOME`\\", "ä", "\n\t"), NULL, 0,
				       LONG_MS, NULL, &output, &err),
			 0);
	assert_string_equal(output.out, "[a b][]['\"$HOME`\\][ä][\n\t]");
	process_output_clear(&output);

	assert_int_equal(transport_run(t, ARGV("sh", "-c", "kill -9 $$"), NULL, 0, LONG_MS, NULL, &output, &err), 0);
	assert_int_equal(output.status, 128 + 9);
	assert_string_equal(output.out, "");
	process_output_clear(&output);

	assert_int_equal(
		transport_run(t, ARGV("head", "-c", "70000", "/dev/zero"), NULL, 0, LONG_MS, NULL, &output, &err), 0);
	assert_int_equal(output.out_length, 70000);
	process_output_clear(&output);

	assert_int_equal(transport_run(t, ARGV("nestvisor-no-such-program"), NULL, 0, LONG_MS, NULL, &output, &err),
			 -ENOENT);
	assert_contains(err, "nestvisor-no-such-program");
}

/* A program that is given up on must not live on. */
static void check_limits(struct transport *t, const char *folder)
{
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	cleanup_free char *pid_path = NULL;
	struct process_id id = {0};
	struct cancel cancel;

	assert_true(asprintf(&pid_path, "%s/sleeper", folder) > 0);
	assert_int_equal(
		transport_run(t,
			      ARGV("sh", "-c", "echo $$ $(cut -d' ' -f22 /proc/$$/stat) >\"$1\"; exec sleep 1000", "sh",
				   pid_path),
			      NULL, 0, 200, NULL, &output, &err),
		-ETIMEDOUT);
	if (file_exists(pid_path)) { /* it may not even have come so far */
		assert_int_equal(process_read_pid_file(pid_path, &id, NULL), 0);
		assert_false(process_alive(&id));
	}
	error_freep(&err);
	assert_int_equal(cancel_open(&cancel), 0);
	cancel_request(&cancel);
	assert_int_equal(transport_run(t, ARGV("sleep", "1000"), NULL, 0, LONG_MS, &cancel, &output, &err), -ECANCELED);
	cancel_close(&cancel);
	error_freep(&err);
	/* And afterwards all is well. */
	assert_int_equal(transport_run(t, ARGV("echo", "well"), NULL, 0, LONG_MS, NULL, &output, &err), 0);
	assert_string_equal(output.out, "well\n");
}

static void test_local(void **state)
{
	cleanup_close int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
	struct transport *t = transport_local();
	struct cancel cancel;
	char text[64] = "";
	int status = -1;

	(void)state;
	check_run(t);
	check_limits(t, "/tmp");
	assert_int_equal(pwrite(in, "abc", 3, 0), 3);
	assert_int_equal(
		transport_stream(t, ARGV("sh", "-c", "cat; echo x >&2; exit 9"), in, out, -1, NULL, &status, NULL), 0);
	assert_int_equal(status, 9);
	assert_int_equal(pread(out, text, sizeof(text), 0), 3);
	assert_string_equal(text, "abc");
	assert_int_equal(cancel_open(&cancel), 0);
	cancel_request(&cancel);
	assert_int_equal(transport_stream(t, ARGV("sleep", "1000"), -1, -1, -1, &cancel, &status, NULL), -ECANCELED);
	cancel_close(&cancel);
	transport_close(t);
}

static int no_agent(void **state)
{
	*state = calloc(1, sizeof(struct agent));
	return agent_folder(*state);
}

static int socket_agent(void **state)
{
	*state = calloc(1, sizeof(struct agent));
	return agent_start_socket(*state);
}

static int fifo_agent(void **state)
{
	*state = calloc(1, sizeof(struct agent));
	return agent_start_fifos(*state);
}

static int end_agent(void **state)
{
	agent_stop(*state);
	free(*state);
	return 0;
}

static struct transport *open_agent(struct agent *agent)
{
	cleanup_error struct error *err = NULL;
	struct transport *t = NULL;

	if (transport_qga(agent->path, NULL, &t, &err) < 0 || qga_wait(t, LONG_MS, NULL, &err) < 0) {
		print_error("%s\n", err->message);
		fail();
	}
	return t;
}

static void test_agent(void **state)
{
	struct agent *agent = *state;
	cleanup_transport struct transport *t = open_agent(agent);
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;

	check_run(t);
	check_limits(t, agent->folder);
	assert_int_equal(transport_run(t, ARGV("echo", "\xff\xfe"), NULL, 0, LONG_MS, NULL, &output, &err), -EILSEQ);
	assert_contains(err, "UTF-8");
}

static void test_agent_large(void **state)
{
	cleanup_transport struct transport *t = open_agent(*state);
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	enum { SIZE = 5 << 20 };
	cleanup_free char *data = malloc(SIZE);

	for (size_t i = 0; i < SIZE; i++)
		data[i] = (char)(i * 2654435761u >> 11);
	/* Larger than what is sent with the command; and the file it went through is gone. */
	assert_int_equal(transport_run(t, ARGV("sh", "-c", "cat; ls /run/nestvisor/input.* >&2"), data, SIZE, LONG_MS,
				       NULL, &output, &err),
			 0);
	assert_int_equal(output.out_length, SIZE);
	assert_memory_equal(output.out, data, SIZE);
	assert_non_null(strstr(output.err, "No such file"));
	process_output_clear(&output);
	assert_int_equal(
		transport_run(t, ARGV("head", "-c", "17000000", "/dev/zero"), NULL, 0, LONG_MS, NULL, &output, &err),
		-EFBIG);
	assert_contains(err, "16 MB");
}

static void test_agent_files(void **state)
{
	struct agent *agent = *state;
	cleanup_transport struct transport *t = open_agent(agent);
	cleanup_error struct error *err = NULL;
	cleanup_free char *mine = NULL, *missing = NULL, *back = NULL;
	char *texts[4], big[300 << 10], expected[32];
	struct stat st;
	size_t length;

	assert_true(asprintf(&mine, "%s/mine", agent->folder) > 0);
	assert_true(asprintf(&missing, "%s/missing/x", agent->folder) > 0);
	assert_int_equal(qga_write_file(t, mine, "first\0half", 10, NULL, &err), 0);
	assert_int_equal(qga_write_file(t, mine, "second\n", 7, NULL, &err), 0);
	assert_int_equal(stat(mine, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(file_read(mine, 100, &back, &length, NULL), 0);
	assert_string_equal(back, "second\n");

	assert_int_equal(
		qga_read_files(t, ARGV(mine, missing, "/proc/1/stat", "/dev/null"), 4, LONG_MS, NULL, texts, &err), 0);
	assert_string_equal(texts[0], "second\n");
	assert_null(texts[1]);
	snprintf(expected, sizeof(expected), "1 (");
	assert_true(strncmp(texts[2], expected, 3) == 0);
	assert_string_equal(texts[3], "");
	for (size_t i = 0; i < 4; i++)
		free(texts[i]);
	assert_int_equal(qga_read_files(t, NULL, 0, LONG_MS, NULL, texts, &err), 0);

	memset(big, 'x', sizeof(big));
	assert_int_equal(file_write_atomic(mine, big, sizeof(big), 0600, NULL), 0);
	assert_int_equal(qga_read_files(t, ARGV("/proc/1/stat", mine), 2, LONG_MS, NULL, texts, &err), -EFBIG);
	assert_null(texts[0]);
	error_freep(&err);
	assert_int_equal(qga_read_files(t, ARGV(agent->folder), 1, LONG_MS, NULL, texts, &err), -EREMOTEIO);
	error_freep(&err);
	assert_int_equal(qga_write_file(t, missing, "a", 1, NULL, &err), -EIO);
	assert_contains(err, missing);
}

/* Another user of the same agent, which is held by its socket's lock, and shared behind FIFOs. */
static int run_in_child(const char *path, int timeout_ms)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct process_output output = {0};
		struct cancel cancel;
		struct transport *t;
		struct itimerspec;

		cancel_open(&cancel);
		if (timeout_ms == 0)
			cancel_request(&cancel); /* as soon as it would have to wait */
		_exit(transport_qga(path, &cancel, &t, NULL) == 0 &&
				      transport_run(t, ARGV("echo", "child"), NULL, 0, LONG_MS, &cancel, &output,
						    NULL) == 0 &&
				      strcmp(output.out, "child\n") == 0
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_socket_is_locked(void **state)
{
	struct agent *agent = *state;
	struct transport *t = open_agent(agent);

	assert_int_not_equal(run_in_child(agent->path, 0), 0);
	transport_close(t);
	assert_int_equal(run_in_child(agent->path, LONG_MS), 0);
}

static void test_fifos_are_shared(void **state)
{
	struct agent *agent = *state;
	cleanup_transport struct transport *t = open_agent(agent), *other = open_agent(agent);

	assert_int_equal(run_in_child(agent->path, LONG_MS), 0);
	check_run(t);
	check_run(other);
	check_run(t);
}

struct user {
	struct agent *agent;
	int failures;
};

static void *user_main(void *argument)
{
	struct user *user = argument;
	cleanup_transport struct transport *t = NULL;

	if (transport_qga(user->agent->path, NULL, &t, NULL) < 0)
		user->failures++;
	for (int i = 0; i < 10 && t; i++) {
		cleanup_output struct process_output output = {0};
		char text[64];

		snprintf(text, sizeof(text), "%p %d", argument, i);
		user->failures += transport_run(t, ARGV("echo", text), NULL, 0, LONG_MS, NULL, &output, NULL) < 0 ||
				  strncmp(output.out, text, strlen(text)) != 0;
	}
	return NULL;
}

static void test_many_users(void **state)
{
	struct user users[6];
	pthread_t threads[6];

	transport_close(open_agent(*state));
	for (int i = 0; i < 6; i++) {
		users[i] = (struct user){*state, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, user_main, &users[i]), 0);
	}
	for (int i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(users[i].failures, 0);
	}
}

/* What a caller leaves behind that was killed in the middle of a call, half a request and unread answers. */
static void test_out_of_step(void **state)
{
	static const char leftovers[] =
		"{\"execute\":\"guest-ping\"}\n{\"execute\":\"guest-info\"}\n{\"execute\":\"gue";
	struct agent *agent = *state;
	cleanup_transport struct transport *t = open_agent(agent);
	char in[96], lock[96];
	cleanup_close int fd = -1, lock_fd = -1;

	snprintf(in, sizeof(in), "%s.in", agent->path);
	snprintf(lock, sizeof(lock), "%s.lock", agent->path);
	fd = open(in, O_WRONLY | O_CLOEXEC);
	lock_fd = open(lock, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(lock_fd, "1          busy\n", 16), 16);
	assert_int_equal(write(fd, leftovers, strlen(leftovers)), strlen(leftovers));
	check_run(t);
}

static void test_agent_dies(void **state)
{
	struct agent *agent = *state;
	cleanup_transport struct transport *t = open_agent(agent);
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;

	/* The program that the agent runs kills it. */
	assert_int_equal(
		transport_run(t, ARGV("sh", "-c", "kill -9 $PPID; sleep 5"), NULL, 0, LONG_MS, NULL, &output, &err),
		-EPIPE);
	assert_contains(err, agent->path);
}

/* Behind FIFOs an agent that ends is just silent, as when its guest reboots; QEMU's end closes them. */
static void test_qemu_dies(void **state)
{
	struct agent *agent = *state;
	cleanup_transport struct transport *t = open_agent(agent), *late = NULL;
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;

	process_end(&agent->process, 0, NULL);
	assert_int_equal(qga_wait(t, 50, NULL, &err), -ETIMEDOUT);
	assert_contains(err, agent->path);
	assert_non_null(strstr(err->hint, "console"));
	error_freep(&err);
	agent_close_fifos(agent);
	assert_int_equal(transport_run(t, ARGV("true"), NULL, 0, LONG_MS, NULL, &output, &err), -EPIPE);
	assert_contains(err, agent->path);
	error_freep(&err);
	assert_int_equal(transport_qga(agent->path, NULL, &late, &err), -EPIPE);
}

static void test_nothing_there(void **state)
{
	struct agent *agent = *state;
	cleanup_error struct error *err = NULL;
	struct transport *t;

	assert_int_equal(transport_qga(agent->path, NULL, &t, &err), -ENOENT);
	assert_contains(err, agent->path);
}

/* A peer that plays a script: after each request it sends the next part; NULL ends. "SYNC" answers a sync rightly. */
struct peer {
	int fd;
	const char *const *parts;
};

static bool read_line(int fd, char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && read(fd, line + n, 1) == 1)
		if (line[n++] == '\n') {
			line[n] = '\0';
			return true;
		}
	return false;
}

static void *peer_main(void *argument)
{
	const struct peer *peer = argument;
	int fd = accept(peer->fd, NULL, NULL);
	char line[16384], answer[128];

	for (size_t i = 0; peer->parts[i] && read_line(fd, line, sizeof(line)); i++) {
		const char *id = strstr(line, "\"id\":"), *says = peer->parts[i];

		if (strcmp(says, "SYNC") == 0 && id) {
			snprintf(answer, sizeof(answer), "\xff{\"return\": %lld}\n", strtoll(id + 5, NULL, 10));
			says = answer;
		}
		if (send(fd, says, strlen(says), MSG_NOSIGNAL) < 0)
			break;
	}
	shutdown(fd, SHUT_WR);
	while (read(fd, line, sizeof(line)) > 0)
		;
	close(fd);
	return NULL;
}

static int talk_with(struct agent *agent, const char *const argv[], const char *const parts[], const char *expected)
{
	cleanup_output struct process_output output = {0};
	cleanup_error struct error *err = NULL;
	cleanup_close int fd = -1;
	struct transport *t = NULL;
	struct peer peer;
	pthread_t thread;
	int r;

	assert_int_equal(unix_listen(agent->path, &fd, NULL), 0);
	peer = (struct peer){fd, parts};
	assert_int_equal(pthread_create(&thread, NULL, peer_main, &peer), 0);
	assert_int_equal(transport_qga(agent->path, NULL, &t, NULL), 0);
	r = transport_run(t, argv, NULL, 0, LONG_MS, NULL, &output, &err);
	if (r < 0) {
		assert_contains(err, expected);
		assert_contains(err, agent->path);
	} else {
		assert_string_equal(output.out, expected);
	}
	transport_close(t);
	pthread_join(thread, NULL);
	return r;
}

static int talk(struct agent *agent, const char *const parts[], const char *expected)
{
	return talk_with(agent, ARGV("true"), parts, expected);
}

#define PID "{\"return\": {\"pid\": 7}}\n"

static void test_bad_peers(void **state)
{
	struct agent *a = *state;

	assert_int_equal(
		talk(a,
		     ARGV("SYNC", PID, "{\"return\": {\"exited\": true, \"exitcode\": 0, \"out-data\": \"eA==\"}}\n"),
		     "x"),
		0);
	assert_int_equal(talk(a, ARGV("{\"return\": 1}\nrubbish\n\n\xff{\"retu"), "closed"), -EPIPE);
	assert_int_equal(talk(a, ARGV("SYNC", "rubbish\n"), "no answer"), -EPROTO);
	assert_int_equal(talk(a, ARGV("SYNC", "[]\n"), "without return"), -EPROTO);
	assert_int_equal(talk(a, ARGV("SYNC", "{\"return\": {\"pid\""), "closed"), -EPIPE);
	assert_int_equal(talk(a, ARGV("SYNC", "{\"return\": {\"pid\": \"7\"}}\n"), "no process id"), -EPROTO);
	assert_int_equal(talk(a, ARGV("SYNC", "{\"return\": {\"pid\": -7}}\n"), "no process id"), -EPROTO);
	assert_int_equal(talk(a, ARGV("SYNC", "{\"return\": 5}\n"), "no process id"), -EPROTO);
	assert_int_equal(talk(a, ARGV("SYNC", "{\"error\": {\"class\": 5, \"desc\": {}}}\n"), "no reason"), -EREMOTEIO);
	assert_int_equal(
		talk(a,
		     ARGV("SYNC", "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Command guest-exec has been "
				  "disabled\"}}\n"),
		     "disabled"),
		-EOPNOTSUPP);
	assert_int_equal(talk(a, ARGV("SYNC", PID, "{\"return\": {}}\n"), "without exited"), -EPROTO);
	assert_int_equal(talk(a, ARGV("SYNC", PID, "{\"return\": {\"exited\": true}}\n"), "without exit code"),
			 -EPROTO);
	assert_int_equal(
		talk(a, ARGV("SYNC", PID, "{\"return\": {\"exited\": true, \"exitcode\": 0, \"out-data\": \"eA=\"}}\n"),
		     "not base64"),
		-EPROTO);
	assert_int_equal(talk(a,
			      ARGV("SYNC", PID, "{\"return\": {\"exited\": true, \"exitcode\": 0, \"err-data\": 5}}\n"),
			      "not base64"),
			 -EPROTO);
	assert_int_equal(talk(a, ARGV("SYNC", PID, "{\"return\": {\"exited\": false}}\n", "\xff\n"), "no answer"),
			 -EPROTO);
}

/* qemu-ga may forget the end of a long request until something else arrives: here, an empty line. */
static void test_forgetful_agent(void **state)
{
	char word[3000];

	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_int_equal(talk_with(*state, ARGV("true", word, word),
				   ARGV("SYNC", "", PID, "{\"return\": {\"exited\": true, \"exitcode\": 0}}\n"), ""),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_framer),
		cmocka_unit_test(test_framer_limit),
		cmocka_unit_test(test_sync_answer),
		cmocka_unit_test(test_local),
		cmocka_unit_test_setup_teardown(test_nothing_there, no_agent, end_agent),
		cmocka_unit_test_setup_teardown(test_bad_peers, no_agent, end_agent),
		cmocka_unit_test_setup_teardown(test_forgetful_agent, no_agent, end_agent),
	};
	const struct CMUnitTest agent_tests[] = {
		{"test_agent(socket)", test_agent, socket_agent, end_agent, NULL},
		{"test_agent(fifos)", test_agent, fifo_agent, end_agent, NULL},
		{"test_agent_large(socket)", test_agent_large, socket_agent, end_agent, NULL},
		{"test_agent_files(socket)", test_agent_files, socket_agent, end_agent, NULL},
		{"test_agent_files(fifos)", test_agent_files, fifo_agent, end_agent, NULL},
		cmocka_unit_test_setup_teardown(test_socket_is_locked, socket_agent, end_agent),
		cmocka_unit_test_setup_teardown(test_fifos_are_shared, fifo_agent, end_agent),
		cmocka_unit_test_setup_teardown(test_many_users, fifo_agent, end_agent),
		cmocka_unit_test_setup_teardown(test_out_of_step, fifo_agent, end_agent),
		cmocka_unit_test_setup_teardown(test_agent_dies, socket_agent, end_agent),
		cmocka_unit_test_setup_teardown(test_qemu_dies, fifo_agent, end_agent),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	if (getuid() != 0 || !file_exists("/usr/sbin/qemu-ga")) {
		puts("skipped: the tests with a real guest agent need root and /usr/sbin/qemu-ga");
		return r ? r : 77;
	}
	return cmocka_run_group_tests(agent_tests, NULL, NULL) || r;
}
