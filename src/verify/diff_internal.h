/* What the parts of diff_lab*.c share. */
#ifndef NESTVISOR_VERIFY_DIFF_INTERNAL_H
#define NESTVISOR_VERIFY_DIFF_INTERNAL_H

#include "verify/diff.h"

/* One question as it is in both stacks: before, and after. */
struct diff_asked {
	struct question questions[2]; /* the packets' source ports do not matter: all that hosts choose are asked */
	const struct stack_host *meant[2]; /* NULL: the world */
	bool from_world;
	bool any_port;
};

/* The symbolic engine over both, in one space. It is made when it is first asked. */
struct diff_sets;
struct diff_sets *diff_sets_new(const struct stack *before, const struct stack *after, size_t memory);
void diff_sets_free(struct diff_sets *sets); /* NULL is fine */

/*
 * A packet of the question of which the interpreter says that it gets through now and did not before (DIFF_OPENS), that
 * it does no longer (DIFF_CLOSES), or that it is not known of one of the two (DIFF_UNCLEAR). Its source is left to the
 * host where that chooses it. False: none was found.
 */
bool diff_sets_find(struct diff_sets *sets, const struct diff_asked *asked, enum diff_kind kind, struct packet *ret);

/* What the interpreter says of one packet in both: does it show a change of that kind? */
bool diff_shows(enum diff_kind kind, const struct answer *before, const struct answer *after,
		const struct stack_host *const meant[2]);

#endif
