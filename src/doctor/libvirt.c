/* What libvirt itself would stumble over: its daemons, who may ask them, its default network, and what its guests need.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "base/xml.h"
#include "doctor/checks.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static enum truth exists(const struct facts *facts, const char *path)
{
	const struct node *node = facts_node(facts, path);

	return node ? node->exists : TRUTH_UNKNOWN;
}

static bool is_installed(const struct facts *facts, const char *program)
{
	const struct program *found = facts_program(facts, program);

	return found && found->installed == TRUTH_YES;
}

static bool has_daemon(const struct facts *facts)
{
	return look_is_host(facts) && look_has_libvirt(facts);
}

/* ─── the daemon ─── */

#define SOCKET	       "/run/libvirt/libvirt-sock"
#define MODULAR_SOCKET "/run/libvirt/virtqemud-sock"
#define NETWORK_SOCKET "/run/libvirt/virtnetworkd-sock"
#define FILTER_SOCKET  "/run/libvirt/virtnwfilterd-sock"

/* libvirt.org/daemons.html: one daemon for all, or one for each kind; of the latter virtqemud alone finds no networks.
 */
static void remedy_daemon(struct examination *examination, struct finding *finding, const struct facts *facts)
{
	if (is_installed(facts, "libvirtd"))
		finding_remedy(examination, finding, "systemctl enable --now libvirtd.socket");
	else
		finding_remedy(
			examination, finding,
			"for d in qemu network nodedev nwfilter secret storage interface; do systemctl enable --now "
			"virt${d}d.socket; done");
}

static void look_daemon(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	enum truth whole = exists(facts, SOCKET), modular = exists(facts, MODULAR_SOCKET);
	struct finding *finding;

	if (!has_daemon(facts))
		return;
	if (whole != TRUTH_YES && modular != TRUTH_YES) {
		if (whole == TRUTH_UNKNOWN || modular == TRUTH_UNKNOWN) {
			finding_unknown(check, examination, patient, "whether " SOCKET " is there");
			return;
		}
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "libvirt is installed, and none of its daemons runs or is waited for by systemd");
		finding_evidence(examination, finding, &facts_node(facts, SOCKET)->origin,
				 "neither " SOCKET " nor " MODULAR_SOCKET);
		remedy_daemon(examination, finding, facts);
		return;
	}
	if (modular == TRUTH_YES && exists(facts, NETWORK_SOCKET) == TRUTH_NO) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"virtqemud is there and virtnetworkd is not: no guest on a network of libvirt's starts");
		finding_evidence(examination, finding, &facts_node(facts, MODULAR_SOCKET)->origin,
				 MODULAR_SOCKET ", and no " NETWORK_SOCKET);
		finding_remedy(examination, finding, "systemctl enable --now virtnetworkd.socket virtnwfilterd.socket");
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_PASS, "libvirt can be asked%s",
			      modular == TRUTH_YES ? ", by its modular daemons" : "");
	finding_evidence(examination, finding,
			 &facts_node(facts, modular == TRUTH_YES ? MODULAR_SOCKET : SOCKET)->origin, "%s",
			 modular == TRUTH_YES ? MODULAR_SOCKET : SOCKET);
}

const struct check check_libvirt_daemon = {
	.id = "libvirt.daemon",
	.title = "libvirt's daemon can be asked",
	.severity = SEVERITY_ADVICE,
	.matters = "Without it virsh says that it failed to connect, and `driver: qemu:///system` and adopt have "
		   "nobody to talk to.",
	.look = look_daemon,
};

/* ─── who may ask it ─── */

static const char *socket_of(const struct facts *facts)
{
	return exists(facts, SOCKET) == TRUTH_YES	    ? SOCKET
	       : exists(facts, MODULAR_SOCKET) == TRUTH_YES ? MODULAR_SOCKET
							    : NULL;
}

static bool is_in_group(const struct caller *caller, const char *group)
{
	for (size_t i = 0; group && i < caller->group_count; i++)
		if (strcmp(caller->groups[i], group) == 0)
			return true;
	return false;
}

