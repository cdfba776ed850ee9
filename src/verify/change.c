/*
 * A rule is written as text in the words of its table and read back by the parser that reads captures: what is tried is
 * what would be typed.
 */
#include "verify/change.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"

#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[CHANGE_KIND_COUNT] = {"route", "rule", "nat", "sysctl", "link", "policy"};

const char *change_kind_word(enum change_kind kind)
{
	return kinds[kind];
}

/* What stands in a command is read by a shell: nothing that is more than a word to it. */
static bool is_plain(const char *text, const char *more)
{
	if (!*text || *text == '-')
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("._:@+/-", *text) && !strchr(more, *text))
			return false;
	return true;
}

static bool is_plain_name(const char *name)
{
	return is_plain(name, "");
}

static bool is_plain_text(const char *text)
{
	return is_plain(text, " ");
}

static struct change *change_new(const struct change_site *site, enum change_kind kind)
{
	struct change *change = arena_new_struct(site->arena, struct change);

	change->kind = kind;
	change->host = site->host->name;
	return change;
}

/* ---- routes, sysctls, links ---- */

/* A route to the same in the same table; of several the one that is asked first. */
static const struct route *same_route(const struct facts *facts, const struct prefix *to, const char *table)
{
	const struct route *found = NULL;

	for (size_t i = 0; i < facts->route_count; i++) {
		const struct route *route = &facts->routes[i];

		if (route->family == to->ip.family && strcmp(route->table, table) == 0 &&
		    route->to.length == to->length && ip_equal(&route->to.ip, &to->ip) &&
		    (!found || route->metric.value < found->metric.value))
			found = route;
	}
	return found;
}

static struct route *route_new(struct arena *arena, const struct prefix *to, const struct ip *via, const char *dev,
			       const char *table)
{
	struct route *route = arena_new_struct(arena, struct route);

	*route = (struct route){.family = to->ip.family,
				.type = ROUTE_TYPE_UNICAST,
				.to = *to,
				.table = table,
				.protocol = "static",
				.origin = {.source = "proposed"}};
	route->nexthops = arena_new_struct(arena, struct nexthop);
	route->nexthops[0] = (struct nexthop){.via = via ? *via : (struct ip){}, .dev = dev};
	route->nexthop_count = 1;
	return route;
}

static const char *route_text(struct arena *arena, const struct route *route)
{
	const struct nexthop *hop = &route->nexthops[0];
	char to[PREFIX_TEXT_SIZE], via[IP_TEXT_SIZE];
	bool other_table = strcmp(route->table, "main") != 0;

	return arena_printf(arena, "%s%s%s dev %s%s%s", route->to.length ? prefix_format(&route->to, to) : "default",
			    hop->via.family ? " via " : "", hop->via.family ? ip_format(&hop->via, via) : "", hop->dev,
			    other_table ? " table " : "", other_table ? route->table : "");
}

/* As `ip route show table all` printed it, but for what ip(8) prints and does not take. */
static const char *route_again(struct arena *arena, const struct route *route)
{
	const char *family = route->family == AF_INET6 ? "-6 " : "";
	bool other_table = strcmp(route->table, "main") != 0 && !strstr(route->text, " table ");

	return arena_printf(arena, "ip %sroute replace %s%s%s", family, route->text, other_table ? " table " : "",
			    other_table ? route->table : "");
}

