/*
 * The channel to a guest agent.
 *
 *   nestvisor ── <path>.in ──▶ QEMU ── virtio-serial ──▶ qemu-ga
 *             ◀─ <path>.out ──      ◀─               ──
 *
 * Why FIFOs: QEMU's socket character device tells the guest when its client goes away, and qemu-ga then looks for the
 * next client only ten times a second (qga/channel-posix.c): each connection would cost up to 100 ms. The `pipe`
 * character device is always connected, so a first answer takes 2 ms. It also lets any number of processes share one
 * agent: the lock is held for one call, not for a session, and an interactive stream and `status` do not wait for each
 * other. With a unix socket (an agent that nestvisor did not set up) there is one client at a time, and the lock is
 * held from open to close.
 *
 * Staying in step: answers carry no number that agents of every age give back, so a call that is broken off (timeout,
 * SIGKILL) leaves answers behind that the next caller must not take for its own. The lock file therefore says whether
 * the last call ended well. If not, guest-sync-delimited comes first: its 0xFF resets the agent's parser, and
 * everything up to the 0xFF before its answer is thrown away. No other request is sent before that answer, so that a
 * hung guest that comes back does not carry out a pile of old commands.
 *
 * In pieces: qemu-ga takes at most 4096 bytes at a time out of a GIOChannel, which reads ahead in steps of 1024. While
 * something read ahead lies there, an answer it writes is lost (GLib takes a character device for seekable, tries to
 * seek back to what was not read yet, and refuses to write when that fails), and what lies there is forgotten until
 * something else arrives (its watch waits for "in" and "hang up" both, and GLib wakes up for buffered bytes only if all
 * conditions of a watch hold). Nothing is ever left over if the bytes arrive in whole pieces of 4096, but for the last.
 * So they are written like that: pipes take up to 4096 bytes as a whole or not at all, QEMU reads as many, and the
 * guest's driver has buffers of that size. Should an agent all the same fall silent in the middle of a long request, a
 * line end, which means nothing in JSON, wakes it up.
 */
#include "transport/qga_channel.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "transport/base64.h"
#include "transport/framer.h"
#include "transport/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct qga_channel {
	char *path;
	int in, out; /* to the agent, from the agent; the same for a socket */
	int lock;
	bool shared; /* FIFOs: locked per call */
	bool clean;  /* a socket's only: see the theory above */
	struct framer framer;
};

enum {
	SYNC_BYTE = 0xff,
	IDLE_BUFFER = 1 << 20,
	PIECE_SIZE = 4096, /* PIPE_BUF, CHR_READ_BUF_LEN, QGA_READ_COUNT_DEFAULT and the guest's page */
	NUDGE_FIRST_MS = 250,
	NUDGE_SLOWEST_MS = 2000,
};

bool qga_is_sync_answer(const char *line, size_t length, long long id)
{
	const char *mark = memrchr(line, SYNC_BYTE, length);
	cleanup_json json_t *answer = NULL;
	const json_t *value;

	if (!mark)
		return false;
	if (json_parse(mark + 1, length - (size_t)(mark + 1 - line), "the answer", &answer, NULL) < 0)
		return false;
	value = json_object_get(answer, "return");
	return json_is_integer(value) && json_integer_value(value) == id;
}

void qga_batch_clear(struct qga_batch *batch)
{
	free(batch->text.text);
	*batch = (struct qga_batch){0};
}

static void begin_request(struct qga_batch *batch, const char *command)
{
	if (!batch->count++)
		snprintf(batch->first, sizeof(batch->first), "%s", command);
	strbuf_printf(&batch->text, "{\"execute\":\"%s\"", command);
}

void qga_batch_add(struct qga_batch *batch, const char *command, json_t *arguments)
{
	cleanup_free char *text = arguments ? json_text(arguments) : NULL;

	begin_request(batch, command);
	if (text)
		strbuf_printf(&batch->text, ",\"arguments\":%s", text);
	strbuf_add(&batch->text, "}\n");
	json_decref(arguments);
}

