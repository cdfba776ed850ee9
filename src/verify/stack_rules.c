/*
 * Tables, sets and base chains. Chains of iptables, nftables and ebtables become one list for each hook, because the
 * kernel runs them as one list (nf_hook_entries in net/netfilter/core.c): by priority, and where that is the same, the
 * one registered last comes first. When a chain was registered no listing says; nft lists tables in the order of their
 * birth, so the later one is taken for the younger. Tables of the legacy iptables are taken for the oldest.
 */
#include "verify/stack_internal.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- constants as ranges ---- */

static struct stack_part range(uint8_t family, wide low, wide high)
{
	return (struct stack_part){.kind = PART_RANGE, .family = family, .low = low, .high = high};
}

static struct stack_part prefix_part(const struct prefix *prefix)
{
	unsigned free_bits = (unsigned)ip_bits(&prefix->ip) - prefix->length;
	wide mask = free_bits >= 128 ? ~(wide)0 : ((wide)1 << free_bits) - 1, value = wide_of_ip(&prefix->ip);

	return range(prefix->ip.family, value & ~mask, value | mask);
}

static struct stack_part bytes_part(const char *text)
{
	wide value = 0;

	if (strlen(text) > 2 + 32)
		return (struct stack_part){.kind = PART_UNKNOWN, .text = text};
	for (text += 2; *text; text++) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, *text | 0x20);

		value = value << 4 | (wide)(at ? at - digits : 0);
	}
	return range(0, value, value);
}

struct stack_part stack_part(const struct expr *constant)
{
	struct stack_part low, high;
	wide value;

	switch (constant->kind) {
	case EXPR_NUMBER:
		return range(0, constant->number, constant->number);
	case EXPR_IP:
		value = wide_of_ip(&constant->ip);
		return range(constant->ip.family, value, value);
	case EXPR_MAC:
		value = wide_of_mac(constant->mac);
		return range(0, value, value);
	case EXPR_PREFIX:
		return prefix_part(&constant->prefix);
	case EXPR_BYTES:
		return bytes_part(constant->text);
	case EXPR_RANGE:
		low = stack_part(constant->pair.left);
		high = stack_part(constant->pair.right);
		if (low.kind != PART_RANGE || high.kind != PART_RANGE || low.family != high.family)
			return (struct stack_part){.kind = PART_UNKNOWN};
		return range(low.family, low.low, high.high);
	case EXPR_TEXT:
	case EXPR_SET_REF:
		return (struct stack_part){.kind = PART_TEXT, .text = constant->text};
	case EXPR_WILDCARD:
		return (struct stack_part){.kind = PART_PREFIX, .text = constant->text};
	case EXPR_ANY:
		return (struct stack_part){.kind = PART_ANY};
	case EXPR_NONE:
	case EXPR_VERDICT:
	case EXPR_SET:
	case EXPR_IPSET:
	case EXPR_FIELD:
	case EXPR_FIB:
	case EXPR_PAYLOAD:
	case EXPR_GENERATED:
	case EXPR_CONCAT:
	case EXPR_BINARY:
	case EXPR_MAP:
	case EXPR_UNKNOWN:
	case EXPR_KIND_COUNT:
		break;
	}
	return (struct stack_part){.kind = PART_UNKNOWN};
}

/* ---- sets ---- */

struct set_builder {
	struct arena *arena;
	struct stack_set *set;
};

/* "5060" in a set of TCP and UDP ports is two elements: a part that is a set stands for each of its own. */
static void add_elements(struct set_builder *builder, const struct element *element, const struct expr *const *items,
			 size_t count, struct stack_part *parts, size_t at)
{
	struct stack_set *set = builder->set;
	struct stack_element *added;

	if (at < count && items[at]->kind == EXPR_SET) {
		for (size_t i = 0; i < items[at]->set.count; i++) {
			parts[at] = stack_part(items[at]->set.elements[i].key);
			add_elements(builder, element, items, count, parts, at + 1);
		}
		return;
	}
	if (at < count) {
		parts[at] = stack_part(items[at]);
		add_elements(builder, element, items, count, parts, at + 1);
		return;
	}
	added = arena_push(builder->arena, set->elements, set->element_count);
	added->element = element;
	added->parts = arena_alloc(builder->arena, set->part_count * sizeof(*parts));
	for (size_t i = 0; i < set->part_count; i++) /* "*" alone stands for all parts */
		added->parts[i] =
			i < count ? parts[i] : (struct stack_part){parts[0].kind == PART_ANY ? PART_ANY : PART_UNKNOWN};
}

