/*
 * Each new nestvisor makes a new image; old ones go, but the newest few, and those that a process has open or names on
 * its command line (a QEMU keeps the carriers of its guest open). Layers with a disk are never removed here: overlays
 * of guests that do not run now stand on them.
 */
#include "image/image_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEEP = 3, JSON_LIMIT = 4 << 20 };

struct candidate {
	char id[IMAGE_ID_SIZE];
	struct timespec made;
	json_t *manifest;
	bool keep;
};

struct candidates {
	struct candidate *items;
	size_t count;
};

static int newest_first(const void *a, const void *b)
{
	const struct timespec *x = &((const struct candidate *)a)->made, *y = &((const struct candidate *)b)->made;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? 1 : -1;
	return (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

static void list(const struct image_build *build, const char *kind, struct candidates *ret)
{
	cleanup_closedir DIR *dir = opendir(arena_printf(build->arena, "%s/%s", build->cache, kind));
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *path = arena_printf(build->arena, "%s/%s/%s", build->cache, kind, entry->d_name);
		struct candidate *c;
		struct stat st;

		if (strlen(entry->d_name) != IMAGE_ID_SIZE - 1 || stat(path, &st) < 0)
			continue;
		c = arena_push(build->arena, ret->items, ret->count);
		*c = (struct candidate){.made = st.st_mtim};
		memcpy(c->id, entry->d_name, IMAGE_ID_SIZE);
		json_read_file(arena_printf(build->arena, "%s/manifest.json", path), JSON_LIMIT, &c->manifest, NULL);
	}
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), newest_first);
}

static void clear(struct candidates *list)
{
	for (size_t i = 0; i < list->count; i++)
		json_decref(list->items[i].manifest);
}

static void keep_if_below(struct candidates *list, const char *folder, const char *path)
{
	size_t length = strlen(folder);

	if (strncmp(path, folder, length) != 0 || path[length] != '/')
		return;
	for (size_t i = 0; i < list->count; i++)
		if (strncmp(path + length + 1, list->items[i].id, IMAGE_ID_SIZE - 1) == 0)
			list->items[i].keep = true;
}

/* Marks what any process has open: /proc/<pid>/fd is a folder of links to the open files (proc(5)). */
static void keep_open_ones(const struct image_build *build, const char *folder, struct candidates *list)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	struct dirent *process, *file;

	while (proc && (process = readdir(proc))) {
		cleanup_closedir DIR *files = NULL;

		if (!isdigit((unsigned char)*process->d_name))
			continue;
		files = opendir(arena_printf(build->arena, "/proc/%s/fd", process->d_name));
		while (files && (file = readdir(files))) {
			char target[PATH_MAX];
			ssize_t n = readlinkat(dirfd(files), file->d_name, target, sizeof(target) - 1);

			if (n <= 0)
				continue;
			target[n] = '\0';
			keep_if_below(list, folder, target);
		}
	}
}

static void prune_images(const struct image_build *build, struct candidates *images)
{
	char real[PATH_MAX];
	size_t seen = 0;

	if (!realpath(arena_printf(build->arena, "%s/images", build->cache), real))
		return;
	keep_open_ones(build, real, images);
	for (size_t i = 0; i < images->count; i++) {
		struct candidate *c = &images->items[i];

		if (strcmp(json_get_string(c->manifest, "name", ""), build->recipe->name) != 0 || seen++ < KEEP)
			c->keep = true;
		if (!c->keep)
			dir_remove(arena_printf(build->arena, "%s/%s", real, c->id), NULL);
	}
}

static void prune_layers(const struct image_build *build, const struct candidates *images)
{
	struct candidates layers = {0};
	char key[IMAGE_ID_SIZE];
	const char *current;

	layer_key(build->recipe, key);
	current = cache_read_link(build->arena, build->cache, key);
	list(build, "layers", &layers);
	for (size_t i = 0; i < layers.count; i++) {
		struct candidate *c = &layers.items[i];

		c->keep = strcmp(json_get_string(c->manifest, "name", ""), build->recipe->name) != 0 ||
			  json_object_get(c->manifest, "disk") || (current && strcmp(current, c->id) == 0);
		for (size_t j = 0; j < images->count && !c->keep; j++)
			c->keep = images->items[j].keep &&
				  strcmp(json_get_string(images->items[j].manifest, "layer", ""), c->id) == 0;
		if (!c->keep)
			dir_remove(arena_printf(build->arena, "%s/layers/%s", build->cache, c->id), NULL);
	}
	clear(&layers);
}

void cache_prune(const struct image_build *build)
{
	struct candidates images = {0};

	list(build, "images", &images);
	prune_images(build, &images);
	prune_layers(build, &images);
	clear(&images);
}
