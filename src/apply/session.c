#include "apply/session.h"

#include "apply/adopted.h"
#include "apply/isolate.h"
#include "apply/machines.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "config/config.h"
#include "net/net.h"

#include <string.h>
#include <unistd.h>

/* That it does not answer is no reason to know nothing else. */
static void look_at_libvirt(struct session *s)
{
	struct libvirt_adopted *adopted = arena_new_struct(s->arena, struct libvirt_adopted);
	cleanup_error struct error *problem = NULL;

	if (adopted_prepare(s->arena, s->lab, s->net, adopted, &problem) == 0) {
		s->adopted = adopted;
		if (s->lock >= 0)
			adopted_note(s->arena, &s->folders, adopted);
	} else {
		s->adopted_problem = arena_strdup(s->arena, problem->message);
	}
}

int session_open(const struct lab *lab, enum session_mode mode, const char *what, struct reporter *reporter,
		 struct cancel *cancel, struct session *ret, struct error **err)
{
	struct session s = {.arena = arena_new(), .lab = lab, .reporter = reporter, .cancel = cancel, .lock = -1};
	int r = folders_of(s.arena, lab->name, &s.folders, err);

	if (r == 0 && mode != SESSION_LOOK)
		r = folders_lock(&s.folders, what, mode == SESSION_CHANGE ? -1 : 0, reporter, cancel, &s.lock, err);
	if (r == 0)
		r = state_open(s.folders.run, &s.state, err);
	if (r == 0)
		r = machines_recall(&s.folders, s.state, err);
	if (r == 0)
		r = isolate_load(&s.folders, lab, &s.isolation, err);
	if (r == 0)
		r = net_open(lab, s.folders.run, &s.net, err);
	if (r == 0)
		net_set_isolation(s.net, s.isolation);
	if (r == 0 && lab->adopted)
		look_at_libvirt(&s);
	if (r < 0) {
		session_close(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void session_close(struct session *session)
{
	if (!session->arena)
		return;
	net_close(session->net);
	isolation_free(session->isolation);
	state_close(session->state);
	if (session->lock >= 0)
		close(session->lock);
	arena_free(session->arena);
	*session = (struct session){.lock = -1};
}

static const bool *find_lags(struct session *session)
{
	bool *lags = arena_alloc(session->arena, lab_index_count(session->lab) + 1);

	for (size_t i = 0; i < session->lab->root->guest_count; i++) {
		const struct guest *guest = session->lab->root->guests[i];

		lags[guest->index] = guest->host && !guest->machine &&
				     !isolate_is_confirmed(&session->folders, guest, session->isolation);
	}
	for (size_t i = 0; i < session->lab->machine_count; i++) {
		const struct guest *guest = session->lab->machines[i]->guest;

		lags[guest->index] = !isolate_is_confirmed(&session->folders, guest, session->isolation);
	}
	return lags;
}

/* What is not known is not said to be as it was. */
static void tell_unknown_drift(struct session *session, const struct lab_status *status)
{
	for (size_t i = 0; i < session->lab->guest_count; i++) {
		session->unsure |= status->guests[i].state == GUEST_UNKNOWN;
		if (!status->guests[i].drift.unknown)
			continue;
		session->unsure = true;
		report(session->reporter, REPORT_WARNING, session->lab->guests[i]->path,
		       "whether somebody else has changed it is not known: %s", status->guests[i].drift.unknown);
	}
}

/* What a machine that does not answer runs is not said to be as it should be. */
static void tell_silent_machines(struct session *session, const struct lab_status *status)
{
	for (size_t i = 0; i < session->lab->machine_count; i++) {
		const struct guest *guest = session->lab->machines[i]->guest;

		if (!status->guests[guest->index].note)
			continue;
		session->unsure = true;
		report(session->reporter, REPORT_WARNING, guest->path, "what it runs is not known: %s",
		       status->guests[guest->index].note);
	}
}

struct lab *session_applied(const struct session *session)
{
	cleanup_problems struct problems problems = {};
	struct lab *applied = NULL;

	if (!file_exists(session->folders.lab_file) ||
	    config_load(session->folders.lab_file, NULL, &problems, &applied, NULL) < 0)
		return NULL;
	return applied;
}

/* What each machine is to be told. */
static const char *const *digest_parts(struct session *session)
{
	const struct lab *lab = session->lab;
	const char **parts = arena_alloc(session->arena, (lab->machine_count + 1) * sizeof(*parts));

	for (size_t i = 0; i < lab->machine_count; i++)
		parts[i] = machines_part_digest(session->arena, lab, lab->machines[i]);
	return parts;
}

int session_plan(struct session *session, struct plan *ret, struct error **err)
{
	struct lab_status status;
	struct net_actual seen = {0};
	cleanup_lab struct lab *applied = session_applied(session);
	struct plan_actual actual;
	int r = session_status(session, &status, err);

	if (r == 0)
		r = net_look(session->net, &seen, err);
	if (r < 0)
		return r;
	tell_unknown_drift(session, &status);
	tell_silent_machines(session, &status);
	actual = (struct plan_actual){.status = &status,
				      .namespace_exists = seen.namespace_exists,
				      .uplink_exists = seen.uplink_exists,
				      .interfaces = (const char(*)[INTERFACE_NAME_SIZE])seen.interfaces,
				      .interface_count = seen.interface_count};
	actual.applied = applied;
	actual.machine_parts = digest_parts(session);
	actual.isolation_lags = find_lags(session);
	actual.rules_same = seen.namespace_exists && !(status.changed & HOST_RULES);
	actual.uplink_differs = status.changed & HOST_UPLINK;
	actual.routes_differ = status.changed & HOST_ROUTES;
	actual.sysctls_differ = status.changed & HOST_SYSCTLS;
	/* Without a namespace the status does not ask; what is to be made is asked for all the same. */
	actual.publish_same = !(status.changed & HOST_PUBLISH);
	if (!seen.namespace_exists)
		r = net_check_publish(session->net, &actual.publish_same, err);
	if (r == 0)
		r = plan_build(session->lab, session->state, &actual, ret, err);
	net_actual_free(&seen);
	return r;
}
