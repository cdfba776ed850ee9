/* What a host is at all: its architecture, its kernel. */
#include "doctor/checks.h"

#include <string.h>

/*
 * Arm, RISC-V and s390x have their own nested virtualization (Arm's FEAT_NV2 came to KVM in Linux 6.16), with other
 * flags, other modules and other QEMU machines; nestvisor's images, profiles and checks are for x86-64 alone.
 */
static void look_architecture(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	struct finding *finding;

	if (facts->system == SYSTEM_WINDOWS)
		return;
	switch (look_is_x86(facts)) {
	case TRUTH_YES:
		finding = finding_add(check, examination, patient, RESULT_PASS, "the processor is an x86");
		if (facts->processor.vendor)
			finding_evidence(examination, finding, &facts->processor.origin, "%s", facts->processor.vendor);
		return;
	case TRUTH_NO:
		finding = finding_add(check, examination, patient, RESULT_FAIL,
				      "this is a machine of kind %s, which nestvisor does not support",
				      facts->kernel.machine);
		finding_evidence(examination, finding, &facts->kernel.origin, "%s", facts->kernel.machine);
		finding_remedy(examination, finding, "use a host with an x86-64 processor");
		return;
	case TRUTH_UNKNOWN:
		finding_unknown(check, examination, patient,
				"what kind of processor this is (uname -m, /proc/cpuinfo)");
		return;
	}
}

const struct check check_host_architecture = {
	.id = "host.architecture",
	.title = "the processor is an x86",
	.severity = SEVERITY_REQUIRED,
	.matters = "Images, machine types and nested virtualization differ on every kind of processor; nestvisor knows "
		   "those of x86-64.",
	.look = look_architecture,
};

/*
 * 5.4 is the floor of the seed documents ("Linux 5.4.0+"). nested is on by default from 4.20 on for Intel and since
 * 3.x for AMD (Documentation/virt/kvm/x86/running-nested-guests.rst); saving and restoring a nested guest's state
 * (KVM_CAP_NESTED_STATE) came with 4.19 for Intel and 5.8 for AMD.
 */
static void look_kernel(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	struct finding *finding;
	bool known;
	int age;

	if (!look_is_host(facts))
		return;
	age = look_kernel_version(facts, 5, 4, &known);
	if (!known) {
		finding_unknown(check, examination, patient, "the kernel's release (uname -r)");
		return;
	}
	if (age >= 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "Linux %s is 5.4 or newer",
				      facts->kernel.release);
		finding_evidence(examination, finding, &facts->kernel.origin, "%s", facts->kernel.release);
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_FAIL, "Linux %s is older than 5.4",
			      facts->kernel.release);
	finding_evidence(examination, finding, &facts->kernel.origin, "%s", facts->kernel.release);
	switch (distribution_family(facts)) {
	case DISTRIBUTION_DEBIAN:
		finding_remedy(examination, finding,
			       "upgrade to Debian 11, Ubuntu 20.04 or newer; or, where there is "
			       "one, a backported kernel: apt install -t $(lsb_release -cs)-backports "
			       "linux-image-amd64");
		break;
	case DISTRIBUTION_FEDORA:
		finding_remedy(examination, finding, "dnf upgrade kernel");
		finding_remedy(examination, finding, "upgrade to release 9 where the distribution stays below 5.4");
		break;
	case DISTRIBUTION_ARCH:
		finding_remedy(examination, finding, "pacman -Syu");
		break;
	case DISTRIBUTION_SUSE:
		finding_remedy(examination, finding, "zypper dup");
		break;
	case DISTRIBUTION_ALPINE:
		finding_remedy(examination, finding, "apk upgrade --available");
		break;
	case DISTRIBUTION_UNKNOWN:
		finding_remedy(examination, finding, "install a kernel of 5.4 or newer");
		break;
	}
}

const struct check check_kernel_version = {
	.id = "kernel.version",
	.title = "the kernel is 5.4 or newer",
	.severity = SEVERITY_REQUIRED,
	.matters = "Older kernels switch nesting off by default, lose nested guests when they are saved, and have "
		   "known holes that nobody mends any more.",
	.after = AFTER_REBOOT,
	.look = look_kernel,
};

/* Debian's package has both QEMUs; a hypervisor of nestvisor's own image has the small one alone. */
static void look_qemu(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char *const names[] = {"qemu-system-x86_64", "qemu-system-x86_64-microvm", "qemu-kvm"};
	static const struct packages packages = {.debian = "qemu-system-x86",
						 .fedora = "qemu-kvm",
						 .arch = "qemu-system-x86",
						 .suse = "qemu-x86",
						 .alpine = "qemu-system-x86_64"};
	const struct facts *facts = patient->facts;
	const struct program *missing = NULL;
	struct finding *finding;

	if (!look_is_host(facts))
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const struct program *program = facts_program(facts, names[i]);

		if (!program)
			continue;
		if (program->installed == TRUTH_YES || program->version) {
			finding = finding_add(check, examination, patient, RESULT_PASS, "QEMU is installed");
			finding_evidence(examination, finding, &program->origin, "%s",
					 program->version ? program->version : program->name);
			return;
		}
		missing = program->installed == TRUTH_NO ? program : missing;
	}
	if (!missing) {
		finding_unknown(check, examination, patient, "whether QEMU is installed");
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_FAIL, "QEMU is not installed");
	finding_evidence(examination, finding, &missing->origin, "%s is not in PATH", missing->name);
	finding_install(examination, finding, &packages);
}

const struct check check_host_qemu = {
	.id = "host.qemu",
	.title = "QEMU is installed",
	.severity = SEVERITY_REQUIRED,
	.matters = "A guest is a process of QEMU; KVM alone runs none.",
	.look = look_qemu,
};
