#include "net/elements.h"

#include "net/reach.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BOTH (IN_INET | IN_BRIDGE)

const struct element_set element_sets[SET_COUNT] = {
	[SET_TAP_FROM] = {"tap_from", IN_BRIDGE, KEY_TAP, 0, "tap_from", false},
	[SET_TAP_TO] = {"tap_to", IN_BRIDGE, KEY_TAP, 0, "tap_to", false},
	[SET_TAP_OPEN] = {"tap_open", IN_BRIDGE, KEY_TAP, 0, NULL, true},
	[SET_MAC_FROM] = {"mac_from", BOTH, KEY_MAC, 0, "mac_from", false},
	[SET_MAC_TO] = {"mac_to", IN_BRIDGE, KEY_MAC, 0, "mac_to", false},
	[SET_MAC_OPEN] = {"mac_open", BOTH, KEY_MAC, 0, NULL, true},
	[SET_ASKER] = {"askers", IN_INET, KEY_ASKER, 0, NULL, false},
	[SET_ASKER_OPEN] = {"askers_open", IN_INET, KEY_ASKER, 0, NULL, true},
	[SET_FROM4] = {"from4", BOTH, KEY_ADDRESS, AF_INET, "from", false},
	[SET_FROM6] = {"from6", BOTH, KEY_ADDRESS, AF_INET6, "from", false},
	[SET_TO4] = {"to4", BOTH, KEY_ADDRESS, AF_INET, "to", false},
	[SET_TO6] = {"to6", BOTH, KEY_ADDRESS, AF_INET6, "to", false},
	[SET_FROM_NET4] = {"from_net4", BOTH, KEY_SUBNET, AF_INET, "net_from", false},
	[SET_FROM_NET6] = {"from_net6", BOTH, KEY_SUBNET, AF_INET6, "net_from", false},
	[SET_TO_NET4] = {"to_net4", BOTH, KEY_SUBNET, AF_INET, "net_to", false},
	[SET_TO_NET6] = {"to_net6", BOTH, KEY_SUBNET, AF_INET6, "net_to", false},
	[SET_OPEN4] = {"open4", BOTH, KEY_ADDRESS, AF_INET, NULL, true},
	[SET_OPEN6] = {"open6", BOTH, KEY_ADDRESS, AF_INET6, NULL, true},
	[SET_OPEN_NET4] = {"open_net4", BOTH, KEY_SUBNET, AF_INET, NULL, true},
	[SET_OPEN_NET6] = {"open_net6", BOTH, KEY_SUBNET, AF_INET6, NULL, true},
	[SET_ALLOW4] = {"allow4", IN_INET, KEY_ALLOW, AF_INET, NULL, false},
	[SET_ALLOW6] = {"allow6", IN_INET, KEY_ALLOW, AF_INET6, NULL, false},
};

const char *element_mode_name(enum element_mode mode)
{
	static const char *const names[MODE_COUNT] = {"names", "cut", "strict", "alone", "sealed"};

	return names[mode];
}

uint32_t element_asker(const struct guest *guest)
{
	return ((uint32_t)guest->index + 1) << 8;
}

struct collector {
	const struct isolation *isolation;
	struct elements *list;
	size_t room;
};

static void add(struct collector *c, const struct element *element)
{
	if (c->list->count == c->room) {
		c->room = c->room ? 2 * c->room : 64;
		c->list->items = realloc(c->list->items, c->room * sizeof(*element));
		if (!c->list->items)
			abort();
	}
	c->list->items[c->list->count++] = *element;
}

/* In each table that has the set, or in the one that is wanted. */
static void add_to(struct collector *c, enum element_set_id set, uint8_t tables, struct element element)
{
	element.set = (uint8_t)set;
	for (uint8_t table = IN_INET; table <= IN_BRIDGE; table++) {
		element.table = table;
		if (element_sets[set].tables & tables & table)
			add(c, &element);
	}
}

static bool mode_by_rules(const struct isolation_effect *effect, enum element_mode *ret)
{
	static const enum element_mode cut[] = {
		[NEIGHBOURS_KEEP] = MODE_CUT, [NEIGHBOURS_CUT] = MODE_STRICT, [NEIGHBOURS_DROP] = MODE_ALONE};

	*ret = effect->world == WORLD_SEALED ? MODE_SEALED : cut[effect->neighbours];
	return effect->world != WORLD_OPEN;
}

/* False: it is open. */
static bool mode_of(const struct isolation *isolation, const struct guest *guest, struct isolation_effect *ret_effect,
		    enum element_mode *ret)
{
	*ret_effect = isolation_rules_effect(isolation, guest);
	if (mode_by_rules(ret_effect, ret))
		return true;
	*ret_effect = isolation_effect(isolation, guest);
	*ret = MODE_NAMES;
	return ret_effect->world != WORLD_OPEN;
}

