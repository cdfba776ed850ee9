/*
 * A fix goes through four stages, and a kill in any of them leaves what the next call can finish:
 *
 *   look     which actions are not done yet, and may they be done now? Nothing is changed, nothing written.
 *   record   copies of the files, then the journal, in a folder that counts from one rename on (fix_record.h).
 *   stage    every new text is written beside its file, so that a full disk is found before anything has changed.
 *   act      files are renamed into place and commands run, in order, each named in the journal before it begins.
 *
 * What does not come to its end is taken back in reverse order. A file is only touched then if it still is what the fix
 * made of it, known by its hash; what somebody else made of it since is theirs. A command that had begun is undone even
 * where nobody knows how far it came, so undo commands must bear that.
 *
 * Everybody who comes here holds the lock and first takes back what was left half done.
 */
#include "doctor/fix.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "doctor/fix_internal.h"
#include "doctor/fix_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_LIMIT = 16 << 20 };

void content_clear(struct content *content)
{
	free(content->data);
}

int content_read(const char *path, struct content *ret, struct error **err)
{
	cleanup_close int fd = -1;
	cleanup_error struct error *problem = NULL;
	int r;

	*ret = (struct content){};
	if (path[0] != '/')
		return error_set(err, EINVAL, "%s is no absolute path", path);
	r = file_open_regular(path, &fd, &problem);
	if (r == -ENOENT)
		return 0;
	if (r == -ELOOP)
		error_hint(&problem, "name the file that it leads to instead");
	if (r < 0)
		return error_move(err, &problem);
	ret->exists = true;
	return file_read_fd(fd, path, FILE_LIMIT, &ret->data, &ret->length, err);
}

bool content_is(const struct content *content, const char *text, size_t length)
{
	return content->exists && content->length == length &&
	       (length == 0 || memcmp(content->data, text, length) == 0);
}

bool content_has_hash(const struct content *content, const char *hash)
{
	char own[HASH_TEXT_SIZE];

	if (!content->exists || !hash)
		return !content->exists && !hash;
	hash_bytes(content->data, content->length, own);
	return strcmp(own, hash) == 0;
}

/* The argv, or the first line of what is shown for it. */
static void add_title(struct strbuf *out, const char *const *argv, const struct fix_command *more)
{
	if (!more->shown)
		fix_add_argv(out, argv);
	else
		strbuf_printf(out, "%.*s", (int)strcspn(more->shown, "\n"), more->shown);
}

