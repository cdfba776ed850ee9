/*
 * What must be possible: for every address that the lab file gives the one end, every packet that the other end begins
 * a connection with, from the address that its kernel takes for it.
 */
#include "verify/policy_internal.h"

#include "base/arena.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* A part of the world where nothing is reserved (IANA's registries of special-purpose addresses). */
static const struct prefix world4 = {{AF_INET, {8}}, 8}, world6 = {{AF_INET6, {0x26}}, 12};

struct wish {
	struct asking *asking;
	const struct endpoint *from;
	struct sources sources;
	pset packets; /* that begin something, at the ports that were asked for */
	bool any;     /* there is an address that both ends can use */
};

static bool has_family(const struct stack_host *host, uint8_t family)
{
	for (size_t i = 0; i < host->link_count; i++)
		for (size_t j = 0; !host->links[i].loopback && j < host->links[i].link->address_count; j++) {
			const struct ip *ip = &host->links[i].link->addresses[j].prefix.ip;

			if (ip->family == family && !ip_is_link_local(ip))
				return true;
		}
	return false;
}

/* The address that the kernel of the host takes for the way to `to`; family 0: it has none. */
static struct ip chosen_source(const struct asking *asking, struct stack_host *host, const struct ip *to)
{
	const struct question question = {.at = host,
					  .packet = {.family = to->family,
						     .protocol = PROTOCOL_TCP,
						     .dst = *to,
						     .sport = port_of(40000),
						     .dport = port_of(22),
						     .tcp_flags = TCP_SYN}};

	return walk_ask(asking->input->stack, &question, WALK_ASSUME, asking->arena)->source;
}

static void add_start(struct wish *wish, const struct spread_start *start, const struct party *party, const char *who)
{
	struct sender *source = arena_push(wish->asking->arena, wish->sources.items, wish->sources.count);

	*source = (struct sender){.start = *start, .party = party, .who = who};
	wish->any = true;
}

static void from_host(struct wish *wish, const struct party *party, const struct prefix *to, pset packets)
{
	const struct asking *asking = wish->asking;
	struct stack_host *host = party->guest ? party->machine : party->network;
	struct spread_start start = {.host = host};
	struct ip source;

	if (!has_family(host, to->ip.family))
		return;
	source = chosen_source(asking, host, &to->ip);
	if (source.family)
		packets = pset_and(asking->space, packets, set_of_address(asking->space, PSET_SADDR, &source));
	start.packets = packets;
	add_start(wish, &start, party, party->guest ? party->guest->path : "L0");
}

/* A guest that was not captured, as far as it is known: its NIC, and the addresses that the file gives it. */
static void from_nic(struct wish *wish, const struct nic *nic, const struct prefix *to, pset packets)
{
	const struct asking *asking = wish->asking;
	const struct ip *own = to->ip.family == AF_INET ? &nic->address4 : &nic->address6;
	const struct prefix *subnet = to->ip.family == AF_INET ? &nic->network->subnet4 : &nic->network->subnet6;
	struct spread_start start = {};
	struct cable cable;

	if (!own->family || !places_cable(&asking->places, nic, &cable) || cable.nic != nic || !cable.bridge)
		return;
	start.host = cable.tap->host;
	start.iif = cable.bridge;
	start.in_port = cable.tap;
	start.bridged = prefix_contains(subnet, &to->ip);
	start.packets = pset_and(asking->space, packets, set_of_address(asking->space, PSET_SADDR, own));
	start.packets =
		pset_and(asking->space, start.packets, pset_value(asking->space, PSET_SMAC, wide_of_mac(nic->mac)));
	add_start(wish, &start, places_party(&asking->places, nic->guest), nic->guest->path);
}

static void from_party(struct wish *wish, const struct party *party, const struct prefix *to, pset packets)
{
	const struct asking *asking = wish->asking;
	const struct guest *down = places_down(&asking->places, party->guest);
	size_t before = wish->sources.count;

	if (down) {
		source_missing_down(asking, &wish->sources, down);
		return;
	}
	if (party->guest ? party->machine : party->network) {
		from_host(wish, party, to, packets);
		return;
	}
	for (size_t i = 0; party->guest && i < party->guest->nic_count; i++)
		from_nic(wish, &party->guest->nics[i], to, packets);
	if (wish->sources.count == before)
		source_missing_facts(asking, &wish->sources, party);
}

