/* Devices that guests' networks and passed-through devices need. */
#include "base/arena.h"
#include "doctor/checks.h"
#include "doctor/mend.h"

#include <stdlib.h>
#include <string.h>

/* A device node that a module of the kernel makes. */
struct device {
	const char *node, *module;
	const char *without; /* what then happens */
};

static void look_device_node(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct device *device = check->data;
	const struct node *node = facts_node(patient->facts, device->node);
	enum truth there = node ? node->exists : TRUTH_UNKNOWN;
	struct finding *finding;

	if (!look_is_host(patient->facts))
		return;
	/* The modules are loaded when their device is opened, so that the node alone says that it works. */
	if (there == TRUTH_YES ||
	    (there == TRUTH_UNKNOWN && look_loaded(patient->facts, device->module) == TRUTH_YES)) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "%s is there", device->node);
		finding_evidence(examination, finding, node ? &node->origin : NULL, "%s",
				 there == TRUTH_YES ? device->node : device->module);
	} else if (there == TRUTH_NO) {
		finding = finding_add(check, examination, patient,
				      check->severity == SEVERITY_REQUIRED ? RESULT_FAIL : RESULT_WARN,
				      "there is no %s: %s", device->node, device->without);
		finding_evidence(examination, finding, &node->origin, "%s is missing", device->node);
		mend_module(examination, finding, device->module);
		if (look_is_wsl(patient->facts))
			finding_remedy(examination, finding,
				       "where modprobe finds no such module: wsl --update in Windows, for its kernel");
	} else {
		finding_unknown(check, examination, patient, device->node);
	}
}

static const struct device tun = {"/dev/net/tun", "tun", "guests get no network cards"},
			   vhost = {"/dev/vhost-net", "vhost_net", "each packet of a guest goes through QEMU"};

/* Documentation/networking/tuntap.rst */
const struct check check_net_tun = {
	.id = "net.tun",
	.title = "guests can have network cards (tun)",
	.severity = SEVERITY_REQUIRED,
	.matters = "A guest's network card is a tap device of its host, which the module tun makes.",
	.fixable = true,
	.data = &tun,
	.look = look_device_node,
};

const struct check check_net_vhost = {
	.id = "net.vhost",
	.title = "packets of guests pass through the kernel alone (vhost-net)",
	.severity = SEVERITY_NOTE,
	.matters =
		"With vhost-net the kernel moves a guest's packets itself; without it each wakes QEMU, at every layer.",
	.fixable = true,
	.data = &vhost,
	.look = look_device_node,
};

/* The highest number of a group, and how many there are. */
static size_t count_groups(const struct facts *facts)
{
	const struct attribute *type;
	size_t at = 0, groups = 0;

	while ((type = look_next(facts, "/sys/kernel/iommu_groups/*/type", &at)))
		groups++;
	return groups;
}

/*
 * Documentation/driver-api/vfio.rst. Intel's is off by default in many kernels (CONFIG_INTEL_IOMMU_DEFAULT_ON), AMD's
 * is on where the firmware has it on.
 */
static void look_iommu(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct processor_kind *kind = look_processor_kind(facts);
	const struct node *first = facts_node(facts, "/sys/kernel/iommu_groups/0");
	size_t groups = count_groups(facts);
	struct finding *finding;

	/* Inside a guest there is one only where its host emulates one, and nothing to pass through. */
	if (!look_is_host(facts) || look_is_inside(patient) == TRUTH_YES)
		return;
	if (groups > 0 || (first && first->exists == TRUTH_YES)) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "devices can be given to guests: the IOMMU is in use");
		if (groups > 0)
			finding_evidence(examination, finding, NULL, "%zu groups (/sys/kernel/iommu_groups)", groups);
		else
			finding_evidence(examination, finding, &first->origin, "/sys/kernel/iommu_groups/0");
	} else if (first && first->exists == TRUTH_NO) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "no device can be given to a guest: the IOMMU is not in use");
		finding_evidence(examination, finding, &first->origin, "/sys/kernel/iommu_groups is empty");
		if (kind && strcmp(kind->flag, "vmx") == 0)
			finding_kernel_words(examination, finding, true, "intel_iommu=on iommu=pt");
		finding_remedy(examination, finding, "in the firmware setup: switch on \"%s\"",
			       kind && strcmp(kind->flag, "svm") == 0 ? "IOMMU" : "VT-d");
	} else {
		finding_unknown(check, examination, patient, "/sys/kernel/iommu_groups");
	}
}

