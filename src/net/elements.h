/*
 * The elements of those sets of the lab's rules that say who is cut, sealed or opened for a while: all that changes
 * when a guest is switched. The sets themselves and the chains around them (rules.c, rules_bridge.c) are the same
 * whatever is switched.
 */
#ifndef NESTVISOR_NET_ELEMENTS_H
#define NESTVISOR_NET_ELEMENTS_H

#include "base/strbuf.h"
#include "model/isolation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IN_INET = 1, IN_BRIDGE = 2 }; /* tables */

enum element_key {
	KEY_TAP,     /* ifname */
	KEY_MAC,     /* ether_addr */
	KEY_ASKER,   /* mark: who a resolver asks for, see element_asker */
	KEY_ADDRESS, /* ipv4_addr, ipv6_addr */
	KEY_SUBNET,  /* the same as intervals */
	KEY_ALLOW,   /* from . to . protocol . port, as intervals */
};

/* One set, or verdict map, by its name; it is in each of `tables`. */
struct element_set {
	const char *name;
	uint8_t tables;
	enum element_key key;
	uint8_t family;	  /* AF_INET, AF_INET6; 0 for taps and Ethernet addresses */
	const char *jump; /* a verdict map to chains "<jump>_<mode>"; NULL: a set */
	bool timeout;
};

enum element_set_id {
	SET_TAP_FROM,
	SET_TAP_TO,
	SET_TAP_OPEN,
	SET_MAC_FROM,
	SET_MAC_TO,
	SET_MAC_OPEN,
	SET_ASKER,
	SET_ASKER_OPEN,
	SET_FROM4,
	SET_FROM6,
	SET_TO4,
	SET_TO6,
	SET_FROM_NET4,
	SET_FROM_NET6,
	SET_TO_NET4,
	SET_TO_NET6,
	SET_OPEN4,
	SET_OPEN6,
	SET_OPEN_NET4,
	SET_OPEN_NET6,
	SET_ALLOW4,
	SET_ALLOW6,
	SET_COUNT,
};
extern const struct element_set element_sets[SET_COUNT];

/* How a guest is held, in the order of strictness; the end of the chains' names. Who is held by somebody else's filter
 * (ISOLATION_NWFILTER) is only told no more names than the lab's. */
enum element_mode { MODE_NAMES, MODE_CUT, MODE_STRICT, MODE_ALONE, MODE_SEALED, MODE_COUNT };
const char *element_mode_name(enum element_mode mode);

/* A number for each guest of the lab that leaves the bits free by which the rules tell packets apart; never 0. */
uint32_t element_asker(const struct guest *guest);

struct element {
	uint8_t table; /* one of IN_* */
	uint8_t set;   /* enum element_set_id */
	uint8_t mode;  /* of a verdict map */
	uint8_t protocol;
	uint16_t port;	      /* KEY_ALLOW; 0: any */
	struct ip from;	      /* KEY_ADDRESS, KEY_ALLOW */
	struct prefix prefix; /* KEY_SUBNET, and what is allowed */
	char tap[16];	      /* padded with NUL */
	uint8_t mac[6];
	uint32_t asker;
	long long until, open_ms; /* of a set with timeouts; 0 ms: over, and not in the kernel any more */
};

struct elements {
	struct element *items;
	size_t count;
};

/* All of them for the lab's host, sorted, each key once. Freed by elements_clear. */
void elements_collect(const struct isolation *isolation, struct elements *ret);
void elements_clear(struct elements *elements);
#define cleanup_elements __attribute__((cleanup(elements_clear)))

/* The order of the list: by table, set and key; 0: the same key. */
int element_compare(const struct element *a, const struct element *b);
/* Of two with the same key: whether nothing has to be done to come from one to the other. */
bool element_same(const struct element *a, const struct element *b);

/* As nft(8) writes it; timeouts are left out. */
void element_format(const struct element *element, struct strbuf *out);

#endif
