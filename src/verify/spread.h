/*
 * How sets of packets spread through the hosts of a stack: where they end and by what, with every rewriting on the way.
 * It is the symbolic one of the two engines (walk.h is the plain one); the two share only the stack, and must agree.
 *
 * A set is given by two bounds: the packets that may be there, and those that are there in any case. They differ where
 * something cannot be decided or was not captured.
 *
 * What is followed: packets that begin a connection, and those that belong to none (invalid, untracked). An established
 * packet's way is that of the first one of its connection, see walk.h.
 */
#ifndef NESTVISOR_VERIFY_SPREAD_H
#define NESTVISOR_VERIFY_SPREAD_H

#include "verify/chain.h"
#include "verify/walk.h"

struct error;
struct passage;
struct spread;

enum spread_fate {
	SPREAD_DELIVERED, /* to the host itself */
	SPREAD_SENT,	  /* by an interface that leads out of what was captured */
	SPREAD_DROPPED,	  /* by a rule or a policy */
	SPREAD_REJECTED,  /* the same, and the sender is told */
	SPREAD_LOST,	  /* by anything else: `reason` */
	SPREAD_UNKNOWN,	  /* followed no further: `reason` */
	SPREAD_FATE_COUNT,
};

enum spread_reason {
	SPREAD_FOR_NONE,
	SPREAD_FOR_NO_ROUTE,
	SPREAD_FOR_ROUTE,	/* blackhole, unreachable, prohibit */
	SPREAD_FOR_SOURCE,	/* rp_filter, martian */
	SPREAD_FOR_DESTINATION, /* martian */
	SPREAD_FOR_FORWARDING,	/* is off */
	SPREAD_FOR_NEIGHBOUR,	/* nobody has the next address */
	SPREAD_FOR_LINK,	/* it is down */
	SPREAD_FOR_LOOP,	/* it goes round until its time to live ends */
	SPREAD_FOR_DISTANCE,	/* over more hosts than are followed */
	SPREAD_FOR_PROGRAM,	/* handed to a program, a local socket */
	SPREAD_FOR_MANY,	/* multicast, broadcast */
	SPREAD_FOR_STATE,	/* a packet of a known connection */
	SPREAD_FOR_MISSING,	/* not captured */
	SPREAD_FOR_TRANSLATION, /* no address to translate to */
	SPREAD_REASON_COUNT,
};

/* A stay at a host, from where a packet came in or was made. */
struct spread_hop {
	const struct stack_host *host;
	const struct stack_link *iif;	  /* NULL: sent by the host itself */
	const struct stack_link *in_port; /* where iif is a bridge: by which of its ports; NULL: not known */
	struct bounds packets;		  /* as they came */
	size_t from;			  /* the hop before; SIZE_MAX: none */
};

struct spread_end {
	enum spread_fate fate;
	enum spread_reason reason;
	size_t hop; /* the last one */
	const struct stack_host *host;
	const struct stack_link *oif; /* sent; NULL: not routed yet */
	enum hook hook;
	const struct stack_chain *chain; /* dropped, rejected */
	bool tracked;			 /* connection tracking of this host has seen them */
	const struct stack_route *route; /* that led there; NULL: none */
	struct bounds packets;		 /* as they are there */
	const struct passage *passage;	 /* what was done to them on the way, for spread_origin() */
};

struct spread *spread_new(const struct stack *stack, struct space *space);
void spread_free(struct spread *spread); /* NULL is fine */

struct space *spread_space(const struct spread *spread);

static inline void spread_freep(struct spread **spread)
{
	spread_free(*spread);
}
#define cleanup_spread __attribute__((cleanup(spread_freep)))

enum { SPREAD_USUAL_TTL = 64 }; /* of packets that Linux makes (ip-sysctl: ip_default_ttl, hop_limit) */

/*
 * Source ports of those who begin a connection: not the system ports (RFC 6335, 6), which hosts do not choose by
 * themselves (RFC 6056, 3.2). So what a rule does to answers of a name server, from port 53, stops no connection.
 */
pset spread_usual_source_ports(struct space *space);

/* Whether rules ask for the time to live, which is then counted down: who asks about usual packets must say so. */
bool spread_asks_ttl(const struct spread *spread);

/*
 * Packets come in at an interface of a host (a bridge: by one of its ports, if `in_port` is given), or are sent by it.
 * Whoever does not say otherwise sends frames to whom they belong: to the MAC of who has the next address.
 */
