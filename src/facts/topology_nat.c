/*
 * Which networks leave a host under another source address. The chains of type nat at postrouting are walked with
 * their jumps; on the way to a rule that translates, what its matches and those of the jumps say of the source and of
 * the outgoing interface is kept. A match that says it in a way that is not understood here (a named set, a mark) makes
 * no claim: the network is then not drawn as translated.
 */
#include "facts/topology_internal.h"

#include "base/arena.h"

#include <string.h>
#include <sys/socket.h>

/* Chains may jump in ways that would take for ever to follow: the kernel allows 16 jumps (NFT_JUMP_STACK_SIZE). */
enum { JUMPS_MAX = 16, RULES_MAX = 100000 };

/* What is known of the packets that come as far as a rule. */
struct scope {
	const struct expr *source; /* NULL: any */
	const struct expr *oif;	   /* NULL: any */
	bool oif_negated;
	bool vague; /* other sources or interfaces may be meant */
};

struct walk {
	struct arena *arena;
	struct topology_host *host;
	const struct table *table;
	unsigned depth, rules;
};

static bool is_field(const struct expr *expr, enum field one, enum field other)
{
	return expr && expr->kind == EXPR_FIELD && (expr->field.field == one || expr->field.field == other);
}

static void narrow(struct scope *scope, const struct statement *statement)
{
	const struct expr *left = statement->match.left, *right = statement->match.right;
	enum match_op op = statement->match.op;

	if (is_field(left, FIELD_IP_SADDR, FIELD_IP6_SADDR)) {
		if (op == MATCH_EQ && !scope->source)
			scope->source = right;
		else
			scope->vague = true;
	} else if (is_field(left, FIELD_META_OIF, FIELD_META_OIFNAME)) {
		if (scope->oif || (op != MATCH_EQ && op != MATCH_NEQ))
			scope->vague = true;
		scope->oif = right;
		scope->oif_negated = op == MATCH_NEQ;
	}
}

static bool range_holds(const struct expr *range, const struct ip *ip)
{
	const struct expr *first = range->pair.left, *last = range->pair.right;

	return first->kind == EXPR_IP && last->kind == EXPR_IP && first->ip.family == ip->family &&
	       memcmp(first->ip.bytes, ip->bytes, sizeof(ip->bytes)) <= 0 &&
	       memcmp(ip->bytes, last->ip.bytes, sizeof(ip->bytes)) <= 0;
}

static bool source_holds(const struct expr *source, const struct ip *ip)
{
	if (source->kind == EXPR_PREFIX)
		return source->prefix.ip.family == ip->family && prefix_contains(&source->prefix, ip);
	if (source->kind == EXPR_IP)
		return ip_equal(&source->ip, ip);
	if (source->kind == EXPR_RANGE)
		return range_holds(source, ip);
	if (source->kind == EXPR_SET)
		for (size_t i = 0; i < source->set.count; i++)
			if (source_holds(source->set.elements[i].key, ip))
				return true;
	return false;
}

static bool name_holds(const struct expr *names, const char *name)
{
	if (names->kind == EXPR_TEXT)
		return strcmp(names->text, name) == 0;
	if (names->kind == EXPR_WILDCARD)
		return strncmp(names->text, name, strlen(names->text)) == 0;
	if (names->kind == EXPR_SET)
		for (size_t i = 0; i < names->set.count; i++)
			if (name_holds(names->set.elements[i].key, name))
				return true;
	return false;
}

static bool oif_holds(const struct scope *scope, const char *name)
{
	return !scope->oif || name_holds(scope->oif, name) != scope->oif_negated;
}

/* Where the translated packets leave: where the rule says it, or by default. */
static struct topology_link *find_outside(const struct walk *walk, const struct scope *scope, uint8_t family)
{
	const struct topology_way *way = topology_default_way(walk->host, family);

	if (way && way->link && oif_holds(scope, way->link->link->name))
		return way->link;
	if (!scope->oif || scope->oif_negated || scope->oif->kind != EXPR_TEXT)
		return NULL;
	return topology_find_link(walk->host, scope->oif->text);
}

