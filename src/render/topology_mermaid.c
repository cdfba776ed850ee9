/*
 * Mermaid of facts. Ids are numbers of links and hosts, never names; labels go through mermaid_label() and begin with a
 * word of ours, for the reasons that mermaid.c gives.
 *
 *   world(("world"))
 *   subgraph h0 ["L0 laptop"]
 *     i0["interface Ethernet<br>192.0.2.109/24"]
 *     subgraph h1 ["L1 wsl"]                              world ---|"192.0.2.254"| i0
 *       i1["interface eth1<br>192.0.2.109/24"]            i0 ---|"mirrored"| i1
 *       i2(["bridge virbr0<br>192.168.122.1/24"])         i1 -.-|"masquerades 192.168.122.0/24"| i2
 *       i3[/"tap vnet0<br>fe:54:00:12:34:56"/]            i2 --- i3
 *     end                                                 i3 ---|"tap"| i9
 *   end
 */
#include "render/render_internal.h"
#include "render/topology_internal.h"

#include "base/cleanup.h"

#include <string.h>

struct chart {
	const struct topology *topology;
	struct strbuf *out;
	int indent;
};

static void begin_line(const struct chart *chart)
{
	strbuf_printf(chart->out, "%*s", chart->indent * 2, "");
}

static void add_link(struct chart *chart, const struct topology_link *link)
{
	static const char *const shapes[][2] = {[LINK_ROLE_NIC] = {"[", "]"},
						[LINK_ROLE_LOOPBACK] = {"[", "]"},
						[LINK_ROLE_BRIDGE] = {"([", "])"},
						[LINK_ROLE_TAP] = {"[/", "/]"}};
	static const char *const classes[] = {[LINK_ROLE_NIC] = "nic",
					      [LINK_ROLE_LOOPBACK] = "nic",
					      [LINK_ROLE_BRIDGE] = "bridge",
					      [LINK_ROLE_TAP] = "tap"};
	char text[PREFIX_TEXT_SIZE];

	begin_line(chart);
	strbuf_printf(chart->out, "i%zu%s\"", link->index, shapes[link->role][0]);
	mermaid_label(chart->out, link_role_name(link));
	strbuf_add_char(chart->out, ' ');
	mermaid_label(chart->out, link->link->name);
	for (size_t i = 0; i < link->link->address_count; i++)
		if (address_is_drawn(&link->link->addresses[i]))
			strbuf_printf(chart->out, "<br>%s", prefix_format(&link->link->addresses[i].prefix, text));
	if (link->link->mac.known && (link->joined || link->role == LINK_ROLE_TAP))
		strbuf_printf(chart->out, "<br>%s", mac_format(link->link->mac.bytes, text));
	for (size_t i = 0; i < link->host->way_count; i++)
		if (link->host->ways[i].is_default && link->host->ways[i].link == link &&
		    link->host->ways[i].via.family)
			strbuf_printf(chart->out, "<br>gateway %s", ip_format(&link->host->ways[i].via, text));
	strbuf_printf(chart->out, "\"%s:::%s\n", shapes[link->role][1],
		      link->link->up == TRUTH_NO ? "down" : classes[link->role]);
}

static bool is_drawn(const struct topology_link *link)
{
	return link_is_drawn(link) || (link->master && is_drawn(link->master));
}

static void add_host(struct chart *chart, const struct topology_host *host)
{
	char layer[LAYER_TEXT_SIZE];
	bool empty = true;

	begin_line(chart);
	strbuf_printf(chart->out, "subgraph h%zu[\"%s ", (size_t)(host - chart->topology->hosts),
		      host->machine ? "network" : layer_name(host, layer));
	mermaid_label(chart->out, host->facts->name);
	if (host->facts->system == SYSTEM_WINDOWS)
		strbuf_add(chart->out, ", Windows");
	else if (host->wsl)
		strbuf_add(chart->out, ", WSL2");
	strbuf_add(chart->out, "\"]\n");
	chart->indent++;
	for (size_t i = 0; i < host->link_count; i++) {
		if (!is_drawn(&host->links[i]))
			continue;
		add_link(chart, &host->links[i]);
		empty = false;
	}
	for (size_t i = 0; i < host->namespace_count; i++)
		add_host(chart, host->namespaces[i]);
	for (size_t i = 0; i < host->guest_count; i++)
		add_host(chart, host->guests[i]);
	if (empty && host->guest_count == 0 &&
	    host->namespace_count == 0) { /* Mermaid draws an empty subgraph as a node, somewhere else */
		begin_line(chart);
		strbuf_printf(chart->out, "e%zu[\"no addresses\"]\n", (size_t)(host - chart->topology->hosts));
	}
	chart->indent--;
	begin_line(chart);
	strbuf_add(chart->out, "end\n");
}

