#include "base/cleanup.h"
#include "base/error.h"
#include "model/lab.h"
#include "net/namespace.h"
#include "net/net_internal.h"
#include "net/route.h"

#include <dirent.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHORTEST_PREFIX = 4 };

static bool has_address(const struct link_address *list, size_t count, int interface, const struct ip *address)
{
	if (!address->family)
		return true;
	for (size_t i = 0; i < count; i++)
		if (list[i].index == interface && ip_equal(&list[i].prefix.ip, address))
			return true;
	return false;
}

/* A bridge that is down, or has lost its address, is as good as none. */
static bool is_whole(const struct net *net, const struct link *link, const struct link_address *list, size_t count)
{
	const struct host *root = net->lab->root;

	for (size_t i = 0; i < root->network_count; i++)
		if (strcmp(root->networks[i]->bridge, link->name) == 0)
			return link->up && (!network_is_home(root->networks[i]) ||
					    (has_address(list, count, link->index, &root->networks[i]->gateway4) &&
					     has_address(list, count, link->index, &root->networks[i]->gateway6)));
	return true;
}

static int look(struct net *net, struct net_actual *ret, struct error **err)
{
	cleanup_free struct link_address *addresses = NULL;
	cleanup_free struct link *links = NULL;
	size_t count = 0, address_count = 0;
	struct netlink *nl;
	struct link outer;
	bool uplink = false;
	int r = net_inside(net, &nl, err);

	if (r == 0)
		r = link_list(nl, &links, &count, err);
	if (r == 0)
		r = link_addresses(nl, 0, &addresses, &address_count, err);
	if (r < 0)
		return r;
	ret->interfaces = calloc(count + 1, sizeof(*ret->interfaces));
	if (!ret->interfaces)
		abort();
	for (size_t i = 0; i < count; i++) {
		if (strcmp(links[i].name, NET_WORLD) == 0 && strcmp(links[i].kind, "veth") == 0)
			uplink = net_root(net, &nl, err) == 0 && link_get(nl, net->names.veth, &outer) == 0;
		else if (strcmp(links[i].name, NET_WORLD) == 0)
			uplink = net_pasta_lives(net->run_dir);
		else if (strcmp(links[i].name, "lo") != 0 && is_whole(net, &links[i], addresses, address_count))
			memcpy(ret->interfaces[ret->interface_count++], links[i].name, LINK_NAME_SIZE);
	}
	ret->uplink_exists = uplink == net_wants_uplink(net);
	return 0;
}

int net_look(struct net *net, struct net_actual *ret, struct error **err)
{
	int r = 0;

	*ret = (struct net_actual){.namespace_exists = net->netns >= 0};
	pthread_mutex_lock(&net->mutex);
	if (ret->namespace_exists)
		r = look(net, ret, err);
	else
		ret->uplink_exists = !net_wants_uplink(net);
	pthread_mutex_unlock(&net->mutex);
	if (r < 0)
		net_actual_free(ret);
	return r;
}

void net_actual_free(struct net_actual *actual)
{
	free(actual->interfaces);
	*actual = (struct net_actual){0};
}

bool net_actual_has(const struct net_actual *actual, const char *interface)
{
	for (size_t i = 0; i < actual->interface_count; i++)
		if (strcmp(actual->interfaces[i], interface) == 0)
			return true;
	return false;
}

static bool left_out(const struct link *link)
{
	return strcmp(link->name, "lo") == 0 || strncmp(link->alias, "nestvisor:", strlen("nestvisor:")) == 0;
}

/* Default routes, also those that come in halves or quarters, lead everywhere; link-local and multicast ones are no
 * network that a lab could take. */
static bool is_of_a_network(const struct prefix *to)
{
	static const char *const never[] = {"fe80::/10", "ff00::/8", "169.254.0.0/16", "224.0.0.0/4"};

	if (to->length < SHORTEST_PREFIX)
		return false;
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
		struct prefix other;

		if (prefix_parse(never[i], &other) && other.ip.family == to->ip.family && other.length <= to->length &&
		    prefix_contains(&other, &to->ip))
			return false;
	}
	return true;
}

int net_host_routes(struct net_overlap **ret, size_t *ret_count, struct error **err)
{
	cleanup_free struct route *routes = NULL;
	cleanup_free struct link *links = NULL;
	size_t route_count = 0, link_count = 0;
	struct net_overlap *list;
	struct netlink nl;
	int r = netlink_open(&nl, -1, NETLINK_ROUTE, err);

	if (r == 0)
		r = route_list(&nl, &routes, &route_count, err);
	if (r == 0)
		r = link_list(&nl, &links, &link_count, err);
	netlink_close(&nl);
	if (r < 0)
		return r;
	*ret = list = calloc(route_count + 1, sizeof(*list));
	*ret_count = 0;
	if (!list)
		abort();
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &routes[i];

		if (route->type != RTN_UNICAST || route->table == RT_TABLE_LOCAL || !is_of_a_network(&route->to))
			continue;
		for (size_t j = 0; j < link_count; j++)
			if (links[j].index == route->interface && !left_out(&links[j])) {
				list[*ret_count].prefix = route->to;
				memcpy(list[*ret_count].interface, links[j].name, LINK_NAME_SIZE);
				++*ret_count;
			}
	}
	return 0;
}

