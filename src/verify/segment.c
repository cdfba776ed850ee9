/*
 * Links: what one interface sends is received by others, over cables and through bridges, on whatever hosts these are.
 * A search goes out over the cables; where it comes to the port of a bridge it goes on by the bridge's other ports.
 *
 * Without cables (a bundle without links.json, taps whose guest was not captured) there are those hosts that addresses
 * and MACs show to be on the same link.
 */
#include "verify/walk_internal.h"

#include <string.h>
#include <sys/socket.h>

struct search {
	struct walk *walk;
	const struct stack_link **seen;
	size_t seen_count;
	const struct stack_link **ends; /* interfaces that receive, with their own IP */
	size_t end_count;
	bool outside;
};

static bool see(struct search *search, const struct stack_link *link)
{
	for (size_t i = 0; i < search->seen_count; i++)
		if (search->seen[i] == link)
			return false;
	*arena_push(search->walk->arena, search->seen, search->seen_count) = link;
	return true;
}

static bool is_kind(const struct stack_link *link, const char *kind)
{
	return link->link->kind && strcmp(link->link->kind, kind) == 0;
}

static void add_end(struct search *search, const struct stack_link *link)
{
	for (size_t i = 0; i < search->end_count; i++)
		if (search->ends[i] == link)
			return;
	*arena_push(search->walk->arena, search->ends, search->end_count) = link;
}

static void leave_by(struct search *search, const struct stack_link *link, uint64_t vlan);

/* The bond or team that an interface is part of. */
static const struct stack_link *bond_of(const struct stack_link *link)
{
	const struct stack_link *master = link->master ? NULL : stack_link(link->host, link->link->master);

	return master && master != link && (is_kind(master, "bond") || is_kind(master, "team")) ? master : NULL;
}

static const struct stack_link *vlan_of(const struct stack_link *link, uint64_t vlan)
{
	for (size_t i = 0; i < link->host->link_count; i++) {
		const struct stack_link *child = &link->host->links[i];

		if (child->parent == link && child->link->vlan_id.known && child->link->vlan_id.value == vlan)
			return child;
	}
	return NULL;
}

static void come_to(struct search *search, const struct stack_link *link, uint64_t vlan)
{
	const struct stack_link *end = link->master ? link->master : bond_of(link) ? bond_of(link) : link;

	if (vlan)
		end = vlan_of(end, vlan);
	if (end)
		add_end(search, end);
	if (!link->master || !see(search, link))
		return;
	for (size_t i = 0; i < link->master->port_count; i++)
		if (link->master->ports[i] != link)
			leave_by(search, link->master->ports[i], vlan);
}

static void leave_by_bond(struct search *search, const struct stack_link *bond, uint64_t vlan)
{
	for (size_t i = 0; i < bond->host->link_count; i++)
		if (bond_of(&bond->host->links[i]) == bond)
			leave_by(search, &bond->host->links[i], vlan);
}

static void leave_by(struct search *search, const struct stack_link *link, uint64_t vlan)
{
	if (!see(search, link))
		return;
	if (is_kind(link, "vlan") && link->parent) {
		leave_by(search, link->parent, number_or(link->link->vlan_id, 0));
		return;
	}
	if (link->is_bridge) {
		for (size_t i = 0; i < link->port_count; i++)
			leave_by(search, link->ports[i], vlan);
		return;
	}
	leave_by_bond(search, link, vlan);
	if (is_kind(link, "veth") && link->parent)
		come_to(search, link->parent, vlan);
	for (size_t i = 0; i < link->cable_count; i++) {
		if (link->cables[i].link)
			come_to(search, link->cables[i].link, vlan);
		else
			search->outside = true;
	}
}

/* Nothing says where an interface leads: it may be anywhere. */
static bool leads_nowhere_known(const struct search *search)
{
	return search->end_count == 0 && !search->outside;
}

