/*
 * nftables' expressions, from the loosest to the tightest binding: a lookup in a map, concatenation (.), or (|), xor
 * (^), and (&), shifts, and then fields and constants. A constant's meaning depends on the type it is compared with:
 * `new` is a state under `ct state` and an interface under `iifname`.
 */
#include "facts/nft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { DEPTH_MAX = 40, PARTS_MAX = 16 };

static struct expr *parse_or(struct nft *nft, enum datatype type);
static struct expr *parse_concat(struct nft *nft, enum datatype type);

/* "meta mark", "iifname", "ct original saddr", "ip saddr": a field with a number here. */
static struct expr *plain_field(struct nft *nft, struct span space, size_t words)
{
	const struct token *key = nft_peek_behind(nft, words);
	enum field field;

	if (key->kind != TOKEN_WORD)
		return NULL;
	if (span_is(space, "meta") && nft_is(key, "secpath")) { /* what ipsec is called in older versions */
		nft_skip(nft, words + 1);
		return expr_field(nft->arena, FIELD_META_IPSEC);
	}
	field = field_find(space.at, space.length, key->text.at, key->text.length);
	if (field == FIELD_NONE)
		return NULL;
	nft_skip(nft, words + 1);
	return expr_field(nft->arena, field);
}

static struct expr *other_field(struct nft *nft, size_t first, enum datatype type)
{
	return expr_other_field(nft->arena, pool_text(nft->reader->pool, nft_text_since(nft, first)), type);
}

