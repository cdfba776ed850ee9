/* Proving what a lab promises (verify/policy.h): for `verify`, and for commands that have just changed something. */
#ifndef NESTVISOR_CLI_VERIFICATION_H
#define NESTVISOR_CLI_VERIFICATION_H

#include "cli/command.h"
#include "facts/bundle.h"
#include "model/isolation.h"
#include "verify/policy.h"

/* Zero-initialise it. */
struct verification {
	struct arena *arena;
	struct bundle *bundle;
	struct stack *stack;
	struct policy_report *report;
};

void verification_clear(struct verification *verification);
#define cleanup_verification __attribute__((cleanup(verification_clear)))

/*
 * What becomes of the lab's promises. `isolation`: what holds now; NULL: what was said at run time, as it is kept on
 * this host. `facts`: it is taken over; NULL: all hosts of the lab are asked now, and who does not answer is told of.
 * Returns EXIT_DONE and the report, whatever that says, or the exit status with the reason printed.
 */
int verification_run(struct invocation *inv, const struct lab *lab, const struct isolation *isolation,
		     struct bundle *facts, struct verification *ret);

/* The exit status that says so: EXIT_DONE, EXIT_FAILED, EXIT_UNKNOWN. */
int verification_status(const struct policy_report *report);

#endif
