/*
 * The way in. Besides the uplink, which the world is behind, the namespace of a host with published ports has a second
 * veth for them, whatever the uplink is (pasta, none):
 *
 *   client ── [address:port → inner transit address:own port, source → outer transit address] ── nv<id>p
 *          ══ admin ── [own port → guest:port, source → the gateway's] ── bridge ── guest
 *
 * The "own port" is that by which this host knows it (model/publish.h). Where the guest is a deeper host's, the
 * second translation leads to that host and the port by which it knows it, where the same begins again: to a host,
 * whatever is behind one of its own ports at all of its addresses is what the layer above publishes. So no host knows
 * more than its part, and none has a route to networks of another.
 *
 * Sources are translated, too: the answer comes back the way that the question went, whatever default route the
 * guest has, and also from a network without an uplink. A guest sees its gateway as the client.
 *
 * 127.0.0.1 is what takes care. A connection to it is translated when the machine's own program makes it (the output
 * hook); its answer comes in by our veth for 127.0.0.1, which Linux takes for a forgery unless route_localnet allows it
 * for the interface (Documentation/networking/ip-sysctl.rst). It is allowed for our veth alone, and what comes in there
 * and has 127.0.0.0/8 as its address before it is translated back is dropped, so that nobody in the lab reaches what
 * listens on the machine's loopback. What comes by a cable for 127.0.0.1 is not translated: Linux drops it, but only
 * after the prerouting hook, by when it would be for somebody else. There is no such thing for ::1, which config/
 * refuses. And only answers come in by the veth, and what finds a neighbour's Ethernet address (ARP, which these tables
 * do not see, and RFC 4861): nothing that begins in the lab, and nothing that connection tracking has no entry for, as
 * an answer that nobody waits for or a router advertisement. What leaves by it has been translated: a machine that
 * forwards would else take whatever a neighbour sends to the inner transit address past the address that the port is
 * published at.
 *
 * A rule takes a port away from whatever listens there, so a port that somebody has is refused.
 */
#include "net/publish.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "model/publish.h"
#include "net/net_internal.h"
#include "net/network.h"
#include "net/outside.h"
#include "net/reach.h"
#include "net/route.h"
#include "net/ruleset.h"
#include "net/transit.h"
#include "net/veth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *protocol_name(const struct publish *publish)
{
	return publish->protocol == IPPROTO_UDP ? "udp" : "tcp";
}

/* ─── inside ─── */

static uint16_t port_at(const struct lab *lab, const struct host *host, const struct publish *publish)
{
	cleanup_free struct published *list = NULL;
	size_t count = published_below(lab, host, &list);

	for (size_t i = 0; i < count; i++)
		if (list[i].publish == publish)
			return list[i].port;
	return 0;
}

/* Where it is sent on to: the guest, or the host on the way to it. False where that has no address of the family. */
static bool destination_of(const struct lab *lab, const struct published *one, uint8_t family, struct ip *ret_ip,
			   uint16_t *ret_port)
{
	const struct guest *first = host_guest_towards(lab->root, one->guest);
	const struct nic *nic = reach_nic(first, family);

	if (!nic)
		return false;
	*ret_ip = family == AF_INET ? nic->address4 : nic->address6;
	*ret_port = first == one->guest ? one->publish->port : port_at(lab, first->host, one->publish);
	return *ret_port != 0;
}

static void add_map_inside(const struct lab *lab, const struct published *list, size_t count, uint8_t family,
			   struct strbuf *out)
{
	bool six = family == AF_INET6, begun = false;

