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
struct isolation;

/* Looks at libvirt and tells the network of it. Of a lab of nestvisor's own it does nothing. */
int adopted_prepare(struct arena *arena, const struct lab *lab, struct net *net, struct libvirt_adopted *ret,
		    struct error **err);

/* Notes that in <run>/adopted.json, for when libvirt does not answer. */
void adopted_note(struct arena *arena, const struct folders *folders, const struct libvirt_adopted *adopted);

/*
 * For who has to hold guests though libvirt does not answer: the same, and noted; where it does not, or has nothing of
 * one that is to be held, what was noted last, or what the lab file has of NICs, with the taps that this machine has.
 * *ret_unsure, in the arena, is why it is that, or NULL.
 */
int adopted_prepare_to_hold(struct arena *arena, const struct folders *folders, const struct isolation *isolation,
			    struct net *net, const char **ret_unsure, struct error **err);

/* Remembers the lab, so that commands know it by its name: there is no `up` that has to come first. */
int adopted_remember(const struct folders *folders, const struct lab *lab, struct error **err);

#endif
