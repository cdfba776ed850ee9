/* A libvirt domain as a guest of a lab file (https://libvirt.org/formatdomain.html). */
#include "base/arena.h"
#include "doctor/adopt_internal.h"
#include "doctor/checks.h"
#include "driver/libvirt_xml.h"
#include "model/windows.h"
#include "render/text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MIB(n) ((uint64_t)(n) << 20)

static const char *text_of(struct entry *entry, const char *xpath)
{
	return xml_text(entry->xml, entry->adopter->arena, "%s", xpath);
}

/* ─── what cannot be a guest ─── */

void adopt_check_domain(struct entry *entry)
{
	static const char *const containers[] = {"lxc", "openvz"};
	const char *type = text_of(entry, "/domain/@type"), *arch = text_of(entry, "/domain/os/type/@arch");

	if (xml_has(entry->xml, "//*[namespace-uri() = '" LIBVIRT_MARK_URI "']"))
		entry_leave_out(entry, "it bears nestvisor's mark: a lab file has it already");
	for (size_t i = 0; i < sizeof(containers) / sizeof(*containers); i++)
		if (strcmp(type, containers[i]) == 0)
			entry_leave_out(entry, "it is a container (%s), not a virtual machine", type);
	if (xml_has(entry->xml, "/domain/os/type = 'exe'"))
		entry_leave_out(entry, "it is a container, not a virtual machine");
	if (*arch && strcmp(arch, "x86_64") != 0 && strcmp(arch, "i686") != 0)
		entry_leave_out(entry, "its CPU is %s, and nestvisor's guests have x86-64", arch);
	if (!entry->left_out && strcmp(type, "kvm") != 0 && strcmp(type, "qemu") != 0)
		entry_note(entry, "it is a domain of type %s: nestvisor's guests run in QEMU", *type ? type : "?");
}

/* ─── CPUs and memory ─── */

static void add_cpus(struct entry *entry)
{
	const char *text = text_of(entry, "/domain/vcpu"), *current = text_of(entry, "/domain/vcpu/@current");
	unsigned long cpus = *text ? strtoul(text, NULL, 10) : 1;

	if (cpus < 1 || cpus > 255) {
		entry_note(entry, "%s CPUs are not taken over: a guest has 1 to 255", text);
		return;
	}
	if (*current && strcmp(current, text) != 0)
		entry_note(entry, "it starts with %s of its CPUs; nestvisor's guests have all at once", current);
	strbuf_printf(&entry->body, "    cpus: %lu\n", cpus);
}

/* libvirt's units: KiB where none is given, and SI's where the letter is followed by B alone. */
static uint64_t bytes_of(const char *number, const char *unit)
{
	static const char letters[] = "kmgt";
	uint64_t value = strtoull(number, NULL, 10), factor = 1024;
	char lower = *unit >= 'A' && *unit <= 'Z' ? (char)(*unit - 'A' + 'a') : *unit;
	const char *at = lower ? strchr(letters, lower) : letters;

	if (!at) /* b, bytes */
		return value;
	factor = *unit && strcmp(unit + 1, "B") == 0 ? 1000 : 1024;
	for (const char *letter = letters; letter <= at; letter++)
		if (__builtin_mul_overflow(value, factor, &value))
			return UINT64_MAX;
	return value;
}

static void add_memory(struct entry *entry)
{
	const char *text = text_of(entry, "/domain/memory"), *current = text_of(entry, "/domain/currentMemory");
	uint64_t bytes = bytes_of(text, text_of(entry, "/domain/memory/@unit"));
	uint64_t now = bytes_of(current, text_of(entry, "/domain/currentMemory/@unit"));

	if (bytes < MIB(32) || bytes > MIB(16) << 20) {
		entry_note(entry, "its memory, %s, is not taken over: a guest has 32M to 16T", *text ? text : "none");
		return;
	}
	if (*current && now < bytes)
		entry_note(entry, "its balloon leaves it %lluM of its memory; nestvisor's guests have all of it",
			   (unsigned long long)(now >> 20));
	if (bytes % MIB(1024) == 0)
		strbuf_printf(&entry->body, "    memory: %lluG\n", (unsigned long long)(bytes >> 30));
	else
		strbuf_printf(&entry->body, "    memory: %lluM\n", (unsigned long long)(bytes >> 20));
}

