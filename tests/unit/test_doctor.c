/*
 * The doctor on whole hosts: tests/fixtures/doctor holds one folder per case, a root folder and what commands print
 * beside it, with what is said of it in tests/golden/doctor. NESTVISOR_GOLDEN=write writes the golden files anew.
 */
#include "base/arena.h"
#include "doctor/checks.h"
#include "doctor/print.h"

#include "facts_check.h"
#include "schema_check.h"

#include <dirent.h>

static const char *const cases[] = {
	"amd",	 "arm",		 "docker-firewalld", "fedora",	    "firmware",	  "inside-l1",
	"intel", "libvirt-fine", "libvirt-modular",  "libvirt-off", "old-kernel", "virtualbox",
	"wsl2"};
enum { CASES = sizeof(cases) / sizeof(*cases) };

static struct bundle *load_case(const char *name)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/fixtures/doctor/%s", name) > 0);
	path = source_path(below);
	return load(path);
}

enum { CHECKS_MAX = 256, RESULTS = RESULT_FAIL + 1 };

/* What each check said in any of these tests: see test_each_result(). */
static bool seen[CHECKS_MAX][RESULTS];

static size_t check_index(const struct check *check)
{
	size_t index = 0;

	while (doctor_checks[index] && doctor_checks[index] != check)
		index++;
	assert_true(index < CHECKS_MAX);
	return index;
}

static void run(struct examination *examination)
{
	examination_run(examination);
	for (size_t i = 0; i < examination->finding_count; i++) {
		const struct finding *finding = &examination->findings[i];

		seen[check_index(finding->check)][finding->result] = true;
		assert_true(finding->why && *finding->why);
		/* What is wrong has something to do about it, and something that it rests on. */
		if (finding->result == RESULT_FAIL || finding->result == RESULT_WARN) {
			if (!finding->remedy_count || !finding->evidence)
				fail_msg("%s: \"%s\" has no %s", finding->check->id, finding->why,
					 finding->evidence ? "remedy" : "evidence");
		}
		if (finding->fix && !finding->check->fixable)
			fail_msg("%s has a fix and says that it has none", finding->check->id);
		assert_true(!finding->fix || finding->fix->action_count > 0);
	}
}

static struct examination *examine(const struct bundle *bundle)
{
	struct examination *examination = examination_new();

	for (size_t i = 0; i < bundle->host_count; i++)
		examination_add(examination, bundle->hosts[i]->name, bundle->hosts[i]);
	examination_relate(examination, bundle);
	run(examination);
	return examination;
}

static void check_case_golden(const char *name, const char *suffix, const char *got)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/golden/doctor/%s.%s", name, suffix) > 0);
	path = source_path(below);
	check_golden(path, got);
}

static void test_golden(void **state)
{
	for (size_t i = 0; i < CASES; i++) {
		struct bundle *bundle = load_case(cases[i]);
		struct examination *examination = examine(bundle);
		cleanup_json json_t *json = examination_json(examination);
		cleanup_free char *document = json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS);
		cleanup_strbuf struct strbuf text = {}, lines = {};

		examination_text(examination, false, &(struct style){.utf8 = true}, &text);
		check_case_golden(cases[i], "txt", text.text);
		strbuf_printf(&lines, "%s\n", document);
		check_case_golden(cases[i], "json", lines.text);
		examination_free(examination);
		bundle_free(bundle);
	}
}

static void test_schema(void **state)
{
	struct bundle *bundle = load_case("docker-firewalld");
	struct examination *examination = examine(bundle);
	cleanup_json json_t *json = examination_json(examination);
	char why[WHY_SIZE] = "";

	json_object_set_new(json, "schema", json_string("nestvisor/doctor/1"));
	if (!schema_fits("doctor", json, why))
		fail_msg("%s", why);
	examination_free(examination);
	bundle_free(bundle);
}

/* The statuses that scripts rely on. */
static void test_status(void **state)
{
	static const struct {
		const char *name;
		int status;
	} wanted[] = {{"intel", 4}, {"fedora", 1}, {"arm", 1}, {"firmware", 1}};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		struct bundle *bundle = load_case(wanted[i].name);
		struct examination *examination = examine(bundle);

		assert_int_equal(examination_status(examination), wanted[i].status);
		examination_free(examination);
		bundle_free(bundle);
	}
}

