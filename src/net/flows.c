/*
 * Connection tracking is read as a whole in the lab's namespace, where all entries are the lab's, and what is found is
 * deleted one by one by its own tuple (linux/netfilter/nfnetlink_conntrack.h). In the root namespace, which may have a
 * million entries of others, nothing is read: how a flow looks there follows from the entry inside. It leaves with what
 * the answer is sent to, so the tuple is the reply's, turned round.
 *
 * What a guest that is cut asks its host's resolver goes on, as far as conntrack knows: packets of it are dropped, and
 * a resolver that comes to a question late must still learn from its entry who asked (rules.c). Those of one that is
 * opened end, for they lead to the resolver of the cut.
 *
 * A guest is known by its fixed addresses, by the subnets behind it, and where it has none by what its neighbours'
 * table says of its Ethernet address.
 */
#include "net/flows.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "net/reach.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { DNS = 53, DNS_TLS = 853, TUPLE_MOST = 160, TRIES = 5 };

/* Addresses of a guest whose flows are looked for. */
struct held {
	struct prefix prefix;
	bool alone, sealed;
	bool names; /* only what it asks the resolver: it is opened, and gets another one */
	const struct allowance *allowed;
	size_t allowed_count;
};

struct side {
	struct ip source, destination;
	uint8_t protocol, icmp_type, icmp_code;
	uint16_t source_port, destination_port; /* of ICMP: the identifier, in both */
};

struct flow {
	struct side original, reply;
	uint32_t status;
};

struct search {
	const struct net *net;
	struct held *held;
	size_t held_count;
	const struct prefix *above;
	size_t above_count;
	struct flow *found;
	size_t found_count, room;
};

/* ─── whose flows ─── */

static enum world world_of(const struct isolation_effect *effect)
{
	return effect->open_ms > 0 ? WORLD_OPEN : effect->world;
}

static bool is_tighter(const struct isolation_effect *before, const struct isolation_effect *after)
{
	enum world was = world_of(before), is = world_of(after);

	if (is != was)
		return is > was;
	return is == WORLD_CUT && (after->neighbours > before->neighbours ||
				   after->allowed_count < before->allowed_count || after->allowed != before->allowed);
}

/* Opened: what was begun before would go on to the resolver of the cut as long as its flow lives. */
static bool is_opened(const struct isolation_effect *before, const struct isolation_effect *after)
{
	return world_of(after) == WORLD_OPEN && world_of(before) != WORLD_OPEN;
}

static void hold(struct search *search, const struct prefix *prefix, const struct isolation_effect *effect)
{
	search->held = realloc(search->held, (search->held_count + 1) * sizeof(*search->held));
	if (!search->held)
		abort();
	search->held[search->held_count++] = (struct held){.prefix = prefix_network(prefix),
							   .alone = effect->neighbours == NEIGHBOURS_DROP,
							   .sealed = world_of(effect) == WORLD_SEALED,
							   .names = world_of(effect) == WORLD_OPEN,
							   .allowed = effect->allowed,
							   .allowed_count = effect->allowed_count};
}

static void hold_address(struct search *search, const struct nic *nic, const struct ip *ip,
			 const struct isolation_effect *effect)
{
	const struct prefix whole = {.ip = *ip, .length = ip->family ? ip_bits(ip) : 0};

	if (ip->family && reach_entry(search->net->lab->root, nic->network, ip->family))
		hold(search, &whole, effect);
}

struct neighbour_search {
	struct search *search;
	const struct nic *nic;
	const struct isolation_effect *effect;
};

static void take_neighbour(const struct nlmsghdr *message, void *data)
{
	struct neighbour_search *look = data;
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[NDA_MAX + 1];
	struct prefix whole;

	netlink_attributes(message, sizeof(*header), a, NDA_MAX);
	if (!a[NDA_DST] || !a[NDA_LLADDR] || mnl_attr_get_payload_len(a[NDA_LLADDR]) != 6 ||
	    memcmp(mnl_attr_get_payload(a[NDA_LLADDR]), look->nic->mac, 6) != 0)
		return;
	whole.ip = netlink_get_ip(a[NDA_DST], header->ndm_family);
	if (!whole.ip.family)
		return;
	whole.length = ip_bits(&whole.ip);
	hold(look->search, &whole, look->effect);
}

