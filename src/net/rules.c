/* clang-format off */
/*
 * Two tables. Whatever depends on the lab's guests and networks is in sets, and what the chains say is the same for
 * every lab: a packet costs the same in a lab of two guests and of two thousand. Who is cut or sealed is in a few of
 * those sets (elements.c), so switching a guest is changing elements and nothing else.
 *
 * table bridge nestvisor: every frame, also between guests of one network
 *   prerouting  what comes from a tap must be the tap's own: Ethernet source, ARP sender, IP source (its addresses,
 *               its link-local one, and the routed subnets behind it), neighbour advertisements only for these, and
 *               neither DHCP answers nor router advertisements. Who has no fixed address has one of its network. An
 *               interface that is neither a known tap nor a tunnel gets nothing in: a cable is plugged in after its
 *               rules are there, or it is dead. Marks what a guest that is cut sends.
 *   forward     nothing to or from sealed guests; neighbours as far as the cut leaves them
 *   output      the same; and nothing that came from the world to the taps of cut guests
 *
 * table inet nestvisor: what is routed
 *   prerouting  marks by address what guests of deeper layers send that are cut, and once more what guests of this
 *               host do, for fragments have been put together meanwhile. Of whole packets with their tap's own
 *               addresses the bridge has said all (KNOWN), and they pass. What comes to L0 from the world is for L0,
 *               unless a network is routed
 *   publish     what comes for published ports goes to the guest (publish.c); the cut answer, and begin nothing there
 *   forward     who sends is asked before `established`, so that a cut ends flows that live: a known flow passes where
 *               its sender is known and not cut. Who receives is asked at its tap (table bridge, output), and here
 *               where it is behind a host. Then the uplink of the network decides
 *   names       what the cut ask the host's resolver goes to the one that knows the lab's names only (dnsmasq.c)
 *   input       the host's own services: DHCP and DNS where the network has them
 *   output      the administrator's packets: everywhere but to the sealed; what the resolver asks the world for who is
 *               cut is not sent, and what it answers comes from the world
 *   postrouting networks with uplink nat leave with the transit address, so that two labs can have the same subnet
 *
 * A direct guest is known by its tap, which it cannot forge: cut and sealed hold for all that comes out of it, whatever
 * addresses it has given itself. A guest of a deeper layer is known by its address as far as its host routes it with
 * its own; behind an uplink nat it cannot be told from its host's other guests here, and is the host's business.
 *
 * How a guest is held is the chain that the verdict maps lead to, "<from or to>_<mode>":
 *   names   whatever somebody else lets pass (a filter of libvirt's); but of names only the lab's
 *   cut     nothing to the world, and nothing of it back
 *   strict  the same, and of the other guests only those that are cut, too
 *   alone   the same, and no other guest at all
 *   sealed  nothing
 * Each of them asks first whether the guest is open for a while: sets whose elements end by themselves, so that the cut
 * comes back whatever has become of nestvisor.
 *
 * At L0 all that leaves by `world` has left the lab. On a deeper host it has not: an answer to a connection from above
 * (the administrator's) and the subnets that the host is attached to stay open to a cut guest, and L0 does the rest.
 *
 * With pasta as the uplink (an interface of kind "tun"), everything is translated: pasta knows one address only.
 */
/* clang-format on */
#include "net/rules_internal.h"

#include "model/lab.h"
#include "net/dnsmasq.h"
#include "net/elements.h"
#include "net/link.h"
#include "net/net_internal.h"
#include "net/network.h"
#include "net/publish.h"
#include "net/reach.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct set rules_set_begin(struct strbuf *out, const char *name, const char *type, bool interval)
{
	strbuf_printf(out, "\tset %s {\n\t\ttype %s\n", name, type);
	return (struct set){.out = out, .interval = interval};
}

static bool has_element(const struct set *set, const char *element)
{
	size_t length = strlen(element);

	for (const char *at = set->count ? set->elements.text : NULL; at && (at = strstr(at, element)); at += length)
		if (at[-1] == ' ' && (at[length] == ',' || !at[length]))
			return true;
	return false;
}

void rules_set_add(struct set *set, const char *format, ...)
{
	char element[160];
	va_list args;

	va_start(args, format);
	vsnprintf(element, sizeof(element), format, args);
	va_end(args);
	if (set->once && has_element(set, element))
		return;
	strbuf_add(&set->elements, set->count++ ? ", " : "\t\telements = { ");
	strbuf_add(&set->elements, element);
}

