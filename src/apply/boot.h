/* Starting one guest of this host: its disks, its taps, its words on the kernel command line, its QEMU. */
#ifndef NESTVISOR_APPLY_BOOT_H
#define NESTVISOR_APPLY_BOOT_H

#include "apply/session.h"
#include "driver/driver.h"
#include "image/image.h"

struct boot {
	const struct guest *guest;
	const struct image *image;
	const struct image *const *carried; /* images of the guests below it */
	size_t carried_count;
	enum accelerator accelerator;
};

/* The tap and everything else is made if missing; the overlay of an earlier run is kept. Thread-safe for different
 * guests. */
int boot_guest(struct session *session, const struct boot *boot, struct driver_state *ret, struct error **err);

/* What a guest that nestvisor's own seed does not reach still needs once its agent answers: addresses, host name. */
int boot_settle(struct session *session, const struct guest *guest, struct error **err);

#endif
