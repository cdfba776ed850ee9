/*
 * `ip route`, `ip -6 route`, of one table or of all; `ip rule`; `route -n`.
 *
 *   default via 10.0.0.1 dev eth0 proto dhcp src 10.0.0.7 metric 100
 *   blackhole 100.64.0.0/10
 *   local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1
 *   10.9.0.0/16 proto static
 *           nexthop via 10.0.0.1 dev eth0 weight 1
 */
#include "facts/field.h"
#include "facts/parse.h"

#include <string.h>
#include <sys/socket.h>

struct routes_parser {
	struct reader *reader;
	const struct asked *asked;
	bool tables; /* a route of another table than the one asked for was seen: these are all tables */
	bool seen4, seen6;
	size_t first; /* routes before this one are of other captures */
	size_t last;  /* index of the route that lines with nexthops belong to; SIZE_MAX: none */
	bool known;   /* they belong to one that another capture showed already */
};

/* Words without a value. */
static bool is_nexthop_flag(struct span word)
{
	static const char *const flags[] = {"onlink",	  "linkdown", "dead",	    "pervasive", "offload",
					    "trap",	  "notify",   "rt_offload", "rt_trap",	 "rt_offload_failed",
					    "unresolved", "cache"};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (span_is(word, flags[i]))
			return true;
	return false;
}

static struct nexthop *first_nexthop(struct routes_parser *parser, struct route *route)
{
	if (route->nexthop_count == 0)
		*reader_push(parser->reader, route->nexthops, route->nexthop_count) = (struct nexthop){};
	return &route->nexthops[route->nexthop_count - 1];
}

/* "via 10.0.0.1 dev eth0 weight 1 onlink" */
static bool take_nexthop_word(struct routes_parser *parser, struct route *route, struct span word, struct span *rest)
{
	struct reader *reader = parser->reader;
	struct nexthop *nexthop;
	struct span value;

	if (span_is(word, "nexthop")) {
		*reader_push(reader, route->nexthops, route->nexthop_count) = (struct nexthop){};
		return true;
	}
	if (is_nexthop_flag(word)) {
		nexthop = first_nexthop(parser, route);
		texts_push(reader->pool->arena, &nexthop->flags, &nexthop->flag_count, reader_intern(reader, word));
		return true;
	}
	if (!span_is(word, "via") && !span_is(word, "dev") && !span_is(word, "weight"))
		return false;
	nexthop = first_nexthop(parser, route);
	if (!span_word(rest, &value))
		return true;
	if (span_is(word, "dev")) {
		nexthop->dev = reader_intern(reader, value);
	} else if (span_is(word, "weight")) {
		nexthop->weight = span_to_number(value);
	} else {
		if (span_is(value, "inet") || span_is(value, "inet6"))
			span_word(rest, &value);
		span_ip(value, &nexthop->via);
	}
	return true;
}

static void take_route_words(struct routes_parser *parser, struct route *route, struct span rest)
{
	struct reader *reader = parser->reader;
	struct span word, value;

	while (span_word(&rest, &word)) {
		if (take_nexthop_word(parser, route, word, &rest))
			continue;
		if (!span_word(&rest, &value))
			break;
		if (span_is(value, "lock") && !span_word(&rest, &value)) /* mtu lock 1400 */
			break;
		if (span_is(word, "table"))
			route->table = reader_intern(reader, value);
		else if (span_is(word, "proto"))
			route->protocol = reader_intern(reader, value);
		else if (span_is(word, "scope"))
			route->scope = reader_intern(reader, value);
		else if (span_is(word, "src"))
			span_ip(value, &route->source);
		else if (span_is(word, "metric"))
			route->metric = span_to_number(value);
		else if (span_is(word, "tos"))
			route->tos = span_to_number(value);
		else if (span_is(word, "from"))
			span_prefix(value, &route->from);
		else if (span_is(word, "mtu"))
			route->mtu = span_to_number(value);
		else if (span_is(word, "pref") && !route->family)
			route->family = AF_INET6; /* only IPv6 has a preference */
	}
}

/* The destination, and the family as far as it shows. */
static bool take_destination(struct route *route, struct span word)
{
	if (span_is(word, "default"))
		return true;
	if (!span_prefix(word, &route->to))
		return false;
	route->family = route->to.ip.family;
	return true;
}

