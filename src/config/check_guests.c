/* Each guest by itself, and what no two of them may share: addresses, MACs, published ports, interface names. */
#include "base/cleanup.h"
#include "base/error.h"
#include "config/build.h"
#include "config/unique.h"
#include "model/publish.h"
#include "model/settings.h"
#include "model/windows.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { UNIQUE_ADDRESS, UNIQUE_MAC, UNIQUE_PORT, UNIQUE_INTERFACE, UNIQUE_ID };
enum { DEEPEST_TRIED = 3, SUGGESTION_TRIES = 4096 };

struct checks {
	struct build *b;
	struct unique unique;
};

static struct unique_key make_key(const void *scope, uint64_t kind, const void *data, size_t length)
{
	struct unique_key key = {.scope = scope, .kind = kind};

	memcpy(key.bytes, data, length < sizeof(key.bytes) ? length : sizeof(key.bytes));
	return key;
}

/* ─── addresses ─── */

static struct unique_key address_key(const struct network *network, const struct ip *ip)
{
	return make_key(network, UNIQUE_ADDRESS, ip, sizeof(*ip));
}

static bool in_dhcp_range(const struct network *network, const struct ip *ip)
{
	struct ip middle = network->subnet4.ip;
	unsigned bit = network->subnet4.length;

	if (!network->dhcp || ip->family != AF_INET || !network->subnet4.ip.family)
		return false;
	if (network->dhcp_first.family)
		return memcmp(&network->dhcp_first, ip, sizeof(*ip)) <= 0 &&
		       memcmp(ip, &network->dhcp_last, sizeof(*ip)) <= 0;
	middle.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return memcmp(&middle, ip, sizeof(*ip)) <= 0;
}

static void check_address(struct checks *c, const struct nic *nic, const struct node *node)
{
	const struct network *network = nic->network;
	const struct ip *ip = &node->value.ip;
	bool ip4 = ip->family == AF_INET;
	const struct prefix *subnet = ip4 ? &network->subnet4 : &network->subnet6;
	const char *why = network_refuses(network, ip);
	struct problems *problems = c->b->problems;
	struct unique_key key = address_key(network, ip);
	const struct nic *other;
	char text[PREFIX_TEXT_SIZE];

	if (!subnet->ip.family) {
		if (!is_broken(c->b->network_nodes[network->index], NETWORK_SUBNET))
			problems_error(problems, node->spot, NULL, "the network \"%s\" has no %s subnet for %s",
				       network->path, ip4 ? "IPv4" : "IPv6", node->text);
		return;
	}
	if (why) {
		problems_error(problems, node->spot, NULL, "%s %s %s, the subnet of \"%s\"", node->text, why,
			       prefix_format(subnet, text), network->path);
		return;
	}
	if (ip_equal(ip, ip4 ? &network->gateway4 : &network->gateway6)) {
		problems_error(problems, node->spot, NULL, "%s is the gateway of \"%s\": %s itself has it", node->text,
			       network->path, host_words(c->b, network->owner));
		return;
	}
	other = unique_put(&c->unique, &key, nic);
	if (other)
		problems_error(problems, node->spot, NULL, "%s is used twice: \"%s\" in line %u has it, too",
			       node->text, other->guest->path, other->place.line);
	else if (in_dhcp_range(network, ip))
		problems_warning(problems, node->spot, "take one outside of the range",
				 "%s lies in the DHCP range of \"%s\"", node->text, network->path);
}

/* A free address to suggest; it is taken from then on, so that the next suggestion is another one. */
static const char *free_address(struct checks *c, const struct nic *nic)
{
	const struct network *network = nic->network;
	bool ip4 = network->subnet4.ip.family;
	const struct prefix *subnet = ip4 ? &network->subnet4 : &network->subnet6;
	char text[IP_TEXT_SIZE];

	for (uint32_t i = 2; i < SUGGESTION_TRIES; i++) {
		struct ip ip = prefix_host(subnet, i);
		struct unique_key key = address_key(network, &ip);

		if (network_refuses(network, &ip) || ip_equal(&ip, ip4 ? &network->gateway4 : &network->gateway6))
			continue;
		if (!unique_put(&c->unique, &key, nic))
			return problems_text(c->b->problems, "%s", ip_format(&ip, text));
	}
	return NULL;
}

