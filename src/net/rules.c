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
 *               host do, for fragments have been put together meanwhile
 *   publish     what comes for published ports goes to the guest (publish.c); the cut answer, and begin nothing there
 *   forward     what is cut comes before `established`, so that it ends flows that live; then the uplink of the network
 *               decides
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
#include "net/rules.h"

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

/* Bits of the packet mark, which is not seen outside the namespace. */
#define CUT	      "0x00000001" /* its sender is cut, and not open for a while */
#define FROM_WORLD    "0x00000002" /* it came by the uplink, and is not from a place that its receiver keeps */
#define ALONE	      "0x00000004" /* its sender has no neighbours */
#define STRICT	      "0x00000008" /* its sender has only neighbours that are cut */
#define FROM_GUEST    "0x00000010" /* it came from a tap or a tunnel */
#define TO_CUT	      "0x00000020" /* its receiver is cut */
#define CUT_STRICT    "0x00000009"
#define CUT_ALONE     "0x00000005"
#define CUT_OR_GUEST  "0x00000011"
#define FROM_ANYBODY  "0x00000012" /* FROM_WORLD or FROM_GUEST */
#define STRICT_TO_CUT "0x00000028"

/* Elements are gathered first: a set that knows its size and stays as it is is a quicker one in the kernel. */
struct set {
	struct strbuf *out;
	struct strbuf elements;
	size_t count;
	bool interval;
};

static struct set set_begin(struct strbuf *out, const char *name, const char *type, bool interval)
{
	strbuf_printf(out, "\tset %s {\n\t\ttype %s\n", name, type);
	return (struct set){.out = out, .interval = interval};
}

__attribute__((format(printf, 2, 3))) static void set_add(struct set *set, const char *format, ...)
{
	char element[160];
	va_list args;

	va_start(args, format);
	vsnprintf(element, sizeof(element), format, args);
	va_end(args);
	strbuf_add(&set->elements, set->count++ ? ", " : "\t\telements = { ");
	strbuf_add(&set->elements, element);
}

static void set_end(struct set *set)
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

static const char *nic_ip(const struct nic *nic, uint8_t family, char text[IP_TEXT_SIZE])
{
	const struct ip *ip = family == AF_INET ? &nic->address4 : &nic->address6;

	return ip->family ? ip_format(ip, text) : NULL;
}

/* A prefix as an element: without a length where it is one address. */
static const char *element_of(const struct prefix *prefix, char text[PREFIX_TEXT_SIZE])
{
	struct prefix network = prefix_network(prefix);

	if (network.length == ip_bits(&network.ip))
		return ip_format(&network.ip, text);
	return prefix_format(&network, text);
}

static void add_networks(struct strbuf *out, const struct host *root, const char *name,
			 bool (*wanted)(const struct network *network))
{
	struct set set = set_begin(out, name, "ifname", false);

	for (size_t i = 0; i < root->network_count; i++)
		if (wanted(root->networks[i]))
			set_add(&set, "\"%s\"", root->networks[i]->bridge);
	set_end(&set);
}

static bool is_masqueraded(const struct network *network)
{
	return network->uplink == UPLINK_NAT;
}

static bool is_routed(const struct network *network)
{
	return network->uplink == UPLINK_ROUTE;
}

static bool has_dhcp(const struct network *network)
{
	return network->dhcp;
}

static bool has_dns(const struct network *network)
{
	return network->dns;
}

/* There is room in each set for all guests: at most an element for each nic, or one for each guest (elements.c). */
static size_t most_elements(const struct lab *lab)
{
	size_t most = lab->guest_count + 1;

	for (size_t i = 0; i < lab->guest_count; i++)
		most += lab->guests[i]->nic_count;
	return most;
}