static void add_element(struct set_builder *builder, const struct element *element)
{
	const struct expr *key = element->key, *const *items = &key;
	struct stack_part parts[16];
	size_t count = 1;

	if (key->kind == EXPR_CONCAT) {
		items = (const struct expr *const *)key->concat.items;
		count = key->concat.count;
	}
	if (count <= sizeof(parts) / sizeof(*parts))
		add_elements(builder, element, items, count, parts, 0);
}

static size_t count_parts(const struct set *set)
{
	size_t parts = set->key_count ? set->key_count : 1;

	for (size_t i = 0; i < set->element_count; i++)
		if (set->elements[i].key->kind == EXPR_CONCAT && set->elements[i].key->concat.count > parts)
			parts = set->elements[i].key->concat.count;
	return parts;
}

static int by_low(const void *a, const void *b)
{
	const struct stack_part *left = ((const struct stack_element *)a)->parts;
	const struct stack_part *right = ((const struct stack_element *)b)->parts;

	return left->low < right->low ? -1 : left->low > right->low;
}

static void order_elements(struct arena *arena, struct stack_set *set)
{
	struct stack_element *sorted;

	if (set->part_count != 1 || set->element_count < 2)
		return;
	for (size_t i = 0; i < set->element_count; i++)
		if (set->elements[i].parts[0].kind != PART_RANGE || set->elements[i].element->nomatch ||
		    set->elements[i].parts[0].family != set->elements[0].parts[0].family)
			return;
	sorted = arena_alloc(arena, set->element_count * sizeof(*sorted));
	memcpy(sorted, set->elements, set->element_count * sizeof(*sorted));
	qsort(sorted, set->element_count, sizeof(*sorted), by_low);
	for (size_t i = 1; i < set->element_count; i++)
		if (sorted[i].parts[0].low <= sorted[i - 1].parts[0].high)
			return;
	set->elements = sorted;
	set->ordered = true;
}

static void build_set(struct arena *arena, struct stack_set *into, const struct set *set,
		      const struct stack_table *table)
{
	struct set_builder builder = {arena, into};

	*into = (struct stack_set){.set = set,
				   .table = table,
				   .part_count = count_parts(set),
				   .complete = set->elements_known != TRUTH_NO,
				   .changing = set->dynamic || set->timeout.known};
	for (size_t i = 0; i < set->element_count; i++)
		add_element(&builder, &set->elements[i]);
	order_elements(arena, into);
}

static int compare_set(const void *key, const void *entry)
{
	return strcmp(key, ((const struct stack_set *)entry)->set->name);
}

static int by_set_name(const void *a, const void *b)
{
	return strcmp(((const struct stack_set *)a)->set->name, ((const struct stack_set *)b)->set->name);
}

static struct stack_set *build_sets(struct arena *arena, const struct set *sets, size_t count,
				    const struct stack_table *table)
{
	struct stack_set *built = arena_alloc(arena, (count + 1) * sizeof(*built));

	for (size_t i = 0; i < count; i++)
		build_set(arena, &built[i], &sets[i], table);
	if (count)
		qsort(built, count, sizeof(*built), by_set_name);
	return built;
}

struct stack_set *stack_set(const struct stack_table *table, const char *name)
{
	return table->set_count ? bsearch(name, table->sets, table->set_count, sizeof(*table->sets), compare_set)
				: NULL;
}

struct stack_set *stack_ipset(const struct stack_host *host, const char *name)
{
	return host->ipset_count ? bsearch(name, host->ipsets, host->ipset_count, sizeof(*host->ipsets), compare_set)
				 : NULL;
}

/* ---- tables and chains ---- */

static int compare_chain(const void *key, const void *entry)
{
	return strcmp(key, ((const struct stack_chain *)entry)->chain->name);
}

static int by_chain_name(const void *a, const void *b)
{
	return strcmp(((const struct stack_chain *)a)->chain->name, ((const struct stack_chain *)b)->chain->name);
}

