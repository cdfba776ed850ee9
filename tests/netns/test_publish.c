/*
 * Published ports: reached from the machine itself and from the world where an address was said, by whoever is cut as
 * well; nothing begins the other way; and the machine is left as it was.
 */
#include "machine.h"
#include "testlab.h"

#include "base/cleanup.h"
#include "base/report.h"
#include "base/strbuf.h"
#include "model/isolation.h"
#include "model/publish.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { RDP = 3389, SSH = 22, AS = 13389 };

/* L0: nat: a; none: c; hv, with inner (nat): deep. */
struct fixture {
	struct machine *m;
	struct lab *lab;
	struct net *net;
	struct guest *a, *c, *hv, *deep;
	struct isolation *isolation;
	struct strbuf said;
	struct reporter reporter;
};

static void note(struct reporter *reporter, enum report_kind kind, const char *subject, const char *text)
{
	struct fixture *f = (struct fixture *)((char *)reporter - offsetof(struct fixture, reporter));

	strbuf_printf(&f->said, "%s %s: %s\n", kind == REPORT_WARNING ? "warning" : "note", subject, text);
}

static void publish(struct fixture *f, struct guest *guest, uint16_t port, uint8_t protocol, uint16_t as,
		    const char *address)
{
	struct publish *one = arena_push(f->lab->arena, guest->publish, guest->publish_count);

	*one = (struct publish){.port = port, .protocol = protocol, .as = as};
	testlab_set(!address || ip_parse(address, &one->address));
}

static struct fixture *fixture_new(unsigned layer)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct network *nat, *none, *inner;
	struct host *root;

	f->reporter.event = note;
	f->m = machine_new();
	f->lab = testlab_new("pub-test", layer ? "top" : "", layer);
	root = f->lab->root;
	nat = testlab_network(f->lab, root, "nat", "192.168.122.0/24", "fd00:122::/64", UPLINK_NAT);
	none = testlab_network(f->lab, root, "none", "192.168.50.0/24", NULL, UPLINK_NONE);
	f->a = testlab_guest(f->lab, root, "a");
	testlab_nic(f->lab, f->a, nat, "192.168.122.10", "fd00:122::10");
	f->c = testlab_guest(f->lab, root, "c");
	testlab_nic(f->lab, f->c, none, "192.168.50.10", NULL);
	f->hv = testlab_guest(f->lab, root, "hv");
	testlab_nic(f->lab, f->hv, nat, "192.168.122.20", "fd00:122::20");
	inner = testlab_network(f->lab, testlab_host(f->lab, f->hv), "inner", "192.168.124.0/24", NULL, UPLINK_NAT);
	f->deep = testlab_guest(f->lab, f->hv->host, "deep");
	testlab_nic(f->lab, f->deep, inner, "192.168.124.91", NULL);
	f->isolation = isolation_new(f->lab);
	strbuf_add(&f->said, "");
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
	OK(net_remove_all("pub-test", f->m->run, &problem));
	isolation_free(f->isolation);
	lab_free(f->lab);
	machine_free(f->m);
	free(f->said.text);
	free(f);
	return 0;
}

static void make_all(struct fixture *f)
{
	net_set_isolation(f->net, f->isolation);
	OK(net_make_namespace(f->net, &problem));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_uplink(f->net, &f->reporter, &problem));
	OK(net_make_publish(f->net, &f->reporter, &problem));
	for (size_t i = 0; i < f->lab->root->network_count; i++)
		OK(net_make_network(f->net, f->lab->root->networks[i], &problem));
	OK(net_make_routes(f->net, &problem));
}

static void hold(struct fixture *f, const struct guest *guest, enum world world, enum neighbours neighbours)
{
	struct isolation *after = isolation_copy(f->isolation);
	struct net_switched switched;
	size_t flows;

	isolation_set(after, guest, &(struct isolation_setting){.world = world, .neighbours = neighbours});
	OK(net_isolate(f->net, after, &switched, &problem));
	OK(net_end_flows(f->net, f->isolation, after, &flows, &problem));
	isolation_free(f->isolation);
	f->isolation = after;
}

static bool is_same(struct fixture *f)
{
	bool same;

	OK(net_check_publish(f->net, &same, &problem));
	return same;
}

