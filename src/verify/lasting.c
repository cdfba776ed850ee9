/*
 * Each form says of a change whether it is one for it, and writes all changes of the host that it is for: a file of
 * nestvisor's own is written once. See wsl.conf(5) of Microsoft's documentation, netplan(5), nmcli(1),
 * interfaces(5), systemd.network(5), ufw(8), firewall-cmd(1), libvirt's hooks.
 */
#include "verify/lasting.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "verify/packet.h"

#include <string.h>
#include <sys/socket.h>

enum { MEMBERS_MAX = 16 };

struct subject {
	struct arena *arena;
	const struct bundle *bundle;
	const struct facts *host;
	const struct change *change;
	const char *const *made; /* see lasting_find() */
};

/* The changes of one host that a form is for. */
struct members {
	const struct change *items[MEMBERS_MAX];
	size_t count;
};

struct form {
	const char *how;
	bool (*applies)(const struct subject *subject);
	const char *(*file)(const struct subject *subject);
	void (*write)(const struct subject *subject, const struct members *members, struct strbuf *out);
	bool alone; /* each change has a text of its own */
	bool last;  /* what comes after it is not asked any more */
	/* As in struct permanent. */
	enum placing placing;
	const char *needs, *check, *then, *undo;
	void (*more)(const struct subject *subject, struct permanent *permanent); /* NULL: that is all */
	bool executable;
};

/* ---- what kind of host it is ---- */

static bool has_program(const struct facts *facts, const char *name)
{
	const struct program *program = facts_program(facts, name);

	return program && program->installed != TRUTH_NO;
}

static bool has_node(const struct facts *facts, const char *path)
{
	const struct node *node = facts_node(facts, path);

	return node && node->exists == TRUTH_YES;
}

static bool is_distribution(const struct facts *facts, const char *const *ids)
{
	for (; *ids; ids++)
		if (facts->distribution.id && strcmp(facts->distribution.id, *ids) == 0)
			return true;
	return false;
}

static bool is_red_hat(const struct facts *facts)
{
	static const char *const ids[] = {"fedora", "rhel", "centos", "rocky", "almalinux", "ol", NULL};

	return is_distribution(facts, ids);
}

/* WSL2 in mirrored mode is told by its addresses alone, too: Windows has the same. */
static bool is_mirrored(const struct subject *subject)
{
	for (size_t i = 0; i < subject->bundle->relation_count; i++) {
		const struct relation *relation = &subject->bundle->relations[i];

		for (size_t j = 0; relation->kind == RELATION_MIRRORED && j < relation->end_count; j++)
			if (relation->ends[j].host && strcmp(relation->ends[j].host, subject->host->name) == 0)
				return subject->host->system != SYSTEM_WINDOWS;
	}
	return false;
}

static bool in_wsl(const struct subject *subject)
{
	const struct facts *facts = subject->host;

	return is_mirrored(subject) || facts->wslconf_known == TRUTH_YES || facts->wslconf_count ||
	       (facts->kernel.release && strcasestr(facts->kernel.release, "microsoft"));
}

static bool is_rule_change(const struct change *change)
{
	return change->kind == CHANGE_RULE || change->kind == CHANGE_NAT;
}

static bool is_rule(const struct subject *subject)
{
	return is_rule_change(subject->change);
}

static bool is_route(const struct subject *subject)
{
	return subject->change->kind == CHANGE_ROUTE;
}

static const char *device_of(const struct change *change)
{
	return change->kind == CHANGE_ROUTE ? change->route.entry->nexthops[0].dev : NULL;
}

/* A bridge that libvirt makes when it starts the network. */
static bool is_libvirt_bridge(const char *device)
{
	return strncmp(device, "virbr", 5) == 0;
}

/* ---- rules, and whose they are ---- */

static const struct chain *chain_of(const struct subject *subject)
{
	const struct change *change = subject->change;
	const struct table *table =
		ruleset_table(&subject->host->ruleset, change->rule.backend, change->rule.family, change->rule.table);

	return table ? table_chain(table, change->rule.chain) : NULL;
}

static bool chain_mentions(const struct subject *subject, const char *word)
{
	const struct chain *chain = chain_of(subject);

	for (size_t i = 0; chain && i < chain->rule_count; i++)
		if (chain->rules[i].text && strstr(chain->rules[i].text, word))
			return true;
	return false;
}

