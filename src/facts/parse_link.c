/*
 * `ip addr`, `ip link`, with -d, -o, -br, -s, -4, -6; `bridge link`; `bridge fdb`; `brctl show`; `ip neigh`. White
 * space at the start of lines is often lost in what people paste, so what a line is follows from its first word alone.
 *
 *   4: vnet1@if2: <BROADCAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master br-lab state UP mode DEFAULT group default
 *       link/ether 52:54:00:ad:9b:07 brd ff:ff:ff:ff:ff:ff link-netnsid 0 promiscuity 1
 *       bridge_slave state forwarding priority 32 cost 2 hairpin off
 *       inet 192.168.100.1/24 brd 192.168.100.255 scope global noprefixroute br-lab
 */
#include "facts/parse.h"

#include <string.h>
#include <sys/socket.h>

struct links_parser {
	struct reader *reader;
	const char *link; /* the link being described; NULL: none */
	bool bridge;	  /* bridge link: what stands behind @ is not to be trusted */
	bool addresses;	  /* any address was seen */
};

static struct link *current(const struct links_parser *parser)
{
	return parser->link ? facts_link(parser->reader->facts, parser->link) : NULL;
}

static bool has_flag(const struct link *link, const char *flag)
{
	for (size_t i = 0; i < link->flag_count; i++)
		if (strcmp(link->flags[i], flag) == 0)
			return true;
	return false;
}

/* "<BROADCAST,MULTICAST,UP,LOWER_UP>" */
static void take_flags(struct reader *reader, struct link *link, struct span flags)
{
	if (link->flag_count > 0)
		return;
	flags = span_skip(flags, 1);
	if (span_ends(flags, ">"))
		flags.length--;
	while (flags.length > 0)
		texts_push(reader->pool->arena, &link->flags, &link->flag_count,
			   reader_intern(reader, span_cut(&flags, ',')));
	link->up = truth_of(has_flag(link, "UP"));
	link->carrier = truth_of(has_flag(link, "LOWER_UP"));
}

/* "eth0@if3", "eth0.5@eth0" */
static void take_peer(struct links_parser *parser, struct link *link, struct span peer)
{
	uint64_t index;

	if (peer.length == 0 || span_is(peer, "NONE") || parser->bridge)
		return;
	if (span_starts(peer, "if") && span_number(span_skip(peer, 2), &index))
		number_set(&link->peer_index, number_of(index));
	else
		text_set(&link->parent, reader_intern(parser->reader, peer));
}

/* Pairs of a word and a value behind the flags. */
static void take_head_words(struct links_parser *parser, struct link *link, struct span rest)
{
	struct reader *reader = parser->reader;
	bool has_master = false;
	struct span word, value;

	while (span_word(&rest, &word)) {
		if (span_starts(word, "prog/") || span_starts(word, "xdp")) {
			text_set(&link->xdp, reader_intern(reader, word));
			continue;
		}
		if (!span_word(&rest, &value))
			break;
		if (span_is(word, "mtu")) {
			number_set(&link->mtu, span_to_number(value));
		} else if (span_is(word, "qdisc")) {
			text_set(&link->qdisc, reader_intern(reader, value));
		} else if (span_is(word, "master")) {
			text_set(&link->master, reader_intern(reader, value));
			has_master = true;
		} else if (span_is(word, "state") && parser->bridge) {
			text_set(&link->port.state, reader_intern(reader, value));
		} else if (span_is(word, "state")) {
			text_set(&link->state, reader_intern(reader, value));
		} else if (span_is(word, "group")) {
			number_set(&link->group, span_is(value, "default") ? number_of(0) : span_to_number(value));
		} else if (span_is(word, "priority")) {
			number_set(&link->port.priority, span_to_number(value));
		} else if (span_is(word, "cost")) {
			number_set(&link->port.cost, span_to_number(value));
		}
	}
	if (!has_master && !parser->bridge)
		text_set(&link->master, "");
}

/* "2: eth0@if3: <…> mtu …", and old bridge's "5: vnet0 state UNKNOWN : <…> mtu …". */
static bool take_head(struct links_parser *parser, struct span line)
{
	struct span rest = line, index = span_cut(&rest, ':'), name, peer;
	size_t open = span_find_char(rest, '<');
	struct link *link;
	uint64_t number;

	if (index.length == line.length || !span_number(index, &number) || open == SIZE_MAX)
		return false;
	name = span_first(rest, open);
	rest = span_skip(rest, open);
	if (!span_word(&name, &peer))
		return false;
	if (span_ends(peer, ":"))
		peer.length--;
	name = span_cut(&peer, '@');
	if (name.length == 0)
		return false;
	link = reader_link(parser->reader, name);
	parser->link = link->name;
	parser->reader->capture->items++;
	number_set(&link->index, number_of(number));
	take_peer(parser, link, peer);
	span_word(&rest, &name);
	take_flags(parser->reader, link, name);
	take_head_words(parser, link, rest);
	return true;
}

