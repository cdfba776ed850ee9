#include "fork/snapshot.h"

#include "apply/into.h"
#include "apply/up.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "driver/driver.h"
#include "fork/guard.h"
#include "fork/store.h"
#include "fork/version.h"
#include "net/net.h"
#include "plan/spec.h"
#include "transport/transport.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { AGENT_MS = 10000, CLOCK_MS = 5000 };

struct restoring {
	struct session *session;
	const struct store *store;
	struct snapshot snapshot;
	bool memory;
	struct pending pending;
	const char *own_before; /* its variables and TPM until then, kept until it is done */
};

/* ─── may it be done ─── */

/* The machine must be the one that it was; of one that boots the disk alone. */
static int check_spec(const struct restoring *it, struct error **err)
{
	const struct guest *guest = it->store->guest;
	cleanup_json json_t *now = spec_guest(it->session->lab, guest);
	cleanup_strbuf struct strbuf why = {0};
	struct spec_difference difference;
	int r;

	if (!spec_differs(json_object_get(it->snapshot.json, "spec"), now, &difference, &why) ||
	    (!difference.new_disk && (!it->memory || difference.action != PLAN_RESTART)))
		return 0;
	r = error_set(err, ENOTSUP, "%s is not the machine that it was when its snapshot %s was taken: %s", guest->path,
		      it->snapshot.name, why.text);
	error_hint(err,
		   difference.new_disk || !it->snapshot.disk
			   ? "make the lab file say what it said then, and nestvisor up, first"
			   : "make the lab file say what it said then, and nestvisor up, first; or nestvisor "
			     "restore --no-memory %s %s, which boots it from its disk",
		   guest->path, it->snapshot.name);
	return r;
}

static int check(struct restoring *it, const char *name, bool without_memory, struct error **err)
{
	const struct store *store = it->store;
	struct driver_state state = {0};
	int r = guard_kind(it->session, store->guest, err);

	if (r == 0)
		r = store_find(store, name, &it->snapshot, err);
	if (r < 0)
		return r;
	it->memory = it->snapshot.memory && !without_memory;
	if (it->snapshot.damage)
		return error_set(err, ENODATA, "the snapshot %s of %s is not whole: %s", name, store->guest->path,
				 it->snapshot.damage);
	if (!it->memory && !it->snapshot.disk)
		return error_set(err, ENODATA,
				 "%s has no disk that it could boot from as it was then: nestvisor up boots it anew",
				 store->guest->path);
	if (!net_namespace_exists(it->session->net)) {
		r = error_set(err, ENOENT, "the lab %s does not run, and %s would have no network",
			      it->session->lab->name, store->guest->path);
		error_hint(err, "nestvisor up, first");
		return r;
	}
	r = check_spec(it, err);
	if (r == 0 && it->memory)
		r = version_check(store, &it->snapshot, err);
	if (r == 0)
		r = store->driver->look(store->run_dir, &state, err);
	if (r == 0 && state.running)
		r = apply_check_drift(it->session, store->guest, store->run_dir, err);
	return r < 0 ? r : store_check_sums(store, &it->snapshot, it->memory, err);
}

/* ─── doing it ─── */

