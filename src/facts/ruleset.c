#include "facts/ruleset.h"

#include "base/arena.h"
#include "facts/names.h"

#include <string.h>

static const char *const families[] = {NULL, "ip", "ip6", "inet", "arp", "bridge", "netdev"};
static const char *const hooks[] = {NULL,      "ingress", "egress",	 "prerouting", "input",
				    "forward", "output",  "postrouting", "brouting"};
static const char *const verdicts[] = {NULL, "accept", "drop", "continue", "return", "jump", "goto", "queue"};

const char *family_name(enum family family)
{
	return families[family];
}

enum family family_find(const char *name, size_t length)
{
	for (size_t i = 1; i < sizeof(families) / sizeof(*families); i++)
		if (strlen(families[i]) == length && memcmp(families[i], name, length) == 0)
			return (enum family)i;
	return FAMILY_NONE;
}

const char *hook_name(enum hook hook)
{
	return hooks[hook];
}

const char *verdict_name(enum verdict_kind verdict)
{
	return verdicts[verdict];
}

struct table *ruleset_table(const struct ruleset *ruleset, enum backend backend, enum family family, const char *name)
{
	for (size_t i = 0; i < ruleset->table_count; i++) {
		struct table *table = &ruleset->tables[i];

		if (table->backend == backend && table->family == family && strcmp(table->name, name) == 0)
			return table;
	}
	return NULL;
}

struct chain *table_chain(const struct table *table, const char *name)
{
	size_t at;

	if (names_fit(table->chain_names, table->chain_count))
		return names_find(table->chain_names, name, &at) ? &table->chains[at] : NULL;
	for (size_t i = 0; i < table->chain_count; i++)
		if (strcmp(table->chains[i].name, name) == 0)
			return &table->chains[i];
	return NULL;
}

struct set *table_set(const struct table *table, const char *name)
{
	size_t at;

	if (names_fit(table->set_names, table->set_count))
		return names_find(table->set_names, name, &at) ? &table->sets[at] : NULL;
	for (size_t i = 0; i < table->set_count; i++)
		if (strcmp(table->sets[i].name, name) == 0)
			return &table->sets[i];
	return NULL;
}

struct set *ruleset_ipset(const struct ruleset *ruleset, const char *name)
{
	for (size_t i = 0; i < ruleset->ipset_count; i++)
		if (strcmp(ruleset->ipsets[i].name, name) == 0)
			return &ruleset->ipsets[i];
	return NULL;
}

static bool is_xtables(enum backend backend)
{
	return backend == BACKEND_XTABLES || backend == BACKEND_XTABLES_LEGACY || backend == BACKEND_XTABLES_NFT;
}

bool ruleset_covers(const struct ruleset *ruleset, enum backend backend, enum family family, const char *table)
{
	for (size_t i = 0; i < ruleset->coverage_count; i++) {
		const struct coverage *coverage = &ruleset->coverage[i];

		if (coverage->backend != backend && !(backend == BACKEND_XTABLES && is_xtables(coverage->backend)))
			continue;
		if (coverage->family != FAMILY_NONE && coverage->family != family)
			continue;
		if (!coverage->chain && (!coverage->table || strcmp(coverage->table, table) == 0))
			return true;
	}
	return false;
}

