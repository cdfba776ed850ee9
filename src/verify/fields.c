#include "verify/evaluate.h"

#include <string.h>
#include <sys/socket.h>

static const struct value absent = {.kind = VALUE_ABSENT}, unknown = {.kind = VALUE_UNKNOWN};

struct value value_of_number(wide number)
{
	return (struct value){.kind = VALUE_RANGE, .low = number, .high = number};
}

struct value value_of_ip(const struct ip *ip)
{
	wide value;

	if (!ip->family)
		return unknown;
	value = wide_of_ip(ip);
	return (struct value){.kind = VALUE_RANGE, .family = ip->family, .low = value, .high = value};
}

static struct value of_known(struct number number)
{
	return number.known ? value_of_number(number.value) : unknown;
}

static struct value of_ports(const struct ports *ports)
{
	return (struct value){.kind = VALUE_RANGE, .low = ports->first, .high = ports->last};
}

static struct value of_text(const char *text)
{
	return text ? (struct value){.kind = VALUE_TEXT, .text = text} : unknown;
}

/* A hook without such an interface sees an empty name, and a comparison with "!=" holds. */
static struct value of_link(const struct stack_link *link)
{
	return of_text(link ? link->name : "");
}

static bool is_v4(const struct hop *hop)
{
	return hop->packet.family == AF_INET;
}

/* A later fragment has none of the transport's header; what a rule takes for that cannot be said. */
static struct value of_later_fragment(const struct scene *scene, enum field field, uint8_t protocol)
{
	uint16_t first, last;

	if ((protocol && scene->hop->packet.protocol != protocol) || !stack_reads_fragments(scene->chain->table, field))
		return absent;
	if (is_v4(scene->hop) || !stack_read_in_fragments6(field, &first, &last))
		return unknown;
	return (struct value){.kind = VALUE_RANGE, .low = first, .high = last};
}

/* `protocol` 0: any. */
static struct value port_value(const struct scene *scene, enum field field, uint8_t protocol, bool source)
{
	const struct packet *packet = &scene->hop->packet;

	if (packet->fragment == FRAGMENT_LATER)
		return of_later_fragment(scene, field, protocol);
	if (protocol && packet->protocol != protocol)
		return absent;
	if (!packet_has_ports(packet)) /* whatever stands where others have ports */
		return unknown;
	return of_ports(source ? &packet->sport : &packet->dport);
}

static struct value transport_value(const struct scene *scene, enum field field, uint8_t protocol, struct value value)
{
	if (scene->hop->packet.fragment == FRAGMENT_LATER)
		return of_later_fragment(scene, field, protocol);
	return scene->hop->packet.protocol == protocol ? value : absent;
}

static struct value of_family(const struct hop *hop, bool v4, struct value value)
{
	return is_v4(hop) == v4 ? value : absent;
}

/* ---- meta ---- */

static uint64_t link_type(const struct stack_link *link)
{
	return link->loopback ? 772 : 1; /* ARPHRD_LOOPBACK, ARPHRD_ETHER */
}

static uint64_t type_of_frame(const struct mac *to)
{
	static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	return memcmp(to->bytes, everyone, sizeof(everyone)) == 0 ? 1 : to->bytes[0] & 1 ? 2 : 0;
}

/*
 * The frame is for this host, for all, or for a group (if_packet.h, PACKET_HOST and the like): whatever address is in
 * it. That tells only where the frame is not known, and of the copies that a host sends itself (PACKET_LOOPBACK,
 * nft_meta_get_eval_pkttype_lo()).
 */
static struct value packet_type(const struct hop *hop)
{
	const struct packet *packet = &hop->packet;

	if (hop->sent_here && !hop->looped)
		return value_of_number(0);
	if (packet->dst_mac.known && !hop->looped)
		return value_of_number(type_of_frame(&packet->dst_mac));
	if (ip_is_multicast(&packet->dst))
		return value_of_number(2);
	if (ip_is_limited_broadcast(&packet->dst) ||
	    fib_address_type(hop->host, &packet->dst, NULL) == ROUTE_TYPE_BROADCAST)
		return value_of_number(1);
	return value_of_number(0);
}

static struct value of_sender(const struct hop *hop)
{
	return hop->sent_here && !hop->looped ? unknown : absent;
}

static struct value bridge_name(const struct stack_link *port)
{
	return of_link(port && port->master ? port->master : NULL);
}

static struct value meta_value(const struct hop *hop, enum field field)
{
	const struct packet *packet = &hop->packet;

