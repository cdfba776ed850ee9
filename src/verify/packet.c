#include "verify/packet.h"

#include "base/strbuf.h"
#include "facts/field.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool protocol_has_ports(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP ||
	       protocol == PROTOCOL_DCCP || protocol == PROTOCOL_UDPLITE;
}

bool packet_is_icmp(const struct packet *packet)
{
	return packet->protocol == (packet->family == AF_INET ? PROTOCOL_ICMP : PROTOCOL_ICMPV6);
}

bool packet_is_icmp_error(const struct packet *packet)
{
	uint8_t type = packet->icmp_type;

	if (!packet_is_icmp(packet))
		return false;
	if (packet->family == AF_INET6)
		return type >= 1 && type <= 4; /* RFC 4443, 2.1: below 128 */
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

const char *protocol_name(uint8_t protocol, char buffer[4])
{
	const char *name = symbol_name(TYPE_PROTOCOL, protocol);

	if (name)
		return name;
	snprintf(buffer, 4, "%u", protocol);
	return buffer;
}

static void format_end(const struct ip *ip, const struct ports *ports, bool has_port, struct strbuf *out)
{
	char text[IP_TEXT_SIZE];
	bool bracket = has_port && ip->family == AF_INET6;

	strbuf_printf(out, "%s%s%s", bracket ? "[" : "", ip_format(ip, text), bracket ? "]" : "");
	if (has_port && ports->first == ports->last)
		strbuf_printf(out, ":%u", ports->first);
}

void packet_format(const struct packet *packet, struct strbuf *out)
{
	char name[4];

	strbuf_printf(out, "%s ", protocol_name(packet->protocol, name));
	format_end(&packet->src, &packet->sport, packet_has_ports(packet), out);
	strbuf_add(out, " → ");
	format_end(&packet->dst, &packet->dport, packet_has_ports(packet), out);
	if (packet_is_icmp(packet))
		strbuf_printf(out, " type %u", packet->icmp_type);
}

struct tuple tuple_of(const struct packet *packet)
{
	struct tuple tuple = {
		.family = packet->family, .protocol = packet->protocol, .src = packet->src, .dst = packet->dst};

	if (packet_is_icmp(packet)) {
		tuple.sport = port_of(packet->icmp_id);
		tuple.dport = port_of((uint16_t)(packet->icmp_type << 8 | packet->icmp_code));
	} else if (packet_has_ports(packet)) {
		tuple.sport = packet->sport;
		tuple.dport = packet->dport;
	}
	return tuple;
}

/* Types of ICMP that answer each other (icmp_invmap and icmpv6's of nf_conntrack_proto_icmp*.c). */
static uint8_t answer_type(uint8_t family, uint8_t type)
{
	static const uint8_t pairs4[][2] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}},
			     pairs6[][2] = {{128, 129}, {139, 140}};
	const uint8_t(*pairs)[2] = family == AF_INET ? pairs4 : pairs6;
	size_t count = family == AF_INET ? 4 : 2;

	for (size_t i = 0; i < count; i++)
		if (pairs[i][0] == type || pairs[i][1] == type)
			return pairs[i][pairs[i][0] == type];
	return type;
}

struct tuple tuple_inverse(const struct tuple *tuple)
{
	struct tuple inverse = *tuple;

	inverse.src = tuple->dst;
	inverse.dst = tuple->src;
	if (tuple->protocol == PROTOCOL_ICMP || tuple->protocol == PROTOCOL_ICMPV6) {
		uint8_t type = answer_type(tuple->family, (uint8_t)(tuple->dport.first >> 8));

		inverse.dport = port_of((uint16_t)(type << 8 | (tuple->dport.first & 0xff)));
	} else {
		inverse.sport = tuple->dport;
		inverse.dport = tuple->sport;
	}
	return inverse;
}

static bool ports_equal(const struct ports *a, const struct ports *b)
{
	return a->first == b->first && a->last == b->last;
}

bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
	return a->family == b->family && a->protocol == b->protocol && ip_equal(&a->src, &b->src) &&
	       ip_equal(&a->dst, &b->dst) && ports_equal(&a->sport, &b->sport) && ports_equal(&a->dport, &b->dport);
}

bool ip_is_loopback(const struct ip *ip)
{
	static const uint8_t one[16] = {[15] = 1};

	return ip->family == AF_INET ? ip->bytes[0] == 127 : memcmp(ip->bytes, one, 16) == 0;
}

bool ip_is_multicast(const struct ip *ip)
{
	return ip->family == AF_INET ? (ip->bytes[0] & 0xf0) == 0xe0 : ip->bytes[0] == 0xff;
}

bool ip_is_link_local(const struct ip *ip)
{
	return ip->family == AF_INET6 && ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

enum ip_scope ip_scope(const struct ip *ip)
{
	unsigned said = ip->bytes[1] & 0xf;

	if (ip->family != AF_INET6)
		return SCOPE_WIDE;
	if (ip->bytes[0] == 0xff)
		return said == SCOPE_HOST || said == SCOPE_LINK || said == SCOPE_SITE ? said : SCOPE_WIDE;
	if (ip->bytes[0] == 0xfe && ip->bytes[1] >= 0xc0)
		return SCOPE_SITE;
	return ip_is_link_local(ip) ? SCOPE_LINK : ip_is_loopback(ip) ? SCOPE_HOST : SCOPE_WIDE;
}

bool ip_is_any(const struct ip *ip)
{
	static const uint8_t zero[16];

	return memcmp(ip->bytes, zero, ip_bits(ip) / 8U) == 0;
}

bool ip_is_limited_broadcast(const struct ip *ip)
{
	static const uint8_t all[4] = {0xff, 0xff, 0xff, 0xff};

	return ip->family == AF_INET && memcmp(ip->bytes, all, 4) == 0;
}
