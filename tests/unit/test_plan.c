/* plan/: the journal, and what is planned when something changed, vanished or was interrupted. apply/'s executor. */
#include "apply/executor.h"
#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "config/config.h"
#include "plan/plan.h"
#include "plan/spec.h"
#include "plan/state.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char lab_text[] = "lab: t\n"
			       "networks:\n"
			       "  lab: {subnet: 192.168.122.0/24, uplink: nat}\n"
			       "guests:\n"
			       "  hv1:\n"
			       "    cpus: 2\n"
			       "    memory: 1G\n"
			       "    nics: [{network: lab, address: 192.168.122.191}]\n"
			       "    networks: {inner: {subnet: 192.168.124.0/24, uplink: route}}\n"
			       "    guests:\n"
			       "      a: {memory: 128M, nics: [{network: inner, address: 192.168.124.91}]}\n"
			       "      b: {memory: 128M, nics: [{network: inner, address: 192.168.124.92}]}\n"
			       "  other: {memory: 128M, nics: [{network: lab, address: 192.168.122.5}]}\n";

struct fixture {
	char folder[64];
	struct lab *lab;
	struct state *state;
	struct guest_status *guests;
	struct lab_status status;
	struct plan_actual actual;
	char interfaces[4][INTERFACE_NAME_SIZE];
	struct plan plan;
};

static struct lab *load(const char *text)
{
	cleanup_problems struct problems problems = {0};
	cleanup_error struct error *err = NULL;
	struct lab *lab = NULL;

	if (config_load_text("test", text, strlen(text), NULL, &problems, &lab, &err) < 0) {
		cleanup_strbuf struct strbuf out = {0};

		problems_format(&problems, &out);
		fail_msg("%s%s", out.text ? out.text : "", err ? err->message : "");
	}
	return lab;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->folder, "/tmp/nestvisor-test-plan.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(state_open(f->folder, &f->state, NULL), 0);
	f->lab = load(lab_text);
	f->guests = calloc(f->lab->guest_count + 8, sizeof(*f->guests));
	f->status = (struct lab_status){.lab = f->lab, .guests = f->guests};
	f->actual.status = &f->status;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	plan_clear(&f->plan);
	state_close(f->state);
	lab_free(f->lab);
	dir_remove(f->folder, NULL);
	free(f->guests);
	free(f);
	return 0;
}

static void build(struct fixture *f)
{
	plan_clear(&f->plan);
	assert_int_equal(plan_build(f->lab, f->state, &f->actual, &f->plan, NULL), 0);
}

/* Pretends that everything was brought up and runs. */
static void all_up(struct fixture *f)
{
	cleanup_arena struct arena *arena = arena_new();

	for (size_t i = 0; i < f->lab->guest_count; i++) {
		cleanup_json json_t *value = json_pack("{s:o}", "spec", spec_guest(f->lab, f->lab->guests[i]));

		assert_int_equal(
			state_put(f->state, resource_key(arena, "guest", f->lab->guests[i]->path), value, NULL), 0);
		f->guests[i].state = GUEST_RUNNING;
	}
	for (size_t i = 0; i < f->lab->network_count; i++) {
		cleanup_json json_t *value = json_pack("{s:o, s:s}", "spec", spec_network(f->lab->networks[i]),
						       "bridge", f->lab->networks[i]->bridge);

		assert_int_equal(
			state_put(f->state, resource_key(arena, "network", f->lab->networks[i]->path), value, NULL), 0);
	}
	strcpy(f->interfaces[0], f->lab->root->networks[0]->bridge);
	f->actual.interfaces = (const char(*)[INTERFACE_NAME_SIZE])f->interfaces;
	f->actual.interface_count = 1;
	f->actual.namespace_exists = f->actual.uplink_exists = f->actual.rules_same = f->actual.publish_same = true;
}

static void change_lab(struct fixture *f, const char *from, const char *to)
{
	char text[4096];
	const char *at = strstr(lab_text, from);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - lab_text), lab_text, to, at + strlen(from));
	lab_free(f->lab);
	f->lab = load(text);
	f->status.lab = f->lab;
}

