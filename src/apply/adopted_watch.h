/*
 * While a guest of an adopted lab is held, no tap of libvirt's passes anything that nobody knows (net/adopted.c): it may be the new
 * tap of a guest that is held. So a process waits for interfaces that come and go, asks libvirt whose they are, and
 * loads the rules anew: the guests that are not of the lab have their network in a moment. Without it they do when
 * somebody says `nestvisor up`; nobody is open meanwhile.
 *
 *   /run/nestvisor/<lab>/adopted.pid
 */
#ifndef NESTVISOR_APPLY_ADOPTED_WATCH_H
#define NESTVISOR_APPLY_ADOPTED_WATCH_H

#include "apply/folders.h"

struct cancel;
struct error;
struct isolation;

/* Starts it where somebody is held and it does not run; ends it where nobody is. Of a lab of nestvisor's own: nothing.
 */
int adopted_watch_set(const struct folders *folders, const struct isolation *isolation, struct error **err);
int adopted_watch_end(const struct folders *folders, struct error **err);

/* What that process does, until nobody is held, the lab is gone or it is cancelled. */
int adopted_watch_run(const struct folders *folders, struct cancel *cancel, struct error **err);

#endif
