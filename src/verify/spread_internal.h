/* What the parts of spread.c share. */
#ifndef NESTVISOR_VERIFY_SPREAD_INTERNAL_H
#define NESTVISOR_VERIFY_SPREAD_INTERNAL_H

#include "verify/spread.h"

struct arena;

/* What routing says of a packet. */
enum decision_kind {
	DECIDED_NOTHING, /* no route */
	DECIDED_THROW,	 /* not in this table */
	DECIDED_ROUTE,
	DECIDED_UNKNOWN, /* a table or a rule that was not captured */
};

struct decision {
	enum decision_kind kind;
	const struct stack_route *route;
};

/* One host, one family. Numbers that `function` leads to are indices of decisions; 0 is no route. */
struct spread_routing {
	diagram arriving, local; /* for packets that came in, and for the host's own */
	struct decision *decisions;
	size_t decision_count;
	bool built;
};

/* Packets at one place. */
struct stream {
	struct stack_host *host;
	enum stack_family family;
	struct stack_link *iif, *in_port, *oif, *out_port; /* NULL: none */
	struct bounds packets;
	size_t hop;
	unsigned depth; /* hosts so far */
};

struct spread {
	const struct stack *stack;
	struct space *space;
	struct arena *arena;
	struct chains **chains;		     /* of each host; NULL: not needed yet */
	struct spread_routing (*routing)[2]; /* of each host, both families */
	struct spread_hop *hops;
	size_t hop_count;
	struct spread_end *ends;
	size_t end_count;
	uint32_t first_id, put_id;
};

static inline bool bounds_are_empty(struct bounds bounds)
{
	return pset_is_empty(bounds.may);
}

/* Those of the packets that are in a set, or that are not. */
struct bounds bounds_in(struct space *space, struct bounds packets, pset set);
struct bounds bounds_out(struct space *space, struct bounds packets, pset set);

struct chains *spread_chains(struct spread *spread, const struct stack_host *host);
/* Notes an end of some packets of the stream; nothing where there are none. */
void spread_end_at(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum spread_reason reason);
/* The same, by a chain, or behind a route. */
void spread_end_by(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum hook hook, const struct stack_chain *chain);
void spread_end_on(struct spread *spread, const struct stream *stream, struct bounds packets, enum spread_fate fate,
		   enum spread_reason reason, const struct stack_route *route);

/* ---- spread_hook.c ---- */

/* The base chains of a hook with priorities from `first` to `last`. What they drop ends; the others are left. */
void spread_hook(struct spread *spread, struct stream *stream, enum stack_family family, enum hook hook, int32_t first,
		 int32_t last);
/* Writes the stream's interfaces into its packets. */
void spread_name_links(struct spread *spread, struct stream *stream);

/* ---- spread_route.c ---- */

struct spread_routing *spread_routing(struct spread *spread, const struct stack_host *host, enum stack_family family);
/* What the stream's packets are told: each decision with its packets. The array is in the arena. */
struct routed {
	struct decision decision;
	struct bounds packets;
};
size_t spread_route(struct spread *spread, const struct stream *stream, bool local, struct routed **ret);
/* Those whose source is an address of the host itself. */
pset spread_own_addresses(struct spread *spread, const struct stack_host *host, enum stack_family family,
			  enum pset_field field);

/*
 * The packets that routing sends out by an interface with one of these names, as if they came in at `iif` (NULL: as if
 * the host made them). `back`: that would be answered so.
 */
struct bounds spread_routed_by(struct spread *spread, const struct stack_host *host, enum stack_family family,
			       const struct stack_link *iif, bool back, struct interval names);

/* ---- spread_fib.c ---- */

/* Who asks what routing says, for struct match_routing. */
struct spread_context {
	struct spread *spread;
	const struct stack_host *host;
};
struct match_routing *spread_match_routing(struct spread *spread, const struct stack_host *host);

/* ---- spread_link.c ---- */

/* Sends the packets by stream->oif to the next address, or to their own destination where that is none. */
void spread_send(struct spread *spread, const struct stream *stream, const struct ip *next);

/* ---- spread.c ---- */

/* Packets come in at stream->iif. */
void spread_arrive(struct spread *spread, const struct stream *stream);

#endif
