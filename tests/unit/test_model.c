/* model/: derived names, lookups. */
#include "base/arena.h"
#include "base/ip.h"
#include "model/lab.h"
#include "model/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_ids(void **state)
{
	char a[ID_TEXT_SIZE], b[ID_TEXT_SIZE];

	/* These may never change: they name what runs. */
	model_derive_id("first", "hv1/a", a);
	assert_string_equal(a, "7e369520");
	model_derive_id("first", "hv1/b", b);
	assert_string_not_equal(a, b);
	model_derive_id("firs", "thv1/a", b);
	assert_string_not_equal(a, b);
}

static void test_macs(void **state)
{
	uint8_t a[6], b[6];
	char text[MAC_TEXT_SIZE];

	model_derive_mac("first", "hv1/a", 0, a);
	assert_string_equal(mac_format(a, text), "02:db:31:71:e5:74");
	assert_int_equal(a[0] & 3, 2); /* locally administered, one station */
	model_derive_mac("first", "hv1/a", 1, b);
	assert_memory_not_equal(a, b, 6);
}

static void assert_interface(const char *name, const char *suffix, const char *expected)
{
	char interface[INTERFACE_NAME_SIZE];

	model_derive_interface(name, suffix, interface);
	assert_string_equal(interface, expected);
}

static void test_interfaces(void **state)
{
	char one[INTERFACE_NAME_SIZE], other[INTERFACE_NAME_SIZE];

	assert_interface("lab", "", "lab");
	assert_interface("a", "-0", "a-0");
	assert_interface("fifteen-letters", "", "fifteen-letters");
	model_derive_interface("student-machine-01", "-0", one);
	model_derive_interface("student-machine-02", "-0", other);
	assert_string_not_equal(one, other);
	assert_true(strlen(one) < INTERFACE_NAME_SIZE && strncmp(one, "stude-", 6) == 0);
	assert_string_equal(one + strlen(one) - 2, "-0");
}

static void test_taken_interfaces(void **state)
{
	static const char *const taken[] = {"lo", "world", "admin", "all", "default", "a-0", "hv-17"};

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		char interface[INTERFACE_NAME_SIZE];

		model_derive_interface(taken[i], "", interface);
		assert_string_not_equal(interface, taken[i]);
		assert_int_equal(strncmp(interface, taken[i], strlen(taken[i])), 0);
	}
	assert_interface("lan-b", "", "lan-b");
	assert_interface("b-", "", "b-");
}

/* A lab of `width` guests at each of two layers. */
static struct lab *make_lab(unsigned width)
{
	struct arena *arena = arena_new();
	struct lab *lab = arena_new_struct(arena, struct lab);

	lab->arena = arena;
	lab->root = arena_new_struct(arena, struct host);
	lab->root->path = "";
	for (unsigned i = 0; i < width * width + width; i++) {
		struct guest *guest = arena_new_struct(arena, struct guest);
		unsigned outer = i / (width + 1), inner = i % (width + 1);

		guest->index = i;
		if (inner == 0) {
			guest->path = arena_printf(arena, "g%u", outer);
			guest->parent = lab->root;
			guest->host = arena_new_struct(arena, struct host);
			guest->host->guest = guest;
		} else {
			guest->path = arena_printf(arena, "g%u/g%u", outer, inner);
			guest->parent = lab->guests[outer * (width + 1)]->host;
		}
		*arena_push(arena, lab->guests, lab->guest_count) = guest;
	}
	for (unsigned i = 0; i < width; i++) {
		struct network *network = arena_new_struct(arena, struct network);

		network->path = arena_printf(arena, "g%u/n", i);
		*arena_push(arena, lab->networks, lab->network_count) = network;
	}
	return lab;
}

static void check_lookups(const struct lab *lab)
{
	for (size_t i = 0; i < lab->guest_count; i++)
		assert_ptr_equal(lab_find_guest(lab, lab->guests[i]->path), lab->guests[i]);
	for (size_t i = 0; i < lab->network_count; i++)
		assert_ptr_equal(lab_find_network(lab, lab->networks[i]->path), lab->networks[i]);
	assert_null(lab_find_guest(lab, ""));
	assert_null(lab_find_guest(lab, "g0/"));
	assert_null(lab_find_guest(lab, "g0/n"));
	assert_null(lab_find_network(lab, "g0"));
}

static void test_lookups(void **state)
{
	cleanup_lab struct lab *lab = make_lab(30);

	check_lookups(lab);
	lab_index_paths(lab);
	check_lookups(lab);
}

static void test_empty_lab(void **state)
{
	cleanup_lab struct lab *lab = make_lab(0);

	lab_index_paths(lab);
	assert_null(lab_find_guest(lab, "a"));
	assert_null(lab_find_network(lab, "a"));
}

static void test_towards(void **state)
{
	cleanup_lab struct lab *lab = make_lab(2);
	struct guest *outer = lab_find_guest(lab, "g1"), *inner = lab_find_guest(lab, "g1/g2");

	assert_ptr_equal(host_guest_towards(lab->root, inner), outer);
	assert_ptr_equal(host_guest_towards(lab->root, outer), outer);
	assert_ptr_equal(host_guest_towards(outer->host, inner), inner);
	assert_null(host_guest_towards(outer->host, outer));
	assert_null(host_guest_towards(lab_find_guest(lab, "g0")->host, inner));
	assert_null(host_guest_towards(lab->root, NULL));
}

static void test_names(void **state)
{
	assert_string_equal(uplink_name(UPLINK_ROUTE), "route");
	assert_string_equal(world_name(WORLD_SEALED), "sealed");
	assert_string_equal(encapsulation_name(ENCAP_GENEVE), "geneve");
	assert_string_equal(guest_state_name(GUEST_UNKNOWN), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),	   cmocka_unit_test(test_macs),
		cmocka_unit_test(test_interfaces), cmocka_unit_test(test_taken_interfaces),
		cmocka_unit_test(test_lookups),	   cmocka_unit_test(test_empty_lab),
		cmocka_unit_test(test_towards),	   cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
