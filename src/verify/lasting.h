/*
 * How changes are made to last on their host: by wsl.conf in WSL; by what configures its network (netplan,
 * NetworkManager, ifupdown, systemd-networkd) for routes; by what keeps its rules (ufw, firewalld, libvirt, Docker,
 * netfilter-persistent, nftables.conf) for rules; as far as the facts tell. Files of nestvisor's own hold all changes
 * of a host together.
 */
#ifndef NESTVISOR_VERIFY_LASTING_H
#define NESTVISOR_VERIFY_LASTING_H

#include "verify/change.h"

/* Sets `permanent` of all changes; where there are several, the likeliest is the first. `made`: the names of hosts that
 * `nestvisor up` makes anew, so that nothing lasts on them (PLACE_NOWHERE), up to NULL; NULL: none. */
void lasting_find(struct arena *arena, const struct bundle *bundle, const char *const *made,
		  struct change *const *changes, size_t count);

/* One that `nestvisor up` makes: "nestvisor" in a lab's own network, "nestvisor-LAB" on the machine. */
bool lasting_is_labs_table(enum backend backend, const char *table);

/* A unit of systemd's that makes the change at every start: for a host that has nothing better. */
struct permanent lasting_service(struct arena *arena, const struct bundle *bundle, const struct change *change);

#endif
