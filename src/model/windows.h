/*
 * What a guest with Windows wants of its machine: one table of settings, each with its value, its reason and its
 * source. The drivers start guests by it, and the doctor checks by it the definitions of guests that somebody else
 * made.
 *
 * None of this was ever run with Windows itself: the rows are what Microsoft, QEMU and libvirt document, and a Linux
 * guest is booted with them in the tests.
 */
#ifndef NESTVISOR_MODEL_WINDOWS_H
#define NESTVISOR_MODEL_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>

enum windows_version { WINDOWS_11 = 1, WINDOWS_10 = 2, WINDOWS_SERVER = 4 };

/* Which Windows a lab file's `os` is; 0: none. */
unsigned windows_version(const char *os);

/* The folder of virtio-win's drivers for it: "w11"; of a server by its build, 0 for one that is not known: "2k22". */
const char *windows_drivers(enum windows_version version, unsigned build);

/* Where a setting belongs in QEMU's command line. */
enum windows_place {
	WINDOWS_GUEST,	 /* the guest's own keys: firmware, tpm, disks, nics */
	WINDOWS_CPU,	 /* a word of -cpu */
	WINDOWS_CLOCK,	 /* the value of -rtc */
	WINDOWS_MACHINE, /* a word of -M */
	WINDOWS_GLOBAL,	 /* the value of -global */
};

/* When it applies. All of WINDOWS_CPU need the hypervisor to be visible. */
enum windows_when {
	WINDOWS_ALWAYS,
	WINDOWS_UNDER_KVM,    /* only KVM does this */
	WINDOWS_NESTED,	      /* under KVM, where Windows runs guests of its own */
	WINDOWS_NESTED_INTEL, /* the same, on a CPU of Intel's */
};

struct windows_setting {
	const char *name;  /* "hv-relaxed" */
	unsigned versions; /* enum windows_version, or-ed */
	enum windows_place place;
	enum windows_when when;
	const char *value;   /* for QEMU; for WINDOWS_GUEST as in a lab file */
	bool required;	     /* Windows does not install without it */
	const char *libvirt; /* XPath: what holds of a libvirt domain that has it; NULL: cannot be told */
	/* What virt-xml makes it so with: of a required one all words behind the guest's name, else an option with a
	 * value, to be joined with those of the same option. Timers stand where virt-install puts them. */
	const char *mend;
	const char *reason, *source;
};

/* Stands in a mend for the number of the guest's CPUs, at most 8. */
#define WINDOWS_CPUS "CPUS"

/* In the order in which they are to be given to QEMU. */
extern const struct windows_setting windows_settings[];
extern const size_t windows_setting_count;

#endif
