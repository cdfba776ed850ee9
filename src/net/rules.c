/*
 * Two tables. Whatever depends on the lab's guests and networks is in sets, and what the chains say is nearly the same
 * for every lab: a packet costs the same in a lab of two guests and of two thousand, and cutting a guest is adding an
 * element.
 *
 * table bridge nestvisor: every frame, also between guests of one network
 *   prerouting  what comes from a tap must be the tap's own: Ethernet source, ARP sender, IP source (its addresses,
 *               its link-local one, and the routed subnets behind it), neighbour advertisements only for these, and
 *               neither DHCP answers nor router advertisements. An interface that is neither a known tap nor a tunnel
 * gets nothing in: a cable is plugged in after its rules are there, or it is dead. Frames of cut guests are marked.
 *   forward     nothing to or from sealed guests
 *   output      the same; and nothing that came from the world to the taps of cut guests
 *
 * table inet nestvisor: what is routed
 *   forward     sealed and cut come before `established`, so that they end flows that live; then the uplink of the
 * network decides input       the host's own services: DHCP and DNS where the network has them; no DNS for the cut
 *   output      the administrator's packets: everywhere but to the sealed
 *   postrouting networks with uplink nat leave with the transit address, so that two labs can have the same subnet
 *
 * A direct guest is known by its tap, which it cannot forge: cut and sealed hold for all that comes out of it, whatever
 * addresses it has given itself. A guest of a deeper layer is known by its address as far as its host routes it with
 * its own; behind an uplink nat it cannot be told from its host's other guests here, and is the host's business.
 *
 * At L0 all that leaves by `world` has left the lab. On a deeper host it has not: an answer to a connection from above
 * (the administrator's) and the subnets that the host is attached to stay open to a cut guest, and L0 does the rest.
 *
 * With pasta as the uplink (an interface of kind "tun"), everything is translated: pasta knows one address only.
 */
#include "net/rules.h"

#include "model/lab.h"
#include "net/link.h"
#include "net/net_internal.h"
#include "net/network.h"
#include "net/reach.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Bits of the packet mark, which is not seen outside the namespace. */
#define FROM_CUT   "0x00000001"
#define FROM_WORLD "0x00000002"

struct set {
	struct strbuf *out;
	bool begun;
};

static struct set set_begin(struct strbuf *out, const char *name, const char *type, bool interval)
{
	strbuf_printf(out, "\tset %s {\n\t\ttype %s\n", name, type);
	if (interval)
		strbuf_add(out, "\t\tflags interval\n");
	return (struct set){.out = out};
}

__attribute__((format(printf, 2, 3))) static void set_add(struct set *set, const char *format, ...)
{
	char element[160];
	va_list args;

	va_start(args, format);
	vsnprintf(element, sizeof(element), format, args);
	va_end(args);
	strbuf_add(set->out, set->begun ? ", " : "\t\telements = { ");
	strbuf_add(set->out, element);
	set->begun = true;
}

static void set_end(struct set *set)
{
	strbuf_add(set->out, set->begun ? " }\n\t}\n" : "\t}\n");
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

/* The addresses of guests, at any depth, that are cut or sealed and can be seen from here. */
static void add_guest_addresses(struct strbuf *out, const struct lab *lab, const char *name, uint8_t family,
				enum world world)
{
	struct set set = set_begin(out, name, family == AF_INET ? "ipv4_addr" : "ipv6_addr", false);
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; i < lab->guest_count; i++) {
		const struct guest *guest = lab->guests[i];

		if (reach_world(guest) != world)
			continue;
		for (size_t j = 0; j < guest->nic_count; j++)
			if (nic_ip(&guest->nics[j], family, text) &&
			    reach_entry(lab->root, guest->nics[j].network, family))
				set_add(&set, "%s", text);
	}
	set_end(&set);
}

