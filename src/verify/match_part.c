#include "verify/match_part.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	MOST_VALUES = 256, /* of a range behind a mask with holes */
};

/* ---- values of one field ---- */

static bool within(wide value, const struct interval *intervals, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (value >= intervals[i].first && value <= intervals[i].last)
			return true;
	return false;
}

/* Of all ports only those that are asked about count. */
static pset asked_ports(const struct match_scope *scope, const struct interval *intervals, size_t count)
{
	const struct slice *slice = scope->slice;
	struct interval *kept = calloc(slice->port_count, sizeof(*kept));
	size_t used = 0;
	pset set;

	if (!kept)
		abort();
	for (size_t i = 0; i < slice->port_count; i++)
		if (within(slice->ports[i], intervals, count))
			kept[used++] = (struct interval){i ? slice->ports[i] : 0,
							 i + 1 < slice->port_count ? slice->ports[i + 1] - 1u : 65535};
	set = pset_intervals(scope->space, PSET_DPORT, kept, used);
	free(kept);
	return set;
}

pset match_values(const struct match_scope *scope, struct pset_bits bits, const struct interval *intervals,
		  size_t count)
{
	const struct slice *slice = scope->slice;
	wide value;

	if (slice && slice->fixed & PSET_BIT(bits.field)) {
		value = slice->values.fields[bits.field] >> (pset_field_bits(bits.field) - bits.start - bits.count);
		value &= ~(wide)0 >> (128 - bits.count);
		return within(value, intervals, count) ? PSET_FULL : PSET_EMPTY;
	}
	if (slice && slice->port_count && bits.field == PSET_DPORT && bits.count == pset_field_bits(PSET_DPORT))
		return asked_ports(scope, intervals, count);
	return pset_bits_intervals(scope->space, bits, intervals, count);
}

pset match_masked(const struct match_scope *scope, struct pset_bits bits, wide value, wide mask)
{
	wide fixed;

	if (!scope->slice || !(scope->slice->fixed & PSET_BIT(bits.field)))
		return pset_bits_masked(scope->space, bits, value, mask);
	fixed = scope->slice->values.fields[bits.field] >> (pset_field_bits(bits.field) - bits.start - bits.count);
	return (fixed & mask) == (value & mask) ? PSET_FULL : PSET_EMPTY;
}

wide match_ones(unsigned count)
{
	return count ? ~(wide)0 >> (128 - count) : 0;
}

static unsigned trailing_zeros(wide value)
{
	uint64_t low = (uint64_t)value, high = (uint64_t)(value >> 64);

	return low ? (unsigned)__builtin_ctzll(low) : high ? 64 + (unsigned)__builtin_ctzll(high) : 128;
}

struct bounds match_family(const struct match_scope *scope, uint8_t family)
{
	struct interval interval = interval_of_kind(PSET_FAMILY, family == AF_INET ? PSET_IP4 : PSET_IP6);

	return bounds_exactly(match_values(scope, pset_bits_of(PSET_FAMILY), &interval, 1));
}

/* ---- a selector's value within parts ---- */

static void gather_interval(struct gathering *gathering, wide first, wide last)
{
	if (gathering->count == gathering->capacity) {
		gathering->capacity = gathering->capacity ? 2 * gathering->capacity : 8;
		gathering->intervals =
			reallocarray(gathering->intervals, gathering->capacity, sizeof(*gathering->intervals));
		if (!gathering->intervals)
			abort();
	}
	gathering->intervals[gathering->count++] = (struct interval){first, last};
}

void gathering_add_bounds(struct gathering *gathering, struct bounds bounds)
{
	gathering->others = bounds_or(gathering->scope->space, gathering->others, bounds);
}

/* Values between two, as the bits of the field that they come from. */
static void gather_masked(struct gathering *gathering, wide first, wide last)
{
	const struct selector *selector = gathering->selector;
	const struct match_scope *scope = gathering->scope;
	wide all = match_ones(selector->bits.count), mask = selector->mask & all;
	unsigned low = mask ? trailing_zeros(mask) : 0, length = trailing_zeros(~(mask >> low));
	struct pset_bits part = selector->bits;
	struct interval interval;
	pset sum = PSET_EMPTY;

	if (mask >> low == match_ones(length) && (selector->flip & all) == 0 && mask) { /* bits that stand together */
		part.start += part.count - low - length;
		part.count = length;
		interval.first = (first >> low) + ((first & match_ones(low)) != 0);
		interval.last = last >> low;
		if (interval.last > match_ones(length))
			interval.last = match_ones(length);
		if (interval.first <= interval.last)
			gathering_add_bounds(gathering,
					     pset_can_mask(part, match_ones(part.count))
						     ? bounds_exactly(match_values(scope, part, &interval, 1))
						     : BOUNDS_UNKNOWN);
		return;
	}
	if (last - first >= MOST_VALUES || !pset_can_mask(part, mask)) {
		gathering_add_bounds(gathering, BOUNDS_UNKNOWN);
		return;
	}
	for (wide value = first; value <= last; value++)
		if (((value ^ selector->flip) & ~mask & all) == 0)
			sum = pset_or(scope->space, sum, match_masked(scope, part, value ^ selector->flip, mask));
	gathering_add_bounds(gathering, bounds_exactly(sum));
}

