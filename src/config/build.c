#include "config/build.h"

#include "base/cleanup.h"
#include "model/settings.h"
#include "model/windows.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MTU_ETHERNET = 1500, MTU_LEAST = 576, MTU_LEAST6 = 1280 };

static uint64_t guest_number(const struct build *b, const struct guest *guest, int key)
{
	const struct node *node = guest_said(b, guest, key);

	return node ? node->value.number : b->guest_fallbacks[key].number;
}

static uint64_t network_number(const struct build *b, const struct node *map, int key)
{
	const struct node *node = said(map, key);

	return node ? node->value.number : b->network_fallbacks[key].number;
}

static void parse_fallbacks(const struct object *object, union value *ret)
{
	struct complaint unused;

	for (size_t i = 0; i < object->key_count; i++)
		if (object->keys[i].fallback &&
		    !value_parse(&object->keys[i].rule, object->keys[i].fallback, NULL, &ret[i], &unused))
			abort(); /* the table itself is wrong */
}

static const char *join_path(struct arena *arena, const char *parent, const char *name)
{
	return *parent ? arena_printf(arena, "%s/%s", parent, name) : arena_strdup(arena, name);
}

/* The folder of the lab file, so that an image is called the same from wherever the file is read. */
static const char *lab_folder(struct build *b)
{
	cleanup_free char *folder = NULL, *resolved = NULL;
	const char *slash = strrchr(b->lab->file, '/');

	if (b->folder)
		return b->folder;
	folder = slash ? strndup(b->lab->file, (size_t)(slash - b->lab->file) + 1) : strdup(".");
	if (!folder)
		abort();
	resolved = realpath(folder, NULL);
	b->folder = arena_strdup(b->tree_arena, resolved ? resolved : folder);
	return b->folder;
}

const char *build_absolute_path(struct build *b, const char *path)
{
	const char *folder;

	if (*path == '/')
		return arena_strdup(b->lab->arena, path);
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	folder = lab_folder(b);
	return arena_printf(b->lab->arena, "%s%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/", path);
}

static const char *copy_of(struct lab *lab, const struct node *node)
{
	return node ? arena_strdup(lab->arena, node->text) : NULL;
}

static void set_subnets(struct network *network, const struct node *subnets)
{
	for (const struct node *n = subnets ? subnets->first : NULL; n; n = n->next) {
		struct prefix *subnet;

		if (n->kind != NODE_SCALAR)
			continue;
		subnet = n->value.prefix.ip.family == AF_INET ? &network->subnet4 : &network->subnet6;
		if (!subnet->ip.family)
			*subnet = n->value.prefix;
	}
}

static void set_gateways(struct network *network, const struct node *map)
{
	const struct node *gateways = said(map, NETWORK_GATEWAY);

	for (const struct node *n = gateways ? gateways->first : NULL; n; n = n->next) {
		if (n->kind != NODE_SCALAR)
			continue;
		if (n->value.ip.family == AF_INET)
			network->gateway4 = n->value.ip;
		else
			network->gateway6 = n->value.ip;
	}
	if (is_broken(map, NETWORK_GATEWAY))
		return;
	if (network->subnet4.ip.family && !network->gateway4.family)
		network->gateway4 = prefix_host(&network->subnet4, 1);
	if (network->subnet6.ip.family && !network->gateway6.family)
		network->gateway6 = prefix_host(&network->subnet6, 1);
}

static void set_dhcp(const struct build *b, struct network *network, const struct node *map)
{
	const struct node *dhcp = said(map, NETWORK_DHCP), *range;

	network->dhcp = dhcp && dhcp->kind == NODE_MAP ? true : network_number(b, map, NETWORK_DHCP);
	range = dhcp && dhcp->kind == NODE_MAP && !is_broken(dhcp, DHCP_RANGE) ? said(dhcp, DHCP_RANGE) : NULL;
	if (range && range->count == 2) {
		network->dhcp_first = range->first->value.ip;
		network->dhcp_last = range->first->next->value.ip;
	}
}