static void add_nat(const struct walk *walk, const struct scope *scope, struct topology_link *inside, uint8_t family,
		    const struct rule *rule, bool masquerade)
{
	struct topology_host *host = walk->host;
	struct topology_link *outside = find_outside(walk, scope, family);

	if (outside == inside)
		return;
	for (size_t i = 0; i < host->nat_count; i++)
		if (host->nats[i].inside == inside && host->nats[i].family == family)
			return; /* libvirt has one rule for TCP, one for UDP and one for the rest */
	*arena_push(walk->arena, host->nats, host->nat_count) = (struct topology_nat){
		.inside = inside, .outside = outside, .family = family, .masquerade = masquerade, .rule = rule};
}

static bool table_has_family(const struct table *table, uint8_t family)
{
	return table->family == FAMILY_INET || table->family == (family == AF_INET ? FAMILY_IP : FAMILY_IP6);
}

/* The networks that a translating rule is about: their interfaces have an address among its sources. */
static void take_nat(const struct walk *walk, const struct scope *scope, const struct rule *rule, bool masquerade)
{
	for (size_t i = 0; i < walk->host->link_count && !scope->vague; i++) {
		struct topology_link *link = &walk->host->links[i];

		if (link->role == LINK_ROLE_LOOPBACK)
			continue;
		for (size_t j = 0; j < link->link->address_count; j++) {
			const struct prefix *address = &link->link->addresses[j].prefix;

			if (address->length < ip_bits(&address->ip) &&
			    table_has_family(walk->table, address->ip.family) &&
			    (!scope->source || source_holds(scope->source, &address->ip)))
				add_nat(walk, scope, link, address->ip.family, rule, masquerade);
		}
	}
}

static void walk_chain(struct walk *walk, const struct chain *chain, const struct scope *from);

static void walk_rule(struct walk *walk, const struct rule *rule, const struct scope *from)
{
	struct scope scope = *from;

	for (size_t i = 0; i < rule->statement_count; i++) {
		const struct statement *statement = &rule->statements[i];

		if (statement->kind == STATEMENT_MATCH)
			narrow(&scope, statement);
		else if (statement->kind == STATEMENT_NAT)
			take_nat(walk, &scope, rule, statement->nat.kind == NAT_MASQUERADE);
		else if (statement->kind == STATEMENT_VERDICT &&
			 (statement->verdict.kind == VERDICT_JUMP || statement->verdict.kind == VERDICT_GOTO))
			walk_chain(walk, table_chain(walk->table, statement->verdict.chain), &scope);
	}
}

static void walk_chain(struct walk *walk, const struct chain *chain, const struct scope *from)
{
	if (!chain || walk->depth == JUMPS_MAX)
		return;
	walk->depth++;
	for (size_t i = 0; i < chain->rule_count && walk->rules < RULES_MAX; i++) {
		walk->rules++;
		walk_rule(walk, &chain->rules[i], from);
	}
	walk->depth--;
}

static bool nat_known(const struct ruleset *ruleset, enum family family)
{
	return ruleset_covers(ruleset, BACKEND_XTABLES, family, "nat") ||
	       ruleset_covers(ruleset, BACKEND_NFTABLES, family, "nat");
}

void topology_find_nats(struct arena *arena, struct topology_host *host)
{
	const struct ruleset *ruleset = &host->facts->ruleset;
	struct walk walk = {.arena = arena, .host = host};

	host->nat4_known = nat_known(ruleset, FAMILY_IP);
	host->nat6_known = nat_known(ruleset, FAMILY_IP6);
	for (size_t i = 0; i < ruleset->table_count; i++) {
		walk.table = &ruleset->tables[i];
		for (size_t j = 0; j < walk.table->chain_count && !walk.table->dormant; j++) {
			const struct chain *chain = &walk.table->chains[j];

			if (chain->type == CHAIN_NAT && chain->hook == HOOK_POSTROUTING && !chain->shadowed)
				walk_chain(&walk, chain, &(struct scope){0});
		}
	}
}
