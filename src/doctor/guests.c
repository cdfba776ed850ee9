/*
 * libvirt's guests, by their definitions. Each check asks one thing of every definition and makes one finding of the
 * answers, which names the guests that it is about.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "base/xml.h"
#include "doctor/checks.h"
#include "model/settings.h"
#include "model/windows.h"

#include <string.h>

enum judgement {
	JUDGED_NOT, /* the question does not arise for this guest */
	JUDGED_FINE,
	JUDGED_BAD,
};

struct question {
	/* Says in *what what is bad, shortly: "disk hda is emulated (ide)". */
	enum judgement (*ask)(struct xml *xml, struct arena *arena, const struct facts *facts, struct strbuf *what);
	enum result bad;
	const char *fine, *wrong; /* "%s" of wrong is the list of guests */
	void (*mend)(struct examination *examination, struct finding *finding, const char *guest);
};

static bool look_settings(const struct check *check, struct examination *examination, const struct patient *patient,
			  const struct document *document);

struct survey {
	size_t fine, bad, unreadable;
	struct strbuf list;
	const struct document *first;
	const char *problem;
};

static void ask_one(const struct question *question, struct arena *arena, const struct facts *facts,
		    const struct document *document, struct survey *survey)
{
	cleanup_xml struct xml *xml = NULL;
	cleanup_error struct error *err = NULL;
	cleanup_strbuf struct strbuf what = {};

	if (xml_open(document->text, strlen(document->text), &xml, &err) < 0) {
		survey->unreadable++;
		survey->problem = arena_strdup(arena, err->message);
		return;
	}
	switch (question->ask(xml, arena, facts, &what)) {
	case JUDGED_NOT:
		return;
	case JUDGED_FINE:
		survey->fine++;
		return;
	case JUDGED_BAD:
		break;
	}
	survey->bad++;
	survey->first = survey->first ? survey->first : document;
	strbuf_printf(&survey->list, "%s%s (%s)", survey->list.length ? ", " : "",
		      document->name ? document->name : "one without a name", what.text);
}

static void look_guests(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct question *question = check->data;
	const struct facts *facts = patient->facts;
	struct survey survey = {};
	cleanup_strbuf struct strbuf why = {};
	struct finding *finding;
	size_t domains = 0;

	if (facts->system == SYSTEM_WINDOWS)
		return;
	for (size_t i = 0; i < facts->document_count; i++)
		if (facts->documents[i].kind && strcmp(facts->documents[i].kind, "domain") == 0) {
			domains++;
			if (patient->definitions && look_settings(check, examination, patient, &facts->documents[i]))
				continue;
			ask_one(question, examination->arena, facts, &facts->documents[i], &survey);
		}
	if (domains == 0) {
		if (look_has_libvirt(facts))
			finding_unknown(check, examination, patient,
					"the definitions of libvirt's guests (virsh dumpxml)");
		return;
	}
	if (survey.bad > 0) {
		finding = finding_add(check, examination, patient, question->bad, "%s: %s", question->wrong,
				      survey.list.text);
		finding_evidence(examination, finding, &survey.first->origin, "the definition of %s",
				 survey.first->name ? survey.first->name : "a guest");
		question->mend(examination, finding, survey.first->name ? survey.first->name : "GUEST");
	} else if (survey.unreadable > 0) {
		finding_add(check, examination, patient, RESULT_UNKNOWN, "not known: %s", survey.problem);
	} else if (survey.fine > 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "%s", question->fine);
		finding_evidence(examination, finding, NULL, "the definitions of %zu guest%s", survey.fine,
				 survey.fine == 1 ? "" : "s");
	}
	free(survey.list.text);
}

/* By libosinfo's id, as virt-install writes it, or by its name. */
static bool is_windows(struct xml *xml, const char *version)
{
	static const char lower[] = "translate(/domain/name, 'WINDOS- _', 'windos')";

	return xml_has(xml, "//*[local-name() = 'os' and contains(@id, 'microsoft.com/win/%s')]", version) ||
	       xml_has(xml, "contains(%s, 'win%s') or contains(%s, 'windows%s')", lower, version, lower, version);
}

