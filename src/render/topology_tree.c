/*
 * The tree of layers as the facts show them.
 *
 *   bundle
 *   └─ L0 laptop  Windows
 *      ├─ Ethernet  192.0.2.109/24  ↔ eth1 of wsl (mirrored)
 *      ├─ default via 192.0.2.254  → world
 *      └─ L1 wsl  WSL2
 *         ├─ eth1  192.0.2.109/24  ↔ Ethernet of laptop (mirrored)
 *         ├─ bridge virbr0  192.168.122.1/24  masquerades 192.168.122.0/24 to eth1
 *         │  └─ tap vnet0  fe:54:00:12:34:56  ↔ enp1s0 of hv (tap)
 *         ├─ without an address: eth2, eth3 (down)
 *         ├─ default via 192.0.2.254 dev eth1  → world
 *         └─ L2 hv …
 */
#include "render/topology_internal.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "render/tree.h"

#include <string.h>
#include <sys/socket.h>

enum item_kind {
	ITEM_LINK,
	ITEM_OTHERS, /* links that are not worth a line of their own */
	ITEM_WAY,
	ITEM_LACKING,
	ITEM_HOST,
};

struct item {
	enum item_kind kind;
	const void *of;
};

struct drawing {
	const struct topology *topology;
	const struct style *style;
	struct strbuf *out;
	struct arena *arena;
	struct tree tree;
};

static void add_link_name(struct drawing *d, const struct topology_link *link, enum colour colour)
{
	text_paint(d->out, d->style, colour, link->link->name);
}

/* Of a join: the other ends. */
static void add_join(struct drawing *d, const struct topology_join *join, const struct topology_link *link)
{
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < join->end_count; i++) {
		const struct topology_link *other = join->ends[i];

		if (other == link)
			continue;
		strbuf_add(d->out, d->style->utf8 ? "  ↔ " : "  <-> ");
		if (other) {
			add_link_name(d, other, COLOUR_NONE);
			strbuf_add(d->out, " of ");
			text_paint(d->out, d->style, COLOUR_BOLD, other->host->facts->name);
		} else {
			strbuf_add(d->out, "something that was not captured");
		}
		strbuf_printf(d->out, " (%s", relation_name(join->relation->kind));
		if (join->relation->kind == RELATION_SUBNET)
			strbuf_printf(d->out, " %s", prefix_format(&join->relation->subnet, text));
		strbuf_add_char(d->out, ')');
	}
}

static void add_joins(struct drawing *d, const struct topology_link *link)
{
	for (size_t i = 0; i < d->topology->join_count; i++) {
		const struct topology_join *join = &d->topology->joins[i];

		for (size_t j = 0; j < join->end_count; j++)
			if (join->ends[j] == link) {
				add_join(d, join, link);
				break;
			}
	}
}

static void add_translation(struct drawing *d, const struct topology_link *link)
{
	const struct topology_link *forwards_to = link_forwards_to(link);

	for (size_t i = 0; i < link->host->nat_count; i++) {
		const struct topology_nat *nat = &link->host->nats[i];
		cleanup_strbuf struct strbuf subnets = {};

		if (nat->inside != link)
			continue;
		link_subnets(link, nat->family, &subnets);
		strbuf_add(d->out, "  ");
		text_paint(d->out, d->style, COLOUR_YELLOW, nat->masquerade ? "masquerades" : "translates");
		strbuf_printf(d->out, " %s", subnets.text ? subnets.text : "");
		if (nat->outside) {
			strbuf_add(d->out, " to ");
			add_link_name(d, nat->outside, COLOUR_NONE);
		}
	}
	if (forwards_to) {
		strbuf_add(d->out, "  forwards to ");
		add_link_name(d, forwards_to, COLOUR_NONE);
	}
}

