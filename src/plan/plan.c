/*
 * The planner walks the lab once. For every resource it compares what the state remembers with what the lab says and
 * with what is alive, which gives at most one change; changes on this host give steps at once, changes below one of its
 * guests make that guest's "part" step necessary. The network steps that follow from the whole (rules, routes) come
 * last, when it is known whether anything changed.
 *
 * Order, as dependencies between steps:
 *
 *   namespace ─┬─ network ─┬─ dhcp               stop ── remove disk ──┐
 *              └─ rules ───┤                     image ────────────────┤
 *                          ├───────── (probe) ───────────────────── start ── ready ── part
 *                          └─ uplink ── publish
 */
#include "plan/plan.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "plan/spec.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NO_STEP SIZE_MAX

struct builder {
	const struct lab *lab;
	struct state *state;
	const struct plan_actual *actual;
	struct plan *plan;
	size_t namespace, uplink, publish, rules, probe; /* indexes of these steps, or NO_STEP */
};

const char *resource_key(struct arena *arena, const char *what, const char *path)
{
	return arena_printf(arena, "%s:%s", what, path);
}

static void add_change(struct builder *b, enum plan_action verb, const char *what, const char *path, const char *why)
{
	struct plan_change *change = arena_push(b->plan->arena, b->plan->changes, b->plan->change_count);

	*change = (struct plan_change){.action = verb,
				       .what = what,
				       .path = arena_strdup(b->plan->arena, path),
				       .why = arena_strdup(b->plan->arena, why)};
}

static const char *step_words(enum step_kind kind)
{
	switch (kind) {
	case STEP_NAMESPACE:
		return "namespace";
	case STEP_UPLINK:
		return "uplink";
	case STEP_PUBLISH:
		return "publish";
	case STEP_NETWORK:
		return "network";
	case STEP_RULES:
		return "rules";
	case STEP_ROUTES:
		return "routes";
	case STEP_DHCP:
		return "dhcp";
	case STEP_REMOVE_NETWORK:
		return "remove network";
	case STEP_PROBE:
		return "accelerator";
	case STEP_IMAGE:
		return "image";
	case STEP_STOP:
		return "stop";
	case STEP_RESTORE:
		return "restore";
	case STEP_REMOVE_DISK:
		return "remove disk";
	case STEP_START:
		return "start";
	case STEP_READY:
		return "ready";
	case STEP_PART:
		return "part";
	case STEP_LEAVE:
		return "leave";
	case STEP_RECORD:
		return "record";
	}
	return "?";
}

/* path: what the step is about, or NULL; it becomes part of the step's id. */
static size_t add_step(struct builder *b, enum step_kind kind, const char *path, const char *name)
{
	struct arena *arena = b->plan->arena;
	struct step *step = arena_push(arena, b->plan->steps, b->plan->step_count);
	const char *subject = path ? path : name;

	*step = (struct step){.kind = kind};
	step->path = path ? arena_strdup(arena, path) : NULL;
	step->name = name ? arena_strdup(arena, name) : NULL;
	step->id = subject ? arena_printf(arena, "%s %s", step_words(kind), subject) : step_words(kind);
	return b->plan->step_count - 1;
}

static void add_after(struct builder *b, size_t step, size_t earlier)
{
	struct step *s;

	if (step == NO_STEP || earlier == NO_STEP)
		return;
	s = &b->plan->steps[step];
	*arena_push(b->plan->arena, s->after, s->after_count) = earlier;
}

static size_t find_step(const struct builder *b, enum step_kind kind, const char *subject)
{
	for (size_t i = 0; i < b->plan->step_count; i++) {
		const struct step *step = &b->plan->steps[i];
		const char *is = step->path ? step->path : step->name;

		if (step->kind == kind && is && strcmp(is, subject) == 0)
			return i;
	}
	return NO_STEP;
}

static bool has_interface(const struct builder *b, const char *name)
{
	for (size_t i = 0; i < b->actual->interface_count; i++)
		if (strcmp(b->actual->interfaces[i], name) == 0)
			return true;
	return false;
}

