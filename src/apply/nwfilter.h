/*
 * The other method of isolation: a guest of libvirt's is held by a filter on its interfaces (driver/libvirt_filter.h)
 * and not by the lab's rules, which leave its own setting to it. For that its taps are lent to libvirt (net_lend_tap):
 * a running guest's at the first change that asks for it, and from then on until the guest is started without it.
 *
 * A filter knows addresses and not who began a flow: a cut guest keeps its hosts' addresses, from which administrators
 * come, and the lab's subnets; it has no places of the world allowed and no timed opening. What its host's resolver
 * tells it is the lab's rules' business with either method.
 */
#ifndef NESTVISOR_APPLY_NWFILTER_H
#define NESTVISOR_APPLY_NWFILTER_H

#include "apply/folders.h"
#include "model/isolation.h"

#include <stdbool.h>

struct arena;
struct error;
struct net;

/* -EINVAL, with the reason, where a guest cannot be held so, or not as the setting wants it. */
int nwfilter_check(const struct lab *lab, const struct guest *guest, const struct isolation_setting *setting,
		   struct error **err);

/* libvirt will be asked to change something: gets ready for that beside what the caller does first. */
void nwfilter_get_ready(void);

/*
 * Of a guest of this host that runs: its filter as its setting says, or none where the rules hold it. `asked`: also
 * where libvirt should have it already. Guests that do not run get it when they start. With the isolation's lock held.
 */
int nwfilter_put(struct arena *arena, const struct folders *folders, struct net *net, const struct isolation *isolation,
		 const struct guest *guest, bool asked, struct error **err);

/* Of one that is being started, with its CPUs stopped: its taps come to their networks. The same lock. */
int nwfilter_plug(const struct folders *folders, struct net *net, const struct isolation *isolation,
		  const struct guest *guest, struct error **err);

/*
 * Whether the kernel has what libvirt has written for the taps of a guest that is held so: looked for in nftables,
 * where ebtables-nft keeps it. False also where that cannot be seen.
 */
bool nwfilter_stands(const struct guest *guest);

#endif
