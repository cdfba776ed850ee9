/* What the kernel says of a network is what its standard tools print of it: on a machine with something of everything.
 */
#include "facts_agree.h"
#include "machine.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "facts/live.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PORT = 7000 };

struct fixture {
	struct machine *m;
	struct talk talk;
	int sockets[8];
	size_t socket_count;
};

/* ---- the machine ---- */

/* Every test has a namespace of its own, which goes with its last user. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	f->m = machine_new();
	f->talk = (struct talk){.client = -1, .server = -1};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->socket_count; i++)
		close(f->sockets[i]);
	if (f->talk.client >= 0)
		tcp_close(&f->talk);
	machine_free(f->m);
	free(f);
	return 0;
}

static void links_and_addresses(void **state)
{
	machine_do("set -e\n"
		   "ip link add br0 address 52:54:00:00:00:01 type bridge\n"
		   "ip link add br1 type bridge mcast_snooping 0 nf_call_iptables 1 stp_state 1\n"
		   "ip link add va type veth peer name vb; ip link set va master br0; ip link set va up; ip link set "
		   "vb up\n"
		   "ip link add a.b type veth peer name b.a\n"
		   "ip tuntap add tap0 mode tap; ip link set tap0 master br0; ip link set tap0 up\n"
		   "ip tuntap add tun0 mode tun; ip link set tun0 up\n"
		   "ip link set br0 up; ip link set br1 up; ip link set b.a master br1\n"
		   "bridge link set dev va isolated on hairpin on; bridge link set dev tap0 learning off flood off "
		   "guard on\n"
		   "bridge link set dev tap0 cost 7 priority 9\n"
		   "ip link add vx4 type vxlan id 42 local 203.0.113.2 remote 203.0.113.1 dev eth0 dstport 4789\n"
		   "ip link add vx6 type vxlan id 43 group ff05::100 dev eth0 dstport 8472\n"
		   "ip link set vx4 mtu 1400 alias 'nestvisor:lab of two words'; ip link set vb group 7\n"
		   "ip link set a.b address 52:54:00:00:00:99");
	machine_do("set -e\n"
		   "ip addr add 10.1.0.1/24 brd + dev br0; ip addr add 10.1.0.2/24 dev br0 label br0:x\n"
		   "ip addr add 10.2.0.1 peer 10.2.0.2/30 dev tun0\n"
		   "ip addr add 10.3.0.1/16 dev vb noprefixroute valid_lft 5000 preferred_lft 4000\n"
		   "ip addr add 169.254.7.7/16 dev vb scope link\n"
		   "ip addr add fd00:1::1/64 dev br0 nodad; ip addr add fd00:1::2/64 dev br0 preferred_lft 0 nodad\n"
		   "ip addr add fd00:2::1/128 dev tun0 peer fd00:2::2/128 nodad\n"
		   "ip addr add fd00:3::1/64 dev vb nodad noprefixroute valid_lft 5000 preferred_lft 4000 home\n");
	/* Kinds that not every kernel has. */
	machine_try("ip link set br1 type bridge vlan_filtering 1 2>/dev/null");
	machine_try("ip link add link eth0 name eth0.5 type vlan id 5 2>/dev/null");
	machine_try("ip link add dum0 type dummy 2>/dev/null");
	machine_try("ip link add link eth0 name mv0 type macvlan mode bridge 2>/dev/null");
	machine_try("ip link add gnv0 type geneve id 77 remote 203.0.113.9 dstport 6081 2>/dev/null");
	machine_try("ip link add gre1 type gre local 203.0.113.2 remote 203.0.113.1 dev eth0 2>/dev/null");
	machine_try("ip link add ipip1 type ipip local 203.0.113.2 remote any 2>/dev/null");
	machine_try("ip link add vrf0 type vrf table 77 2>/dev/null && ip link set b.a nomaster && ip link set b.a "
		    "master vrf0");
	assert_captures_agree();
}