/* include/uapi/linux/netfilter_ipv4.h, netfilter_bridge.h of the kernel: enum nf_ip_hook_priorities and the like */
static const struct base_chain {
	enum family family;
	const char *table, *chain;
	enum hook hook;
	int32_t priority;
	enum chain_type type;
} base_chains[] = {
	{FAMILY_IP, "raw", "PREROUTING", HOOK_PREROUTING, -300, CHAIN_FILTER},
	{FAMILY_IP, "raw", "OUTPUT", HOOK_OUTPUT, -300, CHAIN_FILTER},
	{FAMILY_IP, "mangle", "PREROUTING", HOOK_PREROUTING, -150, CHAIN_FILTER},
	{FAMILY_IP, "mangle", "INPUT", HOOK_INPUT, -150, CHAIN_FILTER},
	{FAMILY_IP, "mangle", "FORWARD", HOOK_FORWARD, -150, CHAIN_FILTER},
	{FAMILY_IP, "mangle", "OUTPUT", HOOK_OUTPUT, -150, CHAIN_ROUTE},
	{FAMILY_IP, "mangle", "POSTROUTING", HOOK_POSTROUTING, -150, CHAIN_FILTER},
	{FAMILY_IP, "nat", "PREROUTING", HOOK_PREROUTING, -100, CHAIN_NAT},
	{FAMILY_IP, "nat", "INPUT", HOOK_INPUT, 100, CHAIN_NAT},
	{FAMILY_IP, "nat", "OUTPUT", HOOK_OUTPUT, -100, CHAIN_NAT},
	{FAMILY_IP, "nat", "POSTROUTING", HOOK_POSTROUTING, 100, CHAIN_NAT},
	{FAMILY_IP, "filter", "INPUT", HOOK_INPUT, 0, CHAIN_FILTER},
	{FAMILY_IP, "filter", "FORWARD", HOOK_FORWARD, 0, CHAIN_FILTER},
	{FAMILY_IP, "filter", "OUTPUT", HOOK_OUTPUT, 0, CHAIN_FILTER},
	{FAMILY_IP, "security", "INPUT", HOOK_INPUT, 50, CHAIN_FILTER},
	{FAMILY_IP, "security", "FORWARD", HOOK_FORWARD, 50, CHAIN_FILTER},
	{FAMILY_IP, "security", "OUTPUT", HOOK_OUTPUT, 50, CHAIN_FILTER},
	{FAMILY_BRIDGE, "filter", "INPUT", HOOK_INPUT, -200, CHAIN_FILTER},
	{FAMILY_BRIDGE, "filter", "FORWARD", HOOK_FORWARD, -200, CHAIN_FILTER},
	{FAMILY_BRIDGE, "filter", "OUTPUT", HOOK_OUTPUT, 200, CHAIN_FILTER},
	{FAMILY_BRIDGE, "nat", "PREROUTING", HOOK_PREROUTING, -300, CHAIN_FILTER},
	{FAMILY_BRIDGE, "nat", "OUTPUT", HOOK_OUTPUT, 100, CHAIN_FILTER},
	{FAMILY_BRIDGE, "nat", "POSTROUTING", HOOK_POSTROUTING, 300, CHAIN_FILTER},
	{FAMILY_BRIDGE, "broute", "BROUTING", HOOK_BROUTING, INT32_MIN, CHAIN_FILTER},
};

bool xtables_base_chain(enum family family, const char *table, const char *chain, enum hook *ret_hook,
			int32_t *ret_priority, enum chain_type *ret_type)
{
	if (family == FAMILY_IP6)
		family = FAMILY_IP;
	for (size_t i = 0; i < sizeof(base_chains) / sizeof(*base_chains); i++) {
		const struct base_chain *base = &base_chains[i];

		if (base->family == family && strcmp(base->table, table) == 0 && strcmp(base->chain, chain) == 0) {
			*ret_hook = base->hook;
			*ret_priority = base->priority;
			*ret_type = base->type;
			return true;
		}
	}
	return false;
}

static struct expr *field_expr(struct arena *arena, enum field field)
{
	struct expr *expr = arena_new_struct(arena, struct expr);

	expr->kind = EXPR_FIELD;
	expr->type = field_info(field)->type;
	expr->field.field = field;
	return expr;
}

static bool part_is(const char *part, size_t length, const char *name)
{
	return strlen(name) == length && memcmp(part, name, length) == 0;
}

/* The fields of one part of an ipset's type; 0: no such part. */
static size_t part_fields(const char *part, size_t length, bool ip6, bool destination, enum field ret[2])
{
	if (part_is(part, length, "ip") || part_is(part, length, "net")) {
		ret[0] = ip6 ? (destination ? FIELD_IP6_DADDR : FIELD_IP6_SADDR)
			     : (destination ? FIELD_IP_DADDR : FIELD_IP_SADDR);
		return 1;
	}
	if (part_is(part, length, "port")) {
		ret[0] = FIELD_META_L4PROTO;
		ret[1] = destination ? FIELD_TH_DPORT : FIELD_TH_SPORT;
		return 2;
	}
	if (part_is(part, length, "mac"))
		ret[0] = destination ? FIELD_ETHER_DADDR : FIELD_ETHER_SADDR;
	else if (part_is(part, length, "iface"))
		ret[0] = destination ? FIELD_META_OIFNAME : FIELD_META_IIFNAME;
	else if (part_is(part, length, "mark"))
		ret[0] = FIELD_META_MARK;
	else
		return 0;
	return 1;
}

struct expr *ipset_key(struct arena *arena, const struct set *set, enum family family, const struct expr *lookup)
{
	const char *part = set->type ? strchr(set->type, ':') : NULL;
	struct expr *key = arena_new_struct(arena, struct expr);

	if (!part || (set->family != FAMILY_NONE && set->family != family))
		return NULL;
	key->kind = EXPR_CONCAT;
	for (unsigned i = 0; *part++; i++) {
		size_t length = strcspn(part, ",");
		bool destination = i < 8 && (lookup->ipset.directions >> i & 1);
		enum field fields[2];
		size_t count = part_fields(part, length, family == FAMILY_IP6, destination, fields);

		if (count == 0 || i >= lookup->ipset.dimension)
			return NULL;
		for (size_t f = 0; f < count; f++)
			*arena_push(arena, key->concat.items, key->concat.count) = field_expr(arena, fields[f]);
		part += length;
	}
	return key->concat.count == 1 ? key->concat.items[0] : key;
}
