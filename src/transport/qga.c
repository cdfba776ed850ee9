/*
 * The guest agent as a transport: programs are started by guest-exec and asked after by guest-exec-status, first after
 * 2 ms and then ever less often. The agent collects a program's output and gives it when the program has ended, at most
 * 16 MB of each kind (qga/commands.c, GUEST_EXEC_MAX_OUTPUT).
 */
#include "transport/qga_internal.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "transport/base64.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
	POLL_FIRST_MS = 2,
	POLL_SLOWEST_MS = 20,
	INPUT_AT_ONCE = 4 << 20, /* the agent holds several copies of a request's data; beyond this it goes to a file */
	WRITE_CHUNK = 192 << 10,
	SMALL_FILE = 256 << 10,
	KILL_MS = 2000,
	ASK_AGAIN_MS = 2000,
	CLOCK_NEAR_NS = 2000000000, /* a clock that is as near is set */
};

static const struct transport_ops qga_ops;

struct qga *qga_from(struct transport *t)
{
	if (t->ops != &qga_ops)
		abort();
	return (struct qga *)t;
}

int qga_call_time(long long deadline)
{
	long long left = deadline - clock_ms();

	if (deadline < 0 || left > QGA_ANSWER_MS)
		return QGA_ANSWER_MS;
	return left > 0 ? (int)left : 0;
}

static int make_arguments(const struct qga_channel *channel, const char *const argv[], json_t **ret, struct error **err)
{
	cleanup_json json_t *list = json_array(), *path = json_string(argv[0]);
	bool bad = !path;

	for (size_t i = 1; argv[i] && !bad; i++)
		bad = json_array_append_new(list, json_string(argv[i])) < 0;
	if (bad)
		return error_set(
			err, EILSEQ,
			"cannot run %s through the guest agent at %s: the name or an argument is not UTF-8, and "
			"the agent takes nothing else",
			argv[0], qga_channel_path(channel));
	*ret = json_pack("{s:o, s:o}", "path", steal_pointer(&path), "arg", steal_pointer(&list));
	return 0;
}

int qga_exec(struct qga_channel *channel, const char *const argv[], const void *in, size_t in_length, bool capture,
	     int timeout_ms, struct cancel *cancel, long long *ret_pid, struct error **err)
{
	cleanup_batch struct qga_batch batch = {0};
	cleanup_json json_t *answer = NULL;
	json_t *arguments = NULL;
	const json_t *pid;
	int r = make_arguments(channel, argv, &arguments, err);

	if (r < 0)
		return r;
	json_object_set_new(arguments, "capture-output", json_boolean(capture));
	if (in_length)
		qga_batch_add_bytes(&batch, "guest-exec", arguments, "input-data", in, in_length);
	else
		qga_batch_add(&batch, "guest-exec", arguments);
	r = qga_call(channel, &batch, &answer, timeout_ms, cancel, err);
	if (r < 0)
		return r;
	if (!qga_return(answer))
		return qga_failure(channel, answer, err, "cannot run %s in the guest", argv[0]);
	pid = json_object_get(qga_return(answer), "pid");
	if (!json_is_integer(pid) || json_integer_value(pid) <= 0)
		return qga_malformed(channel, "no process id for guest-exec", err);
	*ret_pid = json_integer_value(pid);
	return 0;
}

static int take_output(struct qga_channel *channel, const json_t *status, const char *key, const char *truncated,
		       const char *program, char **ret_text, size_t *ret_length, struct error **err)
{
	const json_t *data = json_object_get(status, key);
	int r;

	if (json_is_true(json_object_get(status, truncated))) {
		r = error_set(
			err, EFBIG,
			"%s wrote more than the guest agent at %s collects of one output (16 MB): the rest is lost",
			program, qga_channel_path(channel));
		error_hint(err, "stream it instead, or let it write to a file");
		return r;
	}
	if (!data) {
		*ret_text = calloc(1, 1);
		if (!*ret_text)
			abort();
		*ret_length = 0;
		return 0;
	}
	if (!json_is_string(data) ||
	    !base64_decode(json_string_value(data), json_string_length(data), ret_text, ret_length))
		return qga_malformed(channel, "output that is not base64", err);
	return 0;
}

