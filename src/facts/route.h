/* Routes of all tables, and the rules that choose a table. ip-route(8), ip-rule(8). */
#ifndef NESTVISOR_FACTS_ROUTE_H
#define NESTVISOR_FACTS_ROUTE_H

#include "base/ip.h"
#include "facts/fact.h"

#include <stddef.h>

struct nexthop {
	struct ip via; /* none: on the link itself. May be of the other family */
	const char *dev;
	struct number weight;
	const char **flags; /* "onlink", "linkdown", "dead" */
	size_t flag_count;
};

struct route {
	uint8_t family; /* AF_INET, AF_INET6 */
	uint8_t type;	/* ROUTE_TYPE_* of field.h: unicast, local, broadcast, blackhole, … */
	struct prefix to; /* default is 0.0.0.0/0 or ::/0 */
	struct prefix from; /* IPv6: only for this source; none: any */
	const char *table; /* "main", "local", "default", "100" */
	struct number metric;
	struct number tos;
	const char *protocol; /* who made it: "kernel", "static", "dhcp", "ra"; NULL: unknown, or "boot", which ip(8) leaves out */
	const char *scope;    /* "link", "host"; NULL: unknown, or "global", which ip(8) leaves out */
	struct ip source; /* what local packets take as their source */
	struct number mtu;
	struct nexthop *nexthops; /* several: multipath */
	size_t nexthop_count;
	const char *text; /* as written, or as ip(8) would; nexthops of several lines are joined */
	struct origin origin;
};

enum policy_action {
	POLICY_RULE_NONE,
	POLICY_RULE_LOOKUP,
	POLICY_RULE_GOTO,
	POLICY_RULE_NOP,
	POLICY_RULE_BLACKHOLE,
	POLICY_RULE_UNREACHABLE,
	POLICY_RULE_PROHIBIT,
	POLICY_RULE_UNKNOWN,
};

struct port_range {
	bool set;
	uint16_t first, last;
};

struct policy_rule {
	uint8_t family;
	struct number priority;
	bool negated; /* "not": applies to what does not match */
	struct prefix from, to; /* none: all */
	const char *iif, *oif;
	struct number mark, mark_mask;
	struct number tos;
	struct number protocol; /* ipproto */
	struct port_range sport, dport;
	struct number uid_first, uid_last;
	bool l3mdev;
	enum policy_action action;
	const char *table;	   /* of lookup */
	struct number goto_priority; /* of goto */
	struct number suppress_prefix_length; /* routes no longer than this do not count */
	struct number suppress_group;
	const char *rest; /* words that were not understood: it is not known to what it applies */
	const char *text;
	struct origin origin;
};

#endif
