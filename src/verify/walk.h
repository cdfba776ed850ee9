/*
 * The interpreter: pushes one packet through a stack, step by step as the kernel does, and says where it ends and why.
 * It is the plain one of the two engines: what it does is meant to be read beside the kernel's sources.
 *
 * Where something is not known (a sysctl that was not captured, a rule that depends on a rate), it goes both ways. If
 * all ways end alike, what is not known does not matter; if not, the verdict is unknown, and `missing` says what would
 * tell. With WALK_ASSUME the usual is taken instead, and stands among the assumptions.
 *
 * What of a firewall was not captured at all is taken for nothing, and always stands among the assumptions.
 */
#ifndef NESTVISOR_VERIFY_WALK_H
#define NESTVISOR_VERIFY_WALK_H

#include "verify/packet.h"
#include "verify/stack.h"

#include <stddef.h>

enum question_state {
	STATE_NEW,
	STATE_ESTABLISHED,
	STATE_RELATED, /* an ICMP error about a connection */
	STATE_INVALID,
};

struct question {
	struct stack_host *at;
	struct stack_link *iif;	    /* where it arrives; NULL: the host itself sends it */
	struct stack_link *in_port; /* of a bridge `iif`: the port it came in by; NULL: not said */
	bool bridged;		    /* the frame is for another port of that bridge */
	struct packet packet;	    /* a source address of none: the one the host would take */
	enum question_state state;
	/* Of established ones: the first packet of its connection, and where that began. NULL: the packet itself is one
	 * of the original direction. */
	const struct question *first;
	bool reply; /* it goes in the other direction than `first` */
};

enum fate {
	FATE_OPEN, /* not decided yet */
	FATE_DELIVERED,
	FATE_REJECTED, /* dropped by a rule, with an answer */
	FATE_DROPPED,  /* by a rule or a policy */
	FATE_LOST,     /* by anything else: `reason` */
	FATE_UNKNOWN,  /* see `missing` */
};

enum lost_reason {
	LOST_NOT,
	LOST_NO_ROUTE,
	LOST_BLACKHOLE_ROUTE,
	LOST_UNREACHABLE_ROUTE,
	LOST_PROHIBIT_ROUTE,
	LOST_RP_FILTER,
	LOST_MARTIAN_LOCALNET,	      /* 127.0.0.0/8 from outside */
	LOST_MARTIAN_SOURCE_IS_LOCAL, /* the host's own address from outside */
	LOST_MARTIAN_SOURCE,
	LOST_MARTIAN_DESTINATION,
	LOST_FORWARDING_OFF,
	LOST_NO_NEIGHBOUR,
	LOST_LINK_DOWN,
	LOST_NO_SOURCE,	 /* locally sent with an address the host has not */
	LOST_NOT_OURS,	 /* a frame for another MAC */
	LOST_NO_PORT,	 /* no port of the bridge leads there */
	LOST_ISOLATED,	 /* both ports are isolated */
	LOST_LINK_LOCAL, /* link-local addresses are not forwarded */
	LOST_LOOP,	 /* time to live exceeded */
	LOST_NO_NAT_ADDRESS,
	LOST_NO_NAT_PORT,     /* another connection has been translated to the same */
	LOST_SEVERAL_SENT_ON, /* multicast and broadcast are not followed over routers */
	LOST_REASON_COUNT,
};

enum step_kind {
	STEP_ARRIVE, /* at an interface */
	STEP_SEND,   /* by the host itself */
	STEP_RULE,   /* a rule matched and did something */
	STEP_POLICY, /* of a base chain */
	STEP_ROUTE,
	STEP_SOURCE_CHECK, /* rp_filter, martians */
	STEP_CONNECTION,   /* what connection tracking made of it */
	STEP_TRANSLATE,
	STEP_BRIDGE,
	STEP_NEIGHBOUR,
	STEP_LEAVE, /* by an interface */
	STEP_END,
};

/* Texts are for people; pointers are into the facts, NULL where there is none. */
struct step {
	enum step_kind kind;
	struct stack_host *host;
	enum hook hook; /* HOOK_NONE: between hooks */
	const struct stack_chain *chain;
	const struct rule *rule;
	const struct stack_link *link;
	const struct origin *origin; /* of the rule, chain, route or sysctl */
	const char *text;	     /* the rule, the route, as its source has it */
	const char *effect;	     /* "accept", "jump LIBVIRT_FWI", "dnat to 10.0.0.2:80", "via 10.0.0.1 dev eth0" */
};

/* Something that was not known, and either did not matter, or was taken for something. */
struct assumption {
	const char *text;
	const char *command; /* what would tell; NULL: nothing that could be captured */
	bool varies;	     /* it is so for one packet and otherwise for the next: a rate, chance, the time */
};

struct answer {
	enum fate fate;
	struct stack_host *where;
	struct ip source;		   /* the address it was sent from, where the host chose it */
	struct packet packet;		   /* as it was at its end */
	const struct stack_link *out;	   /* delivered to what was not captured: the interface it left by */
	const struct stack_link *out_port; /* the port, where that is a bridge */
	enum hook hook;
	const struct stack_chain *chain; /* that dropped or rejected it */
	const struct rule *rule;	 /* NULL: the chain's policy */
	const char *answered;		 /* what its sender is told: "icmp 3/3", "rst"; NULL: nothing */
	enum lost_reason reason;
	const char *reason_text;
	struct step *steps;
	size_t step_count;
	struct assumption *assumptions;
	size_t assumption_count;
	struct assumption *missing; /* of unknown ones */
	size_t missing_count;
	const struct answer *
		*ends; /* of unknown ones: of each way there is; none: there are others that were not followed */
	size_t end_count;
};

enum {
	WALK_ASSUME = 1, /* take what is usual for what is not known */
};

/* The answer lives in the arena. Never fails. */
struct answer *walk_ask(const struct stack *stack, const struct question *question, unsigned flags,
			struct arena *arena);
/* The way of the answer that the packet of a question gets where it is delivered; NULL: it is not. */
struct answer *walk_reply(const struct stack *stack, const struct question *question, unsigned flags,
			  struct arena *arena);

/* Did it come to the host that was meant? NULL: delivered anywhere will do. */
bool walk_arrived(const struct answer *answer, const struct stack_host *meant);
/* Is it sure that it does not, whatever was not captured? */
bool walk_astray(const struct answer *answer, const struct stack_host *meant);

const char *fate_word(enum fate fate);		       /* "delivered" */
const char *lost_reason_word(enum lost_reason reason); /* "rp_filter" */

#endif