static size_t index_of(const struct fixture *f, const char *id)
{
	for (size_t i = 0; i < f->plan.step_count; i++)
		if (strcmp(f->plan.steps[i].id, id) == 0)
			return i;
	return SIZE_MAX;
}

static bool has_step(const struct fixture *f, const char *id)
{
	return index_of(f, id) != SIZE_MAX;
}

static bool comes_after(const struct fixture *f, size_t later, size_t earlier)
{
	const struct step *step = &f->plan.steps[later];

	for (size_t i = 0; i < step->after_count; i++)
		if (step->after[i] == earlier || comes_after(f, step->after[i], earlier))
			return true;
	return false;
}

static const struct plan_change *change_of(const struct fixture *f, const char *path)
{
	for (size_t i = 0; i < f->plan.change_count; i++)
		if (strcmp(f->plan.changes[i].path, path) == 0)
			return &f->plan.changes[i];
	return NULL;
}

static void test_from_nothing(void **state)
{
	struct fixture *f = *state;

	build(f);
	assert_int_equal(f->plan.change_count, 6); /* two networks, four guests */
	assert_int_equal(change_of(f, "hv1/a")->action, PLAN_CREATE);
	assert_true(comes_after(f, index_of(f, "start hv1"), index_of(f, "rules"))); /* no moment of openness */
	assert_true(comes_after(f, index_of(f, "start hv1"), index_of(f, "network lab")));
	assert_true(comes_after(f, index_of(f, "start hv1"), index_of(f, "image micro")));
	assert_true(comes_after(f, index_of(f, "part hv1"), index_of(f, "ready hv1")));
	assert_true(comes_after(f, index_of(f, "rules"), index_of(f, "namespace")));
	assert_false(comes_after(f, index_of(f, "start other"), index_of(f, "start hv1"))); /* in parallel */
	assert_false(has_step(f, "start hv1/a")); /* that is hv1's own business */
	assert_false(has_step(f, "part other"));
}

static void test_nothing_to_do(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	build(f);
	assert_int_equal(f->plan.change_count, 0);
	assert_int_equal(f->plan.step_count, 0);
}

static void test_dead_guest(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	f->guests[lab_find_guest(f->lab, "hv1")->index] =
		(struct guest_status){.state = GUEST_DEAD, .note = "its QEMU has ended"};
	build(f);
	assert_int_equal(change_of(f, "hv1")->action, PLAN_CREATE);
	assert_string_equal(change_of(f, "hv1")->why, "its QEMU has ended");
	assert_non_null(change_of(f, "hv1/a")); /* it went with its host */
	assert_non_null(change_of(f, "hv1/inner"));
	assert_null(change_of(f, "other"));
	assert_true(comes_after(f, index_of(f, "start hv1"), index_of(f, "stop hv1")));
	assert_false(has_step(f, "remove disk hv1"));
	assert_true(comes_after(f, index_of(f, "part hv1"), index_of(f, "start hv1")));
}

/* What somebody changed in libvirt is told, and what would undo it; `overwrites` has up refuse. */
static void test_drift(void **state)
{
	static const char *const changes[] = {"memory: 1 → 2", "added: a disk"};
	struct fixture *f = *state;
	struct guest_status *other;

	all_up(f);
	other = &f->guests[lab_find_guest(f->lab, "other")->index];
	other->drift = (struct guest_drift){.changes = changes, .count = 1};
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_int_equal(change_of(f, "other")->action, PLAN_CHANGE);
	assert_string_equal(change_of(f, "other")->why, "somebody else has changed it: memory: 1 → 2");
	assert_true(change_of(f, "other")->overwrites);
	assert_true(has_step(f, "restore other"));
	assert_false(has_step(f, "start other") || has_step(f, "record other"));

	/* its machine, too: only a start undoes that */
	other->drift = (struct guest_drift){.changes = changes, .count = 2, .of_machine = true};
	build(f);
	assert_int_equal(change_of(f, "other")->action, PLAN_RESTART);
	assert_true(comes_after(f, index_of(f, "start other"), index_of(f, "stop other")));
	assert_false(has_step(f, "restore other"));

	/* one that is to be started all the same */
	other->state = GUEST_DEAD;
	other->note = "its QEMU has ended";
	build(f);
	assert_int_equal(change_of(f, "other")->action, PLAN_CREATE);
	assert_string_equal(change_of(f, "other")->why,
			    "its QEMU has ended; somebody else has changed it: memory: 1 → 2; added: a disk");
	assert_true(change_of(f, "other")->overwrites);

	/* not known is no change: what touches libvirt fails by itself */
	*other = (struct guest_status){.state = GUEST_RUNNING, .drift = {.unknown = "libvirt does not answer"}};
	build(f);
	assert_int_equal(f->plan.change_count, 0);
}

