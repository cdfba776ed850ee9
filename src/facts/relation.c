/*
 * Which interface of one host is which of another.
 * - links.json, or whoever built the hosts, says it outright.
 * - The two ends of a veth between a machine and a network namespace of its know each other's index.
 * - A VXLAN device knows its peers' addresses (RFC 7348), which are those of their machine, whatever namespace they are
 * in. Two with one number are one tunnel where one of them knows the other: it takes what comes, and learns from where.
 * - libvirt and others give a tap the MAC of the guest's NIC behind it with fe in front (virNetDevTapCreate), so a tap
 *   fe:54:00:fc:38:e0 belongs to the NIC 52:54:00:fc:38:e0.
 * - A bridge learns on which port a MAC is.
 * - A host's neighbour has a MAC.
 * - WSL2 in mirrored mode has Windows' own addresses: two interfaces with one address are the same.
 * - Addresses in one subnet are probably on one link, unless both hosts have the same address there: then it is two
 *   subnets that only look alike, as with libvirt's 192.168.122.0/24 at two layers.
 * All MACs and addresses go into tables, so that many hosts are no problem.
 */
#include "facts/relation.h"

#include "model/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* An interface with its address or MAC, to be sorted and compared with its like. */
struct place {
	const struct facts *host;
	const struct link *link;
	const struct address *address;
	uint8_t key[17]; /* what is sorted by */
};

/* Pairs of hosts and links, by their addresses, that hang together. */
struct pairs {
	const void *(*slots)[2];
	size_t used, size;
};

struct relator {
	struct pool *pool;
	struct bundle *bundle;
	struct place *macs, *addresses;
	size_t mac_count, address_count;
	struct pairs joined; /* a link and a link; a host and the other's link */
};

static const void **find_pair(const struct pairs *pairs, const void *a, const void *b)
{
	const void *key[2] = {a < b ? a : b, a < b ? b : a};
	size_t at = hash_more(HASH_START, key, sizeof(key)) & (pairs->size - 1);

	while (pairs->slots[at][0] && (pairs->slots[at][0] != key[0] || pairs->slots[at][1] != key[1]))
		at = (at + 1) & (pairs->size - 1);
	return pairs->slots[at];
}

static void add_pair(struct arena *arena, struct pairs *pairs, const void *a, const void *b)
{
	struct pairs old = *pairs;
	const void **slot;

	if (pairs->used * 2 >= pairs->size) {
		pairs->size = pairs->size ? pairs->size * 2 : 64;
		pairs->slots = arena_alloc(arena, pairs->size * sizeof(*pairs->slots));
		for (size_t i = 0; i < old.size; i++)
			if (old.slots[i][0])
				memcpy(find_pair(pairs, old.slots[i][0], old.slots[i][1]), old.slots[i],
				       sizeof(*old.slots));
	}
	slot = find_pair(pairs, a, b);
	pairs->used += !slot[0];
	slot[0] = a < b ? a : b;
	slot[1] = a < b ? b : a;
}

static bool has_pair(const struct pairs *pairs, const void *a, const void *b)
{
	return pairs->size > 0 && find_pair(pairs, a, b)[0];
}

/* By something surer than a subnet. */
static void mark_joined(struct relator *relator, const struct facts *a, const struct link *la, const struct facts *b,
			const struct link *lb)
{
	add_pair(relator->bundle->arena, &relator->joined, la, lb);
	add_pair(relator->bundle->arena, &relator->joined, a, lb);
	add_pair(relator->bundle->arena, &relator->joined, b, la);
}

static int by_key(const void *a, const void *b)
{
	const struct place *left = a, *right = b;
	int order = memcmp(left->key, right->key, sizeof(left->key));

	if (order)
		return order;
	order = strcmp(left->host->name, right->host->name);
	return order ? order : strcmp(left->link->name, right->link->name);
}

static struct relation *add(struct relator *relator, enum relation_kind kind, const char *why)
{
	struct bundle *bundle = relator->bundle;
	struct relation *relation = arena_push(bundle->arena, bundle->relations, bundle->relation_count);

	*relation = (struct relation){.kind = kind, .why = why};
	return relation;
}

