# Builds `debian-12`: a normal Debian system on a root disk, its kernel, and the initramfs that mounts the disk. Run as
# library.sh says. Makes in OUT_DIR:
#   bzImage, vmlinux  the kernel
#   guest/            the root of the initramfs
#   disk.raw          the root disk, an ext4 file system, sparse
#   packages          names and versions of what is on the disk
#   libraries         the shared libraries on the disk
#   shim.efi, grub.efi  the boot loaders that Microsoft and Debian signed, for guests with UEFI firmware
script_dir=$1 out=$2 work=$3
. "$script_dir/library.sh"

suite=bookworm
include=systemd,systemd-sysv,udev,dbus,kmod,procps,netbase,e2fsprogs,login,openssh-server,qemu-guest-agent
include=$include,iproute2,iputils-ping,nftables,libnftables1,libjansson4,libmnl0,ca-certificates,less,nano
include=$include,qemu-system-x86,qemu-utils,dnsmasq-base,mtools,ovmf,swtpm,tpm2-tools
boot_modules='virtio_pci virtio_mmio virtio_blk virtio_net virtio_console virtio_rng'
loaders='shim-signed grub-efi-amd64-signed'
room=512 # MB to leave free on the disk

# The Debian archives that this machine uses for the suite, which may be near it, or Debian's own.
sources() {
	apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk -v suite="$suite" '$1 == "Debian" && index($2, suite) == 1 && $3 == "main" { print "deb " $4 " " $2 " main" }' |
		sort -u >"$work/sources.list"
	grep -q " $suite main\$" "$work/sources.list" || printf 'deb %s %s main\n' http://deb.debian.org/debian "$suite" \
		http://deb.debian.org/debian "$suite-updates" http://security.debian.org/debian-security "$suite-security" \
		>"$work/sources.list"
}

