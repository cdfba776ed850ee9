/* What ip(8) and bridge(8) print with -j: the same facts as in their text, by name. */
#include "facts/field.h"
#include "facts/parse.h"

#include <string.h>
#include <sys/socket.h>

static const char *get_text(struct reader *reader, const json_t *object, const char *key)
{
	return pool_text(reader->pool, json_string_value(json_object_get(object, key)));
}

static struct number get_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_integer(value) && json_integer_value(value) >= 0)
		return number_of((uint64_t)json_integer_value(value));
	return json_is_string(value) ? span_to_number(span_of(json_string_value(value))) : (struct number){};
}

/* A group of links; the first has a name in every distribution. */
static struct number get_group(const json_t *object, const char *key)
{
	const char *name = json_string_value(json_object_get(object, key));

	return name && strcmp(name, "default") == 0 ? number_of(0) : get_number(object, key);
}

static enum truth get_truth(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_boolean(value))
		return truth_of(json_is_true(value));
	if (json_is_integer(value))
		return truth_of(json_integer_value(value) != 0);
	return json_is_string(value) ? span_truth(span_of(json_string_value(value))) : TRUTH_UNKNOWN;
}

static bool get_ip(const json_t *object, const char *key, struct ip *ret)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && ip_parse(text, ret);
}

static struct mac get_mac(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? span_mac(span_of(text)) : (struct mac){};
}

static void get_flags(struct reader *reader, const json_t *array, const char ***items, size_t *count)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *text = json_string_value(json_array_get(array, i));

		if (text)
			texts_push(reader->pool->arena, items, count, pool_text(reader->pool, text));
	}
}

static bool has_text(const char *const *items, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(items[i], text) == 0)
			return true;
	return false;
}

static void take_address(struct reader *reader, struct link *link, const json_t *object)
{
	/* In the order in which ip(8) prints them as text. */
	static const char *const flags[] = {"secondary",     "temporary",  "nodad",	    "optimistic", "dadfailed",
					    "home",	     "deprecated", "tentative",	    "dynamic",	  "mngtmpaddr",
					    "noprefixroute", "autojoin",   "stable-privacy"};
	struct address address = {.origin = reader_origin(reader)};
	struct number length = get_number(object, "prefixlen");

	if (!get_ip(object, "local", &address.prefix.ip) || !length.known || length.value > ip_bits(&address.prefix.ip))
		return;
	address.prefix.length = (uint8_t)length.value;
	for (size_t i = 0; i < link->address_count; i++)
		if (ip_equal(&link->addresses[i].prefix.ip, &address.prefix.ip) &&
		    link->addresses[i].prefix.length == address.prefix.length)
			return;
	get_ip(object, "broadcast", &address.broadcast);
	get_ip(object, "address", &address.peer);
	address.scope = get_text(reader, object, "scope");
	address.label = get_text(reader, object, "label");
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (json_is_true(json_object_get(object, flags[i])))
			texts_push(reader->pool->arena, &address.flags, &address.flag_count, flags[i]);
	*reader_push(reader, link->addresses, link->address_count) = address;
}

static void take_port(struct reader *reader, struct link *link, const json_t *object)
{
	struct bridge_port *port = &link->port;

	text_set(&port->state, get_text(reader, object, "state"));
	truth_set(&port->hairpin, get_truth(object, "hairpin"));
	truth_set(&port->isolated, get_truth(object, "isolated"));
	truth_set(&port->learning, get_truth(object, "learning"));
	truth_set(&port->flood, get_truth(object, "flood"));
	truth_set(&port->guard, get_truth(object, "guard"));
	truth_set(&port->locked, get_truth(object, "locked"));
	truth_set(&port->neigh_suppress, get_truth(object, "neigh_suppress"));
	number_set(&port->priority, get_number(object, "priority"));
	number_set(&port->cost, get_number(object, "cost"));
}

