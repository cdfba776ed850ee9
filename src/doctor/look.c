/* What checks ask facts for. */
#include "base/arena.h"
#include "doctor/checks.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(word, *list) == 0)
			return true;
	return false;
}

enum distribution_family distribution_family(const struct facts *facts)
{
	const struct {
		enum distribution_family family;
		const char *const *ids;
	} families[] = {
		{DISTRIBUTION_DEBIAN, (const char *const[]){"debian", "ubuntu", "linuxmint", "pop", "kali", "devuan",
							    "raspbian", "elementary", "proxmox", "mx", NULL}},
		{DISTRIBUTION_FEDORA, (const char *const[]){"fedora", "rhel", "centos", "rocky", "almalinux", "ol",
							    "amzn", "scientific", "nobara", NULL}},
		{DISTRIBUTION_ARCH, (const char *const[]){"arch", "manjaro", "endeavouros", "cachyos", NULL}},
		{DISTRIBUTION_SUSE, (const char *const[]){"opensuse-leap", "opensuse-tumbleweed", "opensuse",
							  "opensuse-slowroll", "sles", "sled", "sle-micro", NULL}},
		{DISTRIBUTION_ALPINE, (const char *const[]){"alpine", "postmarketos", NULL}},
	};

	for (size_t i = 0; facts->distribution.id && i < sizeof(families) / sizeof(*families); i++)
		if (is_one_of(facts->distribution.id, families[i].ids))
			return families[i].family;
	return DISTRIBUTION_UNKNOWN;
}

void finding_install(struct examination *examination, struct finding *finding, const struct packages *packages)
{
	const struct {
		const char *command, *names;
	} ways[] = {
		[DISTRIBUTION_UNKNOWN] = {NULL, NULL},
		[DISTRIBUTION_DEBIAN] = {"apt install", packages->debian},
		[DISTRIBUTION_FEDORA] = {"dnf install", packages->fedora},
		[DISTRIBUTION_ARCH] = {"pacman -S", packages->arch},
		[DISTRIBUTION_SUSE] = {"zypper install", packages->suse},
		[DISTRIBUTION_ALPINE] = {"apk add", packages->alpine},
	};
	enum distribution_family family = distribution_family(finding->patient->facts);

	if (ways[family].names)
		finding_remedy(examination, finding, "%s %s", ways[family].command, ways[family].names);
	else
		finding_remedy(examination, finding, "install the package that is called %s on Debian",
			       packages->debian);
}

void finding_kernel_words(struct examination *examination, struct finding *finding, bool add, const char *words)
{
	/* grub's file, and how its menu is made anew. */
	static const char *const menus[] = {[DISTRIBUTION_DEBIAN] = "update-grub",
					    [DISTRIBUTION_ARCH] = "grub-mkconfig -o /boot/grub/grub.cfg",
					    [DISTRIBUTION_SUSE] = "grub2-mkconfig -o /boot/grub2/grub.cfg",
					    [DISTRIBUTION_ALPINE] = NULL};
	enum distribution_family family = distribution_family(finding->patient->facts);

	if (look_is_wsl(finding->patient->facts))
		finding_remedy(examination, finding, "in %%USERPROFILE%%\\.wslconfig, [wsl2] kernelCommandLine: %s %s",
			       add ? "add" : "remove", words);
	else if (family == DISTRIBUTION_FEDORA)
		finding_remedy(examination, finding, "grubby --update-kernel=ALL --%s=\"%s\"",
			       add ? "args" : "remove-args", words);
	else if (family == DISTRIBUTION_ALPINE)
		finding_remedy(examination, finding, "sed -i -E 's/%s/' /etc/update-extlinux.conf && update-extlinux",
			       arena_printf(examination->arena, add ? "^default_kernel_opts=\"/&%s " : " *%s/", words));
	else if (family != DISTRIBUTION_UNKNOWN)
		finding_remedy(examination, finding, "sed -i -E 's/%s/' /etc/default/grub && %s",
			       arena_printf(examination->arena, add ? "^GRUB_CMDLINE_LINUX=\"/&%s " : " *%s/", words),
			       menus[family]);
	else
		finding_remedy(examination, finding, "%s the kernel's command line: %s", add ? "add to" : "take out of",
			       words);
}

