#include "facts/field.h"

#include <string.h>
#include <strings.h>

static const struct field_info fields[FIELD_COUNT] = {
#define FIELD(id, space, key, type) [FIELD_##id] = {space, key, space " " key, TYPE_##type},
#include "facts/field_list.h"
#undef FIELD
	[FIELD_OTHER] = {"other", "", "other", TYPE_INTEGER},
};

const struct field_info *field_info(enum field field)
{
	return &fields[field < FIELD_COUNT ? field : FIELD_NONE];
}

/* The first two letters tell most apart: a word is looked for among hundreds. */
static bool same(const char *known, const char *word, size_t length)
{
	return (length == 0 || known[0] == word[0]) && (length < 2 || known[1] == word[1]) &&
	       strncmp(known, word, length) == 0 && known[length] == '\0';
}

bool field_is_space(const char *word, size_t length)
{
	for (int i = FIELD_NONE + 1; i < FIELD_OTHER; i++)
		if (same(fields[i].space, word, length) && !same("xt", word, length))
			return true;
	return false;
}

enum field field_find(const char *space, size_t space_length, const char *key, size_t key_length)
{
	for (int i = FIELD_NONE + 1; i < FIELD_OTHER; i++)
		if (same(fields[i].space, space, space_length) && same(fields[i].key, key, key_length))
			return (enum field)i;
	return FIELD_NONE;
}

static const struct symbol booleans[] = {{"missing", 0}, {"exists", 1}, {"false", 0}, {"true", 1}, {}};

static const struct symbol protocols[] = {{"ip", 0},
					  {"icmp", 1},
					  {"igmp", 2},
					  {"ggp", 3},
					  {"ipencap", 4},
					  {"st", 5},
					  {"tcp", 6},
					  {"egp", 8},
					  {"igp", 9},
					  {"pup", 12},
					  {"udp", 17},
					  {"hmp", 20},
					  {"xns-idp", 22},
					  {"rdp", 27},
					  {"iso-tp4", 29},
					  {"dccp", 33},
					  {"xtp", 36},
					  {"ddp", 37},
					  {"idpr-cmtp", 38},
					  {"ipv6", 41},
					  {"ipv6-route", 43},
					  {"ipv6-frag", 44},
					  {"idrp", 45},
					  {"rsvp", 46},
					  {"gre", 47},
					  {"esp", 50},
					  {"ah", 51},
					  {"skip", 57},
					  {"ipv6-icmp", 58},
					  {"icmpv6", 58},
					  {"icmp6", 58},
					  {"ipv6-nonxt", 59},
					  {"ipv6-opts", 60},
					  {"rspf", 73},
					  {"vmtp", 81},
					  {"eigrp", 88},
					  {"ospf", 89},
					  {"ospfigp", 89},
					  {"ax.25", 93},
					  {"ipip", 94},
					  {"etherip", 97},
					  {"encap", 98},
					  {"pim", 103},
					  {"ipcomp", 108},
					  {"comp", 108},
					  {"vrrp", 112},
					  {"l2tp", 115},
					  {"isis", 124},
					  {"sctp", 132},
					  {"fc", 133},
					  {"mh", 135},
					  {"ipv6-mh", 135},
					  {"udplite", 136},
					  {"mpls-in-ip", 137},
					  {"manet", 138},
					  {"hip", 139},
					  {"shim6", 140},
					  {"wesp", 141},
					  {"rohc", 142},
					  {"mobility-header", 135},
					  {"hopopt", 0},
					  {"ipv6-hop-by-hop", 0},
					  {}};

static const struct symbol ethertypes[] = {
	{"ip", 0x0800},	       {"ipv4", 0x0800},    {"arp", 0x0806},	 {"rarp", 0x8035},
	{"ip6", 0x86dd},       {"ipv6", 0x86dd},    {"8021q", 0x8100},	 {"802_1q", 0x8100},
	{"vlan", 0x8100},      {"8021ad", 0x88a8},  {"mpls", 0x8847},	 {"mpls_uni", 0x8847},
	{"mpls_mult", 0x8848}, {"802_1ad", 0x88a8}, {"ppp_ses", 0x8864}, {"ppp_disc", 0x8863},
	{"ipx", 0x8137},       {"atalk", 0x809b},   {"aarp", 0x80f3},	 {"x25", 0x0805},
	{"atmmpoa", 0x884c},   {"atmfate", 0x8884}, {"bpq", 0x08ff},	 {"dec", 0x6000},
	{"dna_dl", 0x6001},    {"dna_rc", 0x6002},  {"dna_rt", 0x6003},	 {"lat", 0x6004},
	{"diag", 0x6005},      {"cust", 0x6006},    {"sca", 0x6007},	 {"teb", 0x6558},
	{"raw_fr", 0x6559},    {"loop", 0x0060},    {"netbeui", 0x8191}, {}};

