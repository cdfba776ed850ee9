/* Names of the cut: the lab's own and no others, and nothing of what they ask gets to the world. */
#include "dns.h"
#include "isolation_lab.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Which address of the host each family asks. */
static const char *const hosts[] = {"192.168.122.1", "fd00:122::1"};

/* Returns the world's resolver. */
static int start(struct fixture *f)
{
	f->lan->dns = true;
	dns_set_upstream(f->m->run, "203.0.113.1");
	isolation_make_all(f);
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	return udp_bind(f->m->world, AF_INET, NULL, 53);
}

static void stop(int resolver)
{
	close(resolver);
	dns_unset_upstream();
}

/* A question on a socket, by which a flow goes on. */
static void question(int fd, const char *host, const char *name)
{
	uint8_t message[DNS_SIZE];
	size_t length = dns_question(message, name, false);

	if (strchr(host, ':')) {
		struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(53)};

		inet_pton(AF_INET6, host, &to.sin6_addr);
		assert_int_equal(sendto(fd, message, length, 0, (struct sockaddr *)&to, sizeof(to)), length);
	} else {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};

		inet_pton(AF_INET, host, &to.sin_addr);
		assert_int_equal(sendto(fd, message, length, 0, (struct sockaddr *)&to, sizeof(to)), length);
	}
}

/* Reads questions at the world's resolver until one asks for `fence`; whether one before it had `word` in it. */
static bool asked_before(int resolver, const char *word, const char *fence, uint8_t *ret, size_t *ret_length,
			 struct sockaddr_in *ret_from)
{
	struct timeval patience = {.tv_sec = 10};
	bool seen = false;

