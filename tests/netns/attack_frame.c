/* Frames as no system would send them: forged, tagged, wrapped, in pieces, and with other people's addresses. */
#include "attack.h"
#include "dns.h"

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define OTHER4 "192.168.122.11" /* b's */
#define OTHER6 "fd00:122::11"
#define HOST4  "192.168.122.1"
#define HOST6  "fd00:122::1"

static const uint8_t all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};

static void put(struct attack *a, const struct frame *frame)
{
	frame_send(a->from, frame->bytes, frame->length);
}

static void udp_as(struct attack *a, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from,
		   const char *to)
{
	struct frame frame;

	if (is_six(to))
		frame_udp6(&frame, to_mac, from_mac, from, to, 4323, PORT, a->word);
	else
		frame_udp4(&frame, to_mac, from_mac, from, to, 4323, PORT, a->word);
	put(a, &frame);
}

static const char *world_of(const char *address)
{
	return is_six(address) ? WORLD6 : WORLD4;
}

/* ─── other people's addresses ─── */

static void neighbours_mac(struct attack *a, const struct way *way)
{
	udp_as(a, a->gateway_mac, a->f->pb->mac, own(a, way->to), way->to);
}

static void neighbours_both(struct attack *a, const struct way *way)
{
	udp_as(a, a->gateway_mac, a->f->pb->mac, is_six(way->to) ? OTHER6 : OTHER4, way->to);
}

static void nobodys_mac(struct attack *a, const struct way *way)
{
	udp_as(a, a->gateway_mac, (const uint8_t[]){2, 0, 0, 1, 2, 3}, own(a, way->to), way->to);
}

/* `to` is the address that it gives itself. */
static void with_address(struct attack *a, const struct way *way)
{
	udp_as(a, a->gateway_mac, a->from->mac, way->to, world_of(way->to));
}

static void with_link_local(struct attack *a, const struct way *way)
{
	udp_as(a, a->gateway_mac, a->from->mac, a->local, way->to);
}

static void claim_by_arp(struct attack *a, const struct way *way)
{
	static const uint16_t ops[] = {ARPOP_REPLY, ARPOP_REQUEST};
	struct frame frame;

	for (size_t i = 0; i < 2; i++) {
		frame_arp(&frame, a->from->mac, a->from->mac, way->to, HOST4, ops[i], a->word);
		put(a, &frame);
	}
	udp_as(a, a->gateway_mac, a->from->mac, way->to, WORLD4);
}

static void claim_by_advert(struct attack *a, const struct way *way)
{
	struct frame frame;

	frame_advert(&frame, a->from, way->to, way->to, a->word);
	put(a, &frame);
	frame_advert(&frame, a->from, a->ip6, way->to, a->word);
	put(a, &frame);
	udp_as(a, a->gateway_mac, a->from->mac, way->to, WORLD6);
}

/* ─── what the host, or a neighbour, would send on to somebody whose address was forged ─── */

static struct iphdr ip4_header(const struct frame *frame)
{
	struct iphdr ip;

	memcpy(&ip, frame->bytes + ETH_HLEN, sizeof(ip));
	return ip;
}

static void put_ip4_header(struct frame *frame, struct iphdr ip)
{
	ip.check = 0;
	ip.check = checksum_fold(checksum_add(&ip, sizeof(ip), 0));
	memcpy(frame->bytes + ETH_HLEN, &ip, sizeof(ip));
}

