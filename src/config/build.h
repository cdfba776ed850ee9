/*
 * From the checked tree to the model, and the checks of what the table cannot know. Both work on what is there even
 * where something else is wrong, so that all errors come at once: what could not be understood is left out of the
 * model, and the checks ask said() before they blame a value. A model with errors never leaves this folder.
 */
#ifndef NESTVISOR_CONFIG_BUILD_H
#define NESTVISOR_CONFIG_BUILD_H

#include "base/arena.h"
#include "config/schema.h"

struct build {
	struct lab *lab;
	struct arena *tree_arena; /* of the tree; for what is needed only until the lab is done */
	struct problems *problems;
	const struct surroundings *machine;		  /* NULL: not known */
	const struct node *root, *defaults;		  /* defaults: NULL where there are none */
	bool part;					  /* the file has "at" or "here": parts of the lab lie outside of it */
	const char *folder;				  /* where relative paths start; NULL: not found out yet */
	const struct node **machine_nodes; /* by the positions in lab->machines */
	size_t machine_node_count;
	const struct node **guest_nodes, **network_nodes; /* what was said, by the positions in the lab's lists */
	size_t guest_node_count, network_node_count;
	size_t spelling_budget; /* how many more words may be compared for "did you mean" */
	union value guest_fallbacks[GUEST_KEYS], network_fallbacks[NETWORK_KEYS];
};

/* Builds b->lab, reporting what is wrong. */
void build_lab(struct build *b);
void build_links(struct build *b); /* its second half: NICs, policies, what refers to others by name */

/* Further machines of L0, as far as they are known before the guests; then which guest is pinned to which. */
void build_machines(struct build *b);
void build_placement(struct build *b);
void check_machines(struct build *b);

void check_adopted(struct build *b);
void check_networks(struct build *b);
void check_overlaps(struct build *b);
void check_guests(struct build *b);
void check_capacity(struct build *b);

/* A path of the file's, absolute where it starts at the file's folder. */
const char *build_absolute_path(struct build *b, const char *path);

/* Why an address cannot be that of anybody in a network ("is outside of"), or NULL. */
const char *network_refuses(const struct network *network, const struct ip *ip);

/* What was said for a key of a map, or NULL: left out, empty, or wrong. */
static inline const struct node *said(const struct node *map, int key)
{
	const struct node *node;

	if (!map || (map->kind != NODE_MAP && map->kind != NODE_NULL) || !map->slots)
		return NULL;
	node = map->slots[key];
	return node && node->kind != NODE_BROKEN && node->kind != NODE_NULL ? node : NULL;
}

/* Something was said for a key, and it, or a part of it, was wrong. */
static inline bool is_broken(const struct node *map, int key)
{
	const struct node *node;

	if (!map || map->kind == NODE_BROKEN)
		return true;
	node = map->slots ? map->slots[key] : NULL;
	if (node && node->kind == NODE_LIST)
		for (const struct node *item = node->first; item; item = item->next)
			if (item->kind == NODE_BROKEN)
				return true;
	return node && node->kind == NODE_BROKEN;
}

/* The same for guests, with what the file's defaults say where the guest says nothing. */
static inline const struct node *guest_said(const struct build *b, const struct guest *guest, int key)
{
	const struct node *node = said(b->guest_nodes[guest->index], key);

	return node ? node : said(b->defaults, key);
}

static inline bool guest_is_broken(const struct build *b, const struct guest *guest, int key)
{
	return is_broken(b->guest_nodes[guest->index], key) || (b->defaults && is_broken(b->defaults, key));
}

/* Where to point at: the value, or the name of the whole where nothing was said. */
struct spot guest_spot(const struct build *b, const struct guest *guest, int key);
struct spot network_spot(const struct build *b, const struct network *network, int key);
struct spot nic_spot(const struct build *b, const struct nic *nic, int key);
/* What was said of one NIC, or NULL where the NIC itself is there by default. */
const struct node *nic_node(const struct build *b, const struct nic *nic);

/* "L0", or the guest in quotes: for messages. */
const char *host_words(const struct build *b, const struct host *host);

/* The guest that a host is: also for the root of a part, where it is NULL. */
static inline const struct network *first_network(const struct host *host)
{
	return host->guest && host->guest->nic_count ? host->guest->nics[0].network : NULL;
}

/* The MTU of what carries a network's encapsulation; 0: not known. */
unsigned network_underlay(const struct network *network);

#endif
