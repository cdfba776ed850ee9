/* The last line: what the hosts can run and what not, as the findings say it. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "doctor/checks.h"

#include <string.h>

static const struct finding *find(const struct examination *examination, const struct patient *patient,
				  const struct check *check)
{
	for (size_t i = 0; i < examination->finding_count; i++)
		if (examination->findings[i].patient == patient && examination->findings[i].check == check)
			return &examination->findings[i];
	return NULL;
}

static enum result result_of(const struct examination *examination, const struct patient *patient,
			     const struct check *check)
{
	const struct finding *finding = find(examination, patient, check);

	return finding ? finding->result : RESULT_NONE;
}

/* The first of what keeps KVM from working; what a boot said comes before what it is explained by. NULL: nothing known.
 */
static const struct finding *kvm_obstacle(const struct examination *examination, const struct patient *patient)
{
	static const struct check *const needed[] = {&check_kvm_boot, &check_cpu_firmware, &check_cpu_virtualization,
						     &check_kvm_module, &check_kvm_device};

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (result_of(examination, patient, needed[i]) == RESULT_FAIL)
			return find(examination, patient, needed[i]);
	return NULL;
}

static void add_emulation(const struct patient *patient, struct strbuf *out)
{
	const struct program *qemu = facts_program(patient->facts, "qemu-system-x86_64"),
			     *small = facts_program(patient->facts, "qemu-system-x86_64-microvm");

	if (qemu && qemu->installed == TRUTH_NO)
		strbuf_printf(out, ", nor emulated ones: %s",
			      small && small->installed == TRUTH_YES ? "its QEMU knows KVM alone" : "there is no QEMU");
	else if (qemu && (qemu->installed == TRUTH_YES || qemu->version))
		strbuf_add(out, "; emulated (TCG), and slower, it can run guests and guests inside guests");
	else
		strbuf_add(out, "; whether it has a QEMU to emulate them is not known");
}

static void add_nesting(const struct examination *examination, const struct patient *patient, struct strbuf *out)
{
	switch (result_of(examination, patient, &check_kvm_nested)) {
	case RESULT_PASS:
		strbuf_add(out, " and guests inside guests");
		return;
	case RESULT_FAIL:
	case RESULT_WARN:
		strbuf_add(out, ", but none inside guests (kvm.nested)");
		return;
	case RESULT_NONE:
		if (result_of(examination, patient, &check_cpu_virtualization) == RESULT_FAIL ||
		    result_of(examination, patient, &check_cpu_virtualization) == RESULT_WARN) {
			strbuf_add(out, ", but none inside guests (cpu.virtualization)");
			return;
		}
		/* fall through */
	case RESULT_UNKNOWN:
		strbuf_add(out, "; whether these may have guests is not known");
		return;
	}
}

static void add_patient(const struct examination *examination, const struct patient *patient, struct strbuf *out)
{
	const struct finding *obstacle = kvm_obstacle(examination, patient);

	if (patient->facts->system == SYSTEM_WINDOWS) {
		strbuf_printf(out, "%s is a Windows, which runs guests of nestvisor in its WSL alone", patient->host);
	} else if (result_of(examination, patient, &check_host_architecture) == RESULT_FAIL) {
		strbuf_printf(out, "%s cannot run guests of nestvisor: it is no x86-64", patient->host);
	} else if (obstacle) {
		strbuf_printf(out, "%s cannot run guests under KVM: %s", patient->host, obstacle->why);
		add_emulation(patient, out);
	} else if (result_of(examination, patient, &check_kvm_boot) == RESULT_PASS) {
		strbuf_printf(out, "%s can run guests under KVM", patient->host);
		add_nesting(examination, patient, out);
	} else if (result_of(examination, patient, &check_cpu_virtualization) != RESULT_PASS) {
		strbuf_printf(out, "what %s can run is not known: its processor was not captured", patient->host);
	} else {
		strbuf_printf(out, "nothing seen keeps %s from running guests under KVM", patient->host);
		add_nesting(examination, patient, out);
		strbuf_add(out, " (no guest was booted to see it)");
	}
}

const char *examination_summary(struct examination *examination)
{
	cleanup_strbuf struct strbuf out = {};
	bool starts_with_name;

	for (size_t i = 0; i < examination->patient_count; i++) {
		if (i > 0)
			strbuf_add(&out, "; ");
		add_patient(examination, examination->patients[i], &out);
	}
	strbuf_add(&out, ".");
	/* A sentence, unless it starts with the name of a host, which stays as it is. */
	starts_with_name = strncmp(out.text, "what ", 5) != 0 && strncmp(out.text, "nothing ", 8) != 0;
	if (!starts_with_name)
		out.text[0] -= 'a' - 'A';
	return arena_strdup(examination->arena, out.text);
}