	strbuf_printf(out, "\tmap published%s {\n\t\ttype inet_proto . inet_service : %s . inet_service\n",
		      six ? "6" : "4", six ? "ipv6_addr" : "ipv4_addr");
	for (size_t i = 0; i < count; i++) {
		char text[IP_TEXT_SIZE];
		struct ip to;
		uint16_t port;

		if (publish_address(list[i].publish).family != family ||
		    !destination_of(lab, &list[i], family, &to, &port))
			continue;
		strbuf_printf(out, "%s%s . %u : %s . %u", begun ? ", " : "\t\telements = { ",
			      protocol_name(list[i].publish), list[i].port, ip_format(&to, text), port);
		begun = true;
	}
	strbuf_add(out, begun ? " }\n\t}\n" : "\t}\n");
}

void publish_format_inside(const struct lab *lab, struct strbuf *out)
{
	cleanup_free struct published *list = NULL;
	size_t count = published_below(lab, lab->root, &list);

	add_map_inside(lab, list, count, AF_INET, out);
	add_map_inside(lab, list, count, AF_INET6, out);
	strbuf_add(out, "\tchain publish {\n"
			"\t\ttype nat hook prerouting priority -100; policy accept;\n"
			"\t\tiifname \"" NET_ADMIN "\" dnat ip to meta l4proto . th dport map @published4\n"
			"\t\tiifname \"" NET_ADMIN "\" dnat ip6 to meta l4proto . th dport map @published6\n"
			"\t}\n");
}

/* ─── outside ─── */

struct outer_map {
	uint8_t family;
	bool any;
	const char *name;
};

static const struct outer_map outer_maps[] = {
	{AF_INET, false, "to4"}, {AF_INET6, false, "to6"}, {AF_INET, true, "any4"}, {AF_INET6, true, "any6"}};

static bool is_in(const struct outer_map *map, const struct publish *publish)
{
	struct ip address = publish_address(publish);

	return address.family == map->family && publish_is_any(&address) == map->any;
}

static void add_outer_map(const struct outer_map *map, const struct published *list, size_t count,
			  const struct net_transit *transit, struct strbuf *out)
{
	bool six = map->family == AF_INET6, begun = false;
	const char *type = six ? "ipv6_addr" : "ipv4_addr";
	const struct ip *inside = six ? &transit->inside6.ip : &transit->inside4.ip;
	char text[IP_TEXT_SIZE];

	strbuf_printf(out, "\tmap %s {\n\t\ttype %s%sinet_proto . inet_service : %s . inet_service\n", map->name,
		      map->any ? "" : type, map->any ? "" : " . ", type);
	for (size_t i = 0; i < count && inside->family; i++) {
		struct ip address = publish_address(list[i].publish);

		if (!is_in(map, list[i].publish))
			continue;
		strbuf_add(out, begun ? ", " : "\t\telements = { ");
		if (!map->any)
			strbuf_printf(out, "%s . ", ip_format(&address, text));
		strbuf_printf(out, "%s . %u : %s . %u", protocol_name(list[i].publish), publish_as(list[i].publish),
			      ip_format(inside, text), list[i].port);
		begun = true;
	}
	strbuf_add(out, begun ? " }\n\t}\n" : "\t}\n");
}

static const char translations[] = "\t\tdnat ip to ip daddr . meta l4proto . th dport map @to4\n"
				   "\t\tdnat ip6 to ip6 daddr . meta l4proto . th dport map @to6\n"
				   "\t\tfib daddr type local dnat ip to meta l4proto . th dport map @any4\n"
				   "\t\tfib daddr type local dnat ip6 to meta l4proto . th dport map @any6\n";

/* The words of the text that are addresses of the family. */
static void add_said_routers(const char *text, uint8_t family, struct strbuf *routers)
{
	while (text && *text) {
		size_t length = strcspn(text, " ");
		char word[IP_TEXT_SIZE];
		struct ip ip;

		snprintf(word, sizeof(word), "%.*s", (int)length, text);
		if (ip_parse(word, &ip) && ip.family == family)
			strbuf_printf(routers, "%s%s", routers->length ? ", " : "", word);
		text += length + (text[length] == ' ');
	}
}

