/*
 * The steps of a plan, one function each. Steps that make a resource journal it with the spec it is made from before
 * they begin and with what came of it after; so after a kill the next run knows both what was meant and what is there.
 */
#include "apply/up.h"

#include "apply/boot.h"
#include "apply/executor.h"
#include "apply/into.h"
#include "apply/isolate.h"
#include "apply/machines.h"
#include "apply/part.h"
#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "config/config.h"
#include "driver/driver.h"
#include "image/image.h"
#include "model/settings.h"
#include "net/net.h"
#include "plan/spec.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HOST_READY_MS = 60000, PART_TRIES = 3, STARTS_AGAIN = 2 };

struct fetched_image {
	struct arena *arena; /* of its own: steps run in parallel */
	const char *name;
	struct image image;
};

struct up {
	struct session *session;
	const struct plan *plan;
	pthread_mutex_t mutex; /* over the images */
	struct fetched_image *images;
	size_t image_count;
	enum accelerator accelerator;
};

/* With the mutex held. */
static const struct image *find_locked(const struct up *up, const char *name)
{
	for (size_t i = 0; i < up->image_count; i++)
		if (strcmp(up->images[i].name, name) == 0)
			return &up->images[i].image;
	return NULL;
}

static const struct image *find_image(struct up *up, const char *name)
{
	const struct image *found;

	pthread_mutex_lock(&up->mutex);
	found = find_locked(up, name);
	pthread_mutex_unlock(&up->mutex);
	return found;
}

/* The id under which the layer above carried an image down to us, or NULL. */
static const char *carried_id(const struct lab *lab, const char *image)
{
	for (size_t i = 0; i < lab->guest_count; i++) {
		const struct guest *guest = lab->guests[i];

		if (guest->image_id && strcmp(guest->image, image) == 0)
			return guest->image_id;
		if (guest->install && guest->install->virtio_id && strcmp(guest->install->virtio, image) == 0)
			return guest->install->virtio_id;
	}
	return NULL;
}

static int fetch_image(struct up *up, const char *name, struct error **err)
{
	struct session *s = up->session;
	struct fetched_image one = {.arena = arena_new(), .name = name};
	int r = image_get(one.arena, name, carried_id(s->lab, name), s->reporter, s->cancel, &one.image, err);

	if (r < 0) {
		arena_free(one.arena);
		return error_wrap(err, "image %s", name);
	}
	pthread_mutex_lock(&up->mutex);
	if (find_locked(up, name))
		arena_free(one.arena); /* another thread was quicker */
	else
		up->images[up->image_count++] = one;
	pthread_mutex_unlock(&up->mutex);
	return 0;
}

static int do_probe(struct up *up, struct error **err)
{
	struct session *s = up->session;
	cleanup_json json_t *value = NULL;
	cleanup_free char *why = NULL;
	int r = driver_probe(s->lab->root->layer > 0 ? PROBE_INSIDE : 0, s->reporter, s->cancel, &up->accelerator, &why,
			     err);

	if (r < 0)
		return r;
	value = json_pack("{s:s, s:s*}", "accel", accelerator_name(up->accelerator), "why", why);
	if (why && !json_equal(value, state_get(s->state, "host"))) /* said once per lab */
		report(s->reporter, REPORT_NOTE, "accelerator", "guests run under %s: %s",
		       accelerator_name(up->accelerator), why);
	return state_put(s->state, "host", value, err);
}

static void collect_carried(struct up *up, const struct host *host, const struct image **list, size_t *count)
{
	for (size_t i = 0; host && i < host->guest_count; i++) {
		const char *names[GUEST_IMAGES_MAX];
		size_t name_count = guest_images(host->guests[i], names);

		for (size_t k = 0; k < name_count; k++) {
			const struct image *image = find_image(up, names[k]);
			bool known = false;

			for (size_t j = 0; j < *count && !known; j++)
				known = list[j] == image;
			if (image && !known)
				list[(*count)++] = image;
		}
		collect_carried(up, host->guests[i]->host, list, count);
	}
}

