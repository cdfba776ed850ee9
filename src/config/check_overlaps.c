/*
 * Which subnets may not overlap follows from who must tell them apart. Every host has one table of what it can reach:
 * its own networks, and those of deeper hosts that are routed up to it (uplink route at every step; net/reach.h walks
 * the same way). Within one table nothing may overlap. Networks with uplink nat or none are not seen from above: the
 * hosts of a class may all have the same one inside. But packets of a nat network leave through the networks of the
 * hosts above, and what those are called must not mean the network itself. At L0 the machine's own routes count, too.
 *
 * All tables lie in one array, sorted by host and address, so that neighbours overlap or nobody does.
 */
#include "config/build.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct entry {
	size_t host; /* 0 for the root, else its guest's index plus one */
	struct prefix prefix;
	const struct network *network;
};

struct tables {
	struct build *b;
	struct entry *entries;
	size_t count, room;
	bool *reported; /* by network */
};

static size_t host_number(const struct host *host)
{
	return host->guest ? host->guest->index + 1 : 0;
}

static const struct prefix *subnet_of(const struct network *network, uint8_t family)
{
	return family == AF_INET ? &network->subnet4 : &network->subnet6;
}

static void add_entry(struct tables *t, const struct host *host, const struct network *network, uint8_t family)
{
	if (t->count == t->room) {
		t->room = t->room ? t->room * 2 : 64;
		t->entries = realloc(t->entries, t->room * sizeof(*t->entries));
		if (!t->entries)
			abort();
	}
	t->entries[t->count++] =
		(struct entry){.host = host_number(host), .prefix = *subnet_of(network, family), .network = network};
}

static const struct nic *first_nic_with(const struct guest *guest, uint8_t family)
{
	for (size_t i = 0; i < guest->nic_count; i++)
		if ((family == AF_INET ? guest->nics[i].address4 : guest->nics[i].address6).family)
			return &guest->nics[i];
	return NULL;
}

/* Into its owner's table, and into those of the hosts above as far as it is routed. */
static void add_network(struct tables *t, const struct network *network, uint8_t family)
{
	const struct network *step = network;

	if (!subnet_of(network, family)->ip.family)
		return;
	add_entry(t, network->owner, network, family);
	while (step->uplink == UPLINK_ROUTE && step->owner->guest) {
		const struct guest *guest = step->owner->guest;
		const struct nic *nic = first_nic_with(guest, family);

		if (!nic || !nic->network)
			break;
		add_entry(t, guest->parent, network, family);
		step = nic->network;
	}
}

static int compare_prefixes(const struct prefix *a, const struct prefix *b)
{
	int order = memcmp(&a->ip, &b->ip, sizeof(a->ip)); /* the family first */

	return order ? order : a->length - b->length;
}

static int compare_entries(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order;

	if (a->host != b->host)
		return a->host < b->host ? -1 : 1;
	order = compare_prefixes(&a->prefix, &b->prefix);
	if (order)
		return order;
	return a->network->index < b->network->index ? -1 : a->network->index > b->network->index;
}

/* Points at the subnet of a family where it is said. */
static struct spot subnet_spot(const struct build *b, const struct network *network, uint8_t family)
{
	const struct node *list = said(b->network_nodes[network->index], NETWORK_SUBNET);

	for (const struct node *n = list ? list->first : NULL; n; n = n->next)
		if (n->kind == NODE_SCALAR && n->value.prefix.ip.family == family)
			return n->spot;
	return network_spot(b, network, -1);
}

/* Says that the later of two networks in the file overlaps the earlier one. */
static void report_pair(struct tables *t, const struct entry *a, const struct entry *b, const char *why)
{
	const struct entry *later = a->network->index > b->network->index ? a : b, *earlier = later == a ? b : a;
	char one[PREFIX_TEXT_SIZE], other[PREFIX_TEXT_SIZE];

	if (t->reported[later->network->index])
		return;
	t->reported[later->network->index] = true;
	problems_error(t->b->problems, subnet_spot(t->b, later->network, later->prefix.ip.family),
		       "choose another subnet", "the subnet %s of \"%s\" overlaps %s of \"%s\" in line %u: %s",
		       prefix_format(&later->prefix, one), later->network->path, prefix_format(&earlier->prefix, other),
		       earlier->network->path, earlier->network->place.line, why);
}

static const char *host_of_entry(const struct tables *t, const struct entry *entry)
{
	const struct build *b = t->b;

	return host_words(b, entry->host ? b->lab->guests[entry->host - 1]->host : b->lab->root);
}

