/* Many questions about packets at once: JSON Lines in on standard input, JSON Lines out, in order. */
#ifndef NESTVISOR_CLI_BATCH_H
#define NESTVISOR_CLI_BATCH_H

#include "base/json.h"
#include "cli/command.h"
#include "verify/walk.h"

struct arena;

/* A new reference; what it needs beyond the answer lives in the arena, which goes with the line. */
typedef json_t *batch_answer(const void *context, const struct question *question, struct arena *arena);

#define BATCH_OPTION                                                                                                   \
	{                                                                                                              \
		.name = "batch",                                                                                       \
		.help = "answer the questions on standard input, one JSON object a line, in order; "                   \
			"they are about the lab that runs, if one does",                                               \
		.no_env = true                                                                                         \
	}

/* With --batch nothing may be given that is about one question; without it, --from and --to must be. EXIT_DONE, or the
 * usage error's status with the reason printed. */
int batch_check(struct invocation *inv);
/* EXIT_DONE; EXIT_USAGE where a line was no question, after all others were answered. */
int batch_run(struct invocation *inv, const struct stack *stack, batch_answer *answer, const void *context);

#endif
