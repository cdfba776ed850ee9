/* Interfaces, their addresses, bridges and their ports, neighbours. ip-link(8), ip-address(8), bridge(8). */
#ifndef NESTVISOR_FACTS_LINK_H
#define NESTVISOR_FACTS_LINK_H

#include "base/ip.h"
#include "facts/fact.h"

#include <stddef.h>

struct address {
	struct prefix prefix; /* as written: the host's bits are set */
	struct ip peer;	      /* of point-to-point links */
	struct ip broadcast;
	const char *scope;  /* "global", "link", "host" */
	const char **flags; /* "dynamic", "noprefixroute", "tentative" */
	size_t flag_count;
	const char *label;
	struct origin origin;
};

struct bridge {
	enum truth stp, vlan_filtering, mcast_snooping;
	enum truth nf_call_iptables, nf_call_ip6tables, nf_call_arptables;
	const char *id;
};

struct bridge_port {
	const char *state; /* "forwarding" */
	enum truth hairpin, isolated, learning, flood, guard, locked, neigh_suppress;
	struct number priority, cost;
};

struct tunnel {
	struct number id; /* of vxlan, geneve: the VNI */
	struct ip local, remote;
	const char *dev; /* the link it runs over */
	struct number port;
};

struct link {
	const char *name;
	struct number index;
	const char *kind;   /* "bridge", "veth", "tun", "vlan", "vxlan", "loopback", "ether"; NULL: unknown */
	const char **flags; /* "UP", "LOWER_UP", "BROADCAST" */
	size_t flag_count;
	enum truth up;	    /* switched on */
	enum truth carrier; /* has a cable that works: LOWER_UP */
	const char *state;  /* "UP", "DOWN", "UNKNOWN" */
	struct number mtu;
	struct mac mac;
	struct mac permanent_mac; /* where it is not the one above */
	const char *master; /* the bridge or bond it belongs to; "": none; NULL: unknown */
	const char *parent; /* the link a vlan, macvlan or tunnel stands on, or the peer of a veth in the same namespace */
	struct number peer_index;  /* of the peer, where it is in another namespace (eth0@if3) */
	struct number peer_netnsid;
	const char *qdisc;
	const char *xdp; /* a program that may take packets before all rules; NULL: none shown */
	const char *alias;
	struct number group;
	struct number vlan_id;
	const char *tun_type; /* "tap", "tun" */
	struct bridge bridge;
	struct bridge_port port;
	struct tunnel tunnel;
	struct ip *dns; /* Windows: its name servers */
	size_t dns_count;
	struct ip *gateways; /* Windows */
	size_t gateway_count;
	struct address *addresses;
	size_t address_count;
	enum truth addresses4_known; /* unknown: nothing that would list its addresses was captured (ip link) */
	enum truth addresses6_known;
	struct origin *origins; /* all places that say something of it */
	size_t origin_count;
};

struct neighbour {
	struct ip ip;
	const char *dev;
	struct mac mac;	   /* unknown: not resolved */
	const char *state; /* "REACHABLE", "STALE", "PERMANENT", "FAILED" */
	enum truth router, proxy;
	struct origin origin;
};

/* An entry of a bridge's forwarding table. */
struct fdb_entry {
	struct mac mac;
	const char *dev;
	const char *master; /* NULL: the device's own (self) */
	struct number vlan;
	struct ip destination; /* of VXLAN: where the MAC is */
	const char *state;     /* "permanent", "static", "stale"; NULL: learned */
	struct origin origin;
};

#endif