/* Bridges to their ports, and what leaves by another interface: outside on top. */
static void add_inner_edges(struct chart *chart, const struct topology_link *link)
{
	const struct topology_link *forwards_to = link_forwards_to(link);

	for (size_t i = 0; i < link->port_count; i++)
		strbuf_printf(chart->out, "  i%zu --- i%zu\n", link->index, link->ports[i]->index);
	for (size_t i = 0; i < link->host->nat_count; i++) {
		const struct topology_nat *nat = &link->host->nats[i];
		cleanup_strbuf struct strbuf subnets = {};

		if (nat->inside != link || !nat->outside)
			continue;
		link_subnets(link, nat->family, &subnets);
		strbuf_printf(chart->out, "  i%zu -.-|\"%s %s\"| i%zu\n", nat->outside->index,
			      nat->masquerade ? "masquerades" : "translates", subnets.text ? subnets.text : "",
			      link->index);
	}
	if (forwards_to)
		strbuf_printf(chart->out, "  i%zu -.-|\"forwards\"| i%zu\n", forwards_to->index, link->index);
}

/* A way to the world that no captured host is part of. What WSL2 mirrors leaves by Windows' interface. */
static bool is_way_out(const struct topology_way *way)
{
	return way->is_default && way->link && !way->gateway && !way->link->mirror_of;
}

static bool leads_out(const struct topology_link *link)
{
	for (size_t i = 0; i < link->host->way_count; i++)
		if (link->host->ways[i].link == link && is_way_out(&link->host->ways[i]))
			return true;
	return false;
}

static void add_join(struct chart *chart, const struct topology_join *join, size_t number)
{
	char text[PREFIX_TEXT_SIZE];

	if (join->relation->kind == RELATION_SUBNET) {
		strbuf_printf(chart->out, "  n%zu([\"subnet %s\"]):::bridge\n", number,
			      prefix_format(&join->relation->subnet, text));
		for (size_t i = 0; i < join->end_count; i++)
			strbuf_printf(chart->out, "  n%zu --- i%zu\n", number, join->ends[i]->index);
	} else if (join->ends[0] && join->ends[1]) {
		strbuf_printf(chart->out, "  i%zu ---|\"%s\"| i%zu\n", join->ends[0]->index,
			      relation_name(join->relation->kind), join->ends[1]->index);
	} else if (!leads_out(join->ends[join->ends[0] ? 0 : 1])) {
		strbuf_printf(chart->out, "  world ---|\"%s\"| i%zu\n", relation_name(join->relation->kind),
			      join->ends[join->ends[0] ? 0 : 1]->index);
	}
}

static void add_ways(struct chart *chart, const struct topology_host *host)
{
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; i < host->way_count; i++) {
		const struct topology_way *way = &host->ways[i];

		if (!is_way_out(way))
			continue;
		if (way->via.family)
			strbuf_printf(chart->out, "  world ---|\"gateway %s\"| i%zu\n", ip_format(&way->via, text),
				      way->link->index);
		else
			strbuf_printf(chart->out, "  world --- i%zu\n", way->link->index);
	}
}

void topology_mermaid(const struct topology *topology, const char *name, struct strbuf *out)
{
	struct chart chart = {.topology = topology, .out = out, .indent = 1};

	mermaid_title(out, "facts", name);
	strbuf_add(out, "flowchart TB\n"
			"  world((\"world\")):::world\n");
	for (size_t i = 0; i < topology->root_count; i++)
		add_host(&chart, topology->roots[i]);
	for (size_t i = 0; i < topology->host_count; i++)
		add_ways(&chart, &topology->hosts[i]);
	for (size_t i = 0; i < topology->join_count; i++)
		add_join(&chart, &topology->joins[i], i);
	for (size_t i = 0; i < topology->host_count; i++)
		for (size_t j = 0; j < topology->hosts[i].link_count; j++)
			if (is_drawn(&topology->hosts[i].links[j]))
				add_inner_edges(&chart, &topology->hosts[i].links[j]);
	strbuf_add(out, "  classDef world fill:#e7f0fb,stroke:#1f5fa8,color:#0b2e57\n"
			"  classDef nic fill:#e9f7ec,stroke:#2e7d42,color:#0f3319\n"
			"  classDef bridge fill:#e8f6f8,stroke:#1b7f8c,color:#08343a\n"
			"  classDef tap fill:#eeeeee,stroke:#555555,color:#111111\n"
			"  classDef down fill:#f5f5f5,stroke:#999999,color:#555555,stroke-dasharray:6 4\n");
}
