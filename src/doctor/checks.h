/*
 * The table of checks, and what they are written with. A check is a `const struct check check_<subject>_<what>` in the
 * file of its subject; its name stands once, in check_list.h, in the order in which findings of one severity are shown.
 *
 * The rules of a look function:
 * - what was not captured is unknown: finding_unknown() names the fact that is missing, and nothing passes without one;
 * - a finding says what is the case on this host, with the fact and where it came from;
 * - a remedy is what a person types on this distribution, or a sentence where no command mends it.
 */
#ifndef NESTVISOR_DOCTOR_CHECKS_H
#define NESTVISOR_DOCTOR_CHECKS_H

#include "doctor/doctor.h"

#define CHECK(name) extern const struct check check_##name;
#include "doctor/check_list.h"
#undef CHECK

/* Distributions that install and configure alike. */
enum distribution_family {
	DISTRIBUTION_UNKNOWN,
	DISTRIBUTION_DEBIAN,
	DISTRIBUTION_FEDORA, /* and its relatives: RHEL, CentOS, Rocky, Alma, Amazon */
	DISTRIBUTION_ARCH,
	DISTRIBUTION_SUSE,
	DISTRIBUTION_ALPINE,
};
enum distribution_family distribution_family(const struct facts *facts);

struct xml;
/* The Windows that a libvirt domain is of (model/windows.h), as far as it says; 0: another system. */
unsigned domain_windows(struct xml *xml);
/* The same, of all systems that model/settings.h has rows for. */
unsigned domain_system(struct xml *xml);

/* What a person types on this distribution to add words to the kernel's command line, or to take them away. */
void finding_kernel_words(struct examination *examination, struct finding *finding, bool add, const char *words);

/* A finding of RESULT_UNKNOWN: `missing` is what would have to be known ("/dev/kvm", "the CPU's flags"). */
struct finding *finding_unknown(const struct check *check, struct examination *examination,
				const struct patient *patient, const char *missing);

/* Attributes: facts_attribute() and facts_attribute_entry() of facts.h, and these. */
struct number look_number(const struct facts *facts, const char *path); /* decimal, and nothing else */
/* Y and 1 are yes, N and 0 are no: parameters of modules come in both forms. */
enum truth look_truth(const struct facts *facts, const char *path);
/* The attributes whose paths begin with a prefix, as a part of the sorted list. */
const struct attribute *look_below(const struct facts *facts, const char *prefix, size_t *ret_count);
/* The next attribute whose path follows a pattern of fnmatch(3), in which * stands for no slash; *at begins as 0. */
const struct attribute *look_next(const struct facts *facts, const char *pattern, size_t *at);
/* "/sys/module/kvm_intel/parameters/nested is N", with where it was read. */
void finding_attribute(struct examination *examination, struct finding *finding, const struct attribute *attribute);

/* Does the CPU have this flag (proc(5), cpuinfo)? TRUTH_UNKNOWN where its flags were not captured. */
enum truth look_flag(const struct facts *facts, const char *flag);
const struct module *look_module(const struct facts *facts, const char *name); /* NULL: not in the list */
/* The last line of the logs that is known (facts/logs.h) by an id with this prefix: "kvm.firmware-off", "lsm.". NULL:
 * none. *ret_count: how many there are; NULL: nobody wants to know. */
const struct log_line *look_log_line(const struct facts *facts, const char *prefix, size_t *ret_count);
/* Loaded, or part of the kernel: it shows itself below /sys/module. */
enum truth look_loaded(const struct facts *facts, const char *name);
/* Part of the kernel: it takes its parameters from the kernel's command line alone. */
bool look_built_in(const struct facts *facts, const char *name);
/* A kernel that was built without loadable modules: it has what is part of it, and nothing can be added. */
bool look_no_modules(const struct facts *facts);
/* A word of the kernel's command line: its value ("1" of "kvm_intel.nested=1", "" of a word without one), NULL: none.
 */
const char *look_kernel_word(struct arena *arena, const struct facts *facts, const char *word);
/* -1, 0, 1: the kernel's release is older than, of, or newer than major.minor; *ret_known false: not known. */
int look_kernel_version(const struct facts *facts, unsigned major, unsigned minor, bool *ret_known);

/* The two families of processors, as KVM knows them. */
struct processor_kind {
	const char *flag;	/* "vmx" */
	const char *module;	/* "kvm_intel" */
	const char *extension;	/* "Intel VT-x (vmx)" */
	const char *nested_ept; /* "EPT" */
};
/* NULL: neither, or not known. Hygon is AMD's kind, Zhaoxin and Centaur are Intel's. */
const struct processor_kind *look_processor_kind(const struct facts *facts);
/* The same where KVM can be of use at all; NULL on a CPU that is known to lack the extension (cpu.virtualization). */
const struct processor_kind *look_kvm_kind(const struct patient *patient);
/* "/sys/module/kvm_intel/parameters/nested" */
const char *look_parameter(struct arena *arena, const struct processor_kind *kind, const char *parameter);

/* Does it run under a hypervisor itself? By what it says, and by the hosts around it. */
enum truth look_is_guest(const struct facts *facts);
enum truth look_is_inside(const struct patient *patient);
bool look_is_wsl(const struct facts *facts);
/* TRUTH_NO: Arm, RISC-V and the like, or a Windows. */
enum truth look_is_x86(const struct facts *facts);

/* Not a Windows and no Arm: the other checks have nothing to say there. */
bool look_is_host(const struct facts *facts);
bool look_has_libvirt(const struct facts *facts);

#endif