static void check_within_tables(struct tables *t)
{
	const struct entry *last = NULL;

	for (size_t i = 0; i < t->count; i++) {
		const struct entry *e = &t->entries[i];

		if (!last || last->host != e->host || !prefix_overlaps(&last->prefix, &e->prefix)) {
			last = e;
			continue;
		}
		if (!problems_enough(t->b->problems))
			report_pair(t, last, e,
				    last->network->owner == e->network->owner
					    ? "both are networks of one host"
					    : problems_text(t->b->problems, "%s routes to both", host_of_entry(t, e)));
	}
}

/* The first entry of a host's table that may overlap: all that do follow from there. */
static size_t first_overlap(const struct tables *t, size_t host, const struct prefix *prefix)
{
	struct entry sought = {.host = host, .prefix = *prefix};
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct entry *e = &t->entries[middle];

		if (e->host < host || (e->host == host && compare_prefixes(&e->prefix, &sought.prefix) < 0))
			low = middle + 1;
		else
			high = middle;
	}
	if (low > 0 && t->entries[low - 1].host == host && prefix_overlaps(&t->entries[low - 1].prefix, prefix))
		low--;
	return low;
}

static bool is_attached(const struct guest *guest, const struct network *network)
{
	for (size_t i = 0; i < guest->nic_count; i++)
		if (guest->nics[i].network == network)
			return true;
	return false;
}

/* A nat network against the table of one host above; `guest` is the one through which it leaves there. */
static void check_above(struct tables *t, const struct entry *inner, const struct guest *guest)
{
	size_t host = host_number(guest->parent);
	char text[PREFIX_TEXT_SIZE], other[PREFIX_TEXT_SIZE];

	for (size_t i = first_overlap(t, host, &inner->prefix); i < t->count; i++) {
		const struct entry *e = &t->entries[i];

		if (e->host != host || !prefix_overlaps(&e->prefix, &inner->prefix))
			return;
		if (e->network->owner != guest->parent) {
			problems_warning(t->b->problems, subnet_spot(t->b, inner->network, inner->prefix.ip.family),
					 NULL,
					 "the subnet %s of \"%s\" overlaps %s of \"%s\": guests of the one cannot "
					 "reach the other",
					 prefix_format(&inner->prefix, text), inner->network->path,
					 prefix_format(&e->prefix, other), e->network->path);
			return;
		}
		if (e->network->uplink != UPLINK_NONE || is_attached(guest, e->network)) {
			report_pair(t, e, inner, "its packets leave through there");
			return;
		}
	}
}

static void check_nat_networks(struct tables *t)
{
	for (size_t i = 0; i < t->count && !problems_enough(t->b->problems); i++) {
		const struct entry *e = &t->entries[i];
		const struct host *owner = e->network->owner;

		if (e->host != host_number(owner) || e->network->uplink != UPLINK_NAT || t->reported[e->network->index])
			continue;
		for (const struct guest *guest = owner->guest; guest; guest = guest->parent->guest)
			check_above(t, e, guest);
	}
}

static void check_machine_route(struct tables *t, const struct surroundings_route *route)
{
	char text[PREFIX_TEXT_SIZE], other[PREFIX_TEXT_SIZE];
	struct prefix prefix = prefix_network(&route->prefix);

	for (size_t i = first_overlap(t, 0, &prefix); i < t->count; i++) {
		const struct entry *e = &t->entries[i];

		if (e->host != 0 || !prefix_overlaps(&e->prefix, &prefix))
			return;
		if (e->network->uplink == UPLINK_NONE || t->reported[e->network->index])
			continue;
		t->reported[e->network->index] = true;
		problems_error(
			t->b->problems, subnet_spot(t->b, e->network, e->prefix.ip.family),
			"choose another subnet; \"ip route\" shows what this machine has",
			"the subnet %s of \"%s\" overlaps %s, to which this machine already has a route through %s",
			prefix_format(&e->prefix, text), e->network->path, prefix_format(&prefix, other),
			route->interface);
	}
}

void check_overlaps(struct build *b)
{
	struct tables t = {.b = b, .reported = arena_alloc(b->tree_arena, b->lab->network_count * sizeof(bool) + 1)};

	for (size_t i = 0; i < b->lab->network_count; i++) {
		add_network(&t, b->lab->networks[i], AF_INET);
		add_network(&t, b->lab->networks[i], AF_INET6);
	}
	if (t.count)
		qsort(t.entries, t.count, sizeof(*t.entries), compare_entries);
	check_within_tables(&t);
	check_nat_networks(&t);
	for (size_t i = 0; b->machine && !b->lab->adopted && i < b->machine->route_count; i++)
		if (b->machine->routes[i].prefix.length > 0)
			check_machine_route(&t, &b->machine->routes[i]);
	free(t.entries);
}
