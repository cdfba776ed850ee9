#include "driver/libvirt_drift.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/diff.h"
#include "base/in_time.h"
#include "base/strbuf.h"

#include <stdlib.h>
#include <string.h>

enum { PHRASE_LENGTH = 240 }; /* of one change: more is cut off */

/* One child of <domain>, or of <devices> within it. */
struct section {
	const char *name; /* "memory", "interface" */
	const char *text; /* its lines, each ended by a newline */
	bool matched;
};

struct sections {
	struct section *list;
	size_t count;
};

static size_t indent_of(const char *line)
{
	return strspn(line, " ");
}

/* "  <memory unit='KiB'>": memory; empty for an end tag. */
static const char *name_of(struct arena *arena, const char *line)
{
	const char *start = line + indent_of(line);

	if (*start != '<' || start[1] == '/')
		return "";
	return arena_strndup(arena, start + 1, strcspn(start + 1, " />\n"));
}

/* What libvirt writes of its own accord into the dump of a machine while that runs. */
static const char *without_noise(struct arena *arena, const char *line)
{
	static const char *const states[] = {" state='connected'", " state='disconnected'"};

	if (strncmp(line + indent_of(line), "<alias ", 7) == 0)
		return "";
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		const char *at = strstr(line, "<target type='virtio'") ? strstr(line, states[i]) : NULL;

		if (at)
			return arena_printf(arena, "%.*s%s", (int)(at - line), line, at + strlen(states[i]));
	}
	return line;
}

/*
 * An element that an alias was all of is "<controller>" and "</controller>", and "<controller/>" without: so is what a
 * libvirtd that started anew knows of some devices. Returns whether the line was an end that is not needed.
 */
static bool close_empty(struct arena *arena, struct section *section, const char *line)
{
	size_t length = strlen(section->text), at = length ? length - 1 : 0;
	const char *last;

	if (strncmp(line + indent_of(line), "</", 2) != 0 || length < 2 || section->text[length - 2] != '>')
		return false;
	while (at > 0 && section->text[at - 1] != '\n')
		at--;
	last = section->text + at;
	if (indent_of(last) != indent_of(line) || strstr(last, "/>") || strstr(last, "</"))
		return false;
	section->text = arena_printf(arena, "%.*s/>\n", (int)length - 2, section->text);
	return true;
}

/* Whether a line begins a section: <domain> itself, a child of it, or a child of its <devices>. */
static bool begins_section(const char *line, const char *name, bool in_devices)
{
	size_t indent = indent_of(line);

	return *name && (indent == 0 || indent == 2 || (indent == 4 && in_devices));
}

static struct sections split(struct arena *arena, const char *xml, bool running)
{
	struct sections ret = {0};
	struct section *now = NULL;
	bool in_devices = false;

	while (*xml) {
		size_t length = strcspn(xml, "\n");
		const char *line = arena_strndup(arena, xml, length + (xml[length] == '\n')),
			   *name = name_of(arena, line);

		xml += strlen(line);
		if (indent_of(line) == 2 && strstr(line, "devices>") == line + (*name ? 3 : 4)) {
			in_devices = *name != '\0'; /* its end tag has no name */
			continue;
		}
		if (begins_section(line, name, in_devices)) {
			now = arena_push(arena, ret.list, ret.count);
			*now = (struct section){.name = name, .text = ""};
		}
		if (now && strncmp(line, "</domain>", 9) != 0 && !(running && close_empty(arena, now, line)))
			now->text = arena_printf(arena, "%s%s", now->text, running ? without_noise(arena, line) : line);
	}
	return ret;
}

static void match(struct sections *before, struct sections *after)
{
	for (size_t i = 0; i < before->count; i++)
		for (size_t j = 0; j < after->count && !before->list[i].matched; j++)
			if (!after->list[j].matched && strcmp(before->list[i].text, after->list[j].text) == 0)
				before->list[i].matched = after->list[j].matched = true;
}

/* Lines as words of one line. */
static void add_flat(struct strbuf *out, const char *text, size_t length)
{
	for (const char *end = text + length; text < end;) {
		size_t line = strcspn(text, "\n");

		line = line < (size_t)(end - text) ? line : (size_t)(end - text);
		if (line > indent_of(text))
			strbuf_printf(out, "%s%.*s", out->length ? " " : "", (int)(line - indent_of(text)),
				      text + indent_of(text));
		text += line + (line < (size_t)(end - text));
	}
}

static void add_change(struct arena *arena, struct libvirt_changes *changes, struct strbuf *phrase)
{
	bool is_long = phrase->length > PHRASE_LENGTH;
	size_t length = is_long ? PHRASE_LENGTH : phrase->length;

	while (is_long && length > 0 && ((unsigned char)phrase->text[length] & 0xc0) == 0x80) /* a whole character */
		length--;
	*arena_push(arena, changes->list, changes->count) =
		arena_printf(arena, "%.*s%s", (int)length, phrase->text, is_long ? " …" : "");
}