int qga_exit_status(const json_t *status)
{
	const json_t *code = json_object_get(status, "exitcode"), *signal = json_object_get(status, "signal");

	if (json_is_integer(code))
		return (int)(json_integer_value(code) & 0xff);
	return json_is_integer(signal) ? 128 + (int)(json_integer_value(signal) & 0x7f) : -1;
}

static int take_status(struct qga_channel *channel, const json_t *status, const char *program,
		       struct process_output *ret, struct error **err)
{
	int r;

	ret->status = qga_exit_status(status);
	if (ret->status < 0)
		return qga_malformed(channel, "an end without exit code or signal", err);
	r = take_output(channel, status, "out-data", "out-truncated", program, &ret->out, &ret->out_length, err);
	if (r == 0)
		r = take_output(channel, status, "err-data", "err-truncated", program, &ret->err, &ret->err_length,
				err);
	if (r < 0)
		process_output_clear(ret);
	return r;
}

int qga_exec_status(struct qga_channel *channel, long long pid, const char *program, int timeout_ms,
		    struct cancel *cancel, bool *ret_exited, struct process_output *ret, struct error **err)
{
	cleanup_json json_t *status = NULL;
	int r = qga_call_one(channel, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)pid), &status,
			     timeout_ms, cancel, err);

	if (r < 0)
		return r;
	if (!json_is_boolean(json_object_get(status, "exited")))
		return qga_malformed(channel, "a guest-exec-status without exited", err);
	*ret_exited = json_is_true(json_object_get(status, "exited"));
	return *ret_exited ? take_status(channel, status, program, ret, err) : 0;
}

static int wait_for_end(struct qga_channel *channel, long long pid, const char *program, long long deadline,
			struct cancel *cancel, struct process_output *ret, struct error **err)
{
	int pause = POLL_FIRST_MS;

	for (;;) {
		bool exited;
		int r;

		if (cancel_sleep(cancel, pause) < 0)
			return error_set(err, ECANCELED, "%s was stopped in the guest behind %s", program,
					 qga_channel_path(channel));
		/* At least one look, however short the time. */
		r = qga_exec_status(channel, pid, program, QGA_ANSWER_MS, cancel, &exited, ret, err);
		if (r < 0 || exited)
			return r;
		if (deadline >= 0 && clock_ms() >= deadline)
			return error_set(err, ETIMEDOUT, "%s did not end in time in the guest behind %s", program,
					 qga_channel_path(channel));
		pause += (pause + 1) / 2;
		if (pause > POLL_SLOWEST_MS)
			pause = POLL_SLOWEST_MS;
	}
}

void qga_exec_end(struct qga_channel *channel, long long pid)
{
	/* `kill` is built into every sh; a program of that name is not everywhere. */
	static const char script[] = "kill -TERM \"$1\" || exit 0; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; "
				     "kill -0 \"$1\" 2>/dev/null || exit 0; done; kill -KILL \"$1\"";
	cleanup_output struct process_output output = {0};
	long long killer;
	char text[24];

	if (pid <= 0)
		return;
	snprintf(text, sizeof(text), "%lld", pid);
	if (qga_exec(channel, (const char *const[]){"sh", "-c", script, "sh", text, NULL}, NULL, 0, false, KILL_MS,
		     NULL, &killer, NULL) < 0)
		return;
	/* Asking after it until it has ended is also what makes the agent forget it. */
	if (wait_for_end(channel, pid, "", clock_ms() + KILL_MS, NULL, &output, NULL) == 0) {
		process_output_clear(&output);
		wait_for_end(channel, killer, "sh", clock_ms() + KILL_MS, NULL, &output, NULL);
	}
}