/*
 * One network compared with the state. `there`: its bridge was seen (or cannot be seen from here). `above`: the reason
 * when everything on its host is made anew. Returns whether something is to be done.
 */
static bool compare_network(struct builder *b, const struct network *network, bool there, const char *above)
{
	json_t *before = state_get(b->state, resource_key(b->plan->arena, "network", network->path));
	cleanup_json json_t *spec = spec_network(network);
	cleanup_strbuf struct strbuf why = {0};
	struct spec_difference difference;

	if (!before || !there || above || json_is_true(json_object_get(before, "pending"))) {
		add_change(b, PLAN_CREATE, "network", network->path,
			   above     ? above
			   : !before ? "it is new"
			   : !there  ? "its bridge, or an address of it, is gone"
				     : "making it was interrupted");
		return true;
	}
	if (!spec_differs(json_object_get(before, "spec"), spec, &difference, &why))
		return false;
	add_change(b, PLAN_CHANGE, "network", network->path, why.text);
	return true;
}

static void plan_network(struct builder *b, const struct network *network)
{
	size_t step, dhcp;

	if (!compare_network(b, network, has_interface(b, network->bridge), NULL))
		return;
	step = add_step(b, STEP_NETWORK, network->path, network->bridge);
	b->plan->steps[step].network = network;
	add_after(b, step, b->namespace);
	dhcp = add_step(b, STEP_DHCP, network->path, network->bridge);
	b->plan->steps[dhcp].network = network;
	add_after(b, dhcp, step);
	add_after(b, dhcp, b->uplink);
}

/* What is to be done about one guest: the verb, or false for nothing. */
struct verdict {
	bool act;
	enum plan_action verb;
	bool new_disk;
	bool only_finish; /* its machine runs; it has not answered yet */
	bool changes_spec;
	bool overwrites, restore;
};

/* Names what somebody else has changed and would be lost, and makes sure that it is. */
static void judge_drift(const struct guest_drift *drift, bool alive, struct verdict *v, struct strbuf *why)
{
	if (!drift->count)
		return;
	strbuf_printf(why, "%ssomebody else has changed it: ", v->act ? "; " : "");
	for (size_t i = 0; i < drift->count; i++)
		strbuf_printf(why, "%s%s", i ? "; " : "", drift->changes[i]);
	v->overwrites = true;
	v->restore = true;
	if (!v->act)
		v->verb = PLAN_CHANGE;
	v->act = true;
	if (alive && drift->of_machine && (v->verb == PLAN_CHANGE || v->only_finish)) {
		v->verb = PLAN_RESTART;
		v->only_finish = false;
	}
}

/* Whether a guest of L0 was on another machine until now. */
static bool moves(const struct guest *guest, const json_t *before)
{
	return guest->layer == 1 && before &&
	       strcmp(json_get_string(before, "machine", "L0"), guest_machine_name(guest)) != 0;
}

static struct verdict judge_guest_alone(struct builder *b, const struct guest *guest, const struct guest_status *status,
					const char *above, struct strbuf *why)
{
	json_t *before = state_get(b->state, resource_key(b->plan->arena, "guest", guest->path));
	cleanup_json json_t *spec = spec_guest(b->lab, guest);
	bool alive =
		status->state == GUEST_RUNNING || status->state == GUEST_STARTING || status->state == GUEST_UNKNOWN;
	struct verdict v = {.act = true, .verb = PLAN_CREATE};
	struct spec_difference difference;

	if (!before) {
		strbuf_add(why, "it is new");
		return v;
	}
	if (moves(guest, before)) {
		const char *was = json_get_string(before, "machine", "L0");

		v.verb = PLAN_RESTART;
		strbuf_printf(why, "it moves from %s to %s, where its disk is made anew", was,
			      guest_machine_name(guest));
		return v;
	}
	if (spec_differs(json_object_get(before, "spec"), spec, &difference, why)) {
		v.new_disk = difference.new_disk;
		v.verb = alive && !above ? difference.action : PLAN_CREATE;
		v.changes_spec = true;
	} else if (alive && !above) {
		v.only_finish = json_is_true(json_object_get(before, "pending"));
		v.act = v.only_finish;
		if (v.act)
			strbuf_add(why, "its start was interrupted");
		return v;
	}
	if (above)
		strbuf_printf(why, "%s%s", why->length ? "; " : "", above);
	else if (!alive)
		strbuf_printf(why, "%s%s", why->length ? "; " : "", status->note ? status->note : "it does not run");
	return v;
}

