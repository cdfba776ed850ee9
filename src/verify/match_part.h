/* What a rule compares with constants: the packets where it is one of their values. Within verify/ only. */
#ifndef NESTVISOR_VERIFY_MATCH_PART_H
#define NESTVISOR_VERIFY_MATCH_PART_H

#include "verify/match_field.h"

/* Parts of one look-up, gathered so that many become one set. */
struct gathering {
	const struct match_scope *scope;
	const struct selector *selector;
	struct interval *intervals; /* malloced */
	size_t count, capacity;
	struct bounds others; /* what does not fit into intervals */
};

struct gathering gathering_new(const struct match_scope *scope, const struct selector *selector);
void gathering_add(struct gathering *gathering, const struct stack_part *part);
void gathering_add_bounds(struct gathering *gathering, struct bounds bounds);
/* Of FAMILY, STATE and FRAGMENT, by the numbers that rules have for them. */
void gathering_add_kinds(struct gathering *gathering, wide first, wide last);
struct bounds gathering_end(struct gathering *gathering); /* frees what it holds */

/* One part alone. */
struct bounds match_part(const struct match_scope *scope, const struct selector *selector,
			 const struct stack_part *part);
/* The packets where these bits, behind the mask, are the value's; a fixed field gives all or none. */
pset match_masked(const struct match_scope *scope, struct pset_bits bits, wide value, wide mask);
wide match_ones(unsigned count); /* the lowest bits */

#endif
