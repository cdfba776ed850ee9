#include "apply/isolate.h"

#include "apply/adopted.h"
#include "apply/adopted_watch.h"
#include "apply/into.h"
#include "apply/nwfilter.h"
#include "apply/session.h"
#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "driver/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	FILE_LIMIT = 64 << 20,
	LOCK_MS = 10000,   /* holders are done in milliseconds, but where libvirt has to do with it (isolate.h) */
	INWARD_MS = 20000, /* for a host below, with all that is below it */
};

const char *isolate_outcome_name(enum isolate_outcome outcome)
{
	static const char *const names[] = {"done", "waits", "failed"};

	return names[outcome];
}

/* ─── what is kept ─── */

static const char *file_in(struct arena *arena, const char *folder, const char *name)
{
	return arena_printf(arena, "%s/%s", folder, name);
}

/*
 * A cut must not wait for a disk, and one that was called done must outlast whatever happens to the machine. So what is
 * said goes into isolation.next first, where everybody finds it who asks while the machine runs, a command after this
 * one was killed included. Then the rules are switched; and before the change is called done it is on the disk, under
 * its own name. If the machine goes down in between, its rules go with it, nothing was promised, and isolation.json
 * is still what it was; isolation.next may be there in part, which is then no JSON, or not at all.
 *
 * It is never the rules first: somebody who asks then would be told of an open guest that it is cut, and `up` would
 * take the change back. Whoever finds isolation.next, since a command goes on or was killed, waits for the disk before
 * telling anybody what is in it; and the next change first gives it its name, for it is written over.
 */
static const char *next_file(struct arena *arena, const struct folders *folders)
{
	return file_in(arena, folders->state, "isolation.next");
}

static const char *kept_file(struct arena *arena, const struct folders *folders)
{
	return file_in(arena, folders->state, "isolation.json");
}

static int read_said(const struct folders *folders, struct arena *arena, json_t **ret, const char **ret_file,
		     struct error **err)
{
	const char *next = next_file(arena, folders), *kept = kept_file(arena, folders);
	bool changing = json_read_file(next, FILE_LIMIT, ret, NULL) == 0;

	*ret_file = changing ? next : kept;
	return changing || !file_exists(kept) ? 0 : json_read_file(kept, FILE_LIMIT, ret, err);
}

/* *ret_file: which of the two it was in, in the arena. */
static int load(const struct folders *folders, const struct lab *lab, struct arena *arena, struct isolation **ret,
		const char **ret_file, struct error **err)
{
	cleanup_isolation struct isolation *isolation = isolation_new(lab);
	struct isolation_clock clock;
	cleanup_json json_t *json = NULL;
	int r = read_said(folders, arena, &json, ret_file, err);

	isolation_clock_read(&clock);
	if (r == 0 && json)
		r = isolation_read(isolation, json, &clock, err);
	if (r < 0) {
		/* Without it nobody knows who is to be cut, and guessing "nobody" would open them. */
		error_hint(err, "what was said at run time is lost: remove %s and say it again", *ret_file);
		return error_wrap(err, "cannot read %s", *ret_file);
	}
	*ret = steal_pointer(&isolation);
	return 0;
}

/* Waits for the disk with what was read there. A command that has just renamed it may still wait for the folder. */
static int sync_said(const struct folders *folders, struct arena *arena, const char *file, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	int r = file_sync(file, &problem);

	if (r == -ENOENT) {
		error_freep(&problem);
		r = file_sync(kept_file(arena, folders), &problem);
	}
	return r < 0 && r != -ENOENT ? error_move(err, &problem) : 0; /* nothing was ever said */
}

int isolate_load(const struct folders *folders, const struct lab *lab, struct isolation **ret, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_isolation struct isolation *isolation = NULL;
	const char *file;
	int r = load(folders, lab, arena, &isolation, &file, err);

	if (r == 0)
		r = sync_said(folders, arena, file, err);
	if (r == 0)
		*ret = steal_pointer(&isolation);
	return r;
}

