/* The fields of packets that rules look at, the types of their values, and the words that stand for values. */
#ifndef NESTVISOR_FACTS_FIELD_H
#define NESTVISOR_FACTS_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field {
	FIELD_NONE,
#define FIELD(id, space, key, type) FIELD_##id,
#include "facts/field_list.h"
#undef FIELD
	FIELD_OTHER, /* one without a number here: its name stands in the expression */
	FIELD_COUNT,
};

/* What a value is. What comes out of a field is compared with values of its type. */
enum datatype {
	TYPE_NONE,
	TYPE_INTEGER,
	TYPE_BOOLEAN, /* "exists" or "missing", too */
	TYPE_STRING,
	TYPE_INTERFACE, /* an interface, always by its name */
	TYPE_IP4,
	TYPE_IP6,
	TYPE_ADDRESS, /* of either family */
	TYPE_MAC,
	TYPE_PORT,
	TYPE_PROTOCOL,
	TYPE_ETHERTYPE,
	TYPE_NFPROTO,
	TYPE_MARK,
	TYPE_CT_STATE, /* bits */
	TYPE_CT_DIRECTION,
	TYPE_CT_STATUS, /* bits */
	TYPE_CT_LABEL,	/* bits */
	TYPE_CT_EVENT,	/* bits */
	TYPE_ICMP_TYPE,
	TYPE_ICMP_CODE,
	TYPE_ICMPV6_TYPE,
	TYPE_ICMPV6_CODE,
	TYPE_ICMPX_CODE,
	TYPE_IGMP_TYPE,
	TYPE_TCP_FLAG, /* bits */
	TYPE_DCCP_TYPE,
	TYPE_PKTTYPE,
	TYPE_ROUTE_TYPE, /* what fib says of an address: local, unicast, … */
	TYPE_ARP_OPERATION,
	TYPE_DSCP,
	TYPE_ECN,
	TYPE_TOS,
	TYPE_DAY,
	TYPE_TIME, /* milliseconds */
	TYPE_USER,
	TYPE_GROUP,
	TYPE_REALM,
	TYPE_CLASSID,
	TYPE_DEVGROUP,
	TYPE_LINKTYPE,
	TYPE_VERDICT,
	TYPE_COUNT,
};

struct field_info {
	const char *space, *key; /* "ip", "saddr" */
	const char *name;	 /* "ip saddr" */
	enum datatype type;
};

/* A word that stands for a number. */
struct symbol {
	const char *name;
	uint64_t value;
};

const struct field_info *field_info(enum field field);
/* The field of a name in two parts, neither NUL-terminated; FIELD_NONE where there is none. */
enum field field_find(const char *space, size_t space_length, const char *key, size_t key_length);
/* Does a word begin the name of a field ("ip", "ct")? */
bool field_is_space(const char *word, size_t length);

const char *datatype_name(enum datatype type); /* nftables' word: "ipv4_addr" */
enum datatype datatype_find(const char *name, size_t length);
bool datatype_is_bits(enum datatype type); /* values are sets of flags: "established,related" */

/* The value of a word; false where the type knows no such word. Case matters not. */
bool symbol_find(enum datatype type, const char *word, size_t length, uint64_t *ret);
/* The word of a value, or NULL. */
const char *symbol_name(enum datatype type, uint64_t value);

/* Bits of `ct state`. The last two are only iptables': the connection's addresses are translated. */
enum {
	CT_STATE_INVALID = 1,
	CT_STATE_ESTABLISHED = 2,
	CT_STATE_RELATED = 4,
	CT_STATE_NEW = 8,
	CT_STATE_UNTRACKED = 64,
	CT_STATE_SNAT = 128,
	CT_STATE_DNAT = 256,
};

/* Bits of `ct status`. */
enum {
	CT_STATUS_EXPECTED = 1,
	CT_STATUS_SEEN_REPLY = 2,
	CT_STATUS_ASSURED = 4,
	CT_STATUS_CONFIRMED = 8,
	CT_STATUS_SNAT = 16,
	CT_STATUS_DNAT = 32,
	CT_STATUS_DYING = 512,
};

/* Route types as fib and addrtype tell them (rtnetlink(7), RTN_*). */
enum {
	ROUTE_TYPE_UNSPEC,
	ROUTE_TYPE_UNICAST,
	ROUTE_TYPE_LOCAL,
	ROUTE_TYPE_BROADCAST,
	ROUTE_TYPE_ANYCAST,
	ROUTE_TYPE_MULTICAST,
	ROUTE_TYPE_BLACKHOLE,
	ROUTE_TYPE_UNREACHABLE,
	ROUTE_TYPE_PROHIBIT,
	ROUTE_TYPE_THROW,
	ROUTE_TYPE_NAT,
	ROUTE_TYPE_XRESOLVE,
};

#endif
