/* The bridge table of the rules (rules.c says what it is for): who a frame may be from, and whether it may pass. */
#include "net/rules_internal.h"

#include "model/lab.h"
#include "net/elements.h"
#include "net/link.h"
#include "net/net_internal.h"
#include "net/network.h"
#include "net/reach.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Whom a frame is for behind a tunnel is known by its Ethernet address alone. */
#define TO_FAR "\t\toifname @stretched ether daddr vmap @mac_to\n"

/*
 * The bridge table's sets. Each goes over the taps of this host: the nics of its guests. Where a network is stretched,
 * the nics that are on other machines follow, whose tap is the tunnel; it is the tap of many.
 */

typedef void (*nic_elements)(struct set *set, const struct lab *lab, const struct nic *nic);

/* What is known of a nic on another machine; guest NULL, for of its system nothing is. */
static struct nic far_nic(const struct network *network, const struct far_nic *far)
{
	struct nic nic = {.network = (struct network *)network, .address4 = far->address4, .address6 = far->address6};

	memcpy(nic.mac, far->mac, sizeof(nic.mac));
	net_tunnel_name(network, 0, nic.tap);
	return nic;
}

static void each_far(struct set *set, const struct lab *lab, nic_elements each)
{
	set->once = true;
	for (size_t i = 0; i < lab->root->network_count; i++) {
		const struct network *network = lab->root->networks[i];

		for (size_t j = 0; j < network->far_count; j++) {
			struct nic nic = far_nic(network, &network->far[j]);

			each(set, lab, &nic);
		}
	}
}

static void each_tap(struct set *set, const struct lab *lab, nic_elements each)
{
	const struct host *root = lab->root;

	for (size_t i = 0; i < root->guest_count; i++)
		for (size_t j = 0; !root->guests[i]->machine && j < root->guests[i]->nic_count; j++)
			each(set, lab, &root->guests[i]->nics[j]);
}

static void add_taps(struct strbuf *out, const struct lab *lab, const char *name, const char *type, bool interval,
		     nic_elements each)
{
	struct set set = rules_set_begin(out, name, type, interval);

	each_tap(&set, lab, each);
	each_far(&set, lab, each);
	rules_set_end(&set);
}

static void tap_itself(struct set *set, const struct lab *lab, const struct nic *nic)
{
	rules_set_add(set, "\"%s\"", nic->tap);
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
		rules_set_add(set, "\"%s\" . %s", nic->tap, rules_element_of(subnet_of(nic, family), text));
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

	rules_set_add(set, "\"%s\" . %s", nic->tap, mac_format(nic->mac, mac));
}

/* Subnets that are reached through the nic's guest, which may send with their addresses from each of its nics. */
static void subnets_behind(struct set *set, const struct lab *lab, const struct nic *nic, uint8_t family)
{
	char text[PREFIX_TEXT_SIZE];

	if (!nic->guest || !nic->guest->host)
		return;
	for (size_t i = 0; i < lab->network_count; i++) {
		const struct network *network = lab->networks[i];
		const struct prefix *subnet = reach_subnet(network, family);

		if (network->owner != lab->root && subnet->ip.family &&
		    host_guest_towards(lab->root, network->owner->guest) == nic->guest &&
		    reach_entry(lab->root, network, family))
			rules_set_add(set, "\"%s\" . %s", nic->tap, rules_element_of(subnet, text));
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

	if (rules_nic_ip(nic, AF_INET, text))
		rules_set_add(set, "\"%s\" . %s", nic->tap, text);
}

/*
 * A system that nestvisor makes derives its link-local address from its MAC address. Of others it is not known how they
 * choose theirs (RFC 7217, RFC 8981), so they may have any; the gateway's own is refused before these sets are asked.
 */
static void own_ip6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	struct ip local = link_local(nic->mac);
	char text[IP_TEXT_SIZE];

	if (nic->guest && nic->guest->seed == SEED_NATIVE)
		rules_set_add(set, "\"%s\" . %s", nic->tap, ip_format(&local, text));
	if (rules_nic_ip(nic, AF_INET6, text))
		rules_set_add(set, "\"%s\" . %s", nic->tap, text);
}

/* The same with the Ethernet address. */
static void whole_own4(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	if (rules_nic_ip(nic, AF_INET, text))
		rules_set_add(set, "\"%s\" . %s . %s", nic->tap, mac_format(nic->mac, mac), text);
}

