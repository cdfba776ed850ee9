/*
 * The tree of layers, and the same as nodes and edges for programs. Mermaid has a file of its own.
 *
 *   first
 *   └─ L0 devbox (tcg)
 *      ├─ network lab  192.168.122.0/24  uplink nat
 *      └─ L1 hv1  running  lab 192.168.122.191
 *         ├─ network inner  192.168.124.0/24  uplink route
 *         └─ L2 a  running  cut  inner 192.168.124.91
 */
#include "render/graph.h"
#include "model/publish.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "render/render_internal.h"
#include "render/tree.h"

#include <stdio.h>
#include <string.h>

struct drawing {
	const struct lab *lab;
	const struct lab_status *status;
	const struct style *style;
	struct strbuf *out;
	struct tree tree;
};

static const struct guest_status *status_of(const struct drawing *d, const struct guest *guest)
{
	return d->status ? &d->status->guests[guest->index] : NULL;
}

static void add_network(struct drawing *d, const struct network *network, bool last)
{
	static const char *const uplinks[] = {
		[UPLINK_NAT] = "uplink nat", [UPLINK_ROUTE] = "uplink route", [UPLINK_NONE] = "no uplink"};
	const struct prefix *subnets[] = {&network->subnet4, &network->subnet6};
	size_t before = tree_begin(&d->tree, last);
	char text[PREFIX_TEXT_SIZE];

	strbuf_add(d->out, "network ");
	text_paint(d->out, d->style, COLOUR_CYAN, network->name);
	for (size_t i = 0; i < 2; i++)
		if (subnets[i]->ip.family)
			strbuf_printf(d->out, "  %s", prefix_format(subnets[i], text));
	strbuf_printf(d->out, "  %s", uplinks[network->uplink]);
	if (network->encapsulation != ENCAP_NONE)
		strbuf_printf(d->out, "  %s %u", encapsulation_name(network->encapsulation), network->vni);
	strbuf_add_char(d->out, '\n');
	tree_end(&d->tree, before);
}

static void add_publishes(struct drawing *d, const struct guest *guest)
{
	for (size_t i = 0; i < guest->publish_count; i++) {
		strbuf_add(d->out, "  ");
		publish_outside(&guest->publish[i], d->out);
		strbuf_add(d->out, d->style->utf8 ? " → " : " -> ");
		publish_inside(&guest->publish[i], d->out);
	}
}

static void add_nics(struct drawing *d, const struct guest *guest)
{
	for (size_t i = 0; i < guest->nic_count; i++) {
		cleanup_strbuf struct strbuf addresses = {};

		nic_addresses(&guest->nics[i], &addresses);
		strbuf_add(d->out, i == 0 ? "  " : ", ");
		text_paint(d->out, d->style, COLOUR_CYAN, guest->nics[i].network->name);
		if (addresses.length > 0)
			strbuf_printf(d->out, " %s", addresses.text);
	}
}

static void add_host(struct drawing *d, const struct host *host);

static void add_guest(struct drawing *d, const struct guest *guest, bool last)
{
	const struct guest_status *is = status_of(d, guest);
	enum world world = status_world(d->status, guest);
	size_t before = tree_begin(&d->tree, last);

	strbuf_printf(d->out, "L%u ", guest->layer);
	text_paint(d->out, d->style, COLOUR_BOLD, guest->name);
	if (is) {
		strbuf_add(d->out, "  ");
		text_paint(d->out, d->style, state_colour(is->state), guest_state_name(is->state));
	}
	if (world != WORLD_OPEN) {
		strbuf_add(d->out, "  ");
		text_paint(d->out, d->style, world_colour(world), world_name(world));
	}
	if (is && is->not_in_force) {
		strbuf_add(d->out, "  ");
		text_paint(d->out, d->style, COLOUR_RED, "not in force at ");
		text_paint(d->out, d->style, COLOUR_RED, is->not_in_force);
	}
	add_nics(d, guest);
	add_publishes(d, guest);
	if (is && is->note) {
		strbuf_add(d->out, "  ");
		text_paint(d->out, d->style, state_colour(is->state), is->note);
	}
	if (d->lab->machine_count && guest->parent == d->lab->root) {
		strbuf_add(d->out, "  on ");
		text_paint(d->out, d->style, COLOUR_BOLD, guest_machine_name(guest));
	}
	strbuf_add_char(d->out, '\n');
	if (guest->host)
		add_host(d, guest->host);
	tree_end(&d->tree, before);
}

static void add_host(struct drawing *d, const struct host *host)
{
	for (size_t i = 0; i < host->network_count; i++)
		add_network(d, host->networks[i], i + 1 == host->network_count && host->guest_count == 0);
	for (size_t i = 0; i < host->guest_count; i++)
		add_guest(d, host->guests[i], i + 1 == host->guest_count);
}