static const char *last_line(char *text)
{
	size_t length = strlen(text);
	char *line;

	while (length > 0 && text[length - 1] == '\n')
		text[--length] = '\0';
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

/* -FIX_LEFT where it says so; -EHOSTDOWN where the host is gone. */
static int run(const char *const *argv, const struct fix_command *more, struct error **err)
{
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	const char *input = more->input ? more->input : "";
	cleanup_output struct process_output output = {};
	cleanup_strbuf struct strbuf line = {};
	int r = process_run(&spec, input, strlen(input), -1, NULL, &output, err);

	if (r == 0 && output.status != 0 && more->shown && *output.err)
		r = error_set(err, EIO, "%s", last_line(output.err));
	else if (r == 0 && output.status != 0)
		r = error_set(err, EIO, "%s failed with status %d: %s", argv[0], output.status, last_line(output.err));
	if (r < 0) {
		add_title(&line, argv, more);
		error_wrap(err, "%s", line.text);
	}
	if (r == -EIO && output.status == FIX_GONE)
		(*err)->code = EHOSTDOWN;
	return r == -EIO && output.status == FIX_LEFT ? -FIX_LEFT : r == -EIO && *err ? -(*err)->code : r;
}

/*
 * Look.
 */

int fix_is_done(const struct fix_action *action, bool *ret, struct error **err)
{
	cleanup_content struct content content = {};
	int r;

	*ret = false;
	if (action->kind == FIX_RUN) {
		*ret = action->done && process_must(action->done, NULL, NULL) == 0;
		return 0;
	}
	r = content_read(action->path, &content, err);
	*ret = r == 0 && content_is(&content, action->text, action->length);
	return r;
}

/* The actions that are to be taken: their indices in the fix. */
static int look(const struct fix *fix, size_t *ret, size_t *ret_count, struct error **err)
{
	*ret_count = 0;
	for (size_t i = 0; i < fix->action_count; i++) {
		bool done;
		int r = fix_is_done(&fix->actions[i], &done, err);

		if (r < 0)
			return r;
		if (!done)
			ret[(*ret_count)++] = i;
	}
	return 0;
}

static int check_safe(const struct fix *fix, const size_t *todo, size_t count, struct error **err)
{
	for (size_t i = 0; i < count; i++) {
		const struct fix_action *action = &fix->actions[todo[i]];
		cleanup_error struct error *problem = NULL;
		cleanup_strbuf struct strbuf line = {};

		if (!action->safe || process_must(action->safe, NULL, &problem) == 0)
			continue;
		fix_add_argv(&line, action->safe);
		return error_set(err, EBUSY, "not now: %s (asked by %s)", problem->message, line.text);
	}
	return 0;
}

/*
 * Record and stage.
 */

/* The folders above a path that are not there, outermost first. */
static void find_missing_folders(struct arena *arena, struct recorded_action *action)
{
	for (const char *slash = strchr(action->path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		const char *folder = arena_strndup(arena, action->path, (size_t)(slash - action->path));

		if (!file_exists(folder))
			*arena_push(arena, action->made, action->made_count) = folder;
	}
}

static const char **copy_argv(struct arena *arena, const char *const *argv)
{
	const char **copy = NULL;
	size_t count = 0;

	for (; argv && argv[count]; count++)
		continue;
	if (!argv)
		return NULL;
	copy = arena_alloc(arena, (count + 1) * sizeof(*copy));
	memcpy(copy, argv, count * sizeof(*copy));
	return copy;
}

static const char *hash_text_of(struct arena *arena, const char *data, size_t length)
{
	char hash[HASH_TEXT_SIZE];

	hash_bytes(data, length, hash);
	return arena_strdup(arena, hash);
}

static int prepare_action(struct record *record, size_t index, const struct fix_action *action,
			  struct record_text *ret_copy, struct error **err)
{
	struct recorded_action *recorded = &record->actions[index];
	cleanup_content struct content content = {};
	int r;

	*recorded = (struct recorded_action){.kind = action->kind};
	if (action->kind == FIX_RUN) {
		recorded->run = copy_argv(record->arena, action->run);
		recorded->undo = copy_argv(record->arena, action->undo);
		recorded->run_more = action->run_more;
		recorded->undo_more = action->undo_more;
		return 0;
	}
	r = content_read(action->path, &content, err);
	if (r < 0)
		return r;
	recorded->path = arena_strdup(record->arena, action->path);
	recorded->staged = record_staged_path(record, action->path);
	recorded->mode = action->mode ? action->mode : 0644;
	recorded->after = hash_text_of(record->arena, action->text, action->length);
	find_missing_folders(record->arena, recorded);
	if (!content.exists)
		return 0;
	recorded->before = hash_text_of(record->arena, content.data, content.length);
	recorded->copy = record_copy_path(record, index);
	*ret_copy = (struct record_text){arena_alloc(record->arena, content.length + 1), content.length};
	memcpy((char *)ret_copy->data, content.data, content.length);
	return 0;
}

static int put_on_record(struct records *records, const struct fix *fix, const size_t *todo, size_t count,
			 struct record **ret, struct error **err)
{
	struct record *record = record_new(records, fix);
	struct record_text *copies = arena_alloc(records->arena, count * sizeof(*copies));
	int r = 0;

	record->actions = arena_alloc(records->arena, count * sizeof(*record->actions));
	record->action_count = count;
	for (size_t i = 0; i < count && r == 0; i++)
		r = prepare_action(record, i, &fix->actions[todo[i]], &copies[i], err);
	if (r == 0)
		r = record_write(records, record, copies, err);
	*ret = record;
	return r;
}

static int stage(const struct recorded_action *action, const char *text, size_t length, struct error **err)
{
	int r = 0;

	for (size_t i = 0; i < action->made_count; i++)
		if (mkdir(action->made[i], 0755) < 0 && errno != EEXIST)
			return error_errno(err, errno, "cannot make the folder %s", action->made[i]);
	/* A leftover of the same name is ours: of a fix that was taken back by hand. */
	if (unlink(action->staged) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot remove %s", action->staged);
	r = file_write_like(action->staged, action->path, text, length, action->mode, err);
	for (size_t i = 0; i < action->made_count && r == 0; i++)
		r = dir_sync_parent(action->made[i], err);
	return r;
}

/*
 * Act.
 */

static int put_in_place(const struct recorded_action *action, const char *expected, struct error **err)
{
	cleanup_content struct content now = {};
	int r = content_read(action->path, &now, err);

	if (r < 0)
		return r;
	if (!content_has_hash(&now, expected))
		return error_set(err, EAGAIN, "%s was changed by somebody else at this very moment", action->path);
	if (rename(action->staged, action->path) < 0)
		return error_errno(err, errno, "cannot replace %s", action->path);
	return dir_sync_parent(action->path, err);
}

static int act(struct record *record, size_t index, struct reporter *reporter, struct error **err)
{
	const struct recorded_action *action = &record->actions[index];
	cleanup_strbuf struct strbuf line = {};
	int r = record_begin(record, index, err);

	if (r < 0)
		return r;
	if (action->kind == FIX_FILE) {
		report(reporter, REPORT_UPDATE, record->id, "writing %s", action->path);
		return put_in_place(action, action->before, err);
	}
	add_title(&line, (const char *const *)action->run, &action->run_more);
	report(reporter, REPORT_UPDATE, record->id, "%s", line.text);
	return run((const char *const *)action->run, &action->run_more, err);
}

/*
 * Take back.
 */

/* What the fix made of it is gone; *ret_left where somebody changed it since. */
static int restore_file(const struct recorded_action *action, bool *ret_left, struct error **err)
{
	cleanup_content struct content now = {}, old = {};
	int r = content_read(action->path, &now, err);

	if (r < 0 || content_has_hash(&now, action->before))
		return r;
	if (!content_has_hash(&now, action->after)) {
		*ret_left = true;
		return 0;
	}
	if (!action->copy) {
		if (unlink(action->path) < 0)
			return error_errno(err, errno, "cannot remove %s", action->path);
		return dir_sync_parent(action->path, err);
	}
	r = content_read(action->copy, &old, err);
	if (r == 0 && !content_has_hash(&old, action->before))
		r = error_set(err, EIO, "%s is not what it was when it was copied", action->copy);
	if (r == 0)
		r = stage(action, old.data, old.length, err);
	return r < 0 ? r : put_in_place(action, action->after, err);
}

static int take_back_file(const struct recorded_action *action, bool *ret_left, struct error **err)
{
	int r;

	if (unlink(action->staged) < 0 && errno != ENOENT && errno != ENOTDIR)
		return error_errno(err, errno, "cannot remove %s", action->staged);
	r = action->begun ? restore_file(action, ret_left, err) : 0;
	/* Folders go where nobody put anything else into them. */
	for (size_t i = action->made_count; i-- > 0 && r == 0;)
		if (rmdir(action->made[i]) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
			r = error_errno(err, errno, "cannot remove the folder %s", action->made[i]);
	return r;
}

static int run_back(const struct record *record, const struct recorded_action *action, struct reporter *reporter,
		    bool *ret_left, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	int r = run((const char *const *)action->undo, &action->undo_more, &problem);

	if (r == 0)
		return 0;
	if (r != -FIX_LEFT)
		return error_move(err, &problem);
	report(reporter, REPORT_WARNING, record->id, "%s", problem->message);
	*ret_left = true;
	return 0;
}

static int take_back_action(struct record *record, size_t index, struct reporter *reporter, bool *ret_left,
			    struct error **err)
{
	const struct recorded_action *action = &record->actions[index];
	bool left = false;
	int r = 0;

	if (action->undone)
		return 0;
	if (action->kind == FIX_FILE)
		r = take_back_file(action, &left, err);
	else if (action->begun && action->undo)
		r = run_back(record, action, reporter, &left, err);
	if (left && action->kind == FIX_RUN) {
		*ret_left = true;
	} else if (left) {
		*ret_left = true;
		report(reporter, REPORT_WARNING, record->id,
		       "%s was changed by somebody since: it is left as it is%s%s", action->path,
		       action->copy ? "; as it was before: " : "", action->copy ? action->copy : "");
	}
	/* A full disk keeps no one from undoing the rest: undoing twice does no harm. */
	if (r == 0)
		record_undone(record, index, NULL);
	return r;
}

static void hint_of_gone(const struct record *record, struct error **err)
{
	error_hint(err, "the next --undo tries again; where the host is gone for good, remove the record, %s",
		   record->folder);
}

/* In reverse order, and on after a failure: the more is back as it was, the better. The first failure is the error,
 * before any that is only of a host that is gone. */
static int take_back(struct record *record, struct reporter *reporter, struct error **err)
{
	cleanup_error struct error *first = NULL;
	bool left = false;
	int r = 0;

	if (record->applied)
		record_undo(record, NULL);
	for (size_t i = record->action_count; i-- > 0;) {
		cleanup_error struct error *problem = NULL;

		if (take_back_action(record, i, reporter, &left, &problem) < 0 &&
		    (!first || first->code == EHOSTDOWN)) {
			error_freep(&first);
			first = steal_pointer(&problem);
		}
	}
	if (first) {
		record->gone = first->code == EHOSTDOWN ? arena_strdup(record->arena, first->message) : NULL;
		r = error_move(err, &first);
		if (record->gone)
			hint_of_gone(record, err);
		else
			error_hint(err,
				   "what is missing is tried again by the next --fix or --undo; its record is in %s",
				   record->folder);
		return r;
	}
	/* Where something was left, its copy is the only one of what was there: the folder stays, as one that is over.
	 */
	return left ? record_leave(record, err) : record_remove(record, err);
}

/* Fixes that were stopped half way. What is left of one on a host that is gone is in nobody's way. */
static int recover(struct records *records, struct reporter *reporter, struct error **err)
{
	for (size_t i = 0; i < records->record_count; i++) {
		struct record *record = records->records[records->record_count - 1 - i];
		cleanup_error struct error *problem = NULL;
		int r;

		if (record->over || (record->applied && !record->undoing))
			continue;
		report(reporter, REPORT_WARNING, record->id,
		       record->undoing ? "an earlier fix was taken back only in part (%s): going on"
				       : "an earlier fix was stopped half way (%s): taking it back",
		       record->does);
		r = take_back(record, reporter, &problem);
		record->recovered = r == 0;
		if (r == -EHOSTDOWN) {
			report(reporter, REPORT_WARNING, record->id, "%s", problem->message);
			continue;
		}
		if (r < 0)
			error_move(err, &problem);
		if (r < 0)
			return error_wrap(err, "cannot take back what an earlier fix left half done (%s)",
					  record->does);
	}
	return 0;
}

static int open_and_recover(bool look_only, struct reporter *reporter, struct records **ret, struct error **err)
{
	int r = records_open(look_only, reporter, ret, err);

	return r < 0 ? r : recover(*ret, reporter, err);
}

int fix_recover(struct reporter *reporter, struct error **err)
{
	cleanup_records struct records *records = NULL;

	return open_and_recover(true, reporter, &records, err);
}

static int carry_out(const struct fix *fix, const size_t *todo, struct record *record, struct reporter *reporter,
		     struct error **err)
{
	int r = 0;

	for (size_t i = 0; i < record->action_count && r == 0; i++) {
		const struct fix_action *action = &fix->actions[todo[i]];

		if (action->kind == FIX_FILE)
			r = stage(&record->actions[i], action->text, action->length, err);
	}
	for (size_t i = 0; i < record->action_count && r == 0; i++)
		r = act(record, i, reporter, err);
	return r < 0 ? r : record_applied(record, err);
}

static int apply(struct records *records, const struct fix *fix, struct reporter *reporter, bool *ret_changed,
		 struct error **err)
{
	size_t *todo = arena_alloc(records->arena, (fix->action_count + 1) * sizeof(*todo)), count;
	cleanup_error struct error *problem = NULL, *worse = NULL;
	struct record *record = NULL;
	int r = look(fix, todo, &count, err);

	if (r < 0 || count == 0)
		return r;
	r = check_safe(fix, todo, count, err);
	if (r == 0)
		r = put_on_record(records, fix, todo, count, &record, err);
	if (r < 0)
		return r;
	report(reporter, REPORT_BEGIN, fix->id, "%s", fix->does);
	r = carry_out(fix, todo, record, reporter, &problem);
	*ret_changed = r == 0;
	if (r == 0) {
		report(reporter, REPORT_DONE, fix->id, "done");
		return 0;
	}
	if (take_back(record, reporter, &worse) < 0) {
		report(reporter, REPORT_FAILED, fix->id, "%s", worse->message);
		error_set(err, problem->code, "%s; and taking back what was done failed: %s", problem->message,
			  worse->message);
		error_hint(err, "%s", worse->hint);
		return r;
	}
	report(reporter, REPORT_FAILED, fix->id, "%s; all is as it was before", problem->message);
	return error_move(err, &problem);
}

int fix_apply(const struct fix *fix, struct reporter *reporter, bool *ret_changed, struct error **err)
{
	cleanup_records struct records *records = NULL;
	int r = open_and_recover(false, reporter, &records, err);

	*ret_changed = false;
	if (r == 0)
		r = apply(records, fix, reporter, ret_changed, err);
	return r < 0 ? error_wrap(err, "cannot %s", fix->does) : 0;
}

/*
 * Undo.
 */

/* Is one of its files not what the fix made of it? Nothing of such a fix is taken back. */
static int check_unchanged(const struct records *records, const struct record *record, struct error **err)
{
	for (size_t i = 0; i < record->action_count; i++) {
		const struct recorded_action *action = &record->actions[i];
		cleanup_content struct content now = {};
		int r;

		if (action->kind != FIX_FILE)
			continue;
		r = content_read(action->path, &now, err);
		if (r < 0)
			return r;
		if (content_has_hash(&now, action->after) || content_has_hash(&now, action->before))
			continue;
		r = error_set(err, EEXIST, "%s was changed since \"%s\": it is left as it is", action->path,
			      record->does);
		if (action->copy)
			error_hint(err, "as it was before: %s", action->copy);
		for (size_t j = 0; j < records->record_count; j++)
			for (size_t k = 0; k < records->records[j]->action_count; k++)
				if (records->records[j]->number > record->number &&
				    records->records[j]->actions[k].path &&
				    strcmp(records->records[j]->actions[k].path, action->path) == 0)
					return error_set(err, EEXIST,
							 "%s was changed since by \"%s\": take that back first",
							 action->path, records->records[j]->does);
		return r;
	}
	return 0;
}

int fix_undo(const char *id, struct reporter *reporter, size_t *ret_count, struct error **err)
{
	cleanup_records struct records *records = NULL;
	cleanup_error struct error *first = NULL;
	int r = open_and_recover(true, reporter, &records, err);

	*ret_count = 0;
	if (r < 0)
		return r;
	for (size_t i = records->record_count; i-- > 0;) {
		struct record *record = records->records[i];
		cleanup_error struct error *problem = NULL;

		if (id && strcmp(record->id, id) != 0)
			continue;
		if (record->recovered) {
			++*ret_count;
			report(reporter, REPORT_NOTE, record->id, "taken back: %s", record->does);
		}
		if (record->over)
			continue;
		if (record->gone) { /* it was just tried */
			r = error_set(&problem, EHOSTDOWN, "%s", record->gone);
			hint_of_gone(record, &problem);
		} else {
			r = check_unchanged(records, record, &problem);
		}
		if (r == 0)
			r = take_back(record, reporter, &problem);
		if (r == 0) {
			++*ret_count;
			report(reporter, REPORT_NOTE, record->id, "taken back: %s", record->does);
		} else {
			report(reporter, REPORT_WARNING, record->id, "%s", problem->message);
			if (!first)
				first = steal_pointer(&problem);
		}
	}
	return first ? error_move(err, &first) : 0;
}
