/*
 * The lab in the facts. The hosts of a bundle are called as cli/collect.h says: L0 the lab's network on the root,
 * L0-root the root itself, a guest by its path, and PATH-lab-NAME the lab's network on a guest that is a host.
 */
#include "verify/policy_internal.h"

#include "base/arena.h"
#include "facts/collection.h"

#include <string.h>
#include <sys/socket.h>

/* By its name, or as `capture` calls its folder. */
static struct stack_host *find_host(const struct places *places, const char *name, struct arena *arena)
{
	struct stack_host *host = stack_host(places->stack, name);

	return host ? host : stack_host(places->stack, collection_folder(arena, name));
}

/* One whose interfaces were not captured says nothing about packets: it is known who it is, and no more. */
static struct stack_host *take_host(const struct places *places, const struct party *party, const char *name,
				    struct arena *arena)
{
	struct stack_host *host = find_host(places, name, arena);

	if (host)
		places->roles[host->number] = party;
	return host && host->facts->links_known == TRUTH_YES ? host : NULL;
}

static void find_party(struct places *places, struct party *party, struct arena *arena)
{
	const struct lab *lab = places->lab;
	const struct host *host = party->host;
	bool machine = party->guest && guest_is_machine(party->guest);
	bool outermost = host && host->layer == 0 && !machine;
	const char *name = machine	  ? arena_printf(arena, "%s-root", party->guest->path)
			   : outermost	  ? "L0-root"
			   : party->guest ? party->guest->path
					  : host->path;

	party->machine = take_host(places, party, name, arena);
	if (host)
		party->network = take_host(places, party,
					   machine     ? party->guest->path
					   : outermost ? "L0"
						       : arena_printf(arena, "%s-lab-%s", host->path, lab->name),
					   arena);
}

void places_find(struct places *places, const struct lab *lab, const struct stack *stack, struct arena *arena)
{
	*places = (struct places){.lab = lab, .stack = stack, .party_count = lab_index_count(lab) + 1};
	places->parties = arena_alloc(arena, places->party_count * sizeof(*places->parties));
	places->roles = arena_alloc(arena, (stack->host_count + 1) * sizeof(struct party *));
	places->parties[0].host = lab->root;
	for (size_t i = 0; i < lab->guest_count; i++) {
		places->parties[i + 1].guest = lab->guests[i];
		places->parties[i + 1].host = lab->guests[i]->host;
	}
	for (size_t i = 0; i < lab->machine_count; i++) {
		struct party *party = &places->parties[lab->machines[i]->guest->index + 1];

		party->guest = lab->machines[i]->guest;
		party->host = lab->machines[i]->guest->host;
	}
	for (size_t i = 0; i < places->party_count; i++)
		find_party(places, &places->parties[i], arena);
}

const struct party *places_root(const struct places *places)
{
	return &places->parties[0];
}

const struct party *places_party(const struct places *places, const struct guest *guest)
{
	return guest ? &places->parties[guest->index + 1] : places_root(places);
}

const struct party *places_role(const struct places *places, const struct stack_host *host)
{
	return places->roles[host->number];
}

bool nic_is_reached(const struct lab *lab, const struct nic *nic, uint8_t family)
{
	const struct network *network = nic->network;
	const struct guest *owner = network->owner->guest;

	if (!(family == AF_INET ? nic->address4 : nic->address6).family)
		return false;
	if (network->owner == lab->root)
		return true;
	for (size_t i = 0; owner && network->uplink == UPLINK_ROUTE && i < owner->nic_count; i++)
		if ((family == AF_INET ? owner->nics[i].address4 : owner->nics[i].address6).family)
			return nic_is_reached(lab, &owner->nics[i], family);
	return false;
}

bool guest_is_in(const struct guest *guest, const struct guest *above)
{
	for (; guest; guest = guest->parent->guest)
		if (guest == above)
			return true;
	return false;
}

static bool is_veth(const struct stack_link *link)
{
	return link->link->kind && strcmp(link->link->kind, "veth") == 0;
}

/*
 * A tap that is lent to libvirt (net_lend_tap) is a port of a bridge on the machine, and a veth has its place in the
 * lab's network. NULL: it is where it usually is, or nobody knows.
 */
static struct stack_link *lent_tap(const struct party *owner, const struct nic *nic)
{
	const struct stack_link *place = owner->network ? stack_link(owner->network, nic->tap) : NULL;
	char name[INTERFACE_NAME_SIZE];
	struct stack_link *tap;

	if (!owner->machine || !place || !is_veth(place))
		return NULL;
	nic_loose_tap(nic, name);
	tap = stack_link(owner->machine, name);
	return tap && tap->master ? tap : NULL;
}

bool places_cable(const struct places *places, const struct nic *nic, struct cable *ret)
{
	const struct party *owner = places_party(places, guest_runs_on(nic->guest)->guest);

	if (!owner->network && owner->guest && owner->guest->nic_count > 0)
		return places_cable(places, &owner->guest->nics[0], ret);
	*ret = (struct cable){.nic = nic};
	if (owner->network) {
		ret->tap = lent_tap(owner, nic);
		if (!ret->tap)
			ret->tap = stack_link(owner->network, nic->tap);
		ret->bridge = ret->tap ? ret->tap->master : NULL;
	}
	return ret->tap != NULL;
}

