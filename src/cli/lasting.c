/*
 * A file of a host goes through three hands: it is read there, what is to stand in it is put where it belongs here, and
 * a script there takes the new text on its standard input and renames it into place, if the file still is what was read
 * and the new one passes its check. Undo does the same with the old text, if the file still is what was made of it.
 */
#include "cli/lasting.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/diff.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "facts/ini.h"
#include "verify/lasting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_MOST = 9 };

/* A file of a host, as it is. */
struct there {
	const char *host, *path;
	bool exists;
	const char *text;
	const char *missing; /* the folders above it that are not there, as words for a shell, the deepest first */
};

/* Files as they will be once the steps so far are taken. */
struct foreseen {
	struct there *files;
	size_t count;
};

/* What is put together for one host and one form. */
struct placing_work {
	struct fixing *fixing;
	struct foreseen *foreseen;
	const struct permanent *permanent;
	struct there file;
	struct strbuf *out; /* the new text */
};

/* ---- reading ---- */

static int look_at(const struct fixing *fixing, const char *host, const char *path, struct there *ret,
		   struct error **err)
{
	static const char look[] =
		"d=${f%/*}; m=; while [ -n \"$d\" ] && [ ! -d \"$d\" ]; do m=\"$m $d\"; d=${d%/*}; done; echo \"$m\"; "
		"if [ -L \"$f\" ]; then echo link; elif [ ! -e \"$f\" ]; then echo none; elif [ -f \"$f\" ]; then echo "
		"file; cat \"$f\"; else echo other; fi";
	const char *said;
	size_t length;
	int r = fixing_look(fixing, host,
			    arena_printf(fixing->arena, "f=%s; %s", fixing_quote(fixing->arena, path), look), &said,
			    err);

	if (r < 0)
		return r;
	length = strcspn(said, "\n");
	*ret = (struct there){
		.host = host, .path = path, .text = "", .missing = arena_strndup(fixing->arena, said, length)};
	said += length + (said[length] == '\n');
	if (strcmp(said, "none\n") == 0)
		return 0;
	if (strncmp(said, "file\n", 5) != 0)
		return error_set(err, EINVAL, "%s of %s is no regular file: it is left as it is", path, host);
	ret->exists = true;
	ret->text = said + 5;
	return 0;
}

static struct there *find_foreseen(const struct placing_work *work, const char *host, const char *path)
{
	for (size_t i = 0; i < work->foreseen->count; i++)
		if (strcmp(work->foreseen->files[i].host, host) == 0 &&
		    strcmp(work->foreseen->files[i].path, path) == 0)
			return &work->foreseen->files[i];
	return NULL;
}

static int look_ahead(struct placing_work *work, const char *host, const char *path, struct error **err)
{
	const struct there *known = find_foreseen(work, host, path);

	if (!known)
		return look_at(work->fixing, host, path, &work->file, err);
	work->file = *known;
	return 0;
}

static void foresee(struct placing_work *work, const char *text)
{
	struct there *known = find_foreseen(work, work->file.host, work->file.path);

	if (!known)
		known = arena_push(work->fixing->arena, work->foreseen->files, work->foreseen->count);
	*known = (struct there){work->file.host, work->file.path, true, text, ""};
}

static bool holds(const struct fixing *fixing, const char *host, const char *test)
{
	const char *said;

	return !test ||
	       fixing_look(fixing, host, arena_printf(fixing->arena, "{ %s; } >/dev/null", test), &said, NULL) == 0;
}

/* ---- where it belongs ---- */

static void add_all(struct strbuf *out, const char *text)
{
	strbuf_add(out, text);
	if (out->length && out->text[out->length - 1] != '\n')
		strbuf_add_char(out, '\n');
}

static bool has_line(const char *text, const char *line, size_t length)
{
	while (*text) {
		size_t own = strcspn(text, "\n");

		if (own == length && memcmp(text, line, length) == 0)
			return true;
		text += own + (text[own] == '\n');
	}
	return false;
}

