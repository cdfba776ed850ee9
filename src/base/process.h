/*
 * Processes. A child is always started from an argv, never through a shell. A process is known by its identity, pid
 * and start time together, so that a reused pid is never mistaken for it (proc(5), /proc/PID/stat field 22).
 */
#ifndef NESTVISOR_BASE_PROCESS_H
#define NESTVISOR_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct cancel;
struct error;

struct process_id {
	pid_t pid;           /* 0: none */
	unsigned long long start; /* clock ticks after boot */
};

struct process_spec {
	const char *const *argv;      /* NULL-terminated; argv[0] is looked up in PATH */
	const char *const *env;       /* NULL-terminated "NAME=value" to add, or NULL */
	int netns;                    /* network namespace to enter, or -1 */
	int in, out, err;             /* descriptors to become 0, 1, 2; -1: /dev/null */
	const int *keep;              /* further descriptors the child inherits under the same number; -1 ends; or NULL */
	const char *pid_file;         /* written by the child itself, before it becomes the program: "<pid> <start>\n"; or NULL */
	const char *in_after;         /* process_run: its input is held back until it has written this to its standard error; or NULL */
	bool detach;                  /* a session of its own, to live on after us */
};

/* Starts a child. Returns its identity; the caller reaps it (process_wait) or, if detached, may forget it. Exec failures are reported here. */
int process_spawn(const struct process_spec *spec, struct process_id *ret, struct error **err);

struct process_output {
	int status; /* exit status; 128 + signal when killed by one */
	char *out, *err;       /* NUL-terminated */
	size_t out_length, err_length;
};
void process_output_clear(struct process_output *output);
#define cleanup_output __attribute__((cleanup(process_output_clear)))

/* Runs a child to its end with `in` as its standard input and collects both outputs. A status other than 0 is no error here. On cancel or timeout (ms, -1 none) the child is killed: -ECANCELED, -ETIMEDOUT. */
int process_run(const struct process_spec *spec, const void *in, size_t in_length, int timeout_ms, struct cancel *cancel,
		struct process_output *ret, struct error **err);

/* The same where anything but exit status 0 is a failure; the message carries the last line of its standard error. */
int process_must(const char *const *argv, struct cancel *cancel, struct error **err);

bool process_alive(const struct process_id *id);
int process_self(struct process_id *ret);
int process_identify(pid_t pid, struct process_id *ret); /* -ESRCH, -ENOENT: there is none */
int process_write_pid_file(const char *path, const struct process_id *id, struct error **err);

/* SIGTERM, then SIGKILL after grace_ms, until it is gone. A process that is gone already is success. Works for non-children (pidfd_open(2)). */
int process_end(const struct process_id *id, int grace_ms, struct error **err);

/* Waits for a child of ours; -ETIMEDOUT when it still runs. */
int process_wait(const struct process_id *id, int timeout_ms, int *ret_status);

int process_read_pid_file(const char *path, struct process_id *ret, struct error **err); /* -ENOENT when missing */

/* The path of a program in PATH, or -ENOENT with the Debian package to install as the hint. */
int process_find(const char *program, const char *package, char **ret_path, struct error **err);

#endif