static void the_machine_itself_reaches_it_without_forwarding(void **state)
{
	struct fixture *f = *state;
	struct peer *a, *c;
	struct talk talk;

	machine_forward(false);
	publish(f, f->a, RDP, IPPROTO_TCP, AS, NULL);
	publish(f, f->c, SSH, IPPROTO_TCP, 0, "203.0.113.2");
	make_all(f);
	a = peer_new(f->m, f->net, f->a);
	c = peer_new(f->m, f->net, f->c);
	assert_true(tcp_open_by(&talk, f->m->home, "127.0.0.1", AS, a->netns, "192.168.122.10", RDP));
	assert_string_equal(strtok(talk.seen, " "), "192.168.122.1");
	assert_true(tcp_say(talk.client, talk.server, "question") && tcp_say(talk.server, talk.client, "answer"));
	tcp_close(&talk);
	/* A guest of a network without a way out, which has no default route either. */
	peer_do(c, "ip route del default");
	assert_true(tcp_open_by(&talk, f->m->home, "203.0.113.2", SSH, c->netns, "192.168.50.10", SSH));
	tcp_close(&talk);
	/* Others are told that they will not. */
	assert_non_null(strstr(f->said.text, "warning publish: 203.0.113.2 port 22 of c"));
	assert_null(strstr(f->said.text, "warning publish: 127.0.0.1"));
	assert_true(is_same(f));
}

static void the_world_reaches_what_was_meant_for_it(void **state)
{
	struct fixture *f = *state;
	struct peer *a;
	struct talk talk;
	char seen[80];
	int client, server;

	machine_forward(true);
	publish(f, f->a, RDP, IPPROTO_TCP, 0, "203.0.113.2");
	publish(f, f->a, RDP, IPPROTO_UDP, 0, "0.0.0.0");
	publish(f, f->a, RDP, IPPROTO_TCP, 0, "2001:db8::2");
	publish(f, f->a, SSH, IPPROTO_TCP, 0, NULL);
	make_all(f);
	a = peer_new(f->m, f->net, f->a);
	assert_true(tcp_open_by(&talk, f->m->world, "203.0.113.2", RDP, a->netns, "192.168.122.10", RDP));
	tcp_close(&talk);
	assert_true(tcp_open_by(&talk, f->m->home, "203.0.113.2", RDP, a->netns, "192.168.122.10", RDP));
	tcp_close(&talk);
	assert_true(tcp_open_by(&talk, f->m->world, "2001:db8::2", RDP, a->netns, "fd00:122::10", RDP));
	assert_true(tcp_say(talk.client, talk.server, "question") && tcp_say(talk.server, talk.client, "answer"));
	tcp_close(&talk);
	client = udp_bind(f->m->world, AF_INET, NULL, 0);
	server = udp_bind(a->netns, AF_INET, "192.168.122.10", RDP);
	assert_int_equal(udp_send(client, "203.0.113.2", RDP, "question"), 0);
	udp_answer(server, "question", "answer", seen);
	udp_expect(client, "answer", NULL);
	close(client);
	/* 0.0.0.0 has 127.0.0.1 in it. */
	client = udp_bind(f->m->home, AF_INET, NULL, 0);
	assert_int_equal(udp_send(client, "127.0.0.1", RDP, "question"), 0);
	udp_answer(server, "question", "answer", seen);
	udp_expect(client, "answer", NULL);
	close(client);
	close(server);
	/* What is published at 127.0.0.1 is not at the others: refused, by the machine. */
	assert_false(tcp_open_by(&talk, f->m->world, "203.0.113.2", SSH, a->netns, "192.168.122.10", SSH));
	assert_string_equal(f->said.text, "");
}

/* Answers and tells the port that the question came from. */
static uint16_t answer_and_see(int fd, const char *answer)
{
	struct sockaddr_in from;
	socklen_t length = sizeof(from);
	const struct timeval patience = {.tv_sec = 10};
	char buffer[64];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_true(recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &length) > 0);
	assert_int_equal(sendto(fd, answer, strlen(answer), 0, (struct sockaddr *)&from, length), strlen(answer));
	return ntohs(from.sin_port);
}

struct session {
	struct peer *guest;
	struct talk kept;
	int client, server; /* UDP: a client in the world, and the guest */
	int world;	    /* its namespace */
};

