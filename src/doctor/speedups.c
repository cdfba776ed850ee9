/* What CPUs have to make guests, and guests of guests, quicker; and how deep nesting goes. */
#include "base/arena.h"
#include "doctor/checks.h"

#include <string.h>

/* A switch of a KVM module. */
struct speedup {
	const char *module, *parameter;
	const char *flag; /* among the CPU's flags where it has the feature; NULL: it has none */
	const char *name;
	const char *off; /* what then happens */
};

static void look_speedup(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct processor_kind *kind = look_processor_kind(facts);
	const struct speedup *speedup = check->data;
	struct finding *finding;
	const char *path;

	if (!kind || !look_is_host(facts) || strcmp(kind->module, speedup->module) != 0 ||
	    look_flag(facts, kind->flag) != TRUTH_YES)
		return;
	path = arena_printf(examination->arena, "/sys/module/%s/parameters/%s", speedup->module, speedup->parameter);
	switch (look_truth(facts, path)) {
	case TRUTH_YES:
		finding = finding_add(check, examination, patient, RESULT_PASS, "%s is in use", speedup->name);
		finding_attribute(examination, finding, facts_attribute_entry(facts, path));
		return;
	case TRUTH_NO:
		finding = finding_add(check, examination, patient, RESULT_WARN, "%s is not in use: %s", speedup->name,
				      speedup->off);
		finding_attribute(examination, finding, facts_attribute_entry(facts, path));
		if (look_is_inside(patient) == TRUTH_YES)
			finding_remedy(
				examination, finding,
				"on the host of this guest: give it the whole CPU (host-passthrough), and see that %s "
				"is in use there, too",
				speedup->name);
		else if (speedup->flag && look_flag(facts, speedup->flag) == TRUTH_NO)
			finding_remedy(examination, finding, "none: this CPU lacks it");
		else
			finding_remedy(examination, finding,
				       "modprobe -r %s && modprobe %s %s=1    # while no guest runs; where it stays N, "
				       "the CPU lacks it",
				       speedup->module, speedup->module, speedup->parameter);
		return;
	case TRUTH_UNKNOWN:
		finding_unknown(check, examination, patient, path);
		return;
	}
}

static const struct speedup vpid = {"kvm_intel", "vpid", "vpid", "VPID", "each exit empties the TLB"},
			    unrestricted_guest = {"kvm_intel", "unrestricted_guest", NULL, "unrestricted guest",
						  "KVM emulates real mode, and nested guests boot slowly or not at "
						  "all"},
			    shadowing = {"kvm_intel", "enable_shadow_vmcs", NULL, "VMCS shadowing",
					 "guests of guests run slowly"},
			    apicv = {"kvm_intel", "enable_apicv", NULL, "APICv", "each interrupt costs exits"};

/* Intel SDM vol. 3, "Virtual-Processor Identifiers (VPIDs)"; kernel-parameters.txt, kvm-intel.vpid */
const struct check check_cpu_vpid = {
	.id = "cpu.vpid",
	.title = "guests' address translations survive exits (VPID)",
	.severity = SEVERITY_ADVICE,
	.matters = "Without it every exit makes the CPU forget where memory is, and a guest of a guest exits all the "
		   "time.",
	.after = AFTER_RELOAD,
	.data = &vpid,
	.look = look_speedup,
};

/* kernel-parameters.txt, kvm-intel.unrestricted_guest */
const struct check check_cpu_unrestricted_guest = {
	.id = "cpu.unrestricted-guest",
	.title = "real mode runs on the CPU (unrestricted guest)",
	.severity = SEVERITY_ADVICE,
	.matters =
		"Without it what firmware and boot loaders do in real mode is emulated, slowly and sometimes wrongly.",
	.after = AFTER_RELOAD,
	.data = &unrestricted_guest,
	.look = look_speedup,
};

/* Intel SDM vol. 3, "VMCS Shadowing"; KVM hands it on to L1 since Linux 4.18. */
const struct check check_cpu_vmcs_shadowing = {
	.id = "cpu.vmcs-shadowing",
	.title = "a hypervisor in a guest reads and writes its VMCS without exits (VMCS shadowing)",
	.severity = SEVERITY_ADVICE,
	.matters =
		"Without it each exit of a guest's guest costs dozens of further exits, one for every field that its "
		"hypervisor reads or writes.",
	.after = AFTER_RELOAD,
	.data = &shadowing,
	.look = look_speedup,
};

