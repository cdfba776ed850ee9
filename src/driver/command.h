/* QEMU's command line for a guest. */
#ifndef NESTVISOR_DRIVER_COMMAND_H
#define NESTVISOR_DRIVER_COMMAND_H

#include "driver/driver.h"
#include "driver/profile.h"

struct arena;

/* Sockets that listen already; QEMU inherits them. */
struct command_sockets {
	int qmp, console;
};

/* The argv lives in the arena, as do all words that it does not borrow from `guest`. */
const char *const *command_build(struct arena *arena, const struct driver_guest *guest, const struct profile *profile,
				 const struct command_sockets *sockets);

#endif