static void test_drift_below(void **state)
{
	static const char *const changes[] = {"memory: 1 → 2"};
	struct fixture *f = *state;

	all_up(f);
	f->guests[lab_find_guest(f->lab, "hv1/b")->index].drift = (struct guest_drift){.changes = changes, .count = 1};
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_true(change_of(f, "hv1/b")->overwrites);
	assert_true(has_step(f, "part hv1"));
	assert_false(has_step(f, "restore hv1/b")); /* that is hv1's own business */
}

static void test_dead_guest_below(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	f->guests[lab_find_guest(f->lab, "hv1/b")->index].state = GUEST_DEAD;
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_string_equal(f->plan.changes[0].path, "hv1/b");
	assert_true(has_step(f, "part hv1"));
	assert_false(has_step(f, "start hv1"));
}

static void test_resize_below(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	change_lab(f, "b: {memory: 128M", "b: {memory: 192M");
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_int_equal(change_of(f, "hv1/b")->action, PLAN_RESTART);
	assert_string_equal(change_of(f, "hv1/b")->why, "memory 128 MiB → 192 MiB");
	assert_true(has_step(f, "part hv1"));
}

static void test_restart_takes_guests_along(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	change_lab(f, "memory: 1G", "memory: 2G");
	build(f);
	assert_int_equal(change_of(f, "hv1")->action, PLAN_RESTART);
	assert_int_equal(change_of(f, "hv1/a")->action, PLAN_CREATE);
	assert_string_equal(change_of(f, "hv1/a")->why, "hv1 starts anew");
	assert_true(comes_after(f, index_of(f, "start hv1"), index_of(f, "stop hv1")));
}

static void test_live_change(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	change_lab(f, "other: {", "other: {world: cut, ");
	f->actual.rules_same = false;
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_int_equal(change_of(f, "other")->action, PLAN_CHANGE);
	assert_true(has_step(f, "rules") && has_step(f, "record other"));
	assert_false(has_step(f, "start other"));
}

static void test_removal(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	change_lab(f, "  other: {memory: 128M, nics: [{network: lab, address: 192.168.122.5}]}\n", "");
	build(f);
	assert_int_equal(change_of(f, "other")->action, PLAN_REMOVE);
	assert_true(comes_after(f, index_of(f, "remove disk other"), index_of(f, "stop other")));
	change_lab(f, "      b: {memory: 128M, nics: [{network: inner, address: 192.168.124.92}]}\n", "");
	build(f);
	assert_int_equal(change_of(f, "hv1/b")->action, PLAN_REMOVE);
	assert_true(has_step(f, "part hv1"));
	assert_false(has_step(f, "stop b"));
}

static void test_host_becomes_plain_guest(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	change_lab(f,
		   "    networks: {inner: {subnet: 192.168.124.0/24, uplink: route}}\n"
		   "    guests:\n"
		   "      a: {memory: 128M, nics: [{network: inner, address: 192.168.124.91}]}\n"
		   "      b: {memory: 128M, nics: [{network: inner, address: 192.168.124.92}]}\n",
		   "");
	build(f);
	assert_true(has_step(f, "stop hv1") && has_step(f, "start hv1"));
	assert_false(has_step(f, "part hv1")); /* there is no part to bring up */
}

