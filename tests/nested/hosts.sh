#!/bin/bash
# One lab on three machines: this one, the lab's home; right, where guests are nestvisor's; and third, where they are domains
# of a libvirt. All three are namespaces here (tests/lib/machines).
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/machines"
nestvisor=$(readlink -f "$1")
for program in dropbear dropbearkey ssh libvirtd virtlogd virsh; do
	command -v $program > /dev/null || { skip "everything" "$program is not installed"; exit 77; }
done
nv() { "$nestvisor" "$@"; }
check "a cable of 1400 bytes" machines_prepare 1400
check "right is on it" machine_new right 10.0.0.2 "$nestvisor"
check "third is on it" machine_new third 10.0.0.3 "$nestvisor"
check "third has a libvirt" machine_libvirtd third
work=/run/test/lab
mkdir $work && cd $work || exit 1
network_facts > before
cat > hosts.nest.yaml <<'X'
lab: hosts
cpu-overcommit: 4
defaults: {memory: 128M}
hosts:
  right: {uri: "ssh://root@10.0.0.2"}
  third: {uri: "qemu+ssh://root@10.0.0.3/system"}
networks:
  lan: {subnet: [192.168.122.0/24, "fd00:122::/64"], dhcp: true, dns: true}
guests:
  a: {placement: L0, nics: [{network: lan, address: [192.168.122.10, "fd00:122::10"]}]}
  b: {placement: right, nics: [{network: lan, address: [192.168.122.11, "fd00:122::11"]}], publish: [{port: 8000, as: 18000}]}
  c: {placement: third, nics: [{network: lan, address: [192.168.122.12, "fd00:122::12"]}]}
  d: {placement: right, nics: [{network: lan}]}
policy:
  - allow: {from: b, to: c}
X
states() {
	nv status "$@" --json | python3 -c '
import json, sys
print(*sorted(g["path"] + "=" + str(g.get("host")) + "/" + g["state"] + "/" + g["world"] for g in json.load(sys.stdin)["guests"]))'
}
# promised RESULT PROMISE
promised() { local all; all=$(nv verify 2>&1) || true; printf '%s\n' "$all" | grep -Eq "^$1 +$2" || { printf '%s\n' "$all"; return 1; }; }
all_run="a=L0/running/open b=right/running/open c=third/running/open d=right/running/open"

check "up" nv up
check "every guest runs where it should" until_true 20 says "$all_run" states
check "plan finds nothing to do" status 0 nv plan
check "up again does nothing" says "everything runs" nv up
check "on right there is a bridge without an address" on right sh -c 'test -z "$(ip -n nestvisor-hosts -br address show lan | awk "{print \$3}")"'
check "and no server for DHCP" on right sh -c '! pgrep dnsmasq'
check "third's libvirt has a domain" on third virsh -q -c qemu:///system domstate hosts:c

# packets. 1400 - 50 for VXLAN - 28 for IPv4 and ICMP
no_fragments() { for machine in right third; do on $machine sh -c "awk '/^Ip: [0-9]/ && \$20 + \$18 { print; exit 1 }' /proc/self/net/snmp" || return 1; done; }
check "a pings b" nv exec a -- ping -c1 -W5 192.168.122.11
check "b pings c, machine to machine" nv exec b -- ping -c1 -W5 192.168.122.12
check "c pings a by IPv6" nv exec c -- ping6 -c1 -W5 fd00:122::10
check "guests have the MTU that fits" says "mtu 1350" nv exec b -- ip link show eth0
check "so does the one with an address by DHCP" says "mtu 1350" nv exec d -- ip link show eth0
check "a whole packet passes" nv exec a -- ping -c1 -W5 -s 1322 192.168.122.11
check "between the others, too" nv exec b -- ping -c1 -W5 -s 1322 192.168.122.12
check "unbroken" no_fragments
check "d has its address from home" says "192.168.122." nv exec d -- ip -4 -o address show eth0
check "home's resolver knows who is elsewhere" nv exec d -- nslookup c.hosts 192.168.122.1
check "b gets to the world through home" nv exec b -- ping -c1 -W5 203.0.113.1
check "so does d" nv exec d -- ping -c1 -W5 203.0.113.1
served() { # TCP, from this machine to the published port of a guest on right
	nv exec b -- sh -c 'echo over TCP > /tmp/index.html; httpd -p 8000 -h /tmp' || return 1
	until_true 10 says "over TCP" bash -c 'exec 3<> /dev/tcp/127.0.0.1/18000 && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3'
}
check "a published port of b answers at home" served
check "verify proves that b reaches c" promised proved "allow: .from: b, to: c"
check "by two bridges" way delivered "b right third c" nv path --from b --to c --json

