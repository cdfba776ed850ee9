/*
 * The user's own OpenSSH as a transport, with their config, keys and jump hosts. One ControlMaster per host carries all
 * sessions (ssh_config(5)), so only the first pays for the connection. It is made under a lock: many that come at once
 * would each connect, and servers turn away all but the first few that have not logged in yet (MaxStartups in
 * sshd_config(5); five in Dropbear).
 *
 * ssh joins the words of a command with spaces and hands them to the user's login shell on the other side. Therefore
 * every word is put in single quotes, and a `sh` runs them, so that a program killed by a signal gives 128 + signal:
 * ssh itself would say 255, which is also what it says when it fails. To tell ssh's own failures from a program that
 * exits with 255, ssh writes its own messages to a memory file (-E): a failure leaves one there.
 *
 * Not every failure: when the master goes, or the server closes a session before its program has begun (Dropbear does,
 * up to 2022.83, to one that opens while another one ends), ssh ends with 255 and says nothing. So the `sh` there says
 * on standard error that it is ready, and begins the program only when it is told to, by a first line of input; after
 * a program that ended with 255 it says so. What was never told to begin surely did not, and another session begins
 * it. What was told, and did not end, is an error, since nobody can know how far it came. All of that is not for
 * streams, whose input and output are the caller's.
 */
#include "transport/transport.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "transport/transport_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	SSH_FAILED = 255,
	WORDS_MAX = 48,
	CONTROL_PATH_MAX = 90, /* ssh adds a dot and 16 characters while it makes the socket, of at most 107 */
	LOG_MAX = 4096,
	MASTER_MS = 60000,
	WAITED_MS = 5000,    /* longer than a master takes that can be made */
	BEGINNINGS_MAX = 16, /* how often in turn a session may end before its program began */
};

#define READY "@nestvisor-ready\n"
#define ENDED "@nestvisor-ended\n"

struct ssh {
	struct transport transport;
	struct ssh_target target; /* its texts are ours */
};

/* Words of an ssh command line; those that were made for it are freed with it. */
struct words {
	char *list[WORDS_MAX];
	size_t count;
};

static void words_clear(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->list[i]);
	words->count = 0;
}
#define cleanup_words __attribute__((cleanup(words_clear)))

__attribute__((format(printf, 2, 3))) static void words_add(struct words *words, const char *format, ...)
{
	va_list args;

	if (words->count + 1 >= WORDS_MAX) /* the options below are fewer by far */
		abort();
	va_start(args, format);
	if (vasprintf(&words->list[words->count++], format, args) < 0)
		abort();
	va_end(args);
	words->list[words->count] = NULL;
}

/* A path as the value of an option: ssh_config(5) splits at spaces, and expands %x and ${x}. */
static int add_path(struct words *words, const char *option, const char *path, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};

	if (strpbrk(path, "\"\n") || strstr(path, "${"))
		return error_set(err, EINVAL,
				 "ssh cannot be given the path %s: quotes, line ends and ${ have no escape", path);
	for (; *path; path++) {
		if (*path == '%')
			strbuf_add_char(&text, '%');
		strbuf_add_char(&text, *path);
	}
	words_add(words, "-o");
	words_add(words, "%s=\"%s\"", option, text.text ? text.text : "");
	return 0;
}

/* `master`: ssh_config(5), ControlMaster. */
static int add_options(struct words *words, const struct ssh_target *target, const char *master, struct error **err)
{
	int r = 0;

	words_add(words, "ssh");
	if (target->control_path) {
		if (strlen(target->control_path) > CONTROL_PATH_MAX)
			return error_set(err, ENAMETOOLONG,
					 "the path of ssh's control socket is too long (%d at most): %s",
					 CONTROL_PATH_MAX, target->control_path);
		words_add(words, "-oControlMaster=%s", master);
		words_add(words, "-oControlPersist=60");
		r = add_path(words, "ControlPath", target->control_path, err);
	}
	if (r == 0 && target->known_hosts) {
		words_add(words, "-oGlobalKnownHostsFile=/dev/null");
		words_add(words, "-oStrictHostKeyChecking=accept-new");
		r = add_path(words, "UserKnownHostsFile", target->known_hosts, err);
	}
	if (r == 0 && target->key) {
		words_add(words, "-oIdentitiesOnly=yes");
		r = add_path(words, "IdentityFile", target->key, err);
	}
	if (target->port)
		words_add(words, "-oPort=%u", target->port);
	if (target->user)
		words_add(words, "-oUser=%s", target->user);
	return r;
}

