/* Why a packet does not arrive, and what would mend it: for people, and as the answers of `nestvisor why` and `fix`. */
#ifndef NESTVISOR_RENDER_REPAIR_H
#define NESTVISOR_RENDER_REPAIR_H

#include "render/text.h"
#include "verify/repair.h"

/* `from` and `to` as the user named them. */
struct repair_view {
	const struct repair *repair;
	const char *from, *to;
	const struct packet *packet; /* as it was sent */
	const char *policy;	     /* of what lab it was asked: "first"; NULL: of none */
	const char *isolated; /* "hv1/a is cut: `nestvisor open hv1/a` …", which says it all; NULL: it is not that */
	const char *doubt;    /* why it is not known that the changes keep it; NULL: they do */
};

/* One paragraph: what blocks first, and what would block after that. */
void why_text(const struct repair_view *view, const struct style *style, struct strbuf *out);
json_t *why_json(const struct repair_view *view);

/* The changes, as commands, and how to make them last. */
void fix_text(const struct repair_view *view, const struct style *style, struct strbuf *out);
json_t *fix_json(const struct repair_view *view);

#endif
