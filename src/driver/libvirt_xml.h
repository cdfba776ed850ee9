/*
 * A guest as libvirt's domain XML (https://libvirt.org/formatdomain.html; the schema is domain.rng in
 * /usr/share/libvirt/schemas): the machine that the qemu driver's command line says, in libvirt's words.
 */
#ifndef NESTVISOR_DRIVER_LIBVIRT_XML_H
#define NESTVISOR_DRIVER_LIBVIRT_XML_H

#include "driver/driver.h"
#include "driver/profile.h"

struct arena;

/*
 * nestvisor's mark: <nestvisor:lab xmlns:nestvisor="…">LAB/PATH</nestvisor:lab> in a domain's metadata. A domain
 * without it, or with another lab's, is never changed.
 */
#define LIBVIRT_MARK_PREFIX "nestvisor"
#define LIBVIRT_MARK_URI    "urn:nestvisor:lab:1"

/* "LAB:NAME": no lab's or guest's name has a colon in it, and libvirt takes no path's slash. Lives in the arena, as
 * does all below. */
const char *libvirt_domain_name(struct arena *arena, const struct driver_guest *guest);
const char *libvirt_mark(struct arena *arena, const char *lab, const char *path);

/* emulator: the full path of the profile's QEMU, which libvirt wants. The console is a socket of QEMU's in the guest's
 * run_dir, the agent's channel its pair of FIFOs; a nic is the tap that is called so. */
const char *libvirt_domain_xml(struct arena *arena, const struct driver_guest *guest, const struct profile *profile,
			       const char *emulator);

#endif
