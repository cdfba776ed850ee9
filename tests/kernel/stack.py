"""A scenario made real: namespaces built from it, their facts captured with the standard commands, questions asked."""
import ipaddress
import os
import re
import shutil
import time

import conversation
import kernel
import packets

CAPTURES = {  # as people capture them; the names are those bundles use
    "ip-addr.txt": "ip addr", "ip-d-link.txt": "ip -d link", "ip-route.txt": "ip route show table all", "ip-rule.txt": "ip rule",
    "ip6-route.txt": "ip -6 route show table all", "ip6-rule.txt": "ip -6 rule", "nft-ruleset.txt": "nft list ruleset", "ipset.txt": "ipset save",
    "bridge.txt": "echo '# bridge -d link'; bridge -d link; echo '# bridge fdb show'; bridge fdb show", "neigh.txt": "ip neigh; ip -6 neigh",
    "sysctl.txt": "sysctl -a 2>/dev/null | grep -E 'ip_forward |\\.(forwarding|rp_filter|accept_local|route_localnet) |bridge-nf-call|tcp_loose'",
}
QUIET = [("net/ipv6/conf/%s/accept_dad", 0), ("net/ipv6/conf/%s/router_solicitations", 0), ("net/ipv6/conf/%s/autoconf", 0), ("net/ipv4/conf/%s/rp_filter", 0),
         ("net/ipv4/conf/%s/send_redirects", 0)]  # packets of the host's own would count as well


