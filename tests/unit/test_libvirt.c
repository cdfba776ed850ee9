/*
 * Domains as libvirt's XML: each against libvirt's own schema (xmllint --relaxng,
 * /usr/share/libvirt/schemas/domain.rng) and, whole, against a golden file. What real libvirts do with them is
 * tests/nested/libvirt.sh's.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "driver/driver.h"
#include "driver/libvirt_xml.h"
#include "image/image.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "facts_check.h"

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

static const struct image kernel_image = {.name = "micro",
					  .kernel = "/cache/bzImage",
					  .vmlinux = "/cache/vmlinux",
					  .initrd = "/cache/guest.initrd",
					  .initrd_host = "/cache/host.initrd",
					  .append = "root=/dev/vda"};
static const struct image disk_image = {.name = "/images/a.qcow2", .disk = "/images/a.qcow2", .append = ""};
static const struct profile kvm = {.binary = "qemu-system-x86_64",
				   .machine = "q35",
				   .accelerator = "kvm",
				   .cpu_nested = "host",
				   .cpu_plain = "host,-svm,-vmx",
				   .append = ""};
static const struct profile tcg = {.binary = "qemu-system-x86_64",
				   .machine = "pc",
				   .accelerator = "tcg,thread=multi,tb-size=256",
				   .cpu_nested = "EPYC,+svm,+npt",
				   .cpu_plain = "max,-svm,-npt",
				   .elf_kernel = true,
				   .append = "mitigations=off"};

static struct driver_nic nics[] = {{.tap = "nv0123abcdt0", .mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500},
				   {.tap = "nv0123abcdt1", .mac = {2, 0, 0, 0, 0, 2}}};
static struct driver_disk disks[] = {{"/state/first/hv1.qcow2", "qcow2", "root", false},
				     {"/state/first/hv1.seed", "raw", "seed", true}};

static struct driver_guest hypervisor(void)
{
	return (struct driver_guest){.lab = "first",
				     .path = "hv1",
				     .name = "hv1",
				     .id = "0123abcd",
				     .run_dir = "/run/nestvisor/first/guests/hv1",
				     .layer = 1,
				     .cpus = 2,
				     .memory = UINT64_C(1) << 30,
				     .nested = true,
				     .image = &kernel_image,
				     .append = "nestvisor.name=hv1",
				     .nics = nics,
				     .nic_count = 2,
				     .disks = disks,
				     .disk_count = 2,
				     .accelerator = ACCEL_TCG,
				     .netns = -1};
}

static int run(const char *const argv[], struct process_output *output)
{
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};

	return process_run(&spec, NULL, 0, 60000, NULL, output, NULL);
}

/* False, with its reasons printed, where the schema does not take it. */
static bool is_valid(const char *xml)
{
	char path[] = "/tmp/nestvisor-domain.XXXXXX";
	const char *const argv[] = {"xmllint", "--nonet", "--noout", "--relaxng", SCHEMA, path, NULL};
	cleanup_output struct process_output output = {0};
	cleanup_close int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, xml, strlen(xml)), (ssize_t)strlen(xml));
	assert_int_equal(run(argv, &output), 0);
	unlink(path);
	if (output.status != 0)
		print_error("%s\n%s", output.err, xml);
	return output.status == 0;
}

static void check_domain(const char *name, const char *xml)
{
	cleanup_free char *below = NULL, *path = NULL;

	assert_true(is_valid(xml));
	assert_true(asprintf(&below, "tests/golden/driver/%s.xml", name) > 0);
	path = source_path(below);
	check_golden(path, xml);
}

static void test_hypervisor(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct driver_guest guest = hypervisor();
	const char *xml = libvirt_domain_xml(arena, &guest, &tcg, "/usr/bin/qemu-system-x86_64");

	check_domain("hypervisor-tcg", xml);
}

static void test_kvm_disk(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct driver_guest guest = hypervisor();
	const char *xml;

	guest.accelerator = ACCEL_KVM;
	guest.image = &disk_image;
	guest.hypervisor_hidden = true;
	xml = libvirt_domain_xml(arena, &guest, &kvm, "/usr/bin/qemu-system-x86_64");
	check_domain("hypervisor-kvm-disk", xml);
}

/* One that has no guests sees neither svm nor vmx; one without disks and nics is one, too. */
static void test_plain(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct driver_guest guest = hypervisor();
	const char *xml;

	guest.nested = false;
	guest.nic_count = guest.disk_count = 0;
	xml = libvirt_domain_xml(arena, &guest, &tcg, "/usr/bin/qemu-system-x86_64");
	assert_true(is_valid(xml));
	assert_non_null(strstr(xml, "<cpu mode='maximum' check='none'>\n    <feature policy='disable' name='svm'/>"));
	assert_non_null(strstr(xml, "<initrd>/cache/guest.initrd</initrd>"));
	assert_null(strstr(xml, "<disk"));
	guest.accelerator = ACCEL_KVM;
	xml = libvirt_domain_xml(arena, &guest, &kvm, "/usr/bin/qemu-system-x86_64");
	assert_true(is_valid(xml));
	assert_non_null(strstr(xml, "<feature policy='disable' name='vmx'/>"));
}