/* ─── disks ─── */

#define DISKS "/domain/devices/disk[not(@device) or @device = 'disk' or @device = 'lun']"

/* Whether a lab file can say it: one line of visible characters. */
static bool is_path(const char *path)
{
	cleanup_strbuf struct strbuf safe = {};

	text_safe(&safe, path, false);
	return path[0] == '/' && strlen(path) < PATH_MAX && strcmp(path, safe.text) == 0;
}

/* The path of the disk it boots from, NULL with a note where a lab file cannot name it. */
static const char *image_of(struct entry *entry)
{
	struct adopter *adopter = entry->adopter;
	const char *type = text_of(entry, "(" DISKS ")[1]/@type"), *format;
	const char *path = text_of(entry, "(" DISKS ")[1]/source/@*[name() = 'file' or name() = 'dev']");

	if (!xml_has(entry->xml, "%s", DISKS)) {
		entry_note(entry, "it has no disk: nestvisor would boot the image micro");
		return NULL;
	}
	if (!is_path(path) || (strcmp(type, "file") != 0 && strcmp(type, "block") != 0)) {
		entry_note(entry,
			   "its disk %s is of type %s: a lab file names files and devices of this host alone, by "
			   "absolute paths "
			   "of visible characters, so nestvisor would boot the image micro",
			   adopter_quote(entry->adopter, path), *type ? type : "?");
		return NULL;
	}
	format = text_of(entry, "(" DISKS ")[1]/driver/@type");
	if (*format && strcmp(format, "raw") != 0 && strcmp(format, "qcow2") != 0) {
		entry_note(entry, "its disk %s is %s: nestvisor reads qcow2 and raw, so it would boot the image micro",
			   adopter_quote(adopter, path), format);
		return NULL;
	}
	return path;
}

static void note_disks(struct entry *entry)
{
	size_t count = xml_count(entry->xml, "count(" DISKS ")");

	for (size_t i = 2; i <= count; i++) {
		const char *path = xml_text(entry->xml, entry->adopter->arena, "(" DISKS ")[%zu]/source/@*", i);
		const char *target = xml_text(entry->xml, entry->adopter->arena, "(" DISKS ")[%zu]/target/@dev", i);

		entry_note(entry, "the disk %s (%s) is not taken over: a guest has one", target, *path ? path : "?");
	}
	if (xml_has(entry->xml, "/domain/devices/disk[@device = 'cdrom' or @device = 'floppy']/source/@*"))
		entry_note(entry, "what lies in its drives is not taken over: %s",
			   text_of(entry, "/domain/devices/disk[@device = 'cdrom' or @device = 'floppy']/source/@*"));
}

/* ─── what boots, and how ─── */

static const char *firmware_of(struct entry *entry)
{
	struct xml *xml = entry->xml;

	if (!xml_has(xml, "/domain/os/@firmware = 'efi' or /domain/os/loader/@type = 'pflash'"))
		return "bios";
	return xml_has(xml,
		       "/domain/os/loader/@secure = 'yes' or /domain/os/firmware/feature[@name = 'secure-boot' and "
		       "@enabled = 'yes']")
		       ? "uefi-secure"
		       : "uefi";
}

static const char *windows_name(unsigned version)
{
	return version == WINDOWS_11 ? "windows-11" : version == WINDOWS_10 ? "windows-10" : "windows-server";
}

