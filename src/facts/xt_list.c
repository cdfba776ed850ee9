/*
 * `iptables -L`, the listing for people. Each line is put back into the words that iptables-save would have printed, as
 * far as it shows them, and these are read as a rule. Columns are found by what stands in them, not by where they
 * stand, since white space is often lost:
 *
 *   num   pkts bytes target     prot opt in     out     source               destination
 *   4       40  5530 ACCEPT     all  --  *      virbr0  0.0.0.0/0            192.168.124.0/24     ctstate
 * RELATED,ESTABLISHED
 *
 * Without -v there are no interfaces in it: then no rule is known to match, and each says so.
 */
#include "facts/parse.h"
#include "facts/xt.h"

#include <stdlib.h>
#include <string.h>

struct list {
	struct reader *reader;
	const struct asked *asked;
	struct xt_scratch scratch;
	struct xt_line line; /* the rule being read */
	enum family family;
	enum backend backend;
	size_t table, chain;		    /* indices; SIZE_MAX: none */
	bool numbers, counters, interfaces; /* columns */
	bool incompatible;		    /* the program said that nft would show more */
};

static bool is_opt(struct span word)
{
	return span_is(word, "--") || span_is(word, "-f") || span_is(word, "!f") || span_is(word, "-");
}

static bool is_address(struct span word)
{
	struct prefix prefix;

	if (word.length > 1 && word.at[0] == '!')
		word = span_skip(word, 1);
	return span_is(word, "anywhere") || span_is(word, "localhost") || span_prefix(word, &prefix) ||
	       span_find_char(word, '/') != SIZE_MAX;
}

struct columns {
	struct span target, protocol, option, in, out, source, destination;
	struct number packets, bytes;
	struct span rest;
};

/* How many words stand between the counters and the source. SIZE_MAX: it cannot be seen. */
static size_t words_before_source(struct span rest)
{
	struct span word, next = {};
	size_t count = 0;

	if (!span_word(&rest, &word))
		return SIZE_MAX;
	for (; span_word(&rest, &next); word = next, count++)
		if (is_address(word) && is_address(next))
			return count;
	return SIZE_MAX;
}

static bool take_counters(struct list *list, struct span *rest, struct columns *ret)
{
	struct span word;
	uint64_t number;

	if (list->numbers && !(span_word(rest, &word) && span_number(word, &number)))
		return false;
	if (!list->counters)
		return true;
	if (!span_word(rest, &word) || !span_counter(word, &number))
		return false;
	ret->packets = number_of(number);
	if (!span_word(rest, &word) || !span_counter(word, &number))
		return false;
	ret->bytes = number_of(number);
	return true;
}

/* Which words are which. The target may be missing (a rule that only counts), and old ip6tables print nothing for opt.
 */
static bool take_columns(struct list *list, struct span line, struct columns *ret)
{
	struct span rest = line, words[4] = {}, after;
	bool has_target;
	size_t count = 0;

	*ret = (struct columns){};
	if (!take_counters(list, &rest, ret))
		return false;
	after = rest;
	while (count < 4 && span_word(&after, &words[count]))
		count++;
	if (count < 3)
		return false;
	if (is_opt(words[1]) && !is_opt(words[2])) {
		has_target = false;
	} else if (is_opt(words[2])) {
		has_target = true;
	} else {
		size_t before = words_before_source(rest), least = list->interfaces ? 3 : 1;

		has_target = before == SIZE_MAX || before > least;
	}
	if (has_target)
		span_word(&rest, &ret->target);
	span_word(&rest, &ret->protocol);
	after = rest;
	if (span_word(&after, &words[0]) && is_opt(words[0])) {
		ret->option = words[0];
		rest = after;
	}
	if (list->interfaces && !(span_word(&rest, &ret->in) && span_word(&rest, &ret->out)))
		return false;
	if (!span_word(&rest, &ret->source) || !span_word(&rest, &ret->destination))
		return false;
	ret->rest = rest;
	return true;
}

static void push_address(struct list *list, const char *option, struct span word)
{
	if (span_is(word, "anywhere"))
		return;
	word = xt_line_strip_not(&list->line, word);
	if (span_is(word, "localhost")) /* without -n: what every /etc/hosts and /etc/networks say */
		word = span_of("127.0.0.1");
	else if (span_is(word, "loopback/8"))
		word = span_of("127.0.0.0/8");
	xt_line_push_text(&list->line, option);
	xt_line_push(&list->line, word);
}

static void push_interface(struct list *list, const char *option, struct span word)
{
	if (span_is(word, "*") || span_is(word, "any"))
		return;
	word = xt_line_strip_not(&list->line, word);
	xt_line_push_text(&list->line, option);
	xt_line_push(&list->line, word);
}

