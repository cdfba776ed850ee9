#include "model/windows.h"

#include <string.h>

#define ANY (WINDOWS_11 | WINDOWS_10 | WINDOWS_SERVER)

#define HYPERV_DOC   "QEMU: docs/system/i386/hyperv.rst"
#define REQUIREMENTS "https://learn.microsoft.com/windows/whats-new/windows-11-requirements"

/* An enlightenment: a word of -cpu, an element of libvirt's <hyperv>. */
#define HYPERV(name_, value_, when_, element, mend_, reason_)                                                          \
	{                                                                                                              \
		.name = "hv-" name_, .versions = ANY, .place = WINDOWS_CPU, .when = (when_), .value = "hv-" value_,    \
		.libvirt = "/domain/features/hyperv[@mode = 'passthrough' or " element "[@state = 'on']]",             \
		.mend = "--features hyperv." mend_, .reason = reason_, .source = HYPERV_DOC                            \
	}

/* Never hv-passthrough: what a guest sees would then differ from host to host, and it could not be moved. */
const struct windows_setting windows_settings[] = {
	{.name = "TPM 2.0",
	 .versions = WINDOWS_11,
	 .place = WINDOWS_GUEST,
	 .value = "tpm: true",
	 .required = true,
	 .libvirt = "/domain/devices/tpm[backend/@version = '2.0' or (@model = 'tpm-crb' and not(backend/@version)) or "
		    "backend/@type = 'passthrough']",
	 .mend = "--add-device --tpm model=tpm-crb,backend.type=emulator,backend.version=2.0",
	 .reason = "Windows 11 does not install without one; BitLocker and Windows Hello seal their keys to it.",
	 .source = REQUIREMENTS},
	{.name = "UEFI",
	 .versions = WINDOWS_11,
	 .place = WINDOWS_GUEST,
	 .value = "firmware: uefi-secure",
	 .required = true,
	 .libvirt = "/domain/os[@firmware = 'efi' or loader[@type = 'pflash' or contains(., 'OVMF')]]",
	 .mend = "--edit --boot uefi=on,firmware.feature0.name=secure-boot,firmware.feature0.enabled=yes --features "
		 "smm.state=on",
	 .reason = "Windows 11 does not install by BIOS.",
	 .source = REQUIREMENTS},
	{.name = "Secure Boot",
	 .versions = WINDOWS_11,
	 .place = WINDOWS_GUEST,
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

	HYPERV("relaxed", "relaxed", WINDOWS_UNDER_KVM, "relaxed", "relaxed.state=on",
	       "No watchdog: a virtual CPU that was not run for a while is no blue screen."),
	HYPERV("vapic", "vapic", WINDOWS_UNDER_KVM, "vapic", "vapic.state=on",
	       "The end of an interrupt is a write to memory and no exit, of which each is several in a nested guest."),
	HYPERV("spinlocks", "spinlocks=0x1fff", WINDOWS_UNDER_KVM, "spinlocks",
	       "spinlocks.state=on,hyperv.spinlocks.retries=8191",
	       "A CPU that waits for a lock gives way to the one that holds it, which may not be running."),
	HYPERV("vpindex", "vpindex", WINDOWS_UNDER_KVM, "vpindex", "vpindex.state=on",
	       "The number of a virtual CPU, by which most of the others address it."),
	HYPERV("runtime", "runtime", WINDOWS_UNDER_KVM, "runtime", "runtime.state=on",
	       "Windows sees which time was taken from it."),
	{.name = "hv-time",
	 .versions = ANY,
	 .place = WINDOWS_CPU,
	 .when = WINDOWS_UNDER_KVM,
	 .value = "hv-time",
	 .libvirt = "/domain[features/hyperv/@mode = 'passthrough' or clock/timer[@name = 'hypervclock' and @present = "
		    "'yes']]",
	 .mend = "--clock timer3.name=hypervclock,timer3.present=yes",
	 .reason = "Time is read from a page of memory, without an exit.",
	 .source = HYPERV_DOC},
	HYPERV("synic", "synic", WINDOWS_UNDER_KVM, "synic", "synic.state=on", "The synthetic timers need it."),
	HYPERV("stimer", "stimer", WINDOWS_UNDER_KVM, "stimer", "stimer.state=on",
	       "Without it some versions use the HPET, and take a whole CPU while they idle."),
	HYPERV("frequencies", "frequencies", WINDOWS_UNDER_KVM, "frequencies", "frequencies.state=on",
	       "The CPU's frequency is told and not measured, which goes wrong where a layer is slow."),
	HYPERV("tlbflush", "tlbflush", WINDOWS_UNDER_KVM, "tlbflush", "tlbflush.state=on",
	       "One call instead of an interrupt to each CPU, of which some may not be running."),
	HYPERV("ipi", "ipi", WINDOWS_UNDER_KVM, "ipi", "ipi.state=on", "One exit for interrupts to many CPUs."),
	{.name = "hv-stimer-direct",
	 .versions = ANY,
	 .place = WINDOWS_CPU,
	 .when = WINDOWS_NESTED,
	 .value = "hv-stimer-direct",
	 .libvirt = "/domain/features/hyperv/stimer/direct[@state = 'on']",
	 .mend = "--features hyperv.stimer.direct.state=on",
	 .reason = "A Hyper-V that is nested knows the synthetic timers in this mode only.",
	 .source = HYPERV_DOC},
	HYPERV("evmcs", "evmcs", WINDOWS_NESTED_INTEL, "evmcs", "evmcs.state=on",
	       "Hyper-V inside keeps its VMCS in memory that KVM reads: fewer exits. There is none for AMD."),

	{.name = "local time",
	 .versions = ANY,
	 .place = WINDOWS_CLOCK,
	 .when = WINDOWS_ALWAYS,
	 .value = "base=localtime,driftfix=slew",
	 .libvirt = "/domain/clock[@offset = 'localtime' or @offset = 'timezone']",
	 .mend = "--clock offset=localtime",
	 .reason = "Windows takes the real-time clock for local time, and counts its ticks: those that were late are "
		   "given to it later.",
	 .source = "QEMU: qemu(1), -rtc; libvirt: formatdomain.html, Time keeping"},
	{.name = "HPET off",
	 .versions = ANY,
	 .place = WINDOWS_MACHINE,
	 .when = WINDOWS_UNDER_KVM,
	 .value = "hpet=off",
	 .libvirt = "/domain/clock/timer[@name = 'hpet' and @present = 'no']",
	 .mend = "--clock timer2.name=hpet,timer2.present=no",
	 .reason = "Each of its reads is an exit to QEMU, and hv-time and hv-stimer take its place.",
	 .source = "libvirt: formatdomain.html, Time keeping; virt-install's default"},
	{.name = "late ticks of the PIT delayed",
	 .versions = ANY,
	 .place = WINDOWS_GLOBAL,
	 .when = WINDOWS_UNDER_KVM,
	 .value = "kvm-pit.lost_tick_policy=delay",
	 .libvirt = "/domain/clock/timer[@name = 'pit' and @tickpolicy = 'delay']",
	 .mend = "--clock timer1.name=pit,timer1.tickpolicy=delay",
	 .reason = "Ticks that were missed come at the usual rate, and not all at once.",
	 .source = "libvirt: formatdomain.html, Time keeping"},
	{.name = "a queue of virtio-net for each CPU",
	 .versions = ANY,
	 .place = WINDOWS_GUEST,
	 .when = WINDOWS_UNDER_KVM,
	 .value = "queues: CPUS",
	 .libvirt = "/domain[vcpu = 1 or not(devices/interface[contains(model/@type, 'virtio') and "
		    "not(driver/@queues > 1)])]",
	 .mend = "all --network driver.queues=" WINDOWS_CPUS,
	 .reason =
		 "With one queue one CPU sends and receives for all of them; each queue has an interrupt and a thread "
		 "of vhost of its own. More than 8 are seldom of use.",
	 .source = "libvirt: formatdomain.html, Setting NIC driver-specific options; virtio 1.2, 5.1.6.5.6, Automatic "
		   "receive steering in multiqueue mode"},
};
const size_t windows_setting_count = sizeof(windows_settings) / sizeof(windows_settings[0]);

unsigned windows_version(const char *os)
{
	static const struct {
		const char *os;
		enum windows_version version;
	} known[] = {{"windows-11", WINDOWS_11}, {"windows-10", WINDOWS_10}, {"windows-server", WINDOWS_SERVER}};

	for (size_t i = 0; os && i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(os, known[i].os) == 0)
			return known[i].version;
	return 0;
}

const char *windows_drivers(enum windows_version version, unsigned build)
{
	if (version != WINDOWS_SERVER)
		return version == WINDOWS_11 ? "w11" : "w10";
	return build >= 26100 ? "2k25" : build >= 20348 || build == 0 ? "2k22" : build >= 17763 ? "2k19" : "2k16";
}