static void routes_and_rules(void **state)
{
	machine_do("set -e\n"
		   "ip link add va type veth peer name vb; ip link set va up; ip link set vb up\n"
		   "ip addr add 10.1.0.1/24 dev va; ip addr add fd00:1::1/64 dev va nodad\n"
		   "ip tuntap add tun0 mode tun; ip link set tun0 up; ip addr add 10.4.0.1/24 dev tun0\n"
		   "ip route add 10.20.0.0/16 via 10.1.0.9 dev va proto static metric 50 src 10.1.0.1 mtu 1300\n"
		   "ip route add 10.21.0.0/16 via 10.1.0.9 tos 0x10 mtu lock 1400\n"
		   "ip route add 10.22.0.0/16 via 192.0.2.7 dev va onlink proto 110 table 500\n"
		   "ip route add 10.23.0.0/16 nexthop via 10.1.0.9 dev va weight 3 nexthop via 203.0.113.1 dev eth0\n"
		   "ip route add 10.24.0.0/16 via inet6 fd00:1::9 dev va\n"
		   "ip route add default via 10.1.0.254 table 100; ip route add throw 10.25.0.0/16 table 100\n"
		   "ip route add blackhole 10.26.0.0/16; ip route add unreachable 10.27.0.0/16 metric 9\n"
		   "ip route add prohibit 10.28.0.1; ip route add local 10.29.0.0/24 dev lo table 100\n"
		   "ip route add 10.30.0.0/16 dev va scope link proto bird\n"
		   "ip -6 route add 2001:db8:20::/48 via fd00:1::9 proto static metric 7\n"
		   "ip -6 route add 2001:db8:23::/48 nexthop via fd00:1::9 dev va nexthop via 2001:db8::1 dev eth0 "
		   "weight 2\n"
		   "ip -6 route add blackhole 2001:db8:26::/48; ip -6 route add unreachable default metric 4000\n"
		   "ip -6 route add default via fd00:1::9 table 100\n"
		   "ip nexthop add id 5 via 10.1.0.77 dev va; ip nexthop add id 6 via 203.0.113.1 dev eth0\n"
		   "ip nexthop add id 7 group 5,2/6; ip route add 10.31.0.0/16 nhid 5; ip route add 10.32.0.0/16 nhid "
		   "7\n");
	machine_try("ip -6 route add 2001:db8:5::/64 from 2001:db8:6::/64 via fd00:1::9");
	machine_do("set -e\n"
		   "ip rule add from 10.1.0.0/24 lookup 100 pref 100; ip rule add to 10.9.0.1 lookup 500 pref 101\n"
		   "ip rule add not from 10.8.0.0/16 iif va lookup main pref 102\n"
		   "ip rule add oif gone0 lookup 100 pref 103; ip rule add iif lo tos 0x10 lookup 100 pref 104\n"
		   "ip rule add fwmark 0x10/0xff lookup 100 pref 105; ip rule add fwmark 7 lookup 100 pref 106\n"
		   "ip rule add ipproto tcp sport 1000-2000 dport 22 lookup 100 pref 107\n"
		   "ip rule add uidrange 1000-2000 lookup 100 pref 108; ip rule add ipproto 132 blackhole pref 109\n"
		   "ip rule add lookup main suppress_prefixlength 0 pref 110; ip rule add goto 120 pref 111\n"
		   "ip rule add from 10.7.0.0/16 unreachable pref 112; ip rule add from 10.6.0.0/16 prohibit pref 113\n"
		   "ip rule add lookup main suppress_ifgroup 7 pref 114; ip rule add goto 9999 pref 115\n"
		   "ip rule add nop pref 116; ip rule add fwmark 0 lookup 100 pref 120\n"
		   "ip -6 rule add from fd00:1::/64 lookup 100 pref 100; ip -6 rule add to 2001:db8:9::1 prohibit pref "
		   "101");
	machine_try("ip rule add l3mdev pref 99");
	assert_captures_agree();
}

/* Where the kernel names only the object, the route still says where it leads. */
static void nexthop_objects_are_looked_up(void **state)
{
	cleanup_bundle struct bundle *live = NULL;
	const struct facts *facts;
	unsigned seen = 0;

	machine_do(
		"set -e; sysctl -qw net.ipv4.nexthop_compat_mode=0 2>/dev/null || "
		"echo 0 > /proc/sys/net/ipv4/nexthop_compat_mode\n"
		"ip nexthop add id 6 via 203.0.113.1 dev eth0; ip nexthop add id 8 blackhole\n"
		"ip nexthop add id 5 via 203.0.113.7 dev eth0; ip nexthop add id 7 group 5,2/6\n"
		"ip route add 10.31.0.0/16 nhid 6; ip route add 10.32.0.0/16 nhid 7; ip route add 10.33.0.0/16 nhid 8");
	OK(bundle_live(&live, &problem));
	facts = live->hosts[0];
	for (size_t i = 0; i < facts->route_count; i++) {
		const struct route *route = &facts->routes[i];

		if (route->family != AF_INET || strncmp(route->text, "10.31", 5) == 0)
			seen += route->family == AF_INET && route->nexthop_count == 1 &&
				strcmp(route->text, "10.31.0.0/16 via 203.0.113.1 dev eth0") == 0;
		if (strstr(route->text, "10.32.0.0/16"))
			seen += strcmp(route->text, "10.32.0.0/16 nexthop via 203.0.113.7 dev eth0 weight 2 "
						    "nexthop via 203.0.113.1 dev eth0 weight 1") == 0;
		if (strstr(route->text, "10.33.0.0/16"))
			seen += strncmp(route->text, "blackhole", 9) == 0;
	}
	assert_int_equal(seen, 3);
}

