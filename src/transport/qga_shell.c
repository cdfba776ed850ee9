/*
 * A live program in a guest that has no nestvisor: its shell sets the stage. Input goes through a FIFO, output to two
 * files in a folder under /run that nobody else can read. The agent opens all three, the program starts when it has,
 * and the shell removes the folder at the end, when the agent's open files still hold what was written.
 *
 * Input: the agent writes with fwrite(3) to a descriptor that does not block, and when a FIFO is full nobody can tell
 * what went in and what stays in a buffer for later. So it only ever writes what surely fits, the first DIRECT_MAX
 * bytes of all; a keystroke is there at once. Whatever comes after that is fed by `cat`, started for each piece, which
 * blocks until the FIFO took it. Output stays in the guest's /run until the program ends.
 */
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
	DIRECT_MAX = 48 << 10, /* a FIFO holds 64 KiB (pipe(7)) */
	PIECE = 192 << 10,
	READ_SIZE = 256 << 10,
	CLOSE_MS = 1000,
};

struct shelled {
	struct remote remote;
	char folder[64];
	long long pid;			 /* of the shell, in the guest */
	long long feeder;		 /* of the `cat` that feeds the FIFO now, or -1 */
	long long in, out, error, alive; /* the agent's handles, -1: none */
	size_t direct_left;
	long long spoke;
	bool ended; /* the shell has ended; a last read follows */
};

/*
 * The program's end is waited for again when a signal interrupted the wait. The part in parentheses watches over the
 * host: the size of `alive` changes as long as it is there.
 */
static const char script[] =
	"d=$1; shift; umask 077\n"
	"mkdir -p \"$d\" && : >\"$d/out\" && : >\"$d/err\" && : >\"$d/alive\" && mkfifo \"$d/in\" || exit 125\n"
	"{ : >\"$d/ready\"; exec \"$@\"; } <\"$d/in\" >>\"$d/out\" 2>>\"$d/err\" &\n"
	"p=$!\n"
	"trap 'kill -TERM $p 2>/dev/null' TERM HUP INT\n"
	"(trap 'kill $s; exit' TERM; n=none; while sleep 30 & s=$!; wait $s; do m=$(wc -c <\"$d/alive\") || exit; [ "
	"\"$m\" = \"$n\" ] && break; n=$m; done\n"
	"kill -HUP $p; sleep 2; kill -KILL $p; rm -rf \"$d\") >/dev/null 2>&1 </dev/null &\n"
	"w=$!\n"
	"while :; do wait $p; s=$?; kill -0 $p 2>/dev/null || break; done\n"
	"kill $w 2>/dev/null\n"
	"rm -rf \"$d\"\n"
	"exit $s\n";

static void add_read(struct qga_batch *batch, long long handle)
{
	qga_batch_add(batch, "guest-file-read",
		      json_pack("{s:I, s:i}", "handle", (json_int_t)handle, "count", READ_SIZE));
}

static void add_write(struct qga_batch *batch, long long handle, const char *data, size_t length)
{
	qga_batch_add_bytes(batch, "guest-file-write", json_pack("{s:I}", "handle", (json_int_t)handle), "buf-b64",
			    data, length);
	qga_batch_add(batch, "guest-file-flush", json_pack("{s:I}", "handle", (json_int_t)handle));
}

static int check_answers(const struct shelled *shelled, json_t *const answers[], size_t count, struct error **err)
{
	for (size_t i = 0; i < count; i++)
		if (!qga_return(answers[i]))
			return qga_failure(shelled->remote.channel, answers[i], err, "the stream of %s broke off",
					   shelled->remote.program);
	return 0;
}

/* The answers begin with those to the two reads. */
static int take_output(struct shelled *shelled, json_t *const answers[2], struct remote_exchange *exchange,
		       bool *ret_any, struct error **err)
{
	size_t out = 0, error = 0;
	int r = remote_take_read(shelled->remote.channel, answers[0], exchange->out, &out, err);

	if (r == 0)
		r = remote_take_read(shelled->remote.channel, answers[1], exchange->error, &error, err);
	*ret_any = out || error;
	return r;
}

