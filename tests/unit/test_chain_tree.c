/* verify/: the tree over a chain's rules keeps their order and its balance, and a change leaves most of it as it was.
 */
#include "base/arena.h"
#include "verify/chain_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka needs those from setjmp.h on */
#include <cmocka.h>

enum { MOST = 4096, CHANGES = 6000 };

static uint64_t seed = 20261121;

static uint32_t any(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % below;
}

/* A tree, and beside it a plain list: the leaves' functions are numbers that tell them apart. */
struct pair {
	struct arena *arena;
	struct segments segments;
	diagram list[MOST];
	size_t count;
	diagram next;
};

/* Gives every leaf that is not valid the number that the list has, as computing functions would. Counts. */
static size_t compute(struct pair *pair, struct segment *segment, size_t first)
{
	size_t computed = 1;

	if (segment->valid)
		return 0;
	segment->valid = true;
	segment->function = pair->list[first];
	if (segment->left)
		computed += compute(pair, segment->left, first) +
			    compute(pair, segment->right, first + segment->left->count);
	return computed;
}

static void check(const struct pair *pair, const struct segment *segment, size_t first)
{
	assert_true(segment->valid);
	if (!segment->left) {
		assert_null(segment->right);
		assert_int_equal(segment->count, 1);
		assert_int_equal(segment->function, pair->list[first]);
		return;
	}
	assert_int_equal(segment->count, segment->left->count + segment->right->count);
	assert_true(segment->left->count <= 3 * segment->right->count);
	assert_true(segment->right->count <= 3 * segment->left->count);
	check(pair, segment->left, first);
	check(pair, segment->right, first + segment->left->count);
}

static size_t log2_of(size_t count)
{
	size_t log = 0;

	while (count >>= 1)
		log++;
	return log;
}

static void add(struct pair *pair, size_t at)
{
	memmove(&pair->list[at + 1], &pair->list[at], (pair->count - at) * sizeof(*pair->list));
	pair->list[at] = pair->next++;
	pair->count++;
	pair->segments.root = segment_insert(&pair->segments, pair->arena, pair->segments.root, at);
}

static void take_out(struct pair *pair, size_t at)
{
	pair->count--;
	memmove(&pair->list[at], &pair->list[at + 1], (pair->count - at) * sizeof(*pair->list));
	pair->segments.root = segment_remove(&pair->segments, pair->segments.root, at);
}

/* Where changes happen: anywhere, always in front, always at the end. */
static size_t place(int where, size_t count)
{
	if (where == 1)
		return 0;
	return where == 2 ? count - 1 : any((uint32_t)count);
}

static void change(struct pair *pair, int where, bool growing)
{
	unsigned kind = any(4);

	if (pair->count == 0 || (growing ? kind > 0 : kind == 0)) {
		if (pair->count < MOST)
			add(pair, place(where, pair->count + 1));
	} else if (kind == 1) {
		size_t at = place(where, pair->count);

		pair->list[at] = pair->next++;
		segment_change(pair->segments.root, at);
	} else {
		take_out(pair, place(where, pair->count));
	}
}

static void test_changes(void **state)
{
	for (int where = 0; where < 3; where++) {
		struct pair pair = {.arena = arena_new()};

		for (int i = 0; i < CHANGES; i++) {
			size_t computed;

			change(&pair, where, i < CHANGES / 2);
			if (!pair.segments.root) {
				assert_int_equal(pair.count, 0);
				continue;
			}
			assert_int_equal(pair.segments.root->count, pair.count);
			computed = compute(&pair, pair.segments.root, 0);
			/* The way down, log(count) / log(4/3) at the longest, and two more where a rotation was. */
			assert_true(computed <= 3 * (1 + 5 * log2_of(pair.count) / 2));
			if (i % 50 == 0)
				check(&pair, pair.segments.root, 0);
		}
		arena_free(pair.arena);
	}
}

/* Leaves keep what was found of them, wherever they are turned to. */
static void test_kept(void **state)
{
	struct pair pair = {.arena = arena_new(), .count = 1000, .next = 1000};

	for (diagram i = 0; i < pair.count; i++)
		pair.list[i] = i;
	pair.segments.root = segment_build(&pair.segments, pair.arena, pair.count);
	assert_int_equal(compute(&pair, pair.segments.root, 0), 2 * pair.count - 1);
	for (int i = 0; i < 1000; i++) {
		add(&pair, any((uint32_t)pair.count + 1));
		compute(&pair, pair.segments.root, 0);
		take_out(&pair, any((uint32_t)pair.count));
	}
	compute(&pair, pair.segments.root, 0);
	check(&pair, pair.segments.root, 0);
	arena_free(pair.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
