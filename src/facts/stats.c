#include "facts/stats.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

static void count_gap(struct bundle *bundle, struct stats *stats, const char *gap)
{
	struct gap_count *entry;

	for (size_t i = 0; i < stats->gap_count; i++) {
		if (stats->gaps[i].gap == gap || strcmp(stats->gaps[i].gap, gap) == 0) {
			stats->gaps[i].rules++;
			return;
		}
	}
	entry = arena_push(bundle->arena, stats->gaps, stats->gap_count);
	*entry = (struct gap_count){gap, 1};
}

static void count_chain(struct bundle *bundle, struct stats *stats, const struct chain *chain)
{
	for (size_t i = 0; i < chain->rule_count && !chain->shadowed; i++)
		for (size_t j = 0; j < chain->rules[i].gap_count; j++)
			count_gap(bundle, stats, chain->rules[i].gaps[j]);
}

static void count_host(struct bundle *bundle, struct stats *stats, const struct facts *facts)
{
	for (size_t i = 0; i < facts->capture_count; i++) {
		const struct capture *capture = &facts->captures[i];

		stats->captures++;
		stats->unused += !capture->used;
		stats->rules += capture->rules;
		stats->partly += capture->rules_partly;
		stats->not_understood += capture->rules_not;
		stats->items += capture->items;
		stats->ignored += capture->ignored;
	}
	for (size_t i = 0; i < facts->ruleset.table_count; i++)
		for (size_t j = 0; j < facts->ruleset.tables[i].chain_count; j++)
			count_chain(bundle, stats, &facts->ruleset.tables[i].chains[j]);
}

static int most_first(const void *a, const void *b)
{
	const struct gap_count *left = a, *right = b;

	if (left->rules != right->rules)
		return left->rules > right->rules ? -1 : 1;
	return strcmp(left->gap, right->gap);
}

void bundle_stats(struct bundle *bundle, const char *host, struct stats *ret)
{
	*ret = (struct stats){};
	for (size_t i = 0; i < bundle->host_count; i++)
		if (!host || strcmp(bundle->hosts[i]->name, host) == 0)
			count_host(bundle, ret, bundle->hosts[i]);
	ret->fully = ret->rules - ret->partly - ret->not_understood;
	if (ret->gap_count)
		qsort(ret->gaps, ret->gap_count, sizeof(*ret->gaps), most_first);
}
