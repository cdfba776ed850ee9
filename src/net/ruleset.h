/*
 * Tables in the kernel kept equal to a text: loaded by libnftables in one transaction, and compared with what was
 * loaded. See ruleset.c for how.
 */
#ifndef NESTVISOR_NET_RULESET_H
#define NESTVISOR_NET_RULESET_H

#include <stdbool.h>

struct error;

struct ruleset {
	int netns;		   /* where; -1: the thread's own namespace */
	const char *const *tables; /* "inet nestvisor", …, NULL at the end: all that the text makes */
	const char *record;	   /* the file that remembers what was loaded */
	bool shared;		   /* others have rules in this namespace, too */
};

/* Replaces the tables by those of the text, or makes them: at no moment is there half of either. */
int ruleset_load(const struct ruleset *set, const char *text, struct error **err);

/* Whether the kernel has what loading this text gives. */
int ruleset_check(const struct ruleset *set, const char *text, bool *ret_same, struct error **err);

/* What nft(8) would print for a command that only lists; freed by the caller. */
int ruleset_list(int netns, const char *command, char **ret, struct error **err);

/* Removes the tables that are there. */
int ruleset_remove(const struct ruleset *set, struct error **err);

#endif