static int place_lines(struct placing_work *work, struct error **err __attribute__((unused)))
{
	const char *text = work->permanent->line ? work->permanent->line : work->permanent->text;
	bool section = work->permanent->line != NULL; /* it is one thing, not lines that stand for themselves */

	add_all(work->out, work->file.text);
	while (*text) {
		size_t length = strcspn(text, "\n");

		if (section || !has_line(work->file.text, text, length))
			strbuf_printf(work->out, "%.*s\n", (int)length, text);
		text += length + (text[length] == '\n');
	}
	return 0;
}

/* Where the last line that says anything is "exit 0", before it. */
static size_t end_of_script(const char *text)
{
	size_t length = strlen(text), start;

	while (length > 0 && strchr(" \t\n", text[length - 1]))
		length--;
	for (start = length; start > 0 && text[start - 1] != '\n';)
		start--;
	return length - start == 6 && strncmp(text + start, "exit 0", 6) == 0 ? start : strlen(text);
}

static int place_script(struct placing_work *work, struct error **err)
{
	const char *body = work->permanent->text, *old = work->file.text;
	size_t first = strcspn(old, "\n"), end = end_of_script(old);

	if (!work->file.exists || !*old) {
		strbuf_add(work->out, body);
		return 0;
	}
	if (strncmp(old, "#!", 2) != 0 || first < 3 || strncmp(old + first - 2, "sh", 2) != 0)
		return error_set(err, ENOTSUP, "%s of %s is no script of a shell: add to it by hand:\n%s",
				 work->file.path, work->file.host, body);
	body += strcspn(body, "\n") + 1; /* its #! */
	strbuf_printf(work->out, "%.*s", (int)end, old);
	if (end > 0 && old[end - 1] != '\n')
		strbuf_add_char(work->out, '\n');
	strbuf_printf(work->out, "%.*s%s", (int)end_of_script(body), body, old + end);
	return 0;
}

static int place_setting(struct placing_work *work, struct error **err)
{
	struct arena *arena = work->fixing->arena;
	struct ini *wanted, *file;
	const struct ini_item *item;
	const char *text;
	size_t length;
	int r = ini_parse(arena, INI_WSLCONF, work->permanent->text, strlen(work->permanent->text), &wanted, err);

	if (r == 0)
		r = ini_parse(arena, INI_WSLCONF, work->file.text, strlen(work->file.text), &file, err);
	item = r == 0 ? ini_find(wanted, "boot", "command") : NULL;
	if (r == 0 && !item)
		r = error_set(err, EINVAL, "there is no way to write this command into %s", work->file.path);
	if (r == 0)
		r = ini_set(file, "boot", "command", item->text, err);
	if (r < 0)
		return r;
	text = ini_encode(file, &length);
	strbuf_printf(work->out, "%.*s", (int)length, text);
	return 0;
}

static int no_such_file(const struct placing_work *work, struct error **err)
{
	return error_set(err, ENOENT, "%s keeps nothing in %s", work->file.host, work->file.path);
}

static int place_end(struct placing_work *work, struct error **err)
{
	if (!work->file.exists)
		return no_such_file(work, err);
	add_all(work->out, work->file.text);
	strbuf_add(work->out, work->permanent->text + strcspn(work->permanent->text, "\n") + 1);
	return 0;
}

/* "-A FORWARD …": the chain's name with what stands before it. */
static size_t chain_length(const char *line)
{
	return 3 + strcspn(line + 3, " \n") + 1;
}

/* Without the counters that `iptables-save -c` puts in front. */
static const char *rule_in(const char *line)
{
	return line[0] == '[' && strchr(line, ']') ? strchr(line, ']') + 1 + strspn(strchr(line, ']') + 1, " ") : line;
}

