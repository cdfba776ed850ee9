/*
 * What logs say. To be included inside the table of logs.c, and nowhere else. Special lines stand before general ones.
 * Every pattern has lines of a real log that it must match, in tests/fixtures/logs; where they come from is told there.
 */

/* clang-format off */
/* KVM cannot be used */
{
	"kvm.firmware-off",
	"kvm: disabled by bios|: disabled by bios|VMX (*disabled by BIOS|SVM disabled (by BIOS)|kvm_*' disabled by bios",
	LOG_KERNEL, LOG_BROKEN,
	"the firmware has the processor's virtualization switched off and locked",
	"switch on VT-x (Intel) or SVM Mode (AMD) in the firmware setup, save, and switch the machine off and on again",
	"arch/x86/kvm, arch/x86/kernel/cpu/feat_ctl.c",
},
{
	"kvm.no-hardware",
	"kvm: no hardware support|VMX not supported by CPU|SVM not supported by CPU|no hardware support for 'kvm_",
	LOG_KERNEL, LOG_BROKEN,
	"the processor that this kernel sees has no VT-x and no AMD-V, or the module of the other maker was loaded",
	"on a guest: its host must give it a CPU with vmx or svm; else: modprobe kvm_intel on Intel, kvm_amd on AMD",
	"arch/x86/kvm/vmx/vmx.c, arch/x86/kvm/svm/svm.c",
},
{
	"kvm.other-hypervisor",
	"KVM_CREATE_VM) failed: 16|failed to initialize kvm: Device or resource busy|"
	"failed to initialize KVM: Device or resource busy|kvm: enabling virtualization on CPU*failed",
	LOG_KERNEL | LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"another hypervisor (VirtualBox, VMware) holds VT-x or AMD-V, which only one can have",
	"stop its guests: VBoxManage list runningvms; VBoxManage controlvm NAME poweroff",
	"virt/kvm/kvm_main.c; kvm_intel returns EBUSY where CR4.VMXE is set already",
},
{
	"kvm.permission",
	"Could not access KVM kernel module: Permission denied|failed to initialize kvm: Permission denied|"
	"failed to initialize KVM: Permission denied",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"the user QEMU runs as may not open /dev/kvm",
	"usermod -aG kvm USER, and log in anew; in a container: --device /dev/kvm",
	"QEMU, accel/kvm/kvm-all.c",
},
{
	"kvm.missing",
	"Could not access KVM kernel module: No such|failed to initialize kvm: No such|failed to initialize KVM: No such",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"there is no /dev/kvm: the module is not loaded, or the processor does not offer virtualization",
	"modprobe kvm_intel || modprobe kvm_amd; what it says is in dmesg",
	"QEMU, accel/kvm/kvm-all.c",
},
{
	"kvm.unusable",
	"Could not access KVM kernel module|failed to initialize kvm|failed to initialize KVM|CPU model 'host' requires KVM",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"KVM cannot be used here",
	"nestvisor doctor says why",
	"QEMU, accel/kvm/kvm-all.c, target/i386/cpu.c",
},

