/* Nesting: switched on, kept on, and used. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/xml.h"
#include "doctor/checks.h"
#include "doctor/mend.h"
#include "model/settings.h"

#include <stdio.h>
#include <string.h>

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
	enum truth files; /* TRUTH_UNKNOWN: no file says it */
	const char *file;
	enum truth command_line;
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

static const char *base_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

/*
 * Reads the folders of modprobe.d(5). Files count in the order of their names, wherever they lie, and the last option
 * wins. False: none of the folders was looked at.
 */
static bool read_settings(struct examination *examination, const struct facts *facts, const struct processor_kind *kind,
			  struct nested_setting *ret)
{
	static const char *const folders[] = {"/lib/modprobe.d", "/usr/lib/modprobe.d", "/run/modprobe.d",
					      "/etc/modprobe.d"};
	const char *word = look_kernel_word(examination->arena, facts,
					    arena_printf(examination->arena, "%s.nested", kind->module));
	bool any = false;

	*ret = (struct nested_setting){0};
	if (word && *word)
		ret->command_line = truth_of(strchr("1yY", word[0]) != NULL);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		const char *pattern = arena_printf(examination->arena, "%s/*.conf", folders[i]);
		const struct node *folder = facts_node(facts, folders[i]);
		const struct attribute *file;
		size_t at = 0;

		any = any || (folder && folder->exists != TRUTH_UNKNOWN);
		while ((file = look_next(facts, pattern, &at))) {
			enum truth said = option_in_text(file->value, kind->module);

			any = true;
			if (said == TRUTH_UNKNOWN ||
			    (ret->file && strcmp(base_name(file->path), base_name(ret->file)) < 0))
				continue;
			ret->files = said;
			ret->file = file->path;
		}
	}
	return any;
}

static const char OPTIONS_FILE[] = "/etc/modprobe.d/zz-nestvisor-kvm.conf"; /* zz: behind what says the contrary */

/* Keeps nesting on from the next load on: the commands, and the same as a fix. */
static struct fix *keep_on(struct examination *examination, struct finding *finding, const struct processor_kind *kind,
			   bool now)
{
	struct fix *fix = mend_new(examination, finding, "switch nesting on for %s, %sfrom the next boot on",
				   kind->module, now ? "now and " : "");

	finding_remedy(examination, finding, "echo 'options %s nested=1' > %s", kind->module, OPTIONS_FILE);
	mend_file(examination, fix, OPTIONS_FILE,
		  arena_printf(examination->arena, "options %s nested=1\n", kind->module));
	return fix;
}

/*
 * Reloading is safe while nobody has a /dev/kvm open: the module then counts no users. Its parameter is given, so that
 * the order in which file and reload are done, and taken back, does not matter.
 */
static void reload(struct examination *examination, struct finding *finding, const struct processor_kind *kind)
{
	struct fix *fix = keep_on(examination, finding, kind, true);

	finding_remedy(examination, finding, "modprobe -r %s && modprobe %s    # while no guest runs", kind->module,
		       kind->module);
	mend_run(examination, fix, kind->module, "modprobe -r \"$1\" && modprobe \"$1\" nested=1",
		 "modprobe -r \"$1\" && modprobe \"$1\" nested=0",
		 "grep -q '[1Y]' \"/sys/module/$1/parameters/nested\"",
		 "test \"$(cat \"/sys/module/$1/refcnt\")\" = 0 || { echo 'guests run under KVM: stop them first' >&2; "
		 "false; }");
}

static void look_nested(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct processor_kind *kind = look_kvm_kind(patient);
	const struct attribute *attribute;
	struct finding *finding;
	const char *path;

	if (!kind || look_loaded(patient->facts, kind->module) == TRUTH_NO)
		return;
	path = look_parameter(examination->arena, kind, "nested");
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
		if (look_built_in(patient->facts, kind->module)) {
			finding_kernel_words(examination, finding, true,
					     arena_printf(examination->arena, "%s.nested=1", kind->module));
			finding->after = AFTER_REBOOT;
		} else {
			reload(examination, finding, kind);
		}
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

static void look_persistent(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct processor_kind *kind = look_kvm_kind(patient);
	const struct facts *facts = patient->facts;
	struct nested_setting setting;
	struct finding *finding;
	bool looked, by_default, known;

	/* Where it is off now, kvm.nested says so, with the remedy for both. */
	if (!kind || look_truth(facts, look_parameter(examination->arena, kind, "nested")) == TRUTH_NO)
		return;
	looked = read_settings(examination, facts, kind, &setting);
	by_default = nested_by_default(facts, kind, &known);
	if (!looked || !known) {
		finding_unknown(check, examination, patient,
				!looked ? "/etc/modprobe.d" : "the kernel's release (uname -r)");
		return;
	}
	if (setting.command_line == TRUTH_NO) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "the kernel's command line switches nesting off for %s", kind->module);
		finding_evidence(examination, finding, &facts->kernel.origin, "%s.nested=0", kind->module);
		finding_kernel_words(examination, finding, false,
				     arena_printf(examination->arena, "%s.nested=0", kind->module));
		finding->after = AFTER_REBOOT;
	} else if (setting.files == TRUTH_NO) {
		finding =
			finding_add(check, examination, patient, RESULT_WARN,
				    "nesting will be off for %s when the module is loaded the next time", kind->module);
		finding_attribute(examination, finding, facts_attribute_entry(facts, setting.file));
		keep_on(examination, finding, kind, false);
	} else if (setting.files == TRUTH_UNKNOWN && setting.command_line == TRUTH_UNKNOWN && !by_default) {
		finding =
			finding_add(check, examination, patient, RESULT_WARN,
				    "nesting will be off for %s when the module is loaded the next time", kind->module);
		finding_evidence(examination, finding, &facts->kernel.origin,
				 "Linux %s has it off by default, and no file says otherwise", facts->kernel.release);
		keep_on(examination, finding, kind, false);
	} else {
		finding =
			finding_add(check, examination, patient, RESULT_PASS, "nesting stays on for %s", kind->module);
		if (setting.file)
			finding_attribute(examination, finding, facts_attribute_entry(facts, setting.file));
		else
			finding_evidence(examination, finding, &facts->kernel.origin, "%s",
					 setting.command_line == TRUTH_YES ? "nested=1 on the kernel's command line"
									   : "it is the default, and no file says "
									     "otherwise");
	}
}

