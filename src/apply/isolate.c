#include "apply/isolate_internal.h"

#include "apply/adopted.h"
#include "apply/adopted_watch.h"
#include "apply/nwfilter.h"
#include "apply/session.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *isolate_outcome_name(enum isolate_outcome outcome)
{
	static const char *const names[] = {"done", "waits", "failed"};

	return names[outcome];
}

static void release_isolation(void *isolation)
{
	isolation_free(isolation);
}

/* Whether the change is about a guest of this host itself. */
static bool is_named(const struct isolate_request *request, const struct guest *guest)
{
	for (size_t i = 0; request && i < request->guest_count; i++)
		if (request->guests[i] == guest)
			return true;
	return !request;
}

/* What the rules hold while libvirt works: those, too, that its filter is to hold and does not know yet. NULL: libvirt
 * has nothing to do that matters. */
static struct isolation *until_filtered(struct arena *arena, const struct isolation *before,
					const struct isolation *after)
{
	const struct host *root = after->lab->root;
	struct isolation *held = NULL;

	for (size_t i = 0; i < root->guest_count; i++) {
		size_t index = root->guests[i]->index;
		const struct isolation_setting *s = &after->settings[index];
		struct isolation_setting by_rules = *s;

		if (root->guests[i]->machine || s->method != ISOLATION_NWFILTER ||
		    isolation_same_setting(&before->settings[index], s))
			continue;
		if (!held) {
			held = isolation_copy(after);
			arena_adopt(arena, held, release_isolation);
		}
		by_rules.method = ISOLATION_NFT;
		isolation_set(held, root->guests[i], &by_rules);
	}
	return held;
}

static int filter_here(struct arena *arena, const struct folders *folders, const struct isolate_request *request,
		       const struct isolation *after, struct net *net, struct error **err)
{
	const struct host *root = after->lab->root;
	int r = 0;

	for (size_t i = 0; i < root->guest_count && r == 0; i++)
		if (root->guests[i]->libvirt && !root->guests[i]->machine)
			r = nwfilter_put(arena, folders, net, after, root->guests[i],
					 is_named(request, root->guests[i]), err);
	return r;
}

/* In force at this host, with the lock held. A lab that is not up has no rules yet; it gets them before its guests. */
static int switch_here(struct net *net, const struct isolation *before, const struct isolation *after,
		       struct isolate_result *ret, struct error **err)
{
	if (!net_namespace_exists(net))
		return 0;
	net_set_isolation(net, before);
	return net_isolate(net, after, &ret->switched, err);
}

/* Written down and in force at this host. */
static int put_in_force(struct arena *arena, const struct folders *folders, const struct isolate_request *request,
			const struct isolation *before, const struct isolation *after, struct net *net,
			struct isolate_result *ret, struct error **err)
{
	const struct isolation *held = until_filtered(arena, before, after);
	struct net_switched more;
	int r;

	if (held)
		nwfilter_get_ready();
	r = isolate_save(folders, held ? held : after, err);

	if (r == 0)
		r = switch_here(net, before, held ? held : after, ret, err);
	if (r == 0 && net_namespace_exists(net))
		r = filter_here(arena, folders, request, after, net, err);
	if (r < 0 && held)
		error_hint(err, "until nwfilter does, nestvisor's own rules hold it: nestvisor isolate status");
	if (r < 0 || !held)
		return r;
	r = isolate_save(folders, after, err);
	return r < 0 || !net_namespace_exists(net) ? r : net_isolate(net, after, &more, err);
}

/* Rules say nothing of flows that pass none. */
static void look_for_flowtables(struct arena *arena, const struct isolation *isolation, struct isolate_result *ret)
{
	cleanup_free char *name = NULL;

	if (!isolation->lab->adopted || ret->unsure || !isolate_holds_any(isolation))
		return;
	name = net_find_flowtable();
	if (name)
		ret->unsure =
			arena_printf(arena,
				     "This machine forwards flows by the flowtable %s, past all rules: connections "
				     "that a guest had go on. conntrack -D -s ADDRESS ends those of one; then look "
				     "with conntrack -L for [OFFLOAD]",
				     name);
}