unsigned domain_windows(struct xml *xml)
{
	return is_windows(xml, "11")   ? WINDOWS_11
	       : is_windows(xml, "10") ? WINDOWS_10
	       : is_windows(xml, "")   ? WINDOWS_SERVER
				       : 0;
}

unsigned domain_system(struct xml *xml)
{
	return xml_has(xml, "//*[local-name() = 'os' and contains(@id, 'vmware.com/esx')] or "
			    "contains(translate(/domain/name, 'ESXI', 'esxi'), 'esxi')")
		       ? ESXI
		       : domain_windows(xml);
}

static bool sees_extension(struct xml *xml, const struct facts *facts);

/* Whether a row of model/settings.h is for this guest. */
static bool concerns(const struct machine_setting *setting, struct xml *xml, const struct facts *facts)
{
	const struct processor_kind *kind = look_processor_kind(facts);
	bool emulated = xml_has(xml, "/domain/@type = 'qemu'");

	if (!(setting->systems & domain_system(xml)))
		return false;
	switch (setting->when) {
	case SETTING_ALWAYS:
		return true;
	case SETTING_UNDER_KVM:
		return !emulated;
	case SETTING_NESTED:
		return !emulated && sees_extension(xml, facts);
	case SETTING_NESTED_INTEL:
		return !emulated && sees_extension(xml, facts) && kind && strcmp(kind->flag, "vmx") == 0;
	}
	return false;
}

/* The rows that a guest lacks, one after the other; returns how many those are. */
static size_t list_lacking(struct xml *xml, const struct facts *facts, bool required, struct strbuf *what)
{
	size_t count = 0;

	for (size_t i = 0; i < setting_count; i++) {
		const struct machine_setting *setting = &settings[i];

		/* Of one that sees svm or vmx guest.hyperv says more: whether it is meant to is not known here. */
		if (setting->required != required || setting->when > SETTING_UNDER_KVM ||
		    !concerns(setting, xml, facts) || xml_has(xml, "%s", setting->libvirt))
			continue;
		strbuf_printf(what, "%s%s",
			      required ? (count ? ", no " : "no ")
			      : count  ? ", "
				       : "lacks ",
			      setting->name);
		count++;
	}
	return count;
}

static enum judgement ask_windows_11(struct xml *xml, struct arena *arena, const struct facts *facts,
				     struct strbuf *what)
{
	if (domain_windows(xml) != WINDOWS_11)
		return JUDGED_NOT;
	return list_lacking(xml, facts, true, what) ? JUDGED_BAD : JUDGED_FINE;
}

static void mend_windows_11(struct examination *examination, struct finding *finding, const char *guest)
{
	static const struct packages packages = {.debian = "swtpm swtpm-tools ovmf virtinst",
						 .fedora = "swtpm swtpm-tools edk2-ovmf virt-install",
						 .arch = "swtpm edk2-ovmf virt-install",
						 .suse = "swtpm qemu-ovmf-x86_64 virt-install",
						 .alpine = "swtpm ovmf virt-install"};

	finding_install(examination, finding, &packages);
	for (size_t i = 0; i < setting_count; i++) {
		const struct machine_setting *setting = &settings[i];

		/* UEFI and Secure Boot are one command. */
		if (setting->required && (setting->systems & WINDOWS_11) &&
		    (i == 0 || strcmp(setting->mend, setting[-1].mend) != 0))
			finding_remedy(examination, finding, "virt-xml %s %s", guest, setting->mend);
	}
}

static const struct question windows_11 = {ask_windows_11, RESULT_FAIL, "guests with Windows 11 have what it asks for",
					   "Windows 11 does not install here", mend_windows_11};

const struct check check_guest_windows_11 = {
	.id = "guest.windows-11",
	.title = "guests with Windows 11 have TPM 2.0, UEFI and Secure Boot",
	.severity = SEVERITY_ADVICE,
	.matters = "Its installer refuses a machine without them, and updates may refuse it later.",
	.data = &windows_11,
	.of_definitions = true,
	.look = look_guests,
};

