/*
 * All services become one function from destination and source to the services that get through. Destinations that lead
 * to the same function of sources are reached by the same. Putting all those functions of sources together, by
 * numbering the tuples of their values, says which sources reach the same. Classes are where the two partitions meet.
 */
#include "verify/matrix.h"

#include <stdlib.h>
#include <string.h>

/* Numbers for pairs of numbers; equal pairs have equal numbers. */
struct pairs {
	struct pair {
		uint64_t key;
		uint32_t number;
		bool used;
	} * table;
	size_t size, count;
};

static void pairs_grow(struct pairs *pairs)
{
	struct pairs old = *pairs;

	pairs->size = old.size ? 2 * old.size : 256;
	pairs->table = calloc(pairs->size, sizeof(*pairs->table));
	if (!pairs->table)
		abort();
	for (size_t i = 0; i < old.size; i++) {
		size_t at = old.table[i].key * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (pairs->size - 1);

		if (!old.table[i].used)
			continue;
		while (pairs->table[at].used)
			at = (at + 1) & (pairs->size - 1);
		pairs->table[at] = old.table[i];
	}
	free(old.table);
}

static uint32_t pair_number(struct pairs *pairs, uint32_t a, uint32_t b)
{
	uint64_t key = (uint64_t)a << 32 | b;
	size_t at;

	if (2 * pairs->count >= pairs->size)
		pairs_grow(pairs);
	at = key * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (pairs->size - 1);
	for (; pairs->table[at].used; at = (at + 1) & (pairs->size - 1))
		if (pairs->table[at].key == key)
			return pairs->table[at].number;
	pairs->table[at] = (struct pair){key, (uint32_t)pairs->count, true};
	return (uint32_t)pairs->count++;
}

static bool shortcut_pair(void *context, diagram a, diagram b, diagram *ret)
{
	if (!diagram_is_number(a) || !diagram_is_number(b))
		return false;
	*ret = diagram_of(pair_number(context, diagram_number(a), diagram_number(b)));
	return true;
}

/* One function that tells apart what any of them does. Overwrites the array. */
static diagram tell_apart(struct space *space, struct pairs *pairs, diagram *functions, size_t count)
{
	struct diagram_operator operator= {shortcut_pair, pairs, space_operator_id(space), false};

	for (size_t step = 1; step < count; step *= 2)
		for (size_t i = 0; i + step < count; i += 2 * step)
			functions[i] = diagram_combine(space, &operator, functions[i], functions[i + step]);
	return count ? functions[0] : diagram_of(0);
}

/* A run of addresses that are one class as destinations (or as sources). */
struct run {
	struct interval interval;
	uint32_t part;
};

struct runs {
	struct run *items; /* rising, over all addresses */
	size_t count;
};

static int compare_runs(const void *a, const void *b)
{
	const struct run *left = a, *right = b;

	return (left->interval.first > right->interval.first) - (left->interval.first < right->interval.first);
}

static struct runs runs_of(const struct pset_parts *parts)
{
	struct runs runs = {};

	for (size_t i = 0; i < parts->count; i++)
		runs.count += parts->items[i].interval_count;
	runs.items = calloc(runs.count + 1, sizeof(*runs.items));
	if (!runs.items)
		abort();
	runs.count = 0;
	for (size_t i = 0; i < parts->count; i++)
		for (size_t j = 0; j < parts->items[i].interval_count; j++)
			runs.items[runs.count++] = (struct run){parts->items[i].intervals[j], (uint32_t)i};
	qsort(runs.items, runs.count, sizeof(*runs.items), compare_runs);
	return runs;
}

/* Where the two partitions meet. */
static struct runs meet(struct pairs *pairs, const struct runs *a, const struct runs *b)
{
	struct runs runs = {.items = calloc(a->count + b->count + 1, sizeof(*runs.items))};
	wide first = 0;

	if (!runs.items)
		abort();
	for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
		wide last = a->items[i].interval.last < b->items[j].interval.last ? a->items[i].interval.last
										  : b->items[j].interval.last;
		uint32_t part = pair_number(pairs, a->items[i].part, b->items[j].part);

		if (runs.count && runs.items[runs.count - 1].part == part)
			runs.items[runs.count - 1].interval.last = last;
		else
			runs.items[runs.count++] = (struct run){{first, last}, part};
		i += a->items[i].interval.last == last;
		j += b->items[j].interval.last == last;
		first = last + 1;
	}
	return runs;
}