/* A socket of systemd's is open to all, and polkit asks who it is; libvirtd's own is its group's. */
static void look_socket(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	const char *path = socket_of(facts), *user = facts->caller.user ? facts->caller.user : "$USER";
	const struct node *node = path ? facts_node(facts, path) : NULL;
	struct finding *finding;

	if (!has_daemon(facts) || (!path && exists(facts, SOCKET) == TRUTH_NO))
		return;
	if (!node || !node->mode.known || !facts->caller.id.known) {
		finding_unknown(check, examination, patient, "who asks, and the mode of " SOCKET);
		return;
	}
	if (facts->caller.id.value != 0 && (node->mode.value & 02) == 0 && !is_in_group(&facts->caller, node->group)) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "%s may not open libvirt's socket: it is for root and the group %s", user,
				      node->group ? node->group : "?");
		finding_evidence(examination, finding, &node->origin, "%s has mode %04o", path,
				 (unsigned)node->mode.value);
		finding_remedy(examination, finding, "sudo usermod -aG %s %s    # and log in again",
			       node->group ? node->group : "libvirt", user);
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_PASS, "%s may open libvirt's socket",
			      facts->caller.id.value == 0 ? "root" : user);
	finding_evidence(examination, finding, &node->origin, "%s has mode %04o", path, (unsigned)node->mode.value);
}

const struct check check_libvirt_socket = {
	.id = "libvirt.socket",
	.title = "this user may open libvirt's socket",
	.severity = SEVERITY_NOTE,
	.matters = "Who may not is told \"Permission denied\" by virsh and virt-manager, or sees an empty libvirt of "
		   "his own.",
	.after = AFTER_RELOGIN,
	.look = look_socket,
};

/* ─── what its guests want ─── */

/* The definitions that one expression of XPath is true of, by their names. */
struct wanting {
	struct strbuf names;
	size_t count, domains, unreadable;
	const struct document *first;
};

static void find_wanting(const struct facts *facts, const char *kind, const char *xpath, struct wanting *ret)
{
	*ret = (struct wanting){0};
	for (size_t i = 0; i < facts->document_count; i++) {
		const struct document *document = &facts->documents[i];
		cleanup_xml struct xml *xml = NULL;

		if (!document->kind || strcmp(document->kind, kind) != 0)
			continue;
		ret->domains++;
		if (xml_open(document->text, strlen(document->text), &xml, NULL) < 0) {
			ret->unreadable++;
			continue;
		}
		if (!xml_has(xml, "%s", xpath))
			continue;
		strbuf_printf(&ret->names, "%s%s", ret->count++ ? ", " : "", document->name ? document->name : "?");
		ret->first = ret->first ? ret->first : document;
	}
}

static void wanting_clear(struct wanting *wanting)
{
	free(wanting->names.text);
}
#define cleanup_wanting __attribute__((cleanup(wanting_clear)))

/* True where the rest has nothing to say: no libvirt, nobody known who wants it, or nobody who does. */
static bool is_settled(const struct check *check, struct examination *examination, const struct patient *patient,
		       const struct wanting *wanting)
{
	struct finding *finding;

	if (!has_daemon(patient->facts))
		return true;
	if (wanting->count)
		return false;
	if (wanting->domains == 0 || wanting->unreadable) {
		finding_unknown(check, examination, patient, "the definitions of libvirt's guests (virsh dumpxml)");
		return true;
	}
	finding = finding_add(check, examination, patient, RESULT_PASS, "no guest of libvirt's asks for it");
	finding_evidence(examination, finding, NULL, "the definitions of %zu guests", wanting->domains);
	return true;
}

static bool has_descriptor(const struct facts *facts)
{
	for (size_t i = 0; i < facts->node_count; i++)
		if (facts->nodes[i].exists == TRUTH_YES &&
		    fnmatch("/usr/share/qemu/firmware/*.json", facts->nodes[i].path, FNM_PATHNAME) == 0)
			return true;
	return false;
}

/* QEMU's docs/interop/firmware.json: by these libvirt chooses an image for <os firmware='efi'>. */
static void look_firmware(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const struct packages packages = {.debian = "ovmf",
						 .fedora = "edk2-ovmf",
						 .arch = "edk2-ovmf",
						 .suse = "qemu-ovmf-x86_64",
						 .alpine = "ovmf"};
	static const char folder[] = "/usr/share/qemu/firmware";
	cleanup_wanting struct wanting wanting = {};
	struct finding *finding;

	find_wanting(patient->facts, "domain", "/domain/os/@firmware = 'efi'", &wanting);
	if (is_settled(check, examination, patient, &wanting))
		return;
	if (has_descriptor(patient->facts)) {
		finding = finding_add(check, examination, patient, RESULT_PASS, "libvirt finds firmware for %s",
				      wanting.names.text);
		finding_evidence(examination, finding, &wanting.first->origin, "descriptors in %s", folder);
	} else if (exists(patient->facts, folder) == TRUTH_NO) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"there is no UEFI firmware for %s: libvirt says \"Unable to find any firmware to satisfy "
			"'efi'\"",
			wanting.names.text);
		finding_evidence(examination, finding, &facts_node(patient->facts, folder)->origin, "no %s", folder);
		finding_install(examination, finding, &packages);
	} else {
		finding_unknown(check, examination, patient, "the descriptors in /usr/share/qemu/firmware");
	}
}

