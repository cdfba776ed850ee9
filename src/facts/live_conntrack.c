/*
 * Entries of connection tracking, by netlink (linux/netfilter/nfnetlink_conntrack.h). Where connection tracking is not
 * loaded there are none, and it is not loaded for the asking.
 */
#include "facts/live_internal.h"

#include "base/error.h"
#include "base/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#define SOURCE "netlink:conntrack"

/* A router can have millions; what decides about packets is seldom among the last of them. */
enum { CONNECTIONS_MAX = 100000 };

struct connection_dump {
	struct live *live;
	bool more; /* than CONNECTIONS_MAX */
};

static struct number u8_of(const struct nlattr *attribute)
{
	return attribute ? number_of(mnl_attr_get_u8(attribute)) : (struct number){};
}

static struct number u64_of(const struct nlattr *attribute)
{
	return attribute ? number_of(be64toh(mnl_attr_get_u64(attribute))) : (struct number){};
}

static void take_side(struct flow_side *side, const struct nlattr *tuple, struct number *ret_protocol,
		      struct number *ret_zone)
{
	const struct nlattr *a[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1], *proto[CTA_PROTO_MAX + 1];

	netlink_nested(tuple, a, CTA_TUPLE_MAX);
	netlink_nested(a[CTA_TUPLE_IP], ip, CTA_IP_MAX);
	netlink_nested(a[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX);
	side->source = ip[CTA_IP_V4_SRC] ? netlink_get_ip(ip[CTA_IP_V4_SRC], AF_INET)
					 : netlink_get_ip(ip[CTA_IP_V6_SRC], AF_INET6);
	side->destination = ip[CTA_IP_V4_DST] ? netlink_get_ip(ip[CTA_IP_V4_DST], AF_INET)
					      : netlink_get_ip(ip[CTA_IP_V6_DST], AF_INET6);
	*ret_zone = live_be16(a[CTA_TUPLE_ZONE]); /* where each direction has its own */
	*ret_protocol = u8_of(proto[CTA_PROTO_NUM]);
	side->source_port = live_be16(proto[CTA_PROTO_SRC_PORT]);
	side->destination_port = live_be16(proto[CTA_PROTO_DST_PORT]);
	side->icmp_type = u8_of(proto[proto[CTA_PROTO_ICMP_TYPE] ? CTA_PROTO_ICMP_TYPE : CTA_PROTO_ICMPV6_TYPE]);
	side->icmp_code = u8_of(proto[proto[CTA_PROTO_ICMP_CODE] ? CTA_PROTO_ICMP_CODE : CTA_PROTO_ICMPV6_CODE]);
	side->icmp_id = live_be16(proto[proto[CTA_PROTO_ICMP_ID] ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID]);
}

static void take_counters(struct flow_side *side, const struct nlattr *counters)
{
	const struct nlattr *a[CTA_COUNTERS_MAX + 1];

	netlink_nested(counters, a, CTA_COUNTERS_MAX);
	side->packets = u64_of(a[CTA_COUNTERS_PACKETS]);
	side->bytes = u64_of(a[CTA_COUNTERS_BYTES]);
}

/* conntrack(8)'s names: enum tcp_conntrack, sctp_conntrack, ct_dccp_states of the kernel */
static const char *state_of(const struct nlattr *info)
{
	static const char *const tcp[] = {"NONE",	"SYN_SENT", "SYN_RECV",	 "ESTABLISHED", "FIN_WAIT",
					  "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",	"SYN_SENT2"};
	static const char *const sctp[] = {"NONE",	    "CLOSED",	     "COOKIE_WAIT",   "COOKIE_ECHOED",
					   "ESTABLISHED",   "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT",
					   "HEARTBEAT_SENT"};
	static const char *const dccp[] = {"NONE", "REQUEST",  "RESPOND", "PARTOPEN",
					   "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT"};
	static const struct {
		uint16_t protocol, state;
		const char *const *names;
		size_t count;
	} kinds[] = {{CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE, tcp, sizeof(tcp) / sizeof(*tcp)},
		     {CTA_PROTOINFO_SCTP, CTA_PROTOINFO_SCTP_STATE, sctp, sizeof(sctp) / sizeof(*sctp)},
		     {CTA_PROTOINFO_DCCP, CTA_PROTOINFO_DCCP_STATE, dccp, sizeof(dccp) / sizeof(*dccp)}};
	const struct nlattr *a[CTA_PROTOINFO_MAX + 1], *state[2];

	netlink_nested(info, a, CTA_PROTOINFO_MAX);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		netlink_nested(a[kinds[i].protocol], state, 1); /* the state is the first attribute of each */
		if (state[1] && mnl_attr_get_u8(state[1]) < kinds[i].count)
			return kinds[i].names[mnl_attr_get_u8(state[1])];
	}
	return NULL;
}

