/*
 * All services become one function from destination and source to the services that get through. Destinations that lead
 * to the same function of sources are reached by the same. Putting all those functions of sources together, by
 * numbering the tuples of their values, says which sources reach the same. Classes are where the two partitions meet.
 */
#include "verify/matrix.h"

#include "base/error.h"

#include <errno.h>
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

/* A partition of all addresses: runs that rise, and which part each is of. */
struct partition {
	struct part_run {
		struct interval interval;
		uint32_t part;
	} * runs;
	size_t run_count, part_count;
	diagram *functions; /* of each part: of destinations what they are as functions of the sources */
};

static void partition_free(struct partition *partition)
{
	free(partition->runs);
	free(partition->functions);
}

/* Addresses are of one part if they lead to the same. */
static struct partition partition_by(struct space *space, diagram function, enum pset_field field)
{
	struct partition partition = {};
	struct pairs numbers = {};
	struct pset_run *runs;

	partition.run_count = pset_runs(space, function, field, &runs);
	partition.runs = calloc(partition.run_count + 1, sizeof(*partition.runs));
	partition.functions = calloc(partition.run_count + 1, sizeof(*partition.functions));
	if (!partition.runs || !partition.functions)
		abort();
	for (size_t i = 0; i < partition.run_count; i++) {
		uint32_t part = pair_number(&numbers, 0, runs[i].below);

		partition.runs[i].interval = runs[i].interval;
		partition.runs[i].part = part;
		partition.functions[part] = runs[i].below;
	}
	partition.part_count = numbers.count;
	free(numbers.table);
	free(runs);
	return partition;
}

static struct partition partition_destinations(struct space *space, const pset *services, size_t count)
{
	diagram *functions = calloc(count + 1, sizeof(*functions));
	struct partition partition;
	struct pairs pairs = {};

	if (!functions)
		abort();
	memcpy(functions, services, count * sizeof(*functions));
	partition = partition_by(space, tell_apart(space, &pairs, functions, count), PSET_DADDR);
	free(functions);
	free(pairs.table);
	return partition;
}

static struct partition partition_sources(struct space *space, const struct partition *destinations)
{
	diagram *functions = calloc(destinations->part_count + 1, sizeof(*functions));
	struct partition partition;
	struct pairs pairs = {};

	if (!functions)
		abort();
	memcpy(functions, destinations->functions, destinations->part_count * sizeof(*functions));
	partition = partition_by(space, tell_apart(space, &pairs, functions, destinations->part_count), PSET_SADDR);
	free(functions);
	free(pairs.table);
	return partition;
}

/* Where two partitions meet. `parts`: of each part of the result the parts of the two; malloced. */
struct meeting {
	uint32_t a, b;
};

static struct partition meet(const struct partition *a, const struct partition *b, struct meeting **ret_parts)
{
	struct partition met = {.runs = calloc(a->run_count + b->run_count + 1, sizeof(*met.runs))};
	struct meeting *parts = calloc(a->run_count + b->run_count + 1, sizeof(*parts));
	struct pairs pairs = {};
	wide first = 0;

	if (!met.runs || !parts)
		abort();
	for (size_t i = 0, j = 0; i < a->run_count && j < b->run_count;) {
		const struct part_run *left = &a->runs[i], *right = &b->runs[j];
		wide last = left->interval.last < right->interval.last ? left->interval.last : right->interval.last;
		uint32_t part = pair_number(&pairs, left->part, right->part);

		parts[part] = (struct meeting){left->part, right->part};
		if (met.run_count && met.runs[met.run_count - 1].part == part)
			met.runs[met.run_count - 1].interval.last = last;
		else
			met.runs[met.run_count++] = (struct part_run){{first, last}, part};
		i += left->interval.last == last;
		j += right->interval.last == last;
		first = last + 1;
	}
	met.part_count = pairs.count;
	free(pairs.table);
	*ret_parts = parts;
	return met;
}

