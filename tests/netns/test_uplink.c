/* The way out: packets of guests to a world and back, and a machine that is otherwise left as it was. */
#include "machine.h"
#include "testlab.h"

#include "base/cleanup.h"
#include "base/process.h"
#include "base/report.h"
#include "base/strbuf.h"

#include <errno.h>
#include <netinet/tcp.h>
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
	struct network *nat, *route, *none;
	struct guest *a, *b, *c; /* on these */
	char veth[16];
	struct strbuf said; /* what was reported */
	struct reporter reporter;
};

static void note(struct reporter *reporter, enum report_kind kind, const char *subject, const char *text)
{
	struct fixture *f = (struct fixture *)((char *)reporter - offsetof(struct fixture, reporter));

	strbuf_printf(&f->said, "%s %s: %s\n", kind == REPORT_WARNING ? "warning" : "note", subject, text);
}

static struct fixture *fixture_new(unsigned layer)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char id[ID_TEXT_SIZE];

	f->reporter.event = note;
	f->m = machine_new();
	f->lab = testlab_new("up-test", layer ? "hv1" : "", layer);
	f->nat = testlab_network(f->lab, f->lab->root, "nat", "192.168.122.0/24", "fd00:122::/64", UPLINK_NAT);
	f->route = testlab_network(f->lab, f->lab->root, "route", "192.168.123.0/24", "fd00:123::/64", UPLINK_ROUTE);
	f->none = testlab_network(f->lab, f->lab->root, "none", "192.168.50.0/24", "fd00:50::/64", UPLINK_NONE);
	f->a = testlab_guest(f->lab, f->lab->root, "a");
	testlab_nic(f->lab, f->a, f->nat, "192.168.122.10", "fd00:122::10");
	f->b = testlab_guest(f->lab, f->lab->root, "b");
	testlab_nic(f->lab, f->b, f->route, "192.168.123.10", "fd00:123::10");
	f->c = testlab_guest(f->lab, f->lab->root, "c");
	testlab_nic(f->lab, f->c, f->none, "192.168.50.10", "fd00:50::10");
	model_derive_id("up-test", "", id);
	snprintf(f->veth, sizeof(f->veth), "nv%sw", id);
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
	OK(net_remove_all("up-test", f->m->run, &problem));
	lab_free(f->lab);
	machine_free(f->m);
	free(f->said.text);
	free(f);
	return 0;
}

static void make_net(struct net *net, const struct lab *lab, struct reporter *reporter)
{
	OK(net_make_namespace(net, &problem));
	OK(net_make_rules(net, &problem));
	OK(net_make_uplink(net, reporter, &problem));
	for (size_t i = 0; i < lab->root->network_count; i++)
		OK(net_make_network(net, lab->root->networks[i], &problem));
	OK(net_make_routes(net, &problem));
}

static void make_all(struct fixture *f)
{
	make_net(f->net, f->lab, &f->reporter);
}

/* One datagram there and its answer back; seen: who the other side thinks it is from. */
static void exchange(int from, int to, const char *address, char seen[80])
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET;
	int client = udp_bind(from, family, NULL, 0), server = udp_bind(to, family, address, PORT);

	assert_int_equal(udp_send(client, address, PORT, "ask"), 0);
	udp_answer(server, "ask", "tell", seen);
	udp_expect(client, "tell", NULL);
	close(client);
	close(server);
}

static void nat_leaves_with_the_machines_address(void **state)
{
	struct fixture *f = *state;
	struct peer *a;
	struct talk talk;
	char seen[80];

	machine_forward(true);
	make_all(f);
	a = peer_new(f->m, f->net, f->a);
	exchange(a->netns, f->m->world, "203.0.113.1", seen);
	assert_string_equal(seen, "203.0.113.2");
	exchange(a->netns, f->m->world, "2001:db8::1", seen);
	assert_string_equal(seen, "2001:db8::2");
	assert_true(tcp_open(&talk, a->netns, f->m->world, "203.0.113.1", PORT));
	assert_string_equal(talk.seen, "203.0.113.2");
	assert_true(tcp_say(talk.client, talk.server, "hello"));
	tcp_close(&talk);
	assert_true(tcp_open(&talk, a->netns, f->m->world, "2001:db8::1", PORT));
	tcp_close(&talk);
	assert_null(f->said.text); /* nothing to complain about */
	/* From the namespace itself, where administrators come from. */
	exchange(net_netns_fd(f->net), a->netns, "192.168.122.10", seen);
	assert_string_equal(seen, "192.168.122.1");
	peer_do(a, "ping -c1 -W10 -q 203.0.113.1 && ping -c1 -W10 -q 2001:db8::1 && ping -c1 -W10 -q 192.168.122.1");
}

