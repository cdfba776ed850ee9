/* Asking one host for its facts: see collect.h. */
#ifndef NESTVISOR_CLI_ASK_H
#define NESTVISOR_CLI_ASK_H

#include "cli/collect.h"

/* Fills in bundle or collection, in its arena, or fails. */
int ask_target(const struct collect_target *target, enum collect_kind kind, int timeout_ms, struct cancel *cancel,
	       struct collect_result *result, struct error **err);

#endif
