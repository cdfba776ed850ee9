#include "driver/libvirt_list.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "driver/libvirt_library.h"
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

static int fail(const struct listing *listing, const char *what, struct error **err)
{
	const virError *said = listing->lib->virGetLastError();

	int r = error_set(err, EIO, "%s at %s: %s", what, listing->uri,
			  said && said->message ? said->message : "libvirt does not say why");

	if (said && (said->domain == VIR_FROM_RPC || said->code == VIR_ERR_SYSTEM_ERROR))
		error_hint(err,
			   "is libvirtd running, and may you use it? virsh -c %s uri; nestvisor doctor looks into it",
			   listing->uri);
	return r;
}

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
	int count;

	listing->connection = lib->virConnectOpenReadOnly(listing->uri);
	if (!listing->connection)
		return fail(listing, "cannot connect to libvirt", err);
	count = lib->virConnectListAllDomains(listing->connection, &listing->domains, 0);
	if (count < 0)
		return fail(listing, "cannot list the domains", err);
	listing->domain_count = count;
	count = lib->virConnectListAllNetworks(listing->connection, &listing->networks, 0);
	if (count < 0)
		return fail(listing, "cannot list the networks", err);
	listing->network_count = count;
	return 0;
}

int libvirt_list(const char *uri, struct arena *arena, struct document **ret, size_t *ret_count, struct error **err)
{
	cleanup_listing struct listing listing = {.arena = arena, .uri = arena_strdup(arena, uri)};
	const struct libvirt *lib;
	int r = libvirt_load(&lib, err);

	if (r < 0)
		return r;
	listing.lib = lib;
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