/* The sets of one table that say who is cut; elements that end by themselves are added behind the tables. */
static void add_isolation_sets(struct strbuf *out, const struct lab *lab, const struct elements *elements,
			       uint8_t table)
{
	const size_t most = most_elements(lab);
	size_t next = 0;

	for (size_t i = 0; i < SET_COUNT; i++) {
		const struct element_set *set = &element_sets[i];
		bool six = set->family == AF_INET6, begun = false;

		while (next < elements->count && elements->items[next].table < table)
			next++;
		if (!(set->tables & table))
			continue;
		strbuf_printf(out, "\t%s %s {\n\t\ttype %s%s%s\n", set->jump ? "map" : "set", set->name,
			      set->key == KEY_TAP     ? "ifname"
			      : set->key == KEY_MAC   ? "ether_addr"
			      : set->key == KEY_ASKER ? "mark"
			      : set->key != KEY_ALLOW ? (six ? "ipv6_addr" : "ipv4_addr")
			      : six		      ? "ipv6_addr . ipv6_addr . inet_proto . inet_service"
						      : "ipv4_addr . ipv4_addr . inet_proto . inet_service",
			      set->jump ? " : verdict" : "", "");
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

#define ADD_MARK(bits) "\t\tmeta mark set meta mark | " bits "\n"

/*
 * The chains that the verdict maps lead to, for one kind of map: `from` and `to` are their names' beginnings (NULL: no
 * such), `open_from` and `open_to` the rules that let a guest pass that is open for a while.
 */
static void add_mode_chains(struct strbuf *out, const char *from, const char *open_from, const char *to,
			    const char *open_to)
{
	static const struct {
		enum element_mode mode;
		const char *from, *to;
	} rules[] = {
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

static void add_address_chains(struct strbuf *out)
{
	add_mode_chains(out, "from", "\t\tip saddr @open4 return\n\t\tip6 saddr @open6 return\n", "to",
			"\t\tip daddr @open4 return\n\t\tip6 daddr @open6 return\n");
	add_mode_chains(out, "net_from", "\t\tip saddr @open_net4 return\n\t\tip6 saddr @open_net6 return\n", "net_to",
			"\t\tip daddr @open_net4 return\n\t\tip6 daddr @open_net6 return\n");
}

/* Fragments are put together behind the bridge, and what comes of them has the mark of the first one (ip_fragment.c):
 * it may have come when its sender was still open. Its Ethernet address is the same in all of them. */
static void add_mac_chains(struct strbuf *out)
{
	add_mode_chains(out, "mac_from", "\t\tether saddr @mac_open return\n", NULL, NULL);
}

/* Those for IPv6 are in chains of their own where most packets pass: what is IPv4 is asked about it once. */
static const char from_rules4[] = "\t\tip saddr vmap @from4\n"
				  "\t\tip saddr vmap @from_net4\n",
		  from_rules6[] = "\t\tip6 saddr vmap @from6\n"
				  "\t\tip6 saddr vmap @from_net6\n",
		  to_rules4[] = "\t\tip daddr vmap @to4\n"
				"\t\tip daddr vmap @to_net4\n",
		  to_rules6[] = "\t\tip6 daddr vmap @to6\n"
				"\t\tip6 daddr vmap @to_net6\n";

static void add_above(struct strbuf *out, const struct prefix *above, size_t count, const char *name, uint8_t family)
{
	struct set set = set_begin(out, name, family == AF_INET ? "ipv4_addr" : "ipv6_addr", true);
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < count; i++)
		if (above[i].ip.family == family)
			set_add(&set, "%s", element_of(&above[i], text));
	set_end(&set);
}

/* What a guest that is cut sends to anybody but its host, and what comes from the world: as far as this is seen from
 * L0, and from a deeper host. */
static void add_cut_chains(struct strbuf *out, bool outermost)
{
	strbuf_add(out, "\tchain leaves_cut {\n"
			"\t\toifname \"" NET_ADMIN "\" ct state established ct direction reply return\n"
			"\t\tip saddr . ip daddr . meta l4proto . th dport @allow4 return\n"
			"\t\tip6 saddr . ip6 daddr . meta l4proto . th dport @allow6 return\n");
	if (!outermost)
		strbuf_add(out, "\t\toifname \"" NET_WORLD "\" ct state established ct direction reply return\n"
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

static void add_forward(struct strbuf *out)
{
	add_fit_chain(out);
	strbuf_add(out, "\tchain from_address6 {\n");
	strbuf_add(out, from_rules6);
	/* Nobody is answered whose answer would leave by another way: the host would be its relay. For IPv4 the kernel
	 * does the same (rp_filter). */
	strbuf_add(out,
		   "\t\tip6 saddr != { ::, fe80::/10 } iifname != \"" NET_WORLD "\" fib saddr . iif oif missing drop\n"
		   "\t}\n");
	strbuf_add(out, "\tchain prerouting {\n\t\ttype filter hook prerouting priority -150; policy accept;\n"
			"\t\tether saddr vmap @mac_from\n");
	strbuf_add(out, from_rules4);
	strbuf_add(out, "\t\tmeta nfproto ipv6 jump from_address6\n");
	strbuf_printf(out,
		      "\t}\n\tchain names {\n\t\ttype nat hook prerouting priority -100; policy accept;\n"
		      "\t\tmeta mark & " CUT " == " CUT " iifname @with_dns fib daddr type local "
		      "meta l4proto { tcp, udp } th dport 53 redirect to :%d\n",
		      DNSMASQ_CUT_PORT);
	strbuf_add(out, "\t}\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy drop;\n"
			"\t\tiifname \"" NET_WORLD "\" jump from_world\n"
			"\t\tmeta mark & " CUT " == " CUT " jump leaves_cut\n");
	strbuf_add(out, to_rules4);
	strbuf_add(out, to_rules6);
	strbuf_add(out, "\t\ttcp flags & (syn | rst) == syn jump fit\n"
			"\t\tmeta mark & " STRICT_TO_CUT " == " STRICT " oifname != { \"" NET_WORLD "\", \"" NET_ADMIN
			"\" } drop\n"
			/* What most packets are, as early as they may be known to be it. */
			"\t\tct state { established, related } iifname @connected oifname @connected accept\n"
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
				    : !nic_ip(nic, family, text) || !reach_entry(lab->root, nic->network, family))
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

static void add_host_chains(struct strbuf *out)
{
	strbuf_add(out, "\tchain input {\n"
			"\t\ttype filter hook input priority 0; policy drop;\n"
			"\t\tiifname \"lo\" accept\n"
			"\t\tiifname @with_dns meta l4proto { tcp, udp } th dport 53 jump asks\n"
			"\t\tmeta mark & " CUT " == " CUT " jump services_for_cut\n"
			"\t\tct state { established, related } accept\n"
			"\t\ticmp type { echo-request } accept\n"
			"\t\ticmpv6 type { echo-request, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, "
			"mld-listener-query, mld-listener-report, mld2-listener-report } accept\n"
			"\t\tiifname @with_dhcp udp dport { 67, 547 } accept\n"
			"\t\tiifname @with_dns meta l4proto { tcp, udp } th dport 53 accept\n"
			"\t}\n");
	strbuf_add(out, "\tchain output {\n\t\ttype filter hook output priority 0; policy accept;\n"
			"\t\tmeta mark != 0 jump asked_for\n"
			"\t\tmeta l4proto { tcp, udp } th sport 53 meta mark set meta mark | " FROM_WORLD "\n");
	strbuf_add(out, to_rules4);
	strbuf_add(out, to_rules6);
	strbuf_add(out, "\t}\n");
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
	set = set_begin(out, "connected", "ifname", false); /* networks that others and the world can be reached from */
	set_add(&set, "\"" NET_WORLD "\"");
	for (size_t i = 0; i < root->network_count; i++)
		if (root->networks[i]->uplink != UPLINK_NONE)
			set_add(&set, "\"%s\"", root->networks[i]->bridge);
	set_end(&set);
	add_networks(out, root, "masqueraded", is_masqueraded);
	add_networks(out, root, "routed", is_routed);
	add_networks(out, root, "with_dhcp", has_dhcp);
	add_networks(out, root, "with_dns", has_dns);
	set = set_begin(out, "same_bridge", "ifname . ifname", false);
	for (size_t i = 0; i < root->network_count; i++)
		set_add(&set, "\"%s\" . \"%s\"", root->networks[i]->bridge, root->networks[i]->bridge);
	set_end(&set);
	add_isolation_sets(out, lab, elements, IN_INET);
	if (!outermost) {
		add_above(out, above, above_count, "above4", AF_INET);
		add_above(out, above, above_count, "above6", AF_INET6);
	}
	add_asker_chains(lab, out);
	add_mac_chains(out);
	add_address_chains(out);
	add_cut_chains(out, outermost);
	publish_format_inside(lab, out);
	add_forward(out);
	add_host_chains(out);
	strbuf_add(out, "}\n");
}

/* The bridge table's sets. Each goes over the taps of this host: the nics of its guests. */

typedef void (*nic_elements)(struct set *set, const struct lab *lab, const struct nic *nic);

static void add_taps(struct strbuf *out, const struct lab *lab, const char *name, const char *type, bool interval,
		     nic_elements each)
{
	const struct host *root = lab->root;
	struct set set = set_begin(out, name, type, interval);

	for (size_t i = 0; i < root->guest_count; i++)
		for (size_t j = 0; j < root->guests[i]->nic_count; j++)
			each(&set, lab, &root->guests[i]->nics[j]);
	set_end(&set);
}

static void tap_itself(struct set *set, const struct lab *lab, const struct nic *nic)
{
	set_add(set, "\"%s\"", nic->tap);
}

/*
 * A guest without a fixed address may give itself any of its network that is nobody's. With one from elsewhere it could
 * have its host and its neighbours send to the world for it, as answers. Only where its network has no addresses of a
 * family, and so no way out, it may have any.
 */
static bool is_free(const struct nic *nic, uint8_t family)
{
	return !(family == AF_INET ? nic->address4 : nic->address6).family;
}

static const struct prefix *subnet_of(const struct nic *nic, uint8_t family)
{
	return family == AF_INET ? &nic->network->subnet4 : &nic->network->subnet6;
}

static void free_in_subnet(struct set *set, const struct nic *nic, uint8_t family)
{
	char text[PREFIX_TEXT_SIZE];

	if (is_free(nic, family) && subnet_of(nic, family)->ip.family)
		set_add(set, "\"%s\" . %s", nic->tap, element_of(subnet_of(nic, family), text));
}

static void free_ip4(struct set *set, const struct lab *lab, const struct nic *nic)
{
	free_in_subnet(set, nic, AF_INET);
}

static void free_ip6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	free_in_subnet(set, nic, AF_INET6);
}

static void tap_without_ip6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	if (is_free(nic, AF_INET6))
		tap_itself(set, lab, nic);
}

static void tap_with_any_ip4(struct set *set, const struct lab *lab, const struct nic *nic)
{
	if (is_free(nic, AF_INET) && !subnet_of(nic, AF_INET)->ip.family)
		tap_itself(set, lab, nic);
}

static void tap_with_any_ip6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	if (is_free(nic, AF_INET6) && !subnet_of(nic, AF_INET6)->ip.family)
		tap_itself(set, lab, nic);
}

/*
 * Guests that must not answer DHCP or advertise routes. All, but on a network where somebody else's guests wait for
 * an address and dnsmasq gives none: there the lab has a server of its own.
 */
static void tap_if_guarded(struct set *set, const struct lab *lab, const struct nic *nic)
{
	const struct host *root = lab->root;

	for (size_t i = 0; !nic->network->dhcp && i < root->guest_count; i++)
		for (size_t j = 0; j < root->guests[i]->nic_count; j++) {
			const struct nic *other = &root->guests[i]->nics[j];

			if (other->network == nic->network && other->guest != nic->guest && !other->address4.family &&
			    !other->address6.family)
				return;
		}
	tap_itself(set, lab, nic);
}

static void mac_of_tap(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char mac[MAC_TEXT_SIZE];

	set_add(set, "\"%s\" . %s", nic->tap, mac_format(nic->mac, mac));
}

/* Subnets that are reached through the nic's guest, which may send with their addresses from each of its nics. */
static void subnets_behind(struct set *set, const struct lab *lab, const struct nic *nic, uint8_t family)
{
	char text[PREFIX_TEXT_SIZE];

	if (!nic->guest->host)
		return;
	for (size_t i = 0; i < lab->network_count; i++) {
		const struct network *network = lab->networks[i];
		const struct prefix *subnet = reach_subnet(network, family);

		if (network->owner != lab->root && subnet->ip.family &&
		    host_guest_towards(lab->root, network->owner->guest) == nic->guest &&
		    reach_entry(lab->root, network, family))
			set_add(set, "\"%s\" . %s", nic->tap, element_of(subnet, text));
	}
}

static void subnets4_behind(struct set *set, const struct lab *lab, const struct nic *nic)
{
	subnets_behind(set, lab, nic, AF_INET);
}

static void subnets6_behind(struct set *set, const struct lab *lab, const struct nic *nic)
{
	subnets_behind(set, lab, nic, AF_INET6);
}

static void own_ip4(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char text[IP_TEXT_SIZE];

	if (nic_ip(nic, AF_INET, text))
		set_add(set, "\"%s\" . %s", nic->tap, text);
}

/*
 * A system that nestvisor makes derives its link-local address from its MAC address. Of others it is not known how they
 * choose theirs (RFC 7217, RFC 8981), so they may have any; the gateway's own is refused before these sets are asked.
 */
static void own_ip6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	struct ip local = link_local(nic->mac);
	char text[IP_TEXT_SIZE];

	if (nic->guest->seed == SEED_NATIVE)
		set_add(set, "\"%s\" . %s", nic->tap, ip_format(&local, text));
	if (nic_ip(nic, AF_INET6, text))
		set_add(set, "\"%s\" . %s", nic->tap, text);
}

/* The same with the Ethernet address. */
static void whole_own4(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	if (nic_ip(nic, AF_INET, text))
		set_add(set, "\"%s\" . %s . %s", nic->tap, mac_format(nic->mac, mac), text);
}

static void whole_own6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	if (nic_ip(nic, AF_INET6, text))
		set_add(set, "\"%s\" . %s . %s", nic->tap, mac_format(nic->mac, mac), text);
}

static void tap_with_any_local(struct set *set, const struct lab *lab, const struct nic *nic)
{
	if (nic->guest->seed != SEED_NATIVE)
		tap_itself(set, lab, nic);
}

static void fixed_ip4(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char text[IP_TEXT_SIZE];

	if (nic_ip(nic, AF_INET, text))
		set_add(set, "%s", text);
}

static void fixed_ip6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char text[IP_TEXT_SIZE];

	if (nic_ip(nic, AF_INET6, text))
		set_add(set, "%s", text);
}

