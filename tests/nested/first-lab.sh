#!/bin/bash
# The main job: three layers from one file, reached, looked at, changed, and taken away.
#
# first-lab.sh NESTVISOR [L0 [L1]]: the driver of each, qemu or libvirt
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/drivers"
. "$here/../lib/first-lab-libvirt"
nestvisor=$(readlink -f "$1")
nv() { "$nestvisor" "$@"; }
drivers "${2:-qemu}" "${3:-qemu}"
work=$(mktemp -d /run/test/lab.XXXXXX)
with_drivers < "$here/../../examples/first.nest.yaml" > "$work/first.nest.yaml"
cd "$work" || exit 1

network_facts > before
check "plan says what up would do" status 3 nv plan
check "doctor derives what L1 will see" found hv1 kvm.nested pass "the image" nv doctor first.nest.yaml --json
check "up brings up three layers" nv up
check "up again does nothing" says "everything runs" nv up
check "plan finds nothing to do" status 0 nv plan
network_facts > during
check "the machine's own network is as before, but for the uplink" diff before during

inner=$(driver_name "$l1")
# A hypervisor on a busy machine may take longer than the second that status waits for it.
check "status shows every guest running" until_true 60 says "hv1/a=running/$inner hv1/b=running/$inner hv1=running/$(driver_name "$l0")" states
check "L1 is nested" says 1 nv exec hv1 -- sh -c 'cat /sys/module/kvm_*/parameters/nested'
in_l1() { nv exec hv1 -- "$@"; }
check "doctor in L1 sees that nesting is on" found hv1 kvm.nested pass kvm_amd in_l1 nestvisor doctor --json
check "doctor in L1 sees that KVM works" found hv1 kvm.boot pass "runs under KVM" in_l1 nestvisor doctor --json
check "doctor in L1 boots a guest where none runs" found L0 kvm.boot pass "said so on its console" in_l1 env NESTVISOR_RUN_DIR=/nowhere nestvisor doctor --json
firmware=$(in_l1 sh -c 'ls /usr/share/seabios/bios-256k.bin 2> /dev/null || ls /usr/share/qemu/qboot.rom') # of the QEMU that is there
in_l1 sh -c "rm /var/cache/nestvisor/probe.json; mv $firmware /tmp"
check "doctor in L1 cites QEMU where none boots" found L0 kvm.boot fail "could not load PC BIOS" in_l1 env NESTVISOR_RUN_DIR=/nowhere nestvisor doctor --json
in_l1 sh -c "rm /var/cache/nestvisor/probe.json; mv /tmp/${firmware##*/} ${firmware%/*}"
poll() { in_l1 cat /sys/module/kvm/parameters/halt_poll_ns; }
check "doctor --fix mends L1" in_l1 nestvisor doctor --fix --yes
check "and it is mended" says 0 poll
check "a second time there is nothing to do" says "nothing here that can be mended" in_l1 nestvisor doctor --fix --yes
check "doctor --undo takes it back" says "2 fixes taken back" in_l1 nestvisor doctor --undo --yes
check "and it is as before" says 200000 poll
check "doctor asks L1 of a lab that runs" found hv1 kvm.boot pass "hv1/a runs under KVM" nv doctor first --json
for guest in hv1 hv1/a hv1/b; do
	check "$guest runs commands" says Linux nv exec "$guest" -- uname -s
	check "$guest has its name" says "${guest##*/}" nv exec "$guest" -- hostname
done
check "exit status comes through from L2" status 7 nv exec hv1/a -- sh -c 'exit 7'
check "standard error comes through from L2" says oops nv exec hv1/a -- sh -c 'echo oops >&2'
check "words are not taken apart" says "a  b\$c'd\"e" nv exec hv1/a -- printf %s "a  b\$c'd\"e"
check "standard input reaches L2" says hello bash -c "echo hello | $nestvisor exec -i hv1/b -- cat"

for address in 192.168.122.191 192.168.124.91 192.168.124.92 fd00:122::191 fd00:124::91; do
	check "L0 pings $address" nv exec L0 -- ping -c1 -W3 "$address"
