/* Each network by itself: its subnets, gateways, DHCP, encapsulation and MTU. */
#include "config/build.h"

#include <string.h>
#include <sys/socket.h>

/* Addresses that mean something else wherever they stand (RFC 6890, RFC 4291). */
static const struct {
	const char *prefix, *what;
} reserved[] = {
	{"0.0.0.0/8", "\"this network\""},
	{"127.0.0.0/8", "loopback"},
	{"169.254.0.0/16", "link-local"},
	{"224.0.0.0/3", "multicast or reserved"},
	{"::/8", "reserved"},
	{"fe80::/10", "link-local"},
	{"ff00::/8", "multicast"},
};

static void check_subnet(struct build *b, const struct node *node, bool second)
{
	const struct prefix *subnet = &node->value.prefix;
	bool ip4 = subnet->ip.family == AF_INET;
	struct prefix other;

	if (second)
		problems_error(b->problems, node->spot, "make two networks of them",
			       "a network has at most one IPv4 and one IPv6 subnet");
	if (subnet->length > (ip4 ? 30 : 126))
		problems_error(b->problems, node->spot, ip4 ? "/30 is the smallest, /24 is usual" : "/64 is usual",
			       "the subnet %s has no room for a gateway and a guest", node->text);
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (prefix_parse(reserved[i].prefix, &other) && prefix_overlaps(subnet, &other)) {
			problems_error(b->problems, node->spot,
				       ip4 ? "private subnets are in 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16"
					   : "private subnets are in fd00::/8",
				       "the subnet %s overlaps %s, which is %s", node->text, reserved[i].prefix,
				       reserved[i].what);
			break;
		}
}

static void check_subnets(struct build *b, const struct network *network)
{
	const struct node *list = said(b->network_nodes[network->index], NETWORK_SUBNET);
	unsigned count4 = 0, count6 = 0;

	for (const struct node *n = list ? list->first : NULL; n; n = n->next)
		if (n->kind == NODE_SCALAR)
			check_subnet(b, n, n->value.prefix.ip.family == AF_INET ? count4++ : count6++);
	if (list && list->count == 0)
		problems_error(b->problems, list->spot, "for example subnet: 192.168.124.0/24",
			       "the network \"%s\" has no subnet", network->name);
}

/* Why an address cannot be that of somebody in a subnet, or NULL. */
const char *network_refuses(const struct network *network, const struct ip *ip)
{
	const struct prefix *subnet = ip->family == AF_INET ? &network->subnet4 : &network->subnet6;
	struct ip last, first;

	if (!subnet->ip.family)
		return NULL;
	last = prefix_broadcast(subnet);
	first = prefix_host(subnet, 0);
	if (!prefix_contains(subnet, ip))
		return "is outside of";
	if (ip_equal(ip, &first))
		return ip->family == AF_INET ? "is the network's own address in" : "is the routers' anycast address in";
	if (ip->family == AF_INET && ip_equal(ip, &last))
		return "is the broadcast address of";
	return NULL;
}

static void check_gateways(struct build *b, const struct network *network)
{
	const struct node *list = said(b->network_nodes[network->index], NETWORK_GATEWAY);
	const struct node *seen4 = NULL, *seen6 = NULL;

	for (const struct node *n = list ? list->first : NULL; n; n = n->next) {
		const struct ip *ip = &n->value.ip;
		const struct prefix *subnet = ip->family == AF_INET ? &network->subnet4 : &network->subnet6;
		const struct node **seen = ip->family == AF_INET ? &seen4 : &seen6;
		char text[PREFIX_TEXT_SIZE];
		const char *why;

		if (n->kind != NODE_SCALAR)
			continue;
		if (*seen)
			problems_error(b->problems, n->spot, NULL, "a subnet has one gateway");
		*seen = n;
		why = network_refuses(network, ip);
		if (why)
			problems_error(b->problems, n->spot, NULL, "the gateway %s %s %s", n->text, why,
				       prefix_format(subnet, text));
		else if (!subnet->ip.family && !is_broken(b->network_nodes[network->index], NETWORK_SUBNET))
			problems_error(b->problems, n->spot, NULL,
				       "the network \"%s\" has no %s subnet for this gateway", network->name,
				       ip->family == AF_INET ? "IPv4" : "IPv6");
	}
}

static void check_range_end(struct build *b, const struct network *network, const struct node *node)
{
	char text[PREFIX_TEXT_SIZE];
	const char *why = network_refuses(network, &node->value.ip);

	if (node->value.ip.family != AF_INET)
		problems_error(b->problems, node->spot, NULL, "DHCP hands out IPv4 addresses, not %s", node->text);
	else if (why)
		problems_error(b->problems, node->spot, NULL, "the DHCP range's %s %s %s", node->text, why,
			       prefix_format(&network->subnet4, text));
}

