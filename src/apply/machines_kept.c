/*
 * What of the machines of a lab outlasts a reboot: guests elsewhere run on while the home's /run is gone, and disks
 * stay where they are. It is in /var/lib/nestvisor/<lab>/hosts.json at home: the lab as applied, thus where each guest
 * is, and what the state (plan/state.h) knows of the machines and of what is on them.
 */
#include "apply/machines.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "config/config.h"
#include "plan/state.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#define HOSTS_SCHEMA "nestvisor/hosts/1"

enum { KEPT_LIMIT = 64 << 20 };

/* ─── who is who ─── */

bool machines_same(const char *one, const char *other)
{
	const char *id = strrchr(one, ' '), *other_id = strrchr(other, ' ');

	/* The name in front of it may change, by DHCP for one. */
	if (id && other_id && id[1] && other_id[1])
		return strcmp(id, other_id) == 0;
	return strcmp(one, other) == 0;
}

int machines_load_kept(const char *lab, const char *name, const json_t *kept, struct lab **ret, struct error **err)
{
	cleanup_json json_t *file =
		json_pack("{s:s, s:{s:O}}", "lab", lab, "hosts", name, json_object_get(kept, "host"));
	cleanup_problems struct problems problems = {};
	cleanup_free char *text = file ? json_text(file) : NULL;

	if (!text)
		return error_set(err, EINVAL, "how to reach %s is not known any more", name);
	return config_load_text("state", text, strlen(text), NULL, &problems, ret, err);
}

/* ─── at home: hosts.json ─── */

static const char *hosts_file(struct arena *arena, const struct folders *folders)
{
	return arena_printf(arena, "%s/hosts.json", folders->state);
}

static bool is_elsewhere(const char *key, const json_t *value)
{
	return strncmp(key, "machine:", 8) == 0 || json_get_string(value, "machine", NULL);
}

int machines_keep(const struct folders *folders, const json_t *lab, const json_t *resources, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_json json_t *elsewhere = json_object(), *json = NULL;
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)resources, key, value)
		if (is_elsewhere(key, value))
			json_object_set(elsewhere, key, value);
	if (!json_object_size(elsewhere) && !json_object_size(json_object_get(lab, "hosts")))
		return dir_remove(hosts_file(arena, folders), err);
	json = json_pack("{s:s, s:O, s:O}", "schema", HOSTS_SCHEMA, "lab", lab, "resources", elsewhere);
	return json_write_file_in_order(hosts_file(arena, folders), json, err);
}

static int read_hosts(const struct folders *folders, json_t **ret, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *problem = NULL;
	cleanup_json json_t *json = NULL;
	const char *file = hosts_file(arena, folders);
	int r;

	*ret = NULL;
	if (file_exists(folders->lab_file)) /* the machine has not been down since: the state knows more */
		return 0;
	r = json_read_file(file, KEPT_LIMIT, &json, &problem);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && (strcmp(json_get_string(json, "schema", ""), HOSTS_SCHEMA) != 0 ||
		       !json_is_object(json_object_get(json, "resources"))))
		r = error_set(&problem, EBADMSG, "%s was not written by this version of nestvisor", file);
	if (r < 0) {
		error_hint(&problem,
			   "it says which hosts have parts of the lab; without it nestvisor down %s is to be "
			   "given on each of them, too",
			   folders->lab);
		return error_move(err, &problem);
	}
	*ret = json_incref(json);
	return 0;
}

int machines_recall(const struct folders *folders, struct state *state, struct error **err)
{
	cleanup_json json_t *json = NULL;
	const char *key;
	json_t *value;
	int r = read_hosts(folders, &json, err);

	json_object_foreach (json_object_get(json, "resources"), key, value)
		if (!state_get(state, key))
			state_recall(state, key, value);
	return r;
}

int machines_load_hosts(const struct folders *folders, struct lab **ret, struct error **err)
{
	cleanup_problems struct problems problems = {};
	cleanup_json json_t *json = NULL;
	cleanup_free char *text = NULL;
	int r = read_hosts(folders, &json, err);

	*ret = NULL;
	if (r < 0 || !json)
		return r;
	text = json_text(json_object_get(json, "lab"));
	return config_load_text("hosts.json", text, strlen(text), NULL, &problems, ret, err);
}

int machines_stay(const struct folders *folders, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_json json_t *json = NULL, *none = json_object();

	if (json_read_file(hosts_file(arena, folders), KEPT_LIMIT, &json, NULL) < 0)
		return 0;
	json_object_set(json, "resources", none);
	return json_write_file_in_order(hosts_file(arena, folders), json, err);
}