	switch ((int)field) {
	case FIELD_META_LENGTH:
		return of_known(packet->length);
	case FIELD_META_PROTOCOL:
	case FIELD_ETHER_TYPE:
		return value_of_number(is_v4(hop) ? 0x0800 : 0x86dd);
	case FIELD_META_NFPROTO:
		return value_of_number(hop->family == STACK_BRIDGE ? 7 : is_v4(hop) ? 2 : 10);
	case FIELD_META_L4PROTO:
		return value_of_number(packet->protocol);
	case FIELD_META_MARK:
		return of_known(hop->mark);
	case FIELD_META_IIF:
	case FIELD_META_IIFNAME:
	case FIELD_META_SDIF:
	case FIELD_META_SDIFNAME:
		return of_link(hop->in);
	case FIELD_META_OIF:
	case FIELD_META_OIFNAME:
		return of_link(hop->out);
	case FIELD_META_IIFTYPE:
		return hop->in ? value_of_number(link_type(hop->in)) : absent;
	case FIELD_META_OIFTYPE:
		return hop->out ? value_of_number(link_type(hop->out)) : absent;
	case FIELD_META_IIFKIND:
		return hop->in ? of_text(hop->in->link->kind) : absent;
	case FIELD_META_OIFKIND:
		return hop->out ? of_text(hop->out->link->kind) : absent;
	case FIELD_META_IIFGROUP:
		return hop->in ? value_of_number(number_or(hop->in->link->group, 0)) : absent;
	case FIELD_META_OIFGROUP:
		return hop->out ? value_of_number(number_or(hop->out->link->group, 0)) : absent;
	case FIELD_META_IBRNAME:
		return bridge_name(hop->in);
	case FIELD_META_OBRNAME:
		return bridge_name(hop->out);
	case FIELD_META_PKTTYPE:
		return packet_type(hop);
	case FIELD_META_SKUID:
	case FIELD_META_SKGID:
	case FIELD_META_CGROUP:
		return of_sender(hop);
	case FIELD_META_NFTRACE:
	case FIELD_META_IPSEC: /* policies of IPsec are not among the facts */
	case FIELD_META_SECMARK:
	case FIELD_META_RTCLASSID:
	case FIELD_RT_CLASSID:
	case FIELD_RT_IPSEC:
		return value_of_number(0);
	default:
		return unknown;
	}
}

/* ---- connections ---- */

static uint64_t state_bits(const struct scene *scene)
{
	const struct hop *hop = scene->hop;
	bool xtables = scene->chain->table->table->backend != BACKEND_NFTABLES;
	uint64_t bits = CT_STATE_INVALID;

	switch (hop->tracked) {
	case TRACKED_NEW:
		bits = CT_STATE_NEW;
		break;
	case TRACKED_ESTABLISHED:
		bits = CT_STATE_ESTABLISHED;
		break;
	case TRACKED_RELATED:
		bits = CT_STATE_RELATED;
		break;
	case TRACKED_UNTRACKED:
		bits = CT_STATE_UNTRACKED;
		break;
	case TRACKED_NOT:
	case TRACKED_INVALID:
		break;
	}
	if (xtables && hop->flow && hop->flow->source_nat)
		bits |= CT_STATE_SNAT;
	if (xtables && hop->flow && hop->flow->destination_nat)
		bits |= CT_STATE_DNAT;
	return bits;
}

static struct value status_value(const struct flow *flow)
{
	uint64_t bits = 0;

	bits |= flow->seen_reply ? CT_STATUS_SEEN_REPLY : 0;
	bits |= flow->seen_reply || flow->confirmed ? CT_STATUS_CONFIRMED : 0;
	bits |= flow->related ? CT_STATUS_EXPECTED : 0;
	bits |= flow->source_nat ? CT_STATUS_SNAT : 0;
	bits |= flow->destination_nat ? CT_STATUS_DNAT : 0;
	return value_of_number(bits);
}

static struct value tuple_value(const struct tuple *tuple, enum field field)
{
	bool v4 = tuple->family == AF_INET;