static json_t *carried_json(const struct boot *boot)
{
	json_t *carried = json_object();

	for (size_t i = 0; i < boot->carried_count; i++)
		json_object_set_new(carried, boot->carried[i]->name, json_string(boot->carried[i]->id));
	return carried;
}

/* What is known of a guest from before its start on; its process comes when it runs. */
static json_t *guest_value(const struct lab *lab, const struct boot *boot)
{
	return json_pack("{s:o, s:s, s:I, s:b, s:o}", "spec", spec_guest(lab, boot->guest), "accel",
			 accelerator_name(boot->accelerator), "since", (json_int_t)time(NULL), "pending", 1, "carried",
			 carried_json(boot));
}

static json_t *process_json(const struct process_id *process)
{
	return json_pack("{s:i, s:I}", "pid", (int)process->pid, "start", (json_int_t)process->start);
}

static enum accelerator recorded_accelerator(const json_t *value)
{
	bool kvm = strcmp(json_get_string(value, "accel", ""), accelerator_name(ACCEL_KVM)) == 0;

	return kvm ? ACCEL_KVM : ACCEL_TCG;
}

static struct boot prepare_boot(struct up *up, struct arena *arena, const struct guest *guest)
{
	/* Each image once. */
	const struct image **carried =
		arena_alloc(arena, (up->session->lab->guest_count + 1) * GUEST_IMAGES_MAX * sizeof(*carried));
	struct boot boot = {.guest = guest,
			    .image = find_image(up, guest->image),
			    .virtio = guest->install ? find_image(up, guest->install->virtio) : NULL,
			    .carried = carried,
			    .accelerator = up->accelerator};

	collect_carried(up, guest->host, carried, &boot.carried_count);
	return boot;
}

static int start_guest(struct up *up, const struct guest *guest, const char *saved, json_t *value, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct boot boot = prepare_boot(up, arena, guest);
	struct driver_state state = {0};
	int r;

	if (guest->host)
		isolate_forget(&up->session->folders, guest);
	boot.saved = saved;
	boot.accelerator = recorded_accelerator(value); /* a run that only starts it again has not probed */
	r = boot_guest(up->session, &boot, &state, err);
	if (r < 0)
		return error_wrap(err, "%s does not start", guest->path);
	json_object_set_new(value, "process", process_json(&state.process));
	/* Where it is started again these may be others than those that it was first handed. */
	json_object_set_new(value, "carried", carried_json(&boot));
	return 0;
}

/* Those of the guest itself and of all below it, where this run has not fetched them for a step of its own. */
static int fetch_images_of(struct up *up, const struct guest *guest, struct error **err)
{
	const char *images[GUEST_IMAGES_MAX];
	size_t count = guest_images(guest, images);
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = find_image(up, images[i]) ? 0 : fetch_image(up, images[i], err);

	for (size_t i = 0; r == 0 && guest->host && i < guest->host->guest_count; i++)
		r = fetch_images_of(up, guest->host->guests[i], err);
	return r;
}

static int refuse_overwriting(const char *path, const char *why, struct error **err)
{
	int r = error_set(err, EEXIST, "%s: a change of somebody else's would be overwritten: %s", path, why);

	error_hint(err,
		   "say the same in the lab file; or nestvisor up --overwrite, which makes it again what that says");
	return r;
}

/* At the last moment: what was changed since the plan was made is not lost either. */
int apply_check_drift(const struct session *s, const struct guest *guest, const char *run_dir, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct driver_ops *driver = driver_of(run_dir);
	struct guest_drift drift = {0};

	if (driver->drift && !s->overwrite)
		driver->drift(arena, (const char *const[]){run_dir}, 1, &drift);
	if (drift.unknown)
		return error_set(err, EIO, "whether somebody else has changed %s is not known: %s", guest->path,
				 drift.unknown);
	return drift.count ? refuse_overwriting(guest->path, drift.changes[0], err) : 0;
}

