#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "cli/factsource.h"
#include "facts/json.h"
#include "facts/stats.h"
#include "render/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* One line of the summary: what it is about, and what is known of it. */
static void put_line(struct strbuf *out, const struct style *style, const char *what, const char *text)
{
	strbuf_add(out, "  ");
	text_paint(out, style, COLOUR_DIM, what);
	for (size_t width = strlen(what); width < 14; width++)
		strbuf_add_char(out, ' ');
	text_safe(out, text && *text ? text : "unknown", false);
	strbuf_add_char(out, '\n');
}

static void put_item(struct strbuf *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_item(struct strbuf *line, const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	strbuf_printf(line, "%s%s", line->length ? ", " : "", text);
}

static void put_size(struct strbuf *line, const char *what, struct number bytes)
{
	if (bytes.known)
		put_item(line, "%.1f GiB%s", (double)bytes.value / (1 << 30), what);
}

static void put_system(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	cleanup_strbuf struct strbuf line = {0};

	if (facts->distribution.name || facts->distribution.id)
		put_item(&line, "%s", facts->distribution.name ? facts->distribution.name : facts->distribution.id);
	if (facts->system == SYSTEM_WINDOWS)
		put_item(&line, "Windows");
	if (facts->kernel.release)
		put_item(&line, "Linux %s", facts->kernel.release);
	if (facts->kernel.version)
		put_item(&line, "%s", facts->kernel.version);
	put_line(out, style, "system", line.text);
}

static bool has_flag(const struct processor *processor, const char *flag)
{
	for (size_t i = 0; i < processor->flag_count; i++)
		if (strcmp(processor->flags[i], flag) == 0)
			return true;
	return false;
}

static void put_processor(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	const struct processor *processor = &facts->processor;
	cleanup_strbuf struct strbuf line = {0};

	if (processor->model_name || processor->vendor)
		put_item(&line, "%s", processor->model_name ? processor->model_name : processor->vendor);
	if (processor->threads.known)
		put_item(&line, "%" PRIu64 " threads", processor->threads.value);
	if (processor->cores.known)
		put_item(&line, "%" PRIu64 " cores", processor->cores.value);
	if (processor->flags_known == TRUTH_YES)
		put_item(&line, "%s",
			 has_flag(processor, "vmx")   ? "vmx"
			 : has_flag(processor, "svm") ? "svm"
						      : "neither vmx nor svm");
	put_line(out, style, "processor", line.text);
}

static void put_memory(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	const struct memory *memory = &facts->memory;
	cleanup_strbuf struct strbuf line = {0};

	put_size(&line, "", memory->total);
	put_size(&line, " available", memory->available);
	put_size(&line, " of swap", memory->swap_total);
	if (memory->huge_pages.known && memory->huge_pages.value)
		put_item(&line, "%" PRIu64 " huge pages", memory->huge_pages.value);
	put_line(out, style, "memory", line.text);
}

static const struct module *find_module(const struct facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->module_count; i++)
		if (strcmp(facts->modules[i].name, name) == 0)
			return &facts->modules[i];
	return NULL;
}

static void put_kvm(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	static const char *const modules[] = {"kvm_intel", "kvm_amd"};
	const struct node *device = facts_node(facts, "/dev/kvm");
	cleanup_strbuf struct strbuf line = {0};

	if (device && device->exists == TRUTH_YES)
		put_item(&line, "/dev/kvm %04" PRIo64 " %s:%s", number_or(device->mode, 0),
			 device->owner ? device->owner : "?", device->group ? device->group : "?");
	else if (device)
		put_item(&line, "no /dev/kvm");
	for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++) {
		char path[64];
		const char *nested;

		snprintf(path, sizeof(path), "/sys/module/%s/parameters/nested", modules[i]);
		nested = facts_attribute(facts, path);
		if (nested || find_module(facts, modules[i]))
			put_item(&line, "%s, nested=%s", modules[i], nested ? nested : "?");
	}
	put_line(out, style, "KVM", line.text);
}

static void put_addresses(struct strbuf *line, const struct link *link)
{
	for (size_t i = 0; i < link->address_count; i++) {
		char text[PREFIX_TEXT_SIZE];

		strbuf_printf(line, "%s%s", line->length ? " " : "", prefix_format(&link->addresses[i].prefix, text));
	}
}

