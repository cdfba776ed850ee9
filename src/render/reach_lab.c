#include "render/reach_lab.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "render/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEW_NAMES = 3, MOST_NAMES = 6 };

static const char *const family_words[] = {"ip", "ip6"};
static const char *const family_titles[] = {"IPv4", "IPv6"};

/* A host may be called so, too. */
static const char *node_name(const struct reach_lab *lab, size_t node)
{
	if (lab->nodes[node].host)
		return lab->nodes[node].host->name;
	return stack_host(lab->stack, "world") ? "outside" : "world";
}

const char *reach_verdict_word(enum reach_verdict verdict)
{
	static const char *const words[] = {[REACH_NONE] = "none",
					    [REACH_ALLOWED] = "allowed",
					    [REACH_PARTLY] = "partly",
					    [REACH_BLOCKED] = "blocked",
					    [REACH_UNKNOWN] = "unknown"};

	return words[verdict];
}

/* ---- ends that are alike ---- */

static bool same_cause(const struct reach_lab *lab, uint32_t a, uint32_t b)
{
	const struct reach_cause *one = &lab->causes[a], *other = &lab->causes[b];

	if (a == b || one->chain || other->chain)
		return a == b || (one->chain == other->chain && one->rule == other->rule && one->sure == other->sure);
	return one->fate == other->fate && one->reason == other->reason && one->host == other->host &&
	       one->oif == other->oif && one->sure == other->sure;
}

/* Who is like whom: by the verdicts, or where the causes are told, too, by both. */
struct likeness {
	const struct reach_lab *lab;
	int family;
	bool causes;
};

static bool same_cells(const struct likeness *like, size_t from, size_t to, size_t other_from, size_t other_to)
{
	const struct reach_lab *lab = like->lab;
	int family = like->family;
	const struct reach_cell *one = reach_lab_cell(lab, family, from, to, 0);
	const struct reach_cell *other = reach_lab_cell(lab, family, other_from, other_to, 0);

	for (size_t i = 0; i < lab->service_count; i++)
		if (one[i].verdict != other[i].verdict ||
		    (like->causes && !same_cause(lab, one[i].cause, other[i].cause)))
			return false;
	return true;
}

static bool are_alike(const struct likeness *like, size_t a, size_t b)
{
	const struct reach_lab *lab = like->lab;

	if (!lab->nodes[a].host || !lab->nodes[b].host)
		return false;
	for (size_t i = 0; i < lab->node_count; i++)
		if (i != a && i != b && (!same_cells(like, a, i, b, i) || !same_cells(like, i, a, i, b)))
			return false;
	return same_cells(like, a, b, b, a);
}

/* Are the members of a group and this one to each other as the first two are? */
static bool fits_inside(const struct likeness *like, const struct reach_group *group, size_t node)
{
	return group->count < 2 || same_cells(like, group->members[0], group->members[1], group->members[0], node);
}

static bool is_asked(const struct reach_lab *lab, int family, size_t node)
{
	for (size_t i = 0; i < lab->node_count; i++)
		if (reach_lab_cell(lab, family, node, i, 0)->verdict != REACH_NONE ||
		    reach_lab_cell(lab, family, i, node, 0)->verdict != REACH_NONE)
			return true;
	return false;
}

size_t reach_groups(const struct reach_lab *lab, int family, bool causes, struct arena *arena, struct reach_group **ret)
{
	const struct likeness like = {lab, family, causes};
	size_t count = 0;

	*ret = NULL;
	for (size_t node = 0; node < lab->node_count; node++) {
		struct reach_group *found = NULL;

		if (!is_asked(lab, family, node))
			continue;
		for (size_t i = 0; i < count && !found; i++)
			if (are_alike(&like, (*ret)[i].members[0], node) && fits_inside(&like, &(*ret)[i], node))
				found = &(*ret)[i];
		if (!found)
			found = arena_push(arena, *ret, count);
		*arena_push(arena, found->members, found->count) = node;
	}
	return count;
}

