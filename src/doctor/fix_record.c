#include "doctor/fix_record.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/places.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { JOURNAL_LIMIT = 16 << 20, NUMBER_DIGITS = 6 };

/* An array of texts; NULL where one of them is no UTF-8, which JSON cannot hold. */
static json_t *texts_json(const char *const *texts, size_t count)
{
	json_t *json = json_array();

	for (size_t i = 0; i < count; i++)
		if (json_array_append_new(json, json_string(texts[i])) < 0) {
			json_decref(json);
			return NULL;
		}
	return json;
}

static json_t *argv_json(const char **argv)
{
	size_t count = 0;

	if (!argv)
		return json_null();
	while (argv[count])
		count++;
	return texts_json(argv, count);
}

static json_t *action_json(const struct recorded_action *action)
{
	if (action->kind == FIX_RUN)
		return json_pack("{s:o, s:o, s:s*, s:s*, s:s*, s:s*}", "run", argv_json(action->run), "undo",
				 argv_json(action->undo), "input", action->run_more.input, "shown",
				 action->run_more.shown, "undo_input", action->undo_more.input, "undo_shown",
				 action->undo_more.shown);
	return json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:i, s:o}", "file", action->path, "staged", action->staged,
			 "copy", action->copy ? strrchr(action->copy, '/') + 1 : NULL, "before", action->before,
			 "after", action->after, "mode", (int)action->mode, "made",
			 texts_json(action->made, action->made_count));
}

static json_t *record_json(const struct record *record)
{
	json_t *actions = json_array();

	for (size_t i = 0; i < record->action_count; i++)
		if (json_array_append_new(actions, action_json(&record->actions[i])) < 0) {
			json_decref(actions);
			return NULL;
		}
	return json_pack("{s:{s:s, s:s, s:o}}", "fix", "id", record->id, "does", record->does, "actions", actions);
}

static const char *read_text(struct arena *arena, const json_t *object, const char *key)
{
	const char *text = json_get_string(object, key, NULL);

	return text ? arena_strdup(arena, text) : NULL;
}

static const char **read_texts(struct arena *arena, const json_t *array, size_t *ret_count)
{
	size_t count = json_array_size(array);
	const char **texts;

	*ret_count = count;
	if (!json_is_array(array))
		return NULL;
	texts = arena_alloc(arena, (count + 1) * sizeof(*texts));
	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(array, i));

		texts[i] = arena_strdup(arena, text ? text : "");
	}
	return texts;
}

static bool read_action(struct record *record, const json_t *json, struct recorded_action *ret)
{
	const char *copy = json_get_string(json, "copy", NULL);
	size_t count;

	*ret = (struct recorded_action){.kind = json_object_get(json, "run") ? FIX_RUN : FIX_FILE};
	if (ret->kind == FIX_RUN) {
		ret->run = read_texts(record->arena, json_object_get(json, "run"), &count);
		ret->undo = read_texts(record->arena, json_object_get(json, "undo"), &count);
		ret->run_more = (struct fix_command){read_text(record->arena, json, "input"),
						     read_text(record->arena, json, "shown")};
		ret->undo_more = (struct fix_command){read_text(record->arena, json, "undo_input"),
						      read_text(record->arena, json, "undo_shown")};
		return ret->run && ret->run[0] && (!ret->undo || ret->undo[0]);
	}
	ret->path = read_text(record->arena, json, "file");
	ret->staged = read_text(record->arena, json, "staged");
	ret->copy = copy ? arena_printf(record->arena, "%s/%s", record->folder, copy) : NULL;
	ret->before = read_text(record->arena, json, "before");
	ret->after = read_text(record->arena, json, "after");
	ret->mode = (mode_t)json_get_integer(json, "mode", 0644);
	ret->made = read_texts(record->arena, json_object_get(json, "made"), &ret->made_count);
	return ret->path && ret->staged && ret->after && !ret->copy == !ret->before;
}

static bool read_fix(struct record *record, const json_t *fix)
{
	const json_t *actions = json_object_get(fix, "actions");

	record->id = read_text(record->arena, fix, "id");
	record->does = read_text(record->arena, fix, "does");
	record->action_count = json_array_size(actions);
	record->actions = arena_alloc(record->arena, (record->action_count + 1) * sizeof(*record->actions));
	for (size_t i = 0; i < record->action_count; i++)
		if (!read_action(record, json_array_get(actions, i), &record->actions[i]))
			return false;
	return record->id && record->does && json_is_array(actions);
}