/* No path and no word becomes markup; the parser gives back what went in. */
static void test_escapes(void **state)
{
	static const char hostile[] = "/tmp/a'/><b c=\"&amp;\"></source>";
	cleanup_arena struct arena *arena = arena_new();
	struct driver_guest guest = hypervisor();
	struct driver_disk disk = {hostile, "qcow2", NULL, false};
	char path[] = "/tmp/nestvisor-domain.XXXXXX";
	const char *const argv[] = {"xmllint", "--xpath", "string(//disk/source/@file)", path, NULL};
	cleanup_output struct process_output output = {0};
	cleanup_close int fd = mkstemp(path);
	const char *xml;

	guest.disks = &disk;
	guest.disk_count = 1;
	guest.append = hostile;
	xml = libvirt_domain_xml(arena, &guest, &tcg, "/usr/bin/qemu-system-x86_64");
	assert_true(is_valid(xml));
	assert_int_equal(write(fd, xml, strlen(xml)), (ssize_t)strlen(xml));
	assert_int_equal(run(argv, &output), 0);
	unlink(path);
	assert_int_equal(strncmp(output.out, hostile, strlen(hostile)), 0);
}

/* The schema would say so. */
static void test_schema_refuses(void **state)
{
	const char *const argv[] = {"xmllint", "--nonet", "--noout", "--relaxng", SCHEMA, "/dev/stdin", NULL};
	static const char wrong[] = "<domain type='qemu'><name>a</name><colour>red</colour></domain>";
	const struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	cleanup_output struct process_output output = {0};

	assert_int_equal(process_run(&spec, wrong, strlen(wrong), 60000, NULL, &output, NULL), 0);
	assert_int_not_equal(output.status, 0);
}

/* What a domain is called follows from the guest alone, and says whose it is. */
static void test_names(void **state)
{
	cleanup_arena struct arena *arena = arena_new();
	struct driver_guest guest = hypervisor();

	assert_string_equal(libvirt_domain_name(arena, &guest), "first:hv1");
	assert_string_equal(libvirt_mark(arena, "first", "hv1"), "first/hv1");
}

/* Each driver knows its own by what lies in run_dir. */
static void test_driver_of(void **state)
{
	char folder[] = "/tmp/nestvisor-libvirt.XXXXXX", record[64];

	assert_non_null(mkdtemp(folder));
	assert_ptr_equal(driver_of(folder), &driver_qemu);
	assert_ptr_equal(driver_for(NULL), &driver_qemu);
	assert_ptr_equal(driver_for("qemu:///system"), &driver_libvirt);
	assert_int_equal(driver_libvirt.stop(folder, NULL), 0);
	snprintf(record, sizeof(record), "%s/domain", folder);
	assert_int_equal(file_write_atomic(record, "{}", 2, 0600, NULL), 0);
	assert_ptr_equal(driver_of(folder), &driver_libvirt);
	unlink(record);
	rmdir(folder);
}

/* A libvirt that does not answer is said to be one; nothing is begun, nothing stays. */
static void test_no_libvirtd(void **state)
{
	char folder[] = "/tmp/nestvisor-libvirt.XXXXXX";
	cleanup_error struct error *err = NULL;
	struct driver_guest guest = hypervisor();
	struct driver_state ret;

	assert_non_null(mkdtemp(folder));
	guest.run_dir = folder;
	guest.uri = "qemu+unix:///system?socket=/nowhere/libvirt-sock";
	assert_int_equal(driver_libvirt.start(&guest, NULL, &ret, &err), -EIO);
	assert_non_null(strstr(err->message, "cannot connect"));
	assert_non_null(strstr(err->message, "/nowhere/libvirt-sock"));
	assert_non_null(strstr(err->hint, "virsh -c qemu+unix:///system?socket=/nowhere/libvirt-sock uri"));
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hypervisor),     cmocka_unit_test(test_kvm_disk),
		cmocka_unit_test(test_plain),	       cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_names),	       cmocka_unit_test(test_driver_of),
		cmocka_unit_test(test_schema_refuses), cmocka_unit_test(test_no_libvirtd),
	};
	cleanup_free char *xmllint = NULL;

	if (access(SCHEMA, R_OK) < 0 || process_find("xmllint", NULL, &xmllint, NULL) < 0) {
		fprintf(stderr, "skipped: " SCHEMA " or xmllint is not here\n");
		return 77;
	}
	return cmocka_run_group_tests_name("libvirt", tests, NULL, NULL);
}
