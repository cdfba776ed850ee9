/*
 * Starting a child from a program with threads: everything that allocates is done before fork(2); between fork and
 * exec the child only makes async-signal-safe calls (signal-safety(7)). Whatever fails there comes back as an errno
 * through a pipe that exec closes. The child writes its own pid file before exec, so there is no moment at which the
 * program runs and nobody could know it, whatever kills the parent.
 */
#include "base/process.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { STEP_NETNS = 1, STEP_DESCRIPTORS, STEP_PID_FILE, STEP_EXEC };

struct child_failure {
	int step, code;
};

/* Field 22 of /proc/PID/stat. Field 2 is in parentheses and may hold anything, so fields are counted from the last one.
 */
static bool parse_start(const char *stat, unsigned long long *ret_start)
{
	const char *p = strrchr(stat, ')');
	unsigned long long start = 0;

	if (!p)
		return false;
	for (int field = 2; field < 22; field++) {
		p = strchr(p + 1, ' ');
		if (!p)
			return false;
	}
	for (p++; *p >= '0' && *p <= '9'; p++)
		start = start * 10 + (unsigned long long)(*p - '0');
	*ret_start = start;
	return true;
}

/*
 * A process that was killed goes on existing while the kernel takes it apart, for tens of milliseconds where it holds
 * taps; its files may be closed already. A zombie is gone as far as anyone but its parent is concerned.
 */
enum life { LIFE_GONE, LIFE_LEAVING, LIFE_ALIVE };

/* Field 9 of /proc/PID/stat, the kernel's flags, of which one tells that it is being taken apart
 * (include/linux/sched.h). */
static bool is_exiting(const char *state)
{
	static const unsigned long pf_exiting = 0x4;

	for (int field = 3; field < 9 && state; field++)
		state = strchr(state + 1, ' ');
	return state && (strtoul(state, NULL, 10) & pf_exiting);
}

/* Async-signal-safe where ret_life is NULL. */
static int read_start(const char *path, unsigned long long *ret_start, enum life *ret_life)
{
	char text[1024];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *state;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	state = strrchr(text, ')');
	if (ret_life && state)
		*ret_life = state[2] == 'Z' || state[2] == 'X' ? LIFE_GONE
			    : is_exiting(state + 2)	       ? LIFE_LEAVING
							       : LIFE_ALIVE;
	return parse_start(text, ret_start) ? 0 : -EBADMSG;
}

static size_t put_number(char *at, unsigned long long value)
{
	char digits[24];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	for (size_t i = 0; i < n; i++)
		at[i] = digits[n - 1 - i];
	return n;
}

static int write_own_pid_file(const char *path, const char *temporary)
{
	unsigned long long start;
	char line[64];
	size_t n;
	int fd, r = read_start("/proc/self/stat", &start, NULL);

	if (r < 0)
		return r;
	n = put_number(line, (unsigned long long)getpid());
	line[n++] = ' ';
	n += put_number(line + n, start);
	line[n++] = '\n';
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, line, n) != (ssize_t)n || rename(temporary, path) < 0)
		r = errno ? -errno : -EIO;
	close(fd);
	return r;
}

static int arrange_descriptors(const struct process_spec *spec)
{
	const int wanted[3] = {spec->in, spec->out, spec->err};
	int moved[3], null = -1;

	/* First away from 0 to 2, so that none is overwritten before it is used. */
	for (int i = 0; i < 3; i++) {
		int from = wanted[i];

		if (from < 0) {
			if (null < 0)
				null = open("/dev/null", O_RDWR | O_CLOEXEC);
			from = null;
		}
		moved[i] = fcntl(from, F_DUPFD_CLOEXEC, 3);
		if (moved[i] < 0)
			return -errno;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(moved[i], i) < 0)
			return -errno;
	for (const int *keep = spec->keep; keep && *keep >= 0; keep++)
		if (fcntl(*keep, F_SETFD, 0) < 0)
			return -errno;
	return 0;
}

struct child_plan {
	const struct process_spec *spec;
	const char *program;
	char **env;
	const char *pid_temporary;
	int failure_fd;
};

__attribute__((noreturn)) static void child_fail(int fd, int step, int code)
{
	struct child_failure failure = {step, code < 0 ? -code : code};
	ssize_t n = write(fd, &failure, sizeof(failure));

	(void)n;
	_exit(127);
}

