"""What follows a packet: its answer, more of the same connection, and ICMP errors about it, each sent as the one before
arrived. A question's `then` says what is wanted; what cannot be sent, since nothing arrived, is left out.

  reply        the answer, from where the packet arrived
  more         behind the answer another one of the first packet's direction
  error        an ICMP error about the packet, from where it arrived
  error-back   one about the answer, from where that arrived
  error-astray one about the packet, but sent to somebody else than who sent it
"""
import json
import re

import packets

ECHO = {8: 0, 13: 14, 128: 129}
OF = ("src", "dst", "proto", "sport", "dport", "icmp_type", "at", "iif", "src_mac", "dst_mac", "bridged", "in_port", "tcp_flags")


def may_send(host):
    """Raw sockets look up their routes without the packet's protocol and ports, which programs' own sockets have."""
    return not any("ipproto" in rule for rule in host["rules"])


def writes_connections(scenario):
    """Do rules leave something in the connections they see? An ICMP error is of the connection it is about, and what it leaves there
    the answer meets, which is asked as if there had been the first packet only."""
    return re.search("CONNMARK|ct (mark|label) set", json.dumps(scenario)) is not None


def hold(stack, question, next_token, idle):
    """Yields (question, the kernel's answer)."""
    token = next_token()
    if "_fragments" in question:
        pieces = [(dict(question, fragment="first"), token), (dict(question, fragment="later"), token + 1)]
        yield from zip((piece for piece, _ in pieces), stack.ask_pieces(question, pieces, idle))
        return
    answer = stack.ask(question, token, idle)
    yield question, answer
    for one, ack in follow(stack, question, token, answer):
        one["_token"] = next_token()
        one["_heard"] = stack.ask(one, one["_token"], idle, ack=ack, fresh=False)
        yield one, one["_heard"]


def follow(stack, question, token, answer):
    """Yields (question, what it acknowledges); finds its token and the answer to it in it afterwards."""
    wanted = question.get("then", ())
    if answer["verdict"] != "delivered":
        return
    alone = writes_connections(stack.scenario)
    if "error" in wanted and "_stub" in answer:
        yield error(stack, question, answer, "reply"), 0
        if alone:
            return
    if "error-astray" in wanted and "_stub" in answer:
        yield dict(error(stack, question, answer, "reply"), dst=question["_astray"]), 0
        if alone:
            return
    if "reply" not in wanted or not (question["proto"] in ("udp", "47", "50") or "_stub" in answer):
        return
    back = stack.reply(question, answer)
    if back["iif"] is None and not may_send(stack.scenario["hosts"][back["at"]]):
        return
    yield back, token + 1
    heard = back["_heard"]
    if heard["verdict"] != "delivered":
        return
    if question["proto"] == "tcp" and "_stub" not in heard:
        return  # who sent it knows nothing of it and has reset the connection
    if "more" in wanted:
        more = {key: value for key, value in question.items() if key != "then"}
        more.update(state="established", direction="original", of={key: question[key] for key in OF if key in question})
        if question["proto"] == "tcp":
            more["tcp_flags"] = "A"
        if question["icmp_type"] is not None:  # the same echo goes on
            more["icmp_id"] = question.get("icmp_id", token & 0xFFFF)
        yield more, back["_token"] + 1
    if "error-back" in wanted and "_stub" in heard:
        one = error(stack, question, heard, "original")
        if all(one.get(key) == question.get(key) for key in ("at", "iif", "in_port")):  # to others it is no answer
            yield one, 0


def error(stack, question, answer, direction):
    """About what the stub got, as it got it, from there."""
    parsed = answer["_parsed"]
    six = ":" in parsed["src"]
    kind, code = question["_error"]
    one = {"proto": "icmpv6" if six else "icmp", "src": question.get("_reporter") or parsed["dst"], "dst": parsed["src"], "sport": None, "dport": None,
           "icmp_type": packets.ERRORS[58 if six else 1][kind], "icmp_code": code, "state": "related", "direction": direction, "_quoted": parsed["packet"][:64 if six else 28].hex(),
           "of": {key: question[key] for key in OF if key in question}}
    one.update(stack.back_from(answer))
    return one