/* Before, after, and after it is taken away. */
static void the_machine_stays_as_it_was(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *before = NULL, *during = NULL, *after = NULL, *all = NULL;

	machine_forward(true);
	machine_do("nft 'table inet foreign { chain forward { type filter hook forward priority 0; }; }'");
	before = machine_picture("", "");
	make_all(f);
	during = machine_picture(f->veth, "up-test");
	/* The name of the namespace is the one thing more. */
	all = machine_run("ip netns | grep -c nestvisor-up-test");
	assert_string_equal(all, "1\n");
	machine_same(before, during);
	OK(net_remove_all("up-test", f->m->run, &problem));
	after = machine_picture("", "");
	machine_same(before, after);
	machine_do("nft delete table inet foreign");
}

static void routed_networks_keep_their_addresses(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *routes = NULL;
	struct peer *a, *b;
	struct talk talk;
	char seen[80];

	machine_forward(true);
	make_all(f);
	a = peer_new(f->m, f->net, f->a);
	b = peer_new(f->m, f->net, f->b);
	routes = machine_run("ip route show proto 110; ip -6 route show proto 110");
	assert_non_null(strstr(routes, "192.168.123.0/24 via 100."));
	assert_non_null(strstr(routes, "fd00:123::/64 via fd"));
	assert_null(strstr(routes, "192.168.122.0"));
	assert_null(strstr(routes, "192.168.50.0"));
	/* The world knows the way. */
	machine_do("ip -n world route add 192.168.122.0/23 via 203.0.113.2; ip -n world route add fd00:122::/31 via "
		   "2001:db8::2");
	exchange(b->netns, f->m->world, "203.0.113.1", seen);
	assert_string_equal(seen, "192.168.123.10");
	exchange(b->netns, f->m->world, "2001:db8::1", seen);
	assert_string_equal(seen, "fd00:123::10");
	/* In from above: to the routed one. */
	exchange(f->m->world, b->netns, "192.168.123.10", seen);
	assert_string_equal(seen, "203.0.113.1");
	exchange(f->m->world, b->netns, "fd00:123::10", seen);
	assert_true(tcp_open(&talk, f->m->home, b->netns, "192.168.123.10", PORT));
	tcp_close(&talk);
	/* Not to the translated one, even by somebody who makes himself a route. */
	machine_do(
		"ip route add 192.168.122.0/24 dev %s via $(ip route show proto 110 | sed -n 's/.* via \\([0-9.]*\\) "
		".*/\\1/p' | head -1)",
		f->veth);
	{
		int server = udp_bind(a->netns, AF_INET, NULL, PORT), fence = udp_bind(b->netns, AF_INET, NULL, PORT);
		int client = udp_bind(f->m->home, AF_INET, NULL, 0);

		assert_int_equal(udp_send(client, "192.168.122.10", PORT, "uninvited"), 0);
		assert_int_equal(udp_send(client, "192.168.123.10", PORT, "fence"), 0);
		udp_expect(fence, "fence", NULL);
		assert_true(udp_silent(server));
		close(server);
		close(fence);
		close(client);
	}
	/* Networks of one host that have an uplink reach each other. */
	exchange(a->netns, b->netns, "192.168.123.10", seen);
	assert_string_equal(seen, "192.168.122.10");
}

static void none_stays_inside(void **state)
{
	struct fixture *f = *state;
	int world, inside, neighbour;
	struct peer *a, *c;

	machine_forward(true);
	make_all(f);
	a = peer_new(f->m, f->net, f->a);
	c = peer_new(f->m, f->net, f->c);
	world = udp_bind(f->m->world, AF_INET, NULL, PORT);
	neighbour = udp_bind(a->netns, AF_INET, NULL, PORT);
	inside = udp_bind(c->netns, AF_INET, NULL, PORT);
	assert_int_equal(udp_send(inside, "203.0.113.1", PORT, "out"), 0);
	assert_int_equal(udp_send(inside, "192.168.122.10", PORT, "over"), 0);
	assert_int_equal(udp_send(neighbour, "192.168.50.10", PORT, "in"), 0);
	assert_int_equal(udp_send(neighbour, "203.0.113.1", PORT, "fence"), 0);
	udp_expect(world, "fence", NULL);
	/* The host and its guest still talk. */
	peer_do(c, "ping -c1 -W10 -q 192.168.50.1 && ping -c1 -W10 -q fd00:50::1");
	assert_true(udp_silent(world));
	assert_true(udp_silent(neighbour));
	assert_true(udp_silent(inside));
	close(world);
	close(neighbour);
	close(inside);
}