__attribute__((noreturn)) static void child_main(const struct child_plan *plan)
{
	const struct process_spec *spec = plan->spec;
	struct sigaction normal = {.sa_handler = SIG_DFL};
	int fd = plan->failure_fd, r;
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &normal, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (spec->detach)
		setsid();
	if (spec->netns >= 0 && setns(spec->netns, CLONE_NEWNET) < 0)
		child_fail(fd, STEP_NETNS, errno);
	if (fd < 3) /* the failure pipe must not be one of the three that are about to be replaced */
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	r = arrange_descriptors(spec);
	if (r < 0)
		child_fail(fd, STEP_DESCRIPTORS, r);
	if (spec->pid_file) {
		r = write_own_pid_file(spec->pid_file, plan->pid_temporary);
		if (r < 0)
			child_fail(fd, STEP_PID_FILE, r);
	}
	execve(plan->program, (char *const *)spec->argv, plan->env);
	r = errno;
	if (spec->pid_file)
		unlink(spec->pid_file);
	child_fail(fd, STEP_EXEC, r);
}

static char **merge_environment(const char *const *add)
{
	size_t old = 0, more = 0, n = 0;
	char **merged;

	while (environ[old])
		old++;
	while (add && add[more])
		more++;
	merged = calloc(old + more + 1, sizeof(*merged));
	if (!merged)
		abort();
	for (size_t i = 0; i < old; i++) {
		bool replaced = false;

		for (size_t j = 0; j < more && !replaced; j++) {
			size_t name = strcspn(add[j], "=") + 1;

			replaced = strncmp(environ[i], add[j], name) == 0;
		}
		if (!replaced)
			merged[n++] = environ[i];
	}
	for (size_t j = 0; j < more; j++)
		merged[n++] = (char *)(uintptr_t)add[j];
	return merged;
}

static int spawn_failure(const struct process_spec *spec, const struct child_failure *failure, struct error **err)
{
	switch (failure->step) {
	case STEP_NETNS:
		return error_errno(err, failure->code, "cannot start %s: entering its network namespace",
				   spec->argv[0]);
	case STEP_PID_FILE:
		return error_errno(err, failure->code, "cannot start %s: writing %s", spec->argv[0], spec->pid_file);
	case STEP_DESCRIPTORS:
		return error_errno(err, failure->code, "cannot start %s: arranging its files", spec->argv[0]);
	default:
		return error_errno(err, failure->code, "cannot start %s", spec->argv[0]);
	}
}

int process_spawn(const struct process_spec *spec, struct process_id *ret, struct error **err)
{
	cleanup_free char *program = NULL, *pid_temporary = NULL, *stat_path = NULL;
	cleanup_free char **env = merge_environment(spec->env);
	cleanup_close int failure_read = -1, failure_write = -1;
	struct child_failure failure;
	struct child_plan plan;
	int pipe_fds[2], r;
	pid_t pid;
	ssize_t n;

	r = process_find(spec->argv[0], NULL, &program, err);
	if (r < 0)
		return r;
	if (spec->pid_file && asprintf(&pid_temporary, "%s.new", spec->pid_file) < 0)
		abort();
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot start %s", spec->argv[0]);
	failure_read = pipe_fds[0];
	failure_write = pipe_fds[1];
	plan = (struct child_plan){spec, program, env, pid_temporary, failure_write};
	pid = fork();
	if (pid < 0)
		return error_errno(err, errno, "cannot start %s", spec->argv[0]);
	if (pid == 0)
		child_main(&plan);
	close(steal_fd(&failure_write));
	do
		n = read(failure_read, &failure, sizeof(failure));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(failure)) {
		waitpid(pid, NULL, 0);
		return spawn_failure(spec, &failure, err);
	}
	if (asprintf(&stat_path, "/proc/%d/stat", pid) < 0)
		abort();
	ret->pid = pid;
	ret->start = 0;
	read_start(stat_path, &ret->start, NULL); /* our own child: it is there, as a zombie at worst */
	return 0;
}

void process_output_clear(struct process_output *output)
{
	free(output->out);
	free(output->err);
	*output = (struct process_output){0};
}

