/*
 * Facts of this machine's network, asked of the running kernel: rtnetlink(7), libnftables, nfnetlink, sock_diag(7), and
 * /proc/sys for sysctls. Programs are only started for what the kernel does not tell in a form that can be read:
 * iptables-save and its kin, where their tables exist.
 *
 * All of it is of the network namespace of the calling thread. What the caller may not see (without CAP_NET_ADMIN:
 * rules, sets, connections) is unknown, with a note that says why; it is never empty. Modules are not loaded for
 * the asking where that can be told beforehand.
 *
 * Origins name the interface: "netlink:route", "netlink:nftables#12" for the object with handle 12 in its table,
 * "/proc/sys/net/ipv4/ip_forward", "iptables-nft-save:7" for the program's seventh line.
 */
#ifndef NESTVISOR_FACTS_LIVE_H
#define NESTVISOR_FACTS_LIVE_H

#include "facts/bundle.h"
#include "facts/loader.h"

/* Adds the network to the host being loaded. Fails only where not even interfaces can be listed. */
int facts_live_network(struct loader *loader, struct error **err);

/* Adds everything but the network: what files tell (files.h), and what only programs know, which are started. */
void facts_live_system(struct loader *loader);

/* This host, whole: its network and everything else (files.h). It is called what uname(2) says. */
int bundle_live(struct bundle **ret, struct error **err);
/*
 * The network alone, some milliseconds where the whole takes tens: in another namespace of this host, to which the
 * calling thread goes and from which it comes back, or, with -1, in its own.
 */
int bundle_live_at(int netns, const char *name, struct bundle **ret, struct error **err);

#endif