static void echo_as(struct attack *a, const uint8_t to_mac[6], const char *from, const char *to, uint8_t ttl)
{
	uint8_t packet[64] = {is_six(to) ? ICMP6_ECHO_REQUEST : ICMP_ECHO};
	struct frame frame;
	uint16_t sum;

	memcpy(packet + 8, a->word, strlen(a->word));
	if (is_six(to)) {
		frame_ip6(&frame, to_mac, a->from->mac, from, to, IPPROTO_ICMPV6, packet, sizeof(packet));
		sum = checksum_fold(
			checksum_add(frame.bytes + ETH_HLEN + 8, 32 + sizeof(packet), sizeof(packet) + IPPROTO_ICMPV6));
		memcpy(frame.bytes + ETH_HLEN + sizeof(struct ip6_hdr) + 2, &sum, 2);
		frame.bytes[ETH_HLEN + 7] = ttl;
	} else {
		struct iphdr ip;

		sum = checksum_fold(checksum_add(packet, sizeof(packet), 0));
		memcpy(packet + 2, &sum, 2);
		frame_ip4(&frame, to_mac, a->from->mac, from, to, IPPROTO_ICMP, packet, sizeof(packet));
		ip = ip4_header(&frame);
		ip.ttl = ttl;
		put_ip4_header(&frame, ip);
	}
	put(a, &frame);
}

static void reflected_by_host(struct attack *a, const struct way *way)
{
	echo_as(a, a->gateway_mac, way->to, is_six(way->to) ? HOST6 : HOST4, 64);
}

static void reflected_by_neighbour(struct attack *a, const struct way *way)
{
	echo_as(a, a->f->pb->mac, way->to, is_six(way->to) ? OTHER6 : OTHER4, 64);
}

/* "Time exceeded", with the packet in it: to whoever it says it is from. */
static void reflected_as_error(struct attack *a, const struct way *way)
{
	echo_as(a, a->gateway_mac, way->to, is_six(way->to) ? "fd00:123::10" : "192.168.123.10", 1);
}

static void reflected_by_resolver(struct attack *a, const struct way *way)
{
	uint8_t message[DNS_SIZE], packet[DNS_SIZE + 8];
	size_t length = dns_question(message, a->word, false);
	struct udphdr udp = {.source = htons(4324), .dest = htons(53), .len = htons((uint16_t)(length + 8))};
	struct frame frame;

	memcpy(packet, &udp, sizeof(udp));
	memcpy(packet + sizeof(udp), message, length);
	length += sizeof(udp);
	if (is_six(way->to)) {
		frame_ip6(&frame, a->gateway_mac, a->from->mac, way->to, HOST6, IPPROTO_UDP, packet, length);
		udp.check = checksum_fold(
			checksum_add(frame.bytes + ETH_HLEN + 8, 32 + length, (uint32_t)length + IPPROTO_UDP));
		memcpy(frame.bytes + ETH_HLEN + sizeof(struct ip6_hdr), &udp, sizeof(udp));
	} else {
		frame_ip4(&frame, a->gateway_mac, a->from->mac, way->to, HOST4, IPPROTO_UDP, packet, length);
	}
	put(a, &frame);
}

/* ─── in wrappings ─── */

/* A datagram to the world, without its Ethernet header. */
static size_t datagram(struct attack *a, const char *from, const char *to, uint8_t ret[FRAME_SIZE])
{
	struct frame frame;

	if (is_six(to))
		frame_udp6(&frame, a->gateway_mac, a->from->mac, from, to, 4323, PORT, a->word);
	else
		frame_udp4(&frame, a->gateway_mac, a->from->mac, from, to, 4323, PORT, a->word);
	memcpy(ret, frame.bytes + ETH_HLEN, frame.length - ETH_HLEN);
	return frame.length - ETH_HLEN;
}

struct tag {
	uint16_t type, id;
};

static void tagged(struct attack *a, const struct tag *tags, size_t count, const char *from, const char *to)
{
	uint8_t packet[FRAME_SIZE];
	size_t length = datagram(a, from, to, packet);
	struct frame frame;

	frame_ethernet(&frame, a->gateway_mac, a->from->mac, tags[0].type);
	for (size_t i = 0; i < count; i++) {
		uint16_t words[2] = {htons(tags[i].id), htons(i + 1 < count ? tags[i + 1].type
							      : is_six(to)  ? ETH_P_IPV6
									    : ETH_P_IP)};

		frame_put(&frame, words, sizeof(words));
	}
	frame_put(&frame, packet, length);
	put(a, &frame);
}

