/* Guests switched at run time: by elements of sets alone, in every mode, for a while, and back. */
#include "isolation_lab.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/netlink.h"
#include "model/isolation.h"
#include "net/tracking.h"

#include <errno.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Each of them lives as long as the test, for the network borrows it. */
struct switching {
	struct fixture *f;
	struct isolation *states[16];
	size_t count;
	struct net_switched last;
	size_t flows; /* that it ended */
};

static struct switching start(struct fixture *f)
{
	struct switching s = {.f = f};

	isolation_make_all(f);
	s.states[s.count++] = isolation_new(f->lab);
	net_set_isolation(f->net, s.states[0]);
	return s;
}

static void stop(struct switching *s)
{
	net_set_isolation(s->f->net, NULL);
	for (size_t i = 0; i < s->count; i++)
		isolation_free(s->states[i]);
}

/* Prepares the next state; change_done() makes it real. */
static struct isolation *change(struct switching *s)
{
	assert_true(s->count < sizeof(s->states) / sizeof(*s->states));
	s->states[s->count] = isolation_copy(s->states[s->count - 1]);
	return s->states[s->count];
}

static void change_done(struct switching *s)
{
	bool same = false;

	OK(net_isolate(s->f->net, s->states[s->count], &s->last, &problem));
	OK(net_end_flows(s->f->net, s->states[s->count - 1], s->states[s->count], &s->flows, &problem));
	s->count++;
	OK(net_check_rules(s->f->net, &same, &problem));
	assert_true(same);
}

static void set(struct switching *s, const struct guest *guest, struct isolation_setting setting)
{
	isolation_set(change(s), guest, &setting);
	change_done(s);
}

static void set_world(struct switching *s, const struct guest *guest, enum world world)
{
	set(s, guest, (struct isolation_setting){.world = world});
}

/* All that the kernel has in the namespace, in an order that does not depend on how it came there. */
static char *ruleset(void)
{
	return machine_run(
		"nsenter --net=/run/netns/nestvisor-iso-test nft -s list ruleset | sed 's/expires [^ ,]*//g' | "
		"tr -s ' ,\\t' '\\n\\n\\n' | sort");
}

/* What elements were changed to is what loading everything gives. */
static void elements_and_texts_agree(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);
	cleanup_free char *open = ruleset(), *opened = NULL;
	struct allowance allowed[3];

	assert_true(allowance_parse("203.0.113.7:443", &allowed[0]));
	assert_true(allowance_parse("198.51.100.0/24", &allowed[1]));
	assert_true(allowance_parse("[2001:db8:7::/48]:53/udp", &allowed[2]));
	for (enum world world = WORLD_CUT; world <= WORLD_SEALED; world++)
		for (enum neighbours neighbours = NEIGHBOURS_KEEP; neighbours <= NEIGHBOURS_DROP; neighbours++) {
			struct isolation *next = change(&s);
			cleanup_free char *by_elements = NULL, *by_text = NULL;
			const struct isolation_setting setting = {
				.world = world, .neighbours = neighbours, .allowed = allowed, .allowed_count = 3};

			isolation_set(next, f->a, &setting);
			isolation_set(next, f->hv, &setting);
			isolation_set(next, f->dhcp, &setting);
			change_done(&s);
			assert_false(s.last.reloaded);
			if (world == WORLD_CUT || neighbours == NEIGHBOURS_KEEP) /* sealed is sealed */
				assert_true(s.last.elements > 10);
			by_elements = ruleset();
			machine_do("nsenter --net=/run/netns/nestvisor-iso-test nft flush ruleset");
			OK(net_make_rules(f->net, &problem));
			by_text = ruleset();
			assert_string_equal(by_elements, by_text);
		}
	isolation_free(s.states[s.count]);
	s.states[s.count] = isolation_new(f->lab);
	change_done(&s);
	assert_false(s.last.reloaded);
	opened = ruleset();
	assert_string_equal(open, opened);
	/* Once more the same is nothing. */
	change(&s);
	change_done(&s);
	assert_int_equal(s.last.elements, 0);
	stop(&s);
}