struct change *change_route(const struct change_site *site, const struct prefix *to, const struct ip *via,
			    const char *dev, const char *table)
{
	struct prefix network = prefix_network(to);
	const struct route *old = same_route(site->host, &network, table);
	const char *family = to->ip.family == AF_INET6 ? "-6 " : "";
	struct change *change;
	struct route *route;

	if (!is_plain_name(dev) || !is_plain_name(table))
		return NULL;
	if (old && (!old->text || !is_plain_text(old->text) || old->nexthop_count > 1))
		return NULL;
	change = change_new(site, CHANGE_ROUTE);
	route = route_new(site->arena, &network, via, dev, table);
	route->text = route_text(site->arena, route);
	/* `replace` takes the place of a route with the same metric only. */
	if (old)
		route->metric = old->metric;
	change->route.entry = route;
	change->route.replaces = old != NULL;
	change->command = arena_printf(site->arena, "ip %sroute %s %s", family, old ? "replace" : "add", route->text);
	if (old && old->metric.known && old->metric.value)
		change->command = arena_printf(site->arena, "%s metric %llu", change->command,
					       (unsigned long long)old->metric.value);
	change->undo = old ? route_again(site->arena, old)
			   : arena_printf(site->arena, "ip %sroute del %s", family, route->text);
	return change;
}

struct change *change_policy(const struct change_site *site, const struct ip *from, const struct ip *to,
			     uint64_t before)
{
	struct policy_rule *rule = arena_new_struct(site->arena, struct policy_rule);
	struct change *change;
	const char *family = to->family == AF_INET6 ? "-6 " : "", *text;
	char from_text[IP_TEXT_SIZE], to_text[IP_TEXT_SIZE];

	if (before == 0)
		return NULL;
	change = change_new(site, CHANGE_POLICY);
	text = arena_printf(site->arena, "%s%s%sto %s priority %llu lookup main", from ? "from " : "",
			    from ? ip_format(from, from_text) : "", from ? " " : "", ip_format(to, to_text),
			    (unsigned long long)before - 1);
	*rule = (struct policy_rule){.family = to->family,
				     .priority = number_of(before - 1),
				     .to = {*to, ip_bits(to)},
				     .action = POLICY_RULE_LOOKUP,
				     .table = "main",
				     .text = text,
				     .origin = {.source = "proposed"}};
	if (from)
		rule->from = (struct prefix){*from, ip_bits(from)};
	change->policy = rule;
	change->command = arena_printf(site->arena, "ip %srule add %s", family, text);
	change->undo = arena_printf(site->arena, "ip %srule del %s", family, text);
	return change;
}

/* "net.ipv4.conf." and ".forwarding" of what the kernel sets along with this one; NULL: nothing. */
static const char *also_sets(const char *name)
{
	if (strcmp(name, "net.ipv4.ip_forward") == 0 || strcmp(name, "net.ipv4.conf.all.forwarding") == 0)
		return "net.ipv4.conf.";
	return strcmp(name, "net.ipv6.conf.all.forwarding") == 0 ? "net.ipv6.conf." : NULL;
}

static bool is_set_by(const struct sysctl *entry, const char *name)
{
	const char *prefix = also_sets(name), *last = strrchr(entry->name, '.');

	return prefix && strncmp(entry->name, prefix, strlen(prefix)) == 0 && last && strcmp(last, ".forwarding") == 0;
}

/* Taken back, interfaces that had another value get it again. */
static const char *sysctl_undo(const struct change_site *site, const char *name, const char *before)
{
	cleanup_strbuf struct strbuf text = {0};

	strbuf_printf(&text, "sysctl -w %s=%s", name, before);
	for (size_t i = 0; i < site->host->sysctl_count; i++) {
		const struct sysctl *entry = &site->host->sysctls[i];

		if (is_set_by(entry, name) && strcmp(entry->value, before) != 0 && is_plain_text(entry->name) &&
		    is_plain_text(entry->value))
			strbuf_printf(&text, " %s=%s", entry->name, entry->value);
	}
	return arena_strdup(site->arena, text.text);
}

struct change *change_sysctl(const struct change_site *site, const char *name, unsigned value)
{
	const char *before = facts_sysctl(site->host, name);
	struct change *change;

