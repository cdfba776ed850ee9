/* What others of the driver, and its tests, use of the qemu driver. */
#ifndef NESTVISOR_DRIVER_QEMU_INTERNAL_H
#define NESTVISOR_DRIVER_QEMU_INTERNAL_H

struct cancel;
struct error;
struct reporter;

/* For tests, which have no minute to wait for a hang: wait_ready, with the time without a sign of life after which a
 * guest is said to hang. */
int qemu_wait_ready_within(const char *run_dir, const char *path, int silence_ms, struct reporter *reporter,
			   struct cancel *cancel, struct error **err);

/* A hypervisor guest under KVM needs a KVM that passes virtualization on: better said now than found out inside. */
int qemu_check_nesting(struct error **err);

#endif