/* In front of the rule that it was tried in front of, else, where that is not there, of the first one of the chain. */
static int place_saved(struct placing_work *work, struct error **err)
{
	const struct permanent *permanent = work->permanent;
	const char *at = NULL, *first = NULL, *end = NULL;
	bool inside = false;

	if (!work->file.exists)
		return no_such_file(work, err);
	for (const char *line = work->file.text; *line;) {
		size_t length = strcspn(line, "\n");
		const char *rule = rule_in(line);

		if (line[0] == '*')
			inside = length - 1 == strlen(permanent->table) &&
				 strncmp(line + 1, permanent->table, length - 1) == 0;
		else if (inside && strncmp(line, "COMMIT", 6) == 0)
			end = line;
		else if (inside && permanent->before && !at &&
			 (size_t)(line + length - rule) == strlen(permanent->before) &&
			 strncmp(rule, permanent->before, strlen(permanent->before)) == 0)
			at = line;
		else if (inside && !first && strncmp(rule, permanent->line, chain_length(permanent->line)) == 0)
			first = line;
		line += length + (line[length] == '\n');
	}
	if (!at)
		at = permanent->before && first ? first : end;
	if (!at)
		return error_set(err, ENOENT, "%s of %s has no table %s", work->file.path, work->file.host,
				 permanent->table);
	strbuf_printf(work->out, "%.*s%s\n%s", (int)(at - work->file.text), work->file.text, permanent->line, at);
	return 0;
}

static int place_ufw(struct placing_work *work, struct error **err)
{
	const char *line = work->permanent->text;
	char *start = arena_printf(work->fixing->arena, "\n%.*s", (int)chain_length(line), line);
	const char *at = strstr(work->file.text, start);

	if (!at)
		return error_set(err, ENOENT, "%s of %s has no rule of the same chain to go in front of",
				 work->file.path, work->file.host);
	strbuf_printf(work->out, "%.*s%s%s", (int)(at + 1 - work->file.text), work->file.text, line, at + 1);
	return 0;
}

static int place_own(struct placing_work *work, struct error **err __attribute__((unused)))
{
	strbuf_add(work->out, work->permanent->text);
	return 0;
}

static int place(struct placing_work *work, struct error **err)
{
	switch (work->permanent->placing) {
	case PLACE_OWN:
		return place_own(work, err);
	case PLACE_LINES:
		return place_lines(work, err);
	case PLACE_SCRIPT:
		return place_script(work, err);
	case PLACE_SETTING:
		return place_setting(work, err);
	case PLACE_END:
		return place_end(work, err);
	case PLACE_SAVED:
		return place_saved(work, err);
	case PLACE_UFW:
		return place_ufw(work, err);
	case PLACE_COMMAND:
	case PLACE_NOWHERE:
		break;
	}
	return error_set(err, EINVAL, "a command has no file");
}

/* ---- writing ---- */

static const char *sum_of(struct arena *arena, bool exists, const char *text)
{
	char sum[HASH_TEXT_SIZE];

	hash_bytes(text, strlen(text), sum);
	return exists ? arena_strdup(arena, sum) : "none";
}

/* What both scripts begin with: $f the file, $t the new one beside it, $b and $a what it is before and after. */
static void begin_script(struct strbuf *out, struct arena *arena, const struct there *file, const char *before,
			 const char *after)
{
	strbuf_printf(
		out,
		"f=%s; t=\"$f.nestvisor-%.8s\"; b=%s; a=%s; "
		"s() { if [ -e \"$1\" ]; then sha256sum <\"$1\" | cut -d ' ' -f 1; else echo none; fi; }; "
		"put() { if [ -e \"$f\" ]; then cp -p \"$f\" \"$t\"; else : >\"$t\"; chmod \"$2\" \"$t\"; fi && cat "
		">\"$t\" && [ \"$(s \"$t\")\" = \"$1\" ]; }; n=$(s \"$f\"); ",
		fixing_quote(arena, file->path), after, before, after);
}

static const char *script_to_write(struct arena *arena, const struct permanent *permanent, const struct there *file,
				   const char *before, const char *after)
{
	cleanup_strbuf struct strbuf out = {0};

	begin_script(&out, arena, file, before, after);
	strbuf_add(&out,
		   "[ \"$n\" = \"$b\" ] || { echo \"$f was changed by somebody else at this very moment\" >&2; exit "
		   "1; }; mkdir -p \"${f%/*}\" && ");
	strbuf_printf(&out, "put \"$a\" %s", permanent->executable ? "755" : "644");
	if (permanent->check)
		strbuf_printf(&out, " && { set -- \"$t\"; %s; }", permanent->check);
	strbuf_add(&out, " && mv -f \"$t\" \"$f\"");
	if (permanent->then)
		strbuf_printf(&out, " && { set -- \"$f\"; %s; }", permanent->then);
	strbuf_add(&out, " || { rm -f \"$t\"; exit 1; }");
	return arena_strdup(arena, out.text);
}

