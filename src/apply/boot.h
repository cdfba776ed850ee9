/* Starting one guest of this host: its disks, its taps, its words on the kernel command line, its QEMU. */
#ifndef NESTVISOR_APPLY_BOOT_H
#define NESTVISOR_APPLY_BOOT_H

#include "apply/session.h"
#include "driver/driver.h"
#include "image/image.h"

struct boot {
	const struct guest *guest;
	const struct image *image;
	const struct image *virtio; /* of a guest that is installed: its second CD; else NULL */
	const struct image *const *carried; /* images of the guests below it */
	size_t carried_count;
	enum accelerator accelerator;
	const char *saved; /* the memory that it goes on with (driver.h), or NULL */
};

/* The tap and everything else is made if missing; the overlay of an earlier run is kept. Thread-safe for different
 * guests. */
int boot_guest(struct session *session, const struct boot *boot, struct driver_state *ret, struct error **err);

/* Once the agent of a guest answers on which Windows was being installed: it starts without media from then on, and the
 * answers, with the password in them, are removed. */
int boot_installed(struct session *session, const struct guest *guest, struct error **err);

/* What a guest that nestvisor's own seed does not reach still needs once its agent answers: addresses, host name. */
int boot_settle(struct session *session, const struct guest *guest, struct error **err);

#endif
