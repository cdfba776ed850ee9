/* What became of a lab's promises: for people, and as the answer of `nestvisor verify --json`. */
#ifndef NESTVISOR_RENDER_VERIFY_H
#define NESTVISOR_RENDER_VERIFY_H

#include "render/text.h"
#include "verify/policy.h"

/* `verbose`: with the assumptions, and whole ways. */
void verify_text(const struct policy_report *report, const struct style *style, bool verbose, struct strbuf *out);
/* In one line, for commands that changed something: "violated: 6 of 7 promises kept, 1 violated". */
void verify_line(const struct policy_report *report, const struct style *style, struct strbuf *out);
json_t *verify_json(const struct policy_report *report);

#endif
