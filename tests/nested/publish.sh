#!/bin/bash
# Published ports of guests of L1 and L2: from this machine and from the world, while they are cut, and until their line
# goes from the file. Sessions outlive cut and open.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
work=$(mktemp -d /run/test/lab.XXXXXX)
cp "$here/../../examples/first.nest.yaml" "$work/"
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
export NESTVISOR_NO_VERIFY=1 # packets tell, and sooner
not() { ! "$@"; }
publish() { # GUEST-LINE-PATTERN LIST
	sed -i "s/^\( *$1: {\)/\1publish: [$2], /" first.nest.yaml
}
# What comes back from a guest that echoes, to a client in a namespace ("" for this machine's).
echoes() { # NAMESPACE ADDRESS PORT [udp]
	${1:+ip netns exec $1} python3 - "$2" "$3" "${4:-tcp}" <<'PYTHON'
import socket, sys
address, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((address, port))
s.sendall(b"question\n")
sys.exit(s.recv(100) != b"question\n")
PYTHON
}
# A guest that echoes what comes to a TCP port, for each connection anew.
serve() { # GUEST PORT
	nv exec "$1" -- sh -c "nc -ll -p $2 -e cat </dev/null >/dev/null 2>&1 &"
}
# A session that says something whenever it is asked to, and fails when it is not answered.
start_session() {
	coproc SESSION { python3 -u -c '
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
s.settimeout(5)
for line in sys.stdin:
    s.sendall(line.encode())
    print("kept" if s.recv(100) == line.encode() else "lost", flush=True)' "$1" "$2" 2>&1; }
}
session_lives() {
	echo "still there" >&"${SESSION[1]}" && read -r -t 10 answer <&"${SESSION[0]}" && [ "$answer" = kept ]
}
out() { nv exec "$1" -- ping -c1 -W1 203.0.113.1 >/dev/null 2>&1; }

publish a '{port: 3389, as: 13389}, {port: 5022, address: 203.0.113.2, as: 10022}, {port: 5022, address: \"2001:db8::2\", as: 10022}'
publish b '{port: 3389, as: 13390}'
sed -i 's/^    memory: 1G$/    memory: 1G\n    publish: [{port: 7000, as: 17000}]/' first.nest.yaml
picture() { ip -o addr | awk '$2 !~ /^nv/' | grep -v valid_lft; sysctl -a 2>/dev/null | grep -E '^net\.ipv[46]\.(ip_forward|conf\.(all|lo|wan|default)\.)'; nft list tables | grep -v nestvisor-first; }
before=$(picture)
check "a plan" status 3 nv plan
check "up" nv up -q
check "up again has nothing to do" says "everything runs" nv up
check "the guests serve" serve hv1/a 3389
serve hv1/a 5022; serve hv1/b 3389; serve hv1 7000
check "L2 from this machine, at 127.0.0.1" echoes "" 127.0.0.1 13389
check "another L2 with the same port" echoes "" 127.0.0.1 13390
check "L1" echoes "" 127.0.0.1 17000
check "L2 from this machine, at its own address" echoes "" 203.0.113.2 10022
check "L2 from the world" echoes world 203.0.113.2 10022
check "L2 from the world over IPv6" echoes world 2001:db8::2 10022
check "what is at 127.0.0.1 is not for the world" not echoes world 203.0.113.2 13389
check "status says where" says "127.0.0.1:13389" nv status
check "so does its JSON" says '"as":13389' nv status --json
start_session 127.0.0.1 13389
check "a session" session_lives
check "cut" nv cut hv1/a hv1/b
check "it is cut" not out hv1/a
check "which is proved, with its sessions and all others that may begin" says "proved: 8 of 8 promises kept" nv verify
check "the session lives" session_lives
check "others begin" echoes "" 127.0.0.1 13389
check "from the world, too, which is what was said" echoes world 203.0.113.2 10022
check "open" nv open hv1/a hv1/b
check "the session lives" session_lives
check "cut of L1" nv cut hv1
check "the session lives" session_lives
check "open of L1" nv open hv1
check "seal" nv seal hv1/b
check "sealed is sealed" not echoes "" 127.0.0.1 13390
check "open again" nv open hv1/b
check "and published again" echoes "" 127.0.0.1 13390
[ "$before" = "$(picture)" ] && echo "ok - the machine is as it was" || { echo "not ok - the machine is as it was"; failures=$((failures + 1)); }

sed -i 's/{port: 3389, as: 13389}, //' first.nest.yaml
check "plan shows that a port goes" says "publish" nv plan
check "up takes it away" nv up -q
check "it is gone" not echoes "" 127.0.0.1 13389
check "the others are there" echoes "" 127.0.0.1 13390
check "up has nothing to do" says "everything runs" nv up
sed -i 's/as: 13390/as: 13391/' first.nest.yaml
check "plan shows that a port moves" says "publish" nv plan
check "up moves it" nv up -q
check "it is where it was meant to be" echoes "" 127.0.0.1 13391
check "and no more where it was" not echoes "" 127.0.0.1 13390
python3 -c 'import socket, time; s = socket.create_server(("127.0.0.1", 13392)); time.sleep(600)' &
server=$!
until_true 10 sh -c "ss -Hltn \"sport = :13392\" | grep -q ."
sed -i 's/as: 13391/as: 13392/' first.nest.yaml
check "a port that somebody has is refused" says "13392/tcp of 127.0.0.1" nv up
kill $server
"$nestvisor" forward -q hv1/b 3389 --as 14000 &
forward=$!
until_true 10 sh -c "ss -Hltn \"sport = :14000\" | grep -q ."
check "a session without rules" echoes "" 127.0.0.1 14000
check "and another" echoes "" 127.0.0.1 14000
kill $forward
wait $forward
check "it ends with the command" not echoes "" 127.0.0.1 14000
check "down" nv down
check "nothing is left" not sh -c 'nft list tables | grep nestvisor || ip link | grep "nv[0-9a-f]*p"'
finish
