/*
 * Links become places that relations join. A union-find over them says which are on one Ethernet segment: ports with
 * their bridge, the two ends of a cable, of a tap, of what is mirrored. So a subnet is worth drawing only where it says
 * more than the cables do, and a gateway's address is looked for on its own segment first: 192.168.122.1 may well be
 * there once in each layer.
 */
#include "facts/relation.h"
#include "facts/topology_internal.h"

#include "base/arena.h"

#include <ctype.h>
#include <string.h>
#include <sys/socket.h>

struct builder {
	struct arena *arena;
	const struct bundle *bundle;
	struct topology *topology;
	size_t *segments;	      /* union-find: the index of a link's representative */
	struct topology_link **links; /* all, by index */
	size_t link_count;
};

struct topology_link *topology_find_link(const struct topology_host *host, const char *name)
{
	struct link *link = name ? facts_link(host->facts, name) : NULL;

	return link ? &host->links[link - host->facts->links] : NULL;
}

struct topology_way *topology_default_way(const struct topology_host *host, uint8_t family)
{
	for (size_t i = 0; i < host->way_count; i++)
		if (host->ways[i].is_default &&
		    (host->ways[i].route_count ? host->ways[i].routes[0]->family : host->ways[i].via.family) == family)
			return &host->ways[i];
	return NULL;
}

