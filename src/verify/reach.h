/*
 * Who may open a connection to whom, as the rules of one hook of one host decide: classes of addresses and edges
 * between them. What the rules do not ask about, and what the question leaves open (source ports, interfaces, MACs,
 * marks), may be anything: an edge says that some packet gets through.
 */
#ifndef NESTVISOR_VERIFY_REACH_H
#define NESTVISOR_VERIFY_REACH_H

#include "verify/chain.h"
#include "verify/matrix.h"

struct arena;
struct error;

struct reach_sources {
	struct interval *intervals; /* addresses as fields hold them */
	size_t count;
};

/* Which sources are behind an interface: others that come in by it do not count. */
struct reach_interface {
	const char *name;
	struct reach_sources sources[2]; /* IPv4, IPv6 */
	bool all_but;			 /* everything but those */
};

/* Reads such a list; reach_interfaces.c says how it is written. `path` stands in errors. -EINVAL: not like that. */
int reach_read_interfaces(const char *path, const char *text, struct arena *arena, struct reach_interface **ret,
			  size_t *ret_count, struct error **err);

struct reach_question {
	const struct stack_host *host;
	enum hook hook;
	uint8_t protocol;
	const uint16_t *ports; /* destination ports, at most MATRIX_SERVICES; none: any port, or a protocol without */
	size_t port_count;
	struct number source_port;
	const char *iif, *oif; /* NULL: any */
	/* NULL: any source may come in by any interface. Else no packet comes in by an interface that is not here. */
	struct reach_interface *interfaces;
	size_t interface_count;
	size_t memory; /* bytes that sets may take */
};

/* A rule that cannot be decided, and what of it. */
struct reach_undecided {
	const struct stack_chain *chain;
	const struct rule *rule;
};

struct reach_family {
	enum stack_family family; /* STACK_IP4, STACK_IP6 */
	const struct stack_hook *hook;
	bool asked;    /* packets of this family may have the protocol */
	bool captured; /* there are rules that decide, or it is known that there are none. Else no matrix */
	bool missing[GAP_KIND_COUNT]; /* of its rules these were not captured */
	struct matrix *matrix;	      /* service i is port i; the only one where there are no ports */
	matrix_services *unsure;      /* like the matrix's edges: those that only may get through */
	matrix_services *loopback;    /* those that only the host's own loopback interface lets through */
	struct reach_undecided *undecided;
	size_t undecided_count;
};

struct reach {
	struct reach_family families[2];
	struct space *space;
};

/* -E2BIG: too large for the memory. -EINVAL: the hook sees no such packets. */
int reach_new(const struct reach_question *question, struct reach **ret, struct error **err);
void reach_free(struct reach *reach); /* NULL is fine */

static inline void reach_freep(struct reach **reach)
{
	reach_free(*reach);
}
#define cleanup_reach __attribute__((cleanup(reach_freep)))

#endif
