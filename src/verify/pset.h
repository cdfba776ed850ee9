/*
 * Sets of packets, and what one computes with them. A set is a number that is good within its space; two sets with the
 * same packets are the same number. Nothing has to be freed: see space_release() in diagram.h.
 *
 * Nothing here fails by itself. When memory runs out, the space says so once: space_check().
 */
#ifndef NESTVISOR_VERIFY_PSET_H
#define NESTVISOR_VERIFY_PSET_H

#include "base/ip.h"
#include "verify/diagram.h"
#include "verify/stack.h"

typedef diagram pset;

#define PSET_EMPTY diagram_of(0)
#define PSET_FULL  diagram_of(1)

/* A space for sets of packets; see space_new(). */
struct space *pset_space_new(size_t memory, struct error **err);

enum pset_field {
#define PSET_FIELD(id, name, bits, how) PSET_##id,
#include "verify/pset_field_list.h"
#undef PSET_FIELD
	PSET_FIELD_COUNT,
};

/* In each of these the last value stands for all higher numbers, too: there is no number that means nothing. */
enum pset_family {
	PSET_IP4,
	PSET_IP6,
	PSET_OTHER_FAMILY, /* ARP and the rest of what bridges carry */
};

enum pset_state {
	PSET_NEW,
	PSET_ESTABLISHED,
	PSET_RELATED,
	PSET_INVALID,
	PSET_UNTRACKED,
};

enum pset_fragment {
	PSET_WHOLE,
	PSET_FIRST_FRAGMENT,
	PSET_LATER_FRAGMENT, /* has no ports */
};

/* The value of SMAC and DMAC in packets without such a header. */
#define PSET_NO_MAC ((wide)1 << 48)

/* Is the field asked in ranges? */
bool pset_field_has_ranges(enum pset_field field);
const char *pset_field_name(enum pset_field field);
unsigned pset_field_bits(enum pset_field field);
wide pset_field_last(enum pset_field field); /* its largest value */

/* Addresses and names as fields hold them. */
wide wide_of_address(const struct ip *ip); /* IPv4 in the first 32 bits */
struct ip wide_to_address(wide value, uint8_t family);
enum { WIDE_NAME_SIZE = 17 };
wide wide_of_name(const char *name); /* at most 16 bytes, as the kernel's interfaces have */
const char *wide_to_name(wide value, char ret[WIDE_NAME_SIZE]);

struct interval {
	wide first, last; /* both included */
};
struct interval interval_of_prefix(const struct prefix *prefix); /* as fields hold addresses */
/* Names that begin like this. */
struct interval interval_of_wildcard(const char *start);
/* Of FAMILY, STATE and FRAGMENT: the numbers that stand for this value. */
struct interval interval_of_kind(enum pset_field field, unsigned value);

/* Packets whose field has this value, is within, is in one of them (in any order, overlapping or not), or has these
 * values in the bits of the mask. */
pset pset_value(struct space *space, enum pset_field field, wide value);
pset pset_interval(struct space *space, enum pset_field field, wide first, wide last);
pset pset_intervals(struct space *space, enum pset_field field, const struct interval *intervals, size_t count);
pset pset_masked(struct space *space, enum pset_field field, wide value, wide mask);
/* The same for a part of a field as if it were one: `count` bits from `start` on, counted from the field's highest. */
struct pset_bits {
	enum pset_field field;
	unsigned start, count;
};
pset pset_bits_intervals(struct space *space, struct pset_bits bits, const struct interval *intervals, size_t count);
pset pset_bits_masked(struct space *space, struct pset_bits bits, wide value, wide mask);
/* Fields asked in ranges can have masks only where that is not too many intervals: not with more than this many bits
 * left out above bits that count. Parts that do not begin where a field does are such masks. */
enum { PSET_MOST_REPEATED_BITS = 12 };
bool pset_can_mask(struct pset_bits bits, wide mask);

static inline struct pset_bits pset_bits_of(enum pset_field field)
{
	return (struct pset_bits){field, 0, pset_field_bits(field)};
}
pset pset_kind(struct space *space, enum pset_field field, unsigned value); /* FAMILY, STATE, FRAGMENT */

