#!/bin/bash
# Every way out that we know of, tried by root in a guest of L1 and in a guest of L2: open, so that it is seen to be one,
# and cut. What comes out is counted in the world and at the machine's end of the lab, not asked of guests. Then the same
# by somebody who has taken over the hypervisor; what still holds must be what `verify` says of it.
#
# attack.sh NESTVISOR GUEST_ATTACK [L0 [L1]]: the driver of each, qemu or libvirt
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/attack"
. "$here/../lib/drivers"
drivers "${3:-qemu}" "${4:-qemu}"
pinged="192.168.122.10 192.168.122.20 192.168.124.91"
nestvisor=$(readlink -f "$1")
sender=$(readlink -f "$2")
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
export NESTVISOR_NO_VERIFY=1 # packets tell; `verify` is asked where it is compared

with_drivers > attack.nest.yaml <<'END'
lab: attack
cpu-overcommit: 4
networks:
  lan: {subnet: [192.168.122.0/24, "fd00:122::/64"], uplink: nat, dns: true}
  other: {subnet: [192.168.123.0/24, "fd00:123::/64"], uplink: nat, dns: true}
guests:
  x: {cpus: 2, memory: 128M, nics: [{network: lan, queues: 2, address: [192.168.122.10, "fd00:122::10"]}]}
  y: {memory: 128M, nics: [{network: lan, address: [192.168.122.11, "fd00:122::11"]}]}
  hv:
    image: micro
    cpus: 1 # emulation resets one of two now and then
    memory: 1G
    cpu-overcommit: 4
    nics: [{network: lan, address: [192.168.122.20, "fd00:122::20"]}]
    networks:
      inner: {subnet: [192.168.124.0/24, "fd00:124::/64"], uplink: route}
    guests:
      a: {memory: 128M, nics: [{network: inner, address: [192.168.124.91, "fd00:124::91"]}]}
      b: {memory: 128M, nics: [{network: inner, address: [192.168.124.92, "fd00:124::92"]}]}
policy:
  - deny: {from: x, to: world, even-if-compromised: [x]}
  - deny: {from: x, to: world, even-if-compromised: [x, hv]}
  - deny: {from: hv/a, to: world, even-if-compromised: [hv/a]}
  - deny: {from: hv/a, to: world, even-if-compromised: [hv]}
  - deny: {from: hv, to: world, even-if-compromised: [hv]}
END

attack_world "$here"

enough() { # without these there is nothing to be seen
	[ $failures = 0 ] && return
	finish
}
check "up" nv up -q
enough
attack_uplink "$here"

# ─── guests ───
strip -o sender "$sender"
for guest in x hv/a; do
	check "the ways out are copied into $guest" nv cp -q sender $guest:/tmp/sender
done
for address in 192.168.122.1 192.168.122.11 fd00:122::1 fd00:122::11; do nv exec x -- ping -c1 -W5 -q $address; done >/dev/null
for address in 192.168.124.1 fd00:124::1 192.168.122.1 fd00:122::1; do nv exec hv/a -- ping -c1 -W5 -q $address; done >/dev/null

check "x has two queues, and uses both" two_queues x
on="taskset 2" # the second of them; the others have one
attack_round "nv cut" x direct x 192.168.122.10 fd00:122::10
on=
attack_round "nv cut" hv/a deep a 192.168.124.91 fd00:124::91

# ─── the hypervisor is taken over ───