/* What a guest is called that was given its address by DHCP, or gave itself one. */
static void hold_neighbours(struct search *search, struct netlink *inside, const struct nic *nic,
			    const struct isolation_effect *effect)
{
	struct neighbour_search look = {search, nic, effect};
	const uint8_t families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < 2; i++) {
		struct nlmsghdr *request = netlink_begin(inside, RTM_GETNEIGH, NLM_F_DUMP);
		struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

		header->ndm_family = families[i];
		netlink_ask(inside, request, take_neighbour, &look);
	}
}

static void hold_guest(struct search *search, struct netlink *inside, const struct guest *guest,
		       const struct isolation_effect *effect)
{
	const struct lab *lab = search->net->lab;

	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];

		hold_address(search, nic, &nic->address4, effect);
		hold_address(search, nic, &nic->address6, effect);
		if (guest->parent == lab->root && (!nic->address4.family || !nic->address6.family))
			hold_neighbours(search, inside, nic, effect);
	}
	for (size_t i = 0; i < lab->network_count; i++) {
		const struct network *network = lab->networks[i];

		if (network->owner->guest != guest)
			continue;
		if (network->subnet4.ip.family && reach_entry(lab->root, network, AF_INET))
			hold(search, &network->subnet4, effect);
		if (network->subnet6.ip.family && reach_entry(lab->root, network, AF_INET6))
			hold(search, &network->subnet6, effect);
	}
}

static const struct held *find_held(const struct search *search, const struct ip *ip)
{
	for (size_t i = 0; i < search->held_count; i++)
		if (prefix_contains(&search->held[i].prefix, ip))
			return &search->held[i];
	return NULL;
}

/* ─── which flows ─── */

static bool is_gateway(const struct search *search, const struct ip *ip)
{
	const struct host *root = search->net->lab->root;

	for (size_t i = 0; i < root->network_count; i++)
		if (ip_equal(&root->networks[i]->gateway4, ip) || ip_equal(&root->networks[i]->gateway6, ip))
			return true;
	return false;
}

static bool is_inside(const struct search *search, const struct ip *ip)
{
	const struct lab *lab = search->net->lab;

	for (size_t i = 0; i < lab->network_count; i++) {
		const struct prefix *subnet = reach_subnet(lab->networks[i], ip->family);

		if (subnet->ip.family && reach_entry(lab->root, lab->networks[i], ip->family) &&
		    prefix_contains(subnet, ip))
			return true;
	}
	return false;
}

static bool is_above(const struct search *search, const struct ip *ip)
{
	for (size_t i = 0; i < search->above_count; i++)
		if (prefix_contains(&search->above[i], ip))
			return true;
	return false;
}

static bool is_allowed(const struct held *held, const struct side *side)
{
	for (size_t i = 0; i < held->allowed_count; i++) {
		const struct allowance *one = &held->allowed[i];

		if (prefix_contains(&one->to, &side->destination) &&
		    (!one->protocol || one->protocol == side->protocol) &&
		    (!one->port || one->port == side->destination_port))
			return true;
	}
	return false;
}

static bool is_dns(const struct side *side)
{
	return (side->protocol == IPPROTO_UDP || side->protocol == IPPROTO_TCP) &&
	       (side->destination_port == DNS || side->destination_port == DNS_TLS);
}

/* Begun by a guest that is held. */
static bool ends_outward(const struct search *search, const struct held *held, const struct side *side)
{
	if (is_dns(side) && is_gateway(search, &side->destination))
		return held->names;
	if (held->names)
		return false;
	if (held->sealed || is_dns(side))
		return true;
	if (is_gateway(search, &side->destination))
		return false;
	if (is_inside(search, &side->destination))
		return held->alone;
	return !is_allowed(held, side) && (held->alone || !is_above(search, &side->destination));
}

/* Begun by somebody else: who is above is an administrator; at L0 the world is not, but for published ports. */
static bool ends_inward(const struct search *search, const struct held *held, const struct flow *flow)
{
	if (held->sealed || held->names)
		return held->sealed;
	if (is_gateway(search, &flow->original.source))
		return false;
	if (is_inside(search, &flow->original.source))
		return held->alone;
	return search->net->lab->root->layer == 0 && !(flow->status & IPS_DST_NAT);
}

