/*
 * `nft list ruleset`: tables, chains, sets, maps, flowtables and other objects. Also files for nft -f, as far as they
 * add things ("add rule ip filter input tcp dport 22 accept"). A block that is not closed at the end was cut off.
 */
#include "facts/nft.h"
#include "facts/parse.h"

#include <stdlib.h>
#include <string.h>

struct ruleset_parser {
	struct nft nft;
	bool script;   /* commands were seen: what else there is is not known */
	size_t blocks; /* tables with braces */
};

struct origin nft_token_origin(const struct nft *nft, const struct token *token)
{
	const struct reader *reader = nft->reader;

	return (struct origin){reader->source, reader->json ? 0 : token->line, reader->json ? token->line : 0};
}

static struct table *current_table(struct nft *nft)
{
	return &nft->reader->ruleset->tables[nft->table];
}

/* To the end of the line, over blocks; gives back what was skipped. */
static const char *skip_statement(struct nft *nft)
{
	size_t first = nft->at;
	unsigned braces = 0;

	while (nft_peek(nft)->kind != TOKEN_END && (braces > 0 || !nft_ends_statement(nft_peek(nft)))) {
		braces += nft_is(nft_peek(nft), "{");
		braces -= braces > 0 && nft_is(nft_peek(nft), "}");
		nft->at++;
	}
	return nft_text_since(nft, first);
}

void nft_ignore(struct nft *nft)
{
	const struct token *token = nft_peek(nft);
	const char *text = skip_statement(nft);

	nft->reader->line = token->line;
	reader_ignored(nft->reader, span_of(text));
	if (nft->at < nft->token_count && nft_is(nft_peek(nft), ";"))
		nft->at++;
}

bool nft_at_end(struct nft *nft)
{
	return nft_peek(nft)->kind == TOKEN_END;
}

/* "# handle 12" behind what was just read. */
static struct number take_handle(struct nft *nft)
{
	struct span rest, word;
	uint64_t number;

	if (nft_peek(nft)->kind != TOKEN_COMMENT)
		return (struct number){};
	rest = span_skip(nft_peek(nft)->text, 1);
	if (!span_word(&rest, &word) || !span_is(word, "handle") || !span_word(&rest, &word) ||
	    !span_number(word, &number))
		return (struct number){};
	nft->at++;
	return number_of(number);
}

void nft_skip_separators(struct nft *nft)
{
	while (nft_peek(nft)->kind == TOKEN_NEWLINE || nft_peek(nft)->kind == TOKEN_COMMENT ||
	       nft_is(nft_peek(nft), ";"))
		nft->at++;
}

void nft_cut_off(struct nft *nft, const char *what, const char *name)
{
	struct capture *capture = nft->reader->capture;

	if (!capture->cut_off) {
		nft->reader->line = nft_peek(nft)->line;
		reader_note(nft->reader, "ends inside %s %s: cut off?", what, name);
	}
	capture->cut_off = true;
}

/* nft(8), "STANDARD PRIORITY NAMES AND HOOK COMPATIBILITY" */
static bool priority_of(enum family family, struct span name, int32_t *ret)
{
	static const struct {
		const char *name;
		int32_t value, bridge;
	} names[] = {{"raw", -300, INT32_MIN}, {"mangle", -150, INT32_MIN}, {"dstnat", -100, -300},
		     {"filter", 0, -200},      {"security", 50, INT32_MIN}, {"out", INT32_MIN, 100},
		     {"srcnat", 100, 300}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!span_is(name, names[i].name))
			continue;
		*ret = family == FAMILY_BRIDGE ? names[i].bridge : names[i].value;
		return *ret != INT32_MIN;
	}
	return false;
}