/* Keys of meta that stand alone, as nft lists them. */
static bool is_meta_key(struct span word)
{
	static const char *const keys[] = {"iif",	"iifname",  "iiftype", "iifgroup", "oif",   "oifname",
					   "oiftype",	"oifgroup", "mark",    "skuid",	   "skgid", "nftrace",
					   "rtclassid", "ibrname",  "obrname", "pkttype",  "cpu",   "cgroup"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (span_is(word, keys[i]))
			return true;
	return false;
}

/* "ct state", "ct original ip saddr", "ct reply proto-dst" */
static struct expr *ct_field(struct nft *nft)
{
	size_t first = nft->at;
	enum ct_direction direction = DIRECTION_NONE;
	const char *family = NULL;
	struct expr *expr;
	char key[32];

	nft->at++;
	if (nft_accept(nft, "original"))
		direction = DIRECTION_ORIGINAL;
	else if (nft_accept(nft, "reply"))
		direction = DIRECTION_REPLY;
	if (nft_accept(nft, "ip"))
		family = "ip";
	else if (nft_accept(nft, "ip6"))
		family = "ip6";
	if (family && nft_peek(nft)->text.length < 16) {
		const struct token *token = nft_next(nft);
		enum field field;

		snprintf(key, sizeof(key), "%s %.*s", family, (int)token->text.length, token->text.at);
		field = field_find("ct", 2, key, strlen(key));
		expr = field ? expr_field(nft->arena, field) : NULL;
	} else {
		expr = plain_field(nft, span_of("ct"), 0);
	}
	if (!expr) {
		nft->at = first;
		return NULL;
	}
	expr->field.direction = direction;
	return expr;
}

static struct expr *fib(struct nft *nft)
{
	static const struct {
		const char *word;
		uint8_t flag;
	} words[] = {
		{"saddr", FIB_SADDR}, {"daddr", FIB_DADDR}, {"mark", FIB_MARK}, {"iif", FIB_IIF}, {"oif", FIB_OIF}};
	uint8_t flags = 0;

	nft->at++;
	do {
		size_t i;

		for (i = 0; i < sizeof(words) / sizeof(*words); i++)
			if (nft_accept(nft, words[i].word))
				break;
		if (i == sizeof(words) / sizeof(*words))
			return NULL;
		flags |= words[i].flag;
	} while (nft_accept(nft, "."));
	if (nft_accept(nft, "type"))
		return expr_fib(nft->arena, flags, FIB_RESULT_TYPE);
	if (nft_accept(nft, "oifname"))
		return expr_fib(nft->arena, flags, FIB_RESULT_OIFNAME);
	return nft_accept(nft, "oif") ? expr_fib(nft->arena, flags, FIB_RESULT_OIF) : NULL;
}

/* "@nh,96,32" */
static struct expr *payload(struct nft *nft)
{
	static const struct {
		const char *word;
		enum payload_base base;
	} bases[] = {{"ll", PAYLOAD_LINK}, {"nh", PAYLOAD_NETWORK}, {"th", PAYLOAD_TRANSPORT}, {"ih", PAYLOAD_INNER}};
	struct expr *expr = expr_new(nft->arena, EXPR_PAYLOAD, TYPE_INTEGER);
	uint64_t offset, length;

	for (size_t i = 0; i < sizeof(bases) / sizeof(*bases); i++)
		if (nft_accept(nft, bases[i].word))
			expr->payload.base = bases[i].base;
	if (!expr->payload.base || !nft_accept(nft, ",") || !nft_accept_number(nft, &offset) || !nft_accept(nft, ",") ||
	    !nft_accept_number(nft, &length))
		return NULL;
	expr->payload.offset = (uint32_t)offset;
	expr->payload.length = (uint32_t)length;
	return expr;
}

/* "numgen inc mod 2", "jhash ip saddr . tcp dport mod 4 seed 0x1 offset 2", "symhash mod 2" */
static struct expr *generated(struct nft *nft)
{
	size_t first = nft->at;
	bool hash = nft_is(nft_peek(nft), "jhash");

	nft->at++;
	if (hash) {
		if (!parse_concat(nft, TYPE_NONE))
			return NULL;
	} else if (!nft_is(nft_peek(nft), "mod")) {
		nft_next(nft); /* inc, random */
	}
	if (!nft_accept(nft, "mod") || nft_next(nft)->kind != TOKEN_NUMBER)
		return NULL;
	while (nft_is(nft_peek(nft), "seed") || nft_is(nft_peek(nft), "offset")) {
		nft->at++;
		if (nft_next(nft)->kind != TOKEN_NUMBER)
			return NULL;
	}
	return expr_text(nft->arena, EXPR_GENERATED, TYPE_INTEGER, nft_text_since(nft, first));
}

/* "tcp option maxseg size", "ip option lsrr type", "sctp chunk data flags", "exthdr hbh", "frag more-fragments" */
static struct expr *header_option(struct nft *nft)
{
	static const char *const alone[] = {"exthdr", "hbh", "dst", "frag", "mh", "rt", "rt0", "rt2", "rt4", "srh"};
	const struct token *word = nft_peek(nft), *second = nft_peek_behind(nft, 1), *third = nft_peek_behind(nft, 2);
	size_t first = nft->at;

	if (nft_is(word, "tcp") && nft_is(second, "option") && nft_is(third, "maxseg") &&
	    nft_is(nft_peek_behind(nft, 3), "size")) {
		nft_skip(nft, 4);
		return expr_field(nft->arena, FIELD_TCP_MSS);
	}
	if (((nft_is(word, "tcp") || nft_is(word, "ip") || nft_is(word, "dccp")) && nft_is(second, "option")) ||
	    (nft_is(word, "sctp") && nft_is(second, "chunk"))) {
		const struct token *fourth = nft_peek_behind(nft, 3);

		nft_skip(nft, 3);
		if (fourth->kind == TOKEN_WORD && !nft_is(fourth, "exists") && !nft_is(fourth, "missing"))
			nft->at++;
		return other_field(nft, first, TYPE_INTEGER);
	}
	for (size_t i = 0; i < sizeof(alone) / sizeof(*alone); i++) {
		if (nft_is(word, alone[i]) && second->kind == TOKEN_WORD) {
			nft_skip(nft, 2);
			return other_field(nft, first, i == 0 ? TYPE_BOOLEAN : TYPE_INTEGER);
		}
	}
	return NULL;
}

/* "socket transparent", "socket cgroupv2 level 1", "osf ttl skip name", "ipsec in ip saddr", "rt ip nexthop" */
static struct expr *kernel_field(struct nft *nft)
{
	const struct token *word = nft_peek(nft), *second = nft_peek_behind(nft, 1), *third = nft_peek_behind(nft, 2);
	size_t first = nft->at;
	enum field field;

	if (nft_is(word, "rt")) {
		if (nft_is(third, "nexthop") && (nft_is(second, "ip") || nft_is(second, "ip6"))) {
			nft_skip(nft, 3);
			return expr_field(nft->arena, nft_is(second, "ip") ? FIELD_RT_NEXTHOP4 : FIELD_RT_NEXTHOP6);
		}
		return plain_field(nft, span_of("rt"), 1);
	}
	if (nft_is(word, "socket")) {
		if (!nft_is(second, "cgroupv2"))
			return plain_field(nft, span_of("socket"), 1);
		nft_skip(nft, 4); /* cgroupv2 level N */
		return other_field(nft, first, TYPE_STRING);
	}
	if (nft_is(word, "osf")) {
		nft->at++;
		if (nft_accept(nft, "ttl"))
			nft_next(nft);
		nft_next(nft); /* name, version */
		return other_field(nft, first, TYPE_STRING);
	}
	if (nft_is(word, "ipsec") && (nft_is(second, "in") || nft_is(second, "out"))) {
		nft_skip(nft, 2);
		if (nft_accept(nft, "spnum"))
			nft_next(nft);
		if (nft_accept(nft, "reqid") || nft_accept(nft, "spi"))
			return other_field(nft, first, TYPE_INTEGER);
		field = nft_is(nft_next(nft), "ip6") ? FIELD_IP6_SADDR : FIELD_IP_SADDR;
		nft_next(nft); /* saddr, daddr */
		return other_field(nft, first, field_info(field)->type);
	}
	return NULL;
}

/* "arp saddr ip": two words as a key. */
static struct expr *arp_address(struct nft *nft)
{
	const struct token *a = nft_peek_behind(nft, 1), *b = nft_peek_behind(nft, 2);
	char key[32];
	enum field field;

	if (!(nft_is(a, "saddr") || nft_is(a, "daddr")) || !(nft_is(b, "ip") || nft_is(b, "ether")))
		return NULL;
	snprintf(key, sizeof(key), "%.*s %.*s", (int)a->text.length, a->text.at, (int)b->text.length, b->text.at);
	field = field_find("arp", 3, key, strlen(key));
	nft_skip(nft, 3);
	return expr_field(nft->arena, field);
}

/* A field, or whatever else gives a value that no constant does. NULL, with nothing taken: none begins here. */
static struct expr *parse_field(struct nft *nft)
{
	const struct token *token = nft_peek(nft);
	size_t first = nft->at;
	struct expr *expr = NULL;

	if (nft_is(token, "@") && nft_is(nft_peek_behind(nft, 2), ",")) {
		nft->at++;
		expr = payload(nft);
	} else if (token->kind != TOKEN_WORD) {
		return NULL;
	} else if (nft_is(token, "fib")) {
		expr = fib(nft);
	} else if (nft_is(token, "numgen") || nft_is(token, "jhash") || nft_is(token, "symhash")) {
		expr = generated(nft);
	} else if (nft_is(token, "ct")) {
		expr = ct_field(nft);
	} else if (is_meta_key(token->text)) {
		expr = plain_field(nft, span_of("meta"), 0);
	} else {
		expr = nft_is(token, "arp") ? arp_address(nft) : NULL;
		if (!expr)
			expr = kernel_field(nft);
		if (!expr) {
			nft->at = first;
			expr = header_option(nft);
		}
		if (!expr) {
			nft->at = first;
			expr = field_is_space(token->text.at, token->text.length) ? plain_field(nft, token->text, 1)
										  : NULL;
		}
	}
	if (!expr)
		nft->at = first;
	return expr;
}

static struct expr *text_value(struct nft *nft, const struct token *token, enum datatype type)
{
	bool wildcard = span_ends(token->text, "*");
	struct span name = wildcard ? span_first(token->text, token->text.length - 1) : token->text;

	return expr_text(nft->arena, wildcard ? EXPR_WILDCARD : EXPR_TEXT, type, reader_intern(nft->reader, name));
}

/* "1:ffff", a traffic control class: two hexadecimal numbers. */
static struct expr *class_number(struct nft *nft, struct span major, struct span minor)
{
	char text[2][8] = {"0x", "0x"};
	uint64_t high, low;

	if (major.length > 4 || minor.length > 4)
		return NULL;
	memcpy(text[0] + 2, major.at, major.length);
	memcpy(text[1] + 2, minor.at, minor.length);
	if (!span_number(span_of(text[0]), &high) || !span_number(span_of(text[1]), &low))
		return NULL;
	return expr_number(nft->arena, TYPE_CLASSID, high << 16 | low);
}

/* A word where a value is expected. */
static struct expr *word_value(struct nft *nft, const struct token *token, enum datatype type)
{
	uint64_t number;
	size_t colon;

	if (symbol_find(type, token->text.at, token->text.length, &number))
		return expr_number(nft->arena, type, number);
	if (type == TYPE_CLASSID && (colon = span_find_char(token->text, ':')) != SIZE_MAX)
		return class_number(nft, span_first(token->text, colon), span_skip(token->text, colon + 1));
	if (token->kind == TOKEN_STRING || type == TYPE_INTERFACE || type == TYPE_STRING)
		return text_value(nft, token, type);
	if (symbol_find(TYPE_BOOLEAN, token->text.at, token->text.length, &number) && token->text.length >= 6)
		return expr_number(nft->arena, TYPE_BOOLEAN, number); /* exists, missing */
	if (type == TYPE_TIME && nft_duration(token->text, &number))
		return expr_number(nft->arena, type, number);
	if (span_starts(token->text, "0x") && token->text.length > 18)
		return expr_text(nft->arena, EXPR_BYTES, type, reader_intern(nft->reader, token->text));
	if (nft->rule && token->kind == TOKEN_WORD && type != TYPE_NONE && datatype_name(type)) {
		rule_gap(nft->reader->pool, nft->rule, "value %.*s", (int)token->text.length, token->text.at);
		return expr_unknown(nft->reader->pool, token->text);
	}
	return NULL;
}

/* "[2001:db8::1]", "[2001:db8::1-2001:db8::9]" */
static struct expr *bracketed_value(struct nft *nft)
{
	const struct token *first = nft_peek_behind(nft, 1), *last = nft_peek_behind(nft, 3);

	if (first->kind != TOKEN_IP)
		return NULL;
	if (nft_is(nft_peek_behind(nft, 2), "]")) {
		nft_skip(nft, 3);
		return expr_ip(nft->arena, &first->ip);
	}
	if (!nft_is(nft_peek_behind(nft, 2), "-") || last->kind != TOKEN_IP || !nft_is(nft_peek_behind(nft, 4), "]"))
		return NULL;
	nft_skip(nft, 5);
	return expr_range(nft->arena, expr_ip(nft->arena, &first->ip), expr_ip(nft->arena, &last->ip));
}

/* One constant, without what may follow it. */
static struct expr *single_value(struct nft *nft, enum datatype type)
{
	const struct token *token = nft_peek(nft);
	struct expr *expr;
	struct mac mac;

	switch (token->kind) {
	case TOKEN_NUMBER:
		if (type == TYPE_CLASSID && nft_is(nft_peek_behind(nft, 1), ":")) {
			nft_skip(nft, 3);
			return class_number(nft, token->text, nft->tokens[nft->at - 1].text);
		}
		nft->at++;
		return expr_number(nft->arena, type, type == TYPE_TIME ? token->number * 1000 : token->number);
	case TOKEN_IP:
		nft->at++;
		return expr_ip(nft->arena, &token->ip);
	case TOKEN_MAC:
		nft->at++;
		mac = span_mac(token->text);
		return expr_mac(nft->arena, &mac);
	case TOKEN_STRING:
	case TOKEN_WORD:
		nft->at++;
		expr = word_value(nft, token, type);
		if (!expr)
			nft->at--;
		return expr;
	case TOKEN_PUNCTUATION:
		if (nft_is(token, "*")) {
			nft->at++;
			return expr_new(nft->arena, EXPR_ANY, type);
		}
		return nft_is(token, "[") ? bracketed_value(nft) : NULL;
	case TOKEN_END:
	case TOKEN_NEWLINE:
	case TOKEN_COMMENT:
		return NULL;
	}
	return NULL;
}

struct expr *nft_value(struct nft *nft, enum datatype type)
{
	struct expr *first = single_value(nft, type), *last;
	uint64_t length;

	if (!first)
		return NULL;
	if (first->kind == EXPR_IP && nft_is(nft_peek(nft), "/") && nft_peek_behind(nft, 1)->kind == TOKEN_NUMBER) {
		length = nft_peek_behind(nft, 1)->number;
		if (length > ip_bits(&first->ip))
			return NULL;
		nft_skip(nft, 2);
		return expr_prefix(nft->arena, &(struct prefix){first->ip, (uint8_t)length});
	}
	if (nft_is(nft_peek(nft), "-") && first->kind != EXPR_ANY) {
		nft->at++;
		last = single_value(nft, type);
		if (!last || last->kind != first->kind)
			return NULL;
		return expr_range(nft->arena, first, last);
	}
	return first;
}

static struct expr *parse_primary(struct nft *nft, enum datatype type)
{
	const struct token *token = nft_peek(nft);
	struct expr *expr;
	uint64_t number;

	if (nft->depth >= DEPTH_MAX)
		return NULL;
	if (nft_is(nft_peek(nft), "(")) {
		nft->at++;
		nft->depth++;
		expr = parse_or(nft, type);
		nft->depth--;
		return expr && nft_accept(nft, ")") ? expr : NULL;
	}
	/* "ip protocol icmp icmp type 8": a word that is a value of the type is one. */
	if (token->kind == TOKEN_WORD && symbol_find(type, token->text.at, token->text.length, &number))
		return nft_value(nft, type);
	expr = parse_field(nft);
	return expr ? expr : nft_value(nft, type);
}

static bool both_numbers(const struct expr *a, const struct expr *b)
{
	return a->kind == EXPR_NUMBER && b->kind == EXPR_NUMBER;
}

/* Constants are put together at once: (syn | ack) is 18. */
static struct expr *combine(struct nft *nft, enum binary_op op, struct expr *left, struct expr *right)
{
	uint64_t a, b, value = 0;

	if (!both_numbers(left, right))
		return expr_binary(nft->arena, op, left, right);
	a = left->number;
	b = right->number;
	if (op == BINARY_AND)
		value = a & b;
	else if (op == BINARY_OR)
		value = a | b;
	else if (op == BINARY_XOR)
		value = a ^ b;
	else if (op == BINARY_LSHIFT)
		value = b < 64 ? a << b : 0;
	else if (op == BINARY_RSHIFT)
		value = b < 64 ? a >> b : 0;
	return expr_number(nft->arena, left->type, value);
}

static const struct {
	const char *sign, *word;
	enum binary_op op;
	int level; /* binds the tighter the higher */
} operators[] = {
	{"|", "or", BINARY_OR, 0},	    {"^", "xor", BINARY_XOR, 1},	{"&", "and", BINARY_AND, 2},
	{"<<", "lshift", BINARY_LSHIFT, 3}, {">>", "rshift", BINARY_RSHIFT, 3},
};

static enum binary_op accept_operator(struct nft *nft, int level)
{
	for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++)
		if (operators[i].level == level &&
		    (nft_accept(nft, operators[i].sign) || nft_accept(nft, operators[i].word)))
			return operators[i].op;
	return BINARY_NONE;
}