static void whole_own6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	if (rules_nic_ip(nic, AF_INET6, text))
		rules_set_add(set, "\"%s\" . %s . %s", nic->tap, mac_format(nic->mac, mac), text);
}

static void tap_with_any_local(struct set *set, const struct lab *lab, const struct nic *nic)
{
	if (!nic->guest || nic->guest->seed != SEED_NATIVE)
		tap_itself(set, lab, nic);
}

static void fixed_ip4(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char text[IP_TEXT_SIZE];

	if (rules_nic_ip(nic, AF_INET, text))
		rules_set_add(set, "%s", text);
}

static void fixed_ip6(struct set *set, const struct lab *lab, const struct nic *nic)
{
	char text[IP_TEXT_SIZE];

	if (rules_nic_ip(nic, AF_INET6, text))
		rules_set_add(set, "%s", text);
}

/* Addresses that are somebody's: guests without a fixed address may use any but these. */
static void add_owned(struct strbuf *out, const struct lab *lab, const char *name, uint8_t family)
{
	const struct host *root = lab->root;
	struct set set = rules_set_begin(out, name, family == AF_INET ? "ipv4_addr" : "ipv6_addr", false);
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; family == AF_INET && i < root->network_count; i++)
		if (root->networks[i]->gateway4.family)
			rules_set_add(&set, "%s", ip_format(&root->networks[i]->gateway4, text));
	each_tap(&set, lab, family == AF_INET ? fixed_ip4 : fixed_ip6);
	each_far(&set, lab, family == AF_INET ? fixed_ip4 : fixed_ip6);
	rules_set_end(&set);
}

static struct ip gateway_local(const struct lab *lab, const struct network *network)
{
	uint8_t mac[6];

	network_mac(lab, network, mac);
	return link_local(mac);
}

static void add_gateways6(struct strbuf *out, const struct lab *lab)
{
	struct set set = rules_set_begin(out, "gateways6", "ipv6_addr", false);
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; i < lab->root->network_count; i++) {
		const struct network *network = lab->root->networks[i];
		struct ip local = gateway_local(lab, network);

		if (network->gateway6.family)
			rules_set_add(&set, "%s", ip_format(&network->gateway6, text));
		rules_set_add(&set, "%s", ip_format(&local, text));
	}
	rules_set_end(&set);
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

static void add_far_adverts(const struct lab *lab, struct strbuf *pairs, struct strbuf *owned)
{
	char number[35], mac[MAC_TEXT_SIZE], tunnel[LINK_NAME_SIZE];

	for (size_t i = 0; i < lab->root->network_count; i++) {
		const struct network *network = lab->root->networks[i];

		for (size_t j = 0; j < network->far_count; j++) {
			const struct far_nic *far = &network->far[j];

			if (!far->address6.family)
				continue;
			net_tunnel_name(network, 0, tunnel);
			number_of(&far->address6, number);
			strbuf_printf(pairs, "%s\"%s\" . %s . %s", pairs->length ? ", " : "", tunnel,
				      mac_format(far->mac, mac), number);
			strbuf_printf(owned, "%s%s", owned->length ? ", " : "", number);
		}
	}
}

static void add_advert_chain(struct strbuf *out, const struct lab *lab)
{
	const struct host *root = lab->root;
	cleanup_strbuf struct strbuf pairs = {0}, far = {0}, owned = {0};
	char number[35];

	for (size_t i = 0; i < root->network_count; i++) {
		struct ip local = gateway_local(lab, root->networks[i]);

		strbuf_printf(&owned, "%s%s", owned.length ? ", " : "", number_of(&local, number));
		if (root->networks[i]->gateway6.family)
			strbuf_printf(&owned, ", %s", number_of(&root->networks[i]->gateway6, number));
	}
	for (size_t i = 0; i < root->guest_count; i++)
		for (size_t j = 0; !root->guests[i]->machine && j < root->guests[i]->nic_count; j++) {
			const struct nic *nic = &root->guests[i]->nics[j];

			if (!nic->address6.family)
				continue;
			number_of(&nic->address6, number);
			strbuf_printf(&pairs, "%s\"%s\" . %s", pairs.length ? ", " : "", nic->tap, number);
			strbuf_printf(&owned, "%s%s", owned.length ? ", " : "", number);
		}
	add_far_adverts(lab, &far, &owned);
	strbuf_add(out, "\tchain from_tap_advert {\n");
	if (far.length)
		strbuf_printf(out, "\t\tiifname . ether saddr . " TARGET " { %s } return\n", far.text);
	if (pairs.length)
		strbuf_printf(out, "\t\tiifname . " TARGET " { %s } return\n", pairs.text);
	if (owned.length)
		strbuf_printf(out, "\t\t" TARGET " { %s } drop\n", owned.text);
	strbuf_add(out, "\t\t@th,64,10 0x3fa return\n" /* fe80::/10 */
			"\t\tiifname @any_advert return\n"
			"\t\tdrop\n\t}\n");
}

