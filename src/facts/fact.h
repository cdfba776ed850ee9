/*
 * The smallest pieces that facts are made of. All of them are "unknown" (or absent) when zeroed, so that what nobody
 * said stays unknown by itself and never turns into a default.
 */
#ifndef NESTVISOR_FACTS_FACT_H
#define NESTVISOR_FACTS_FACT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Where a fact came from, for a verdict to cite. `source` is a file's path inside the bundle ("vm1/iptables-save.txt")
 * or the interface that was asked ("netlink:route"); NULL: from nowhere.
 */
struct origin {
	const char *source;
	uint32_t line; /* from 1; 0: none */
	uint32_t item; /* in sources without lines (JSON): which element, from 1; 0: none */
};

/* "vm1/iptables-save.txt:36", "l0/nft.json#12", "netlink:route" */
enum { ORIGIN_TEXT_SIZE = 4096 };
const char *origin_format(const struct origin *origin, char ret[ORIGIN_TEXT_SIZE]);

struct number {
	uint64_t value;
	bool known;
};

static inline struct number number_of(uint64_t value)
{
	return (struct number){value, true};
}

/* Of the number, or the fallback where it is unknown. */
static inline uint64_t number_or(struct number number, uint64_t fallback)
{
	return number.known ? number.value : fallback;
}

enum truth {
	TRUTH_UNKNOWN,
	TRUTH_NO,
	TRUTH_YES,
};

static inline enum truth truth_of(bool value)
{
	return value ? TRUTH_YES : TRUTH_NO;
}

struct mac {
	uint8_t bytes[6];
	bool known;
};

#endif