static void add_batch_options(struct words *words, int log_fd)
{
	words_add(words, "-oBatchMode=yes");
	words_add(words, "-oConnectTimeout=10");
	words_add(words, "-oServerAliveInterval=10");
	words_add(words, "-oLogLevel=INFO");
	words_add(words, "-T");
	/* Not /proc/self: ssh closes what it inherits before it opens its log. */
	words_add(words, "-E/proc/%d/fd/%d", getpid(), log_fd);
}

static void quote(struct strbuf *to, const char *word)
{
	strbuf_add(to, " '");
	for (; *word; word++) {
		if (*word == '\'')
			strbuf_add(to, "'\\''");
		else
			strbuf_add_char(to, *word);
	}
	strbuf_add_char(to, '\'');
}

/* `marked`: it says on standard error when it is ready, begins at the first line of its input, and says when it was the
 * program that ended with 255. */
static void add_remote_command(struct words *words, const struct ssh_target *target, const char *const argv[],
			       bool marked)
{
	cleanup_strbuf struct strbuf command = {0};

	strbuf_add(&command, marked ? "sh -c 'echo @nestvisor-ready >&2; read -r s || exit 255; \"$@\"; s=$?; "
				      "[ $s -ne 255 ] || echo @nestvisor-ended >&2; exit $s' sh"
				    : "sh -c '\"$@\"; exit $?' sh");
	for (size_t i = 0; argv[i]; i++)
		quote(&command, argv[i]);
	words_add(words, "--");
	words_add(words, "%s", target->host);
	words_add(words, "%s", command.text);
}

static int open_log(int *ret_fd, struct error **err)
{
	*ret_fd = memfd_create("ssh", MFD_CLOEXEC);
	return *ret_fd < 0 ? error_errno(err, errno, "cannot make ssh's log") : 0;
}

/* Status 255: what does ssh say about it? Nothing: 0. */
static int check_failure(const struct ssh_target *target, int log_fd, int status, struct error **err)
{
	char log[LOG_MAX + 1], port[sizeof("-p 4294967295 ")] = "", *line;
	ssize_t n = 0;
	off_t end;

	if (status != SSH_FAILED)
		return 0;
	end = lseek(log_fd, 0, SEEK_END);
	if (end > 0)
		n = pread(log_fd, log, LOG_MAX, end > LOG_MAX ? end - LOG_MAX : 0);
	while (n > 0 && (log[n - 1] == '\n' || log[n - 1] == '\r'))
		n--;
	if (n <= 0)
		return 0;
	log[n] = '\0';
	line = strrchr(log, '\n');
	error_set(err, ECONNREFUSED, "ssh to %s failed: %s", target->host, line ? line + 1 : log);
	if (target->port)
		snprintf(port, sizeof(port), "-p %u ", target->port);
	error_hint(err, "try `ssh %s%s%s%s true` by hand", port, target->user ? target->user : "",
		   target->user ? "@" : "", target->host);
	return -ECONNREFUSED;
}

/* ─── the master ─── */

static bool master_listens(const struct ssh_target *target)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", target->control_path);
	return fd >= 0 && (connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 || errno == EAGAIN);
}

static int lock_master(const struct ssh_target *target, struct cancel *cancel, int *ret_fd, struct error **err)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s.lock", target->control_path) < 0)
		abort();
	return file_lock(path, "ssh", MASTER_MS, NULL, cancel, ret_fd, err);
}

/* A session that ends at once leaves a master behind it; had it nothing to run (-N), one that finds that a person's ssh
 * has just become the master would stay for ever. */
static int make_master(const struct ssh_target *target, struct cancel *cancel, struct error **err)
{
	cleanup_words struct words words = {.count = 0};
	cleanup_output struct process_output output = {0};
	cleanup_close int log_fd = -1;
	struct process_spec spec = {.netns = target->netns, .in = -1, .out = -1, .err = -1};
	int r = add_options(&words, target, "auto", err);

	if (r == 0)
		r = open_log(&log_fd, err);
	if (r < 0)
		return r;
	add_batch_options(&words, log_fd);
	words_add(&words, "--");
	words_add(&words, "%s", target->host);
	words_add(&words, "exit");
	spec.argv = (const char *const *)words.list;
	r = process_run(&spec, NULL, 0, MASTER_MS, cancel, &output, err);
	return r < 0 ? r : check_failure(target, log_fd, output.status, err);
}