# mmdebstrap says on standard error what it does; that is worth a progress line. What it mounts is mounted in a namespace of
# its own, and gone with it however it ends.
bootstrap() {
	echo 1 >"$work/status"
	{
		unshare --mount mmdebstrap --mode=root --variant=minbase --include="$include" --aptopt='Acquire::Languages "none"' \
			--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
			--dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/locale/*' \
			--dpkgopt='path-exclude=/usr/share/info/*' "$suite" "$work/root" "$work/sources.list" 2>&1
		echo $? >"$work/status"
	} | while read -r line; do
		printf '%s\n' "$line" >&2
		case $line in
		'I: '*) progress "${line#I: }" ;;
		esac
	done
	[ "$(cat "$work/status")" = 0 ] || fail 'mmdebstrap failed' 'check the network and /etc/apt/sources.list.d'
}

# unit NAME [TARGET]: a unit file of ours, started with the target.
unit() {
	install -m 644 "$script_dir/$1" "$root/etc/systemd/system/$1"
	mkdir -p "$root/etc/systemd/system/$2.wants"
	ln -s "../$1" "$root/etc/systemd/system/$2.wants/$1"
}

# What a guest that lives for minutes does not need, each of which costs time at its start or wakes it up.
quieten() {
	for name in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
		e2scrub_reap.service systemd-timesyncd.service systemd-resolved.service systemd-networkd-wait-online.service \
		systemd-pstore.service systemd-update-utmp.service systemd-update-utmp-runlevel.service; do
		ln -sf /dev/null "$root/etc/systemd/system/$name"
	done
}

# Nothing on the disk may be the same in two guests: each makes its SSH key and machine id at its first start.
configure() {
	rm -f "$root"/etc/ssh/ssh_host_*
	: >"$root/etc/machine-id"
	rm -f "$root/var/lib/dbus/machine-id"
	mkdir -p "$root/etc/ssh/sshd_config.d" "$root/etc/systemd/system/ssh.service.d" "$root/etc/modprobe.d" \
		"$root/etc/systemd/system/serial-getty@ttyS0.service.d" "$root/usr/lib/nestvisor" "$root/root/.ssh"
	chmod 700 "$root/root/.ssh"
	printf '%s\n' 'HostKey /etc/ssh/ssh_host_ed25519_key' 'PermitRootLogin prohibit-password' 'PasswordAuthentication no' \
		>"$root/etc/ssh/sshd_config.d/nestvisor.conf"
	printf '%s\n' '[Service]' ExecStartPre= "ExecStartPre=/bin/sh -c '[ -e /etc/ssh/ssh_host_ed25519_key ] || exec \
ssh-keygen -q -t ed25519 -N \"\" -f /etc/ssh/ssh_host_ed25519_key'" 'ExecStartPre=/usr/sbin/sshd -t' \
		>"$root/etc/systemd/system/ssh.service.d/nestvisor.conf"
	printf '%s\n' '[Service]' ExecStart= 'ExecStart=-/sbin/agetty --autologin root --keep-baud 115200,9600 %I $TERM' \
		>"$root/etc/systemd/system/serial-getty@ttyS0.service.d/nestvisor.conf"
	printf '/dev/vda / ext4 rw,noatime,x-systemd.growfs 0 0\n' >"$root/etc/fstab"
	printf 'debian\n' >"$root/etc/hostname"
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
	rm -f "$root/etc/resolv.conf"
	: >"$root/etc/resolv.conf"
	install -m 644 "$script_dir/modprobe.conf" "$root/etc/modprobe.d/nestvisor.conf"
	install -m 755 "$script_dir/network" "$script_dir/hypervisor" "$root/usr/lib/nestvisor/"
	unit nestvisor-network.service sysinit.target
	unit nestvisor-hypervisor.service multi-user.target
	unit nestvisor-ready.service multi-user.target
	quieten
}

need_debian
need lz4 lz4
need mmdebstrap mmdebstrap
need unshare util-linux
need_package_lists linux-image-cloud-amd64

kernel_package=$(kernel_package)
[ -n "$kernel_package" ] || fail 'linux-image-cloud-amd64 depends on no kernel' 'please report it: apt-cache depends linux-image-cloud-amd64'
version=${kernel_package#linux-image-}
progress "downloading $kernel_package and busybox"
download "$work/packages" "$kernel_package" libc6 busybox $loaders
progress 'unpacking the kernel'
tree=$work/tree
unpack "$work/packages" "$tree"
kernel "$tree/boot/vmlinuz-$version" "$out"

guest=$out/guest
skeleton "$guest"
install_file "$tree" bin/busybox "$guest"
cp -L "$tree/usr/lib64/ld-linux-x86-64.so.2" "$guest/usr/lib64/"
install_libraries "$tree" "$guest" "$guest/usr/bin/busybox"
KEEP_SIGNATURES=1 # under Secure Boot the kernel loads no module without one
install_modules "$tree" "$version" "$guest" $boot_modules
index_modules "$tree" "$version" "$guest"
mkdir -p "$guest/dev" "$guest/proc" "$guest/sys" "$guest/run" "$guest/root"
for applet in sh mount umount modprobe cp usleep reboot switch_root; do
	ln -s busybox "$guest/usr/bin/$applet"
done
install -m 755 "$script_dir/init-disk" "$guest/init"
cp "$tree/usr/lib/shim/shimx64.efi.signed" "$out/shim.efi"
cp "$tree/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$out/grub.efi"

root=$work/root
sources
progress 'downloading and installing Debian'
bootstrap
progress 'configuring'
mkdir -p "$root/usr/lib/modules"
cp -a "$tree/usr/lib/modules/$version" "$root/usr/lib/modules/"
chroot "$root" depmod "$version"
configure
chroot "$root" dpkg-query -W -f '${Package} ${Version}\n' >"$out/packages"
versions "$work/packages" | grep -E "^($kernel_package|shim-signed|grub-efi-amd64-signed) " >>"$out/packages"
ls "$root/usr/lib/x86_64-linux-gnu" | grep '\.so\.' | sort >"$out/libraries"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/var/log/apt "$root"/tmp/* "$tree"

progress 'making the root disk'
size=$(du -sm "$root" | cut -f 1)
mke2fs -q -F -t ext4 -O ^metadata_csum -J size=16 -m 0 -L nestvisor-root -d "$root" "$out/disk.raw" "$((size + size / 16 + room))M"
