/* A packet's way as the interpreter tells it: for people, and as the answer of `nestvisor path --json`. */
#ifndef NESTVISOR_RENDER_PATH_H
#define NESTVISOR_RENDER_PATH_H

#include "render/text.h"
#include "verify/walk.h"

struct path {
	const struct packet *packet;	/* as it was sent */
	const struct answer *there;	/* its way */
	const struct stack_host *meant; /* the host it is for; NULL: whoever has the address */
	const struct answer *back;	/* the way of what answers it; NULL: not asked, or nothing comes to answer */
	const struct stack_host *asker; /* where the answer is to come to; NULL: outside */
};

void path_text(const struct path *path, const struct style *style, struct strbuf *out);
json_t *path_json(const struct path *path);

/* The verdict: a packet that was delivered to somebody who was not meant is lost. */
enum fate path_fate(const struct answer *answer, const struct stack_host *meant);

#endif