static int start_feeder(struct shelled *shelled, struct remote_exchange *exchange, struct cancel *cancel,
			struct error **err)
{
	static const char feed[] = "exec cat >\"$1/in\"";
	int r = qga_exec(shelled->remote.channel, (const char *const[]){"sh", "-c", feed, "sh", shelled->folder, NULL},
			 exchange->in, exchange->in_length, false, QGA_ANSWER_MS, cancel, &shelled->feeder, err);

	if (r == 0)
		exchange->taken = exchange->in_length;
	return r;
}

static int check_ended(struct shelled *shelled, long long pid, bool *ret_ended, int *ret_status, struct cancel *cancel,
		       struct error **err)
{
	cleanup_output struct process_output output = {0};
	int r = qga_exec_status(shelled->remote.channel, pid, shelled->remote.program, QGA_ANSWER_MS, cancel, ret_ended,
				&output, err);

	if (r == 0 && *ret_ended && ret_status)
		*ret_status = output.status;
	return r;
}

static void update_room(struct shelled *shelled)
{
	if (shelled->in < 0 || shelled->feeder >= 0)
		shelled->remote.room = 0;
	else
		shelled->remote.room = shelled->direct_left ? shelled->direct_left : PIECE;
}

/* Writes what surely fits, reads what there is, and gives a sign of life. */
static int talk(struct shelled *shelled, struct remote_exchange *exchange, bool *ret_any, struct cancel *cancel,
		struct error **err)
{
	bool direct = exchange->in_length && exchange->in_length <= shelled->direct_left && !shelled->ended;
	cleanup_batch struct qga_batch batch = {0};
	json_t *answers[6] = {NULL};
	size_t count;
	int r;

	if (exchange->want_output) {
		add_read(&batch, shelled->out);
		add_read(&batch, shelled->error);
	}
	if (direct)
		add_write(&batch, shelled->in, exchange->in, exchange->in_length);
	if (clock_ms() - shelled->spoke >= RELAY_SIGN_OF_LIFE_MS) {
		add_write(&batch, shelled->alive, ".", 1);
		shelled->spoke = clock_ms();
	}
	count = batch.count;
	if (!count)
		return 0;
	r = qga_call(shelled->remote.channel, &batch, answers, QGA_ANSWER_MS, cancel, err);
	if (r < 0)
		return r;
	r = check_answers(shelled, answers, count, err);
	if (r == 0 && exchange->want_output)
		r = take_output(shelled, answers, exchange, ret_any, err);
	json_array_clear_answers(answers, count);
	if (r == 0 && direct) {
		shelled->direct_left -= exchange->in_length;
		exchange->taken = exchange->in_length;
	}
	return r;
}

static int shell_exchange(struct remote *remote, struct remote_exchange *exchange, struct cancel *cancel,
			  struct error **err)
{
	struct shelled *shelled = (struct shelled *)remote;
	bool was_ended = shelled->ended, any = false, fed = false;
	int r = talk(shelled, exchange, &any, cancel, err);

	if (was_ended)
		exchange->taken = exchange->in_length; /* nobody is there to read it */
	if (r == 0 && exchange->taken < exchange->in_length)
		r = start_feeder(shelled, exchange, cancel, err);
	else if (r == 0 && shelled->feeder >= 0)
		r = check_ended(shelled, shelled->feeder, &fed, NULL, cancel, err);
	if (fed)
		shelled->feeder = -1;
	if (r == 0 && exchange->end && shelled->feeder < 0 && shelled->in >= 0) {
		remote_close_handle(remote->channel, shelled->in);
		shelled->in = -1;
		exchange->end_taken = true;
	}
	update_room(shelled);
	/* What was written before the end is read after it was seen. */
	remote->exited = was_ended && exchange->want_output && !any;
	if (r == 0 && !shelled->ended)
		r = check_ended(shelled, shelled->pid, &shelled->ended, &remote->status, cancel, err);
	return r;
}

static int shell_signal(struct remote *remote, int sig, struct error **err)
{
	struct shelled *shelled = (struct shelled *)remote;
	char name[16], number[24];
	long long pid;

	snprintf(name, sizeof(name), "-%d", sig);
	snprintf(number, sizeof(number), "%lld", shelled->pid);
	return qga_exec(remote->channel, (const char *const[]){"sh", "-c", "kill \"$@\"", "sh", name, number, NULL},
			NULL, 0, false, QGA_ANSWER_MS, NULL, &pid, err);
}

