/*
 * A program that runs in a guest with live standard input and output, seen from the host. Two ways to have one: the
 * guest's nestvisor relays it (qga_relay.c), or the guest's shell does, where there is no nestvisor (qga_shell.c).
 */
#ifndef NESTVISOR_TRANSPORT_QGA_REMOTE_H
#define NESTVISOR_TRANSPORT_QGA_REMOTE_H

#include "transport/qga_channel.h"

struct remote;

struct remote_exchange {
	const char *in; /* to be sent; at most remote->room bytes */
	size_t in_length;
	bool end;	  /* nothing comes after `in` */
	bool want_output; /* false: the reader of the output is slow */
	/* set by the exchange: */
	size_t taken; /* bytes of `in` that are on their way now */
	bool end_taken;
	struct strbuf *out, *error; /* what the program wrote is added here */
};

struct remote_ops {
	/* One call to the agent. */
	int (*exchange)(struct remote *remote, struct remote_exchange *exchange, struct cancel *cancel,
			struct error **err);
	/* Sends a signal to the program. */
	int (*signal)(struct remote *remote, int sig, struct error **err);
	/* Tidies up in the guest, ending the program if it still runs; frees. Never fails. */
	void (*close)(struct remote *remote);
};

struct remote {
	const struct remote_ops *ops;
	struct qga_channel *channel;
	const char *program; /* for messages */
	size_t room;	     /* bytes of input that the guest has room for now */
	bool exited;	     /* the program has ended and everything it wrote was handed over */
	int status;	     /* exit status, or 128 + signal */
};

/* -EOPNOTSUPP: this guest has no nestvisor that could do it. */
int remote_start_relay(struct qga_channel *channel, const char *const argv[], struct cancel *cancel,
		       struct remote **ret, struct error **err);
int remote_start_shell(struct qga_channel *channel, const char *const argv[], struct cancel *cancel,
		       struct remote **ret, struct error **err);

/* 16 random hexadecimal digits. */
enum { REMOTE_TOKEN_SIZE = 17 };
int remote_token(char ret[REMOTE_TOKEN_SIZE], struct error **err);

/*
 * Opens a file of the guest that is about to appear: tries again while it is missing and the process `pid` of
 * guest-exec runs, for at most 10 s. -ESRCH when the process has ended; its exit status is then in ret_status, and the
 * agent has forgotten it.
 */
int remote_open(struct qga_channel *channel, long long pid, const char *path, const char *mode, struct cancel *cancel,
		long long *ret_handle, int *ret_status, struct error **err);
void remote_close_handle(struct qga_channel *channel, long long handle); /* -1 is fine */

/* The bytes in the answer to a guest-file-read, added to `to`. */
int remote_take_read(struct qga_channel *channel, const json_t *answer, struct strbuf *to, size_t *ret_count,
		     struct error **err);

#endif
