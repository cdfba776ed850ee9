/*
 * Connections that come to this machine, each handed to a `nestvisor proxy` of its own, which knows the way to any
 * depth. No rule is made, and nothing need be forwarded by the machine.
 */
#ifndef NESTVISOR_CLI_FORWARDING_H
#define NESTVISOR_CLI_FORWARDING_H

#include "base/ip.h"
#include "cli/command.h"
#include "model/lab.h"

struct arena;

/* Listens at an address of this machine; port 0: any that is free. */
int forwarding_listen(const struct ip *ip, uint16_t port, int *ret_fd, uint16_t *ret_port, struct error **err);

/* A program that shows what is at a port, by the words to start it with. */
struct viewer {
	const char *program;
	const char *option; /* stands before the address, or NULL */
	const char *host;   /* the address is this and the port */
	const char *user;   /* an option, and the user's name is what follows it at once; or NULL: cannot be told */
};

/*
 * The first that is installed, as argv; NULL where there is none, or no screen to open a window on. `viewers` ends with
 * one without a program, `user` may be NULL.
 */
const char *const *forwarding_viewer(struct arena *arena, const struct viewer *viewers, unsigned port,
				     const char *user);

/*
 * Serves until it is cancelled, or until the program `viewer` (argv, NULL: none) ends, which it starts, at the same
 * terminal. `what` is as proxy takes it: a port, or "display".
 */
int forwarding_serve(struct invocation *inv, int listener, const struct lab *lab, const struct guest *target,
		     const char *what, const char *const *viewer, struct error **err);

#endif
