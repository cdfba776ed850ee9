/*
 * Looking at what runs, as cheaply as each depth allows. See session_status: the state says which process a guest was
 * when it was last dealt with; the process itself says whether it still is.
 */
#include "apply/adopted.h"
#include "apply/into.h"
#include "apply/isolate.h"
#include "apply/machines.h"
#include "apply/nwfilter.h"
#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "driver/driver.h"
#include "net/net.h"
#include "plan/plan.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum {
	ANSWER_MS = 3000,
	NO_SUCH_LAB = 2,	  /* the exit status that says so */
	NESTED_ANSWER_MS = 10000, /* of a host that asks hosts or a libvirt of its own */
};

static json_t *state_of(struct session *s, const struct guest *guest)
{
	return state_get(s->state, resource_key(s->arena, "guest", guest->path));
}

static void remember(struct session *s, const json_t *value, struct guest_status *status)
{
	const json_t *process = json_object_get(value, "process");

	status->pid = (pid_t)json_get_integer(process, "pid", 0);
	status->since = json_get_integer(value, "since", 0);
	status->accelerator = arena_strdup(s->arena, json_get_string(value, "accel", ""));
}

static void look_direct(struct session *s, const struct guest *guest, struct guest_status *status)
{
	const char *run_dir = folders_guest(s->arena, &s->folders, guest->name);
	const json_t *value = state_of(s, guest);
	struct driver_state state = {0};
	cleanup_error struct error *err = NULL;

	*status = (struct guest_status){.state = GUEST_ABSENT};
	if (!value || json_get_string(value, "machine", NULL)) /* it was on another machine until now */
		return;
	remember(s, value, status);
	if (driver_of(run_dir)->look(run_dir, &state, &err) < 0) {
		status->state = GUEST_UNKNOWN;
		status->note = arena_strdup(s->arena, err->message);
	} else if (!state.running) {
		status->state = GUEST_DEAD;
		status->note = "its QEMU has ended";
	} else {
		status->pid = state.process.pid;
		status->state = json_is_true(json_object_get(value, "pending")) ? GUEST_STARTING : GUEST_RUNNING;
	}
}

/* Of guests that another program defines: whether they still are what they were defined as. */
static void look_for_drift(struct session *s, struct lab_status *status)
{
	const struct host *root = s->lab->root;
	struct guest_drift *drifts = arena_alloc(s->arena, (root->guest_count + 1) * sizeof(*drifts));
	const char **run_dirs = arena_alloc(s->arena, (root->guest_count + 1) * sizeof(*run_dirs));
	const struct guest **guests = arena_alloc(s->arena, (root->guest_count + 1) * sizeof(*guests));
	const struct driver_ops *driver = NULL;
	size_t count = 0;

	for (size_t i = 0; i < root->guest_count; i++) {
		const char *run_dir = folders_guest(s->arena, &s->folders, root->guests[i]->name);

		if (root->guests[i]->machine || !driver_of(run_dir)->drift)
			continue;
		driver = driver_of(run_dir);
		guests[count] = root->guests[i];
		run_dirs[count++] = run_dir;
	}
	if (count)
		driver->drift(s->arena, run_dirs, count, drifts);
	for (size_t i = 0; i < count; i++)
		status->guests[guests[i]->index].drift = drifts[i];
}

static void look_adopted(struct session *s, size_t i, struct guest_status *status)
{
	const struct adopted_domain *domain = s->adopted ? &s->adopted->domains[i] : NULL;

	*status = (struct guest_status){.state = GUEST_UNKNOWN, .note = s->adopted_problem};
	if (!domain)
		return;
	status->state = domain->running ? GUEST_RUNNING : domain->exists ? GUEST_DEAD : GUEST_ABSENT;
	status->note = strcmp(domain->state, "running") == 0 ? NULL
		       : domain->exists			     ? arena_printf(s->arena, "libvirt says: %s", domain->state)
							     : "libvirt has no such domain";
}