static void add_link_line(struct drawing *d, const struct topology_link *link)
{
	const char *role = link_role_name(link);
	char text[PREFIX_TEXT_SIZE];

	if (strcmp(role, "interface") != 0)
		strbuf_printf(d->out, "%s ", role);
	add_link_name(d, link, COLOUR_CYAN);
	for (size_t i = 0; i < link->link->address_count; i++)
		if (address_is_drawn(&link->link->addresses[i]))
			strbuf_printf(d->out, "  %s", prefix_format(&link->link->addresses[i].prefix, text));
	if (link->link->mac.known && (link->joined || link->role == LINK_ROLE_TAP))
		strbuf_printf(d->out, "  %s", mac_format(link->link->mac.bytes, text));
	if (link->link->up == TRUTH_NO)
		strbuf_add(d->out, "  down");
	add_joins(d, link);
	add_translation(d, link);
	strbuf_add_char(d->out, '\n');
}

static void add_link(struct drawing *d, const struct topology_link *link, bool last)
{
	size_t before = tree_begin(&d->tree, last);

	add_link_line(d, link);
	for (size_t i = 0; i < link->port_count; i++)
		add_link(d, link->ports[i], i + 1 == link->port_count);
	tree_end(&d->tree, before);
}

static bool is_other(const struct topology_link *link)
{
	return !link->master && link->role != LINK_ROLE_LOOPBACK && !link_is_drawn(link);
}

static void add_others(struct drawing *d, const struct topology_host *host, bool last)
{
	size_t before = tree_begin(&d->tree, last);
	const char *separator = " ";

	strbuf_add(d->out, "without an address:");
	for (size_t i = 0; i < host->link_count; i++) {
		const struct topology_link *link = &host->links[i];

		if (!is_other(link))
			continue;
		strbuf_add(d->out, separator);
		add_link_name(d, link, COLOUR_DIM);
		if (link->link->up == TRUTH_NO || link->link->carrier == TRUTH_NO)
			strbuf_add(d->out, " (down)");
		separator = ", ";
	}
	strbuf_add_char(d->out, '\n');
	tree_end(&d->tree, before);
}

/* "10.113.0.0/16 and 37 more via 169.254.1.1 dev eth0" */
static void add_way(struct drawing *d, const struct topology_way *way, bool last)
{
	size_t before = tree_begin(&d->tree, last);
	char text[PREFIX_TEXT_SIZE];

	if (way->is_default)
		strbuf_add(d->out, "default");
	else
		strbuf_add(d->out, prefix_format(&way->routes[0]->to, text));
	if (!way->is_default && way->route_count == 2)
		strbuf_printf(d->out, ", %s", prefix_format(&way->routes[1]->to, text));
	else if (!way->is_default && way->route_count > 2)
		strbuf_printf(d->out, " and %zu more", way->route_count - 1);
	if (way->via.family)
		strbuf_printf(d->out, " via %s", ip_format(&way->via, text));
	if (way->dev) {
		strbuf_add(d->out, " dev ");
		text_paint(d->out, d->style, COLOUR_NONE, way->dev);
	}
	if (way->gateway) {
		strbuf_add(d->out, d->style->utf8 ? "  → " : "  -> ");
		add_link_name(d, way->gateway, COLOUR_NONE);
		strbuf_add(d->out, " of ");
		text_paint(d->out, d->style, COLOUR_BOLD, way->gateway->host->facts->name);
	} else if (way->is_default) {
		strbuf_add(d->out, d->style->utf8 ? "  → " : "  -> ");
		text_paint(d->out, d->style, COLOUR_BOLD, "world");
	}
	strbuf_add_char(d->out, '\n');
	tree_end(&d->tree, before);
}

/* What would have to be captured to say where packets go. Bit by bit, so that it can also be asked whether. */
enum {
	LACKS_ROUTES = 1,
	LACKS_FORWARDING = 2,
	LACKS_NAT = 4,
};

static unsigned lacks(const struct topology_host *host)
{
	bool network = host->guest_count > 0;
	unsigned what = 0;

	if (host->facts->system == SYSTEM_WINDOWS)
		return 0;
	for (size_t i = 0; i < host->link_count; i++)
		network = network || (host->links[i].role == LINK_ROLE_BRIDGE && link_is_drawn(&host->links[i]));
	if (!facts_routes_known(host->facts, AF_INET, "main"))
		what |= LACKS_ROUTES;
	if (network && host->forwards4 == TRUTH_UNKNOWN)
		what |= LACKS_FORWARDING;
	if (network && !host->nat4_known)
		what |= LACKS_NAT;
	return what;
}