/*
 * On a deeper host: nobody but the layer above, which asks with its address in the host's network (nobody on that
 * network can take it: rules.c). Its part says which. A part of an older nestvisor does not; then it is the host's
 * routers, and all of the host's network where these are not known, or only by a link-local address.
 */
static int add_askers(const struct net *net, struct netlink *root, uint8_t family, struct strbuf *out,
		      struct error **err)
{
	cleanup_free struct route *routes = NULL;
	cleanup_strbuf struct strbuf routers = {0};
	const char *said = net->lab->routers;
	size_t count = 0;
	int r = net->lab->root->layer > 0 && !said ? route_list(root, &routes, &count, err) : 0;

	add_said_routers(said, family, &routers);
	for (size_t i = 0; i < count; i++) {
		const struct route *route = &routes[i];
		char text[IP_TEXT_SIZE];

		if (route->to.length || route->type != RTN_UNICAST || route->table != RT_TABLE_MAIN ||
		    route->via.family != family)
			continue;
		if (family == AF_INET6 && route->via.bytes[0] == 0xfe)
			return 0;
		strbuf_printf(&routers, "%s%s", routers.length ? ", " : "", ip_format(&route->via, text));
	}
	if (routers.length)
		strbuf_printf(out, "\t\t%s saddr != { %s } accept\n", family == AF_INET ? "ip" : "ip6", routers.text);
	else if (said) /* it has no address of the family there */
		strbuf_printf(out, "\t\tmeta nfproto %s accept\n", family == AF_INET ? "ipv4" : "ipv6");
	return r;
}

static int format_outside(const struct net *net, struct netlink *root, const struct published *list, size_t count,
			  const struct net_transit *transit, struct strbuf *out, struct error **err)
{
	const char *veth = net->names.admin;
	int r;

	strbuf_printf(out, "table inet %s/publish {\n", net->names.netns);
	for (size_t i = 0; i < sizeof(outer_maps) / sizeof(*outer_maps); i++)
		add_outer_map(&outer_maps[i], list, count, transit, out);
	strbuf_printf(out,
		      "\tchain forged {\n\t\ttype filter hook prerouting priority -300; policy accept;\n"
		      "\t\tiifname \"%s\" ip saddr 127.0.0.0/8 drop\n"
		      "\t\tiifname \"%s\" ip daddr 127.0.0.0/8 drop\n\t}\n",
		      veth, veth);
	strbuf_printf(out,
		      "\tchain prerouting {\n\t\ttype nat hook prerouting priority -100; policy accept;\n"
		      "\t\tiifname \"%s\" accept\n\t\tip daddr 127.0.0.0/8 accept\n",
		      veth);
	r = add_askers(net, root, AF_INET, out, err);
	if (r == 0)
		r = add_askers(net, root, AF_INET6, out, err);
	strbuf_printf(out, "%s\t}\n", translations);
	strbuf_printf(out, "\tchain output {\n\t\ttype nat hook output priority -100; policy accept;\n%s\t}\n",
		      translations);
	strbuf_printf(out,
		      "\tchain postrouting {\n\t\ttype nat hook postrouting priority 100; policy accept;\n"
		      "\t\toifname \"%s\" masquerade\n\t}\n",
		      veth);
	strbuf_printf(out,
		      "\tchain input {\n\t\ttype filter hook input priority -10; policy accept;\n"
		      "\t\tiifname \"%s\" ct direction reply accept\n"
		      "\t\tiifname \"%s\" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
		      "\t\tiifname \"%s\" drop\n\t}\n"
		      "\tchain forward {\n\t\ttype filter hook forward priority -10; policy accept;\n"
		      "\t\tiifname \"%s\" ct direction reply accept\n\t\tiifname \"%s\" drop\n"
		      "\t\toifname \"%s\" ct status dnat accept\n\t\toifname \"%s\" drop\n\t}\n}\n",
		      veth, veth, veth, veth, veth, veth, veth);
	return r;
}