static bool ends(const struct search *search, const struct flow *flow)
{
	const struct held *held = find_held(search, &flow->original.source);

	if (held)
		return ends_outward(search, held, &flow->original);
	held = find_held(search, &flow->reply.source); /* as it is behind a translation */
	return held && ends_inward(search, held, flow);
}

static uint16_t port_of(const struct nlattr *attribute)
{
	return attribute ? ntohs(mnl_attr_get_u16(attribute)) : 0;
}

static uint8_t byte_of(const struct nlattr *attribute)
{
	return attribute ? mnl_attr_get_u8(attribute) : 0;
}

static bool take_side(const struct nlattr *tuple, struct side *ret)
{
	const struct nlattr *a[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1], *proto[CTA_PROTO_MAX + 1];
	bool six;

	netlink_nested(tuple, a, CTA_TUPLE_MAX);
	netlink_nested(a[CTA_TUPLE_IP], ip, CTA_IP_MAX);
	netlink_nested(a[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX);
	six = ip[CTA_IP_V6_SRC] != NULL;
	ret->source = netlink_get_ip(ip[six ? CTA_IP_V6_SRC : CTA_IP_V4_SRC], six ? AF_INET6 : AF_INET);
	ret->destination = netlink_get_ip(ip[six ? CTA_IP_V6_DST : CTA_IP_V4_DST], six ? AF_INET6 : AF_INET);
	ret->protocol = byte_of(proto[CTA_PROTO_NUM]);
	ret->source_port = port_of(proto[CTA_PROTO_SRC_PORT]);
	ret->destination_port = port_of(proto[CTA_PROTO_DST_PORT]);
	if (ret->protocol == IPPROTO_ICMP || ret->protocol == IPPROTO_ICMPV6) {
		bool v6 = ret->protocol == IPPROTO_ICMPV6;

		ret->icmp_type = byte_of(proto[v6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE]);
		ret->icmp_code = byte_of(proto[v6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE]);
		ret->source_port = ret->destination_port = port_of(proto[v6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID]);
	}
	return ret->source.family && ret->destination.family;
}

static void take_flow(const struct nlmsghdr *message, void *data)
{
	struct search *search = data;
	const struct nlattr *a[CTA_MAX + 1];
	struct flow flow = {0};

	netlink_attributes(message, sizeof(struct nfgenmsg), a, CTA_MAX);
	if (!a[CTA_TUPLE_ORIG] || !a[CTA_TUPLE_REPLY] || !take_side(a[CTA_TUPLE_ORIG], &flow.original) ||
	    !take_side(a[CTA_TUPLE_REPLY], &flow.reply))
		return;
	flow.status = a[CTA_STATUS] ? ntohl(mnl_attr_get_u32(a[CTA_STATUS])) : 0;
	if (!ends(search, &flow))
		return;
	if (search->found_count == search->room) {
		search->room = search->room ? 2 * search->room : 64;
		search->found = realloc(search->found, search->room * sizeof(*search->found));
		if (!search->found)
			abort();
	}
	search->found[search->found_count++] = flow;
}

/* ─── deleting ─── */

static struct nlmsghdr *begin(struct netlink *nl, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *request = netlink_begin(nl, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), flags);
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	return request;
}

static void put_port(struct nlmsghdr *request, uint16_t type, uint16_t port)
{
	mnl_attr_put_u16(request, type, htons(port));
}