# isolation
check "cut takes b off the world" nv cut b
check "b does not get there" status 1 nv exec b -- ping -c1 -W1 203.0.113.1
check "nor by IPv6" status 1 nv exec b -- ping6 -c1 -W1 2001:db8::1
check "its administrator gets in" says Linux nv exec b -- uname
check "by the network, too" nv exec L0 -- ping -c1 -W5 192.168.122.11
check "and its neighbours" nv exec c -- ping -c1 -W5 192.168.122.11
check "status says so" says "b=right/running/cut" states
check "verify proves that nothing of it gets to the world" promised proved "b is cut"
flushed() { on right ip netns exec nestvisor-hosts nft flush ruleset; }
check "right's rules are gone" flushed
check "home holds b by itself" status 1 nv exec b -- ping -c1 -W1 203.0.113.1
check "status sees it" says "right: not as nestvisor made it: rules" nv status
check "up mends it" nv up
check "plan finds nothing to do" status 0 nv plan
check "seal lets nothing in or out" nv seal b
check "c does not reach it" status 1 nv exec c -- ping -c1 -W1 192.168.122.11
check "its agent answers" says Linux nv exec b -- uname
check "open" nv open b
check "b gets to the world" nv exec b -- ping -c1 -W5 203.0.113.1

# a machine that does not answer
check "right is deaf" machine_deaf right
check "status does not know what is there" says "b=right/unknown/open" states
check "nor does plan, which says so" status 4 nv plan
check "verify does not, either" promised unknown "allow: .from: b, to: c"
check "and knows the rest" says "c=third/running/open" states
check "its guests live on" nv exec a -- ping -c1 -W5 192.168.122.11
check "right answers again" machine_listen right 10.0.0.2
check "all of it is there" until_true 20 says "$all_run" states

# a reboot of home: what it does not keep is gone, and what runs elsewhere runs on
reboot() {
	local pid
	for pid in $(ip netns pids nestvisor-hosts; cat /run/nestvisor/hosts/guests/*/pid); do kill -9 "$pid"; done
	ip netns delete nestvisor-hosts && rm -r /run/nestvisor/hosts
}
pid_there() { on right sh -c 'echo $(cat /run/nestvisor/hosts/guests/b/pid)'; }
before_reboot=$(pid_there)
check "home reboots" reboot
check "what runs elsewhere is known" says "b=right/running" states
sed -i 's/placement: right, //' hosts.nest.yaml
planned_for() { nv plan --json | python3 -c '
import json, sys
print(*sorted(c["path"] + "=" + str(c.get("host")) for c in json.load(sys.stdin)["changes"] if c["what"] == "guest"), "end")'; }
check "only a is to start" says "a=L0 end" planned_for
check "up" nv up
check "b runs on" test -n "$before_reboot" -a "$(pid_there)" = "$before_reboot"
check "b pings a" nv exec b -- ping -c1 -W5 192.168.122.10
check "home reboots again" reboot
check "down" nv down hosts
check "leaves nothing here" clean
check "nor on right" machine_clean right
check "nor on third" machine_clean third
check "third's libvirt has no domain" on third sh -c 'test -z "$(virsh -q -c qemu:///system list --all)"'
network_facts > after
check "the machine's own network is as before" diff before after

# placement is the plan's: nothing is started
placed() { nv plan "$1" --json | python3 -c '
import json, sys
print(*sorted(c["path"] + "=" + str(c.get("host")) for c in json.load(sys.stdin)["changes"] if c["what"] == "guest"))'; }
printf 'lab: apart\ndefaults: {memory: 128M}\ncpu-overcommit: 1\nhosts: {right: {uri: "ssh://root@10.0.0.2"}, third: {uri: "ssh://root@10.0.0.3"}}\nnetworks: {lan: {subnet: 192.168.7.0/24, dhcp: true}}\nguests:\n' > apart.nest.yaml
for guest in x y z; do echo "  $guest: {tags: [db], apart: db, nics: [{network: lan}]}" >> apart.nest.yaml; done
check "who is to be apart is on three machines" says "L0 right third" bash -c "$(declare -f placed nv); nestvisor=$nestvisor; placed apart.nest.yaml | tr ' ' '\n' | sed 's/.*=//' | sort | tr '\n' ' '"
echo "  more: {apart: [x, y, z], nics: [{network: lan}]}" >> apart.nest.yaml
check "a fourth has no place" says "there is no place for more" nv plan apart.nest.yaml
finish
