/* Why a packet does not arrive, and what would mend it: for people, and as the answers of `nestvisor why` and `fix`. */
#ifndef NESTVISOR_RENDER_REPAIR_H
#define NESTVISOR_RENDER_REPAIR_H

#include "render/text.h"
#include "verify/repair.h"

/* An end that was cut off on purpose, or a guest around it that takes it along. */
struct repair_isolation {
	const char *guest; /* its path; NULL: it is not that */
	const char *world; /* "cut", "sealed" */
};

/* `from` and `to` as the user named them. */
struct repair_view {
	const struct repair *repair;
	const char *from, *to;
	const struct packet *packet;	  /* as it was sent */
	const char *policy;		  /* of what lab it was asked: "first"; NULL: of none */
	struct repair_isolation isolated; /* which says it all */
	const char *doubt;		  /* why it is not known that the changes keep it; NULL: they do */
};

/* One paragraph: what blocks first, and what would block after that. */
void why_text(const struct repair_view *view, const struct style *style, struct strbuf *out);
json_t *why_json(const struct repair_view *view);

/* The changes, as commands, and how to make them last. */
void fix_text(const struct repair_view *view, const struct style *style, struct strbuf *out);
json_t *fix_json(const struct repair_view *view);

#endif
