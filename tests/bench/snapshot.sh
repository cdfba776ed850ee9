#!/bin/bash
# What a snapshot and a restore of a guest take, with both drivers, in turn with what virsh does to a domain of its own with
# the same kernel and memory: save and restore, and a live snapshot with memory, which virsh 9.0 cannot go back to. In ms, medians
# and quartiles. To be run by tests/lib/machine.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/libvirtd"
nestvisor=$(readlink -f "$1") turns=${2:-10}
for program in libvirtd virtlogd virsh; do
	command -v $program > /dev/null || { skip "everything" "$program is not installed"; exit 77; }
done
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { timeout 120 "$nestvisor" "$@"; }
virsh() { timeout 60 virsh -q -c qemu:///system "$@"; }
cat > snap.nest.yaml <<'EOF2'
lab: snap
networks: {lan: {subnet: 192.168.7.0/24}}
guests:
  a: {memory: 128M, disk: 64M, nics: [{network: lan, address: 192.168.7.2}]}
  b: {memory: 128M, disk: 64M, nics: [{network: lan, address: 192.168.7.3}], driver: libvirt}
EOF2
libvirtd_prepare && libvirtd_start && nv up > /dev/null 2>&1 || exit 1
# the domain b under another name, with a disk and without a network of its own
qemu-img create -q -f qcow2 plain.qcow2 64M
virsh dumpxml --inactive snap:b > b.xml
python3 - "$work" <<'EOF2' > plain.xml
import re, sys
xml = open("b.xml").read()
for gone in (r"<uuid>.*?</uuid>", r"<metadata>.*?</metadata>", r"<interface .*?</interface>", r"<channel .*?</channel>", r"<serial .*?</serial>", r"<console .*?</console>"):
    xml = re.sub(gone, "", xml, flags=re.S)
xml = xml.replace("snap:b", "plain")
print(re.sub(r"<source file='[^']*\.qcow2'", "<source file='%s/plain.qcow2'" % sys.argv[1], xml))
EOF2
virsh define plain.xml > /dev/null && virsh start plain > /dev/null || exit 1
until_true 60 bash -c "nproc > /dev/null && [ \$(virsh -q -c qemu:///system domstats plain --cpu-total | sed -n 's/.*cpu.time=//p') -gt 3000000000 ]"
ms() { # FILE COMMAND…
	local file=$1 began; shift
	began=$(date +%s%N)
	"$@" > ms.log 2>&1 || { cat ms.log; return 1; }
	echo $((($(date +%s%N) - began) / 1000000)) >> "$file"
}
uptime
for ((i = 1; i <= turns; i++)); do
	for g in a b; do
		ms $g.snapshot nv snapshot $g s$i --json
		sed -n 's/.*"stopped_ms":\([0-9]*\).*/\1/p' ms.log >> $g.still
		ms $g.restore nv restore $g s$i
	done
	ms virsh.live virsh snapshot-create-as plain --no-metadata --memspec "$work/memory$i" --diskspec vda,file="$work/d$i.qcow2"
	ms virsh.save virsh save plain "$work/saved"
	ms virsh.restore virsh restore "$work/saved"
	rm -f saved memory$i
done
uptime
for file in *.snapshot *.still *.restore virsh.live virsh.save; do
	sort -n $file | awk -v name=$file '{v[NR] = $1} END {printf "%-16s %5d (%d, %d)\n", name, v[int((NR + 1) / 2)], v[int((NR + 3) / 4)], v[int((3 * NR + 3) / 4)]}'
done
virsh destroy plain > /dev/null; virsh undefine plain > /dev/null
nv down > /dev/null
