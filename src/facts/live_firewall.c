/*
 * Rules. nftables are listed by libnftables in this process, with handles. iptables and its kin keep theirs either in
 * nftables (iptables-nft: the listing shows them, but not all of what a match says) or in the kernel's own x_tables
 * (legacy), which only their own programs can read. So iptables-nft-save is started where the listing has one of its
 * tables, iptables-legacy-save where the kernel says that there are legacy tables (/proc/net/ip_tables_names), and
 * neither where there are none. Where a program is missing, what it would show is unknown.
 */
#include "facts/live_internal.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/nftables.h"
#include "base/process.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <string.h>

enum { NAMES_SIZE_MAX = 1 << 16, PROGRAM_TIMEOUT = 30000, RANK = 4 /* of a whole listing: recognise.c */ };

/* All tables of this kind are known, even if there are none. */
static void cover(struct live *live, enum backend backend, enum family family, const char *source)
{
	struct ruleset *ruleset = &live->facts->ruleset;

	*arena_push(live->pool->arena, ruleset->coverage, ruleset->coverage_count) =
		(struct coverage){.backend = backend, .family = family, .origin = {.source = source}};
}

/* ---- nftables ---- */

static void cite_elements(struct set *set)
{
	for (size_t i = 0; i < set->element_count; i++)
		set->elements[i].origin.line = 0;
}

/* Lines of a listing that nobody sees are no place to cite: what has a handle is found by that. */
static void cite_handles(struct ruleset *ruleset)
{
	for (size_t i = 0; i < ruleset->coverage_count; i++)
		ruleset->coverage[i].origin.line = 0;
	for (size_t i = 0; i < ruleset->table_count; i++) {
		struct table *table = &ruleset->tables[i];

		table->origin.line = 0;
		table->origin.item = (uint32_t)number_or(table->handle, 0);
		for (size_t j = 0; j < table->chain_count; j++) {
			struct chain *chain = &table->chains[j];

			chain->origin.line = 0;
			for (size_t k = 0; k < chain->rule_count; k++) {
				chain->rules[k].origin.line = 0;
				chain->rules[k].origin.item = (uint32_t)number_or(chain->rules[k].handle, 0);
			}
		}
		for (size_t j = 0; j < table->set_count; j++) {
			table->sets[j].origin.line = 0;
			table->sets[j].origin.item = (uint32_t)number_or(table->sets[j].handle, 0);
			cite_elements(&table->sets[j]);
		}
		for (size_t j = 0; j < table->object_count; j++)
			table->objects[j].origin.line = 0;
	}
}

/* Tables that iptables-nft, ip6tables-nft or ebtables-nft made, as far as they can be told: a chain of theirs hooks in
 * where theirs do. */
static bool has_xtables(const struct ruleset *ruleset, enum family family)
{
	for (size_t i = 0; i < ruleset->table_count; i++) {
		const struct table *table = &ruleset->tables[i];

		for (size_t j = 0; j < table->chain_count && table->family == family; j++) {
			const struct chain *chain = &table->chains[j];
			enum chain_type type;
			int32_t priority;
			enum hook hook;

			if (chain->hook &&
			    xtables_base_chain(family, table->name, chain->name, &hook, &priority, &type) &&
			    chain->hook == hook && chain->priority == priority && chain->type == type)
				return true;
		}
	}
	return false;
}

/* ---- programs ---- */

struct save_kind {
	enum family family;
	enum backend backend;
	const char *programs[2]; /* the second where distributions know only one kind */
	const char *package;	 /* of Debian */
	const char *tables;	 /* a file that names the tables of the kernel's x_tables; NULL: nftables has them */
};

static const struct save_kind nft_saves[] = {
	{FAMILY_IP, BACKEND_XTABLES_NFT, {"iptables-nft-save", "iptables-save"}, "iptables", NULL},
	{FAMILY_IP6, BACKEND_XTABLES_NFT, {"ip6tables-nft-save", "ip6tables-save"}, "iptables", NULL},
	{FAMILY_BRIDGE, BACKEND_XTABLES_NFT, {"ebtables-nft-save", "ebtables-save"}, "iptables", NULL},
};

static const struct save_kind legacy_saves[] = {
	{FAMILY_IP,
	 BACKEND_XTABLES_LEGACY,
	 {"iptables-legacy-save", "iptables-save"},
	 "iptables",
	 "/proc/thread-self/net/ip_tables_names"},
	{FAMILY_IP6,
	 BACKEND_XTABLES_LEGACY,
	 {"ip6tables-legacy-save", "ip6tables-save"},
	 "iptables",
	 "/proc/thread-self/net/ip6_tables_names"},
};

static const struct save_kind legacy_ebtables = {
	FAMILY_BRIDGE, BACKEND_XTABLES_LEGACY, {"ebtables-legacy-save", "ebtables-save"}, "ebtables", NULL};

/* Did the program that has two kinds show the right one? It says so in its first line. */
static bool is_right_kind(const struct save_kind *kind, const char *program, const char *output)
{
	if (strcmp(program, kind->programs[0]) == 0)
		return true;
	return (strstr(output, "nf_tables") != NULL) == (kind->backend == BACKEND_XTABLES_NFT);
}

