/* dnsmasq for those who want it: leases and names as a guest gets them. */
#include "dns.h"
#include "machine.h"
#include "testlab.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct machine *m;
	struct lab *lab;
	struct net *net;
	struct network *lan, *quiet;
	struct guest *a, *free, *hv, *deep;
};

/* lan (nat): a with fixed addresses, free without, hv with deep behind it. quiet (none). Both with DHCP and DNS. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct network *inner;
	struct host *host;

	f->m = machine_new();
	machine_forward(true);
	f->lab = testlab_new("dhcp-test", "", 0);
	f->lan = testlab_network(f->lab, f->lab->root, "lan", "192.168.122.0/24", "fd00:122::/64", UPLINK_NAT);
	f->quiet = testlab_network(f->lab, f->lab->root, "quiet", "192.168.50.0/24", NULL, UPLINK_NONE);
	f->a = testlab_guest(f->lab, f->lab->root, "a");
	testlab_nic(f->lab, f->a, f->lan, "192.168.122.10", "fd00:122::10");
	f->free = testlab_guest(f->lab, f->lab->root, "free");
	testlab_nic(f->lab, f->free, f->lan, NULL, NULL);
	f->hv = testlab_guest(f->lab, f->lab->root, "hv");
	testlab_nic(f->lab, f->hv, f->lan, "192.168.122.20", NULL);
	host = testlab_host(f->lab, f->hv);
	inner = testlab_network(f->lab, host, "inner", "192.168.124.0/24", NULL, UPLINK_ROUTE);
	f->deep = testlab_guest(f->lab, host, "deep");
	testlab_nic(f->lab, f->deep, inner, "192.168.124.91", NULL);
	f->lan->dhcp = f->lan->dns = f->quiet->dhcp = f->quiet->dns = true;
	f->lan->mtu = 1400;
	OK(net_open(f->lab, f->m->run, &f->net, &problem));
	OK(net_make_namespace(f->net, &problem));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_uplink(f->net, NULL, &problem));
	OK(net_make_network(f->net, f->lan, &problem));
	OK(net_make_network(f->net, f->quiet, &problem));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	net_close(f->net);
	OK(net_remove_all("dhcp-test", f->m->run, &problem));
	lab_free(f->lab);
	machine_free(f->m);
	free(f);
	return 0;
}

static struct process_id dnsmasq_of(const struct fixture *f, const char *bridge)
{
	cleanup_free char *path = NULL;
	struct process_id id = {0};

	assert_true(asprintf(&path, "%s/dnsmasq-%s.pid", f->m->run, bridge) > 0);
	process_read_pid_file(path, &id, NULL);
	return id;
}

/* A client (RFC 2131) as small as can be: the options of one answer. */

struct dhcp {
	uint8_t op, htype, hlen, hops;
	uint32_t xid;
	uint16_t secs, flags;
	uint32_t ciaddr, yiaddr, siaddr, giaddr;
	uint8_t chaddr[16], sname[64], file[128];
	uint32_t magic;
	uint8_t options[312];
} __attribute__((packed));

struct lease {
	char address[INET_ADDRSTRLEN], router[INET_ADDRSTRLEN], resolver[INET_ADDRSTRLEN], server[INET_ADDRSTRLEN];
	char name[64], domain[64];
	unsigned mtu, type;
};

static void read_option(struct lease *lease, uint8_t code, const uint8_t *data, uint8_t length)
{
	if (code == 53)
		lease->type = data[0];
	else if (code == 26)
		lease->mtu = (unsigned)data[0] << 8 | data[1];
	else if (code == 3)
		inet_ntop(AF_INET, data, lease->router, sizeof(lease->router));
	else if (code == 6)
		inet_ntop(AF_INET, data, lease->resolver, sizeof(lease->resolver));
	else if (code == 54)
		inet_ntop(AF_INET, data, lease->server, sizeof(lease->server));
	else if (code == 12)
		snprintf(lease->name, sizeof(lease->name), "%.*s", length, (const char *)data);
	else if (code == 15)
		snprintf(lease->domain, sizeof(lease->domain), "%.*s", length, (const char *)data);
}

static uint8_t *option(uint8_t *at, uint8_t code, const void *data, uint8_t length)
{
	*at++ = code;
	*at++ = length;
	memcpy(at, data, length);
	return at + length;
}

