/* The further machines of layer 0: which guests they run, and the tunnels that follow from it. */
#include "base/arena.h"
#include "model/lab.h"

#include <string.h>

struct lab_machine *lab_find_machine(const struct lab *lab, const char *name)
{
	for (size_t i = 0; i < lab->machine_count; i++)
		if (strcmp(lab->machines[i]->name, name) == 0)
			return lab->machines[i];
	return NULL;
}

/* The end of the tunnel on the machine of a guest, as `to` sees it: NULL is the home. */
static struct ip end_of(const struct lab_machine *machine, const struct lab_machine *to)
{
	return machine ? machine->address : to->home;
}

static void add_peer(struct network *network, const struct ip *peer)
{
	for (size_t i = 0; i < network->peer_count; i++)
		if (ip_equal(&network->peers[i], peer))
			return;
	if (peer->family)
		network->peers[network->peer_count++] = *peer;
}

/* The networks that a host routes: whoever has an address of theirs may be behind its NICs. */
static void add_behind(struct arena *arena, const struct host *host, struct far_nic *far)
{
	for (size_t i = 0; host && i < host->network_count; i++) {
		const struct prefix *subnets[] = {&host->networks[i]->subnet4, &host->networks[i]->subnet6};

		for (size_t j = 0; host->networks[i]->uplink == UPLINK_ROUTE && j < 2; j++)
			if (subnets[j]->ip.family)
				*arena_push(arena, far->behind, far->behind_count) = prefix_network(subnets[j]);
	}
	for (size_t i = 0; host && i < host->guest_count; i++)
		if (host->guests[i]->nic_count && host->guests[i]->nics[0].network->uplink == UPLINK_ROUTE)
			add_behind(arena, host->guests[i]->host, far);
}

static void add_far(struct arena *arena, struct network *network, const struct nic *nic, const struct lab_machine *at)
{
	struct far_nic *far = arena_push(arena, network->far, network->far_count);

	*far = (struct far_nic){.address4 = nic->address4,
				.address6 = nic->address6,
				.machine = end_of(nic->guest->machine, at),
				.guest = at ? NULL : nic->guest};
	memcpy(far->mac, nic->mac, sizeof(far->mac));
	add_behind(arena, nic->guest->host, far);
	add_peer(network, &far->machine);
}

/* What the machine `at`, NULL: the home, sees of a network of L0. Returns how many NICs it has itself. */
static size_t see(struct arena *arena, const struct lab *lab, const struct lab_machine *at, const struct network *of,
		  struct network *network)
{
	size_t own = 0;

	network->far = NULL;
	network->far_count = network->peer_count = 0;
	network->peers = arena_alloc(arena, (lab->machine_count + 1) * sizeof(*network->peers));
	if (at) { /* the gateway is there, also where no guest is */
		network->home = at->home;
		add_peer(network, &at->home);
	}
	for (size_t i = 0; i < lab->root->guest_count; i++)
		for (size_t j = 0; j < lab->root->guests[i]->nic_count; j++) {
			const struct nic *nic = &lab->root->guests[i]->nics[j];

			if (nic->network != of)
				continue;
			if (nic->guest->machine == at)
				own++;
			else
				add_far(arena, network, nic, at);
		}
	network->encapsulation = at || network->far_count ? ENCAP_VXLAN : ENCAP_NONE;
	return own;
}

bool machine_sees_network(struct arena *arena, const struct lab *lab, const struct lab_machine *machine,
			  const struct network *network, struct network *ret)
{
	*ret = *network;
	return see(arena, lab, machine, network, ret) > 0;
}

void lab_spread(struct lab *lab)
{
	for (size_t i = 0; i < lab->machine_count; i++) {
		struct host *host = lab->machines[i]->guest->host;

		host->guest_count = 0;
		host->guests = arena_alloc(lab->arena, (lab->root->guest_count + 1) * sizeof(struct guest *));
		for (size_t j = 0; j < lab->root->guest_count; j++)
			if (lab->root->guests[j]->machine == lab->machines[i])
				host->guests[host->guest_count++] = lab->root->guests[j];
	}
	for (size_t i = 0; lab->machine_count && i < lab->root->guest_count; i++) {
		struct guest *guest = lab->root->guests[i];

		if (!guest->libvirt_own)
			guest->libvirt = guest->machine ? guest->machine->libvirt : lab->libvirt;
	}
	for (size_t i = 0; lab->machine_count && i < lab->root->network_count; i++) {
		struct network *network = lab->root->networks[i];

		if (!network->vni)
			network->vni = model_derive_vni(lab->name, network->path);
		see(lab->arena, lab, NULL, network, network);
	}
}

/* The guest of the outermost host that it is, or is in. */
static const struct guest *outermost(const struct guest *guest)
{
	while (guest->parent->guest)
		guest = guest->parent->guest;
	return guest;
}

const char *guest_machine_name(const struct guest *guest)
{
	const struct lab_machine *machine = outermost(guest)->machine;

	return machine ? machine->name : "L0";
}

bool host_has(const struct host *host, const struct guest *guest)
{
	if (host->guest && guest_is_machine(host->guest))
		return outermost(guest)->machine == host->guest->machine;
	return host_guest_towards(host, guest) != NULL;
}