static void add_lacking(struct drawing *d, const struct topology_host *host, bool last)
{
	static const char *const words[] = {"its routes", "whether it forwards", "what it translates"};
	size_t before = tree_begin(&d->tree, last);
	const char *separator = " ";

	strbuf_add(d->out, "unknown:");
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!(lacks(host) & (1u << i)))
			continue;
		strbuf_printf(d->out, "%s%s", separator, words[i]);
		separator = ", ";
	}
	strbuf_add_char(d->out, '\n');
	tree_end(&d->tree, before);
}

static void add_host(struct drawing *d, const struct topology_host *host, bool last);

static void add_item(struct drawing *d, const struct item *item, bool last)
{
	switch (item->kind) {
	case ITEM_LINK:
		add_link(d, item->of, last);
		break;
	case ITEM_OTHERS:
		add_others(d, item->of, last);
		break;
	case ITEM_WAY:
		add_way(d, item->of, last);
		break;
	case ITEM_LACKING:
		add_lacking(d, item->of, last);
		break;
	case ITEM_HOST:
		add_host(d, item->of, last);
		break;
	}
}

static void add_host_line(struct drawing *d, const struct topology_host *host)
{
	const struct facts *facts = host->facts;
	char layer[LAYER_TEXT_SIZE];

	strbuf_printf(d->out, "%s ", layer_name(host, layer));
	text_paint(d->out, d->style, COLOUR_BOLD, facts->name);
	if (host->machine)
		strbuf_add(d->out, "  a network namespace");
	if (facts->system == SYSTEM_WINDOWS)
		strbuf_add(d->out, "  Windows");
	else if (host->wsl)
		strbuf_add(d->out, "  WSL2");
	if (facts->distribution.name) {
		strbuf_add(d->out, "  ");
		text_safe(d->out, facts->distribution.name, false);
	}
	if (facts->kernel.release) {
		strbuf_add(d->out, "  kernel ");
		text_safe(d->out, facts->kernel.release, false);
	}
	if (host->forwards4 == TRUTH_NO && host->guest_count)
		text_paint(d->out, d->style, COLOUR_YELLOW, "  does not forward");
	if (host->is_guest && !host->parent)
		strbuf_add(d->out, "  itself a guest, of a host that was not captured");
	strbuf_add_char(d->out, '\n');
}

static void push(struct drawing *d, struct item **items, size_t *count, enum item_kind kind, const void *of)
{
	*arena_push(d->arena, *items, *count) = (struct item){kind, of};
}

static void add_host(struct drawing *d, const struct topology_host *host, bool last)
{
	size_t before = tree_begin(&d->tree, last), count = 0;
	struct item *items = NULL;
	bool others = false;

	add_host_line(d, host);
	for (size_t i = 0; i < host->link_count; i++) {
		const struct topology_link *link = &host->links[i];

		if (!link->master && link_is_drawn(link))
			push(d, &items, &count, ITEM_LINK, link);
		others = others || is_other(link);
	}
	if (others)
		push(d, &items, &count, ITEM_OTHERS, host);
	for (size_t i = 0; i < host->way_count; i++)
		push(d, &items, &count, ITEM_WAY, &host->ways[i]);
	if (lacks(host))
		push(d, &items, &count, ITEM_LACKING, host);
	for (size_t i = 0; i < host->namespace_count; i++)
		push(d, &items, &count, ITEM_HOST, host->namespaces[i]);
	for (size_t i = 0; i < host->guest_count; i++)
		push(d, &items, &count, ITEM_HOST, host->guests[i]);
	for (size_t i = 0; i < count; i++)
		add_item(d, &items[i], i + 1 == count);
	tree_end(&d->tree, before);
}

void topology_tree(const struct topology *topology, const char *name, const struct style *style, struct strbuf *out)
{
	cleanup_arena struct arena *arena = arena_new();
	struct drawing d = {
		.topology = topology, .style = style, .out = out, .arena = arena, .tree = {.style = style, .out = out}};

	text_paint(out, style, COLOUR_BOLD, name);
	strbuf_add_char(out, '\n');
	for (size_t i = 0; i < topology->root_count; i++)
		add_host(&d, topology->roots[i], i + 1 == topology->root_count);
	tree_free(&d.tree);
}