void rules_set_end(struct set *set)
{
	if (set->interval)
		strbuf_add(set->out, "\t\tflags interval\n");
	else
		strbuf_printf(set->out, "\t\tsize %zu\n", set->count ? set->count : 1);
	if (set->count)
		strbuf_printf(set->out, "%s }\n", set->elements.text);
	strbuf_add(set->out, "\t}\n");
	strbuf_freep(&set->elements);
}

const char *rules_nic_ip(const struct nic *nic, uint8_t family, char text[IP_TEXT_SIZE])
{
	const struct ip *ip = family == AF_INET ? &nic->address4 : &nic->address6;

	return ip->family ? ip_format(ip, text) : NULL;
}

const char *rules_element_of(const struct prefix *prefix, char text[PREFIX_TEXT_SIZE])
{
	struct prefix network = prefix_network(prefix);

	if (network.length == ip_bits(&network.ip))
		return ip_format(&network.ip, text);
	return prefix_format(&network, text);
}

static void add_networks(struct strbuf *out, const struct host *root, const char *name,
			 bool (*wanted)(const struct network *network))
{
	struct set set = rules_set_begin(out, name, "ifname", false);

	for (size_t i = 0; i < root->network_count; i++)
		if (network_is_home(root->networks[i]) && wanted(root->networks[i]))
			rules_set_add(&set, "\"%s\"", root->networks[i]->bridge);
	rules_set_end(&set);
}

static bool is_masqueraded(const struct network *network)
{
	return network->uplink == UPLINK_NAT;
}

static bool is_routed(const struct network *network)
{
	return network->uplink == UPLINK_ROUTE;
}

static bool is_isolated(const struct network *network)
{
	return network->uplink == UPLINK_NONE;
}

static bool has_network(const struct host *root, bool (*wanted)(const struct network *))
{
	for (size_t i = 0; i < root->network_count; i++)
		if (network_is_home(root->networks[i]) && wanted(root->networks[i]))
			return true;
	return false;
}

static bool has_dhcp(const struct network *network)
{
	return network->dhcp;
}

static bool has_dns(const struct network *network)
{
	return network->dns;
}

bool rules_are_stretched(const struct lab *lab)
{
	for (size_t i = 0; i < lab->root->network_count; i++)
		if (network_is_stretched(lab->root->networks[i]))
			return true;
	return false;
}

/* There is room in each set for all guests: at most an element for each nic, or one for each guest (elements.c). */
static size_t most_elements(const struct lab *lab)
{
	size_t most = lab->guest_count + 1;

	for (size_t i = 0; i < lab->guest_count; i++)
		most += lab->guests[i]->nic_count;
	return most;
}

void rules_add_isolation_sets(struct strbuf *out, const struct lab *lab, const struct elements *elements, uint8_t table)
{
	const bool stretched = rules_are_stretched(lab);
	const size_t most = most_elements(lab);
	size_t next = 0;

	for (size_t i = 0; i < SET_COUNT; i++) {
		const struct element_set *set = &element_sets[i];
		bool six = set->family == AF_INET6, begun = false;

		while (next < elements->count && elements->items[next].table < table)
			next++;
		if (!(set->tables & table) || (table == IN_BRIDGE && set->key == KEY_MAC && !stretched))
			continue;
		strbuf_printf(out, "\t%s %s {\n\t\ttype %s%s\n", set->jump ? "map" : "set", set->name,
			      set->key == KEY_TAP     ? "ifname"
			      : set->key == KEY_MAC   ? "ether_addr"
			      : set->key == KEY_ASKER ? "mark"
			      : set->key != KEY_ALLOW ? (six ? "ipv6_addr" : "ipv4_addr")
			      : six		      ? "ipv6_addr . ipv6_addr . inet_proto . inet_service"
						      : "ipv4_addr . ipv4_addr . inet_proto . inet_service",
			      set->jump ? " : verdict" : "");
		if (set->key == KEY_SUBNET || set->key == KEY_ALLOW || set->timeout)
			strbuf_printf(out, "\t\tflags %s%s%s\n", set->timeout ? "timeout" : "",
				      set->timeout && set->key == KEY_SUBNET ? ", " : "",
				      set->key == KEY_SUBNET || set->key == KEY_ALLOW ? "interval" : "");
		else
			strbuf_printf(out, "\t\tsize %zu\n", most);
		for (; next < elements->count && elements->items[next].table == table && elements->items[next].set == i;
		     next++) {
			if (set->timeout)
				continue;
			strbuf_add(out, begun ? ", " : "\t\telements = { ");
			element_format(&elements->items[next], out);
			begun = true;
		}
		strbuf_add(out, begun ? " }\n\t}\n" : "\t}\n");
	}
}