class Stack:
    def __init__(self, scenario):
        self.scenario, self.world = scenario, kernel.World()
        self.left_out = []  # rules that the kernel did not take
        try:
            self.build()
        except BaseException:
            self.world.close()
            raise

    def close(self):
        self.world.close()

    # building

    def build(self):
        for name in self.scenario["hosts"]:
            host = self.world.add(name)
            for path, value in QUIET:
                for which in ("default", "all"):
                    host.sysctl(path % which, value)
            host.sysctl("net/ipv4/icmp_msgs_per_sec", 0)  # no errors, which would run through rules themselves
            host.sysctl("net/ipv4/icmp_msgs_burst", 0)
        self.links()
        for name, plan in self.scenario["hosts"].items():
            self.configure(self.world.hosts[name], plan)
        for name in self.scenario["hosts"]:
            self.wait_for_carriers(self.world.hosts[name])
        self.neighbours()
        for name, plan in self.scenario["hosts"].items():
            host = self.world.hosts[name]
            if plan["captured"]:
                self.firewall(host, plan)
            else:
                host.run(["nft", "-f", "-"], "table inet mute { chain i { type filter hook input priority 0; policy drop; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; "
                                             "chain o { type filter hook output priority 0; policy drop; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }\n")

    def links(self):
        lines = []
        macs = {(name, link): mac for name, plan in self.scenario["hosts"].items() for link, mac in plan["links"]}
        for a, if_a, b, if_b in self.scenario["cables"]:
            lines.append("link add name %s address %s netns %s type veth peer name %s address %s netns %s" % (if_a, macs[a, if_a], a, if_b, macs[b, if_b], b))
        kernel.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")

    def configure(self, host, plan):
        lines = ["link set lo up"]
        for bridge, (mac, ports) in plan["bridges"].items():
            lines.append("link add %s address %s type bridge forward_delay 0 stp_state 0 mcast_snooping 0" % (bridge, mac))
            lines += ["link set %s master %s" % (port, bridge) for port in ports]
            lines.append("link set %s up" % bridge)
        for port, option in plan.get("ports", ()):
            lines.append("link set %s type bridge_slave %s" % (port, option))
        lines += ["link set %s up" % link for link, _ in plan["links"]]
        lines += ["addr add %s dev %s%s" % (address, interface, " nodad" if ":" in address else "") for interface, address in plan["addresses"]]
        host.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
        for path, value in plan["sysctls"]:
            host.sysctl(path, value)
        for what, options in (("route", plan["routes"]), ("rule", plan["rules"])):
            for option in options:
                family, rest = option.split(" ", 1)
                if host.run(["ip", family, what, "add", *rest.split()], check=False).returncode:
                    self.left_out.append(option)

    def wait_for_carriers(self, host):
        """The kernel says a moment later that a cable is plugged in; a capture before that would show none."""
        end = time.monotonic() + 10
        while re.search(r"NO-CARRIER|LOWERLAYERDOWN|state DOWN", host.run(["ip", "-o", "link", "show", "up"]).stdout):
            if time.monotonic() > end:
                raise kernel.Failed("%s: an interface does not come up" % host.name)
            time.sleep(0.005)

    def segments(self):
        """Groups of (host, interface that carries the addresses, MAC) on one link."""
        group = {}

        def find(x):
            while group.setdefault(x, x) != x:
                x = group[x]
            return x
        for a, if_a, b, if_b in self.scenario["cables"]:
            group[find((a, if_a))] = find((b, if_b))
        owners = {}
        for name, plan in self.scenario["hosts"].items():
            ports = {port: bridge for bridge, (_, members) in plan["bridges"].items() for port in members}
            for bridge, (mac, members) in plan["bridges"].items():
                for port in members:
                    group[find((name, port))] = find((name, bridge))
                owners[name, bridge] = mac
            for link, mac in plan["links"]:
                if link not in ports:
                    owners[name, link] = mac
        found = {}
        for (name, interface), mac in owners.items():
            found.setdefault(find((name, interface)), []).append((name, interface, mac))
        return found.values()

    def neighbours(self):
        lines = {name: [] for name in self.scenario["hosts"]}
        for members in self.segments():
            for name, interface, mac in members:
                for address in [a.split("/")[0] for i, a in self.scenario["hosts"][name]["addresses"] if i == interface]:
                    for other, other_interface, _ in members:
                        if other != name:
                            lines[other].append("neigh replace %s lladdr %s dev %s nud permanent" % (address, mac, other_interface))
        for name, batch in lines.items():
            self.world.hosts[name].run(["ip", "-batch", "-"], "\n".join(batch) + "\n")
        self.forwarding_tables()

    def forwarding_tables(self):
        """Bridges know who is behind which port, as after some traffic: the capture shows it, and nothing is flooded."""
        macs = {(name, link): mac for name, plan in self.scenario["hosts"].items() for link, mac in plan["links"]}
        for a, if_a, b, if_b in self.scenario["cables"]:
            for name, port, mac in ((a, if_a, macs[b, if_b]), (b, if_b, macs[a, if_a])):
                if any(port in ports for _, ports in self.scenario["hosts"][name]["bridges"].values()):
                    self.world.hosts[name].run(["bridge", "fdb", "replace", mac, "dev", port, "master", "static"])

    def firewall(self, host, plan):
        for ipset in plan["ipsets"]:
            host.run(["ipset", "create", ipset["name"], *ipset["kind"].split()])
            for entry in ipset["entries"]:
                host.run(["ipset", "-exist", "add", ipset["name"], *entry.split()], check=False)
        for part in plan["iptables"]:
            self.iptables(host, part)
        for table in plan["nft"]:
            self.nft(host, table)

    def iptables(self, host, part):
        program = ("iptables" if part["family"] == 4 else "ip6tables") + ("-legacy-restore" if part["legacy"] else "-restore")
        lines = []
        for name, table in part["tables"].items():
            lines.append("*" + name)
            lines += [":%s %s [0:0]" % item for item in table["policies"].items()] + [":%s - [0:0]" % chain for chain in table["chains"]]
            lines += table["rules"] + ["COMMIT"]
        self.load(host, [program], lines)

    def nft(self, host, table):
        lines = ["table %s %s {" % (table["family"], table["name"])] + table["sets"]
        for chain in table["chains"]:
            lines += ["chain %s {" % chain["name"]] + ([chain["head"]] if chain["head"] else []) + chain["rules"] + ["}"]
        self.load(host, ["nft", "-f", "-"], lines + ["}"])

    def load(self, host, argv, lines):
        """Without the lines the kernel does not take: what then runs is what is captured."""
        while True:
            done = host.run(argv, "\n".join(lines) + "\n", check=False)
            if not done.returncode:
                return
            match = re.search(r"line (\d+)|/dev/stdin:(\d+):|line: (\d+)", done.stderr)
            number = int(next(g for g in match.groups() if g)) - 1 if match else -1
            if not 0 <= number < len(lines) or re.match(r"[*:}]|COMMIT|table |chain |type ", lines[number]):
                raise kernel.Failed("%s of %s: %s\n%s" % (argv, host.name, done.stderr.strip(), lines[number] if 0 <= number < len(lines) else ""))
            self.left_out.append(lines.pop(number))

    def shell(self, name, command):
        """As its owner would type it: where iptables is the legacy one, it is called iptables all the same."""
        path = self.legacy_path() + ":" + os.environ["PATH"] if self.legacy(name) else os.environ["PATH"]
        return self.world.hosts[name].run(["env", "PATH=" + path, "sh", "-c", command], check=False)

    def legacy_path(self):
        """A folder in which iptables is iptables-legacy."""
        path = "/run/netns/legacy"
        if not os.path.isdir(path):
            os.mkdir(path)
            for name in ("iptables", "ip6tables", "iptables-save", "ip6tables-save"):
                os.symlink(shutil.which(name.replace("tables", "tables-legacy", 1)), path + "/" + name)
        return path

    # facts

    def legacy(self, name):
        return any(part["legacy"] for part in self.scenario["hosts"][name]["iptables"])

    def capture(self, folder):
        cables = []
        captured = {name for name, plan in self.scenario["hosts"].items() if plan["captured"]}
        for a, if_a, b, if_b in self.scenario["cables"]:
            ends = [(a, if_a), (b, if_b)] if a in captured else [(b, if_b), (a, if_a)]
            if ends[0][0] in captured:
                cables.append([*ends[0], *(ends[1] if ends[1][0] in captured else (None, None))])
        self.rules, self.saved = {}, {}
        for name in captured:
            host, path = self.world.hosts[name], os.path.join(folder, "hosts", name)
            os.makedirs(path, exist_ok=True)
            commands = dict(CAPTURES)
            for family in ("", "6"):
                commands["ip%stables-save.txt" % family] = "ip%stables%s-save" % (family, "-legacy" if self.legacy(name) else "")
            script = "".join("{ %s; } >%s/%s 2>/dev/null\n" % (command, path, file) for file, command in commands.items())
            host.run(["sh", "-c", script + "nft -a list ruleset >%s/.handles 2>/dev/null" % path])
            self.saved[name] = self.saved_rules(path)
            self.rules[name] = self.handles(path, self.saved[name])
            os.unlink(path + "/.handles")
        return cables

    def saved_rules(self, path):
        """(family, table, chain) → its policy and its rules, as iptables-save has them"""
        saved, table = {}, None
        for version, family in (("", "ip"), ("6", "ip6")):
            for line in open(path + "/ip%stables-save.txt" % version):
                if line.startswith("*"):
                    table = line[1:].strip()
                elif line.startswith(":"):
                    saved[family, table, line[1:].split()[0]] = [line.split()[1]]
                elif line.startswith("-A "):
                    saved[family, table, line.split()[1]].append(line.strip())
        return saved

    def handles(self, path, saved):
        """(family, table, chain, handle) → (index, text as its owner writes it)"""
        found, family, table, chain, index = {}, None, None, None, 0
        for line in open(path + "/.handles"):
            words = line.split()
            if words[:1] == ["table"]:
                family, table = words[1], words[2]
            elif words[:1] == ["chain"]:
                chain, index = words[1], 0
            elif "# handle" in line and chain and not line.strip().startswith(("type ", "set ", "map ")):
                index += 1
                text, handle = line.strip().rsplit(" # handle ", 1)
                lines = saved.get((family, table, chain), [])
                found[family, table, chain, int(handle)] = index, lines[index] if len(lines) > index else text
            elif line.strip() == "}":
                chain = None
        return found

    def watch(self):
        for name, plan in self.scenario["hosts"].items():
            self.world.hosts[name].watch(plan["captured"])
        self.far = {}  # (stub, its interface) → (host, interface as routing sees it, bridge port or None)
        for a, if_a, b, if_b in self.scenario["cables"]:
            for (stub, if_stub), (name, link) in (((a, if_a), (b, if_b)), ((b, if_b), (a, if_a))):
                plan = self.scenario["hosts"][name]
                bridge = next((br for br, (_, ports) in plan["bridges"].items() if link in ports), None)
                self.far[stub, if_stub] = (name, bridge or link, link if bridge else None)

    # asking

    def mac_of(self, name, interface, port):
        plan = self.scenario["hosts"][name]
        return plan["bridges"][interface][0] if interface in plan["bridges"] else dict(plan["links"])[interface]

    def send(self, question, token, ack=0):
        for packet in packets.network(question, token, ack):
            if question["iif"] is None:
                error = self.world.hosts[question["at"]].send_local(packet)
                if error:
                    return error
                continue
            stub, link = question["from"]
            target = question.get("dst_mac") or self.mac_of(question["at"], question["iif"], question.get("in_port"))
            self.world.hosts[stub].send_frame(link, packets.ether(packet, question["src_mac"], target))
        return 0

    def ask(self, question, token, idle=0.012, ack=0, fresh=True):
        """What became of the packet, in the form of answers.jsonl."""
        return self.ask_pieces(question, [(question, token)], idle, ack, fresh)[0]

    def ask_pieces(self, question, pieces, idle=0.012, ack=0, fresh=True):
        """The same of each piece of a fragmented one: (its question, its token)."""
        if fresh:
            for name in self.rules:
                self.world.hosts[name].flush_connections()
        self.world.drain()
        errno = self.send(question, pieces[0][1], ack)
        self.heard = list(self.world.events(idle))
        return [self.judge(piece, token, errno) for piece, token in pieces]

    def judge(self, question, token, errno):
        answer = self.arrived(question, token) or self.dropped(question, token) or {"verdict": "lost", "errno": errno or None}
        parsed = answer.pop("parsed", {})
        answer.update({key: parsed.get(key) for key in ("src", "dst", "sport", "dport")})
        if parsed:
            answer["_parsed"] = parsed
        return answer

    def arrived(self, question, token):
        """Where the packet, among all that was heard, was delivered first; None: nowhere."""
        for kind, host, what, *rest in self.heard:
            if kind == "local" and packets.is_it(question, what, token):
                return {"verdict": "delivered", "where": host.name, "to": "local process of host " + host.name, "hook": "input", "parsed": what}
            if kind == "seen" and not rest[0]:
                seen = self.seen_at_stub(host, what, rest[1], question, token)
                if seen:
                    return seen
        return None

    def answer_heard(self, question, answer, token):
        """What became of what a host itself answered to the packet asked about last: a reset, the reply to an echo."""
        back = self.reply(question, answer)
        found = self.arrived(back, token + 1 if question["proto"] == "tcp" else token) or {"verdict": "lost"}
        parsed = found.pop("parsed", {})
        found.update({key: parsed.get(key) for key in ("src", "dst", "sport", "dport")})
        return found

    def seen_at_stub(self, host, interface, frame, question, token):
        if self.scenario["hosts"][host.name]["captured"]:
            return None
        parsed = packets.parse(frame[14:])
        mine = frame[:6] == bytes.fromhex(host.interfaces[interface].replace(":", ""))
        if not mine or not packets.is_it(question, parsed, token):
            return None
        name, outside, port = self.far[host.name, interface]
        answer = {"verdict": "delivered", "where": name, "to": "out interface %s of host %s" % (outside, name), "hook": "postrouting", "parsed": parsed, "_stub": (host.name, interface),
                  "_mac": ":".join("%02x" % byte for byte in frame[6:12])}
        return dict(answer, out_port=port) if port else answer

    def dropped(self, question, token):
        """The rule that did it, as the kernel's own trace has it; None: it was not a rule."""
        traces = [(host.name, one) for kind, host, *rest in self.heard if kind == "trace" for one in rest]
        found = self.dropped_in_traces(traces, question, token, True)
        if not found and "fragment" not in question:  # the next piece mostly lies where the one before was
            found = self.dropped_in_traces(traces, question, token, False)
        if found:
            return found
        for name, one in ((host.name, rest[0]) for kind, host, *rest in self.heard if kind == "log"):
            parsed = packets.parse(one["packet"])
            if not packets.is_it(question, parsed, token) and not self.is_put_together(question, parsed, token):
                continue
            # An unconditional rule is called a policy, too: what is behind the last rule is one.
            policy, *rules = self.saved[name][one["family"], one["table"], one["chain"]]
            if one["index"] > len(rules) and policy == "DROP":
                return self.dropped_by(name, one, 0, "policy drop")
            if one["index"] <= len(rules) and re.search(r" -j (DROP|REJECT)\b", rules[one["index"] - 1]):
                return self.dropped_by(name, one, one["index"], rules[one["index"] - 1])
        return None

    def dropped_in_traces(self, traces, question, token, each):
        """An identity is another packet's once the memory of the first is used again: with `each` it is looked at anew wherever a header is shown."""
        mine = {(name, one["id"]): True for name, one in traces if not each and one["transport"] and packets.is_traced(question, one["network"], one["transport"], token)}
        for name, one in traces:
            if each and one["transport"]:
                mine[name, one["id"]] = packets.is_traced(question, one["network"], one["transport"], token)
            if not mine.get((name, one["id"])):
                continue
            policy = one["type"] == kernel.TRACE_IS_POLICY and one["policy"] == kernel.DROP
            if policy or one["type"] == kernel.TRACE_IS_RULE and one["verdict"] == kernel.DROP:
                index, text = (0, "policy drop") if policy else self.rules[name].get((one["family"], one["table"], one["chain"], one["handle"]), (None, None))
                return self.dropped_by(name, one, index, text)
        return None

    def is_put_together(self, question, parsed, token):
        return question.get("fragment") == "later" and parsed and parsed["piece"] == (0, 0) and packets.is_it(question, parsed, token - 1)

    def dropped_by(self, name, one, index, text):
        return {"verdict": "rejected" if text and re.search(r"reject|REJECT", text) else "dropped", "where": name, "rule": text, "index": index,
                "table": "%s %s" % (one["family"], one["table"]), "chain": one["chain"]}

    def back_from(self, answer):
        """Where what answers a delivered packet is sent: by the host itself, or by the stub that got it, to who sent the frame."""
        if "_stub" not in answer:
            return {"at": answer["where"], "iif": None}
        stub, interface = answer["_stub"]
        name, outside, port = self.far[stub, interface]
        back = {"at": name, "iif": outside, "src_mac": dict(self.scenario["hosts"][stub]["links"])[interface], "from": [stub, interface]}
        if port:
            back["in_port"] = port
        back["dst_mac"] = answer["_mac"]
        if answer["_mac"] != self.mac_of(name, outside, port):
            back["bridged"] = True
        return back

    def reply(self, question, answer):
        """The question that follows where the first packet of a flow was delivered: its answer's way back."""
        parsed = answer["_parsed"]
        back = {"proto": question["proto"], "src": parsed["dst"], "dst": parsed["src"], "sport": parsed["dport"], "dport": parsed["sport"], "icmp_type": None,
                "state": "established", "direction": "reply", "of": {key: question[key] for key in conversation.OF if key in question}}
        back.update(self.back_from(answer))
        if question["proto"] == "tcp":
            back["tcp_flags"] = "SA"
        if question["icmp_type"] is not None:
            back.update(icmp_type=conversation.ECHO[question["icmp_type"]], icmp_id=parsed["icmp_id"])
        return back


def addresses_equal(a, b):
    return a == b or a and b and ipaddress.ip_address(a) == ipaddress.ip_address(b)
