/* From the fields that rules name to those that sets are over. Within verify/ only. */
#ifndef NESTVISOR_VERIFY_MATCH_FIELD_H
#define NESTVISOR_VERIFY_MATCH_FIELD_H

#include "verify/match.h"

enum coding {
	CODING_NONE,	 /* no field of sets: undecided */
	CODING_NUMBER,	 /* as it is */
	CODING_ADDRESS,	 /* IPv4 in the first bits */
	CODING_NAME,	 /* an interface's */
	CODING_KIND,	 /* FAMILY, STATE, FRAGMENT: see `kinds` */
	CODING_PRESENCE, /* 1 where the field has a value, 0 where it is empty */
};

/* A value of FAMILY, STATE or FRAGMENT, and the number that rules call it by. */
struct kind {
	unsigned value;
	uint64_t number;
	bool sure; /* false: it may be another number as well */
};

/* What is compared with constants: ((the bits & mask) ^ flip) >> shift. */
struct selector {
	enum coding coding;
	struct pset_bits bits;
	const struct kind *kinds;
	size_t kind_count;
	wide mask, flip;
	int shift;
	/* The packets that have it: all of these must hold. */
	pset exists[4];
	size_t exist_count;
	struct bounds unsure;	/* and this */
	struct selector *other; /* either of two: source or destination port */
	/* What is read for it in later fragments of IPv6 (stack_reads_fragments()); 0, 0: anything. */
	struct interval read6;
};

/* Of a field, or of a field with bits masked, flipped and shifted. CODING_NONE: not to be decided. */
struct selector selector_of(const struct match_scope *scope, const struct expr *expr);

/* The packets that have the field. */
struct bounds selector_exists(const struct match_scope *scope, const struct selector *selector);

/* What was found of a selector's values, for packets that have it. */
struct bounds selector_within(const struct match_scope *scope, const struct selector *selector, struct bounds bounds);

#endif