/* An uplink taken from a network ends the flows that it has. */
static void none_ends_living_flows(void **state)
{
	struct fixture *f = *state;
	struct talk talk, fence;
	struct peer *a, *b;

	machine_forward(true);
	machine_do("ip -n world route add 192.168.123.0/24 via 203.0.113.2");
	make_all(f);
	a = peer_new(f->m, f->net, f->a);
	b = peer_new(f->m, f->net, f->b);
	assert_true(tcp_open(&talk, a->netns, f->m->world, "203.0.113.1", PORT));
	assert_true(tcp_open(&fence, b->netns, f->m->world, "203.0.113.1", PORT + 1));
	f->nat->uplink = UPLINK_NONE;
	OK(net_make_rules(f->net, &problem));
	assert_int_equal(send(talk.client, "leak", 4, 0), 4);
	assert_int_equal(send(talk.server, "leak", 4, 0), 4);
	assert_true(tcp_say(fence.client, fence.server, "fence"));
	assert_true(tcp_say(fence.server, fence.client, "fence"));
	assert_true(udp_silent(talk.server));
	assert_true(udp_silent(talk.client));
	tcp_close(&talk);
	tcp_close(&fence);
}

static void two_labs_with_the_same_subnet(void **state)
{
	struct fixture *f = *state;
	struct lab *lab = testlab_new("up-twin", "", 0);
	struct network *nat = testlab_network(lab, lab->root, "nat", "192.168.122.0/24", "fd00:122::/64", UPLINK_NAT);
	struct guest *twin = testlab_guest(lab, lab->root, "a");
	cleanup_free char *run = NULL;
	struct peer *first, *second;
	struct net *net;
	char seen[80];

	testlab_nic(lab, twin, nat, "192.168.122.10", "fd00:122::10");
	assert_true(asprintf(&run, "%s/twin", f->m->run) > 0);
	machine_do("mkdir %s", run);
	machine_forward(true);
	make_all(f);
	OK(net_open(lab, run, &net, &problem));
	make_net(net, lab, NULL);
	first = peer_new(f->m, f->net, f->a);
	second = peer_new(f->m, net, twin);
	exchange(first->netns, f->m->world, "203.0.113.1", seen);
	exchange(second->netns, f->m->world, "203.0.113.1", seen);
	exchange(first->netns, f->m->world, "2001:db8::1", seen);
	exchange(second->netns, f->m->world, "2001:db8::1", seen);
	net_close(net);
	OK(net_remove_all("up-twin", run, &problem));
	exchange(first->netns, f->m->world, "203.0.113.1", seen); /* the other is none the worse for it */
	lab_free(lab);
}

static void transit_avoids_what_is_used(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *first = NULL, *second = NULL, *kept = NULL;

	machine_forward(true);
	make_all(f);
	first = machine_run("ip -br -4 addr show %s | awk '{print $3}'", f->veth);
	OK(net_remove_all("up-test", f->m->run, &problem));
	net_close(f->net);
	OK(net_open(f->lab, f->m->run, &f->net, &problem));
	machine_do("ip route add $(echo %.*s | sed 's/\\.[0-9]*\\/30/.0\\/24/') dev eth0", (int)strcspn(first, "\n"),
		   first);
	make_all(f);
	second = machine_run("ip -br -4 addr show %s | awk '{print $3}'", f->veth);
	assert_string_not_equal(first, second);
	/* What stands is kept, whatever has come since. */
	machine_do("ip route add 100.64.0.0/10 dev eth0");
	make_all(f);
	kept = machine_run("ip -br -4 addr show %s | awk '{print $3}'", f->veth);
	assert_string_equal(second, kept);
	OK(net_remove_all("up-test", f->m->run, &problem));
	net_close(f->net);
	OK(net_open(f->lab, f->m->run, &f->net, &problem));
	OK(net_make_namespace(f->net, &problem));
	{
		struct error *err = NULL;

		assert_int_equal(net_make_uplink(f->net, NULL, &err), -EADDRNOTAVAIL);
		assert_non_null(strstr(err->message, "100.64.0.0/10"));
		error_free(err);
	}
}