void reach_group_name(const struct reach_lab *lab, const struct reach_group *group, struct strbuf *out)
{
	size_t shown = group->count <= FEW_NAMES ? group->count : FEW_NAMES - 1;

	for (size_t i = 0; i < shown; i++)
		strbuf_printf(out, "%s%s", i ? ", " : "", node_name(lab, group->members[i]));
	if (shown < group->count)
		strbuf_printf(out, " and %zu more", group->count - shown);
}

const struct reach_cell *reach_group_cell(const struct reach_lab *lab, int family, const struct reach_group *from,
					  const struct reach_group *to, size_t service)
{
	if (from == to && from->count < 2)
		return NULL;
	return reach_lab_cell(lab, family, from->members[0], to->members[from == to], service);
}

/* ---- causes ---- */

static void put_chain(const struct reach_cause *cause, bool with_source, struct strbuf *out)
{
	const struct stack_chain *chain = cause->chain;
	char source[ORIGIN_TEXT_SIZE];

	if (cause->rule)
		strbuf_printf(out, "rule %u of ", cause->rule->index);
	else
		strbuf_add(out, "policy of ");
	strbuf_printf(out, "%s %s at %s", chain->table->table->name, chain->chain->name, chain->table->host->name);
	if (with_source && cause->rule && cause->rule->origin.source)
		strbuf_printf(out, " (%s)", origin_format(&cause->rule->origin, source));
}

void reach_cause_text(const struct reach_cause *cause, bool with_source, struct strbuf *out)
{
	if (!cause->sure)
		strbuf_add(out, "perhaps ");
	if (cause->chain)
		put_chain(cause, with_source, out);
	else if (cause->fate == SPREAD_SENT)
		strbuf_printf(out, "it leaves by %s of %s instead", cause->oif ? cause->oif->name : "an interface",
			      cause->host->name);
	else if (cause->fate == SPREAD_DELIVERED)
		strbuf_printf(out, "%s takes it", cause->host->name);
	else
		strbuf_printf(out, "%s at %s", spread_reason_text(cause->reason), cause->host->name);
}

/* ---- JSON ---- */

static json_t *cause_json(const struct reach_cause *cause)
{
	static const char *const fates[SPREAD_FATE_COUNT] = {"elsewhere", "elsewhere", "dropped",
							     "rejected",  "lost",      "unknown"};
	cleanup_strbuf struct strbuf text = {};
	char source[ORIGIN_TEXT_SIZE];
	json_t *json;

	reach_cause_text(cause, false, &text);
	json = json_pack("{s:s, s:o, s:o}", "fate", fates[cause->fate], "host", text_json(cause->host->name), "text",
			 text_json(text.text));
	if (cause->chain) {
		json_object_set_new(json, "hook", json_string(hook_name(cause->hook)));
		json_object_set_new(json, "table", text_json(cause->chain->table->table->name));
		json_object_set_new(json, "chain", text_json(cause->chain->chain->name));
	}
	if (cause->rule) {
		json_object_set_new(json, "index", json_integer(cause->rule->index));
		json_object_set_new(json, "source", text_json(origin_format(&cause->rule->origin, source)));
		json_object_set_new(json, "rule", text_json(cause->rule->text));
	}
	return json;
}

static json_t *node_json(const struct reach_lab *lab, int family, size_t node, size_t id)
{
	json_t *addresses = json_array();
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; i < lab->nodes[node].address_counts[family]; i++)
		json_array_append_new(addresses, json_string(ip_format(&lab->nodes[node].addresses[family][i], text)));
	return json_pack("{s:I, s:o, s:s, s:o}", "id", (json_int_t)id, "name", text_json(node_name(lab, node)),
			 "family", family_words[family], "addresses", addresses);
}

/* Services of one protocol with one verdict for one reason are one edge. */
static bool same_edge(const struct reach_lab *lab, const struct reach_cell *cells, size_t a, size_t b)
{
	return lab->services[a].protocol == lab->services[b].protocol && cells[a].verdict == cells[b].verdict &&
	       cells[a].cause == cells[b].cause && cells[a].address == cells[b].address;
}