/* The same for the subnets behind guests that are hosts. */
static void add_guest_subnets(struct strbuf *out, const struct lab *lab, const char *name, uint8_t family,
			      enum world world)
{
	struct set set = set_begin(out, name, family == AF_INET ? "ipv4_addr" : "ipv6_addr", true);
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < lab->network_count; i++) {
		const struct network *network = lab->networks[i];
		const struct prefix *subnet = reach_subnet(network, family);

		if (network->owner != lab->root && subnet->ip.family && reach_world(network->owner->guest) == world &&
		    reach_entry(lab->root, network, family))
			set_add(&set, "%s", element_of(subnet, text));
	}
	set_end(&set);
}

static void add_world_sets(struct strbuf *out, const struct lab *lab)
{
	add_guest_addresses(out, lab, "cut4", AF_INET, WORLD_CUT);
	add_guest_addresses(out, lab, "cut6", AF_INET6, WORLD_CUT);
	add_guest_subnets(out, lab, "cut_subnets4", AF_INET, WORLD_CUT);
	add_guest_subnets(out, lab, "cut_subnets6", AF_INET6, WORLD_CUT);
}

static void add_sealed_sets(struct strbuf *out, const struct lab *lab)
{
	add_guest_addresses(out, lab, "sealed4", AF_INET, WORLD_SEALED);
	add_guest_addresses(out, lab, "sealed6", AF_INET6, WORLD_SEALED);
	add_guest_subnets(out, lab, "sealed_subnets4", AF_INET, WORLD_SEALED);
	add_guest_subnets(out, lab, "sealed_subnets6", AF_INET6, WORLD_SEALED);
}

static const char sealed_rules[] = "\t\tip saddr @sealed4 drop\n"
				   "\t\tip daddr @sealed4 drop\n"
				   "\t\tip6 saddr @sealed6 drop\n"
				   "\t\tip6 daddr @sealed6 drop\n"
				   "\t\tip saddr @sealed_subnets4 drop\n"
				   "\t\tip daddr @sealed_subnets4 drop\n"
				   "\t\tip6 saddr @sealed_subnets6 drop\n"
				   "\t\tip6 daddr @sealed_subnets6 drop\n";

/* Jumps for packets of cut guests, known by the mark that their tap put on, or by their address. */
static void add_from_cut(struct strbuf *out, const char *chain)
{
	strbuf_printf(out,
		      "\t\tmeta mark & " FROM_CUT " == " FROM_CUT " jump %s\n"
		      "\t\tip saddr @cut4 jump %s\n"
		      "\t\tip6 saddr @cut6 jump %s\n"
		      "\t\tip saddr @cut_subnets4 jump %s\n"
		      "\t\tip6 saddr @cut_subnets6 jump %s\n",
		      chain, chain, chain, chain, chain);
}

static void add_above(struct strbuf *out, const struct prefix *above, size_t count, const char *name, uint8_t family)
{
	struct set set = set_begin(out, name, family == AF_INET ? "ipv4_addr" : "ipv6_addr", true);
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < count; i++)
		if (above[i].ip.family == family)
			set_add(&set, "%s", element_of(&above[i], text));
	set_end(&set);
}

/* What a cut guest may not send, and what may not be sent to it: as far as this is seen from L0, and from a deeper
 * host. */
static void add_cut_chains(struct strbuf *out, bool outermost)
{
	const char *others = outermost ? "" : "ct direction reply ";

	strbuf_add(out, "\tchain from_cut {\n");
	if (!outermost)
		strbuf_add(out, "\t\toifname \"" NET_WORLD "\" ct direction reply return\n"
				"\t\toifname \"" NET_WORLD "\" meta l4proto { tcp, udp } th dport { 53, 853 } drop\n"
				"\t\toifname \"" NET_WORLD "\" ip daddr @above4 return\n"
				"\t\toifname \"" NET_WORLD "\" ip6 daddr @above6 return\n");
	strbuf_add(out, "\t\toifname \"" NET_WORLD "\" drop\n\t}\n");
	/* The tap's part of this is in the bridge table, where the tap is known. */
	strbuf_printf(out,
		      "\tchain from_world {\n"
		      "\t\t%smeta mark set meta mark | " FROM_WORLD "\n"
		      "\t\t%sip daddr @cut4 drop\n"
		      "\t\t%sip6 daddr @cut6 drop\n"
		      "\t\t%sip daddr @cut_subnets4 drop\n"
		      "\t\t%sip6 daddr @cut_subnets6 drop\n"
		      "\t}\n",
		      others, others, others, others, others);
	strbuf_add(out, "\tchain services_for_cut {\n"
			"\t\tmeta l4proto { tcp, udp } th dport { 53, 853 } drop\n"
			"\t}\n");
}