static void shell_close(struct remote *remote)
{
	struct shelled *shelled = (struct shelled *)remote;
	bool fed = shelled->feeder < 0;

	remote_close_handle(remote->channel, shelled->in);
	remote_close_handle(remote->channel, shelled->out);
	remote_close_handle(remote->channel, shelled->error);
	remote_close_handle(remote->channel, shelled->alive);
	if (!shelled->ended)
		qga_exec_end(remote->channel, shelled->pid);
	/* Without a reader the feeder ends by itself; asking makes the agent forget it. */
	for (long long until = clock_ms() + CLOSE_MS; !fed && clock_ms() < until;) {
		if (check_ended(shelled, shelled->feeder, &fed, NULL, NULL, NULL) < 0)
			break;
		cancel_sleep(NULL, fed ? 0 : 5);
	}
	free(shelled);
}

static const struct remote_ops shell_ops = {shell_exchange, shell_signal, shell_close};

static int exec_shell(struct shelled *shelled, const char *const argv[], struct cancel *cancel, struct error **err)
{
	const char *const prefix[] = {"sh", "-c", script, "sh", shelled->folder};
	cleanup_free const char **words = NULL;
	size_t count = 0;

	while (argv[count])
		count++;
	words = calloc(count + 6, sizeof(*words));
	if (!words)
		abort();
	memcpy(words, prefix, sizeof(prefix));
	memcpy(words + 5, argv, count * sizeof(*argv));
	return qga_exec(shelled->remote.channel, words, NULL, 0, false, QGA_ANSWER_MS, cancel, &shelled->pid, err);
}

/*
 * The program starts when its FIFO is opened ("r+": "w" would wait for a reader), and says so by `ready`: only then may
 * the FIFO be closed again without leaving the program to wait for a writer for ever. A quick one has ended by then.
 */
static int open_files(struct shelled *shelled, struct cancel *cancel, struct error **err)
{
	long long ready = -1;
	const struct {
		const char *name, *mode;
		long long *handle;
	} files[] = {{"out", "r", &shelled->out},
		     {"err", "r", &shelled->error},
		     {"alive", "a", &shelled->alive},
		     {"in", "r+", &shelled->in},
		     {"ready", "r", &ready}};
	int r = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && r == 0; i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", shelled->folder, files[i].name);
		r = remote_open(shelled->remote.channel, shelled->pid, path, files[i].mode, cancel, files[i].handle,
				&shelled->remote.status, err);
	}
	shelled->ended = r == -ESRCH;
	if (shelled->ended && shelled->in >= 0)
		r = 0;
	remote_close_handle(shelled->remote.channel, ready);
	return r;
}

int remote_start_shell(struct qga_channel *channel, const char *const argv[], struct cancel *cancel,
		       struct remote **ret, struct error **err)
{
	struct shelled *shelled = calloc(1, sizeof(*shelled));
	cleanup_error struct error *problem = NULL;
	char token[REMOTE_TOKEN_SIZE];
	int r;

	if (!shelled)
		abort();
	shelled->remote = (struct remote){.ops = &shell_ops, .channel = channel, .program = argv[0]};
	shelled->in = shelled->out = shelled->error = shelled->alive = shelled->feeder = -1;
	shelled->direct_left = DIRECT_MAX;
	r = remote_token(token, err);
	snprintf(shelled->folder, sizeof(shelled->folder), "/run/nestvisor/stream.%s", token);
	if (r == 0)
		r = exec_shell(shelled, argv, cancel, err);
	if (r < 0) {
		free(shelled);
		return r;
	}
	r = open_files(shelled, cancel, &problem);
	if (r == -ESRCH)
		r = error_set(err, EIO, "the shell of the guest behind %s cannot run %s: it made no files in %s",
			      qga_channel_path(channel), argv[0], shelled->folder);
	else if (r < 0)
		error_move(err, &problem);
	if (r < 0) {
		shell_close(&shelled->remote);
		return r;
	}
	update_room(shelled);
	*ret = &shelled->remote;
	return 0;
}
