/* The known holes of nested KVM: versions, the list itself, and what is said of a kernel. */
#include "base/cleanup.h"
#include "doctor/checks.h"
#include "doctor/cves.h"
#include "doctor/doctor.h"
#include "doctor/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { FIXED_SIZE = 64 };

static int sign(int value)
{
	return (value > 0) - (value < 0);
}

static void test_debian_versions(void **state)
{
	static const struct {
		const char *a, *b;
		int order;
	} cases[] = {
		{"6.1.164-1", "6.1.164-1", 0},
		{"6.1.119-1", "6.1.164-1", -1},
		{"6.1.20-1", "6.1.119-1", -1}, /* numbers, not letters */
		{"6.1.164-1~deb11u1", "6.1.164-1", -1},
		{"6.1.164-1~deb11u1", "6.1.163-9", 1},
		{"6.1.164-1~bpo12+1", "6.1.164-1~deb12u1", -1},
		{"6.12.43-1+deb13u1", "6.12.43-1", 1},
		{"7.2~rc7-1~exp1", "7.2-1", -1},
		{"7.2~rc7-1", "7.2~rc10-1", -1},
		{"5.10.46-5", "5.10.46-4", 1},
		{"5.10.46-5", "5.10.46-10", -1},
		{"1:1.0-1", "2.0-1", 1},
		{"0:2.0-1", "2.0-1", 0},
		{"5.15.0-122.132", "5.15.0-94.104", 1},
		{"5.15.0-122.132", "5.15.0-122.132~20.04.1", 1},
		{"1.0", "1.0-1", -1},
		{"1.0-0", "1.0", 0},
		{"1.0a", "1.0+", -1}, /* letters before all else */
		{"1.0~~", "1.0~", -1},
		{"1.007", "1.7", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int forth = sign(debian_version_compare(cases[i].a, cases[i].b)),
		    back = sign(debian_version_compare(cases[i].b, cases[i].a));

		if (forth != cases[i].order || back != -cases[i].order)
			fail_msg("%s and %s: %d, %d", cases[i].a, cases[i].b, forth, back);
	}
}

static void test_kernel_versions(void **state)
{
	static const char *const ascending[] = {
		"4.19.281", "5.15.0-122-generic", "5.15.1", "6.6.148-rc1",   "6.6.148", "6.12.9", "6.12.101",
		"7.2-rc3",  "7.2.0-rc10",	  "7.2.0",  "7.2.1-arch1-1", "7.10.0"};
	struct kernel_version a, b;

	for (size_t i = 0; i < sizeof(ascending) / sizeof(*ascending); i++)
		for (size_t j = 0; j < sizeof(ascending) / sizeof(*ascending); j++) {
			assert_true(kernel_version_parse(ascending[i], &a));
			assert_true(kernel_version_parse(ascending[j], &b));
			if (sign(kernel_version_compare(&a, &b)) != (i > j) - (i < j))
				fail_msg("%s and %s", ascending[i], ascending[j]);
		}
	assert_true(kernel_version_parse("7.2~rc7-1~exp1", &a));
	assert_int_equal(a.candidate, 7);
	assert_true(kernel_version_parse("6.6.87.2-microsoft-standard-WSL2", &a));
	assert_int_equal(a.patch, 87);
	assert_false(kernel_version_parse("", &a));
	assert_false(kernel_version_parse("six.one", &a));
	assert_false(kernel_version_parse("6", &a));
	assert_false(kernel_version_parse("6.", &a));
	assert_false(kernel_version_parse("99999999999999999999.1", &a));
}

static struct kernel_identity identify(const char *release, const char *version, const char *distribution)
{
	struct facts facts = {.kernel = {.release = release, .version = version}, .distribution = {.id = distribution}};
	struct kernel_identity identity;
	const char *missing;

	if (!kernel_identify(&facts, &identity, &missing))
		fail_msg("%s: %s", release, missing);
	return identity;
}

static void test_makers(void **state)
{
	static const struct {
		const char *release, *version, *distribution;
		enum kernel_maker maker;
		const char *name, *package;
	} cases[] = {
		{"6.1.0-28-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)", "debian", KERNEL_DEBIAN,
		 "Debian", "6.1.119-1"},
		{"6.1.0-0.deb11.28-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1~deb11u1 (2024-12-01)",
		 "debian", KERNEL_DEBIAN, "Debian", "6.1.119-1"},
		{"6.12.117+deb13-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-11-14)", "debian",
		 KERNEL_DEBIAN, "Debian", "6.12.117-1"},
		{"6.12.117+deb13-amd64", NULL, "debian", KERNEL_STABLE, "Debian", ""},
		{"6.6.51+rpt-rpi-v8", "#1 SMP PREEMPT Debian 1:6.6.51-1+rpt3 (2024-10-08)", "debian", KERNEL_STABLE,
		 "Debian", ""},
		{"5.15.0-122-generic", "#132-Ubuntu SMP Thu Aug 29 13:45:52 UTC 2024", "ubuntu", KERNEL_FROZEN,
		 "Ubuntu", ""},
		{"5.14.0-503.11.1.el9_5.x86_64", "#1 SMP PREEMPT_DYNAMIC Tue Nov 12 09:26:13 EST 2024", "rocky",
		 KERNEL_REBASED, "Red Hat", ""},
		{"6.9.7-1.el9.elrepo.x86_64", "#1 SMP PREEMPT_DYNAMIC Thu Jun 27", "rocky", KERNEL_STABLE, "ELRepo",
		 ""},
		{"6.4.0-150600.23.47-default", "#1 SMP PREEMPT_DYNAMIC Tue Apr 15", "opensuse-leap", KERNEL_REBASED,
		 "SUSE", ""},
		{"6.14.5-1-default", "#1 SMP PREEMPT_DYNAMIC Mon May 5", "opensuse-tumbleweed", KERNEL_STABLE,
		 "openSUSE", ""},
		{"6.8.12-4-pve", "#1 SMP PREEMPT_DYNAMIC PMX 6.8.12-4 (2024-11-06T15:04Z)", "debian", KERNEL_FROZEN,
		 "Proxmox", ""},
		{"6.14.5-300.fc42.x86_64", "#1 SMP PREEMPT_DYNAMIC Fri May 2", "fedora", KERNEL_STABLE, "Fedora", ""},
		{"6.14.4-arch1-2", "#1 SMP PREEMPT_DYNAMIC Tue, 29 Apr 2025", "arch", KERNEL_STABLE, "Arch", ""},
		{"6.12.13-0-lts", "#1-Alpine SMP PREEMPT_DYNAMIC 2025-02-11", "alpine", KERNEL_STABLE, "Alpine", ""},
		{"6.6.87.2-microsoft-standard-WSL2", "#1 SMP PREEMPT_DYNAMIC Thu Jun 5", "ubuntu", KERNEL_STABLE,
		 "Microsoft", ""},
		{"6.18.44-fc-v669", "#1 SMP PREEMPT_DYNAMIC @0", "debian", KERNEL_OWN, NULL, ""},
		{"6.6.148-rc1", "#1 SMP PREEMPT_DYNAMIC Tue Aug 4", "gentoo", KERNEL_OWN, NULL, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct kernel_identity identity = identify(cases[i].release, cases[i].version, cases[i].distribution);

		if (identity.maker != cases[i].maker || strcmp(identity.package, cases[i].package) != 0 ||
		    strcmp(identity.maker_name ? identity.maker_name : "", cases[i].name ? cases[i].name : "") != 0)
			fail_msg("%s: %d %s \"%s\"", cases[i].release, (int)identity.maker,
				 identity.maker_name ? identity.maker_name : "nobody", identity.package);
	}
}

static void test_debian_by_name_alone(void **state)
{
	struct package package = {.name = "linux-image-6.1.0-28-amd64", .version = "6.1.119-1"};
	struct facts facts = {.kernel = {.release = "6.1.0-28-amd64"}, .distribution = {.id = "debian"}};
	struct kernel_identity identity;
	const char *missing = NULL;

	assert_false(kernel_identify(&facts, &identity, &missing)); /* 6.1.0 is no release, only a name */
	assert_non_null(strstr(missing, "/proc/version"));
	facts.packages = &package;
	facts.package_count = 1;
	assert_true(kernel_identify(&facts, &identity, &missing));
	assert_true(identity.installed_only);
	assert_string_equal(identity.package, "6.1.119-1");
}

static const struct cve *find(const char *id)
{
	for (size_t i = 0; i < cve_count; i++)
		if (strcmp(cve_list[i].id, id) == 0)
			return &cve_list[i];
	fail_msg("%s is not in the list", id);
	return NULL;
}

static enum cve_state judge(const char *id, const char *release, const char *version, const char *distribution,
			    char *ret_fixed)
{
	struct kernel_identity identity = identify(release, version, distribution);

	return cve_judge(find(id), &identity, ret_fixed, FIXED_SIZE);
}

/* A release just below another: 6.1.176 of 6.1.177, 7.2-rc4 of 7.2-rc5; false where there is none in its branch. */
static bool just_below(const char *release, char ret[FIXED_SIZE])
{
	struct kernel_version version;

	assert_true(kernel_version_parse(release, &version));
	if (version.candidate > 1)
		snprintf(ret, FIXED_SIZE, "%u.%u-rc%u", version.major, version.minor, version.candidate - 1);
	else if (version.patch > 0)
		snprintf(ret, FIXED_SIZE, "%u.%u.%u", version.major, version.minor, version.patch - 1);
	else
		return false;
	return true;
}

/* Every entry, at every release its list names and at the one before it. */
static void test_each_entry(void **state)
{
	for (size_t i = 0; i < cve_count; i++) {
		const struct cve *cve = &cve_list[i];
		char list[256], below[FIXED_SIZE], fixed[FIXED_SIZE], *save, *word;
		size_t vulnerable = 0;

		assert_true(strncmp(cve->id, "CVE-", 4) == 0 && cve->makers && cve->what && cve->fixed);
		assert_true(cve->verified == CVE_UNVERIFIED || (cve->dated && cve->harms != CVE_HARMS_UNKNOWN));
		assert_true(strlen(cve->fixed) < sizeof(list));
		strcpy(list, cve->fixed);
		for (word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
			if (judge(cve->id, word, NULL, NULL, fixed) != CVE_FIXED || strcmp(fixed, word) != 0)
				fail_msg("%s: %s is not taken as fixed", cve->id, word);
			if (!just_below(word, below))
				continue;
			if (judge(cve->id, below, NULL, NULL, fixed) != CVE_VULNERABLE || strcmp(fixed, word) != 0)
				fail_msg("%s: %s is not taken as vulnerable", cve->id, below);
			vulnerable++;
			if (judge(cve->id, below, NULL, "arch", fixed) != CVE_UNKNOWN)
				fail_msg("%s: what Arch adds to %s is taken as known", cve->id, below);
		}
		assert_true(vulnerable > 0);
		if (cve->introduced)
			assert_int_equal(judge(cve->id, "2.6.10", NULL, NULL, fixed), CVE_NOT_AFFECTED);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(cve->id, cve_list[j].id);
	}
	assert_true(cve_count >= 15);
}

static void test_branches(void **state)
{
	char fixed[FIXED_SIZE];

	/* no release of 5.10 has the fix, and the list covers 5.10.262 */
	assert_int_equal(judge("CVE-2026-53359", "5.10.262", NULL, NULL, fixed), CVE_VULNERABLE);
	assert_string_equal(fixed, "");
	/* a younger one may have it */
	assert_int_equal(judge("CVE-2026-53359", "5.10.300", NULL, NULL, fixed), CVE_UNKNOWN);
	/* a branch that ended never gets it */
	assert_int_equal(judge("CVE-2026-53359", "6.5.13", NULL, NULL, fixed), CVE_VULNERABLE);
	/* a candidate of the release that has it: the record does not say from which one on */
	assert_int_equal(judge("CVE-2026-53359", "7.2-rc2", NULL, NULL, fixed), CVE_UNKNOWN);
	assert_int_equal(judge("CVE-2026-64561", "7.2-rc4", NULL, NULL, fixed), CVE_VULNERABLE);
	assert_int_equal(judge("CVE-2026-64561", "7.2-rc5", NULL, NULL, fixed), CVE_FIXED);
	/* branches after the mainline's fix */
	assert_int_equal(judge("CVE-2026-53359", "7.3.0", NULL, NULL, fixed), CVE_FIXED);
	assert_int_equal(judge("CVE-2026-74516", "5.15.100", NULL, NULL, fixed), CVE_NOT_AFFECTED);
	/* no mainline release is known to have it */
	assert_int_equal(judge("CVE-2026-98863", "7.3.4", NULL, NULL, fixed), CVE_UNKNOWN);
}

static void test_distributions(void **state)
{
	char fixed[FIXED_SIZE];

	/* Debian took the fix before the release had it */
	assert_int_equal(
		judge("CVE-2021-3653", "5.10.0-8-amd64", "#1 SMP Debian 5.10.46-4 (2021-08-03)", "debian", fixed),
		CVE_VULNERABLE);
	assert_string_equal(fixed, "5.10.46-5");
	assert_int_equal(
		judge("CVE-2021-3653", "5.10.0-8-amd64", "#1 SMP Debian 5.10.46-5 (2021-09-23)", "debian", fixed),
		CVE_FIXED);
	/* a rebuild for an older suite has what its original has */
	assert_int_equal(judge("CVE-2026-53359", "6.1.0-0.deb11.51-amd64",
			       "#1 SMP PREEMPT_DYNAMIC Debian 6.1.177-1~deb11u1 (2026-07-10)", "debian", fixed),
			 CVE_FIXED);
	assert_int_equal(judge("CVE-2026-53359", "6.1.0-28-amd64",
			       "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)", "debian", fixed),
			 CVE_VULNERABLE);
	assert_string_equal(fixed, "6.1.177");
	/* Debian 11: no fix up to the changelog that was read; after it nobody knows */
	assert_int_equal(
		judge("CVE-2026-53359", "5.10.0-46-amd64", "#1 SMP Debian 5.10.262-1 (2026-11-01)", "debian", fixed),
		CVE_VULNERABLE);
	assert_int_equal(
		judge("CVE-2026-53359", "5.10.0-47-amd64", "#1 SMP Debian 5.10.262-2 (2026-12-01)", "debian", fixed),
		CVE_UNKNOWN);
	/* Ubuntu mends without changing 5.15.0 */
	assert_int_equal(judge("CVE-2026-53359", "5.15.0-122-generic", "#132-Ubuntu SMP Thu Aug 29", "ubuntu", fixed),
			 CVE_UNKNOWN);
	assert_int_equal(judge("CVE-2026-74516", "5.15.0-122-generic", "#132-Ubuntu SMP Thu Aug 29", "ubuntu", fixed),
			 CVE_NOT_AFFECTED);
	assert_int_equal(judge("CVE-2021-3653", "5.15.0-122-generic", "#132-Ubuntu SMP Thu Aug 29", "ubuntu", fixed),
			 CVE_FIXED);
	/* RHEL may have a hole before the release that brought it */
	assert_int_equal(judge("CVE-2026-74516", "5.14.0-503.11.1.el9_5.x86_64", "#1 SMP", "rhel", fixed), CVE_UNKNOWN);
	assert_int_equal(judge("CVE-2019-7221", "5.14.0-503.11.1.el9_5.x86_64", "#1 SMP", "rhel", fixed), CVE_FIXED);
}

/* A host with everything the check asks for. */
struct stage {
	struct attribute attributes[3];
	const char *flags[1];
	struct facts facts;
	struct examination *examination;
};

static void set_stage(struct stage *stage, bool amd, const char *release, const char *version, const char *nested,
		      const char *paging)
{
	size_t n = 0;

	*stage = (struct stage){0};
	stage->flags[0] = amd ? "svm" : "vmx";
	if (amd)
		stage->attributes[n++] =
			(struct attribute){.path = "/sys/module/kvm_amd/parameters/avic", .value = "N"};
	else
		stage->attributes[n++] =
			(struct attribute){.path = "/sys/module/kvm_intel/parameters/ept", .value = paging};
	if (nested)
		stage->attributes[n++] = (struct attribute){.path = amd ? "/sys/module/kvm_amd/parameters/nested"
									: "/sys/module/kvm_intel/parameters/nested",
							    .value = nested};
	if (amd)
		stage->attributes[n++] =
			(struct attribute){.path = "/sys/module/kvm_amd/parameters/npt", .value = paging};
	stage->facts = (struct facts){
		.system = SYSTEM_LINUX,
		.kernel = {.release = release, .version = version, .machine = "x86_64"},
		.processor = {.vendor = amd ? "AuthenticAMD" : "GenuineIntel",
			      .flags = stage->flags,
			      .flag_count = 1,
			      .flags_known = TRUTH_YES},
		.attributes = stage->attributes,
		.attribute_count = n,
	};
	stage->examination = examination_new();
	check_kvm_holes.look(&check_kvm_holes, stage->examination,
			     examination_add(stage->examination, "L0", &stage->facts));
}

static size_t count_results(const struct stage *stage, enum result result)
{
	size_t count = 0;

	for (size_t i = 0; i < stage->examination->finding_count; i++)
		count += stage->examination->findings[i].result == result;
	return count;
}

static const struct finding *find_finding(const struct stage *stage, enum result result, const char *text)
{
	for (size_t i = 0; i < stage->examination->finding_count; i++) {
		const struct finding *finding = &stage->examination->findings[i];

		if (finding->result == result && strstr(finding->why, text))
			return finding;
	}
	fail_msg("no finding of kind %d says \"%s\"", (int)result, text);
	return NULL;
}

static bool has_remedy(const struct finding *finding, const char *text)
{
	for (size_t i = 0; i < finding->remedy_count; i++)
		if (strstr(finding->remedy[i], text))
			return true;
	return false;
}

static void test_check_vulnerable(void **state)
{
	const struct finding *finding;
	struct stage stage;

	set_stage(&stage, false, "6.1.0-28-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)", "Y", "Y");
	finding = find_finding(&stage, RESULT_FAIL, "CVE-2026-53359 (Januscape)");
	assert_true(has_remedy(finding, "linux-image-amd64    # 6.1.177 or newer"));
	assert_true(has_remedy(finding, "options kvm_intel nested=0"));
	assert_non_null(strstr(finding->evidence, "6.1.119-1 is older than 6.1.177"));
	assert_int_equal(count_results(&stage, RESULT_WARN), 1);
	find_finding(&stage, RESULT_WARN, "CVE-2025-40026");
	find_finding(&stage, RESULT_PASS, "safe from");
	for (size_t i = 0; i < stage.examination->finding_count;
	     i++) { /* never of what was not verified, nor of AMD's */
		assert_false(stage.examination->findings[i].result == RESULT_FAIL &&
			     strstr(stage.examination->findings[i].why, "CVE-2026-99176"));
		assert_null(strstr(stage.examination->findings[i].why, "CVE-2026-74516"));
	}
	find_finding(&stage, RESULT_UNKNOWN, "CVE-2026-99176");
	examination_free(stage.examination);
}

static void test_check_mended(void **state)
{
	struct stage stage;

	set_stage(&stage, false, "6.1.0-56-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)", "1", "Y");
	assert_int_equal(count_results(&stage, RESULT_FAIL), 1);
	find_finding(&stage, RESULT_FAIL, "CVE-2026-89929"); /* 6.1 has no fix of this one yet */
	find_finding(&stage, RESULT_PASS, "safe from");
	examination_free(stage.examination);

	set_stage(&stage, true, "7.3.4", "#1 SMP", "1", "Y");
	assert_int_equal(count_results(&stage, RESULT_FAIL), 0);
	assert_int_equal(count_results(&stage, RESULT_WARN), 0);
	assert_int_equal(count_results(&stage, RESULT_PASS), 1);
	examination_free(stage.examination);
}

static void test_check_not_reached(void **state)
{
	const struct finding *finding;
	struct stage stage;

	set_stage(&stage, false, "6.1.0-28-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)", "N", "Y");
	assert_int_equal(stage.examination->finding_count, 1);
	finding = find_finding(&stage, RESULT_PASS, "nested is off");
	assert_non_null(finding->evidence);
	examination_free(stage.examination);

	/* without EPT every guest is shadowed: the shadow MMU's holes are reached all the same */
	set_stage(&stage, false, "6.1.0-28-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)", "N", "N");
	finding = find_finding(&stage, RESULT_FAIL, "CVE-2026-53359");
	assert_false(has_remedy(finding, "nested=0"));
	for (size_t i = 0; i < stage.examination->finding_count; i++)
		assert_null(strstr(stage.examination->findings[i].why, "CVE-2026-64562"));
	examination_free(stage.examination);

	/* AVIC is off on this stage */
	set_stage(&stage, true, "6.6.100", "#1 SMP", "1", "Y");
	for (size_t i = 0; i < stage.examination->finding_count; i++)
		assert_null(strstr(stage.examination->findings[i].why, "CVE-2026-74516"));
	examination_free(stage.examination);
}

static void test_check_unknown(void **state)
{
	const struct finding *finding;
	struct stage stage;

	set_stage(&stage, false, "5.15.0-122-generic", "#132-Ubuntu SMP Thu Aug 29 13:45:52 UTC 2024", "Y", "Y");
	assert_int_equal(count_results(&stage, RESULT_FAIL), 0);
	finding = find_finding(&stage, RESULT_UNKNOWN, "Ubuntu's kernel 5.15.0-122-generic");
	assert_true(has_remedy(finding, "https://ubuntu.com/security/CVE-2026-"));
	assert_non_null(strstr(finding->evidence, "CVE-2026-53359"));
	examination_free(stage.examination);

	/* whether nested is on was not captured */
	set_stage(&stage, false, "6.1.0-28-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)", NULL, "Y");
	assert_int_equal(count_results(&stage, RESULT_FAIL), 0);
	assert_int_equal(count_results(&stage, RESULT_UNKNOWN), 1);
	examination_free(stage.examination);

	/* Debian's release without its version */
	set_stage(&stage, false, "6.1.0-28-amd64", NULL, "Y", "Y");
	assert_int_equal(stage.examination->finding_count, 1);
	find_finding(&stage, RESULT_UNKNOWN, "/proc/version");
	examination_free(stage.examination);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_debian_versions), cmocka_unit_test(test_kernel_versions),
		cmocka_unit_test(test_makers),		cmocka_unit_test(test_debian_by_name_alone),
		cmocka_unit_test(test_each_entry),	cmocka_unit_test(test_branches),
		cmocka_unit_test(test_distributions),	cmocka_unit_test(test_check_vulnerable),
		cmocka_unit_test(test_check_mended),	cmocka_unit_test(test_check_not_reached),
		cmocka_unit_test(test_check_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