/* Where nothing was captured nothing passes, and nothing fails. */
static void test_nothing(void **state)
{
	struct facts facts = {.name = "empty"};
	struct examination *examination = examination_new();

	examination_add(examination, "empty", &facts);
	run(examination);
	assert_true(examination->finding_count > 20);
	for (size_t i = 0; i < examination->finding_count; i++)
		if (examination->findings[i].result != RESULT_UNKNOWN)
			fail_msg("%s is %s without a single fact", examination->findings[i].check->id,
				 result_name(examination->findings[i].result));
	assert_int_equal(examination_status(examination), 4);
	examination_free(examination);
}

/* The worst that each check says. */
static void worst(const struct facts *facts, enum result *results)
{
	struct examination *examination = examination_new();
	size_t count = 0;

	examination_add(examination, "host", facts);
	run(examination);
	while (doctor_checks[count])
		results[count++] = RESULT_NONE;
	assert_true(count < CHECKS_MAX);
	for (size_t i = 0; i < examination->finding_count; i++)
		for (size_t j = 0; j < count; j++)
			if (doctor_checks[j] == examination->findings[i].check &&
			    examination->findings[i].result > results[j])
				results[j] = examination->findings[i].result;
	examination_free(examination);
}

/* One kind of fact at a time is taken away: what was found wrong, or was not known, must not pass then. */
static void test_less_never_passes(void **state)
{
	enum { KINDS = 14 };

	for (size_t i = 0; i < CASES; i++) {
		struct bundle *bundle = load_case(cases[i]);
		enum result before[CHECKS_MAX], after[CHECKS_MAX];

		worst(bundle->hosts[0], before);
		for (size_t kind = 0; kind < KINDS; kind++) {
			struct facts less = *bundle->hosts[0];

			switch (kind) {
			case 0:
				less.attribute_count = 0;
				break;
			case 1:
				less.node_count = 0;
				break;
			case 2:
				less.module_count = 0;
				less.modules_known = TRUTH_UNKNOWN;
				break;
			case 3:
				less.processor = (struct processor){0};
				break;
			case 4:
				less.memory = (struct memory){0};
				break;
			case 5:
				less.kernel = (struct kernel){0};
				break;
			case 6:
				less.caller = (struct caller){0};
				break;
			case 7:
				less.ruleset = (struct ruleset){0};
				break;
			case 8:
				less.link_count = 0;
				less.links_known = TRUTH_UNKNOWN;
				break;
			case 9:
				less.listener_count = 0;
				less.listeners_known = TRUTH_UNKNOWN;
				break;
			case 10:
				less.sysctl_count = 0;
				less.sysctls_known = TRUTH_UNKNOWN;
				break;
			case 11:
				less.group_count = 0;
				less.groups_known = TRUTH_UNKNOWN;
				break;
			case 12:
				less.document_count = 0;
				break;
			default:
				less.log_line_count = 0;
				less.logs_known = TRUTH_UNKNOWN;
				break;
			}
			worst(&less, after);
			for (size_t j = 0; doctor_checks[j]; j++)
				if (after[j] == RESULT_PASS && before[j] > RESULT_PASS)
					fail_msg("%s: %s passes once facts of kind %zu are gone", cases[i],
						 doctor_checks[j]->id, kind);
		}
		bundle_free(bundle);
	}
}

/* A host of a case with some of its facts changed. */
struct changed {
	struct bundle *bundle;
	struct facts facts;
	struct examination *examination;
	struct patient *patient;
};

static struct changed change(const char *name)
{
	struct changed changed = {.bundle = load_case(name), .examination = examination_new()};

	changed.facts = *changed.bundle->hosts[0];
	return changed;
}

static void add_changed(struct changed *changed)
{
	changed->patient = examination_add(changed->examination, "host", &changed->facts);
}

/* The first finding of a check, which must be there. */
static const struct finding *found(struct changed *changed, const struct check *check)
{
	run(changed->examination);
	for (size_t i = 0; i < changed->examination->finding_count; i++)
		if (changed->examination->findings[i].check == check)
			return &changed->examination->findings[i];
	fail_msg("%s says nothing", check->id);
	return NULL;
}

static void changed_clear(struct changed *changed)
{
	examination_free(changed->examination);
	bundle_free(changed->bundle);
}

static void set_attribute(struct changed *changed, const char *path, const char *value)
{
	struct attribute *entry = (struct attribute *)(uintptr_t)facts_attribute_entry(&changed->facts, path);

	assert_non_null(entry);
	entry->value = value;
}

