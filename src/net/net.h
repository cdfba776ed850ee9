/*
 * The network of one host of one lab: a namespace of its own with bridges, taps, routes, rules and one uplink. All by
 * netlink (rtnetlink(7)) and libnftables; no program is started except dnsmasq. Every function is idempotent: it makes
 * the thing so, and is content where it is so already. What is made carries a mark (an interface alias or the table's
 * name), and only marked things are changed or removed.
 *
 *   root namespace of the host          namespace nestvisor-<lab>
 *   ┌───────────────────────┐          ┌────────────────────────────────────────┐
 *   │ eth0 … nv<id>w ───────┼── veth ──┼─ world     <bridge> ── <tap> ── guest   │
 *   └───────────────────────┘          └────────────────────────────────────────┘
 */
#ifndef NESTVISOR_NET_NET_H
#define NESTVISOR_NET_NET_H

#include "base/ip.h"
#include "base/process.h"

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct cancel;
struct error;
struct guest;
struct host;
struct isolation;
struct lab;
struct network;
struct nic;
struct reporter;

/*
 * The mark of our routes, in the namespace and in the host's root namespace: their originator (rtm_protocol), one that
 * nobody has in iproute2's list (etc/iproute2/rt_protos). `ip route show proto 110` shows them.
 */
enum { NET_ROUTE_PROTOCOL = 110 };

struct net; /* the network of lab->root; opened per process */

/* Remembers the lab; creates nothing. run_dir: the lab's folder under /run for dnsmasq's files. */
int net_open(const struct lab *lab, const char *run_dir, struct net **ret, struct error **err);
void net_close(struct net *net);

/* The namespace, its loopback and its sysctls (forwarding for both families, no redirects). net_netns_fd is -1 before
 * it exists. */
int net_make_namespace(struct net *net, struct error **err);
/* Whether it is there and its sysctls are those. */
int net_check_namespace(struct net *net, bool *ret_same, struct error **err);
int net_netns_fd(const struct net *net);
bool net_namespace_exists(const struct net *net);

/*
 * The veth to the root namespace, transit addresses taken from a free part of 100.64.0.0/10 (RFC 6598) and of a ULA
 * (RFC 4193), default routes inside, and in the root namespace: one nftables table `nestvisor-<lab>` for NAT, and for
 * `route` networks the routes back. On L0 no sysctl outside the namespace and the veth is changed: where the machine
 * does not forward, that is reported with the remedy (or pasta is used). On a host that is itself a guest of the lab,
 * forwarding is switched on. Without any network with an uplink nothing is made.
 */
int net_make_uplink(struct net *net, struct reporter *reporter, struct error **err);
/* Whether it has its addresses, routes and rules, in both namespaces; without any network with an uplink: that none is
 * there. */
int net_check_uplink(struct net *net, bool *ret_same, struct error **err);

/*
 * The way in for published ports of guests at any depth, where there are any: a veth of its own to the root namespace
 * and one nftables table `nestvisor-<lab>/publish` there, which sends connections to the lab's ports into the
 * namespace; the rules inside send them on. At L0 no sysctl but the veth's own is changed. Where others' packets will
 * not get through, that is reported.
 */
int net_make_publish(struct net *net, struct reporter *reporter, struct error **err);
int net_check_publish(struct net *net, bool *ret_same, struct error **err);

int net_make_network(struct net *net, const struct network *network,
		     struct error **err); /* bridge, gateway addresses, encapsulation */
int net_remove_network(struct net *net, const char *bridge, struct error **err);

/* The whole ruleset of the namespace in one transaction: forwarding, isolation, anti-spoofing. Must stand before the
 * first tap is up. */
int net_make_rules(struct net *net, struct error **err);
/* Whether the rules in the kernel are the ones that net_make_rules would make. */
int net_check_rules(struct net *net, bool *ret_same, struct error **err);

/* Which guests the rules hold, from now on; it must outlive the net. NULL, as at first: those that the lab file says.
 */
void net_set_isolation(struct net *net, const struct isolation *isolation);

/*
 * Of a lab that was adopted from a libvirt (lab->adopted) the network is libvirt's, in the namespace that the thread is
 * in: nothing is made there, and what these functions know of it is the ends of guests' NICs, as the caller has found
 * them out. The rules are then two tables of the lab's name with what its cut and sealed guests may not, or none where
 * no guest is held (adopted.c). net_check_rules, net_isolate, net_make_rules and net_remove_all know both kinds of
 * labs.
 */
struct net_adopted_nic {
	const struct guest *guest;
	const char *type;   /* libvirt's word for what it is plugged into, for messages */
	const char *device; /* the name of its tap; NULL: it has none here */
	const char *bridge; /* that it is, or would be, plugged into; NULL: none here */
	bool running;	    /* whether its domain runs */
	uint8_t mac[6];
	const char *passed; /* no NIC, but what else goes past bridges, for messages; nothing but `guest` counts then */
};
/* Borrowed. Without it such a lab's rules cannot be made or checked: -ENODATA. */
void net_set_adopted(struct net *net, const struct net_adopted_nic *nics, size_t count);
/* The taps of guests that are not of the lab, borrowed; or NULL, as at first: nobody knows them, and each tap that is
 * there is taken for one. */
void net_set_adopted_others(struct net *net, const char *const *taps, size_t count);
/*
 * Whether this machine forwards flows by a flowtable of nft's, past all rules of its chains: its name, freed by the
 * caller, or NULL.
 */
char *net_find_flowtable(void);
/* Whether a tap of libvirt's passes nothing, while a guest is held, since it is not known whose it is. */
int net_has_unknown_ports(struct net *net, bool *ret, struct error **err);