static void put_links(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	static const char *const headings[] = {"  INTERFACE", "KIND", "STATE", ">MTU", "MASTER", "ADDRESSES", NULL};
	cleanup_table struct table *table = table_new(headings);

	if (facts->link_count == 0) {
		put_line(out, style, "interfaces", facts->links_known == TRUTH_YES ? "none" : NULL);
		return;
	}
	for (size_t i = 0; i < facts->link_count; i++) {
		const struct link *link = &facts->links[i];
		cleanup_strbuf struct strbuf addresses = {0};

		put_addresses(&addresses, link);
		table_row(table);
		table_cellf(table, COLOUR_NONE, "  %s", link->name);
		table_cell(table, COLOUR_NONE, link->tun_type ? link->tun_type : link->kind);
		table_cell(table, COLOUR_NONE, link->up == TRUTH_YES ? "up" : link->up == TRUTH_NO ? "down" : NULL);
		if (link->mtu.known)
			table_cellf(table, COLOUR_NONE, "%" PRIu64, link->mtu.value);
		else
			table_cell(table, COLOUR_NONE, NULL);
		table_cell(table, COLOUR_NONE, link->master);
		table_cell(table, COLOUR_NONE, addresses.text);
	}
	table_draw(table, style, out);
}

static void put_routes(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	cleanup_strbuf struct strbuf line = {0};
	size_t four = 0, six = 0;

	for (size_t i = 0; i < facts->route_count; i++) {
		const struct route *route = &facts->routes[i];

		four += route->family == AF_INET;
		six += route->family == AF_INET6;
		if (route->to.length == 0 && route->nexthop_count && route->nexthops[0].via.family && route->table &&
		    strcmp(route->table, "main") == 0) {
			char via[IP_TEXT_SIZE];

			put_item(&line, "default via %s dev %s", ip_format(&route->nexthops[0].via, via),
				 route->nexthops[0].dev ? route->nexthops[0].dev : "?");
		}
	}
	if (facts->route_count || facts->route_coverage_count)
		put_item(&line, "%zu IPv4 and %zu IPv6 routes, %zu policy rules", four, six, facts->policy_rule_count);
	put_line(out, style, "routes", line.text);
}

static const char *on_off(const char *value)
{
	return !value ? "unknown" : strcmp(value, "0") == 0 ? "off" : "on";
}

static void put_forwarding(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	cleanup_strbuf struct strbuf line = {0};

	put_item(&line, "IPv4 %s", on_off(facts_sysctl(facts, "net.ipv4.ip_forward")));
	put_item(&line, "IPv6 %s", on_off(facts_sysctl(facts, "net.ipv6.conf.all.forwarding")));
	put_line(out, style, "forwarding", line.text);
}

static bool is_covered(const struct ruleset *ruleset, bool xtables)
{
	for (size_t i = 0; i < ruleset->coverage_count; i++)
		if ((ruleset->coverage[i].backend != BACKEND_NFTABLES) == xtables)
			return true;
	return false;
}

static void put_rules(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	cleanup_strbuf struct strbuf line = {0};
	const struct ruleset *ruleset = &facts->ruleset;
	size_t rules[2] = {0}, tables[2] = {0};

	for (size_t i = 0; i < ruleset->table_count; i++) {
		const struct table *table = &ruleset->tables[i];
		bool xtables = table->backend != BACKEND_NFTABLES;

		for (size_t j = 0; j < table->chain_count; j++)
			if (!table->chains[j].shadowed)
				rules[xtables] += table->chains[j].rule_count;
		tables[xtables]++;
	}
	if (tables[0] || is_covered(ruleset, false))
		put_item(&line, "%zu of nftables", rules[0]);
	if (tables[1] || is_covered(ruleset, true))
		put_item(&line, "%zu of iptables and its kin in %zu table%s", rules[1], tables[1],
			 tables[1] == 1 ? "" : "s");
	if (ruleset->ipset_count)
		put_item(&line, "%zu ipset%s", ruleset->ipset_count, ruleset->ipset_count == 1 ? "" : "s");
	put_line(out, style, "rules", line.text);
}

static void put_count(struct strbuf *out, const struct style *style, const char *what, size_t count, enum truth known)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu%s", count, known == TRUTH_YES ? "" : " or more");
	put_line(out, style, what, count || known == TRUTH_YES ? text : NULL);
}

