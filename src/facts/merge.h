/* How the captures of one host become one set of facts. Within facts/ only. */
#ifndef NESTVISOR_FACTS_MERGE_H
#define NESTVISOR_FACTS_MERGE_H

#include "facts/text.h"

/* The rules of one capture, before it is known whether another shows the same better. */
struct captured_rules {
	struct ruleset ruleset;
	size_t capture; /* index among the facts' captures */
	unsigned rank;
};

/* Puts the rules of all captures together: each chain as the best of them shows it. */
void merge_rules(struct pool *pool, struct facts *facts, struct captured_rules *captured, size_t count);

/* Tables of iptables-nft that nft shows, too: which of the two counts. Part of merge_rules(). */
void merge_shadows(struct pool *pool, struct facts *facts);

/* Orders what is looked up by name, and what came from several captures. */
void merge_finish(struct pool *pool, struct facts *facts);

#endif
