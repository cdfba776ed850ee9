#!/bin/bash
# Cut, open and seal at run time, at every layer, across kills, restarts and hypervisors that do not answer.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
work=$(mktemp -d /run/test/lab.XXXXXX)
cp "$here/../../examples/first.nest.yaml" "$work/"
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
export NESTVISOR_NO_VERIFY=1 # packets tell, and sooner
out() { nv exec "$1" -- ping -c1 -W1 203.0.113.1 >/dev/null 2>&1; }
out6() { nv exec "$1" -- ping -6 -c1 -W1 2001:db8::1 >/dev/null 2>&1; }
not() { ! "$@"; }
kill_hypervisor() { kill -9 "$(cut -d" " -f1 /run/nestvisor/first/guests/hv1/pid)"; }
guest_is() { # PATH KEY VALUE
	nv isolate status --json | python3 -c 'import json, sys
guest = {g["path"]: g for g in json.load(sys.stdin)["guests"]}[sys.argv[1]]
sys.exit(str(guest[sys.argv[2]]) != sys.argv[3])' "$@"
}

check "a lab that does not run cannot be switched" status 2 nv cut hv1/a --lab first
check "up" nv up -q
check "an L2 guest is out in the world" out hv1/a
check "cut of an L2 guest is done at both layers" says "hv1" nv cut hv1/a
check "it is out no more" not out hv1/a
check "its neighbour is" out hv1/b
check "its host is" out hv1
check "isolate status says so" guest_is hv1/a world cut
check "and that it is in force everywhere" guest_is hv1/a missing_at None
check "L1 itself says so" says cut nv exec hv1 -- nestvisor isolate status --lab first
check "the administrator still pings it" nv exec L0 -- ping -c1 -W3 192.168.124.91
check "up has nothing to do" says "everything runs" nv up
check "the same again is nothing" says '"elements":0' nv cut hv1/a --json
check "the guest itself is asked, too, and the proof is shown" says "hv1/a does not reach the world" env -u NESTVISOR_NO_VERIFY "$nestvisor" cut hv1/a
check "the proof is in its JSON" says '"verify":{' env -u NESTVISOR_NO_VERIFY "$nestvisor" cut hv1/a --json
check "open lets it out at once" nv open hv1/a
check "and it is out" out hv1/a
check "an unknown guest" status 2 nv cut hv1/c
check "no guest" status 2 nv cut
check "an open guest cannot be opened for a while" status 1 nv open hv1/a --for 1m

in_l1() { nv exec hv1 -- ip netns exec nestvisor-first "$@"; }
not_as_made() { says "hv1: not as nestvisor made it: $1;" nv status; }
mended() { # by `up`, which then has nothing to do
	nv up -q && says "everything runs" nv up && ! nv status | grep "not as nestvisor made it"
}
check "cut of an L2 guest" nv cut hv1/a
check "somebody flushes the rules of L1" in_l1 nft flush ruleset
check "status says so" not_as_made rules
check "so does isolate status" guest_is hv1/a missing_at hv1
check "plan says what up would do" status 3 nv plan
check "it is still cut, by L0" not out hv1/a
check "up mends it" mended
check "it is in force again" guest_is hv1/a missing_at None
check "L1's rules are there" in_l1 nft list table inet nestvisor
check "somebody opens one element of L1's rules" in_l1 nft flush map bridge nestvisor tap_from
check "status says so, too" not_as_made rules
check "a cut that is said once more mends it" says "hv1" nv cut hv1/a
check "and it is in force" guest_is hv1/a missing_at None
check "somebody takes L1's way out" in_l1 ip route del default
check "its neighbour is not out" not out hv1/b
check "status says so" not_as_made uplink
check "up mends it" mended
check "its neighbour is out" out hv1/b
check "somebody leads L1's way out elsewhere" in_l1 ip route replace default via 192.168.124.91
check "its neighbour is not out" not out hv1/b
check "status says so" not_as_made uplink
check "up mends it" mended
check "its neighbour is out" out hv1/b
check "somebody switches forwarding off in L1, and looser checks on" in_l1 sh -c "
	echo 0 > /proc/sys/net/ipv4/conf/inner/forwarding; echo 2 > /proc/sys/net/ipv4/conf/world/rp_filter"
check "status says so" not_as_made sysctls
check "up mends it" mended
check "its neighbour is out" out hv1/b
check "somebody takes the addresses of L1's network" in_l1 ip address flush dev inner
check "status says so" not_as_made "networks, uplink"
check "up mends it" mended
check "its neighbour is out" out hv1/b
check "somebody flushes the rules of L0, takes a route, and flushes those of L1" sh -c "
	nft flush ruleset; ip netns exec nestvisor-first nft flush ruleset; ip -n nestvisor-first route del 192.168.124.0/24
	'$nestvisor' exec hv1 -- ip netns exec nestvisor-first nft flush ruleset"
check "status says so" says "L0: not as nestvisor made it: rules, routes, uplink;" nv status
check "of L1, too" not_as_made rules
check "up mends all" mended
check "its neighbour is out" out hv1/b
check "it is not" not out hv1/a
check "open" nv open hv1/a

signal_hypervisor() { kill -"$1" "$(cut -d" " -f1 /run/nestvisor/first/guests/hv1/pid)"; }
not_done() { # a cut that says that it is not, where it is, and where it is not yet
	status 1 nv cut hv1/a --json > cut.json && python3 -c '
import json
answer = json.load(open("cut.json"))
layers = {layer["host"]: layer["result"] for layer in answer["layers"]}
print(answer["complete"], layers)
assert answer["complete"] is False and layers == {"": "done", "hv1": "failed"}'
}
check "L1 stops answering" signal_hypervisor STOP
check "a cut is in force at L0, not known to be at L1, and not called done" not_done
check "status says where it is not known to be" guest_is hv1/a missing_at hv1
check "L1 answers again" signal_hypervisor CONT
check "it is not out" not out hv1/a
check "said once more, it is done" nv cut hv1/a
check "everywhere" guest_is hv1/a missing_at None
check "open" nv open hv1/a

check "cut of L1 takes along all below it" nv cut hv1
check "L1 is cut" not out hv1
check "L2 is cut" not out hv1/b
check "open for a while" nv open hv1 --for 10
check "L2 is out" out hv1/b
check "it says until when" says "20" nv isolate status
until_true 40 not out hv1/b
check "it is closed by itself" not out hv1/b
check "status says so" guest_is hv1/b world cut
check "up has nothing to do" says "everything runs" nv up
check "open" nv open hv1

check "seal" nv seal hv1/a
check "sealed: no ping from L0" not nv exec L0 -- ping -c1 -W1 192.168.124.91
check "sealed: the agent still works" says Linux nv exec hv1/a -- uname -s
check "up keeps it" says "everything runs" nv up
check "a killed hypervisor" kill_hypervisor
until_true 10 says dead nv status
check "a guest that is down is cut for its start" says "does not run" nv cut hv1/b
check "up again" nv up -q
check "hv1/a is still sealed" not nv exec L0 -- ping -c1 -W1 192.168.124.91
check "hv1/b is cut" not out hv1/b
check "hv1/b answers its administrator" nv exec L0 -- ping -c1 -W3 192.168.124.92
check "L1 knows" says sealed nv exec hv1 -- nestvisor isolate status --lab first
check "open all" nv open --all
check "hv1/a is out" out hv1/a
check "audit log" grep -q '"who"' /var/lib/nestvisor/first/audit.log
check "down" nv down
finish
