/*
 * Order matters twice: what tells most comes first, so that a stream which is cut off has it; and the network comes
 * before what takes longer, so that its parts belong to one moment.
 */
#include "facts/source.h"

#include <string.h>

#define CPU    "/sys/devices/system/cpu/"
#define NODES  "/sys/devices/system/node/node*/"
#define CONF4  "/proc/sys/net/ipv4/conf/*/"
#define CONF6  "/proc/sys/net/ipv6/conf/*/"
#define NEIGH4 "/proc/sys/net/ipv4/neigh/default/"
#define NICS   "/sys/class/net/*/"

/* Names of packages that matter to anything nestvisor checks; patterns as dpkg-query(1) and rpm(8) take them. */
#define PACKAGES                                                                                                       \
	"'linux-image*' 'kernel' 'kernel-core' 'kernel-default' 'linux' 'linux-lts' 'qemu*' 'libvirt*' 'ovmf*' "       \
	"'edk2*' 'seabios*' 'ipxe*' 'swtpm*' 'libtpms*' 'dnsmasq*' 'nftables' 'iptables*' 'ebtables*' 'ipset*' "       \
	"'conntrack*' 'iproute*' 'firewalld' 'ufw' 'docker*' 'moby*' 'containerd*' 'podman*' 'passt*' 'virtiofsd*' "   \
	"'virt-manager' 'virtinst' 'bridge-utils' 'openvswitch*' 'amd64-microcode' 'intel-microcode' "                 \
	"'microcode_ctl' 'cloud-image-utils' 'cloud-utils' 'mtools' 'xorriso' 'genisoimage' 'apparmor' "               \
	"'selinux-policy*' 'container-selinux' 'virtualbox*' 'nestvisor'"

#define PACKAGE_WORDS                                                                                                  \
	"^(linux-|kernel|qemu|libvirt|ovmf|edk2|seabios|ipxe|swtpm|libtpms|dnsmasq|nftables|iptables|ebtables|ipset|"  \
	"conntrack|iproute|firewalld|ufw|docker|moby|containerd|podman|passt|virt|bridge-utils|openvswitch|amd-ucode|" \
	"intel-ucode|amd64-microcode|intel-microcode|mtools|xorriso|nestvisor)"

/* What is looked for in PATH. */
#define PROGRAMS                                                                                                       \
	"qemu-system-x86_64 qemu-system-x86_64-microvm qemu-kvm qemu-img qemu-system-aarch64 libvirtd virtqemud "      \
	"virsh virt-host-validate "                                                                                    \
	"swtpm swtpm_setup dnsmasq nft iptables iptables-nft iptables-legacy ip6tables ebtables ipset conntrack ip "   \
	"bridge brctl ss tc docker dockerd podman firewall-cmd firewalld ufw systemctl rc-service passt pasta ssh "    \
	"xorriso mtools mcopy genisoimage cloud-localds virtiofsd VBoxManage vmware modprobe rdmsr nestvisor "         \
	"mmdebstrap apt-get dnf yum zypper pacman apk usermod aa-status getenforce wslinfo"

/* Lines of the kernel's log that are about virtual machines, or about what makes them fail. */
#define KERNEL_LINES                                                                                                   \
	"kvm|vmx|svm|[^a-z]sev[^a-z]|virt|iommu|dmar|amd-vi|vfio|hypervisor|microcode|mce:|machine check|thermal|"     \
	"throttl|apparmor|selinux|avc:|audit|out of memory|oom-|hung_task|blocked for more|soft lockup|rcu.*stall|"    \
	"tap[0-9]|vnet[0-9]|br_netfilter|nf_conntrack|hugepage|x2apic|tsc:|clocksource|vhost|bridge:"

/* XML of everything in one of virsh's lists. It is asked read-only, and so without the secrets that libvirt keeps
 * apart. */
#define VIRSH "t virsh -r -q -c qemu:///system "
#define DUMP(list, dump)                                                                                               \
	"x=$(" VIRSH list ") && { x=$(printf '%s\n' \"$x\" | "                                                         \
	"sed -n 's/^ *\\([0-9a-f]\\{8\\}-[0-9a-f-]\\{27\\}\\).*/" dump " \\1;/p' | head -n 500); "                     \
	"[ -z \"$x\" ] || " VIRSH "\"$(echo $x)\"; }"

