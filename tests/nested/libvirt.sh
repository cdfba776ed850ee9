#!/bin/bash
# What goes wrong with a libvirt at L0: none, another's domain in the way, a domain that somebody else changes or ends, a
# libvirtd that dies, and nestvisor killed in between. One guest, which is up in seconds; three layers with each driver are
# first-lab.sh. libvirtd is one of this machine's own (tests/lib/libvirtd).
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/drivers"
nestvisor=$(readlink -f "$1")
for program in libvirtd virtlogd virsh; do
	command -v $program > /dev/null || { skip "everything" "$program is not installed"; exit 77; }
done
l0=libvirt
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
printf 'driver: libvirt\nlab: small\nnetworks: {lan: {subnet: 192.168.7.0/24}}\nguests: {a: {memory: 128M, nics: [{network: lan, address: 192.168.7.2}]}}\n' > small.nest.yaml
nv() { "$nestvisor" "$@"; }
small() { local command=$1; shift; nv "$command" small.nest.yaml "$@"; }
process() { virsh domid small:a; }

# without libvirt at all
library=$(ldconfig -p | sed -n 's/.*libvirt\.so\.0 .*=> //p' | head -n1)
check "without libvirt's library up says so" says "libvirt.so.0 is missing" unshare --mount sh -c "mount --bind /dev/null $library && $nestvisor up"
check "and what needs no libvirt works" unshare --mount sh -c "mount --bind /dev/null $library && $nestvisor validate && $nestvisor status"
check "down after it" nv down
libvirtd_prepare || { echo "not ok - a libvirtd of this machine's own"; exit 1; }
check "without libvirtd up says so" says "cannot connect: libvirt at qemu:///system says" nv up
check "and what to look at" says "virsh -c qemu:///system uri" nv up
check "down after it" nv down
check "libvirtd runs" libvirtd_start
check "down left nothing" nothing_left
network_facts > before

# somebody else's domain in the way
cat > other.xml <<- X
	<domain type='qemu'><name>small:a</name><uuid>11111111-2222-3333-4444-555555555555</uuid><memory unit='MiB'>64</memory>
	<os><type arch='x86_64' machine='pc'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>
X
check "another's domain of that name" virsh define other.xml
virsh dumpxml small:a > other.before
check "up leaves it alone and says so" says "small:a at qemu:///system already, and it is not nestvisor's" nv up
check "down, too" nv down
virsh dumpxml small:a > other.after
check "it is as it was" diff other.before other.after
check "and goes when its owner says so" virsh undefine small:a

check "up of one guest" small up
console() { # its input stays open until the answer is there
	local reader result=0
	mkfifo console.in
	timeout 60 "$nestvisor" console a < console.in > console.out & reader=$!
	{ printf '\necho con$((20+22))sole\n'; until_true 50 grep -q con42sole console.out || result=1; } > console.in
	wait $reader
	return $result
}
check "its console answers" console

# virsh destroy
check "virsh ends the domain" virsh destroy small:a
check "status says that it is dead" says "a=dead" states
check "its tap went with it" status 1 ip -n nestvisor-small link show a-0
check "virsh alone cannot start it" says "specified dev doesn't exist" virsh start small:a
check "plan wants it back" status 3 nv plan
check "up mends it" nv up
check "it runs again" says "a=running/qemu:///system" states

# libvirtd gone
check "libvirtd is killed" libvirtd_kill
check "its guest lives on, and status knows" says "a=running/qemu:///system" states
check "down without libvirtd fails" status 1 nv down
check "and the guest is still there" says "a=running" states
check "libvirtd is back" libvirtd_start
check "and still has the domain" says "small:a" virsh list --name
check "plan finds nothing to do" status 0 nv plan
check "it has a title for people" says "guest a of nestvisor's lab small" virsh list --all --title
check "a domain whose mark was taken away" virsh metadata small:a urn:nestvisor:lab:1 --remove
check "is left alone by down" says "does not bear nestvisor's mark" nv down
check "and runs" says "small:a" virsh list --name
check "until it is marked again" virsh metadata small:a urn:nestvisor:lab:1 --key nestvisor --set '<lab>small/a</lab>'
check "down" nv down
check "leaves nothing" nothing_left
network_facts > after
check "the machine's own network is as before" diff before after

