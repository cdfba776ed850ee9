/*
 * nftables' statements. Nothing parts one from the next but the words they begin with, so where one is not understood
 * it cannot be said where the next begins: all up to a word that can only be a verdict, a counter or the like is then
 * kept as it is, and the rule says that it is not fully known.
 */
#include "facts/nft.h"

#include <stdio.h>
#include <string.h>

/* Where the statements being read go. */
struct target {
	struct statement **statements;
	size_t *count;
};

static struct statement *add(struct nft *nft, struct target *target, enum statement_kind kind)
{
	return statement_add(nft->arena, target->statements, target->count, kind);
}

static void add_argument(struct nft *nft, struct argument **arguments, size_t *count, const char *name, bool negated,
			 const char *value)
{
	*arena_push(nft->arena, *arguments, *count) = (struct argument){name, negated, value};
}

/* An effect with what stands behind its first word. */
static void add_effect(struct nft *nft, struct target *target, const char *name, const char *value)
{
	struct statement *statement = add(nft, target, STATEMENT_EFFECT);

	statement->action.name = name;
	if (value && *value)
		add_argument(nft, &statement->action.arguments, &statement->action.argument_count, "", false, value);
}

static struct statement *add_condition(struct nft *nft, struct target *target, const char *name,
				       enum condition_reason reason)
{
	struct statement *statement = add(nft, target, STATEMENT_CONDITION);

	statement->condition.name = name;
	statement->condition.reason = reason;
	return statement;
}

/* "counter packets 5 bytes 300", "counter name \"x\"": what was counted is the rule's own. */
static bool counter(struct nft *nft, struct target *target)
{
	uint64_t packets, bytes;

	if (nft_accept(nft, "name")) {
		const char *name = nft_name(nft);

		add_effect(nft, target, "counter", name);
		return name != NULL;
	}
	if (nft_accept(nft, "packets")) {
		if (!nft_accept_number(nft, &packets) || !nft_accept(nft, "bytes") || !nft_accept_number(nft, &bytes))
			return false;
		if (nft->rule && target->statements == &nft->rule->statements) {
			nft->rule->packets = number_of(packets);
			nft->rule->bytes = number_of(bytes);
		}
	}
	add_effect(nft, target, "counter", NULL);
	return true;
}

/* "limit rate over 10/second burst 5 packets", "limit rate 1 mbytes/second", "limit name \"x\"" */
static bool limit(struct nft *nft, struct target *target)
{
	struct statement *statement = add_condition(nft, target, "limit", CONDITION_RATE);
	size_t first = nft->at;
	bool over, packets;

	if (nft_accept(nft, "name")) {
		const char *name = nft_name(nft);

		add_argument(nft, &statement->condition.arguments, &statement->condition.argument_count, "name", false,
			     name);
		return name != NULL;
	}
	if (!nft_accept(nft, "rate"))
		return false;
	over = nft_accept(nft, "over");
	first = nft->at;
	if (nft_next(nft)->kind != TOKEN_NUMBER)
		return false;
	packets = nft_accept(nft, "/");
	if (packets)
		nft_next(nft);
	else if (nft_peek(nft)->kind == TOKEN_WORD && span_find_char(nft_peek(nft)->text, '/') != SIZE_MAX)
		nft_next(nft); /* "mbytes/second" */
	else
		return false;
	statement->condition.negated = over;
	add_argument(nft, &statement->condition.arguments, &statement->condition.argument_count, "rate", false,
		     nft_text_since(nft, first));
	if (nft_accept(nft, "burst")) {
		first = nft->at;
		if (nft_next(nft)->kind != TOKEN_NUMBER || nft_next(nft)->kind != TOKEN_WORD)
			return false;
		add_argument(nft, &statement->condition.arguments, &statement->condition.argument_count, "burst", false,
			     nft_text_since(nft, first));
	} else if (packets) { /* what nft leaves out */
		add_argument(nft, &statement->condition.arguments, &statement->condition.argument_count, "burst", false,
			     "5 packets");
	}
	return true;
}