/* ESXi has nobody who would say that it is up. */
static int wait_ready(struct up *up, const struct guest *guest, const char *run_dir, const json_t *value,
		      struct error **err)
{
	struct session *s = up->session;

	if (settings_system(guest->os) != ESXI)
		return driver_of(run_dir)->wait_ready(run_dir, guest->path, recorded_accelerator(value), s->reporter,
						      s->cancel, err);
	report(s->reporter, REPORT_NOTE, guest->path,
	       "runs; there is no guest agent for ESXi, so its screen tells when it is up (nestvisor screenshot %s)",
	       guest->path);
	return 0;
}

/*
 * Ends a guest that hangs, or whose CPU was reset, and starts it anew. Emulation does that to about one boot in a
 * hundred, of the guest itself or of a hypervisor while its first guests start; waiting would not mend it. It is said
 * aloud each time.
 */
static int start_again(struct up *up, const struct guest *guest, json_t *value, const struct error *problem,
		       struct error **err)
{
	struct session *s = up->session;
	cleanup_arena struct arena *arena = arena_new();
	const char *run_dir = folders_guest(arena, &s->folders, guest->name);
	int r;

	report(s->reporter, REPORT_WARNING, guest->path, "is started once more: %s", problem->message);
	r = apply_check_drift(s, guest, run_dir, err);
	if (r == 0)
		r = driver_of(run_dir)->stop(run_dir, err);
	if (r == 0)
		r = fetch_images_of(up, guest, err);
	if (r == 0)
		r = start_guest(up, guest, NULL, value, err);
	if (r == 0)
		r = wait_ready(up, guest, run_dir, value, err);
	return r;
}

static int do_ready(struct up *up, const struct guest *guest, json_t *value, struct error **err)
{
	struct session *s = up->session;
	cleanup_arena struct arena *arena = arena_new();
	const char *run_dir = folders_guest(arena, &s->folders, guest->name);
	cleanup_error struct error *problem = NULL;
	struct driver_state state = {0};
	int r;

	report(s->reporter, REPORT_BEGIN, guest->path, "booting");
	r = wait_ready(up, guest, run_dir, value, &problem);
	if (r == -ETIMEDOUT || r == -ECONNRESET)
		r = start_again(up, guest, value, problem, err);
	else if (r < 0)
		error_move(err, &problem);
	if (r == 0)
		r = boot_installed(s, guest, err);
	if (r == 0)
		r = boot_settle(s, guest, err);
	if (r == 0)
		r = driver_of(run_dir)->look(run_dir, &state, err);
	if (r < 0) {
		report(s->reporter, REPORT_FAILED, guest->path,
		       r == -ECANCELED ? "stopped waiting for it" : "did not come up");
		return error_wrap(err, "%s did not come up", guest->path);
	}
	report(s->reporter, REPORT_DONE, guest->path, "is up");
	json_object_del(value, "pending");
	json_object_set_new(value, "process",
			    process_json(&state.process)); /* also of one that a killed run had started */
	return 0;
}

static void report_part(struct session *s, const struct guest *guest)
{
	cleanup_strbuf struct strbuf names = {0};

	for (size_t i = 0; i < guest->host->guest_count; i++)
		strbuf_printf(&names, "%s%s", i ? ", " : "", guest->host->guests[i]->path);
	report(s->reporter, REPORT_BEGIN, guest->path, "bringing up %s", names.length ? names.text : "its networks");
}

