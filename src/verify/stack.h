/*
 * The stack: the facts of several hosts, prepared for looking things up. Both engines that compute the way of packets
 * read it, the symbolic one and the interpreter. It holds structures only: what a packet does with them is the engines'
 * business, so nothing here changes after stack_new(), and several threads may read it.
 *
 * What was not captured stays unknown: a sysctl without a value, a table of routes with `known` other than yes, a host
 * with gaps. What the kernel makes by itself (the local table from the addresses, the three usual policy rules) is put
 * in where it was not captured and marked as `derived`: an engine that uses it must say so.
 */
#ifndef NESTVISOR_VERIFY_STACK_H
#define NESTVISOR_VERIFY_STACK_H

#include "facts/bundle.h"

struct arena;
struct stack_link;
struct stack_host;
struct stack_table;

/* Numbers as wide as an IPv6 address: addresses of either family, ports, MACs, marks. In host order. */
typedef unsigned __int128 wide;

wide wide_of_ip(const struct ip *ip); /* of IPv4 the 32 bits */
wide wide_of_mac(const uint8_t mac[6]);
struct ip wide_to_ip(wide value, uint8_t family);

/* ---- what a rule compares with, as ranges ---- */

enum stack_part_kind {
	PART_RANGE,   /* low to high, both included */
	PART_TEXT,    /* an interface's name and the like */
	PART_PREFIX,  /* any text that begins with `text` */
	PART_ANY,     /* every value */
	PART_UNKNOWN, /* not understood: it may be anything */
};

struct stack_part {
	enum stack_part_kind kind;
	uint8_t family; /* of addresses: AF_INET, AF_INET6; else 0. Addresses of two families never are equal */
	wide low, high;
	const char *text;
};

/* A constant as a part. An expression that is none (a field, a set) gives PART_UNKNOWN. */
struct stack_part stack_part(const struct expr *constant);

struct stack_element {
	const struct element *element;
	struct stack_part *parts; /* as many as the set has */
};

/* A named set or map, or an ipset. */
struct stack_set {
	const struct set *set;
	const struct stack_table *table; /* NULL: an ipset */
	size_t part_count;
	struct stack_element *elements;
	size_t element_count;
	/*
	 * One part, all of them ranges of one family that do not overlap, in rising order, none a `nomatch`: found by
	 * halving. Otherwise in the order of the facts.
	 */
	bool ordered;
	bool complete; /* these are all elements there were when it was captured */
	bool changing; /* packets add and remove elements (dynamic sets, -j SET, timeouts): what is in it may differ now
			*/
};

/* ---- rules ---- */

struct stack_chain {
	struct stack_table *table;
	const struct chain *chain;
	size_t number; /* of the host's chains, from 0: for tables of the engines' own */
};

struct stack_table {
	struct stack_host *host;
	const struct table *table;
	struct stack_chain *chains; /* sorted by name; those that count only (not shadowed) */
	size_t chain_count;
	struct stack_set *sets; /* sorted by name */
	size_t set_count;
	bool meets_fragments; /* nothing has put packets together before all of its chains */
};

/* Which list of base chains a packet runs through. A table of family inet is in the first two. */
enum stack_family {
	STACK_IP4,
	STACK_IP6,
	STACK_ARP,
	STACK_BRIDGE,
	STACK_FAMILY_COUNT,
};

enum { STACK_HOOK_COUNT = HOOK_BROUTING + 1 };

/* What the kernel itself does at the hooks, between the chains (enum nf_ip_hook_priorities). */
enum {
	STACK_PRIORITY_DEFRAGMENT = -400,
	STACK_PRIORITY_CONNTRACK = -200,       /* prerouting, output */
	STACK_PRIORITY_NAT_DESTINATION = -100, /* prerouting, output */
	STACK_PRIORITY_NAT_SOURCE = 100,       /* input, postrouting */
};

/*
 * The base chains at one hook, in the order in which they run: by priority, and among equals the youngest first. Chains
 * of type nat stand together where the kernel translates, whatever their own priority; that orders them among
 * themselves.
 */
struct stack_hook {
	struct stack_chain **chains;
	size_t count;
};

/* ---- routing ---- */

struct stack_route {
	const struct route *route;
	struct prefix to; /* without host bits */
	uint64_t metric;
	bool derived; /* not captured: it follows from an address of an interface */
};

/* One table of routes. */
struct stack_fib {
	const char *name;
	uint8_t family;
	enum truth known; /* are these all of its routes? derived ones do not count */
	/* From the longest prefix to the shortest; among equals by address, then as the kernel takes them: by metric,
	 * in IPv4 by falling tos before that. */
	struct stack_route *routes;
	size_t route_count;
	struct stack_fib_length {
		uint8_t length;
		size_t first, count;
	} * lengths; /* the prefix lengths that occur, the longest first */
	size_t length_count;
};

struct stack_policy {
	const struct policy_rule *rule;
	struct stack_fib *fib; /* of a lookup; NULL: no route in it, and none is known to be */
	size_t target;	       /* of a goto: the index of the first rule at or behind its priority */
	bool derived;	       /* not captured: as every kernel begins with */
};

struct stack_routing {
	struct stack_policy *policies; /* in the order in which they are asked */
	size_t policy_count;
	bool policies_known;
	struct stack_fib *fibs; /* sorted by name */
	size_t fib_count;
};

/* A walk over the routes to an address, the best one first. Begin with {}. */
struct stack_fib_cursor {
	size_t length, route, end;
};
const struct stack_route *stack_fib_next(const struct stack_fib *fib, const struct ip *address,
					 struct stack_fib_cursor *cursor);
struct stack_fib *stack_fib(const struct stack_routing *routing, const char *name); /* NULL: none */

