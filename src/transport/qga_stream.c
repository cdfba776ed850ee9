/*
 * Pumping between our descriptors and a program in a guest. The agent cannot call us, so it is asked: at once when
 * there is something to send, a millisecond after something happened, and ever less often while nothing does. So a
 * keystroke's echo takes a few milliseconds and an idle stream costs next to nothing.
 *
 * Nothing here may block but the poll(2) in wait_for_local: a reader of our output that pauses (a pager) must not keep
 * the signs of life from the guest.
 */
#include "transport/qga_internal.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "transport/base64.h"
#include "transport/qga_remote.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
	PAUSE_FIRST_MS = 1,
	PAUSE_MS = 10, /* while something happened within the last AWAKE_MS */
	PAUSE_ASLEEP_MS = 25,
	AWAKE_MS = 2000,
	OUTPUT_MAX = 1 << 20, /* waiting for a slow reader of ours */
	INPUT_SIZE = 192 << 10,
	OPEN_MS = 10000,
	END_GRACE_MS = 2000,
};

int remote_token(char ret[REMOTE_TOKEN_SIZE], struct error **err)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return error_errno(err, errno, "cannot make a random name");
	snprintf(ret, REMOTE_TOKEN_SIZE, "%016llx", (unsigned long long)random);
	return 0;
}

/* 1: not there yet. */
static int try_open(struct qga_channel *channel, long long pid, const char *path, const char *mode,
		    struct cancel *cancel, long long *ret_handle, int *ret_status, struct error **err)
{
	cleanup_batch struct qga_batch batch = {0};
	json_t *answers[2] = {NULL};
	const json_t *status;
	int r;

	qga_batch_add(&batch, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)pid));
	qga_batch_add(&batch, "guest-file-open", json_pack("{s:s, s:s}", "path", path, "mode", mode));
	r = qga_call(channel, &batch, answers, QGA_ANSWER_MS, cancel, err);
	if (r < 0)
		return r;
	status = qga_return(answers[0]);
	if (json_is_integer(qga_return(answers[1]))) {
		*ret_handle = json_integer_value(qga_return(answers[1]));
	} else if (qga_return(answers[1])) {
		r = qga_malformed(channel, "no handle for guest-file-open", err);
	} else {
		r = qga_failure(channel, answers[1], err, "cannot open %s in the guest", path);
		if (r == -ENOENT)
			r = json_is_false(json_object_get(status, "exited")) ? 1 : -ESRCH;
	}
	/* Whoever is told of the end is the only one: the agent then forgets it. */
	if (json_is_true(json_object_get(status, "exited"))) {
		*ret_status = qga_exit_status(status);
		if (r == 0) {
			remote_close_handle(channel, *ret_handle);
			*ret_handle = -1;
			r = -ESRCH;
		}
	}
	json_array_clear_answers(answers, 2);
	return r;
}

int remote_open(struct qga_channel *channel, long long pid, const char *path, const char *mode, struct cancel *cancel,
		long long *ret_handle, int *ret_status, struct error **err)
{
	long long until = clock_ms() + OPEN_MS;
	int pause = PAUSE_FIRST_MS;

	for (;;) {
		cleanup_error struct error *problem = NULL;
		int r = try_open(channel, pid, path, mode, cancel, ret_handle, ret_status, &problem);

		if (r == 0)
			return 0;
		if (r < 0 || clock_ms() > until) {
			error_move(err, &problem);
			return r < 0 ? r : -ETIMEDOUT;
		}
		if (cancel_sleep(cancel, pause) < 0)
			return error_set(err, ECANCELED, "stopped while starting a program in the guest");
		pause = pause < PAUSE_MS ? pause + 1 : pause;
	}
}

void remote_close_handle(struct qga_channel *channel, long long handle)
{
	if (handle >= 0)
		qga_call_one(channel, "guest-file-close", json_pack("{s:I}", "handle", (json_int_t)handle), NULL,
			     END_GRACE_MS, NULL, NULL);
}

