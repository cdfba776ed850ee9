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
#include "base/file.h"
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

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * The outer end is born where it stays: moving it there would make the kernel wait twice for all its processors. So for
 * a moment it has no mark. It is never taken for ours by its name, though: a run killed in that moment leaves the inner
 * end, too, and removing that removes both.
 */
static int create_veth(struct net *net, struct netlink *root, struct netlink *inside, unsigned mtu, struct error **err)
{
	cleanup_close int root_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct nlmsghdr *request = link_create(inside, NET_WORLD);
	struct link world, outer;
	struct link_kind kind;
	struct nlattr *peer;
	int r;

	if (root_fd < 0)
		return error_errno(err, errno, "cannot open the host's network namespace");
	mnl_attr_put_u32(request, IFLA_MTU, mtu);
	kind = link_kind_begin(request, "veth");
	peer = mnl_attr_nest_start(request, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(request, IFLA_IFNAME, net->names.veth);
	mnl_attr_put_u32(request, IFLA_MTU, mtu);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)root_fd);
	mnl_attr_nest_end(request, peer);
	link_kind_end(request, &kind);
	r = netlink_ask(inside, request, NULL, NULL);
	if (r == -EEXIST)
		return error_set(err, EEXIST, "there is an interface %s already, and it is not this lab's",
				 net->names.veth);
	if (r == 0)
		r = link_get(inside, NET_WORLD, &world);
	if (r < 0)
		return netlink_fail(inside, r, err, "cannot make the veth pair %s", net->names.veth);
	r = link_get(root, net->names.veth, &outer);
	if (r < 0)
		return netlink_fail(root, r, err, "cannot find %s", net->names.veth);
	r = net_put_alias(net, root, &outer, "uplink", err);
	return r < 0 ? r : net_put_alias(net, inside, &world, "uplink", err);
}

int net_remove_world(struct netlink *inside, struct error **err)
{
	struct link world;

	return link_get(inside, NET_WORLD, &world) == 0 ? link_delete(inside, &world, err) : 0;
}

/* First the inner end, which takes the outer one with it; what is left outside is either marked or not ours. */
static int remove_veth(struct net *net, struct netlink *root, struct netlink *inside, struct error **err)
{
	struct link link;
	int r = net_remove_world(inside, err);

	if (r == 0 && link_get(root, net->names.veth, &link) == 0 && net_is_ours(&net->names, &link))
		r = link_delete(root, &link, err);
	return r;
}

static int set_mtu(struct netlink *nl, const struct link *link, unsigned mtu, struct error **err)
{
	struct nlmsghdr *request;
	int r;

	if (link->mtu == mtu)
		return 0;
	request = link_change(nl, link->index);
	mnl_attr_put_u32(request, IFLA_MTU, mtu);
	r = netlink_ask(nl, request, NULL, NULL);
	return r < 0 ? netlink_fail(nl, r, err, "cannot set %s to an MTU of %u", link->name, mtu) : 0;
}

static int make_veth(struct net *net, struct netlink *root, struct netlink *inside, unsigned mtu, struct error **err)
{
	struct link world, outer;
	int r;

	if (link_get(inside, NET_WORLD, &world) == 0 && strcmp(world.kind, "veth") == 0 &&
	    link_get(root, net->names.veth, &outer) == 0 && net_is_ours(&net->names, &outer)) {
		r = set_mtu(inside, &world, mtu, err);
		return r < 0 ? r : set_mtu(root, &outer, mtu, err);
	}
	r = remove_veth(net, root, inside, err);
	return r < 0 ? r : create_veth(net, root, inside, mtu, err);
}

/* The only sysctls of the root namespace that are set at L0: those of our own interface. */
static int set_veth_sysctls(const struct net *net, bool ipv6, struct error **err)
{
	const struct {
		const char *family, *key, *value;
	} settings[] = {
		{"ipv4", "forwarding", "1"}, {"ipv6", "disable_ipv6", ipv6 ? "0" : "1"}, {"ipv6", "accept_ra", "0"}};

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		char path[96];
		int r;

		snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", settings[i].family, net->names.veth,
			 settings[i].key);
		if (i > 0 && !ipv6 && !file_exists(path)) /* a kernel without IPv6 */
			continue;
		r = file_poke(path, settings[i].value, err);
		if (r < 0)
			return r;
	}
	return 0;
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

/*
 * The transit addresses and, with IPv6, a link-local one in the third place: for a packet that is forwarded, and not
 * its own, Linux asks for the next hop with that address or not at all (ndisc_send_ns in net/ipv6/ndisc.c).
 */
