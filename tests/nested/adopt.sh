#!/bin/bash
# Domains and networks that nestvisor did not make, in a libvirtd of this machine's own (tests/lib/libvirtd): adopted, compared,
# cut, sealed and opened, and never changed.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/libvirtd"
nestvisor=$(readlink -f "$1")
for program in libvirtd virtlogd virsh; do
	command -v $program > /dev/null || { skip "everything" "$program is not installed"; exit 77; }
done
nv() { timeout 120 "$nestvisor" "$@"; }
virsh() { timeout 60 virsh -q -c qemu:///system "$@"; }
image=$(nv image micro --json) || { echo "not ok - the image micro"; exit 1; }
cd "$(mktemp -d /run/test/adopt.XXXXXX)" || exit 1

# ─── without libvirt ───
library=$(ldconfig -p | sed -n 's/.*libvirt\.so\.0 .*=> //p' | head -n1)
check "without libvirt's library adopt says so" says "libvirt.so.0 is missing" unshare --mount sh -c "mount --bind /dev/null $library && $nestvisor adopt"
libvirtd_prepare || { echo "not ok - a libvirtd of this machine's own"; exit 1; }
check "without libvirtd adopt fails" status 1 nv adopt
check "and says what libvirt says" says "Failed to connect socket" nv adopt
check "libvirtd runs" libvirtd_start
check "with nothing in it adopt says so" says "neither a domain nor a network" nv adopt
chmod 0700 /run/libvirt
check "who may not use libvirt's socket is told" says "Permission denied" setpriv --reuid=65534 --regid=65534 --clear-groups "$nestvisor" adopt
check "and where to look" says "nestvisor doctor" setpriv --reuid=65534 --regid=65534 --clear-groups "$nestvisor" adopt
chmod 0755 /run/libvirt
check "bad words for a libvirt" says "nonsense:///" nv adopt nonsense:///

# ─── twelve domains and what libvirt's own tests have of networks ───
network() { # NAME MODE SUBNET
	printf "<network><name>%s</name>%s<bridge name='virbr-%s' stp='on' delay='0'/><ip address='%s.1' netmask='255.255.255.0'><dhcp><range start='%s.100' end='%s.254'/></dhcp></ip></network>\n" "$1" "$2" "$1" "$3" "$3" "$3" > "$1.xml"
	virsh net-define "$1.xml"
}
check "the network default" network default "<forward mode='nat'/>" 192.168.122
check "an isolated one" network closed "" 192.168.77
defined=0
for xml in "$here"/../data/adopt/*.xml; do
	check "libvirt takes ${xml##*/}" virsh define "$xml"
	defined=$((defined + 1))