/* "quota over 25 mbytes used 1 mbytes" */
static bool quota(struct nft *nft, struct target *target)
{
	struct statement *statement = add_condition(nft, target, "quota", CONDITION_RATE);
	size_t first = nft->at;

	if (nft_accept(nft, "name"))
		return nft_name(nft) != NULL;
	statement->condition.negated = nft_accept(nft, "over");
	if (!statement->condition.negated)
		nft_accept(nft, "until");
	if (nft_next(nft)->kind != TOKEN_NUMBER || nft_next(nft)->kind != TOKEN_WORD)
		return false;
	if (nft_accept(nft, "used") && (nft_next(nft)->kind != TOKEN_NUMBER || nft_next(nft)->kind != TOKEN_WORD))
		return false;
	add_argument(nft, &statement->condition.arguments, &statement->condition.argument_count, "", false,
		     nft_text_since(nft, first));
	return true;
}

static bool accept_any(struct nft *nft, const char *const *words)
{
	for (; *words; words++)
		if (nft_accept(nft, *words))
			return true;
	return false;
}

/* "log prefix \"x\" group 1 snaplen 20 queue-threshold 3 level warn flags all" */
static bool log_statement(struct nft *nft, struct target *target)
{
	static const char *const words[] = {"prefix", "group", "snaplen", "queue-threshold", "level", "flags", NULL};
	size_t first = nft->at;

	while (accept_any(nft, words)) {
		bool flags = span_is(nft->tokens[nft->at - 1].text, "flags");

		nft_next(nft);
		while (flags && (nft_accept(nft, "sequence") || nft_accept(nft, "options") || nft_accept(nft, ",")))
			continue;
	}
	add_effect(nft, target, "log", nft_text_since(nft, first));
	return true;
}

/* What nft leaves out: the port is unreachable, said in the words of the table's family. */
static void default_reject(const struct nft *nft, struct statement *statement)
{
	const struct ruleset *ruleset = nft->reader->ruleset;
	enum family family = nft->table < ruleset->table_count ? ruleset->tables[nft->table].family : FAMILY_INET;

	statement->reject.with = family == FAMILY_IP	? REJECT_ICMP
				 : family == FAMILY_IP6 ? REJECT_ICMPV6
							: REJECT_ICMPX;
	statement->reject.code = number_of(family == FAMILY_IP ? 3 : family == FAMILY_IP6 ? 4 : 1);
}

static bool reject(struct nft *nft, struct target *target)
{
	static const struct {
		const char *word;
		enum reject_kind kind;
		enum datatype type;
	} kinds[] = {{"icmp", REJECT_ICMP, TYPE_ICMP_CODE},
		     {"icmpv6", REJECT_ICMPV6, TYPE_ICMPV6_CODE},
		     {"icmpx", REJECT_ICMPX, TYPE_ICMPX_CODE}};
	struct statement *statement = add(nft, target, STATEMENT_REJECT);

	if (!nft_accept(nft, "with")) {
		default_reject(nft, statement);
		return true;
	}
	if (nft_accept(nft, "tcp")) {
		statement->reject.with = REJECT_TCP_RESET;
		return nft_accept(nft, "reset");
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct expr *code;

		if (!nft_accept(nft, kinds[i].word))
			continue;
		if (!nft_accept(nft, "type"))
			nft_accept(nft, "code");
		code = nft_value(nft, kinds[i].type);
		if (!code || code->kind != EXPR_NUMBER)
			return false;
		statement->reject.with = kinds[i].kind;
		statement->reject.code = number_of(code->number);
		return true;
	}
	return false;
}

static void nat_flags(struct nft *nft, struct nat *nat)
{
	do {
		if (nft_accept(nft, "random"))
			nat->random = true;
		else if (nft_accept(nft, "fully-random"))
			nat->fully_random = true;
		else if (nft_accept(nft, "persistent"))
			nat->persistent = true;
		else if (nft_accept(nft, "netmap"))
			nat->netmap = true;
		else
			return;
	} while (nft_accept(nft, ","));
}

/* "[2001:db8::1]-[2001:db8::9]" */
static struct expr *nat_address(struct nft *nft)
{
	struct expr *expr = nft_expression(nft, TYPE_ADDRESS);

	return expr;
}

static const struct set *named_set(const struct nft *nft, const char *name)
{
	const struct ruleset *ruleset = nft->reader->ruleset;

	return nft->table < ruleset->table_count ? table_set(&ruleset->tables[nft->table], name) : NULL;
}

/* Does the map give an address and a port? */
static bool gives_both(const struct nft *nft, const struct expr *address)
{
	const struct expr *map = address && address->kind == EXPR_MAP ? address->pair.right : NULL;
	const struct set *set;

	if (!map)
		return address && address->kind == EXPR_CONCAT;
	if (map->kind == EXPR_SET)
		return map->set.count > 0 && map->set.elements[0].data &&
		       map->set.elements[0].data->kind == EXPR_CONCAT;
	set = map->kind == EXPR_SET_REF ? named_set(nft, map->text) : NULL;
	return set && set->data_count == 2;
}