/* A tap that is lent goes with its guest; its place in the lab's network stays. */
static bool is_plugged(const struct party *owner, const struct nic *nic)
{
	const struct stack_link *place = stack_link(owner->network, nic->tap);
	char name[INTERFACE_NAME_SIZE];

	if (!place || !owner->machine || !is_veth(place))
		return place != NULL;
	nic_loose_tap(nic, name);
	return stack_link(owner->machine, name) != NULL;
}

const struct guest *places_down(const struct places *places, const struct guest *guest)
{
	const struct guest *down = NULL;

	for (; guest; guest = guest->parent->guest) {
		const struct party *owner = places_party(places, guest_runs_on(guest)->guest);
		bool plugged = !owner->network || guest->nic_count == 0;

		for (size_t i = 0; i < guest->nic_count && !plugged; i++)
			plugged = is_plugged(owner, &guest->nics[i]);
		if (!plugged)
			down = guest;
	}
	return down;
}

/* The link that a guest's nic is the other end of. */
static bool is_tap_of(const struct party *party, const struct nic *nic, const struct stack_link *link)
{
	const struct stack_link *lent = lent_tap(party, nic);

	return lent ? lent == link : link->host == party->network && strcmp(nic->tap, link->name) == 0;
}

const struct nic *places_tap(const struct places *places, const struct stack_link *link)
{
	const struct party *party = places_role(places, link->host);

	if (!party || !party->host || (party->network != link->host && party->machine != link->host))
		return NULL;
	for (size_t i = 0; i < party->host->guest_count; i++)
		for (size_t j = 0; j < party->host->guests[i]->nic_count; j++)
			if (is_tap_of(party, &party->host->guests[i]->nics[j], link))
				return &party->host->guests[i]->nics[j];
	return NULL;
}

const struct network *places_bridge(const struct places *places, const struct stack_link *link)
{
	const struct party *party = places_role(places, link->host);

	if (!party || party->network != link->host)
		return NULL;
	if (party->guest && guest_is_machine(party->guest)) /* which has those of the home, as far as it needs them */
		party = places_root(places);
	for (size_t i = 0; i < party->host->network_count; i++)
		if (strcmp(party->host->networks[i]->bridge, link->name) == 0)
			return party->host->networks[i];
	return NULL;
}

static bool has_captured_end(const struct stack_link *link)
{
	for (size_t i = 0; i < link->cable_count; i++)
		if (link->cables[i].link)
			return true;
	return link->cable_count == 0 && link->parent && link->link->kind && strcmp(link->link->kind, "veth") == 0;
}

const char *party_name(const struct party *party)
{
	return party->guest ? party->guest->path : "L0";
}

/* A guest's own interface, be it a port of a bridge. */
static bool is_nic_of(const struct stack_link *link, const struct guest *guest)
{
	for (size_t i = 0; guest && link->link->mac.known && i < guest->nic_count; i++)
		if (memcmp(link->link->mac.bytes, guest->nics[i].mac, sizeof(guest->nics[i].mac)) == 0)
			return true;
	for (size_t i = 0; i < link->port_count; i++)
		if (is_nic_of(link->ports[i], guest))
			return true;
	return false;
}

/* A guest on the network, not captured, that has guests of its own and so may send packets on. */
static const struct party *unseen_on(const struct places *places, const struct network *network)
{
	for (size_t i = 0; i < places->lab->guest_count; i++) {
		const struct party *party = places_party(places, places->lab->guests[i]);

		for (size_t j = 0; party->host && !party->machine && j < party->guest->nic_count; j++)
			if (party->guest->nics[j].network == network)
				return party;
	}
	return NULL;
}

const struct party *places_unseen(const struct places *places, const struct stack_link *link)
{
	const struct party *party = places_role(places, link->host), *parent;
	const struct nic *nic = places_tap(places, link);
	const struct network *network = places_bridge(places, link);

	if (network)
		return unseen_on(places, network);
	if (nic)
		party = places_party(places, nic->guest);
	if (nic || !party)
		return party && party->host && !party->machine ? party : NULL;
	if (link->host == party->network)
		return !party->machine && is_veth(link) ? party : NULL;
	if (link->host != party->machine)
		return party;
	parent = party->guest && !guest_is_machine(party->guest)
			 ? places_party(places, guest_runs_on(party->guest)->guest)
			 : NULL;
	if (parent && !parent->network && is_nic_of(link, party->guest))
		return parent;
	return party->host && !party->network && is_veth(link) ? party : NULL;
}

bool places_is_way_out(const struct places *places, const struct stack_link *link)
{
	if (link->loopback || link->is_bridge || link->link->up == TRUTH_NO)
		return false;
	return !has_captured_end(link) && !places_tap(places, link);
}
