#!/bin/bash
# switch.sh NESTVISOR BENCH_SWITCH: what bench_switch.c measures, and beside it, on the same machine in the same run, how
# else a guest is taken off the world: rules for iptables as guides have them, and libvirt's nwfilter on a live interface.
set -eu
nestvisor=$(readlink -f "$1")
"$2" "$nestvisor"

measure() { # NAME CUT OPEN, both for a shell; what it starts runs with the priority of this
	python3 - "$@" <<'PYTHON'
import subprocess, sys, time
name, *commands = sys.argv[1:]
times = ([], [])
for i in range(100):
    start = time.monotonic()
    subprocess.run(["sh", "-c", commands[i % 2]], check=True, stdout=subprocess.DEVNULL)
    times[i % 2].append((time.monotonic() - start) * 1000)
for word, values in zip(("cut", "open"), times):
    values.sort()
    print(f"{word}, {name}: {values[25]:.2f} ({values[12]:.2f}, {values[37]:.2f}) ms", flush=True)
PYTHON
}
measure_both() { # NAME CUT OPEN [PID of who does it]: as it is, and ahead of all others, as on a machine that is idle
	measure "$1" "$2" "$3"
	chrt -f -p 1 $$
	[ -z "${4-}" ] || chrt -a -f -p 1 "$4"
	measure "$1, ahead of others" "$2" "$3"
	chrt -o -p 0 $$
}

# Private subnets stay, the rest of the world is rejected: one program a rule, and flows that live are left alone.
if command -v iptables >/dev/null; then
	address=192.168.122.10
	cut="" open=""
	for private in 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16; do
		cut="$cut iptables -I FORWARD 1 -s $address -d $private -j ACCEPT &&"
		open="$open iptables -D FORWARD -s $address -d $private -j ACCEPT &&"
	done
	measure_both "iptables, a guest of this machine" "$cut iptables -A FORWARD -s $address -j REJECT" "$open iptables -D FORWARD -s $address -j REJECT"
else
	echo "skip - iptables: not installed"
fi

for program in virsh libvirtd virtlogd; do
	command -v $program >/dev/null || { echo "skip - libvirt: $program is not installed"; exit 0; }
done
. "$(dirname "$(readlink -f "$0")")/../lib/check.sh"
. "$(dirname "$(readlink -f "$0")")/../lib/libvirtd"
libvirtd_prepare
libvirtd_start
mkdir -p /run/test/filtered
cd /run/test/filtered
cat >filtered.nest.yaml <<'END'
lab: filtered
networks: {lan: {subnet: [192.168.7.0/24, "fd00:7::/64"], uplink: nat, dns: true}}
guests:
  x: {driver: "qemu:///system", memory: 128M, nics: [{network: lan, address: [192.168.7.2, "fd00:7::2"]}]}
END
"$nestvisor" up -q
libvirtd=$(cat /run/libvirtd.pid)
export NESTVISOR_NO_VERIFY=1
measure_both "nestvisor by nft, a guest of libvirt's" "$nestvisor cut x" "$nestvisor open x"

# By hand, with the filter that nestvisor would put there: on the live interface; there and in the definition, as nestvisor
# does; the same with the filter defined first, as nestvisor does, too, for it takes it away with the last guest. And with
# one of three rules, as guides have it. In turn with nestvisor.
"$nestvisor" cut x --method nwfilter -q
virsh="virsh -q -c qemu:///system"
$virsh dumpxml filtered:x | sed -n '/<interface/,/<\/interface>/p' | sed 's/nestvisor-cut/bench-same/' >same.xml
sed '/<filterref/,/<\/filterref>/d' same.xml >off.xml
$virsh nwfilter-dumpxml nestvisor-cut | sed 's/nestvisor-cut/bench-same/; /<uuid>/d' >same-filter.xml
$virsh nwfilter-define same-filter.xml
sed 's/bench-same/bench-once/' same-filter.xml >once-filter.xml
sed 's/bench-same/bench-once/' same.xml >once.xml
$virsh nwfilter-define /dev/stdin <<'XML'
<filter name='bench-cut' chain='root'>
  <rule action='accept' direction='out' priority='100'><all dstipaddr='192.168.0.0' dstipmask='16'/></rule>
  <rule action='accept' direction='in' priority='100'><all srcipaddr='192.168.0.0' srcipmask='16'/></rule>
  <rule action='drop' direction='inout' priority='500'><all/></rule>
</filter>
XML
sed "s#</interface>#<filterref filter='bench-cut'/></interface>#" off.xml >guide.xml
"$nestvisor" open x -q
chrt -f -p 1 $$
chrt -a -f -p 1 "$libvirtd"
python3 - "$nestvisor" <<'PYTHON'
import statistics, subprocess, sys, time
virsh = "virsh -q -c qemu:///system "
update = virsh + "update-device filtered:x "
ways = {
    "nestvisor by nwfilter": (f"{sys.argv[1]} cut x --method nwfilter", f"{sys.argv[1]} open x"),
    "virsh --live, the same nwfilter": (update + "--live same.xml", update + "--live off.xml"),
    "virsh --live --config": (update + "--live --config same.xml", update + "--live --config off.xml"),
    "virsh nwfilter-define and --live --config": (
        f"{virsh} nwfilter-define once-filter.xml && {update} --live --config once.xml",
        f"{update} --live --config off.xml && {virsh} nwfilter-undefine bench-once"),
    "virsh --live, an nwfilter of three rules": (update + "--live guide.xml", update + "--live off.xml"),
}
times = {way: ([], []) for way in ways}
for i in range(25):
    for way in sorted(ways, reverse=i % 2):
        for command, values in zip(ways[way], times[way]):
            start = time.monotonic()
            subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.DEVNULL)
            values.append((time.monotonic() - start) * 1000)
def shown(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.0f} ({low:.0f}, {high:.0f})"
own = statistics.median(times["nestvisor by nwfilter"][0])
for way, (cut, opened) in times.items():
    print(f"{way}, ahead of others: cut {shown(cut)} ms, open {shown(opened)} ms; nestvisor's cut is {own / statistics.median(cut):.3f} of it", flush=True)
PYTHON
chrt -o -p 0 $$
chrt -a -o -p 0 "$libvirtd"
"$nestvisor" down -q
