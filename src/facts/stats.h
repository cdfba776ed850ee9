/* How much of a bundle was understood: so that nothing is ignored silently. */
#ifndef NESTVISOR_FACTS_STATS_H
#define NESTVISOR_FACTS_STATS_H

#include "facts/bundle.h"

/* Something that was not understood, and in how many rules. */
struct gap_count {
	const char *gap; /* "match recent", "value XX:XX:XX:XX:XX:XX", "target FOO" */
	uint64_t rules;
};

struct stats {
	uint64_t captures, unused;		       /* commands' output; of which nothing was needed */
	uint64_t rules, fully, partly, not_understood; /* of all captures, also of those that show the same twice */
	uint64_t items;				       /* everything else that was read */
	uint64_t ignored;			       /* lines nobody understood */
	struct gap_count *gaps;			       /* most frequent first, of the rules that count */
	size_t gap_count;
};

/* Of all hosts, or of one. Lives in the bundle's arena. */
void bundle_stats(struct bundle *bundle, const char *host, struct stats *ret);

#endif
