/*
 * The guest's side of a live stream. Why memory files and not FIFOs or a folder of files: the agent reads with
 * fread(3), which on a FIFO throws away what it has read when the rest would block, and writes with fwrite(3), which
 * does not say how much a full FIFO took. A regular file has neither problem. A memfd needs no name, so nothing has to
 * be cleaned up, and holes can be punched into it on any guest.
 *
 *   host ── guest-file-write ──▶ to_guest ── inotify ──▶ relay ── pipe ──▶ program
 *        ◀─ guest-file-read ───  to_host  ◀───────────        ◀─ pipes ──
 */
#include "transport/relay.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "transport/relay_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/uio.h>

enum {
	INPUT_PENDING_MAX = 256 << 10, /* taken from the host and not yet by the program */
	PUNCH_STEP = 256 << 10,
	PAGE = 4096,
	READ_SIZE = 64 << 10,
	WITHOUT_INOTIFY_MS = 5,
	END_GRACE_MS = 2000,
};

/* A memory file and how far each side has come in it. */
struct lane {
	int fd;
	uint64_t done;	 /* ours: written by us, or taken by us */
	uint64_t theirs; /* acknowledged by the host, or acknowledged to it */
	uint64_t punched;
};

struct relay {
	struct lane to_guest, to_host;
	int inotify;
	int signals;	       /* a signalfd: we are asked to end */
	struct strbuf inbox;   /* bytes of to_guest that are no whole frame yet */
	struct strbuf pending; /* for the program's standard input */
	bool input_ended;
	int in, out, err; /* our ends of the program's pipes; -1 closed */
	struct process_id program;
	int pidfd;
	bool exited;
	int status;
	bool told; /* the last frame was sent */
	int patience_ms;
	long long heard; /* when the host last said something */
};

static int make_lane(struct lane *lane, const char *name, int number)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	lane->fd = dup3(fd, number, O_CLOEXEC);
	close(fd);
	return lane->fd < 0 ? -errno : 0;
}

/* Gives the memory of what both sides are done with back. */
static void punch(struct lane *lane, uint64_t until)
{
	until &= ~(uint64_t)(PAGE - 1);
	if (until < lane->punched + PUNCH_STEP)
		return;
	if (fallocate(lane->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)lane->punched,
		      (off_t)(until - lane->punched)) == 0)
		lane->punched = until;
}

static int send_frame(struct relay *relay, enum relay_type type, const void *payload, size_t length)
{
	struct relay_header header = {type, (uint32_t)length};
	struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)payload, length}};
	struct lane *lane = &relay->to_host;
	ssize_t n = pwritev(lane->fd, parts, 2, (off_t)lane->done);

	if (n != (ssize_t)(sizeof(header) + length))
		return n < 0 ? -errno : -ENOSPC;
	lane->done += (uint64_t)n;
	return 0;
}

static size_t window_left(const struct relay *relay)
{
	uint64_t ahead = relay->to_host.done - relay->to_host.theirs;

	return ahead < RELAY_WINDOW ? (size_t)(RELAY_WINDOW - ahead) : 0;
}

static void signal_program(const struct relay *relay, int sig)
{
	if (relay->program.pid > 0) /* the leader of its own process group */
		kill(-relay->program.pid, sig);
}

static int take_frame(struct relay *relay, const struct relay_header *header, const char *payload)
{
	uint64_t position;
	uint32_t number;

	switch ((enum relay_type)header->type) {
	case RELAY_DATA:
		if (relay->in >= 0)
			strbuf_add_bytes(&relay->pending, payload, header->length);
		return 0;
	case RELAY_END:
		relay->input_ended = true;
		return 0;
	case RELAY_SIGNAL:
		if (header->length != sizeof(number))
			return -EPROTO;
		memcpy(&number, payload, sizeof(number));
		signal_program(relay, (int)number);
		return 0;
	case RELAY_ACK:
		if (header->length != sizeof(position))
			return -EPROTO;
		memcpy(&position, payload, sizeof(position));
		if (position < relay->to_host.theirs || position > relay->to_host.done)
			return -EPROTO;
		relay->to_host.theirs = position;
		punch(&relay->to_host, position);
		return 0;
	case RELAY_HELLO:
	case RELAY_OUT:
	case RELAY_ERR:
	case RELAY_EXIT:
	case RELAY_FAILED:
		break;
	}
	return -EPROTO;
}