static void what_others_did_to_the_rules_is_mended(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);

	machine_do("nsenter --net=/run/netns/nestvisor-iso-test nft flush ruleset");
	set_world(&s, f->a, WORLD_CUT);
	assert_true(s.last.reloaded);
	assert_false(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	machine_do("nsenter --net=/run/netns/nestvisor-iso-test nft insert rule inet nestvisor forward accept");
	assert_true(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	set_world(&s, f->b, WORLD_CUT);
	assert_true(s.last.reloaded);
	assert_false(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_false(reaches_world(f, f->pb, NULL, "203.0.113.1", PORT));
	set_world(&s, f->b, WORLD_OPEN);
	assert_false(s.last.reloaded);
	assert_true(reaches_world(f, f->pb, NULL, "203.0.113.1", PORT));
	stop(&s);
}

/* No data. That its peer does not know the connection any more may have been told to it. */
static bool has_nothing(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

static void cut_and_open(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);
	struct talk admin, outside;

	assert_true(tcp_open(&admin, net_netns_fd(f->net), f->pa->netns, "192.168.122.10", 22));
	assert_true(tcp_open(&outside, f->pa->netns, f->m->world, "203.0.113.1", 80));
	assert_true(tcp_say(outside.client, outside.server, "before"));
	set_world(&s, f->a, WORLD_CUT);
	assert_int_equal(send(outside.client, "leak", 4, 0), 4);
	assert_int_equal(send(outside.server, "leak", 4, 0), 4);
	assert_false(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_false(reaches_world(f, f->pa, NULL, "2001:db8::1", PORT));
	assert_true(has_nothing(outside.server));
	assert_true(has_nothing(outside.client));
	assert_true(tcp_say(admin.client, admin.server, "still"));
	assert_true(tcp_say(admin.server, admin.client, "here"));
	assert_true(talks(f->pa->netns, f->pb->netns, NULL, "192.168.122.11"));
	set_world(&s, f->a, WORLD_OPEN);
	assert_true(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_true(reaches_world(f, f->pa, NULL, "2001:db8::1", PORT));
	tcp_close(&admin);
	tcp_close(&outside);
	stop(&s);
}

static struct isolation_setting open_for(long long ms)
{
	struct isolation_clock now;

	isolation_clock_read(&now);
	return (struct isolation_setting){
		.world = WORLD_CUT, .open_until = now.wall + ms / 1000, .open_deadline = now.monotonic + ms};
}

static void until_closed(struct fixture *f, const struct peer *peer, const char *source, const char *to)
{
	long long deadline = clock_ms() + 20000;

	while (reaches_world(f, peer, source, to, PORT))
		assert_true(clock_ms() < deadline);
}

/* Nobody but the kernel ends it. */
static void an_opening_ends_by_itself(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);
	bool same = false;

	set_world(&s, f->a, WORLD_CUT);
	set(&s, f->a, open_for(3600 * 1000));
	assert_false(s.last.reloaded);
	assert_true(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_true(reaches_world(f, f->pa, NULL, "2001:db8::1", PORT));
	assert_true(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	/* A host with all that is behind it. */
	set(&s, f->a, open_for(1500));
	set(&s, f->hv, open_for(1500));
	until_closed(f, f->pa, NULL, "203.0.113.1");
	until_closed(f, f->pa, NULL, "2001:db8::1");
	until_closed(f, f->phv, "192.168.124.91", "203.0.113.1");
	until_closed(f, f->phv, "fd00:7::9", "2001:db8::1");
	/* Nothing is to be mended then, and the next change is one of elements. */
	OK(net_check_rules(f->net, &same, &problem));
	assert_true(same);
	set(&s, f->hv, open_for(3600 * 1000));
	assert_false(s.last.reloaded);
	assert_true(reaches_world(f, f->phv, "192.168.124.91", "203.0.113.1", PORT));
	assert_true(reaches_world(f, f->phv, "fd00:7::9", "2001:db8::1", PORT));
	/* Rules that are loaded anew meanwhile leave it as it is. */
	machine_do("nsenter --net=/run/netns/nestvisor-iso-test nft flush ruleset");
	OK(net_make_rules(f->net, &problem));
	assert_true(reaches_world(f, f->phv, "192.168.124.91", "203.0.113.1", PORT));
	assert_false(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	set_world(&s, f->hv, WORLD_CUT);
	assert_false(reaches_world(f, f->phv, "192.168.124.91", "203.0.113.1", PORT));
	stop(&s);
}

/* The fence is the host's: where neighbours are kept apart, no guest can send one. The sender has had an answer from
 * the host by then, so what it sent before has been dealt with. */
static bool passes_between(struct fixture *f, const struct peer *from, const struct peer *to, const char *source,
			   const char *to_address)
{
	int fd = frame_listen(to->netns), host = udp_bind(net_netns_fd(f->net), AF_INET, NULL, 0);
	struct frame frame;
	bool seen;

	frame_udp4(&frame, frame_everyone, from->mac, source, "192.168.122.255", 1, 2, "to a neighbour");
	frame_send(from, frame.bytes, frame.length);
	peer_do(from, "ping -c1 -W10 -q 192.168.122.1");
	assert_int_equal(udp_send(host, to_address, PORT, "FENCE"), 0);
	seen = frame_seen_before(fd, "to a neighbour", "FENCE");
	close(host);
	close(fd);
	return seen;
}

/* Whether a datagram gets from one guest to another through their gateway. */
static bool routed_between(struct fixture *f, const struct peer *from, const struct peer *to, const char *address)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET, server = udp_bind(to->netns, family, NULL, PORT);
	int client = udp_bind(from->netns, family, NULL, 0), host = udp_bind(net_netns_fd(f->net), family, NULL, 0);
	char buffer[16] = "";
	bool reached = false;

	peer_do(from, "ping -c1 -W10 -q %s",
		family == AF_INET ? (from == f->pf ? "192.168.123.1" : "192.168.122.1")
				  : (from == f->pf ? "fd00:123::1" : "fd00:122::1"));
	udp_send(client, address, PORT, "over");
	peer_do(from, "ping -c1 -W10 -q %s", from == f->pf ? "192.168.123.1" : "192.168.122.1");
	assert_int_equal(udp_send(host, address, PORT, "fence"), 0);
	while (strcmp(buffer, "fence") != 0) {
		struct timeval patience = {.tv_sec = 10};
		ssize_t n;

		setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		n = recv(server, buffer, sizeof(buffer) - 1, 0);
		if (n < 0)
			fail_msg("the fence did not arrive");
		buffer[n] = '\0';
		reached |= strcmp(buffer, "over") == 0;
	}
	close(server);
	close(client);
	close(host);
	return reached;
}

/* How many entries of connection tracking a namespace has with these words in them. */
static int flows(const char *netns, const char *words)
{
	cleanup_free char *count = machine_run("%s%s conntrack -L -f ipv4 2>/dev/null | grep -c '%s' || true",
					       netns ? "nsenter --net=/run/netns/" : "", netns ? netns : "", words);
	cleanup_free char *count6 = machine_run("%s%s conntrack -L -f ipv6 2>/dev/null | grep -c '%s' || true",
						netns ? "nsenter --net=/run/netns/" : "", netns ? netns : "", words);

	return atoi(count) + atoi(count6);
}

/* The guest's with the world, at both ends of the translation, and nobody else's. */
static void flows_end(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);
	struct talk admin, out, out6, neighbour, other, dhcp;

	if (!machine_try("conntrack -V"))
		skip();
	peer_do(f->pd, "ip addr add 192.168.122.150/24 dev eth0; ip route add default via 192.168.122.1");
	assert_true(tcp_open(&admin, net_netns_fd(f->net), f->pa->netns, "192.168.122.10", 22));
	assert_true(tcp_open(&out, f->pa->netns, f->m->world, "203.0.113.1", 8001));
	assert_true(tcp_open(&out6, f->pa->netns, f->m->world, "2001:db8::1", 8002));
	assert_true(tcp_open(&neighbour, f->pa->netns, f->pf->netns, "192.168.123.10", 8003));
	assert_true(tcp_open(&other, f->pb->netns, f->m->world, "203.0.113.1", 8004));
	assert_true(tcp_open(&dhcp, f->pd->netns, f->m->world, "203.0.113.1", 8005));
	assert_int_equal(flows("nestvisor-iso-test", "dport=800[1-5]"), 5);
	assert_int_equal(flows(NULL, "dport=800[1-5]"), 4);
	set_world(&s, f->a, WORLD_CUT);
	assert_int_equal(s.flows, 2);
	assert_int_equal(flows("nestvisor-iso-test", "dport=800[12]"), 0);
	assert_int_equal(flows(NULL, "dport=800[12]"), 0);
	assert_int_equal(flows("nestvisor-iso-test", "dport=800[345]"), 3);
	assert_int_equal(flows(NULL, "dport=800[45]"), 2);
	assert_int_equal(flows("nestvisor-iso-test", "dport=22 "), 1);
	/* By its Ethernet address, and with its neighbours. */
	set_world(&s, f->dhcp, WORLD_CUT);
	assert_int_equal(s.flows, 1);
	assert_int_equal(flows(NULL, "dport=8005"), 0);
	set(&s, f->a, (struct isolation_setting){.world = WORLD_CUT, .neighbours = NEIGHBOURS_DROP});
	assert_int_equal(flows("nestvisor-iso-test", "dport=8003"), 0);
	assert_int_equal(flows("nestvisor-iso-test", "dport=22 "), 1);
	assert_true(tcp_say(admin.client, admin.server, "still"));
	assert_true(tcp_say(other.client, other.server, "still"));
	set_world(&s, f->a, WORLD_SEALED);
	assert_int_equal(flows("nestvisor-iso-test", "dport=22 "), 0);
	tcp_close(&admin);
	tcp_close(&out);
	tcp_close(&out6);
	tcp_close(&neighbour);
	tcp_close(&other);
	tcp_close(&dhcp);
	stop(&s);
}

/* They are read in another way when they are few, and page by page. */
static void many_flows_end(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);
	const size_t counts[] = {60, 300};
	int begun;
	int fd = udp_bind(f->pa->netns, AF_INET, NULL, 0), fd6 = udp_bind(f->pa->netns, AF_INET6, NULL, 0);

	if (!machine_try("conntrack -V"))
		skip();
	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < counts[i]; j++)
			assert_int_equal(j % 2 ? udp_send(fd6, "2001:db8::1", (uint16_t)(8000 + j), "hello")
					       : udp_send(fd, "203.0.113.1", (uint16_t)(8000 + j), "hello"),
					 0);
		assert_true(talks(f->pa->netns, f->m->world, NULL, "203.0.113.1")); /* behind all of them */
		begun = flows("nestvisor-iso-test", "dport=8[0-9][0-9][0-9]");
		assert_true(begun > (int)counts[i] / 2); /* some were lost in a queue */
		set_world(&s, f->a, WORLD_CUT);
		assert_int_equal(s.flows, begun + 1);
		assert_int_equal(flows("nestvisor-iso-test", "dport=8[0-9][0-9][0-9]"), 0);
		assert_int_equal(flows(NULL, "dport=8[0-9][0-9][0-9]"), 0);
		set_world(&s, f->a, WORLD_OPEN);
	}
	close(fd);
	close(fd6);
	stop(&s);
}

struct told {
	struct netlink *ending;
	bool ports[400];
	size_t count;
};

/* Ends others while they are read: the next page begins elsewhere then. */
static void take_and_end(const struct flow *flow, void *data)
{
	struct told *told = data;
	unsigned number = flow->original.destination_port - 8000u;

	if (number >= 400 || told->ports[number])
		return;
	told->ports[number] = true;
	told->count++;
	if (number % 2)
		OK(tracking_end(told->ending, &flow->original, &problem));
}

/* Few and many: whatever ends meanwhile, each that does not is told of, or it is said that one may not be. */
static void no_flow_is_left_out(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);
	const size_t counts[] = {0, 1, 60, 400};
	int netns = net_netns_fd(f->net), fd = udp_bind(netns, AF_INET, NULL, 0);
	struct netlink reading, ending;

	OK(netlink_open(&reading, netns, NETLINK_NETFILTER, &problem));
	OK(netlink_open(&ending, netns, NETLINK_NETFILTER, &problem));
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		for (int few = 0; few < 2; few++) {
			struct told told = {.ending = &ending};
			bool all = true;

			for (size_t j = 0; j < counts[i]; j++)
				udp_send(fd, "127.0.0.1", (uint16_t)(8000 + j), "hello");
			if (few)
				OK(tracking_read_few(&reading, netns, take_and_end, &told, &all, &problem));
			else
				OK(tracking_read(&reading, netns, take_and_end, &told, &problem));
			assert_true(told.count <= counts[i]);
			for (size_t j = 0; all && j < counts[i]; j += 2)
				assert_true(told.ports[j]);
			assert_true(all || (counts[i] == 60 && few)); /* more than a page of /proc */
		}
	netlink_close(&reading);
	netlink_close(&ending);
	close(fd);
	stop(&s);
}

