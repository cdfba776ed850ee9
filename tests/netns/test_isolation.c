/* Who may say what: forged frames, cut and sealed guests, at their own host and at those above and below. */
#include "machine.h"
#include "testlab.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PORT = 7000 };

struct fixture {
	struct machine *m;
	struct lab *lab;
	struct net *net;
	struct network *lan, *other, *inner;
	struct guest *a, *b, *hv, *dhcp, *strange, *deep, *far;
	struct network *core;
	struct peer *pa, *pb, *phv, *pd, *ps, *pf;
};

/*
 * L0: lan (nat): a, b with fixed addresses; hv, a host; dhcp without an address; strange, whose system nestvisor did
 * not make. other (nat): far. hv: inner (route): deep. Behind hv's tap the test speaks for deep, too.
 */
static struct fixture *fixture_new(unsigned layer)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct host *root, *host;

	f->m = machine_new();
	machine_forward(true);
	f->lab = testlab_new("iso-test", layer ? "top" : "", layer);
	root = f->lab->root;
	f->lan = testlab_network(f->lab, root, "lan", "192.168.122.0/24", "fd00:122::/64",
				 layer ? UPLINK_ROUTE : UPLINK_NAT);
	f->other = testlab_network(f->lab, root, "other", "192.168.123.0/24", "fd00:123::/64", UPLINK_NAT);
	f->a = testlab_guest(f->lab, root, "a");
	testlab_nic(f->lab, f->a, f->lan, "192.168.122.10", "fd00:122::10");
	f->b = testlab_guest(f->lab, root, "b");
	testlab_nic(f->lab, f->b, f->lan, "192.168.122.11", "fd00:122::11");
	f->hv = testlab_guest(f->lab, root, "hv");
	testlab_nic(f->lab, f->hv, f->lan, "192.168.122.20", "fd00:122::20");
	f->dhcp = testlab_guest(f->lab, root, "dhcp");
	testlab_nic(f->lab, f->dhcp, f->lan, NULL, NULL);
	f->strange = testlab_guest(f->lab, root, "strange");
	f->strange->seed = SEED_NONE;
	testlab_nic(f->lab, f->strange, f->lan, "192.168.122.12", "fd00:122::12");
	f->far = testlab_guest(f->lab, root, "far");
	testlab_nic(f->lab, f->far, f->other, "192.168.123.10", "fd00:123::10");
	host = testlab_host(f->lab, f->hv);
	f->inner = testlab_network(f->lab, host, "inner", "192.168.124.0/24", "fd00:124::/64", UPLINK_ROUTE);
	f->deep = testlab_guest(f->lab, host, "deep");
	testlab_nic(f->lab, f->deep, f->inner, "192.168.124.91", "fd00:124::91");
	f->core = testlab_network(f->lab, testlab_host(f->lab, f->deep), "core", "10.7.0.0/16", "fd00:7::/64",
				  UPLINK_ROUTE);
	f->lan->dhcp = true;
	OK(net_open(f->lab, f->m->run, &f->net, &problem));
	return f;
}

static int set_up(void **state)
{
	*state = fixture_new(0);
	return 0;
}

static int set_up_nested(void **state)
{
	*state = fixture_new(1);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	net_close(f->net);
	OK(net_remove_all("iso-test", f->m->run, &problem));
	lab_free(f->lab);
	machine_free(f->m);
	free(f);
	return 0;
}

static void make_all(struct fixture *f)
{
	OK(net_make_namespace(f->net, &problem));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_uplink(f->net, NULL, &problem));
	OK(net_make_network(f->net, f->lan, &problem));
	OK(net_make_network(f->net, f->other, &problem));
	OK(net_make_routes(f->net, &problem));
	f->pa = peer_new(f->m, f->net, f->a);
	f->pb = peer_new(f->m, f->net, f->b);
	f->phv = peer_new(f->m, f->net, f->hv);
	f->pd = peer_new(f->m, f->net, f->dhcp);
	f->ps = peer_new(f->m, f->net, f->strange);
	f->pf = peer_new(f->m, f->net, f->far);
	/* hv routes for deep and a guest of that, who live in the same namespace. */
	peer_do(f->phv, "ip addr add 192.168.124.91/32 dev lo; ip addr add fd00:124::91/128 dev lo nodad;"
			"ip addr add 10.7.0.9/32 dev lo; ip addr add fd00:7::9/128 dev lo nodad");
}

/* Frames */

struct frame {
	uint8_t bytes[FRAME_SIZE];
	size_t length;
};

static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void put(struct frame *f, const void *data, size_t length)
{
	assert_true(f->length + length <= sizeof(f->bytes));
	memcpy(f->bytes + f->length, data, length);
	f->length += length;
}

static void put_ethernet(struct frame *f, const uint8_t to[6], const uint8_t from[6], uint16_t type)
{
	type = htons(type);
	f->length = 0;
	put(f, to, 6);
	put(f, from, 6);
	put(f, &type, 2);
}

static uint32_t sum(const void *data, size_t length, uint32_t start)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < length; i++)
		start += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return start;
}

static uint16_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons((uint16_t)~total);
}

static void make_udp4(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from,
		      const char *to, uint16_t sport, uint16_t dport, const char *text)
{
	size_t length = strlen(text);
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .ttl = 64,
			   .protocol = IPPROTO_UDP,
			   .tot_len = htons((uint16_t)(sizeof(ip) + sizeof(struct udphdr) + length)),
			   .saddr = inet_addr(from),
			   .daddr = inet_addr(to)};
	struct udphdr udp = {
		.source = htons(sport), .dest = htons(dport), .len = htons((uint16_t)(sizeof(udp) + length))};

	ip.check = fold(sum(&ip, sizeof(ip), 0));
	put_ethernet(f, to_mac, from_mac, ETH_P_IP);
	put(f, &ip, sizeof(ip));
	put(f, &udp, sizeof(udp)); /* no checksum: allowed in IPv4 */
	put(f, text, length);
}