	if (!is_plain_name(name) || (before && !is_plain_name(before)))
		return NULL;
	change = change_new(site, CHANGE_SYSCTL);
	change->sysctl.name = arena_strdup(site->arena, name);
	change->sysctl.value = arena_printf(site->arena, "%u", value);
	change->command = arena_printf(site->arena, "sysctl -w %s=%u", name, value);
	if (before)
		change->undo = sysctl_undo(site, name, before);
	return change;
}

struct change *change_link_up(const struct change_site *site, const char *link)
{
	struct change *change;

	if (!is_plain_name(link))
		return NULL;
	change = change_new(site, CHANGE_LINK);
	change->link = link;
	change->command = arena_printf(site->arena, "ip link set %s up", link);
	change->undo = arena_printf(site->arena, "ip link set %s down", link);
	return change;
}

/* ---- rules ---- */

static const char *icmp_word(const struct packet *packet)
{
	return packet->family == AF_INET ? "icmp" : "icmpv6";
}

static bool has_icmp_type(const struct packet *packet)
{
	return packet_is_icmp(packet);
}

static bool is_any_port(const struct ports *ports)
{
	return ports->first == 0 && ports->last == UINT16_MAX;
}

/* "22", "6000:6063" */
static const char *ports_text(const struct ports *ports, char between, char ret[12])
{
	if (ports->first == ports->last)
		snprintf(ret, 12, "%u", ports->first);
	else
		snprintf(ret, 12, "%u%c%u", ports->first, between, ports->last);
	return ret;
}

/* The port that a rule tells a service by: of its answers, the one they come from. NULL: any. */
static const struct ports *service_ports(const struct rule_wish *wish)
{
	const struct ports *ports = wish->untracked ? &wish->packet->sport : &wish->packet->dport;

	return packet_has_ports(wish->packet) && !wish->answers && !is_any_port(ports) ? ports : NULL;
}

/* "-s 10.0.0.1/32 -d … -i … -o … -p tcp -m tcp --dport 22", as iptables-save would order it. */
static void xtables_match(struct strbuf *out, const struct rule_wish *wish)
{
	const struct packet *packet = wish->packet;
	unsigned bits = ip_bits(&packet->src);
	const struct ports *ports = service_ports(wish);
	char text[IP_TEXT_SIZE], protocol[4], port[12];

	if (!wish->any_source)
		strbuf_printf(out, "-s %s/%u ", ip_format(&packet->src, text), bits);
	if (!wish->any_destination)
		strbuf_printf(out, "-d %s/%u ", ip_format(&packet->dst, text), bits);
	if (wish->iif)
		strbuf_printf(out, "-i %s ", wish->iif);
	if (wish->oif)
		strbuf_printf(out, "-o %s ", wish->oif);
	if (wish->masquerade)
		return;
	strbuf_printf(out, "-p %s ",
		      packet->protocol == PROTOCOL_ICMPV6 ? "ipv6-icmp" : protocol_name(packet->protocol, protocol));
	if (wish->answers) {
		strbuf_add(out, "-m conntrack --ctstate RELATED,ESTABLISHED ");
		return;
	}
	if (ports)
		strbuf_printf(out, "-m %s --%s %s ", protocol_name(packet->protocol, protocol),
			      wish->untracked ? "sport" : "dport", ports_text(ports, ':', port));
	else if (has_icmp_type(packet))
		strbuf_printf(out, "-m %s --%s-type %u ", packet->family == AF_INET ? "icmp" : "icmp6",
			      icmp_word(packet), packet->icmp_type);
}

static void ebtables_match(struct strbuf *out, const struct rule_wish *wish)
{
	const struct packet *packet = wish->packet;
	bool six = packet->family == AF_INET6;
	const char *word = six ? "ip6" : "ip";
	const struct ports *ports = service_ports(wish);
	char text[IP_TEXT_SIZE], protocol[4], port[12];

	strbuf_printf(out, "-p %s --%s-source %s ", six ? "IPv6" : "IPv4", word, ip_format(&packet->src, text));
	strbuf_printf(out, "--%s-destination %s --%s-protocol %s ", word, ip_format(&packet->dst, text), word,
		      protocol_name(packet->protocol, protocol));
	if (ports)
		strbuf_printf(out, "--%s-%s-port %s ", word, wish->untracked ? "source" : "destination",
			      ports_text(ports, ':', port));
}

