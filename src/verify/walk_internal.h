/* What the parts of the interpreter share: a walk, and a packet on one of its hosts. Within verify/ only. */
#ifndef NESTVISOR_VERIFY_WALK_INTERNAL_H
#define NESTVISOR_VERIFY_WALK_INTERNAL_H

#include "base/arena.h"
#include "verify/walk.h"

/*
 * Decisions that the facts do not make. A walk asks walk_decide(); which of the alternatives it gets is written in
 * `choices`, so that the same walk can be gone again with another choice (see explore.c).
 */
struct choice {
	unsigned taken, count;
	const char *usual; /* alternative 0, in words */
	struct assumption what;
};

enum { CHOICES_MAX = 64 };

/* A connection that a host tracks. */
struct flow {
	struct stack_host *host;
	struct tuple original, reply;
	bool seen_reply, related;
	bool confirmed;			    /* a packet of it passed a last hook of the host's (nf_conntrack_confirm) */
	bool begun_by_syn;		    /* of TCP; not in the middle, as tcp_loose allows */
	bool source_done, destination_done; /* translation was decided, be it none */
	bool source_nat, destination_nat;
	struct number mark;
};

enum tracked {
	TRACKED_NOT, /* not seen by connection tracking yet, or there is none */
	TRACKED_INVALID,
	TRACKED_UNTRACKED,
	TRACKED_NEW,
	TRACKED_ESTABLISHED,
	TRACKED_RELATED,
};

struct walk {
	const struct stack *stack;
	const struct question *question;
	unsigned flags;
	struct arena *arena;
	struct answer *answer;
	struct choice choices[CHOICES_MAX];
	size_t choice_count;
	size_t choice_given; /* how many of them are prescribed */
	struct flow **flows;
	size_t flow_count;
	bool rehearsal;	     /* an earlier packet, which is known to have passed: rules do not stop it */
	struct packet *left; /* the last packet of a rehearsal, as it left the host that the question is asked at */
	bool to_invalid;     /* connection tracking is to find the packet invalid, as the question says */
	unsigned hops;
};

/* What a route lookup found. */
enum fib_outcome {
	FIB_FOUND,
	FIB_NO_ROUTE,
	FIB_BLACKHOLE,
	FIB_UNREACHABLE,
	FIB_PROHIBIT,
	FIB_UNKNOWN, /* not captured; the walk has its verdict */
};

struct fib_found {
	enum fib_outcome outcome;
	uint8_t type; /* ROUTE_TYPE_* */
	const struct stack_route *route;
	const struct nexthop *nexthop;
	const struct stack_policy *policy;
	struct stack_link *link;
};

/* A packet on one host. */
struct hop {
	struct walk *walk;
	struct stack_host *host;
	struct packet packet;
	struct stack_link *iif;	    /* came in by; of locally sent ones NULL, then the loopback */
	struct stack_link *in_port; /* the bridge port below it */
	struct stack_link *out_port;
	bool sent_here;		/* by the host itself */
	enum fragment fragment; /* what the packet was before connection tracking put it together */
	bool looped;		/* on its way back in over the loopback */
	struct number mark;	/* unknown: a rule set it to what no packet shows */
	enum tracked tracked;
	bool reply; /* direction within the flow */
	struct flow *flow;
	struct fib_found route; /* where it goes; type 0: not decided yet */
	/* at the hook it is at */
	enum stack_family family;
	enum hook hook;
	struct stack_link *in, *out; /* as rules see them; NULL: none */
	bool brouted;		     /* taken from the bridge by broute: routed instead */
	bool bridge_info;	     /* br_netfilter keeps the ports for ip's rules (physdev) */
};

/* ---- the walk (explore.c, walk.c) ---- */

