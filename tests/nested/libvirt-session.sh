#!/bin/bash
# Guests that are domains of the libvirt of a user's session, for whom root makes the network: two of them, which reach each other and
# the world, are cut, and are seen, ended and changed by their user's own virsh.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/libvirtd"
nestvisor=$(readlink -f "$1")
for program in libvirtd virtlogd virsh setpriv; do
	command -v $program > /dev/null || { skip "everything" "$program is not installed"; exit 77; }
done
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
cat > mine.nest.yaml <<- Y
	lab: mine
	cpu-overcommit: 2
	driver: qemu:///session
	networks: {lan: {subnet: 192.168.7.0/24}}
	guests:
	  a: {memory: 128M, nics: [{network: lan, address: 192.168.7.2}]}
	  b: {memory: 128M, nics: [{network: lan, address: 192.168.7.3}]}
Y
# who became root by sudo
user=4711
export SUDO_UID=$user
nv() { timeout 200 "$nestvisor" "$@"; }
as_user() { HOME=/run/test/home XDG_RUNTIME_DIR=/run/user/$user setpriv --reuid=$user --regid=$user --clear-groups "$@"; }
virsh() { as_user timeout 60 virsh -q -c qemu:///session "$@"; }
states() { nv status mine --json | python3 -c 'import json, sys; print(*sorted(g["path"] + "=" + g["state"] for g in json.load(sys.stdin)["guests"]))'; }
l0_pings() { nv exec L0 -- ping -c1 -W5 "$1"; }
libvirtd_prepare || { echo "not ok - a libvirtd of this machine's own"; exit 1; }
echo "somebody:x:$user:$user::/run/test/home:/bin/sh" >> /etc/passwd # those of this machine alone
echo "somebody:x:$user:" >> /etc/group
mkdir -p /run/user/$user /run/test/home
chown $user:$user /run/user/$user /run/test/home
chmod 0755 /run/test
session_start() { as_user libvirtd -d 2>> /run/test/libvirtd.log && virsh uri > /dev/null; }

check "without the user's libvirtd up says so" says "cannot find the libvirt of a user's session: /run/user/$user/libvirt/libvirt-sock" nv up
check "and what starts it" says "systemctl --user start libvirtd" nv up
check "down after it" nv down
check "its user's virtlogd runs" as_user virtlogd -d
check "and libvirtd" session_start
network_facts > before
check "up" nv up
check "all run" says "a=running b=running" states
check "plan finds nothing to do" status 0 nv plan
check "their user sees both" says "mine:a" virsh list --name
check "and has their QEMUs" test "$(pgrep -c -u $user qemu-system)" = 2
check "of root's there are none" status 1 pgrep -u 0 qemu-system
check "libvirt's schema knows all of it" bash -c "HOME=/run/test/home XDG_RUNTIME_DIR=/run/user/$user setpriv --reuid=$user --regid=$user --clear-groups virsh -q -c qemu:///session dumpxml --inactive mine:a > now.xml && xmllint --noout --relaxng /usr/share/libvirt/schemas/domain.rng now.xml"
check "their taps are in the lab's namespace, on its bridge" says "master lan" ip -n nestvisor-mine link show a-0
check "nestvisor runs a program in one" says Linux nv exec a -- uname -s
check "one reaches the other" nv exec a -- ping -c1 -W5 192.168.7.3
check "and the world" nv exec a -- ping -c1 -W5 203.0.113.1
check "L0 reaches both" l0_pings 192.168.7.3
check "the console is there" test -S /run/nestvisor/mine/guests/a/console
check "and what came by it" test -s /run/nestvisor/mine/guests/a/console.log
check "cut holds one" nv cut a
check "it does not ping the world" status 1 nv exec a -- ping -c1 -W2 203.0.113.1
check "the other does" nv exec b -- ping -c1 -W5 203.0.113.1
check "open lets it go" nv open --no-verify a
check "it pings the world" nv exec a -- ping -c1 -W5 203.0.113.1
check "nwfilter is not for it, and that is said" says "a user's own libvirt has no nwfilter" nv cut --method nwfilter a
check "adopt reads that libvirt" says "mine:a" nv adopt qemu:///session
check "the user reads no state of the lab" status 1 as_user cat /run/nestvisor/mine/state.json
check "nor what root believes of a guest" status 1 as_user touch /run/nestvisor/mine/guests/a/pid
check "nor does anybody else" status 1 setpriv --reuid=nobody --regid=nogroup --clear-groups stat /run/nestvisor/mine/guests
check "their user ends one" virsh destroy mine:b
check "status says that it is dead" says "b=dead" states
check "and gives it more memory" virsh setmaxmem mine:b 262144 --config
check "which is told" says "somebody else has changed it" nv plan
check "and overwritten only on request" status 1 nv up
check "up --overwrite" nv up --overwrite
check "all run again" says "a=running b=running" states
check "down" nv down
check "leaves nothing" clean
check "no domain either" test -z "$(virsh list --all --name)"
network_facts > after
check "the machine's own network is as before" diff before after
finish
