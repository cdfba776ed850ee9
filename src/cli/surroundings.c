#include "cli/surroundings.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"

#include <fnmatch.h>
#include <linux/route.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { FILE_LIMIT = 16 << 20, SHORTEST_PREFIX = 4 };

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

static uint64_t total_memory(const char *root)
{
	cleanup_free char *text = read_below(root, "/proc/meminfo");
	const char *line = text ? strstr(text, "MemTotal:") : NULL;
	unsigned long long kib = 0;

	if (!line || sscanf(line, "MemTotal: %llu kB", &kib) != 1)
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

static bool is_of_interest(const struct prefix *prefix, const char *interface, unsigned flags)
{
	static const struct {
		const char *text;
	} never[] = {{"fe80::/10"}, {"ff00::/8"}, {"169.254.0.0/16"}, {"224.0.0.0/4"}};

	if (prefix->length < SHORTEST_PREFIX || (flags & RTF_REJECT) || strcmp(interface, "lo") == 0 ||
	    fnmatch("nv????????w", interface, 0) == 0)
		return false;
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
		struct prefix other;

		if (prefix_parse(never[i].text, &other) && other.ip.family == prefix->ip.family &&
		    other.length <= prefix->length && prefix_contains(&other, &prefix->ip))
			return false;
	}
	return true;
}

struct routes {
	struct surroundings_route *items;
	size_t count;
};

static void add_route(struct arena *arena, struct routes *routes, const struct prefix *prefix, const char *interface,
		      unsigned flags)
{
	struct surroundings_route *route;

	if (!(flags & RTF_UP) || !is_of_interest(prefix, interface, flags))
		return;
	route = arena_push(arena, routes->items, routes->count);
	route->prefix = *prefix;
	snprintf(route->interface, sizeof(route->interface), "%s", interface);
}

/* "eth0 0002A8C0 00000000 0001 0 0 0 00FFFFFF …": addresses are the four bytes as this machine reads them as a number.
 */
static void read_routes4(const char *root, struct arena *arena, struct routes *routes)
{
	cleanup_free char *text = read_below(root, "/proc/net/route");
	char *save = NULL;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		struct prefix prefix = {.ip.family = AF_INET};
		char interface[INTERFACE_NAME_SIZE];
		uint32_t destination, mask;
		unsigned flags;

		if (sscanf(line, "%15s %x %*x %x %*d %*d %*d %x", interface, &destination, &flags, &mask) != 4)
			continue;
		memcpy(prefix.ip.bytes, &destination, sizeof(destination));
		prefix.length = (uint8_t)__builtin_popcount(mask);
		add_route(arena, routes, &prefix, interface, flags);
	}
}

static bool parse_hex_bytes(const char *text, uint8_t bytes[16])
{
	for (size_t i = 0; i < 16; i++) {
		unsigned byte;

		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		bytes[i] = (uint8_t)byte;
	}
	return true;
}

/* "fd000000… 40 000… 00 000… 00000100 00000001 00000000 00000001 eth0" */
static void read_routes6(const char *root, struct arena *arena, struct routes *routes)
{
	cleanup_free char *text = read_below(root, "/proc/net/ipv6_route");
	char *save = NULL;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		struct prefix prefix = {.ip.family = AF_INET6};
		char interface[INTERFACE_NAME_SIZE], address[33];
		unsigned flags, length;

		if (sscanf(line, "%32s %x %*s %*x %*s %*x %*x %*x %x %15s", address, &length, &flags, interface) != 4)
			continue;
		if (strlen(address) != 32 || length > 128 || !parse_hex_bytes(address, prefix.ip.bytes))
			continue;
		prefix.length = (uint8_t)length;
		/* Addresses of the machine itself and anycast ones (RTF_LOCAL, RTF_ANYCAST) say nothing that the subnet
		 * does not. */
		if (length < 128)
			add_route(arena, routes, &prefix, interface, flags);
	}
}

void surroundings_collect(const char *root, struct arena *arena, struct surroundings *ret)
{
	struct routes routes = {0};
	uint64_t limit = group_limit(root);

	*ret = (struct surroundings){.cpus = usable_cpus(), .memory = total_memory(root)};
	if (ret->memory > limit)
		ret->memory = limit;
	read_routes4(root, arena, &routes);
	read_routes6(root, arena, &routes);
	ret->routes = routes.items;
	ret->route_count = routes.count;
}