static struct expr *parse_level(struct nft *nft, enum datatype type, int level)
{
	struct expr *left = level > 3 ? parse_primary(nft, type) : parse_level(nft, type, level + 1), *right;
	enum binary_op op;

	while (left && level <= 3 && (op = accept_operator(nft, level))) {
		enum datatype expected = level == 3 ? TYPE_INTEGER : type ? type : left->type;

		right = parse_level(nft, expected, level + 1);
		left = right ? combine(nft, op, left, right) : NULL;
	}
	return left;
}

static struct expr *parse_or(struct nft *nft, enum datatype type)
{
	return parse_level(nft, type, 0);
}

static struct expr *parse_concat(struct nft *nft, enum datatype type)
{
	struct expr *first = parse_or(nft, type), *concat, *item;

	if (!first || !nft_is(nft_peek(nft), "."))
		return first;
	concat = expr_concat(nft->arena);
	expr_concat_add(nft->arena, concat, first);
	while (nft_accept(nft, ".")) {
		item = parse_or(nft, type);
		if (!item || concat->concat.count >= PARTS_MAX)
			return NULL;
		expr_concat_add(nft->arena, concat, item);
	}
	return concat;
}

size_t nft_types(const struct expr *expr, const enum datatype **ret, enum datatype buffer[16])
{
	*ret = buffer;
	if (expr->kind == EXPR_CONCAT) {
		for (size_t i = 0; i < expr->concat.count && i < PARTS_MAX; i++)
			buffer[i] = expr->concat.items[i]->type;
		return expr->concat.count < PARTS_MAX ? expr->concat.count : PARTS_MAX;
	}
	buffer[0] = expr->type;
	return 1;
}

