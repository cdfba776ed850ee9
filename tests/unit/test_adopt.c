/*
 * doctor/adopt: the lab file of a machine with all kinds of domains and networks, against a golden file; that every
 * such file is valid, of each domain alone and of libvirt's own test networks (skipped where ../shared/data is
 * missing); and what a real libvirt says through its API (its test driver, which needs no daemon).
 */
#include "doctor/adopt.h"
#include "facts_check.h"

#include "base/arena.h"
#include "base/xml.h"
#include "config/config.h"
#include "driver/libvirt_list.h"

#include <dirent.h>
#include <errno.h>

/* driver: NULL, or whose domains and networks they are to be. */
static struct adoption adopt_from(struct arena *arena, const struct document *documents, size_t count,
				  const char *driver)
{
	cleanup_error struct error *err = NULL;
	struct adoption adoption;

	if (adopt_lab_file(arena, documents, count, "adopted", "a test", driver, &adoption, &err) < 0)
		fail_msg("%s", err->message);
	return adoption;
}

static struct adoption adopt(struct arena *arena, const struct document *documents, size_t count)
{
	return adopt_from(arena, documents, count, NULL);
}

/* Takes the lab file for what it is to be: a file that config reads, with as many guests and networks as were said. */
static void assert_valid(const struct adoption *adoption)
{
	cleanup_problems struct problems problems = {};
	cleanup_error struct error *err = NULL;
	cleanup_lab struct lab *lab = NULL;
	cleanup_strbuf struct strbuf said = {};

	if (config_load_text("adopted", adoption->text, strlen(adoption->text), NULL, &problems, &lab, &err) < 0) {
		problems_format(&problems, &said);
		fail_msg("%s%s\n%s", err ? err->message : "", said.text ? said.text : "", adoption->text);
	}
	assert_int_equal(lab->guest_count, adoption->guests);
	assert_int_equal(lab->network_count, adoption->networks);
}

static struct bundle *load_below(const char *below)
{
	cleanup_free char *path = source_path(below);

	return load(path);
}

static void test_machine(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_bundle struct bundle *bundle = load_below("tests/golden/adopt/machine");
	cleanup_free char *golden = source_path("tests/golden/adopt/machine.nest.yaml");
	const struct facts *facts = bundle->hosts[0];
	struct adoption adoption = adopt(arena, facts->documents, facts->document_count);

	check_golden(golden, adoption.text);
	assert_valid(&adoption);
	assert_true(adoption.guests >= 10);
	assert_int_equal(adoption.guests + adoption.networks + adoption.left_out, facts->document_count);
}

/* The same as guests of that libvirt itself. */
static void test_adopted(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_bundle struct bundle *bundle = load_below("tests/golden/adopt/machine");
	cleanup_free char *golden = source_path("tests/golden/adopt/adopted.nest.yaml");
	const struct facts *facts = bundle->hosts[0];
	struct adoption adoption = adopt_from(arena, facts->documents, facts->document_count, "qemu:///system");

	check_golden(golden, adoption.text);
	assert_valid(&adoption);
	assert_int_equal(adoption.guests + adoption.networks + adoption.left_out, facts->document_count);
}

/* Without the networks it was plugged into, and without the domains beside it. */
static void test_each_alone(void **state)
{
	static const char *const bundles[] = {"tests/golden/adopt/machine", "tests/fixtures/doctor/amd",
					      "tests/fixtures/doctor/intel", "tests/fixtures/doctor/docker-firewalld"};
	size_t domains = 0;

	for (size_t i = 0; i < sizeof(bundles) / sizeof(*bundles); i++) {
		cleanup_bundle struct bundle *bundle = load_below(bundles[i]);
		const struct facts *facts = bundle->hosts[0];

		for (size_t j = 0; j < facts->document_count; j++) {
			cleanup_arena struct arena *arena = arena_new();
			struct adoption adoption = adopt(arena, &facts->documents[j], 1);

			assert_valid(&adoption);
			assert_int_equal(adoption.guests + adoption.networks + adoption.left_out, 1);
			domains += adoption.guests;
		}
	}
	assert_true(domains >= 15);
}

