/*
 * From an option of a match to the comparison it means. What cannot be read (a blanked MAC, a name nobody knows here)
 * becomes a comparison with an unknown value, so that a verdict that depends on it will say so.
 */
#include "facts/xt.h"

#include <string.h>
#include <sys/socket.h>

static enum match_op equal_or_not(bool negated)
{
	return negated ? MATCH_NEQ : MATCH_EQ;
}

struct expr *xt_unknown_value(struct xt_build *build, struct span text)
{
	rule_gap(build->reader->pool, build->rule, "value %.*s", (int)(text.length < 80 ? text.length : 80), text.at);
	return expr_unknown(build->reader->pool, text);
}

/* A number or a word of the type; NULL: neither. */
static struct expr *read_value(struct xt_build *build, enum datatype type, struct span text)
{
	uint64_t value;

	if (span_number(text, &value) || symbol_find(type, text.at, text.length, &value))
		return expr_number(build->arena, type, value);
	return NULL;
}

/* "5", "5:10", ":10", "5:", "1024-65535" */
static struct expr *read_range(struct xt_build *build, enum datatype type, struct span text, char separator,
			       uint64_t top)
{
	size_t at = span_find_char(text, separator);
	struct expr *first, *last;
	struct span a, b;

	if ((first = read_value(build, type, text)))
		return first;
	if (at == SIZE_MAX)
		return xt_unknown_value(build, text);
	a = span_first(text, at);
	b = span_skip(text, at + 1);
	first = a.length ? read_value(build, type, a) : expr_number(build->arena, type, 0);
	last = b.length ? read_value(build, type, b) : expr_number(build->arena, type, top);
	if (!first || !last)
		return xt_unknown_value(build, text);
	return first->number == last->number ? first : expr_range(build->arena, first, last);
}

struct expr *xt_port(struct xt_build *build, struct span text, char separator)
{
	return read_range(build, TYPE_PORT, text, separator, 65535);
}

static struct expr *option_field(struct xt_build *build, const struct xt_option *option)
{
	struct expr *field = expr_field(build->arena, xt_field(build->family, option->field));

	field->field.direction = (enum ct_direction)option->extra;
	return field;
}

static void match_protocol(struct xt_build *build, bool negated, struct span text)
{
	struct expr *value = read_value(build, TYPE_PROTOCOL, text);

	if (value && value->number == 0 && !span_is(text, "hopopt"))
		return; /* every protocol */
	if (span_is_nocase(text, "all"))
		return;
	if (!value)
		value = xt_unknown_value(build, text);
	rule_match(build->arena, build->rule, expr_field(build->arena, FIELD_META_L4PROTO), equal_or_not(negated),
		   value);
}

/* "10.0.0.0/255.0.255.0": a mask with holes. */
static struct expr *masked_field(struct xt_build *build, struct expr *field, const struct ip *mask)
{
	return expr_binary(build->arena, BINARY_AND, field, expr_ip(build->arena, mask));
}

/* "10.0.0.0/8,192.168.0.0/16": iptables makes a rule of each, which together are one rule with a set. */
static struct expr *address_list(struct xt_build *build, struct span text)
{
	struct expr *set = expr_set(build->arena, TYPE_NONE);

	while (text.length > 0) {
		struct span word = span_cut(&text, ',');
		struct prefix prefix;
		struct expr *key =
			span_prefix(word, &prefix) ? expr_prefix(build->arena, &prefix) : xt_unknown_value(build, word);

		set->type = key->type;
		expr_set_add(build->arena, set, key, NULL);
	}
	return set;
}

static void match_address(struct xt_build *build, struct expr *field, bool negated, struct span text)
{
	size_t slash = span_find_char(text, '/');
	struct prefix prefix;
	struct ip ip, mask;
	struct expr *value = NULL;

	if (span_prefix(text, &prefix)) {
		if (prefix_is_all(&prefix) && !negated)
			return;
		value = expr_prefix(build->arena, &prefix);
	} else if (span_find_char(text, ',') != SIZE_MAX) {
		value = address_list(build, text);
	} else if (slash != SIZE_MAX && span_ip(span_first(text, slash), &ip) &&
		   span_ip(span_skip(text, slash + 1), &mask) && ip.family == mask.family) {
		prefix.ip = ip;
		if (mask_length(&mask, &prefix.length)) {
			if (prefix_is_all(&prefix) && !negated)
				return;
			value = expr_prefix(build->arena, &prefix);
		} else {
			for (int i = 0; i < 16; i++)
				ip.bytes[i] &= mask.bytes[i];
			field = masked_field(build, field, &mask);
			value = expr_ip(build->arena, &ip);
		}
	}
	if (!value)
		value = xt_unknown_value(build, text);
	rule_match(build->arena, build->rule, field, equal_or_not(negated), value);
}

