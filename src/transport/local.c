#include "transport/transport.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "transport/transport_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/pidfd.h>

enum { GRACE_MS = 2000 };

int run_attached(const struct process_spec *spec, struct cancel *cancel, int *ret_status, struct error **err)
{
	cleanup_close int pidfd = -1;
	struct process_id id;
	int r = process_spawn(spec, &id, err);

	if (r < 0)
		return r;
	pidfd = pidfd_open(id.pid, 0); /* our own child, not reaped yet: it cannot be another's */
	r = pidfd < 0 ? -errno : cancel_poll(cancel, pidfd, POLLIN, -1);
	if (r < 0) {
		process_end(&id, GRACE_MS, NULL);
		if (r == -ECANCELED)
			return error_set(err, ECANCELED, "%s was stopped", spec->argv[0]);
		return error_errno(err, r, "cannot wait for %s", spec->argv[0]);
	}
	r = process_wait(&id, -1, ret_status);
	return r < 0 ? error_errno(err, r, "cannot wait for %s", spec->argv[0]) : 0;
}

static int local_run(struct transport *t, const char *const argv[], const void *in, size_t in_length, int timeout_ms,
		     struct cancel *cancel, struct process_output *ret, struct error **err)
{
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};

	(void)t;
	return process_run(&spec, in, in_length, timeout_ms, cancel, ret, err);
}

/* The child gets the descriptors themselves: nothing needs to be copied. */
static int local_stream(struct transport *t, const char *const argv[], int in_fd, int out_fd, int err_fd,
			struct cancel *cancel, int *ret_status, struct error **err)
{
	struct process_spec spec = {.argv = argv, .netns = -1, .in = in_fd, .out = out_fd, .err = err_fd};

	(void)t;
	return run_attached(&spec, cancel, ret_status, err);
}

/* There is one local machine and nothing to keep of it. */
static void local_close(struct transport *t)
{
	(void)t;
}

static const struct transport_ops local_ops = {
	.name = "local",
	.run = local_run,
	.stream = local_stream,
	.close = local_close,
};

struct transport *transport_local(void)
{
	static const struct transport local = {.ops = &local_ops};

	return (struct transport *)(uintptr_t)&local;
}