void rules_add_mode_chains(struct strbuf *out, const char *from, const char *open_from, const char *to,
			   const char *open_to)
{
	static const struct {
		enum element_mode mode;
		const char *from, *to;
	} rules[] = {
		{MODE_NAMES, ADD_MARK(NAMES),
		 "\t\tmeta mark & " FROM_WORLD " == " FROM_WORLD " meta l4proto { tcp, udp } th sport 53 drop\n"},
		{MODE_CUT, ADD_MARK(CUT), "\t\tmeta mark & " FROM_WORLD " == " FROM_WORLD " drop\n" ADD_MARK(TO_CUT)},
		{MODE_STRICT, ADD_MARK(CUT_STRICT),
		 "\t\tmeta mark & " FROM_WORLD " == " FROM_WORLD " drop\n"
		 "\t\tmeta mark & " CUT_OR_GUEST " == " FROM_GUEST " drop\n" ADD_MARK(TO_CUT)},
		{MODE_ALONE, ADD_MARK(CUT_ALONE), "\t\tmeta mark & " FROM_ANYBODY " != 0 drop\n" ADD_MARK(TO_CUT)},
		{MODE_SEALED, "\t\tdrop\n", "\t\tdrop\n"},
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		const char *mode = element_mode_name(rules[i].mode);

		strbuf_printf(out, "\tchain %s_%s {\n%s%s\t}\n", from, mode, open_from, rules[i].from);
		if (to)
			strbuf_printf(out, "\tchain %s_%s {\n%s%s\t}\n", to, mode, open_to, rules[i].to);
	}
}

void rules_add_address_chains(struct strbuf *out)
{
	rules_add_mode_chains(out, "from", "\t\tip saddr @open4 return\n\t\tip6 saddr @open6 return\n", "to",
			      "\t\tip daddr @open4 return\n\t\tip6 daddr @open6 return\n");
	rules_add_mode_chains(out, "net_from", "\t\tip saddr @open_net4 return\n\t\tip6 saddr @open_net6 return\n",
			      "net_to", "\t\tip daddr @open_net4 return\n\t\tip6 daddr @open_net6 return\n");
}

/* Fragments are put together behind the bridge, and what comes of them has the mark of the first one (ip_fragment.c):
 * it may have come when its sender was still open. Its Ethernet address is the same in all of them. */
static void add_mac_chains(struct strbuf *out)
{
	rules_add_mode_chains(out, "mac_from", "\t\tether saddr @mac_open return\n", NULL, NULL);
}

static bool is_behind(const struct lab *lab, const struct network *network, uint8_t family)
{
	return network->owner != lab->root && reach_subnet(network, family)->ip.family &&
	       reach_entry(lab->root, network, family);
}

bool rules_has_behind(const struct lab *lab, uint8_t family)
{
	for (size_t i = 0; i < lab->network_count; i++)
		if (is_behind(lab, lab->networks[i], family))
			return true;
	return false;
}

static void add_ways(struct strbuf *out, const struct lab *lab, uint8_t family, const char *field, const char *map)
{
	const char *protocol = family == AF_INET ? "ip" : "ip6";
	int digit = family == AF_INET ? 4 : 6;

	strbuf_printf(out, "\t\t%s %s vmap @%s%d\n", protocol, field, map, digit);
	if (rules_has_behind(lab, family))
		strbuf_printf(out, "\t\t%s %s vmap @%s_net%d\n", protocol, field, map, digit);
}

void rules_add_from(struct strbuf *out, const struct lab *lab, uint8_t family)
{
	add_ways(out, lab, family, "saddr", "from");
}

void rules_add_to(struct strbuf *out, const struct lab *lab, uint8_t family)
{
	add_ways(out, lab, family, "daddr", "to");
}

