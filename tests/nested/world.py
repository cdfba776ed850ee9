#!/usr/bin/env python3
"""What gets out, counted where it arrives: world.py INTERFACE FILE [serve]

Writes a line for each frame that comes in by the interface: its length and the words of attempts in it (or FENCE…).
What hosts say by themselves on their own links (ARP, neighbours, routers, multicast listeners) is left out. With `serve`
it is the world as well: TCP at 7001, UDP at 7002, 2 and 3 that says "tell", a resolver that knows no name.
"""

import re
import socket
import sys
import threading

OUTGOING = 4  # PACKET_OUTGOING, packet(7)
WORD = re.compile(rb"w[a-z][oc][0-9]{3}x|FENCE[0-9]+x")
LINK_LOCAL = {*range(130, 138), 143}  # ICMPv6: RFC 4861, RFC 2710, RFC 3810


def is_noise(frame):
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0806:
        return True
    if kind != 0x86DD or len(frame) < 63:
        return False
    behind = 54 if frame[20] == 58 else 62 if frame[20] == 0 and frame[54] == 58 else 0
    return behind > 0 and frame[behind] in LINK_LOCAL


def capture(interface, path):
    cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    cable.bind((interface, 0))
    cable.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    with open(path, "w", buffering=1) as file:
        file.write("0 begun\n")
        while True:
            frame, source = cable.recvfrom(65536)
            if source[2] == OUTGOING or is_noise(frame):
                continue
            words = {word.decode() for word in WORD.findall(frame)}
            about = " ".join(sorted(words)) or frame[:74].hex()
            file.write(f"{len(frame)} {about}\n")


def bound(family, kind, port):
    server = socket.socket(family, kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("", port))
    return server


def no_such_name(question):
    return question[:2] + b"\x81\x83" + question[4:]


def answer_datagrams(server, answer):
    while True:
        text, sender = server.recvfrom(65536)
        if len(text) > 2:
            server.sendto(answer(text), sender)


def answer_questions(connection):
    with connection:
        while len(head := connection.recv(2, socket.MSG_WAITALL)) == 2:
            text = connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            if len(text) > 3:
                connection.sendall(head + no_such_name(text))


def listen(server, serve):
    server.listen(64)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def swallow(connection):
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass


def start(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()


def main():
    interface, path, *serve = sys.argv[1:]
    for family in (socket.AF_INET, socket.AF_INET6) if serve else ():
        start(answer_datagrams, bound(family, socket.SOCK_DGRAM, 53), no_such_name)
        for port in (7002, 2, 3):  # the latter for ICMP errors about a flow, whose type is the port
            start(answer_datagrams, bound(family, socket.SOCK_DGRAM, port), lambda text: b"tell")
        start(listen, bound(family, socket.SOCK_STREAM, 53), answer_questions)
        start(listen, bound(family, socket.SOCK_STREAM, 7001), swallow)
    capture(interface, path)


main()