/* Whoever waited in vain for another one's attempt asks for itself alone, so that all of them fail at the same time. */
static int ensure_master(const struct ssh_target *target, struct cancel *cancel, struct error **err)
{
	cleanup_close int lock = -1;
	long long began = clock_ms();

	if (!target->control_path || master_listens(target))
		return 0;
	if (lock_master(target, cancel, &lock, NULL) < 0)
		return cancel_requested(cancel) ? error_set(err, ECANCELED, "ssh was stopped") : 0;
	if (master_listens(target) || clock_ms() - began > WAITED_MS)
		return 0;
	return make_master(target, cancel, err);
}

/* ─── sessions ─── */

static struct ssh *ssh_from(struct transport *t)
{
	return (struct ssh *)t;
}

/* Takes the first (last: the last) such line out of what came. */
static bool take_line(struct process_output *output, const char *line, bool last)
{
	size_t length = strlen(line);
	char *at = output->err ? memmem(output->err, output->err_length, line, length) : NULL;

	for (char *next = at; next && last;
	     next = memmem(at + 1, (size_t)(output->err + output->err_length - at - 1), line, length))
		at = next;
	if (!at)
		return false;
	memmove(at, at + length, (size_t)(output->err + output->err_length - at) - length + 1);
	output->err_length -= length;
	return true;
}

/* One session. *ret_began: its program may have. */
static int run_once(const struct ssh_target *target, const char *const argv[], const void *in, size_t in_length,
		    int timeout_ms, struct cancel *cancel, struct process_output *ret, bool *ret_began,
		    struct error **err)
{
	cleanup_words struct words words = {.count = 0};
	cleanup_close int log_fd = -1;
	cleanup_strbuf struct strbuf input = {0};
	struct process_spec spec = {.netns = target->netns, .in = -1, .out = -1, .err = -1, .in_after = READY};
	int r = add_options(&words, target, "no", err);

	*ret_began = true;
	if (r == 0)
		r = open_log(&log_fd, err);
	if (r < 0)
		return r;
	add_batch_options(&words, log_fd);
	add_remote_command(&words, target, argv, true);
	spec.argv = (const char *const *)words.list;
	strbuf_add_char(&input, '\n');
	strbuf_add_bytes(&input, in, in_length);
	r = process_run(&spec, input.text, input.length, timeout_ms, cancel, ret, err);
	if (r < 0)
		return r == -ENOENT ? r : error_wrap(err, "running %s on %s", argv[0], target->host);
	*ret_began = take_line(ret, READY, false);
	if (ret->status != SSH_FAILED || (*ret_began && take_line(ret, ENDED, true)))
		return 0;
	r = check_failure(target, log_fd, ret->status, err);
	if (r == 0)
		r = error_set(err, ECONNRESET,
			      *ret_began ? "the connection to %s was lost while %s ran there"
					 : "the connection to %s was lost before %s began there",
			      target->host, argv[0]);
	process_output_clear(ret);
	return r;
}

static int ssh_run(struct transport *t, const char *const argv[], const void *in, size_t in_length, int timeout_ms,
		   struct cancel *cancel, struct process_output *ret, struct error **err)
{
	const struct ssh_target *target = &ssh_from(t)->target;
	long long deadline = clock_ms() + timeout_ms;

	for (int i = 1;; i++) {
		cleanup_error struct error *problem = NULL;
		long long left = timeout_ms < 0 ? -1 : deadline - clock_ms();
		bool began = false;
		int r = ensure_master(target, cancel, &problem);

		if (r == 0)
			r = run_once(target, argv, in, in_length, left < 0 && timeout_ms >= 0 ? 0 : (int)left, cancel,
				     ret, &began, &problem);
		else
			began = true; /* nor will it */
		if (r == 0)
			return 0;
		if (began || !target->control_path || i == BEGINNINGS_MAX)
			return error_move(err, &problem);
	}
}

static int ssh_stream(struct transport *t, const char *const argv[], int in_fd, int out_fd, int err_fd,
		      struct cancel *cancel, int *ret_status, struct error **err)
{
	const struct ssh_target *target = &ssh_from(t)->target;
	cleanup_words struct words words = {.count = 0};
	cleanup_close int log_fd = -1;
	struct process_spec spec = {.netns = target->netns, .in = in_fd, .out = out_fd, .err = err_fd};
	int r = ensure_master(target, cancel, err);

