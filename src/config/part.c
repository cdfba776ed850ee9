/*
 * The part of a lab that one host needs to know. All defaults are written out, so that the host's nestvisor, which may
 * be of another version, makes the same of it; what derives from the lab's name and a guest's path alone (ids, MACs,
 * names of interfaces) is left out: the host derives it again, with `at` in front.
 */
#include "base/arena.h"
#include "config/config.h"
#include "config/schema.h"
#include "model/publish.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

static void append_ip(json_t *list, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	if (ip->family)
		json_array_append_new(list, json_string(ip_format(ip, text)));
}

static void append_prefix(json_t *list, const struct prefix *prefix)
{
	char text[PREFIX_TEXT_SIZE];

	if (prefix->ip.family)
		json_array_append_new(list, json_string(prefix_format(prefix, text)));
}

static json_t *size_json(uint64_t bytes)
{
	return json_sprintf("%lluM", (unsigned long long)bytes >> 20);
}

static json_t *ratio_json(unsigned hundredths)
{
	return json_sprintf("%u.%02u", hundredths / 100, hundredths % 100);
}

static json_t *port_json(uint16_t first, uint16_t last, uint8_t protocol)
{
	const char *name = protocol == IPPROTO_UDP ? "udp" : "tcp";

	return first == last ? json_sprintf("%u/%s", first, name) : json_sprintf("%u-%u/%s", first, last, name);
}

static json_t *dhcp_json(const struct network *network)
{
	json_t *range;

	if (!network->dhcp_first.family)
		return json_boolean(network->dhcp);
	range = json_array();
	append_ip(range, &network->dhcp_first);
	append_ip(range, &network->dhcp_last);
	return json_pack("{s:o}", "range", range);
}

static json_t *tunnel_json(const struct network *network)
{
	json_t *tunnel = json_pack("{s:i, s:[]}", "id", (int)network->vni, "peers");

	for (size_t i = 0; i < network->peer_count; i++)
		append_ip(json_object_get(tunnel, "peers"), &network->peers[i]);
	if (network->encapsulation == ENCAP_GENEVE)
		json_object_set_new(tunnel, "options", json_integer(network->geneve_options));
	return tunnel;
}

/* Whose part it is. To a deeper host, ports are published at all of its addresses, by what the host above calls them.
 */
struct whose {
	const struct lab *lab;
	bool part;			   /* it has "at" */
	const struct lab_machine *machine; /* it is that of a further machine of L0 */
	struct published *ports;	   /* NULL: it is L0's, and everything is as the file says */
	size_t port_count;
};

static void append_far(json_t *list, const struct far_nic *far)
{
	json_t *json = json_object(), *addresses = json_array(), *behind = json_array();
	char text[MAC_TEXT_SIZE], host[IP_TEXT_SIZE];

	set_text(json, "mac", mac_format(far->mac, text));
	set_text(json, "host", ip_format(&far->machine, host));
	append_ip(addresses, &far->address4);
	append_ip(addresses, &far->address6);
	json_object_set_new(json, "address", addresses);
	for (size_t i = 0; i < far->behind_count; i++)
		append_prefix(behind, &far->behind[i]);
	json_object_set_new(json, "behind", behind);
	json_array_append_new(list, json);
}

/* What a further machine knows of the network's other ends; none: it was told by the layer above, as it is told on. */
static void set_far(const struct network *network, json_t *json)
{
	char text[IP_TEXT_SIZE];

	set_text(json, "home", ip_format(&network->home, text));
	json_object_set_new(json, encapsulation_name(network->encapsulation), tunnel_json(network));
	json_object_set_new(json, "far", json_array());
	for (size_t i = 0; i < network->far_count; i++)
		append_far(json_object_get(json, "far"), &network->far[i]);
}

static bool is_lab_of_machines(const struct whose *whose, const struct network *network)
{
	return whose->lab->machine_count && network->owner == whose->lab->root;
}

