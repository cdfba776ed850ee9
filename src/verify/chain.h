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

/*
 * The facts of a chain were changed by their owner: one rule of it is another now, one was put in and is at `rule`, or
 * the one that was there is out. To be called once for each, in order, before anything else is asked. Functions got
 * before stay good, for the rules as they were; so what rules pointed to must stay, and another rule have statements of
 * its own. Of the functions asked for next only what a change touches is computed.
 */
void chains_rule_changed(struct chains *chains, const struct stack_chain *chain, size_t rule);
void chains_rule_added(struct chains *chains, const struct stack_chain *chain, size_t rule);
void chains_rule_removed(struct chains *chains, const struct stack_chain *chain, size_t rule);

/* The packets that may end in one of these ways, and those that do in any case; `kinds` are bits: END_BIT(). */
struct bounds chains_bounds(struct chains *chains, diagram function, unsigned kinds);

/* The packets that come to just this end, and to all that a function has of a kind (in the chains' arena). */
struct bounds chains_ending(struct chains *chains, diagram function, struct end end);
size_t chains_ends(struct chains *chains, diagram function, enum end_kind kind, struct end **ret);
/* What an effect makes of a set. */
pset chains_changed(struct chains *chains, pset set, effect done);
/* The packets that an effect makes some of the set. */
pset chains_unchanged(struct chains *chains, pset set, effect done);
/* All packets that go on from where a set got to, as what was done on the way left them. */
pset chains_going_on(struct chains *chains, diagram function, pset set);

/* A rule that packets of a set get to. */
struct met_rule {
	const struct stack_chain *chain;
	const struct rule *rule; /* NULL: the chain's policy */
	pset packets;		 /* those of the set, as they are there */
};
typedef void met_visitor(void *context, const struct met_rule *met);

/*
 * The rules by which packets of a set that enters a chain may end in one of these ways, each with those packets, in the
 * order in which they are met.
 */
void chains_deciding(struct chains *chains, const struct stack_chain *chain, pset set, unsigned kinds,
		     met_visitor *visitor, void *context);
/* The rules whose conditions cannot be decided for packets of the set, where that matters for what becomes of them. */
void chains_undecided(struct chains *chains, const struct stack_chain *chain, pset set, met_visitor *visitor,
		      void *context);

#endif