static struct session session_begin(struct fixture *f)
{
	struct session s = {.guest = peer_new(f->m, f->net, f->a), .world = f->m->world};
	char seen[80];

	assert_true(tcp_open_by(&s.kept, f->m->home, "203.0.113.2", AS, s.guest->netns, "192.168.122.10", RDP));
	s.client = udp_bind(f->m->world, AF_INET, NULL, 0);
	s.server = udp_bind(s.guest->netns, AF_INET, "192.168.122.10", RDP);
	assert_int_equal(udp_send(s.client, "203.0.113.2", AS, "question"), 0);
	udp_answer(s.server, "question", "answer", seen);
	udp_expect(s.client, "answer", NULL);
	return s;
}

/* The session goes on, others begin. */
static void it_answers(struct fixture *f, struct session *s)
{
	struct talk talk;

	assert_true(tcp_say(s->kept.client, s->kept.server, "question"));
	assert_true(tcp_say(s->kept.server, s->kept.client, "answer"));
	assert_true(tcp_open_by(&talk, f->m->world, "203.0.113.2", AS, s->guest->netns, "192.168.122.10", RDP));
	assert_true(tcp_say(talk.client, talk.server, "question") && tcp_say(talk.server, talk.client, "answer"));
	tcp_close(&talk);
}

/*
 * Backwards: from the published port to the world, and to the other end of the way in, at any other port. The fence is
 * an answer that is sent behind them.
 */
static void it_begins_nothing(struct fixture *f, struct session *s)
{
	int world = udp_bind(f->m->world, AF_INET, NULL, 7000), home = udp_bind(f->m->home, AF_INET, NULL, 7001);
	int backwards = udp_bind(s->guest->netns, AF_INET, "192.168.122.10", 7002);
	const char *gateway = "192.168.122.1"; /* whom it takes for the client */
	uint16_t port;

	assert_int_equal(udp_send(s->client, "203.0.113.2", AS, "again"), 0);
	port = answer_and_see(s->server, "answer");
	udp_expect(s->client, "answer", NULL);
	assert_int_equal(udp_send(s->server, "203.0.113.1", 7000, "out"), 0);
	assert_int_equal(udp_send(s->server, "203.0.113.2", 7001, "out"), 0);
	assert_int_equal(udp_send(s->server, gateway, 7001, "out"), 0);
	assert_int_equal(udp_send(backwards, gateway, port, "out"), 0);
	assert_int_equal(udp_send(s->server, gateway, port, "fence"), 0);
	udp_expect(s->client, "fence", NULL);
	assert_true(udp_silent(world) && udp_silent(home) && udp_silent(s->client));
	close(world);
	close(home);
	close(backwards);
}

static void a_cut_guest_answers_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct session s;

	machine_forward(true);
	publish(f, f->a, RDP, IPPROTO_TCP, AS, "203.0.113.2");
	publish(f, f->a, RDP, IPPROTO_UDP, AS, "203.0.113.2");
	make_all(f);
	s = session_begin(f);
	for (enum neighbours neighbours = NEIGHBOURS_KEEP; neighbours <= NEIGHBOURS_DROP; neighbours++) {
		hold(f, f->a, WORLD_CUT, neighbours);
		it_answers(f, &s);
		it_begins_nothing(f, &s);
	}
	/* Sealed is sealed. */
	hold(f, f->a, WORLD_SEALED, NEIGHBOURS_KEEP);
	assert_int_equal(udp_send(s.client, "203.0.113.2", AS, "sealed"), 0);
	assert_false(tcp_say(s.kept.client, s.kept.server, "sealed"));
	assert_true(udp_silent(s.server));
	tcp_close(&s.kept);
	close(s.client);
	close(s.server);
}

/*
 * "No such host", about a datagram of a session of somebody else's, with a text behind it: connection tracking takes it
 * for a part of that session, whoever sends it.
 */
