/* What the parts of repair share: trials (repair.c), what might help where one fails (candidates.c), and what is said
 * of it (cause.c). */
#ifndef NESTVISOR_VERIFY_REPAIR_INTERNAL_H
#define NESTVISOR_VERIFY_REPAIR_INTERNAL_H

#include "verify/repair.h"

enum {
	CHANGES_MAX = 8,
	CANDIDATES_MAX = 10,
};

/* The question, asked of the facts as they would be. */
struct trial {
	struct arena *arena;
	const struct bundle *bundle;
	struct stack *stack;
	struct question *question;
	struct answer *answer, *reply;
	const struct answer *failed; /* one of the two; NULL: all is well */
};

struct candidates {
	struct change *items[CANDIDATES_MAX]; /* the first one is the likeliest */
	size_t count;
};

void candidates_find(const struct trial *trial, struct candidates *ret);

/* Of a trial that failed. `change`: with which it got further; NULL: none. */
struct cause cause_of(const struct trial *trial, const struct change *change);

/* The last step of that kind in the host's present turn, which begins where the packet came in or was sent. */
const struct step *last_step(const struct answer *answer, enum step_kind kind);
/* Did a host send it out where it had come in? Then it did not belong where it went on. */
bool turned_back(const struct answer *answer);
/* The step that sent it the wrong way, on the host of the change where there is one. */
const struct step *wrong_turn(const struct answer *answer, const struct change *change);

#endif
