/* Namespaces, bridges, taps, tunnels and routes, made for real and looked at with other people's programs. */
#include "machine.h"
#include "testlab.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

struct fixture {
	struct machine *m;
	struct lab *lab;
	struct net *net;
	struct network *lan, *quiet;
	struct guest *hv1, *b, *deep;
	struct network *inner;
};

/* L0: lan (nat) with hv1 and b, quiet (none). hv1: inner (route) with deep. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct host *host;

	f->m = machine_new();
	f->lab = testlab_new("net-test", "", 0);
	f->lan = testlab_network(f->lab, f->lab->root, "lan", "192.168.122.0/24", "fd00:122::/64", UPLINK_NAT);
	f->quiet = testlab_network(f->lab, f->lab->root, "quiet", "192.168.50.0/24", NULL, UPLINK_NONE);
	f->hv1 = testlab_guest(f->lab, f->lab->root, "hv1");
	testlab_nic(f->lab, f->hv1, f->lan, "192.168.122.191", "fd00:122::191");
	f->b = testlab_guest(f->lab, f->lab->root, "b");
	testlab_nic(f->lab, f->b, f->lan, "192.168.122.5", "fd00:122::5");
	host = testlab_host(f->lab, f->hv1);
	f->inner = testlab_network(f->lab, host, "inner", "192.168.124.0/24", "fd00:124::/64", UPLINK_ROUTE);
	f->deep = testlab_guest(f->lab, host, "deep");
	testlab_nic(f->lab, f->deep, f->inner, "192.168.124.91", "fd00:124::91");
	OK(net_open(f->lab, f->m->run, &f->net, &problem));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	net_close(f->net);
	OK(net_remove_all("net-test", f->m->run, &problem));
	lab_free(f->lab);
	machine_free(f->m);
	free(f);
	return 0;
}

static void make_all(struct fixture *f)
{
	OK(net_make_namespace(f->net, &problem));
	for (size_t i = 0; i < f->lab->root->network_count; i++)
		OK(net_make_network(f->net, f->lab->root->networks[i], &problem));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_uplink(f->net, NULL, &problem));
	OK(net_make_routes(f->net, &problem));
}

static void namespace_has_name_and_settings(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *names = NULL, *settings = NULL, *lo = NULL;

	assert_false(net_namespace_exists(f->net));
	assert_int_equal(net_netns_fd(f->net), -1);
	OK(net_make_namespace(f->net, &problem));
	assert_true(net_namespace_exists(f->net));
	names = machine_run("ip netns list");
	assert_non_null(strstr(names, "nestvisor-net-test"));
	settings =
		machine_run("nsenter --net=/run/netns/nestvisor-net-test sh -c 'cd /proc/sys/net; cat ipv4/ip_forward "
			    "ipv6/conf/all/forwarding ipv4/conf/all/rp_filter ipv4/conf/default/send_redirects "
			    "ipv4/conf/all/accept_redirects ipv6/conf/default/accept_ra "
			    "ipv6/conf/default/disable_ipv6' | tr '\\n' ' '");
	assert_string_equal(settings, "1 1 1 0 0 0 1 ");
	lo = machine_run("ip -n nestvisor-net-test -br link show lo");
	assert_non_null(strstr(lo, "UP"));
}

static void an_existing_namespace_is_taken_over(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *before = NULL, *after = NULL;
	struct net *second;

	OK(net_make_namespace(f->net, &problem));
	before = machine_run("stat -c %%i -L /run/netns/nestvisor-net-test");
	OK(net_make_namespace(f->net, &problem));
	OK(net_open(f->lab, f->m->run, &second, &problem));
	assert_true(net_namespace_exists(second));
	OK(net_make_namespace(second, &problem));
	net_close(second);
	after = machine_run("stat -c %%i -L /run/netns/nestvisor-net-test");
	machine_same(before, after);
}

/* `ip netns del` by somebody, while we have it open. */
static void a_namespace_that_lost_its_name_is_made_anew(void **state)
{
	struct fixture *f = *state;

	make_all(f);
	machine_do("ip netns del nestvisor-net-test");
	make_all(f);
	machine_do("ip -n nestvisor-net-test link show lan");
}

