/*
 * A rule is written as text in the words of its table and read back by the parser that reads captures: what is tried is
 * what would be typed.
 */
#include "verify/change.h"

#include "base/arena.h"
#include "base/strbuf.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[CHANGE_KIND_COUNT] = {"route", "rule", "nat", "sysctl", "link"};

const char *change_kind_word(enum change_kind kind)
{
	return kinds[kind];
}

static struct change *change_new(const struct change_site *site, enum change_kind kind)
{
	struct change *change = arena_new_struct(site->arena, struct change);

	change->kind = kind;
	change->host = site->host->name;
	return change;
}

/* ---- making it last ---- */

/* WSL2 in mirrored mode is told by its addresses alone, too: Windows has the same. */
static bool is_mirrored(const struct change_site *site)
{
	for (size_t i = 0; i < site->bundle->relation_count; i++) {
		const struct relation *relation = &site->bundle->relations[i];

		for (size_t j = 0; relation->kind == RELATION_MIRRORED && j < relation->end_count; j++)
			if (relation->ends[j].host && strcmp(relation->ends[j].host, site->host->name) == 0)
				return site->host->system != SYSTEM_WINDOWS;
	}
	return false;
}

static bool is_wsl(const struct change_site *site)
{
	const struct facts *facts = site->host;

	return is_mirrored(site) || facts->wslconf_known == TRUTH_YES || facts->wslconf_count ||
	       (facts->kernel.release && strcasestr(facts->kernel.release, "microsoft"));
}

static void add_permanent(struct arena *arena, struct change *change, const char *how, const char *file,
			  const char *text)
{
	*arena_push(arena, change->permanent, change->permanent_count) =
		(struct permanent){.how = how, .file = file, .text = text};
}

static bool has_program(const struct facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->program_count; i++)
		if (strcmp(facts->programs[i].name, name) == 0)
			return true;
	return false;
}

static bool is_distribution(const struct facts *facts, const char *id)
{
	return facts->distribution.id && strcmp(facts->distribution.id, id) == 0;
}

/* Distributions that ask NetworkManager; of the others it is not assumed. */
static bool has_network_manager(const struct facts *facts)
{
	return is_distribution(facts, "fedora") || is_distribution(facts, "rhel") || is_distribution(facts, "centos") ||
	       is_distribution(facts, "rocky") || is_distribution(facts, "almalinux") ||
	       has_program(facts, "NetworkManager");
}

static void last_in_wsl(struct arena *arena, struct change *change)
{
	add_permanent(arena, change, "wsl.conf", "/etc/wsl.conf",
		      arena_printf(arena, "[boot]\ncommand = \"sleep 5 && %s\"\n", change->command));
}

static void route_lasts(const struct change_site *site, struct change *change, const char *to, const char *via,
			const char *dev)
{
	if (has_network_manager(site->host))
		add_permanent(site->arena, change, "NetworkManager", NULL,
			      arena_printf(site->arena,
					   "nmcli connection modify \"$(nmcli -g GENERAL.CONNECTION device show %s)\" "
					   "+ipv%c.routes \"%s %s\"",
					   dev, strchr(to, ':') ? '6' : '4', to, via));
	else if (is_distribution(site->host, "ubuntu"))
		add_permanent(
			site->arena, change, "netplan", "/etc/netplan/90-nestvisor.yaml",
			arena_printf(site->arena,
				     "network:\n  ethernets:\n    %s:\n      routes:\n        - {to: %s, via: %s}\n",
				     dev, to, via));
	else
		add_permanent(site->arena, change, "ifupdown", "/etc/network/if-up.d/nestvisor",
			      arena_printf(site->arena, "#!/bin/sh\n[ \"$IFACE\" = \"%s\" ] || exit 0\n%s\n", dev,
					   change->command));
	if (strncmp(dev, "virbr", 5) == 0)
		add_permanent(
			site->arena, change, "libvirt hook", "/etc/libvirt/hooks/network",
			arena_printf(site->arena, "#!/bin/sh\n[ \"$2\" = started ] && %s\nexit 0\n", change->command));
}

/* libvirt puts its rules in front of all others when a network starts: what must stand before them is put there once
 * more. */
static bool libvirt_puts_rules(const struct chain *chain)
{
	for (size_t i = 0; i < chain->rule_count; i++)
		if (chain->rules[i].text &&
		    (strstr(chain->rules[i].text, "virbr") || strstr(chain->rules[i].text, "LIBVIRT_")))
			return true;
	return false;
}

