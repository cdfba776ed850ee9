/*
 * Talking to one QEMU guest agent: framing, sharing, and requests with their answers (docs/interop/qemu-ga.rst).
 *
 * The agent's end is either a unix socket at <path>, or a pair of FIFOs <path>.in and <path>.out (see qga_channel.c for
 * why the qemu driver makes FIFOs). <path>.lock guards both kinds. A channel is used by one thread at a time; any
 * number of processes and threads may have channels to the same agent.
 *
 * What an agent says is said by the guest, which may be hostile: sizes are bounded and every type is checked.
 */
#ifndef NESTVISOR_TRANSPORT_QGA_CHANNEL_H
#define NESTVISOR_TRANSPORT_QGA_CHANNEL_H

#include "base/json.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

struct cancel;
struct error;
struct qga_channel;

enum {
	QGA_ANSWER_MS = 30000, /* a loaded guest under TCG may take seconds for what usually takes one millisecond */
};

/* Whether a line answers guest-sync-delimited with this id; only its part after the last 0xFF counts. */
bool qga_is_sync_answer(const char *line, size_t length, long long id);

int qga_channel_open(const char *path, struct cancel *cancel, struct qga_channel **ret, struct error **err);
void qga_channel_close(struct qga_channel *channel); /* NULL is fine */
const char *qga_channel_path(const struct qga_channel *channel);

/* Requests to be sent together. Zero-initialise; cleared by qga_call. */
struct qga_batch {
	struct strbuf text;
	size_t count;
	char first[40]; /* the first command's name, for messages */
};
#define cleanup_batch __attribute__((cleanup(qga_batch_clear)))
void qga_batch_clear(struct qga_batch *batch);

/* arguments: a reference is taken over; NULL: none. */
void qga_batch_add(struct qga_batch *batch, const char *command, json_t *arguments);
/* The same with bytes in base64 as one more member `name`, without making a JSON value of them first. */
void qga_batch_add_bytes(struct qga_batch *batch, const char *command, json_t *arguments, const char *name,
			 const void *data, size_t length);

/*
 * Sends the batch and collects as many answers, in order; ret[] holds new references to the whole answers, each with
 * "return" or "error". All or none: on failure ret[] is NULLs. -ETIMEDOUT, -ECANCELED, -EPIPE when the other end is
 * gone, -EPROTO.
 */
int qga_call(struct qga_channel *channel, struct qga_batch *batch, json_t *ret[], int timeout_ms, struct cancel *cancel,
	     struct error **err);

/* One request; ret_return gets a new reference to its "return". An "error" answer fails as qga_failure says. */
int qga_call_one(struct qga_channel *channel, const char *command, json_t *arguments, json_t **ret_return,
		 int timeout_ms, struct cancel *cancel, struct error **err);

/* The "return" of an answer (borrowed), or NULL where it is an error. */
json_t *qga_return(const json_t *answer);

/* Makes an error of an "error" answer: -ENOENT where the guest said so, -EOPNOTSUPP for a disabled or unknown command,
 * else -EREMOTEIO. */
int qga_failure(const struct qga_channel *channel, const json_t *answer, struct error **err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* An answer of the wrong form. */
int qga_malformed(const struct qga_channel *channel, const char *what, struct error **err);

/* Waits until the agent answers a guest-sync-delimited; timeout_ms -1: for ever. */
int qga_channel_sync(struct qga_channel *channel, int timeout_ms, struct cancel *cancel, struct error **err);

static inline void json_array_clear_answers(json_t *answers[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		json_decref(answers[i]);
		answers[i] = NULL;
	}
}

#endif