static void no_network_with_uplink_no_veth(void **state)
{
	struct fixture *f = *state;

	machine_forward(true);
	make_all(f);
	f->nat->uplink = f->route->uplink = UPLINK_NONE;
	make_all(f);
	assert_false(machine_try("ip link show %s 2>/dev/null", f->veth));
	assert_false(machine_try("ip -n nestvisor-up-test link show world 2>/dev/null"));
	assert_false(machine_try("nft list tables | grep -q nestvisor"));
}

static void without_forwarding_or_pasta_it_warns(void **state)
{
	struct fixture *f = *state;
	const char *path = getenv("PATH");
	cleanup_free char *saved = strdup(path);
	struct peer *a;
	char seen[80];

	setenv("PATH", "/nowhere", 1);
	OK(net_make_namespace(f->net, &problem));
	OK(net_make_uplink(f->net, &f->reporter, &problem));
	setenv("PATH", saved, 1);
	assert_non_null(strstr(f->said.text, "warning uplink: the lab has no way out"));
	assert_non_null(strstr(f->said.text, "sysctl -w net.ipv4.ip_forward=1"));
	assert_non_null(strstr(f->said.text, "apt install passt"));
	machine_do("grep -qx 0 /proc/sys/net/ipv4/ip_forward && grep -qx 0 /proc/sys/net/ipv6/conf/all/forwarding");
	/* The remedy is all it takes. */
	OK(net_make_rules(f->net, &problem));
	OK(net_make_network(f->net, f->nat, &problem));
	machine_do("sysctl -q -w net.ipv4.ip_forward=1");
	a = peer_new(f->m, f->net, f->a);
	exchange(a->netns, f->m->world, "203.0.113.1", seen);
	assert_string_equal(seen, "203.0.113.2");
	/* IPv6 is another matter, and said to be. */
	peer_do(a, "! ping -c1 -W1 -q 2001:db8::1 2>&1 >/dev/null");
	strbuf_printf(&f->said, "--\n");
	OK(net_make_uplink(f->net, &f->reporter, &problem));
	assert_non_null(strstr(strstr(f->said.text, "--\n"), "no way out over IPv6"));
}

/* The machine's own rules change all the time: ours are looked at one by one. */
static void rules_in_the_root_namespace_are_kept(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *before = NULL, *after = NULL, *mended = NULL;

	machine_forward(true);
	make_all(f);
	before = machine_run("nft -a list table inet nestvisor-up-test");
	assert_non_null(strstr(before, "masquerade"));
	machine_do("nft add table inet foreign");
	make_all(f);
	after = machine_run("nft -a list table inet nestvisor-up-test");
	assert_string_equal(before, after); /* not loaded anew: the handles are the same */
	machine_do("nft flush chain inet nestvisor-up-test postrouting");
	make_all(f);
	mended = machine_run("nft list table inet nestvisor-up-test");
	assert_non_null(strstr(mended, "masquerade"));
	machine_do("nft delete table inet foreign");
}

/* As Docker and ufw leave it: forwarding is on, and all is dropped that is not theirs. */
static void a_firewall_that_drops_is_noticed(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *saved = strdup(getenv("PATH"));
	struct peer *a;
	char seen[80];

	machine_forward(true);
	machine_do(
		"nft 'table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }'");
	setenv("PATH", "/nowhere", 1);
	OK(net_make_namespace(f->net, &problem));
	OK(net_make_uplink(f->net, &f->reporter, &problem));
	setenv("PATH", saved, 1);
	assert_non_null(
		strstr(f->said.text, "firewall drops what is forwarded (chain ip filter FORWARD, policy drop)"));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_network(f->net, f->nat, &problem));
	a = peer_new(f->m, f->net, f->a);
	exchange(a->netns, f->m->world, "2001:db8::1", seen); /* no such chain for IPv6 */
	/* Without a word to its owner, by pasta. */
	if (machine_try("command -v pasta >/dev/null")) {
		strbuf_printf(&f->said, "--\n");
		OK(net_make_uplink(f->net, &f->reporter, &problem));
		exchange(a->netns, f->m->world, "203.0.113.1", seen);
		assert_string_equal(strstr(f->said.text, "--\n"), "--\n");
	}
	/* Or its owner does what is said. */
	{
		char *first = strchr(f->said.text, '`') + 1, *end = strchr(first, '`');

		machine_do("%.*s", (int)(end - first), first);
	}
	strbuf_printf(&f->said, "--\n");
	OK(net_make_uplink(f->net, &f->reporter, &problem));
	machine_do("ip link show %s", f->veth);
	exchange(a->netns, f->m->world, "203.0.113.1", seen);
	assert_string_equal(strrchr(f->said.text, '-'), "-\n");
	machine_do("nft delete table ip filter");
}

