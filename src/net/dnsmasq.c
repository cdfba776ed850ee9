/*
 * Names. A guest is called by its path, the innermost first, below the lab's name: hv1/a of the lab first is
 * a.hv1.first. The guests of this host can also be called without what is the same for all of them: a, and a.first.
 * Guests of deeper layers are known as far as they can be reached from here.
 *
 * A host's dnsmasq answers for its own part of that tree only and asks its resolver for the rest; on a guest of a lab
 * that is the dnsmasq of the layer above, which knows the whole tree below it.
 */
#include "net/dnsmasq.h"

#include "model/lab.h"
#include "net/reach.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Of IPv6 addresses that are given out: that many from ::1000 on. */
enum { RANGE6_FIRST = 0x1000, RANGE6_LAST = 0x1fff };

/* The path backwards and the lab: "a.hv1.first"; the lab alone for the path "". */
static void add_name(struct strbuf *out, const struct lab *lab, const char *path)
{
	size_t end = strlen(path);

	while (end > 0) {
		size_t start = end;

		while (start > 0 && path[start - 1] != '/')
			start--;
		strbuf_add_bytes(out, path + start, end - start);
		strbuf_add_char(out, '.');
		end = start ? start - 1 : 0;
	}
	strbuf_add(out, lab->name);
}

static void add_record(struct strbuf *out, const struct lab *lab, const struct guest *guest)
{
	const uint8_t families[] = {AF_INET, AF_INET6};
	cleanup_strbuf struct strbuf addresses = {0};

	for (int f = 0; f < 2; f++) {
		const struct nic *nic = reach_nic(guest, families[f]);
		char text[IP_TEXT_SIZE];

		if (!nic || !reach_entry(lab->root, nic->network, families[f]))
			continue;
		strbuf_printf(&addresses, ",%s",
			      ip_format(families[f] == AF_INET ? &nic->address4 : &nic->address6, text));
	}
	if (!addresses.length)
		return;
	strbuf_add(out, "host-record=");
	add_name(out, lab, guest->path);
	if (guest->parent == lab->root) {
		strbuf_printf(out, ",%s", guest->name);
		if (strchr(guest->path, '/'))
			strbuf_printf(out, ",%s.%s", guest->name, lab->name);
	}
	strbuf_printf(out, "%s\n", addresses.text);
}

/* Names below the host's own are never asked of the world: of nobody, or of `whom`. */
static void add_records(struct strbuf *out, const struct lab *lab, const struct ip *whom)
{
	char text[IP_TEXT_SIZE] = "";

	strbuf_printf(out, "domain-needed\nlocalise-queries\n%s=/", whom ? "server" : "local");
	add_name(out, lab, lab->root->path);
	strbuf_printf(out, "/%s\n", whom ? ip_format(whom, text) : "");
	for (size_t i = 0; i < lab->guest_count; i++)
		add_record(out, lab, lab->guests[i]);
}

static void add_dns(struct strbuf *out, const struct lab *lab, const struct network *network, const struct ip *upstream,
		    size_t upstream_count)
{
	char text[IP_TEXT_SIZE];

	if (!network->dns) {
		strbuf_add(out, "port=0\n");
		return;
	}
	add_records(out, lab, NULL);
	strbuf_add(out, "conntrack\n"); /* for whom it asks the world: the rules want to know (rules.c) */
	for (size_t i = 0; network->uplink != UPLINK_NONE && i < upstream_count; i++)
		strbuf_printf(out, "server=%s\n", ip_format(&upstream[i], text));
}

static void add_leases(struct strbuf *out, const struct lab *lab, const struct network *network)
{
	for (size_t i = 0; i < lab->root->guest_count; i++)
		for (size_t j = 0; j < lab->root->guests[i]->nic_count; j++) {
			const struct nic *nic = &lab->root->guests[i]->nics[j];
			char mac[MAC_TEXT_SIZE], text[IP_TEXT_SIZE];

			if (nic->network != network)
				continue;
			strbuf_printf(out, "dhcp-host=%s", mac_format(nic->mac, mac));
			if (nic->address4.family)
				strbuf_printf(out, ",%s", ip_format(&nic->address4, text));
			if (nic->address6.family)
				strbuf_printf(out, ",[%s]", ip_format(&nic->address6, text));
			strbuf_printf(out, ",%s\n", nic->guest->name);
		}
}

