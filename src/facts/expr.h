/*
 * Expressions: what a rule compares, and with what. They are nftables' own kinds of expression, typed; iptables' and
 * ebtables' matches are turned into the same ones, so that whoever computes with rules knows one language only.
 *
 * A field that a packet does not have (the ports of a later fragment, `tcp dport` of UDP, the bridge port of a packet
 * that is not bridged) makes any comparison with it false, "!=" as well: that is what the kernel does. Lookups in ipsets
 * are the exception: such a packet is not in the set, and "!=" holds.
 */
#ifndef NESTVISOR_FACTS_EXPR_H
#define NESTVISOR_FACTS_EXPR_H

#include "base/ip.h"
#include "facts/fact.h"
#include "facts/field.h"

#include <stddef.h>

struct expr;
struct statement;

enum verdict_kind {
	VERDICT_NONE,
	VERDICT_ACCEPT,
	VERDICT_DROP,
	VERDICT_CONTINUE, /* the next rule, as if there were no verdict */
	VERDICT_RETURN,
	VERDICT_JUMP,
	VERDICT_GOTO,
	VERDICT_QUEUE, /* a program decides; see `bypass` */
};

struct verdict {
	enum verdict_kind kind;
	const char *chain; /* of jump and goto */
	const char *queue; /* of queue: "0", "0-3", an expression; NULL: 0 */
	bool bypass;	   /* of queue: accepted where no program listens */
};

/* One element of a set or map. */
struct element {
	struct expr *key;
	struct expr *data;   /* of a map; an EXPR_VERDICT in verdict maps */
	bool nomatch;	     /* an exception inside a wider element (ipset(8)) */
	struct number timeout, expires; /* milliseconds */
	const char *comment;
	const struct statement *statements; /* limit or counter of one element */
	size_t statement_count;
	struct origin origin; /* where it stands on a line of its own */
};

enum expr_kind {
	EXPR_NONE,
	/* values */
	EXPR_NUMBER,
	EXPR_IP,
	EXPR_MAC,
	EXPR_TEXT,     /* an interface's name and the like */
	EXPR_WILDCARD, /* any text that begins with `text`: eth+ in iptables, eth* in nftables */
	EXPR_BYTES,    /* a number of more than 64 bits, in hexadecimal: "0x…" */
	EXPR_ANY,      /* every value: "*" in a set */
	EXPR_PREFIX,   /* addresses: ip, length */
	EXPR_RANGE,    /* left to right, both included */
	EXPR_VERDICT,
	/* sets of values */
	EXPR_SET,     /* unnamed: elements; a map where they have data */
	EXPR_SET_REF, /* a named one of the same table: `text` */
	EXPR_IPSET,   /* an ipset; what is looked up in it follows from its type: see ipset_key() */
	/* what comes out of the packet or of what is known of it */
	EXPR_FIELD,
	EXPR_FIB,     /* what the routing tables say of the packet's addresses */
	EXPR_PAYLOAD, /* bits at an offset */
	EXPR_GENERATED, /* a number that no packet shows: numgen, jhash, symhash, with `text` as written */
	/* what is made of others */
	EXPR_CONCAT, /* items, compared one by one with those of an EXPR_CONCAT of the same length */
	EXPR_BINARY,
	EXPR_MAP,    /* left, looked up in the map that is right */
	/* not understood: `text` as written. It may be anything. */
	EXPR_UNKNOWN,
	EXPR_KIND_COUNT,
};

enum binary_op {
	BINARY_NONE,
	BINARY_AND,
	BINARY_OR,
	BINARY_XOR,
	BINARY_LSHIFT,
	BINARY_RSHIFT,
};

/* Which of a connection's two directions a ct field is of. */
enum ct_direction {
	DIRECTION_NONE,
	DIRECTION_ORIGINAL,
	DIRECTION_REPLY,
};

/* What fib is asked with, as bits. */
enum {
	FIB_SADDR = 1,
	FIB_DADDR = 2,
	FIB_MARK = 4,
	FIB_IIF = 8,
	FIB_OIF = 16,
};

enum fib_result {
	FIB_NONE,
	FIB_RESULT_OIF,	    /* the interface's name, or a boolean: is there a route */
	FIB_RESULT_OIFNAME,
	FIB_RESULT_TYPE,    /* ROUTE_TYPE_* */
};

enum payload_base {
	PAYLOAD_NONE,
	PAYLOAD_LINK,
	PAYLOAD_NETWORK,
	PAYLOAD_TRANSPORT,
	PAYLOAD_INNER,
};

struct expr {
	enum expr_kind kind;
	enum datatype type; /* of the value; of an EXPR_CONCAT: none */
	union {
		uint64_t number;
		struct ip ip;
		uint8_t mac[6];
		const char *text;
		struct prefix prefix;
		struct verdict verdict;
		struct {
			enum field field;
			enum ct_direction direction;
			const char *name; /* of FIELD_OTHER */
		} field;
		struct {
			uint8_t flags;
			enum fib_result result;
		} fib;
		struct {
			const char *name;
			uint8_t dimension;  /* how many directions were given */
			uint8_t directions; /* bit 0 is the first; 1: destination */
		} ipset;
		struct {
			enum payload_base base;
			uint32_t offset, length; /* bits */
		} payload;
		struct {
			enum binary_op op;
			struct expr *left, *right;
		} pair; /* EXPR_RANGE, EXPR_BINARY, EXPR_MAP */
		struct {
			struct expr **items;
			size_t count;
		} concat;
		struct {
			struct element *elements;
			size_t count;
		} set;
	};
};

#endif
