#!/bin/bash
# A machine that does not forward, as Debian's default is: the lab's way out is pasta. What is proved there stays proved
# when guests have talked to the world, whose neighbour table then knows more than before.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
nv() { "$nestvisor" "$@"; }
command -v pasta >/dev/null || { skip "everything" "pasta (package passt) is not installed"; exit 77; }
echo 0 > /proc/sys/net/ipv4/ip_forward
echo 0 > /proc/sys/net/ipv6/conf/all/forwarding
cd "$here/../../examples" || exit 1
ip netns exec world python3 -m http.server 80 --bind 203.0.113.1 >/dev/null 2>&1 &
server=$!
# The end of a connection gets lost in pasta now and then, and nc would wait for it for ever.
ask_world() { nv exec hv1/a -- sh -c 'printf "GET / HTTP/1.0\r\n\r\n" | timeout 10 nc 203.0.113.1 80'; }

check "up" nv up -q first.nest.yaml
check "what the file promises is proved" says "proved: 6 of 6" nv verify first
check "a guest of a guest reaches the world" says "200 OK" ask_world
check "the lab knows its neighbour now" says "lladdr" nv exec L0 -- ip neighbour show dev world
check "path says so, too" says "delivered to whatever is behind world of L0" nv path --from hv1/a --to world --port 80 --lab first
check "and all is proved as before" says "proved: 6 of 6" nv verify first
check "a guest is cut, with the proof" says "proved: 7 of 7" env -u NESTVISOR_NO_VERIFY "$nestvisor" cut hv1/a
check "it does not reach the world" status 1 says "200 OK" ask_world
check "a ping that nobody here gets an answer to is no evidence" says "so this tells nothing" env -u NESTVISOR_NO_VERIFY "$nestvisor" open hv1/a
check "open again" says "200 OK" ask_world
check "down" nv down first
kill $server
finish
