/* QMP against a real QEMU, and against peers that misbehave. */
#include "driver/qmp.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "transport/unix_socket.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { LONG_MS = 60000 };

struct place {
	char folder[64], path[96];
	struct process_id qemu;
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->folder, "/tmp/nestvisor-qmp.XXXXXX");
	if (!mkdtemp(place->folder))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/qmp", place->folder);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	process_end(&place->qemu, 0, NULL);
	dir_remove(place->folder, NULL);
	free(place);
	return 0;
}

static void start_qemu(struct place *place)
{
	char chardev[64];
	int fd, keep[2] = {-1, -1};
	const char *argv[] = {"qemu-system-x86_64",
			      "-M",
			      "none",
			      "-S",
			      "-nodefaults",
			      "-display",
			      "none",
			      "-chardev",
			      chardev,
			      "-mon",
			      "chardev=c,mode=control",
			      NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1, .keep = keep};

	assert_int_equal(unix_listen(place->path, &fd, NULL), 0);
	snprintf(chardev, sizeof(chardev), "socket,id=c,fd=%d,server=on,wait=off", fd);
	keep[0] = fd;
	assert_int_equal(process_spawn(&spec, &place->qemu, NULL), 0);
	close(fd);
}

static void test_real(void **state)
{
	struct place *place = *state;
	cleanup_error struct error *err = NULL;
	cleanup_json json_t *answer = NULL;
	cleanup_qmp struct qmp *qmp = NULL;
	int status = -1;

	start_qemu(place); /* connecting does not wait for it to have started */
	assert_int_equal(qmp_open(place->path, LONG_MS, NULL, &qmp, &err), 0);
	assert_int_equal(qmp_execute(qmp, "query-status", NULL, LONG_MS, NULL, &answer, &err), 0);
	assert_string_equal(json_get_string(answer, "status", ""), "prelaunch");

	assert_int_equal(qmp_execute(qmp, "device_del", json_pack("{s:s}", "id", "nobody"), LONG_MS, NULL, NULL, &err),
			 -EIO);
	assert_non_null(strstr(err->message, "device_del"));
	assert_non_null(strstr(err->message, "nobody"));
	error_freep(&err);

	qmp_execute(qmp, "quit", NULL, LONG_MS, NULL, NULL, NULL);
	assert_int_equal(process_wait(&place->qemu, LONG_MS, &status), 0);
	assert_int_equal(status, 0);
	assert_int_equal(qmp_execute(qmp, "query-status", NULL, LONG_MS, NULL, NULL, &err), -ECONNRESET);
}

/* One client at a time: the second is greeted when the first has gone. */
static void test_two_clients(void **state)
{
	struct place *place = *state;
	cleanup_qmp struct qmp *first = NULL, *second = NULL;

	start_qemu(place);
	assert_int_equal(qmp_open(place->path, LONG_MS, NULL, &first, NULL), 0);
	assert_int_equal(qmp_open(place->path, 50, NULL, &second, NULL), -ETIMEDOUT);
	qmp_close(steal_pointer(&first));
	assert_int_equal(qmp_open(place->path, LONG_MS, NULL, &second, NULL), 0);
}

static void test_stopped_qemu(void **state)
{
	struct place *place = *state;
	struct cancel cancel;
	struct qmp *qmp = NULL;

	start_qemu(place);
	kill(place->qemu.pid, SIGSTOP);
	assert_int_equal(cancel_open(&cancel), 0);
	cancel_request(&cancel);
	assert_int_equal(qmp_open(place->path, LONG_MS, &cancel, &qmp, NULL), -ECANCELED);
	assert_null(qmp);
	cancel_close(&cancel);
	assert_int_equal(qmp_open(place->path, 20, NULL, &qmp, NULL), -ETIMEDOUT);
	kill(place->qemu.pid, SIGKILL);
	assert_int_equal(process_wait(&place->qemu, LONG_MS, NULL), 0);
	assert_int_equal(qmp_open(place->path, LONG_MS, NULL, &qmp, NULL), -ECONNREFUSED);
}

static void test_nobody(void **state)
{
	struct place *place = *state;
	cleanup_error struct error *err = NULL;
	struct qmp *qmp = NULL;

	assert_int_equal(qmp_open(place->path, LONG_MS, NULL, &qmp, &err), -ENOENT);
	assert_non_null(strstr(err->message, place->path));
}

struct peer {
	int fd;
	const char *says;
};

static void *peer_main(void *argument)
{
	const struct peer *peer = argument;
	int fd = accept(peer->fd, NULL, NULL);
	ssize_t n = send(fd, peer->says, strlen(peer->says), MSG_NOSIGNAL);
	char requests[256];

	shutdown(fd, SHUT_WR);
	while (n > 0)
		n = recv(fd, requests, sizeof(requests), 0);
	close(fd);
	return NULL;
}

static int talk_to(struct place *place, const char *says)
{
	cleanup_qmp struct qmp *qmp = NULL;
	cleanup_error struct error *err = NULL;
	struct peer peer = {.says = says};
	pthread_t thread;
	int r;

	assert_int_equal(unix_listen(place->path, &peer.fd, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, peer_main, &peer), 0);
	r = qmp_open(place->path, LONG_MS, NULL, &qmp, &err);
	if (r == 0)
		r = qmp_execute(qmp, "query-status", NULL, LONG_MS, NULL, NULL, &err);
	assert_non_null(err);
	qmp_close(steal_pointer(&qmp));
	pthread_join(thread, NULL);
	close(peer.fd);
	return r;
}

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

static void test_bad_peers(void **state)
{
	assert_int_equal(talk_to(*state, ""), -ECONNRESET);
	assert_int_equal(talk_to(*state, "SSH-2.0-OpenSSH\r\n"), -EBADMSG);
	assert_int_equal(talk_to(*state, "{\"QMP\": {\"versio"), -ECONNRESET);
	assert_int_equal(talk_to(*state, GREETING), -ECONNRESET);
	assert_int_equal(talk_to(*state, GREETING "{\"return\": {}}\r\n{\"event\": \"STOP\"}\r\n{\"retu"), -ECONNRESET);
	assert_int_equal(talk_to(*state, GREETING "{\"return\": {}}\r\n[[[[\r\n"), -EBADMSG);
	assert_int_equal(talk_to(*state, GREETING "{\"error\": {\"class\": 3}}\r\n"), -EIO);
}

/* A path that does not fit sockaddr_un. */
static void test_long_path(void **state)
{
	struct place *place = *state;
	cleanup_free char *folder = NULL, *path = NULL, *too_long = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_close int listening = -1, connected = -1;

	assert_true(asprintf(&folder, "%s/%0100d/%0100d", place->folder, 1, 2) > 0);
	assert_int_equal(dir_make(folder, 0700, NULL), 0);
	assert_true(asprintf(&path, "%s/qmp", folder) > 0);
	assert_int_equal(unix_listen(path, &listening, NULL), 0);
	assert_int_equal(unix_connect(path, &connected, NULL), 0);
	assert_true(file_exists(path));
	assert_true(asprintf(&too_long, "%s/%0100d", folder, 3) > 0);
	assert_int_equal(unix_listen(too_long, &connected, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err->message, too_long));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_real, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_clients, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped_qemu, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_peers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_path, set_up, tear_down),
	};
	cleanup_free char *qemu = NULL;

	if (process_find("qemu-system-x86_64", NULL, &qemu, NULL) < 0) {
		puts("skipped: qemu-system-x86_64 is not installed");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