/* Everything below a host gets one state, where the host itself decides it. */
static void mark_below(struct session *s, const struct host *host, enum guest_state state, const char *note,
		       struct lab_status *status)
{
	for (size_t i = 0; i < host->guest_count; i++) {
		const struct guest *guest = host->guests[i];
		bool known = state_of(s, guest) != NULL;

		status->guests[guest->index] =
			(struct guest_status){.state = known || state == GUEST_UNKNOWN ? state : GUEST_ABSENT,
					      .note = known || state == GUEST_UNKNOWN ? note : NULL};
		if (guest->host)
			mark_below(s, guest->host, state, note, status);
	}
}

static enum guest_state parse_state(const char *name)
{
	for (enum guest_state state = GUEST_ABSENT; state <= GUEST_UNKNOWN; state++)
		if (strcmp(guest_state_name(state), name) == 0)
			return state;
	return GUEST_UNKNOWN;
}

static unsigned parse_changed(const json_t *names)
{
	unsigned changed = 0;
	json_t *name;
	size_t i;

	json_array_foreach (names, i, name)
		for (unsigned place = 0; place < HOST_PART_COUNT && json_is_string(name); place++)
			if (strcmp(json_string_value(name), host_part_name(place)) == 0)
				changed |= 1U << place;
	return changed;
}

static struct guest_drift parse_drift(struct session *s, const json_t *json)
{
	const json_t *changes = json_object_get(json, "changes");
	size_t count = json_array_size(changes), i;
	const char **list = arena_alloc(s->arena, (count + 1) * sizeof(*list));
	const char *unknown = json_get_string(json, "unknown", NULL);
	json_t *one;

	json_array_foreach (changes, i, one)
		list[i] = arena_strdup(s->arena, json_is_string(one) ? json_string_value(one) : "");
	return (struct guest_drift){.changes = list,
				    .count = count,
				    .of_machine = json_is_true(json_object_get(json, "of_machine")),
				    .unknown = unknown ? arena_strdup(s->arena, unknown) : NULL};
}

/* A host speaks for the guests that are in its part, and for no others. */
static void take_answers(struct session *s, const struct host *host, const json_t *guests, struct lab_status *status)
{
	size_t i;
	json_t *one;

	json_array_foreach (guests, i, one) {
		const struct guest *guest = lab_find_guest(s->lab, json_get_string(one, "path", ""));
		const json_t *value = guest ? state_of(s, guest) : NULL;

		if (guest && host_has(host, guest)) {
			struct guest_status *is = &status->guests[guest->index];
			const char *note = json_get_string(one, "note", NULL);
			const char *missing = json_get_string(one, "not_in_force", NULL);

			*is = (struct guest_status){.state = parse_state(json_get_string(one, "state", "")),
						    .changed = parse_changed(json_object_get(one, "changed")),
						    .drift = parse_drift(s, json_object_get(one, "drift"))};
			if (value)
				remember(s, value, is);
			is->note = note ? arena_strdup(s->arena, note) : NULL;
			is->not_in_force = missing ? arena_strdup(s->arena, missing) : NULL;
		}
		take_answers(s, host, json_object_get(one, "guests"), status);
	}
}

static bool asks_others(const struct host *host)
{
	if (guest_is_machine(host->guest)) /* and there is a network on the way */
		return true;
	for (size_t i = 0; i < host->guest_count; i++)
		if (host->guests[i]->host || host->guests[i]->libvirt)
			return true;
	return false;
}

/* Hosts are asked at the same time, each by a thread with an arena of its own; one after the other takes what they say.
 */
struct question {
	struct session *s;
	const struct guest *guest;
	struct arena *arena;
	struct process_output output;
	struct error *err;
	int result;
	pthread_t thread;
	bool threaded;
};

static void *ask_host(void *data)
{
	struct question *q = data;
	const struct session *s = q->s;
	const char *argv[] = {"nestvisor", "status", "--json", s->lab->name, NULL};
	cleanup_transport struct transport *t = NULL;

	q->result = into_open(q->arena, &s->folders, s->lab, q->guest, s->cancel, &t, &q->err);
	if (q->result == 0)
		q->result = transport_run(t, argv, NULL, 0, asks_others(q->guest->host) ? NESTED_ANSWER_MS : ANSWER_MS,
					  s->cancel, &q->output, &q->err);
	return NULL;
}

