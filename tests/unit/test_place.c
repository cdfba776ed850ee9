/* plan/place: where guests go, what is refused and in which words; and against trying all placements. */
#include "base/cleanup.h"
#include "base/error.h"
#include "plan/place.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB(n) ((uint64_t)(n) << 20)

static struct place_machine machine(const char *name, unsigned mib, unsigned hundredths)
{
	return (struct place_machine){.name = name, .memory = MIB(mib), .cpus = hundredths};
}

static struct place_guest guest(const char *name, unsigned mib, unsigned cpus)
{
	return (struct place_guest){.name = name, .memory = MIB(mib), .cpus = cpus, .at = 99};
}

static void set_apart(bool *apart, size_t count, size_t a, size_t b)
{
	apart[a * count + b] = apart[b * count + a] = true;
}

static void assert_refused(const struct placing *placing, const char *message)
{
	cleanup_error struct error *err = NULL;

	assert_int_equal(place(placing, &err), -ENOSPC);
	assert_string_equal(err->message, message);
	assert_non_null(err->hint);
}

static void test_most_memory_first(void **state)
{
	struct place_machine machines[] = {machine("L0", 1000, 400), machine("right", 3000, 400)};
	struct place_guest guests[] = {guest("small", 500, 1), guest("large", 2000, 1), guest("middle", 900, 1)};
	struct placing placing = {machines, 2, guests, 3, NULL};

	assert_int_equal(place(&placing, NULL), 0);
	assert_int_equal(guests[1].at, 1); /* right has 1000 left then, as L0 has: of equal ones the first */
	assert_int_equal(guests[2].at, 0);
	assert_int_equal(guests[0].at, 1);
}

static void test_what_runs_stays(void **state)
{
	struct place_machine machines[] = {machine("L0", 100, 400), machine("right", 3000, 200)};
	struct place_guest guests[] = {guest("there", 8000, 2), guest("new", 90, 1)};
	struct placing placing = {machines, 2, guests, 2, NULL};

	guests[0].fixed = guests[0].there = true; /* it has its memory, and both CPUs of right */
	guests[0].at = 1;
	assert_int_equal(place(&placing, NULL), 0);
	assert_int_equal(guests[0].at, 1);
	assert_int_equal(guests[1].at, 0);
}

static void test_cpus(void **state)
{
	/* 80 % of two CPUs are enough for one, not for two. */
	struct place_machine machines[] = {machine("L0", 9000, 160), machine("right", 5000, 160)};
	struct place_guest guests[] = {guest("a", 10, 1), guest("b", 10, 1), guest("c", 10, 1)};
	struct placing placing = {machines, 2, guests, 3, NULL};

	assert_refused(&placing,
		       "there is no place for c, which needs 10M and 1 CPU: L0 has 8990M and 0.60 CPUs; right has "
		       "4990M and 0.60 CPUs");
	assert_int_equal(guests[0].at, 99);
	placing.guest_count = 2;
	assert_int_equal(place(&placing, NULL), 0);
	assert_int_not_equal(guests[0].at, guests[1].at);
}

static void test_pinned_must_fit(void **state)
{
	struct place_machine machines[] = {machine("L0", 9000, 400), machine("right", 100, 160)};
	struct place_guest guests[] = {guest("a", 200, 2)};
	struct placing placing = {machines, 2, guests, 1, NULL};

	guests[0].fixed = true;
	guests[0].at = 1;
	assert_refused(&placing, "there is no place for a, which needs 200M and 2 CPUs on right: L0 has 9000M and 4.00 "
				 "CPUs; right has 100M and 1.60 CPUs");
}

static void test_apart(void **state)
{
	struct place_machine machines[] = {machine("L0", 1000, 400), machine("right", 900, 400)};
	struct place_guest guests[] = {guest("a", 100, 1), guest("b", 100, 1), guest("c", 100, 1)};
	bool apart[9] = {0};
	struct placing placing = {machines, 2, guests, 3, apart};

	set_apart(apart, 3, 0, 1);
	assert_int_equal(place(&placing, NULL), 0);
	assert_int_not_equal(guests[0].at, guests[1].at);
	set_apart(apart, 3, 0, 2);
	set_apart(apart, 3, 1, 2);
	assert_refused(&placing,
		       "there is no place for c, which needs 100M and 1 CPU: L0 has 900M and 3.00 CPUs, and a, from "
		       "which it is to be apart; right has 800M and 3.00 CPUs, and b, from which it is to be apart");
}

