#!/bin/bash
# A libvirt inside L1: its guests are domains of the libvirtd that the image micro-libvirt brings along; with L0's guests as
# domains of a libvirt, too, and with L0 as it is without.
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
cat > both.nest.yaml << 'X'
lab: both
driver: libvirt
networks: {lab: {subnet: 192.168.122.0/24, uplink: nat}}
guests:
  hv1:
    memory: 1G
    image: micro-libvirt
    cpu-overcommit: 4
    nics: [{network: lab, address: 192.168.122.191}]
    networks: {inner: {subnet: 192.168.124.0/24, uplink: route}}
    guests:
      a: {driver: libvirt, memory: 128M, nics: [{network: inner, address: 192.168.124.91}]}
X
sed 's/^lab: both/lab: inside/; /^driver:/d' both.nest.yaml > inside.nest.yaml
nv() { local command=$1; shift; timeout 300 "$nestvisor" "$command" --lab "$lab" "$@"; }
file() { local command=$1; shift; timeout 300 "$nestvisor" "$command" "$lab.nest.yaml" "$@"; }
virsh() { timeout 60 virsh -q -c qemu:///system "$@"; }
inner_virsh() { nv exec hv1 -- virsh -q -c qemu:///system "$@"; }
states() {
	"$nestvisor" status "$lab" --json | python3 -c '
import json, sys
def walk(gs):
    for g in gs: yield g; yield from walk(g["guests"])
print(*sorted(g["path"] + "=" + g["state"] + "/" + g["driver"] for g in walk(json.load(sys.stdin)["guests"])))'
}
no_domain() { [ -z "$(virsh list --all)" ]; }
libvirtd_prepare || { echo "not ok - a libvirtd of this machine's own"; exit 1; }
check "libvirtd runs" libvirtd_start

# works L0_DRIVER: what any lab can
works() {
	local all_run="hv1/a=running/qemu:///system hv1=running/$1"
	check "$lab: up brings up three layers" file up
	check "$lab: all run" until_true 60 says "$all_run" states
	check "$lab: plan finds nothing to do" status 0 file plan
	check "$lab: up again does nothing" says "everything runs" file up
	check "$lab: virsh in L1 shows the domain" says "$lab:a" inner_virsh list --name
	check "$lab: with nestvisor's mark" says ">$lab/hv1/a<" inner_virsh metadata "$lab:a" urn:nestvisor:lab:1
	check "$lab: nestvisor runs a program in L2" says Linux nv exec hv1/a -- uname -s
	check "$lab: L0 pings L2" nv exec L0 -- ping -c1 -W5 192.168.124.91
	check "$lab: L2 pings the world" nv exec hv1/a -- ping -c1 -W5 203.0.113.1
	check "$lab: its tap is in the lab's namespace of L1, on its bridge" says "master inner" nv exec hv1 -- ip -n "nestvisor-$lab" link show a-0
	check "$lab: and nothing of it is outside" test -z "$(nv exec hv1 -- ip -o link | grep 'nv.*t0')"
	check "$lab: cut holds it" nv cut hv1/a
	check "$lab: L2 does not ping the world" status 1 nv exec hv1/a -- ping -c1 -W2 203.0.113.1
	check "$lab: L0 still pings L2" nv exec L0 -- ping -c1 -W5 192.168.124.91
	check "$lab: open lets it go" nv open hv1/a
	check "$lab: L2 pings the world again" nv exec hv1/a -- ping -c1 -W5 203.0.113.1
}
gone() {
	check "$lab: down" "$nestvisor" down "$lab"
	check "$lab: leaves nothing" clean
	check "$lab: and no domain" no_domain
}

lab=both
works qemu:///system
check "virsh at L0 shows the hypervisor" says "both:hv1" virsh list --name
console() {
	local reader result=0
	mkfifo console.in
	timeout 60 "$nestvisor" console --lab both hv1/a < console.in > console.out & reader=$!
	{ printf '\necho con$((20+22))sole\n'; until_true 50 grep -q con42sole console.out || result=1; } > console.in
	wait $reader
	return $result
}
check "the console of L2 answers" console

# changed in L1 by somebody else
before=$(inner_virsh domid both:a)
check "virsh in L1 gives L2 more memory" inner_virsh setmaxmem both:a 262144 --config
changed="<memory unit='KiB'>131072</memory> → <memory unit='KiB'>262144</memory>"
check "status at L0 tells" says "$changed" "$nestvisor" status both
check "so does plan" says "somebody else has changed it: $changed" file plan
check "up refuses" status 1 file up
check "and says what it would overwrite" says "hv1/a: a change of somebody else's would be overwritten" file up
check "by hand in L1, too" says "would be overwritten" nv exec hv1 -- sh -c 'nestvisor apply - < /run/nestvisor/both/lab.json'
check "up --overwrite" file up --overwrite
check "makes it what the lab file says" status 0 file plan
check "without a start" test "$(inner_virsh domid both:a)" = "$before"

# ended in L1 by somebody else
check "virsh in L1 ends L2" inner_virsh destroy both:a
check "status says that it is dead" says "hv1/a=dead" states
check "up mends it" file up
check "it runs again" says Linux nv exec hv1/a -- uname -s

# the libvirtd of L1 is killed: its guest lives on, and init starts it anew
pid_of() { nv exec hv1 -- pidof libvirtd; }
before=$(pid_of)
check "the libvirtd of L1 is killed" nv exec hv1 -- kill -9 "$before"
new_one() { local now; now=$(pid_of) && [ -n "$now" ] && [ "$now" != "$before" ]; }
check "init starts it anew" until_true 30 new_one
check "it has the domain" until_true 30 says "both:a" inner_virsh list --name
check "which nobody has changed" status 0 file plan
gone

lab=inside
works qemu
gone
finish
