/* The memory of a guest of the qemu driver, as a migration to and from a file (QEMU's docs/devel/migration.rst). */
#ifndef NESTVISOR_DRIVER_QEMU_MEMORY_H
#define NESTVISOR_DRIVER_QEMU_MEMORY_H

#include "driver/driver.h"

struct qmp;

int qemu_save(const char *run_dir, const struct driver_save *save, struct cancel *cancel, struct error **err);
int qemu_pause(const char *run_dir, struct error **err);
int qemu_resume(const char *run_dir, struct error **err);

/* Of a QEMU that was started to go on from a file: waits until it has read it, and lets its CPUs run. -ECONNRESET where
 * QEMU does not take what is in there, and ends; its log says why. */
int qemu_go_on(struct qmp *qmp, struct cancel *cancel, struct error **err);

#endif