static void add_allowed(struct collector *c, const struct isolation_effect *effect, const struct ip *from)
{
	for (size_t i = 0; i < effect->allowed_count; i++) {
		const struct allowance *allowed = &effect->allowed[i];

		if (allowed->to.ip.family == from->family)
			add_to(c, from->family == AF_INET ? SET_ALLOW4 : SET_ALLOW6, IN_INET,
			       (struct element){.from = *from,
						.prefix = allowed->to,
						.protocol = allowed->protocol,
						.port = allowed->port});
	}
}

static void add_address(struct collector *c, const struct guest *guest, const struct ip *ip, enum element_mode mode,
			const struct isolation_effect *effect)
{
	bool four = ip->family == AF_INET;
	/* On a bridge, where a frame's tap says more, addresses are for what is behind the guests of this host, and a
	 * guest that is merely cut has its neighbours. */
	uint8_t tables = guest->parent == c->isolation->lab->root || mode <= MODE_CUT ? IN_INET : BOTH;
	struct element element = {
		.mode = (uint8_t)mode, .from = *ip, .open_ms = effect->open_ms, .until = effect->open_until};

	add_to(c, four ? SET_FROM4 : SET_FROM6, tables, element);
	add_to(c, four ? SET_TO4 : SET_TO6, tables, element);
	if (effect->open_until)
		add_to(c, four ? SET_OPEN4 : SET_OPEN6, tables, element);
	add_allowed(c, effect, ip);
}

static void add_tap(struct collector *c, const struct nic *nic, struct element element, bool opened)
{
	memcpy(element.tap, nic->tap, sizeof(element.tap));
	add_to(c, SET_TAP_FROM, IN_BRIDGE, element);
	add_to(c, SET_TAP_TO, IN_BRIDGE, element);
	if (opened)
		add_to(c, SET_TAP_OPEN, IN_BRIDGE, element);
}

static void add_nic(struct collector *c, const struct nic *nic, enum element_mode mode,
		    const struct isolation_effect *effect)
{
	const struct host *root = c->isolation->lab->root;
	struct element element = {.mode = (uint8_t)mode, .open_ms = effect->open_ms, .until = effect->open_until};

	if (nic->guest->parent == root) {
		/* Of what comes by a tunnel the bridge knows no more than the Ethernet address. */
		const uint8_t tables = nic->guest->machine ? BOTH : IN_INET;

		if (!nic->guest->machine)
			add_tap(c, nic, element, effect->open_until != 0);
		memcpy(element.mac, nic->mac, sizeof(element.mac));
		add_to(c, SET_MAC_FROM, tables, element);
		if (nic->guest->machine)
			add_to(c, SET_MAC_TO, IN_BRIDGE, element);
		if (effect->open_until)
			add_to(c, SET_MAC_OPEN, tables, element);
	}
	if (nic->address4.family && reach_entry(root, nic->network, AF_INET))
		add_address(c, nic->guest, &nic->address4, mode, effect);
	if (nic->address6.family && reach_entry(root, nic->network, AF_INET6))
		add_address(c, nic->guest, &nic->address6, mode, effect);
}

/* What is asked for it in the world. */
static void add_asker(struct collector *c, const struct guest *guest, const struct isolation_effect *effect)
{
	const struct element element = {
		.asker = element_asker(guest), .open_ms = effect->open_ms, .until = effect->open_until};

	add_to(c, SET_ASKER, IN_INET, element);
	if (effect->open_until)
		add_to(c, SET_ASKER_OPEN, IN_INET, element);
}

/* A subnet behind a guest that is a host. */
static void add_subnet(struct collector *c, const struct network *network, uint8_t family)
{
	const struct guest *owner = network->owner->guest;
	const struct prefix *subnet = reach_subnet(network, family);
	struct element element = {.prefix = prefix_network(subnet)};
	struct isolation_effect effect;
	enum element_mode mode;
	uint8_t tables;
	bool four = family == AF_INET;

	if (!subnet->ip.family || !mode_of(c->isolation, owner, &effect, &mode) ||
	    !reach_entry(c->isolation->lab->root, network, family))
		return;
	element.open_ms = effect.open_ms;
	element.until = effect.open_until;
	element.mode = (uint8_t)mode;
	tables = mode <= MODE_CUT ? IN_INET : BOTH;
	add_to(c, four ? SET_FROM_NET4 : SET_FROM_NET6, tables, element);
	add_to(c, four ? SET_TO_NET4 : SET_TO_NET6, tables, element);
	if (effect.open_until)
		add_to(c, four ? SET_OPEN_NET4 : SET_OPEN_NET6, tables, element);
}

