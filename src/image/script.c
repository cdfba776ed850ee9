/*
 * A build script runs in a session of its own, so that all it started can be ended at once, and it holds the cache's
 * lock together with us: where nestvisor is killed and the script lives on for a moment, the next builder waits for its
 * end before it removes the folder. What the script says on standard output goes to the reporter; its standard error
 * goes to a log, which is kept when the script fails.
 */
#include "image/image_internal.h"

#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/report.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_LIMIT = 64 << 20, GRACE_MS = 3000 };

/* What the script said. */
struct said {
	struct strbuf pending; /* the beginning of a line */
	char *failure, *hint;
};

static int write_files(const struct image_build *build, const char *folder, struct error **err)
{
	const struct image_recipe *recipe = build->recipe;

	for (const char *const *name = recipe->files; *name; name++) {
		cleanup_free char *path = NULL;
		const struct embedded_file *file = recipe_file(recipe, *name);
		cleanup_fclose FILE *f = NULL;

		if (!file)
			return error_set(err, ENOENT, "image %s uses the file %s, which is not in this program",
					 recipe->name, *name);
		if (asprintf(&path, "%s/%s", folder, *name) < 0)
			abort();
		f = fopen(path, "wxe");
		if (!f || fwrite(file->data, 1, file->length, f) != file->length || fflush(f) != 0)
			return error_errno(err, errno, "cannot write %s", path);
	}
	return 0;
}

static void replace_text(char **text, const char *with)
{
	free(*text);
	*text = strdup(with);
	if (!*text)
		abort();
}

static void take_line(const struct image_build *build, struct said *said, const char *line)
{
	static const char progress[] = "nestvisor-progress: ", failure[] = "nestvisor-error: ",
			  hint[] = "nestvisor-hint: ";

	if (strncmp(line, progress, strlen(progress)) == 0)
		report(build->reporter, REPORT_UPDATE, build->subject, "%s", line + strlen(progress));
	else if (strncmp(line, failure, strlen(failure)) == 0)
		replace_text(&said->failure, line + strlen(failure));
	else if (strncmp(line, hint, strlen(hint)) == 0)
		replace_text(&said->hint, line + strlen(hint));
}

static void take_output(const struct image_build *build, struct said *said, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] != '\n') {
			if (said->pending.length < 4096)
				strbuf_add_char(&said->pending, data[i]);
			continue;
		}
		if (said->pending.length)
			take_line(build, said, said->pending.text);
		said->pending.length = 0;
	}
}

/* Until the script, and everything that has its output open, ends. */
static int listen_to(const struct image_build *build, int fd, struct said *said)
{
	char buffer[4096];

	for (;;) {
		int r = cancel_poll(build->cancel, fd, POLLIN, -1);
		ssize_t n;

		if (r < 0)
			return r;
		n = read(fd, buffer, sizeof(buffer));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		take_output(build, said, buffer, (size_t)n);
	}
}

/* Ends the script's whole session, gently first: mmdebstrap has things to tidy up. */
static void end_script(const struct process_id *id)
{
	kill(-id->pid, SIGTERM);
	if (process_wait(id, GRACE_MS, NULL) == -ETIMEDOUT) {
		kill(-id->pid, SIGKILL);
		process_wait(id, -1, NULL);
	} else {
		kill(-id->pid, SIGKILL);
	}
}

static char *last_line(char *text)
{
	char *end = text + strlen(text), *line;

	while (end > text && (end[-1] == '\n' || end[-1] == ' '))
		*--end = '\0';
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

/* Why the script failed: a full disk, what it said itself, or the last line of its log. */
static int explain(const struct image_build *build, const char *log, const struct said *said, int status,
		   struct error **err)
{
	char *kept = arena_printf(build->arena, "%s/%s.log", build->cache, build->recipe->name);
	cleanup_free char *text = NULL;
	size_t length;
	int r;

	if (file_read(log, LOG_LIMIT, &text, &length, NULL) < 0)
		text = strdup("");
	if (!text)
		abort();
	if (cache_is_full(build->cache) || strcasestr(text, "No space left on device") ||
	    strcasestr(text, "enough free space in"))
		return cache_fail_full(build, err);
	rename(log, kept);
	if (said->failure)
		r = error_set(err, EIO, "making image %s failed: %s", build->recipe->name, said->failure);
	else
		r = error_set(err, EIO, "making image %s failed: its script ended with status %d: %s",
			      build->recipe->name, status, last_line(text));
	if (said->hint)
		error_hint(err, "%s (the log of the build is in %s)", said->hint, kept);
	else
		error_hint(err, "the log of the build is in %s", kept);
	return r;
}

static int start_script(const struct image_build *build, const char *folder, const char *log, int *ret_fd,
			struct process_id *ret, struct error **err)
{
	const char *script = arena_printf(build->arena, "%s/script/%s", folder, build->recipe->script);
	const char *scripts = arena_printf(build->arena, "%s/script", folder);
	const char *out = arena_printf(build->arena, "%s/out", folder);
	const char *work = arena_printf(build->arena, "%s/work", folder);
	const char *argv[] = {"sh", "-eu", script, scripts, out, work, NULL};
	int keep[] = {build->lock_fd, -1}, pipe_fds[2], r;
	cleanup_close int write_end = -1, log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .keep = keep, .detach = true};

	if (log_fd < 0)
		return error_errno(err, errno, "cannot write %s", log);
	r = dir_make(scripts, 0755, err);
	if (r == 0)
		r = dir_make(out, 0755, err);
	if (r == 0)
		r = dir_make(work, 0755, err);
	if (r == 0)
		r = write_files(build, scripts, err);
	if (r < 0)
		return r;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot start the script of image %s", build->recipe->name);
	*ret_fd = pipe_fds[0];
	write_end = pipe_fds[1];
	spec.out = write_end;
	spec.err = log_fd;
	return process_spawn(&spec, ret, err);
}

int script_run(const struct image_build *build, const char *folder, struct error **err)
{
	const char *log = arena_printf(build->arena, "%s/log", folder);
	struct said said = {0};
	cleanup_close int fd = -1;
	struct process_id id;
	int status = 0, r;

	r = start_script(build, folder, log, &fd, &id, err);
	if (r < 0)
		return r;
	r = listen_to(build, fd, &said);
	if (r < 0) {
		end_script(&id);
		error_errno(err, r, "making image %s was stopped", build->recipe->name);
	} else {
		r = process_wait(&id, -1, &status);
		if (r < 0)
			error_errno(err, r, "cannot wait for the script of image %s", build->recipe->name);
		else if (status != 0)
			r = explain(build, log, &said, status, err);
	}
	free(said.failure);
	free(said.hint);
	strbuf_freep(&said.pending);
	return r;
}
