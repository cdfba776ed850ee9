/* Guests that libvirt plugged into a bridge of its own, held by two tables beside rules of others that change marks. */
#include "machine.h"
#include "testlab.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "model/isolation.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PORT = 7000 };

#define BRIDGE	"virbr7"
#define WORLD	"203.0.113.1"
#define GATEWAY "192.168.122.1"
#define WEB	"192.168.122.10"
#define DB	"192.168.122.11"

struct fixture {
	struct machine *m;
	struct lab *lab;
	struct net *net;
	struct guest *web, *db;
	struct net_adopted_nic nics[3];
	int web_netns, db_netns;
	struct isolation *isolation;
};

static int plug(struct net_adopted_nic *nic, const struct guest *guest, const char *device, const char *address)
{
	char mac[MAC_TEXT_SIZE];

	*nic = (struct net_adopted_nic){.guest = guest, .type = "network", .device = device, .bridge = BRIDGE};
	memcpy(nic->mac, guest->nics[0].mac, sizeof(nic->mac));
	machine_do("ip netns add %s && ip link add %s type veth peer name eth0 address %s netns %s && "
		   "ip link set %s master " BRIDGE " up && ip -n %s link set lo up && ip -n %s link set eth0 up && "
		   "ip -n %s address add %s/24 dev eth0 && ip -n %s route add default via " GATEWAY,
		   guest->name, device, mac_format(nic->mac, mac), guest->name, device, guest->name, guest->name,
		   guest->name, address, guest->name);
	return netns_of(guest->name);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct network *network;

	f->m = machine_new();
	f->lab = testlab_new("office", "", 0);
	f->lab->adopted = "qemu:///system";
	network = testlab_network(f->lab, f->lab->root, "default", "192.168.122.0/24", NULL, UPLINK_NAT);
	network->adopted = "default";
	f->web = testlab_guest(f->lab, f->lab->root, "web");
	f->db = testlab_guest(f->lab, f->lab->root, "db");
	f->web->adopted = "web";
	f->db->adopted = "db";
	testlab_nic(f->lab, f->web, network, WEB, NULL);
	testlab_nic(f->lab, f->db, network, DB, NULL);
	machine_do("ip link add " BRIDGE " type bridge && ip address add " GATEWAY "/24 dev " BRIDGE
		   " && ip link set " BRIDGE " up");
	f->web_netns = plug(&f->nics[0], f->web, "vnet0", WEB);
	f->db_netns = plug(&f->nics[1], f->db, "vnet1", DB);
	machine_forward(true);
	machine_do("ip -n world route replace 192.168.122.0/24 via 203.0.113.2");
	OK(net_open(f->lab, f->m->run, &f->net, &problem));
	net_set_adopted(f->net, f->nics, 2);
	f->isolation = isolation_new(f->lab);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	machine_do("nft flush ruleset; ip link delete vnet0; ip link delete vnet1; ip netns delete web; ip netns "
		   "delete db; ip link delete " BRIDGE);
	net_close(f->net);
	isolation_free(f->isolation);
	close(f->web_netns);
	close(f->db_netns);
	machine_free(f->m);
	lab_free(f->lab);
	free(f);
	return 0;
}

static void set(struct fixture *f, const struct guest *guest, enum world world)
{
	isolation_set(f->isolation, guest, &(struct isolation_setting){.world = world});
}

static void hold(struct fixture *f, const struct guest *guest, enum world world)
{
	struct net_switched switched;

	set(f, guest, world);
	OK(net_isolate(f->net, f->isolation, &switched, &problem));
}

/* A datagram arrives. */
static bool arrives(int from, int to, const char *address)
{
	int sender = udp_bind(from, AF_INET, NULL, 0), receiver = udp_bind(to, AF_INET, NULL, PORT);
	char seen[80];

	udp_send(sender, address, PORT, "hello");
	udp_expect(receiver, "hello", seen);
	close(sender);
	close(receiver);
	return true;
}

/* Whether a datagram does, before one of somebody who may, which was sent after it. */
static bool reaches(int from, int fence, int to, const char *address)
{
	int sender = udp_bind(from, AF_INET, NULL, 0), other = udp_bind(fence, AF_INET, NULL, 0);
	int receiver = udp_bind(to, AF_INET, NULL, PORT);
	bool there = false;
	char text[16] = "";

	udp_send(sender, address, PORT, "question");
	for (int i = 0; i < 100 && strcmp(text, "fence") != 0; i++) {
		struct timeval limit = {.tv_usec = 100000};

		setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		udp_send(other, address, PORT, "fence");
		memset(text, 0, sizeof(text));
		if (recv(receiver, text, sizeof(text) - 1, 0) > 0)
			there |= strcmp(text, "question") == 0;
	}
	assert_string_equal(text, "fence");
	close(sender);
	close(other);
	close(receiver);
	return there;
}

/* wg-quick's table as it writes it, and iptables' CONNMARK --restore-mark without a mask, for all protocols and hooks.
 */