static void add_root(struct drawing *d)
{
	const struct host *root = d->lab->root;
	size_t before = tree_begin(&d->tree, true);

	strbuf_printf(d->out, "L%u ", root->layer);
	text_paint(d->out, d->style, COLOUR_BOLD,
		   d->status && d->status->hostname ? d->status->hostname
		   : *root->path		    ? root->path
						    : "this machine");
	if (d->status && d->status->accelerator) {
		strbuf_add(d->out, " (");
		text_safe(d->out, d->status->accelerator, false);
		strbuf_add_char(d->out, ')');
	}
	strbuf_add_char(d->out, '\n');
	add_host(d, root);
	tree_end(&d->tree, before);
}

void graph_tree(const struct lab *lab, const struct lab_status *status, const struct style *style, struct strbuf *out)
{
	struct drawing d = {
		.lab = lab, .status = status, .style = style, .out = out, .tree = {.style = style, .out = out}};

	text_paint(out, style, COLOUR_BOLD, lab->name);
	strbuf_add_char(out, '\n');
	add_root(&d);
	tree_free(&d.tree);
}

/* Ids of nodes: "world", "host", "n3", "g12". */
enum { NODE_ID_SIZE = 24 };

static const char *guest_id(const struct guest *guest, char ret[NODE_ID_SIZE])
{
	if (guest)
		snprintf(ret, NODE_ID_SIZE, "g%zu", guest->index);
	else
		snprintf(ret, NODE_ID_SIZE, "host");
	return ret;
}

static const char *network_id(const struct positions *positions, const struct network *network, char ret[NODE_ID_SIZE])
{
	snprintf(ret, NODE_ID_SIZE, "n%zu", positions_network(positions, network));
	return ret;
}

static void json_network(const struct network *network, const struct positions *positions, json_t *nodes, json_t *edges)
{
	char id[NODE_ID_SIZE], owner[NODE_ID_SIZE], up[NODE_ID_SIZE];
	const struct guest *host = network->owner->guest;

	network_id(positions, network, id);
	guest_id(host, owner);
	json_array_append_new(nodes, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "id", id, "kind", "network",
					       "name", network->name, "path", network->path, "host", owner, "subnets",
					       network_subnets_json(network), "uplink", uplink_name(network->uplink)));
	json_array_append_new(edges, json_pack("{s:s, s:s, s:s, s:o}", "from", owner, "to", id, "kind", "gateway",
					       "addresses", network_gateways_json(network)));
	if (network->uplink == UPLINK_NONE || (host && host->nic_count == 0))
		return;
	json_array_append_new(edges, json_pack("{s:s, s:s, s:s, s:s}", "from", id, "to",
					       host ? network_id(positions, host->nics[0].network, up) : "world",
					       "kind", "uplink", "uplink", uplink_name(network->uplink)));
}

static void json_guest(const struct lab *lab, const struct guest *guest, const struct lab_status *status,
		       const struct positions *positions, json_t *nodes, json_t *edges)
{
	const struct guest_status *is = status ? &status->guests[guest->index] : NULL;
	char id[NODE_ID_SIZE], other[NODE_ID_SIZE], mac[MAC_TEXT_SIZE];
	json_t *node;

	guest_id(guest, id);
	node = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "id", id, "kind", "guest", "name", guest->name, "path",
			 guest->path, "layer", (int)guest->layer, "host", guest_id(guest->parent->guest, other),
			 "world", world_name(status_world(status, guest)));
	if (lab->machine_count)
		json_object_set_new(node, "machine", json_string(guest_machine_name(guest)));
	if (is)
		json_object_set_new(node, "state", json_string(guest_state_name(is->state)));
	if (is && is->not_in_force)
		json_object_set_new(node, "not_in_force", text_json(is->not_in_force));
	json_array_append_new(nodes, node);
	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];

		json_array_append_new(edges,
				      json_pack("{s:s, s:s, s:s, s:o, s:s}", "from", id, "to",
						network_id(positions, nic->network, other), "kind", "nic", "addresses",
						nic_addresses_json(nic), "mac", mac_format(nic->mac, mac)));
	}
	for (size_t i = 0; i < guest->publish_count; i++) {
		const struct publish *p = &guest->publish[i];

		json_array_append_new(edges, json_pack("{s:s, s:s, s:s, s:i, s:i, s:s}", "from", "host", "to", id,
						       "kind", "publish", "port", p->port, "as", publish_as(p),
						       "protocol", publish_protocol(p)));
	}
}

json_t *graph_json(const struct lab *lab, const struct lab_status *status)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct positions *positions = positions_new(arena, lab);
	json_t *nodes = json_array(), *edges = json_array();

	json_array_append_new(nodes, json_pack("{s:s, s:s}", "id", "world", "kind", "world"));
	json_array_append_new(nodes, json_pack("{s:s, s:s, s:o, s:s, s:i}", "id", "host", "kind", "host", "name",
					       text_json(status && status->hostname ? status->hostname : ""), "path",
					       lab->root->path, "layer", (int)lab->root->layer));
	for (size_t i = 0; i < lab->network_count; i++)
		json_network(lab->networks[i], positions, nodes, edges);
	for (size_t i = 0; i < lab->guest_count; i++)
		json_guest(lab, lab->guests[i], status, positions, nodes, edges);
	return json_pack("{s:s, s:o, s:o}", "lab", lab->name, "nodes", nodes, "edges", edges);
}
