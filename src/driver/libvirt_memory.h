/* The memory of a domain, in the file that libvirt itself writes (virsh restore reads it). See driver.h. */
#ifndef NESTVISOR_DRIVER_LIBVIRT_MEMORY_H
#define NESTVISOR_DRIVER_LIBVIRT_MEMORY_H

#include "driver/driver.h"

int libvirt_save(const char *run_dir, const struct driver_save *save, struct cancel *cancel, struct error **err);
int libvirt_pause(const char *run_dir, struct error **err);
/* Notes also what the domain is since then: its disk is another file. */
int libvirt_resume(const char *run_dir, struct error **err);

/*
 * Creates the domain, its CPUs stopped, from what the guest's `saved` holds. It is the machine that libvirt wrote down
 * there, for only that has the CPU as it was; but its disk is the one that the guest has now. -1: libvirt says why not.
 */
struct talk;
int libvirt_go_on(struct talk *talk, const struct driver_guest *guest);

/* That text with another file as the first disk. In the arena. */
const char *libvirt_other_disk(struct arena *arena, const char *xml, const char *path);

#endif
