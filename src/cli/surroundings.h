/* What the checks of a lab file need to know of this machine: its CPUs, its memory, its routes. */
#ifndef NESTVISOR_CLI_SURROUNDINGS_H
#define NESTVISOR_CLI_SURROUNDINGS_H

#include "config/config.h"

struct arena;

/*
 * Fills `ret`; routes live in the arena. What cannot be found out stays 0, which means "not known, not checked". `proc`
 * is the mount point of procfs ("/proc"), so that tests can show another machine.
 */
void surroundings_collect(const char *proc, struct arena *arena, struct surroundings *ret);

#endif