static int do_part(struct up *up, const struct guest *guest, struct error **err)
{
	struct session *s = up->session;
	cleanup_arena struct arena *arena = arena_new();
	const char *key = resource_key(arena, "guest", guest->path);
	cleanup_error struct error *problem = NULL;
	int r;

	report_part(s, guest);
	r = part_run(s, guest, &problem);
	for (int tries = 0; r == 0 && part_lags(s, guest) && tries < PART_TRIES;
	     tries++) /* something was said meanwhile */
		r = part_run(s, guest, &problem);
	for (int starts = 0; (r == -ETIMEDOUT || r == -EPIPE) && starts < STARTS_AGAIN && !guest_is_machine(guest);
	     starts++) {
		cleanup_json json_t *value = json_deep_copy(state_get(s->state, key));

		r = start_again(up, guest, value, problem, err);
		json_object_del(value, "pending");
		if (r == 0)
			r = state_put(s->state, key, value, err);
		error_freep(&problem);
		if (r < 0)
			break;
		r = part_run(s, guest, &problem);
	}
	if (r < 0 && problem)
		error_move(err, &problem);
	report(s->reporter, r < 0 ? REPORT_FAILED : REPORT_DONE, guest->path,
	       r == -ECANCELED ? "stopped waiting for it"
	       : r < 0	       ? "its part did not come up"
			       : "all of it is up");
	return r < 0 ? error_wrap(err, "in %s", guest->path) : 0;
}

/* The lab's part on a machine that has no guests of it any more. */
static int leave_machine(struct up *up, const struct step *step, struct error **err)
{
	struct session *s = up->session;
	cleanup_json json_t *known = state_resources(s->state);
	const char *key;
	json_t *value;
	cleanup_arena struct arena *arena = arena_new();
	int r = machines_leave(&s->folders, step->path,
			       json_object_get(known, resource_key(arena, "machine", step->path)), 0, s->reporter,
			       s->cancel, err);

	json_object_foreach (known, key, value)
		if (r == 0 && strcmp(json_get_string(value, "machine", ""), step->path) == 0)
			r = state_put(s->state, key, NULL, err);
	return r;
}

static int stop_guest(struct up *up, const struct step *step, struct error **err)
{
	struct session *s = up->session;
	cleanup_arena struct arena *arena = arena_new();
	const char *run_dir = folders_guest(arena, &s->folders, step->name);
	const struct guest *guest;
	int r;

	report(s->reporter, REPORT_BEGIN, step->path, "stopping");
	into_end_master(run_dir);
	/* One that the file does not name any more goes as it is. */
	guest = lab_find_guest(s->lab, step->path);
	r = guest ? apply_check_drift(s, guest, run_dir, err) : 0;
	if (r == 0)
		r = driver_of(run_dir)->stop(run_dir, err);
	if (r == 0)
		r = part_forget(s, step->path, err);
	if (r == 0)
		r = dir_remove(run_dir, err);
	report(s->reporter, r < 0 ? REPORT_FAILED : REPORT_DONE, step->path, r < 0 ? "does not stop" : "is stopped");
	return r;
}

static int restore_guest(struct up *up, const struct step *step, struct error **err)
{
	struct session *s = up->session;
	cleanup_arena struct arena *arena = arena_new();
	const char *run_dir = folders_guest(arena, &s->folders, step->name);
	const struct driver_ops *driver = driver_of(run_dir);
	int r = driver->restore ? driver->restore(run_dir, err) : 0;

	return r < 0 ? error_wrap(err, "%s is not what it was defined as", step->path) : 0;
}

static int remove_disk(struct up *up, const struct step *step, struct error **err)
{
	struct session *s = up->session;
	cleanup_arena struct arena *arena = arena_new();
	const char *disk = folders_disk(arena, &s->folders, step->name);
	int r;

	if (file_exists(folders_snapshots(arena, &s->folders, step->name)))
		report(s->reporter, REPORT_NOTE, step->path, "its snapshots go with its disk");
	r = dir_remove(disk, err);

	if (r == 0)
		r = dir_remove(arena_printf(arena, "%s.base", disk), err);
	if (r == 0)
		r = dir_remove(folders_snapshots(arena, &s->folders, step->name), err);
	if (r == 0)
		r = dir_remove(folders_own(arena, &s->folders, step->name), err);
	if (r == 0)
		r = dir_remove(arena_printf(arena, "%s.made", folders_own(arena, &s->folders, step->name)), err);
	if (r == 0)
		r = dir_remove(folders_installed(arena, &s->folders, step->name), err);
	return r < 0 ? r : dir_remove(folders_seed(arena, &s->folders, step->name), err);
}