static const char *script_to_restore(struct arena *arena, const struct permanent *permanent, const struct there *file,
				     const char *before, const char *after)
{
	cleanup_strbuf struct strbuf out = {0};

	begin_script(&out, arena, file, before, after);
	strbuf_add(&out, "rm -f \"$t\"; [ \"$n\" != \"$b\" ] || exit 0; ");
	strbuf_printf(&out,
		      "[ \"$n\" = \"$a\" ] || { echo \"$f was changed since: it is left as it is\" >&2; exit %d; }; ",
		      FIX_LEFT);
	if (permanent->undo && permanent->placing != PLACE_COMMAND)
		strbuf_printf(&out, "set -- \"$f\"; { %s; }; ", permanent->undo);
	if (file->exists)
		strbuf_add(&out, "put \"$b\" 644 && mv -f \"$t\" \"$f\" || { rm -f \"$t\"; exit 1; }");
	else
		strbuf_printf(&out, "rm -f \"$f\" || exit 1; for d in%s; do rmdir \"$d\" 2>/dev/null || break; done",
			      file->missing);
	return arena_strdup(arena, out.text);
}

static const char *difference(struct arena *arena, const struct there *file, const char *text, bool back)
{
	struct diff_side old = {file->exists ? file->path : "/dev/null", file->text, strlen(file->text)},
			 new = {file->path, text, strlen(text)};
	cleanup_strbuf struct strbuf out = {0};

	strbuf_printf(&out, "%s %s\n", back ? "put back" : "write", file->path);
	diff_unified(&out, back ? &new : &old, back ? &old : &new, DIFF_CONTEXT);
	if (out.length && out.text[out.length - 1] == '\n')
		out.text[--out.length] = '\0';
	return arena_strdup(arena, out.text);
}

static int add_file(struct placing_work *work, struct error **err)
{
	struct arena *arena = work->fixing->arena;
	const struct there *file = &work->file;
	const char *text = arena_strdup(arena, work->out->text ? work->out->text : ""),
		   *before = sum_of(arena, file->exists, file->text), *after = sum_of(arena, true, text);
	struct fixing_step step = {.host = file->host,
				   .run = script_to_write(arena, work->permanent, file, before, after),
				   .undo = script_to_restore(arena, work->permanent, file, before, after),
				   .input = text,
				   .undo_input = file->text,
				   .shown = difference(arena, file, text, false),
				   .undo_shown = difference(arena, file, text, true)};

	if (strcmp(before, after) == 0)
		return 0;
	foresee(work, text);
	return fixing_add(work->fixing, &step, err);
}

/* ---- one form ---- */

/* A file of nestvisor's own that holds something else already keeps it: another name is taken. */
static int choose_own(struct placing_work *work, const char *host, struct error **err)
{
	const char *path = work->permanent->file, *dot = strrchr(path, '.');
	struct arena *arena = work->fixing->arena;

	for (int i = 2; i <= NAMES_MOST; i++) {
		int r = look_ahead(work, host, path, err);

		if (r < 0 || !work->file.exists || strcmp(work->file.text, work->permanent->text) == 0)
			return r;
		path = arena_printf(arena, "%.*s-%d%s", (int)(dot - work->permanent->file), work->permanent->file, i,
				    dot);
	}
	return error_set(err, EEXIST, "%s of %s and all names like it are taken", work->permanent->file, host);
}

static int find_file(struct placing_work *work, const char *host, struct error **err)
{
	const struct permanent *permanent = work->permanent;
	const char *path = permanent->file;
	int r = 0;

	if (permanent->find) {
		r = fixing_look(work->fixing, host, permanent->find, &path, err);
		if (r == 0)
			path = arena_strndup(work->fixing->arena, path, strcspn(path, "\n"));
	}
	if (r < 0)
		return r;
	return permanent->placing == PLACE_OWN ? choose_own(work, host, err) : look_ahead(work, host, path, err);
}

