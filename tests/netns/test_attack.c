/* Every way out that we know of, tried by guests that are open, cut, cut strictly, and cut from everybody. */
#include "attack.h"
#include "dns.h"

#include "base/cancel.h"
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 10000 };

/* ─── the world's resolver ─── */

/* Knows nothing, and says so at once: the host's resolver has only so many questions open. */
struct resolver {
	int udp, tcp;
	pthread_t thread;
};

static void *answer(void *data)
{
	const struct resolver *r = data;
	struct sockaddr_storage from;
	uint8_t message[DNS_SIZE];

	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(r->udp, message, sizeof(message), 0, (struct sockaddr *)&from, &size);

		if (n < 12) /* the test says that it is over */
			return NULL;
		message[2] = 0x81;
		message[3] = 0x83; /* no such name */
		sendto(r->udp, message, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
}

static void resolver_start(struct resolver *r, int netns)
{
	const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53)};

	r->udp = udp_bind(netns, AF_INET, NULL, 53);
	r->tcp = socket_in(netns, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(r->tcp, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(r->tcp, 16), 0);
	assert_int_equal(pthread_create(&r->thread, NULL, answer, r), 0);
}

static void resolver_stop(struct resolver *r, int netns)
{
	int fd = udp_bind(netns, AF_INET, NULL, 0);

	assert_int_equal(udp_send(fd, "127.0.0.1", 53, ""), 0);
	pthread_join(r->thread, NULL);
	close(fd);
	close(r->udp);
	close(r->tcp);
}

/* ─── what is seen ─── */

enum { SEEN_MOST = 24, SEEN_BYTES = 96 };

struct sight {
	size_t bytes, own; /* of all that is somebody's; of those with the attempt's word in them */
	/* The first ones, to be shown where there should be none. */
	struct {
		const char *where;
		size_t length;
		uint8_t start[SEEN_BYTES];
	} seen[SEEN_MOST];
	size_t count;
};

static void note(struct sight *sight, const char *where, const uint8_t *frame, size_t length)
{
	if (sight->count == SEEN_MOST)
		return;
	sight->seen[sight->count].where = where;
	sight->seen[sight->count].length = length;
	memcpy(sight->seen[sight->count].start, frame, length < SEEN_BYTES ? length : SEEN_BYTES);
	sight->count++;
}

static void show(const struct sight *sight)
{
	for (size_t i = 0; i < sight->count; i++) {
		size_t length = sight->seen[i].length;

		printf("  at %s, %zu bytes: ", sight->seen[i].where, length);
		for (size_t j = 0; j < length && j < SEEN_BYTES; j++)
			printf("%02x", sight->seen[i].start[j]);
		printf("\n");
	}
}

/* What the machine says by itself on its own links, and the fences of guests that are open. */
static bool is_noise(const uint8_t *frame, size_t length)
{
	uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);

	if (type == ETH_P_ARP || memmem(frame, length, "fence", 5) || memmem(frame, length, "FENCE", 5))
		return true;
	if (type == ETH_P_IPV6 && length > 62) { /* neighbours, routers and multicast listeners: RFC 4861, RFC 3810 */
		const uint8_t *ip = frame + ETH_HLEN;
		uint8_t icmp = ip[6] == IPPROTO_ICMPV6 ? ip[40] : ip[6] == 0 && ip[40] == IPPROTO_ICMPV6 ? ip[48] : 0;

		return (icmp >= 130 && icmp <= 137) || icmp == 143;
	}
	return false;
}

/* The last of each family; bits of what `look` has seen. */
static const char *const fences[] = {"FENCE4", "FENCE6"};
enum { ALL_FENCES = 3 };

static void look(int fd, const char *where, const char *word, struct sight *sight, unsigned *fences_seen)
{
	uint8_t frame[65536];
	struct sockaddr_ll from;

	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, frame, sizeof(frame), MSG_DONTWAIT, (struct sockaddr *)&from, &size);

		if (n < 0)
			return;
		if (n < ETH_HLEN || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		for (unsigned i = 0; i < 2 && fences_seen; i++)
			if (memmem(frame, (size_t)n, fences[i], strlen(fences[i])))
				*fences_seen |= 1U << i;
		if (is_noise(frame, (size_t)n))
			continue;
		sight->bytes += (size_t)n;
		note(sight, where, frame, (size_t)n);
		if (memmem(frame, (size_t)n, word, strlen(word)))
			sight->own += (size_t)n;
	}
}