done
check "L2 pings L2" nv exec hv1/a -- ping -c1 -W3 192.168.124.92
check "L2 pings L0's gateway" nv exec hv1/a -- ping -c1 -W3 192.168.122.1
check "L2 pings the world, translated at every uplink" nv exec hv1/a -- ping -c1 -W3 203.0.113.1
nv exec hv1/a -- sh -c 'nc -ll -p 7 -e cat >/dev/null 2>&1 </dev/null & until grep -q ":0007 .* 0A " /proc/net/tcp /proc/net/tcp6; do sleep 0.02; done'
check "L0 and L2 exchange over TCP" says "hello from L0" nv exec L0 -- bash -c 'exec 3<>/dev/tcp/192.168.124.91/7; echo hello from L0 >&3; head -n1 <&3'
check "L2 and L2 exchange over TCP" says "hello from b" nv exec hv1/b -- sh -c 'echo hello from b | nc -w3 192.168.124.91 7'

head -c 300000 /dev/urandom > file
check "cp into L2" nv cp file hv1/a:/tmp/file
check "cp out of L2" nv cp hv1/a:/tmp/file back
check "and it is the same" cmp file back
check "ssh into L1" says Linux nv ssh hv1 -- uname -s
check "ssh into L2" says Linux nv ssh hv1/a -- uname -s
console() { { printf '\necho con$((20+22))sole\n'; sleep "$2"; } | timeout 30 "$nestvisor" console "$1" > console.out & until_true 30 grep -q con42sole console.out; }
check "the console of L1 answers" console hv1 8
check "the console of L2 answers" console hv1/a 15
check "graph draws the layers" says "L2 a" nv graph --format mermaid
check "capture asks L1 and L2 through their agents" nv capture -q hv1 hv1/a -o bundle.tar
check "and has what L2 says" says 192.168.124.91/24 nv facts hv1.a --facts bundle.tar
mkdir bin
printf '#!/bin/sh\nexec %s -i /var/lib/nestvisor/first/ssh_key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$@"\n' "$(command -v ssh)" > bin/ssh
chmod +x bin/ssh
check "capture asks by ssh, too" nv exec L0 -- env PATH="$work/bin:$PATH" "$nestvisor" capture -q ssh://root@192.168.122.191 -o ssh.tar
check "and has what L1 says" says 192.168.122.191/24 nv facts --facts ssh.tar
check "and every rule of the lab's network in L1 is understood" bash -c "$nestvisor facts hv1-lab-first --facts bundle.tar --stats --json | python3 -c '
import json, sys
stats = json.load(sys.stdin)[\"stats\"]
assert stats[\"rules\"] > 50 and stats[\"fully\"] == stats[\"rules\"], stats'"

# what packets do, as the kernels of all hosts say it
down="L0 hv1 hv1-lab-first hv1/a" out="hv1/a hv1-lab-first hv1 L0 L0-root"
check "path: from L0 to ssh in L2" way delivered "$down" nv path --lab first --from L0 --to hv1/a --port 22 --json
check "path: a guest's name alone says that a lab is meant" way delivered "$down" nv path --from L0 --to hv1/a --port 22 --json
check "path: from L2 out into the world" way delivered "$out" nv path --lab first --from hv1/a --to world --port 443 --json
check "path: from L2 to L2" way delivered "hv1/a hv1-lab-first hv1/b" nv path --lab first --from hv1/a --to hv1/b --port 7 --json
check "path: over IPv6, too" way delivered "$down" nv path --lab first --from L0 --to hv1/a --ipv6 --port 22 --json
check "path: inside L1 hosts are called the same" way delivered "hv1-lab-first hv1/a" in_l1 nestvisor path --lab first --from hv1-lab-first --to hv1/a --port 22 --json
check "why: nothing is in the way" status 0 nv why --lab first --from L0 --to hv1/a --port 22
check "fix: nothing to mend" says "nothing to mend" nv fix --lab first --from L0 --to hv1/a --port 22
check "reach asks the lab's rules in L1" says '"host": "hv1-lab-first"' bash -c "$nestvisor reach --lab first --at hv1-lab-first --port 22 --json | sed 's/\":\"/\": \"/g'"
check "capture of the whole lab" nv capture -q --timeout 300 --lab first -o lab.tar
check "path in the captured lab" way delivered "$down" nv path --facts lab.tar --from L0 --to hv1/a --port 22 --json
check "and out of it" way delivered "$out" nv path --facts lab.tar --from hv1/a --to world --port 443 --json
check "graph of the captured lab" says "hv1/a" nv graph --facts lab.tar
in_lab_of_l1() { nv exec hv1 -- ip netns exec nestvisor-first "$@"; }
in_lab_of_l1 nft add table inet broken
in_lab_of_l1 nft add chain inet broken forward '{ type filter hook forward priority 10; }'
in_lab_of_l1 nft add rule inet broken forward tcp dport 22 drop
handle=$(in_lab_of_l1 nft -a list chain inet broken forward | sed -n 's/.*tcp dport 22 drop # handle //p')
check "ssh is broken on purpose" test -n "$handle"
check "path: it is dropped there" way dropped "L0 hv1 hv1-lab-first" nv path --lab first --from L0 --to hv1/a --port 22 --json
check "why names the rule" says "netlink:nftables#$handle" nv why --lab first --from L0 --to hv1/a --port 22
check "and where it is" says "hv1-lab-first" nv why --lab first --from L0 --to hv1/a --port 22
check "another port is not in its way" way delivered "$down" nv path --lab first --from L0 --to hv1/a --port 80 --json
in_lab_of_l1 nft delete table inet broken
check "why: and nothing is any more" status 0 nv why --lab first --from L0 --to hv1/a --port 22

[ $l0 = qemu ] || libvirt_at_l0
[ $l1 = qemu ] || libvirt_in_l1

# the difference only
a_pid() { nv exec hv1 -- sh -c 'for p in /proc/[0-9]*; do tr "\0" " " < $p/cmdline 2>/dev/null | grep -q "first/hv1/a\|guest=first:a," && echo ${p#/proc/}; done' | sort -n | head -1; }
before_a=$(a_pid)
sed -i 's/^\( *\)b: .*/\1b: {memory: 144M, nics: [{network: inner, address: [192.168.124.92, "fd00:124::92"]}]}\n\1c: {memory: 128M, nics: [{network: inner, address: 192.168.124.93}]}/' first.nest.yaml
check "the file was changed" grep -q 144M first.nest.yaml
check "plan names the restart and the new guest" bash -c "$nestvisor plan > plan.txt; grep -q 'restart.*hv1/b\|hv1/b.*memory' plan.txt && grep -q hv1/c plan.txt && ! grep -q 'hv1/a ' plan.txt"
check "up makes the difference" bash -c "$nestvisor up > up.txt 2>&1 || { cat up.txt; false; }"
check "the new guest answers" nv exec hv1/c -- true
check "the resized guest was resized" bash -c "[ \$($nestvisor exec hv1/b -- awk '/MemTotal/{print int(\$2/1024)}' /proc/meminfo) -gt 100 ]"
# Emulation resets or hangs a hypervisor now and then (src/apply/up.c); up then says so, and starts all of it again.
if grep "hv1.*started once more" up.txt; then
	skip "the untouched guest is the same" "its hypervisor was started once more"
else
	check "the untouched guest is the same" test "$before_a" = "$(a_pid)"
fi
sed -i '/^ *c: {/d' first.nest.yaml
check "up removes a guest" nv up
check "the removed guest is unknown" status 2 nv exec hv1/c -- true
check "the others are still there" nv exec hv1/a -- true

rm first.nest.yaml
check "down works without the file" nv down first
check "down leaves nothing" nothing_left
network_facts > after
check "the machine's own network is as before" diff before after
check "down again is fine" nv down first
finish
