/*
 * `ipset save` and `ipset list`. An element has one part for each part of its set's type; a port is two parts, the
 * protocol and the port, so that elements and keys (ipset_key) have the same shape. ipset(8).
 */
#include "facts/build.h"
#include "facts/parse.h"

#include <string.h>
#include <sys/socket.h>

struct sets_parser {
	struct reader *reader;
	size_t set;		 /* index of the set being read; SIZE_MAX: none */
	bool members;		 /* ipset list: lines are elements */
	struct number *netmasks; /* of each set: an address stands for all that share so many bits with it */
	size_t netmask_count;
};

static struct set *current(const struct sets_parser *parser)
{
	return parser->set == SIZE_MAX ? NULL : &parser->reader->ruleset->ipsets[parser->set];
}

static struct set *use_set(struct sets_parser *parser, struct span name)
{
	struct ruleset *ruleset = parser->reader->ruleset;
	const char *kept = reader_intern(parser->reader, name);
	struct set *set = parser->set != SIZE_MAX && current(parser)->name == kept ? current(parser)
										   : ruleset_ipset(ruleset, kept);

	if (!set) {
		set = reader_push(parser->reader, ruleset->ipsets, ruleset->ipset_count);
		*set = (struct set){.kind = SET_IPSET, .name = kept, .origin = reader_origin(parser->reader)};
		*reader_push(parser->reader, parser->netmasks, parser->netmask_count) = (struct number){};
	}
	parser->set = (size_t)(set - ruleset->ipsets);
	return set;
}

/* "family inet hashsize 1024 maxelem 65536 timeout 300 range 0-10000" */
static void take_options(struct sets_parser *parser, struct set *set, struct span rest)
{
	struct span word, value;
	uint64_t number;

	while (span_word(&rest, &word)) {
		struct span before = rest;

		if (!span_word(&rest, &value))
			break;
		if (span_is(word, "family"))
			set->family = span_is(value, "inet6") ? FAMILY_IP6 : FAMILY_IP;
		else if (span_is(word, "timeout") && span_number(value, &number))
			set->timeout = number_of(number * 1000);
		else if (span_is(word, "maxelem"))
			set->size = span_to_number(value);
		else if (span_is(word, "netmask"))
			parser->netmasks[parser->set] = span_to_number(value);
		else if (span_is(word, "counters") || span_is(word, "comment") || span_is(word, "skbinfo") ||
			 span_is(word, "forceadd"))
			rest = before; /* these have no value */
	}
}

/* "22", "80-90", "icmp:echo-request", "tcp:80": protocol and port. */
static void add_port(struct sets_parser *parser, struct expr *key, struct span text, bool bitmap)
{
	struct arena *arena = parser->reader->pool->arena;
	struct span port = text, protocol = span_cut(&port, ':');
	struct expr *value;
	uint64_t number, first, last;
	struct span b;

	if (protocol.length == text.length) {
		port = protocol;
		value = expr_set(arena, TYPE_PROTOCOL); /* a port alone is one of TCP or UDP */
		expr_set_add(arena, value, expr_number(arena, TYPE_PROTOCOL, 6), NULL);
		expr_set_add(arena, value, expr_number(arena, TYPE_PROTOCOL, 17), NULL);
		expr_concat_add(arena, key, bitmap ? value : expr_number(arena, TYPE_PROTOCOL, 6));
	} else if (span_number(protocol, &number) ||
		   symbol_find(TYPE_PROTOCOL, protocol.at, protocol.length, &number)) {
		expr_concat_add(arena, key, expr_number(arena, TYPE_PROTOCOL, number));
	} else {
		expr_concat_add(arena, key, expr_unknown(parser->reader->pool, protocol));
	}
	b = port;
	if (span_number(span_cut(&b, '-'), &first) && span_number(b, &last)) {
		expr_concat_add(
			arena, key,
			expr_range(arena, expr_number(arena, TYPE_PORT, first), expr_number(arena, TYPE_PORT, last)));
	} else if (span_number(port, &number) || symbol_find(TYPE_PORT, port.at, port.length, &number)) {
		expr_concat_add(arena, key, expr_number(arena, TYPE_PORT, number));
	} else {
		expr_concat_add(arena, key, expr_unknown(parser->reader->pool, port));
	}
}

static struct expr *read_address(struct sets_parser *parser, struct span text)
{
	struct arena *arena = parser->reader->pool->arena;
	struct number netmask = parser->netmasks[parser->set];
	struct span last = text, first = span_cut(&last, '-');
	struct prefix prefix;
	struct ip a, b;

	if (span_ip(text, &a) && number_or(netmask, UINT64_MAX) <= ip_bits(&a))
		return expr_prefix(arena, &(struct prefix){a, (uint8_t)netmask.value});
	if (span_prefix(text, &prefix))
		return prefix.length == 0 ? expr_new(arena, EXPR_ANY, TYPE_ADDRESS) : expr_prefix(arena, &prefix);
	if (span_ip(first, &a) && span_ip(last, &b) && a.family == b.family)
		return expr_range(arena, expr_ip(arena, &a), expr_ip(arena, &b));
	return expr_unknown(parser->reader->pool, text);
}