static void neighbours_and_bridges(void **state)
{
	machine_do("set -e\n"
		   "ip link add br0 type bridge; ip link set br0 up; ip addr add 10.1.0.1/24 dev br0\n"
		   "ip link add va type veth peer name vb; ip link set va master br0; ip link set va up; ip link set "
		   "vb up\n"
		   "ip link add vx4 type vxlan id 42 dev eth0 dstport 4789; ip link set vx4 up\n"
		   "ip neigh add 10.1.0.7 lladdr 52:54:00:00:00:07 dev br0\n"
		   "ip neigh add fd00::7 lladdr 52:54:00:00:00:17 dev br0 router\n"
		   "ip neigh add proxy 10.1.0.99 dev br0; ip -6 neigh add proxy fd00::99 dev eth0\n"
		   "bridge fdb add 52:54:00:00:00:21 dev va master static; bridge fdb add 52:54:00:00:00:22 dev va "
		   "master\n"
		   "bridge fdb append 00:00:00:00:00:00 dev vx4 dst 203.0.113.9\n"
		   "bridge fdb add 52:54:00:00:00:23 dev vx4 dst 203.0.113.8\n"
		   "ping -c 1 -W 5 203.0.113.1 >/dev/null");
	assert_captures_agree();
}

static void nftables(void **state)
{
	machine_do("nft -f - <<'END'\n"
		   "table inet t {\n"
		   "  counter hits { packets 3 bytes 4 }\n"
		   "  set plain { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 } }\n"
		   "  set nets { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/8, "
		   "192.168.1.5-192.168.1.9 } }\n"
		   "  set pairs { type ipv4_addr . inet_service . inet_proto; flags interval; elements = { 10.0.0.0/24 "
		   ". 80-90 . tcp, 10.0.1.1 . 22 . tcp } }\n"
		   "  set seen { type ipv6_addr; flags dynamic,timeout; timeout 5m; size 100; }\n"
		   "  map ports { type inet_service : ipv4_addr; elements = { 80 : 10.0.0.1, 443 : 10.0.0.2 } }\n"
		   "  map ways { type ifname : verdict; elements = { \"eth0\" : jump inner, \"lo\" : accept } }\n"
		   "  chain inner { ct state vmap { established : accept, invalid : drop }; return; }\n"
		   "  chain in {\n"
		   "    type filter hook input priority filter + 5; policy drop;\n"
		   "    ct state established,related counter packets 10 bytes 20 accept comment \"what is known\"\n"
		   "    iifname vmap @ways\n"
		   "    ip saddr @nets tcp dport { 22, 80-90 } meta mark set meta mark and 0xffffff00 or 0x10 limit "
		   "rate 5/second accept\n"
		   "    ip saddr . tcp dport . meta l4proto @pairs accept\n"
		   "    ip6 saddr fd00::/8 icmpv6 type { echo-request, nd-neighbor-solicit } accept\n"
		   "    tcp flags & (syn|ack) == syn log prefix \"new: \" goto inner\n"
		   "    ip6 saddr != ::1 update @seen { ip6 saddr timeout 1m }\n"
		   "    reject with icmpx type admin-prohibited\n"
		   "  }\n"
		   "  chain pre { type nat hook prerouting priority dstnat; dnat ip to tcp dport map @ports; fib daddr "
		   "type local tcp dport 8080 redirect to :80; }\n"
		   "  chain post { type nat hook postrouting priority srcnat; oifname \"eth0\" ip saddr 10.0.0.0/8 "
		   "masquerade; ip6 saddr fd00::/8 snat to 2001:db8::7; }\n"
		   "}\n"
		   "table bridge b { chain f { type filter hook forward priority 0; ether type arp accept; ether saddr "
		   "52:54:00:00:00:01 drop; }; }\n"
		   "table netdev n { chain i { type filter hook ingress device eth0 priority 0; ip saddr 192.0.2.1 "
		   "drop; }; }\n"
		   "table ip sleeping { flags dormant; chain f { type filter hook forward priority 0; drop; }; }\n"
		   "table arp a { chain i { type filter hook input priority 0; arp operation request accept; }; }\n"
		   "END\n");
	machine_try("nft add flowtable inet t f '{ hook ingress priority 0; devices = { eth0 }; }' 2>/dev/null");
	assert_captures_agree();
}