enum source { BY_TAP, BY_MAC };

/* What is behind guests: by their taps and tunnels; or, of those on other machines, by their Ethernet addresses. */
static void add_subnets(struct strbuf *out, const struct lab *lab, const char *name, enum source by, uint8_t family)
{
	const char *address = family == AF_INET ? "ipv4_addr" : "ipv6_addr";
	char type[40], source[MAC_TEXT_SIZE + LINK_NAME_SIZE], text[PREFIX_TEXT_SIZE];
	struct set set;

	snprintf(type, sizeof(type), "%s . %s", by == BY_MAC ? "ether_addr" : "ifname", address);
	set = rules_set_begin(out, name, type, true);
	if (by == BY_TAP)
		each_tap(&set, lab, family == AF_INET ? subnets4_behind : subnets6_behind);
	set.once = true;
	for (size_t i = 0; i < lab->root->network_count; i++) {
		const struct network *network = lab->root->networks[i];

		for (size_t j = 0; j < network->far_count; j++) {
			const struct far_nic *far = &network->far[j];

			if (by == BY_MAC)
				mac_format(far->mac, source);
			else
				net_tunnel_name(network, 0, source);
			for (size_t k = 0; k < far->behind_count; k++)
				if (far->behind[k].ip.family == family)
					rules_set_add(&set, by == BY_MAC ? "%s . %s" : "\"%s\" . %s", source,
						      rules_element_of(&far->behind[k], text));
		}
	}
	rules_set_end(&set);
}

/* The gateways' Ethernet addresses of networks that are at home elsewhere. */
static void add_homes(struct strbuf *out, const struct lab *lab)
{
	struct set set = rules_set_begin(out, "homes", "ifname . ether_addr", false);

	for (size_t i = 0; i < lab->root->network_count; i++) {
		const struct network *network = lab->root->networks[i];
		char tunnel[LINK_NAME_SIZE], text[MAC_TEXT_SIZE];
		uint8_t mac[6];

		if (network_is_home(network))
			continue;
		net_tunnel_name(network, 0, tunnel);
		network_mac(lab, network, mac);
		rules_set_add(&set, "\"%s\" . %s", tunnel, mac_format(mac, text));
	}
	rules_set_end(&set);
}

