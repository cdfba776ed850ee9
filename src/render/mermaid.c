/*
 * Mermaid flowcharts. A host is a subgraph; in it stand the machine itself as a node, its networks, and its guests, so
 * that the layers nest as the machines do.
 *
 *   subgraph s ["L0"]
 *     m["this machine"]            n0(["network lab …"])
 *     subgraph s0 ["L1 hv1"]
 *       g0("hv1 …")                n1(["network inner …"])         m ---|gateway| n0 ---|address| g0 ---|gateway| n1
 *       g1{{"a … cut"}}                                            n1 ---|address| g1
 *     end                                                          n1 -->|route| n0 -->|nat| world
 *   end
 *
 * Ids are positions in the lab, never names. In labels every character outside a small set of ASCII becomes a character
 * entity "#NNN;", which is Mermaid's own escape: quotes, backticks, brackets, "<" and "#" cannot end a label or be
 * taken for markup. Labels begin with a word of ours, because "1. x" or "- x" would be read as a Markdown list. Mermaid
 * mangles ";" on lines that hold "style" or "classDef", ":" and "#" in this order; so names have their ":" escaped too.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "render/graph.h"
#include "render/render_internal.h"

#include <stdio.h>
#include <string.h>

struct chart {
	const struct lab *lab;
	const struct lab_status *status;
	const struct positions *positions;
	struct strbuf *out;
	struct strbuf edges; /* written last: an edge that stands in a subgraph pulls its nodes into it */
	int indent;
};

