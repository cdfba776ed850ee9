#!/bin/bash
# Snapshots of guests of both drivers: what is in their memory and on their disks is as it was, whatever was killed
# meanwhile; who is cut stays cut; and nobody finds anything to do afterwards.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/libvirtd"
nestvisor=$(readlink -f "$1")
for program in libvirtd virtlogd virsh; do
	command -v $program > /dev/null || { skip "everything" "$program is not installed"; exit 77; }
done
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { timeout 120 "$nestvisor" "$@"; }
virsh() { timeout 60 virsh -q -c qemu:///system "$@"; }
state=/var/lib/nestvisor/snap
# a: QEMU of nestvisor's own, b: libvirt's. An image in memory that ignores its disk; the test writes to that.
cat > snap.nest.yaml <<'EOF2'
lab: snap
networks: {lan: {subnet: 192.168.7.0/24, uplink: nat}}
guests:
  a: {memory: 128M, disk: 64M, nics: [{network: lan, address: 192.168.7.2}]}
  b: {memory: 128M, disk: 64M, nics: [{network: lan, address: 192.168.7.3}], driver: libvirt}
EOF2
libvirtd_prepare && libvirtd_start || { echo "not ok - a libvirtd of this machine's own"; exit 1; }
inside() { nv exec "$1" -- sh -c "$2"; }
put() { inside "$1" "echo $2 > /tmp/x; echo $2 | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null"; }
# has GUEST VALUE: in its memory, and on its disk past its page cache
has() { says "$2 $2" inside "$1" 'echo 3 > /proc/sys/vm/drop_caches; echo $(cat /tmp/x) $(dd if=/dev/vda bs=16 count=1 2>/dev/null | tr -d "\0")'; }
process() { cut -d' ' -f1 "/run/nestvisor/snap/guests/$1/pid"; }
near() { local there; there=$(inside "$1" 'date +%s') && [ $((there - $(date +%s))) -ge -5 ] && [ $((there - $(date +%s))) -le 5 ]; }
names() { nv snapshots "$@" --json | python3 -c 'import json, sys; print(*("%s:%s" % (s["guest"], s["name"]) for s in json.load(sys.stdin)["snapshots"]))'; }

check "up" nv up
for g in a b; do
	check "$g: a value in memory and on the disk" put $g first
	inside $g 'sleep 100000 > /dev/null 2>&1 & echo $! > /tmp/pid'
	before=$(process $g)
	check "$g: a snapshot" nv snapshot $g one -d "the first"
	output
	check "$g: its QEMU goes on" test "$(process $g)" = "$before"
	check "$g: and the guest" has $g first
	check "$g: another value" put $g second
	check "$g: a second snapshot" nv snapshot $g two
	check "$g: plan finds nothing to do" status 0 nv plan
	check "$g: a third value" put $g third
	inside $g 'kill $(cat /tmp/pid)'
	check "$g: back to the first" nv restore $g one
	output
	check "$g: memory and disk are of then" has $g first
	check "$g: the process that was ended runs" inside $g 'kill -0 $(cat /tmp/pid)'
	check "$g: its clock is that of now" near $g
	check "$g: plan finds nothing to do" status 0 nv plan
	check "$g: forward to the second" nv restore $g two
	check "$g: memory and disk are of then" has $g second
	check "$g: the network is there" nv exec L0 -- ping -c1 -W5 192.168.7.$([ $g = a ] && echo 2 || echo 3)
	check "$g: plan finds nothing to do" status 0 nv plan
done
check "snapshots lists them" test "$(names)" = "a:one a:two b:one b:two"
check "with their descriptions" says "the first" nv snapshots a
finish
