#include "config/spelling.h"

#include <string.h>

enum { LONGEST = 80, SHORTEST_START = 3, SAME_NAME = 100 };

static size_t least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * The optimal string alignment distance: letters added, left out, replaced, and neighbours swapped (the most common
 * slip of all, which Levenshtein's own distance counts twice). Three rows of the table are enough.
 */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t rows[3][LONGEST + 1];

	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above_that = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = least_of(replaced, least_of(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least_of(row[j], above_that[j - 2] + 1);
		}
	}
	return rows[a_length % 3][b_length];
}

/* How many slips a word of this length may have and still be recognized. */
static size_t most_slips(size_t length)
{
	return length <= 3 ? 1 : length < 8 ? 2 : length < 12 ? 3 : 4;
}

void spelling_try(struct spelling *spelling, const char *candidate)
{
	size_t length = strlen(spelling->word), other = strlen(candidate), limit = most_slips(length), distance;

	if (length > LONGEST || other > LONGEST || other + limit < length)
		return;
	if (length >= SHORTEST_START && length < other && strncmp(spelling->word, candidate, length) == 0)
		distance = limit; /* "mem" for "memory" */
	else if (length + limit < other)
		return;
	else
		distance = edit_distance(spelling->word, length, candidate, other);
	/* Nothing is meant by changing every letter of it. */
	if (distance > limit || distance >= length || (spelling->best && distance >= spelling->distance))
		return;
	spelling->best = candidate;
	spelling->distance = distance;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void spelling_try_path(struct spelling *spelling, const char *candidate)
{
	spelling_try(spelling, candidate);
	if (!spelling->best && strcmp(last_name(spelling->word), last_name(candidate)) == 0) {
		spelling->best = candidate;
		spelling->distance = SAME_NAME;
	}
}
