/*
 * A live program in a guest that has no nestvisor: its shell sets the stage. Input goes through a FIFO, output to two
 * files in a folder under /run that nobody else can read. The agent opens all three, the program starts when it has,
 * and the shell removes the folder at the end, when the agent's open files still hold what was written.
 *
 * A FIFO that is full fails a write, and what the agent says does not tell how much went in. But a write of at most
 * 4096 bytes (PIPE_BUF) goes in whole or not at all (pipe(7)), so what failed can be sent again. That makes input
 * slower here than through relay.c; and output stays in the guest's /run until the program ends.
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

enum { CHUNK = 4096, READ_SIZE = 256 << 10 };

struct shelled {
	struct remote remote;
	long long pid;			 /* of the shell, in the guest */
	long long in, out, error, alive; /* the agent's handles, -1: none */
	long long spoke;
	bool ended; /* the shell has ended; a last read follows */
};

/*
 * The program's end is waited for again when a signal interrupted the wait. The second part watches over the host:
 * the size of `alive` changes as long as it is there.
 */
static const char script[] =
	"d=$1; shift; umask 077\n"
	"mkdir -p \"$d\" && : >\"$d/out\" && : >\"$d/err\" && : >\"$d/alive\" && mkfifo \"$d/in\" || exit 125\n"
	"{ : >\"$d/ready\"; exec \"$@\"; } <\"$d/in\" >>\"$d/out\" 2>>\"$d/err\" &\n"
	"p=$!\n"
	"trap 'kill -TERM $p 2>/dev/null' TERM HUP INT\n"
	"(n=none; while sleep 30; do m=$(wc -c <\"$d/alive\") || exit; [ \"$m\" = \"$n\" ] && break; n=$m; done\n"
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

/*
 * Whether a write to the FIFO went in. The agent gives no errno for it; but as it has the FIFO open for reading as well
 * ("r+"), being full is the only way to fail. (A short write stays in fwrite's buffer until the flush, which in glibc
 * and musl empties that buffer whether it succeeds or not.)
 */
static int check_write(const struct shelled *shelled, json_t *const answers[2], bool *ret_taken, struct error **err)
{
	*ret_taken = true;
	for (int i = 0; i < 2; i++) {
		cleanup_error struct error *problem = NULL;

		if (qga_return(answers[i]))
			continue;
		*ret_taken = false;
		qga_failure(shelled->remote.channel, answers[i], &problem, "the input of %s broke off",
			    shelled->remote.program);
		if (!strstr(problem->message, "failed to write") && !strstr(problem->message, "failed to flush"))
			return error_move(err, &problem);
	}
	return 0;
}

static int take_output(struct shelled *shelled, json_t *const answers[2], struct remote_exchange *exchange,
		       bool *ret_any, struct error **err)
{
	size_t out = 0, error = 0;
	int r = 0;

	for (int i = 0; i < 2 && r == 0; i++)
		if (!qga_return(answers[i]))
			r = qga_failure(shelled->remote.channel, answers[i], err, "the output of %s broke off",
					shelled->remote.program);
	if (r == 0)
		r = remote_take_read(shelled->remote.channel, answers[0], exchange->out, &out, err);
	if (r == 0)
		r = remote_take_read(shelled->remote.channel, answers[1], exchange->error, &error, err);
	*ret_any = out || error;
	return r;
}

static int check_end(struct shelled *shelled, struct cancel *cancel, struct error **err)
{
	cleanup_output struct process_output output = {0};
	int r;

	if (shelled->ended)
		return 0;
	r = qga_exec_status(shelled->remote.channel, shelled->pid, shelled->remote.program, QGA_ANSWER_MS, cancel,
			    &shelled->ended, &output, err);
	if (r == 0 && shelled->ended)
		shelled->remote.status = output.status;
	return r;
}

