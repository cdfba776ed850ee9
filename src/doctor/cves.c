/*
 * Whether a kernel has a hole. A release of kernel.org is judged by its branch: it has the fix from the first release
 * of its branch on that is listed, or from the mainline's on. A branch without one is vulnerable, unless the release is
 * younger than the list, which then cannot know. A distribution's kernel has at least what the release has that it is
 * made of; what else it has only Debian's changelogs tell (see cve_list.h). For others a fix that is not in the release
 * makes the answer unknown, and the finding says where to read.
 */
#include "doctor/cves.h"

#include "base/arena.h"
#include "base/strbuf.h"
#include "doctor/checks.h"

#include <stdio.h>
#include <string.h>

const struct cve cve_list[] = {
#include "doctor/cve_list.h"
};
const size_t cve_count = sizeof(cve_list) / sizeof(*cve_list);

/*
 * The youngest release of each branch that was being maintained, of which the sources tell: the kernel's CVE repository
 * for releases, the changelogs for Debian. The fix may be in a younger one without the list knowing.
 */
static const char *const releases_read[] = {"5.10.265", "5.15.216", "6.1.183", "6.6.152", "6.12.104",
					    "6.18.45",	"6.19.14",  "7.0.14",  "7.1.9",	  "7.2"};
static const char *const packages_read[] = {"5.10.262-1", "6.1.192-2", "6.12.117-1", "7.2.13-1", "7.3.4-1"};

static bool same_branch(const struct kernel_version *a, const struct kernel_version *b)
{
	return a->major == b->major && a->minor == b->minor;
}

/* Takes the next word of a list of releases; false at its end. */
static bool next_release(const char **list, char word[PACKAGE_VERSION_SIZE], struct kernel_version *ret)
{
	size_t length;

	if (!*list)
		return false;
	*list += strspn(*list, " ");
	length = strcspn(*list, " ");
	if (length == 0 || length >= PACKAGE_VERSION_SIZE)
		return false;
	memcpy(word, *list, length);
	word[length] = '\0';
	*list += length;
	return kernel_version_parse(word, ret);
}

static bool is_mainline(const struct kernel_version *version)
{
	return version->patch == 0 || version->major < 3; /* 2.6.36 was mainline's */
}

static bool is_introduced(const struct cve *cve, const struct kernel_version *version)
{
	const char *list = cve->introduced;
	char word[PACKAGE_VERSION_SIZE];
	struct kernel_version since;

	if (!list)
		return true;
	while (next_release(&list, word, &since))
		if ((is_mainline(&since) || same_branch(&since, version)) &&
		    kernel_version_compare(version, &since) >= 0)
			return true;
	return false;
}

/* Would the list name a fix of this branch, were there one? No: the release is younger than what the list knows. */
static bool is_covered(const struct kernel_version *version)
{
	struct kernel_version read = {0};

	for (size_t i = 0; i < sizeof(releases_read) / sizeof(*releases_read); i++)
		if (kernel_version_parse(releases_read[i], &read) && same_branch(&read, version))
			return kernel_version_compare(version, &read) <= 0;
	return kernel_version_compare(version, &read) < 0; /* a branch that ended, or one that is too young */
}

/* `covered`: were there a fix in a branch that has none in the list, the list would know. */
static enum cve_state judge_release(const struct cve *cve, const struct kernel_version *version, bool covered,
				    char *ret_fixed, size_t size)
{
	const char *list = cve->fixed;
	char word[PACKAGE_VERSION_SIZE];
	struct kernel_version fixed;
	bool mainline = false;

	ret_fixed[0] = '\0';
	if (!is_introduced(cve, version))
		return CVE_NOT_AFFECTED;
	while (next_release(&list, word, &fixed)) {
		mainline = mainline || is_mainline(&fixed);
		if (!is_mainline(&fixed) && !same_branch(&fixed, version))
			continue;
		if (kernel_version_compare(version, &fixed) >= 0) {
			snprintf(ret_fixed, size, "%s", word);
			return CVE_FIXED;
		}
		if (!same_branch(&fixed, version))
			continue;
		snprintf(ret_fixed, size, "%s", word);
		/* the record often names the release only, although a candidate has it already */
		return version->candidate && !fixed.candidate ? CVE_UNKNOWN : CVE_VULNERABLE;
	}
	return mainline && covered ? CVE_VULNERABLE : CVE_UNKNOWN;
}

