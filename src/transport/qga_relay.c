/* The host's side of a program that the guest's nestvisor relays. See relay_protocol.h and relay.c. */
#include "transport/qga_remote.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "transport/qga_internal.h"
#include "transport/relay_protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	READ_SMALL = 64 << 10,
	READ_LARGE = 512 << 10,
	ACK_STEP = 128 << 10,
	CLOSE_MS = 2000,
};

struct relayed {
	struct remote remote;
	long long pid;		     /* of the relay, in the guest */
	long long to_guest, to_host; /* the agent's handles, -1: none */
	uint64_t sent, acked;	     /* bytes of to_guest: written by us, taken by the relay */
	uint64_t taken, told;	     /* bytes of to_host: taken by us, acknowledged by us */
	long long spoke;	     /* when we last wrote something */
	size_t read_size;
	struct strbuf inbox; /* bytes of to_host that are no whole frame yet */
	bool greeted;	     /* the relay's RELAY_HELLO came */
	char token[REMOTE_TOKEN_SIZE];
	bool ended_input;
};

static void add_frame(struct strbuf *frames, enum relay_type type, const void *payload, size_t length)
{
	struct relay_header header = {type, (uint32_t)length};

	strbuf_add_bytes(frames, &header, sizeof(header));
	strbuf_add_bytes(frames, payload, length);
}

/* fwrite in the agent is buffered, so a flush follows each write. */
static void add_write(struct qga_batch *batch, long long handle, const struct strbuf *frames)
{
	qga_batch_add_bytes(batch, "guest-file-write", json_pack("{s:I}", "handle", (json_int_t)handle), "buf-b64",
			    frames->text, frames->length);
	qga_batch_add(batch, "guest-file-flush", json_pack("{s:I}", "handle", (json_int_t)handle));
}

static int failed_to_start(struct relayed *relayed, const char *payload, size_t length, struct error **err)
{
	uint32_t code;

	if (length < sizeof(code))
		return qga_malformed(relayed->remote.channel, "a relayed failure without its number", err);
	memcpy(&code, payload, sizeof(code));
	return error_set(err, code && code < 4096 ? (int)code : EIO, "in the guest behind %s: %.*s",
			 qga_channel_path(relayed->remote.channel), (int)(length - sizeof(code)),
			 payload + sizeof(code));
}

static int take_frame(struct relayed *relayed, const struct relay_header *header, const char *payload,
		      struct remote_exchange *exchange, struct error **err)
{
	struct remote *remote = &relayed->remote;
	uint64_t position;
	uint32_t status;

	if (!relayed->greeted) {
		relayed->greeted = header->type == RELAY_HELLO && header->length == strlen(relayed->token) &&
				   memcmp(payload, relayed->token, header->length) == 0;
		return relayed->greeted ? 0 : qga_malformed(remote->channel, "another relay's greeting", err);
	}
	switch ((enum relay_type)header->type) {
	case RELAY_OUT:
		strbuf_add_bytes(exchange->out, payload, header->length);
		return 0;
	case RELAY_ERR:
		strbuf_add_bytes(exchange->error, payload, header->length);
		return 0;
	case RELAY_ACK:
		if (header->length != sizeof(position))
			break;
		memcpy(&position, payload, sizeof(position));
		if (position < relayed->acked || position > relayed->sent)
			break;
		relayed->acked = position;
		return 0;
	case RELAY_EXIT:
		if (header->length != sizeof(status))
			break;
		memcpy(&status, payload, sizeof(status));
		remote->status = (int)(status & 0xff);
		remote->exited = true;
		return 0;
	case RELAY_FAILED:
		remote->exited = true; /* it never was */
		return failed_to_start(relayed, payload, header->length, err);
	case RELAY_HELLO:
	case RELAY_DATA:
	case RELAY_END:
	case RELAY_SIGNAL:
		break;
	}
	return qga_malformed(remote->channel, "a relayed frame of the wrong form", err);
}

static int take_frames(struct relayed *relayed, struct remote_exchange *exchange, struct error **err)
{
	struct strbuf *inbox = &relayed->inbox;
	size_t at = 0;
	int r = 0;

	while (r == 0 && inbox->length - at >= sizeof(struct relay_header)) {
		bool greeted = relayed->greeted;
		struct relay_header header;

		memcpy(&header, inbox->text + at, sizeof(header));
		if (header.length > RELAY_PAYLOAD_MAX)
			return qga_malformed(relayed->remote.channel, "a relayed frame that is too long", err);
		if (inbox->length - at - sizeof(header) < header.length)
			break;
		r = take_frame(relayed, &header, inbox->text + at + sizeof(header), exchange, err);
		at += sizeof(header) + header.length;
		if (!greeted) /* whoever waits for the greeting does not want the output that may follow */
			break;
	}
	if (at) {
		memmove(inbox->text, inbox->text + at, inbox->length - at);
		inbox->length -= at;
	}
	return r;
}