static void send_forged_error(const struct peer *peer, uint16_t port, const char *text)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		struct udphdr udp;
		char text[64];
	} error = {.icmp.type = ICMP_DEST_UNREACH,
		   .icmp.code = ICMP_HOST_UNREACH,
		   .ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .tot_len = htons(92)},
		   .udp = {.source = htons(port), .dest = htons(RDP), .len = htons(72)}};
	struct sockaddr_in gateway = {.sin_family = AF_INET};
	int fd = socket_in(peer->netns, AF_INET, SOCK_RAW, IPPROTO_ICMP);

	assert_int_equal(inet_pton(AF_INET, "192.168.122.1", &error.ip.saddr), 1);
	assert_int_equal(inet_pton(AF_INET, "192.168.122.10", &error.ip.daddr), 1);
	gateway.sin_addr.s_addr = error.ip.saddr;
	snprintf(error.text, sizeof(error.text), "%s", text);
	error.icmp.checksum = checksum_fold(checksum_add(&error, sizeof(error), 0));
	assert_int_equal(sendto(fd, &error, sizeof(error), 0, (struct sockaddr *)&gateway, sizeof(gateway)),
			 sizeof(error));
	close(fd);
}

/* Behind it the guest whose session it is sends an honest answer. */
static bool error_gets_out(struct session *s, const struct peer *forger, uint16_t port, const char *text)
{
	int world = frame_listen(s->world);
	bool seen;

	send_forged_error(forger, port, text);
	assert_int_equal(udp_send(s->server, "192.168.122.1", port, "fence"), 0);
	seen = frame_seen_before(world, text, "fence");
	udp_expect(s->client, "fence", NULL);
	close(world);
	return seen;
}

/* What a guest that is cut says of its neighbour's session would leave with that. */
static void a_cut_guest_forges_no_errors(void **state)
{
	struct fixture *f = *state;
	struct session s;
	struct peer *hv;
	uint16_t port;

	machine_forward(true);
	publish(f, f->a, RDP, IPPROTO_TCP, AS, "203.0.113.2");
	publish(f, f->a, RDP, IPPROTO_UDP, AS, "203.0.113.2");
	make_all(f);
	hv = peer_new(f->m, f->net, f->hv); /* the relay serves it before the one that sends the fence */
	s = session_begin(f);
	peer_do(hv, "ping -c 1 -W 10 192.168.122.1 >/dev/null"); /* so that no packet waits for who that is */
	assert_int_equal(udp_send(s.client, "203.0.113.2", AS, "again"), 0);
	port = answer_and_see(s.server, "answer");
	udp_expect(s.client, "answer", NULL);
	assert_true(error_gets_out(&s, hv, port, "from an open guest"));
	hold(f, f->hv, WORLD_CUT, NEIGHBOURS_KEEP);
	assert_false(error_gets_out(&s, hv, port, "from a cut guest"));
	hold(f, f->a, WORLD_CUT, NEIGHBOURS_KEEP); /* nor about what is its own */
	assert_false(error_gets_out(&s, s.guest, port, "from the guest itself"));
	tcp_close(&s.kept);
	close(s.client);
	close(s.server);
}

/* A namespace that sends packets for 127.0.0.1 out of an interface. */
static void let_loopback_out(const char *netns, const char *interface, const char *via)
{
	machine_do(
		"ip netns exec %s sh -c 'echo 1 > /proc/sys/net/ipv4/conf/%s/route_localnet; "
		"ip route del local 127.0.0.1 dev lo table local; ip route del local 127.0.0.0/8 dev lo table local; "
		"ip route add 127.0.0.1 via %s'",
		netns, interface, via);
}

/* A neighbour of the machine who sends to the way in itself does not get round the address that a port is published at.
 */
static void nobody_gets_round_the_address(void **state)
{
	struct fixture *f = *state;
	cleanup_free struct published *list = NULL;
	cleanup_free char *text = NULL;
	int around, client, server;
	char *address;
	char seen[80];

	machine_forward(true);
	publish(f, f->a, RDP, IPPROTO_UDP, AS, NULL);
	make_all(f);
	assert_int_equal(published_below(f->lab, f->lab->root, &list), 1);
	text = machine_run(
		"ip -n nestvisor-pub-test -4 -o addr show admin | awk '{ split($4, a, \"/\"); print a[1] }'");
	address = strtok(text, "\n");
	assert_non_null(address);
	machine_do("ip -n world route add %s via 203.0.113.2", address);
	server = udp_bind(peer_new(f->m, f->net, f->a)->netns, AF_INET, "192.168.122.10", RDP);
	around = udp_bind(f->m->world, AF_INET, NULL, 0);
	assert_int_equal(udp_send(around, address, list[0].port, "around"), 0);
	/* The fence, behind it. */
	client = udp_bind(f->m->home, AF_INET, "127.0.0.1", 0);
	assert_int_equal(udp_send(client, "127.0.0.1", AS, "question"), 0);
	udp_answer(server, "question", "answer", seen);
	udp_expect(client, "answer", NULL);
	close(around);
	close(client);
	close(server);
}

