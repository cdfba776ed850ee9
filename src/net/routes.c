#include "base/cleanup.h"
#include "base/error.h"
#include "model/lab.h"
#include "net/net_internal.h"
#include "net/reach.h"
#include "net/route.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

/* The route to a deeper host's network: to the guest that leads there, on its first nic with an address. */
static bool route_to(const struct host *root, const struct network *network, uint8_t family, const struct nic **ret)
{
	const struct guest *through;

	if (network->owner == root || !reach_subnet(network, family)->ip.family || !reach_entry(root, network, family))
		return false;
	through = host_guest_towards(root, network->owner->guest);
	*ret = reach_nic(through, family);
	return *ret != NULL && network_is_home((*ret)->network);
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

/* What the routes should be, by the bridges that are there. */
struct wanted {
	struct route *routes;
	int *bridges;
	size_t count;
};

static void clear_wanted(struct wanted *wanted)
{
	free(wanted->routes);
	free(wanted->bridges);
}
#define cleanup_wanted __attribute__((cleanup(clear_wanted)))

/* *ret_missing: a network whose bridge is not there. */
static void collect(const struct lab *lab, struct netlink *nl, struct wanted *ret, const struct nic **ret_missing)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	const struct host *root = lab->root;

	ret->routes = calloc(2 * lab->network_count + 1, sizeof(*ret->routes));
	ret->bridges = calloc(root->network_count + 1, sizeof(*ret->bridges));
	if (!ret->routes || !ret->bridges)
		abort();
	find_bridges(nl, root, ret->bridges);
	for (size_t i = 0; i < lab->network_count; i++)
		for (int f = 0; f < 2; f++) {
			const struct network *network = lab->networks[i];
			const struct nic *nic;
			int bridge;

			if (!route_to(root, network, families[f], &nic))
				continue;
			bridge = bridge_of(root, ret->bridges, nic->network);
			if (!bridge)
				*ret_missing = nic;
			ret->routes[ret->count++] = (struct route){
				.to = prefix_network(reach_subnet(network, families[f])),
				.via = families[f] == AF_INET ? nic->address4 : nic->address6,
				.interface = bridge,
			};
		}
}

static int make_routes(struct net *net, struct error **err)
{
	cleanup_wanted struct wanted wanted = {0};
	const struct nic *missing = NULL;
	struct netlink *nl;
	int r = net_inside(net, &nl, err);

	if (r < 0)
		return r;
	collect(net->lab, nl, &wanted, &missing);
	if (missing)
		return error_set(err, ENODEV, "the way behind %s leads over the bridge %s, which is not there",
				 missing->guest->path, missing->network->bridge);
	r = route_set(nl, wanted.routes, wanted.count,
		      &(struct route_scope){wanted.bridges, net->lab->root->network_count, true}, err);
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

static int check_routes(struct net *net, bool *ret_same, struct error **err)
{
	cleanup_wanted struct wanted wanted = {0};
	const struct nic *missing = NULL;
	struct netlink *nl;
	int r = net_inside(net, &nl, err);

	if (r < 0)
		return r;
	collect(net->lab, nl, &wanted, &missing);
	return missing ? 0
		       : route_check(nl, wanted.routes, wanted.count,
				     &(struct route_scope){wanted.bridges, net->lab->root->network_count, true},
				     ret_same, err);
}

int net_check_routes(struct net *net, bool *ret_same, struct error **err)
{
	int r;

	*ret_same = false;
	pthread_mutex_lock(&net->mutex);
	r = check_routes(net, ret_same, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "routes") : 0;
}