struct watch {
	int world, uplink, neighbour;
};

/* Frames from before are none of the attempt's. */
static void forget(const struct watch *watch)
{
	struct sight sight = {0};

	look(watch->world, "world", "", &sight, NULL);
	look(watch->uplink, "uplink", "", &sight, NULL);
	look(watch->neighbour, "neighbour", "", &sight, NULL);
}

static void wait_on(int fd, long long deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (clock_ms() > deadline || poll(&p, 1, WAIT_MS) < 1)
		fail_msg("nothing comes any more");
}

/* All that the attempt has caused has been dealt with by then: what the guest sent, since it has given an answer behind
 * it; what the resolver was asked, since it has asked for somebody else; and what was on its way. That takes a frame of
 * each family: what waits until a neighbour's hardware address is known waits for that family's alone. */
static void fence(struct attack *a, const struct watch *watch, struct sight *sight, struct sight *at_neighbour)
{
	static unsigned number;
	int far = udp_bind(a->f->pf->netns, AF_INET, NULL, 0), far6 = udp_bind(a->f->pf->netns, AF_INET6, NULL, 0);
	long long deadline = clock_ms() + WAIT_MS;
	unsigned seen = 0;
	char name[64], text[64];

	talks(net_netns_fd(a->f->net), a->from->netns, NULL, a->ip4);
	talks(net_netns_fd(a->f->net), a->f->pb->netns, NULL, "192.168.122.11");
	snprintf(name, sizeof(name), "fence%u.example.org", number++);
	dns_ask(a->f->ps->netns, "192.168.122.1", name, false, text);
	assert_string_equal(text, "3");
	assert_int_equal(udp_send(far, WORLD4, PORT, fences[0]), 0);
	assert_int_equal(udp_send(far6, WORLD6, PORT, fences[1]), 0);
	for (look(watch->world, "world", a->word, sight, &seen); seen != ALL_FENCES;
	     look(watch->world, "world", a->word, sight, &seen))
		wait_on(watch->world, deadline);
	look(watch->uplink, "uplink", a->word, sight, NULL);
	look(watch->neighbour, "neighbour", a->word, at_neighbour, NULL);
	close(far);
	close(far6);
}

/* ─── one attempt ─── */

struct field {
	struct attack *a;
	struct guest *guest;
	struct watch watch;
	struct resolver resolver;
	unsigned attempts, failures;
};

