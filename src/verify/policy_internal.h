/* What the parts of policy*.c share: the lab as it is found in the facts, who sends, and where packets must not come
 * to. */
#ifndef NESTVISOR_VERIFY_POLICY_INTERNAL_H
#define NESTVISOR_VERIFY_POLICY_INTERNAL_H

#include "verify/policy.h"
#include "verify/spread.h"

#include <stdbool.h>

/* ---- policy_place.c: who of the lab a host of the facts is ---- */

/* A host or guest of the lab. */
struct party {
	const struct guest *guest;  /* NULL: the lab's root, L0 */
	const struct host *host;    /* NULL: has no guests */
	struct stack_host *machine; /* itself; NULL: not among the facts */
	struct stack_host *network; /* the lab's network on it; NULL: has none, or not among the facts */
};

struct places {
	const struct lab *lab;
	const struct stack *stack;
	struct party *parties; /* the root, then the lab's guests by their index */
	size_t party_count;
	const struct party **roles; /* of each host of the stack; NULL: none of the lab's */
};

void places_find(struct places *places, const struct lab *lab, const struct stack *stack, struct arena *arena);
const struct party *places_root(const struct places *places);
const struct party *places_party(const struct places *places, const struct guest *guest);
/* Whoever a host of the facts is; NULL: nobody of the lab. */
const struct party *places_role(const struct places *places, const struct stack_host *host);

/*
 * A guest's cable, at the host above that was captured: the tap of its own host, or, where that was not captured, of
 * whoever it is in. False: there is none, it does not run, or nobody above was captured.
 */
struct cable {
	struct stack_link *tap, *bridge;
	const struct nic *nic; /* of the guest that the tap is */
};
bool places_cable(const struct places *places, const struct nic *nic, struct cable *ret);
/*
 * The guest itself, or the outermost of those that it is in, that does not run: the host it is on was captured, and no
 * cable of it is there. NULL: all run, or nobody knows.
 */
const struct guest *places_down(const struct places *places, const struct guest *guest);
/* The guest that a tap's other end is; NULL: no tap of the lab's. */
const struct nic *places_tap(const struct places *places, const struct stack_link *link);
/* The network that a bridge of a lab's network is; NULL: none. */
const struct network *places_bridge(const struct places *places, const struct stack_link *link);
/*
 * Whoever of the lab should have been captured to say where packets go on that leave by a link: a host among its
 * guests, the machine that the lab's network is on, the network that a machine is in. NULL: behind it is the world, or
 * a guest that is the end of them.
 */
const struct party *places_unseen(const struct places *places, const struct stack_link *link);
const char *party_name(const struct party *party); /* "hv1/a", "L0" */
/* Leads to what was not captured, and to no guest of the lab. */
bool places_is_way_out(const struct places *places, const struct stack_link *link);
/* L0 has a way to this address of a guest: every network between is routed. */
bool nic_is_reached(const struct lab *lab, const struct nic *nic, uint8_t family);
/* Is `above` the guest, or a guest that it is somewhere in? */
bool guest_is_in(const struct guest *guest, const struct guest *above);

/* ---- policy_aim.c: where packets end ---- */

enum aim_kind {
	AIM_WORLD, /* they leave the lab */
	AIM_L0,
	AIM_GUEST,
	AIM_NETWORK, /* the addresses of one */
	AIM_PREFIX,
	AIM_ANYBODY,   /* but the guest itself */
	AIM_GUESTS,    /* any other guest than `guest` and those it is in */
	AIM_OPEN,      /* the same, but only those that are not cut */
	AIM_ELSEWHERE, /* not at a guest of the network, nor at its owner */
};

struct aim {
	enum aim_kind kind;
	const struct guest *guest;
	const struct network *network;
	const struct prefix *prefix;
	bool resolvers;	 /* and whoever asks the world for names */
	bool door;	 /* of AIM_GUEST: at it, whatever it does with them */
	pset packets;	 /* as they are at the end: only these count */
	pset kept;	 /* these do not: places of the world that are allowed, say */
	pset kept_known; /* nor, of connections that were there before, these */
};

struct follower;
struct followers;

/* One question's way through both engines. */
struct asking {
	const struct policy_input *input;
	struct places places;
	struct space *space;
	struct arena *arena;
	struct policy_report *report;
	struct spread *spread; /* in which just these are taken over: */
	bool *compromised;     /* by party */
	struct followers *followers;
	struct follower *follower; /* whose `spread` that is */
	struct error **err;
};

/*
 * What hosts know of connections, for those who are taken over now (spread_learn()). False: it could not be said.
 */
int asking_learn(const struct asking *asking, bool *ret_learnt);
/* That decided of a promise before, and so may of the next. */
bool asking_has_learnt(const struct asking *asking);

/* What is allowed, asked of other facts or other isolation of the same lab. Nothing of the answer points into these. */
int asking_otherwise(const struct asking *asking, const struct policy_input *input, const struct policy *line,
		     struct policy_verdict *verdict);

void asking_assume(const struct asking *asking, const char *text, const char *command);

