/*
 * What a lab promises (verify/policy.h), as a guard of `fix`: changes with which a promise would be broken that is kept
 * now are not proposed.
 */
#ifndef NESTVISOR_CLI_GUARD_H
#define NESTVISOR_CLI_GUARD_H

#include "cli/hosts.h"
#include "model/isolation.h"
#include "verify/policy.h"
#include "verify/repair.h"

#define GUARD_OPTION                                                                                                   \
	{                                                                                                              \
		.name = "policy", .kind = OPTION_STRING, .argument = "FILE",                                           \
		.help = "propose nothing that breaks the policy of this lab file; a lab that is asked has its own",    \
		.complete = COMPLETE_LAB_FILE, .no_env = true                                                          \
	}

/* Zero-initialise it, but for the arena. */
struct guard {
	struct arena *arena;
	struct lab *own; /* of --policy */
	const struct lab *lab;
	struct isolation *isolation;
	enum policy_result *before; /* of each promise, as things are */
	size_t count;
	const char *forbidden; /* the line of the policy that denies the packet itself; NULL: none */
	const char *doubt;     /* why a set that was let through last is not known to keep all of it; NULL: it does */
	struct error *problem; /* what kept it from being asked */
	struct repair_guard ask;
};

void guard_clear(struct guard *guard);
#define cleanup_guard __attribute__((cleanup(guard_clear)))

/* Of --policy, else of the lab that the hosts belong to; without either `lab` stays NULL and there is nothing to ask.
 * EXIT_DONE, or the status to return with the reason printed. */
int guard_open(struct guard *guard, struct invocation *inv, const struct hosts *hosts, const struct bundle *bundle);

/* Notes whether a line of the policy denies the very packet that is asked about: then nothing that lets it arrive is
 * allowed. `to` is the address that it is meant to come to in the end. */
void guard_ask(struct guard *guard, const struct question *question, const struct stack_host *target,
	       const struct ip *to);

#endif