static void fold(struct record *record, const json_t *line)
{
	long long begun = json_get_integer(line, "begin", -1), undone = json_get_integer(line, "undone", -1);

	if (begun >= 0 && (size_t)begun < record->action_count)
		record->actions[begun].begun = true;
	if (undone >= 0 && (size_t)undone < record->action_count)
		record->actions[undone].undone = true;
	record->applied = record->applied || json_object_get(line, "applied");
	record->undoing = record->undoing || json_object_get(line, "undo");
	record->over = record->over || json_object_get(line, "over");
}

/* A last line without its end was being written when the power went: its step was not taken yet. */
static int read_journal(struct record *record, struct error **err)
{
	cleanup_free char *data = NULL;
	size_t length, number = 0;
	char *line, *end;
	int r = file_read(record->journal, JOURNAL_LIMIT, &data, &length, err);

	if (r < 0)
		return r;
	for (line = data; (end = strchr(line, '\n')); line = end + 1) {
		cleanup_json json_t *json = NULL;
		bool fine;

		*end = '\0';
		r = json_parse(line, (size_t)(end - line), record->journal, &json, err);
		if (r < 0)
			return r;
		fine = number++ > 0 || read_fix(record, json_object_get(json, "fix"));
		if (!fine)
			break;
		fold(record, json);
	}
	return number > 0 && !end ? 0 : error_set(err, EINVAL, "%s is no journal of a fix", record->journal);
}

static struct record *add_record(struct records *records, unsigned number)
{
	struct record *record = arena_new_struct(records->arena, struct record);

	record->arena = records->arena;
	record->number = number;
	record->folder = arena_printf(records->arena, "%s/%0*u", records->folder, NUMBER_DIGITS, number);
	record->journal = arena_printf(records->arena, "%s/journal", record->folder);
	record->journal_fd = -1;
	*arena_push(records->arena, records->records, records->record_count) = record;
	return record;
}

static int by_number(const void *a, const void *b)
{
	const struct record *const *one = a, *const *other = b;

	return (*one)->number < (*other)->number ? -1 : (*one)->number > (*other)->number;
}

static int read_entry(struct records *records, const char *name, struct error **err)
{
	size_t length = strlen(name), digits = strspn(name, "0123456789");

	if (digits == NUMBER_DIGITS && (strcmp(name + digits, ".new") == 0 || strcmp(name + digits, ".old") == 0))
		return dir_remove(arena_printf(records->arena, "%s/%s", records->folder, name), err);
	if (digits != NUMBER_DIGITS || length != digits)
		return 0;
	return read_journal(add_record(records, (unsigned)strtoul(name, NULL, 10)), err);
}

static int read_all(struct records *records, struct error **err)
{
	cleanup_closedir DIR *dir = opendir(records->folder);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return error_errno(err, errno, "cannot read the folder %s", records->folder);
	while (r == 0 && (entry = readdir(dir)))
		r = read_entry(records, entry->d_name, err);
	if (r < 0) {
		error_hint(err, "if you do not want this fix to be taken back, remove its folder in %s",
			   records->folder);
		return r;
	}
	if (records->record_count > 0)
		qsort(records->records, records->record_count, sizeof(*records->records), by_number);
	return 0;
}

static int make_and_lock(struct records *records, struct reporter *reporter, struct error **err)
{
	int r = dir_make(records->folder, 0700, err);

	if (r == 0)
		r = file_lock(arena_printf(records->arena, "%s/lock", records->folder), "fix", 0, reporter, NULL,
			      &records->lock_fd, err);
	if (r == -EACCES)
		error_hint(err, "that is root's: run it as root");
	return r;
}

int records_open(bool look, struct reporter *reporter, struct records **ret, struct error **err)
{
	cleanup_records struct records *records = calloc(1, sizeof(*records));
	cleanup_free char *state = places_user_state();
	int r;

	if (!records)
		abort();
	records->lock_fd = -1;
	records->arena = arena_new();
	if (!state)
		return error_set(err, ENOENT, "there is no place to keep what a fix changes: HOME is not set");
	records->folder = arena_printf(records->arena, "%s/.fixes", state);
	if (!look || file_exists(records->folder)) {
		r = make_and_lock(records, reporter, err);
		if (r == 0)
			r = read_all(records, err);
		if (r < 0)
			return r;
	}
	*ret = steal_pointer(&records);
	return 0;
}

void records_close(struct records *records)
{
	if (!records)
		return;
	for (size_t i = 0; i < records->record_count; i++)
		if (records->records[i]->journal_fd >= 0)
			close(records->records[i]->journal_fd);
	if (records->lock_fd >= 0)
		close(records->lock_fd);
	arena_free(records->arena);
	free(records);
}

struct record *record_new(struct records *records, const struct fix *fix)
{
	unsigned last = records->record_count > 0 ? records->records[records->record_count - 1]->number : 0;
	struct record *record = add_record(records, last + 1);

