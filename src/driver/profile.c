#include "driver/profile.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/process.h"
#include "image/image.h"
#include "model/settings.h"
#include "model/windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FULL  "qemu-system-x86_64"
#define SMALL "qemu-system-x86_64-microvm"

enum boots {
	BOOTS_KERNEL, /* of the image's own, which QEMU loads */
	BOOTS_DISK,   /* by BIOS */
	BOOTS_UEFI,   /* a disk, or the image's kernel on one (image_make_boot_disk) */
};

enum whom {
	FOR_ALL,
	FOR_EMULATED_SVM, /* where KVM has but the SVM that QEMU emulates */
	FOR_CR8,	  /* there, guests that writes_cr8() below, alone */
};

struct row {
	enum accelerator accelerator;
	enum boots boots;
	struct profile profile;
	enum whom whom;
};

/*
 * Where KVM has but the SVM that QEMU emulates, a guest of it that writes CR8 while an interrupt waits for it ends that
 * QEMU, and so the whole hypervisor: "tcg_handle_interrupt: assertion failed" (helper_write_crN() of
 * target/i386/tcg/sysemu/misc_helper.c does not take QEMU's lock; seen with 7.2 and 10.0). KVM has a guest write CR8 by
 * itself where the local APIC is KVM's, and does it on the guest's behalf where it is not (svm_update_cr8_intercept()
 * of arch/x86/kvm/svm/svm.c), so with the APIC in QEMU such guests run, slower. -kvm-asyncpf-int: it has no APIC to
 * ask. Linux does not write CR8 while it runs, UEFI's interrupt handlers do, and Windows all the time.
 */
#define QEMU_APIC     ",kernel-irqchip=off"
#define QEMU_APIC_CPU ",-kvm-asyncpf-int"

/*
 * The first row that fits and whose QEMU is installed. Debian's package qemu-system-x86 brings both QEMUs; a hypervisor
 * image of ours has the small one alone, which knows no TCG, no firmware that boots a disk, and no seccomp.
 */
static const struct row rows[] = {
	/* Linux would ask all 256 buses of q35's for a bridge of which nobody told (pcibios_fixup_peer_bridges()):
	   16,000 exits. */
	{ACCEL_KVM,
	 BOOTS_UEFI,
	 {"kvm-uefi-emulated", FULL, "q35" QEMU_APIC, "kvm", "host" QEMU_APIC_CPU, "host,-svm,-vmx" QEMU_APIC_CPU,
	  BUS_PCI, false, true, "tsc=reliable mitigations=off pci=lastbus=0"},
	 FOR_CR8},
	{ACCEL_KVM,
	 BOOTS_DISK,
	 {"kvm-q35-emulated", FULL, "q35" QEMU_APIC, "kvm", "host" QEMU_APIC_CPU, "host,-svm,-vmx" QEMU_APIC_CPU,
	  BUS_PCI, false, true, ""},
	 FOR_CR8},
	/* On a CPU that is emulated there is nothing to mitigate, and its TSC is the emulation's: a twelfth of a start.
	 */
	{ACCEL_KVM,
	 BOOTS_KERNEL,
	 {"kvm-pc-emulated", FULL, "pc", "kvm", "host", "host,-svm,-vmx", BUS_PCI, false, true,
	  "tsc=reliable nokaslr mitigations=off"},
	 FOR_EMULATED_SVM},
	/* The full QEMU under KVM boots a kernel of ours faster as pc than as q35 or microvm (3.4, 4.4 and 6.0 s
	   nested). */
	{ACCEL_KVM, BOOTS_KERNEL, {"kvm-pc", FULL, "pc", "kvm", "host", "host,-svm,-vmx", BUS_PCI, false, true, ""}},
	/*
	 * In a hypervisor guest: microvm, without the legacy devices that each cost exits. Under nested KVM the TSC
	 * cannot be calibrated against a PIT that is not there, and there is nothing to reset it by but a triple fault.
	 * The guest's kernel runs on a CPU that is emulated, or shares a hypervisor of its own with its siblings: what
	 * it would mitigate is within itself, and costs a noticeable part of its start. The kernel is booted by PVH,
	 * and so by qboot: SeaBIOS keeps its ACPI tables where QEMU then loads the initramfs, and the guest hangs.
	 * Without a real-time clock its driver would wait 3 s for one; the time comes from KVM. All this makes 2.3 s
	 * of 6.3.
	 */
	{ACCEL_KVM,
	 BOOTS_KERNEL,
	 {"kvm-micro", SMALL, "microvm,pit=off,pic=off,rtc=off,isa-serial=on,x-option-roms=off,firmware=qboot.rom",
	  "kvm", "host", "host,-svm,-vmx", BUS_MMIO, true, false,
	  "reboot=t tsc=reliable nokaslr mitigations=off initcall_blacklist=cmos_init"}},
	/* A disk that boots by itself expects firmware, PCI and a chipset of this century. */
	{ACCEL_KVM, BOOTS_DISK, {"kvm-q35", FULL, "q35", "kvm", "host", "host,-svm,-vmx", BUS_PCI, false, true, ""}},
	/*
	 * Emulated: pc, since microvm has no HPET and hung early in 2 of 7 boots; PVH spares decompressing the kernel
	 * (2.0 instead of 2.5 s). EPYC is the leanest model that has SVM with nested paging; TCG emulates no VMX. An
	 * emulated CPU does not speculate: there is nothing to mitigate. TCG keeps what it translated, by default up to
	 * 1 GiB beside the guest's memory; with 256 MiB boots of L1 and L2 take as long.
	 */
	{ACCEL_TCG,
	 BOOTS_KERNEL,
	 {"tcg-pc", FULL, "pc", "tcg,thread=multi,tb-size=256", "EPYC,+svm,+npt", "EPYC,-svm,-npt", BUS_PCI, true, true,
	  "mitigations=off"}},
	{ACCEL_TCG,
	 BOOTS_DISK,
	 {"tcg-q35", FULL, "q35", "tcg,thread=multi,tb-size=256", "EPYC,+svm,+npt", "EPYC,-svm,-npt", BUS_PCI, false,
	  true, ""}},
	/* Secure Boot needs System Management Mode, which of QEMU's machines q35 alone has
	 * (docs/interop/firmware.json).
	 */
	{ACCEL_KVM, BOOTS_UEFI, {"kvm-uefi", FULL, "q35", "kvm", "host", "host,-svm,-vmx", BUS_PCI, false, true, ""}},
	{ACCEL_TCG,
	 BOOTS_UEFI,
	 {"tcg-uefi", FULL, "q35", "tcg,thread=multi,tb-size=256", "EPYC,+svm,+npt", "EPYC,-svm,-npt", BUS_PCI, false,
	  true, "mitigations=off"}},
};