/* "filter", "filter + 10", "-20" */
static bool take_priority(struct nft *nft, enum family family, int32_t *ret)
{
	int64_t sign = 1;
	uint64_t number;

	*ret = 0;
	if (nft_peek(nft)->kind == TOKEN_WORD) {
		struct span word = nft_peek(nft)->text;
		size_t minus = span_find_char(word, '-');
		bool known = priority_of(family, word, ret);

		nft->at++;
		if (!known && minus != SIZE_MAX &&
		    priority_of(family, span_first(word, minus), ret) && /* "filter-10" */
		    span_number(span_skip(word, minus + 1), &number) && number < INT32_MAX) {
			*ret -= (int32_t)number;
			return true;
		}
		if (!known)
			return false;
		if (!nft_is(nft_peek(nft), "+") && !nft_is(nft_peek(nft), "-"))
			return true;
	}
	if (nft_accept(nft, "-"))
		sign = -1;
	else
		nft_accept(nft, "+");
	if (!nft_accept_number(nft, &number) || number > INT32_MAX)
		return false;
	*ret = (int32_t)(*ret + sign * (int64_t)number);
	return true;
}

/* "{ eth0, \"eth1\" }", "eth0" */
static bool take_devices(struct nft *nft, const char ***devices, size_t *count)
{
	bool braces;

	nft_accept(nft, "=");
	braces = nft_accept(nft, "{");
	do {
		const char *name;

		nft_skip_newlines(nft);
		if (braces && nft_is(nft_peek(nft), "}"))
			break;
		name = nft_name(nft);
		if (!name)
			return false;
		texts_push(nft->arena, devices, count, name);
		nft_skip_newlines(nft);
	} while (braces && nft_accept(nft, ","));
	return !braces || nft_accept(nft, "}");
}

/* "type filter hook forward priority filter; policy drop;" */
static bool take_chain_type(struct nft *nft, enum family family, struct chain *chain)
{
	static const char *const types[] = {NULL, "filter", "nat", "route"};

	for (size_t i = 1; i < sizeof(types) / sizeof(*types); i++)
		if (nft_accept(nft, types[i]))
			chain->type = (enum chain_type)i;
	if (!chain->type || !nft_accept(nft, "hook"))
		return false;
	for (int i = HOOK_INGRESS; i <= HOOK_POSTROUTING; i++)
		if (nft_accept(nft, hook_name((enum hook)i)))
			chain->hook = (enum hook)i;
	if (!chain->hook)
		return false;
	if ((nft_accept(nft, "device") || nft_accept(nft, "devices")) &&
	    !take_devices(nft, &chain->devices, &chain->device_count))
		return false;
	chain->policy = VERDICT_ACCEPT; /* what the kernel takes where none is said */
	return nft_accept(nft, "priority") && take_priority(nft, family, &chain->priority);
}

static bool take_chain_property(struct nft *nft, enum family family, struct chain *chain)
{
	struct verdict policy;

	if (nft_is(nft_peek(nft), "type") && chain->rule_count == 0) {
		nft->at++;
		return take_chain_type(nft, family, chain);
	}
	if (nft_accept(nft, "policy")) {
		if (!nft_verdict(nft, &policy))
			return false;
		chain->policy = policy.kind;
		return true;
	}
	if (nft_is(nft_peek(nft), "comment") && nft_peek_behind(nft, 1)->kind == TOKEN_STRING &&
	    chain->rule_count == 0) {
		nft->at++;
		chain->comment = nft_name(nft);
		return true;
	}
	if (nft_is(nft_peek(nft), "flags") && nft_is(nft_peek_behind(nft, 1), "offload")) {
		nft_skip(nft, 2);
		return true;
	}
	return false;
}

static void take_rule(struct nft *nft, struct chain *chain, uint32_t before)
{
	const struct token *token = nft_peek(nft);
	size_t first = nft->at;
	struct rule *rule;

	nft->reader->line = token->line;
	rule = chain_add_rule(nft->reader, chain, before);
	rule->origin = nft_token_origin(nft, token);
	nft_statements(nft, rule);
	rule->text = nft_text_since(nft, first);
	rule->handle = take_handle(nft);
	nft->reader->capture->rules++;
	nft->reader->capture->rules_partly += rule->understood == UNDERSTOOD_PARTLY;
	nft->reader->capture->rules_not += rule->understood == UNDERSTOOD_NOT;
}