/* Addresses that are somebody's: guests without a fixed address may use any but these. */
static void add_owned(struct strbuf *out, const struct lab *lab, const char *name, uint8_t family)
{
	const struct host *root = lab->root;
	struct set set = set_begin(out, name, family == AF_INET ? "ipv4_addr" : "ipv6_addr", false);
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; family == AF_INET && i < root->network_count; i++)
		if (root->networks[i]->gateway4.family)
			set_add(&set, "%s", ip_format(&root->networks[i]->gateway4, text));
	for (size_t i = 0; i < root->guest_count; i++)
		for (size_t j = 0; j < root->guests[i]->nic_count; j++)
			(family == AF_INET ? fixed_ip4 : fixed_ip6)(&set, lab, &root->guests[i]->nics[j]);
	set_end(&set);
}

static struct ip gateway_local(const struct lab *lab, const struct network *network)
{
	uint8_t mac[6];

	network_mac(lab, network, mac);
	return link_local(mac);
}

static void add_gateways6(struct strbuf *out, const struct lab *lab)
{
	struct set set = set_begin(out, "gateways6", "ipv6_addr", false);
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; i < lab->root->network_count; i++) {
		const struct network *network = lab->root->networks[i];
		struct ip local = gateway_local(lab, network);

		if (network->gateway6.family)
			set_add(&set, "%s", ip_format(&network->gateway6, text));
		set_add(&set, "%s", ip_format(&local, text));
	}
	set_end(&set);
}