static bool is_nft(const struct subject *subject)
{
	return subject->change->rule.backend == BACKEND_NFTABLES;
}

/* ---- writing ---- */

static const char *no_file(const struct subject *subject __attribute__((unused)))
{
	return NULL;
}

/* libvirt puts its rules in front of all others whenever it starts the network: what must stand before them is put
 * there once more. */
static const char *first_in_chain(struct arena *arena, const struct change *change, const char *between)
{
	const char *option = strstr(change->command, change->rule.before ? " -I " : " -A ");
	char *program;

	if (!option || change->rule.backend == BACKEND_NFTABLES || change->rule.family == FAMILY_BRIDGE)
		return change->command;
	program = arena_strndup(arena, change->command, (size_t)(option - change->command));
	return arena_printf(arena, "%s -D %s %s 2>/dev/null%s%s -I %s %s", program, change->rule.chain,
			    change->rule.text, between, program, change->rule.chain, change->rule.text);
}

/* ---- WSL ---- */

static const char *wsl_file(const struct subject *subject __attribute__((unused)))
{
	return "/etc/wsl.conf";
}

/* Within double quotes. */
static void put_escaped(const char *text, struct strbuf *out)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			strbuf_add_char(out, '\\');
		strbuf_add_char(out, *text);
	}
}

/* The same so that it does no harm to be done twice; `between` goes between its commands. */
static const char *made_once(struct arena *arena, const struct change *change, const char *between)
{
	static const char add[] = " route add ";
	const char *at = change->kind == CHANGE_ROUTE ? strstr(change->command, add) : NULL;

	if (is_rule_change(change))
		return first_in_chain(arena, change, between);
	if (!at)
		return change->command;
	return arena_printf(arena, "%.*s route replace %s", (int)(at - change->command), change->command,
			    at + sizeof(add) - 1);
}

/*
 * There is one command; what it did before, it still does. Interfaces and bridges come up some seconds after it is run,
 * so each change is tried once a second, for a minute, in the background.
 */
static void write_wsl(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	const struct setting *old = facts_wslconf(subject->host, "boot", "command");

	strbuf_add(out, "[boot]\ncommand = \"");
	for (size_t i = 0; i < members->count; i++) {
		strbuf_add(out,
			   i ? " (for nestvisor_fix in $(seq 60); do { " : "(for nestvisor_fix in $(seq 60); do { ");
		put_escaped(made_once(subject->arena, members->items[i], "; "), out);
		strbuf_add(out, "; } && break; sleep 1; done) &");
	}
	if (old && *old->value) {
		strbuf_add_char(out, ' ');
		put_escaped(old->value, out);
	}
	strbuf_add(out, "\"\n");
}

/* ---- routes ---- */

static bool is_libvirt_route(const struct subject *subject)
{
	return is_route(subject) && is_libvirt_bridge(device_of(subject->change));
}

static const char *hook_file(const struct subject *subject __attribute__((unused)))
{
	return "/etc/libvirt/hooks/network";
}

static void write_hook(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	strbuf_add(out, "#!/bin/sh\nif [ \"$2\" = started ]; then\n");
	for (size_t i = 0; i < members->count; i++) {
		strbuf_printf(out, "  %s\n", made_once(subject->arena, members->items[i], "\n  "));
	}
	strbuf_add(out, "fi\nexit 0\n");
}

static bool has_netplan(const struct subject *subject)
{
	static const char *const ids[] = {"ubuntu", NULL};

	return is_route(subject) && (has_node(subject->host, "/etc/netplan") || is_distribution(subject->host, ids));
}

static const char *netplan_file(const struct subject *subject __attribute__((unused)))
{
	return "/etc/netplan/90-nestvisor.yaml";
}

static const char *netplan_kind(const struct facts *facts, const char *device)
{
	const struct link *link = facts_link(facts, device);
	const char *kind = link && link->kind ? link->kind : "";

	return strcmp(kind, "bridge") == 0 ? "bridges"
	       : strcmp(kind, "vlan") == 0 ? "vlans"
	       : strcmp(kind, "bond") == 0 ? "bonds"
					   : "ethernets";
}