	switch ((int)field) {
	case FIELD_CT_SADDR:
		return value_of_ip(&tuple->src);
	case FIELD_CT_DADDR:
		return value_of_ip(&tuple->dst);
	case FIELD_CT_IP_SADDR:
		return v4 ? value_of_ip(&tuple->src) : absent;
	case FIELD_CT_IP_DADDR:
		return v4 ? value_of_ip(&tuple->dst) : absent;
	case FIELD_CT_IP6_SADDR:
		return v4 ? absent : value_of_ip(&tuple->src);
	case FIELD_CT_IP6_DADDR:
		return v4 ? absent : value_of_ip(&tuple->dst);
	case FIELD_CT_PROTO_SRC:
		return of_ports(&tuple->sport);
	case FIELD_CT_PROTO_DST:
		return of_ports(&tuple->dport);
	case FIELD_CT_PROTOCOL:
		return value_of_number(tuple->protocol);
	case FIELD_CT_L3PROTO:
		return value_of_number(v4 ? 2 : 10);
	default:
		return unknown;
	}
}

static struct value ct_value(const struct scene *scene, const struct expr *expr)
{
	const struct hop *hop = scene->hop;
	const struct flow *flow = hop->flow;

	if (expr->field.field == FIELD_CT_STATE)
		return value_of_number(state_bits(scene));
	if (!flow)
		return absent;
	if (expr->field.field == FIELD_CT_DIRECTION)
		return value_of_number(hop->reply);
	if (expr->field.field == FIELD_CT_STATUS)
		return status_value(flow);
	if (expr->field.field == FIELD_CT_MARK)
		return of_known(flow->mark);
	if (expr->field.field == FIELD_CT_ZONE || expr->field.field == FIELD_CT_SECMARK)
		return value_of_number(0);
	return tuple_value(expr->field.direction == DIRECTION_REPLY ? &flow->reply : &flow->original,
			   expr->field.field);
}

/* ---- headers ---- */

static struct value mac_value(const struct scene *scene, const struct mac *mac)
{
	enum family family = scene->chain->table->table->family;

	/* no frame yet where it is a packet; over the loopback there is one of zeros */
	if (scene->hop->sent_here && family != FAMILY_BRIDGE && family != FAMILY_NETDEV)
		return absent;
	return mac->known ? value_of_number(wide_of_mac(mac->bytes)) : unknown;
}

static struct value fragment_value(const struct packet *packet)
{
	switch (packet->fragment) {
	case FRAGMENT_NONE:
		return value_of_number(0);
	case FRAGMENT_FIRST:
		return value_of_number(0x2000); /* more are to come */
	case FRAGMENT_LATER:
		break;
	}
	return value_of_number(185); /* 1480 bytes in, in units of eight */
}

/* What Linux sends with (ip_default_ttl), less one for each router on the way. */
static struct value ttl_value(const struct hop *hop)
{
	if (!hop->packet.ttl_given)
		walk_assume(hop->walk, NULL, "the packet was sent with a time to live of 64");
	return of_known(hop->packet.ttl);
}

static struct value ip_value(const struct hop *hop, enum field field)
{
	const struct packet *packet = &hop->packet;

	switch ((int)field) {
	case FIELD_IP_VERSION:
		return value_of_number(4);
	case FIELD_IP_HDRLENGTH:
		return value_of_number(5);
	case FIELD_IP_DSCP:
		return packet->tos.known ? value_of_number(packet->tos.value >> 2) : unknown;
	case FIELD_IP_ECN:
		return packet->tos.known ? value_of_number(packet->tos.value & 3) : unknown;
	case FIELD_IP_LENGTH:
		return of_known(packet->length);
	case FIELD_IP_FRAG_OFF:
		return fragment_value(packet);
	case FIELD_IP_TTL:
		return ttl_value(hop);
	case FIELD_IP_PROTOCOL:
		return value_of_number(packet->protocol);
	case FIELD_IP_SADDR:
		return value_of_ip(&packet->src);
	case FIELD_IP_DADDR:
		return value_of_ip(&packet->dst);
	default:
		return unknown;
	}
}

static struct value ip6_value(const struct hop *hop, enum field field)
{
	const struct packet *packet = &hop->packet;

	switch ((int)field) {
	case FIELD_IP6_VERSION:
		return value_of_number(6);
	case FIELD_IP6_DSCP:
		return packet->tos.known ? value_of_number(packet->tos.value >> 2) : unknown;
	case FIELD_IP6_ECN:
		return packet->tos.known ? value_of_number(packet->tos.value & 3) : unknown;
	case FIELD_IP6_NEXTHDR:
		return value_of_number(packet->fragment == FRAGMENT_NONE ? packet->protocol : 44);
	case FIELD_IP6_HOPLIMIT:
		return ttl_value(hop);
	case FIELD_IP6_SADDR:
		return value_of_ip(&packet->src);
	case FIELD_IP6_DADDR:
		return value_of_ip(&packet->dst);
	default:
		return unknown;
	}
}