/* An IPv6 address as a number: nft 1.0.6 has no name for the target of an advertisement, only its place in the packet.
 */
static const char *number_of(const struct ip *ip, char text[35])
{
	static const char digits[] = "0123456789abcdef";
	char *at = text;

	*at++ = '0';
	*at++ = 'x';
	for (size_t i = 0; i < 16; i++) {
		*at++ = digits[ip->bytes[i] >> 4];
		*at++ = digits[ip->bytes[i] & 15];
	}
	*at = '\0';
	return text;
}

#define TARGET "@th,64,128" /* of a neighbour advertisement: RFC 4861, section 4.4 */

static void add_advert_chain(struct strbuf *out, const struct lab *lab)
{
	const struct host *root = lab->root;
	cleanup_strbuf struct strbuf pairs = {0}, owned = {0};
	char number[35];

	for (size_t i = 0; i < root->network_count; i++) {
		struct ip local = gateway_local(lab, root->networks[i]);

		strbuf_printf(&owned, "%s%s", owned.length ? ", " : "", number_of(&local, number));
		if (root->networks[i]->gateway6.family)
			strbuf_printf(&owned, ", %s", number_of(&root->networks[i]->gateway6, number));
	}
	for (size_t i = 0; i < root->guest_count; i++)
		for (size_t j = 0; j < root->guests[i]->nic_count; j++) {
			const struct nic *nic = &root->guests[i]->nics[j];

			if (!nic->address6.family)
				continue;
			number_of(&nic->address6, number);
			strbuf_printf(&pairs, "%s\"%s\" . %s", pairs.length ? ", " : "", nic->tap, number);
			strbuf_printf(&owned, "%s%s", owned.length ? ", " : "", number);
		}
	strbuf_add(out, "\tchain from_tap_advert {\n");
	if (pairs.length)
		strbuf_printf(out, "\t\tiifname . " TARGET " { %s } return\n", pairs.text);
	if (owned.length)
		strbuf_printf(out, "\t\t" TARGET " { %s } drop\n", owned.text);
	strbuf_add(out, "\t\t@th,64,10 0x3fa return\n" /* fe80::/10 */
			"\t\tiifname @any_advert return\n"
			"\t\tdrop\n\t}\n");
}

