/* KVM as this kernel offers it: modules, device, and whether a guest really boots. */
#include "base/arena.h"
#include "doctor/checks.h"
#include "doctor/mend.h"

#include <stdio.h>
#include <string.h>

static void look_module_loaded(const struct check *check, struct examination *examination,
			       const struct patient *patient)
{
	const struct processor_kind *kind = look_kvm_kind(patient);
	const struct module *module;
	struct finding *finding;

	if (!kind)
		return;
	switch (look_loaded(patient->facts, kind->module)) {
	case TRUTH_YES:
		finding = finding_add(check, examination, patient, RESULT_PASS, "%s is loaded", kind->module);
		module = look_module(patient->facts, kind->module);
		finding_evidence(examination, finding, module ? &module->origin : NULL, "%s", kind->module);
		return;
	case TRUTH_NO:
		finding = finding_add(check, examination, patient, RESULT_FAIL, "%s is not loaded", kind->module);
		finding_evidence(examination, finding, NULL, "neither among the modules nor below /sys/module");
		mend_module(examination, finding, kind->module);
		if (look_no_modules(patient->facts))
			return;
		finding_remedy(examination, finding,
			       "where that fails: dmesg | grep -i kvm says why (\"disabled by bios\": "
			       "switch it on in the firmware setup)");
		return;
	case TRUTH_UNKNOWN:
		finding_unknown(check, examination, patient, "the list of modules (/proc/modules)");
		return;
	}
}

const struct check check_kvm_module = {
	.id = "kvm.module",
	.title = "the module of KVM for this CPU is loaded",
	.severity = SEVERITY_REQUIRED,
	.matters = "KVM is two modules: kvm, and one for the CPU's vendor, without which there is no /dev/kvm.",
	.fixable = true,
	.look = look_module_loaded,
};

static bool may_open(const struct caller *caller, const struct node *node)
{
	if (caller->id.value == 0 || (node->mode.value & 0006) == 0006)
		return true;
	if (node->owner && caller->user && strcmp(node->owner, caller->user) == 0)
		return (node->mode.value & 0600) == 0600;
	for (size_t i = 0; i < caller->group_count; i++)
		if (node->group && strcmp(caller->groups[i], node->group) == 0)
			return (node->mode.value & 0060) == 0060;
	return false;
}

static void look_device(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct node *node = facts_node(facts, "/dev/kvm");
	struct finding *finding;

	/* There are kernels with a KVM that needs no extension: where its device is, who may open it matters as well.
	 */
	if (!look_is_host(facts) || (!look_kvm_kind(patient) && !(node && node->exists == TRUTH_YES)))
		return;
	if (!node || node->exists == TRUTH_UNKNOWN) {
		finding_unknown(check, examination, patient, "whether there is a /dev/kvm, and who may open it");
		return;
	}
	if (node->exists == TRUTH_NO) {
		finding = finding_add(check, examination, patient, RESULT_FAIL, "there is no /dev/kvm");
		finding_evidence(examination, finding, &node->origin, "/dev/kvm is missing");
		finding_remedy(examination, finding,
			       look_no_modules(facts) ? "boot a kernel that has %s    # kvm.module says more"
						      : "modprobe %s    # kvm.module says more",
			       look_kvm_kind(patient)->module);
		return;
	}
	if (!node->mode.known || !facts->caller.id.known) {
		finding_unknown(check, examination, patient, "who may open /dev/kvm, and who asks");
		return;
	}
	if (may_open(&facts->caller, node)) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "%s may open /dev/kvm",
				      facts->caller.user ? facts->caller.user : "this user");
		finding_evidence(examination, finding, &node->origin, "%04o %s %s", (unsigned)node->mode.value,
				 node->owner ? node->owner : "?", node->group ? node->group : "?");
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_FAIL, "%s may not open /dev/kvm",
			      facts->caller.user ? facts->caller.user : "this user");
	finding_evidence(examination, finding, &node->origin, "%04o %s %s", (unsigned)node->mode.value,
			 node->owner ? node->owner : "?", node->group ? node->group : "?");
	if (node->group && strcmp(node->group, "root") != 0)
		finding_remedy(examination, finding, "sudo usermod -aG %s %s", node->group,
			       facts->caller.user ? facts->caller.user : "$USER");
	else
		finding_remedy(examination, finding,
			       "run nestvisor as root, or give the device to a group: sudo chgrp kvm /dev/kvm && sudo "
			       "chmod 660 /dev/kvm");
}

const struct check check_kvm_device = {
	.id = "kvm.device",
	.title = "/dev/kvm is there and may be opened",
	.severity = SEVERITY_REQUIRED,
	.matters = "QEMU reaches KVM through this device; who may not open it gets emulated guests, or none.",
	.after = AFTER_RELOGIN,
	.look = look_device,
};

