/*
 * What was said of isolation at run time, as it is kept, and which hosts below know it. All of it is under one lock,
 * but for reading.
 */
#include "apply/isolate_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	FILE_LIMIT = 64 << 20,
	LOCK_MS = 10000, /* holders are done in milliseconds, but where libvirt has to do with it (isolate.h) */
};

const char *isolate_file(struct arena *arena, const char *folder, const char *name)
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
	return isolate_file(arena, folders->state, "isolation.next");
}

static const char *kept_file(struct arena *arena, const struct folders *folders)
{
	return isolate_file(arena, folders->state, "isolation.json");
}

static int read_said(const struct folders *folders, struct arena *arena, json_t **ret, const char **ret_file,
		     struct error **err)
{
	const char *next = next_file(arena, folders), *kept = kept_file(arena, folders);
	cleanup_error struct error *problem = NULL;
	bool changing = json_read_file(next, FILE_LIMIT, ret, NULL) == 0;
	int r;

	*ret_file = changing ? next : kept;
	if (changing)
		return 0;
	r = json_read_file(kept, FILE_LIMIT, ret, &problem);
	/* That somebody may not read it does not mean that nothing was said. */
	return r < 0 && r != -ENOENT ? error_move(err, &problem) : 0;
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
		if (r == -EACCES || r == -EPERM) {
			error_hint(err, "run nestvisor as root");
			return r;
		}
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

int isolate_save(const struct folders *folders, const struct isolation *isolation, struct error **err)
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

int isolate_settle(const struct folders *folders, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();

	return file_settle(next_file(arena, folders), kept_file(arena, folders), err);
}

static void *settle_beside(void *data)
{
	struct isolate_settling *settling = data;

	settling->result = isolate_settle(settling->folders, &settling->err);
	return NULL;
}

void isolate_settle_begin(struct isolate_settling *settling)
{
	settling->threaded = pthread_create(&settling->thread, NULL, settle_beside, settling) == 0;
	if (!settling->threaded)
		settle_beside(settling);
}

int isolate_settle_end(struct isolate_settling *settling, struct error **err)
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

	return file_lock(isolate_file(arena, folders->run, "isolation.lock"), "isolation", LOCK_MS, NULL, cancel,
			 ret_fd, err);
}

/* What is found in isolation.next is from one that was killed: nobody writes it now. */
int isolate_load_locked(const struct folders *folders, const struct lab *lab, struct cancel *cancel, int *ret_fd,
			struct isolation **ret, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_isolation struct isolation *isolation = NULL;
	const char *file;
	int r = lock(folders, cancel, ret_fd, err);

	if (r == 0)
		r = load(folders, lab, arena, &isolation, &file, err);
	if (r == 0 && strcmp(file, next_file(arena, folders)) == 0)
		r = isolate_settle(folders, err);
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
	if (json_read_file(isolate_file(arena, folders->run, "isolation.done"), FILE_LIMIT, &done, NULL) < 0)
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
	return json_write_file(isolate_file(arena, folders->run, "isolation.done"), done, err);
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
		json_write_file(isolate_file(arena, folders->run, "isolation.done"), done, NULL);
}

json_t *isolate_part(const struct isolation *isolation, const struct guest *guest)
{
	struct isolation_clock clock;

	isolation_clock_read(&clock);
	return isolation_json(isolation, guest->host, &clock, true);
}