/* Does the guest see vmx or svm? libvirt: formatdomain.html, "CPU model and topology" */
static bool sees_extension(struct xml *xml, const struct facts *facts)
{
	const struct processor_kind *kind = look_processor_kind(facts);

	if (xml_has(xml, "/domain/cpu/feature[(@name = 'vmx' or @name = 'svm') and (@policy = 'require' or @policy = "
			 "'force' or "
			 "not(@policy))]"))
		return true;
	/* Where it is not known which processor it is for, either of them will do. */
	return xml_has(xml,
		       "/domain/cpu[(@mode = 'host-passthrough' or @mode = 'host-model' or @mode = 'maximum') and "
		       "not(feature[(@name = '%s' or @name = '%s') and (@policy = 'disable' or @policy = 'forbid')])]",
		       kind ? kind->flag : "vmx", kind ? kind->flag : "svm");
}

/*
 * seeds: "Windows 11 L2 guests often crash when trying to initialize their own virtualization features. This is
 * mitigated by … hiding the hypervisor signature". Without vmx and svm Windows does not try at all.
 */
static enum judgement ask_hyperv(struct xml *xml, struct arena *arena, const struct facts *facts, struct strbuf *what)
{
	bool hidden = xml_has(
		xml, "/domain/features/kvm/hidden[@state = 'on'] or /domain/cpu/feature[@name = 'hypervisor' and "
		     "@policy = 'disable']");

	if (!is_windows(xml, ""))
		return JUDGED_NOT;
	if (!sees_extension(xml, facts) || hidden)
		return JUDGED_FINE;
	strbuf_add(what, xml_has(xml, "/domain/features/hyperv") ? "sees the extension and Hyper-V's interfaces"
								 : "sees the extension and KVM's signature");
	return JUDGED_BAD;
}

static void mend_hyperv(struct examination *examination, struct finding *finding, const char *guest)
{
	const struct processor_kind *kind = look_processor_kind(finding->patient->facts);

	finding_remedy(examination, finding, "virt-xml %s --edit --cpu host-passthrough,disable=%s", guest,
		       kind ? kind->flag : "vmx");
	finding_remedy(examination, finding,
		       "or, where Windows is to run a hypervisor of its own: virt-xml %s --edit --cpu "
		       "host-passthrough,disable=hypervisor",
		       guest);
}

static const struct question hyperv = {
	ask_hyperv, RESULT_WARN, "guests with Windows do not try to start a hypervisor of their own",
	"Windows will start its own hypervisor inside, and may boot in a loop", mend_hyperv};

const struct check check_guest_hyperv = {
	.id = "guest.hyperv",
	.title = "guests with Windows do not loop in a hypervisor of their own",
	.severity = SEVERITY_ADVICE,
	.matters = "Windows 11 starts Hyper-V for its memory integrity wherever it sees vmx or svm; nested twice, that "
		   "often ends "
		   "in a boot loop.",
	.data = &hyperv,
	.of_definitions = true,
	.look = look_guests,
};

/* A guest from which the hypervisor is hidden has none of the enlightenments by intent. */
static enum judgement ask_windows_settings(struct xml *xml, struct arena *arena, const struct facts *facts,
					   struct strbuf *what)
{
	if (!domain_windows(xml) || xml_has(xml, "/domain/cpu/feature[@name = 'hypervisor' and @policy = 'disable']"))
		return JUDGED_NOT;
	return list_lacking(xml, facts, false, what) ? JUDGED_BAD : JUDGED_FINE;
}

