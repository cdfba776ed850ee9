#include "render/reach.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "render/table.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FEW = 4 };

static uint8_t family_of(const struct reach_family *family)
{
	return family->family == STACK_IP4 ? AF_INET : AF_INET6;
}

const char *interval_text(const struct interval *interval, uint8_t family, char ret[INTERVAL_TEXT_SIZE])
{
	wide span = interval->last - interval->first;
	struct ip first = wide_to_address(interval->first, family), last = wide_to_address(interval->last, family);
	char a[IP_TEXT_SIZE], b[IP_TEXT_SIZE];
	unsigned free_bits = 0;

	while (free_bits < 128 && span >> free_bits)
		free_bits++;
	if ((span & (span + 1)) || (interval->first & span))
		snprintf(ret, INTERVAL_TEXT_SIZE, "%s-%s", ip_format(&first, a), ip_format(&last, b));
	else if (ip_equal(&first, &last))
		snprintf(ret, INTERVAL_TEXT_SIZE, "%s", ip_format(&first, a));
	else
		snprintf(ret, INTERVAL_TEXT_SIZE, "%s/%u", ip_format(&first, a), 128 - free_bits);
	return ret;
}

/* ---- JSON ---- */

static json_t *addresses_json(const struct matrix_class *class, uint8_t family)
{
	json_t *addresses = json_array();
	char text[INTERVAL_TEXT_SIZE];

	for (size_t i = 0; i < class->interval_count; i++)
		json_array_append_new(addresses, json_string(interval_text(&class->intervals[i], family, text)));
	return addresses;
}

/* The ports of some services; with no ports asked for, none. */
static json_t *ports_json(const struct reach_question *question, matrix_services services)
{
	json_t *ports = json_array();

	for (size_t i = 0; i < question->port_count; i++)
		if (services >> i & 1)
			json_array_append_new(ports, json_integer(question->ports[i]));
	return ports;
}

static void add_edges(const struct reach_family *family, const struct reach_question *question, size_t first_id,
		      json_t *edges)
{
	const struct matrix *matrix = family->matrix;

	for (size_t i = 0; i < matrix->class_count * matrix->class_count; i++)
		if (matrix->edges[i])
			json_array_append_new(edges, json_pack("{s:I, s:I, s:o, s:o, s:o, s:b}", "from",
							       (json_int_t)(first_id + i / matrix->class_count), "to",
							       (json_int_t)(first_id + i % matrix->class_count),
							       "ports", ports_json(question, matrix->edges[i]),
							       "undecided", ports_json(question, family->unsure[i]),
							       "loopback", ports_json(question, family->loopback[i]),
							       "sure", family->unsure[i] != matrix->edges[i]));
}

static json_t *rule_json(const struct reach_undecided *undecided)
{
	char source[ORIGIN_TEXT_SIZE];

	return json_pack("{s:o, s:o, s:I, s:o, s:o}", "table", text_json(undecided->chain->table->table->name), "chain",
			 text_json(undecided->chain->chain->name), "index", (json_int_t)undecided->rule->index,
			 "source", text_json(origin_format(&undecided->rule->origin, source)), "text",
			 text_json(undecided->rule->text));
}

/* Both families may lack the same. */
static void add_missing(const struct stack_host *host, enum stack_gap_kind kind, json_t *missing)
{
	cleanup_arena struct arena *arena = arena_new();
	const char *command = stack_gap_command(kind);

	for (size_t i = 0; i < json_array_size(missing); i++)
		if (strcmp(json_get_string(json_array_get(missing, i), "command", ""), command) == 0)
			return;
	json_array_append_new(missing, json_pack("{s:o, s:s}", "what", text_json(stack_gap_name(host, kind, arena)),
						 "command", command));
}

static const char *const family_words[] = {"ip", "ip6"};