/* KVM runs a guest wrongly */
{
	"kvm.set-msr",
	"error: failed to set MSR|error: failed to get MSR|kvm_buf_set_msrs: Assertion|kvm_put_msrs: Assertion",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"this kernel's KVM refuses a register that QEMU sets for the guest's CPU: the KVM of an outer layer is incomplete, "
	"or QEMU is much younger than the kernel",
	"boot a younger kernel, or give the guest a plainer CPU (-cpu host,-vmx, or a named model); where KVM is that of a "
	"restricted sandbox: use TCG",
	"QEMU, target/i386/kvm/kvm.c, kvm_buf_set_msrs",
},
{
	"kvm.entry-failed",
	"KVM: entry failed, hardware error|kvm: vm entry failed",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"the processor, or the hypervisor one layer up, refused to enter the guest: its state is not one that can be run "
	"(0x80000021 on Intel), or nesting is broken there",
	"update the outer host's kernel; below another hypervisor see that unrestricted guest and EPT are offered "
	"(nestvisor doctor); try another firmware or CPU model",
	"QEMU, accel/kvm/kvm-all.c, KVM_EXIT_FAIL_ENTRY; Intel SDM 3C, 27.8",
},
{
	"kvm.emulation-failed",
	"KVM internal error. Suberror: 1",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"KVM met an instruction of the guest that it has to emulate and cannot: often the guest ran into memory without code",
	"see that unrestricted guest and EPT are on (cat /sys/module/kvm_intel/parameters/unrestricted_guest); update the "
	"host's kernel; try another firmware for the guest",
	"QEMU, accel/kvm/kvm-all.c; KVM_INTERNAL_ERROR_EMULATION of Documentation/virt/kvm/api.rst",
},
{
	"kvm.internal-error",
	"KVM internal error. Suberror:",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"an exception while the guest was entered that KVM cannot deliver (2: while delivering another, 3: at an exit that "
	"may not happen then)",
	"update the host's kernel, and its microcode; at a deeper layer the outer host's, too",
	"QEMU, accel/kvm/kvm-all.c; Documentation/virt/kvm/api.rst, KVM_EXIT_INTERNAL_ERROR",
},
{
	"kvm.unexpected-exit",
	"vmx: unexpected exit reason|svm: unexpected exit reason|VMX: unexpected exit",
	LOG_KERNEL, LOG_BROKEN,
	"the processor left the guest for a reason that this kernel does not know: it is older than the processor, or "
	"patched",
	"boot a younger kernel without patches to KVM, or give the guest an older CPU model",
	"arch/x86/kvm/vmx/vmx.c, arch/x86/kvm/svm/svm.c",
},
{
	"kvm.nested-warning",
	"nested_vmx_vmexit+|nested_svm_vmexit+|nested_svm_vmrun+|nested_vmx_run+|arch/x86/kvm/vmx/nested.c|"
	"arch/x86/kvm/svm/nested.c",
	LOG_KERNEL, LOG_IMPAIRED,
	"the kernel caught a fault of its own in nested virtualization: a guest of a guest may hang or die",
	"update this host's kernel, and report the lines around this one if it is the latest",
	"arch/x86/kvm/*/nested.c, WARN_ON",
},
{
	"kvm.hyperv-evmcs",
	"KVM: accessing unsupported EVMCS field",
	LOG_KERNEL, LOG_BROKEN,
	"Hyper-V (Azure, WSL2) one layer up and this kernel's KVM do not agree about a control: guests here crash",
	"boot a younger kernel, or load kvm_intel with enlightened_vmcs=0",
	"arch/x86/kvm/vmx/hyperv_evmcs.c",
},
{
	"kvm.msr-ignored",
	"unhandled rdmsr|unhandled wrmsr|Unhandled RDMSR|Unhandled WRMSR|ignored rdmsr|ignored wrmsr",
	LOG_KERNEL, LOG_HARMLESS,
	"a guest asked for a register that KVM does not have; most guests live with the answer",
	"nothing, unless the guest crashes at the same moment: then options kvm ignore_msrs=1, or another CPU model",
	"arch/x86/kvm/x86.c",
},
{
	"kvm.split-lock",
	"split lock detection: #AC: qemu|split lock detection: #AC: CPU */KVM|split lock detection: #AC: kvm",
	LOG_KERNEL, LOG_IMPAIRED,
	"a guest locks memory across cache lines, and the kernel slows it down for that, by milliseconds each time",
	"sysctl -w kernel.split_lock_mitigate=0, or split_lock_detect=off on the kernel's command line, where all guests are "
	"trusted",
	"arch/x86/kernel/cpu/bus_lock.c; Documentation/arch/x86/buslock.rst",
},
{
	"qemu.feature-nesting",
	"host doesn't support requested feature: CPUID*.vmx [|host doesn't support requested feature: CPUID*.svm [",
	LOG_QEMU | LOG_LIBVIRT, LOG_IMPAIRED,
	"the guest was to have vmx or svm, and this host has none to give: the guest will not run guests with KVM",
	"nestvisor doctor on this host says where it is switched off",
	"QEMU, target/i386/cpu.c",
},
{
	"qemu.feature-missing",
	"host doesn't support requested feature:|TCG doesn't support requested feature:",
	LOG_QEMU | LOG_LIBVIRT, LOG_HARMLESS,
	"the guest's CPU model has features that this host, or the emulation, does not have; the guest goes without",
	"nothing; or a CPU model that the host has in full: -cpu host, <cpu mode='host-model'/>",
	"QEMU, target/i386/cpu.c",
},