static void mend_windows_settings(struct examination *examination, struct finding *finding, const char *guest)
{
	static const char *const options[] = {"--features ", "--clock "};

	for (size_t i = 0; i < 2; i++) {
		cleanup_strbuf struct strbuf values = {};

		for (size_t j = 0; j < setting_count; j++) {
			const struct machine_setting *setting = &settings[j];

			if (!setting->required && (setting->systems & WINDOWS_11) &&
			    setting->when <= SETTING_UNDER_KVM &&
			    strncmp(setting->mend, options[i], strlen(options[i])) == 0)
				strbuf_printf(&values, "%s%s", values.length ? "," : "",
					      setting->mend + strlen(options[i]));
		}
		finding_remedy(examination, finding, "virt-xml %s --edit %s%s", guest, options[i], values.text);
	}
	finding_remedy(examination, finding,
		       "with several CPUs: virt-xml %s --edit all --network driver.queues=N, as many as it has CPUs, "
		       "at most 8",
		       guest);
}

static const struct question windows_settings_asked = {
	ask_windows_settings, RESULT_WARN, "guests with Windows have Hyper-V's enlightenments and a clock for Windows",
	"Windows is slower here than it need be", mend_windows_settings};

const struct check check_guest_windows_settings = {
	.id = "guest.windows-settings",
	.title = "guests with Windows have Hyper-V's enlightenments and a clock for Windows",
	.severity = SEVERITY_ADVICE,
	.matters =
		"Without them each timer, interrupt and lock is an exit to the hypervisor, and in a guest of a guest "
		"each exit is many; time drifts, and a CPU that was not run for a while is a blue screen.",
	.data = &windows_settings_asked,
	.of_definitions = true,
	.look = look_guests,
};

static enum judgement ask_esxi(struct xml *xml, struct arena *arena, const struct facts *facts, struct strbuf *what)
{
	cleanup_strbuf struct strbuf lacks = {};

	if (domain_system(xml) != ESXI)
		return JUDGED_NOT;
	list_lacking(xml, facts, true, what);
	if (list_lacking(xml, facts, false, &lacks))
		strbuf_printf(what, "%s%s", what->length ? ", " : "", lacks.text);
	return what->length ? JUDGED_BAD : JUDGED_FINE;
}

static void mend_esxi(struct examination *examination, struct finding *finding, const char *guest)
{
	finding_remedy(examination, finding,
		       "virsh dumpxml %s | nestvisor doctor --xml -: what is missing, and commands", guest);
}

static const struct question esxi_asked = {ask_esxi, RESULT_WARN, "guests with ESXi have what it asks for",
					   "ESXi will not do here", mend_esxi};

const struct check check_guest_esxi = {
	.id = "guest.esxi",
	.title = "guests with ESXi have two CPUs, 8 GiB, and a disk and a network card that it knows",
	.severity = SEVERITY_ADVICE,
	.matters = "Its installer refuses a machine without them, and it has no drivers for virtio.",
	.data = &esxi_asked,
	.of_definitions = true,
	.look = look_guests,
};

static const char *mend_of(struct arena *arena, const struct machine_setting *setting, struct xml *xml)
{
	const char *number = strstr(setting->mend, SETTING_CPUS);
	size_t cpus = xml_count(xml, "number(/domain/vcpu)");

	return number ? arena_printf(arena, "%.*s%zu%s", (int)(number - setting->mend), setting->mend,
				     cpus > 8 ? 8 : cpus, number + strlen(SETTING_CPUS))
		      : setting->mend;
}

/* One row of the table for one guest: what it is for, and who says so. */
static void tell_setting(const struct check *check, struct examination *examination, const struct patient *patient,
			 const struct machine_setting *setting, struct xml *xml, const char *guest)
{
	bool has = xml_has(xml, "%s", setting->libvirt);
	enum result bad = setting->required ? RESULT_FAIL : RESULT_WARN;
	struct finding *finding = finding_add(check, examination, patient, has ? RESULT_PASS : bad, "%s %s %s: %s",
					      guest, has ? "has" : "lacks", setting->name, setting->reason);

	finding_evidence(examination, finding, NULL, "%s", setting->source);
	if (!has)
		finding_remedy(examination, finding, "virt-xml %s %s%s", guest, setting->required ? "" : "--edit ",
			       mend_of(examination->arena, setting, xml));
}