static void change_marks(void)
{
	machine_do("nft -f - <<'E'\n"
		   "table ip wg-quick-wg0 {\n"
		   "chain premangle { type filter hook prerouting priority -150; meta l4proto udp meta mark set ct "
		   "mark; }\n"
		   "chain postmangle { type filter hook postrouting priority -150; meta l4proto udp meta mark 0xca6c "
		   "ct mark "
		   "set meta mark; }\n}\n"
		   "table inet connmark {\n"
		   "chain a { type filter hook prerouting priority -150; meta mark set ct mark; }\n"
		   "chain b { type filter hook forward priority -150; meta mark set ct mark; }\n"
		   "chain c { type filter hook input priority -150; meta mark set ct mark; }\n"
		   "chain d { type filter hook postrouting priority -150; meta mark set ct mark; }\n}\nE");
}

static void a_cut_holds(struct fixture *f)
{
	char from[80];
	int here = udp_bind(f->m->home, AF_INET, NULL, 0), there = udp_bind(f->web_netns, AF_INET, NULL, PORT);

	assert_false(reaches(f->web_netns, f->db_netns, f->m->world, WORLD));
	assert_false(reaches(f->web_netns, f->db_netns, f->m->home, GATEWAY));
	assert_true(arrives(f->web_netns, f->db_netns, DB));
	assert_int_equal(udp_send(here, WEB, PORT, "hello"), 0); /* what this machine began */
	udp_answer(there, "hello", "yes", from);
	udp_expect(here, "yes", from);
	close(here);
	close(there);
}

static void a_cut_holds_where_others_change_marks(void **state)
{
	struct fixture *f = *state;

	change_marks();
	assert_true(arrives(f->web_netns, f->m->world, WORLD));
	hold(f, f->web, WORLD_CUT);
	a_cut_holds(f);
	/* another address of its own choice is no way around it */
	machine_do("ip -n web link set eth0 down; ip -n web link set eth0 address 52:54:00:00:00:99; "
		   "ip -n web link set eth0 up; ip -n web route replace default via " GATEWAY);
	assert_false(reaches(f->web_netns, f->db_netns, f->m->world, WORLD));
	machine_do("ip -n web neigh flush dev eth0"); /* with what waited for an answer there */
	hold(f, f->web, WORLD_OPEN);
	assert_true(arrives(f->web_netns, f->m->world, WORLD));
}

/* With br_netfilter's default the rules for routed packets see bridged ones, too, and stop them there already. */
static void a_cut_holds_where_bridges_are_apart(void **state)
{
	machine_do(
		"for n in iptables ip6tables; do f=/proc/sys/net/bridge/bridge-nf-call-$n; [ ! -e $f ] || echo 0 > $f; "
		"done");
	a_cut_holds_where_others_change_marks(state);
}

/* Nothing that this machine routes comes to it, whatever others make of its mark. */
static void nothing_from_elsewhere_comes_in(void **state)
{
	struct fixture *f = *state;

	change_marks();
	assert_true(arrives(f->m->world, f->web_netns, WEB));
	hold(f, f->web, WORLD_CUT);
	assert_false(reaches(f->m->world, f->m->home, f->web_netns, WEB));
}

/* What a domain's XML says is no rule; and one guest that cannot be held keeps nobody else open. */
static void a_name_is_a_name(void **state)
{
	static const char *const names[] = {"x\"; }; }; delete table inet users_own; table inet y { set z { #",
					    "a-name-of-more-than-15", "vnet*", ""};
	struct fixture *f = *state;

	machine_do("nft add table inet users_own");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct error *err = NULL;

		f->nics[1].bridge = f->nics[1].device = names[i];
		hold(f, f->web, WORLD_CUT);
		assert_false(reaches(f->web_netns, f->db_netns, f->m->world, WORLD));
		machine_do("nft list table inet users_own");
		OK(net_can_hold(f->net, f->isolation, f->web, &problem));
		set(f, f->db, WORLD_CUT);
		assert_int_equal(net_can_hold(f->net, f->isolation, f->db, &err), -EOPNOTSUPP);
		assert_non_null(strstr(err->message, "db cannot be held"));
		error_free(err);
		set(f, f->db, WORLD_OPEN);
	}
}

static void one_that_cannot_be_held_keeps_nobody_open(void **state)
{
	struct fixture *f = *state;
	struct error *err = NULL;
	bool same = true;

	f->nics[1].type = "direct";
	f->nics[1].bridge = f->nics[1].device = NULL;
	f->nics[2] = (struct net_adopted_nic){.guest = f->db, .passed = "a PCI device of this machine's"};
	net_set_adopted(f->net, f->nics, 3);
	set(f, f->db, WORLD_CUT);
	set(f, f->web, WORLD_CUT);
	net_set_isolation(f->net, f->isolation);
	assert_int_equal(net_make_rules(f->net, &err), -EOPNOTSUPP); /* and says so, but holds web */
	error_free(err);
	OK(net_check_rules(f->net, &same, &problem));
	assert_false(same);
	assert_false(reaches(f->web_netns, f->m->home, f->m->world, WORLD));
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_cut_holds_where_others_change_marks, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cut_holds_where_bridges_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_from_elsewhere_comes_in, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_is_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_cannot_be_held_keeps_nobody_open, setup, teardown),
	};

	return cmocka_run_group_tests_name("adopted", tests, NULL, NULL);
}

int main(void)
{
	return machine_main(run);
}
