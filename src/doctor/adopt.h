/*
 * A lab file of what libvirt has: its domains become guests of L0, its networks L0's networks. What a lab file has no
 * word for stands in the file as a comment, with the reason, above what it belongs to. Elements of a domain, of its
 * devices and of a network that nobody here knows are named, too; within known ones, what nestvisor chooses itself (a
 * disk's cache, a controller's model) is not noted.
 *
 * A domain is left out, in a comment that says why, where nestvisor could not run the like of it (a container, another
 * architecture) or where it is nestvisor's own. A NIC or a network is, where the rules of a lab file cannot be kept: a
 * network must have a subnet, and a NIC on one without DHCP an address. Formats: https://libvirt.org/formatdomain.html,
 * https://libvirt.org/formatnetwork.html.
 */
#ifndef NESTVISOR_DOCTOR_ADOPT_H
#define NESTVISOR_DOCTOR_ADOPT_H

#include <stddef.h>

struct arena;
struct document; /* facts/system.h */
struct error;

struct adoption {
	const char *text; /* the lab file; the same for the same documents */
	size_t guests, networks;
	size_t left_out; /* domains and networks that are a comment alone */
	size_t notes;	 /* what else could not be expressed */
};

/*
 * Documents that are neither domains nor networks do not count. `lab` is the new lab's name; `origin` says where the
 * documents are from, for the file's first lines. `driver`: the URI of the libvirt whose they are, where a lab file on
 * this machine can have it: the guests and networks are then those themselves (the keys "driver" and "adopted"); NULL:
 * they are the like of them, for nestvisor to make. -ENOENT where there is neither a domain nor a network, -ENOTSUP
 * without libxml2. XML that cannot be read is left out with a comment. All lives in the arena.
 */
int adopt_lab_file(struct arena *arena, const struct document *documents, size_t count, const char *lab,
		   const char *origin, const char *driver, struct adoption *ret, struct error **err);

#endif