/* What a run killed between the two steps of `ip netns add` leaves: a plain file. */
static void a_leftover_file_becomes_a_namespace(void **state)
{
	struct fixture *f = *state;

	machine_do("mkdir -p /run/netns && touch /run/netns/nestvisor-net-test");
	assert_false(net_namespace_exists(f->net));
	OK(net_make_namespace(f->net, &problem));
	machine_do("ip -n nestvisor-net-test link show lo");
	OK(net_remove_all("net-test", f->m->run, &problem));
	assert_false(machine_try("test -e /run/netns/nestvisor-net-test"));
}

static void without_a_namespace_it_says_what_to_do(void **state)
{
	struct fixture *f = *state;
	struct error *err = NULL;

	assert_int_equal(net_make_network(f->net, f->lan, &err), -ENOENT);
	assert_non_null(strstr(err->message, "network lan: the network namespace nestvisor-net-test does not exist"));
	assert_non_null(strstr(err->hint, "nestvisor up net-test"));
	error_free(err);
}

static void bridge_has_addresses_and_mark(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *link = NULL, *addresses = NULL;

	OK(net_make_namespace(f->net, &problem));
	f->lan->mtu = 1400;
	OK(net_make_network(f->net, f->lan, &problem));
	link = machine_run("ip -n nestvisor-net-test -d link show lan");
	assert_non_null(strstr(link, "mtu 1400"));
	assert_non_null(strstr(link, "alias nestvisor:net-test:network lan"));
	assert_non_null(strstr(link, "forward_delay 0"));
	assert_non_null(strstr(link, "stp_state 0"));
	assert_non_null(strstr(link, "mcast_snooping 0"));
	addresses = machine_run("ip -n nestvisor-net-test -br addr show lan");
	assert_non_null(strstr(addresses, "192.168.122.1/24"));
	assert_non_null(strstr(addresses, "fd00:122::1/64"));
	assert_non_null(strstr(addresses, "fe80::"));
	assert_false(machine_try("ip -n nestvisor-net-test addr show lan | grep -q tentative"));
}

static void a_changed_network_is_changed(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *after = NULL;

	OK(net_make_namespace(f->net, &problem));
	OK(net_make_network(f->net, f->lan, &problem));
	f->lan->mtu = 9000;
	assert_true(prefix_parse("10.9.0.0/16", &f->lan->subnet4));
	f->lan->gateway4 = prefix_host(&f->lan->subnet4, 254);
	f->lan->subnet6 = (struct prefix){0};
	f->lan->gateway6 = (struct ip){0};
	OK(net_make_network(f->net, f->lan, &problem));
	after = machine_run("ip -n nestvisor-net-test addr show lan");
	assert_non_null(strstr(after, "mtu 9000"));
	assert_non_null(strstr(after, "inet 10.9.0.254/16"));
	assert_null(strstr(after, "192.168.122.1"));
	assert_null(strstr(after, "inet6"));
}

/* A netlink socket in the namespace that hears of every change of links, addresses, routes. */
static int listen_for_changes(const char *netns)
{
	const int groups[] = {RTNLGRP_LINK,	  RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
			      RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_NEIGH};
	cleanup_close int ns = netns_of(netns);
	int fd = socket_in(ns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		assert_int_equal(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(int)), 0);
	return fd;
}

static int changes_heard(int fd)
{
	char buffer[16384];
	int count = 0;

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		count++;
	return count;
}

static void the_second_time_changes_nothing(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *rules = NULL, *rules_after = NULL;
	cleanup_close int changes = -1;

	machine_forward(true);
	make_all(f);
	rules = machine_run("nsenter --net=/run/netns/nestvisor-net-test nft -a list ruleset; nft -a list ruleset");
	changes = listen_for_changes("nestvisor-net-test");
	make_all(f);
	assert_int_equal(changes_heard(changes), 0);
	rules_after =
		machine_run("nsenter --net=/run/netns/nestvisor-net-test nft -a list ruleset; nft -a list ruleset");
	assert_string_equal(rules, rules_after); /* handles, too */
}