static int run_started(struct qga_channel *channel, const char *const argv[], const void *in, size_t in_length,
		       const char *name, long long deadline, struct cancel *cancel, struct process_output *ret,
		       struct error **err)
{
	long long pid;
	int r = qga_exec(channel, argv, in, in_length, true, qga_call_time(deadline), cancel, &pid, err);

	if (r < 0)
		return r;
	r = wait_for_end(channel, pid, name, deadline, cancel, ret, err);
	if (r == -ECANCELED || r == -ETIMEDOUT)
		qga_exec_end(channel, pid);
	return r;
}

/* Writes to an open file of the guest, several requests in one call. */
static int write_handle(struct qga_channel *channel, long long handle, const char *data, size_t length,
			long long deadline, struct cancel *cancel, struct error **err)
{
	while (length) {
		size_t take = length < WRITE_CHUNK ? length : WRITE_CHUNK;
		cleanup_batch struct qga_batch batch = {0};
		cleanup_json json_t *answer = NULL;
		int r;

		qga_batch_add_bytes(&batch, "guest-file-write", json_pack("{s:I}", "handle", (json_int_t)handle),
				    "buf-b64", data, take);
		r = qga_call(channel, &batch, &answer, qga_call_time(deadline), cancel, err);
		if (r < 0)
			return r;
		if (!qga_return(answer))
			return qga_failure(channel, answer, err, "cannot write a file in the guest");
		if (json_get_integer(qga_return(answer), "count", -1) != (long long)take)
			return error_set(err, EIO, "the guest behind %s wrote only a part of a file",
					 qga_channel_path(channel));
		data += take;
		length -= take;
	}
	return 0;
}

static int write_existing(struct qga_channel *channel, const char *path, const void *data, size_t length,
			  long long deadline, struct cancel *cancel, struct error **err)
{
	cleanup_json json_t *handle = NULL;
	cleanup_error struct error *ignored = NULL;
	int r = qga_call_one(channel, "guest-file-open", json_pack("{s:s, s:s}", "path", path, "mode", "w"), &handle,
			     qga_call_time(deadline), cancel, err);
	int closed;

	if (r < 0)
		return r;
	if (!json_is_integer(handle))
		return qga_malformed(channel, "no handle for guest-file-open", err);
	r = write_handle(channel, json_integer_value(handle), data, length, deadline, cancel, err);
	/* Closing flushes, so only its success says that the guest's disk had room. */
	closed = qga_call_one(channel, "guest-file-close", json_pack("{s:O}", "handle", handle), NULL, KILL_MS, NULL,
			      r < 0 ? &ignored : err);
	return r < 0 ? r : closed;
}

/*
 * Large input goes through a file of the guest, which the program gets as its standard input and nobody else can read:
 * files that the agent makes itself are open to all, so the shell makes it first.
 */
static int run_with_file(struct qga_channel *channel, const char *const argv[], const void *in, size_t in_length,
			 long long deadline, struct cancel *cancel, struct process_output *ret, struct error **err)
{
	static const char make[] = "umask 077; mkdir -p /run/nestvisor && : >\"$1\"";
	static const char use[] = "exec <\"$0\" && rm -f \"$0\" && exec \"$@\"";
	cleanup_output struct process_output made = {0};
	cleanup_free const char **with_file = NULL;
	char path[64];
	size_t count = 0;
	uint64_t random;
	int r;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return error_errno(err, errno, "cannot make a random name");
	snprintf(path, sizeof(path), "/run/nestvisor/input.%016llx", (unsigned long long)random);
	r = run_started(channel, (const char *const[]){"sh", "-c", make, "sh", path, NULL}, NULL, 0, "sh", deadline,
			cancel, &made, err);
	if (r < 0)
		return r;
	if (made.status != 0)
		return error_set(err, EIO, "cannot make the file %s in the guest behind %s: %s", path,
				 qga_channel_path(channel), made.err);
	r = write_existing(channel, path, in, in_length, deadline, cancel, err);
	if (r < 0) {
		process_output_clear(&made);
		run_started(channel, (const char *const[]){"rm", "-f", path, NULL}, NULL, 0, "rm", clock_ms() + KILL_MS,
			    NULL, &made, NULL);
		return r;
	}
	while (argv[count])
		count++;
	with_file = calloc(count + 5, sizeof(*with_file));
	if (!with_file)
		abort();
	with_file[0] = "sh";
	with_file[1] = "-c";
	with_file[2] = use;
	with_file[3] = path;
	memcpy(with_file + 4, argv, count * sizeof(*argv));
	return run_started(channel, with_file, NULL, 0, argv[0], deadline, cancel, ret, err);
}