struct expr *xt_address_or_range(struct xt_build *build, struct span text)
{
	size_t dash = span_find_char(text, '-');
	struct prefix prefix;
	struct ip first, last;

	if (span_prefix(text, &prefix))
		return expr_prefix(build->arena, &prefix);
	if (dash != SIZE_MAX && span_ip(span_first(text, dash), &first) && span_ip(span_skip(text, dash + 1), &last) &&
	    first.family == last.family)
		return expr_range(build->arena, expr_ip(build->arena, &first), expr_ip(build->arena, &last));
	return xt_unknown_value(build, text);
}

static void match_interface(struct xt_build *build, enum field field, bool negated, struct span text)
{
	bool wildcard = span_ends(text, "+");
	struct span name = wildcard ? span_first(text, text.length - 1) : text;
	struct expr *value;

	if (wildcard && name.length == 0 && !negated)
		return;
	value = expr_text(build->arena, wildcard ? EXPR_WILDCARD : EXPR_TEXT, TYPE_INTERFACE,
			  reader_intern(build->reader, name));
	rule_match(build->arena, build->rule, expr_field(build->arena, field), equal_or_not(negated), value);
}

static void match_fragment(struct xt_build *build, bool negated)
{
	struct expr *offset = expr_binary(build->arena, BINARY_AND, expr_field(build->arena, FIELD_IP_FRAG_OFF),
					  expr_number(build->arena, TYPE_INTEGER, 0x1fff));

	rule_match(build->arena, build->rule, offset, equal_or_not(!negated),
		   expr_number(build->arena, TYPE_INTEGER, 0));
}

/* "0x10/0xff" */
static bool convert_masked(struct xt_build *build, const struct xt_option *option, bool negated, struct span text)
{
	struct expr *field = option_field(build, option);
	struct span left = text, right;
	struct expr *value;
	uint64_t mask;

	right = left;
	left = span_cut(&right, '/');
	if (left.length == 0 && span_number(right, &mask)) { /* ebtables' "/0x2": any of these bits */
		rule_match(build->arena, build->rule, field, negated ? MATCH_NO_BIT : MATCH_ANY_BIT,
			   expr_number(build->arena, field->type, mask));
		return true;
	}
	value = read_value(build, field->type, left);
	if (!value || (left.length < text.length && !span_number(right, &mask)))
		value = xt_unknown_value(build, text);
	else if (left.length < text.length)
		field = expr_binary(build->arena, BINARY_AND, field, expr_number(build->arena, field->type, mask));
	rule_match(build->arena, build->rule, field, equal_or_not(negated), value);
	return true;
}

static const struct {
	const char *word;
	struct mac mac, mask;
} ethernet_words[] = {
	{"Unicast", {{0}, true}, {{1}, true}},
	{"Multicast", {{1}, true}, {{1}, true}},
	{"Broadcast", {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true}, {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true}},
	{"BGA", {{0x01, 0x80, 0xc2}, true}, {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true}},
};

static bool convert_mac(struct xt_build *build, const struct xt_option *option, bool negated, struct span text)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct expr *field = option_field(build, option), *value;
	struct span rest = text;
	struct mac mac = span_mac(span_cut(&rest, '/')), mask = span_mac(rest);

	for (size_t i = 0; i < sizeof(ethernet_words) / sizeof(*ethernet_words); i++) {
		if (span_is_nocase(text, ethernet_words[i].word)) {
			mac = ethernet_words[i].mac;
			mask = ethernet_words[i].mask;
		}
	}
	value = mac.known && (mask.known || rest.length == 0) ? expr_mac(build->arena, &mac)
							      : xt_unknown_value(build, text);
	if (mask.known && memcmp(mask.bytes, all, 6) != 0)
		field = expr_binary(build->arena, BINARY_AND, field, expr_mac(build->arena, &mask));
	rule_match(build->arena, build->rule, field, equal_or_not(negated), value);
	return true;
}