static void rule_lasts(const struct change_site *site, struct change *change, const struct chain *chain)
{
	bool six = change->rule.family == FAMILY_IP6;

	if (change->rule.backend == BACKEND_NFTABLES)
		add_permanent(site->arena, change, "nftables.conf",
			      has_network_manager(site->host) ? "/etc/sysconfig/nftables.conf" : "/etc/nftables.conf",
			      arena_printf(site->arena, "%s\n", change->command + strlen("nft ")));
	else if (change->rule.family == FAMILY_BRIDGE)
		add_permanent(site->arena, change, "ebtables", NULL, "ebtables-save > /etc/ebtables.rules");
	else if (has_network_manager(site->host))
		add_permanent(site->arena, change, "iptables-services",
			      six ? "/etc/sysconfig/ip6tables" : "/etc/sysconfig/iptables",
			      arena_printf(site->arena, "-A %s %s\n", change->rule.chain, change->rule.text));
	else
		add_permanent(site->arena, change, "netfilter-persistent",
			      six ? "/etc/iptables/rules.v6" : "/etc/iptables/rules.v4", "netfilter-persistent save");
	if (chain && libvirt_puts_rules(chain))
		add_permanent(
			site->arena, change, "libvirt hook", "/etc/libvirt/hooks/network",
			arena_printf(site->arena, "#!/bin/sh\n[ \"$2\" = started ] && %s\nexit 0\n", change->command));
}

/* ---- routes, sysctls, links ---- */

static struct route *route_new(struct arena *arena, const struct prefix *to, const struct ip *via, const char *dev,
			       const char *text)
{
	struct route *route = arena_new_struct(arena, struct route);

	*route = (struct route){.family = to->ip.family,
				.type = ROUTE_TYPE_UNICAST,
				.to = *to,
				.table = "main",
				.protocol = "static",
				.text = text,
				.origin = {.source = "proposed"}};
	route->nexthops = arena_new_struct(arena, struct nexthop);
	route->nexthops[0] = (struct nexthop){.via = *via, .dev = dev};
	route->nexthop_count = 1;
	return route;
}

struct change *change_route(const struct change_site *site, const struct prefix *to, const struct ip *via,
			    const char *dev)
{
	struct change *change = change_new(site, CHANGE_ROUTE);
	struct prefix network = prefix_network(to);
	char to_text[PREFIX_TEXT_SIZE], via_text[IP_TEXT_SIZE];
	const char *text, *six = to->ip.family == AF_INET6 ? "-6 " : "";

	prefix_format(&network, to_text);
	ip_format(via, via_text);
	text = arena_printf(site->arena, "%s via %s dev %s", to_text, via_text, dev);
	change->command = arena_printf(site->arena, "ip %sroute add %s", six, text);
	change->undo = arena_printf(site->arena, "ip %sroute del %s", six, text);
	change->route = route_new(site->arena, &network, via, dev, text);
	if (is_wsl(site))
		last_in_wsl(site->arena, change);
	else
		route_lasts(site, change, to_text, via_text, dev);
	return change;
}

struct change *change_sysctl(const struct change_site *site, const char *name, unsigned value)
{
	struct change *change = change_new(site, CHANGE_SYSCTL);
	const char *before = facts_sysctl(site->host, name);

	change->sysctl.name = arena_strdup(site->arena, name);
	change->sysctl.value = arena_printf(site->arena, "%u", value);
	change->command = arena_printf(site->arena, "sysctl -w %s=%u", name, value);
	if (before)
		change->undo = arena_printf(site->arena, "sysctl -w %s=%s", name, before);
	add_permanent(site->arena, change, "sysctl.d", "/etc/sysctl.d/90-nestvisor.conf",
		      arena_printf(site->arena, "%s = %u\n", name, value));
	return change;
}

struct change *change_link_up(const struct change_site *site, const char *link)
{
	struct change *change = change_new(site, CHANGE_LINK);