/* "{ … }" or "@name" behind `map` or `vmap`. */
static struct expr *parse_map(struct nft *nft, const struct expr *key, const enum datatype *data, size_t data_count)
{
	enum datatype buffer[PARTS_MAX];
	const enum datatype *types;
	size_t count = nft_types(key, &types, buffer);

	if (nft_accept(nft, "@")) {
		const char *name = nft_name(nft);

		return name ? expr_text(nft->arena, EXPR_SET_REF, TYPE_NONE, name) : NULL;
	}
	if (!nft_accept(nft, "{"))
		return NULL;
	return nft_set(nft, types, count, data, data_count);
}

struct expr *nft_selector(struct nft *nft)
{
	size_t first = nft->at;
	struct expr *expr;

	expr = nft_is(nft_peek(nft), "(") ? parse_concat(nft, TYPE_NONE) : parse_field(nft);
	if (!expr)
		return NULL;
	nft->at = first;
	return parse_concat(nft, TYPE_NONE);
}

struct expr *nft_expression(struct nft *nft, enum datatype type)
{
	struct expr *expr = parse_concat(nft, type), *map;

	if (!expr || !nft_accept(nft, "map"))
		return expr;
	map = parse_map(nft, expr, &type, 1);
	return map ? expr_pair(nft->arena, EXPR_MAP, type, expr, map) : NULL;
}

