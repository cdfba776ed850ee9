/* What a libvirt has, by its own words: read only, nothing is started or changed. */
#ifndef NESTVISOR_DRIVER_LIBVIRT_LIST_H
#define NESTVISOR_DRIVER_LIBVIRT_LIST_H

#include <stddef.h>

struct arena;
struct document; /* facts/system.h */
struct error;

/*
 * The definitions of all domains and networks at a URI (https://libvirt.org/uri.html), as they are kept and not as they
 * run; sorted by name, domains first. A domain that vanishes meanwhile is left out. -ENOENT where there is no libvirt
 * here, -EIO with its words where it does not answer.
 */
int libvirt_list(const char *uri, struct arena *arena, struct document **ret, size_t *ret_count, struct error **err);

#endif