/* The keys that go with a disk of its own; the image micro is Linux without a firmware. */
static void add_system(struct entry *entry, const char *image)
{
	unsigned windows = domain_windows(entry->xml);
	const char *firmware = firmware_of(entry);
	bool tpm = xml_has(entry->xml, "/domain/devices/tpm");

	if (!image) {
		if (windows || strcmp(firmware, "bios") != 0 || tpm)
			entry_note(entry, "with a disk it would have: os: %s, firmware: %s, tpm: %s",
				   windows ? windows_name(windows) : "linux", firmware, tpm ? "true" : "false");
		return;
	}
	strbuf_printf(&entry->body, "    image: %s\n", adopter_quote(entry->adopter, image));
	if (windows)
		strbuf_printf(&entry->body, "    os: %s\n", windows_name(windows));
	else if (!entry->adopter->driver)
		strbuf_add(&entry->body, "    seed: none\n"); /* it has its name and addresses; Windows' default */
	if (windows || strcmp(firmware, "bios") != 0)
		strbuf_printf(&entry->body, "    firmware: %s\n", firmware);
	if (tpm != (windows == WINDOWS_11))
		strbuf_printf(&entry->body, "    tpm: %s\n", tpm ? "true" : "false");
	if (strcmp(firmware, "bios") != 0)
		entry_note(entry, "nestvisor's guest gets UEFI variables of its own: boot entries made in this one are "
				  "not in it");
	if (tpm)
		entry_note(entry,
			   "nestvisor's guest gets a TPM of its own: what was sealed to this one's cannot be opened");
}

static bool shows_virtualization(struct xml *xml)
{
	static const char name[] = "@name = 'vmx' or @name = 'svm'";

	if (xml_has(xml, "/domain/cpu/feature[(%s) and (@policy = 'disable' or @policy = 'forbid')]", name))
		return false;
	return xml_has(xml, "/domain/cpu[@mode = 'host-passthrough' or @mode = 'maximum'] or /domain/cpu/feature[%s]",
		       name);
}

static void add_machine(struct entry *entry)
{
	struct xml *xml = entry->xml;
	bool display = xml_has(xml, "/domain/devices/graphics"), windows = domain_windows(xml);

	if (display != windows)
		strbuf_printf(&entry->body, "    display: %s\n", display ? "true" : "false");
	if (xml_has(xml, "/domain/features/kvm/hidden/@state = 'on' or "
			 "/domain/cpu/feature[@name = 'hypervisor' and @policy = 'disable']"))
		strbuf_add(&entry->body, "    hypervisor: hidden\n");
	if (shows_virtualization(xml))
		strbuf_add(&entry->body, "    nested: true\n");
}

/* ─── NICs ─── */

static struct adopted_network *find_network(struct adopter *adopter, const char *network, const char *bridge)
{
	for (size_t i = 0; i < adopter->network_count; i++)
		if (*network ? strcmp(adopter->networks[i].libvirt, network) == 0
			     : *bridge && strcmp(adopter->networks[i].bridge, bridge) == 0)
			return &adopter->networks[i];
	return NULL;
}

/* The network that the NIC is plugged into; NULL with a note where the lab has none such. */
static struct adopted_network *network_of_nic(struct entry *entry, size_t index)
{
	struct arena *arena = entry->adopter->arena;
	const char *type = xml_text(entry->xml, arena, "(/domain/devices/interface)[%zu]/@type", index);
	const char *name = xml_text(entry->xml, arena, "(/domain/devices/interface)[%zu]/source/@network", index);
	const char *bridge = xml_text(entry->xml, arena, "(/domain/devices/interface)[%zu]/source/@bridge", index);
	struct adopted_network *network = find_network(entry->adopter, name, bridge);

	if (strcmp(type, "network") != 0 && strcmp(type, "bridge") != 0)
		entry_note(
			entry,
			"NIC %zu is left out: it is of type %s, and a lab's NICs are plugged into the lab's networks",
			index, *type ? type : "?");
	else if (!network)
		entry_note(entry, "NIC %zu is left out: there is no definition of %s \"%s\"", index,
			   *name ? "the network" : "a network with the bridge", *name ? name : bridge);
	else if (!network->name)
		entry_note(entry, "NIC %zu is left out: the network \"%s\" is", index, network->libvirt);
	else
		return network;
	return NULL;
}

