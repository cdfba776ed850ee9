#include "doctor/mend.h"

#include "base/arena.h"
#include "doctor/checks.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fix *mend_new(struct examination *examination, struct finding *finding, const char *format, ...)
{
	struct fix *fix = arena_new_struct(examination->arena, struct fix);
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	fix->id = finding->check->id;
	fix->does = arena_strdup(examination->arena, text);
	free(text);
	finding->fix = fix;
	return fix;
}

static void add_action(struct examination *examination, struct fix *fix, const struct fix_action *action)
{
	struct fix_action *actions = (struct fix_action *)fix->actions;

	*arena_push(examination->arena, actions, fix->action_count) = *action;
	fix->actions = actions;
}

void mend_file(struct examination *examination, struct fix *fix, const char *path, const char *text)
{
	add_action(examination, fix,
		   &(struct fix_action){.kind = FIX_FILE,
					.path = arena_strdup(examination->arena, path),
					.text = arena_strdup(examination->arena, text),
					.length = strlen(text),
					.mode = 0644});
}

/* sh -c TEXT sh ARGUMENT: what a person would type, without having to quote the argument. */
static const char *const *shell(struct examination *examination, const char *text, const char *argument)
{
	const char **argv;

	if (!text)
		return NULL;
	argv = arena_alloc(examination->arena, 6 * sizeof(*argv));
	argv[0] = "sh";
	argv[1] = "-c";
	argv[2] = arena_strdup(examination->arena, text);
	if (argument) {
		argv[3] = "sh";
		argv[4] = arena_strdup(examination->arena, argument);
	}
	return argv;
}

void mend_run(struct examination *examination, struct fix *fix, const char *argument, const char *run, const char *undo,
	      const char *done, const char *safe)
{
	add_action(examination, fix,
		   &(struct fix_action){.kind = FIX_RUN,
					.run = shell(examination, run, argument),
					.undo = shell(examination, undo, argument),
					.done = shell(examination, done, argument),
					.safe = shell(examination, safe, argument)});
}

void mend_poke(struct examination *examination, struct fix *fix, const char *path, const char *value, const char *old)
{
	struct arena *arena = examination->arena;

	/* A choice shows itself in brackets: "always [madvise] never". */
	mend_run(examination, fix, path, arena_printf(arena, "echo %s > \"$1\"", value),
		 arena_printf(arena, "echo %s > \"$1\"", old),
		 arena_printf(arena, "grep -q -x -F -e '%s' \"$1\" || grep -q -F -e '[%s]' \"$1\"", value, value),
		 NULL);
}

void mend_module(struct examination *examination, struct finding *finding, const char *module)
{
	struct arena *arena = examination->arena;
	const char *file = arena_printf(arena, "/etc/modules-load.d/nestvisor-%s.conf", module);
	struct fix *fix;

	if (look_no_modules(finding->patient->facts)) {
		finding_remedy(
			examination, finding,
			"this kernel was built without loadable modules and has no %s: nothing can load it; boot a "
			"kernel that has it",
			module);
		return;
	}
	finding_remedy(examination, finding, "modprobe %s", module);
	finding_remedy(examination, finding, "echo %s > %s", module, file);
	fix = mend_new(examination, finding, "load %s, now and from the next boot on", module);
	/* busybox's modprobe -r fails where a module below this one stays in use. */
	mend_run(examination, fix, module, "modprobe \"$1\"", "modprobe -r \"$1\"; test ! -d \"/sys/module/$1\"",
		 "test -d \"/sys/module/$1\"", NULL);
	mend_file(examination, fix, file, arena_printf(arena, "%s\n", module));
}