/* Of one definition that somebody handed us every row is told, with its reason and its source. */
static bool look_settings(const struct check *check, struct examination *examination, const struct patient *patient,
			  const struct document *document)
{
	cleanup_xml struct xml *xml = NULL;
	bool required = check == &check_guest_windows_11, esxi = check == &check_guest_esxi;

	if ((!required && !esxi && check != &check_guest_windows_settings) ||
	    xml_open(document->text, strlen(document->text), &xml, NULL) < 0)
		return false;
	if (esxi != (domain_system(xml) == ESXI))
		return false;
	if (xml_has(xml, "/domain/cpu/feature[@name = 'hypervisor' and @policy = 'disable']") && !required)
		return false;
	for (size_t i = 0; i < setting_count; i++)
		if ((esxi || settings[i].required == required) && concerns(&settings[i], xml, patient->facts))
			tell_setting(check, examination, patient, &settings[i], xml,
				     document->name ? document->name : "GUEST");
	return true;
}

static enum judgement ask_virtio(struct xml *xml, struct arena *arena, const struct facts *facts, struct strbuf *what)
{
	static const char
		disk[] = "/domain/devices/disk[(@device = 'disk' or not(@device)) and not(target/@bus = 'virtio' or "
			 "(target/@bus = 'scsi' and /domain/devices/controller[@type = 'scsi' and "
			 "contains(@model, 'virtio')]))]",
		nic[] = "/domain/devices/interface[not(@type = 'hostdev') and not(contains(model/@type, 'virtio'))]";
	size_t disks = xml_count(xml, "count(%s)", disk), nics = xml_count(xml, "count(%s)", nic);

	if (domain_system(xml) == ESXI) /* which has no drivers for them */
		return JUDGED_NOT;
	if (disks)
		strbuf_printf(what, "disk %s on %s", xml_text(xml, arena, "string(%s/target/@dev)", disk),
			      xml_text(xml, arena, "string(%s/target/@bus)", disk));
	if (nics) {
		const char *model = xml_text(xml, arena, "string(%s/model/@type)", nic);

		strbuf_printf(what, "%snetwork card %s", disks ? ", " : "", *model ? model : "of the default model");
	}
	return disks || nics ? JUDGED_BAD : JUDGED_FINE;
}

static void mend_virtio(struct examination *examination, struct finding *finding, const char *guest)
{
	finding_remedy(examination, finding,
		       "in Windows first: install virtio-win, and reboot with a second small virtio disk");
	finding_remedy(examination, finding, "virt-xml %s --edit all --disk target.bus=virtio", guest);
	finding_remedy(examination, finding, "virt-xml %s --edit all --network model.type=virtio", guest);
}

static const struct question virtio = {ask_virtio, RESULT_WARN, "guests have virtio disks and network cards",
				       "emulated disks or network cards", mend_virtio};

/* seeds: "Virtio paravirtualized drivers for disk and network I/O are mandatory" */
const struct check check_guest_virtio = {
	.id = "guest.virtio",
	.title = "guests have virtio disks and network cards",
	.severity = SEVERITY_ADVICE,
	.matters =
		"An emulated disk exits dozens of times for each request, and in a guest of a guest each exit is many.",
	.data = &virtio,
	.of_definitions = true,
	.look = look_guests,
};

/* seeds: "Disable the VGA and USB controllers in the VM settings if they are not required" */
static enum judgement ask_devices(struct xml *xml, struct arena *arena, const struct facts *facts, struct strbuf *what)
{
	bool display = xml_has(xml, "/domain/devices/graphics"),
	     vga = xml_has(xml, "/domain/devices/video[not(model/@type = 'none')]"),
	     usb = xml_has(xml, "/domain/devices/controller[@type = 'usb' and not(@model = 'none')]"),
	     plugged = xml_has(
		     xml, "/domain/devices/*[@bus = 'usb' or (@type = 'usb' and self::hostdev) or self::redirdev or "
			  "self::smartcard or target/@bus = 'usb' or (self::hub and @type = 'usb')]");