	record->id = arena_strdup(records->arena, fix->id);
	record->does = arena_strdup(records->arena, fix->does);
	return record;
}

const char *record_copy_path(const struct record *record, size_t action)
{
	return arena_printf(record->arena, "%s/copy-%zu", record->folder, action);
}

const char *record_staged_path(const struct record *record, const char *path)
{
	return arena_printf(record->arena, "%s.nestvisor-%0*u", path, NUMBER_DIGITS, record->number);
}

/* All of a record in a folder that is not counted yet. */
static int fill(struct record *record, const char *folder, const struct record_text *copies, struct error **err)
{
	cleanup_json json_t *json = record_json(record);
	cleanup_free char *line = json ? json_text(json) : NULL;
	cleanup_free char *text = NULL;
	int r;

	/* jansson takes UTF-8 alone. */
	if (!line)
		return error_set(err, EILSEQ, "%s: a path or a command is no UTF-8", record->id);
	if (asprintf(&text, "%s\n", line) < 0)
		abort();
	r = dir_make(folder, 0700, err);
	for (size_t i = 0; i < record->action_count && r == 0; i++)
		if (copies[i].data)
			r = file_write_atomic(arena_printf(record->arena, "%s/copy-%zu", folder, i), copies[i].data,
					      copies[i].length, 0600, err);
	if (r == 0)
		r = file_write_atomic(arena_printf(record->arena, "%s/journal", folder), text, strlen(text), 0600, err);
	return r < 0 ? r : dir_sync(folder, err);
}

int record_write(struct records *records, struct record *record, const struct record_text *copies, struct error **err)
{
	const char *new = arena_printf(record->arena, "%s.new", record->folder);
	int r = fill(record, new, copies, err);

	if (r == 0 && rename(new, record->folder) < 0)
		r = error_errno(err, errno, "cannot rename %s", new);
	if (r == 0)
		r = dir_sync(records->folder, err);
	if (r < 0)
		dir_remove(new, NULL);
	return r;
}

/* Opens the journal behind its last whole line. */
static int open_journal(struct record *record, struct error **err)
{
	cleanup_close int fd = open(record->journal, O_RDWR | O_APPEND | O_CLOEXEC);
	cleanup_free char *data = NULL;
	size_t length;
	int r;

	if (fd < 0)
		return error_errno(err, errno, "cannot write %s", record->journal);
	r = file_read_fd(fd, record->journal, JOURNAL_LIMIT, &data, &length, err);
	if (r < 0)
		return r;
	while (length > 0 && data[length - 1] != '\n')
		length--;
	if (ftruncate(fd, (off_t)length) < 0)
		return error_errno(err, errno, "cannot write %s", record->journal);
	record->journal_fd = steal_fd(&fd);
	return 0;
}

static int append(struct record *record, const char *line, struct error **err)
{
	size_t length = strlen(line);
	ssize_t written;
	int r = record->journal_fd < 0 ? open_journal(record, err) : 0;

	if (r < 0)
		return r;
	written = write(record->journal_fd, line, length);
	if (written == (ssize_t)length && fdatasync(record->journal_fd) == 0)
		return 0;
	r = error_errno(err, written >= 0 && written < (ssize_t)length ? ENOSPC : errno, "cannot write %s",
			record->journal);
	/* Part of a line may be there: the next one is written behind the last whole line. */
	close(record->journal_fd);
	record->journal_fd = -1;
	return r;
}

int record_begin(struct record *record, size_t action, struct error **err)
{
	char line[48];
	int r;

	snprintf(line, sizeof(line), "{\"begin\": %zu}\n", action);
	r = append(record, line, err);
	record->actions[action].begun = r == 0;
	return r;
}

int record_undone(struct record *record, size_t action, struct error **err)
{
	char line[48];

	snprintf(line, sizeof(line), "{\"undone\": %zu}\n", action);
	record->actions[action].undone = true;
	return append(record, line, err);
}

int record_applied(struct record *record, struct error **err)
{
	int r = append(record, "{\"applied\": true}\n", err);

	record->applied = r == 0;
	return r;
}

int record_undo(struct record *record, struct error **err)
{
	int r = append(record, "{\"undo\": true}\n", err);

	record->undoing = r == 0;
	return r;
}

int record_leave(struct record *record, struct error **err)
{
	record->over = true;
	return append(record, "{\"over\": true}\n", err);
}

int record_remove(struct record *record, struct error **err)
{
	const char *old = arena_printf(record->arena, "%s.old", record->folder);
	int r;

	if (rename(record->folder, old) < 0)
		return error_errno(err, errno, "cannot rename %s", record->folder);
	record->over = true;
	r = dir_sync_parent(record->folder, err);
	return r < 0 ? r : dir_remove(old, err);
}