/* What does not answer takes nobody who is free to go elsewhere. */
static void test_closed(void **state)
{
	struct place_machine machines[] = {machine("L0", 100, 400), machine("right", 900, 400)};
	struct place_guest guests[] = {guest("a", 50, 1), guest("b", 60, 1)};
	struct placing placing = {machines, 2, guests, 1, NULL};

	machines[1].closed = "it does not answer";
	assert_int_equal(place(&placing, NULL), 0);
	assert_int_equal(guests[0].at, 0);
	placing.guest_count = 2;
	assert_refused(
		&placing,
		"there is no place for a, which needs 50M and 1 CPU: L0 has 40M and 3.00 CPUs; right takes none, it "
		"does not answer");
}

/* Where the greedy way ends in nothing, it goes back: 6 and 4 on one, 5 and 5 on the other. */
static void test_goes_back(void **state)
{
	struct place_machine machines[] = {machine("L0", 10, 1000), machine("right", 10, 1000)};
	struct place_guest guests[] = {guest("a", 6, 1), guest("b", 5, 1), guest("c", 5, 1), guest("d", 4, 1)};
	struct placing placing = {machines, 2, guests, 4, NULL};

	assert_int_equal(place(&placing, NULL), 0);
	assert_int_equal(guests[0].at, guests[3].at);
	assert_int_equal(guests[1].at, guests[2].at);
	assert_int_not_equal(guests[0].at, guests[1].at);
}

/* ---- against all placements ---- */

static uint32_t random_below(uint64_t *seed, uint32_t limit)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % limit;
}

static bool is_allowed(const struct placing *p, const size_t *at)
{
	for (size_t m = 0; m < p->machine_count; m++) {
		uint64_t memory = 0;
		unsigned cpus = 0;

		for (size_t i = 0; i < p->guest_count; i++) {
			if (at[i] != m)
				continue;
			memory += p->guests[i].memory;
			cpus += p->guests[i].cpus * 100;
			for (size_t j = 0; j < i; j++)
				if (at[j] == m && p->apart[i * p->guest_count + j])
					return false;
		}
		if (memory > p->machines[m].memory || cpus > p->machines[m].cpus)
			return false;
	}
	return true;
}

static bool any_is_allowed(const struct placing *p, size_t *at, size_t depth)
{
	if (depth == p->guest_count)
		return is_allowed(p, at);
	for (at[depth] = 0; at[depth] < p->machine_count; at[depth]++)
		if (any_is_allowed(p, at, depth + 1))
			return true;
	return false;
}

static void test_against_all(void **state)
{
	enum { ROUNDS = 3000, GUESTS = 6, MACHINES = 3 };
	uint64_t seed = 4711;
	unsigned found = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct place_machine machines[MACHINES];
		struct place_guest guests[GUESTS];
		bool apart[GUESTS * GUESTS] = {0};
		size_t at[GUESTS], all[GUESTS];
		struct placing placing = {machines, MACHINES, guests, GUESTS, apart};
		bool possible;
		int r;

		for (size_t i = 0; i < MACHINES; i++)
			machines[i] = machine("m", 4 + random_below(&seed, 14), 200 + random_below(&seed, 500));
		for (size_t i = 0; i < GUESTS; i++)
			guests[i] = guest("g", 1 + random_below(&seed, 9), 1 + random_below(&seed, 3));
		for (unsigned i = random_below(&seed, 5); i > 0; i--) {
			size_t a = random_below(&seed, GUESTS), b = random_below(&seed, GUESTS);

			if (a != b)
				set_apart(apart, GUESTS, a, b);
		}
		possible = any_is_allowed(&placing, all, 0);
		r = place(&placing, NULL);
		assert_int_equal(r, possible ? 0 : -ENOSPC);
		for (size_t i = 0; i < GUESTS; i++)
			at[i] = guests[i].at;
		if (r == 0)
			assert_true(is_allowed(&placing, at));
		found += r == 0;
	}
	assert_in_range(found, ROUNDS / 10, ROUNDS - ROUNDS / 10); /* both happen */
}

/* Many guests that do not fit end in time, and it is said that not all was seen. */
static void test_gives_up(void **state)
{
	enum { GUESTS = 60 };
	struct place_machine machines[] = {machine("L0", 1000, 10000), machine("right", 1000, 10000)};
	struct place_guest guests[GUESTS];
	struct placing placing = {machines, 2, guests, GUESTS, NULL};
	cleanup_error struct error *err = NULL;

	for (size_t i = 0; i < GUESTS; i++)
		guests[i] = guest("g", 34, 1); /* 29 on each */
	assert_int_equal(place(&placing, &err), -ENOSPC);
	assert_non_null(strstr(err->message, "none was found in the time that is given to it"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_most_memory_first),
		cmocka_unit_test(test_what_runs_stays),
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_pinned_must_fit),
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_goes_back),
		cmocka_unit_test(test_against_all),
		cmocka_unit_test(test_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