/* One message and its answer: type 1 is a discover, 3 a request for the offered address. */
static void dhcp_round(int fd, const struct peer *peer, uint8_t type, struct lease *lease)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(67), .sin_addr = {INADDR_BROADCAST}};
	struct dhcp message = {.op = 1,
			       .htype = 1,
			       .hlen = 6,
			       .xid = 4711,
			       .flags = htons(0x8000), /* answer by broadcast */
			       .magic = htonl(0x63825363)};
	const uint8_t wanted[] = {3, 6, 12, 15, 26};
	struct timeval patience = {.tv_sec = 10};
	uint8_t *at = option(message.options, 53, &type, 1);
	struct in_addr ip;
	ssize_t length;

	memcpy(message.chaddr, peer->mac, 6);
	at = option(at, 55, wanted, sizeof(wanted));
	at = option(at, 12, "liar", 4); /* what it says of itself */
	if (type == 3) {
		inet_pton(AF_INET, lease->address, &ip);
		at = option(at, 50, &ip, 4);
		inet_pton(AF_INET, lease->server, &ip);
		at = option(at, 54, &ip, 4);
	}
	*at = 255;
	assert_true(sendto(fd, &message, sizeof(message), 0, (struct sockaddr *)&to, sizeof(to)) > 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	do /* broadcast: others' answers come by, too */
		length = recv(fd, &message, sizeof(message), 0);
	while (length >= (ssize_t)offsetof(struct dhcp, options) && memcmp(message.chaddr, peer->mac, 6) != 0);
	if (length < (ssize_t)offsetof(struct dhcp, options))
		fail_msg("no answer from a DHCP server");
	*lease = (struct lease){0};
	inet_ntop(AF_INET, &message.yiaddr, lease->address, sizeof(lease->address));
	for (at = message.options; at < (uint8_t *)&message + length && *at != 255; at += *at ? at[1] + 2 : 1)
		if (*at)
			read_option(lease, at[0], at + 2, at[1]);
}

static struct lease take_lease(const struct peer *peer)
{
	int fd = socket_in(peer->netns, AF_INET, SOCK_DGRAM, 0), yes = 1;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(68)};
	struct lease lease;

	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes));
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	dhcp_round(fd, peer, 1, &lease);
	assert_int_equal(lease.type, 2);
	dhcp_round(fd, peer, 3, &lease);
	assert_int_equal(lease.type, 5);
	close(fd);
	return lease;
}

static void fixed_and_free_leases(void **state)
{
	struct fixture *f = *state;
	struct peer *a, *free_one;
	struct lease lease;

	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	a = peer_new_on(f->m, f->net, &f->a->nics[0], false);
	free_one = peer_new_on(f->m, f->net, &f->free->nics[0], false);
	peer_do(a, "ip link set eth0 up");
	peer_do(free_one, "ip link set eth0 up");
	lease = take_lease(a);
	assert_string_equal(lease.address, "192.168.122.10");
	assert_string_equal(lease.router, "192.168.122.1");
	assert_string_equal(lease.resolver, "192.168.122.1");
	assert_string_equal(lease.name, "a");
	assert_string_equal(lease.domain, "dhcp-test");
	assert_int_equal(lease.mtu, 1400);
	lease = take_lease(free_one);
	assert_memory_equal(lease.address, "192.168.122.", 12);
	assert_in_range(atoi(lease.address + 12), 128, 254); /* the upper half */
	assert_string_equal(lease.name, "free");
	peer_do(free_one, "ip addr add %s/24 dev eth0; ip route add default via %s", lease.address, lease.router);
	/* It can be used: packets with it pass. And its name is known. */
	peer_do(free_one, "ping -c1 -W10 -q 192.168.122.1 && ping -c1 -W10 -q 203.0.113.1");
	{
		char answer[64];

		dns_ask(free_one->netns, "192.168.122.1", "free.dhcp-test", false, answer);
		assert_string_equal(answer, lease.address);
		dns_ask(free_one->netns, "192.168.122.1", "liar.dhcp-test", false, answer);
		assert_string_equal(answer, "3");
	}
}

