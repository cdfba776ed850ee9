#include "base/arena.h"
#include "model/publish.h"
#include "render/render_internal.h"

#include <netinet/in.h>
#include <stdint.h>

struct entry {
	const void *item;
	size_t position;
};

struct positions {
	struct entry *entries;
	size_t count;
};

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct entry *)a)->item, y = (uintptr_t)((const struct entry *)b)->item;

	return x < y ? -1 : x > y;
}

struct positions *positions_new(struct arena *arena, const struct lab *lab)
{
	struct positions *positions = arena_new_struct(arena, struct positions);

	positions->count = lab->network_count;
	positions->entries = arena_alloc(arena, lab->network_count * sizeof(struct entry) + 1);
	for (size_t i = 0; i < lab->network_count; i++)
		positions->entries[i] = (struct entry){lab->networks[i], i};
	qsort(positions->entries, positions->count, sizeof(struct entry), by_address);
	return positions;
}

size_t positions_network(const struct positions *positions, const struct network *network)
{
	struct entry key = {.item = network};
	const struct entry *found =
		bsearch(&key, positions->entries, positions->count, sizeof(struct entry), by_address);

	if (!found)
		abort(); /* of another lab */
	return found->position;
}

void nic_addresses(const struct nic *nic, struct strbuf *out)
{
	const struct ip *addresses[] = {&nic->address4, &nic->address6};
	char text[IP_TEXT_SIZE];
	const char *separator = "";

	strbuf_add(out, "");
	for (size_t i = 0; i < 2; i++) {
		if (!addresses[i]->family)
			continue;
		strbuf_printf(out, "%s%s", separator, ip_format(addresses[i], text));
		separator = ", ";
	}
	if (!*separator && nic->network->dhcp)
		strbuf_add(out, "dhcp");
}

static void append_ip(json_t *list, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	if (ip->family)
		json_array_append_new(list, json_string(ip_format(ip, text)));
}

static void append_prefix(json_t *list, const struct prefix *prefix)
{
	char text[PREFIX_TEXT_SIZE];

	if (prefix->ip.family)
		json_array_append_new(list, json_string(prefix_format(prefix, text)));
}

json_t *nic_addresses_json(const struct nic *nic)
{
	json_t *list = json_array();

	append_ip(list, &nic->address4);
	append_ip(list, &nic->address6);
	return list;
}

json_t *guest_addresses_json(const struct guest *guest)
{
	json_t *list = json_array();

	for (size_t i = 0; i < guest->nic_count; i++) {
		append_ip(list, &guest->nics[i].address4);
		append_ip(list, &guest->nics[i].address6);
	}
	return list;
}

json_t *network_subnets_json(const struct network *network)
{
	json_t *list = json_array();

	append_prefix(list, &network->subnet4);
	append_prefix(list, &network->subnet6);
	return list;
}

json_t *network_gateways_json(const struct network *network)
{
	json_t *list = json_array();

	append_ip(list, &network->gateway4);
	append_ip(list, &network->gateway6);
	return list;
}

const char *publish_protocol(const struct publish *publish)
{
	return publish->protocol == IPPROTO_UDP ? "udp" : "tcp";
}

void publish_outside(const struct publish *publish, struct strbuf *out)
{
	char text[IP_TEXT_SIZE];
	const struct ip ip = publish_address(publish);
	const char *address = ip_format(&ip, text);
	unsigned port = publish_as(publish);

	strbuf_printf(out, publish->address.family == AF_INET6 ? "[%s]:%u" : "%s:%u", address, port);
}

void publish_inside(const struct publish *publish, struct strbuf *out)
{
	strbuf_printf(out, "%u/%s", publish->port, publish_protocol(publish));
}

enum colour state_colour(enum guest_state state)
{
	static const enum colour colours[] = {
		[GUEST_ABSENT] = COLOUR_DIM, [GUEST_STARTING] = COLOUR_YELLOW, [GUEST_RUNNING] = COLOUR_GREEN,
		[GUEST_DEAD] = COLOUR_RED,   [GUEST_UNKNOWN] = COLOUR_YELLOW,
	};

	return colours[state];
}

enum colour world_colour(enum world world)
{
	static const enum colour colours[] = {
		[WORLD_OPEN] = COLOUR_NONE, [WORLD_CUT] = COLOUR_YELLOW, [WORLD_SEALED] = COLOUR_RED};

	return colours[world];
}