static void gather_number(struct gathering *gathering, wide first, wide last)
{
	const struct selector *selector = gathering->selector;
	wide all = match_ones(selector->bits.count);

	if (selector->shift > 0) {
		if (first > all >> selector->shift)
			return;
		first <<= selector->shift;
		last = last > all >> selector->shift ? all
						     : last << selector->shift | match_ones((unsigned)selector->shift);
	} else if (selector->shift < 0) {
		unsigned shift = (unsigned)-selector->shift;

		first = (first >> shift) + ((first & match_ones(shift)) != 0);
		last >>= shift;
	}
	if (first > all || first > last)
		return;
	if (last > all)
		last = all;
	if ((selector->mask & all) == all && (selector->flip & all) == 0)
		gather_interval(gathering, first, last);
	else
		gather_masked(gathering, first, last);
}

static void gather_address(struct gathering *gathering, const struct stack_part *part)
{
	const struct selector *selector = gathering->selector;
	const struct match_scope *scope = gathering->scope;
	bool ip4 = part->family == AF_INET;
	struct interval interval = {part->low, part->high};
	struct pset_bits bits = {selector->bits.field, 0, ip4 ? 32 : 128};
	pset set;

	if (selector->bits.count == (ip4 ? 32u : 128u) || part->family == 0) {
		gather_number(gathering, part->low, part->high);
		return;
	}
	if (selector->bits.count < 128) /* of the other family */
		return;
	set = match_family(scope, part->family).may;
	gathering_add_bounds(gathering,
			     bounds_exactly(pset_and(scope->space, set, match_values(scope, bits, &interval, 1))));
}

void gathering_add_kinds(struct gathering *gathering, wide first, wide last)
{
	const struct selector *selector = gathering->selector;
	const struct match_scope *scope = gathering->scope;

	for (size_t i = 0; i < selector->kind_count; i++) {
		const struct kind *kind = &selector->kinds[i];
		wide value = ((kind->number & selector->mask) ^ selector->flip);
		struct interval interval = interval_of_kind(selector->bits.field, kind->value);
		struct bounds set;

		value = selector->shift >= 0 ? value >> selector->shift : value << -selector->shift;
		set = bounds_exactly(match_values(scope, pset_bits_of(selector->bits.field), &interval, 1));
		if (!kind->sure)
			set.must = PSET_EMPTY;
		if ((value >= first && value <= last) || !kind->sure)
			gathering_add_bounds(gathering, set);
	}
}

static void gather_name(struct gathering *gathering, const struct stack_part *part)
{
	struct interval names;

	if (part->kind == PART_TEXT && strlen(part->text) < 16) {
		gather_interval(gathering, wide_of_name(part->text), wide_of_name(part->text));
	} else if (part->kind == PART_PREFIX && strlen(part->text) < 16) {
		names = interval_of_wildcard(part->text);
		gather_interval(gathering, names.first, names.last);
	}
	/* a longer name is no interface's */
}

void gathering_add(struct gathering *gathering, const struct stack_part *part)
{
	const struct selector *selector = gathering->selector;

	if (part->kind == PART_ANY) {
		gathering_add_bounds(gathering, bounds_exactly(PSET_FULL));
	} else if (part->kind == PART_UNKNOWN || selector->coding == CODING_NONE) {
		gathering_add_bounds(gathering, BOUNDS_UNKNOWN);
	} else if (selector->coding == CODING_NAME) {
		if (part->kind == PART_RANGE)
			gathering_add_bounds(gathering, BOUNDS_UNKNOWN);
		else
			gather_name(gathering, part);
	} else if (part->kind != PART_RANGE) {
		gathering_add_bounds(gathering, BOUNDS_UNKNOWN);
	} else if (selector->coding == CODING_ADDRESS) {
		gather_address(gathering, part);
	} else if (selector->coding == CODING_KIND) {
		gathering_add_kinds(gathering, part->low, part->high);
	} else if (selector->coding == CODING_PRESENCE) {
		if (part->low <= 1)
			gather_interval(gathering, part->low, part->high ? pset_field_last(selector->bits.field) : 0);
	} else {
		gather_number(gathering, part->low, part->high);
	}
}

struct gathering gathering_new(const struct match_scope *scope, const struct selector *selector)
{
	return (struct gathering){.scope = scope, .selector = selector, .others = bounds_exactly(PSET_EMPTY)};
}

struct bounds gathering_end(struct gathering *gathering)
{
	const struct match_scope *scope = gathering->scope;
	pset set = PSET_EMPTY;

	if (gathering->count)
		set = match_values(scope, gathering->selector->bits, gathering->intervals, gathering->count);
	free(gathering->intervals);
	return bounds_or(scope->space, gathering->others, bounds_exactly(set));
}

struct bounds match_part(const struct match_scope *scope, const struct selector *selector,
			 const struct stack_part *part)
{
	struct gathering gathering = gathering_new(scope, selector);

	gathering_add(&gathering, part);
	return gathering_end(&gathering);
}
