/* What `why` and `fix` have in common: a question, answered by looking for what mends it. */
#ifndef NESTVISOR_CLI_REPAIR_H
#define NESTVISOR_CLI_REPAIR_H

#include "cli/factsource.h"
#include "cli/question.h"
#include "render/repair.h"

typedef void repair_text(const struct repair_view *view, const struct style *style, struct strbuf *out);
typedef json_t *repair_json(const struct repair_view *view);

int repair_command(struct invocation *inv, repair_text *text, repair_json *json);

#endif