/* The value that a resource has from here on, whether or not the step succeeds; NULL for steps without a resource. */
static json_t *value_before(struct up *up, const struct step *step)
{
	cleanup_arena struct arena *arena = arena_new();
	struct boot boot;
	json_t *known;

	switch (step->kind) {
	case STEP_NETWORK:
		return json_pack("{s:o, s:s}", "spec", spec_network(step->network), "bridge", step->network->bridge);
	case STEP_START:
		boot = prepare_boot(up, arena, step->guest);
		return guest_value(up->session->lab, &boot);
	case STEP_READY:
	case STEP_RECORD:
		known = state_get(up->session->state, resource_key(arena, "guest", step->path));
		known = known ? json_copy(known) : json_object();
		if (step->kind == STEP_RECORD)
			json_object_set_new(known, "spec", spec_guest(up->session->lab, step->guest));
		return known;
	case STEP_NAMESPACE:
	case STEP_UPLINK:
	case STEP_PUBLISH:
	case STEP_RULES:
	case STEP_ROUTES:
	case STEP_DHCP:
	case STEP_REMOVE_NETWORK:
	case STEP_PROBE:
	case STEP_IMAGE:
	case STEP_STOP:
	case STEP_RESTORE:
	case STEP_REMOVE_DISK:
	case STEP_LEAVE:
		break;
	case STEP_PART:
		/* From now on the lab may be there: also where it ends badly, somebody must take it away. */
		return guest_is_machine(step->guest) ? machines_state(up->session->lab, step->guest->machine) : NULL;
	}
	return NULL;
}

static int take_step(struct up *up, const struct step *step, json_t *value, struct error **err)
{
	struct session *s = up->session;
	struct net *net = s->net;

	switch (step->kind) {
	case STEP_NAMESPACE:
		return net_make_namespace(net, err);
	case STEP_UPLINK:
		return net_make_uplink(net, s->reporter, err);
	case STEP_PUBLISH:
		return net_make_publish(net, s->reporter, err);
	case STEP_NETWORK:
		return net_make_network(net, step->network, err);
	case STEP_RULES:
		return isolate_make_rules(s, err);
	case STEP_ROUTES:
		return net_make_routes(net, err);
	case STEP_DHCP:
		return net_make_dhcp(net, step->network, s->cancel, err);
	case STEP_REMOVE_NETWORK:
		return net_remove_network(net, step->name, err);
	case STEP_PROBE:
		return do_probe(up, err);
	case STEP_IMAGE:
		return fetch_image(up, step->name, err);
	case STEP_STOP:
		return stop_guest(up, step, err);
	case STEP_RESTORE:
		return restore_guest(up, step, err);
	case STEP_REMOVE_DISK:
		return remove_disk(up, step, err);
	case STEP_START:
		return start_guest(up, step->guest, NULL, value, err);
	case STEP_READY:
		return do_ready(up, step->guest, value, err);
	case STEP_PART:
		return do_part(up, step->guest, err);
	case STEP_LEAVE:
		return leave_machine(up, step, err);
	case STEP_RECORD:
		return 0;
	}
	return error_set(err, EINVAL, "unknown step %s", step->id);
}