static void push_columns(struct list *list, const struct columns *columns)
{
	struct span protocol = columns->protocol;

	push_address(list, "-s", columns->source);
	push_address(list, "-d", columns->destination);
	if (list->interfaces) {
		push_interface(list, "-i", columns->in);
		push_interface(list, "-o", columns->out);
	}
	if (!span_is(protocol, "all") && !span_is(protocol, "0")) {
		protocol = xt_line_strip_not(&list->line, protocol);
		xt_line_push_text(&list->line, "-p");
		xt_line_push(&list->line, protocol);
	}
	if (span_is(columns->option, "-f") || span_is(columns->option, "!f")) {
		if (columns->option.at[0] == '!')
			xt_line_push_text(&list->line, "!");
		xt_line_push_text(&list->line, "-f");
	}
}

/* Nobody can say whether the rule matches: the listing does not show the interfaces. */
static void add_lack(struct reader *reader, struct rule *rule)
{
	struct statement *statement = rule_add(reader->pool->arena, rule, STATEMENT_CONDITION);

	statement->condition.name = "interfaces";
	statement->condition.reason = CONDITION_LACKING;
	rule_gap(reader->pool, rule, "interfaces: iptables -L without -v does not show them");
}

/* Does the text end in the middle of this line? */
static bool ends_here(const struct reader *reader)
{
	return reader->at == reader->end && reader->at[-1] != '\n';
}

static void read_rule(struct list *list, const struct columns *columns, struct rule *rule)
{
	struct reader *reader = list->reader;
	struct xt_build build = {.reader = reader, .arena = reader->pool->arena, .family = list->family, .rule = rule};
	bool to_goto;

	rule->packets = columns->packets;
	rule->bytes = columns->bytes;
	list->scratch.word_count = list->line.target_word_count = 0;
	list->line.match = NULL;
	list->line.target = columns->target;
	push_columns(list, columns);
	xt_line_details(&list->line, columns->rest, &to_goto);
	if (columns->target.length) {
		xt_line_push_text(&list->line, to_goto ? "-g" : "-j");
		xt_line_push(&list->line, columns->target);
		for (size_t i = 0; i < list->line.target_word_count; i++)
			xt_line_push(&list->line, list->line.target_words[i]);
	}
	if (!list->interfaces)
		add_lack(reader, rule);
	xt_rule(&build, &list->scratch, 0, NULL);
}

static void take_rule(struct list *list, struct span line)
{
	struct reader *reader = list->reader;
	struct columns columns;
	bool understood = take_columns(list, line, &columns);
	struct chain *chain = &reader->ruleset->tables[list->table].chains[list->chain];
	struct rule *rule;

	if (!understood && ends_here(reader)) {
		reader->capture->cut_off = true;
		chain->whole = TRUTH_NO;
		reader_note(reader, "ends inside chain %s: cut off?", chain->name);
		return;
	}
	rule = chain_add_rule(reader, chain, 0);
	rule->text = arena_strndup(reader->pool->arena, line.at, line.length);
	if (understood) {
		read_rule(list, &columns, rule);
		return;
	}
	rule_add(reader->pool->arena, rule, STATEMENT_UNKNOWN)->text = rule->text;
	rule_gap(reader->pool, rule, "columns");
	rule->understood = UNDERSTOOD_NOT;
}

static struct table *use_table(struct list *list, const char *name)
{
	struct ruleset *ruleset = list->reader->ruleset;
	struct table *table = ruleset_add_table(list->reader, ruleset, list->backend, list->family, name);

	list->table = (size_t)(table - ruleset->tables);
	list->chain = SIZE_MAX;
	return table;
}

/* "Chain FORWARD (policy DROP 24625 packets, 2860K bytes)", "Chain MINE (1 references)" */
static void take_chain(struct list *list, struct span line)
{
	struct span rest = span_skip(line, strlen("Chain ")), name, policy;
	size_t at = span_find(line, "(policy ");
	struct table *table;
	struct chain *chain;

	if (list->table == SIZE_MAX)
		use_table(list, list->asked->table ? list->asked->table : "filter");
	if (!span_word(&rest, &name))
		return;
	table = &list->reader->ruleset->tables[list->table];
	chain = table_add_chain(list->reader, table, reader_intern(list->reader, name));
	list->chain = (size_t)(chain - table->chains);
	chain->whole = TRUTH_YES;
	if (at == SIZE_MAX)
		return;
	xtables_base_chain(list->family, table->name, chain->name, &chain->hook, &chain->priority, &chain->type);
	rest = span_skip(line, at + strlen("(policy "));
	if (span_word(&rest, &policy))
		chain->policy = span_starts(policy, "ACCEPT") ? VERDICT_ACCEPT
				: span_starts(policy, "DROP") ? VERDICT_DROP
							      : VERDICT_NONE;
}

