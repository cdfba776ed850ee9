/* What the checks of a lab file need to know of this machine: its CPUs, its memory, its routes. */
#ifndef NESTVISOR_CLI_SURROUNDINGS_H
#define NESTVISOR_CLI_SURROUNDINGS_H

#include "apply/machines.h"
#include "config/config.h"

struct arena;

/*
 * Fills `ret`; routes live in the arena. What cannot be found out stays 0, which means "not known, not checked". `root`
 * goes in front of /proc and /sys, so that tests can show another machine; "" is this one, and only this one has routes
 * (net_host_routes).
 *
 * Memory is what the machine has in all, or what this process's control group may use, whichever is less: what is free
 * at the moment would make a running lab look too large for its machine.
 */
void surroundings_collect(const char *root, struct arena *arena, struct surroundings *ret);

/* What is free at the moment: what placing guests over several machines counts with. */
struct machine_room surroundings_room(void);

#endif