/* The resource that a step makes, changes or, as the last one of a removal, takes away; NULL for none. */
static const char *resource_of(struct arena *arena, const struct step *step)
{
	switch (step->kind) {
	case STEP_NETWORK:
	case STEP_REMOVE_NETWORK:
		return resource_key(arena, "network", step->path);
	case STEP_START:
	case STEP_READY:
	case STEP_RECORD:
	case STEP_REMOVE_DISK:
		return resource_key(arena, "guest", step->path);
	case STEP_NAMESPACE:
	case STEP_UPLINK:
	case STEP_PUBLISH:
	case STEP_RULES:
	case STEP_ROUTES:
	case STEP_DHCP:
	case STEP_PROBE:
	case STEP_IMAGE:
	case STEP_STOP:
	case STEP_RESTORE:
		break;
	case STEP_PART:
		return guest_is_machine(step->guest) ? resource_key(arena, "machine", step->path) : NULL;
	case STEP_LEAVE:
		return resource_key(arena, "machine", step->path);
	}
	return NULL;
}

static int run_step(void *context, const struct step *step, struct error **err)
{
	struct up *up = context;
	struct state *state = up->session->state;
	cleanup_arena struct arena *arena = arena_new();
	const char *resource = resource_of(arena, step);
	cleanup_json json_t *value = value_before(up, step);
	int r = state_begin(state, step->id, value ? resource : NULL, value, err);

	if (r < 0)
		return r;
	r = take_step(up, step, value, err);
	if (r < 0) {
		/* The step has ended, badly: what it began stays marked as pending. */
		state_done(state, step->id, NULL, NULL, NULL);
		return r;
	}
	return state_done(state, step->id, resource, value, err);
}

/* Only the part that comes down from the layer above has them: they are in use here once, for the CD with the answers.
 */
static void forget_passwords(json_t *guests)
{
	const char *name;
	json_t *guest;

	json_object_foreach (guests, name, guest) {
		json_object_del(json_object_get(guest, "install"), "password");
		forget_passwords(json_object_get(guest, "guests"));
	}
}

/*
 * The lab as applied, so that every command knows it by its name, also when the file is gone. Its guests and networks
 * stay in their order: the rules in the kernel are known by a text that names them in it.
 */
static json_t *lab_as_applied(const struct session *session)
{
	json_t *lab = config_part(session->lab, session->lab->root);

	forget_passwords(json_object_get(lab, "guests"));
	return lab;
}

/* Besides those that have parts of the lab, the machines that the plan is going to tell theirs. */
static int keep_machines(struct session *session, const struct plan *plan, const json_t *lab, struct error **err)
{
	cleanup_json json_t *known = state_resources(session->state);
	cleanup_arena struct arena *arena = arena_new();

	for (size_t i = 0; plan && i < plan->step_count; i++) {
		const struct step *step = &plan->steps[i];

		if (step->kind == STEP_PART && guest_is_machine(step->guest))
			json_object_set_new(known, resource_key(arena, "machine", step->path),
					    machines_state(session->lab, step->guest->machine));
	}
	return machines_keep(&session->folders, lab, known, err);
}

static int remember_lab(struct session *session, const struct plan *plan, struct error **err)
{
	cleanup_json json_t *lab = lab_as_applied(session);
	int r = keep_machines(session, plan, lab, err);

	/* What was recalled after a reboot is not, once there is a lab that is applied. */
	if (r == 0 && !file_exists(session->folders.lab_file))
		r = state_compact(session->state, err);
	return r < 0 ? r : json_write_file_in_order(session->folders.lab_file, lab, err);
}

/* What came of it; of a run that ended badly, too. */
static int keep_outcome(struct session *session, struct error **err)
{
	cleanup_json json_t *lab = lab_as_applied(session);

	return keep_machines(session, NULL, lab, err);
}

static int mark_unfinished(struct session *session, bool unfinished, struct error **err)
{
	cleanup_json json_t *value = unfinished ? json_object() : NULL;

	return state_put(session->state, PLAN_UNFINISHED, value, err);
}

static unsigned max_booting(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus > 2 ? (unsigned)cpus * 2 : 4;
}