static void test_libvirts_networks(void **state)
{
	static const char *const folders[] = {"../shared/data/libvirt/networkxml2xmlin",
					      "../shared/data/libvirt/networkxml2firewalldata"};
	size_t networks = 0;

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		cleanup_free char *folder = source_path(folders[i]);
		DIR *dir = opendir(folder);

		if (!dir) {
			print_message("%s is missing: skipped\n", folders[i]);
			skip();
		}
		for (struct dirent *entry; (entry = readdir(dir));) {
			cleanup_arena struct arena *arena = arena_new();
			cleanup_free char *path = NULL, *text = NULL;
			size_t length;

			if (!strstr(entry->d_name, ".xml"))
				continue;
			assert_true(asprintf(&path, "%s/%s", folder, entry->d_name) > 0);
			text = read_file(path, &length);
			struct document document = {.kind = "network", .name = entry->d_name, .text = text};
			struct adoption adoption = adopt(arena, &document, 1);

			assert_valid(&adoption);
			networks += adoption.networks;
		}
		closedir(dir);
	}
	assert_true(networks >= 20);
}

/* Nothing of a name gets out of its comment or its quotes. */
static void test_hostile_text(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct document documents[] = {
		{.kind = "network",
		 .text = "<network><name>a&#10;guests: {x: {}}&#10;#</name><ip address='10.0.0.1' prefix='24'/>"
			 "<evil/></network>"},
		{.kind = "network",
		 .text = "<network><name>a&#10;guests: {x: {}}&#10;#</name><ip address='10.0.0.1' "
			 "prefix='24'/></network>"},
		{.kind = "domain",
		 .text = "<domain type='k&#10;evil: 1'><name>v&#13;m: {}</name><memory "
			 "unit='x'>99999999999999999999</memory>"
			 "<vcpu>-1</vcpu><os><type>hvm</type></os><devices><disk type='file'><source "
			 "file='/a\\&#10;b&quot;: {"
			 "&#9;'/></disk><interface type='network'><source network='a&#10;b'/><mac "
			 "address='&#10;x'/></interface>"
			 "</devices></domain>"},
		{.kind = "domain", .text = ""},
		{.kind = "nwfilter", .text = "<filter/>"},
	};
	struct adoption adoption = adopt(arena, documents, 5);

	assert_valid(&adoption);
	assert_int_equal(adoption.guests, 1);
	assert_int_equal(adoption.networks, 1);
	assert_int_equal(adoption.left_out, 2);
	assert_null(strstr(adoption.text, "\nevil"));
}

/* Of a definition that is cut short, or that is none, nothing is taken; the others are. */
static void test_bad_xml(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct document documents[] = {
		{.kind = "domain", .name = "cut", .text = "<domain type='kvm'><name>cut</name><memory unit='KiB'>1048"},
		{.kind = "domain", .name = "none", .text = "error: failed to get domain 'none'"},
		{.kind = "domain",
		 .name = "whole",
		 .text = "<domain type='kvm'><name>whole</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>"
			 "<os><type>hvm</type></os><devices><disk type='file'><source file='/x.qcow2'/></disk>"
			 "</devices></domain>"},
	};
	struct adoption adoption = adopt(arena, documents, 3);

	assert_valid(&adoption);
	assert_int_equal(adoption.guests, 1);
	assert_int_equal(adoption.left_out, 2);
	assert_non_null(strstr(adoption.text, "\"cut\" is left out: this is not well-formed XML"));
	assert_non_null(strstr(adoption.text, "\"none\" is left out: "));
}

static void test_nothing_there(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	const struct document filter = {.kind = "nwfilter", .text = "<filter/>"};
	struct adoption adoption;

	assert_int_equal(adopt_lab_file(arena, &filter, 1, "adopted", "a test", NULL, &adoption, &err), -ENOENT);
	assert_non_null(strstr(err->message, "a test"));
}

static void test_live(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_error struct error *err = NULL;
	struct document *documents;
	struct adoption adoption;
	size_t count;
	int r = libvirt_list("test:///default", arena, &documents, &count, &err);

	if (r == -ENOENT) {
		print_message("%s: skipped\n", err->message);
		skip();
	}
	if (r < 0)
		fail_msg("%s", err->message);
	adoption = adopt(arena, documents, count);
	assert_valid(&adoption);
	assert_int_equal(adoption.guests, 1);
	assert_int_equal(adoption.networks, 1);
	assert_non_null(strstr(adoption.text, "subnet: 192.168.122.0/24"));
	assert_int_equal(libvirt_list("nonsense:///", arena, &documents, &count, &err), -EIO);
	assert_non_null(strstr(err->message, "nonsense:///"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machine),	     cmocka_unit_test(test_adopted),
		cmocka_unit_test(test_each_alone),   cmocka_unit_test(test_libvirts_networks),
		cmocka_unit_test(test_hostile_text), cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_bad_xml),	     cmocka_unit_test(test_live),
	};

	if (!xml_available())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
