/*
 * Transports: run this argv with this standard input on a host or guest; give back standard output, standard error and
 * the exit status. Each is a small table of functions. Nothing here knows labs: apply/ and cli/ open the transport of a
 * direct guest; what lies deeper is reached by running nestvisor there.
 */
#ifndef NESTVISOR_TRANSPORT_TRANSPORT_H
#define NESTVISOR_TRANSPORT_TRANSPORT_H

#include "base/process.h"

#include <stddef.h>

struct cancel;
struct error;
struct transport;

struct transport_ops {
	const char *name; /* "local", "qga", "ssh" */
	int (*run)(struct transport *t, const char *const argv[], const void *in, size_t in_length, int timeout_ms,
		   struct cancel *cancel, struct process_output *ret, struct error **err);
	/* Copies in_fd to the program's standard input and its standard output to out_fd (and its standard error to
	 * err_fd, -1: none) while it runs. */
	int (*stream)(struct transport *t, const char *const argv[], int in_fd, int out_fd, int err_fd,
		      struct cancel *cancel, int *ret_status, struct error **err);
	void (*close)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
};

int transport_run(struct transport *t, const char *const argv[], const void *in, size_t in_length, int timeout_ms,
		  struct cancel *cancel, struct process_output *ret, struct error **err);
/* A program that changes nothing and reads no input: where the connection is lost meanwhile, it is run once more. */
int transport_ask(struct transport *t, const char *const argv[], int timeout_ms, struct cancel *cancel,
		  struct process_output *ret, struct error **err);
int transport_stream(struct transport *t, const char *const argv[], int in_fd, int out_fd, int err_fd,
		     struct cancel *cancel, int *ret_status, struct error **err);
void transport_close(struct transport *t); /* NULL is fine */

static inline void transport_closep(struct transport **t)
{
	transport_close(*t);
}
#define cleanup_transport __attribute__((cleanup(transport_closep)))

/* This machine: fork and exec. */
struct transport *transport_local(void);

/*
 * The QEMU guest agent (docs/interop/qemu-ga-ref) behind the FIFOs <path>.in and <path>.out that the qemu driver makes,
 * or behind a unix socket at <path>. Any number of processes and threads may use one agent behind FIFOs at the same
 * time; the lock <path>.lock is held for a call of about a millisecond. Behind a socket there is one user at a time:
 * opening waits for the lock. Opening does not wait for the agent; qga_wait does, until the agent answers (timeout_ms
 * -1: for ever; -ETIMEDOUT, and -EPIPE as soon as the guest's QEMU is gone).
 *
 * run: the program is looked up in the agent's PATH; -ENOENT when the guest has none of that name. Arguments must be
 * UTF-8
 * (-EILSEQ). Output beyond 16 MB is -EFBIG. On cancel or timeout the program is ended in the guest.
 * stream: through `nestvisor relay` where the guest has nestvisor, else through its shell. A guest that has neither
 * fails.
 */
int transport_qga(const char *path, struct cancel *cancel, struct transport **ret, struct error **err);
int qga_wait(struct transport *t, int timeout_ms, struct cancel *cancel, struct error **err);

/*
 * Reads several small files of the guest (256 KiB each at most) by pipelined guest-file-open, -read and -close: nothing
 * is started there. ret[i] is NULL where a file is missing, else freed by the caller. Used for cheap checks such as
 * /proc/PID/stat.
 */
int qga_read_files(struct transport *t, const char *const paths[], size_t count, int timeout_ms, struct cancel *cancel,
		   char *ret[], struct error **err);

/* Sets the guest's clock, in nanoseconds since 1970, and looks whether it is so. */
int qga_set_time(struct transport *t, long long ns, int timeout_ms, struct cancel *cancel, struct error **err);

/* Writes a file of the guest under a temporary name and renames it; mode 0600. Needs a shell there. */
int qga_write_file(struct transport *t, const char *path, const void *data, size_t length, struct cancel *cancel,
		   struct error **err);

/*
 * The user's own OpenSSH; one ControlMaster per host. A failure of ssh itself is an error with its message; exit status
 * 255 of the program is a status. run: a program that surely never began, since its connection was lost before, is begun
 * by another one; -ECONNRESET where it may have begun, and its end is not known. The user's login shell there must be one that understands single quotes.
 */
struct ssh_target {
	const char *host;	  /* name or address */
	const char *user, *key;	  /* or NULL: as the user's ssh has it */
	unsigned port;		  /* 0: as the user's ssh has it */
	const char *control_path; /* socket of the ControlMaster, at most 90 characters; NULL: none */
	const char *known_hosts;  /* a file of our own for guests that we made, or NULL */
	int netns;		  /* the namespace to start ssh in, or -1 */
};
int transport_ssh(const struct ssh_target *target, struct transport **ret, struct error **err);

/* The argv prefix that starts ssh for a target, for `nestvisor ssh`; freed by the caller with free() of the block
 * alone. */
int ssh_command(const struct ssh_target *target, const char *const extra[], char ***ret_argv, struct error **err);

/* Ends the target's ControlMaster, which otherwise stays for a minute after the last session. Success where there is
 * none. */
int ssh_end_master(const struct ssh_target *target, struct cancel *cancel, struct error **err);

#endif