const struct check check_libvirt_firmware = {
	.id = "libvirt.firmware",
	.title = "there is firmware for guests that boot by UEFI",
	.severity = SEVERITY_ADVICE,
	.matters = "libvirt looks for an image by descriptors that come with the package, and does not start the guest "
		   "without.",
	.look = look_firmware,
};

/* libvirt asks swtpm_setup what it can, so without either there is no TPM 2.0 ("TPM version '2.0' is not supported").
 */
static void look_tpm(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const struct packages packages = {.debian = "swtpm swtpm-tools",
						 .fedora = "swtpm swtpm-tools",
						 .arch = "swtpm",
						 .suse = "swtpm",
						 .alpine = "swtpm"};
	static const char *const programs[] = {"swtpm", "swtpm_setup"};
	cleanup_wanting struct wanting wanting = {};
	struct finding *finding;

	find_wanting(patient->facts, "domain", "/domain/devices/tpm/backend/@type = 'emulator'", &wanting);
	if (is_settled(check, examination, patient, &wanting))
		return;
	for (size_t i = 0; i < 2; i++) {
		const struct program *program = facts_program(patient->facts, programs[i]);

		if (!program || program->installed == TRUTH_UNKNOWN) {
			finding_unknown(check, examination, patient, "whether swtpm and swtpm_setup are installed");
			return;
		}
		if (program->installed == TRUTH_YES)
			continue;
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"%s is not installed: libvirt neither defines nor starts %s (\"TPM version '2.0' is not "
			"supported\")",
			programs[i], wanting.names.text);
		finding_evidence(examination, finding, &program->origin, "%s is not in PATH", programs[i]);
		finding_install(examination, finding, &packages);
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_PASS, "there is a TPM for %s", wanting.names.text);
	finding_evidence(examination, finding, &wanting.first->origin, "swtpm and swtpm_setup");
}

const struct check check_libvirt_tpm = {
	.id = "libvirt.tpm",
	.title = "there is an emulated TPM for guests that have one",
	.severity = SEVERITY_ADVICE,
	.matters =
		"Windows 11 wants one, and the emulator and its set-up program are two packages in some distributions.",
	.look = look_tpm,
};

/* ─── networks ─── */

static const struct document *find_network(const struct facts *facts, const char *name, size_t *ret_count)
{
	const struct document *found = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < facts->document_count; i++) {
		const struct document *document = &facts->documents[i];

		if (!document->kind || strcmp(document->kind, "network") != 0)
			continue;
		++*ret_count;
		if (document->name && strcmp(document->name, name) == 0)
			found = document;
	}
	return found;
}

/* A network that runs has its bridge. */
static enum truth runs(const struct facts *facts, const struct document *network, struct arena *arena)
{
	cleanup_xml struct xml *xml = NULL;
	const char *bridge;

	if (xml_open(network->text, strlen(network->text), &xml, NULL) < 0)
		return TRUTH_UNKNOWN;
	bridge = xml_text(xml, arena, "/network/bridge/@name");
	if (!*bridge || facts->links_known != TRUTH_YES)
		return TRUTH_UNKNOWN;
	return facts_link(facts, bridge) ? TRUTH_YES : TRUTH_NO;
}

