/* Where frames may come to: over cables and veths, through bridges, bonds and VLANs, as far as was captured. */
#include "verify/spread_search.h"

#include "base/arena.h"

#include <string.h>

static bool is_kind(const struct stack_link *link, const char *kind)
{
	return link->link->kind && strcmp(link->link->kind, kind) == 0;
}

static bool is_veth(const struct stack_link *link)
{
	return is_kind(link, "veth") && link->parent;
}

static bool see(struct search *search, const struct stack_link *link)
{
	for (size_t i = 0; i < search->seen_count; i++)
		if (search->seen[i] == link)
			return false;
	*arena_push(search->spread->arena, search->seen, search->seen_count) = link;
	return true;
}

static const struct way *go(struct search *search, enum way_kind kind, struct stack_link *link,
			    struct stack_link *in_port, struct stack_link *out_port, const struct way *before)
{
	struct way *way = arena_new_struct(search->spread->arena, struct way);

	*way = (struct way){kind, link, in_port, out_port, before};
	return way;
}

static void reach_end(struct search *search, struct stack_link *link, struct stack_link *last, const struct way *way)
{
	for (size_t i = 0; link && i < search->end_count; i++)
		if (search->ends[i].link == link)
			return;
	*arena_push(search->spread->arena, search->ends, search->end_count) = (struct far_end){link, last, way};
}

static bool isolates(const struct stack_link *in_port, const struct stack_link *out_port)
{
	return in_port && in_port->link->port.isolated == TRUTH_YES && out_port->link->port.isolated == TRUTH_YES;
}

static bool works(const struct stack_link *port)
{
	return !port->link->port.state || strcmp(port->link->port.state, "forwarding") == 0;
}

static bool is_bond(const struct stack_link *link)
{
	return is_kind(link, "bond") || is_kind(link, "team");
}

/* The bond or team that an interface is part of. */
static struct stack_link *bond_of(const struct stack_link *link)
{
	struct stack_link *master = link->master ? NULL : stack_link(link->host, link->link->master);

	return master && master != link && is_bond(master) ? master : NULL;
}

static struct stack_link *vlan_of(const struct stack_link *link, uint64_t vlan)
{
	for (size_t i = 0; i < link->host->link_count; i++) {
		struct stack_link *child = &link->host->links[i];

		if (child->parent == link && child->link->vlan_id.known && child->link->vlan_id.value == vlan)
			return child;
	}
	return NULL;
}

/* A frame comes in at a link from outside it. */
void search_at(struct search *search, struct stack_link *link, uint64_t vlan, const struct way *way)
{
	struct stack_link *bridge = link->master;
	struct stack_link *end = bridge ? bridge : bond_of(link) ? bond_of(link) : link;

	way = go(search, COMING, link, NULL, NULL, way);
	if (spread_is_taken_over(search->spread, link->host)) {
		reach_end(search, link, link, way);
		return;
	}
	if (vlan)
		end = vlan_of(end, vlan);
	if (end)
		reach_end(search, end, link, bridge ? go(search, CROSSING, bridge, link, NULL, way) : way);
	if (!bridge || !see(search, link) || !works(link))
		return;
	for (size_t i = 0; i < bridge->port_count; i++) {
		struct stack_link *port = bridge->ports[i];

		if ((port == link && port->link->port.hairpin != TRUTH_YES) || isolates(link, port) || !works(port))
			continue;
		search_from(search, port, vlan, go(search, CROSSING, bridge, link, port, way));
	}
}

/* A frame is sent by a link. */
void search_from(struct search *search, struct stack_link *link, uint64_t vlan, const struct way *way)
{
	size_t ends = search->end_count;
	bool led = false;

	if (!see(search, link))
		return;
	if (is_kind(link, "vlan") && link->parent) {
		search_from(search, link->parent, number_or(link->link->vlan_id, 0),
			    go(search, LEAVING, link, NULL, NULL, way));
		return;
	}
	if (link->is_bridge) {
		for (size_t i = 0; i < link->port_count; i++)
			if (works(link->ports[i]))
				search_from(search, link->ports[i], vlan,
					    go(search, CROSSING, link, NULL, link->ports[i], way));
		return;
	}
	way = go(search, LEAVING, link, NULL, NULL, way);
	for (size_t i = 0; is_bond(link) && i < link->host->link_count; i++)
		if (bond_of(&link->host->links[i]) == link)
			search_from(search, &link->host->links[i], vlan, way);
	led = search->end_count > ends;
	if (is_veth(link)) {
		search_at(search, link->parent, vlan, way);
		led = true;
	}
	for (size_t i = 0; i < link->cable_count; i++) {
		led = true;
		if (link->cables[i].link)
			search_at(search, link->cables[i].link, vlan, way);
		else
			reach_end(search, NULL, link, way);
	}
	/* nothing says where it leads: who is behind it was not captured */
	if (!led && !link->loopback)
		reach_end(search, NULL, link, way);
}

/* Is it known where its cable leads? Then whoever is at the other end is found that way, or not at all. */
static bool has_far_end(const struct stack_link *link)
{
	for (size_t i = 0; i < link->cable_count; i++)
		if (link->cables[i].link)
			return true;
	return is_veth(link);
}

/* Others on the same link as far as addresses and MACs tell, over what was not captured. */
void search_neighbours(struct search *search, struct stack_link *from)
{
	for (size_t i = 0; i < from->neighbour_count; i++) {
		struct stack_link *link = from->neighbours[i].link;

		if (link->host != from->host && !has_far_end(link))
			search_at(search, link, 0, go(search, LEAVING, from, NULL, NULL, NULL));
	}
}

bool search_leads_out(const struct search *search)
{
	for (size_t i = 0; i < search->end_count; i++)
		if (!search->ends[i].link)
			return true;
	return false;
}

void search_sent(struct search *search, struct stack_link *oif)
{
	search_from(search, oif, 0, NULL);
	search_neighbours(search, oif);
	if (!search_leads_out(search) && (search->end_count == 0 || oif->cable_count + oif->port_count == 0))
		reach_end(search, NULL, oif, go(search, LEAVING, oif, NULL, NULL, NULL));
}