static json_t *edge_json(const struct reach_lab *lab, const struct reach_cell *cells, size_t first, size_t from,
			 size_t to)
{
	enum reach_verdict verdict = cells[first].verdict;
	json_t *ports = json_array();
	char protocol[4];

	for (size_t i = first; i < lab->service_count; i++)
		if (lab->services[i].has_port && same_edge(lab, cells, first, i))
			json_array_append_new(ports, json_integer(lab->services[i].port));
	return json_pack("{s:I, s:I, s:s, s:s, s:o, s:o, s:b, s:o}", "from", (json_int_t)from, "to", (json_int_t)to,
			 "verdict", reach_verdict_word(verdict), "protocol",
			 protocol_name(lab->services[first].protocol, protocol), "undecided",
			 verdict == REACH_UNKNOWN ? json_copy(ports) : json_array(), "ports", ports, "sure",
			 verdict != REACH_UNKNOWN, "cause",
			 cells[first].cause ? json_integer((json_int_t)cells[first].cause - 1) : json_null());
}

static void add_edges(const struct reach_lab *lab, int family, size_t from, size_t to, const size_t *ids,
		      json_t *answer)
{
	const struct reach_cell *cells = reach_lab_cell(lab, family, from, to, 0);
	json_t *edges = json_object_get(answer, "edges"), *blocked = json_object_get(answer, "blocked");

	for (size_t i = 0; i < lab->service_count; i++) {
		bool told = cells[i].verdict == REACH_NONE;

		for (size_t j = 0; j < i; j++)
			told = told || same_edge(lab, cells, j, i);
		if (!told)
			json_array_append_new(cells[i].verdict == REACH_BLOCKED ? blocked : edges,
					      edge_json(lab, cells, i, ids[from], ids[to]));
	}
}

static json_t *door_json(const struct reach_lab *lab, const struct reach_door *door, const size_t *ids)
{
	char service[REACH_SERVICE_TEXT_SIZE];

	return json_pack("{s:I, s:I, s:s, s:o, s:o}", "from", (json_int_t)ids[door->from], "to",
			 (json_int_t)ids[door->to], "service",
			 reach_service_text(&lab->services[door->service], service), "host",
			 text_json(door->host->name), "port",
			 door->port.known ? json_integer((json_int_t)door->port.value) : json_null());
}

static void add_family(const struct reach_lab *lab, int family, json_t *answer)
{
	json_t *classes = json_object_get(answer, "classes"), *doors = json_object_get(answer, "translated");
	size_t *ids = calloc(lab->node_count, sizeof(*ids));

	if (!ids)
		abort();
	for (size_t i = 0; i < lab->node_count; i++) {
		ids[i] = json_array_size(classes);
		json_array_append_new(classes, node_json(lab, family, i, ids[i]));
	}
	for (size_t i = 0; i < lab->node_count * lab->node_count; i++)
		add_edges(lab, family, i / lab->node_count, i % lab->node_count, ids, answer);
	for (size_t i = 0; i < lab->tables[family].door_count; i++)
		json_array_append_new(doors, door_json(lab, &lab->tables[family].doors[i], ids));
	free(ids);
}

json_t *reach_lab_json(const struct reach_lab *lab)
{
	json_t *answer = json_pack("{s:[], s:[], s:[], s:[], s:[], s:[], s:[]}", "services", "classes", "edges",
				   "blocked", "translated", "causes", "unknown");
	char text[REACH_SERVICE_TEXT_SIZE];

	for (size_t i = 0; i < lab->service_count; i++)
		json_array_append_new(json_object_get(answer, "services"),
				      json_string(reach_service_text(&lab->services[i], text)));
	for (size_t i = 1; i < lab->cause_count; i++)
		json_array_append_new(json_object_get(answer, "causes"), cause_json(&lab->causes[i]));
	for (int family = 0; family < 2; family++)
		if (lab->tables[family].present)
			add_family(lab, family, answer);
		else
			json_array_append_new(json_object_get(answer, "unknown"), json_string(family_words[family]));
	return answer;
}

/* ---- for people ---- */

struct lines {
	const struct reach_lab *lab;
	const struct style *style;
	struct arena *arena;
	struct table *table;
	bool verbose;
	int family;
	struct reach_group *groups;
	size_t group_count;
};