/* An answer to what nobody asked: connection tracking knows no direction of it. */
static void send_echo_reply(int netns, const char *to)
{
	struct icmphdr reply = {.type = ICMP_ECHOREPLY, .checksum = htons(0xffff)};
	struct sockaddr_in address = {.sin_family = AF_INET};
	int fd = socket_in(netns, AF_INET, SOCK_RAW, IPPROTO_ICMP);

	assert_int_equal(inet_pton(AF_INET, to, &address.sin_addr), 1);
	assert_int_equal(sendto(fd, &reply, sizeof(reply), 0, (struct sockaddr *)&address, sizeof(address)),
			 sizeof(reply));
	close(fd);
}

/* Somebody who owns the whole namespace, as one would who breaks out of a guest into it, has no more than answers. */
static void nothing_begins_on_the_inside(void **state)
{
	struct fixture *f = *state;
	char *address;
	cleanup_free char *text = NULL;
	int loopback, own, untracked, sender;
	struct peer *a;
	char seen[80];

	machine_forward(true);
	publish(f, f->a, RDP, IPPROTO_UDP, AS, NULL);
	make_all(f);
	a = peer_new(f->m, f->net, f->a);
	loopback = udp_bind(f->m->home, AF_INET, "127.0.0.1", 7000);
	own = udp_bind(f->m->home, AF_INET, NULL, 7001);
	text = machine_run("ip -4 -o addr show | awk '$2 ~ /^nv.*p$/ { split($4, a, \"/\"); print a[1] }'");
	address = strtok(text, "\n");
	assert_non_null(address);
	let_loopback_out("nestvisor-pub-test", "admin", address);
	machine_do("ip -n nestvisor-pub-test route add 203.0.113.2 via %s", address);
	sender = udp_bind(net_netns_fd(f->net), AF_INET, NULL, 0);
	udp_send(sender, "127.0.0.1", 7000, "in");
	udp_send(sender, "203.0.113.2", 7001, "in");
	udp_send(sender, address, 7001, "in");
	untracked = socket_in(f->m->home, AF_INET, SOCK_RAW, IPPROTO_ICMP);
	send_echo_reply(net_netns_fd(f->net), address);
	/* The fence: an answer by the same way. */
	{
		int client = udp_bind(f->m->home, AF_INET, "127.0.0.1", 0);
		int server = udp_bind(a->netns, AF_INET, "192.168.122.10", RDP);

		assert_int_equal(udp_send(client, "127.0.0.1", AS, "question"), 0);
		udp_answer(server, "question", "answer", seen);
		udp_expect(client, "answer", NULL);
		close(client);
		close(server);
	}
	assert_true(udp_silent(loopback));
	assert_true(udp_silent(own));
	assert_true(udp_silent(untracked));
	close(untracked);
	close(loopback);
	close(own);
	close(sender);
}

/* A neighbour on the machine's own network may write 127.0.0.1 on a packet, too. */
static void loopback_is_not_reached_by_cable(void **state)
{
	struct fixture *f = *state;
	int client, server, sender;
	struct peer *a;
	char seen[80];

	machine_forward(true);
	publish(f, f->a, RDP, IPPROTO_UDP, AS, NULL);
	publish(f, f->a, RDP, IPPROTO_UDP, AS + 1, "0.0.0.0");
	make_all(f);
	a = peer_new(f->m, f->net, f->a);
	let_loopback_out("world", "eth0", "203.0.113.2");
	sender = udp_bind(f->m->world, AF_INET, "203.0.113.1", 0);
	client = udp_bind(f->m->world, AF_INET, NULL, 0);
	server = udp_bind(a->netns, AF_INET, "192.168.122.10", RDP);
	assert_int_equal(udp_send(sender, "127.0.0.1", AS, "in"), 0);
	assert_int_equal(udp_send(sender, "127.0.0.1", AS + 1, "in"), 0);
	/* The fence goes the same way, to an address that is meant. */
	assert_int_equal(udp_send(client, "203.0.113.2", AS + 1, "fence"), 0);
	udp_expect(server, "fence", seen);
	assert_true(udp_silent(server));
	close(client);
	close(server);
	close(sender);
}