static void from_world(struct wish *wish, const struct prefix *to, pset packets)
{
	const struct prefix *world = to->ip.family == AF_INET ? &world4 : &world6;

	packets = pset_and(wish->asking->space, packets, set_of_prefix(wish->asking->space, PSET_SADDR, world));
	source_add_world(wish->asking, &wish->sources, packets);
	wish->any = true;
}

/* Packets to this address from all that are meant. */
static void add_way(struct wish *wish, const struct prefix *to, pset packets)
{
	const struct asking *asking = wish->asking;
	const struct endpoint *from = wish->from;
	const struct lab *lab = asking->input->lab;

	packets = pset_and(asking->space, packets, set_of_prefix(asking->space, PSET_DADDR, to));
	switch (from->kind) {
	case ENDPOINT_L0:
		from_party(wish, places_root(&asking->places), to, packets);
		return;
	case ENDPOINT_WORLD:
		from_world(wish, to, packets);
		return;
	case ENDPOINT_GUEST:
		from_party(wish, places_party(&asking->places, from->guest), to, packets);
		return;
	case ENDPOINT_NETWORK:
		for (size_t i = 0; i < lab->guest_count; i++)
			for (size_t j = 0; j < lab->guests[i]->nic_count; j++)
				if (lab->guests[i]->nics[j].network == from->network)
					from_party(wish, places_party(&asking->places, lab->guests[i]), to, packets);
		return;
	case ENDPOINT_PREFIX:
		source_add_world(
			asking, &wish->sources,
			pset_and(asking->space, packets, set_of_prefix(asking->space, PSET_SADDR, &from->prefix)));
		wish->any = true;
		return;
	}
}

static void add_address(struct wish *wish, const struct ip *to)
{
	if (to->family)
		add_way(wish, &(struct prefix){*to, ip_bits(to)}, wish->packets);
}

/* The addresses that a NIC has been given by others than the file. */
static void add_found(struct wish *wish, const struct nic *nic)
{
	const struct party *party = places_party(&wish->asking->places, nic->guest);

	for (size_t i = 0; party->machine && i < party->machine->link_count; i++) {
		const struct link *link = party->machine->links[i].link;

		if (!link->mac.known || memcmp(link->mac.bytes, nic->mac, sizeof(nic->mac)) != 0)
			continue;
		for (size_t j = 0; j < link->address_count; j++)
			if (!ip_is_link_local(&link->addresses[j].prefix.ip))
				add_address(wish, &link->addresses[j].prefix.ip);
	}
}

/* From the world a guest is reached where it is published, or, where all networks are routed, at its own address. */
static bool add_published(struct wish *wish, const struct guest *guest)
{
	bool any = false;

	for (size_t i = 0; i < guest->publish_count; i++) {
		const struct publish *publish = &guest->publish[i];
		struct space *space = wish->asking->space;
		pset inside = pset_and(space, pset_value(space, PSET_PROTOCOL, publish->protocol),
				       pset_value(space, PSET_DPORT, publish->port));
		pset moved = pset_and(space, wish->packets, inside);

		if (pset_is_empty(moved) || !publish->address.family || ip_is_loopback(&publish->address))
			continue;
		moved = pset_after(space, moved, pset_bits_of(PSET_DPORT), publish->as ? publish->as : publish->port,
				   ~(wide)0);
		add_way(wish, &(struct prefix){publish->address, ip_bits(&publish->address)}, moved);
		any = true;
	}
	return any;
}