/* Names with commas, as bits of one number. SNAT and DNAT are states of their own in iptables. */
static bool read_bits(enum datatype type, struct span text, uint64_t *ret)
{
	uint64_t bits = 0, bit;

	while (text.length > 0) {
		struct span name = span_cut(&text, ',');

		if (!symbol_find(type, name.at, name.length, &bit) && !span_number(name, &bit))
			return false;
		bits |= bit;
	}
	*ret = bits;
	return true;
}

static bool convert_bits(struct xt_build *build, const struct xt_option *option, bool negated, struct span text)
{
	struct expr *field = option_field(build, option), *value;
	uint64_t bits;

	if (text.length > 0 && read_bits(field->type, text, &bits))
		value = expr_number(build->arena, field->type, bits);
	else
		value = xt_unknown_value(build, text);
	rule_match(build->arena, build->rule, field, negated ? MATCH_NO_BIT : MATCH_ANY_BIT, value);
	return true;
}

static struct expr *read_list(struct xt_build *build, enum datatype type, struct span text, bool ports)
{
	struct expr *set = expr_set(build->arena, type), *value;

	while (text.length > 0) {
		struct span word = span_cut(&text, ',');

		value = ports ? xt_port(build, word, ':') : read_value(build, type, word);
		expr_set_add(build->arena, set, value ? value : xt_unknown_value(build, word), NULL);
	}
	return set->set.count == 1 ? set->set.elements[0].key : set;
}

static bool convert_tcp_flags(struct xt_build *build, bool negated, struct span mask_text, struct span flags_text)
{
	struct expr *field = expr_field(build->arena, FIELD_TCP_FLAGS), *value;
	uint64_t mask = 0, flags = 0;

	mask = span_is_nocase(mask_text, "ALL") ? 0x3f : 0;
	flags = span_is_nocase(flags_text, "ALL") ? 0x3f : 0;
	if ((mask || span_is_nocase(mask_text, "NONE") || read_bits(TYPE_TCP_FLAG, mask_text, &mask)) &&
	    (flags || span_is_nocase(flags_text, "NONE") || read_bits(TYPE_TCP_FLAG, flags_text, &flags))) {
		field = expr_binary(build->arena, BINARY_AND, field, expr_number(build->arena, TYPE_TCP_FLAG, mask));
		value = expr_number(build->arena, TYPE_TCP_FLAG, flags);
	} else {
		value = xt_unknown_value(build, flags_text);
	}
	rule_match(build->arena, build->rule, field, equal_or_not(negated), value);
	return true;
}

/* Words of iptables for ICMP that stand for a type and a code (libxt_icmp.h); nftables' words for types come first. */
static const struct {
	const char *word;
	uint8_t type, first, last;
} icmp_words[] =
	{
		{"pong", 0, 0, 255},
		{"network-unreachable", 3, 0, 0},
		{"host-unreachable", 3, 1, 1},
		{"protocol-unreachable", 3, 2, 2},
		{"port-unreachable", 3, 3, 3},
		{"fragmentation-needed", 3, 4, 4},
		{"source-route-failed", 3, 5, 5},
		{"network-unknown", 3, 6, 6},
		{"host-unknown", 3, 7, 7},
		{"network-prohibited", 3, 9, 9},
		{"host-prohibited", 3, 10, 10},
		{"tos-network-unreachable", 3, 11, 11},
		{"tos-host-unreachable", 3, 12, 12},
		{"communication-prohibited", 3, 13, 13},
		{"host-precedence-violation", 3, 14, 14},
		{"precedence-cutoff", 3, 15, 15},
		{"network-redirect", 5, 0, 0},
		{"host-redirect", 5, 1, 1},
		{"tos-network-redirect", 5, 2, 2},
		{"tos-host-redirect", 5, 3, 3},
		{"ping", 8, 0, 255},
		{"ttl-exceeded", 11, 0, 255},
		{"ttl-zero-during-transit", 11, 0, 0},
		{"ttl-zero-during-reassembly", 11, 1, 1},
		{"ip-header-bad", 12, 0, 0},
		{"required-option-missing", 12, 1, 1},
},
  icmp6_words[] = {
	  {"no-route", 1, 0, 0},
	  {"communication-prohibited", 1, 1, 1},
	  {"beyond-scope", 1, 2, 2},
	  {"address-unreachable", 1, 3, 3},
	  {"port-unreachable", 1, 4, 4},
	  {"failed-policy", 1, 5, 5},
	  {"reject-route", 1, 6, 6},
	  {"ttl-exceeded", 3, 0, 255},
	  {"ttl-zero-during-transit", 3, 0, 0},
	  {"ttl-zero-during-reassembly", 3, 1, 1},
	  {"bad-header", 4, 0, 0},
	  {"unknown-header-type", 4, 1, 1},
	  {"unknown-option", 4, 2, 2},
	  {"ping", 128, 0, 255},
	  {"pong", 129, 0, 255},
	  {"router-solicitation", 133, 0, 255},
	  {"router-advertisement", 134, 0, 255},
	  {"neighbour-solicitation", 135, 0, 255},
	  {"neighbor-solicitation", 135, 0, 255},
	  {"neighbour-advertisement", 136, 0, 255},
	  {"neighbor-advertisement", 136, 0, 255},
	  {"redirect", 137, 0, 255},
};

