/*
 * A hash from names to positions in an array of things that have names: so that looking for one among thousands (a
 * cluster's chains, a host's veths) takes no time. Within facts/ only.
 *
 * Arrays may be changed by whoever knows nothing of this, so an index says for how many things it was made; one that
 * does not fit its array must not be used.
 */
#ifndef NESTVISOR_FACTS_NAMES_H
#define NESTVISOR_FACTS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct names;

/* Notes the name of the thing at `position`, which is the next one: 0, 1, 2, …; *names may be NULL at first. */
void names_add(struct arena *arena, struct names **names, const char *name);
/* The first position of a name. False: there is none. */
bool names_find(const struct names *names, const char *name, size_t *ret);
/* Was the index made for that many things? Not where it is NULL. */
bool names_fit(const struct names *names, size_t count);

#endif