/* "established,related": bits of one number. */
static struct expr *bits_value(struct nft *nft, enum datatype type)
{
	struct expr *value = parse_or(nft, type), *more;

	while (value && nft_accept(nft, ",")) {
		more = parse_or(nft, type);
		if (!more || !both_numbers(value, more))
			return NULL;
		value = expr_number(nft->arena, type, value->number | more->number);
	}
	return value;
}

/* One part of an element. Of a type that is not known here any word will do. */
static struct expr *part_value(struct nft *nft, enum datatype type)
{
	struct expr *item = nft_value(nft, type);

	if (!item && type == TYPE_NONE && nft_peek(nft)->kind == TOKEN_WORD)
		item = text_value(nft, nft_next(nft), TYPE_STRING);
	return item;
}

static struct expr *concat_value(struct nft *nft, const enum datatype *types, size_t count)
{
	struct expr *concat, *item;

	if (count == 1)
		return datatype_is_bits(types[0]) && !nft_is(nft_peek(nft), "*") ? parse_or(nft, types[0])
										 : part_value(nft, types[0]);
	concat = expr_concat(nft->arena);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && !nft_accept(nft, "."))
			return NULL;
		item = part_value(nft, types[i]);
		if (!item)
			return NULL;
		expr_concat_add(nft->arena, concat, item);
		if (i == 0 && item->kind == EXPR_ANY && !nft_is(nft_peek(nft), "."))
			return item;
	}
	return concat;
}

