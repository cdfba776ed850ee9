/*
 * Rules: an ordered list of statements, read from left to right. Each either decides whether the rule goes on
 * (a match, a condition), changes the packet, or ends the rule with a verdict. A rule that runs through without a verdict
 * goes on with the next rule.
 *
 * What iptables and ebtables write becomes the same statements; docs/facts.md says how.
 */
#ifndef NESTVISOR_FACTS_RULE_H
#define NESTVISOR_FACTS_RULE_H

#include "facts/expr.h"

enum match_op {
	MATCH_NONE,
	MATCH_EQ, /* the value is the right one, in its range, or in its set */
	MATCH_NEQ,
	MATCH_LT,
	MATCH_GT,
	MATCH_LE,
	MATCH_GE,
	MATCH_ANY_BIT, /* left & right is not 0: `ct state established,related` */
	MATCH_NO_BIT,  /* left & right is 0: `ct state ! new` */
};

/* Why a condition cannot be decided from a packet. */
enum condition_reason {
	CONDITION_NONE,
	CONDITION_RATE,	   /* how many packets came lately: limit, hashlimit, connlimit, quota */
	CONDITION_CHANCE,  /* statistic, numgen */
	CONDITION_TIME,	   /* the clock */
	CONDITION_PAYLOAD, /* what is inside the packet: string, u32, bpf */
	CONDITION_HISTORY, /* what came before: recent, connbytes, rateest */
	CONDITION_LOCAL,   /* who on this host sends or receives it: owner, cgroup, socket */
	CONDITION_PACKET,  /* some property of the packet that has no field here: IPsec policy, extension headers */
	CONDITION_UNKNOWN, /* a match of an extension that is not known here */
	CONDITION_LACKING, /* the capture does not show it: interfaces in a listing without -v */
};

struct argument {
	const char *name; /* of the option, without dashes; "" where there is none */
	bool negated;
	const char *value; /* as written; NULL: none */
};

enum statement_kind {
	STATEMENT_NONE,
	STATEMENT_MATCH,
	STATEMENT_CONDITION, /* true or false for a reason that no packet shows */
	STATEMENT_VERDICT,
	STATEMENT_VERDICT_MAP, /* the verdict of the element that `key` finds; none: the rule goes on */
	STATEMENT_REJECT,      /* drops, and answers */
	STATEMENT_NAT,	       /* ends the rule with accept */
	STATEMENT_ASSIGN,      /* changes the packet, its mark, or its connection's */
	STATEMENT_NOTRACK,     /* no connection tracking for this packet: state untracked */
	STATEMENT_SET_UPDATE,  /* adds to or removes from a set as packets come by */
	STATEMENT_DIVERT,      /* takes the packet or a copy elsewhere: tproxy, synproxy, dup, fwd, flow */
	STATEMENT_EFFECT,      /* does not change the packet's way: counter, log, ct helper and the like */
	STATEMENT_UNKNOWN,     /* not understood: it may match or not, and do anything */
	STATEMENT_KIND_COUNT,
};

enum reject_kind {
	REJECT_NONE,
	REJECT_ICMP,
	REJECT_ICMPV6,
	REJECT_ICMPX, /* of the packet's family */
	REJECT_TCP_RESET,
};

enum nat_kind {
	NAT_NONE,
	NAT_SOURCE,
	NAT_DESTINATION,
	NAT_MASQUERADE, /* to the address of the interface it leaves by */
	NAT_REDIRECT,	/* to this host: the address of the interface it came in by; 127.0.0.1 or ::1 for the host's own */
	NAT_BY_HOOK,	/* the destination at prerouting and output, the source elsewhere (iptables' NETMAP) */
};

struct nat {
	enum nat_kind kind;
	struct expr *address; /* NULL: stays. An EXPR_MAP to an EXPR_CONCAT gives address and port at once */
	struct expr *port;    /* NULL: stays where it can */
	bool address_is_both; /* `address` gives an address and a port, concatenated */
	bool netmap;	      /* `address` gives a prefix: the bits behind it stay as they are */
	struct number base;   /* iptables' "1000-2000/1500": ports are shifted, this one becomes the first */
	bool random, fully_random, persistent;
};

enum set_update_op {
	SET_UPDATE_NONE,
	SET_UPDATE_ADD,
	SET_UPDATE_UPDATE,
	SET_UPDATE_DELETE,
	SET_UPDATE_METER, /* the same as update, of a set that has no declaration of its own */
};

struct statement {
	enum statement_kind kind;
	union {
		struct {
			struct expr *left; /* NULL where right is an EXPR_IPSET */
			enum match_op op;
			struct expr *right;
		} match;
		struct {
			const char *name;
			enum condition_reason reason;
			bool negated;
			struct argument *arguments;
			size_t argument_count;
		} condition;
		struct verdict verdict;
		struct {
			struct expr *key, *map;
		} verdict_map;
		struct {
			enum reject_kind with;
			struct number code;
		} reject;
		struct nat nat;
		struct {
			struct expr *field, *value;
		} assign;
		struct {
			enum set_update_op op;
			const char *set;
			bool ipset;
			struct expr *key, *data;
			const struct statement *statements; /* done for the element: a limit decides whether the rule goes on */
			size_t statement_count;
		} update;
		struct {
			const char *name;
			struct argument *arguments;
			size_t argument_count;
		} action;	  /* STATEMENT_DIVERT, STATEMENT_EFFECT */
		const char *text; /* STATEMENT_UNKNOWN */
	};
};

enum understood {
	UNDERSTOOD_FULLY,
	UNDERSTOOD_PARTLY, /* `gaps` says what is not */
	UNDERSTOOD_NOT,	   /* not even what it does */
};

struct rule {
	uint32_t index;	      /* its place in the chain, from 1 */
	struct number handle; /* the kernel's number of it (nft -a) */
	struct origin origin;
	const char *text; /* as written; as nftables would write it where the source was JSON or the kernel */
	const char *comment;
	struct number packets, bytes;
	struct statement *statements;
	size_t statement_count;
	enum understood understood;
	const char **gaps; /* "match foo", "target BAR", "interfaces" */
	size_t gap_count;
};

/* Is there anything in its statements that was not understood? Then it is not UNDERSTOOD_FULLY, and has gaps. */
bool rule_has_unknown(const struct rule *rule);

#endif
