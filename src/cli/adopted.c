#include "cli/adopted.h"

#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "config/config.h"
#include "doctor/adopt.h"
#include "driver/libvirt_adopted.h"
#include "driver/libvirt_list.h"
#include "plan/spec.h"

#include <errno.h>
#include <string.h>

/* What a lab file says of a guest beside what the domain is. */
static const char *const of_the_file[] = {"world", "publish", "tags", "transport", "ssh", "seed", "driver", "carries"};

struct comparison {
	struct arena *arena;
	struct plan_change *changes;
	size_t count;
};

static void add(struct comparison *c, enum plan_action action, const char *what, const char *path, const char *why)
{
	*arena_push(c->arena, c->changes, c->count) =
		(struct plan_change){action, what, arena_strdup(c->arena, path), arena_strdup(c->arena, why)};
}

/* Networks by libvirt's names: in the file they may be called as one likes. */
static json_t *domain_spec(const struct lab *lab, const struct guest *guest)
{
	json_t *spec = spec_guest(lab, guest), *nics = json_object_get(spec, "nics");

	for (size_t i = 0; i < sizeof(of_the_file) / sizeof(*of_the_file); i++)
		json_object_del(spec, of_the_file[i]);
	for (size_t i = 0; i < guest->nic_count; i++)
		json_object_set_new(json_array_get(nics, i), "network", json_string(guest->nics[i].network->adopted));
	return spec;
}

static void compare(struct comparison *c, const char *what, const char *path, const json_t *wanted, const json_t *there)
{
	cleanup_strbuf struct strbuf why = {0};
	struct spec_difference difference;

	if (spec_differs(wanted, there, &difference, &why))
		add(c, PLAN_CHANGE, what, path, arena_printf(c->arena, "libvirt's is another now: %s", why.text));
}

static void compare_networks(struct comparison *c, const struct lab *lab, const struct lab *now)
{
	for (size_t i = 0; i < lab->root->network_count; i++) {
		const struct network *network = lab->root->networks[i], *found = NULL;
		cleanup_json json_t *wanted = spec_network(network), *there = NULL;

		for (size_t j = 0; now && j < now->root->network_count && !found; j++)
			if (strcmp(now->root->networks[j]->adopted, network->adopted) == 0)
				found = now->root->networks[j];
		there = found ? spec_network(found) : NULL;
		if (found)
			compare(c, "network", network->path, wanted, there);
		else
			add(c, PLAN_REMOVE, "network", network->path,
			    "libvirt has no such network any more, or none that can be adopted");
	}
}

static void compare_guests(struct comparison *c, const struct lab *lab, const struct lab *now)
{
	for (size_t i = 0; i < lab->root->guest_count; i++) {
		const struct guest *guest = lab->root->guests[i], *found = NULL;
		cleanup_json json_t *wanted = domain_spec(lab, guest), *there = NULL;

		for (size_t j = 0; now && j < now->root->guest_count && !found; j++)
			if (strcmp(now->root->guests[j]->adopted, guest->adopted) == 0)
				found = now->root->guests[j];
		there = found ? domain_spec(now, found) : NULL;
		if (found)
			compare(c, "guest", guest->path, wanted, there);
		else
			add(c, PLAN_REMOVE, "guest", guest->path,
			    "libvirt has no such domain any more, or none that can be adopted");
	}
}

/* *ret NULL: libvirt has nothing at all. */
static int adopt_again(const struct lab *lab, struct arena *arena, struct lab **ret, struct error **err)
{
	cleanup_problems struct problems problems = {};
	struct document *documents;
	struct adoption adoption;
	size_t count;
	int r = libvirt_list(lab->adopted, arena, &documents, &count, err);

	*ret = NULL;
	if (r == 0 && count == 0)
		return 0;
	if (r == 0)
		r = adopt_lab_file(arena, documents, count, lab->name, lab->adopted, lab->adopted, &adoption, err);
	if (r < 0)
		return r;
	r = config_load_text("what libvirt has", adoption.text, strlen(adoption.text), NULL, &problems, ret, err);
	if (r < 0 && problems.errors)
		r = error_set(err, EIO, "what libvirt has cannot be compared: %s", problems.items[0].message);
	return r;
}

int adopted_changes(const struct lab *lab, struct session *session, struct arena *arena, struct plan_change **ret,
		    size_t *ret_count, struct error **err)
{
	struct comparison c = {.arena = arena};
	cleanup_lab struct lab *now = NULL;
	cleanup_lab struct lab *applied = session_applied(session);
	struct plan_change policy;
	struct lab_status status;
	int r = adopt_again(lab, arena, &now, err);

	if (r == 0)
		r = session_status(session, &status, err);
	if (r < 0)
		return r;
	compare_networks(&c, lab, now);
	compare_guests(&c, lab, now);
	if (status.changed & HOST_RULES)
		add(&c, PLAN_CHANGE, "rules", "", "who is cut or sealed is not in force as it was said");
	if (plan_policy(arena, lab, applied, &policy))
		*arena_push(arena, c.changes, c.count) = policy;
	*ret = c.changes;
	*ret_count = c.count;
	return 0;
}

void adopted_attach(struct lab *lab)
{
	cleanup_arena struct arena *arena = arena_new();
	struct libvirt_adopted adopted;

	if (lab->adopted && libvirt_adopted_look(lab, arena, &adopted, NULL) == 0)
		libvirt_adopted_attach(lab, &adopted);
}
