#include "apply/part.h"

#include "apply/into.h"
#include "apply/isolate.h"
#include "apply/machines.h"
#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "config/config.h"
#include "image/unattend.h"
#include "plan/spec.h"

#include <errno.h>
#include <string.h>

static void add_id(json_t *to, const char *key, const json_t *carried, const char *image)
{
	json_t *id = json_object_get(carried, image);

	if (id)
		json_object_set(to, key, id);
}

/* Tells each guest of a part under which ids its host finds its images: those that the host was handed when it
 * started. */
static void add_image_ids(json_t *guests, const json_t *carried)
{
	const char *name;
	json_t *guest;

	json_object_foreach (guests, name, guest) {
		json_t *install = json_object_get(guest, "install");

		add_id(guest, "image-id", carried,
		       json_get_string(install ? install : guest, install ? "iso" : "image", ""));
		if (install)
			add_id(install, "virtio-id", carried, json_get_string(install, "virtio", ""));
		add_image_ids(json_object_get(guest, "guests"), carried);
	}
}

/* The passwords of accounts that are made below: their files are here. */
static int add_passwords(json_t *guests, struct error **err)
{
	const char *name;
	json_t *guest;
	int r = 0;

	json_object_foreach (guests, name, guest) {
		json_t *install = json_object_get(guest, "install");
		cleanup_free char *password = NULL;

		if (install && !json_object_get(install, "password")) {
			r = unattend_read_password(json_get_string(install, "password-file", ""), &password, err);
			if (r == 0)
				json_object_set_new(install, "password", json_string(password));
		}
		if (r == 0)
			r = add_passwords(json_object_get(guest, "guests"), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_below_guest(const char *key, const char *parent)
{
	const char *path = strchr(key, ':');
	size_t length = strlen(parent);

	return path && strncmp(path + 1, parent, length) == 0 && path[1 + length] == '/';
}

/* What a further machine of L0 answers for: its guests, and all below them. Its networks are the home's as well. */
static bool is_of_machine(const char *key, const json_t *value, const struct guest *machine)
{
	bool of_guest = strncmp(key, "guest:", 6) == 0 || (strncmp(key, "network:", 8) == 0 && strchr(key, '/'));

	return of_guest && (!value || strcmp(json_get_string(value, "machine", ""), machine->path) == 0);
}

/* Whether a guest, or the host of a network, is one that the lab has there. */
static bool is_on(const struct session *s, const char *key, const struct guest *machine)
{
	cleanup_free char *path = strdup(strchr(key, ':') + 1);
	const struct guest *guest;

	if (!path)
		abort();
	if (strncmp(key, "network:", 8) == 0)
		*strrchr(path, '/') = '\0';
	guest = lab_find_guest(s->lab, path);
	return guest && host_has(machine->host, guest);
}

static int take_from_machine(struct session *s, const struct guest *machine, const json_t *resources,
			     struct error **err)
{
	cleanup_json json_t *known = state_resources(s->state);
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach (known, key, value)
		if (r == 0 && is_of_machine(key, value, machine) && !json_object_get(resources, key))
			r = state_put(s->state, key, NULL, err);
	json_object_foreach ((json_t *)(uintptr_t)resources, key, value) {
		cleanup_json json_t *own = NULL;

		const json_t *before = json_object_get(known, key);

		if (r < 0 || !is_of_machine(key, NULL, machine) || !json_is_object(value))
			continue;
		/* It does not speak for guests that others have. */
		if (!is_on(s, key, machine) && !(before && is_of_machine(key, before, machine)))
			continue;
		own = json_copy(value);
		json_object_set_new(own, "machine", json_string(machine->path));
		r = state_put(s->state, key, own, err);
	}
	return r;
}

static int forget(struct session *s, const char *path, const json_t *but, struct error **err)
{
	cleanup_json json_t *known = state_resources(s->state);
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach (known, key, value)
		if (r == 0 && is_below_guest(key, path) && !json_object_get(but, key))
			r = state_put(s->state, key, NULL, err);
	return r;
}

int part_forget(struct session *session, const char *path, struct error **err)
{
	return forget(session, path, NULL, err);
}

/* Takes over what the host answered, in place of all that was known below it. */
static int take_resources(struct session *s, const struct guest *guest, const json_t *resources, struct error **err)
{
	const char *key;
	json_t *value;
	int r = forget(s, guest->path, resources, err);

	json_object_foreach ((json_t *)(uintptr_t)resources, key, value)
		if (r == 0 && is_below_guest(key, guest->path))
			r = state_put(s->state, key, value, err);
	return r;
}

static int take_answer(struct session *s, const struct guest *guest, const struct process_output *output,
		       struct error **err)
{
	cleanup_json json_t *answer = NULL;
	const json_t *problem;
	int r = json_parse(output->out, output->out_length, "the answer of its nestvisor", &answer, err);

	if (r < 0 && guest_is_machine(guest)) {
		error_freep(err);
		return machines_fail(guest->machine, output->status, output->err, err);
	}
	if (r < 0)
		return error_set(err, EIO, "its nestvisor ended with status %d: %s%s", output->status, output->err,
				 output->out);
	if (json_is_object(json_object_get(answer, "resources")))
		r = guest_is_machine(guest) ? take_from_machine(s, guest, json_object_get(answer, "resources"), err)
					    : take_resources(s, guest, json_object_get(answer, "resources"), err);
	problem = json_object_get(answer, "error");
	if (r == 0 && json_is_object(problem)) {
		r = error_set(err, EIO, "%s", json_get_string(problem, "message", "it failed without a word"));
		if (json_get_string(problem, "hint", NULL))
			error_hint(err, "%s", json_get_string(problem, "hint", NULL));
	}
	return r;
}

int part_run(struct session *s, const struct guest *guest, struct error **err)
{
	const char *argv[] = {"nestvisor", "apply", "--json", "-", NULL, NULL, NULL};
	size_t argc = 4;
	cleanup_arena struct arena *arena = arena_new();
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	cleanup_json json_t *part = config_part(s->lab, guest->host), *said = NULL;
	cleanup_isolation struct isolation *isolation = NULL;
	cleanup_free char *text = NULL, *said_text = NULL;
	int r = isolate_load(&s->folders, s->lab, &isolation, err);

	if (r < 0)
		return r;
	if (s->overwrite)
		argv[argc++] = "--overwrite";
	if (s->discard_snapshots)
		argv[argc++] = "--discard-snapshots";
	said = isolate_part(isolation, guest);
	said_text = json_text(said);
	json_object_set_new(part, "isolation", json_string(said_text));
	if (guest_is_machine(guest))
		json_object_set_new(part, "home", json_string(machines_this(arena)));
	add_image_ids(json_object_get(part, "guests"),
		      json_object_get(state_get(s->state, resource_key(arena, "guest", guest->path)), "carried"));
	r = add_passwords(json_object_get(part, "guests"), err);
	if (r < 0)
		return r;
	text = json_text(part);
	r = into_open(arena, &s->folders, s->lab, guest, s->cancel, &t, err);
	if (r == 0)
		r = transport_run(t, argv, text, strlen(text), -1, s->cancel, &output, err);
	if (r == 0)
		r = take_answer(s, guest, &output, err);
	return r < 0 ? r : isolate_confirm(&s->folders, guest, isolation, err);
}

bool part_lags(const struct session *s, const struct guest *guest)
{
	cleanup_isolation struct isolation *isolation = NULL;

	return isolate_load(&s->folders, s->lab, &isolation, NULL) < 0 ||
	       !isolate_is_confirmed(&s->folders, guest, isolation);
}