pset pset_and(struct space *space, pset a, pset b);
pset pset_or(struct space *space, pset a, pset b);
pset pset_minus(struct space *space, pset a, pset b);
pset pset_not(struct space *space, pset a);
/* Of many at once, which is quicker than one after the other. Overwrites the array. */
pset pset_or_all(struct space *space, pset *sets, size_t count);

static inline bool pset_is_empty(pset a)
{
	return a == PSET_EMPTY;
}
bool pset_is_subset(struct space *space, pset a, pset b);
bool pset_overlap(struct space *space, pset a, pset b); /* stops at the first packet */

/* Fields as a set of bits: 1 << PSET_DPORT. */
typedef uint64_t pset_fields;
#define PSET_BIT(field) (UINT64_C(1) << (field))

/* The packets that are in the set if they may have any value of those fields in place of theirs. */
pset pset_forget(struct space *space, pset a, pset_fields fields);
pset pset_forget_bits(struct space *space, pset a, struct pset_bits bits, wide mask);

/* Below, of a field asked in ranges (addresses, ports, lengths) a mask has all bits or none; of an IPv4 address its 32.
 */

/* The packets that would be in the set if the bits of the mask of this field were those of the value. This is also what
 * led to the set when that was assigned. Of any function: what it is for the packet with those bits. */
diagram pset_before(struct space *space, diagram d, struct pset_bits bits, wide value, wide mask);
/* The packets of the set with that value in the bits of the mask: what comes out of an assignment. */
pset pset_after(struct space *space, pset a, struct pset_bits bits, wide value, wide mask);
/* What the function is for the packet with those bits turned over. */
diagram pset_flipped(struct space *space, diagram d, struct pset_bits bits, wide mask);
/* For each packet the combination of what the function is for all values of those bits (diagram_quantify()). */
diagram pset_for_all_values(struct space *space, const struct diagram_operator *operator, diagram d,
			    struct pset_bits bits, wide mask);
/* The packets of the set with any value of the interval. */
pset pset_after_range(struct space *space, pset a, enum pset_field field, wide first, wide last);
/* The packets of the set, with the value of a field that is one piece asked in ranges one lower; not those with 0. */
pset pset_one_lower(struct space *space, pset a, enum pset_field field);
/* The packets of the set with the values of two fields exchanged. */
pset pset_exchange(struct space *space, pset a, enum pset_field one, enum pset_field other);
/* Both addresses, and both ports: what goes the other way between the same ends. */
pset pset_exchange_ends(struct space *space, pset a);

/* The packets that would be in the set if one field were as another one is in them. */
pset pset_as(struct space *space, pset a, enum pset_field field, enum pset_field as);

/* Fields have at most this many intervals of values; more is a question too large. */
enum { PSET_MOST_INTERVALS = 1 << 20 };

/* The values that a field has in packets of the set, in rising order, as few intervals as possible. The array is
 * malloced; 0 for the empty set. */
size_t pset_project(struct space *space, pset a, enum pset_field field, struct interval **ret);
/* The same where they are at most so many; false: there are more. */
bool pset_project_few(struct space *space, pset a, enum pset_field field, size_t most, struct interval **ret,
		      size_t *ret_count);

/*
 * A function (a set, or any other) seen by one field: which values lead to which function of the other fields. It must
 * not depend on fields before this one. The runs rise and hold all values; neighbours differ. Malloced.
 */
struct pset_run {
	struct interval interval;
	diagram below;
};
size_t pset_runs(struct space *space, diagram d, enum pset_field field, struct pset_run **ret);

/* The fields that a function depends on. */
pset_fields pset_support(struct space *space, diagram d);
/* How many packets, where the fields the set does not depend on do not count. */
double pset_count(struct space *space, pset a);

struct packet_values {
	wide fields[PSET_FIELD_COUNT];
};
bool pset_contains(const struct space *space, pset a, const struct packet_values *packet);
diagram pset_look_up(const struct space *space, diagram d, const struct packet_values *packet); /* a number */
/*
 * One packet of the set, as ordinary as there is: TCP before others, new, from a port and between addresses that hosts
 * have. False: the set is empty.
 */
bool pset_pick(struct space *space, pset a, struct packet_values *ret);

enum pset_field pset_field_of_word(unsigned word);

#endif