/* A rule that nft made in a table that iptables-nft takes for its own: its program shows only "-j ACCEPT" of it. */
static void rules_that_iptables_does_not_know(void **state)
{
	cleanup_bundle struct bundle *live = NULL;
	const struct table *nft, *program;

	if (!have("iptables-nft-save")) {
		printf("SKIP: no iptables here\n");
		skip();
	}
	machine_do("nft add table ip filter '{ chain FORWARD { type filter hook forward priority filter; "
		   "iifname { a, b } accept; }; }'");
	OK(bundle_live_at(-1, "machine", &live, &problem));
	nft = ruleset_table(&live->hosts[0]->ruleset, BACKEND_NFTABLES, FAMILY_IP, "filter");
	program = ruleset_table(&live->hosts[0]->ruleset, BACKEND_XTABLES_NFT, FAMILY_IP, "filter");
	assert_non_null(nft);
	assert_null(nft->chains[0].shadowed);
	for (size_t i = 0; program && i < program->chain_count; i++)
		assert_string_equal(program->chains[i].shadowed, "netlink:nftables");
	assert_captures_agree();
}

/* With as many extensions as there are; a kernel lacks one or the other. */
static const char *const xt_rules[] = {
	"iptables-nft -P FORWARD DROP",
	"iptables-nft -N MINE",
	"iptables-nft -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
	"iptables-nft -A FORWARD -i eth0 -p tcp -m multiport --dports 22,80:90 -m comment --comment 'two words' -j "
	"MINE",
	"iptables-nft -A MINE -m addrtype --dst-type LOCAL -m limit --limit 3/min -j LOG --log-prefix 'x: '",
	"iptables-nft -A MINE -m mac --mac-source 52:54:00:00:00:01 -m mark --mark 0x1/0xff -j RETURN",
	"iptables-nft -A MINE -m statistic --mode random --probability 0.5 -j REJECT --reject-with "
	"icmp-port-unreachable",
	"iptables-nft -A MINE -f -j DROP",
	"iptables-nft -A MINE -m connmark --mark 3 -m dscp --dscp 10 -j DROP",
	"iptables-nft -A MINE -p tcp --tcp-flags SYN,ACK SYN -m tcpmss --mss 1:500 -j DROP",
	"iptables-nft -A MINE -m conntrack --ctorigsrc 10.0.0.1 --ctproto tcp --ctdir REPLY --ctexpire 1:2 --ctstatus "
	"ASSURED -j DROP",
	"iptables-nft -A MINE -m conntrack --ctstate DNAT -j ACCEPT",
	"iptables-nft -A MINE -m iprange --src-range 10.0.0.1-10.0.0.9 -m time --timestart 10:00 -m cpu --cpu 0 -j "
	"DROP",
	"iptables-nft -A MINE -m hashlimit --hashlimit-above 5/sec --hashlimit-name a -j DROP",
	"iptables-nft -A MINE -p sctp --dport 5 -j DROP",
	"iptables-nft -A MINE -p esp -m esp --espspi 5 -j DROP",
	"iptables-nft -A MINE -p ah -m ah --ahspi 5 -j DROP",
	"iptables-nft -A MINE -m owner --uid-owner 0 -j DROP",
	"iptables-nft -A MINE -m pkttype --pkt-type broadcast -m ttl --ttl-lt 3 -m length --length 10:20 -j DROP",
	"iptables-nft -A MINE -m tos --tos 0x10 -j DROP",
	"iptables-nft -A MINE -m devgroup --src-group 5 -m realm --realm 5 -j DROP",
	"iptables-nft -A MINE -m ecn --ecn-ip-ect 1 -j DROP",
	"iptables-nft -A MINE -m policy --dir in --pol ipsec -j DROP",
	"iptables-nft -A MINE -m physdev --physdev-in vnet0 -j DROP",
	"iptables-nft -A MINE -p udp -m multiport --ports 5,6 -j DROP",
	"iptables-nft -A MINE ! -i lo+ ! -o eth1 ! -p icmp -j DROP",
	"iptables-nft -A MINE -p icmp --icmp-type 3/4 -j DROP",
	"iptables-nft -A MINE -m u32 --u32 '0=1' -m string --algo bm --string foo -j DROP",
	"iptables-nft -t nat -A POSTROUTING -s 10.0.0.0/8 ! -d 10.0.0.0/8 -o eth0 -j MASQUERADE",
	"iptables-nft -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.1:80",
	"iptables-nft -t mangle -A PREROUTING -j MARK --set-xmark 0x5/0xff",
	"iptables-nft -t raw -A PREROUTING -p udp -j CT --notrack",
	"ip6tables-nft -A INPUT -p ipv6-icmp -j ACCEPT",
	"ip6tables-nft -A INPUT -m hl --hl-eq 255 -j DROP",
	"ip6tables-nft -A INPUT -p icmpv6 --icmpv6-type echo-request -j ACCEPT",
	"ip6tables-nft -A INPUT -m rt --rt-type 0 -j DROP",
	"ip6tables-nft -A INPUT -m frag --fragfirst -j DROP",
	"ip6tables-nft -A INPUT -m ipv6header --header dst -j DROP",
	"ebtables-nft -A FORWARD -p IPv4 --ip-src 10.0.0.1 -j DROP",
	"ebtables-nft -A FORWARD -p IPv4 --ip-proto tcp --ip-dport 22 -j DROP",
	"ebtables-nft -A FORWARD -p ARP --arp-op Request --arp-ip-dst 10.0.0.1 -j DROP",
	"ebtables-nft -A FORWARD -p 802_1Q --vlan-id 5 -j DROP",
	"ebtables-nft -A FORWARD --among-src 52:54:00:00:00:01=10.0.0.1 -j DROP",
	"ebtables-nft -A FORWARD -p IPv6 --ip6-src fd00::/8 --ip6-proto tcp --ip6-dport 5 -j DROP",
	"ebtables-nft -A FORWARD -i a+ -o b --pkttype-type multicast -j DROP",
	"ebtables-nft -t nat -A PREROUTING -s 52:54:00:00:00:09 -j DROP",
};

