/*
 * The doctor on labs: what guests will see is derived from the host of a fixture and a lab file, and what must fit
 * together between the layers is checked on it.
 */
#include "base/arena.h"
#include "doctor/checks.h"
#include "doctor/derive.h"

#include "facts_check.h"

#include "config_load.h"

static struct bundle *load_case(const char *name)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(asprintf(&below, "tests/fixtures/doctor/%s", name) > 0);
	path = source_path(below);
	return load(path);
}

/* A lab on the host of a fixture, none of it running. */
struct stage {
	struct bundle *bundle;
	struct lab *lab;
	struct examination *examination;
};

static const char three_layers[] =
	"lab: deep\n"
	"networks: {lab: {subnet: 10.1.0.0/24}}\n"
	"guests:\n"
	"  hv1:\n"
	"    {cpus: 2, memory: 4G, image: micro, nics: [{network: lab, address: 10.1.0.2}],\n"
	"     networks: {inner: {subnet: 10.2.0.0/24}},\n"
	"     guests: {hv2: {cpus: 2, memory: 1G, image: micro, nics: [{network: inner, address: 10.2.0.2}],\n"
	"       networks: {core: {subnet: 10.3.0.0/24}},\n"
	"       guests: {a: {memory: 128M, image: micro, nics: [{network: core, address: 10.3.0.2}]}}}}}\n";

static struct patient *add_guest(struct stage *stage, const char *path, struct patient *outer, enum truth kvm)
{
	const struct guest *guest = lab_find_guest(stage->lab, path);
	struct derivation derivation = {.host = outer->facts,
					.guest = guest,
					.kvm = kvm,
					.kernel = "6.1.0-28-cloud-amd64 (x@y) #1 SMP Debian 6.1.119-1 (2024-11-22)"};
	struct patient *patient =
		examination_add(stage->examination, path, derive_facts(stage->examination->arena, &derivation));

	patient->layer = guest->layer;
	patient->layer_known = true;
	patient->derived = true;
	patient->outer = outer;
	patient->guest = guest;
	patient->wanted = guest->host;
	return patient;
}

static struct patient *set_stage(struct stage *stage, const char *host, const char *lab)
{
	struct patient *patient;

	stage->bundle = load_case(host);
	stage->lab = load_fine(lab);
	stage->examination = examination_new();
	stage->examination->lab = stage->lab;
	patient = examination_add(stage->examination, "L0", stage->bundle->hosts[0]);
	patient->layer_known = true;
	patient->wanted = stage->lab->root;
	return patient;
}

static void clear_stage(struct stage *stage)
{
	examination_free(stage->examination);
	lab_free(stage->lab);
	bundle_free(stage->bundle);
}

static const struct finding *finding_of(const struct stage *stage, const struct patient *patient,
					const struct check *check)
{
	for (size_t i = 0; i < stage->examination->finding_count; i++)
		if (stage->examination->findings[i].check == check &&
		    stage->examination->findings[i].patient == patient)
			return &stage->examination->findings[i];
	return NULL;
}

static void assert_result(const struct stage *stage, const struct patient *patient, const struct check *check,
			  enum result result)
{
	const struct finding *finding = finding_of(stage, patient, check);

	if (!finding || finding->result != result)
		fail_msg("%s of %s: %s", check->id, patient->host, finding ? finding->why : "nothing");
}

