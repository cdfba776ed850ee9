/* What a fix would do, and what taking it back would: as commands that a person types, and as differences of files. */
#include "doctor/fix.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/diff.h"
#include "base/strbuf.h"
#include "doctor/fix_internal.h"
#include "doctor/fix_record.h"
#include "facts/text.h"

#include <string.h>

static bool is_plain_word(const char *word)
{
	return *word &&
	       strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%") == strlen(word);
}

/* POSIX, XCU 2.2.2: between single quotes everything stands for itself but the quote. */
static void add_quoted(struct strbuf *out, const char *text, size_t length)
{
	strbuf_add_char(out, '\'');
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\'')
			strbuf_add(out, "'\\''");
		else
			strbuf_add_char(out, text[i]);
	}
	strbuf_add_char(out, '\'');
}

/* sh -c TEXT sh WORD: the text, with the word in the place of its "$1". */
static void add_script(struct strbuf *out, const char *text, const char *word)
{
	for (const char *at = text; *at;) {
		if (strncmp(at, "\"$1\"", 4) == 0 || strncmp(at, "$1", 2) == 0) {
			strbuf_add(out, word);
			at += *at == '"' ? 4 : 2;
		} else {
			strbuf_add_char(out, *at++);
		}
	}
}

void fix_add_argv(struct strbuf *out, const char *const *argv)
{
	if (strcmp(argv[0], "sh") == 0 && argv[1] && strcmp(argv[1], "-c") == 0 && argv[2] && argv[3] && argv[4] &&
	    !argv[5] && is_plain_word(argv[4])) {
		add_script(out, argv[2], argv[4]);
		return;
	}
	for (size_t i = 0; argv[i]; i++) {
		if (i > 0)
			strbuf_add_char(out, ' ');
		if (is_plain_word(argv[i]))
			strbuf_add(out, argv[i]);
		else
			add_quoted(out, argv[i], strlen(argv[i]));
	}
}

static bool is_printable(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 && text[i] != '\n')
			return false;
	return length > 0 && text[length - 1] == '\n';
}

/* A text in the format of printf(1): octal for what a line cannot show. */
static void add_printf_format(struct strbuf *out, const char *text, size_t length)
{
	cleanup_strbuf struct strbuf format = {};

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n' || c == '\r' || c == '\t')
			strbuf_printf(&format, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
		else if (c < 0x20 || c >= 0x7f)
			strbuf_printf(&format, "\\%03o", c);
		else if (c == '\\' || c == '%')
			strbuf_printf(&format, "%c%c", c, c);
		else
			strbuf_add_char(&format, (char)c);
	}
	add_quoted(out, format.text ? format.text : "", format.length);
}

/* printf '%s\n' 'a line' 'another' | tee FILE >/dev/null: tee, so that "sudo" can stand before it. */
static void add_file_command(struct strbuf *out, const struct fix_action *action)
{
	const char *paths[] = {action->path, NULL};

	strbuf_add(out, "printf ");
	if (is_printable(action->text, action->length)) {
		strbuf_add(out, "'%s\\n'");
		for (size_t at = 0; at < action->length;) {
			const char *start = action->text + at;
			size_t length = (size_t)((const char *)memchr(start, '\n', action->length - at) - start);

			strbuf_add_char(out, ' ');
			add_quoted(out, start, length);
			at += length + 1;
		}
	} else {
		add_printf_format(out, action->text, action->length);
	}
	strbuf_add(out, " | tee ");
	fix_add_argv(out, paths);
	strbuf_add(out, " >/dev/null\n");
}

void fix_commands(const struct fix *fix, struct strbuf *ret)
{
	for (size_t i = 0; i < fix->action_count; i++) {
		const struct fix_action *action = &fix->actions[i];

		if (action->kind == FIX_FILE) {
			add_file_command(ret, action);
		} else {
			fix_add_argv(ret, action->run);
			strbuf_add_char(ret, '\n');
		}
	}
}

/* UTF-16 and line ends of Windows are shown as plain text; where nothing but these changes, words say so. */
static void show_change(const char *path, const struct content *now, const struct content *then, struct strbuf *ret)
{
	cleanup_arena struct arena *arena = arena_new();
	struct diff_side from = {"/dev/null", "", 0}, to = {"/dev/null", "", 0};

	if (now->exists) {
		from.name = path;
		from.text = text_clean(arena, now->data, now->length, &from.length);
	}
	if (then->exists) {
		to.name = path;
		to.text = text_clean(arena, then->data, then->length, &to.length);
	}
	if (!diff_unified(ret, &from, &to, DIFF_CONTEXT))
		strbuf_printf(ret, "--- %s\n+++ %s\n(%s)\n", from.name, to.name,
			      now->exists && then->exists
				      ? "the lines stay as they are: only how they end or are encoded changes"
				      : "an empty file");
}