static void nft_match(struct strbuf *out, const struct rule_wish *wish)
{
	const struct packet *packet = wish->packet;
	const char *word = packet->family == AF_INET6 ? "ip6" : "ip";
	const struct ports *ports = service_ports(wish);
	char text[IP_TEXT_SIZE], protocol[4], port[12];

	if (wish->iif)
		strbuf_printf(out, "iifname \"%s\" ", wish->iif);
	if (wish->oif)
		strbuf_printf(out, "oifname \"%s\" ", wish->oif);
	if (!wish->any_source)
		strbuf_printf(out, "%s saddr %s ", word, ip_format(&packet->src, text));
	if (!wish->any_destination)
		strbuf_printf(out, "%s daddr %s ", word, ip_format(&packet->dst, text));
	if (wish->masquerade)
		return;
	if (wish->answers)
		strbuf_printf(out, "meta l4proto %s ct state { established, related } ",
			      protocol_name(packet->protocol, protocol));
	else if (ports)
		strbuf_printf(out, "%s %s %s ", protocol_name(packet->protocol, protocol),
			      wish->untracked ? "sport" : "dport", ports_text(ports, '-', port));
	else if (has_icmp_type(packet))
		strbuf_printf(out, "%s type %u ", icmp_word(packet), packet->icmp_type);
	else
		strbuf_printf(out, "meta l4proto %s ", protocol_name(packet->protocol, protocol));
}

/* Before 1.8 there was one iptables only. Where both kinds are, the older one's capture is named after it. */
static const char *xtables_program(const struct table *table, enum family family)
{
	bool legacy = table && table->backend == BACKEND_XTABLES_LEGACY && table->origin.source &&
		      strstr(table->origin.source, "legacy");

	if (family == FAMILY_BRIDGE)
		return legacy ? "ebtables-legacy" : "ebtables";
	if (legacy)
		return family == FAMILY_IP6 ? "ip6tables-legacy" : "iptables-legacy";
	return family == FAMILY_IP6 ? "ip6tables" : "iptables";
}

static const char *table_option(const char *table)
{
	return strcmp(table, "filter") == 0 ? "" : table;
}

static void xtables_commands(struct arena *arena, const struct facts *host, struct change *change)
{
	const char *program = xtables_program(
		ruleset_table(&host->ruleset, change->rule.backend, change->rule.family, change->rule.table),
		change->rule.family);
	const char *table = table_option(change->rule.table), *option = *table ? " -t " : "";

	if (change->rule.before)
		change->command = arena_printf(arena, "%s%s%s -I %s %u %s", program, option, table, change->rule.chain,
					       change->rule.before, change->rule.text);
	else
		change->command = arena_printf(arena, "%s%s%s -A %s %s", program, option, table, change->rule.chain,
					       change->rule.text);
	change->undo =
		arena_printf(arena, "%s%s%s -D %s %s", program, option, table, change->rule.chain, change->rule.text);
}

/* A short name for a rule, by which it is found again: nft deletes rules by handle only, which it gives later. */
static uint32_t name_of_rule(const char *text)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619U;
	return hash;
}

static void nft_commands(struct arena *arena, struct change *change)
{
	const char *chain = arena_printf(arena, "%s %s %s", family_name(change->rule.family), change->rule.table,
					 change->rule.chain);
	uint32_t name = name_of_rule(change->rule.text);
	const char *text = arena_printf(arena, "%s comment \"nestvisor-%08x\"", change->rule.text, name);

	if (change->rule.before)
		change->command =
			arena_printf(arena, "nft insert rule %s index %u %s", chain, change->rule.before - 1, text);
	else
		change->command = arena_printf(arena, "nft add rule %s %s", chain, text);
	change->undo = arena_printf(
		arena, "nft delete rule %s handle $(nft -a list chain %s | sed -n '/nestvisor-%08x/s/.* # handle //p')",
		chain, chain, name);
}

