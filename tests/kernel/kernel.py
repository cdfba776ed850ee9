"""Hosts as network namespaces: built by the standard tools, asked with real packets, watched with the kernel's own trace.

Everything lives below namespaces of this process's own, which the kernel takes away with it.
"""
import contextlib
import ctypes
import errno
import os
import select
import socket
import struct
import subprocess
import time

import packets

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
NETLINK_NETFILTER, SOL_NETLINK, NFNLGRP_NFTRACE, NLMSG_ERROR = 12, 270, 9, 2
ETH_P_ALL = 3
PROTOCOLS4, PROTOCOLS6 = (1, 6, 17, 47, 50, 132), (6, 17, 47, 50, 58, 132)
SO_RCVBUFFORCE = 33
IPV6_HDRINCL = 36
TRACE_TABLE, TRACE_CHAIN, TRACE_HANDLE, TRACE_TYPE, TRACE_VERDICT, TRACE_ID = 1, 2, 3, 4, 5, 6
TRACE_NETWORK, TRACE_TRANSPORT, TRACE_POLICY = 8, 9, 16
TRACE_IS_POLICY, TRACE_IS_RULE = 1, 3
FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
DROP, ACCEPT = 0, 1
NFNL_SUBSYS_ULOG, LOG_PACKET, LOG_CONFIG = 4, 0, 1
LOG_COMMAND, LOG_MODE, LOG_AT_ONCE = 1, 2, 5  # NFULA_CFG_CMD, NFULA_CFG_MODE, NFULA_CFG_QTHRESH
LOGGED_PAYLOAD, LOGGED_PREFIX = 9, 10
TRACE_RULES = """
table inet nvtrace {
	chain pre { type filter hook prerouting priority -450; meta nftrace set 1; }
	chain out { type filter hook output priority -450; meta nftrace set 1; }
}
"""
TRACE_BRIDGE = "table bridge nvtrace { chain pre { type filter hook prerouting priority -450; meta nftrace set 1; }; }\n"


class Failed(Exception):
    pass


def run(argv, text=None, check=True):
    done = subprocess.run(argv, input=text, capture_output=True, text=True)
    if check and done.returncode:
        raise Failed("%s: %s" % (" ".join(argv), done.stderr.strip()))
    return done


@contextlib.contextmanager
def inside(fd, home):
    if LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    try:
        yield
    finally:
        LIBC.setns(home, CLONE_NEWNET)


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack("=HH", data[:4])
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def attribute(kind, data):
    return (struct.pack("=HH", 4 + len(data), kind) + data).ljust(len(data) + 7 & ~3, b"\0")


