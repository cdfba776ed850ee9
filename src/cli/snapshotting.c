#include "cli/snapshotting.h"

#include "apply/into.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/target.h"

#include <errno.h>
#include <string.h>

enum { TIMEOUT_MS = 1800000 };

json_t *snapshotting_json(const struct snapshot *snapshot)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:b, s:I, s:s?, s:s?}", "guest", snapshot->guest, "name",
			 snapshot->name, "description", snapshot->description, "time", (json_int_t)snapshot->time,
			 "disk", snapshot->disk != NULL, "memory", snapshot->memory, "variables", snapshot->variables,
			 "tpm", snapshot->tpm, "size", (json_int_t)snapshot->size, "qemu", snapshot->qemu, "damage",
			 snapshot->damage);
}

const char *snapshotting_parts(struct arena *arena, const json_t *snapshot)
{
	static const char *const parts[][2] = {
		{"disk", "disk"}, {"memory", "memory"}, {"variables", "UEFI variables"}, {"tpm", "TPM"}};
	const char *text = "";

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (json_is_true(json_object_get(snapshot, parts[i][0])))
			text = arena_printf(arena, "%s%s%s", text, *text ? ", " : "", parts[i][1]);
	return text;
}

void snapshotting_warn(struct invocation *inv, const struct session *session)
{
	const struct host *root = session->lab->root;

	for (size_t i = 0; i < root->guest_count; i++) {
		const char *what = snapshot_interrupted(session->arena, &session->folders, root->guests[i]);

		if (what)
			invocation_warn(inv, "%s: \"%s\" goes on, or was interrupted: nestvisor up finishes it",
					root->guests[i]->path, what);
	}
}

int snapshotting_ask(struct snapshotting *s, const struct guest *guest, const char *command,
		     const char *const options[], const char *const argv[], const char *key, json_t **ret,
		     struct error **err)
{
	cleanup_transport struct transport *t = NULL;
	cleanup_output struct process_output output = {0};
	cleanup_json json_t *answer = NULL;
	struct folders folders;
	struct into_way way;
	int r = folders_of(s->arena, s->lab->name, &folders, err);

	if (r == 0)
		r = into_way(s->arena, s->lab, guest, command, options, argv, &way, err);
	if (r == 0)
		r = into_open(s->arena, &folders, s->lab, way.first, s->inv->cancel, &t, err);
	if (r == 0)
		r = transport_run(t, way.argv, NULL, 0, TIMEOUT_MS, s->inv->cancel, &output, err);
	if (r < 0)
		return r;
	if (json_parse(output.out, output.out_length, "the answer of its host's nestvisor", &answer, NULL) == 0 &&
	    json_is_array(json_object_get(answer, key))) {
		*ret = json_incref(json_object_get(answer, key));
		return 0;
	}
	r = error_set(err, EIO, "%s",
		      json_get_string(json_object_get(answer, "error"), "message",
				      output.err_length ? output.err : "its host's nestvisor said nothing"));
	if (json_get_string(json_object_get(answer, "error"), "hint", NULL))
		error_hint(err, "%s", json_get_string(json_object_get(answer, "error"), "hint", NULL));
	return r;
}

static int open_session(struct snapshotting *s, struct error **err)
{
	int r;

	if (s->session.arena)
		return 0;
	r = session_open(s->lab, SESSION_CHANGE, s->inv->command->name, s->inv->reporter, s->inv->cancel, &s->session,
			 err);
	return r < 0 ? r : snapshot_recover(&s->session, err);
}

static int one(struct snapshotting *s, const struct guest *guest, const char *name, const char *key,
	       const char *const options[], snapshotting_act *act, struct error **err)
{
	const char *const argv[] = {name, NULL};
	cleanup_json json_t *answer = NULL;
	int r;

	if (guest->parent != s->lab->root || guest->machine) {
		r = snapshotting_ask(s, guest, s->inv->command->name, options, argv, key, &answer, err);
		if (r == 0)
			json_array_extend(s->answers, answer);
		return r < 0 ? error_wrap(err, "%s", guest->path) : 0;
	}
	r = open_session(s, err);
	if (r == 0)
		r = act(s, guest, name, &answer, err);
	if (r == 0)
		json_array_append(s->answers, answer);
	return r;
}

static int all(struct snapshotting *s, const char *name, const char *key, const char *const options[],
	       snapshotting_act *act)
{
	for (size_t i = 0; i < s->lab->guest_count; i++) {
		const struct guest *guest = s->lab->guests[i];
		cleanup_error struct error *err = NULL;

		if (guest->host) {
			invocation_note(s->inv,
					"%s is left out: it has guests or networks of its own, and snapshots "
					"of whole stacks are not there yet",
					guest->path);
			continue;
		}
		if (one(s, guest, name, key, options, act, &err) == 0)
			continue;
		if (err->code == ECANCELED)
			return invocation_fail(s->inv, &err);
		s->failed = true;
		invocation_warn(s->inv, "%s", err->message);
	}
	return s->failed ? EXIT_FAILED : EXIT_DONE;
}

int snapshotting_run(struct snapshotting *s, const char *name, const char *key, const char *const options[],
		     snapshotting_act *act)
{
	const struct guest *guest;
	cleanup_error struct error *err = NULL;
	int status = target_lab(s->inv, NULL, &s->lab);

	s->arena = arena_new();
	s->answers = json_array();
	if (status != EXIT_DONE)
		return status;
	if (snapshot_check_name(name, &err) < 0)
		return invocation_fail_as(s->inv, EXIT_USAGE, &err);
	if (invocation_flag(s->inv, "all"))
		return all(s, name, key, options, act);
	status = target_guest(s->inv, s->lab, invocation_operand(s->inv, 0), &guest);
	if (status == EXIT_DONE && one(s, guest, name, key, options, act, &err) < 0)
		status = invocation_fail(s->inv, &err);
	return status;
}

void snapshotting_end(struct snapshotting *s)
{
	session_close(&s->session);
	json_decref(s->answers);
	lab_free(s->lab);
	arena_free(s->arena);
}
