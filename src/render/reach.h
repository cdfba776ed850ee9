/* Who reaches whom through one hook (verify/reach.h), as JSON and for people. */
#ifndef NESTVISOR_RENDER_REACH_H
#define NESTVISOR_RENDER_REACH_H

#include "base/json.h"
#include "render/text.h"
#include "verify/reach.h"

/* The members of the answer "reach". */
json_t *reach_json(const struct reach *reach, const struct reach_question *question);
/* All of it; `verbose`: with every address and every rule that cannot be decided. */
void reach_text(const struct reach *reach, const struct reach_question *question, const struct style *style,
		bool verbose, struct strbuf *out);

#endif
