"""Random stacks of hosts: 1 to 4 in a chain, with bridges, second uplinks, policy routing, odd sysctls, and firewalls written
as iptables, legacy iptables, nft, or several of them. A scenario is plain data, so that it can be kept and made smaller."""
import ipaddress
import random

import aim
import conversation
import packets

WORLD4, WORLD6 = "203.0.113.", "2001:db8:113::"
REMOTE4 = ["8.8.8.8", "1.1.1.1", "100.64.9.9", "9.9.9.9"]
REMOTE6 = ["2001:4860::8888"]
PORTS = [22, 25, 53, 80, 123, 443, 2049, 3389, 5353, 8080, 8443, 30000]
NDP = "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept"


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.macs = 0
        self.prefix = "52:54:00:%02x:%02x" % (self.random.randrange(256), self.random.randrange(256))
        self.addresses4, self.addresses6 = [], []

    def chance(self, share):
        return self.random.random() < share

    def pick(self, *items):
        return self.random.choice(items[0] if len(items) == 1 else items)

    def mac(self):
        self.macs += 1
        return "%s:%02x" % (self.prefix, self.macs)

    # topology

    def scenario(self):
        depth = self.pick(1, 1, 2, 2, 3, 3, 4)
        hosts, cables = {}, []
        self.add_host(hosts, "l0", True)
        self.add_stub(hosts, cables, "world", "l0", self.pick("eth0", "ens3", "enp1s0"), 0)
        if self.chance(0.4):
            self.add_stub(hosts, cables, "isp2", "l0", "eth9", 1)
        above = "l0"
        for layer in range(1, depth):
            above = self.add_layer(hosts, cables, above, "l%d" % layer, layer)
        if self.chance(0.5) or depth == 1:
            self.add_bridge_of_stubs(hosts, cables, above)
        for name, host in hosts.items():
            if host["captured"]:
                for _, ports in host["bridges"].values():
                    host["ports"] += [[port, self.pick("isolated on", "isolated on", "hairpin on")] for port in ports if self.chance(0.12)]
                self.route(host, hosts)
                self.sysctls(host)
                self.firewall(name, host)
        return {"hosts": hosts, "cables": cables}

    def add_host(self, hosts, name, captured):
        hosts[name] = {"captured": captured, "links": [], "bridges": {}, "addresses": [], "routes": [], "rules": [], "sysctls": [],
                       "iptables": [], "nft": [], "ipsets": [], "downlinks": [], "uplinks": [], "ports": []}
        return hosts[name]

    def cable(self, hosts, cables, a, if_a, b, if_b):
        macs = self.mac(), self.mac()
        hosts[a]["links"].append([if_a, macs[0]])
        hosts[b]["links"].append([if_b, macs[1]])
        cables.append([a, if_a, b, if_b])
        return macs

    def address(self, host, interface, four, six):
        if four:
            host["addresses"].append([interface, four])
            self.addresses4.append(four.split("/")[0])
        if six:
            host["addresses"].append([interface, six])
            self.addresses6.append(six.split("/")[0])

    def add_stub(self, hosts, cables, stub, host, interface, index):
        self.add_host(hosts, stub, False)
        self.cable(hosts, cables, stub, "eth0", host, interface)
        net4, net6 = (WORLD4, WORLD6) if not index else ("198.51.100.", "2001:db8:51::")
        self.address(hosts[stub], "eth0", net4 + "254/24", net6 + "fe/64")
        hosts[stub]["addresses"] += [["eth0", net4 + "50/24"], ["eth0", net6 + "50/64"]]
        self.addresses4.append(net4 + "50")
        self.addresses6.append(net6 + "50")
        self.address(hosts[host], interface, net4 + "2/24", net6 + "2/64")
        hosts[host]["uplinks"].append([interface, net4 + "254", net6 + "fe"])

    def add_layer(self, hosts, cables, above, name, layer):
        net4, net6 = "192.168.%d." % (40 + 10 * layer), "fd00:%d0::" % layer
        host, upper = self.add_host(hosts, name, True), hosts[above]
        bridge = self.pick("virbr0", "br-lab", "lxdbr0") if self.chance(0.6) else None
        port = self.pick("tap", "vnet") + str(layer)
        up = self.pick("eth0", "ens3", "enp1s0")
        self.cable(hosts, cables, above, port, name, up)
        owner = port
        if bridge:
            upper["bridges"][bridge] = [self.mac(), [port]]
            owner = bridge
        self.address(upper, owner, net4 + "1/24", net6 + "1/64")
        self.address(host, up, net4 + "2/24", net6 + "2/64")
        host["uplinks"].append([up, net4 + "1", net6 + "1"])
        upper["downlinks"].append([owner, net4 + "0/24", net6 + "/64", None, None])
        if bridge and self.chance(0.5):
            sibling = name + "b"
            self.add_host(hosts, sibling, self.chance(0.5))
            self.cable(hosts, cables, above, "vnet%d9" % layer, sibling, "eth0")
            upper["bridges"][bridge][1].append("vnet%d9" % layer)
            self.address(hosts[sibling], "eth0", net4 + "9/24", net6 + "9/64")
            hosts[sibling]["uplinks"].append(["eth0", net4 + "1", net6 + "1"])
        # who stands above learns the way to what is below, now and then not
        for name_up, one in hosts.items():
            if one["captured"] and name_up in ("l0", "l1", "l2") and name_up != above and self.chance(0.9):
                way = next((d for d in one["downlinks"]), None)
                if way:
                    one["downlinks"].append([way[0], net4 + "0/24", net6 + "/64", way[1].replace("0/24", "2"), way[2].replace("/64", "2")])
        return name

    def add_bridge_of_stubs(self, hosts, cables, name):
        host, bridge = hosts[name], "docker0"
        host["bridges"][bridge] = [self.mac(), []]
        for i in range(self.pick(1, 2, 2)):
            self.add_host(hosts, "c%d" % i, False)
            self.cable(hosts, cables, name, "veth%d" % i, "c%d" % i, "eth0")
            host["bridges"][bridge][1].append("veth%d" % i)
            self.address(hosts["c%d" % i], "eth0", "172.17.0.%d/16" % (2 + i), "fd00:d0c::%d/64" % (2 + i))
            hosts["c%d" % i]["uplinks"].append(["eth0", "172.17.0.1", "fd00:d0c::1"])
        self.address(host, bridge, "172.17.0.1/16", "fd00:d0c::1/64")
        host["downlinks"].append([bridge, "172.17.0.0/16", "fd00:d0c::/64", None, None])

    # routing and sysctls

    def route(self, host, hosts):
        for i, (interface, four, six) in enumerate(host["uplinks"]):
            if i == 0 and self.chance(0.95):
                host["routes"].append("-4 default via %s dev %s" % (four, interface))
            if i == 0 and self.chance(0.9):
                host["routes"].append("-6 default via %s dev %s" % (six, interface))
        for interface, net4, net6, via4, via6 in host["downlinks"]:
            if via4:
                host["routes"].append("-4 %s via %s dev %s" % (net4, via4, interface))
            if via6:
                host["routes"].append("-6 %s via %s dev %s" % (net6, via6, interface))
        while self.chance(0.3):
            kind = self.pick("blackhole", "unreachable", "prohibit", "throw")
            host["routes"].append("-4 %s %s" % (kind, self.pick(REMOTE4 + ["8.8.8.0/24", "192.168.50.2", "192.168.60.0/25"])))
        if self.chance(0.2):  # the smaller metric wins
            up = self.pick(host["uplinks"])
            host["routes"].append("-4 default via %s dev %s metric %d" % (up[1], up[0], self.pick(50, 100)))
            host["routes"].append("-6 default via %s dev %s metric %d" % (up[2], up[0], self.pick(50, 100, 2000)))
        if self.chance(0.2):
            host["routes"].append("-6 %s %s" % (self.pick("blackhole", "unreachable", "prohibit"), self.pick(REMOTE6)))
        if self.chance(0.45):
            self.policy_routing(host)

    def policy_routing(self, host):
        up = self.pick(host["uplinks"])
        host["routes"].append("-4 default via %s dev %s table 100" % (up[1], up[0]))
        host["routes"].append("-6 default via %s dev %s table 100" % (up[2], up[0]))
        if self.chance(0.3):
            host["routes"].append("-4 throw %s table 100" % self.pick("8.8.8.0/24", "192.168.0.0/16", "203.0.113.0/24"))
        names = [link for link, _ in host["links"]] + list(host["bridges"]) + ["lo"]
        for priority in self.random.sample([5000, 10000, 20000, 32000], self.pick(1, 1, 2, 3)):
            what = self.pick("fwmark 0x%x" % self.pick(1, 2), "fwmark 0x10/0xf0", "from %s" % self.net4(), "to %s" % self.net4(), "iif " + self.pick(names),
                             "ipproto %s dport %d" % (self.pick("tcp", "udp"), self.pick(PORTS)), "not from %s" % self.net4(), "oif " + self.pick(names), "ipproto %s sport 40000" % self.pick("tcp", "udp"), "tos 0x10")
            action = "lookup 100"
            if self.chance(0.2):
                action = self.pick("prohibit", "blackhole", "unreachable")
            elif self.chance(0.2):
                action = "lookup main suppress_prefixlength 0"
            host["rules"].append("-4 %s priority %d %s" % (what, priority, action))
            if ("from" not in what and "to " not in what) and self.chance(0.5):
                host["rules"].append("-6 %s priority %d %s" % (what, priority, action))

    def sysctls(self, host):
        names = [link for link, _ in host["links"]] + list(host["bridges"])
        forwarding = 0 if self.chance(0.1) else 1
        host["sysctls"] += [["net/ipv4/ip_forward", forwarding], ["net/ipv6/conf/all/forwarding", 0 if self.chance(0.1) else 1]]
        host["sysctls"].append(["net/ipv4/conf/all/rp_filter", self.pick(0, 0, 0, 1, 2)])
        for name in names:
            host["sysctls"].append(["net/ipv4/conf/%s/rp_filter" % name, self.pick(0, 0, 0, 0, 1, 2)])
            if self.chance(0.06):
                host["sysctls"].append(["net/ipv4/conf/%s/forwarding" % name, 1 - forwarding])
            if self.chance(0.1):
                host["sysctls"].append(["net/ipv4/conf/%s/route_localnet" % name, 1])
            if self.chance(0.1):
                host["sysctls"].append(["net/ipv4/conf/%s/accept_local" % name, 1])
        if host["bridges"]:
            host["sysctls"] += [["net/bridge/bridge-nf-call-iptables", self.pick(0, 1)], ["net/bridge/bridge-nf-call-ip6tables", self.pick(0, 1)]]

    # what rules look at

    def net4(self):
        return self.pick(self.pick(self.addresses4), self.pick(REMOTE4), "192.168.%d.0/24" % self.pick(50, 60, 70), "203.0.113.0/24", "172.17.0.0/16", "8.8.8.0/25")

    def net6(self):
        return self.pick(self.pick(self.addresses6), self.pick(REMOTE6), "fd00:%d0::/64" % self.pick(1, 2, 3), "2001:db8:113::/64", "fd00:d0c::/64")

    def names(self, host, chain):
        return [link for link, _ in host["links"] if not any(link in ports for _, ports in host["bridges"].values())] + list(host["bridges"])

    def firewall(self, name, host):
        backend = self.pick("none", "iptables", "iptables", "nft", "nft", "mixed", "legacy", "legacy+nft")
        if "legacy" in backend or backend in ("iptables", "mixed"):
            legacy = "legacy" in backend
            if self.chance(0.35):
                self.ipsets(host)
            for family in (4, 6):
                if family == 4 or self.chance(0.7):
                    self.iptables(host, family, legacy)
        if backend in ("nft", "mixed", "legacy+nft"):
            self.nft(host, backend != "nft")
        if host["bridges"] and self.chance(0.25):
            self.bridge_table(host)

    def ipsets(self, host):
        kinds = {"hash:ip": lambda: self.pick(self.addresses4 + REMOTE4), "hash:net": self.net4, "bitmap:port": lambda: str(self.pick(PORTS)) if self.chance(0.7) else "20-90",
                 "hash:ip,port": lambda: "%s,%s:%d" % (self.pick(self.addresses4 + REMOTE4), self.pick("tcp", "udp"), self.pick(PORTS)),
                 "hash:net,port": lambda: "%s,%s:%d" % (self.net4(), self.pick("tcp", "udp"), self.pick(PORTS)),
                 "hash:ip,port,net": lambda: "%s,%s:%d,%s" % (self.pick(self.addresses4 + REMOTE4), self.pick("tcp", "udp"), self.pick(PORTS), self.net4()),
                 "hash:net,iface": lambda: "%s,%s" % (self.net4(), self.pick(self.names(host, None)))}
        for i, kind in enumerate(self.random.sample(sorted(kinds), self.pick(1, 2))):
            entries = sorted({kinds[kind]() for _ in range(self.pick(1, 3, 5))})
            if kind == "bitmap:port":
                entries = [e for e in entries if "-" not in e or int(e.split("-")[1]) < 10000]
            host["ipsets"].append({"name": "set%d" % i, "kind": kind + (" range 0-32000" if kind == "bitmap:port" else ""), "entries": [
                e + (" nomatch" if kind.startswith("hash:net") and "/" in e and self.chance(0.15) else "") for e in entries]})

    # iptables

    def iptables(self, host, family, legacy):
        chains = ["LAB1", "LAB2", "web-in"]
        filter_rules = []
        for base in ("INPUT", "FORWARD", "OUTPUT"):
            if self.chance(0.5):
                filter_rules.append("-A %s -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT" % base)
            if family == 6 and base != "FORWARD":
                filter_rules += ["-A %s -p ipv6-icmp -m icmp6 --icmpv6-type %d -j ACCEPT" % (base, t) for t in (135, 136)]
            filter_rules += [self.ipt_rule(host, family, base, chains) for _ in range(self.pick(0, 1, 3, 5))]
        for i, chain in enumerate(chains):
            filter_rules += [self.ipt_rule(host, family, chain, chains[i + 1:]) for _ in range(self.pick(0, 1, 3))]
        policies = {base: "DROP" if self.chance(0.12) else "ACCEPT" for base in ("INPUT", "FORWARD", "OUTPUT")}
        tables = {"filter": {"policies": policies, "chains": chains, "rules": filter_rules}}
        if self.chance(0.4):
            rules = [self.ipt_match(host, family, base) + " -j " + self.pick("CT --notrack", "CT --notrack", "DROP")
                     for base in ("PREROUTING", "OUTPUT") for _ in range(self.pick(0, 1, 2))]
            tables["raw"] = {"policies": {"PREROUTING": "ACCEPT", "OUTPUT": "ACCEPT"}, "chains": [], "rules": rules}
        if self.chance(0.4):
            rules = [self.ipt_match(host, family, base) + " -j " + self.pick("MARK --set-mark 0x1", "MARK --set-mark 0x2", "MARK --set-xmark 0x10/0xf0", "DROP", "MARK --or-mark 0x2", "MARK --and-mark 0xfe", "CONNMARK --set-mark 0x1", "CONNMARK --save-mark", "CONNMARK --restore-mark")
                     for base in ("PREROUTING", "FORWARD", "OUTPUT", "POSTROUTING") for _ in range(self.pick(0, 1, 2))]
            tables["mangle"] = {"policies": dict.fromkeys(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"), "ACCEPT"), "chains": [], "rules": rules}
        if self.chance(0.5):
            tables["nat"] = {"policies": dict.fromkeys(("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"), "ACCEPT"), "chains": ["DOCKER"], "rules": self.ipt_nat(host, family)}
        host["iptables"].append({"family": family, "legacy": legacy, "tables": tables})

    def ipt_match(self, host, family, chain):
        net = self.net4 if family == 4 else self.net6
        words, proto = ["-A", chain], None
        negate = lambda: "! " if self.chance(0.12) else ""
        if self.chance(0.2):
            words.append("%s-s %s" % (negate(), net()))
        if self.chance(0.3):
            words.append("%s-d %s" % (negate(), net()))
        names = self.names(host, chain)
        wildcard = lambda name: name[:3] + "+" if self.chance(0.15) else name
        if chain not in ("OUTPUT", "POSTROUTING") and chain.isupper() and chain not in ("LAB1", "LAB2", "DOCKER") and self.chance(0.15):
            words.append("%s-i %s" % (negate(), wildcard(self.pick(names))))
        if chain in ("FORWARD", "OUTPUT", "POSTROUTING") and self.chance(0.15):
            words.append("%s-o %s" % (negate(), wildcard(self.pick(names))))
        if self.chance(0.55):
            proto = self.pick("tcp", "tcp", "tcp", "udp", "udp", "icmp" if family == 4 else "ipv6-icmp", "sctp", "47")
            words.append("-p " + proto)
        if proto in ("tcp", "udp", "sctp"):
            if self.chance(0.25):
                words.append("-m multiport %s--%s %s" % (negate(), self.pick("dports", "dports", "sports", "ports"), ",".join(self.ports(self.pick(2, 3)))))
            elif self.chance(0.7):
                words.append("-m %s %s--dport %s" % (proto, negate(), self.pick(self.ports(1)[0], "%d:%d" % (self.pick(0, 20, 440), self.pick(445, 9000)))))
        if proto == "tcp" and self.chance(0.12):
            words.append("-m tcp --tcp-flags " + self.pick("FIN,SYN,RST,ACK SYN", "SYN,ACK SYN,ACK", "FIN,PSH,URG FIN,PSH,URG", "ALL NONE"))
        if proto == "icmp" and self.chance(0.5):
            words.append("-m icmp %s--icmp-type %d" % (negate(), self.pick(0, 3, 8, 8, 11, 13)))
        if proto == "ipv6-icmp":
            words.append("-m icmp6 --icmpv6-type %d" % self.pick(1, 3, 128, 128, 129))
        extras = ["-m conntrack %s--ctstate %s" % (negate(), self.pick("NEW", "ESTABLISHED", "INVALID", "NEW,ESTABLISHED", "UNTRACKED", "RELATED", "DNAT", "SNAT")),
                  "-m addrtype %s--%s-type %s" % (negate(), self.pick("src", "dst"), self.pick("LOCAL", "UNICAST", "BROADCAST" if family == 4 else "LOCAL")),
                  "-m mark %s--mark %s" % (negate(), self.pick("0x1", "0x0/0xff", "0x10/0xf0")), "-m connmark --mark 0x1",
                  "-m conntrack --ctdir " + self.pick("ORIGINAL", "REPLY"), "-m conntrack --ctproto " + self.pick("tcp", "udp"),
                  "-m comment --comment \"lab rule\"", "-m pkttype %s--pkt-type %s" % (negate(), self.pick("unicast", "broadcast"))]
        extras.append(self.hop_limit(family))
        extras += ["-m conntrack %s--ctstatus %s" % (negate(), self.pick("SEEN_REPLY", "CONFIRMED", "NONE")), "-m state --state " + self.pick("NEW", "ESTABLISHED", "INVALID"), "-m dscp %s--dscp 0" % negate(),
                   "-m conntrack %s--ctorigdst %s" % (negate(), net()), "-m conntrack --ctreplsrc %s" % net(), "-m conntrack --ctorigdstport %d" % self.pick(PORTS)]
        if chain in ("INPUT", "FORWARD"):
            extras.append("-m addrtype --dst-type %s --limit-iface-in" % self.pick("LOCAL", "UNICAST"))
        if chain == "PREROUTING":
            extras += ["-m rpfilter " + self.pick("", "--invert", "--loose", "--loose --invert", "--validmark")] * 3
        if family == 4:
            extras.append(negate() + "-f")
            extras += ["-m iprange %s--%s-range %s" % (negate(), self.pick("src", "dst"), self.pick("203.0.113.1-203.0.113.60", "192.168.50.1-192.168.50.7", "1.0.0.0-9.0.0.0"))]
            if not chain.startswith("POST"):
                extras += ["-m set %s--match-set %s %s" % (negate(), s["name"], ",".join(self.pick("src", "dst") for _ in s["kind"].split()[0].split(","))) for s in host["ipsets"]] * 3
        if chain in ("PREROUTING", "INPUT", "FORWARD"):
            extras.append("-m mac %s--mac-source %s" % (negate(), "%s:%02x" % (self.prefix, self.random.randrange(1, max(2, self.macs)))))
        if host["bridges"] and chain in ("FORWARD", "PREROUTING", "INPUT"):
            extras.append("-m physdev %s--physdev-in %s" % (negate(), self.pick(self.pick(list(host["bridges"].values()))[1])))
            if chain == "FORWARD":
                extras.append("-m physdev %s--physdev-is-bridged" % negate())
        while self.chance(0.3):
            words.append(self.pick(extras))
        if sum("-m conntrack" in w for w in words) > 1 or sum("-m mark" in w for w in words) > 1 or sum("-m physdev" in w for w in words) > 1:
            return self.ipt_match(host, family, chain)
        return " ".join(words)

    def hop_limit(self, family):
        word = "ttl" if family == 4 else "hl"
        return "-m %s --%s-%s %d" % (word, word, self.pick("lt", "gt"), self.pick(3, 62, 63, 64))

    def ports(self, count):
        return [str(self.pick(PORTS)) if self.chance(0.8) else "%d:%d" % (self.pick(20, 80), self.pick(120, 180)) for _ in range(count)] if count > 1 else [str(self.pick(PORTS))]

    def ipt_rule(self, host, family, chain, others):
        targets = ["ACCEPT"] * 4 + ["DROP"] * 4 + ["RETURN", "REJECT", "LOG --log-prefix \"lab: \""]
        if family == 4:
            targets += ["REJECT --reject-with " + self.pick("icmp-host-prohibited", "icmp-admin-prohibited", "icmp-net-unreachable")]
        if others:
            targets += ["jump"] * 4 + ["goto"]
        target = self.pick(targets)
        match = self.ipt_match(host, family, chain)
        if target in ("jump", "goto"):
            return "%s -%s %s" % (match, "j" if target == "jump" else "g", self.pick(others))
        if target == "REJECT" and "-p tcp" in match and self.chance(0.5):
            target += " --reject-with tcp-reset"
        return "%s -j %s" % (match, target)

    def ipt_nat(self, host, family):
        rules, up = [], self.pick(host["uplinks"])[0]
        addresses = self.addresses4 if family == 4 else self.addresses6
        to = lambda: self.pick(addresses)
        with_port = (lambda: "%s:%d" % (to(), self.pick(22, 80))) if family == 4 else (lambda: "[%s]:%d" % (to(), self.pick(22, 80)))
        if self.chance(0.5):
            rules += ["-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER", "-A DOCKER %s-p tcp -m tcp --dport %d -j DNAT --to-destination %s" % ("! -i docker0 " if "docker0" in host["bridges"] else "", self.pick(PORTS), with_port())]
        if self.chance(0.4):
            rules.append("-A PREROUTING -p %s --dport %d -j DNAT --to-destination %s" % (self.pick("tcp", "udp"), self.pick(PORTS), self.pick(to, with_port)()))
        if self.chance(0.2):
            rules.append("-A PREROUTING -p tcp --dport %d -j REDIRECT --to-ports 22" % self.pick(PORTS))
        if self.chance(0.3):
            rules.append("-A OUTPUT -p tcp --dport %d -j DNAT --to-destination %s" % (self.pick(PORTS), self.pick(to, with_port)()))
        if self.chance(0.1) and family == 4:
            rules.append("-A PREROUTING -p tcp --dport %d -j DNAT --to-destination 127.0.0.1:80" % self.pick(PORTS))
        if self.chance(0.1) and family == 4:
            rules.append("-A PREROUTING -d 198.18.0.0/24 -j NETMAP --to 192.168.50.0/24")
        if self.chance(0.6):
            net = self.pick("192.168.0.0/16", "172.17.0.0/16") if family == 4 else "fd00::/16"
            rules.append("-A POSTROUTING -s %s ! -d %s -j MASQUERADE" % (net, net) if self.chance(0.5) else "-A POSTROUTING -o %s -j MASQUERADE" % up)
        if self.chance(0.2):
            rules.append("-A POSTROUTING -p %s -o %s -j MASQUERADE --to-ports 40000-40010" % (self.pick("tcp", "udp"), up))
        if self.chance(0.3):
            rules.append("-A POSTROUTING %s -o %s -j SNAT --to-source %s" % (self.pick("", "-p tcp --dport 80", "-s " + (self.net4() if family == 4 else self.net6())), self.pick(self.names(host, None)), to()))
        if self.chance(0.1):
            rules.append("-A INPUT -p tcp --dport %d -j SNAT --to-source %s" % (self.pick(PORTS), to()))
        if self.chance(0.15):  # what may make answers to two connections look the same
            rules.insert(0, self.pick("-A POSTROUTING -p %s -j SNAT --to-source %s" % (self.pick("tcp", "udp", "47"), to()), "-A POSTROUTING -p tcp -j SNAT --to-source " + with_port().replace(":22", ":500").replace(":80", ":1023"),
                                      "-A POSTROUTING -p udp -j SNAT --to-source %s-502" % with_port().replace(":22", ":500").replace(":80", ":500"), "-A INPUT -j SNAT --to-source " + to(), "-A PREROUTING -j DNAT --to-destination " + to(), "-A POSTROUTING -j MASQUERADE --random"))
        return rules

    # nft

    def nft(self, host, small):
        for i in range(self.pick(1, 2)):
            family = self.pick("inet", "inet", "ip", "ip6")
            host["nft"].append(self.nft_filter(host, family, "fwall%d" % i, small))
        if not small and self.chance(0.5):
            host["nft"].append(self.nft_nat(host, self.pick("inet", "ip")))
        if self.chance(0.4):
            host["nft"].append(self.nft_mark(host))
        if self.chance(0.3):
            hook = self.pick("input", "forward", "output", "prerouting", "postrouting")
            family = self.pick("inet", "ip")
            host["nft"].append({"family": family, "name": "late", "sets": [], "chains": [
                {"name": hook + "_late", "head": "type filter hook %s priority %s; policy %s;" % (hook, self.pick("filter + 1", "-20", "10") if hook in ("input", "forward", "output") else "0", self.pick("accept", "accept", "drop")),
                 "rules": ([NDP] if family == "inet" else []) + [self.nft_rule(host, family, hook, [], {}) for _ in range(self.pick(1, 2))]}]})

    def nft_filter(self, host, family, name, small):
        sets, kinds = [], {}
        if family != "ip6":
            if self.chance(0.4):
                kinds["nets"] = True
                sets.append("set nets { type ipv4_addr; flags interval; auto-merge; elements = { %s }; }" % ", ".join(sorted({self.net4() for _ in range(3)})))
            if self.chance(0.4):
                kinds["conc"] = True
                flags = self.chance(0.5)
                elements = sorted({"%s . %s" % (self.pick(self.addresses4 + REMOTE4), "%d-%d" % (self.pick(20, 80), self.pick(140, 9000)) if flags else self.pick(PORTS)) for _ in range(3)})
                if flags:
                    elements = sorted({e.split(" . ")[0]: e for e in elements}.values())
                sets.append("set conc { type ipv4_addr . inet_service; %selements = { %s }; }" % ("flags interval; " if flags else "", ", ".join(elements)))
        if family != "ip" and self.chance(0.4):
            kinds["nets6"] = True
            sets.append("set nets6 { type ipv6_addr; flags interval; auto-merge; elements = { %s }; }" % ", ".join(sorted({self.net6() for _ in range(3)})))
        if self.chance(0.4):
            kinds["ports"] = True
            sets.append("set ports { type inet_service; flags interval; elements = { 22, 53, 443, 8080-8100 }; }")
        if self.chance(0.3):
            kinds["vm"] = True
            sets.append("map vm { type inet_service : verdict; elements = { 80 : accept, 443 : drop, 8080 : jump u1 }; }")
        users = ["u0", "u1"]
        chains = []
        for base in self.random.sample(["input", "forward", "output", "prerouting", "postrouting"], self.pick(1, 2, 3)):
            priority = self.pick("filter", "filter", "filter - 10", "5") if base in ("input", "forward", "output") else self.pick("filter", "-10", "mangle" if base != "output" else "filter")
            rules = [NDP] if family != "ip" else []
            if self.chance(0.4):
                rules.append(self.pick("ct state established,related accept", "ct state vmap { established : accept, related : accept, invalid : drop }"))
            rules += [self.nft_rule(host, family, base, users, kinds) for _ in range(self.pick(1, 2, 4) if not small else self.pick(1, 2))]
            chains.append({"name": base, "head": "type filter hook %s priority %s; policy %s;" % (base, priority, "drop" if self.chance(0.12) else "accept"), "rules": rules})
        chains.insert(0, {"name": "u0", "head": "", "rules": [self.nft_rule(host, family, "any", ["u1"], {k: v for k, v in kinds.items() if k != "vm"}) for _ in range(self.pick(0, 1, 3))]})
        chains.insert(0, {"name": "u1", "head": "", "rules": [self.nft_rule(host, family, "any", [], {k: v for k, v in kinds.items() if k != "vm"}) for _ in range(self.pick(0, 1, 2))]})
        return {"family": family, "name": name, "sets": sets, "chains": chains}

    def nft_match(self, host, family, base, kinds):
        four = family == "ip" or family == "inet" and self.chance(0.75)
        space, net = ("ip", self.net4) if four else ("ip6", self.net6)
        negate = lambda: "!= " if self.chance(0.12) else ""
        words, names = [], self.names(host, None)
        if base in ("input", "forward", "prerouting") and self.chance(0.15):
            words.append("%s %s\"%s\"" % (self.pick("iifname", "iifname", "iif"), negate(), self.pick(names)))
        if base in ("forward", "output", "postrouting") and self.chance(0.15):
            words.append("%s %s\"%s\"" % (self.pick("oifname", "oif"), negate(), self.pick(names)))
        if self.chance(0.2):
            words.append("%s saddr %s%s" % (space, negate(), net()))
        if self.chance(0.3):
            words.append("%s daddr %s%s" % (space, negate(), self.pick(net(), "{ %s }" % ", ".join(sorted({self.pick(self.addresses4 if four else self.addresses6) for _ in range(3)})))))
        if four and "nets" in kinds and self.chance(0.3):
            words.append("ip %s %s@nets" % (self.pick("saddr", "daddr"), negate()))
        kind = self.pick("tcp", "tcp", "udp", "th", "l4", "icmp", "pair", "none")
        if kind == "pair" and four:
            words.append("ip %s . tcp dport @conc" % self.pick("saddr", "daddr") if "conc" in kinds and self.chance(0.6) else
                         "ip daddr . tcp dport { %s . %d, %s . 80 }" % (self.pick(self.addresses4), self.pick(PORTS), self.pick(REMOTE4)))
        elif kind in ("tcp", "udp"):
            words.append("%s %s %s%s" % (kind, self.pick("dport", "dport", "sport"), negate(), self.pick(str(self.pick(PORTS)), "{ 22, 80, 8080-8443 }", "440-445", "20-90", "@ports" if "ports" in kinds else "53")))
        elif kind == "th":
            words.append("meta l4proto { tcp, udp } th dport %s{ 22, 53, 2049 }" % negate())
        elif kind == "l4":
            words.append("meta l4proto %s%s" % (negate(), self.pick("tcp", "udp", "sctp", "gre", "{ esp, gre, udp }")))
        elif kind == "icmp":
            words.append("icmp type %s%s" % (negate(), self.pick("echo-request", "echo-request", "echo-reply", "destination-unreachable", "{ 3, 11 }")) if four
                         else "icmpv6 type " + self.pick("echo-request", "echo-request", "destination-unreachable", "time-exceeded"))
        extras = (["meta nfproto " + self.pick("ipv4", "ipv6")] if family == "inet" else []) + (["ct original proto-dst %d" % self.pick(PORTS)] if kind in ("tcp", "udp") else [])
        extras += ["ct status %s" % self.pick("confirmed", "seen-reply", "& seen-reply == 0"), "ct protocol " + self.pick("tcp", "udp"), "meta protocol " + self.pick("ip", "ip6")]
        if kind == "none":  # nft 1.0.6 cannot list it behind another protocol
            extras.append("meta l4proto . th dport { tcp . %d, udp . %d }" % (self.pick(PORTS), self.pick(PORTS)))
        if kind == "icmp":
            extras.append("icmp code %s0" % negate() if four else "icmpv6 code %s0" % negate())
        if base == "forward":
            extras.append("iifname . oifname { \"%s\" . \"%s\", \"%s\" . \"%s\" }" % (names[0], names[-1], names[-1], names[0]))
        if base in ("input", "forward", "prerouting"):
            extras.append("iifname %s%s" % (negate(), self.pick("\"%s*\"" % self.pick(names)[:3], "{ \"%s\", \"%s\" }" % (names[0], "lo"))))
        extras.append("%s saddr . %s daddr { %s . %s, %s . %s }" % (space, space, *(self.pick(self.addresses4 if four else self.addresses6) for _ in range(4))))
        if not four:
            extras += ["ip6 hoplimit %s %d" % (self.pick("<", ">", "=="), self.pick(3, 62, 63, 64)), "ip6 daddr . tcp dport { %s . %s, %s . 20-90 }" % (self.pick(self.addresses6), self.pick(PORTS), self.net6())]
            if "nets6" in kinds:
                extras += ["ip6 %s %s@nets6" % (self.pick("saddr", "daddr"), negate())] * 3
        extras += ["ct state %s" % self.pick("new", "established", "invalid", "! new", "untracked", "related", "{ new, related }", "new,established"), "ct direction " + self.pick("original", "reply"), "meta mark %s" % self.pick("0x1", "!= 0x1", "& 0xf0 == 0x10"),
                  "fib %s type %s" % (self.pick("saddr", "daddr"), self.pick("local", "!= local", "unicast")), "ct status %s" % self.pick("dnat", "snat"),
                  "ct mark 0x1", "meta pkttype " + self.pick("unicast", "broadcast", "multicast")]
        if kind == "tcp":
            extras += ["tcp flags %s" % self.pick("syn", "& (fin|syn|rst|ack) == syn", "!= syn", "& (syn|ack) == 0x0", "{ syn, ack }", "== ack")]
        if base in ("input", "forward", "prerouting"):
            extras += ["ether saddr %s%s:%02x" % (negate(), self.prefix, self.random.randrange(1, max(2, self.macs))), "iifname . ip saddr { \"%s\" . %s, \"%s\" . %s }" % (names[0], self.pick(self.addresses4), names[-1], self.pick(REMOTE4))]
        if base == "prerouting":
            extras += ["fib saddr . iif oif %s" % self.pick("missing", "exists")]
        if four:
            extras += ["ip ttl %s %d" % (self.pick("<", ">", "=="), self.pick(3, 62, 63, 64)), "rt ip nexthop " + self.pick(self.addresses4), "ct original ip saddr . ct original ip daddr { %s . %s }" % (
                self.pick(self.addresses4), self.pick(self.addresses4 + REMOTE4))] if base != "any" else []
            extras += ["ip daddr . tcp dport { %s . %s, %s . 20-90 }" % (self.pick(self.addresses4), self.pick(PORTS), self.net4()), "ip dscp != cs1", "ip ecn not-ect"]
            extras += ["ct original ip daddr " + self.net4(), "ct reply ip saddr " + self.net4(), "ip frag-off & 0x1fff %s 0" % self.pick("==", "!="), "ip dscp 0", "ip saddr & 255.255.0.255 == 192.168.0.2"]
        while self.chance(0.3):
            words.append(self.pick(extras))
        return " ".join(words)

    def nft_rule(self, host, family, base, users, kinds):
        match = self.nft_match(host, family, base, kinds)
        counter = "counter " if self.chance(0.5) else ""
        if self.chance(0.1) and "vm" in kinds and base != "any":
            return "tcp dport vmap @vm"
        if self.chance(0.08):
            return "meta mark set %s" % self.pick("0x1", "meta mark & 0xffffff0f | 0x10") if base == "prerouting" else "%s %scontinue" % (match, counter)
        if self.chance(0.06) and family != "ip6":
            return self.pick("tcp dport vmap { 0-79 : accept, 80-1023 : %s, 1024-65535 : continue }", "ip daddr . tcp dport vmap { %s . %d : accept, %s . 80 : %%s }" % (
                self.pick(self.addresses4), self.pick(PORTS), self.pick(REMOTE4)), "ip protocol vmap { tcp : accept, udp : %s, icmp : continue }") % self.pick(["drop"] + ["jump " + u for u in users])
        if self.chance(0.04):
            return "meta iifname vmap { \"%s\" : %s, \"lo\" : accept }" % (self.pick(self.names(host, None)), self.pick("accept", "drop", "return")) if base in ("input", "forward", "prerouting") else "counter"
        if self.chance(0.03):
            return "ct state . meta l4proto vmap { new . tcp : %s, established . tcp : accept, new . udp : %s }" % (self.pick("accept", "drop", "continue"), self.pick("accept", "drop", "return"))
        if self.chance(0.08) and family != "ip6":
            return "ip saddr vmap { %s : accept, %s : drop }" % (self.pick(self.addresses4), self.pick(REMOTE4))
        verdicts = ["accept"] * 4 + ["drop"] * 3 + ["return"]
        if base in ("input", "forward", "output"):
            verdicts += ["reject", "reject with %s" % {"ip": "icmp type admin-prohibited", "ip6": "icmpv6 type admin-prohibited", "inet": "icmpx type admin-prohibited"}[family]]
            if "tcp " in match and "!=" not in match and "meta l4proto" not in match:
                verdicts.append("reject with tcp reset")
        if users:
            verdicts += ["jump " + self.pick(users)] * 3 + ["goto " + self.pick(users)]
        return "%s %s%s" % (match, counter, self.pick(verdicts))

    def nft_nat(self, host, family):
        word = " ip" if family == "inet" else ""
        up, to = self.pick(host["uplinks"])[0], lambda: self.pick(self.addresses4)
        pre = [self.pick("tcp dport %d dnat%s to %s:%d" % (self.pick(PORTS), word, to(), self.pick(22, 80)), "ip daddr %s dnat%s to %s" % (self.pick(self.addresses4 + REMOTE4), word, to()),
                         "iifname \"%s\" tcp dport %d redirect to :22" % (up, self.pick(PORTS)), "dnat%s to tcp dport map { 80 : %s, 443 : %s }" % (word, to(), to()),
                         "ip daddr %s tcp dport { %d, %d } redirect" % (self.pick(self.addresses4 + REMOTE4), *self.random.sample(PORTS, 2)),
                         "ip protocol tcp dnat%s to %stcp dport map { 80 : %s . 22, 8080 : %s . 80 }" % (word, "addr . port " if False else "", to(), to())) for _ in range(self.pick(0, 1, 2))]
        post = [self.pick("oifname \"%s\" masquerade" % up, "ip saddr %s oifname \"%s\" snat%s to %s" % (self.net4(), self.pick(self.names(host, None)), word, to()), "ip saddr 192.168.0.0/16 ip daddr != 192.168.0.0/16 masquerade") for _ in range(self.pick(0, 1, 1))]
        if self.chance(0.15):  # what may make answers to two connections look the same
            post.insert(0, self.pick("meta l4proto %s snat%s to %s" % (self.pick("tcp", "udp", "gre"), word, to()), "meta l4proto tcp snat%s to %s:%d" % (word, to(), self.pick(500, 1023)), "meta l4proto { tcp, udp } snat%s to %s:500-502" % (word, to()), "masquerade fully-random"))
        out = ["ip daddr %s tcp dport %d dnat%s to %s" % (self.pick(self.addresses4 + REMOTE4), self.pick(PORTS), word, to())] if self.chance(0.3) else []
        chains = [{"name": "pre", "head": "type nat hook prerouting priority dstnat; policy accept;", "rules": pre}, {"name": "post", "head": "type nat hook postrouting priority srcnat; policy accept;", "rules": post},
                  {"name": "out", "head": "type nat hook output priority -100; policy accept;", "rules": out}]
        return {"family": family, "name": "labnat", "sets": [], "chains": chains}

    def nft_mark(self, host):
        mark = lambda: self.pick("meta mark set ct mark", "ct mark set meta mark", "meta mark set tcp dport map { 22 : 0x1, 80 : 0x2 }", "meta mark set 0x1", "meta mark set 0x2", "meta mark set meta mark & 0xffffff0f | 0x10", "ct mark set 0x1", "notrack")
        pre = [self.nft_match(host, "inet", "prerouting", {}).replace("fib saddr . iif oif missing", "") + " " + mark() for _ in range(self.pick(1, 2))]
        out = [self.nft_match(host, "inet", "output", {}) + " " + self.pick("meta mark set 0x1", "meta mark set 0x2") for _ in range(self.pick(0, 1))]
        priority = self.pick("mangle", "raw")
        if priority == "mangle":
            pre = [r for r in pre if "notrack" not in r]
        else:
            pre = [r for r in pre if "ct " not in r]
        return {"family": "inet", "name": "labmark", "sets": [], "chains": [{"name": "pm", "head": "type filter hook prerouting priority %s; policy accept;" % priority, "rules": pre},
                                                                          {"name": "om", "head": "type route hook output priority mangle; policy accept;", "rules": out}]}

    def bridge_table(self, host):
        ports = [p for _, members in host["bridges"].values() for p in members]
        bridge = self.pick(list(host["bridges"]))
        mac = lambda: "%s:%02x" % (self.prefix, self.random.randrange(1, self.macs))
        rules = [self.pick("ip daddr %s drop" % self.net4(), "iifname \"%s\" ip protocol udp drop" % self.pick(ports), "ether saddr %s drop" % mac(), "ip saddr %s tcp dport { 22, 80 } accept" % self.net4(), "tcp dport %d drop" % self.pick(PORTS),
                           "ip6 daddr %s drop" % self.net6(), "ether daddr %s ip protocol { tcp, udp } drop" % mac(), "meta ibrname \"%s\" icmp type echo-request drop" % bridge, "ether type ip6 meta l4proto udp drop",
                           "meta pkttype broadcast drop", "ip saddr . tcp dport vmap { %s . %d : drop, %s . 80 : accept }" % (self.pick(self.addresses4), self.pick(PORTS), self.pick(REMOTE4)), "meta mark set 0x1", "ip protocol tcp counter accept"
                           ) for _ in range(self.pick(1, 2, 3))]
        hook = self.pick("forward", "input", "prerouting", "forward", "output", "postrouting")
        if hook in ("output", "postrouting"):
            rules = [rule for rule in rules if "iifname" not in rule and "ibrname" not in rule]
        return host["nft"].append({"family": "bridge", "name": "brfw", "sets": [], "chains": [{"name": hook, "head": "type filter hook %s priority %s; policy accept;" % (hook, self.pick("filter", "0")), "rules": rules}]})

    # questions

    def questions(self, scenario, count):
        return [q for q in (self.question(scenario) for _ in range(count)) if q]

    def question(self, scenario):
        hosts = scenario["hosts"]
        name = self.pick([n for n, h in hosts.items() if h["captured"]])
        host = hosts[name]
        six = self.chance(0.25)
        addresses, remote = (self.addresses6, REMOTE6) if six else (self.addresses4, REMOTE4)
        own = [a.split("/")[0] for _, a in host["addresses"] if (":" in a) == six]
        question = {"at": name, "iif": None, "src": None, "dst": self.pick(addresses) if self.chance(0.85) else self.pick(remote)}
        proto = self.pick("tcp", "tcp", "tcp", "udp", "udp", "icmpv6" if six else "icmp", "132", "47", "50")
        question["proto"] = proto
        ports = proto in ("tcp", "udp", "132")
        question["sport"] = self.pick(self.random.randrange(32768, 61000), 500, 1023) if ports else None
        question["dport"] = self.pick(PORTS) if ports else None
        question["icmp_type"] = None if "icmp" not in proto else 128 if six else self.pick(8, 8, 8, 13)
        question["state"] = "new"
        if self.chance(0.3) and own and conversation.may_send(host):
            question["src"] = self.pick(own)
        else:
            self.arriving(scenario, name, host, question, addresses, remote)
            if question["iif"] is None:
                return None
        if self.chance(0.3 if question.get("bridged") else 0.6):
            aim.aim(self.random, question, host, addresses + remote)
            proto = question["proto"]
        if question["iif"] and "in_port" not in question and self.chance(0.05):
            self.to_several(question, host, six)
        what = self.random.random()
        if "_several" in question or "_fragments" in question or question["state"] != "new" or "tcp_flags" in question:
            pass
        elif what < 0.35:
            self.conversation(question, addresses + remote)
        elif what < 0.42:
            self.invalid(question, six)
        elif what < 0.47 and question["iif"]:
            self.stray_error(question, six, addresses + remote)
        elif what < 0.57 and proto in ("tcp", "udp", "icmp", "icmpv6"):
            question["_fragments"] = True
        if self.chance(0.05):
            question["ttl"] = self.pick(1, 2, 3)
        if six and "_fragments" not in question and "_quoted" not in question and self.chance(0.2):
            question["_extensions"] = self.pick([60], [60], [60, 0])  # innermost first
        if question["iif"] and question["src"] == question["dst"]:
            return None  # sent on and translated, it may come by again with the addresses of its own answer
        return question

    def to_several(self, question, host, six):
        """Broadcast of the link, by either address, or to the group that every host is in; or another link's broadcast address."""
        own = [a for i, a in host["addresses"] if i == question["iif"] and ":" not in a]
        others = [a for _, a in host["addresses"] if ":" not in a]
        everybody = lambda address: str(ipaddress.ip_interface(address).network.broadcast_address)
        question["_several"] = True
        if six:
            question.update(dst="ff02::1", dst_mac="33:33:00:00:00:01")
        elif self.chance(0.3):
            question.update(dst="224.0.0.1", dst_mac="01:00:5e:00:00:01")
        elif self.chance(0.3):
            question.update(dst=everybody(self.pick(others)))
        else:
            question.update(dst=self.pick("255.255.255.255", everybody(self.pick(own or others))), dst_mac="ff:ff:ff:ff:ff:ff")

    def conversation(self, question, addresses):
        """What follows the packet; see conversation.py."""
        proto = question["proto"]
        if proto == "132":  # its answers carry more than can be said here
            return
        question["then"] = self.pick(["reply"], ["reply"], ["reply", "more"])
        if proto in ("tcp", "udp", "icmp", "icmpv6"):
            question["then"] += self.pick([], [], ["error"], ["error"], ["error-back"], ["error", "error-back"], ["error-astray"])
            question["_error"] = self.error_kind(":" in question["dst"])
            question["_astray"] = self.pick(addresses)
            if self.chance(0.4):
                question["_reporter"] = self.pick(addresses)

    def error_kind(self, six):
        """Unreachable, not for its size, which would be remembered, or time exceeded; and a code."""
        return self.pick([0, self.pick(0, 1, 3, 4)], [1, 0]) if six else self.pick([0, self.pick(0, 1, 3, 13)], [1, 0])

    def invalid(self, question, six):
        if question["proto"] in ("tcp", "udp", "icmp") and question["iif"] and self.chance(0.4):
            question["_wrong_sum"], question["state"] = True, "invalid"
        elif question["proto"] == "tcp":
            question["tcp_flags"] = self.pick("SA", "FA", "FPU", "A", "R", "SF", "RA", "")
            question["state"] = "new" if question["tcp_flags"] == "A" else "invalid"
        elif "icmp" in question["proto"]:
            question["icmp_type"], question["state"] = (129 if six else self.pick(0, 14)), "invalid"

    def stray_error(self, question, six, addresses):
        """An ICMP error about a packet that nobody sent."""
        kind, code = self.error_kind(six)
        inner = {"src": question["dst"], "dst": self.pick(addresses), "proto": self.pick("tcp", "udp"), "sport": self.random.randrange(1024, 61000), "dport": self.pick(PORTS), "icmp_type": None}
        packet, = packets.network(inner, 0)
        question.update(proto="icmpv6" if six else "icmp", sport=None, dport=None, icmp_type=packets.ERRORS[58 if six else 1][kind], icmp_code=code, state="invalid",
                        _quoted=packet[:48 if six else 28].hex())

    def arriving(self, scenario, name, host, question, addresses, remote):
        ends = []
        for a, if_a, b, if_b in scenario["cables"]:
            if a == name:
                ends.append((if_a, b, if_b))
            if b == name:
                ends.append((if_b, a, if_a))
        link, peer, peer_link = self.pick(ends)
        peers = scenario["hosts"][peer]
        mac = next((m for l, m in peers["links"] if l == peer_link))
        for bridge, (bridge_mac, ports) in peers["bridges"].items():
            if peer_link in ports:
                mac = bridge_mac
        own = [a.split("/")[0] for i, a in peers["addresses"] if (":" in a) == (":" in addresses[0])]
        question.update(iif=link, src_mac=mac, dst_mac=dict(host["links"])[link])
        question["src"] = self.pick(own) if own and self.chance(0.6) else self.pick(addresses + remote)
        for bridge, (bridge_mac, ports) in host["bridges"].items():
            if link not in ports:
                continue
            question.update(iif=bridge, in_port=link, dst_mac=bridge_mac)
            others = [p for p in ports if p != link]
            if others and self.chance(0.4):
                self.bridged(scenario, name, question, self.pick(others))
        question["from"] = [peer, peer_link]

    def bridged(self, scenario, name, question, port):
        for a, if_a, b, if_b in scenario["cables"]:
            if (a, if_a) == (name, port):
                other = scenario["hosts"][b]
                six = ":" in question["dst"]
                targets = [x.split("/")[0] for i, x in other["addresses"] if (":" in x) == six and i == if_b]
                if targets:
                    question.update(dst=targets[0], dst_mac=next(m for l, m in other["links"] if l == if_b), bridged=True)