void mermaid_label(struct strbuf *out, const char *text)
{
	cleanup_strbuf struct strbuf safe = {};

	text_safe(&safe, text, false);
	for (const char *at = safe.text; *at;) {
		uint32_t c = 0;
		size_t length = utf8_next(at, 4, &c);

		if (c < 0x80 &&
		    !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -.,/+=", (int)c))
			strbuf_printf(out, "#%u;", c);
		else
			strbuf_add_bytes(out, at, length);
		at += length;
	}
}

static void begin_line(struct chart *chart)
{
	strbuf_printf(chart->out, "%*s", chart->indent * 2, "");
}

static void add_addresses(struct strbuf *out, const struct ip *four, const struct ip *six)
{
	char text[IP_TEXT_SIZE];

	if (four->family)
		strbuf_add(out, ip_format(four, text));
	if (six->family)
		strbuf_printf(out, "%s%s", four->family ? "<br>" : "", ip_format(six, text));
}

/* "  from ---|"text"| to", without the text where there is none. */
static void add_edge(struct chart *chart, const char *from, const char *arrow, const char *text, const char *to)
{
	if (text && *text)
		strbuf_printf(&chart->edges, "  %s %s|\"%s\"| %s\n", from, arrow, text, to);
	else
		strbuf_printf(&chart->edges, "  %s %s %s\n", from, arrow, to);
}

enum { NODE_ID_SIZE = 24 };

static const char *machine_id(const struct chart *chart, const struct guest *guest, char ret[NODE_ID_SIZE])
{
	if (guest)
		snprintf(ret, NODE_ID_SIZE, "g%zu", guest->index);
	else
		snprintf(ret, NODE_ID_SIZE, "m");
	return ret;
}

static const char *network_id(const struct chart *chart, const struct network *network, char ret[NODE_ID_SIZE])
{
	snprintf(ret, NODE_ID_SIZE, "n%zu", positions_network(chart->positions, network));
	return ret;
}

static void add_network_edges(struct chart *chart, const struct network *network)
{
	const struct guest *host = network->owner->guest;
	cleanup_strbuf struct strbuf gateway = {};
	char id[NODE_ID_SIZE], owner[NODE_ID_SIZE], up[NODE_ID_SIZE];

	strbuf_add(&gateway, "");
	add_addresses(&gateway, &network->gateway4, &network->gateway6);
	network_id(chart, network, id);
	add_edge(chart, machine_id(chart, host, owner), "---", gateway.text, id);
	if (network->uplink == UPLINK_NONE || (host && host->nic_count == 0))
		return;
	add_edge(chart, id, "==>", uplink_name(network->uplink),
		 host ? network_id(chart, host->nics[0].network, up) : "world");
}

static void add_network(struct chart *chart, const struct network *network)
{
	const struct prefix *subnets[] = {&network->subnet4, &network->subnet6};
	char id[NODE_ID_SIZE], text[PREFIX_TEXT_SIZE];

	begin_line(chart);
	strbuf_printf(chart->out, "%s([\"network ", network_id(chart, network, id));
	mermaid_label(chart->out, network->name);
	for (size_t i = 0; i < 2; i++)
		if (subnets[i]->ip.family)
			strbuf_printf(chart->out, "<br>%s", prefix_format(subnets[i], text));
	strbuf_printf(chart->out, "\"]):::%s\n", network->uplink == UPLINK_NONE ? "inside" : "network");
	add_network_edges(chart, network);
}

static void add_guest_edges(struct chart *chart, const struct guest *guest)
{
	char id[NODE_ID_SIZE], network[NODE_ID_SIZE];

	machine_id(chart, guest, id);
	for (size_t i = 0; i < guest->nic_count; i++) {
		const struct nic *nic = &guest->nics[i];
		cleanup_strbuf struct strbuf text = {};

		strbuf_add(&text, "");
		add_addresses(&text, &nic->address4, &nic->address6);
		if (text.length == 0 && nic->network->dhcp)
			strbuf_add(&text, "dhcp");
		add_edge(chart, network_id(chart, nic->network, network), "---", text.text, id);
	}
	for (size_t i = 0; i < guest->publish_count; i++) {
		cleanup_strbuf struct strbuf text = {};

		publish_outside(&guest->publish[i], &text);
		strbuf_add(&text, " to ");
		publish_inside(&guest->publish[i], &text);
		add_edge(chart, "m", "-.->", text.text, id);
	}
}

/* The machine itself. Its shape and class say what may leave it; a broken line that it does not run. */
static void add_machine(struct chart *chart, const struct guest *guest)
{
	static const char *const shapes[][2] = {
		[WORLD_OPEN] = {"(", ")"}, [WORLD_CUT] = {"{{", "}}"}, [WORLD_SEALED] = {"[[", "]]"}};
	const struct guest_status *is = chart->status ? &chart->status->guests[guest->index] : NULL;
	enum world world = status_world(chart->status, guest);
	char id[NODE_ID_SIZE];

	begin_line(chart);
	strbuf_printf(chart->out, "%s%s\"L%u ", machine_id(chart, guest, id), shapes[world][0], guest->layer);
	mermaid_label(chart->out, guest->name);
	if (chart->lab->machine_count && guest->layer == 1)
		strbuf_printf(chart->out, "<br>on %s", guest_machine_name(guest));
	if (is)
		strbuf_printf(chart->out, "<br>%s", guest_state_name(is->state));
	if (world != WORLD_OPEN)
		strbuf_printf(chart->out, "<br>%s", world_name(world));
	if (is && is->not_in_force)
		strbuf_printf(chart->out, "<br>not in force at %s", is->not_in_force);
	strbuf_printf(chart->out, "\"%s:::%s\n", shapes[world][1], world_name(world));
	if (is && is->state != GUEST_RUNNING) {
		begin_line(chart);
		strbuf_printf(chart->out, "class %s %s\n", id, guest_state_name(is->state));
	}
	add_guest_edges(chart, guest);
}

static void add_host(struct chart *chart, const struct host *host);

static void add_guest(struct chart *chart, const struct guest *guest)
{
	if (!guest->host) {
		add_machine(chart, guest);
		return;
	}
	begin_line(chart);
	strbuf_printf(chart->out, "subgraph s%zu[\"L%u ", guest->index, guest->layer);
	mermaid_label(chart->out, guest->name);
	strbuf_add(chart->out, "\"]\n");
	chart->indent++;
	add_machine(chart, guest);
	add_host(chart, guest->host);
	chart->indent--;
	begin_line(chart);
	strbuf_add(chart->out, "end\n");
}

static void add_host(struct chart *chart, const struct host *host)
{
	for (size_t i = 0; i < host->network_count; i++)
		add_network(chart, host->networks[i]);
	for (size_t i = 0; i < host->guest_count; i++)
		add_guest(chart, host->guests[i]);
}

static void add_root(struct chart *chart)
{
	const struct host *root = chart->lab->root;
	const struct lab_status *status = chart->status;

	begin_line(chart);
	strbuf_printf(chart->out, "subgraph s[\"L%u\"]\n", root->layer);
	chart->indent++;
	begin_line(chart);
	strbuf_printf(chart->out, "m[\"L%u ", root->layer);
	mermaid_label(chart->out, status && status->hostname ? status->hostname
				  : *root->path		     ? root->path
							     : "this machine");
	strbuf_add(chart->out, "\"]:::machine\n");
	add_host(chart, root);
	chart->indent--;
	begin_line(chart);
	strbuf_add(chart->out, "end\n");
}

void mermaid_title(struct strbuf *out, const char *kind, const char *name)
{
	cleanup_strbuf struct strbuf safe = {};
	cleanup_free char *quoted = NULL;
	cleanup_json json_t *text = NULL;

	/* A JSON string is a YAML one. */
	strbuf_printf(&safe, "%s ", kind);
	text_safe(&safe, name, false);
	text = text_json(safe.text);
	quoted = json_dumps(text, JSON_ENCODE_ANY);
	if (!quoted)
		abort();
	strbuf_printf(out, "---\ntitle: %s\n---\n", quoted);
}

void graph_mermaid(const struct lab *lab, const struct lab_status *status, struct strbuf *out)
{
	cleanup_arena struct arena *arena = arena_new();
	struct chart chart = {.lab = lab, .status = status, .out = out, .indent = 1};

	chart.positions = positions_new(arena, lab);
	strbuf_add(&chart.edges, "");
	mermaid_title(out, "lab", lab->name);
	strbuf_add(out, "flowchart TB\n"
			"  world((\"world\")):::world\n");
	add_root(&chart);
	strbuf_add(out, chart.edges.text);
	strbuf_freep(&chart.edges);
	strbuf_add(out, "  classDef world fill:#e7f0fb,stroke:#1f5fa8,color:#0b2e57\n"
			"  classDef machine fill:#eeeeee,stroke:#555555,color:#111111\n"
			"  classDef network fill:#e8f6f8,stroke:#1b7f8c,color:#08343a\n"
			"  classDef inside fill:#e8f6f8,stroke:#1b7f8c,color:#08343a,stroke-dasharray:2 4\n"
			"  classDef open fill:#e9f7ec,stroke:#2e7d42,color:#0f3319\n"
			"  classDef cut fill:#fff4d6,stroke:#a86b00,color:#4a2f00,stroke-width:3px\n"
			"  classDef sealed fill:#fde7e7,stroke:#b3261e,color:#5c0f0a,stroke-width:4px\n"
			"  classDef absent stroke-dasharray:6 4,opacity:0.6\n"
			"  classDef starting stroke-dasharray:6 4\n"
			"  classDef dead stroke:#b3261e,stroke-dasharray:2 3\n"
			"  classDef unknown stroke-dasharray:2 3,opacity:0.8\n");
}