static void tell_one(struct arena *arena, const char *what, const char *text, struct libvirt_changes *changes)
{
	cleanup_strbuf struct strbuf phrase = {0};

	strbuf_add(&phrase, what);
	add_flat(&phrase, text, strlen(text));
	add_change(arena, changes, &phrase);
}

/* Of what differs between two sections the lines: "<source network='default'/> → <source network='lab'/>". */
static void tell_pair(struct arena *arena, const struct section *before, const struct section *after,
		      struct libvirt_changes *changes)
{
	const struct diff_side from = {"", before->text, strlen(before->text)},
			       to = {"", after->text, strlen(after->text)};
	cleanup_strbuf struct strbuf difference = {0}, was = {0}, is = {0}, phrase = {0};
	size_t line_count = 0;

	diff_unified(&difference, &from, &to, 0);
	for (const char *line = difference.text, *next; line && *line; line = next, line_count++) {
		size_t length = strcspn(line, "\n");

		next = line + length + (line[length] == '\n');
		if (line_count >= 2 && (*line == '-' || *line == '+')) /* behind the header's two */
			add_flat(*line == '-' ? &was : &is, line + 1, length - 1);
	}
	if (strchr(before->text, '\n') != strrchr(before->text, '\n')) /* one of several lines: whose? */
		strbuf_printf(&phrase, "%s: ", before->name);
	strbuf_printf(&phrase, "%s → %s", was.length ? was.text : "nothing", is.length ? is.text : "nothing");
	add_change(arena, changes, &phrase);
}

void libvirt_compare(struct arena *arena, const char *before, const char *after, bool running,
		     struct libvirt_changes *changes)
{
	struct sections was = split(arena, before, running), is = split(arena, after, running);

	match(&was, &is);
	for (size_t i = 0; i < was.count; i++) {
		struct section *other = NULL;

		if (was.list[i].matched)
			continue;
		for (size_t j = 0; j < is.count && !other; j++)
			if (!is.list[j].matched && strcmp(is.list[j].name, was.list[i].name) == 0)
				other = &is.list[j];
		if (other) {
			other->matched = true;
			tell_pair(arena, &was.list[i], other, changes);
		} else {
			tell_one(arena, "removed:", was.list[i].text, changes);
		}
	}
	for (size_t j = 0; j < is.count; j++)
		if (!is.list[j].matched)
			tell_one(arena, "added:", is.list[j].text, changes);
}

/* ─── in time ─── */

struct question {
	struct arena *arena;
	libvirt_ask *ask;
	const char **run_dirs;
	size_t count;
	struct guest_drift *answers;
};

static void question_free(void *data)
{
	struct question *question = data;

	arena_free(question->arena);
	free(question);
}

static struct question *question_new(libvirt_ask *ask, const char *const *run_dirs, size_t count)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		abort();
	*question = (struct question){.arena = arena_new(), .ask = ask, .count = count};
	question->run_dirs = arena_alloc(question->arena, (count + 1) * sizeof(*question->run_dirs));
	question->answers = arena_alloc(question->arena, (count + 1) * sizeof(*question->answers));
	for (size_t i = 0; i < count; i++)
		question->run_dirs[i] = arena_strdup(question->arena, run_dirs[i]);
	return question;
}

static void put_question(void *data)
{
	struct question *question = data;

	question->ask(question->arena, question->run_dirs, question->count, question->answers);
}

static struct guest_drift copy_drift(struct arena *arena, const struct guest_drift *from)
{
	const char **changes = arena_alloc(arena, (from->count + 1) * sizeof(*changes));
	struct guest_drift copy = *from;

	for (size_t i = 0; i < from->count; i++)
		changes[i] = arena_strdup(arena, from->changes[i]);
	copy.changes = changes;
	copy.unknown = from->unknown ? arena_strdup(arena, from->unknown) : NULL;
	return copy;
}

void libvirt_ask_in_time(libvirt_ask *ask, unsigned limit_ms, struct arena *arena, const char *const *run_dirs,
			 size_t count, struct guest_drift *ret)
{
	struct question *question = question_new(ask, run_dirs, count);

	if (!in_time(put_question, question, question_free, limit_ms)) {
		for (size_t i = 0; i < count; i++)
			ret[i] = (struct guest_drift){
				.unknown =
					arena_printf(arena, "libvirtd has not answered within %u s", limit_ms / 1000)};
		return;
	}
	for (size_t i = 0; i < count; i++)
		ret[i] = copy_drift(arena, &question->answers[i]);
	question_free(question);
}
