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

/*
 * Sets where the question begins and the packet's addresses; *ret_target is the host that is meant by `to`, NULL for
 * the world and addresses that nobody has. -EINVAL, with what is wrong and what would be right.
 */
int ends_resolve(const struct stack *stack, const struct ends *ends, struct question *question,
		 struct stack_host **ret_target, struct error **err);

#endif
