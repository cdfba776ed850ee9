/* Asking one host for its facts: see collect.h. */
#ifndef NESTVISOR_CLI_ASK_H
#define NESTVISOR_CLI_ASK_H

#include "cli/collect.h"
#include "transport/transport.h"

/* Fills in bundle or collection, in its arena, or fails. */
int ask_target(const struct collect_target *target, enum collect_kind kind, int timeout_ms, struct cancel *cancel,
	       struct collect_result *result, struct error **err);

/* "user@host:port", "user@[2001:db8::1]:22"; what it points to is the arena's. -EINVAL: no such port. */
int ask_parse_ssh(struct arena *arena, const char *text, struct ssh_target *ret, struct error **err);

#endif