static int compare_prefix(const struct prefix *a, const struct prefix *b)
{
	int r = memcmp(a->ip.bytes, b->ip.bytes, sizeof(a->ip.bytes));

	return r ? r : (int)a->length - (int)b->length;
}

int element_compare(const struct element *a, const struct element *b)
{
	int r = (int)a->table - (int)b->table;

	if (r == 0)
		r = (int)a->set - (int)b->set;
	if (r == 0)
		r = memcmp(a->tap, b->tap, sizeof(a->tap));
	if (r == 0)
		r = memcmp(a->mac, b->mac, sizeof(a->mac));
	if (r == 0)
		r = (a->asker > b->asker) - (a->asker < b->asker);
	if (r == 0)
		r = memcmp(a->from.bytes, b->from.bytes, sizeof(a->from.bytes));
	if (r == 0)
		r = compare_prefix(&a->prefix, &b->prefix);
	if (r == 0)
		r = (int)a->protocol - (int)b->protocol;
	return r ? r : (int)a->port - (int)b->port;
}

/* The strictest of one key comes first, and stays. */
static int compare(const void *a, const void *b)
{
	int r = element_compare(a, b);

	return r ? r : (int)((const struct element *)b)->mode - (int)((const struct element *)a)->mode;
}

bool element_same(const struct element *a, const struct element *b)
{
	const struct element_set *set = &element_sets[a->set];

	return (!set->jump || a->mode == b->mode) && (!set->timeout || a->until == b->until);
}

void elements_collect(const struct isolation *isolation, struct elements *ret)
{
	const struct lab *lab = isolation->lab;
	struct collector c = {.isolation = isolation, .list = ret};
	size_t kept = 0;

	*ret = (struct elements){0};
	for (size_t i = 0; i < lab->guest_count; i++) {
		const struct guest *guest = lab->guests[i];
		struct isolation_effect effect;
		enum element_mode mode;

		if (!mode_of(isolation, guest, &effect, &mode))
			continue;
		add_asker(&c, guest, &effect);
		for (size_t j = 0; j < guest->nic_count; j++)
			add_nic(&c, &guest->nics[j], mode, &effect);
	}
	for (size_t i = 0; i < lab->network_count; i++) {
		if (lab->networks[i]->owner == lab->root)
			continue;
		add_subnet(&c, lab->networks[i], AF_INET);
		add_subnet(&c, lab->networks[i], AF_INET6);
	}
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), compare);
	for (size_t i = 0; i < ret->count; i++)
		if (kept == 0 || element_compare(&ret->items[kept - 1], &ret->items[i]) != 0)
			ret->items[kept++] = ret->items[i];
	ret->count = kept;
}

void elements_clear(struct elements *elements)
{
	free(elements->items);
	*elements = (struct elements){0};
}

static void format_prefix(const struct prefix *prefix, struct strbuf *out)
{
	char text[PREFIX_TEXT_SIZE];

	strbuf_add(out,
		   prefix->length == ip_bits(&prefix->ip) ? ip_format(&prefix->ip, text) : prefix_format(prefix, text));
}

static void format_allowed(const struct element *element, struct strbuf *out)
{
	char text[IP_TEXT_SIZE];

	strbuf_printf(out, "%s . ", ip_format(&element->from, text));
	format_prefix(&element->prefix, out);
	if (element->protocol)
		strbuf_printf(out, " . %u", element->protocol);
	else
		strbuf_add(out, " . 0-255");
	if (element->port)
		strbuf_printf(out, " . %u", element->port);
	else
		strbuf_add(out, " . 0-65535");
}

void element_format(const struct element *element, struct strbuf *out)
{
	const struct element_set *set = &element_sets[element->set];
	char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	switch (set->key) {
	case KEY_TAP:
		strbuf_printf(out, "\"%.16s\"", element->tap);
		break;
	case KEY_MAC:
		strbuf_add(out, mac_format(element->mac, mac));
		break;
	case KEY_ASKER:
		strbuf_printf(out, "0x%08x", element->asker);
		break;
	case KEY_ADDRESS:
		strbuf_add(out, ip_format(&element->from, text));
		break;
	case KEY_SUBNET:
		format_prefix(&element->prefix, out);
		break;
	case KEY_ALLOW:
		format_allowed(element, out);
		break;
	}
	if (set->jump)
		strbuf_printf(out, " : jump %s_%s", set->jump, element_mode_name(element->mode));
}
