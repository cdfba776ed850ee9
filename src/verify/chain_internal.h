/* What the parts of chain.c share. */
#ifndef NESTVISOR_VERIFY_CHAIN_INTERNAL_H
#define NESTVISOR_VERIFY_CHAIN_INTERNAL_H

#include "verify/chain.h"

struct arena;

enum progress {
	NOT_BUILT,
	BUILDING,
	BUILT,
};

/* Of one chain: segments as in a heap, the root is 1; the leaves are its rules, filled up to a power of two. */
struct segments {
	const struct stack_chain *chain;
	diagram *functions;
	bool *valid;
	size_t leaves;
	diagram function;
	enum progress progress; /* of `function` */
};

/* A statement that takes its value from a map, as it is for one element of that. */
struct constant {
	const struct statement *from;
	const struct element *element;
	const struct statement *statement;
};

struct chains {
	struct space *space;
	const struct stack_host *host;
	struct match_scope scope;
	struct arena *arena;
	struct outcomes *outcomes;
	struct segments *segments;				      /* by the chains' numbers */
	uint32_t then_id, guard_id, either_id, go_on_id, accepted_id; /* of operations on outcomes */
	unsigned depth;
	struct constant *constants;
	size_t constant_count;
};

/* The first function, and where it goes on, the second. */
diagram chains_then(struct chains *chains, diagram first, diagram second);
/* The second where the first holds, else on with the next rule. */
diagram chains_guard(struct chains *chains, struct bounds condition, diagram function);
/* The second for packets of the first; no packet else. */
diagram chains_only(struct chains *chains, pset set, diagram function);
diagram chains_either(struct chains *chains, diagram a, diagram b);

/* What is done to packets on the way to ends of a kind, in all outcomes that a function leads to. */
struct effects {
	effect *items; /* in the chains' arena */
	size_t count;
};
struct effects chains_effects(const struct chains *chains, diagram function, enum end_kind kind);

/* The same outcome for all packets: either of these kinds. */
diagram chains_of_ends(struct chains *chains, unsigned kinds, effect done);
/* Not known, not even whether it goes on. */
diagram chains_anything(struct chains *chains);
/* Of one rule; chain_rule.c. */
diagram chains_of_rule(struct chains *chains, const struct stack_table *table, const struct rule *rule);
/* Of `count` rules from `first` on: segment `at` of the tree, which is 1 for all of them. */
diagram chains_segment(struct chains *chains, struct segments *segments, size_t at, size_t first, size_t count);
struct segments *chains_segments(struct chains *chains, const struct stack_chain *chain);
/* Does a statement decide whether its rule goes on? */
bool statement_is_condition(const struct statement *statement);

#endif