static bool nat(struct nft *nft, struct target *target, enum nat_kind kind)
{
	struct nat nat = {.kind = kind};
	struct statement *statement;
	bool both = false;

	if (!nft_accept(nft, "ip"))
		nft_accept(nft, "ip6");
	if (nft_accept(nft, "addr")) {
		both = nft_accept(nft, ".") && nft_accept(nft, "port");
	} else if (nft_accept(nft, "prefix")) {
		nat.netmap = true;
	} else {
		nft_accept(nft, "interval");
	}
	if (nft_accept(nft, "to")) {
		if (nft_accept(nft, "prefix"))
			nat.netmap = true;
		if (!nft_is(nft_peek(nft), ":") && !(nat.address = nat_address(nft)))
			return false;
		if (nft_accept(nft, ":") && !(nat.port = nft_expression(nft, TYPE_PORT)))
			return false;
	}
	/* "redirect to 8080" is a port in old versions */
	if (kind == NAT_REDIRECT && nat.address && nat.address->kind == EXPR_NUMBER) {
		nat.address->type = TYPE_PORT;
		nat.port = nat.address;
		nat.address = NULL;
	}
	nat.address_is_both = nat.address && (both || gives_both(nft, nat.address));
	nat.netmap = nat.netmap || (nat.address && nat.address->kind == EXPR_PREFIX);
	nat_flags(nft, &nat);
	statement = add(nft, target, STATEMENT_NAT);
	statement->nat = nat;
	return true;
}

/* "queue num 0-3 bypass,fanout", "queue flags bypass to 0", "queue to jhash …" */
static bool queue(struct nft *nft, struct target *target)
{
	struct statement *statement = add(nft, target, STATEMENT_VERDICT);
	size_t first;

	statement->verdict.kind = VERDICT_QUEUE;
	statement->verdict.queue = "0";
	for (;;) {
		if (nft_accept(nft, "flags") || nft_accept(nft, ","))
			continue;
		if (nft_accept(nft, "bypass")) {
			statement->verdict.bypass = true;
		} else if (nft_accept(nft, "fanout")) {
			continue;
		} else if (nft_accept(nft, "num") || nft_accept(nft, "to")) {
			first = nft->at;
			if (!nft_expression(nft, TYPE_INTEGER))
				return false;
			statement->verdict.queue = nft_text_since(nft, first);
		} else {
			return true;
		}
	}
}

/* Takes words up to one that cannot belong to the statement, and keeps them as they are. */
static bool divert(struct nft *nft, struct target *target, const char *name)
{
	struct statement *statement = add(nft, target, STATEMENT_DIVERT);
	size_t first = nft->at;

	statement->action.name = name;
	if (strcmp(name, "flow") == 0) { /* "flow add @ft" */
		if (!(nft_accept(nft, "add") || nft_accept(nft, "offload")) || !nft_accept(nft, "@") || !nft_name(nft))
			return false;
	} else if (strcmp(name, "synproxy") == 0) {
		static const char *const words[] = {"mss", "wscale", "timestamp", "sack-perm", "name", NULL};

		while (accept_any(nft, words))
			if (nft_peek(nft)->kind == TOKEN_NUMBER || nft_peek(nft)->kind == TOKEN_STRING)
				nft_next(nft);
	} else { /* "tproxy ip to 127.0.0.1:80", "dup to 10.0.0.1 device eth0", "fwd ip to 10.0.0.1 device eth0" */
		if (!nft_accept(nft, "ip"))
			nft_accept(nft, "ip6");
		if (!nft_accept(nft, "to"))
			return false;
		if (!nft_is(nft_peek(nft), ":") && !nft_expression(nft, name[0] == 'f' ? TYPE_INTERFACE : TYPE_ADDRESS))
			return false;
		if (nft_accept(nft, ":") && !nft_expression(nft, TYPE_PORT))
			return false;
		if (nft_accept(nft, "device") && !nft_expression(nft, TYPE_INTERFACE))
			return false;
	}
	add_argument(nft, &statement->action.arguments, &statement->action.argument_count, "", false,
		     nft_text_since(nft, first));
	return true;
}