static void write_commands(const struct change_site *site, struct change *change)
{
	if (change->rule.backend == BACKEND_NFTABLES)
		nft_commands(site->arena, change);
	else
		xtables_commands(site->arena, site->host, change);
}

static void put_nft_verdict(struct strbuf *out, enum family family, const struct rule_wish *wish)
{
	char text[IP_TEXT_SIZE];

	if (wish->publish.family)
		strbuf_printf(out, "dnat %sto %s",
			      family != FAMILY_INET		 ? ""
			      : wish->publish.family == AF_INET6 ? "ip6 "
								 : "ip ",
			      ip_format(&wish->publish, text));
	else
		strbuf_add(out, wish->masquerade ? "masquerade" : "accept");
}

static void put_xtables_verdict(struct strbuf *out, const struct rule_wish *wish)
{
	char text[IP_TEXT_SIZE];

	if (wish->publish.family)
		strbuf_printf(out, "-j DNAT --to-destination %s", ip_format(&wish->publish, text));
	else
		strbuf_add(out, wish->masquerade ? "-j MASQUERADE" : "-j ACCEPT");
}

static struct change *rule_new(const struct change_site *site, enum backend backend, enum family family,
			       const char *table, const char *chain, uint32_t before, const struct rule_wish *wish)
{
	cleanup_strbuf struct strbuf text = {0};
	struct change *change;

	if (!is_plain_name(table) || !is_plain_name(chain) || (wish->iif && !is_plain_name(wish->iif)) ||
	    (wish->oif && !is_plain_name(wish->oif)))
		return NULL;
	change = change_new(site, wish->masquerade || wish->publish.family ? CHANGE_NAT : CHANGE_RULE);

	change->rule.backend = backend;
	change->rule.family = family;
	change->rule.table = table;
	change->rule.chain = chain;
	change->rule.before = before;
	change->rule.wish = arena_new_struct(site->arena, struct rule_wish);
	*(struct rule_wish *)change->rule.wish = *wish;
	if (backend == BACKEND_NFTABLES) {
		nft_match(&text, wish);
		put_nft_verdict(&text, family, wish);
	} else {
		(family == FAMILY_BRIDGE ? ebtables_match : xtables_match)(&text, wish);
		put_xtables_verdict(&text, wish);
	}
	change->rule.text = arena_strdup(site->arena, text.text);
	write_commands(site, change);
	return change;
}

/* Docker never touches DOCKER-USER, and asks it before its own chains (docs.docker.com, "Packet filtering and
 * firewalls"). */
static const struct chain *place_of_docker(const struct table *table, const struct chain *chain, uint32_t before)
{
	const struct chain *user = table_chain(table, "DOCKER-USER");

	if (!user || chain->hook != HOOK_FORWARD)
		return NULL;
	for (size_t i = 0; i < chain->rule_count && (!before || chain->rules[i].index < before); i++)
		if (chain->rules[i].text && strstr(chain->rules[i].text, "-j DOCKER-USER"))
			return user;
	return NULL;
}

struct change *change_rule(const struct change_site *site, const struct table *table, const struct chain *chain,
			   uint32_t before, const struct rule_wish *wish)
{
	const struct chain *docker = table->backend == BACKEND_NFTABLES ? NULL : place_of_docker(table, chain, before);
	struct change *change;

	if (docker) {
		chain = docker;
		before = docker->rule_count ? 1 : 0;
	}
	change = rule_new(site, table->backend, table->family, table->name, chain->name, before, wish);
	if (change && before && before <= chain->rule_count)
		change->rule.behind = chain->rules[before - 1].text;
	if (change && change->rule.behind && strchr(change->rule.behind, '\n'))
		change->rule.behind = NULL;
	return change;
}