static struct search search_from(struct walk *walk, const struct stack_link *from)
{
	struct search search = {.walk = walk};

	leave_by(&search, from, 0);
	for (size_t i = 0; i < from->neighbour_count; i++) {
		const struct stack_link *link = from->neighbours[i].link;

		if (link->host != from->host)
			add_end(&search, link->master ? link->master : link);
	}
	if (leads_nowhere_known(&search) || from->cable_count + from->port_count == 0)
		search.outside = true;
	/* A bridge's port without a cable: who is behind it was not captured. */
	for (size_t i = 0; i < search.seen_count; i++) {
		const struct stack_link *port = search.seen[i];

		if (port->master && port->cable_count == 0 && !(is_kind(port, "veth") && port->parent))
			search.outside = true;
	}
	return search;
}

static bool has_address(const struct stack_link *link, const struct ip *address)
{
	for (size_t i = 0; i < link->link->address_count; i++)
		if (ip_equal(&link->link->addresses[i].prefix.ip, address))
			return true;
	return false;
}

/*
 * IPv4: a host answers for all of its addresses on every interface, unless arp_ignore says otherwise. IPv6: only for
 * those of the interface (ndisc_recv_ns).
 */
static bool answers(const struct stack_link *link, const struct ip *address)
{
	if (has_address(link, address))
		return true;
	if (address->family == AF_INET6)
		return false;
	if (number_or(link->arp_ignore.value, 0) > 0)
		return false;
	return fib_is_local(link->host, address) || number_or(link->proxy_arp.value, 0) > 0;
}

static const struct neighbour *known_neighbour(const struct stack_link *from, const struct ip *address)
{
	const struct facts *facts = from->host->facts;

	for (size_t i = 0; i < facts->neighbour_count; i++) {
		const struct neighbour *neighbour = &facts->neighbours[i];

		if (neighbour->mac.known && neighbour->dev && strcmp(neighbour->dev, from->name) == 0 &&
		    ip_equal(&neighbour->ip, address))
			return neighbour;
	}
	return NULL;
}

static bool has_mac(const struct stack_link *link, const struct mac *mac)
{
	return link->link->mac.known && memcmp(link->link->mac.bytes, mac->bytes, 6) == 0;
}

static struct target target_of(const struct stack_link *link)
{
	return (struct target){.link = stack_link(link->host, link->name), .mac = link->link->mac};
}

static struct target find_mac(const struct search *search, const struct mac *mac)
{
	for (size_t i = 0; i < search->end_count; i++)
		if (has_mac(search->ends[i], mac))
			return target_of(search->ends[i]);
	return (struct target){.outside = search->outside, .mac = *mac};
}

struct target segment_find_mac(struct walk *walk, const struct stack_link *from, const struct mac *mac)
{
	struct search search = search_from(walk, from);

	return find_mac(&search, mac);
}

/* Nobody is asked again about a permanent entry. Where the MAC of one that may be meant was not captured it may be
 * true. */
static bool is_fixed(const struct search *search, const struct neighbour *known)
{
	if (!known->state || strcmp(known->state, "PERMANENT") != 0)
		return false;
	for (size_t i = 0; i < search->end_count; i++)
		if (!search->ends[i]->link->mac.known)
			return false;
	return true;
}

static bool belongs_to_another(const struct search *search, const struct stack_link *link, const struct ip *address)
{
	bool another = false;

	for (size_t i = 0; i < search->end_count; i++)
		another = another || (search->ends[i]->host != link->host && has_address(search->ends[i], address));
	return another && !has_address(link, address) && !fib_is_local(link->host, address);
}

static bool somebody_has(const struct search *search, const struct ip *address)
{
	for (size_t i = 0; i < search->end_count; i++)
		if (has_address(search->ends[i], address))
			return true;
	return false;
}

/* A permanent entry is wrong where it leads to somebody else, or to nobody; out of what was captured it may be true. */
static bool is_wrong(const struct search *search, const struct target *target, const struct ip *address)
{
	if (target->link)
		return belongs_to_another(search, target->link, address);
	return !target->outside || somebody_has(search, address);
}

