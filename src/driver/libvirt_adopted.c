#include "driver/libvirt_adopted.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/in_time.h"
#include "base/xml.h"
#include "driver/libvirt_library.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct visit {
	const struct libvirt *lib;
	virConnectPtr connection;
	const char *uri;
};

static void end_visit(struct visit *visit)
{
	if (visit->connection)
		visit->lib->virConnectClose(visit->connection);
}
#define cleanup_visit __attribute__((cleanup(end_visit)))

static int begin(struct visit *visit, const char *uri, bool write, struct error **err)
{
	int r = libvirt_load(&visit->lib, err);

	visit->uri = uri;
	return r < 0 ? r : libvirt_connect(visit->lib, uri, !write, LIBVIRT_LOOK_S, &visit->connection, err);
}

/* *ret NULL: there is none. */
static int find_domain(const struct visit *visit, const char *name, virDomainPtr *ret, struct error **err)
{
	const virError *said;

	*ret = visit->lib->virDomainLookupByName(visit->connection, name);
	said = *ret ? NULL : visit->lib->virGetLastError();
	return *ret || (said && said->code == VIR_ERR_NO_DOMAIN)
		       ? 0
		       : libvirt_fail(visit->lib, visit->uri, err, "cannot look for the domain %s", name);
}

static const char *state_words(int state)
{
	static const char *const words[] = {
		[VIR_DOMAIN_NOSTATE] = "unknown",	 [VIR_DOMAIN_RUNNING] = "running",
		[VIR_DOMAIN_BLOCKED] = "running",	 [VIR_DOMAIN_PAUSED] = "paused",
		[VIR_DOMAIN_SHUTDOWN] = "shutting down", [VIR_DOMAIN_SHUTOFF] = "shut off",
		[VIR_DOMAIN_CRASHED] = "crashed",	 [VIR_DOMAIN_PMSUSPENDED] = "suspended",
	};

	return state >= 0 && state < (int)(sizeof(words) / sizeof(*words)) ? words[state] : "unknown";
}

/* NULL: it has none, there is no such network, or no libvirt to ask (visit is NULL). */
static const char *bridge_of(const struct visit *visit, const char *name, struct arena *arena)
{
	virNetworkPtr network = visit ? visit->lib->virNetworkLookupByName(visit->connection, name) : NULL;
	cleanup_free char *bridge = network ? visit->lib->virNetworkGetBridgeName(network) : NULL;

	if (network)
		visit->lib->virNetworkFree(network);
	return bridge ? arena_strdup(arena, bridge) : NULL;
}

