/*
 * The domains and networks of a libvirt that a lab has adopted (model/lab.h): looked at, and never changed but for a
 * mark on request. Read by a connection that can only read.
 */
#ifndef NESTVISOR_DRIVER_LIBVIRT_ADOPTED_H
#define NESTVISOR_DRIVER_LIBVIRT_ADOPTED_H

#include "model/lab.h"

struct error;

/*
 * The mark of an adopted domain: <nestvisor:adopted xmlns:nestvisor="…">LAB/PATH</nestvisor:adopted> in its metadata.
 * Another one than that of the domains that nestvisor made (driver/libvirt_xml.h): it gives nobody a right to change
 * it.
 */
#define ADOPTED_MARK_URI "urn:nestvisor:adopted:1"

struct adopted_interface {
	const char *type;   /* libvirt's: "network", "bridge", "direct", "hostdev", … */
	const char *device; /* its end on this machine, "vnet0"; NULL: it has none, or the domain does not run */
	const char *bridge; /* it is plugged into, or would be; NULL: none of this machine's */
	uint8_t mac[6];
};

struct adopted_domain {
	bool exists;
	bool running;	   /* its QEMU runs: paused is running, too */
	const char *state; /* "running", "paused", "shut off", … */
	struct adopted_interface *interfaces;
	size_t interface_count;
	const char *passed; /* a way out beside its interfaces, "a PCI device of this machine's"; NULL: none is known */
};

struct adopted_network_state {
	bool exists, active;
	const char *bridge; /* NULL: it has none */
};

struct libvirt_adopted {
	const struct lab *lab;
	struct adopted_domain *domains;		/* of lab->root->guests */
	struct adopted_network_state *networks; /* of lab->root->networks */
	const char **others;			/* the taps of domains that run and are none of these */
	size_t other_count;
};

/* All lives in the arena. -ENOENT where there is no libvirt here, -EIO with its words where it cannot be asked,
 * -ETIMEDOUT where it has not answered after five seconds, -ENOTSUP without libxml2. */
int libvirt_adopted_look(const struct lab *lab, struct arena *arena, struct libvirt_adopted *ret, struct error **err);

/* The same of a captured domain's XML, which is taken for one that runs; no network has a bridge then. */
int libvirt_adopted_read(const char *xml, struct arena *arena, struct adopted_domain *ret, struct error **err);

/* Gives the lab's bridges, and the NICs of domains that run, the names that they have on this machine; by MAC address.
 */
void libvirt_adopted_attach(struct lab *lab, const struct libvirt_adopted *adopted);

/* Puts the mark on each domain of the lab, or takes it away; *ret_count: how many that were. */
int libvirt_adopted_mark(const struct lab *lab, bool mark, size_t *ret_count, struct error **err);

#endif