static struct verdict judge_guest(struct builder *b, const struct guest *guest, const struct guest_status *status,
				  const char *above, struct strbuf *why)
{
	bool alive = !above && (status->state == GUEST_RUNNING || status->state == GUEST_STARTING);
	struct verdict v = judge_guest_alone(b, guest, status, above, why);

	judge_drift(&status->drift, alive, &v, why);
	return v;
}

/* What somebody changed on a host that runs. Where the host starts anew, all of it is made anyway. */
static bool tell_changed(struct builder *b, const struct host *host, const char *above)
{
	unsigned changed = above ? 0 : b->actual->status->guests[host->guest->index].changed;

	for (unsigned i = 0; i < HOST_PART_COUNT; i++)
		if (changed & 1U << i)
			add_change(b, PLAN_CHANGE, host_part_name(i), host->guest->path, "somebody changed it there");
	return changed != 0;
}

static void add_guest_change(struct builder *b, const struct guest *guest, const struct verdict *v, const char *why)
{
	add_change(b, v->verb, "guest", guest->path, why);
	b->plan->changes[b->plan->change_count - 1].overwrites = v->overwrites;
	if (b->lab->machine_count)
		b->plan->changes[b->plan->change_count - 1].host =
			arena_strdup(b->plan->arena, guest_machine_name(guest));
}

/* The networks and guests below a guest of this host. Returns whether its own nestvisor has anything to do. */
static bool compare_below(struct builder *b, const struct host *host, const char *above)
{
	bool any = tell_changed(b, host, above);

	for (size_t i = 0; i < host->network_count; i++)
		any |= compare_network(b, host->networks[i], true, above);
	for (size_t i = 0; i < host->guest_count; i++) {
		const struct guest *guest = host->guests[i];
		const struct guest_status *status = &b->actual->status->guests[guest->index];
		cleanup_strbuf struct strbuf why = {0};
		struct verdict v = judge_guest(b, guest, status, above, &why);
		const char *inner = above;

		if (v.act) {
			add_guest_change(b, guest, &v, why.text);
			any = true;
		}
		any |= status->state == GUEST_UNKNOWN;
		if (!inner && v.act && v.verb != PLAN_CHANGE && !v.only_finish)
			inner = arena_printf(b->plan->arena, "%s starts anew", guest->path);
		if (guest->host)
			any |= compare_below(b, guest->host, inner);
	}
	return any;
}

static bool is_below(const char *path, const char *parent)
{
	size_t length = strlen(parent);

	if (length == 0)
		return true;
	return strncmp(path, parent, length) == 0 && path[length] == '/';
}

/* Whether a path names something directly at this program's host. */
static bool is_direct(const struct builder *b, const char *path)
{
	size_t length = strlen(b->lab->root->path);

	return is_below(path, b->lab->root->path) && !strchr(path + length + (length > 0), '/');
}

static size_t image_step(struct builder *b, const char *image)
{
	size_t step = find_step(b, STEP_IMAGE, image);

	return step == NO_STEP ? add_step(b, STEP_IMAGE, NULL, image) : step;
}

static void need_images(struct builder *b, const struct guest *guest, size_t start)
{
	const char *images[GUEST_IMAGES_MAX];
	size_t count = guest_images(guest, images);

	for (size_t i = 0; i < count; i++)
		add_after(b, start, image_step(b, images[i]));
}

static void need_images_below(struct builder *b, const struct host *host, size_t start)
{
	for (size_t i = 0; host && i < host->guest_count; i++) {
		need_images(b, host->guests[i], start);
		need_images_below(b, host->guests[i]->host, start);
	}
}