static void take_linkinfo(struct reader *reader, struct link *link, const json_t *info)
{
	static const char *const remotes[] = {"remote", "group", "remote6", "group6"};
	const json_t *data = json_object_get(info, "info_data"), *slave = json_object_get(info, "info_slave_data");
	const char *kind = get_text(reader, info, "info_kind");

	if (kind)
		text_set(&link->kind, kind);
	if (link->kind && strcmp(link->kind, "bridge") == 0) {
		truth_set(&link->bridge.stp, get_truth(data, "stp_state"));
		truth_set(&link->bridge.vlan_filtering, get_truth(data, "vlan_filtering"));
		truth_set(&link->bridge.mcast_snooping, get_truth(data, "mcast_snooping"));
		truth_set(&link->bridge.nf_call_iptables, get_truth(data, "nf_call_iptables"));
		truth_set(&link->bridge.nf_call_ip6tables, get_truth(data, "nf_call_ip6tables"));
		truth_set(&link->bridge.nf_call_arptables, get_truth(data, "nf_call_arptables"));
		text_set(&link->bridge.id, get_text(reader, data, "bridge_id"));
	} else if (link->kind && strcmp(link->kind, "vlan") == 0) {
		number_set(&link->vlan_id, get_number(data, "id"));
	} else if (link->kind && strcmp(link->kind, "tun") == 0) {
		text_set(&link->tun_type, get_text(reader, data, "type"));
	} else if (json_is_object(data)) {
		number_set(&link->tunnel.id, get_number(data, "id"));
		number_set(&link->tunnel.port, get_number(data, "port"));
		text_set(&link->tunnel.dev, get_text(reader, data, "link"));
		if (!get_ip(data, "local", &link->tunnel.local))
			get_ip(data, "local6", &link->tunnel.local);
		for (size_t i = 0; i < sizeof(remotes) / sizeof(*remotes); i++)
			if (get_ip(data, remotes[i], &link->tunnel.remote))
				break;
	}
	if (json_is_object(slave) && strcmp(json_get_string(info, "info_slave_kind", ""), "bridge") == 0)
		take_port(reader, link, slave);
}

static void take_link(struct reader *reader, const struct asked *asked, const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "ifname")), *type;
	const json_t *addresses = json_object_get(object, "addr_info");
	struct link *link;

	if (!name) /* ip -j -4 addr prints {} for links without addresses */
		return;
	link = reader_link(reader, span_of(name));
	reader->capture->items++;
	number_set(&link->index, get_number(object, "ifindex"));
	if (link->flag_count == 0)
		get_flags(reader, json_object_get(object, "flags"), &link->flags, &link->flag_count);
	if (link->flag_count > 0) {
		truth_set(&link->up, truth_of(has_text(link->flags, link->flag_count, "UP")));
		truth_set(&link->carrier, truth_of(has_text(link->flags, link->flag_count, "LOWER_UP")));
	}
	number_set(&link->mtu, get_number(object, "mtu"));
	text_set(&link->state, get_text(reader, object, "operstate"));
	text_set(&link->qdisc, get_text(reader, object, "qdisc"));
	text_set(&link->alias, get_text(reader, object, "ifalias"));
	number_set(&link->group, get_group(object, "group"));
	text_set(&link->master, get_text(reader, object, "master"));
	if (!link->master && !asked->bridge)
		link->master = "";
	if (!asked->bridge) {
		text_set(&link->parent, get_text(reader, object, "link"));
		number_set(&link->peer_index, get_number(object, "link_index"));
		number_set(&link->peer_netnsid, get_number(object, "link_netnsid"));
	} else {
		take_port(reader, link, object);
	}
	if (!link->mac.known)
		link->mac = get_mac(object, "address");
	if (!link->permanent_mac.known)
		link->permanent_mac = get_mac(object, "permaddr");
	take_linkinfo(reader, link, json_object_get(object, "linkinfo"));
	if (json_object_get(object, "xdp") && !link->xdp)
		link->xdp = "xdp";
	type = json_string_value(json_object_get(object, "link_type"));
	if (type && strcmp(type, "ether") != 0 && strcmp(type, "none") != 0)
		text_set(&link->kind, pool_text(reader->pool, type));
	for (size_t i = 0; i < json_array_size(addresses); i++)
		take_address(reader, link, json_array_get(addresses, i));
	if (json_is_array(addresses)) {
		if (asked->family != FAMILY_IP6)
			link->addresses4_known = TRUTH_YES;
		if (asked->family != FAMILY_IP)
			link->addresses6_known = TRUTH_YES;
	}
}

void parse_links_json(struct reader *reader, const struct asked *asked, json_t *document)
{
	for (size_t i = 0; i < json_array_size(document); i++) {
		reader->item = (uint32_t)i + 1;
		take_link(reader, asked, json_array_get(document, i));
	}
	if (!asked->bridge)
		truth_set(&reader->facts->links_known, asked->family == FAMILY_NONE ? TRUTH_YES : TRUTH_NO);
}

static bool get_prefix(const json_t *object, const char *key, const char *length_key, struct prefix *ret)
{
	const char *text = json_string_value(json_object_get(object, key));
	struct number length = length_key ? get_number(object, length_key) : (struct number){};

	if (!text || !prefix_parse(text, ret))
		return false;
	if (length.known && length.value <= ip_bits(&ret->ip))
		ret->length = (uint8_t)length.value;
	return true;
}

static void take_nexthop(struct reader *reader, struct route *route, const json_t *object)
{
	struct nexthop nexthop = {.dev = get_text(reader, object, "dev"), .weight = get_number(object, "weight")};

	if (!get_ip(object, "gateway", &nexthop.via))
		get_ip(json_object_get(object, "via"), "host", &nexthop.via);
	get_flags(reader, json_object_get(object, "flags"), &nexthop.flags, &nexthop.flag_count);
	if (nexthop.dev || nexthop.via.family)
		*reader_push(reader, route->nexthops, route->nexthop_count) = nexthop;
}