int remote_take_read(struct qga_channel *channel, const json_t *answer, struct strbuf *to, size_t *ret_count,
		     struct error **err)
{
	const json_t *text = json_object_get(qga_return(answer), "buf-b64");
	cleanup_free char *data = NULL;

	*ret_count = 0;
	if (!text)
		return 0;
	if (!json_is_string(text) ||
	    !base64_decode(json_string_value(text), json_string_length(text), &data, ret_count))
		return qga_malformed(channel, "file contents that are not base64", err);
	strbuf_add_bytes(to, data, *ret_count);
	return 0;
}

/* One of our descriptors that output goes to. */
struct sink {
	int fd;
	struct strbuf text;
	size_t at; /* up to here it was written */
};

struct pump {
	struct remote *remote;
	int in_fd;
	char *in; /* read and not yet sent */
	size_t in_length;
	bool in_ended, end_sent;
	struct sink sinks[2];
	long long active; /* when something last happened */
	int pause;
};

static size_t sink_left(const struct sink *sink)
{
	return sink->text.length - sink->at;
}

/* A pipe that poll(2) calls writable takes PIPE_BUF bytes without blocking. */
static int write_sink(struct sink *sink)
{
	size_t left = sink_left(sink);
	ssize_t n = write(sink->fd, sink->text.text + sink->at, left < PIPE_BUF ? left : PIPE_BUF);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0)
		return -errno;
	sink->at += (size_t)n;
	if (sink->at == sink->text.length)
		sink->at = sink->text.length = 0;
	return 0;
}

static void read_input(struct pump *pump)
{
	ssize_t n = read(pump->in_fd, pump->in + pump->in_length, INPUT_SIZE - pump->in_length);

	if (n > 0)
		pump->in_length += (size_t)n;
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		pump->in_ended = true;
}

