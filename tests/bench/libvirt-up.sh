#!/bin/bash
# `nestvisor up` of one guest of libvirt's, until its agent answers, in turn with the same by virsh (libvirt-up-by-hand): the
# whole, from its definition to its CPUs running, and what nestvisor's own process takes. libvirt-up.sh NESTVISOR WHOLE_PROCESS [RUNS [IMAGE]]
set -eu
here=$(dirname "$(readlink -f "$0")")
nestvisor=$(readlink -f "$1") runs=${3:-9} image=${4:-micro}
memory=128M
[ "$image" = micro ] || memory=512M
for program in virsh libvirtd virtlogd; do
	command -v $program >/dev/null || { echo "skip - everything: $program is not installed"; exit 77; }
done
. "$here/../lib/check.sh"
. "$here/../lib/libvirtd"
libvirtd_prepare
mkdir /var/lib/libvirt/dnsmasq # of Debian's package, for libvirt's own networks
libvirtd_start
"$nestvisor" image "$image" --json > image.json
printf 'lab: bench\ndriver: libvirt\nnetworks: {lan: {subnet: 192.168.7.0/24}}\nguests: {x: {image: %s, memory: %s, nics: [{network: lan, address: 192.168.7.2}]}}\n' "$image" "$memory" > bench.nest.yaml
"$nestvisor" up -q # whoever is first has libvirt look at QEMU
virsh -q -c qemu:///system dumpxml --inactive bench:x > definition.xml
"$nestvisor" down -q
virsh -c qemu:///system event --event lifecycle --loop --timestamp > events 2>&1 &
events=$!
trap 'kill $events' EXIT
python3 - "$nestvisor" "$here/libvirt-up-by-hand" "$runs" <<'PYTHON'
import datetime, resource, statistics, subprocess, sys, time
nestvisor, by_hand, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
hand = ["image.json", "definition.xml", "byhand"]
ways = {"nestvisor": ([nestvisor, "up", "-q"], [nestvisor, "down", "-q"], "bench:x"),
        "virsh": ([by_hand, *hand], [by_hand, "down", *hand], "byhand")}

def run(argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000
def happened(domain, since):
    """The times of day, in ms behind SINCE, at which libvirt told of its definition, and that its CPUs run."""
    defined = running = None
    for line in open("events"):
        when, _, what = line.partition(": event 'lifecycle' for domain ")
        if not what.startswith(f"'{domain}'") and not what.startswith(f"{domain}:"):
            continue
        at = (datetime.datetime.strptime(when, "%Y-%m-%d %H:%M:%S.%f%z").timestamp() - since) * 1000
        if at > 0 and "Defined" in what and defined is None:
            defined = at
        if at > 0 and ("Started" in what or "Resumed" in what):
            running = at
    return defined, running

figures = {way: {"whole": [], "before": [], "start": [], "boot": [], "cpu": []} for way in ways}
for i in range(runs):
    for way in sorted(ways, reverse=i % 2):
        up, down, domain = ways[way]
        begin, clock, used = time.time(), time.monotonic(), cpu()
        run(up)
        whole, used = (time.monotonic() - clock) * 1000, cpu() - used
        defined, running = happened(domain, begin)
        run(down)
        for name, value in (("whole", whole), ("before", defined), ("start", running - defined), ("boot", whole - running), ("cpu", used)):
            figures[way][name].append(value)
def shown(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.0f} ({low:.0f}, {high:.0f})"
print(f"medians of {runs} with quartiles, ms; in turn")
for name, words in (("whole", "up until the agent answers"), ("before", "… until libvirt has its definition"),
                    ("start", "… from there until its CPUs run"), ("boot", "… from there until its agent has answered"),
                    ("cpu", "on a processor, without libvirt and the guest")):
    print(f"{words}: nestvisor {shown(figures['nestvisor'][name])}, virsh {shown(figures['virsh'][name])}")
pairs = [a / b for a, b in zip(figures["nestvisor"]["whole"], figures["virsh"]["whole"])]
middle = [statistics.median(figures[way]["whole"]) for way in ("nestvisor", "virsh")]
print(f"ratio of the medians {middle[0] / middle[1]:.3f}, of each pair {statistics.median(pairs):.3f} (at most 1.05)")
own = [a + b for a, b in zip(figures["nestvisor"]["before"], figures["nestvisor"]["start"])]
other = [a + b for a, b in zip(figures["virsh"]["before"], figures["virsh"]["start"])]
print(f"nestvisor beyond virsh until the CPUs run: {statistics.median(own) - statistics.median(other):.0f} ms")
PYTHON
