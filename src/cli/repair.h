/* What `why` and `fix` have in common: a question, answered by looking for what mends it. */
#ifndef NESTVISOR_CLI_REPAIR_H
#define NESTVISOR_CLI_REPAIR_H

#include "cli/factsource.h"
#include "cli/guard.h"
#include "cli/question.h"
#include "render/repair.h"

typedef void repair_text(const struct repair_view *view, const struct style *style, struct strbuf *out);
typedef json_t *repair_json(const struct repair_view *view);

int repair_command(struct invocation *inv, repair_text *text, repair_json *json);

/* One question, and what was found: what `view` needs. */
struct repair_asked {
	struct arena *arena; /* the caller's */
	struct bundle *bundle;
	struct stack *stack;
	struct packet packet;
	struct guard guard; /* of `fix` */
	struct repair_view view;
};
void repair_asked_clear(struct repair_asked *asked);
#define cleanup_repair_asked __attribute__((cleanup(repair_asked_clear)))

/* Asks those hosts, and answers the question of the options. EXIT_DONE, or the status to return. */
int repair_ask(struct invocation *inv, struct hosts *hosts, struct repair_asked *ret);
/* The exit status of the answer: `why` fails where the packet does not arrive, `fix` where it cannot be mended either.
 */
int repair_status(const struct invocation *inv, const struct repair *repair);

#endif