static void add_part(struct sets_parser *parser, struct expr *key, struct span part, struct span text, bool bitmap)
{
	struct reader *reader = parser->reader;
	struct arena *arena = reader->pool->arena;
	struct mac mac;
	uint64_t number;

	if (span_is(part, "port")) {
		add_port(parser, key, text, bitmap);
	} else if (span_is(part, "ip") || span_is(part, "net")) {
		expr_concat_add(arena, key, read_address(parser, text));
	} else if (span_is(part, "mac") && (mac = span_mac(text)).known) {
		expr_concat_add(arena, key, expr_mac(arena, &mac));
	} else if (span_is(part, "iface")) {
		if (span_starts(text, "physdev:")) /* the bridge port: no field of the key says that */
			expr_concat_add(arena, key, expr_unknown(reader->pool, text));
		else
			expr_concat_add(arena, key,
					expr_text(arena, EXPR_TEXT, TYPE_INTERFACE, reader_intern(reader, text)));
	} else if (span_is(part, "mark") && span_number(text, &number)) {
		expr_concat_add(arena, key, expr_number(arena, TYPE_MARK, number));
	} else if (span_is(part, "set")) {
		expr_concat_add(arena, key, expr_text(arena, EXPR_SET_REF, TYPE_NONE, reader_intern(reader, text)));
	} else {
		expr_concat_add(arena, key, expr_unknown(reader->pool, text));
	}
}

/* "192.168.1.1,tcp:80" of a set of type "hash:ip,port" */
static struct expr *read_key(struct sets_parser *parser, const struct set *set, struct span text)
{
	struct expr *key = expr_concat(parser->reader->pool->arena);
	struct span parts = span_of(set->type ? set->type : ""), method = span_cut(&parts, ':');

	if (parts.length == 0)
		return expr_unknown(parser->reader->pool, text);
	while (parts.length > 0) {
		struct span part = span_cut(&parts, ',');

		add_part(parser, key, part, span_cut(&text, ','), span_is(method, "bitmap"));
	}
	return key->concat.count == 1 ? key->concat.items[0] : key;
}

static void take_element(struct sets_parser *parser, struct span line)
{
	struct set *set = current(parser);
	struct reader *reader = parser->reader;
	struct span rest = line, word, value;
	struct element *element;
	uint64_t number;

	if (!span_word(&rest, &word))
		return;
	element = reader_push(reader, set->elements, set->element_count);
	*element = (struct element){.key = read_key(parser, set, word), .origin = reader_origin(reader)};
	while (span_word(&rest, &word)) {
		if (span_is(word, "nomatch"))
			element->nomatch = true;
		else if (span_is(word, "timeout") && span_word(&rest, &value) && span_number(value, &number))
			element->timeout = number_of(number * 1000);
		else if (span_is(word, "comment")) {
			element->comment = reader_intern(reader, span_trim(rest));
			break;
		}
	}
	reader->capture->items++;
}

/* "Name: x", "Type: hash:ip", "Header: family inet …", "Members:" */
static bool take_heading(struct sets_parser *parser, struct span line)
{
	struct span value = line, key = span_cut(&value, ':');

	if (key.length == line.length)
		return false;
	value = span_trim(value);
	if (span_is(key, "Name")) {
		use_set(parser, value)->elements_known = TRUTH_NO; /* until its members are shown */
		parser->members = false;
		return true;
	}
	if (!current(parser) || parser->members)
		return false;
	if (span_is(key, "Type")) {
		current(parser)->type = reader_intern(parser->reader, value);
	} else if (span_is(key, "Header")) {
		take_options(parser, current(parser), value);
	} else if (span_is(key, "Members")) {
		current(parser)->elements_known = TRUTH_YES;
		parser->members = true;
	} else {
		return span_is(key, "Revision") || span_is(key, "References") || span_starts(key, "Size in memory") ||
		       span_starts(key, "Number of entries");
	}
	return true;
}

static bool take_command(struct sets_parser *parser, struct span line)
{
	struct span rest = line, word, name, type;

	span_word(&rest, &word);
	if (span_is(word, "ipset"))
		span_word(&rest, &word);
	if (span_is(word, "create") || span_is(word, "-N")) {
		struct set *set;

		if (!span_word(&rest, &name) || !span_word(&rest, &type))
			return false;
		set = use_set(parser, name);
		set->type = reader_intern(parser->reader, type);
		set->elements_known = TRUTH_YES;
		take_options(parser, set, rest);
		return true;
	}
	if (span_is(word, "add") || span_is(word, "-A")) {
		if (!span_word(&rest, &name))
			return false;
		use_set(parser, name);
		take_element(parser, rest);
		return true;
	}
	return false;
}

void parse_ipset(struct reader *reader, const struct asked *asked)
{
	struct sets_parser parser = {.reader = reader, .set = SIZE_MAX};
	struct span line;

	reader->ruleset->ipsets_known = TRUTH_YES;
	while (reader_line(reader, &line)) {
		if (line.length == 0) {
			parser.members = false;
			continue;
		}
		if (take_heading(&parser, line) || (!parser.members && take_command(&parser, line)))
			continue;
		if (parser.members)
			take_element(&parser, line);
		else
			reader_ignored(reader, line);
	}
	reader->ruleset->ipsets_origin = reader_origin(reader);
	reader->ruleset->ipsets_origin.line = 0;
}
