/* What can be said of a guest that died or hung: QEMU's own words, the end of its console, and what to do. */
#ifndef NESTVISOR_DRIVER_POSTMORTEM_H
#define NESTVISOR_DRIVER_POSTMORTEM_H

#include <stdbool.h>

struct error;

/*
 * Sets an error with this code: `what`, then the last lines of <run_dir>/qemu.log and <run_dir>/console.log, and a hint
 * where QEMU's words are known. Console text is the guest's, who may be hostile: what a terminal could take for
 * commands is left out. Returns -code.
 */
int postmortem(const char *run_dir, int code, const char *what, struct error **err);

/* Whether a guest is gone of which nobody says why: no word of QEMU's, no panic on its console. That is a CPU that was
 * reset, since QEMU runs with -no-reboot. */
bool postmortem_is_silent(const char *run_dir);

/* Whether QEMU's <run_dir>/cpu.log ends in a triple fault; only emulation keeps one. */
bool postmortem_triple_fault(const char *run_dir);

/* The first line in `log` that says what went wrong, else its last one, without "qemu-system-x86_64: "; freed by the
 * caller, NULL: none. */
char *postmortem_cause(const char *log);

#endif
