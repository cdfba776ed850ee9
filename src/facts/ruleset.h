/*
 * All rules of a host, whoever made them: tables of nftables, and those of iptables, ip6tables and ebtables, in one form.
 * A base chain has a hook and a priority; at one hook the kernel runs the base chains of all tables in the order of their
 * priorities.
 *
 * iptables-nft and ebtables-nft keep their rules in nftables, so a capture often shows one chain twice, as iptables-save
 * prints it and as nft does. The second is `shadowed`: nft prints iptables' matches incompletely ("xt match set").
 */
#ifndef NESTVISOR_FACTS_RULESET_H
#define NESTVISOR_FACTS_RULESET_H

#include "facts/rule.h"

struct names;

enum family {
	FAMILY_NONE,
	FAMILY_IP,
	FAMILY_IP6,
	FAMILY_INET, /* both */
	FAMILY_ARP,
	FAMILY_BRIDGE,
	FAMILY_NETDEV,
};

enum backend {
	BACKEND_NONE,
	BACKEND_NFTABLES,
	BACKEND_XTABLES,	/* iptables, ip6tables, ebtables: which kernel side is not known */
	BACKEND_XTABLES_LEGACY, /* the kernel's x_tables */
	BACKEND_XTABLES_NFT,	/* in nftables */
};

enum hook {
	HOOK_NONE,
	HOOK_INGRESS,
	HOOK_EGRESS,
	HOOK_PREROUTING,
	HOOK_INPUT,
	HOOK_FORWARD,
	HOOK_OUTPUT,
	HOOK_POSTROUTING,
	HOOK_BROUTING, /* ebtables' broute: drop means "route it" */
};

enum chain_type {
	CHAIN_PLAIN, /* no base chain */
	CHAIN_FILTER,
	CHAIN_NAT,   /* sees the first packet of a connection only */
	CHAIN_ROUTE, /* routes anew where it changed the packet */
};

struct chain {
	const char *name;
	struct origin origin;
	enum chain_type type;
	enum hook hook;
	int32_t priority;
	enum verdict_kind policy; /* of a base chain; VERDICT_NONE: unknown, or no base chain */
	const char **devices;	  /* of ingress and egress */
	size_t device_count;
	const char *comment;
	struct rule *rules;
	size_t rule_count;
	enum truth whole;     /* are these all of its rules? no: the capture ends inside, or shows a part */
	const char *shadowed; /* the source that shows the same chain better; NULL: this one counts */
};

enum set_kind {
	SET_PLAIN,
	SET_MAP,
	SET_VERDICT_MAP,
	SET_IPSET,
};

struct set {
	enum set_kind kind;
	const char *name;
	struct origin origin;
	struct number handle;
	/* nftables: the fields or types of the key, one per part; ipset: see ipset_key() */
	enum datatype *key;
	size_t key_count;
	enum datatype *data; /* of maps */
	size_t data_count;
	const char *type; /* as written: "ipv4_addr . inet_service", "typeof ip saddr", "hash:net,iface" */
	enum family family; /* of ipsets */
	bool interval, constant, dynamic, auto_merge;
	struct number timeout; /* milliseconds, of elements that say none themselves */
	struct number size;
	const char *comment;
	struct element *elements;
	size_t element_count;
	enum truth elements_known; /* no: a listing without its elements (ipset -t) */
};

/* Flowtables, counters, quotas, limits, helpers and the like, as written. */
struct object {
	const char *kind; /* "flowtable", "ct helper" */
	const char *name;
	const char *text;
	const char **devices; /* of flowtables */
	size_t device_count;
	struct origin origin;
};

struct table {
	enum family family;
	const char *name;
	enum backend backend;
	struct origin origin;
	struct number handle;
	bool dormant; /* switched off */
	const char *comment;
	enum truth whole; /* are these all of its chains? */
	struct chain *chains;
	size_t chain_count;
	struct set *sets;
	size_t set_count;
	struct object *objects;
	size_t object_count;
	struct names *chain_names, *set_names; /* for table_chain() and table_set() alone; may be NULL */
};

/*
 * What was captured, and so what is known: a table that one of these covers and that is not in `tables` is known not to
 * be there. One that none covers is unknown.
 */
struct coverage {
	enum backend backend;
	enum family family; /* FAMILY_NONE: all */
	const char *table;  /* NULL: all */
	const char *chain;  /* NULL: all */
	struct origin origin;
};

struct ruleset {
	struct coverage *coverage;
	size_t coverage_count;
	struct table *tables;
	size_t table_count;
	struct set *ipsets;
	size_t ipset_count;
	enum truth ipsets_known;
	struct origin ipsets_origin;
};

const char *family_name(enum family family);
enum family family_find(const char *name, size_t length);
const char *hook_name(enum hook hook);
const char *verdict_name(enum verdict_kind verdict);

struct table *ruleset_table(const struct ruleset *ruleset, enum backend backend, enum family family, const char *name);
struct chain *table_chain(const struct table *table, const char *name);
struct set *table_set(const struct table *table, const char *name);
struct set *ruleset_ipset(const struct ruleset *ruleset, const char *name);

/* Is it known what stands in this table (even if that is nothing)? `backend` BACKEND_XTABLES asks for any of its kinds. */
bool ruleset_covers(const struct ruleset *ruleset, enum backend backend, enum family family, const char *table);

/* Hook, priority and type of a built-in chain of iptables, ip6tables (ip6 or ip) or ebtables (bridge); false: no such. */
bool xtables_base_chain(enum family family, const char *table, const char *chain, enum hook *ret_hook,
			int32_t *ret_priority, enum chain_type *ret_type);

/*
 * What a lookup in an ipset (EXPR_IPSET) looks up: an EXPR_CONCAT with one field for each part of the set's type, as the
 * directions say. A port is two parts, protocol and port, in elements as well. NULL where it cannot be said: a list:set,
 * whose members are looked up one by one, another family's set, or too few directions (the kernel then finds nothing).
 */
struct arena;
struct expr *ipset_key(struct arena *arena, const struct set *set, enum family family, const struct expr *lookup);

#endif