static json_t *network_json(const struct whose *whose, const struct network *network)
{
	json_t *json = json_pack("{s:[], s:[], s:s, s:i, s:o, s:b}", "subnet", "gateway", "uplink",
				 uplink_name(network->uplink), "mtu", (int)network->mtu, "dhcp", dhcp_json(network),
				 "dns", network->dns);

	append_prefix(json_object_get(json, "subnet"), &network->subnet4);
	append_prefix(json_object_get(json, "subnet"), &network->subnet6);
	append_ip(json_object_get(json, "gateway"), &network->gateway4);
	append_ip(json_object_get(json, "gateway"), &network->gateway6);
	set_text(json, "adopted", network->adopted);
	if (!network_is_home(network))
		set_far(network, json);
	else if (is_lab_of_machines(whose, network)) /* its peers follow from where its guests are */
		json_object_set_new(json, "vxlan", json_pack("{s:i}", "id", (int)network->vni));
	else if (network->encapsulation != ENCAP_NONE)
		json_object_set_new(json, encapsulation_name(network->encapsulation), tunnel_json(network));
	return json;
}

static json_t *nic_json(const struct lab *lab, const struct nic *nic)
{
	json_t *json = json_pack("{s:s}", "network", nic->network->name), *addresses = json_array();
	char text[MAC_TEXT_SIZE];
	uint8_t derived[6];

	append_ip(addresses, &nic->address4);
	append_ip(addresses, &nic->address6);
	if (json_array_size(addresses))
		json_object_set(json, "address", addresses);
	json_decref(addresses);
	model_derive_mac(lab->name, nic->guest->path, nic->index, derived);
	if (memcmp(derived, nic->mac, sizeof(derived)) != 0)
		set_text(json, "mac", mac_format(nic->mac, text));
	if (nic->queues)
		json_object_set_new(json, "queues", json_integer(nic->queues));
	return json;
}

static json_t *publish_json(const struct publish *publish)
{
	json_t *json = json_pack("{s:o}", "port", port_json(publish->port, publish->port, publish->protocol));
	char text[IP_TEXT_SIZE];

	if (publish->as)
		json_object_set_new(json, "as", json_integer(publish->as));
	if (publish->address.family)
		set_text(json, "address", ip_format(&publish->address, text));
	return json;
}

static const char *choice_name(int key, unsigned position)
{
	return schema_guest.keys[key].rule.choices[position].name;
}

static struct publish as_told(const struct whose *whose, const struct publish *publish)
{
	struct publish told = *publish;

	for (size_t i = 0; i < whose->port_count; i++)
		if (whose->ports[i].publish == publish) {
			told.as = whose->ports[i].port;
			told.address = (struct ip){.family = publish_address(publish).family};
		}
	return told;
}

static json_t *host_json(const struct whose *whose, const struct host *host);

static void add_lists(const struct whose *whose, const struct guest *guest, json_t *json)
{
	json_t *nics = json_array(), *publish = json_array(), *tags = json_array();

	for (size_t i = 0; i < guest->nic_count; i++)
		json_array_append_new(nics, nic_json(whose->lab, &guest->nics[i]));
	json_object_set_new(json, "nics", nics);
	for (size_t i = 0; i < guest->publish_count; i++) {
		struct publish told = as_told(whose, &guest->publish[i]);

		json_array_append_new(publish, publish_json(&told));
	}
	json_object_set_new(json, "publish", publish);
	for (size_t i = 0; i < guest->tag_count; i++)
		json_array_append_new(tags, json_string(guest->tags[i]));
	json_object_set_new(json, "tags", tags);
}

/* What only a part may say is left out of the whole lab's own file. */
static json_t *install_json(const struct guest *guest, bool part)
{
	const struct install *install = guest->install;
	json_t *json = json_object();

	set_text(json, "iso", guest->image);
	set_text(json, "virtio", install->virtio);
	set_text(json, "virtio-id", install->virtio_id);
	set_text(json, "edition", install->edition);
	set_text(json, "language", install->language);
	if (part)
		json_object_set_new(json, "build", json_integer(install->build));
	set_text(json, "keyboard", install->keyboard);
	set_text(json, "time-zone", install->time_zone);
	set_text(json, "user", install->user);
	set_text(json, "password-file", install->password_file);
	set_text(json, "password", install->password);
	set_text(json, "product-key", install->product_key);
	return json;
}

/* Where it runs is settled here; the machine that runs it need not know that there are others. */
static void set_placement(const struct whose *whose, const struct guest *guest, json_t *json)
{
	json_t *apart;

	if (guest->libvirt_own)
		set_text(json, "driver", guest->libvirt ? guest->libvirt : "qemu");
	else if (!whose->machine) /* which then is the machine's again */
		json_object_del(json, "driver");
	if (whose->machine)
		return;
	if (guest->machine || guest->pinned)
		set_text(json, "placement", guest->machine ? guest->machine->name : "L0");
	apart = json_array();
	for (size_t i = 0; i < guest->apart_count; i++)
		json_array_append_new(apart, json_string(guest->apart[i]));
	if (guest->apart_count)
		json_object_set(json, "apart", apart);
	json_decref(apart);
}