static void add_tap_chains(struct strbuf *out)
{
	strbuf_add(out, "\tchain from_tap_arp {\n"
			"\t\tiifname . arp saddr ether != @tap_mac drop\n"
			"\t\tiifname . arp saddr ip @tap_ip4 return\n"
			"\t\tiifname . arp saddr ip @tap_subnets4 return\n"
			"\t\tarp saddr ip 0.0.0.0 return\n" /* is it free? RFC 5227 */
			"\t\tarp saddr ip @owned4 drop\n"
			"\t\tiifname . arp saddr ip @free_ip4 return\n"
			"\t\tiifname @any_ip4 return\n"
			"\t\tdrop\n\t}\n");
	strbuf_add(out, "\tchain from_tap_ip4 {\n"
			"\t\tiifname @guarded udp sport 67 drop\n"
			"\t\tiifname . ip saddr @tap_ip4 return\n"
			"\t\tiifname . ip saddr @tap_subnets4 return\n"
			"\t\tip saddr 0.0.0.0 udp sport 68 udp dport 67 return\n"
			"\t\tip saddr @owned4 drop\n"
			"\t\tiifname . ip saddr @free_ip4 return\n"
			"\t\tiifname @any_ip4 return\n"
			"\t\tdrop\n\t}\n");
	strbuf_add(out, "\tchain from_tap_ip6 {\n"
			"\t\tip6 saddr @gateways6 drop\n"
			/* What only neighbours may say has this limit (RFC 4861), and never comes in pieces, in which
			   it could hide (RFC 6980). */
			"\t\tip6 hoplimit 255 exthdr frag exists drop\n"
			"\t\ticmpv6 type nd-redirect drop\n"
			"\t\tiifname @guarded icmpv6 type nd-router-advert drop\n"
			"\t\tiifname @guarded udp sport 547 drop\n"
			"\t\ticmpv6 type nd-neighbor-advert jump from_tap_advert\n"
			"\t\tiifname . ip6 saddr @tap_ip6 return\n"
			"\t\tiifname . ip6 saddr @tap_subnets6 return\n"
			"\t\tiifname @any_local ip6 saddr fe80::/10 return\n"
			"\t\tip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, "
			"mld2-listener-report } return\n"
			"\t\tip6 saddr @owned6 drop\n"
			"\t\tiifname . ip6 saddr @free_ip6 return\n"
			"\t\tiifname @any_ip6 return\n"
			"\t\tdrop\n\t}\n");
}

