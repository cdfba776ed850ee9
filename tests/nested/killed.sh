#!/bin/bash
# `up` killed by SIGKILL at every step that it journals, in turn: run again, it ends in the same state as an undisturbed
# run, and `down` leaves nothing.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
work=$(mktemp -d /run/test/lab.XXXXXX)
cp "$here/../../examples/first.nest.yaml" "$work/"
cd "$work" || exit 1

# What a lab is, without what differs from run to run.
picture() {
	"$nestvisor" status --json | python3 -c '
import json, sys
def clean(x):
    if isinstance(x, dict): return {k: clean(v) for k, v in x.items() if k not in ("pid", "since")}
    if isinstance(x, list): return [clean(v) for v in x]
    return x
print(json.dumps(clean(json.load(sys.stdin)), indent=1, sort_keys=True))'
	"$nestvisor" exec L0 -- sh -c 'ip -o address | grep -v fe80 | sed "s/^[0-9]*: //" | sort; ip route; ip -6 route | grep -v fe80; nft -s list ruleset' | sed 's/ qlen.*//; s/# handle.*//'
	for guest in hv1 hv1/a hv1/b; do "$nestvisor" exec $guest -- hostname; done
	"$nestvisor" exec L0 -- ping -c1 -W3 -q 192.168.124.92 | grep -o '1 received'
}

check "an undisturbed run" "$nestvisor" up
picture > undisturbed
check "its picture has all guests" grep -q hv1/b undisturbed
check "down" "$nestvisor" down
check "leaves nothing" clean

step=1
while :; do
	"$here/../lib/kill-at" $step /run/nestvisor/first/journal "$nestvisor" up
	killed=$?
	[ $killed = 0 ] || break
	at=$(grep -c '"begin"' /run/nestvisor/first/journal)
	name=$(grep '"begin"' /run/nestvisor/first/journal | tail -n1 | python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["begin"])')
	check "killed at step $step, $at begun ($name): up goes on" "$nestvisor" up
	picture > picture
	check "killed at step $step, $at begun ($name): the same as undisturbed" diff undisturbed picture
	check "killed at step $step, $at begun ($name): down" "$nestvisor" down
	check "killed at step $step, $at begun ($name): leaves nothing" clean
	step=$((step + 1))
done
check "the last one was not there to be killed at" test $killed = 3
check "down after it" "$nestvisor" down
check "there were several steps to be killed at" test $step -gt 8

# And with nothing but down after the kill, at some of them.
for step in 3 9; do
	check "killed at step $step" "$here/../lib/kill-at" $step /run/nestvisor/first/journal "$nestvisor" up
	check "killed at step $step: down alone" "$nestvisor" down first
	check "killed at step $step: down alone leaves nothing" clean
done
finish