/* " num   pkts bytes target     prot opt in     out     source               destination" */
static bool take_heading(struct list *list, struct span line)
{
	if (span_find(line, "prot") == SIZE_MAX || span_find(line, "source") == SIZE_MAX ||
	    span_find(line, "destination") == SIZE_MAX || span_find(line, "target") == SIZE_MAX)
		return false;
	list->numbers = span_starts(line, "num");
	list->counters = span_find(line, "pkts") != SIZE_MAX;
	list->interfaces = span_find(line, " in ") != SIZE_MAX && span_find(line, " out ") != SIZE_MAX;
	return true;
}

/* What the program says itself: "# Table `nat' contains incompatible base-chains, use 'nft' tool to list them." */
static void take_remark(struct list *list, struct span line)
{
	bool legacy = span_find(line, "iptables-legacy tables present") != SIZE_MAX;

	if (span_find(line, "incompatible") == SIZE_MAX && !legacy)
		return;
	list->backend = BACKEND_XTABLES_NFT;
	if (legacy) {
		reader_note(list->reader,
			    "there are rules in the legacy tables, too, which iptables-legacy-save would show");
	} else {
		list->incompatible = true;
		reader_note(list->reader, "there are chains that iptables cannot show: nft list ruleset would");
	}
}

/* "Table: nat", "Table `nat`:" of documents */
static bool take_table(struct list *list, struct span line)
{
	struct span name = span_skip(line, strlen("Table"));
	size_t length = 0;

	if (!span_starts(line, "Table") || (!span_ends(line, ":") && !span_starts(line, "Table:")))
		return false;
	while (name.length > 0 && (name.at[0] == ':' || name.at[0] == ' ' || name.at[0] == '`'))
		name = span_skip(name, 1);
	while (length < name.length && name.at[length] >= 'a' && name.at[length] <= 'z')
		length++;
	if (length == 0)
		return false;
	use_table(list, reader_intern(list->reader, span_first(name, length)));
	return true;
}

/* Are all built-in chains of the table there? `iptables -L FORWARD` shows one of them. */
static bool shows_all(const struct list *list, const struct table *table)
{
	static const char *const builtin[] = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};
	enum chain_type type;
	enum hook hook;
	int32_t priority;

	for (size_t i = 0; i < sizeof(builtin) / sizeof(*builtin); i++) {
		if (!xtables_base_chain(list->family, table->name, builtin[i], &hook, &priority, &type))
			continue;
		if (type == CHAIN_NAT && hook == HOOK_INPUT) /* before Linux 2.6.36 there was none */
			continue;
		if (!table_chain(table, builtin[i]))
			return false;
	}
	return true;
}

static void cover(struct list *list)
{
	struct ruleset *ruleset = list->reader->ruleset;

	for (size_t i = 0; i < ruleset->table_count; i++) {
		struct table *table = &ruleset->tables[i];

		table->whole =
			truth_of(shows_all(list, table) && !list->incompatible && !list->reader->capture->cut_off);
		if (shows_all(list, table) && !list->reader->capture->cut_off) {
			ruleset_cover(list->reader, ruleset, table->backend, table->family, table->name, NULL);
			continue;
		}
		for (size_t j = 0; j < table->chain_count; j++)
			ruleset_cover(list->reader, ruleset, table->backend, table->family, table->name,
				      table->chains[j].name);
	}
}

static void count_rules(struct reader *reader)
{
	for (size_t i = 0; i < reader->ruleset->table_count; i++)
		for (size_t j = 0; j < reader->ruleset->tables[i].chain_count; j++) {
			const struct chain *chain = &reader->ruleset->tables[i].chains[j];

			for (size_t k = 0; k < chain->rule_count; k++) {
				reader->capture->rules++;
				reader->capture->rules_partly += chain->rules[k].understood == UNDERSTOOD_PARTLY;
				reader->capture->rules_not += chain->rules[k].understood == UNDERSTOOD_NOT;
			}
		}
}

void parse_xt_list(struct reader *reader, const struct asked *asked)
{
	struct list list = {.reader = reader,
			    .asked = asked,
			    .family = asked->family ? asked->family : FAMILY_IP,
			    .backend = BACKEND_XTABLES,
			    .table = SIZE_MAX,
			    .chain = SIZE_MAX,
			    .counters = true,
			    .interfaces = true};
	struct span line;

	list.line = (struct xt_line){.reader = reader, .scratch = &list.scratch};
	while (reader_line(reader, &line)) {
		if (line.length == 0)
			continue;
		if (line.at[0] == '#')
			take_remark(&list, line);
		else if (span_starts(line, "Chain "))
			take_chain(&list, line);
		else if (take_heading(&list, line))
			continue;
		else if (take_table(&list, line))
			continue;
		else if (line.at[0] == '-') /* iptables -S, pasted behind the listing */
			reader_ignored(reader, line);
		else if (list.chain != SIZE_MAX)
			take_rule(&list, line);
		else
			reader_ignored(reader, line);
	}
	cover(&list);
	count_rules(reader);
	xt_scratch_clear(&list.scratch);
	free(list.line.target_words);
}
