/* What the processor brings, as far as the kernel shows it in /proc/cpuinfo and in the parameters of its modules. */
#include "base/arena.h"
#include "doctor/checks.h"

#include <string.h>

/* How the layer above hands the extension down, for a host that is a guest itself. */
static void add_outer_remedy(struct examination *examination, struct finding *finding, const struct facts *facts,
			     const struct processor_kind *kind)
{
	const char *maker = facts_attribute(facts, "/sys/class/dmi/id/sys_vendor"),
		   *product = facts_attribute(facts, "/sys/class/dmi/id/product_name");

	if (finding->patient->guest) {
		finding_remedy(examination, finding, "in the lab file: %s: {nested: true}", finding->patient->host);
	} else if (look_is_wsl(facts)) {
		finding_remedy(examination, finding,
			       "in %%USERPROFILE%%\\.wslconfig: [wsl2] nestedVirtualization=true; then wsl --shutdown");
	} else if (maker && strstr(maker, "VMware")) {
		finding_remedy(examination, finding,
			       "on the host, in the .vmx file: vhv.enable = \"TRUE\" (\"Virtualize "
			       "Intel VT-x/EPT or AMD-V/RVI\" in the settings of the processor)");
	} else if (maker && strstr(maker, "innotek")) {
		finding_remedy(examination, finding, "on the host: VBoxManage modifyvm VM --nested-hw-virt on");
	} else if (maker && strstr(maker, "Microsoft")) {
		finding_remedy(examination, finding,
			       "on the host: Set-VMProcessor -VMName VM "
			       "-ExposeVirtualizationExtensions $true");
	} else if ((maker && strstr(maker, "QEMU")) || (product && strstr(product, "KVM"))) {
		finding_remedy(examination, finding,
			       "on the host: virsh edit GUEST, and <cpu mode='host-passthrough'/>; "
			       "or QEMU's -cpu host");
		finding_remedy(examination, finding,
			       "on the host: nested=1 for its kvm_intel or kvm_amd (nestvisor "
			       "doctor there says how)");
	} else {
		finding_remedy(examination, finding,
			       "on the host of this guest: give it a CPU with %s (libvirt: <cpu "
			       "mode='host-passthrough'/>; a cloud: a type with nested virtualization)",
			       kind ? kind->extension : "vmx or svm");
	}
	finding->after = AFTER_REBOOT;
}

/* Linux takes svm away and leaves what belongs to it: nested paging without svm is a CPU that has it, locked off. */
static bool svm_taken_away(const struct facts *facts)
{
	return look_flag(facts, "svm") == TRUTH_NO &&
	       (look_flag(facts, "npt") == TRUTH_YES || look_flag(facts, "nrip_save") == TRUTH_YES);
}

static bool firmware_locked(const struct patient *patient)
{
	const struct facts *facts = patient->facts;

	return look_is_inside(patient) != TRUTH_YES &&
	       (look_log_line(facts, "kvm.firmware-off", NULL) || svm_taken_away(facts));
}

static void add_firmware_remedy(struct examination *examination, struct finding *finding,
				const struct processor_kind *kind)
{
	bool amd = kind && strcmp(kind->flag, "svm") == 0;

	finding_remedy(
		examination, finding,
		"in the firmware setup (BIOS, UEFI), below CPU or Advanced: switch on \"%s\", save, and switch the "
		"power off and on again",
		amd ? "SVM Mode" : "Intel Virtualization Technology (VT-x)");
	finding->after = AFTER_REBOOT;
}

static void look_firmware(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct processor_kind *kind = look_processor_kind(facts);
	const struct log_line *line = look_log_line(facts, "kvm.firmware-off", NULL);
	struct finding *finding;

	if (!look_is_host(facts) || look_is_inside(patient) == TRUTH_YES)
		return;
	if (firmware_locked(patient)) {
		finding = finding_add(check, examination, patient, RESULT_FAIL,
				      "the CPU has %s, and the firmware has it switched off and locked",
				      kind ? kind->extension : "virtualization");
		if (line)
			finding_evidence(examination, finding, &line->origin, "\"%s\"", line->text);
		else
			finding_evidence(examination, finding, &facts->processor.origin,
					 "npt among the CPU's flags, but no svm");
		add_firmware_remedy(examination, finding, kind);
	} else if (kind && look_flag(facts, kind->flag) == TRUTH_YES && look_loaded(facts, kind->module) == TRUTH_YES) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "the firmware leaves %s on",
				      kind->extension);
		finding_evidence(examination, finding, NULL, "%s is loaded, which it could not be", kind->module);
	} else if (!kind || look_flag(facts, kind->flag) != TRUTH_NO) {
		finding_unknown(check, examination, patient, "what the kernel says of it (dmesg | grep -i bios)");
	}
}

const struct check check_cpu_firmware = {
	.id = "cpu.firmware",
	.title = "the firmware leaves virtualization switched on",
	.severity = SEVERITY_REQUIRED,
	.matters = "The firmware can switch the extension off and lock it; nothing that runs later can switch it on "
		   "again.",
	.after = AFTER_REBOOT,
	.look = look_firmware,
};

/*
 * "vmx" and "svm" in cpuinfo. From 5.6 on Linux itself takes vmx away where the firmware locked it off
 * (arch/x86/kernel/cpu/feat_ctl.c), from 6.8 on svm, too (arch/x86/kernel/cpu/amd.c); older kernels go on showing it
 * and fail when the module is loaded.
 */
static void look_virtualization(const struct check *check, struct examination *examination,
				const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct processor_kind *kind = look_processor_kind(facts);
	bool inside = look_is_inside(patient) == TRUTH_YES;
	struct finding *finding;

	if (!look_is_host(facts))
		return;
	if (kind && look_flag(facts, kind->flag) == TRUTH_YES) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "the CPU has %s", kind->extension);
		finding_evidence(examination, finding, &facts->processor.origin, "%s",
				 facts->processor.model_name ? facts->processor.model_name : kind->flag);
		return;
	}
	if (facts->processor.flags_known != TRUTH_YES) {
		finding_unknown(check, examination, patient, "the CPU's flags (/proc/cpuinfo)");
		return;
	}
	if (firmware_locked(patient)) /* cpu.firmware says so */
		return;
	/* A KVM that needs no extension: guests run, but none inside guests. */
	finding = finding_add(check, examination, patient, patient->probe == PROBE_WORKS ? RESULT_WARN : RESULT_FAIL,
			      inside ? "this host is a guest itself, and the host it runs on shows it no %s"
				     : "the CPU has no %s, or the firmware keeps it off",
			      kind ? kind->extension : "VT-x or AMD-V");
	finding_evidence(examination, finding, &facts->processor.origin, "no %s among the flags of %s",
			 kind ? kind->flag : "vmx or svm",
			 facts->processor.model_name ? facts->processor.model_name : "the CPU");
	if (inside)
		add_outer_remedy(examination, finding, facts, kind);
	else
		add_firmware_remedy(examination, finding, kind);
}

const struct check check_cpu_virtualization = {
	.id = "cpu.virtualization",
	.title = "the CPU has VT-x or AMD-V",
	.severity = SEVERITY_REQUIRED,
	.matters = "Without it every guest is emulated, ten to a hundred times slower, and KVM cannot be used at all.",
	.after = AFTER_REBOOT,
	.look = look_virtualization,
};