static size_t plan_start(struct builder *b, const struct guest *guest, size_t stop, bool new_disk)
{
	size_t start, image = image_step(b, guest->image);

	if (new_disk) {
		size_t disk = add_step(b, STEP_REMOVE_DISK, guest->path, guest->name);

		add_after(b, disk, stop);
		stop = disk;
	}
	if (b->probe == NO_STEP) {
		b->probe = add_step(b, STEP_PROBE, NULL, NULL);
		add_after(b, b->probe, image); /* the probe boots an image, too: one of them at a time, one error */
	}
	start = add_step(b, STEP_START, guest->path, guest->name);
	b->plan->steps[start].guest = guest;
	add_after(b, start, stop);
	need_images(b, guest, start);
	add_after(b, start, b->probe);
	add_after(b, start, b->namespace);
	add_after(b, start, b->rules);
	need_images_below(b, guest->host, start);
	for (size_t i = 0; i < guest->nic_count; i++)
		add_after(b, start, find_step(b, STEP_NETWORK, guest->nics[i].network->path));
	return start;
}

static size_t add_guest_step(struct builder *b, enum step_kind kind, const struct guest *guest, size_t after)
{
	size_t step = add_step(b, kind, guest->path, guest->name);

	b->plan->steps[step].guest = guest;
	add_after(b, step, after);
	return step;
}

/* A host that runs and has not heard what was said at run time of how far its guests may reach. */
static bool lags(struct builder *b, const struct guest *guest)
{
	if (!b->actual->isolation_lags || !b->actual->isolation_lags[guest->index] ||
	    b->actual->status->guests[guest->index].state != GUEST_RUNNING)
		return false;
	add_change(b, PLAN_CHANGE, "isolation", guest->path, "it has not heard who of its guests is cut or open");
	return true;
}

/* One that was here until now and goes to another machine: it is told with that machine's guests. */
static void plan_going(struct builder *b, const struct guest *guest)
{
	const json_t *before = state_get(b->state, resource_key(b->plan->arena, "guest", guest->path));
	size_t stop;

	if (!before || json_get_string(before, "machine", NULL))
		return;
	stop = add_step(b, STEP_STOP, guest->path, guest->name);
	add_after(b, add_step(b, STEP_REMOVE_DISK, guest->path, guest->name), stop);
}

/* Whether the machine is where a guest is to go away from; it must be gone there before it starts elsewhere. */
static bool loses_guests(struct builder *b, const char *machine)
{
	for (size_t i = 0; i < b->lab->root->guest_count; i++) {
		const struct guest *guest = b->lab->root->guests[i];
		const json_t *before = state_get(b->state, resource_key(b->plan->arena, "guest", guest->path));

		if (moves(guest, before) && strcmp(json_get_string(before, "machine", "L0"), machine) == 0)
			return true;
	}
	return false;
}

/*
 * A further machine of L0: its guests are compared as those below a guest are, and its part is its own nestvisor's to
 * carry out. What it is told besides (who else is on its networks, their tunnels) is compared as a whole.
 */
static void plan_machine(struct builder *b, const struct lab_machine *machine, bool again)
{
	const struct guest *guest = machine->guest;
	const json_t *before = state_get(b->state, resource_key(b->plan->arena, "machine", machine->name));
	bool pending = before && json_is_true(json_object_get(before, "pending"));
	bool told = before && b->actual->machine_parts &&
		    strcmp(json_get_string(before, "part", ""), b->actual->machine_parts[machine->index]) == 0;
	size_t changes = b->plan->change_count, step;
	bool any;

	if (!guest->host->guest_count && !before)
		return;
	any = compare_below(b, guest->host, NULL) | lags(b, guest) | again | pending;
	if (!guest->host->guest_count) {
		step = add_step(b, STEP_LEAVE, machine->name, NULL);
	} else if (any || !told) {
		step = add_guest_step(b, STEP_PART, guest, NO_STEP);
	} else {
		return;
	}
	if (!told && before && b->plan->change_count == changes)
		add_change(b, PLAN_CHANGE, "host", machine->name, "what it has to know of the lab is another");
	for (size_t i = 0; i < step; i++) {
		const struct step *s = &b->plan->steps[i];

		if (s->kind == STEP_NAMESPACE || s->kind == STEP_RULES || s->kind == STEP_NETWORK ||
		    s->kind == STEP_REMOVE_DISK)
			add_after(b, step, i);
	}
}

