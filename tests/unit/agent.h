/*
 * A real qemu-ga on this machine, for tests of the transport without a virtual machine: behind a unix socket, or behind
 * FIFOs as QEMU's `pipe` character device has them, which a thread joins to a socket.
 */
#ifndef NESTVISOR_TESTS_UNIT_AGENT_H
#define NESTVISOR_TESTS_UNIT_AGENT_H

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "transport/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>

struct agent {
	char folder[64];
	char path[80];	    /* for transport_qga */
	const char *search; /* its PATH, or NULL */
	struct process_id process;
	int peer, in, out, stop; /* of the joining thread */
	bool joined;
	pthread_t thread;
};

static inline int agent_spawn(struct agent *agent, const char *method, const char *where)
{
	char pid_file[96], path[256];
	const char *argv[] = {"/usr/sbin/qemu-ga", "-m", method,   "-p", where, "-t",
			      agent->folder,	   "-f", pid_file, NULL};
	const char *env[] = {path, NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1, .detach = true};

	snprintf(pid_file, sizeof(pid_file), "%s/qemu-ga.pid", agent->folder);
	snprintf(path, sizeof(path), "PATH=%s", agent->search ? agent->search : "");
	if (agent->search)
		spec.env = env;
	return process_spawn(&spec, &agent->process, NULL);
}

static inline int agent_folder(struct agent *agent)
{
	strcpy(agent->folder, "/tmp/nestvisor-agent.XXXXXX");
	if (!mkdtemp(agent->folder))
		return -1;
	snprintf(agent->path, sizeof(agent->path), "%s/qga", agent->folder);
	return 0;
}

/* Starts one that listens at a socket of this name, and connects when it does: agent->peer. */
static inline int agent_listen(struct agent *agent, const char *name)
{
	cleanup_close int watch = inotify_init1(IN_CLOEXEC);
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", agent->folder, name);
	if (inotify_add_watch(watch, agent->folder, IN_CREATE) < 0 || agent_spawn(agent, "unix-listen", path) < 0)
		return -1;
	while (!file_exists(path)) {
		char events[4096];

		if (cancel_poll(NULL, watch, POLLIN, 20000) <= 0 || read(watch, events, sizeof(events)) < 0)
			return -1;
	}
	/* It is there from bind(2) on, and listens a moment later, of which nothing tells. */
	for (int i = 0; i < 20000; i++) {
		if (unix_connect(path, &agent->peer, NULL) == 0)
			return 0;
		cancel_sleep(NULL, 1);
	}
	return -1;
}

static inline int agent_start_socket(struct agent *agent)
{
	if (agent_folder(agent) < 0 || agent_listen(agent, "qga") < 0)
		return -1;
	return close(agent->peer);
}

/* One direction of what joins a FIFO to a socket. Never blocks: each side may be waiting for the other. */
struct agent_lane {
	int from, to;
	char bytes[4096]; /* as QEMU has it */
	size_t at, end;
};

static inline bool agent_move(struct agent_lane *lane, const struct pollfd *from, const struct pollfd *to)
{
	ssize_t n;

	if (from->revents) {
		n = read(lane->from, lane->bytes, sizeof(lane->bytes));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		lane->at = 0;
		lane->end = n > 0 ? (size_t)n : 0;
	}
	if (to->revents) {
		n = write(lane->to, lane->bytes + lane->at, lane->end - lane->at);
		if (n < 0 && errno != EAGAIN)
			return false;
		lane->at += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static inline void *agent_join_main(void *argument)
{
	struct agent *agent = argument;
	struct agent_lane *lanes = calloc(2, sizeof(*lanes));
	bool going = lanes != NULL;

	if (going) {
		lanes[0].from = agent->in;
		lanes[0].to = agent->peer;
		lanes[1].from = agent->peer;
		lanes[1].to = agent->out;
	}
	while (going) {
		struct pollfd p[5] = {{.fd = agent->stop, .events = POLLIN}};

		for (int i = 0; i < 2; i++) {
			bool full = lanes[i].at < lanes[i].end;

			p[1 + 2 * i] = (struct pollfd){.fd = full ? -1 : lanes[i].from, .events = POLLIN};
			p[2 + 2 * i] = (struct pollfd){.fd = full ? lanes[i].to : -1, .events = POLLOUT};
		}
		/* When the agent has ended the FIFOs stay open, as QEMU keeps them. */
		going = poll(p, 5, -1) >= 0 && !p[0].revents && agent_move(&lanes[0], &p[1], &p[2]) &&
			agent_move(&lanes[1], &p[3], &p[4]);
	}
	free(lanes);
	return NULL;
}

/* Behind FIFOs; the agent itself listens at a socket of another name. */
static inline int agent_start_fifos(struct agent *agent)
{
	char in[96], out[96];

	if (agent_folder(agent) < 0 || agent_listen(agent, "agent") < 0)
		return -1;
	snprintf(in, sizeof(in), "%s.in", agent->path);
	snprintf(out, sizeof(out), "%s.out", agent->path);
	if (mkfifo(in, 0600) < 0 || mkfifo(out, 0600) < 0)
		return -1;
	agent->in = open(in, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	agent->out = open(out, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	agent->stop = eventfd(0, EFD_CLOEXEC);
	if (agent->in < 0 || agent->out < 0 || agent->stop < 0 ||
	    pthread_create(&agent->thread, NULL, agent_join_main, agent) != 0)
		return -1;
	agent->joined = true;
	return 0;
}

/* What QEMU's end looks like from outside. */
static inline void agent_close_fifos(struct agent *agent)
{
	unsigned long long one = 1;
	ssize_t n;

	if (!agent->joined)
		return;
	n = write(agent->stop, &one, sizeof(one));
	(void)n;
	process_end(&agent->process, 0, NULL); /* lets go of a copy that waits for it */
	pthread_join(agent->thread, NULL);
	agent->joined = false;
	close(agent->in);
	close(agent->out);
	close(agent->stop);
	close(agent->peer);
}

static inline void agent_stop(struct agent *agent)
{
	agent_close_fifos(agent);
	process_end(&agent->process, 0, NULL);
	dir_remove(agent->folder, NULL);
}

#endif
