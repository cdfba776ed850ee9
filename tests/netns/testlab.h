/*
 * A lab built by hand, for tests of what works on the model: no lab file is read. Everything lives in the lab's arena;
 * lab_free(3)s it all. There is room for 8 of anything per host and guest.
 */
#ifndef NESTVISOR_TESTS_TESTLAB_H
#define NESTVISOR_TESTS_TESTLAB_H

#include "base/arena.h"
#include "base/ip.h"
#include "model/lab.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TESTLAB_MOST = 64 };

static inline struct host *testlab_new_host(struct lab *lab, const char *path, unsigned layer)
{
	struct host *host = arena_new_struct(lab->arena, struct host);

	host->path = path;
	host->layer = layer;
	host->networks = arena_alloc(lab->arena, TESTLAB_MOST * sizeof(*host->networks));
	host->guests = arena_alloc(lab->arena, TESTLAB_MOST * sizeof(*host->guests));
	return host;
}

/* root_path and layer: "" and 0 for a lab as L0 sees it; else the part of it that a deeper host is given. */
static inline struct lab *testlab_new(const char *name, const char *root_path, unsigned layer)
{
	struct arena *arena = arena_new();
	struct lab *lab = arena_new_struct(arena, struct lab);

	lab->arena = arena;
	lab->name = arena_strdup(arena, name);
	lab->file = "-";
	model_derive_id(name, "", lab->id);
	lab->root = testlab_new_host(lab, root_path, layer);
	lab->guests = arena_alloc(arena, TESTLAB_MOST * sizeof(*lab->guests));
	lab->networks = arena_alloc(arena, TESTLAB_MOST * sizeof(*lab->networks));
	return lab;
}

static inline const char *testlab_path(struct lab *lab, const struct host *host, const char *name)
{
	return host->path[0] ? arena_printf(lab->arena, "%s/%s", host->path, name) : arena_strdup(lab->arena, name);
}

static inline void testlab_set(bool ok)
{
	if (!ok)
		abort(); /* the test itself is wrong */
}

/* Subnets as text, NULL for none; the gateways are the first hosts. */
static inline struct network *testlab_network(struct lab *lab, struct host *host, const char *name, const char *subnet4,
					      const char *subnet6, enum uplink uplink)
{
	struct network *network = arena_new_struct(lab->arena, struct network);

	network->name = arena_strdup(lab->arena, name);
	network->path = testlab_path(lab, host, name);
	network->owner = host;
	if (subnet4) {
		testlab_set(prefix_parse(subnet4, &network->subnet4));
		network->gateway4 = prefix_host(&network->subnet4, 1);
	}
	if (subnet6) {
		testlab_set(prefix_parse(subnet6, &network->subnet6));
		network->gateway6 = prefix_host(&network->subnet6, 1);
	}
	network->uplink = uplink;
	network->mtu = 1500;
	model_derive_interface(name, "", network->bridge);
	host->networks[host->network_count++] = network;
	lab->networks[lab->network_count++] = network;
	return network;
}

static inline struct guest *testlab_guest(struct lab *lab, struct host *host, const char *name)
{
	struct guest *guest = arena_new_struct(lab->arena, struct guest);

	guest->name = arena_strdup(lab->arena, name);
	guest->path = testlab_path(lab, host, name);
	guest->index = lab->guest_count;
	model_derive_id(lab->name, guest->path, guest->id);
	guest->parent = host;
	guest->layer = host->layer + 1;
	guest->nics = arena_alloc(lab->arena, 8 * sizeof(*guest->nics));
	host->guests[host->guest_count++] = guest;
	lab->guests[lab->guest_count++] = guest;
	return guest;
}

static inline struct nic *testlab_nic(struct lab *lab, struct guest *guest, struct network *network,
				      const char *address4, const char *address6)
{
	struct nic *nic = &guest->nics[guest->nic_count];
	char suffix[8];

	nic->network = network;
	nic->guest = guest;
	nic->index = (unsigned)guest->nic_count++;
	testlab_set(!address4 || ip_parse(address4, &nic->address4));
	testlab_set(!address6 || ip_parse(address6, &nic->address6));
	model_derive_mac(lab->name, guest->path, nic->index, nic->mac);
	snprintf(suffix, sizeof(suffix), "-%u", nic->index);
	model_derive_interface(guest->name, suffix, nic->tap);
	return nic;
}

/* Makes a host of a guest. */
static inline struct host *testlab_host(struct lab *lab, struct guest *guest)
{
	guest->host = testlab_new_host(lab, guest->path, guest->layer);
	guest->host->guest = guest;
	guest->nested = true;
	return guest->host;
}

#endif