static void check_missing_address(struct checks *c, const struct nic *nic)
{
	const struct network *network = nic->network;
	const struct node *node = nic_node(c->b, nic);
	struct problems *problems = c->b->problems;
	const char *free;

	if (nic->address4.family || nic->address6.family || network->dhcp || nic->guest->seed == SEED_NONE ||
	    problems_enough(problems) || (node && is_broken(node, NIC_ADDRESS)) ||
	    guest_is_broken(c->b, nic->guest, GUEST_SEED) ||
	    is_broken(c->b->network_nodes[network->index], NETWORK_DHCP) ||
	    (!network->subnet4.ip.family && !network->subnet6.ip.family))
		return;
	free = free_address(c, nic);
	problems_error(problems, nic_spot(c->b, nic, -1),
		       free ? problems_text(problems,
					    "for example %s{network: %s, address: %s}%s, which is free, or dhcp: true "
					    "in the network",
					    node ? "" : "nics: [", network->name, free, node ? "" : "]")
			    : NULL,
		       "the NIC of \"%s\" in the network \"%s\" needs an address", nic->guest->path, network->path);
}

/* Addresses that were said come first, everywhere: what is suggested must be free. */
static void check_nic_addresses(struct checks *c, const struct nic *nic)
{
	const struct node *list = said(nic_node(c->b, nic), NIC_ADDRESS);

	for (const struct node *n = list ? list->first : NULL; n; n = n->next)
		if (n->kind == NODE_SCALAR)
			check_address(c, nic, n);
}

static void check_mac(struct checks *c, const struct nic *nic)
{
	struct unique_key key = make_key(NULL, UNIQUE_MAC, nic->mac, sizeof(nic->mac));
	const struct nic *other = unique_put(&c->unique, &key, nic);
	char text[MAC_TEXT_SIZE];

	if (other)
		problems_error(c->b->problems, nic_spot(c->b, nic, NIC_MAC), "give one of them a \"mac\" of its own",
			       "the MAC address %s is used twice: \"%s\" in line %u has it, too",
			       mac_format(nic->mac, text), other->guest->path, other->place.line);
}

/* ─── names of interfaces, and ids ─── */

static void check_interface(struct checks *c, const struct host *host, const char *interface, struct spot spot,
			    const char *what)
{
	struct unique_key key = make_key(host, UNIQUE_INTERFACE, interface, strlen(interface));
	const char *other = unique_put(&c->unique, &key, what);

	if (other)
		problems_error(c->b->problems, spot, "call one of them otherwise",
			       "\"%s\" and \"%s\" would need interfaces of the same name, %s", what, other, interface);
}

static void check_id(struct checks *c, const struct guest *guest)
{
	struct unique_key key = make_key(guest->parent, UNIQUE_ID, guest->id, sizeof(guest->id));
	const struct guest *other = unique_put(&c->unique, &key, guest);

	if (other)
		problems_error(c->b->problems, guest_spot(c->b, guest, -1), "call one of them otherwise",
			       "\"%s\" and \"%s\" happen to have the same id, %s", guest->path, other->path, guest->id);
}

/* ─── published ports ─── */

static struct spot publish_spot(const struct build *b, const struct guest *guest, size_t index)
{
	const struct node *list = said(b->guest_nodes[guest->index], GUEST_PUBLISH);
	const struct node *node = list ? list->first : NULL;

	for (size_t i = 0; node && i < index; i++)
		node = node->next;
	return node ? node->spot : guest_spot(b, guest, -1);
}