static int run_save(const struct save_kind *kind, const char *program, struct process_output *output,
		    struct error **err)
{
	/* ebtables' programs know no -c */
	const char *argv[] = {program, kind->family == FAMILY_BRIDGE ? NULL : "-c", NULL};
	struct process_spec spec = {.argv = argv, .netns = -1, .in = -1, .out = -1, .err = -1};
	int r = process_run(&spec, NULL, 0, PROGRAM_TIMEOUT, NULL, output, err);

	if (r < 0)
		return r;
	if (output->status != 0)
		return error_set(err, EIO, "%s ended with status %d: %.*s", program, output->status,
				 (int)strcspn(output->err, "\n"), output->err);
	if (!is_right_kind(kind, program, output->out))
		return error_set(err, ENOENT, "%s shows only the other kind of tables", program);
	return 0;
}

/* The program knows where its rules are; the reader of its text has to guess. */
static void set_backend(struct ruleset *ruleset, enum backend backend)
{
	for (size_t i = 0; i < ruleset->table_count; i++)
		ruleset->tables[i].backend = backend;
	for (size_t i = 0; i < ruleset->coverage_count; i++)
		ruleset->coverage[i].backend = backend;
}

static void save_tables(struct live *live, const struct save_kind *kind)
{
	const char *program = NULL;
	int r = -ENOENT;

	for (size_t i = 0; i < 2 && r == -ENOENT; i++) {
		cleanup_output struct process_output output = {};
		cleanup_error struct error *err = NULL;

		program = kind->programs[i];
		r = run_save(kind, program, &output, &err);
		if (r == 0)
			set_backend(live_parse(live, program, program, RANK, parse_xt_save,
					       &(struct asked){.family = kind->family}, output.out, output.out_length),
				    kind->backend);
		else if (r != -ENOENT)
			live_unknown(live, program, program, "%s", err->message);
	}
	if (r == -ENOENT)
		live_unknown(live, kind->programs[0], kind->programs[0],
			     "%s is not installed (package %s): there are rules that only it shows in full",
			     kind->programs[0], kind->package);
}

/* ---- legacy x_tables ---- */

static bool is_loaded(const char *module)
{
	char path[64];

	return (size_t)snprintf(path, sizeof(path), "/sys/module/%s", module) < sizeof(path) && file_exists(path);
}

static void read_legacy(struct live *live, const struct save_kind *kind)
{
	cleanup_free char *names = NULL;
	size_t length;
	int r = file_read(kind->tables, NAMES_SIZE_MAX, &names, &length, NULL);

	if (r == 0 && length > 0)
		save_tables(live, kind);
	else if (r == 0 || r == -ENOENT) /* no tables, or not even x_tables */
		cover(live, kind->backend, kind->family, kind->tables);
	else
		live_unknown(live, kind->tables, kind->programs[0], "tables of %s: %s", kind->programs[0],
			     strerror(-r));
}

static void read_legacy_ebtables(struct live *live)
{
	static const char *const modules[] = {"ebtable_filter", "ebtable_nat", "ebtable_broute"};

	for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++)
		if (is_loaded(modules[i])) {
			save_tables(live, &legacy_ebtables);
			return;
		}
	cover(live, BACKEND_XTABLES_LEGACY, FAMILY_BRIDGE, "/sys/module");
}

/* ---- all ---- */

/* A listing is complete: tables of iptables-nft that are not in it are not there; and where no program shows one in
 * full, the listing's form of it counts. none: the kernel has no nftables, and so there is nothing to list. */
static void cover_nftables(struct live *live, bool none)
{
	if (none)
		cover(live, BACKEND_NFTABLES, FAMILY_NONE, "netlink:nftables");
	for (size_t i = 0; i < sizeof(nft_saves) / sizeof(*nft_saves); i++)
		cover(live, BACKEND_XTABLES_NFT, nft_saves[i].family, "netlink:nftables");
}

static void read_nftables(struct live *live)
{
	cleanup_nftables struct nftables nft = NFTABLES_CLOSED;
	cleanup_error struct error *err = NULL;
	bool there[sizeof(nft_saves) / sizeof(*nft_saves)];
	struct ruleset *ruleset;
	const char *output = NULL;
	int r = nftables_open(-1, NFT_CTX_OUTPUT_HANDLE, &nft, &err);

	if (r == -ENOENT) {
		cover_nftables(live, true);
		return;
	}
	if (r == 0)
		r = nftables_run(&nft, "list ruleset", &output, &err);
	if (r < 0) {
		live_unknown(live, "netlink:nftables", "nft -a list ruleset", "%s", err->message);
		return;
	}
	ruleset = live_parse(live, "netlink:nftables", "nft -a list ruleset", RANK, parse_nft,
			     &(struct asked){.listing = true}, output, strlen(output));
	cite_handles(ruleset);
	for (size_t i = 0; i < sizeof(nft_saves) / sizeof(*nft_saves); i++)
		there[i] = has_xtables(ruleset, nft_saves[i].family);
	cover_nftables(live, false);
	for (size_t i = 0; i < sizeof(nft_saves) / sizeof(*nft_saves); i++)
		if (there[i])
			save_tables(live, &nft_saves[i]);
}

void live_firewall(struct live *live)
{
	read_nftables(live);
	for (size_t i = 0; i < sizeof(legacy_saves) / sizeof(*legacy_saves); i++)
		read_legacy(live, &legacy_saves[i]);
	read_legacy_ebtables(live);
}