static struct veth pair_of(const struct net *net)
{
	return (struct veth){.inner = NET_ADMIN, .outer = net->names.admin, .what = "publish"};
}

/* ─── whether somebody has the port ─── */

static int fail_taken(const struct published *one, const char *by, struct error **err)
{
	const struct ip address = publish_address(one->publish);
	unsigned as = publish_as(one->publish);
	char text[IP_TEXT_SIZE];

	error_set(err, EADDRINUSE, "%s cannot be published: port %u/%s of %s is %s's", one->guest->path, as,
		  protocol_name(one->publish), ip_format(&address, text), by);
	error_hint(err, "publish it under another number: {port: %u/%s, as: %u}", one->publish->port,
		   protocol_name(one->publish), as < 55536 ? as + 10000 : 10000);
	return -EADDRINUSE;
}

/* Asked by binding it for a moment, which fails as a server's bind(2) would. */
static int check_free(const struct published *one, struct reporter *reporter, struct error **err)
{
	const struct ip ip = publish_address(one->publish);
	bool six = ip.family == AF_INET6;
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(publish_as(one->publish))};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = a4.sin_port};
	cleanup_close int fd =
		socket(ip.family, (one->publish->protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	char text[IP_TEXT_SIZE];
	const int on = 1;
	int r;

	if (fd < 0)
		return error_errno(err, errno, "cannot make a socket");
	memcpy(six ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr, ip.bytes, six ? 16 : 4);
	/* Connections of a former server that are still closing do not count. For UDP this would share the port. */
	if (one->publish->protocol != IPPROTO_UDP)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	r = bind(fd, six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, six ? sizeof(a6) : sizeof(a4));
	if (r == 0)
		return 0;
	if (errno == EADDRINUSE)
		return fail_taken(one, "another program", err);
	if (errno == EADDRNOTAVAIL) {
		report(reporter, REPORT_WARNING, "publish", "%s: this machine does not have the address %s",
		       one->guest->path, ip_format(&ip, text));
		return 0;
	}
	return error_errno(err, errno, "cannot try port %u of %s", publish_as(one->publish), ip_format(&ip, text));
}

/* Whether the table of another lab has the port, as nft(8) lists it. */
static int check_other_lab(const struct published *list, size_t count, const char *name, struct error **err)
{
	cleanup_free char *listing = NULL, *command = NULL;
	int r;

	if (asprintf(&command, "list table %s", name) < 0)
		abort();
	r = ruleset_list(-1, command, &listing, err);
	for (size_t i = 0; i < count && r == 0; i++) {
		const struct ip address = publish_address(list[i].publish);
		char text[IP_TEXT_SIZE], element[128];

		snprintf(element, sizeof(element), " %s . %u . %u : ", ip_format(&address, text),
			 list[i].publish->protocol, publish_as(list[i].publish));
		if (strstr(listing, element))
			r = fail_taken(&list[i], name + strlen("inet "), err);
	}
	return r;
}

static int check_other_labs(const struct net *net, const struct published *list, size_t count, struct error **err)
{
	cleanup_free char *tables = NULL;
	char own[96], *save = NULL;
	int r = ruleset_list(-1, "list tables", &tables, err);

	snprintf(own, sizeof(own), "table inet %s/publish", net->names.netns);
	for (char *line = r == 0 ? strtok_r(tables, "\n", &save) : NULL; line && r == 0;
	     line = strtok_r(NULL, "\n", &save)) {
		size_t length = strlen(line);

		if (strncmp(line, "table inet nestvisor-", 21) == 0 && length > 8 &&
		    strcmp(line + length - 8, "/publish") == 0 && strcmp(line, own) != 0)
			r = check_other_lab(list, count, line + strlen("table "), err);
	}
	return r;
}

static int check_ports(const struct net *net, const struct published *list, size_t count, struct reporter *reporter,
		       struct error **err)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = check_free(&list[i], reporter, err);
	return r < 0 ? r : check_other_labs(net, list, count, err);
}

