/*
 * verify/: sets of packets, against brute force. Random sets are built twice, as a pset and as a table of yes and no
 * over a small grid of packets whose values lie around every bound used; what holds for the one must hold for the
 * other. The grid has a point in every region that the bounds cut the space into, so equal tables also must be equal
 * numbers.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "verify/pset.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
/* cmocka needs those from setjmp.h on */
#include <cmocka.h>

static struct space *space;
static uint64_t seed;

static uint32_t any(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % below;
}

static int set_up(void **state)
{
	space = pset_space_new((size_t)256 << 20, NULL);
	seed = 20261121;
	return space ? 0 : -1;
}

static int tear_down(void **state)
{
	space_free(space);
	return 0;
}

/* ---- the grid ---- */

enum { POINTS = 9, AXES = 4, PACKETS = POINTS * POINTS * POINTS * POINTS };

static const enum pset_field axes[AXES] = {PSET_PROTOCOL, PSET_DADDR, PSET_DPORT, PSET_SMAC};
static wide points[AXES][POINTS]; /* rising; the last is the field's largest value */

static int compare_wide(const void *a, const void *b)
{
	wide left = *(const wide *)a, right = *(const wide *)b;

	return (left > right) - (left < right);
}

static wide any_value(enum pset_field field)
{
	wide value = 0;

	for (int i = 0; i < 5; i++)
		value = value << 29 ^ any(1u << 31);
	/* half of them close together, so that they share their first bits */
	if (any(2))
		value = any(32);
	else if (any(2))
		value = pset_field_last(field) - any(32);
	return value & pset_field_last(field);
}

static void make_grid(void)
{
	for (int axis = 0; axis < AXES; axis++) {
		bool apart;

		do {
			for (int i = 0; i < POINTS - 1; i++)
				points[axis][i] = any_value(axes[axis]);
			points[axis][POINTS - 1] = pset_field_last(axes[axis]);
			qsort(points[axis], POINTS, sizeof(wide), compare_wide);
			apart = true;
			for (int i = 1; i < POINTS; i++)
				apart = apart && points[axis][i] != points[axis][i - 1];
		} while (!apart);
	}
}

static struct packet_values packet_of(unsigned number)
{
	struct packet_values packet = {};

	for (int axis = 0; axis < AXES; axis++, number /= POINTS)
		packet.fields[axes[axis]] = points[axis][number % POINTS];
	return packet;
}

static unsigned coordinate(unsigned number, int axis)
{
	while (axis-- > 0)
		number /= POINTS;
	return number % POINTS;
}

struct both {
	pset set;
	bool table[PACKETS];
};

/* Values behind point `from - 1` up to point `to`: every region between bounds has a point at its end. */
static struct interval between(int axis, unsigned from, unsigned to)
{
	return (struct interval){from ? points[axis][from - 1] + 1 : 0, points[axis][to]};
}

static void any_slab(struct both *ret)
{
	int axis = (int)any(AXES);
	struct interval intervals[3];
	bool in[POINTS] = {};
	size_t count = 1 + any(3);

	for (size_t i = 0; i < count; i++) {
		unsigned from = any(POINTS), to = from + any(POINTS - from);

		intervals[i] = between(axis, from, to);
		for (unsigned j = from; j <= to; j++)
			in[j] = true;
	}
	ret->set = pset_intervals(space, axes[axis], intervals, count);
	for (unsigned i = 0; i < PACKETS; i++)
		ret->table[i] = in[coordinate(i, axis)];
}

static void any_set(struct both *ret, unsigned depth)
{
	static struct both stack[8];
	struct both *other = &stack[depth];
	unsigned operation = any(4);

	any_slab(ret);
	if (depth == 0)
		return;
	any_set(ret, depth - 1);
	any_set(other, depth - 1);
	if (operation == 0)
		ret->set = pset_or(space, ret->set, other->set);
	else if (operation == 1)
		ret->set = pset_and(space, ret->set, other->set);
	else if (operation == 2)
		ret->set = pset_minus(space, ret->set, other->set);
	else
		ret->set = pset_not(space, ret->set);
	for (unsigned i = 0; i < PACKETS; i++) {
		bool a = ret->table[i], b = other->table[i];

		ret->table[i] = operation == 0 ? a || b : operation == 1 ? a && b : operation == 2 ? a && !b : !a;
	}
}

static void check(pset set, const bool *table)
{
	for (unsigned i = 0; i < PACKETS; i++) {
		struct packet_values packet = packet_of(i);

		assert_int_equal(pset_contains(space, set, &packet), table[i]);
	}
}

static struct both one, two, three;

