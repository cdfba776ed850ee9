/* What statements that change a packet do to its fields. */
#ifndef NESTVISOR_VERIFY_EFFECT_H
#define NESTVISOR_VERIFY_EFFECT_H

#include "verify/match.h"

/* Some bits of a field become known, some are turned over, others may become anything; the rest stays as it is. */
struct assignment {
	struct pset_bits bits;
	wide known, value;     /* a mask, and what those bits become */
	wide flipped, unknown; /* masks */
};

/* False: the statement changes no field that sets are over. */
bool statement_assignment(const struct match_scope *scope, const struct statement *statement, struct assignment *ret);

#endif