struct expr *nft_right_side(struct nft *nft, const struct expr *left)
{
	enum datatype buffer[PARTS_MAX];
	const enum datatype *types;
	size_t count = nft_types(left, &types, buffer);
	const char *name;

	if (nft_accept(nft, "{"))
		return nft_set(nft, types, count, NULL, 0);
	if (left->kind == EXPR_FIB && left->fib.result == FIB_RESULT_OIF) {
		if (nft_is(nft_peek(nft), "exists") || nft_is(nft_peek(nft), "missing"))
			return expr_number(nft->arena, TYPE_BOOLEAN, nft_is(nft_next(nft), "exists"));
	}
	if (nft_is(nft_peek(nft), "@") && !nft_is(nft_peek_behind(nft, 2), ",")) {
		nft->at++;
		name = nft_name(nft);
		return name ? expr_text(nft->arena, EXPR_SET_REF, TYPE_NONE, name) : NULL;
	}
	if (count > 1)
		return concat_value(nft, types, count);
	return datatype_is_bits(left->type) ? bits_value(nft, left->type) : parse_or(nft, left->type);
}

bool nft_verdict(struct nft *nft, struct verdict *ret)
{
	static const struct {
		const char *word;
		enum verdict_kind kind;
	} words[] = {{"accept", VERDICT_ACCEPT}, {"drop", VERDICT_DROP}, {"continue", VERDICT_CONTINUE},
		     {"return", VERDICT_RETURN}, {"jump", VERDICT_JUMP}, {"goto", VERDICT_GOTO},
		     {"queue", VERDICT_QUEUE}};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!nft_accept(nft, words[i].word))
			continue;
		*ret = (struct verdict){.kind = words[i].kind};
		if (words[i].kind == VERDICT_JUMP || words[i].kind == VERDICT_GOTO) {
			ret->chain = nft_name(nft);
			return ret->chain != NULL;
		}
		return true;
	}
	return false;
}

