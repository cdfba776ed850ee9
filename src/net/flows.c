/*
 * Connection tracking is read as a whole in the lab's namespace, where all entries are the lab's, and what is found is
 * ended one by one by its own tuple (tracking.c). In the root namespace, which may have a
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
#include "net/tracking.h"

#include <linux/neighbour.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { DNS = 53, DNS_TLS = 853, TRIES = 5 };

/* Addresses of a guest whose flows are looked for. */
struct held {
	struct prefix prefix;
	bool alone, sealed;
	bool names; /* only what it asks the resolver: it is opened, and gets another one */
	const struct allowance *allowed;
	size_t allowed_count;
};

struct unnamed;

struct search {
	const struct net *net;
	bool all; /* that are known of those who are held */
	struct held *held;
	size_t held_count;
	struct unnamed *unnamed;
	size_t unnamed_count;
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

/* A nic whose address its guest was given by DHCP, or gave itself. */
struct unnamed {
	const struct nic *nic;
	struct isolation_effect effect;
};

static void take_neighbour(const struct nlmsghdr *message, void *data)
{
	struct search *search = data;
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *a[NDA_MAX + 1];
	struct prefix whole;

	netlink_attributes(message, sizeof(*header), a, NDA_MAX);
	if (!a[NDA_DST] || !a[NDA_LLADDR] || mnl_attr_get_payload_len(a[NDA_LLADDR]) != 6)
		return;
	whole.ip = netlink_get_ip(a[NDA_DST], header->ndm_family);
	if (!whole.ip.family)
		return;
	whole.length = ip_bits(&whole.ip);
	for (size_t i = 0; i < search->unnamed_count; i++)
		if (memcmp(mnl_attr_get_payload(a[NDA_LLADDR]), search->unnamed[i].nic->mac, 6) == 0)
			hold(search, &whole, &search->unnamed[i].effect);
}

/* What those are called that have no fixed address. */
static void hold_neighbours(struct search *search, struct netlink *inside)
{
	const uint8_t families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < 2 && search->unnamed_count; i++) {
		struct nlmsghdr *request = netlink_begin(inside, RTM_GETNEIGH, NLM_F_DUMP);
		struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

		header->ndm_family = families[i];
		netlink_ask(inside, request, take_neighbour, search);
	}
}

static void look_for(struct search *search, const struct nic *nic, const struct isolation_effect *effect)
{
	search->unnamed = realloc(search->unnamed, (search->unnamed_count + 1) * sizeof(*search->unnamed));
	if (!search->unnamed)
		abort();
	search->unnamed[search->unnamed_count++] = (struct unnamed){nic, *effect};
}

static void hold_guest(struct search *search, const struct guest *guest, const struct isolation_effect *effect)
{
	const struct lab *lab = search->net->lab;

	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];

		hold_address(search, nic, &nic->address4, effect);
		hold_address(search, nic, &nic->address6, effect);
		if (guest->parent == lab->root && (!nic->address4.family || !nic->address6.family))
			look_for(search, nic, effect);
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

/* A published port: it was sent to another address than that which answers. */
static bool is_redirected(const struct flow *flow)
{
	return !ip_equal(&flow->original.destination, &flow->reply.source) ||
	       (flow->original.destination_port != flow->reply.source_port && !flow->original.icmp_type);
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
	return search->net->lab->root->layer == 0 && !is_redirected(flow);
}

static bool ends(const struct search *search, const struct flow *flow)
{
	const struct held *held = find_held(search, &flow->original.source);

	if (search->all)
		return held || find_held(search, &flow->reply.source);
	if (held)
		return ends_outward(search, held, &flow->original);
	held = find_held(search, &flow->reply.source); /* as it is behind a translation */
	return held && ends_inward(search, held, flow);
}

static void take_flow(const struct flow *flow, void *data)
{
	struct search *search = data;

	if (!ends(search, flow))
		return;
	if (search->found_count == search->room) {
		search->room = search->room ? 2 * search->room : 64;
		search->found = realloc(search->found, search->room * sizeof(*search->found));
		if (!search->found)
			abort();
	}
	search->found[search->found_count++] = *flow;
}

/* ─── ending ─── */

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

static int end_found(const struct search *search, struct netlink *inside, struct netlink *root, struct error **err)
{
	int r = 0;

	if (search->found_count && root->fd < 0)
		r = netlink_open(root, -1, NETLINK_NETFILTER, err);
	for (size_t i = 0; i < search->found_count && r == 0; i++) {
		const struct flow *flow = &search->found[i];
		struct side outside = as_it_leaves(flow);

		r = tracking_end(inside, &flow->original, err);
		if (r == 0 && !is_inside(search, &outside.destination))
			r = tracking_end(root, &outside, err);
	}
	return r;
}

/* Where one may have been skipped, and there is nothing to end any more that would make the rest fewer, or so many
 * flows that it comes to no end, all are read in the way that skips none. */
static int end_flows(struct search *search, struct netlink *filter, size_t *ret_count, struct error **err)
{
	struct netlink root = {.fd = -1};
	bool all = false, few = true;
	int netns = search->net->netns, r = 0;

	for (int tries = 0; r == 0 && !all; tries++) {
		search->found_count = 0;
		if (few) {
			r = tracking_read_few(filter, netns, take_flow, search, &all, err);
		} else {
			r = tracking_read(filter, netns, take_flow, search, err);
			all = true;
		}
		if (r == 0)
			r = end_found(search, filter, &root, err);
		*ret_count += search->found_count;
		few = search->found_count > 0 && tries < TRIES;
	}
	netlink_close(&root);
	return r;
}

/* What those have who are held by now. */
static int end_held(struct net *net, struct search *search, size_t *ret_count, struct error **err)
{
	struct netlink *inside, *filter;
	int r = net_inside(net, &inside, err);

	if (r == 0)
		r = net_filter(net, &filter, err);
	if (r == 0)
		hold_neighbours(search, inside);
	if (r == 0 && search->held_count)
		r = end_flows(search, filter, ret_count, err);
	free(search->held);
	free(search->unnamed);
	free(search->found);
	return r;
}

int flows_end(struct net *net, const struct isolation *before, const struct isolation *after,
	      const struct prefix *above, size_t above_count, size_t *ret_count, struct error **err)
{
	struct search search = {.net = net, .above = above, .above_count = above_count};

	*ret_count = 0;
	for (size_t i = 0; i < net->lab->guest_count; i++) {
		const struct guest *guest = net->lab->guests[i];
		struct isolation_effect was = isolation_effect(before, guest), is = isolation_effect(after, guest);

		if (is_tighter(&was, &is) || is_opened(&was, &is))
			hold_guest(&search, guest, &is);
	}
	return end_held(net, &search, ret_count, err);
}

int flows_end_all(struct net *net, const struct guest *guest, size_t *ret_count, struct error **err)
{
	const struct isolation_effect none = {0};
	struct search search = {.net = net, .all = true};

	*ret_count = 0;
	hold_guest(&search, guest, &none);
	return end_held(net, &search, ret_count, err);
}