static const struct symbol nfprotos[] = {{"ipv4", 2}, {"ipv6", 10}, {"ip", 2}, {"ip6", 10}, {}};

static const struct symbol ct_states[] = {{"invalid", CT_STATE_INVALID},     {"established", CT_STATE_ESTABLISHED},
					  {"related", CT_STATE_RELATED},     {"new", CT_STATE_NEW},
					  {"untracked", CT_STATE_UNTRACKED}, {"snat", CT_STATE_SNAT},
					  {"dnat", CT_STATE_DNAT},	     {}};

static const struct symbol ct_directions[] = {{"original", 0}, {"reply", 1}, {}};

static const struct symbol ct_statuses[] = {{"expected", CT_STATUS_EXPECTED},
					    {"seen-reply", CT_STATUS_SEEN_REPLY},
					    {"seen_reply", CT_STATUS_SEEN_REPLY},
					    {"assured", CT_STATUS_ASSURED},
					    {"confirmed", CT_STATUS_CONFIRMED},
					    {"snat", CT_STATUS_SNAT},
					    {"dnat", CT_STATUS_DNAT},
					    {"dying", CT_STATUS_DYING},
					    {"none", 0},
					    {}};

static const struct symbol ct_events[] = {{"new", 1},	       {"related", 2},	  {"destroy", 4},  {"reply", 8},
					  {"assured", 16},     {"protoinfo", 32}, {"helper", 64},  {"mark", 128},
					  {"natseqinfo", 256}, {"secmark", 512},  {"label", 1024}, {}};

static const struct symbol icmp_types[] = {
	{"echo-reply", 0},	   {"destination-unreachable", 3}, {"source-quench", 4},	{"redirect", 5},
	{"echo-request", 8},	   {"router-advertisement", 9},	   {"router-solicitation", 10}, {"time-exceeded", 11},
	{"parameter-problem", 12}, {"timestamp-request", 13},	   {"timestamp-reply", 14},	{"info-request", 15},
	{"info-reply", 16},	   {"address-mask-request", 17},   {"address-mask-reply", 18},	{}};

static const struct symbol icmp_codes[] = {{"net-unreachable", 0},  {"host-unreachable", 1},  {"prot-unreachable", 2},
					   {"port-unreachable", 3}, {"frag-needed", 4},	      {"net-prohibited", 9},
					   {"host-prohibited", 10}, {"admin-prohibited", 13}, {}};

static const struct symbol icmpv6_types[] = {{"destination-unreachable", 1}, {"packet-too-big", 2},
					     {"time-exceeded", 3},	     {"parameter-problem", 4},
					     {"echo-request", 128},	     {"echo-reply", 129},
					     {"mld-listener-query", 130},    {"mld-listener-report", 131},
					     {"mld-listener-done", 132},     {"mld-listener-reduction", 132},
					     {"nd-router-solicit", 133},     {"nd-router-advert", 134},
					     {"nd-neighbor-solicit", 135},   {"nd-neighbor-advert", 136},
					     {"nd-redirect", 137},	     {"router-renumbering", 138},
					     {"ind-neighbor-solicit", 141},  {"ind-neighbor-advert", 142},
					     {"mld2-listener-report", 143},  {}};

static const struct symbol icmpv6_codes[] = {{"no-route", 0},
					     {"admin-prohibited", 1},
					     {"addr-unreachable", 3},
					     {"port-unreachable", 4},
					     {"policy-fail", 5},
					     {"reject-route", 6},
					     {}};

static const struct symbol icmpx_codes[] = {
	{"no-route", 0}, {"port-unreachable", 1}, {"host-unreachable", 2}, {"admin-prohibited", 3}, {}};

static const struct symbol igmp_types[] = {{"membership-query", 0x11},	   {"membership-report-v1", 0x12},
					   {"membership-report-v2", 0x16}, {"membership-report-v3", 0x22},
					   {"leave-group", 0x17},	   {}};