static void report_port(struct checks *c, const struct guest *guest, size_t index, const struct guest *other)
{
	const struct publish *p = &guest->publish[index];

	problems_error(c->b->problems, publish_spot(c->b, guest, index),
		       problems_text(c->b->problems, "for example {port: %u, as: %u}", p->port,
				     p->port < 55536 ? p->port + 10000 : 10000),
		       "port %u/%s of L0 is published twice: \"%s\" has it, too", p->as ? p->as : p->port,
		       p->protocol == IPPROTO_UDP ? "udp" : "tcp", other->path);
}

static struct unique_key port_key(const struct publish *p, const struct ip *ip)
{
	unsigned port = (unsigned)(p->as ? p->as : p->port) << 8 | p->protocol;
	struct unique_key key = make_key(NULL, UNIQUE_PORT, ip, sizeof(*ip));

	memcpy(key.bytes + sizeof(*ip), &port, sizeof(port));
	return key;
}

/*
 * Two may share a port on different addresses; 0.0.0.0 and :: are all of their family. That somebody has the port at
 * all stands under an address that nobody can have.
 */
static const struct guest *put_port(struct checks *c, const struct guest *guest, const struct publish *p)
{
	static const struct ip loopback = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
	const struct ip *ip = p->address.family ? &p->address : &loopback;
	struct ip any = {.family = ip->family}, somebody = {.family = ip->family};
	struct unique_key key = port_key(p, ip), any_key = port_key(p, &any), somebody_key;
	const struct guest *other = unique_get(&c->unique, &any_key), *before;

	memset(somebody.bytes, 0xff, sizeof(somebody.bytes));
	somebody_key = port_key(p, &somebody);
	if (!other)
		other = unique_put(&c->unique, &key, guest);
	before = unique_put(&c->unique, &somebody_key, guest);
	return other ? other : ip_equal(ip, &any) ? before : NULL;
}

static void check_port(struct checks *c, const struct guest *guest, size_t index)
{
	const struct guest *other = put_port(c, guest, &guest->publish[index]);

	if (other && !problems_enough(c->b->problems)) /* finding the spot takes a walk */
		report_port(c, guest, index, other);
}

static bool has_address(const struct guest *guest, uint8_t family)
{
	for (size_t i = 0; i < guest->nic_count; i++)
		if ((family == AF_INET ? guest->nics[i].address4 : guest->nics[i].address6).family)
			return true;
	return false;
}

/* It is sent on from host to host by fixed addresses of one family. */
static void check_way(struct checks *c, const struct guest *guest, size_t index)
{
	const struct ip address = publish_address(&guest->publish[index]);
	static const struct ip loopback6 = {.family = AF_INET6, .bytes = {[15] = 1}};

	if (ip_equal(&address, &loopback6))
		problems_error(c->b->problems, publish_spot(c->b, guest, index), "leave the address out: 127.0.0.1",
			       "Linux sends nothing on that is meant for ::1");
	for (const struct guest *g = guest; g; g = g->parent->guest)
		if (!has_address(g, address.family) && !guest_is_broken(c->b, g, GUEST_NICS))
			problems_error(c->b->problems, publish_spot(c->b, guest, index),
				       problems_text(c->b->problems, "give a NIC of \"%s\" one", g->path),
				       "a port of \"%s\" cannot be published at an %s address: \"%s\" has no fixed one",
				       guest->path, address.family == AF_INET ? "IPv4" : "IPv6", g->path);
}

static void check_publish(struct checks *c, const struct guest *guest)
{
	if (guest->publish_count == 0)
		return;
	if (guest->nic_count == 0 && !guest_is_broken(c->b, guest, GUEST_NICS))
		problems_error(c->b->problems, guest_spot(c->b, guest, GUEST_PUBLISH), NULL,
			       "\"%s\" has no NIC through which a port of it could be reached", guest->path);
	if (guest->world == WORLD_SEALED)
		problems_warning(c->b->problems, guest_spot(c->b, guest, GUEST_PUBLISH), NULL,
				 "\"%s\" is sealed: no packet reaches its published ports", guest->path);
	for (size_t i = 0; i < guest->publish_count; i++) {
		check_port(c, guest, i);
		if (guest->nic_count && !problems_enough(c->b->problems))
			check_way(c, guest, i);
	}
}