bool nft_inner_statements(struct nft *nft, const struct statement **ret, size_t *ret_count)
{
	struct statement *statements = (struct statement *)*ret;
	size_t count = *ret_count;
	struct target target = {&statements, &count};
	bool understood = true;

	while (understood) {
		if (nft_accept(nft, "counter"))
			understood = counter(nft, &target);
		else if (nft_accept(nft, "limit"))
			understood = limit(nft, &target);
		else if (nft_accept(nft, "quota"))
			understood = quota(nft, &target);
		else if (nft_is(nft_peek(nft), "ct") && nft_is(nft_peek_behind(nft, 1), "count")) {
			struct statement *statement = add_condition(nft, &target, "connlimit", CONDITION_RATE);
			uint64_t number;

			nft_skip(nft, 2);
			statement->condition.negated = nft_accept(nft, "over");
			understood = nft_accept_number(nft, &number);
		} else if (nft_accept(nft, "last")) {
			nft_accept(nft, "used");
			nft_next(nft);
		} else {
			break;
		}
	}
	*ret = statements;
	*ret_count = count;
	return understood;
}

/* "update @seen { ip saddr timeout 1m limit rate 1/second : 0x1 }" */
static bool set_update(struct nft *nft, struct target *target, enum set_update_op op)
{
	struct statement *statement;
	struct expr *key, *data = NULL;
	const struct statement *inner = NULL;
	size_t inner_count = 0;
	const char *set;

	if (!nft_accept(nft, "@") && op != SET_UPDATE_METER)
		return false;
	if (!(set = nft_name(nft)))
		return false;
	if (nft_accept(nft, "size"))
		nft_next(nft);
	if (!nft_accept(nft, "{") || !(key = nft_selector(nft)))
		return false;
	while (nft_accept(nft, "timeout") || nft_accept(nft, "expires"))
		nft_next(nft);
	if (!nft_inner_statements(nft, &inner, &inner_count))
		return false;
	if (nft_accept(nft, ":") && !(data = nft_expression(nft, TYPE_ADDRESS)))
		return false;
	if (!nft_accept(nft, "}"))
		return false;
	if (!nft_inner_statements(nft, &inner, &inner_count))
		return false;
	statement = add(nft, target, STATEMENT_SET_UPDATE);
	statement->update.op = op;
	statement->update.set = set;
	statement->update.key = key;
	statement->update.data = data;
	statement->update.statements = inner;
	statement->update.statement_count = inner_count;
	return true;
}

/* What iptables-nft left in nftables' own listing. The options are not shown: iptables-save has them. */
static bool xt(struct nft *nft, struct target *target)
{
	bool match = nft_accept(nft, "match");
	const char *name;
	struct statement *statement;

	if (!match && !nft_accept(nft, "target") && !nft_accept(nft, "watcher"))
		return false;
	name = nft_name(nft);
	if (!name)
		return false;
	if (match) {
		add_condition(nft, target, name, CONDITION_UNKNOWN);
		rule_gap(nft->reader->pool, nft->rule, "match %s", name);
		return true;
	}
	statement = add(nft, target, STATEMENT_UNKNOWN);
	statement->text = arena_printf(nft->arena, "xt target %s", name);
	rule_gap(nft->reader->pool, nft->rule, "target %s", name);
	return true;
}

static enum match_op match_operator(struct nft *nft, const struct expr *left)
{
	static const struct {
		const char *word;
		enum match_op op;
	} words[] = {{"==", MATCH_EQ}, {"eq", MATCH_EQ}, {"!=", MATCH_NEQ},  {"ne", MATCH_NEQ}, {"<=", MATCH_LE},
		     {"le", MATCH_LE}, {">=", MATCH_GE}, {"ge", MATCH_GE},   {"<", MATCH_LT},	{"lt", MATCH_LT},
		     {">", MATCH_GT},  {"gt", MATCH_GT}, {"!", MATCH_NO_BIT}};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (nft_accept(nft, words[i].word))
			return words[i].op;
	/* `ct state new` asks for bits of the state; a set, or what is masked already, is compared as a whole. */
	return left->kind == EXPR_FIELD && datatype_is_bits(left->type) ? MATCH_ANY_BIT : MATCH_EQ;
}