# What `verify` promises of each line of the policy: proved or violated.
ask() { nv verify attack --json > "$1" 2>/dev/null; test -s "$1"; }
# What whoever has taken over hv can do for others; WORDS are their names in what comes out.
relay() { # x sends by way of hv, which puts its own address in front
	nv exec hv -- sh -c "echo 1 > /proc/sys/net/ipv4/ip_forward; nft flush ruleset; nft 'add table ip r; add chain ip r p { type nat hook postrouting priority 100; }; add rule ip r p masquerade'"
	nv exec x -- sh -c "ip route replace default via 192.168.122.20; timeout 5 nslookup $1.example.org 203.0.113.1 >/dev/null 2>&1"
	true
}
borrow() { # hv/a sends with the address of hv/b
	nv exec hv/a -- sh -c "ip address add 192.168.124.92/24 dev eth0 2>/dev/null; ip route replace default via 192.168.124.1 src 192.168.124.92; timeout 5 nslookup $1.example.org 203.0.113.1 >/dev/null 2>&1"
	true
}
itself() { nv exec hv -- sh -c "timeout 5 nslookup $1.example.org 203.0.113.1 >/dev/null 2>&1"; true; }
# Which of these lines cannot be proved while hv is as it was: x is cut, but may ask hv, and whether a program there asks
# the world for it is not known from rules.
not_known="deny: {from: x, to: world, even-if-compromised: [x]}"
# compare ANSWER LINE=WORD…: what brought something out was called violated, all else proved; nothing came out of what is
# not known.
compare() {
	python3 - "$not_known" "$@" <<-'END'
	import json, sys
	said = {p["text"]: p["result"] for p in json.load(open(sys.argv[2]))["policies"]}
	frames = open("world.frames").read() + open("uplink.frames").read()
	wrong = 0
	for pair in sys.argv[3:]:
	    line, word = pair.rsplit("=", 1)
	    out = bool(word) and word in frames
	    allowed = ["violated"] if out else ["proved"] + ["unknown"] * (line == sys.argv[1])
	    right = said[line] in allowed
	    wrong += not right
	    print(f"{'' if right else 'FAILED '}{line}: {said[line]}; {'came out' if out else 'nothing came out'}")
	sys.exit(wrong > 0)
	END
}
world=$(lines world.frames) wire=$(lines uplink.frames)
check "verify is asked what holds" ask before.json
check "somebody takes over hv, and its rules are gone" nv exec hv -- sh -c "nft flush ruleset; ip netns exec nestvisor-attack nft flush ruleset"
check "the ways out are copied into hv" nv cp -q sender hv:/tmp/sender
nv exec hv -- sh -c "for to in 192.168.122.1 192.168.122.11 fd00:122::1 fd00:122::11; do ping -c1 -W5 -q \$to; done" >/dev/null
attack hv direct h 192.168.122.20 fd00:122::20
check "hv has tried all ways while it was open" reached hv ready
nv exec hv -- cat /tmp/ways > hv.ways
relay wro000x
borrow wso000x
itself wto000x
check "all of that has arrived" fence
check "open: the ways of a hypervisor are ways" open_judge hv.ways "$world" "$wire"
output | grep -v "^  [^F]"
for guest in x hv/a; do # of which nothing came out, see above
	check "what verify said of $guest is so" compare before.json "deny: {from: $guest, to: world, even-if-compromised: [$guest]}="
	output
done
check "what verify said of x with hv is so" compare before.json "deny: {from: x, to: world, even-if-compromised: [x, hv]}=wro000x"
check "what verify said of hv/a with hv is so" compare before.json "deny: {from: hv/a, to: world, even-if-compromised: [hv]}=wso000x"
check "what verify said of hv is so" compare before.json "deny: {from: hv, to: world, even-if-compromised: [hv]}=wto000x"

# L0 holds it: cut there, it may do what it likes.
nv cut hv >/dev/null 2>&1 # hv itself is told, too, and may answer whatever it wants
check "L0 says that hv is cut" says '"path":"hv","world":"cut"' nv isolate status --json
check "what came before has arrived" fence
world=$(lines world.frames) wire=$(lines uplink.frames)
nv exec hv -- sh -c "nft flush ruleset; ip netns exec nestvisor-attack nft flush ruleset; touch /tmp/go"
relay wrc000x
borrow wsc000x
itself wtc000x
check "hv has tried all ways once more" reached hv done
check "all that could arrive has arrived" fence
check "cut: nothing of the hypervisor is in the world, whatever it does" judge hv.ways 1 "$world" "$wire"
output | tail -n1
ask after.json
check "what verify says is so" compare after.json \
	"deny: {from: x, to: world, even-if-compromised: [x, hv]}=wrc000x" \
	"deny: {from: hv/a, to: world, even-if-compromised: [hv]}=wsc000x" \
	"deny: {from: hv, to: world, even-if-compromised: [hv]}=wtc000x"
output
echo "# $SECONDS s"
finish