/* ─── what fits together within one guest ─── */

static void check_image(struct build *b, const struct guest *guest)
{
	bool builtin = value_is_builtin_image(guest->image);

	if (guest_is_broken(b, guest, GUEST_IMAGE) || guest->install)
		return;
	if (builtin && strcmp(guest->os, "linux") != 0)
		problems_error(b->problems, guest_spot(b, guest, GUEST_OS),
			       "name a disk as its image, such as win11.qcow2",
			       "\"%s\" is %s, but the image %s is Linux", guest->path, guest->os, guest->image);
	if (image_lives_in_memory(guest->image) && guest->disk && said(b->guest_nodes[guest->index], GUEST_DISK))
		problems_warning(b->problems, guest_spot(b, guest, GUEST_DISK), "leave it out, or take another image",
				 "the image %s lives in memory: the disk is ignored", guest->image);
	if (builtin && guest->seed == SEED_CLOUD_INIT)
		problems_error(b->problems, guest_spot(b, guest, GUEST_SEED), "leave it out",
			       "the image %s knows no cloud-init", guest->image);
	if (!builtin && guest->seed == SEED_NATIVE && !guest_is_broken(b, guest, GUEST_SEED))
		problems_error(b->problems, guest_spot(b, guest, GUEST_SEED),
			       "cloud-init, agent or none fit a disk of your own",
			       "only images that nestvisor made understand the native seed");
}

/* The kernel of `micro` gets its modules without their signatures, and Secure Boot wants those. */
static void check_firmware(struct build *b, const struct guest *guest)
{
	if (guest->firmware != FIRMWARE_BIOS && image_lives_in_memory(guest->image) &&
	    !settings_system(guest->os)) /* which is a mistake of its own */
		problems_error(b->problems, guest_spot(b, guest, GUEST_FIRMWARE), "take image: debian-12",
			       "the image %s does not boot by UEFI", guest->image);
	if (windows_version(guest->os) == WINDOWS_11 && (guest->firmware != FIRMWARE_UEFI_SECURE || !guest->tpm))
		problems_warning(
			b->problems,
			guest_spot(b, guest, guest->firmware != FIRMWARE_UEFI_SECURE ? GUEST_FIRMWARE : GUEST_TPM),
			"leave it out", "Windows 11 asks for UEFI with Secure Boot and for a TPM");
	if (windows_version(guest->os) && guest->nested && guest->hypervisor_hidden)
		problems_warning(
			b->problems, guest_spot(b, guest, GUEST_HYPERVISOR), "leave it out",
			"Hyper-V inside \"%s\" wants the enlightenments that a hidden hypervisor does not show",
			guest->path);
	if (guest->tpm && guest->firmware == FIRMWARE_BIOS)
		problems_warning(b->problems, guest_spot(b, guest, GUEST_TPM), "add firmware: uefi-secure",
				 "without UEFI nothing is measured into the TPM of \"%s\"", guest->path);
}

/* Of the images that nestvisor makes one has a libvirtd; whether a disk of the user's has is seen when it is asked. */
static void check_driver(struct build *b, const struct guest *guest)
{
	int key = strcmp(guest->os, "linux") != 0    ? GUEST_OS
		  : guest->firmware != FIRMWARE_BIOS ? GUEST_FIRMWARE
		  : guest->tpm			     ? GUEST_TPM
		  : guest->display		     ? GUEST_DISPLAY
						     : -1;

	const struct guest *host = guest->parent->guest;

	if (!guest->libvirt)
		return;
	if (host && value_is_builtin_image(host->image) && strcmp(host->image, "micro-libvirt") != 0)
		problems_error(b->problems, guest_spot(b, guest, GUEST_DRIVER), "give its host image: micro-libvirt",
			       "\"%s\" cannot be libvirt's: the image %s of its host \"%s\" has no libvirtd",
			       guest->path, host->image, host->path);
	if (key >= 0)
		problems_error(b->problems, guest_spot(b, guest, key), "with driver: qemu it can",
			       "a guest of libvirt's cannot have %s yet", schema_guest.keys[key].name);
}

