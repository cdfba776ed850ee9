#include "verify/stack_internal.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

wide wide_of_ip(const struct ip *ip)
{
	wide value = 0;

	for (unsigned i = 0; i < ip_bits(ip) / 8U; i++)
		value = value << 8 | ip->bytes[i];
	return value;
}

wide wide_of_mac(const uint8_t mac[6])
{
	wide value = 0;

	for (unsigned i = 0; i < 6; i++)
		value = value << 8 | mac[i];
	return value;
}

struct ip wide_to_ip(wide value, uint8_t family)
{
	struct ip ip = {.family = family};

	for (unsigned i = ip_bits(&ip) / 8U; i-- > 0; value >>= 8)
		ip.bytes[i] = (uint8_t)value;
	return ip;
}

static const char *const gap_commands[GAP_KIND_COUNT] = {
	[GAP_NFTABLES] = "nft list ruleset",
	[GAP_XTABLES4] = "iptables-save",
	[GAP_XTABLES6] = "ip6tables-save",
	[GAP_EBTABLES] = "ebtables-save",
};

const char *stack_gap_command(enum stack_gap_kind kind)
{
	return gap_commands[kind];
}

/* ---- sysctls ---- */

static struct stack_sysctl read_sysctl(const struct facts *facts, const char *name)
{
	const struct sysctl *entry = facts_sysctl_entry(facts, name);
	struct stack_sysctl sysctl = {.from = entry};
	char *end;

	if (!entry)
		return sysctl;
	sysctl.value = number_of(strtoull(entry->value, &end, 0));
	if (end == entry->value)
		sysctl = (struct stack_sysctl){};
	return sysctl;
}

/* net.ipv4.conf.eth0.rp_filter; a dot in the name is a slash (sysctl(8)). */
static struct stack_sysctl read_of_link(const struct stack_link *link, const char *family, const char *interface,
					const char *key)
{
	char name[256], *at;
	size_t skip;

	if (strlen(family) + strlen(interface) + strlen(key) + 16 > sizeof(name))
		return (struct stack_sysctl){};
	at = stpcpy(stpcpy(stpcpy(name, "net."), family), ".conf.");
	skip = (size_t)(at - name);
	at = stpcpy(at, interface);
	for (char *c = name + skip; c < at; c++)
		if (*c == '.')
			*c = '/';
	stpcpy(stpcpy(at, "."), key);
	return read_sysctl(link->host->facts, name);
}

/*
 * An interface begins with what stands under `default`, and whoever sets `all` of forwarding sets it for every
 * interface (Documentation/networking/ip-sysctl.rst). So where only the one for all was captured, that is what it is
 * unless somebody changed one interface alone.
 */
static struct stack_sysctl forwarding(const struct stack_link *link, const char *family)
{
	struct stack_sysctl own = read_of_link(link, family, link->name, "forwarding");

	if (!own.value.known) {
		own = read_of_link(link, family, "all", "forwarding");
		if (!own.value.known && strcmp(family, "ipv4") == 0)
			own = read_sysctl(link->host->facts, "net.ipv4.ip_forward");
		own.inferred = true;
	}
	return own;
}

/* The larger of the two counts. If the one that is known is as large as can be, the other does not matter. */
static struct stack_sysctl larger(const struct stack_link *link, const char *key, uint64_t most)
{
	struct stack_sysctl own = read_of_link(link, "ipv4", link->name, key);
	struct stack_sysctl all = read_of_link(link, "ipv4", "all", key);

	if (own.value.known && all.value.known)
		return all.value.value > own.value.value ? all : own;
	if (own.value.known && own.value.value >= most)
		return own;
	if (all.value.known && all.value.value >= most)
		return all;
	return (struct stack_sysctl){};
}

static void read_link_sysctls(struct stack_link *link)
{
	link->forwarding4 = forwarding(link, "ipv4");
	link->forwarding6 = forwarding(link, "ipv6");
	link->rp_filter = larger(link, "rp_filter", 2);
	link->accept_local = larger(link, "accept_local", 1);
	link->route_localnet = larger(link, "route_localnet", 1);
	link->src_valid_mark = larger(link, "src_valid_mark", 1);
	link->proxy_arp = larger(link, "proxy_arp", 1);
	link->arp_ignore = larger(link, "arp_ignore", 8);
	link->arp_filter = larger(link, "arp_filter", 1);
	link->disable_ipv6 = read_of_link(link, "ipv6", link->name, "disable_ipv6");
}

static struct stack_sysctl bridge_sysctl(const struct stack_host *host, const char *name)
{
	const struct facts *facts = host->facts;
	struct stack_sysctl sysctl = read_sysctl(facts, name);

	/* The module br_netfilter brings them: a kernel without these has it not. */
	if (facts_sysctl_absent(facts, name))
		sysctl.value = number_of(0);
	return sysctl;
}

static void read_host_sysctls(struct stack_host *host)
{
	const struct facts *facts = host->facts;

	host->bridge_nf_iptables = bridge_sysctl(host, "net.bridge.bridge-nf-call-iptables");
	host->bridge_nf_ip6tables = bridge_sysctl(host, "net.bridge.bridge-nf-call-ip6tables");
	host->bridge_nf_arptables = bridge_sysctl(host, "net.bridge.bridge-nf-call-arptables");
	host->tcp_loose = read_sysctl(facts, "net.netfilter.nf_conntrack_tcp_loose");
	host->forwarding6 = read_sysctl(facts, "net.ipv6.conf.all.forwarding");
}