static void add_end(struct relator *relator, struct relation *relation, const struct facts *host,
		    const struct link *link)
{
	struct relation_end *end = arena_push(relator->bundle->arena, relation->ends, relation->end_count);

	*end = (struct relation_end){.host = host->name, .interface = link->name};
}

static void add_evidence(struct relator *relator, struct relation *relation, const struct origin *origin)
{
	if (origin && origin->source)
		*arena_push(relator->bundle->arena, relation->evidence, relation->evidence_count) = *origin;
}

static const struct origin *origin_of(const struct link *link)
{
	return link->origin_count ? &link->origins[0] : NULL;
}

static void join(struct relator *relator, enum relation_kind kind, const struct facts *a, const struct link *la,
		 const struct facts *b, const struct link *lb, const struct origin *evidence, const char *why)
{
	struct relation *relation;

	if (has_pair(&relator->joined, la, lb))
		return;
	mark_joined(relator, a, la, b, lb);
	relation = add(relator, kind, why);
	add_end(relator, relation, a, la);
	add_end(relator, relation, b, lb);
	add_evidence(relator, relation, evidence ? evidence : origin_of(la));
	add_evidence(relator, relation, origin_of(lb));
}

static void collect(struct relator *relator)
{
	struct arena *arena = relator->bundle->arena;

	for (size_t h = 0; h < relator->bundle->host_count; h++) {
		const struct facts *host = relator->bundle->hosts[h];

		for (size_t i = 0; i < host->link_count; i++) {
			const struct link *link = &host->links[i];
			struct place *place;

			if (link->mac.known) {
				place = arena_push(arena, relator->macs, relator->mac_count);
				*place = (struct place){.host = host, .link = link};
				memcpy(place->key, link->mac.bytes + 1, 5);
			}
			for (size_t j = 0; j < link->address_count; j++) {
				place = arena_push(arena, relator->addresses, relator->address_count);
				*place = (struct place){.host = host, .link = link, .address = &link->addresses[j]};
				place->key[0] = link->addresses[j].prefix.ip.family;
				memcpy(place->key + 1, link->addresses[j].prefix.ip.bytes, 16);
			}
		}
	}
	if (relator->mac_count)
		qsort(relator->macs, relator->mac_count, sizeof(*relator->macs), by_key);
	if (relator->address_count)
		qsort(relator->addresses, relator->address_count, sizeof(*relator->addresses), by_key);
}

/* The places with this MAC, whatever its first byte. */
static struct place *find_mac(const struct relator *relator, const uint8_t mac[6], size_t *ret_count)
{
	size_t low = 0, high = relator->mac_count, end;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memcmp(relator->macs[middle].key, mac + 1, 5) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < relator->mac_count && memcmp(relator->macs[end].key, mac + 1, 5) == 0; end++)
		continue;
	*ret_count = end - low;
	return relator->mac_count ? &relator->macs[low] : NULL;
}

static const char *name_or_null(const json_t *value)
{
	return json_string_value(value);
}

/* Named by its name, or by its MAC; NULL: nobody knows which. */
static const char *end_interface(struct relator *relator, const struct facts *host, const char *name)
{
	struct mac mac = {.known = true};
	const struct link *link;

	if (!name || (host && facts_link(host, name)) || !mac_parse(name, mac.bytes))
		return pool_text(relator->pool, name);
	link = host ? facts_link_with_mac(host, &mac) : NULL;
	return link ? link->name : NULL;
}

static void add_cable_end(struct relator *relator, struct relation *cable, const char *name, const char *interface)
{
	const struct facts *host = name ? bundle_host(relator->bundle, name) : NULL;

	*arena_push(relator->bundle->arena, cable->ends, cable->end_count) =
		(struct relation_end){.host = host ? host->name : pool_text(relator->pool, name),
				      .interface = end_interface(relator, host, interface)};
}

static void mark_cable(struct relator *relator, const struct relation *cable)
{
	const struct facts *hosts[2] = {};
	const struct link *links[2] = {};

	for (size_t i = 0; i < 2; i++) {
		if (cable->ends[i].host && cable->ends[i].interface)
			hosts[i] = bundle_host(relator->bundle, cable->ends[i].host);
		if (hosts[i])
			links[i] = facts_link(hosts[i], cable->ends[i].interface);
	}
	if (links[0] && links[1])
		mark_joined(relator, hosts[0], links[0], hosts[1], links[1]);
}

