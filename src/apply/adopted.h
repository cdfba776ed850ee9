/*
 * A lab that was adopted from a libvirt: what libvirt has of it, for the network and for status. Nothing of libvirt's
 * is changed; what nestvisor does is isolation, by rules of its own (net/adopted.c).
 */
#ifndef NESTVISOR_APPLY_ADOPTED_H
#define NESTVISOR_APPLY_ADOPTED_H

#include "apply/folders.h"
#include "driver/libvirt_adopted.h"
#include "net/net.h"

struct arena;
struct error;

/* Looks at libvirt and tells the network of it. Of a lab of nestvisor's own it does nothing. */
int adopted_prepare(struct arena *arena, const struct lab *lab, struct net *net, struct libvirt_adopted *ret,
		    struct error **err);

/* Remembers the lab, so that commands know it by its name: there is no `up` that has to come first. */
int adopted_remember(const struct folders *folders, const struct lab *lab, struct error **err);

#endif