static void add_tap_chains(struct strbuf *out, bool stretched)
{
	strbuf_add(out, "\tchain from_tap_arp {\n"
			"\t\tiifname . arp saddr ether != @tap_mac drop\n");
	if (stretched)
		strbuf_add(out, "\t\tiifname @stretched iifname . arp saddr ip @tap_ip4 "
				"iifname . arp saddr ether . arp saddr ip != @own4 drop\n");
	strbuf_add(out, "\t\tiifname . arp saddr ip @tap_ip4 return\n"
			"\t\tiifname . arp saddr ip @tap_subnets4 return\n"
			"\t\tarp saddr ip 0.0.0.0 return\n" /* is it free? RFC 5227 */
			"\t\tarp saddr ip @owned4 drop\n"
			"\t\tiifname . arp saddr ip @free_ip4 return\n"
			"\t\tiifname @any_ip4 return\n"
			"\t\tdrop\n\t}\n");
	strbuf_add(out, "\tchain from_tap_ip4 {\n"
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

/*
 * Who sends: most frames are decided by one look at all that must be the tap's own, the others are looked at closely.
 * Each of these expressions is paid for by every packet, and setting the mark costs as much as looking into a set, so
 * it is set once. A fragment is never KNOWN: what it is put together with has the mark of the first one, which may have
 * come when its sender was still open.
 */
static void add_from_taps(struct strbuf *out, bool stretched)
{
	strbuf_add(out, "\tchain from_server {\n"
			"\t\tmeta protocol ip udp sport 67 iifname @guarded drop\n"
			"\t\tmeta protocol ip6 udp sport 547 iifname @guarded drop\n"
			"\t}\n"
			"\tchain prerouting {\n"
			"\t\ttype filter hook prerouting priority -300; policy accept;\n"
			"\t\tiifname vmap @tap_from\n");
	if (stretched)
		strbuf_add(out, "\t\tiifname @stretched jump from_far\n");
	strbuf_add(out, "\t\tudp sport { 67, 547 } jump from_server\n"
			"\t\tiifname . ether saddr . ip saddr @own4 ip frag-off & 0x3fff == 0 "
			"meta mark set meta mark | " KNOWN_GUEST " accept\n"
			"\t\tiifname . ether saddr . ip6 saddr @own6 ip6 nexthdr { tcp, udp } "
			"meta mark set meta mark | " KNOWN_GUEST " accept\n"
			/* What a tunnel's own packets were known to be is not what is in them. */
			"\t\tmeta mark set meta mark & " OF_SENDER " | " FROM_GUEST "\n"
			"\t\tiifname @tunnels accept\n"
			"\t\tiifname . ether saddr != @tap_mac drop\n"
			/* Of a VLAN the host knows nothing; VLAN 0 is no VLAN, and what is behind such a tag it takes
			   as if there were none (IEEE 802.1Q, 6.9.1). */
			"\t\tether type { 8021q, 8021ad } @ll,116,12 != 0 accept\n"
			"\t\tmeta protocol vmap { arp : jump from_tap_arp, ip : jump from_tap_ip4, "
			"ip6 : jump from_tap_ip6, 8021q : drop, 8021ad : drop }\n"
			"\t}\n");
}

/*
 * What comes by a tunnel of a stretched network. Its machine has held each of its guests by their taps; but should that
 * be in other hands, it can be no more than its own guests here: the tunnel takes an Ethernet address from the machine
 * alone that it belongs to (tunnel.c), and an IP address is taken with its own Ethernet address alone. On a machine
 * that is not home, what the home's bridge sends is its own, and what the home lets pass.
 */
static void add_far_chains(struct strbuf *out, const struct lab *lab)
{
	rules_add_mode_chains(out, "mac_from", "\t\tether saddr @mac_open return\n", "mac_to",
			      "\t\tether daddr @mac_open return\n");
	strbuf_add(out, "\tchain from_far {\n"
			"\t\tiifname . ether saddr @homes meta mark set 0x00000000 accept\n"
			"\t\tiifname . ether saddr != @tap_mac drop\n"
			"\t\tether saddr vmap @mac_from\n"
			"\t\tether type ip jump from_far_ip4\n"
			"\t\tether type ip6 jump from_far_ip6\n"
			"\t}\n"
			"\tchain from_far_ip4 {\n"
			"\t\tiifname . ip saddr @tap_ip4 iifname . ether saddr . ip saddr != @own4 drop\n"
			"\t\tiifname . ip saddr @tap_subnets4 ether saddr . ip saddr != @far_subnets4 drop\n"
			"\t}\n"
			"\tchain from_far_ip6 {\n"
			"\t\tiifname . ip6 saddr @tap_ip6 iifname . ether saddr . ip6 saddr != @own6 drop\n"
			"\t\tiifname . ip6 saddr @tap_subnets6 ether saddr . ip6 saddr != @far_subnets6 drop\n"
			"\t}\n");
}

/*
 * A guest here that has no neighbours, or only some, has none behind a tunnel: who is cut there is not known here. It
 * keeps its gateway; what it asks everybody goes to that alone. (At home the gateway is not behind a tunnel.)
 */
static void add_ways_home(struct strbuf *out, const struct lab *lab)
{
	for (size_t i = 0; i < lab->root->network_count; i++) {
		const struct network *network = lab->root->networks[i];
		char tunnel[LINK_NAME_SIZE], text[MAC_TEXT_SIZE];
		uint8_t mac[6];

		if (network_is_home(network))
			continue;
		net_tunnel_name(network, 0, tunnel);
		network_mac(lab, network, mac);
		strbuf_printf(out,
			      "\t\toifname \"%s\" meta mark & " STRICT_OR_ALONE
			      " != 0 ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 ether daddr set %s\n"
			      "\t\toifname . ether daddr @homes return\n",
			      tunnel, mac_format(mac, text));
	}
}

static void add_bridge_chains(struct strbuf *out, const struct lab *lab)
{
	const bool behind = rules_has_behind(lab, AF_INET) || rules_has_behind(lab, AF_INET6);
	const bool stretched = rules_are_stretched(lab);

	if (stretched)
		add_far_chains(out, lab);
	add_from_taps(out, stretched);
	rules_add_mode_chains(out, "tap_from", "\t\tiifname @tap_open return\n", "tap_to",
			      "\t\toifname @tap_open return\n");
	rules_add_address_chains(out);
	rules_add_address6_chains(out, lab, "");
	/* In here an address says something of guests of deeper layers only (elements.c), and none of these is KNOWN by
	 * the tap that it comes from. */
	strbuf_add(out, "\tchain from_behind {\n");
	rules_add_from(out, lab, AF_INET);
	strbuf_add(out, "\t\tmeta protocol ip6 jump from_address6\n"
			"\t}\n"
			"\tchain sender_cut {\n");
	if (stretched)
		add_ways_home(out, lab);
	strbuf_add(out, "\t\tmeta mark & " ALONE " == " ALONE " drop\n"
			"\t\tmeta mark & " STRICT_TO_CUT " == " STRICT " drop\n"
			"\t}\n"
			"\tchain forward {\n"
			"\t\ttype filter hook forward priority -300; policy accept;\n");
	if (behind)
		strbuf_add(out, "\t\tmeta mark & " KNOWN " == 0 jump from_behind\n");
	strbuf_add(out, "\t\toifname vmap @tap_to\n");
	if (stretched)
		strbuf_add(out, TO_FAR);
	if (behind) {
		rules_add_to(out, lab, AF_INET);
		strbuf_add(out, "\t\tmeta protocol ip6 jump to_address6\n");
	}
	strbuf_add(out, "\t\tmeta mark & " CUT " == " CUT " jump sender_cut\n"
			"\t}\n");
	strbuf_add(out, "\tchain output {\n"
			"\t\ttype filter hook output priority -300; policy accept;\n"
			"\t\toifname vmap @tap_to\n");
	if (stretched)
		strbuf_add(out, TO_FAR);
	strbuf_add(out, "\t}\n");
}

/* Those that somebody else's machines are behind, of which nothing is known; and those to machines of this lab. */
static void add_tunnels(struct strbuf *out, const struct host *root, const char *name, bool stretched)
{
	struct set set = rules_set_begin(out, name, "ifname", false);

	for (size_t i = 0; i < root->network_count; i++)
		for (size_t j = 0;
		     network_is_stretched(root->networks[i]) == stretched && j < net_tunnel_count(root->networks[i]);
		     j++) {
			char tunnel[LINK_NAME_SIZE];

			net_tunnel_name(root->networks[i], j, tunnel);
			rules_set_add(&set, "\"%s\"", tunnel);
		}
	rules_set_end(&set);
}

void rules_format_bridge(const struct lab *lab, const struct elements *elements, struct strbuf *out)
{
	strbuf_add(out, "table bridge nestvisor {\n");
	add_tunnels(out, lab->root, "tunnels", false);
	if (rules_are_stretched(lab)) {
		add_tunnels(out, lab->root, "stretched", true);
		add_homes(out, lab);
		add_subnets(out, lab, "far_subnets4", BY_MAC, AF_INET);
		add_subnets(out, lab, "far_subnets6", BY_MAC, AF_INET6);
	}
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
	add_subnets(out, lab, "tap_subnets4", BY_TAP, AF_INET);
	add_subnets(out, lab, "tap_subnets6", BY_TAP, AF_INET6);
	add_owned(out, lab, "owned4", AF_INET);
	add_owned(out, lab, "owned6", AF_INET6);
	add_gateways6(out, lab);
	rules_add_isolation_sets(out, lab, elements, IN_BRIDGE);
	add_advert_chain(out, lab);
	add_tap_chains(out, rules_are_stretched(lab));
	add_bridge_chains(out, lab);
	strbuf_add(out, "}\n");
}