static void put_ip6(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from,
		    const char *to, uint8_t protocol, const void *payload, size_t length)
{
	struct ip6_hdr ip = {.ip6_plen = htons((uint16_t)length), .ip6_nxt = protocol, .ip6_hlim = 255};

	ip.ip6_vfc = 0x60;
	assert_int_equal(inet_pton(AF_INET6, from, &ip.ip6_src), 1);
	assert_int_equal(inet_pton(AF_INET6, to, &ip.ip6_dst), 1);
	put_ethernet(f, to_mac, from_mac, ETH_P_IPV6);
	put(f, &ip, sizeof(ip));
	put(f, payload, length);
}

static void make_udp6(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from,
		      const char *to, uint16_t sport, uint16_t dport, const char *text)
{
	uint8_t payload[256];
	size_t length = sizeof(struct udphdr) + strlen(text);
	struct udphdr udp = {.source = htons(sport), .dest = htons(dport), .len = htons((uint16_t)length)};

	memcpy(payload, &udp, sizeof(udp));
	memcpy(payload + sizeof(udp), text, strlen(text));
	put_ip6(f, to_mac, from_mac, from, to, IPPROTO_UDP, payload, length);
	udp.check = fold(sum(f->bytes + ETH_HLEN + 8, 32 + length, (uint32_t)length + IPPROTO_UDP));
	memcpy(f->bytes + ETH_HLEN + sizeof(struct ip6_hdr), &udp, sizeof(udp));
}

static void make_arp(struct frame *f, const uint8_t from_mac[6], const uint8_t sender_mac[6], const char *sender,
		     const char *target, uint16_t op, const char *text)
{
	const struct arphdr header = {
		.ar_hrd = htons(ARPHRD_ETHER), .ar_pro = htons(ETH_P_IP), .ar_hln = 6, .ar_pln = 4, .ar_op = htons(op)};
	uint32_t ip = inet_addr(sender);

	put_ethernet(f, everyone, from_mac, ETH_P_ARP);
	put(f, &header, sizeof(header));
	put(f, sender_mac, 6);
	put(f, &ip, 4);
	ip = inet_addr(target);
	put(f, everyone, 6);
	put(f, &ip, 4);
	put(f, text, strlen(text)); /* padding, by which it is known again */
}

/* A neighbour or router advertisement; target NULL for the latter. The text is behind it, in an option nobody knows. */
static void make_advert(struct frame *f, const struct peer *peer, const char *from, const char *target,
			const char *text)
{
	uint8_t payload[64] = {target ? ND_NEIGHBOR_ADVERT : ND_ROUTER_ADVERT, 0, 0, 0, target ? 0x20 : 64};
	size_t length = target ? 24 : 16;

	if (target)
		assert_int_equal(inet_pton(AF_INET6, target, payload + 8), 1);
	payload[length] = 200;
	payload[length + 1] = 2;
	memcpy(payload + length + 2, text, strlen(text) < 14 ? strlen(text) : 14);
	length += 16;
	put_ip6(f, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, peer->mac, from, "ff02::1", IPPROTO_ICMPV6, payload,
		length);
	*(uint16_t *)(void *)(f->bytes + ETH_HLEN + sizeof(struct ip6_hdr) + 2) =
		fold(sum(f->bytes + ETH_HLEN + 8, 32 + length, (uint32_t)length + IPPROTO_ICMPV6));
}

/* "Go that way instead" (RFC 4861, section 4.5), which only a router may say. */
static void make_redirect(struct frame *f, const struct peer *peer, const char *from, const char *text)
{
	uint8_t payload[56] = {ND_REDIRECT};

	payload[40] = 200;
	payload[41] = 2;
	memcpy(payload + 42, text, strlen(text) < 14 ? strlen(text) : 14);
	put_ip6(f, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, peer->mac, from, "ff02::1", IPPROTO_ICMPV6, payload,
		sizeof(payload));
	*(uint16_t *)(void *)(f->bytes + ETH_HLEN + sizeof(struct ip6_hdr) + 2) =
		fold(sum(f->bytes + ETH_HLEN + 8, 32 + sizeof(payload), sizeof(payload) + IPPROTO_ICMPV6));
}

/* Whether a frame that one guest puts on its cable comes out at another's. The fence is an honest frame behind it. */
static bool passes(const struct peer *from, const struct peer *to, const struct frame *frame, const char *text)
{
	int fd = frame_listen(to->netns);
	struct frame fence;
	bool seen;

	make_arp(&fence, from->mac, from->mac, "0.0.0.0", "192.168.122.250", ARPOP_REQUEST, "FENCE");
	frame_send(from, frame->bytes, frame->length);
	frame_send(from, fence.bytes, fence.length);
	seen = frame_seen_before(fd, text, "FENCE");
	close(fd);
	return seen;
}

/*
 * A datagram from a guest to the world. The fence is one of an open guest, whose tap the relay serves last. The sender
 * knows its gateway's Ethernet address by then, so its datagram does not wait for anything and is ahead.
 */