/* That it has no lab of this name is an answer; every other failure leaves its guests unknown. */
static int check_machine(const struct question *q, const json_t *answer, struct error **err)
{
	const json_t *problem = json_object_get(answer, "error");

	if (!problem || json_get_integer(problem, "status", 0) == NO_SUCH_LAB)
		return 0;
	return error_set(err, EIO, "%s: %s", q->guest->path,
			 json_get_string(problem, "message", "it failed without a word"));
}

static int take_answer(struct question *q, struct lab_status *status)
{
	cleanup_json json_t *answer = NULL;
	int r = q->result;

	if (r == 0 && guest_is_machine(q->guest) && !q->output.out_length && q->output.status)
		r = machines_fail(q->guest->machine, q->output.status, q->output.err, &q->err);
	if (r == 0)
		r = json_parse(q->output.out, q->output.out_length, "the answer of its nestvisor", &answer, &q->err);
	if (r == 0 && guest_is_machine(q->guest))
		r = check_machine(q, answer, &q->err);
	if (r < 0)
		return r;
	mark_below(q->s, q->guest->host, GUEST_ABSENT, NULL, status);
	status->guests[q->guest->index].changed =
		parse_changed(json_object_get(json_object_get(answer, "host"), "changed"));
	take_answers(q->s, q->guest->host, json_object_get(answer, "guests"), status);
	return 0;
}

static void end_question(struct question *q, struct lab_status *status)
{
	int r;

	if (q->threaded)
		pthread_join(q->thread, NULL);
	r = take_answer(q, status);
	if (r < 0) {
		const char *note = arena_strdup(q->s->arena, q->err ? q->err->message : strerror(-r));

		mark_below(q->s, q->guest->host, GUEST_UNKNOWN, note, status);
		if (guest_is_machine(q->guest))
			status->guests[q->guest->index].note = note;
	}
	process_output_clear(&q->output);
	error_free(q->err);
	arena_free(q->arena);
}

static void begin_question(struct session *s, const struct guest *guest, struct question *q)
{
	*q = (struct question){.s = s, .guest = guest, .arena = arena_new()};
	q->threaded = pthread_create(&q->thread, NULL, ask_host, q) == 0;
	if (!q->threaded)
		ask_host(q);
}

static void look_below(struct session *s, struct lab_status *status)
{
	const struct host *root = s->lab->root;
	struct question *questions =
		arena_alloc(s->arena, (root->guest_count + s->lab->machine_count + 1) * sizeof(*questions));
	size_t count = 0;

	for (size_t i = 0; i < root->guest_count; i++) {
		const struct guest *guest = root->guests[i];
		enum guest_state state = status->guests[guest->index].state;

		if (guest->machine || !guest->host || !guest->host->guest_count)
			continue;
		if (state != GUEST_RUNNING) {
			mark_below(s, guest->host, state == GUEST_UNKNOWN ? GUEST_UNKNOWN : GUEST_DEAD,
				   arena_printf(s->arena, "%s is %s", guest->path, guest_state_name(state)), status);
			continue;
		}
		begin_question(s, guest, &questions[count++]);
	}
	/* Before the lab was ever brought up nothing of it can run there; after a reboot here it can. */
	for (size_t i = 0; i < s->lab->machine_count; i++)
		if (file_exists(s->folders.lab_file) ||
		    state_get(s->state, resource_key(s->arena, "machine", s->lab->machines[i]->name)))
			begin_question(s, s->lab->machines[i]->guest, &questions[count++]);
	for (size_t i = 0; i < count; i++)
		end_question(&questions[i], status);
}

/* ─── this host's network ─── */

static int check_part(int (*check)(struct net *net, bool *ret_same, struct error **err), struct net *net,
		      enum host_part part, unsigned *changed, struct error **err)
{
	bool same = true;
	int r = check(net, &same, err);

	if (!same)
		*changed |= part;
	return r;
}

static int check_networks(struct session *s, unsigned *changed, struct error **err)
{
	struct net_actual seen;
	int r = net_look(s->net, &seen, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < s->lab->root->network_count; i++) {
		const struct network *network = s->lab->root->networks[i];

		/* Only what was made can have been changed. */
		if (state_get(s->state, resource_key(s->arena, "network", network->path)) &&
		    !net_actual_has(&seen, network->bridge))
			*changed |= HOST_NETWORKS;
	}
	net_actual_free(&seen);
	return 0;
}