static void look_network(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const char autostart[] = "/etc/libvirt/qemu/networks/autostart/default.xml";
	const struct facts *facts = patient->facts;
	const struct document *network;
	cleanup_wanting struct wanting wanting = {};
	struct finding *finding;
	enum truth up;
	size_t count;

	if (!has_daemon(facts))
		return;
	find_wanting(facts, "domain", "/domain/devices/interface/source/@network = 'default'", &wanting);
	network = find_network(facts, "default", &count);
	if (!network && wanting.count && count) {
		finding =
			finding_add(check, examination, patient, RESULT_WARN,
				    "libvirt has no network \"default\", which %s is plugged into", wanting.names.text);
		finding_evidence(examination, finding, &wanting.first->origin, "the definitions of %zu networks",
				 count);
		finding_remedy(
			examination, finding,
			"virsh -c qemu:///system net-define /usr/share/libvirt/networks/default.xml    # Debian: "
			"apt-get install libvirt-daemon-config-network");
		return;
	}
	up = network ? runs(facts, network, examination->arena) : TRUTH_UNKNOWN;
	if (up == TRUTH_UNKNOWN) {
		finding_unknown(check, examination, patient,
				"libvirt's network \"default\" (virsh net-dumpxml), and the bridges");
	} else if (up == TRUTH_NO) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "libvirt's network \"default\" is off: guests on it do not start");
		finding_evidence(examination, finding, &network->origin, "its bridge is not there");
		finding_remedy(examination, finding, "virsh -c qemu:///system net-start default");
		finding_remedy(examination, finding, "virsh -c qemu:///system net-autostart default");
	} else if (exists(facts, autostart) == TRUTH_NO) {
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"libvirt's network \"default\" runs, and is off after the next boot: it is not started "
			"by itself");
		finding_evidence(examination, finding, &facts_node(facts, autostart)->origin, "no %s", autostart);
		finding_remedy(examination, finding, "virsh -c qemu:///system net-autostart default");
	} else if (exists(facts, autostart) == TRUTH_UNKNOWN) {
		finding_unknown(check, examination, patient,
				"whether libvirt's network \"default\", which runs, is started at a boot");
	} else {
		finding = finding_add(check, examination, patient, RESULT_PASS, "libvirt's network \"default\" runs");
		finding_evidence(examination, finding, &network->origin, "its bridge is there");
	}
}

const struct check check_libvirt_network = {
	.id = "libvirt.network",
	.title = "libvirt's default network runs, and does so after a boot",
	.severity = SEVERITY_ADVICE,
	.matters =
		"New guests are plugged into it, and say \"Network not found\" or \"network 'default' is not active\".",
	.look = look_network,
};

/* ─── filters ─── */

static bool has_filters(const struct facts *facts)
{
	for (size_t i = 0; i < facts->document_count; i++)
		if (facts->documents[i].kind && strcmp(facts->documents[i].kind, "filter") == 0)
			return true;
	return false;
}

static void look_nwfilter(const struct check *check, struct examination *examination, const struct patient *patient)
{
	static const struct packages packages = {.debian = "libvirt-daemon-config-nwfilter",
						 .fedora = "libvirt-daemon-config-nwfilter",
						 .arch = "libvirt",
						 .suse = "libvirt-daemon-config-nwfilter",
						 .alpine = "libvirt-daemon"};
	const struct facts *facts = patient->facts;
	enum truth folder = exists(facts, "/etc/libvirt/nwfilter");
	bool modular = exists(facts, MODULAR_SOCKET) == TRUTH_YES && exists(facts, FILTER_SOCKET) == TRUTH_NO;
	cleanup_wanting struct wanting wanting = {};
	struct finding *finding;

	find_wanting(facts, "domain", "/domain/devices/interface/filterref", &wanting);
	if (is_settled(check, examination, patient, &wanting))
		return;
	if (modular) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "virtnwfilterd is not there, which %s needs for its network filters",
				      wanting.names.text);
		finding_evidence(examination, finding, &facts_node(facts, FILTER_SOCKET)->origin, "no " FILTER_SOCKET);
		finding_remedy(examination, finding, "systemctl enable --now virtnwfilterd.socket");
	} else if (!has_filters(facts) && folder == TRUTH_NO) {
		finding = finding_add(check, examination, patient, RESULT_WARN,
				      "libvirt has no network filters, and %s refers to one: it does not start",
				      wanting.names.text);
		finding_evidence(examination, finding, &wanting.first->origin, "no /etc/libvirt/nwfilter");
		finding_install(examination, finding, &packages);
	} else if (!has_filters(facts)) {
		finding_unknown(check, examination, patient, "libvirt's network filters (virsh nwfilter-dumpxml)");
	} else {
		finding = finding_add(check, examination, patient, RESULT_PASS,
				      "libvirt has network filters, as %s wants", wanting.names.text);
		finding_evidence(examination, finding, &wanting.first->origin, "the definition of %s",
				 wanting.first->name ? wanting.first->name : "a guest");
	}
}

const struct check check_libvirt_nwfilter = {
	.id = "libvirt.nwfilter",
	.title = "libvirt has the network filters that its guests refer to",
	.severity = SEVERITY_ADVICE,
	.matters =
		"A guest whose filter is missing does not start; the driver and the filters are packages of their own.",
	.look = look_nwfilter,
};

/* ─── images ─── */