/* From L0 those that it has a way to, unless that is none. */
static bool is_wanted(const struct wish *wish, const struct nic *nic, uint8_t family)
{
	const struct lab *lab = wish->asking->input->lab;

	if (wish->from->kind != ENDPOINT_L0 || nic_is_reached(lab, nic, family))
		return true;
	for (size_t i = 0; i < nic->guest->nic_count; i++)
		if (nic_is_reached(lab, &nic->guest->nics[i], AF_INET) ||
		    nic_is_reached(lab, &nic->guest->nics[i], AF_INET6))
			return false;
	return true;
}

static void add_guest(struct wish *wish, const struct guest *guest, const struct network *network)
{
	const struct guest *down = places_down(&wish->asking->places, guest);

	if (down) { /* that nobody takes it in there breaks no promise: nobody is there yet */
		source_missing_down(wish->asking, &wish->sources, down);
		return;
	}
	if (wish->from->kind == ENDPOINT_WORLD && add_published(wish, guest))
		return;
	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];

		if (network && nic->network != network)
			continue;
		if (is_wanted(wish, nic, AF_INET))
			add_address(wish, &nic->address4);
		if (is_wanted(wish, nic, AF_INET6))
			add_address(wish, &nic->address6);
		if (!nic->address4.family && !nic->address6.family)
			add_found(wish, nic);
	}
}

/* The host's own addresses in the networks that its guests are on. */
static void add_l0(struct wish *wish)
{
	const struct host *root = wish->asking->input->lab->root;

	for (size_t i = 0; i < root->network_count; i++) {
		const struct guest *guest = wish->from->kind == ENDPOINT_GUEST ? wish->from->guest : NULL;
		bool on = !guest;

		guest = guest ? host_guest_towards(root, guest) : NULL;
		for (size_t j = 0; guest && j < guest->nic_count; j++)
			on = on || guest->nics[j].network == root->networks[i];
		if (!on)
			continue;
		add_address(wish, &root->networks[i]->gateway4);
		add_address(wish, &root->networks[i]->gateway6);
	}
}

/* IPv6 only where L0 has a way out with it: many machines have none. */
static void add_world(struct wish *wish)
{
	const struct party *root = places_root(&wish->asking->places);
	const struct stack_fib *main = root->machine ? stack_fib(&root->machine->routing6, "main") : NULL;
	bool six = false;

	for (size_t i = 0; main && i < main->route_count; i++)
		six = six || (main->routes[i].to.length == 0 && main->routes[i].route->type == ROUTE_TYPE_UNICAST);
	add_way(wish, &world4, wish->packets);
	if (six)
		add_way(wish, &world6, wish->packets);
}

static void add_targets(struct wish *wish, const struct endpoint *to)
{
	const struct lab *lab = wish->asking->input->lab;

	switch (to->kind) {
	case ENDPOINT_L0:
		add_l0(wish);
		return;
	case ENDPOINT_WORLD:
		add_world(wish);
		return;
	case ENDPOINT_GUEST:
		add_guest(wish, to->guest, NULL);
		return;
	case ENDPOINT_NETWORK:
		for (size_t i = 0; i < lab->guest_count; i++)
			if (!(wish->from->kind == ENDPOINT_GUEST && lab->guests[i] == wish->from->guest))
				add_guest(wish, lab->guests[i], to->network);
		return;
	case ENDPOINT_PREFIX:
		add_way(wish, &to->prefix, wish->packets);
		return;
	}
}

int ask_way(struct asking *asking, const struct endpoint *from, const struct endpoint *to, pset ports, bool door,
	    struct policy_verdict *verdict)
{
	struct wish wish = {.asking = asking,
			    .from = from,
			    .packets = pset_and(asking->space, first_packets(asking->space), ports)};
	struct aim aim;

	if (!aim_at(asking, from, &aim))
		source_missing_part(asking, &wish.sources, from);
	else if (!aim_at(asking, to, &aim))
		source_missing_part(asking, &wish.sources, to);
	else
		add_targets(&wish, to);
	aim.door = door;
	if (!wish.any && wish.sources.missing_count == 0)
		source_missing(asking, &wish.sources, NULL, "an address of one family that %s and %s both have",
			       from->text, to->text);
	return ask_all(asking, &wish.sources, &aim, verdict);
}
