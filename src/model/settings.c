#include "model/settings.h"

#include "model/windows.h"

#include <string.h>

#define ANY (WINDOWS_11 | WINDOWS_10 | WINDOWS_SERVER)

#define ESXI_8                                                                                                         \
	"https://docs.vmware.com/en/VMware-vSphere/8.0/vsphere-esxi-installation/"                                     \
	"GUID-DEB8086A-306B-4239-BF76-E354679202FC.html"
#define HYPERV_DOC   "QEMU: docs/system/i386/hyperv.rst"
#define REQUIREMENTS "https://learn.microsoft.com/windows/whats-new/windows-11-requirements"

/* An enlightenment: a word of -cpu, an element of libvirt's <hyperv>. */
#define HYPERV(name_, value_, when_, element, mend_, reason_)                                                          \
	{                                                                                                              \
		.name = "hv-" name_, .systems = ANY, .place = SETTING_CPU, .when = (when_), .value = "hv-" value_,     \
		.libvirt = "/domain/features/hyperv[@mode = 'passthrough' or " element "[@state = 'on']]",             \
		.mend = "--features hyperv." mend_, .reason = reason_, .source = HYPERV_DOC                            \
	}

/* Never hv-passthrough: what a guest sees would then differ from host to host, and it could not be moved. */
const struct machine_setting settings[] = {
	{.name = "TPM 2.0",
	 .systems = WINDOWS_11,
	 .place = SETTING_GUEST,
	 .value = "tpm: true",
	 .required = true,
	 .libvirt = "/domain/devices/tpm[backend/@version = '2.0' or (@model = 'tpm-crb' and not(backend/@version)) or "
		    "backend/@type = 'passthrough']",
	 .mend = "--add-device --tpm model=tpm-crb,backend.type=emulator,backend.version=2.0",
	 .reason = "Windows 11 does not install without one; BitLocker and Windows Hello seal their keys to it.",
	 .source = REQUIREMENTS},
	{.name = "UEFI",
	 .systems = WINDOWS_11,
	 .place = SETTING_GUEST,
	 .value = "firmware: uefi-secure",
	 .required = true,
	 .libvirt = "/domain/os[@firmware = 'efi' or loader[@type = 'pflash' or contains(., 'OVMF')]]",
	 .mend = "--edit --boot uefi=on,firmware.feature0.name=secure-boot,firmware.feature0.enabled=yes --features "
		 "smm.state=on",
	 .reason = "Windows 11 does not install by BIOS.",
	 .source = REQUIREMENTS},
	{.name = "Secure Boot",
	 .systems = WINDOWS_11,
	 .place = SETTING_GUEST,
	 .value = "firmware: uefi-secure",
	 .required = true,
	 .libvirt =
		 "/domain/os[loader/@secure = 'yes' or firmware/feature[@name = 'secure-boot' and @enabled = 'yes']]",
	 .mend = "--edit --boot uefi=on,firmware.feature0.name=secure-boot,firmware.feature0.enabled=yes --features "
		 "smm.state=on",
	 .reason =
		 "Windows 11 wants a machine that can do it, and only with System Management Mode can the guest's own "
		 "kernel not switch it off.",
	 .source = REQUIREMENTS "; QEMU: docs/interop/firmware.json, requires-smm"},

	HYPERV("relaxed", "relaxed", SETTING_UNDER_KVM, "relaxed", "relaxed.state=on",
	       "No watchdog: a virtual CPU that was not run for a while is no blue screen."),
	HYPERV("vapic", "vapic", SETTING_UNDER_KVM, "vapic", "vapic.state=on",
	       "The end of an interrupt is a write to memory and no exit, of which each is several in a nested guest."),
	HYPERV("spinlocks", "spinlocks=0x1fff", SETTING_UNDER_KVM, "spinlocks",
	       "spinlocks.state=on,hyperv.spinlocks.retries=8191",
	       "A CPU that waits for a lock gives way to the one that holds it, which may not be running."),
	HYPERV("vpindex", "vpindex", SETTING_UNDER_KVM, "vpindex", "vpindex.state=on",
	       "The number of a virtual CPU, by which most of the others address it."),
	HYPERV("runtime", "runtime", SETTING_UNDER_KVM, "runtime", "runtime.state=on",
	       "Windows sees which time was taken from it."),
	{.name = "hv-time",
	 .systems = ANY,
	 .place = SETTING_CPU,
	 .when = SETTING_UNDER_KVM,
	 .value = "hv-time",
	 .libvirt = "/domain[features/hyperv/@mode = 'passthrough' or clock/timer[@name = 'hypervclock' and @present = "
		    "'yes']]",
	 .mend = "--clock timer3.name=hypervclock,timer3.present=yes",
	 .reason = "Time is read from a page of memory, without an exit.",
	 .source = HYPERV_DOC},
	HYPERV("synic", "synic", SETTING_UNDER_KVM, "synic", "synic.state=on", "The synthetic timers need it."),
	HYPERV("stimer", "stimer", SETTING_UNDER_KVM, "stimer", "stimer.state=on",
	       "Without it some versions use the HPET, and take a whole CPU while they idle."),
	HYPERV("frequencies", "frequencies", SETTING_UNDER_KVM, "frequencies", "frequencies.state=on",
	       "The CPU's frequency is told and not measured, which goes wrong where a layer is slow."),
	HYPERV("tlbflush", "tlbflush", SETTING_UNDER_KVM, "tlbflush", "tlbflush.state=on",
	       "One call instead of an interrupt to each CPU, of which some may not be running."),
	HYPERV("ipi", "ipi", SETTING_UNDER_KVM, "ipi", "ipi.state=on", "One exit for interrupts to many CPUs."),
	{.name = "hv-stimer-direct",
	 .systems = ANY,
	 .place = SETTING_CPU,
	 .when = SETTING_NESTED,
	 .value = "hv-stimer-direct",
	 .libvirt = "/domain/features/hyperv/stimer/direct[@state = 'on']",
	 .mend = "--features hyperv.stimer.direct.state=on",
	 .reason = "A Hyper-V that is nested knows the synthetic timers in this mode only.",
	 .source = HYPERV_DOC},
	HYPERV("evmcs", "evmcs", SETTING_NESTED_INTEL, "evmcs", "evmcs.state=on",
	       "Hyper-V inside keeps its VMCS in memory that KVM reads: fewer exits. There is none for AMD."),

	{.name = "local time",
	 .systems = ANY,
	 .place = SETTING_CLOCK,
	 .when = SETTING_ALWAYS,
	 .value = "base=localtime,driftfix=slew",
	 .libvirt = "/domain/clock[@offset = 'localtime' or @offset = 'timezone']",
	 .mend = "--clock offset=localtime",
	 .reason = "Windows takes the real-time clock for local time, and counts its ticks: those that were late are "
		   "given to it later.",
	 .source = "QEMU: qemu(1), -rtc; libvirt: formatdomain.html, Time keeping"},
	{.name = "HPET off",
	 .systems = ANY,
	 .place = SETTING_MACHINE,
	 .when = SETTING_UNDER_KVM,
	 .value = "hpet=off",
	 .libvirt = "/domain/clock/timer[@name = 'hpet' and @present = 'no']",
	 .mend = "--clock timer2.name=hpet,timer2.present=no",
	 .reason = "Each of its reads is an exit to QEMU, and hv-time and hv-stimer take its place.",
	 .source = "libvirt: formatdomain.html, Time keeping; virt-install's default"},
	{.name = "late ticks of the PIT delayed",
	 .systems = ANY,
	 .place = SETTING_GLOBAL,
	 .when = SETTING_UNDER_KVM,
	 .value = "kvm-pit.lost_tick_policy=delay",
	 .libvirt = "/domain/clock/timer[@name = 'pit' and @tickpolicy = 'delay']",
	 .mend = "--clock timer1.name=pit,timer1.tickpolicy=delay",
	 .reason = "Ticks that were missed come at the usual rate, and not all at once.",
	 .source = "libvirt: formatdomain.html, Time keeping"},
	{.name = "a queue of virtio-net for each CPU",
	 .systems = ANY,
	 .place = SETTING_GUEST,
	 .when = SETTING_UNDER_KVM,
	 .value = "queues: CPUS",
	 .libvirt = "/domain[vcpu = 1 or not(devices/interface[contains(model/@type, 'virtio') and "
		    "not(driver/@queues > 1)])]",
	 .mend = "all --network driver.queues=" SETTING_CPUS,
	 .reason =
		 "With one queue one CPU sends and receives for all of them; each queue has an interrupt and a thread "
		 "of vhost of its own. More than 8 are seldom of use.",
	 .source = "libvirt: formatdomain.html, Setting NIC driver-specific options; virtio 1.2, 5.1.6.5.6, Automatic "
		   "receive steering in multiqueue mode"},

	/* As little as ESXi's own documents say of a machine of QEMU's; what they do not say is from whoever ran it so.
	 */
	{.name = "two CPUs",
	 .systems = ESXI,
	 .place = SETTING_GUEST,
	 .value = "cpus: 2",
	 .required = true,
	 .libvirt = "/domain[number(vcpu) >= 2]",
	 .mend = "--edit --vcpus 2",
	 .reason = "ESXi does not install on fewer.",
	 .source = ESXI_8},
	{.name = "8 GiB of memory",
	 .systems = ESXI,
	 .place = SETTING_GUEST,
	 .value = "memory: 8G",
	 .required = true,
	 .libvirt = "/domain/memory[((not(@unit) or @unit = 'KiB') and . >= 8388608) or (@unit = 'MiB' and . >= 8192) "
		    "or ((@unit = 'GiB' or @unit = 'G') and . >= 8)]",
	 .mend = "--edit --memory 8192",
	 .reason = "ESXi 7 and 8 do not install with less.",
	 .source = ESXI_8},
	{.name = "network card that ESXi knows",
	 .systems = ESXI,
	 .place = SETTING_NIC,
	 .value = "vmxnet3",
	 .required = true,
	 .libvirt = "/domain[not(devices/interface[not(model/@type = 'vmxnet3' or model/@type = 'e1000e')])]",
	 .mend = "--edit all --network model.type=vmxnet3",
	 .reason =
		 "ESXi has no driver for virtio, and does not install without a network card that it knows: vmxnet3 is "
		 "VMware's own, e1000e Intel's 82574L.",
	 .source = "https://github.com/canonical/packer-maas, vmware-esxi/README.md (no virtio); "
		   "https://github.com/shanebagel/Linux-Lab, ESXI.sh (ESXi 7 in KVM with vmxnet3 and SATA)"},
	{.name = "disk that ESXi knows",
	 .systems = ESXI,
	 .place = SETTING_DISK,
	 .value = "ide-hd",
	 .required = true,
	 .libvirt = "/domain[not(devices/disk[(@device = 'disk' or not(@device)) and not(target/@bus = 'sata' or "
		    "(target/@bus = 'scsi' and /domain/devices/controller[@type = 'scsi' and contains(@model, "
		    "'vmpvscsi')]))])]",
	 .mend = "--edit all --disk target.bus=sata",
	 .reason =
		 "ESXi has no driver for virtio. SATA is what its documents name of what QEMU has; pvscsi is VMware's.",
	 .source = ESXI_8},
	{.name = "UEFI",
	 .systems = ESXI,
	 .place = SETTING_GUEST,
	 .value = "firmware: uefi",
	 .libvirt = "/domain/os[@firmware = 'efi' or loader[@type = 'pflash' or contains(., 'OVMF')]]",
	 .mend = "--boot uefi=on",
	 .reason = "Booting by BIOS is deprecated since ESXi 8.",
	 .source = ESXI_8},
	{.name = "svm or vmx",
	 .systems = ESXI,
	 .place = SETTING_GUEST,
	 .value = "nested: true",
	 .libvirt =
		 "/domain/cpu[((@mode = 'host-passthrough' or @mode = 'host-model' or @mode = 'maximum') and "
		 "not(feature[(@name = 'vmx' or @name = 'svm') and (@policy = 'disable' or @policy = 'forbid')])) or "
		 "feature[(@name = 'vmx' or @name = 'svm') and (@policy = 'require' or @policy = 'force' or "
		 "not(@policy))]]",
	 .mend = "--cpu host-passthrough",
	 .reason = "Without it no 64-bit guest runs inside.",
	 .source = ESXI_8},
	{.name = "VMware's port off",
	 .systems = ESXI,
	 .place = SETTING_MACHINE,
	 .value = "vmport=off",
	 .libvirt = "/domain/features/vmport[@state = 'off']",
	 .mend = "--features vmport.state=off",
	 .reason = "QEMU answers VMware's port as a VMware does, but little of it: a system that knows VMware may take "
		   "it for one.",
	 .source = "QEMU: qemu(1), -machine vmport; virt-install's default with SPICE"},
};
const size_t setting_count = sizeof(settings) / sizeof(settings[0]);

unsigned settings_system(const char *os)
{
	return os && strcmp(os, "esxi") == 0 ? ESXI : windows_version(os);
}
