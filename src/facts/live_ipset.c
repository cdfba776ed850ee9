/*
 * ipsets, by netlink (linux/netfilter/ipset/ip_set.h). Each is written down in the words of `ipset save`, and that is
 * parsed: so a set means the same whoever showed it. The kernel's module for them is not loaded for the asking.
 *
 * A large set comes in several messages, of which only the first says what it is.
 */
#include "facts/live_internal.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "facts/field.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SOURCE "netlink:ipset"

enum { ATTRIBUTES = IPSET_ATTR_ADT_MAX };
_Static_assert(ATTRIBUTES >= IPSET_ATTR_CREATE_MAX && ATTRIBUTES >= IPSET_ATTR_CMD_MAX, "one table serves for all");

struct set_writer {
	struct strbuf out;
	char type[IPSET_MAXNAMELEN]; /* of the set being listed */
};

static uint32_t u32_of(const struct nlattr *attribute)
{
	return (uint32_t)live_be32(attribute).value;
}

/* {IPADDR_IPV4} or {IPADDR_IPV6} */
static struct ip ip_of(const struct nlattr *nest)
{
	const struct nlattr *a[IPSET_ATTR_IPADDR_MAX + 1];

	netlink_nested(nest, a, IPSET_ATTR_IPADDR_MAX);
	if (a[IPSET_ATTR_IPADDR_IPV4])
		return netlink_get_ip(a[IPSET_ATTR_IPADDR_IPV4], AF_INET);
	return netlink_get_ip(a[IPSET_ATTR_IPADDR_IPV6], AF_INET6);
}

static void put_address(struct strbuf *out, const struct nlattr *address, const struct nlattr *last,
			const struct nlattr *length)
{
	struct ip ip = ip_of(address), end = ip_of(last);
	char text[IP_TEXT_SIZE];

	strbuf_add(out, ip.family ? ip_format(&ip, text) : "?");
	if (length && mnl_attr_get_u8(length) < ip_bits(&ip))
		strbuf_printf(out, "/%u", mnl_attr_get_u8(length));
	else if (end.family && !ip_equal(&ip, &end))
		strbuf_printf(out, "-%s", ip_format(&end, text));
}

/* "tcp:80", "icmp:8/0"; of bitmap:port "80" */
static void put_port(struct strbuf *out, const struct nlattr *const *a)
{
	uint16_t port = a[IPSET_ATTR_PORT] ? ntohs(mnl_attr_get_u16(a[IPSET_ATTR_PORT])) : 0;
	uint8_t protocol = a[IPSET_ATTR_PROTO] ? mnl_attr_get_u8(a[IPSET_ATTR_PROTO]) : 0;
	const char *name = symbol_name(TYPE_PROTOCOL, protocol);

	if (a[IPSET_ATTR_PROTO] && name)
		strbuf_printf(out, "%s:", name);
	else if (a[IPSET_ATTR_PROTO])
		strbuf_printf(out, "%u:", protocol);
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		strbuf_printf(out, "%u/%u", port >> 8, port & 0xff);
	else
		strbuf_printf(out, "%u", port);
}

/* One part of an element, as the set's type names it; `addresses` counts those before. */
static void put_part(struct strbuf *out, struct span part, const struct nlattr *const *a, unsigned *addresses)
{
	uint32_t flags = u32_of(a[IPSET_ATTR_CADT_FLAGS]);
	char text[MAC_TEXT_SIZE];

	if (span_is(part, "ip") || span_is(part, "net")) {
		if ((*addresses)++ == 0)
			put_address(out, a[IPSET_ATTR_IP], a[IPSET_ATTR_IP_TO], a[IPSET_ATTR_CIDR]);
		else
			put_address(out, a[IPSET_ATTR_IP2], a[IPSET_ATTR_IP2_TO], a[IPSET_ATTR_CIDR2]);
	} else if (span_is(part, "port")) {
		put_port(out, a);
	} else if (span_is(part, "mac") && a[IPSET_ATTR_ETHER] && mnl_attr_get_payload_len(a[IPSET_ATTR_ETHER]) >= 6) {
		strbuf_add(out, mac_format(mnl_attr_get_payload(a[IPSET_ATTR_ETHER]), text));
	} else if (span_is(part, "iface") && a[IPSET_ATTR_IFACE]) {
		strbuf_printf(out, "%s%s%s", flags & IPSET_FLAG_PHYSDEV ? "physdev:" : "",
			      mnl_attr_get_str(a[IPSET_ATTR_IFACE]), flags & IPSET_FLAG_IFACE_WILDCARD ? "*" : "");
	} else if (span_is(part, "mark") && a[IPSET_ATTR_MARK]) {
		strbuf_printf(out, "0x%08x", u32_of(a[IPSET_ATTR_MARK]));
	} else if (span_is(part, "set") && a[IPSET_ATTR_NAME]) {
		strbuf_add(out, mnl_attr_get_str(a[IPSET_ATTR_NAME]));
	} else {
		strbuf_add_char(out, '?');
	}
}