static void test_algebra(void **state)
{
	for (int round = 0; round < 60; round++) {
		make_grid();
		any_set(&one, any(6));
		any_set(&two, any(6));
		check(one.set, one.table);
		assert_int_equal(one.set == two.set, memcmp(one.table, two.table, sizeof(one.table)) == 0);
		assert_true(pset_not(space, pset_not(space, one.set)) == one.set);
		assert_true(pset_not(space, pset_or(space, one.set, two.set)) ==
			    pset_and(space, pset_not(space, one.set), pset_not(space, two.set)));
		assert_true(pset_minus(space, one.set, two.set) == pset_and(space, one.set, pset_not(space, two.set)));
		assert_true(pset_is_subset(space, pset_and(space, one.set, two.set), one.set));
		assert_int_equal(pset_overlap(space, one.set, two.set),
				 !pset_is_empty(pset_and(space, one.set, two.set)));
	}
	assert_int_equal(space_check(space, NULL), 0);
}

/* The same set, put together from its packets' regions in any order, is the same number. */
static void test_canonical(void **state)
{
	for (int round = 0; round < 3; round++) {
		static pset boxes[PACKETS];
		size_t count = 0;

		make_grid();
		any_set(&one, 5);
		for (unsigned i = 0; i < PACKETS; i++) {
			pset box = PSET_FULL;

			if (!one.table[i])
				continue;
			for (int axis = 0; axis < AXES; axis++) {
				struct interval interval = between(axis, coordinate(i, axis), coordinate(i, axis));

				box = pset_and(space, box,
					       pset_interval(space, axes[axis], interval.first, interval.last));
			}
			boxes[count++] = box;
		}
		for (size_t i = count; i > 1; i--) {
			size_t other = any((uint32_t)i);
			pset swap = boxes[other];

			boxes[other] = boxes[i - 1];
			boxes[i - 1] = swap;
		}
		assert_true(pset_or_all(space, boxes, count) == one.set);
	}
}

static void test_forget(void **state)
{
	for (int round = 0; round < 30; round++) {
		int axis = (int)any(AXES);

		make_grid();
		any_set(&one, 5);
		for (unsigned i = 0; i < PACKETS; i++) {
			unsigned step = 1;

			for (int j = 0; j < axis; j++)
				step *= POINTS;
			two.table[i] = false;
			for (unsigned value = 0; value < POINTS; value++)
				two.table[i] |= one.table[i + value * step - coordinate(i, axis) * step];
		}
		two.set = pset_forget(space, one.set, PSET_BIT(axes[axis]));
		check(two.set, two.table);
		assert_false(pset_support(space, two.set) & PSET_BIT(axes[axis]));
	}
}

static unsigned at_value(unsigned number, int axis, unsigned value)
{
	unsigned step = 1;

	for (int i = 0; i < axis; i++)
		step *= POINTS;
	return number + value * step - coordinate(number, axis) * step;
}

static void test_assign(void **state)
{
	for (int round = 0; round < 30; round++) {
		int axis = (int)any(AXES);
		unsigned value = any(POINTS), last = value + any(POINTS - value);
		enum pset_field field = axes[axis];
		struct interval range = between(axis, value, last);

		make_grid();
		range = between(axis, value, last);
		any_set(&one, 5);
		memset(&two, 0, sizeof(two));
		memset(&three, 0, sizeof(three));
		for (unsigned i = 0; i < PACKETS; i++) {
			two.table[i] = one.table[at_value(i, axis, value)];
			for (unsigned j = value; one.table[i] && j <= last; j++)
				three.table[at_value(i, axis, j)] = true;
		}
		two.set = pset_before(space, one.set, pset_bits_of(field), points[axis][value], pset_field_last(field));
		check(two.set, two.table);
		three.set = pset_after_range(space, one.set, field, range.first, range.last);
		check(three.set, three.table);
		two.set = pset_after(space, one.set, pset_bits_of(field), points[axis][value], pset_field_last(field));
		assert_true(two.set ==
			    pset_after_range(space, one.set, field, points[axis][value], points[axis][value]));
		/* what an assignment leads to was led to by what is before it */
		assert_true(pset_is_subset(
			space, one.set,
			pset_before(space, two.set, pset_bits_of(field), points[axis][value], pset_field_last(field))));
	}
}