/* One end of the conversation with a child: its standard input, output or error. */
struct stream {
	int fd;
	struct strbuf text;
};

static void drain(struct stream *stream)
{
	char buffer[65536];
	ssize_t n = read(stream->fd, buffer, sizeof(buffer));

	if (n > 0)
		strbuf_add_bytes(&stream->text, buffer, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		close(steal_fd(&stream->fd));
}

static void feed(int *fd, const char **data, size_t *left)
{
	ssize_t n = write(*fd, *data, *left);

	if (n > 0) {
		*data += n;
		*left -= (size_t)n;
	}
	/* A child that does not read its input is no failure: its exit status tells. */
	if (!*left || (n < 0 && errno != EINTR && errno != EAGAIN))
		close(steal_fd(fd));
}

static bool has_said(const struct stream *err, const char *text)
{
	return err->text.length && memmem(err->text.text, err->text.length, text, strlen(text));
}

static int converse(int *in_fd, const char *in, size_t in_length, const char *in_after, struct stream streams[2],
		    long long deadline, const struct cancel *cancel)
{
	while (*in_fd >= 0 || streams[0].fd >= 0 || streams[1].fd >= 0) {
		bool held_back = in_after && !has_said(&streams[1], in_after);
		struct pollfd p[4] = {{.fd = held_back ? -1 : *in_fd, .events = POLLOUT},
				      {.fd = streams[0].fd, .events = POLLIN},
				      {.fd = streams[1].fd, .events = POLLIN},
				      {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
		long long left = deadline < 0 ? -1 : deadline - clock_ms();
		int r = poll(p, 4, deadline < 0 ? -1 : left > 0 ? (int)left : 0);

		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return -ETIMEDOUT;
		if (r < 0)
			continue;
		if (p[3].revents)
			return -ECANCELED;
		if (p[0].revents)
			feed(in_fd, &in, &in_length);
		for (int i = 0; i < 2; i++)
			if (p[1 + i].revents)
				drain(&streams[i]);
		/* It cannot say any more that it is ready. */
		if (held_back && streams[1].fd < 0 && *in_fd >= 0 && !has_said(&streams[1], in_after))
			close(steal_fd(in_fd));
	}
	return 0;
}

static int open_pipes(int pipes[3][2])
{
	for (int i = 0; i < 3; i++) {
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			return -errno;
		/* Our ends must not block; the child's do. */
		if (fcntl(pipes[i][i == 0 ? 1 : 0], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	return 0;
}

int process_run(const struct process_spec *spec, const void *in, size_t in_length, int timeout_ms,
		struct cancel *cancel, struct process_output *ret, struct error **err)
{
	int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	struct stream streams[2] = {{.fd = -1}, {.fd = -1}};
	long long deadline = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	struct process_spec child = *spec;
	struct process_id id;
	int r, status = 0;

	r = open_pipes(pipes);
	if (r < 0) {
		error_errno(err, r, "cannot start %s", spec->argv[0]);
		goto out;
	}
	child.in = pipes[0][0];
	child.out = pipes[1][1];
	child.err = pipes[2][1];
	r = process_spawn(&child, &id, err);
	if (r < 0)
		goto out;
	close(steal_fd(&pipes[0][0]));
	close(steal_fd(&pipes[1][1]));
	close(steal_fd(&pipes[2][1]));
	streams[0].fd = steal_fd(&pipes[1][0]);
	streams[1].fd = steal_fd(&pipes[2][0]);
	if (!in_length)
		close(steal_fd(&pipes[0][1]));
	r = converse(&pipes[0][1], in, in_length, spec->in_after, streams, deadline, cancel);
	if (r < 0)
		kill(id.pid, SIGKILL);
	while (waitpid(id.pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0) {
		error_set(err, -r, r == -ETIMEDOUT ? "%s did not end within %d ms" : "%s was stopped", spec->argv[0],
			  timeout_ms);
		goto out;
	}
	ret->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	ret->out_length = streams[0].text.length;
	ret->err_length = streams[1].text.length;
	ret->out = strbuf_steal(&streams[0].text);
	ret->err = strbuf_steal(&streams[1].text);
out:
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 2; j++)
			cleanup_closep(&pipes[i][j]);
	for (int i = 0; i < 2; i++) {
		cleanup_closep(&streams[i].fd);
		strbuf_freep(&streams[i].text);
	}
	return r;
}

int process_must(const char *const *argv, struct cancel *cancel, struct error **err)
{
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};
	char *end, *line;
	int r = process_run(&spec, NULL, 0, -1, cancel, &output, err);

	if (r < 0 || output.status == 0)
		return r;
	end = output.err + output.err_length;
	while (end > output.err && end[-1] == '\n')
		*--end = '\0';
	line = strrchr(output.err, '\n');
	return error_set(err, EIO, "%s failed with status %d: %s", argv[0], output.status,
			 line ? line + 1 : output.err);
}

static enum life look_at(const struct process_id *id)
{
	enum life life = LIFE_GONE;
	unsigned long long start;
	char path[64];

	if (id->pid <= 0)
		return LIFE_GONE;
	snprintf(path, sizeof(path), "/proc/%d/stat", id->pid);
	return read_start(path, &start, &life) == 0 && start == id->start ? life : LIFE_GONE;
}

bool process_alive(const struct process_id *id)
{
	return look_at(id) == LIFE_ALIVE;
}

int process_self(struct process_id *ret)
{
	ret->pid = getpid();
	return read_start("/proc/self/stat", &ret->start, NULL);
}

int process_identify(pid_t pid, struct process_id *ret)
{
	char path[64];

	ret->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	return read_start(path, &ret->start, NULL);
}

int process_write_pid_file(const char *path, const struct process_id *id, struct error **err)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "%d %llu\n", id->pid, id->start);

	return file_write_atomic(path, text, (size_t)length, 0600, err);
}

int process_end(const struct process_id *id, int grace_ms, struct error **err)
{
	cleanup_close int fd = id->pid > 0 ? pidfd_open(id->pid, 0) : -1;

	if (fd < 0 || look_at(id) == LIFE_GONE) /* the descriptor was taken first: what is alive now is what it names */
		return 0;
	for (int attempt = 0; attempt < 2; attempt++) {
		if (pidfd_send_signal(fd, attempt == 0 ? SIGTERM : SIGKILL, NULL, 0) < 0 && errno != ESRCH)
			return error_errno(err, errno, "cannot end process %d", id->pid);
		if (cancel_poll(NULL, fd, POLLIN, attempt == 0 ? grace_ms : 10000) == 1) {
			waitid(P_PIDFD, (id_t)fd, NULL, WEXITED | WNOHANG); /* reaps it if it was our child */
			return 0;
		}
	}
	return error_set(err, ETIMEDOUT, "process %d does not end, not even by SIGKILL", id->pid);
}

int process_wait(const struct process_id *id, int timeout_ms, int *ret_status)
{
	cleanup_close int fd = pidfd_open(id->pid, 0);
	siginfo_t info = {0};
	int r;

	if (fd < 0)
		return -errno;
	r = cancel_poll(NULL, fd, POLLIN, timeout_ms);
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED) < 0)
		return -errno;
	if (ret_status)
		*ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return 0;
}

int process_read_pid_file(const char *path, struct process_id *ret, struct error **err)
{
	cleanup_free char *text = NULL;
	size_t length;
	int r = file_read(path, 256, &text, &length, err);

	if (r < 0)
		return r;
	if (sscanf(text, "%d %llu", &ret->pid, &ret->start) != 2 || ret->pid <= 0)
		return error_set(err, EBADMSG, "%s does not hold a process id and its start time", path);
	return 0;
}

int process_find(const char *program, const char *package, char **ret_path, struct error **err)
{
	const char *path = getenv("PATH");
	int r;

	if (strchr(program, '/')) {
		*ret_path = strdup(program);
		if (!*ret_path)
			abort();
		return 0;
	}
	if (!path || !*path)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	while (*path) {
		size_t length = strcspn(path, ":");
		char *candidate;

		if (asprintf(&candidate, "%.*s/%s", (int)length, path, program) < 0)
			abort();
		if (length && access(candidate, X_OK) == 0) {
			*ret_path = candidate;
			return 0;
		}
		free(candidate);
		path += length + (path[length] == ':');
	}
	r = error_set(err, ENOENT, "the program %s is not installed", program);
	if (package)
		error_hint(err, "apt-get install %s", package);
	return r;
}