static void finish(struct field *field)
{
	struct attack *a = field->a;
	const struct linger none = {.l_onoff = 1};
	int fd;

	for (size_t i = 0; i < 2; i++)
		if (a->fds[i] >= 0) {
			setsockopt(a->fds[i], SOL_SOCKET, SO_LINGER, &none, sizeof(none)); /* nothing comes later */
			close(a->fds[i]);
		}
	while ((fd = accept4(field->resolver.tcp, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
}

static struct sight attempt(struct field *field, const struct way *way, const struct isolation_setting *setting,
			    bool must_come)
{
	struct attack *a = field->a;
	struct sight world = {0}, neighbour = {0};
	long long deadline;

	snprintf(a->word, sizeof(a->word), "w%ux", 1000 + field->attempts++);
	a->fds[0] = a->fds[1] = -1;
	isolation_switch_world(a->f, field->guest, WORLD_OPEN);
	if (way->begin)
		way->begin(a, way);
	if (setting->world != WORLD_OPEN)
		isolation_switch(a->f, field->guest, *setting);
	forget(&field->watch);
	way->go(a, way);
	deadline = clock_ms() + WAIT_MS;
	while (must_come && world.own == 0 && clock_ms() < deadline) {
		struct pollfd p = {.fd = field->watch.world, .events = POLLIN};

		look(field->watch.uplink, "uplink", a->word, &world, NULL);
		look(field->watch.world, "world", a->word, &world, NULL);
		if (world.own == 0)
			poll(&p, 1, 100);
	}
	fence(a, &field->watch, &world, &neighbour);
	finish(field);
	return way->kind == WAY_TO_NEIGHBOUR ? neighbour : world;
}

static void expect(struct field *field, const struct way *way, const char *mode, bool holds, const struct sight *sight)
{
	if (holds)
		return;
	field->failures++;
	printf("FAILED: %s, %s: %zu bytes got out, %zu of them its own\n", way->name, mode, sight->bytes, sight->own);
	show(sight);
}

static const char *note_of(const struct way *way)
{
	return way->note		       ? way->note
	       : way->kind == WAY_BY_NEIGHBOUR ? "as long as open neighbours are kept: --strict ends it"
					       : "";
}

static void try_way(struct field *field, const struct way *way)
{
	static const struct isolation_setting open = {.world = WORLD_OPEN};
	static const struct {
		const char *name;
		struct isolation_setting setting;
	} modes[] = {
		{"cut", {.world = WORLD_CUT}},
		{"cut strictly", {.world = WORLD_CUT, .neighbours = NEIGHBOURS_CUT}},
		{"cut from all", {.world = WORLD_CUT, .neighbours = NEIGHBOURS_DROP}},
	};
	bool works = way->kind == WAY_OUT || way->kind == WAY_BY_NEIGHBOUR;
	struct sight sight = attempt(field, way, &open, works);

	printf("  %-58s %6zu", way->name, sight.own);
	expect(field, way, "open", works == (sight.own > 0), &sight);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		bool kept = way->kind == WAY_BY_NEIGHBOUR && modes[i].setting.neighbours == NEIGHBOURS_KEEP;

		sight = attempt(field, way, &modes[i].setting, kept);
		if (way->kind == WAY_TO_NEIGHBOUR)
			sight.bytes = sight.own;
		printf(" %6zu", sight.bytes);
		expect(field, way, modes[i].name, kept ? sight.own > 0 : sight.bytes == 0, &sight);
	}
	printf("  %s\n", note_of(way));
}

static void try_all(struct field *field, int who)
{
	static const struct ways *const all[] = {&ways_by_packet, &ways_by_frame};
	size_t out = 0;

	printf("  %-58s %6s %6s %6s %6s\n", "bytes that got out", "open", "cut", "strict", "alone");
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < all[i]->count; j++) {
			const struct way *way = &all[i]->list[j];

			if (!(way->who & who))
				continue;
			out += way->kind == WAY_OUT;
			try_way(field, way);
		}
	printf("%zu ways that work when open, %u attempts\n", out, field->attempts);
	assert_true(out >= 24);
	assert_int_equal(field->failures, 0);
}

/* ─── who tries ─── */

static void read_addresses(struct attack *a)
{
	cleanup_free char *mac = machine_run("ip -n nestvisor-iso-test -br link show lan | awk '{printf \"%%s\", $3}'");
	cleanup_free char *local =
		machine_run("ip -n nestvisor-iso-test -6 -br addr show lan | grep -o 'fe80[^/]*' | tr -d '\\n'");
	cleanup_free char *transit =
		machine_run("ip -n nestvisor-iso-test route show default | awk '{printf \"%%s\", $3}'");

	assert_true(mac_parse(mac, a->gateway_mac));
	snprintf(a->gateway_local, sizeof(a->gateway_local), "%s", local);
	snprintf(a->transit, sizeof(a->transit), "%s", transit);
	snprintf(a->local, sizeof(a->local), "fe80::%x:%xff:fe%02x:%02x%02x",
		 (a->from->mac[0] ^ 2) << 8 | a->from->mac[1], a->from->mac[2], a->from->mac[3], a->from->mac[4],
		 a->from->mac[5]);
}

/* An IPv6 address answers for itself some time after it was given, when the kernel comes to it: on a busy machine
 * seconds later. What is sent there before waits, and would come out during a later attempt. */
static void meet_world(void)
{
	machine_do("timeout 20 sh -c 'until ping -c1 -W5 -q " WORLD4 " && ping -c1 -W5 -q " WORLD6
		   "; do read x < /proc/uptime; done' > /dev/null");
}

/* The lab with a resolver at each network, that of the world being the test's. */
static void make_field(struct field *field, struct fixture *f)
{
	cleanup_free char *uplink = NULL;

	f->lan->dns = f->other->dns = f->other->dhcp = true;
	dns_set_upstream(f->m->run, WORLD4);
	isolation_make_all(f);
	meet_world();
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	OK(net_make_dhcp(f->net, f->other, NULL, &problem));
	uplink = machine_run("ip -o link show type veth | grep -o 'nv[0-9a-f]*w' | head -n1 | tr -d '\\n'");
	resolver_start(&field->resolver, f->m->world);
	field->watch = (struct watch){.world = frame_listen(f->m->world),
				      .uplink = frame_listen_on(f->m->home, uplink),
				      .neighbour = frame_listen(f->pb->netns)};
}

static void end_field(struct field *field)
{
	resolver_stop(&field->resolver, field->a->f->m->world);
	close(field->watch.world);
	close(field->watch.uplink);
	close(field->watch.neighbour);
	dns_unset_upstream();
}

/* Each neighbour's address is known to it already, as in a lab that runs. */
static void meet(const struct peer *peer)
{
	peer_do(peer, "for to in 192.168.122.1 192.168.122.11 fd00:122::1 fd00:122::11; do ping -c1 -W10 -q $to; done");
}

static void try_with_addresses(struct fixture *f, bool elsewhere)
{
	struct attack a = {.f = f, .ip4 = "192.168.122.10", .ip6 = "fd00:122::10"};
	struct field field = {.a = &a, .guest = f->a};
	struct nic *second = testlab_nic(f->lab, f->a, f->other, "192.168.123.40", "fd00:123::40");

	if (elsewhere)
		isolation_move(f, f->a);
	make_field(&field, f);
	a.from = f->pa;
	a.second = isolation_plug(f, second);
	peer_do(a.second, "ip route add default via 192.168.123.1; ip -6 route add default via fd00:123::1;"
			  "ping -c1 -W10 -q 192.168.123.1; ping -c1 -W10 -q fd00:123::1");
	read_addresses(&a);
	meet(f->pa);
	try_all(&field, FIXED);
	end_field(&field);
}

static void try_without_addresses(struct fixture *f, bool elsewhere)
{
	struct attack a = {.f = f, .ip4 = "192.168.122.150", .ip6 = "fd00:122::150"};
	struct field field = {.a = &a, .guest = f->dhcp};

	if (elsewhere)
		isolation_move(f, f->dhcp);
	make_field(&field, f);
	a.from = f->pd;
	peer_do(f->pd,
		"ip addr add 192.168.122.150/24 dev eth0; ip route add default via 192.168.122.1;"
		"ip addr add fd00:122::150/64 dev eth0 nodad; ip -6 route replace default via fd00:122::1"); /* it may
														have
														heard of
														one */
	read_addresses(&a);
	meet(f->pd);
	try_all(&field, FREE);
	end_field(&field);
}

/* Its own host lets everything through, so what holds is what this one does. */
static void try_deeper(struct fixture *f, bool elsewhere)
{
	struct attack a = {.f = f, .ip4 = "192.168.124.91", .ip6 = "fd00:124::91"};
	struct field field = {.a = &a, .guest = f->deep};

	if (elsewhere)
		isolation_move(f, f->hv);
	make_field(&field, f);
	a.from = f->phv;
	read_addresses(&a);
	meet(f->phv);
	try_all(&field, DEEP);
	end_field(&field);
}

static void a_guest_with_addresses(void **state)
{
	try_with_addresses(*state, false);
}

static void a_guest_without_addresses(void **state)
{
	try_without_addresses(*state, false);
}

static void a_guest_of_a_deeper_layer(void **state)
{
	try_deeper(*state, false);
}

/* The machine that it runs on holds nobody: what holds is what comes out of the tunnel at home. */
static void a_guest_with_addresses_elsewhere(void **state)
{
	try_with_addresses(*state, true);
}

static void a_guest_without_addresses_elsewhere(void **state)
{
	try_without_addresses(*state, true);
}

static void a_guest_of_a_deeper_layer_elsewhere(void **state)
{
	try_deeper(*state, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, isolation_set_up, isolation_tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(a_guest_with_addresses),
		TEST(a_guest_without_addresses),
		TEST(a_guest_of_a_deeper_layer),
		TEST(a_guest_with_addresses_elsewhere),
		TEST(a_guest_without_addresses_elsewhere),
		TEST(a_guest_of_a_deeper_layer_elsewhere),
	};

	if (!dns_installed()) {
		printf("SKIP: dnsmasq is not installed (package dnsmasq-base)\n");
		return 77;
	}
	return cmocka_run_group_tests_name("attack", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