void rules_add_address6_chains(struct strbuf *out, const struct lab *lab, const char *more)
{
	strbuf_add(out, "\tchain from_address6 {\n");
	rules_add_from(out, lab, AF_INET6);
	strbuf_printf(out, "%s\t}\n\tchain to_address6 {\n", more);
	rules_add_to(out, lab, AF_INET6);
	strbuf_add(out, "\t}\n");
}

static void add_above(struct strbuf *out, const struct prefix *above, size_t count, const char *name, uint8_t family)
{
	struct set set = rules_set_begin(out, name, family == AF_INET ? "ipv4_addr" : "ipv6_addr", true);
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < count; i++)
		if (above[i].ip.family == family)
			rules_set_add(&set, "%s", rules_element_of(&above[i], text));
	rules_set_end(&set);
}

/*
 * What a guest that is cut sends to anybody but its host, and what comes from the world: as far as this is seen from
 * L0, and from a deeper host. Errors (ICMP) do not go up: which connection one is about is for its sender to say, and
 * it would leave with that of somebody who is not cut, or whose port is published.
 */
static void add_cut_chains(struct strbuf *out, bool outermost)
{
	strbuf_add(out, "\tchain leaves_cut {\n"
			"\t\toifname \"" NET_ADMIN "\" ct state established ct direction reply return\n"
			"\t\toifname \"" NET_ADMIN "\" drop\n"
			"\t\tip saddr . ip daddr . meta l4proto . th dport @allow4 return\n"
			"\t\tip6 saddr . ip6 daddr . meta l4proto . th dport @allow6 return\n");
	if (!outermost)
		strbuf_add(out, "\t\toifname \"" NET_WORLD "\" ct state established ct direction reply return\n"
				"\t\toifname \"" NET_WORLD "\" ct state related drop\n"
				"\t\toifname \"" NET_WORLD "\" meta l4proto { tcp, udp } th dport { 53, 853 } drop\n"
				"\t\toifname \"" NET_WORLD "\" meta mark & " CUT_ALONE " == " CUT
				" meta mark & " CUT_STRICT " == " CUT " ip daddr @above4 return\n"
				"\t\toifname \"" NET_WORLD "\" meta mark & " CUT_ALONE " == " CUT
				" meta mark & " CUT_STRICT " == " CUT " ip6 daddr @above6 return\n");
	strbuf_add(out, "\t\toifname \"" NET_WORLD "\" drop\n"
			"\t\tmeta mark & " ALONE " == " ALONE " drop\n\t}\n");
	strbuf_add(out, "\tchain from_world {\n");
	if (!outermost) /* what those above have begun, administrators among them */
		strbuf_add(out, "\t\tct direction original return\n");
	strbuf_add(out,
		   "\t\tip daddr . ip saddr . meta l4proto . th sport @allow4 return\n"
		   "\t\tip6 daddr . ip6 saddr . meta l4proto . th sport @allow6 return\n" ADD_MARK(FROM_WORLD) "\t}\n");
	/* On 53 arrives what was begun before the cut, and has been sent on to the resolver of all. */
	strbuf_printf(out,
		      "\tchain services_for_cut {\n"
		      "\t\tmeta l4proto { tcp, udp } th dport { 53, 853 } drop\n"
		      "\t\tiifname @with_dns meta l4proto { tcp, udp } th dport %d accept\n"
		      "\t}\n",
		      DNSMASQ_CUT_PORT);
}

/* Ways with a smaller MTU ahead, whoever swallows the ICMP that says so (RFC 4821, section 1). */
static void add_fit_chain(struct strbuf *out)
{
	static const char *const ways[] = {NET_ADMIN, NET_WORLD};

	strbuf_add(out, "\tchain fit {\n");
	for (size_t i = 0; i < 2; i++)
		strbuf_printf(out,
			      "\t\tiifname \"%s\" tcp option maxseg size set rt mtu\n"
			      "\t\toifname \"%s\" tcp option maxseg size set rt mtu\n",
			      ways[i], ways[i]);
	strbuf_add(out, "\t}\n");
}