static void test_namespace_lost_under_guests(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	f->actual.namespace_exists = f->actual.uplink_exists = f->actual.rules_same = false;
	f->actual.interface_count = 0;
	build(f);
	assert_true(comes_after(f, index_of(f, "start other"), index_of(f, "stop other")));
	assert_true(comes_after(f, index_of(f, "routes"), index_of(f, "namespace")));
}

static void test_only_rules_differ(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	f->actual.rules_same = false;
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_string_equal(f->plan.changes[0].what, "rules");
	assert_true(has_step(f, "rules"));
}

/* Nothing runs otherwise for it, so there is no step; but `up` has it to take, and `plan` to say. */
static void test_only_policy_differs(void **state)
{
	struct fixture *f = *state;
	struct lab *applied = load(lab_text);
	cleanup_json json_t *kept = NULL;
	cleanup_free char *text = NULL;

	f->actual.applied = applied;
	change_lab(f, "guests:\n",
		   "policy:\n"
		   "  - deny: {from: hv1/a, to: world}\n"
		   "  - allow: {from: L0, to: other}\n"
		   "guests:\n");
	all_up(f);
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_string_equal(f->plan.changes[0].what, "policy");
	assert_string_equal(f->plan.changes[0].why, "2 lines changed: 2 added, 0 removed");
	assert_int_equal(f->plan.step_count, 0);

	lab_free(applied);
	applied = f->lab;
	f->actual.applied = applied;
	f->lab = load(lab_text);
	change_lab(f, "guests:\n",
		   "policy:\n  - deny: {from: hv1/b, to: world}\n  - allow: {from: L0, to: other}\nguests:\n");
	build(f);
	assert_string_equal(f->plan.changes[0].why, "2 lines changed: 1 added, 1 removed");
	lab_free(applied);

	/* What is kept of it says the same. */
	change_lab(
		f, "guests:\n",
		"policy:\n"
		"  - deny: {from: hv1/a, to: 10.1.0.0/16, port: [53/udp, 80-90, 443], even-if-compromised: [other]}\n"
		"  - allow: {from: lab, to: hv1/inner}\n"
		"guests:\n");
	kept = config_part(f->lab, f->lab->root);
	text = json_text(kept);
	applied = load(text);
	f->actual.applied = applied;
	build(f);
	assert_int_equal(f->plan.change_count, 0);
	lab_free(applied);
}

static void test_only_routes_differ(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	f->actual.routes_differ = true;
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_string_equal(f->plan.changes[0].what, "routes");
	assert_true(has_step(f, "routes"));
	assert_false(has_step(f, "uplink"));
}

static void test_only_uplink_differs(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	f->actual.uplink_differs = true;
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_string_equal(f->plan.changes[0].what, "uplink");
	assert_true(has_step(f, "uplink"));
	assert_false(has_step(f, "rules"));
}

/* What somebody changed on a running host below is that host's to mend. */
static void test_host_below_was_changed(void **state)
{
	struct fixture *f = *state;
	const struct guest *hv1 = lab_find_guest(f->lab, "hv1");

	all_up(f);
	f->status.guests[hv1->index].changed = HOST_RULES | HOST_ROUTES;
	f->actual.rules_same = false;
	build(f);
	assert_int_equal(f->plan.change_count, 3);
	assert_string_equal(f->plan.changes[0].what, "rules");
	assert_string_equal(f->plan.changes[0].path, "hv1");
	assert_string_equal(f->plan.changes[1].what, "routes");
	assert_string_equal(f->plan.changes[1].path, "hv1");
	assert_string_equal(f->plan.changes[2].path, "");
	assert_true(has_step(f, "part hv1") && has_step(f, "rules"));
	assert_false(has_step(f, "stop hv1"));
}

static void test_only_publish_differs(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	f->actual.publish_same = false;
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_string_equal(f->plan.changes[0].what, "publish");
	assert_true(has_step(f, "publish"));
	assert_false(has_step(f, "rules"));
}