static void set_encapsulation(struct build *b, struct network *network, const struct node *map)
{
	const struct node *vxlan = said(map, NETWORK_VXLAN), *geneve = said(map, NETWORK_GENEVE);
	const struct node *tunnel = vxlan ? vxlan : geneve, *id, *peers, *options;

	if (!tunnel)
		return;
	network->encapsulation = vxlan ? ENCAP_VXLAN : ENCAP_GENEVE;
	id = said(tunnel, TUNNEL_ID);
	peers = said(tunnel, TUNNEL_PEERS);
	options = vxlan ? NULL : said(geneve, TUNNEL_OPTIONS);
	network->vni = id ? (uint32_t)id->value.number : 0;
	network->geneve_options = options ? (unsigned)options->value.number : 0;
	for (const struct node *n = peers ? peers->first : NULL; n; n = n->next)
		if (n->kind == NODE_SCALAR)
			*arena_push(b->lab->arena, network->peers, network->peer_count) = n->value.ip;
}

/* In a part: what is on other machines. */
static void set_far(struct build *b, struct network *network, const struct node *map)
{
	const struct node *home = said(map, NETWORK_HOME), *list = said(map, NETWORK_FAR);

	if (home)
		network->home = home->value.ip;
	for (const struct node *n = list ? list->first : NULL; n; n = n->next) {
		const struct node *mac = said(n, FAR_MAC), *host = said(n, FAR_HOST), *addresses = said(n, FAR_ADDRESS);
		const struct node *behind = said(n, FAR_BEHIND);
		struct far_nic *far;

		if (!mac || !host)
			continue;
		far = arena_push(b->lab->arena, network->far, network->far_count);
		*far = (struct far_nic){.machine = host->value.ip};
		memcpy(far->mac, mac->value.mac, sizeof(far->mac));
		for (const struct node *a = addresses ? addresses->first : NULL; a; a = a->next)
			if (a->kind == NODE_SCALAR)
				*(a->value.ip.family == AF_INET ? &far->address4 : &far->address6) = a->value.ip;
		for (const struct node *p = behind ? behind->first : NULL; p; p = p->next)
			if (p->kind == NODE_SCALAR)
				*arena_push(b->lab->arena, far->behind, far->behind_count) = p->value.prefix;
	}
}

static void add_network(struct build *b, struct host *host, const struct node *node)
{
	struct lab *lab = b->lab;
	struct network *network = arena_new_struct(lab->arena, struct network);

	network->name = arena_strdup(lab->arena, node->key);
	network->path = join_path(lab->arena, host->path, network->name);
	network->index = lab->network_count;
	network->owner = host;
	network->place = node->key_spot.place;
	network->uplink = (enum uplink)network_number(b, node, NETWORK_UPLINK);
	network->dns = network_number(b, node, NETWORK_DNS);
	network->adopted = copy_of(lab, said(node, NETWORK_ADOPTED));
	set_far(b, network, node);
	model_derive_interface(network->name, "", network->bridge);
	set_subnets(network, said(node, NETWORK_SUBNET));
	set_gateways(network, node);
	set_dhcp(b, network, node);
	set_encapsulation(b, network, node);
	*arena_push(lab->arena, lab->networks, lab->network_count) = network;
	*arena_push(lab->arena, host->networks, host->network_count) = network;
	*arena_push(b->tree_arena, b->network_nodes, b->network_node_count) = node;
}

/* What its system wants, where the file does not say otherwise. */
static void set_machine(struct build *b, struct guest *guest)
{
	const struct node *firmware = guest_said(b, guest, GUEST_FIRMWARE), *tpm = guest_said(b, guest, GUEST_TPM);
	const struct node *display = guest_said(b, guest, GUEST_DISPLAY);
	unsigned windows = windows_version(guest->os);
	bool esxi = settings_system(guest->os) == ESXI;

	guest->firmware = firmware  ? (enum firmware)firmware->value.number
			  : windows ? FIRMWARE_UEFI_SECURE
			  : esxi    ? FIRMWARE_UEFI
				    : FIRMWARE_BIOS;
	guest->tpm = tpm ? tpm->value.number : windows == WINDOWS_11;
	guest->display = display ? display->value.number : windows || esxi;
	guest->hypervisor_hidden = guest_number(b, guest, GUEST_HYPERVISOR);
}

