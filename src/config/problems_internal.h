/* Collecting what is wrong with a file: for the files of config/ alone. */
#ifndef NESTVISOR_CONFIG_PROBLEMS_INTERNAL_H
#define NESTVISOR_CONFIG_PROBLEMS_INTERNAL_H

#include "config/config.h"

/* A stretch of the file that a problem is about. */
struct spot {
	struct place place;
	unsigned width;
};

void problems_open(struct problems *problems, const char *file);

/* Adds one. Hints live as long as the problems (problems_text) or are constant; NULL: none. */
void problems_error(struct problems *problems, struct spot spot, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void problems_warning(struct problems *problems, struct spot spot, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* So many errors were reported that no further one is kept: no need to find out more. */
bool problems_enough(const struct problems *problems);

/* Text in the problems' arena. */
const char *problems_text(struct problems *problems, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A word of the file in double quotes, fit for a terminal: what is hidden is made visible, what is long is shortened.
 */
const char *problems_quote(struct problems *problems, const char *text);

/* "did you mean "x"?", or NULL where best is NULL. */
const char *problems_did_you_mean(struct problems *problems, const char *best);

/* Sorts, and keeps a copy of the file's text if there is anything to show of it. */
void problems_close(struct problems *problems, const char *text, size_t length);

#endif