/* QEMU does not start, or dies */
{
	"qemu.image-locked",
	"Failed to get \"write\" lock|Failed to get shared \"write\" lock|Failed to get \"consistent read\" lock",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"another QEMU uses this disk",
	"stop the other one first (fuser -v IMAGE shows it); is the same lab up under another name?",
	"QEMU, block/file-posix.c",
},
{
	"qemu.huge-pages",
	"unable to map backing store for guest RAM|preallocating memory failed|os_mem_prealloc: Insufficient free host memory",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"there are not enough free huge pages, or not enough room in the file that the guest's memory is kept in",
	"grep Huge /proc/meminfo; sysctl -w vm.nr_hugepages=NUMBER, best right after boot",
	"QEMU, util/mmap-alloc.c, util/oslib-posix.c",
},
{
	"qemu.memory",
	"cannot set up guest memory|qemu*Cannot allocate memory",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"the host has too little memory left for the guest",
	"give it less (`memory` in the lab file), or free memory on the host: free -m",
	"QEMU, softmmu/physmem.c",
},
{
	"qemu.oom-killed",
	"Out of memory: Killed process *(qemu|Out of memory: Killed process *(kvm)|Out of memory: Kill process *(qemu|"
	"Memory cgroup out of memory: Killed process *(qemu|CPU */KVM invoked oom-killer|qemu* invoked oom-killer",
	LOG_KERNEL, LOG_BROKEN,
	"the host ran out of memory and the kernel ended the guest's QEMU",
	"give the guests less memory, or the host more: leave 10 to 15 % for KVM's tables; a limit of a cgroup must be above "
	"the guest's memory by that much, too",
	"mm/oom_kill.c",
},
{
	"qemu.disk-full",
	"qemu*No space left on device",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"the disk under the guest's image or overlay is full",
	"df -h; free some room, then go on with the guest: virsh resume NAME, or cont in QEMU's monitor",
	"QEMU, block/",
},
{
	"qemu.tap",
	"could not open /dev/net/tun|could not configure /dev/net/tun|failed to open /dev/net/tun",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"QEMU may not make or use the guest's tap interface, or the kernel has no tun",
	"modprobe tun; run it as root or through libvirt (qemu:///system); another QEMU may use the same tap",
	"QEMU, net/tap-linux.c",
},
{
	"qemu.forwarded-port",
	"ould not set up host forwarding rule",
	LOG_QEMU, LOG_BROKEN,
	"the port that is to be forwarded to the guest is in use on the host, or below 1024 and QEMU is not root",
	"ss -lntup | grep :PORT shows who has it; choose another one",
	"QEMU, net/slirp.c",
},
{
	"qemu.vfio-group",
	"is not viable",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"the device shares its IOMMU group with devices that the host still uses, and only whole groups can be passed on",
	"ls /sys/kernel/iommu_groups/*/devices; bind all of the group to vfio-pci, or use another slot",
	"QEMU, hw/vfio/; Documentation/driver-api/vfio.rst",
},
{
	"qemu.vfio-device",
	"failed to open /dev/vfio/",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"the device that is to be passed to the guest is not bound to vfio-pci, or another guest has it",
	"modprobe vfio-pci; driverctl set-override ADDRESS vfio-pci; no IOMMU group at all: intel_iommu=on or AMD's in the "
	"firmware",
	"QEMU, hw/vfio/; Documentation/driver-api/vfio.rst",
},
{
	"qemu.tpm",
	"tpm-emulator: TPM result for CMD_INIT|Could not initialize libtpms|libtpms/tpm2: Entering failure mode",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"the guest's software TPM cannot read or write its state: owned by another user, or broken",
	"ls -l on the TPM's state (libvirt: /var/lib/libvirt/swtpm/UUID); it must belong to the user swtpm runs as; a broken "
	"one must be removed, with the keys in it",
	"QEMU, backends/tpm/tpm_emulator.c; swtpm(8)",
},
{
	"qemu.svm-cr8",
	"tcg_handle_interrupt: assertion failed",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"QEMU's emulated SVM ended, and the hypervisor in it, when a guest in there wrote CR8 (firmware with UEFI and Windows "
	"do) while an interrupt waited for it: a fault of QEMU's, in 10.0 still",
	"start that guest with -machine kernel-irqchip=off -cpu host,-kvm-asyncpf-int, as nestvisor does",
	"QEMU, target/i386/tcg/sysemu/misc_helper.c, helper_write_crN",
},
{
	"qemu.machine-type",
	"unsupported machine type",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"the guest was made for a machine type that this QEMU does not have: it is older than the one it was made with",
	"qemu-system-x86_64 -machine help; install a younger QEMU, or set q35 in the guest's definition",
	"QEMU, softmmu/vl.c",
},
{
	"qemu.address-in-use",
	"qemu*Address already in use|qemu*Failed to find an available port",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"another program uses this address or port",
	"ss -lntup shows who",
	"QEMU, util/qemu-sockets.c",
},
{
	"qemu.cannot-open",
	"qemu*Could not open '|qemu-img: Could not open",
	LOG_QEMU | LOG_LIBVIRT, LOG_BROKEN,
	"the file is missing, or is not to be read by the user QEMU runs as",
	"ls -lZ on the file, and on each folder above it: namei -l FILE",
	"QEMU, block/file-posix.c",
},
{
	"qemu.permission",
	"qemu*Permission denied",
	LOG_QEMU, LOG_BROKEN,
	"the user QEMU runs as may not do this",
	"nestvisor needs root to start guests; libvirt's guests run as libvirt-qemu or qemu",
	"errno(3), EACCES",
},

