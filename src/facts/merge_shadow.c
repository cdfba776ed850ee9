/*
 * iptables-nft and ebtables-nft keep their rules in nftables, so a host often shows them twice. Their own programs say
 * all of a rule that they made; nft says all of a rule in its own words, but of their extensions often only the name
 * ("xt match string"). So the programs' form counts, unless the rules were made by nft: what they do not know, they
 * leave out without a word (1.8.9 shows `iifname { "a", "b" } accept` as `-j ACCEPT`). Therefore each rule is compared:
 * what nft says that it looks at, the program's form must look at, too. Where one rule fails that, nft's form of the
 * whole table counts.
 */
#include "facts/field.h"
#include "facts/merge.h"

#include <string.h>

static bool is_same_port(enum field a, enum field b)
{
	const struct field_info *left = field_info(a), *right = field_info(b);

	if (left->type != TYPE_PORT || right->type != TYPE_PORT)
		return false;
	return a == FIELD_XT_PORT || b == FIELD_XT_PORT || strcmp(left->key, right->key) == 0;
}

/* Do two fields ask the packet for the same thing? The programs say "-p tcp" and "--dport" where nft says "tcp dport".
 */
static bool is_same_field(enum field a, enum field b)
{
	static const enum field alike[][2] = {
		{FIELD_CT_STATUS, FIELD_CT_STATE}, /* --ctstate DNAT */
		{FIELD_META_RTCLASSID, FIELD_RT_CLASSID}, {FIELD_CT_SADDR, FIELD_CT_IP_SADDR},
		{FIELD_CT_SADDR, FIELD_CT_IP6_SADDR},	  {FIELD_CT_DADDR, FIELD_CT_IP_DADDR},
		{FIELD_CT_DADDR, FIELD_CT_IP6_DADDR},	  {FIELD_META_IIF, FIELD_META_IIFNAME},
		{FIELD_META_OIF, FIELD_META_OIFNAME},	  {FIELD_IP_DSCP, FIELD_XT_TOS},
		{FIELD_IP6_DSCP, FIELD_XT_TOS},		  {FIELD_META_LENGTH, FIELD_IP_LENGTH}};
	enum datatype type = field_info(a)->type;

	if (a == b || is_same_port(a, b))
		return true;
	if (type == field_info(b)->type && (type == TYPE_PROTOCOL || type == TYPE_ETHERTYPE))
		return true;
	for (size_t i = 0; i < sizeof(alike) / sizeof(*alike); i++)
		if ((a == alike[i][0] && b == alike[i][1]) || (a == alike[i][1] && b == alike[i][0]))
			return true;
	return false;
}

/* Does an expression contain the field, or a question to the routing tables (FIELD_NONE)? */
static bool asks_for(const struct expr *expr, enum field field)
{
	if (!expr)
		return false;
	switch ((int)expr->kind) {
	case EXPR_FIELD:
		return field != FIELD_NONE && is_same_field(expr->field.field, field);
	case EXPR_FIB:
		return field == FIELD_NONE;
	case EXPR_BINARY:
	case EXPR_MAP:
		return asks_for(expr->pair.left, field) || asks_for(expr->pair.right, field);
	case EXPR_CONCAT:
		for (size_t i = 0; i < expr->concat.count; i++)
			if (asks_for(expr->concat.items[i], field))
				return true;
		return false;
	default:
		return false;
	}
}

static bool rule_asks_for(const struct rule *rule, enum field field)
{
	for (size_t i = 0; i < rule->statement_count; i++)
		if (rule->statements[i].kind == STATEMENT_MATCH && asks_for(rule->statements[i].match.left, field))
			return true;
	return false;
}

/* Whatever `left` takes from the packet, is it in the rule, too? */
static bool covers_expr(const struct rule *rule, const struct expr *left)
{
	switch ((int)left->kind) {
	case EXPR_FIELD:
		return left->field.field != FIELD_OTHER && rule_asks_for(rule, left->field.field);
	case EXPR_FIB:
		return rule_asks_for(rule, FIELD_NONE);
	case EXPR_BINARY:
		return covers_expr(rule, left->pair.left);
	case EXPR_CONCAT: /* nft's words for `-m multiport --ports 22`: tcp sport . tcp dport { 0-65535 . 22, … } */
		for (size_t i = 0; i < left->concat.count; i++)
			if (!covers_expr(rule, left->concat.items[i]))
				return false;
		return true;
	case EXPR_UNKNOWN: /* an extension that nft only names */
		return true;
	default: /* maps, raw bytes: only nft has these */
		return false;
	}
}

static bool has_rate(const struct rule *rule)
{
	for (size_t i = 0; i < rule->statement_count; i++)
		if (rule->statements[i].kind == STATEMENT_CONDITION &&
		    rule->statements[i].condition.reason == CONDITION_RATE)
			return true;
	return false;
}

/* An extension that no rule of nft's own is ever shown as: the program made this rule, and knows it. A limit is both's.
 */