/* Classes of runs with the same part; parts are numbered as they first appear. */
static void make_classes(struct matrix *matrix, const struct runs *runs, size_t part_count)
{
	size_t *sizes = calloc(part_count + 1, sizeof(*sizes)), used = 0;

	matrix->intervals = calloc(runs->count + 1, sizeof(*matrix->intervals));
	matrix->classes = calloc(part_count + 1, sizeof(*matrix->classes));
	if (!sizes || !matrix->intervals || !matrix->classes)
		abort();
	matrix->class_count = part_count;
	for (size_t i = 0; i < runs->count; i++)
		sizes[runs->items[i].part]++;
	for (size_t i = 0; i < part_count; i++) {
		matrix->classes[i].intervals = &matrix->intervals[used];
		used += sizes[i];
	}
	for (size_t i = 0; i < runs->count; i++) {
		struct matrix_class *class = &matrix->classes[runs->items[i].part];

		class->intervals[class->interval_count++] = runs->items[i].interval;
	}
	free(sizes);
}

static void make_edges(struct matrix *matrix, const struct space *space, const pset *services, size_t count)
{
	size_t classes = matrix->class_count;
	struct packet_values packet = {};

	matrix->edges = calloc(classes * classes + 1, sizeof(*matrix->edges));
	if (!matrix->edges)
		abort();
	for (size_t to = 0; to < classes; to++) {
		packet.fields[PSET_DADDR] = matrix->classes[to].intervals[0].first;
		for (size_t from = 0; from < classes; from++) {
			packet.fields[PSET_SADDR] = matrix->classes[from].intervals[0].first;
			for (size_t i = 0; i < count; i++)
				if (pset_contains(space, services[i], &packet))
					matrix->edges[from * classes + to] |= UINT64_C(1) << i;
		}
	}
}

/* The parts of the destinations, each with its function of the sources. */
static struct pset_parts *part_destinations(struct space *space, const pset *services, size_t count)
{
	diagram *functions = calloc(count + 1, sizeof(*functions));
	struct pset_parts *parts;
	struct pairs pairs = {};

	if (!functions)
		abort();
	memcpy(functions, services, count * sizeof(*functions));
	parts = pset_parts_new(space, tell_apart(space, &pairs, functions, count), PSET_DADDR);
	free(functions);
	free(pairs.table);
	return parts;
}

static struct pset_parts *part_sources(struct space *space, const struct pset_parts *destinations)
{
	diagram *functions = calloc(destinations->count + 1, sizeof(*functions));
	struct pset_parts *parts;
	struct pairs pairs = {};

	if (!functions)
		abort();
	for (size_t i = 0; i < destinations->count; i++)
		functions[i] = destinations->items[i].below;
	parts = pset_parts_new(space, tell_apart(space, &pairs, functions, destinations->count), PSET_SADDR);
	free(functions);
	free(pairs.table);
	return parts;
}

struct matrix *matrix_new(struct space *space, const pset *services, size_t count)
{
	cleanup_pset_parts struct pset_parts *destinations = part_destinations(space, services, count);
	cleanup_pset_parts struct pset_parts *sources = part_sources(space, destinations);
	struct runs by_destination, by_source, runs;
	struct matrix *matrix = calloc(1, sizeof(*matrix));
	struct pairs met = {};

	if (!matrix)
		abort();
	if (space_check(space, NULL) < 0) {
		free(matrix);
		return NULL;
	}
	by_destination = runs_of(destinations);
	by_source = runs_of(sources);
	runs = meet(&met, &by_destination, &by_source);
	make_classes(matrix, &runs, met.count);
	make_edges(matrix, space, services, count);
	free(by_destination.items);
	free(by_source.items);
	free(runs.items);
	free(met.table);
	return matrix;
}

void matrix_free(struct matrix *matrix)
{
	if (!matrix)
		return;
	free(matrix->classes);
	free(matrix->edges);
	free(matrix->intervals);
	free(matrix);
}

size_t matrix_class_of(const struct matrix *matrix, wide address)
{
	for (size_t i = 0; i < matrix->class_count; i++)
		for (size_t j = 0; j < matrix->classes[i].interval_count; j++)
			if (address >= matrix->classes[i].intervals[j].first &&
			    address <= matrix->classes[i].intervals[j].last)
				return i;
	return matrix->class_count; /* never: classes hold all addresses */
}