/* Who sends: most frames are decided by one look at all that must be the tap's own, the others are looked at closely.
 */
static void add_from_taps(struct strbuf *out)
{
	strbuf_add(out, "\tchain own4 {\n"
			"\t\tmeta l4proto != udp accept\n"
			"\t\tudp sport != 67 accept\n"
			"\t}\n"
			"\tchain own6 {\n"
			"\t\tip6 nexthdr tcp accept\n"
			"\t\tip6 nexthdr udp udp sport != 547 accept\n"
			"\t}\n"
			"\tchain prerouting {\n"
			"\t\ttype filter hook prerouting priority -300; policy accept;\n" ADD_MARK(FROM_GUEST));
	strbuf_add(out, "\t\tiifname vmap @tap_from\n"
			"\t\tiifname . ether saddr . ip saddr @own4 jump own4\n"
			"\t\tiifname . ether saddr . ip6 saddr @own6 jump own6\n"
			"\t\tiifname @tunnels accept\n"
			"\t\tiifname . ether saddr != @tap_mac drop\n"
			/* Of a VLAN the host knows nothing; VLAN 0 is no VLAN, and what is behind such a tag it takes
			   as if there were none (IEEE 802.1Q, 6.9.1). */
			"\t\tether type { 8021q, 8021ad } @ll,116,12 != 0 accept\n"
			"\t\tmeta protocol vmap { arp : jump from_tap_arp, ip : jump from_tap_ip4, "
			"ip6 : jump from_tap_ip6, 8021q : drop, 8021ad : drop }\n"
			"\t}\n");
}