struct finding *finding_unknown(const struct check *check, struct examination *examination,
				const struct patient *patient, const char *missing)
{
	return finding_add(check, examination, patient, RESULT_UNKNOWN, "not known: %s %s", missing,
			   patient->derived ? "cannot be derived from the host it runs on" : "was not captured");
}

struct number look_number(const struct facts *facts, const char *path)
{
	const char *value = facts_attribute(facts, path);
	unsigned long long number;
	char *end;

	if (!value || *value < '0' || *value > '9')
		return (struct number){0};
	number = strtoull(value, &end, 10);
	return *end ? (struct number){0} : number_of(number);
}

enum truth look_truth(const struct facts *facts, const char *path)
{
	const char *value = facts_attribute(facts, path);

	if (!value)
		return TRUTH_UNKNOWN;
	if (is_one_of(value, (const char *const[]){"Y", "y", "1", NULL}))
		return TRUTH_YES;
	return is_one_of(value, (const char *const[]){"N", "n", "0", NULL}) ? TRUTH_NO : TRUTH_UNKNOWN;
}

const struct attribute *look_below(const struct facts *facts, const char *prefix, size_t *ret_count)
{
	size_t length = strlen(prefix), first = 0, last;

	while (first < facts->attribute_count && strncmp(facts->attributes[first].path, prefix, length) < 0)
		first++;
	for (last = first; last < facts->attribute_count;)
		if (strncmp(facts->attributes[last].path, prefix, length) == 0)
			last++;
		else
			break;
	*ret_count = last - first;
	return last > first ? &facts->attributes[first] : NULL;
}

const struct attribute *look_next(const struct facts *facts, const char *pattern, size_t *at)
{
	while (*at < facts->attribute_count) {
		const struct attribute *attribute = &facts->attributes[(*at)++];

		if (fnmatch(pattern, attribute->path, FNM_PATHNAME) == 0)
			return attribute;
	}
	return NULL;
}

void finding_attribute(struct examination *examination, struct finding *finding, const struct attribute *attribute)
{
	if (attribute->origin.source && strcmp(attribute->origin.source, attribute->path) == 0)
		finding_evidence(examination, finding, &attribute->origin, "%s", attribute->value);
	else
		finding_evidence(examination, finding, &attribute->origin, "%s is %s", attribute->path,
				 attribute->value);
}

enum truth look_flag(const struct facts *facts, const char *flag)
{
	const struct processor *processor = &facts->processor;

	for (size_t i = 0; i < processor->flag_count; i++)
		if (strcmp(processor->flags[i], flag) == 0)
			return TRUTH_YES;
	return processor->flags_known == TRUTH_YES ? TRUTH_NO : TRUTH_UNKNOWN;
}

const struct module *look_module(const struct facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->module_count; i++)
		if (strcmp(facts->modules[i].name, name) == 0)
			return &facts->modules[i];
	return NULL;
}

enum truth look_loaded(const struct facts *facts, const char *name)
{
	char path[128];
	size_t count;

	if (look_module(facts, name))
		return TRUTH_YES;
	snprintf(path, sizeof(path), "/sys/module/%s/", name);
	if (look_below(facts, path, &count))
		return TRUTH_YES;
	return facts->modules_known == TRUTH_YES ? TRUTH_NO : TRUTH_UNKNOWN;
}

bool look_built_in(const struct facts *facts, const char *name)
{
	return facts->modules_known == TRUTH_YES && !look_module(facts, name) && look_loaded(facts, name) == TRUTH_YES;
}

bool look_no_modules(const struct facts *facts)
{
	const struct node *modules = facts_node(facts, "/proc/modules");

	return modules && modules->exists == TRUTH_NO;
}