/* Under KVM a guest sees its host's CPU; vmx goes down as long as every layer hands it on. */
static void test_passed_on(void **state)
{
	struct stage stage;
	struct patient *l0 = set_stage(&stage, "intel", three_layers), *l1 = add_guest(&stage, "hv1", l0, TRUTH_YES),
		       *l2 = add_guest(&stage, "hv1/hv2", l1, TRUTH_YES);

	assert_string_equal(l1->facts->processor.model_name, l0->facts->processor.model_name);
	assert_string_equal(l1->facts->processor.microcode, l0->facts->processor.microcode);
	assert_int_equal(l1->facts->processor.threads.value, 2);
	assert_int_equal(look_flag(l1->facts, "vmx"), TRUTH_YES);
	assert_int_equal(look_flag(l1->facts, "ept"), TRUTH_YES);
	assert_int_equal(look_flag(l1->facts, "hypervisor"), TRUTH_YES);
	assert_int_equal(look_flag(l1->facts, "cat_l3"), TRUTH_NO);
	assert_int_equal(look_flag(l2->facts, "vmx"), TRUTH_YES);
	assert_string_equal(l2->facts->kernel.release, "6.1.0-28-cloud-amd64");
	examination_run(stage.examination);
	for (struct patient **patient = (struct patient *[]){l1, l2, NULL}; *patient; patient++) {
		assert_result(&stage, *patient, &check_cpu_virtualization, RESULT_PASS);
		assert_result(&stage, *patient, &check_kvm_nested, RESULT_PASS);
		assert_result(&stage, *patient, &check_kvm_paging, RESULT_PASS);
		assert_result(&stage, *patient, &check_kvm_device, RESULT_PASS);
		assert_result(&stage, *patient, &check_net_tun, RESULT_PASS);
		assert_result(&stage, *patient, &check_memory_layers, RESULT_PASS);
		/* Nobody has booted anything there. */
		assert_result(&stage, *patient, &check_kvm_boot, RESULT_UNKNOWN);
		assert_null(finding_of(&stage, *patient, &check_cpu_match));
	}
	clear_stage(&stage);
}

/* Nesting that is off at L0 shows in L1 as a missing extension, with the remedy at L0. */
static void test_not_handed_on(void **state)
{
	struct stage stage;
	struct patient *l0 = set_stage(&stage, "fedora", three_layers), *l1 = add_guest(&stage, "hv1", l0, TRUTH_YES);

	assert_int_equal(look_flag(l1->facts, "vmx"), TRUTH_NO);
	examination_run(stage.examination);
	assert_result(&stage, l0, &check_kvm_nested, RESULT_FAIL);
	assert_result(&stage, l1, &check_cpu_virtualization, RESULT_FAIL);
	clear_stage(&stage);
}

/* Emulated, a guest sees EPYC with svm, whatever its host has. */
static void test_emulated(void **state)
{
	struct stage stage;
	struct patient *l0 = set_stage(&stage, "firmware", three_layers), *l1;

	l0->probe = PROBE_FAILS;
	l1 = add_guest(&stage, "hv1", l0, TRUTH_NO);
	if (l1->facts->processor.flags_known != TRUTH_YES) { /* the profile needs a QEMU to be there */
		clear_stage(&stage);
		skip();
	}
	assert_string_equal(l1->facts->processor.vendor, "AuthenticAMD");
	assert_int_equal(look_flag(l1->facts, "svm"), TRUTH_YES);
	assert_int_equal(look_flag(l1->facts, "vmx"), TRUTH_NO);
	examination_run(stage.examination);
	assert_result(&stage, l1, &check_cpu_virtualization, RESULT_PASS);
	assert_result(&stage, l1, &check_kvm_nested, RESULT_PASS);
	clear_stage(&stage);
}

/* Where it is not known whether KVM works, neither is what a guest will see. */
static void test_not_known(void **state)
{
	struct stage stage;
	struct patient *l0 = set_stage(&stage, "intel", three_layers),
		       *l1 = add_guest(&stage, "hv1", l0, TRUTH_UNKNOWN);

	examination_run(stage.examination);
	assert_result(&stage, l1, &check_cpu_virtualization, RESULT_UNKNOWN);
	clear_stage(&stage);
}

static void test_memory(void **state)
{
	static const struct {
		unsigned long long mib;
		enum result result;
	} rows[] = {{4096, RESULT_PASS}, {1150, RESULT_WARN}, {1100, RESULT_FAIL}, {0, RESULT_UNKNOWN}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct stage stage;
		struct patient *l0 = set_stage(&stage, "intel", three_layers),
			       *l1 = add_guest(&stage, "hv1", l0, TRUTH_YES);
		struct facts facts = *l1->facts;

		/* hv2 has 1024 MiB: 1127 with a tenth for tables, 1177 with 15 in a hundred. */
		facts.memory.total = rows[i].mib ? number_of(rows[i].mib << 20) : (struct number){0};
		l1->facts = &facts;
		examination_run(stage.examination);
		assert_result(&stage, l1, &check_memory_layers, rows[i].result);
		clear_stage(&stage);
	}
}

