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

/* Some rules of a chain in a row, as one function. */
struct segment {
	struct segment *left, *right; /* NULL: it is one rule */
	size_t count;		      /* of its rules */
	diagram function;
	bool valid; /* is it the function of the rules as they are? */
};

/* Of one chain. */
struct segments {
	const struct stack_chain *chain;
	struct segment *root;	/* NULL: the chain has no rules */
	struct segment *unused; /* linked by `left` */
	diagram function;
	enum progress progress; /* of `function` */
};

/* Operations on outcomes that depend on more. */
enum chains_operation {
	CHAINS_THEN,	 /* with what was done before */
	CHAINS_EXCHANGE, /* from kinds of end, to kinds */
	CHAINS_MAY,	 /* kinds */
	CHAINS_MUST,
	CHAINS_COMES_TO, /* kind of end, effect */
	CHAINS_COMES_TO_ALONE,
	CHAINS_INTERESTING, /* kinds of end; none: undecided ones */
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
	struct segments *segments;	       /* by the chains' numbers */
	uint32_t then_id, guard_id, either_id; /* of operations on outcomes; no other chains of the space have them */
	unsigned depth;
	struct constant *constants;
	size_t constant_count;
};

/* The id of an operation: always the same, so that after one rule changed little is computed again. */
uint32_t chains_operation(const struct chains *chains, enum chains_operation operation, uint32_t a, uint32_t b);
/* The first function, and where it goes on, the second. */
diagram chains_then(struct chains *chains, diagram first, diagram second);
/* The second where the first holds, else on with the next rule. */
diagram chains_guard(struct chains *chains, struct bounds condition, diagram function);
/* The second for packets of the first; no packet else. */
diagram chains_only(struct chains *chains, pset set, diagram function);
diagram chains_either(struct chains *chains, diagram a, diagram b);

/* Ends of some kinds are of others instead: of each of these. */
diagram chains_exchange(struct chains *chains, diagram function, unsigned from, unsigned to);

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
struct segments *chains_segments(struct chains *chains, const struct stack_chain *chain);
/* The function of a segment, whose first rule is `first`. */
diagram chains_segment(struct chains *chains, const struct stack_chain *chain, struct segment *segment, size_t first);

/* The tree over a chain's rules; chain_tree.c. Those that change it give back its root. */
struct segment *segment_build(struct segments *segments, struct arena *arena, size_t count);
void segment_change(struct segment *segment, size_t rule);
struct segment *segment_insert(struct segments *segments, struct arena *arena, struct segment *segment, size_t rule);
struct segment *segment_remove(struct segments *segments, struct segment *segment, size_t rule);

/* Does a statement decide whether its rule goes on? */
bool statement_is_condition(const struct statement *statement);

#endif