static bool has_extension(const struct rule *program)
{
	for (size_t i = 0; i < program->statement_count; i++)
		if (program->statements[i].kind == STATEMENT_CONDITION &&
		    program->statements[i].condition.reason != CONDITION_RATE &&
		    program->statements[i].condition.reason != CONDITION_LACKING)
			return true;
	return false;
}

/* Are the conditions that nft shows all in the program's form? */
static bool shows_all(const struct rule *program, const struct rule *nft)
{
	if (has_extension(program))
		return true;
	for (size_t i = 0; i < nft->statement_count; i++) {
		const struct statement *statement = &nft->statements[i];

		if (statement->kind == STATEMENT_VERDICT_MAP || statement->kind == STATEMENT_SET_UPDATE)
			return false;
		if (statement->kind == STATEMENT_CONDITION && statement->condition.reason == CONDITION_RATE &&
		    !has_rate(program))
			return false;
		if (statement->kind == STATEMENT_MATCH &&
		    (!statement->match.left || !covers_expr(program, statement->match.left) ||
		     statement->match.right->kind == EXPR_SET_REF))
			return false;
	}
	return true;
}

static const struct rule *first_not_shown(const struct chain *program, const struct chain *nft)
{
	for (size_t i = 0; i < nft->rule_count; i++)
		if (i >= program->rule_count || !shows_all(&program->rules[i], &nft->rules[i]))
			return &nft->rules[i];
	return NULL;
}

/* Shows the program's table all that nft's does? If not, *ret_rule is the first rule for which it does not, or NULL. */
static bool is_faithful(const struct table *program, const struct table *nft, const struct rule **ret_rule)
{
	*ret_rule = NULL;
	for (size_t i = 0; i < nft->chain_count; i++) {
		const struct chain *chain = table_chain(program, nft->chains[i].name);

		if (!chain && nft->chains[i].rule_count > 0) {
			*ret_rule = &nft->chains[i].rules[0];
			return false;
		}
		if (!chain || chain->whole == TRUTH_NO)
			continue;
		*ret_rule = first_not_shown(chain, &nft->chains[i]);
		if (*ret_rule || chain->rule_count != nft->chains[i].rule_count)
			return false;
	}
	return true;
}

/* Of a program that did not say where its rules are: has nft a chain with as many rules for each of its chains? */
static bool looks_the_same(const struct table *program, const struct table *nft)
{
	for (size_t i = 0; i < program->chain_count; i++) {
		const struct chain *chain = table_chain(nft, program->chains[i].name);

		if (!chain || chain->rule_count != program->chains[i].rule_count)
			return false;
	}
	return program->chain_count > 0;
}

/* Chains of `shown` stand in the shadow of those of `better`. */
static void shadow(struct table *shown, const struct table *better)
{
	for (size_t i = 0; i < shown->chain_count; i++) {
		const struct chain *chain = table_chain(better, shown->chains[i].name);

		if (chain && chain->whole != TRUTH_NO)
			shown->chains[i].shadowed = chain->origin.source;
	}
}

/* iptables shows its built-in chains even where nftables has none of them: all of them go. */
static void shadow_whole(struct pool *pool, struct facts *facts, struct table *program, const struct table *nft,
			 const struct rule *rule)
{
	for (size_t i = 0; i < program->chain_count; i++)
		program->chains[i].shadowed = nft->origin.source;
	*arena_push(pool->arena, facts->notes, facts->note_count) = (struct note){
		rule ? arena_printf(
			       pool->arena,
			       "table %s %s holds a rule that this does not show in full (%s): what nft shows counts",
			       family_name(nft->family), nft->name, rule->text ? rule->text : "?")
		     : arena_printf(pool->arena, "table %s %s has other rules here than nft shows, which counts",
				    family_name(nft->family), nft->name),
		program->origin};
}

void merge_shadows(struct pool *pool, struct facts *facts)
{
	struct ruleset *ruleset = &facts->ruleset;

	for (size_t i = 0; i < ruleset->table_count; i++) {
		struct table *program = &ruleset->tables[i], *nft;
		const struct rule *rule;

		if (program->backend != BACKEND_XTABLES && program->backend != BACKEND_XTABLES_NFT)
			continue;
		nft = ruleset_table(ruleset, BACKEND_NFTABLES, program->family, program->name);
		if (nft && program->backend == BACKEND_XTABLES && looks_the_same(program, nft))
			program->backend = BACKEND_XTABLES_NFT;
		if (nft && program->backend == BACKEND_XTABLES_NFT) {
			if (is_faithful(program, nft, &rule))
				shadow(nft, program);
			else
				shadow_whole(pool, facts, program, nft, rule);
		} else if (!nft && program->backend == BACKEND_XTABLES &&
			   ruleset_covers(ruleset, BACKEND_NFTABLES, program->family, program->name)) {
			program->backend = BACKEND_XTABLES_LEGACY; /* nftables has no such table */
		}
	}
}
