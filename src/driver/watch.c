#include "driver/watch.h"

#include "base/cancel.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "driver/postmortem.h"
#include "driver/qmp.h"
#include "driver/run_dir.h"

#include <stdlib.h>
#include <string.h>

enum {
	ANSWER_MS = 10000,
	REPORT_MS = 5000,
	KEY_TURNS = 180, /* how long a key is pressed, at most: firmware under emulation takes a minute to get there */
};

#define CD_READ_BYTES (UINT64_C(24) << 20) /* more than a boot loader reads before it asks for the key */

struct watch {
	struct qmp *qmp;
	struct reporter *reporter;
	const char *run_dir;
	char *path;
	struct watch_count count;
	uint64_t read, written; /* by its disks */
	uint64_t cd_read;
	bool has_cd, loops;
	unsigned turns;
	long long reported;
};

bool watch_count_reset(struct watch_count *count, uint64_t written)
{
	count->resets++;
	count->idle = written - count->written < WATCH_IDLE_BYTES ? count->idle + 1 : 0;
	count->written = written;
	return count->idle >= WATCH_IDLE_RESETS || count->resets >= WATCH_RESETS;
}

/* docs/interop/qemu-qmp-ref: RESET, of the guest's own doing. */
static void on_event(const json_t *event, void *data)
{
	struct watch *watch = data;

	if (strcmp(json_get_string(event, "event", ""), "RESET") != 0 ||
	    !json_is_true(json_object_get(json_object_get(event, "data"), "guest")))
		return;
	watch->loops |= watch_count_reset(&watch->count, watch->written);
	report(watch->reporter, REPORT_NOTE, watch->path, "restart %u; %llu MiB written so far",
	       watch->count.resets, (unsigned long long)watch->written >> 20);
}

int watch_open(const char *run_dir, const char *path, struct reporter *reporter, const struct cancel *cancel,
	       struct watch **ret, struct error **err)
{
	cleanup_free char *events = in_dir(run_dir, "events");
	cleanup_watch struct watch *watch = NULL;
	int r;

	*ret = NULL;
	if (!file_exists(events))
		return 0;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		abort();
	watch->reporter = reporter;
	watch->run_dir = run_dir;
	watch->path = strdup(path);
	if (!watch->path)
		abort();
	r = qmp_open(events, ANSWER_MS, cancel, &watch->qmp, err);
	if (r < 0)
		return r;
	qmp_on_event(watch->qmp, on_event, watch);
	/* One that looped was stopped; whoever waits for it again wants to see it try. */
	r = qmp_execute(watch->qmp, "cont", NULL, ANSWER_MS, cancel, NULL, err);
	if (r == 0)
		*ret = steal_pointer(&watch);
	return r;
}

void watch_close(struct watch *watch)
{
	if (!watch)
		return;
	qmp_close(watch->qmp);
	free(watch->path);
	free(watch);
}

/* The nodes are called as command.c calls them. */
static void take_statistics(struct watch *watch, const json_t *devices)
{
	const json_t *device;
	size_t i;

	watch->read = watch->written = watch->cd_read = 0;
	json_array_foreach (devices, i, device) {
		const json_t *stats = json_object_get(device, "stats");
		uint64_t read = (uint64_t)json_get_integer(stats, "rd_bytes", 0);

		watch->read += read;
		watch->written += (uint64_t)json_get_integer(stats, "wr_bytes", 0);
		if (strcmp(json_get_string(device, "node-name", ""), "cd0") == 0) {
			watch->cd_read = read;
			watch->has_cd = true;
		}
	}
}

static void press_key(struct watch *watch, const struct cancel *cancel)
{
	if (watch->has_cd && watch->count.resets == 0 && watch->written == 0 && watch->cd_read < CD_READ_BYTES &&
	    watch->turns < KEY_TURNS)
		qmp_execute(watch->qmp, "send-key",
			    json_pack("{s:[{s:s, s:s}]}", "keys", "type", "qcode", "data", "ret"), ANSWER_MS, cancel,
			    NULL, NULL);
}

static int stop_loop(struct watch *watch, const struct cancel *cancel, struct error **err)
{
	cleanup_free char *what = NULL;
	int r;

	qmp_execute(watch->qmp, "stop", NULL, ANSWER_MS, cancel, NULL, NULL);
	if (asprintf(&what,
		     "it restarts without end: %u times by now, the last %u with less than %llu MiB written between "
		     "them. "
		     "It is stopped, its screen as it was",
		     watch->count.resets, watch->count.idle, (unsigned long long)WATCH_IDLE_BYTES >> 20) < 0)
		abort();
	r = postmortem(watch->run_dir, ELOOP, what, err);
	error_hint(err,
		   "`nestvisor screenshot` shows what it says, `nestvisor up` lets it try again. A Windows does this "
		   "where it starts a hypervisor of its own on a CPU that does not nest so deep (nested: false takes "
		   "svm and vmx from it), where its disk's driver is missing (INACCESSIBLE_BOOT_DEVICE), and where KVM "
		   "refuses a register (options kvm ignore_msrs=1 on its host)");
	return r;
}

int watch_turn(struct watch *watch, const struct cancel *cancel, struct error **err)
{
	cleanup_json json_t *devices = NULL;
	long long now = clock_ms();
	int r = qmp_execute(watch->qmp, "query-blockstats", NULL, ANSWER_MS, cancel, &devices, err);

	if (r < 0)
		return r;
	take_statistics(watch, devices);
	if (watch->loops)
		return stop_loop(watch, cancel, err);
	press_key(watch, cancel);
	watch->turns++;
	if (now - watch->reported < REPORT_MS)
		return 0;
	watch->reported = now;
	report(watch->reporter, REPORT_UPDATE, watch->path, "%s: %llu MiB read, %llu written, %u restarts",
	       watch->has_cd ? "installing" : "starting", (unsigned long long)watch->read >> 20,
	       (unsigned long long)watch->written >> 20, watch->count.resets);
	return 0;
}

uint64_t watch_bytes(const struct watch *watch)
{
	return watch->read + watch->written;
}

bool watch_installs(const struct watch *watch)
{
	return watch->has_cd;
}
