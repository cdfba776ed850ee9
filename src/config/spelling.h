/* "Did you mean": the nearest of some words to a misspelt one. */
#ifndef NESTVISOR_CONFIG_SPELLING_H
#define NESTVISOR_CONFIG_SPELLING_H

#include <stddef.h>

struct spelling {
	const char *word, *best; /* best: NULL where no word is near enough to be meant */
	size_t distance;
};

/* Tries one word: start with {.word = the misspelt one}. Of several equally near words the first is kept. */
void spelling_try(struct spelling *spelling, const char *candidate);

/*
 * The same for a path of a guest or network: also finds "hv1/win11" for "win11" and for "hv2/win11", if nothing is
 * nearer by its letters.
 */
void spelling_try_path(struct spelling *spelling, const char *candidate);

#endif