static void take_chain_body(struct nft *nft, struct chain *chain, enum family family)
{
	chain->whole = TRUTH_YES;
	for (;;) {
		size_t first;

		nft_skip_separators(nft);
		if (nft_accept(nft, "}"))
			return;
		if (nft_at_end(nft)) {
			chain->whole = TRUTH_NO;
			nft_cut_off(nft, "chain", chain->name);
			return;
		}
		first = nft->at;
		if (take_chain_property(nft, family, chain))
			continue;
		nft->at = first;
		take_rule(nft, chain, 0);
		if (nft->at == first)
			nft->at++;
	}
}

static bool take_set(struct nft *nft, bool map)
{
	const char *name = nft_name(nft);
	struct set *set;
	struct number handle;

	if (!name || !nft_accept(nft, "{"))
		return false;
	handle = take_handle(nft);
	set = nft_add_set(nft, name, map);
	if (handle.known)
		set->handle = handle;
	nft_set_body(nft, set);
	return true;
}

/* "counter", "ct helper": takes the words, or NULL where it is another thing. */
static const char *take_object_kind(struct nft *nft)
{
	static const char *const kinds[] = {"flowtable", "counter", "quota", "limit", "secmark", "synproxy"};
	const struct token *what;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (nft_accept(nft, kinds[i]))
			return kinds[i];
	what = nft_peek_behind(nft, 1);
	if (!nft_is(nft_peek(nft), "ct") || what->kind != TOKEN_WORD)
		return NULL;
	nft_skip(nft, 2);
	return arena_printf(nft->arena, "ct %.*s", (int)what->text.length, what->text.at);
}

/* Counters, quotas, flowtables and the like are kept as they are. */
static bool take_object(struct nft *nft, const char *kind)
{
	struct table *table = current_table(nft);
	struct origin origin = nft_token_origin(nft, nft_peek(nft));
	size_t first = nft->at, end;
	const char *name = nft_name(nft);
	struct object *object;

	if (!name)
		return false;
	object = arena_push(nft->arena, table->objects, table->object_count);
	*object = (struct object){.kind = kind, .name = name, .origin = origin};
	object->text = skip_statement(nft);
	end = nft->at;
	for (nft->at = first; nft->at < end; nft->at++) {
		if (nft_is(nft_peek(nft), "devices")) {
			nft->at++;
			take_devices(nft, &object->devices, &object->device_count);
			break;
		}
	}
	nft->at = end;
	return true;
}

static struct chain *use_chain(struct nft *nft, const char *name)
{
	struct table *table = current_table(nft);
	size_t before = table->chain_count;
	struct chain *chain = table_add_chain(nft->reader, table, name);

	if (table->chain_count > before)
		chain->origin = nft_token_origin(nft, nft_peek(nft));
	return chain;
}

static bool take_chain(struct nft *nft)
{
	const char *name = nft_name(nft);
	struct chain *chain;

	if (!name || !nft_accept(nft, "{"))
		return false;
	chain = use_chain(nft, name);
	take_handle(nft);
	take_chain_body(nft, chain, current_table(nft)->family);
	return true;
}

/* One thing inside a table. */
static bool take_member(struct nft *nft)
{
	const char *kind;

	if (nft_accept(nft, "chain"))
		return take_chain(nft);
	if (nft_accept(nft, "set") || nft_accept(nft, "meter"))
		return take_set(nft, false);
	if (nft_accept(nft, "map"))
		return take_set(nft, true);
	if (nft_accept(nft, "comment")) {
		current_table(nft)->comment = nft_name(nft);
		return true;
	}
	if (nft_accept(nft, "flags")) {
		do
			current_table(nft)->dormant |= nft_is(nft_next(nft), "dormant");
		while (nft_accept(nft, ","));
		return true;
	}
	kind = take_object_kind(nft);
	return kind && take_object(nft, kind);
}