static void put_netplan_route(const struct route *route, struct strbuf *out)
{
	char text[PREFIX_TEXT_SIZE];

	strbuf_printf(out, "        - to: \"%s\"\n", prefix_format(&route->to, text));
	if (route->nexthops[0].via.family)
		strbuf_printf(out, "          via: \"%s\"\n", ip_format(&route->nexthops[0].via, text));
	else
		strbuf_add(out, "          scope: link\n");
	if (strcmp(route->table, "main") != 0)
		strbuf_printf(out, "          table: %s\n", route->table);
}

static bool seen_before(const struct members *members, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (strcmp(device_of(members->items[j]), device_of(members->items[i])) == 0)
			return true;
	return false;
}

/* One mapping for each device: a key twice would not be YAML. */
static void put_netplan_kind(const struct subject *subject, const struct members *members, const char *kind,
			     struct strbuf *out)
{
	bool any = false;

	for (size_t i = 0; i < members->count; i++) {
		const char *device = device_of(members->items[i]);

		if (seen_before(members, i) || strcmp(netplan_kind(subject->host, device), kind) != 0)
			continue;
		strbuf_printf(out, "%s%s%s    %s:\n      routes:\n", any ? "" : "  ", any ? "" : kind, any ? "" : ":\n",
			      device);
		any = true;
		for (size_t j = i; j < members->count; j++)
			if (strcmp(device_of(members->items[j]), device) == 0)
				put_netplan_route(members->items[j]->route.entry, out);
	}
}

static void write_netplan(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	static const char *const kinds[] = {"ethernets", "bridges", "vlans", "bonds"};

	strbuf_add(out, "network:\n  version: 2\n");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		put_netplan_kind(subject, members, kinds[i], out);
}

/* Of an interface that netplan does not configure it would make one without addresses. */
static void more_netplan(const struct subject *subject, struct permanent *permanent)
{
	permanent->needs = arena_printf(subject->arena,
					"command -v netplan && grep -qsE '^ +\"?%s\"?:' /etc/netplan/*.yaml "
					"/run/netplan/*.yaml /lib/netplan/*.yaml",
					device_of(subject->change));
}

static bool has_network_manager(const struct subject *subject)
{
	return is_route(subject) && (is_red_hat(subject->host) || has_node(subject->host, "/etc/NetworkManager") ||
				     has_program(subject->host, "NetworkManager"));
}

static void write_network_manager(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	const struct route *route = members->items[0]->route.entry;
	const char *device = device_of(members->items[0]);
	char to[PREFIX_TEXT_SIZE], via[IP_TEXT_SIZE];
	bool other_table = strcmp(route->table, "main") != 0;

	(void)subject;
	strbuf_printf(out,
		      "nmcli connection modify \"$(nmcli -g GENERAL.CONNECTION device show %s)\" +ipv%c.routes "
		      "\"%s%s%s%s%s\" && nmcli device reapply %s",
		      device, route->family == AF_INET6 ? '6' : '4', prefix_format(&route->to, to),
		      route->nexthops[0].via.family ? " " : "",
		      route->nexthops[0].via.family ? ip_format(&route->nexthops[0].via, via) : "",
		      other_table ? " table=" : "", other_table ? route->table : "", device);
}

static void more_network_manager(const struct subject *subject, struct permanent *permanent)
{
	char *undo = arena_strdup(subject->arena, permanent->text), *plus = strstr(undo, " +ipv");

	if (plus)
		plus[1] = '-';
	permanent->undo = undo;
	/* What NetworkManager has found by itself, or netplan has made for it, is kept in /run. */
	permanent->needs = arena_printf(
		subject->arena,
		"nmcli -t -f DEVICE,FILENAME connection show --active 2>/dev/null | grep -qE '^%s:/(etc|usr)/'",
		device_of(subject->change));
}

/* Debian's own; also what is taken for it where nothing is known. */
static bool has_ifupdown(const struct subject *subject)
{
	static const char *const others[] = {"arch", "opensuse-leap", "opensuse-tumbleweed", "alpine", NULL};

	if (!is_route(subject) || has_netplan(subject))
		return false;
	return has_node(subject->host, "/etc/network/interfaces") ||
	       !(is_red_hat(subject->host) || is_distribution(subject->host, others) ||
		 has_node(subject->host, "/etc/systemd/network"));
}

