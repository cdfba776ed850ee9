/*
 * Tables in the kernel kept equal to a text: loaded by libnftables in one transaction, and compared with what was
 * loaded. See ruleset.c for how.
 */
#ifndef NESTVISOR_NET_RULESET_H
#define NESTVISOR_NET_RULESET_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct netlink;

struct ruleset {
	int netns;		   /* where; -1: the thread's own namespace */
	const char *const *tables; /* "inet nestvisor", …, NULL at the end: all that the text makes */
	const char *record;	   /* the file that remembers what was loaded */
	bool shared;		   /* others have rules in this namespace, too */
	struct netlink *filter;	   /* an open socket of the packet filter there, or NULL */
};

/*
 * Replaces the tables by those of the text, or makes them: at no moment is there half of either. `besides`: commands
 * for the same transaction that are not part of what is compared later; or NULL.
 */
int ruleset_load(const struct ruleset *set, const char *text, const char *besides, struct error **err);

/*
 * For whoever changes elements by a transaction of his own, in a namespace that is not shared. The first tells the
 * generation of the rules, which are those of the text: -ESTALE where they are not, or are not known to be. The second
 * notes that since that transaction, which made the generation this one, they are those of another text.
 */
int ruleset_generation(const struct ruleset *set, const char *text, uint32_t *ret);
int ruleset_note(const struct ruleset *set, const char *text, uint32_t generation, struct error **err);

/* Whether the kernel has what loading this text gives. */
int ruleset_check(const struct ruleset *set, const char *text, bool *ret_same, struct error **err);

/* What nft(8) would print for a command that only lists; freed by the caller. */
int ruleset_list(int netns, const char *command, char **ret, struct error **err);

/* Removes the tables that are there. */
int ruleset_remove(const struct ruleset *set, struct error **err);

#endif
