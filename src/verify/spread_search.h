/* Where frames may come to from a link, and on which way. */
#ifndef NESTVISOR_VERIFY_SPREAD_SEARCH_H
#define NESTVISOR_VERIFY_SPREAD_SEARCH_H

#include "verify/spread_internal.h"

enum way_kind {
	LEAVING,  /* by a device */
	COMING,	  /* in by a device */
	CROSSING, /* a bridge: from a port or its own host (NULL), to a port or its own host (NULL) */
};

struct way {
	enum way_kind kind;
	struct stack_link *link; /* the device, the bridge */
	struct stack_link *in_port, *out_port;
	const struct way *before;
};

/* Where a frame may come to: an interface with addresses, or out of what was captured. */
struct far_end {
	struct stack_link *link; /* NULL: outside */
	struct stack_link *last; /* the last interface that was captured on the way there */
	const struct way *way;
};

struct search {
	struct spread *spread;
	struct far_end *ends;
	size_t end_count;
	const struct stack_link **seen;
	size_t seen_count;
	bool outside; /* it may lead out of what was captured */
};

/* A frame is sent by a link, or comes in at it from outside; `way` is the one so far. Ends are added to the search. */
void search_from(struct search *search, struct stack_link *link, uint64_t vlan, const struct way *way);
void search_at(struct search *search, struct stack_link *link, uint64_t vlan, const struct way *way);
/* Others on the same link as far as addresses and MACs tell, over what was not captured. */
void search_neighbours(struct search *search, struct stack_link *from);
/* All of these, and outside where nothing is known: where frames go that a host sends by a link. */
void search_sent(struct search *search, struct stack_link *oif);
bool search_leads_out(const struct search *search);

/* ---- spread_link.c ---- */

/* Packets to the next address (NULL: their own destination) where that is one of the link's, or one that its host
 * answers for there. */
pset spread_has(struct spread *spread, const struct stream *stream, const struct stack_link *link,
		const struct ip *next);
pset spread_answers(struct spread *spread, const struct stream *stream, const struct stack_link *link,
		    const struct ip *next);

#endif
