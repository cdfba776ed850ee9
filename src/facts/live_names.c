/*
 * The names that the administrator sees for numbers: iproute2 keeps them in files, of which those in /etc come first
 * (newer versions have their own below /usr). "100  office", a comment behind #.
 */
#include "facts/live_internal.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_SIZE_MAX = 1 << 20 };

static const struct live_name tables[] = {{255, "local"}, {254, "main"}, {253, "default"}};
/* etc/iproute2/rt_protos; below 5 they are the kernel's own (rtnetlink(7)) */
static const struct live_name protocols[] = {
	{0, "unspec"}, {1, "redirect"}, {2, "kernel"},	    {3, "boot"},   {4, "static"},    {8, "gated"},
	{9, "ra"},     {10, "mrt"},	{11, "zebra"},	    {12, "bird"},  {13, "dnrouted"}, {14, "xorp"},
	{15, "ntk"},   {16, "dhcp"},	{18, "keepalived"}, {42, "babel"}, {99, "openr"},    {186, "bgp"},
	{187, "isis"}, {188, "ospf"},	{189, "rip"},	    {192, "eigrp"}};
static const struct live_name scopes[] = {{0, "global"}, {200, "site"}, {253, "link"}, {254, "host"}, {255, "nowhere"}};

static const struct {
	const char *file;
	const struct live_name *known;
	size_t count;
} kinds[LIVE_NAMES_COUNT] = {
	[LIVE_TABLES] = {"rt_tables", tables, sizeof(tables) / sizeof(*tables)},
	[LIVE_PROTOCOLS] = {"rt_protos", protocols, sizeof(protocols) / sizeof(*protocols)},
	[LIVE_SCOPES] = {"rt_scopes", scopes, sizeof(scopes) / sizeof(*scopes)},
};

static void read_file(struct live *live, enum live_names kind, const char *path)
{
	struct live_name_table *table = &live->names[kind];
	cleanup_free char *text = NULL;
	struct span rest;
	size_t length;

	if (file_read(path, NAMES_SIZE_MAX, &text, &length, NULL) < 0)
		return;
	rest = (struct span){text, length};
	while (rest.length > 0) {
		struct span line = span_cut(&rest, '\n'), word, name;
		uint64_t number;

		line = span_cut(&line, '#');
		if (span_word(&line, &word) && span_number(word, &number) && span_word(&line, &name))
			*arena_push(live->pool->arena, table->items, table->count) =
				(struct live_name){(uint32_t)number, pool_intern(live->pool, name)};
	}
}

/* rt_tables.d/NAME.conf */
static void read_folder(struct live *live, enum live_names kind, const char *path)
{
	cleanup_closedir DIR *folder = opendir(path);
	const struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.' && span_ends(span_of(entry->d_name), ".conf"))
			read_file(live, kind, arena_printf(live->pool->arena, "%s/%s", path, entry->d_name));
}

void live_read_names(struct live *live)
{
	static const char *const folders[] = {"/usr/share/iproute2", "/usr/lib/iproute2", "/etc/iproute2"};
	struct arena *arena = live->pool->arena;

	for (enum live_names kind = 0; kind < LIVE_NAMES_COUNT; kind++) {
		struct live_name_table *table = &live->names[kind];

		for (size_t i = 0; i < kinds[kind].count; i++)
			*arena_push(arena, table->items, table->count) = kinds[kind].known[i];
		for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
			const char *path = arena_printf(arena, "%s/%s", folders[i], kinds[kind].file);

			read_file(live, kind, path);
			read_folder(live, kind, arena_printf(arena, "%s.d", path));
		}
	}
}

const char *live_name(struct live *live, enum live_names kind, uint32_t number)
{
	const struct live_name_table *table = &live->names[kind];
	char text[16];

	for (size_t i = table->count; i-- > 0;) /* later ones replace earlier ones */
		if (table->items[i].number == number)
			return table->items[i].name;
	snprintf(text, sizeof(text), "%u", number);
	return pool_text(live->pool, text);
}
