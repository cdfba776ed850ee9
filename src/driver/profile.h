/* What machine a guest gets: one table, a reason per row (profile.c). */
#ifndef NESTVISOR_DRIVER_PROFILE_H
#define NESTVISOR_DRIVER_PROFILE_H

#include "driver/driver.h"

enum bus {
	BUS_PCI,  /* virtio-net-pci, … */
	BUS_MMIO, /* virtio-net-device, … */
};

struct profile {
	const char *name;
	const char *binary;	 /* the QEMU that runs it */
	const char *machine;	 /* -M; with UEFI its System Management Mode is added as the firmware wants it */
	const char *accelerator; /* -accel */
	const char *cpu_nested;	 /* -cpu of a guest that has guests */
	const char *cpu_plain;	 /* -cpu of one that has none: it does not see svm or vmx */
	enum bus bus;
	bool elf_kernel;    /* boots the uncompressed kernel by PVH */
	bool sandbox;	    /* this QEMU is built with seccomp */
	const char *append; /* words on the kernel command line, where nestvisor gives the kernel */
};

/* -ENOTSUP with the reason when no row fits, -ENOENT when there is no QEMU. */
int profile_choose(const struct driver_guest *guest, const struct profile **ret, struct error **err);

#endif
