/* After a change of who may reach what: whether the lab keeps its promises, and what the guests themselves can do. */
#ifndef NESTVISOR_CLI_PROOF_H
#define NESTVISOR_CLI_PROOF_H

#include "cli/command.h"
#include "model/isolation.h"

/* The option that leaves it out, for the tables of those commands. */
#define PROOF_OPTION                                                                                                   \
	{                                                                                                              \
		.name = "no-verify", .help = "do not ask the hosts and guests afterwards whether it holds"             \
	}

/*
 * Asks all hosts for their facts and proves the lab's promises (cli/verification.h); and has each guest that runs ping
 * the machine's router, the nearest place of the world, from inside. Prints what comes of it, or puts it into the
 * document as "verify" and "probes". Returns EXIT_FAILED where something is shown not to hold that was just said of
 * these guests; EXIT_DONE also where nothing is known, which is then said. *ret_verdict: all of it in one word.
 */
int proof_show(struct invocation *inv, const struct lab *lab, const struct guest *const *guests, size_t count,
	       const struct isolation *isolation, json_t *document, const char **ret_verdict);

#endif
