/* Where a check points at, and what it calls things. */
#include "config/build.h"

static struct spot map_spot(const struct node *map, int key)
{
	const struct node *value = key < 0 ? NULL : said(map, key);

	if (value)
		return value->spot;
	return map->key ? map->key_spot : map->spot;
}

struct spot guest_spot(const struct build *b, const struct guest *guest, int key)
{
	const struct node *by_default;

	if (key >= 0 && !said(b->guest_nodes[guest->index], key)) {
		by_default = said(b->defaults, key);
		if (by_default)
			return by_default->spot;
	}
	return map_spot(b->guest_nodes[guest->index], key);
}

struct spot network_spot(const struct build *b, const struct network *network, int key)
{
	return map_spot(b->network_nodes[network->index], key);
}

const struct node *nic_node(const struct build *b, const struct nic *nic)
{
	const struct node *nics = said(b->guest_nodes[nic->guest->index], GUEST_NICS);
	const struct node *node = nics ? nics->first : NULL;

	for (unsigned i = 0; node && i < nic->index; i++)
		node = node->next;
	return node;
}

struct spot nic_spot(const struct build *b, const struct nic *nic, int key)
{
	const struct node *node = nic_node(b, nic);

	return node ? map_spot(node, key) : guest_spot(b, nic->guest, -1);
}

const char *host_words(const struct build *b, const struct host *host)
{
	return *host->path ? problems_quote(b->problems, host->path) : "L0";
}
