/* Sets of packets by the values of one field. */
#include "verify/pset_piece.h"

#include <stdlib.h>

static unsigned common_bits(wide a, wide b)
{
	uint64_t high = (uint64_t)((a ^ b) >> 64), low = (uint64_t)(a ^ b);

	if (high)
		return (unsigned)__builtin_clzll(high);
	return low ? 64 + (unsigned)__builtin_clzll(low) : 128;
}

/* Some bits of a field, between `start` and `end`. Intervals are shifted up; what lies behind the end is all values. */
struct builder {
	struct space *space;
	const struct pset_piece *pieces;
	unsigned end;
};

static const struct pset_piece *piece_at(const struct builder *builder, unsigned bit)
{
	const struct pset_piece *piece = builder->pieces;

	while (bit >= (unsigned)piece->start + piece->count)
		piece++;
	return piece;
}

/* Are the bits from `start` to `end`, all of one piece asked in tests, those of the value? */
static diagram ask(const struct builder *builder, unsigned start, unsigned end, wide value, diagram then,
		   diagram otherwise)
{
	const struct pset_piece *piece = piece_at(builder, start);

	return diagram_test(builder->space, piece->word, start - piece->start, end - start,
			    (uint64_t)((value & ~top_bits(start) & top_bits(end)) << piece->start >> 64), then,
			    otherwise);
}

static pset within(const struct builder *builder, const struct interval *intervals, size_t count, wide base,
		   unsigned known);

/* Those of the intervals that the bits before `known` leave. */
static pset within_some(const struct builder *builder, const struct interval *intervals, size_t count, wide base,
			unsigned known)
{
	wide end = base | ~top_bits(known);
	size_t some = 0;

	while (some < count && intervals[some].first <= end)
		some++;
	return within(builder, intervals, some, base, known);
}

/*
 * A piece that is asked in ranges. Of an interval only the first and the last value of the piece may be there in part;
 * pieces behind it then ask for the rest.
 */
static pset within_ranges(const struct builder *builder, const struct pset_piece *piece,
			  const struct interval *intervals, size_t count, wide base)
{
	struct diagram_edge few[32], *edges = count <= 7 ? few : calloc(4 * count + 1, sizeof(*edges));
	unsigned behind = (unsigned)piece->start + piece->count;
	wide end = base | ~top_bits(piece->start);
	uint64_t last = piece_last(piece), next = 0;
	bool done = false;
	size_t used = 0;
	pset result;

	if (!edges)
		abort();
	for (size_t i = 0; i < count && !done; i++) {
		uint64_t low = piece_value(piece, intervals[i].first > base ? intervals[i].first : base);
		uint64_t high = piece_value(piece, intervals[i].last < end ? intervals[i].last : end);
		uint64_t ends[] = {low, high};

		for (int side = 0; side < 2 && !done; side++) {
			if (ends[side] < next)
				continue;
			if (ends[side] > next)
				edges[used++] = (struct diagram_edge){ends[side] - 1, side ? PSET_FULL : PSET_EMPTY};
			edges[used++] = (struct diagram_edge){
				ends[side], within_some(builder, &intervals[i], count - i,
							base | piece_place(piece, ends[side]), behind)};
			done = ends[side] == last;
			next = ends[side] + 1;
		}
	}
	if (!done)
		edges[used++] = (struct diagram_edge){last, PSET_EMPTY};
	result = diagram_ranges(builder->space, piece->word, edges, used);
	if (edges != few)
		free(edges);
	return result;
}

static pset within_tests(const struct builder *builder, const struct pset_piece *piece,
			 const struct interval *intervals, size_t count, wide base, unsigned known)
{
	wide end = base | ~top_bits(known), middle = base | (top_bits(known + 1) & ~top_bits(known));
	wide first = intervals[0].first > base ? intervals[0].first : base;
	wide last = intervals[count - 1].last < end ? intervals[count - 1].last : end;
	unsigned common = common_bits(first, last), limit = (unsigned)piece->start + piece->count;
	pset low, high;
	size_t left;

	limit = limit < builder->end ? limit : builder->end;
	common = common < limit ? common : limit;
	if (common > known)
		return ask(builder, known, common, first,
			   within(builder, intervals, count, first & top_bits(common), common), PSET_EMPTY);
	for (left = 0; left < count && intervals[left].first < middle;)
		left++;
	low = within(builder, intervals, left, base, known + 1);
	if (left > 0 && intervals[left - 1].last >= middle)
		left--;
	high = within(builder, intervals + left, count - left, middle, known + 1);
	return ask(builder, known, known + 1, middle, high, low);
}

/* What of the intervals (rising, apart) has the bits before `known` as in `base`. */
static pset within(const struct builder *builder, const struct interval *intervals, size_t count, wide base,
		   unsigned known)
{
	wide end = base | ~top_bits(known);
	const struct pset_piece *piece;

	if (count == 0)
		return PSET_EMPTY;
	if (known >= builder->end || (count == 1 && intervals[0].first <= base && intervals[0].last >= end))
		return PSET_FULL;
	piece = piece_at(builder, known);
	if (piece->ranges)
		return within_ranges(builder, piece, intervals, count, base);
	return within_tests(builder, piece, intervals, count, base, known);
}