static void add_forward(struct strbuf *out)
{
	strbuf_add(out, "\tchain forward {\n\t\ttype filter hook forward priority 0; policy drop;\n");
	strbuf_add(out, sealed_rules);
	add_from_cut(out, "from_cut");
	strbuf_add(out,
		   "\t\tiifname \"" NET_WORLD "\" jump from_world\n"
		   /* Ways with a smaller MTU ahead, whoever swallows the ICMP that says so (RFC 4821, section 1). */
		   "\t\toifname \"" NET_WORLD "\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"
		   "\t\tiifname \"" NET_WORLD "\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"
		   /* Before conntrack is asked: the answer may have gone straight over the bridge, unseen here. */
		   "\t\tiifname . oifname @same_bridge accept\n"
		   "\t\tiifname != @connected drop\n"
		   "\t\toifname != @connected drop\n"
		   "\t\tct state { established, related } accept\n"
		   "\t\tct state invalid drop\n"
		   "\t\tiifname \"" NET_WORLD "\" oifname @routed accept\n"
		   "\t\tiifname \"" NET_WORLD "\" drop\n"
		   "\t\taccept\n"
		   "\t}\n");
}

static void add_host_chains(struct strbuf *out)
{
	strbuf_add(out, "\tchain input {\n"
			"\t\ttype filter hook input priority 0; policy drop;\n"
			"\t\tiifname \"lo\" accept\n");
	strbuf_add(out, sealed_rules);
	add_from_cut(out, "services_for_cut");
	strbuf_add(out, "\t\tct state { established, related } accept\n"
			"\t\ticmp type { echo-request } accept\n"
			"\t\ticmpv6 type { echo-request, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, "
			"mld-listener-query, mld-listener-report, mld2-listener-report } accept\n"
			"\t\tiifname @with_dhcp udp dport { 67, 547 } accept\n"
			"\t\tiifname @with_dns meta l4proto { tcp, udp } th dport 53 accept\n"
			"\t}\n");
	strbuf_add(out, "\tchain output {\n\t\ttype filter hook output priority 0; policy accept;\n");
	strbuf_add(out, sealed_rules);
	strbuf_add(out, "\t}\n");
	strbuf_add(out, "\tchain postrouting {\n"
			"\t\ttype nat hook postrouting priority 100; policy accept;\n"
			"\t\toifname \"" NET_WORLD "\" iifname @masqueraded masquerade\n"
			"\t\toifname \"" NET_WORLD "\" meta oifkind \"tun\" iifname @connected masquerade\n"
			"\t}\n");
}

static void format_inet(const struct lab *lab, const struct prefix *above, size_t above_count, struct strbuf *out)
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
	add_world_sets(out, lab);
	add_sealed_sets(out, lab);
	if (!outermost) {
		add_above(out, above, above_count, "above4", AF_INET);
		add_above(out, above, above_count, "above6", AF_INET6);
	}
	add_cut_chains(out, outermost);
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

static void tap_if_cut(struct set *set, const struct lab *lab, const struct nic *nic)
{
	if (nic->guest->world == WORLD_CUT)
		tap_itself(set, lab, nic);
}

static void tap_if_sealed(struct set *set, const struct lab *lab, const struct nic *nic)
{
	if (nic->guest->world == WORLD_SEALED)
		tap_itself(set, lab, nic);
}

static void tap_without_ip4(struct set *set, const struct lab *lab, const struct nic *nic)
{
	if (!nic->address4.family)
		tap_itself(set, lab, nic);
}