static void put_element(struct set_writer *writer, const char *set, const struct nlattr *element)
{
	struct strbuf *out = &writer->out;
	struct span parts = span_of(writer->type);
	const struct nlattr *a[ATTRIBUTES + 1];
	unsigned addresses = 0;

	netlink_nested(element, a, ATTRIBUTES);
	strbuf_printf(out, "add %s ", set);
	span_cut(&parts, ':');
	while (parts.length > 0) {
		put_part(out, span_cut(&parts, ','), a, &addresses);
		if (parts.length > 0)
			strbuf_add_char(out, ',');
	}
	if (a[IPSET_ATTR_TIMEOUT])
		strbuf_printf(out, " timeout %u", u32_of(a[IPSET_ATTR_TIMEOUT]));
	if (u32_of(a[IPSET_ATTR_CADT_FLAGS]) & IPSET_FLAG_NOMATCH)
		strbuf_add(out, " nomatch");
	if (a[IPSET_ATTR_COMMENT])
		strbuf_printf(out, " comment \"%s\"", mnl_attr_get_str(a[IPSET_ATTR_COMMENT]));
	strbuf_add_char(out, '\n');
}

static void put_set(struct set_writer *writer, const char *set, const struct nlattr *const *header)
{
	struct strbuf *out = &writer->out;
	const struct nlattr *a[ATTRIBUTES + 1];
	uint8_t family = header[IPSET_ATTR_FAMILY] ? mnl_attr_get_u8(header[IPSET_ATTR_FAMILY]) : 0;
	uint32_t flags;

	netlink_nested(header[IPSET_ATTR_DATA], a, ATTRIBUTES);
	flags = u32_of(a[IPSET_ATTR_CADT_FLAGS]);
	strbuf_printf(out, "create %s %s", set, writer->type);
	if (strncmp(writer->type, "hash:", 5) == 0 && strcmp(writer->type, "hash:mac") != 0)
		strbuf_printf(out, " family %s", family == NFPROTO_IPV6 ? "inet6" : "inet");
	if (a[IPSET_ATTR_HASHSIZE])
		strbuf_printf(out, " hashsize %u", u32_of(a[IPSET_ATTR_HASHSIZE]));
	if (a[IPSET_ATTR_MAXELEM])
		strbuf_printf(out, " maxelem %u", u32_of(a[IPSET_ATTR_MAXELEM]));
	if (a[IPSET_ATTR_NETMASK])
		strbuf_printf(out, " netmask %u", mnl_attr_get_u8(a[IPSET_ATTR_NETMASK]));
	if (a[IPSET_ATTR_MARKMASK])
		strbuf_printf(out, " markmask 0x%08x", u32_of(a[IPSET_ATTR_MARKMASK]));
	if (a[IPSET_ATTR_TIMEOUT])
		strbuf_printf(out, " timeout %u", u32_of(a[IPSET_ATTR_TIMEOUT]));
	if (flags & IPSET_FLAG_WITH_COUNTERS)
		strbuf_add(out, " counters");
	if (flags & IPSET_FLAG_WITH_COMMENT)
		strbuf_add(out, " comment");
	strbuf_add_char(out, '\n');
}

static void take_message(const struct nlmsghdr *message, void *data)
{
	struct set_writer *writer = data;
	const struct nlattr *a[ATTRIBUTES + 1], *element;
	const char *name;

	netlink_attributes(message, sizeof(struct nfgenmsg), a, IPSET_ATTR_CMD_MAX);
	if (!a[IPSET_ATTR_SETNAME])
		return;
	name = mnl_attr_get_str(a[IPSET_ATTR_SETNAME]);
	if (a[IPSET_ATTR_TYPENAME]) {
		snprintf(writer->type, sizeof(writer->type), "%s", mnl_attr_get_str(a[IPSET_ATTR_TYPENAME]));
		put_set(writer, name, a);
	}
	if (!a[IPSET_ATTR_ADT])
		return;
	netlink_for_each_nested (element, a[IPSET_ATTR_ADT])
		put_element(writer, name, element);
}

static int list_sets(struct netlink *nl, struct set_writer *writer)
{
	struct nlmsghdr *request = netlink_begin(nl, NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST, NLM_F_DUMP);
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	int r = -EINTR;

	header->version = NFNETLINK_V0;
	/* The oldest version that all kernels here speak; what is listed is the same. */
	mnl_attr_put_u8(request, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
	for (int again = 0; again < LIVE_DUMPS_MAX && r == -EINTR; again++) {
		writer->out.length = 0;
		strbuf_add(&writer->out, "");
		r = netlink_ask(nl, request, take_message, writer);
	}
	return r;
}

static void cite_interface(struct ruleset *ruleset)
{
	ruleset->ipsets_origin.line = 0;
	for (size_t i = 0; i < ruleset->ipset_count; i++) {
		ruleset->ipsets[i].origin.line = 0;
		for (size_t j = 0; j < ruleset->ipsets[i].element_count; j++)
			ruleset->ipsets[i].elements[j].origin.line = 0;
	}
}

void live_ipsets(struct live *live)
{
	struct set_writer writer = {};
	struct netlink nl = {.fd = -1};
	cleanup_error struct error *err = NULL;
	struct ruleset *ruleset = &live->facts->ruleset;
	int r;

	if (!file_exists("/sys/module/ip_set")) { /* it has a parameter, so it shows here even where it is built in */
		ruleset->ipsets_known = TRUTH_YES;
		ruleset->ipsets_origin = (struct origin){.source = "/sys/module/ip_set"};
		return;
	}
	r = netlink_open(&nl, -1, NETLINK_NETFILTER, &err);
	if (r == 0)
		r = list_sets(&nl, &writer);
	netlink_close(&nl);
	if (r < 0)
		live_unknown(live, SOURCE, "ipset save", "ipsets: %s", strerror(-r));
	else
		cite_interface(live_parse(live, SOURCE, "ipset save", 4, parse_ipset, &(struct asked){},
					  writer.out.text, writer.out.length));
	free(writer.out.text);
}