static const struct symbol tcp_flags[] = {{"fin", 1},  {"syn", 2},  {"rst", 4},	 {"psh", 8},   {"ack", 16},
					  {"urg", 32}, {"ecn", 64}, {"ece", 64}, {"cwr", 128}, {}};

static const struct symbol dccp_types[] = {{"request", 0}, {"response", 1}, {"data", 2},     {"ack", 3},
					   {"dataack", 4}, {"closereq", 5}, {"close", 6},    {"reset", 7},
					   {"sync", 8},	   {"syncack", 9},  {"invalid", 10}, {}};

static const struct symbol pkttypes[] = {
	{"host", 0},	  {"unicast", 0},  {"broadcast", 1}, {"multicast", 2}, {"other", 3},
	{"otherhost", 3}, {"outgoing", 4}, {"loopback", 5},  {"fastroute", 6}, {}};

static const struct symbol route_types[] = {{"unspec", ROUTE_TYPE_UNSPEC},
					    {"unicast", ROUTE_TYPE_UNICAST},
					    {"local", ROUTE_TYPE_LOCAL},
					    {"broadcast", ROUTE_TYPE_BROADCAST},
					    {"anycast", ROUTE_TYPE_ANYCAST},
					    {"multicast", ROUTE_TYPE_MULTICAST},
					    {"blackhole", ROUTE_TYPE_BLACKHOLE},
					    {"unreachable", ROUTE_TYPE_UNREACHABLE},
					    {"prohibit", ROUTE_TYPE_PROHIBIT},
					    {"throw", ROUTE_TYPE_THROW},
					    {"nat", ROUTE_TYPE_NAT},
					    {"xresolve", ROUTE_TYPE_XRESOLVE},
					    {}};

static const struct symbol arp_operations[] = {{"request", 1},	 {"reply", 2},	 {"rrequest", 3}, {"rreply", 4},
					       {"inrequest", 8}, {"inreply", 9}, {"nak", 10},	  {}};

static const struct symbol dscps[] = {{"cs0", 0},   {"cs1", 8},
				      {"cs2", 16},  {"cs3", 24},
				      {"cs4", 32},  {"cs5", 40},
				      {"cs6", 48},  {"cs7", 56},
				      {"df", 0},    {"be", 0},
				      {"lephb", 1}, {"af11", 10},
				      {"af12", 12}, {"af13", 14},
				      {"af21", 18}, {"af22", 20},
				      {"af23", 22}, {"af31", 26},
				      {"af32", 28}, {"af33", 30},
				      {"af41", 34}, {"af42", 36},
				      {"af43", 38}, {"va", 44},
				      {"ef", 46},   {}};

static const struct symbol ecns[] = {{"not-ect", 0}, {"ect1", 1}, {"ect0", 2}, {"ce", 3}, {}};

static const struct symbol toses[] = {{"minimize-delay", 0x10},	      {"maximize-throughput", 0x08},
				      {"maximize-reliability", 0x04}, {"minimize-cost", 0x02},
				      {"normal-service", 0x00},	      {}};

static const struct symbol days[] = {{"sunday", 0},   {"monday", 1}, {"tuesday", 2},  {"wednesday", 3},
				     {"thursday", 4}, {"friday", 5}, {"saturday", 6}, {}};

static const struct symbol accounts[] = {{"root", 0}, {}};

static const struct symbol linktypes[] = {{"ether", 1},	 {"ethernet", 1}, {"ppp", 512},
					  {"ipip", 768}, {"ipip6", 769},  {"loopback", 772},
					  {"sit", 776},	 {"ipgre", 778},  {}};

static const struct symbol classids[] = {{"none", 0}, {"root", 0xffffffff}, {}};

static const struct symbol devgroups[] = {{"default", 0}, {}};

static const struct symbol services[] = {
#define SERVICE(name, port) {name, port},
#include "facts/service_list.h"
#undef SERVICE
};