static void ipv6_by_router_advertisement(void **state)
{
	struct fixture *f = *state;
	struct peer *free_one;

	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	free_one = peer_new_on(f->m, f->net, &f->free->nics[0], false);
	peer_do(free_one,
		"cd /proc/sys/net/ipv6/conf/eth0; echo 0 > router_solicitation_delay; echo 1 > accept_ra;"
		"ip -6 monitor route > %s/seen & p=$!; ip link set eth0 up;"
		"timeout 20 sh -c 'until ip -6 route show default | grep -q via; do read x < /proc/uptime; done'; "
		"r=$?; kill $p; exit $r",
		f->m->run);
	peer_do(free_one, "ip -6 route show default | grep -q 'via fe80::.*proto ra.*mtu 1400\\|via fe80::.*proto ra'");
}

static void names_at_any_depth(void **state)
{
	struct fixture *f = *state;
	char answer[64];
	struct peer *a;

	dns_set_upstream(f->m->run, "203.0.113.1");
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	OK(net_make_dhcp(f->net, f->quiet, NULL, &problem));
	a = peer_new(f->m, f->net, f->a);
	dns_ask(a->netns, "192.168.122.1", "a.dhcp-test", false, answer);
	assert_string_equal(answer, "192.168.122.10");
	dns_ask(a->netns, "192.168.122.1", "a.dhcp-test", true, answer);
	assert_string_equal(answer, "fd00:122::10");
	dns_ask(a->netns, "192.168.122.1", "a", false, answer);
	assert_string_equal(answer, "192.168.122.10");
	dns_ask(a->netns, "192.168.122.1", "deep.hv.dhcp-test", false, answer);
	assert_string_equal(answer, "192.168.124.91");
	dns_ask(a->netns, "192.168.122.1", "nobody.dhcp-test", false, answer);
	assert_string_equal(answer, "3"); /* NXDOMAIN: the world is not asked for the lab's names */
	/* The world is asked for others: its resolver is our test. */
	{
		int resolver = udp_bind(f->m->world, AF_INET, "203.0.113.1", 53);
		int client = udp_bind(a->netns, AF_INET, NULL, 0);
		uint8_t question[DNS_SIZE];
		size_t length = dns_question(question, "example.org", false);
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
		struct timeval patience = {.tv_sec = 10};
		char buffer[512];

		inet_pton(AF_INET, "192.168.122.1", &to.sin_addr);
		assert_true(sendto(client, question, length, 0, (struct sockaddr *)&to, sizeof(to)) > 0);
		setsockopt(resolver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		assert_true(recv(resolver, buffer, sizeof(buffer), 0) > 12);
		assert_memory_equal(buffer + 12, question + 12, 12);
		/* From a network that stays inside, nothing of it goes out: refused at once. */
		dns_ask(net_netns_fd(f->net), "192.168.50.1", "example.org", false, answer);
		assert_string_equal(answer, "5");
		close(resolver);
		close(client);
	}
	dns_unset_upstream();
}

static void one_process_that_stays(void **state)
{
	struct fixture *f = *state;
	struct process_id first, second;
	cleanup_free char *where = NULL, *files = NULL;

	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	first = dnsmasq_of(f, "lan");
	assert_true(process_alive(&first));
	where = machine_run("ip netns identify %d", first.pid);
	assert_string_equal(where, "nestvisor-dhcp-test\n");
	/* Its own file, the machine's, is left to the machine. */
	assert_int_not_equal(access("/run/dnsmasq.pid", F_OK), 0);
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	second = dnsmasq_of(f, "lan");
	assert_int_equal(first.pid, second.pid);
	/* On its own bridge only: the other network's has the same ports. */
	OK(net_make_dhcp(f->net, f->quiet, NULL, &problem));
	/* Another guest, another configuration, another process. */
	testlab_nic(f->lab, testlab_guest(f->lab, f->lab->root, "new"), f->lan, "192.168.122.33", NULL);
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	second = dnsmasq_of(f, "lan");
	assert_int_not_equal(first.pid, second.pid);
	assert_false(process_alive(&first));
	/* Killed: started anew. */
	machine_do("kill -9 %d", second.pid);
	OK(process_end(&second, 1000, &problem));
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	first = dnsmasq_of(f, "lan");
	assert_true(process_alive(&first));
	/* Not wanted any more: gone. */
	f->lan->dhcp = f->lan->dns = false;
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	assert_false(process_alive(&first));
	first = dnsmasq_of(f, "quiet");
	assert_true(process_alive(&first));
	OK(net_remove_network(f->net, "quiet", &problem));
	assert_false(process_alive(&first));
	files = machine_run("ls %s | grep dnsmasq", f->m->run);
	assert_string_equal(files, "");
}

static void removed_with_all(void **state)
{
	struct fixture *f = *state;
	struct process_id lan, quiet;

	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	OK(net_make_dhcp(f->net, f->quiet, NULL, &problem));
	lan = dnsmasq_of(f, "lan");
	quiet = dnsmasq_of(f, "quiet");
	OK(net_remove_all("dhcp-test", f->m->run, &problem));
	assert_false(process_alive(&lan));
	assert_false(process_alive(&quiet));
	assert_false(machine_try("ls %s | grep -q .", f->m->run));
}

/* A pid file whose process is gone and whose number somebody else has now. */
static void a_stranger_with_its_number_lives(void **state)
{
	struct fixture *f = *state;

	machine_do("sleep 1000 >/dev/null 2>&1 & echo $! 12345 > %s/dnsmasq-lan.pid", f->m->run);
	OK(net_remove_all("dhcp-test", f->m->run, &problem));
	machine_do("pidof sleep && kill $(pidof sleep)");
}

static void a_port_in_use_is_said(void **state)
{
	struct fixture *f = *state;
	int taken = udp_bind(net_netns_fd(f->net), AF_INET, "192.168.122.1", 53);
	struct error *err = NULL;

	assert_int_equal(net_make_dhcp(f->net, f->lan, NULL, &err), -EIO);
	assert_non_null(strstr(err->message, "network lan: dnsmasq ended at once"));
	assert_non_null(strstr(err->message, "Address already in use"));
	error_free(err);
	close(taken);
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
}

static void a_missing_dnsmasq_is_said(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *saved = strdup(getenv("PATH"));
	struct error *err = NULL;

	setenv("PATH", "/nowhere", 1);
	assert_int_equal(net_make_dhcp(f->net, f->lan, NULL, &err), -ENOENT);
	setenv("PATH", saved, 1);
	assert_non_null(strstr(err->hint, "dnsmasq-base"));
	error_free(err);
}

/* The micro image knows nobody but root. */
static void a_system_without_users(void **state)
{
	struct fixture *f = *state;
	struct process_id id;

	machine_do("touch %s/none && mount --bind %s/none /etc/passwd && mount --bind %s/none /etc/group", f->m->run,
		   f->m->run, f->m->run);
	OK(net_make_dhcp(f->net, f->lan, NULL, &problem));
	id = dnsmasq_of(f, "lan");
	assert_true(process_alive(&id));
	machine_do("umount /etc/passwd /etc/group; rm %s/none", f->m->run);
}

static void waiting_can_be_cancelled(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *saved = strdup(getenv("PATH")), *path = NULL;
	struct error *err = NULL;
	struct cancel cancel;

	machine_do(
		"mkdir %s/bin && printf '#!/bin/sh\\nexec sleep 1000\\n' > %s/bin/dnsmasq && chmod +x %s/bin/dnsmasq",
		f->m->run, f->m->run, f->m->run);
	assert_true(asprintf(&path, "%s/bin:%s", f->m->run, saved) > 0);
	assert_int_equal(cancel_open(&cancel), 0);
	cancel_request(&cancel);
	setenv("PATH", path, 1);
	assert_int_equal(net_make_dhcp(f->net, f->lan, &cancel, &err), -ECANCELED);
	setenv("PATH", saved, 1);
	error_free(err);
	cancel_close(&cancel);
	machine_do("rm -r %s/bin", f->m->run);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(fixed_and_free_leases),  TEST(ipv6_by_router_advertisement),
		TEST(names_at_any_depth),     TEST(one_process_that_stays),
		TEST(removed_with_all),	      TEST(a_stranger_with_its_number_lives),
		TEST(a_port_in_use_is_said),  TEST(a_missing_dnsmasq_is_said),
		TEST(a_system_without_users), TEST(waiting_can_be_cancelled),
	};

	if (!dns_installed()) {
		printf("SKIP: dnsmasq is not installed (package dnsmasq-base)\n");
		return 77;
	}
	return cmocka_run_group_tests_name("dhcp", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
