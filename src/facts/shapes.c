/* The shape of every struct of facts: what JSON says, member by member, is what stands here. */
#include "facts/bundle.h"
#include "facts/shape.h"
#include "facts/stats.h"

#include <stddef.h>

#define NAMES(array) .names = array, .name_count = sizeof(array) / sizeof(*(array))
#define M(type, member, json, shape_kind, ...)                                                                         \
	{                                                                                                              \
		.name = json, .kind = shape_kind, .offset = offsetof(struct type, member), ##__VA_ARGS__               \
	}
#define TEXT(type, member, ...)	     M(type, member, #member, SHAPE_TEXT, ##__VA_ARGS__)
#define NUMBER(type, member)	     M(type, member, #member, SHAPE_NUMBER)
#define BOOL(type, member)	     M(type, member, #member, SHAPE_BOOL)
#define TRUTH(type, member)	     M(type, member, #member, SHAPE_TRUTH)
#define ORIGIN(type)		     M(type, origin, "origin", SHAPE_ORIGIN)
#define IP(type, member, ...)	     M(type, member, #member, SHAPE_IP, ##__VA_ARGS__)
#define PREFIX(type, member, ...)    M(type, member, #member, SHAPE_PREFIX, ##__VA_ARGS__)
#define NEEDED			     .required = true
#define TEXTS(type, member, counter) M(type, member, #member, SHAPE_TEXTS, .count = offsetof(struct type, counter))
#define LIST(type, member, counter, of)                                                                                \
	M(type, member, #member, SHAPE_LIST, .count = offsetof(struct type, counter), .shape = &of)
#define INSIDE(type, member, of) M(type, member, #member, SHAPE_STRUCT, .shape = &of)
#define SHAPE(type, members_, ...)                                                                                     \
	{                                                                                                              \
		.name = #type, .size = sizeof(struct type), .members = members_, ##__VA_ARGS__                         \
	}

static const struct shape shape_expr, shape_statement;

static const char *const verdict_names[] = {NULL, "accept", "drop", "continue", "return", "jump", "goto", "queue"};
static const struct member verdict_members[] = {M(verdict, kind, "kind", SHAPE_ENUM, NAMES(verdict_names), NEEDED),
						TEXT(verdict, chain),
						TEXT(verdict, queue),
						BOOL(verdict, bypass),
						{}};

static const char *check_verdict(const void *object)
{
	const struct verdict *verdict = object;
	bool jumps = verdict->kind == VERDICT_JUMP || verdict->kind == VERDICT_GOTO;

	return jumps && !verdict->chain ? "is a jump to no chain" : NULL;
}

static const struct shape shape_verdict = SHAPE(verdict, verdict_members, .check = check_verdict);

static const struct member element_members[] = {M(element, key, "key", SHAPE_POINTER, .shape = &shape_expr, NEEDED),
						M(element, data, "data", SHAPE_POINTER, .shape = &shape_expr),
						BOOL(element, nomatch),
						NUMBER(element, timeout),
						NUMBER(element, expires),
						TEXT(element, comment),
						LIST(element, statements, statement_count, shape_statement),
						ORIGIN(element),
						{}};
static const struct shape shape_element = SHAPE(element, element_members);

static const char *const expr_kinds[EXPR_KIND_COUNT] = {[EXPR_NUMBER] = "number",
							[EXPR_IP] = "ip",
							[EXPR_MAC] = "mac",
							[EXPR_TEXT] = "text",
							[EXPR_WILDCARD] = "wildcard",
							[EXPR_BYTES] = "bytes",
							[EXPR_ANY] = "any",
							[EXPR_PREFIX] = "prefix",
							[EXPR_RANGE] = "range",
							[EXPR_VERDICT] = "verdict",
							[EXPR_SET] = "set",
							[EXPR_SET_REF] = "named-set",
							[EXPR_IPSET] = "ipset",
							[EXPR_FIELD] = "field",
							[EXPR_FIB] = "fib",
							[EXPR_PAYLOAD] = "payload",
							[EXPR_GENERATED] = "generated",
							[EXPR_CONCAT] = "concat",
							[EXPR_BINARY] = "binary",
							[EXPR_MAP] = "map",
							[EXPR_UNKNOWN] = "unknown"};
static const char *const binary_names[] = {NULL, "&", "|", "^", "<<", ">>"};
static const char *const direction_names[] = {NULL, "original", "reply"};
static const char *const fib_flags[] = {"saddr", "daddr", "mark", "iif", "oif"};
static const char *const fib_results[] = {NULL, "oif", "oifname", "type"};
static const char *const payload_bases[] = {NULL, "ll", "nh", "th", "ih"};

#define KIND(kind) (1ull << (kind))
#define PAIRS	   (KIND(EXPR_RANGE) | KIND(EXPR_BINARY) | KIND(EXPR_MAP))
#define WITH_TEXT                                                                                                      \
	(KIND(EXPR_TEXT) | KIND(EXPR_WILDCARD) | KIND(EXPR_BYTES) | KIND(EXPR_SET_REF) | KIND(EXPR_GENERATED) |        \
	 KIND(EXPR_UNKNOWN))
#define E(member, json, shape_kind, kinds, ...) M(expr, member, json, shape_kind, .when = (kinds), ##__VA_ARGS__)

static const struct member expr_members[] = {
	M(expr, kind, "kind", SHAPE_ENUM, NAMES(expr_kinds), NEEDED),
	M(expr, type, "type", SHAPE_TYPE, .help = "of its value, in nftables' words"),
	E(number, "value", SHAPE_UINT64, KIND(EXPR_NUMBER), NEEDED),
	E(ip, "address", SHAPE_IP, KIND(EXPR_IP), NEEDED),
	E(mac, "mac", SHAPE_BYTES6, KIND(EXPR_MAC), NEEDED),
	E(text, "text", SHAPE_TEXT, WITH_TEXT, NEEDED),
	E(prefix, "prefix", SHAPE_PREFIX, KIND(EXPR_PREFIX), NEEDED),
	E(verdict, "verdict", SHAPE_STRUCT, KIND(EXPR_VERDICT), .shape = &shape_verdict, NEEDED),
	E(field.field, "field", SHAPE_FIELD, KIND(EXPR_FIELD),
	  .help = "\"ip saddr\", \"ct state\"; \"other\": see name", NEEDED),
	E(field.direction, "direction", SHAPE_ENUM, KIND(EXPR_FIELD), NAMES(direction_names)),
	E(field.name, "name", SHAPE_TEXT, KIND(EXPR_FIELD)),
	E(fib.flags, "of", SHAPE_BITS, KIND(EXPR_FIB), NAMES(fib_flags)),
	E(fib.result, "result", SHAPE_ENUM, KIND(EXPR_FIB), NAMES(fib_results), NEEDED),
	E(ipset.name, "ipset", SHAPE_TEXT, KIND(EXPR_IPSET), NEEDED),
	E(ipset.dimension, "dimension", SHAPE_UINT8, KIND(EXPR_IPSET), .help = "how many directions were given"),
	E(ipset.directions, "directions", SHAPE_UINT8, KIND(EXPR_IPSET), .help = "bit 0 is the first; 1: destination"),
	E(payload.base, "base", SHAPE_ENUM, KIND(EXPR_PAYLOAD), NAMES(payload_bases), NEEDED),
	E(payload.offset, "offset", SHAPE_UINT32, KIND(EXPR_PAYLOAD)),
	E(payload.length, "length", SHAPE_UINT32, KIND(EXPR_PAYLOAD)),
	E(pair.op, "op", SHAPE_ENUM, KIND(EXPR_BINARY), NAMES(binary_names), NEEDED),
	E(pair.left, "left", SHAPE_POINTER, PAIRS, .shape = &shape_expr, NEEDED),
	E(pair.right, "right", SHAPE_POINTER, PAIRS, .shape = &shape_expr, NEEDED),
	E(concat.items, "items", SHAPE_POINTERS, KIND(EXPR_CONCAT), .count = offsetof(struct expr, concat.count),
	  .shape = &shape_expr),
	E(set.elements, "elements", SHAPE_LIST, KIND(EXPR_SET), .count = offsetof(struct expr, set.count),
	  .shape = &shape_element),
	{}};

static const char *check_expr(const void *object)
{
	const struct expr *expr = object;

	return expr->kind == EXPR_IPSET && expr->ipset.dimension > 8 ? "looks up more than an ipset has" : NULL;
}

static const struct shape shape_expr = SHAPE(
	expr, expr_members, .help = "a value, a field of the packet, or what is made of them", .check = check_expr);

static const struct member argument_members[] = {
	TEXT(argument, name, NEEDED), BOOL(argument, negated), TEXT(argument, value), {}};
static const struct shape shape_argument = SHAPE(argument, argument_members);

static const char *const statement_kinds[STATEMENT_KIND_COUNT] = {
	[STATEMENT_MATCH] = "match",	       [STATEMENT_CONDITION] = "condition",
	[STATEMENT_VERDICT] = "verdict",       [STATEMENT_VERDICT_MAP] = "verdict-map",
	[STATEMENT_REJECT] = "reject",	       [STATEMENT_NAT] = "nat",
	[STATEMENT_ASSIGN] = "assign",	       [STATEMENT_NOTRACK] = "notrack",
	[STATEMENT_SET_UPDATE] = "set-update", [STATEMENT_DIVERT] = "divert",
	[STATEMENT_EFFECT] = "effect",	       [STATEMENT_UNKNOWN] = "unknown"};
static const char *const match_ops[] = {NULL, "==", "!=", "<", ">", "<=", ">=", "any-bit", "no-bit"};
static const char *const reasons[] = {NULL,	 "rate",  "chance", "time",    "payload",
				      "history", "local", "packet", "unknown", "lacking"};
static const char *const reject_kinds[] = {NULL, "icmp", "icmpv6", "icmpx", "tcp-reset"};
static const char *const nat_kinds[] = {NULL, "source", "destination", "masquerade", "redirect", "by-hook"};
static const char *const update_ops[] = {NULL, "add", "update", "delete", "meter"};

#define S(member, json, shape_kind, kinds, ...) M(statement, member, json, shape_kind, .when = (kinds), ##__VA_ARGS__)
#define ACTIONS					(KIND(STATEMENT_DIVERT) | KIND(STATEMENT_EFFECT))

static const struct member statement_members[] = {
	M(statement, kind, "kind", SHAPE_ENUM, NAMES(statement_kinds), NEEDED),
	S(match.left, "left", SHAPE_POINTER, KIND(STATEMENT_MATCH), .shape = &shape_expr),
	S(match.op, "op", SHAPE_ENUM, KIND(STATEMENT_MATCH), NAMES(match_ops), NEEDED),
	S(match.right, "right", SHAPE_POINTER, KIND(STATEMENT_MATCH), .shape = &shape_expr, NEEDED),
	S(condition.name, "name", SHAPE_TEXT, KIND(STATEMENT_CONDITION), NEEDED),
	S(condition.reason, "reason", SHAPE_ENUM, KIND(STATEMENT_CONDITION), NAMES(reasons),
	  .help = "why no packet shows whether it holds", NEEDED),
	S(condition.negated, "negated", SHAPE_BOOL, KIND(STATEMENT_CONDITION)),
	S(condition.arguments, "arguments", SHAPE_LIST, KIND(STATEMENT_CONDITION),
	  .count = offsetof(struct statement, condition.argument_count), .shape = &shape_argument),
	S(verdict, "verdict", SHAPE_STRUCT, KIND(STATEMENT_VERDICT), .shape = &shape_verdict, NEEDED),
	S(verdict_map.key, "key", SHAPE_POINTER, KIND(STATEMENT_VERDICT_MAP), .shape = &shape_expr, NEEDED),
	S(verdict_map.map, "map", SHAPE_POINTER, KIND(STATEMENT_VERDICT_MAP), .shape = &shape_expr, NEEDED),
	S(reject.with, "with", SHAPE_ENUM, KIND(STATEMENT_REJECT), NAMES(reject_kinds), NEEDED),
	S(reject.code, "code", SHAPE_NUMBER, KIND(STATEMENT_REJECT)),
	S(nat.kind, "nat", SHAPE_ENUM, KIND(STATEMENT_NAT), NAMES(nat_kinds), NEEDED),
	S(nat.address, "address", SHAPE_POINTER, KIND(STATEMENT_NAT), .shape = &shape_expr),
	S(nat.port, "port", SHAPE_POINTER, KIND(STATEMENT_NAT), .shape = &shape_expr),
	S(nat.address_is_both, "address_is_both", SHAPE_BOOL, KIND(STATEMENT_NAT)),
	S(nat.netmap, "netmap", SHAPE_BOOL, KIND(STATEMENT_NAT)),
	S(nat.base, "base", SHAPE_NUMBER, KIND(STATEMENT_NAT)),
	S(nat.random, "random", SHAPE_BOOL, KIND(STATEMENT_NAT)),
	S(nat.fully_random, "fully_random", SHAPE_BOOL, KIND(STATEMENT_NAT)),
	S(nat.persistent, "persistent", SHAPE_BOOL, KIND(STATEMENT_NAT)),
	S(assign.field, "field", SHAPE_POINTER, KIND(STATEMENT_ASSIGN), .shape = &shape_expr, NEEDED),
	S(assign.value, "value", SHAPE_POINTER, KIND(STATEMENT_ASSIGN), .shape = &shape_expr, NEEDED),
	S(update.op, "update", SHAPE_ENUM, KIND(STATEMENT_SET_UPDATE), NAMES(update_ops), NEEDED),
	S(update.set, "set", SHAPE_TEXT, KIND(STATEMENT_SET_UPDATE), NEEDED),
	S(update.ipset, "ipset", SHAPE_BOOL, KIND(STATEMENT_SET_UPDATE)),
	S(update.key, "update_key", SHAPE_POINTER, KIND(STATEMENT_SET_UPDATE), .shape = &shape_expr),
	S(update.data, "update_data", SHAPE_POINTER, KIND(STATEMENT_SET_UPDATE), .shape = &shape_expr),
	S(update.statements, "statements", SHAPE_LIST, KIND(STATEMENT_SET_UPDATE),
	  .count = offsetof(struct statement, update.statement_count), .shape = &shape_statement),
	S(action.name, "action", SHAPE_TEXT, ACTIONS, NEEDED),
	S(action.arguments, "action_arguments", SHAPE_LIST, ACTIONS,
	  .count = offsetof(struct statement, action.argument_count), .shape = &shape_argument),
	S(text, "text", SHAPE_TEXT, KIND(STATEMENT_UNKNOWN), NEEDED),
	{}};

static const char *check_statement(const void *object)
{
	const struct statement *statement = object;

	if (statement->kind == STATEMENT_MATCH && !statement->match.left && statement->match.right->kind != EXPR_IPSET)
		return "compares nothing";
	return NULL;
}

static const struct shape shape_statement =
	SHAPE(statement, statement_members, .help = "one step of a rule", .check = check_statement);

static const char *const understood_names[] = {"fully", "partly", "not"};
static const struct member rule_members[] = {
	M(rule, index, "index", SHAPE_UINT32, .help = "its place in the chain, from 1"),
	NUMBER(rule, handle),
	ORIGIN(rule),
	TEXT(rule, text, NEEDED),
	TEXT(rule, comment),
	NUMBER(rule, packets),
	NUMBER(rule, bytes),
	LIST(rule, statements, statement_count, shape_statement),
	M(rule, understood, "understood", SHAPE_ENUM, NAMES(understood_names), NEEDED),
	TEXTS(rule, gaps, gap_count),
	{}};

static const char *check_rule(const void *object)
{
	const struct rule *rule = object;

	if (rule->understood != UNDERSTOOD_FULLY)
		return rule->gap_count == 0 ? "is not understood fully, and does not say what is missing" : NULL;
	return rule->gap_count > 0 || rule_has_unknown(rule) ? "is understood fully, and something in it is not" : NULL;
}

static const struct shape shape_rule = SHAPE(rule, rule_members, .check = check_rule);

static const char *const chain_types[] = {NULL, "filter", "nat", "route"};
static const char *const hook_names[] = {NULL,	    "ingress", "egress",      "prerouting", "input",
					 "forward", "output",  "postrouting", "brouting"};
static const struct member chain_members[] = {
	TEXT(chain, name, NEEDED),
	ORIGIN(chain),
	M(chain, type, "type", SHAPE_ENUM, NAMES(chain_types)),
	M(chain, hook, "hook", SHAPE_ENUM, NAMES(hook_names)),
	M(chain, priority, "priority", SHAPE_INT32),
	M(chain, policy, "policy", SHAPE_ENUM, NAMES(verdict_names)),
	TEXTS(chain, devices, device_count),
	TEXT(chain, comment),
	LIST(chain, rules, rule_count, shape_rule),
	M(chain, whole, "whole", SHAPE_TRUTH, .help = "are these all of its rules?"),
	M(chain, shadowed, "shadowed", SHAPE_TEXT, .help = "the source that shows the same chain better"),
	{}};
static const struct shape shape_chain = SHAPE(chain, chain_members);

static const char *const family_names[] = {NULL, "ip", "ip6", "inet", "arp", "bridge", "netdev"};
static const char *const set_kinds[] = {"set", "map", "verdict-map", "ipset"};
static const struct member set_members[] = {
	M(set, kind, "kind", SHAPE_ENUM, NAMES(set_kinds)),
	TEXT(set, name, NEEDED),
	ORIGIN(set),
	NUMBER(set, handle),
	M(set, key, "key", SHAPE_ENUMS, .count = offsetof(struct set, key_count)),
	M(set, data, "data", SHAPE_ENUMS, .count = offsetof(struct set, data_count)),
	TEXT(set, type),
	M(set, family, "family", SHAPE_ENUM, NAMES(family_names)),
	BOOL(set, interval),
	BOOL(set, constant),
	BOOL(set, dynamic),
	BOOL(set, auto_merge),
	NUMBER(set, timeout),
	NUMBER(set, size),
	TEXT(set, comment),
	LIST(set, elements, element_count, shape_element),
	TRUTH(set, elements_known),
	{}};
static const struct shape shape_set = SHAPE(set, set_members);

static const struct member object_members[] = {TEXT(object, kind, NEEDED),
					       TEXT(object, name, NEEDED),
					       TEXT(object, text),
					       TEXTS(object, devices, device_count),
					       ORIGIN(object),
					       {}};
static const struct shape shape_object = SHAPE(object, object_members);

static const char *const backends[] = {NULL, "nftables", "iptables", "iptables-legacy", "iptables-nft"};
static const struct member table_members[] = {
	M(table, family, "family", SHAPE_ENUM, NAMES(family_names), NEEDED),
	TEXT(table, name, NEEDED),
	M(table, backend, "backend", SHAPE_ENUM, NAMES(backends), NEEDED),
	ORIGIN(table),
	NUMBER(table, handle),
	BOOL(table, dormant),
	TEXT(table, comment),
	M(table, whole, "whole", SHAPE_TRUTH, .help = "are these all of its chains?"),
	LIST(table, chains, chain_count, shape_chain),
	LIST(table, sets, set_count, shape_set),
	LIST(table, objects, object_count, shape_object),
	{}};
static const struct shape shape_table = SHAPE(table, table_members);

static const struct member coverage_members[] = {M(coverage, backend, "backend", SHAPE_ENUM, NAMES(backends), NEEDED),
						 M(coverage, family, "family", SHAPE_ENUM, NAMES(family_names)),
						 TEXT(coverage, table),
						 TEXT(coverage, chain),
						 ORIGIN(coverage),
						 {}};
static const struct shape shape_coverage =
	SHAPE(coverage, coverage_members, .help = "what was captured, and so is known even if it is not there");

static const struct member ruleset_members[] = {LIST(ruleset, coverage, coverage_count, shape_coverage),
						LIST(ruleset, tables, table_count, shape_table),
						LIST(ruleset, ipsets, ipset_count, shape_set),
						TRUTH(ruleset, ipsets_known),
						M(ruleset, ipsets_origin, "ipsets_origin", SHAPE_ORIGIN),
						{}};
static const struct shape shape_ruleset = SHAPE(ruleset, ruleset_members);

static const struct member address_members[] = {
	PREFIX(address, prefix, NEEDED),   IP(address, peer),	 IP(address, broadcast), TEXT(address, scope),
	TEXTS(address, flags, flag_count), TEXT(address, label), ORIGIN(address),	 {}};
static const struct shape shape_address = SHAPE(address, address_members);
static const struct member bridge_members[] = {TRUTH(bridge, stp),
					       TRUTH(bridge, vlan_filtering),
					       TRUTH(bridge, mcast_snooping),
					       TRUTH(bridge, nf_call_iptables),
					       TRUTH(bridge, nf_call_ip6tables),
					       TRUTH(bridge, nf_call_arptables),
					       TEXT(bridge, id),
					       {}};
static const struct shape shape_bridge = SHAPE(bridge, bridge_members);
static const struct member port_members[] = {TEXT(bridge_port, state),
					     TRUTH(bridge_port, hairpin),
					     TRUTH(bridge_port, isolated),
					     TRUTH(bridge_port, learning),
					     TRUTH(bridge_port, flood),
					     TRUTH(bridge_port, guard),
					     TRUTH(bridge_port, locked),
					     TRUTH(bridge_port, neigh_suppress),
					     NUMBER(bridge_port, priority),
					     NUMBER(bridge_port, cost),
					     {}};
static const struct shape shape_port = SHAPE(bridge_port, port_members);
static const struct member tunnel_members[] = {NUMBER(tunnel, id), IP(tunnel, local),	 IP(tunnel, remote),
					       TEXT(tunnel, dev),  NUMBER(tunnel, port), {}};
static const struct shape shape_tunnel = SHAPE(tunnel, tunnel_members);
static const struct member origin_members[] = {M(origin, source, "source", SHAPE_TEXT),
					       M(origin, line, "line", SHAPE_UINT32),
					       M(origin, item, "item", SHAPE_UINT32),
					       {}};
static const struct shape shape_origin = SHAPE(origin, origin_members);
static const struct member link_members[] = {
	TEXT(link, name, NEEDED),
	NUMBER(link, index),
	TEXT(link, kind),
	TEXTS(link, flags, flag_count),
	TRUTH(link, up),
	TRUTH(link, carrier),
	TEXT(link, state),
	NUMBER(link, mtu),
	M(link, mac, "mac", SHAPE_MAC),
	M(link, permanent_mac, "permanent_mac", SHAPE_MAC),
	M(link, master, "master", SHAPE_TEXT, .help = "the bridge it is a port of; empty: none"),
	TEXT(link, parent),
	NUMBER(link, peer_index),
	NUMBER(link, peer_netnsid),
	TEXT(link, qdisc),
	TEXT(link, xdp),
	TEXT(link, alias),
	NUMBER(link, group),
	NUMBER(link, vlan_id),
	TEXT(link, tun_type),
	INSIDE(link, bridge, shape_bridge),
	INSIDE(link, port, shape_port),
	INSIDE(link, tunnel, shape_tunnel),
	M(link, dns, "dns", SHAPE_IPS, .count = offsetof(struct link, dns_count)),
	M(link, gateways, "gateways", SHAPE_IPS, .count = offsetof(struct link, gateway_count)),
	LIST(link, addresses, address_count, shape_address),
	TRUTH(link, addresses4_known),
	TRUTH(link, addresses6_known),
	LIST(link, origins, origin_count, shape_origin),
	{}};
static const struct shape shape_link = SHAPE(link, link_members);

static const struct member neighbour_members[] = {IP(neighbour, ip, NEEDED),
						  TEXT(neighbour, dev),
						  M(neighbour, mac, "mac", SHAPE_MAC),
						  TEXT(neighbour, state),
						  TRUTH(neighbour, router),
						  TRUTH(neighbour, proxy),
						  ORIGIN(neighbour),
						  {}};
static const struct shape shape_neighbour = SHAPE(neighbour, neighbour_members);
static const struct member fdb_members[] = {
	M(fdb_entry, mac, "mac", SHAPE_MAC), TEXT(fdb_entry, dev),   TEXT(fdb_entry, master), NUMBER(fdb_entry, vlan),
	IP(fdb_entry, destination),	     TEXT(fdb_entry, state), ORIGIN(fdb_entry),	      {}};
static const struct shape shape_fdb = SHAPE(fdb_entry, fdb_members);

static const struct member nexthop_members[] = {
	IP(nexthop, via), TEXT(nexthop, dev), NUMBER(nexthop, weight), TEXTS(nexthop, flags, flag_count), {}};
static const struct shape shape_nexthop = SHAPE(nexthop, nexthop_members);
static const struct member route_members[] = {M(route, family, "family", SHAPE_FAMILY, NEEDED),
					      M(route, type, "type", SHAPE_ROUTE_TYPE),
					      PREFIX(route, to, NEEDED),
					      PREFIX(route, from),
					      TEXT(route, table, NEEDED),
					      NUMBER(route, metric),
					      NUMBER(route, tos),
					      TEXT(route, protocol),
					      TEXT(route, scope),
					      IP(route, source),
					      NUMBER(route, mtu),
					      LIST(route, nexthops, nexthop_count, shape_nexthop),
					      TEXT(route, text),
					      ORIGIN(route),
					      {}};

static const char *check_route(const void *object)
{
	const struct route *route = object;

	return route->to.ip.family != route->family ? "leads to another family" : NULL;
}

static const struct shape shape_route = SHAPE(route, route_members, .check = check_route);
static const struct member range_members[] = {M(port_range, set, "set", SHAPE_BOOL),
					      M(port_range, first, "first", SHAPE_UINT16),
					      M(port_range, last, "last", SHAPE_UINT16),
					      {}};
static const struct shape shape_range = SHAPE(port_range, range_members);
static const char *const policy_actions[] = {NULL,	  "lookup",	 "goto",     "nop",
					     "blackhole", "unreachable", "prohibit", "unknown"};
static const struct member policy_rule_members[] = {
	M(policy_rule, family, "family", SHAPE_FAMILY, NEEDED),
	NUMBER(policy_rule, priority),
	BOOL(policy_rule, negated),
	PREFIX(policy_rule, from),
	PREFIX(policy_rule, to),
	TEXT(policy_rule, iif),
	TEXT(policy_rule, oif),
	NUMBER(policy_rule, mark),
	NUMBER(policy_rule, mark_mask),
	NUMBER(policy_rule, tos),
	NUMBER(policy_rule, protocol),
	INSIDE(policy_rule, sport, shape_range),
	INSIDE(policy_rule, dport, shape_range),
	NUMBER(policy_rule, uid_first),
	NUMBER(policy_rule, uid_last),
	BOOL(policy_rule, l3mdev),
	M(policy_rule, action, "action", SHAPE_ENUM, NAMES(policy_actions), NEEDED),
	TEXT(policy_rule, table),
	NUMBER(policy_rule, goto_priority),
	NUMBER(policy_rule, suppress_prefix_length),
	NUMBER(policy_rule, suppress_group),
	TEXT(policy_rule, rest),
	TEXT(policy_rule, text),
	ORIGIN(policy_rule),
	{}};
static const struct shape shape_policy_rule = SHAPE(policy_rule, policy_rule_members);
static const struct member route_coverage_members[] = {M(route_coverage, family, "family", SHAPE_FAMILY, NEEDED),
						       TEXT(route_coverage, table),
						       ORIGIN(route_coverage),
						       {}};
static const struct shape shape_route_coverage = SHAPE(route_coverage, route_coverage_members);

static const struct member sysctl_members[] = {
	TEXT(sysctl, name, NEEDED), TEXT(sysctl, value, NEEDED), ORIGIN(sysctl), {}};
static const struct shape shape_sysctl = SHAPE(sysctl, sysctl_members);
static const struct member note_members[] = {TEXT(note, text, NEEDED), ORIGIN(note), {}};
const struct shape shape_note = SHAPE(note, note_members);
static const struct member capture_members[] = {TEXT(capture, source, NEEDED),
						M(capture, line, "line", SHAPE_UINT32),
						TEXT(capture, command),
						BOOL(capture, used),
						TEXT(capture, why),
						M(capture, items, "items", SHAPE_UINT32),
						M(capture, rules, "rules", SHAPE_UINT32),
						M(capture, rules_partly, "rules_partly", SHAPE_UINT32),
						M(capture, rules_not, "rules_not", SHAPE_UINT32),
						M(capture, ignored, "ignored", SHAPE_UINT32),
						BOOL(capture, cut_off),
						{}};

static const char *check_capture(const void *object)
{
	const struct capture *capture = object;

	return (uint64_t)capture->rules_partly + capture->rules_not > capture->rules
		       ? "has fewer rules than were not understood"
		       : NULL;
}

static const struct shape shape_capture =
	SHAPE(capture, capture_members, .help = "one command's output", .check = check_capture);

static const struct member kernel_members[] = {TEXT(kernel, release),	   TEXT(kernel, version), TEXT(kernel, machine),
					       TEXT(kernel, command_line), ORIGIN(kernel),	  {}};
static const struct shape shape_kernel = SHAPE(kernel, kernel_members);
static const struct member distribution_members[] = {
	TEXT(distribution, id), TEXT(distribution, version), TEXT(distribution, name), ORIGIN(distribution), {}};
static const struct shape shape_distribution = SHAPE(distribution, distribution_members);
static const struct member processor_members[] = {TEXT(processor, vendor),
						  TEXT(processor, model_name),
						  NUMBER(processor, family),
						  NUMBER(processor, model),
						  NUMBER(processor, stepping),
						  TEXT(processor, microcode),
						  NUMBER(processor, threads),
						  NUMBER(processor, cores),
						  NUMBER(processor, sockets),
						  TEXTS(processor, flags, flag_count),
						  TRUTH(processor, flags_known),
						  TEXTS(processor, bugs, bug_count),
						  ORIGIN(processor),
						  {}};
static const struct shape shape_processor = SHAPE(processor, processor_members);
static const struct member memory_members[] = {NUMBER(memory, total),
					       NUMBER(memory, available),
					       NUMBER(memory, free),
					       NUMBER(memory, swap_total),
					       NUMBER(memory, swap_free),
					       NUMBER(memory, huge_pages),
					       NUMBER(memory, huge_pages_free),
					       NUMBER(memory, huge_page_size),
					       ORIGIN(memory),
					       {}};
static const struct shape shape_memory = SHAPE(memory, memory_members, .help = "in bytes");
static const struct member module_members[] = {
	TEXT(module, name, NEEDED), TEXT(module, state), NUMBER(module, used), ORIGIN(module), {}};
static const struct shape shape_module = SHAPE(module, module_members);
static const struct member attribute_members[] = {
	TEXT(attribute, path, NEEDED), TEXT(attribute, value, NEEDED), ORIGIN(attribute), {}};
static const struct shape shape_attribute = SHAPE(attribute, attribute_members);
static const struct member account_members[] = {
	TEXT(account, name, NEEDED), NUMBER(account, id), TEXTS(account, members, member_count), ORIGIN(account), {}};
static const struct shape shape_account = SHAPE(account, account_members);
static const struct member listener_members[] = {TEXT(listener, protocol, NEEDED),
						 IP(listener, address),
						 TEXT(listener, device),
						 NUMBER(listener, port),
						 TEXT(listener, process),
						 ORIGIN(listener),
						 {}};
static const struct shape shape_listener = SHAPE(listener, listener_members);
static const struct member program_members[] = {
	TEXT(program, name, NEEDED), TEXT(program, version), TRUTH(program, installed),
	TEXT(program, path),	     ORIGIN(program),	     {}};
static const struct shape shape_program = SHAPE(program, program_members);
static const struct member package_members[] = {
	TEXT(package, name, NEEDED), TEXT(package, version), ORIGIN(package), {}};
static const struct shape shape_package = SHAPE(package, package_members);
static const struct member node_members[] = {TEXT(node, path, NEEDED), TRUTH(node, exists), TEXT(node, type),
					     NUMBER(node, mode),       TEXT(node, owner),   TEXT(node, group),
					     TEXT(node, target),       ORIGIN(node),	    {}};
static const struct shape shape_node = SHAPE(node, node_members, .help = "a file or device, and who may open it");
static const struct member caller_members[] = {
	TEXT(caller, user), NUMBER(caller, id), TEXTS(caller, groups, group_count), ORIGIN(caller), {}};
static const struct shape shape_caller = SHAPE(caller, caller_members, .help = "whom the facts were collected as");
static const struct member log_line_members[] = {
	TEXT(log_line, log, NEEDED), TEXT(log_line, text, NEEDED), ORIGIN(log_line), {}};
static const struct shape shape_log_line = SHAPE(log_line, log_line_members);
static const struct member document_members[] = {
	TEXT(document, kind, NEEDED), TEXT(document, name), TEXT(document, text, NEEDED), ORIGIN(document), {}};
static const struct shape shape_document = SHAPE(document, document_members);
static const struct member setting_members[] = {TEXT(setting, section, NEEDED),
						TEXT(setting, key, NEEDED),
						TEXT(setting, value, NEEDED),
						TEXT(setting, ignored, .help = "why WSL does not take it"),
						ORIGIN(setting),
						{}};
static const struct shape shape_setting = SHAPE(setting, setting_members);
static const struct member wsl_members[] = {TEXT(wsl, networking_mode),
					    TEXT(wsl, version),
					    ORIGIN(wsl),
					    TEXT(wsl, windows, .help = "the version of Windows below"),
					    M(wsl, windows_origin, "windows_origin", SHAPE_ORIGIN),
					    {}};
static const struct shape shape_wsl = SHAPE(wsl, wsl_members);
static const struct member side_members[] = {IP(flow_side, source),	     IP(flow_side, destination),
					     NUMBER(flow_side, source_port), NUMBER(flow_side, destination_port),
					     NUMBER(flow_side, icmp_type),   NUMBER(flow_side, icmp_code),
					     NUMBER(flow_side, icmp_id),     NUMBER(flow_side, packets),
					     NUMBER(flow_side, bytes),	     {}};
static const struct shape shape_side = SHAPE(flow_side, side_members);
static const struct member connection_members[] = {M(connection, family, "family", SHAPE_FAMILY, NEEDED),
						   NUMBER(connection, protocol),
						   TEXT(connection, state),
						   NUMBER(connection, timeout),
						   INSIDE(connection, original, shape_side),
						   INSIDE(connection, reply, shape_side),
						   BOOL(connection, unreplied),
						   BOOL(connection, assured),
						   BOOL(connection, offloaded),
						   NUMBER(connection, mark),
						   NUMBER(connection, zone),
						   TEXT(connection, helper),
						   ORIGIN(connection),
						   {}};
static const struct shape shape_connection = SHAPE(connection, connection_members);

static const char *const systems[] = {NULL, "linux", "windows"};
static const struct member facts_members[] = {
	TEXT(facts, name, NEEDED),
	TEXT(facts, alias, .help = "another word for it"),
	TEXT(facts, machine, .help = "the host that this is only a network namespace of"),
	M(facts, system, "system", SHAPE_ENUM, NAMES(systems)),
	LIST(facts, captures, capture_count, shape_capture),
	LIST(facts, notes, note_count, shape_note),
	LIST(facts, links, link_count, shape_link),
	TRUTH(facts, links_known),
	LIST(facts, neighbours, neighbour_count, shape_neighbour),
	TRUTH(facts, neighbours_known),
	LIST(facts, fdb, fdb_count, shape_fdb),
	TRUTH(facts, fdb_known),
	LIST(facts, routes, route_count, shape_route),
	LIST(facts, route_coverage, route_coverage_count, shape_route_coverage),
	LIST(facts, policy_rules, policy_rule_count, shape_policy_rule),
	TRUTH(facts, policy_rules4_known),
	TRUTH(facts, policy_rules6_known),
	LIST(facts, sysctls, sysctl_count, shape_sysctl),
	TRUTH(facts, sysctls_known),
	TEXTS(facts, sysctls_absent, sysctls_absent_count),
	INSIDE(facts, ruleset, shape_ruleset),
	LIST(facts, connections, connection_count, shape_connection),
	TRUTH(facts, connections4_known),
	TRUTH(facts, connections6_known),
	INSIDE(facts, kernel, shape_kernel),
	INSIDE(facts, distribution, shape_distribution),
	INSIDE(facts, processor, shape_processor),
	INSIDE(facts, memory, shape_memory),
	LIST(facts, modules, module_count, shape_module),
	TRUTH(facts, modules_known),
	LIST(facts, attributes, attribute_count, shape_attribute),
	LIST(facts, users, user_count, shape_account),
	TRUTH(facts, users_known),
	LIST(facts, groups, group_count, shape_account),
	TRUTH(facts, groups_known),
	LIST(facts, listeners, listener_count, shape_listener),
	TRUTH(facts, listeners_known),
	LIST(facts, programs, program_count, shape_program),
	LIST(facts, packages, package_count, shape_package),
	TRUTH(facts, packages_known),
	LIST(facts, nodes, node_count, shape_node),
	INSIDE(facts, caller, shape_caller),
	LIST(facts, log_lines, log_line_count, shape_log_line),
	TRUTH(facts, logs_known),
	LIST(facts, documents, document_count, shape_document),
	LIST(facts, wslconfig, wslconfig_count, shape_setting),
	TRUTH(facts, wslconfig_known),
	LIST(facts, wslconf, wslconf_count, shape_setting),
	TRUTH(facts, wslconf_known),
	INSIDE(facts, wsl, shape_wsl),
	{}};
const struct shape shape_facts =
	SHAPE(facts, facts_members, .help = "what one host says of itself; what is missing is unknown");

static const char *const relation_kinds[] = {NULL, "cable", "tap", "learned", "neighbour", "mirrored", "subnet"};
static const struct member end_members[] = {
	TEXT(relation_end, host), TEXT(relation_end, interface), IP(relation_end, address), {}};
static const struct shape shape_end = SHAPE(relation_end, end_members);
static const struct member relation_members[] = {M(relation, kind, "kind", SHAPE_ENUM, NAMES(relation_kinds), NEEDED),
						 LIST(relation, ends, end_count, shape_end),
						 PREFIX(relation, subnet),
						 TEXT(relation, why, NEEDED),
						 LIST(relation, evidence, evidence_count, shape_origin),
						 {}};

static const char *check_relation(const void *object)
{
	const struct relation *relation = object;

	if (relation->kind == RELATION_SUBNET ? relation->end_count < 2 : relation->end_count != 2)
		return "has too few ends, or too many";
	return relation->kind == RELATION_SUBNET && !relation->subnet.ip.family ? "has no subnet" : NULL;
}

const struct shape shape_relation =
	SHAPE(relation, relation_members, .check = check_relation, .help = "how interfaces of hosts belong together");

static const struct member gap_members[] = {
	TEXT(gap_count, gap, NEEDED), M(gap_count, rules, "rules", SHAPE_UINT64), {}};
static const struct shape shape_gap = SHAPE(gap_count, gap_members);
static const struct member stats_members[] = {
	M(stats, captures, "captures", SHAPE_UINT64),
	M(stats, unused, "unused", SHAPE_UINT64, .help = "captures of which nothing was needed"),
	M(stats, rules, "rules", SHAPE_UINT64, .help = "of all captures, also of those that show the same twice"),
	M(stats, fully, "fully", SHAPE_UINT64),
	M(stats, partly, "partly", SHAPE_UINT64),
	M(stats, not_understood, "not", SHAPE_UINT64),
	M(stats, items, "items", SHAPE_UINT64, .help = "everything that is no rule"),
	M(stats, ignored, "ignored", SHAPE_UINT64, .help = "lines that were not understood"),
	LIST(stats, gaps, gap_count, shape_gap),
	{}};
const struct shape shape_stats = SHAPE(stats, stats_members, .help = "how much was understood");