/* Does it run guests with ESXi, by the lab or by libvirt's definitions? */
static bool runs_esxi(const struct patient *patient)
{
	const struct facts *facts = patient->facts;

	for (size_t i = 0; patient->wanted && i < patient->wanted->guest_count; i++)
		if (settings_system(patient->wanted->guests[i]->os) == ESXI)
			return true;
	for (size_t i = 0; i < facts->document_count; i++) {
		const struct document *document = &facts->documents[i];
		cleanup_xml struct xml *xml = NULL;

		if (document->kind && strcmp(document->kind, "domain") == 0 &&
		    xml_open(document->text, strlen(document->text), &xml, NULL) == 0 && domain_system(xml) == ESXI)
			return true;
	}
	return false;
}

static void look_msrs(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char path[] = "/sys/module/kvm/parameters/ignore_msrs";
	enum truth ignored = look_truth(patient->facts, path);
	struct finding *finding;

	if (patient->definitions || !look_is_host(patient->facts) || !runs_esxi(patient))
		return;
	if (ignored == TRUTH_UNKNOWN) {
		finding_unknown(check, examination, patient, path);
		return;
	}
	finding =
		finding_add(check, examination, patient, ignored == TRUTH_YES ? RESULT_PASS : RESULT_WARN,
			    ignored == TRUTH_YES ? "a guest may ask for registers of the CPU that KVM does not have"
						 : "a guest with ESXi is to run here, and KVM faults it for registers "
						   "of the CPU that it does not have");
	finding_attribute(examination, finding, facts_attribute_entry(patient->facts, path));
	if (ignored == TRUTH_YES)
		return;
	finding_remedy(examination, finding, "echo Y | sudo tee %s", path);
	finding_remedy(
		examination, finding,
		"from the next boot on: echo 'options kvm ignore_msrs=1' | sudo tee /etc/modprobe.d/kvm-msrs.conf");
}

const struct check check_kvm_msrs = {
	.id = "kvm.msrs",
	.title = "KVM forgives ESXi the registers that it does not have",
	.severity = SEVERITY_ADVICE,
	.matters = "ESXi reads model-specific registers that KVM does not emulate; the fault that it gets for that "
		   "ends in a "
		   "purple screen.",
	.look = look_msrs,
};

const struct check check_kvm_nested_persistent = {
	.id = "kvm.nested-persistent",
	.title = "nested virtualization stays on after the next boot",
	.severity = SEVERITY_ADVICE,
	.matters = "What is switched on by hand is off again after the next boot, and guests that had guests do not "
		   "start.",
	.fixable = true,
	.look = look_persistent,
};

/* seeds: "Disable nested virtualization when not needed to reduce risk" */
static void look_used(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct processor_kind *kind = look_kvm_kind(patient);
	const char *why = patient->nests_why;
	struct finding *finding;
	const char *path;

	if (!kind)
		return;
	path = look_parameter(examination->arena, kind, "nested");
	if (look_truth(patient->facts, path) != TRUTH_YES)
		return;
	switch (patient->nests) {
	case TRUTH_YES:
		finding = finding_add(check, examination, patient, RESULT_PASS, "nesting is on, and used");
		finding_evidence(examination, finding, NULL, "%s", why ? why : "a guest here has guests");
		return;
	case TRUTH_NO:
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"nesting is on, and nothing here uses it: guests may reach code that they do not need");
		finding_attribute(examination, finding, facts_attribute_entry(patient->facts, path));
		if (why)
			finding_evidence(examination, finding, NULL, "%s", why);
		finding_remedy(examination, finding, "where no lab is to follow: echo 'options %s nested=0' > %s",
			       kind->module, OPTIONS_FILE);
		finding_remedy(examination, finding, "modprobe -r %s && modprobe %s    # while no guest runs",
			       kind->module, kind->module);
		return;
	case TRUTH_UNKNOWN:
		finding_unknown(check, examination, patient, "whether a lab here has guests with guests");
		return;
	}
}

const struct check check_kvm_nested_used = {
	.id = "kvm.nested-used",
	.title = "nested virtualization is on only where it is used",
	.severity = SEVERITY_ADVICE,
	.matters = "Emulating VT-x and AMD-V is the part of KVM in which most holes were found; what is off cannot be "
		   "attacked.",
	.after = AFTER_RELOAD,
	.look = look_used,
};
