#include "plan/state.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_SCHEMA "nestvisor/state/1"

enum { STATE_LIMIT = 256 << 20 };

struct state {
	pthread_mutex_t mutex;
	char *file, *journal;
	json_t *resources;
	json_t *open_steps; /* begun and not ended: an object used as a set */
	char *interrupted;  /* their names, as found at opening; or NULL */
	int journal_fd;	    /* -1 until the first step */
};

static char *path_in(const char *folder, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		abort();
	return path;
}

/* Applies one line of the journal to the resources. */
static void fold(struct state *state, const json_t *line)
{
	const char *begin = json_get_string(line, "begin", NULL);
	const char *done = json_get_string(line, "done", NULL);
	const char *resource = json_get_string(line, "resource", NULL);
	json_t *value = json_object_get(line, "value");

	if (begin)
		json_object_set_new(state->open_steps, begin, json_true());
	else if (done)
		json_object_del(state->open_steps, done);
	if (!resource)
		return;
	if (value) {
		json_t *copy = json_copy(value);

		if (begin)
			json_object_set_new(copy, "pending", json_true());
		json_object_set_new(state->resources, resource, copy);
	} else if (!begin) {
		json_object_del(state->resources, resource);
	}
}

/* A killed writer can leave half a line at the end, never in the middle: it is ignored, since its step was not taken
 * yet. */
static int read_journal(struct state *state, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	cleanup_free char *text = NULL;
	size_t length;
	int r = file_read(state->journal, STATE_LIMIT, &text, &length, &problem);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_move(err, &problem);
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		cleanup_json json_t *entry = json_loadb(line, (size_t)(end - line), 0, NULL);

		if (!entry)
			return error_set(err, EBADMSG, "%s is damaged: \"%.*s\"", state->journal, (int)(end - line),
					 line);
		fold(state, entry);
	}
	return 0;
}

static int read_state(struct state *state, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	cleanup_json json_t *json = NULL;
	json_t *resources;
	int r = json_read_file(state->file, STATE_LIMIT, &json, &problem);

	if (r == -ENOENT) {
		state->resources = json_object();
		return 0;
	}
	if (r < 0)
		return error_move(err, &problem);
	resources = json_object_get(json, "resources");
	if (strcmp(json_get_string(json, "schema", ""), STATE_SCHEMA) != 0 || !json_is_object(resources))
		return error_set(err, EBADMSG, "%s was not written by this version of nestvisor", state->file);
	state->resources = json_incref(resources);
	return 0;
}

/* Which state.json it is: a writer that compacts puts another in its place before it empties the journal. */
static struct stat identity_of(const char *file)
{
	struct stat st = {0};

	return stat(file, &st) == 0 ? st : (struct stat){0};
}

