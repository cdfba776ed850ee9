#include "verify/match.h"

#include <stdlib.h>
#include <string.h>

struct bounds bounds_and(struct space *space, struct bounds a, struct bounds b)
{
	pset may = pset_and(space, a.may, b.may);

	if (bounds_are_exact(a) && bounds_are_exact(b))
		return bounds_exactly(may);
	return (struct bounds){may, pset_and(space, a.must, b.must)};
}

struct bounds bounds_or(struct space *space, struct bounds a, struct bounds b)
{
	pset may = pset_or(space, a.may, b.may);

	if (bounds_are_exact(a) && bounds_are_exact(b))
		return bounds_exactly(may);
	return (struct bounds){may, pset_or(space, a.must, b.must)};
}

struct bounds bounds_not(struct space *space, struct bounds a)
{
	pset may = pset_not(space, a.must);

	return bounds_are_exact(a) ? bounds_exactly(may) : (struct bounds){may, pset_not(space, a.may)};
}

struct bounds bounds_minus(struct space *space, struct bounds a, struct bounds b)
{
	pset may = pset_minus(space, a.may, b.must);

	if (bounds_are_exact(a) && bounds_are_exact(b))
		return bounds_exactly(may);
	return (struct bounds){may, pset_minus(space, a.must, b.may)};
}

/* Where the field may be there, but is not what is compared for sure, the comparison may go either way. */
struct bounds bounds_within(struct space *space, struct bounds a, struct bounds exists)
{
	struct bounds result = bounds_and(space, a, exists);

	if (!bounds_are_exact(exists))
		result.may = pset_or(space, result.may, pset_minus(space, exists.may, exists.must));
	return result;
}

/* ---- conditions of which all must hold ---- */

void conditions_add(struct space *space, struct conditions *conditions, struct bounds bounds)
{
	size_t last = sizeof(conditions->items) / sizeof(*conditions->items) - 1;

	for (size_t i = 0; i < conditions->count; i++)
		if (memcmp(&conditions->items[i], &bounds, sizeof(bounds)) == 0)
			return;
	if (bounds.must == PSET_FULL)
		return;
	if (conditions->count > last)
		conditions->items[last] = bounds_and(space, conditions->items[last], bounds);
	else
		conditions->items[conditions->count++] = bounds;
}

static unsigned depth_of(const struct space *space, struct bounds bounds)
{
	return diagram_is_number(bounds.may) ? SPACE_WORDS : diagram_node(space, bounds.may).word;
}

void conditions_sort(const struct space *space, struct conditions *conditions)
{
	for (size_t i = 1; i < conditions->count; i++) {
		struct bounds moved = conditions->items[i];
		size_t at = i;

		for (; at > 0 && depth_of(space, conditions->items[at - 1]) < depth_of(space, moved); at--)
			conditions->items[at] = conditions->items[at - 1];
		conditions->items[at] = moved;
	}
}

struct bounds conditions_next(struct space *space, const struct conditions *conditions, size_t *at)
{
	struct bounds same = conditions->items[*at];
	unsigned depth = depth_of(space, same);

	while (++*at < conditions->count && depth_of(space, conditions->items[*at]) == depth)
		same = bounds_and(space, same, conditions->items[*at]);
	return same;
}

struct bounds conditions_all(struct space *space, struct conditions *conditions)
{
	struct bounds all = bounds_exactly(PSET_FULL);

	conditions_sort(space, conditions);
	for (size_t i = 0; i < conditions->count;)
		all = bounds_and(space, conditions_next(space, conditions, &i), all);
	return all;
}
