/* What the parts of the qga transport share: qga.c (run, files), qga_stream.c (live streams). */
#ifndef NESTVISOR_TRANSPORT_QGA_INTERNAL_H
#define NESTVISOR_TRANSPORT_QGA_INTERNAL_H

#include "base/process.h"
#include "transport/qga_channel.h"
#include "transport/transport.h"

struct qga {
	struct transport transport;
	struct qga_channel *channel;
};

struct qga *qga_from(struct transport *t); /* aborts on a transport of another kind: a bug */

/* Milliseconds one call may take: what is left until the deadline (-1: none), at most QGA_ANSWER_MS. 0: the deadline is
 * over. */
int qga_call_time(long long deadline);

/* guest-exec. capture: collect its output. -ENOENT when the guest has no such program. */
int qga_exec(struct qga_channel *channel, const char *const argv[], const void *in, size_t in_length, bool capture,
	     int timeout_ms, struct cancel *cancel, long long *ret_pid, struct error **err);

/* guest-exec-status. ret_exited false: it still runs and *ret is untouched. */
int qga_exec_status(struct qga_channel *channel, long long pid, const char *program, int timeout_ms,
		    struct cancel *cancel, bool *ret_exited, struct process_output *ret, struct error **err);

/* The exit status in an answer to guest-exec-status, 128 + signal; -1 where there is none. */
int qga_exit_status(const json_t *status);

/* Ends a program that guest-exec started: SIGTERM, and SIGKILL when that does not help. As well as it can, within some
 * seconds; never cancelled. */
void qga_exec_end(struct qga_channel *channel, long long pid);

int qga_stream(struct transport *t, const char *const argv[], int in_fd, int out_fd, int err_fd, struct cancel *cancel,
	       int *ret_status, struct error **err);

#endif