static bool reaches_world(struct fixture *f, const struct peer *from, const char *source, const char *to, uint16_t port)
{
	int family = strchr(to, ':') ? AF_INET6 : AF_INET;
	int world = udp_bind(f->m->world, family, NULL, port), client = udp_bind(from->netns, family, source, 0);
	int honest = udp_bind(f->pf->netns, family, NULL, 0);
	char buffer[16] = "";
	bool reached = false;

	peer_do(from, "ping -c1 -W10 -q %s", family == AF_INET ? "192.168.122.1" : "fd00:122::1");
	peer_do(f->pf, "ping -c1 -W10 -q %s", family == AF_INET ? "192.168.123.1" : "fd00:123::1");
	udp_send(client, to, port, "out");
	assert_int_equal(udp_send(honest, to, port, "fence"), 0);
	while (strcmp(buffer, "fence") != 0) {
		struct timeval patience = {.tv_sec = 10};
		ssize_t n;

		setsockopt(world, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		n = recv(world, buffer, sizeof(buffer) - 1, 0);
		if (n < 0)
			fail_msg("the fence did not arrive");
		buffer[n] = '\0';
		reached |= strcmp(buffer, "out") == 0;
	}
	close(world);
	close(client);
	close(honest);
	return reached;
}

static bool talks(int from, int to, const char *source, const char *address)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET;
	int client = udp_bind(from, family, source, 0), server = udp_bind(to, family, address, PORT);
	char seen[80];

	assert_int_equal(udp_send(client, address, PORT, "ask"), 0);
	udp_answer(server, "ask", "tell", seen);
	udp_expect(client, "tell", NULL);
	close(client);
	close(server);
	return true;
}

static void forged_ethernet_and_arp(void **state)
{
	struct fixture *f = *state;
	struct frame frame;

	make_all(f);
	make_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.10", "192.168.122.11", ARPOP_REPLY, "honest");
	assert_true(passes(f->pa, f->pb, &frame, "honest"));
	make_arp(&frame, f->pb->mac, f->pb->mac, "192.168.122.11", "192.168.122.10", ARPOP_REPLY, "other mac");
	assert_false(passes(f->pa, f->ps, &frame, "other mac"));
	put_ethernet(&frame, everyone, f->pb->mac, 0x88b5); /* in a protocol of which only this is known */
	put(&frame, "other mac                                       ", 48);
	assert_false(passes(f->pa, f->ps, &frame, "other mac"));
	put_ethernet(&frame, everyone, f->pa->mac, 0x88b5);
	put(&frame, "own mac                                         ", 48);
	assert_true(passes(f->pa, f->ps, &frame, "own mac"));
	make_arp(&frame, f->pa->mac, f->pb->mac, "192.168.122.10", "192.168.122.11", ARPOP_REPLY, "inside mac");
	assert_false(passes(f->pa, f->pb, &frame, "inside mac"));
	make_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.1", "192.168.122.11", ARPOP_REPLY, "the gateway");
	assert_false(passes(f->pa, f->pb, &frame, "the gateway"));
	make_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.99", "192.168.122.11", ARPOP_REPLY, "nobody's");
	assert_false(passes(f->pa, f->pb, &frame, "nobody's"));
	/* Without an address of its own it may take one that is nobody's. */
	make_arp(&frame, f->pd->mac, f->pd->mac, "192.168.122.99", "192.168.122.11", ARPOP_REPLY, "by dhcp");
	assert_true(passes(f->pd, f->pb, &frame, "by dhcp"));
	make_arp(&frame, f->pd->mac, f->pd->mac, "192.168.122.11", "192.168.122.10", ARPOP_REPLY, "b's");
	assert_false(passes(f->pd, f->pa, &frame, "b's"));
	make_arp(&frame, f->pd->mac, f->pd->mac, "192.168.122.1", "192.168.122.10", ARPOP_REPLY, "gw again");
	assert_false(passes(f->pd, f->pa, &frame, "gw again"));
}

static void forged_ip(void **state)
{
	struct fixture *f = *state;
	struct frame frame;

	make_all(f);
	make_udp4(&frame, everyone, f->pa->mac, "192.168.122.10", "192.168.122.255", 1, 2, "honest");
	assert_true(passes(f->pa, f->pb, &frame, "honest"));
	make_udp4(&frame, everyone, f->pa->mac, "192.168.122.11", "192.168.122.255", 1, 2, "b's");
	assert_false(passes(f->pa, f->pb, &frame, "b's"));
	make_udp4(&frame, everyone, f->pa->mac, "192.168.122.1", "192.168.122.255", 1, 2, "gw");
	assert_false(passes(f->pa, f->pb, &frame, "gw"));
	make_udp4(&frame, everyone, f->pa->mac, "192.168.124.91", "192.168.122.255", 1, 2, "hv's inner");
	assert_false(passes(f->pa, f->pb, &frame, "hv's inner"));
	make_udp4(&frame, everyone, f->phv->mac, "192.168.124.91", "192.168.122.255", 1, 2, "of the host");
	assert_true(passes(f->phv, f->pb, &frame, "of the host"));
	make_udp4(&frame, everyone, f->phv->mac, "192.168.125.1", "192.168.122.255", 1, 2, "not routed");
	assert_false(passes(f->phv, f->pb, &frame, "not routed"));
	make_udp4(&frame, everyone, f->pd->mac, "192.168.122.99", "192.168.122.255", 1, 2, "by dhcp");
	assert_true(passes(f->pd, f->pb, &frame, "by dhcp"));
	make_udp4(&frame, everyone, f->pd->mac, "192.168.122.10", "192.168.122.255", 1, 2, "a's");
	assert_false(passes(f->pd, f->pb, &frame, "a's"));
}

