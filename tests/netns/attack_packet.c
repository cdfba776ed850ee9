/* Sockets of every kind, bound to the guest's own address. */
#include "attack.h"
#include "dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { RELAY_PORT = 7009, PROTO_SCTP = 132, ICMP4_LATEST = 255 };

static socklen_t address_of(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *four = (void *)ret;
	struct sockaddr_in6 *six = (void *)ret;

	*ret = (struct sockaddr_storage){0};
	if (is_six(text)) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
		return sizeof(*six);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, text, &four->sin_addr), 1);
	return sizeof(*four);
}

static void udp(struct attack *a, const struct way *way)
{
	int fd = udp_bind(a->from->netns, is_six(way->to) ? AF_INET6 : AF_INET, own(a, way->to), 0), yes = 1;

	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes));
	udp_send(fd, way->to, (uint16_t)way->number, a->word);
	close(fd);
}

/* To the machine's end of the uplink. */
static void udp_to_transit(struct attack *a, const struct way *way)
{
	int fd = udp_bind(a->from->netns, AF_INET, a->ip4, 0);

	(void)way;
	udp_send(fd, a->transit, PORT, a->word);
	close(fd);
}

/* From a port at which the guest is published, or serves its administrators. */
static void udp_from_port(struct attack *a, const struct way *way)
{
	int fd = udp_bind(a->from->netns, is_six(way->to) ? AF_INET6 : AF_INET, own(a, way->to), (uint16_t)way->number);

	udp_send(fd, way->to, PORT, a->word);
	close(fd);
}

static int raw(const struct attack *a, const char *to, int protocol)
{
	struct sockaddr_storage at;
	socklen_t length = address_of(own(a, to), 0, &at);
	int fd = socket_in(a->from->netns, is_six(to) ? AF_INET6 : AF_INET, SOCK_RAW, protocol);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, length), 0);
	return fd;
}

static void raw_send(const struct attack *a, const char *to, int protocol, const void *data, size_t length)
{
	struct sockaddr_storage at;
	socklen_t size = address_of(to, 0, &at);
	int fd = raw(a, to, protocol);

	assert_true(sendto(fd, data, length, 0, (struct sockaddr *)&at, size) >= 0 || errno == ENETUNREACH);
	close(fd);
}

/* Over the addresses and the protocol, too. */
static uint16_t checksum_with_head(const struct attack *a, const char *to, int protocol, const void *data,
				   size_t length)
{
	uint8_t from_bytes[16], to_bytes[16];
	int family = is_six(to) ? AF_INET6 : AF_INET;
	size_t size = is_six(to) ? 16 : 4;
	uint32_t total;

	inet_pton(family, own(a, to), from_bytes);
	inet_pton(family, to, to_bytes);
	total = checksum_add(from_bytes, size, (uint32_t)length + (uint32_t)protocol);
	total = checksum_add(to_bytes, size, total);
	return checksum_fold(checksum_add(data, length, total));
}

/* A first packet that has data already, from any port; and what the system itself sends. */
static void tcp_syn(const struct attack *a, const char *to, uint16_t sport, uint16_t dport, uint32_t seq, bool ack)
{
	uint8_t packet[128];
	struct tcphdr tcp = {.source = htons(sport),
			     .dest = htons(dport),
			     .seq = htonl(seq),
			     .syn = !ack,
			     .ack = ack,
			     .doff = 5,
			     .window = htons(1000)};
	size_t length = sizeof(tcp) + strlen(a->word);

	memcpy(packet, &tcp, sizeof(tcp));
	memcpy(packet + sizeof(tcp), a->word, strlen(a->word));
	tcp.check = checksum_with_head(a, to, IPPROTO_TCP, packet, length);
	memcpy(packet, &tcp, sizeof(tcp));
	raw_send(a, to, IPPROTO_TCP, packet, length);
}