static int qga_run(struct transport *t, const char *const argv[], const void *in, size_t in_length, int timeout_ms,
		   struct cancel *cancel, struct process_output *ret, struct error **err)
{
	struct qga_channel *channel = qga_from(t)->channel;
	long long deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;

	if (in_length > INPUT_AT_ONCE)
		return run_with_file(channel, argv, in, in_length, deadline, cancel, ret, err);
	return run_started(channel, argv, in, in_length, argv[0], deadline, cancel, ret, err);
}

static void qga_close(struct transport *t)
{
	struct qga *qga = qga_from(t);

	qga_channel_close(qga->channel);
	free(qga);
}

static const struct transport_ops qga_ops = {
	.name = "qga",
	.run = qga_run,
	.stream = qga_stream,
	.close = qga_close,
};

int transport_qga(const char *socket_path, struct cancel *cancel, struct transport **ret, struct error **err)
{
	struct qga *qga = calloc(1, sizeof(*qga));
	int r;

	if (!qga)
		abort();
	qga->transport.ops = &qga_ops;
	r = qga_channel_open(socket_path, cancel, &qga->channel, err);
	if (r < 0) {
		free(qga);
		return r;
	}
	*ret = &qga->transport;
	return 0;
}

/* An agent that is started again while it is waited for has lost the question: it is asked anew now and then. */
int qga_wait(struct transport *t, int timeout_ms, struct cancel *cancel, struct error **err)
{
	long long deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;

	for (;;) {
		long long left = deadline < 0 ? ASK_AGAIN_MS : deadline - clock_ms();
		bool last = left <= ASK_AGAIN_MS && deadline >= 0;
		int r = qga_channel_sync(qga_from(t)->channel, last ? (left > 0 ? (int)left : 0) : ASK_AGAIN_MS, cancel,
					 err);

		if (r != -ETIMEDOUT || last)
			return r;
		if (err) {
			error_free(*err);
			*err = NULL;
		}
	}
}

/* Asks for the contents of those files that could be opened, and closes them. */
static int read_opened(struct qga_channel *channel, const char *const paths[], json_t *const opened[], size_t count,
		       long long deadline, struct cancel *cancel, char *ret[], struct error **err)
{
	cleanup_free json_t **answers = calloc(2 * count + 1, sizeof(*answers));
	cleanup_batch struct qga_batch batch = {0};
	size_t asked = 0, next = 0;
	int r;

	if (!answers)
		abort();
	for (size_t i = 0; i < count; i++) {
		json_t *handle = qga_return(opened[i]);

		if (!json_is_integer(handle))
			continue;
		qga_batch_add(&batch, "guest-file-read",
			      json_pack("{s:O, s:i}", "handle", handle, "count", SMALL_FILE));
		qga_batch_add(&batch, "guest-file-close", json_pack("{s:O}", "handle", handle));
		asked += 2;
	}
	r = asked ? qga_call(channel, &batch, answers, qga_call_time(deadline), cancel, err) : 0;
	for (size_t i = 0; i < count && r == 0 && asked; i++) {
		const json_t *content;
		size_t length;

		if (!json_is_integer(qga_return(opened[i])))
			continue;
		content = qga_return(answers[next]);
		next += 2;
		if (!content && strncmp(paths[i], "/proc/", 6) == 0)
			continue; /* a process that ended between open and read; the agent gives no errno */
		if (!content)
			r = qga_failure(channel, answers[next - 2], err, "cannot read %s in the guest", paths[i]);
		else if (!json_is_true(json_object_get(content, "eof")))
			r = error_set(err, EFBIG, "%s in the guest behind %s is larger than %d bytes", paths[i],
				      qga_channel_path(channel), SMALL_FILE);
		else if (!base64_decode(json_get_string(content, "buf-b64", ""),
					strlen(json_get_string(content, "buf-b64", "")), &ret[i], &length))
			r = qga_malformed(channel, "a file that is not base64", err);
	}
	json_array_clear_answers(answers, asked);
	return r;
}