static int carry_out(struct arena *arena, const struct folders *folders, const struct isolate_request *request,
		     const struct isolation *before, const struct isolation *after, int *lock_fd, struct cancel *cancel,
		     long long started_ns, struct isolate_result *ret, struct error **err)
{
	struct isolate_settling settling = {.folders = folders, .lock_fd = lock_fd};
	struct isolate_layer *here;
	struct net *net = NULL;
	int r = net_open(after->lab, folders->run, &net, err);

	if (r == 0) /* before anything is promised */
		r = adopted_prepare_to_hold(arena, folders, after, net, &ret->unsure, err);
	for (size_t i = 0; request && r == 0 && i < request->guest_count; i++)
		r = net_can_hold(net, after, request->guests[i], err);
	if (r == 0)
		r = put_in_force(arena, folders, request, before, after, net, ret, err);
	if (r == 0)
		r = adopted_watch_set(folders, after, err);
	if (r == 0)
		look_for_flowtables(arena, after, ret);
	if (r == 0) {
		isolate_settle_begin(&settling);
		ret->before = before;
		ret->isolation = after;
		ret->complete = !ret->unsure;
		here = arena_push(arena, ret->layers, ret->layer_count);
		*here = (struct isolate_layer){.host = arena_strdup(arena, after->lab->root->path),
					       .outcome = ISOLATE_DONE,
					       .ms = isolate_ms_since(started_ns)};
		r = isolate_go_inward(arena, folders, request, before, after, net, &settling, started_ns, cancel, ret,
				      err);
	}
	net_close(net);
	return r;
}

/* The state before, and a copy of it to be changed; both live in the arena. */
static int begin(struct arena *arena, const struct folders *folders, const struct lab *lab, struct cancel *cancel,
		 int *ret_lock, struct isolation **ret_before, struct isolation **ret_after, struct error **err)
{
	int r = isolate_load_locked(folders, lab, cancel, ret_lock, ret_before, err);

	if (r < 0)
		return r;
	*ret_after = isolation_copy(*ret_before);
	arena_adopt(arena, *ret_before, release_isolation);
	arena_adopt(arena, *ret_after, release_isolation);
	return 0;
}