static const struct chain *nat_chain(const struct table *table, enum hook hook)
{
	for (size_t i = 0; i < table->chain_count; i++)
		if (table->chains[i].type == CHAIN_NAT && table->chains[i].hook == hook)
			return &table->chains[i];
	return NULL;
}

/* In front of all others; in a table of iptables' where the host has none. */
static struct change *nat_rule(const struct change_site *site, enum hook hook, const char *chain,
			       const struct rule_wish *wish)
{
	enum family family = wish->packet->family == AF_INET ? FAMILY_IP : FAMILY_IP6;
	struct change *change;

	for (size_t i = 0; i < site->host->ruleset.table_count; i++) {
		const struct table *table = &site->host->ruleset.tables[i];
		const struct chain *found = nat_chain(table, hook);

		if ((table->family == family || table->family == FAMILY_INET) && found)
			return change_rule(site, table, found, found->rule_count ? 1 : 0, wish);
	}
	change = rule_new(site, BACKEND_XTABLES, family, "nat", chain, 0, wish);
	if (change)
		change->rule.created = true;
	return change;
}

struct change *change_masquerade(const struct change_site *site, const struct rule_wish *wish)
{
	struct rule_wish masquerade = *wish;

	masquerade.masquerade = true;
	masquerade.iif = NULL; /* not known to postrouting of iptables */
	return nat_rule(site, HOOK_POSTROUTING, "POSTROUTING", &masquerade);
}

struct change *change_publish(const struct change_site *site, const struct rule_wish *wish)
{
	return service_ports(wish) ? nat_rule(site, HOOK_PREROUTING, "PREROUTING", wish) : NULL;
}

/* ---- what they do to the facts ---- */

#define COPY_ARRAY(arena, items, count, more)                                                                          \
	({                                                                                                             \
		__typeof__(items) copy_ = arena_alloc((arena), ((count) + (more)) * sizeof(*(items)));                 \
		if (count)                                                                                             \
			memcpy(copy_, (items), (count) * sizeof(*(items)));                                            \
		copy_;                                                                                                 \
	})

static void apply_route(struct arena *arena, struct facts *facts, const struct change *change)
{
	const struct route *route = change->route.entry, *old = NULL;

	if (change->route.replaces)
		old = same_route(facts, &route->to, route->table);
	facts->routes = COPY_ARRAY(arena, facts->routes, facts->route_count, 1);
	for (size_t i = 0; i < facts->route_count && old; i++)
		if (facts->routes[i].origin.line == old->origin.line && facts->routes[i].text == old->text) {
			facts->routes[i] = *route;
			return;
		}
	facts->routes[facts->route_count++] = *route;
}

static void apply_policy(struct arena *arena, struct facts *facts, const struct change *change)
{
	facts->policy_rules = COPY_ARRAY(arena, facts->policy_rules, facts->policy_rule_count, 1);
	facts->policy_rules[facts->policy_rule_count++] = *change->policy;
}

static void apply_sysctl(struct arena *arena, struct facts *facts, const struct change *change)
{
	struct sysctl entry = {change->sysctl.name, change->sysctl.value, {.source = "proposed"}};
	size_t at = 0;

	facts->sysctls = COPY_ARRAY(arena, facts->sysctls, facts->sysctl_count, 1);
	while (at < facts->sysctl_count && strcmp(facts->sysctls[at].name, entry.name) < 0)
		at++;
	if (at == facts->sysctl_count || strcmp(facts->sysctls[at].name, entry.name) != 0) {
		memmove(&facts->sysctls[at + 1], &facts->sysctls[at],
			(facts->sysctl_count - at) * sizeof(*facts->sysctls));
		facts->sysctl_count++;
	}
	facts->sysctls[at] = entry;
	for (size_t i = 0; i < facts->sysctl_count; i++)
		if (is_set_by(&facts->sysctls[i], entry.name))
			facts->sysctls[i].value = entry.value;
}