static bool is_machine_step(const struct step *step)
{
	return step->kind == STEP_LEAVE || (step->kind == STEP_PART && step->guest && guest_is_machine(step->guest));
}

/* What a guest leaves comes before what it goes to. Two machines that change guests with each other are both left
 * first, as far as that goes: one of the two finds an address taken for as long as it takes. */
static void put_moves_in_order(struct builder *b)
{
	for (size_t i = 0; i < b->plan->step_count; i++) {
		if (!is_machine_step(&b->plan->steps[i]) || !loses_guests(b, b->plan->steps[i].path))
			continue;
		for (size_t j = 0; j < b->plan->step_count; j++) {
			const struct step *other = &b->plan->steps[j];
			bool arrives = is_machine_step(other) && !loses_guests(b, other->path);

			if (arrives || (other->kind == STEP_START && !loses_guests(b, "L0")))
				add_after(b, j, i);
		}
	}
}

/* Machines that the file does not name any more. */
static void plan_leaving(struct builder *b)
{
	cleanup_json json_t *known = state_resources(b->state);
	const char *key;
	json_t *value;

	json_object_foreach (known, key, value)
		if (strncmp(key, "machine:", 8) == 0 && !lab_find_machine(b->lab, strchr(key, ':') + 1)) {
			add_change(b, PLAN_REMOVE, "host", strchr(key, ':') + 1,
				   "the lab file does not name it any more");
			add_step(b, STEP_LEAVE, strchr(key, ':') + 1, NULL);
		}
}

static void plan_guest(struct builder *b, const struct guest *guest)
{
	const struct guest_status *status = &b->actual->status->guests[guest->index];
	const char *key = resource_key(b->plan->arena, "guest", guest->path), *above = NULL;
	cleanup_strbuf struct strbuf why = {0};
	/* A QEMU outlives the name of its namespace, but its taps stay behind in there. */
	const char *lost =
		!b->actual->namespace_exists && status->state != GUEST_DEAD ? "the lab's namespace is gone" : NULL;
	struct verdict v = judge_guest(b, guest, status, lost, &why);
	size_t last = NO_STEP;
	bool starts = v.act && v.verb != PLAN_CHANGE && !v.only_finish;

	if (v.act)
		add_guest_change(b, guest, &v, why.text);
	if (starts) {
		const json_t *before = state_get(b->state, key);
		bool here = before && !json_get_string(before, "machine", NULL);
		size_t stop = here ? add_step(b, STEP_STOP, guest->path, guest->name) : NO_STEP;

		last = plan_start(b, guest, stop, v.new_disk);
		above = arena_printf(b->plan->arena, "%s starts anew", guest->path);
	} else {
		if (v.changes_spec)
			add_guest_step(b, STEP_RECORD, guest, NO_STEP);
		if (v.restore)
			add_guest_step(b, STEP_RESTORE, guest, NO_STEP);
	}
	if (starts || v.only_finish)
		last = add_guest_step(b, STEP_READY, guest, last);
	if (guest->host && (compare_below(b, guest->host, above) | lags(b, guest)))
		add_guest_step(b, STEP_PART, guest, last);
}

/* What the state knows and the lab does not: it goes. Deeper things go with the part step of the guest that leads
 * there. */
