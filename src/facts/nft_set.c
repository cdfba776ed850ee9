/* Sets and maps of nftables: their keys, flags and elements. */
#include "facts/names.h"
#include "facts/nft.h"

/* The types of one side of "ipv4_addr . inet_service : verdict". */
static bool take_types(struct nft *nft, enum datatype **types, size_t *count, const char **text)
{
	size_t first = nft->at;

	do {
		const struct token *token = nft_next(nft);

		if (token->kind != TOKEN_WORD)
			return false;
		*arena_push(nft->arena, *types, *count) = datatype_find(token->text.at, token->text.length);
	} while (nft_accept(nft, "."));
	*text = nft_text_since(nft, first);
	return true;
}

/* The same for "typeof ip saddr . tcp dport : meta mark". */
static bool take_typeof(struct nft *nft, enum datatype **types, size_t *count, const char **text)
{
	enum datatype buffer[16];
	const enum datatype *found;
	size_t first = nft->at, found_count;
	struct expr *expr;

	if (nft_accept(nft, "verdict")) {
		*arena_push(nft->arena, *types, *count) = TYPE_VERDICT;
		return true;
	}
	expr = nft_selector(nft);
	if (!expr)
		return false;
	found_count = nft_types(expr, &found, buffer);
	for (size_t i = 0; i < found_count; i++)
		*arena_push(nft->arena, *types, *count) = found[i];
	*text = arena_printf(nft->arena, "typeof %s", nft_text_since(nft, first));
	return true;
}

static bool take_key(struct nft *nft, struct set *set, bool type_of)
{
	bool (*take)(struct nft *, enum datatype **, size_t *, const char **) = type_of ? take_typeof : take_types;
	const char *text;

	if (!take(nft, &set->key, &set->key_count, &set->type))
		return false;
	if (nft_accept(nft, ":")) {
		nft_accept(nft, "interval");
		if (!take(nft, &set->data, &set->data_count, &text))
			return false;
		set->kind = set->data_count == 1 && set->data[0] == TYPE_VERDICT ? SET_VERDICT_MAP : SET_MAP;
	}
	return true;
}

static void take_set_flags(struct nft *nft, struct set *set)
{
	do {
		if (nft_accept(nft, "interval"))
			set->interval = true;
		else if (nft_accept(nft, "constant"))
			set->constant = true;
		else if (nft_accept(nft, "dynamic"))
			set->dynamic = true;
		else
			nft_next(nft); /* timeout */
	} while (nft_accept(nft, ","));
}

static bool take_elements(struct nft *nft, struct set *set)
{
	struct expr *elements = expr_set(nft->arena, TYPE_NONE);
	unsigned depth = nft->depth;
	bool whole;

	if (!nft_accept(nft, "=") || !nft_accept(nft, "{"))
		return false;
	elements->set.elements = set->elements;
	elements->set.count = set->element_count;
	whole = set->key_count > 0 && nft_elements(nft, elements, set->key, set->key_count, set->data, set->data_count);
	nft->depth = depth;
	set->elements = elements->set.elements;
	set->element_count = elements->set.count;
	set->elements_known = truth_of(whole);
	return whole;
}

static bool take_set_property(struct nft *nft, struct set *set)
{
	uint64_t value;

	if (nft_accept(nft, "type"))
		return take_key(nft, set, false);
	if (nft_accept(nft, "typeof"))
		return take_key(nft, set, true);
	if (nft_accept(nft, "flags")) {
		take_set_flags(nft, set);
		return true;
	}
	if (nft_accept(nft, "elements"))
		return take_elements(nft, set);
	if (nft_accept(nft, "auto-merge"))
		return set->auto_merge = true;
	if (nft_accept(nft, "comment")) {
		set->comment = nft_name(nft);
		return set->comment != NULL;
	}
	if (nft_accept(nft, "timeout")) {
		if (!nft_duration(nft_next(nft)->text, &value))
			return false;
		set->timeout = number_of(value);
		return true;
	}
	if (nft_accept(nft, "size")) {
		if (!nft_accept_number(nft, &value))
			return false;
		set->size = number_of(value);
		nft_skip(nft, nft_peek(nft)->kind == TOKEN_COMMENT); /* "# count 3" */
		return true;
	}
	if (nft_accept(nft, "gc-interval") || nft_accept(nft, "policy")) {
		nft_next(nft);
		return true;
	}
	return nft_accept(nft, "counter") || nft_accept(nft, "last") || nft_accept(nft, "quota") ||
	       nft_accept(nft, "limit");
}

void nft_set_body(struct nft *nft, struct set *set)
{
	set->elements_known = TRUTH_YES; /* an empty set shows no elements */
	for (;;) {
		size_t first;

		nft_skip_separators(nft);
		if (nft_accept(nft, "}"))
			return;
		if (nft_at_end(nft)) {
			set->elements_known = TRUTH_NO;
			nft_cut_off(nft, "set", set->name);
			return;
		}
		first = nft->at;
		if (take_set_property(nft, set))
			continue;
		if (nft_is(&nft->tokens[first], "elements"))
			set->elements_known = TRUTH_NO;
		nft->at = first;
		nft_ignore(nft);
		if (nft->at == first)
			nft->at++;
	}
}

struct set *nft_add_set(struct nft *nft, const char *name, bool map)
{
	struct table *table = &nft->reader->ruleset->tables[nft->table];
	struct set *set = table_set(table, name);

	if (set)
		return set;
	set = arena_push(nft->arena, table->sets, table->set_count);
	*set = (struct set){
		.kind = map ? SET_MAP : SET_PLAIN, .name = name, .origin = nft_token_origin(nft, nft_peek(nft))};
	names_add(nft->arena, &table->set_names, name);
	return set;
}
