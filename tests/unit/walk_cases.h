/*
 * Small hosts, packets, and what becomes of them: one scenario for each thing that is easy to get wrong. In questions
 * and answers ' stands for ". A question is what it says on top of the scenario's base question; an answer is what it
 * must have, not all it has.
 */
#ifndef NESTVISOR_TESTS_WALK_CASES_H
#define NESTVISOR_TESTS_WALK_CASES_H

/* A router between eth0 (10.0.0.0/24, fd00:a::/64) and eth1 (10.0.1.0/24, fd00:b::/64). */
#define LOOPBACK                                                                                                       \
	"1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n"         \
	"    inet 127.0.0.1/8 scope host lo\n    inet6 ::1/128 scope host\n"
#define ETHER(index, name, more)                                                                                       \
#index ": " name ": <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 " more                                          \
	       "\n    link/ether 52:54:00:00:00:0" #index " brd ff:ff:ff:ff:ff:ff\n"
#define ADDRESSES                                                                                                      \
	"$ ip addr\n" LOOPBACK ETHER(                                                                                  \
		2, "eth0", "") "    inet 10.0.0.1/24 brd 10.0.0.255 scope global eth0\n"                               \
			       "    inet6 fd00:a::1/64 scope global\n    inet6 fe80::2/64 scope link\n" ETHER(         \
				       3, "eth1", "") "    inet 10.0.1.1/24 brd 10.0.1.255 scope global eth1\n    "    \
						      "inet6 fd00:b::1/64 scope global\n"                              \
						      "    inet6 fe80::3/64 scope link\n"
#define RULES                                                                                                          \
	"$ ip rule\n0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"        \
	"$ ip -6 rule\n0:\tfrom all lookup local\n32766:\tfrom all lookup main\n"
#define ROUTES                                                                                                         \
	"$ ip route\ndefault via 10.0.0.254 dev eth0\n10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1\n"     \
	"10.0.1.0/24 dev eth1 proto kernel scope link src 10.0.1.1\n"                                                  \
	"$ ip -6 route\nfd00:a::/64 dev eth0 proto kernel metric 256\nfd00:b::/64 dev eth1 proto kernel metric 256\n"  \
	"fe80::/64 dev eth0 proto kernel metric 256\nfe80::/64 dev eth1 proto kernel metric 256\n"                     \
	"default via fd00:a::fe dev eth0 metric 1024\n"
#define SYSCTLS                                                                                                        \
	"$ sysctl -a\nnet.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n"                                     \
	"net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = 0\nnet.ipv4.conf.eth1.rp_filter = 0\n"        \
	"net.ipv4.conf.all.accept_local = 0\nnet.ipv4.conf.eth0.accept_local = 0\n"                                    \
	"net.ipv4.conf.eth1.accept_local = 0\nnet.ipv4.conf.all.route_localnet = 0\n"                                  \
	"net.ipv4.conf.eth0.route_localnet = 0\nnet.ipv4.conf.eth1.route_localnet = 0\n"
#define ROUTER	 ADDRESSES RULES ROUTES SYSCTLS
#define NFT	 "$ nft list ruleset\n"
#define IPTABLES "$ iptables-save\n"

/*
 * A machine with a bridge br0 of which VXLAN tunnel vx0 and a guest's tap are ports, on 10.0.0.0/24 with others. What
 * the tunnel has in its table is its own: lines of `bridge fdb`.
 */
#define TUNNELLER(number, address, peers)                                                                              \
	"$ ip -d addr\n" LOOPBACK                                                                                      \
	"2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n    link/ether 52:54:00:00:0a:0" number                  \
	" brd ff:ff:ff:ff:ff:ff\n    inet 10.0.0." number "/24 scope global eth0\n"                                    \
	"3: br0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450\n    link/ether 52:54:00:00:0b:0" number                   \
	" brd ff:ff:ff:ff:ff:ff\n    bridge forward_delay 0 stp_state 0\n" address                                     \
	"4: vx0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 master br0\n    link/ether 52:54:00:00:0c:0" number        \
	" brd ff:ff:ff:ff:ff:ff\n    vxlan id 7 srcport 0 0 dstport 4789 ageing 300\n    bridge_slave state "          \
	"forwarding\n"                                                                                                 \
	"5: vnet0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 master br0\n    link/ether fe:54:00:00:0d:0" number      \
	" brd ff:ff:ff:ff:ff:ff\n    tun type tap\n    bridge_slave state forwarding\n" RULES                          \
	"$ ip route\n10.0.0.0/24 dev eth0 scope link src 10.0.0." number "\n10.9.0.0/24 dev br0 scope link\n" SYSCTLS  \
	"net.bridge.bridge-nf-call-iptables = 0\n$ bridge fdb\n" peers NFT
#define PEER(last) "00:00:00:00:00:00 dev vx0 dst 10.0.0." last " self permanent\n"
#define TUNNELLED(number)                                                                                              \
	"$ ip addr\n" LOOPBACK "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450\n    link/ether "                  \
	"52:54:00:00:0d:0" number " brd ff:ff:ff:ff:ff:ff\n    inet 10.9.0." number "/24 scope global eth0\n" RULES    \
	"$ ip route\n10.9.0.0/24 dev eth0 scope link src 10.9.0." number "\n" SYSCTLS NFT

struct walk_case {
	const char *question, *answer;
};

struct walk_scenario {
	const char *name;
	struct {
		const char *name, *session;
	} hosts[4];
	const char *links;
	const char *base; /* NULL: tcp 10.0.0.2 → 10.0.1.2:22, arriving at r by eth0 */
	struct walk_case cases[12];
};

