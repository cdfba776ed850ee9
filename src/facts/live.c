#include "facts/live_internal.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/netns.h"
#include "facts/relation.h"

#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

struct mac live_mac(const struct nlattr *attribute)
{
	struct mac mac = {};

	if (attribute && mnl_attr_get_payload_len(attribute) == sizeof(mac.bytes)) {
		memcpy(mac.bytes, mnl_attr_get_payload(attribute), sizeof(mac.bytes));
		mac.known = true;
	}
	return mac;
}

struct capture *live_capture(struct live *live, const char *source, const char *command)
{
	struct capture *capture = loader_add_capture(live->loader, source, 0);

	capture->command = command;
	capture->used = true;
	return capture;
}

void live_unknown(struct live *live, const char *source, const char *command, const char *format, ...)
{
	struct arena *arena = live->pool->arena;
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	loader_unused(live->loader, source, command, text);
	*arena_push(arena, live->facts->notes, live->facts->note_count) =
		(struct note){arena_strdup(arena, text), {.source = source}};
	free(text);
}

struct ruleset *live_parse(struct live *live, const char *source, const char *command, unsigned rank,
			   void (*parse)(struct reader *reader, const struct asked *asked), const struct asked *asked,
			   const char *text, size_t length)
{
	struct loader *loader = live->loader;
	struct arena *arena = live->pool->arena;
	struct ruleset ruleset = {};
	size_t clean;
	const char *kept = text_clean(arena, text, length, &clean);
	struct captured_rules *captured;

	parse(&(struct reader){.pool = live->pool,
			       .facts = live->facts,
			       .ruleset = &ruleset,
			       .capture = live_capture(live, source, command),
			       .source = source,
			       .at = kept,
			       .end = kept + clean},
	      asked);
	captured = arena_push(arena, loader->rules, loader->rule_count);
	*captured = (struct captured_rules){ruleset, live->facts->capture_count - 1, rank};
	return &captured->ruleset;
}

int live_dump(struct netlink *nl, struct nlmsghdr *request, netlink_each each, void *data, size_t *count)
{
	size_t before = *count;
	int r = -EINTR;

	for (int again = 0; again < LIVE_DUMPS_MAX && r == -EINTR; again++) {
		*count = before;
		r = netlink_ask(nl, request, each, data);
	}
	return r;
}

static int by_index(const void *a, const void *b)
{
	const struct live_interface *left = a, *right = b;

	return left->index < right->index ? -1 : left->index > right->index;
}

void live_sort_interfaces(struct live *live)
{
	if (live->interface_count)
		qsort(live->interfaces, live->interface_count, sizeof(*live->interfaces), by_index);
}

const struct live_interface *live_find_interface(const struct live *live, uint32_t index)
{
	if (live->interface_count == 0)
		return NULL;
	return bsearch(&(struct live_interface){.index = index}, live->interfaces, live->interface_count,
		       sizeof(*live->interfaces), by_index);
}

const char *live_interface(struct live *live, uint32_t index)
{
	const struct live_interface *interface = live_find_interface(live, index);
	char name[IF_NAMESIZE];

	if (interface || index == 0 || !if_indextoname(index, name))
		return interface ? interface->name : NULL;
	live->facts->links_known = TRUTH_NO;
	return pool_text(live->pool, name);
}

int facts_live_network(struct loader *loader, struct error **err)
{
	struct live live = {.loader = loader, .pool = loader->pool, .facts = loader->facts};
	int r = netlink_open(&live.route, -1, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	loader->facts->system = SYSTEM_LINUX;
	live_read_names(&live);
	r = live_links(&live, err);
	if (r == 0) {
		live_neighbours(&live);
		live_routes(&live);
		live_policy_rules(&live);
		live_sysctls(&live);
		live_firewall(&live);
		live_ipsets(&live);
		live_connections(&live);
		live_listeners(&live);
	}
	netlink_close(&live.route);
	return r;
}

static int collect(const char *name, bool whole, struct bundle **ret, struct error **err)
{
	struct arena *arena = arena_new();
	cleanup_bundle struct bundle *bundle = arena_new_struct(arena, struct bundle);
	struct pool pool = {.arena = arena};
	struct loader loader;
	int r;

	bundle->arena = arena;
	loader_begin(&loader, &pool, name);
	r = facts_live_network(&loader, err);
	if (r < 0)
		return r;
	if (whole)
		facts_live_system(&loader);
	loader_end(&loader);
	*arena_push(arena, bundle->hosts, bundle->host_count) = loader.facts;
	relate_hosts(&pool, bundle, NULL, NULL);
	*ret = steal_pointer(&bundle);
	return 0;
}

int bundle_live(struct bundle **ret, struct error **err)
{
	struct utsname system;

	if (uname(&system) < 0)
		return error_errno(err, errno, "cannot ask for the name of this host");
	return collect(system.nodename, true, ret, err);
}

int bundle_live_at(int netns, const char *name, struct bundle **ret, struct error **err)
{
	struct netns_visit visit;
	int r = netns_enter(netns, &visit, err);

	if (r < 0)
		return r;
	r = collect(name, false, ret, err);
	netns_leave(&visit);
	return r;
}
