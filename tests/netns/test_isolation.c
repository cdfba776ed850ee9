/* Who may say what: forged frames, cut and sealed guests, at their own host and at those above and below. */
#include "isolation_lab.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void forged_ethernet_and_arp(void **state)
{
	struct fixture *f = *state;
	struct frame frame;

	isolation_make_all(f);
	frame_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.10", "192.168.122.11", ARPOP_REPLY, "honest");
	assert_true(frame_passes(f->pa, f->pb, &frame, "honest"));
	frame_arp(&frame, f->pb->mac, f->pb->mac, "192.168.122.11", "192.168.122.10", ARPOP_REPLY, "other mac");
	assert_false(frame_passes(f->pa, f->ps, &frame, "other mac"));
	frame_ethernet(&frame, frame_everyone, f->pb->mac, 0x88b5); /* in a protocol of which only this is known */
	frame_put(&frame, "other mac                                       ", 48);
	assert_false(frame_passes(f->pa, f->ps, &frame, "other mac"));
	frame_ethernet(&frame, frame_everyone, f->pa->mac, 0x88b5);
	frame_put(&frame, "own mac                                         ", 48);
	assert_true(frame_passes(f->pa, f->ps, &frame, "own mac"));
	frame_arp(&frame, f->pa->mac, f->pb->mac, "192.168.122.10", "192.168.122.11", ARPOP_REPLY, "inside mac");
	assert_false(frame_passes(f->pa, f->pb, &frame, "inside mac"));
	frame_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.1", "192.168.122.11", ARPOP_REPLY, "the gateway");
	assert_false(frame_passes(f->pa, f->pb, &frame, "the gateway"));
	frame_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.99", "192.168.122.11", ARPOP_REPLY, "nobody's");
	assert_false(frame_passes(f->pa, f->pb, &frame, "nobody's"));
	/* Without an address of its own it may take one that is nobody's. */
	frame_arp(&frame, f->pd->mac, f->pd->mac, "192.168.122.99", "192.168.122.11", ARPOP_REPLY, "by dhcp");
	assert_true(frame_passes(f->pd, f->pb, &frame, "by dhcp"));
	frame_arp(&frame, f->pd->mac, f->pd->mac, "192.168.122.11", "192.168.122.10", ARPOP_REPLY, "b's");
	assert_false(frame_passes(f->pd, f->pa, &frame, "b's"));
	frame_arp(&frame, f->pd->mac, f->pd->mac, "192.168.122.1", "192.168.122.10", ARPOP_REPLY, "gw again");
	assert_false(frame_passes(f->pd, f->pa, &frame, "gw again"));
}

static void forged_ip(void **state)
{
	struct fixture *f = *state;
	struct frame frame;

	isolation_make_all(f);
	frame_udp4(&frame, frame_everyone, f->pa->mac, "192.168.122.10", "192.168.122.255", 1, 2, "honest");
	assert_true(frame_passes(f->pa, f->pb, &frame, "honest"));
	frame_udp4(&frame, frame_everyone, f->pa->mac, "192.168.122.11", "192.168.122.255", 1, 2, "b's");
	assert_false(frame_passes(f->pa, f->pb, &frame, "b's"));
	frame_udp4(&frame, frame_everyone, f->pa->mac, "192.168.122.1", "192.168.122.255", 1, 2, "gw");
	assert_false(frame_passes(f->pa, f->pb, &frame, "gw"));
	frame_udp4(&frame, frame_everyone, f->pa->mac, "192.168.124.91", "192.168.122.255", 1, 2, "hv's inner");
	assert_false(frame_passes(f->pa, f->pb, &frame, "hv's inner"));
	frame_udp4(&frame, frame_everyone, f->phv->mac, "192.168.124.91", "192.168.122.255", 1, 2, "of the host");
	assert_true(frame_passes(f->phv, f->pb, &frame, "of the host"));
	frame_udp4(&frame, frame_everyone, f->phv->mac, "192.168.125.1", "192.168.122.255", 1, 2, "not routed");
	assert_false(frame_passes(f->phv, f->pb, &frame, "not routed"));
	frame_udp4(&frame, frame_everyone, f->pd->mac, "192.168.122.99", "192.168.122.255", 1, 2, "by dhcp");
	assert_true(frame_passes(f->pd, f->pb, &frame, "by dhcp"));
	frame_udp4(&frame, frame_everyone, f->pd->mac, "192.168.122.10", "192.168.122.255", 1, 2, "a's");
	assert_false(frame_passes(f->pd, f->pb, &frame, "a's"));
}

