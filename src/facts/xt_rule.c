/*
 * The words of a rule. Options belong to the match or target that was loaded before them (-m, -j), the last loaded
 * first; iptables itself loads the match of -p's protocol where an option asks for it. The kernel compares what stands
 * before any -m first (addresses, interfaces, protocol), then the matches in their order, then runs the target; so do
 * the statements.
 */
#include "facts/xt.h"

#include <stdlib.h>
#include <string.h>

void xt_scratch_clear(struct xt_scratch *scratch)
{
	free(scratch->words);
	free(scratch->given);
	free(scratch->instances);
}

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return items;
	*capacity = *capacity ? *capacity * 2 : 64;
	items = reallocarray(items, *capacity, size);
	if (!items)
		abort();
	return items;
}

static void add_word(struct xt_scratch *scratch, struct span word)
{
	scratch->words = grow(scratch->words, scratch->word_count, &scratch->word_capacity, sizeof(*scratch->words));
	scratch->words[scratch->word_count++] = word;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* A word with quotes or backslashes in it: a copy without them. */
static struct span unquote(struct arena *arena, const char **at, const char *end)
{
	char *copy = arena_alloc(arena, (size_t)(end - *at) + 1), *to = copy, quote = 0;
	const char *from = *at;

	for (; from < end && (quote || !is_blank(*from)); from++) {
		if (*from == '\\' && from + 1 < end && quote != '\'')
			*to++ = *++from;
		else if (quote ? *from == quote : *from == '"' || *from == '\'')
			quote = quote ? 0 : *from;
		else
			*to++ = *from;
	}
	*at = from;
	return (struct span){copy, (size_t)(to - copy)};
}

/* "--dport=22" is two words. */
static void add_option_word(struct xt_scratch *scratch, struct span word)
{
	size_t equal = word.length > 2 && word.at[0] == '-' && word.at[1] == '-' ? span_find_char(word, '=') : SIZE_MAX;

	if (equal == SIZE_MAX) {
		add_word(scratch, word);
		return;
	}
	add_word(scratch, span_first(word, equal));
	add_word(scratch, span_skip(word, equal + 1));
}

void xt_split(struct xt_scratch *scratch, struct arena *arena, struct span line)
{
	const char *at = line.at, *end = line.at + line.length, *start;

	scratch->word_count = 0;
	while (at < end) {
		if (is_blank(*at)) {
			at++;
			continue;
		}
		start = at;
		while (at < end && !is_blank(*at) && *at != '"' && *at != '\'' && *at != '\\')
			at++;
		if (at < end && !is_blank(*at)) {
			at = start;
			add_word(scratch, unquote(arena, &at, end));
		} else {
			add_option_word(scratch, (struct span){start, (size_t)(at - start)});
		}
	}
}

/* Where a rule's words are being read. */
struct walk {
	struct xt_build *build;
	struct xt_scratch *scratch;
	size_t at;
	bool negated;
	struct span protocol; /* of -p */
	struct span target;
	const struct xt_extension *target_extension;
	size_t target_instance; /* SIZE_MAX: none */
	bool to_goto;
};

static struct xt_instance *add_instance(struct walk *walk, const struct xt_extension *extension, struct span name)
{
	struct xt_scratch *scratch = walk->scratch;

	scratch->instances = grow(scratch->instances, scratch->instance_count, &scratch->instance_capacity,
				  sizeof(*scratch->instances));
	scratch->instances[scratch->instance_count] = (struct xt_instance){.extension = extension, .name = name};
	return &scratch->instances[scratch->instance_count++];
}

static bool is_option(struct span word)
{
	return word.length > 1 && word.at[0] == '-' && !(word.at[1] >= '0' && word.at[1] <= '9' && word.length > 2);
}

/* Takes an option's values. */
static void add_given(struct walk *walk, const struct xt_option *option, struct span name, size_t instance)
{
	struct xt_scratch *scratch = walk->scratch;
	const struct span *words = scratch->words;
	size_t count = scratch->word_count;
	struct xt_given given = {.option = option,
				 .name = name,
				 .negated = walk->negated,
				 .first = walk->at,
				 .instance = instance,
				 .order = scratch->given_count};

	if (walk->at < count && span_is(words[walk->at], "!") &&
	    (!option || (option->values && option->kind != XT_COMMENT))) {
		given.negated = true; /* the old place of it: --dport ! 22 */
		given.first = ++walk->at;
	}
	while (walk->at < count) {
		bool must = option && given.count < option->values,
		     may = !option || given.count < option->values + option->more;

		if (!must && (!may || is_option(words[walk->at]) || span_is(words[walk->at], "!")))
			break;
		walk->at++;
		given.count++;
	}
	if (option && given.count < option->values) {
		rule_gap(walk->build->reader->pool, walk->build->rule, "option --%.*s without its value",
			 (int)name.length, name.at);
		return;
	}
	scratch->given = grow(scratch->given, scratch->given_count, &scratch->given_capacity, sizeof(*scratch->given));
	scratch->given[scratch->given_count++] = given;
}

/* The match that a protocol brings with it. */
static const struct xt_extension *protocol_match(struct span protocol)
{
	uint64_t number;
	const char *name;

	if (protocol.length == 0)
		return NULL;
	if (!span_number(protocol, &number))
		return xt_find_match(protocol);
	name = symbol_name(TYPE_PROTOCOL, number);
	return name ? xt_find_match(span_of(name)) : NULL;
}

/* An option with its values: of the target, of a match, of the rule itself, or of nothing that is known. */
static void take_option(struct walk *walk, struct span name)
{
	struct xt_scratch *scratch = walk->scratch;
	const struct xt_option *option;
	const struct xt_extension *implied;

	if (walk->target_extension && (option = xt_find_option(walk->target_extension, name))) {
		add_given(walk, option, name, walk->target_instance);
		return;
	}
	for (size_t i = scratch->instance_count; i-- > 0;) {
		const struct xt_instance *instance = &scratch->instances[i];

		if (i != walk->target_instance && instance->extension &&
		    (option = xt_find_option(instance->extension, name))) {
			add_given(walk, option, name, i);
			return;
		}
	}
	if ((option = xt_find_base(walk->build->family, name))) {
		if ((option->field == FIELD_META_L4PROTO || option->field == FIELD_ETHER_TYPE) &&
		    walk->at < scratch->word_count)
			walk->protocol = scratch->words[walk->at];
		add_given(walk, option, name, SIZE_MAX);
		return;
	}
	implied = protocol_match(walk->protocol);
	if (implied && (option = xt_find_option(implied, name))) {
		add_instance(walk, implied, walk->protocol);
		add_given(walk, option, name, scratch->instance_count - 1);
		return;
	}
	if (scratch->instance_count == 0)
		add_instance(walk, NULL, span_of("option"))->nameless = true;
	add_given(walk, NULL, name, scratch->instance_count - 1);
}

static void take_target(struct walk *walk, bool to_goto)
{
	if (walk->at >= walk->scratch->word_count)
		return;
	walk->target = walk->scratch->words[walk->at++];
	walk->to_goto = to_goto;
	walk->target_extension =
		to_goto || walk->target.length == 0 ? NULL : xt_find_target(walk->build->family, walk->target);
	add_instance(walk, walk->target_extension, walk->target);
	walk->target_instance = walk->scratch->instance_count - 1;
}

static void take_counters(struct walk *walk)
{
	struct span *words = walk->scratch->words;
	struct span packets, bytes;

	if (walk->at >= walk->scratch->word_count)
		return;
	bytes = words[walk->at++];
	packets = span_cut(&bytes, ',');
	if (bytes.length == 0 && walk->at < walk->scratch->word_count)
		bytes = words[walk->at++];
	walk->build->rule->packets = span_to_number(packets);
	walk->build->rule->bytes = span_to_number(bytes);
}

/* Words that have nothing to do with extensions. */
static bool take_own(struct walk *walk, struct span name)
{
	struct xt_scratch *scratch = walk->scratch;

	if (span_is(name, "m") || span_is(name, "match")) {
		if (walk->at < scratch->word_count) {
			struct span match = scratch->words[walk->at++];

			if (walk->negated) /* "! -m": not what iptables takes */
				rule_gap(walk->build->reader->pool, walk->build->rule, "! -m");
			add_instance(walk, match.length ? xt_find_match(match) : NULL, match);
		}
	} else if (span_is(name, "j") || span_is(name, "jump")) {
		take_target(walk, false);
	} else if (span_is(name, "g") || span_is(name, "goto")) {
		take_target(walk, true);
	} else if (span_is(name, "c") || span_is(name, "set-counters")) {
		take_counters(walk);
	} else if (!span_is(name, "4") && !span_is(name, "6") && !span_is(name, "ipv4") && !span_is(name, "ipv6")) {
		return false;
	}
	return true;
}

/* A short option with its value in one word. */
static bool is_attached(struct span word)
{
	return word.length > 2 && word.at[0] == '-' && word.at[1] != '\0' && strchr("psdiojgm", word.at[1]);
}

static void walk_words(struct walk *walk)
{
	struct xt_scratch *scratch = walk->scratch;

	while (walk->at < scratch->word_count) {
		struct span word = scratch->words[walk->at++], name;

		if (span_is(word, "!")) {
			walk->negated = true;
			continue;
		}
		if (is_attached(word)) { /* "-ptcp" */
			scratch->words[--walk->at] = span_skip(word, 2);
			word = span_first(word, 2);
		}
		if (!is_option(word)) {
			rule_gap(walk->build->reader->pool, walk->build->rule, "word %.*s", (int)word.length, word.at);
		} else {
			name = span_skip(word, word.at[1] == '-' ? 2 : 1);
			if (!take_own(walk, name))
				take_option(walk, name);
		}
		walk->negated = false;
	}
}

/* Options of the rule itself first (SIZE_MAX + 1 is 0), then by instance, each in the order they were written in. */
static int compare_given(const void *a, const void *b)
{
	const struct xt_given *left = a, *right = b;

	if (left->instance != right->instance)
		return left->instance + 1 < right->instance + 1 ? -1 : 1;
	return left->order < right->order ? -1 : left->order > right->order;
}

/* Puts the options of each instance side by side. */
static void order_given(struct xt_scratch *scratch)
{
	struct xt_given *given = scratch->given;
	bool ordered = true;

	for (size_t i = 1; i < scratch->given_count && ordered; i++)
		ordered = compare_given(&given[i - 1], &given[i]) <= 0;
	if (!ordered)
		qsort(given, scratch->given_count, sizeof(*given), compare_given);
	for (size_t i = 0; i < scratch->given_count; i++) {
		struct xt_instance *instance;

		if (given[i].instance == SIZE_MAX)
			continue;
		instance = &scratch->instances[given[i].instance];
		if (instance->count++ == 0)
			instance->first = i;
	}
}

/*
 * Options that were abbreviated, as getopt_long(3) allows, and options in front of the -m they belong to: iptables
 * refuses these, but generators of rules write such things, and what they mean is plain.
 */
static void adopt_options(struct xt_scratch *scratch)
{
	for (size_t i = 0; i < scratch->given_count; i++) {
		struct xt_given *given = &scratch->given[i];

		for (size_t j = 0; !given->option && j < scratch->instance_count; j++) {
			const struct xt_extension *extension = scratch->instances[j].extension;
			const struct xt_option *option = extension ? xt_find_option(extension, given->name) : NULL;

			if (extension && !option)
				option = xt_find_abbreviated(extension, given->name);

			if (!option || given->count < option->values)
				continue;
			given->option = option;
			given->instance = j;
		}
	}
}

static void add_match(struct xt_build *build, const struct xt_instance *instance, struct xt_given *given)
{
	const struct xt_extension *extension = instance->extension;
	const char *name = reader_intern(build->reader, instance->name);
	size_t kept = 0, unknown = 0;

	if (!extension && instance->nameless) { /* no match was loaded that could have them */
		for (size_t i = 0; i < instance->count; i++) {
			xt_condition(build, name, CONDITION_UNKNOWN, &given[i], 1);
			rule_gap(build->reader->pool, build->rule, "option --%.*s", (int)given[i].name.length,
				 given[i].name.at);
		}
		return;
	}
	if (!extension) {
		xt_condition(build, name, CONDITION_UNKNOWN, given, instance->count);
		rule_gap(build->reader->pool, build->rule, "match %s", name);
		return;
	}
	if (extension->convert)
		extension->convert(build, extension, given, instance->count);
	for (size_t i = 0; i < instance->count; i++)
		given[i].kept =
			!given[i].option || !xt_convert(build, given[i].option, &given[i], given, instance->count);
	for (size_t i = 0; i < instance->count; i++) {
		if (!given[i].kept)
			continue;
		unknown += !given[i].option;
		given[kept++] = given[i];
	}
	if (unknown > 0) {
		xt_condition(build, name, CONDITION_UNKNOWN, given, kept);
		rule_gap(build->reader->pool, build->rule, "match %s", name);
	} else if (kept > 0 || extension->always) {
		/* Something kept of an extension that has fields only: its truth is not known from them. */
		xt_condition(build, name, extension->reason ? extension->reason : CONDITION_PACKET, given, kept);
	}
}

/* What a target does: a verdict, an extension, or a chain. */
static void add_target(struct xt_build *build, struct span name, bool to_goto, const struct xt_given *given,
		       size_t count, const struct table *chains)
{
	const struct xt_extension *extension = to_goto ? NULL : xt_find_target(build->family, name);
	const char *chain = reader_intern(build->reader, name);

	if (extension) {
		for (size_t i = 0; i < count; i++)
			if (!given[i].option)
				rule_gap(build->reader->pool, build->rule, "target %s: option --%.*s", chain,
					 (int)given[i].name.length, given[i].name.at);
		extension->convert(build, extension, given, count);
	} else if (count == 0 && (!chains || table_chain(chains, chain))) {
		rule_verdict(build->arena, build->rule, to_goto ? VERDICT_GOTO : VERDICT_JUMP, chain);
	} else {
		xt_unknown_target(build, chain);
	}
}

void xt_rule(struct xt_build *build, struct xt_scratch *scratch, size_t first, const struct table *chains)
{
	struct walk walk = {.build = build, .scratch = scratch, .at = first, .target_instance = SIZE_MAX};
	const struct xt_instance *target;

	build->words = scratch->words;
	scratch->given_count = scratch->instance_count = 0;
	if (build->family == FAMILY_BRIDGE)
		add_instance(&walk, &xt_ebtables, span_of("ebtables"));
	walk_words(&walk);
	adopt_options(scratch);
	order_given(scratch);
	for (size_t i = 0; i < scratch->given_count && scratch->given[i].instance == SIZE_MAX; i++)
		xt_convert(build, scratch->given[i].option, &scratch->given[i], NULL, 0);
	for (size_t i = 0; i < scratch->instance_count; i++)
		if (i != walk.target_instance)
			add_match(build, &scratch->instances[i],
				  scratch->given_count ? &scratch->given[scratch->instances[i].first] : NULL);
	if (walk.target_instance == SIZE_MAX)
		return;
	target = &scratch->instances[walk.target_instance];
	add_target(build, walk.target, walk.to_goto, target->count ? &scratch->given[target->first] : NULL,
		   target->count, chains);
}