/* What the host itself knows of its neighbour counts first: two others may have the same address. */
struct target segment_resolve(struct walk *walk, const struct stack_link *from, const struct ip *address)
{
	struct search search = search_from(walk, from);
	const struct neighbour *known = known_neighbour(from, address);
	struct target target = {.outside = search.outside};

	if (known) {
		bool permanent = is_fixed(&search, known);

		target = find_mac(&search, &known->mac);
		if (permanent && is_wrong(&search, &target, address))
			target.fixed = known;
		if (target.link || permanent)
			return target;
	}
	for (size_t i = 0; i < search.end_count; i++)
		if (search.ends[i] != from && has_address(search.ends[i], address))
			return target_of(search.ends[i]);
	for (size_t i = 0; i < search.end_count; i++)
		if (search.ends[i] != from && answers(search.ends[i], address))
			return target_of(search.ends[i]);
	return target;
}

static bool leads_to(struct walk *walk, const struct stack_link *port, const struct target *target)
{
	struct search search = {.walk = walk};

	/* not back through its own bridge */
	for (size_t i = 0; port->master && i < port->master->port_count; i++)
		if (port->master->ports[i] != port)
			see(&search, port->master->ports[i]);
	leave_by(&search, port, 0);
	for (size_t i = 0; i < search.end_count && target->link; i++)
		if (search.ends[i] == target->link)
			return true;
	return !target->link && (search.outside || search.end_count == 0);
}

static struct stack_link *learned_port(const struct stack_link *bridge, const struct mac *mac)
{
	const struct facts *facts = bridge->host->facts;

	for (size_t i = 0; mac->known && i < facts->fdb_count; i++) {
		const struct fdb_entry *entry = &facts->fdb[i];

		if (entry->mac.known && memcmp(entry->mac.bytes, mac->bytes, 6) == 0 && entry->master && entry->dev &&
		    strcmp(entry->master, bridge->name) == 0)
			return stack_link(bridge->host, entry->dev);
	}
	return NULL;
}

struct stack_link *segment_port(struct walk *walk, const struct stack_link *bridge, const struct target *target,
				const struct stack_link *except)
{
	struct stack_link *port = learned_port(bridge, &target->mac), *found = NULL;

	if (port && port->master == bridge && (!target->link || leads_to(walk, port, target)))
		return port;
	for (size_t i = 0; i < bridge->port_count; i++) {
		port = bridge->ports[i];
		if (port == except || !leads_to(walk, port, target))
			continue;
		if (found)
			return target->link ? found : NULL;
		found = port;
	}
	return found;
}

struct stack_link *segment_far_end_towards(struct walk *walk, const struct stack_link *link,
					   const struct target *target)
{
	bool outside = false;

	for (size_t i = 0; link->cable_count > 1 && i < link->cable_count; i++) {
		struct search search = {.walk = walk};
		struct stack_link *far = link->cables[i].link;

		outside = outside || !far;
		see(&search, link);
		if (far)
			come_to(&search, far, 0);
		for (size_t j = 0; target->link && j < search.end_count; j++)
			if (search.ends[j] == target->link)
				return far;
	}
	return outside && !target->link ? NULL : segment_far_end(link);
}

bool segment_leads_out(const struct stack_link *link)
{
	for (size_t i = 0; i < link->cable_count; i++)
		if (!link->cables[i].link)
			return true;
	return !segment_far_end(link);
}

struct stack_link *segment_far_end(const struct stack_link *link)
{
	if (is_kind(link, "vlan") && link->parent)
		link = link->parent;
	if (is_kind(link, "veth") && link->parent)
		return link->parent;
	for (size_t i = 0; i < link->cable_count; i++)
		if (link->cables[i].link)
			return link->cables[i].link;
	return NULL;
}