static void forged_ip6(void **state)
{
	const uint8_t all[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct fixture *f = *state;
	char local[IP_TEXT_SIZE], gateway[64];
	cleanup_free char *address = NULL;
	struct frame frame;

	make_all(f);
	address = machine_run("ip -n nestvisor-iso-test -6 -br addr show lan | grep -o 'fe80[^/]*'");
	snprintf(gateway, sizeof(gateway), "%.*s", (int)strcspn(address, "\n"), address);
	snprintf(local, sizeof(local), "fe80::%x:%xff:fe%02x:%02x%02x", (f->pa->mac[0] ^ 2) << 8 | f->pa->mac[1],
		 f->pa->mac[2], f->pa->mac[3], f->pa->mac[4], f->pa->mac[5]);
	make_udp6(&frame, all, f->pa->mac, "fd00:122::10", "ff02::1", 1, 2, "honest");
	assert_true(passes(f->pa, f->pb, &frame, "honest"));
	make_udp6(&frame, all, f->pa->mac, local, "ff02::1", 1, 2, "local");
	assert_true(passes(f->pa, f->pb, &frame, "local"));
	make_udp6(&frame, all, f->pa->mac, "fe80::1234", "ff02::1", 1, 2, "another local");
	assert_false(passes(f->pa, f->pb, &frame, "another local"));
	make_udp6(&frame, all, f->ps->mac, "fe80::1234", "ff02::1", 1, 2, "who knows");
	assert_true(passes(f->ps, f->pb, &frame, "who knows"));
	make_udp6(&frame, all, f->ps->mac, gateway, "ff02::1", 1, 2, "gateway's local");
	assert_false(passes(f->ps, f->pb, &frame, "gateway's local"));
	make_udp6(&frame, all, f->pa->mac, "fd00:122::11", "ff02::1", 1, 2, "b's");
	assert_false(passes(f->pa, f->pb, &frame, "b's"));
	make_udp6(&frame, all, f->phv->mac, "fd00:124::91", "ff02::1", 1, 2, "of the host");
	assert_true(passes(f->phv, f->pb, &frame, "of the host"));
	make_udp6(&frame, all, f->pd->mac, "fd00:122::99", "ff02::1", 1, 2, "by dhcp");
	assert_true(passes(f->pd, f->pb, &frame, "by dhcp"));
	make_udp6(&frame, all, f->pd->mac, "fd00:122::10", "ff02::1", 1, 2, "a's by dhcp");
	assert_false(passes(f->pd, f->pb, &frame, "a's by dhcp"));
	make_redirect(&frame, f->pa, local, "redirect");
	assert_false(passes(f->pa, f->pb, &frame, "redirect"));
	make_udp6(&frame, all, f->pd->mac, "fd00:122::1", "ff02::1", 1, 2, "gw");
	assert_false(passes(f->pd, f->pb, &frame, "gw"));
	make_advert(&frame, f->pa, "fd00:122::10", "fd00:122::10", "my own");
	assert_true(passes(f->pa, f->pb, &frame, "my own"));
	make_advert(&frame, f->pa, local, local, "my own local");
	assert_true(passes(f->pa, f->pb, &frame, "my own local"));
	make_advert(&frame, f->pa, "fd00:122::10", "fd00:122::99", "for nobody");
	assert_false(passes(f->pa, f->pb, &frame, "for nobody"));
	make_advert(&frame, f->pa, "fd00:122::10", "fd00:122::11", "for b");
	assert_false(passes(f->pa, f->ps, &frame, "for b"));
	make_advert(&frame, f->pa, "fd00:122::10", "fd00:122::1", "for gw");
	assert_false(passes(f->pa, f->pb, &frame, "for gw"));
	make_advert(&frame, f->ps, "fd00:122::12", gateway, "for gw local");
	assert_false(passes(f->ps, f->pb, &frame, "for gw local"));
	make_advert(&frame, f->pd, "fd00:122::99", "fd00:122::99", "dhcp's own");
	assert_true(passes(f->pd, f->pb, &frame, "dhcp's own"));
	make_advert(&frame, f->pd, "fd00:122::99", "fd00:122::10", "for a");
	assert_false(passes(f->pd, f->pb, &frame, "for a"));
	make_advert(&frame, f->pa, local, NULL, "router");
	assert_false(passes(f->pa, f->pb, &frame, "router"));
	make_udp6(&frame, all, f->pa->mac, "fd00:122::10", "ff02::1", 547, 546, "dhcpv6");
	assert_false(passes(f->pa, f->pb, &frame, "dhcpv6"));
}

static void forged_dhcp_answers(void **state)
{
	struct fixture *f = *state;
	struct frame frame;

	make_all(f);
	make_udp4(&frame, everyone, f->pa->mac, "192.168.122.10", "255.255.255.255", 67, 68, "an offer");
	assert_false(passes(f->pa, f->pb, &frame, "an offer"));
	make_udp4(&frame, everyone, f->pa->mac, "0.0.0.0", "255.255.255.255", 68, 67, "a question");
	assert_true(passes(f->pa, f->pb, &frame, "a question"));
	make_udp4(&frame, everyone, f->pa->mac, "0.0.0.0", "255.255.255.255", 1, 2, "from nobody");
	assert_false(passes(f->pa, f->pb, &frame, "from nobody"));
	/* On a network where dnsmasq gives no addresses and somebody wants one, a guest may be the one who gives them.
	 */
	f->lan->dhcp = false;
	OK(net_make_rules(f->net, &problem));
	make_udp4(&frame, everyone, f->pa->mac, "192.168.122.10", "255.255.255.255", 67, 68, "an offer");
	assert_true(passes(f->pa, f->pb, &frame, "an offer"));
	make_udp4(&frame, everyone, f->pd->mac, "192.168.122.99", "255.255.255.255", 67, 68, "his own");
	assert_false(passes(f->pd, f->pb, &frame, "his own"));
}

/*
 * From a guest to a network behind its neighbour: there over the gateway, back straight over the bridge. The host sees
 * half of it, and must not mind; not on a network without uplink, either.
 */
static void half_a_conversation_is_let_through(void **state)
{
	static const enum uplink uplinks[] = {UPLINK_NAT, UPLINK_NONE};
	struct fixture *f = *state;

	make_all(f);
	for (size_t i = 0; i < 2; i++) {
		struct talk talk;

		f->lan->uplink = uplinks[i];
		OK(net_make_rules(f->net, &problem));
		assert_true(tcp_open(&talk, f->pb->netns, f->phv->netns, "192.168.124.91", PORT));
		assert_true(tcp_say(talk.client, talk.server, "there"));
		assert_true(tcp_say(talk.server, talk.client, "and back"));
		tcp_close(&talk);
		assert_true(tcp_open(&talk, f->pb->netns, f->phv->netns, "fd00:124::91", PORT));
		assert_true(tcp_say(talk.client, talk.server, "there"));
		tcp_close(&talk);
	}
}

/* br_netfilter, which Docker loads, hands frames between guests of one bridge to the forward chain. */
static void frames_may_pass_the_forward_chain(void **state)
{
	struct fixture *f = *state;

	make_all(f);
	if (!machine_try("nsenter --net=/run/netns/nestvisor-iso-test sh -c 'cd /proc/sys/net/bridge && echo 1 > "
			 "bridge-nf-call-iptables && echo 1 > bridge-nf-call-ip6tables' 2>/dev/null"))
		skip();
	f->a->world = WORLD_CUT;
	f->lan->uplink = UPLINK_NONE;
	OK(net_make_rules(f->net, &problem));
	assert_true(talks(f->pa->netns, f->pb->netns, NULL, "192.168.122.11"));
	assert_true(talks(f->pb->netns, f->pa->netns, NULL, "fd00:122::10"));
}

/* What conntrack cannot make sense of is not translated, so it must not go out. */
static void nothing_leaves_untranslated(void **state)
{
	uint8_t reply[] = "\0\0\0\0\0\1\0\1unasked answer"; /* an ICMP echo reply that nobody asked for */
	struct fixture *f = *state;
	struct frame frame;
	uint8_t gateway[6];
	cleanup_free char *mac = NULL;
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .ttl = 64,
			   .protocol = IPPROTO_ICMP,
			   .tot_len = htons(sizeof(ip) + sizeof(reply) - 1),
			   .saddr = inet_addr("192.168.122.10"),
			   .daddr = inet_addr("203.0.113.1")};
	uint16_t check;
	int fd;

	make_all(f);
	mac = machine_run("ip -n nestvisor-iso-test -br link show lan | awk '{printf \"%%s\", $3}'");
	assert_true(mac_parse(mac, gateway));
	ip.check = fold(sum(&ip, sizeof(ip), 0));
	check = fold(sum(reply, sizeof(reply) - 1, 0));
	memcpy(reply + 2, &check, 2);
	put_ethernet(&frame, gateway, f->pa->mac, ETH_P_IP);
	put(&frame, &ip, sizeof(ip));
	put(&frame, reply, sizeof(reply) - 1);
	fd = frame_listen(f->m->world);
	assert_true(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT)); /* all ways are known */
	frame_send(f->pa, frame.bytes, frame.length);
	make_udp4(&frame, gateway, f->pa->mac, "192.168.122.10", "203.0.113.1", 1, 2, "FENCE");
	frame_send(f->pa, frame.bytes, frame.length);
	assert_false(frame_seen_before(fd, "unasked answer", "FENCE"));
	close(fd);
}