struct spread_start {
	const struct stack_host *host;
	const struct stack_link *iif, *in_port; /* iif NULL: sent by the host itself */
	pset packets;
	bool bridged; /* in_port is given: the frames are for others behind that bridge */
	/*
	 * Frames of any kind, with any MAC and VLAN: what an attacker at the other end of `iif` (or of in_port) can do.
	 * They come to the host itself and to all others behind the same bridge.
	 */
	bool frames;
	/*
	 * Frames of any kind leave the host by this interface, past all of its rules and routes: what a host does that
	 * was taken over (spread_take_over()). `iif` is NULL then.
	 */
	const struct stack_link *out;
	/*
	 * Packets of connections that were there before are followed, too, in both directions (STATE, DIRECTION), and
	 * at every host on the way the state may be another one. An upper bound only: what such a connection was
	 * translated to is whatever the rules that are there now translate to, or nothing.
	 */
	bool connections;
};

/*
 * The host obeys none of its rules and routes any more: packets that come to it are delivered to whoever has taken it
 * over, frames that it would bridge included. What it sends is another start, see `out`. To be called before anything
 * is followed.
 */
void spread_take_over(struct spread *spread, const struct stack_host *host);
bool spread_is_taken_over(const struct spread *spread, const struct stack_host *host);

/*
 * Learns which connections hosts can know whose tables were asked: those in the tables, and those that begin from now
 * on, with what these starts send, which must be all that anybody may. -E2BIG: too large; `*ret_learnt` false: it could
 * not be said.
 */
int spread_learn(struct spread *spread, const struct spread_start *starts, size_t start_count, bool *ret_learnt,
		 struct error **err);
/* The same, from one over the same space and stack that has learnt: whose packets are all that these would be, and
 * more. */
void spread_learn_from(struct spread *spread, const struct spread *other);
/*
 * From then on, packets of connections that were there before (spread_start.connections) are held to those, or not.
 * What the next question is about may begin more: it is to be asked again until that is all.
 */
void spread_confine_all(struct spread *spread, bool confine);
bool spread_begins_more(struct spread *spread); /* since the last time that this was asked */
enum { SPREAD_MOST_ROUNDS = 8 };
/* Are they, at this host: was its table asked? */
bool spread_is_told(const struct spread *spread, const struct stack_host *host);
/* Errors that connection tracking takes for a part of the connection which they are about. */
pset spread_icmp_errors(struct space *space);
/* Is there one of the packets, either way, in an entry of such a host's table, as it leaves the host? */
bool spread_lists(const struct spread *spread, const struct stack_host *host, pset packets);

/* Where they end; the array lives until the next call. -E2BIG: too large. */
int spread_follow(struct spread *spread, const struct spread_start *start, const struct spread_end **ret,
		  size_t *ret_count, struct error **err);
/* The same for several starts; the ends of all of them. */
int spread_follow_all(struct spread *spread, const struct spread_start *starts, size_t start_count,
		      const struct spread_end **ret, size_t *ret_count, struct error **err);
/*
 * The same, and those that come to a host by the same interface, over as many hosts, go on together. What they are told
 * apart by must be in them (PSET_ORIGIN). Of the hops before such a host only one is remembered, so there is no way
 * back from the ends.
 */
int spread_follow_gathered(struct spread *spread, const struct spread_start *starts, size_t start_count,
			   const struct spread_end **ret, size_t *ret_count, struct error **err);
/* The same, without the ends of what is dropped, rejected and lost, and without lower bounds: what may arrive. */
int spread_follow_arriving(struct spread *spread, const struct spread_start *starts, size_t start_count,
			   const struct spread_end **ret, size_t *ret_count, struct error **err);
const struct spread_hop *spread_hops(const struct spread *spread, size_t *ret_count);

/*
 * Back to the start: the packets, as they started, that may come to be among these, which are some of those of the end
 * (end->packets.may); all translation on the way is undone. Good until the next spread_follow().
 */
pset spread_origin(struct spread *spread, const struct spread_end *end, pset packets);

/*
 * One packet of those that start and may come to the end, as a question for the other engine; one that surely does, if
 * there is any such. A packet of start->out begins where it first arrives. False: there is none.
 */
bool spread_witness(struct spread *spread, const struct spread_start *start, const struct spread_end *end,
		    struct question *ret);
/* The packet that the set's most ordinary one is; false: the set is empty. */
bool spread_pick(struct spread *spread, pset set, struct packet *ret, enum question_state *ret_state);
/* The packets that a question is about: one, or as many as its ports say. */
pset spread_question(struct space *space, const struct question *question);

/* The rules by which packets end where they do (chains_deciding). */
void spread_deciding(struct spread *spread, const struct spread_end *end, met_visitor *visitor, void *context);

const char *spread_reason_text(enum spread_reason reason);

#endif