static bool installed(const char *binary)
{
	cleanup_free char *path = NULL;

	return process_find(binary, NULL, &path, NULL) == 0;
}

/* The small QEMU has no firmware in flash, no TPM and no display. */
static bool has_devices(const struct profile *profile, const struct driver_guest *guest)
{
	return profile->bus == BUS_PCI || !(guest->tpm || guest->display);
}

static bool writes_cr8(const struct driver_guest *guest)
{
	return guest->firmware != FIRMWARE_BIOS || windows_version(guest->os);
}

static bool is_for(const struct row *row, const struct driver_guest *guest)
{
	return row->whom == FOR_ALL || (guest->svm_emulated && (row->whom == FOR_EMULATED_SVM || writes_cr8(guest)));
}

int profile_choose(const struct driver_guest *guest, const struct profile **ret, struct error **err)
{
	enum boots boots = guest->firmware != FIRMWARE_BIOS ? BOOTS_UEFI
			   : guest->image->kernel	    ? BOOTS_KERNEL
							    : BOOTS_DISK;
	int r;

	if (guest->os && strcmp(guest->os, "linux") != 0 && !settings_system(guest->os))
		return error_set(err, ENOTSUP, "the qemu driver has no profile for os %s yet", guest->os);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].accelerator == guest->accelerator && rows[i].boots == boots && is_for(&rows[i], guest) &&
		    has_devices(&rows[i].profile, guest) && installed(rows[i].profile.binary)) {
			*ret = &rows[i].profile;
			return 0;
		}
	if (!installed(FULL) && !installed(SMALL)) {
		r = error_set(err, ENOENT, "QEMU is not installed");
		error_hint(err, "apt-get install qemu-system-x86");
	} else {
		r = error_set(err, ENOTSUP, "the QEMU here (%s) cannot run a guest %s%s under %s",
			      installed(FULL) ? FULL : SMALL,
			      boots == BOOTS_UEFI     ? "with UEFI"
			      : boots == BOOTS_KERNEL ? "with a kernel of its own"
						      : "from a disk",
			      guest->tpm       ? " and a TPM"
			      : guest->display ? " and a display"
					       : "",
			      accelerator_name(guest->accelerator));
		error_hint(err, "a hypervisor of image debian-12 carries the full QEMU");
	}
	return r;
}

/* Each is a descriptor, a thread of vhost and buffers of the guest's; Windows itself spreads packets over few more. */
enum { MOST_QUEUES = 8 };

static bool queues_pay(const struct driver_guest *guest)
{
	const struct profile *profile;

	return settings_system(guest->os) != ESXI && guest->accelerator == ACCEL_KVM &&
	       profile_choose(guest, &profile, NULL) == 0 && profile->bus == BUS_PCI;
}

unsigned driver_queues(const struct driver_guest *guest, unsigned said)
{
	unsigned queues = said ? said : queues_pay(guest) ? MOST_QUEUES : 1;

	return queues < guest->cpus ? queues : guest->cpus;
}