void qga_batch_add_bytes(struct qga_batch *batch, const char *command, json_t *arguments, const char *name,
			 const void *data, size_t length)
{
	cleanup_free char *text = json_text(arguments);
	size_t inner = strlen(text) - 2; /* what stands between the braces */

	begin_request(batch, command);
	strbuf_printf(&batch->text, ",\"arguments\":{%.*s%s\"%s\":\"", (int)inner, text + 1, inner ? "," : "", name);
	base64_encode(&batch->text, data, length);
	strbuf_add(&batch->text, "\"}}\n");
	json_decref(arguments);
}

static int open_fifos(struct qga_channel *channel, struct error **err)
{
	cleanup_free char *in = NULL, *out = NULL;
	int r;

	if (asprintf(&in, "%s.in", channel->path) < 0 || asprintf(&out, "%s.out", channel->path) < 0)
		abort();
	channel->in = open(in, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (channel->in < 0 && errno == ENXIO) {
		r = error_set(err, EPIPE, "cannot reach the guest agent at %s: no QEMU has it open", channel->path);
		error_hint(err, "the guest is not running");
		return r;
	}
	channel->out = open(out, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (channel->in < 0 || channel->out < 0)
		return error_errno(err, errno, "cannot reach the guest agent at %s", channel->path);
	channel->shared = true;
	return 0;
}

static int open_socket(struct qga_channel *channel, struct cancel *cancel, struct error **err)
{
	cleanup_free char *lock = NULL;
	int r;

	if (asprintf(&lock, "%s.lock", channel->path) < 0)
		abort();
	r = file_lock(lock, "uses the guest agent", -1, NULL, cancel, &channel->lock, err);
	if (r < 0)
		return r;
	r = unix_connect(channel->path, &channel->in, err);
	channel->out = channel->in;
	return r < 0 ? error_wrap(err, "cannot reach the guest agent") : 0;
}

static int open_lock(struct qga_channel *channel, struct error **err)
{
	cleanup_free char *lock = NULL;

	if (asprintf(&lock, "%s.lock", channel->path) < 0)
		abort();
	channel->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return channel->lock < 0 ? error_errno(err, errno, "cannot open the lock %s", lock) : 0;
}

int qga_channel_open(const char *path, struct cancel *cancel, struct qga_channel **ret, struct error **err)
{
	struct qga_channel *channel = calloc(1, sizeof(*channel));
	struct stat st;
	int r;

	if (!channel)
		abort();
	channel->in = channel->out = channel->lock = -1;
	channel->path = strdup(path);
	if (!channel->path)
		abort();
	if (stat(path, &st) == 0) {
		r = open_socket(channel, cancel, err);
	} else {
		r = open_fifos(channel, err);
		if (r == 0)
			r = open_lock(channel, err);
	}
	if (r < 0) {
		qga_channel_close(channel);
		return r;
	}
	*ret = channel;
	return 0;
}

void qga_channel_close(struct qga_channel *channel)
{
	if (!channel)
		return;
	if (channel->out != channel->in)
		cleanup_closep(&channel->out);
	cleanup_closep(&channel->in);
	cleanup_closep(&channel->lock);
	framer_clear(&channel->framer);
	free(channel->path);
	free(channel);
}

const char *qga_channel_path(const struct qga_channel *channel)
{
	return channel->path;
}

static int milliseconds_left(long long deadline)
{
	long long left = deadline - clock_ms();

	return deadline < 0 ? -1 : left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* The state of a shared channel in its lock file: "<pid> <busy|idle>", so that a person sees who has it. */
static void write_state(const struct qga_channel *channel, const char *state)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "%-10d %s\n", getpid(), state);
	ssize_t written = pwrite(channel->lock, line, (size_t)n, 0);

	(void)written; /* an unwritten "idle" only costs the next caller a sync */
}

static bool read_clean(const struct qga_channel *channel)
{
	char line[32] = "";
	ssize_t n = pread(channel->lock, line, sizeof(line) - 1, 0);

	return n > 0 && strstr(line, " idle\n");
}

/*
 * Calls take about a millisecond and a fair share of them are other processes' polls; flock(2) cannot wait with a
 * timeout, so it is tried again ever less often.
 */
static int lock_channel(struct qga_channel *channel, long long deadline, struct cancel *cancel, struct error **err)
{
	char holder[32] = "";
	int pause = 1;

	if (!channel->shared)
		return 0;
	while (flock(channel->lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_errno(err, errno, "cannot lock %s.lock", channel->path);
		if (milliseconds_left(deadline) == 0) {
			if (pread(channel->lock, holder, sizeof(holder) - 1, 0) < 0)
				holder[0] = '\0';
			holder[strcspn(holder, " \n")] = '\0';
			return error_set(err, ETIMEDOUT, "the guest agent at %s is busy with process %s", channel->path,
					 holder);
		}
		if (cancel_sleep(cancel, pause) < 0)
			return error_set(err, ECANCELED, "stopped while waiting for the guest agent at %s",
					 channel->path);
		pause = pause < 8 ? pause * 2 : 8;
	}
	channel->clean = read_clean(channel);
	return 0;
}

/* What was read beyond the answers belongs to nobody, and says that we are out of step. */
static void finish_call(struct qga_channel *channel, bool done)
{
	channel->clean = done && framer_empty(&channel->framer);
	if (channel->framer.bytes.capacity > IDLE_BUFFER || !channel->clean)
		framer_clear(&channel->framer);
	if (!channel->shared)
		return;
	if (channel->clean)
		write_state(channel, "idle");
	flock(channel->lock, LOCK_UN);
}

static int other_end_gone(const struct qga_channel *channel, struct error **err)
{
	int r = error_set(err, EPIPE, "the guest agent's channel %s was closed by its other end", channel->path);

	error_hint(err, "the guest's QEMU ended");
	return r;
}

/* Without SIGPIPE, which must not end a program that merely asked a guest that has just died: a FIFO has no
 * MSG_NOSIGNAL. */
static ssize_t write_quietly(const struct qga_channel *channel, const char *data, size_t length)
{
	sigset_t pipe_signal, before, pending;
	ssize_t n;

	if (!channel->shared)
		return send(channel->in, data, length, MSG_NOSIGNAL);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
	n = write(channel->in, data, length);
	if (n < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE)) {
		sigtimedwait(&pipe_signal, NULL, &(struct timespec){0});
		errno = EPIPE;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return n;
}

static int read_some(struct qga_channel *channel, struct error **err)
{
	char buffer[65536];
	ssize_t n = read(channel->out, buffer, sizeof(buffer));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE)))
		return other_end_gone(channel, err);
	if (n < 0)
		return error_errno(err, errno, "cannot read from the guest agent at %s", channel->path);
	framer_feed(&channel->framer, buffer, (size_t)n);
	return 0;
}