/* Connections from other machines are forwarded, which at L0 is for the machine's owner to allow. */
static void warn_of_others(const struct net *net, const struct published *list, size_t count,
			   const struct outside *outside, struct reporter *reporter)
{
	for (size_t i = 0; i < count && net->lab->root->layer == 0; i++) {
		struct ip address = publish_address(list[i].publish);
		bool six = address.family == AF_INET6;
		char text[IP_TEXT_SIZE];

		if ((!six && address.bytes[0] == 127) || (six ? outside->forwards6 : outside->forwards4))
			continue;
		report(reporter, REPORT_WARNING, "publish",
		       "%s port %u of %s is reached from this machine, but not from others: it does not forward. Let "
		       "it (%s), or carry them in user space: nestvisor forward %s %u --address %s",
		       ip_format(&address, text), publish_as(list[i].publish), list[i].guest->path,
		       six ? "sysctl -w net.ipv6.conf.all.forwarding=1" : "sysctl -w net.ipv4.ip_forward=1",
		       list[i].guest->path, list[i].publish->port, text);
		return;
	}
}

/* ─── making it so ─── */

static int raise_end(struct netlink *nl, const char *name, struct prefix addresses[3], struct error **err)
{
	struct link link;
	int r = link_get(nl, name, &link);

	if (r == 0)
		r = link_raise(nl, link.index);
	if (r < 0)
		return netlink_fail(nl, r, err, "cannot bring up %s", name);
	return veth_set_addresses(nl, &link, addresses, err);
}

static int allow_loopback(const char *veth, struct error **err)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/route_localnet", veth);
	return file_poke(path, "1", err);
}

static int make_cable(struct net *net, struct netlink *root, struct netlink *inside, const struct net_transit *transit,
		      unsigned mtu, struct error **err)
{
	struct prefix outer[3] = {transit->root4, transit->root6}, inner[3] = {transit->inside4, transit->inside6};
	const struct veth pair = pair_of(net);
	bool ipv6 = transit->root6.ip.family != 0;
	int r = veth_make(net, &pair, root, inside, mtu, err);

	if (r == 0)
		r = veth_set_sysctls(pair.outer, ipv6, err);
	if (r == 0 && ipv6)
		r = network_set_ipv6(net, pair.inner, true, err);
	if (r == 0)
		r = raise_end(root, pair.outer, outer, err);
	if (r == 0)
		r = raise_end(inside, pair.inner, inner, err);
	return r < 0 ? r : allow_loopback(pair.outer, err);
}

/* Calls back with the ruleset that the root namespace is to have, or once it is clear that it is to have none. */
struct outer_rules {
	char table[96];
	const char *tables[2];
	char *record;
	struct ruleset set;
};

static void outer_rules_begin(struct outer_rules *rules, const struct net_names *names, const char *run_dir)
{
	snprintf(rules->table, sizeof(rules->table), "inet %s/publish", names->netns);
	rules->tables[0] = rules->table;
	rules->tables[1] = NULL;
	rules->record = net_file(run_dir, "rules", ".publish", "");
	rules->set = (struct ruleset){.netns = -1, .tables = rules->tables, .record = rules->record, .shared = true};
}

static int load(struct net *net, const char *text, struct error **err)
{
	struct outer_rules rules;
	bool same = false;
	int r;

	outer_rules_begin(&rules, &net->names, net->run_dir);
	r = ruleset_check(&rules.set, text, &same, err);
	if (r == 0 && !same)
		r = ruleset_load(&rules.set, text, NULL, err);
	free(rules.record);
	return r;
}