/* What the guest says, or the defaults; of L0's guests, what the lab says. */
static void set_driver(struct build *b, struct guest *guest)
{
	const struct node *driver = guest_said(b, guest, GUEST_DRIVER);
	const char *uri = driver ? value_driver_uri(driver->text) : NULL;

	guest->libvirt_own = driver != NULL;
	guest->libvirt = uri ? arena_strdup(b->lab->arena, uri) : NULL;
	if (!driver && guest->parent == b->lab->root && !b->part)
		guest->libvirt = b->lab->libvirt;
}

/* A word of a map, or what the table has for it, or NULL. */
static const char *text_of(struct build *b, const struct node *map, const struct object *object, int key)
{
	const struct node *node = said(map, key);
	const char *text = node ? node->text : object->keys[key].fallback;

	return text ? arena_strdup(b->lab->arena, text) : NULL;
}

static void set_install(struct build *b, struct guest *guest, const struct node *map)
{
	const struct object *object = schema_guest.keys[GUEST_INSTALL].object;
	const struct node *iso = said(map, INSTALL_ISO), *virtio = said(map, INSTALL_VIRTIO);
	const struct node *password = said(map, INSTALL_PASSWORD_FILE), *build = said(map, INSTALL_BUILD);
	struct install *install;

	if (!iso || !virtio || !password)
		return;
	install = arena_new_struct(b->lab->arena, struct install);
	*install = (struct install){
		.virtio = build_absolute_path(b, virtio->text),
		.virtio_id = text_of(b, map, object, INSTALL_VIRTIO_ID),
		.edition = text_of(b, map, object, INSTALL_EDITION),
		.language = text_of(b, map, object, INSTALL_LANGUAGE),
		.keyboard = text_of(b, map, object, INSTALL_KEYBOARD),
		.time_zone = text_of(b, map, object, INSTALL_TIME_ZONE),
		.user = text_of(b, map, object, INSTALL_USER),
		.password_file = build_absolute_path(b, password->text),
		.password = text_of(b, map, object, INSTALL_PASSWORD),
		.product_key = text_of(b, map, object, INSTALL_PRODUCT_KEY),
		.build = build ? (unsigned)build->value.number : 0,
		.place = map->spot.place,
	};
	guest->install = install;
	guest->image = build_absolute_path(b, iso->text);
	if (!guest->disk)
		guest->disk = UINT64_C(64) << 30;
}

/* Numbers and words of a guest; what names others comes in build_links. */
static void set_guest(struct build *b, struct guest *guest, const struct node *node)
{
	const struct node *image = guest_said(b, guest, GUEST_IMAGE), *memory = guest_said(b, guest, GUEST_MEMORY);
	const struct node *nested = guest_said(b, guest, GUEST_NESTED), *seed = guest_said(b, guest, GUEST_SEED);
	const struct node *id = said(node, GUEST_IMAGE_ID);
	const struct node *install = said(node, GUEST_INSTALL);
	const char *image_name = install ? "" : image ? image->text : schema_guest.keys[GUEST_IMAGE].fallback;
	bool builtin = value_is_builtin_image(image_name);

	guest->cpus = (unsigned)guest_number(b, guest, GUEST_CPUS);
	guest->memory = memory ? memory->value.number : UINT64_C(256) << 20;
	if (!memory && !image_lives_in_memory(image_name))
		guest->memory = UINT64_C(1) << (install ? 32 : 30);
	guest->disk = guest_number(b, guest, GUEST_DISK);
	set_install(b, guest, install);
	if (!guest->install)
		guest->image = builtin ? arena_strdup(b->lab->arena, image_name) : build_absolute_path(b, image_name);
	guest->image_id = copy_of(b->lab, id);
	guest->adopted = copy_of(b->lab, said(node, GUEST_ADOPTED));
	guest->os = schema_guest.keys[GUEST_OS].rule.choices[guest_number(b, guest, GUEST_OS)].name;
	set_machine(b, guest);
	set_driver(b, guest);
	guest->world = (enum world)guest_number(b, guest, GUEST_WORLD);
	guest->transport = (enum transport_kind)guest_number(b, guest, GUEST_TRANSPORT);
	/* What the agent is given to set addresses with is a script for Linux. */
	guest->seed = guest->adopted		   ? SEED_NONE
		      : seed			   ? (enum seed_kind)seed->value.number
		      : builtin			   ? SEED_NATIVE
		      : settings_system(guest->os) ? SEED_NONE
						   : SEED_AGENT;
	guest->nested = nested ? nested->value.number
			       : (guest->host && guest->host->guest_count) || settings_system(guest->os) == ESXI;
}

