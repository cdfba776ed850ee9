#include "net/transit.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "model/hash.h"
#include "model/lab.h"
#include "net/route.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

enum { TRIES = 4096 };

/* The uplink's has none in it, as it was before there were others. */
static uint64_t hash_cable(const struct net *net, const char *outer)
{
	const struct lab *lab = net->lab;
	uint64_t hash = hash_more(HASH_START, lab->name, strlen(lab->name) + 1);

	hash = hash_text(hash, lab->root->path);
	if (strcmp(outer, net->names.veth) != 0)
		hash = hash_text(hash, outer);
	return hash ^ hash >> 29; /* the lowest bits of FNV are the weakest */
}

static struct prefix transit4(uint64_t h)
{
	uint32_t at = 0x64400000U | ((uint32_t)h & 0xfffffU) << 2;

	return (struct prefix){
		.ip = {AF_INET, {(uint8_t)(at >> 24), (uint8_t)(at >> 16), (uint8_t)(at >> 8), (uint8_t)at}},
		.length = 30,
	};
}

static struct prefix transit6(uint64_t h)
{
	struct prefix p = {.ip = {AF_INET6, {0xfd}}, .length = 126};

	for (int i = 1; i < 6; i++)
		p.ip.bytes[i] = (uint8_t)(h >> (64 - 8 * i));
	return p;
}

static bool taken(const struct net *net, const struct route *routes, size_t count, const struct prefix *transit)
{
	const struct lab *lab = net->lab;

	for (size_t i = 0; i < count; i++)
		if (routes[i].to.length && routes[i].to.ip.family == transit->ip.family &&
		    prefix_overlaps(&routes[i].to, transit))
			return true;
	for (size_t i = 0; i < lab->network_count; i++)
		if (prefix_overlaps(&lab->networks[i]->subnet4, transit) ||
		    prefix_overlaps(&lab->networks[i]->subnet6, transit))
			return true;
	return false;
}

static bool has_ipv6(const struct lab *lab)
{
	for (size_t i = 0; i < lab->network_count; i++)
		if (lab->networks[i]->subnet6.ip.family)
			return true;
	return false;
}

/* The two hosts of the link: its first is the outer end, its second the inner one. */
static void split(const struct prefix *transit, struct prefix *outer, struct prefix *inner)
{
	*outer = (struct prefix){prefix_host(transit, 1), transit->length};
	*inner = (struct prefix){prefix_host(transit, 2), transit->length};
}

static int find_free(struct net *net, const char *outer, const struct route *routes, size_t count, bool six,
		     struct prefix *ret, struct error **err)
{
	uint64_t h = hash_cable(net, outer);

	for (int try = 0; try < TRIES; try++, h += six ? 1U << 24 : 1U) {
		*ret = six ? transit6(h) : transit4(h);
		if (!taken(net, routes, count, ret))
			return 0;
	}
	return error_set(err, EADDRNOTAVAIL, "no free link addresses for the uplink in %s",
			 six ? "fd00::/8" : "100.64.0.0/10");
}

/* What the outer end of a standing cable has. */
static void look_at(const struct link_address *addresses, size_t count, struct net_transit *ret)
{
	for (size_t i = 0; i < count; i++) {
		const struct prefix *p = &addresses[i].prefix;
		struct prefix network = prefix_network(p);

		if (p->ip.family == AF_INET && p->length == 30)
			split(&network, &ret->root4, &ret->inside4);
		else if (p->ip.family == AF_INET6 && p->length == 126)
			split(&network, &ret->root6, &ret->inside6);
	}
}

int transit_choose(struct net *net, struct netlink *root, const char *outer, struct net_transit *ret,
		   struct error **err)
{
	cleanup_free struct link_address *addresses = NULL;
	cleanup_free struct route *routes = NULL;
	size_t address_count = 0, count = 0;
	bool six = has_ipv6(net->lab);
	struct prefix transit;
	struct link link;
	int r = 0;

	*ret = (struct net_transit){0};
	if (link_get(root, outer, &link) == 0) {
		r = link_addresses(root, link.index, &addresses, &address_count, err);
		if (r < 0)
			return r;
		look_at(addresses, address_count, ret);
	}
	if (!ret->root4.ip.family || (six && !ret->root6.ip.family))
		r = route_list(root, &routes, &count, err);
	if (r == 0 && !ret->root4.ip.family) {
		r = find_free(net, outer, routes, count, false, &transit, err);
		if (r == 0)
			split(&transit, &ret->root4, &ret->inside4);
	}
	if (r == 0 && six && !ret->root6.ip.family) {
		r = find_free(net, outer, routes, count, true, &transit, err);
		if (r == 0)
			split(&transit, &ret->root6, &ret->inside6);
	}
	if (!six)
		ret->root6 = ret->inside6 = (struct prefix){0};
	return r;
}