static void test_cpus(void **state)
{
	static const struct {
		unsigned threads;
		enum result result;
	} rows[] = {{4, RESULT_PASS}, {2, RESULT_WARN}, {1, RESULT_FAIL}, {0, RESULT_UNKNOWN}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct stage stage;
		struct patient *l0 = set_stage(&stage, "intel", three_layers),
			       *l1 = add_guest(&stage, "hv1", l0, TRUTH_YES);
		struct facts facts = *l1->facts;

		facts.processor.threads = rows[i].threads ? number_of(rows[i].threads) : (struct number){0};
		l1->facts = &facts;
		examination_run(stage.examination);
		assert_result(&stage, l1, &check_cpu_layers, rows[i].result);
		clear_stage(&stage);
	}
}

/* A lab whose network reaches over to a peer; L0's way out carries what `mtu` says. */
static void check_tunnel(const char *network, unsigned way_out, enum result result, const char *says)
{
	struct stage stage;
	cleanup_free char *text = NULL;
	struct patient *l0;
	struct facts facts;
	const struct finding *finding;

	assert_true(asprintf(&text, "lab: over\nnetworks: {lab: {subnet: 10.1.0.0/24, %s}}\n", network) > 0);
	l0 = set_stage(&stage, "intel", text);
	facts = *l0->facts;
	for (size_t i = 0; i < facts.link_count; i++)
		if (strcmp(facts.links[i].name, "enp3s0f0") == 0)
			facts.links[i].mtu = way_out ? number_of(way_out) : (struct number){0};
	l0->facts = &facts;
	examination_run(stage.examination);
	finding = finding_of(&stage, l0, &check_net_mtu);
	assert_non_null(finding);
	if (finding->result != result)
		fail_msg("%s over %u: %s", network, way_out, finding->why);
	for (size_t i = 0; says && i < finding->remedy_count; i++)
		if (strstr(finding->remedy[i], says))
			says = NULL;
	if (says)
		fail_msg("no remedy says %s", says);
	clear_stage(&stage);
}

/* VXLAN takes 50 bytes, over IPv6 70; GENEVE the same and its options. The peers are on L0's own 10.20.30.0/24. */
static void test_mtu(void **state)
{
	check_tunnel("vxlan: {id: 7, peers: [10.20.30.41]}, mtu: 1450", 1500, RESULT_PASS, NULL);
	check_tunnel("vxlan: {id: 7, peers: [10.20.30.41]}, mtu: 1450", 1499, RESULT_FAIL, "mtu: 1449");
	check_tunnel("vxlan: {id: 7, peers: [10.20.30.41]}, mtu: 1450", 1460, RESULT_FAIL, "mtu: 1410");
	check_tunnel("vxlan: {id: 7, peers: [10.20.30.41]}, mtu: 1450", 1460, RESULT_FAIL, "enp3s0f0 mtu 1500");
	check_tunnel("geneve: {id: 7, options: 8, peers: [10.20.30.41]}, mtu: 1442", 1500, RESULT_PASS, NULL);
	check_tunnel("geneve: {id: 7, options: 8, peers: [10.20.30.41]}, mtu: 1442", 1492, RESULT_FAIL, "mtu: 1434");
	check_tunnel("vxlan: {id: 7, peers: [10.20.30.41]}, mtu: 1450", 0, RESULT_UNKNOWN, NULL);
	check_tunnel("vxlan: {id: 7, peers: [10.20.30.41]}, mtu: 1350", 0, RESULT_PASS, NULL);
}

/* Without a tunnel large packets are cut on their way, or lost. */
static void test_mtu_of_layers(void **state)
{
	struct stage stage;
	struct patient
		*l0 = set_stage(
			&stage, "intel",
			"lab: l\nnetworks: {lab: {subnet: 10.1.0.0/24, mtu: 1400}}\n"
			"guests: {hv1: {memory: 2G, image: micro, nics: [{network: lab, address: 10.1.0.2}],\n"
			"  networks: {inner: {subnet: 10.2.0.0/24, uplink: route, mtu: 1500}},\n"
			"  guests: {a: {memory: 128M, image: micro, nics: [{network: inner, address: 10.2.0.2}]}}}}\n"),
		*l1 = add_guest(&stage, "hv1", l0, TRUTH_YES);
	const struct finding *finding;

	examination_run(stage.examination);
	assert_result(&stage, l1, &check_net_mtu, RESULT_WARN);
	finding = finding_of(&stage, l1, &check_net_mtu);
	assert_non_null(strstr(finding->remedy[0], "hv1/inner: mtu: 1400"));
	assert_non_null(strstr(finding->remedy[1], "mtu: 1500"));
	clear_stage(&stage);
}