static int tcp_connect(const struct attack *a, const char *to, uint16_t port, int flags)
{
	struct sockaddr_storage from, at;
	socklen_t size = address_of(own(a, to), 0, &from);
	int fd = socket_in(a->from->netns, from.ss_family, SOCK_STREAM | flags, 0);
	struct timeval patience = {.tv_sec = a->world_serves ? 3 : 10};

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	assert_int_equal(bind(fd, (struct sockaddr *)&from, size), 0);
	size = address_of(to, port, &at);
	if (connect(fd, (struct sockaddr *)&at, size) == 0 || flags & SOCK_NONBLOCK)
		return fd;
	if (!a->world_serves) /* a real host between a cut guest and the resolver may know as well that it is cut */
		fail_msg("cannot connect to %s: %s", to, strerror(errno));
	close(fd);
	return -1;
}

static void tcp(struct attack *a, const struct way *way)
{
	int fd = tcp_connect(a, way->to, (uint16_t)way->number, SOCK_NONBLOCK);

	tcp_syn(a, way->to, 4321, (uint16_t)way->number, 1, false);
	close(fd);
}

static void tcp_from_port(struct attack *a, const struct way *way)
{
	tcp_syn(a, way->to, (uint16_t)way->number, PORT, 1, false);
}

static void protocol(struct attack *a, const struct way *way)
{
	uint8_t packet[64] = {0};

	if (way->number == IPPROTO_AH) { /* and behind its 12 bytes something that nobody knows: RFC 4302 */
		packet[0] = 253;
		packet[1] = 1;
	}
	memcpy(packet + 12, a->word, strlen(a->word));
	raw_send(a, way->to, way->number, packet, sizeof(packet));
}