static void take_link(struct links_parser *parser, struct link *link, struct span rest)
{
	struct reader *reader = parser->reader;
	struct span word, value;
	struct mac mac;

	span_word(&rest, &word);
	value = span_skip(word, strlen("link/"));
	if (span_is(value, "loopback"))
		text_set(&link->kind, "loopback");
	else if (!span_is(value, "ether") && !span_is(value, "none"))
		text_set(&link->kind, reader_intern(reader, value));
	if (span_word(&rest, &word) && (mac = span_mac(word)).known && !link->mac.known)
		link->mac = mac;
	while (span_word(&rest, &word)) {
		if (span_is(word, "link-netnsid") && span_word(&rest, &value))
			number_set(&link->peer_netnsid, span_to_number(value));
		else if (span_is(word, "permaddr") && span_word(&rest, &value))
			link->permanent_mac = span_mac(value);
	}
}

/* The flags of addresses that ip(8) prints behind their scope; any other word is the label. */
static bool is_address_flag(struct span word)
{
	static const char *const flags[] = {"secondary",     "dynamic",	   "tentative", "dadfailed",	  "deprecated",
					    "noprefixroute", "mngtmpaddr", "temporary", "nodad",	  "home",
					    "optimistic",    "autojoin",   "permanent", "stable-privacy", "proto",
					    "kernel_lo",     "kernel_ra",  "kernel_ll"};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (span_is(word, flags[i]))
			return true;
	return false;
}

static struct address *add_address(struct reader *reader, struct link *link, const struct prefix *prefix)
{
	struct address *address;

	for (size_t i = 0; i < link->address_count; i++) {
		address = &link->addresses[i];
		if (address->prefix.length == prefix->length && ip_equal(&address->prefix.ip, &prefix->ip))
			return NULL;
	}
	address = reader_push(reader, link->addresses, link->address_count);
	*address = (struct address){.prefix = *prefix, .origin = reader_origin(reader)};
	return address;
}

/* "inet 10.0.0.1 peer 10.0.0.2/32 brd … scope global dynamic eth0" */
static bool take_address(struct links_parser *parser, struct link *link, struct span rest)
{
	struct reader *reader = parser->reader;
	struct span word, value;
	struct prefix prefix, peer;
	struct address *address;

	if (!span_word(&rest, &word) || !span_word(&rest, &word) || !span_prefix(word, &prefix))
		return false;
	parser->addresses = true;
	address = add_address(reader, link, &prefix);
	if (!address) /* another capture showed it already */
		return true;
	while (span_word(&rest, &word)) {
		if (span_is(word, "peer") && span_word(&rest, &value) && span_prefix(value, &peer)) {
			address->peer = peer.ip;
			address->prefix.length = peer.length;
		} else if (span_is(word, "brd") && span_word(&rest, &value)) {
			span_ip(value, &address->broadcast);
		} else if (span_is(word, "scope") && span_word(&rest, &value)) {
			address->scope = reader_intern(reader, value);
		} else if (is_address_flag(word)) {
			texts_push(reader->pool->arena, &address->flags, &address->flag_count,
				   reader_intern(reader, word));
		} else if (!span_is(word, "metric")) {
			address->label = reader_intern(reader, word);
		} else {
			span_word(&rest, &value);
		}
	}
	return true;
}

static void take_bridge(struct link *link, struct reader *reader, struct span word, struct span value)
{
	struct bridge *bridge = &link->bridge;

	if (span_is(word, "stp_state"))
		truth_set(&bridge->stp, span_truth(value));
	else if (span_is(word, "vlan_filtering"))
		truth_set(&bridge->vlan_filtering, span_truth(value));
	else if (span_is(word, "mcast_snooping"))
		truth_set(&bridge->mcast_snooping, span_truth(value));
	else if (span_is(word, "nf_call_iptables"))
		truth_set(&bridge->nf_call_iptables, span_truth(value));
	else if (span_is(word, "nf_call_ip6tables"))
		truth_set(&bridge->nf_call_ip6tables, span_truth(value));
	else if (span_is(word, "nf_call_arptables"))
		truth_set(&bridge->nf_call_arptables, span_truth(value));
	else if (span_is(word, "bridge_id"))
		text_set(&bridge->id, reader_intern(reader, value));
}