/* Takes whole frames out of the inbox, and leaves the rest. */
static int take_frames(struct relay *relay)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && relay->inbox.length - at >= sizeof(struct relay_header)) {
		struct relay_header header;

		memcpy(&header, relay->inbox.text + at, sizeof(header));
		if (header.length > RELAY_PAYLOAD_MAX)
			return -EPROTO;
		if (relay->inbox.length - at - sizeof(header) < header.length)
			break;
		r = take_frame(relay, &header, relay->inbox.text + at + sizeof(header));
		at += sizeof(header) + header.length;
	}
	if (at) {
		memmove(relay->inbox.text, relay->inbox.text + at, relay->inbox.length - at);
		relay->inbox.length -= at;
	}
	return r;
}

/* Reads what the host has written, as long as the program keeps up, and tells the host how far we are. */
static int hear_host(struct relay *relay)
{
	struct lane *lane = &relay->to_guest;
	int r = 0;

	while (r == 0 && relay->pending.length < INPUT_PENDING_MAX) {
		char buffer[READ_SIZE];
		ssize_t n = pread(lane->fd, buffer, sizeof(buffer), (off_t)lane->done);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		lane->done += (uint64_t)n;
		strbuf_add_bytes(&relay->inbox, buffer, (size_t)n);
		relay->heard = clock_ms();
		r = take_frames(relay);
	}
	if (r == 0 && lane->done != lane->theirs && !relay->told) {
		r = send_frame(relay, RELAY_ACK, &lane->done, sizeof(lane->done));
		lane->theirs = lane->done;
		punch(lane, lane->done);
	}
	return r;
}

static void feed_program(struct relay *relay)
{
	if (relay->in >= 0 && relay->pending.length) {
		ssize_t n = write(relay->in, relay->pending.text, relay->pending.length);

		if (n > 0) {
			memmove(relay->pending.text, relay->pending.text + n, relay->pending.length - (size_t)n);
			relay->pending.length -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			/* The program does not want more: as with a pipe, that is its own affair. */
			relay->pending.length = 0;
			close(steal_fd(&relay->in));
		}
	}
	if (relay->in >= 0 && relay->input_ended && !relay->pending.length)
		close(steal_fd(&relay->in));
}

static int carry_output(struct relay *relay, int *fd, enum relay_type type)
{
	char buffer[READ_SIZE];
	size_t room = window_left(relay);
	ssize_t n;

	if (room <= sizeof(struct relay_header))
		return 0;
	room -= sizeof(struct relay_header);
	n = read(*fd, buffer, room < sizeof(buffer) ? room : sizeof(buffer));
	if (n > 0)
		return send_frame(relay, type, buffer, (size_t)n);
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close(steal_fd(fd));
	return 0;
}

static int tell_end(struct relay *relay)
{
	uint32_t status = (uint32_t)relay->status;

	if (relay->told || !relay->exited || relay->out >= 0 || relay->err >= 0)
		return 0;
	relay->told = true;
	return send_frame(relay, RELAY_EXIT, &status, sizeof(status));
}

static void drain_inotify(const struct relay *relay)
{
	char events[4096];

	while (read(relay->inotify, events, sizeof(events)) > 0)
		;
}

static int wait_for_something(struct relay *relay)
{
	bool room = window_left(relay) > sizeof(struct relay_header);
	struct pollfd p[6] = {{.fd = relay->inotify, .events = POLLIN},
			      {.fd = relay->pending.length ? relay->in : -1, .events = POLLOUT},
			      {.fd = room ? relay->out : -1, .events = POLLIN},
			      {.fd = room ? relay->err : -1, .events = POLLIN},
			      {.fd = relay->exited ? -1 : relay->pidfd, .events = POLLIN},
			      {.fd = relay->signals, .events = POLLIN}};
	long long left = relay->heard + relay->patience_ms - clock_ms();
	int r;

	if (left <= 0)
		return -EPIPE;
	r = poll(p, 6, relay->inotify < 0 && left > WITHOUT_INOTIFY_MS ? WITHOUT_INOTIFY_MS : (int)left);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[5].revents)
		return -EINTR;
	if (p[0].revents)
		drain_inotify(relay);
	if (p[4].revents)
		relay->exited = process_wait(&relay->program, 0, &relay->status) == 0;
	if (p[2].revents && (r = carry_output(relay, &relay->out, RELAY_OUT)) < 0)
		return r;
	return p[3].revents ? carry_output(relay, &relay->err, RELAY_ERR) : 0;
}

static int converse(struct relay *relay)
{
	int r = 0;

	for (;;) {
		r = hear_host(relay);
		if (r < 0)
			return r;
		feed_program(relay);
		r = tell_end(relay);
		if (r < 0)
			return r;
		if (relay->told && relay->to_host.theirs == relay->to_host.done)
			return 0;
		r = wait_for_something(relay);
		if (r < 0)
			return r;
	}
}