static void tap_without_ip6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	if (!nic->address6.family)
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
			"\t\tiifname @any_ip6 return\n"
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
			"\t\tiifname @any_ip4 return\n"
			"\t\tdrop\n\t}\n");
	strbuf_add(out, "\tchain from_tap_ip4 {\n"
			"\t\tiifname @guarded udp sport 67 drop\n"
			"\t\tiifname . ip saddr @tap_ip4 return\n"
			"\t\tiifname . ip saddr @tap_subnets4 return\n"
			"\t\tip saddr 0.0.0.0 udp sport 68 udp dport 67 return\n"
			"\t\tip saddr @owned4 drop\n"
			"\t\tiifname @any_ip4 return\n"
			"\t\tdrop\n\t}\n");
	strbuf_add(out, "\tchain from_tap_ip6 {\n"
			"\t\tip6 saddr @gateways6 drop\n"
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
			"\t\tiifname @any_ip6 return\n"
			"\t\tdrop\n\t}\n");
}

static void add_bridge_chains(struct strbuf *out)
{
	strbuf_add(out, "\tchain prerouting {\n"
			"\t\ttype filter hook prerouting priority -300; policy accept;\n"
			"\t\tiifname @sealed_taps drop\n"
			"\t\tiifname @tunnels accept\n"
			"\t\tiifname . ether saddr != @tap_mac drop\n"
			"\t\tiifname @cut_taps meta mark set meta mark | " FROM_CUT "\n"
			"\t\tether type vmap { arp : jump from_tap_arp, ip : jump from_tap_ip4, "
			"ip6 : jump from_tap_ip6 }\n"
			"\t}\n");
	strbuf_add(out, "\tchain forward {\n"
			"\t\ttype filter hook forward priority -300; policy accept;\n"
			"\t\toifname @sealed_taps drop\n");
	strbuf_add(out, sealed_rules);
	strbuf_add(out, "\t}\n");
	strbuf_add(out, "\tchain output {\n"
			"\t\ttype filter hook output priority -300; policy accept;\n"
			"\t\toifname @sealed_taps drop\n"
			"\t\toifname @cut_taps meta mark & " FROM_WORLD " == " FROM_WORLD " drop\n"
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

static void format_bridge(const struct lab *lab, struct strbuf *out)
{
	strbuf_add(out, "table bridge nestvisor {\n");
	add_tunnels(out, lab->root);
	add_taps(out, lab, "cut_taps", "ifname", false, tap_if_cut);
	add_taps(out, lab, "sealed_taps", "ifname", false, tap_if_sealed);
	add_taps(out, lab, "guarded", "ifname", false, tap_if_guarded);
	add_taps(out, lab, "any_ip4", "ifname", false, tap_without_ip4);
	add_taps(out, lab, "any_ip6", "ifname", false, tap_without_ip6);
	add_taps(out, lab, "tap_mac", "ifname . ether_addr", false, mac_of_tap);
	add_taps(out, lab, "any_local", "ifname", false, tap_with_any_local);
	/* Apart from the addresses: intervals in two dimensions are what the kernel takes longest to build. */
	add_taps(out, lab, "tap_ip4", "ifname . ipv4_addr", false, own_ip4);
	add_taps(out, lab, "tap_ip6", "ifname . ipv6_addr", false, own_ip6);
	add_taps(out, lab, "tap_subnets4", "ifname . ipv4_addr", true, subnets4_behind);
	add_taps(out, lab, "tap_subnets6", "ifname . ipv6_addr", true, subnets6_behind);
	add_owned(out, lab, "owned4", AF_INET);
	add_owned(out, lab, "owned6", AF_INET6);
	add_gateways6(out, lab);
	add_sealed_sets(out, lab);
	add_advert_chain(out, lab);
	add_tap_chains(out);
	add_bridge_chains(out);
	strbuf_add(out, "}\n");
}

void rules_format(const struct lab *lab, const struct prefix *above, size_t above_count, struct strbuf *out)
{
	format_inet(lab, above, above_count, out);
	format_bridge(lab, out);
}