static int set_addresses(struct netlink *nl, const struct link *link, struct prefix addresses[3], struct error **err)
{
	if (addresses[1].ip.family)
		addresses[2] = (struct prefix){.ip = link_local(link->mac), .length = 64};
	return link_set_addresses(nl, link, addresses, 3, err);
}

/* The outer end: addresses, routes to the routed networks, translation of the rest. */
static int set_up_outer(struct net *net, struct netlink *root, const struct net_transit *transit, struct error **err)
{
	struct prefix addresses[3] = {transit->root4, transit->root6};
	cleanup_free struct route *routes = calloc(2 * net->lab->network_count + 1, sizeof(*routes));
	size_t count = 0;
	struct link outer;
	int r;

	if (!routes)
		abort();
	r = set_veth_sysctls(net, transit->root6.ip.family != 0, err);
	if (r < 0)
		return r;
	r = link_get(root, net->names.veth, &outer);
	if (r == 0)
		r = link_raise(root, outer.index);
	if (r < 0)
		return netlink_fail(root, r, err, "cannot bring up %s", net->names.veth);
	r = set_addresses(root, &outer, addresses, err);
	if (r < 0)
		return r;
	add_subnets(net, AF_INET, &transit->inside4.ip, outer.index, routes, &count);
	add_subnets(net, AF_INET6, &transit->inside6.ip, outer.index, routes, &count);
	return route_set(root, routes, count, &outer.index, 1, err);
}

static int set_root_rules(struct net *net, const struct net_transit *transit, struct error **err)
{
	cleanup_free char *record = net_file(net->run_dir, "rules", ".root", "");
	cleanup_strbuf struct strbuf text = {0};
	char table[80], ip[IP_TEXT_SIZE];
	const char *const tables[] = {table, NULL};
	const struct ruleset set = {.netns = -1, .tables = tables, .record = record, .shared = true};
	bool same;
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
	r = ruleset_check(&set, text.text, &same, err);
	return r < 0 || same ? r : ruleset_load(&set, text.text, NULL, err);
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
		struct link bridge;

		if (network->uplink == UPLINK_ROUTE && gateway->family &&
		    link_get(inside, network->bridge, &bridge) == 0)
			return *gateway;
	}
	return (struct ip){0};
}

static int set_up_inner(struct net *net, struct netlink *inside, const struct net_transit *transit, bool way4,
			bool way6, struct error **err)
{
	struct prefix addresses[3] = {transit->inside4, transit->inside6};
	const struct prefix any4 = {.ip = {.family = AF_INET}}, any6 = {.ip = {.family = AF_INET6}};
	struct route routes[2];
	size_t count = 0;
	struct link world;
	int r = link_get(inside, NET_WORLD, &world);

	if (r == 0)
		r = link_raise(inside, world.index);
	if (r < 0)
		return netlink_fail(inside, r, err, "cannot bring up " NET_WORLD);
	r = net_put_alias(net, inside, &world, "uplink", err);
	if (r == 0 && transit->inside6.ip.family)
		r = network_set_ipv6(net, NET_WORLD, true, err);
	if (r == 0)
		r = set_addresses(inside, &world, addresses, err);
	if (way4)
		routes[count++] = (struct route){.to = any4,
						 .via = transit->root4.ip,
						 .source = own_source(net, inside, AF_INET),
						 .interface = world.index};
	if (way6 && transit->root6.ip.family)
		routes[count++] = (struct route){.to = any6,
						 .via = transit->root6.ip,
						 .source = own_source(net, inside, AF_INET6),
						 .interface = world.index};
	return r < 0 ? r : route_set(inside, routes, count, &world.index, 1, err);
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
	int r = remove_veth(net, root, inside, err);

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
	int r = net_end_pasta(net->run_dir, err);

	if (r == 0)
		r = make_veth(net, root, inside, outside->mtu, err);
	if (r == 0)
		r = set_up_outer(net, root, transit, err);
	if (r == 0)
		r = set_root_rules(net, transit, err);
	/* Without forwarding, a default route would only make the guests wait. For IPv4 it stays: the remedy is one
	 * command. */
	return r < 0 ? r : set_up_inner(net, inside, transit, true, outside->forwards6, err);
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
	r = set_up_inner(net, inside, &seen, true, true, err);
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
		r = transit_choose(net, root, &transit, err);
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
		r = transit_choose(net, root, &transit, err);
	return r < 0 ? r : set_up_inner(net, inside, &transit, true, outside.forwards6, err);
}

int net_make_uplink(struct net *net, struct reporter *reporter, struct error **err)
{
	int r;

	pthread_mutex_lock(&net->mutex);
	r = make_uplink(net, reporter, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "uplink") : 0;
}