int qga_read_files(struct transport *t, const char *const paths[], size_t count, int timeout_ms, struct cancel *cancel,
		   char *ret[], struct error **err)
{
	struct qga_channel *channel = qga_from(t)->channel;
	long long deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	cleanup_free json_t **opened = calloc(count + 1, sizeof(*opened));
	cleanup_batch struct qga_batch batch = {0};
	int r;

	if (!opened)
		abort();
	for (size_t i = 0; i < count; i++) {
		ret[i] = NULL;
		qga_batch_add(&batch, "guest-file-open", json_pack("{s:s, s:s}", "path", paths[i], "mode", "r"));
	}
	r = count ? qga_call(channel, &batch, opened, qga_call_time(deadline), cancel, err) : 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < count && r == 0; i++) {
		cleanup_error struct error *problem = NULL;

		if (qga_return(opened[i]) ||
		    qga_failure(channel, opened[i], &problem, "cannot read %s in the guest", paths[i]) == -ENOENT)
			continue;
		r = error_move(err, &problem);
	}
	/* Also after a failure: what was opened must be closed. */
	if (r < 0)
		read_opened(channel, paths, opened, count, deadline, NULL, ret, NULL);
	else
		r = read_opened(channel, paths, opened, count, deadline, cancel, ret, err);
	for (size_t i = 0; i < count && r < 0; i++) {
		free(ret[i]);
		ret[i] = NULL;
	}
	json_array_clear_answers(opened, count);
	return r;
}

int qga_write_file(struct transport *t, const char *path, const void *data, size_t length, struct cancel *cancel,
		   struct error **err)
{
	/* The agent cannot rename, and makes its files writable for all (mode 0666): so the shell does both. */
	static const char script[] = "umask 077; cat >\"$1.new\" && mv -f \"$1.new\" \"$1\"";
	cleanup_output struct process_output output = {0};
	int r = qga_run(t, (const char *const[]){"sh", "-c", script, "sh", path, NULL}, data, length, -1, cancel,
			&output, err);

	if (r < 0)
		return r;
	if (output.status != 0)
		return error_set(err, EIO, "cannot write %s in the guest behind %s: %s", path,
				 qga_channel_path(qga_from(t)->channel), output.err);
	return 0;
}

/*
 * Some agents set the system's clock and then fail over a hardware clock that is not there (qga/commands-posix.c runs
 * hwclock), so what counts is what it is afterwards.
 */
int qga_set_time(struct transport *t, long long ns, int timeout_ms, struct cancel *cancel, struct error **err)
{
	struct qga_channel *channel = qga_from(t)->channel;
	cleanup_error struct error *problem = NULL;
	cleanup_json json_t *now = NULL;
	int r = qga_call_one(channel, "guest-set-time", json_pack("{s:I}", "time", (json_int_t)ns), NULL, timeout_ms,
			     cancel, &problem);

	if (r == 0)
		return 0;
	if (r == -ETIMEDOUT || r == -EPIPE || r == -ECANCELED)
		return error_move(err, &problem);
	r = qga_call_one(channel, "guest-get-time", NULL, &now, timeout_ms, cancel, err);
	if (r == 0 && llabs(json_integer_value(now) - ns) > CLOCK_NEAR_NS)
		r = error_move(err, &problem);
	return r;
}