static void settle_family(struct routes_parser *parser, struct route *route)
{
	for (size_t i = 0; i < route->nexthop_count && !route->family; i++)
		route->family = route->nexthops[i].via.family;
	if (!route->family)
		route->family = route->source.family;
	if (!route->family)
		route->family = parser->asked->family == FAMILY_IP6 ? AF_INET6 : AF_INET;
	if (!route->to.ip.family)
		route->to.ip.family = route->family;
	parser->seen4 = parser->seen4 || route->family == AF_INET;
	parser->seen6 = parser->seen6 || route->family == AF_INET6;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_nexthops(const struct route *a, const struct route *b)
{
	if (a->nexthop_count != b->nexthop_count)
		return false;
	for (size_t i = 0; i < a->nexthop_count; i++)
		if (!ip_equal(&a->nexthops[i].via, &b->nexthops[i].via) ||
		    !same_text(a->nexthops[i].dev, b->nexthops[i].dev))
			return false;
	return true;
}

/* Nexthops of a multipath route stand on lines of their own, which are not read yet. */
static bool may_be_same_nexthops(const struct route *a, const struct route *b)
{
	return same_nexthops(a, b) || (a->nexthop_count > 1 && b->nexthop_count == 0);
}

bool route_is_known(const struct facts *facts, size_t count, const struct route *route)
{
	for (size_t i = 0; i < count; i++) {
		const struct route *other = &facts->routes[i];

		if (other->family == route->family && other->type == route->type &&
		    other->to.length == route->to.length && ip_equal(&other->to.ip, &route->to.ip) &&
		    same_text(other->table, route->table) && other->metric.known == route->metric.known &&
		    other->metric.value == route->metric.value && other->tos.value == route->tos.value &&
		    other->from.length == route->from.length && may_be_same_nexthops(other, route))
			return true;
	}
	return false;
}

static void take_nexthop_line(struct routes_parser *parser, struct span line)
{
	struct route *route;

	if (parser->known)
		return;
	route = &parser->reader->facts->routes[parser->last];
	take_route_words(parser, route, line);
	route->text = arena_printf(parser->reader->pool->arena, "%s %.*s", route->text, (int)line.length, line.at);
}

static void take_route(struct routes_parser *parser, struct span line)
{
	struct reader *reader = parser->reader;
	struct facts *facts = reader->facts;
	struct route route = {.type = ROUTE_TYPE_UNICAST, .origin = reader_origin(reader)};
	struct span rest = line, word;
	uint64_t type;

	if (!span_word(&rest, &word))
		return;
	if (span_is(word, "nexthop") && (parser->last != SIZE_MAX || parser->known)) {
		take_nexthop_line(parser, line);
		return;
	}
	if (symbol_find(TYPE_ROUTE_TYPE, word.at, word.length, &type)) {
		route.type = (uint8_t)type;
		span_word(&rest, &word);
	}
	if (!take_destination(&route, word)) {
		reader_ignored(reader, line);
		return;
	}
	take_route_words(parser, &route, rest);
	settle_family(parser, &route);
	parser->tables = parser->tables || route.table;
	if (!route.table)
		route.table = parser->asked->table ? parser->asked->table : "main";
	route.text = arena_strndup(reader->pool->arena, line.at, line.length);
	reader->capture->items++;
	parser->last = SIZE_MAX;
	parser->known = route_is_known(facts, parser->first, &route);
	if (parser->known)
		return;
	*reader_push(reader, facts->routes, facts->route_count) = route;
	parser->last = facts->route_count - 1;
}

static void cover(struct routes_parser *parser, uint8_t family)
{
	struct reader *reader = parser->reader;
	struct facts *facts = reader->facts;
	bool all = parser->tables || parser->asked->all_tables;
	const char *table = all ? NULL : parser->asked->table ? parser->asked->table : "main";

	*reader_push(reader, facts->route_coverage, facts->route_coverage_count) =
		(struct route_coverage){family, table, reader_origin(reader)};
}

static void cover_families(struct routes_parser *parser)
{
	bool v6 = parser->asked->family == FAMILY_IP6 || parser->seen6;
	bool v4 = parser->asked->family != FAMILY_IP6 && (parser->asked->family == FAMILY_IP || parser->seen4 || !v6);

	if (v4)
		cover(parser, AF_INET);
	if (v6)
		cover(parser, AF_INET6);
}

void parse_routes(struct reader *reader, const struct asked *asked)
{
	struct routes_parser parser = {
		.reader = reader, .asked = asked, .first = reader->facts->route_count, .last = SIZE_MAX};
	struct span line;

	while (reader_line(reader, &line))
		take_route(&parser, line);
	cover_families(&parser);
}

/* "0.0.0.0  192.168.178.1  0.0.0.0  UG  2  0  0 eth5" of net-tools' route -n */
void parse_route_n(struct reader *reader, const struct asked *asked)
{
	struct routes_parser parser = {
		.reader = reader, .asked = asked, .first = reader->facts->route_count, .last = SIZE_MAX, .seen4 = true};
	struct facts *facts = reader->facts;
	struct span line;

	while (reader_line(reader, &line)) {
		struct span rest = line, words[8] = {};
		struct route route = {.family = AF_INET,
				      .type = ROUTE_TYPE_UNICAST,
				      .table = "main",
				      .origin = reader_origin(reader)};
		struct nexthop nexthop = {};
		struct ip mask;
		size_t count = 0;

		while (count < 8 && span_word(&rest, &words[count]))
			count++;
		if (count == 0 || span_is(words[0], "Kernel") || span_is(words[0], "Destination"))
			continue;
		if (span_is(words[0], "default"))
			words[0] = span_of("0.0.0.0");
		if (count < 8 || !span_ip(words[0], &route.to.ip) || !span_ip(words[2], &mask) ||
		    !mask_length(&mask, &route.to.length)) {
			reader_ignored(reader, line);
			continue;
		}
		if (span_find_char(words[3], '!') != SIZE_MAX)
			route.type = ROUTE_TYPE_UNREACHABLE;
		if (span_find_char(words[3], 'G') != SIZE_MAX)
			span_ip(words[1], &nexthop.via);
		nexthop.dev = reader_intern(reader, words[7]);
		route.metric = span_to_number(words[4]);
		if (route.metric.value == 0)
			route.metric = (struct number){};
		*reader_push(reader, route.nexthops, route.nexthop_count) = nexthop;
		route.text = arena_strndup(reader->pool->arena, line.at, line.length);
		reader->capture->items++;
		if (!route_is_known(facts, parser.first, &route))
			*reader_push(reader, facts->routes, facts->route_count) = route;
	}
	cover_families(&parser);
}

static bool take_range(struct span text, struct port_range *ret)
{
	struct span last = text, first = span_cut(&last, '-');
	uint64_t a, b;

	if (!span_number(first, &a))
		return false;
	b = a;
	if (first.length < text.length && !span_number(last, &b))
		return false;
	*ret = (struct port_range){true, (uint16_t)a, (uint16_t)b};
	return a <= UINT16_MAX && b <= UINT16_MAX;
}

/* What the rule does. False: the word is none of these. */
static bool take_action(struct reader *reader, struct policy_rule *rule, struct span word, struct span *rest)
{
	struct span value;

	if (span_is(word, "lookup") || span_is(word, "table")) {
		rule->action = POLICY_RULE_LOOKUP;
		if (!span_word(rest, &value))
			return true;
		rule->l3mdev = rule->l3mdev || span_is(value, "[l3mdev-table]"); /* of the packet's VRF */
		if (!span_is(value, "[l3mdev-table]"))
			rule->table = reader_intern(reader, value);
	} else if (span_is(word, "goto")) {
		rule->action = POLICY_RULE_GOTO;
		if (span_word(rest, &value))
			rule->goto_priority = span_to_number(value);
	} else if (span_is(word, "blackhole")) {
		rule->action = POLICY_RULE_BLACKHOLE;
	} else if (span_is(word, "unreachable")) {
		rule->action = POLICY_RULE_UNREACHABLE;
	} else if (span_is(word, "prohibit")) {
		rule->action = POLICY_RULE_PROHIBIT;
	} else if (span_is(word, "nop")) {
		rule->action = POLICY_RULE_NOP;
	} else {
		return false;
	}
	return true;
}

/* A word with a value. False: not understood, and the rule may apply to anything. */
static bool take_selector(struct reader *reader, struct policy_rule *rule, struct span word, struct span *rest)
{
	struct span value, mask;
	uint64_t number;

	if (span_is(word, "not"))
		return rule->negated = true;
	if (span_is(word, "l3mdev"))
		return rule->l3mdev = true;
	if (span_is(word, "[detached]") || span_is(word, "[unresolved]"))
		return true; /* the interface, or the rule to go to, is not there now */
	if (!span_word(rest, &value))
		return false;
	if (span_is(word, "from"))
		return span_is(value, "all") || span_prefix(value, &rule->from);
	if (span_is(word, "to"))
		return span_is(value, "all") || span_prefix(value, &rule->to);
	if (span_is(word, "iif"))
		return (rule->iif = reader_intern(reader, value));
	if (span_is(word, "oif"))
		return (rule->oif = reader_intern(reader, value));
	if (span_is(word, "fwmark")) {
		mask = value;
		rule->mark = span_to_number(span_cut(&mask, '/'));
		rule->mark_mask = mask.length ? span_to_number(mask) : number_of(UINT32_MAX);
		return rule->mark.known && rule->mark_mask.known;
	}
	if (span_is(word, "tos") || span_is(word, "dsfield"))
		return (rule->tos = span_to_number(value)).known;
	if (span_is(word, "ipproto")) {
		if (span_number(value, &number) || symbol_find(TYPE_PROTOCOL, value.at, value.length, &number))
			rule->protocol = number_of(number);
		return rule->protocol.known;
	}
	if (span_is(word, "sport"))
		return take_range(value, &rule->sport);
	if (span_is(word, "dport"))
		return take_range(value, &rule->dport);
	if (span_is(word, "uidrange")) {
		rule->uid_first = span_to_number(span_cut(&value, '-'));
		rule->uid_last = span_to_number(value);
		return rule->uid_first.known;
	}
	if (span_is(word, "suppress_prefixlength"))
		return (rule->suppress_prefix_length = span_to_number(value)).known;
	if (span_is(word, "suppress_ifgroup")) {
		rule->suppress_group = span_is(value, "default") ? number_of(0) : span_to_number(value);
		return rule->suppress_group.known;
	}
	return span_is(word, "proto") || span_is(word, "protocol") || span_is(word, "realms");
}

static bool take_policy_rule(struct reader *reader, const struct asked *asked, struct span line)
{
	struct facts *facts = reader->facts;
	struct policy_rule rule = {.origin = reader_origin(reader)};
	struct span rest = line, priority = span_cut(&rest, ':'), word;

	rule.priority = span_to_number(span_trim(priority));
	if (!rule.priority.known || priority.length == line.length)
		return false;
	while (span_word(&rest, &word)) {
		struct span before = {word.at, (size_t)(rest.at + rest.length - word.at)};

		if (take_action(reader, &rule, word, &rest) || take_selector(reader, &rule, word, &rest))
			continue;
		rule.rest = reader_intern(reader, span_trim(before));
		break;
	}
	if (rule.action == POLICY_RULE_NONE)
		rule.action = rule.l3mdev ? POLICY_RULE_LOOKUP : POLICY_RULE_UNKNOWN;
	rule.family = rule.from.ip.family ? rule.from.ip.family : rule.to.ip.family;
	if (!rule.family)
		rule.family = asked->family == FAMILY_IP6 ? AF_INET6 : AF_INET;
	rule.text = arena_strndup(reader->pool->arena, line.at, line.length);
	*reader_push(reader, facts->policy_rules, facts->policy_rule_count) = rule;
	reader->capture->items++;
	return true;
}

void parse_policy_rules(struct reader *reader, const struct asked *asked)
{
	struct span line;

	*(asked->family == FAMILY_IP6 ? &reader->facts->policy_rules6_known : &reader->facts->policy_rules4_known) =
		TRUTH_YES;
	while (reader_line(reader, &line))
		if (line.length > 0 && !take_policy_rule(reader, asked, line))
			reader_ignored(reader, line);
}