static int save(const struct folders *folders, const struct isolation *isolation, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *text = NULL;
	struct isolation_clock clock;
	cleanup_json json_t *json = NULL;

	isolation_clock_read(&clock);
	json = isolation_json(isolation, NULL, &clock, false);
	text = json_text(json);
	return file_write_soon(next_file(arena, folders), text, strlen(text), 0600, err);
}

static int settle(const struct folders *folders, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();

	return file_settle(next_file(arena, folders), kept_file(arena, folders), err);
}

/* The same beside what else there is to do; with the lock, which ends with it. */
struct settling {
	const struct folders *folders;
	int *lock_fd;
	pthread_t thread;
	bool threaded;
	struct error *err;
	int result;
};

static void *settle_beside(void *data)
{
	struct settling *settling = data;

	settling->result = settle(settling->folders, &settling->err);
	return NULL;
}

static void settle_begin(struct settling *settling)
{
	settling->threaded = pthread_create(&settling->thread, NULL, settle_beside, settling) == 0;
	if (!settling->threaded)
		settle_beside(settling);
}

static int settle_end(struct settling *settling, struct error **err)
{
	if (settling->threaded)
		pthread_join(settling->thread, NULL);
	close(*settling->lock_fd);
	*settling->lock_fd = -1;
	return settling->result < 0 ? error_move(err, &settling->err) : 0;
}

static int lock(const struct folders *folders, struct cancel *cancel, int *ret_fd, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();

	return file_lock(file_in(arena, folders->run, "isolation.lock"), "isolation", LOCK_MS, NULL, cancel, ret_fd,
			 err);
}

/* For who is about to change it, or the rules. What is found in isolation.next is from one that was killed: nobody
 * writes it now. */
static int lock_and_load(const struct folders *folders, const struct lab *lab, struct cancel *cancel, int *ret_fd,
			 struct isolation **ret, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_isolation struct isolation *isolation = NULL;
	const char *file;
	int r = lock(folders, cancel, ret_fd, err);

	if (r == 0)
		r = load(folders, lab, arena, &isolation, &file, err);
	if (r == 0 && strcmp(file, next_file(arena, folders)) == 0)
		r = settle(folders, err);
	if (r == 0)
		*ret = steal_pointer(&isolation);
	return r;
}

/* ─── which hosts below have it ─── */

/* What a host below must know, as a text that is the same as long as that is. */
static void digest_of(const struct isolation *isolation, const struct guest *guest, char ret[HASH_TEXT_SIZE])
{
	const struct isolation_clock none = {0};
	cleanup_json json_t *json = isolation_json(isolation, guest->host, &none, false);
	cleanup_free char *text = json_text(json_object_get(json, "guests"));

	hash_bytes(text, strlen(text), ret);
}

static bool says_nothing(const struct isolation *isolation, const struct guest *guest)
{
	cleanup_json json_t *said = isolate_part(isolation, guest);

	return json_object_size(json_object_get(said, "guests")) == 0;
}

static json_t *read_done(const struct folders *folders)
{
	cleanup_arena struct arena *arena = arena_new();
	json_t *done = NULL;

	/* In /run: what cannot be read is told again. */
	if (json_read_file(file_in(arena, folders->run, "isolation.done"), FILE_LIMIT, &done, NULL) < 0)
		done = json_object();
	return done;
}

bool isolate_is_confirmed(const struct folders *folders, const struct guest *guest, const struct isolation *isolation)
{
	cleanup_json json_t *done = read_done(folders);
	const char *has = json_get_string(done, guest->path, NULL);
	char digest[HASH_TEXT_SIZE];

	digest_of(isolation, guest, digest);
	return has ? strcmp(has, digest) == 0 : says_nothing(isolation, guest);
}