	change->link = link;
	change->command = arena_printf(site->arena, "ip link set %s up", link);
	change->undo = arena_printf(site->arena, "ip link set %s down", link);
	add_permanent(site->arena, change, "ifupdown", "/etc/network/interfaces",
		      arena_printf(site->arena, "auto %s\niface %s inet manual\n", link, link));
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

/* "-s 10.0.0.1/32 -d … -i … -o … -p tcp -m tcp --dport 22", as iptables-save would order it. */
static void xtables_match(struct strbuf *out, const struct rule_wish *wish)
{
	const struct packet *packet = wish->packet;
	unsigned bits = ip_bits(&packet->src);
	char text[IP_TEXT_SIZE], protocol[4];

	strbuf_printf(out, "-s %s/%u ", ip_format(&packet->src, text), bits);
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
	if (packet_has_ports(packet))
		strbuf_printf(out, "-m %s --dport %u ", protocol_name(packet->protocol, protocol), packet->dport.first);
	else if (has_icmp_type(packet))
		strbuf_printf(out, "-m %s --%s-type %u ", packet->family == AF_INET ? "icmp" : "icmp6",
			      icmp_word(packet), packet->icmp_type);
}

static void ebtables_match(struct strbuf *out, const struct rule_wish *wish)
{
	const struct packet *packet = wish->packet;
	bool six = packet->family == AF_INET6;
	const char *word = six ? "ip6" : "ip";
	char text[IP_TEXT_SIZE], protocol[4];

	strbuf_printf(out, "-p %s --%s-source %s ", six ? "IPv6" : "IPv4", word, ip_format(&packet->src, text));
	strbuf_printf(out, "--%s-destination %s --%s-protocol %s ", word, ip_format(&packet->dst, text), word,
		      protocol_name(packet->protocol, protocol));
	if (packet_has_ports(packet) && !wish->answers)
		strbuf_printf(out, "--%s-destination-port %u ", word, packet->dport.first);
}

static void nft_match(struct strbuf *out, const struct rule_wish *wish)
{
	const struct packet *packet = wish->packet;
	const char *word = packet->family == AF_INET6 ? "ip6" : "ip";
	char text[IP_TEXT_SIZE], protocol[4];

	if (wish->iif)
		strbuf_printf(out, "iifname \"%s\" ", wish->iif);
	if (wish->oif)
		strbuf_printf(out, "oifname \"%s\" ", wish->oif);
	strbuf_printf(out, "%s saddr %s ", word, ip_format(&packet->src, text));
	strbuf_printf(out, "%s daddr %s ", word, ip_format(&packet->dst, text));
	if (wish->masquerade)
		return;
	if (wish->answers)
		strbuf_printf(out, "meta l4proto %s ct state { established, related } ",
			      protocol_name(packet->protocol, protocol));
	else if (packet_has_ports(packet))
		strbuf_printf(out, "%s dport %u ", protocol_name(packet->protocol, protocol), packet->dport.first);
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

static void nft_commands(struct arena *arena, const struct facts *host __attribute__((unused)), struct change *change)
{
	const char *family = family_name(change->rule.family);

	if (change->rule.before)
		change->command =
			arena_printf(arena, "nft insert rule %s %s %s index %u %s", family, change->rule.table,
				     change->rule.chain, change->rule.before - 1, change->rule.text);
	else
		change->command = arena_printf(arena, "nft add rule %s %s %s %s", family, change->rule.table,
					       change->rule.chain, change->rule.text);
}

static struct change *rule_new(const struct change_site *site, enum backend backend, enum family family,
			       const char *table, const char *chain, uint32_t before, const struct rule_wish *wish)
{
	struct change *change = change_new(site, wish->masquerade ? CHANGE_NAT : CHANGE_RULE);
	struct strbuf text = {0};

	change->rule.backend = backend;
	change->rule.family = family;
	change->rule.table = table;
	change->rule.chain = chain;
	change->rule.before = before;
	if (backend == BACKEND_NFTABLES) {
		nft_match(&text, wish);
		strbuf_add(&text, wish->masquerade ? "masquerade" : "accept");
	} else {
		(family == FAMILY_BRIDGE ? ebtables_match : xtables_match)(&text, wish);
		strbuf_add(&text, wish->masquerade ? "-j MASQUERADE" : "-j ACCEPT");
	}
	change->rule.text = arena_strdup(site->arena, text.text);
	strbuf_freep(&text);
	(backend == BACKEND_NFTABLES ? nft_commands : xtables_commands)(site->arena, site->host, change);
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
	if (is_wsl(site))
		last_in_wsl(site->arena, change);
	else
		rule_lasts(site, change, chain);
	return change;
}

static const struct chain *nat_chain(const struct table *table)
{
	for (size_t i = 0; i < table->chain_count; i++)
		if (table->chains[i].type == CHAIN_NAT && table->chains[i].hook == HOOK_POSTROUTING)
			return &table->chains[i];
	return NULL;
}

struct change *change_masquerade(const struct change_site *site, const struct rule_wish *wish)
{
	struct rule_wish masquerade = *wish;
	enum family family = wish->packet->family == AF_INET ? FAMILY_IP : FAMILY_IP6;
	struct change *change;

	masquerade.masquerade = true;
	masquerade.iif = NULL; /* not known to postrouting of iptables */
	for (size_t i = 0; i < site->host->ruleset.table_count; i++) {
		const struct table *table = &site->host->ruleset.tables[i];

		if ((table->family == family || table->family == FAMILY_INET) && nat_chain(table))
			return change_rule(site, table, nat_chain(table), nat_chain(table)->rule_count ? 1 : 0,
					   &masquerade);
	}
	change = rule_new(site, BACKEND_XTABLES, family, "nat", "POSTROUTING", 0, &masquerade);
	rule_lasts(site, change, NULL);
	return change;
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
	facts->routes = COPY_ARRAY(arena, facts->routes, facts->route_count, 1);
	facts->routes[facts->route_count++] = *change->route;
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
}

static void apply_link(struct arena *arena, struct facts *facts, const struct change *change)
{
	facts->links = COPY_ARRAY(arena, facts->links, facts->link_count, 0);
	for (size_t i = 0; i < facts->link_count; i++)
		if (strcmp(facts->links[i].name, change->link) == 0) {
			facts->links[i].up = facts->links[i].carrier = TRUTH_YES;
			facts->links[i].state = "UP";
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

struct bundle *change_apply(struct arena *arena, const struct bundle *bundle, struct change *const *changes,
			    size_t count)
{
	static void (*const apply[CHANGE_KIND_COUNT])(struct arena *, struct facts *, const struct change *) = {
		[CHANGE_ROUTE] = apply_route,	[CHANGE_RULE] = apply_rule, [CHANGE_NAT] = apply_rule,
		[CHANGE_SYSCTL] = apply_sysctl, [CHANGE_LINK] = apply_link,
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