static uint16_t port_of(const struct fixture *f, const struct host *host, const struct guest *guest)
{
	cleanup_free struct published *list = NULL;
	size_t count = published_below(f->lab, host, &list);

	for (size_t i = 0; i < count; i++)
		if (list[i].guest == guest)
			return list[i].port;
	fail();
	return 0;
}

static void a_deep_guest_is_reached_through_its_host(void **state)
{
	struct fixture *f = *state;
	struct peer *hv;
	struct talk talk;

	publish(f, f->deep, RDP, IPPROTO_TCP, 0, NULL);
	make_all(f);
	hv = peer_new(f->m, f->net, f->hv);
	assert_true(tcp_open_by(&talk, f->m->home, "127.0.0.1", RDP, hv->netns, "192.168.122.20",
				port_of(f, f->hv->host, f->deep)));
	tcp_close(&talk);
}

/* The same on that host: it is told to publish at all of its addresses, and forwards by itself. */
static void a_deeper_host_sends_it_on(void **state)
{
	struct fixture *f = *state;
	struct peer *c;
	struct talk talk;

	machine_forward(false);
	publish(f, f->c, RDP, IPPROTO_TCP, 61234, "0.0.0.0");
	make_all(f);
	c = peer_new(f->m, f->net, f->c);
	assert_true(tcp_open_by(&talk, f->m->world, "203.0.113.2", 61234, c->netns, "192.168.50.10", RDP));
	tcp_close(&talk);
	hold(f, f->c, WORLD_CUT, NEIGHBOURS_CUT);
	assert_true(tcp_open_by(&talk, f->m->world, "203.0.113.2", 61234, c->netns, "192.168.50.10", RDP));
	tcp_close(&talk);
	/* Only the layer above, its router, is answered: a neighbour of the host is refused by the host itself. */
	machine_do("ip -n world addr add 203.0.113.9/24 dev eth0");
	machine_do("ip -n world route replace 203.0.113.2 dev eth0 src 203.0.113.9");
	assert_false(tcp_open_by(&talk, f->m->world, "203.0.113.2", 61234, c->netns, "192.168.50.10", RDP));
}

/* A host on a network without a way out has no default route: its part says who may ask. */
static void a_deeper_host_without_a_router(void **state)
{
	struct fixture *f = *state;
	struct peer *c;
	struct talk talk;

	machine_forward(false);
	machine_do("ip route del default; ip -6 route del default");
	publish(f, f->c, RDP, IPPROTO_TCP, 61234, "0.0.0.0");
	f->lab->routers = "2001:db8::1 203.0.113.1";
	make_all(f);
	c = peer_new(f->m, f->net, f->c);
	assert_true(tcp_open_by(&talk, f->m->world, "203.0.113.2", 61234, c->netns, "192.168.50.10", RDP));
	tcp_close(&talk);
	machine_do("ip -n world addr add 203.0.113.9/24 dev eth0");
	machine_do("ip -n world route replace 203.0.113.2 dev eth0 src 203.0.113.9");
	assert_false(tcp_open_by(&talk, f->m->world, "203.0.113.2", 61234, c->netns, "192.168.50.10", RDP));
}