static void test_interrupted_start(void **state)
{
	struct fixture *f = *state;
	cleanup_json json_t *value = json_pack("{s:o}", "spec", spec_guest(f->lab, lab_find_guest(f->lab, "other")));

	all_up(f);
	assert_int_equal(state_begin(f->state, "start other", "guest:other", value, NULL), 0);
	f->guests[lab_find_guest(f->lab, "other")->index].state = GUEST_STARTING;
	build(f);
	assert_int_equal(f->plan.change_count, 1);
	assert_true(has_step(f, "ready other"));
	assert_false(has_step(f, "start other"));
}

static void test_unfinished_run(void **state)
{
	struct fixture *f = *state;
	cleanup_json json_t *value = json_object();

	all_up(f);
	assert_int_equal(state_put(f->state, PLAN_UNFINISHED, value, NULL), 0);
	build(f);
	assert_int_equal(f->plan.change_count, 1); /* so that `plan` does not say that there is nothing to do */
	assert_string_equal(f->plan.changes[0].what, "host");
	assert_true(has_step(f, "uplink") && has_step(f, "rules") && has_step(f, "routes") && has_step(f, "namespace"));
	assert_false(has_step(f, "start hv1") || has_step(f, "part hv1"));
}

static void test_new_image_needs_new_disk(void **state)
{
	struct fixture *f = *state;

	all_up(f);
	change_lab(f, "other: {", "other: {image: debian-12, ");
	build(f);
	assert_int_equal(change_of(f, "other")->action, PLAN_RESTART);
	assert_non_null(strstr(change_of(f, "other")->why, "its disk is made anew"));
	assert_true(comes_after(f, index_of(f, "start other"), index_of(f, "remove disk other")));
}

static void reopen(struct fixture *f)
{
	state_close(f->state);
	f->state = NULL;
	assert_int_equal(state_open(f->folder, &f->state, NULL), 0);
}

static void test_journal(void **state)
{
	struct fixture *f = *state;
	cleanup_json json_t *one = json_pack("{s:i}", "n", 1), *two = json_pack("{s:i}", "n", 2);

	assert_int_equal(state_begin(f->state, "start x", "guest:x", one, NULL), 0);
	assert_int_equal(state_done(f->state, "start x", "guest:x", one, NULL), 0);
	assert_int_equal(state_begin(f->state, "start y", "guest:y", two, NULL), 0);
	reopen(f);
	assert_string_equal(state_interrupted(f->state), "start y");
	assert_null(json_object_get(state_get(f->state, "guest:x"), "pending"));
	assert_true(json_is_true(json_object_get(state_get(f->state, "guest:y"), "pending")));
	assert_int_equal(state_compact(f->state, NULL), 0);
	reopen(f);
	assert_null(state_interrupted(f->state));
	assert_int_equal(json_get_integer(state_get(f->state, "guest:y"), "n", 0), 2);
	assert_int_equal(state_done(f->state, "stop y", "guest:y", NULL, NULL), 0);
	reopen(f);
	assert_null(state_get(f->state, "guest:y"));
	assert_int_equal(json_get_integer(state_get(f->state, "guest:x"), "n", 0), 1);
}

static void test_half_written_line(void **state)
{
	struct fixture *f = *state;
	cleanup_json json_t *one = json_pack("{s:i}", "n", 1);
	cleanup_free char *path = NULL;
	int fd;

	assert_int_equal(state_begin(f->state, "start x", "guest:x", one, NULL), 0);
	assert_true(asprintf(&path, "%s/journal", f->folder) > 0);
	fd = open(path, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "{\"done\":\"sta", 12), 12); /* as a kill in the middle of write(2) could leave it */
	close(fd);
	reopen(f);
	assert_non_null(state_get(f->state, "guest:x"));
	assert_int_equal(state_done(f->state, "start x", "guest:x", one, NULL), 0);
	reopen(f);
	assert_null(state_interrupted(f->state));
}

static void test_damaged_journal(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	cleanup_free char *path = NULL;

	assert_true(asprintf(&path, "%s/journal", f->folder) > 0);
	assert_int_equal(file_write_atomic(path, "rubbish\n{}\n", 11, 0600, NULL), 0);
	state_close(f->state);
	f->state = NULL;
	assert_int_equal(state_open(f->folder, &f->state, &err), -EBADMSG);
	assert_non_null(strstr(err->message, "rubbish"));
	assert_non_null(err->hint);
}