static void add_family(const struct reach_family *family, const struct reach_question *question, json_t *answer)
{
	json_t *classes = json_object_get(answer, "classes"), *undecided = json_object_get(answer, "undecided");
	const char *word = family_words[family->family == STACK_IP6];
	size_t first_id = json_array_size(classes);

	for (size_t i = 0; family->asked && i < GAP_KIND_COUNT; i++)
		if (family->missing[i])
			add_missing(question->host, i, json_object_get(answer, "missing"));
	if (!family->captured) {
		json_array_append_new(json_object_get(answer, "unknown"), json_string(word));
		return;
	}
	for (size_t i = 0; i < family->matrix->class_count; i++)
		json_array_append_new(classes,
				      json_pack("{s:I, s:s, s:o}", "id", (json_int_t)(first_id + i), "family", word,
						"addresses",
						addresses_json(&family->matrix->classes[i], family_of(family))));
	add_edges(family, question, first_id, json_object_get(answer, "edges"));
	for (size_t i = 0; i < family->undecided_count; i++)
		json_array_append_new(undecided, rule_json(&family->undecided[i]));
}

json_t *reach_json(const struct reach *reach, const struct reach_question *question)
{
	json_t *answer = json_pack("{s:o, s:s, s:i, s:[], s:[], s:[], s:[], s:[]}", "host",
				   text_json(question->host->name), "hook", hook_name(question->hook), "protocol",
				   (int)question->protocol, "classes", "edges", "undecided", "missing", "unknown");

	for (size_t i = 0; i < 2; i++)
		add_family(&reach->families[i], question, answer);
	return answer;
}

/* ---- for people ---- */

/* a, b, …, z, aa, ab, … */
static const char *class_name(size_t class, char ret[8])
{
	char *at = ret + 7;

	*at = '\0';
	for (class ++; class > 0; class = (class - 1) / 26)
		*--at = (char)('a' + (class - 1) % 26);
	return at;
}

static void put_classes(const struct reach_family *family, const struct style *style, bool verbose, struct strbuf *out)
{
	cleanup_table struct table *table = table_new((const char *const[]){"class", "addresses", NULL});
	char name[8], text[INTERVAL_TEXT_SIZE];

	for (size_t i = 0; i < family->matrix->class_count; i++) {
		const struct matrix_class *class = &family->matrix->classes[i];
		size_t shown = verbose || class->interval_count <= FEW + 1 ? class->interval_count : FEW;
		cleanup_strbuf struct strbuf line = {};

		for (size_t j = 0; j < shown; j++)
			strbuf_printf(&line, "%s%s", j ? ", " : "",
				      interval_text(&class->intervals[j], family_of(family), text));
		if (shown < class->interval_count)
			strbuf_printf(&line, " and %zu more", class->interval_count - shown);
		table_row(table);
		table_cell(table, COLOUR_BOLD, class_name(i, name));
		table_cell(table, COLOUR_NONE, line.text);
	}
	table_draw(table, style, out);
}

static void put_services(const struct reach_question *question, matrix_services services, struct strbuf *line)
{
	const char *comma = "";

	if (question->port_count == 0)
		strbuf_add(line, "any");
	for (size_t i = 0; i < question->port_count; i++) {
		if (!(services >> i & 1))
			continue;
		strbuf_printf(line, "%s%u", comma, question->ports[i]);
		comma = ", ";
	}
}

static bool is_like(const struct matrix *matrix, const matrix_services *edges, const matrix_services *unsure,
		    const matrix_services *loopback, size_t one, size_t other)
{
	return edges[one] == edges[other] && unsure[one] == unsure[other] && loopback[one] == loopback[other];
}

static const char *remark(matrix_services edges, matrix_services unsure, matrix_services loopback)
{
	if (unsure && loopback)
		return "some perhaps, some by lo only";
	if (loopback)
		return loopback == edges ? "by lo only" : "some by lo only";
	if (unsure)
		return unsure == edges ? "perhaps" : "some perhaps";
	return NULL;
}

/* What would have to be captured. */
static void put_missing(const struct reach_family *family, const struct stack_host *host, const struct style *style,
			struct strbuf *out)
{
	cleanup_arena struct arena *arena = arena_new();

	for (size_t i = 0; family->asked && i < GAP_KIND_COUNT; i++) {
		if (!family->missing[i])
			continue;
		strbuf_add(out, "not captured: ");
		text_safe(out, stack_gap_name(host, i, arena), false);
		strbuf_add(out, " (");
		text_paint(out, style, COLOUR_DIM, stack_gap_command(i));
		strbuf_add(out, ")\n");
	}
}