static struct spot install_spot(const struct build *b, const struct guest *guest, int key)
{
	const struct node *map = said(b->guest_nodes[guest->index], GUEST_INSTALL);
	const struct node *node = key >= 0 ? said(map, key) : NULL;

	return node ? node->spot : guest_spot(b, guest, GUEST_INSTALL);
}

/* Setup of Windows 11 stops on less (Microsoft: Windows 11 requirements); the others crawl. */
static void check_requirements(struct build *b, const struct guest *guest)
{
	if (windows_version(guest->os) != WINDOWS_11)
		return;
	if (guest->cpus < 2)
		problems_error(b->problems, guest_spot(b, guest, GUEST_CPUS), "cpus: 2",
			       "Windows 11 does not install on one CPU");
	if (guest->memory < UINT64_C(4) << 30)
		problems_error(b->problems, guest_spot(b, guest, GUEST_MEMORY), "memory: 4G",
			       "Windows 11 does not install with less than 4G of memory");
	if (guest->disk < UINT64_C(64) << 30)
		problems_error(b->problems, guest_spot(b, guest, GUEST_DISK), "disk: 64G",
			       "Windows 11 does not install on a disk of less than 64G");
}

static void check_install(struct build *b, struct guest *guest)
{
	const struct node *node = b->guest_nodes[guest->index];
	cleanup_error struct error *err = NULL;
	int key = -1;

	if (!guest->install)
		return;
	if (said(node, GUEST_IMAGE))
		problems_error(b->problems, guest_spot(b, guest, GUEST_IMAGE), "leave one of them out",
			       "\"%s\" has an image and is to be installed", guest->path);
	if (!windows_version(guest->os)) {
		if (!guest_is_broken(b, guest, GUEST_OS))
			problems_error(b->problems, install_spot(b, guest, -1),
				       "os: windows-11, windows-10 or windows-server",
				       "what is installed is Windows, and \"%s\" is %s", guest->path, guest->os);
		return;
	}
	if (guest->firmware == FIRMWARE_BIOS)
		problems_error(b->problems, guest_spot(b, guest, GUEST_FIRMWARE), "leave it out",
			       "the disk is divided for UEFI: by BIOS it would not boot");
	check_requirements(b, guest);
	if (b->machine && !b->part && b->machine->check_install &&
	    b->machine->check_install(b->lab->arena, guest, &key, &err) < 0)
		problems_error(b->problems, install_spot(b, guest, key),
			       err->hint ? problems_text(b->problems, "%s", err->hint) : NULL, "%s", err->message);
}

static bool has_broken_nic(const struct build *b, const struct guest *guest)
{
	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct node *node = nic_node(b, &guest->nics[i]);

		if (!guest->nics[i].network || (node && is_broken(node, NIC_ADDRESS)))
			return true;
	}
	return guest_is_broken(b, guest, GUEST_NICS);
}

static void check_access(struct build *b, const struct guest *guest)
{
	if (guest->transport != TRANSPORT_SSH)
		return;
	if (guest->world == WORLD_SEALED)
		problems_error(b->problems, guest_spot(b, guest, GUEST_TRANSPORT), "leave it out: qga needs no network",
			       "\"%s\" is sealed: ssh cannot reach it", guest->path);
	else if (guest->nic_count == 0 && !guest_is_broken(b, guest, GUEST_NICS))
		problems_error(b->problems, guest_spot(b, guest, GUEST_TRANSPORT), "leave it out: qga needs no network",
			       "\"%s\" has no NIC through which ssh could reach it", guest->path);
	else if (guest->nic_count && !guest->nics[0].address4.family && !guest->nics[0].address6.family &&
		 !has_broken_nic(b, guest))
		problems_error(b->problems, guest_spot(b, guest, GUEST_TRANSPORT),
			       "give its first NIC an address, or leave ssh out",
			       "\"%s\" has no fixed address under which ssh could reach it", guest->path);
}

