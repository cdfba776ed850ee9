#!/bin/bash
# An installation from a CD, from the first boot to the guest's agent: what `up` does with `install:`, with a medium that
# has all around Windows that nestvisor looks at, and in Windows' place a Linux that writes a system onto the disk and
# restarts. No Windows is run here: what is shown is the order in which things boot, what is told, and what is left. Then the
# machine that ESXi gets.
set -u
here=$(dirname "$(readlink -f "$0")")
. "$here/../lib/check.sh"
nestvisor=$(readlink -f "$1")
stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub
for needed in $stub /usr/bin/genisoimage /usr/bin/wimlib-imagex /usr/bin/objcopy /usr/bin/bsdtar /usr/sbin/debugfs /usr/share/qemu/firmware; do
	[ -e "$needed" ] || { skip everything "there is no $needed: apt-get install systemd-boot-efi genisoimage wimtools binutils libarchive-tools ovmf"; exit 77; }
done
work=$(mktemp -d /run/test/lab.XXXXXX)
cd "$work" || exit 1
nv() { "$nestvisor" "$@"; }

# program KERNEL INITRAMFS WORDS OUT: all of it as one program for UEFI
program() {
	printf '%s\0' "$3" >words
	objcopy --add-section .cmdline=words --change-section-vma .cmdline=0x30000 --add-section .linux="$1" \
		--change-section-vma .linux=0x2000000 --add-section .initrd="$2" --change-section-vma .initrd=0x4000000 $stub "$4"
}
# fat FILE PROGRAM: a file system that UEFI boots it from
fat() {
	truncate -s $((($(stat -c %s "$2") >> 20) + 4))M "$1"
	mformat -i "$1" -v BOOT :: && mmd -i "$1" ::/EFI ::/EFI/BOOT && mcopy -i "$1" "$2" ::/EFI/BOOT/BOOTX64.EFI
}
image=$("$nestvisor" image micro --json)
part() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$image" "$1"; }
make_system() {
	program "$(part kernel)" "$(part initrd)" "console=ttyS0 quiet mitigations=off nestvisor.name=win" system.efi && fat disk system.efi
}
make_installer() {
	mkdir -p more && gzip -9 <disk >more/disk.gz && cat >more/init <<-'INIT'
		#!/bin/sh
		export PATH=/usr/sbin:/usr/bin
		mount -t devtmpfs dev /dev
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		modprobe -a virtio_pci virtio_blk
		echo "installing on $(cat /sys/block/vda/size) sectors" >/dev/console
		zcat /disk.gz >/dev/vda && sync && echo "installed" >/dev/console
		reboot -f
	INIT
	chmod +x more/init && { cat "$(part initrd)"; (cd more && bsdtar -c --format newc .); } >installer.cpio &&
		program "$(part kernel)" installer.cpio "console=ttyS0 quiet mitigations=off" installer.efi && fat installer.fat installer.efi
}
make_medium() {
	mkdir -p medium/sources medium/efi/boot empty && cp installer.efi medium/efi/boot/bootx64.efi && echo x >medium/sources/boot.wim &&
		wimlib-imagex capture empty medium/sources/install.wim "Windows 10 Pro" --image-property WINDOWS/EDITIONID=Professional \
			--image-property WINDOWS/INSTALLATIONTYPE=Client --image-property WINDOWS/VERSION/BUILD=19045 \
			--image-property WINDOWS/ARCH=9 --image-property WINDOWS/LANGUAGES/LANGUAGE=en-US &&
		cp installer.fat medium/efisys.bin &&
		genisoimage -quiet -udf -V WIN10 -e efisys.bin -no-emul-boot -o win.iso medium
}
make_drivers() {
	mkdir -p drivers/viostor/w10/amd64 drivers/NetKVM/w10/amd64 drivers/guest-agent &&
		touch drivers/viostor/w10/amd64/viostor.inf drivers/NetKVM/w10/amd64/netkvm.inf drivers/guest-agent/qemu-ga-x86_64.msi &&
		genisoimage -quiet -J -V virtio-win -o virtio.iso drivers
}
check "a system" make_system
check "its installer" make_installer
check "the medium" make_medium
check "that of virtio-win" make_drivers
echo secret >password
cat >install.nest.yaml <<'EOF2'
lab: install
networks: {lab: {subnet: 192.168.122.0/24, dhcp: true}}
guests:
  win: {os: windows-10, firmware: uefi, memory: 768M, disk: 1G, nics: [{network: lab, address: 192.168.122.10}],
        install: {iso: ./win.iso, virtio: ./virtio.iso, password-file: ./password}}
EOF2
own=/var/lib/nestvisor/install/win
cds() { tr '\0' '\n' <"/proc/$(cut -d' ' -f1 /run/nestvisor/install/guests/win/pid)/cmdline" | grep -c ide-cd; }