/* The services with a verdict; with a cause other than 0 only those that it is the cause of. */
static void put_services(const struct reach_lab *lab, const struct reach_cell *cells, enum reach_verdict verdict,
			 uint32_t cause, struct strbuf *out)
{
	char text[REACH_SERVICE_TEXT_SIZE];
	size_t count = 0;

	for (size_t i = 0; i < lab->service_count; i++)
		count += cells[i].verdict == verdict && (!cause || cells[i].cause == cause);
	if (count == lab->service_count && count > 2) {
		strbuf_add(out, "all");
		return;
	}
	for (size_t i = 0; i < lab->service_count; i++)
		if (cells[i].verdict == verdict && (!cause || cells[i].cause == cause))
			strbuf_printf(out, "%s%s", out->length ? ", " : "",
				      reach_service_text(&lab->services[i], text));
}

/* Why, for services that do not get through; each reason once. */
static void put_causes(const struct lines *lines, const struct reach_cell *cells, struct strbuf *out)
{
	const struct reach_lab *lab = lines->lab;

	for (size_t i = 0; i < lab->service_count; i++) {
		bool told = cells[i].cause == 0;

		for (size_t j = 0; j < i; j++)
			told = told || same_cause(lab, cells[i].cause, cells[j].cause);
		if (told)
			continue;
		strbuf_add(out, out->length ? "; " : "");
		reach_cause_text(&lab->causes[cells[i].cause], lines->verbose, out);
		if (lines->verbose && lab->causes[cells[i].cause].rule)
			strbuf_printf(out, ": %s", lab->causes[cells[i].cause].rule->text);
	}
}

/* Do two ends get the same answers from one, for the same reasons? */
static bool same_row(const struct lines *lines, const struct reach_cell *a, const struct reach_cell *b)
{
	for (size_t i = 0; i < lines->lab->service_count; i++)
		if (a[i].verdict != b[i].verdict || !same_cause(lines->lab, a[i].cause, b[i].cause))
			return false;
	return true;
}

static const struct reach_cell *cells_of(const struct lines *lines, size_t from, size_t to)
{
	const struct reach_cell *cells =
		reach_group_cell(lines->lab, lines->family, &lines->groups[from], &lines->groups[to], 0);

	return cells && cells->verdict != REACH_NONE ? cells : NULL;
}

static void put_to(const struct lines *lines, size_t from, size_t to, struct strbuf *out)
{
	strbuf_add(out, out->length ? ", " : "");
	if (from == to)
		strbuf_add(out, "each other");
	else
		reach_group_name(lines->lab, &lines->groups[to], out);
}

static void put_row(struct lines *lines, size_t from, size_t first, bool named)
{
	static const enum colour colours[] = {[REACH_ALLOWED] = COLOUR_GREEN,
					      [REACH_PARTLY] = COLOUR_YELLOW,
					      [REACH_UNKNOWN] = COLOUR_YELLOW,
					      [REACH_BLOCKED] = COLOUR_RED};
	static const enum reach_verdict columns[] = {REACH_ALLOWED, REACH_PARTLY, REACH_UNKNOWN, REACH_BLOCKED};
	const struct reach_cell *cells = cells_of(lines, from, first), *others;
	cleanup_strbuf struct strbuf name = {}, to = {}, why = {};
	size_t told = 1, left_out = 0;

	put_to(lines, from, first, &to);
	for (size_t i = first + 1; i < lines->group_count; i++) {
		if (!(others = cells_of(lines, from, i)) || !same_row(lines, cells, others))
			continue;
		if (lines->verbose || ++told < MOST_NAMES)
			put_to(lines, from, i, &to);
		else
			left_out += from == i ? lines->groups[i].count - 1 : lines->groups[i].count;
	}
	if (left_out)
		strbuf_printf(&to, " and %zu more", left_out);
	if (!named)
		reach_group_name(lines->lab, &lines->groups[from], &name);
	table_row(lines->table);
	table_cell(lines->table, COLOUR_BOLD, name.text);
	table_cell(lines->table, COLOUR_NONE, to.text);
	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		cleanup_strbuf struct strbuf services = {};

		put_services(lines->lab, cells, columns[i], 0, &services);
		table_cell(lines->table, colours[columns[i]], services.text);
	}
	put_causes(lines, cells, &why);
	table_cell(lines->table, COLOUR_DIM, why.text);
}