/* How much input may be under way; frame headers and acknowledgements have their reserve. */
static void update_room(struct relayed *relayed)
{
	uint64_t ahead = relayed->sent - relayed->acked, window = RELAY_WINDOW - READ_SMALL;

	relayed->remote.room = ahead < window ? (size_t)(window - ahead) : 0;
	if (relayed->remote.room > RELAY_PAYLOAD_MAX)
		relayed->remote.room = RELAY_PAYLOAD_MAX;
}

static void gather_frames(struct relayed *relayed, const struct remote_exchange *exchange, struct strbuf *frames)
{
	if (exchange->in_length)
		add_frame(frames, RELAY_DATA, exchange->in, exchange->in_length);
	if (exchange->end && !relayed->ended_input)
		add_frame(frames, RELAY_END, "", 0);
	if (relayed->taken - relayed->told >= ACK_STEP || clock_ms() - relayed->spoke >= RELAY_SIGN_OF_LIFE_MS ||
	    (frames->length && relayed->taken != relayed->told)) {
		add_frame(frames, RELAY_ACK, &relayed->taken, sizeof(relayed->taken));
		relayed->told = relayed->taken;
	}
}

static int check_answers(struct relayed *relayed, json_t *const answers[], size_t count, struct error **err)
{
	for (size_t i = 0; i < count; i++)
		if (!qga_return(answers[i]))
			return qga_failure(relayed->remote.channel, answers[i], err, "the stream of %s broke off",
					   relayed->remote.program);
	return 0;
}

static int relay_exchange(struct remote *remote, struct remote_exchange *exchange, struct cancel *cancel,
			  struct error **err)
{
	struct relayed *relayed = (struct relayed *)remote;
	cleanup_batch struct qga_batch batch = {0};
	cleanup_strbuf struct strbuf frames = {0};
	json_t *answers[3] = {NULL};
	size_t count, got = 0;
	int r;

	gather_frames(relayed, exchange, &frames);
	if (frames.length)
		add_write(&batch, relayed->to_guest, &frames);
	if (exchange->want_output)
		qga_batch_add(&batch, "guest-file-read",
			      json_pack("{s:I, s:I}", "handle", (json_int_t)relayed->to_host, "count",
					(json_int_t)relayed->read_size));
	count = batch.count;
	if (!count)
		return 0;
	r = qga_call(remote->channel, &batch, answers, QGA_ANSWER_MS, cancel, err);
	if (r < 0)
		return r;
	r = check_answers(relayed, answers, count, err);
	if (r == 0 && frames.length) {
		relayed->sent += frames.length;
		relayed->spoke = clock_ms();
		relayed->ended_input |= exchange->end;
		exchange->end_taken = exchange->end;
		exchange->taken = exchange->in_length;
	}
	if (r == 0 && exchange->want_output)
		r = remote_take_read(remote->channel, answers[count - 1], &relayed->inbox, &got, err);
	json_array_clear_answers(answers, count);
	if (r < 0)
		return r;
	relayed->taken += got;
	relayed->read_size = got == relayed->read_size ? READ_LARGE : READ_SMALL;
	r = take_frames(relayed, exchange, err);
	update_room(relayed);
	return r;
}

static int send_now(struct relayed *relayed, const struct strbuf *frames, bool close, struct error **err)
{
	cleanup_batch struct qga_batch batch = {0};
	json_t *answers[4] = {NULL};
	size_t count;
	int r;

	add_write(&batch, relayed->to_guest, frames);
	if (close) {
		qga_batch_add(&batch, "guest-file-close", json_pack("{s:I}", "handle", (json_int_t)relayed->to_guest));
		qga_batch_add(&batch, "guest-file-close", json_pack("{s:I}", "handle", (json_int_t)relayed->to_host));
		relayed->to_guest = relayed->to_host = -1;
	}
	count = batch.count;
	r = qga_call(relayed->remote.channel, &batch, answers, CLOSE_MS, NULL, err);
	if (r == 0)
		r = check_answers(relayed, answers, count, err);
	json_array_clear_answers(answers, count);
	relayed->sent += frames->length;
	relayed->spoke = clock_ms();
	return r;
}

