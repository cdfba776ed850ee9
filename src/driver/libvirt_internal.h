/* What tests use of the libvirt driver. */
#ifndef NESTVISOR_DRIVER_LIBVIRT_INTERNAL_H
#define NESTVISOR_DRIVER_LIBVIRT_INTERNAL_H

#include "base/process.h"

#include <stdbool.h>

/*
 * The QEMU of a domain, about which libvirt's API is silent. It may be ended by signals, and anybody may choose an
 * argv: so it must be a qemu-system program of that user's in our PID namespace that was told this UUID and this
 * run_dir.
 */
bool libvirt_find_process(const char *uuid, const char *run_dir, unsigned user, struct process_id *ret);

#endif
