#include "verify/outcome.h"

#include <stdlib.h>
#include <string.h>

struct done {
	effect before;
	const struct statement *statement;
};

struct ends {
	size_t first;
	uint32_t count;
	uint32_t kinds;
};

struct outcomes {
	struct done *effects; /* number i is effect i + 1 */
	size_t effect_count;
	struct end *ends; /* of all outcomes, one after the other, each sorted */
	size_t end_count;
	struct ends *sets;
	size_t set_count;
	uint32_t *table; /* outcome plus 1; 0: free */
	size_t table_size;
	uint32_t kinds; /* of all of them */
	bool go_on_changed, open;
};

/* Makes room for more at the end of an array whose capacity is the power of two at or above its count. */
static void *reserve(void *items, size_t count, size_t more, size_t size)
{
	size_t had = 16, wanted = 16;

	while (had < count)
		had *= 2;
	while (wanted < count + more)
		wanted *= 2;
	if (items && wanted == had)
		return items;
	items = reallocarray(items, wanted, size);
	if (!items)
		abort();
	return items;
}

static int compare_ends(const void *a, const void *b)
{
	const struct end *left = a, *right = b;

	if (left->kind != right->kind)
		return left->kind < right->kind ? -1 : 1;
	return (left->effect > right->effect) - (left->effect < right->effect);
}

static size_t hash_ends(const struct end *ends, size_t count)
{
	uint64_t hash = count;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ ((uint64_t)ends[i].kind << 32 | ends[i].effect)) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(hash >> 20);
}

static void fill_table(struct outcomes *outcomes)
{
	outcomes->table_size = outcomes->table_size ? 2 * outcomes->table_size : 64;
	free(outcomes->table);
	outcomes->table = calloc(outcomes->table_size, sizeof(*outcomes->table));
	if (!outcomes->table)
		abort();
	for (size_t i = 0; i < outcomes->set_count; i++) {
		const struct ends *set = &outcomes->sets[i];
		size_t at = hash_ends(&outcomes->ends[set->first], set->count) & (outcomes->table_size - 1);

		while (outcomes->table[at])
			at = (at + 1) & (outcomes->table_size - 1);
		outcomes->table[at] = (uint32_t)i + 1;
	}
}

/* The outcome with these ends, of which some may stand there twice. */
static outcome unique(struct outcomes *outcomes, struct end *ends, size_t count)
{
	size_t at, kept = 0;
	struct ends *set;

	qsort(ends, count, sizeof(*ends), compare_ends);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || compare_ends(&ends[i], &ends[kept - 1]) != 0)
			ends[kept++] = ends[i];
	at = hash_ends(ends, kept) & (outcomes->table_size - 1);
	for (; outcomes->table[at]; at = (at + 1) & (outcomes->table_size - 1)) {
		set = &outcomes->sets[outcomes->table[at] - 1];
		if (set->count == kept && memcmp(&outcomes->ends[set->first], ends, kept * sizeof(*ends)) == 0)
			return outcomes->table[at] - 1;
	}
	outcomes->table[at] = (uint32_t)outcomes->set_count + 1;
	outcomes->ends = reserve(outcomes->ends, outcomes->end_count, kept, sizeof(*ends));
	outcomes->sets = reserve(outcomes->sets, outcomes->set_count, 1, sizeof(*set));
	set = &outcomes->sets[outcomes->set_count++];
	*set = (struct ends){.first = outcomes->end_count, .count = (uint32_t)kept};
	for (size_t i = 0; i < kept; i++) {
		set->kinds |= END_BIT(ends[i].kind);
		outcomes->go_on_changed |= ends[i].kind == END_CONTINUE && ends[i].effect;
	}
	outcomes->kinds |= set->kinds;
	outcomes->open |= (set->kinds & (set->kinds - 1)) != 0;
	memcpy(&outcomes->ends[outcomes->end_count], ends, kept * sizeof(*ends));
	outcomes->end_count += kept;
	if (outcomes->set_count > outcomes->table_size / 2)
		fill_table(outcomes);
	return (outcome)(set - outcomes->sets);
}

struct outcomes *outcomes_new(void)
{
	struct outcomes *outcomes = calloc(1, sizeof(*outcomes));

	if (!outcomes)
		abort();
	fill_table(outcomes);
	outcome_of(outcomes, END_CONTINUE, 0);
	unique(outcomes, &(struct end){}, 0);
	return outcomes;
}

void outcomes_free(struct outcomes *outcomes)
{
	if (!outcomes)
		return;
	free(outcomes->effects);
	free(outcomes->ends);
	free(outcomes->sets);
	free(outcomes->table);
	free(outcomes);
}

outcome outcome_of(struct outcomes *outcomes, enum end_kind kind, effect done)
{
	return unique(outcomes, &(struct end){kind, done}, 1);
}

