# Builds `micro-libvirt`: `micro`, whose hypervisors run a libvirtd, with the full QEMU, since libvirt does not know the machine
# microvm. Makes the same as micro.sh, on top of which this is.
. "$1/micro.sh"

# libvirt_iohelper writes and reads the memory of snapshots.
libvirt_programs='sbin/libvirtd bin/virsh bin/qemu-system-x86_64 lib/libvirt/libvirt_iohelper'
# What programs load by name: libvirtd its driver, the full QEMU its emulation, which libvirt asks about, too.
libvirt_modules='lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so
	lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so'
libvirt_firmware='seabios/bios-256k.bin'

progress 'downloading libvirt'
download "$work/libvirt" libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients libvirt0 qemu-system-common
unpack "$work/libvirt" "$tree"
progress 'fetching the libraries of libvirt and the full QEMU'
mkdir -p "$work/libvirt-libraries"
programs=
for program in $libvirt_programs $libvirt_modules; do
	programs="$programs usr/$program"
done
fetch_libraries "$tree" "$work/libvirt-libraries" $programs
versions "$work" >"$out/packages"

progress 'putting libvirt in'
modules=
for program in $libvirt_programs; do
	install_file "$tree" "$program" "$host"
done
for module in $libvirt_modules; do
	install_file "$tree" "$module" "$host"
	modules="$modules $host/usr/$module"
done
for file in $libvirt_firmware; do
	install_file "$tree" "share/$file" "$host"
done
mkdir -p "$host/usr/share/libvirt" "$host/etc/libvirt" "$host/var/lib/libvirt" "$host/var/log/libvirt"
cp -R "$tree/usr/share/libvirt/cpu_map" "$host/usr/share/libvirt/"
BASE=$guest install_libraries "$tree" "$host" "$host"/usr/bin/* "$host"/usr/sbin/* "$host"/usr/lib/libvirt/* $modules
find "$guest/usr/lib/x86_64-linux-gnu" "$host/usr/lib/x86_64-linux-gnu" -type f | sed 's|.*/||' | sort >"$out/libraries"

# Root owns what nestvisor makes, and nobody else lives here: QEMU runs as root, in no /dev of its own, and its console needs
# no virtlogd. libvirtd looks for the user of Debian's package all the same.
printf '%s\n' 'user = "root"' 'group = "root"' 'remember_owner = 0' 'namespaces = []' 'stdio_handler = "file"' >"$host/etc/libvirt/qemu.conf"
printf '%s\n' 'auth_unix_rw = "none"' 'auth_unix_ro = "none"' 'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"' >"$host/etc/libvirt/libvirtd.conf"
{ cat "$guest/etc/passwd"; echo libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/bin/false; } >"$host/etc/passwd"
{ cat "$guest/etc/group"; echo libvirt-qemu:x:64055:; } >"$host/etc/group"
# init supervises it; what nestvisor waits for before it uses this host includes its socket.
{ cat "$guest/etc/inittab"; echo '::respawn:/usr/sbin/libvirtd'; } >"$host/etc/inittab"
printf '%s\n' 'until [ -S /run/libvirt/libvirt-sock ]; do usleep 10000; done' >>"$host/usr/lib/nestvisor/hypervisor"