/* The first NIC carries the default route. */
static void check_first_nic(struct build *b, const struct guest *guest)
{
	const struct network *first = guest->nic_count ? guest->nics[0].network : NULL;

	if (!first || first->uplink != UPLINK_NONE)
		return;
	for (size_t i = 1; i < guest->nic_count; i++) {
		const struct network *other = guest->nics[i].network;

		if (!other || other->uplink == UPLINK_NONE)
			continue;
		problems_warning(b->problems, nic_spot(b, &guest->nics[0], NIC_NETWORK),
				 problems_text(b->problems, "put the NIC in \"%s\" first", other->name),
				 "the default route goes through the first NIC, and \"%s\" has no uplink", first->path);
		return;
	}
}

/* The layer above routes to a network through a fixed address of its host. */
static void check_route(struct build *b, const struct network *network)
{
	const struct guest *guest = network->owner->guest;
	bool lacks4 = network->subnet4.ip.family && !has_address(guest, AF_INET);
	bool lacks6 = network->subnet6.ip.family && !has_address(guest, AF_INET6);
	const char *what = lacks4 && lacks6 ? "IPv4 or IPv6" : lacks4 ? "IPv4" : "IPv6";

	if (!lacks4 && !lacks6)
		return;
	if ((lacks4 || !network->subnet4.ip.family) && (lacks6 || !network->subnet6.ip.family))
		problems_error(
			b->problems, network_spot(b, network, NETWORK_UPLINK),
			"give a NIC of that guest an address, or take uplink: nat",
			"\"%s\" is to be routed, but \"%s\" has no fixed %s address to which a route could point",
			network->path, guest->path, what);
	else
		problems_warning(b->problems, network_spot(b, network, NETWORK_UPLINK),
				 problems_text(b->problems, "give a NIC of that guest an %s address, too", what),
				 "\"%s\" has no fixed %s address: the %s subnet of \"%s\" cannot be routed",
				 guest->path, what, what, network->path);
}

static void check_host(struct build *b, const struct guest *guest)
{
	const struct host *host = guest->host;
	const struct node *nested = guest_said(b, guest, GUEST_NESTED);

	if (host->guest_count && nested && !guest->nested)
		problems_error(b->problems, guest_spot(b, guest, GUEST_NESTED),
			       "leave it out: a guest that has guests gets it by itself",
			       "\"%s\" has guests, so it must see the CPU's virtualization", guest->path);
	if (strcmp(guest->os, "linux") != 0 && !guest_is_broken(b, guest, GUEST_OS))
		problems_error(
			b->problems, guest_spot(b, guest, GUEST_OS), NULL,
			"\"%s\" has guests or networks of its own, so it runs nestvisor, which needs Linux, not %s",
			guest->path, guest->os);
	for (size_t i = 0; i < host->network_count; i++) {
		const struct network *network = host->networks[i];

		if (network->uplink == UPLINK_NONE || is_broken(b->network_nodes[network->index], NETWORK_UPLINK) ||
		    has_broken_nic(b, guest))
			continue;
		if (guest->nic_count == 0)
			problems_error(b->problems, network_spot(b, network, NETWORK_UPLINK),
				       "give that guest a NIC, or take uplink: none",
				       "\"%s\" has an uplink, but \"%s\" has no NIC through which anything could leave",
				       network->path, guest->path);
		else if (network->uplink == UPLINK_ROUTE)
			check_route(b, network);
	}
}

static void check_depth(struct build *b)
{
	for (size_t i = 0; i < b->lab->guest_count; i++)
		if (b->lab->guests[i]->layer > DEEPEST_TRIED) {
			problems_warning(b->problems, guest_spot(b, b->lab->guests[i], -1),
					 "it works only where the CPU of each layer can nest once more",
					 "\"%s\" is in layer %u: more than %d layers of guests are rarely possible",
					 b->lab->guests[i]->path, b->lab->guests[i]->layer, DEEPEST_TRIED);
			return;
		}
}

