/*
 * The way out. A veth pair: `world` inside, nv<id>w in the host's root namespace, a transit link with addresses of its
 * own.
 *
 *   guest ── bridge ── [forward, masquerade to the inner transit address] ── world ══ nv<id>w ── [masquerade] ── eth0
 *
 * Networks with uplink nat are translated twice, so the root namespace only ever sees the transit address, and two labs
 * may have the same subnet. Networks with uplink route keep their addresses: the root namespace has routes to them, and
 * to the routed networks of deeper hosts behind them, and does not translate them; whether the world knows the way back
 * is up to the layer above, which at L0 means the machine's own router.
 *
 * At L0 the machine belongs to somebody else. Nothing is set there but the veth's own sysctls, and whether the
 * packets then go anywhere is the machine's decision (outside.c). Where it does not forward, pasta(1) takes
 * the veth's place, which carries connections on with ordinary sockets. It knows one address, so routed networks are
 * translated, too, and cannot be reached from outside. Without pasta there is the veth and a warning.
 *
 * A host that is a guest of the lab is ours: forwarding is switched on there.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "model/lab.h"
#include "net/net_internal.h"
#include "net/network.h"
#include "net/outside.h"
#include "net/reach.h"
#include "net/route.h"
#include "net/ruleset.h"
#include "net/transit.h"
#include "net/veth.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The only sysctls of the root namespace that are set at L0 are those of its outer end. */
static struct veth pair_of(const struct net *net)
{
	return (struct veth){.inner = NET_WORLD, .outer = net->names.veth, .what = "uplink"};
}

int net_remove_world(struct netlink *inside, struct error **err)
{
	struct link world;

	return link_get(inside, NET_WORLD, &world) == 0 ? link_delete(inside, &world, err) : 0;
}

static void add_subnets(const struct net *net, uint8_t family, const struct ip *via, int interface,
			struct route *routes, size_t *count)
{
	const struct lab *lab = net->lab;

	for (size_t i = 0; via->family && i < lab->network_count; i++) {
		const struct network *entry = reach_entry(lab->root, lab->networks[i], family);
		const struct prefix *subnet = reach_subnet(lab->networks[i], family);

		if (entry && entry->uplink == UPLINK_ROUTE && lab->networks[i]->uplink == UPLINK_ROUTE &&
		    subnet->ip.family)
			routes[(*count)++] =
				(struct route){.to = prefix_network(subnet), .via = *via, .interface = interface};
	}
}

static struct route *outer_routes(const struct net *net, const struct net_transit *transit, int interface,
				  size_t *ret_count)
{
	struct route *routes = calloc(2 * net->lab->network_count + 1, sizeof(*routes));

	if (!routes)
		abort();
	*ret_count = 0;
	add_subnets(net, AF_INET, &transit->inside4.ip, interface, routes, ret_count);
	add_subnets(net, AF_INET6, &transit->inside6.ip, interface, routes, ret_count);
	return routes;
}

/* The outer end: addresses, routes to the routed networks, translation of the rest. */
static int set_up_outer(struct net *net, struct netlink *root, const struct net_transit *transit, struct error **err)
{
	struct prefix addresses[3] = {transit->root4, transit->root6};
	cleanup_free struct route *routes = NULL;
	size_t count = 0;
	struct link outer;
	int r;

	r = veth_set_sysctls(net->names.veth, transit->root6.ip.family != 0, err);
	if (r < 0)
		return r;
	r = link_get(root, net->names.veth, &outer);
	if (r == 0)
		r = link_raise(root, outer.index);
	if (r < 0)
		return netlink_fail(root, r, err, "cannot bring up %s", net->names.veth);
	r = veth_set_addresses(root, &outer, addresses, err);
	if (r < 0)
		return r;
	routes = outer_routes(net, transit, outer.index, &count);
	return route_set(root, routes, count, &(struct route_scope){&outer.index, 1, false}, err);
}