static int relay_signal(struct remote *remote, int sig, struct error **err)
{
	cleanup_strbuf struct strbuf frames = {0};
	uint32_t number = (uint32_t)sig;

	add_frame(&frames, RELAY_SIGNAL, &number, sizeof(number));
	return send_now((struct relayed *)remote, &frames, false, err);
}

/* Says goodbye, so that the relay ends, and waits for that, so that the agent forgets it. */
static void relay_close(struct remote *remote)
{
	struct relayed *relayed = (struct relayed *)remote;
	cleanup_output struct process_output output = {0};
	cleanup_strbuf struct strbuf frames = {0};
	bool gone = false;

	if (relayed->to_guest >= 0 && remote->exited) {
		add_frame(&frames, RELAY_ACK, &relayed->taken, sizeof(relayed->taken));
		send_now(relayed, &frames, true, NULL);
		for (long long until = clock_ms() + CLOSE_MS; !gone && clock_ms() < until;) {
			if (qga_exec_status(remote->channel, relayed->pid, "nestvisor", CLOSE_MS, NULL, &gone, &output,
					    NULL) < 0)
				break;
			if (!gone)
				cancel_sleep(NULL, 2);
		}
	}
	remote_close_handle(remote->channel, relayed->to_guest);
	remote_close_handle(remote->channel, relayed->to_host);
	if (!gone)
		qga_exec_end(remote->channel, relayed->pid);
	free(relayed->inbox.text);
	free(relayed);
}

static const struct remote_ops relay_ops = {relay_exchange, relay_signal, relay_close};

/* Nothing is written before the greeting says that the files are really those of our relay. */
static int greet(struct relayed *relayed, struct cancel *cancel, struct error **err)
{
	struct qga_channel *channel = relayed->remote.channel;
	cleanup_strbuf struct strbuf out = {0}, error = {0};
	char path[64];
	int r, status;

	snprintf(path, sizeof(path), "/proc/%lld/fd/%d", relayed->pid, RELAY_TO_HOST_FD);
	r = remote_open(channel, relayed->pid, path, "r", cancel, &relayed->to_host, &status, err);
	if (r < 0)
		return r;
	for (long long until = clock_ms() + QGA_ANSWER_MS; !relayed->greeted;) {
		struct remote_exchange exchange = {.want_output = true, .out = &out, .error = &error};

		relayed->spoke = clock_ms();
		r = relay_exchange(&relayed->remote, &exchange, cancel, err);
		if (r < 0)
			return r;
		if (!relayed->greeted && clock_ms() > until)
			return error_set(err, ETIMEDOUT, "nestvisor in the guest behind %s does not relay %s",
					 qga_channel_path(channel), relayed->remote.program);
	}
	snprintf(path, sizeof(path), "/proc/%lld/fd/%d", relayed->pid, RELAY_TO_GUEST_FD);
	return remote_open(channel, relayed->pid, path, "r+", cancel, &relayed->to_guest, &status, err);
}

static int exec_relay(struct relayed *relayed, const char *const argv[], struct cancel *cancel, struct error **err)
{
	const char *const prefix[] = {"nestvisor", "relay", relayed->token, "--"};
	cleanup_free const char **words = NULL;
	size_t count = 0;
	int r;

	while (argv[count])
		count++;
	words = calloc(count + 5, sizeof(*words));
	if (!words)
		abort();
	memcpy(words, prefix, sizeof(prefix));
	memcpy(words + 4, argv, count * sizeof(*argv));
	r = qga_exec(relayed->remote.channel, words, NULL, 0, false, QGA_ANSWER_MS, cancel, &relayed->pid, err);
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

int remote_start_relay(struct qga_channel *channel, const char *const argv[], struct cancel *cancel,
		       struct remote **ret, struct error **err)
{
	struct relayed *relayed = calloc(1, sizeof(*relayed));
	int r;

	if (!relayed)
		abort();
	relayed->remote = (struct remote){.ops = &relay_ops, .channel = channel, .program = argv[0]};
	relayed->to_guest = relayed->to_host = -1;
	relayed->read_size = READ_SMALL;
	r = remote_token(relayed->token, err);
	if (r == 0)
		r = exec_relay(relayed, argv, cancel, err);
	if (r < 0) {
		free(relayed);
		return r;
	}
	r = greet(relayed, cancel, err);
	if (r < 0) {
		if (r == -ESRCH)
			relayed->pid = -1;
		relay_close(&relayed->remote);
		return r == -ESRCH ? -EOPNOTSUPP : r;
	}
	update_room(relayed);
	*ret = &relayed->remote;
	return 0;
}
