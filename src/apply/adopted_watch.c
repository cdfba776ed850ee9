#include "apply/adopted_watch.h"

#include "apply/isolate.h"
#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "config/config.h"
#include "model/isolation.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { END_MS = 2000, RETRY_MS = 250, RETRY_MAX_MS = 30000 };

static const char *pid_file(struct arena *arena, const struct folders *folders)
{
	return arena_printf(arena, "%s/adopted.pid", folders->run);
}

static bool runs(struct arena *arena, const struct folders *folders, struct process_id *ret)
{
	return process_read_pid_file(pid_file(arena, folders), ret, NULL) == 0 && process_alive(ret);
}

int adopted_watch_end(const struct folders *folders, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct process_id process;
	int r = runs(arena, folders, &process) ? process_end(&process, END_MS, err) : 0;

	if (r == 0)
		unlink(pid_file(arena, folders));
	return r;
}

int adopted_watch_set(const struct folders *folders, const struct isolation *isolation, struct error **err)
{
	static const char program[] = "/proc/self/exe";
	cleanup_arena struct arena *arena = arena_new();
	const char *const argv[] = {program, "isolate", "watch", "--lab", folders->lab, NULL};
	const struct process_spec spec = {.argv = argv,
					  .netns = -1,
					  .in = -1,
					  .out = -1,
					  .err = -1,
					  .pid_file = pid_file(arena, folders),
					  .detach = true};
	struct process_id process;

	if (!isolation->lab->adopted)
		return 0;
	if (!isolate_holds_any(isolation))
		return adopted_watch_end(folders, err);
	return runs(arena, folders, &process) ? 0 : process_spawn(&spec, &process, err);
}

/* ─── the process ─── */

static int subscribe(int *ret_fd, struct error **err)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};

	*ret_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (*ret_fd < 0 || bind(*ret_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(err, errno, "cannot be told of interfaces");
	return 0;
}

/* What was told is asked for anyway; what was lost (ENOBUFS) as well. */
static void drain(int fd)
{
	char buffer[16384];

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
}

/* False: there is nothing left to watch. *ret_open: a port is held because nobody knows yet whose it is. */
static bool refresh(const struct folders *folders, struct cancel *cancel, bool *ret_open)
{
	cleanup_problems struct problems problems = {0};
	cleanup_lab struct lab *lab = NULL;
	bool held = true;

	*ret_open = false;
	if (config_load(folders->lab_file, NULL, &problems, &lab, NULL) < 0)
		return false;
	if (isolate_refresh(lab, cancel, &held, ret_open, NULL) < 0)
		*ret_open = true;
	return held;
}

int adopted_watch_run(const struct folders *folders, struct cancel *cancel, struct error **err)
{
	cleanup_close int fd = -1;
	int r = subscribe(&fd, err), wait_ms = RETRY_MS;
	bool open;

	while (r >= 0 && refresh(folders, cancel, &open)) {
		r = cancel_poll(cancel, fd, POLLIN, open ? wait_ms : -1);
		wait_ms = r > 0 ? RETRY_MS : wait_ms < RETRY_MAX_MS / 2 ? wait_ms * 2 : RETRY_MAX_MS;
		drain(fd);
	}
	return r < 0 && r != -ECANCELED ? r : 0;
}
