/*
 * Who may open a connection to whom over all hosts of a stack: from every host and from the world to every address of
 * every host and to the world, for some services. Computed with sets (spread.h): an answer is about all packets of a
 * question at once, whatever port they come from.
 *
 * A host sends from the address that its routes make it take. The world is every address that is in no subnet of the
 * stack; what comes from there comes in where `--from world` lets it (ends.h).
 */
#ifndef NESTVISOR_VERIFY_REACH_LAB_H
#define NESTVISOR_VERIFY_REACH_LAB_H

#include "verify/packet.h"
#include "verify/spread.h"

struct arena;
struct error;

/* A destination port of a protocol, or an echo request (ICMP in either family). */
struct reach_service {
	uint8_t protocol;
	bool has_port;
	uint16_t port;
};

enum { REACH_SERVICES = 64 };

/* "22/tcp", "ping" */
enum { REACH_SERVICE_TEXT_SIZE = 16 };
const char *reach_service_text(const struct reach_service *service, char ret[REACH_SERVICE_TEXT_SIZE]);

struct reach_lab_question {
	const struct stack *stack;
	/* None: those that somebody listens on for others than itself, ssh, rdp and ping. */
	const struct reach_service *services;
	size_t service_count; /* at most REACH_SERVICES */
	size_t memory;	      /* bytes that sets may take */
};

enum reach_verdict {
	REACH_NONE,    /* no question: the end itself, or an end without an address of the family */
	REACH_ALLOWED, /* every packet gets there */
	REACH_PARTLY,  /* some do: it depends on the source port (spread_usual_source_ports()), the address in the world, … */
	REACH_BLOCKED, /* none does */
	REACH_UNKNOWN,
	REACH_VERDICT_COUNT,
};

/* What stops packets, or leaves open whether they get through. */
struct reach_cause {
	enum spread_fate fate; /* DELIVERED: to `host`, which was not meant; SENT: out of what was captured */
	enum spread_reason reason;
	const struct stack_host *host;
	enum hook hook;
	const struct stack_chain *chain;
	const struct rule *rule; /* NULL with a chain: its policy */
	const struct stack_route *route;
	const struct stack_link *oif;
	bool sure; /* it is so; else it may be */
};

/* One service, from one end to another. */
struct reach_cell {
	uint8_t verdict;  /* enum reach_verdict */
	uint16_t address; /* of the ends's addresses: the one that this is so at */
	uint32_t cause;	  /* index; 0: none */
};

/* An end: a host, or the world. */
struct reach_node {
	const struct stack_host *host; /* NULL: the world */
	const struct ip *addresses[2]; /* IPv4, IPv6: those that others could send to */
	size_t address_counts[2];
};

/* Who asks `to` for a service gets to another host, as its address and port are translated. */
struct reach_door {
	size_t from, to, service;
	const struct stack_host *host;
	struct number port; /* unknown: several */
};

struct reach_table {
	bool present; /* has any end an address of this family? */
	struct reach_cell *cells;
	struct reach_door *doors;
	size_t door_count;
};

struct reach_lab {
	const struct stack *stack;
	struct arena *arena;
	struct reach_node *nodes; /* the hosts of the stack in their order, and the world last */
	size_t node_count;
	struct reach_service *services;
	size_t service_count;
	size_t services_left_out;     /* that somebody listens on, but were too many */
	struct reach_table tables[2]; /* IPv4, IPv6 */
	struct reach_cause *causes;   /* from 1 */
	size_t cause_count;
};

static inline const struct reach_cell *reach_lab_cell(const struct reach_lab *lab, int family, size_t from, size_t to,
						      size_t service)
{
	return &lab->tables[family].cells[(from * lab->node_count + to) * lab->service_count + service];
}

/* What is asked where no services are given: of several stacks those of all. In the arena. */
size_t reach_services(const struct stack *const *stacks, size_t count, struct arena *arena, struct reach_service **ret,
		      size_t *ret_left_out);

/* -E2BIG: too large for the memory. */
int reach_lab_new(const struct reach_lab_question *question, struct reach_lab **ret, struct error **err);
void reach_lab_free(struct reach_lab *lab); /* NULL is fine */

static inline void reach_lab_freep(struct reach_lab **lab)
{
	reach_lab_free(*lab);
}
#define cleanup_reach_lab __attribute__((cleanup(reach_lab_freep)))

#endif