/* What ESXi's documents ask for; a Linux in its place gets along with less. */
static void check_esxi(struct build *b, const struct guest *guest)
{
	if (settings_system(guest->os) != ESXI)
		return;
	if (guest->cpus < 2)
		problems_warning(b->problems, guest_spot(b, guest, GUEST_CPUS), "cpus: 2",
				 "ESXi does not install on one CPU");
	if (guest->memory < UINT64_C(8) << 30)
		problems_warning(b->problems, guest_spot(b, guest, GUEST_MEMORY), "memory: 8G",
				 "ESXi does not install with less than 8G of memory");
	if (guest->disk && guest->disk < UINT64_C(32) << 30)
		problems_warning(b->problems, guest_spot(b, guest, GUEST_DISK), "disk: 32G",
				 "ESXi does not install on a disk of less than 32G");
	if (guest->tpm)
		problems_warning(b->problems, guest_spot(b, guest, GUEST_TPM), "leave it out",
				 "whether ESXi takes QEMU's TPM is not known");
}

/* virtio-net uses no more queues than there are CPUs, and of other cards QEMU has none with several. */
static void check_queues(struct build *b, const struct nic *nic)
{
	const struct guest *guest = nic->guest;

	if (nic->queues > 1 && settings_system(guest->os) == ESXI)
		problems_error(b->problems, nic_spot(b, nic, NIC_QUEUES), "leave it out",
			       "the card that \"%s\" has for ESXi is not virtio's, and has one queue", guest->path);
	if (nic->queues > guest->cpus && !guest_is_broken(b, guest, GUEST_CPUS))
		problems_error(b->problems, nic_spot(b, nic, NIC_QUEUES),
			       problems_text(b->problems, "queues: %u, or leave it out", guest->cpus),
			       "\"%s\" has %u CPU%s: more queues than that are of no use", guest->path, guest->cpus,
			       guest->cpus == 1 ? "" : "s");
}

static void check_guest(struct checks *c, struct guest *guest)
{
	check_id(c, guest);
	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];
		const struct node *node = nic_node(c->b, nic);

		check_interface(c, guest->parent, nic->tap, nic_spot(c->b, nic, -1), guest->path);
		if (!node || !is_broken(node, NIC_MAC))
			check_mac(c, nic);
		check_queues(c->b, nic);
	}
	check_publish(c, guest);
	if (!guest->adopted) { /* what is there works as it is */
		check_image(c->b, guest);
		check_install(c->b, guest);
		check_driver(c->b, guest);
		check_firmware(c->b, guest);
		check_esxi(c->b, guest);
	}
	check_access(c->b, guest);
	check_first_nic(c->b, guest);
	if (guest->host)
		check_host(c->b, guest);
}

void check_guests(struct build *b)
{
	struct checks checks = {.b = b};
	const struct lab *lab = b->lab;

	for (size_t i = 0; i < lab->network_count; i++)
		check_interface(&checks, lab->networks[i]->owner, lab->networks[i]->bridge,
				network_spot(b, lab->networks[i], -1), lab->networks[i]->path);
	for (size_t i = 0; i < lab->guest_count; i++)
		for (size_t j = 0; j < lab->guests[i]->nic_count; j++)
			if (lab->guests[i]->nics[j].network)
				check_nic_addresses(&checks, &lab->guests[i]->nics[j]);
	for (size_t i = 0; i < lab->guest_count; i++)
		for (size_t j = 0; j < lab->guests[i]->nic_count; j++)
			if (lab->guests[i]->nics[j].network)
				check_missing_address(&checks, &lab->guests[i]->nics[j]);
	for (size_t i = 0; i < lab->guest_count; i++)
		check_guest(&checks, lab->guests[i]);
	check_depth(b);
	unique_clear(&checks.unique);
}
