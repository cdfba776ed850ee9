#include "driver/tpm.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "driver/run_dir.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GRACE_MS = 2000 };

int tpm_start(struct arena *arena, const char *run_dir, const char *state, int log, int *ret_socket, struct error **err)
{
	cleanup_close int ours = -1, its = -1;
	int pair[2], keep[2] = {-1, -1}, r;
	struct process_id process;
	const char *argv[] = {"swtpm", "socket", "--tpm2", "--terminate", "--tpmstate", NULL, "--ctrl", NULL, NULL};
	struct process_spec spec = {.argv = argv,
				    .netns = -1,
				    .in = -1,
				    .out = log,
				    .err = log,
				    .pid_file = arena_printf(arena, "%s/tpm.pid", run_dir),
				    .keep = keep,
				    .detach = true};
	cleanup_free char *found = NULL;

	r = process_find(argv[0], "swtpm", &found, err);
	if (r < 0)
		return error_wrap(err, "a TPM");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "cannot make the sockets of a TPM");
	ours = pair[0];
	its = pair[1];
	keep[0] = its;
	argv[5] = arena_printf(arena, "dir=%s,mode=0600", state);
	argv[7] = arena_printf(arena, "type=unixio,clientfd=%d", its);
	r = process_spawn(&spec, &process, err);
	if (r < 0)
		return error_wrap(err, "cannot start the TPM");
	*ret_socket = steal_fd(&ours);
	return 0;
}

int tpm_stop(const char *run_dir, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	cleanup_free char *path = in_dir(run_dir, "tpm.pid");
	struct process_id process = {0};
	int r = process_read_pid_file(path, &process, &problem);

	if (r == 0)
		r = process_end(&process, GRACE_MS, &problem);
	if (r < 0 && r != -ENOENT)
		return error_move(err, &problem);
	if (process.pid)
		process_wait(&process, 0, NULL); /* leaves no zombie where it was our child */
	unlink(path);
	return 0;
}