/* Security modules */
{
	"lsm.apparmor",
	"apparmor=\"DENIED\"*libvirt|apparmor=\"DENIED\"*qemu|apparmor=\"DENIED\"*swtpm|apparmor=\"DENIED\"*virtqemud",
	LOG_KERNEL | LOG_LIBVIRT, LOG_IMPAIRED,
	"AppArmor kept QEMU or libvirt from a file or device",
	"name= in the line says which; allow it in /etc/apparmor.d/local/abstractions/libvirt-qemu, then systemctl reload "
	"apparmor; or move the file below /var/lib/libvirt/images",
	"security/apparmor; libvirt, docs/drvqemu.rst",
},
{
	"lsm.selinux",
	"avc: *denied*svirt_|avc: *denied*comm=\"qemu|avc: *denied*virtqemud|avc: *denied*libvirt|avc: *denied*swtpm",
	LOG_KERNEL | LOG_LIBVIRT, LOG_IMPAIRED,
	"SELinux kept a guest's QEMU from a file or device that is not labelled for it",
	"restorecon -Rv /var/lib/libvirt/images; a folder elsewhere: semanage fcontext -a -t virt_image_t 'FOLDER(/.*)?' first",
	"security/selinux; svirt_selinux(8)",
},

/* Devices and their isolation */
{
	"iommu.fault",
	"DMAR: [DMA Read*Request device|DMAR: [DMA Write*Request device|AMD-Vi: Event logged [IO_PAGE_FAULT|"
	"IOMMU: Domain isolation failed",
	LOG_KERNEL, LOG_IMPAIRED,
	"a device reached for memory that it may not reach, and the IOMMU stopped it: a driver's fault, firmware that does "
	"not list its memory, or a device that was passed to a guest and not reset",
	"update the firmware; keep the device from its host driver (vfio-pci.ids=…); iommu=pt where nothing is passed on",
	"drivers/iommu/intel/dmar.c, drivers/iommu/amd/iommu.c",
},

/* Networks */
{
	"net.conntrack-full",
	"nf_conntrack: table full, dropping packet",
	LOG_KERNEL, LOG_IMPAIRED,
	"the host tracks as many connections as it may, and drops what is new: guests see it as lost packets",
	"sysctl -w net.netfilter.nf_conntrack_max=262144, and the same in /etc/sysctl.d/",
	"net/netfilter/nf_conntrack_core.c",
},
{
	"net.own-address",
	"received packet on * with own address as source address",
	LOG_KERNEL, LOG_IMPAIRED,
	"a frame with the bridge's own MAC came in: two guests or hosts have the same MAC, or there is a loop",
	"bridge fdb show; give clones new MACs, or switch spanning tree on: ip link set BRIDGE type bridge stp_state 1",
	"net/bridge/br_fdb.c",
},
{
	"net.dnsmasq-port",
	"dnsmasq*failed to create listening socket for|dnsmasq*failed to bind DHCP server socket|"
	"dnsmasq*failed to bind listening socket for",
	LOG_LIBVIRT, LOG_BROKEN,
	"another name or DHCP server has the port (53, 67) that the network's dnsmasq needs",
	"ss -lnup 'sport = :53 or sport = :67'; tell the other one bind-interfaces, or stop it",
	"dnsmasq, src/network.c, src/dhcp.c",
},
{
	"net.subnet-in-use",
	"etwork is already in use by interface",
	LOG_LIBVIRT, LOG_BROKEN,
	"libvirt's network wants a subnet that this host has on another interface: inside a guest often the very one it is "
	"in itself, 192.168.122.0/24",
	"virsh net-edit NAME: another subnet at each layer; then virsh net-start NAME",
	"libvirt, src/network/bridge_driver.c",
},