static const char *metric_text(struct reader *reader, const json_t *metrics, const char *key)
{
	for (size_t i = 0; i < json_array_size(metrics); i++) {
		struct number number = get_number(json_array_get(metrics, i), key);

		if (number.known)
			return arena_printf(reader->pool->arena, "%llu", (unsigned long long)number.value);
	}
	return NULL;
}

static void take_route(struct reader *reader, const struct asked *asked, size_t first, json_t *object)
{
	struct facts *facts = reader->facts;
	const char *destination = json_string_value(json_object_get(object, "dst")), *mtu;
	const json_t *nexthops = json_object_get(object, "nexthops");
	struct route route = {.type = ROUTE_TYPE_UNICAST, .origin = reader_origin(reader)};
	const char *type = json_string_value(json_object_get(object, "type"));
	uint64_t number;
	char *text;

	if (!destination)
		return;
	if (type && symbol_find(TYPE_ROUTE_TYPE, type, strlen(type), &number))
		route.type = (uint8_t)number;
	if (strcmp(destination, "default") != 0 && !prefix_parse(destination, &route.to))
		return;
	take_nexthop(reader, &route, object);
	for (size_t i = 0; i < json_array_size(nexthops); i++)
		take_nexthop(reader, &route, json_array_get(nexthops, i));
	get_ip(object, "prefsrc", &route.source);
	get_prefix(object, "from", NULL, &route.from);
	route.family = route.to.ip.family;
	for (size_t i = 0; i < route.nexthop_count && !route.family; i++)
		route.family = route.nexthops[i].via.family;
	if (!route.family)
		route.family = asked->family == FAMILY_IP6 || json_object_get(object, "pref") ? AF_INET6 : AF_INET;
	route.to.ip.family = route.family;
	route.table = get_text(reader, object, "table");
	if (!route.table)
		route.table = asked->table ? asked->table : "main";
	route.metric = get_number(object, "metric");
	route.tos = get_number(object, "tos");
	route.protocol = get_text(reader, object, "protocol");
	route.scope = get_text(reader, object, "scope");
	mtu = metric_text(reader, json_object_get(object, "metrics"), "mtu");
	if (mtu)
		route.mtu = span_to_number(span_of(mtu));
	text = json_text(object);
	route.text = arena_strdup(reader->pool->arena, text);
	free(text);
	reader->capture->items++;
	if (!route_is_known(facts, first, &route))
		*reader_push(reader, facts->routes, facts->route_count) = route;
}

static void cover_routes(struct reader *reader, const struct asked *asked, uint8_t family, bool all)
{
	struct facts *facts = reader->facts;

	*reader_push(reader, facts->route_coverage, facts->route_coverage_count) =
		(struct route_coverage){family,
					all	       ? NULL
					: asked->table ? asked->table
						       : "main",
					reader_origin(reader)};
}

void parse_routes_json(struct reader *reader, const struct asked *asked, json_t *document)
{
	bool all = asked->all_tables, seen[2] = {asked->family != FAMILY_IP6, asked->family == FAMILY_IP6};
	size_t before = reader->facts->route_count;

	for (size_t i = 0; i < json_array_size(document); i++) {
		reader->item = (uint32_t)i + 1;
		take_route(reader, asked, before, json_array_get(document, i));
		all = all || json_object_get(json_array_get(document, i), "table");
	}
	for (size_t i = before; i < reader->facts->route_count; i++)
		seen[reader->facts->routes[i].family == AF_INET6] = true;
	reader->item = 0;
	if (seen[0])
		cover_routes(reader, asked, AF_INET, all);
	if (seen[1])
		cover_routes(reader, asked, AF_INET6, all);
}

static struct port_range get_ports(const json_t *object, const char *one, const char *first, const char *last)
{
	struct number a = get_number(object, first), b = get_number(object, last), single = get_number(object, one);

	if (single.known)
		a = b = single;
	return (struct port_range){a.known && b.known, (uint16_t)a.value, (uint16_t)b.value};
}

static void take_action(struct reader *reader, struct policy_rule *rule, const json_t *object)
{
	const char *action = json_get_string(object, "action", "");

	rule->table = get_text(reader, object, "table");
	rule->goto_priority = get_number(object, "goto");
	if (rule->goto_priority.known)
		rule->action = POLICY_RULE_GOTO;
	else if (rule->table || json_object_get(object, "l3mdev"))
		rule->action = POLICY_RULE_LOOKUP;
	else if (strcmp(action, "blackhole") == 0)
		rule->action = POLICY_RULE_BLACKHOLE;
	else if (strcmp(action, "unreachable") == 0)
		rule->action = POLICY_RULE_UNREACHABLE;
	else if (strcmp(action, "prohibit") == 0)
		rule->action = POLICY_RULE_PROHIBIT;
	else
		rule->action = json_object_get(object, "nop") ? POLICY_RULE_NOP : POLICY_RULE_UNKNOWN;
}

