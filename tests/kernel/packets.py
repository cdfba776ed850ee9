"""Packets as bytes, each with a token that survives NAT, so that one can be told from all others wherever it comes by.

The token is 4 bytes: TCP's sequence number, an SCTP INIT's initiate tag, ESP's sequence number, the unused word of an ICMP
error, else the start of the payload. All of them lie in the first 20 bytes behind the network header, which is what the
kernel's trace messages show. IPv6 has it in its flow label as well. The later piece of a fragmented packet has a token of
its own, the next number.
"""
import ipaddress
import socket
import struct

NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
NAMES = {number: name for name, number in NUMBERS.items()}
TCP_FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}
ERRORS = {1: (3, 11), 58: (1, 3)}  # types of ICMP errors: unreachable, time exceeded
DESTINATION_OPTIONS, FRAGMENT, ROUTING, HOP_BY_HOP = 60, 44, 43, 0  # IPv6's headers in front of the transport's
FIRST_PIECE = 24  # bytes: TCP's header, and a bit


def number(proto):
    return NUMBERS.get(proto) or int(proto)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def pseudo(src, dst, proto, length):
    if src.version == 4:
        return src.packed + dst.packed + struct.pack("!BBH", 0, proto, length)
    return src.packed + dst.packed + struct.pack("!I3xB", length, proto)


def transport(question, token, src, dst, ack=0):
    """The part behind the network header. `ack`: what a TCP packet of a flow acknowledges."""
    body = right(question, token, src, dst, ack)
    if not question.get("_wrong_sum"):
        return body
    at = {6: 16, 17: 6}.get(number(question["proto"]), 2)
    return body[:at] + struct.pack("!H", struct.unpack("!H", body[at:at + 2])[0] ^ 0x5555 or 1) + body[at + 2:]


def right(question, token, src, dst, ack):
    proto = number(question["proto"])
    sport, dport = question.get("sport") or 0, question.get("dport") or 0
    if proto == 6:
        flags = sum(TCP_FLAGS[f] for f in question.get("tcp_flags", "S"))
        segment = struct.pack("!HHIIBBHHH", sport, dport, question.get("seq", token), ack, 5 << 4, flags, 64240, 0, 0)
        if "P" in (question.get("tcp_flags") or "") or "_fragments" in question:
            segment += struct.pack("!I", token) + b"nest" * 3
        return segment[:16] + struct.pack("!H", checksum(pseudo(src, dst, 6, len(segment)) + segment)) + segment[18:]
    payload = struct.pack("!I", token) + b"nest" * (5 if "_fragments" in question else 1)
    if "_quoted" in question:
        return error(question, token, src, dst, proto)
    if proto == 17:
        datagram = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
        return datagram[:6] + struct.pack("!H", checksum(pseudo(src, dst, 17, len(datagram)) + datagram) or 0xFFFF) + datagram[8:]
    if proto in (1, 58):
        message = struct.pack("!BBHHH", question["icmp_type"], 0, 0, question.get("icmp_id", token & 0xFFFF), 1) + payload
        if proto == 1 and question["icmp_type"] in (13, 14):
            message += b"\0" * 4
        head = pseudo(src, dst, 58, len(message)) if proto == 58 else b""
        return message[:2] + struct.pack("!H", checksum(head + message)) + message[4:]
    if proto == 132:
        chunk = struct.pack("!BBHIIHHI", 1, 0, 20, token, 65535, 1, 1, 1)
        segment = struct.pack("!HHII", sport, dport, 0, 0) + chunk
        return segment[:8] + struct.pack("<I", crc32c(segment)) + segment[12:]
    if proto == 47:
        return struct.pack("!HH", 0, 0x88B5) + payload
    return struct.pack("!II", 0x1000, token) + payload


def error(question, token, src, dst, proto):
    message = struct.pack("!BBHI", question["icmp_type"], question.get("icmp_code", 0), 0, token) + bytes.fromhex(question["_quoted"])
    head = pseudo(src, dst, 58, len(message)) if proto == 58 else b""
    return message[:2] + struct.pack("!H", checksum(head + message)) + message[4:]


