/*
 * Two ways to read. Netlink (linux/netfilter/nfnetlink_conntrack.h) takes a lock for every bucket of the table, which
 * is one for all namespaces: some milliseconds for a quarter of a million, however few flows there are. The file in
 * /proc takes none for empty buckets, a tenth of that time; but read(2) gives a page of it at most, and kernels
 * before 6.15 count from the beginning for each, so it is for few flows, and one may be skipped when others before it
 * end between two pages.
 */
#include "net/tracking.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/netlink.h"
#include "base/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TRIES = 5,
	FEW = 128,	   /* flows: /proc is quicker */
	PAGE_LEAST = 4096, /* what one read(2) of /proc gives when there is more */
	LINE_MOST = 512,
};

static struct nlmsghdr *begin(struct netlink *nl, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *request = netlink_begin(nl, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), flags);
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	return request;
}

/* ─── netlink ─── */

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

struct dump {
	tracking_each each;
	void *data;
};

static void take_flow(const struct nlmsghdr *message, void *data)
{
	const struct dump *dump = data;
	const struct nlattr *a[CTA_MAX + 1];
	struct flow flow = {0};

	netlink_attributes(message, sizeof(struct nfgenmsg), a, CTA_MAX);
	if (a[CTA_TUPLE_ORIG] && a[CTA_TUPLE_REPLY] && take_side(a[CTA_TUPLE_ORIG], &flow.original) &&
	    take_side(a[CTA_TUPLE_REPLY], &flow.reply))
		dump->each(&flow, dump->data);
}

/* Whether the namespace has flows, by the kernel's own count, which is there without ctnetlink as well. */
static bool has_flows(int netns)
{
	cleanup_free char *count = NULL;
	struct netns_visit visit;
	size_t length;
	int r = netns_enter(netns, &visit, NULL);

	if (r < 0)
		return true;
	r = file_read("/proc/sys/net/netfilter/nf_conntrack_count", 32, &count, &length, NULL);
	netns_leave(&visit);
	return r == 0 ? strtoul(count, NULL, 10) > 0 : r != -ENOENT;
}

static int fail_untold(struct error **err)
{
	error_set(err, EOPNOTSUPP, "cannot read the flows: the kernel tracks connections, and does not say which");
	error_hint(err, "it needs nf_conntrack_netlink (CONFIG_NF_CT_NETLINK): modprobe nf_conntrack_netlink");
	return -EOPNOTSUPP;
}

/* Both families at once: the kernel walks through one table for all of them, and all namespaces, however few are asked
 * for. */
int tracking_read(struct netlink *nl, int netns, tracking_each each, void *data, struct error **err)
{
	struct dump dump = {each, data};
	int r = -EINTR;

	for (int tries = 0; r == -EINTR && tries < TRIES; tries++)
		r = netlink_ask(nl, begin(nl, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC), take_flow, &dump);
	if (r == -EINVAL) /* no ctnetlink in this kernel, and most likely no connection tracking */
		return has_flows(netns) ? fail_untold(err) : 0;
	return r == 0 ? 0 : netlink_fail(nl, r, err, "cannot read the flows");
}

static void take_count(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *a[CTA_STATS_GLOBAL_MAX + 1];
	uint32_t *count = data;

	netlink_attributes(message, sizeof(struct nfgenmsg), a, CTA_STATS_GLOBAL_MAX);
	if (a[CTA_STATS_GLOBAL_ENTRIES])
		*count = ntohl(mnl_attr_get_u32(a[CTA_STATS_GLOBAL_ENTRIES]));
}

/* The namespace's own, which is known without a walk through the table of all. */
static uint32_t count_flows(struct netlink *nl)
{
	uint32_t count = UINT32_MAX;

	return netlink_ask(nl, begin(nl, IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC), take_count, &count) == 0 ? count
													  : UINT32_MAX;
}

/* ─── /proc/net/nf_conntrack ─── */