static int start_program(struct relay *relay, const char *const argv[])
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, error_pipe[2] = {-1, -1}, r = 0;
	cleanup_error struct error *problem = NULL;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(error_pipe, O_CLOEXEC) < 0)
		r = error_errno(&problem, errno, "cannot make pipes");
	if (r == 0) {
		struct process_spec spec = {
			.argv = argv, .netns = -1, .in = in[0], .out = out[1], .err = error_pipe[1], .detach = true};

		r = process_spawn(&spec, &relay->program, &problem);
	}
	cleanup_closep(&in[0]);
	cleanup_closep(&out[1]);
	cleanup_closep(&error_pipe[1]);
	relay->in = in[1];
	relay->out = out[0];
	relay->err = error_pipe[0];
	if (r == 0) {
		fcntl(relay->in, F_SETFL, O_NONBLOCK);
		fcntl(relay->out, F_SETFL, O_NONBLOCK);
		fcntl(relay->err, F_SETFL, O_NONBLOCK);
		relay->pidfd = pidfd_open(relay->program.pid, 0);
		return relay->pidfd < 0 ? -errno : 0;
	} else {
		cleanup_strbuf struct strbuf text = {0};
		uint32_t code = (uint32_t)-r;

		strbuf_add_bytes(&text, &code, sizeof(code));
		strbuf_add(&text, problem->message);
		relay->told = true;
		return send_frame(relay, RELAY_FAILED, text.text, text.length);
	}
}

static void end_program(const struct relay *relay)
{
	if (!relay->program.pid || relay->exited)
		return;
	signal_program(relay, SIGHUP);
	if (process_wait(&relay->program, END_GRACE_MS, NULL) == 0)
		return;
	signal_program(relay, SIGKILL);
	process_wait(&relay->program, END_GRACE_MS, NULL);
}

static int begin(struct relay *relay, const sigset_t *end_signals, const char *token, const char *const argv[])
{
	char path[64];
	int r = make_lane(&relay->to_guest, "nestvisor-to-guest", RELAY_TO_GUEST_FD);

	if (r == 0)
		r = make_lane(&relay->to_host, "nestvisor-to-host", RELAY_TO_HOST_FD);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", RELAY_TO_GUEST_FD);
	relay->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (relay->inotify >= 0 && inotify_add_watch(relay->inotify, path, IN_MODIFY) < 0)
		close(steal_fd(&relay->inotify)); /* then we look every few milliseconds */
	relay->signals = signalfd(-1, end_signals, SFD_CLOEXEC);
	relay->heard = clock_ms();
	r = send_frame(relay, RELAY_HELLO, token, strlen(token));
	return r < 0 ? r : start_program(relay, argv);
}

int relay_run(const char *token, const char *const argv[], struct error **err)
{
	return relay_run_within(token, argv, RELAY_PATIENCE_MS, err);
}

int relay_run_within(const char *token, const char *const argv[], int patience_ms, struct error **err)
{
	struct relay relay = {.patience_ms = patience_ms,
			      .inotify = -1,
			      .signals = -1,
			      .in = -1,
			      .out = -1,
			      .err = -1,
			      .pidfd = -1,
			      .to_guest.fd = -1,
			      .to_host.fd = -1};
	sigset_t end_signals, before;
	int fds[8], r;

	sigemptyset(&end_signals);
	sigaddset(&end_signals, SIGTERM);
	sigaddset(&end_signals, SIGHUP);
	sigaddset(&end_signals, SIGINT);
	sigprocmask(SIG_BLOCK, &end_signals, &before);
	signal(SIGPIPE, SIG_IGN); /* a program that closes its standard input must not end us */
	r = begin(&relay, &end_signals, token, argv);
	if (r == 0)
		r = converse(&relay);
	end_program(&relay);
	/* The agent may keep the files open when the host is gone; let them hold nothing. */
	if (r < 0 && relay.to_host.fd >= 0 && ftruncate(relay.to_host.fd, 0) < 0)
		r = -errno;
	if (r < 0 && relay.to_guest.fd >= 0 && ftruncate(relay.to_guest.fd, 0) < 0)
		r = -errno;
	memcpy(fds,
	       (int[]){relay.to_guest.fd, relay.to_host.fd, relay.inotify, relay.signals, relay.in, relay.out,
		       relay.err, relay.pidfd},
	       sizeof(fds));
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		cleanup_closep(&fds[i]);
	free(relay.inbox.text);
	free(relay.pending.text);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (r == -EPIPE)
		return error_set(err, EPIPE, "the host no longer reads what %s writes: it was ended", argv[0]);
	if (r == -EINTR)
		return error_set(err, EINTR, "told to end, and ended %s", argv[0]);
	return r < 0 ? error_errno(err, r, "relaying %s", argv[0]) : 0;
}