int net_host_router(struct ip *ret, struct error **err)
{
	cleanup_free struct route *routes = NULL;
	struct netlink nl = {.fd = -1};
	size_t count = 0;
	int r = netlink_open(&nl, -1, NETLINK_ROUTE, err);

	*ret = (struct ip){0};
	if (r == 0)
		r = route_list(&nl, &routes, &count, err);
	for (size_t i = 0; r == 0 && i < count && !ret->family; i++)
		if (!routes[i].to.length && routes[i].to.ip.family == AF_INET && routes[i].type == RTN_UNICAST &&
		    routes[i].table == RT_TABLE_MAIN)
			*ret = routes[i].via;
	netlink_close(&nl);
	return r;
}

int net_host_overlap(const struct prefix *prefix, struct net_overlap *ret, bool *ret_found, struct error **err)
{
	cleanup_free struct net_overlap *routes = NULL;
	size_t count = 0;
	int r = net_host_routes(&routes, &count, err);

	*ret_found = false;
	for (size_t i = 0; r == 0 && i < count && !*ret_found; i++)
		if (prefix_overlaps(&routes[i].prefix, prefix)) {
			*ret = routes[i];
			*ret_found = true;
		}
	return r;
}

/*
 * dnsmasq's and pasta's, by their pid files. A run that was killed before dnsmasq could write one leaves its
 * configuration, which stands for it here: what is of it goes with it.
 */
static int end_processes(const char *run_dir, struct error **err)
{
	cleanup_closedir DIR *dir = opendir(run_dir);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : error_errno(err, errno, "cannot read the folder %s", run_dir);
	while (r == 0 && (entry = readdir(dir))) {
		const char *name = entry->d_name + 8, *ending = strrchr(entry->d_name, '.');
		char bridge[LINK_NAME_SIZE];

		if (strncmp(entry->d_name, "dnsmasq-", 8) != 0 || !ending || ending <= name ||
		    (size_t)(ending - name) >= sizeof(bridge) ||
		    (strcmp(ending, ".pid") != 0 && strcmp(ending, ".conf") != 0))
			continue;
		snprintf(bridge, sizeof(bridge), "%.*s", (int)(ending - name), name);
		r = net_end_dhcp(run_dir, bridge, err);
	}
	return r < 0 ? r : net_end_pasta(run_dir, err);
}

/* Before the namespace goes: the kernel takes its time with that, and tunnels hold a port of the host until then. */
static int empty_namespace(const struct net_names *names, struct error **err)
{
	cleanup_free struct link *links = NULL;
	cleanup_close int netns = -1;
	struct netlink nl;
	size_t count = 0;
	int r = netns_open(names->netns, &netns, NULL);

	if (r < 0)
		return r == -ENOENT ? 0 : netns_open(names->netns, &netns, err);
	r = netlink_open(&nl, netns, NETLINK_ROUTE, err);
	if (r == 0)
		r = link_list(&nl, &links, &count, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (strcmp(links[i].kind, "vxlan") == 0 || strcmp(links[i].kind, "geneve") == 0 ||
		    strcmp(links[i].kind, "veth") == 0)
			r = link_delete(&nl, &links[i], err);
	netlink_close(&nl);
	return r;
}

int net_remove_all(const char *lab_name, const char *run_dir, struct error **err)
{
	cleanup_free char *record = net_file(run_dir, "rules", ".inside", "");
	struct net_names names;
	int r = net_names_of(lab_name, &names, err);

	if (r == 0)
		r = end_processes(run_dir, err);
	if (r == 0)
		r = empty_namespace(&names, err);
	if (r == 0)
		r = netns_remove(names.netns, err);
	if (r == 0)
		r = net_remove_outside(&names, run_dir, err);
	if (r == 0)
		r = net_remove_loose_taps(&names, err);
	if (r == 0)
		r = net_remove_publish(&names, run_dir, err);
	if (r == 0)
		r = net_remove_guard(&names, run_dir, err);
	if (r == 0)
		r = net_remove_adopted(&names, run_dir, err);
	if (r == 0 && unlink(record) < 0 && errno != ENOENT)
		r = error_errno(err, errno, "cannot remove %s", record);
	return r < 0 ? error_wrap(err, "network of lab %s", lab_name) : 0;
}