static void forged_ip6(void **state)
{
	const uint8_t all[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct fixture *f = *state;
	char local[IP_TEXT_SIZE], gateway[64];
	cleanup_free char *address = NULL;
	struct frame frame;

	isolation_make_all(f);
	address = machine_run("ip -n nestvisor-iso-test -6 -br addr show lan | grep -o 'fe80[^/]*'");
	snprintf(gateway, sizeof(gateway), "%.*s", (int)strcspn(address, "\n"), address);
	snprintf(local, sizeof(local), "fe80::%x:%xff:fe%02x:%02x%02x", (f->pa->mac[0] ^ 2) << 8 | f->pa->mac[1],
		 f->pa->mac[2], f->pa->mac[3], f->pa->mac[4], f->pa->mac[5]);
	frame_udp6(&frame, all, f->pa->mac, "fd00:122::10", "ff02::1", 1, 2, "honest");
	assert_true(frame_passes(f->pa, f->pb, &frame, "honest"));
	frame_udp6(&frame, all, f->pa->mac, local, "ff02::1", 1, 2, "local");
	assert_true(frame_passes(f->pa, f->pb, &frame, "local"));
	frame_udp6(&frame, all, f->pa->mac, "fe80::1234", "ff02::1", 1, 2, "another local");
	assert_false(frame_passes(f->pa, f->pb, &frame, "another local"));
	frame_udp6(&frame, all, f->ps->mac, "fe80::1234", "ff02::1", 1, 2, "who knows");
	assert_true(frame_passes(f->ps, f->pb, &frame, "who knows"));
	frame_udp6(&frame, all, f->ps->mac, gateway, "ff02::1", 1, 2, "gateway's local");
	assert_false(frame_passes(f->ps, f->pb, &frame, "gateway's local"));
	frame_udp6(&frame, all, f->pa->mac, "fd00:122::11", "ff02::1", 1, 2, "b's");
	assert_false(frame_passes(f->pa, f->pb, &frame, "b's"));
	frame_udp6(&frame, all, f->phv->mac, "fd00:124::91", "ff02::1", 1, 2, "of the host");
	assert_true(frame_passes(f->phv, f->pb, &frame, "of the host"));
	frame_udp6(&frame, all, f->pd->mac, "fd00:122::99", "ff02::1", 1, 2, "by dhcp");
	assert_true(frame_passes(f->pd, f->pb, &frame, "by dhcp"));
	frame_udp6(&frame, all, f->pd->mac, "fd00:122::10", "ff02::1", 1, 2, "a's by dhcp");
	assert_false(frame_passes(f->pd, f->pb, &frame, "a's by dhcp"));
	frame_redirect(&frame, f->pa, local, "redirect");
	assert_false(frame_passes(f->pa, f->pb, &frame, "redirect"));
	frame_udp6(&frame, all, f->pd->mac, "fd00:122::1", "ff02::1", 1, 2, "gw");
	assert_false(frame_passes(f->pd, f->pb, &frame, "gw"));
	frame_advert(&frame, f->pa, "fd00:122::10", "fd00:122::10", "my own");
	assert_true(frame_passes(f->pa, f->pb, &frame, "my own"));
	frame_advert(&frame, f->pa, local, local, "my own local");
	assert_true(frame_passes(f->pa, f->pb, &frame, "my own local"));
	frame_advert(&frame, f->pa, "fd00:122::10", "fd00:122::99", "for nobody");
	assert_false(frame_passes(f->pa, f->pb, &frame, "for nobody"));
	frame_advert(&frame, f->pa, "fd00:122::10", "fd00:122::11", "for b");
	assert_false(frame_passes(f->pa, f->ps, &frame, "for b"));
	frame_advert(&frame, f->pa, "fd00:122::10", "fd00:122::1", "for gw");
	assert_false(frame_passes(f->pa, f->pb, &frame, "for gw"));
	frame_advert(&frame, f->ps, "fd00:122::12", gateway, "for gw local");
	assert_false(frame_passes(f->ps, f->pb, &frame, "for gw local"));
	frame_advert(&frame, f->pd, "fd00:122::99", "fd00:122::99", "dhcp's own");
	assert_true(frame_passes(f->pd, f->pb, &frame, "dhcp's own"));
	frame_advert(&frame, f->pd, "fd00:122::99", "fd00:122::10", "for a");
	assert_false(frame_passes(f->pd, f->pb, &frame, "for a"));
	frame_advert(&frame, f->pa, local, NULL, "router");
	assert_false(frame_passes(f->pa, f->pb, &frame, "router"));
	frame_udp6(&frame, all, f->pa->mac, "fd00:122::10", "ff02::1", 547, 546, "dhcpv6");
	assert_false(frame_passes(f->pa, f->pb, &frame, "dhcpv6"));
}

static void forged_dhcp_answers(void **state)
{
	struct fixture *f = *state;
	struct frame frame;

	isolation_make_all(f);
	frame_udp4(&frame, frame_everyone, f->pa->mac, "192.168.122.10", "255.255.255.255", 67, 68, "an offer");
	assert_false(frame_passes(f->pa, f->pb, &frame, "an offer"));
	frame_udp4(&frame, frame_everyone, f->pa->mac, "0.0.0.0", "255.255.255.255", 68, 67, "a question");
	assert_true(frame_passes(f->pa, f->pb, &frame, "a question"));
	frame_udp4(&frame, frame_everyone, f->pa->mac, "0.0.0.0", "255.255.255.255", 1, 2, "from nobody");
	assert_false(frame_passes(f->pa, f->pb, &frame, "from nobody"));
	/* On a network where dnsmasq gives no addresses and somebody wants one, a guest may be the one who gives them.
	 */
	f->lan->dhcp = false;
	OK(net_make_rules(f->net, &problem));
	frame_udp4(&frame, frame_everyone, f->pa->mac, "192.168.122.10", "255.255.255.255", 67, 68, "an offer");
	assert_true(frame_passes(f->pa, f->pb, &frame, "an offer"));
	frame_udp4(&frame, frame_everyone, f->pd->mac, "192.168.122.99", "255.255.255.255", 67, 68, "his own");
	assert_false(frame_passes(f->pd, f->pb, &frame, "his own"));
}

/*
 * From a guest to a network behind its neighbour: there over the gateway, back straight over the bridge. The host sees
 * half of it, and must not mind; not on a network without uplink, either.
 */
static void half_a_conversation_is_let_through(void **state)
{
	static const enum uplink uplinks[] = {UPLINK_NAT, UPLINK_NONE};
	struct fixture *f = *state;

	isolation_make_all(f);
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

	isolation_make_all(f);
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

	isolation_make_all(f);
	mac = machine_run("ip -n nestvisor-iso-test -br link show lan | awk '{printf \"%%s\", $3}'");
	assert_true(mac_parse(mac, gateway));
	ip.check = checksum_fold(checksum_add(&ip, sizeof(ip), 0));
	check = checksum_fold(checksum_add(reply, sizeof(reply) - 1, 0));
	memcpy(reply + 2, &check, 2);
	frame_ethernet(&frame, gateway, f->pa->mac, ETH_P_IP);
	frame_put(&frame, &ip, sizeof(ip));
	frame_put(&frame, reply, sizeof(reply) - 1);
	fd = frame_listen(f->m->world);
	assert_true(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT)); /* all ways are known */
	frame_send(f->pa, frame.bytes, frame.length);
	frame_udp4(&frame, gateway, f->pa->mac, "192.168.122.10", "203.0.113.1", 1, 2, "FENCE");
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

	isolation_make_all(f);
	late = testlab_guest(f->lab, f->lab->root, "late");
	nic = testlab_nic(f->lab, late, f->lan, "192.168.122.40", "fd00:122::40");
	peer = peer_new_on(f->m, f->net, nic, true);
	b = frame_listen(f->pb->netns);
	{
		struct frame frame;

		frame_arp(&frame, peer->mac, peer->mac, "192.168.122.40", "192.168.122.11", ARPOP_REQUEST, "too early");
		frame_send(peer, frame.bytes, frame.length);
		frame_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.10", "192.168.122.11", ARPOP_REQUEST, "FENCE");
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

	isolation_make_all(f);
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
	isolation_make_all(f);
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

	isolation_make_all(f);
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
	isolation_make_all(f);
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

	isolation_make_all(f);
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

	isolation_make_all(f);
	assert_true(tcp_open(&admin, net_netns_fd(f->net), f->pa->netns, "192.168.122.10", 22));
	f->a->world = WORLD_SEALED;
	OK(net_make_rules(f->net, &problem));
	/* Out: not even an ARP frame, nor one of a protocol nobody knows. */
	fd = frame_listen(f->pb->netns);
	frame_arp(&frame, f->pa->mac, f->pa->mac, "192.168.122.10", "192.168.122.11", ARPOP_REQUEST, "sealed");
	frame_send(f->pa, frame.bytes, frame.length);
	frame_ethernet(&frame, frame_everyone, f->pa->mac, 0x88b5);
	frame_put(&frame, "sealed                                          ", 48);
	frame_send(f->pa, frame.bytes, frame.length);
	frame_arp(&frame, f->ps->mac, f->ps->mac, "0.0.0.0", "192.168.122.250", ARPOP_REQUEST, "FENCE");
	frame_send(f->ps, frame.bytes, frame.length);
	assert_false(frame_seen_before(fd, "sealed", "FENCE"));
	close(fd);
	/* In: neither from neighbours nor from the host, nor on the session that lives. */
	fd = frame_listen(f->pa->netns);
	frame_udp4(&frame, frame_everyone, f->pb->mac, "192.168.122.11", "192.168.122.255", 1, 2, "to sealed");
	assert_true(frame_passes(f->pb, f->ps, &frame, "to sealed"));
	assert_int_equal(send(admin.client, "to sealed", 9, 0), 9);
	outside = udp_bind(net_netns_fd(f->net), AF_INET, NULL, 0);
	udp_send(outside, "192.168.122.10", PORT, "to sealed"); /* EPERM is fine */
	assert_int_equal(setsockopt(outside, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes)), 0);
	assert_int_equal(udp_send(outside, "192.168.122.255", PORT, "to sealed"), 0);
	close(outside);
	assert_true(talks(net_netns_fd(f->net), f->pb->netns, NULL, "192.168.122.11"));
	/* It would send again what it has not brought in: it ends without a packet. */
	assert_int_equal(setsockopt(admin.client, IPPROTO_TCP, TCP_REPAIR, &yes, sizeof(yes)), 0);
	close(steal_fd(&admin.client));
	f->a->world = WORLD_OPEN;
	OK(net_make_rules(f->net, &problem));
	frame_udp4(&frame, frame_everyone, f->pb->mac, "192.168.122.11", "192.168.122.255", 1, 2, "UNSEALED");
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
	isolation_make_all(f);
	for (size_t i = 0; i < sizeof(behind) / sizeof(*behind); i++) {
		const char *address = behind[i].address;
		bool six = strchr(address, ':') != NULL;
		int fd = udp_bind(net_netns_fd(f->net), six ? AF_INET6 : AF_INET, NULL, PORT), inside, far, fence;
		struct frame frame;

		if (six)
			frame_udp6(&frame, all, f->phv->mac, address, "ff02::1", 1, 2, "bridged out");
		else
			frame_udp4(&frame, frame_everyone, f->phv->mac, address, "192.168.122.255", 1, 2,
				   "bridged out");
		assert_false(frame_passes(f->phv, f->pb, &frame, "bridged out"));
		if (six)
			frame_udp6(&frame, frame_everyone, f->pb->mac, "fd00:122::11", address, 1, 2, "bridged in");
		else
			frame_udp4(&frame, frame_everyone, f->pb->mac, "192.168.122.11", address, 1, 2, "bridged in");
		assert_false(frame_passes(f->pb, f->phv, &frame, "bridged in"));
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
	isolation_make_all(f);
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
	isolation_make_all(f);
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

#define TEST(name)   cmocka_unit_test_setup_teardown(name, isolation_set_up, isolation_tear_down)
#define NESTED(name) cmocka_unit_test_setup_teardown(name, isolation_set_up_nested, isolation_tear_down)

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