static bool element_options(struct nft *nft, struct element *element)
{
	for (;;) {
		nft_skip_newlines(nft);
		if (nft_is(nft_peek(nft), "timeout") || nft_is(nft_peek(nft), "expires")) {
			bool timeout = nft_is(nft_next(nft), "timeout");
			uint64_t ms;

			if (!nft_duration(nft_next(nft)->text, &ms))
				return false;
			*(timeout ? &element->timeout : &element->expires) = number_of(ms);
		} else if (nft_accept(nft, "comment")) {
			element->comment = nft_name(nft);
		} else if (nft_is(nft_peek(nft), "counter") || nft_is(nft_peek(nft), "limit") ||
			   nft_is(nft_peek(nft), "quota") || nft_is(nft_peek(nft), "ct") ||
			   nft_is(nft_peek(nft), "last")) {
			if (!nft_inner_statements(nft, &element->statements, &element->statement_count))
				return false;
		} else {
			return true;
		}
	}
}

static bool element_data(struct nft *nft, struct element *element, const enum datatype *data, size_t data_count)
{
	struct verdict verdict;

	nft_skip_newlines(nft);
	if (nft_verdict(nft, &verdict)) {
		element->data = expr_verdict(nft->arena, verdict.kind, verdict.chain);
		return true;
	}
	if (data_count == 1 && data[0] == TYPE_ADDRESS) /* of nat: the value says which */
		element->data = parse_concat(nft, TYPE_PORT);
	else
		element->data = concat_value(nft, data, data_count);
	return element->data != NULL;
}

bool nft_elements(struct nft *nft, struct expr *set, const enum datatype *key, size_t key_count,
		  const enum datatype *data, size_t data_count)
{
	static const enum datatype any = TYPE_ADDRESS;

	if (nft->depth >= DEPTH_MAX)
		return false;
	nft->depth++;
	for (;;) {
		struct element element = {};

		nft_skip_newlines(nft);
		if (nft_accept(nft, "}"))
			break;
		element.key = concat_value(nft, key, key_count);
		if (!element.key || !element_options(nft, &element))
			return false;
		if (nft_accept(nft, ":") &&
		    (!element_data(nft, &element, data_count ? data : &any, data_count ? data_count : 1) ||
		     !element_options(nft, &element)))
			return false;
		*expr_set_add(nft->arena, set, NULL, NULL) = element;
		nft_skip_newlines(nft);
		if (!nft_accept(nft, ",") && !nft_is(nft_peek(nft), "}"))
			return false;
	}
	nft->depth--;
	return true;
}

struct expr *nft_set(struct nft *nft, const enum datatype *key, size_t key_count, const enum datatype *data,
		     size_t data_count)
{
	struct expr *set = expr_set(nft->arena, key_count == 1 ? key[0] : TYPE_NONE);
	unsigned depth = nft->depth;
	bool whole = nft_elements(nft, set, key, key_count, data, data_count);

	nft->depth = depth;
	return whole ? set : NULL;
}