static void take_port(struct link *link, struct reader *reader, struct span word, struct span value)
{
	struct bridge_port *port = &link->port;

	if (span_is(word, "state"))
		text_set(&port->state, reader_intern(reader, value));
	else if (span_is(word, "hairpin"))
		truth_set(&port->hairpin, span_truth(value));
	else if (span_is(word, "isolated"))
		truth_set(&port->isolated, span_truth(value));
	else if (span_is(word, "learning"))
		truth_set(&port->learning, span_truth(value));
	else if (span_is(word, "flood"))
		truth_set(&port->flood, span_truth(value));
	else if (span_is(word, "guard"))
		truth_set(&port->guard, span_truth(value));
	else if (span_is(word, "locked"))
		truth_set(&port->locked, span_truth(value));
	else if (span_is(word, "neigh_suppress"))
		truth_set(&port->neigh_suppress, span_truth(value));
	else if (span_is(word, "priority"))
		number_set(&port->priority, span_to_number(value));
	else if (span_is(word, "cost"))
		number_set(&port->cost, span_to_number(value));
}

static void take_tunnel(struct link *link, struct reader *reader, struct span word, struct span value)
{
	struct tunnel *tunnel = &link->tunnel;

	if (span_is(word, "id") || span_is(word, "vni"))
		number_set(&tunnel->id, span_to_number(value));
	else if (span_is(word, "local"))
		span_ip(value, &tunnel->local);
	else if (span_is(word, "remote") || span_is(word, "group"))
		span_ip(value, &tunnel->remote);
	else if (span_is(word, "dev"))
		text_set(&tunnel->dev, reader_intern(reader, value));
	else if (span_is(word, "dstport"))
		number_set(&tunnel->port, span_to_number(value));
}

