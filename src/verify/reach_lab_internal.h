/* What the parts of reach_lab*.c share. */
#ifndef NESTVISOR_VERIFY_REACH_LAB_INTERNAL_H
#define NESTVISOR_VERIFY_REACH_LAB_INTERNAL_H

#include "verify/reach_lab.h"
#include "verify/spread_internal.h"

/* An address that is asked for. */
struct reach_target {
	wide address;  /* as fields hold it */
	size_t node;   /* whose it is */
	size_t number; /* of the node's addresses */
};

/* Packets whose destination somebody translates keep their question as their origin: it cannot be seen from them. */
struct reach_tag {
	size_t from, target, service;
};

/* What became of packets of one question, as bits. */
enum {
	MARK_ARRIVES = 1,      /* some may */
	MARK_ARRIVES_SURE = 2, /* some do */
	MARK_ENDS = 4,	       /* elsewhere */
	MARK_ENDS_SURE = 8,
	MARK_OPEN = 16,	 /* not followed to an end */
	MARK_ASIDE = 32, /* they cannot come from the world: counts only where nothing else does */
};

struct reach_mark {
	uint8_t bits;
	uint32_t cause;
};

/* One family. */
struct reach_run {
	struct reach_lab *lab;
	struct spread *spread;
	struct space *space;
	int family; /* 0 IPv4, 1 IPv6: an index */
	enum stack_family stack_family;
	struct reach_target *targets; /* by address; the world is one more behind them */
	size_t target_count;
	struct interval *subnets; /* of the stack, rising: all else is the world */
	size_t subnet_count;
	pset asked;		  /* packets of the services, to whomever */
	pset *service;		  /* of each service, apart */
	pset world;		  /* destinations in the world */
	pset moved;		  /* what somebody may translate to another destination */
	struct reach_mark *marks; /* from, target, service */
	struct reach_tag *tags;	  /* the origin after the nodes */
	size_t tag_count;
};

static inline struct reach_mark *reach_mark(const struct reach_run *run, size_t from, size_t target, size_t service)
{
	return &run->marks[(from * (run->target_count + 1) + target) * run->lab->service_count + service];
}

/* Destinations that are none of the world's: in a subnet of the stack, or of a special use. */
pset reach_subnets(struct space *space, const struct stack *stack, int family);
uint8_t reach_family_of(const struct reach_run *run); /* AF_INET, AF_INET6 */
/* The targets with addresses in an interval: from the first, *ret_end is behind the last. */
size_t reach_targets_in(const struct reach_run *run, const struct interval *interval, size_t *ret_end);
/* Has it any address of the world? */
bool reach_has_world(const struct reach_run *run, const struct interval *interval);

/* ---- reach_lab_start.c ---- */

/* What of the asked packets some host's rules may give another destination. */
pset reach_moved(const struct reach_run *run);
/* The ports of a protocol that they are moved from, where these are single ones. In the lab's arena. */
size_t reach_moved_ports(const struct reach_run *run, pset moved, uint8_t protocol, uint16_t **ret);
/* All that is asked, sorted by who sends it; what cannot be sent at all is marked. In the lab's arena. */
size_t reach_starts(struct reach_run *run, struct spread_start **ret);

/* ---- reach_lab_mark.c ---- */

uint32_t reach_cause_add(struct reach_run *run, const struct spread_end *end, const struct met_rule *met);
/* Notes for every question whose packets are among those of the end that they get there. */
void reach_mark_end(struct reach_run *run, const struct spread_end *end);

#endif
