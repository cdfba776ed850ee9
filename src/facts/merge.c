/*
 * The same rules are often captured twice: as iptables-save prints them and as a listing, or, where iptables keeps them
 * in nftables, by nft as well. Each chain is taken from the capture that shows most, the others only say so.
 */
#include "facts/merge.h"

#include "facts/names.h"

#include <stdlib.h>
#include <string.h>

struct merger {
	struct pool *pool;
	struct facts *facts;
	struct captured_rules *captured; /* the one being merged */
	bool used;
	const char *better; /* the capture that shows its chains already */
};

static bool is_xtables(enum backend backend)
{
	return backend == BACKEND_XTABLES || backend == BACKEND_XTABLES_LEGACY || backend == BACKEND_XTABLES_NFT;
}

/* May two tables be one? Of legacy and nft tables both may exist; where it is not known which, it is the one there is.
 */
static bool same_backend(enum backend a, enum backend b)
{
	return a == b || (is_xtables(a) && is_xtables(b) && (a == BACKEND_XTABLES || b == BACKEND_XTABLES));
}

static struct table *find_table(struct ruleset *ruleset, const struct table *like)
{
	for (size_t i = 0; i < ruleset->table_count; i++) {
		struct table *table = &ruleset->tables[i];

		if (table->family == like->family && same_backend(table->backend, like->backend) &&
		    strcmp(table->name, like->name) == 0)
			return table;
	}
	return NULL;
}

/* Two captures of one chain that do not agree were made at different times. */
static void compare_chains(struct merger *merger, const struct chain *counts, const struct chain *other)
{
	struct facts *facts = merger->facts;

	if (counts->rule_count == other->rule_count || counts->whole == TRUTH_NO || other->whole == TRUTH_NO)
		return;
	*arena_push(merger->pool->arena, facts->notes, facts->note_count) = (struct note){
		arena_printf(merger->pool->arena,
			     "chain %s has %zu rules here and %zu in %s, which counts: captured at another time?",
			     counts->name, other->rule_count, counts->rule_count, counts->origin.source),
		other->origin};
}

/* Does every rule of a listing lack the interfaces it asks for? */
static bool lacks_interfaces(const struct chain *chain)
{
	for (size_t i = 0; i < chain->rule_count; i++)
		for (size_t j = 0; j < chain->rules[i].statement_count; j++)
			if (chain->rules[i].statements[j].kind == STATEMENT_CONDITION &&
			    chain->rules[i].statements[j].condition.reason == CONDITION_LACKING)
				return true;
	return false;
}

static void merge_chain(struct merger *merger, struct table *into, const struct chain *from)
{
	struct chain *chain = table_chain(into, from->name);

	if (!chain && into->whole == TRUTH_YES)
		return;
	if (!chain) {
		*arena_push(merger->pool->arena, into->chains, into->chain_count) = *from;
		names_add(merger->pool->arena, &into->chain_names, from->name);
	} else if (chain->whole == TRUTH_NO && from->whole == TRUTH_YES && !lacks_interfaces(from)) {
		*chain = *from; /* the better capture ends inside of it */
	} else {
		compare_chains(merger, chain, from);
		return;
	}
	merger->used = true;
}

/* Sets and the like that the better capture does not show because it is only a part. */
static void merge_sets(struct merger *merger, struct table *into, const struct table *from)
{
	struct arena *arena = merger->pool->arena;

	if (into->whole == TRUTH_YES)
		return;
	for (size_t i = 0; i < from->set_count; i++) {
		if (table_set(into, from->sets[i].name))
			continue;
		*arena_push(arena, into->sets, into->set_count) = from->sets[i];
		names_add(arena, &into->set_names, from->sets[i].name);
		merger->used = true;
	}
	for (size_t i = 0; i < from->object_count; i++) {
		bool there = false;

		for (size_t j = 0; j < into->object_count; j++)
			there = there || (strcmp(into->objects[j].kind, from->objects[i].kind) == 0 &&
					  strcmp(into->objects[j].name, from->objects[i].name) == 0);
		if (!there)
			*arena_push(arena, into->objects, into->object_count) = from->objects[i];
	}
}

static void merge_table(struct merger *merger, struct table *from)
{
	struct ruleset *ruleset = &merger->facts->ruleset;
	struct table *into = find_table(ruleset, from);

	if (!into) {
		*arena_push(merger->pool->arena, ruleset->tables, ruleset->table_count) = *from;
		merger->used = true;
		return;
	}
	if (into->backend == BACKEND_XTABLES)
		into->backend = from->backend;
	merger->better = into->origin.source;
	for (size_t i = 0; i < from->chain_count; i++)
		merge_chain(merger, into, &from->chains[i]);
	merge_sets(merger, into, from);
	if (from->whole == TRUTH_YES)
		into->whole = TRUTH_YES;
	if (from->whole == TRUTH_NO && into->whole != TRUTH_YES)
		into->whole = TRUTH_NO;
}