/* What an end of a line means. False: it is outside this part of the lab. */
bool aim_at(const struct asking *asking, const struct endpoint *to, struct aim *ret);
/* The packets of an end that have come to where they must not (or, of what is allowed, where they should). */
pset aim_hit(const struct asking *asking, const struct aim *aim, const struct spread_end *end);
/* The same for one packet and the other engine. */
bool aim_is_hit(const struct asking *asking, const struct aim *aim, const struct answer *answer);
/* Packets of an end from which they go on to somebody of the lab who was not captured, so that nobody knows whether
 * they come to the aim. */
pset aim_unseen(const struct asking *asking, const struct aim *aim, const struct spread_end *end);
/* The same for one packet and the other engine: who that is, or NULL. */
const struct party *aim_unseen_by(const struct asking *asking, const struct aim *aim, const struct answer *answer);
/* It is one only if the host that it came to has a resolver, which is not known. */
bool aim_is_doubtful(const struct asking *asking, const struct aim *aim, const struct answer *answer);
/* "it leaves by wan of L0-root" */
const char *aim_sentence(const struct asking *asking, const struct answer *answer);

pset set_of_prefix(struct space *space, enum pset_field field, const struct prefix *prefix);
pset set_of_address(struct space *space, enum pset_field field, const struct ip *ip);
pset set_of_ports(struct space *space, const struct policy *line);
/* The first packets of connections and exchanges, as hosts send them. */
pset first_packets(struct space *space);

/* ---- policy_source.c: who sends what ---- */

struct sender {
	struct spread_start start;
	const char *who;
	const struct party *party; /* NULL: the world */
	bool taken_over;
	const char *doubt; /* what was not captured: what it may send is more than it can; or NULL */
	const char *doubt_command;
};

/* Addresses of the host's own, by which it sends (fib saddr type local), without those of loopback. */
pset set_of_host(const struct asking *asking, const struct stack_host *host);

struct sources {
	struct sender *items;
	size_t count;
	struct assumption *missing; /* who cannot be asked */
	size_t missing_count;
};

void source_missing(const struct asking *asking, struct sources *sources, const char *command, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void source_missing_part(const struct asking *asking, struct sources *sources, const struct endpoint *endpoint);
/* Of a guest that does not run: neither what it sends nor what comes to it is known. */
void source_missing_down(const struct asking *asking, struct sources *sources, const struct guest *down);
void source_missing_facts(const struct asking *asking, struct sources *sources, const struct party *party);
/* Whatever the host sends by itself, with its own addresses. */
void source_add_party(const struct asking *asking, struct sources *sources, const struct party *party, pset packets);
/* Whatever comes out of a guest's cables, with any address, MAC and VLAN. */
void source_add_cables(const struct asking *asking, struct sources *sources, const struct guest *guest,
		       const struct network *network, pset packets);
/* Whatever comes from outside the lab. */
void source_add_world(const struct asking *asking, struct sources *sources, pset packets);
/* Whatever hosts that were taken over send to those that were not. */
void source_add_taken_over(const struct asking *asking, struct sources *sources, pset packets);

/* ---- policy_suspend.c ---- */

/* Of a line that is violated: because a guest is cut or sealed, by the file or at run time, and would it hold then once
 * that guest is open? */
int verdict_suspend(const struct asking *asking, const struct policy *line, struct policy_verdict *verdict);

/* ---- policy_publish.c: what the file publishes ---- */

/*
 * Answers by which a published port of the guest, or of one in it, is served: what the file publishes to others than
 * this machine stays so while the guest is cut. They leave L0 from the address and the port that are published.
 */
pset published_answers(const struct asking *asking, const struct guest *guest);
/* The ports by which the guest, if it is a host, sends on to guests below it: these are theirs. */
pset published_ports(const struct asking *asking, const struct guest *guest);
/*
 * Of sessions at ports that are published to others than this machine and lead to the guest `to` or through it, or
 * through L0: packets behind the first, and errors about them, which a host on the way may take in itself, also as
 * belonging to nothing. Errors show no port: of sessions that the host knows, those about any that was begun
 * towards it, and none about one that it began. What is not to come to `to` does not mean these; that they are left out
 * is among the report's assumptions.
 */
pset published_sessions(const struct asking *asking, const struct endpoint *to);

/* ---- policy_ask.c: proofs, and witnesses that both engines agree on ---- */

/* Not one packet of these comes to the aim. */
int ask_none(const struct asking *asking, const struct sources *sources, const struct aim *aim,
	     struct policy_verdict *verdict);
/* Every packet of these does, and its answer comes back; not past what was taken over. */
int ask_all(const struct asking *asking, const struct sources *sources, const struct aim *aim,
	    struct policy_verdict *verdict);
/* Whoever is `from` can open any connection of these to `to`; `door`: or `to` itself refuses it. */
int ask_way(struct asking *asking, const struct endpoint *from, const struct endpoint *to, pset ports, bool door,
	    struct policy_verdict *verdict);
void verdict_missing(const struct asking *asking, struct policy_verdict *verdict, const char *text,
		     const char *command);

#endif
