/*
 * Taking a lab away, from its name alone. Guests are ended first, in parallel; then the network, which is one
 * namespace; the folders last, so that a killed `down` can be run again and still finds everything.
 */
#include "apply/adopted_watch.h"
#include "apply/folders.h"
#include "apply/into.h"
#include "apply/machines.h"
#include "apply/up.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "config/config.h"
#include "driver/driver.h"
#include "net/net.h"
#include "plan/state.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

struct ending {
	const char *run_dir, *name;
	struct reporter *reporter;
	struct error *err;
	pthread_t thread;
	int result;
	bool threaded, force;
};

/* Its libvirt does not end it. The next `up` takes over what that still has of it, for it bears the lab's mark. */
static int end_by_force(struct ending *e)
{
	const struct driver_ops *driver = driver_of(e->run_dir);
	cleanup_free char *left = NULL;
	cleanup_error struct error *problem = NULL;
	int r = driver->stop_without(e->run_dir, &left, &problem);

	if (r < 0)
		return e->result;
	report(e->reporter, REPORT_WARNING, e->name,
	       "ended without libvirt, which still has the domain %s: virsh undefine %s, or the next up takes it over "
	       "(%s)",
	       left, left, e->err->message);
	error_freep(&e->err);
	return 0;
}

static void *end_guest(void *arg)
{
	struct ending *e = arg;

	report(e->reporter, REPORT_BEGIN, e->name, "stopping");
	into_end_master(e->run_dir);
	e->result = driver_of(e->run_dir)->stop(e->run_dir, &e->err);
	if (e->force && (e->result == -ETIMEDOUT || e->result == -EIO) && driver_of(e->run_dir)->stop_without)
		e->result = end_by_force(e);
	report(e->reporter, e->result < 0 ? REPORT_FAILED : REPORT_DONE, e->name,
	       e->result < 0 ? "does not stop" : "is gone");
	return NULL;
}

static struct ending *list_guests(struct arena *arena, const struct folders *folders, bool force,
				  struct reporter *reporter, size_t *count)
{
	cleanup_closedir DIR *dir = opendir(arena_printf(arena, "%s/guests", folders->run));
	struct ending *guests = NULL;
	struct dirent *entry;

	*count = 0;
	while (dir && (entry = readdir(dir))) {
		const char *name;

		if (entry->d_name[0] == '.')
			continue;
		name = arena_strdup(arena, entry->d_name);
		*arena_push(arena, guests, *count) = (struct ending){.run_dir = folders_guest(arena, folders, name),
								     .name = name,
								     .reporter = reporter,
								     .force = force};
	}
	return guests;
}

static int end_guests(struct arena *arena, const struct folders *folders, bool force, struct reporter *reporter,
		      struct error **err)
{
	size_t count;
	struct ending *guests = list_guests(arena, folders, force, reporter, &count);
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		guests[i].threaded = pthread_create(&guests[i].thread, NULL, end_guest, &guests[i]) == 0;
		if (!guests[i].threaded)
			end_guest(&guests[i]);
	}
	for (size_t i = 0; i < count; i++) {
		if (guests[i].threaded)
			pthread_join(guests[i].thread, NULL);
		if (guests[i].result < 0 && r == 0)
			r = error_move(err, &guests[i].err);
		error_free(guests[i].err);
	}
	return r;
}

static int take_away(struct arena *arena, const struct folders *folders, unsigned flags, struct reporter *reporter,
		     struct error **err)
{
	int r = end_guests(arena, folders, flags & DOWN_FORCE, reporter, err);

	if (r == 0)
		r = adopted_watch_end(folders, err);
	if (r == 0)
		r = net_remove_all(folders->lab, folders->run, err);
	return r < 0 ? r : folders_remove(arena, folders, flags & DOWN_KEEP_DISKS, err);
}

/* A machine that has, or may have, a part of the lab. */
struct leaving {
	const struct folders *folders;
	const char *name;
	const json_t *kept;
	unsigned flags;
	struct reporter *reporter;
	struct cancel *cancel;
	struct error *err;
	pthread_t thread;
	int result;
	bool threaded;
};

static void *leave(void *arg)
{
	struct leaving *l = arg;

	l->result = machines_leave(l->folders, l->name, l->kept, l->flags, l->reporter, l->cancel, &l->err);
	return NULL;
}