/* ---- interfaces ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct stack_link *const *)a)->name, (*(struct stack_link *const *)b)->name);
}

static int compare_name(const void *key, const void *entry)
{
	return strcmp(key, (*(struct stack_link *const *)entry)->name);
}

struct stack_link *stack_link(const struct stack_host *host, const char *name)
{
	struct stack_link **found;

	if (!name || host->link_count == 0)
		return NULL;
	found = bsearch(name, host->links_by_name, host->link_count, sizeof(struct stack_link *), compare_name);
	return found ? *found : NULL;
}

struct stack_link *stack_link_with_address(const struct stack_host *host, const struct ip *address)
{
	for (size_t i = 0; i < host->link_count; i++)
		for (size_t j = 0; j < host->links[i].link->address_count; j++)
			if (ip_equal(&host->links[i].link->addresses[j].prefix.ip, address))
				return &host->links[i];
	return NULL;
}

static void add_port(struct stack_link *bridge, struct stack_link *port)
{
	port->master = bridge;
	*arena_push(bridge->host->stack->arena, bridge->ports, bridge->port_count) = port;
	bridge->is_bridge = true;
}

static bool is_kind(const struct link *link, const char *kind)
{
	return link->kind && strcmp(link->kind, kind) == 0;
}

static void build_links(struct stack_host *host)
{
	const struct facts *facts = host->facts;
	struct arena *arena = host->stack->arena;

	host->link_count = facts->link_count;
	host->links = arena_alloc(arena, (host->link_count + 1) * sizeof(*host->links));
	host->links_by_name = arena_alloc(arena, (host->link_count + 1) * sizeof(*host->links_by_name));
	for (size_t i = 0; i < host->link_count; i++) {
		struct stack_link *link = &host->links[i];

		*link = (struct stack_link){.host = host,
					    .link = &facts->links[i],
					    .name = facts->links[i].name,
					    .number = i,
					    .loopback = is_kind(&facts->links[i], "loopback") ||
							strcmp(facts->links[i].name, "lo") == 0,
					    .is_bridge = is_kind(&facts->links[i], "bridge")};
		host->links_by_name[i] = link;
		read_link_sysctls(link);
	}
	qsort(host->links_by_name, host->link_count, sizeof(struct stack_link *), by_name);
	for (size_t i = 0; i < host->link_count; i++) {
		struct stack_link *link = &host->links[i], *master = stack_link(host, link->link->master);

		link->parent = stack_link(host, link->link->parent);
		if (master && master != link && (!master->link->kind || is_kind(master->link, "bridge")))
			add_port(master, link);
	}
}

/* ---- cabling ---- */

static bool is_cable(enum relation_kind kind)
{
	return kind == RELATION_CABLE || kind == RELATION_TAP || kind == RELATION_LEARNED;
}

static struct stack_link *end_link(const struct stack *stack, const struct relation_end *end)
{
	struct stack_host *host = end->host ? stack_host(stack, end->host) : NULL;

	return host && end->interface ? stack_link(host, end->interface) : NULL;
}

static void add_end(struct stack *stack, struct stack_end **ends, size_t *count, struct stack_link *link,
		    const struct relation *relation)
{
	for (size_t i = 0; i < *count; i++)
		if ((*ends)[i].link == link)
			return;
	*arena_push(stack->arena, *ends, *count) = (struct stack_end){link, relation};
}

static void join(struct stack *stack, const struct relation *relation, struct stack_link *from, struct stack_link *to)
{
	if (is_cable(relation->kind))
		add_end(stack, &from->cables, &from->cable_count, to, relation);
	else if (to)
		add_end(stack, &from->neighbours, &from->neighbour_count, to, relation);
}

/* What links.json and taps say counts before what was learned, so the order of the relations stays. */
void stack_build_cables(struct stack *stack)
{
	const struct bundle *bundle = stack->bundle;

	for (size_t i = 0; i < bundle->relation_count; i++) {
		const struct relation *relation = &bundle->relations[i];

		for (size_t a = 0; a < relation->end_count; a++) {
			struct stack_link *from = end_link(stack, &relation->ends[a]);

			for (size_t b = 0; from && b < relation->end_count; b++)
				if (a != b)
					join(stack, relation, from, end_link(stack, &relation->ends[b]));
		}
	}
}

/* ---- the whole ---- */

static int compare_host(const void *key, const void *entry)
{
	return strcmp(key, ((const struct stack_host *)entry)->name);
}

struct stack_host *stack_host(const struct stack *stack, const char *name)
{
	if (!name || stack->host_count == 0)
		return NULL;
	return bsearch(name, stack->hosts, stack->host_count, sizeof(*stack->hosts), compare_host);
}

static int by_host_name(const void *a, const void *b)
{
	return strcmp(((const struct stack_host *)a)->name, ((const struct stack_host *)b)->name);
}

struct stack *stack_new(const struct bundle *bundle)
{
	struct arena *arena = arena_new();
	struct stack *stack = arena_new_struct(arena, struct stack);

	*stack = (struct stack){.arena = arena, .bundle = bundle, .host_count = bundle->host_count};
	stack->hosts = arena_alloc(arena, (bundle->host_count + 1) * sizeof(*stack->hosts));
	for (size_t i = 0; i < bundle->host_count; i++)
		stack->hosts[i] =
			(struct stack_host){.stack = stack, .facts = bundle->hosts[i], .name = bundle->hosts[i]->name};
	if (stack->host_count)
		qsort(stack->hosts, stack->host_count, sizeof(*stack->hosts), by_host_name);
	for (size_t i = 0; i < stack->host_count; i++) {
		struct stack_host *host = &stack->hosts[i];

		host->number = i;
		build_links(host);
		read_host_sysctls(host);
		stack_build_routing(host);
		stack_build_rules(host);
	}
	stack_build_cables(stack);
	return stack;
}

void stack_free(struct stack *stack)
{
	if (stack)
		arena_free(stack->arena);
}