static int carry_out(struct fixing *fixing, struct foreseen *foreseen, const char *host,
		     const struct permanent *permanent, struct error **err)
{
	cleanup_strbuf struct strbuf out = {0};
	struct placing_work work = {.fixing = fixing, .foreseen = foreseen, .permanent = permanent, .out = &out};
	struct fixing_step command = {.host = host,
				      .run = permanent->text,
				      .shown = permanent->text,
				      .undo = permanent->undo,
				      .undo_shown = permanent->undo};
	int r;

	if (permanent->placing == PLACE_COMMAND)
		return fixing_add(fixing, &command, err);
	r = find_file(&work, host, err);
	if (r == 0)
		r = place(&work, err);
	return r < 0 ? r : add_file(&work, err);
}

/* ---- all ---- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_form(const struct permanent *a, const struct permanent *b)
{
	return same_text(a->file, b->file) && same_text(a->text, b->text);
}

/* What has no file to go into there, or does not fit into it, is done by a unit of its own where there is systemd. */
static int by_service(struct fixing *fixing, struct foreseen *foreseen, const struct change *change, struct error **err)
{
	cleanup_error struct error *why = steal_pointer(err);
	struct permanent service = lasting_service(fixing->arena, fixing->bundle, change);

	if (holds(fixing, change->host, service.needs))
		return carry_out(fixing, foreseen, change->host, &service, err);
	error_set(err, ENOTSUP, "%s cannot be made to last on %s: %s", change->command, change->host,
		  why ? why->message : "nothing there is known that would do it at its start");
	error_hint(err, "without --permanent it holds until %s starts anew", change->host);
	return -ENOTSUP;
}

static bool is_known_file_problem(int r)
{
	return r == -ENOENT || r == -ENOTSUP || r == -EEXIST || r == -EINVAL;
}

/* The first of its ways that is one on that host; *ret NULL: none is. */
static int by_a_way(struct fixing *fixing, struct foreseen *foreseen, struct change *const *changes, size_t at,
		    const struct permanent **chosen, struct error **err)
{
	const struct change *change = changes[at];
	int r = -ENOENT;

	for (size_t i = 0; i < change->permanent_count && is_known_file_problem(r); i++) {
		if (!holds(fixing, change->host, change->permanent[i].needs))
			continue;
		chosen[at] = &change->permanent[i];
		for (size_t j = 0; j < at; j++)
			if (chosen[j] && strcmp(changes[j]->host, change->host) == 0 &&
			    same_form(chosen[j], chosen[at]))
				return 0; /* the file holds both */
		error_freep(err);
		r = carry_out(fixing, foreseen, change->host, chosen[at], err);
	}
	if (r < 0)
		chosen[at] = NULL;
	return r;
}

static int add_one(struct fixing *fixing, struct foreseen *foreseen, struct change *const *changes, size_t at,
		   const struct permanent **chosen, struct error **err)
{
	const struct change *change = changes[at];
	const char *what = hosts_explain(fixing->hosts, change->host);
	int r;

	if (what && strstr(what, "network")) {
		error_set(err, ENOTSUP, "%s, %s, is made anew at every start: nothing can be made to last there",
			  change->host, what);
		error_hint(err, "leave --permanent; what a lab's network lets through is said in the lab file");
		return -ENOTSUP;
	}
	if (change->permanent_count && change->permanent[0].placing == PLACE_NOWHERE)
		return error_set(err, ENOTSUP, "%s cannot be made to last on %s: %s", change->command, change->host,
				 change->permanent[0].text);
	r = by_a_way(fixing, foreseen, changes, at, chosen, err);
	return is_known_file_problem(r) ? by_service(fixing, foreseen, change, err) : r;
}

int lasting_add(struct fixing *fixing, struct change *const *changes, size_t count, struct error **err)
{
	const struct permanent **chosen = arena_alloc(fixing->arena, (count + 1) * sizeof(*chosen));
	struct foreseen foreseen = {0};
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = add_one(fixing, &foreseen, changes, i, chosen, err);
	return r;
}