static void tap_is_as_qemu_wants_it(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *link = NULL;
	struct ifreq request = {0};
	struct error *err = NULL;
	int fd = -1, second = -1;

	make_all(f);
	OK(net_make_tap(f->net, &f->b->nics[0], 1, &fd, &problem));
	assert_int_equal(ioctl(fd, TUNGETIFF, &request), 0);
	assert_string_equal(request.ifr_name, "b-0");
	assert_int_equal(request.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	link = machine_run("ip -n nestvisor-net-test -d link show b-0");
	assert_non_null(strstr(link, "master lan"));
	assert_non_null(strstr(link, "alias nestvisor:net-test:tap b 0"));
	assert_non_null(strstr(link, "UP,LOWER_UP"));
	/* The host says nothing by itself on a guest's cable. */
	assert_false(machine_try("ip -n nestvisor-net-test addr show b-0 | grep -q inet6"));
	assert_int_equal(net_make_tap(f->net, &f->b->nics[0], 1, &second, &err), -EBUSY);
	assert_non_null(strstr(err->hint, "running guest"));
	error_free(err);
	/* QEMU ends, however: the tap goes with it. */
	close(fd);
	assert_false(machine_try("ip -n nestvisor-net-test link show b-0 2>/dev/null"));
}

static void *let_go_late(void *fd)
{
	usleep(200000);
	close(*(int *)fd);
	return NULL;
}

/* As a QEMU's that was killed, see take_tap(). */
static void a_tap_that_is_let_go_late_is_waited_for(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	int fd, second;

	make_all(f);
	OK(net_make_tap(f->net, &f->b->nics[0], 1, &fd, &problem));
	assert_int_equal(pthread_create(&thread, NULL, let_go_late, &fd), 0);
	OK(net_make_tap(f->net, &f->b->nics[0], 1, &second, &problem));
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(second);
}

/* Each open of such a tap is one more queue: those of a QEMU that still runs must get none of ours. */
static void a_tap_has_several_queues(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *link = NULL;
	struct error *err = NULL;
	int fds[3], more[2];

	make_all(f);
	OK(net_make_tap(f->net, &f->b->nics[0], 3, fds, &problem));
	link = machine_run("ip -n nestvisor-net-test -d link show b-0");
	assert_non_null(strstr(link, "multi_queue numqueues 3"));
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(net_make_tap(f->net, &f->b->nics[0], 2, more, &err), -EBUSY);
	assert_non_null(strstr(err->hint, "running guest"));
	error_free(err);
	machine_do("ip -n nestvisor-net-test -d link show b-0 | grep -q 'numqueues 3'");
	close(fds[0]);
	close(fds[1]);
	machine_do("ip -n nestvisor-net-test link show b-0");
	close(fds[2]);
	assert_false(machine_try("ip -n nestvisor-net-test link show b-0 2>/dev/null"));
}

static void a_tap_in_use_can_be_removed(void **state)
{
	struct fixture *f = *state;
	int fd = -1;

	make_all(f);
	OK(net_make_tap(f->net, &f->b->nics[0], 1, &fd, &problem));
	OK(net_remove_tap(f->net, "b-0", &problem));
	assert_false(machine_try("ip -n nestvisor-net-test link show b-0 2>/dev/null"));
	OK(net_remove_tap(f->net, "b-0", &problem));
	OK(net_remove_tap(f->net, "lan", &problem)); /* not a tap: not touched */
	machine_do("ip -n nestvisor-net-test link show lan");
	close(fd);
}

static void look_sees_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct net_actual actual;
	int fd = -1;

	OK(net_look(f->net, &actual, &problem));
	assert_false(actual.namespace_exists);
	assert_false(actual.uplink_exists);
	net_actual_free(&actual);
	machine_forward(true);
	make_all(f);
	OK(net_make_tap(f->net, &f->hv1->nics[0], 1, &fd, &problem));
	OK(net_look(f->net, &actual, &problem));
	assert_true(actual.namespace_exists);
	assert_true(actual.uplink_exists);
	assert_true(net_actual_has(&actual, "lan"));
	assert_true(net_actual_has(&actual, "quiet"));
	assert_true(net_actual_has(&actual, "hv1-0"));
	assert_false(net_actual_has(&actual, "b-0"));
	assert_false(net_actual_has(&actual, "lo"));
	net_actual_free(&actual);
	/* Half of an uplink is none. */
	machine_do("ip -n nestvisor-net-test link del world");
	OK(net_look(f->net, &actual, &problem));
	assert_false(actual.uplink_exists);
	net_actual_free(&actual);
	/* And where none is wanted, none is missing. */
	f->lan->uplink = UPLINK_NONE;
	OK(net_look(f->net, &actual, &problem));
	assert_true(actual.uplink_exists);
	net_actual_free(&actual);
	close(fd);
}