static void drop_flag(struct changed *changed, const char *flag)
{
	struct processor *processor = &changed->facts.processor;

	for (size_t i = 0; i < processor->flag_count; i++)
		if (strcmp(processor->flags[i], flag) == 0)
			processor->flags[i] = "lm";
}

static void test_probe(void **state)
{
	struct changed works = change("intel"), fails = change("intel"), without = change("inside-l1");

	add_changed(&works);
	works.patient->probe = PROBE_WORKS;
	assert_int_equal(found(&works, &check_kvm_boot)->result, RESULT_PASS);
	assert_int_equal(examination_status(works.examination), 0);
	assert_string_equal(examination_summary(works.examination),
			    "host can run guests under KVM and guests inside guests.");

	add_changed(&fails);
	fails.patient->probe = PROBE_FAILS;
	fails.patient->probe_why = "a guest under KVM does not print a word within 5 s";
	assert_int_equal(found(&fails, &check_kvm_boot)->result, RESULT_FAIL);
	assert_non_null(strstr(examination_summary(fails.examination), "does not print a word"));
	assert_non_null(strstr(examination_summary(fails.examination), "emulated (TCG)"));

	/* A KVM that needs no extension: guests run, but none inside guests. */
	drop_flag(&without, "svm");
	drop_flag(&without, "npt");
	add_changed(&without);
	without.patient->probe = PROBE_WORKS;
	assert_int_equal(found(&without, &check_cpu_virtualization)->result, RESULT_WARN);
	assert_non_null(strstr(examination_summary(without.examination), "but none inside guests"));
	changed_clear(&works);
	changed_clear(&fails);
	changed_clear(&without);
}

/* Who is to hand the extension down, by what the machine calls itself. */
static void test_outer_remedies(void **state)
{
	static const struct {
		const char *maker, *remedy;
	} hosts[] = {{"VMware, Inc.", "vhv.enable"},
		     {"innotek GmbH", "--nested-hw-virt on"},
		     {"Microsoft Corporation", "ExposeVirtualizationExtensions"},
		     {"QEMU", "host-passthrough"},
		     {"Amazon EC2", "nested virtualization"}};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		struct changed changed = change("inside-l1");
		const struct finding *finding;

		drop_flag(&changed, "svm");
		set_attribute(&changed, "/sys/class/dmi/id/sys_vendor", hosts[i].maker);
		add_changed(&changed);
		finding = found(&changed, &check_cpu_virtualization);
		assert_int_equal(finding->result, RESULT_FAIL);
		if (!strstr(finding->remedy[0], hosts[i].remedy))
			fail_msg("on %s: %s", hosts[i].maker, finding->remedy[0]);
		changed_clear(&changed);
	}
}

/* AMD's firmware lock shows itself in flags that belong to svm and stay. */
static void test_firmware_of_amd(void **state)
{
	struct changed changed = change("amd");

	drop_flag(&changed, "svm");
	add_changed(&changed);
	assert_int_equal(found(&changed, &check_cpu_firmware)->result, RESULT_FAIL);
	for (size_t i = 0; i < changed.examination->finding_count; i++)
		assert_true(changed.examination->findings[i].check != &check_cpu_virtualization);
	changed_clear(&changed);
}

static void test_module_not_loaded(void **state)
{
	struct changed changed = change("intel");
	const struct finding *finding;
	size_t kept = 0;

	for (size_t i = 0; i < changed.facts.module_count; i++)
		if (strcmp(changed.facts.modules[i].name, "kvm_intel") != 0 &&
		    strcmp(changed.facts.modules[i].name, "tun") != 0)
			changed.facts.modules[kept++] = changed.facts.modules[i];
	changed.facts.module_count = kept;
	for (size_t i = 0; i < changed.facts.node_count; i++)
		if (strcmp(changed.facts.nodes[i].path, "/dev/net/tun") == 0)
			changed.facts.nodes[i].exists = TRUTH_NO;
	changed.facts.attribute_count = 0;
	add_changed(&changed);
	finding = found(&changed, &check_kvm_module);
	assert_int_equal(finding->result, RESULT_FAIL);
	assert_non_null(finding->fix);
	assert_int_equal(found(&changed, &check_net_tun)->result, RESULT_FAIL);
	changed_clear(&changed);
}