/* What the network's DHCP keeps for this MAC address, IPv4 alone. */
static const char *reserved_address(struct entry *entry, const struct adopted_network *network, const char *mac)
{
	struct arena *arena = entry->adopter->arena;
	size_t count = xml_count(network->xml, "count(/network/ip/dhcp/host)");
	uint8_t wanted[6], found[6];
	struct ip ip;

	if (!mac_parse(mac, wanted))
		return NULL;
	for (size_t i = 1; i <= count; i++) {
		const char *address = xml_text(network->xml, arena, "(/network/ip/dhcp/host)[%zu]/@ip", i);

		if (mac_parse(xml_text(network->xml, arena, "(/network/ip/dhcp/host)[%zu]/@mac", i), found) &&
		    memcmp(wanted, found, 6) == 0 && ip_parse(address, &ip) && ip.family == AF_INET &&
		    prefix_contains(&network->subnet4, &ip) && !ip_equal(&ip, &network->gateway4))
			return address;
	}
	return NULL;
}

static const char *usable_mac(struct entry *entry, const struct adopted_network *network, size_t index,
			      const char *text)
{
	static const uint8_t zero[6];
	/* one of libvirt's own has the one that it has */
	const char *without = entry->adopter->driver ? "is left out" : "gets another MAC address";
	char shown[MAC_TEXT_SIZE];
	uint8_t mac[6];

	if (!*text)
		return NULL;
	if (!mac_parse(text, mac) || mac[0] & 1 || memcmp(mac, zero, 6) == 0)
		entry_note(entry, "NIC %zu %s: \"%s\" is none of one NIC", index, without, text);
	else if (!adopter_take(entry->adopter, network->name, mac_format(mac, shown)))
		entry_note(entry, "NIC %zu %s: one before it in \"%s\" has %s, too", index, without, network->libvirt,
			   text);
	else
		return arena_strdup(entry->adopter->arena, shown);
	return NULL;
}

static const struct adopt_phrase nic_phrases[] = {
	{"/domain/devices/interface/filterref",
	 "filterref: a lab's guests are confined by cut and seal, not by nwfilter"},
	{"/domain/devices/interface/bandwidth", "bandwidth: a lab's NIC has no limit"},
	{"/domain/devices/interface/vlan", "vlan: a lab's NIC has no tags"},
	{"/domain/devices/interface/link[@state = 'down']", "link state down: a lab's NICs are up"},
	{"/domain/devices/interface/model[@type != 'virtio' and @type != 'virtio-net-pci']",
	 "its NIC is emulated (not virtio): nestvisor's are virtio, for which Windows needs a driver"},
	{"/domain/devices/interface/port[@isolated = 'yes']", "port isolated: guests of one network reach each other"},
	{NULL, NULL},
};

static bool add_nic(struct entry *entry, size_t index)
{
	struct arena *arena = entry->adopter->arena;
	const char *text = xml_text(entry->xml, arena, "(/domain/devices/interface)[%zu]/mac/@address", index);
	struct adopted_network *network = network_of_nic(entry, index);
	const char *mac = network ? usable_mac(entry, network, index, text) : NULL, *address;

	if (!network)
		return false;
	address = mac ? reserved_address(entry, network, mac) : NULL;
	if (address && !adopter_take(entry->adopter, network->name, address))
		address = NULL;
	if (entry->adopter->driver && *text && !mac)
		return false;
	if (!address && !network->dhcp && !entry->adopter->driver) {
		entry_note(entry,
			   "NIC %zu is left out: its address is not known, and \"%s\" has no DHCP. With an address:",
			   index, network->libvirt);
		entry_note(entry, "- {network: \"%s\", address: ADDRESS%s%s%s}", network->name, mac ? ", mac: \"" : "",
			   mac ? mac : "", mac ? "\"" : "");
		entry->adopter->result->notes--; /* the line before counts */
		return false;
	}
	strbuf_printf(&entry->body, "      - {network: \"%s\"", network->name);
	if (address)
		strbuf_printf(&entry->body, ", address: %s", address);
	if (mac)
		strbuf_printf(&entry->body, ", mac: \"%s\"", mac);
	strbuf_add(&entry->body, "}\n");
	return true;
}