/* All values of a small field, with masks. */
static void test_masks(void **state)
{
	for (int round = 0; round < 200; round++) {
		wide mask = any(256), value = any(256), other = any(256);
		pset set = pset_masked(space, PSET_TCP_FLAGS, value, mask), after, before, flipped;
		struct packet_values packet = {};

		after = pset_after(space, pset_value(space, PSET_TCP_FLAGS, other), pset_bits_of(PSET_TCP_FLAGS), value,
				   mask);
		before = pset_before(space, set, pset_bits_of(PSET_TCP_FLAGS), other, ~mask & 255);
		flipped = pset_flipped(space, set, pset_bits_of(PSET_TCP_FLAGS), other);
		for (unsigned i = 0; i < 256; i++) {
			packet.fields[PSET_TCP_FLAGS] = i;
			assert_int_equal(pset_contains(space, flipped, &packet),
					 ((i ^ other) & mask) == (value & mask));
			assert_int_equal(pset_contains(space, set, &packet), (i & mask) == (value & mask));
			assert_int_equal(pset_contains(space, after, &packet), i == ((other & ~mask) | (value & mask)));
			assert_int_equal(pset_contains(space, before, &packet), (i & mask) == (value & mask));
		}
	}
	/* masks that no union of intervals could hold */
	assert_true(
		pset_and(space, pset_masked(space, PSET_MARK, 1, 1), pset_masked(space, PSET_MARK, 0x8000, 0x8000)) ==
		pset_masked(space, PSET_MARK, 0x8001, 0x8001));
}

static void test_exchange(void **state)
{
	for (int round = 0; round < 20; round++) {
		pset a = pset_interval(space, PSET_SADDR, any_value(PSET_SADDR), ~(wide)0);
		pset b = pset_interval(space, PSET_DADDR, 0, any_value(PSET_DADDR));
		pset c = pset_value(space, PSET_SADDR, any_value(PSET_SADDR));
		pset d = pset_value(space, PSET_PROTOCOL, any(256));
		pset set = pset_or(space, pset_minus(space, pset_and(space, a, b), c), pset_and(space, c, d)), turned;
		struct packet_values packet, swapped;

		turned = pset_exchange(space, set, PSET_SADDR, PSET_DADDR);
		assert_true(pset_exchange(space, turned, PSET_SADDR, PSET_DADDR) == set);
		if (!pset_pick(space, set, &packet))
			continue;
		swapped = packet;
		swapped.fields[PSET_SADDR] = packet.fields[PSET_DADDR];
		swapped.fields[PSET_DADDR] = packet.fields[PSET_SADDR];
		assert_true(pset_contains(space, turned, &swapped));
		assert_int_equal(pset_contains(space, turned, &packet), pset_contains(space, set, &swapped));
	}
}

/* Packets pass a router: of all times to live, above fields and below. */
static void test_one_lower(void **state)
{
	for (int round = 0; round < 20; round++) {
		wide first = any(256), last = first + any(256 - (unsigned)first), address = any_value(PSET_DADDR);
		pset some = pset_interval(space, PSET_TTL, first, last);
		pset others = pset_value(space, PSET_PROTOCOL, 6), near = pset_interval(space, PSET_DADDR, 0, address);
		pset set = pset_or(space, pset_and(space, some, others), pset_minus(space, near, some)), lower;
		struct packet_values packet = {}, arrived;

		lower = pset_one_lower(space, set, PSET_TTL);
		for (unsigned i = 0; i < 4 * 256; i++) {
			packet.fields[PSET_PROTOCOL] = i & 256 ? 6 : 17;
			packet.fields[PSET_DADDR] = i & 512 ? address : address + 1;
			packet.fields[PSET_TTL] = i & 255;
			arrived = packet;
			arrived.fields[PSET_TTL] = (packet.fields[PSET_TTL] - 1) & 255;
			assert_int_equal(pset_contains(space, lower, &arrived),
					 (i & 255) && pset_contains(space, set, &packet));
		}
	}
	assert_true(pset_one_lower(space, PSET_EMPTY, PSET_TTL) == PSET_EMPTY);
	assert_true(pset_one_lower(space, PSET_FULL, PSET_TTL) == pset_interval(space, PSET_TTL, 0, 254));
}

static void test_projection(void **state)
{
	for (int round = 0; round < 40; round++) {
		int axis = (int)any(AXES);
		struct interval *found;
		size_t count;
		bool in[POINTS] = {};

		make_grid();
		any_set(&one, 5);
		for (unsigned i = 0; i < PACKETS; i++)
			in[coordinate(i, axis)] |= one.table[i];
		count = pset_project(space, one.set, axes[axis], &found);
		for (unsigned i = 0; i < POINTS; i++) {
			bool within = false;

			for (size_t j = 0; j < count; j++)
				within |= points[axis][i] >= found[j].first && points[axis][i] <= found[j].last;
			assert_int_equal(within, in[i]);
		}
		for (size_t j = 1; j < count; j++)
			assert_true(found[j].first > found[j - 1].last + 1);
		assert_true(pset_intervals(space, axes[axis], found, count) ==
			    pset_forget(space, one.set, ~PSET_BIT(axes[axis])));
		free(found);
	}
}

