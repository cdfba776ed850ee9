# Builds `micro`: a kernel, and an initramfs with busybox, the guest agent, dropbear and ip; for guests that are hosts
# a second archive on top with QEMU, dnsmasq, nft and the kernel modules of a hypervisor. Run as library.sh says. Makes
# in OUT_DIR:
#   bzImage, vmlinux  the kernel, compressed and not
#   guest/            the root of a plain guest
#   host/             what a host has beyond that
#   packages          names and versions of the Debian packages it is made of
#   libraries         the shared libraries in both roots: nestvisor need not bring those
script_dir=$1 out=$2 work=$3
. "$script_dir/library.sh"

guest_modules='virtio_pci virtio_mmio virtio_console virtio_net virtio_blk virtio_rng qemu_fw_cfg'
host_modules='kvm_amd kvm_intel tun vhost_net bridge br_netfilter veth vxlan geneve nf_* nft_*'
guest_programs='bin/busybox bin/ip sbin/qemu-ga sbin/dropbear bin/dropbearkey'
host_programs='bin/qemu-system-x86_64-microvm bin/qemu-img sbin/dnsmasq sbin/nft'
firmware='qemu/pvh.bin qemu/linuxboot_dma.bin qemu/qboot.rom qemu/kvmvapic.bin seabios/bios-microvm.bin'

need_debian
need lz4 lz4
need_package_lists linux-image-cloud-amd64

kernel_package=$(kernel_package)
[ -n "$kernel_package" ] || fail 'linux-image-cloud-amd64 depends on no kernel' 'please report it: apt-cache depends linux-image-cloud-amd64'
version=${kernel_package#linux-image-}
progress "downloading $kernel_package, QEMU and busybox"
download "$work/packages" "$kernel_package" libc6 busybox iproute2 qemu-guest-agent dropbear-bin qemu-system-x86 \
	qemu-system-data qemu-utils seabios dnsmasq-base nftables libnftables1
progress 'unpacking'
tree=$work/tree
unpack "$work/packages" "$tree"

progress 'fetching the libraries they need'
programs=
for program in $guest_programs $host_programs; do
	programs="$programs usr/$program"
done
fetch_libraries "$tree" "$work" $programs
versions "$work" >"$out/packages"

progress 'unpacking the kernel'
kernel "$tree/boot/vmlinuz-$version" "$out"

progress 'putting the root of a guest together'
guest=$out/guest host=$out/host
skeleton "$guest"
for program in $guest_programs; do
	install_file "$tree" "$program" "$guest"
done
cp -L "$tree/usr/lib64/ld-linux-x86-64.so.2" "$guest/usr/lib64/"
BASE='' install_libraries "$tree" "$guest" "$guest"/usr/bin/* "$guest"/usr/sbin/*
BASE='' install_modules "$tree" "$version" "$guest" $guest_modules
index_modules "$tree" "$version" "$guest"
run_in_tree "$tree" usr/bin/busybox --list | while read -r applet; do
	[ -e "$guest/usr/bin/$applet" ] || [ -e "$guest/usr/sbin/$applet" ] || ln -s busybox "$guest/usr/bin/$applet"
done
mkdir -p "$guest/dev" "$guest/proc" "$guest/sys" "$guest/run" "$guest/tmp" "$guest/mnt" "$guest/root/.ssh" "$guest/etc/dropbear" \
	"$guest/etc/modprobe.d" "$guest/var/lib" "$guest/var/log" "$guest/var/cache" "$guest/var/empty" "$guest/usr/local/bin"
chmod 700 "$guest/root" "$guest/root/.ssh"
chmod 1777 "$guest/tmp"
ln -s ../run "$guest/var/run"
ln -s ../proc/self/mounts "$guest/etc/mtab"
ln -s ../bin/busybox "$guest/usr/sbin/init"
printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/:/usr/bin/false \
	dnsmasq:x:53:65534:dnsmasq:/:/usr/bin/false >"$guest/etc/passwd"
printf '%s\n' root:x:0: tty:x:5: dip:x:30: kvm:x:78: nogroup:x:65534: >"$guest/etc/group"
printf '%s\n' 'root:*:19000:0:99999:7:::' >"$guest/etc/shadow"
chmod 600 "$guest/etc/shadow"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$guest/etc/hosts"
printf 'ID=nestvisor-micro\nNAME="nestvisor micro"\nPRETTY_NAME="nestvisor micro, from Debian packages"\n' >"$guest/etc/os-release"
install -m 755 "$script_dir/init" "$guest/init"
install -m 755 -t "$guest/usr/lib/nestvisor" "$script_dir/network" "$script_dir/dhcp" "$script_dir/agent" "$script_dir/late"
install -m 755 "$script_dir/shutdown" "$guest/usr/sbin/shutdown"
install -m 644 -t "$guest/etc" "$script_dir/inittab" "$script_dir/fstab" "$script_dir/profile"

progress 'putting the root of a hypervisor together'
skeleton "$host"
for program in $host_programs; do
	install_file "$tree" "$program" "$host"
done
for file in $firmware; do
	install_file "$tree" "share/$file" "$host"
done
BASE=$guest install_libraries "$tree" "$host" "$host"/usr/bin/* "$host"/usr/sbin/*
BASE=$guest install_modules "$tree" "$version" "$host" $host_modules
index_modules "$tree" "$version" "$host" "$guest"
find "$guest/usr/lib/x86_64-linux-gnu" "$host/usr/lib/x86_64-linux-gnu" -type f | sed 's|.*/||' | sort >"$out/libraries"
mkdir -p "$host/etc/modprobe.d"
install -m 755 "$script_dir/hypervisor" "$host/usr/lib/nestvisor/hypervisor"
install -m 644 "$script_dir/modprobe.conf" "$host/etc/modprobe.d/nestvisor.conf"