# changed by somebody else. One guest, which is up in seconds.
# redefined SED: the domain as virsh edit would leave it
redefined() { virsh dumpxml --inactive small:a > edited.xml && sed -i "$1" edited.xml && virsh define edited.xml; }
# drifted NAME TEXT: status and plan say so, up says so and does nothing
drifted() {
	check "$1: status tells" says "$2" nv status small
	check "$1: so does plan" says "$2" small plan
	check "$1: which has something to do" status 3 small plan
	virsh dumpxml --inactive "${3:-small:a}" > drifted.before
	check "$1: up refuses" status 1 small up
	check "$1: and says what it would overwrite" says "would be overwritten: " small up
	check "$1: of what" says "somebody else has changed it: $2" small up
	check "$1: and the way out" says "nestvisor up --overwrite" small up
	virsh dumpxml --inactive "${3:-small:a}" > drifted.after
	check "$1: it is as it was changed" diff drifted.before drifted.after
}
mended() {
	check "$1: up --overwrite" small up --overwrite
	check "$1: makes it what the lab file says" says "a=running/qemu:///system" states small
	check "$1: plan finds nothing to do" status 0 small plan
}
check "up of one guest" small up
virsh dumpxml --inactive small:a > made.xml
before=$(process)
check "virsh gives it more memory" virsh setmaxmem small:a 262144 --config
drifted memory "<memory unit='KiB'>131072</memory> → <memory unit='KiB'>262144</memory>"
check "memory: as JSON" says '"of_machine":false' nv status small --json
mended memory
check "memory: it was not started anew" test "$(process)" = "$before"
virsh dumpxml --inactive small:a > again.xml
check "memory: libvirt has it as it was made" diff made.xml again.xml

truncate -s 1M /run/test/spare.img
check "virsh plugs in a disk" virsh attach-disk small:a /run/test/spare.img vdz --live
drifted disk "added: <disk type='file' device='disk'>"
check "disk: it is the machine that was changed" says "and the machine that runs" nv status small
mended disk
check "disk: by a start" status 1 test "$(process)" = "$before"
check "disk: it is gone" status 1 grep -q spare.img <(virsh dumpxml small:a)

check "virsh undefines it while it runs" virsh undefine small:a
drifted undefined "it was undefined, and goes when it ends"
mended undefined
check "undefined: it is there to stay" says "Persistent:     yes" virsh dominfo small:a

check "virsh ends it" virsh destroy small:a
check "and changes its NIC" redefined "s/<model type='virtio'\/>/<model type='e1000'\/>/"
drifted NIC "interface: <model type='virtio'/> → <model type='e1000'/>"
check "NIC: a lab file that changes besides does not hide it" says "would be overwritten" nv up <(sed 's/128M/160M/' small.nest.yaml)
mended NIC

check "virsh ends it" virsh destroy small:a
check "and renames it" virsh domrename small:a mine
drifted renamed "<name>small:a</name> → <name>mine</name>" mine
mended renamed
check "renamed: there is no other" says "small:a" virsh list --all --name
check "renamed: of the new name" status 1 virsh dominfo mine

check "its mark is taken away" virsh metadata small:a urn:nestvisor:lab:1 --remove --config --live
check "status tells of that" says "nestvisor's mark was taken away" nv status small
check "up --overwrite leaves it alone all the same" says "does not bear nestvisor's mark" small up --overwrite
check "it is marked again" virsh metadata small:a urn:nestvisor:lab:1 --key nestvisor --set '<lab>small/a</lab>' --config --live
check "a libvirtd that starts anew" libvirtd_kill
check "status without it: what runs, and what is not known" says "whether somebody else has changed it is not known: cannot connect" nv status small
check "and it runs" says "a=running" states small
check "plan without it, too" says "whether somebody else has changed it is not known" small plan
check "cut needs no libvirtd" nv cut --lab small a
check "nor does open" nv open --lab small a
check "libvirtd is back" libvirtd_start
check "up goes on where the mark stopped it" small up
check "nothing has changed" status 0 small plan
check "nor does status tell of any" status 1 says "somebody else" nv status small