static const char *ifupdown_file(const struct subject *subject __attribute__((unused)))
{
	return "/etc/network/if-up.d/nestvisor";
}

static void write_ifupdown(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	strbuf_add(out, "#!/bin/sh\n");
	for (size_t i = 0; i < members->count; i++)
		strbuf_printf(out, "[ \"$IFACE\" != \"%s\" ] || %s\n", device_of(members->items[i]),
			      made_once(subject->arena, members->items[i], "; "));
	strbuf_add(out, "exit 0\n");
}

static bool has_networkd(const struct subject *subject)
{
	return is_route(subject) && !has_netplan(subject) && has_node(subject->host, "/etc/systemd/network");
}

/* A drop-in beside the file that the interface has already. */
static const char *networkd_drop_in(const struct subject *subject)
{
	return arena_printf(subject->arena,
			    "/etc/systemd/network/$(basename \"$(networkctl status %s | sed -n 's/^ *Network File: "
			    "*//p')\").d/nestvisor.conf",
			    device_of(subject->change));
}

static void put_networkd_route(const struct route *route, struct strbuf *out)
{
	char text[PREFIX_TEXT_SIZE];

	strbuf_printf(out, "[Route]\nDestination=%s\n", prefix_format(&route->to, text));
	if (route->nexthops[0].via.family)
		strbuf_printf(out, "Gateway=%s\n", ip_format(&route->nexthops[0].via, text));
	if (strcmp(route->table, "main") != 0)
		strbuf_printf(out, "Table=%s\n", route->table);
}

static void write_networkd(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	cleanup_strbuf struct strbuf route = {0};

	put_networkd_route(members->items[0]->route.entry, &route);
	strbuf_printf(out, "f=\"%s\" && mkdir -p \"${f%%/*}\" && printf '", networkd_drop_in(subject));
	for (const char *c = route.text; *c; c++) {
		if (*c == '\n')
			strbuf_add(out, "\\n");
		else
			strbuf_add_char(out, *c);
	}
	strbuf_add(out, "' >>\"$f\"\n");
}

static void more_networkd(const struct subject *subject, struct permanent *permanent)
{
	cleanup_strbuf struct strbuf route = {0};

	put_networkd_route(subject->change->route.entry, &route);
	permanent->line = arena_strdup(subject->arena, route.text);
	permanent->find =
		arena_printf(subject->arena, "networkctl status %s | grep -q 'Network File: */' && echo \"%s\"",
			     device_of(subject->change), networkd_drop_in(subject));
}

/* ---- sysctls ---- */

static bool is_sysctl(const struct subject *subject)
{
	return subject->change->kind == CHANGE_SYSCTL;
}

static const char *sysctl_file(const struct subject *subject __attribute__((unused)))
{
	return "/etc/sysctl.d/90-nestvisor.conf";
}

static void write_sysctl(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	(void)subject;
	for (size_t i = 0; i < members->count; i++)
		strbuf_printf(out, "%s = %s\n", members->items[i]->sysctl.name, members->items[i]->sysctl.value);
}

/* ---- rules ---- */

static bool is_libvirt_rule(const struct subject *subject)
{
	return is_rule(subject) && !is_nft(subject) &&
	       (chain_mentions(subject, "virbr") || chain_mentions(subject, "LIBVIRT_"));
}

static bool is_docker_rule(const struct subject *subject)
{
	return is_rule(subject) && strcmp(subject->change->rule.chain, "DOCKER-USER") == 0;
}

static bool is_ufw_rule(const struct subject *subject)
{
	return is_rule(subject) && !is_nft(subject) && chain_mentions(subject, "ufw-");
}

static const char *ufw_file(const struct subject *subject)
{
	return subject->change->rule.family == FAMILY_IP6 ? "/etc/ufw/before6.rules" : "/etc/ufw/before.rules";
}

