/* Who reaches whom through one hook (verify/reach.h), as JSON and for people. */
#ifndef NESTVISOR_RENDER_REACH_H
#define NESTVISOR_RENDER_REACH_H

#include "base/json.h"
#include "render/text.h"
#include "verify/reach.h"

/* Addresses as fields hold them: "10.0.0.0/8" where it is one prefix, else "10.0.0.1-10.0.0.9". */
enum { INTERVAL_TEXT_SIZE = 2 * IP_TEXT_SIZE + 4 };
const char *interval_text(const struct interval *interval, uint8_t family, char ret[INTERVAL_TEXT_SIZE]);

/* The members of the answer "reach". */
json_t *reach_json(const struct reach *reach, const struct reach_question *question);
/* All of it; `verbose`: with every address and every rule that cannot be decided. */
void reach_text(const struct reach *reach, const struct reach_question *question, const struct style *style,
		bool verbose, struct strbuf *out);

#endif
