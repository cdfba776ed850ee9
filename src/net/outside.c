/*
 * Whether a machine forwards is decided in two places. The sysctl: IPv4 asks the flag of the interface by which a
 * packet comes in, which for answers is that of the default route; IPv6 has one for all. And the firewall: an accept in
 * a table of ours does not help where another base chain at the same hook drops (nft(8), "accept ends only its own
 * chain"). Docker and ufw set such a policy. A machine whose rules name our interface has been told by its owner what
 * to do with it, and is left alone.
 */
#include "net/outside.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/report.h"
#include "model/lab.h"
#include "net/route.h"
#include "net/ruleset.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { MTU_DEFAULT = 1500, MTU_LEAST = 1280 /* IPv6 asks for that much (RFC 8200, section 5) */ };

static bool sysctl_forwards(const char *family, const char *interface)
{
	cleanup_free char *text = NULL;
	char path[96];
	size_t length;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/forwarding", family, interface);
	return file_read(path, 64, &text, &length, NULL) == 0 && text[0] == '1';
}

static int take_default(struct netlink *root, const struct route *route, struct outside *ret, struct error **err)
{
	cleanup_free struct link *links = NULL;
	size_t count = 0;
	int r = link_list(root, &links, &count, err);

	ret->default4 = true;
	for (size_t i = 0; r == 0 && i < count; i++)
		if (links[i].index == route->interface) {
			memcpy(ret->interface, links[i].name, sizeof(ret->interface));
			ret->mtu = links[i].mtu < MTU_LEAST ? MTU_LEAST : links[i].mtu;
		}
	return r;
}

static int find_defaults(struct netlink *root, struct outside *ret, struct error **err)
{
	cleanup_free struct route *routes = NULL;
	size_t count = 0;
	int r = route_list(root, &routes, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (routes[i].to.length || routes[i].type != RTN_UNICAST || routes[i].table != RT_TABLE_MAIN)
			continue;
		if (routes[i].to.ip.family == AF_INET6)
			ret->default6 = true;
		else if (!ret->default4) /* the kernel lists them by their metric */
			r = take_default(root, &routes[i], ret, err);
	}
	return r;
}

/* "table ip filter {" → "ip filter"; the same for a chain within it. */
static bool names(const char *line, const char *what, char *ret, size_t size)
{
	const char *start = line + strspn(line, " \t"), *end = strstr(start, " {");
	size_t length = strlen(what);

	if (strncmp(start, what, length) != 0 || !end || end < start + length)
		return false;
	snprintf(ret, size, "%.*s", (int)(end - start - (ptrdiff_t)length), start + length);
	return true;
}

static void note_chain(const char *table, const char *chain, struct outside *ret)
{
	bool both = strncmp(table, "inet ", 5) == 0;

	if ((both || strncmp(table, "ip ", 3) == 0) && !ret->chain4[0])
		snprintf(ret->chain4, sizeof(ret->chain4), "%.60s %.30s", table, chain);
	if ((both || strncmp(table, "ip6 ", 4) == 0) && !ret->chain6[0])
		snprintf(ret->chain6, sizeof(ret->chain6), "%.60s %.30s", table, chain);
}

void outside_find_drops(const char *chains, struct outside *ret)
{
	char table[96] = "", chain[96] = "", line[256];

	for (const char *at = chains; *at;) {
		size_t length = strcspn(at, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)length, at);
		at += length + (at[length] == '\n');
		if (!names(line, "table ", table, sizeof(table)) && !names(line, "chain ", chain, sizeof(chain)) &&
		    strstr(line, "type filter hook forward ") && strstr(line, "policy drop;"))
			note_chain(table, chain, ret);
	}
}

/* Whether a rule of somebody else's names our interface. */
static bool is_named(const char *rules, const struct net_names *ours)
{
	char table[96] = "", line[512], quoted[LINK_NAME_SIZE + 3], own[96];
	bool found = false;

	snprintf(quoted, sizeof(quoted), "\"%s\"", ours->veth);
	snprintf(own, sizeof(own), "inet %s", ours->netns);
	for (const char *at = rules; *at && !found;) {
		size_t length = strcspn(at, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)length, at);
		at += length + (at[length] == '\n');
		if (!names(line, "table ", table, sizeof(table)) && strcmp(table, own) != 0)
			found = strstr(line, quoted) != NULL;
	}
	return found;
}

