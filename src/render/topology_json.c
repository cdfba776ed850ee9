#include "render/render_internal.h"
#include "render/topology_internal.h"

#include <stdio.h>
#include <sys/socket.h>

/* Ids of nodes: "world", "h0", "i12", "n3". */
enum { NODE_ID_SIZE = 24 };

static const char *numbered(char letter, size_t number, char ret[NODE_ID_SIZE])
{
	snprintf(ret, NODE_ID_SIZE, "%c%zu", letter, number);
	return ret;
}

static const char *host_id(const struct topology *topology, const struct topology_host *host, char ret[NODE_ID_SIZE])
{
	return numbered('h', (size_t)(host - topology->hosts), ret);
}

static void set_truth(json_t *object, const char *name, enum truth truth)
{
	if (truth != TRUTH_UNKNOWN)
		json_object_set_new(object, name, json_boolean(truth == TRUTH_YES));
}

static void add_link(const struct topology *topology, const struct topology_link *link, json_t *nodes, json_t *edges)
{
	static const char *const roles[] = {[LINK_ROLE_NIC] = "nic",
					    [LINK_ROLE_LOOPBACK] = "loopback",
					    [LINK_ROLE_BRIDGE] = "bridge",
					    [LINK_ROLE_TAP] = "tap"};
	char id[NODE_ID_SIZE], other[NODE_ID_SIZE], text[PREFIX_TEXT_SIZE];
	json_t *addresses = json_array(), *node;

	for (size_t i = 0; i < link->link->address_count; i++)
		json_array_append_new(addresses, json_string(prefix_format(&link->link->addresses[i].prefix, text)));
	node = json_pack("{s:s, s:s, s:o, s:s, s:s, s:o}", "id", numbered('i', link->index, id), "kind", "interface",
			 "name", text_json(link->link->name), "host", host_id(topology, link->host, other), "role",
			 roles[link->role], "addresses", addresses);
	if (link->link->mac.known)
		json_object_set_new(node, "mac", json_string(mac_format(link->link->mac.bytes, text)));
	set_truth(node, "up", link->link->up);
	json_array_append_new(nodes, node);
	if (link->master)
		json_array_append_new(edges, json_pack("{s:s, s:s, s:s}", "from", id, "to",
						       numbered('i', link->master->index, other), "kind", "port"));
}

static void add_host(const struct topology *topology, const struct topology_host *host, json_t *nodes, json_t *edges)
{
	char id[NODE_ID_SIZE];
	json_t *node = json_pack("{s:s, s:s, s:o, s:i}", "id", host_id(topology, host, id), "kind", "host", "name",
				 text_json(host->facts->name), "layer", (int)host->layer);

	if (host->parent)
		json_object_set_new(node, "host", json_string(host_id(topology, host->parent, id)));
	if (host->machine)
		json_object_set_new(node, "namespace_of", json_string(host_id(topology, host->machine, id)));
	json_object_set_new(node, "layer_known", json_boolean(host->layer_known));
	if (host->facts->system != SYSTEM_UNKNOWN)
		json_object_set_new(node, "system",
				    json_string(host->facts->system == SYSTEM_WINDOWS ? "windows" : "linux"));
	if (host->wsl)
		json_object_set_new(node, "wsl", json_true());
	set_truth(node, "forwards4", host->forwards4);
	set_truth(node, "forwards6", host->forwards6);
	json_array_append_new(nodes, node);
	for (size_t i = 0; i < host->link_count; i++)
		add_link(topology, &host->links[i], nodes, edges);
}

static json_t *origins_json(const struct origin *origins, size_t count)
{
	json_t *list = json_array();
	char text[ORIGIN_TEXT_SIZE];

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, text_json(origin_format(&origins[i], text)));
	return list;
}

