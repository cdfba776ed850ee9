/*
 * Isolation by libvirt's own packet filter (https://libvirt.org/formatnwfilter.html): three filters of nestvisor's,
 * defined once in a libvirt, and on the interfaces of a guest one of them with what is particular to it as parameters.
 *   nestvisor-clean-traffic   an open guest: all but frames with another's Ethernet address
 *   nestvisor-cut             ARP, and IP to and from the addresses that it keeps
 *   nestvisor-sealed          nothing
 * They look at each frame by itself: what a cut guest keeps is a matter of addresses, not of who began.
 */
#ifndef NESTVISOR_DRIVER_LIBVIRT_FILTER_H
#define NESTVISOR_DRIVER_LIBVIRT_FILTER_H

#include "base/ip.h"
#include "model/lab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct error;
struct talk;

/* What one interface is to have. */
struct libvirt_filter {
	uint8_t mac[6];		   /* of the guest's interface: how it is found */
	bool none;		   /* no filter at all */
	enum world world;	   /* which of the three */
	const struct prefix *keep; /* cut: where its packets may go and come from, either family */
	size_t keep_count;
};

/* "nestvisor-cut" */
const char *libvirt_filter_name(enum world world);
/* Its definition. */
const char *libvirt_filter_xml(struct arena *arena, enum world world);
/*
 * The interface with that address out of a domain's XML, with this filter in place of what it has. NULL: there is no
 * such interface. *ret_same: it is as it was.
 */
const char *libvirt_filter_interface(struct arena *arena, const char *domain_xml, const struct libvirt_filter *filter,
				     bool *ret_same);

/* The filter of somebody else's that it has, or NULL: that is left where it is. */
const char *libvirt_filter_of_another(struct arena *arena, const char *domain_xml, const struct libvirt_filter *filter);

/* A dump of libvirt's without the lines of our filters. */
const char *libvirt_filter_left_out(struct arena *arena, const char *domain_xml);

/*
 * Puts them on the interfaces of the guest that was started in run_dir, at once and for its next start; what is so
 * already is left. No domain, or one that does not run, is success: there is nothing to be held. -EPERM where another's
 * filter or domain is in the way, -EIO with libvirt's words; -ETIMEDOUT, with nothing changed, where libvirtd has not
 * answered within 5 s. One that stops answering later is waited for. Meanwhile libvirt has the interface without any
 * filter (it removes the old one first): whoever calls this for a guest that is cut sees to it that something else
 * holds it.
 */
int libvirt_filter_put(const char *run_dir, const struct libvirt_filter *filters, size_t count, struct error **err);

/* Whether a guest has had a filter since it was started, and not been rid of it. */
bool libvirt_filter_is_on(const char *run_dir);
void libvirt_filter_forget(const char *run_dir);

/* Takes our filters away, where the guest had one and no other one has. */
void libvirt_filter_undefine(struct talk *talk);

#endif