static void take_table_body(struct nft *nft)
{
	const char *name = current_table(nft)->name;

	current_table(nft)->whole = TRUTH_YES;
	current_table(nft)->handle = take_handle(nft);
	for (;;) {
		size_t first;

		nft_skip_separators(nft);
		if (nft_accept(nft, "}"))
			return;
		if (nft_at_end(nft)) {
			current_table(nft)->whole = TRUTH_NO;
			nft_cut_off(nft, "table", name);
			return;
		}
		first = nft->at;
		if (take_member(nft))
			continue;
		nft->at = first;
		nft_ignore(nft);
		if (nft->at == first)
			nft->at++;
	}
}

/* "inet filter", "filter" (of family ip) */
static bool take_table_name(struct nft *nft)
{
	struct ruleset *ruleset = nft->reader->ruleset;
	const struct token *token = nft_peek(nft);
	enum family family = token->kind == TOKEN_WORD ? family_find(token->text.at, token->text.length) : FAMILY_NONE;
	const char *name;
	struct table *table;

	if (family && nft_peek_behind(nft, 1)->kind != TOKEN_WORD && nft_peek_behind(nft, 1)->kind != TOKEN_STRING)
		family = FAMILY_NONE; /* a table that is called "ip" */
	if (family)
		nft->at++;
	name = nft_name(nft);
	if (!name)
		return false;
	nft->reader->line = token->line;
	table = ruleset_add_table(nft->reader, ruleset, BACKEND_NFTABLES, family ? family : FAMILY_IP, name);
	nft->table = (size_t)(table - ruleset->tables);
	return true;
}

/* "rule inet filter input [position 3|handle 3|index 3] tcp dport 22 accept" of a script. */
static bool take_rule_command(struct nft *nft, bool insert)
{
	const char *name;
	uint64_t number;

	nft_accept(nft, "rule");
	if (!take_table_name(nft) || !(name = nft_name(nft)))
		return false;
	if (nft_accept(nft, "position") || nft_accept(nft, "handle") || nft_accept(nft, "index"))
		nft_accept_number(nft, &number);
	if (nft_ends_statement(nft_peek(nft)))
		return false;
	take_rule(nft, use_chain(nft, name), insert ? 1 : 0);
	return true;
}

static bool take_chain_command(struct nft *nft)
{
	const char *name;
	struct chain *chain;

	if (!take_table_name(nft) || !(name = nft_name(nft)))
		return false;
	chain = use_chain(nft, name);
	if (nft_accept(nft, "{")) {
		take_chain_body(nft, chain, current_table(nft)->family);
		chain->whole = TRUTH_UNKNOWN;
	}
	return true;
}

static bool take_set_command(struct nft *nft, bool map)
{
	const char *name;

	if (!take_table_name(nft) || !(name = nft_name(nft)))
		return false;
	if (!nft_accept(nft, "{"))
		return nft_ends_statement(nft_peek(nft));
	nft_set_body(nft, nft_add_set(nft, name, map));
	return true;
}

static bool take_element_command(struct nft *nft)
{
	const char *name;
	struct set *set;
	struct expr *elements;
	unsigned depth = nft->depth;
	bool whole;

	if (!take_table_name(nft) || !(name = nft_name(nft)) || !(set = table_set(current_table(nft), name)) ||
	    !nft_accept(nft, "{"))
		return false;
	elements = expr_set(nft->arena, TYPE_NONE);
	elements->set.elements = set->elements;
	elements->set.count = set->element_count;
	whole = set->key_count > 0 && nft_elements(nft, elements, set->key, set->key_count, set->data, set->data_count);
	nft->depth = depth;
	set->elements = elements->set.elements;
	set->element_count = elements->set.count;
	return whole;
}

static bool take_object_command(struct nft *nft)
{
	const char *kind = take_object_kind(nft);

	return kind && take_table_name(nft) && take_object(nft, kind);
}

