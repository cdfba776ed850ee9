/* Memory for guests with guests: how much, in which pages, on which node. */
#include "base/arena.h"
#include "doctor/checks.h"
#include "doctor/mend.h"
#include "render/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROOM_WANTED_MIB = 2048, /* a hypervisor of 1 GiB, what its guests and tables need, and QEMU */
};

/*
 * How much a lab wants is known where there is one (memory.layers). Without one this is the least that is of use: the
 * smallest hypervisor guest with two small guests.
 */
static void look_room(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct memory *memory = &patient->facts->memory;
	char available[BYTES_TEXT_SIZE], total[BYTES_TEXT_SIZE];
	struct finding *finding;

	/* What a guest of a lab has was given to it for the guests it has. */
	if (!look_is_host(patient->facts) || examination->lab || patient->layer > 0)
		return;
	if (!memory->available.known || !memory->total.known) {
		finding_unknown(check, examination, patient, "how much memory is free (/proc/meminfo)");
		return;
	}
	text_bytes(memory->available.value, available);
	text_bytes(memory->total.value, total);
	if (memory->available.value >= (uint64_t)ROOM_WANTED_MIB << 20) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "%s of %s are available", available,
				      total);
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "only %s of %s are available: a small hypervisor guest with guests wants 2 GiB",
				      available, total);
		finding_remedy(examination, finding,
			       "stop what is not needed; guests' memory is given to them as they "
			       "use it, and 10 to 15 %% more goes into nested page tables");
	}
	finding_evidence(examination, finding, &memory->origin, "MemAvailable %llu kB",
			 (unsigned long long)memory->available.value / 1024);
}

const struct check check_memory_available = {
	.id = "memory.available",
	.title = "there is memory for a guest with guests",
	.severity = SEVERITY_ADVICE,
	.matters = "When memory runs out, the kernel ends the largest process, which is a guest with everything in it.",
	.look = look_room,
};

/* "always [madvise] never" */
static bool is_chosen(const char *value, const char *word)
{
	char in_brackets[64];

	snprintf(in_brackets, sizeof(in_brackets), "[%s]", word);
	return strstr(value, in_brackets) != NULL;
}

/*
 * Documentation/admin-guide/mm/transhuge.rst; seeds: "enable Transparent HugePages or statically allocate 1GB HugePages
 * on the L0 host". QEMU asks for huge pages itself (madvise), so that madvise is as good as always for guests.
 */
static void look_huge_pages(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	const struct facts *facts = patient->facts;
	const struct attribute *enabled = facts_attribute_entry(facts, path);
	struct number large = look_number(facts, "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages");
	struct finding *finding;

	if (!look_is_host(facts))
		return;
	if (!enabled) {
		finding_unknown(check, examination, patient, path);
		return;
	}
	if (!is_chosen(enabled->value, "never")) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "guests get huge pages%s",
				      large.known && large.value ? ", and pages of 1 GiB are reserved" : "");
	} else if (number_or(large, 0) > 0 || number_or(facts->memory.huge_pages, 0) > 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "huge pages are reserved, and not made by themselves");
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN, "guests get no huge pages");
		finding_remedy(examination, finding, "echo madvise > %s", path);
		mend_poke(examination,
			  mend_new(examination, finding, "let guests have huge pages, until the next boot"), path,
			  "madvise", "never");
		if (look_flag(facts, "pdpe1gb") == TRUTH_YES)
			finding_kernel_words(examination, finding, true, "hugepagesz=1G hugepages=8");
	}
	finding_attribute(examination, finding, enabled);
}

const struct check check_memory_huge_pages = {
	.id = "memory.huge-pages",
	.title = "guests' memory lies in huge pages",
	.severity = SEVERITY_ADVICE,
	.matters = "A guest of a guest walks page tables of page tables: up to 24 steps for one address with small "
		   "pages, far "
		   "fewer with huge ones.",
	.fixable = true,
	.look = look_huge_pages,
};

/* Documentation/admin-guide/mm/ksm.rst */
static void look_ksm(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char path[] = "/sys/kernel/mm/ksm/run";
	const char *value = facts_attribute(patient->facts, path);
	struct finding *finding;

	if (!look_is_host(patient->facts))
		return;
	if (!value) {
		finding_unknown(check, examination, patient, path);
		return;
	}
	if (strcmp(value, "1") == 0) {
		finding =
			finding_add(check, examination, patient, RESULT_WARN,
				    "equal pages of guests are merged (KSM): that saves memory, splits huge pages, and "
				    "lets one guest find out by timing what another one holds");
		finding_remedy(examination, finding, "echo 2 > %s    # and systemctl disable --now ksmtuned ksm", path);
	} else {
		finding = finding_add(check, examination, patient, RESULT_PASS, "pages of guests are not merged (KSM)");
	}
	finding_attribute(examination, finding, facts_attribute_entry(patient->facts, path));
}

const struct check check_memory_ksm = {
	.id = "memory.ksm",
	.title = "pages are not shared between guests (KSM)",
	.severity = SEVERITY_NOTE,
	.matters = "Merging helps where many equal guests must fit, and costs speed and secrecy everywhere else.",
	.look = look_ksm,
};

/* "Node 0 MemTotal:       65773796 kB" */
static uint64_t node_memory_kib(const char *meminfo)
{
	const char *at = strstr(meminfo, "MemTotal:");

	return at ? strtoull(at + strlen("MemTotal:"), NULL, 10) : 0;
}

/* Documentation/admin-guide/mm/numa_memory_policy.rst; sysctl/kernel.rst, numa_balancing */
static void look_numa(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct sysctl *balancing = facts_sysctl_entry(facts, "kernel.numa_balancing");
	const struct attribute *node, *first = NULL;
	uint64_t smallest = UINT64_MAX;
	char size[BYTES_TEXT_SIZE];
	struct finding *finding;
	size_t at = 0, nodes = 0;

	if (!look_is_host(facts))
		return;
	while ((node = look_next(facts, "/sys/devices/system/node/node*/meminfo", &at))) {
		uint64_t kib = node_memory_kib(node->value);

		nodes++;
		first = first ? first : node;
		smallest = kib < smallest ? kib : smallest;
	}
	if (nodes == 0) {
		finding_unknown(check, examination, patient, "/sys/devices/system/node");
		return;
	}
	text_bytes(smallest * 1024, size);
	if (nodes == 1) {
		finding =
			finding_add(check, examination, patient, RESULT_PASS, "all memory is equally near (one node)");
	} else if (balancing && strcmp(balancing->value, "0") != 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "%zu NUMA nodes, and the kernel moves guests to their memory; one larger than %s "
				      "spans nodes all the same",
				      nodes, size);
		finding_evidence(examination, finding, &balancing->origin, "kernel.numa_balancing = %s",
				 balancing->value);
	} else {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "%zu NUMA nodes, and nothing keeps a guest near its memory", nodes);
		finding_remedy(examination, finding, "sysctl -w kernel.numa_balancing=1");
		finding_remedy(examination, finding,
			       "or pin guests of up to %s to one node (numactl --cpunodebind=0 "
			       "--membind=0; libvirt: <numatune>)",
			       size);
	}
	finding_evidence(examination, finding, &first->origin, "%zu node%s, the smallest of %s", nodes,
			 nodes == 1 ? "" : "s", size);
}

const struct check check_memory_numa = {
	.id = "memory.numa",
	.title = "guests stay near their memory (NUMA)",
	.severity = SEVERITY_NOTE,
	.matters = "Memory of another socket takes about twice as long to reach, and a nested page walk reaches for it "
		   "often.",
	.look = look_numa,
};