/* A set is its runs put together again. */
static void test_runs(void **state)
{
	for (int round = 0; round < 40; round++) {
		cleanup_free struct pset_run *runs = NULL;
		pset again = PSET_EMPTY;
		wide next = 0;
		size_t count;

		make_grid();
		any_set(&one, 5);
		count = pset_runs(space, one.set, PSET_PROTOCOL, &runs);
		for (size_t i = 0; i < count; i++) {
			pset values = pset_intervals(space, PSET_PROTOCOL, &runs[i].interval, 1);

			assert_true(runs[i].interval.first == next);
			assert_true(i == 0 || runs[i].below != runs[i - 1].below);
			assert_false(pset_support(space, runs[i].below) & PSET_BIT(PSET_PROTOCOL));
			again = pset_or(space, again, pset_and(space, values, runs[i].below));
			next = runs[i].interval.last + 1;
		}
		assert_true(again == one.set);
		assert_true(next == 256);
	}
}

static void test_pick(void **state)
{
	struct packet_values packet;
	struct prefix net;
	struct interval hosts;
	pset set = pset_kind(space, PSET_FAMILY, PSET_IP4);
	char text[IP_TEXT_SIZE];
	struct ip ip;

	for (int round = 0; round < 60; round++) {
		make_grid();
		any_set(&one, 5);
		assert_int_equal(pset_pick(space, one.set, &packet), !pset_is_empty(one.set));
		if (!pset_is_empty(one.set))
			assert_true(pset_contains(space, one.set, &packet));
	}
	assert_true(prefix_parse("192.168.122.0/24", &net));
	hosts = interval_of_prefix(&net);
	set = pset_and(space, set, pset_interval(space, PSET_DADDR, hosts.first, hosts.last));
	assert_true(pset_pick(space, set, &packet));
	ip = wide_to_address(packet.fields[PSET_DADDR], AF_INET);
	assert_string_equal(ip_format(&ip, text), "192.168.122.1");
	ip = wide_to_address(packet.fields[PSET_SADDR], AF_INET);
	assert_string_equal(ip_format(&ip, text), "10.0.0.1");
	assert_int_equal(packet.fields[PSET_PROTOCOL], 6);
	assert_int_equal(packet.fields[PSET_DPORT], 22);
	assert_int_equal(packet.fields[PSET_SPORT], 40000);
	assert_int_equal(packet.fields[PSET_TCP_FLAGS], 2);
}

static void test_values(void **state)
{
	char name[WIDE_NAME_SIZE];
	struct interval wildcard = interval_of_wildcard("eth");

	assert_string_equal(wide_to_name(wide_of_name("eth1.110"), name), "eth1.110");
	assert_string_equal(wide_to_name(wide_of_name("abcdefghijklmno"), name), "abcdefghijklmno");
	assert_true(wide_of_name("") == 0);
	assert_true(wide_of_name("eth0") >= wildcard.first && wide_of_name("eth0") <= wildcard.last);
	assert_true(wide_of_name("eth") >= wildcard.first && wide_of_name("ethernetethernet") <= wildcard.last);
	assert_false(wide_of_name("et") >= wildcard.first);
	assert_false(wide_of_name("eti") <= wildcard.last);
	assert_true(pset_or(space, pset_kind(space, PSET_FAMILY, PSET_IP4),
			    pset_or(space, pset_kind(space, PSET_FAMILY, PSET_IP6),
				    pset_kind(space, PSET_FAMILY, PSET_OTHER_FAMILY))) == PSET_FULL);
	assert_true(pset_count(space, pset_interval(space, PSET_DPORT, 10, 19)) == 10);
	assert_true(pset_count(space, PSET_FULL) == 1);
}

static void test_too_large(void **state)
{
	cleanup_space struct space *small = pset_space_new(1 << 20, NULL);
	cleanup_error struct error *err = NULL;
	uint32_t mark = space_mark(small);
	pset sum = PSET_EMPTY;

	for (int i = 0; i < 100000; i++)
		sum = pset_or(small, sum,
			      pset_and(small, pset_value(small, PSET_DADDR, (wide)any(1u << 31) << 90),
				       pset_value(small, PSET_DPORT, any(65536))));
	assert_int_equal(space_check(small, &err), -E2BIG);
	assert_non_null(strstr(err->message, "1 MiB"));
	assert_true(space_memory(small) < 2 << 20);
	space_release(small, mark);
	assert_int_equal(space_check(small, NULL), 0);
	assert_true(pset_value(small, PSET_DPORT, 22) == pset_value(small, PSET_DPORT, 22));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algebra),	  cmocka_unit_test(test_canonical),  cmocka_unit_test(test_forget),
		cmocka_unit_test(test_assign),	  cmocka_unit_test(test_masks),	     cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_one_lower), cmocka_unit_test(test_projection), cmocka_unit_test(test_runs),
		cmocka_unit_test(test_pick),	  cmocka_unit_test(test_values),     cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