check "plan" status 3 nv plan
nv up --verbose >up.log 2>&1
check "up, from an empty disk to the agent" says "win: is up" cat up.log
check "it told of the restart" says "restart 1; " cat up.log
check "the CD was booted once" test "$(grep -c 'installing on 2097152 sectors' /run/nestvisor/install/guests/win/console.log)" = 1
check "and wrote the disk" grep -q '^installed' /run/nestvisor/install/guests/win/console.log
check "three CDs" test "$(cds)" = 3
check "what runs is what was installed" says "nestvisor.name=win" nv exec win -- cat /proc/cmdline
check "it is on record" test -e $own.installed
check "the answers, and the password in them, are gone" test ! -e $own.seed
check "up again finds nothing to do" says "everything runs" nv up
check "down keeps its disk" nv down --keep-disks
check "it starts from the disk" nv up -q
check "without a CD" test "$(cds)" = 0
check "down" nv down
check "leaves nothing" test ! -e $own.installed
# ─── the machine that ESXi gets, with a Linux in it ───
# By UEFI from its SATA disk; its kernel has a driver for the network card, and none for that disk (Debian's cloud kernel).
debian=$("$nestvisor" image debian-12 --json)
debian() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$debian" "$1"; }
make_esxi() {
	local folder
	folder=$(debugfs -R "ls -p /lib/modules" "$(debian disk)" 2>/dev/null | grep -o '6\.[^/]*') && mkdir -p esx &&
		debugfs -R "dump /lib/modules/$folder/kernel/drivers/net/vmxnet3/vmxnet3.ko esx/vmxnet3.ko" "$(debian disk)" 2>/dev/null &&
		cat >esx/init <<-'INIT' && chmod +x esx/init && { cat "$(part initrd)"; (cd esx && bsdtar -c --format newc .); } >esx.cpio &&
		#!/bin/sh
		export PATH=/usr/sbin:/usr/bin
		mount -t devtmpfs dev /dev
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		insmod /vmxnet3.ko
		ip link set lo up
		ip link set eth0 up
		ip address add 192.168.122.30/24 dev eth0
		ip route add default via 192.168.122.1
		echo "esxi's machine is up" >/dev/console
		nc -ll -p 23 -e sh
	INIT
		program "$(debian kernel)" esx.cpio "console=ttyS0 quiet mitigations=off" esx.efi && fat esx.raw esx.efi &&
		truncate -s 64M esx.raw
}
cat >esxi.nest.yaml <<'EOF2'
lab: esxi
networks: {lab: {subnet: 192.168.122.0/24}}
guests:
  esx: {os: esxi, image: ./esx.raw, memory: 512M, nics: [{network: lab, address: 192.168.122.30}]}
EOF2
inside() { nv exec L0 -- timeout 60 bash -c 'exec 3<>/dev/tcp/192.168.122.30/23; echo "$1; exit" >&3; cat <&3' sh "$1"; }
out() { inside 'ping -c1 -W3 203.0.113.1 >/dev/null && echo is out || echo is in'; }
check "a system in ESXi's place" make_esxi
check "ESXi's requirements are told" says "ESXi does not install with less than 8G" nv validate esxi.nest.yaml
nv up esxi.nest.yaml --verbose >esxi.log 2>&1
check "up of ESXi's machine" says "esx: is up" cat esxi.log
check "which says that it has no agent" says "there is no guest agent for ESXi" cat esxi.log
check "and whose affair guests inside it are" says "ESXi's own affair" cat esxi.log
check "the firmware boots it from the SATA disk" until_true 90 grep -q "esxi's machine is up" /run/nestvisor/esxi/guests/esx/console.log
check "L0 reaches it" until_true 30 nv exec L0 -- ping -c1 -W3 192.168.122.30
check "it listens" until_true 30 inside true # which it begins with after it is up
inside 'cd /sys/bus/pci/devices; for d in *; do echo "$(cat $d/vendor) $(cat $d/device) $(cat $d/class)"; done; grep -o -m1 -w svm /proc/cpuinfo; readlink /sys/class/net/eth0/device/driver' >esxi.pci
check "by vmxnet3" says drivers/vmxnet3 cat esxi.pci
check "its disk is on SATA" says 0x010601 cat esxi.pci
check "no device is virtio's" status 1 grep 0x1af4 esxi.pci
check "it sees svm" says svm cat esxi.pci
check "it reaches the world" says "is out" out
check "cut" nv cut --lab esxi esx -q
check "it does not reach the world" says "is in" out
check "its screen" bash -c "'$nestvisor' screenshot --lab esxi esx -o - | head -c 8 | grep -aq PNG"
check "exec says what is missing" says "there is none for ESXi" nv exec --lab esxi esx -- true
check "up again finds nothing to do" says "everything runs" nv up esxi.nest.yaml
check "down" nv down esxi
[ $failures = 0 ] || cat up.log esxi.log esxi.pci >&2
finish
