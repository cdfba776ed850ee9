/*
 * From the words people use for the two ends of a way to a question: a host's name, an address, or the world. Whoever
 * has an address is the host that is meant; an address that nobody has is outside, and what comes from there comes in
 * where the captured hosts have their way out.
 */
#ifndef NESTVISOR_VERIFY_ENDS_H
#define NESTVISOR_VERIFY_ENDS_H

#include "verify/walk.h"

struct error;

struct ends {
	const char *from, *to; /* "vm1", "10.0.0.7", "world" */
	const char *source;    /* an address to send from, also one that is not the sender's; NULL: its own */
	const char *interface; /* of `from`, a host: the packet arrives there; NULL: it sends it */
	uint8_t family;	       /* where neither end is an address; 0: IPv4, unless the target has only IPv6 */
};

/* The address that stands for all of the internet, where an end is called "world". */
bool ends_is_world(const struct ip *address);

/* It comes from a neighbour that none of the hosts is: whether an answer reaches that one is not seen. */
bool ends_is_stranger(const struct question *question);

/* Nobody on the internet can send to it: RFC 1918, RFC 6598, RFC 4193, link-local. */
bool ends_is_private(const struct ip *address);

/*
 * A packet from the internet to a private address of a host behind another one. *ret: the address that it would have to
 * be sent to instead, that of the interface by which it comes in, or no family where that has none. False: it is not
 * one.
 */
bool ends_needs_publishing(const struct question *question, struct ip *ret);

/* By name, or another word for it; where there is one host alone, it is L0. NULL: none is called so. */
struct stack_host *ends_host(const struct stack *stack, const char *name);

/* Is this the name of a host, or another word for one, an address, or the world? */
bool ends_knows(const struct stack *stack, const char *word);

/*
 * Sets where the question begins and the packet's addresses; *ret_target is the host that is meant by `to`, NULL for
 * the world and addresses that nobody has. -EINVAL, with what is wrong and what would be right.
 */
int ends_resolve(const struct stack *stack, const struct ends *ends, struct question *question,
		 struct stack_host **ret_target, struct error **err);

#endif