# It dies while it is asked: stopped, so that the question has been sent and no answer comes.
dies_during() {
	local pid asker result=0
	pid=$(cat /run/libvirtd.pid)
	kill -STOP "$pid"
	nv "$@" > died.out 2>&1 & asker=$!
	until_true 10 grep -q unix_stream_data_wait "/proc/$asker/task/$asker/wchan" || until_true 2 false
	kill -9 "$pid"
	until_true 10 test ! -e "/proc/$pid"
	rm -f /run/libvirtd.pid
	wait $asker || result=$?
	cat died.out
	return $result
}
check "a libvirtd that hangs" kill -STOP "$(cat /run/libvirtd.pid)"
hung_status() { timeout 30 "$nestvisor" status small > hung.out; }
check "keeps nobody from seeing what runs" hung_status
check "which runs" grep -q '^a .*running' hung.out
check "and what is not known" grep -q "whether somebody else has changed it is not known: libvirtd has not answered" hung.out
check "cut does not wait for it" timeout 30 "$nestvisor" cut --lab small a --no-verify
check "nor does open" timeout 30 "$nestvisor" open --lab small a --no-verify
check "down gives it up" status 1 timeout 60 "$nestvisor" down small
check "and the guest runs" grep -q '^a .*running' <(nv status small)
check "down --force ends it all the same" timeout 60 "$nestvisor" down small --force
check "its QEMU is gone" status 1 pgrep qemu-system
check "and all else of the lab" clean
check "it goes on" kill -CONT "$(cat /run/libvirtd.pid)"
check "and still has the domain" says "small:a" virsh list --all --name
check "which the next up takes over" small up
check "it runs" says "a=running/qemu:///system" states small
check "virsh ends it" virsh destroy small:a
echo 'kill -STOP $(cat /run/libvirtd.pid)' > /run/test/at-prepare.new && mv /run/test/at-prepare.new /run/test/at-prepare
check "libvirtd hangs while up starts a guest: up gives it up" status 1 timeout 90 "$nestvisor" up small.nest.yaml
check "it was asked" test -f /run/test/at-prepare.now
rm /run/test/at-prepare.now
check "it goes on" kill -CONT "$(cat /run/libvirtd.pid)"
check "up goes on, too" small up
check "libvirtd dies while status asks it" dies_during status small
check "it says so" says "whether somebody else has changed it is not known: " cat died.out
check "once" test "$(grep -c 'not known' died.out)" = 1
check "and what runs" grep -q '^a .*running' died.out
check "libvirtd is back" libvirtd_start
check "libvirtd dies while down asks it" status 1 dies_during down small
check "it says so" says "libvirt at qemu:///system says" cat died.out
check "libvirtd is back" libvirtd_start
check "the guest runs, or down goes on" nv down small
check "and leaves nothing" nothing_left

# killed in the middle of up: nestvisor, and libvirtd. What comes before libvirt is asked is as with qemu (killed.sh).
up() { "$nestvisor" up small.nest.yaml; }
whole() {
	check "$1: up goes on" up
	check "$1: it runs" says "a=running/qemu:///system" states small
	check "$1: one QEMU has it" test "$(pgrep -c qemu-system)" = 1
	check "$1: its agent answers" nv exec --lab small a -- true
}
gone() {
	check "$1: down" nv down small
	check "$1: leaves nothing" nothing_left
}
# at_moment MOMENT COMMAND: when libvirt comes to that moment of the next start of a domain
at_moment() { echo "$2" > /run/test/at-"$1".new && mv /run/test/at-"$1".new /run/test/at-"$1"; }
for moment in prepare started; do
	at_moment $moment 'kill -9 $(cat /run/test/up.pid)'
	up > up.out 2>&1 & echo $! > /run/test/up.pid.new; mv /run/test/up.pid.new /run/test/up.pid
	{ wait $!; } 2> /dev/null
	check "up is killed at libvirt's $moment" test -f /run/test/at-$moment.now
	whole "up killed at libvirt's $moment"
	gone "up killed at libvirt's $moment"
	rm /run/test/at-$moment.now

	at_moment $moment 'kill -9 $(cat /run/libvirtd.pid)'
	check "libvirtd killed at its $moment: up fails, and says what libvirt says" says "libvirt at qemu:///system says" up
	check "libvirtd killed at its $moment: it was" test -f /run/test/at-$moment.now
	check "libvirtd killed at its $moment: status says dead" says "a=dead" states small
	check "libvirtd killed at its $moment: it is back" libvirtd_start
	[ $moment = prepare ] || whole "libvirtd killed at its $moment"
	gone "libvirtd killed at its $moment"
	rm /run/test/at-$moment.now
done
check "the log of libvirtd tells of nothing that was refused" test -z "$(grep -i 'denied' /run/test/libvirtd.log)"
finish