static void pasta_carries_where_the_machine_does_not_forward(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *before = NULL, *during = NULL, *pid = NULL, *pid_after = NULL, *caps = NULL;
	struct peer *a, *b;
	struct talk talk;
	char seen[80];

	if (!machine_try("command -v pasta >/dev/null")) {
		printf("SKIP: pasta is not installed (package passt)\n");
		skip();
	}
	before = machine_picture("", "");
	make_all(f);
	assert_null(f->said.text);
	during = machine_picture("", "up-test");
	machine_same(before, during);
	a = peer_new(f->m, f->net, f->a);
	b = peer_new(f->m, f->net, f->b);
	assert_true(tcp_open(&talk, a->netns, f->m->world, "203.0.113.1", PORT));
	assert_string_equal(talk.seen, "203.0.113.2");
	assert_true(tcp_say(talk.client, talk.server, "there"));
	assert_true(tcp_say(talk.server, talk.client, "and back"));
	tcp_close(&talk);
	exchange(a->netns, f->m->world, "203.0.113.1", seen);
	assert_string_equal(seen, "203.0.113.2");
	exchange(a->netns, f->m->world, "2001:db8::1", seen);
	assert_string_equal(seen, "2001:db8::2");
	exchange(b->netns, f->m->world, "203.0.113.1", seen); /* the routed network, too */
	/* Both at once: each gets its own answers. */
	assert_true(tcp_open(&talk, b->netns, f->m->world, "203.0.113.1", PORT));
	exchange(a->netns, f->m->world, "203.0.113.1", seen);
	assert_true(tcp_say(talk.server, talk.client, "for b"));
	tcp_close(&talk);
	/* It stays the same process, and holds little. */
	pid = machine_run("cat %s/pasta.pid", f->m->run);
	make_all(f);
	pid_after = machine_run("cat %s/pasta.pid", f->m->run);
	assert_string_equal(pid, pid_after);
	caps = machine_run("grep CapEff /proc/%d/status", atoi(pid));
	assert_non_null(strstr(caps, "CapEff:\t0000000000200400")); /* SYS_ADMIN, NET_BIND_SERVICE */
	/* Killed: gone, seen, and started anew. */
	{
		cleanup_free char *file = NULL;
		struct net_actual actual;
		struct process_id id;

		assert_true(asprintf(&file, "%s/pasta.pid", f->m->run) > 0);
		OK(process_read_pid_file(file, &id, &problem));
		machine_do("kill -9 %d", id.pid);
		OK(process_end(&id, 1000, &problem));
		OK(net_look(f->net, &actual, &problem));
		assert_false(actual.uplink_exists);
		net_actual_free(&actual);
	}
	make_all(f);
	exchange(a->netns, f->m->world, "203.0.113.1", seen);
	/* Once the machine forwards, the veth takes over. */
	machine_forward(true);
	make_all(f);
	machine_do("ip link show %s", f->veth);
	assert_false(machine_try("pidof passt passt.avx2 pasta"));
	exchange(a->netns, f->m->world, "203.0.113.1", seen);
	machine_forward(false);
	make_all(f);
	assert_false(machine_try("ip link show %s 2>/dev/null", f->veth));
	OK(net_remove_all("up-test", f->m->run, &problem));
	assert_false(machine_try("pidof passt passt.avx2 pasta"));
	assert_false(machine_try("ls %s | grep -q .", f->m->run));
}

static void a_pasta_that_does_not_start_is_said(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *saved = strdup(getenv("PATH"));

	machine_do("mkdir %s/bin && printf '#!/bin/sh\\nwhile [ $# -gt 1 ]; do [ $1 = --log-file ] && echo it is tired "
		   ">$2; shift; "
		   "done\\nexit 1\\n' >%s/bin/pasta && chmod +x %s/bin/pasta",
		   f->m->run, f->m->run, f->m->run);
	{
		cleanup_free char *path = NULL;

		assert_true(asprintf(&path, "%s/bin:%s", f->m->run, saved) > 0);
		setenv("PATH", path, 1);
		OK(net_make_namespace(f->net, &problem));
		OK(net_make_uplink(f->net, &f->reporter, &problem));
		setenv("PATH", saved, 1);
	}
	assert_non_null(strstr(f->said.text, "it is tired"));
	assert_non_null(strstr(f->said.text, "sysctl -w net.ipv4.ip_forward=1"));
	machine_do("rm -r %s/bin; ip link show %s", f->m->run, f->veth);
}