/* A diamond: a before b and c, both before d. */
struct order {
	pthread_mutex_t mutex;
	char log[16];
	const char *fails;
	const struct cancel *cancel_at_b;
};

static int log_step(void *context, const struct step *step, struct error **err)
{
	struct order *order = context;

	pthread_mutex_lock(&order->mutex);
	strncat(order->log, step->id, 1);
	pthread_mutex_unlock(&order->mutex);
	if (order->cancel_at_b && *step->id == 'b')
		cancel_request(order->cancel_at_b);
	return order->fails && strcmp(order->fails, step->id) == 0 ? error_set(err, EIO, "%s broke", step->id) : 0;
}

static int run_diamond(struct order *order, const struct cancel *cancel, enum step_result results[4],
		       struct error **err)
{
	size_t after_a[] = {0}, after_bc[] = {1, 2};
	struct step steps[4] = {{.kind = STEP_RULES, .id = "a"},
				{.kind = STEP_RULES, .id = "b", .after = after_a, .after_count = 1},
				{.kind = STEP_RULES, .id = "c", .after = after_a, .after_count = 1},
				{.kind = STEP_RULES, .id = "d", .after = after_bc, .after_count = 2}};
	struct plan plan = {.steps = steps, .step_count = 4};

	pthread_mutex_init(&order->mutex, NULL);
	return executor_run(&plan, log_step, order, 4, cancel, results, err);
}

static void test_executor_order(void **state)
{
	for (int i = 0; i < 200; i++) {
		struct order order = {0};
		enum step_result results[4];

		assert_int_equal(run_diamond(&order, NULL, results, NULL), 0);
		assert_int_equal(strlen(order.log), 4);
		assert_int_equal(order.log[0], 'a');
		assert_int_equal(order.log[3], 'd');
	}
}

static void test_executor_failure(void **state)
{
	cleanup_error struct error *err = NULL;
	struct order order = {.fails = "b"};
	enum step_result results[4];

	assert_int_equal(run_diamond(&order, NULL, results, &err), -EIO);
	assert_string_equal(err->message, "b broke");
	assert_int_equal(results[1], STEP_FAILED);
	assert_int_equal(results[2], STEP_DONE); /* c does not depend on b */
	assert_int_equal(results[3], STEP_LEFT_OUT);
	assert_null(strchr(order.log, 'd'));
}

static void test_executor_cancel(void **state)
{
	cleanup_error struct error *err = NULL;
	struct cancel cancel;
	enum step_result results[4];
	struct order order = {.cancel_at_b = &cancel};

	assert_int_equal(cancel_open(&cancel), 0);
	assert_int_equal(run_diamond(&order, &cancel, results, &err), -ECANCELED);
	assert_int_equal(results[3], STEP_LEFT_OUT);
	cancel_close(&cancel);
}

/* ---- further machines of layer 0 ---- */

static const char machines_text[] = "lab: t\n"
				    "hosts:\n"
				    "  right: {uri: 'ssh://h', address: 10.0.0.2, home: 10.0.0.1}\n"
				    "  third: {uri: 'ssh://i', address: 10.0.0.3, home: 10.0.0.1}\n"
				    "networks:\n"
				    "  lab: {subnet: 192.168.122.0/24}\n"
				    "guests:\n"
				    "  a: {placement: L0, nics: [{network: lab, address: 192.168.122.5}]}\n"
				    "  b: {placement: %s, nics: [{network: lab, address: 192.168.122.6}]}\n";

static void load_machines(struct fixture *f, const char *b)
{
	char text[2048];

	snprintf(text, sizeof(text), machines_text, b);
	lab_free(f->lab);
	f->lab = load(text);
	f->status.lab = f->lab;
}