static int preview_file(const struct fix_action *action, struct strbuf *ret, struct error **err)
{
	cleanup_content struct content now = {};
	const struct content then = {true, (char *)action->text, action->length};
	int r = content_read(action->path, &now, err);

	if (r == 0 && !content_is(&now, action->text, action->length))
		show_change(action->path, &now, &then, ret);
	return r;
}

static void show_command(const char *const *argv, const struct fix_command *more, struct strbuf *ret)
{
	if (more->shown) {
		strbuf_printf(ret, "%s\n", more->shown);
		return;
	}
	strbuf_add(ret, "$ ");
	fix_add_argv(ret, argv);
	strbuf_add_char(ret, '\n');
}

int fix_preview(const struct fix *fix, struct strbuf *ret, struct error **err)
{
	for (size_t i = 0; i < fix->action_count; i++) {
		const struct fix_action *action = &fix->actions[i];
		bool done;
		int r = fix_is_done(action, &done, err);

		if (r == 0 && !done && action->kind == FIX_FILE)
			r = preview_file(action, ret, err);
		if (r < 0)
			return r;
		if (done || action->kind == FIX_FILE)
			continue;
		show_command(action->run, &action->run_more, ret);
	}
	return 0;
}

/* What a file will hold when the newer fixes are taken back. */
struct foreseen {
	const char *path;
	struct content content; /* the arena's */
};

struct foresight {
	struct arena *arena;
	struct foreseen *files;
	size_t count;
};

static int foresee(struct foresight *foresight, const char *path, struct foreseen **ret, struct error **err)
{
	cleanup_content struct content now = {};
	struct foreseen *file;
	int r;

	for (size_t i = 0; i < foresight->count; i++) {
		*ret = &foresight->files[i];
		if (strcmp((*ret)->path, path) == 0)
			return 0;
	}
	r = content_read(path, &now, err);
	if (r < 0)
		return r;
	file = arena_push(foresight->arena, foresight->files, foresight->count);
	*file = (struct foreseen){path, {now.exists, NULL, now.length}};
	if (now.exists)
		file->content.data = memcpy(arena_alloc(foresight->arena, now.length + 1), now.data, now.length);
	*ret = file;
	return 0;
}

static int preview_file_back(struct foresight *foresight, const struct recorded_action *action, struct strbuf *ret,
			     struct error **err)
{
	cleanup_content struct content old = {};
	struct foreseen *file;
	int r = foresee(foresight, action->path, &file, err);

	if (r < 0 || content_has_hash(&file->content, action->before))
		return r;
	if (action->copy)
		r = content_read(action->copy, &old, err);
	if (r < 0)
		return r;
	show_change(action->path, &file->content, &old, ret);
	file->content = (struct content){old.exists, NULL, old.length};
	if (old.exists)
		file->content.data = memcpy(arena_alloc(foresight->arena, old.length + 1), old.data, old.length);
	return 0;
}

/* The file that keeps a fix from being taken back; NULL: none. */
static int find_changed(struct foresight *foresight, const struct record *record, const char **ret, struct error **err)
{
	*ret = NULL;
	for (size_t i = 0; i < record->action_count; i++) {
		const struct recorded_action *action = &record->actions[i];
		struct foreseen *file;
		int r = action->kind == FIX_FILE ? foresee(foresight, action->path, &file, err) : 0;

		if (r < 0)
			return r;
		if (action->kind == FIX_FILE && !content_has_hash(&file->content, action->after) &&
		    !content_has_hash(&file->content, action->before))
			*ret = action->path;
	}
	return 0;
}

static int preview_back(struct foresight *foresight, const struct record *record, struct strbuf *ret,
			struct error **err)
{
	const char *changed;
	int r = find_changed(foresight, record, &changed, err);

	if (r < 0)
		return r;
	strbuf_printf(ret, "%s: take back: %s\n", record->id, record->does);
	if (changed) {
		strbuf_printf(ret, "(left as it is: %s was changed since)\n", changed);
		return 0;
	}
	for (size_t i = record->action_count; i-- > 0 && r == 0;) {
		const struct recorded_action *action = &record->actions[i];

		if (action->undone || !action->begun)
			continue;
		if (action->kind == FIX_FILE)
			r = preview_file_back(foresight, action, ret, err);
		else if (action->undo)
			show_command((const char *const *)action->undo, &action->undo_more, ret);
	}
	return r;
}

int fix_undo_preview(const char *id, struct strbuf *ret, struct error **err)
{
	cleanup_records struct records *records = NULL;
	struct foresight foresight = {};
	int r = records_open(true, NULL, &records, err);

	if (r < 0)
		return r;
	foresight.arena = records->arena;
	for (size_t i = records->record_count; i-- > 0 && r == 0;) {
		const struct record *record = records->records[i];
		bool half_done = !record->applied || record->undoing;

		/* What was stopped half way is taken back whoever comes. */
		if (!record->over && (half_done || !id || strcmp(record->id, id) == 0))
			r = preview_back(&foresight, record, ret, err);
	}
	return r;
}