static void add_prerouting(const struct lab *lab, struct strbuf *out)
{
	/* Nobody is answered whose answer would leave by another way: the host would be its relay; and from the world
	 * nobody has an address of the lab. For IPv4 the kernel does the same (rp_filter). */
	rules_add_address6_chains(out, lab, "\t\tip6 saddr != { ::, fe80::/10 } fib saddr . iif oif missing drop\n");
	strbuf_add(out, "\tchain prerouting {\n\t\ttype filter hook prerouting priority -150; policy accept;\n"
			"\t\tmeta mark & " KNOWN " == " KNOWN " accept\n"
			"\t\tether saddr vmap @mac_from\n");
	rules_add_from(out, lab, AF_INET);
	/* All that leaves L0 has its address, unless a network is routed, which pasta does for none: so nothing comes
	 * back that is for another, whatever connection it says it belongs to (an ICMP error, for example). */
	if (lab->root->layer == 0)
		strbuf_printf(out, "\t\tiifname \"" NET_WORLD "\"%s fib daddr type unicast drop\n",
			      has_network(lab->root, is_routed) ? " meta iifkind \"tun\"" : "");
	strbuf_printf(out,
		      "\t\tmeta nfproto ipv6 jump from_address6\n"
		      "\t}\n\tchain names {\n\t\ttype nat hook prerouting priority -100; policy accept;\n"
		      "\t\tmeta mark & " CUT_OR_NAMES " != 0 iifname @with_dns fib daddr type local "
		      "meta l4proto { tcp, udp } th dport 53 redirect to :%d\n"
		      "\t}\n",
		      DNSMASQ_CUT_PORT);
}

/*
 * What most packets are: of a flow that is known, and of a sender that is KNOWN and not cut. To whom they go is asked
 * where they come out, by the tap (bridge, output), as strictly as by the address; where guests have networks behind
 * them, it is only for these that the address must be asked. Whatever else there may be is asked only in labs that have
 * it.
 */
static void add_common(const struct lab *lab, struct strbuf *out)
{
	const bool behind4 = rules_has_behind(lab, AF_INET), behind6 = rules_has_behind(lab, AF_INET6);
	const char *common = "\t\tmeta mark & " KNOWN_CUT " == " KNOWN " ct state established,related ";
	const char *ways = has_network(lab->root, is_isolated) ? "iifname @connected oifname @connected"
							       : "oifname != \"" NET_ADMIN "\"";

	if (!behind4 && !behind6) {
		strbuf_printf(out, "%s%s accept\n", common, ways);
		return;
	}
	strbuf_printf(out, "%s%s %s accept\n", common, ways, behind4 ? "ip daddr != @behind4" : "meta nfproto ipv4");
	strbuf_printf(out, "%s%s %s accept\n", common, ways, behind6 ? "ip6 daddr != @behind6" : "meta nfproto ipv6");
}

/* Within another one, which says as much: intervals of a set do not overlap. */
static bool is_within_another(const struct lab *lab, size_t i, uint8_t family)
{
	const struct prefix *subnet = reach_subnet(lab->networks[i], family);

	for (size_t j = 0; j < lab->network_count; j++) {
		const struct prefix *other = reach_subnet(lab->networks[j], family);

		if (j != i && is_behind(lab, lab->networks[j], family) && prefix_overlaps(other, subnet) &&
		    (other->length < subnet->length || (other->length == subnet->length && j < i)))
			return true;
	}
	return false;
}

static void add_behind(struct strbuf *out, const struct lab *lab, const char *name, uint8_t family)
{
	struct set set = rules_set_begin(out, name, family == AF_INET ? "ipv4_addr" : "ipv6_addr", true);
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < lab->network_count; i++)
		if (is_behind(lab, lab->networks[i], family) && !is_within_another(lab, i, family))
			rules_set_add(&set, "%s", rules_element_of(reach_subnet(lab->networks[i], family), text));
	rules_set_end(&set);
}