static void put_side(struct nlmsghdr *request, const struct side *side)
{
	bool six = side->source.family == AF_INET6, v6 = side->protocol == IPPROTO_ICMPV6;
	struct nlattr *tuple = mnl_attr_nest_start(request, CTA_TUPLE_ORIG), *nest;

	nest = mnl_attr_nest_start(request, CTA_TUPLE_IP);
	netlink_put_ip(request, six ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, &side->source);
	netlink_put_ip(request, six ? CTA_IP_V6_DST : CTA_IP_V4_DST, &side->destination);
	mnl_attr_nest_end(request, nest);
	nest = mnl_attr_nest_start(request, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(request, CTA_PROTO_NUM, side->protocol);
	if (side->protocol == IPPROTO_ICMP || v6) {
		mnl_attr_put_u8(request, v6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE, side->icmp_type);
		mnl_attr_put_u8(request, v6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE, side->icmp_code);
		put_port(request, v6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID, side->source_port);
	} else {
		put_port(request, CTA_PROTO_SRC_PORT, side->source_port);
		put_port(request, CTA_PROTO_DST_PORT, side->destination_port);
	}
	mnl_attr_nest_end(request, nest);
	mnl_attr_nest_end(request, tuple);
}

/* One that has ended by itself meanwhile is fine. */
static int delete_flow(struct netlink *nl, const struct side *side, struct error **err)
{
	struct nlmsghdr *request = begin(nl, IPCTNL_MSG_CT_DELETE, 0, side->source.family);
	int r;

	put_side(request, side);
	r = netlink_ask(nl, request, NULL, NULL);
	return r == 0 || r == -ENOENT ? 0 : netlink_fail(nl, r, err, "cannot end a flow");
}

/* As the flow looks to whom it is passed on to. */
static struct side as_it_leaves(const struct flow *flow)
{
	return (struct side){.source = flow->reply.destination,
			     .destination = flow->reply.source,
			     .protocol = flow->reply.protocol,
			     .icmp_type = flow->original.icmp_type,
			     .icmp_code = flow->original.icmp_code,
			     .source_port = flow->reply.destination_port,
			     .destination_port = flow->reply.source_port};
}

static int delete_found(const struct search *search, struct netlink *inside, struct netlink *root, struct error **err)
{
	int r = 0;

	for (size_t i = 0; i < search->found_count && r == 0; i++) {
		const struct flow *flow = &search->found[i];
		struct side outside = as_it_leaves(flow);

		r = delete_flow(inside, &flow->original, err);
		if (r == 0 && !is_inside(search, &outside.destination))
			r = delete_flow(root, &outside, err);
	}
	return r;
}

static void take_count(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *a[CTA_STATS_GLOBAL_MAX + 1];
	bool *none = data;

	netlink_attributes(message, sizeof(struct nfgenmsg), a, CTA_STATS_GLOBAL_MAX);
	*none = a[CTA_STATS_GLOBAL_ENTRIES] && mnl_attr_get_u32(a[CTA_STATS_GLOBAL_ENTRIES]) == 0;
}

/* The namespace's own count, which is known without a walk through the table of all. */
static bool is_empty(struct netlink *nl)
{
	bool none = false;

	return netlink_ask(nl, begin(nl, IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC), take_count, &none) == 0 && none;
}

/* Both families at once: the kernel walks through one table for all of them, and all namespaces, however few are asked
 * for. */
static int read_flows(struct search *search, struct netlink *nl, struct error **err)
{
	int r = is_empty(nl) ? 0 : -EINTR;

	for (int tries = 0; r == -EINTR && tries < TRIES; tries++)
		r = netlink_ask(nl, begin(nl, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC), take_flow, search);
	/* -EINVAL: no connection tracking in this kernel, so no flows */
	return r == 0 || r == -EINTR || r == -EINVAL ? 0 : netlink_fail(nl, r, err, "cannot read the flows");
}

static int end_found(struct search *search, struct error **err)
{
	struct netlink inside = {.fd = -1}, root = {.fd = -1};
	int r = netlink_open(&inside, search->net->netns, NETLINK_NETFILTER, err);

	if (r == 0)
		r = netlink_open(&root, -1, NETLINK_NETFILTER, err);
	if (r == 0)
		r = read_flows(search, &inside, err);
	if (r == 0)
		r = delete_found(search, &inside, &root, err);
	netlink_close(&inside);
	netlink_close(&root);
	return r;
}

int flows_end(struct net *net, const struct isolation *before, const struct isolation *after,
	      const struct prefix *above, size_t above_count, size_t *ret_count, struct error **err)
{
	struct search search = {.net = net, .above = above, .above_count = above_count};
	struct netlink *inside;
	int r = net_inside(net, &inside, err);

	*ret_count = 0;
	for (size_t i = 0; i < net->lab->guest_count && r == 0; i++) {
		const struct guest *guest = net->lab->guests[i];
		struct isolation_effect was = isolation_effect(before, guest), is = isolation_effect(after, guest);

		if (is_tighter(&was, &is) || is_opened(&was, &is))
			hold_guest(&search, inside, guest, &is);
	}
	if (r == 0 && search.held_count)
		r = end_found(&search, err);
	*ret_count = search.found_count;
	free(search.held);
	free(search.found);
	return r;
}
