#include "driver/libvirt_list.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "driver/libvirt_library.h"
#include "driver/libvirt_user.h"
#include "facts/system.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct listing {
	const struct libvirt *lib;
	virConnectPtr connection;
	virDomainPtr *domains;
	virNetworkPtr *networks;
	int domain_count, network_count;
	struct arena *arena;
	const char *uri;
	struct document *documents;
	size_t count;
};

static void close_listing(struct listing *listing)
{
	for (int i = 0; i < listing->domain_count; i++)
		listing->lib->virDomainFree(listing->domains[i]);
	for (int i = 0; i < listing->network_count; i++)
		listing->lib->virNetworkFree(listing->networks[i]);
	free(listing->domains);
	free(listing->networks);
	if (listing->connection)
		listing->lib->virConnectClose(listing->connection);
}
#define cleanup_listing __attribute__((cleanup(close_listing)))

static void add(struct listing *listing, const char *kind, const char *name, const char *xml)
{
	if (!xml)
		return;
	listing->documents[listing->count++] = (struct document){.kind = kind,
								 .name = arena_strdup(listing->arena, name),
								 .text = arena_strdup(listing->arena, xml),
								 .origin.source = listing->uri};
}

static int compare(const void *a, const void *b)
{
	const struct document *x = a, *y = b;
	int by_kind = strcmp(x->kind, y->kind);

	return by_kind ? by_kind : strcmp(x->name, y->name);
}

static int ask(struct listing *listing, struct error **err)
{
	const struct libvirt *lib = listing->lib;
	int r = libvirt_connect(lib, listing->uri, true, LIBVIRT_LOOK_S, &listing->connection, err), count;

	if (r < 0)
		return r;
	count = lib->virConnectListAllDomains(listing->connection, &listing->domains, 0);
	if (count < 0)
		return libvirt_fail(lib, listing->uri, err, "cannot list the domains");
	listing->domain_count = count;
	count = lib->virConnectListAllNetworks(listing->connection, &listing->networks, 0);
	if (count < 0)
		return libvirt_fail(lib, listing->uri, err, "cannot list the networks");
	listing->network_count = count;
	return 0;
}

int libvirt_list(const char *uri, struct arena *arena, struct document **ret, size_t *ret_count, struct error **err)
{
	cleanup_listing struct listing listing = {.arena = arena, .uri = arena_strdup(arena, uri)};
	const struct libvirt *lib;
	unsigned user;
	int r = libvirt_load(&lib, err);

	if (r < 0)
		return r;
	listing.lib = lib;
	r = libvirt_user_of(arena, listing.uri, &listing.uri, &user, err);
	if (r == 0)
		r = ask(&listing, err);
	if (r < 0)
		return r;
	listing.documents = arena_alloc(arena, (size_t)(listing.domain_count + listing.network_count + 1) *
						       sizeof(*listing.documents));
	for (int i = 0; i < listing.domain_count; i++) {
		cleanup_free char *xml = lib->virDomainGetXMLDesc(listing.domains[i], VIR_DOMAIN_XML_INACTIVE);

		add(&listing, "domain", lib->virDomainGetName(listing.domains[i]), xml);
	}
	for (int i = 0; i < listing.network_count; i++) {
		cleanup_free char *xml = lib->virNetworkGetXMLDesc(listing.networks[i], 0);

		add(&listing, "network", lib->virNetworkGetName(listing.networks[i]), xml);
	}
	qsort(listing.documents, listing.count, sizeof(*listing.documents), compare);
	*ret = listing.documents;
	*ret_count = listing.count;
	return 0;
}
