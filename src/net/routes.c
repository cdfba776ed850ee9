#include "base/cleanup.h"
#include "base/error.h"
#include "model/lab.h"
#include "net/net_internal.h"
#include "net/reach.h"
#include "net/route.h"

#include <errno.h>
#include <sys/socket.h>

/* The route to a deeper host's network: to the guest that leads there, on its first nic with an address. */
static bool route_to(const struct host *root, const struct network *network, uint8_t family, const struct nic **ret)
{
	const struct guest *through;

	if (network->owner == root || !reach_subnet(network, family)->ip.family || !reach_entry(root, network, family))
		return false;
	through = host_guest_towards(root, network->owner->guest);
	*ret = reach_nic(through, family);
	return *ret != NULL;
}

/* The index of each of this host's bridges, in the networks' order; 0: it is not there. */
static void find_bridges(struct netlink *nl, const struct host *root, int *indexes)
{
	for (size_t i = 0; i < root->network_count; i++) {
		struct link link;

		indexes[i] = link_get(nl, root->networks[i]->bridge, &link) == 0 ? link.index : 0;
	}
}

static int bridge_of(const struct host *root, const int *indexes, const struct network *network)
{
	for (size_t i = 0; i < root->network_count; i++)
		if (root->networks[i] == network)
			return indexes[i];
	return 0;
}

static int make_routes(struct net *net, struct error **err)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	const struct lab *lab = net->lab;
	const struct host *root = lab->root;
	cleanup_free struct route *routes = calloc(2 * lab->network_count + 1, sizeof(*routes));
	cleanup_free int *bridges = calloc(root->network_count + 1, sizeof(*bridges));
	struct netlink *nl;
	size_t count = 0;
	int r = net_inside(net, &nl, err);

	if (r < 0)
		return r;
	if (!routes || !bridges)
		abort();
	find_bridges(nl, root, bridges);
	for (size_t i = 0; i < lab->network_count; i++)
		for (int f = 0; f < 2; f++) {
			const struct network *network = lab->networks[i];
			const struct nic *nic;
			int bridge;

			if (!route_to(root, network, families[f], &nic))
				continue;
			bridge = bridge_of(root, bridges, nic->network);
			if (!bridge)
				return error_set(err, ENODEV,
						 "the way to %s leads over the bridge %s, which is not there",
						 network->path, nic->network->bridge);
			routes[count++] = (struct route){
				.to = prefix_network(reach_subnet(network, families[f])),
				.via = families[f] == AF_INET ? nic->address4 : nic->address6,
				.interface = bridge,
			};
		}
	r = route_set(nl, routes, count, bridges, root->network_count, err);
	return r < 0 ? r : net_refresh_uplink(net, nl, err);
}

int net_make_routes(struct net *net, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = make_routes(net, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "routes") : 0;
}
