/* QEMU's command line for a guest. */
#ifndef NESTVISOR_DRIVER_COMMAND_H
#define NESTVISOR_DRIVER_COMMAND_H

#include "driver/driver.h"
#include "driver/firmware.h"
#include "driver/own.h"
#include "driver/profile.h"

struct arena;

struct command {
	const struct driver_guest *guest;
	const struct profile *profile;
	const struct firmware_files *firmware; /* where the guest has UEFI */
	const struct own *own;
	int qmp, console; /* sockets that listen already; QEMU inherits them */
	int events;	  /* one more that listens, of a guest that may restart by itself; -1: none */
	int tpm;	  /* one that is connected to the TPM; -1: none */
	int memory;	  /* a file that the machine goes on from, its CPUs stopped; -1: it boots */
};

/* The argv lives in the arena, as do all words that it does not borrow from the guest. */
const char *const *command_build(struct arena *arena, const struct command *command);

/* The words on the kernel command line, where nestvisor gives the kernel. */
const char *command_kernel_line(struct arena *arena, const struct driver_guest *guest, const struct profile *profile);

/* What QEMU boots without firmware, in the arena; false where the image, or its firmware, boots by itself. */
struct command_kernel {
	const char *kernel, *initrd, *append;
};
bool command_kernel(struct arena *arena, const struct driver_guest *guest, const struct profile *profile,
		    struct command_kernel *ret);

/* A UUID of version 8 (RFC 9562, 5.8), whose digits are ours to choose: always the same for a guest. */
const char *command_uuid(struct arena *arena, const struct driver_guest *guest);

/* A comma in a value is doubled (qemu(1)): no path can become an option of its own. In the arena. */
const char *command_escaped(struct arena *arena, const char *value);

/* A disk that is carried down from the layer above is a block device here. */
bool command_is_block_device(const char *path);

#endif
