/*
 * Chains as functions: for every packet what may become of it (outcome.h), computed from the rules of a host for all
 * packets at once. What is computed is kept: a chain is a balanced tree of segments, so that after one rule changed
 * only the segments that it is in are computed again, and those of the chains that call its chain.
 */
#ifndef NESTVISOR_VERIFY_CHAIN_H
#define NESTVISOR_VERIFY_CHAIN_H

#include "verify/match.h"
#include "verify/outcome.h"

struct chains;

/* The slice and the routing may be NULL; they, the host and the space must outlive the chains. */
struct chains *chains_new(struct space *space, const struct stack_host *host, const struct slice *slice,
			  const struct match_routing *routing);
void chains_free(struct chains *chains); /* NULL is fine */

static inline void chains_freep(struct chains **chains)
{
	chains_free(*chains);
}
#define cleanup_chains __attribute__((cleanup(chains_freep)))

struct outcomes *chains_outcomes(struct chains *chains);

/* A function to outcomes. Of a chain that is called: where it returns it goes on. Of a base chain: its policy there. */
diagram chains_function(struct chains *chains, const struct stack_chain *chain);
/* All base chains at a hook, one after the other: accepted only if all of them accept. */
diagram chains_hook(struct chains *chains, const struct stack_hook *hook);

/* One rule of the chain is another now (its facts were changed in place); the number of rules is the same. */
void chains_rule_changed(struct chains *chains, const struct stack_chain *chain, size_t rule);

/* The packets that may end in one of these ways, and those that do in any case; `kinds` are bits: END_BIT(). */
struct bounds chains_bounds(struct chains *chains, diagram function, unsigned kinds);

/*
 * Which rules decide what becomes of packets of a set that enters a chain: those that end the way of some of them, in
 * the order in which they are met. Also those that may or may not, whose conditions cannot be decided.
 */
struct deciding_rule {
	const struct stack_chain *chain;
	const struct rule *rule; /* NULL: the chain's policy */
	struct bounds packets;	 /* of the set, that it ends the way of */
	unsigned kinds;		 /* how */
};
struct deciding_rules {
	struct deciding_rule *items;
	size_t count, capacity;
};
void chains_deciding(struct chains *chains, const struct stack_chain *chain, pset set, struct deciding_rules *ret);
void deciding_rules_free(struct deciding_rules *rules);

/* The statements of a rule that cannot be decided for packets of the set, for people: "limit rate 5/second". */
size_t chains_undecided(struct chains *chains, const struct stack_chain *chain, const struct rule *rule, pset set,
			const struct statement ***ret);

#endif
