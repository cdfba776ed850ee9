/*
 * How the hosts of a bundle stack up: which is a guest of which, what connects their interfaces, by which gateways
 * traffic leaves, and what is translated on its way. Nothing here is new knowledge: it is what the relations
 * (bundle.h), routes and rules say, put together for drawing and for speaking of layers.
 *
 * A host is a guest of another where a tap of the one is the cable of the other, where Windows mirrors its interfaces
 * into WSL2, or where WSL2 stands behind Windows' "vEthernet (WSL)". Cables between equals make no layer.
 */
#ifndef NESTVISOR_FACTS_TOPOLOGY_H
#define NESTVISOR_FACTS_TOPOLOGY_H

#include "facts/bundle.h"

struct topology_host;

enum link_role {
	LINK_ROLE_NIC, /* any other */
	LINK_ROLE_LOOPBACK,
	LINK_ROLE_BRIDGE,
	LINK_ROLE_TAP, /* a guest's cable, or one that nobody uses */
};

struct topology_link {
	struct topology_host *host;
	const struct link *link;
	enum link_role role;
	struct topology_link *master; /* the bridge or bond it belongs to; NULL: none, or not known */
	struct topology_link **ports;
	size_t port_count;
	const struct topology_link *mirror_of; /* WSL2's image of this interface of Windows; NULL: none */
	bool joined;			       /* something outside this host hangs on it */
	size_t index;			       /* among all links of the topology */
	size_t segment;			       /* links with one number are on one Ethernet segment */
};

/* What connects interfaces of two or more hosts. */
struct topology_join {
	const struct relation *relation;
	struct topology_link **ends; /* NULL: an end that was not captured; of a subnet one for each segment */
	size_t end_count;
};

/* Routes of the main table that leave by one gateway. What is on the link itself follows from its addresses. */
struct topology_way {
	struct ip via;		       /* none: without a gateway (default dev ppp0) */
	const char *dev;	       /* NULL: not said */
	struct topology_link *link;    /* dev; NULL: not captured */
	struct topology_link *gateway; /* the interface that has the gateway's address; NULL: none that was captured */
	bool is_default;	       /* everything else goes here */
	const struct route **routes;   /* in the order of the capture; none: Windows says only its gateway */
	size_t route_count;
};

/* Packets that come in by one interface get another source where they leave by the other. */
struct topology_nat {
	struct topology_link *inside, *outside; /* outside NULL: whichever they leave by */
	uint8_t family;
	bool masquerade;
	const struct rule *rule;
};

struct topology_host {
	const struct facts *facts;
	struct topology_host *parent; /* NULL: none that was captured */
	struct topology_host **guests;
	size_t guest_count;
	struct topology_host
		*machine; /* of which it is a network namespace alone (bundle_machine()); NULL: of its own */
	struct topology_host **namespaces;
	size_t namespace_count;
	unsigned layer;	  /* where it is not known: the least that it can be */
	bool layer_known; /* no: its outermost host may be a guest itself */
	bool is_guest;	  /* of a host that was captured, or of another: then its CPU or kernel says so */
	bool wsl;
	struct topology_link *links; /* as in facts->links */
	size_t link_count;
	struct topology_way *ways; /* default ones first */
	size_t way_count;
	struct topology_nat *nats;
	size_t nat_count;
	bool nat4_known, nat6_known; /* was anything captured that would show rules that translate? */
	enum truth forwards4, forwards6;
};

struct topology {
	struct topology_host *hosts; /* as in bundle->hosts */
	size_t host_count;
	struct topology_host **roots; /* machines without a parent, in that order */
	size_t root_count;
	struct topology_join *joins; /* neighbours and subnets only where nothing better connects their ends */
	size_t join_count;
};

/* Lives in the arena and points into the bundle. */
struct topology *topology_new(struct arena *arena, const struct bundle *bundle);

#endif
