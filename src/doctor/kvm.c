/* KVM as this kernel offers it: modules, device, nesting, and whether a guest really boots. */
#include "base/arena.h"
#include "doctor/checks.h"

#include <stdio.h>
#include <string.h>

/* Is there any sense in looking at KVM here? Where the CPU is known to lack the extension, cpu.virtualization says so.
 */
static const struct processor_kind *kvm_kind(const struct patient *patient)
{
	const struct processor_kind *kind = look_processor_kind(patient->facts);

	if (!look_is_host(patient->facts) || (kind && look_flag(patient->facts, kind->flag) == TRUTH_NO))
		return NULL;
	return kind;
}

static char *parameter_path(struct examination *examination, const struct processor_kind *kind, const char *parameter)
{
	return arena_printf(examination->arena, "/sys/module/%s/parameters/%s", kind->module, parameter);
}

static void look_module_loaded(const struct check *check, struct examination *examination,
			       const struct patient *patient)
{
	const struct processor_kind *kind = kvm_kind(patient);
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
		finding_remedy(examination, finding, "modprobe %s", kind->module);
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

	if (!kvm_kind(patient))
		return;
	if (!node || node->exists == TRUTH_UNKNOWN) {
		finding_unknown(check, examination, patient, "whether there is a /dev/kvm, and who may open it");
		return;
	}
	if (node->exists == TRUTH_NO) {
		finding = finding_add(check, examination, patient, RESULT_FAIL, "there is no /dev/kvm");
		finding_evidence(examination, finding, &node->origin, "/dev/kvm is missing");
		finding_remedy(examination, finding, "modprobe %s", kvm_kind(patient)->module);
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
	struct finding *finding;

	if (!look_is_host(patient->facts))
		return;
	switch (patient->probe) {
	case PROBE_WORKS:
		finding_add(check, examination, patient, RESULT_PASS, "a tiny guest boots under KVM here");
		return;
	case PROBE_FAILS:
		finding = finding_add(check, examination, patient, RESULT_FAIL, "%s",
				      patient->probe_why ? patient->probe_why : "no guest boots under KVM here");
		finding_remedy(examination, finding,
			       "guests run emulated (TCG) meanwhile: slower, and with AMD's "
			       "nesting emulated, too");
		return;
	case PROBE_NOT_ASKED:
		if (kvm_kind(patient))
			finding_add(check, examination, patient, RESULT_UNKNOWN,
				    "not known: no probe guest was booted under KVM here");
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

/* Documentation/virt/kvm/x86/running-nested-guests.rst: kvm_intel since 4.20, kvm_amd always. */
static bool nested_by_default(const struct facts *facts, const struct processor_kind *kind, bool *ret_known)
{
	if (strcmp(kind->module, "kvm_amd") == 0) {
		*ret_known = true;
		return true;
	}
	return look_kernel_version(facts, 4, 20, ret_known) >= 0;
}

/* What is to hold when the module is loaded the next time. */
struct nested_setting {
	enum truth value; /* TRUTH_UNKNOWN: nobody says */
	bool disagree;	  /* two places say different things */
	const char *file; /* the last that says it; NULL: the kernel's command line */
};

/* "nested" of "options kvm_intel nested=1 ept=1"; modprobe.d(5) takes - for _ in names of modules. */
static enum truth option_in_line(const char *line, size_t length, const char *module)
{
	char text[512], *rest, *word;
	enum truth value = TRUTH_UNKNOWN;

	snprintf(text, sizeof(text), "%.*s", (int)(length < sizeof(text) ? length : sizeof(text) - 1), line);
	word = strtok_r(text, " \t", &rest);
	if (!word || strcmp(word, "options") != 0)
		return TRUTH_UNKNOWN;
	word = strtok_r(NULL, " \t", &rest);
	for (char *c = word; c && *c; c++)
		*c = *c == '-' ? '_' : *c;
	if (!word || strcmp(word, module) != 0)
		return TRUTH_UNKNOWN;
	while ((word = strtok_r(NULL, " \t", &rest)))
		if (strncmp(word, "nested=", 7) == 0)
			value = truth_of(strchr("1yY", word[7]) && word[7]);
	return value;
}

static enum truth option_in_text(const char *text, const char *module)
{
	enum truth value = TRUTH_UNKNOWN;

	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");
		enum truth said = option_in_line(line, length, module);

		value = said != TRUTH_UNKNOWN ? said : value;
		line += length + (line[length] == '\n');
	}
	return value;
}

static void add_setting(struct nested_setting *setting, enum truth said, const char *file)
{
	if (said == TRUTH_UNKNOWN)
		return;
	setting->disagree = setting->disagree || (setting->value != TRUTH_UNKNOWN && setting->value != said);
	setting->value = said;
	setting->file = file;
}

/* All folders of modprobe.d(5). False: none of them was looked at. */
static bool read_settings(struct examination *examination, const struct facts *facts, const struct processor_kind *kind,
			  struct nested_setting *ret)
{
	static const char *const folders[] = {"/lib/modprobe.d/", "/usr/lib/modprobe.d/", "/run/modprobe.d/",
					      "/etc/modprobe.d/"};
	const char *word = look_kernel_word(examination->arena, facts,
					    arena_printf(examination->arena, "%s.nested", kind->module));
	bool any = false;

	*ret = (struct nested_setting){0};
	if (word)
		add_setting(ret, truth_of(strchr("1yY", word[0]) != NULL), NULL);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		size_t count;
		const struct attribute *files = look_below(facts, folders[i], &count);
		const struct node *folder =
			facts_node(facts, arena_strndup(examination->arena, folders[i], strlen(folders[i]) - 1));

		any = any || count > 0 || (folder && folder->exists != TRUTH_UNKNOWN);
		for (size_t j = 0; j < count; j++)
			add_setting(ret, option_in_text(files[j].value, kind->module), files[j].path);
	}
	return any;
}

static void look_nested_persistent(const struct check *check, struct examination *examination,
				   const struct patient *patient)
{
	const struct processor_kind *kind = kvm_kind(patient);
	const struct facts *facts = patient->facts;
	struct nested_setting setting;
	struct finding *finding;
	bool looked, by_default, known;
	const char *path;

	if (!kind)
		return;
	path = parameter_path(examination, kind, "nested");
	if (look_truth(facts, path) == TRUTH_NO) /* kvm.nested says it, with the remedy for both */
		return;
	looked = read_settings(examination, facts, kind, &setting);
	by_default = nested_by_default(facts, kind, &known);
	if (!looked || !known) {
		finding_unknown(check, examination, patient,
				!looked ? "/etc/modprobe.d" : "the kernel's release (uname -r)");
		return;
	}
	if (setting.disagree) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "two places say different things about nested of %s", kind->module);
		finding_evidence(examination, finding, NULL, "one of them is %s", setting.file);
		finding_remedy(examination, finding,
			       "grep -r nested= /etc/modprobe.d /proc/cmdline    # and leave one");
		return;
	}
	if (setting.value == TRUTH_NO || (setting.value == TRUTH_UNKNOWN && !by_default)) {
		finding =
			finding_add(check, examination, patient, RESULT_WARN,
				    "nesting will be off for %s when the module is loaded the next time", kind->module);
		if (setting.value == TRUTH_UNKNOWN)
			finding_evidence(examination, finding, &facts->kernel.origin,
					 "Linux %s has it off by default, and no file says otherwise",
					 facts->kernel.release);
		else
			finding_evidence(examination, finding, setting.file ? NULL : &facts->kernel.origin,
					 "nested=0 in %s", setting.file ? setting.file : "the kernel's command line");
		if (setting.value == TRUTH_UNKNOWN)
			finding_remedy(examination, finding,
				       "echo 'options %s nested=1' > /etc/modprobe.d/nestvisor-kvm.conf", kind->module);
		else if (setting.file)
			finding_remedy(examination, finding, "sed -i 's/nested=[0nN]/nested=1/' %s", setting.file);
		else
			finding_remedy(examination, finding, "take %s.nested=%s out of the kernel's command line",
				       kind->module, "0");
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_PASS, "nesting stays on for %s", kind->module);
	if (setting.value == TRUTH_YES)
		finding_evidence(examination, finding, setting.file ? NULL : &facts->kernel.origin, "nested=1 in %s",
				 setting.file ? setting.file : "the kernel's command line");
	else
		finding_evidence(examination, finding, NULL, "it is the default, and no file says otherwise");
}