/* Flags of what differs: 1 routes, 2 uplink, 4 networks. */
static unsigned differing(struct fixture *f)
{
	struct net_actual actual;
	bool routes, uplink, namespace;
	unsigned differs;

	OK(net_check_routes(f->net, &routes, &problem));
	OK(net_check_uplink(f->net, &uplink, &problem));
	OK(net_check_namespace(f->net, &namespace, &problem));
	OK(net_look(f->net, &actual, &problem));
	differs = (routes ? 0 : 1) | (uplink ? 0 : 2) | (net_actual_has(&actual, "lan") ? 0 : 4) | (namespace ? 0 : 8);
	net_actual_free(&actual);
	return differs;
}

/* Whatever of the lab's network somebody takes away is seen, and made again by what made it. */
static void what_is_taken_away_is_noticed(void **state)
{
	static const struct {
		const char *what; /* a command; `in`: ip(8) in the lab's namespace, `veth`: the uplink's outer end */
		unsigned differs;
	} takings[] = {
		{"$in route del 192.168.124.0/24", 1},
		{"$in -6 route del fd00:124::/64", 1},
		{"$in route del default", 2},
		{"$in route replace default via 192.168.122.5 dev lan", 2},
		{"$in -6 route replace default via fd00:122::5 dev lan", 2},
		{"nsenter --net=/run/netns/nestvisor-net-test sh -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'", 8},
		{"nsenter --net=/run/netns/nestvisor-net-test sh -c 'echo 0 > /proc/sys/net/ipv4/conf/lan/forwarding'",
		 8},
		{"nsenter --net=/run/netns/nestvisor-net-test sh -c 'echo 2 > /proc/sys/net/ipv4/conf/world/rp_filter'",
		 8},
		{"nsenter --net=/run/netns/nestvisor-net-test sh -c 'echo 0 > /proc/sys/net/ipv6/conf/all/forwarding'",
		 8},
		{"nsenter --net=/run/netns/nestvisor-net-test sh -c 'echo 1 > "
		 "/proc/sys/net/ipv4/conf/all/accept_redirects'",
		 8},
		{"$in -6 route del default", 2},
		/* ours is there, but others come first */
		{"$in -6 route add default via fd00:122::5 dev lan metric 10", 2},
		{"$in -6 route add default metric 10 nexthop via fd00:122::5 dev lan nexthop via fd00:122::6 dev lan",
		 2},
		{"$in route prepend default via 192.168.122.5 dev lan", 2},
		{"$in route add default via 192.168.122.5 dev lan tos 0x10", 2},
		{"$in route add 0.0.0.0/1 via 192.168.122.5 dev lan", 2},
		{"$in route add blackhole 128.0.0.0/1", 2},
		{"$in -6 route add fd00:124::/64 via fd00:122::5 dev lan metric 10", 1},
		{"$in addr flush dev world scope global", 2},
		{"$in link set world down", 2},
		{"$in link set lan down", 1 | 4},
		{"$in addr del 192.168.122.1/24 dev lan", 1 | 4},
		{"$in -6 addr del fd00:122::1/64 dev lan", 4},
		{"ip addr flush dev $veth", 2},
		{"ip link set $veth down", 2},
		{"nft flush ruleset", 2},
		{"nft flush table inet nestvisor-net-test", 2},
		{"nft delete table inet nestvisor-net-test", 2},
		{"ip link del $veth", 2},
	};
	struct fixture *f = *state;

	machine_forward(true);
	make_all(f);
	for (size_t i = 0; i < sizeof(takings) / sizeof(*takings); i++) {
		unsigned differs;

		assert_int_equal(differing(f), 0);
		machine_do("in='ip -n nestvisor-net-test'; veth=$(ip -o link show type veth | grep -o 'nv[0-9a-f]*w' | "
			   "head -n1); %s",
			   takings[i].what);
		differs = differing(f);
		if ((differs & takings[i].differs) != takings[i].differs)
			fail_msg("after %s: %u", takings[i].what, differs);
		make_all(f);
	}
	assert_int_equal(differing(f), 0);
	/* What others have is theirs. */
	machine_do("nft add table inet foreign; ip -n nestvisor-net-test route add 10.99.0.0/16 via 192.168.122.5;"
		   "ip -n nestvisor-net-test addr add 10.98.0.1/24 dev lan");
	assert_int_equal(differing(f), 0);
	machine_do("nft delete table inet foreign");
}