static void merge_ipsets(struct merger *merger)
{
	struct ruleset *into = &merger->facts->ruleset, *from = &merger->captured->ruleset;

	if (from->ipsets_known == TRUTH_UNKNOWN)
		return;
	merger->used = true;
	if (into->ipsets_known == TRUTH_UNKNOWN) {
		into->ipsets_known = from->ipsets_known;
		into->ipsets_origin = from->ipsets_origin;
	}
	for (size_t i = 0; i < from->ipset_count; i++)
		if (!ruleset_ipset(into, from->ipsets[i].name))
			*arena_push(merger->pool->arena, into->ipsets, into->ipset_count) = from->ipsets[i];
}

static void merge_one(struct merger *merger)
{
	struct ruleset *from = &merger->captured->ruleset, *into = &merger->facts->ruleset;
	struct capture *capture = &merger->facts->captures[merger->captured->capture];

	for (size_t i = 0; i < from->table_count; i++)
		merge_table(merger, &from->tables[i]);
	merge_ipsets(merger);
	for (size_t i = 0; i < from->coverage_count; i++)
		*arena_push(merger->pool->arena, into->coverage, into->coverage_count) = from->coverage[i];
	if (!merger->used && from->table_count > 0) {
		capture->used = false;
		capture->why = arena_printf(merger->pool->arena, "%s shows these rules", merger->better);
	}
}

static int by_rank(const void *a, const void *b)
{
	const struct captured_rules *left = a, *right = b;

	if (left->rank != right->rank)
		return left->rank > right->rank ? -1 : 1;
	return left->capture < right->capture ? -1 : left->capture > right->capture;
}

void merge_rules(struct pool *pool, struct facts *facts, struct captured_rules *captured, size_t count)
{
	if (count > 1)
		qsort(captured, count, sizeof(*captured), by_rank);
	for (size_t i = 0; i < count; i++) {
		struct merger merger = {.pool = pool, .facts = facts, .captured = &captured[i]};

		merge_one(&merger);
	}
	merge_shadows(pool, facts);
}

static int by_index(const void *a, const void *b)
{
	const struct link *left = a, *right = b;

	if (left->index.known != right->index.known)
		return left->index.known ? -1 : 1;
	if (left->index.value != right->index.value)
		return left->index.value < right->index.value ? -1 : 1;
	return strcmp(left->name, right->name);
}

static int by_sysctl(const void *a, const void *b)
{
	const struct sysctl *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : left->origin.line < right->origin.line ? -1 : left->origin.line > right->origin.line;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct attribute *)a)->path, ((const struct attribute *)b)->path);
}

static int by_node(const void *a, const void *b)
{
	return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

/* One entry for each name; two that disagree are noted. */
static void unify_sysctls(struct pool *pool, struct facts *facts)
{
	size_t kept = 0;

	for (size_t i = 0; i < facts->sysctl_count; i++) {
		const struct sysctl *entry = &facts->sysctls[i], *last = kept ? &facts->sysctls[kept - 1] : NULL;

		if (!last || strcmp(last->name, entry->name) != 0) {
			facts->sysctls[kept++] = *entry;
			continue;
		}
		if (strcmp(last->value, entry->value) != 0)
			*arena_push(pool->arena, facts->notes, facts->note_count) = (struct note){
				arena_printf(pool->arena, "%s is %s here and %s elsewhere; the first is used",
					     entry->name, entry->value, last->value),
				entry->origin};
	}
	facts->sysctl_count = kept;
}

/* Looking up by name is quick from here on, wherever the facts came from. */
static void index_names(struct arena *arena, struct facts *facts)
{
	facts->link_names = NULL;
	for (size_t i = 0; i < facts->link_count; i++)
		names_add(arena, &facts->link_names, facts->links[i].name);
	for (size_t i = 0; i < facts->ruleset.table_count; i++) {
		struct table *table = &facts->ruleset.tables[i];

		table->chain_names = table->set_names = NULL;
		for (size_t j = 0; j < table->chain_count; j++)
			names_add(arena, &table->chain_names, table->chains[j].name);
		for (size_t j = 0; j < table->set_count; j++)
			names_add(arena, &table->set_names, table->sets[j].name);
	}
}

void merge_finish(struct pool *pool, struct facts *facts)
{
	if (facts->link_count)
		qsort(facts->links, facts->link_count, sizeof(*facts->links), by_index);
	if (facts->sysctl_count)
		qsort(facts->sysctls, facts->sysctl_count, sizeof(*facts->sysctls), by_sysctl);
	if (facts->sysctls_absent_count)
		qsort(facts->sysctls_absent, facts->sysctls_absent_count, sizeof(*facts->sysctls_absent), by_text);
	if (facts->attribute_count)
		qsort(facts->attributes, facts->attribute_count, sizeof(*facts->attributes), by_path);
	if (facts->node_count)
		qsort(facts->nodes, facts->node_count, sizeof(*facts->nodes), by_node);
	unify_sysctls(pool, facts);
	index_names(pool->arena, facts);
	if (facts->system == SYSTEM_UNKNOWN &&
	    (facts->links_known || facts->ruleset.coverage_count || facts->sysctl_count || facts->route_coverage_count))
		facts->system = SYSTEM_LINUX;
}