/* ufw's own chains of that name are asked before those that its users fill, and before its policy. */
static const char *ufw_rule(struct arena *arena, const struct change *change)
{
	char *chain = arena_strdup(arena, change->rule.chain);

	for (char *c = chain; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	return arena_printf(arena, "ufw%s-before-%s %s", change->rule.family == FAMILY_IP6 ? "6" : "", chain,
			    change->rule.text);
}

static void write_ufw(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	strbuf_printf(out, "-A %s\n", ufw_rule(subject->arena, members->items[0]));
}

/* Once ufw has loaded it, it is in force there as well. */
static void more_ufw(const struct subject *subject, struct permanent *permanent)
{
	permanent->undo = arena_printf(subject->arena, "%s -D %s 2>/dev/null || true",
				       subject->change->rule.family == FAMILY_IP6 ? "ip6tables" : "iptables",
				       ufw_rule(subject->arena, subject->change));
}

static bool is_firewalld_rule(const struct subject *subject)
{
	return is_rule(subject) && is_nft(subject) && strcmp(subject->change->rule.table, "firewalld") == 0;
}

static bool is_iptables_rule(const struct subject *subject)
{
	return is_rule(subject) && !is_nft(subject) && subject->change->rule.family != FAMILY_BRIDGE &&
	       !is_ufw_rule(subject);
}

static bool is_iptables_services(const struct subject *subject)
{
	return is_iptables_rule(subject) && is_red_hat(subject->host);
}

static bool is_netfilter_persistent(const struct subject *subject)
{
	return is_iptables_rule(subject) && !is_red_hat(subject->host) && !is_docker_rule(subject);
}

static const char *services_file(const struct subject *subject)
{
	return subject->change->rule.family == FAMILY_IP6 ? "/etc/sysconfig/ip6tables" : "/etc/sysconfig/iptables";
}

static const char *persistent_file(const struct subject *subject)
{
	return subject->change->rule.family == FAMILY_IP6 ? "/etc/iptables/rules.v6" : "/etc/iptables/rules.v4";
}

static void write_saved_rule(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	const struct change *change = members->items[0];
	const char *behind = change->rule.behind;

	if (behind)
		strbuf_printf(out, "# in *%s, in front of: %s\n", change->rule.table, behind);
	else
		strbuf_printf(out, "# in *%s\n", change->rule.table);
	strbuf_printf(out, "-A %s %s\n", change->rule.chain, change->rule.text);
}

/* libvirt comes later and puts its rules in front of those that were loaded, but for those that it finds there. */
static const char *saved_with_libvirts(const struct subject *subject, const struct permanent *permanent)
{
	if (!permanent->before || strchr(permanent->before, '\''))
		return "false";
	return arena_printf(subject->arena, "grep -qF -e '%s' %s", permanent->before, permanent->file);
}

static void more_saved_rule(const struct subject *subject, struct permanent *permanent)
{
	const struct change *change = subject->change;

	permanent->table = change->rule.table;
	permanent->line = arena_printf(subject->arena, "-A %s %s", change->rule.chain, change->rule.text);
	permanent->before = change->rule.behind;
	permanent->check = arena_printf(subject->arena, "%s --test <\"$1\"",
					change->rule.family == FAMILY_IP6 ? "ip6tables-restore" : "iptables-restore");
	if (is_libvirt_rule(subject))
		permanent->needs = saved_with_libvirts(subject, permanent);
}

static bool is_ebtables_rule(const struct subject *subject)
{
	return is_rule(subject) && !is_nft(subject) && subject->change->rule.family == FAMILY_BRIDGE;
}

static bool is_nft_rule(const struct subject *subject)
{
	return is_rule(subject) && is_nft(subject) && !is_firewalld_rule(subject);
}

static const char *nft_file(const struct subject *subject)
{
	return is_red_hat(subject->host) ? "/etc/sysconfig/nftables.conf" : "/etc/nftables.conf";
}

static void write_nft(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	(void)subject;
	strbuf_add(out, "# at the end\n");
	for (size_t i = 0; i < members->count; i++)
		strbuf_printf(out, "%s\n", members->items[i]->command + strlen("nft "));
}

/* ---- whatever else ---- */

static bool needs_service(const struct subject *subject)
{
	return subject->change->kind == CHANGE_POLICY || subject->change->kind == CHANGE_LINK ||
	       is_docker_rule(subject) || is_ebtables_rule(subject) || is_firewalld_rule(subject);
}

static const char *service_file(const struct subject *subject __attribute__((unused)))
{
	return "/etc/systemd/system/nestvisor-fix.service";
}

/* systemd reads '%', '$' and quotes itself; a shell reads the rest. */
static void write_service(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	strbuf_add(out, "[Unit]\nDescription=Changes that nestvisor fix proposed\n"
			"After=network-online.target docker.service firewalld.service libvirtd.service\n"
			"Wants=network-online.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n");
	for (size_t i = 0; i < members->count; i++) {
		strbuf_add(out, "ExecStart=/bin/sh -c \"");
		put_escaped(made_once(subject->arena, members->items[i], "; "), out);
		strbuf_add(out, "\"\n");
	}
	strbuf_add(out, "\n[Install]\nWantedBy=multi-user.target\n");
}

bool lasting_is_labs_table(enum backend backend, const char *table)
{
	static const char own[] = "nestvisor";
	const char *rest = table + sizeof(own) - 1;

	return backend == BACKEND_NFTABLES && strncmp(table, own, sizeof(own) - 1) == 0 && (!*rest || *rest == '-');
}

static bool is_own_rule(const struct subject *subject)
{
	const struct change *change = subject->change;

	return is_rule(subject) && lasting_is_labs_table(change->rule.backend, change->rule.table);
}

/* What `up` makes, and makes anew. */
static bool is_made_anew(const struct subject *subject)
{
	for (const char *const *name = subject->made; name && *name; name++)
		if (strcmp(*name, subject->host->name) == 0)
			return true;
	return is_own_rule(subject);
}

static void write_own(const struct subject *subject, const struct members *members, struct strbuf *out)
{
	const struct change *change = subject->change;

	(void)members;
	if (change->kind == CHANGE_NAT && change->rule.wish->publish.family)
		strbuf_add(out, "a `publish` line of the guest in the lab file does: `nestvisor up` makes it so");
	else if (is_own_rule(subject))
		strbuf_add(out, "the lab file decides (publish, world, uplink): `nestvisor up` makes these rules anew");
	else
		strbuf_add(out, "the lab file decides: `nestvisor up` makes this host anew");
}

/* What libvirt's own rules stand in front of is put there anew whenever libvirt does the same, in WSL, too. */
static bool in_wsl_itself(const struct subject *subject)
{
	return in_wsl(subject) && !is_libvirt_rule(subject);
}

static const struct form forms[] = {
	{"lab file", is_made_anew, no_file, write_own, .alone = true, .last = true, .placing = PLACE_NOWHERE,
	 .needs = "false"},
	{"wsl.conf", in_wsl_itself, wsl_file, write_wsl, .last = true, .placing = PLACE_SETTING},
	{"libvirt hook", is_libvirt_route, hook_file, write_hook, .last = true, .placing = PLACE_SCRIPT,
	 .needs = "[ -d /etc/libvirt ]", .executable = true},
	{"netplan", has_netplan, netplan_file, write_netplan, .placing = PLACE_OWN, .more = more_netplan,
	 .then = "chmod 600 \"$1\" && netplan generate", .undo = "rm -f \"$1\"; netplan generate"},
	{"NetworkManager", has_network_manager, no_file, write_network_manager, .alone = true, .placing = PLACE_COMMAND,
	 .more = more_network_manager},
	{"ifupdown", has_ifupdown, ifupdown_file, write_ifupdown, .placing = PLACE_SCRIPT,
	 .needs = "[ -d /etc/network/if-up.d ] && command -v ifup >/dev/null", .executable = true},
	{"systemd-networkd", has_networkd, no_file, write_networkd, .alone = true, .placing = PLACE_LINES,
	 .needs = "networkctl is-active >/dev/null 2>&1 || systemctl -q is-active systemd-networkd",
	 .more = more_networkd},
	{"sysctl.d", is_sysctl, sysctl_file, write_sysctl, .last = true, .placing = PLACE_LINES,
	 .needs = "[ -d /etc/sysctl.d ]"},
	{"ufw", is_ufw_rule, ufw_file, write_ufw, .alone = true, .last = true, .placing = PLACE_UFW,
	 .needs = "[ -e /etc/ufw/before.rules ]", .more = more_ufw},
	{"iptables-services", is_iptables_services, services_file, write_saved_rule, .alone = true,
	 .placing = PLACE_SAVED, .needs = "[ -e /etc/sysconfig/iptables ]", .more = more_saved_rule},
	{"netfilter-persistent", is_netfilter_persistent, persistent_file, write_saved_rule, .alone = true,
	 .placing = PLACE_SAVED, .needs = "[ -d /etc/iptables ]", .more = more_saved_rule},
	{"nftables.conf", is_nft_rule, nft_file, write_nft, .placing = PLACE_END,
	 .needs = "systemctl -q is-enabled nftables 2>/dev/null || rc-update 2>/dev/null | grep -q nftables",
	 .check = "nft -c -f \"$1\""},
	{"libvirt hook", is_libvirt_rule, hook_file, write_hook, .last = true, .placing = PLACE_SCRIPT,
	 .needs = "[ -d /etc/libvirt ]", .executable = true},
	{"systemd", needs_service, service_file, write_service, .placing = PLACE_OWN,
	 .needs = "[ -d /run/systemd/system ]", .then = "systemctl daemon-reload && systemctl -q enable \"${1##*/}\"",
	 .undo = "systemctl -q disable \"${1##*/}\"; rm -f \"$1\"; systemctl daemon-reload"},
};

/* ---- all of a host's changes together ---- */

static struct subject subject_of(struct arena *arena, const struct bundle *bundle, const char *const *made,
				 const struct change *change)
{
	return (struct subject){arena, bundle, bundle_host(bundle, change->host), change, made};
}

/* The forms for a change, as bits; those behind one that is the last are not among them. */
static unsigned forms_for(const struct subject *subject)
{
	unsigned found = 0;

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if (!forms[i].applies(subject))
			continue;
		found |= 1u << i;
		if (forms[i].last)
			break;
	}
	return found;
}

