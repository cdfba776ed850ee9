#!/bin/bash
# What goes wrong around nestvisor: each ends in one clear error, loses nothing and leaves nothing.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
one() { # a lab of one guest; $1: what it says beyond that
	cat > one.nest.yaml <<-EOF
	lab: one
	networks: {lab: {subnet: 192.168.130.0/24, uplink: none}}
	guests:
	  g: {memory: 128M, nics: [{network: lab, address: 192.168.130.5}]$1}
	EOF
}
fails() { # fails TEXT COMMAND…: ends with 1 or 2, and says TEXT in an error of nestvisor's own, in few lines
	local want=$1 got=0 all
	shift
	all=$("$@" 2>&1) || got=$?
	echo "$all"
	[ $got = 1 ] || [ $got = 2 ] || { echo "ended with $got"; return 1; }
	case $all in *"$want"*) ;; *) echo "without \"$want\""; return 1 ;; esac
}

# images
one ", image: missing.qcow2"
check "an image that is missing" fails missing.qcow2 nv up
check "leaves nothing behind after down" bash -c "'$nestvisor' down one"
qemu-img create -q -f qcow2 whole.qcow2 64M
qemu-io -c 'write -P 1 0 8M' whole.qcow2 >/dev/null
head -c 100000 whole.qcow2 > short.qcow2
one ", image: short.qcow2"
check "an image that is truncated" fails short.qcow2 nv up
echo "this is a shopping list" > list.qcow2
one ", image: list.qcow2"
check "an image that is none" fails list.qcow2 nv up
check "down after them" nv down one
check "nothing is left after bad images" clean

# privilege and programs
one ""
if id nobody >/dev/null 2>&1 && command -v setpriv >/dev/null; then
	cp one.nest.yaml /run/test/ && chmod 755 /run/test
	# a copy that a user can reach
	install -m 755 "$nestvisor" /run/test/nestvisor
	check "without privilege" fails root setpriv --reuid 65534 --regid 65534 --clear-groups /run/test/nestvisor up /run/test/one.nest.yaml
fi
mkdir empty-path
for program in sh ip; do ln -s "$(command -v $program)" empty-path/; done
check "without QEMU" fails "apt-get install" env PATH="$work/empty-path" "$nestvisor" up
check "down after that" nv down one
check "nothing is left after missing programs" clean

# the accelerator
nokvm() { unshare --mount bash -c 'mount --bind /dev/null /run/test/x 2>/dev/null; mkdir -p /run/test/dev; mount -t tmpfs tmpfs /run/test/dev; cp -a /dev/null /dev/zero /dev/random /dev/urandom /dev/tty /dev/fd /dev/stdin /dev/stdout /dev/stderr /run/test/dev/ 2>/dev/null; mkdir -p /run/test/dev/net /run/test/dev/shm /run/test/dev/pts; cp -a /dev/net/tun /run/test/dev/net/; mount --move /run/test/dev /dev; exec "$@"' sh "$@"; }
export NESTVISOR_CACHE_KEEP=${NESTVISOR_CACHE:-/var/cache/nestvisor}
check "without /dev/kvm the lab runs, and says how" says tcg nokvm "$nestvisor" up --verbose
check "its guest answers" nv exec g -- true
check "status names the accelerator" says tcg nv status --json
check "down after that" nv down
if [ -e /dev/kvm ]; then
	check "a /dev/kvm that runs nothing, or one that does: up works" nv up
	check "its guest answers as well" nv exec g -- true
	check "down after that, too" nv down
fi
check "nothing is left after accelerators" clean

# the subnet is taken by the machine
sed -i 's/uplink: none/uplink: nat/' one.nest.yaml
ip link add taken type veth peer name taken1
ip address add 192.168.130.77/24 dev taken
ip link set taken up
ip link set taken1 up
check "a subnet that the machine has already" fails 192.168.130.0/24 nv up
ip link del taken
sed -i 's/uplink: nat/uplink: none/' one.nest.yaml
check "down after a taken subnet" nv down one
check "nothing is left after a taken subnet" clean

# disk full while an image is built
mkdir small
mount -t tmpfs -o size=20m tmpfs small
check "a full disk while building an image" fails "free there" env NESTVISOR_CACHE="$work/small" "$nestvisor" up
check "and its remains are gone" test "$(du -sk small | cut -f1)" -lt 1024
umount small
check "down after a full disk" nv down one
check "nothing is left after a full disk" clean

# two at once, and Ctrl-C
"$nestvisor" up > first.out 2>&1 &
first=$!
until_true 20 test -s /run/nestvisor/one/journal
check "a second up that must not wait says who holds the lab" fails "$first" nv up --no-wait
check "a second up waits" nv up
check "the first one finished" wait $first
check "down after two" nv down
# bash lets its background jobs ignore SIGINT
python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' "$nestvisor" up > interrupted.out 2>&1 &
first=$!
until_true 20 grep -q '"begin":"ready g"' /run/nestvisor/one/journal
kill -INT $first
check "Ctrl-C ends it with 130" status 130 wait $first
check "and says what is left" grep -q 'nestvisor down' interrupted.out
check "up goes on from there" nv up
check "down after Ctrl-C" nv down
check "nothing is left after two and Ctrl-C" clean

# L1 is killed while its L2s start
cp "$here/../../examples/first.nest.yaml" .
"$nestvisor" up first.nest.yaml > killed.out 2>&1 &
first=$!
until_true 60 grep -q '"begin":"part hv1"' /run/nestvisor/first/journal
kill -9 "$(cut -d' ' -f1 /run/nestvisor/first/guests/hv1/pid)"
check "L1 killed while L2s start: up starts it once more" wait $first
check "and says so, and names the guest" grep -q 'hv1.*started once more' killed.out
check "L2 answers" nv exec --lab first hv1/a -- true
kill -9 "$(cut -d' ' -f1 /run/nestvisor/first/guests/hv1/pid)"
check "status says that L1 is dead" says dead nv status first
check "up mends it" nv up first.nest.yaml
check "L2 answers again" nv exec --lab first hv1/a -- true
check "down after L1 was killed" nv down first
check "nothing is left after L1 was killed" clean

# a guest that dies at start
rm first.nest.yaml
one ", memory: 8M"
sed -i 's/memory: 128M, //' one.nest.yaml
check "a guest with too little memory to boot" fails g timeout 200 "$nestvisor" up
check "down after it" nv down one

# names never reach a shell
for name in '../../etc' 'a b' "a'b" 'a"b' '$(touch /run/test/pwned)' ';touch /run/test/pwned' "$(printf 'x%.0s' $(seq 300))"; do
	check "down of a lab named ${name:0:30}" status 2 nv down "$name"
	check "exec in a guest named ${name:0:30}" status 2 nv exec --lab one "$name" -- true
	printf 'lab: "%s"\n' "${name//\"/\\\"}" > bad.nest.yaml
	check "a file with a lab named ${name:0:30}" status 2 nv validate bad.nest.yaml
done
check "no shell ran any of it" test ! -e /run/test/pwned
check "nothing is left at the end" clean
finish