/* "tcp flags syn / fin,syn,rst,ack": the value, then the bits that count. */
static bool take_mask(struct nft *nft, struct expr **left, enum match_op *op)
{
	struct expr *mask;

	if (!datatype_is_bits((*left)->type) || !nft_accept(nft, "/"))
		return true;
	mask = nft_right_side(nft, *left);
	if (!mask || mask->kind != EXPR_NUMBER)
		return false;
	*left = expr_binary(nft->arena, BINARY_AND, *left, mask);
	*op = *op == MATCH_ANY_BIT ? MATCH_EQ : *op == MATCH_NO_BIT ? MATCH_NEQ : *op;
	return true;
}

static bool add_match(struct nft *nft, struct target *target, struct expr *left)
{
	enum match_op op = match_operator(nft, left);
	struct expr *right = nft_right_side(nft, left);
	struct statement *statement;

	if (!right || !take_mask(nft, &left, &op))
		return false;
	if (op == MATCH_ANY_BIT && right->kind != EXPR_NUMBER)
		op = MATCH_EQ;
	statement = add(nft, target, STATEMENT_MATCH);
	statement->match.left = left;
	statement->match.op = op;
	statement->match.right = right;
	return true;
}

static bool add_verdict_map(struct nft *nft, struct target *target, struct expr *key)
{
	static const enum datatype verdict = TYPE_VERDICT;
	enum datatype buffer[16];
	const enum datatype *types;
	size_t count = nft_types(key, &types, buffer);
	struct statement *statement;
	struct expr *map;

	if (nft_accept(nft, "@")) {
		const char *name = nft_name(nft);

		map = name ? expr_text(nft->arena, EXPR_SET_REF, TYPE_NONE, name) : NULL;
	} else {
		map = nft_accept(nft, "{") ? nft_set(nft, types, count, &verdict, 1) : NULL;
	}
	if (!map)
		return false;
	statement = add(nft, target, STATEMENT_VERDICT_MAP);
	statement->verdict_map.key = key;
	statement->verdict_map.map = map;
	return true;
}

/* A statement that begins with a field: a match, a lookup of a verdict, or an assignment. */
static bool field_statement(struct nft *nft, struct target *target)
{
	struct expr *left = nft_selector(nft), *value;
	struct statement *statement;

	if (!left)
		return false;
	if (nft_accept(nft, "vmap"))
		return add_verdict_map(nft, target, left);
	if (!nft_is(nft_peek(nft), "set"))
		return add_match(nft, target, left);
	nft->at++;
	value = nft_expression(nft, left->type);
	if (!value)
		return false;
	while (datatype_is_bits(left->type) && nft_accept(nft, ",")) {
		struct expr *more = nft_expression(nft, left->type);

		if (!more || value->kind != EXPR_NUMBER || more->kind != EXPR_NUMBER)
			return false;
		value = expr_number(nft->arena, left->type, value->number | more->number);
	}
	statement = add(nft, target, STATEMENT_ASSIGN);
	statement->assign.field = left;
	statement->assign.value = value;
	return true;
}

/* "ct helper set \"ftp\"", "ct timeout set …", "ct expectation set …", "ct count over 3", "ct zone set …" */
static bool ct_statement(struct nft *nft, struct target *target)
{
	const struct token *second = nft_peek_behind(nft, 1), *third = nft_peek_behind(nft, 2);
	uint64_t number;
	size_t first;

	if (nft_is(second, "count")) {
		struct statement *statement = add_condition(nft, target, "connlimit", CONDITION_RATE);

		nft_skip(nft, 2);
		statement->condition.negated = nft_accept(nft, "over");
		first = nft->at;
		if (!nft_accept_number(nft, &number))
			return false;
		add_argument(nft, &statement->condition.arguments, &statement->condition.argument_count, "count", false,
			     nft_text_since(nft, first));
		return true;
	}
	if ((nft_is(second, "helper") || nft_is(second, "timeout") || nft_is(second, "expectation") ||
	     nft_is(second, "event")) &&
	    nft_is(third, "set")) {
		const char *name = arena_printf(nft->arena, "ct %.*s", (int)second->text.length, second->text.at);

		nft_skip(nft, 3);
		first = nft->at;
		do
			nft_next(nft);
		while (nft_accept(nft, ","));
		add_effect(nft, target, name, nft_text_since(nft, first));
		return true;
	}
	return field_statement(nft, target);
}