/* [["l0", "tap0", "l1", "eth0"], ["l0", "eth0", null, null]] */
static void take_cables(struct relator *relator, const json_t *links, const char *source)
{
	const char *slash = source ? strrchr(source, '/') : NULL;
	const char *why = arena_printf(relator->bundle->arena, "%s says so", slash ? slash + 1 : source ? source : "");

	for (size_t i = 0; i < json_array_size(links); i++) {
		const json_t *row = json_array_get(links, i);
		struct origin origin = {.source = source, .item = (uint32_t)i + 1};
		struct relation *relation;

		if (json_array_size(row) != 4) {
			*arena_push(relator->bundle->arena, relator->bundle->notes, relator->bundle->note_count) =
				(struct note){"not a cable: [host, interface, host or null, interface or null]",
					      origin};
			continue;
		}
		relation = add(relator, RELATION_CABLE, why);
		for (size_t end = 0; end < 4; end += 2)
			add_cable_end(relator, relation, name_or_null(json_array_get(row, end)),
				      name_or_null(json_array_get(row, end + 1)));
		add_evidence(relator, relation, &origin);
		mark_cable(relator, relation);
	}
}

static bool is_other_end(const struct link *one, const struct link *other)
{
	return one->kind && other->kind && strcmp(one->kind, "veth") == 0 && strcmp(other->kind, "veth") == 0 &&
	       one->index.known && other->index.known && one->peer_index.known && other->peer_index.known &&
	       one->peer_index.value == other->index.value && other->peer_index.value == one->index.value;
}

static void find_veths(struct relator *relator)
{
	for (size_t h = 0; h < relator->bundle->host_count; h++) {
		const struct facts *inside = relator->bundle->hosts[h],
				   *machine = bundle_machine(relator->bundle, inside);

		for (size_t i = 0; machine && i < machine->link_count; i++)
			for (size_t j = 0; j < inside->link_count; j++)
				if (is_other_end(&machine->links[i], &inside->links[j]))
					join(relator, RELATION_CABLE, machine, &machine->links[i], inside,
					     &inside->links[j], NULL, "the two ends of one veth");
	}
}

static bool is_tunnel(const struct link *link)
{
	return link->kind && strcmp(link->kind, "vxlan") == 0;
}

/* Whose addresses packets of a host's tunnels have. */
static const struct facts *outer_host(const struct relator *relator, const struct facts *host)
{
	const struct facts *machine = bundle_machine(relator->bundle, host);

	return machine ? machine : host;
}

static bool has_ip(const struct facts *host, const struct ip *ip)
{
	for (size_t i = 0; ip->family && i < host->link_count; i++)
		for (size_t j = 0; j < host->links[i].address_count; j++)
			if (ip_equal(&host->links[i].addresses[j].prefix.ip, ip))
				return true;
	return false;
}

/* The i-th place where a tunnel's packets go to, some of them more than once; NULL: no more. */
static const struct ip *tunnel_peer(const struct facts *host, const struct link *tunnel, size_t i)
{
	const struct ip *remote = &tunnel->tunnel.remote;
	bool many = remote->family == AF_INET ? (remote->bytes[0] & 0xf0) == 0xe0 : remote->bytes[0] == 0xff;

	if (remote->family && !many && i-- == 0)
		return remote;
	for (size_t j = 0; j < host->fdb_count; j++) {
		const struct fdb_entry *entry = &host->fdb[j];

		if (entry->destination.family && entry->dev && strcmp(entry->dev, tunnel->name) == 0 && i-- == 0)
			return &entry->destination;
	}
	return NULL;
}

static bool tunnel_leads_to(const struct facts *host, const struct link *tunnel, const struct facts *to)
{
	const struct ip *peer;

	for (size_t i = 0; (peer = tunnel_peer(host, tunnel, i)); i++)
		if (has_ip(to, peer))
			return true;
	return false;
}