struct stack_chain *stack_chain(const struct stack_table *table, const char *name)
{
	if (!name || table->chain_count == 0)
		return NULL;
	return bsearch(name, table->chains, table->chain_count, sizeof(*table->chains), compare_chain);
}

static void build_table(struct stack_host *host, const struct table *table)
{
	struct stack_table *built = &host->tables[host->table_count];
	struct arena *arena = host->stack->arena;

	*built = (struct stack_table){.host = host, .table = table, .set_count = table->set_count};
	built->chains = arena_alloc(arena, (table->chain_count + 1) * sizeof(*built->chains));
	for (size_t i = 0; i < table->chain_count; i++)
		if (!table->chains[i].shadowed)
			built->chains[built->chain_count++] =
				(struct stack_chain){.table = built, .chain = &table->chains[i]};
	if (built->chain_count == 0 && table->chain_count > 0)
		return; /* another capture shows it better */
	if (built->chain_count)
		qsort(built->chains, built->chain_count, sizeof(*built->chains), by_chain_name);
	for (size_t i = 0; i < built->chain_count; i++)
		built->chains[i].number = host->chain_count++;
	built->sets = build_sets(arena, table->sets, table->set_count, built);
	host->table_count++;
}

/* ---- base chains ---- */

/* Where a table stands in nft's listing, with its chains behind it; 0: nowhere. The younger the larger. */
static uint64_t age_of(const struct stack_chain *chain)
{
	const struct ruleset *ruleset = &chain->table->host->facts->ruleset;
	const struct table *table = chain->table->table, *nft = table;
	const struct chain *twin = chain->chain;
	uint32_t place = 0;

	if (table->backend == BACKEND_XTABLES_LEGACY)
		return 0;
	if (table->backend != BACKEND_NFTABLES) {
		nft = ruleset_table(ruleset, BACKEND_NFTABLES, table->family, table->name);
		twin = nft ? table_chain(nft, twin->name) : NULL;
	}
	if (!nft)
		return 1;
	for (const struct table *at = ruleset->tables; at < nft; at++)
		place += at->backend == BACKEND_NFTABLES;
	return ((uint64_t)place + 2) << 32 | (twin ? (uint64_t)(twin - nft->chains) : 0);
}

/*
 * A nat chain's own priority only orders it among nat chains: all of them are asked by one function, which has the
 * priority of iptables' nat (nf_nat_register_fn in net/netfilter/nf_nat_core.c).
 */
static int32_t priority_of(const struct chain *chain)
{
	if (chain->type != CHAIN_NAT)
		return chain->priority;
	return chain->hook == HOOK_PREROUTING || chain->hook == HOOK_OUTPUT ? STACK_PRIORITY_NAT_DESTINATION
									    : STACK_PRIORITY_NAT_SOURCE;
}

struct placed {
	struct stack_chain *chain;
	uint64_t age;
};

static int by_priority(const void *a, const void *b)
{
	const struct placed *left = a, *right = b;
	const struct chain *a_chain = left->chain->chain, *b_chain = right->chain->chain;
	int32_t x = priority_of(a_chain), y = priority_of(b_chain);

	if (x != y)
		return x < y ? -1 : 1;
	if (a_chain->type == CHAIN_NAT && b_chain->type == CHAIN_NAT && a_chain->priority != b_chain->priority)
		return a_chain->priority < b_chain->priority ? -1 : 1;
	if ((a_chain->type == CHAIN_NAT) != (b_chain->type == CHAIN_NAT))
		return a_chain->type == CHAIN_NAT ? -1 : 1; /* nat chains stand together */
	return left->age > right->age ? -1 : left->age < right->age;
}

static void order_hook(struct arena *arena, struct stack_hook *hook)
{
	struct placed *placed;

	if (hook->count < 2)
		return;
	placed = arena_alloc(arena, hook->count * sizeof(*placed));
	for (size_t i = 0; i < hook->count; i++)
		placed[i] = (struct placed){hook->chains[i], age_of(hook->chains[i])};
	qsort(placed, hook->count, sizeof(*placed), by_priority);
	for (size_t i = 0; i < hook->count; i++)
		hook->chains[i] = placed[i].chain;
}

static void add_base(struct arena *arena, struct stack_hook *hook, struct stack_chain *chain)
{
	*arena_push(arena, hook->chains, hook->count) = chain;
}