/* The kernel puts the route to an address's subnet back when its interface is switched on. */
static void add_subnets(struct arena *arena, struct facts *facts, const struct link *link)
{
	for (size_t i = 0; i < link->address_count; i++) {
		struct prefix subnet = prefix_network(&link->addresses[i].prefix);
		struct route *route;

		if (subnet.length == ip_bits(&subnet.ip) || same_route(facts, &subnet, "main"))
			continue;
		facts->routes = COPY_ARRAY(arena, facts->routes, facts->route_count, 1);
		route = route_new(arena, &subnet, NULL, link->name, "main");
		route->protocol = "kernel";
		route->text = route_text(arena, route);
		facts->routes[facts->route_count++] = *route;
	}
}

static void apply_link(struct arena *arena, struct facts *facts, const struct change *change)
{
	facts->links = COPY_ARRAY(arena, facts->links, facts->link_count, 0);
	for (size_t i = 0; i < facts->link_count; i++)
		if (strcmp(facts->links[i].name, change->link) == 0) {
			facts->links[i].up = facts->links[i].carrier = TRUTH_YES;
			facts->links[i].state = "UP";
			add_subnets(arena, facts, &facts->links[i]);
		} else if (facts->links[i].master && strcmp(facts->links[i].master, change->link) == 0) {
			facts->links[i].port.state = NULL; /* disabled only while the bridge is */
		}
}

static void release_bundle(void *bundle)
{
	bundle_free(bundle);
}

/* The rule as the parser of captures reads it. */
static const struct rule *parse_rule(struct arena *arena, const struct change *change)
{
	char *text;
	struct bundle *bundle;
	const struct table *table;

	if (change->rule.backend == BACKEND_NFTABLES) {
		text = arena_printf(arena, "table %s t {\n\tchain c {\n\t\t%s\n\t}\n}\n",
				    family_name(change->rule.family), change->rule.text);
		bundle = bundle_from_text("nft-ruleset.txt", text, strlen(text));
	} else {
		text = arena_printf(arena, "*%s\n:%s ACCEPT [0:0]\n-A %s %s\nCOMMIT\n", change->rule.table,
				    change->rule.chain, change->rule.chain, change->rule.text);
		bundle = bundle_from_text(change->rule.family == FAMILY_BRIDGE ? "ebtables-save.txt"
					  : change->rule.family == FAMILY_IP6  ? "ip6tables-save.txt"
									       : "iptables-save.txt",
					  text, strlen(text));
	}
	arena_adopt(arena, bundle, release_bundle);
	table = bundle->host_count && bundle->hosts[0]->ruleset.table_count ? &bundle->hosts[0]->ruleset.tables[0]
									    : NULL;
	for (size_t i = 0; table && i < table->chain_count; i++)
		if (table->chains[i].rule_count)
			return &table->chains[i].rules[0];
	return NULL;
}

static void insert_rule(struct arena *arena, struct chain *chain, uint32_t before, const struct rule *rule)
{
	size_t at = before && before <= chain->rule_count ? before - 1 : chain->rule_count;

	chain->rules = COPY_ARRAY(arena, chain->rules, chain->rule_count, 1);
	memmove(&chain->rules[at + 1], &chain->rules[at], (chain->rule_count - at) * sizeof(*chain->rules));
	chain->rules[at] = *rule;
	chain->rules[at].origin = (struct origin){.source = "proposed"};
	chain->rule_count++;
	for (size_t i = at; i < chain->rule_count; i++)
		chain->rules[i].index = (uint32_t)i + 1;
}

/* A table, and a chain in it, that are the change's own to alter; made where there were none. */
static struct chain *own_chain(struct arena *arena, struct ruleset *ruleset, const struct change *change)
{
	struct table *table = NULL;
	struct chain *chain;

