/* How far guests may reach: what is set, what holds, how it is written down and read again. */
#include "../netns/testlab.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "model/isolation.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

/* L0: a; hv ─ inner: b; hv2 ─ core: c. */
struct fixture {
	struct lab *lab;
	struct guest *a, *hv, *b, *hv2, *c;
	struct isolation *isolation;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct host *one, *two;

	f->lab = testlab_new("iso", "", 0);
	f->a = testlab_guest(f->lab, f->lab->root, "a");
	f->hv = testlab_guest(f->lab, f->lab->root, "hv");
	one = testlab_host(f->lab, f->hv);
	f->b = testlab_guest(f->lab, one, "b");
	f->hv2 = testlab_guest(f->lab, one, "hv2");
	two = testlab_host(f->lab, f->hv2);
	f->c = testlab_guest(f->lab, two, "c");
	f->a->world = WORLD_CUT;
	f->isolation = isolation_new(f->lab);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	isolation_free(f->isolation);
	lab_free(f->lab);
	free(f);
	return 0;
}

static void set(struct fixture *f, const struct guest *guest, struct isolation_setting setting)
{
	isolation_set(f->isolation, guest, &setting);
}

static void the_file_is_the_beginning(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(isolation_world(f->isolation, f->a), WORLD_CUT);
	assert_int_equal(isolation_world(f->isolation, f->c), WORLD_OPEN);
	assert_false(f->isolation->settings[f->a->index].at_run_time);
	/* What is said later and is the same again is the file's. */
	set(f, f->a, (struct isolation_setting){.world = WORLD_OPEN});
	assert_true(f->isolation->settings[f->a->index].at_run_time);
	assert_int_equal(isolation_world(f->isolation, f->a), WORLD_OPEN);
	set(f, f->a, (struct isolation_setting){.world = WORLD_CUT});
	assert_false(f->isolation->settings[f->a->index].at_run_time);
	set(f, f->a, (struct isolation_setting){.world = WORLD_CUT, .neighbours = NEIGHBOURS_DROP});
	assert_true(f->isolation->settings[f->a->index].at_run_time);
}

static void a_host_takes_all_below_along(void **state)
{
	struct fixture *f = *state;
	struct allowance update;

	assert_true(allowance_parse("203.0.113.5:443", &update));
	set(f, f->hv, (struct isolation_setting){.world = WORLD_CUT, .allowed = &update, .allowed_count = 1});
	assert_int_equal(isolation_world(f->isolation, f->c), WORLD_CUT);
	assert_int_equal(isolation_effect(f->isolation, f->c).allowed_count, 1);
	assert_int_equal(isolation_world(f->isolation, f->a), WORLD_CUT);
	/* The strictest counts, and what only one of two keeps is not kept. */
	set(f, f->c, (struct isolation_setting){.world = WORLD_CUT, .neighbours = NEIGHBOURS_CUT});
	assert_int_equal(isolation_effect(f->isolation, f->c).allowed_count, 0);
	assert_int_equal(isolation_effect(f->isolation, f->c).neighbours, NEIGHBOURS_CUT);
	assert_int_equal(isolation_effect(f->isolation, f->b).neighbours, NEIGHBOURS_KEEP);
	set(f, f->hv2, (struct isolation_setting){.world = WORLD_SEALED});
	assert_int_equal(isolation_world(f->isolation, f->c), WORLD_SEALED);
	assert_int_equal(isolation_world(f->isolation, f->b), WORLD_CUT);
}

static void a_timed_opening_opens_nothing_that_somebody_else_cut(void **state)
{
	struct fixture *f = *state;
	struct isolation_clock now;
	long long soon, later;

	isolation_clock_read(&now);
	soon = now.monotonic + 500000;
	later = now.monotonic + 900000;
	set(f, f->hv, (struct isolation_setting){.world = WORLD_CUT, .open_until = 2000, .open_deadline = later});
	assert_int_equal(isolation_world(f->isolation, f->b), WORLD_OPEN);
	assert_int_equal(isolation_effect(f->isolation, f->b).world, WORLD_CUT);
	set(f, f->b, (struct isolation_setting){.world = WORLD_CUT});
	assert_int_equal(isolation_world(f->isolation, f->b), WORLD_CUT);
	assert_int_equal(isolation_world(f->isolation, f->c), WORLD_OPEN);
	set(f, f->b, (struct isolation_setting){.world = WORLD_SEALED, .open_until = 1000, .open_deadline = soon});
	assert_in_range(isolation_effect(f->isolation, f->b).open_ms, 400000, 500000);
	assert_int_equal(isolation_effect(f->isolation, f->b).open_until, 1000);
	set(f, f->hv,
	    (struct isolation_setting){.world = WORLD_CUT, .open_until = 2000, .open_deadline = now.monotonic});
	assert_int_equal(isolation_world(f->isolation, f->b), WORLD_SEALED);
}

static struct isolation *again(struct fixture *f, const json_t *json, const struct isolation_clock *clock)
{
	struct isolation *other = isolation_new(f->lab);
	cleanup_error struct error *err = NULL;

	assert_int_equal(isolation_read(other, json, clock, &err), 0);
	return other;
}