static void add_to_devices(struct stack_host *host, struct stack_chain *chain)
{
	for (size_t i = 0; i < chain->chain->device_count; i++) {
		struct stack_link *link = stack_link(host, chain->chain->devices[i]);

		if (link)
			add_base(host->stack->arena, chain->chain->hook == HOOK_EGRESS ? &link->egress : &link->ingress,
				 chain);
	}
}

static void note_translation(struct stack_host *host, const struct stack_chain *chain)
{
	enum family family = chain->table->table->family;

	if (chain->chain->type != CHAIN_NAT)
		return;
	host->translates[STACK_IP4] = host->translates[STACK_IP4] || family == FAMILY_IP || family == FAMILY_INET;
	host->translates[STACK_IP6] = host->translates[STACK_IP6] || family == FAMILY_IP6 || family == FAMILY_INET;
}

static void add_base_chain(struct stack_host *host, struct stack_chain *chain)
{
	struct arena *arena = host->stack->arena;
	enum hook hook = chain->chain->hook;

	if (chain->chain->type == CHAIN_PLAIN || hook == HOOK_NONE)
		return;
	if (hook == HOOK_INGRESS || hook == HOOK_EGRESS) {
		add_to_devices(host, chain);
		return;
	}
	note_translation(host, chain);
	switch (chain->table->table->family) {
	case FAMILY_IP:
		add_base(arena, &host->hooks[STACK_IP4][hook], chain);
		break;
	case FAMILY_IP6:
		add_base(arena, &host->hooks[STACK_IP6][hook], chain);
		break;
	case FAMILY_INET:
		add_base(arena, &host->hooks[STACK_IP4][hook], chain);
		add_base(arena, &host->hooks[STACK_IP6][hook], chain);
		break;
	case FAMILY_ARP:
		add_base(arena, &host->hooks[STACK_ARP][hook], chain);
		break;
	case FAMILY_BRIDGE:
		add_base(arena, &host->hooks[STACK_BRIDGE][hook], chain);
		break;
	case FAMILY_NONE:
	case FAMILY_NETDEV:
		break;
	}
}

static void build_hooks(struct stack_host *host)
{
	struct arena *arena = host->stack->arena;

	for (size_t i = 0; i < host->table_count; i++)
		for (size_t j = 0; j < host->tables[i].chain_count; j++)
			add_base_chain(host, &host->tables[i].chains[j]);
	for (size_t family = 0; family < STACK_FAMILY_COUNT; family++)
		for (size_t hook = 0; hook < STACK_HOOK_COUNT; hook++)
			order_hook(arena, &host->hooks[family][hook]);
	for (size_t i = 0; i < host->link_count; i++) {
		order_hook(arena, &host->links[i].ingress);
		order_hook(arena, &host->links[i].egress);
	}
}

/* ---- what makes the kernel track connections (nf_ct_netns_get) ---- */

static bool expr_tracks(const struct expr *expr);

static bool elements_track(const struct element *elements, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (elements[i].data && expr_tracks(elements[i].data))
			return true;
	return false;
}

static bool expr_tracks(const struct expr *expr)
{
	if (!expr)
		return false;
	switch (expr->kind) {
	case EXPR_FIELD:
		return expr->field.field >= FIELD_CT_STATE && expr->field.field <= FIELD_CT_AVGPKT;
	case EXPR_RANGE:
	case EXPR_BINARY:
	case EXPR_MAP:
		return expr_tracks(expr->pair.left) || expr_tracks(expr->pair.right);
	case EXPR_CONCAT:
		for (size_t i = 0; i < expr->concat.count; i++)
			if (expr_tracks(expr->concat.items[i]))
				return true;
		return false;
	case EXPR_SET:
		return elements_track(expr->set.elements, expr->set.count);
	case EXPR_NONE:
	case EXPR_NUMBER:
	case EXPR_IP:
	case EXPR_MAC:
	case EXPR_TEXT:
	case EXPR_WILDCARD:
	case EXPR_BYTES:
	case EXPR_ANY:
	case EXPR_PREFIX:
	case EXPR_VERDICT:
	case EXPR_SET_REF:
	case EXPR_IPSET:
	case EXPR_FIB:
	case EXPR_PAYLOAD:
	case EXPR_GENERATED:
	case EXPR_UNKNOWN:
	case EXPR_KIND_COUNT:
		break;
	}
	return false;
}

