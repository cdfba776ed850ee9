/*
 * What changes between two texts, line by line, as `diff -u` writes it. The smallest difference is found (E. W. Myers,
 * "An O(ND) Difference Algorithm and Its Variations", Algorithmica 1, 1986), unless the texts have so little in common
 * that looking for it does not pay: then all between the first and the last line that differ counts as replaced.
 */
#ifndef NESTVISOR_BASE_DIFF_H
#define NESTVISOR_BASE_DIFF_H

#include <stdbool.h>
#include <stddef.h>

struct strbuf;

struct diff_side {
	const char *name; /* what the header calls it: "/etc/wsl.conf", "/dev/null" where there is no file */
	const char *text;
	size_t length;
};

enum { DIFF_CONTEXT = 3 };

/*
 * Adds the unified difference, with `context` equal lines around each change: nothing where the two are equal, which is
 * said by false. Lines are added as they are: make them safe before a terminal sees them.
 */
bool diff_unified(struct strbuf *out, const struct diff_side *from, const struct diff_side *to, size_t context);

#endif
