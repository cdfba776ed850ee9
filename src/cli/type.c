#include "apply/folders.h"
#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/target.h"
#include "driver/display.h"

#include <errno.h>
#include <string.h>

enum { TIMEOUT_MS = 600000 };

/* Text and keys become one list of chords here, which is handed down as it is. */
static int list_chords(struct invocation *inv, struct arena *arena, const char *const **ret, size_t *ret_count,
		       struct error **err)
{
	const char *text = invocation_operand(inv, 1);
	size_t count = 0, typed_count = 0, key_count;
	const char *const *keys = invocation_strings(inv, "key", &key_count), *const *typed = NULL;
	const char **all = NULL;
	int r = text ? display_chords(arena, text, &typed, &typed_count, err) : 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < typed_count; i++)
		*arena_push(arena, all, count) = typed[i];
	for (size_t i = 0; i < key_count; i++)
		*arena_push(arena, all, count) = keys[i];
	*ret = all;
	*ret_count = count;
	return 0;
}

static int deliver(struct invocation *inv, struct arena *arena, const struct lab *lab, const struct guest *target,
		   const char *const *chords, size_t count, struct error **err)
{
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	const char **options = NULL;
	size_t option_count = 0;
	struct folders folders;
	struct into_way way;
	int r = folders_of(arena, lab->name, &folders, err);

	for (size_t i = 0; i < count; i++) {
		*arena_push(arena, options, option_count) = "--key";
		*arena_push(arena, options, option_count) = chords[i];
	}
	*arena_push(arena, options, option_count) = NULL;
	if (r == 0)
		r = into_way(arena, lab, target, "type", options, NULL, &way, err);
	if (r == 0 && way.direct)
		return display_press(folders_guest(arena, &folders, target->name), chords, count, inv->cancel, err);
	if (r == 0)
		r = into_open(arena, &folders, lab, way.first, inv->cancel, &t, err);
	if (r == 0)
		r = transport_run(t, way.argv, NULL, 0, TIMEOUT_MS, inv->cancel, &output, err);
	if (r == 0 && output.status != 0)
		r = error_set(err, EIO, "%s", output.err_length ? output.err : "its host pressed no key");
	return r;
}

static int run(struct invocation *inv)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	const char *const *chords;
	const struct guest *target;
	size_t count;
	int status = target_lab(inv, NULL, &lab), r;

	if (status == EXIT_DONE)
		status = target_guest(inv, lab, invocation_operand(inv, 0), &target);
	if (status != EXIT_DONE)
		return status;
	r = list_chords(inv, arena, &chords, &count, &err);
	if (r == -EINVAL)
		return invocation_usage(inv, "%s", err->message);
	if (r == 0 && count == 0)
		return invocation_usage(inv, "say what to type: a TEXT, or --key");
	if (r == 0)
		r = deliver(inv, arena, lab, target, chords, count, &err);
	return r < 0 ? invocation_fail(inv, &err) : EXIT_DONE;
}

const struct command command_type = {
	.name = "type",
	.group = GROUP_INSIDE,
	.summary = "types on a guest's keyboard, at any depth",
	.description =
		"Presses the keys that make a text on a keyboard with the US layout, and then those of --key. It needs "
		"nothing inside the guest, so a boot menu or an installer can be answered, but a display: Windows "
		"guests "
		"have one, others with `display: true` in the lab file.",
	.operands = (const struct command_operand[]){{"GUEST", "a guest's path, such as hv1/win11", COMPLETE_GUEST},
						     {"TEXT", "what to type: ASCII; a new line is the Enter key",
						      COMPLETE_NONE, .optional = true},
						     {0}},
	.options = (const struct command_option[]){{"key", 'k', OPTION_STRING, "KEYS",
						    .help = "then press these together: ret, esc, f2, ctrl-alt-delete",
						    .repeated = true, .no_env = true},
						   {0}},
	.examples =
		(const struct command_example[]){{"nestvisor type hv1/win11 'hello' --key ret", "a line, and Enter"},
						 {"nestvisor type hv1/win11 -k ctrl-alt-delete", "to log in"},
						 {0}},
	.lab = true,
	.run = run,
};