static bool is_far_end(const struct relator *relator, const struct facts *host, const struct link *tunnel,
		       const struct facts *other, const struct link *link)
{
	const struct facts *here = outer_host(relator, host), *there = outer_host(relator, other);

	return here != there && is_tunnel(link) && number_or(link->tunnel.id, 0) == number_or(tunnel->tunnel.id, 0) &&
	       number_or(link->tunnel.port, 0) == number_or(tunnel->tunnel.port, 0) &&
	       (tunnel_leads_to(host, tunnel, there) || tunnel_leads_to(other, link, here));
}

/* The far ends of a tunnel; and a place that was not captured where one of its peers is on none of these. */
static void find_far_ends(struct relator *relator, const struct facts *host, const struct link *tunnel)
{
	struct bundle *bundle = relator->bundle;
	const struct facts **found = NULL;
	const struct ip *peer;
	size_t count = 0;
	bool all = true;

	for (size_t h = 0; h < bundle->host_count; h++)
		for (size_t i = 0; i < bundle->hosts[h]->link_count; i++) {
			const struct link *link = &bundle->hosts[h]->links[i];

			if (!is_far_end(relator, host, tunnel, bundle->hosts[h], link))
				continue;
			join(relator, RELATION_CABLE, host, tunnel, bundle->hosts[h], link, NULL,
			     "the two ends of one VXLAN tunnel");
			*arena_push(bundle->arena, found, count) = outer_host(relator, bundle->hosts[h]);
		}
	for (size_t i = 0; (peer = tunnel_peer(host, tunnel, i)); i++) {
		bool known = false;

		for (size_t j = 0; j < count; j++)
			known = known || has_ip(found[j], peer);
		all = all && known;
	}
	if (!all) {
		struct relation *relation = add(relator, RELATION_CABLE, "a peer of the tunnel was not captured");

		add_end(relator, relation, host, tunnel);
		*arena_push(bundle->arena, relation->ends, relation->end_count) = (struct relation_end){};
	}
}

static void find_tunnels(struct relator *relator)
{
	for (size_t h = 0; h < relator->bundle->host_count; h++) {
		const struct facts *host = relator->bundle->hosts[h];

		for (size_t i = 0; i < host->link_count; i++)
			if (is_tunnel(&host->links[i]) && host->links[i].tunnel.id.known)
				find_far_ends(relator, host, &host->links[i]);
	}
}

static void find_taps(struct relator *relator)
{
	for (size_t i = 0; i < relator->mac_count; i++) {
		const struct place *tap = &relator->macs[i];
		struct place *found;
		size_t count;

		if (tap->link->mac.bytes[0] != 0xfe)
			continue;
		found = find_mac(relator, tap->link->mac.bytes, &count);
		for (size_t j = 0; j < count; j++) {
			if (found[j].host == tap->host || found[j].link->mac.bytes[0] == 0xfe)
				continue;
			join(relator, RELATION_TAP, tap->host, tap->link, found[j].host, found[j].link, NULL,
			     "the tap's MAC is the NIC's with fe in front");
		}
	}
}

static bool same_mac(const struct place *place, const struct mac *mac)
{
	return memcmp(place->link->mac.bytes, mac->bytes, 6) == 0;
}

/* A MAC that a port of a bridge, or a neighbour, has: the interface of another host that has it, if it is one alone. */
static const struct place *find_owner(const struct relator *relator, const struct facts *host, const struct mac *mac)
{
	const struct place *owner = NULL;
	struct place *found;
	size_t count;

	if (!mac->known || mac->bytes[0] & 1)
		return NULL;
	found = find_mac(relator, mac->bytes, &count);
	for (size_t i = 0; i < count; i++) {
		if (found[i].host == host && same_mac(&found[i], mac))
			return NULL; /* its own */
		if (found[i].host == host || !same_mac(&found[i], mac))
			continue;
		/* a bridge has the MAC of a port of its: the port is the one with the cable */
		if (owner && owner->link->kind && strcmp(owner->link->kind, "bridge") == 0)
			owner = NULL;
		if (found[i].link->kind && strcmp(found[i].link->kind, "bridge") == 0 && owner)
			continue;
		if (owner && owner->host != found[i].host)
			return NULL;
		owner = &found[i];
	}
	return owner;
}