static void add_join(const struct topology_join *join, size_t number, json_t *nodes, json_t *edges)
{
	const struct relation *relation = join->relation;
	char from[NODE_ID_SIZE], to[NODE_ID_SIZE], text[PREFIX_TEXT_SIZE];
	size_t second = 1;

	if (relation->kind == RELATION_SUBNET) {
		json_array_append_new(nodes, json_pack("{s:s, s:s, s:[s]}", "id", numbered('n', number, to), "kind",
						       "network", "subnets", prefix_format(&relation->subnet, text)));
		second = join->end_count;
	} else if (!join->ends[0] || !join->ends[1]) {
		snprintf(to, sizeof(to), "world");
		second = 1;
	} else {
		numbered('i', join->ends[1]->index, to);
	}
	for (size_t i = 0; i < second; i++) {
		const struct topology_link *end = join->ends[i] ? join->ends[i] : join->ends[1];

		json_array_append_new(
			edges, json_pack("{s:s, s:s, s:s, s:o, s:o}", "from", numbered('i', end->index, from), "to", to,
					 "kind", relation_name(relation->kind), "why", text_json(relation->why),
					 "evidence", origins_json(relation->evidence, relation->evidence_count)));
	}
}

/* From the interface, or from the host where that was not captured. */
static void add_way(const struct topology *topology, const struct topology_host *host, const struct topology_way *way,
		    json_t *edges)
{
	json_t *destinations = json_array(), *edge;
	char from[NODE_ID_SIZE], to[NODE_ID_SIZE] = "world", text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < way->route_count; i++)
		json_array_append_new(destinations, json_string(prefix_format(&way->routes[i]->to, text)));
	if (way->gateway)
		numbered('i', way->gateway->index, to);
	if (way->link)
		numbered('i', way->link->index, from);
	else
		host_id(topology, host, from);
	edge = json_pack("{s:s, s:s, s:s, s:b, s:o}", "from", from, "to", to, "kind", "route", "default",
			 way->is_default, "destinations", destinations);
	if (way->via.family)
		json_object_set_new(edge, "via", json_string(ip_format(&way->via, text)));
	json_array_append_new(edges, edge);
}

static void add_inner_edges(const struct topology *topology, const struct topology_host *host, json_t *edges)
{
	char from[NODE_ID_SIZE], to[NODE_ID_SIZE], text[ORIGIN_TEXT_SIZE];

	for (size_t i = 0; i < host->way_count; i++)
		add_way(topology, host, &host->ways[i], edges);
	for (size_t i = 0; i < host->nat_count; i++) {
		const struct topology_nat *nat = &host->nats[i];

		json_array_append_new(edges, json_pack("{s:s, s:s, s:s, s:s, s:b, s:[o]}", "from",
						       numbered('i', nat->inside->index, from), "to",
						       nat->outside ? numbered('i', nat->outside->index, to) : "world",
						       "kind", "nat", "family", nat->family == AF_INET ? "ip" : "ip6",
						       "masquerade", nat->masquerade, "evidence",
						       text_json(origin_format(&nat->rule->origin, text))));
	}
	for (size_t i = 0; i < host->link_count; i++) {
		const struct topology_link *to_link = link_forwards_to(&host->links[i]);

		if (to_link)
			json_array_append_new(edges, json_pack("{s:s, s:s, s:s}", "from",
							       numbered('i', host->links[i].index, from), "to",
							       numbered('i', to_link->index, to), "kind", "forward"));
	}
}

json_t *topology_json(const struct topology *topology, const char *name)
{
	json_t *nodes = json_array(), *edges = json_array();

	json_array_append_new(nodes, json_pack("{s:s, s:s}", "id", "world", "kind", "world"));
	for (size_t i = 0; i < topology->host_count; i++)
		add_host(topology, &topology->hosts[i], nodes, edges);
	for (size_t i = 0; i < topology->join_count; i++)
		add_join(&topology->joins[i], i, nodes, edges);
	for (size_t i = 0; i < topology->host_count; i++)
		add_inner_edges(topology, &topology->hosts[i], edges);
	return json_pack("{s:o, s:o, s:o}", "facts", text_json(name), "nodes", nodes, "edges", edges);
}