const struct check check_kvm_nested_persistent = {
	.id = "kvm.nested-persistent",
	.title = "nested virtualization stays on after the next boot",
	.severity = SEVERITY_ADVICE,
	.matters = "What is switched on by hand is off again after the next boot, and guests that had guests do not "
		   "start.",
	.after = AFTER_RELOAD,
	.fixable = true,
	.look = look_nested_persistent,
};

static void add_nested_remedy(struct examination *examination, struct finding *finding,
			      const struct processor_kind *kind)
{
	finding_remedy(examination, finding, "echo 'options %s nested=1' > /etc/modprobe.d/nestvisor-kvm.conf",
		       kind->module);
	finding_remedy(examination, finding, "modprobe -r %s && modprobe %s    # while no guest runs", kind->module,
		       kind->module);
}

static void look_nested(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct processor_kind *kind = kvm_kind(patient);
	const struct attribute *attribute;
	struct finding *finding;
	const char *path;

	if (!kind || look_loaded(patient->facts, kind->module) == TRUTH_NO)
		return;
	path = parameter_path(examination, kind, "nested");
	attribute = facts_attribute_entry(patient->facts, path);
	switch (look_truth(patient->facts, path)) {
	case TRUTH_YES:
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "guests may have guests: nesting is switched on for %s", kind->module);
		finding_attribute(examination, finding, attribute);
		return;
	case TRUTH_NO:
		finding = finding_add(check, examination, patient, RESULT_FAIL, "nesting is switched off for %s",
				      kind->module);
		finding_attribute(examination, finding, attribute);
		add_nested_remedy(examination, finding, kind);
		return;
	case TRUTH_UNKNOWN:
		finding_unknown(check, examination, patient, path);
		return;
	}
}

const struct check check_kvm_nested = {
	.id = "kvm.nested",
	.title = "nested virtualization is switched on",
	.severity = SEVERITY_REQUIRED,
	.matters = "Without it guests see no vmx or svm, and cannot run guests of their own under KVM.",
	.after = AFTER_RELOAD,
	.fixable = true,
	.look = look_nested,
};

static void look_paging(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct processor_kind *kind = kvm_kind(patient);
	const struct attribute *attribute;
	struct finding *finding;
	const char *path, *flag;

	if (!kind)
		return;
	flag = strcmp(kind->flag, "vmx") == 0 ? "ept" : "npt";
	path = parameter_path(examination, kind, flag);
	attribute = facts_attribute_entry(patient->facts, path);
	if (look_flag(patient->facts, flag) == TRUTH_NO && look_truth(patient->facts, path) != TRUTH_YES) {
		finding = finding_add(check, examination, patient, RESULT_FAIL, "the CPU has no %s", kind->nested_ept);
		finding_evidence(examination, finding, &patient->facts->processor.origin, "no %s among the CPU's flags",
				 flag);
		finding_remedy(examination, finding,
			       look_is_guest(patient->facts) == TRUTH_YES
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