/* This machine as a guest of the lab: eth0 is its nic, and what is behind it is the layer above. */
static void a_nested_host_forwards(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *routes = NULL, *source = NULL;
	struct peer *a, *b;
	char seen[80];

	machine_do("ip -n world route add 192.168.123.0/24 via 203.0.113.2; ip -n world route add fd00:123::/64 via "
		   "2001:db8::2");
	make_all(f);
	assert_null(f->said.text);
	machine_do("grep -qx 1 /proc/sys/net/ipv4/ip_forward && grep -qx 1 /proc/sys/net/ipv6/conf/all/forwarding");
	a = peer_new(f->m, f->net, f->a);
	b = peer_new(f->m, f->net, f->b);
	exchange(f->m->world, b->netns, "192.168.123.10", seen);
	assert_string_equal(seen, "203.0.113.1");
	exchange(f->m->world, b->netns, "fd00:123::10", seen);
	exchange(b->netns, f->m->world, "203.0.113.1", seen);
	assert_string_equal(seen, "192.168.123.10");
	exchange(a->netns, f->m->world, "203.0.113.1", seen);
	assert_string_equal(seen, "203.0.113.2");
	exchange(a->netns, f->m->world, "2001:db8::1", seen);
	assert_string_equal(seen, "2001:db8::2");
	/* What the host's namespace says itself has an address that the layer above lets through. */
	exchange(net_netns_fd(f->net), f->m->world, "203.0.113.1", seen);
	assert_string_equal(seen, "192.168.123.1");
	/* The address goes with its bridge, and the route with the address; it comes back. */
	OK(net_remove_network(f->net, "route", &problem));
	OK(net_make_network(f->net, f->route, &problem));
	OK(net_make_routes(f->net, &problem));
	exchange(net_netns_fd(f->net), f->m->world, "203.0.113.1", seen);
	assert_string_equal(seen, "192.168.123.1");
}

/* TCP is told of a smaller MTU ahead before it finds out the hard way. */
static void segments_fit_the_way_out(void **state)
{
	struct fixture *f = *state;
	struct talk talk;
	struct peer *a;
	int mss = 0;
	socklen_t size = sizeof(mss);

	machine_forward(true);
	machine_do("ip link set eth0 mtu 1300");
	make_all(f);
	a = peer_new(f->m, f->net, f->a);
	assert_true(tcp_open(&talk, a->netns, f->m->world, "203.0.113.1", PORT));
	assert_int_equal(getsockopt(talk.server, IPPROTO_TCP, TCP_MAXSEG, &mss, &size), 0);
	assert_in_range(mss, 1, 1300 - 40);
	assert_int_equal(getsockopt(talk.client, IPPROTO_TCP, TCP_MAXSEG, &mss, &size), 0);
	assert_in_range(mss, 1, 1300 - 40);
	tcp_close(&talk);
	assert_true(tcp_open(&talk, a->netns, f->m->world, "2001:db8::1", PORT));
	assert_int_equal(getsockopt(talk.server, IPPROTO_TCP, TCP_MAXSEG, &mss, &size), 0);
	assert_in_range(mss, 1, 1300 - 60);
	tcp_close(&talk);
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define NESTED(name) cmocka_unit_test_setup_teardown(name, set_up_nested, tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(nat_leaves_with_the_machines_address),
		TEST(the_machine_stays_as_it_was),
		TEST(routed_networks_keep_their_addresses),
		TEST(none_stays_inside),
		TEST(none_ends_living_flows),
		TEST(two_labs_with_the_same_subnet),
		TEST(transit_avoids_what_is_used),
		TEST(no_network_with_uplink_no_veth),
		TEST(without_forwarding_or_pasta_it_warns),
		TEST(rules_in_the_root_namespace_are_kept),
		TEST(a_firewall_that_drops_is_noticed),
		TEST(pasta_carries_where_the_machine_does_not_forward),
		TEST(a_pasta_that_does_not_start_is_said),
		NESTED(a_nested_host_forwards),
		TEST(segments_fit_the_way_out),
	};

	return cmocka_run_group_tests_name("uplink", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