/* An INIT chunk: RFC 9260, section 3.3.2. */
static void sctp(struct attack *a, const struct way *way)
{
	uint8_t packet[64] = {0x10, 0, 0x10, 1, [12] = 1, 0, 0, 52, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1};
	uint32_t crc = 0xffffffff;

	packet[32] = 0xc0; /* a parameter that may be skipped */
	packet[35] = 32;
	memcpy(packet + 36, a->word, strlen(a->word));
	for (size_t i = 0; i < sizeof(packet); i++) {
		crc ^= packet[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	crc = ~crc;
	memcpy(packet + 8, &crc, 4); /* the lowest byte first */
	raw_send(a, way->to, PROTO_SCTP, packet, sizeof(packet));
}

static void icmp4(struct attack *a, const struct way *way)
{
	uint8_t packet[64] = {(uint8_t)way->number, 0, 0, 0, 0x12, 0x34};
	uint16_t sum;

	memcpy(packet + 20, a->word, strlen(a->word));
	sum = checksum_fold(checksum_add(packet, sizeof(packet), 0));
	memcpy(packet + 2, &sum, 2);
	raw_send(a, way->to, IPPROTO_ICMP, packet, sizeof(packet));
}

static void icmp6(struct attack *a, const struct way *way)
{
	uint8_t packet[64] = {(uint8_t)way->number, 0, 0, 0, 0x12, 0x34};

	memcpy(packet + 8, a->word, strlen(a->word)); /* the kernel adds the checksum: RFC 3542, section 3.1 */
	raw_send(a, way->to, IPPROTO_ICMPV6, packet, sizeof(packet));
}

static void large(struct attack *a, const struct way *way)
{
	char text[4000];
	int fd = udp_bind(a->from->netns, is_six(way->to) ? AF_INET6 : AF_INET, own(a, way->to), 0);

	memset(text, '.', sizeof(text));
	memcpy(text, a->word, strlen(a->word));
	text[sizeof(text) - 1] = '\0';
	udp_send(fd, way->to, PORT, text);
	close(fd);
}

/* ─── names ─── */

/* What a tunnel does: the data is in the name, in labels as long as they may be. */
static size_t tunnel(const struct attack *a, uint8_t message[DNS_SIZE])
{
	char name[256];

	snprintf(name, sizeof(name), "%s.%060d.%060d.%060d.tunnel.example.org", a->word, 1, 2, 3);
	return dns_question(message, name, false);
}

static void dns_udp(struct attack *a, const struct way *way)
{
	int fd = udp_bind(a->from->netns, is_six(way->to) ? AF_INET6 : AF_INET, own(a, way->to), 0);
	struct sockaddr_storage at;
	socklen_t size = address_of(way->to, 53, &at);
	uint8_t message[DNS_SIZE];
	size_t length = tunnel(a, message);

	assert_int_equal(sendto(fd, message, length, 0, (struct sockaddr *)&at, size), length);
	close(fd);
}

/* A guest on its own resets each connection when it is done with the way. A question that the resolver has not read by
 * then is gone with it: it was asked by nobody. */
static void await_answer(const struct attack *a, int fd)
{
	struct pollfd answer = {.fd = fd, .events = POLLIN};

	if (a->world_serves)
		poll(&answer, 1, 5000);
}

static void dns_tcp(struct attack *a, const struct way *way)
{
	int fd = tcp_connect(a, way->to, 53, 0);
	uint8_t message[2 + DNS_SIZE];
	size_t length = tunnel(a, message + 2);

	if (fd < 0)
		return;
	message[0] = (uint8_t)(length >> 8);
	message[1] = (uint8_t)length;
	assert_int_equal(send(fd, message, 2 + length, MSG_NOSIGNAL), 2 + length);
	await_answer(a, fd);
	if (a->fds[0] < 0)
		a->fds[0] = fd;
	else
		close(fd);
}

/* To the host's link-local address. */
static void dns_local(struct attack *a, const struct way *way)
{
	int fd = socket_in(a->from->netns, AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_storage at;
	socklen_t size = address_of(a->gateway_local, 53, &at);
	uint8_t message[DNS_SIZE];
	size_t length = tunnel(a, message);

	(void)way;
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5);
	assert_int_equal(sendto(fd, message, length, 0, (struct sockaddr *)&at, size), length);
	close(fd);
}

static void begin_dns_flow(struct attack *a, const struct way *way)
{
	struct sockaddr_storage at;
	socklen_t size = address_of(way->to, 53, &at);
	uint8_t message[DNS_SIZE];
	size_t length = dns_question(message, "b.iso-test", false);

	a->fds[0] = udp_bind(a->from->netns, is_six(way->to) ? AF_INET6 : AF_INET, own(a, way->to), 0);
	assert_int_equal(connect(a->fds[0], (struct sockaddr *)&at, size), 0);
	assert_int_equal(send(a->fds[0], message, length, 0), length);
	assert_true(recv(a->fds[0], message, sizeof(message), 0) > 0);
}

static void begin_dns_tcp_flow(struct attack *a, const struct way *way)
{
	uint8_t message[2 + DNS_SIZE];
	size_t length = dns_question(message + 2, "b.iso-test", false);

	message[0] = (uint8_t)(length >> 8);
	message[1] = (uint8_t)length;
	a->fds[0] = tcp_connect(a, way->to, 53, 0);
	assert_int_equal(send(a->fds[0], message, 2 + length, MSG_NOSIGNAL), 2 + length);
	assert_true(recv(a->fds[0], message, sizeof(message), 0) > 0);
}

static void go_on_with_dns(struct attack *a, const struct way *way)
{
	uint8_t message[2 + DNS_SIZE];
	size_t length = tunnel(a, message + 2);

	message[0] = (uint8_t)(length >> 8);
	message[1] = (uint8_t)length;
	if (way->number == SOCK_STREAM) {
		send(a->fds[0], message, 2 + length, MSG_NOSIGNAL | MSG_DONTWAIT);
		await_answer(a, a->fds[0]);
	} else {
		send(a->fds[0], message + 2, length, MSG_NOSIGNAL);
	}
}

/* ─── flows that live ─── */

static int listen_in_world(const struct attack *a, const struct way *way)
{
	struct sockaddr_storage at;
	socklen_t size = address_of(way->to, (uint16_t)way->number, &at);
	int listener = socket_in(a->f->m->world, at.ss_family, SOCK_STREAM, 0), yes = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	assert_int_equal(bind(listener, (struct sockaddr *)&at, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	return listener;
}

static void begin_tcp(struct attack *a, const struct way *way)
{
	int listener = a->world_serves ? -1 : listen_in_world(a, way);

	a->fds[0] = tcp_connect(a, way->to, (uint16_t)way->number, 0);
	if (listener < 0)
		return;
	a->fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(a->fds[1] >= 0);
	close(listener);
}

static void begin_udp(struct attack *a, const struct way *way)
{
	int family = is_six(way->to) ? AF_INET6 : AF_INET;
	struct sockaddr_storage at;
	socklen_t size = address_of(way->to, (uint16_t)way->number, &at);
	char from[80];

	a->fds[0] = udp_bind(a->from->netns, family, own(a, way->to), 0);
	if (!a->world_serves)
		a->fds[1] = udp_bind(a->f->m->world, family, way->to, (uint16_t)way->number);
	assert_int_equal(connect(a->fds[0], (struct sockaddr *)&at, size), 0);
	assert_int_equal(send(a->fds[0], "ask", 3, 0), 3);
	if (!a->world_serves)
		udp_answer(a->fds[1], "ask", "tell", from);
	udp_expect(a->fds[0], "tell", NULL);
}

static void go_on(struct attack *a, const struct way *way)
{
	(void)way;
	send(a->fds[0], a->word, strlen(a->word), MSG_NOSIGNAL);
}

static void begin_half(struct attack *a, const struct way *way)
{
	tcp_syn(a, way->to, 4322, (uint16_t)way->number, 7, false);
}

/* Once more the same, and what would follow the answer. */
static void go_on_half(struct attack *a, const struct way *way)
{
	tcp_syn(a, way->to, 4322, (uint16_t)way->number, 7, false);
	tcp_syn(a, way->to, 4322, (uint16_t)way->number, 8, true);
}

/* "What you sent does not fit", or "nobody is here": about a packet of the flow that came from the world. */
static void error_about_flow(struct attack *a, const struct way *way)
{
	bool six = is_six(way->to);
	struct sockaddr_storage at = {0};
	socklen_t size = sizeof(at);
	uint8_t packet[128] = {(uint8_t)way->number}, *inner = packet + 8, world[16], guest[16];
	size_t head = six ? 40 : 20, length = 8 + head + 8 + strlen(a->word);
	uint16_t port, server = htons((uint16_t)way->number), sum;

	assert_int_equal(getsockname(a->fds[0], (struct sockaddr *)&at, &size), 0);
	port = six ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port;
	inet_pton(six ? AF_INET6 : AF_INET, way->to, world);
	inet_pton(six ? AF_INET6 : AF_INET, own(a, way->to), guest);
	if (six) {
		packet[6] = 5; /* an MTU of 1280 */
		inner[0] = 0x60;
		inner[5] = 64;
		inner[6] = IPPROTO_UDP;
		inner[7] = 64;
		memcpy(inner + 8, world, 16);
		memcpy(inner + 24, guest, 16);
	} else {
		packet[1] = 3; /* port unreachable */
		inner[0] = 0x45;
		inner[3] = 92;
		inner[8] = 64;
		inner[9] = IPPROTO_UDP;
		memcpy(inner + 12, world, 4);
		memcpy(inner + 16, guest, 4);
		sum = checksum_fold(checksum_add(inner, 20, 0));
		memcpy(inner + 10, &sum, 2);
	}
	memcpy(inner + head, &server, 2);
	memcpy(inner + head + 2, &port, 2);
	inner[head + 5] = six ? 64 : 72;
	memcpy(inner + head + 8, a->word, strlen(a->word));
	if (!six) {
		sum = checksum_fold(checksum_add(packet, length, 0));
		memcpy(packet + 2, &sum, 2);
	}
	raw_send(a, way->to, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP, packet, length);
}

/* ─── others ─── */

/* An open guest that carries on what it is given, by a program: on the same network, or another. */
static void program_as_relay(struct attack *a, const struct way *way)
{
	const struct peer *relay = way->number ? a->f->pf : a->f->pb;
	int family = is_six(way->to) ? AF_INET6 : AF_INET;
	int inside = udp_bind(relay->netns, family, way->to, RELAY_PORT),
	    outside = udp_bind(relay->netns, family, NULL, 0);
	int fd = udp_bind(a->from->netns, family, own(a, way->to), 0);
	char buffer[64];
	ssize_t n;

	udp_send(fd, way->to, RELAY_PORT, a->word);
	talks(net_netns_fd(a->f->net), a->from->netns, NULL, a->ip4);
	talks(net_netns_fd(a->f->net), relay->netns, NULL, way->number ? "192.168.123.10" : "192.168.122.11");
	/* it is there by now, if at all */
	n = recv(inside, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);
	if (n > 0) {
		buffer[n] = '\0';
		udp_send(outside, family == AF_INET ? WORLD4 : WORLD6, PORT, buffer);
	}
	close(fd);
	close(inside);
	close(outside);
}

/* The cable that nobody thinks of. */
static void second_nic(struct attack *a, const struct way *way)
{
	int fd = udp_bind(a->second->netns, is_six(way->to) ? AF_INET6 : AF_INET, NULL, 0);

	udp_send(fd, way->to, PORT, a->word);
	talks(net_netns_fd(a->f->net), a->second->netns, NULL, "192.168.123.40");
	close(fd);
}

static const struct way list[] = {
	{"UDP", WAY_OUT, ANYBODY, udp, 4000, WORLD4},
	{"UDP, IPv6", WAY_OUT, ANYBODY, udp, 4000, WORLD6},
	{"UDP to port 443 (QUIC)", WAY_OUT, ANYBODY, udp, 443, WORLD4},
	{"UDP to port 123 (NTP)", WAY_OUT, ANYBODY, udp, 123, WORLD4},
	{"UDP to port 67 (DHCP) of the world", WAY_OUT, ANYBODY, udp, 67, WORLD4},
	{"UDP to port 4789 (VXLAN)", WAY_OUT, ANYBODY, udp, 4789, WORLD4},
	{"UDP in fragments", WAY_OUT, ANYBODY, large, 0, WORLD4},
	{"UDP in fragments, IPv6", WAY_OUT, ANYBODY, large, 0, WORLD6},
	{"UDP to the broadcast address of the world's subnet", WAY_OUT, ANYBODY, udp, PORT, "203.0.113.255"},
	{"UDP to the machine's own address", WAY_OUT, ANYBODY, udp, PORT, "203.0.113.2"},
	{"UDP to the machine's own address, IPv6", WAY_OUT, ANYBODY, udp, PORT, "2001:db8::2"},
	{"UDP to the machine's end of the uplink", WAY_OUT, ANYBODY, udp_to_transit, 0, NULL},
	{"UDP to a 6to4 address", WAY_OUT, ANYBODY, udp, PORT, "2002:cb00:7101::1"},
	{"UDP to a NAT64 address", WAY_OUT, ANYBODY, udp, PORT, "64:ff9b::cb00:7101"},
	{"UDP from a published port", WAY_OUT, ANYBODY, udp_from_port, 3389, WORLD4},
	{"UDP from port 53", WAY_OUT, ANYBODY, udp_from_port, 53, WORLD4},
	{"UDP from port 53, IPv6", WAY_OUT, ANYBODY, udp_from_port, 53, WORLD6},
	{"TCP", WAY_OUT, ANYBODY, tcp, 443, WORLD4},
	{"TCP, IPv6", WAY_OUT, ANYBODY, tcp, 443, WORLD6},
	{"TCP to port 853 (DNS over TLS)", WAY_OUT, ANYBODY, tcp, 853, WORLD4},
	{"TCP from a published port", WAY_OUT, ANYBODY, tcp_from_port, 3389, WORLD4},
	{"TCP from a published port, IPv6", WAY_OUT, ANYBODY, tcp_from_port, 22, WORLD6},
	{"ICMP echo", WAY_OUT, ANYBODY, icmp4, ICMP_ECHO, WORLD4},
	{"ICMPv6 echo", WAY_OUT, ANYBODY, icmp6, ICMP6_ECHO_REQUEST, WORLD6},
	{"ICMP timestamp", WAY_OUT, ANYBODY, icmp4, ICMP_TIMESTAMP, WORLD4},
	{"ICMP address mask", WAY_OUT, ANYBODY, icmp4, ICMP_ADDRESS, WORLD4},
	{"ICMP echo reply that nobody asked for", WAY_NEVER, ANYBODY, icmp4, ICMP_ECHOREPLY, WORLD4,
	 "conntrack cannot make sense of it"},
	{"ICMP unreachable about nothing", WAY_NEVER, ANYBODY, icmp4, ICMP_DEST_UNREACH, WORLD4,
	 "conntrack cannot make sense of it"},
	{"ICMP of a type nobody knows", WAY_NEVER, ANYBODY, icmp4, ICMP4_LATEST, WORLD4,
	 "conntrack cannot make sense of it"},
	{"SCTP", WAY_OUT, ANYBODY, sctp, 0, WORLD4},
	{"SCTP, IPv6", WAY_OUT, ANYBODY, sctp, 0, WORLD6},
	{"protocol 4 (IP in IP)", WAY_OUT, ANYBODY, protocol, IPPROTO_IPIP, WORLD4},
	{"protocol 41 (6in4)", WAY_OUT, ANYBODY, protocol, IPPROTO_IPV6, WORLD4},
	{"protocol 47 (GRE)", WAY_OUT, ANYBODY, protocol, IPPROTO_GRE, WORLD4},
	{"protocol 47 (GRE), IPv6", WAY_OUT, ANYBODY, protocol, IPPROTO_GRE, WORLD6},
	{"protocol 50 (ESP)", WAY_OUT, ANYBODY, protocol, IPPROTO_ESP, WORLD4},
	{"protocol 50 (ESP), IPv6", WAY_OUT, ANYBODY, protocol, IPPROTO_ESP, WORLD6},
	{"protocol 51 (AH)", WAY_OUT, ANYBODY, protocol, IPPROTO_AH, WORLD4},
	{"protocol 51 (AH), IPv6", WAY_OUT, ANYBODY, protocol, IPPROTO_AH, WORLD6},
	{"protocol 89 (OSPF)", WAY_OUT, ANYBODY, protocol, 89, WORLD4},
	{"protocol 103 (PIM)", WAY_OUT, ANYBODY, protocol, IPPROTO_PIM, WORLD4},
	{"protocol 115 (L2TP)", WAY_OUT, ANYBODY, protocol, 115, WORLD4},
	{"protocol 253", WAY_OUT, ANYBODY, protocol, 253, WORLD4},
	{"protocol 253, IPv6", WAY_OUT, ANYBODY, protocol, 253, WORLD6},
	{"DNS by the host's resolver", WAY_OUT, ANYBODY, dns_udp, 0, "192.168.122.1"},
	{"DNS by the host's resolver, IPv6", WAY_OUT, ANYBODY, dns_udp, 0, "fd00:122::1"},
	{"DNS by the host's resolver, TCP", WAY_OUT, ANYBODY, dns_tcp, 0, "192.168.122.1"},
	{"DNS by the host's resolver, TCP, IPv6", WAY_OUT, ANYBODY, dns_tcp, 0, "fd00:122::1"},
	{"DNS by the host's link-local address", WAY_OUT, DIRECT, dns_local, 0, NULL},
	{"DNS by another network's resolver", WAY_OUT, ANYBODY, dns_udp, 0, "192.168.123.1"},
	{"DNS of the world", WAY_OUT, ANYBODY, dns_udp, 0, WORLD4},
	{"DNS tunnel that runs", WAY_OUT, ANYBODY, go_on_with_dns, SOCK_DGRAM, "192.168.122.1", NULL, begin_dns_flow},
	{"DNS tunnel that runs, IPv6", WAY_OUT, ANYBODY, go_on_with_dns, SOCK_DGRAM, "fd00:122::1", NULL,
	 begin_dns_flow},
	{"DNS tunnel that runs, TCP", WAY_OUT, ANYBODY, go_on_with_dns, SOCK_STREAM, "192.168.122.1", NULL,
	 begin_dns_tcp_flow},
	{"established TCP", WAY_OUT, ANYBODY, go_on, 7001, WORLD4, NULL, begin_tcp},
	{"established TCP, IPv6", WAY_OUT, ANYBODY, go_on, 7001, WORLD6, NULL, begin_tcp},
	{"established UDP", WAY_OUT, ANYBODY, go_on, 7002, WORLD4, NULL, begin_udp},
	{"established UDP, IPv6", WAY_OUT, ANYBODY, go_on, 7002, WORLD6, NULL, begin_udp},
	{"half-open TCP", WAY_OUT, ANYBODY, go_on_half, 7003, WORLD4, NULL, begin_half},
	{"half-open TCP, IPv6", WAY_OUT, ANYBODY, go_on_half, 7003, WORLD6, NULL, begin_half},
	{"ICMP error about a flow that lives", WAY_OUT, ANYBODY, error_about_flow, ICMP_DEST_UNREACH, WORLD4, NULL,
	 begin_udp},
	{"ICMPv6 error about a flow that lives", WAY_OUT, ANYBODY, error_about_flow, ICMP6_PACKET_TOO_BIG, WORLD6, NULL,
	 begin_udp},
	{"mDNS", WAY_NEVER, DIRECT, udp, 5353, "224.0.0.251", "it is of one link"},
	{"SSDP", WAY_NEVER, DIRECT, udp, 1900, "239.255.255.250", "nobody routes multicast"},
	{"multicast of the whole world, IPv6", WAY_NEVER, DIRECT, udp, PORT, "ff0e::1234", "nobody routes multicast"},
	{"broadcast", WAY_NEVER, DIRECT, udp, PORT, "255.255.255.255", "it is of one link"},
	{"UDP to services of the host", WAY_NEVER, ANYBODY, udp, 161, "192.168.122.1", "it has none but DHCP and DNS"},
	{"TCP to services of the host", WAY_NEVER, ANYBODY, tcp, 22, "192.168.122.1", "it has none but DHCP and DNS"},
	{"protocol 4 to the host", WAY_NEVER, ANYBODY, protocol, IPPROTO_IPIP, "192.168.122.1", "it ends no tunnels"},
	{"an open neighbour's program as a relay", WAY_BY_NEIGHBOUR, ANYBODY, program_as_relay, 0, "192.168.122.11"},
	{"an open neighbour's program as a relay, IPv6", WAY_BY_NEIGHBOUR, ANYBODY, program_as_relay, 0,
	 "fd00:122::11"},
	{"a relay on another network", WAY_BY_NEIGHBOUR, ANYBODY, program_as_relay, 1, "192.168.123.10"},
	{"a relay on another network, IPv6", WAY_BY_NEIGHBOUR, ANYBODY, program_as_relay, 1, "fd00:123::10"},
	{"its second nic", WAY_OUT, FIXED | HELPED, second_nic, 0, WORLD4},
	{"its second nic, IPv6", WAY_OUT, FIXED | HELPED, second_nic, 0, WORLD6},
};

const struct ways ways_by_packet = {list, sizeof(list) / sizeof(*list)};