void parse_policy_rules_json(struct reader *reader, const struct asked *asked, json_t *document)
{
	struct facts *facts = reader->facts;

	*(asked->family == FAMILY_IP6 ? &facts->policy_rules6_known : &facts->policy_rules4_known) = TRUTH_YES;
	for (size_t i = 0; i < json_array_size(document); i++) {
		json_t *object = json_array_get(document, i);
		struct policy_rule rule = {};
		const char *protocol = json_get_string(object, "ipproto", NULL);
		uint64_t number;
		char *text;

		reader->item = (uint32_t)i + 1;
		rule.origin = reader_origin(reader);
		rule.priority = get_number(object, "priority");
		rule.negated = json_object_get(object, "not") != NULL;
		get_prefix(object, "src", "srclen", &rule.from);
		get_prefix(object, "dst", "dstlen", &rule.to);
		rule.iif = get_text(reader, object, "iif");
		rule.oif = get_text(reader, object, "oif");
		rule.mark = get_number(object, "fwmark");
		rule.mark_mask = get_number(object, "fwmask");
		if (rule.mark.known && !rule.mark_mask.known)
			rule.mark_mask = number_of(UINT32_MAX);
		rule.tos = get_number(object, "tos");
		if (protocol && (span_number(span_of(protocol), &number) ||
				 symbol_find(TYPE_PROTOCOL, protocol, strlen(protocol), &number)))
			rule.protocol = number_of(number);
		rule.sport = get_ports(object, "sport", "sport_start", "sport_end");
		rule.dport = get_ports(object, "dport", "dport_start", "dport_end");
		rule.uid_first = get_number(object, "uid_start");
		rule.uid_last = get_number(object, "uid_end");
		rule.suppress_prefix_length = get_number(object, "suppress_prefixlen");
		rule.suppress_group = get_group(object, "suppress_ifgroup");
		rule.l3mdev = json_object_get(object, "l3mdev") != NULL;
		take_action(reader, &rule, object);
		rule.family = rule.from.ip.family ? rule.from.ip.family : rule.to.ip.family;
		if (!rule.family)
			rule.family = asked->family == FAMILY_IP6 ? AF_INET6 : AF_INET;
		text = json_text(object);
		rule.text = arena_strdup(reader->pool->arena, text);
		free(text);
		*reader_push(reader, facts->policy_rules, facts->policy_rule_count) = rule;
		reader->capture->items++;
	}
}

void parse_neighbours_json(struct reader *reader, const struct asked *asked, json_t *document)
{
	struct facts *facts = reader->facts;
	size_t before = facts->neighbour_count;

	facts->neighbours_known = TRUTH_YES;
	for (size_t i = 0; i < json_array_size(document); i++) {
		const json_t *object = json_array_get(document, i);
		struct neighbour neighbour = {};

		reader->item = (uint32_t)i + 1;
		if (!get_ip(object, "dst", &neighbour.ip))
			continue;
		neighbour.origin = reader_origin(reader);
		neighbour.dev = get_text(reader, object, "dev");
		neighbour.mac = get_mac(object, "lladdr");
		neighbour.state =
			pool_text(reader->pool, json_string_value(json_array_get(json_object_get(object, "state"), 0)));
		neighbour.router = truth_of(json_object_get(object, "router") != NULL);
		neighbour.proxy = truth_of(json_object_get(object, "proxy") != NULL);
		reader->capture->items++;
		if (!neighbour_is_known(facts, before, &neighbour))
			*reader_push(reader, facts->neighbours, facts->neighbour_count) = neighbour;
	}
}

void parse_fdb_json(struct reader *reader, const struct asked *asked, json_t *document)
{
	struct facts *facts = reader->facts;

	facts->fdb_known = TRUTH_YES;
	for (size_t i = 0; i < json_array_size(document); i++) {
		const json_t *object = json_array_get(document, i);
		struct fdb_entry entry = {.mac = get_mac(object, "mac")};
		const char *state = get_text(reader, object, "state");

		reader->item = (uint32_t)i + 1;
		if (!entry.mac.known)
			continue;
		entry.origin = reader_origin(reader);
		entry.dev = get_text(reader, object, "ifname");
		entry.master = get_text(reader, object, "master");
		entry.vlan = get_number(object, "vlan");
		get_ip(object, "dst", &entry.destination);
		entry.state = state && *state ? state : NULL;
		*reader_push(reader, facts->fdb, facts->fdb_count) = entry;
		reader->capture->items++;
	}
}