/* A kernel without ctnetlink refuses the question as this other part of it does (-EINVAL). */
static void flows_that_are_not_told_are_no_success(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);
	cleanup_error struct error *err = NULL;
	int netns = net_netns_fd(f->net), fd = udp_bind(netns, AF_INET, NULL, 0);
	struct told told = {0};
	struct netlink other;

	OK(netlink_open(&other, netns, NETLINK_SOCK_DIAG, &problem));
	udp_send(fd, "127.0.0.1", 8000, "hello");
	assert_int_equal(tracking_read(&other, netns, take_and_end, &told, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err->message, "tracks connections"));
	machine_do("ip netns add untracked");
	{
		int untracked = netns_of("untracked");

		OK(tracking_read(&other, untracked, take_and_end, &told, &problem));
		close(untracked);
	}
	machine_do("ip netns del untracked");
	assert_int_equal(told.count, 0);
	netlink_close(&other);
	close(fd);
	stop(&s);
}

static void alone_among_neighbours(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);
	struct talk admin, neighbour;

	assert_true(passes_between(f, f->pa, f->pb, "192.168.122.10", "192.168.122.11"));
	assert_true(routed_between(f, f->pa, f->pf, "192.168.123.10"));
	assert_true(tcp_open(&admin, net_netns_fd(f->net), f->pa->netns, "192.168.122.10", 22));
	assert_true(tcp_open(&neighbour, f->pf->netns, f->pa->netns, "192.168.122.10", 23));
	set(&s, f->a, (struct isolation_setting){.world = WORLD_CUT, .neighbours = NEIGHBOURS_DROP});
	assert_false(passes_between(f, f->pa, f->pb, "192.168.122.10", "192.168.122.11"));
	assert_false(routed_between(f, f->pa, f->pf, "192.168.123.10"));
	assert_false(routed_between(f, f->pa, f->pf, "fd00:123::10"));
	assert_false(routed_between(f, f->pf, f->pa, "192.168.122.10"));
	assert_false(routed_between(f, f->pf, f->pa, "fd00:122::10"));
	assert_int_equal(send(neighbour.client, "leak", 4, 0), 4);
	assert_int_equal(send(neighbour.server, "leak", 4, 0), 4);
	assert_true(tcp_say(admin.client, admin.server, "still"));
	assert_true(tcp_say(admin.server, admin.client, "here"));
	assert_false(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_true(has_nothing(neighbour.client));
	assert_true(has_nothing(neighbour.server));
	assert_true(passes_between(f, f->pb, f->ps, "192.168.122.11", "192.168.122.12"));
	/* One that lies behind a host is known by its address. */
	set(&s, f->deep, (struct isolation_setting){.world = WORLD_CUT, .neighbours = NEIGHBOURS_DROP});
	assert_false(passes_between(f, f->phv, f->pb, "192.168.124.91", "192.168.122.11"));
	assert_true(passes_between(f, f->phv, f->pb, "192.168.122.20", "192.168.122.11"));
	assert_true(talks(net_netns_fd(f->net), f->phv->netns, NULL, "192.168.124.91"));
	tcp_close(&admin);
	tcp_close(&neighbour);
	stop(&s);
}