static void add_range4(struct strbuf *out, const struct network *network)
{
	struct ip first = network->dhcp_first, last = network->dhcp_last, mask = {.family = AF_INET};
	unsigned length = network->subnet4.length;
	char a[IP_TEXT_SIZE], b[IP_TEXT_SIZE], c[IP_TEXT_SIZE];

	for (unsigned bit = 0; bit < length; bit++)
		mask.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	if (!first.family && length <= 29) {
		uint64_t size = UINT64_C(1) << (32 - length);

		first = prefix_host(&network->subnet4, (uint32_t)(size / 2));
		last = prefix_host(&network->subnet4, (uint32_t)(size - 2)); /* the one before the broadcast address */
	}
	if (first.family && last.family)
		strbuf_printf(out, "dhcp-range=%s,%s,%s,12h\n", ip_format(&first, a), ip_format(&last, b),
			      ip_format(&mask, c));
	else /* room for fixed addresses only */
		strbuf_printf(out, "dhcp-range=%s,static,%s,12h\n", ip_format(&network->subnet4.ip, a),
			      ip_format(&mask, c));
	strbuf_printf(out, "dhcp-option=option:router,%s\ndhcp-option=option:mtu,%u\n",
		      ip_format(&network->gateway4, a), network->mtu);
	/* Without a value: that there is none, rather than dnsmasq itself. */
	strbuf_printf(out, "dhcp-option=option:dns-server%s%s\n", network->dns ? "," : "", network->dns ? a : "");
}

static void add_range6(struct strbuf *out, const struct network *network)
{
	struct ip first = prefix_host(&network->subnet6, RANGE6_FIRST);
	struct ip last = prefix_host(&network->subnet6, RANGE6_LAST);
	char a[IP_TEXT_SIZE], b[IP_TEXT_SIZE];

	if (network->subnet6.length < 64 ||
	    network->subnet6.length > 115) /* what dnsmasq takes; what holds the range */
		return;
	strbuf_printf(out, "enable-ra\ndhcp-range=%s,%s,%u,12h\n", ip_format(&first, a), ip_format(&last, b),
		      network->subnet6.length);
	strbuf_printf(out, "ra-param=%s,mtu:%u,60\n", network->bridge, network->mtu);
	if (network->dns)
		strbuf_printf(out, "dhcp-option=option6:dns-server,[%s]\n", ip_format(&network->gateway6, a));
	else
		strbuf_add(out, "dhcp-option=option6:dns-server\n");
}

static void add_dhcp(struct strbuf *out, const struct lab *lab, const struct network *network, const char *files)
{
	if (!network->dhcp)
		return;
	strbuf_printf(out, "dhcp-authoritative\nno-ping\nquiet-dhcp\nquiet-dhcp6\nquiet-ra\ndhcp-leasefile=%s.leases\n",
		      files);
	/* A guest is called what the lab calls it, whatever it says of itself. */
	strbuf_add(out, "dhcp-ignore-names\ndomain=");
	add_name(out, lab, lab->root->path);
	strbuf_add(out, "\n");
	if (network->subnet4.ip.family)
		add_range4(out, network);
	if (network->subnet6.ip.family)
		add_range6(out, network);
	add_leases(out, lab, network);
}

static void add_head(struct strbuf *out, const struct lab *lab, const struct network *network, const char *files,
		     const char *user)
{
	strbuf_printf(out, "# The network %s of the lab %s. Written by nestvisor: changes are lost.\n", network->path,
		      lab->name);
	/* No file of its own with its number: the one it takes by itself is the machine's, and two that start together
	 * fight for it. */
	strbuf_printf(out,
		      "interface=%s\nexcept-interface=lo\nbind-interfaces\nno-hosts\nno-resolv\nuser=%s\npid-file=\n"
		      "log-facility=%s.log\n",
		      network->bridge, user, files);
}

void dnsmasq_format(const struct lab *lab, const struct network *network, const char *files, const char *user,
		    const struct ip *upstream, size_t upstream_count, struct strbuf *out)
{
	add_head(out, lab, network, files, user);
	add_dns(out, lab, network, upstream, upstream_count);
	add_dhcp(out, lab, network, files);
}

void dnsmasq_format_for_cut(const struct lab *lab, const struct network *network, const char *files, const char *user,
			    struct strbuf *out)
{
	const struct ip *other = network->gateway4.family ? &network->gateway4 : &network->gateway6;

	add_head(out, lab, network, files, user);
	strbuf_printf(out, "port=%d\ncache-size=0\n", DNSMASQ_CUT_PORT);
	add_records(out, lab, network->dhcp ? other : NULL);
}

/* Loopback, and link-local, which is of one link of the machine. */
static bool is_local(const struct ip *ip)
{
	const struct ip six = {AF_INET6, {[15] = 1}};

	return (ip->family == AF_INET && ip->bytes[0] == 127) || ip_equal(ip, &six) ||
	       (ip->family == AF_INET6 && ip->bytes[0] == 0xfe);
}

size_t dnsmasq_resolvers(const char *resolv_conf, struct ip *ret, size_t max)
{
	size_t count = 0;

	for (const char *line = resolv_conf; line && *line && count < max;) {
		char address[IP_TEXT_SIZE];
		const char *end = strchr(line, '\n');

		if (sscanf(line, "nameserver%*[ \t]%45[0-9a-fA-F:.]", address) == 1 && ip_parse(address, &ret[count]) &&
		    !is_local(&ret[count]))
			count++;
		line = end ? end + 1 : NULL;
	}
	return count;
}
