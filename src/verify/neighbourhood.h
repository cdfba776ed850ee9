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

/* The first hop from one host on the shortest way to another that has an address of the family at its far end. False:
 * no way is known. */
bool neighbourhood_first_hop(struct arena *arena, const struct stack *stack, const struct stack_host *from,
			     const struct stack_host *to, uint8_t family, struct adjacency *ret);

/* An address of the family on a link that the other end can use as a gateway, and its prefix. NULL: none. */
const struct address *link_global_address(const struct stack_link *link, uint8_t family);

#endif