static void find_learned(struct relator *relator)
{
	for (size_t h = 0; h < relator->bundle->host_count; h++) {
		const struct facts *host = relator->bundle->hosts[h];

		for (size_t i = 0; i < host->fdb_count; i++) {
			const struct fdb_entry *entry = &host->fdb[i];
			const struct place *owner;
			const struct link *port;

			if (!entry->dev || !entry->master || entry->destination.family ||
			    (entry->state && strcmp(entry->state, "permanent") == 0))
				continue;
			owner = find_owner(relator, host, &entry->mac);
			port = owner ? facts_link(host, entry->dev) : NULL;
			/* Behind a tunnel there is another bridge first. */
			if (port && !is_tunnel(port))
				join(relator, RELATION_LEARNED, host, port, owner->host, owner->link, &entry->origin,
				     "the bridge learned the MAC on this port");
		}
	}
}

bool link_is_bridge(const struct facts *host, const struct link *link)
{
	if (link->kind)
		return strcmp(link->kind, "bridge") == 0;
	for (size_t i = 0; i < host->link_count; i++)
		if (host->links[i].master && strcmp(host->links[i].master, link->name) == 0)
			return true;
	return false;
}

/* A neighbour's MAC tells which host it is, unless the neighbour is behind a bridge and its port is known. */
static void find_neighbours(struct relator *relator)
{
	for (size_t h = 0; h < relator->bundle->host_count; h++) {
		const struct facts *host = relator->bundle->hosts[h];

		for (size_t i = 0; i < host->neighbour_count; i++) {
			const struct neighbour *neighbour = &host->neighbours[i];
			const struct place *owner = find_owner(relator, host, &neighbour->mac);
			const struct link *link = owner && neighbour->dev ? facts_link(host, neighbour->dev) : NULL;

			if (link && (!has_pair(&relator->joined, host, owner->link) || !link_is_bridge(host, link)))
				join(relator, RELATION_NEIGHBOUR, host, link, owner->host, owner->link,
				     &neighbour->origin, "a neighbour has this MAC");
		}
	}
}

static bool is_own(const struct address *address)
{
	const struct ip *ip = &address->prefix.ip;

	if (ip->family == AF_INET)
		return ip->bytes[0] == 127 || (ip->bytes[0] == 169 && ip->bytes[1] == 254);
	return (ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80) ||
	       (memcmp(ip->bytes, (const uint8_t[15]){0}, 15) == 0 && ip->bytes[15] == 1);
}

static bool is_loopback(const struct address *address)
{
	const struct ip *ip = &address->prefix.ip;

	return ip->family == AF_INET ? ip->bytes[0] == 127
				     : memcmp(ip->bytes, (const uint8_t[15]){0}, 15) == 0 && ip->bytes[15] == 1;
}

/* "networkingMode=mirrored" in the one's .wslconfig, where it was captured. */
static const struct origin *mirrored_setting(const struct facts *windows)
{
	for (size_t i = 0; i < windows->wslconfig_count; i++)
		if (!windows->wslconfig[i].ignored && strcasecmp(windows->wslconfig[i].key, "networkingMode") == 0 &&
		    strcasecmp(windows->wslconfig[i].value, "mirrored") == 0)
			return &windows->wslconfig[i].origin;
	return NULL;
}

static bool is_mirror(const struct facts *a, const struct facts *b)
{
	return (a->system == SYSTEM_WINDOWS) != (b->system == SYSTEM_WINDOWS);
}

/* Windows' interface and its image in WSL2. */
static void find_mirrored(struct relator *relator)
{
	for (size_t i = 0; i < relator->address_count; i++) {
		const struct place *a = &relator->addresses[i];

		for (size_t j = i + 1;
		     j < relator->address_count && memcmp(a->key, relator->addresses[j].key, sizeof(a->key)) == 0;
		     j++) {
			const struct place *b = &relator->addresses[j], *windows = a, *linux_ = b;
			size_t before;

			if (a->host == b->host || !is_mirror(a->host, b->host) || is_loopback(a->address))
				continue;
			if (b->host->system == SYSTEM_WINDOWS) {
				windows = b;
				linux_ = a;
			}
			before = relator->bundle->relation_count;
			join(relator, RELATION_MIRRORED, windows->host, windows->link, linux_->host, linux_->link,
			     &windows->address->origin, "both have the same address: WSL2 in mirrored mode");
			if (relator->bundle->relation_count > before)
				add_evidence(relator, &relator->bundle->relations[before],
					     mirrored_setting(windows->host));
		}
	}
}