static void take_connection(const struct nlmsghdr *message, void *data)
{
	struct connection_dump *dump = data;
	struct live *live = dump->live;
	struct facts *facts = live->facts;
	const struct nlattr *a[CTA_MAX + 1], *help[CTA_HELP_MAX + 1];
	struct connection connection = {.origin = {.source = SOURCE}};
	struct number protocol, zones[2];
	uint64_t status;

	if (facts->connection_count == CONNECTIONS_MAX) {
		dump->more = true;
		return;
	}
	netlink_attributes(message, sizeof(struct nfgenmsg), a, CTA_MAX);
	take_side(&connection.original, a[CTA_TUPLE_ORIG], &connection.protocol, &zones[0]);
	take_side(&connection.reply, a[CTA_TUPLE_REPLY], &protocol, &zones[1]);
	connection.family = connection.original.source.family;
	if (!connection.family)
		return;
	take_counters(&connection.original, a[CTA_COUNTERS_ORIG]);
	take_counters(&connection.reply, a[CTA_COUNTERS_REPLY]);
	status = live_be32(a[CTA_STATUS]).value;
	connection.unreplied = !(status & IPS_SEEN_REPLY);
	connection.assured = status & IPS_ASSURED;
	connection.offloaded = status & (IPS_OFFLOAD | IPS_HW_OFFLOAD);
	connection.state = state_of(a[CTA_PROTOINFO]);
	connection.timeout = live_be32(a[CTA_TIMEOUT]);
	connection.mark = live_be32(a[CTA_MARK]);
	connection.zone = live_be16(a[CTA_ZONE]);
	for (size_t i = 0; i < 2; i++)
		if (zones[i].known)
			connection.zone = zones[i];
	netlink_nested(a[CTA_HELP], help, CTA_HELP_MAX);
	if (help[CTA_HELP_NAME])
		connection.helper = pool_text(live->pool, mnl_attr_get_str(help[CTA_HELP_NAME]));
	*arena_push(live->pool->arena, facts->connections, facts->connection_count) = connection;
}

static int list_connections(struct connection_dump *dump)
{
	struct netlink nl = {.fd = -1};
	struct nlmsghdr *request;
	struct nfgenmsg *header;
	int r = netlink_open(&nl, -1, NETLINK_NETFILTER, NULL);

	if (r < 0)
		return r;
	request = netlink_begin(&nl, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP);
	header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	header->nfgen_family = AF_UNSPEC;
	header->version = NFNETLINK_V0;
	r = live_dump(&nl, request, take_connection, dump, &dump->live->facts->connection_count);
	netlink_close(&nl);
	return r;
}

void live_connections(struct live *live)
{
	struct connection_dump dump = {.live = live};
	struct facts *facts = live->facts;
	int r;

	if (!file_exists("/proc/sys/net/netfilter/nf_conntrack_max")) {
		facts->connections4_known = facts->connections6_known = TRUTH_YES;
		return;
	}
	r = list_connections(&dump);
	if (r < 0) {
		live_unknown(live, SOURCE, "conntrack -L", "connections: %s", strerror(-r));
		return;
	}
	facts->connections4_known = facts->connections6_known = dump.more ? TRUTH_NO : TRUTH_YES;
	if (dump.more)
		live_unknown(live, SOURCE, "conntrack -L", "there are more than %d connections: the rest was left out",
			     CONNECTIONS_MAX);
	else
		live_capture(live, SOURCE, "conntrack -L")->items = (uint32_t)facts->connection_count;
}
