#include "cli/surroundings.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "config/schema.h"
#include "image/install.h"
#include "net/net.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { FILE_LIMIT = 16 << 20 };

static char *read_below(const char *root, const char *path)
{
	cleanup_free char *full = NULL;
	char *text = NULL;
	size_t length;

	if (asprintf(&full, "%s%s", root, path) < 0)
		abort();
	return file_read(full, FILE_LIMIT, &text, &length, NULL) == 0 ? text : NULL;
}

static unsigned usable_cpus(void)
{
	/* Larger machines than cpu_set_t holds (1,024) fail with EINVAL; the dynamic sets go on. */
	for (size_t cpus = 1024; cpus <= 65536; cpus *= 4) {
		size_t size = CPU_ALLOC_SIZE(cpus);
		cpu_set_t *set = CPU_ALLOC(cpus);
		int count = 0;

		if (!set)
			return 0;
		if (sched_getaffinity(0, size, set) == 0)
			count = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (count > 0)
			return (unsigned)count;
	}
	return 0;
}

/* A line of proc_meminfo(5), in bytes. */
static uint64_t meminfo(const char *root, const char *name)
{
	cleanup_free char *text = read_below(root, "/proc/meminfo");
	const char *line = text ? strstr(text, name) : NULL;
	unsigned long long kib = 0;

	if (!line || sscanf(line + strlen(name), ": %llu kB", &kib) != 1)
		return 0;
	return (uint64_t)kib * 1024;
}

/* The least memory.max of our control group and those above it (cgroups(7), version 2); UINT64_MAX where there is none.
 */
static uint64_t group_limit(const char *root)
{
	cleanup_free char *text = read_below(root, "/proc/self/cgroup"), *path = NULL;
	char *group = text ? strstr(text, "0::/") : NULL;
	uint64_t least = UINT64_MAX;

	if (!group)
		return least;
	group += strlen("0::");
	group[strcspn(group, "\n")] = '\0';
	for (char *slash = group + strlen(group); slash; slash = strrchr(group, '/')) {
		cleanup_free char *limit = NULL;
		unsigned long long bytes;

		*slash = '\0';
		free(path);
		if (asprintf(&path, "/sys/fs/cgroup%s/memory.max", group) < 0)
			abort();
		limit = read_below(root, path);
		if (limit && sscanf(limit, "%llu", &bytes) == 1 && bytes < least)
			least = bytes;
	}
	return least;
}

static void read_routes(struct arena *arena, struct surroundings *ret)
{
	cleanup_free struct net_overlap *found = NULL;
	struct surroundings_route *routes;
	size_t count = 0;

	if (net_host_routes(&found, &count, NULL) < 0)
		return;
	routes = arena_alloc(arena, (count + 1) * sizeof(*routes));
	for (size_t i = 0; i < count; i++) {
		routes[i].prefix = found[i].prefix;
		snprintf(routes[i].interface, sizeof(routes[i].interface), "%s", found[i].interface);
	}
	ret->routes = routes;
	ret->route_count = count;
}

static int check_install(struct arena *arena, struct guest *guest, int *ret_key, struct error **err)
{
	static const int keys[] = {[INSTALL_PART_WHOLE] = -1,
				   [INSTALL_PART_MEDIUM] = INSTALL_ISO,
				   [INSTALL_PART_VIRTIO] = INSTALL_VIRTIO,
				   [INSTALL_PART_EDITION] = INSTALL_EDITION,
				   [INSTALL_PART_PASSWORD] = INSTALL_PASSWORD_FILE};
	enum install_part wrong = INSTALL_PART_WHOLE;
	int r = install_check(arena, guest, &wrong, err);

	*ret_key = keys[wrong];
	return r;
}

void surroundings_collect(const char *root, struct arena *arena, struct surroundings *ret)
{
	uint64_t limit = group_limit(root);

	*ret = (struct surroundings){.cpus = usable_cpus(), .memory = meminfo(root, "MemTotal")};
	if (ret->memory > limit)
		ret->memory = limit;
	if (!*root) {
		read_routes(arena, ret);
		ret->check_install = check_install;
	}
}

struct machine_room surroundings_room(void)
{
	struct machine_room room = {.cpus = usable_cpus(), .memory = meminfo("", "MemAvailable")};
	uint64_t limit = group_limit("");

	if (room.memory > limit)
		room.memory = limit;
	return room;
}
