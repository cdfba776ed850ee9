/*
 * What a rule's conditions mean, as sets of packets. What cannot be decided from a packet (rates, chance, payload, a
 * blanked MAC, fields that sets have not) gives two sets: the packets that may match and those that do match in any
 * case.
 */
#ifndef NESTVISOR_VERIFY_MATCH_H
#define NESTVISOR_VERIFY_MATCH_H

#include "verify/pset.h"

struct arena;

struct bounds {
	pset may, must; /* must is a part of may */
};

static inline struct bounds bounds_exactly(pset set)
{
	return (struct bounds){set, set};
}

static inline bool bounds_are_exact(struct bounds bounds)
{
	return bounds.may == bounds.must;
}

/* Nothing is known. */
#define BOUNDS_UNKNOWN ((struct bounds){PSET_FULL, PSET_EMPTY})

struct bounds bounds_and(struct space *space, struct bounds a, struct bounds b);
struct bounds bounds_or(struct space *space, struct bounds a, struct bounds b);
struct bounds bounds_not(struct space *space, struct bounds a);
struct bounds bounds_minus(struct space *space, struct bounds a, struct bounds b);
/* a, for packets that have what is asked: `exists`. */
struct bounds bounds_within(struct space *space, struct bounds a, struct bounds exists);

/*
 * A question about packets with certain values only: nothing depends on those fields then, and all sets become smaller.
 * With `ports`, the question is only about these destination ports, rising: others are as the next lower one of them
 * (or the first), so that sets tell apart no more than is asked for.
 */
struct slice {
	pset_fields fixed;
	struct packet_values values;
	const uint16_t *ports;
	size_t port_count;
};

/* What routing says, for `fib` and addrtype: see flow.h. NULL stands for: unknown. */
struct match_routing {
	struct bounds (*type)(void *context, const struct expr *fib, uint8_t route_type);
	struct bounds (*exists)(void *context, const struct expr *fib);
	struct bounds (*oif)(void *context, const struct expr *fib, struct interval names);
	void *context;
};

struct match_scope {
	struct space *space;
	struct arena *arena;
	const struct slice *slice; /* NULL: of all packets */
	const struct stack_table *table;
	const struct match_routing *routing;
	/* What the rule at hand says of the protocol by itself: see match_begin_rule(). */
	enum { PORTS_PERHAPS, PORTS_ALWAYS, PORTS_NEVER, PORTS_OF_SET, PORTS_OF_BITMAP } ports;
};

/* To be called before the conditions of a rule: many of them need not ask what another one of them asks. */
void match_begin_rule(struct match_scope *scope, const struct rule *rule);

/* Several at once, of which all must hold; as many fields as possible stand in one each. */
struct conditions {
	struct bounds items[64];
	size_t count;
};

/* Adds the packets for which a statement lets the rule go on. Statements that are no conditions add nothing. */
void match_statement(const struct match_scope *scope, const struct statement *statement, struct conditions *ret);
/* All together as one. Reorders them: the deepest are put together first, which is quickest. */
struct bounds conditions_all(struct space *space, struct conditions *conditions);
/* The deepest first; then those from *at on that begin with the same word, as one. Moves *at on. */
void conditions_sort(const struct space *space, struct conditions *conditions);
struct bounds conditions_next(struct space *space, const struct conditions *conditions, size_t *at);
void conditions_add(struct space *space, struct conditions *conditions, struct bounds bounds);

/* Those that an element of a set or map holds; `key` is what is looked up. */
struct bounds match_element(const struct match_scope *scope, const struct expr *key, const struct element *element);

/* The packets of a family, AF_INET or AF_INET6. */
struct bounds match_family(const struct match_scope *scope, uint8_t family);
/* The packets whose field has one of the values; a fixed field gives all or none. */
pset match_values(const struct match_scope *scope, struct pset_bits bits, const struct interval *intervals,
		  size_t count);

#endif