static int check_network(struct session *s, unsigned *changed, struct error **err)
{
	int r;

	if (s->lab->adopted) /* all else is libvirt's */
		return s->adopted ? check_part(net_check_rules, s->net, HOST_RULES, changed, err) : 0;
	if (!net_namespace_exists(s->net)) {
		*changed = file_exists(s->folders.lab_file) ? HOST_NAMESPACE : 0; /* once it was up it had one */
		return 0;
	}
	r = check_part(net_check_rules, s->net, HOST_RULES, changed, err);
	if (r == 0)
		r = check_part(net_check_namespace, s->net, HOST_SYSCTLS, changed, err);
	if (r == 0)
		r = check_part(net_check_publish, s->net, HOST_PUBLISH, changed, err);
	if (r == 0)
		r = check_part(net_check_uplink, s->net, HOST_UPLINK, changed, err);
	if (r == 0)
		r = check_part(net_check_routes, s->net, HOST_ROUTES, changed, err);
	return r < 0 ? r : check_networks(s, changed, err);
}

static bool lacks_rules(unsigned changed)
{
	return changed & (HOST_NAMESPACE | HOST_RULES);
}

/* Of libvirt's, which the rules do not make up for. */
static bool lacks_filter(const struct session *s, const struct guest *guest, const struct lab_status *status)
{
	const struct isolation_setting *setting = &s->isolation->settings[guest->index];
	enum guest_state state = status->guests[guest->index].state;

	return setting->method == ISOLATION_NWFILTER && setting->world != WORLD_OPEN &&
	       (state == GUEST_RUNNING || state == GUEST_STARTING) && !nwfilter_stands(guest);
}

/* The outermost host where what holds for a guest is not in force; NULL: none is known. */
static const char *not_in_force(struct session *s, const struct guest *guest, const struct lab_status *status)
{
	const struct host *root = s->lab->root;
	const struct guest *first = host_guest_towards(root, guest);
	const struct guest_status *is = &status->guests[guest->index];

	if (s->lab->adopted && !s->adopted && isolation_world(s->isolation, guest) != WORLD_OPEN)
		return "L0";  /* nobody knows */
	if (first->machine) { /* outermost here, where its network has its gateway */
		if (lacks_rules(status->changed))
			return "L0";
		if (is->state == GUEST_ABSENT || is->state == GUEST_DEAD)
			return NULL;
		return isolate_is_confirmed(&s->folders, first->machine->guest, s->isolation) && !is->not_in_force
			       ? NULL
		       : is->not_in_force && strcmp(is->not_in_force, "L0") != 0 ? is->not_in_force
										 : first->machine->name;
	}
	if (lacks_rules(status->changed) || lacks_filter(s, first, status))
		return *root->path ? root->path : "L0";
	if (first == guest || status->guests[first->index].state != GUEST_RUNNING)
		return NULL;
	if (!isolate_is_confirmed(&s->folders, first, s->isolation))
		return first->path;
	return status->guests[guest->index].not_in_force; /* what its host said */
}

int session_status(struct session *session, struct lab_status *ret, struct error **err)
{
	const struct lab *lab = session->lab;
	const json_t *host = state_get(session->state, "host");
	char name[256] = "";
	int r;

	gethostname(name, sizeof(name) - 1);
	*ret = (struct lab_status){.lab = lab, .hostname = arena_strdup(session->arena, name)};
	ret->guests = arena_alloc(session->arena, (lab_index_count(lab) + 1) * sizeof(*ret->guests));
	ret->interrupted = state_interrupted(session->state);
	ret->accelerator = json_get_string(host, "accel", NULL);
	ret->accelerator_why = json_get_string(host, "why", NULL);
	for (size_t i = 0; i < lab->root->guest_count; i++) {
		const struct guest *guest = lab->root->guests[i];

		if (guest->machine)
			continue;
		if (lab->adopted)
			look_adopted(session, i, &ret->guests[guest->index]);
		else
			look_direct(session, guest, &ret->guests[guest->index]);
	}
	look_below(session, ret);
	look_for_drift(session, ret);
	r = check_network(session, &ret->changed, err);
	ret->isolation = session->isolation;
	for (size_t i = 0; i < lab->guest_count && r == 0; i++)
		ret->guests[i].not_in_force = not_in_force(session, lab->guests[i], ret);
	return r;
}