static void put_rows_of(struct lines *lines, size_t from)
{
	bool named = false;

	for (size_t to = 0; to < lines->group_count; to++) {
		const struct reach_cell *cells = cells_of(lines, from, to), *others;
		bool told = !cells;

		for (size_t i = 0; i < to && !told; i++)
			told = (others = cells_of(lines, from, i)) && same_row(lines, cells, others);
		if (told)
			continue;
		put_row(lines, from, to, named);
		named = true;
	}
}

static void put_addresses(const struct lines *lines, struct strbuf *out)
{
	cleanup_table struct table *table = table_new((const char *const[]){"end", "addresses", NULL});
	const struct reach_lab *lab = lines->lab;
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; i < lab->node_count; i++) {
		const struct reach_node *node = &lab->nodes[i];
		cleanup_strbuf struct strbuf addresses = {};

		for (size_t j = 0; j < node->address_counts[lines->family]; j++)
			strbuf_printf(&addresses, "%s%s", j ? ", " : "",
				      ip_format(&node->addresses[lines->family][j], text));
		table_row(table);
		table_cell(table, COLOUR_BOLD, node_name(lab, i));
		table_cell(table, COLOUR_NONE, node->host ? addresses.text : "all that are in none of these subnets");
	}
	table_draw(table, lines->style, out);
	strbuf_add_char(out, '\n');
}

/* Published ports: who asks one host gets to another. Those of several who ask the same are one line. */
static void put_doors(const struct lines *lines, struct strbuf *out)
{
	const struct reach_table *table = &lines->lab->tables[lines->family];
	char service[REACH_SERVICE_TEXT_SIZE];
	bool any = false;

	for (size_t i = 0; i < table->door_count; i++) {
		const struct reach_door *door = &table->doors[i];
		size_t askers = 0;
		bool told = false;

		for (size_t j = 0; j < table->door_count; j++) {
			const struct reach_door *other = &table->doors[j];
			bool same = other->to == door->to && other->service == door->service &&
				    other->host == door->host && other->port.known == door->port.known &&
				    other->port.value == door->port.value;

			told = told || (same && j < i);
			askers += same;
		}
		if (told)
			continue;
		strbuf_add(out, any ? "" : "\nTranslated on the way:\n");
		any = true;
		strbuf_printf(out, "  %s of %s is %s",
			      reach_service_text(&lines->lab->services[door->service], service),
			      node_name(lines->lab, door->to), door->host->name);
		if (door->port.known)
			strbuf_printf(out, " port %u", (unsigned)door->port.value);
		if (askers == 1)
			strbuf_printf(out, " for %s\n", node_name(lines->lab, door->from));
		else
			strbuf_printf(out, " for %zu who may ask\n", askers);
	}
}

static void put_family(struct lines *lines, struct strbuf *out)
{
	cleanup_table struct table *table =
		table_new((const char *const[]){"from", "to", "allowed", "partly", "unknown", "blocked", "by", NULL});

	text_paint(out, lines->style, COLOUR_BOLD, family_titles[lines->family]);
	strbuf_add_char(out, '\n');
	if (lines->verbose)
		put_addresses(lines, out);
	lines->table = table;
	lines->group_count = reach_groups(lines->lab, lines->family, true, lines->arena, &lines->groups);
	for (size_t i = 0; i < lines->group_count; i++)
		put_rows_of(lines, i);
	table_draw(table, lines->style, out);
	put_doors(lines, out);
}

void reach_lab_text(const struct reach_lab *lab, const struct style *style, bool verbose, struct strbuf *out)
{
	cleanup_arena struct arena *arena = arena_new();
	bool first = true;

	for (int family = 0; family < 2; family++) {
		struct lines lines = {.lab = lab, .style = style, .arena = arena, .verbose = verbose, .family = family};

		if (!lab->tables[family].present)
			continue;
		strbuf_add(out, first ? "" : "\n");
		first = false;
		put_family(&lines, out);
	}
	if (first)
		strbuf_add(out, "no host here has an address, so there is nobody to ask about\n");
	if (lab->services_left_out)
		strbuf_printf(out, "\n%zu more ports are listened on; --port asks for them\n", lab->services_left_out);
}
