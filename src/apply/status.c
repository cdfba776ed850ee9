/*
 * Looking at what runs, as cheaply as each depth allows. See session_status: the state says which process a guest was
 * when it was last dealt with; the process itself says whether it still is.
 */
#include "apply/into.h"
#include "apply/isolate.h"
#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "driver/driver.h"
#include "net/net.h"
#include "plan/plan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	ANSWER_MS = 1000,
	NESTED_ANSWER_MS = 10000, /* of a host that starts nestvisor and asks hosts of its own */
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
	const json_t *value = state_of(s, guest);
	struct driver_state state = {0};
	cleanup_error struct error *err = NULL;

	*status = (struct guest_status){.state = GUEST_ABSENT};
	if (!value)
		return;
	remember(s, value, status);
	if (driver_qemu.look(folders_guest(s->arena, &s->folders, guest->name), &state, &err) < 0) {
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

static bool has_third_layer(const struct host *host)
{
	for (size_t i = 0; i < host->guest_count; i++)
		if (host->guests[i]->host)
			return true;
	return false;
}

/* Field 22 of /proc/PID/stat, counted behind the program's name in parentheses; and that it is no zombie. */
static bool stat_is(const char *stat, unsigned long long start)
{
	const char *p = stat ? strrchr(stat, ')') : NULL;

	if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return false;
	for (int field = 2; field < 22 && p; field++)
		p = strchr(p + 1, ' ');
	return p && strtoull(p + 1, NULL, 10) == start;
}

/* Reads the entries of all guests of `host` in its /proc with one conversation. */
static int read_processes(struct session *s, struct transport *t, const struct host *host, struct lab_status *status,
			  struct error **err)
{
	const char **paths = arena_alloc(s->arena, host->guest_count * sizeof(*paths));
	char **texts = arena_alloc(s->arena, host->guest_count * sizeof(*texts));
	int r;

	for (size_t i = 0; i < host->guest_count; i++) {
		const json_t *process = json_object_get(state_of(s, host->guests[i]), "process");

		paths[i] = arena_printf(s->arena, "/proc/%lld/stat", json_get_integer(process, "pid", 0));
	}
	r = qga_read_files(t, paths, host->guest_count, ANSWER_MS, s->cancel, texts, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < host->guest_count; i++) {
		const struct guest *guest = host->guests[i];
		struct guest_status *one = &status->guests[guest->index];
		const json_t *value = state_of(s, guest);
		const json_t *process = json_object_get(value, "process");

		*one = (struct guest_status){.state = GUEST_ABSENT};
		if (value) {
			remember(s, value, one);
			one->state = !stat_is(texts[i], (unsigned long long)json_get_integer(process, "start", 0))
					     ? GUEST_DEAD
				     : json_is_true(json_object_get(value, "pending")) ? GUEST_STARTING
										       : GUEST_RUNNING;
			if (one->state == GUEST_DEAD)
				one->note = "its QEMU has ended";
		}
		free(texts[i]);
	}
	return 0;
}

static enum guest_state parse_state(const char *name)
{
	for (enum guest_state state = GUEST_ABSENT; state <= GUEST_UNKNOWN; state++)
		if (strcmp(guest_state_name(state), name) == 0)
			return state;
	return GUEST_UNKNOWN;
}

static void take_answers(struct session *s, const json_t *guests, struct lab_status *status)
{
	size_t i;
	json_t *one;

	json_array_foreach (guests, i, one) {
		const struct guest *guest = lab_find_guest(s->lab, json_get_string(one, "path", ""));
		const json_t *value = guest ? state_of(s, guest) : NULL;

		if (guest) {
			struct guest_status *is = &status->guests[guest->index];
			const char *note = json_get_string(one, "note", NULL);

			*is = (struct guest_status){.state = parse_state(json_get_string(one, "state", ""))};
			if (value)
				remember(s, value, is);
			is->note = note ? arena_strdup(s->arena, note) : NULL;
		}
		take_answers(s, json_object_get(one, "guests"), status);
	}
}

static int ask_host(struct session *s, struct transport *t, const struct host *host, struct lab_status *status,
		    struct error **err)
{
	const char *argv[] = {"nestvisor", "status", "--json", s->lab->name, NULL};
	cleanup_output struct process_output output = {0};
	cleanup_json json_t *answer = NULL;
	int r = transport_run(t, argv, NULL, 0, NESTED_ANSWER_MS, s->cancel, &output, err);

	if (r == 0)
		r = json_parse(output.out, output.out_length, "the answer of its nestvisor", &answer, err);
	if (r < 0)
		return r;
	mark_below(s, host, GUEST_ABSENT, NULL, status);
	take_answers(s, json_object_get(answer, "guests"), status);
	return 0;
}

static void look_below(struct session *s, const struct guest *guest, struct lab_status *status)
{
	enum guest_state state = status->guests[guest->index].state;
	cleanup_transport struct transport *t = NULL;
	cleanup_error struct error *err = NULL;
	bool unfinished;
	int r;

	if (state != GUEST_RUNNING) {
		mark_below(s, guest->host, state == GUEST_UNKNOWN ? GUEST_UNKNOWN : GUEST_DEAD,
			   arena_printf(s->arena, "%s is %s", guest->path, guest_state_name(state)), status);
		return;
	}
	r = into_open(s->arena, &s->folders, s->lab, guest, s->cancel, &t, &err);
	/* After a run that did not finish, the host knows more than this state does. */
	unfinished = state_get(s->state, PLAN_UNFINISHED) != NULL;
	if (r == 0 && (has_third_layer(guest->host) || guest->transport != TRANSPORT_QGA || unfinished))
		r = ask_host(s, t, guest->host, status, &err);
	else if (r == 0)
		r = read_processes(s, t, guest->host, status, &err);
	if (r < 0)
		mark_below(s, guest->host, GUEST_UNKNOWN, arena_strdup(s->arena, err ? err->message : strerror(-r)),
			   status);
}

/* Where what holds for the guests is not in force: at this host, by its rules; at those below, as far as they have
 * said. */
static int look_at_network(struct session *s, struct lab_status *status, struct error **err)
{
	const struct lab *lab = s->lab;
	bool same = true, published = true;
	int r = net_namespace_exists(s->net) ? net_check_rules(s->net, &same, err) : 0;

	if (r == 0 && net_namespace_exists(s->net))
		r = net_check_publish(s->net, &published, err);
	status->publish_missing = !published;
	status->isolation = s->isolation;
	for (size_t i = 0; i < lab->guest_count && r == 0; i++) {
		const struct guest *first = host_guest_towards(lab->root, lab->guests[i]);

		if (!same)
			status->guests[i].not_in_force = *lab->root->path ? lab->root->path : "L0";
		else if (first != lab->guests[i] && status->guests[first->index].state == GUEST_RUNNING &&
			 !isolate_is_confirmed(&s->folders, first, s->isolation))
			status->guests[i].not_in_force = first->path;
	}
	return r;
}

int session_status(struct session *session, struct lab_status *ret, struct error **err)
{
	const struct lab *lab = session->lab;
	const json_t *host = state_get(session->state, "host");
	char name[256] = "";

	gethostname(name, sizeof(name) - 1);
	*ret = (struct lab_status){.lab = lab, .hostname = arena_strdup(session->arena, name)};
	ret->guests = arena_alloc(session->arena, (lab->guest_count ? lab->guest_count : 1) * sizeof(*ret->guests));
	ret->interrupted = state_interrupted(session->state);
	ret->accelerator = json_get_string(host, "accel", NULL);
	ret->accelerator_why = json_get_string(host, "why", NULL);
	for (size_t i = 0; i < lab->root->guest_count; i++) {
		const struct guest *guest = lab->root->guests[i];

		look_direct(session, guest, &ret->guests[guest->index]);
		if (guest->host && guest->host->guest_count)
			look_below(session, guest, ret);
	}
	return look_at_network(session, ret, err);
}