/* Waits for our own side, for at most this time. 1 something happened, 0 nothing. */
static int wait_for_local(struct pump *pump, int timeout_ms, struct cancel *cancel, struct error **err)
{
	bool want_in = !pump->in_ended && pump->in_length < INPUT_SIZE && pump->in_length < pump->remote->room;
	struct pollfd p[4] = {{.fd = want_in ? pump->in_fd : -1, .events = POLLIN},
			      {.fd = sink_left(&pump->sinks[0]) ? pump->sinks[0].fd : -1, .events = POLLOUT},
			      {.fd = sink_left(&pump->sinks[1]) ? pump->sinks[1].fd : -1, .events = POLLOUT},
			      {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
	int r = poll(p, 4, timeout_ms);

	if (r < 0)
		return errno == EINTR ? 0 : error_errno(err, errno, "cannot wait");
	if (p[3].revents)
		return error_set(err, ECANCELED, "%s was stopped in the guest behind %s", pump->remote->program,
				 qga_channel_path(pump->remote->channel));
	if (p[0].revents)
		read_input(pump);
	for (int i = 0; i < 2; i++) {
		int w = p[1 + i].revents ? write_sink(&pump->sinks[i]) : 0;

		if (w < 0)
			return error_errno(err, w, "cannot hand on the output of %s", pump->remote->program);
	}
	return r > 0;
}

static bool output_waits(const struct pump *pump)
{
	return sink_left(&pump->sinks[0]) || sink_left(&pump->sinks[1]);
}

static int exchange(struct pump *pump, struct cancel *cancel, struct error **err)
{
	size_t send = pump->in_length < pump->remote->room ? pump->in_length : pump->remote->room;
	struct remote_exchange exchange = {
		.in = pump->in,
		.in_length = send,
		.end = pump->in_ended && send == pump->in_length && !pump->end_sent,
		.want_output = sink_left(&pump->sinks[0]) + sink_left(&pump->sinks[1]) < OUTPUT_MAX,
		.out = &pump->sinks[0].text,
		.error = &pump->sinks[1].text,
	};
	size_t before = pump->sinks[0].text.length + pump->sinks[1].text.length;
	int r = pump->remote->ops->exchange(pump->remote, &exchange, cancel, err);

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++)
		if (pump->sinks[i].fd < 0)
			pump->sinks[i].text.length = 0;
	memmove(pump->in, pump->in + exchange.taken, pump->in_length - exchange.taken);
	pump->in_length -= exchange.taken;
	pump->end_sent |= exchange.end_taken;
	if (exchange.taken || pump->sinks[0].text.length + pump->sinks[1].text.length != before) {
		pump->active = clock_ms();
		pump->pause = PAUSE_FIRST_MS;
	}
	return 0;
}

/* How long to leave the agent alone now. */
static int next_pause(struct pump *pump)
{
	int slowest = clock_ms() - pump->active < AWAKE_MS ? PAUSE_MS : PAUSE_ASLEEP_MS, pause = pump->pause;

	if (pump->in_length && pump->remote->room)
		return 0;
	pump->pause = pause + (pause + 1) / 2;
	if (pump->pause > slowest)
		pump->pause = slowest;
	return pause;
}

static int pump_until_end(struct pump *pump, struct cancel *cancel, struct error **err)
{
	while (!pump->remote->exited || output_waits(pump)) {
		long long until = clock_ms() + (pump->remote->exited ? INT_MAX : next_pause(pump));
		size_t had = pump->in_length;
		bool had_ended = pump->in_ended;
		int r;

		do {
			long long left = until - clock_ms();

			r = wait_for_local(pump, left > 0 ? (int)left : 0, cancel, err);
			if (r < 0)
				return r;
			/* Output that is being written makes no haste with the agent; input does. */
		} while (r > 0 && clock_ms() < until && pump->in_length == had && pump->in_ended == had_ended &&
			 (!pump->remote->exited || output_waits(pump)));
		if (pump->remote->exited)
			continue;
		r = exchange(pump, cancel, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The program is asked to end, and then made to. What it still writes is lost. */
static void end_program(struct pump *pump)
{
	static const int signals[] = {SIGTERM, SIGKILL};

	for (size_t i = 0; i < 2 && !pump->remote->exited; i++) {
		long long until = clock_ms() + END_GRACE_MS;

		if (pump->remote->ops->signal(pump->remote, signals[i], NULL) < 0)
			return;
		while (!pump->remote->exited && clock_ms() < until) {
			pump->sinks[0].text.length = pump->sinks[0].at = 0;
			pump->sinks[1].text.length = pump->sinks[1].at = 0;
			if (exchange(pump, NULL, NULL) < 0)
				return;
			cancel_sleep(NULL, PAUSE_MS);
		}
	}
}

int qga_stream(struct transport *t, const char *const argv[], int in_fd, int out_fd, int err_fd, struct cancel *cancel,
	       int *ret_status, struct error **err)
{
	struct qga_channel *channel = qga_from(t)->channel;
	struct pump pump = {.in_fd = in_fd,
			    .in_ended = in_fd < 0,
			    .sinks = {{.fd = out_fd}, {.fd = err_fd}},
			    .pause = PAUSE_FIRST_MS,
			    .active = clock_ms()};
	cleanup_error struct error *problem = NULL;
	int r = remote_start_relay(channel, argv, cancel, &pump.remote, &problem);

	if (r == -EOPNOTSUPP)
		r = remote_start_shell(channel, argv, cancel, &pump.remote, err);
	else if (r < 0)
		return error_move(err, &problem);
	if (r < 0)
		return r;
	pump.in = malloc(INPUT_SIZE);
	if (!pump.in)
		abort();
	r = pump_until_end(&pump, cancel, err);
	/* With a relay that does not keep to the protocol there is nothing to talk about: closing ends it. */
	if (r < 0 && r != -EPROTO)
		end_program(&pump);
	*ret_status = pump.remote->status;
	pump.remote->ops->close(pump.remote);
	free(pump.in);
	free(pump.sinks[0].text.text);
	free(pump.sinks[1].text.text);
	return r;
}
