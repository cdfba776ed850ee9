/*
 * Why a packet does not arrive, and the smallest set of changes with which it does.
 *
 * The interpreter is asked; where the packet ends, the cause has a few candidate changes; with each the interpreter is
 * asked again, on the facts as they would be, until the packet arrives and, if wanted, its answer comes back. Fewer
 * changes are tried before more. What is found was therefore tried, not guessed.
 */
#ifndef NESTVISOR_VERIFY_REPAIR_H
#define NESTVISOR_VERIFY_REPAIR_H

#include "verify/change.h"
#include "verify/walk.h"

/* Something that keeps the packet, or its answer, from arriving. */
struct cause {
	const struct answer *answer; /* where it ends */
	const char *host;	     /* to blame: where it ends, or where it took the wrong way; NULL: unknown */
	bool reply;		     /* it is the answer that ends there */
	const char *what;	     /* one sentence */
	const struct origin *origin; /* of the rule, route or sysctl; NULL: none */
	const struct change *change; /* with which it gets further; NULL: none known */
};

/* Changes that would mend it, were they not forbidden. */
struct refusal {
	struct change **changes;
	size_t change_count;
	const char *why; /* "deny world → hv1: …" */
};

/* Who takes the packet at its end: that nobody listens is a remark and no verdict, since programs come and go. */
struct hearing {
	const struct stack_host *host;	 /* NULL: not known, or not asked of a port */
	const struct listener *listener; /* NULL: nobody listens there */
	const char *service;		 /* "22/tcp", at the end */
};

struct repair {
	const struct stack *stack;   /* as it is */
	const struct answer *answer; /* as it is */
	const struct answer *reply;  /* NULL: not asked, or the packet does not arrive */
	struct cause *causes;	     /* in the order in which they are met; none: it arrives */
	size_t cause_count;
	struct change **changes; /* the smallest set found; none where it arrives already, or nothing helps */
	size_t change_count;
	bool mended;				  /* with them it arrives, and so does its answer */
	const struct answer *after, *after_reply; /* with them */
	struct hearing hearing;			  /* where it arrives, or would with them */
	struct refusal *refusals;		  /* sets of changes that would do, and that the guard said no to */
	size_t refusal_count;
	/* Without assumptions: what is missing to know whether it arrives, and its answer comes back. None: it is
	 * known. */
	const struct assumption *missing;
	size_t missing_count;
	struct assumption *assumptions; /* of all questions asked on the way, each once */
	size_t assumption_count;
};

/* Says no to changes that make possible what must not be. */
struct repair_guard {
	/* `bundle`: as it would be with them. False: no, and *ret_why says what for; the arena's. */
	bool (*allows)(void *context, const struct bundle *bundle, struct arena *arena, const char **ret_why);
	void *context;
};

struct repair_input {
	const struct bundle *bundle;
	const struct question *question;
	const char *to; /* the host that is meant; NULL: whoever has the address, or the world */
	bool both;	/* its answer must come back, too */
	/* A packet from the internet that is meant for a host with a private address is sent to one that can be sent
	 * to, the question's destination, and passed on there to this one; no family: it is no such packet. */
	struct ip inner;
	const struct repair_guard *guard; /* NULL: all is allowed */
	const char *const *made;	  /* hosts that `nestvisor up` makes anew, up to NULL; NULL: none is known */
};

/* Everything lives in the arena. */
struct repair *repair_find(struct arena *arena, const struct repair_input *input);

#endif