static int look_at_firewall(const struct net *net, struct outside *ret, struct error **err)
{
	cleanup_free char *chains = NULL, *rules = NULL;
	int r = ruleset_list(-1, "list chains", &chains, err);

	if (r < 0)
		return r;
	outside_find_drops(chains, ret);
	if (!ret->chain4[0] && !ret->chain6[0])
		return 0;
	r = ruleset_list(-1, "list ruleset", &rules, err);
	if (r == 0 && is_named(rules, &net->names))
		ret->chain4[0] = ret->chain6[0] = '\0';
	return r;
}

int outside_look(struct net *net, struct netlink *root, struct outside *ret, struct error **err)
{
	int r;

	*ret = (struct outside){.mtu = MTU_DEFAULT};
	r = find_defaults(root, ret, err);
	if (r < 0)
		return r;
	ret->forwards4 = sysctl_forwards("ipv4", ret->interface[0] ? ret->interface : "all");
	ret->forwards6 = sysctl_forwards("ipv6", "all");
	if (net->lab->root->layer > 0 ||
	    (!ret->forwards4 && !ret->forwards6)) /* a host of the lab has what the lab says */
		return 0;
	r = look_at_firewall(net, ret, err);
	ret->forwards4 = ret->forwards4 && !ret->chain4[0];
	ret->forwards6 = ret->forwards6 && !ret->chain6[0];
	return r;
}

int outside_switch_on(struct outside *outside, struct error **err)
{
	int r = outside->forwards4 ? 0 : file_poke("/proc/sys/net/ipv4/ip_forward", "1", err);

	if (r == 0 && !outside->forwards6 && file_exists("/proc/sys/net/ipv6"))
		r = file_poke("/proc/sys/net/ipv6/conf/all/forwarding", "1", err);
	if (r == 0)
		outside->forwards4 = outside->forwards6 = true;
	return r;
}

/* How to let one lab's packets through a chain that drops: nft(8) on it, which iptables-nft's chains understand as
 * well. */
static void tell_rules(const char *chain, const char *veth, char *ret, size_t size)
{
	snprintf(ret, size,
		 "`nft insert rule %s iifname %s accept; nft insert rule %s oifname %s ct state established,related "
		 "accept`",
		 chain, veth, chain, veth);
}

void outside_warn(const struct net *net, const struct outside *outside, bool pasta_failed, struct reporter *reporter)
{
	const char *otherwise = pasta_failed
					? "pasta, which would do without, does not start here"
					: "or install pasta, which does without, `apt install passt`, and run up again";
	char rules[512];

	if (outside->chain4[0]) {
		tell_rules(outside->chain4, net->names.veth, rules, sizeof(rules));
		report(reporter, REPORT_WARNING, "uplink",
		       "the lab has no way out: this machine's firewall drops what is forwarded (chain %s, policy "
		       "drop). Let this "
		       "lab through, %s; %s",
		       outside->chain4, rules, otherwise);
		return;
	}
	report(reporter, REPORT_WARNING, "uplink",
	       "the lab has no way out: this machine does not forward IPv4%s%s. Let it, `sysctl -w "
	       "net.ipv4.ip_forward=1`; %s",
	       outside->interface[0] ? " from " : "", outside->interface, otherwise);
}

void outside_warn6(const struct net *net, const struct outside *outside, struct reporter *reporter)
{
	char rules[512];

	if (outside->chain6[0]) {
		tell_rules(outside->chain6, net->names.veth, rules, sizeof(rules));
		report(reporter, REPORT_WARNING, "uplink",
		       "the lab has no way out over IPv6: this machine's firewall drops what is forwarded (chain %s, "
		       "policy "
		       "drop). Let this lab through, %s",
		       outside->chain6, rules);
		return;
	}
	report(reporter, REPORT_WARNING, "uplink",
	       "the lab has no way out over IPv6: this machine does not forward it. Let it, `sysctl -w "
	       "net.ipv6.conf.all.forwarding=1` (where its own address comes from router advertisements, set "
	       "accept_ra=2 on that "
	       "interface first)");
}
