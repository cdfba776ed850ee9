"""Packets that are made for a rule: what its text asks for, as far as one packet can have it. Of most rules nobody would meet
all conditions by chance."""
import ipaddress
import re

FLAGS = {"FIN,SYN,RST,ACK SYN": "S", "SYN,ACK SYN,ACK": "SA", "FIN,PSH,URG FIN,PSH,URG": "FPU", "ALL NONE": "", "syn": "S", "& (fin|syn|rst|ack) == syn": "S", "{ syn, ack }": "A", "== ack": "A"}
PROTOCOLS = {"icmp": "icmp", "ipv6-icmp": "icmpv6", "icmpv6": "icmpv6", "tcp": "tcp", "udp": "udp", "sctp": "132", "gre": "47", "esp": "50", "47": "47"}
NETMAPPED = ipaddress.ip_network("198.18.0.0/24")
ICMP_TYPES = {"echo-request": (8, 128), "echo-reply": (0, 129)}


def rules(host):
    """(family or None, chain, text), what it refers to put in its place."""
    for part in host["iptables"]:
        for table in part["tables"].values():
            for text in table["rules"]:
                yield part["family"], text.split()[1].lower(), re.sub(r"--match-set (\S+) (\S+)", lambda match: members(host, *match.groups()), text)
    for table in host["nft"]:
        sets = {re.match(r"(?:set|map) (\w+)", line).group(1): re.search(r"elements = (\{.*?\})", line).group(1) for line in table["sets"]}
        for chain in table["chains"]:
            for text in chain["rules"]:
                yield {"ip": 4, "ip6": 6}.get(table["family"]), chain["name"], re.sub(r"@(\w+)", lambda match: sets.get(match.group(1), ""), text)


def may_meet(question, chain, text):
    """Can a packet from there come by the chain, and by the interface that the rule asks for?"""
    interface = re.search(r"(?<!! )-i (\S+)|iif(?:name)? (?!!=)\"([^\"]*)\"", text)
    if question["iif"] is None:
        return chain.startswith(("out", "post", "om", "u", "lab", "web")) and not interface
    return not chain.startswith(("out", "om")) and (not interface or (interface.group(1) or interface.group(2)) == question["iif"])


def members(host, name, directions):
    """An entry of an ipset, in words that aim() understands."""
    entries = next((s["entries"] for s in host["ipsets"] if s["name"] == name), [])
    if not entries:
        return ""
    words = []
    for value, direction in zip(entries[0].split(" ")[0].split(","), directions.split(",")):
        if re.match(r"(tcp|udp):", value):
            proto, value = value.split(":")
            words.append("-p " + proto)
        words.append({"dst": "--dport " if value.isdigit() else "-d ", "src": "--sport " if value.isdigit() else "-s "}[direction] + value)
    return " ".join(words)


def aim(random, question, host, addresses):
    """Changes the question, whose place is chosen, so that one of the host's rules may match it. `addresses`: those that somebody
    answers for."""
    six = ":" in question["dst"]
    found = [(chain, text) for family, chain, text in rules(host) if family in (None, 6 if six else 4) and may_meet(question, chain, text)]
    if not found:
        return
    chain, text = random.choice(found)
    if chain.startswith(("in", "forward")) and question["iif"]:
        own = [address.split("/")[0] for _, address in host["addresses"] if (":" in address) == six]
        others = [address for address in addresses if address not in own]
        question["dst"] = random.choice(own if chain.startswith("in") and own else others)
    text = re.sub(r"(! -\S+ \S+|! -f|!= (\{[^}]*\}|\S+)|-m \w+ ! --\S+ \S+)", "", text)  # nothing that is denied
    pair = re.search(r"ip ([sd])addr \. (tcp|udp) dport (\{.*?\})", text)
    if pair:
        address, port = random.choice(pair.group(3).strip("{ }").split(", ")).split(" . ")[:2]
        text = "ip %saddr %s %s dport %s" % (pair.group(1), address, pair.group(2), port)
    for field, pattern in (("src", r"(?:-s|saddr|--src-range) (\{[^}]*\}|\S+)"), ("dst", r"(?:-d|daddr|--dst-range) (\{[^}]*\}|\S+)")):
        match = re.search(pattern, text)
        address = match and inside(random, choose(random, match.group(1)), addresses)
        if address and (":" in address) == six and (field == "dst" or question["iif"]):
            question[field] = address
    proto = re.search(r"(?:-p |l4proto |protocol )\{? ?([\w-]+)", text) or re.search(r"\b(tcp|udp) [ds]port", text) or re.search(r"\b(icmp|icmpv6) type", text)
    if proto and proto.group(1) in PROTOCOLS and ("icmp" not in proto.group(1) or ("6" in proto.group(1)) == six):
        take_protocol(question, PROTOCOLS[proto.group(1)], six)
    if question["sport"] is not None:
        for field, pattern in (("dport", r"dports? (\{[^}]*\}|\S+)|vmap (\{[^}]*\})"), ("sport", r"sports? (\{[^}]*\}|\S+)")):
            match = re.search(pattern, text)
            port = match and re.match(r"\d+", choose(random, match.group(1) or match.group(2) or ""))
            if port:
                question[field] = int(port.group(0))
    kind = re.search(r"icmp(?:v6)?-?type ([\w-]+)", text)
    if question["icmp_type"] is not None and kind and kind.group(1) in ICMP_TYPES:
        question["icmp_type"] = ICMP_TYPES[kind.group(1)][six]
        question["state"] = "new" if kind.group(1) == "echo-request" else "invalid"
    flags = next((letters for words, letters in FLAGS.items() if "flags " + words in text), None)
    if question["proto"] == "tcp" and flags is not None:
        question.update(tcp_flags=flags, state="new" if flags in ("S", "A") else "invalid")
    if re.search(r" -f\b|frag-off & 0x1fff", text) and question["proto"] in ("tcp", "udp", "icmp"):
        question["_fragments"] = True


def take_protocol(question, proto, six):
    ports = proto in ("tcp", "udp", "132")
    if ports and question["sport"] is None:
        question.update(sport=40000, dport=80)
    elif not ports:
        question.update(sport=None, dport=None)
    question.update(proto=proto, icmp_type=None if "icmp" not in proto else 128 if six else 8)


def choose(random, text):
    """One of several; of a map's element what it is for."""
    return random.choice(text.strip("{} ").split(",")).split(" : ")[0].strip()


def inside(random, text, addresses):
    """One of the addresses that is in a network or a range; None: there is none, or it is neither."""
    ends = text.split("-")
    try:
        network = ipaddress.ip_network(ends[0], strict=False)
        last = ipaddress.ip_address(ends[1]) if len(ends) == 2 else network[-1]
    except ValueError:
        return None
    if network == NETMAPPED:
        return str(network[random.choice([1, 2, 9])])
    found = [a for a in map(ipaddress.ip_address, addresses) if a.version == network.version and network[0] <= a <= last]
    return str(random.choice(found)) if found else None
