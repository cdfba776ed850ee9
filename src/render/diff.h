/* What two sets of facts let through differently (verify/diff.h), as JSON and for people. */
#ifndef NESTVISOR_RENDER_DIFF_H
#define NESTVISOR_RENDER_DIFF_H

#include "base/json.h"
#include "render/text.h"
#include "verify/diff.h"

/* The members of the answer "diff". */
json_t *diff_hook_json(const struct diff_hook *diff);
json_t *diff_lab_json(const struct diff_lab *diff);
void diff_hook_text(const struct diff_hook *diff, const struct style *style, struct strbuf *out);
/* `verbose`: with the packet and the rules of every single one. */
void diff_lab_text(const struct diff_lab *diff, const struct style *style, bool verbose, struct strbuf *out);

#endif