struct icmp {
	uint64_t type_first, type_last, code_first, code_last;
};

static bool read_icmp_word(bool v6, struct span text, struct icmp *ret)
{
	size_t count = v6 ? sizeof(icmp6_words) / sizeof(*icmp6_words) : sizeof(icmp_words) / sizeof(*icmp_words);
	uint64_t type;

	if (symbol_find(v6 ? TYPE_ICMPV6_TYPE : TYPE_ICMP_TYPE, text.at, text.length, &type)) {
		*ret = (struct icmp){type, type, 0, 255};
		return true;
	}
	for (size_t i = 0; i < count; i++) {
		const char *word = v6 ? icmp6_words[i].word : icmp_words[i].word;

		if (!span_is_nocase(text, word))
			continue;
		type = v6 ? icmp6_words[i].type : icmp_words[i].type;
		*ret = (struct icmp){type, type, v6 ? icmp6_words[i].first : icmp_words[i].first,
				     v6 ? icmp6_words[i].last : icmp_words[i].last};
		return true;
	}
	return false;
}

static bool read_icmp_range(struct span text, uint64_t *first, uint64_t *last)
{
	struct span rest = text, start = span_cut(&rest, ':');

	if (!span_number(start, first))
		return false;
	*last = *first;
	return start.length == text.length || span_number(rest, last);
}

/* "8", "3/4", "echo-request", and ebtables' "1:10/0:255". */
static bool read_icmp(bool v6, struct span text, struct icmp *ret)
{
	struct span code = text, type = span_cut(&code, '/');

	if (read_icmp_word(v6, text, ret))
		return true;
	*ret = (struct icmp){.code_last = 255};
	if (!read_icmp_range(type, &ret->type_first, &ret->type_last))
		return false;
	return type.length == text.length || read_icmp_range(code, &ret->code_first, &ret->code_last);
}

static struct expr *span_expr(struct arena *arena, enum datatype type, uint64_t first, uint64_t last)
{
	struct expr *low = expr_number(arena, type, first);

	return first == last ? low : expr_range(arena, low, expr_number(arena, type, last));
}

static bool convert_icmp(struct xt_build *build, const struct xt_option *option, bool negated, struct span text)
{
	bool v6 = option->field == FIELD_ICMPV6_TYPE;
	struct expr *field = expr_field(build->arena, option->field), *value, *both;
	struct icmp icmp;

	if (span_is_nocase(text, "any") || (!v6 && (span_is(text, "255") || span_starts(text, "255/"))))
		return true;
	if (!read_icmp(v6, text, &icmp)) {
		rule_match(build->arena, build->rule, field, equal_or_not(negated), xt_unknown_value(build, text));
		return true;
	}
	value = span_expr(build->arena, field->type, icmp.type_first, icmp.type_last);
	if (icmp.code_first > 0 || icmp.code_last < 255) {
		enum field code = v6 ? FIELD_ICMPV6_CODE : FIELD_ICMP_CODE;
		struct expr *key = expr_concat(build->arena);

		both = expr_concat(build->arena);
		expr_concat_add(build->arena, both, field);
		expr_concat_add(build->arena, both, expr_field(build->arena, code));
		expr_concat_add(build->arena, key, value);
		expr_concat_add(build->arena, key,
				span_expr(build->arena, field_info(code)->type, icmp.code_first, icmp.code_last));
		field = both;
		value = expr_set(build->arena, TYPE_NONE);
		expr_set_add(build->arena, value, key, NULL);
	}
	rule_match(build->arena, build->rule, field, equal_or_not(negated), value);
	return true;
}