static struct value icmp_value(const struct hop *hop, enum field field)
{
	const struct packet *packet = &hop->packet;

	switch ((int)field) {
	case FIELD_ICMP_TYPE:
	case FIELD_ICMPV6_TYPE:
		return value_of_number(packet->icmp_type);
	case FIELD_ICMP_CODE:
	case FIELD_ICMPV6_CODE:
		return value_of_number(packet->icmp_code);
	default:
		return unknown;
	}
}

/* Of a protocol of which only the ports are looked at: the source's is the first of its fields, the other comes next.
 */
static struct value other_value(const struct scene *scene, uint8_t protocol, enum field field, enum field first)
{
	if (field == first || field == first + 1)
		return port_value(scene, field, protocol, field == first);
	return transport_value(scene, field, protocol, unknown);
}

static struct value tcp_value(const struct hop *hop, enum field field)
{
	switch ((int)field) {
	case FIELD_TCP_SPORT:
		return of_ports(&hop->packet.sport);
	case FIELD_TCP_DPORT:
		return of_ports(&hop->packet.dport);
	case FIELD_TCP_FLAGS:
		return value_of_number(hop->packet.tcp_flags);
	default:
		return unknown;
	}
}

static struct value next_hop(const struct hop *hop, bool v4)
{
	return is_v4(hop) == v4 && hop->route.type ? value_of_ip(fib_next_hop(hop)) : absent;
}

/* br_netfilter knows the ports only of frames whose packets it hands to ip's hooks. */
static struct value port_name(const struct hop *hop, const struct stack_link *port)
{
	return of_link(hop->bridge_info ? port : NULL);
}

static struct value xt_value(const struct hop *hop, enum field field)
{
	switch ((int)field) {
	case FIELD_XT_PHYSDEV_IN:
		return port_name(hop, hop->in_port);
	case FIELD_XT_PHYSDEV_OUT:
		return port_name(hop, hop->out_port);
	case FIELD_XT_PHYSDEV_IS_IN:
		return value_of_number(hop->bridge_info && hop->in_port);
	case FIELD_XT_PHYSDEV_IS_OUT:
	case FIELD_XT_PHYSDEV_IS_BRIDGED:
		return value_of_number(hop->bridge_info && hop->out_port);
	case FIELD_XT_TOS:
		return of_known(hop->packet.tos);
	default:
		return unknown;
	}
}

/* One space of fields after the other, as field_list.h has them. */
struct value field_value(const struct scene *scene, const struct expr *expr)
{
	const struct hop *hop = scene->hop;
	enum field field = expr->field.field;

