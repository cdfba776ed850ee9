/*
 * A real qemu-ga on this machine, for tests of the transport without a virtual machine: behind a unix socket, or behind
 * FIFOs as QEMU's `pipe` character device makes them, which a thread joins to a pseudo terminal.
 */
#ifndef NESTVISOR_TESTS_UNIT_AGENT_H
#define NESTVISOR_TESTS_UNIT_AGENT_H

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "transport/unix_socket.h"

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
#include <termios.h>

struct agent {
	char folder[64];
	char path[80];	    /* for transport_qga */
	const char *search; /* its PATH, or NULL */
	struct process_id process;
	int terminal, in, out, stop; /* of the joining thread */
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

/* Behind a socket; returns when it listens. */
static inline int agent_start_socket(struct agent *agent)
{
	cleanup_close int watch = inotify_init1(IN_CLOEXEC);

	if (agent_folder(agent) < 0 || inotify_add_watch(watch, agent->folder, IN_CREATE) < 0 ||
	    agent_spawn(agent, "unix-listen", agent->path) < 0)
		return -1;
	while (!file_exists(agent->path)) {
		char events[4096];

		if (cancel_poll(NULL, watch, POLLIN, 20000) <= 0 || read(watch, events, sizeof(events)) < 0)
			return -1;
	}
	/* It is there from bind(2) on, and listens a moment later, of which nothing tells. */
	for (int i = 0; i < 20000; i++) {
		cleanup_close int fd = -1;

		if (unix_connect(agent->path, &fd, NULL) == 0)
			return 0;
		cancel_sleep(NULL, 1);
	}
	return -1;
}

/* Copies once, whole; what this is joined to is always drained by its other side. */
static inline bool agent_copy(int from, int to)
{
	char buffer[4096];
	ssize_t n = read(from, buffer, sizeof(buffer));

	for (ssize_t at = 0; at < n;) {
		ssize_t w = write(to, buffer + at, (size_t)(n - at));

		if (w < 0)
			return false;
		at += w;
	}
	return n > 0;
}

static inline void *agent_join_main(void *argument)
{
	struct agent *agent = argument;

	for (;;) {
		struct pollfd p[3] = {{.fd = agent->in, .events = POLLIN},
				      {.fd = agent->terminal, .events = POLLIN},
				      {.fd = agent->stop, .events = POLLIN}};

		if (poll(p, 3, -1) < 0 || p[2].revents)
			return NULL;
		if (p[1].revents && !agent_copy(agent->terminal, agent->out))
			return NULL; /* the agent has ended; the FIFOs stay open, as QEMU keeps them */
		/* A terminal's buffer is small: what the agent says must not wait for what it is told. */
		if (p[0].revents && !p[1].revents && !agent_copy(agent->in, agent->terminal))
			return NULL;
	}
}

/* The agent throws away what its terminal has received so far, and then makes it raw: of which nothing tells either. */
static inline int agent_wait_raw(struct agent *agent)
{
	struct termios settings;

	for (int i = 0; i < 20000; i++) {
		if (tcgetattr(agent->terminal, &settings) == 0 && !(settings.c_lflag & ICANON))
			return 0;
		cancel_sleep(NULL, 1);
	}
	return -1;
}

/* Behind FIFOs. They are open before this returns; the agent answers when it is up. */
static inline int agent_start_fifos(struct agent *agent)
{
	char in[96], out[96], name[64];

	if (agent_folder(agent) < 0)
		return -1;
	snprintf(in, sizeof(in), "%s.in", agent->path);
	snprintf(out, sizeof(out), "%s.out", agent->path);
	if (mkfifo(in, 0600) < 0 || mkfifo(out, 0600) < 0)
		return -1;
	agent->in = open(in, O_RDWR | O_CLOEXEC);
	agent->out = open(out, O_RDWR | O_CLOEXEC);
	agent->stop = eventfd(0, EFD_CLOEXEC);
	agent->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (agent->terminal < 0 || grantpt(agent->terminal) < 0 || unlockpt(agent->terminal) < 0 ||
	    ptsname_r(agent->terminal, name, sizeof(name)) != 0)
		return -1;
	if (agent_spawn(agent, "isa-serial", name) < 0 ||
	    pthread_create(&agent->thread, NULL, agent_join_main, agent) != 0)
		return -1;
	agent->joined = true;
	return agent_wait_raw(agent);
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
	close(agent->terminal);
}

static inline void agent_stop(struct agent *agent)
{
	agent_close_fifos(agent);
	process_end(&agent->process, 0, NULL);
	dir_remove(agent->folder, NULL);
}

#endif