static json_t *guest_json(const struct whose *whose, const struct guest *guest)
{
	json_t *json = guest->host ? host_json(whose, guest->host) : json_object();

	json_object_set_new(json, "cpus", json_integer(guest->cpus));
	json_object_set_new(json, "memory", size_json(guest->memory));
	if (guest->disk)
		json_object_set_new(json, "disk", size_json(guest->disk));
	if (guest->install)
		json_object_set_new(json, "install", install_json(guest, whose->part));
	else
		set_text(json, "image", guest->image);
	set_text(json, "image-id", guest->image_id);
	set_text(json, "os", guest->os);
	set_text(json, "firmware", choice_name(GUEST_FIRMWARE, guest->firmware));
	json_object_set_new(json, "tpm", json_boolean(guest->tpm));
	json_object_set_new(json, "display", json_boolean(guest->display));
	set_text(json, "hypervisor", choice_name(GUEST_HYPERVISOR, guest->hypervisor_hidden));
	set_text(json, "driver", guest->libvirt);
	if (guest->parent == whose->lab->root && whose->lab->machine_count)
		set_placement(whose, guest, json);
	set_text(json, "adopted", guest->adopted);
	set_text(json, "seed", choice_name(GUEST_SEED, guest->seed));
	set_text(json, "transport", choice_name(GUEST_TRANSPORT, guest->transport));
	set_text(json, "world", world_name(guest->world));
	json_object_set_new(json, "nested", json_boolean(guest->nested));
	add_lists(whose, guest, json);
	if (guest->ssh_user || guest->ssh_key) {
		json_t *ssh = json_object();

		set_text(ssh, "user", guest->ssh_user);
		set_text(ssh, "key", guest->ssh_key);
		json_object_set_new(json, "ssh", ssh);
	}
	return json;
}

/* A network of L0 as the machine sees it, where that has guests on it. */
static void add_far_network(const struct whose *whose, const struct network *network, json_t *networks)
{
	cleanup_arena struct arena *arena = arena_new(); /* parts are made in several threads at once */
	struct network seen;

	if (machine_sees_network(arena, whose->lab, whose->machine, network, &seen))
		json_object_set_new(networks, network->name, network_json(whose, &seen));
}

/* What a host owns: the same keys in a guest and in the file itself. */
static json_t *host_json(const struct whose *whose, const struct host *host)
{
	json_t *json = json_pack("{s:o, s:{}, s:{}}", "cpu-overcommit", ratio_json(host->cpu_overcommit), "networks",
				 "guests");

	for (size_t i = 0; whose->machine && host == whose->machine->guest->host && i < whose->lab->root->network_count;
	     i++)
		add_far_network(whose, whose->lab->root->networks[i], json_object_get(json, "networks"));
	for (size_t i = 0; i < host->network_count; i++)
		json_object_set_new(json_object_get(json, "networks"), host->networks[i]->name,
				    network_json(whose, host->networks[i]));
	for (size_t i = 0; i < host->guest_count; i++)
		json_object_set_new(json_object_get(json, "guests"), host->guests[i]->name,
				    guest_json(whose, host->guests[i]));
	return json;
}

/* ─── policies ─── */

static bool is_at_or_below(const char *path, const char *host)
{
	size_t length = strlen(host);

	return length == 0 || (strncmp(path, host, length) == 0 && (path[length] == '\0' || path[length] == '/'));
}

static bool overlaps_below(const struct prefix *prefix, const struct host *host)
{
	for (size_t i = 0; i < host->network_count; i++)
		if (prefix_overlaps(prefix, &host->networks[i]->subnet4) ||
		    prefix_overlaps(prefix, &host->networks[i]->subnet6))
			return true;
	for (size_t i = 0; i < host->guest_count; i++)
		if (host->guests[i]->host && overlaps_below(prefix, host->guests[i]->host))
			return true;
	return false;
}

