# For tests written as scripts: `check NAME COMMAND…` runs a command that must succeed and prints a line for it.
# Sourced. Ends with `finish`.
failures=0
log=$(mktemp "$([ -d /run/test ] && echo /run/test || echo "${TMPDIR:-/tmp}")/nestvisor-log.XXXXXX")

check() {
	local name=$1
	shift
	local status=0
	"$@" >"$log" 2>&1 || status=$?
	if [ $status = 0 ]; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		{ echo "  status $status from: $*"; sed 's/^/  | /' "$log" | tail -n 40; } >&2
		failures=$((failures + 1))
	fi
	return 0
}

# The output of the last checked command.
output() { cat "$log"; }

skip() { echo "skip - $1: $2"; }

# status N COMMAND…: succeeds when the command ends with that status.
status() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[ "$got" = "$want" ] || { echo "ended with $got instead of $want"; return 1; }
}

# says TEXT COMMAND…: succeeds when the output has that text.
says() {
	local want=$1 all
	shift
	all=$("$@" 2>&1) || true
	case $all in *"$want"*) ;; *) printf 'without "%s":\n%s\n' "$want" "$all"; return 1 ;; esac
}

# found HOST ID RESULT TEXT COMMAND…: the doctor's answer in JSON has this finding, with the text in why or evidence.
found() {
	local finding="$1 $2 $3 $4"
	shift 4
	"$@" 2>/dev/null | python3 -c '
import json, sys
host, id, result, *text = sys.argv[1].split(" ", 3)
checks = [c for c in json.load(sys.stdin)["checks"] if c["host"] == host and c["id"] == id]
for c in checks:
    print(c["result"], c["why"], c["evidence"], c["derived"])
    if c["result"] == result and text[0] in (c["why"] + (c["evidence"] or "")):
        sys.exit(0)
sys.exit("no such finding")' "$finding"
}

# way VERDICT HOSTS COMMAND…: what path --json answers is this, by these hosts in this order.
way() {
	local verdict=$1 hosts=$2
	shift 2
	{ "$@" || true; } | python3 -c '
import json, sys
answer = json.load(sys.stdin)
hops = [hop["host"] for hop in answer["hops"]]
print(answer["verdict"], hops, answer.get("missing"), answer["assumptions"])
sys.exit(answer["verdict"] != sys.argv[1] or hops != sys.argv[2].split())' "$verdict" "$hosts"
}

# until_true SECONDS COMMAND…: for things of other processes that give no event; ends as soon as it holds.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { echo "not within the time: $*"; return 1; }
		read -rt 0.05 <> <(:) || true
	done
}

finish() { rm -f "$log"; exit $((failures > 0)); }

# What this machine's own network is, but for our marked uplinks: for a comparison before and after.
network_facts() {
	ip -o link show | grep -v ': nv[0-9a-f]*w' | sed 's/^[0-9]*: //; s/ qlen.*//'
	ip -o address show | grep -v ' nv[0-9a-f]*w ' | sed 's/^[0-9]*: //'
	ip route show table all | grep -v ' dev nv[0-9a-f]*w'
	ip -6 route show table all | grep -v ' dev nv[0-9a-f]*w'
	ip rule; ip -6 rule
	nft list tables | grep -v ' nestvisor-' || true
	sysctl -a 2>/dev/null | grep -E '^net\.(ipv4|ipv6)\..*(forward|rp_filter|accept_ra|redirects|disable_ipv6)' | grep -v '\.nv[0-9a-f]*w\.'
}

# Everything on this machine that could be a lab's.
leftovers() {
	ip netns list | grep nestvisor || true
	ip -o link show | grep -E ': nv[0-9a-f]+(w|p|t[0-9]+)[@:]' || true
	nft list tables | grep nestvisor || true
	pgrep -a qemu-system || true
	pgrep -a swtpm || true
	pgrep -a dnsmasq || true
	pgrep -a pasta || true
	find /run/nestvisor /var/lib/nestvisor -mindepth 1 2>/dev/null || true
	grep -E 'nestvisor' /proc/self/mounts | grep -v ' /var/lib/nestvisor ' | grep -v "/var/cache/nestvisor" || true
}
clean() { local left; left=$(leftovers); [ -z "$left" ] || { echo "left behind:"; echo "$left"; return 1; }; }