static void vlan(struct attack *a, const struct way *way)
{
	const struct tag tag = {ETH_P_8021Q, (uint16_t)way->number};

	tagged(a, &tag, 1, own(a, way->to), way->to);
}

static void service_vlan(struct attack *a, const struct way *way)
{
	const struct tag tag = {ETH_P_8021AD, (uint16_t)way->number};

	tagged(a, &tag, 1, own(a, way->to), way->to);
}

static void two_tags(struct attack *a, const struct way *way)
{
	static const uint16_t types[] = {ETH_P_8021Q, ETH_P_8021AD};

	for (size_t i = 0; i < 4; i++) {
		const struct tag tags[] = {{types[i / 2], (uint16_t)way->number}, {types[i % 2], 0}};

		tagged(a, tags, 2, own(a, way->to), way->to);
	}
}

static void priority_tag_of_neighbour(struct attack *a, const struct way *way)
{
	const struct tag tags[] = {{ETH_P_8021Q, 0xe000}, {ETH_P_8021Q, 0}};

	tagged(a, tags, 1, is_six(way->to) ? OTHER6 : OTHER4, way->to);
	tagged(a, tags, 2, is_six(way->to) ? OTHER6 : OTHER4, way->to);
}

/* `number`: an Ethernet type; below 1536 it is a length, and what follows IEEE 802.2. */
static void other_type(struct attack *a, const struct way *way)
{
	static const uint8_t snap[] = {0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, pppoe[] = {0x11, 0, 0, 1, 0, 64, 0, 0x21},
			     mpls[] = {0, 1, 1, 64};
	uint8_t packet[FRAME_SIZE];
	size_t length = datagram(a, a->ip4, WORLD4, packet);
	struct frame frame;

	frame_ethernet(&frame, a->gateway_mac, a->from->mac, (uint16_t)way->number);
	if (way->number < 1536)
		frame_put(&frame, snap, sizeof(snap));
	else if (way->number == ETH_P_PPP_SES)
		frame_put(&frame, pppoe, sizeof(pppoe));
	else if (way->number == ETH_P_MPLS_UC)
		frame_put(&frame, mpls, sizeof(mpls));
	frame_put(&frame, packet, length);
	put(a, &frame);
}

/* To the addresses that bridges keep for themselves (IEEE 802.1D): the last byte is the number. */
static void to_bridges(struct attack *a, const struct way *way)
{
	struct frame frame;
	uint8_t packet[FRAME_SIZE];
	size_t length = datagram(a, a->ip4, WORLD4, packet);

	frame_ethernet(&frame, (const uint8_t[]){1, 0x80, 0xc2, 0, 0, (uint8_t)way->number}, a->from->mac, ETH_P_IP);
	frame_put(&frame, packet, length);
	put(a, &frame);
	frame_ethernet(&frame, (const uint8_t[]){1, 0x80, 0xc2, 0, 0, (uint8_t)way->number}, a->from->mac, 0x88cc);
	frame_put(&frame, a->word, strlen(a->word));
	put(a, &frame);
}

/* ─── options and pieces ─── */

/* `number`: an option of RFC 791 with one address in it. */
static void with_option(struct attack *a, const struct way *way)
{
	uint8_t packet[FRAME_SIZE], head[32] = {0};
	size_t length = datagram(a, a->ip4, way->to, packet);
	bool routed = way->number != 7; /* first to the host, which is to send it on */
	struct frame frame;
	uint16_t total = htons((uint16_t)(length + 8)), sum;

	memcpy(head, packet, 20);
	head[0] = 0x47;
	memcpy(head + 2, &total, 2);
	head[10] = head[11] = 0;
	memcpy(head + 20, (const uint8_t[]){(uint8_t)way->number, 7, 4}, 3);
	if (routed) {
		memcpy(head + 23, packet + 16, 4);
		inet_pton(AF_INET, HOST4, head + 16);
	}
	sum = checksum_fold(checksum_add(head, 28, 0));
	memcpy(head + 10, &sum, 2);
	frame_ethernet(&frame, a->gateway_mac, a->from->mac, ETH_P_IP);
	frame_put(&frame, head, 28);
	frame_put(&frame, packet + 20, length - 20);
	put(a, &frame);
}

/* Behind an extension header of 8 bytes (`number`: RFC 8200), or a routing header of type 0 by way of the host. */
static void behind_header(struct attack *a, const struct way *way)
{
	uint8_t packet[FRAME_SIZE], payload[256] = {IPPROTO_UDP, 0, 1, 4};
	size_t length = datagram(a, a->ip6, way->to, packet) - 40, head = 8;
	struct frame frame;

	if (way->number == IPPROTO_ROUTING) {
		payload[1] = 2;
		payload[2] = 0;
		payload[3] = 1;
		memcpy(payload + 8, packet + 24, 16);
		head = 24;
	}
	memcpy(payload + head, packet + 40, length);
	frame_ip6(&frame, a->gateway_mac, a->from->mac, a->ip6, way->number == IPPROTO_ROUTING ? HOST6 : way->to,
		  (uint8_t)way->number, payload, head + length);
	put(a, &frame);
}

enum { PIECE = 24 }; /* a multiple of 8 */

/* A datagram in two: `last` is the second of them. */
static void piece4(struct attack *a, bool last)
{
	uint8_t payload[PIECE] = {0};
	struct udphdr udp = {.source = htons(4325), .dest = htons(PORT), .len = htons(2 * PIECE)};
	struct frame frame;
	struct iphdr ip;

	memcpy(payload, &udp, sizeof(udp));
	if (last) {
		memset(payload, 0, sizeof(payload));
		memcpy(payload, a->word, strlen(a->word));
	}
	frame_ip4(&frame, a->gateway_mac, a->from->mac, a->ip4, WORLD4, IPPROTO_UDP, payload, PIECE);
	ip = ip4_header(&frame);
	ip.id = htons(4711);
	ip.frag_off = htons(last ? PIECE / 8 : 0x2000);
	put_ip4_header(&frame, ip);
	put(a, &frame);
}

static void piece6(struct attack *a, bool last)
{
	uint8_t payload[8 + PIECE] = {IPPROTO_UDP, 0, 0, last ? PIECE : 1, 0, 0, 0x12, 0x34}, whole[2 * PIECE] = {0};
	struct udphdr udp = {.source = htons(4325), .dest = htons(PORT), .len = htons(2 * PIECE)};
	struct frame frame;

	memcpy(whole, &udp, sizeof(udp));
	memcpy(whole + PIECE, a->word, strlen(a->word));
	frame_ip6(&frame, a->gateway_mac, a->from->mac, a->ip6, WORLD6, IPPROTO_UDP, whole, sizeof(whole));
	udp.check = checksum_fold(
		checksum_add(frame.bytes + ETH_HLEN + 8, 32 + sizeof(whole), (uint32_t)sizeof(whole) + IPPROTO_UDP));
	memcpy(whole, &udp, sizeof(udp));
	memcpy(payload + 8, whole + (last ? PIECE : 0), PIECE);
	frame_ip6(&frame, a->gateway_mac, a->from->mac, a->ip6, WORLD6, IPPROTO_FRAGMENT, payload, sizeof(payload));
	frame.bytes[ETH_HLEN + 7] = 64; /* 255 is for neighbour discovery */
	put(a, &frame);
}

static void first_piece(struct attack *a, const struct way *way)
{
	(is_six(way->to) ? piece6 : piece4)(a, false);
}

static void last_piece(struct attack *a, const struct way *way)
{
	(is_six(way->to) ? piece6 : piece4)(a, true);
}

/* "There is a better way, by me", to the host; then what should take it. */
static void redirect_the_host(struct attack *a, const struct way *way)
{
	uint8_t packet[64] = {5, 1};
	struct frame frame;
	uint16_t sum;

	if (is_six(way->to)) {
		frame_redirect(&frame, a->from, a->local, a->word);
		put(a, &frame);
	} else {
		inet_pton(AF_INET, a->ip4, packet + 4);
		packet[8] = 0x45;
		packet[8 + 9] = IPPROTO_UDP;
		inet_pton(AF_INET, HOST4, packet + 8 + 12);
		inet_pton(AF_INET, WORLD4, packet + 8 + 16);
		sum = checksum_fold(checksum_add(packet, sizeof(packet), 0));
		memcpy(packet + 2, &sum, 2);
		frame_ip4(&frame, a->gateway_mac, a->from->mac, a->ip4, HOST4, IPPROTO_ICMP, packet, sizeof(packet));
		put(a, &frame);
	}
	udp_as(a, a->gateway_mac, a->from->mac, own(a, way->to), way->to);
}

static void wrong_checksum(struct attack *a, const struct way *way)
{
	uint8_t packet[FRAME_SIZE];
	size_t length = datagram(a, a->ip4, way->to, packet);
	struct frame frame;

	packet[10] ^= 0x55;
	frame_ethernet(&frame, a->gateway_mac, a->from->mac, ETH_P_IP);
	frame_put(&frame, packet, length);
	put(a, &frame);
}

/* ─── neighbours ─── */

/* A neighbour that forwards, and one that also puts its own address in front: nftables in its own namespace. */
static void by_router(struct attack *a, const struct way *way)
{
	const struct peer *b = a->f->pb;

	peer_do(b, "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding;"
		   "echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects; echo 0 > "
		   "/proc/sys/net/ipv4/conf/eth0/send_redirects;"
		   "nft flush ruleset");
	if (way->number)
		peer_do(b, "nft 'add table inet r; add chain inet r p { type nat hook postrouting priority 100; };"
			   " add rule inet r p masquerade'");
	udp_as(a, b->mac, a->from->mac, own(a, way->to), way->to);
}

static void advertise_as_router(struct attack *a, const struct way *way)
{
	struct frame frame;

	frame_advert(&frame, a->from, a->local, NULL, a->word);
	if (way->number >= 0) { /* behind a tag */
		uint8_t rest[FRAME_SIZE];
		size_t length = frame.length - ETH_HLEN;
		const uint16_t words[] = {htons((uint16_t)way->number), htons(ETH_P_IPV6)};

		memcpy(rest, frame.bytes + ETH_HLEN, length);
		frame_ethernet(&frame, all_nodes, a->from->mac, ETH_P_8021Q);
		frame_put(&frame, words, sizeof(words));
		frame_put(&frame, rest, length);
	}
	put(a, &frame);
}

/* The header that would say what it is comes in the second piece only: RFC 7113. */
static void advertise_in_pieces(struct attack *a, const struct way *way)
{
	uint8_t payload[8 + 72] = {IPPROTO_DSTOPTS, 0, 0, 1, 0, 0, 0x43, 0x21};
	struct frame whole, frame;

	(void)way;
	payload[8] = IPPROTO_ICMPV6;
	payload[9] = 0;
	payload[10] = 1;
	payload[11] = 4;
	frame_advert(&whole, a->from, a->local, NULL, a->word);
	frame_ip6(&frame, all_nodes, a->from->mac, a->local, "ff02::1", IPPROTO_FRAGMENT, payload, 16);
	put(a, &frame);
	payload[3] = 8; /* behind the first 8 bytes, the last */
	memcpy(payload + 8, whole.bytes + ETH_HLEN + 40, 32);
	frame_ip6(&frame, all_nodes, a->from->mac, a->local, "ff02::1", IPPROTO_FRAGMENT, payload, 8 + 32);
	put(a, &frame);
}

static void advertise_behind_header(struct attack *a, const struct way *way)
{
	uint8_t payload[8 + 32] = {IPPROTO_ICMPV6, 0, 1, 4};
	struct frame whole, frame;

	frame_advert(&whole, a->from, a->local, NULL, a->word);
	memcpy(payload + 8, whole.bytes + ETH_HLEN + 40, 32);
	frame_ip6(&frame, all_nodes, a->from->mac, a->local, "ff02::1", (uint8_t)way->number, payload, sizeof(payload));
	put(a, &frame);
}

static void offer_addresses(struct attack *a, const struct way *way)
{
	struct frame frame;

	if (is_six(way->to))
		frame_udp6(&frame, all_nodes, a->from->mac, a->local, "ff02::1", 547, 546, a->word);
	else
		frame_udp4(&frame, frame_everyone, a->from->mac, a->ip4, "255.255.255.255", 67, 68, a->word);
	put(a, &frame);
}

static void pose_as_gateway(struct attack *a, const struct way *way)
{
	struct frame frame;

	if (is_six(way->to))
		frame_advert(&frame, a->from, a->ip6, way->to, a->word);
	else
		frame_arp(&frame, a->from->mac, a->from->mac, way->to, OTHER4, ARPOP_REPLY, a->word);
	put(a, &frame);
}

static void redirect_a_neighbour(struct attack *a, const struct way *way)
{
	struct frame frame;

	(void)way;
	frame_redirect(&frame, a->from, a->gateway_local, a->word);
	put(a, &frame);
	frame_redirect(&frame, a->from, a->local, a->word);
	put(a, &frame);
}

static const char spoofed[] = "nothing leaves a tap with another's address";
static const char forged[] = "nothing leaves a tap with an address from outside its network";
static const char guarded[] = "no guest may say this";

static const struct way list[] = {
	{"a neighbour's MAC address", WAY_NEVER, DIRECT, neighbours_mac, 0, WORLD4, spoofed},
	{"a neighbour's MAC address, IPv6", WAY_NEVER, DIRECT, neighbours_mac, 0, WORLD6, spoofed},
	{"a neighbour's MAC and IP addresses", WAY_NEVER, DIRECT, neighbours_both, 0, WORLD4, spoofed},
	{"a neighbour's MAC and IP addresses, IPv6", WAY_NEVER, DIRECT, neighbours_both, 0, WORLD6, spoofed},
	{"a MAC address that is nobody's", WAY_NEVER, DIRECT, nobodys_mac, 0, WORLD4, spoofed},
	{"a neighbour's IP address", WAY_NEVER, DIRECT, with_address, 0, OTHER4, spoofed},
	{"a neighbour's IP address, IPv6", WAY_NEVER, DIRECT, with_address, 0, OTHER6, spoofed},
	{"the host's IP address", WAY_NEVER, DIRECT, with_address, 0, HOST4, spoofed},
	{"the host's IP address, IPv6", WAY_NEVER, DIRECT, with_address, 0, HOST6, spoofed},
	{"an address behind another host", WAY_NEVER, DIRECT, with_address, 0, "192.168.124.91", spoofed},
	{"an address behind another host, IPv6", WAY_NEVER, DIRECT, with_address, 0, "fd00:124::91", spoofed},
	{"another address of its network", WAY_NEVER, FIXED, with_address, 0, "192.168.122.77", spoofed},
	{"another address of its network, IPv6", WAY_NEVER, FIXED, with_address, 0, "fd00:122::77", spoofed},
	{"another address of its network", WAY_OUT, FREE, with_address, 0, "192.168.122.77"},
	{"an autoconfigured address of its network, IPv6", WAY_OUT, FREE, with_address, 0,
	 "fd00:122::abcd:ef12:3456:7890"},
	{"an address of another network", WAY_NEVER, DIRECT, with_address, 0, "10.9.9.9", forged},
	{"an address of another network, IPv6", WAY_NEVER, DIRECT, with_address, 0, "fd00:999::9", forged},
	{"an address of the world", WAY_NEVER, DIRECT, with_address, 0, "203.0.113.77", forged},
	{"an address of the world, IPv6", WAY_NEVER, DIRECT, with_address, 0, "2001:db8::77", forged},
	{"a link-local address", WAY_NEVER, DIRECT, with_address, 0, "169.254.7.7", forged},
	{"a link-local address, IPv6", WAY_NEVER, DIRECT, with_link_local, 0, WORLD6, "it is never forwarded"},
	{"no address", WAY_NEVER, DIRECT, with_address, 0, "0.0.0.0", forged},
	{"no address, IPv6", WAY_NEVER, DIRECT, with_address, 0, "::", forged},
	{"the loopback address", WAY_NEVER, DIRECT, with_address, 0, "127.0.0.1", forged},
	{"the loopback address, IPv6", WAY_NEVER, DIRECT, with_address, 0, "::1", forged},
	{"a neighbour's address claimed by ARP", WAY_NEVER, DIRECT, claim_by_arp, 0, OTHER4, spoofed},
	{"the host's address claimed by ARP", WAY_NEVER, DIRECT, claim_by_arp, 0, HOST4, spoofed},
	{"a neighbour's address claimed by advertisement", WAY_NEVER, DIRECT, claim_by_advert, 0, OTHER6, spoofed},
	{"the host's address claimed by advertisement", WAY_NEVER, DIRECT, claim_by_advert, 0, HOST6, spoofed},
	{"echoed by the host to a forged address", WAY_NEVER, DIRECT, reflected_by_host, 0, WORLD4, forged},
	{"echoed by the host to a forged address, IPv6", WAY_NEVER, DIRECT, reflected_by_host, 0, WORLD6, forged},
	{"echoed by a neighbour to a forged address", WAY_NEVER, DIRECT, reflected_by_neighbour, 0, WORLD4, forged},
	{"echoed by a neighbour to a forged address, IPv6", WAY_NEVER, DIRECT, reflected_by_neighbour, 0, WORLD6,
	 forged},
	{"in the host's ICMP error to a forged address", WAY_NEVER, DIRECT, reflected_as_error, 0, WORLD4, forged},
	{"in the host's ICMP error to a forged address, IPv6", WAY_NEVER, DIRECT, reflected_as_error, 0, WORLD6,
	 forged},
	{"in the resolver's answer to a forged address", WAY_NEVER, DIRECT, reflected_by_resolver, 0, WORLD4, forged},
	{"in the resolver's answer to a forged address, IPv6", WAY_NEVER, DIRECT, reflected_by_resolver, 0, WORLD6,
	 forged},
	{"with a priority tag", WAY_OUT, DIRECT, vlan, 0, WORLD4},
	{"with a priority tag, IPv6", WAY_OUT, DIRECT, vlan, 0xe000, WORLD6},
	{"with a priority tag of 802.1ad", WAY_OUT, DIRECT, service_vlan, 0, WORLD4},
	{"with a VLAN tag", WAY_NEVER, DIRECT, vlan, 5, WORLD4, "the host is in no VLAN"},
	{"with a VLAN tag, IPv6", WAY_NEVER, DIRECT, vlan, 5, WORLD6, "the host is in no VLAN"},
	{"with a service tag", WAY_NEVER, DIRECT, service_vlan, 5, WORLD4, "the host is in no VLAN"},
	{"with two tags (QinQ)", WAY_NEVER, DIRECT, two_tags, 5, WORLD4, "the host is in no VLAN"},
	{"with two priority tags", WAY_NEVER, DIRECT, two_tags, 0, WORLD4, "nobody needs two"},
	{"with a priority tag and a neighbour's address", WAY_NEVER, DIRECT, priority_tag_of_neighbour, 0, WORLD4,
	 spoofed},
	{"with a priority tag and a neighbour's address, IPv6", WAY_NEVER, DIRECT, priority_tag_of_neighbour, 0, WORLD6,
	 spoofed},
	{"LLC and SNAP", WAY_NEVER, DIRECT, other_type, 64, NULL, "the host does not speak it"},
	{"PPPoE", WAY_NEVER, DIRECT, other_type, ETH_P_PPP_SES, NULL, "the host does not speak it"},
	{"MPLS", WAY_NEVER, DIRECT, other_type, ETH_P_MPLS_UC, NULL, "the host does not speak it"},
	{"a local experimental Ethernet type", WAY_NEVER, DIRECT, other_type, 0x88b5, NULL,
	 "the host does not speak it"},
	{"EAPOL", WAY_NEVER, DIRECT, other_type, ETH_P_PAE, NULL, "the host does not speak it"},
	{"to the bridge's own group address", WAY_NEVER, DIRECT, to_bridges, 0, NULL, "the bridge does not speak it"},
	{"LLDP", WAY_NEVER, DIRECT, to_bridges, 14, NULL, "the bridge does not speak it"},
	{"with its route recorded", WAY_OUT, DIRECT, with_option, 7, WORLD4},
	{"with a loose source route", WAY_NEVER, DIRECT, with_option, 131, WORLD4, "the host does not follow it"},
	{"with a strict source route", WAY_NEVER, DIRECT, with_option, 137, WORLD4, "the host does not follow it"},
	{"with a routing header", WAY_NEVER, DIRECT, behind_header, IPPROTO_ROUTING, WORLD6, "RFC 5095"},
	{"behind hop-by-hop options", WAY_OUT, DIRECT, behind_header, IPPROTO_HOPOPTS, WORLD6},
	{"behind destination options", WAY_OUT, DIRECT, behind_header, IPPROTO_DSTOPTS, WORLD6},
	{"the rest of a datagram that was begun before", WAY_OUT, DIRECT, last_piece, 0, WORLD4, NULL, first_piece},
	{"the rest of a datagram that was begun before, IPv6", WAY_OUT, DIRECT, last_piece, 0, WORLD6, NULL,
	 first_piece},
	{"after an ICMP redirect to the host", WAY_OUT, DIRECT, redirect_the_host, 0, WORLD4},
	{"after an ICMPv6 redirect to the host", WAY_OUT, DIRECT, redirect_the_host, 0, WORLD6},
	{"with a wrong checksum", WAY_NEVER, DIRECT, wrong_checksum, 0, WORLD4, "the host drops it"},
	{"by a neighbour that forwards", WAY_NEVER, FIXED | HELPED, by_router, 0, WORLD4,
	 "it may not send with its neighbour's address"},
	{"by a neighbour that forwards, IPv6", WAY_NEVER, FIXED | HELPED, by_router, 0, WORLD6,
	 "it may not send with its neighbour's address"},
	{"by a neighbour that masquerades", WAY_BY_NEIGHBOUR, DIRECT, by_router, 1, WORLD4},
	{"by a neighbour that masquerades, IPv6", WAY_BY_NEIGHBOUR, DIRECT, by_router, 1, WORLD6},
	{"a router advertisement", WAY_TO_NEIGHBOUR, DIRECT, advertise_as_router, -1, NULL, guarded},
	{"a router advertisement with a priority tag", WAY_TO_NEIGHBOUR, DIRECT, advertise_as_router, 0, NULL, guarded},
	{"a router advertisement in pieces", WAY_TO_NEIGHBOUR, DIRECT, advertise_in_pieces, 0, NULL, guarded},
	{"a router advertisement behind options", WAY_TO_NEIGHBOUR, DIRECT, advertise_behind_header, IPPROTO_DSTOPTS,
	 NULL, guarded},
	{"a router advertisement behind hop-by-hop options", WAY_TO_NEIGHBOUR, DIRECT, advertise_behind_header,
	 IPPROTO_HOPOPTS, NULL, guarded},
	{"an offer of DHCP", WAY_TO_NEIGHBOUR, DIRECT, offer_addresses, 0, WORLD4, guarded},
	{"an offer of DHCPv6", WAY_TO_NEIGHBOUR, DIRECT, offer_addresses, 0, WORLD6, guarded},
	{"ARP as the gateway", WAY_TO_NEIGHBOUR, DIRECT, pose_as_gateway, 0, HOST4, guarded},
	{"an advertisement as the gateway", WAY_TO_NEIGHBOUR, DIRECT, pose_as_gateway, 0, HOST6, guarded},
	{"a redirect to a neighbour", WAY_TO_NEIGHBOUR, DIRECT, redirect_a_neighbour, 0, NULL, guarded},
};

const struct ways ways_by_frame = {list, sizeof(list) / sizeof(*list)};
