/* What the doctor makes of lines of logs. */
#include "base/cleanup.h"
#include "doctor/checks.h"
#include "doctor/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LINES = 8 };

struct stage {
	struct log_line lines[LINES];
	struct facts facts;
	struct examination *examination;
};

static void set_stage(struct stage *stage, enum truth known, const struct log_line *lines, size_t count)
{
	assert_true(count <= LINES);
	*stage = (struct stage){.facts = {.system = SYSTEM_LINUX,
					  .kernel = {.machine = "x86_64"},
					  .log_lines = stage->lines,
					  .log_line_count = count,
					  .logs_known = known},
				.examination = examination_new()};
	for (size_t i = 0; i < count; i++)
		stage->lines[i] = lines[i];
	check_logs_known.look(&check_logs_known, stage->examination,
			      examination_add(stage->examination, "L0", &stage->facts));
}

static void test_known_lines(void **state)
{
	static const struct log_line lines[] = {
		{"dmesg", "[  1.0] kvm [12]: vcpu0 unhandled rdmsr: 0x1c9", {"dmesg.txt", 1}},
		{"dmesg", "[  2.0] nf_conntrack: table full, dropping packet", {"dmesg.txt", 2}},
		{"dmesg", "[  3.0] kvm: disabled by bios", {"dmesg.txt", 3}},
		{"dmesg",
		 "[  4.0] apparmor=\"DENIED\" profile=\"libvirt-1\" comm=\"qemu-system-x86\"",
		 {"dmesg.txt", 4}},
		{"dmesg", "[  5.0] nf_conntrack: nf_conntrack: table full, dropping packet", {"dmesg.txt", 5}},
		{"/var/log/libvirt/qemu/a.log",
		 "KVM: entry failed, hardware error 0x80000021\033[2J",
		 {"log-qemu.txt", 7}},
		{"dmesg", "[  6.0] virbr0: port 1(vnet0) entered forwarding state", {"dmesg.txt", 6}},
	};
	const struct finding *finding;
	struct stage stage;
	size_t count;

	set_stage(&stage, TRUTH_YES, lines, sizeof(lines) / sizeof(*lines));
	/* one for each kind; what is harmless, and what other checks speak of, is left out */
	assert_int_equal(stage.examination->finding_count, 2);
	finding = &stage.examination->findings[0];
	assert_int_equal(finding->result, RESULT_WARN);
	assert_string_equal(finding->evidence, "\"KVM: entry failed, hardware error 0x80000021\" (log-qemu.txt:7)");
	assert_int_equal(finding->remedy_count, 1);
	finding = &stage.examination->findings[1];
	assert_non_null(strstr(finding->why, "tracks as many connections"));
	assert_non_null(strstr(finding->evidence, "dmesg.txt:5"));
	assert_non_null(strstr(finding->evidence, "2 such lines"));

	assert_ptr_equal(look_log_line(&stage.facts, "kvm.firmware-off", NULL), &stage.lines[2]);
	assert_ptr_equal(look_log_line(&stage.facts, "lsm.", &count), &stage.lines[3]);
	assert_int_equal(count, 1);
	assert_null(look_log_line(&stage.facts, "wsl.", &count));
	assert_int_equal(count, 0);
	examination_free(stage.examination);
}

static void test_nothing_known(void **state)
{
	static const struct log_line lines[] = {{"dmesg", "[  1.0] kvm_amd: Nested Paging enabled", {"dmesg.txt", 1}}};
	struct stage stage;

	set_stage(&stage, TRUTH_YES, lines, 1);
	assert_int_equal(stage.examination->finding_count, 1);
	assert_int_equal(stage.examination->findings[0].result, RESULT_PASS);
	assert_non_null(strstr(stage.examination->findings[0].evidence, "1 line was read"));
	examination_free(stage.examination);
}

static void test_not_captured(void **state)
{
	struct stage stage;

	set_stage(&stage, TRUTH_UNKNOWN, NULL, 0);
	assert_int_equal(stage.examination->finding_count, 1);
	assert_int_equal(stage.examination->findings[0].result, RESULT_UNKNOWN);
	examination_free(stage.examination);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_lines),
		cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_not_captured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