/* One row for the destinations that a class reaches by the same services. False: it reaches none. */
static bool put_edges_of(const struct reach_family *family, const struct reach_question *question, size_t from,
			 struct table *table)
{
	const struct matrix *matrix = family->matrix;
	const matrix_services *edges = &matrix->edges[from * matrix->class_count];
	const matrix_services *unsure = &family->unsure[from * matrix->class_count];
	const matrix_services *loopback = &family->loopback[from * matrix->class_count];
	bool any = false;
	char name[8];

	for (size_t first = 0; first < matrix->class_count; first++) {
		cleanup_strbuf struct strbuf to = {}, ports = {};
		bool told = false;

		for (size_t i = 0; i < first; i++)
			told = told || (is_like(matrix, edges, unsure, loopback, i, first));
		if (!edges[first] || told)
			continue;
		for (size_t i = first; i < matrix->class_count; i++)
			if (is_like(matrix, edges, unsure, loopback, i, first))
				strbuf_printf(&to, "%s%s", to.length ? " " : "", class_name(i, name));
		put_services(question, edges[first], &ports);
		table_row(table);
		table_cell(table, COLOUR_BOLD, class_name(from, name));
		table_cell(table, COLOUR_NONE, to.text);
		table_cell(table, COLOUR_GREEN, ports.text);
		table_cell(table, COLOUR_YELLOW, remark(edges[first], unsure[first], loopback[first]));
		any = true;
	}
	return any;
}

static void put_undecided(const struct reach_family *family, bool verbose, struct strbuf *out)
{
	size_t shown = verbose || family->undecided_count <= FEW + 1 ? family->undecided_count : FEW;
	char source[ORIGIN_TEXT_SIZE];

	if (family->undecided_count == 0)
		return;
	strbuf_printf(out,
		      "\n%zu rule%s cannot be decided from packets, so that \"perhaps\" is all that can be said:\n",
		      family->undecided_count, family->undecided_count > 1 ? "s" : "");
	for (size_t i = 0; i < shown; i++) {
		strbuf_add(out, "  ");
		text_safe(out, origin_format(&family->undecided[i].rule->origin, source), false);
		strbuf_add(out, "  ");
		text_safe(out, family->undecided[i].rule->text, false);
		strbuf_add_char(out, '\n');
	}
	if (shown < family->undecided_count)
		strbuf_printf(out, "  and %zu more (--verbose tells all)\n", family->undecided_count - shown);
}

static void put_family(const struct reach_family *family, const struct reach_question *question,
		       const struct style *style, bool verbose, struct strbuf *out)
{
	cleanup_table struct table *table = table_new((const char *const[]){"from", "to", "ports", "", NULL});
	bool any = false;

	text_paint(out, style, COLOUR_BOLD, family->family == STACK_IP4 ? "IPv4" : "IPv6");
	strbuf_add_char(out, '\n');
	if (!family->asked) {
		strbuf_add(out, "has no packets of this protocol\n");
		return;
	}
	if (!family->captured) {
		strbuf_printf(out, "whether %s has rules here is not known\n", question->host->name);
		put_missing(family, question->host, style, out);
		return;
	}
	if (!family->hook->count)
		strbuf_printf(out, "%s has no rules here: every packet passes\n", question->host->name);
	put_classes(family, style, verbose, out);
	strbuf_add_char(out, '\n');
	for (size_t i = 0; i < family->matrix->class_count; i++)
		any = put_edges_of(family, question, i, table) || any;
	if (any)
		table_draw(table, style, out);
	else
		strbuf_add(out, "nothing passes: no class may open a new connection to any\n");
	put_undecided(family, verbose, out);
	if (family->missing[GAP_NFTABLES] || family->missing[GAP_XTABLES4] || family->missing[GAP_XTABLES6])
		strbuf_add_char(out, '\n');
	put_missing(family, question->host, style, out);
}

void reach_text(const struct reach *reach, const struct reach_question *question, const struct style *style,
		bool verbose, struct strbuf *out)
{
	put_family(&reach->families[0], question, style, verbose, out);
	strbuf_add_char(out, '\n');
	put_family(&reach->families[1], question, style, verbose, out);
}