/* With the lock held, for it is read and written. */
static int confirm(const struct folders *folders, const struct guest *guest, const struct isolation *said,
		   struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_json json_t *done = read_done(folders);
	char digest[HASH_TEXT_SIZE];

	digest_of(said, guest, digest);
	json_object_set_new(done, guest->path, json_string(digest));
	return json_write_file(file_in(arena, folders->run, "isolation.done"), done, err);
}

int isolate_confirm(const struct folders *folders, const struct guest *guest, const struct isolation *said,
		    struct error **err)
{
	cleanup_close int fd = -1;
	int r = lock(folders, NULL, &fd, err);

	return r < 0 ? r : confirm(folders, guest, said, err);
}

void isolate_forget(const struct folders *folders, const struct guest *guest)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_json json_t *done = NULL;
	cleanup_close int fd = -1;

	if (lock(folders, NULL, &fd, NULL) < 0)
		return;
	done = read_done(folders);
	if (json_object_del(done, guest->path) == 0)
		json_write_file(file_in(arena, folders->run, "isolation.done"), done, NULL);
}

json_t *isolate_part(const struct isolation *isolation, const struct guest *guest)
{
	struct isolation_clock clock;

	isolation_clock_read(&clock);
	return isolation_json(isolation, guest->host, &clock, true);
}

/* ─── the hosts below ─── */

struct visit {
	struct arena *arena; /* of its own: visits are threads */
	const struct folders *folders;
	const struct isolation *isolation;
	const struct guest *guest;
	struct cancel *cancel;
	long long started_ns;
	struct isolate_layer *layers;
	size_t layer_count;
	pthread_t thread;
	bool threaded;
};

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static double ms_since(long long started_ns)
{
	return (double)(now_ns() - started_ns) / 1e6;
}

static struct isolate_layer *add_layer(struct visit *visit, const char *host, enum isolate_outcome outcome)
{
	struct isolate_layer *layer = arena_push(visit->arena, visit->layers, visit->layer_count);

	*layer = (struct isolate_layer){
		.host = arena_strdup(visit->arena, host), .outcome = outcome, .ms = ms_since(visit->started_ns)};
	return layer;
}

/* What the host answered: its own layer and those below it, in the same words. */
static int take_layers(struct visit *visit, const struct process_output *output, struct error **err)
{
	cleanup_json json_t *answer = NULL;
	json_t *layers, *one;
	size_t i;
	int r = json_parse(output->out, output->out_length, "the answer of its nestvisor", &answer, err);

	if (r < 0)
		return error_set(err, EIO, "its nestvisor ended with status %d: %s%s", output->status, output->err,
				 output->out);
	layers = json_object_get(answer, "layers");
	if (!json_is_array(layers) || json_array_size(layers) == 0)
		return error_set(
			err, EIO, "%s",
			json_get_string(json_object_get(answer, "error"), "message", "it failed without a word"));
	json_array_foreach (layers, i, one) {
		const char *result = json_get_string(one, "result", ""), *why = json_get_string(one, "why", NULL);
		const char *host = json_get_string(one, "host", "?");
		struct isolate_layer *layer;

		if (guest_is_machine(visit->guest) && !*host) /* which is layer 0 to itself, too */
			host = visit->guest->path;
		layer = add_layer(visit, host, ISOLATE_FAILED);

		for (enum isolate_outcome outcome = ISOLATE_DONE; outcome <= ISOLATE_FAILED; outcome++)
			if (strcmp(isolate_outcome_name(outcome), result) == 0)
				layer->outcome = outcome;
		layer->why = why ? arena_strdup(visit->arena, why) : NULL;
	}
	return 0;
}