static bool is_package_covered(const struct kernel_identity *kernel)
{
	for (size_t i = 0; i < sizeof(packages_read) / sizeof(*packages_read); i++) {
		struct kernel_version read;

		if (kernel_version_parse(packages_read[i], &read) && same_branch(&read, &kernel->version))
			return debian_version_compare(kernel->package, packages_read[i]) <= 0;
	}
	return is_covered(&kernel->version);
}

static enum cve_state judge_debian(const struct cve *cve, const struct kernel_identity *kernel, char *ret_fixed,
				   size_t size)
{
	bool covered = is_package_covered(kernel);
	enum cve_state state = judge_release(cve, &kernel->version, covered, ret_fixed, size);
	const char *list = cve->debian;
	char word[PACKAGE_VERSION_SIZE];
	struct kernel_version fixed;

	if (state != CVE_VULNERABLE)
		return state;
	while (next_release(&list, word, &fixed)) {
		if (!same_branch(&fixed, &kernel->version))
			continue;
		snprintf(ret_fixed, size, "%s", word);
		return debian_version_compare(kernel->package, word) >= 0 ? CVE_FIXED : CVE_VULNERABLE;
	}
	return covered ? CVE_VULNERABLE : CVE_UNKNOWN;
}

enum cve_state cve_judge(const struct cve *cve, const struct kernel_identity *kernel, char *ret_fixed, size_t size)
{
	const struct kernel_version *version = &kernel->version;
	enum cve_state state;

	if (kernel->maker == KERNEL_DEBIAN) {
		state = judge_debian(cve, kernel, ret_fixed, size);
		/* installed is not running: what runs may be an older package of the same name */
		return state == CVE_FIXED && kernel->installed_only ? CVE_UNKNOWN : state;
	}
	state = judge_release(cve, version, is_covered(version), ret_fixed, size);
	switch (kernel->maker) {
	case KERNEL_OWN:
	case KERNEL_DEBIAN:
		return state;
	case KERNEL_STABLE:
	case KERNEL_FROZEN:
		return state == CVE_VULNERABLE ? CVE_UNKNOWN : state;
	case KERNEL_REBASED: /* may have the hole before the release that brought it */
		return state == CVE_FIXED ? state : CVE_UNKNOWN;
	}
	return CVE_UNKNOWN;
}

/* What decides whether a guest gets at a hole at all. */
struct reach {
	enum truth nested;
	enum truth paging; /* EPT or NPT */
};

static enum truth is_reached(const struct cve *cve, const struct facts *facts, const struct reach *reach)
{
	enum truth needed = cve->needs ? look_truth(facts, cve->needs) : TRUTH_YES;

	if (cve->shadow && reach->paging == TRUTH_NO)
		return TRUTH_YES;
	if (reach->nested == TRUTH_NO || needed == TRUTH_NO || (cve->without_paging && reach->paging == TRUTH_YES))
		return TRUTH_NO;
	if (reach->nested == TRUTH_UNKNOWN || needed == TRUTH_UNKNOWN ||
	    (cve->without_paging && reach->paging == TRUTH_UNKNOWN))
		return TRUTH_UNKNOWN;
	return TRUTH_YES;
}

#define CVE_RECORD_URL "https://www.cve.org/CVERecord?id=%s"

enum { SHOWN_IDS = 4, SHOWN_LINKS = 3 };

struct tally {
	const struct cve **open, **slight; /* not known; only guests are harmed */
	size_t open_count, slight_count;
	size_t closed_count, count;
};

static const char *list_ids(struct arena *arena, const struct cve *const *cves, size_t count, size_t shown)
{
	cleanup_strbuf struct strbuf text = {0};

	for (size_t i = 0; i < count && i < shown; i++)
		strbuf_printf(&text, "%s%s", i ? ", " : "", cves[i]->id);
	if (count > shown)
		strbuf_printf(&text, " and %zu more", count - shown);
	return arena_strdup(arena, text.text);
}

static const char *name_kernel(struct arena *arena, const struct facts *facts, const struct kernel_identity *kernel)
{
	if (kernel->package[0])
		return arena_printf(arena, "Debian's kernel %s", kernel->package);
	if (kernel->maker_name)
		return arena_printf(arena, "%s's kernel %s", kernel->maker_name, facts->kernel.release);
	return arena_printf(arena, "Linux %s", facts->kernel.release);
}