static void put_programs(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	cleanup_strbuf struct strbuf line = {0};

	for (size_t i = 0; i < facts->program_count; i++)
		if (facts->programs[i].version)
			put_item(&line, "%s", facts->programs[i].version);
	if (line.length)
		put_line(out, style, "programs", line.text);
}

static void put_documents(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	cleanup_strbuf struct strbuf line = {0};

	for (size_t i = 0; i < facts->document_count; i++)
		put_item(&line, "%s %s", facts->documents[i].kind,
			 facts->documents[i].name ? facts->documents[i].name : "?");
	if (line.length)
		put_line(out, style, "libvirt", line.text);
}

static void put_notes(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	enum { NOTES_SHOWN = 5 };
	char origin[ORIGIN_TEXT_SIZE];

	for (size_t i = 0; i < facts->note_count && i < NOTES_SHOWN; i++) {
		cleanup_strbuf struct strbuf line = {0};

		strbuf_printf(&line, "%s: %s", origin_format(&facts->notes[i].origin, origin), facts->notes[i].text);
		put_line(out, style, i == 0 ? "notes" : "", line.text);
	}
	if (facts->note_count > NOTES_SHOWN) {
		cleanup_strbuf struct strbuf line = {0};

		strbuf_printf(&line, "%zu more: --json shows them", facts->note_count - NOTES_SHOWN);
		put_line(out, style, "", line.text);
	}
}

static void put_host(struct strbuf *out, const struct style *style, const struct facts *facts)
{
	text_paint(out, style, COLOUR_BOLD, facts->name ? facts->name : "?");
	strbuf_add_char(out, '\n');
	put_system(out, style, facts);
	put_processor(out, style, facts);
	put_memory(out, style, facts);
	put_kvm(out, style, facts);
	put_links(out, style, facts);
	put_routes(out, style, facts);
	put_forwarding(out, style, facts);
	put_rules(out, style, facts);
	put_count(out, style, "connections", facts->connection_count, facts_connections_known(facts));
	put_count(out, style, "listeners", facts->listener_count, facts->listeners_known);
	put_programs(out, style, facts);
	put_documents(out, style, facts);
	put_notes(out, style, facts);
}

static void put_stats(struct table *table, const char *name, const struct stats *stats)
{
	table_row(table);
	table_cell(table, COLOUR_BOLD, name);
	table_cellf(table, COLOUR_NONE, "%" PRIu64, stats->captures);
	table_cellf(table, COLOUR_NONE, "%" PRIu64, stats->unused);
	table_cellf(table, COLOUR_NONE, "%" PRIu64, stats->rules);
	table_cellf(table, COLOUR_NONE, "%" PRIu64, stats->fully);
	table_cellf(table, stats->partly ? COLOUR_YELLOW : COLOUR_NONE, "%" PRIu64, stats->partly);
	table_cellf(table, stats->not_understood ? COLOUR_RED : COLOUR_NONE, "%" PRIu64, stats->not_understood);
	table_cellf(table, COLOUR_NONE, "%" PRIu64, stats->items);
	table_cellf(table, stats->ignored ? COLOUR_YELLOW : COLOUR_NONE, "%" PRIu64, stats->ignored);
}

static void put_gaps(struct strbuf *out, const struct style *style, const struct stats *stats)
{
	if (stats->gap_count == 0)
		return;
	strbuf_add(out, "\nNot understood, and in how many rules that count:\n");
	for (size_t i = 0; i < stats->gap_count; i++) {
		strbuf_printf(out, "%6" PRIu64 "  ", stats->gaps[i].rules);
		text_safe(out, stats->gaps[i].gap, false);
		strbuf_add_char(out, '\n');
	}
}

/* Lines that nobody understood, and what was not used. */
static void put_unread(struct strbuf *out, const struct bundle *bundle, const char *host)
{
	bool any = false;

	for (size_t i = 0; i < bundle->host_count; i++) {
		const struct facts *facts = bundle->hosts[i];

		for (size_t j = 0; j < facts->capture_count && (!host || strcmp(facts->name, host) == 0); j++) {
			const struct capture *capture = &facts->captures[j];

			if (capture->used && !capture->ignored && !capture->cut_off)
				continue;
			strbuf_add(out, any ? "  " : "\nNot used, cut off, or not understood in part:\n  ");
			any = true;
			text_safe(out, capture->source, false);
			if (!capture->used)
				strbuf_add(out, ": ");
			if (!capture->used)
				text_safe(out, capture->why ? capture->why : "not used", false);
			if (capture->cut_off)
				strbuf_add(out, ": cut off");
			if (capture->ignored)
				strbuf_printf(out, ": %" PRIu32 " line%s not understood", capture->ignored,
					      capture->ignored == 1 ? "" : "s");
			strbuf_add_char(out, '\n');
		}
	}
}