static int tell(struct visit *visit, struct error **err)
{
	const char *const argv[] = {"nestvisor", "isolate", "take", "--json", "--lab", visit->folders->lab, NULL};
	cleanup_output struct process_output output = {0};
	cleanup_transport struct transport *t = NULL;
	cleanup_json json_t *said = isolate_part(visit->isolation, visit->guest);
	cleanup_free char *text = json_text(said);
	int r = into_open(visit->arena, visit->folders, visit->isolation->lab, visit->guest, visit->cancel, &t, err);

	if (r == 0)
		r = transport_run(t, argv, text, strlen(text), INWARD_MS, visit->cancel, &output, err);
	return r < 0 ? r : take_layers(visit, &output, err);
}

static void *make_visit(void *data)
{
	struct visit *visit = data;
	cleanup_error struct error *err = NULL;
	struct driver_state state = {0};
	const char *run_dir = folders_guest(visit->arena, visit->folders, visit->guest->name);
	int r;

	if (!guest_is_machine(visit->guest) && driver_of(run_dir)->look(run_dir, &state, NULL) == 0 && !state.running) {
		add_layer(visit, visit->guest->path, ISOLATE_WAITS);
		return NULL;
	}
	r = tell(visit, &err);
	if (r < 0)
		add_layer(visit, visit->guest->path, ISOLATE_FAILED)->why =
			arena_strdup(visit->arena, err ? err->message : strerror(-r));
	return NULL;
}

static bool is_done(const struct visit *visit)
{
	for (size_t i = 0; i < visit->layer_count; i++)
		if (visit->layers[i].outcome == ISOLATE_FAILED)
			return false;
	return visit->layer_count && visit->layers[0].outcome == ISOLATE_DONE;
}

/* Which host it is told to by hand, or by the next change: the one that did not answer. */
static int take_visit(struct arena *arena, struct visit *visit, struct isolate_result *ret, struct error **err)
{
	int r = 0;

	for (size_t i = 0; i < visit->layer_count; i++) {
		struct isolate_layer *layer = arena_push(arena, ret->layers, ret->layer_count);

		*layer = visit->layers[i];
		layer->host = arena_strdup(arena, layer->host);
		layer->why = layer->why ? arena_strdup(arena, layer->why) : NULL;
		ret->complete &= layer->outcome != ISOLATE_FAILED;
	}
	if (is_done(visit))
		r = isolate_confirm(visit->folders, visit->guest, visit->isolation, err);
	return r;
}

/* Whether the change is about that host or a guest below it, so that its rules must be seen to hold, too. */
static bool is_asked(const struct isolate_request *request, const struct guest *host)
{
	for (size_t i = 0; request && i < request->guest_count; i++)
		if (request->guests[i] == host || host_has(host->host, request->guests[i]))
			return true;
	return !request;
}

/* A guest that is a host is told by the machine that it is on, which is told here. */
static bool is_told(const struct guest *guest)
{
	return guest_is_machine(guest) ? guest->host->guest_count > 0 : guest->host && !guest->machine;
}

/*
 * The hosts below are told; meanwhile flows are ended at this one, whose rules hold already. A host that knows it
 * already is told once more where it is asked about (no request: all are), for somebody may have changed its rules.
 */
static int go_inward(struct arena *arena, const struct folders *folders, const struct isolate_request *request,
		     const struct isolation *before, const struct isolation *isolation, struct net *net,
		     struct settling *settling, long long started_ns, struct cancel *cancel, struct isolate_result *ret,
		     struct error **err)
{
	const struct host *root = isolation->lab->root;
	const struct lab *lab = isolation->lab;
	struct visit *visits = arena_alloc(arena, (root->guest_count + lab->machine_count + 1) * sizeof(*visits));
	size_t count = 0;
	int r = 0, kept;