/* Time */
{
	"time.tsc-unstable",
	"Marking TSC unstable|Marking clocksource 'tsc*unstable",
	LOG_KERNEL, LOG_IMPAIRED,
	"this kernel does not trust the processor's clock any more and takes a slow one: each look at the time leaves the "
	"guest",
	"in a guest: clocksource=kvm-clock, or tsc=reliable where the host's is; on a host: see its firmware; too many guests "
	"on too few cores cause it, too",
	"arch/x86/kernel/tsc.c, kernel/time/clocksource.c",
},
{
	"time.hpet-slow",
	"clocksource: Watchdog hpet read timed out|hpet read-back delay",
	LOG_KERNEL, LOG_IMPAIRED,
	"reading the emulated HPET takes too long, as it does two or more layers deep",
	"the guest without HPET (QEMU: -machine hpet=off; libvirt: <timer name='hpet' present='no'/>), or tsc=nowatchdog",
	"kernel/time/clocksource.c",
},
{
	"time.io-apic",
	"IO-APIC + timer doesn't work!",
	LOG_KERNEL, LOG_BROKEN,
	"the guest did not see its timer tick within the time it allows while booting: the host is too slow, as under TCG or "
	"deep nesting",
	"no_timer_check on the guest's kernel command line; fewer guests at once",
	"arch/x86/kernel/apic/io_apic.c",
},
{
	"time.soft-lockup",
	"BUG: soft lockup - CPU",
	LOG_KERNEL, LOG_IMPAIRED,
	"a CPU did nothing else for 20 s and more: in a guest that its host did not let it run, on a host that it is stuck",
	"fewer CPUs in guests than cores on the host; see the outer host's load; watchdog_thresh=60 in deep guests",
	"kernel/watchdog.c; Documentation/admin-guide/lockup-watchdogs.rst",
},

/* Firmware */
{
	"firmware.secure-boot",
	"BdsDxe: failed to *: Access Denied|BdsDxe: failed to *: Security Violation|start failed: Access Denied",
	LOG_FIRMWARE, LOG_BROKEN,
	"Secure Boot refused the boot loader: it is not signed with a key that the guest's firmware knows",
	"a firmware without Secure Boot for this guest (libvirt: <firmware><feature enabled='no' name='secure-boot'/>), or a "
	"signed image",
	"edk2, MdeModulePkg/Universal/BdsDxe; UEFI 2.10, 7.4 LoadImage",
},

/* WSL */
{
	"wsl.no-virtualization",
	"0x80370102",
	LOG_WINDOWS, LOG_BROKEN,
	"Windows cannot start the virtual machine that WSL2 is: the firmware has virtualization off, or the feature is missing",
	"switch VT-x or SVM on in the firmware; in an administrator's PowerShell: wsl --install --no-distribution; in a guest: "
	"nesting on its host",
	"https://learn.microsoft.com/windows/wsl/troubleshooting",
},
{
	"wsl.no-nesting",
	"ested virtualization is not supported on this|WSL_E_NESTED_NOT_SUPPORTED",
	LOG_WINDOWS, LOG_IMPAIRED,
	"WSL2 will have no vmx or svm, so KVM cannot be used in it: Windows 10, or a processor Windows does not nest on",
	"Windows 11 (build 22000 or newer), [wsl2] nestedVirtualization=true in .wslconfig, then wsl --shutdown",
	"https://learn.microsoft.com/windows/wsl/wsl-config",
},
/* clang-format on */
