#!/bin/bash
# Proof over a lab that runs: what its file promises is proved; broken on purpose, each break is named by a packet.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
work=$(mktemp -d /run/test/lab.XXXXXX)
sed 's/^policy:/&\n  - allow: {from: hv1\/b, to: world, port: 443\/tcp}\n  - deny: {from: hv1\/a, to: world, even-if-compromised: [hv1\/a]}\n  - deny: {from: hv1\/a, to: world, even-if-compromised: [hv1\/a, hv1]}/; s/      a: {/&world: cut, /' \
	"$here/../../examples/first.nest.yaml" > "$work/first.nest.yaml"
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
in_lab_of_l1() { nv exec hv1 -- ip netns exec nestvisor-first "$@"; }
in_lab() { nv exec L0 -- "$@"; }

# result TEXT RESULT [WORD…]: this promise has that result in the last answer, and its witness has these words.
result() {
	python3 - "$@" <<-'END'
	import json, sys
	text, result, *words = sys.argv[1:]
	answer = json.load(open("answer.json"))
	policy = {p["text"]: p for p in answer["policies"]}[text]
	print(json.dumps({k: v for k, v in policy.items() if k != "witness"}), (policy["witness"] or {}).get("packet"))
	witness = json.dumps(policy["witness"])
	sys.exit(policy["result"] != result or any(w not in witness for w in words))
	END
}
# The leaves have no part in these answers: their facts are those from before.
ask() { nv verify first --json > answer.json; }

cut="hv1/a is cut: it reaches nothing of the world"
guest_alone="deny: {from: hv1/a, to: world, even-if-compromised: [hv1/a]}"
with_host="deny: {from: hv1/a, to: world, even-if-compromised: [hv1/a, hv1]}"
check "up" nv up -q
check "what a taken over hypervisor can do is no secret" status 1 ask
check "cut is proved" result "$cut" proved
check "also if the guest is taken over" result "$guest_alone" proved
check "and the policy" result "allow: {from: L0, to: hv1/a, port: 22/tcp}" proved
check "the administrator's way stays" result "L0 reaches hv1/a" proved
check "with the hypervisor it is not, by the hypervisor's own packets" result "$with_host" violated "whoever has taken over hv1"
check "and what still holds is said" says "an address of hv1/a" nv verify first
check "cut at run time: what that takes away is suspended" says "suspended: allow: {from: hv1/b, to: world, port: 443/tcp}: hv1/b is cut" nv cut hv1/b
ask
check "and so it is for verify" result "allow: {from: hv1/b, to: world, port: 443/tcp}" suspended
check "the cut itself is proved" result "hv1/b is cut: it reaches nothing of the world" proved
check "open" nv open --no-verify hv1/b
ask
check "it holds again" result "allow: {from: hv1/b, to: world, port: 443/tcp}" proved
check "all of it, captured" nv capture --lab first --timeout 300 -o first.tar
check "what still holds of that, too" says "an address of hv1/a" nv verify first.nest.yaml --facts first.tar

for rules in in_lab in_lab_of_l1; do
	handle=$($rules nft -a list chain inet nestvisor forward | sed -n 's/.*iifname "world" jump from_world.*# handle //p')
	$rules nft insert rule inet nestvisor forward position "$handle" udp dport 123 accept
done
check "a rule for one port at both layers" status 1 ask
check "it is found" result "$cut" violated "udp" ":123"
check "the rest holds" result "allow: {from: L0, to: hv1/a, port: 22/tcp}" proved

in_lab_of_l1 nft flush ruleset
check "L1's rules flushed" status 1 ask
check "the guest passes for its neighbour" result "$cut" violated "whoever is in hv1/a" "wan"
check "down" nv down
finish