/* Of every table that a program shows, what it shows counts; nft only names some of its extensions. */
static void iptables(void **state)
{
	cleanup_bundle struct bundle *live = NULL;
	const struct ruleset *ruleset;
	unsigned tables = 0;

	if (!have("iptables-nft") || !have("iptables-nft-save")) {
		printf("SKIP: no iptables here\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(xt_rules) / sizeof(*xt_rules); i++)
		machine_try("%s 2>/dev/null", xt_rules[i]);
	machine_do("nft add table inet own '{ chain c { type filter hook forward priority 5; accept; }; }'");
	assert_captures_agree();
	OK(bundle_live_at(-1, "machine", &live, &problem));
	ruleset = &live->hosts[0]->ruleset;
	for (size_t i = 0; i < live->hosts[0]->note_count; i++)
		fail_msg("%s", live->hosts[0]->notes[i].text);
	for (size_t i = 0; i < ruleset->table_count; i++)
		for (size_t j = 0; j < ruleset->tables[i].chain_count; j++)
			if (ruleset->tables[i].backend == BACKEND_XTABLES_NFT) {
				tables++;
				assert_null(ruleset->tables[i].chains[j].shadowed);
			}
	assert_true(tables > 5);
	assert_string_equal(ruleset_table(ruleset, BACKEND_NFTABLES, FAMILY_IP, "filter")->chains[0].shadowed,
			    "iptables-nft-save");
}

/* x_tables of the kernel itself: both kinds may be there at once. */
static void legacy_iptables(void **state)
{
	cleanup_bundle struct bundle *live = NULL, *captured = NULL;
	struct table *a, *b;

	if (!have("iptables-legacy") || !machine_try("iptables-legacy -A FORWARD -m state --state NEW -j DROP")) {
		printf("SKIP: no legacy tables here\n");
		skip();
	}
	machine_do("nft add table ip filter '{ chain FORWARD { type filter hook forward priority filter; "
		   "iifname { a, b } accept; }; }'");
	OK(bundle_live(&live, &problem));
	machine_do("rm -rf /run/captured; mkdir /run/captured; iptables-legacy-save > "
		   "/run/captured/iptables-legacy-save.txt");
	OK(bundle_load("/run/captured", &captured, &problem));
	a = ruleset_table(&live->hosts[0]->ruleset, BACKEND_XTABLES_LEGACY, FAMILY_IP, "filter");
	b = ruleset_table(&captured->hosts[0]->ruleset, BACKEND_XTABLES_LEGACY, FAMILY_IP, "filter");
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(a->chain_count, b->chain_count);
	assert_string_equal(table_chain(a, "FORWARD")->rules[0].text, table_chain(b, "FORWARD")->rules[0].text);
	a = ruleset_table(&live->hosts[0]->ruleset, BACKEND_NFTABLES, FAMILY_IP, "filter");
	assert_non_null(a);
	assert_null(table_chain(a, "FORWARD")->shadowed);
	machine_do("iptables-legacy -F");
}

static void ipsets(void **state)
{
	static const struct {
		const char *set, *elements[2]; /* created where the kernel knows the type */
	} sets[] = {
		{"ips hash:ip family inet hashsize 1024 maxelem 65536 timeout 300 comment",
		 {"ips 10.0.0.1 timeout 100 comment 'a b'"}},
		{"nets hash:net family inet6", {"nets fd00::/8", "nets fd00:1::/32 nomatch"}},
		{"ports hash:ip,port", {"ports 10.0.0.1,tcp:80", "ports 10.0.0.1,udp:53"}},
		{"both hash:net,port,net", {"both 10.0.0.0/8,tcp:22,192.168.0.0/16"}},
		{"bits bitmap:port range 0-1000", {"bits 22", "bits 80"}},
		{"range bitmap:ip range 10.0.0.0-10.0.0.255", {"range 10.0.0.7"}},
		{"macs hash:mac", {"macs 52:54:00:00:00:01"}},
		{"wires hash:net,iface", {"wires 10.0.0.0/24,eth0", "wires 10.1.0.0/24,physdev:eth1"}},
		{"marks hash:ip,mark", {"marks 10.0.0.1,0x10"}},
		{"all list:set", {"all ips"}},
		{"wide hash:ip netmask 24", {"wide 10.0.7.0"}},
	};
	cleanup_bundle struct bundle *live = NULL;
	unsigned made = 0;

	for (size_t i = 0; have("ipset") && i < sizeof(sets) / sizeof(*sets); i++) {
		if (!machine_try("ipset create %s 2>/dev/null", sets[i].set))
			continue;
		made++;
		for (size_t j = 0; j < 2 && sets[i].elements[j]; j++)
			machine_do("ipset add %s", sets[i].elements[j]);
	}
	if (made == 0) {
		printf("SKIP: no ipsets here\n");
		skip();
	}
	assert_captures_agree();
	OK(bundle_live(&live, &problem));
	assert_int_equal(live->hosts[0]->ruleset.ipset_count, made);
	assert_int_equal(live->hosts[0]->ruleset.ipsets_known, TRUTH_YES);
}

static int listen_on(const char *device, int domain, int type, uint16_t port, int only6)
{
	int fd = socket(domain, type | SOCK_CLOEXEC, 0);
	struct sockaddr_storage any = {.ss_family = (sa_family_t)domain};

	assert_true(fd >= 0);
	if (domain == AF_INET6) {
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6)), 0);
		((struct sockaddr_in6 *)&any)->sin6_port = htons(port);
	} else {
		((struct sockaddr_in *)&any)->sin_port = htons(port);
	}
	if (device)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any,
			      domain == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)),
			 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static int by_port(const void *a, const void *b)
{
	const struct listener *left = a, *right = b;

	return left->port.value < right->port.value ? -1 : left->port.value > right->port.value;
}