/* Guests that were asked: what their host has and they do not see. */
static void test_match(void **state)
{
	struct stage stage;
	struct patient *l0 = set_stage(&stage, "intel", three_layers), *l1 = add_guest(&stage, "hv1", l0, TRUTH_YES);
	struct facts same = *l1->facts, microcode = same, less = same, other = same, nothing = same;
	const struct {
		const struct facts *facts;
		enum result result;
	} rows[] = {{&same, RESULT_PASS},
		    {&microcode, RESULT_WARN},
		    {&less, RESULT_WARN},
		    {&other, RESULT_WARN},
		    {&nothing, RESULT_UNKNOWN}};

	microcode.processor.microcode = "0x1";
	less.processor.flags = (const char *[]){"fpu", "vmx"};
	less.processor.flag_count = 2;
	other.processor.vendor = "AuthenticAMD";
	nothing.processor = (struct processor){0};
	l1->derived = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		stage.examination->findings = NULL;
		stage.examination->finding_count = 0;
		l1->facts = rows[i].facts;
		examination_run(stage.examination);
		assert_result(&stage, l1, &check_cpu_match, rows[i].result);
	}
	clear_stage(&stage);
}

/* Hosts of a bundle: who runs on whom by their cables, and whether both ends agree on the size of packets. */
static void test_relations(void **state)
{
	static const char *const order[] = {"laptop", "wsl", "hv", "guest"};
	cleanup_free char *path = source_path("tests/golden/facts/bundles/mirrored");
	struct stage stage = {.bundle = load(path), .examination = examination_new()};
	struct examination *examination = stage.examination;

	for (size_t i = 0; i < stage.bundle->host_count; i++)
		examination_add(examination, stage.bundle->hosts[i]->name, stage.bundle->hosts[i]);
	examination_relate(examination, stage.bundle);
	assert_int_equal(examination->patient_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(examination->patients[i]->host, order[i]);
		assert_true(examination->patients[i]->layer_known);
		assert_int_equal(examination->patients[i]->layer, i);
		assert_ptr_equal(examination->patients[i]->outer, i ? examination->patients[i - 1] : NULL);
	}
	assert_int_equal(examination->patients[1]->nests, TRUTH_YES);
	examination_run(examination);
	assert_result(&stage, examination->patients[3], &check_net_mtu, RESULT_PASS);
	for (size_t i = 0; i < stage.bundle->hosts[0]->link_count; i++)
		stage.bundle->hosts[0]->links[i].mtu = number_of(1400);
	examination->findings = NULL;
	examination->finding_count = 0;
	examination_run(examination);
	assert_result(&stage, examination->patients[3], &check_net_mtu, RESULT_WARN);
	clear_stage(&stage);
}

/* The same subnet in two layers, neither of them on one host. */
static void test_subnet_of_outer_host(void **state)
{
	struct stage stage;
	struct patient *l0 = set_stage(
			       &stage, "intel",
			       "lab: l\nnetworks: {lab: {subnet: 10.1.0.0/24}}\n"
			       "guests: {hv1: {memory: 2G, image: micro, nics: [{network: lab, address: 10.1.0.2}],\n"
			       "  networks: {inner: {subnet: 10.20.30.0/24}},\n"
			       "  guests: {a: {memory: 128M, image: micro, nics: [{network: inner, address: "
			       "10.20.30.9}]}}}}\n"),
		       *l1 = add_guest(&stage, "hv1", l0, TRUTH_YES);

	examination_run(stage.examination);
	assert_result(&stage, l0, &check_conflict_subnets, RESULT_PASS);
	assert_result(&stage, l1, &check_conflict_subnets, RESULT_WARN);
	clear_stage(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passed_on),
		cmocka_unit_test(test_not_handed_on),
		cmocka_unit_test(test_emulated),
		cmocka_unit_test(test_not_known),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_mtu),
		cmocka_unit_test(test_mtu_of_layers),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_relations),
		cmocka_unit_test(test_subnet_of_outer_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
