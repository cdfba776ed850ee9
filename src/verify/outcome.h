/*
 * What may become of a packet in a chain. What cannot be decided leaves several ends open, so an outcome is a set of
 * ends. Outcomes are numbers, for diagrams to lead to: equal sets are one number.
 */
#ifndef NESTVISOR_VERIFY_OUTCOME_H
#define NESTVISOR_VERIFY_OUTCOME_H

#include "facts/rule.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outcomes;

enum end_kind {
	END_CONTINUE, /* with the next rule */
	END_RETURN,   /* to the chain that this one was called from */
	END_ACCEPT,
	END_DROP,
	END_REJECT,
	END_ELSEWHERE, /* to a program, a local socket, another interface: not known what becomes of it */
	END_PENDING,   /* only while chains are put together */
	END_KIND_COUNT,
};

/* Some kinds of end, as bits. */
#define END_BIT(kind) (1u << (kind))

/* What was done to the packet on the way to an end: the statement done last, and what came before it. 0: nothing. */
typedef uint32_t effect;

struct end {
	enum end_kind kind;
	effect effect;
};

typedef uint32_t outcome;

enum {
	OUTCOME_CONTINUE, /* goes on, unchanged */
	OUTCOME_NOTHING,  /* no end: no packet gets there */
};

struct outcomes *outcomes_new(void);
void outcomes_free(struct outcomes *outcomes); /* NULL is fine */

outcome outcome_of(struct outcomes *outcomes, enum end_kind kind, effect effect);
outcome outcome_either(struct outcomes *outcomes, outcome a, outcome b);
/* The first, and in place of one of its ends the second, with what was done up to there. */
outcome outcome_then(struct outcomes *outcomes, outcome first, struct end end, outcome second);
/* All ends of some kinds are of another kind instead. */
outcome outcome_as(struct outcomes *outcomes, outcome a, unsigned kinds, enum end_kind kind);

/* Is there any outcome that goes on with a changed packet? */
bool outcomes_go_on_changed(const struct outcomes *outcomes);
/* The kinds of end that there are in any outcome, as bits. */
unsigned outcomes_kinds(const struct outcomes *outcomes);
/* Is there any outcome with ends of several kinds? */
bool outcomes_open(const struct outcomes *outcomes);

/* The kinds of its ends, as bits. */
unsigned outcome_kinds(const struct outcomes *outcomes, outcome a);
const struct end *outcome_ends(const struct outcomes *outcomes, outcome a, size_t *ret_count);

effect effect_of(struct outcomes *outcomes, effect before, const struct statement *statement);
const struct statement *effect_statement(const struct outcomes *outcomes, effect done, effect *ret_before);

#endif