static void network_is_removed(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *left = NULL;

	make_all(f);
	machine_do("ip -n nestvisor-net-test link add foreign type bridge");
	OK(net_remove_network(f->net, "lan", &problem));
	OK(net_remove_network(f->net, "lan", &problem));
	OK(net_remove_network(f->net, "foreign", &problem)); /* has no mark: not touched */
	left = machine_run("ip -n nestvisor-net-test -br link show type bridge");
	assert_null(strstr(left, "lan"));
	assert_non_null(strstr(left, "quiet"));
	assert_non_null(strstr(left, "foreign"));
}

static void routes_lead_to_deeper_networks(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *routes = NULL, *routes6 = NULL, *after = NULL;

	make_all(f);
	routes = machine_run("ip -n nestvisor-net-test route show proto 110");
	assert_non_null(strstr(routes, "192.168.124.0/24 via 192.168.122.191 dev lan"));
	routes6 = machine_run("ip -n nestvisor-net-test -6 route show proto 110");
	assert_non_null(strstr(routes6, "fd00:124::/64 via fd00:122::191 dev lan"));
	/* Translated by its host: nothing to route to; and the old routes go. A foreign route stays. */
	machine_do("ip -n nestvisor-net-test route add 10.99.0.0/16 via 192.168.122.5");
	f->inner->uplink = UPLINK_NAT;
	OK(net_make_routes(f->net, &problem));
	after = machine_run("ip -n nestvisor-net-test route; ip -n nestvisor-net-test -6 route");
	assert_null(strstr(after, "192.168.124.0/24"));
	assert_null(strstr(after, "fd00:124::"));
	assert_non_null(strstr(after, "10.99.0.0/16"));
	assert_non_null(strstr(after, "default via 100."));
}

/* The lab's namespace is the lab's: another way to one of its networks, or to the world, would lead past its rules. */
static void another_way_to_a_network_is_replaced(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *routes = NULL;

	OK(net_make_namespace(f->net, &problem));
	OK(net_make_network(f->net, f->lan, &problem));
	machine_do("ip -n nestvisor-net-test route add 192.168.124.0/24 via 192.168.122.5");
	OK(net_make_routes(f->net, &problem));
	routes = machine_run("ip -n nestvisor-net-test route show 192.168.124.0/24");
	assert_non_null(strstr(routes, "via 192.168.122.191"));
	assert_null(strstr(routes, "192.168.122.5 "));
}

static void overlap_finds_the_machines_routes(void **state)
{
	struct fixture *f = *state;
	struct net_overlap overlap;
	struct prefix prefix;
	bool found;

	machine_forward(true);
	f->lan->uplink = UPLINK_ROUTE;
	make_all(f);
	prefix_parse("203.0.113.128/25", &prefix);
	OK(net_host_overlap(&prefix, &overlap, &found, &problem));
	assert_true(found);
	assert_string_equal(overlap.interface, "eth0");
	prefix_parse("2001:db8::/32", &prefix);
	OK(net_host_overlap(&prefix, &overlap, &found, &problem));
	assert_true(found);
	/* The default route overlaps everything and means nothing; our own routes are no obstacle to ourselves. */
	prefix_parse("192.168.122.0/24", &prefix);
	machine_do("ip route show | grep -q 192.168.122.0/24");
	OK(net_host_overlap(&prefix, &overlap, &found, &problem));
	assert_false(found);
	machine_do("ip route add 10.1.0.0/16 dev eth0 table 77");
	prefix_parse("10.1.2.0/24", &prefix);
	OK(net_host_overlap(&prefix, &overlap, &found, &problem));
	assert_true(found);
	/* A VPN's default route in halves, and what is link-local, mean nothing either; one over two ways does. */
	machine_do("ip route add 128.0.0.0/1 dev eth0; ip route add 169.254.0.0/16 dev eth0; ip route add 10.3.0.0/16 "
		   "nexthop via 203.0.113.1 dev eth0 nexthop via 203.0.113.7 dev eth0");
	prefix_parse("192.168.200.0/24", &prefix);
	OK(net_host_overlap(&prefix, &overlap, &found, &problem));
	assert_false(found);
	prefix_parse("169.254.7.0/24", &prefix);
	OK(net_host_overlap(&prefix, &overlap, &found, &problem));
	assert_false(found);
	prefix_parse("10.3.7.0/24", &prefix);
	OK(net_host_overlap(&prefix, &overlap, &found, &problem));
	assert_true(found);
	assert_string_equal(overlap.interface, "eth0");
}