static void add_forward(const struct lab *lab, struct strbuf *out)
{
	add_fit_chain(out);
	/* ALONE and STRICT are never without CUT: most packets are asked once. */
	strbuf_add(out, "\tchain sender_cut {\n"
			"\t\tjump leaves_cut\n"
			"\t\tmeta mark & " STRICT_TO_CUT " == " STRICT " oifname != { \"" NET_WORLD "\", \"" NET_ADMIN
			"\" } drop\n\t}\n"
			"\tchain forward {\n\t\ttype filter hook forward priority 0; policy drop;\n"
			"\t\ttcp flags & (syn | rst) == syn jump fit\n");
	add_common(lab, out);
	strbuf_add(out, "\t\tiifname \"" NET_WORLD "\" jump from_world\n");
	rules_add_to(out, lab, AF_INET);
	strbuf_add(out, "\t\tmeta nfproto ipv6 jump to_address6\n"
			"\t\tmeta mark & " CUT " == " CUT " jump sender_cut\n"
			"\t\tct state established,related iifname @connected oifname @connected accept\n"
			/* Published ports: what administrators begin, and its answers; nothing else takes that way. */
			"\t\tiifname \"" NET_ADMIN "\" ct status dnat ct direction original accept\n"
			"\t\toifname \"" NET_ADMIN "\" ct status dnat ct direction reply accept\n"
			"\t\tiifname \"" NET_ADMIN "\" drop\n"
			"\t\toifname \"" NET_ADMIN "\" drop\n"
			/* Before conntrack decides: the answer may have gone straight over the bridge, unseen here. */
			"\t\tiifname . oifname @same_bridge accept\n"
			"\t\tiifname != @connected drop\n"
			"\t\toifname != @connected drop\n"
			"\t\tct state invalid drop\n"
			"\t\tiifname \"" NET_WORLD "\" oifname @routed accept\n"
			"\t\tiifname \"" NET_WORLD "\" drop\n"
			"\t\taccept\n"
			"\t}\n");
}

/* Who asks: by its address where it has a fixed one, for many may come by one cable. */
static void add_asker_map(const struct lab *lab, const char *name, uint8_t family, struct strbuf *out)
{
	bool begun = false;

	strbuf_printf(out, "\tmap %s {\n\t\ttype %s : mark\n", name,
		      family == AF_INET	   ? "ipv4_addr"
		      : family == AF_INET6 ? "ipv6_addr"
					   : "ether_addr");
	for (size_t i = 0; i < lab->guest_count; i++)
		for (size_t j = 0; j < lab->guests[i]->nic_count; j++) {
			const struct nic *nic = &lab->guests[i]->nics[j];
			char text[IP_TEXT_SIZE > MAC_TEXT_SIZE ? IP_TEXT_SIZE : MAC_TEXT_SIZE];

			if (family == AF_UNSPEC
				    ? nic->guest->parent != lab->root
				    : !rules_nic_ip(nic, family, text) || !reach_entry(lab->root, nic->network, family))
				continue;
			if (family == AF_UNSPEC)
				mac_format(nic->mac, text);
			strbuf_printf(out, "%s%s : 0x%08x", begun ? ", " : "\t\telements = { ", text,
				      element_asker(nic->guest));
			begun = true;
		}
	strbuf_add(out, begun ? " }\n\t}\n" : "\t}\n");
}

/*
 * A resolver asks the world for somebody, and may be late: what it has been asked waits in its sockets. It gives what
 * it sends the mark of the connection that it was asked on (dnsmasq(8), --conntrack), so that it is known for whom.
 */
static void add_asker_chains(const struct lab *lab, struct strbuf *out)
{
	add_asker_map(lab, "asker_by_mac", AF_UNSPEC, out);
	add_asker_map(lab, "asker_by_ip4", AF_INET, out);
	add_asker_map(lab, "asker_by_ip6", AF_INET6, out);
	strbuf_add(out, "\tchain asks {\n"
			"\t\tct mark set ether saddr map @asker_by_mac\n"
			"\t\tct mark set ip saddr map @asker_by_ip4\n"
			"\t\tct mark set ip6 saddr map @asker_by_ip6\n"
			"\t}\n"
			"\tchain asked_for {\n"
			"\t\tmeta mark @askers_open return\n"
			"\t\tmeta mark @askers drop\n"
			"\t}\n");
}