/* ---- hosts and their interfaces ---- */

struct stack_sysctl {
	struct number value;
	const struct sysctl *from; /* the one that decides; NULL: none was captured */
	bool inferred;		   /* of an interface, from the one for all: that is what it begins with */
};

/* How the far end of an interface is known. */
struct stack_end {
	struct stack_link *link; /* NULL: outside what was captured */
	const struct relation *relation;
};

struct stack_link {
	struct stack_host *host;
	const struct link *link;
	const char *name;
	size_t number; /* of the host's interfaces, from 0 */
	bool loopback;
	bool is_bridge;
	struct stack_link *master; /* the bridge it is a port of; NULL: none */
	struct stack_link **ports; /* of a bridge */
	size_t port_count;
	struct stack_link
		*parent; /* of a VLAN, macvlan or tunnel: the one it stands on; of a veth: its peer; or NULL */
	/* Cables: what is sent here is received there. At most one is usual. */
	struct stack_end *cables;
	size_t cable_count;
	/* Others that are on the same link as far as addresses and MACs tell, perhaps behind bridges. */
	struct stack_end *neighbours;
	size_t neighbour_count;
	struct stack_hook ingress, egress; /* base chains of netdev tables, and of inet tables at ingress */
	/* As ip-sysctl.rst says they count: per interface, the larger of it and `all`, or either of the two. */
	struct stack_sysctl forwarding4, rp_filter, accept_local, route_localnet, src_valid_mark;
	struct stack_sysctl forwarding6, disable_ipv6, proxy_arp, arp_ignore, arp_filter;
};

enum stack_gap_kind {
	GAP_NFTABLES, /* nft list ruleset */
	GAP_XTABLES4, /* iptables-save: tables of iptables */
	GAP_XTABLES6, /* ip6tables-save */
	GAP_EBTABLES, /* ebtables-save */
	GAP_KIND_COUNT,
};

struct stack_host {
	struct stack *stack;
	const struct facts *facts;
	const char *name;
	size_t number;		  /* of the stack's hosts, from 0 */
	struct stack_link *links; /* in the order of the facts */
	size_t link_count;
	struct stack_link **links_by_name;
	struct stack_routing routing4, routing6;
	struct stack_table *tables; /* those that count: not dormant */
	size_t table_count;
	size_t chain_count;	  /* of all tables */
	struct stack_set *ipsets; /* sorted by name */
	size_t ipset_count;
	struct stack_hook hooks[STACK_FAMILY_COUNT][STACK_HOOK_COUNT];
	/* What of its rules was not captured, so that there may be base chains that are not in `hooks`. */
	bool gaps[GAP_KIND_COUNT];
	/* Does anything make the kernel track connections of this family (nat chains, ct in a rule)? */
	bool tracks4, tracks6;
	bool translates[STACK_FAMILY_COUNT]; /* Has it nat chains? All four hooks translate then (nf_nat_register_fn).
					      */
	struct stack_sysctl bridge_nf_iptables, bridge_nf_ip6tables, bridge_nf_arptables;
	struct stack_sysctl tcp_loose, forwarding6; /* net.ipv6.conf.all.forwarding */
};

struct stack {
	struct arena *arena;
	const struct bundle *bundle;
	struct stack_host *hosts; /* as in the bundle: in the order of their names */
	size_t host_count;
};

/* Never fails; the bundle must outlive it. */
struct stack *stack_new(const struct bundle *bundle);
void stack_free(struct stack *stack); /* NULL is fine */

static inline void stack_freep(struct stack **stack)
{
	stack_free(*stack);
}
#define cleanup_stack __attribute__((cleanup(stack_freep)))

/* NULL: none of that name. */
struct stack_host *stack_host(const struct stack *stack, const char *name);
struct stack_link *stack_link(const struct stack_host *host, const char *name);
struct stack_chain *stack_chain(const struct stack_table *table, const char *name);
struct stack_set *stack_set(const struct stack_table *table, const char *name);
struct stack_set *stack_ipset(const struct stack_host *host, const char *name);

/*
 * Whether a rule there reads a field of the transport's header in later fragments, too, which have none: whatever bytes
 * stand where it would be. nftables does for what it compares itself (nft_payload_fast_eval), and iptables-nft leaves
 * the ports and flags of `-p tcp` and `-p udp` to it (since 1.8.8). All others never match such packets.
 */
bool stack_reads_fragments(const struct stack_table *table, enum field field);
/* In IPv6 it takes the network's header for the transport's there (nft_set_pktinfo_ipv6: thoff stays 0), which begins
 * with the version: the values that are read then. False: any. */
bool stack_read_in_fragments6(enum field field, uint16_t *ret_first, uint16_t *ret_last);

/* Whether the rules of routing are those that Linux starts with (ip-rule(8)): local, main, default. */
bool stack_routing_is_usual(const struct stack_routing *routing);

/* Where they were not captured it is taken to have some, as interfaces that packets come in by mostly do. */
bool stack_link_has_addresses4(const struct stack_link *link);

/* "secondary", "tentative", … as ip-address(8) names them. */
bool stack_address_has_flag(const struct address *address, const char *flag);

/* An address of that family which the kernel may choose to send from: none that is secondary, tentative, deprecated. */
bool stack_address_is_usable(const struct address *address, uint8_t family);

/* The interface that has this address; NULL: none of the host. */
struct stack_link *stack_link_with_address(const struct stack_host *host, const struct ip *address);

/* "iptables' tables filter, raw", and the command that shows them: "iptables-save". */
const char *stack_gap_name(const struct stack_host *host, enum stack_gap_kind kind, struct arena *arena);
const char *stack_gap_command(enum stack_gap_kind kind);

#endif
