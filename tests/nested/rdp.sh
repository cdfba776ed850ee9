#!/bin/bash
# Remote Desktop of a guest of a guest: a real client (xfreerdp) with a real server (FreeRDP's shadow server, which wants
# Network Level Authentication as Windows does), by `nestvisor rdp` and by a published port. What the server shows is
# looked for on the client's screen. The server runs in the world; the guest passes its port 3389 on to it, for no image
# here has an X server: every byte goes through L1 and L2 twice.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
for program in Xvfb xfreerdp freerdp-shadow-cli; do
	command -v $program >/dev/null || { skip everything "there is no $program: apt-get install xvfb freerdp2-x11 freerdp2-shadow-x11"; exit 77; }
done
work=$(mktemp -d /run/test/lab.XXXXXX)
cp "$here/../../examples/first.nest.yaml" "$work/"
cd "$work" || exit 1
export HOME=$work # where the client keeps whom it trusts
nv() { "$nestvisor" "$@"; }
sed -i 's/^\( *a: {\)/\1publish: [{port: 3389, as: 13389}], /' first.nest.yaml

# ---- two screens, and the server on the first ----
mkdir screen
paint() { python3 "$here/rdp.py" paint "$work/server.display" "$1"; }
shows() { python3 "$here/rdp.py" shows screen/Xvfb_screen0 "$1"; }
start_screen() { # NAME OPTION…
	mkfifo "$1.ready"
	Xvfb -displayfd 3 -screen 0 640x480x24 -nolisten tcp "${@:2}" 3>"$1.ready" >"$1.log" 2>&1 &
	read -r -t 20 number <"$1.ready" && echo "$number" >"$1.display"
}
check "a screen for the server" start_screen server -noreset
check "and one for the client" start_screen client -fbdir "$work/screen"
check "the server's is blue" paint 2244aa
echo 'nestvisor:::8846F7EAEE8FB117AD06BDD830B7586C:::' >sam # the hash of "password"
DISPLAY=:$(cat server.display) ip netns exec world freerdp-shadow-cli /port:3389 /bind-address:203.0.113.1 "/sam-file:$work/sam" +auth /sec:nla >shadow.log 2>&1 &
export DISPLAY
DISPLAY=:$(cat client.display)

check "up" nv up -q
check "the guest passes its port on" nv exec hv1/a -- sh -c 'nc -ll -p 3389 -e nc 203.0.113.1 3389 </dev/null >/dev/null 2>&1 &'

# ---- rdp: the client that it starts ----
check "nobody sees it yet" status 1 env ONCE=1 python3 "$here/rdp.py" shows screen/Xvfb_screen0 2244aa
python3 "$here/rdp.py" answer password "$nestvisor" rdp hv1/a --user nestvisor >rdp.log 2>&1 &
client=$!
check "what the server shows is on the client's screen" shows 2244aa
paint aa4422
check "and what it shows next" shows aa4422
kill $client
wait $client 2>/dev/null
check "rdp ends with it, and shows it no more" shows 000000

check "a wrong password is refused" says "freerdp_post_connect failed" timeout 60 python3 "$here/rdp.py" answer wrong "$nestvisor" rdp hv1/a --user nestvisor

# ---- the published port, with a client of one's own ----
python3 "$here/rdp.py" answer password xfreerdp /v:127.0.0.1:13389 /u:nestvisor >published.log 2>&1 &
client=$!
check "through the published port" shows aa4422
kill $client
wait $client 2>/dev/null
check "down" nv down -q
finish