static bool same_file(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* With whom a change shares the form's file: two forms may write to one. */
static struct members members_of(const struct subject *subject, const struct form *form, struct change *const *changes,
				 size_t count)
{
	struct members members = {{subject->change}, 1};

	if (form->alone)
		return members;
	members.count = 0;
	for (size_t i = 0; i < count && members.count < MEMBERS_MAX; i++) {
		struct subject other = subject_of(subject->arena, subject->bundle, subject->made, changes[i]);
		unsigned theirs = forms_for(&other);
		bool shares = false;

		for (size_t j = 0; j < sizeof(forms) / sizeof(*forms); j++)
			shares |= (theirs >> j & 1) && same_file(forms[j].file(&other), form->file(subject));
		if (shares && strcmp(changes[i]->host, subject->change->host) == 0)
			members.items[members.count++] = changes[i];
	}
	return members;
}

static struct permanent permanent_of(const struct subject *subject, const struct form *form, const char *text)
{
	struct permanent permanent = {.how = form->how,
				      .file = form->file(subject),
				      .text = arena_strdup(subject->arena, text),
				      .placing = form->placing,
				      .executable = form->executable,
				      .needs = form->needs,
				      .check = form->check,
				      .then = form->then,
				      .undo = form->undo};

	if (form->more)
		form->more(subject, &permanent);
	return permanent;
}

static void find_forms(const struct subject *subject, struct change *change, struct change *const *changes,
		       size_t count)
{
	unsigned found = forms_for(subject);

	change->permanent = NULL;
	change->permanent_count = 0;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		cleanup_strbuf struct strbuf text = {0};
		struct members members;

		if (!(found >> i & 1))
			continue;
		members = members_of(subject, &forms[i], changes, count);
		forms[i].write(subject, &members, &text);
		*arena_push(subject->arena, change->permanent, change->permanent_count) =
			permanent_of(subject, &forms[i], text.text ? text.text : "");
	}
}

void lasting_find(struct arena *arena, const struct bundle *bundle, const char *const *made,
		  struct change *const *changes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct subject subject = subject_of(arena, bundle, made, changes[i]);

		find_forms(&subject, changes[i], changes, count);
	}
}

struct permanent lasting_service(struct arena *arena, const struct bundle *bundle, const struct change *change)
{
	struct subject subject = subject_of(arena, bundle, NULL, change);
	struct members alone = {{change}, 1};
	const struct form *form = &forms[sizeof(forms) / sizeof(*forms) - 1];
	cleanup_strbuf struct strbuf text = {0};

	write_service(&subject, &alone, &text);
	return permanent_of(&subject, form, text.text);
}