	ruleset->tables = COPY_ARRAY(arena, ruleset->tables, ruleset->table_count, 1);
	for (size_t i = 0; i < ruleset->table_count; i++)
		if (ruleset->tables[i].backend == change->rule.backend &&
		    ruleset->tables[i].family == change->rule.family &&
		    strcmp(ruleset->tables[i].name, change->rule.table) == 0)
			table = &ruleset->tables[i];
	if (!table) {
		table = &ruleset->tables[ruleset->table_count++];
		*table = (struct table){.backend = change->rule.backend,
					.family = change->rule.family,
					.name = change->rule.table,
					.whole = TRUTH_YES};
	}
	table->chains = COPY_ARRAY(arena, table->chains, table->chain_count, 1);
	for (size_t i = 0; i < table->chain_count; i++)
		if (strcmp(table->chains[i].name, change->rule.chain) == 0 && !table->chains[i].shadowed)
			return &table->chains[i];
	chain = &table->chains[table->chain_count++];
	*chain = (struct chain){.name = change->rule.chain, .policy = VERDICT_ACCEPT, .whole = TRUTH_YES};
	xtables_base_chain(change->rule.family, change->rule.table, change->rule.chain, &chain->hook, &chain->priority,
			   &chain->type);
	return chain;
}

static void apply_rule(struct arena *arena, struct facts *facts, const struct change *change)
{
	const struct rule *rule = parse_rule(arena, change);

	if (rule)
		insert_rule(arena, own_chain(arena, &facts->ruleset, change), change->rule.before, rule);
}

static bool is_rule(const struct change *change)
{
	return change->kind == CHANGE_RULE || change->kind == CHANGE_NAT;
}

struct change *change_without(const struct change_site *site, struct change *change, const struct change *gone)
{
	struct change *copy;

	if (!is_rule(change) || !is_rule(gone) || strcmp(change->host, gone->host) != 0 ||
	    change->rule.backend != gone->rule.backend || change->rule.family != gone->rule.family ||
	    strcmp(change->rule.table, gone->rule.table) != 0 || strcmp(change->rule.chain, gone->rule.chain) != 0 ||
	    !gone->rule.before || change->rule.before <= gone->rule.before)
		return change;
	copy = arena_new_struct(site->arena, struct change);
	*copy = *change;
	copy->rule.before--;
	write_commands(site, copy);
	return copy;
}

bool change_equal(const struct change *a, const struct change *b)
{
	return strcmp(a->host, b->host) == 0 && strcmp(a->command, b->command) == 0;
}

struct bundle *change_apply(struct arena *arena, const struct bundle *bundle, struct change *const *changes,
			    size_t count)
{
	static void (*const apply[CHANGE_KIND_COUNT])(struct arena *, struct facts *, const struct change *) = {
		[CHANGE_ROUTE] = apply_route,	[CHANGE_RULE] = apply_rule, [CHANGE_NAT] = apply_rule,
		[CHANGE_SYSCTL] = apply_sysctl, [CHANGE_LINK] = apply_link, [CHANGE_POLICY] = apply_policy,
	};
	struct bundle *copy = arena_new_struct(arena, struct bundle);

	*copy = *bundle;
	copy->hosts = COPY_ARRAY(arena, bundle->hosts, bundle->host_count, 0);
	for (size_t i = 0; i < copy->host_count; i++) {
		struct facts *facts = NULL;

		for (size_t j = 0; j < count; j++) {
			if (strcmp(changes[j]->host, copy->hosts[i]->name) != 0)
				continue;
			if (!facts) {
				facts = arena_new_struct(arena, struct facts);
				*facts = *copy->hosts[i];
				copy->hosts[i] = facts;
			}
			apply[changes[j]->kind](arena, facts, changes[j]);
		}
	}
	return copy;
}
