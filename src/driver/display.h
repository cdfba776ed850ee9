/* The screen and the keyboard of a guest that has a display, by QMP; the vnc socket (driver.h) needs nothing of this.
 */
#ifndef NESTVISOR_DRIVER_DISPLAY_H
#define NESTVISOR_DRIVER_DISPLAY_H

#include <stddef.h>

struct arena;
struct cancel;
struct error;

/* Sets -ENODEV: the guest of this path has no display, and how it gets one. */
int display_missing(const char *path, struct error **err);

/* The screen as it is now, as a PNG (screendump; QEMU 7.1). Freed by the caller. -ENODEV where it has no display. */
int display_screenshot(const char *run_dir, struct cancel *cancel, char **ret_png, size_t *ret_length,
		       struct error **err);

/*
 * Keys pressed together, by QEMU's names for them (qapi/ui.json, QKeyCode) joined by "-": "ctrl-alt-delete", "ret".
 * -EINVAL for a name that QEMU does not know.
 */
int display_press(const char *run_dir, const char *const chords[], size_t count, struct cancel *cancel,
		  struct error **err);

/*
 * The chords that make a text on a keyboard with the US layout, one per character; a new line is Enter. -EINVAL where
 * one is not on it. The list ends with NULL and lives in the arena, as do its words.
 */
int display_chords(struct arena *arena, const char *text, const char *const **ret, size_t *ret_count,
		   struct error **err);

#endif