/* Checks the rules in the root namespace, and loads them where they differ and `load` says so. */
static int root_rules(struct net *net, const struct net_transit *transit, bool load, bool *ret_same, struct error **err)
{
	cleanup_free char *record = net_file(net->run_dir, "rules", ".root", "");
	cleanup_strbuf struct strbuf text = {0};
	char table[80], ip[IP_TEXT_SIZE];
	const char *const tables[] = {table, NULL};
	const struct ruleset set = {.netns = -1, .tables = tables, .record = record, .shared = true};
	int r;

	snprintf(table, sizeof(table), "inet %s", net->names.netns);
	strbuf_printf(&text, "table %s {\n\tchain postrouting {\n", table);
	strbuf_add(&text, "\t\ttype nat hook postrouting priority 100; policy accept;\n");
	strbuf_printf(&text, "\t\tiifname \"%s\" ip saddr %s masquerade\n", net->names.veth,
		      ip_format(&transit->inside4.ip, ip));
	if (transit->inside6.ip.family)
		strbuf_printf(&text, "\t\tiifname \"%s\" ip6 saddr %s masquerade\n", net->names.veth,
			      ip_format(&transit->inside6.ip, ip));
	strbuf_add(&text, "\t}\n}\n");
	r = ruleset_check(&set, text.text, ret_same, err);
	return r < 0 || *ret_same || !load ? r : ruleset_load(&set, text.text, NULL, err);
}

/*
 * The address that a host of a deeper layer speaks from itself (ICMP errors, its resolver's questions): one of a routed
 * network, since the layer above lets nothing out of the host that has an address it does not know. None at L0.
 */
static struct ip own_source(const struct net *net, struct netlink *inside, uint8_t family)
{
	const struct host *root = net->lab->root;

	for (size_t i = 0; root->layer > 0 && i < root->network_count; i++) {
		const struct network *network = root->networks[i];
		const struct ip *gateway = family == AF_INET ? &network->gateway4 : &network->gateway6;
		const struct prefix *subnet = family == AF_INET ? &network->subnet4 : &network->subnet6;
		const struct prefix address = {*gateway, subnet->length};
		struct link bridge;
		bool has;

		if (network->uplink == UPLINK_ROUTE && gateway->family &&
		    link_get(inside, network->bridge, &bridge) == 0 &&
		    link_check_addresses(inside, &bridge, &address, 1, &has, NULL) == 0 && has)
			return *gateway;
	}
	return (struct ip){0};
}

/* Returns how many there are. */
static size_t inner_routes(const struct net *net, struct netlink *inside, const struct net_transit *transit, bool way6,
			   int interface, struct route routes[2])
{
	const struct prefix any4 = {.ip = {.family = AF_INET}}, any6 = {.ip = {.family = AF_INET6}};
	size_t count = 0;

	routes[count++] = (struct route){.to = any4,
					 .via = transit->root4.ip,
					 .source = own_source(net, inside, AF_INET),
					 .interface = interface};
	if (way6 && transit->root6.ip.family)
		routes[count++] = (struct route){.to = any6,
						 .via = transit->root6.ip,
						 .source = own_source(net, inside, AF_INET6),
						 .interface = interface};
	return count;
}

static int set_up_inner(struct net *net, struct netlink *inside, const struct net_transit *transit, bool way6,
			struct error **err)
{
	struct prefix addresses[3] = {transit->inside4, transit->inside6};
	struct route routes[2];
	struct link world;
	size_t count;
	int r = link_get(inside, NET_WORLD, &world);

	if (r == 0)
		r = link_raise(inside, world.index);
	if (r < 0)
		return netlink_fail(inside, r, err, "cannot bring up " NET_WORLD);
	r = net_put_alias(net, inside, &world, "uplink", err);
	if (r == 0 && transit->inside6.ip.family)
		r = network_set_ipv6(net, NET_WORLD, true, err);
	if (r == 0)
		r = veth_set_addresses(inside, &world, addresses, err);
	count = inner_routes(net, inside, transit, way6, world.index, routes);
	return r < 0 ? r : route_set(inside, routes, count, &(struct route_scope){&world.index, 1, true}, err);
}

static int remove_root_rules(const struct net_names *names, const char *record, struct error **err)
{
	char table[80];
	const char *const tables[] = {table, NULL};
	const struct ruleset set = {.netns = -1, .tables = tables, .record = record, .shared = true};

	snprintf(table, sizeof(table), "inet %s", names->netns);
	return ruleset_remove(&set, err);
}

