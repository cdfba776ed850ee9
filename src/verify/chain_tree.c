/*
 * A weight-balanced tree whose leaves are the rules of a chain: of two siblings none has more than three times the
 * rules of the other, which one rotation, single or double, brings back after a rule came or went (Hirai and Yamamoto,
 * Balancing weight-balanced trees, Journal of Functional Programming 21(3), 2011: the parameters <3, 2>; a segment's
 * weight is its number of rules). So a change leaves all but some log n segments as they were.
 */
#include "verify/chain_internal.h"

#include "base/arena.h"

enum {
	MOST_TIMES = 3,	  /* what a sibling may have, times the other */
	SINGLE_TIMES = 2, /* below this, of the heavier one's inner part to its outer one, one rotation will do */
};

static struct segment *segment_new(struct segments *segments, struct arena *arena, struct segment *left,
				   struct segment *right)
{
	struct segment *segment = segments->unused;

	if (segment)
		segments->unused = segment->left;
	else
		segment = arena_new_struct(arena, struct segment);
	*segment = (struct segment){.left = left, .right = right, .count = left ? left->count + right->count : 1};
	return segment;
}

static void segment_drop(struct segments *segments, struct segment *segment)
{
	segment->left = segments->unused;
	segments->unused = segment;
}

struct segment *segment_build(struct segments *segments, struct arena *arena, size_t count)
{
	struct segment *left;

	if (count == 0)
		return NULL;
	if (count == 1)
		return segment_new(segments, arena, NULL, NULL);
	left = segment_build(segments, arena, count / 2);
	return segment_new(segments, arena, left, segment_build(segments, arena, count - count / 2));
}

/* It has other parts now. */
static void join(struct segment *segment, struct segment *left, struct segment *right)
{
	segment->left = left;
	segment->right = right;
	segment->count = left->count + right->count;
	segment->valid = false;
}

/* Its right part is too heavy. */
static void turn_left(struct segment *segment)
{
	struct segment *outer = segment->right, *inner = outer->left;

	if (inner->count < SINGLE_TIMES * outer->right->count) {
		struct segment *last = outer->right;

		join(outer, segment->left, inner);
		join(segment, outer, last);
	} else {
		struct segment *middle = inner->right;

		join(inner, segment->left, inner->left);
		join(outer, middle, outer->right);
		join(segment, inner, outer);
	}
}

static void turn_right(struct segment *segment)
{
	struct segment *outer = segment->left, *inner = outer->right;

	if (inner->count < SINGLE_TIMES * outer->left->count) {
		struct segment *first = outer->left;

		join(outer, inner, segment->right);
		join(segment, first, outer);
	} else {
		struct segment *middle = inner->left;

		join(inner, inner->right, segment->right);
		join(outer, outer->left, middle);
		join(segment, outer, inner);
	}
}

static void rejoin(struct segment *segment, struct segment *left, struct segment *right)
{
	join(segment, left, right);
	if (right->count > MOST_TIMES * left->count)
		turn_left(segment);
	else if (left->count > MOST_TIMES * right->count)
		turn_right(segment);
}

void segment_change(struct segment *segment, size_t rule)
{
	while (segment) {
		struct segment *left = segment->left;

		segment->valid = false;
		if (left && rule >= left->count) {
			rule -= left->count;
			segment = segment->right;
		} else {
			segment = left;
		}
	}
}

struct segment *segment_insert(struct segments *segments, struct arena *arena, struct segment *segment, size_t rule)
{
	struct segment *added;

	if (segment && segment->left) {
		size_t before = segment->left->count;

		if (rule <= before)
			rejoin(segment, segment_insert(segments, arena, segment->left, rule), segment->right);
		else
			rejoin(segment, segment->left, segment_insert(segments, arena, segment->right, rule - before));
		return segment;
	}
	added = segment_new(segments, arena, NULL, NULL);
	if (!segment)
		return added;
	return rule == 0 ? segment_new(segments, arena, added, segment) : segment_new(segments, arena, segment, added);
}

struct segment *segment_remove(struct segments *segments, struct segment *segment, size_t rule)
{
	struct segment *left = segment->left, *right = segment->right;

	if (!left) {
		segment_drop(segments, segment);
		return NULL;
	}
	if (rule < left->count)
		left = segment_remove(segments, left, rule);
	else
		right = segment_remove(segments, right, rule - left->count);
	if (left && right) {
		rejoin(segment, left, right);
		return segment;
	}
	segment_drop(segments, segment);
	return left ? left : right;
}