/* What is still to be sent. */
struct outgoing {
	const char *data;
	size_t left;
	int nudge_ms; /* 0: never, it is short enough to be read in one go */
};

static int write_some(struct qga_channel *channel, struct outgoing *outgoing, struct error **err)
{
	size_t piece = outgoing->left < PIECE_SIZE ? outgoing->left : PIECE_SIZE;
	ssize_t n = write_quietly(channel, outgoing->data, piece);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		return other_end_gone(channel, err);
	if (n < 0)
		return error_errno(err, errno, "cannot write to the guest agent at %s", channel->path);
	outgoing->data += n;
	outgoing->left -= (size_t)n;
	return 0;
}

static void nudge(struct qga_channel *channel, struct outgoing *outgoing)
{
	write_quietly(channel, "\n", 1); /* should that fail there is something to read, or it will be tried again */
	if (outgoing->nudge_ms < NUDGE_SLOWEST_MS)
		outgoing->nudge_ms *= 2;
}

/* Waits for the channel and carries on what can be. 1 go on, 0 the time is over. */
static int wait_and_carry(struct qga_channel *channel, struct outgoing *outgoing, long long deadline,
			  struct cancel *cancel, struct error **err)
{
	struct pollfd p[3] = {{.fd = channel->out, .events = POLLIN},
			      {.fd = outgoing->left ? channel->in : -1, .events = POLLOUT},
			      {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
	int left = milliseconds_left(deadline);
	bool may_nudge = outgoing->nudge_ms && !outgoing->left && (left < 0 || left > outgoing->nudge_ms);
	int r = poll(p, 3, may_nudge ? outgoing->nudge_ms : left);

	if (r < 0)
		return errno == EINTR ? 1
				      : error_errno(err, errno, "cannot wait for the guest agent at %s", channel->path);
	if (r == 0 && may_nudge)
		nudge(channel, outgoing);
	else if (r == 0)
		return 0;
	if (p[2].revents)
		return error_set(err, ECANCELED, "stopped while waiting for the guest agent at %s", channel->path);
	r = p[0].revents ? read_some(channel, err) : 0;
	if (r == 0 && p[1].revents)
		r = write_some(channel, outgoing, err);
	return r < 0 ? r : 1;
}

/*
 * Waits for the next line, writing what is left to be sent meanwhile: an agent that is busy answering must not meet a
 * peer that is busy asking. 1 line, 0 timed out.
 */
static int next_line(struct qga_channel *channel, struct outgoing *outgoing, long long deadline, struct cancel *cancel,
		     const char **ret_line, size_t *ret_length, struct error **err)
{
	for (;;) {
		int r = framer_line(&channel->framer, ret_line, ret_length);

		if (r > 0)
			return 1;
		if (r < 0)
			return error_set(err, EPROTO, "the guest agent at %s sent a line of more than %d bytes",
					 channel->path, FRAMER_LINE_MAX);
		r = wait_and_carry(channel, outgoing, deadline, cancel, err);
		if (r <= 0)
			return r;
	}
}

static int no_answer(const struct qga_channel *channel, const char *command, long long waited, struct error **err)
{
	int r = error_set(err, ETIMEDOUT, "the guest agent at %s did not answer %s within %lld ms", channel->path,
			  command, waited);

	error_hint(err, "the guest is still booting, hung, or does not run qemu-guest-agent: see its console");
	return r;
}

/* With the lock held. */
static int synchronise(struct qga_channel *channel, long long deadline, struct cancel *cancel, struct error **err)
{
	long long began = clock_ms(), id;
	struct outgoing outgoing = {.nudge_ms = NUDGE_FIRST_MS}; /* after who knows what */
	char request[128];
	const char *line;
	size_t length;
	uint32_t random;
	int r;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (uint32_t)began;
	id = random >> 1; /* old agents take 31 bits unharmed */
	outgoing.data = request;
	outgoing.left =
		(size_t)snprintf(request, sizeof(request),
				 "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%lld}}\n", id);
	do {
		r = next_line(channel, &outgoing, deadline, cancel, &line, &length, err);
		if (r < 0 && r != -EPROTO)
			return r;
		if (r == 0)
			return no_answer(channel, "guest-sync-delimited", clock_ms() - began, err);
		if (r < 0) /* an endless line from before: what follows its end is what we want */
			framer_clear(&channel->framer);
	} while (r < 0 || !qga_is_sync_answer(line, length, id));
	return 0;
}

static int parse_answer(struct qga_channel *channel, const char *line, size_t length, json_t **ret, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	cleanup_json json_t *answer = NULL;

	if (json_parse(line, length, "it", &answer, &problem) < 0)
		return error_set(err, EPROTO, "the guest agent at %s sent %zu bytes that are no answer: %s",
				 channel->path, length, problem->message);
	if (!json_object_get(answer, "return") && !json_is_object(json_object_get(answer, "error")))
		return qga_malformed(channel, "an answer without return or error", err);
	*ret = steal_pointer(&answer);
	return 0;
}

static int exchange(struct qga_channel *channel, const struct qga_batch *batch, json_t *ret[], long long deadline,
		    struct cancel *cancel, struct error **err)
{
	struct outgoing outgoing = {batch->text.text, batch->text.length,
				    batch->text.length > PIECE_SIZE ? NUDGE_FIRST_MS : 0};
	long long began = clock_ms();
	int r = 0;