static bool convert_route_types(struct xt_build *build, const struct xt_given *given, const struct xt_given *all,
				size_t count)
{
	uint8_t flags = (uint8_t)given->option->extra;
	struct expr *value;

	for (size_t i = 0; i < count; i++)
		if (all[i].option && all[i].option->kind == XT_ROUTE_LIMIT)
			flags |= (uint8_t)all[i].option->extra;
	value = read_list(build, TYPE_ROUTE_TYPE, build->words[given->first], false);
	rule_match(build->arena, build->rule, expr_fib(build->arena, flags, FIB_RESULT_TYPE),
		   equal_or_not(given->negated), value);
	return true;
}

static bool convert_ipset(struct xt_build *build, const struct xt_given *given)
{
	struct expr *set = expr_new(build->arena, EXPR_IPSET, TYPE_NONE);
	struct span directions = build->words[given->first + 1];

	set->ipset.name = reader_intern(build->reader, build->words[given->first]);
	while (directions.length > 0 && set->ipset.dimension < 8) {
		struct span direction = span_cut(&directions, ',');

		if (span_is(direction, "dst"))
			set->ipset.directions |= (uint8_t)(1u << set->ipset.dimension);
		else if (!span_is(direction, "src"))
			rule_gap(build->reader->pool, build->rule, "direction %.*s", (int)direction.length,
				 direction.at);
		set->ipset.dimension++;
	}
	rule_match(build->arena, build->rule, NULL, equal_or_not(given->negated), set);
	return true;
}

static bool convert_number(struct xt_build *build, const struct xt_given *given, struct span text)
{
	const struct xt_option *option = given->option;
	struct expr *field = option_field(build, option), *value;
	enum match_op op = equal_or_not(given->negated);

	if (option->kind == XT_LESS || option->kind == XT_GREATER) {
		bool less = option->kind == XT_LESS;

		value = read_value(build, field->type, text);
		op = less ? (given->negated ? MATCH_GE : MATCH_LT) : (given->negated ? MATCH_LE : MATCH_GT);
	} else if (field->type == TYPE_ETHERTYPE && span_is_nocase(text, "length")) {
		value = expr_number(build->arena, field->type, 0x0600); /* IEEE 802.3: a length, not a type */
		op = given->negated ? MATCH_GE : MATCH_LT;
	} else if (field->type == TYPE_ETHERTYPE && !span_starts(text, "0x") &&
		   !symbol_find(field->type, text.at, text.length, &(uint64_t){0})) {
		char hex[16] = "0x"; /* ebtables reads and prints these in hexadecimal */

		memcpy(hex + 2, text.at, text.length < 8 ? text.length : 8);
		value = read_value(build, field->type, text.length <= 8 ? span_of(hex) : text);
	} else {
		value = read_range(build, field->type, text, span_find_char(text, ':') == SIZE_MAX ? '-' : ':',
				   UINT32_MAX);
	}
	if (!value)
		value = xt_unknown_value(build, text);
	rule_match(build->arena, build->rule, field, op, value);
	return true;
}

/* Seconds, as milliseconds. */
static bool convert_milliseconds(struct xt_build *build, const struct xt_given *given, struct span text)
{
	struct expr *field = option_field(build, given->option);
	struct expr *value = read_range(build, field->type, text, ':', UINT32_MAX);

	if (value->kind == EXPR_NUMBER) {
		value->number *= 1000;
	} else if (value->kind == EXPR_RANGE) {
		value->pair.left->number *= 1000;
		value->pair.right->number = value->pair.right->number * 1000 + 999;
	}
	rule_match(build->arena, build->rule, field, equal_or_not(given->negated), value);
	return true;
}

static bool convert_bit(struct xt_build *build, const struct xt_given *given)
{
	struct expr *field = expr_field(build->arena, given->option->field);

	if (given->option->field == FIELD_IP_FRAG_OFF)
		match_fragment(build, given->negated);
	else
		rule_match(build->arena, build->rule, field, given->negated ? MATCH_NO_BIT : MATCH_ANY_BIT,
			   expr_number(build->arena, field->type, given->option->extra));
	return true;
}

static bool convert_tcp_option(struct xt_build *build, const struct xt_given *given, struct span text)
{
	const char *name = arena_printf(build->arena, "tcp option %.*s", (int)text.length, text.at);

	rule_match(build->arena, build->rule, expr_other_field(build->arena, name, TYPE_BOOLEAN), MATCH_EQ,
		   expr_number(build->arena, TYPE_BOOLEAN, !given->negated));
	return true;
}