/* Room for the ends of two outcomes. */
struct scratch {
	struct end few[16], *ends;
	size_t count;
};

static void scratch_new(const struct outcomes *outcomes, struct scratch *scratch, outcome a, outcome b)
{
	size_t most = outcomes->sets[a].count + outcomes->sets[b].count;

	scratch->count = 0;
	scratch->ends =
		most <= sizeof(scratch->few) / sizeof(*scratch->few) ? scratch->few : calloc(most, sizeof(struct end));
	if (!scratch->ends)
		abort();
}

static void scratch_add(const struct outcomes *outcomes, struct scratch *scratch, outcome a)
{
	const struct ends *set = &outcomes->sets[a];

	memcpy(&scratch->ends[scratch->count], &outcomes->ends[set->first], set->count * sizeof(struct end));
	scratch->count += set->count;
}

static outcome scratch_end(struct outcomes *outcomes, struct scratch *scratch)
{
	outcome result = unique(outcomes, scratch->ends, scratch->count);

	if (scratch->ends != scratch->few)
		free(scratch->ends);
	return result;
}

outcome outcome_either(struct outcomes *outcomes, outcome a, outcome b)
{
	struct scratch scratch;

	if (a == b || b == OUTCOME_NOTHING)
		return a;
	if (a == OUTCOME_NOTHING)
		return b;
	scratch_new(outcomes, &scratch, a, b);
	scratch_add(outcomes, &scratch, a);
	scratch_add(outcomes, &scratch, b);
	return scratch_end(outcomes, &scratch);
}

/* All that was done, and then what `later` says. */
static effect effect_join(struct outcomes *outcomes, effect done, effect later)
{
	if (!later)
		return done;
	if (!done)
		return later;
	return effect_of(outcomes, effect_join(outcomes, done, outcomes->effects[later - 1].before),
			 outcomes->effects[later - 1].statement);
}

outcome outcome_then(struct outcomes *outcomes, outcome first, struct end end, outcome second)
{
	struct scratch scratch;
	size_t kept = 0;
	bool goes_on = false;

	if (!(outcomes->sets[first].kinds & END_BIT(end.kind)))
		return first;
	if (first == OUTCOME_CONTINUE && end.effect == 0)
		return second;
	scratch_new(outcomes, &scratch, first, second);
	scratch_add(outcomes, &scratch, first);
	for (size_t i = 0; i < scratch.count; i++) {
		if (compare_ends(&scratch.ends[i], &end) == 0)
			goes_on = true;
		else
			scratch.ends[kept++] = scratch.ends[i];
	}
	scratch.count = kept;
	if (goes_on)
		scratch_add(outcomes, &scratch, second);
	for (size_t i = kept; i < scratch.count; i++)
		scratch.ends[i].effect = effect_join(outcomes, end.effect, scratch.ends[i].effect);
	return scratch_end(outcomes, &scratch);
}

outcome outcome_as(struct outcomes *outcomes, outcome a, unsigned kinds, enum end_kind kind)
{
	struct scratch scratch;

	if (!(outcomes->sets[a].kinds & kinds))
		return a;
	scratch_new(outcomes, &scratch, a, a);
	scratch_add(outcomes, &scratch, a);
	for (size_t i = 0; i < scratch.count; i++)
		if (kinds & END_BIT(scratch.ends[i].kind))
			scratch.ends[i].kind = kind;
	return scratch_end(outcomes, &scratch);
}

bool outcomes_go_on_changed(const struct outcomes *outcomes)
{
	return outcomes->go_on_changed;
}

unsigned outcomes_kinds(const struct outcomes *outcomes)
{
	return outcomes->kinds;
}

bool outcomes_open(const struct outcomes *outcomes)
{
	return outcomes->open;
}

unsigned outcome_kinds(const struct outcomes *outcomes, outcome a)
{
	return outcomes->sets[a].kinds;
}

const struct end *outcome_ends(const struct outcomes *outcomes, outcome a, size_t *ret_count)
{
	*ret_count = outcomes->sets[a].count;
	return &outcomes->ends[outcomes->sets[a].first];
}

effect effect_of(struct outcomes *outcomes, effect before, const struct statement *statement)
{
	for (size_t i = 0; i < outcomes->effect_count; i++)
		if (outcomes->effects[i].before == before && outcomes->effects[i].statement == statement)
			return (effect)i + 1;
	outcomes->effects = reserve(outcomes->effects, outcomes->effect_count, 1, sizeof(*outcomes->effects));
	outcomes->effects[outcomes->effect_count++] = (struct done){before, statement};
	return (effect)outcomes->effect_count;
}

const struct statement *effect_statement(const struct outcomes *outcomes, effect done, effect *ret_before)
{
	*ret_before = outcomes->effects[done - 1].before;
	return outcomes->effects[done - 1].statement;
}