#define HIDDEN_IMAGE                                                                                                   \
	"/domain/devices/disk/source/@file[starts-with(., '/home/') or starts-with(., '/root/') or "                   \
	"starts-with(., '/run/user/') or starts-with(., '/tmp/') or starts-with(., '/mnt/') or starts-with(., "        \
	"'/media/')]"

/* libvirt.org/drvqemu.html, Security: QEMU runs as a user of its own, confined by AppArmor or SELinux. */
static void look_images(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	cleanup_wanting struct wanting wanting = {};
	cleanup_xml struct xml *xml = NULL;
	struct finding *finding;
	const char *path;

	if (!has_daemon(facts))
		return;
	find_wanting(facts, "domain", HIDDEN_IMAGE, &wanting);
	if (wanting.count == 0) {
		if (wanting.domains == 0 || wanting.unreadable) {
			finding_unknown(check, examination, patient,
					"the definitions of libvirt's guests (virsh dumpxml)");
			return;
		}
		finding =
			finding_add(check, examination, patient, RESULT_PASS, "disks lie where libvirt's QEMU gets to");
		finding_evidence(examination, finding, NULL, "the definitions of %zu guests", wanting.domains);
		return;
	}
	if (xml_open(wanting.first->text, strlen(wanting.first->text), &xml, NULL) < 0)
		return;
	path = xml_text(xml, examination->arena, "%s", HIDDEN_IMAGE);
	finding = finding_add(check, examination, patient, RESULT_WARN,
			      "disks of %s lie where libvirt's QEMU has no access by default: %s", wanting.names.text,
			      path);
	finding_evidence(examination, finding, &wanting.first->origin, "the definition of %s",
			 wanting.first->name ? wanting.first->name : "a guest");
	finding_remedy(examination, finding,
		       "mv the disk to /var/lib/libvirt/images, and virsh -c qemu:///system edit %s",
		       wanting.first->name ? wanting.first->name : "GUEST");
	if (distribution_family(facts) == DISTRIBUTION_FEDORA)
		finding_remedy(examination, finding,
			       "or for a folder that is to stay: semanage fcontext -a -t virt_image_t 'FOLDER(/.*)?' "
			       "&& restorecon "
			       "-Rv FOLDER, and setfacl -m u:qemu:x on each folder above it");
	else
		finding_remedy(examination, finding,
			       "or for a folder that is to stay: setfacl -m u:libvirt-qemu:x on each folder above it");
}

const struct check check_libvirt_images = {
	.id = "libvirt.images",
	.title = "disks lie where libvirt's QEMU may read them",
	.severity = SEVERITY_NOTE,
	.matters = "QEMU's user does not get into homes, and AppArmor and SELinux know libvirt's own folder: the guest "
		   "says "
		   "\"Permission denied\".",
	.look = look_images,
};

/* ─── names ─── */

static void look_dns(const struct check *check, struct examination *examination, const struct patient *patient)
{
	const struct facts *facts = patient->facts;
	struct finding *finding;

	if (!has_daemon(facts))
		return;
	for (size_t i = 0; i < facts->listener_count; i++) {
		const struct listener *listener = &facts->listeners[i];
		bool any =
			listener->address.family == 0 || ip_equal(&listener->address, &(struct ip){.family = AF_INET});

		if (listener->port.value != 53 || !any || listener->device || strcmp(listener->protocol, "udp") != 0)
			continue;
		finding = finding_add(
			check, examination, patient, RESULT_WARN,
			"a DNS server here has port 53 of every address: networks of libvirt's that answer names "
			"do not start beside it");
		finding_evidence(examination, finding, &listener->origin, "udp port 53%s%s",
				 listener->process ? " by " : "", listener->process ? listener->process : "");
		finding_remedy(examination, finding,
			       "bind it to its addresses (dnsmasq: bind-interfaces or bind-dynamic; named: listen-on; "
			       "unbound: "
			       "interface:)");
		finding_remedy(examination, finding, "or give libvirt's network <dns enable='no'/>");
		return;
	}
	if (facts->listeners_known != TRUTH_YES) {
		finding_unknown(check, examination, patient, "who listens on which port (ss -lntup)");
		return;
	}
	finding = finding_add(check, examination, patient, RESULT_PASS, "no DNS server claims every address");
	finding_evidence(examination, finding, NULL, "of %zu that listen", facts->listener_count);
}

const struct check check_libvirt_dns = {
	.id = "libvirt.dns",
	.title = "no DNS server claims port 53 of every address",
	.severity = SEVERITY_ADVICE,
	.matters = "libvirt's dnsmasq then says \"failed to create listening socket: Address already in use\", and the "
		   "network stays off.",
	.look = look_dns,
};