static int make_publish(struct net *net, const struct published *list, size_t count, struct reporter *reporter,
			struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};
	struct netlink *inside, *root;
	struct net_transit transit;
	struct outside outside;
	int r = check_ports(net, list, count, reporter, err);

	if (r == 0)
		r = net_inside(net, &inside, err);
	if (r == 0)
		r = net_root(net, &root, err);
	if (r == 0)
		r = outside_look(net, root, &outside, err);
	if (r == 0 && net->lab->root->layer > 0)
		r = outside_switch_on(&outside, err);
	if (r == 0)
		r = transit_choose(net, root, net->names.admin, &transit, err);
	if (r < 0)
		return r;
	r = format_outside(net, root, list, count, &transit, &text, err);
	/* The rules first: before them, the veth would let in more than answers. */
	if (r == 0)
		r = load(net, text.text, err);
	if (r == 0)
		r = make_cable(net, root, inside, &transit, outside.mtu, err);
	if (r == 0)
		warn_of_others(net, list, count, &outside, reporter);
	return r;
}

static int remove_cable(struct net *net, struct error **err)
{
	const struct veth pair = pair_of(net);
	struct netlink *inside, *root;
	int r = net_inside(net, &inside, err);

	if (r == 0)
		r = net_root(net, &root, err);
	return r < 0 ? r : veth_remove(net, &pair, root, inside, err);
}

int net_make_publish(struct net *net, struct reporter *reporter, struct error **err)
{
	cleanup_free struct published *list = NULL;
	size_t count = published_below(net->lab, net->lab->root, &list);
	int r;

	pthread_mutex_lock(&net->mutex);
	if (count) {
		r = make_publish(net, list, count, reporter, err);
	} else {
		r = remove_cable(net, err);
		if (r == 0)
			r = net_remove_publish(&net->names, net->run_dir, err);
	}
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "publish") : 0;
}

int net_remove_publish(const struct net_names *names, const char *run_dir, struct error **err)
{
	struct outer_rules rules;
	struct netlink root;
	struct link link;
	int r = netlink_open(&root, -1, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	if (link_get(&root, names->admin, &link) == 0 && net_is_ours(names, &link))
		r = link_delete(&root, &link, err);
	netlink_close(&root);
	if (r < 0)
		return r;
	outer_rules_begin(&rules, names, run_dir);
	r = ruleset_remove(&rules.set, err);
	free(rules.record);
	return r;
}

/* ─── whether it is so ─── */

/* There are no ports, and nothing of ours: no record was left by what made it. */
static int check_none(const struct net *net, struct netlink *root, bool *ret_same)
{
	cleanup_free char *record = net_file(net->run_dir, "rules", ".publish", "");
	struct link link;

	*ret_same = !file_exists(record) &&
		    (link_get(root, net->names.admin, &link) < 0 || !net_is_ours(&net->names, &link));
	return 0;
}

static int check(struct net *net, const struct published *list, size_t count, bool *ret_same, struct error **err)
{
	cleanup_strbuf struct strbuf text = {0};
	struct net_transit transit;
	struct outer_rules rules;
	struct netlink *root;
	struct link link;
	int r = net_root(net, &root, err);

	if (r < 0)
		return r;
	if (!count)
		return check_none(net, root, ret_same);
	if (net->netns < 0 || link_get(root, net->names.admin, &link) < 0 || !link.up)
		return 0;
	r = transit_choose(net, root, net->names.admin, &transit, err);
	if (r < 0)
		return r;
	r = format_outside(net, root, list, count, &transit, &text, err);
	if (r < 0)
		return r;
	outer_rules_begin(&rules, &net->names, net->run_dir);
	r = ruleset_check(&rules.set, text.text, ret_same, err);
	free(rules.record);
	return r;
}

int net_check_publish(struct net *net, bool *ret_same, struct error **err)
{
	cleanup_free struct published *list = NULL;
	size_t count = published_below(net->lab, net->lab->root, &list);
	int r;

	*ret_same = false;
	pthread_mutex_lock(&net->mutex);
	r = check(net, list, count, ret_same, err);
	pthread_mutex_unlock(&net->mutex);
	return r < 0 ? error_wrap(err, "publish") : 0;
}
