#include "cli/forwarding.h"

#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/ip.h"
#include "base/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 256, BACKLOG = 64, LOOK_MS = 1000 };

struct forward {
	struct process_id children[MOST]; /* one per connection */
	size_t count;
	const char *const *argv;
};

int forwarding_listen(const struct ip *ip, uint16_t port, int *ret_fd, uint16_t *ret_port, struct error **err)
{
	bool six = ip->family == AF_INET6;
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	cleanup_close int fd = socket(ip->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[IP_TEXT_SIZE];
	const int on = 1;

	if (fd < 0)
		return error_errno(err, errno, "cannot make a socket");
	memcpy(six ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr, ip->bytes, six ? 16 : 4);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, six ? sizeof(a6) : sizeof(a4)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return error_errno(err, errno, "cannot listen on port %u of %s", port, ip_format(ip, text));
	if (getsockname(fd, six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4,
			&(socklen_t){six ? sizeof(a6) : sizeof(a4)}) < 0)
		return error_errno(err, errno, "cannot tell which port it is");
	*ret_port = ntohs(six ? a6.sin6_port : a4.sin_port);
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Forgets the connections that have ended. */
static void reap(struct forward *forward)
{
	size_t kept = 0;
	int status;

	for (size_t i = 0; i < forward->count; i++)
		if (process_wait(&forward->children[i], 0, &status) == -ETIMEDOUT)
			forward->children[kept++] = forward->children[i];
	forward->count = kept;
}

static int take_connection(struct forward *forward, int listener, struct error **err)
{
	cleanup_close int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	const struct process_spec spec = {
		.argv = forward->argv, .netns = -1, .in = fd, .out = fd, .err = STDERR_FILENO};
	int r;

	if (fd < 0) /* it is gone already */
		return 0;
	r = process_spawn(&spec, &forward->children[forward->count], err);
	if (r == 0)
		forward->count++;
	return r;
}

/* Whether the viewer, if there is one, has ended. */
static bool is_over(const struct process_id *viewer)
{
	int status;

	return viewer->pid && process_wait(viewer, 0, &status) != -ETIMEDOUT;
}

static int serve(struct forward *forward, int listener, const struct process_id *viewer, struct cancel *cancel,
		 struct error **err)
{
	int r = 0;

	while (r == 0 && !is_over(viewer)) {
		r = cancel_poll(cancel, forward->count < MOST ? listener : -1, POLLIN, LOOK_MS);
		reap(forward);
		if (r == 1)
			r = take_connection(forward, listener, err);
	}
	for (size_t i = 0; i < forward->count; i++)
		process_end(&forward->children[i], 0, NULL);
	return r == -ECANCELED ? 0 : r;
}

const char *const *forwarding_viewer(struct arena *arena, const struct viewer *viewers, unsigned port, const char *user)
{
	const char **argv = arena_alloc(arena, 5 * sizeof(*argv));
	size_t n = 0;

	if (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY"))
		return NULL;
	for (; viewers->program; viewers++) {
		cleanup_free char *path = NULL;

		if (process_find(viewers->program, NULL, &path, NULL) < 0)
			continue;
		argv[n++] = viewers->program;
		if (viewers->option)
			argv[n++] = viewers->option;
		argv[n++] = arena_printf(arena, "%s%u", viewers->host, port);
		if (viewers->user && user)
			argv[n++] = arena_printf(arena, "%s%s", viewers->user, user);
		argv[n] = NULL;
		return argv;
	}
	return NULL;
}

int forwarding_serve(struct invocation *inv, int listener, const struct lab *lab, const struct guest *target,
		     const char *what, const char *const *viewer, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct forward *forward = arena_new_struct(arena, struct forward);
	const struct process_spec spec = {
		.argv = viewer, .netns = -1, .in = STDIN_FILENO, .out = STDERR_FILENO, .err = STDERR_FILENO};
	struct process_id running = {0};
	char program[4096] = "";
	int r = 0;

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		return error_errno(err, errno, "cannot find this program: /proc is not mounted");
	forward->argv = (const char *const[]){program, "proxy", "--lab", lab->name, target->path, what, NULL};
	if (viewer)
		r = process_spawn(&spec, &running, err);
	if (r == 0)
		r = serve(forward, listener, &running, inv->cancel, err);
	if (running.pid && !is_over(&running))
		process_end(&running, 0, NULL);
	return r;
}