static void add_bridge_chains(struct strbuf *out)
{
	add_from_taps(out);
	add_mode_chains(out, "tap_from", "\t\tiifname @tap_open return\n", "tap_to", "\t\toifname @tap_open return\n");
	add_address_chains(out);
	strbuf_add(out, "\tchain forward {\n"
			"\t\ttype filter hook forward priority -300; policy accept;\n");
	strbuf_add(out, from_rules4);
	strbuf_add(out, from_rules6);
	strbuf_add(out, "\t\toifname vmap @tap_to\n");
	strbuf_add(out, to_rules4);
	strbuf_add(out, to_rules6);
	strbuf_add(out, "\t\tmeta mark & " ALONE " == " ALONE " drop\n"
			"\t\tmeta mark & " STRICT_TO_CUT " == " STRICT " drop\n"
			"\t}\n");
	strbuf_add(out, "\tchain output {\n"
			"\t\ttype filter hook output priority -300; policy accept;\n"
			"\t\toifname vmap @tap_to\n"
			"\t}\n");
}

static void add_tunnels(struct strbuf *out, const struct host *root)
{
	struct set set = set_begin(out, "tunnels", "ifname", false);

	for (size_t i = 0; i < root->network_count; i++)
		for (size_t j = 0; j < net_tunnel_count(root->networks[i]); j++) {
			char name[LINK_NAME_SIZE];

			net_tunnel_name(root->networks[i], j, name);
			set_add(&set, "\"%s\"", name);
		}
	set_end(&set);
}

static void format_bridge(const struct lab *lab, const struct elements *elements, struct strbuf *out)
{
	strbuf_add(out, "table bridge nestvisor {\n");
	add_tunnels(out, lab->root);
	add_taps(out, lab, "guarded", "ifname", false, tap_if_guarded);
	add_taps(out, lab, "any_ip4", "ifname", false, tap_with_any_ip4);
	add_taps(out, lab, "any_ip6", "ifname", false, tap_with_any_ip6);
	add_taps(out, lab, "any_advert", "ifname", false, tap_without_ip6);
	add_taps(out, lab, "free_ip4", "ifname . ipv4_addr", true, free_ip4);
	add_taps(out, lab, "free_ip6", "ifname . ipv6_addr", true, free_ip6);
	add_taps(out, lab, "tap_mac", "ifname . ether_addr", false, mac_of_tap);
	add_taps(out, lab, "any_local", "ifname", false, tap_with_any_local);
	/* Apart from the addresses: intervals in two dimensions are what the kernel takes longest to build. */
	add_taps(out, lab, "tap_ip4", "ifname . ipv4_addr", false, own_ip4);
	add_taps(out, lab, "tap_ip6", "ifname . ipv6_addr", false, own_ip6);
	add_taps(out, lab, "own4", "ifname . ether_addr . ipv4_addr", false, whole_own4);
	add_taps(out, lab, "own6", "ifname . ether_addr . ipv6_addr", false, whole_own6);
	add_taps(out, lab, "tap_subnets4", "ifname . ipv4_addr", true, subnets4_behind);
	add_taps(out, lab, "tap_subnets6", "ifname . ipv6_addr", true, subnets6_behind);
	add_owned(out, lab, "owned4", AF_INET);
	add_owned(out, lab, "owned6", AF_INET6);
	add_gateways6(out, lab);
	add_isolation_sets(out, lab, elements, IN_BRIDGE);
	add_advert_chain(out, lab);
	add_tap_chains(out);
	add_bridge_chains(out);
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
	format_bridge(isolation->lab, &elements, out);
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