/* One class for each part, which are numbered as they first appear. */
static void make_classes(struct matrix *matrix, const struct partition *partition)
{
	size_t *sizes = calloc(partition->part_count + 1, sizeof(*sizes)), used = 0;

	matrix->class_count = partition->part_count;
	matrix->intervals = calloc(partition->run_count + 1, sizeof(*matrix->intervals));
	matrix->classes = calloc(partition->part_count + 1, sizeof(*matrix->classes));
	if (!sizes || !matrix->intervals || !matrix->classes)
		abort();
	for (size_t i = 0; i < partition->run_count; i++)
		sizes[partition->runs[i].part]++;
	for (size_t i = 0; i < partition->part_count; i++) {
		matrix->classes[i].intervals = &matrix->intervals[used];
		used += sizes[i];
	}
	for (size_t i = 0; i < partition->run_count; i++) {
		struct matrix_class *class = &matrix->classes[partition->runs[i].part];

		class->intervals[class->interval_count++] = partition->runs[i].interval;
	}
	free(sizes);
}

/* For one destination what reaches it from every part of the sources. */
static void make_row(struct space *space, const pset *services, size_t count, wide destination,
		     const struct partition *sources, matrix_services *row)
{
	memset(row, 0, sources->part_count * sizeof(*row));
	for (size_t i = 0; i < count; i++) {
		struct pset_run *runs;
		size_t run_count, at = 0;
		pset set = pset_before(space, services[i], pset_bits_of(PSET_DADDR), destination, ~(wide)0);

		run_count = pset_runs(space, set, PSET_SADDR, &runs);
		for (size_t j = 0; run_count && j < sources->run_count; j++) {
			while (runs[at].interval.last < sources->runs[j].interval.first)
				at++;
			if (runs[at].below == PSET_FULL)
				row[sources->runs[j].part] |= UINT64_C(1) << i;
		}
		free(runs);
	}
}

static void make_edges(struct matrix *matrix, struct space *space, const pset *services, size_t count,
		       const struct partition *destinations, const struct partition *sources,
		       const struct meeting *classes)
{
	size_t class_count = matrix->class_count;
	matrix_services *rows = calloc(destinations->part_count * sources->part_count + 1, sizeof(*rows));

	matrix->edges = calloc(class_count * class_count + 1, sizeof(*matrix->edges));
	if (!rows || !matrix->edges)
		abort();
	for (size_t i = 0, done = 0; i < destinations->run_count; i++)
		if (destinations->runs[i].part == done)
			make_row(space, services, count, destinations->runs[i].interval.first, sources,
				 &rows[done++ * sources->part_count]);
	for (size_t from = 0; from < class_count; from++)
		for (size_t to = 0; to < class_count; to++)
			matrix->edges[from * class_count + to] =
				rows[classes[to].a * sources->part_count + classes[from].b];
	free(rows);
}

/* Are these as many classes as somebody could read? There are as many at least. */
static int check_size(const struct space *space, const struct partition *partition, struct error **err)
{
	if (space_check(space, err) < 0)
		return -E2BIG;
	if (partition->part_count <= MATRIX_CLASSES)
		return 0;
	error_set(err, E2BIG, "the rules tell more than %d classes of addresses apart, which nobody could read",
		  MATRIX_CLASSES);
	error_hint(err, "ask for fewer ports at a time");
	return -E2BIG;
}

int matrix_new(struct space *space, const pset *services, size_t count, struct matrix **ret, struct error **err)
{
	struct partition destinations = partition_destinations(space, services, count), sources = {}, met = {};
	struct meeting *classes = NULL;
	struct matrix *matrix;
	int result = check_size(space, &destinations, err);

	if (result == 0) {
		sources = partition_sources(space, &destinations);
		met = meet(&destinations, &sources, &classes);
		result = check_size(space, &met, err);
	}
	if (result == 0) {
		matrix = calloc(1, sizeof(*matrix));
		if (!matrix)
			abort();
		make_classes(matrix, &met);
		make_edges(matrix, space, services, count, &destinations, &sources, classes);
		*ret = matrix;
	}
	partition_free(&destinations);
	partition_free(&sources);
	partition_free(&met);
	free(classes);
	return result;
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
