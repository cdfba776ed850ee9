/* Who can be reached from a host over one link, and over which hosts a way leads: cables and bridges, not routes. */
#ifndef NESTVISOR_VERIFY_NEIGHBOURHOOD_H
#define NESTVISOR_VERIFY_NEIGHBOURHOOD_H

#include "verify/stack.h"

/* Two interfaces with addresses, or bridges that carry them, on one link. */
struct adjacency {
	const struct stack_link *mine, *theirs;
};

/* The pairs of a host, each once. */
void neighbourhood_of(struct arena *arena, const struct stack_host *host, struct adjacency **ret, size_t *ret_count);

/* The first hop from one host on the shortest way to another over hosts that have a gateway's address at their ends.
 * False: no way is known. */
bool neighbourhood_first_hop(struct arena *arena, const struct stack *stack, const struct stack_host *from,
			     const struct stack_host *to, uint8_t family, struct adjacency *ret);

/* An address of the family on a link that is of use beyond it. NULL: none. */
const struct address *link_global_address(const struct stack_link *link, uint8_t family);
/* One that the host can have as its next hop: none of its own, which it may share with the other end (mirrored mode of
 * WSL2). NULL: none. */
const struct address *link_gateway_address(const struct stack_link *link, const struct stack_host *host,
					   uint8_t family);

#endif