/* Rules of bridges see none of these. Elements of a namespace are known by their local name, whatever its prefix. */
static const char *passed_of(struct xml *xml)
{
	static const struct {
		const char *path, *what;
	} ways[] = {
		{"count(/domain/devices/hostdev[@type='pci'])", "a PCI device of this machine's"},
		{"count(/domain/devices/hostdev[@type='usb'])", "a USB device of this machine's"},
		{"count(/domain/devices/hostdev[not(@type='pci' or @type='usb' or @type='scsi')])",
		 "a device of this machine's (hostdev)"},
		{"count(/domain/devices/redirdev)", "a USB device of another machine's (redirdev)"},
		{"count(/domain/devices/vsock)", "a socket to this machine (vsock)"},
		{"count(/domain/*[local-name()='commandline']/*[local-name()='arg'])",
		 "words of its own for QEMU (qemu:commandline)"},
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (xml_count(xml, "%s", ways[i].path) > 0)
			return ways[i].what;
	return NULL;
}

/* As it runs; of one that does not, as it is defined. */
static int read_interfaces(const struct visit *visit, const char *text, struct arena *arena,
			   struct adopted_domain *domain, struct error **err)
{
	cleanup_xml struct xml *xml = NULL;
	int r = xml_open(text, strlen(text), &xml, err);
	size_t count;

	if (r < 0)
		return r;
	count = xml_count(xml, "count(/domain/devices/interface)");
	domain->passed = passed_of(xml);
	domain->interfaces = arena_alloc(arena, (count + 1) * sizeof(*domain->interfaces));
	for (size_t i = 1; i <= count; i++) {
		struct adopted_interface *interface = &domain->interfaces[domain->interface_count++];
		const char *device = xml_text(xml, arena, "(/domain/devices/interface)[%zu]/target/@dev", i);
		const char *network = xml_text(xml, arena, "(/domain/devices/interface)[%zu]/source/@network", i);
		const char *bridge = xml_text(xml, arena, "(/domain/devices/interface)[%zu]/source/@bridge", i);

		*interface = (struct adopted_interface){
			.type = xml_text(xml, arena, "(/domain/devices/interface)[%zu]/@type", i),
			.device = *device && domain->running ? device : NULL,
			.bridge = *bridge    ? bridge
				  : *network ? bridge_of(visit, network, arena)
					     : NULL};
		mac_parse(xml_text(xml, arena, "(/domain/devices/interface)[%zu]/mac/@address", i), interface->mac);
	}
	return 0;
}

int libvirt_adopted_read(const char *xml, struct arena *arena, struct adopted_domain *ret, struct error **err)
{
	*ret = (struct adopted_domain){.exists = true, .running = true, .state = "running"};
	return read_interfaces(NULL, xml, arena, ret, err);
}

static int look_at_domain(const struct visit *visit, const char *name, struct arena *arena, struct adopted_domain *ret,
			  struct error **err)
{
	cleanup_free char *xml = NULL;
	int state = VIR_DOMAIN_NOSTATE, reason, r;
	virDomainPtr domain;

	*ret = (struct adopted_domain){.state = "gone"};
	r = find_domain(visit, name, &domain, err);
	if (r < 0 || !domain)
		return r;
	xml = visit->lib->virDomainGetXMLDesc(domain, 0);
	if (!xml || visit->lib->virDomainGetState(domain, &state, &reason, 0) < 0) {
		r = libvirt_fail(visit->lib, visit->uri, err, "cannot look at the domain %s", name);
	} else {
		ret->exists = true;
		ret->state = state_words(state);
		ret->running = state != VIR_DOMAIN_SHUTOFF && state != VIR_DOMAIN_CRASHED;
		r = read_interfaces(visit, xml, arena, ret, err);
	}
	visit->lib->virDomainFree(domain);
	return r;
}

static int look_at_network(const struct visit *visit, const char *name, struct arena *arena,
			   struct adopted_network_state *ret, struct error **err)
{
	virNetworkPtr network = visit->lib->virNetworkLookupByName(visit->connection, name);
	const virError *said = network ? NULL : visit->lib->virGetLastError();
	cleanup_free char *bridge = NULL;

	*ret = (struct adopted_network_state){0};
	if (!network)
		return said && said->code == VIR_ERR_NO_NETWORK
			       ? 0
			       : libvirt_fail(visit->lib, visit->uri, err, "cannot look for the network %s", name);
	bridge = visit->lib->virNetworkGetBridgeName(network);
	*ret = (struct adopted_network_state){.exists = true,
					      .active = visit->lib->virNetworkIsActive(network) == 1,
					      .bridge = bridge ? arena_strdup(arena, bridge) : NULL};
	visit->lib->virNetworkFree(network);
	return 0;
}

static bool is_listed(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* One that ends meanwhile has none. */
static void add_taps(const struct visit *visit, virDomainPtr domain, struct arena *arena, struct libvirt_adopted *ret)
{
	cleanup_free char *text = visit->lib->virDomainGetXMLDesc(domain, 0);
	struct adopted_domain other = {.running = true};

	if (!text || read_interfaces(NULL, text, arena, &other, NULL) < 0)
		return;
	for (size_t i = 0; i < other.interface_count; i++)
		if (other.interfaces[i].device)
			*arena_push(arena, ret->others, ret->other_count) = other.interfaces[i].device;
}

static int look_at_others(const struct visit *visit, const char *const *names, size_t count, struct arena *arena,
			  struct libvirt_adopted *ret, struct error **err)
{
	virDomainPtr *domains = NULL;
	int all = visit->lib->virConnectListAllDomains(visit->connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);

	ret->others = arena_alloc(arena, sizeof(*ret->others));
	if (all < 0)
		return libvirt_fail(visit->lib, visit->uri, err, "cannot list the domains");
	for (int i = 0; i < all; i++) {
		if (!is_listed(visit->lib->virDomainGetName(domains[i]), names, count))
			add_taps(visit, domains[i], arena, ret);
		visit->lib->virDomainFree(domains[i]);
	}
	free(domains);
	return 0;
}

/* All that it needs, for it may outlive whoever asked. */
struct look {
	struct arena *arena;
	const char *uri, **guests, **networks;
	size_t guest_count, network_count;
	struct libvirt_adopted found;
	struct error *err;
	int result;
};

static void look_free(void *data)
{
	struct look *look = data;

	error_free(look->err);
	arena_free(look->arena);
	free(look);
}

static struct look *look_new(const struct lab *lab)
{
	const struct host *root = lab->root;
	struct look *look = calloc(1, sizeof(*look));

	if (!look)
		abort();
	look->arena = arena_new();
	look->uri = arena_strdup(look->arena, lab->adopted);
	look->guest_count = root->guest_count;
	look->network_count = root->network_count;
	look->guests = arena_alloc(look->arena, (root->guest_count + 1) * sizeof(*look->guests));
	look->networks = arena_alloc(look->arena, (root->network_count + 1) * sizeof(*look->networks));
	for (size_t i = 0; i < root->guest_count; i++)
		look->guests[i] = arena_strdup(look->arena, root->guests[i]->adopted);
	for (size_t i = 0; i < root->network_count; i++)
		look->networks[i] = arena_strdup(look->arena, root->networks[i]->adopted);
	return look;
}

static void look_at_all(void *data)
{
	cleanup_visit struct visit visit = {0};
	struct look *look = data;
	int r = begin(&visit, look->uri, false, &look->err);

	look->found.domains = arena_alloc(look->arena, (look->guest_count + 1) * sizeof(*look->found.domains));
	look->found.networks = arena_alloc(look->arena, (look->network_count + 1) * sizeof(*look->found.networks));
	for (size_t i = 0; r == 0 && i < look->guest_count; i++)
		r = look_at_domain(&visit, look->guests[i], look->arena, &look->found.domains[i], &look->err);
	for (size_t i = 0; r == 0 && i < look->network_count; i++)
		r = look_at_network(&visit, look->networks[i], look->arena, &look->found.networks[i], &look->err);
	if (r == 0)
		r = look_at_others(&visit, look->guests, look->guest_count, look->arena, &look->found, &look->err);
	look->result = r;
}

int libvirt_adopted_look(const struct lab *lab, struct arena *arena, struct libvirt_adopted *ret, struct error **err)
{
	struct look *look = look_new(lab);
	int r;

	*ret = (struct libvirt_adopted){.lab = lab};
	if (!in_time(look_at_all, look, look_free, LIBVIRT_LOOK_S * 1000))
		return libvirt_fail_silent(lab->adopted, LIBVIRT_LOOK_S, "cannot ask what it has", err);
	r = look->result < 0 ? error_move(err, &look->err) : 0;
	*ret = look->found;
	ret->lab = lab;
	arena_adopt(arena, look, look_free);
	return r;
}

static void put_interface_name(char to[INTERFACE_NAME_SIZE], const char *name)
{
	if (name && *name && strlen(name) < INTERFACE_NAME_SIZE)
		memcpy(to, name, strlen(name) + 1);
}

void libvirt_adopted_attach(struct lab *lab, const struct libvirt_adopted *adopted)
{
	for (size_t i = 0; i < lab->root->network_count; i++)
		put_interface_name(lab->root->networks[i]->bridge, adopted->networks[i].bridge);
	for (size_t i = 0; i < lab->root->guest_count; i++) {
		struct guest *guest = lab->root->guests[i];

		for (size_t j = 0; j < guest->nic_count; j++)
			for (size_t k = 0; k < adopted->domains[i].interface_count; k++)
				if (memcmp(guest->nics[j].mac, adopted->domains[i].interfaces[k].mac, 6) == 0)
					put_interface_name(guest->nics[j].tap,
							   adopted->domains[i].interfaces[k].device);
	}
}

/* ─── the mark ─── */

static int mark_domain(const struct visit *visit, const struct lab *lab, const struct guest *guest, bool mark,
		       bool *ret_there, struct error **err)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *element = arena_printf(arena, "<adopted>%s/%s</adopted>", lab->name, guest->path);
	int state = VIR_DOMAIN_SHUTOFF, reason, r;
	unsigned flags = VIR_DOMAIN_AFFECT_CONFIG;
	virDomainPtr domain;

	r = find_domain(visit, guest->adopted, &domain, err);
	*ret_there = domain != NULL;
	if (r < 0 || !domain)
		return r;
	if (visit->lib->virDomainGetState(domain, &state, &reason, 0) == 0 && state != VIR_DOMAIN_SHUTOFF)
		flags |= VIR_DOMAIN_AFFECT_LIVE;
	if (visit->lib->virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, mark ? element : NULL, "nestvisor",
					     ADOPTED_MARK_URI, flags) < 0 &&
	    (mark || visit->lib->virGetLastError()->code != VIR_ERR_NO_DOMAIN_METADATA))
		r = libvirt_fail(visit->lib, visit->uri, err, "cannot mark the domain %s", guest->adopted);
	visit->lib->virDomainFree(domain);
	return r;
}

int libvirt_adopted_mark(const struct lab *lab, bool mark, size_t *ret_count, struct error **err)
{
	cleanup_visit struct visit visit = {0};
	int r = begin(&visit, lab->adopted, true, err);

	*ret_count = 0;
	for (size_t i = 0; r == 0 && i < lab->root->guest_count; i++) {
		bool there = false;

		r = mark_domain(&visit, lab, lab->root->guests[i], mark, &there, err);
		*ret_count += r == 0 && there;
	}
	return r;
}