static void add_upgrade(struct examination *examination, struct finding *finding, const struct facts *facts,
			const struct kernel_identity *kernel, const char *fixed)
{
	if (kernel->maker == KERNEL_DEBIAN && fixed[0])
		finding_remedy(examination, finding,
			       "apt update && apt install linux-image-%s    # %s or newer; then reboot",
			       strstr(facts->kernel.release, "cloud") ? "cloud-amd64" : "amd64", fixed);
	else if (fixed[0])
		finding_remedy(examination, finding, "boot Linux %s or newer", fixed);
	else
		finding_remedy(examination, finding,
			       "boot a kernel of another branch: %u.%u had no release with the fix on " CVE_LIST_DATE,
			       kernel->version.major, kernel->version.minor);
}

static void add_hole(const struct check *check, struct examination *examination, const struct patient *patient,
		     const struct cve *cve, const struct kernel_identity *kernel, const char *fixed)
{
	const struct facts *facts = patient->facts;
	const struct processor_kind *kind = look_processor_kind(facts);
	struct finding *finding;

	finding = finding_add(check, examination, patient, RESULT_FAIL, "%s has %s%s%s%s: %s",
			      name_kernel(examination->arena, facts, kernel), cve->id, cve->name ? " (" : "",
			      cve->name ? cve->name : "", cve->name ? ")" : "", cve->what);
	finding_evidence(examination, finding, &facts->kernel.origin, "%s%s%s",
			 kernel->package[0] ? kernel->package : facts->kernel.release,
			 fixed[0] ? " is older than " : "", fixed);
	if (cve->cvss)
		finding_evidence(examination, finding, NULL, "CVSS %s", cve->cvss);
	add_upgrade(examination, finding, facts, kernel, fixed);
	if (cve->avoid)
		finding_remedy(examination, finding, "until then: %s", cve->avoid);
	if (look_truth(facts, arena_printf(examination->arena, "/sys/module/%s/parameters/nested", kind->module)) ==
	    TRUTH_YES)
		finding_remedy(
			examination, finding,
			"until then, where no guest needs it: echo 'options %s nested=0' > "
			"/etc/modprobe.d/zz-nestvisor-kvm.conf && modprobe -r %s && modprobe %s; else give vmx or "
			"svm only to guests you trust",
			kind->module, kind->module, kind->module);
	finding_remedy(examination, finding, "read https://www.cve.org/CVERecord?id=%s", cve->id);
}

/* Where the first few can be read up; `place` has a %s for the id. */
static void add_links(struct examination *examination, struct finding *finding, const char *place,
		      const struct cve *const *cves, size_t count)
{
	const char *mark = strstr(place, "%s");

	for (size_t i = 0; i < count && i < SHOWN_LINKS; i++)
		finding_remedy(examination, finding, "read %.*s%s%s", (int)(mark - place), place, cves[i]->id,
			       mark + 2);
}

static void add_slight(const struct check *check, struct examination *examination, const struct patient *patient,
		       const struct tally *tally, const struct kernel_identity *kernel)
{
	struct arena *arena = examination->arena;
	struct finding *finding;

	if (tally->slight_count == 0)
		return;
	finding = finding_add(check, examination, patient, RESULT_WARN,
			      "%s has %zu known hole%s of nested KVM that harm%s only guests among themselves: %s",
			      name_kernel(arena, patient->facts, kernel), tally->slight_count,
			      tally->slight_count == 1 ? "" : "s", tally->slight_count == 1 ? "s" : "",
			      list_ids(arena, tally->slight, tally->slight_count, SHOWN_IDS));
	finding_evidence(examination, finding, &patient->facts->kernel.origin, "%s",
			 list_ids(arena, tally->slight, tally->slight_count, tally->slight_count));
	finding_remedy(examination, finding, "boot a younger kernel");
	add_links(examination, finding, CVE_RECORD_URL, tally->slight, tally->slight_count);
}

