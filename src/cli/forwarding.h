/*
 * Connections that come to this machine, each handed to a `nestvisor proxy` of its own, which knows the way to any
 * depth. No rule is made, and nothing need be forwarded by the machine.
 */
#ifndef NESTVISOR_CLI_FORWARDING_H
#define NESTVISOR_CLI_FORWARDING_H

#include "base/ip.h"
#include "cli/command.h"
#include "model/lab.h"

/* Listens at an address of this machine; port 0: any that is free. */
int forwarding_listen(const struct ip *ip, uint16_t port, int *ret_fd, uint16_t *ret_port, struct error **err);

/*
 * Serves until it is cancelled, or until the program `viewer` (argv, NULL: none) ends, which it starts. `what` is as
 * proxy takes it: a port, or "display".
 */
int forwarding_serve(struct invocation *inv, int listener, const struct lab *lab, const struct guest *target,
		     const char *what, const char *const *viewer, struct error **err);

#endif