static bool take_statement(struct nft *nft, struct target *target)
{
	static const char *const diversions[] = {"tproxy", "dup", "fwd", "flow", "synproxy"};
	static const char *const plain[] = {"notrack", "secmark"};
	struct verdict verdict;

	if (nft_is(nft_peek(nft), "queue")) {
		nft->at++;
		return queue(nft, target);
	}
	if (nft_verdict(nft, &verdict)) {
		add(nft, target, STATEMENT_VERDICT)->verdict = verdict;
		return true;
	}
	for (size_t i = 0; i < sizeof(diversions) / sizeof(*diversions); i++)
		if (nft_accept(nft, diversions[i]))
			return divert(nft, target, diversions[i]);
	if (nft_accept(nft, plain[0])) {
		add(nft, target, STATEMENT_NOTRACK);
		return true;
	}
	if (nft_accept(nft, "counter"))
		return counter(nft, target);
	if (nft_accept(nft, "limit"))
		return limit(nft, target);
	if (nft_accept(nft, "quota"))
		return quota(nft, target);
	if (nft_accept(nft, "log"))
		return log_statement(nft, target);
	if (nft_accept(nft, "reject"))
		return reject(nft, target);
	if (nft_accept(nft, "snat"))
		return nat(nft, target, NAT_SOURCE);
	if (nft_accept(nft, "dnat"))
		return nat(nft, target, NAT_DESTINATION);
	if (nft_accept(nft, "masquerade"))
		return nat(nft, target, NAT_MASQUERADE);
	if (nft_accept(nft, "redirect"))
		return nat(nft, target, NAT_REDIRECT);
	if (nft_accept(nft, "add"))
		return set_update(nft, target, SET_UPDATE_ADD);
	if (nft_accept(nft, "update"))
		return set_update(nft, target, SET_UPDATE_UPDATE);
	if (nft_accept(nft, "delete"))
		return set_update(nft, target, SET_UPDATE_DELETE);
	if (nft_accept(nft, "meter"))
		return set_update(nft, target, SET_UPDATE_METER);
	if (nft_accept(nft, "xt"))
		return xt(nft, target);
	if (nft_accept(nft, "last")) {
		if (nft_accept(nft, "used"))
			nft_next(nft);
		add_effect(nft, target, "last", NULL);
		return true;
	}
	if (nft_is(nft_peek(nft), "reset") &&
	    nft_is(nft_peek_behind(nft, 1), "tcp")) { /* "reset tcp option fastopen" */
		nft_skip(nft, 4);
		add_effect(nft, target, "reset", NULL);
		return true;
	}
	return nft_is(nft_peek(nft), "ct") ? ct_statement(nft, target) : field_statement(nft, target);
}

/* Words that begin a statement and can be nothing else. */
static bool begins_surely(const struct token *token)
{
	static const char *const words[] = {"accept",	"drop",	   "reject",  "return", "jump",	      "goto",
					    "continue", "counter", "log",     "queue",	"masquerade", "redirect",
					    "snat",	"dnat",	   "comment", "notrack"};

	for (size_t i = 0; token->kind == TOKEN_WORD && i < sizeof(words) / sizeof(*words); i++)
		if (span_is(token->text, words[i]))
			return true;
	return false;
}

/* Gives up on the statement that began at `first`: keeps its text up to where one surely begins, outside of braces. */
static void give_up(struct nft *nft, struct target *target, size_t first)
{
	unsigned braces = 0;
	const char *text;

	nft->at = first;
	for (;;) {
		const struct token *token = nft_peek(nft);

		if (token->kind == TOKEN_END || (braces == 0 && nft_ends_statement(token)))
			break;
		if (braces == 0 && nft->at > first && begins_surely(token))
			break;
		if (nft_is(token, "{"))
			braces++;
		if (nft_is(token, "}"))
			braces--;
		nft->at++;
	}
	if (nft->at == first && nft_peek(nft)->kind != TOKEN_END)
		nft->at++;
	text = nft_text_since(nft, first);
	add(nft, target, STATEMENT_UNKNOWN)->text = text;
	rule_gap(nft->reader->pool, nft->rule, "statement %.60s", text);
}

void nft_statements(struct nft *nft, struct rule *rule)
{
	struct target target = {&rule->statements, &rule->statement_count};

	nft->rule = rule;
	while (!nft_ends_statement(nft_peek(nft))) {
		size_t first = nft->at, before = rule->statement_count;

		if (nft_accept(nft, "comment")) {
			rule->comment = nft_name(nft);
			continue;
		}
		nft->depth = 0;
		if (take_statement(nft, &target))
			continue;
		rule->statement_count = before; /* what was added of it does not count */
		give_up(nft, &target, first);
	}
	nft->rule = NULL;
}
