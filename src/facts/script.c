#include "facts/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/*
 * Everything is inside of functions, so that a script which arrived only in part does nothing. grep is used for reading
 * files of the kernel because read(1) reads byte by byte, of which files under /proc/sys give only the first.
 */
static const char prologue[] =
	"LC_ALL=C; export LC_ALL; unset GREP_OPTIONS LS_COLORS LESS PAGER 2>/dev/null\n"
	"PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec; export PATH\n"
	/* Where an older busybox has another timeout, the first that needs it finds out. */
	"t() { if timeout 1 true 2>/dev/null; then t() { timeout 10 \"$@\"; }; else t() { \"$@\"; }; fi; "
	"t \"$@\"; }\n"
	"skip() { return 125; }; absent() { return 124; }\n"
	"b() { printf '\\n%s begin %s\\n' \"$T\" \"$1\"; printf '\\n%s %s\\n' \"$T\" \"$1\" >&2; }\n"
	"e() { printf '\\n%s end %s %s\\n' \"$T\" \"$1\" \"$2\"; }\n"
	"need() { command -v \"$2\" >/dev/null 2>&1 && return 0; printf '\\n%s missing %s %s\\n' \"$T\" \"$1\" \"$2\"; "
	"return 1; }\n"
	"any() { for f; do [ ! -e \"$f\" ] || return 0; done; return 1; }\n"
	"text() { r=124; for f; do if [ -e \"$f\" ]; then cat \"$f\"; r=$?; fi; done; return $r; }\n"
	"values() { ! any \"$@\" || grep -sH '' \"$@\"; return 0; }\n"
	"settings() { grep -sHvE '^[[:space:]]*([#;]|$)' \"$@\"; return 0; }\n"
	"tails() { r=124; for f; do [ ! -r \"$f\" ] || r=0; done; "
	"[ $r != 0 ] || tail -n 200 \"$@\" /dev/null 2>/dev/null; return $r; }\n"
	"modes() { ls -ld \"$@\" 2>&1; return 0; }\n";

static const char bounds[] =
	"t true; if head -c 1 </dev/null 2>/dev/null; then cap() { head -c \"$1\"; }; else cap() { cat; }; fi\n";

void script_word(char ret[SCRIPT_WORD_SIZE])
{
	uint64_t random[1];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		abort();
	snprintf(ret, SCRIPT_WORD_SIZE, "nestvisor-%016" PRIx64, random[0]);
}

bool selection_has(const struct selection *selection, const struct source *source)
{
	if (selection->only && strcmp(selection->only, source->name) != 0)
		return false;
	if (selection->commands && source->files)
		return false;
	if (source->flags & SOURCE_BATCH && !selection->unbounded)
		return false;
	return (source->flags & selection->with) == selection->with && !(source->flags & selection->without);
}

static const char *form_function(enum source_form form)
{
	switch (form) {
	case SOURCE_TEXT:
	case SOURCE_COMMAND:
		return "text";
	case SOURCE_VALUES:
		return "values";
	case SOURCE_SETTINGS:
		return "settings";
	case SOURCE_TAILS:
		return "tails";
	case SOURCE_MODES:
		return "modes";
	}
	abort();
}

/* What prints the source's content. */
static void write_body(struct strbuf *out, const struct source *source, bool way)
{
	if (!source->command)
		strbuf_printf(out, "%s %s", form_function(source->form),
			      way && source->way ? source->way : source->files);
	else if (source->files && source->program)
		strbuf_printf(out, "if command -v %s >/dev/null 2>&1; then { %s; } || text %s; else text %s; fi",
			      source->program, source->command, source->files, source->files);
	else
		strbuf_add(out, source->command);
}

/* Files that only the kernel writes are no longer than it likes. */
static bool is_short(const struct source *source)
{
	if (source->flags & SOURCE_SHORT)
		return true;
	if (source->command)
		return false;
	for (const char *path = source->files; path; path = strchr(path, ' ')) {
		path += *path == ' ';
		if (strncmp(path, "/proc/", 6) != 0 && strncmp(path, "/sys/", 5) != 0)
			return false;
	}
	return true;
}

/*
 * A process costs a tenth of a second in a guest of an emulated guest, so none is started for what is not there, nor to
 * bound what is short.
 */
static void write_source(struct strbuf *out, const struct source *source, bool unbounded)
{
	const char *name = source->name;
	bool bare = unbounded || is_short(source);
	bool needs = source->program && !source->files;
	bool files_only = !source->command && source->form != SOURCE_MODES;
	int none = source->form == SOURCE_TEXT || source->form == SOURCE_TAILS ? STATUS_ABSENT : 0;

	if (unbounded && source->flags & SOURCE_BATCHED)
		strbuf_add(out, "[ -z \"$B\" ] && ");
	if (needs)
		strbuf_printf(out, "need %s %s && {\n", name, source->program);
	strbuf_printf(out, "b %s\n", name);
	if (files_only && !bare)
		strbuf_printf(out, "if any %s; then\n", source->files);
	strbuf_add(out, "{ ");
	write_body(out, source, unbounded);
	strbuf_printf(out, "\ne %s $?; } </dev/null", name);
	if (!bare)
		strbuf_printf(out, " | cap %" PRIu64, (uint64_t)source->limit * 1024);
	strbuf_add_char(out, '\n');
	if (files_only && !bare)
		strbuf_printf(out, "else e %s %d; fi\n", name, none);
	if (needs)
		strbuf_add(out, "}\n");
}

void script_write(struct strbuf *out, const char *word, const struct selection *selection)
{
	size_t count;
	const struct source *sources = source_table(&count);

	strbuf_printf(out, "# From nestvisor: reads, and changes nothing.\nT=%s B=\n%s%smain() {\n", word, prologue,
		      selection->unbounded ? "" : bounds);
	for (size_t i = 0; i < count; i++)
		if (selection_has(selection, &sources[i]))
			write_source(out, &sources[i], selection->unbounded);
	strbuf_add(out, "printf '\\n%s done\\n' \"$T\"\n}\nmain\n");
}