static bool is_condition_of_connections(const char *name)
{
	static const char *const names[] = {"connlimit", "connbytes", "connlabel", "helper", "cluster"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool statement_tracks(const struct statement *statement)
{
	switch (statement->kind) {
	case STATEMENT_MATCH:
		return expr_tracks(statement->match.left) || expr_tracks(statement->match.right);
	case STATEMENT_VERDICT_MAP:
		return expr_tracks(statement->verdict_map.key);
	case STATEMENT_ASSIGN:
		return expr_tracks(statement->assign.field) || expr_tracks(statement->assign.value);
	case STATEMENT_SET_UPDATE:
		return expr_tracks(statement->update.key) || expr_tracks(statement->update.data);
	case STATEMENT_CONDITION:
		return is_condition_of_connections(statement->condition.name);
	case STATEMENT_EFFECT:
	case STATEMENT_DIVERT:
		return strcmp(statement->action.name, "CT") == 0 || strncmp(statement->action.name, "ct ", 3) == 0 ||
		       strcmp(statement->action.name, "synproxy") == 0 ||
		       strcmp(statement->action.name, "SYNPROXY") == 0;
	case STATEMENT_NAT:
		return true;
	case STATEMENT_NOTRACK: /* xt_CT asks for it, nft_notrack does not */
	case STATEMENT_NONE:
	case STATEMENT_VERDICT:
	case STATEMENT_REJECT:
	case STATEMENT_UNKNOWN:
	case STATEMENT_KIND_COUNT:
		break;
	}
	return false;
}

static bool chain_tracks(const struct chain *chain, bool xtables)
{
	for (size_t i = 0; i < chain->rule_count; i++)
		for (size_t j = 0; j < chain->rules[i].statement_count; j++) {
			const struct statement *statement = &chain->rules[i].statements[j];

			if (statement_tracks(statement) || (xtables && statement->kind == STATEMENT_NOTRACK))
				return true;
		}
	return false;
}

static void find_tracking(struct stack_host *host)
{
	for (size_t i = 0; i < host->table_count; i++) {
		const struct table *table = host->tables[i].table;
		bool ip4 = table->family == FAMILY_IP || table->family == FAMILY_INET;
		bool ip6 = table->family == FAMILY_IP6 || table->family == FAMILY_INET;
		bool bridge = table->family == FAMILY_BRIDGE;

		for (size_t j = 0; j < host->tables[i].chain_count; j++) {
			if (((!ip4 || host->tracks4) && (!ip6 || host->tracks6) && !bridge) ||
			    !chain_tracks(host->tables[i].chains[j].chain, table->backend != BACKEND_NFTABLES))
				continue;
			host->tracks4 = host->tracks4 || ip4 || bridge;
			host->tracks6 = host->tracks6 || ip6 || bridge;
		}
	}
}

/* ---- fragments ---- */

/* Connection tracking puts packets together at the hooks where they come in or are sent. */
static bool is_behind_defragmenting(const struct chain *chain)
{
	switch (chain->hook) {
	case HOOK_NONE: /* jumped to */
	case HOOK_INPUT:
	case HOOK_FORWARD:
	case HOOK_POSTROUTING:
		return true;
	case HOOK_PREROUTING:
	case HOOK_OUTPUT:
		return chain->type == CHAIN_NAT || chain->priority > STACK_PRIORITY_DEFRAGMENT;
	case HOOK_INGRESS:
	case HOOK_EGRESS:
	case HOOK_BROUTING:
		break;
	}
	return false;
}

static bool meets_fragments(const struct stack_host *host, const struct stack_table *table)
{
	enum family family = table->table->family;
	bool ip4 = family == FAMILY_IP || family == FAMILY_INET, ip6 = family == FAMILY_IP6 || family == FAMILY_INET;

	if ((!ip4 && !ip6) || (ip4 && !host->tracks4) || (ip6 && !host->tracks6))
		return true;
	for (size_t i = 0; i < table->chain_count; i++)
		if (!is_behind_defragmenting(table->chains[i].chain))
			return true;
	return false;
}

bool stack_reads_fragments(const struct stack_table *table, enum field field)
{
	if (!table->meets_fragments)
		return false;
	switch (table->table->backend) {
	case BACKEND_NFTABLES:
		return true;
	case BACKEND_XTABLES:
	case BACKEND_XTABLES_NFT:
		return field == FIELD_TCP_SPORT || field == FIELD_TCP_DPORT || field == FIELD_TCP_FLAGS ||
		       field == FIELD_UDP_SPORT || field == FIELD_UDP_DPORT;
	case BACKEND_NONE:
	case BACKEND_XTABLES_LEGACY:
		break;
	}
	return false;
}

bool stack_read_in_fragments6(enum field field, uint16_t *ret_first, uint16_t *ret_last)
{
	bool port = field == FIELD_TCP_SPORT || field == FIELD_UDP_SPORT || field == FIELD_UDPLITE_SPORT ||
		    field == FIELD_SCTP_SPORT || field == FIELD_DCCP_SPORT || field == FIELD_TH_SPORT;

	*ret_first = port ? 0x6000 : 0x60;
	*ret_last = port ? 0x6fff : 0x6f;
	return port || field == FIELD_ICMPV6_TYPE;
}

/* ---- what was not captured ---- */

static bool covers_all(const struct ruleset *ruleset, bool xtables, enum family family)
{
	for (size_t i = 0; i < ruleset->coverage_count; i++) {
		const struct coverage *coverage = &ruleset->coverage[i];

		if ((coverage->backend != BACKEND_NFTABLES) == xtables && !coverage->table && !coverage->chain &&
		    (coverage->family == FAMILY_NONE || coverage->family == family))
			return true;
	}
	return false;
}

static const char *const xtables_names[] = {"filter", "nat", "mangle", "raw"};
enum { XTABLES_COUNT = sizeof(xtables_names) / sizeof(*xtables_names) };

static bool covers_tables(const struct ruleset *ruleset, enum family family)
{
	if (covers_all(ruleset, true, family))
		return true;
	for (size_t i = 0; i < XTABLES_COUNT; i++)
		if (!ruleset_covers(ruleset, BACKEND_XTABLES, family, xtables_names[i]))
			return false;
	return true;
}

const char *stack_gap_name(const struct stack_host *host, enum stack_gap_kind kind, struct arena *arena)
{
	enum family family = kind == GAP_XTABLES6 ? FAMILY_IP6 : FAMILY_IP;
	const char *names = NULL;

	if (kind != GAP_XTABLES4 && kind != GAP_XTABLES6)
		return kind == GAP_NFTABLES ? "nftables' tables" : "ebtables' tables";
	for (size_t i = 0; i < XTABLES_COUNT; i++)
		if (!ruleset_covers(&host->facts->ruleset, BACKEND_XTABLES, family, xtables_names[i]))
			names = arena_printf(arena, "%s%s%s", names ? names : "", names ? ", " : "", xtables_names[i]);
	return arena_printf(arena, "%s tables %s", kind == GAP_XTABLES4 ? "iptables'" : "ip6tables'",
			    names ? names : "");
}

static void find_gaps(struct stack_host *host)
{
	const struct ruleset *ruleset = &host->facts->ruleset;

	host->gaps[GAP_NFTABLES] = !covers_all(ruleset, false, FAMILY_NONE);
	host->gaps[GAP_XTABLES4] = !covers_tables(ruleset, FAMILY_IP);
	host->gaps[GAP_XTABLES6] = !covers_tables(ruleset, FAMILY_IP6);
	host->gaps[GAP_EBTABLES] = !covers_all(ruleset, true, FAMILY_BRIDGE);
}

void stack_build_rules(struct stack_host *host)
{
	const struct ruleset *ruleset = &host->facts->ruleset;
	struct arena *arena = host->stack->arena;

	host->tables = arena_alloc(arena, (ruleset->table_count + 1) * sizeof(*host->tables));
	for (size_t i = 0; i < ruleset->table_count; i++)
		if (!ruleset->tables[i].dormant)
			build_table(host, &ruleset->tables[i]);
	host->ipsets = build_sets(arena, ruleset->ipsets, ruleset->ipset_count, NULL);
	host->ipset_count = ruleset->ipset_count;
	build_hooks(host);
	find_tracking(host);
	for (size_t i = 0; i < host->table_count; i++)
		host->tables[i].meets_fragments = meets_fragments(host, &host->tables[i]);
	find_gaps(host);
}