static bool take_word(struct side *side, const char *key, const char *value)
{
	unsigned long number = strtoul(value, NULL, 0);

	if (strcmp(key, "src") == 0)
		return ip_parse(value, &side->source);
	if (strcmp(key, "dst") == 0)
		return ip_parse(value, &side->destination);
	if (strcmp(key, "sport") == 0 || strcmp(key, "srckey") == 0)
		side->source_port = (uint16_t)number;
	else if (strcmp(key, "dport") == 0 || strcmp(key, "dstkey") == 0)
		side->destination_port = (uint16_t)number;
	else if (strcmp(key, "id") == 0)
		side->source_port = side->destination_port = (uint16_t)number;
	else if (strcmp(key, "type") == 0)
		side->icmp_type = (uint8_t)number;
	else if (strcmp(key, "code") == 0)
		side->icmp_code = (uint8_t)number;
	return true;
}

/*
 * "ipv4 2 tcp 6 431999 ESTABLISHED src=10.0.0.1 dst=… sport=… dport=… [UNREPLIED] src=10.0.0.2 … [ASSURED] mark=0 …":
 * the second src= begins the other direction.
 */
bool tracking_parse(const char *line, struct flow *ret)
{
	char text[LINE_MOST], *rest = text, *word;
	unsigned number = 0, sources = 0;
	uint8_t protocol = 0;
	bool good = true;

	if (strlen(line) >= sizeof(text))
		return false;
	strcpy(text, line);
	*ret = (struct flow){0};
	while (good && (word = strsep(&rest, " "))) {
		char *value = strchr(word, '=');

		if (!*word)
			continue;
		if (++number == 4)
			protocol = (uint8_t)strtoul(word, NULL, 10);
		if (!value)
			continue;
		*value++ = '\0';
		sources += strcmp(word, "src") == 0;
		good = take_word(sources > 1 ? &ret->reply : &ret->original, word, value);
	}
	ret->original.protocol = ret->reply.protocol = protocol;
	return good && sources == 2 && ret->original.destination.family && ret->reply.destination.family;
}

static bool is_whole(const char *line)
{
	return strchr(line, '\n') != NULL;
}

/* The lines of one read; false where one is not understood. */
static bool take_lines(char *text, const struct dump *dump)
{
	while (is_whole(text)) {
		const char *line = strsep(&text, "\n");
		struct flow flow;

		if (!tracking_parse(line, &flow))
			return false;
		dump->each(&flow, dump->data);
	}
	return !*text;
}

static int open_file(int netns)
{
	struct netns_visit visit;
	int fd, r = netns_enter(netns, &visit, NULL);

	if (r < 0)
		return r;
	fd = open("/proc/thread-self/net/nf_conntrack", O_RDONLY | O_CLOEXEC);
	netns_leave(&visit);
	return fd;
}

/* Whether it could; where not, flows may have been told of already. */
static bool read_by_file(int netns, const struct dump *dump, bool *ret_all)
{
	cleanup_close int fd = open_file(netns);
	char text[65537];
	ssize_t length = fd < 0 ? -1 : 1;

	for (*ret_all = true; length > 0;) {
		length = read(fd, text, sizeof(text) - 1);
		if (length <= 0)
			break;
		text[length] = '\0';
		if (length + LINE_MOST > PAGE_LEAST)
			*ret_all = false;
		if (!take_lines(text, dump))
			return false;
	}
	return length == 0;
}

int tracking_read_few(struct netlink *nl, int netns, tracking_each each, void *data, bool *ret_all, struct error **err)
{
	const struct dump dump = {each, data};
	uint32_t count = count_flows(nl);

	*ret_all = true;
	if (count == 0 || (count <= FEW && read_by_file(netns, &dump, ret_all)))
		return 0;
	*ret_all = true;
	return tracking_read(nl, netns, each, data, err);
}

/* ─── ending ─── */

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

int tracking_end(struct netlink *nl, const struct side *side, struct error **err)
{
	struct nlmsghdr *request = begin(nl, IPCTNL_MSG_CT_DELETE, 0, side->source.family);
	int r;

	put_side(request, side);
	r = netlink_ask(nl, request, NULL, NULL);
	return r == 0 || r == -ENOENT ? 0 : netlink_fail(nl, r, err, "cannot end a flow");
}