static int end_leaving(struct leaving *l, bool forget, struct error **err)
{
	int r = 0;

	if (l->threaded)
		pthread_join(l->thread, NULL);
	if (l->result < 0 && forget)
		report(l->reporter, REPORT_WARNING, l->name, "is left as it is: %s", l->err->message);
	else if (l->result < 0 && !*err) {
		r = error_set(err, l->err->code, "%s%s%s", l->err->message, l->err->hint ? "; " : "",
			      l->err->hint ? l->err->hint : "");
		error_hint(err,
			   "nestvisor down %s --forget-hosts goes on without hosts that do not answer, and leaves what "
			   "is there",
			   l->folders->lab);
	}
	error_free(l->err);
	return r;
}

/* Of a state that cannot be read: the machines of the lab as it was applied, if it had any. */
static int machines_of_lab(const struct folders *folders, bool forget, json_t **ret, struct error **err)
{
	cleanup_problems struct problems problems = {};
	cleanup_lab struct lab *lab = NULL;

	*ret = json_object();
	if (!file_exists(folders->lab_file) || config_load(folders->lab_file, NULL, &problems, &lab, NULL) < 0) {
		if (forget)
			return 0;
		error_hint(err, "nestvisor down %s --forget-hosts takes away what is here, and asks no other host",
			   folders->lab);
		return -EIO;
	}
	for (size_t i = 0; i < lab->machine_count; i++) {
		cleanup_free char *key = NULL;

		if (asprintf(&key, "machine:%s", lab->machines[i]->name) < 0)
			abort();
		json_object_set_new(*ret, key, machines_state(lab, lab->machines[i]));
	}
	return 0;
}

static int find_machines(const struct folders *folders, bool forget, json_t **ret, struct error **err)
{
	cleanup_state struct state *state = NULL;
	cleanup_error struct error *problem = NULL;
	cleanup_error struct error *hinted = NULL;
	int r = state_open(folders->run, &state, &problem);

	if (r == 0) {
		r = machines_recall(folders, state, err);
		if (r == 0)
			*ret = state_resources(state);
		return r;
	}
	error_set(&hinted, problem->code, "%s", problem->message);
	r = machines_of_lab(folders, forget, ret, &hinted);
	return r < 0 ? error_move(err, &hinted) : 0;
}

static int leave_machines(struct arena *arena, const struct folders *folders, unsigned flags, struct reporter *reporter,
			  struct cancel *cancel, struct error **err)
{
	cleanup_json json_t *known = NULL;
	struct leaving **all = NULL;
	const char *key;
	json_t *value;
	size_t count = 0;
	int r = find_machines(folders, flags & DOWN_FORGET_HOSTS, &known, err), failed;

	if (r < 0)
		return r;
	json_object_foreach (known, key, value) {
		struct leaving *l;

		if (strncmp(key, "machine:", 8) != 0)
			continue;
		l = arena_new_struct(arena, struct leaving);
		*l = (struct leaving){.folders = folders,
				      .name = strchr(key, ':') + 1,
				      .kept = value,
				      .flags = flags,
				      .reporter = reporter,
				      .cancel = cancel};
		*arena_push(arena, all, count) = l;
		l->threaded = pthread_create(&l->thread, NULL, leave, l) == 0;
		if (!l->threaded)
			leave(l);
	}
	for (size_t i = 0; i < count; i++) {
		failed = end_leaving(all[i], flags & DOWN_FORGET_HOSTS, err);
		r = r < 0 ? r : failed;
	}
	return r;
}

int apply_down(const char *lab, unsigned flags, bool *ret_was_there, struct reporter *reporter, struct cancel *cancel,
	       struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_close int lock = -1;
	struct folders folders;
	int r = folders_of(arena, lab, &folders, err);

	if (r < 0)
		return r;
	/* A namespace alone can be left, where somebody emptied /run. */
	*ret_was_there = file_exists(folders.run) || file_exists(folders.state) ||
			 file_exists(arena_printf(arena, "/run/netns/nestvisor-%s", lab));
	r = folders_lock(&folders, arena_printf(arena, "down %s", lab), -1, reporter, cancel, &lock, err);
	if (r == 0)
		r = leave_machines(arena, &folders, flags, reporter, cancel, err);
	if (r == 0)
		r = take_away(arena, &folders, flags, reporter, err);
	if (r == 0 && (flags & DOWN_KEEP_DISKS) && !(flags & DOWN_FORGET_HOSTS))
		r = machines_stay(&folders, err);
	return r < 0 ? error_wrap(err, "lab %s", lab) : 0;
}