static int shell_exchange(struct remote *remote, struct remote_exchange *exchange, struct cancel *cancel,
			  struct error **err)
{
	struct shelled *shelled = (struct shelled *)remote;
	bool was_ended = shelled->ended, any = false, write = exchange->in_length && !was_ended;
	bool beat = clock_ms() - shelled->spoke >= RELAY_SIGN_OF_LIFE_MS;
	cleanup_batch struct qga_batch batch = {0};
	json_t *answers[6] = {NULL};
	size_t count, next = 0;
	int r = 0;

	if (write)
		add_write(&batch, shelled->in, exchange->in, exchange->in_length);
	if (exchange->want_output) {
		add_read(&batch, shelled->out);
		add_read(&batch, shelled->error);
	}
	if (beat) {
		add_write(&batch, shelled->alive, ".", 1);
		shelled->spoke = clock_ms();
	}
	count = batch.count;
	if (count)
		r = qga_call(remote->channel, &batch, answers, QGA_ANSWER_MS, cancel, err);
	if (r < 0)
		return r;
	if (write) {
		bool taken;

		r = check_write(shelled, answers, &taken, err);
		exchange->taken = taken ? exchange->in_length : 0;
		next = 2;
	} else if (was_ended) {
		exchange->taken = exchange->in_length; /* nobody is there to read it */
	}
	if (r == 0 && exchange->want_output)
		r = take_output(shelled, answers + next, exchange, &any, err);
	json_array_clear_answers(answers, count);
	if (r == 0 && exchange->end && exchange->taken == exchange->in_length) {
		remote_close_handle(remote->channel, shelled->in);
		shelled->in = -1;
		remote->room = 0;
	}
	/* What was written before the end is read after it was seen. */
	remote->exited = was_ended && exchange->want_output && !any;
	return r < 0 ? r : check_end(shelled, cancel, err);
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

	remote_close_handle(remote->channel, shelled->in);
	remote_close_handle(remote->channel, shelled->out);
	remote_close_handle(remote->channel, shelled->error);
	remote_close_handle(remote->channel, shelled->alive);
	if (!shelled->ended)
		qga_exec_end(remote->channel, shelled->pid);
	free(shelled);
}

static const struct remote_ops shell_ops = {shell_exchange, shell_signal, shell_close};

static int exec_shell(struct shelled *shelled, const char *folder, const char *const argv[], struct cancel *cancel,
		      struct error **err)
{
	const char *const prefix[] = {"sh", "-c", script, "sh", folder};
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
 * the FIFO be closed again without leaving the program to wait for a writer for ever.
 */
static int open_files(struct shelled *shelled, const char *folder, struct cancel *cancel, struct error **err)
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

		snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
		r = remote_open(shelled->remote.channel, shelled->pid, path, files[i].mode, cancel, files[i].handle,
				err);
	}
	remote_close_handle(shelled->remote.channel, ready);
	return r;
}

int remote_start_shell(struct qga_channel *channel, const char *const argv[], struct cancel *cancel,
		       struct remote **ret, struct error **err)
{
	struct shelled *shelled = calloc(1, sizeof(*shelled));
	char token[REMOTE_TOKEN_SIZE], folder[64];
	int r;

	if (!shelled)
		abort();
	shelled->remote = (struct remote){.ops = &shell_ops, .channel = channel, .program = argv[0], .room = CHUNK};
	shelled->in = shelled->out = shelled->error = shelled->alive = -1;
	r = remote_token(token, err);
	snprintf(folder, sizeof(folder), "/run/nestvisor/stream.%s", token);
	if (r == 0)
		r = exec_shell(shelled, folder, argv, cancel, err);
	if (r < 0) {
		free(shelled);
		return r;
	}
	r = open_files(shelled, folder, cancel, err);
	if (r < 0) {
		shelled->ended = r == -ESRCH;
		shell_close(&shelled->remote);
		return r == -ESRCH ? error_set(err, EIO,
					       "the shell of the guest behind %s cannot run %s: it made no files in %s",
					       qga_channel_path(channel), argv[0], folder)
				   : r;
	}
	*ret = &shelled->remote;
	return 0;
}
