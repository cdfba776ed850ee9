#!/bin/bash
# The machine that Windows 11 asks for, with Linux in it: UEFI with Secure Boot on and Microsoft's keys, a TPM 2.0, virtio
# throughout. Debian's signed shim boots; what is not signed, or was changed, does not.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/uefi.sh"
nestvisor=$(readlink -f "$1")
for needed in /usr/share/qemu/firmware /usr/bin/swtpm; do
	[ -e "$needed" ] || { skip everything "there is no $needed: apt-get install ovmf swtpm"; exit 77; }
done
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
own=/var/lib/nestvisor/secure/sb.own
cat > secure.nest.yaml <<'EOF2'
lab: secure
networks:
  lab: {subnet: 192.168.122.0/24}
guests:
  sb: {image: debian-12, firmware: uefi-secure, tpm: true, display: true, memory: 1G, nics: [{network: lab, address: 192.168.122.10}]}
EOF2
inside() { nv exec sb -- sh -c "$1"; }
variable() { # NAME: the last byte of a UEFI variable
	inside "mountpoint -q /sys/firmware/efi/efivars || mount -t efivarfs none /sys/firmware/efi/efivars
		od -An -v -tu1 /sys/firmware/efi/efivars/$1-8be4df61-93ca-11d2-aa0d-00e098032b8c | tr -d '\n' | sed 's/.* //'"
}

check "up, by UEFI and Debian's signed boot loaders" nv up
check "Secure Boot is on" says 1 variable SecureBoot
check "and not in setup mode" says 0 variable SetupMode
check "the kernel says so, and locks itself down" says '[integrity]' inside 'mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security; cat /sys/kernel/security/lockdown'
check "it loads no module without a signature" says rejected inside 'f=$(find /lib/modules -name dummy.ko); cp $f /tmp/x.ko && truncate -s -40 /tmp/x.ko && insmod /tmp/x.ko; dmesg | tail -1'
check "it has a TPM 2.0" says 2 inside 'cat /sys/class/tpm/tpm0/tpm_version_major'
for pcr in 4 7; do
	check "into whose PCR $pcr the firmware has measured" inside "tpm2_pcrread sha256:$pcr | grep -Eiq '^ *$pcr *: 0x0*[1-9a-f]'"
done
check "which signs a quote of that, and the quote is found right" says "pcrs:" inside 'cd /tmp && export TPM2TOOLS_TCTI=device:/dev/tpmrm0 && tpm2_createek -Q -c ek -G rsa -u ek.pub && tpm2_createak -Q -C ek -c ak -G rsa -g sha256 -s rsassa -u ak.pub -f pem -n ak.name && tpm2_quote -Q -c ak -l sha256:0,4,7 -q 1234abcd -m quote -s signature -o pcrs -g sha256 && tpm2_checkquote -u ak.pub -m quote -s signature -f pcrs -g sha256 -q 1234abcd'
check "its disks and network cards are virtio" says 'all virtio' inside 'for d in /sys/bus/pci/devices/*; do read -r class <$d/class; read -r vendor <$d/vendor; case $class in 0x01*|0x02*) [ $vendor = 0x1af4 ] || echo "$d $class $vendor";; esac; done | grep . || ls -d /sys/block/vd* >/dev/null && echo all virtio'
check "its screen can be looked at" bash -c "'$nestvisor' screenshot sb -o - | head -c 8 | grep -aq PNG"
"$nestvisor" view sb --print --as 15900 2>/dev/null &
view=$!
greeting() { bash -c 'exec 3<>/dev/tcp/127.0.0.1/15900 && head -c 12 <&3' 2>/dev/null | grep -q '^RFB 003'; }
check "and by VNC, while view runs" until_true 60 greeting
kill $view
wait $view
check "and not afterwards" bash -c '! (exec 3<>/dev/tcp/127.0.0.1/15900) 2>/dev/null'
check "up again finds nothing to do" says "everything runs" nv up

