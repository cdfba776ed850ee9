#!/bin/bash
# A guest of libvirt's is cut, sealed and opened by libvirt's own filter (--method nwfilter), with every way out that we
# know of tried by root in it, and sessions from L0 that live on. What comes out is counted in the world.
#
# nwfilter.sh NESTVISOR GUEST_ATTACK
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/libvirtd"
. "$here/../lib/attack"
nestvisor=$(readlink -f "$1")
sender=$(readlink -f "$2")
for program in libvirtd virtlogd virsh ebtables; do
	command -v $program > /dev/null || { skip "everything" "$program is not installed"; exit 77; }
done
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
virsh() { timeout 60 virsh -q -c qemu:///system "$@"; }
cat > filtered.nest.yaml <<- 'END'
	lab: filtered
	cpu-overcommit: 4
	networks:
	  lan: {subnet: [192.168.122.0/24, "fd00:122::/64"], uplink: nat, dns: true}
	  other: {subnet: [192.168.123.0/24, "fd00:123::/64"], uplink: nat, dns: true}
	guests:
	  x: {driver: "qemu:///system", cpus: 2, memory: 128M, nics: [{network: lan, queues: 2, address: [192.168.122.10, "fd00:122::10"]}]}
	  y: {memory: 128M, nics: [{network: lan, address: [192.168.122.11, "fd00:122::11"]}]}
END
libvirtd_prepare && check "libvirtd runs" libvirtd_start
attack_world "$here"
facts() { network_facts | grep -vx "table bridge nat"; } # ebtables leaves it, empty
facts > before
check "up" nv up -q
[ $failures = 0 ] || finish
attack_uplink "$here"
pinged="192.168.122.10 192.168.122.11"
no_verify() { NESTVISOR_NO_VERIFY=1 nv "$@"; }
world4() { nv exec x -- ping -c1 -W2 203.0.113.1; }
world6() { nv exec x -- ping -c1 -W2 2001:db8::1; }

# who cannot be held so
check "a guest of QEMU's own is refused, with the reason" says "nwfilter is libvirt's, and y is no guest of a libvirt" nv cut y --method nwfilter
check "and all of them, too" status 1 nv cut --all --method nwfilter
check "what a filter cannot do is refused" says "--allow is for --method nft" nv cut x --method nwfilter --allow 203.0.113.1
check "a timed opening, too" says "--for is for --method nft" bash -c "'$nestvisor' cut x -q && '$nestvisor' open x --for 1m --method nwfilter"
check "open" no_verify open x
check "somebody else's filter of that name" virsh nwfilter-define <(echo "<filter name='nestvisor-cut'><uuid>11111111-2222-3333-4444-555555555555</uuid></filter>")
check "is left alone" says "it is not nestvisor's" nv cut x --method nwfilter
check "and the lab's rules hold the guest until then" says '"path":"x","world":"cut","set":"cut","file":"open","method":"nft"' nv isolate status --json
check "x does not reach the world" status 1 world4
check "the other filter goes" virsh nwfilter-undefine nestvisor-cut
check "open" no_verify open x
check "x reaches the world" world4
check "and by IPv6" world6

# a session from L0, with an answer to each line, over everything that follows
nv exec x -- sh -c 'nc -ll -p 7 -e cat >/dev/null 2>&1 </dev/null & until grep -q ":0007 .* 0A " /proc/net/tcp /proc/net/tcp6; do sleep 0.02; done'
mkfifo session.in
nv exec L0 -- nc 192.168.122.10 7 < session.in > session.out &
exec 9<> session.in
lines=0
session() { # it answers, and has lost nothing
	lines=$((lines + 1))
	echo "line $lines" >&9
	until_true 20 grep -qx "line $lines" session.out || return 1
	[ "$(wc -l < session.out)" = $lines ]
}
check "a session from L0 is there" session
nv exec x -- sh -c '(while sleep 0.1; do echo tick; done | nc 203.0.113.1 7001) >/dev/null 2>&1 </dev/null &' # a flow to the world

# every way out, open and cut
strip -o sender "$sender"
check "the ways out are copied into x" nv cp -q sender x:/tmp/sender
for address in 192.168.122.1 192.168.122.11 fd00:122::1 fd00:122::11; do nv exec x -- ping -c1 -W5 -q $address; done > /dev/null
attack_cut() { no_verify cut "$@" --method nwfilter; }
check "x has two queues, and uses both" two_queues x
on="taskset 2" # the second of them
attack_round attack_cut x direct x 192.168.122.10 fd00:122::10
check "virsh shows the filter on the interface" says "<filterref filter='nestvisor-cut'>" virsh dumpxml filtered:x
check "and in what it starts next time" says "<filterref filter='nestvisor-cut'>" virsh dumpxml --inactive filtered:x
check "libvirt's schema knows all of it" bash -c "virsh -q -c qemu:///system nwfilter-dumpxml nestvisor-cut > now.xml && xmllint --noout --relaxng /usr/share/libvirt/schemas/nwfilter.rng now.xml"
check "the session lives on" session
check "L0 pings it" nv exec L0 -- ping -c1 -W5 192.168.122.10
check "and by IPv6" nv exec L0 -- ping -c1 -W5 fd00:122::10
check "its neighbour, too" nv exec y -- ping -c1 -W5 192.168.122.10
check "names of the lab it is told" says 192.168.122.11 nv exec x -- nslookup y
check "no flow of it to the world is left" bash -c "! ip netns exec nestvisor-filtered conntrack -L -s 192.168.122.10 2> /dev/null | grep 203.0.113.1"
check "verify proves it by what libvirt has written" says '"text":"x is cut: it reaches nothing of the world","implied":true,"line":null,"result":"proved"' nv verify --json
check "isolate status says by what" says '"world":"cut","set":"cut","file":"open","method":"nwfilter"' nv isolate status --json
check "and that it is in force" says '"missing_at":null' nv isolate status --json
check "plan finds nothing to do" status 0 nv plan

# somebody takes the filter away
virsh dumpxml filtered:x | sed -n '/<interface/,/<\/interface>/p' | sed '/<filterref/,/<\/filterref>/d' > bare.xml
check "somebody takes the filter away" virsh update-device filtered:x --live bare.xml
check "status knows" says "not at L0" nv isolate status
check "verify, too" says '"result":"violated"' nv verify --json
check "said again, it is there again" no_verify cut x --method nwfilter
check "x does not reach the world" status 1 world4

# sealed, and back
check "seal" no_verify seal x --method nwfilter
check "L0 does not reach it" status 1 nv exec L0 -- ping -c1 -W2 192.168.122.10
check "verify proves it" says "x is sealed: nothing comes out of it, nothing gets in\",\"implied\":true,\"line\":null,\"result\":\"proved\"" nv verify --json
check "cut again" no_verify cut x --method nwfilter
check "the session still lives" session

# it is started again
check "virsh ends the domain" virsh destroy filtered:x
check "up starts it" nv up -q
check "with its filter" says "<filterref filter='nestvisor-cut'>" virsh dumpxml filtered:x
check "x does not reach the world" status 1 world4
check "nor by IPv6" status 1 world6
check "L0 pings it" nv exec L0 -- ping -c1 -W5 192.168.122.10

# killed in between: libvirt is slow enough for that
for moment in 0.02 0.1 0.2 0.4; do
	check "open" no_verify open x
	check "x reaches the world" until_true 5 world4
	no_verify cut x --method nwfilter > /dev/null 2>&1 & cutter=$!
	read -rt $moment <> <(:) || true
	kill -9 $cutter 2> /dev/null
	{ wait $cutter; } 2> /dev/null
	if says '"path":"x","world":"cut"' nv isolate status --json > /dev/null; then
		check "killed after $moment s: what is reported cut is cut" status 1 world4
	fi
done

check "cut" no_verify cut x --method nwfilter
check "open" no_verify open x
check "x reaches the world" world4
check "and by IPv6" world6
check "its domain has no filter any more" bash -c "! virsh -q -c qemu:///system dumpxml filtered:x | grep filterref"
check "nor has libvirt one of nestvisor's" bash -c "! virsh -q -c qemu:///system nwfilter-list | grep nestvisor"
check "cut" no_verify cut x --method nwfilter
exec 9>&-
check "down" nv down
check "leaves nothing" clean
check "nor a filter" bash -c "! virsh -q -c qemu:///system nwfilter-list | grep nestvisor"
check "nor a rule" bash -c "! nft list ruleset | grep -E 'libvirt-|nestvisor'"
facts > after
check "the machine's own network is as before" diff before after
echo "# $SECONDS s"
finish