static void open_sockets(struct fixture *f)
{
	f->sockets[f->socket_count++] = listen_on(NULL, AF_INET, SOCK_STREAM, 7101, 0);
	f->sockets[f->socket_count++] = listen_on(NULL, AF_INET6, SOCK_STREAM, 7102, 0);
	f->sockets[f->socket_count++] = listen_on(NULL, AF_INET6, SOCK_STREAM, 7103, 1);
	f->sockets[f->socket_count++] = listen_on(NULL, AF_INET, SOCK_DGRAM, 7104, 0);
	f->sockets[f->socket_count++] = listen_on("eth0", AF_INET, SOCK_DGRAM, 7105, 0);
}

/* From now on this process has no sock_diag(7), as if its kernel were without it. */
static void lose_sock_diag(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLINK_SOCK_DIAG, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTONOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(2);
}

/* As text: "tcp 7101 203.0.113.2 eth0 users:(…)" */
static void describe_listeners(struct facts *facts, struct strbuf *out)
{
	qsort(facts->listeners, facts->listener_count, sizeof(*facts->listeners), by_port);
	for (size_t i = 0; i < facts->listener_count; i++) {
		const struct listener *listener = &facts->listeners[i];
		char address[IP_TEXT_SIZE];

		strbuf_printf(out, "%s %u %s %s %s\n", listener->protocol, (unsigned)listener->port.value,
			      listener->address.family ? ip_format(&listener->address, address) : "*",
			      listener->device ? listener->device : "-", listener->process ? listener->process : "-");
	}
}

/* A process of its own, since what it loses is lost for good. */
static int ask_without_sock_diag(int to)
{
	cleanup_strbuf struct strbuf text = {};
	struct bundle *live = NULL;

	lose_sock_diag();
	if (bundle_live(&live, NULL) < 0 || live->hosts[0]->listeners_known != TRUTH_YES)
		return 1;
	describe_listeners(live->hosts[0], &text);
	bundle_free(live);
	return write(to, text.text, text.length) == (ssize_t)text.length ? 0 : 1;
}

/* What it does not tell: who is bound to a device, or serves IPv6 alone; these count as all. */
static void sockets_without_sock_diag(void **state)
{
	struct fixture *f = *state;
	cleanup_strbuf struct strbuf want = {};
	char got[4096] = "";
	int ends[2], status;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	open_sockets(f);
	for (size_t i = 0; i < 5; i++)
		strbuf_printf(&want, "%s %zu %s - users:((\"test_facts_live\",pid=%d,fd=%d))\n", i < 3 ? "tcp" : "udp",
			      7101 + i, i == 1 || i == 2 ? "*" : "0.0.0.0", (int)getpid(), f->sockets[i]);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (size_t i = 0; i < f->socket_count; i++)
			close(f->sockets[i]); /* the parent's alone */
		_exit(ask_without_sock_diag(ends[1]));
	}
	close(ends[1]);
	while (length < sizeof(got) - 1 && (n = read(ends[0], got + length, sizeof(got) - 1 - length)) > 0)
		length += (size_t)n;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(got, want.text);
}

