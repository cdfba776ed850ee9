#include "driver/qemu_memory.h"

#include "base/arena.h"
#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "driver/qmp.h"
#include "driver/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	ANSWER_MS = 10000,
	SAVE_MS = 600000, /* of all the memory there is, on a slow disk */
	LOOK_MS = 2,	  /* how often a migration is looked at */
};

/* Bytes a second; QEMU begins with 128 MiB, which is meant for networks. */
static const long long bandwidth = 1LL << 40;

static int open_qmp(const char *run_dir, struct cancel *cancel, struct qmp **ret, struct error **err)
{
	cleanup_free char *path = in_dir(run_dir, "qmp");

	return qmp_open(path, ANSWER_MS, cancel, ret, err);
}

/* A migration that goes on would end with the guest stopped once more. */
static int end_migration(struct qmp *qmp, struct error **err)
{
	int r = qmp_execute(qmp, "migrate_cancel", NULL, ANSWER_MS, NULL, NULL, err);

	for (long long end = clock_ms() + ANSWER_MS; r == 0;) {
		cleanup_json json_t *answer = NULL;
		const char *status;

		r = qmp_execute(qmp, "query-migrate", NULL, ANSWER_MS, NULL, &answer, err);
		status = json_get_string(answer, "status", "none");
		if (strcmp(status, "none") == 0 || strcmp(status, "completed") == 0 || strcmp(status, "failed") == 0 ||
		    strcmp(status, "cancelled") == 0)
			return r;
		if (r == 0 && clock_ms() > end)
			r = error_set(err, ETIMEDOUT, "QEMU does not end the migration to a file that it was at");
		cancel_sleep(NULL, LOOK_MS);
	}
	return r;
}

/* Until a migration has ended, either way. */
static int wait_for_migration(struct qmp *qmp, struct cancel *cancel, struct error **err)
{
	long long end = clock_ms() + SAVE_MS;

	for (;;) {
		cleanup_json json_t *answer = NULL;
		const char *status;
		int r = qmp_execute(qmp, "query-migrate", NULL, ANSWER_MS, NULL, &answer, err);

		if (r < 0)
			return r;
		status = json_get_string(answer, "status", "none");
		if (strcmp(status, "completed") == 0)
			return 0;
		if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0)
			return error_set(err, EIO, "QEMU says \"%s\"", json_get_string(answer, "error-desc", status));
		if (clock_ms() > end)
			return error_set(err, ETIMEDOUT, "QEMU has not ended it after %d s", SAVE_MS / 1000);
		if (cancel_sleep(cancel, LOOK_MS) < 0)
			return error_set(err, ECANCELED, "stopped");
	}
}

static int write_memory(struct qmp *qmp, const char *path, struct cancel *cancel, struct error **err)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return error_errno(err, errno, "cannot make %s", path);
	r = qmp_execute(qmp, "migrate-set-parameters", json_pack("{s:I}", "max-bandwidth", (json_int_t)bandwidth),
			ANSWER_MS, cancel, NULL, err);
	if (r == 0)
		r = qmp_give(qmp, "memory", fd, ANSWER_MS, cancel, err);
	if (r == 0)
		r = qmp_execute(qmp, "migrate", json_pack("{s:s}", "uri", "fd:memory"), ANSWER_MS, cancel, NULL, err);
	if (r == 0)
		r = wait_for_migration(qmp, cancel, err);
	return r < 0 ? error_wrap(err, "the guest's memory cannot be written to %s", path) : 0;
}

/* The node that the guest's device has for a file: another than at first once an overlay was put over that. */
static int find_node(struct qmp *qmp, struct arena *arena, const char *disk, const char **ret, struct error **err)
{
	cleanup_json json_t *devices = NULL;
	const json_t *device;
	size_t i;
	int r = qmp_execute(qmp, "query-block", NULL, ANSWER_MS, NULL, &devices, err);

	if (r < 0)
		return r;
	json_array_foreach (devices, i, device) {
		const json_t *inserted = json_object_get(device, "inserted");

		if (strcmp(json_get_string(inserted, "file", ""), disk) == 0) {
			*ret = arena_strdup(arena, json_get_string(inserted, "node-name", ""));
			return 0;
		}
	}
	return error_set(err, ENODEV, "QEMU has no disk %s", disk);
}

/* "disk-3" for …/disk-3.qcow2: QEMU has no other node of that name, since each overlay has a number of its own. */
static const char *node_name(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');

	return arena_printf(arena, "%.*s", dot ? (int)(dot - name) : (int)strlen(name), name);
}

static int put_overlay(struct qmp *qmp, const struct driver_save *save, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *node = NULL, *overlay = node_name(arena, save->overlay);
	int r = find_node(qmp, arena, save->disk, &node, err);

	if (r == 0)
		r = qmp_execute(qmp, "blockdev-add",
				json_pack("{s:s, s:s, s:s, s:n, s:{s:s, s:s, s:s, s:s}}", "driver", "qcow2",
					  "node-name", overlay, "discard", "unmap", "backing", "file", "driver", "file",
					  "filename", save->overlay, "node-name",
					  arena_printf(arena, "file-%s", overlay), "discard", "unmap"),
				ANSWER_MS, NULL, NULL, err);
	if (r == 0) {
		r = qmp_execute(qmp, "blockdev-snapshot", json_pack("{s:s, s:s}", "node", node, "overlay", overlay),
				ANSWER_MS, NULL, NULL, err);
		if (r < 0)
			qmp_execute(qmp, "blockdev-del", json_pack("{s:s}", "node-name", overlay), ANSWER_MS, NULL,
				    NULL, NULL);
	}
	return r < 0 ? error_wrap(err, "the guest's disk cannot be kept") : 0;
}

int qemu_save(const char *run_dir, const struct driver_save *save, struct cancel *cancel, struct error **err)
{
	cleanup_qmp struct qmp *qmp = NULL;
	int r = open_qmp(run_dir, cancel, &qmp, err);

	if (r == 0)
		r = qmp_execute(qmp, "stop", NULL, ANSWER_MS, cancel, NULL, err);
	if (r == 0)
		r = write_memory(qmp, save->memory, cancel, err);
	if (r == 0 && save->overlay)
		r = put_overlay(qmp, save, err);
	return r;
}

int qemu_pause(const char *run_dir, struct error **err)
{
	cleanup_qmp struct qmp *qmp = NULL;
	int r = open_qmp(run_dir, NULL, &qmp, err);

	if (r == 0)
		r = qmp_execute(qmp, "stop", NULL, ANSWER_MS, NULL, NULL, err);
	return r < 0 ? r : end_migration(qmp, err);
}

int qemu_resume(const char *run_dir, struct error **err)
{
	cleanup_qmp struct qmp *qmp = NULL;
	int r = open_qmp(run_dir, NULL, &qmp, err);

	return r < 0 ? r : qmp_execute(qmp, "cont", NULL, ANSWER_MS, NULL, NULL, err);
}

int qemu_go_on(struct qmp *qmp, struct cancel *cancel, struct error **err)
{
	int r = wait_for_migration(qmp, cancel, err);

	return r < 0 ? r : qmp_execute(qmp, "cont", NULL, ANSWER_MS, NULL, NULL, err);
}