static const struct {
	const char *name;
	const struct symbol *symbols;
	bool bits;
} types[TYPE_COUNT] = {
	[TYPE_INTEGER] = {"integer"},
	[TYPE_BOOLEAN] = {"boolean", booleans},
	[TYPE_STRING] = {"string"},
	[TYPE_INTERFACE] = {"ifname"},
	[TYPE_IP4] = {"ipv4_addr"},
	[TYPE_IP6] = {"ipv6_addr"},
	[TYPE_ADDRESS] = {"address"},
	[TYPE_MAC] = {"ether_addr"},
	[TYPE_PORT] = {"inet_service"},
	[TYPE_PROTOCOL] = {"inet_proto", protocols},
	[TYPE_ETHERTYPE] = {"ether_type", ethertypes},
	[TYPE_NFPROTO] = {"nf_proto", nfprotos},
	[TYPE_MARK] = {"mark"},
	[TYPE_CT_STATE] = {"ct_state", ct_states, true},
	[TYPE_CT_DIRECTION] = {"ct_dir", ct_directions},
	[TYPE_CT_STATUS] = {"ct_status", ct_statuses, true},
	[TYPE_CT_LABEL] = {"ct_label", NULL, true},
	[TYPE_CT_EVENT] = {"ct_event", ct_events, true},
	[TYPE_ICMP_TYPE] = {"icmp_type", icmp_types},
	[TYPE_ICMP_CODE] = {"icmp_code", icmp_codes},
	[TYPE_ICMPV6_TYPE] = {"icmpv6_type", icmpv6_types},
	[TYPE_ICMPV6_CODE] = {"icmpv6_code", icmpv6_codes},
	[TYPE_ICMPX_CODE] = {"icmpx_code", icmpx_codes},
	[TYPE_IGMP_TYPE] = {"igmp_type", igmp_types},
	[TYPE_TCP_FLAG] = {"tcp_flag", tcp_flags, true},
	[TYPE_DCCP_TYPE] = {"dccp_pkttype", dccp_types},
	[TYPE_PKTTYPE] = {"pkt_type", pkttypes},
	[TYPE_ROUTE_TYPE] = {"fib_addrtype", route_types},
	[TYPE_ARP_OPERATION] = {"arp_op", arp_operations},
	[TYPE_DSCP] = {"dscp", dscps},
	[TYPE_ECN] = {"ecn", ecns},
	[TYPE_TOS] = {"tos", toses},
	[TYPE_DAY] = {"day", days},
	[TYPE_TIME] = {"time"},
	[TYPE_USER] = {"uid", accounts},
	[TYPE_GROUP] = {"gid", accounts},
	[TYPE_REALM] = {"realm"},
	[TYPE_CLASSID] = {"classid", classids},
	[TYPE_DEVGROUP] = {"devgroup", devgroups},
	[TYPE_LINKTYPE] = {"iface_type", linktypes},
	[TYPE_VERDICT] = {"verdict"},
};

const char *datatype_name(enum datatype type)
{
	return types[type < TYPE_COUNT ? type : TYPE_NONE].name;
}

enum datatype datatype_find(const char *name, size_t length)
{
	for (int i = TYPE_NONE + 1; i < TYPE_COUNT; i++)
		if (same(types[i].name, name, length))
			return (enum datatype)i;
	return same("iface_index", name, length) ? TYPE_INTERFACE : TYPE_NONE;
}

bool datatype_is_bits(enum datatype type)
{
	return types[type < TYPE_COUNT ? type : TYPE_NONE].bits;
}

/* The table of services is sorted. */
static bool service_find(const char *word, size_t length, uint64_t *ret)
{
	size_t low = 0, high = sizeof(services) / sizeof(*services);

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strncasecmp(services[middle].name, word, length);

		if (order == 0 && services[middle].name[length] != '\0')
			order = 1;
		if (order == 0) {
			*ret = services[middle].value;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool symbol_find(enum datatype type, const char *word, size_t length, uint64_t *ret)
{
	const struct symbol *symbols = types[type < TYPE_COUNT ? type : TYPE_NONE].symbols;

	if (length == 0)
		return false;
	if (type == TYPE_PORT)
		return service_find(word, length, ret);
	for (; symbols && symbols->name; symbols++) {
		if (strncasecmp(symbols->name, word, length) == 0 && symbols->name[length] == '\0') {
			*ret = symbols->value;
			return true;
		}
	}
	return false;
}

const char *symbol_name(enum datatype type, uint64_t value)
{
	const struct symbol *symbols = types[type < TYPE_COUNT ? type : TYPE_NONE].symbols;

	for (; symbols && symbols->name; symbols++)
		if (symbols->value == value)
			return symbols->name;
	return NULL;
}