	setsockopt(resolver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (;;) {
		socklen_t size = sizeof(*ret_from);
		ssize_t n = recvfrom(resolver, ret, DNS_SIZE, 0, (struct sockaddr *)ret_from, &size);

		if (n < 0)
			fail_msg("the question for %s did not get to the world", fence);
		*ret_length = (size_t)n;
		seen |= memmem(ret, (size_t)n, word, strlen(word)) != NULL;
		if (memmem(ret, (size_t)n, fence, strlen(fence)))
			return seen;
	}
}

/* The sender's have all been dealt with by then: it has had an answer, or pinged its host. */
static bool gets_out(struct fixture *f, int resolver, const char *word, const char *fence)
{
	int fd = udp_bind(f->pb->netns, AF_INET, NULL, 0); /* b is open */
	uint8_t message[DNS_SIZE];
	struct sockaddr_in from;
	size_t length;
	char name[80];
	bool seen;

	snprintf(name, sizeof(name), "%s.example.org", fence);
	question(fd, hosts[0], name);
	seen = asked_before(resolver, word, fence, message, &length, &from);
	close(fd);
	return seen;
}

/* Waits for it; the test fails where it does not come. */
static void comes_out(int resolver, const char *word)
{
	uint8_t message[DNS_SIZE];
	struct sockaddr_in from;
	size_t length;

	asked_before(resolver, "", word, message, &length, &from);
}

static void the_cut_know_the_lab_only(void **state)
{
	struct fixture *f = *state;
	int resolver = start(f);
	char answer[64];

	for (size_t i = 0; i < 2; i++) {
		char tunnel[80];

		snprintf(tunnel, sizeof(tunnel), "secret%zu.example.org", i);
		isolation_switch_world(f, f->a, WORLD_CUT);
		dns_ask(f->pa->netns, hosts[i], "b.iso-test", false, answer);
		assert_string_equal(answer, "192.168.122.11");
		dns_ask(f->pa->netns, hosts[i], "deep.hv.iso-test", true, answer);
		assert_string_equal(answer, "fd00:124::91");
		dns_ask_tcp(f->pa->netns, hosts[i], "b", false, answer);
		assert_string_equal(answer, "192.168.122.11");
		dns_ask(f->pa->netns, hosts[i], "nobody.iso-test", false, answer);
		assert_string_equal(answer, "3");
		dns_ask(f->pa->netns, hosts[i], tunnel, false, answer);
		assert_string_equal(answer, "5");
		dns_ask_tcp(f->pa->netns, hosts[i], tunnel, false, answer);
		assert_string_equal(answer, "5");
		assert_false(gets_out(f, resolver, "secret", i ? "fence6" : "fence4"));
		/* Who is opened has all names again, and at once. */
		isolation_switch_world(f, f->a, WORLD_OPEN);
		{
			int fd = udp_bind(f->pa->netns, i ? AF_INET6 : AF_INET, NULL, 0);
			char word[16];

			snprintf(word, sizeof(word), "open%zu", i);
			snprintf(tunnel, sizeof(tunnel), "open%zu.example.org", i);
			question(fd, hosts[i], tunnel);
			comes_out(resolver, word);
			close(fd);
		}
	}
	/* Sealed: not even these. In every other mode the lab's names. */
	for (enum neighbours neighbours = NEIGHBOURS_KEEP; neighbours <= NEIGHBOURS_DROP; neighbours++) {
		isolation_switch(f, f->a, (struct isolation_setting){.world = WORLD_CUT, .neighbours = neighbours});
		dns_ask(f->pa->netns, hosts[0], "b.iso-test", false, answer);
		assert_string_equal(answer, "192.168.122.11");
	}
	stop(resolver);
}

/* A socket that is used again and again is one flow: it changes sides with the guest, in both directions. */
static void a_flow_of_questions_changes_sides(void **state)
{
	struct fixture *f = *state;
	int resolver = start(f);

	for (size_t i = 0; i < 2; i++) {
		int fd = udp_bind(f->pa->netns, i ? AF_INET6 : AF_INET, NULL, 0);

		for (int round = 0; round < 3; round++) {
			char word[16], cut[80], open[80], fence[16];

			snprintf(word, sizeof(word), "word%zu%d", i, round);
			snprintf(open, sizeof(open), "%s.open.example.org", word);
			snprintf(cut, sizeof(cut), "%s.cut.example.org", word);
			question(fd, hosts[i], open);
			comes_out(resolver, word);
			isolation_switch_world(f, f->a, WORLD_CUT);
			question(fd, hosts[i], cut);
			peer_do(f->pa, "ping -c1 -W10 -q 192.168.122.1");
			snprintf(fence, sizeof(fence), "wall%zu%d", i, round);
			assert_false(gets_out(f, resolver, word, fence));
			isolation_switch_world(f, f->a, WORLD_OPEN);
		}
		close(fd);
	}
	stop(resolver);
}

/* The question got out before the cut; its answer comes after it, and is the world's. */
static void an_answer_that_comes_late(void **state)
{
	struct fixture *f = *state;
	int resolver = start(f);
	struct guest *const guests[] = {f->a, f->dhcp};
	struct peer *const peers[] = {f->pa, f->pd};
	char words[2][16] = {"late0", "late1"};

	/* One is known by its address, the other by its cable alone. */
	peer_do(f->pd, "ip addr add 192.168.122.150/24 dev eth0; ip route add default via 192.168.122.1");
	for (size_t i = 0; i < 2; i++) {
		int fd = udp_bind(peers[i]->netns, AF_INET, NULL, 0), fence = udp_bind(f->pb->netns, AF_INET, NULL, 0);
		uint8_t message[DNS_SIZE], first[DNS_SIZE];
		struct timeval patience = {.tv_sec = 10};
		struct sockaddr_in from, first_from;
		size_t length, first_length;
		char name[80];

		snprintf(name, sizeof(name), "%s.example.org", words[i]);
		question(fd, hosts[0], name);
		asked_before(resolver, "", words[i], first, &first_length, &first_from);
		isolation_switch_world(f, guests[i], WORLD_CUT);
		snprintf(name, sizeof(name), "%s.example.org", i ? "after1" : "after0");
		question(fence, hosts[0], name);
		asked_before(resolver, "", i ? "after1" : "after0", message, &length, &from);
		/* Both are answered in this order, by the same dnsmasq: "there is no such name". */
		first[2] = message[2] = 0x81;
		first[3] = message[3] = 0x83;
		assert_true(sendto(resolver, first, first_length, 0, (struct sockaddr *)&first_from,
				   sizeof(first_from)) > 0);
		assert_true(sendto(resolver, message, length, 0, (struct sockaddr *)&from, sizeof(from)) > 0);
		setsockopt(fence, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		assert_true(recv(fence, message, sizeof(message), 0) > 0);
		assert_true(
			talks(net_netns_fd(f->net), peers[i]->netns, NULL, i ? "192.168.122.150" : "192.168.122.10"));
		assert_true(udp_silent(fd));
		close(fd);
		close(fence);
	}
	stop(resolver);
}

/* What a resolver has not come to when the cut is there is not sent on afterwards. */
static void a_question_that_waits(void **state)
{
	struct fixture *f = *state;
	int resolver = start(f);
	static const char *const from[] = {"192.168.124.91", "fd00:124::91"};

	for (size_t i = 0; i < 4; i++) {
		const struct peer *peer = i < 2 ? f->pa : f->phv;
		const struct guest *guest = i < 2 ? f->a : f->deep;
		int fd = udp_bind(peer->netns, i % 2 ? AF_INET6 : AF_INET, i < 2 ? NULL : from[i - 2], 0);
		char name[80], fence[16];

		peer_do(peer, "ping -c1 -W10 -q 192.168.122.1; ping -c1 -W10 -q fd00:122::1");
		machine_do("kill -STOP $(cut -d' ' -f1 %s/dnsmasq-lan.pid)", f->m->run);
		snprintf(name, sizeof(name), "waits%zu.example.org", i);
		question(fd, hosts[i % 2], name);
		peer_do(peer, "ping -c1 -W10 -q 192.168.122.1");
		isolation_switch_world(f, guest, WORLD_CUT);
		machine_do("kill -CONT $(cut -d' ' -f1 %s/dnsmasq-lan.pid)", f->m->run);
		snprintf(fence, sizeof(fence), "fence%zu", i);
		assert_false(gets_out(f, resolver, "waits", fence));
		isolation_switch_world(f, guest, WORLD_OPEN);
		snprintf(name, sizeof(name), "again%zu.example.org", i);
		question(fd, hosts[i % 2], name);
		snprintf(name, sizeof(name), "again%zu", i);
		comes_out(resolver, name);
		close(fd);
	}
	stop(resolver);
}

/* By TCP the second question waits for the answer to the first. */
static void questions_that_wait_in_a_stream(void **state)
{
	struct fixture *f = *state;
	int resolver = start(f), listener = socket_in(f->m->world, AF_INET, SOCK_STREAM, 0), fd, asked, yes = 1;
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(53)};
	const struct sockaddr_in host = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {inet_addr("192.168.122.1")}};
	struct timeval patience = {.tv_sec = 10};
	uint8_t message[4 * DNS_SIZE];
	size_t length = 0;
	ssize_t n;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	assert_int_equal(bind(listener, (const struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(listener, 4), 0);
	fd = socket_in(f->pa->netns, AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&host, sizeof(host)), 0);
	for (int i = 0; i < 3; i++) {
		size_t one = dns_question(message + length + 2, i ? "second.example.org" : "first.example.org", false);

		message[length] = (uint8_t)(one >> 8);
		message[length + 1] = (uint8_t)one;
		length += 2 + one;
	}
	assert_int_equal(send(fd, message, length, 0), length);
	asked = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(asked >= 0);
	setsockopt(asked, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	n = recv(asked, message, sizeof(message), 0);
	assert_true(n > 2 && memmem(message, (size_t)n, "first", 5));
	isolation_switch_world(f, f->a, WORLD_CUT);
	message[4] = 0x81;
	message[5] = 0x83; /* there is no such name: go on */
	assert_int_equal(send(asked, message, (size_t)n, MSG_NOSIGNAL), n);
	assert_false(gets_out(f, resolver, "second", "fence"));
	{
		char answer[64];

		/* It has gone on by the time that another question by TCP is answered; and nothing has come of it. */
		dns_ask_tcp(f->pb->netns, hosts[0], "b.iso-test", false, answer);
		assert_string_equal(answer, "192.168.122.11");
		n = recv(asked, message, sizeof(message), MSG_DONTWAIT);
		assert_true(n <= 0 || !memmem(message, (size_t)n, "second", 6));
	}
	close(asked);
	close(fd);
	close(listener);
	stop(resolver);
}

/* A guest of a deeper layer asks the host above its own, past that. */
static void a_deeper_guest_asks_past_its_host(void **state)
{
	struct fixture *f = *state;
	int resolver = start(f);
	static const char *const from[] = {"192.168.124.91", "fd00:124::91"};

	peer_do(f->phv, "ping -c1 -W10 -q 192.168.122.1; ping -c1 -W10 -q fd00:122::1"); /* the way is known */
	for (size_t i = 0; i < 2; i++) {
		int fd = udp_bind(f->phv->netns, i ? AF_INET6 : AF_INET, from[i], 0);

		question(fd, hosts[i], i ? "before6.example.org" : "before4.example.org");
		comes_out(resolver, i ? "before6" : "before4");
		isolation_switch_world(f, f->deep, WORLD_CUT);
		question(fd, hosts[i], i ? "after6.example.org" : "after4.example.org");
		peer_do(f->phv, "ping -c1 -W10 -q 192.168.122.1");
		assert_false(gets_out(f, resolver, i ? "after6" : "after4", i ? "wall6" : "wall4"));
		isolation_switch_world(f, f->deep, WORLD_OPEN);
		close(fd);
	}
	stop(resolver);
}

static void names_of_leases(void **state)
{
	struct fixture *f = *state;
	int resolver = start(f);
	cleanup_free char *lease = NULL;
	char answer[64];

	/* As dnsmasq writes them down (dnsmasq(8), --dhcp-leasefile). */
	OK(net_remove_network(f->net, "lan", &problem));
	machine_do("echo '0 %02x:%02x:%02x:%02x:%02x:%02x 192.168.122.150 dhcp *' > %s/dnsmasq-lan.leases",
		   f->pd->mac[0], f->pd->mac[1], f->pd->mac[2], f->pd->mac[3], f->pd->mac[4], f->pd->mac[5], f->m->run);
	OK(net_make_network(f->net, f->lan, &problem));
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	machine_do("for tap in a-0 dhcp-0; do ip -n nestvisor-iso-test link set $tap master lan; done");
	isolation_switch_world(f, f->a, WORLD_CUT);
	dns_ask(f->pa->netns, hosts[0], "dhcp.iso-test", false, answer);
	assert_string_equal(answer, "192.168.122.150");
	stop(resolver);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, isolation_set_up, isolation_tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(the_cut_know_the_lab_only), TEST(a_flow_of_questions_changes_sides),
		TEST(an_answer_that_comes_late), TEST(a_deeper_guest_asks_past_its_host),
		TEST(a_question_that_waits),	 TEST(questions_that_wait_in_a_stream),
		TEST(names_of_leases),
	};

	if (!dns_installed()) {
		printf("SKIP: dnsmasq is not installed (package dnsmasq-base)\n");
		return 77;
	}
	return cmocka_run_group_tests_name("names", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