static const struct source sources[] = {
	{"uname.txt", "kernel", "the kernel's release and the version of its package", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_KERNEL_ASKED | SOURCE_SHORT, 16, NULL, "uname -a", "uname"},
	{"os-release.txt", "kernel", "the distribution", SOURCE_TEXT, SOURCE_SHORT, 16, "/etc/os-release", NULL, NULL},
	{"proc-cmdline.txt", "kernel", "the kernel's command line", SOURCE_TEXT, SOURCE_SECRETS, 64, "/proc/cmdline",
	 NULL, NULL},

	/* One process in the place of five: each takes a guest of an emulated guest a tenth of a second and more. What
	 * stands between the parts is a link that every host has, and that comes first. */
	{SOURCE_BATCH_NAME, "network", "addresses, rules, routes and neighbours at once", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED | SOURCE_BATCH, 16384, NULL,
	 "B=$(ip -d -batch - 2>/dev/null <<E\naddr show\nlink show dev lo\nrule show\nlink show dev lo\nroute show "
	 "table "
	 "all\nlink show dev lo\nneigh show\nE\n) && printf '%s\\n' \"$B\" || { B=; skip; }",
	 "ip"},
	{"ip-d-addr.txt", "network", "interfaces, their addresses and how they are made", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED | SOURCE_BATCHED, 4096, NULL,
	 "ip -d addr show || ip addr show", "ip"},
	{"bridge-d-link.txt", "network", "ports of bridges", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 2048, NULL, "bridge -d link show", "bridge"},
	{"bridge-fdb.txt", "network", "which MAC is behind which port", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 2048, NULL, "bridge fdb show", "bridge"},
	{"ip-route-show-table-all.txt", "network", "IPv4 routes of all tables", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED | SOURCE_BATCHED, 8192, NULL, "ip -4 route show table all",
	 "ip"},
	{"ip-6-route-show-table-all.txt", "network", "IPv6 routes of all tables", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED | SOURCE_BATCHED, 8192, NULL, "ip -6 route show table all",
	 "ip"},
	{"ip-rule.txt", "network", "IPv4 rules that choose a table", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED | SOURCE_BATCHED, 512, NULL, "ip -4 rule show", "ip"},
	{"ip-6-rule.txt", "network", "IPv6 rules that choose a table", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 512, NULL, "ip -6 rule show", "ip"},
	{"ip-neigh.txt", "network", "neighbours and their MACs", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED | SOURCE_BATCHED, 2048, NULL, "ip neigh show", "ip"},
	{"sysctl-net.txt", "network", "forwarding, reverse path filters and the like", SOURCE_VALUES,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 4096,
	 "/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_nonlocal_bind /proc/sys/net/ipv4/fwmark_reflect "
	 "/proc/sys/net/ipv4/ip_early_demux /proc/sys/net/ipv4/icmp_echo_ignore_all "
	 "/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts /proc/sys/net/ipv4/fib_multipath_hash_policy "
	 "/proc/sys/net/ipv4/ip_local_port_range " CONF4 "forwarding " CONF4 "rp_filter " CONF4 "accept_local " CONF4
	 "route_localnet " CONF4 "proxy_arp " CONF4 "proxy_arp_pvlan " CONF4 "arp_ignore " CONF4 "arp_announce " CONF4
	 "arp_filter " CONF4 "src_valid_mark " CONF4 "send_redirects " CONF4 "accept_redirects " CONF4
	 "disable_policy " CONF4 "disable_xfrm " CONF4 "ignore_routes_with_linkdown " CONF6 "forwarding " CONF6
	 "disable_ipv6 " CONF6 "accept_ra " CONF6 "proxy_ndp " CONF6 "accept_dad " CONF6
	 "addr_gen_mode /proc/sys/net/ipv6/conf/all/seg6_enabled /proc/sys/net/ipv6/bindv6only "
	 "/proc/sys/net/ipv6/ip_nonlocal_bind "
	 "/proc/sys/net/bridge/* " NEIGH4 "gc_thresh1 " NEIGH4 "gc_thresh2 " NEIGH4 "gc_thresh3 "
	 "/proc/sys/net/netfilter/nf_conntrack_* /proc/sys/net/core/somaxconn /proc/sys/net/core/bpf_jit_enable "
	 "/proc/sys/net/core/netdev_max_backlog /proc/sys/net/netfilter/nf_log/*",
	 NULL, NULL,
	 "/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_local_port_range " CONF4 "forwarding " CONF4
	 "rp_filter " CONF4 "accept_local " CONF4 "route_localnet " CONF4 "proxy_arp " CONF4 "arp_ignore " CONF4
	 "arp_filter " CONF4 "src_valid_mark " CONF6 "forwarding " CONF6 "disable_ipv6 " CONF6
	 "proxy_ndp /proc/sys/net/bridge/bridge-nf-call-* "
	 "/proc/sys/net/netfilter/nf_conntrack_helper /proc/sys/net/netfilter/nf_conntrack_tcp_loose"},

	{"nft-a-list-ruleset.txt", "firewall", "rules, sets and flowtables of nftables", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 16384, NULL, "t nft -a list ruleset", "nft"},
	{"iptables-nft-save.txt", "firewall", "rules of iptables", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 8192, NULL, "t iptables-nft-save", "iptables-nft-save"},
	{"ip6tables-nft-save.txt", "firewall", "rules of ip6tables", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 8192, NULL, "t ip6tables-nft-save", "ip6tables-nft-save"},
	/* These make the tables that they are asked for, so they are only asked where there are some. */
	{"iptables-legacy-save.txt", "firewall", "rules of the older iptables", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 8192, NULL,
	 "! grep -q . /proc/net/ip_tables_names 2>/dev/null || t iptables-legacy-save", "iptables-legacy-save"},
	{"ip6tables-legacy-save.txt", "firewall", "rules of the older ip6tables", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 8192, NULL,
	 "! grep -q . /proc/net/ip6_tables_names 2>/dev/null || t ip6tables-legacy-save", "ip6tables-legacy-save"},
	{"iptables-save.txt", "firewall", "rules of iptables, where there is only one of its kinds", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 8192, NULL,
	 "if command -v iptables-nft-save >/dev/null || command -v iptables-legacy-save >/dev/null; then skip; else t "
	 "iptables-save; fi",
	 "iptables-save"},
	{"ip6tables-save.txt", "firewall", "rules of ip6tables, where there is only one of its kinds", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 8192, NULL,
	 "if command -v ip6tables-nft-save >/dev/null || command -v ip6tables-legacy-save >/dev/null; then skip; else "
	 "t ip6tables-save; fi",
	 "ip6tables-save"},
	{"ebtables-nft-save.txt", "firewall", "rules for frames in bridges", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 4096, NULL, "t ebtables-nft-save", "ebtables-nft-save"},
	{"ebtables-legacy-save.txt", "firewall", "rules of the older ebtables", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 4096, NULL,
	 "! grep -q '^ebtable_' /proc/modules 2>/dev/null || t ebtables-legacy-save", "ebtables-legacy-save"},
	{"ebtables-save.txt", "firewall", "rules of ebtables, where there is only one of its kinds", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 4096, NULL,
	 "if command -v ebtables-nft-save >/dev/null || command -v ebtables-legacy-save >/dev/null; then skip; "
	 "else ! grep -q '^ebtable_' /proc/modules 2>/dev/null || t ebtables-save; fi",
	 "ebtables-save"},
	{"ipset-save.txt", "firewall", "sets of iptables", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_WAY | SOURCE_KERNEL_ASKED, 8192, NULL, "[ ! -d /sys/module/ip_set ] || t ipset save",
	 "ipset"},
	{"values-netfilter.txt", "firewall", "which tables the older iptables has", SOURCE_VALUES,
	 SOURCE_NETWORK | SOURCE_WAY, 64,
	 "/proc/net/ip_tables_names /proc/net/ip6_tables_names /proc/net/arp_tables_names /proc/net/psched", NULL, NULL,
	 "/proc/net/ip_tables_names /proc/net/ip6_tables_names /proc/net/arp_tables_names"},
	{"conntrack.txt", "firewall", "connections that are being tracked", SOURCE_COMMAND,
	 SOURCE_NETWORK | SOURCE_KERNEL_ASKED, 4096, "/proc/net/nf_conntrack",
	 "if [ ! -e /proc/sys/net/netfilter/nf_conntrack_max ]; then :; elif [ -r /proc/net/nf_conntrack ]; then "
	 "cat /proc/net/nf_conntrack; else t conntrack -L -o extended -f ipv4 && "
	 "t conntrack -L -o extended -f ipv6; fi",
	 NULL},
	{"ss-lntup.txt", "network", "who listens on which port", SOURCE_COMMAND, SOURCE_NETWORK | SOURCE_KERNEL_ASKED,
	 1024, NULL, "if command -v ss >/dev/null 2>&1; then t ss -lntup; else t netstat -lntu; fi", NULL},

	{"values-interfaces.txt", "network", "drivers and virtual functions of interfaces", SOURCE_VALUES, 0, 2048,
	 NICS "mtu " NICS "operstate " NICS "tun_flags " NICS "owner " NICS "group " NICS "speed " NICS
	      "device/sriov_totalvfs " NICS "device/sriov_numvfs " NICS "device/numa_node " NICS "device/uevent",
	 NULL, NULL},

	{"proc-modules.txt", "kernel", "loaded modules", SOURCE_TEXT, 0, 256, "/proc/modules", NULL, NULL},
	{"values-modules.txt", "kernel", "parameters of modules for virtual machines and networks", SOURCE_VALUES, 0,
	 512,
	 "/sys/module/kvm/parameters/* /sys/module/kvm_intel/parameters/* /sys/module/kvm_amd/parameters/* "
	 "/sys/module/kvm_pvm/parameters/* /sys/module/vhost/parameters/* /sys/module/vhost_net/parameters/* "
	 "/sys/module/vfio/parameters/* /sys/module/vfio_pci/parameters/* "
	 "/sys/module/vfio_iommu_type1/parameters/* /sys/module/nf_conntrack/parameters/* "
	 "/sys/module/br_netfilter/parameters/* /sys/module/zswap/parameters/* "
	 "/sys/module/intel_iommu/parameters/* /sys/module/haltpoll/parameters/* "
	 "/sys/module/cpuidle_haltpoll/parameters/* /sys/module/intel_idle/parameters/* "
	 "/sys/module/rcupdate/parameters/* /sys/module/overlay/parameters/* /sys/module/loop/parameters/*",
	 NULL, NULL},
	{"settings-modules.txt", "kernel", "what is configured for modules", SOURCE_SETTINGS, 0, 512,
	 "/etc/modprobe.d/*.conf /run/modprobe.d/*.conf /lib/modprobe.d/*.conf "
	 "/etc/modprobe.conf /etc/modules /etc/modules-load.d/*.conf /usr/lib/modules-load.d/*.conf",
	 NULL, NULL},
	{"settings-sysctl.txt", "kernel", "what is configured for sysctls", SOURCE_SETTINGS, 0, 512,
	 "/etc/sysctl.conf /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf", NULL, NULL},
	{"settings-boot.txt", "kernel", "what the kernel will be started with next", SOURCE_SETTINGS, SOURCE_SECRETS,
	 256, "/etc/default/grub /etc/default/grub.d/*.cfg /etc/kernel/cmdline", NULL, NULL},
	{"values-kernel.txt", "kernel", "the kernel's version in the distribution's words, taints, system",
	 SOURCE_VALUES, 0, 256,
	 "/proc/version /proc/version_signature /proc/sys/kernel/tainted /proc/uptime /proc/loadavg "
	 "/sys/hypervisor/type /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name "
	 "/sys/class/dmi/id/bios_vendor /sys/class/dmi/id/bios_version /sys/class/dmi/id/bios_date "
	 "/sys/class/dmi/id/chassis_type /sys/firmware/efi/fw_platform_size "
	 "/sys/devices/system/clocksource/clocksource0/* /sys/power/state /etc/debian_version",
	 NULL, NULL},
	{"sysctl.txt", "kernel", "settings of memory and the kernel", SOURCE_VALUES, 0, 256,
	 "/proc/sys/vm/nr_hugepages /proc/sys/vm/nr_overcommit_hugepages /proc/sys/vm/overcommit_memory "
	 "/proc/sys/vm/overcommit_ratio /proc/sys/vm/swappiness /proc/sys/vm/max_map_count "
	 "/proc/sys/vm/hugetlb_shm_group /proc/sys/vm/min_free_kbytes /proc/sys/vm/zone_reclaim_mode "
	 "/proc/sys/vm/dirty_ratio /proc/sys/vm/dirty_background_ratio /proc/sys/vm/compaction_proactiveness "
	 "/proc/sys/vm/unprivileged_userfaultfd /proc/sys/kernel/osrelease /proc/sys/kernel/dmesg_restrict "
	 "/proc/sys/kernel/kptr_restrict /proc/sys/kernel/modules_disabled /proc/sys/kernel/numa_balancing "
	 "/proc/sys/kernel/perf_event_paranoid /proc/sys/kernel/unprivileged_bpf_disabled "
	 "/proc/sys/kernel/unprivileged_userns_clone /proc/sys/kernel/apparmor_restrict_unprivileged_userns "
	 "/proc/sys/kernel/watchdog /proc/sys/kernel/nmi_watchdog /proc/sys/kernel/randomize_va_space "
	 "/proc/sys/kernel/sched_rt_runtime_us /proc/sys/kernel/split_lock_mitigate /proc/sys/kernel/yama/ptrace_scope "
	 "/proc/sys/fs/file-max /proc/sys/fs/nr_open /proc/sys/fs/aio-nr /proc/sys/fs/aio-max-nr "
	 "/proc/sys/fs/inotify/* /proc/sys/user/max_*_namespaces /proc/sys/kernel/pid_max "
	 "/proc/sys/kernel/threads-max",
	 NULL, NULL},

	{"proc-cpuinfo.txt", "processor", "the processor's model, features and known faults", SOURCE_TEXT, 0, 2048,
	 "/proc/cpuinfo", NULL, NULL},
	{"values-cpu.txt", "processor", "topology, caches, microcode, vulnerabilities, throttling", SOURCE_VALUES, 0,
	 4096,
	 CPU "online " CPU "possible " CPU "isolated " CPU "nohz_full " CPU "smt/* " CPU "vulnerabilities/* " CPU
	     "cpuidle/current_driver " CPU "cpuidle/current_governor " CPU "cpu*/topology/core_id " CPU
	     "cpu*/topology/physical_package_id " CPU "cpu*/topology/die_id " CPU
	     "cpu*/topology/thread_siblings_list " CPU "cpu0/cache/index*/level " CPU "cpu0/cache/index*/type " CPU
	     "cpu0/cache/index*/size " CPU "cpu0/cache/index*/ways_of_associativity " CPU
	     "cpu0/cache/index*/shared_cpu_list " CPU "cpu*/cache/index3/id " CPU "cpu*/cache/index3/size " CPU
	     "cpu*/cache/index3/shared_cpu_list " CPU "cpu0/microcode/version " CPU "microcode/reload_status " CPU
	     "cpu0/cpufreq/scaling_driver " CPU "cpu0/cpufreq/scaling_governor " CPU
	     "cpu0/cpufreq/cpuinfo_max_freq " CPU "intel_pstate/status " CPU "intel_pstate/no_turbo " CPU
	     "cpu*/thermal_throttle/*_throttle_count " CPU "cpu*/thermal_throttle/*_throttle_total_time_ms",
	 NULL, NULL},
	{"values-numa.txt", "processor", "NUMA nodes", SOURCE_VALUES, 0, 1024,
	 NODES "cpulist " NODES "distance " NODES "meminfo " NODES "hugepages/hugepages-*/nr_hugepages " NODES
	       "hugepages/hugepages-*/free_hugepages",
	 NULL, NULL},
	{"values-thermal.txt", "processor", "temperatures and fans", SOURCE_VALUES, 0, 512,
	 "/sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp "
	 "/sys/class/thermal/thermal_zone*/trip_point_*_temp /sys/class/thermal/thermal_zone*/trip_point_*_type "
	 "/sys/class/hwmon/hwmon*/name /sys/class/hwmon/hwmon*/temp*_input /sys/class/hwmon/hwmon*/temp*_label "
	 "/sys/class/hwmon/hwmon*/temp*_max /sys/class/hwmon/hwmon*/temp*_crit /sys/class/hwmon/hwmon*/fan*_input",
	 NULL, NULL},
	{"values-resctrl.txt", "processor", "shares of caches (resctrl)", SOURCE_VALUES, 0, 256,
	 "/sys/fs/resctrl/schemata /sys/fs/resctrl/info/*/*", NULL, NULL},

	{"proc-meminfo.txt", "memory", "memory and swap", SOURCE_TEXT, 0, 64, "/proc/meminfo", NULL, NULL},
	{"values-memory.txt", "memory", "huge pages, transparent huge pages, KSM, swap", SOURCE_VALUES, 0, 512,
	 "/sys/kernel/mm/transparent_hugepage/enabled /sys/kernel/mm/transparent_hugepage/defrag "
	 "/sys/kernel/mm/transparent_hugepage/shmem_enabled /sys/kernel/mm/ksm/* "
	 "/sys/kernel/mm/hugepages/hugepages-*/nr_hugepages /sys/kernel/mm/hugepages/hugepages-*/free_hugepages "
	 "/sys/kernel/mm/hugepages/hugepages-*/nr_overcommit_hugepages /proc/swaps /sys/fs/cgroup/memory.max "
	 "/proc/pressure/*",
	 NULL, NULL},

	{"values-block.txt", "devices", "disks: their scheduler, whether they rotate", SOURCE_VALUES, 0, 1024,
	 "/sys/block/*/queue/scheduler /sys/block/*/queue/rotational /sys/block/*/queue/nr_requests "
	 "/sys/block/*/queue/write_cache /sys/block/*/queue/logical_block_size /sys/block/*/queue/discard_max_bytes "
	 "/sys/block/*/size /sys/block/*/ro /sys/block/*/removable /sys/block/*/device/model",
	 NULL, NULL},
	{"values-iommu.txt", "devices", "IOMMU groups and the devices in them", SOURCE_VALUES, 0, 1024,
	 "/sys/kernel/iommu_groups/*/type /sys/kernel/iommu_groups/*/devices/*/uevent "
	 "/sys/bus/pci/devices/*/sriov_totalvfs /sys/bus/pci/devices/*/sriov_numvfs",
	 NULL, NULL},
	{"ls-l.txt", "devices", "who may open devices, sockets and libvirt's files", SOURCE_MODES, 0, 512,
	 "/dev/kvm /dev/vhost-net /dev/vhost-vsock /dev/net/tun /dev/vfio /dev/vfio/vfio /dev/vfio/[0-9]* /dev/sev "
	 "/dev/sgx_vepc /dev/tdx_guest /dev/dxg /dev/tpm0 /dev/hugepages /dev/mshv /dev/vboxdrv /dev/vmmon "
	 "/proc/net/ip_tables_names /proc/net/ip6_tables_names /proc/net/nf_conntrack "
	 "/sys/kernel/iommu_groups/0 /sys/firmware/efi /sys/fs/resctrl/schemata /sys/fs/selinux "
	 "/sys/kernel/security/apparmor /sys/module/kvm /sys/module/kvm_intel /sys/module/kvm_amd "
	 "/sys/module/nf_tables /sys/module/br_netfilter /run/systemd/system /run/WSL "
	 "/proc/sys/fs/binfmt_misc/WSLInterop "
	 "/run/libvirt /run/libvirt/libvirt-sock /run/libvirt/libvirt-sock-ro /run/libvirt/virtqemud-sock "
	 "/run/libvirt/virtnetworkd-sock /run/libvirt/virtnwfilterd-sock "
	 "/run/libvirtd.pid /run/libvirt/virtqemud.pid /run/user/*/libvirt/*-sock "
	 "/run/docker.sock /run/docker.pid /run/podman/podman.sock /run/firewalld.pid /run/ufw.lock "
	 "/etc/libvirt /etc/libvirt/qemu /etc/libvirt/qemu/*.xml /etc/libvirt/qemu/networks/*.xml "
	 "/etc/libvirt/qemu/networks /etc/libvirt/qemu/networks/autostart/default.xml "
	 "/etc/libvirt/nwfilter /var/lib/libvirt /var/lib/libvirt/images /var/lib/libvirt/qemu "
	 "/var/lib/nestvisor /run/nestvisor /usr/share/OVMF /usr/share/OVMF/*.fd /usr/share/edk2/ovmf/*.fd "
	 "/usr/share/edk2/x64/*.fd /usr/share/qemu/ovmf*.bin /usr/share/qemu/firmware /usr/share/qemu/firmware/*.json "
	 "/usr/lib/qemu/qemu-bridge-helper /usr/libexec/qemu-bridge-helper /etc/qemu/bridge.conf "
	 "/etc/netplan /etc/network/interfaces /etc/NetworkManager /etc/systemd/network /etc/nftables.conf "
	 "/etc/iptables /etc/sysconfig/iptables /etc/wsl.conf",
	 NULL, NULL},

	{"id.txt", "users", "the user whom all this is collected as, and her groups", SOURCE_COMMAND,
	 SOURCE_KERNEL_ASKED | SOURCE_SHORT, 16, NULL, "id", "id"},
	{"getent-group.txt", "users", "groups and their members", SOURCE_COMMAND, 0, 1024, "/etc/group",
	 "{ if command -v getent >/dev/null 2>&1; then t getent group; else cat /etc/group; fi; } | sed "
	 "'s/^\\([^:]*\\):[^:]*:/\\1:x:/'",
	 NULL},
	{"getent-passwd.txt", "users", "names and numbers of users, nothing else of them", SOURCE_COMMAND, 0, 1024,
	 "/etc/passwd",
	 "{ if command -v getent >/dev/null 2>&1; then t getent passwd; else cat /etc/passwd; fi; } | "
	 "sed 's/^\\([^:]*\\):[^:]*:\\([^:]*\\):\\([^:]*\\).*/\\1:x:\\2:\\3/'",
	 NULL},

	{"values-security.txt", "security", "AppArmor, SELinux, lockdown", SOURCE_VALUES, 0, 512,
	 "/sys/kernel/security/lsm /sys/kernel/security/lockdown /sys/module/apparmor/parameters/enabled "
	 "/sys/module/apparmor/parameters/mode /sys/kernel/security/apparmor/profiles /sys/fs/selinux/enforce "
	 "/proc/self/attr/current",
	 NULL, NULL},
	{"settings-security.txt", "security", "how SELinux, the firewall's keepers and Docker are configured",
	 SOURCE_SETTINGS, SOURCE_SECRETS, 256,
	 "/etc/selinux/config /etc/firewalld/firewalld.conf /etc/default/ufw /etc/ufw/ufw.conf "
	 "/etc/docker/daemon.json /etc/qemu/bridge.conf",
	 NULL, NULL},

	{"programs.txt", "programs", "which programs are there", SOURCE_COMMAND, SOURCE_SHORT, 64, NULL,
	 "for p in " PROGRAMS "; do command -v $p || echo \"$p: not found\"; done", NULL},
	{"packages.txt", "programs", "versions of kernels, hypervisors, firmware and firewalls", SOURCE_COMMAND,
	 SOURCE_ANY_STATUS | SOURCE_SHORT, 512, NULL,
	 "if command -v dpkg-query >/dev/null 2>&1; then "
	 "dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n' " PACKAGES
	 " 2>/dev/null | sed -n 's/^.i. *//p'; "
	 "elif command -v rpm >/dev/null 2>&1; then t rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' " PACKAGES "; "
	 "elif command -v pacman >/dev/null 2>&1; then t pacman -Q | grep -E '" PACKAGE_WORDS "'; "
	 "elif command -v apk >/dev/null 2>&1; then t apk info -v 2>/dev/null | grep -E '" PACKAGE_WORDS
	 "' | sed 's/-\\([^-]*-r[0-9]*\\)$/ \\1/'; else echo 'no package manager is known here' >&2; false; fi",
	 NULL},
	{"qemu-system-x86_64-version.txt", "programs", "QEMU's version", SOURCE_COMMAND, SOURCE_SHORT, 16, NULL,
	 "t qemu-system-x86_64 --version", "qemu-system-x86_64"},
	{"qemu-kvm-version.txt", "programs", "QEMU's version, where it is called so", SOURCE_COMMAND, SOURCE_SHORT, 16,
	 NULL, "t qemu-kvm --version", "qemu-kvm"},
	{"libvirtd-version.txt", "programs", "libvirt's version", SOURCE_COMMAND, SOURCE_SHORT, 16, NULL,
	 "t libvirtd --version", "libvirtd"},
	{"virsh-version.txt", "programs", "virsh's version", SOURCE_COMMAND, SOURCE_SHORT, 16, NULL,
	 "t virsh --version", "virsh"},
	{"swtpm-version.txt", "programs", "swtpm's version", SOURCE_COMMAND, SOURCE_SHORT, 16, NULL,
	 "t swtpm --version", "swtpm"},
	{"dnsmasq-version.txt", "programs", "dnsmasq's version", SOURCE_COMMAND, SOURCE_SHORT, 16, NULL,
	 "t dnsmasq --version", "dnsmasq"},

	{"virsh-dumpxml.txt", "libvirt", "virtual machines of libvirt", SOURCE_COMMAND, SOURCE_SECRETS, 8192,
	 "/etc/libvirt/qemu/*.xml", DUMP("list --all --uuid", "dumpxml"), "virsh"},
	{"virsh-net-dumpxml.txt", "libvirt", "networks of libvirt", SOURCE_COMMAND, SOURCE_SECRETS, 2048,
	 "/etc/libvirt/qemu/networks/*.xml", DUMP("net-list --all --uuid", "net-dumpxml"), "virsh"},
	{"virsh-nwfilter-dumpxml.txt", "libvirt", "network filters of libvirt", SOURCE_COMMAND, SOURCE_SECRETS, 2048,
	 "/etc/libvirt/nwfilter/*.xml", DUMP("nwfilter-list", "nwfilter-dumpxml"), "virsh"},
	{"settings-libvirt.txt", "libvirt", "how libvirt is configured", SOURCE_SETTINGS, SOURCE_SECRETS, 256,
	 "/etc/libvirt/qemu.conf /etc/libvirt/libvirtd.conf /etc/libvirt/virtqemud.conf /etc/libvirt/network.conf "
	 "/etc/libvirt/libvirt.conf",
	 NULL, NULL},

	{"wsl.conf", "WSL", "this distribution's settings for WSL", SOURCE_TEXT, SOURCE_SECRETS, 64, "/etc/wsl.conf",
	 NULL, NULL},
	{"wslconfig.txt", "WSL", "the Windows user's .wslconfig", SOURCE_TEXT, SOURCE_SECRETS, 64,
	 "/mnt/c/Users/*/.wslconfig",
	 "case $PATH in */mnt/c/Users/*) u=${PATH#*/mnt/c/Users/} u=/mnt/c/Users/${u%%/*}/.wslconfig ;; "
	 "*) set -- /mnt/c/Users/*/.wslconfig; u=; [ $# -gt 1 ] && echo 'several Windows users have one' >&2 || u=$1 "
	 ";; "
	 "esac; if [ -e \"$u\" ]; then cat \"$u\"; else absent; fi",
	 NULL},
	{"wslinfo.txt", "WSL", "the version of WSL and how its network is made", SOURCE_COMMAND,
	 SOURCE_ANY_STATUS | SOURCE_SHORT, 16, NULL,
	 "for w in networking-mode wsl-version; do v=$(t wslinfo --$w) && echo \"$w: $v\"; done", "wslinfo"},

	{"dmesg.txt", "logs", "what the kernel says of virtual machines and of trouble", SOURCE_COMMAND, SOURCE_SECRETS,
	 512, NULL,
	 "x=$(dmesg 2>/dev/null || t journalctl -q -k -b --no-pager -o short-monotonic) && "
	 "{ printf '%s\\n' \"$x\" | grep -iE '" KERNEL_LINES "' | tail -n 1000; }",
	 NULL},
	{"log-audit.txt", "logs", "what SELinux or AppArmor denied to virtual machines", SOURCE_COMMAND, SOURCE_SECRETS,
	 512, NULL,
	 "if [ -r /var/log/audit/audit.log ]; then echo '==> /var/log/audit/audit.log <=='; "
	 "grep -E 'avc:.*denied|apparmor=.DENIED' /var/log/audit/audit.log | grep -E 'qemu|svirt|virt|swtpm' | "
	 "tail -n 200; else absent; fi",
	 NULL},
	{"log-qemu.txt", "logs", "the ends of QEMU's logs", SOURCE_TAILS, SOURCE_SECRETS, 1024,
	 "/var/log/libvirt/qemu/*.log /run/nestvisor/*/guests/*/qemu.log", NULL, NULL},
};

const struct source *source_table(size_t *ret_count)
{
	*ret_count = sizeof(sources) / sizeof(*sources);
	return sources;
}

const struct source *source_find(const char *name)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		if (strcmp(sources[i].name, name) == 0)
			return &sources[i];
	return NULL;
}