static void add_comment(struct xt_build *build, struct span text)
{
	build->rule->comment = build->rule->comment ? arena_printf(build->arena, "%s %.*s", build->rule->comment,
								   (int)text.length, text.at)
						    : arena_strndup(build->arena, text.at, text.length);
}

bool xt_convert(struct xt_build *build, const struct xt_option *option, const struct xt_given *given,
		const struct xt_given *all, size_t count)
{
	struct span text = option->values ? build->words[given->first] : (struct span){"", 0};
	struct expr *field;

	switch (option->kind) {
	case XT_KEEP:
		return false;
	case XT_IGNORED:
	case XT_ROUTE_LIMIT:
		return true;
	case XT_COMMENT:
		add_comment(build, text);
		return true;
	case XT_NUMBER:
	case XT_LESS:
	case XT_GREATER:
	case XT_SYMBOL:
		if (option->field == FIELD_META_L4PROTO && build->family != FAMILY_BRIDGE)
			match_protocol(build, given->negated, text);
		else
			convert_number(build, given, text);
		return true;
	case XT_MILLISECONDS:
		return convert_milliseconds(build, given, text);
	case XT_PORT:
	case XT_PORTS:
		field = option_field(build, option);
		rule_match(build->arena, build->rule, field, equal_or_not(given->negated),
			   option->kind == XT_PORT ? xt_port(build, text, ':')
						   : read_list(build, TYPE_PORT, text, true));
		return true;
	case XT_ADDRESS:
		match_address(build, option_field(build, option), given->negated, text);
		return true;
	case XT_ADDRESS_RANGE:
		rule_match(build->arena, build->rule, option_field(build, option), equal_or_not(given->negated),
			   xt_address_or_range(build, text));
		return true;
	case XT_MASKED:
		return convert_masked(build, option, given->negated, text);
	case XT_MAC:
		return convert_mac(build, option, given->negated, text);
	case XT_INTERFACE:
		match_interface(build, option->field, given->negated, text);
		return true;
	case XT_TEXT:
		rule_match(build->arena, build->rule, option_field(build, option), equal_or_not(given->negated),
			   expr_text(build->arena, EXPR_TEXT, TYPE_STRING, reader_intern(build->reader, text)));
		return true;
	case XT_BITS:
		return convert_bits(build, option, given->negated, text);
	case XT_NAMES:
		field = option_field(build, option);
		rule_match(build->arena, build->rule, field, equal_or_not(given->negated),
			   read_list(build, field->type, text, false));
		return true;
	case XT_TRUE:
		rule_match(build->arena, build->rule, option_field(build, option), MATCH_EQ,
			   expr_number(build->arena, TYPE_BOOLEAN, !given->negated));
		return true;
	case XT_BIT:
		return convert_bit(build, given);
	case XT_TCP_FLAGS:
		return convert_tcp_flags(build, given->negated, text, build->words[given->first + 1]);
	case XT_SYN:
		return convert_tcp_flags(build, given->negated, span_of("FIN,SYN,RST,ACK"), span_of("SYN"));
	case XT_TCP_OPTION:
		return convert_tcp_option(build, given, text);
	case XT_ICMP:
	case XT_EB_ICMP:
		return convert_icmp(build, option, given->negated, text);
	case XT_ROUTE_TYPES:
		return convert_route_types(build, given, all, count);
	case XT_IPSET:
		return convert_ipset(build, given);
	}
	return false;
}

struct argument *xt_arguments(struct xt_build *build, const struct xt_given *given, size_t count, size_t *ret_count)
{
	struct argument *arguments = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct argument *argument = arena_push(build->arena, arguments, *ret_count);
		const struct span *first = &build->words[given[i].first], *last = first + given[i].count;

		*argument = (struct argument){.name = reader_intern(build->reader, given[i].name),
					      .negated = given[i].negated};
		for (const struct span *word = first; word < last; word++)
			argument->value = argument->value ? arena_printf(build->arena, "%s %.*s", argument->value,
									 (int)word->length, word->at)
							  : arena_strndup(build->arena, word->at, word->length);
	}
	return arguments;
}

void xt_condition(struct xt_build *build, const char *name, enum condition_reason reason, const struct xt_given *given,
		  size_t count)
{
	struct statement *statement = rule_add(build->arena, build->rule, STATEMENT_CONDITION);

	statement->condition.name = name;
	statement->condition.reason = reason;
	statement->condition.arguments = xt_arguments(build, given, count, &statement->condition.argument_count);
}