const struct check check_device_iommu = {
	.id = "device.iommu",
	.title = "devices can be given to guests (IOMMU)",
	.severity = SEVERITY_NOTE,
	.matters = "Only with an IOMMU can a guest have a real device without being able to read all of the host's "
		   "memory.",
	.after = AFTER_REBOOT,
	.look = look_iommu,
};

/* The PCI address in an IOMMU group's path: "/sys/kernel/iommu_groups/3/devices/0000:01:00.0/uevent" */
static const char *group_of(struct arena *arena, const char *path)
{
	const char *name = path + strlen("/sys/kernel/iommu_groups/");

	return arena_strndup(arena, name, strcspn(name, "/"));
}

static bool is_bridge_device(const char *uevent)
{
	return strstr(uevent, "PCI_CLASS=604") || strstr(uevent, "PCI_CLASS=60400") ||
	       strstr(uevent, "DRIVER=pcieport");
}

/* A group is given to a guest as a whole: devices that share one with others of different slots cannot go alone. */
static void look_groups(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct attribute *device, *last = NULL;
	size_t at = 0, devices = 0, shared = 0;
	struct finding *finding;

	if (!look_is_host(facts) || look_is_inside(patient) == TRUTH_YES || count_groups(facts) == 0)
		return;
	while ((device = look_next(facts, "/sys/kernel/iommu_groups/*/devices/*/uevent", &at))) {
		const char *slot = strrchr(
			arena_strndup(examination->arena, device->path, strlen(device->path) - strlen("/uevent")), '/');
		const char *last_slot;

		if (is_bridge_device(device->value))
			continue;
		devices++;
		last_slot = last ? strrchr(arena_strndup(examination->arena, last->path,
							 strlen(last->path) - strlen("/uevent")),
					   '/')
				 : NULL;
		/* Functions of one card (01:00.0 and 01:00.1) belong together anyway. */
		if (last &&
		    strcmp(group_of(examination->arena, last->path), group_of(examination->arena, device->path)) == 0 &&
		    strncmp(slot, last_slot, strcspn(slot, ".")) != 0)
			shared++;
		last = device;
	}
	if (devices == 0) {
		finding_unknown(check, examination, patient, "the devices in /sys/kernel/iommu_groups");
		return;
	}
	if (shared == 0) {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "every device is alone in its IOMMU group");
	} else {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"%zu of %zu devices share an IOMMU group with others, and go to a guest only together",
			shared + 1, devices);
		finding_remedy(examination, finding,
			       "for d in /sys/kernel/iommu_groups/*/devices/*; do echo $d; done    # "
			       "and put the card into a slot with a group of its own");
	}
	finding_evidence(examination, finding, NULL, "%zu devices (/sys/kernel/iommu_groups)", devices);
}

const struct check check_device_groups = {
	.id = "device.groups",
	.title = "devices are alone in their IOMMU groups",
	.severity = SEVERITY_NOTE,
	.matters = "What shares a group can reach each other past the IOMMU, so that all of it goes to one guest, or "
		   "none.",
	.look = look_groups,
};

/* Documentation/PCI/pci-iov-howto.rst */
static void look_sriov(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const struct attribute *total, *first = NULL;
	unsigned long long possible = 0, used = 0;
	struct finding *finding;
	size_t at = 0, count;

	if (!look_is_host(facts))
		return;
	while ((total = look_next(facts, "/sys/class/net/*/device/sriov_totalvfs", &at))) {
		const char *used_path = arena_printf(examination->arena, "%.*sriov_numvfs",
						     (int)(strlen(total->path) - strlen("riov_totalvfs")), total->path);

		first = first ? first : total;
		possible += strtoull(total->value, NULL, 10);
		used += number_or(look_number(facts, used_path), 0);
	}
	if (!look_below(facts, "/sys/class/net/", &count)) {
		finding_unknown(check, examination, patient, "what its network cards can (/sys/class/net)");
		return;
	}
	if (possible == 0) /* an ordinary card: nothing to advise */
		return;
	if (used > 0) {
		finding =
			finding_add(check, examination, patient, RESULT_PASS,
				    "%llu of %llu virtual functions of network cards are switched on", used, possible);
	} else {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"a network card here could be shared between guests by itself (SR-IOV), and is not");
		finding_remedy(examination, finding, "echo 4 > %.*sriov_numvfs",
			       (int)(strlen(first->path) - strlen("riov_totalvfs")), first->path);
	}
	finding_attribute(examination, finding, first);
}

const struct check check_net_sriov = {
	.id = "net.sriov",
	.title = "network cards that can be shared in hardware are (SR-IOV)",
	.severity = SEVERITY_NOTE,
	.matters = "A virtual function is a network card of its own, whose packets no layer's CPU has to move.",
	.look = look_sriov,
};