	for (size_t i = 0; i < root->guest_count + lab->machine_count; i++) {
		const struct guest *guest =
			i < root->guest_count ? root->guests[i] : lab->machines[i - root->guest_count]->guest;

		if (!is_told(guest) || (!is_asked(request, guest) && isolate_is_confirmed(folders, guest, isolation)))
			continue;
		visits[count] = (struct visit){.arena = arena_new(),
					       .folders = folders,
					       .isolation = isolation,
					       .guest = guest,
					       .cancel = cancel,
					       .started_ns = started_ns};
		visits[count].threaded = pthread_create(&visits[count].thread, NULL, make_visit, &visits[count]) == 0;
		if (!visits[count].threaded)
			make_visit(&visits[count]);
		count++;
	}
	if (net_namespace_exists(net))
		r = net_end_flows(net, before, isolation, &ret->flows, err);
	kept = settle_end(settling, r == 0 ? err : NULL);
	r = r < 0 ? r : kept;
	for (size_t i = 0; i < count; i++) {
		if (visits[i].threaded)
			pthread_join(visits[i].thread, NULL);
		if (r == 0)
			r = take_visit(arena, &visits[i], ret, err);
		arena_free(visits[i].arena);
	}
	return r;
}

/* ─── a change ─── */

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
	r = save(folders, held ? held : after, err);

	if (r == 0)
		r = switch_here(net, before, held ? held : after, ret, err);
	if (r == 0 && net_namespace_exists(net))
		r = filter_here(arena, folders, request, after, net, err);
	if (r < 0 && held)
		error_hint(err, "until nwfilter does, nestvisor's own rules hold it: nestvisor isolate status");
	if (r < 0 || !held)
		return r;
	r = save(folders, after, err);
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
	struct settling settling = {.folders = folders, .lock_fd = lock_fd};
	struct isolate_layer *here;
	struct net *net = NULL;
	int r = net_open(after->lab, folders->run, &net, err);

	if (r == 0) /* before anything is promised */
		r = adopted_prepare_to_hold(arena, folders, after->lab, net, &ret->unsure, err);
	for (size_t i = 0; request && r == 0 && i < request->guest_count; i++)
		r = net_can_hold(net, after, request->guests[i], err);
	if (r == 0)
		r = put_in_force(arena, folders, request, before, after, net, ret, err);
	if (r == 0)
		r = adopted_watch_set(folders, after, err);
	if (r == 0)
		look_for_flowtables(arena, after, ret);
	if (r == 0) {
		settle_begin(&settling);
		ret->before = before;
		ret->isolation = after;
		ret->complete = !ret->unsure;
		here = arena_push(arena, ret->layers, ret->layer_count);
		*here = (struct isolate_layer){.host = arena_strdup(arena, after->lab->root->path),
					       .outcome = ISOLATE_DONE,
					       .ms = ms_since(started_ns)};
		r = go_inward(arena, folders, request, before, after, net, &settling, started_ns, cancel, ret, err);
	}
	net_close(net);
	return r;
}

/* The state before, and a copy of it to be changed; both live in the arena. */
static int begin(struct arena *arena, const struct folders *folders, const struct lab *lab, struct cancel *cancel,
		 int *ret_lock, struct isolation **ret_before, struct isolation **ret_after, struct error **err)
{
	int r = lock_and_load(folders, lab, cancel, ret_lock, ret_before, err);

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
	const char *path = file_in(arena, folders->state, "audit.log");
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
	long long started_ns = now_ns();
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
	long long started_ns = now_ns();
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
		r = lock_and_load(&session->folders, session->lab, session->cancel, &lock_fd, &isolation, err);
	if (r == 0)
		r = take(isolation, json, &newer, err);
	if (r == 0 && newer)
		r = save(&session->folders, isolation, err);
	if (r == 0 && newer)
		r = settle(&session->folders, err);
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
	int r = lock_and_load(&session->folders, session->lab, session->cancel, &lock_fd, &fresh, err), watched;

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
	r = adopted_prepare_to_hold(arena, folders, isolation->lab, net, &unsure, err);
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
		r = lock_and_load(&folders, lab, cancel, &lock_fd, &isolation, err);
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
	int r = lock_and_load(&session->folders, session->lab, session->cancel, &lock_fd, &isolation, err);

	return r < 0 ? r : nwfilter_plug(&session->folders, session->net, isolation, guest, err);
}