/* An open neighbour could carry on what it is given. */
static void no_open_relay(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);

	set(&s, f->a, (struct isolation_setting){.world = WORLD_CUT, .neighbours = NEIGHBOURS_CUT});
	assert_false(passes_between(f, f->pa, f->pb, "192.168.122.10", "192.168.122.11"));
	assert_false(passes_between(f, f->pb, f->pa, "192.168.122.11", "192.168.122.10"));
	assert_false(routed_between(f, f->pa, f->pf, "192.168.123.10"));
	assert_false(routed_between(f, f->pf, f->pa, "192.168.122.10"));
	set_world(&s, f->b, WORLD_CUT);
	set_world(&s, f->far, WORLD_CUT);
	assert_false(passes_between(f, f->pa, f->ps, "192.168.122.10", "192.168.122.12"));
	assert_true(talks(f->pa->netns, f->pb->netns, NULL, "192.168.122.11"));
	assert_true(talks(f->pb->netns, f->pa->netns, NULL, "192.168.122.10"));
	assert_true(routed_between(f, f->pa, f->pf, "192.168.123.10"));
	assert_true(routed_between(f, f->pf, f->pa, "192.168.122.10"));
	assert_true(talks(net_netns_fd(f->net), f->pa->netns, NULL, "192.168.122.10"));
	/* Open for a while is open. */
	set(&s, f->far, open_for(3600 * 1000));
	assert_false(routed_between(f, f->pa, f->pf, "192.168.123.10"));
	assert_false(routed_between(f, f->pf, f->pa, "192.168.122.10"));
	stop(&s);
}