/* One of `count` alternatives; 0 is the usual one, in words: "1", "it matches". `command` as in struct assumption. */
#define WALK_VARIES "" /* in place of a command: see struct assumption */
unsigned walk_decide(struct walk *walk, unsigned count, const char *usual, const char *command, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void walk_assume(struct walk *walk, const char *command, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ends it. */
void walk_unknown(struct walk *walk, struct stack_host *host, const char *command, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
struct step *walk_step(struct hop *hop, enum step_kind kind);
void walk_lose(struct hop *hop, enum lost_reason reason, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define walk_text(walk, ...) arena_printf((walk)->arena, __VA_ARGS__)
static inline bool walk_ended(const struct walk *walk)
{
	return walk->answer->fate != FATE_OPEN;
}
/* The value of a sysctl, decided among 0 … count - 1 where it is not known; `usual` is taken first. */
uint64_t walk_sysctl(struct hop *hop, const struct stack_sysctl *sysctl, const char *name, uint64_t usual,
		     unsigned count);
/* Of one that hardly anybody ever changes: what every kernel begins with is assumed. */
uint64_t walk_sysctl_or(struct hop *hop, const struct stack_sysctl *sysctl, const char *name, uint64_t usual);

/* From one question to where it ends; explore.c goes it again with other choices. */
void walk_run(struct walk *walk);

/* ---- routing (fib.c) ---- */

struct fib_query {
	struct stack_host *host;
	uint8_t family;
	const struct ip *dst, *src;	    /* src may be NULL: any */
	const struct stack_link *iif, *oif; /* NULL: lo (locally sent), any */
	struct number mark;
	uint64_t tos;
	bool strict;			/* of IPv6: only by `oif` */
	const struct packet *transport; /* protocol and ports, for policy rules; NULL: none */
	bool swapped;			/* its ports are the other way round */
};
struct fib_found fib_lookup(struct walk *walk, const struct fib_query *query);
/* ROUTE_TYPE_* of an address by the local table; `link`: as if it were the only interface. */
uint8_t fib_address_type(struct stack_host *host, const struct ip *address, const struct stack_link *link);
/* Is the address one of the host's own, at whatever interface? */
bool fib_is_local(struct stack_host *host, const struct ip *address);
/* Behind hop->route: the next router, or the destination itself. */
const struct ip *fib_next_hop(const struct hop *hop);
/* The address that a host takes toward another where packets leave by `link` (source_address.c). */
struct ip fib_select_address(const struct stack_host *host, const struct stack_link *link, const struct ip *toward);
/* An arrived packet: sets hop->route, or ends the walk. */
bool fib_route_input(struct hop *hop);
/* One in a frame that a bridge may send on: in IPv6 what is only checked of packets that come up is not checked then.
 */
bool fib_route_frame(struct hop *hop);
/* One that is sent: first its source, where it has none, then its route. */
bool fib_choose_source(struct hop *hop);
bool fib_route_output(struct hop *hop);
bool fib_uses_link(const struct fib_found *found, const struct stack_link *link); /* one of its next hops does */
/* Would the route to the packet's source, or destination, leave by a link? As nftables' fib asks (nft_fib_ipv4.c). */
struct fib_found fib_reverse(struct hop *hop, uint8_t flags);

/* ---- connections (flow.c) ---- */

void flow_track(struct hop *hop);	 /* the conntrack hook */
bool flow_tracks(const struct hop *hop); /* does the host track this family? */
struct flow *flow_add(struct walk *walk, struct stack_host *host, const struct tuple *original);
/* Applies what was decided for the flow, at a hook. Gives the effect for people, or NULL: nothing changed. */
const char *flow_translate(struct hop *hop, bool source);

/* ---- rules (evaluate.c, chains.c, hooks.c) ---- */

enum ruling {
	RULING_CONTINUE, /* through the hook */
	RULING_STOP,	 /* the walk has its verdict */
};
enum ruling hook_run(struct hop *hop, enum stack_family family, enum hook hook, struct stack_link *in,
		     struct stack_link *out);
/*
 * The bridge family's chains at one of its hooks, with br_netfilter between them: first those of a priority below 0,
 * then it hands the packet to ip's hooks, then the others (enum nf_br_hook_priorities).
 */
enum ruling hook_run_bridge(struct hop *hop, enum hook hook, struct stack_link *in, struct stack_link *out, bool early);
enum ruling hook_run_device(struct hop *hop, const struct stack_hook *chains, enum hook hook, struct stack_link *link);

/* ---- links (segment.c) ---- */

/* Where a frame is going. */
struct target {
	struct stack_link *link;       /* the interface that takes it; NULL: nobody that was captured */
	bool outside;		       /* it may be somebody beyond what was captured */
	struct mac mac;		       /* its own, where known */
	const struct neighbour *fixed; /* a permanent entry of the sender that says so, wrongly; NULL: none */
};
/* Who answers for an address on the link that this interface is on. */
struct target segment_resolve(struct walk *walk, const struct stack_link *from, const struct ip *address);
/* Who has a MAC there. */
struct target segment_find_mac(struct walk *walk, const struct stack_link *from, const struct mac *mac);
/* The port of a bridge by which a target is reached, other than `except`; NULL: none, or not known which. */
struct stack_link *segment_port(struct walk *walk, const struct stack_link *bridge, const struct target *target,
				const struct stack_link *except);
/* Of a link with many far ends, as a tunnel has, the one by which a target is reached; else the same as the next. */
struct stack_link *segment_far_end_towards(struct walk *walk, const struct stack_link *link,
					   const struct target *target);
/* The interface at the other end of a cable; NULL: outside, or none. */
struct stack_link *segment_far_end(const struct stack_link *link);
/* Whether something that was not captured may be at its end. */
bool segment_leads_out(const struct stack_link *link);

#endif