/* A kernel without loadable modules: nothing is offered that would load one, and none is loaded. */
static void test_no_modules(void **state)
{
	struct changed changed = change("intel");
	const struct finding *finding;
	struct node *nodes;
	size_t at = 0;

	for (size_t i = 0; i < changed.facts.node_count; i++) {
		struct node *node = &changed.facts.nodes[i];

		if (strcmp(node->path, "/dev/net/tun") == 0)
			node->exists = TRUTH_NO;
	}
	changed.facts.module_count = 0;
	changed.facts.attribute_count = 0;
	nodes = arena_alloc(changed.bundle->arena, (changed.facts.node_count + 1) * sizeof(*nodes));
	for (size_t i = 0; i < changed.facts.node_count; i++) { /* sorted */
		if (at == i && strcmp(changed.facts.nodes[i].path, "/proc/modules") < 0)
			at++;
		nodes[i < at ? i : i + 1] = changed.facts.nodes[i];
	}
	nodes[at] = (struct node){.path = "/proc/modules", .exists = TRUTH_NO};
	changed.facts.nodes = nodes;
	changed.facts.node_count++;
	add_changed(&changed);
	finding = found(&changed, &check_net_tun);
	assert_int_equal(finding->result, RESULT_FAIL);
	assert_null(finding->fix);
	assert_non_null(strstr(finding->remedy[0], "built without loadable modules"));
	assert_int_equal(found(&changed, &check_conflict_hypervisor)->result, RESULT_PASS);
	assert_null(found(&changed, &check_kvm_module)->fix);
	changed_clear(&changed);
}

static void keep_attributes(struct changed *changed, const char *end)
{
	size_t kept = 0;

	for (size_t i = 0; i < changed->facts.attribute_count; i++) {
		size_t length = strlen(changed->facts.attributes[i].path);

		if (length >= strlen(end) && strcmp(changed->facts.attributes[i].path + length - strlen(end), end) == 0)
			changed->facts.attributes[kept++] = changed->facts.attributes[i];
	}
	changed->facts.attribute_count = kept;
}

static void test_partly_captured(void **state)
{
	struct changed modules = change("intel"), groups = change("intel");

	modules.facts.module_count = modules.facts.attribute_count = 0;
	modules.facts.modules_known = TRUTH_UNKNOWN;
	add_changed(&modules);
	assert_int_equal(found(&modules, &check_kvm_module)->result, RESULT_UNKNOWN);
	keep_attributes(&groups, "/type");
	add_changed(&groups);
	assert_int_equal(found(&groups, &check_device_groups)->result, RESULT_UNKNOWN);
	changed_clear(&modules);
	changed_clear(&groups);
}

/* libvirt's XML as it may come from anybody: broken, without a name, a bomb of entities. */
static void test_hostile_definitions(void **state)
{
	static const char *const texts[] = {
		"",
		"<domain",
		"<domain><name>x</name>",
		"not XML",
		"<domain/>",
		"<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
		"<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>]><domain><name>&c;</name></domain>",
		"<!DOCTYPE d SYSTEM 'file:///etc/passwd'><domain type='kvm'><cpu mode='host-passthrough'/></domain>"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct changed changed = change("intel");
		struct document document = {.kind = "domain", .text = texts[i]};

		changed.facts.documents = &document;
		changed.facts.document_count = 1;
		add_changed(&changed);
		run(changed.examination);
		for (size_t j = 0; j < changed.examination->finding_count; j++)
			if (changed.examination->findings[j].check == &check_guest_cpu && i < 4)
				assert_int_equal(changed.examination->findings[j].result, RESULT_UNKNOWN);
		changed_clear(&changed);
	}
}

static void test_nesting_used(void **state)
{
	struct changed used = change("intel"), idle = change("intel");

	add_changed(&used);
	used.patient->nests = TRUTH_YES;
	used.patient->nests_why = "the lab first";
	assert_int_equal(found(&used, &check_kvm_nested_used)->result, RESULT_PASS);
	add_changed(&idle);
	idle.patient->nests = TRUTH_NO;
	assert_int_equal(found(&idle, &check_kvm_nested_used)->result, RESULT_WARN);
	changed_clear(&used);
	changed_clear(&idle);
}