static bool in_subnet(const struct place *place)
{
	const struct address *address = place->address;

	return !is_own(address) && address->prefix.length > 0 && address->prefix.length < ip_bits(&address->prefix.ip);
}

/* Do two of them have the same address? Then these are different subnets, or one interface seen twice. */
static bool has_twins(const struct place *places, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (places[i].host != places[i - 1].host &&
		    ip_equal(&places[i].address->prefix.ip, &places[i - 1].address->prefix.ip))
			return true;
	return false;
}

static bool is_end(const struct relation_end *end, const struct facts *host, const struct link *link)
{
	return end->host && end->interface && strcmp(end->host, host->name) == 0 &&
	       strcmp(end->interface, link->name) == 0;
}

static bool are_mirrored(const struct relator *relator, const struct place *a, const struct place *b)
{
	for (size_t i = 0; i < relator->bundle->relation_count; i++) {
		const struct relation *relation = &relator->bundle->relations[i];

		if (relation->kind == RELATION_MIRRORED &&
		    ((is_end(&relation->ends[0], a->host, a->link) && is_end(&relation->ends[1], b->host, b->link)) ||
		     (is_end(&relation->ends[0], b->host, b->link) && is_end(&relation->ends[1], a->host, a->link))))
			return true;
	}
	return false;
}

static void note_twins(struct relator *relator, const struct place *places, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		const struct place *a = &places[i - 1], *b = &places[i];
		char text[PREFIX_TEXT_SIZE];

		if (a->host == b->host || !ip_equal(&a->address->prefix.ip, &b->address->prefix.ip) ||
		    are_mirrored(relator, a, b))
			continue;
		*arena_push(relator->bundle->arena, relator->bundle->notes, relator->bundle->note_count) =
			(struct note){arena_printf(relator->bundle->arena,
						   "%s is an address of %s on %s and of %s on %s",
						   prefix_format(&a->address->prefix, text), a->link->name,
						   a->host->name, b->link->name, b->host->name),
				      b->address->origin};
	}
}

static void add_subnet(struct relator *relator, const struct place *places, size_t count)
{
	struct relation *relation = NULL;
	bool several = false;

	for (size_t i = 1; i < count; i++)
		several = several || places[i].host != places[0].host;
	if (!several)
		return;
	if (has_twins(places, count)) {
		note_twins(relator, places, count);
		return;
	}
	relation = add(relator, RELATION_SUBNET, "addresses in one subnet");
	relation->subnet = prefix_network(&places[0].address->prefix);
	for (size_t i = 0; i < count; i++) {
		add_end(relator, relation, places[i].host, places[i].link);
		relation->ends[relation->end_count - 1].address = places[i].address->prefix.ip;
		add_evidence(relator, relation, &places[i].address->origin);
	}
}

/* Addresses are sorted, so those of one subnet stand together, unless one subnet lies inside another. */
static void find_subnets(struct relator *relator)
{
	struct place *places = arena_alloc(relator->bundle->arena, (relator->address_count + 1) * sizeof(*places));
	size_t count = 0, start = 0;

	for (size_t i = 0; i < relator->address_count; i++)
		if (in_subnet(&relator->addresses[i]))
			places[count++] = relator->addresses[i];
	for (size_t i = 1; i <= count; i++) {
		const struct prefix *first = &places[start].address->prefix;

		if (i < count && places[i].address->prefix.length == first->length &&
		    prefix_contains(first, &places[i].address->prefix.ip))
			continue;
		add_subnet(relator, &places[start], i - start);
		start = i;
	}
}

void relate_hosts(struct pool *pool, struct bundle *bundle, const json_t *links, const char *source)
{
	struct relator relator = {.pool = pool, .bundle = bundle};

	collect(&relator);
	take_cables(&relator, links, source);
	find_veths(&relator);
	find_tunnels(&relator);
	find_taps(&relator);
	find_learned(&relator);
	find_mirrored(&relator);
	find_neighbours(&relator);
	find_subnets(&relator);
}