	if (field >= FIELD_META_LENGTH && field <= FIELD_META_BROUTE)
		return meta_value(hop, field);
	if (field >= FIELD_CT_STATE && field <= FIELD_CT_AVGPKT)
		return ct_value(scene, expr);
	if (field == FIELD_ETHER_SADDR)
		return mac_value(scene, &hop->packet.src_mac);
	if (field == FIELD_ETHER_DADDR)
		return mac_value(scene, &hop->packet.dst_mac);
	if (field == FIELD_ETHER_TYPE)
		return meta_value(hop, field);
	if (field >= FIELD_VLAN_ID && field <= FIELD_ARP_DADDR_IP)
		return absent;
	if (field >= FIELD_IP_VERSION && field <= FIELD_IP_DADDR)
		return of_family(hop, true, ip_value(hop, field));
	if (field >= FIELD_IP6_VERSION && field <= FIELD_IP6_DADDR)
		return of_family(hop, false, ip6_value(hop, field));
	if (field >= FIELD_ICMP_TYPE && field <= FIELD_ICMP_MTU)
		return transport_value(scene, field, PROTOCOL_ICMP, icmp_value(hop, field));
	if (field >= FIELD_ICMPV6_TYPE && field <= FIELD_ICMPV6_DADDR)
		return transport_value(scene, field, PROTOCOL_ICMPV6, icmp_value(hop, field));
	if (field >= FIELD_IGMP_TYPE && field <= FIELD_IGMP_GROUP)
		return transport_value(scene, field, 2, unknown);
	if (field >= FIELD_TCP_SPORT && field <= FIELD_TCP_MSS)
		return transport_value(scene, field, PROTOCOL_TCP, tcp_value(hop, field));
	if (field >= FIELD_UDP_SPORT && field <= FIELD_UDP_CHECKSUM)
		return other_value(scene, PROTOCOL_UDP, field, FIELD_UDP_SPORT);
	if (field >= FIELD_UDPLITE_SPORT && field <= FIELD_UDPLITE_CHECKSUM)
		return other_value(scene, PROTOCOL_UDPLITE, field, FIELD_UDPLITE_SPORT);
	if (field >= FIELD_SCTP_SPORT && field <= FIELD_SCTP_CHECKSUM)
		return other_value(scene, PROTOCOL_SCTP, field, FIELD_SCTP_SPORT);
	if (field >= FIELD_DCCP_SPORT && field <= FIELD_DCCP_TYPE)
		return other_value(scene, PROTOCOL_DCCP, field, FIELD_DCCP_SPORT);
	if (field == FIELD_TH_SPORT || field == FIELD_TH_DPORT)
		return port_value(scene, field, 0, field == FIELD_TH_SPORT);
	if (field == FIELD_ESP_SPI || field == FIELD_ESP_SEQUENCE)
		return transport_value(scene, field, 50, unknown);
	if (field >= FIELD_AH_NEXTHDR && field <= FIELD_AH_SEQUENCE)
		return transport_value(scene, field, 51, unknown);
	if (field == FIELD_RT_NEXTHOP4 || field == FIELD_RT_NEXTHOP6)
		return next_hop(hop, field == FIELD_RT_NEXTHOP4);
	if (field == FIELD_RT_CLASSID || field == FIELD_RT_IPSEC)
		return meta_value(hop, field);
	if (field >= FIELD_XT_PORT && field <= FIELD_XT_TOS)
		return xt_value(hop, field);
	return unknown;
}

/* ---- fib ---- */

/* IPv6 asks all tables, not only the local one (nft_fib6_eval_type). */
static struct value type_value6(struct hop *hop, uint8_t flags, const struct ip *address, const struct stack_link *link)
{
	struct fib_found found = fib_reverse(hop, flags);

	switch (found.outcome) {
	case FIB_UNKNOWN:
		return unknown;
	case FIB_BLACKHOLE:
		return value_of_number(ROUTE_TYPE_BLACKHOLE);
	case FIB_PROHIBIT:
		return value_of_number(ROUTE_TYPE_PROHIBIT);
	case FIB_NO_ROUTE:
	case FIB_UNREACHABLE:
		return value_of_number(ROUTE_TYPE_UNREACHABLE);
	case FIB_FOUND:
		break;
	}
	if (found.type == ROUTE_TYPE_ANYCAST)
		return value_of_number(ROUTE_TYPE_ANYCAST);
	if (found.type == ROUTE_TYPE_LOCAL && (!link || found.link == link))
		return value_of_number(ROUTE_TYPE_LOCAL);
	return value_of_number(ip_is_multicast(address) ? ROUTE_TYPE_MULTICAST : ROUTE_TYPE_UNICAST);
}

/*
 * "fib saddr . iif oif": the interface that packets to that address leave by; "" where there is none, or where, with
 * iif or oif asked for, it is another one than the packet's (nft_fib4_eval, nft_fib6_eval).
 */
struct value fib_value(const struct scene *scene, const struct expr *expr)
{
	struct hop *hop = scene->hop;
	uint8_t flags = expr->fib.flags;
	const struct stack_link *link = flags & FIB_OIF ? hop->out : flags & FIB_IIF ? hop->in : NULL;
	const struct ip *address = flags & FIB_SADDR ? &hop->packet.src : &hop->packet.dst;
	struct fib_found found;

	if (expr->fib.result == FIB_RESULT_TYPE)
		return is_v4(hop) ? value_of_number(fib_address_type(hop->host, address, link))
				  : type_value6(hop, flags, address, link);
	if (hop->hook == HOOK_PREROUTING && hop->looped)
		return of_link(hop->in);
	found = fib_reverse(hop, flags);
	if (found.outcome == FIB_UNKNOWN)
		return unknown;
	if (found.outcome != FIB_FOUND || found.type == ROUTE_TYPE_LOCAL ||
	    (hop->packet.family == AF_INET6 && found.type == ROUTE_TYPE_ANYCAST))
		return of_text("");
	if (flags & (FIB_IIF | FIB_OIF))
		return of_link(fib_uses_link(&found, link) ? link : NULL);
	return of_link(found.link);
}