/* A cable plugged in before its rules are there is dead, not open. */
static void an_unknown_port_gets_nothing_in(void **state)
{
	struct fixture *f = *state;
	struct guest *late;
	struct peer *peer;
	struct nic *nic;
	int b, gateway;

	make_all(f);
	late = testlab_guest(f->lab, f->lab->root, "late");
	nic = testlab_nic(f->lab, late, f->lan, "192.168.122.40", "fd00:122::40");
	peer = peer_new_on(f->m, f->net, nic, true);
	b = frame_listen(f->pb->netns);
	{
		struct frame frame;

		make_arp(&frame, peer->mac, peer->mac, "192.168.122.40", "192.168.122.11", ARPOP_REQUEST, "too early");
		frame_send(peer, frame.bytes, frame.length);
		make_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.10", "192.168.122.11", ARPOP_REQUEST, "FENCE");
		frame_send(f->pa, frame.bytes, frame.length);
		assert_false(frame_seen_before(b, "too early", "FENCE"));
	}
	close(b);
	OK(net_make_rules(f->net, &problem));
	gateway = udp_bind(net_netns_fd(f->net), AF_INET, NULL, PORT);
	b = udp_bind(peer->netns, AF_INET, NULL, PORT);
	assert_int_equal(udp_send(gateway, "192.168.122.40", PORT, "now"), 0);
	udp_expect(b, "now", NULL);
	close(b);
	close(gateway);
}