static void chosen_places_stay(void **state)
{
	struct fixture *f = *state;
	struct switching s = start(f);
	struct allowance allowed[2];
	struct talk kept;

	assert_true(allowance_parse("203.0.113.1:443", &allowed[0]));
	assert_true(allowance_parse("2001:db8::1", &allowed[1]));
	assert_true(tcp_open(&kept, f->pa->netns, f->m->world, "203.0.113.1", 443));
	set(&s, f->a, (struct isolation_setting){.world = WORLD_CUT, .allowed = allowed, .allowed_count = 2});
	assert_true(tcp_say(kept.client, kept.server, "question"));
	assert_true(tcp_say(kept.server, kept.client, "answer"));
	assert_true(reaches_world(f, f->pa, NULL, "2001:db8::1", PORT));
	assert_false(reaches_world(f, f->pa, NULL, "203.0.113.1", 443)); /* UDP was not said */
	assert_false(reaches_world(f, f->pa, NULL, "203.0.113.1", PORT));
	assert_true(talks(f->pa->netns, f->m->world, NULL, "2001:db8::1"));
	/* Another guest's places are its own. */
	set_world(&s, f->b, WORLD_CUT);
	assert_false(reaches_world(f, f->pb, NULL, "2001:db8::1", PORT));
	set_world(&s, f->a, WORLD_CUT);
	assert_false(reaches_world(f, f->pa, NULL, "2001:db8::1", PORT));
	tcp_close(&kept);
	stop(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, isolation_set_up, isolation_tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(elements_and_texts_agree),
		TEST(what_others_did_to_the_rules_is_mended),
		TEST(cut_and_open),
		TEST(an_opening_ends_by_itself),
		TEST(flows_end),
		TEST(many_flows_end),
		TEST(no_flow_is_left_out),
		TEST(flows_that_are_not_told_are_no_success),
		TEST(alone_among_neighbours),
		TEST(no_open_relay),
		TEST(chosen_places_stay),
	};

	return cmocka_run_group_tests_name("switch", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