static void add_nics(struct entry *entry)
{
	size_t count = xml_count(entry->xml, "count(/domain/devices/interface)"), written = 0, start;

	strbuf_add(&entry->body, "    nics:\n");
	start = entry->body.length;
	for (size_t i = 1; i <= count; i++)
		written += add_nic(entry, i);
	entry_phrases(entry, nic_phrases);
	if (written > 0)
		return;
	entry->body.length = start - 1;
	entry->body.text[entry->body.length] = '\0';
	strbuf_add(&entry->body, " []\n");
}

/* ─── the rest ─── */

static const struct adopt_phrase domain_phrases[] = {
	{"/domain/os/kernel", "kernel, initrd, cmdline: nestvisor boots what is on the disk"},
	{"/domain/os/boot[1]/@dev = 'network' or /domain/os/boot[1]/@dev = 'cdrom'",
	 "boot order: nestvisor's guests boot from their disk"},
	{"/domain/os/type/@arch = 'i686'", "its CPU is i686: nestvisor's guests have x86-64, which runs it"},
	{"/domain/cpu[@mode = 'custom' or model] | /domain/cpu/feature[@name != 'vmx' and @name != 'svm' and @name != "
	 "'hypervisor']",
	 "its CPU's model and features are not taken over: nestvisor's guests see the host's CPU"},
	{"/domain/cpu/topology", "the CPU's topology: nestvisor lets QEMU choose"},
	{"/domain/cpu/numa", "the CPU's NUMA cells: a guest has one"},
	{"/domain/clock[@offset != 'utc'] and not(contains(//*[local-name() = 'os']/@id, 'microsoft'))",
	 "its clock does not run in UTC: nestvisor's guests' does, but for Windows"},
	{"not(/domain/devices/channel/target[@name = 'org.qemu.guest_agent.0'])",
	 "it has no channel for the guest agent, which exec, cp and status ask: install qemu-guest-agent in it"},
	{NULL, NULL},
};

static const char *const domain_covered[] = {
	"name",	   "uuid",	     "title",	 "description", "metadata",    "memory",    "currentMemory", "vcpu",
	"os",	   "features",	     "cpu",	 "clock",	"on_poweroff", "on_reboot", "on_crash",	     "pm",
	"devices", "on_lockfailure", "resource", "seclabel",	"genid",       NULL};

static const struct adopt_phrase domain_reasons[] = {
	{"memoryBacking", "nestvisor's guests have ordinary memory, neither huge pages nor shared"},
	{"cputune", "nestvisor pins no CPUs"},
	{"vcpus", "nestvisor's guests have all CPUs at once"},
	{"numatune", "nestvisor places no memory"},
	{"sysinfo", "nestvisor's guests have QEMU's own SMBIOS"},
	{"launchSecurity", "nestvisor does not encrypt memory"},
	{"qemu:commandline", "a lab file has no words for QEMU itself"},
	{NULL, NULL},
};

static const char *const devices_covered[] = {"emulator", "disk",  "controller", "interface", "serial", "console",
					      "channel",  "input", "tpm",	 "graphics",  "video",	"memballoon",
					      "rng",	  "panic", "audio",	 "hub",	      NULL};

static const struct adopt_phrase devices_reasons[] = {
	{"hostdev", "a lab file cannot pass the host's devices on"},
	{"filesystem", "a lab file has no shared folders; cp copies"},
	{"sound", "nestvisor's guests make no sound"},
	{"redirdev", "nestvisor does not redirect USB"},
	{NULL, NULL},
};

void adopt_domain(struct entry *entry)
{
	const char *image;

	add_cpus(entry);
	add_memory(entry);
	image = image_of(entry);
	add_system(entry, image);
	note_disks(entry);
	add_machine(entry);
	add_nics(entry);
	entry_phrases(entry, domain_phrases);
	entry_elements(entry, "/domain", domain_covered, domain_reasons);
	entry_elements(entry, "/domain/devices", devices_covered, devices_reasons);
}