const char *look_kernel_word(struct arena *arena, const struct facts *facts, const char *word)
{
	const char *at = facts->kernel.command_line, *value = NULL;
	size_t length = strlen(word);

	while (at && *at) {
		size_t end;

		at += strspn(at, " \t\n");
		end = strcspn(at, " \t\n");
		if (end >= length && strncmp(at, word, length) == 0 && (end == length || at[length] == '='))
			value = arena_strndup(arena, at + length + (end > length),
					      end - length - (end > length)); /* the last one counts */
		at += end;
	}
	return value;
}

int look_kernel_version(const struct facts *facts, unsigned major, unsigned minor, bool *ret_known)
{
	unsigned own_major, own_minor;

	*ret_known = facts->kernel.release && sscanf(facts->kernel.release, "%u.%u", &own_major, &own_minor) == 2;
	if (!*ret_known)
		return 0;
	if (own_major != major)
		return own_major < major ? -1 : 1;
	return own_minor == minor ? 0 : own_minor < minor ? -1 : 1;
}

static const struct processor_kind intel = {"vmx", "kvm_intel", "Intel VT-x (vmx)", "EPT"},
				   amd = {"svm", "kvm_amd", "AMD-V (svm)", "NPT"};

const struct processor_kind *look_processor_kind(const struct facts *facts)
{
	const char *vendor = facts->processor.vendor;

	if (look_flag(facts, "vmx") == TRUTH_YES)
		return &intel;
	if (look_flag(facts, "svm") == TRUTH_YES)
		return &amd;
	if (!vendor)
		return NULL;
	if (is_one_of(vendor, (const char *const[]){"GenuineIntel", "CentaurHauls", "  Shanghai  ", "Shanghai", NULL}))
		return &intel;
	return is_one_of(vendor, (const char *const[]){"AuthenticAMD", "HygonGenuine", NULL}) ? &amd : NULL;
}

enum truth look_is_guest(const struct facts *facts)
{
	if (look_is_wsl(facts))
		return TRUTH_YES;
	return look_flag(facts, "hypervisor");
}

bool look_is_wsl(const struct facts *facts)
{
	const char *release = facts->kernel.release;

	/* "5.15.167.4-microsoft-standard-WSL2" */
	return release && (strcasestr(release, "microsoft-standard") || strcasestr(release, "WSL2"));
}

enum truth look_is_x86(const struct facts *facts)
{
	const char *machine = facts->kernel.machine;

	if (facts->processor.vendor || look_flag(facts, "lm") == TRUTH_YES)
		return TRUTH_YES;
	if (!machine)
		return TRUTH_UNKNOWN;
	return truth_of(is_one_of(machine, (const char *const[]){"x86_64", "amd64", "i686", "i586", "i386", NULL}));
}

bool look_is_host(const struct facts *facts)
{
	return facts->system != SYSTEM_WINDOWS && look_is_x86(facts) != TRUTH_NO;
}

bool look_has_libvirt(const struct facts *facts)
{
	const struct program *libvirtd = facts_program(facts, "libvirtd"),
			     *virtqemud = facts_program(facts, "virtqemud");
	const struct node *folder = facts_node(facts, "/etc/libvirt");

	return (libvirtd && libvirtd->installed == TRUTH_YES) || (virtqemud && virtqemud->installed == TRUTH_YES) ||
	       (folder && folder->exists == TRUTH_YES);
}

const struct processor_kind *look_kvm_kind(const struct patient *patient)
{
	const struct processor_kind *kind = look_processor_kind(patient->facts);

	if (!look_is_host(patient->facts) || (kind && look_flag(patient->facts, kind->flag) == TRUTH_NO))
		return NULL;
	return kind;
}

const char *look_parameter(struct arena *arena, const struct processor_kind *kind, const char *parameter)
{
	return arena_printf(arena, "/sys/module/%s/parameters/%s", kind->module, parameter);
}

enum truth look_is_inside(const struct patient *patient)
{
	if (patient->outer || (patient->layer_known && patient->layer > 0))
		return TRUTH_YES;
	return look_is_guest(patient->facts);
}