/* kernel-parameters.txt, kvm-intel.enable_apicv */
const struct check check_cpu_apicv = {
	.id = "cpu.apicv",
	.title = "interrupts reach guests without exits (APICv)",
	.severity = SEVERITY_NOTE,
	.matters = "With it the CPU itself delivers interrupts to guests; without it each one costs an exit.",
	.after = AFTER_RELOAD,
	.data = &apicv,
	.look = look_speedup,
};

/*
 * AVIC and nesting excluded each other in KVM from 5.6 to 5.18 (APICV_INHIBIT_REASON_NESTED was for whole guests); from
 * 5.19 on AVIC rests only while a guest of the guest runs.
 */
static void look_avic(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char path[] = "/sys/module/kvm_amd/parameters/avic";
	const struct facts *facts = patient->facts;
	enum truth avic = look_truth(facts, path), nested = look_truth(facts, "/sys/module/kvm_amd/parameters/nested");
	struct finding *finding;
	bool known;
	int age = look_kernel_version(facts, 5, 19, &known);

	if (!look_is_host(facts) || look_flag(facts, "svm") != TRUTH_YES || look_flag(facts, "avic") != TRUTH_YES)
		return;
	if (avic == TRUTH_UNKNOWN || !known) {
		finding_unknown(check, examination, patient, path);
		return;
	}
	if (avic == TRUTH_YES && nested == TRUTH_YES && age < 0) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "AVIC is switched on, and this kernel does not use it beside nesting");
		finding_remedy(examination, finding, "use Linux 5.19 or newer, where both go together");
	} else if (avic == TRUTH_YES || age < 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "%s",
				      avic == TRUTH_YES ? "AVIC is in use"
							: "AVIC is off, as this kernel wants it beside nesting");
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "AVIC is not in use: each interrupt costs exits");
		finding_remedy(examination, finding,
			       "modprobe -r kvm_amd && modprobe kvm_amd nested=1 avic=1    # while no guest runs");
	}
	finding_attribute(examination, finding, facts_attribute_entry(facts, path));
}

const struct check check_cpu_avic = {
	.id = "cpu.avic",
	.title = "interrupts reach guests without exits (AVIC)",
	.severity = SEVERITY_NOTE,
	.matters = "With it the CPU itself delivers interrupts to guests; without it each one costs an exit.",
	.after = AFTER_RELOAD,
	.look = look_avic,
};

/*
 * A hypervisor in a guest of a guest needs its host, a guest itself, to hand the extension on: that host's KVM emulates
 * it from what it has. On AMD what a hypervisor says of its guests is memory alone (the VMCB; APM vol. 2, 15.5). On
 * Intel each VMREAD and VMWRITE of the inner one exits to the outermost one unless VMCS shadowing is handed on.
 */
static void look_depth(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char path[] = "/sys/module/kvm_intel/parameters/enable_shadow_vmcs";
	const struct facts *facts = patient->facts;
	const struct processor_kind *kind = look_processor_kind(facts);
	struct finding *finding;

	if (!kind || !look_is_host(facts) || look_flag(facts, kind->flag) != TRUTH_YES)
		return;
	if (strcmp(kind->flag, "svm") == 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "AMD's nesting goes on to any depth; each layer multiplies the cost of an exit");
		finding_evidence(examination, finding, &facts->processor.origin, "svm among the CPU's flags");
		return;
	}
	switch (look_truth(facts, path)) {
	case TRUTH_UNKNOWN:
		finding_unknown(check, examination, patient, path);
		return;
	case TRUTH_YES:
		finding =
			finding_add(check, examination, patient, RESULT_PASS,
				    "Intel's nesting goes on to any depth; each layer multiplies the cost of an exit");
		break;
	case TRUTH_NO:
	default:
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "without VMCS shadowing a third layer crawls: each field that its hypervisor "
				      "reads or writes exits through every layer");
		finding_remedy(examination, finding,
			       "keep labs here to two layers, or use a CPU with VMCS shadowing "
			       "(Haswell of 2013 and later; AMD's need none)");
		break;
	}
	finding_attribute(examination, finding, facts_attribute_entry(facts, path));
}

const struct check check_cpu_depth = {
	.id = "cpu.depth",
	.title = "more than one level of nesting",
	.severity = SEVERITY_NOTE,
	.matters = "The CPU virtualizes one level; every further one is emulated by the hypervisors above it.",
	.look = look_depth,
};