	if (vga && !display)
		strbuf_add(what, "VGA without a display");
	/* A tablet is of use where there is a screen to point at. */
	if (usb && (!plugged || (!display && !xml_has(xml, "/domain/devices/*[(@type = 'usb' and self::hostdev) or "
							   "self::redirdev or target/@bus = 'usb']"))))
		strbuf_printf(what, "%sUSB without a device", what->length ? ", " : "");
	return what->length ? JUDGED_BAD : JUDGED_FINE;
}

static void mend_devices(struct examination *examination, struct finding *finding, const char *guest)
{
	finding_remedy(examination, finding, "virt-xml %s --edit --video none", guest);
	finding_remedy(examination, finding, "virt-xml %s --edit type=usb --controller model=none", guest);
}

static const struct question devices = {ask_devices, RESULT_WARN, "guests have no VGA and no USB that nobody uses",
					"devices that nobody uses", mend_devices};

const struct check check_guest_devices = {
	.id = "guest.devices",
	.title = "guests have no VGA and USB that nobody uses",
	.severity = SEVERITY_NOTE,
	.matters =
		"Emulated devices are the code of QEMU in which most breakouts were found; what is not there cannot be "
		"attacked.",
	.data = &devices,
	.of_definitions = true,
	.look = look_guests,
};

static enum judgement ask_extension(struct xml *xml, struct arena *arena, const struct facts *facts,
				    struct strbuf *what)
{
	const char *mode = xml_text(xml, arena, "string(/domain/cpu/@mode)");

	if (!sees_extension(xml, facts) || domain_system(xml) == ESXI)
		return JUDGED_FINE;
	strbuf_add(what, *mode ? mode : "vmx or svm required");
	return JUDGED_BAD;
}

static void mend_extension(struct examination *examination, struct finding *finding, const char *guest)
{
	const struct processor_kind *kind = look_processor_kind(finding->patient->facts);

	finding_remedy(examination, finding,
		       "where it runs no guests: virt-xml %s --edit --cpu host-passthrough,disable=%s", guest,
		       kind ? kind->flag : "vmx");
}

static const struct question extension = {ask_extension, RESULT_WARN, "no guest sees vmx or svm",
					  "guests that see vmx or svm, which only a hypervisor needs", mend_extension};

const struct check check_guest_nested = {
	.id = "guest.nested",
	.title = "guests that run no guests do not see vmx or svm",
	.severity = SEVERITY_NOTE,
	.matters = "Nesting is the part of KVM with the most holes; a guest that does not need it should not reach it.",
	.data = &extension,
	.of_definitions = true,
	.look = look_guests,
};

/* QEMU: docs/system/cpu-models-x86.rst.inc, "qemu64, qemu32" and "kvm64, kvm32": old, and without mitigations. */
static enum judgement ask_cpu(struct xml *xml, struct arena *arena, const struct facts *facts, struct strbuf *what)
{
	const char *model = xml_text(xml, arena, "string(/domain/cpu/model)");

	if (xml_has(xml, "/domain/@type = 'qemu'")) /* emulated: what the host has does not matter */
		return JUDGED_NOT;
	if (!xml_has(xml, "/domain/cpu"))
		strbuf_add(what, "no <cpu>: qemu64");
	else if (strncmp(model, "qemu", 4) == 0 || strncmp(model, "kvm", 3) == 0 || strcmp(model, "pentium") == 0)
		strbuf_add(what, model);
	return what->length ? JUDGED_BAD : JUDGED_FINE;
}

static void mend_cpu(struct examination *examination, struct finding *finding, const char *guest)
{
	finding_remedy(examination, finding, "virt-xml %s --edit --cpu host-passthrough", guest);
}

static const struct question cpu = {ask_cpu, RESULT_WARN, "guests have a CPU of this century",
				    "guests with a CPU model without nesting, AES or mitigations", mend_cpu};

const struct check check_guest_cpu = {
	.id = "guest.cpu",
	.title = "guests see the host's CPU (host-passthrough, host-model)",
	.severity = SEVERITY_ADVICE,
	.matters = "The model that QEMU takes by default lacks what hypervisors need, and the flags by which a kernel "
		   "protects "
		   "itself.",
	.data = &cpu,
	.of_definitions = true,
	.look = look_guests,
};