static int compare_ips(const struct ip *a, const struct ip *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static void check_range(struct build *b, const struct network *network, const struct node *range)
{
	const struct ip *gateway = &network->gateway4;
	const struct node *first = range->first, *last;
	char text[IP_TEXT_SIZE];

	if (range->count != 2) {
		problems_error(b->problems, range->spot, "for example [192.168.122.100, 192.168.122.199]",
			       "a DHCP range is a list of two addresses: the first and the last");
		return;
	}
	last = first->next;
	if (first->kind != NODE_SCALAR || last->kind != NODE_SCALAR)
		return;
	check_range_end(b, network, first);
	check_range_end(b, network, last);
	if (first->value.ip.family != AF_INET || last->value.ip.family != AF_INET)
		return;
	if (compare_ips(&first->value.ip, &last->value.ip) > 0)
		problems_error(b->problems, range->spot, "the lower one comes first",
			       "the DHCP range ends before it begins");
	else if (gateway->family && compare_ips(&first->value.ip, gateway) <= 0 &&
		 compare_ips(gateway, &last->value.ip) <= 0)
		problems_error(b->problems, range->spot, NULL, "the DHCP range holds the gateway, %s",
			       ip_format(gateway, text));
}

static void check_dhcp(struct build *b, const struct network *network)
{
	const struct node *map = b->network_nodes[network->index], *dhcp = said(map, NETWORK_DHCP);
	const struct node *range = dhcp && dhcp->kind == NODE_MAP ? said(dhcp, DHCP_RANGE) : NULL;

	if (!network->dhcp)
		return;
	if (!network->subnet4.ip.family && !is_broken(map, NETWORK_SUBNET))
		problems_error(b->problems, network_spot(b, network, NETWORK_DHCP),
			       "give it an IPv4 subnet, or its guests addresses",
			       "DHCP hands out IPv4 addresses, and the network \"%s\" has no IPv4 subnet",
			       network->name);
	else if (range)
		check_range(b, network, range);
}

static void check_peers(struct build *b, const struct node *tunnel)
{
	const struct node *peers = said(tunnel, TUNNEL_PEERS);

	if ((!peers && !b->lab->machine_count && !is_broken(tunnel, TUNNEL_PEERS)) || (peers && peers->count == 0))
		problems_error(
			b->problems, peers ? peers->spot : tunnel->key_spot,
			"for example peers: [203.0.113.7]; only in a lab with \"hosts\" they follow by themselves",
			"a tunnel needs at least one peer");
	for (const struct node *n = peers ? peers->first : NULL; n; n = n->next) {
		if (n->kind != NODE_SCALAR || peers->first->kind != NODE_SCALAR)
			continue;
		if (n->value.ip.family != peers->first->value.ip.family) {
			problems_error(b->problems, n->spot, NULL, "the peers of one tunnel are all IPv4 or all IPv6");
			break;
		}
	}
}

static void check_tunnel(struct build *b, const struct network *network)
{
	const struct node *map = b->network_nodes[network->index];
	const struct node *vxlan = said(map, NETWORK_VXLAN), *geneve = said(map, NETWORK_GENEVE), *options;

	if (vxlan && geneve)
		problems_error(b->problems, geneve->key_spot, NULL,
			       "a network is joined by VXLAN or by GENEVE, not by both");
	if (vxlan)
		check_peers(b, vxlan);
	if (!geneve)
		return;
	check_peers(b, geneve);
	options = said(geneve, TUNNEL_OPTIONS);
	if (options && options->value.number % 4)
		problems_error(b->problems, options->spot, NULL, "GENEVE's options are a multiple of 4 bytes, not %s",
			       options->text);
}

static void check_encapsulated_mtu(struct build *b, const struct network *network)
{
	unsigned underlay = network_underlay(network), overhead = network_overhead(network);

	if (network_is_stretched(network)) /* placing measures what fits */
		return;
	if (!underlay || network->mtu + overhead <= underlay)
		return;
	problems_error(b->problems, network_spot(b, network, NETWORK_MTU),
		       underlay > overhead ? problems_text(b->problems, "at most %u fit", underlay - overhead) : NULL,
		       "an MTU of %u does not fit: %s takes %u bytes, and the layer below carries %u", network->mtu,
		       network->encapsulation == ENCAP_VXLAN ? "VXLAN" : "GENEVE", overhead, underlay);
}

static void check_mtu(struct build *b, const struct network *network)
{
	const struct network *below = first_network(network->owner);

	if (is_broken(b->network_nodes[network->index], NETWORK_MTU) ||
	    (below && is_broken(b->network_nodes[below->index], NETWORK_MTU)))
		return;
	if (network->subnet6.ip.family && network->mtu < 1280)
		problems_error(b->problems, network_spot(b, network, NETWORK_MTU), NULL,
			       "an MTU of %u is too small for IPv6, which needs 1280 (RFC 8200)", network->mtu);
	if (network->encapsulation != ENCAP_NONE)
		check_encapsulated_mtu(b, network);
	else if (below && network->uplink != UPLINK_NONE && network->mtu > below->mtu)
		problems_warning(b->problems, network_spot(b, network, NETWORK_MTU),
				 problems_text(b->problems, "mtu: %u here, or a larger one there", below->mtu),
				 "an MTU of %u is more than the %u of \"%s\", through which %s reaches out: large "
				 "packets are cut or lost",
				 network->mtu, below->mtu, below->path, host_words(b, network->owner));
}

void check_networks(struct build *b)
{
	for (size_t i = 0; i < b->lab->network_count; i++) {
		const struct network *network = b->lab->networks[i];

		if (b->network_nodes[i]->kind == NODE_BROKEN)
			continue;
		check_subnets(b, network);
		check_gateways(b, network);
		check_dhcp(b, network);
		check_tunnel(b, network);
		check_mtu(b, network);
	}
}
