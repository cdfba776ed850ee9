#!/bin/bash
# The machine that Windows 11 asks for as a guest of a guest: what secure-boot.sh shows one layer down from here. Its Linux
# is a small one, for each second of it is emulated twice: the kernel that Debian signed, the system of the image micro
# with the modules that Debian signed, and tpm2-tools.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
. "$here/../lib/uefi.sh"
nestvisor=$(readlink -f "$1")
for needed in /usr/bin/readelf /usr/bin/bsdtar /usr/bin/zstd /usr/sbin/debugfs /usr/bin/mcopy; do
	[ -e "$needed" ] || { skip everything "there is no $needed: apt-get install binutils libarchive-tools zstd e2fsprogs mtools"; exit 77; }
done
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }
debian=$(nv image debian-12 --json 2>/dev/null) micro=$(nv image micro --json 2>/dev/null)
part() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$@"; }
disk=$(part "$debian" disk) kernel=$(part "$debian" kernel)
loaders=$(dirname "$kernel") libraries=usr/lib/x86_64-linux-gnu

# take FILE: out of Debian's disk into root, with the libraries that it needs.
take() {
	local to=root/$1 link library
	[ ! -e "$to" ] || return 0
	link=$(debugfs -R "stat /$1" "$disk" 2>/dev/null | sed -n 's/^Fast link dest: "\(.*\)"/\1/p')
	mkdir -p "${to%/*}"
	debugfs -R "dump /${1%/*}/${link:-${1##*/}} $to" "$disk" 2>/dev/null
	chmod 755 "$to"
	[ -s "$to" ] || return 1
	for library in $(readelf -d "$to" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
		[ -e "root/usr/lib64/$library" ] || take "$libraries/$library" || return 1
	done
}
make_initramfs() {
	mkdir root && bsdtar -xf "$(part "$micro" initrd)" -C root &&
		bsdtar -xf "$(part "$debian" initrd)" -C root usr/lib/modules && take usr/bin/tpm2 &&
		take $libraries/libtss2-tcti-device.so.0 &&
		(cd root && bsdtar -c --format newc --uid 0 --gid 0 .) | zstd -q -9 -o initrd
}
make_disk() {
	printf '%s\n' 'set timeout=0' 'linux /vmlinuz console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests pci=lastbus=0 tsc=reliable' \
		'initrd /initrd' boot >grub.cfg &&
		boot_disk small.img 48 "$loaders/shim.efi" /EFI/BOOT/BOOTX64.EFI "$loaders/grub.efi" /EFI/BOOT/grubx64.efi "$kernel" /vmlinuz \
			initrd /initrd grub.cfg /EFI/debian/grub.cfg
}
check "a small Linux with Debian's signed modules" make_initramfs
check "on a disk with Debian's signed boot loaders and kernel" make_disk
cat >deep.nest.yaml <<'EOF2'
lab: deep
networks:
  lab: {subnet: 192.168.122.0/24}
guests:
  hv1:
    image: debian-12
    memory: 1536M
    nics: [{network: lab, address: 192.168.122.10}]
    networks: {inner: {subnet: 192.168.124.0/24}}
    guests:
      sb: {image: ./small.img, firmware: uefi-secure, tpm: true, display: true, memory: 256M, nics: [{network: inner, address: 192.168.124.10}]}
EOF2
inside() { nv exec hv1/sb -- sh -c "$1"; }

check "up, at L2 by UEFI and Debian's signed boot loaders" nv up
check "the kernel knows that Secure Boot is on, and locks itself down" says 'locked down from EFI Secure Boot' inside dmesg
check "it loads no module without a signature" says rejected inside 'f=$(find /usr/lib/modules -name failover.ko); head -c $(($(wc -c <$f) - 40)) $f >/tmp/x.ko && insmod /tmp/x.ko; dmesg | tail -1'
check "it has a TPM 2.0" says 2 inside 'cat /sys/class/tpm/tpm0/tpm_version_major'
check "its disk and network card are virtio" says 'all virtio' inside 'for d in /sys/bus/pci/devices/*; do read -r class <$d/class; read -r vendor <$d/vendor; case $class in 0x01*|0x02*) [ $vendor = 0x1af4 ] || echo "$d $class $vendor";; esac; done | grep . || ls -d /sys/block/vd* >/dev/null && echo all virtio'
check "the TPM signs a quote of what was measured" inside 'cd /tmp && export TPM2TOOLS_TCTI=device:/dev/tpmrm0 &&
	tpm2 createprimary -Q -C e -g sha256 -G ecc256:ecdsa-sha256:null -c ak -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign" &&
	tpm2 readpublic -Q -c ak -f pem -o ak.pem && tpm2 quote -Q -c ak -l sha256:0,4,7 -q 1234abcd -m quote -s signature -o pcrs -g sha256'
hand_over() { nv exec hv1/sb -- tar -c -C /tmp ak.pem quote signature pcrs | nv exec -i hv1 -- tar -x -C /run; }
check "which is handed to its hypervisor" hand_over
quote() { nv exec hv1 -- sh -c "cd /run && tpm2_checkquote -u ak.pem -m quote -s signature -f pcrs -g sha256 -q $1"; }
measured() { [ "$(quote 1234abcd | grep -Eic '^ *[047] *: 0x0*[1-9a-f]')" = 3 ]; }
check "and found right there: firmware, boot loaders, Secure Boot's keys" measured
check "with another nonce it is not" status 1 quote 1234abce
check "a screenshot of it, from L0" nv screenshot hv1/sb -o linux.png

# On its disk one byte of shim becomes another.
byte=$(python3 -c 'import sys
disk, loader = (open(name, "rb").read() for name in sys.argv[1:])
byte = disk.index(loader) + len(loader) // 2
assert disk[byte] != ord("X")
print(byte)' small.img "$loaders/shim.efi")
check "a byte of the boot loader on its disk is changed" inside "printf X | dd of=/dev/vda bs=1 seek=$byte conv=notrunc && sync"
nv exec hv1/sb -- reboot -f 2>/dev/null # nobody is left to answer
check "it ends" nv exec hv1 -- timeout 60 sh -c 'while pgrep -f [g]uest=deep/hv1/sb; do sleep 0.2; done'
"$nestvisor" up >up.log 2>&1 & # has no end: what does not boot has no agent
up=$!
console() { nv exec hv1 -- timeout 240 sh -c "until grep -aiEm 1 '$1' /run/nestvisor/deep/guests/sb/console.log; do sleep 1; done 2>/dev/null"; }
check "at L2 the firmware refuses a loader that is not what was signed" console 'access denied|security violation'
output
check "and so it does its own shell" console 'No bootable option'
check "a screenshot, from L0, shows it" nv screenshot hv1/sb -o refused.png
check "as a PNG of the whole screen" png 1280 800 refused.png
check "another than Linux had" bash -c '! cmp -s refused.png linux.png'
check "a key on its keyboard, from L0" nv type hv1/sb -k ret
check "opens the firmware's menu" console 'starting .*UiApp'
check "the hypervisor has lived through all of it" nv exec hv1 -- true
kill $up 2>/dev/null
wait $up
check "down" nv down
check "leaves nothing" clean
finish
