#include "driver/display.h"

#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "driver/qmp.h"
#include "driver/run_dir.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	ANSWER_MS = 10000,
	HOLD_MS = 20,	 /* how long a key is down */
	BETWEEN_MS = 45, /* from one to the next: QEMU lets go of it in a queue of its own, which is not to fill up */
	PNG_LIMIT = 64 << 20,
};

static int open_qmp(const char *run_dir, struct cancel *cancel, struct qmp **ret, struct error **err)
{
	cleanup_free char *path = in_dir(run_dir, "qmp");
	int r = qmp_open(path, ANSWER_MS, cancel, ret, err);

	if (r < 0)
		error_hint(err, "is the guest running? (nestvisor status)");
	return r;
}

static void hint_at_display(struct error **err)
{
	error_hint(err, "say display: true of it in the lab file, and nestvisor up; nestvisor console needs none");
}

int display_missing(const char *path, struct error **err)
{
	int r = error_set(err, ENODEV, "%s has no display", path);

	hint_at_display(err);
	return r;
}

/* Every guest that has a display has this socket. */
static int check_display(const char *run_dir, struct error **err)
{
	cleanup_free char *path = in_dir(run_dir, "vnc");
	int r;

	if (file_exists(path))
		return 0;
	r = error_set(err, ENODEV, "the guest does not run, or has no display");
	hint_at_display(err);
	return r;
}

int display_screenshot(const char *run_dir, struct cancel *cancel, char **ret_png, size_t *ret_length,
		       struct error **err)
{
	cleanup_qmp struct qmp *qmp = NULL;
	cleanup_free char *path = NULL;
	int r = check_display(run_dir, err);

	if (r == 0)
		r = open_qmp(run_dir, cancel, &qmp, err);
	if (r < 0)
		return r;
	/* QEMU writes the file, and takes no descriptor for it; two who ask at once are told apart by their processes.
	 */
	if (asprintf(&path, "%s/screen.%d.png", run_dir, getpid()) < 0)
		abort();
	r = qmp_execute(qmp, "screendump", json_pack("{s:s, s:s}", "filename", path, "format", "png"), ANSWER_MS,
			cancel, NULL, err);
	if (r == 0)
		r = file_read(path, PNG_LIMIT, ret_png, ret_length, err);
	unlink(path);
	return r;
}

static int press(struct qmp *qmp, const char *chord, struct cancel *cancel, struct error **err)
{
	json_t *keys = json_array();
	int r;

	for (const char *key = chord, *end; *key; key = *end ? end + 1 : end) {
		end = key + strcspn(key, "-");
		json_array_append_new(keys,
				      json_pack("{s:s, s:s%}", "type", "qcode", "data", key, (size_t)(end - key)));
	}
	r = qmp_execute(qmp, "send-key", json_pack("{s:o, s:i}", "keys", keys, "hold-time", HOLD_MS), ANSWER_MS, cancel,
			NULL, err);
	if (r == -EIO)
		error_hint(err, "keys are named as in QEMU's QKeyCode, such as ret, esc, f2, ctrl-alt-delete");
	return r;
}

int display_press(const char *run_dir, const char *const chords[], size_t count, struct cancel *cancel,
		  struct error **err)
{
	cleanup_qmp struct qmp *qmp = NULL;
	int r = check_display(run_dir, err);

	if (r == 0)
		r = open_qmp(run_dir, cancel, &qmp, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = press(qmp, chords[i], cancel, err);
		if (r == 0 && cancel_sleep(cancel, BETWEEN_MS) < 0)
			r = error_set(err, ECANCELED, "typing was stopped after %zu of %zu keys", i + 1, count);
	}
	return r;
}

/* What is neither a letter nor a digit, on a keyboard with the US layout. */
static const struct {
	char character;
	const char *chord;
} symbols[] = {
	{' ', "spc"},
	{'\n', "ret"},
	{'\t', "tab"},
	{'-', "minus"},
	{'=', "equal"},
	{'[', "bracket_left"},
	{']', "bracket_right"},
	{';', "semicolon"},
	{'\'', "apostrophe"},
	{'`', "grave_accent"},
	{'\\', "backslash"},
	{',', "comma"},
	{'.', "dot"},
	{'/', "slash"},
	{'!', "shift-1"},
	{'@', "shift-2"},
	{'#', "shift-3"},
	{'$', "shift-4"},
	{'%', "shift-5"},
	{'^', "shift-6"},
	{'&', "shift-7"},
	{'*', "shift-8"},
	{'(', "shift-9"},
	{')', "shift-0"},
	{'_', "shift-minus"},
	{'+', "shift-equal"},
	{'{', "shift-bracket_left"},
	{'}', "shift-bracket_right"},
	{':', "shift-semicolon"},
	{'"', "shift-apostrophe"},
	{'~', "shift-grave_accent"},
	{'|', "shift-backslash"},
	{'<', "shift-comma"},
	{'>', "shift-dot"},
	{'?', "shift-slash"},
};

static const char *chord_of(struct arena *arena, char character)
{
	if (islower((unsigned char)character) || isdigit((unsigned char)character))
		return arena_printf(arena, "%c", character);
	if (isupper((unsigned char)character))
		return arena_printf(arena, "shift-%c", tolower((unsigned char)character));
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		if (symbols[i].character == character)
			return symbols[i].chord;
	return NULL;
}

int display_chords(struct arena *arena, const char *text, const char *const **ret, size_t *ret_count,
		   struct error **err)
{
	size_t length = strlen(text);
	const char **chords = arena_alloc(arena, (length + 1) * sizeof(*chords));

	for (size_t i = 0; i < length; i++) {
		/* islower() and its like follow the locale for bytes beyond ASCII. */
		chords[i] = (unsigned char)text[i] < 0x80 ? chord_of(arena, text[i]) : NULL;
		if (!chords[i])
			return error_set(
				err, EINVAL,
				"character %zu of the text is not on a keyboard with the US layout, which the guest "
				"is taken to have",
				i + 1);
	}
	*ret = chords;
	*ret_count = length;
	return 0;
}