def network(question, token, ack=0):
    """The packets to send, one or, of a fragmented one, two."""
    src, dst = ipaddress.ip_address(question["src"]), ipaddress.ip_address(question["dst"])
    proto = number(question["proto"])
    body = transport(question, token, src, dst, ack)
    head = header4 if src.version == 4 else header6
    if "_fragments" not in question:
        return [head(question, src, dst, proto, body, token)]
    later = struct.pack("!I", token + 1) + body[FIRST_PIECE + 4:]  # the sum is wrong now, which nobody may know of a piece
    whole = body[:FIRST_PIECE] + later
    body = right_sum(question, proto, src, dst, whole)
    return [head(question, src, dst, proto, body[:FIRST_PIECE], token, (0, 1)), head(question, src, dst, proto, later, token, (FIRST_PIECE // 8, 0))]


def right_sum(question, proto, src, dst, body):
    at = {6: 16, 17: 6, 1: 2, 58: 2}[proto]
    body = body[:at] + b"\0\0" + body[at + 2:]
    head = b"" if proto == 1 else pseudo(src, dst, proto, len(body))
    return body[:at] + struct.pack("!H", checksum(head + body)) + body[at + 2:]


def header4(question, src, dst, proto, body, token, piece=(0, 0)):
    """`piece`: its offset in 8 bytes, and whether more are to come."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), token & 0xFFFF, piece[0] | (0x2000 if piece[1] else 0), question.get("ttl", 64), proto, 0)
    header += src.packed + dst.packed
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def header6(question, src, dst, proto, body, token, piece=None):
    label = token + bool(piece and piece[0]) & 0xFFFFF
    if piece:
        body = struct.pack("!BBHI", proto, 0, piece[0] << 3 | piece[1], token) + body
        proto = FRAGMENT
    for extension in question.get("_extensions", ()):
        body = struct.pack("!BBBBI", proto, 0, 1, 4, 0) + body  # padding, 6 bytes of it
        proto = extension
    return struct.pack("!IHBB", 6 << 28 | label, len(body), proto, question.get("ttl", 64)) + src.packed + dst.packed + body


def ether(packet, src_mac, dst_mac):
    kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    return bytes.fromhex(dst_mac.replace(":", "")) + bytes.fromhex(src_mac.replace(":", "")) + struct.pack("!H", kind) + packet


def parse(packet):
    """What a captured packet says: src, dst, proto, sport, dport, icmp_type, seq, ack, piece; None for what is no IP."""
    if not packet or packet[0] >> 4 not in (4, 6):
        return None
    piece = 0, 0
    if packet[0] >> 4 == 4:
        if len(packet) < 20:
            return None
        proto, body = packet[9], packet[(packet[0] & 15) * 4:]
        src, dst = socket.inet_ntop(socket.AF_INET, packet[12:16]), socket.inet_ntop(socket.AF_INET, packet[16:20])
        field, = struct.unpack("!H", packet[6:8])
        piece = field & 0x1FFF, field >> 13 & 1
    else:
        if len(packet) < 40:
            return None
        proto, body = packet[6], packet[40:]
        src, dst = socket.inet_ntop(socket.AF_INET6, packet[8:24]), socket.inet_ntop(socket.AF_INET6, packet[24:40])
        while proto in (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, FRAGMENT) and len(body) >= 8:
            if proto == FRAGMENT:
                field, = struct.unpack("!H", body[2:4])
                piece = field >> 3, field & 1
            proto, body = body[0], body[8 if proto == FRAGMENT else 8 * (body[1] + 1):]
    return dict(segment(proto, b"" if piece[0] else body), src=src, dst=dst, proto=proto, body=body, piece=piece, packet=packet)


def segment(proto, body):
    found = {"sport": None, "dport": None, "icmp_type": None}
    if proto in (6, 17, 132) and len(body) >= 4:
        found["sport"], found["dport"] = struct.unpack("!HH", body[:4])
    if proto == 6 and len(body) >= 14:
        found["seq"], found["ack"] = struct.unpack("!II", body[4:12])
        found["flags"] = body[13]
    if proto in (1, 58) and len(body) >= 8:
        found["icmp_type"] = body[0]
        found["icmp_id"] = struct.unpack("!H", body[4:6])[0]
    return found


def carries(question, body, token, whole=True):
    """Is this the packet with the token itself, not an answer or an ICMP error that quotes it?"""
    if whole and question["icmp_type"] is not None and body[:1] != bytes([question["icmp_type"]]):
        return False
    if whole and question["proto"] == "tcp" and question.get("tcp_flags") == "" and body[13:14] and body[13] & TCP_FLAGS["R"]:
        return False  # a reset acknowledges what had no flags by its own number
    return struct.pack("!I", token) in body[:64]


def is_it(question, parsed, token):
    """The same of what was captured."""
    return bool(parsed) and parsed["proto"] == number(question["proto"]) and carries(question, parsed["body"], token, not parsed.get("piece", (0, 0))[0])


def is_traced(question, network, transport, token):
    """The same of a trace message. What was put together has the token of its first piece in front."""
    if question.get("fragment") != "later":
        return carries(question, transport, token)
    if network[:1] and network[0] >> 4 == 4:
        whole = not struct.unpack("!H", network[6:8])[0] & 0x3FFF
    else:
        whole = network[6:7] != bytes([FRAGMENT])
        if not whole and len(network) >= 4 and struct.unpack("!I", network[:4])[0] & 0xFFFFF == token & 0xFFFFF:
            return True
    return carries(question, transport, token - 1 if whole else token, whole)