static void add_open(const struct check *check, struct examination *examination, const struct patient *patient,
		     const struct tally *tally, const struct kernel_identity *kernel)
{
	struct arena *arena = examination->arena;
	struct finding *finding;

	if (tally->open_count == 0)
		return;
	finding = finding_add(check, examination, patient, RESULT_UNKNOWN,
			      "whether %s has %zu known hole%s of nested KVM is not known: %s",
			      name_kernel(arena, patient->facts, kernel), tally->open_count,
			      tally->open_count == 1 ? "" : "s",
			      list_ids(arena, tally->open, tally->open_count, SHOWN_IDS));
	finding_evidence(examination, finding, &patient->facts->kernel.origin, "%s",
			 list_ids(arena, tally->open, tally->open_count, tally->open_count));
	add_links(examination, finding, kernel->tracker ? kernel->tracker : CVE_RECORD_URL, tally->open,
		  tally->open_count);
	if (kernel->maker == KERNEL_DEBIAN && kernel->installed_only)
		finding_remedy(examination, finding,
			       "cat /proc/version    # which package runs; only the installed one is known");
}

static void take(const struct check *check, struct examination *examination, const struct patient *patient,
		 const struct cve *cve, const struct kernel_identity *kernel, enum truth reached, struct tally *tally)
{
	char fixed[PACKAGE_VERSION_SIZE];
	enum cve_state state = cve_judge(cve, kernel, fixed, sizeof(fixed));

	tally->count++;
	if (state == CVE_FIXED || state == CVE_NOT_AFFECTED || reached == TRUTH_NO)
		tally->closed_count++;
	else if (state == CVE_UNKNOWN || reached == TRUTH_UNKNOWN || cve->verified == CVE_UNVERIFIED)
		*arena_push(examination->arena, tally->open, tally->open_count) = cve;
	else if (cve->harms == CVE_HARMS_HOST)
		add_hole(check, examination, patient, cve, kernel, fixed);
	else
		*arena_push(examination->arena, tally->slight, tally->slight_count) = cve;
}

static bool is_anything_reached(const struct facts *facts, unsigned maker, const struct reach *reach)
{
	for (size_t i = 0; i < cve_count; i++)
		if ((cve_list[i].makers & maker) && is_reached(&cve_list[i], facts, reach) != TRUTH_NO)
			return true;
	return false;
}

static void look_holes(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct processor_kind *kind = look_processor_kind(facts);
	struct arena *arena = examination->arena;
	struct kernel_identity kernel;
	struct tally tally = {0};
	struct finding *finding;
	struct reach reach;
	const char *missing, *parameter;
	unsigned maker;

	if (!look_is_host(facts) || !kind || look_flag(facts, kind->flag) == TRUTH_NO)
		return; /* cpu.virtualization speaks */
	maker = strcmp(kind->module, "kvm_amd") == 0 ? CVE_AMD : CVE_INTEL;
	parameter = arena_printf(arena, "/sys/module/%s/parameters/nested", kind->module);
	reach.nested = look_truth(facts, parameter);
	reach.paging = look_truth(facts, arena_printf(arena, "/sys/module/%s/parameters/%s", kind->module,
						      maker == CVE_AMD ? "npt" : "ept"));
	if (!is_anything_reached(facts, maker, &reach)) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "no guest can reach the known holes of nested KVM: nested is off");
		finding_attribute(examination, finding, facts_attribute_entry(facts, parameter));
		return;
	}
	if (!kernel_identify(facts, &kernel, &missing)) {
		finding_unknown(check, examination, patient, missing);
		return;
	}
	for (size_t i = 0; i < cve_count; i++)
		if (cve_list[i].makers & maker)
			take(check, examination, patient, &cve_list[i], &kernel,
			     is_reached(&cve_list[i], facts, &reach), &tally);
	add_slight(check, examination, patient, &tally, &kernel);
	add_open(check, examination, patient, &tally, &kernel);
	if (tally.closed_count == 0)
		return;
	finding = finding_add(check, examination, patient, RESULT_PASS,
			      "%s is safe from %zu of the %zu known holes of nested KVM on this kind of processor",
			      name_kernel(arena, facts, &kernel), tally.closed_count, tally.count);
	finding_evidence(examination, finding, &facts->kernel.origin, "%s, judged by the list of " CVE_LIST_DATE,
			 kernel.package[0] ? kernel.package : facts->kernel.release);
}

const struct check check_kvm_holes = {
	.id = "kvm.holes",
	.title = "the kernel has no known hole of nested KVM",
	.severity = SEVERITY_ADVICE,
	.matters =
		"A guest that may run guests itself talks to more of the host's kernel; where that has a hole, taking "
		"over the guest is taking over the host.",
	.after = AFTER_REBOOT,
	.look = look_holes,
};
