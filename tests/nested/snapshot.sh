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
check "virsh shows the domain with its new disk" says "b.snapshots/disk-" virsh domblklist snap:b
check "and libvirt no snapshot" test -z "$(virsh snapshot-list snap:b --name)"
check "a name that is taken is refused" says 'has a snapshot "two" already' nv snapshot a two
check "a name that is none, too" status 2 nv snapshot a ../x
check "one that there is not, with those that there are" says "there are: one, two" nv restore a three

# Isolation is that of now: the snapshots are of open guests.
for g in a b; do
	check "$g: cut" nv cut $g --no-verify
	check "$g: back to when it was open" nv restore $g one
	check "$g: it is cut all the same" status 1 nv exec $g -- ping -c1 -W2 203.0.113.1
	check "$g: and said to be" says "cut" nv status
	check "$g: opened" nv open $g --no-verify
	check "$g: it reaches the world" nv exec $g -- ping -c1 -W5 203.0.113.1
done

# Killed: the guest goes on, and there is a whole snapshot or none.
recovered() { # GUEST VALUE
	check "$1: up after it" nv up
	check "$1: the guest goes on" has "$1" "$2"
	check "$1: nothing goes on" test ! -e $state/$1.snapshots/pending
	check "$1: plan finds nothing to do" status 0 nv plan
}
for g in a b; do
	folder=$state/$g.snapshots run=/run/nestvisor/snap/guests/$g n=0
	for point in "exists $folder/pending" "exists $folder/.new/memory" "exists $folder/disk-5.qcow2"; do
		put $g kill$((++n))
		check "$g: snapshot killed when it ${point/$folder\//}" "$here/../lib/kill-at" $point "$nestvisor" snapshot $g killed
		recovered $g kill$n
		names $g | grep -q killed && check "$g: what there is of it is whole" nv snapshot --remove $g killed
	done
	# as soon as it is begun, and when the guest has ended
	for point in "exists $folder/pending" "gone $run/$([ $g = a ] && echo pid || echo domain)"; do
		put $g lost
		check "$g: restore killed when ${point/$run\//}" "$here/../lib/kill-at" $point "$nestvisor" restore $g two
		recovered $g second
	done
done

# No room: one error, and the guest goes on.
for g in a b; do
	put $g room
	mount -o remount,size=$(($(du -sm /var/lib/nestvisor | cut -f1) + 20))M /var/lib/nestvisor
	check "$g: without room there is no snapshot" says "no snapshot of $g was taken" nv snapshot $g full
	output
	mount -o remount,size=2G /var/lib/nestvisor
	check "$g: and nothing is left of it" test ! -e $state/$g.snapshots/.new -a ! -e $state/$g.snapshots/pending
	check "$g: the guest goes on" has $g room
done

# What is damaged, or is of another machine, is not touched.
printf damaged | dd of=$state/a.snapshots/two/memory bs=1 seek=1000000 conv=notrunc status=none
check "a snapshot that was damaged is refused" says "memory is not as it was written" nv restore a two
check "before its guest is ended" nv exec a true
truncate -s 1M $state/a.snapshots/two/memory
check "a snapshot that is not whole is refused" says "not whole" nv restore a two
check "and listed as such" says "not whole" nv snapshots a
check "it is removed" nv snapshot --remove a two
sed -i 's/128M, disk: 64M, nics: \[{network: lan, address: 192.168.7.2}/160M, disk: 64M, nics: [{network: lan, address: 192.168.7.2}/' snap.nest.yaml
check "a with more memory" nv up
check "its snapshot is of another machine" says "memory 128 MiB → 160 MiB" nv restore a one
check "which its disk is not" nv restore --no-memory a one
check "it has booted with its disk of then" says first inside a 'dd if=/dev/vda bs=16 count=1 2>/dev/null | tr -d "\0"'
check "plan finds nothing to do" status 0 nv plan
virsh setmaxmem snap:b 262144 --config
check "b, which somebody changed, is not overwritten" says "would be overwritten" nv restore b one

# Down, and up again.
check "down --keep-disks says what it keeps" says "3 snapshots of its guests kept" nv down --keep-disks
check "up" nv up
check "a snapshot is older than that" nv restore b one
check "and as it was" has b first
check "plan finds nothing to do" status 0 nv plan
check "down says that they go" says "3 snapshots of its guests gone" nv down
check "and leaves nothing" clean
check "no domain either" test -z "$(virsh list --all)"
finish