class Host:
    """A namespace: a captured host, or a stub that only receives."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        run(["ip", "netns", "add", name])
        self.fd = os.open("/run/netns/" + name, os.O_RDONLY)
        self.interfaces, self.packet_sockets, self.raw_sockets, self.trace, self.log = {}, {}, [], None, None

    def inside(self):
        return inside(self.fd, self.world.home)

    def run(self, argv, text=None, check=True):
        with self.inside():
            return run(argv, text, check)

    def sysctl(self, name, value):
        with self.inside(), open("/proc/sys/" + name, "w") as file:
            file.write(str(value))

    def macs(self):
        with self.inside():
            for line in run(["ip", "-o", "link"]).stdout.splitlines():
                words = line.split()
                self.interfaces[words[1].rstrip(":").split("@")[0]] = words[words.index("link/ether") + 1] if "link/ether" in words else None
        return self.interfaces

    def watch(self, local):
        """Sockets on everything: interfaces; with `local` also what is delivered to this host, and the trace."""
        names = self.macs()
        with self.inside():
            for name in names:
                if name == "lo":
                    continue
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(ETH_P_ALL))
                sock.bind((name, ETH_P_ALL))
                self.packet_sockets[name] = sock
            if not local:
                return
            for family, protocols in ((socket.AF_INET, PROTOCOLS4), (socket.AF_INET6, PROTOCOLS6)):
                for proto in protocols:
                    sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, proto)
                    if family == socket.AF_INET6:
                        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
                    self.raw_sockets.append((sock, family, proto))
            self.trace = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_NETFILTER)
            self.trace.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
            self.trace.bind((0, 0))
            self.trace.setsockopt(SOL_NETLINK, 1, NFNLGRP_NFTRACE)
            run(["nft", "-f", "-"], TRACE_RULES)
            subprocess.run(["nft", "-f", "-"], input=TRACE_BRIDGE, text=True, capture_output=True)
            self.watch_legacy()

    def watch_legacy(self):
        """Rules of the older iptables tell what they do with traced packets through the logger of their family."""
        for family in (socket.AF_INET, socket.AF_INET6):
            with open("/proc/sys/net/netfilter/nf_log/%d" % family, "w") as file:
                file.write("nfnetlink_log")
        self.log = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.log.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        self.log.bind((0, 0))
        self.configure_log(attribute(LOG_COMMAND, b"\1"))  # bind group 0, where traces go
        self.configure_log(attribute(LOG_MODE, struct.pack("!IBB", 0xFFFF, 2, 0)) + attribute(LOG_AT_ONCE, struct.pack("!I", 1)))
        self.log.setblocking(False)

    def configure_log(self, what):
        self.log.send(struct.pack("=IHHII", 20 + len(what), NFNL_SUBSYS_ULOG << 8 | LOG_CONFIG, 5, 1, 0) + struct.pack("=BBH", 0, 0, 0) + what)
        kind = None
        while kind != NLMSG_ERROR:  # packets may be told of already
            answer = self.log.recv(1 << 16)
            kind, = struct.unpack("=H", answer[4:6])
        error, = struct.unpack("=i", answer[16:20])
        if error:
            raise Failed("%s: nfnetlink_log: %s" % (self.name, os.strerror(-error)))

    def flush_connections(self):
        with self.inside():
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        with sock:
            # IPCTNL_MSG_CT_DELETE (2) of NFNL_SUBSYS_CTNETLINK (1) without attributes: all
            sock.send(struct.pack("=IHHII", 20, 1 << 8 | 2, 5, 1, 0) + struct.pack("=BBH", 0, 0, 0))
            sock.recv(4096)

    def send_frame(self, interface, frame):
        self.packet_sockets[interface].send(frame)

    def send_local(self, packet):
        """From this host itself, through its output hook. Returns an errno or 0."""
        four = packet[0] >> 4 == 4
        with self.inside():
            sock = socket.socket(socket.AF_INET if four else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with sock:
            if not four:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
            source, target = (packet[12:16], packet[16:20]) if four else (packet[8:24], packet[24:40])
            name = lambda address: (socket.inet_ntop(sock.family, address), 0) + (() if four else (0, 0))
            try:
                sock.bind(name(source))  # or the route is looked up without a source
                sock.sendto(packet, name(target))
            except OSError as error:
                return error.errno
        return 0

    def close(self):
        for sock in [*self.packet_sockets.values(), *(s for s, _, _ in self.raw_sockets), *(s for s in (self.trace, self.log) if s)]:
            sock.close()
        os.close(self.fd)
        run(["ip", "netns", "del", self.name])


class World:
    """All hosts of a scenario."""

    def __init__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.hosts = {}

    def add(self, name):
        self.hosts[name] = Host(self, name)
        return self.hosts[name]

    def close(self):
        for host in self.hosts.values():
            host.close()
        os.close(self.home)

    def drain(self):
        for _ in self.events(0):
            pass

    def events(self, idle):
        """What comes by until nothing came for `idle` seconds: ("seen", host, interface, out, frame),
        ("local", host, parsed), ("trace", host, attributes), ("log", host, attributes)."""
        sources = {}
        for host in self.hosts.values():
            for name, sock in host.packet_sockets.items():
                sources[sock.fileno()] = (host, "packet", name, sock)
            for sock, family, proto in host.raw_sockets:
                sources[sock.fileno()] = (host, "raw", (family, proto), sock)
            if host.trace:
                sources[host.trace.fileno()] = (host, "trace", None, host.trace)
                sources[host.log.fileno()] = (host, "log", None, host.log)
        poll = select.epoll()
        for fd in sources:
            poll.register(fd, select.EPOLLIN)
        end = time.monotonic() + idle
        with poll:
            while True:
                ready = poll.poll(max(0, end - time.monotonic()))
                if not ready and time.monotonic() >= end:
                    return
                for fd, _ in ready:
                    yield from self.receive(*sources[fd])
                if idle and ready:
                    end = time.monotonic() + idle

    def receive(self, host, kind, what, sock):
        while True:
            try:
                if kind == "packet":
                    data, address = sock.recvfrom(2048)
                    yield "seen", host, what, address[2] == socket.PACKET_OUTGOING, data
                elif kind == "raw" and what[0] == socket.AF_INET:
                    yield "local", host, packets.parse(sock.recv(2048))
                elif kind == "raw":
                    data, ancillary, _, address = sock.recvmsg(2048, 256)
                    target = next((socket.inet_ntop(socket.AF_INET6, d[:16]) for l, t, d in ancillary if t == socket.IPV6_PKTINFO), None)
                    yield "local", host, dict(packets.segment(what[1], data), src=address[0].split("%")[0], dst=target, proto=what[1], body=data)
                else:
                    yield from ((kind, host, one) for one in (traces if kind == "trace" else legacy_traces)(sock.recv(65536)))
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENETDOWN:  # said once of an interface that is switched off
                    raise


def traces(data):
    while len(data) >= 20:
        length, _ = struct.unpack("=IH", data[:6])
        found = attributes(data[20:length])
        text = lambda kind: found[kind].rstrip(b"\0").decode() if kind in found else None
        big = lambda kind: int.from_bytes(found[kind], "big") if kind in found else None
        verdict = attributes(found[TRACE_VERDICT]) if TRACE_VERDICT in found else {}
        yield {
            "id": big(TRACE_ID), "type": big(TRACE_TYPE), "table": text(TRACE_TABLE), "chain": text(TRACE_CHAIN),
            "handle": big(TRACE_HANDLE), "verdict": int.from_bytes(verdict[1], "big", signed=True) if 1 in verdict else None,
            "policy": big(TRACE_POLICY), "family": FAMILIES.get(data[16]),
            "network": found.get(TRACE_NETWORK, b""), "transport": found.get(TRACE_TRANSPORT, b""),
        }
        data = data[(length + 3) & ~3:]


def legacy_traces(data):
    """As trace_packet() of ip_tables.c words them: "TRACE: table:chain:rule:number ", or return or policy in rule's place."""
    while len(data) >= 20:
        length, kind = struct.unpack("=IH", data[:6])
        found = attributes(data[20:length]) if kind == NFNL_SUBSYS_ULOG << 8 | LOG_PACKET else {}
        words = found.get(LOGGED_PREFIX, b"").rstrip(b"\0").decode()
        if words.startswith("TRACE: "):
            table, chain, _, index = words[len("TRACE: "):].strip().rsplit(":", 3)
            yield {"family": FAMILIES.get(data[16]), "table": table, "chain": chain, "index": int(index), "packet": found.get(LOGGED_PAYLOAD, b"")}
        data = data[(length + 3) & ~3:]