static void what_goes_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *before = NULL, *after = NULL, *again = NULL;
	struct peer *a;
	struct talk talk;

	machine_forward(true);
	make_all(f);
	assert_true(is_same(f));
	before = machine_picture("", "");
	publish(f, f->a, RDP, IPPROTO_TCP, AS, NULL);
	assert_false(is_same(f));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_publish(f->net, &f->reporter, &problem));
	assert_true(is_same(f));
	OK(net_make_publish(f->net, &f->reporter, &problem));
	a = peer_new(f->m, f->net, f->a);
	assert_true(tcp_open_by(&talk, f->m->home, "127.0.0.1", AS, a->netns, "192.168.122.10", RDP));
	/* Somebody's flush is noticed, and mended. */
	machine_do("nft flush table inet nestvisor-pub-test/publish");
	assert_false(is_same(f));
	OK(net_make_publish(f->net, &f->reporter, &problem));
	assert_true(is_same(f));
	/* It goes as another number comes; a session of the former lives on. */
	f->a->publish[0].as = AS + 1;
	assert_false(is_same(f));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_publish(f->net, &f->reporter, &problem));
	assert_true(tcp_say(talk.client, talk.server, "still") && tcp_say(talk.server, talk.client, "here"));
	tcp_close(&talk);
	assert_false(tcp_open_by(&talk, f->m->home, "127.0.0.1", AS, a->netns, "192.168.122.10", RDP));
	assert_true(tcp_open_by(&talk, f->m->home, "127.0.0.1", AS + 1, a->netns, "192.168.122.10", RDP));
	tcp_close(&talk);
	f->a->publish_count = 0;
	assert_false(is_same(f));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_publish(f->net, &f->reporter, &problem));
	assert_true(is_same(f));
	after = machine_picture("", "");
	machine_same(before, after);
	/* And with the lab. */
	f->a->publish_count = 1;
	OK(net_make_publish(f->net, &f->reporter, &problem));
	OK(net_remove_all("pub-test", f->m->run, &problem));
	again = machine_run("ip link; nft list tables");
	assert_null(strstr(again, "nv"));
	assert_null(strstr(again, "nestvisor"));
}

static void a_port_that_somebody_has_is_refused(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	int listener = socket_in(f->m->home, AF_INET, SOCK_STREAM, 0);
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(AS)};

	assert_int_equal(bind(listener, (const struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(listener, 1), 0);
	publish(f, f->a, RDP, IPPROTO_TCP, AS, NULL);
	OK(net_make_namespace(f->net, &problem));
	OK(net_make_rules(f->net, &problem));
	assert_int_equal(net_make_publish(f->net, &f->reporter, &err), -EADDRINUSE);
	assert_non_null(strstr(err->message, "port 13389/tcp of 127.0.0.1"));
	assert_false(machine_try("nft list table inet nestvisor-pub-test/publish"));
	close(listener);
	OK(net_make_publish(f->net, &f->reporter, &problem));
}

static void two_labs_do_not_publish_at_one_port(void **state)
{
	struct fixture *f = *state;
	cleanup_error struct error *err = NULL;
	struct guest *guest;
	struct fixture second = {.lab = testlab_new("pub-other", "", 0)};

	publish(f, f->a, RDP, IPPROTO_TCP, AS, NULL);
	make_all(f);
	guest = testlab_guest(second.lab, second.lab->root, "b");
	testlab_nic(second.lab, guest,
		    testlab_network(second.lab, second.lab->root, "n", "10.5.0.0/24", NULL, UPLINK_NONE), "10.5.0.5",
		    NULL);
	publish(&second, guest, RDP, IPPROTO_TCP, AS, NULL);
	machine_do("mkdir -p %s/other", f->m->run);
	{
		char run[80];

		snprintf(run, sizeof(run), "%s/other", f->m->run);
		OK(net_open(second.lab, run, &second.net, &problem));
		OK(net_make_namespace(second.net, &problem));
		assert_int_equal(net_make_publish(second.net, &f->reporter, &err), -EADDRINUSE);
		assert_non_null(strstr(err->message, "nestvisor-pub-test"));
		net_close(second.net);
		OK(net_remove_all("pub-other", run, &problem));
	}
	lab_free(second.lab);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(the_machine_itself_reaches_it_without_forwarding),
		TEST(the_world_reaches_what_was_meant_for_it),
		TEST(a_cut_guest_answers_and_no_more),
		TEST(a_cut_guest_forges_no_errors),
		TEST(nobody_gets_round_the_address),
		TEST(nothing_begins_on_the_inside),
		TEST(loopback_is_not_reached_by_cable),
		TEST(a_deep_guest_is_reached_through_its_host),
		cmocka_unit_test_setup_teardown(a_deeper_host_sends_it_on, set_up_nested, tear_down),
		cmocka_unit_test_setup_teardown(a_deeper_host_without_a_router, set_up_nested, tear_down),
		TEST(what_goes_leaves_nothing_behind),
		TEST(a_port_that_somebody_has_is_refused),
		TEST(two_labs_do_not_publish_at_one_port),
#undef TEST
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