/*
 * What this machine itself knows of such NICs while libvirt does not answer: libvirt gives a tap the MAC address of its
 * NIC with 0xfe as its first byte. Sets device, bridge and running; the bridge stays where there is no tap.
 */
int net_find_adopted(struct net *net, struct arena *arena, struct net_adopted_nic *nics, size_t count,
		     struct error **err);

/*
 * Whether that isolation of the guest, NULL: of each, can be made real: -EOPNOTSUPP where not, and 0 in any other lab
 * than an adopted one. net_isolate holds whoever can be held and is silent about the rest, so ask first; net_make_rules
 * holds them, too, and then fails for the rest.
 */
int net_can_hold(struct net *net, const struct isolation *isolation, const struct guest *guest, struct error **err);

/*
 * From the isolation that is set to another one, which is then set: one transaction that changes elements of sets, in
 * both tables. Where the rules in the kernel are not those that they should be, all of them are loaded anew instead.
 * The caller sees to it that no other process does the same at this moment.
 */
struct net_switched {
	bool reloaded;		  /* all rules anew */
	size_t elements;	  /* that came or went; 0: there was nothing to do */
	long long transaction_ns; /* how long the kernel took for it; of all rules: the loading of them */
};
int net_isolate(struct net *net, const struct isolation *after, struct net_switched *ret, struct error **err);

/*
 * Afterwards: ends the flows (conntrack entries) that guests held more tightly since may not have any more, in the
 * namespace and, translated, outside. Their packets are stopped by the rules already; this takes milliseconds.
 */
int net_end_flows(struct net *net, const struct isolation *before, const struct isolation *after, size_t *ret_count,
		  struct error **err);

/* Ends every flow that a guest of this host, or one below it, has: of one that will not know them any more. */
int net_end_all_flows(struct net *net, const struct guest *guest, size_t *ret_count, struct error **err);

/* A tap on the network's bridge, with as many queues as said. Each has a descriptor in ret_fds, for QEMU (-netdev
 * tap,fds=M:N), with vnet headers. -EBUSY while another holds it. */
int net_make_tap(struct net *net, const struct nic *nic, size_t queues, int *ret_fds, struct error **err);
/*
 * The same for a hypervisor that opens its taps by name in the host's root namespace (libvirt). net_make_loose_tap
 * makes one there, under nic_loose_tap's name, without a cable, that waits to be opened, for one queue or for several
 * (the two are not the same to whoever opens it); net_plug_tap then takes it
 * into the lab's namespace, under the name that the lab knows it by, and onto its bridge. What is left of either from
 * before is removed.
 */
int net_make_loose_tap(struct net *net, const struct nic *nic, bool several_queues, struct error **err);
int net_plug_tap(struct net *net, const struct nic *nic, struct error **err);

/*
 * Where libvirt itself is to filter a guest (nwfilter), its tap must be where libvirt is and on a bridge there: such a
 * tap is lent. It is given back by the next start of the guest: net_make_loose_tap begins anew. Works on a loose tap
 * and on the plugged one of a guest that runs, which misses what is sent in these milliseconds; on a lent one it does
 * nothing.
 */
int net_lend_tap(struct net *net, const struct nic *nic, struct error **err);

int net_remove_tap(struct net *net, const char *tap, struct error **err);

/* Routes to the networks of deeper layers, through the guest that leads there, for both families; stale ones are
 * removed. */
int net_make_routes(struct net *net, struct error **err);
/* Whether they are there. */
int net_check_routes(struct net *net, bool *ret_same, struct error **err);

/* dnsmasq for a network with dhcp or dns; without either, makes sure that none runs. */
int net_make_dhcp(struct net *net, const struct network *network, struct cancel *cancel, struct error **err);

/* Everything with the lab's mark: processes, namespace, veth, root table, routes. Needs only the lab's name: the lab
 * file may be gone. */
int net_remove_all(const char *lab_name, const char *run_dir, struct error **err);

/*
 * What the kernel has in the namespace now, for the planner: names of bridges that are up and have their gateways'
 * addresses, of tunnels and taps. Freed with
 * net_actual_free. uplink_exists: the uplink is there if and only if a network of this host wants one.
 */
struct net_actual {
	bool namespace_exists, uplink_exists;
	char (*interfaces)[16];
	size_t interface_count;
};
int net_look(struct net *net, struct net_actual *ret, struct error **err);
void net_actual_free(struct net_actual *actual);
bool net_actual_has(const struct net_actual *actual, const char *interface);

/*
 * Routes of the thread's own namespace that a lab's subnets should not overlap: those of every table, but for default
 * routes (also in halves), link-local and multicast ones, "lo" and the uplinks of labs. Freed by the caller with
 * free(3).
 */
struct net_overlap {
	struct prefix prefix;
	char interface[16];
};
int net_host_routes(struct net_overlap **ret, size_t *ret_count, struct error **err);
/*
 * How packets of this machine get to an address: the address that they leave with, and the largest that gets there in
 * one piece, as far as the kernel knows or is told now (ip(7), IP_MTU): a datagram of that size is sent to the discard
 * port.
 */
int net_path(const struct ip *to, struct ip *ret_from, unsigned *ret_mtu, struct error **err);
/* The IPv4 router of the thread's own namespace, the nearest place of the world; family 0: none. */
int net_host_router(struct ip *ret, struct error **err);
/* The first of them that overlaps a prefix. */
int net_host_overlap(const struct prefix *prefix, struct net_overlap *ret, bool *ret_found, struct error **err);

#endif