static void plan_removals(struct builder *b)
{
	cleanup_json json_t *known = state_resources(b->state);
	const char *key;
	json_t *value;

	json_object_foreach (known, key, value) {
		bool is_guest = strncmp(key, "guest:", 6) == 0, is_network = strncmp(key, "network:", 8) == 0;
		const char *path = strchr(key, ':') + 1;

		if (!is_guest && !is_network)
			continue;
		if (is_guest ? lab_find_guest(b->lab, path) != NULL : lab_find_network(b->lab, path) != NULL)
			continue;
		add_change(b, PLAN_REMOVE, is_guest ? "guest" : "network", path,
			   "the lab file does not name it any more");
		if (!is_direct(b, path)) {
			struct guest *towards = NULL;

			for (size_t i = 0; i < b->lab->root->guest_count && !towards; i++)
				if (is_below(path, b->lab->root->guests[i]->path))
					towards = b->lab->root->guests[i];
			/* Without a host's part of its own it starts anew, which takes along all below it. */
			if (towards && towards->machine) /* whose machine is told anew */
				continue;
			if (towards && towards->host && find_step(b, STEP_PART, towards->path) == NO_STEP)
				add_guest_step(b, STEP_PART, towards, find_step(b, STEP_READY, towards->path));
		} else if (is_guest && json_get_string(value, "machine", NULL)) {
			continue; /* its machine's part, or its leaving, takes it away */
		} else if (is_guest) {
			size_t stop = add_step(b, STEP_STOP, path, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
			size_t disk = add_step(b, STEP_REMOVE_DISK, path, b->plan->steps[stop].name);

			add_after(b, disk, stop);
		} else {
			add_step(b, STEP_REMOVE_NETWORK, path, json_get_string(value, "bridge", ""));
		}
	}
	for (size_t i = 0; i < b->plan->step_count; i++) /* a bridge goes after the taps on it */
		for (size_t j = 0; b->plan->steps[i].kind == STEP_REMOVE_NETWORK && j < b->plan->step_count; j++)
			if (b->plan->steps[j].kind == STEP_STOP)
				add_after(b, i, j);
}

/* dnsmasq gives fixed leases and names by guest, so it follows every change of guests, too. */
static void plan_dhcp(struct builder *b)
{
	for (size_t i = 0; i < b->lab->root->network_count; i++) {
		const struct network *network = b->lab->root->networks[i];
		size_t step;

		if ((!network->dhcp && !network->dns) || find_step(b, STEP_DHCP, network->path) != NO_STEP)
			continue;
		step = add_step(b, STEP_DHCP, network->path, network->bridge);
		b->plan->steps[step].network = network;
	}
}

static void plan_routes(struct builder *b)
{
	size_t routes = add_step(b, STEP_ROUTES, NULL, NULL);

	for (size_t i = 0; i < routes; i++)
		if (b->plan->steps[i].kind == STEP_NAMESPACE || b->plan->steps[i].kind == STEP_NETWORK ||
		    b->plan->steps[i].kind == STEP_UPLINK)
			add_after(b, routes, i);
}

/* Whether guests or networks are not what the lab says; then rules and routes follow them. */
static bool lab_changed(const struct plan *plan)
{
	for (size_t i = 0; i < plan->change_count; i++)
		if (strcmp(plan->changes[i].what, "guest") == 0 || strcmp(plan->changes[i].what, "network") == 0)
			return true;
	return false;
}

/* Where the lab is as it was, what belongs to the host itself is named, so that `plan` tells all that `up` does. */
static void tell_host_changes(struct builder *b, bool again)
{
	if (again)
		add_change(b, PLAN_CHANGE, "host", b->lab->root->path, "an earlier run did not end");
	else if (!b->actual->namespace_exists)
		add_change(b, PLAN_CREATE, "namespace", b->lab->root->path, "it is gone");
	if (again || !b->actual->namespace_exists)
		return;
	if (b->actual->sysctls_differ)
		add_change(b, PLAN_CHANGE, "sysctls", b->lab->root->path, "they are not those of the lab");
	if (b->uplink != NO_STEP)
		add_change(b, PLAN_CHANGE, "uplink", b->lab->root->path,
			   b->actual->uplink_exists ? "its addresses, routes or rules are not those of the lab"
						    : "it is gone");
	if (b->publish != NO_STEP)
		add_change(b, PLAN_CHANGE, "publish", b->lab->root->path,
			   "the published ports are not those of the lab");
	if (b->rules != NO_STEP)
		add_change(b, PLAN_CHANGE, "rules", b->lab->root->path, "they are not those of the lab");
	if (b->actual->routes_differ)
		add_change(b, PLAN_CHANGE, "routes", b->lab->root->path, "they are not those of the lab");
}

bool plan_policy(struct arena *arena, const struct lab *lab, const struct lab *applied, struct plan_change *ret)
{
	size_t added, removed, count;
	const char *why = "the same lines in another order";

	if (!applied || !lab_policy_differs(lab, applied, &added, &removed))
		return false;
	count = added + removed;
	if (count)
		why = arena_printf(arena, "%zu line%s changed: %zu added, %zu removed", count, count == 1 ? "" : "s",
				   added, removed);
	*ret = (struct plan_change){.action = PLAN_CHANGE, .what = "policy", .path = "", .why = why};
	return true;
}

int plan_build(const struct lab *lab, struct state *state, const struct plan_actual *actual, struct plan *ret,
	       struct error **err)
{
	struct plan plan = {.arena = arena_new()};
	struct builder b = {lab, state, actual, &plan, NO_STEP, NO_STEP, NO_STEP, NO_STEP, NO_STEP};
	/* A run that was killed or failed may have left anything half made: what belongs to the host itself is made
	 * anew. */
	bool again = state_get(state, PLAN_UNFINISHED) != NULL, networks_change = again;
	struct plan_change policy;

	for (size_t i = 0; i < lab->root->network_count && !networks_change; i++) {
		const struct network *network = lab->root->networks[i];
		json_t *before = state_get(state, resource_key(plan.arena, "network", network->path));
		cleanup_json json_t *spec = spec_network(network);

		networks_change = !before || !json_equal(json_object_get(before, "spec"), spec);
	}
	if (!actual->namespace_exists || actual->sysctls_differ || again)
		b.namespace = add_step(&b, STEP_NAMESPACE, NULL, NULL);
	if (!actual->rules_same || again) {
		b.rules = add_step(&b, STEP_RULES, NULL, NULL);
		add_after(&b, b.rules, b.namespace);
	}
	if (!actual->uplink_exists || actual->uplink_differs || networks_change) {
		b.uplink = add_step(&b, STEP_UPLINK, NULL, NULL);
		add_after(&b, b.uplink, b.namespace);
		add_after(&b, b.uplink,
			  b.rules); /* rules stand before any cable is plugged in, the way out among them */
	}
	if (!actual->publish_same || again) {
		b.publish = add_step(&b, STEP_PUBLISH, NULL, NULL);
		add_after(&b, b.publish, b.namespace);
		add_after(&b, b.publish, b.rules);
		add_after(&b, b.publish, b.uplink); /* whose transit addresses are taken by then */
	}
	for (size_t i = 0; i < lab->root->network_count; i++)
		plan_network(&b, lab->root->networks[i]);
	for (size_t i = 0; i < lab->root->guest_count; i++)
		if (lab->root->guests[i]->machine)
			plan_going(&b, lab->root->guests[i]);
		else
			plan_guest(&b, lab->root->guests[i]);
	for (size_t i = 0; i < lab->machine_count; i++)
		plan_machine(&b, lab->machines[i], again);
	plan_leaving(&b);
	put_moves_in_order(&b);
	plan_removals(&b);
	if (plan.change_count || again)
		plan_dhcp(&b);
	if (plan.change_count || again || actual->routes_differ)
		plan_routes(&b);
	if (!lab_changed(&plan))
		tell_host_changes(&b, again);
	if (plan_policy(plan.arena, lab, actual->applied, &policy))
		*arena_push(plan.arena, plan.changes, plan.change_count) = policy;
	*ret = plan;
	return 0;
}

void plan_clear(struct plan *plan)
{
	arena_free(plan->arena);
	*plan = (struct plan){0};
}