/* The words in front of a command: "nft -ae insert". */
static void skip_program(struct nft *nft)
{
	if (nft_accept(nft, "sudo"))
		nft_skip_newlines(nft);
	if (!nft_accept(nft, "nft"))
		return;
	while (nft_accept(nft, "-"))
		nft_name(nft); /* -ae */
}

static bool take_command(struct ruleset_parser *parser)
{
	struct nft *nft = &parser->nft;
	bool insert;

	skip_program(nft);
	if (nft_is(nft_peek(nft), "list")) { /* changes nothing */
		parser->script = true;
		skip_statement(nft);
		return true;
	}
	insert = nft_is(nft_peek(nft), "insert");
	if (!insert && !nft_is(nft_peek(nft), "add") && !nft_is(nft_peek(nft), "create"))
		return false;
	parser->script = true;
	nft->at++;
	if (nft_accept(nft, "table")) {
		if (!take_table_name(nft))
			return false;
		if (nft_accept(nft, "{"))
			take_table_body(nft);
		return true;
	}
	if (nft_accept(nft, "chain"))
		return take_chain_command(nft);
	if (nft_accept(nft, "set"))
		return take_set_command(nft, false);
	if (nft_accept(nft, "map"))
		return take_set_command(nft, true);
	if (nft_accept(nft, "element"))
		return take_element_command(nft);
	if (nft_is(nft_peek(nft), "rule"))
		return take_rule_command(nft, insert);
	return take_object_command(nft);
}

/* "# Warning: table ip filter is managed by iptables-nft, do not touch!" */
static void take_remark(struct nft *nft)
{
	const struct token *token = nft_next(nft);

	nft->reader->line = token->line;
	if (span_find(token->text, "XT target") != SIZE_MAX ||
	    span_find(token->text, "managed by iptables") != SIZE_MAX)
		reader_note(nft->reader, "iptables keeps rules in nftables here: iptables-save shows them in full");
}

static void take_top(struct ruleset_parser *parser)
{
	struct nft *nft = &parser->nft;
	size_t first = nft->at;

	if (nft_peek(nft)->kind == TOKEN_COMMENT) {
		take_remark(nft);
		return;
	}
	if (nft_accept(nft, "table")) {
		if (take_table_name(nft) && nft_accept(nft, "{")) {
			parser->blocks++;
			take_table_body(nft);
			return;
		}
	} else if (nft_accept(nft, "flush") || nft_accept(nft, "delete") || nft_accept(nft, "define") ||
		   nft_accept(nft, "include")) {
		parser->script = true;
		nft->at = first;
	} else if (take_command(parser)) {
		return;
	}
	nft->at = first;
	nft_ignore(nft);
	if (nft->at == first)
		nft->at++;
}

static void cover(struct ruleset_parser *parser, const struct asked *asked)
{
	struct reader *reader = parser->nft.reader;
	struct ruleset *ruleset = reader->ruleset;

	if (parser->script && !asked->listing)
		return;
	if (!reader->capture->cut_off && !asked->table) {
		ruleset_cover(reader, ruleset, BACKEND_NFTABLES, asked->family, NULL, NULL);
		return;
	}
	for (size_t i = 0; i < ruleset->table_count; i++)
		if (ruleset->tables[i].whole == TRUTH_YES)
			ruleset_cover(reader, ruleset, BACKEND_NFTABLES, ruleset->tables[i].family,
				      ruleset->tables[i].name, NULL);
}

void parse_nft(struct reader *reader, const struct asked *asked)
{
	struct ruleset_parser parser = {.nft = {.reader = reader, .arena = reader->pool->arena, .table = SIZE_MAX}};
	struct nft *nft = &parser.nft;

	nft_lex(nft);
	while (!nft_at_end(nft)) {
		if (nft_peek(nft)->kind == TOKEN_NEWLINE || nft_is(nft_peek(nft), ";"))
			nft->at++;
		else
			take_top(&parser);
	}
	reader->line = nft_peek(nft)->line;
	cover(&parser, asked);
	reader->at = reader->end;
	free(nft->tokens);
}