/* What is written where: the last file by name counts, and what the command line says against it is told. */
static void test_nesting_kept(void **state)
{
	struct changed off = change("intel"), young = change("old-kernel");
	const struct finding *finding;

	set_attribute(&off, "/etc/modprobe.d/kvm.conf", "options kvm-intel nested=0 ept=1");
	add_changed(&off);
	finding = found(&off, &check_kvm_nested_persistent);
	assert_int_equal(finding->result, RESULT_WARN);
	assert_non_null(finding->fix);

	/* On by hand, on a kernel that has it off by default. */
	set_attribute(&young, "/sys/module/kvm_intel/parameters/nested", "Y");
	add_changed(&young);
	assert_int_equal(found(&young, &check_kvm_nested_persistent)->result, RESULT_WARN);
	changed_clear(&off);
	changed_clear(&young);
}

/* Beside nesting AVIC is of no use before 5.19, and of use from then on. */
static void test_avic(void **state)
{
	static const struct {
		const char *release, *avic;
		enum result result;
	} rows[] = {{"5.15.0-1-amd64", "N", RESULT_PASS},
		    {"5.15.0-1-amd64", "Y", RESULT_WARN},
		    {"6.1.0-1-amd64", "Y", RESULT_PASS},
		    {"6.1.0-1-amd64", "N", RESULT_WARN},
		    {NULL, "Y", RESULT_UNKNOWN}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct changed changed = change("amd");

		changed.facts.kernel.release = rows[i].release;
		set_attribute(&changed, "/sys/module/kvm_amd/parameters/avic", rows[i].avic);
		add_changed(&changed);
		assert_int_equal(found(&changed, &check_cpu_avic)->result, rows[i].result);
		changed_clear(&changed);
	}
}

/*
 * Every check gave each of its results in one of these tests: it passed, it found something wrong, and it did not know.
 * Left out are those with tests of their own: logs (test_doctor_logs), WSL (test_wsl), labs (test_doctor_lab).
 */
static void test_each_result(void **state)
{
	static const char *const elsewhere[] = {"logs.", "wsl.", "cpu.layers", "cpu.match", "memory.layers", "net.mtu",
					 "lab."};
	cleanup_strbuf struct strbuf missing = {};

	for (size_t i = 0; doctor_checks[i]; i++) {
		const char *id = doctor_checks[i]->id;
		bool tested_here = true;

		for (size_t j = 0; j < sizeof(elsewhere) / sizeof(*elsewhere); j++)
			tested_here = tested_here && strncmp(id, elsewhere[j], strlen(elsewhere[j])) != 0;
		if (!tested_here)
			continue;
		if (!seen[i][RESULT_PASS])
			strbuf_printf(&missing, "%s never passed\n", id);
		if (!seen[i][RESULT_WARN] && !seen[i][RESULT_FAIL])
			strbuf_printf(&missing, "%s never found anything wrong\n", id);
		if (!seen[i][RESULT_UNKNOWN])
			strbuf_printf(&missing, "%s was never unknown\n", id);
	}
	if (missing.length)
		fail_msg("%s", missing.text);
}

/* Every check has its place in the manual, and no two checks the same id. */
static void test_manual(void **state)
{
	cleanup_free char *path = source_path("docs/doctor.md"), *manual = NULL;
	cleanup_arena struct arena *arena = arena_new();
	size_t length;

	manual = read_file(path, &length);
	for (size_t i = 0; doctor_checks[i]; i++) {
		const char *place = strchr(check_manual(arena, doctor_checks[i]), '#') + 1;

		if (!strstr(manual, arena_printf(arena, "<a id=\"%s\"></a>", place)))
			fail_msg("docs/doctor.md has no place %s", place);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(doctor_checks[i]->id, doctor_checks[j]->id);
		assert_true(strlen(doctor_checks[i]->title) > 0 && strlen(doctor_checks[i]->matters) > 0);
		assert_true(doctor_checks[i]->matters[strlen(doctor_checks[i]->matters) - 1] == '.');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_less_never_passes),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_outer_remedies),
		cmocka_unit_test(test_firmware_of_amd),
		cmocka_unit_test(test_module_not_loaded),
		cmocka_unit_test(test_no_modules),
		cmocka_unit_test(test_partly_captured),
		cmocka_unit_test(test_hostile_definitions),
		cmocka_unit_test(test_nesting_used),
		cmocka_unit_test(test_nesting_kept),
		cmocka_unit_test(test_avic),
		cmocka_unit_test(test_each_result),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