static void set_ssh(struct build *b, struct guest *guest, const struct node *node)
{
	const struct node *ssh = said(node, GUEST_SSH), *user = said(ssh, SSH_USER), *key = said(ssh, SSH_KEY);

	guest->ssh_user = user ? arena_strdup(b->lab->arena, user->text) : NULL;
	if (key) /* ssh(1) itself knows what ~ is */
		guest->ssh_key =
			*key->text == '~' ? arena_strdup(b->lab->arena, key->text) : build_absolute_path(b, key->text);
}

static void add_contents(struct build *b, struct host *host, const struct node *networks, const struct node *guests);

static struct host *add_host(struct build *b, struct guest *guest, const struct node *node)
{
	const struct node *networks = said(node, GUEST_NETWORKS), *guests = said(node, GUEST_GUESTS);
	struct host *host;

	if ((!networks || !networks->count) && (!guests || !guests->count))
		return NULL;
	host = arena_new_struct(b->lab->arena, struct host);
	host->path = guest->path;
	host->layer = guest->layer;
	host->guest = guest;
	host->cpu_overcommit = (unsigned)guest_number(b, guest, GUEST_CPU_OVERCOMMIT);
	guest->host = host;
	add_contents(b, host, networks, guests);
	return host;
}

static void add_guest(struct build *b, struct host *parent, const struct node *node)
{
	struct lab *lab = b->lab;
	struct guest *guest = arena_new_struct(lab->arena, struct guest);

	guest->name = arena_strdup(lab->arena, node->key);
	guest->path = join_path(lab->arena, parent->path, guest->name);
	guest->index = lab->guest_count;
	guest->parent = parent;
	guest->layer = parent->layer + 1;
	guest->place = node->key_spot.place;
	model_derive_id(lab->name, guest->path, guest->id);
	*arena_push(lab->arena, lab->guests, lab->guest_count) = guest;
	*arena_push(lab->arena, parent->guests, parent->guest_count) = guest;
	*arena_push(b->tree_arena, b->guest_nodes, b->guest_node_count) = node;
	add_host(b, guest, node);
	set_guest(b, guest, node);
	set_ssh(b, guest, node);
}

static void add_contents(struct build *b, struct host *host, const struct node *networks, const struct node *guests)
{
	for (const struct node *n = networks ? networks->first : NULL; n; n = n->next)
		add_network(b, host, n);
	for (const struct node *n = guests ? guests->first : NULL; n; n = n->next)
		add_guest(b, host, n);
}

/* The mixed are an error, which check_adopted finds. */
static void set_adopted(struct build *b)
{
	const struct node *driver = said(b->root, LAB_DRIVER);
	const char *uri = driver ? value_driver_uri(driver->text) : NULL;
	struct lab *lab = b->lab;
	bool any = false;

	for (size_t i = 0; i < lab->root->network_count; i++)
		any |= lab->root->networks[i]->adopted != NULL;
	for (size_t i = 0; i < lab->root->guest_count; i++)
		any |= lab->root->guests[i]->adopted != NULL;
	if (any && uri && config_is_local_libvirt(uri))
		lab->adopted = arena_strdup(lab->arena, uri);
}

