/*
 * One packet, and connections. Addresses and ports are what they are now, after any translation on its way. A port may
 * be a range: then it is one of these, and what depends on which is unknown.
 */
#ifndef NESTVISOR_VERIFY_PACKET_H
#define NESTVISOR_VERIFY_PACKET_H

#include "base/ip.h"
#include "facts/fact.h"

struct strbuf;

struct ports {
	uint16_t first, last;
};

enum fragment {
	FRAGMENT_NONE,	/* a whole packet */
	FRAGMENT_FIRST, /* has the transport header */
	FRAGMENT_LATER, /* has none */
};

/* Bits of a TCP header's flags, as in FIELD_TCP_FLAGS. */
enum {
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_PSH = 8,
	TCP_ACK = 16,
	TCP_URG = 32,
	TCP_ECE = 64,
	TCP_CWR = 128,
};

enum {
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_DCCP = 33,
	PROTOCOL_GRE = 47,
	PROTOCOL_ICMPV6 = 58,
	PROTOCOL_SCTP = 132,
	PROTOCOL_UDPLITE = 136,
};

struct packet {
	uint8_t family; /* AF_INET, AF_INET6 */
	uint8_t protocol;
	struct ip src, dst;
	struct ports sport, dport; /* of the protocols that have ports */
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_id; /* of echo and the like */
	uint8_t tcp_flags;
	enum fragment fragment;
	struct number ttl, tos, length; /* unknown: may be any */
	bool ttl_given;			/* no: it is what hosts usually send with */
	struct mac src_mac, dst_mac;	/* of the frame it is in */
	const struct packet *inner;	/* of an ICMP error: the packet that it is about */
};

bool protocol_has_ports(uint8_t protocol);
static inline bool packet_has_ports(const struct packet *packet)
{
	return protocol_has_ports(packet->protocol);
}
bool packet_is_icmp(const struct packet *packet); /* its own family's */
bool packet_is_icmp_error(const struct packet *packet);

static inline struct ports port_of(uint16_t port)
{
	return (struct ports){port, port};
}

/* "tcp 10.0.0.1:40000 → 10.0.0.2:22" */
void packet_format(const struct packet *packet, struct strbuf *out);
/* "tcp", "47" */
const char *protocol_name(uint8_t protocol, char buffer[4]);

/* What connection tracking knows a packet by. Of ICMP the identifier stands in sport and type and code in dport. */
struct tuple {
	uint8_t family, protocol;
	struct ip src, dst;
	struct ports sport, dport;
};

struct tuple tuple_of(const struct packet *packet);
struct tuple tuple_inverse(const struct tuple *tuple); /* as its answer looks */
bool tuple_equal(const struct tuple *a, const struct tuple *b);

/* Kinds of addresses. */
bool ip_is_loopback(const struct ip *ip);
bool ip_is_multicast(const struct ip *ip);
bool ip_is_link_local(const struct ip *ip); /* IPv6's fe80::/10; false for IPv4 */
/* How far an IPv6 address reaches: RFC 4291 2.7's numbers of what multicast addresses say, and what is like it of
 * others; 0: farther than any of these, as REDIRECT has it (nf_nat_redirect.c). */
enum ip_scope { SCOPE_WIDE = 0, SCOPE_HOST = 1, SCOPE_LINK = 2, SCOPE_SITE = 5 };
enum ip_scope ip_scope(const struct ip *ip);
bool ip_is_any(const struct ip *ip);
bool ip_is_limited_broadcast(const struct ip *ip); /* 255.255.255.255 */

#endif
