/*
 * The matches of iptables, ip6tables and ebtables, one table each. An option either compares a field of the packet, and
 * then becomes a match like any of nftables', or it is kept as an argument of a condition, which can be true or false
 * for a reason the packet does not show.
 */
#include "facts/xt.h"

#include <string.h>

#define PORTS(protocol)                                                                                                \
	{"sport", 1, 0, XT_PORT, FIELD_##protocol##_SPORT}, {"source-port", 1, 0, XT_PORT, FIELD_##protocol##_SPORT},  \
		{"dport", 1, 0, XT_PORT, FIELD_##protocol##_DPORT},                                                    \
	{                                                                                                              \
		"destination-port", 1, 0, XT_PORT, FIELD_##protocol##_DPORT                                            \
	}

static const struct xt_option addrtype[] = {{"src-type", 1, 0, XT_ROUTE_TYPES, .extra = FIB_SADDR},
					    {"dst-type", 1, 0, XT_ROUTE_TYPES, .extra = FIB_DADDR},
					    {"limit-iface-in", 0, 0, XT_ROUTE_LIMIT, .extra = FIB_IIF},
					    {"limit-iface-out", 0, 0, XT_ROUTE_LIMIT, .extra = FIB_OIF},
					    {}};
static const struct xt_option ah[] = {
	{"ahspi", 1, 0, XT_NUMBER, FIELD_AH_SPI}, {"ahlen", 1, 0, XT_KEEP}, {"ahres", 0, 0, XT_KEEP}, {}};
static const struct xt_option bpf[] = {{"bytecode", 1, 0, XT_KEEP}, {"object-pinned", 1, 0, XT_KEEP}, {}};
static const struct xt_option cgroup[] = {{"cgroup", 1, 0, XT_NUMBER, FIELD_META_CGROUP}, {"path", 1, 0, XT_KEEP}, {}};
static const struct xt_option cluster[] = {{"cluster-total-nodes", 1, 0, XT_KEEP},
					   {"cluster-local-node", 1, 0, XT_KEEP},
					   {"cluster-local-nodemask", 1, 0, XT_KEEP},
					   {"cluster-hash-seed", 1, 0, XT_KEEP},
					   {}};
static const struct xt_option comment[] = {{"comment", 1, 0, XT_COMMENT}, {}};
static const struct xt_option connbytes[] = {
	{"connbytes", 1, 0, XT_KEEP}, {"connbytes-dir", 1, 0, XT_KEEP}, {"connbytes-mode", 1, 0, XT_KEEP}, {}};
static const struct xt_option connlabel[] = {{"label", 1, 0, XT_KEEP}, {"set", 0, 0, XT_KEEP}, {}};
static const struct xt_option connlimit[] = {{"connlimit-upto", 1, 0, XT_KEEP},	 {"connlimit-above", 1, 0, XT_KEEP},
					     {"connlimit-mask", 1, 0, XT_KEEP},	 {"connlimit-saddr", 0, 0, XT_KEEP},
					     {"connlimit-daddr", 0, 0, XT_KEEP}, {}};
static const struct xt_option connmark[] = {{"mark", 1, 0, XT_MASKED, FIELD_CT_MARK}, {}};
static const struct xt_option conntrack[] = {{"ctstate", 1, 0, XT_BITS, FIELD_CT_STATE},
					     {"ctproto", 1, 0, XT_SYMBOL, FIELD_CT_PROTOCOL},
					     {"ctorigsrc", 1, 0, XT_ADDRESS, FIELD_CT_IP_SADDR, DIRECTION_ORIGINAL},
					     {"ctorigdst", 1, 0, XT_ADDRESS, FIELD_CT_IP_DADDR, DIRECTION_ORIGINAL},
					     {"ctreplsrc", 1, 0, XT_ADDRESS, FIELD_CT_IP_SADDR, DIRECTION_REPLY},
					     {"ctrepldst", 1, 0, XT_ADDRESS, FIELD_CT_IP_DADDR, DIRECTION_REPLY},
					     {"ctorigsrcport", 1, 0, XT_PORT, FIELD_CT_PROTO_SRC, DIRECTION_ORIGINAL},
					     {"ctorigdstport", 1, 0, XT_PORT, FIELD_CT_PROTO_DST, DIRECTION_ORIGINAL},
					     {"ctreplsrcport", 1, 0, XT_PORT, FIELD_CT_PROTO_SRC, DIRECTION_REPLY},
					     {"ctrepldstport", 1, 0, XT_PORT, FIELD_CT_PROTO_DST, DIRECTION_REPLY},
					     {"ctstatus", 1, 0, XT_BITS, FIELD_CT_STATUS},
					     {"ctexpire", 1, 0, XT_MILLISECONDS, FIELD_CT_EXPIRATION},
					     {"ctdir", 1, 0, XT_SYMBOL, FIELD_CT_DIRECTION},
					     {}};
static const struct xt_option cpu[] = {{"cpu", 1, 0, XT_NUMBER, FIELD_META_CPU}, {}};
static const struct xt_option dccp[] = {
	PORTS(DCCP), {"dccp-types", 1, 0, XT_NAMES, FIELD_DCCP_TYPE}, {"dccp-option", 1, 0, XT_KEEP}, {}};
static const struct xt_option devgroup[] = {
	{"src-group", 1, 0, XT_MASKED, FIELD_META_IIFGROUP}, {"dst-group", 1, 0, XT_MASKED, FIELD_META_OIFGROUP}, {}};
static const struct xt_option dscp[] = {
	{"dscp", 1, 0, XT_SYMBOL, FIELD_IP_DSCP}, {"dscp-class", 1, 0, XT_SYMBOL, FIELD_IP_DSCP}, {}};
static const struct xt_option dst[] = {{"dst-len", 1, 0, XT_KEEP}, {"dst-opts", 1, 0, XT_KEEP}, {}};
static const struct xt_option ecn[] = {{"ecn-tcp-cwr", 0, 0, XT_BIT, FIELD_TCP_FLAGS, 128},
				       {"ecn-tcp-ece", 0, 0, XT_BIT, FIELD_TCP_FLAGS, 64},
				       {"ecn-ip-ect", 1, 0, XT_SYMBOL, FIELD_IP_ECN},
				       {}};
static const struct xt_option esp[] = {{"espspi", 1, 0, XT_NUMBER, FIELD_ESP_SPI}, {}};
static const struct xt_option frag[] = {{"fragid", 1, 0, XT_KEEP},
					{"fraglen", 1, 0, XT_KEEP},
					{"fragres", 0, 0, XT_KEEP},
					{"fragfirst", 0, 0, XT_KEEP},
					{"fragmore", 0, 0, XT_KEEP},
					{"fraglast", 0, 0, XT_KEEP},
					{}};
static const struct xt_option hashlimit[] = {{"hashlimit-upto", 1, 0, XT_KEEP},
					     {"hashlimit-above", 1, 0, XT_KEEP},
					     {"hashlimit", 1, 0, XT_KEEP},
					     {"hashlimit-burst", 1, 0, XT_KEEP},
					     {"hashlimit-mode", 1, 0, XT_KEEP},
					     {"hashlimit-srcmask", 1, 0, XT_KEEP},
					     {"hashlimit-dstmask", 1, 0, XT_KEEP},
					     {"hashlimit-name", 1, 0, XT_KEEP},
					     {"hashlimit-htable-size", 1, 0, XT_KEEP},
					     {"hashlimit-htable-max", 1, 0, XT_KEEP},
					     {"hashlimit-htable-expire", 1, 0, XT_KEEP},
					     {"hashlimit-htable-gcinterval", 1, 0, XT_KEEP},
					     {"hashlimit-rate-match", 0, 0, XT_KEEP},
					     {"hashlimit-rate-interval", 1, 0, XT_KEEP},
					     {}};
static const struct xt_option hbh[] = {{"hbh-len", 1, 0, XT_KEEP}, {"hbh-opts", 1, 0, XT_KEEP}, {}};
static const struct xt_option helper[] = {{"helper", 1, 0, XT_TEXT, FIELD_CT_HELPER}, {}};
static const struct xt_option hl[] = {{"hl-eq", 1, 0, XT_NUMBER, FIELD_IP6_HOPLIMIT},
				      {"hl-lt", 1, 0, XT_LESS, FIELD_IP6_HOPLIMIT},
				      {"hl-gt", 1, 0, XT_GREATER, FIELD_IP6_HOPLIMIT},
				      {}};
static const struct xt_option icmp[] = {{"icmp-type", 1, 0, XT_ICMP, FIELD_ICMP_TYPE}, {}};
static const struct xt_option icmp6[] = {{"icmpv6-type", 1, 0, XT_ICMP, FIELD_ICMPV6_TYPE}, {}};
static const struct xt_option ipcomp[] = {
	{"ipcompspi", 1, 0, XT_NUMBER, FIELD_COMP_CPI}, {"compres", 0, 0, XT_KEEP}, {}};
static const struct xt_option iprange[] = {{"src-range", 1, 0, XT_ADDRESS_RANGE, FIELD_IP_SADDR},
					   {"dst-range", 1, 0, XT_ADDRESS_RANGE, FIELD_IP_DADDR},
					   {}};
static const struct xt_option ipv6header[] = {{"header", 1, 0, XT_KEEP}, {"soft", 0, 0, XT_KEEP}, {}};
static const struct xt_option ipvs[] = {
	{"ipvs", 0, 0, XT_KEEP}, {"vproto", 1, 0, XT_KEEP},  {"vaddr", 1, 0, XT_KEEP},	  {"vport", 1, 0, XT_KEEP},
	{"vdir", 1, 0, XT_KEEP}, {"vmethod", 1, 0, XT_KEEP}, {"vportctl", 1, 0, XT_KEEP}, {}};
static const struct xt_option length[] = {{"length", 1, 0, XT_NUMBER, FIELD_META_LENGTH}, {}};
static const struct xt_option limit[] = {{"limit", 1, 0, XT_KEEP}, {"limit-burst", 1, 0, XT_KEEP}, {}};
static const struct xt_option mac[] = {{"mac-source", 1, 0, XT_MAC, FIELD_ETHER_SADDR}, {}};
static const struct xt_option mark[] = {{"mark", 1, 0, XT_MASKED, FIELD_META_MARK}, {}};
static const struct xt_option mh[] = {{"mh-type", 1, 0, XT_KEEP}, {}};
static const struct xt_option multiport[] = {
	{"sports", 1, 0, XT_PORTS, FIELD_TH_SPORT}, {"source-ports", 1, 0, XT_PORTS, FIELD_TH_SPORT},
	{"dports", 1, 0, XT_PORTS, FIELD_TH_DPORT}, {"destination-ports", 1, 0, XT_PORTS, FIELD_TH_DPORT},
	{"ports", 1, 0, XT_PORTS, FIELD_XT_PORT},   {}};
static const struct xt_option nfacct[] = {{"nfacct-name", 1, 0, XT_IGNORED}, {}};
static const struct xt_option osf[] = {{"genre", 1, 0, XT_KEEP}, {"ttl", 1, 0, XT_KEEP}, {"log", 1, 0, XT_KEEP}, {}};
static const struct xt_option owner[] = {{"uid-owner", 1, 0, XT_SYMBOL, FIELD_META_SKUID},
					 {"gid-owner", 1, 0, XT_SYMBOL, FIELD_META_SKGID},
					 {"socket-exists", 0, 0, XT_KEEP},
					 {"suppl-groups", 0, 0, XT_KEEP},
					 {}};
static const struct xt_option physdev[] = {{"physdev-in", 1, 0, XT_INTERFACE, FIELD_XT_PHYSDEV_IN},
					   {"physdev-out", 1, 0, XT_INTERFACE, FIELD_XT_PHYSDEV_OUT},
					   {"physdev-is-in", 0, 0, XT_TRUE, FIELD_XT_PHYSDEV_IS_IN},
					   {"physdev-is-out", 0, 0, XT_TRUE, FIELD_XT_PHYSDEV_IS_OUT},
					   {"physdev-is-bridged", 0, 0, XT_TRUE, FIELD_XT_PHYSDEV_IS_BRIDGED},
					   {}};
static const struct xt_option pkttype[] = {{"pkt-type", 1, 0, XT_SYMBOL, FIELD_META_PKTTYPE}, {}};
static const struct xt_option policy[] = {{"dir", 1, 0, XT_KEEP},
					  {"pol", 1, 0, XT_KEEP},
					  {"strict", 0, 0, XT_KEEP},
					  {"reqid", 1, 0, XT_KEEP},
					  {"spi", 1, 0, XT_KEEP},
					  {"proto", 1, 0, XT_KEEP},
					  {"mode", 1, 0, XT_KEEP},
					  {"tunnel-src", 1, 0, XT_KEEP},
					  {"tunnel-dst", 1, 0, XT_KEEP},
					  {"next", 0, 0, XT_KEEP},
					  {}};
static const struct xt_option quota[] = {{"quota", 1, 0, XT_KEEP}, {}};
static const struct xt_option rateest[] = {{"rateest", 1, 0, XT_KEEP},	    {"rateest1", 1, 0, XT_KEEP},
					   {"rateest2", 1, 0, XT_KEEP},	    {"rateest-delta", 0, 0, XT_KEEP},
					   {"rateest-bps", 0, 1, XT_KEEP},  {"rateest-bps1", 0, 1, XT_KEEP},
					   {"rateest-bps2", 0, 1, XT_KEEP}, {"rateest-pps", 0, 1, XT_KEEP},
					   {"rateest-pps1", 0, 1, XT_KEEP}, {"rateest-pps2", 0, 1, XT_KEEP},
					   {"rateest-lt", 0, 1, XT_KEEP},   {"rateest-gt", 0, 1, XT_KEEP},
					   {"rateest-eq", 0, 1, XT_KEEP},   {}};
static const struct xt_option realm[] = {{"realm", 1, 0, XT_MASKED, FIELD_RT_CLASSID}, {}};
static const struct xt_option recent[] = {{"set", 0, 0, XT_KEEP},
					  {"rcheck", 0, 0, XT_KEEP},
					  {"update", 0, 0, XT_KEEP},
					  {"remove", 0, 0, XT_KEEP},
					  {"seconds", 1, 0, XT_KEEP},
					  {"reap", 0, 0, XT_KEEP},
					  {"hitcount", 1, 0, XT_KEEP},
					  {"rttl", 0, 0, XT_KEEP},
					  {"name", 1, 0, XT_KEEP},
					  {"rsource", 0, 0, XT_KEEP},
					  {"rdest", 0, 0, XT_KEEP},
					  {"mask", 1, 0, XT_KEEP},
					  {}};
static const struct xt_option rpfilter[] = {{"loose", 0, 0, XT_IGNORED},
					    {"validmark", 0, 0, XT_IGNORED},
					    {"accept-local", 0, 0, XT_KEEP},
					    {"invert", 0, 0, XT_IGNORED},
					    {}};
static const struct xt_option rt[] = {{"rt-type", 1, 0, XT_KEEP},
				      {"rt-segsleft", 1, 0, XT_KEEP},
				      {"rt-len", 1, 0, XT_KEEP},
				      {"rt-0-res", 0, 0, XT_KEEP},
				      {"rt-0-addrs", 1, 0, XT_KEEP},
				      {"rt-0-not-strict", 0, 0, XT_KEEP},
				      {}};
static const struct xt_option sctp[] = {PORTS(SCTP), {"chunk-types", 1, 1, XT_KEEP}, {}};
static const struct xt_option set[] = {{"match-set", 2, 0, XT_IPSET},
				       {"set", 2, 0, XT_IPSET},
				       {"return-nomatch", 0, 0, XT_KEEP},
				       {"update-counters", 0, 0, XT_IGNORED},
				       {"update-subcounters", 0, 0, XT_IGNORED},
				       {"packets-eq", 1, 0, XT_KEEP},
				       {"packets-lt", 1, 0, XT_KEEP},
				       {"packets-gt", 1, 0, XT_KEEP},
				       {"bytes-eq", 1, 0, XT_KEEP},
				       {"bytes-lt", 1, 0, XT_KEEP},
				       {"bytes-gt", 1, 0, XT_KEEP},
				       {}};
static const struct xt_option socket[] = {
	{"transparent", 0, 0, XT_KEEP}, {"nowildcard", 0, 0, XT_KEEP}, {"restore-skmark", 0, 0, XT_KEEP}, {}};
static const struct xt_option srh[] = {{"srh-next-hdr", 1, 0, XT_KEEP},
				       {"srh-hdr-len-eq", 1, 0, XT_KEEP},
				       {"srh-hdr-len-gt", 1, 0, XT_KEEP},
				       {"srh-hdr-len-lt", 1, 0, XT_KEEP},
				       {"srh-segs-left-eq", 1, 0, XT_KEEP},
				       {"srh-segs-left-gt", 1, 0, XT_KEEP},
				       {"srh-segs-left-lt", 1, 0, XT_KEEP},
				       {"srh-last-entry-eq", 1, 0, XT_KEEP},
				       {"srh-last-entry-gt", 1, 0, XT_KEEP},
				       {"srh-last-entry-lt", 1, 0, XT_KEEP},
				       {"srh-tag", 1, 0, XT_KEEP},
				       {"srh-psid", 1, 0, XT_KEEP},
				       {"srh-nsid", 1, 0, XT_KEEP},
				       {"srh-lsid", 1, 0, XT_KEEP},
				       {}};
static const struct xt_option state[] = {{"state", 1, 0, XT_BITS, FIELD_CT_STATE}, {}};
static const struct xt_option statistic[] = {{"mode", 1, 0, XT_KEEP},
					     {"probability", 1, 0, XT_KEEP},
					     {"every", 1, 0, XT_KEEP},
					     {"packet", 1, 0, XT_KEEP},
					     {}};
static const struct xt_option string[] = {{"algo", 1, 0, XT_KEEP},
					  {"from", 1, 0, XT_KEEP},
					  {"to", 1, 0, XT_KEEP},
					  {"string", 1, 0, XT_KEEP},
					  {"hex-string", 1, 0, XT_KEEP},
					  {"icase", 0, 0, XT_KEEP},
					  {}};
static const struct xt_option tcp[] = {
	PORTS(TCP), {"tcp-flags", 2, 0, XT_TCP_FLAGS}, {"syn", 0, 0, XT_SYN}, {"tcp-option", 1, 0, XT_TCP_OPTION}, {}};
static const struct xt_option tcpmss[] = {{"mss", 1, 0, XT_NUMBER, FIELD_TCP_MSS}, {}};
static const struct xt_option time_[] = {{"timestart", 1, 0, XT_KEEP},
					 {"timestop", 1, 0, XT_KEEP},
					 {"datestart", 1, 0, XT_KEEP},
					 {"datestop", 1, 0, XT_KEEP},
					 {"monthdays", 1, 0, XT_KEEP},
					 {"weekdays", 1, 0, XT_KEEP},
					 {"kerneltz", 0, 0, XT_KEEP},
					 {"contiguous", 0, 0, XT_KEEP},
					 {"utc", 0, 0, XT_KEEP},
					 {"localtz", 0, 0, XT_KEEP},
					 {}};
static const struct xt_option tos[] = {{"tos", 1, 0, XT_MASKED, FIELD_XT_TOS}, {}};
static const struct xt_option ttl[] = {{"ttl-eq", 1, 0, XT_NUMBER, FIELD_IP_TTL},
				       {"ttl", 1, 0, XT_NUMBER, FIELD_IP_TTL},
				       {"ttl-lt", 1, 0, XT_LESS, FIELD_IP_TTL},
				       {"ttl-gt", 1, 0, XT_GREATER, FIELD_IP_TTL},
				       {}};
static const struct xt_option u32[] = {{"u32", 1, 0, XT_KEEP}, {}};
static const struct xt_option udp[] = {PORTS(UDP), {}};
static const struct xt_option udplite[] = {PORTS(UDPLITE), {}};

/* Would a reply leave by the interface the packet came in by? A question to the routing tables, as nftables' fib asks
 * it. */
static void convert_rpfilter(struct xt_build *build, const struct xt_extension *extension, const struct xt_given *given,
			     size_t count)
{
	uint8_t flags = FIB_SADDR | FIB_IIF;
	bool invert = false, accept_local = false;

	for (size_t i = 0; i < count; i++) {
		if (span_is(given[i].name, "loose"))
			flags &= (uint8_t)~FIB_IIF;
		else if (span_is(given[i].name, "validmark"))
			flags |= FIB_MARK;
		else if (span_is(given[i].name, "invert"))
			invert = true;
		else if (span_is(given[i].name, "accept-local"))
			accept_local = true;
	}
	if (accept_local && !invert) /* or it is the host's own, which is kept as a condition */
		return;
	rule_match(build->arena, build->rule, expr_fib(build->arena, flags, FIB_RESULT_OIF), MATCH_EQ,
		   expr_number(build->arena, TYPE_BOOLEAN, !invert));
}

/* Sorted by name. */
static const struct xt_extension matches[] = {
	{"addrtype", .options = addrtype},
	{"ah", CONDITION_PACKET, .options = ah},
	{"bpf", CONDITION_PAYLOAD, true, bpf},
	{"cgroup", CONDITION_LOCAL, .options = cgroup},
	{"cluster", CONDITION_CHANCE, true, cluster},
	{"comment", .options = comment},
	{"connbytes", CONDITION_HISTORY, true, connbytes},
	{"connlabel", CONDITION_HISTORY, true, connlabel},
	{"connlimit", CONDITION_RATE, true, connlimit},
	{"connmark", .options = connmark},
	{"conntrack", .options = conntrack},
	{"cpu", .options = cpu},
	{"dccp", CONDITION_PACKET, .options = dccp},
	{"devgroup", .options = devgroup},
	{"dscp", .options = dscp},
	{"dst", CONDITION_PACKET, true, dst},
	{"ecn", .options = ecn},
	{"esp", .options = esp},
	{"eui64", CONDITION_PACKET, true, NULL},
	{"frag", CONDITION_PACKET, true, frag},
	{"hashlimit", CONDITION_RATE, true, hashlimit},
	{"hbh", CONDITION_PACKET, true, hbh},
	{"helper", .options = helper},
	{"hl", .options = hl},
	{"icmp", .options = icmp},
	{"icmp6", .options = icmp6},
	{"icmpv6", .options = icmp6},
	{"ipcomp", CONDITION_PACKET, .options = ipcomp},
	{"iprange", .options = iprange},
	{"ipv6-icmp", .options = icmp6},
	{"ipv6header", CONDITION_PACKET, true, ipv6header},
	{"ipvs", CONDITION_LOCAL, true, ipvs},
	{"length", .options = length},
	{"limit", CONDITION_RATE, true, limit},
	{"mac", .options = mac},
	{"mark", .options = mark},
	{"mh", CONDITION_PACKET, true, mh},
	{"mobility-header", CONDITION_PACKET, true, mh},
	{"multiport", .options = multiport},
	{"nfacct", .options = nfacct},
	{"osf", CONDITION_PACKET, true, osf},
	{"owner", CONDITION_LOCAL, .options = owner},
	{"physdev", .options = physdev},
	{"pkttype", .options = pkttype},
	{"policy", CONDITION_PACKET, true, policy},
	{"quota", CONDITION_RATE, true, quota},
	{"rateest", CONDITION_HISTORY, true, rateest},
	{"realm", .options = realm},
	{"recent", CONDITION_HISTORY, true, recent},
	{"rpfilter", CONDITION_PACKET, .options = rpfilter, .convert = convert_rpfilter},
	{"rt", CONDITION_PACKET, true, rt},
	{"sctp", CONDITION_PACKET, .options = sctp},
	{"set", CONDITION_HISTORY, .options = set},
	{"socket", CONDITION_LOCAL, true, socket},
	{"srh", CONDITION_PACKET, true, srh},
	{"state", .options = state},
	{"statistic", CONDITION_CHANCE, true, statistic},
	{"string", CONDITION_PAYLOAD, true, string},
	{"tcp", .options = tcp},
	{"tcpmss", .options = tcpmss},
	{"time", CONDITION_TIME, true, time_},
	{"tos", .options = tos},
	{"ttl", .options = ttl},
	{"u32", CONDITION_PAYLOAD, true, u32},
	{"udp", .options = udp},
	{"udplite", .options = udplite},
};

const struct xt_extension *xt_find_match(struct span name)
{
	size_t low = 0, high = sizeof(matches) / sizeof(*matches);

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strncmp(matches[middle].name, name.at, name.length);

		if (order == 0 && matches[middle].name[name.length] != '\0')
			order = 1;
		if (order == 0)
			return &matches[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* ebtables-nft(8). Its ports are those of the protocol that --ip-proto names. */
static const struct xt_option ebtables[] = {{"802_3-sap", 1, 0, XT_KEEP},
					    {"802_3-type", 1, 0, XT_KEEP},
					    {"among-src", 1, 0, XT_KEEP},
					    {"among-dst", 1, 0, XT_KEEP},
					    {"among-src-file", 1, 0, XT_KEEP},
					    {"among-dst-file", 1, 0, XT_KEEP},
					    {"arp-opcode", 1, 0, XT_SYMBOL, FIELD_ARP_OPERATION},
					    {"arp-op", 1, 0, XT_SYMBOL, FIELD_ARP_OPERATION},
					    {"arp-htype", 1, 0, XT_SYMBOL, FIELD_ARP_HTYPE},
					    {"arp-ptype", 1, 0, XT_SYMBOL, FIELD_ARP_PTYPE},
					    {"arp-ip-src", 1, 0, XT_ADDRESS, FIELD_ARP_SADDR_IP},
					    {"arp-ip-dst", 1, 0, XT_ADDRESS, FIELD_ARP_DADDR_IP},
					    {"arp-mac-src", 1, 0, XT_MAC, FIELD_ARP_SADDR_ETHER},
					    {"arp-mac-dst", 1, 0, XT_MAC, FIELD_ARP_DADDR_ETHER},
					    {"arp-gratuitous", 0, 0, XT_KEEP},
					    {"ip-src", 1, 0, XT_ADDRESS, FIELD_IP_SADDR},
					    {"ip-source", 1, 0, XT_ADDRESS, FIELD_IP_SADDR},
					    {"ip-dst", 1, 0, XT_ADDRESS, FIELD_IP_DADDR},
					    {"ip-destination", 1, 0, XT_ADDRESS, FIELD_IP_DADDR},
					    {"ip-tos", 1, 0, XT_SYMBOL, FIELD_XT_TOS},
					    {"ip-proto", 1, 0, XT_SYMBOL, FIELD_IP_PROTOCOL},
					    {"ip-protocol", 1, 0, XT_SYMBOL, FIELD_IP_PROTOCOL},
					    {"ip-sport", 1, 0, XT_PORT, FIELD_TH_SPORT},
					    {"ip-source-port", 1, 0, XT_PORT, FIELD_TH_SPORT},
					    {"ip-dport", 1, 0, XT_PORT, FIELD_TH_DPORT},
					    {"ip-destination-port", 1, 0, XT_PORT, FIELD_TH_DPORT},
					    {"ip-icmp-type", 1, 0, XT_EB_ICMP, FIELD_ICMP_TYPE},
					    {"ip-igmp-type", 1, 0, XT_SYMBOL, FIELD_IGMP_TYPE},
					    {"ip6-src", 1, 0, XT_ADDRESS, FIELD_IP6_SADDR},
					    {"ip6-source", 1, 0, XT_ADDRESS, FIELD_IP6_SADDR},
					    {"ip6-dst", 1, 0, XT_ADDRESS, FIELD_IP6_DADDR},
					    {"ip6-destination", 1, 0, XT_ADDRESS, FIELD_IP6_DADDR},
					    {"ip6-tclass", 1, 0, XT_SYMBOL, FIELD_XT_TOS},
					    {"ip6-proto", 1, 0, XT_SYMBOL, FIELD_META_L4PROTO},
					    {"ip6-protocol", 1, 0, XT_SYMBOL, FIELD_META_L4PROTO},
					    {"ip6-sport", 1, 0, XT_PORT, FIELD_TH_SPORT},
					    {"ip6-source-port", 1, 0, XT_PORT, FIELD_TH_SPORT},
					    {"ip6-dport", 1, 0, XT_PORT, FIELD_TH_DPORT},
					    {"ip6-destination-port", 1, 0, XT_PORT, FIELD_TH_DPORT},
					    {"ip6-icmp-type", 1, 0, XT_EB_ICMP, FIELD_ICMPV6_TYPE},
					    {"limit", 1, 0, XT_KEEP},
					    {"limit-burst", 1, 0, XT_KEEP},
					    {"mark", 1, 0, XT_MASKED, FIELD_META_MARK},
					    {"pkttype-type", 1, 0, XT_SYMBOL, FIELD_META_PKTTYPE},
					    {"string-algo", 1, 0, XT_KEEP},
					    {"string-from", 1, 0, XT_KEEP},
					    {"string-to", 1, 0, XT_KEEP},
					    {"string", 1, 0, XT_KEEP},
					    {"string-hex", 1, 0, XT_KEEP},
					    {"string-icase", 0, 0, XT_KEEP},
					    {"vlan-id", 1, 0, XT_SYMBOL, FIELD_VLAN_ID},
					    {"vlan-prio", 1, 0, XT_SYMBOL, FIELD_VLAN_PCP},
					    {"vlan-encap", 1, 0, XT_SYMBOL, FIELD_VLAN_TYPE},
					    {"device-in", 1, 0, XT_KEEP},
					    {"device-out", 1, 0, XT_KEEP},
					    {"stp-type", 1, 0, XT_KEEP},
					    {"stp-flags", 1, 0, XT_KEEP},
					    {"stp-root-prio", 1, 0, XT_KEEP},
					    {"stp-root-addr", 1, 0, XT_KEEP},
					    {"stp-root-cost", 1, 0, XT_KEEP},
					    {"stp-sender-prio", 1, 0, XT_KEEP},
					    {"stp-sender-addr", 1, 0, XT_KEEP},
					    {"stp-port", 1, 0, XT_KEEP},
					    {"stp-msg-age", 1, 0, XT_KEEP},
					    {"stp-max-age", 1, 0, XT_KEEP},
					    {"stp-hello-time", 1, 0, XT_KEEP},
					    {"stp-forward-delay", 1, 0, XT_KEEP},
					    /* watchers: they only report */
					    {"log", 0, 0, XT_IGNORED},
					    {"log-level", 1, 0, XT_IGNORED},
					    {"log-prefix", 1, 0, XT_IGNORED},
					    {"log-ip", 0, 0, XT_IGNORED},
					    {"log-ip6", 0, 0, XT_IGNORED},
					    {"log-arp", 0, 0, XT_IGNORED},
					    {"nflog", 0, 0, XT_IGNORED},
					    {"nflog-group", 1, 0, XT_IGNORED},
					    {"nflog-range", 1, 0, XT_IGNORED},
					    {"nflog-threshold", 1, 0, XT_IGNORED},
					    {"nflog-prefix", 1, 0, XT_IGNORED},
					    {"ulog", 0, 0, XT_IGNORED},
					    {"ulog-prefix", 1, 0, XT_IGNORED},
					    {"ulog-nlgroup", 1, 0, XT_IGNORED},
					    {"ulog-cprange", 1, 0, XT_IGNORED},
					    {"ulog-qthreshold", 1, 0, XT_IGNORED},
					    {"comment", 1, 0, XT_COMMENT},
					    {}};

const struct xt_extension xt_ebtables = {"ebtables", CONDITION_PACKET, .options = ebtables};

static const struct xt_option base_ip[] = {{"p", 1, 0, XT_SYMBOL, FIELD_META_L4PROTO},
					   {"protocol", 1, 0, XT_SYMBOL, FIELD_META_L4PROTO},
					   {"s", 1, 0, XT_ADDRESS, FIELD_IP_SADDR},
					   {"source", 1, 0, XT_ADDRESS, FIELD_IP_SADDR},
					   {"src", 1, 0, XT_ADDRESS, FIELD_IP_SADDR},
					   {"d", 1, 0, XT_ADDRESS, FIELD_IP_DADDR},
					   {"destination", 1, 0, XT_ADDRESS, FIELD_IP_DADDR},
					   {"dst", 1, 0, XT_ADDRESS, FIELD_IP_DADDR},
					   {"i", 1, 0, XT_INTERFACE, FIELD_META_IIFNAME},
					   {"in-interface", 1, 0, XT_INTERFACE, FIELD_META_IIFNAME},
					   {"o", 1, 0, XT_INTERFACE, FIELD_META_OIFNAME},
					   {"out-interface", 1, 0, XT_INTERFACE, FIELD_META_OIFNAME},
					   {"f", 0, 0, XT_BIT, FIELD_IP_FRAG_OFF, 0x1fff},
					   {"fragment", 0, 0, XT_BIT, FIELD_IP_FRAG_OFF, 0x1fff},
					   {}};

static const struct xt_option base_bridge[] = {{"p", 1, 0, XT_SYMBOL, FIELD_ETHER_TYPE},
					       {"proto", 1, 0, XT_SYMBOL, FIELD_ETHER_TYPE},
					       {"protocol", 1, 0, XT_SYMBOL, FIELD_ETHER_TYPE},
					       {"s", 1, 0, XT_MAC, FIELD_ETHER_SADDR},
					       {"src", 1, 0, XT_MAC, FIELD_ETHER_SADDR},
					       {"source", 1, 0, XT_MAC, FIELD_ETHER_SADDR},
					       {"d", 1, 0, XT_MAC, FIELD_ETHER_DADDR},
					       {"dst", 1, 0, XT_MAC, FIELD_ETHER_DADDR},
					       {"destination", 1, 0, XT_MAC, FIELD_ETHER_DADDR},
					       {"i", 1, 0, XT_INTERFACE, FIELD_META_IIFNAME},
					       {"in-interface", 1, 0, XT_INTERFACE, FIELD_META_IIFNAME},
					       {"in-if", 1, 0, XT_INTERFACE, FIELD_META_IIFNAME},
					       {"o", 1, 0, XT_INTERFACE, FIELD_META_OIFNAME},
					       {"out-interface", 1, 0, XT_INTERFACE, FIELD_META_OIFNAME},
					       {"out-if", 1, 0, XT_INTERFACE, FIELD_META_OIFNAME},
					       {"logical-in", 1, 0, XT_INTERFACE, FIELD_META_IBRNAME},
					       {"logical-out", 1, 0, XT_INTERFACE, FIELD_META_OBRNAME},
					       {}};

static const struct xt_option *find(const struct xt_option *options, struct span name)
{
	for (; options && options->name; options++)
		if (options->name[0] == name.at[0] && span_is(name, options->name))
			return options;
	return NULL;
}

const struct xt_option *xt_find_option(const struct xt_extension *extension, struct span name)
{
	/* What a listing shows of a match and cannot be put back into options (xt_list.c). */
	static const struct xt_option shown = {"shown", 0, UINT8_MAX, XT_KEEP};

	if (name.length == 0)
		return NULL;
	return span_is(name, shown.name) ? &shown : find(extension->options, name);
}

const struct xt_option *xt_find_abbreviated(const struct xt_extension *extension, struct span name)
{
	const struct xt_option *found = NULL;

	for (const struct xt_option *option = extension->options; option && option->name; option++) {
		if (name.length < 3 || strncmp(option->name, name.at, name.length) != 0)
			continue;
		if (found)
			return NULL;
		found = option;
	}
	return found;
}

const struct xt_option *xt_find_base(enum family family, struct span name)
{
	return name.length > 0 ? find(family == FAMILY_BRIDGE ? base_bridge : base_ip, name) : NULL;
}

enum field xt_field(enum family family, enum field field)
{
	static const enum field ip6[FIELD_COUNT] = {
		[FIELD_IP_SADDR] = FIELD_IP6_SADDR,	  [FIELD_IP_DADDR] = FIELD_IP6_DADDR,
		[FIELD_IP_DSCP] = FIELD_IP6_DSCP,	  [FIELD_IP_ECN] = FIELD_IP6_ECN,
		[FIELD_IP_TTL] = FIELD_IP6_HOPLIMIT,	  [FIELD_CT_IP_SADDR] = FIELD_CT_IP6_SADDR,
		[FIELD_CT_IP_DADDR] = FIELD_CT_IP6_DADDR,
	};

	return family == FAMILY_IP6 && ip6[field] ? ip6[field] : field;
}