static void add_root(struct build *b)
{
	const struct node *at = said(b->root, LAB_AT), *overcommit = said(b->root, LAB_CPU_OVERCOMMIT);
	struct lab *lab = b->lab;
	struct host *root = arena_new_struct(lab->arena, struct host);

	if (said(b->root, LAB_ISOLATION))
		lab->isolation = arena_strdup(lab->arena, said(b->root, LAB_ISOLATION)->text);
	if (said(b->root, LAB_ROUTERS))
		lab->routers = arena_strdup(lab->arena, said(b->root, LAB_ROUTERS)->text);
	root->path = at ? arena_strdup(lab->arena, at->text) : "";
	for (const char *p = root->path; *p; p++)
		root->layer += p == root->path || *p == '/';
	root->cpu_overcommit = overcommit ? (unsigned)overcommit->value.number : 100;
	lab->root = root;
	lab->here = copy_of(lab, said(b->root, LAB_HERE));
	lab->home = copy_of(lab, said(b->root, LAB_HOME));
	if (said(b->root, LAB_DRIVER) && value_driver_uri(said(b->root, LAB_DRIVER)->text))
		lab->libvirt = arena_strdup(lab->arena, value_driver_uri(said(b->root, LAB_DRIVER)->text));
	build_machines(b);
	add_contents(b, root, said(b->root, LAB_NETWORKS), said(b->root, LAB_GUESTS));
	set_adopted(b);
}

/* ─── MTU ─── */

unsigned network_underlay(const struct network *network)
{
	const struct guest *guest = network->owner->guest;
	const struct network *first = first_network(network->owner);

	/* Packets to a peer in a subnet of the host's own take that NIC, all others the default route. */
	for (size_t i = 0; guest && network->peer_count && i < guest->nic_count; i++) {
		const struct network *n = guest->nics[i].network;

		if (n && (prefix_contains(&n->subnet4, &network->peers[0]) ||
			  prefix_contains(&n->subnet6, &network->peers[0])))
			return n->mtu;
	}
	if (network->owner->layer == 0)
		return MTU_ETHERNET;
	return first ? first->mtu : 0;
}

/* Unless said: what the layer below carries, but not more than Ethernet's own. */
static unsigned default_mtu(const struct network *network)
{
	const struct network *first = first_network(network->owner);
	unsigned least = network->subnet6.ip.family ? MTU_LEAST6 : MTU_LEAST, overhead = network_overhead(network);
	unsigned below = overhead ? network_underlay(network) : first ? first->mtu : 0;

	if (below == 0)
		return MTU_ETHERNET - overhead;
	if (below < least + overhead)
		return least;
	return below - overhead < MTU_ETHERNET ? below - overhead : MTU_ETHERNET;
}

/* Hosts come after the guests whose NICs they need: in the order of the lab's list. */
static void set_mtus(const struct build *b, const struct host *host)
{
	for (size_t i = 0; i < host->network_count; i++) {
		struct network *network = host->networks[i];
		const struct node *mtu = said(b->network_nodes[network->index], NETWORK_MTU);

		network->mtu_said = mtu != NULL;
		network->mtu = mtu ? (unsigned)mtu->value.number : default_mtu(network);
	}
}

void build_lab(struct build *b)
{
	const struct node *name = said(b->root, LAB_LAB);
	struct lab *lab = b->lab;

	lab->name = arena_strdup(lab->arena, name ? name->text : "?");
	model_derive_id(lab->name, "", lab->id);
	b->defaults = said(b->root, LAB_DEFAULTS);
	b->part = b->root->slots[LAB_AT] || b->root->slots[LAB_HERE];
	parse_fallbacks(&schema_guest, b->guest_fallbacks);
	parse_fallbacks(&schema_network, b->network_fallbacks);
	add_root(b);
	lab_index_paths(lab);
	build_links(b);
	build_placement(b);
	set_mtus(b, lab->root);
	for (size_t i = 0; i < lab->guest_count; i++)
		if (lab->guests[i]->host)
			set_mtus(b, lab->guests[i]->host);
}