	if (r == 0)
		r = add_options(&words, target, "no", err);
	if (r == 0)
		r = open_log(&log_fd, err);
	if (r < 0)
		return r;
	add_batch_options(&words, log_fd);
	add_remote_command(&words, target, argv, false);
	spec.argv = (const char *const *)words.list;
	r = run_attached(&spec, cancel, ret_status, err);
	return r < 0 ? r : check_failure(target, log_fd, *ret_status, err);
}

static void free_text(const char *text)
{
	free((void *)(uintptr_t)text);
}

static void ssh_close(struct transport *t)
{
	struct ssh *ssh = ssh_from(t);

	free_text(ssh->target.host);
	free_text(ssh->target.user);
	free_text(ssh->target.key);
	free_text(ssh->target.control_path);
	free_text(ssh->target.known_hosts);
	free(ssh);
}

static const struct transport_ops ssh_ops = {
	.name = "ssh",
	.run = ssh_run,
	.stream = ssh_stream,
	.close = ssh_close,
};

static const char *copy_text(const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		abort();
	return copy;
}

int transport_ssh(const struct ssh_target *target, struct transport **ret, struct error **err)
{
	cleanup_words struct words words = {.count = 0};
	struct ssh *ssh;
	int r = add_options(&words, target, "no", err); /* says now what is wrong with the target */

	if (r < 0)
		return r;
	ssh = calloc(1, sizeof(*ssh));
	if (!ssh)
		abort();
	ssh->transport.ops = &ssh_ops;
	ssh->target = (struct ssh_target){
		.host = copy_text(target->host),
		.user = copy_text(target->user),
		.key = copy_text(target->key),
		.port = target->port,
		.control_path = copy_text(target->control_path),
		.known_hosts = copy_text(target->known_hosts),
		.netns = target->netns,
	};
	*ret = &ssh->transport;
	return 0;
}

/* One block: the pointers, then the texts they point to. */
static char **pack_words(const struct words *words, const char *const extra[])
{
	size_t count = words->count, more = 0, size = 0;
	char **block, *text;

	while (extra && extra[more])
		size += strlen(extra[more++]) + 1;
	for (size_t i = 0; i < count; i++)
		size += strlen(words->list[i]) + 1;
	block = malloc((count + more + 1) * sizeof(*block) + size);
	if (!block)
		abort();
	text = (char *)(block + count + more + 1);
	for (size_t i = 0; i < count + more; i++) {
		block[i] = text;
		text = stpcpy(text, i < count ? words->list[i] : extra[i - count]) + 1;
	}
	block[count + more] = NULL;
	return block;
}

int ssh_command(const struct ssh_target *target, const char *const extra[], char ***ret_argv, struct error **err)
{
	cleanup_words struct words words = {.count = 0};
	int r = add_options(&words, target, "auto", err);

	if (r < 0)
		return r;
	words_add(&words, "--");
	words_add(&words, "%s", target->host);
	*ret_argv = pack_words(&words, extra);
	return 0;
}

int ssh_end_master(const struct ssh_target *target, struct cancel *cancel, struct error **err)
{
	cleanup_words struct words words = {.count = 0};
	cleanup_output struct process_output output = {0};
	struct process_spec spec = {.netns = target->netns, .in = -1, .out = -1, .err = -1};
	cleanup_close int lock = -1;
	cleanup_free char *lock_path = NULL;
	int r;

	if (!target->control_path || access(target->control_path, F_OK) < 0)
		return 0;
	r = add_options(&words, target, "auto", err);
	if (r < 0)
		return r;
	words_add(&words, "-Oexit");
	words_add(&words, "--");
	words_add(&words, "%s", target->host);
	spec.argv = (const char *const *)words.list;
	/* Nobody makes another one meanwhile, whose socket would be removed here. */
	if (lock_master(target, cancel, &lock, NULL) == 0 && asprintf(&lock_path, "%s.lock", target->control_path) < 0)
		abort();
	/* A status other than 0 says that no master listens there any more. */
	r = process_run(&spec, NULL, 0, 5000, cancel, &output, err);
	if (r == 0)
		unlink(target->control_path);
	if (lock_path)
		unlink(lock_path);
	return r;
}