static bool same_file(const struct stat *one, const struct stat *other)
{
	return one->st_ino == other->st_ino && one->st_mtim.tv_sec == other->st_mtim.tv_sec &&
	       one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

/* Both files as they belong together, also beside a writer: those who only look hold no lock. */
static int read_both(struct state *state, struct error **err)
{
	for (;;) {
		struct stat before = identity_of(state->file), after;
		int r = read_state(state, err);

		if (r == 0)
			r = read_journal(state, err);
		after = identity_of(state->file);
		if (r < 0 || same_file(&before, &after))
			return r;
		json_decref(state->resources);
		state->resources = NULL;
		json_object_clear(state->open_steps);
	}
}

static char *join_open_steps(const struct state *state)
{
	struct strbuf names = {0};
	const char *name;
	json_t *value;

	json_object_foreach (state->open_steps, name, value)
		strbuf_printf(&names, "%s%s", names.length ? ", " : "", name);
	return names.length ? strbuf_steal(&names) : NULL;
}

int state_open(const char *run_dir, struct state **ret, struct error **err)
{
	struct state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		abort();
	pthread_mutex_init(&state->mutex, NULL);
	state->file = path_in(run_dir, "state.json");
	state->journal = path_in(run_dir, "journal");
	state->journal_fd = -1;
	state->open_steps = json_object();
	r = read_both(state, err);
	if (r < 0) {
		error_hint(err, r == -EACCES || r == -EPERM
					? "run nestvisor as root"
					: "take the lab down and up again: its state can be rebuilt");
		state_close(state);
		return r;
	}
	state->interrupted = join_open_steps(state);
	*ret = state;
	return 0;
}

void state_close(struct state *state)
{
	if (!state)
		return;
	if (state->journal_fd >= 0)
		close(state->journal_fd);
	json_decref(state->resources);
	json_decref(state->open_steps);
	pthread_mutex_destroy(&state->mutex);
	free(state->interrupted);
	free(state->file);
	free(state->journal);
	free(state);
}

/* Cuts off the half line that a killed writer may have left, so that ours does not grow onto it. */
static int open_journal(struct state *state, struct error **err)
{
	struct stat st;
	char last;

	state->journal_fd = open(state->journal, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (state->journal_fd < 0 || fstat(state->journal_fd, &st) < 0)
		return error_errno(err, errno, "cannot open the journal %s", state->journal);
	while (st.st_size > 0 && pread(state->journal_fd, &last, 1, st.st_size - 1) == 1 && last != '\n')
		st.st_size--;
	if (ftruncate(state->journal_fd, st.st_size) < 0)
		return error_errno(err, errno, "cannot mend the journal %s", state->journal);
	return 0;
}

static int append(struct state *state, const char *verb, const char *step, const char *resource, const json_t *value,
		  struct error **err)
{
	cleanup_json json_t *line = json_pack("{s:s, s:s*, s:O*}", verb, step, "resource", resource, "value", value);
	cleanup_free char *text = json_text(line);
	size_t length = strlen(text);
	int r = 0;

	text[length] = '\n'; /* instead of the NUL: one write(2), so a line is there or not */
	pthread_mutex_lock(&state->mutex);
	if (state->journal_fd < 0)
		r = open_journal(state, err);
	if (r == 0 && write(state->journal_fd, text, length + 1) != (ssize_t)length + 1)
		r = error_errno(err, errno ? errno : ENOSPC, "cannot write the journal %s", state->journal);
	if (r == 0)
		fold(state, line);
	pthread_mutex_unlock(&state->mutex);
	return r;
}

int state_begin(struct state *state, const char *step, const char *resource, const json_t *value, struct error **err)
{
	return append(state, "begin", step, resource, value, err);
}

int state_done(struct state *state, const char *step, const char *resource, const json_t *value, struct error **err)
{
	return append(state, "done", step, resource, value, err);
}

int state_put(struct state *state, const char *resource, const json_t *value, struct error **err)
{
	return append(state, "put", "", resource, value, err);
}

void state_recall(struct state *state, const char *resource, const json_t *value)
{
	pthread_mutex_lock(&state->mutex);
	json_object_set_new(state->resources, resource, json_deep_copy(value));
	pthread_mutex_unlock(&state->mutex);
}

int state_compact(struct state *state, struct error **err)
{
	cleanup_json json_t *json = NULL;
	int r;

	pthread_mutex_lock(&state->mutex);
	json = json_pack("{s:s, s:O}", "schema", STATE_SCHEMA, "resources", state->resources);
	r = json_write_file(state->file, json, err);
	if (r == 0 && state->journal_fd >= 0 && ftruncate(state->journal_fd, 0) < 0)
		r = error_errno(err, errno, "cannot empty the journal %s", state->journal);
	if (r == 0 && state->journal_fd < 0 && unlink(state->journal) < 0 && errno != ENOENT)
		r = error_errno(err, errno, "cannot empty the journal %s", state->journal);
	json_object_clear(state->open_steps);
	pthread_mutex_unlock(&state->mutex);
	return r;
}

json_t *state_get(struct state *state, const char *resource)
{
	json_t *value;

	pthread_mutex_lock(&state->mutex);
	value = json_object_get(state->resources, resource);
	pthread_mutex_unlock(&state->mutex);
	return value;
}

json_t *state_resources(struct state *state)
{
	json_t *copy;

	pthread_mutex_lock(&state->mutex);
	copy = json_copy(state->resources);
	pthread_mutex_unlock(&state->mutex);
	return copy;
}

const char *state_interrupted(const struct state *state)
{
	return state->interrupted;
}
