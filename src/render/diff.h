/* What two sets of facts let through differently (verify/diff.h), as JSON and for people. */
#ifndef NESTVISOR_RENDER_DIFF_H
#define NESTVISOR_RENDER_DIFF_H

#include "base/json.h"
#include "render/text.h"
#include "verify/diff.h"

/* The members of the answer "diff". Of one host: of each hook that was compared. */
json_t *diff_hooks_json(const struct diff_hook *const *diffs, size_t count);
json_t *diff_lab_json(const struct diff_lab *diff);
void diff_hooks_text(const struct diff_hook *const *diffs, size_t count, const struct style *style, struct strbuf *out);
/* `verbose`: a line, and a packet, for everybody who asks. */
void diff_lab_text(const struct diff_lab *diff, const struct style *style, bool verbose, struct strbuf *out);

#endif