/* All runs, and what each machine was told is what it is to be told. */
static void machines_up(struct fixture *f)
{
	static const char *const parts[] = {"1", "2"};
	cleanup_json json_t *told = json_pack("{s:s}", "part", "1");
	cleanup_json json_t *of_b = NULL;

	load_machines(f, "right");
	all_up(f);
	of_b = json_deep_copy(state_get(f->state, "guest:b"));
	json_object_set_new(of_b, "machine", json_string("right"));
	assert_int_equal(state_put(f->state, "guest:b", of_b, NULL), 0);
	assert_int_equal(state_put(f->state, "machine:right", told, NULL), 0);
	f->actual.machine_parts = parts;
}

static void test_machine_new(void **state)
{
	struct fixture *f = *state;

	load_machines(f, "right");
	build(f);
	assert_string_equal(change_of(f, "b")->host, "right");
	assert_string_equal(change_of(f, "a")->host, "L0");
	assert_true(comes_after(f, index_of(f, "part right"), index_of(f, "rules"))); /* its way out is here */
	assert_false(has_step(f, "start b"));
	assert_false(has_step(f, "part third"));
}

static void test_machine_same(void **state)
{
	struct fixture *f = *state;

	machines_up(f);
	build(f);
	assert_int_equal(f->plan.change_count, 0);
	assert_int_equal(f->plan.step_count, 0);
}

static void test_machine_told_otherwise(void **state)
{
	static const char *const parts[] = {"other", "2"};
	struct fixture *f = *state;

	machines_up(f);
	f->actual.machine_parts = parts;
	build(f);
	assert_string_equal(change_of(f, "right")->what, "host");
	assert_true(has_step(f, "part right"));
	assert_false(has_step(f, "stop a"));
}

/* One that does not answer is asked again, and nothing of it is called gone. */
static void test_machine_silent(void **state)
{
	struct fixture *f = *state;

	machines_up(f);
	f->guests[lab_find_guest(f->lab, "b")->index].state = GUEST_UNKNOWN;
	build(f);
	assert_int_equal(f->plan.change_count, 0);
	assert_true(has_step(f, "part right"));
}

/* Gone where it was before it starts elsewhere. */
static void test_machine_moves(void **state)
{
	struct fixture *f = *state;

	machines_up(f);
	load_machines(f, "third");
	build(f);
	assert_int_equal(change_of(f, "b")->action, PLAN_RESTART);
	assert_string_equal(change_of(f, "b")->why, "it moves from right to third, where its disk is made anew");
	assert_true(comes_after(f, index_of(f, "part third"), index_of(f, "leave right")));
	load_machines(f, "L0");
	build(f);
	assert_true(comes_after(f, index_of(f, "start b"), index_of(f, "leave right")));
	assert_false(has_step(f, "stop b"));
}

static void test_machine_takes_from_here(void **state)
{
	struct fixture *f = *state;

	machines_up(f);
	load_machines(f, "L0");
	all_up(f);
	load_machines(f, "right");
	build(f);
	assert_true(comes_after(f, index_of(f, "part right"), index_of(f, "remove disk b")));
	assert_true(comes_after(f, index_of(f, "remove disk b"), index_of(f, "stop b")));
}

#define planned(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		planned(test_from_nothing),
		planned(test_nothing_to_do),
		planned(test_dead_guest),
		planned(test_drift),
		planned(test_drift_below),
		planned(test_dead_guest_below),
		planned(test_resize_below),
		planned(test_restart_takes_guests_along),
		planned(test_live_change),
		planned(test_removal),
		planned(test_host_becomes_plain_guest),
		planned(test_namespace_lost_under_guests),
		planned(test_only_rules_differ),
		planned(test_only_publish_differs),
		planned(test_only_policy_differs),
		planned(test_only_routes_differ),
		planned(test_only_uplink_differs),
		planned(test_host_below_was_changed),
		planned(test_interrupted_start),
		planned(test_unfinished_run),
		planned(test_new_image_needs_new_disk),
		planned(test_journal),
		planned(test_half_written_line),
		planned(test_damaged_journal),
		planned(test_machine_new),
		planned(test_machine_same),
		planned(test_machine_told_otherwise),
		planned(test_machine_silent),
		planned(test_machine_moves),
		planned(test_machine_takes_from_here),
		cmocka_unit_test(test_executor_order),
		cmocka_unit_test(test_executor_failure),
		cmocka_unit_test(test_executor_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
