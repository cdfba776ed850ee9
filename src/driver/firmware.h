/*
 * UEFI firmware, found as QEMU's project has it (docs/interop/firmware.json): each distribution describes what it
 * installs in JSON files, of which the first that fits is taken, in the order of their names.
 */
#ifndef NESTVISOR_DRIVER_FIRMWARE_H
#define NESTVISOR_DRIVER_FIRMWARE_H

#include "model/lab.h"

struct arena;
struct error;

struct firmware_files {
	const char *code, *code_format;
	const char *variables, *variables_format; /* the template of a guest's own store */
	bool smm; /* needs System Management Mode; then only code in that mode may write the variables */
};

/* For x86-64 and q35. -ENOENT with what to install. Strings live in the arena. */
int firmware_find(struct arena *arena, enum firmware firmware, struct firmware_files *ret, struct error **err);

/* The same in these folders (the most specific first; NULL ends), for tests. */
int firmware_find_in(struct arena *arena, const char *const *folders, enum firmware firmware,
		     struct firmware_files *ret, struct error **err);

#endif