static int compare_intervals(const void *a, const void *b)
{
	const struct interval *left = a, *right = b;

	return (left->first > right->first) - (left->first < right->first);
}

/* Sorted, and joined where they touch. Returns how many there are then. */
static size_t join_intervals(struct interval *intervals, size_t count)
{
	size_t joined = 0;

	qsort(intervals, count, sizeof(*intervals), compare_intervals);
	for (size_t i = 1; i < count; i++) {
		struct interval *last = &intervals[joined];

		if (last->last != ~(wide)0 && intervals[i].first > last->last + 1)
			intervals[++joined] = intervals[i];
		else if (intervals[i].last > last->last)
			last->last = intervals[i].last;
	}
	return count ? joined + 1 : 0;
}

/*
 * How many bits lie between where a part begins and where its piece does, if that is asked in ranges: so often its
 * intervals are repeated there.
 */
static unsigned repeated_bits(struct pset_bits bits)
{
	size_t count;
	const struct builder builder = {.pieces = pset_pieces(bits.field, &count)};
	const struct pset_piece *piece = piece_at(&builder, bits.start);

	return piece->ranges ? bits.start - piece->start : 0;
}

pset pset_bits_intervals(struct space *space, struct pset_bits bits, const struct interval *intervals, size_t count)
{
	unsigned repeated = repeated_bits(bits), shift = 128 - bits.start - bits.count;
	size_t piece_count, used = 0, all_count = count << repeated;
	struct builder builder = {space, pset_pieces(bits.field, &piece_count), bits.start + bits.count};
	struct interval few[8], *all = all_count <= 8 ? few : malloc(all_count * sizeof(*all));
	wide unused = shift ? ~(wide)0 >> builder.end : 0;
	pset result;

	if (!all)
		abort();
	for (wide time = 0; time >> repeated == 0; time++) {
		wide place = repeated ? time << (128 - bits.start) : 0;

		for (size_t i = 0; i < count; i++)
			if (intervals[i].first <= intervals[i].last)
				all[used++] = (struct interval){place | intervals[i].first << shift,
								place | intervals[i].last << shift | unused};
	}
	used = join_intervals(all, used);
	result = within(&builder, all, used, 0, bits.start - repeated);
	if (all != few)
		free(all);
	return result;
}

pset pset_intervals(struct space *space, enum pset_field field, const struct interval *intervals, size_t count)
{
	return pset_bits_intervals(space, pset_bits_of(field), intervals, count);
}

pset pset_interval(struct space *space, enum pset_field field, wide first, wide last)
{
	return pset_intervals(space, field, &(struct interval){first, last}, 1);
}

pset pset_value(struct space *space, enum pset_field field, wide value)
{
	return pset_interval(space, field, value, value);
}

pset pset_kind(struct space *space, enum pset_field field, unsigned value)
{
	struct interval interval = interval_of_kind(field, value);

	return pset_intervals(space, field, &interval, 1);
}

/* The next bits of a mask that stand together in one piece, from the lowest: false, there are none above `below`. */
static bool next_run(struct pset_bits bits, wide mask, unsigned below, struct pset_bits *ret)
{
	size_t count;
	const struct builder builder = {.pieces = pset_pieces(bits.field, &count)};
	unsigned shift = 128 - bits.start - bits.count, start, end = below;
	wide shifted = mask << shift;

	while (end > bits.start && !(shifted >> (128 - end) & 1))
		end--;
	for (start = end; start > bits.start && shifted >> (128 - start) & 1;) {
		start--;
		if (start == piece_at(&builder, start)->start)
			break;
	}
	*ret = (struct pset_bits){bits.field, start, end - start};
	return start < end;
}

bool pset_can_mask(struct pset_bits bits, wide mask)
{
	struct pset_bits run;

	for (unsigned below = bits.start + bits.count; next_run(bits, mask, below, &run); below = run.start)
		if (repeated_bits(run) > PSET_MOST_REPEATED_BITS)
			return false;
	return true;
}

pset pset_bits_masked(struct space *space, struct pset_bits bits, wide value, wide mask)
{
	unsigned shift = 128 - bits.start - bits.count;
	pset result = PSET_FULL;
	struct pset_bits run;

	for (unsigned below = bits.start + bits.count; next_run(bits, mask, below, &run); below = run.start) {
		wide part = value << shift >> (128 - run.start - run.count) & (~(wide)0 >> (128 - run.count));

		result = pset_and(space, pset_bits_intervals(space, run, &(struct interval){part, part}, 1), result);
	}
	return result;
}

pset pset_masked(struct space *space, enum pset_field field, wide value, wide mask)
{
	return pset_bits_masked(space, pset_bits_of(field), value, mask);
}