static void a_cut_guest_is_cut_from_the_world_only(void **state)
{
	struct fixture *f = *state;
	struct talk admin, outside;

	make_all(f);
	assert_true(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_true(reaches_world(f, f->pa, NULL, "2001:db8::1", PORT));
	assert_true(tcp_open(&admin, net_netns_fd(f->net), f->pa->netns, "192.168.122.10", 22));
	assert_true(tcp_open(&outside, f->pa->netns, f->m->world, "203.0.113.1", 80));
	assert_true(tcp_say(outside.client, outside.server, "before"));

	f->a->world = WORLD_CUT;
	OK(net_make_rules(f->net, &problem));
	/* New flows, and the one that lives: in neither direction, in either family. */
	assert_int_equal(send(outside.client, "leak", 4, 0), 4);
	assert_int_equal(send(outside.server, "leak", 4, 0), 4);
	assert_false(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_false(reaches_world(f, f->pa, NULL, "2001:db8::1", PORT));
	assert_true(talks(f->pf->netns, f->m->world, NULL, "203.0.113.1"));
	assert_true(udp_silent(outside.server));
	assert_true(udp_silent(outside.client));
	/* With any address it gives itself. */
	peer_do(f->pa, "ip addr add 192.168.122.77/24 dev eth0");
	assert_false(reaches_world(f, f->pa, "192.168.122.77", "203.0.113.1", PORT));
	/* The administrator's session lives, and a new one comes about; neighbours and other networks are there. */
	assert_true(tcp_say(admin.client, admin.server, "still"));
	assert_true(tcp_say(admin.server, admin.client, "here"));
	assert_true(talks(net_netns_fd(f->net), f->pa->netns, NULL, "fd00:122::10"));
	assert_true(talks(f->pa->netns, f->pb->netns, NULL, "192.168.122.11"));
	assert_true(talks(f->pa->netns, f->pf->netns, NULL, "192.168.123.10"));
	assert_true(talks(f->pa->netns, f->pf->netns, NULL, "fd00:123::10"));
	/* Open again. */
	f->a->world = WORLD_OPEN;
	OK(net_make_rules(f->net, &problem));
	assert_true(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_true(tcp_say(outside.client, outside.server, "leakagain") || true);
	tcp_close(&admin);
	tcp_close(&outside);
}

/* Who has no fixed address is known by its cable all the same. */
static void a_cut_guest_without_address(void **state)
{
	struct fixture *f = *state;

	f->dhcp->world = WORLD_CUT;
	make_all(f);
	peer_do(f->pd, "ip addr add 192.168.122.150/24 dev eth0; ip route add default via 192.168.122.1;"
		       "ip addr add fd00:122::150/64 dev eth0 nodad; ip -6 route add default via fd00:122::1");
	assert_false(reaches_world(f, f->pd, NULL, "203.0.113.1", PORT));
	assert_false(reaches_world(f, f->pd, NULL, "2001:db8::1", PORT));
	assert_true(talks(f->pd->netns, f->pb->netns, NULL, "192.168.122.11"));
	assert_true(talks(net_netns_fd(f->net), f->pd->netns, NULL, "192.168.122.150"));
}

/* What the world still sends on a flow does not reach a cut guest whose address is not known here either. */
static void the_world_cannot_talk_at_a_cut_guest(void **state)
{
	struct fixture *f = *state;
	struct talk talk;

	make_all(f);
	peer_do(f->pd, "ip addr add 192.168.122.150/24 dev eth0; ip route add default via 192.168.122.1");
	assert_true(tcp_open(&talk, f->pd->netns, f->m->world, "203.0.113.1", 80));
	f->dhcp->world = WORLD_CUT;
	OK(net_make_rules(f->net, &problem));
	assert_int_equal(send(talk.server, "order", 5, 0), 5);
	assert_true(talks(f->pf->netns, f->m->world, NULL, "203.0.113.1"));
	assert_true(udp_silent(talk.client));
	tcp_close(&talk);
}

static void no_names_for_the_cut(void **state)
{
	struct fixture *f = *state;
	int resolver, cut, open, cut6, resolver6;

	f->lan->dns = true;
	f->a->world = WORLD_CUT;
	f->deep->world = WORLD_CUT;
	make_all(f);
	resolver = udp_bind(net_netns_fd(f->net), AF_INET, "192.168.122.1", 53);
	resolver6 = udp_bind(net_netns_fd(f->net), AF_INET6, "fd00:122::1", 53);
	cut = udp_bind(f->pa->netns, AF_INET, NULL, 0);
	cut6 = udp_bind(f->pa->netns, AF_INET6, NULL, 0);
	open = udp_bind(f->pb->netns, AF_INET, NULL, 0);
	assert_int_equal(udp_send(cut, "192.168.122.1", 53, "tunnel"), 0);
	assert_int_equal(udp_send(cut6, "fd00:122::1", 53, "tunnel"), 0);
	assert_int_equal(udp_send(open, "192.168.122.1", 53, "question"), 0);
	udp_expect(resolver, "question", NULL);
	close(cut);
	cut = udp_bind(f->phv->netns, AF_INET, "192.168.124.91", 0);
	assert_int_equal(udp_send(cut, "192.168.122.1", 53, "tunnel"), 0);
	assert_int_equal(udp_send(open, "192.168.122.1", 53, "question"), 0);
	udp_expect(resolver, "question", NULL);
	assert_true(udp_silent(resolver));
	assert_true(udp_silent(resolver6));
	close(cut);
	close(cut6);
	close(open);
	close(resolver);
	close(resolver6);
}

/* Addresses behind hv's tap: deep's own, and one of a network behind deep. */
static const struct behind {
	const char *address, *world, *host, *neighbour;
} behind[] = {
	{"192.168.124.91", "203.0.113.1", "192.168.122.1", "192.168.123.10"},
	{"fd00:124::91", "2001:db8::1", "fd00:122::1", "fd00:123::10"},
	{"10.7.0.9", "203.0.113.1", "192.168.122.1", "192.168.123.10"},
	{"fd00:7::9", "2001:db8::1", "fd00:122::1", "fd00:123::10"},
};

static void a_deeper_guest_is_cut_here_too(void **state)
{
	enum { COUNT = sizeof(behind) / sizeof(*behind) };
	struct fixture *f = *state;
	int client[COUNT], server[COUNT];

	make_all(f);
	for (size_t i = 0; i < COUNT; i++) {
		int family = strchr(behind[i].address, ':') ? AF_INET6 : AF_INET;
		char seen[80];

		client[i] = udp_bind(f->phv->netns, family, behind[i].address, 0);
		server[i] = udp_bind(f->m->world, family, NULL, (uint16_t)(8000 + i));
		assert_int_equal(udp_send(client[i], behind[i].world, (uint16_t)(8000 + i), "ask"), 0);
		udp_answer(server[i], "ask", "tell", seen);
		udp_expect(client[i], "tell", NULL);
		/* And one more answer will come when the question has been cut. */
		assert_int_equal(udp_send(client[i], behind[i].world, (uint16_t)(8000 + i), "again"), 0);
	}
	f->deep->world = WORLD_CUT;
	OK(net_make_rules(f->net, &problem));
	for (size_t i = 0; i < COUNT; i++) {
		char seen[80];

		udp_answer(server[i], "again", "order", seen);
		assert_false(reaches_world(f, f->phv, behind[i].address, behind[i].world, PORT));
		assert_true(talks(net_netns_fd(f->net), f->phv->netns, NULL, behind[i].address));
		assert_true(talks(f->phv->netns, f->pf->netns, behind[i].address, behind[i].neighbour));
		assert_true(udp_silent(client[i]));
		close(client[i]);
		close(server[i]);
	}
	assert_true(reaches_world(f, f->phv, "192.168.122.20", "203.0.113.1", PORT));
	/* A host that is cut takes all below along. */
	f->deep->world = WORLD_OPEN;
	f->hv->world = WORLD_CUT;
	OK(net_make_rules(f->net, &problem));
	assert_false(reaches_world(f, f->phv, "192.168.124.91", "203.0.113.1", PORT));
	assert_false(reaches_world(f, f->phv, "192.168.122.20", "203.0.113.1", PORT));
}

static void a_sealed_guest_is_alone(void **state)
{
	struct fixture *f = *state;
	struct talk admin;
	struct frame frame;
	int fd, outside, yes = 1;

	make_all(f);
	assert_true(tcp_open(&admin, net_netns_fd(f->net), f->pa->netns, "192.168.122.10", 22));
	f->a->world = WORLD_SEALED;
	OK(net_make_rules(f->net, &problem));
	/* Out: not even an ARP frame, nor one of a protocol nobody knows. */
	fd = frame_listen(f->pb->netns);
	make_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.10", "192.168.122.11", ARPOP_REQUEST, "sealed");
	frame_send(f->pa, frame.bytes, frame.length);
	put_ethernet(&frame, everyone, f->pa->mac, 0x88b5);
	put(&frame, "sealed                                          ", 48);
	frame_send(f->pa, frame.bytes, frame.length);
	make_arp(&frame, f->ps->mac, f->ps->mac, "0.0.0.0", "192.168.122.250", ARPOP_REQUEST, "FENCE");
	frame_send(f->ps, frame.bytes, frame.length);
	assert_false(frame_seen_before(fd, "sealed", "FENCE"));
	close(fd);
	/* In: neither from neighbours nor from the host, nor on the session that lives. */
	fd = frame_listen(f->pa->netns);
	make_udp4(&frame, everyone, f->pb->mac, "192.168.122.11", "192.168.122.255", 1, 2, "to sealed");
	assert_true(passes(f->pb, f->ps, &frame, "to sealed"));
	assert_int_equal(send(admin.client, "to sealed", 9, 0), 9);
	outside = udp_bind(net_netns_fd(f->net), AF_INET, NULL, 0);
	udp_send(outside, "192.168.122.10", PORT, "to sealed"); /* EPERM is fine */
	assert_int_equal(setsockopt(outside, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes)), 0);
	assert_int_equal(udp_send(outside, "192.168.122.255", PORT, "to sealed"), 0);
	close(outside);
	assert_true(talks(net_netns_fd(f->net), f->pb->netns, NULL, "192.168.122.11"));
	f->a->world = WORLD_OPEN;
	OK(net_make_rules(f->net, &problem));
	make_udp4(&frame, everyone, f->pb->mac, "192.168.122.11", "192.168.122.255", 1, 2, "UNSEALED");
	frame_send(f->pb, frame.bytes, frame.length);
	assert_false(frame_seen_before(fd, "to sealed", "UNSEALED"));
	close(fd);
	tcp_close(&admin);
}

static void a_deeper_guest_is_sealed_here_too(void **state)
{
	const uint8_t all[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct fixture *f = *state;

	f->deep->world = WORLD_SEALED;
	make_all(f);
	for (size_t i = 0; i < sizeof(behind) / sizeof(*behind); i++) {
		const char *address = behind[i].address;
		bool six = strchr(address, ':') != NULL;
		int fd = udp_bind(net_netns_fd(f->net), six ? AF_INET6 : AF_INET, NULL, PORT), inside, far, fence;
		struct frame frame;

		if (six)
			make_udp6(&frame, all, f->phv->mac, address, "ff02::1", 1, 2, "bridged out");
		else
			make_udp4(&frame, everyone, f->phv->mac, address, "192.168.122.255", 1, 2, "bridged out");
		assert_false(passes(f->phv, f->pb, &frame, "bridged out"));
		if (six)
			make_udp6(&frame, everyone, f->pb->mac, "fd00:122::11", address, 1, 2, "bridged in");
		else
			make_udp4(&frame, everyone, f->pb->mac, "192.168.122.11", address, 1, 2, "bridged in");
		assert_false(passes(f->pb, f->phv, &frame, "bridged in"));
		assert_false(reaches_world(f, f->phv, address, behind[i].world, PORT));
		/* With the host, and through it with another network. */
		assert_int_equal(udp_send(fd, address, PORT, "from the host"), -EPERM);
		inside = udp_bind(f->phv->netns, six ? AF_INET6 : AF_INET, address, PORT);
		far = udp_bind(f->pf->netns, six ? AF_INET6 : AF_INET, NULL, PORT);
		fence = udp_bind(f->phv->netns, six ? AF_INET6 : AF_INET, six ? "fd00:122::20" : "192.168.122.20",
				 PORT);
		assert_int_equal(udp_send(inside, behind[i].neighbour, PORT, "out"), 0);
		assert_int_equal(udp_send(fence, behind[i].neighbour, PORT, "fence"), 0);
		udp_expect(far, "fence", NULL);
		assert_int_equal(udp_send(far, address, PORT, "in"), 0);
		assert_int_equal(udp_send(far, six ? "fd00:122::20" : "192.168.122.20", PORT, "fence"), 0);
		udp_expect(fence, "fence", NULL);
		assert_true(udp_silent(far));
		assert_true(udp_silent(inside));
		close(fd);
		close(inside);
		close(far);
		close(fence);
	}
	assert_true(talks(net_netns_fd(f->net), f->phv->netns, NULL, "192.168.122.20"));
}

/*
 * This machine as a guest of the lab: a cut guest of it may answer its administrators, who come from above like
 * everybody, and talk to the subnet that the machine is attached to; nothing else.
 */
static void cut_below_the_top(void **state)
{
	struct fixture *f = *state;
	struct talk admin;
	int lan, cut, fence;

	machine_do("ip -n world addr add 198.51.100.1/32 dev eth0;" /* an administrator two layers up */
		   "ip -n world route add 192.168.122.0/24 via 203.0.113.2");
	f->a->world = WORLD_CUT;
	make_all(f);
	cut = udp_bind(f->m->world, AF_INET, "198.51.100.1", PORT);
	close(cut);
	machine_do("ip -n world route replace 192.168.122.0/24 via 203.0.113.2 src 198.51.100.1");
	assert_true(tcp_open(&admin, f->m->world, f->pa->netns, "192.168.122.10", 22));
	assert_true(tcp_say(admin.server, admin.client, "prompt"));
	assert_true(tcp_say(admin.client, admin.server, "command"));
	assert_string_equal(admin.seen, "198.51.100.1");
	/* It starts nothing itself. */
	assert_false(reaches_world(f, f->pa, NULL, "198.51.100.1", PORT));
	assert_true(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_true(reaches_world(f, f->pa, NULL, "2001:db8::1", PORT));
	machine_do("ip -n world addr add 2001:db8:ffff::1/128 dev eth0 nodad");
	assert_false(reaches_world(f, f->pa, NULL, "2001:db8:ffff::1", PORT));
	/* No names from next door. */
	assert_false(reaches_world(f, f->pa, NULL, "203.0.113.1", 53));
	lan = udp_bind(f->m->home, AF_INET, "203.0.113.2", 53);
	cut = udp_bind(f->pa->netns, AF_INET, NULL, 0);
	fence = udp_bind(f->pb->netns, AF_INET, NULL, 0);
	assert_int_equal(udp_send(cut, "203.0.113.2", 53, "tunnel"), 0);
	assert_int_equal(udp_send(fence, "203.0.113.2", 53, "question"), 0);
	udp_expect(lan, "question", NULL);
	close(lan);
	close(cut);
	close(fence);
	tcp_close(&admin);
}

static void rules_are_checked(void **state)
{
	struct fixture *f = *state;
	bool same = true;

	OK(net_check_rules(f->net, &same, &problem));
	assert_false(same);
	make_all(f);
	OK(net_check_rules(f->net, &same, &problem));
	assert_true(same);
	machine_do("nsenter --net=/run/netns/nestvisor-iso-test nft insert rule inet nestvisor forward accept");
	OK(net_check_rules(f->net, &same, &problem));
	assert_false(same);
	OK(net_make_rules(f->net, &problem));
	OK(net_check_rules(f->net, &same, &problem));
	assert_true(same);
	machine_do("nsenter --net=/run/netns/nestvisor-iso-test nft delete element bridge nestvisor tap_mac '{ \"a-0\" "
		   ". %02x:%02x:"
		   "%02x:%02x:%02x:%02x }'",
		   f->pa->mac[0], f->pa->mac[1], f->pa->mac[2], f->pa->mac[3], f->pa->mac[4], f->pa->mac[5]);
	OK(net_check_rules(f->net, &same, &problem));
	assert_false(same);
	OK(net_make_rules(f->net, &problem));
	machine_do("nsenter --net=/run/netns/nestvisor-iso-test nft delete table bridge nestvisor");
	OK(net_check_rules(f->net, &same, &problem));
	assert_false(same);
	OK(net_make_rules(f->net, &problem));
	/* And a lab that wants something else has not got it. */
	f->b->world = WORLD_CUT;
	OK(net_check_rules(f->net, &same, &problem));
	assert_false(same);
	/* A namespace of the same name that is a new one. */
	OK(net_make_rules(f->net, &problem));
	net_close(f->net);
	machine_do("cp -r %s %s.saved", f->m->run, f->m->run);
	OK(net_remove_all("iso-test", f->m->run, &problem));
	machine_do("cp %s.saved/* %s; rm -r %s.saved", f->m->run, f->m->run, f->m->run);
	OK(net_open(f->lab, f->m->run, &f->net, &problem));
	OK(net_make_namespace(f->net, &problem));
	OK(net_check_rules(f->net, &same, &problem));
	assert_false(same);
	machine_do("nsenter --net=/run/netns/nestvisor-iso-test nft list ruleset | grep -q . && exit 1 || exit 0");
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define NESTED(name) cmocka_unit_test_setup_teardown(name, set_up_nested, tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(forged_ethernet_and_arp),
		TEST(forged_ip),
		TEST(forged_ip6),
		TEST(forged_dhcp_answers),
		TEST(half_a_conversation_is_let_through),
		TEST(frames_may_pass_the_forward_chain),
		TEST(nothing_leaves_untranslated),
		TEST(an_unknown_port_gets_nothing_in),
		TEST(a_cut_guest_is_cut_from_the_world_only),
		TEST(a_cut_guest_without_address),
		TEST(the_world_cannot_talk_at_a_cut_guest),
		TEST(no_names_for_the_cut),
		TEST(a_deeper_guest_is_cut_here_too),
		TEST(a_sealed_guest_is_alone),
		TEST(a_deeper_guest_is_sealed_here_too),
		NESTED(cut_below_the_top),
		TEST(rules_are_checked),
	};

	return cmocka_run_group_tests_name("isolation", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