static void add_host_chains(const struct lab *lab, struct strbuf *out)
{
	strbuf_add(out, "\tchain input {\n"
			"\t\ttype filter hook input priority 0; policy drop;\n"
			"\t\tiifname \"lo\" accept\n"
			"\t\tiifname @with_dns meta l4proto { tcp, udp } th dport 53 jump asks\n"
			"\t\tmeta mark & " CUT_OR_NAMES " != 0 jump services_for_cut\n"
			"\t\tct state established,related accept\n"
			"\t\ticmp type { echo-request } accept\n"
			"\t\ticmpv6 type { echo-request, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, "
			"mld-listener-query, mld-listener-report, mld2-listener-report } accept\n"
			"\t\tiifname @with_dhcp udp dport { 67, 547 } accept\n"
			"\t\tiifname @with_dns meta l4proto { tcp, udp } th dport 53 accept\n"
			"\t}\n");
	strbuf_add(out, "\tchain output {\n\t\ttype filter hook output priority 0; policy accept;\n"
			"\t\tmeta mark != 0 jump asked_for\n"
			"\t\tmeta l4proto { tcp, udp } th sport 53 meta mark set meta mark | " FROM_WORLD "\n");
	rules_add_to(out, lab, AF_INET);
	strbuf_add(out, "\t\tmeta nfproto ipv6 jump to_address6\n\t}\n");
	strbuf_add(out, "\tchain postrouting {\n"
			"\t\ttype nat hook postrouting priority 100; policy accept;\n"
			"\t\tiifname \"" NET_ADMIN "\" masquerade\n"
			"\t\toifname \"" NET_WORLD "\" iifname @masqueraded masquerade\n"
			"\t\toifname \"" NET_WORLD "\" meta oifkind \"tun\" iifname @connected masquerade\n"
			"\t}\n");
}

static void format_inet(const struct lab *lab, const struct elements *elements, const struct prefix *above,
			size_t above_count, struct strbuf *out)
{
	const struct host *root = lab->root;
	bool outermost = root->layer == 0;
	struct set set;

	strbuf_add(out, "table inet nestvisor {\n");
	set = rules_set_begin(out, "connected", "ifname",
			      false); /* networks that others and the world can be reached from */
	rules_set_add(&set, "\"" NET_WORLD "\"");
	for (size_t i = 0; i < root->network_count; i++)
		if (network_is_home(root->networks[i]) && root->networks[i]->uplink != UPLINK_NONE)
			rules_set_add(&set, "\"%s\"", root->networks[i]->bridge);
	rules_set_end(&set);
	add_networks(out, root, "masqueraded", is_masqueraded);
	add_networks(out, root, "routed", is_routed);
	add_networks(out, root, "with_dhcp", has_dhcp);
	add_networks(out, root, "with_dns", has_dns);
	set = rules_set_begin(out, "same_bridge", "ifname . ifname", false);
	for (size_t i = 0; i < root->network_count; i++)
		rules_set_add(&set, "\"%s\" . \"%s\"", root->networks[i]->bridge, root->networks[i]->bridge);
	rules_set_end(&set);
	rules_add_isolation_sets(out, lab, elements, IN_INET);
	if (!outermost) {
		add_above(out, above, above_count, "above4", AF_INET);
		add_above(out, above, above_count, "above6", AF_INET6);
	}
	add_behind(out, lab, "behind4", AF_INET);
	add_behind(out, lab, "behind6", AF_INET6);
	add_asker_chains(lab, out);
	add_mac_chains(out);
	rules_add_address_chains(out);
	add_cut_chains(out, outermost);
	publish_format_inside(lab, out);
	add_prerouting(lab, out);
	add_forward(lab, out);
	add_host_chains(lab, out);
	strbuf_add(out, "}\n");
}

static void add_opening(const struct element *element, const char *begin, struct strbuf *out)
{
	strbuf_printf(out, "%s element %s nestvisor %s { ", begin, element->table == IN_INET ? "inet" : "bridge",
		      element_sets[element->set].name);
	element_format(element, out);
}

void rules_format(const struct isolation *isolation, const struct prefix *above, size_t above_count, struct strbuf *out)
{
	cleanup_elements struct elements elements = {0};

	elements_collect(isolation, &elements);
	format_inet(isolation->lab, &elements, above, above_count, out);
	rules_format_bridge(isolation->lab, &elements, out);
	for (size_t i = 0; i < elements.count; i++)
		if (element_sets[elements.items[i].set].timeout) {
			add_opening(&elements.items[i], "#", out);
			strbuf_printf(out, " until %lld }\n", elements.items[i].until);
		}
}

void rules_format_openings(const struct isolation *isolation, struct strbuf *out)
{
	cleanup_elements struct elements elements = {0};

	elements_collect(isolation, &elements);
	strbuf_add(out, "");
	for (size_t i = 0; i < elements.count; i++)
		if (element_sets[elements.items[i].set].timeout && elements.items[i].open_ms > 0) {
			add_opening(&elements.items[i], "add", out);
			strbuf_printf(out, " timeout %lldms }\n", elements.items[i].open_ms);
		}
}