static int check_overwrites(const struct session *session, const struct plan *plan, struct error **err)
{
	for (size_t i = 0; i < plan->change_count && !session->overwrite; i++)
		if (plan->changes[i].overwrites)
			return refuse_overwriting(plan->changes[i].path, plan->changes[i].why, err);
	return 0;
}

static int carry_out(struct session *session, const struct plan *plan, struct error **err)
{
	struct up up = {.session = session, .plan = plan, .mutex = PTHREAD_MUTEX_INITIALIZER};
	enum step_result *results = calloc(plan->step_count + 1, sizeof(*results));
	int r = remember_lab(session, plan, err), compacted;

	/* Each image is fetched once. */
	up.images = calloc((session->lab->guest_count + 1) * GUEST_IMAGES_MAX, sizeof(*up.images));
	if (!results || !up.images)
		abort();
	if (r == 0)
		r = mark_unfinished(session, true, err);
	if (r == 0) {
		r = executor_run(plan, run_step, &up, max_booting(), session->cancel, results, err);
		if (r == 0)
			r = mark_unfinished(session, false, err);
		compacted = keep_outcome(session, r < 0 ? NULL : err);
		r = r < 0 ? r : compacted;
		compacted = state_compact(session->state, r < 0 ? NULL : err);
		r = r < 0 ? r : compacted;
	}
	for (size_t i = 0; i < up.image_count; i++)
		arena_free(up.images[i].arena);
	free(up.images);
	free(results);
	return r;
}

int apply_start(struct session *session, const struct guest *guest, const char *saved, struct error **err)
{
	struct up up = {.session = session, .mutex = PTHREAD_MUTEX_INITIALIZER};
	cleanup_arena struct arena *arena = arena_new();
	const char *key = resource_key(arena, "guest", guest->path);
	cleanup_json json_t *value = json_deep_copy(state_get(session->state, key));
	int r;

	if (!value)
		return error_set(err, ENOENT, "%s was never started: nestvisor up", guest->path);
	up.images = arena_alloc(arena, (session->lab->guest_count + 1) * GUEST_IMAGES_MAX * sizeof(*up.images));
	json_object_set_new(value, "since", json_integer(time(NULL)));
	r = fetch_images_of(&up, guest, err);
	if (r == 0)
		r = start_guest(&up, guest, saved, value, err);
	if (r == 0)
		r = saved ? state_put(session->state, key, value, err) : do_ready(&up, guest, value, err);
	if (r == 0 && !saved)
		r = state_put(session->state, key, value, err);
	for (size_t i = 0; i < up.image_count; i++)
		arena_free(up.images[i].arena);
	return r;
}

int apply_plan(struct session *session, const struct plan *plan, struct error **err)
{
	int r = check_overwrites(session, plan, err);

	return r < 0 ? r : carry_out(session, plan, err);
}

int apply_wait_for_host(const struct cancel *cancel, struct error **err)
{
	static const char done[] = "/run/nestvisor.ready"; /* image/image.h */
	cleanup_free char *words = NULL;
	long long end = clock_ms() + HOST_READY_MS;
	size_t length;
	int r;

	if (file_read("/proc/cmdline", 1 << 16, &words, &length, NULL) < 0 || !strstr(words, "nestvisor.host=1"))
		return 0;
	while (!file_exists(done)) {
		if (clock_ms() > end)
			return error_set(err, ETIMEDOUT, "the drivers of this hypervisor are not loaded after %d s",
					 HOST_READY_MS / 1000);
		r = cancel_sleep(cancel, 10);
		if (r < 0)
			return error_set(err, ECANCELED, "stopped");
	}
	return 0;
}

json_t *apply_answer(const struct session *session, const struct error *problem)
{
	json_t *error =
		problem ? json_pack("{s:s, s:s?}", "message", problem->message, "hint", problem->hint) : json_null();

	return json_pack("{s:s, s:o, s:o}", "lab", session->lab->name, "resources", state_resources(session->state),
			 "error", error);
}
