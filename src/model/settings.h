/*
 * What a guest's system wants of its machine, where that is more than what every guest gets: one table of settings,
 * each with its value, its reason and its source. The drivers start guests by it, and the doctor checks by it the
 * definitions of guests that somebody else made.
 *
 * None of this was ever run with Windows or ESXi itself: the rows are what their makers, QEMU and libvirt document, and
 * a Linux guest is booted with them in the tests.
 */
#ifndef NESTVISOR_MODEL_SETTINGS_H
#define NESTVISOR_MODEL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

/* Those of enum windows_version, and others. */
enum { ESXI = 8 };

/* Which of them a lab file's `os` is; 0: none that the table has rows for. */
unsigned settings_system(const char *os);

/* Where a setting belongs in QEMU's command line. */
enum setting_place {
	SETTING_GUEST,	 /* the guest's own keys: firmware, tpm, disks, nics */
	SETTING_CPU,	 /* a word of -cpu */
	SETTING_CLOCK,	 /* the value of -rtc */
	SETTING_MACHINE, /* a word of -M */
	SETTING_GLOBAL,	 /* the value of -global */
	SETTING_NIC,	 /* the device of a NIC, in place of virtio-net */
	SETTING_DISK,	 /* the device of a disk, in place of virtio-blk */
};

/* When it applies. All of SETTING_CPU need the hypervisor to be visible. */
enum setting_when {
	SETTING_ALWAYS,
	SETTING_UNDER_KVM,    /* only KVM does this */
	SETTING_NESTED,	      /* under KVM, where Windows runs guests of its own */
	SETTING_NESTED_INTEL, /* the same, on a CPU of Intel's */
};

struct machine_setting {
	const char *name; /* "hv-relaxed" */
	unsigned systems; /* enum windows_version and ESXI, or-ed */
	enum setting_place place;
	enum setting_when when;
	const char *value;   /* for QEMU; for SETTING_GUEST as in a lab file */
	bool required;	     /* the system does not install without it */
	const char *libvirt; /* XPath: what holds of a libvirt domain that has it; NULL: cannot be told */
	/* What virt-xml makes it so with: of a required one all words behind the guest's name, else an option with a
	 * value, to be joined with those of the same option. Timers stand where virt-install puts them. */
	const char *mend;
	const char *reason, *source;
};

/* Stands in a mend for the number of the guest's CPUs, at most 8. */
#define SETTING_CPUS "CPUS"

/* In the order in which they are to be given to QEMU. */
extern const struct machine_setting settings[];
extern const size_t setting_count;

#endif