/* A second machine: the world runs a lab of its own, and the two share a network through a tunnel. */
static void tunnel_carries(struct fixture *f, enum encapsulation encapsulation, const char *here, const char *there)
{
	struct lab *other_lab = testlab_new("other", "", 0);
	struct network *far =
		testlab_network(other_lab, other_lab->root, "lan", "192.168.122.0/24", "fd00:122::/64", UPLINK_NONE);
	struct guest *c = testlab_guest(other_lab, other_lab->root, "c");
	struct ip *peers = arena_alloc(f->lab->arena, 3 * sizeof(*peers));
	struct peer *near_peer, *far_peer;
	struct net *other;
	char from[80];
	int a, z;

	testlab_nic(other_lab, c, far, "192.168.122.77", "fd00:122::77");
	assert_true(ip_parse(there, &peers[0]) && ip_parse(here, &peers[1]));
	assert_true(ip_parse(strchr(here, ':') ? "2001:db8::99" : "203.0.113.99", &peers[2]));
	f->lan->uplink = UPLINK_NONE;
	f->lan->encapsulation = far->encapsulation = encapsulation;
	f->lan->vni = far->vni = 4711;
	f->lan->mtu = far->mtu = 1420;
	f->lan->peers = &peers[2]; /* is replaced below */
	far->peers = &peers[1];
	f->lan->peer_count = far->peer_count = 1;
	/* The other's gateway would be the same address on the same link. */
	far->gateway4 = prefix_host(&far->subnet4, 2);
	far->gateway6 = prefix_host(&far->subnet6, 2);
	make_all(f);
	f->lan->peers = &peers[0];
	make_all(f);

	assert_int_equal(setns(f->m->world, CLONE_NEWNET), 0);
	OK(net_open(other_lab, "/run", &other, &problem));
	OK(net_make_namespace(other, &problem));
	OK(net_make_network(other, far, &problem));
	OK(net_make_rules(other, &problem));
	far_peer = peer_new(f->m, other, c);
	assert_int_equal(setns(f->m->home, CLONE_NEWNET), 0);

	near_peer = peer_new(f->m, f->net, f->b);
	z = udp_bind(far_peer->netns, AF_INET, NULL, 5000);
	a = udp_bind(near_peer->netns, AF_INET, NULL, 5000);
	assert_int_equal(udp_send(a, "192.168.122.77", 5000, "through the tunnel"), 0);
	udp_expect(z, "through the tunnel", from);
	assert_string_equal(from, "192.168.122.5");
	assert_int_equal(udp_send(z, "192.168.122.5", 5000, "and back"), 0);
	udp_expect(a, "and back", from);
	close(a);
	close(z);

	assert_int_equal(setns(f->m->world, CLONE_NEWNET), 0);
	net_close(other);
	OK(net_remove_all("other", "/run", &problem));
	assert_int_equal(setns(f->m->home, CLONE_NEWNET), 0);
	lab_free(other_lab);
}

static void vxlan_over_ipv4(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *peers = NULL, *link = NULL;

	tunnel_carries(f, ENCAP_VXLAN, "203.0.113.2", "203.0.113.1");
	link = machine_run("ip -n nestvisor-net-test -d link show type vxlan");
	assert_non_null(strstr(link, "vxlan id 4711"));
	assert_non_null(strstr(link, "mtu 1420"));
	assert_non_null(strstr(link, "master lan"));
	peers = machine_run("bridge -n nestvisor-net-test fdb show | grep 00:00:00:00:00:00");
	assert_non_null(strstr(peers, "dst 203.0.113.1"));
	assert_null(strstr(peers, "203.0.113.99"));
	/* The tunnel goes when the network has none any more. */
	f->lan->encapsulation = ENCAP_NONE;
	OK(net_make_network(f->net, f->lan, &problem));
	assert_false(machine_try("ip -n nestvisor-net-test -d link show type vxlan | grep -q vxlan"));
	/* Its VNI is free at once. */
	f->lan->encapsulation = ENCAP_VXLAN;
	OK(net_make_network(f->net, f->lan, &problem));
	OK(net_remove_all("net-test", f->m->run, &problem));
	machine_do("ip link add v type vxlan id 4711 dstport 4789 && ip link set v up && ip link del v");
}