done
networks=0
for xml in "$here"/../../../shared/data/libvirt/networkxml2xmlin/*.xml; do # the kernel need not have what they want
	[ -f "$xml" ] && sed -e '/<uuid>/d' -e 's/<name>default</<name>second</' "$xml" > other.xml && virsh net-define other.xml > /dev/null 2>&1 && networks=$((networks + 1))
done
[ $networks -gt 0 ] || skip "networks of libvirt's own tests" "../shared/data is missing"
if command -v virt-install > /dev/null; then # and what the one of this machine writes now
	installed() { # NAME OPTIONS…
		local name=$1; shift
		timeout 60 virt-install --connect qemu:///system --name "$name" --virt-type qemu --memory 512 --osinfo detect=on,require=off --print-xml 1 "$@" > installed.xml && virsh define installed.xml && defined=$((defined + 1))
	}
	check "virt-install: a CD" installed now-cd --disk none --cdrom /dev/null --network network=default --graphics none
	check "virt-install: an import" installed now-import --import --disk /run/test/now.img,size=1,sparse=yes --network network=closed,model=e1000 --graphics vnc
	check "virt-install: from the network" installed now-pxe --pxe --disk none --network network=default --network network=closed --graphics spice --sound none
	check "virt-install: tuned" installed now-tuned --import --disk none --network none --vcpus 2,maxvcpus=4,sockets=1,cores=4,threads=1 --cpu qemu64 --graphics none --rng /dev/urandom --watchdog default
else
	skip "virt-install of this machine" "it is not installed"
fi
virsh dumpxml --inactive debian > debian.before
virsh list --all --name > domains.before
adopt() { nv adopt --name mine > mine.nest.yaml; }
check "adopt writes them" adopt
check "all of them, $defined" says "$defined" grep -c "^    adopted: " <(sed -n '/^guests:/,$p' mine.nest.yaml)
check "with what it does not know as comments" says "<watchdog> is not taken over: a lab file has no word for it" cat mine.nest.yaml
check "and a NIC that no lab has" says "it is of type direct" cat mine.nest.yaml
check "the file is valid on this machine" nv validate mine.nest.yaml
check "plan has nothing to do" status 0 nv plan mine.nest.yaml
check "status knows that they are off" says "libvirt says: shut off" nv status mine.nest.yaml
check "graph draws them" says "direct-kernel" nv graph --lab mine.nest.yaml
check "up says that they are as libvirt has them" says "as libvirt has it: $defined guests" nv up mine.nest.yaml
check "and again nothing to do" status 0 nv plan mine.nest.yaml
check "down leaves them, and says so" says "its domains and networks are as libvirt has them" nv down mine
check "all of them" says "$(cat domains.before)" virsh list --all --name
check "as they were" diff debian.before <(virsh dumpxml --inactive debian)

# ─── a mark, on request ───
check "adopt --mark" nv adopt --name mine --mark
check "puts one on" says "mine/debian" virsh metadata debian urn:nestvisor:adopted:1
check "which changes nothing for plan" status 0 nv plan mine.nest.yaml
check "adopt --unmark" nv adopt --name mine --unmark
check "takes it off" status 1 virsh metadata debian urn:nestvisor:adopted:1
check "and nothing is left of it" diff debian.before <(virsh dumpxml --inactive debian)
check "of another's libvirt none can be marked" status 2 nv adopt test:///default --mark

# ─── changed by their owner ───
check "somebody gives a domain more memory" virsh setmaxmem debian 2G --config
check "plan shows it" says "memory 1024 MiB → 2048 MiB" nv plan mine.nest.yaml
check "up does not change it back" says "changes none that it did not make" nv up mine.nest.yaml
check "it still has what its owner wants" says "2097152" virsh dumpxml --inactive debian
check "somebody undefines one" virsh undefine console
check "plan shows that" says "libvirt has no such domain" nv plan mine.nest.yaml
check "status, too" says "absent" nv status mine.nest.yaml
check "adopted anew" adopt
check "there is nothing to do" status 0 nv plan mine.nest.yaml
for domain in $(virsh list --all --name); do virsh undefine --nvram "$domain" > /dev/null; done
for other in $(virsh net-list --all --name); do [ "$other" = default ] || virsh net-undefine "$other" > /dev/null; done

# ─── two that run ───
guest() { # NAME NUMBER
	python3 - "$image" "$@" > "$1.xml" <<- 'P'
		import json, sys
		image, name, number = json.loads(sys.argv[1]), *sys.argv[2:]
		mac = "52:54:00:aa:00:" + number
		print(f"""<domain type='qemu'><name>{name}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
		<os><type arch='x86_64' machine='q35'>hvm</type><kernel>{image['kernel']}</kernel><initrd>{image['initrd']}</initrd>
		<cmdline>console=ttyS0 quiet {image['append']} nestvisor.name={name} nestvisor.nic={mac},192.168.122.{number}/24,192.168.122.1,-,-,1500</cmdline></os>
		<features><acpi/></features><cpu mode='maximum'/>
		<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><serial type='file'><source path='/run/test/{name}.console'/></serial>
		<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><memballoon model='none'/>
		<interface type='network'><source network='default'/><mac address='{mac}'/><model type='virtio'/></interface></devices></domain>""")
	P
	virsh define "$1.xml"
}
inside() { # NAME WORDS: as its agent runs it
	python3 - "$@" <<- 'P'
		import json, subprocess, sys, time
		def ask(what, **arguments):
		    done = subprocess.run(["virsh", "-q", "-c", "qemu:///system", "qemu-agent-command", sys.argv[1], json.dumps({"execute": what, "arguments": arguments})], capture_output=True, text=True, timeout=60)
		    return json.loads(done.stdout)["return"] if done.returncode == 0 else sys.exit(done.stderr)
		pid = ask("guest-exec", path="/bin/sh", arg=["-c", sys.argv[2]], **{"capture-output": True})["pid"]
		while not (status := ask("guest-exec-status", pid=pid))["exited"]:
		    time.sleep(0.1)
		print(status)
		sys.exit(status["exitcode"])
	P
}
l0_pings() { ping -c1 -W5 "$1"; }
check "the network runs" virsh net-start default
check "a guest web" guest web 50
check "a guest db" guest db 51
check "web runs" virsh start web
check "db runs" virsh start db
check "web answers" until_true 120 inside web true
check "db answers" until_true 120 inside db true
check "it pings the world" inside web "ping -c1 -W5 203.0.113.1"
nft list tables > rules.before
check "adopt" adopt
check "plan has nothing to do" status 0 nv plan mine.nest.yaml
check "status shows that they run" says "2 of 2 guests running" nv status mine.nest.yaml
check "cut needs no up" nv cut --lab mine.nest.yaml --no-verify web
check "web does not ping the world" status 1 inside web "ping -c1 -W2 203.0.113.1"
check "nor does it ask this machine anything" status 1 inside web "ping -c1 -W2 192.168.122.1"
check "nor its names" status 1 inside web "nslookup example.org 192.168.122.1"
check "this machine reaches web" l0_pings 192.168.122.50
check "web reaches its neighbour" inside web "ping -c1 -W5 192.168.122.51"
check "db pings the world" inside db "ping -c1 -W5 203.0.113.1"
check "status says who is cut, by the lab's name" says "cut" nv status mine
check "plan has nothing to do" status 0 nv plan mine.nest.yaml
check "verify proves it, of the kernel's rules" status 0 nv verify mine.nest.yaml
check "and says so" says "web is cut: it reaches nothing of the world" nv verify mine.nest.yaml
check "cut says so, too" says "web is adopted: its guest agent is libvirt's to ask" nv cut --lab mine web
check "doctor looks at the machine" says "libvirt.daemon" nv doctor mine.nest.yaml
check "its owner starts web anew" sh -c "virsh -q -c qemu:///system destroy web && virsh -q -c qemu:///system start web"
check "web answers" until_true 120 inside web true
check "by its MAC address it is held from the first packet on" status 1 inside web "ping -c1 -W2 203.0.113.1"
check "the rules learn its new tap" until_true 30 status 0 nv plan mine.nest.yaml
check "by its tap, whatever address it takes" status 1 inside web "ip link set eth0 down; ip link set eth0 address 52:54:00:aa:00:99; ip link set eth0 up; ip route replace default via 192.168.122.1; ping -c1 -W2 203.0.113.1"
inside web "ip link set eth0 down; ip link set eth0 address 52:54:00:aa:00:50; ip link set eth0 up; ip route replace default via 192.168.122.1" > /dev/null
# what was no part of the lab and begins now; a cut guest with another tap and another address
watcher() { cut -d' ' -f1 /run/nestvisor/mine/adopted.pid; }
pings_world() { inside "$1" "ping -c1 -W2 203.0.113.1"; }
readdressed() { virsh destroy web && virsh dumpxml --inactive web | sed "s/$1/$2/g" > again.xml && virsh define again.xml && virsh start web; }
check "a guest later that no lab names" guest later 52
check "later runs" virsh start later
check "later answers" until_true 120 inside later true
check "it has its network, soon" until_true 30 pings_world later
check "web has another address and is started anew" readdressed aa:00:50 aa:00:77
check "web answers" until_true 120 inside web true
check "it is held all the same" status 1 pings_world web
check "the rules learn it, too" until_true 30 says 52:54:00:aa:00:77 nft list table bridge nestvisor-mine/adopted
check "it is held by what they know" status 1 pings_world web
check "the lab file does not, and plan tells" status 3 nv plan mine.nest.yaml
check "web is what it was, under another name" sh -c "virsh destroy web && virsh domrename web web2 && virsh dumpxml --inactive web2 | sed 's/aa:00:77/aa:00:50/' > again.xml && virsh define again.xml && virsh start web2"
check "web2 answers" until_true 120 inside web2 true
check "it is held, whatever it is called" status 1 pings_world web2
check "and called by its name again" sh -c "virsh destroy web2 && virsh domrename web2 web && virsh start web"
check "web answers" until_true 120 inside web true
check "it is held" status 1 pings_world web
check "nobody asks libvirt any more" kill -9 "$(watcher)"
check "later is started anew" sh -c "virsh -q -c qemu:///system destroy later && virsh -q -c qemu:///system start later"
check "later answers" until_true 120 inside later true
check "a port that nobody knows passes nothing" status 1 pings_world later
check "status tells that the rules are others" says "rules" nv status mine
check "up mends it" nv up mine.nest.yaml
check "later has its network" until_true 30 pings_world later
check "and somebody asks libvirt again" kill -0 "$(watcher)"
virsh destroy later; virsh undefine later
check "plan has nothing to do" until_true 30 status 0 nv plan mine.nest.yaml
if nft 'add table inet fast; add flowtable inet fast f { hook ingress priority 0; devices = { wan }; }' 2> /dev/null; then
	check "beside a flowtable a cut is no success" status 1 nv cut --lab mine --no-verify web
	check "and says why" says "by the flowtable f, past all rules" nv cut --lab mine --no-verify web
	nft delete table inet fast
else
	skip "a flowtable" "this kernel has none"
fi
check "alone it does not reach its neighbour" nv cut --lab mine --no-verify --neighbours drop web
check "nor that one it" status 1 inside db "ping -c1 -W2 192.168.122.50"
check "but this machine does" until_true 60 l0_pings 192.168.122.50 # which remembers the other address for a while
check "seal" nv seal --lab mine --no-verify web
check "nothing reaches web" status 1 l0_pings 192.168.122.50
check "open for a while is refused aloud" says "neither opened for a while" nv open --lab mine --no-verify --for 10m web
sed -e 's/^lab: mine/lab: allowed/' -e 's/mac: "52:54:00:aa:00:50"/address: 192.168.122.50, &/' mine.nest.yaml > allowed.nest.yaml
check "and something allowed" says "neither opened for a while" nv cut --lab allowed.nest.yaml --no-verify --allow 203.0.113.1 web
check "which leaves nothing" nv down allowed
check "exec says whose the agent is" says "its guest agent is libvirt's to ask" nv exec --lab mine web -- true
check "open" nv open --lab mine --no-verify web
check "web pings the world" inside web "ping -c1 -W5 203.0.113.1"
check "no rule is left" diff rules.before <(nft list tables)
check "nor anybody who asks" status 1 pgrep -f "isolate watch --lab mine"
check "cut once more" nv cut --lab mine --no-verify --all
check "a NIC by macvtap is plugged into db" virsh attach-interface db direct wan --model virtio --live
check "verify does not prove what it does not see" says "db has a NIC (direct" nv verify mine
check "db cannot be held, and that is said" says "db cannot be held: its NIC of type direct" nv cut --lab mine --no-verify --strict db
guest passed 53
virsh undefine passed
sed -i "s|</devices>|<hostdev mode='subsystem' type='pci' managed='no'><source><address domain='0x0000' bus='0x00' slot='0x1f' function='0x0'/></source></hostdev></devices>|" passed.xml
check "a domain with a device of this machine's" virsh define passed.xml
nv adopt --name other > other.nest.yaml
check "cannot be held, and that is said" says "passed cannot be held: it has a PCI device of this machine's" nv cut --lab other.nest.yaml --no-verify passed
check "nor with all others" says "cannot be held" nv cut --lab other.nest.yaml --no-verify --all
check "the others can" nv cut --lab other.nest.yaml --no-verify web
check "down of that lab" nv down other
virsh undefine passed
check "down" nv down mine
check "opens all" diff rules.before <(nft list tables)
check "and web and db run" says "db" virsh list --name

# ─── libvirtd is not there, or hangs ───
unsure() { status 1 timeout 60 "$nestvisor" "$@"; } # done for what was known before, which is no success
check "libvirtd is killed" libvirtd_kill
check "status says that it is not known" says "unknown" nv status mine.nest.yaml
check "plan fails" status 1 nv plan mine.nest.yaml
check "cut holds whom it knows, and is no success" unsure cut --lab mine.nest.yaml --no-verify web
check "and says why" says "whoever was started or got another NIC since may not be held" nv cut --lab mine --no-verify web
check "libvirtd is back" libvirtd_start
check "web is cut" status 1 inside web "ping -c1 -W2 203.0.113.1"
check "said again it is sure" nv cut --lab mine --no-verify web
check "libvirtd hangs" kill -STOP "$(cat /run/libvirtd.pid)"
check "adopt gives up" says "has not answered for 5 s" timeout 30 "$nestvisor" adopt
check "and says what to do" says "systemctl restart libvirtd" timeout 30 "$nestvisor" adopt
check "plan gives up" unsure plan mine.nest.yaml
check "up gives up" unsure up mine.nest.yaml
check "open lets go whom it knows" unsure open --lab mine --no-verify web
check "cut holds whom it knows" unsure cut --lab mine --no-verify web db
check "also as JSON" says "has not answered for 5 s" timeout 60 "$nestvisor" cut --lab mine --no-verify --json web
rm /run/nestvisor/mine/adopted.json
check "and whom it has to look for, by their taps" unsure cut --lab mine --no-verify web
check "libvirtd goes on" kill -CONT "$(cat /run/libvirtd.pid)"
check "web is cut" status 1 inside web "ping -c1 -W2 203.0.113.1"
check "by its tap, whatever address it takes" status 1 inside web "ip link set eth0 down; ip link set eth0 address 52:54:00:aa:00:99; ip link set eth0 up; ip route replace default via 192.168.122.1; ping -c1 -W2 203.0.113.1"
check "down" nv down mine
check "opens all" diff rules.before <(nft list tables)
check "and nobody asks libvirt" status 1 pgrep -f "isolate watch --lab mine"
virsh destroy web; virsh destroy db
finish