/* What is to be put back should the start fail is moved aside once, also where this is done again. */
static int replace_own(const struct restoring *it, struct error **err)
{
	const struct store *store = it->store;
	const char *from = arena_printf(store->arena, "%s/%s/own", store->folder, it->snapshot.name);
	const char *boot = arena_printf(store->arena, "%s/boot", store->own);
	int r = 0;

	if (!it->snapshot.variables && !it->snapshot.tpm)
		return 0;
	if (!file_exists(it->own_before) && rename(store->own, it->own_before) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot put aside %s", store->own);
	r = dir_remove(store->own, err);
	if (r == 0)
		r = dir_make(store->own, 0700, err);
	if (r == 0)
		r = store_copy_own(store, from, store->own, NULL, NULL, err);
	/* The disk that an image's own kernel is booted from is the same at every start, and a guest has read it. */
	if (r == 0 && link(arena_printf(store->arena, "%s/boot", it->own_before), boot) < 0 && errno != ENOENT)
		r = error_errno(err, errno, "cannot make %s", boot);
	return r;
}

/* Its state before, as far as there still is one: it does not run any more. */
static void put_back(const struct restoring *it)
{
	const struct store *store = it->store;
	cleanup_error struct error *problem = NULL;
	int r = store_set_current(store, it->pending.before, &problem);

	if (r == 0 && file_exists(it->own_before)) {
		r = dir_remove(store->own, &problem);
		if (r == 0 && rename(it->own_before, store->own) < 0)
			r = error_errno(&problem, errno, "cannot put back %s", store->own);
	}
	if (r == 0)
		r = store_end_pending(store, &problem);
	if (r == 0)
		r = store_collect(store, it->session->reporter, &problem);
	if (r < 0)
		report(it->session->reporter, REPORT_WARNING, store->guest->path, "%s", problem->message);
}

/* One that was interrupted and cannot be done again. A guest that runs has not begun with it, or has it behind it. */
static void give_up(const struct restoring *it)
{
	struct driver_state state = {0};

	it->store->driver->look(it->store->run_dir, &state, NULL);
	if (!state.running) {
		put_back(it);
		return;
	}
	store_end_pending(it->store, NULL);
	dir_remove(it->own_before, NULL);
}

static int start(struct restoring *it, size_t *ret_flows, struct error **err)
{
	const struct store *store = it->store;
	struct session *s = it->session;
	const char *memory = arena_printf(store->arena, "%s/%s/memory", store->folder, it->snapshot.name);
	int r = replace_own(it, err);

	if (r == 0 && it->pending.disk)
		r = store_set_current(store, it->pending.disk, err);
	if (r == 0)
		r = net_end_all_flows(s->net, store->guest, ret_flows, err);
	return r < 0 ? r : apply_start(s, store->guest, it->memory ? memory : NULL, err);
}

static int carry_out(struct restoring *it, size_t *ret_flows, struct error **err)
{
	const struct store *store = it->store;
	cleanup_error struct error *problem = NULL;
	int r = 0;

	if (it->pending.disk) {
		unlink(store_file(store, it->pending.disk));
		r = store_make_overlay(store, it->pending.disk, store_file(store, it->snapshot.disk),
				       it->session->cancel, err);
		if (r < 0) {
			store_end_pending(store, NULL);
			return r;
		}
	}
	into_end_master(store->run_dir);
	r = store->driver->stop(store->run_dir, err);
	if (r < 0)
		return r;
	r = start(it, ret_flows, &problem);
	if (r < 0) {
		store->driver->stop(store->run_dir, NULL);
		put_back(it);
		error_set(err, -r, "%s was ended, and does not go on from its snapshot %s: %s", store->guest->path,
			  it->snapshot.name, problem->message);
		error_hint(err, "its disk is as it was before: nestvisor up starts it%s",
			   it->memory && it->snapshot.disk ? "; nestvisor restore --no-memory boots it from the "
							     "snapshot's disk"
							   : "");
		return r;
	}
	r = store_end_pending(store, err);
	if (r == 0)
		r = dir_remove(it->own_before, err);
	return r < 0 ? r : store_collect(store, it->session->reporter, err);
}

/* For agents that leave the clock alone: QEMU's on a Linux without hwclock(8) does. */
static int set_clock_by_date(struct transport *t, struct arena *arena, struct cancel *cancel)
{
	const char *const argv[] = {"date", "-s", arena_printf(arena, "@%lld", (long long)time(NULL)), NULL};
	cleanup_output struct process_output output = {0};

	return transport_run(t, argv, NULL, 0, CLOCK_MS, cancel, &output, NULL) == 0 && output.status == 0 ? 0 : -EIO;
}

/* What the guest takes for now is the time of the snapshot. */
static void set_clock(const struct restoring *it, struct snapshot_restored *ret)
{
	const struct store *store = it->store;
	cleanup_transport struct transport *t = NULL;
	cleanup_error struct error *problem = NULL;
	struct cancel *cancel = it->session->cancel;
	struct timespec now;
	int r = transport_qga(arena_printf(store->arena, "%s/qga", store->run_dir), cancel, &t, &problem);

	if (r == 0)
		r = qga_wait(t, AGENT_MS, cancel, &problem);
	clock_gettime(CLOCK_REALTIME, &now);
	if (r == 0)
		r = qga_set_time(t, now.tv_sec * 1000000000LL + now.tv_nsec, CLOCK_MS, cancel, &problem);
	if (r < 0 && t && set_clock_by_date(t, store->arena, cancel) == 0)
		r = 0;
	if (r < 0)
		ret->clock = arena_strdup(store->arena, problem->message);
}

int snapshot_restore(struct session *session, const struct guest *guest, const char *name, bool without_memory,
		     struct arena *arena, struct snapshot_restored *ret, struct error **err)
{
	struct store store = store_of(arena, &session->folders, guest);
	struct restoring it = {
		.session = session, .store = &store, .own_before = arena_printf(arena, "%s.before", store.own)};
	bool again = store_read_pending(&store, &it.pending);
	int r = check(&it, name, without_memory, err);

	*ret = (struct snapshot_restored){0};
	if (r < 0 && again)
		give_up(&it);
	if (r < 0)
		return r;
	if (!again) {
		it.pending = (struct pending){.action = "restore",
					      .name = name,
					      .without_memory = without_memory,
					      .before = store_current(&store)};
		if (it.snapshot.disk)
			it.pending.disk = store_next_disk(&store);
		r = store_write_pending(&store, &it.pending, err);
	}
	report(session->reporter, REPORT_BEGIN, guest->path, "going back to %s", name);
	if (r == 0)
		r = carry_out(&it, &ret->flows, err);
	report(session->reporter, r < 0 ? REPORT_FAILED : REPORT_ENDED, guest->path, "does not go back");
	if (r < 0)
		return r;
	ret->memory = it.memory;
	ret->behind = (long long)time(NULL) - it.snapshot.time;
	if (it.memory)
		set_clock(&it, ret);
	return 0;
}