/* Who gave the command: the user who became root by sudo, else the user himself. */
static const char *who(struct arena *arena)
{
	const char *sudo = getenv("SUDO_USER");
	struct passwd entry, *found = NULL;
	char buffer[2048];

	if (sudo && *sudo && getuid() == 0)
		return arena_strdup(arena, sudo);
	if (getpwuid_r(getuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found)
		return arena_strdup(arena, found->pw_name);
	return arena_printf(arena, "uid %u", (unsigned)getuid());
}

static json_t *layers_json(const struct isolate_result *result)
{
	json_t *layers = json_array();

	for (size_t i = 0; i < result->layer_count; i++)
		json_array_append_new(layers, json_pack("{s:s, s:s, s:s*}", "host", result->layers[i].host, "result",
							isolate_outcome_name(result->layers[i].outcome), "why",
							result->layers[i].why));
	return layers;
}

/* One write(2) of a whole line to a file opened for appending: lines of several commands do not mix. */
static int log_entry(struct arena *arena, const struct folders *folders, const char *what, const char *by, json_t *more,
		     struct error **err)
{
	const char *path = isolate_file(arena, folders->state, "audit.log");
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	cleanup_free char *text = NULL, *line = NULL;
	cleanup_json json_t *entry = NULL;
	time_t now = time(NULL);
	char when[32];
	struct tm utc;
	int length;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	entry = json_pack("{s:s, s:s, s:s}", "time", when, "who", by, "command", what);
	json_object_update(entry, more);
	json_decref(more);
	text = json_text(entry);
	length = asprintf(&line, "%s\n", text);
	if (length < 0)
		abort();
	if (fd < 0 || write(fd, line, (size_t)length) != length)
		return error_errno(err, errno, "cannot write %s", path);
	return 0;
}

static int log_change(struct arena *arena, const struct folders *folders, const struct isolate_request *request,
		      const struct isolate_result *result, const char *by, struct error **err)
{
	json_t *guests = json_array();

	for (size_t i = 0; i < request->guest_count; i++)
		json_array_append_new(guests,
				      json_pack("{s:s, s:s}", "path", request->guests[i]->path, "world",
						world_name(isolation_world(result->isolation, request->guests[i]))));
	return log_entry(arena, folders, request->what, by,
			 json_pack("{s:o, s:o, s:b}", "guests", guests, "layers", layers_json(result), "complete",
				   result->complete),
			 err);
}

/* Beside what it failed for, of which the caller tells. */
static void log_failure(struct arena *arena, const struct folders *folders, const struct isolate_request *request,
			const char *by, const struct error *problem)
{
	json_t *guests = json_array();

	for (size_t i = 0; i < request->guest_count; i++)
		json_array_append_new(guests, json_pack("{s:s}", "path", request->guests[i]->path));
	log_entry(arena, folders, request->what, by,
		  json_pack("{s:o, s:s, s:b}", "guests", guests, "error", problem ? problem->message : "it failed",
			    "complete", 0),
		  NULL);
}

int isolate_log_verdict(const struct lab *lab, const char *what, const char *verdict, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct folders folders;
	int r = folders_of(arena, lab->name, &folders, err);

	return r < 0 ? r : log_entry(arena, &folders, what, who(arena), json_pack("{s:s}", "verdict", verdict), err);
}

static int open_folders(struct arena *arena, const struct lab *lab, struct folders *ret, struct error **err)
{
	int r = folders_of(arena, lab->name, ret, err);

	if (r < 0 || file_exists(ret->lab_file))
		return r;
	if (lab->adopted)
		return adopted_remember(ret, lab, err);
	r = error_set(err, ENOENT, "the lab %s does not run", lab->name);
	error_hint(err, "say it in its file, `world: cut`, or bring it up first: nestvisor up");
	return r;
}

/* What is the same already is left as it is, with whoever said it first. */
static int edit(const struct isolate_request *request, const char *by, struct isolation *isolation, struct error **err)
{
	uint64_t serial = isolation->serial + 1;
	int r = 0;

	for (size_t i = 0; i < request->guest_count && r == 0; i++) {
		const struct guest *guest = request->guests[i];
		const struct isolation_setting *before = &isolation->settings[guest->index];
		struct isolation_setting setting = *before;

		r = request->edit(request->data, guest, &setting, err);
		if (r < 0 || isolation_same_setting(before, &setting))
			continue;
		setting.since = (long long)time(NULL);
		setting.by = by;
		setting.serial = isolation->serial = serial;
		isolation_set(isolation, guest, &setting);
	}
	return r;
}

int isolate_change(struct arena *arena, const struct lab *lab, const struct isolate_request *request,
		   struct cancel *cancel, struct isolate_result *ret, struct error **err)
{
	struct isolation *before = NULL, *after = NULL;
	cleanup_close int lock_fd = -1;
	long long started_ns = isolate_now_ns();
	struct folders folders;
	const char *by;
	int r = open_folders(arena, lab, &folders, err);

	*ret = (struct isolate_result){0};
	if (r == 0)
		r = begin(arena, &folders, lab, cancel, &lock_fd, &before, &after, err);
	if (r < 0)
		return r;
	by = who(arena);
	r = edit(request, by, after, err);
	if (r < 0)
		return r;
	r = carry_out(arena, &folders, request, before, after, &lock_fd, cancel, started_ns, ret, err);
	if (r < 0)
		log_failure(arena, &folders, request, by, err ? *err : NULL);
	return r < 0 ? r : log_change(arena, &folders, request, ret, by, err);
}

static int take(struct isolation *isolation, const json_t *said, bool *ret_newer, struct error **err)
{
	uint64_t serial = (uint64_t)json_get_integer(said, "serial", 0), own = isolation->serial;
	uint64_t before = isolation->above;
	struct isolation_clock clock;
	int r;

	*ret_newer = serial >= before;
	if (!*ret_newer)
		return 0;
	isolation_clock_read(&clock);
	r = isolation_read(isolation, said, &clock, err);
	isolation->serial = own + 1;
	isolation->above = serial;
	return r;
}

int isolate_take(struct arena *arena, const struct lab *lab, const json_t *said, struct cancel *cancel,
		 struct isolate_result *ret, struct error **err)
{
	struct isolation *before = NULL, *after = NULL;
	cleanup_close int lock_fd = -1;
	long long started_ns = isolate_now_ns();
	struct folders folders;
	bool newer;
	int r = open_folders(arena, lab, &folders, err);

	*ret = (struct isolate_result){0};
	if (r == 0)
		r = begin(arena, &folders, lab, cancel, &lock_fd, &before, &after, err);
	if (r == 0)
		r = take(after, said, &newer, err);
	return r < 0 ? r : carry_out(arena, &folders, NULL, before, after, &lock_fd, cancel, started_ns, ret, err);
}

int isolate_adopt(struct session *session, const char *said, struct error **err)
{
	cleanup_isolation struct isolation *isolation = NULL;
	cleanup_close int lock_fd = -1;
	cleanup_json json_t *json = NULL;
	bool newer = false;
	int r = json_parse(said, strlen(said), "isolation", &json, err);

	if (r == 0)
		r = isolate_load_locked(&session->folders, session->lab, session->cancel, &lock_fd, &isolation, err);
	if (r == 0)
		r = take(isolation, json, &newer, err);
	if (r == 0 && newer)
		r = isolate_save(&session->folders, isolation, err);
	if (r == 0 && newer)
		r = isolate_settle(&session->folders, err);
	if (r < 0)
		return r;
	net_set_isolation(session->net, isolation);
	isolation_free(session->isolation);
	session->isolation = steal_pointer(&isolation);
	return 0;
}

int isolate_make_rules(struct session *session, struct error **err)
{
	cleanup_close int lock_fd = -1;
	struct isolation *fresh = NULL;
	int r = isolate_load_locked(&session->folders, session->lab, session->cancel, &lock_fd, &fresh, err), watched;

	if (r < 0)
		return r;
	arena_adopt(session->arena, fresh, release_isolation); /* the network borrows it */
	net_set_isolation(session->net, fresh);
	r = net_make_rules(session->net, err);
	watched = adopted_watch_set(&session->folders, fresh, r == 0 ? err : NULL);
	return r < 0 ? r : watched;
}

bool isolate_holds_any(const struct isolation *isolation)
{
	const struct host *root = isolation->lab->root;
	bool any = false;

	for (size_t i = 0; i < root->guest_count; i++)
		any |= isolation_effect(isolation, root->guests[i]).world != WORLD_OPEN;
	return any;
}

static int refresh(struct arena *arena, const struct folders *folders, const struct isolation *isolation,
		   struct net *net, bool *ret_open, struct error **err)
{
	struct net_switched switched;
	const char *unsure;
	bool same;
	int r;

	net_set_isolation(net, isolation);
	r = adopted_prepare_to_hold(arena, folders, isolation, net, &unsure, err);
	*ret_open = unsure != NULL;
	if (r < 0 || unsure) /* what is not known stays held */
		return r;
	r = net_check_rules(net, &same, err);
	if (r == 0 && !same)
		r = net_isolate(net, isolation, &switched, err);
	return r < 0 ? r : net_has_unknown_ports(net, ret_open, err);
}

int isolate_refresh(const struct lab *lab, struct cancel *cancel, bool *ret_held, bool *ret_open, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_isolation struct isolation *isolation = NULL;
	cleanup_close int lock_fd = -1;
	struct folders folders;
	struct net *net = NULL;
	int r = folders_of(arena, lab->name, &folders, err);

	if (r == 0)
		r = isolate_load_locked(&folders, lab, cancel, &lock_fd, &isolation, err);
	if (r < 0)
		return r;
	*ret_held = isolate_holds_any(isolation);
	if (*ret_held)
		r = net_open(lab, folders.run, &net, err);
	if (*ret_held && r == 0)
		r = refresh(arena, &folders, isolation, net, ret_open, err);
	net_close(net);
	return r;
}

int isolate_plug(struct session *session, const struct guest *guest, struct error **err)
{
	cleanup_isolation struct isolation *isolation = NULL;
	cleanup_close int lock_fd = -1;
	int r = isolate_load_locked(&session->folders, session->lab, session->cancel, &lock_fd, &isolation, err);

	return r < 0 ? r : nwfilter_plug(&session->folders, session->net, isolation, guest, err);
}
