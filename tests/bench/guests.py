#!/usr/bin/env python3
"""guests.py NESTVISOR BENCH_PACKETS [TURNS]: what the standing rules of a lab of 200 guests leave of a stream between two.

Run on a machine of its own (tests/lib/machine). Three guests run, with the system that nestvisor makes, and the rules
are those of a lab that has 197 more, all of them cut (bench_packets --rules). A stream of TCP goes from g0 to a guest
of another network, then to one of its own, and goes on while the rules are switched in place, by turns A B B A and
B A A B, with the same chains with nothing in them. Each turn gives one ratio; printed are the median and the interval
that holds it with 95 % certainty (bootstrap).

What is counted is what the receiver has taken off its tap: by the clock, which is what its user sees, and by the
processor's time that both guests had, in which the host's part of each packet is contained: who sends goes through all
rules in the system call that puts the packet on the tap. While something is measured, both guests are ahead of all
others on the machine (SCHED_FIFO); without that, one with others at it tells no differences below 20 %.
"""
import ctypes
import os
import random
import re
import subprocess
import sys
import time

NETNS = "/run/netns/nestvisor-switch"
LAB = """lab: switch
cpu-overcommit: 100
networks:
  one: {subnet: 10.80.0.0/24}
  two: {subnet: 10.81.0.0/24}
guests:
  g0: {memory: 128M, nics: [{network: one, address: 10.80.0.2}]}
  g1: {memory: 128M, nics: [{network: two, address: 10.81.0.2}]}
  g2: {memory: 128M, nics: [{network: one, address: 10.80.0.3}]}
"""
PORT = "5001"
TABLES = ("nestvisor", "t")  # the lab's own; the same chains with nothing in them
SETTLE, WINDOW, PAUSE = 0.03, 0.2, 0.15  # s
RESAMPLES = 2000
nestvisor, bench_packets = (os.path.abspath(path) for path in sys.argv[1:3])
turns = int(sys.argv[3]) if len(sys.argv) > 3 else 36


def run(*argv, **more):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, **more).stdout.decode()


def guest(path, script, **more):
    return subprocess.Popen([nestvisor, "exec", path, "--", "sh", "-c", script], stdin=subprocess.DEVNULL, **more)


def enter(path):
    """From here on this process, and what it starts, is in that network namespace."""
    with open(path) as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0) < 0:
            raise OSError(ctypes.get_errno(), path)


def taken_off(tap):
    """Bytes: what goes out of the host's end is what QEMU has read (Linux drivers/net/tun.c)."""
    with open("/proc/self/net/dev") as table:
        return int(re.search(rf"^ *{tap}:(.*)$", table.read(), re.M).group(1).split()[8])


def processor_time(pids):
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as ran:
                total += int(ran.read().split()[0])
    return total / 1e9


def window(tap, pids):
    time.sleep(SETTLE)
    start, cpu, taken = time.monotonic(), processor_time(pids), taken_off(tap)
    time.sleep(WINDOW)
    return taken_off(tap) - taken, time.monotonic() - start, processor_time(pids) - cpu


def nft(commands):
    subprocess.run(["nft", "-f", "-"], input=commands.encode(), check=True)


def in_force(which):
    """The tables of one name, in one transaction; a table that is dormant is at no hook, and costs nothing."""
    nft("".join(f"add table {family} {name} {'' if name == which else '{ flags dormant; }'}\n"
                for family in ("inet", "bridge") for name in TABLES))


def be_first(pids, first):
    """Ahead of all others on the machine for as long as something is measured, and no longer; who measures before all."""
    os.sched_setscheduler(0, os.SCHED_FIFO if first else os.SCHED_OTHER, os.sched_param(2 if first else 0))
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setscheduler(int(task), os.SCHED_FIFO if first else os.SCHED_OTHER, os.sched_param(1 if first else 0))


def median(values):
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def interval(values):
    draw = random.Random(1)
    medians = sorted(median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return f"{median(values):+.2f} % ({medians[RESAMPLES * 25 // 1000]:+.2f} to {medians[RESAMPLES * 975 // 1000]:+.2f})"


def compare(name, rules, tap, pids):
    clock, processor, rates, shares = [], [], [], []
    for turn in range(turns):
        sums = [[0, 0, 0], [0, 0, 0]]
        for step in range(4):
            which = ((step + 1) // 2 + turn) % 2
            be_first(pids, True)
            if step != 2:
                in_force(rules if which else "t")
            sums[which] = [a + b for a, b in zip(sums[which], window(tap, pids))]
            be_first(pids, False)
            time.sleep(PAUSE)  # it is the others' turn
        (bytes0, clock0, cpu0), (bytes1, clock1, cpu1) = sums
        if not bytes0 or not bytes1:
            sys.exit(f"{name}: the stream stands still")
        clock.append(100 * (bytes1 / clock1 * clock0 / bytes0 - 1))
        processor.append(100 * (bytes1 / cpu1 * cpu0 / bytes0 - 1))
        rates.append(bytes0 / clock0 / 1e6)
        shares.append(bytes0 / cpu0 / 1e6)
    print(f"{name}: throughput by the clock {interval(clock)}, by the processor's time {interval(processor)}; "
          f"{turns} turns, with empty chains {median(rates):.0f} MB/s, {median(shares):.0f} MB a second of processor", flush=True)


def stream(name, receiver, address, pids, sets):
    tap = f"{receiver}-0"
    listens = guest(receiver, f"sleep 99999 | nc -l -p {PORT} >/dev/null", stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    sends = None
    before = taken_off(tap)
    while taken_off(tap) - before < 1 << 20:  # the listener may not be there yet
        if time.monotonic() > until:
            sys.exit(f"{name}: no stream")
        if not sends or sends.poll() is not None:
            sends = guest("g0", f"nc {address} {PORT} </dev/zero", stderr=subprocess.DEVNULL)
        time.sleep(0.2)
    for what, rules in sets:
        compare(f"{name}, {what}", rules, tap, (pids["g0"], pids[receiver]))
    for path in ("g0", receiver):
        guest(path, "killall nc sleep 2>/dev/null").wait()
    sends.wait()
    listens.wait()


def main():
    with open("switch.nest.yaml", "w") as file:
        file.write(LAB)
    rules, empty = (run(bench_packets, "--rules", which) for which in ("200", "empty"))
    run(nestvisor, "up", "-q")
    try:
        pids = {path: open(f"/run/nestvisor/switch/guests/{path}/pid").read().split()[0] for path in ("g0", "g1", "g2")}
        enter(NETNS)
        whole = ("rules of 200 guests", "nestvisor")
        nft("flush ruleset\n" + rules + empty)
        stream("stream to another network", "g1", "10.81.0.2", pids, (("empty chains beside themselves", "t"), whole))
        stream("stream to its own network", "g2", "10.80.0.3", pids, (whole,))
    finally:
        run(nestvisor, "down", "-q")


main()
