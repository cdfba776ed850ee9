#include "image/sums.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sha2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART_SIZE = 16 << 20, READ_SIZE = 1 << 18, THREADS_MAX = 8 };

struct part {
	off_t offset;
	size_t size;
	char hash[HASH_TEXT_SIZE];
};

/* What the threads share: they take the next part until none is left. */
struct summing {
	int fd;
	struct part *parts;
	size_t count;
	atomic_size_t next;
	atomic_int failure; /* an errno */
	const struct cancel *cancel;
};

static int sum_part(int fd, struct part *part, char *buffer)
{
	size_t done = 0;
	SHA2_CTX hash;

	SHA256Init(&hash);
	while (done < part->size) {
		size_t want = part->size - done < READ_SIZE ? part->size - done : READ_SIZE;
		ssize_t n = pread(fd, buffer, want, part->offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : ENODATA;
		SHA256Update(&hash, (const uint8_t *)buffer, (size_t)n);
		done += (size_t)n;
	}
	SHA256End(&hash, part->hash);
	return 0;
}

static void *sum_parts(void *arg)
{
	cleanup_free char *buffer = malloc(READ_SIZE);
	struct summing *s = arg;
	size_t i;
	int r;

	if (!buffer)
		abort();
	while ((i = atomic_fetch_add(&s->next, 1)) < s->count && !atomic_load(&s->failure)) {
		r = cancel_requested(s->cancel) ? ECANCELED : sum_part(s->fd, &s->parts[i], buffer);
		if (r)
			atomic_store(&s->failure, r);
	}
	return NULL;
}

/* The calling thread works too, so that nothing is lost where no thread can be had. */
static int sum_in_threads(struct summing *s)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[THREADS_MAX];
	size_t running = 0;

	while (running < THREADS_MAX && running + 1 < s->count && (long)running + 1 < cpus &&
	       pthread_create(&threads[running], NULL, sum_parts, s) == 0)
		running++;
	sum_parts(s);
	for (size_t i = 0; i < running; i++)
		pthread_join(threads[i], NULL);
	return -atomic_load(&s->failure);
}

/* Sums a file in the given parts, whose hashes are filled in. */
static int sum_file(const char *path, struct part *parts, size_t count, const struct cancel *cancel, struct error **err)
{
	struct summing s = {.fd = open(path, O_RDONLY | O_CLOEXEC), .parts = parts, .count = count, .cancel = cancel};
	int r;

	if (s.fd < 0)
		return error_errno(err, errno, "cannot read %s", path);
	r = sum_in_threads(&s);
	close(s.fd);
	return r < 0 ? error_errno(err, r, "cannot read %s", path) : 0;
}

static int sum_whole_file(const char *path, off_t size, struct cancel *cancel, json_t **ret, struct error **err)
{
	size_t count = (size_t)((size + PART_SIZE - 1) / PART_SIZE);
	cleanup_free struct part *parts = calloc(count ? count : 1, sizeof(*parts));
	int r;

	if (!parts)
		abort();
	for (size_t i = 0; i < count; i++) {
		parts[i].offset = (off_t)i * PART_SIZE;
		parts[i].size = (size_t)(size - parts[i].offset < PART_SIZE ? size - parts[i].offset : PART_SIZE);
	}
	r = sum_file(path, parts, count, cancel, err);
	if (r < 0)
		return r;
	*ret = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(*ret, json_pack("[Is]", (json_int_t)parts[i].size, parts[i].hash));
	return 0;
}

static long long modified(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec;
}

int sums_add(json_t *sums, const char *folder, const char *name, json_t *parts, struct cancel *cancel,
	     struct error **err)
{
	cleanup_free char *path = NULL;
	struct stat st;
	int r;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		abort();
	if (stat(path, &st) < 0) {
		json_decref(parts);
		return error_errno(err, errno, "cannot read %s", path);
	}
	if (!parts) {
		r = sum_whole_file(path, st.st_size, cancel, &parts, err);
		if (r < 0)
			return r;
	}
	json_object_set_new(sums, name,
			    json_pack("{sIsIso}", "size", (json_int_t)st.st_size, "mtime", (json_int_t)modified(&st),
				      "parts", parts));
	return 0;
}

json_t *sums_parts(const json_t *sums, const char *name)
{
	return json_incref(json_object_get(json_object_get(sums, name), "parts"));
}

static int check_content(const char *path, const json_t *file, struct cancel *cancel, struct error **err)
{
	const json_t *sums = json_object_get(file, "parts");
	size_t count = json_array_size(sums);
	cleanup_free struct part *parts = calloc(count ? count : 1, sizeof(*parts));
	off_t offset = 0;
	int r;

	if (!parts)
		abort();
	for (size_t i = 0; i < count; i++) {
		json_int_t size = json_integer_value(json_array_get(json_array_get(sums, i), 0));

		parts[i].offset = offset;
		parts[i].size = (size_t)size;
		offset += size;
	}
	if (offset != json_integer_value(json_object_get(file, "size")))
		return error_set(err, EBADMSG, "the checksums of %s do not add up to its size", path);
	r = sum_file(path, parts, count, cancel, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const char *want = json_string_value(json_array_get(json_array_get(sums, i), 1));

		if (!want || strcmp(want, parts[i].hash) != 0)
			r = error_set(err, EBADMSG, "%s is damaged: its checksum is wrong between bytes %lld and %lld",
				      path, (long long)parts[i].offset,
				      (long long)(parts[i].offset + (off_t)parts[i].size));
	}
	return r;
}

static int check_file(const char *path, json_t *file, bool content, struct cancel *cancel, bool *ret_changed,
		      struct error **err)
{
	json_int_t size = json_integer_value(json_object_get(file, "size"));
	json_int_t mtime = json_integer_value(json_object_get(file, "mtime"));
	struct stat st;
	int r = 0;

	if (stat(path, &st) < 0)
		return error_set(err, EBADMSG, "%s is damaged: %s", path, strerror(errno));
	if (st.st_size != size)
		return error_set(err, EBADMSG, "%s is damaged: it has %lld bytes and should have %lld", path,
				 (long long)st.st_size, (long long)size);
	if (content || modified(&st) != mtime)
		r = check_content(path, file, cancel, err);
	if (r == 0 && modified(&st) != mtime) {
		json_object_set_new(file, "mtime", json_integer((json_int_t)modified(&st)));
		*ret_changed = true;
	}
	return r;
}

int sums_check(json_t *sums, const char *folder, bool content, struct cancel *cancel, bool *ret_changed,
	       struct error **err)
{
	const char *name;
	json_t *file;

	*ret_changed = false;
	json_object_foreach (sums, name, file) {
		cleanup_free char *path = NULL;
		int r;

		if (asprintf(&path, "%s/%s", folder, name) < 0)
			abort();
		r = check_file(path, file, content, cancel, ret_changed, err);
		if (r < 0)
			return r;
	}
	return 0;
}

json_t *sums_portable(const json_t *sums)
{
	json_t *copy = json_deep_copy(sums), *file;
	const char *name;

	json_object_foreach (copy, name, file)
		json_object_del(file, "mtime");
	return copy;
}

void json_identify(const json_t *json, char ret[IMAGE_ID_SIZE])
{
	cleanup_free char *text = json_text(json);
	char hash[HASH_TEXT_SIZE];

	hash_bytes(text, strlen(text), hash);
	snprintf(ret, IMAGE_ID_SIZE, "%.20s", hash);
}
