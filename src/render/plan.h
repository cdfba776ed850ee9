/* What `up` would do: as text for people, as a document for programs ("nestvisor/plan/1"). */
#ifndef NESTVISOR_RENDER_PLAN_H
#define NESTVISOR_RENDER_PLAN_H

#include "base/json.h"
#include "model/change.h"
#include "render/text.h"

/* One line per change ("+ guest hv1/a  …", "~", "-", "!"), then a line that counts them; "nothing to do" where there
 * are none. */
void plan_text(const struct plan_change *changes, size_t count, const struct style *style, struct strbuf *out);

/* {"changes": [{"do": "create|change|remove|restart", "what", "path", "why"}]}; a new reference. */
json_t *plan_json(const struct plan_change *changes, size_t count);

const char *plan_action_name(enum plan_action action);

#endif