/* Kinds of links ip-link(8) knows; a line of -d begins with one. */
static bool is_kind(struct span word)
{
	static const char *const kinds[] = {
		"veth",	 "bridge",  "tun",    "vlan",	   "vxlan", "macvlan",	 "macvtap", "ipvlan",
		"bond",	 "dummy",   "ifb",    "geneve",	   "gre",   "gretap",	 "ip6gre",  "ip6gretap",
		"ipip",	 "sit",	    "vti",    "vti6",	   "vrf",   "wireguard", "team",    "nlmon",
		"xfrm",	 "netkit",  "erspan", "ip6tnl",	   "can",   "vcan",	 "hsr",	    "macsec",
		"rmnet", "bareudp", "wwan",   "ip6erspan", "nsim",  "virt_wifi", "lowpan",  "openvswitch"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (span_is(word, kinds[i]))
			return true;
	return false;
}

/* "bridge forward_delay 1500 …", "bridge_slave state forwarding …", "tun type tap pi off …" */
static void take_details(struct links_parser *parser, struct link *link, struct span kind, struct span rest)
{
	struct reader *reader = parser->reader;
	bool port = span_is(kind, "bridge_slave");
	struct span word, value;

	if (!port)
		text_set(&link->kind, reader_intern(reader, kind));
	while (span_word(&rest, &word)) {
		struct span behind = rest;

		if (!span_word(&behind, &value))
			break;
		if (port)
			take_port(link, reader, word, value);
		else if (span_is(kind, "bridge"))
			take_bridge(link, reader, word, value);
		else if (span_is(kind, "tun") && span_is(word, "type"))
			text_set(&link->tun_type, reader_intern(reader, value));
		else if (span_is(kind, "vlan") && span_is(word, "id"))
			number_set(&link->vlan_id, span_to_number(value));
		else
			take_tunnel(link, reader, word, value);
	}
}

/* A line of counters, of queues or of virtual functions: nothing we keep. */
static bool is_noise(struct span line, struct span word)
{
	static const char *const words[] = {
		"valid_lft",  "RX:",	    "TX:",	   "RX",	  "TX",		 "altname",
		"vf",	      "parentbus",  "numtxqueues", "promiscuity", "addrgenmode", "openvswitch_slave",
		"bond_slave", "team_slave", "vrf_slave",   "collisions",  "inet6_token"};
	uint64_t number;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (span_is(word, words[i]))
			return true;
	return span_counter(word, &number) && span_find_char(line, ':') == SIZE_MAX;
}

static void take_line(struct links_parser *parser, struct span line)
{
	struct span rest = line, word;
	struct link *link;

	if (take_head(parser, line) || !span_word(&rest, &word))
		return;
	link = current(parser);
	if (!link) {
		reader_ignored(parser->reader, line);
		return;
	}
	if (span_starts(word, "link/"))
		take_link(parser, link, line);
	else if (span_is(word, "inet") || span_is(word, "inet6")) {
		if (!take_address(parser, link, line))
			reader_ignored(parser->reader, line);
	} else if (span_is(word, "alias"))
		text_set(&link->alias, reader_intern(parser->reader, span_trim(rest)));
	else if (span_starts(word, "prog/"))
		text_set(&link->xdp, reader_intern(parser->reader, line));
	else if (span_is(word, "bridge_slave") || is_kind(word))
		take_details(parser, link, word, rest);
	else if (parser->bridge && span_is(word, "hairpin"))
		take_details(parser, link, span_of("bridge_slave"), line);
	else if (!is_noise(line, word))
		reader_ignored(parser->reader, line);
}

/* "1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft …": ip -o addr has an address on each line. */
static bool take_oneline_address(struct links_parser *parser, struct span line)
{
	struct span rest = line, index, name, word;
	uint64_t number;

	if (!span_word(&rest, &index) || !span_ends(index, ":") ||
	    !span_number(span_first(index, index.length - 1), &number) || !span_word(&rest, &name) ||
	    span_ends(name, ":"))
		return false;
	line = span_trim(rest);
	if (!span_word(&rest, &word) || !(span_is(word, "inet") || span_is(word, "inet6")))
		return false;
	parser->link = reader_link(parser->reader, name)->name;
	number_set(&current(parser)->index, number_of(number));
	take_line(parser, line);
	return true;
}

static bool is_brief_state(struct span word)
{
	static const char *const states[] = {"UP",	"DOWN",	      "UNKNOWN", "LOWERLAYERDOWN",
					     "DORMANT", "NOTPRESENT", "TESTING"};

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (span_is(word, states[i]))
			return true;
	return false;
}

/* "eth0@if3  UP  10.0.0.1/24 fe80::1/64", "eth0  UP  52:54:00:00:00:01 <BROADCAST,…>": ip -br */
static bool take_brief(struct links_parser *parser, struct span line)
{
	struct span rest = line, name, state, word, peer;
	struct link *link;
	struct prefix prefix;

	if (!span_word(&rest, &peer) || !span_word(&rest, &state) || !is_brief_state(state) || span_ends(peer, ":"))
		return false;
	name = span_cut(&peer, '@');
	link = reader_link(parser->reader, name);
	parser->reader->capture->items++;
	take_peer(parser, link, peer);
	text_set(&link->state, reader_intern(parser->reader, state));
	while (span_word(&rest, &word)) {
		if (span_starts(word, "<"))
			take_flags(parser->reader, link, word);
		else if (span_mac(word).known)
			link->mac = span_mac(word);
		else if (span_prefix(word, &prefix)) {
			add_address(parser->reader, link, &prefix);
			parser->addresses = true;
		}
	}
	return true;
}

static void set_known(struct links_parser *parser, const struct asked *asked, bool all_addresses)
{
	struct facts *facts = parser->reader->facts;

	if (!parser->bridge)
		truth_set(&facts->links_known, asked->family == FAMILY_NONE ? TRUTH_YES : TRUTH_NO);
	if (!parser->bridge && asked->family == FAMILY_NONE)
		facts->links_known = TRUTH_YES;
	for (size_t i = 0; all_addresses && i < facts->link_count; i++) {
		struct link *link = &facts->links[i];

		if (asked->family != FAMILY_IP6)
			link->addresses4_known = TRUTH_YES;
		if (asked->family != FAMILY_IP)
			link->addresses6_known = TRUTH_YES;
	}
}

void parse_links(struct reader *reader, const struct asked *asked)
{
	struct links_parser parser = {.reader = reader, .bridge = asked->bridge};
	struct span line, part;

	while (reader_line(reader, &line)) {
		while (line.length > 0) { /* ip -o puts a backslash for each newline */
			part = span_trim(span_cut(&line, '\\'));
			if (part.length > 0 && !take_oneline_address(&parser, part) && !take_brief(&parser, part))
				take_line(&parser, part);
			line = span_trim(line);
		}
	}
	set_known(&parser, asked, asked->addresses || parser.addresses);
}

/* brctl show: "virbr0  8000.5254007d0b60  yes  vnet0", further ports on lines of their own. */
void parse_brctl(struct reader *reader, const struct asked *asked)
{
	const char *bridge = NULL;
	struct span line;

	while (reader_line(reader, &line)) {
		struct span rest = line, words[4] = {};
		size_t count = 0;
		struct link *link;

		while (count < 4 && span_word(&rest, &words[count]))
			count++;
		if (count == 0 || (span_is(words[0], "bridge") && span_is(words[1], "name")))
			continue;
		if (count >= 3 && span_truth(words[2]) != TRUTH_UNKNOWN) {
			link = reader_link(reader, words[0]);
			bridge = link->name;
			text_set(&link->kind, "bridge");
			text_set(&link->bridge.id, reader_intern(reader, words[1]));
			truth_set(&link->bridge.stp, span_truth(words[2]));
			reader->capture->items++;
			words[0] = words[3];
			count = count == 4;
		}
		if (count == 1 && bridge) {
			link = reader_link(reader, words[0]);
			text_set(&link->master, bridge);
		} else if (count > 0) {
			reader_ignored(reader, line);
		}
	}
}

bool neighbour_is_known(const struct facts *facts, size_t count, const struct neighbour *neighbour)
{
	for (size_t i = 0; i < count; i++) {
		const struct neighbour *other = &facts->neighbours[i];

		if (other->dev == neighbour->dev && ip_equal(&other->ip, &neighbour->ip)) /* names are interned */
			return true;
	}
	return false;
}

/* "192.168.100.2 dev br-lab lladdr 52:54:00:ad:9b:04 router REACHABLE" */
void parse_neighbours(struct reader *reader, const struct asked *asked)
{
	struct facts *facts = reader->facts;
	size_t before = facts->neighbour_count;
	struct span line, word, value;

	facts->neighbours_known = TRUTH_YES;
	while (reader_line(reader, &line)) {
		struct span rest = line;
		struct neighbour neighbour = {.origin = reader_origin(reader), .router = TRUTH_NO, .proxy = TRUTH_NO};

		if (!span_word(&rest, &word))
			continue;
		if (!span_ip(word, &neighbour.ip)) {
			reader_ignored(reader, line);
			continue;
		}
		while (span_word(&rest, &word)) {
			if (span_is(word, "dev") && span_word(&rest, &value))
				neighbour.dev = reader_intern(reader, value);
			else if (span_is(word, "lladdr") && span_word(&rest, &value))
				neighbour.mac = span_mac(value);
			else if (span_is(word, "router"))
				neighbour.router = TRUTH_YES;
			else if (span_is(word, "proxy"))
				neighbour.proxy = TRUTH_YES;
			else if (word.at[0] >= 'A' && word.at[0] <= 'Z')
				neighbour.state = reader_intern(reader, word);
		}
		reader->capture->items++;
		if (!neighbour_is_known(facts, before, &neighbour))
			*reader_push(reader, facts->neighbours, facts->neighbour_count) = neighbour;
	}
}

/* "52:54:00:ad:9b:04 dev vnet1 vlan 1 master br-lab permanent" */
void parse_fdb(struct reader *reader, const struct asked *asked)
{
	struct facts *facts = reader->facts;
	struct span line, word, value;

	facts->fdb_known = TRUTH_YES;
	while (reader_line(reader, &line)) {
		struct span rest = line;
		struct fdb_entry entry = {.origin = reader_origin(reader)};

		if (!span_word(&rest, &word))
			continue;
		entry.mac = span_mac(word);
		if (!entry.mac.known) {
			reader_ignored(reader, line);
			continue;
		}
		while (span_word(&rest, &word)) {
			if (span_is(word, "dev") && span_word(&rest, &value))
				entry.dev = reader_intern(reader, value);
			else if (span_is(word, "master") && span_word(&rest, &value))
				entry.master = reader_intern(reader, value);
			else if (span_is(word, "vlan") && span_word(&rest, &value))
				entry.vlan = span_to_number(value);
			else if (span_is(word, "dst") && span_word(&rest, &value))
				span_ip(value, &entry.destination);
			else if (span_is(word, "permanent") || span_is(word, "static") || span_is(word, "stale"))
				entry.state = reader_intern(reader, word);
		}
		*reader_push(reader, facts->fdb, facts->fdb_count) = entry;
		reader->capture->items++;
	}
}