/* The veth's part of the uplink, outside; inside it goes along. */
static int remove_outer(struct net *net, struct netlink *root, struct netlink *inside, struct error **err)
{
	cleanup_free char *record = net_file(net->run_dir, "rules", ".root", "");
	const struct veth pair = pair_of(net);
	int r = veth_remove(net, &pair, root, inside, err);

	return r < 0 ? r : remove_root_rules(&net->names, record, err);
}

int net_remove_outside(const struct net_names *names, const char *run_dir, struct error **err)
{
	cleanup_free char *record = net_file(run_dir, "rules", ".root", "");
	struct netlink root;
	struct link link;
	int r = netlink_open(&root, -1, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	if (link_get(&root, names->veth, &link) == 0 && net_is_ours(names, &link))
		r = link_delete(&root, &link, err);
	netlink_close(&root);
	return r < 0 ? r : remove_root_rules(names, record, err);
}

static int make_by_veth(struct net *net, struct netlink *root, struct netlink *inside,
			const struct net_transit *transit, const struct outside *outside, struct error **err)
{
	const struct veth pair = pair_of(net);
	bool same;
	int r = net_end_pasta(net->run_dir, err);

	if (r == 0)
		r = veth_make(net, &pair, root, inside, outside->mtu, err);
	if (r == 0)
		r = set_up_outer(net, root, transit, err);
	if (r == 0)
		r = root_rules(net, transit, true, &same, err);
	/* Without forwarding, a default route would only make the guests wait. For IPv4 it stays: the remedy is one
	 * command. */
	return r < 0 ? r : set_up_inner(net, inside, transit, outside->forwards6, err);
}

/* Returns 1 where pasta carries the lab, 0 where there is none; a pasta that does not start is reported. */
static int make_by_pasta(struct net *net, struct netlink *root, struct netlink *inside,
			 const struct net_transit *transit, const struct outside *outside, struct reporter *reporter,
			 bool *ret_failed, struct error **err)
{
	cleanup_error struct error *problem = NULL;
	struct net_transit seen = *transit;
	int r;

	*ret_failed = false;
	if (!outside->default4 || !net_pasta_installed())
		return 0;
	r = net_pasta_lives(net->run_dir) ? 0 : remove_outer(net, root, inside, err);
	if (r < 0)
		return r;
	if (!outside->default6)
		seen.inside6 = seen.root6 = (struct prefix){0};
	r = net_make_pasta(net, &seen, &problem);
	if (r < 0) {
		report(reporter, REPORT_WARNING, "uplink", "%s", problem->message);
		*ret_failed = true;
		return 0;
	}
	r = set_up_inner(net, inside, &seen, true, err);
	return r < 0 ? r : 1;
}

static int make_uplink(struct net *net, struct reporter *reporter, struct error **err)
{
	struct net_transit transit;
	struct netlink *inside, *root;
	struct outside outside;
	bool pasta_failed = false;
	int r = net_inside(net, &inside, err);

	if (r == 0)
		r = net_root(net, &root, err);
	if (r == 0 && !net_wants_uplink(net)) {
		r = net_end_pasta(net->run_dir, err);
		return r < 0 ? r : remove_outer(net, root, inside, err);
	}
	if (r == 0)
		r = outside_look(net, root, &outside, err);
	if (r == 0 && net->lab->root->layer > 0)
		r = outside_switch_on(&outside, err);
	if (r == 0)
		r = transit_choose(net, root, net->names.veth, &transit, err);
	if (r == 0 && !outside.forwards4) {
		r = make_by_pasta(net, root, inside, &transit, &outside, reporter, &pasta_failed, err);
		if (r != 0)
			return r < 0 ? r : 0;
		outside_warn(net, &outside, pasta_failed, reporter);
	}
	if (r == 0)
		r = make_by_veth(net, root, inside, &transit, &outside, err);
	if (r == 0 && outside.forwards4 && transit.root6.ip.family && outside.default6 && !outside.forwards6)
		outside_warn6(net, &outside, reporter);
	return r;
}

int net_refresh_uplink(struct net *net, struct netlink *inside, struct error **err)
{
	struct net_transit transit;
	struct outside outside;
	struct netlink *root;
	struct link world;
	int r;

	if (net->lab->root->layer == 0 || !net_wants_uplink(net) || link_get(inside, NET_WORLD, &world) < 0)
		return 0;
	r = net_root(net, &root, err);
	if (r == 0)
		r = outside_look(net, root, &outside, err);
	if (r == 0)
		r = transit_choose(net, root, net->names.veth, &transit, err);
	return r < 0 ? r : set_up_inner(net, inside, &transit, outside.forwards6, err);
}

int net_make_uplink(struct net *net, struct reporter *reporter, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = make_uplink(net, reporter, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "uplink") : 0;
}

/* ─── whether it is so ─── */

/* Pasta's transit has IPv6 only where the machine has it, so what the interface has tells. */
static int check_inner(struct net *net, struct netlink *inside, struct netlink *root, const struct link *world,
		       struct net_transit *transit, bool *ret_same, struct error **err)
{
	struct outside outside = {.forwards6 = true};
	struct prefix addresses[2] = {transit->inside4, transit->inside6};
	bool pasta = strcmp(world->kind, "veth") != 0;
	struct route routes[2];
	size_t count;
	int r = link_check_addresses(inside, world, addresses, pasta ? 1 : 2, ret_same, err);

	if (r == 0 && *ret_same && pasta)
		r = link_check_addresses(inside, world, addresses + 1, 1, &outside.forwards6, err);
	if (r < 0 || !*ret_same)
		return r;
	count = inner_routes(net, inside, transit, outside.forwards6, world->index, routes);
	r = route_check(inside, routes, count, &(struct route_scope){&world->index, 1, true}, ret_same, err);
	if (r < 0 || *ret_same || pasta || count == 1)
		return r;
	/* Asked last, for it reads all chains: where the machine does not forward IPv6 there is no route for it. */
	r = outside_look(net, root, &outside, err);
	if (r < 0 || outside.forwards6)
		return r;
	count = inner_routes(net, inside, transit, false, world->index, routes);
	return route_check(inside, routes, count, &(struct route_scope){&world->index, 1, true}, ret_same, err);
}

static int check_outer(struct net *net, struct netlink *root, const struct net_transit *transit, bool *ret_same,
		       struct error **err)
{
	const struct prefix addresses[2] = {transit->root4, transit->root6};
	cleanup_free struct route *routes = NULL;
	struct link outer;
	size_t count;
	int r = veth_check_addresses(root, net->names.veth, addresses, ret_same, err);

	if (r < 0 || !*ret_same)
		return r;
	*ret_same = false;
	if (link_get(root, net->names.veth, &outer) < 0)
		return 0;
	routes = outer_routes(net, transit, outer.index, &count);
	r = route_check(root, routes, count, &(struct route_scope){&outer.index, 1, false}, ret_same, err);
	return r < 0 || !*ret_same ? r : root_rules(net, transit, false, ret_same, err);
}

static int check_uplink(struct net *net, bool *ret_same, struct error **err)
{
	struct net_transit transit;
	struct netlink *inside, *root;
	struct link world;
	int r = net_inside(net, &inside, err);

	if (r == 0)
		r = net_root(net, &root, err);
	if (r < 0)
		return r;
	if (link_get(inside, NET_WORLD, &world) < 0 || !net_wants_uplink(net)) {
		*ret_same = !net_wants_uplink(net) && link_get(inside, NET_WORLD, &world) < 0;
		return 0;
	}
	if (!world.up)
		return 0;
	r = transit_choose(net, root, net->names.veth, &transit, err);
	if (r == 0)
		r = check_inner(net, inside, root, &world, &transit, ret_same, err);
	if (r < 0 || !*ret_same || strcmp(world.kind, "veth") != 0)
		return r;
	return check_outer(net, root, &transit, ret_same, err);
}

int net_check_uplink(struct net *net, bool *ret_same, struct error **err)
{
	int r;

	*ret_same = false;
	pthread_mutex_lock(&net->mutex);
	r = check_uplink(net, ret_same, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "uplink") : 0;
}