/*
 * The only test that counts: a kernel that boots. A /dev/kvm that opens says nothing, and there are kernels (KVM on
 * page tables alone, as some clouds nest it) on which no stock kernel comes up.
 */
static void look_boot(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct node *node = facts_node(patient->facts, "/dev/kvm");
	const char *cpu = patient->facts->processor.model_name;
	bool there = node && node->exists == TRUTH_YES;
	struct finding *finding;

	if (!look_is_host(patient->facts))
		return;
	switch (patient->probe) {
	case PROBE_WORKS:
		finding = finding_add(check, examination, patient, RESULT_PASS, "guests boot under KVM here");
		finding_evidence(examination, finding, NULL, "%s",
				 patient->probe_why ? patient->probe_why : "a tiny guest said so on its console");
		return;
	case PROBE_FAILS:
		/* Where there is no device, or it may not be opened, the checks above say so. */
		if (node && (node->exists == TRUTH_NO || (node->mode.known && patient->facts->caller.id.known &&
							  !may_open(&patient->facts->caller, node))))
			return;
		finding = finding_add(check, examination, patient, RESULT_FAIL, "%s%s",
				      there ? "/dev/kvm is there, but " : "",
				      patient->probe_why ? patient->probe_why : "no guest boots under KVM here");
		finding_evidence(examination, finding, NULL, "a probe boot on %s, Linux %s", cpu ? cpu : "this CPU",
				 patient->facts->kernel.release ? patient->facts->kernel.release
								: "of unknown release");
		finding_remedy(
			examination, finding,
			look_kvm_kind(patient)
				? "dmesg | grep -i kvm    # and nestvisor doctor again, once that is mended"
				: "none here: this KVM has neither VT-x nor AMD-V below it. Guests run emulated (TCG), "
				  "with AMD's nesting emulated, too");
		return;
	case PROBE_NOT_ASKED:
		if (!look_kvm_kind(patient) && !there)
			return;
		finding = finding_add(check, examination, patient, RESULT_UNKNOWN,
				      "not known: no guest was booted under KVM%s%s", patient->probe_why ? ": " : "",
				      patient->probe_why ? patient->probe_why : "");
		finding_remedy(examination, finding, "nestvisor doctor    # on that host, without --no-probe");
		return;
	}
}

const struct check check_kvm_boot = {
	.id = "kvm.boot",
	.title = "a guest really boots under KVM",
	.severity = SEVERITY_REQUIRED,
	.matters =
		"A /dev/kvm that opens proves nothing: some kernels offer a KVM on which no ordinary kernel comes up.",
	.look = look_boot,
};

static void look_paging(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct processor_kind *kind = look_kvm_kind(patient);
	const struct attribute *attribute;
	struct finding *finding;
	const char *path, *flag;

	if (!kind)
		return;
	flag = strcmp(kind->flag, "vmx") == 0 ? "ept" : "npt";
	path = look_parameter(examination->arena, kind, flag);
	attribute = facts_attribute_entry(patient->facts, path);
	if (look_flag(patient->facts, flag) == TRUTH_NO && look_truth(patient->facts, path) != TRUTH_YES) {
		finding = finding_add(check, examination, patient, RESULT_FAIL, "the CPU has no %s", kind->nested_ept);
		finding_evidence(examination, finding, &patient->facts->processor.origin, "no %s among the CPU's flags",
				 flag);
		finding_remedy(examination, finding,
			       look_is_inside(patient) == TRUTH_YES
				       ? "on the host of this guest: give it the whole CPU (host-passthrough)"
				       : "use a newer CPU: all since about 2010 have it");
		return;
	}
	switch (look_truth(patient->facts, path)) {
	case TRUTH_YES:
		finding = finding_add(check, examination, patient, RESULT_PASS, "%s is in use", kind->nested_ept);
		finding_attribute(examination, finding, attribute);
		return;
	case TRUTH_NO:
		finding = finding_add(check, examination, patient, RESULT_FAIL, "%s is switched off", kind->nested_ept);
		finding_attribute(examination, finding, attribute);
		finding_remedy(examination, finding, "take %s=0 out of /etc/modprobe.d and the kernel's command line",
			       flag);
		finding_remedy(examination, finding, "modprobe -r %s && modprobe %s    # while no guest runs",
			       kind->module, kind->module);
		return;
	case TRUTH_UNKNOWN:
		finding_unknown(check, examination, patient, path);
		return;
	}
}

const struct check check_kvm_paging = {
	.id = "kvm.paging",
	.title = "guests' page tables are walked by the CPU (EPT, NPT)",
	.severity = SEVERITY_REQUIRED,
	.matters = "Without it KVM shadows every page table in software; a guest of a guest then crawls.",
	.after = AFTER_RELOAD,
	.look = look_paging,
};
