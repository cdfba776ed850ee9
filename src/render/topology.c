#include "render/topology_internal.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool address_is_drawn(const struct address *address)
{
	const struct ip *ip = &address->prefix.ip;

	if (ip->family == AF_INET)
		return ip->bytes[0] != 127;
	return !(ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80) &&
	       !(memcmp(ip->bytes, (const uint8_t[15]){0}, 15) == 0 && ip->bytes[15] == 1);
}

bool link_is_drawn(const struct topology_link *link)
{
	if (link->joined || link->port_count)
		return true;
	for (size_t i = 0; i < link->link->address_count; i++)
		if (address_is_drawn(&link->link->addresses[i]))
			return true;
	return false;
}

const char *layer_name(const struct topology_host *host, char ret[LAYER_TEXT_SIZE])
{
	const struct topology_host *root = host->machine ? host->machine : host;

	while (root->parent)
		root = root->parent;
	snprintf(ret, LAYER_TEXT_SIZE, "L%u%s", host->layer, host->layer_known ? "" : root->is_guest ? "+" : "?");
	return ret;
}

/* What a capture calls the kind of a link may be anything. */
static bool is_plain_word(const char *word)
{
	return islower((unsigned char)*word) && word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

const char *link_role_name(const struct topology_link *link)
{
	switch (link->role) {
	case LINK_ROLE_BRIDGE:
		return "bridge";
	case LINK_ROLE_TAP:
		return "tap";
	case LINK_ROLE_LOOPBACK:
		return "loopback";
	case LINK_ROLE_NIC:
		break;
	}
	if (!link->link->kind || strcmp(link->link->kind, "ether") == 0 || !is_plain_word(link->link->kind))
		return "interface";
	return link->link->kind;
}

const char *relation_name(enum relation_kind kind)
{
	static const char *const names[] = {"", "cable", "tap", "learned", "neighbour", "mirrored", "subnet"};

	return names[kind];
}

static bool is_translated(const struct topology_link *link, uint8_t family)
{
	for (size_t i = 0; i < link->host->nat_count; i++)
		if (link->host->nats[i].inside == link && link->host->nats[i].family == family)
			return true;
	return false;
}

static bool has_subnet(const struct topology_link *link, uint8_t family)
{
	for (size_t i = 0; i < link->link->address_count; i++) {
		const struct prefix *prefix = &link->link->addresses[i].prefix;

		if (prefix->ip.family == family && prefix->length < ip_bits(&prefix->ip) &&
		    address_is_drawn(&link->link->addresses[i]))
			return true;
	}
	return false;
}

struct topology_link *link_forwards_to(const struct topology_link *link)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	const struct topology_host *host = link->host;

	for (size_t f = 0; f < 2; f++) {
		enum truth on = families[f] == AF_INET ? host->forwards4 : host->forwards6;

		if (on != TRUTH_YES || !has_subnet(link, families[f]) || is_translated(link, families[f]))
			continue;
		for (size_t i = 0; i < host->way_count; i++) {
			const struct topology_way *way = &host->ways[i];

			if (way->is_default && way->link && way->link != link && way->route_count &&
			    way->routes[0]->family == families[f])
				return way->link;
		}
	}
	return NULL;
}

void link_subnets(const struct topology_link *link, uint8_t family, struct strbuf *out)
{
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < link->link->address_count; i++) {
		const struct address *address = &link->link->addresses[i];
		struct prefix network = prefix_network(&address->prefix);

		if (network.ip.family != family || network.length == ip_bits(&network.ip) || !address_is_drawn(address))
			continue;
		prefix_format(&network, text);
		if (out->text && strstr(out->text, text))
			continue;
		strbuf_printf(out, "%s%s", out->length ? ", " : "", text);
	}
}
