/*
 * What is a guest's own beside its disk, and kept from one start to the next, in its own_dir:
 *   variables   the UEFI variable store, a copy of the firmware's template at first
 *   tpm/        the state of its TPM, which swtpm makes at first
 *   boot        the disk that an image's own kernel is booted from by UEFI, made anew at each start
 * Beside that folder, as <own_dir>.made, stands which of them the guest has been started with. What is named there and
 * missing was lost, and is never made anew in silence: a disk that is encrypted with a key in the TPM is lost with it.
 */
#ifndef NESTVISOR_DRIVER_OWN_H
#define NESTVISOR_DRIVER_OWN_H

#include "driver/driver.h"
#include "driver/firmware.h"

struct arena;
struct error;

struct own {
	const char *variables; /* path; NULL without UEFI */
	const char *tpm;       /* folder; NULL without a TPM */
	const char *boot_disk; /* where it belongs; NULL where the guest has a disk that boots by itself */
};

/* -ENODATA where something was lost: says what that means and what to do. `files` is only read with UEFI. */
int own_prepare(struct arena *arena, const struct driver_guest *guest, const struct firmware_files *files,
		struct own *ret, struct error **err);

/* -ENODATA, for a guest whose TPM could not read its state, in these words of QEMU's: the same as for one that was
 * lost. */
int own_tpm_damaged(const struct driver_guest *guest, const char *words, struct error **err);

/* Once the guest runs: notes what it was started with. */
int own_started(const struct driver_guest *guest, struct error **err);

#endif