/* Whether one end of a policy lies at or below a host. */
static bool concerns(const struct endpoint *end, const struct host *host)
{
	switch (end->kind) {
	case ENDPOINT_L0:
	case ENDPOINT_WORLD:
		return false;
	case ENDPOINT_GUEST:
	case ENDPOINT_NETWORK:
		return is_at_or_below(end->text, host->path);
	case ENDPOINT_PREFIX:
		return overlaps_below(&end->prefix, host);
	}
	return true;
}

static json_t *policy_json(const struct policy *policy)
{
	json_t *rule = json_pack("{s:s, s:s}", "from", policy->from.text, "to", policy->to.text), *list;

	if (policy->port_count) {
		list = json_array();
		for (size_t i = 0; i < policy->port_count; i++)
			json_array_append_new(list, port_json(policy->ports[i].first, policy->ports[i].last,
							      policy->ports[i].protocol));
		json_object_set_new(rule, "port", list);
	}
	if (policy->compromised_count) {
		list = json_array();
		for (size_t i = 0; i < policy->compromised_count; i++)
			json_array_append_new(list, json_string(policy->compromised[i]));
		json_object_set_new(rule, "even-if-compromised", list);
	}
	return json_pack("{s:o}", policy->verb == POLICY_ALLOW ? "allow" : "deny", rule);
}

/* The gateways of the networks that the host is a guest of: published ports are asked for with these. */
static void set_routers(json_t *json, const struct guest *guest)
{
	cleanup_strbuf struct strbuf text = {0};

	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct network *network = guest->nics[i].network;
		const struct ip *gateways[] = {&network->gateway4, &network->gateway6};
		char address[IP_TEXT_SIZE];

		for (size_t j = 0; j < 2; j++)
			if (gateways[j]->family)
				strbuf_printf(&text, "%s%s", text.length ? " " : "", ip_format(gateways[j], address));
	}
	if (text.length)
		set_text(json, "routers", text.text);
}

static json_t *machine_json(const struct lab_machine *machine)
{
	json_t *json = json_pack("{s:s}", "uri", machine->uri);
	char text[IP_TEXT_SIZE];

	if (machine->address.family)
		set_text(json, "address", ip_format(&machine->address, text));
	if (machine->home.family)
		set_text(json, "home", ip_format(&machine->home, text));
	set_text(json, "key", machine->guest->ssh_key);
	return json;
}

/* The whole of what is at the lab's root. */
static void add_root(const struct lab *lab, json_t *json)
{
	set_text(json, "routers", lab->routers);
	set_text(json, "isolation", lab->isolation);
	set_text(json, "here", lab->here);
	set_text(json, "home", lab->home);
	set_text(json, "driver", lab->adopted); /* else each guest says its own */
	if (!lab->machine_count)
		return;
	set_text(json, "driver", lab->libvirt);
	json_object_set_new(json, "placement",
			    json_pack("{s:o, s:o, s:b}", "cpus", json_sprintf("%u%%", lab->placement_cpus), "reserve",
				      size_json(lab->placement_reserve), "this-machine", !lab->placement_not_here));
	json_object_set_new(json, "hosts", json_object());
	for (size_t i = 0; i < lab->machine_count; i++)
		json_object_set_new(json_object_get(json, "hosts"), lab->machines[i]->name,
				    machine_json(lab->machines[i]));
}

static void add_policies(const struct lab *lab, const struct host *host, json_t *json)
{
	json_t *policies = json_array();

	for (size_t i = 0; i < lab->policy_count; i++) {
		const struct policy *policy = &lab->policies[i];

		if (host == lab->root || concerns(&policy->from, host) || concerns(&policy->to, host))
			json_array_append_new(policies, policy_json(policy));
	}
	json_object_set_new(json, "policy", policies);
}

json_t *config_part(const struct lab *lab, const struct host *host)
{
	struct whose whose = {.lab = lab, .part = *host->path};
	json_t *json;

	if (host->guest)
		whose.machine = host->guest->parent == lab->root && host->layer == 0 ? host->guest->machine : NULL;
	if (host != lab->root && !whose.machine)
		whose.port_count = published_below(lab, host, &whose.ports);
	json = host_json(&whose, host);
	free(whose.ports);
	set_text(json, "lab", lab->name);
	if (*host->path)
		set_text(json, "at", host->path);
	if (whose.machine)
		set_text(json, "here", whose.machine->name);
	else if (host != lab->root)
		set_routers(json, host->guest);
	if (host == lab->root)
		add_root(lab, json);
	if (!whose.machine) /* that is the home's to prove */
		add_policies(lab, host, json);
	return json;
}
