/*
 * Whether a lab keeps what is promised of it: every line of its policy, and what follows from the rest of its file (a
 * guest that is cut reaches nothing outside, a sealed one nothing at all, a network without an uplink is left by
 * nobody, L0 reaches its guests). All packets are asked, by sets (spread.h), over the facts of all hosts as they are
 * now; one that breaks a promise is a witness only once the interpreter (walk.h) lets it through, too.
 *
 * docs/verify.md says what is modelled, what is not, and what a proof is worth.
 */
#ifndef NESTVISOR_VERIFY_POLICY_H
#define NESTVISOR_VERIFY_POLICY_H

#include "model/isolation.h"
#include "model/lab.h"
#include "verify/walk.h"

struct arena;
struct error;

enum promise_kind {
	PROMISE_ALLOW,	/* a line of the policy */
	PROMISE_DENY,	/* the same */
	PROMISE_CUT,	/* a guest reaches nothing outside the lab, names through a resolver included */
	PROMISE_STRICT, /* of the other guests only those that are cut, too */
	PROMISE_ALONE,	/* no other guest */
	PROMISE_SEALED, /* nothing in, nothing out */
	PROMISE_INSIDE, /* a network without an uplink: nothing that comes from its guests leaves it */
	PROMISE_ADMIN,	/* L0 reaches a guest */
};

struct promise {
	enum promise_kind kind;
	const char *text;
	const struct policy *line;     /* of the first two */
	const struct guest *guest;     /* of the others, but for */
	const struct network *network; /* PROMISE_INSIDE */
};

enum policy_result {
	POLICY_PROVED,
	POLICY_VIOLATED,
	POLICY_UNKNOWN,
	POLICY_SUSPENDED, /* allowed, but for as long as a guest is cut or sealed that was so at run time */
};

/* A packet that breaks a promise. */
struct policy_witness {
	const char *who; /* sends it: "hv1/a", "whoever has taken over hv1", "the world" */
	const struct question *question;
	struct packet packet;	     /* as it was sent */
	const struct answer *answer; /* its way, as the interpreter tells it */
	const struct stack_host *meant;
	const struct answer *back; /* it is the way of what answers it that breaks the promise; NULL: no */
	const struct stack_host *asker;
};

struct policy_verdict {
	const struct promise *promise;
	enum policy_result result;
	const char *why; /* of a violation, in one sentence; else NULL */
	const struct policy_witness
		*witness;		  /* of a violation; of what is unknown, a packet that it depends on; or NULL */
	const struct assumption *missing; /* of what is unknown: which facts, and how to get them */
	size_t missing_count;
	const struct guest *isolated; /* of what is allowed and does not hold: who is cut off; NULL: that is not why */
	enum world world;	      /* how */
	const char **guarantees;      /* of a violation by hosts taken over: what the others still stop */
	size_t guarantee_count;
};

struct policy_report {
	enum policy_result result; /* the worst; unknown is better than violated, and what is suspended is not bad */
	struct policy_verdict *verdicts;
	size_t verdict_count;
	const struct assumption *assumptions; /* of all of it, each once */
	size_t assumption_count;
	size_t checked; /* packets that the interpreter was asked about besides witnesses */
};

struct policy_input {
	const struct lab *lab;
	const struct isolation *isolation; /* what holds now */
	const struct stack *stack;	   /* hosts called as cli/collect.h calls them */
	size_t memory;			   /* bytes that sets of packets may take; 0: as much as is usual */
};

/* In the order of the file; then what is implied, guest by guest. In the arena. */
size_t policy_promises(const struct lab *lab, const struct isolation *isolation, struct arena *arena,
		       struct promise **ret);

/* Everything lives in the arena. -E2BIG: too large for the memory. */
int policy_verify(const struct policy_input *input, struct arena *arena, struct policy_report **ret,
		  struct error **err);

const char *policy_result_word(enum policy_result result); /* "proved" */

#endif