static void what_is_written_is_read(void **state)
{
	struct fixture *f = *state;
	const struct isolation_clock now = {.wall = 1000, .monotonic = 50000, .boot = "one"};
	const struct isolation_clock later = {.wall = 1060, .monotonic = 110000, .boot = "one"};
	const struct isolation_clock rebooted = {.wall = 1060, .monotonic = 7, .boot = "two"};
	const struct isolation_clock elsewhere = {.wall = 5, .monotonic = 1, .boot = "three"};
	cleanup_isolation struct isolation *same = NULL, *aged = NULL, *reborn = NULL, *other = NULL;
	cleanup_json json_t *json = NULL, *part = NULL;
	struct allowance allowed[2];

	assert_true(allowance_parse("203.0.113.5:443", &allowed[0]));
	assert_true(allowance_parse("2001:db8::/32", &allowed[1]));
	allowed[0].asked = "update.example";
	f->isolation->serial = 7;
	set(f, f->a,
	    (struct isolation_setting){.world = WORLD_CUT, .allowed = allowed, .allowed_count = 2, .by = "root"});
	set(f, f->b,
	    (struct isolation_setting){.world = WORLD_CUT,
				       .neighbours = NEIGHBOURS_DROP,
				       .open_until = 1100,
				       .open_deadline = 150000,
				       .serial = 7});
	json = isolation_json(f->isolation, NULL, &now, false);
	same = again(f, json, &now);
	for (size_t i = 0; i < f->lab->guest_count; i++)
		assert_true(isolation_same_setting(&same->settings[i], &f->isolation->settings[i]));
	assert_int_equal(same->serial, 7);
	assert_string_equal(same->settings[f->a->index].allowed[0].asked, "update.example");
	assert_int_equal(same->settings[f->b->index].open_deadline, 150000);
	aged = again(f, json, &later);
	assert_int_equal(aged->settings[f->b->index].open_deadline, 150000);
	/* The clock that the kernel counts in has begun anew. */
	reborn = again(f, json, &rebooted);
	assert_int_equal(reborn->settings[f->b->index].open_deadline, 40007);
	/* For another host: only what is below it, and how long is left, whatever its clock says. */
	part = isolation_json(f->isolation, f->hv->host, &now, true);
	assert_null(json_object_get(json_object_get(part, "guests"), "a"));
	other = again(f, part, &elsewhere);
	assert_int_equal(other->settings[f->b->index].open_deadline, 100001);
	assert_int_equal(other->settings[f->b->index].open_until, 1100);
	assert_int_equal(other->settings[f->a->index].allowed_count, 0);
}

static void damage_is_noticed(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"guests\": []}",
		"{\"guests\": {\"a\": {\"world\": \"opne\", \"neighbours\": \"keep\"}}}",
		"{\"guests\": {\"a\": {\"world\": \"cut\"}}}",
		"{\"guests\": {\"a\": {\"world\": \"cut\", \"neighbours\": \"keep\", \"allow\": [{\"to\": \"x\"}]}}}",
		"{\"guests\": {\"a\": {\"world\": \"cut\", \"neighbours\": \"keep\", \"allow\": [7]}}}",
	};
	const struct isolation_clock now = {.wall = 1000};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		cleanup_error struct error *err = NULL;
		cleanup_json json_t *json = json_loads(bad[i], 0, NULL);

		assert_int_equal(isolation_read(f->isolation, json, &now, &err), -EINVAL);
		assert_non_null(err);
	}
}

static void places(void **state)
{
	static const struct {
		const char *text, *same;
	} good[] = {
		{"203.0.113.5", "203.0.113.5"},
		{"203.0.113.5:443", "203.0.113.5:443/tcp"},
		{"203.0.113.5:53/udp", "203.0.113.5:53/udp"},
		{"10.1.2.3/8", "10.0.0.0/8"},
		{"10.0.0.0/8:22/tcp", "10.0.0.0/8:22/tcp"},
		{"2001:db8::7", "2001:db8::7"},
		{"[2001:db8::7]:443", "[2001:db8::7]:443/tcp"},
		{"[2001:db8::/32]:443/udp", "[2001:db8::/32]:443/udp"},
	};
	static const char *const bad[] = {"",
					  ":",
					  "a",
					  "203.0.113.5:",
					  "203.0.113.5:0",
					  "203.0.113.5:65536",
					  "203.0.113.5:x",
					  "203.0.113.5:53/sctp",
					  "203.0.113.5:+5",
					  "[2001:db8::7]",
					  "[2001:db8::7]443",
					  "[2001:db8::7",
					  "203.0.113.5/33",
					  "example.org:443"};
	char text[ALLOWANCE_TEXT_SIZE];
	struct allowance one;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(allowance_parse(good[i].text, &one));
		assert_string_equal(allowance_format(&one, text), good[i].same);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (allowance_parse(bad[i], &one))
			fail_msg("\"%s\" was taken", bad[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest all[] = {
		TEST(the_file_is_the_beginning),
		TEST(a_host_takes_all_below_along),
		TEST(a_timed_opening_opens_nothing_that_somebody_else_cut),
		TEST(what_is_written_is_read),
		TEST(damage_is_noticed),
		cmocka_unit_test(places),
	};

	return cmocka_run_group_tests_name("isolation", all, NULL, NULL);
}