static void sockets_and_connections(void **state)
{
	struct fixture *f = *state;
	cleanup_bundle struct bundle *live = NULL;
	struct facts *facts;
	bool named = false;

	open_sockets(f);
	machine_do("nft add table inet t '{ chain c { type filter hook output priority 0; ct state new counter; }; "
		   "chain n { type nat hook postrouting priority 100; oifname eth0 masquerade; }; }'");
	assert_true(tcp_open(&f->talk, f->m->home, f->m->world, "203.0.113.1", PORT));
	assert_true(tcp_say(f->talk.client, f->talk.server, "hello"));
	machine_do("ping -c 1 -W 5 203.0.113.1 >/dev/null; ping -c 1 -W 5 2001:db8::1 >/dev/null");
	assert_captures_agree();
	OK(bundle_live(&live, &problem));
	facts = live->hosts[0];
	assert_int_equal(facts_connections_known(facts), TRUTH_YES);
	assert_int_equal(facts->listeners_known, TRUTH_YES);
	assert_int_equal(facts->listener_count, 5);
	qsort(facts->listeners, facts->listener_count, sizeof(*facts->listeners), by_port);
	for (size_t i = 0; i < facts->listener_count; i++)
		named = named ||
			(facts->listeners[i].process && strstr(facts->listeners[i].process, "test_facts_live"));
	assert_true(named);
	assert_int_equal(facts->listeners[1].address.family, 0); /* dual: every address */
	assert_int_equal(facts->listeners[2].address.family, AF_INET6);
	assert_string_equal(facts->listeners[4].device, "eth0");
	for (size_t i = 0; i < facts->connection_count; i++) {
		const struct connection *connection = &facts->connections[i];

		if (connection->original.destination_port.value != PORT)
			continue;
		assert_string_equal(connection->state, "ESTABLISHED");
		assert_true(connection->assured);
		assert_false(connection->unreplied);
		assert_int_equal(connection->protocol.value, IPPROTO_TCP);
		return;
	}
	fail_msg("the connection to port %u is not there", PORT);
}

static void sysctls(void **state)
{
	cleanup_bundle struct bundle *live = NULL;
	const struct facts *facts;

	machine_do(
		"set -e\n"
		"ip link add a.b type veth peer name b.a\n"
		"echo 2 > /proc/sys/net/ipv4/conf/a.b/rp_filter; echo 1 > /proc/sys/net/ipv4/conf/a.b/proxy_arp\n"
		"echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; echo 0 > "
		"/proc/sys/net/ipv6/conf/eth0/accept_ra\n"
		"echo 1 > /proc/sys/net/ipv6/conf/b.a/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding\n"
		"echo 1 > /proc/sys/net/ipv4/ip_forward");
	assert_captures_agree();
	OK(bundle_live(&live, &problem));
	facts = live->hosts[0];
	assert_string_equal(facts_sysctl(facts, "net.ipv4.conf.a/b.rp_filter"), "2");
	assert_string_equal(facts_sysctl(facts, "net.ipv4.conf.eth0.route_localnet"), "1");
	assert_string_equal(facts_sysctl(facts, "net.ipv6.conf.b/a.disable_ipv6"), "1");
	assert_string_equal(facts_sysctl(facts, "net.ipv6.conf.eth0.accept_ra"), "0");
	assert_string_equal(facts_sysctl(facts, "net.ipv4.ip_forward"), "1");
	assert_string_equal(facts_sysctl(facts, "net.ipv4.conf.all.forwarding"), "1");
	assert_false(facts_sysctl_absent(facts, "net.ipv4.ip_forward"));
	assert_true(machine_try("test -e /proc/sys/net/bridge/bridge-nf-call-iptables") !=
		    facts_sysctl_absent(facts, "net.bridge.bridge-nf-call-iptables"));
}

/* Every file of an interface's sysctls says what the array of the kernel said. */
static void devconf_is_what_the_files_say(void **state)
{
	cleanup_bundle struct bundle *live = NULL;
	unsigned compared = 0;

	machine_do("ip link add a.b type veth peer name b.a");
	OK(bundle_live(&live, &problem));
	for (size_t i = 0; i < live->hosts[0]->sysctl_count; i++) {
		const struct sysctl *sysctl = &live->hosts[0]->sysctls[i];
		cleanup_free char *path = strdup(sysctl->name), *value = NULL;

		assert_non_null(path);
		if (!strstr(path, ".conf.") || strstr(path, ".conf.all.") || strstr(path, ".conf.default."))
			continue;
		for (char *c = path; *c; c++)
			*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
		value = machine_run("cat /proc/sys/%s", path);
		value[strcspn(value, "\n")] = '\0';
		if (strcmp(value, sysctl->value) != 0)
			fail_msg("%s is %s, the file says %s", sysctl->name, sysctl->value, value);
		compared++;
	}
	assert_true(compared > 100);
}