static const struct walk_scenario scenarios[] = {
	{"accept ends only its own base chain, and drop everything",
	 {{"r", ROUTER NFT "table ip one {\n chain forward {\n  type filter hook forward priority 0; policy accept;\n"
			   "  tcp dport 22 accept\n  tcp dport 80 drop\n }\n}\n"
			   "table ip two {\n chain forward {\n  type filter hook forward priority 10; policy drop;\n"
			   "  tcp dport { 80, 443 } accept\n }\n}\n"}},
	 NULL,
	 NULL,
	 {{"{'dport': 22}", "{'verdict': 'dropped', 'table': 'ip two', 'rule': 'policy drop'}"},
	  {"{'dport': 80}", "{'verdict': 'dropped', 'table': 'ip one', 'rule': 'tcp dport 80 drop'}"},
	  {"{'dport': 443}", "{'verdict': 'delivered', 'to': 'out interface eth1 of host r'}"}}},

	{"the destination is translated before routing, the source after forward",
	 {{"r", ROUTER IPTABLES
	   "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT "
	   "[0:0]\n"
	   "-A PREROUTING -d 10.0.0.1/32 -p tcp -m tcp --dport 8022 -j DNAT --to-destination 10.0.1.2:22\n"
	   "-A POSTROUTING -o eth1 -j MASQUERADE\nCOMMIT\n"
	   "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	   "-A FORWARD -s 10.0.0.2/32 -d 10.0.1.2/32 -p tcp -m tcp --dport 22 -j ACCEPT\n"
	   "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n"}},
	 NULL,
	 NULL,
	 {{"{'dst': '10.0.0.1', 'dport': 8022}",
	   "{'verdict': 'delivered', 'src': '10.0.1.1', 'dst': '10.0.1.2', 'dport': 22, 'sport': 40000}"},
	  {"{'dst': '10.0.0.1', 'dport': 22}", "{'verdict': 'dropped', 'chain': 'INPUT'}"},
	  /* the answer is translated back by itself, both ends of it */
	  {"{'iif': 'eth1', 'src': '10.0.1.2', 'dst': '10.0.1.1', 'sport': 22, 'dport': 40000, 'state': "
	   "'established',"
	   " 'direction': 'reply', 'of': {'at': 'r', 'iif': 'eth0', 'src': '10.0.0.2', 'dst': '10.0.0.1',"
	   " 'proto': 'tcp', 'sport': 40000, 'dport': 8022}}",
	   "{'verdict': 'delivered', 'src': '10.0.0.1', 'dst': '10.0.0.2', 'sport': 8022, 'dport': 40000}"},
	  /* nobody has asked for this one: it stays as it is, and so is for the router itself */
	  {"{'iif': 'eth1', 'src': '10.0.1.2', 'dst': '10.0.1.1', 'sport': 22, 'dport': 40000, 'tcp_flags': "
	   "'SA',"
	   " 'state': 'invalid'}",
	   "{'verdict': 'dropped', 'chain': 'INPUT'}"}}},

	{"an error belongs to the connection that it is about, if it goes to whom that came from",
	 {{"r", ROUTER IPTABLES
	   "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT "
	   "[0:0]\n-A POSTROUTING -o eth1 -j MASQUERADE\nCOMMIT\n"
	   "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	   "-A INPUT -m conntrack --ctstate INVALID -j REJECT\n"
	   "-A FORWARD -m conntrack --ctstate RELATED -j ACCEPT\nCOMMIT\n"}},
	 NULL,
	 "{'at': 'r', 'proto': 'icmp', 'icmp_type': 11, 'state': 'related', 'of': {'at': 'r', 'iif': 'eth0',"
	 " 'src': '10.0.0.2', 'dst': '10.0.1.2', 'proto': 'udp', 'sport': 40000, 'dport': 53}}",
	 {/* about the packet, as it left */
	  {"{'iif': 'eth1', 'src': '10.0.1.9', 'dst': '10.0.1.1', 'direction': 'reply'}",
	   "{'verdict': 'delivered', 'to': 'out interface eth0 of host r', 'src': '10.0.1.9', 'dst': '10.0.0.2'}"},
	  {"{'iif': 'eth1', 'src': '10.0.1.2', 'dst': '10.0.0.1', 'direction': 'reply'}",
	   "{'verdict': 'rejected', 'chain': 'INPUT'}"},
	  /* about the answer */
	  {"{'iif': 'eth0', 'src': '10.0.0.2', 'dst': '10.0.1.2', 'direction': 'original'}",
	   "{'verdict': 'delivered', 'to': 'out interface eth1 of host r', 'src': '10.0.1.1'}"},
	  {"{'iif': 'eth0', 'src': '10.0.0.2', 'dst': '10.0.1.7', 'direction': 'original'}",
	   "{'verdict': 'dropped', 'chain': 'FORWARD'}"}}},

	{"an error about the first packet is no answer to it; one about an answer comes behind that",
	 {{"r", ROUTER IPTABLES "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				"-A FORWARD -m conntrack --ctstatus SEEN_REPLY -j DROP\nCOMMIT\n"}},
	 NULL,
	 "{'at': 'r', 'proto': 'icmp', 'icmp_type': 11, 'state': 'related', 'of': {'at': 'r', 'iif': 'eth0',"
	 " 'src': '10.0.0.2', 'dst': '10.0.1.2', 'proto': 'udp', 'sport': 40000, 'dport': 53}}",
	 {{"{'iif': 'eth1', 'src': '10.0.1.9', 'dst': '10.0.0.2', 'direction': 'reply'}", "{'verdict': 'delivered'}"},
	  {"{'iif': 'eth0', 'src': '10.0.0.2', 'dst': '10.0.1.2', 'direction': 'original'}",
	   "{'verdict': 'dropped'}"}}},

	{"IPv6 masquerades as the address that a program would send from: the destination itself, then one of its kind",
	 {{"r", "$ ip addr\n" LOOPBACK ETHER(
			2, "eth0",
			"") "    inet6 2001:db8:113::7/48 scope global\n    inet6 "
			    "2001:db8:113::2/64 scope global\n    inet6 "
			    "fd00:10::1/64 scope global\n    inet6 fe80::2/64 scope "
			    "link\n" ETHER(3, "eth1",
					   "") "    inet6 "
					       "2001:db8:5::1/64 scope "
					       "global\n" RULES
					       "$ ip -6 route\n2001:db8:113::/64 dev eth0\nfd00:10::/64 dev eth0\n"
					       "2001:db8:5::/64 dev eth1\n2002::/16 via 2001:db8:5::9 dev eth1\n"
					       "default via 2001:db8:113::fe dev eth0\nfe80::/64 dev eth0\n"
					       "$ ip6tables-save\n*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT "
					       "[0:0]\n:OUTPUT ACCEPT "
					       "[0:0]\n:POSTROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport "
					       "99 -j REDIRECT "
					       "--to-ports 22\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n"}},
	 NULL,
	 "{'at': 'r', 'iif': null, 'src': 'fd00:10::1', 'proto': 'udp', 'sport': 4000, 'dport': 53}",
	 {{"{'dst': '2001:db8:113::2'}", "{'verdict': 'delivered', 'src': '2001:db8:113::2'}"},
	  {"{'dst': '2001:db8:113::9'}", "{'verdict': 'delivered', 'src': '2001:db8:113::2'}"},
	  {"{'dst': '2600::1'}", "{'verdict': 'delivered', 'src': '2001:db8:113::7'}"},
	  {"{'dst': 'fd00:77::5', 'src': '2001:db8:113::2'}", "{'verdict': 'delivered', 'src': 'fd00:10::1'}"},
	  {"{'dst': '2002:1::1'}", "{'verdict': 'delivered', 'src': '2001:db8:5::1'}"},
	  {"{'dst': '::1', 'src': '::1'}", "{'verdict': 'delivered', 'src': '::1'}"},
	  {"{'dst': 'fe80::9'}", "{'verdict': 'delivered', 'src': 'fe80::2'}"},
	  {"{'dst': '2001:db8:5::1', 'src': '2001:db8:113::2'}", "{'verdict': 'delivered', 'src': '2001:db8:5::1'}"},
	  /* the first one of the interface, whichever that is */
	  {"{'iif': 'eth0', 'src': '2001:db8:113::fe', 'dst': '2001:db8:113::2', 'proto': 'tcp', 'dport': 99}",
	   "{'verdict': 'delivered', 'dst': '2001:db8:113::7', 'dport': 22}"}}},

	{"an answer tells which port of a range was taken",
	 {{"r", ROUTER IPTABLES
	   "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT "
	   "[0:0]\n-A POSTROUTING -o eth1 -p udp -j MASQUERADE --to-ports 40000-40010\nCOMMIT\n"}},
	 NULL,
	 "{'at': 'r', 'iif': 'eth1', 'src': '10.0.1.2', 'dst': '10.0.1.1', 'proto': 'udp', 'sport': 53,"
	 " 'state': 'established', 'direction': 'reply', 'of': {'at': 'r', 'iif': 'eth0', 'src': '10.0.0.2',"
	 " 'dst': '10.0.1.2', 'proto': 'udp', 'sport': 500, 'dport': 53}}",
	 {{"{'dport': 40007}", "{'verdict': 'delivered', 'dst': '10.0.0.2', 'dport': 500}"},
	  {"{'dport': 40011}", "{'verdict': 'delivered', 'to': 'local process of host r', 'dport': 40011}"}}},

	{"what type a packet is of is the frame's, whatever address is in it",
	 {{"r", ROUTER IPTABLES "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				"-A INPUT -m pkttype --pkt-type broadcast -j DROP\nCOMMIT\n"}},
	 NULL,
	 "{'proto': 'udp', 'sport': 500, 'dport': 53}",
	 {{"{'dst': '10.0.1.255', 'dst_mac': '52:54:00:00:00:02'}", "{'verdict': 'delivered'}"},
	  {"{'dst': '10.0.0.255', 'dst_mac': 'ff:ff:ff:ff:ff:ff'}", "{'verdict': 'dropped', 'chain': 'INPUT'}"},
	  {"{'dst': '10.0.0.255'}", "{'verdict': 'dropped', 'chain': 'INPUT'}"},
	  {"{'dst': '10.0.0.1'}", "{'verdict': 'delivered'}"}}},

	{"packets for several: their source is looked at, too, and they are not sent on",
	 {{"r", ROUTER IPTABLES
	   "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT "
	   "[0:0]\n-A PREROUTING -p udp -m udp --dport 99 -j DNAT --to-destination 10.0.1.2\nCOMMIT\n"}},
	 NULL,
	 "{'at': 'r', 'iif': 'eth0', 'proto': 'udp', 'src': '10.0.0.2', 'sport': 500, 'dport': 53}",
	 {{"{'dst': '224.0.0.1', 'dst_mac': '01:00:5e:00:00:01'}", "{'verdict': 'delivered', 'where': 'r'}"},
	  {"{'dst': '224.0.0.1', 'src': '10.0.1.1'}", "{'verdict': 'lost', 'reason': 'martian-source-is-local'}"},
	  {"{'dst': '255.255.255.255', 'src': '10.0.1.1'}", "{'verdict': 'lost', 'reason': 'martian-source-is-local'}"},
	  {"{'dst': '255.255.255.255', 'dst_mac': 'ff:ff:ff:ff:ff:ff', 'dport': 99}",
	   "{'verdict': 'lost', 'reason': 'not-routed'}"},
	  {"{'dst': '10.0.0.255', 'dst_mac': 'ff:ff:ff:ff:ff:ff', 'dport': 99}",
	   "{'verdict': 'lost', 'reason': 'not-routed'}"},
	  {"{'dst': '10.0.0.1', 'dst_mac': '52:54:00:00:00:02', 'dport': 99}", "{'verdict': 'delivered'}"},
	  {"{'dst': '10.0.1.2', 'dst_mac': '33:33:00:00:00:01'}", "{'verdict': 'lost', 'reason': 'not-routed'}"}}},

	{"the way back of a broadcast is asked without its destination",
	 {{"r", ADDRESSES ROUTES "$ sysctl -a\nnet.ipv4.ip_forward = 1\nnet.ipv4.conf.all.rp_filter = 2\n"
				 "net.ipv4.conf.all.accept_local = 0\nnet.ipv4.conf.eth0.accept_local = 0\n"
				 "$ ip rule\n0:\tfrom all lookup local\n50:\tfrom 10.0.1.0/24 unreachable\n"
				 "32766:\tfrom all lookup main\n"}},
	 NULL,
	 "{'at': 'r', 'iif': 'eth0', 'proto': 'udp', 'src': '10.0.0.2', 'sport': 500, 'dport': 53}",
	 {{"{'dst': '10.0.1.1'}", "{'verdict': 'lost', 'reason': 'rp_filter'}"},
	  {"{'dst': '10.0.1.255'}", "{'verdict': 'delivered', 'where': 'r'}"}}},

	{"where answers take another way, what follows the first packet of a TCP connection is invalid",
	 {{"s", "$ ip addr\n" LOOPBACK ETHER(2, "eth0", "") "    inet 10.0.0.9/24 scope global eth0\n" ETHER(
			3, "eth1", "") "    inet 10.9.0.9/24 scope global eth1\n" RULES
				       "$ ip route\n10.0.0.0/24 dev eth0 scope link src 10.0.0.9\n10.9.0.0/24 dev eth1 "
				       "scope link src 10.9.0.9\n"
				       "10.5.0.0/24 via 10.0.0.1 dev eth0\n" SYSCTLS},
	  {"r", ROUTER "$ ip route show table 5\n10.5.0.0/24 via 10.0.1.5 dev eth1\n"
		       "$ ip rule\n0:\tfrom all lookup local\n9:\tfrom all to 10.5.0.0/24 lookup 5\n"
		       "32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n" NFT
		       "table ip t {\n chain forward {\n  type filter hook forward priority 0; policy accept;\n"
		       "  ct state invalid drop\n  ct state new udp dport 22 drop\n }\n}\n"},
	  {"t", "$ ip addr\n" LOOPBACK ETHER(
			2, "eth0", "") "    inet 10.0.1.5/24 scope global eth0\n    inet 10.5.0.1/24 "
				       "scope global eth0\n" ETHER(
					       3, "eth1", "") "    inet "
							      "10.9.0.5/24 "
							      "scope global "
							      "eth1\n" RULES
							      "$ ip route\n10.0.1.0/24 dev eth0 scope link src "
							      "10.0.1.5\n10.9.0.0/24 dev eth1 scope link src "
							      "10.9.0.5\n10.0.0.0/24 via 10.9.0.9 dev eth1\n" SYSCTLS}},
	 "[[\"s\", \"eth0\", \"r\", \"eth0\"], [\"r\", \"eth1\", \"t\", \"eth0\"], "
	 "[\"t\", \"eth1\", \"s\", \"eth1\"]]",
	 "{'at': 's', 'iif': null, 'src': '10.0.0.9', 'dst': '10.5.0.1'}",
	 {{"{}", "{'verdict': 'delivered', 'where': 't'}"},
	  {"{'state': 'established', 'tcp_flags': 'A', 'of': {'at': 's', 'src': '10.0.0.9', 'dst': '10.5.0.1', "
	   "'proto': 'tcp', 'sport': 40000, 'dport': 22}}",
	   "{'verdict': 'dropped', 'where': 'r', 'rule': 'ct state invalid drop'}"},
	  /* UDP stays new */
	  {"{'state': 'established', 'proto': 'udp', 'of': {'at': 's', 'src': '10.0.0.9', 'dst': '10.5.0.1', "
	   "'proto': 'udp', 'sport': 40000, 'dport': 22}}",
	   "{'verdict': 'dropped', 'where': 'r', 'rule': 'ct state new udp dport 22 drop'}"}}},

	{"jumps come back, gotos do not, and return applies the policy",
	 {{"r", ROUTER NFT "table ip t {\n chain jumped {\n  tcp dport 1 return\n  tcp dport 2 accept\n }\n"
			   " chain gone {\n  tcp dport 3 return\n  tcp dport 4 drop\n }\n"
			   " chain middle {\n  goto gone\n }\n"
			   " chain forward {\n  type filter hook forward priority 0; policy drop;\n"
			   "  tcp dport 1-2 jump jumped\n  tcp dport 1 accept\n  tcp dport 3 goto gone\n"
			   "  tcp dport 4-5 jump middle\n  tcp dport 5 accept\n  tcp dport 6 meta mark set 1\n"
			   "  tcp dport 6 meta mark 1 accept\n  tcp dport 7 return\n  accept\n }\n}\n"}},
	 NULL,
	 NULL,
	 {{"{'dport': 1}", "{'verdict': 'delivered'}"},
	  {"{'dport': 2}", "{'verdict': 'delivered'}"},
	  {"{'dport': 3}", "{'verdict': 'dropped', 'rule': 'policy drop'}"},
	  {"{'dport': 4}", "{'verdict': 'dropped', 'chain': 'gone'}"},
	  {"{'dport': 5}", "{'verdict': 'delivered'}"},
	  {"{'dport': 6}", "{'verdict': 'delivered'}"},
	  {"{'dport': 7}", "{'verdict': 'dropped', 'rule': 'policy drop', 'chain': 'forward'}"},
	  {"{'dport': 8}", "{'verdict': 'delivered'}"}}},

	{"rp_filter: the larger of the two counts; strict wants the same way, loose any way",
	 {{"r", ADDRESSES RULES ROUTES "$ sysctl -a\nnet.ipv4.ip_forward = 1\nnet.ipv4.conf.all.rp_filter = 1\n"
				       "net.ipv4.conf.eth0.rp_filter = 0\nnet.ipv4.conf.eth1.rp_filter = 2\n"
				       "net.ipv4.conf.all.accept_local = 0\nnet.ipv4.conf.eth0.accept_local = 0\n"
				       "net.ipv4.conf.eth1.accept_local = 1\n"}},
	 NULL,
	 NULL,
	 {{"{}", "{'verdict': 'delivered'}"},
	  {"{'src': '10.0.1.7'}", "{'verdict': 'lost', 'reason': 'rp_filter'}"},
	  {"{'iif': 'eth1', 'src': '10.0.0.7', 'dst': '8.8.8.8'}", "{'verdict': 'delivered'}"},
	  {"{'src': '10.0.1.1'}", "{'verdict': 'lost', 'reason': 'martian-source-is-local'}"},
	  {"{'iif': 'eth1', 'src': '10.0.0.1', 'dst': '8.8.8.8'}", "{'verdict': 'delivered'}"},
	  {"{'src': '224.0.0.1'}", "{'verdict': 'lost', 'reason': 'martian-source'}"}}},

	{"what is for the host itself passes INPUT and never FORWARD",
	 {{"r", ROUTER IPTABLES "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				"-A INPUT -i eth1 -p tcp -m tcp --dport 53 -j DROP\nCOMMIT\n"}},
	 NULL,
	 NULL,
	 {{"{'proto': 'udp', 'dst': '10.0.0.1', 'dport': 53}",
	   "{'verdict': 'delivered', 'to': 'local process of host r'}"},
	  {"{'proto': 'udp', 'dst': '10.0.1.1', 'dport': 53}", "{'verdict': 'delivered', 'where': 'r'}"},
	  {"{'iif': 'eth1', 'src': '10.0.1.2', 'dst': '10.0.0.1', 'dport': 53}",
	   "{'verdict': 'dropped', 'chain': 'INPUT'}"},
	  {"{'proto': 'udp', 'dport': 53}", "{'verdict': 'dropped', 'chain': 'FORWARD'}"},
	  {"{'dst': '10.0.1.255', 'proto': 'udp'}", "{'verdict': 'delivered', 'to': 'local process of host r'}"},
	  {"{'dst': '127.0.0.1'}", "{'verdict': 'lost', 'reason': 'martian-localnet'}"}}},

	{"what forwards and what does not",
	 {{"r", ADDRESSES RULES ROUTES
	   "$ sysctl -a\nnet.ipv4.conf.eth0.forwarding = 1\nnet.ipv4.conf.eth1.forwarding = 0\n"
	   "net.ipv6.conf.all.forwarding = 1\nnet.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = "
	   "0\n"
	   "net.ipv4.conf.eth1.rp_filter = 0\nnet.ipv4.conf.all.accept_local = 0\n"
	   "net.ipv4.conf.eth0.accept_local = 0\nnet.ipv4.conf.eth1.accept_local = 0\n"}},
	 NULL,
	 NULL,
	 {{"{}", "{'verdict': 'delivered'}"},
	  {"{'iif': 'eth1', 'src': '10.0.1.2', 'dst': '10.0.0.2'}", "{'verdict': 'lost', 'reason': 'forwarding-off'}"},
	  {"{'iif': 'eth1', 'src': '10.0.1.2', 'dst': '10.0.1.1'}", "{'verdict': 'delivered', 'hook': 'input'}"},
	  {"{'iif': 'eth1', 'src': 'fd00:b::2', 'dst': 'fd00:a::2'}", "{'verdict': 'delivered'}"},
	  {"{'iif': 'eth1', 'src': 'fe80::99', 'dst': 'fd00:a::2'}", "{'verdict': 'lost', 'reason': 'link-local'}"},
	  {"{'iif': 'eth1', 'src': 'fe80::99', 'dst': 'fe80::3'}", "{'verdict': 'delivered', 'hook': 'input'}"},
	  {"{'iif': 'eth1', 'src': 'fe80::99', 'dst': 'fd00:b::1'}", "{'verdict': 'delivered', 'hook': 'input'}"},
	  {"{'ttl': 1}", "{'verdict': 'lost', 'reason': 'ttl-exceeded'}"}}},

	{"policy rules, special routes, the longest prefix, the lowest metric",
	 {{"r", ADDRESSES "$ ip rule\n0:\tfrom all lookup local\n100:\tfrom all fwmark 0x1/0x3 lookup 100\n"
			  "200:\tfrom all iif eth1 lookup 200\n300:\tfrom 10.0.0.9 prohibit\n"
			  "400:\tnot from 10.0.0.0/8 lookup 100\n500:\tfrom all ipproto tcp dport 443 lookup 100\n"
			  "600:\tfrom all lookup main suppress_prefixlength 0\n700:\tfrom 10.0.0.8 goto 32766\n"
			  "800:\tfrom all lookup 300\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"
			  "$ ip -6 rule\n0:\tfrom all lookup local\n32766:\tfrom all lookup main\n"
			  "$ ip route show table all\ndefault via 10.0.1.254 dev eth1 table 100\n"
			  "unreachable default table 200\nblackhole 9.9.9.0/24 table 300\n"
			  "throw 9.9.9.9 table 300\ndefault via 10.0.0.254 dev eth0\n"
			  "10.0.0.0/24 dev eth0 scope link\n10.0.1.0/24 dev eth1 scope link\n"
			  "10.9.0.0/16 via 10.0.0.3 dev eth0 metric 50\n10.9.0.0/16 via 10.0.1.3 dev eth1 metric 20\n"
			  "10.9.9.0/24 via 10.0.0.4 dev eth0\nlocal 10.0.0.1 dev eth0 table local\n"
			  "local 10.0.1.1 dev eth1 table local\n" SYSCTLS NFT
			  "table ip mark {\n chain pre {\n  type filter hook prerouting priority mangle;\n"
			  "  tcp dport 1000 meta mark set 5\n  tcp dport 1001 meta mark set 2\n }\n}\n"}},
	 NULL,
	 "{'dst': '8.8.8.8'}",
	 {{"{}", "{'verdict': 'delivered', 'to': 'out interface eth0 of host r'}"},
	  {"{'dport': 1000}", "{'verdict': 'delivered', 'to': 'out interface eth1 of host r'}"},
	  {"{'dport': 1001}", "{'verdict': 'delivered', 'to': 'out interface eth0 of host r'}"},
	  {"{'iif': 'eth1', 'src': '10.0.1.2'}",
	   "{'verdict': 'lost', 'reason': 'unreachable-route', 'answered': 'icmp 3/1'}"},
	  {"{'src': '10.0.0.9'}", "{'verdict': 'lost', 'reason': 'prohibit-route'}"},
	  {"{'src': '7.7.7.7'}", "{'verdict': 'delivered', 'to': 'out interface eth1 of host r'}"},
	  {"{'dport': 443}", "{'verdict': 'delivered', 'to': 'out interface eth1 of host r'}"},
	  {"{'dst': '9.9.9.1'}", "{'verdict': 'lost', 'reason': 'blackhole-route'}"},
	  {"{'dst': '9.9.9.9'}", "{'verdict': 'delivered', 'to': 'out interface eth0 of host r'}"},
	  {"{'dst': '9.9.9.1', 'src': '10.0.0.8'}", "{'verdict': 'delivered', 'to': 'out interface eth0 of host r'}"},
	  {"{'dst': '10.9.1.1'}", "{'verdict': 'delivered', 'to': 'out interface eth1 of host r'}"},
	  {"{'dst': '10.9.9.1'}", "{'verdict': 'delivered', 'to': 'out interface eth0 of host r'}"}}},

	{"IPv6: REDIRECT takes an address that reaches as far as the destination does, wherever the packet is from",
	 {{"r", ROUTER NFT "table ip6 n {\n chain pre {\n  type nat hook prerouting priority -100; policy accept;\n"
			   "  tcp dport 80 redirect to :8080\n }\n}\n"}},
	 NULL,
	 "{'src': 'fd00:a::2', 'dport': 80}",
	 {{"{'dst': 'fd00:b::9'}", "{'verdict': 'delivered', 'dst': 'fd00:a::1', 'dport': 8080}"},
	  {"{'dst': 'fd00:b::9', 'src': 'fe80::9'}", "{'verdict': 'delivered', 'dst': 'fd00:a::1'}"},
	  {"{'dst': 'fe80::9'}", "{'verdict': 'delivered', 'dst': 'fe80::2'}"},
	  {"{'dst': 'ff02::1', 'dst_mac': '33:33:00:00:00:01'}", "{'verdict': 'delivered', 'dst': 'fe80::2'}"},
	  {"{'dst': 'ff12::5', 'dst_mac': '33:33:00:00:00:05'}", "{'verdict': 'delivered', 'dst': 'fe80::2'}"},
	  {"{'dst': 'ff0e::5', 'dst_mac': '33:33:00:00:00:05'}", "{'verdict': 'delivered', 'dst': 'fd00:a::1'}"},
	  {"{'dst': 'ff05::5', 'dst_mac': '33:33:00:00:00:05'}", "{'reason': 'no-nat-address'}"},
	  {"{'dst': 'fec0::5'}", "{'reason': 'no-nat-address'}"}}},

	{"before connection tracking packets are invalid to rules, or untracked if a rule before has said so",
	 {{"r", ROUTER NFT "table ip a {\n chain first {\n  type filter hook prerouting priority -310; policy accept;\n"
			   "  tcp dport 7 notrack\n }\n"
			   " chain second {\n  type filter hook prerouting priority -305; policy accept;\n"
			   "  tcp dport 8 ct state new drop\n  tcp dport 9 ct state invalid reject\n"
			   "  ct state untracked drop\n }\n}\n" IPTABLES
			   "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
			   "-A PREROUTING -p tcp -m tcp --dport 10 -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n"}},
	 NULL,
	 NULL,
	 {{"{}", "{'verdict': 'delivered'}"},
	  {"{'dport': 7}", "{'verdict': 'dropped', 'rule': 'ct state untracked drop'}"},
	  {"{'dport': 8}", "{'verdict': 'delivered'}"},
	  {"{'dport': 9}", "{'verdict': 'rejected'}"},
	  {"{'dport': 10}",
	   "{'verdict': 'dropped',"
	   " 'rule': '-A PREROUTING -p tcp -m tcp --dport 10 -m conntrack --ctstate INVALID -j DROP'}"}}},

	{"notrack takes what no connection has: before tracking, and what tracking found invalid, here over the "
	 "loopback",
	 {{"r", ROUTER NFT
	   "table inet raw {\n chain prerouting {\n  type filter hook prerouting priority raw; policy accept;\n"
	   "  tcp dport 7 notrack\n }\n}\n"
	   "table inet f {\n chain output {\n  type filter hook output priority filter; policy accept;\n"
	   "  tcp dport 8 ct state invalid notrack\n }\n"
	   " chain input {\n  type filter hook input priority filter; policy accept;\n"
	   "  ct state untracked drop\n  ct state invalid reject\n  tcp dport 10 ct status confirmed drop\n }\n}\n"}},
	 "[]",
	 "{'iif': null, 'src': '10.0.0.1', 'dst': '10.0.1.1', 'dport': 7}",
	 {{"{}", "{'verdict': 'delivered'}"},
	  {"{'tcp_flags': 'SA'}", "{'verdict': 'dropped'}"},
	  {"{'dport': 8}", "{'verdict': 'delivered'}"},
	  {"{'dport': 8, 'tcp_flags': 'SA'}", "{'verdict': 'dropped'}"},
	  {"{'dport': 9, 'tcp_flags': 'SA'}", "{'verdict': 'rejected'}"},
	  {"{'iif': 'eth0', 'src': '10.0.0.2'}", "{'verdict': 'dropped'}"},
	  /* over the loopback a connection is in the table already */
	  {"{'dport': 10}", "{'verdict': 'dropped', 'rule': 'tcp dport 10 ct status confirmed drop'}"},
	  {"{'dport': 10, 'iif': 'eth0', 'src': '10.0.0.2'}", "{'verdict': 'delivered'}"}}},

	{"states: an old flow outlives a new drop behind it; what is not tracked is neither new nor known",
	 {{"r", ROUTER IPTABLES "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				"-A PREROUTING -p tcp -m tcp --dport 7 -j CT --notrack\nCOMMIT\n"
				"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				"-A FORWARD -p tcp -m tcp --dport 9 -j DROP\n"
				"-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
				"-A FORWARD -m conntrack --ctstate INVALID -j DROP\n"
				"-A FORWARD -m conntrack --ctstate UNTRACKED -j REJECT\n"
				"-A FORWARD -d 10.0.1.2/32 -j DROP\nCOMMIT\n"}},
	 NULL,
	 NULL,
	 {{"{'dport': 22}", "{'verdict': 'dropped', 'chain': 'FORWARD', 'rule': '-A FORWARD -d 10.0.1.2/32 -j DROP'}"},
	  {"{'dport': 22, 'state': 'established'}", "{'verdict': 'delivered'}"},
	  {"{'dport': 9, 'state': 'established'}", "{'verdict': 'dropped'}"},
	  {"{'dport': 7}", "{'verdict': 'rejected', 'answered': 'icmp 3/3'}"},
	  {"{'dst': '10.0.1.3', 'tcp_flags': 'A'}", "{'verdict': 'delivered'}"}, /* tcp_loose */
	  {"{'dst': '10.0.1.3', 'tcp_flags': 'SA'}",
	   "{'verdict': 'dropped', 'rule': '-A FORWARD -m conntrack --ctstate INVALID -j DROP'}"},
	  {"{'dst': '10.0.1.3', 'tcp_flags': 'FPU'}",
	   "{'verdict': 'dropped', 'rule': '-A FORWARD -m conntrack --ctstate INVALID -j DROP'}"},
	  {"{'proto': 'icmp', 'icmp_type': 0, 'dst': '10.0.1.3'}",
	   "{'verdict': 'dropped', 'rule': '-A FORWARD -m conntrack --ctstate INVALID -j DROP'}"},
	  {"{'proto': 'icmp', 'icmp_type': 8, 'dst': '10.0.1.3'}", "{'verdict': 'delivered'}"}}},

	{"without loose TCP a packet in the middle begins nothing",
	 {{"r", ROUTER "net.netfilter.nf_conntrack_tcp_loose = 0\n" IPTABLES
		       "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
		       "-A FORWARD -m state --state INVALID -j DROP\nCOMMIT\n"}},
	 NULL,
	 NULL,
	 {{"{'tcp_flags': 'A'}", "{'verdict': 'dropped'}"}, {"{'tcp_flags': 'S'}", "{'verdict': 'delivered'}"}}},

	{"matches: later fragments have no ports, negations, wildcards, sets, either port",
	 {{"r",
	   ROUTER IPTABLES "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
			   "-A FORWARD -f -j ACCEPT\n-A FORWARD -p tcp -m tcp ! --dport 1:100 -j REJECT --reject-with "
			   "tcp-reset\n"
			   "-A FORWARD ! -i eth+ -j DROP\n-A FORWARD -p udp -m multiport --ports 53,1000:1002 -j DROP\n"
			   "-A FORWARD -p udp -m multiport ! --sports 40000 -j DROP\n"
			   "-A FORWARD -m iprange --src-range 10.0.0.5-10.0.0.6 -j DROP\n"
			   "-A FORWARD -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m tcp --dport 80 -j DROP\n"
			   "-A FORWARD -m mac --mac-source 52:54:00:aa:bb:cc -j DROP\nCOMMIT\n"}},
	 NULL,
	 "{'src_mac': '52:54:00:00:00:99'}",
	 {{"{'dport': 4000}", "{'verdict': 'rejected', 'answered': 'rst'}"},
	  {"{'dport': 22}", "{'verdict': 'delivered'}"},
	  {"{'dport': 80}", "{'verdict': 'dropped'}"},
	  {"{'dport': 80, 'tcp_flags': 'A'}", "{'verdict': 'delivered'}"},
	  {"{'proto': 'udp', 'dport': 1001}", "{'verdict': 'dropped'}"},
	  {"{'proto': 'udp', 'sport': 53}", "{'verdict': 'dropped'}"},
	  {"{'proto': 'udp', 'sport': 40001}", "{'verdict': 'dropped'}"},
	  {"{'proto': 'udp'}", "{'verdict': 'delivered'}"},
	  {"{'dport': 4000, 'fragment': 'later'}", "{'verdict': 'delivered'}"},
	  {"{'src': '10.0.0.6'}", "{'verdict': 'dropped'}"},
	  {"{'src_mac': '52:54:00:aa:bb:cc'}", "{'verdict': 'dropped'}"}}},

	{"sets, maps, verdict maps, concatenations with intervals, fib",
	 {{"r", ROUTER NFT
	   "table inet t {\n set nets {\n  type ipv4_addr\n  flags interval\n  elements = { 10.0.0.4-10.0.0.6, "
	   "10.0.0.16/28 }\n }\n"
	   " set pairs {\n  type ipv4_addr . inet_service\n  flags interval\n"
	   "  elements = { 10.0.1.0/30 . 100-200, 10.0.1.8 . 300 }\n }\n"
	   " map verdicts {\n  type inet_service : verdict\n  elements = { 400 : drop, 401 : jump other, * : "
	   "accept }\n }\n"
	   " chain other {\n  ip saddr 10.0.0.2 drop\n }\n"
	   " chain pre {\n  type nat hook prerouting priority dstnat;\n"
	   "  dnat ip to ip daddr . tcp dport map { 10.0.0.1 . 500 : 10.0.1.5 . 501, 10.0.0.1 . 510 : 10.0.1.6 "
	   ". 511 }\n }\n"
	   " chain forward {\n  type filter hook forward priority 0; policy accept;\n"
	   "  ip saddr @nets drop\n  ip daddr . tcp dport @pairs drop\n  fib saddr . iif oif missing drop\n"
	   "  fib daddr type != unicast drop\n  tcp dport vmap @verdicts\n  drop\n }\n}\n"}},
	 NULL,
	 NULL,
	 {{"{'src': '10.0.0.5'}", "{'verdict': 'dropped', 'rule': 'ip saddr @nets drop'}"},
	  {"{'src': '10.0.0.31'}", "{'verdict': 'dropped', 'rule': 'ip saddr @nets drop'}"},
	  {"{'src': '10.0.0.7'}", "{'verdict': 'delivered'}"},
	  {"{'dport': 150}", "{'verdict': 'dropped', 'rule': 'ip daddr . tcp dport @pairs drop'}"},
	  {"{'dport': 150, 'dst': '10.0.1.4'}", "{'verdict': 'delivered'}"},
	  {"{'dport': 300, 'dst': '10.0.1.8'}", "{'verdict': 'dropped'}"},
	  {"{'dport': 400}", "{'verdict': 'dropped', 'rule': 'tcp dport vmap @verdicts'}"},
	  {"{'dport': 401}", "{'verdict': 'dropped', 'chain': 'other'}"},
	  {"{'dport': 401, 'src': '10.0.0.3'}", "{'verdict': 'dropped', 'rule': 'drop'}"},
	  {"{'dport': 500, 'dst': '10.0.0.1'}", "{'verdict': 'delivered', 'dst': '10.0.1.5', 'dport': 501}"},
	  {"{'src': '10.0.1.9'}", "{'verdict': 'dropped', 'rule': 'fib saddr . iif oif missing drop'}"},
	  {"{'proto': 'udp'}", "{'verdict': 'dropped', 'rule': 'drop'}"}}},

	{"ipsets: exceptions, lists, interfaces",
	 {{"r", ROUTER "$ ipset save\ncreate nets hash:net family inet\nadd nets 10.0.0.0/24\n"
		       "add nets 10.0.0.128/25 nomatch\nadd nets 10.0.0.200\ncreate ports bitmap:port range 0-1000\n"
		       "add ports 22\ncreate pairs hash:ip,port family inet\nadd pairs 10.0.1.2,udp:53\n"
		       "create in hash:net,iface family inet\nadd in 10.0.0.0/24,eth1\n"
		       "create all list:set\nadd all ports\nadd all pairs\n" IPTABLES
		       "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
		       "-A FORWARD -p tcp -m tcp --dport 1 -m set --match-set nets src -j DROP\n"
		       "-A FORWARD -p tcp -m tcp --dport 2 -m set ! --match-set nets src -j DROP\n"
		       "-A FORWARD -m set --match-set all dst,dst -j DROP\n"
		       "-A FORWARD -m set --match-set in src,src -j DROP\nCOMMIT\n"}},
	 NULL,
	 NULL,
	 {{"{'dport': 1}", "{'verdict': 'dropped'}"},
	  {"{'dport': 1, 'src': '10.0.0.130'}", "{'verdict': 'delivered'}"},
	  {"{'dport': 1, 'src': '10.0.0.200'}", "{'verdict': 'dropped'}"},
	  {"{'dport': 2}", "{'verdict': 'delivered'}"},
	  {"{'dport': 2, 'src': '10.0.0.130'}", "{'verdict': 'dropped'}"},
	  {"{'dport': 22}", "{'verdict': 'dropped'}"},
	  {"{'proto': 'udp', 'dport': 53}", "{'verdict': 'dropped'}"},
	  {"{'proto': 'tcp', 'dport': 53}", "{'verdict': 'delivered'}"},
	  {"{'iif': 'eth1', 'dport': 99, 'dst': '8.8.8.8'}", "{'verdict': 'dropped'}"}}},

	{"what a host sends: output translates and routes anew, and comes back in over lo",
	 {{"r", ADDRESSES "$ ip rule\n0:\tfrom all lookup local\n100:\tfrom all fwmark 0x7 lookup 100\n"
			  "32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"
			  "$ ip -6 rule\n0:\tfrom all lookup local\n32766:\tfrom all lookup main\n" ROUTES
			  "$ ip route show table 100\ndefault via 10.0.1.254 dev eth1\n" SYSCTLS IPTABLES
			  "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n"
			  ":OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
			  "-A OUTPUT -p tcp -m tcp --dport 7 -j MARK --set-xmark 0x7/0xffffffff\nCOMMIT\n"
			  "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
			  ":POSTROUTING ACCEPT [0:0]\n"
			  "-A OUTPUT -p tcp -m tcp --dport 8 -j DNAT --to-destination 10.0.1.9\n"
			  "-A OUTPUT -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080\n"
			  "-A POSTROUTING -o eth1 -j MASQUERADE\nCOMMIT\n"
			  "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
			  "-A INPUT -i lo -p tcp -m tcp --dport 8080 -j ACCEPT\nCOMMIT\n"}},
	 NULL,
	 "{'iif': null, 'src': '10.0.0.1', 'dst': '8.8.8.8'}",
	 {{"{'dport': 9}", "{'verdict': 'delivered', 'to': 'out interface eth0 of host r', 'src': '10.0.0.1'}"},
	  {"{'dport': 7}", "{'verdict': 'delivered', 'to': 'out interface eth1 of host r', 'src': '10.0.1.1'}"},
	  {"{'dport': 8}", "{'verdict': 'delivered', 'to': 'out interface eth1 of host r', 'src': '10.0.1.1', "
			   "'dst': '10.0.1.9'}"},
	  {"{'dport': 80}",
	   "{'verdict': 'delivered', 'to': 'local process of host r', 'dst': '127.0.0.1', 'dport': 8080}"},
	  {"{'dst': '10.0.1.1'}", "{'verdict': 'dropped', 'chain': 'INPUT'}"},
	  {"{'src': null, 'dst': '10.0.1.2'}", "{'verdict': 'delivered', 'src': '10.0.1.1'}"},
	  {"{'src': null, 'dst': '10.9.9.9'}", "{'verdict': 'delivered', 'src': '10.0.0.1'}"}}},

	{"what no packet shows is unknown only where it makes a difference",
	 {{"r",
	   ROUTER NFT "table ip t {\n chain forward {\n  type filter hook forward priority 0; policy accept;\n"
		      "  tcp dport 1 limit rate 10/second log prefix \"x\"\n  tcp dport 2 limit rate 10/second drop\n"
		      "  tcp dport 3 limit rate 10/second accept\n  tcp dport 3 accept\n"
		      "  tcp dport 4 numgen random mod 2 0 drop\n  tcp sport 40000 tcp dport 5 drop\n"
		      "  tcp sport 1024-65535 tcp dport 6 drop\n  tcp sport != 1024-65535 tcp dport 7 drop\n }\n}\n"}},
	 NULL,
	 NULL,
	 {{"{'dport': 1}", "{'verdict': 'delivered'}"},
	  {"{'dport': 2}",
	   "{'verdict': 'unknown', 'missing': [{'text': 'r: whether rule 2 of chain forward, \\\"tcp dport 2 "
	   "limit rate 10/second drop\\\", matches: it depends on the rate (limit)', 'varies': true}]}"},
	  {"{'dport': 3}", "{'verdict': 'delivered'}"},
	  {"{'dport': 4}", "{'verdict': 'unknown'}"},
	  {"{'dport': 5, 'sport': null}", "{'verdict': 'unknown'}"},
	  {"{'dport': 6, 'sport': null}", "{'verdict': 'dropped'}"},
	  {"{'dport': 7, 'sport': null}", "{'verdict': 'delivered'}"}}},

	{"so are facts that were not captured",
	 {{"r", ADDRESSES RULES ROUTES}, {"s", ADDRESSES RULES SYSCTLS}},
	 NULL,
	 NULL,
	 {{"{'dst': '10.0.0.1'}", "{'verdict': 'delivered'}"}, /* no sysctl makes a difference */
	  {"{}", "{'verdict': 'unknown', 'missing': [{'text': 'r: sysctl net.ipv4.conf.eth0.forwarding',"
		 " 'command': 'sysctl net.ipv4.conf.eth0.forwarding'}]}"},
	  {"{'src': '10.0.1.7', 'dst': '10.0.0.1'}",
	   "{'verdict': 'unknown', 'missing': [{'text': 'r: sysctl net.ipv4.conf.eth0.rp_filter',"
	   " 'command': 'sysctl net.ipv4.conf.eth0.rp_filter'}]}"},
	  {"{'at': 's', 'dst': '10.0.0.1'}", "{'verdict': 'delivered'}"},
	  {"{'at': 's'}", "{'verdict': 'unknown', 'missing': [{'text': 's: the routes of table main',"
			  " 'command': 'ip route show table main'}]}"}}},

	{"what is translated on a bridge is routed, though it may stay on it: without forwarding only to the host "
	 "itself",
	 {{"r", "$ ip addr\n" LOOPBACK ETHER(2, "br0", "") "    inet 10.0.0.1/24 scope global br0\n" ETHER(
			3, "p1", "master br0") ETHER(4, "p2", "master br0") RULES
	   "$ ip route\n10.0.0.0/24 dev br0 scope link src 10.0.0.1\n"
	   "$ sysctl -a\nnet.ipv4.conf.br0.forwarding = 0\nnet.bridge.bridge-nf-call-iptables = 1\n"
	   "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.br0.rp_filter = 0\n" IPTABLES
	   "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT "
	   "[0:0]\n-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.3\n"
	   "-A PREROUTING -p tcp -m tcp --dport 81 -j REDIRECT --to-ports 22\nCOMMIT\n"}},
	 "[[\"r\", \"p1\", null, null], [\"r\", \"p2\", null, null]]",
	 "{'at': 'r', 'iif': 'br0', 'in_port': 'p1', 'bridged': true, 'src': '10.0.0.2', 'dst': '10.0.0.4'}",
	 {{"{'dport': 80}", "{'verdict': 'lost', 'reason': 'forwarding-off'}"},
	  {"{'dport': 80, 'dst': '10.0.0.3'}", "{'verdict': 'delivered', 'to': 'out interface br0 of host r'}"},
	  {"{'dport': 81}",
	   "{'verdict': 'delivered', 'to': 'local process of host r', 'dst': '10.0.0.1', 'dport': 22}"}}},

	{"what is translated on a bridge and stays on it keeps the MAC of its source; in IPv6 it needs no forwarding",
	 {{"r", "$ ip addr\n" LOOPBACK ETHER(2, "br0", "") "    inet 10.0.0.1/24 scope global br0\n    inet6 "
							   "fd00:a::1/64 scope global\n" ETHER(3, "p1", "master br0")
								   ETHER(4, "p2", "master br0") RULES
	   "$ ip route\n10.0.0.0/24 dev br0 scope link src 10.0.0.1\n$ ip -6 route\nfd00:a::/64 dev br0 metric 256\n"
	   "$ sysctl -a\nnet.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 0\n"
	   "net.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n"
	   "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.br0.rp_filter = 0\n" NFT
	   "table inet n {\n chain p {\n  type nat hook prerouting priority -100; policy accept;\n"
	   "  tcp dport 80 dnat ip to 10.0.0.3\n  tcp dport 80 dnat ip6 to fd00:a::3\n"
	   "  tcp dport 81 dnat ip6 to fd00:c::3\n }\n}\n"},
	  {"s",
	   "$ ip addr\n" LOOPBACK ETHER(
		   5, "eth0",
		   "") "    inet 10.0.0.3/24 scope global eth0\n    inet6 "
		       "fd00:a::3/64 scope global\n" RULES "$ ip route\n10.0.0.0/24 dev eth0 scope link\n"
		       "$ ip -6 route\nfd00:a::/64 dev eth0 metric 256\n$ sysctl -a\nnet.ipv4.conf.all.rp_filter = 0\n"
		       "net.ipv4.conf.eth0.rp_filter = 0\n" NFT
		       "table inet f {\n chain i {\n  type filter hook input priority 0; policy accept;\n"
		       "  ether saddr 52:54:00:00:00:99 accept\n  drop\n }\n}\n"}},
	 "[[\"r\", \"p1\", null, null], [\"r\", \"p2\", \"s\", \"eth0\"]]",
	 "{'at': 'r', 'iif': 'br0', 'in_port': 'p1', 'bridged': true, 'src': '10.0.0.2', 'dst': '10.0.0.4', 'dport': "
	 "80,"
	 " 'src_mac': '52:54:00:00:00:99'}",
	 {{"{}", "{'verdict': 'delivered', 'where': 's', 'dst': '10.0.0.3'}"},
	  {"{'src_mac': '52:54:00:00:00:98'}", "{'verdict': 'dropped', 'where': 's'}"},
	  {"{'src': 'fd00:a::2', 'dst': 'fd00:a::4'}", "{'verdict': 'delivered', 'where': 's', 'dst': 'fd00:a::3'}"},
	  {"{'src': 'fe80::2', 'dst': 'fd00:a::4'}", "{'verdict': 'delivered', 'where': 's'}"},
	  {"{'src': 'fd00:a::2', 'dst': 'fd00:a::4', 'dport': 81}", "{'verdict': 'lost', 'reason': 'no-route'}"}}},

	{"what a host sends over its bridge is in a frame from the bridge; a frame for somebody outside goes there, "
	 "whatever address is in it",
	 {{"r", "$ ip addr\n" LOOPBACK ETHER(2, "br0", "") "    inet 10.0.0.1/24 scope global br0\n" ETHER(
			3, "p1", "master br0") ETHER(4, "p2", "master br0") RULES
	   "$ ip route\n10.0.0.0/24 dev br0 scope link src 10.0.0.1\n$ bridge fdb show\n"
	   "52:54:00:00:00:99 dev p1 master br0 static\n52:54:00:00:00:98 dev p2 master br0 static\n"
	   "$ ip neigh\n10.0.0.4 dev br0 lladdr 52:54:00:00:00:98 REACHABLE\n"
	   "$ sysctl -a\nnet.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 0\n"
	   "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.br0.rp_filter = 0\n" NFT
	   "table bridge b {\n chain output {\n  type filter hook output priority 0; policy accept;\n"
	   "  ether saddr 52:54:00:00:00:02 tcp dport 22 drop\n  ether saddr != 52:54:00:00:00:02 tcp dport 23 drop\n "
	   "}\n"
	   " chain input {\n  type filter hook input priority 0; policy drop;\n }\n}\n"}},
	 "[[\"r\", \"p1\", null, null], [\"r\", \"p2\", null, null]]",
	 "{'at': 'r', 'iif': null, 'src': '10.0.0.1', 'dst': '10.0.0.4'}",
	 {{"{'dport': 22}", "{'verdict': 'dropped', 'table': 'bridge b'}"},
	  {"{'dport': 23}", "{'verdict': 'delivered'}"},
	  {"{'iif': 'br0', 'in_port': 'p1', 'bridged': true, 'src': '10.0.0.2', 'dst': '10.0.0.1',"
	   " 'src_mac': '52:54:00:00:00:99', 'dst_mac': '52:54:00:00:00:98'}",
	   "{'verdict': 'delivered', 'to': 'out interface br0 of host r', 'out_port': 'p2'}"},
	  {"{'iif': 'br0', 'in_port': 'p1', 'src': '10.0.0.2', 'dst': '10.0.0.1', 'src_mac': '52:54:00:00:00:99',"
	   " 'dst_mac': '52:54:00:00:00:02'}",
	   "{'verdict': 'dropped', 'table': 'bridge b', 'chain': 'input'}"}}},

	{"what is translated on a bridge and routed elsewhere is in a frame for the bridge, whatever it was in",
	 {{"r", "$ ip addr\n" LOOPBACK ETHER(2, "br0", "") "    inet 10.0.0.1/24 scope global br0\n" ETHER(
			3, "eth1", "") "    inet 10.0.1.1/24 scope global eth1\n" ETHER(4, "p1", "master br0") RULES
	   "$ ip route\n10.0.0.0/24 dev br0 scope link src 10.0.0.1\n10.0.1.0/24 dev eth1 scope link src 10.0.1.1\n"
	   "$ sysctl -a\nnet.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\n"
	   "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.br0.rp_filter = 0\n" IPTABLES
	   "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT "
	   "[0:0]\n-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.1.2\nCOMMIT\n"}},
	 "[[\"r\", \"p1\", null, null]]",
	 "{'at': 'r', 'iif': 'br0', 'in_port': 'p1', 'bridged': true, 'src': '10.0.0.2', 'dst': '10.0.0.4',"
	 " 'dst_mac': 'ff:ff:ff:ff:ff:ff', 'dport': 80}",
	 {{"{}", "{'verdict': 'delivered', 'to': 'out interface eth1 of host r'}"}}},

	{"a bridge: ip's rules see frames between its ports only with bridge-nf-call-iptables",
	 {{"off", "$ ip addr\n" LOOPBACK ETHER(2, "br0", "") "    inet 10.0.0.1/24 scope global br0\n" ETHER(
			  3, "p1", "master br0") ETHER(4, "p2", "master br0") RULES
	   "$ ip route\n10.0.0.0/24 dev br0 scope link src 10.0.0.1\n"
	   "$ sysctl -a\nnet.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 0\n"
	   "net.bridge.bridge-nf-call-ip6tables = 0\nnet.ipv4.conf.all.rp_filter = "
	   "0\nnet.ipv4.conf.br0.rp_filter = 0\n" IPTABLES
	   "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n" NFT
	   "table bridge b {\n chain forward {\n  type filter hook forward priority -200; policy accept;\n"
	   "  iifname \"p1\" oifname \"p2\" tcp dport 23 drop\n }\n}\n"},
	  {"on", "$ ip addr\n" LOOPBACK ETHER(2, "br0", "") "    inet 10.0.0.1/24 scope global br0\n" ETHER(
			 3, "p1", "master br0") ETHER(4, "p2", "master br0") RULES
	   "$ ip route\n10.0.0.0/24 dev br0 scope link src 10.0.0.1\n"
	   "$ sysctl -a\nnet.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\n"
	   "net.bridge.bridge-nf-call-ip6tables = 1\nnet.ipv4.conf.all.rp_filter = "
	   "0\nnet.ipv4.conf.br0.rp_filter = 0\n" IPTABLES
	   "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	   "-A FORWARD -m physdev --physdev-in p1 --physdev-out p2 --physdev-is-bridged -p tcp -m tcp --dport "
	   "80 -j ACCEPT\n"
	   "-A FORWARD -i br0 -o br0 -p tcp -m tcp --dport 81 -j ACCEPT\nCOMMIT\n"}},
	 "[[\"off\", \"p1\", null, null], [\"off\", \"p2\", null, null], [\"on\", \"p1\", null, null], "
	 "[\"on\", \"p2\", null, null]]",
	 "{'at': 'off', 'iif': 'br0', 'in_port': 'p1', 'bridged': true, 'src': '10.0.0.2', 'dst': '10.0.0.3'}",
	 {{"{}", "{'verdict': 'delivered', 'to': 'out interface br0 of host off', 'out_port': 'p2'}"},
	  {"{'dport': 23}", "{'verdict': 'dropped', 'table': 'bridge b'}"},
	  {"{'at': 'on'}", "{'verdict': 'dropped', 'table': 'ip filter', 'chain': 'FORWARD'}"},
	  {"{'at': 'on', 'dport': 80}", "{'verdict': 'delivered', 'out_port': 'p2'}"},
	  {"{'at': 'on', 'dport': 81}", "{'verdict': 'delivered', 'out_port': 'p2'}"},
	  {"{'bridged': false, 'dst': '10.0.0.1'}", "{'verdict': 'delivered', 'to': 'local process of host off'}"}}},

	{"isolated ports do not talk to each other",
	 {{"r",
	   "$ ip -d link\n" ETHER(2, "br0", "") "    bridge forward_delay 1500\n" ETHER(
		   3, "p1",
		   "master br0") "    bridge_slave state forwarding isolated on hairpin "
				 "off\n" ETHER(4, "p2",
					       "master br0") "    bridge_slave state forwarding "
							     "isolated on hairpin off\n$ sysctl "
							     "-a\nkernel.pid_max = 1\n$ ip addr\n" ETHER(
								     2, "br0",
								     "") "    inet 10.0.0.1/24 scope global br0\n"}},
	 "[[\"r\", \"p1\", null, null], [\"r\", \"p2\", null, null]]",
	 "{'iif': 'br0', 'in_port': 'p1', 'bridged': true, 'src': '10.0.0.2', 'dst': '10.0.0.3'}",
	 {{"{}", "{'verdict': 'lost', 'reason': 'isolated-ports'}"},
	  {"{'dst_mac': '52:54:00:00:00:98'}", "{'verdict': 'lost', 'reason': 'isolated-ports'}"},
	  /* whatever address is in it */
	  {"{'dst': '10.0.0.1', 'dst_mac': '52:54:00:00:00:98'}", "{'verdict': 'lost', 'reason': 'isolated-ports'}"}}},

	{"over two hosts: neighbours, who is not there, the way back",
	 {{"a", "$ ip addr\n" LOOPBACK ETHER(5, "eth0", "") "    inet 10.0.0.2/24 scope global eth0\n" RULES
							    "$ ip route\ndefault via 10.0.0.1 dev eth0\n10.0.0.0/24 "
							    "dev eth0 scope link src 10.0.0.2\n" SYSCTLS},
	  {"b", "$ ip addr\n" LOOPBACK ETHER(6, "eth0",
					     "") "    inet 10.0.1.2/24 scope global eth0\n" RULES
						 "$ ip route\n10.0.1.0/24 dev eth0 scope link src 10.0.1.2\n" SYSCTLS},
	  {"r", ROUTER IPTABLES
	   "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	   ":POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.0.0.0/24 -p tcp -m tcp --dport 80 -j MASQUERADE\n"
	   "COMMIT\n"}},
	 "[[\"a\", \"eth0\", \"r\", \"eth0\"], [\"r\", \"eth1\", \"b\", \"eth0\"]]",
	 "{'at': 'a', 'iif': null, 'src': '10.0.0.2', 'dst': '10.0.1.2'}",
	 {{"{}", "{'verdict': 'delivered', 'to': 'local process of host b'}"},
	  {"{'dport': 80}", "{'verdict': 'delivered', 'where': 'b', 'src': '10.0.1.1'}"},
	  {"{'dst': '10.0.0.77'}", "{'verdict': 'lost', 'where': 'a', 'reason': 'no-neighbour'}"},
	  {"{'dst': '10.0.1.77'}", "{'verdict': 'lost', 'where': 'r', 'reason': 'no-neighbour'}"},
	  {"{'at': 'b', 'src': '10.0.1.2', 'dst': '10.0.0.2'}",
	   "{'verdict': 'lost', 'where': 'b', 'reason': 'no-route'}"},
	  {"{'dst': '10.0.1.1'}", "{'verdict': 'delivered', 'where': 'r'}"}}},

	{"IPv6: neighbour discovery must be let in on purpose, and is never tracked",
	 {{"r", ROUTER "$ ip6tables-save\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
		       "-A INPUT -m conntrack --ctstate INVALID -j REJECT\n"
		       "-A INPUT -m conntrack --ctstate UNTRACKED -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT\n"
		       "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT\n"
		       "-A INPUT -m addrtype --dst-type UNICAST -p udp -j ACCEPT\n"
		       "-A FORWARD -m addrtype --dst-type UNICAST -p udp -j ACCEPT\nCOMMIT\n"}},
	 NULL,
	 "{'src': 'fd00:a::2', 'dst': 'fd00:a::1', 'proto': 'icmpv6'}",
	 {{"{'icmp_type': 135}", "{'verdict': 'delivered'}"},
	  {"{'icmp_type': 136}", "{'verdict': 'dropped', 'rule': 'policy drop'}"},
	  {"{'icmp_type': 128}", "{'verdict': 'delivered'}"},
	  {"{'icmp_type': 129}", "{'verdict': 'rejected', 'answered': 'icmp 1/4'}"},
	  {"{'dst': 'fd00:b::2', 'icmp_type': 128}", "{'verdict': 'dropped', 'chain': 'FORWARD'}"},
	  {"{'proto': 'udp'}", "{'verdict': 'delivered', 'where': 'r'}"}, /* its own are unicast, too */
	  {"{'dst': 'fd00:b::2', 'proto': 'udp'}", "{'verdict': 'delivered'}"}}},

	{"ICMP errors belong to what they are about, and are translated with it",
	 {{"r", ROUTER IPTABLES "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				":POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o eth1 -j MASQUERADE\nCOMMIT\n"
				"*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				"-A FORWARD -m conntrack --ctstate RELATED -j ACCEPT\n"
				"-A FORWARD -s 10.0.0.2/32 -j ACCEPT\nCOMMIT\n"}},
	 NULL,
	 "{'iif': 'eth1', 'src': '10.0.1.2', 'dst': '10.0.1.1', 'proto': 'icmp', 'icmp_type': 3, 'icmp_code': 3}",
	 {{"{'state': 'related', 'direction': 'reply', 'of': {'at': 'r', 'iif': 'eth0', 'src': '10.0.0.2',"
	   " 'dst': '10.0.1.2', 'proto': 'udp', 'sport': 5000, 'dport': 53}}",
	   "{'verdict': 'delivered', 'to': 'out interface eth0 of host r', 'dst': '10.0.0.2'}"},
	  /* from a router on the way */
	  {"{'state': 'related', 'direction': 'reply', 'src': '10.0.1.9', 'of': {'at': 'r', 'iif': 'eth0',"
	   " 'src': '10.0.0.2', 'dst': '10.0.1.2', 'proto': 'udp', 'sport': 5000, 'dport': 53}}",
	   "{'verdict': 'delivered', 'src': '10.0.1.9', 'dst': '10.0.0.2'}"},
	  {"{'state': 'invalid'}", "{'verdict': 'dropped', 'chain': 'INPUT'}"},
	  /* of a connection that a helper expects */
	  {"{'state': 'related', 'proto': 'udp', 'sport': 69, 'dport': 5000}", "{'verdict': 'unknown'}"}}},

	{"connection tracking puts fragments together, and so does local delivery",
	 {{"plain", ROUTER IPTABLES "# Generated by iptables-save v1.8.9 on Sat Nov 21 22:15:47 2026\n"
				    "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				    "-A INPUT -p udp -m udp --dport 22 -j DROP\n"
				    "-A FORWARD -p udp -m udp --dport 22 -j DROP\nCOMMIT\n"},
	  {"tracking", ROUTER IPTABLES "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				       "-A FORWARD -m conntrack --ctstate INVALID -j DROP\n"
				       "-A FORWARD -p udp -m udp --dport 22 -j DROP\nCOMMIT\n"}},
	 NULL,
	 "{'proto': 'udp', 'fragment': 'later'}",
	 {{"{'at': 'plain'}", "{'verdict': 'delivered'}"},
	  {"{'at': 'plain', 'fragment': 'first'}", "{'verdict': 'dropped'}"},
	  {"{'at': 'plain', 'dst': '10.0.0.1'}", "{'verdict': 'dropped', 'chain': 'INPUT'}"},
	  {"{'at': 'tracking'}", "{'verdict': 'dropped', 'chain': 'FORWARD'}"}}},

	{"nftables takes for ports whatever bytes of a later fragment stand there, unless something puts fragments "
	 "together",
	 {{"nft", ROUTER NFT "table inet t {\n chain c {\n  type filter hook forward priority 0; policy accept;\n"
			     "  udp dport 22 drop\n  icmp type 8 drop\n  icmpv6 type 128-140 drop\n"
			     "  meta l4proto 132 th dport != 5 drop\n }\n}\n"},
	  {"newer", ROUTER IPTABLES "# Generated by iptables-save v1.8.9 (nf_tables) on Sat Nov 21 22:15:47 2026\n"
				    "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
				    "-A FORWARD -p tcp -m multiport --dports 22,23 -j DROP\n"
				    "-A FORWARD -p icmp -m icmp --icmp-type 8 -j DROP\n"
				    "-A FORWARD -p udp -m udp ! --dport 22 -j DROP\nCOMMIT\n"},
	  {"together", ROUTER NFT "table inet t {\n chain c {\n  type filter hook forward priority 0; policy accept;\n"
				  "  ct state invalid drop\n  udp dport 22 drop\n }\n}\n"},
	  {"before", ROUTER NFT "table ip t {\n chain c {\n  type filter hook prerouting priority -500;\n"
				"  udp dport 22 drop\n }\n chain d {\n  type filter hook forward priority 0;\n"
				"  ct state invalid drop\n }\n}\n"}},
	 NULL,
	 "{'proto': 'udp', 'fragment': 'later'}",
	 {{"{'at': 'nft'}", "{'verdict': 'unknown'}"},
	  {"{'at': 'nft', 'dport': 23}", "{'verdict': 'unknown'}"},
	  {"{'at': 'nft', 'fragment': 'first', 'dport': 23}", "{'verdict': 'delivered'}"},
	  {"{'at': 'nft', 'proto': 'tcp'}", "{'verdict': 'delivered'}"},
	  {"{'at': 'nft', 'proto': '132', 'dport': 5}", "{'verdict': 'unknown'}"},
	  {"{'at': 'nft', 'src': 'fd00:a::2', 'dst': 'fd00:b::2', 'proto': 'icmpv6', 'icmp_type': 128, 'sport': null, "
	   "'dport': null}",
	   "{'verdict': 'delivered'}"},
	  {"{'at': 'newer'}", "{'verdict': 'unknown'}"},
	  {"{'at': 'newer', 'proto': 'tcp'}", "{'verdict': 'delivered'}"},
	  {"{'at': 'newer', 'proto': 'icmp', 'icmp_type': 8, 'sport': null, 'dport': null}",
	   "{'verdict': 'delivered'}"},
	  {"{'at': 'together'}", "{'verdict': 'dropped'}"},
	  {"{'at': 'together', 'dport': 23}", "{'verdict': 'delivered'}"},
	  {"{'at': 'before', 'dport': 23}", "{'verdict': 'unknown'}"}}},

	/* Where all of them end alike, chance decides nothing; pieces are put together first. */
	{"a source port taken by chance is unknown only where a rule tells some of them from others",
	 {{"r",
	   ROUTER NFT "table ip n {\n chain post {\n  type nat hook postrouting priority 100; policy accept;\n"
		      "  masquerade fully-random\n }\n}\n"
		      "table ip f {\n set ports {\n  type inet_service\n  flags interval\n"
		      "  elements = { 22, 53, 443, 8080-8100 }\n }\n"
		      " chain behind {\n  type filter hook postrouting priority 200; policy drop;\n"
		      "  udp dport 1 udp sport @ports accept\n  udp dport 2 udp sport 1024-65535 accept\n"
		      "  udp dport 3 udp sport { 22, 53, 443 } accept\n"
		      "  udp dport 4 udp sport vmap { 8080 : accept }\n  udp dport 5 udp sport @ports drop\n }\n}\n"}},
	 NULL,
	 "{'at': 'r', 'iif': 'eth0', 'src': '10.0.0.2', 'dst': '10.0.1.2', 'proto': 'udp', 'sport': 40000, 'dport': 1}",
	 {{"{}", "{'verdict': 'unknown', 'missing': [{'text': 'r: whether rule 1 of chain behind, \\\"udp dport 1 "
		 "udp sport @ports accept\\\", matches: it depends on which of the ports 1024-65535 it has'}]}"},
	  {"{'fragment': 'first'}", "{'verdict': 'unknown'}"},
	  {"{'fragment': 'later'}", "{'verdict': 'unknown'}"},
	  {"{'sport': 700}", "{'verdict': 'dropped', 'rule': 'policy drop'}"},
	  {"{'dport': 2, 'fragment': 'first'}", "{'verdict': 'delivered'}"},
	  {"{'dport': 3, 'fragment': 'first'}", "{'verdict': 'dropped', 'rule': 'policy drop'}"},
	  {"{'dport': 3, 'fragment': 'later'}", "{'verdict': 'dropped', 'rule': 'policy drop'}"},
	  {"{'dport': 4}", "{'verdict': 'unknown', 'missing': [{'text': 'r: which element rule 4 of chain behind "
			   "finds: it depends on which of the ports 1024-65535 it has'}]}"},
	  {"{'dport': 5}", "{'verdict': 'dropped'}"}}},

	{"conditions that only look as if they depended on more than the packet",
	 {{"r", ROUTER IPTABLES
	   "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	   "-A FORWARD -p tcp -m tcp --dport 1 -m recent --set --name seen --rsource -j DROP\n"
	   "-A FORWARD -p tcp -m tcp --dport 2 -m recent --update --seconds 60 --name seen --rsource -j DROP\n"
	   "-A FORWARD -p tcp -m tcp --dport 3 -m owner --uid-owner 0 -j DROP\n"
	   "-A FORWARD -p tcp -m tcp --dport 4 -m policy --dir in --pol none -j DROP\n"
	   "-A FORWARD -p tcp -m tcp --dport 5 -m comment --comment \"limit\" -j DROP\nCOMMIT\n"}},
	 NULL,
	 NULL,
	 {{"{'dport': 1}", "{'verdict': 'dropped'}"},
	  {"{'dport': 2}", "{'verdict': 'unknown'}"},
	  {"{'dport': 3}", "{'verdict': 'delivered'}"},
	  {"{'dport': 4}", "{'verdict': 'dropped'}"},
	  {"{'dport': 5}", "{'verdict': 'dropped'}"}}},

	{"whoever is rejected learns it only if the answer may leave",
	 {{"r", ROUTER IPTABLES "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT DROP [0:0]\n"
				"-A FORWARD -p tcp -m tcp --dport 1 -j REJECT --reject-with tcp-reset\n"
				"-A FORWARD -p tcp -m tcp --dport 2:3 -j REJECT --reject-with icmp-host-prohibited\n"
				"-A OUTPUT -p tcp -m tcp --sport 1 --tcp-flags RST RST -j ACCEPT\n"
				"-A OUTPUT -d 10.0.0.2/32 -p icmp -m icmp --icmp-type 3/10 -j ACCEPT\nCOMMIT\n"}},
	 NULL,
	 NULL,
	 {{"{'dport': 1}", "{'verdict': 'rejected', 'answered': 'rst'}"},
	  {"{'dport': 2}", "{'verdict': 'rejected', 'answered': 'icmp 3/10'}"},
	  {"{'dport': 2, 'src': '10.0.0.3'}", "{'verdict': 'rejected', 'answered': null}"}}},

	{"where answers would be taken for those of another connection, the kernel takes another port, or drops",
	 {{"r", ADDRESSES
	   "$ ip rule\n0:\tfrom all lookup local\n9:\tfrom all iif eth0 lookup 5\n32766:\tfrom all lookup main\n" ROUTES
	   "$ ip route show table 5\ndefault via 10.0.1.2 dev eth1\n" SYSCTLS NFT
	   "table ip t {\n chain before {\n  type nat hook prerouting priority -100;\n"
	   "  iifname \"eth0\" ip daddr 10.9.0.8 dnat to 10.9.0.9\n }\n"
	   " chain after {\n  type nat hook postrouting priority 100;\n"
	   "  udp dport 84 snat to 10.0.0.77:2000\n  udp dport 85 snat to 10.0.0.77\n"
	   "  oifname \"eth0\" ip saddr 10.0.1.2 udp dport 81 snat to 10.0.0.2:500\n"
	   "  oifname \"eth0\" ip saddr 10.0.1.2 snat to 10.0.0.2\n }\n"
	   " chain last {\n  type filter hook postrouting priority 150;\n  udp dport 80 udp sport >= 512 drop\n "
	   "}\n}\n"},
	  {"s",
	   "$ ip addr\n" LOOPBACK ETHER(
		   2, "eth0",
		   "") "    inet 10.0.1.2/24 scope global eth0\n" RULES
		       "$ ip route\n10.0.1.0/24 dev eth0 scope link src 10.0.1.2\ndefault via 10.0.1.1 dev "
		       "eth0\n" SYSCTLS NFT "table ip t {\n chain before {\n  type nat hook prerouting priority "
		       "-100;\n  udp dport 84 dnat to :85\n }\n"
		       " chain after {\n  type nat hook postrouting priority 100;\n  udp dport 85 snat to "
		       "10.0.0.2:500\n"
		       "  udp dport 82 accept\n  meta l4proto 50 ip daddr 10.9.0.9 accept\n  masquerade\n }\n}\n"}},
	 "[[\"r\", \"eth1\", \"s\", \"eth0\"], [\"r\", \"eth0\", null, null]]",
	 "{'proto': 'udp', 'sport': 500, 'dport': 80, 'dst': '10.9.0.9'}",
	 {{"{}", "{'verdict': 'delivered', 'src': '10.0.0.2', 'sport': null}"},
	  {"{'sport': 700}", "{'verdict': 'dropped', 'chain': 'last'}"}, /* privileged ports stay so */
	  {"{'dport': 81}", "{'verdict': 'lost', 'reason': 'no-nat-port', 'where': 'r'}"},
	  {"{'dport': 81, 'sport': 501}", "{'verdict': 'delivered', 'src': '10.0.0.2', 'sport': 500}"},
	  {"{'dport': 82, 'dst': '10.9.0.8'}", "{'verdict': 'delivered', 'src': '10.0.0.2', 'sport': null}"},
	  {"{'dport': 84}", "{'verdict': 'delivered', 'src': '10.0.0.77', 'sport': 2000, 'dport': 85}"},
	  {"{'proto': '50', 'sport': null, 'dport': null, 'dst': '10.9.0.8'}",
	   "{'verdict': 'lost', 'reason': 'no-nat-port'}"},
	  {"{'proto': 'icmp', 'icmp_type': 8, 'sport': null, 'dport': null}",
	   "{'verdict': 'delivered', 'src': '10.0.0.2'}"}}},

	{"a tunnel leads to its peers' bridges, and to the rules there",
	 {{"home", TUNNELLER("1", "    inet 10.9.0.1/24 scope global br0\n", PEER("2") PEER("3"))},
	  {"right", TUNNELLER("2", "", PEER("1") PEER("3")) "table bridge t {\n chain forward {\n"
							    "  type filter hook forward priority 0;\n"
							    "  iifname \"vx0\" tcp dport 23 drop\n"
							    "  iifname \"vx0\" oifname \"vx0\" drop\n }\n}\n"},
	  {"third", TUNNELLER("3", "", PEER("1") PEER("2"))},
	  {"g", TUNNELLED("2")}},
	 NULL,
	 "{'at': 'home', 'iif': null, 'src': '10.9.0.1', 'dst': '10.9.0.2'}",
	 {{"{}", "{'verdict': 'delivered', 'where': 'g'}"},
	  {"{'dport': 23}", "{'verdict': 'dropped', 'where': 'right', 'chain': 'forward'}"},
	  {"{'at': 'g', 'src': '10.9.0.2', 'dst': '10.9.0.1'}", "{'verdict': 'delivered', 'where': 'home'}"}}},
	{"on another machine the same",
	 {{"home", TUNNELLER("1", "    inet 10.9.0.1/24 scope global br0\n", PEER("2") PEER("3"))},
	  {"right", TUNNELLER("2", "", PEER("1") PEER("3"))},
	  {"third", TUNNELLER("3", "", PEER("1") PEER("2"))},
	  {"g", TUNNELLED("3")}},
	 NULL,
	 "{'at': 'home', 'iif': null, 'src': '10.9.0.1', 'dst': '10.9.0.3'}",
	 {{"{}", "{'verdict': 'delivered', 'where': 'g'}"}}},
	{"what a peer does that was not captured is not known",
	 {{"home", TUNNELLER("1", "    inet 10.9.0.1/24 scope global br0\n", PEER("2") PEER("3"))},
	  {"third", TUNNELLER("3", "", PEER("1") PEER("2"))}},
	 NULL,
	 "{'at': 'home', 'iif': null, 'src': '10.9.0.1', 'dst': '10.9.0.2'}",
	 {{"{}", "{'verdict': 'unknown'}"}}},
	{"also where the guest behind it was",
	 {{"home", TUNNELLER("1", "    inet 10.9.0.1/24 scope global br0\n", PEER("2") PEER("3"))},
	  {"third", TUNNELLER("3", "", PEER("1") PEER("2"))},
	  {"g", TUNNELLED("2")}},
	 NULL,
	 "{'at': 'home', 'iif': null, 'src': '10.9.0.1', 'dst': '10.9.0.2'}",
	 {{"{}", "{'verdict': 'unknown', 'where': 'home'}"}}},
	{"a peer takes what comes, also from where it sends nothing itself, and answers there",
	 {{"home", TUNNELLER("1", "    inet 10.9.0.1/24 scope global br0\n", PEER("2"))},
	  {"right", TUNNELLER("2", "", "")},
	  {"g", TUNNELLED("2")}},
	 NULL,
	 "{'at': 'home', 'iif': null, 'src': '10.9.0.1', 'dst': '10.9.0.2'}",
	 {{"{}", "{'verdict': 'delivered', 'where': 'g'}"}}},
};

#endif
