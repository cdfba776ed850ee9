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

if ! command -v virsh >/dev/null || ! command -v libvirtd >/dev/null; then
	echo "skip - libvirt: not installed"
	exit 0
fi
for folder in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
	copy=/run/test/libvirt$(echo "$folder" | tr / -)
	mkdir -p "$copy" "$folder"
	cp -a "$folder/." "$copy/"
	mount --bind "$copy" "$folder"
done
printf 'user = "root"\ngroup = "root"\nsecurity_driver = "none"\ncgroup_controllers = []\n' >>/etc/libvirt/qemu.conf
virtlogd -d
libvirtd -d
until virsh -q list >/dev/null 2>&1; do read -rt 0.1 <> <(:) || true; done
ip link add name br-bench type bridge
ip link set br-bench up
cat >/run/test/cut.xml <<'XML'
<filter name='bench-cut' chain='root'>
  <rule action='accept' direction='out' priority='100'><all dstipaddr='192.168.0.0' dstipmask='16'/></rule>
  <rule action='accept' direction='in' priority='100'><all srcipaddr='192.168.0.0' srcipmask='16'/></rule>
  <rule action='drop' direction='inout' priority='500'><all/></rule>
</filter>
XML
virsh -q nwfilter-define /run/test/cut.xml
interface() { echo "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br-bench'/><target dev='bench0'/><model type='virtio'/>$1</interface>"; }
interface "<filterref filter='bench-cut'/>" >/run/test/on.xml
interface "" >/run/test/off.xml
cat >/run/test/domain.xml <<XML
<domain type='qemu'><name>bench</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>$(command -v qemu-system-x86_64)</emulator>$(cat /run/test/off.xml)</devices></domain>
XML
virsh -q create --paused /run/test/domain.xml
measure_both "virsh update-device --live with an nwfilter, a guest of this machine" \
	"virsh -q update-device bench --live /run/test/on.xml" "virsh -q update-device bench --live /run/test/off.xml" \
	"$(cat /run/libvirtd.pid)"
virsh -q destroy bench
