#!/usr/bin/env python3
"""Writes the facts of a lab, as `nestvisor capture` would have them: L0, hypervisors on its bridge, guests on theirs.

reach-lab.py FOLDER [--hosts 200] [--rules 50] [--flat] [--bridge-nf] [--seed 1]

Every host has as many rules as said, of the kinds one finds: who may do what here, and on L0 and the hypervisors who
may go through; most of them random, about addresses and subnets of the lab. L0 masquerades what leaves the lab. With
--flat there are no hypervisors: all guests are on one bridge of L0.
"""
import argparse
import json
import math
import os
import random

PORTS = [22, 53, 80, 443, 3306, 3389, 5432, 8080]


class Host:
    def __init__(self, name):
        self.name, self.links, self.routes, self.rules, self.nat = name, [], [], [], []

    def link(self, name, address=None, master=None):
        number = len(self.links) + 2
        text = f"{number}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue "
        text += (f"master {master} " if master else "") + "state UP group default qlen 1000\n"
        mac = ":".join(f"{b:02x}" for b in hash_mac(self.name + name))
        text += f"    link/ether {mac} brd ff:ff:ff:ff:ff:ff\n"
        if address:
            text += f"    inet {address} scope global {name}\n       valid_lft forever preferred_lft forever\n"
            ip, length = address.split("/")
            self.routes.append(f"{subnet(ip, int(length))}/{length} dev {name} proto kernel scope link src {ip}")
        self.links.append(text)


def hash_mac(text):
    value = random.Random(text).getrandbits(40)
    return [0x52] + list(value.to_bytes(5, "big"))


def subnet(ip, length):
    value = int.from_bytes(bytes(int(x) for x in ip.split(".")), "big") & (0xFFFFFFFF << (32 - length))
    return ".".join(str(x) for x in value.to_bytes(4, "big"))


def build(count, flat):
    l0, hosts, cables = Host("l0"), [], []
    l0.link("wan", "198.51.100.2/24")
    l0.routes.insert(0, "default via 198.51.100.1 dev wan")
    cables.append(["l0", "wan", None, None])
    l0.link("br0", "10.0.0.1/16")
    l0.nat.append("-A POSTROUTING -s 10.0.0.0/8 -o wan -j MASQUERADE")
    hypervisors = 0 if flat else round(math.sqrt(count))
    for i in range(hypervisors or count - 1):
        host = Host(f"hv{i}" if hypervisors else f"g{i}")
        address = f"10.0.{1 + i // 250}.{1 + i % 250}"
        host.link("eth0", address + "/16")
        host.routes.insert(0, "default via 10.0.0.1 dev eth0")
        l0.link(f"tap{i}", master="br0")
        cables.append(["l0", f"tap{i}", host.name, "eth0"])
        hosts.append(host)
        if hypervisors:
            host.inner, host.guests = f"10.{1 + i}.0", 0
            host.link("br0", host.inner + ".1/24")
            l0.routes.append(f"{host.inner}.0/24 via {address} dev br0")
    for i in range(count - 1 - hypervisors if hypervisors else 0):
        above = hosts[i % hypervisors]
        host = Host(f"{above.name}-g{above.guests}")
        host.link("eth0", f"{above.inner}.{10 + above.guests}/24")
        host.routes.insert(0, f"default via {above.inner}.1 dev eth0")
        above.link(f"tap{above.guests}", master="br0")
        cables.append([above.name, f"tap{above.guests}", host.name, "eth0"])
        above.guests += 1
        hosts.append(host)
    return [l0] + hosts, cables


def some_source(pick, hosts):
    host = pick.choice(hosts)
    address = host.routes[-1].split(" src ")[-1] if " src " in host.routes[-1] else "10.0.0.1"
    return pick.choice([address, subnet(address, 24) + "/24", "10.0.0.0/16", subnet(address, 30) + "/30"])


def add_rules(pick, host, hosts, count):
    forwards = "br0" in "".join(host.links)
    host.rules += ["-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -i lo -j ACCEPT"]
    if forwards:
        host.rules += ["-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                       "-A FORWARD -i br0 -o wan -j ACCEPT" if host.name == "l0" else "-A FORWARD -i br0 -o eth0 -p icmp -j ACCEPT"]
    while len(host.rules) < count:
        chain = pick.choice(["INPUT", "FORWARD"]) if forwards else "INPUT"
        source, target = some_source(pick, hosts), some_source(pick, hosts)
        rule = f"-A {chain} -s {source}" + (f" -d {target}" if chain == "FORWARD" else "")
        kind = pick.randrange(10)
        if kind < 7:
            rule += f" -p tcp -m tcp --dport {pick.choice(PORTS)}"
        elif kind < 8:
            rule += f" -p udp -m udp --dport {pick.choice([53, 123])}"
        elif kind < 9:
            rule += " -p icmp"
        host.rules.append(rule + " -j " + pick.choice(["ACCEPT", "ACCEPT", "ACCEPT", "DROP", "REJECT"]))


def write(folder, hosts, cables, bridge_nf):
    for host in hosts:
        path = os.path.join(folder, host.name)
        os.makedirs(path, exist_ok=True)
        forwards = int("br0" in "".join(host.links))
        loopback = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n" \
            "    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n"
        files = {
            "ip-addr.txt": loopback + "".join(host.links),
            "ip-route.txt": "\n".join(host.routes) + "\n",
            "ip-rule.txt": "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n",
            "sysctl.txt": f"net.ipv4.ip_forward = {forwards}\nnet.ipv4.conf.all.forwarding = {forwards}\n"
                          "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.default.rp_filter = 0\n"
                          f"net.bridge.bridge-nf-call-iptables = {int(bridge_nf)}\n",
            "nft-ruleset.txt": "",
            "iptables-save.txt": "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
                                 ":POSTROUTING ACCEPT [0:0]\n" + "".join(r + "\n" for r in host.nat) + "COMMIT\n"
                                 "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
                                 + "".join(r + "\n" for r in host.rules) + "COMMIT\n",
        }
        for name, text in files.items():
            with open(os.path.join(path, name), "w", encoding="utf-8") as file:
                file.write(text)
    with open(os.path.join(folder, "links.json"), "w", encoding="utf-8") as file:
        json.dump(cables, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--rules", type=int, default=50)
    parser.add_argument("--flat", action="store_true")
    parser.add_argument("--bridge-nf", action="store_true", help="bridges ask iptables, too, as where Docker is")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    pick = random.Random(args.seed)
    hosts, cables = build(args.hosts, args.flat)
    for host in hosts:
        add_rules(pick, host, hosts, args.rules)
    write(args.folder, hosts, cables, args.bridge_nf)


if __name__ == "__main__":
    main()
