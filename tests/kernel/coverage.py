"""What a run has covered: how many stacks have a feature, how many packets were sent into these, and, of features of rules, how
many packets met a rule that has it and applied (as the program's way, which the kernel agreed with, tells)."""
import collections
import re

RULES = [  # features of rules, as their text shows them
    ("jump", r" -j (LAB|web|DOCKER)|\bjump "), ("goto", r" -g |\bgoto "), ("return", r"-j RETURN|\breturn\b"), ("reject", r"REJECT|reject"),
    ("policy drop", r"^policy drop$"), ("negation", r"(^| )! |!= "), ("anonymous set", r"\{ [^}:]*\}(?! *drop)"), ("named set", r" @"), ("concatenation", r" \. .*(\{|@)"),
    ("verdict map", r"vmap"), ("value map", r"\bmap \{"), ("ipset", r"--match-set"), ("interval of ports", r"--dport \d+:|--dports [^ ]*:|dport (!= )?\d+-|\d+-\d+ *[,}]"), ("multiport", r"multiport"),
    ("connection state", r"--ctstate|ct state"), ("connection direction, status, tuple", r"--ctdir|--ctproto|ct (direction|status|original)"), ("invalid", r"INVALID|invalid"),
    ("related", r"RELATED|related"), ("untracked", r"UNTRACKED|untracked"), ("not tracked on purpose", r"--notrack|\bnotrack"),
    ("mark", r"-m mark|meta mark"), ("mark set", r"MARK --set|mark set"), ("connection's mark", r"connmark|CONNMARK|ct mark"), ("interface", r" -[io] |[io]if(name)? "), ("interface wildcard", r" -[io] \S+\+|\*\""),
    ("time to live", r"--(ttl|hl)-|ip ttl"), ("next hop", r"rt ip nexthop"), ("MAC", r"--mac-source|ether saddr"), ("physdev", r"physdev"), ("fib and addrtype", r"addrtype|\bfib "), ("rpfilter", r"-m rpfilter"), ("TCP flags", r"--tcp-flags|tcp flags"), ("ICMP type", r"--icmp(v6)?-type|icmp(v6)? type"),
    ("fragments", r" -f( |$)|frag-off"), ("iprange", r"iprange"), ("source NAT", r"-j SNAT|\bsnat\b"), ("destination NAT", r"-j DNAT|\bdnat\b"), ("masquerade", r"(?i)masquerade"), ("redirect", r"(?i)redirect"), ("NETMAP", r"NETMAP"),
]
STACK = [("1 layer", lambda s: layers(s) == 1), ("2 layers", lambda s: layers(s) == 2), ("3 layers", lambda s: layers(s) == 3), ("4 layers", lambda s: layers(s) == 4),
         ("bridge", lambda s: some(s, lambda h: h["bridges"])), ("rules see bridged packets", lambda s: sysctl(s, r"bridge-nf", 1)),
         ("iptables-nft", lambda s: some(s, lambda h: any(not part["legacy"] for part in h["iptables"]))), ("iptables-legacy", lambda s: some(s, lambda h: any(part["legacy"] for part in h["iptables"]))),
         ("nftables", lambda s: some(s, lambda h: h["nft"])), ("nftables, bridge family", lambda s: some(s, lambda h: any(table["family"] == "bridge" for table in h["nft"]))),
         ("iptables and nftables on one host", lambda s: some(s, lambda h: h["nft"] and h["iptables"])), ("no firewall on some host", lambda s: some(s, lambda h: not h["nft"] and not h["iptables"])),
         ("policy routing", lambda s: some(s, lambda h: h["rules"])), ("policy routing by mark", lambda s: some(s, lambda h: any("fwmark" in rule for rule in h["rules"]))),
         ("blackhole, unreachable, prohibit, throw", lambda s: some(s, lambda h: any(re.search("blackhole|unreachable|prohibit|throw", r) for r in h["routes"] + h["rules"]))),
         ("isolated ports, hairpin", lambda s: some(s, lambda h: h.get("ports"))),
         ("rp_filter strict", lambda s: sysctl(s, r"rp_filter", 1)), ("rp_filter loose", lambda s: sysctl(s, r"rp_filter", 2)), ("forwarding off", lambda s: sysctl(s, r"forward", 0)),
         ("route_localnet", lambda s: sysctl(s, r"route_localnet", 1)), ("accept_local", lambda s: sysctl(s, r"accept_local", 1))]


def captured(scenario):
    return [host for host in scenario["hosts"].values() if host["captured"]]


def layers(scenario):
    return sum(bool(re.fullmatch(r"l\d", name)) for name in scenario["hosts"])


def some(scenario, holds):
    return any(holds(host) for host in captured(scenario))


def sysctl(scenario, pattern, value):
    return some(scenario, lambda host: any(re.search(pattern, name) and is_value == value for name, is_value in host["sysctls"]))