static void print_stats(struct invocation *inv, struct bundle *bundle, const char *host)
{
	static const char *const headings[] = {"HOST",	  ">CAPTURES", ">UNUSED", ">RULES",   ">FULLY",
					       ">PARTLY", ">NOT",      ">FACTS",  ">IGNORED", NULL};
	cleanup_table struct table *table = table_new(headings);
	cleanup_strbuf struct strbuf out = {0};
	struct stats stats;

	for (size_t i = 0; i < bundle->host_count; i++) {
		if (host && strcmp(bundle->hosts[i]->name, host) != 0)
			continue;
		bundle_stats(bundle, bundle->hosts[i]->name, &stats);
		put_stats(table, bundle->hosts[i]->name, &stats);
	}
	bundle_stats(bundle, host, &stats);
	if (!host && bundle->host_count > 1)
		put_stats(table, "total", &stats);
	table_draw(table, inv->style, &out);
	put_gaps(&out, inv->style, &stats);
	put_unread(&out, bundle, host);
	invocation_print_text(inv, out.text);
}

static void print_hosts(struct invocation *inv, const struct bundle *bundle, const char *host)
{
	cleanup_strbuf struct strbuf out = {0};
	bool first = true;

	for (size_t i = 0; i < bundle->host_count; i++) {
		if (host && strcmp(bundle->hosts[i]->name, host) != 0)
			continue;
		if (!first)
			strbuf_add_char(&out, '\n');
		first = false;
		put_host(&out, inv->style, bundle->hosts[i]);
	}
	invocation_print_text(inv, out.text);
}

static int run(struct invocation *inv)
{
	cleanup_bundle struct bundle *bundle = NULL;
	cleanup_free char *name = NULL;
	bool stats_wanted = invocation_flag(inv, "stats");
	int status =
		factsource_bundle(inv, invocation_operand(inv, 0),
				  invocation_flag(inv, "network") ? COLLECT_NETWORK : COLLECT_FACTS, &bundle, &name);
	struct stats stats;
	json_t *document;

	if (status != EXIT_DONE)
		return status;
	if (inv->json) {
		document = bundle_json(bundle, name);
		if (stats_wanted) {
			bundle_stats(bundle, name, &stats);
			json_object_set_new(document, "stats", stats_json(&stats));
		}
		invocation_answer(inv, document);
	} else if (stats_wanted) {
		print_stats(inv, bundle, name);
	} else {
		print_hosts(inv, bundle, invocation_string(inv, "facts") ? name : NULL);
	}
	return EXIT_DONE;
}

const struct command command_facts = {
	.name = "facts",
	.group = GROUP_SHOW,
	.summary = "shows what a host says of itself: interfaces, routes, rules, CPU, KVM, …",
	.description =
		"The facts that doctor, path, reach and graph work on: of this machine, of a guest of a running lab, "
		"of an ssh host, or of a bundle that capture wrote or somebody pasted together. What is not known is "
		"shown as unknown.\n\n"
		"--stats says how much of it was understood: rules read, understood fully, in part and not at all, "
		"which matches were not, and lines that were passed over.",
	.operands = (const struct command_operand[]){{.name = "HOST",
						      .help = "L0 (this machine, the default), a guest's path, "
							      "ssh://[user@]host[:port], netns:NAMESPACE; with "
							      "--facts a host in the bundle",
						      .complete = COMPLETE_HOST,
						      .optional = true},
						     {}},
	.options = (const struct command_option[]){FACTSOURCE_OPTIONS,
						   {.name = "network",
						    .help = "the network alone: interfaces, routes, rules; quicker"},
						   {.name = "stats", .help = "say how much was understood"},
						   FACTSOURCE_ENDS_OPTIONS,
						   {}},
	.examples =
		(const struct command_example[]){
			{"nestvisor facts", "of this machine"},
			{"nestvisor facts hv1/a --json", "of a guest of a guest, for programs"},
			{"nestvisor facts --facts bundle.tar --stats", "how much of a bundle was understood"},
			{}},
	.json = "facts",
	.lab = true,
	.run = run,
};
