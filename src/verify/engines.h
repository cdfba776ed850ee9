/*
 * The same question to both engines: the interpreter (walk.h), and the sets (spread.h), for which one packet is a set
 * as any other. Where they disagree, one of them is wrong.
 */
#ifndef NESTVISOR_VERIFY_ENGINES_H
#define NESTVISOR_VERIFY_ENGINES_H

#include "verify/spread.h"
#include "verify/walk.h"

struct arena;

/*
 * The sets' answer, as the interpreter would give it, but without steps and assumptions. Unknown where there are
 * several ends; also of packets of connections that were there before, and of those for several receivers at once. The
 * question's packet has a source. Never fails: a question that is too large is unknown.
 */
struct answer *engines_symbolic(struct spread *spread, const struct question *question, struct arena *arena);

/* Is this end, of a packet alone, the one that the interpreter tells: the same fate, host, interface and rule, and the
 * packet as it is there among the end's? Where a packet is lost the host does not matter. */
bool engines_fit(struct spread *spread, const struct spread_end *end, const struct answer *plain);

enum agreement {
	ENGINES_AGREE,
	ENGINES_DIFFER,
	ENGINES_OPEN, /* one of them does not know, or the sets leave several ends open, among them the interpreter's */
};

/* Compares the interpreter's answer with what the sets say. The second answer goes to `ret`. */
enum agreement engines_compare(struct spread *spread, const struct question *question, const struct answer *plain,
			       struct arena *arena, struct answer **ret);

#endif