def rules_of(scenario):
    for host in captured(scenario):
        for part in host["iptables"]:
            for table in part["tables"].values():
                yield from table["rules"]
                yield from ("policy drop" for policy in table["policies"].values() if policy == "DROP")
        for table in host["nft"]:
            yield from table["sets"]
            for chain in table["chains"]:
                yield from chain["rules"]
                if "policy drop" in chain["head"]:
                    yield "policy drop"


def kind(question):
    """What of the packet itself is worth telling."""
    yield question["state"] + (", " + question["direction"] if question["state"] in ("established", "related") else "")
    if "_quoted" in question:
        exceeded = question["icmp_type"] == (3 if question["proto"] == "icmpv6" else 11)
        yield "ICMP error, %s, about %s" % ("time exceeded" if exceeded else "unreachable", "a known connection" if "of" in question else "nothing known")
    if question.get("fragment"):
        yield question["fragment"] + (" fragment" if question["fragment"] == "first" else " fragments")
    if question.get("_wrong_sum"):
        yield "wrong checksum"
    if question.get("_several"):
        yield "broadcast, multicast"
    if question.get("ttl"):
        yield "short time to live"
    if question["proto"] == "tcp" and question["state"] == "invalid" and not question.get("_wrong_sum"):
        yield "wrong TCP flags"
    if question.get("_extensions"):
        yield "IPv6 extension headers"
    yield "IPv6" if ":" in question["dst"] else "IPv4"
    yield {"132": "sctp", "47": "gre", "50": "esp"}.get(question["proto"], question["proto"])
    yield "sent by the host" if question["iif"] is None else "arrives, bridged" if question.get("bridged") else "arrives"


UNCOUNTED = {"_waits", "_misread", "_chance"}  # answers of which nobody can say whether they are right, see rounds.py


class Coverage:
    def __init__(self):
        self.stacks, self.packets, self.waiting, self.misread, self.chance = 0, 0, 0, 0, 0
        self.counts = {name: collections.Counter() for name in ("verdicts", "engines", "kinds", "kinds delivered", "stacks", "stack packets", "rule stacks", "rule packets", "rule met", "rule decided")}

    def add(self, scenario, asked, answers, told):
        self.stacks += 1
        known = [(q, a, t) for q, a, t in zip(asked, answers, told) if not a.keys() & UNCOUNTED]
        self.packets += len(known)
        self.waiting += sum("_waits" in a for a in answers)
        self.misread += sum("_misread" in a for a in answers)
        self.chance += sum("_chance" in a for a in answers)
        count = self.counts
        texts = list(rules_of(scenario))
        for name, holds in STACK:
            if holds(scenario):
                count["stacks"][name] += 1
                count["stack packets"][name] += len(known)
        for name, pattern in RULES:
            if any(re.search(pattern, text) for text in texts):
                count["rule stacks"][name] += 1
                count["rule packets"][name] += len(known)
        count["engines"].update(one["engines"] for _, _, one in known if "engines" in one)
        for question, answer, one in known:
            count["verdicts"][answer["verdict"]] += 1
            count["kinds"].update(kind(question))
            if answer["verdict"] == "delivered":
                count["kinds delivered"].update(kind(question))
            met = [rule["text"] for rule in one.get("rules") or []] + ([one["rule"].lower()] if (one.get("rule") or "").lower() == "policy drop" else [])
            for name, pattern in RULES:
                if any(re.search(pattern, text) for text in met):
                    count["rule met"][name] += 1
                if answer["verdict"] in ("dropped", "rejected") and met and re.search(pattern, met[-1]):
                    count["rule decided"][name] += 1

    def join(self, other):
        self.stacks, self.packets = self.stacks + other.stacks, self.packets + other.packets
        self.waiting, self.misread, self.chance = self.waiting + other.waiting, self.misread + other.misread, self.chance + other.chance
        for name, counter in other.counts.items():
            self.counts[name].update(counter)

    def table(self):
        count, lines = self.counts, []
        lines.append("%-44s %8s %10s" % ("packets", "sent", "delivered"))
        lines += ["  %-42s %8d %10d" % (name, number, count["kinds delivered"][name]) for name, number in count["kinds"].most_common()]
        lines.append("  %s; %d pieces waited for others that were stopped, of %d some bytes were taken for ports, and of %d a port chosen by chance decided: these are not counted" % (
            ", ".join("%d %s" % (n, v) for v, n in count["verdicts"].most_common()), self.waiting, self.misread, self.chance))
        if count["engines"]:
            lines.append("  interpreter and sets: " + ", ".join("%d %s" % (number, word) for word, number in count["engines"].most_common()))
        lines.append("%-44s %8s %10s" % ("stacks with", "stacks", "packets"))
        lines += ["  %-42s %8d %10d" % (name, count["stacks"][name], count["stack packets"][name]) for name, _ in STACK]
        lines.append("%-44s %8s %10s %10s %10s" % ("rules with", "stacks", "packets", "applied", "stopped"))
        lines += ["  %-42s %8d %10d %10d %10d" % (name, count["rule stacks"][name], count["rule packets"][name], count["rule met"][name], count["rule decided"][name]) for name, _ in RULES]
        return "\n".join(lines)