# A snapshot has the TPM and the UEFI variables of its moment: what lasts (NV, a variable), and what a reset forgets (a PCR).
tpm() { inside "export TPM2TOOLS_TCTI=device:/dev/tpmrm0; $1"; }
pcr() { tpm 'tpm2_pcrread sha256:16'; }
extend() { tpm "tpm2_pcrextend 16:sha256=$(printf %064d "$1")"; }
efi=/sys/firmware/efi/efivars/Nestvisor-11111111-2222-3333-4444-555555555555
efi_write() { inside "mountpoint -q /sys/firmware/efi/efivars || mount -t efivarfs none /sys/firmware/efi/efivars; chattr -i $efi 2>/dev/null; printf '\\007\\000\\000\\000%s' $1 > $efi"; }
kept() { # NAME COMMAND…: what it says now is what it said then
	local name=$1; shift
	[ "$("$@" 2>&1)" = "$(cat "kept.$name")" ]
}
check "a PCR is extended" extend 1
check "a number is kept in the TPM" tpm 'tpm2_nvdefine -Q -C o -s 4 0x1500016 && printf one! | tpm2_nvwrite -Q -C o -i - 0x1500016'
check "and a variable by UEFI" efi_write one
pcr > kept.pcr
check "a snapshot" nv snapshot sb kept
check "is of all that" says "disk, memory, UEFI variables, TPM" nv snapshots sb
check "the PCR is extended again" extend 2
check "and is another" status 1 kept pcr pcr
check "the number, too" tpm 'printf two! | tpm2_nvwrite -Q -C o -i - 0x1500016'
check "and the variable" efi_write two
check "back to the snapshot" nv restore sb kept
output
check "the PCR is as it was" kept pcr pcr
check "the number, too" says 'one!' tpm 'tpm2_nvread -C o -s 4 0x1500016'
check "and the variable" says one inside "cat $efi"
check "up finds nothing to do" says "everything runs" nv up

# What was lost is not made anew in silence.
ended() { ! pgrep -x "$1" >/dev/null; }
check "down keeps its disk" nv down --keep-disks
check "the TPM ended with it" ended swtpm
mv $own/tpm/tpm2-00.permall kept
check "without its TPM's state it does not start, and it is said what that means" says "the TPM of sb is lost" nv up
check "nor was a new state made" test ! -e $own/tpm/tpm2-00.permall
mv kept $own/tpm/tpm2-00.permall
mv $own/variables kept
check "nor without its UEFI variables" says "the UEFI variables of sb are lost" nv up
mv kept $own/variables
nv down

# The same boot disk with one byte of shim changed: the firmware refuses it.
shim=$(dirname "$(nv image debian-12 --json 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["kernel"])')")/shim.efi
check "the image has the shim that Microsoft signed" test -s "$shim"
check "a changed loader differs by one byte" changed_loader "$shim" changed.efi
boot_disk changed.img 48 changed.efi /EFI/BOOT/BOOTX64.EFI
cat > secure.nest.yaml <<'EOF2'
lab: secure
networks:
  lab: {subnet: 192.168.122.0/24}
guests:
  sb: {image: ./changed.img, firmware: uefi-secure, display: true, memory: 256M, nics: [{network: lab, address: 192.168.122.10}]}
EOF2
"$nestvisor" up > up.log 2>&1 &
up=$!
refused() { grep -aqiE 'access denied|security violation' /run/nestvisor/secure/guests/sb/console.log; }
check "a loader that was changed after it was signed is refused" until_true 180 refused
check "and so is the firmware's own shell" until_true 60 grep -aq 'No bootable option' /run/nestvisor/secure/guests/sb/console.log
check "a screenshot shows it" nv screenshot sb -o refused.png
check "as a PNG of the whole screen" png 1280 800 refused.png
check "a key on its keyboard" nv type sb -k ret
check "opens the firmware's menu" until_true 60 grep -aq 'Select Entry' /run/nestvisor/secure/guests/sb/console.log
check "a key that there is not is said" says "does not accept" nv type sb -k nokey
kill $up 2>/dev/null
wait $up
grep -aiE 'access denied|security violation' /run/nestvisor/secure/guests/sb/console.log | tail -n 1
check "down" nv down
check "leaves nothing" clean
finish