static bool has_word(const char *const *words, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

/* Links and what they are. */

static bool is_numbered(const char *name, const char *prefix)
{
	size_t length = strlen(prefix);

	if (strncmp(name, prefix, length) != 0 || !name[length])
		return false;
	for (name += length; *name; name++)
		if (!isdigit((unsigned char)*name))
			return false;
	return true;
}

/* libvirt and QEMU call a guest's tap vnet0 and tap0. */
static bool is_called_tap(const struct link *link)
{
	return is_numbered(link->name, "vnet") || is_numbered(link->name, "tap");
}

static enum link_role role_of(const struct facts *facts, const struct link *link)
{
	if (has_word(link->flags, link->flag_count, "LOOPBACK") || (link->kind && strcmp(link->kind, "loopback") == 0))
		return LINK_ROLE_LOOPBACK;
	if (link_is_bridge(facts, link))
		return LINK_ROLE_BRIDGE;
	if (link->kind && strcmp(link->kind, "tun") == 0)
		return !link->tun_type || strcmp(link->tun_type, "tap") == 0 ? LINK_ROLE_TAP : LINK_ROLE_NIC;
	return !link->kind && is_called_tap(link) ? LINK_ROLE_TAP : LINK_ROLE_NIC;
}

static size_t find_segment(const struct builder *builder, size_t at)
{
	while (builder->segments[at] != at) {
		builder->segments[at] = builder->segments[builder->segments[at]];
		at = builder->segments[at];
	}
	return at;
}

static void unite(const struct builder *builder, const struct topology_link *a, const struct topology_link *b)
{
	builder->segments[find_segment(builder, a->index)] = find_segment(builder, b->index);
}

static bool on_one_segment(const struct builder *builder, const struct topology_link *a, const struct topology_link *b)
{
	return find_segment(builder, a->index) == find_segment(builder, b->index);
}

static void add_links(struct builder *builder, struct topology_host *host)
{
	host->link_count = host->facts->link_count;
	host->links = arena_alloc(builder->arena, (host->link_count + 1) * sizeof(*host->links));
	for (size_t i = 0; i < host->link_count; i++) {
		host->links[i] = (struct topology_link){.host = host,
							.link = &host->facts->links[i],
							.role = role_of(host->facts, &host->facts->links[i]),
							.index = builder->link_count};
		*arena_push(builder->arena, builder->links, builder->link_count) = &host->links[i];
	}
}

/* Depths that no machine has, and that whoever draws need not fear: of ports of ports, and of guests of guests. */
enum { PORTS_DEPTH_MAX = 8, LAYERS_MAX = 64 };

/* A loop of masters counts as too deep as well. */
static bool is_too_deep(const struct topology_link *link)
{
	size_t depth = 0;

	for (; link && depth <= PORTS_DEPTH_MAX; link = topology_find_link(link->host, link->link->master))
		depth++;
	return depth > PORTS_DEPTH_MAX;
}

static void add_ports(struct builder *builder, struct topology_host *host)
{
	for (size_t i = 0; i < host->link_count; i++) {
		struct topology_link *port = &host->links[i], *master = topology_find_link(host, port->link->master);

		if (!master || is_too_deep(port))
			continue;
		port->master = master;
		*arena_push(builder->arena, master->ports, master->port_count) = port;
		unite(builder, port, master);
	}
}

/* Joins, and who is whose guest. */

static struct topology_host *find_host(const struct builder *builder, const char *name)
{
	for (size_t i = 0; name && i < builder->topology->host_count; i++)
		if (strcmp(builder->topology->hosts[i].facts->name, name) == 0)
			return &builder->topology->hosts[i];
	return NULL;
}

static struct topology_link *find_end(const struct builder *builder, const struct relation_end *end)
{
	struct topology_host *host = find_host(builder, end->host);

	return host ? topology_find_link(host, end->interface) : NULL;
}

static struct topology_join *add_join(struct builder *builder, const struct relation *relation)
{
	struct topology *topology = builder->topology;
	struct topology_join *join = arena_push(builder->arena, topology->joins, topology->join_count);

	*join = (struct topology_join){.relation = relation};
	return join;
}

static void add_join_end(struct builder *builder, struct topology_join *join, struct topology_link *end)
{
	*arena_push(builder->arena, join->ends, join->end_count) = end;
	if (end)
		end->joined = true;
}

/* What has two ends. A neighbour only says something where no cable leads there, through bridges or directly. */
static void add_cables(struct builder *builder, bool neighbours)
{
	for (size_t i = 0; i < builder->bundle->relation_count; i++) {
		const struct relation *relation = &builder->bundle->relations[i];
		struct topology_link *ends[2];
		struct topology_join *join;

		if (relation->kind == RELATION_SUBNET || relation->end_count != 2 ||
		    (relation->kind == RELATION_NEIGHBOUR) != neighbours)
			continue;
		ends[0] = find_end(builder, &relation->ends[0]);
		ends[1] = find_end(builder, &relation->ends[1]);
		if ((!ends[0] && !ends[1]) ||
		    (neighbours && (!ends[0] || !ends[1] || on_one_segment(builder, ends[0], ends[1]))))
			continue;
		join = add_join(builder, relation);
		add_join_end(builder, join, ends[0]);
		add_join_end(builder, join, ends[1]);
		if (ends[0] && ends[1])
			unite(builder, ends[0], ends[1]);
		if (relation->kind == RELATION_MIRRORED && ends[0] && ends[1])
			ends[1]->mirror_of = ends[0];
	}
}

/* Subnets, with one end for each segment, where the cables do not say it all. */
static void add_subnets(struct builder *builder)
{
	for (size_t i = 0; i < builder->bundle->relation_count; i++) {
		const struct relation *relation = &builder->bundle->relations[i];
		struct topology_link **ends = NULL;
		size_t count = 0;

		for (size_t j = 0; j < relation->end_count && relation->kind == RELATION_SUBNET; j++) {
			struct topology_link *end = find_end(builder, &relation->ends[j]);
			bool fresh = end != NULL;

			for (size_t k = 0; k < count && fresh; k++)
				fresh = !on_one_segment(builder, ends[k], end);
			if (fresh)
				*arena_push(builder->arena, ends, count) = end;
		}
		if (count < 2)
			continue;
		struct topology_join *join = add_join(builder, relation);

		for (size_t j = 0; j < count; j++) {
			add_join_end(builder, join, ends[j]);
			unite(builder, ends[0], ends[j]);
		}
	}
}

static bool is_windows(const struct topology_host *host)
{
	return host->facts->system == SYSTEM_WINDOWS;
}

static bool is_called_wsl(const struct topology_link *link)
{
	return strstr(link->link->name, "WSL") != NULL;
}

static struct topology_host *machine_of(struct topology_host *host)
{
	return host->machine ? host->machine : host;
}

/* Whose guest is the host of the second end, as far as this join says? */
static bool is_nesting(const struct topology_join *join, const struct topology_link *upper,
		       const struct topology_link *lower)
{
	if (machine_of(upper->host) == machine_of(lower->host))
		return false;
	switch (join->relation->kind) {
	case RELATION_TAP:
		return upper == join->ends[0];
	case RELATION_MIRRORED:
		return is_windows(upper->host) && !is_windows(lower->host);
	case RELATION_LEARNED:
		return upper == join->ends[0] && upper->role == LINK_ROLE_TAP;
	case RELATION_CABLE: /* whoever wrote links.json calls a guest's cable as libvirt and QEMU do */
		return (upper->role == LINK_ROLE_TAP || is_called_tap(upper->link)) && lower->role != LINK_ROLE_TAP &&
		       !is_called_tap(lower->link);
	case RELATION_SUBNET:
		return is_windows(upper->host) && !is_windows(lower->host) && is_called_wsl(upper);
	case RELATION_NONE:
	case RELATION_NEIGHBOUR:
		break;
	}
	return false;
}

/* May a host become a guest of another? Not of itself, nor of a guest of its own. */
static bool may_nest(const struct topology_host *guest, const struct topology_host *host)
{
	size_t layers = 0;

	for (; host && layers <= LAYERS_MAX; host = host->parent, layers++)
		if (host == guest)
			return false;
	return layers <= LAYERS_MAX;
}

static void nest(const struct topology_join *join)
{
	for (size_t i = 0; i < join->end_count; i++)
		for (size_t j = 0; j < join->end_count; j++) {
			const struct topology_link *upper = join->ends[i], *lower = join->ends[j];
			struct topology_host *host, *guest;

			if (!upper || !lower || !is_nesting(join, upper, lower))
				continue;
			host = machine_of(upper->host);
			guest = machine_of(lower->host);
			if (guest->parent || !may_nest(guest, host))
				continue;
			guest->parent = host;
			guest->wsl = guest->wsl || is_windows(host);
		}
}

/* In bundles made of a lab, L0 is the machine that the lab was started on: layers are counted from there. */
static bool is_called_l0(const struct topology_host *host)
{
	for (size_t i = 0; i < host->namespace_count; i++)
		if (strcmp(host->namespaces[i]->facts->name, "L0") == 0)
			return true;
	return strcmp(host->facts->name, "L0") == 0;
}

/* Does a host say of itself that it is a guest? */
static enum truth says_guest(const struct topology_host *host)
{
	const struct processor *processor = &host->facts->processor;

	if (is_called_l0(host))
		return TRUTH_NO;
	if (host->wsl)
		return TRUTH_YES;
	if (is_windows(host)) /* that runs WSL2 is the machine itself; another may be anybody's guest */
		return host->guest_count > 0 ? TRUTH_NO : TRUTH_UNKNOWN;
	if (has_word(processor->flags, processor->flag_count, "hypervisor"))
		return TRUTH_YES;
	return processor->flags_known == TRUTH_YES ? TRUTH_NO : TRUTH_UNKNOWN;
}

static void set_layer(struct topology_host *host, unsigned layer, bool known)
{
	host->layer = layer;
	host->layer_known = known;
	host->is_guest = layer > 0;
	for (size_t i = 0; i < host->namespace_count; i++) {
		host->namespaces[i]->layer = layer;
		host->namespaces[i]->layer_known = known;
	}
	for (size_t i = 0; i < host->guest_count; i++)
		set_layer(host->guests[i], layer + 1, known);
}

static void set_layers(struct topology_host *root)
{
	enum truth guest = says_guest(root);

	/* WSL2 runs on Windows, and Windows on the machine; of other guests nobody knows how deep they are. */
	set_layer(root, guest == TRUTH_YES, guest == TRUTH_NO || root->wsl);
}

static void find_machines(struct builder *builder)
{
	for (size_t i = 0; i < builder->topology->host_count; i++) {
		struct topology_host *host = &builder->topology->hosts[i];
		const struct facts *machine = bundle_machine(builder->bundle, host->facts);

		if (machine)
			host->machine = find_host(builder, machine->name);
	}
	for (size_t i = 0; i < builder->topology->host_count; i++) {
		struct topology_host *host = &builder->topology->hosts[i];

		if (host->machine && host->machine->machine)
			host->machine = NULL; /* "a-lab-b-lab-c": a name that only looks so */
		if (host->machine)
			*arena_push(builder->arena, host->machine->namespaces, host->machine->namespace_count) = host;
	}
}

static void stack_hosts(struct builder *builder)
{
	struct topology *topology = builder->topology;

	for (size_t i = 0; i < topology->join_count; i++)
		nest(&topology->joins[i]);
	for (size_t i = 0; i < topology->host_count; i++) {
		struct topology_host *host = &topology->hosts[i];

		if (host->parent)
			*arena_push(builder->arena, host->parent->guests, host->parent->guest_count) = host;
		else if (!host->machine)
			*arena_push(builder->arena, topology->roots, topology->root_count) = host;
	}
	for (size_t i = 0; i < topology->root_count; i++)
		set_layers(topology->roots[i]);
}

/* Ways out. */

static bool is_default(const struct route *route)
{
	return route->to.length == 0;
}

static struct topology_way *find_way(struct builder *builder, struct topology_host *host, const struct ip *via,
				     const char *dev, bool is_default_way)
{
	for (size_t i = 0; i < host->way_count; i++) {
		struct topology_way *way = &host->ways[i];

		if (way->is_default == is_default_way && ip_equal(&way->via, via) &&
		    (way->dev == dev || (way->dev && dev && strcmp(way->dev, dev) == 0)))
			return way;
	}
	struct topology_way *way = arena_push(builder->arena, host->ways, host->way_count);

	*way = (struct topology_way){
		.via = *via, .dev = dev, .link = topology_find_link(host, dev), .is_default = is_default_way};
	return way;
}

static void add_route(struct builder *builder, struct topology_host *host, const struct route *route)
{
	for (size_t i = 0; i < route->nexthop_count; i++) {
		const struct nexthop *hop = &route->nexthops[i];
		struct topology_way *way;

		if (!hop->via.family && !is_default(route))
			continue;
		way = find_way(builder, host, &hop->via, hop->dev, is_default(route));
		*arena_push(builder->arena, way->routes, way->route_count) = route;
	}
}

static void add_ways(struct builder *builder, struct topology_host *host)
{
	for (int round = 0; round < 2; round++) /* default ones first */
		for (size_t i = 0; i < host->facts->route_count; i++) {
			const struct route *route = &host->facts->routes[i];

			if (route->table && strcmp(route->table, "main") == 0 && route->type == ROUTE_TYPE_UNICAST &&
			    is_default(route) == (round == 0))
				add_route(builder, host, route);
		}
	for (size_t i = 0; i < host->link_count; i++) {
		const struct link *link = host->links[i].link;

		for (size_t j = 0; j < link->gateway_count; j++)
			find_way(builder, host, &link->gateways[j], link->name, true);
	}
}

static bool has_address(const struct topology_link *link, const struct ip *ip)
{
	for (size_t i = 0; i < link->link->address_count; i++)
		if (ip_equal(&link->link->addresses[i].prefix.ip, ip))
			return true;
	return false;
}

/* The interface with a gateway's address: on the same segment, or else the only one. */
static struct topology_link *find_gateway(const struct builder *builder, const struct topology_host *host,
					  const struct topology_way *way)
{
	struct topology_link *found = NULL;
	size_t count = 0;

	for (size_t i = 0; i < builder->link_count; i++) {
		struct topology_link *link = builder->links[i];

		if (link->host == host || !has_address(link, &way->via))
			continue;
		if (way->link && on_one_segment(builder, way->link, link))
			return link;
		found = link;
		count++;
	}
	return count == 1 && !way->link ? found : NULL;
}

static void find_gateways(const struct builder *builder, struct topology_host *host)
{
	for (size_t i = 0; i < host->way_count; i++)
		if (host->ways[i].via.family)
			host->ways[i].gateway = find_gateway(builder, host, &host->ways[i]);
}

static enum truth forwards(const struct facts *facts, const char *sysctl)
{
	const char *value = facts_sysctl(facts, sysctl);

	return value ? truth_of(strcmp(value, "0") != 0) : TRUTH_UNKNOWN;
}

static void add_host(struct builder *builder, struct topology_host *host, const struct facts *facts)
{
	host->facts = facts;
	host->wsl = facts->kernel.release && (strcasestr(facts->kernel.release, "microsoft-standard") ||
					      strcasestr(facts->kernel.release, "WSL2"));
	host->forwards4 = forwards(facts, "net.ipv4.ip_forward");
	host->forwards6 = forwards(facts, "net.ipv6.conf.all.forwarding");
	add_links(builder, host);
}

struct topology *topology_new(struct arena *arena, const struct bundle *bundle)
{
	struct topology *topology = arena_new_struct(arena, struct topology);
	struct builder builder = {.arena = arena, .bundle = bundle, .topology = topology};

	topology->host_count = bundle->host_count;
	topology->hosts = arena_alloc(arena, (bundle->host_count + 1) * sizeof(*topology->hosts));
	for (size_t i = 0; i < bundle->host_count; i++)
		add_host(&builder, &topology->hosts[i], bundle->hosts[i]);
	builder.segments = arena_alloc(arena, (builder.link_count + 1) * sizeof(*builder.segments));
	for (size_t i = 0; i < builder.link_count; i++)
		builder.segments[i] = i;
	for (size_t i = 0; i < topology->host_count; i++)
		add_ports(&builder, &topology->hosts[i]);
	add_cables(&builder, false);
	add_cables(&builder, true);
	add_subnets(&builder);
	find_machines(&builder);
	stack_hosts(&builder);
	for (size_t i = 0; i < topology->host_count; i++) {
		add_ways(&builder, &topology->hosts[i]);
		find_gateways(&builder, &topology->hosts[i]);
		topology_find_nats(arena, &topology->hosts[i]);
	}
	for (size_t i = 0; i < builder.link_count; i++)
		builder.links[i]->segment = find_segment(&builder, i);
	return topology;
}