static void vxlan_over_ipv6(void **state)
{
	tunnel_carries(*state, ENCAP_VXLAN, "2001:db8::2", "2001:db8::1");
}

static void geneve_tunnel(void **state)
{
	struct fixture *f = *state;

	if (!machine_try("ip link add g type geneve id 1 remote 203.0.113.1 2>/dev/null && ip link del g")) {
		printf("SKIP: this kernel has no geneve\n");
		skip();
	}
	tunnel_carries(f, ENCAP_GENEVE, "203.0.113.2", "203.0.113.1");
	machine_do("ip -n nestvisor-net-test -d link show type geneve | grep -q 'isolated on'");
}

static void a_missing_kind_of_tunnel_is_said(void **state)
{
	struct fixture *f = *state;
	struct error *err = NULL;
	struct ip peer;

	if (machine_try("ip link add g type geneve id 1 remote 203.0.113.1 2>/dev/null && ip link del g"))
		skip();
	ip_parse("203.0.113.1", &peer);
	f->lan->encapsulation = ENCAP_GENEVE;
	f->lan->peers = &peer;
	f->lan->peer_count = 1;
	OK(net_make_namespace(f->net, &problem));
	assert_int_equal(net_make_network(f->net, f->lan, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err->hint, "modprobe geneve"));
	error_free(err);
}

static void remove_all_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *before = machine_picture("", ""), *after = NULL;
	int fd;

	make_all(f);
	OK(net_make_tap(f->net, &f->b->nics[0], 1, &fd, &problem));
	OK(net_remove_all("net-test", f->m->run, &problem));
	close(fd);
	after = machine_picture("", "");
	machine_same(before, after);
	assert_false(machine_try("ls %s | grep -q .", f->m->run));
	OK(net_remove_all("net-test", f->m->run, &problem));
	OK(net_remove_all("net-test", "/run/no/such/folder", &problem));
}

static void what_is_not_ours_is_not_removed(void **state)
{
	struct fixture *f = *state;
	struct error *err = NULL;
	char id[ID_TEXT_SIZE];

	model_derive_id("net-test", "", id);
	machine_do("ip link add nv%sw type veth peer name foreign", id);
	machine_forward(true);
	OK(net_make_namespace(f->net, &problem));
	assert_int_equal(net_make_uplink(f->net, NULL, &err), -EEXIST);
	error_free(err);
	OK(net_remove_all("net-test", f->m->run, &problem));
	machine_do("ip link show nv%sw && ip link del nv%sw", id, id);
}

static void a_bad_name_reaches_nothing(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"../x", "a b", "x;reboot", "", "0123456789012345678901234567890123456789x"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct error *err = NULL;

		assert_int_equal(net_remove_all(names[i], f->m->run, &err), -EINVAL);
		error_free(err);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		TEST(namespace_has_name_and_settings),
		TEST(an_existing_namespace_is_taken_over),
		TEST(a_namespace_that_lost_its_name_is_made_anew),
		TEST(a_leftover_file_becomes_a_namespace),
		TEST(without_a_namespace_it_says_what_to_do),
		TEST(bridge_has_addresses_and_mark),
		TEST(a_changed_network_is_changed),
		TEST(the_second_time_changes_nothing),
		TEST(tap_is_as_qemu_wants_it),
		TEST(a_tap_that_is_let_go_late_is_waited_for),
		TEST(a_tap_has_several_queues),
		TEST(a_tap_in_use_can_be_removed),
		TEST(look_sees_what_is_there),
		TEST(what_is_taken_away_is_noticed),
		TEST(network_is_removed),
		TEST(routes_lead_to_deeper_networks),
		TEST(another_way_to_a_network_is_replaced),
		TEST(overlap_finds_the_machines_routes),
		TEST(vxlan_over_ipv4),
		TEST(vxlan_over_ipv6),
		TEST(geneve_tunnel),
		TEST(a_missing_kind_of_tunnel_is_said),
		TEST(remove_all_leaves_nothing),
		TEST(what_is_not_ours_is_not_removed),
		TEST(a_bad_name_reaches_nothing),
	};

	return cmocka_run_group_tests_name("network", all, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