/* Another namespace is asked from outside; nothing of this one shows, and the thread comes back. */
static void other_namespaces(void **state)
{
	struct fixture *f = *state;
	cleanup_bundle struct bundle *live = NULL, *here = NULL;
	const struct facts *facts;

	machine_do("ip link add only-here type veth peer name only-peer; ip -n world link add br-w type bridge; "
		   "ip netns exec world nft add table inet of_the_world; "
		   "ip netns exec world sysctl -qw net.ipv4.conf.all.rp_filter=2");
	OK(bundle_live_at(f->m->world, "world", &live, &problem));
	facts = live->hosts[0];
	assert_string_equal(facts->name, "world");
	assert_non_null(facts_link(facts, "br-w"));
	assert_null(facts_link(facts, "only-here"));
	assert_non_null(ruleset_table(&facts->ruleset, BACKEND_NFTABLES, FAMILY_INET, "of_the_world"));
	assert_string_equal(facts_sysctl(facts, "net.ipv4.conf.all.rp_filter"), "2");
	assert_true(facts_link(facts, "eth0")->peer_netnsid.known);
	OK(bundle_live(&here, &problem));
	assert_non_null(facts_link(here->hosts[0], "only-here"));
	assert_null(ruleset_table(&here->hosts[0]->ruleset, BACKEND_NFTABLES, FAMILY_INET, "of_the_world"));
}

/* A rule is found again by the number the kernel has for it. */
static void rules_are_cited_by_handle(void **state)
{
	cleanup_bundle struct bundle *live = NULL;
	const struct rule *rule;
	char text[ORIGIN_TEXT_SIZE];

	machine_do("nft add table inet t '{ chain c { type filter hook input priority 0; accept; tcp dport 22 drop; }; "
		   "}'");
	OK(bundle_live(&live, &problem));
	rule = &ruleset_table(&live->hosts[0]->ruleset, BACKEND_NFTABLES, FAMILY_INET, "t")->chains[0].rules[1];
	assert_true(rule->handle.known);
	assert_string_equal(rule->text, "tcp dport 22 drop");
	origin_format(&rule->origin, text);
	assert_true(strncmp(text, "netlink:nftables#", 17) == 0);
	machine_do("nft delete rule inet t c handle %s", strchr(text, '#') + 1);
	assert_false(machine_try("nft list chain inet t c | grep -q 'dport 22'"));
}

/* Somebody without rights sees links and routes; the rest is unknown, not empty. */
static void without_root(void **state)
{
	cleanup_bundle struct bundle *live = NULL;
	const struct facts *facts;
	bool said = false;
	int r;

	machine_do("nft add table inet t '{ chain c { type filter hook input priority 0; ct state new accept; }; }'");
	assert_true(setegid(65534) == 0 && seteuid(65534) == 0);
	r = bundle_live(&live, NULL);
	assert_true(seteuid(0) == 0 && setegid(0) == 0);
	assert_int_equal(r, 0);
	facts = live->hosts[0];
	assert_non_null(facts_link(facts, "eth0"));
	assert_int_equal(facts->links_known, TRUTH_YES);
	assert_true(facts_routes_known(facts, AF_INET, "main"));
	assert_false(ruleset_covers(&facts->ruleset, BACKEND_NFTABLES, FAMILY_INET, "t"));
	assert_false(ruleset_covers(&facts->ruleset, BACKEND_XTABLES, FAMILY_IP, "filter"));
	assert_int_equal(facts_connections_known(facts), TRUTH_UNKNOWN);
	for (size_t i = 0; i < facts->note_count; i++)
		said = said || strstr(facts->notes[i].text, "nftables");
	assert_true(said);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(links_and_addresses),
		TEST(routes_and_rules),
		TEST(nexthop_objects_are_looked_up),
		TEST(neighbours_and_bridges),
		TEST(nftables),
		TEST(iptables),
		TEST(rules_that_iptables_does_not_know),
		TEST(legacy_iptables),
		TEST(ipsets),
		TEST(sockets_and_connections),
		TEST(sockets_without_sock_diag),
		TEST(sysctls),
		TEST(devconf_is_what_the_files_say),
		TEST(other_namespaces),
		TEST(rules_are_cited_by_handle),
		TEST(without_root),
	};

	return cmocka_run_group_tests_name("facts_live", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