	for (size_t i = 0; i < batch->count && r >= 0; i++) {
		const char *line;
		size_t length;

		r = next_line(channel, &outgoing, deadline, cancel, &line, &length, err);
		if (r == 0)
			r = no_answer(channel, batch->first, clock_ms() - began, err);
		else if (r > 0)
			r = parse_answer(channel, line, length, &ret[i], err);
	}
	if (r < 0)
		json_array_clear_answers(ret, batch->count);
	return r < 0 ? r : 0;
}

int qga_call(struct qga_channel *channel, struct qga_batch *batch, json_t *ret[], int timeout_ms, struct cancel *cancel,
	     struct error **err)
{
	long long deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	int r;

	for (size_t i = 0; i < batch->count; i++)
		ret[i] = NULL;
	r = lock_channel(channel, deadline, cancel, err);
	if (r == 0) {
		if (channel->shared)
			write_state(channel, "busy");
		if (!channel->clean)
			r = synchronise(channel, deadline, cancel, err);
		if (r == 0)
			r = exchange(channel, batch, ret, deadline, cancel, err);
		finish_call(channel, r == 0);
	}
	qga_batch_clear(batch);
	return r;
}

int qga_channel_sync(struct qga_channel *channel, int timeout_ms, struct cancel *cancel, struct error **err)
{
	long long deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	int r = lock_channel(channel, deadline, cancel, err);

	if (r < 0)
		return r;
	if (channel->shared)
		write_state(channel, "busy");
	r = synchronise(channel, deadline, cancel, err);
	finish_call(channel, r == 0);
	return r;
}

int qga_call_one(struct qga_channel *channel, const char *command, json_t *arguments, json_t **ret_return,
		 int timeout_ms, struct cancel *cancel, struct error **err)
{
	cleanup_batch struct qga_batch batch = {0};
	cleanup_json json_t *answer = NULL;
	int r;

	qga_batch_add(&batch, command, arguments);
	r = qga_call(channel, &batch, &answer, timeout_ms, cancel, err);
	if (r < 0)
		return r;
	if (!qga_return(answer))
		return qga_failure(channel, answer, err, "%s", command);
	if (ret_return)
		*ret_return = json_incref(qga_return(answer));
	return 0;
}

json_t *qga_return(const json_t *answer)
{
	return json_object_get(answer, "return");
}

int qga_failure(const struct qga_channel *channel, const json_t *answer, struct error **err, const char *format, ...)
{
	const json_t *error = json_object_get(answer, "error");
	const char *text = json_get_string(error, "desc", "no reason given");
	bool missing = strstr(text, "No such file or directory") || strstr(text, "No such process");
	bool unavailable = strcmp(json_get_string(error, "class", ""), "CommandNotFound") == 0 ||
			   strstr(text, "has been disabled");
	cleanup_free char *what = NULL;
	va_list args;
	int r;

	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		abort();
	va_end(args);
	r = error_set(err,
		      missing	    ? ENOENT
		      : unavailable ? EOPNOTSUPP
				    : EREMOTEIO,
		      "%s: the guest agent at %s answered: %s", what, channel->path, text);
	if (unavailable)
		error_hint(err, "the guest's qemu-guest-agent must allow guest-exec and guest-file-* (in the guest: "
				"/etc/sysconfig/qemu-ga or /etc/qemu/qemu-ga.conf)");
	return r;
}

int qga_malformed(const struct qga_channel *channel, const char *what, struct error **err)
{
	return error_set(err, EPROTO, "the guest agent at %s sent %s", channel->path, what);
}
