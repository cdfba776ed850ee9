/*
 * One network on two machines: home is this one, right and a stranger are network namespaces with mount namespaces of
 * their own, all on one underlay. Guests a and c are at home, b and d on right.
 */
#include "isolation_lab.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { UNDERLAY_MTU = 1500, MTU = UNDERLAY_MTU - 50, VNI = 0x00abcd };

/* A machine's lab, as its own nestvisor knows it. */
struct side {
	int mounts, netns; /* namespaces; -1: those of this process */
	struct lab *lab;
	struct network *lan;
	struct net *net;
	struct isolation *now;
	char run[32];
};

struct stretch {
	struct machine *m;
	struct side home, right;
	struct peer *a, *b, *c, *d;
};

/* ─── on a machine ─── */

struct visit {
	struct side *side;
	void (*what)(struct side *side, void *data);
	void *data;
};

static void *go(void *arg)
{
	struct visit *visit = arg;

	/* A thread may have a mount namespace of its own once it shares its folders with nobody. */
	if (unshare(CLONE_FS) < 0 || setns(visit->side->mounts, CLONE_NEWNS) < 0 ||
	    setns(visit->side->netns, CLONE_NEWNET) < 0)
		abort();
	visit->what(visit->side, visit->data);
	return NULL;
}

static void on(struct side *side, void (*what)(struct side *side, void *data), void *data)
{
	struct visit visit = {side, what, data};
	pthread_t thread;

	if (side->netns < 0) {
		what(side, data);
		return;
	}
	assert_int_equal(pthread_create(&thread, NULL, go, &visit), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *be_born(void *arg)
{
	struct side *side = arg;

	if (unshare(CLONE_FS | CLONE_NEWNS | CLONE_NEWNET) < 0 || mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0 ||
	    mkdir("/run/netns", 0755) < 0 || mkdir("/run/test", 0700) < 0)
		abort();
	side->mounts = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
	side->netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return NULL;
}

/* Commands there see its network and its /run. */
static void run_there(struct side *side, void *command)
{
	(void)side;
	machine_do("%s", (const char *)command);
}

static void right_do(struct stretch *f, const char *command)
{
	on(&f->right, run_there, (void *)command);
}

/* ─── the lab ─── */

static struct far_nic far_of(const struct guest *guest, const char *machine, bool known)
{
	struct far_nic far = {.address4 = guest->nics[0].address4,
			      .address6 = guest->nics[0].address6,
			      .guest = known ? guest : NULL};

	memcpy(far.mac, guest->nics[0].mac, sizeof(far.mac));
	testlab_set(ip_parse(machine, &far.machine));
	return far;
}

static void add_far(struct side *side, const struct guest *guest, const char *machine)
{
	bool known = guest->parent == side->lab->root;

	side->lan->far[side->lan->far_count++] = far_of(guest, machine, known);
	if (known)
		((struct guest *)guest)->machine = (struct lab_machine *)side; /* whichever: another one */
}

static struct guest *add_guest(struct side *side, const char *name, const char *address4, const char *address6)
{
	struct guest *guest = testlab_guest(side->lab, side->lab->root, name);

	testlab_nic(side->lab, guest, side->lan, address4, address6);
	return guest;
}

static void new_lab(struct side *side, const char *peer)
{
	side->lab = testlab_new("far-test", "", 0);
	side->lan = testlab_network(side->lab, side->lab->root, "lan", "192.168.122.0/24", "fd00:122::/64", UPLINK_NAT);
	side->lan->mtu = MTU;
	side->lan->dhcp = true;
	side->lan->encapsulation = ENCAP_VXLAN;
	side->lan->vni = VNI;
	side->lan->peers = arena_alloc(side->lab->arena, sizeof(*side->lan->peers));
	testlab_set(ip_parse(peer, &side->lan->peers[side->lan->peer_count++]));
	side->lan->far = arena_alloc(side->lab->arena, 8 * sizeof(*side->lan->far));
	snprintf(side->run, sizeof(side->run), "/run/test");
}

static void make_labs(struct stretch *f)
{
	struct guest *far[2], *here[2];

	new_lab(&f->home, "10.0.0.2");
	new_lab(&f->right, "10.0.0.1");
	testlab_set(ip_parse("10.0.0.1", &f->right.lan->home));
	here[0] = add_guest(&f->home, "a", "192.168.122.10", "fd00:122::10");
	here[1] = add_guest(&f->home, "c", "192.168.122.12", "fd00:122::12");
	add_far(&f->home, add_guest(&f->home, "b", "192.168.122.11", "fd00:122::11"), "10.0.0.2");
	add_far(&f->home, add_guest(&f->home, "d", "192.168.122.13", "fd00:122::13"), "10.0.0.2");
	far[0] = add_guest(&f->right, "b", "192.168.122.11", "fd00:122::11");
	far[1] = add_guest(&f->right, "d", "192.168.122.13", "fd00:122::13");
	(void)far;
	add_far(&f->right, here[0], "10.0.0.1");
	add_far(&f->right, here[1], "10.0.0.1");
}

static void make_net(struct side *side, void *data)
{
	bool home = network_is_home(side->lan), same = false;

	(void)data;
	OK(net_make_namespace(side->net, &problem));
	OK(net_make_rules(side->net, &problem));
	OK(net_make_uplink(side->net, NULL, &problem));
	OK(net_make_network(side->net, side->lan, &problem));
	OK(net_make_routes(side->net, &problem));
	OK(net_check_rules(side->net, &same, &problem));
	assert_true(same);
	same = false;
	OK(net_check_uplink(side->net, &same, &problem));
	assert_true(same);
	machine_do("test $(ip -n nestvisor-far-test link show world 2>/dev/null | wc -l) -%s 0", home ? "gt" : "eq");
}

static void open_net(struct side *side, void *data)
{
	OK(net_open(side->lab, side->run, &side->net, &problem));
	make_net(side, data);
}

struct plug {
	struct machine *m;
	struct peer *peer;
	const char *guest;
};

static void plug(struct side *side, void *data)
{
	struct plug *p = data;

	p->peer = peer_new(p->m, side->net, lab_find_guest(side->lab, p->guest));
}

static struct peer *plug_in(struct stretch *f, struct side *side, const char *guest)
{
	struct plug p = {.m = f->m, .guest = guest};

	on(side, plug, &p);
	return p.peer;
}

static int set_up(void **state)
{
	struct stretch *f = calloc(1, sizeof(*f));
	pthread_t thread;

	f->m = machine_new();
	machine_forward(true);
	f->home.netns = f->home.mounts = -1;
	assert_int_equal(pthread_create(&thread, NULL, be_born, &f->right), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	machine_do("set -e; ip netns add under; ip -n under link add join type bridge stp_state 0; ip -n under link "
		   "set join up\n"
		   "ip netns add stranger; ip -n stranger link set lo up\n"
		   "ip link add under type veth peer name home netns under\n"
		   "ip -n under link add right type veth peer name under netns /proc/%d/fd/%d\n"
		   "ip -n under link add stranger type veth peer name under netns stranger\n"
		   "for port in home right stranger; do ip -n under link set $port master join up; done\n"
		   "ip addr add 10.0.0.1/24 dev under; ip link set under up\n"
		   "ip -n stranger addr add 10.0.0.3/24 dev under; ip -n stranger link set under up",
		   getpid(), f->right.netns);
	right_do(f, "ip addr add 10.0.0.2/24 dev under; ip link set under up; ip link set lo up");
	make_labs(f);
	on(&f->home, open_net, NULL);
	on(&f->right, open_net, NULL);
	f->a = plug_in(f, &f->home, "a");
	f->c = plug_in(f, &f->home, "c");
	f->b = plug_in(f, &f->right, "b");
	f->d = plug_in(f, &f->right, "d");
	*state = f;
	return 0;
}

static void remove_net(struct side *side, void *data)
{
	cleanup_free char *left = NULL;

	(void)data;
	net_set_isolation(side->net, NULL);
	isolation_free(side->now);
	net_close(side->net);
	OK(net_remove_all("far-test", side->run, &problem));
	left = machine_run("nft list tables | grep nestvisor; ls /run/netns | grep nestvisor; ls %s", side->run);
	assert_string_equal(left, "");
	lab_free(side->lab);
}

static int tear_down(void **state)
{
	struct stretch *f = *state;

	on(&f->right, remove_net, NULL);
	on(&f->home, remove_net, NULL);
	machine_free(f->m);
	machine_do("ip link del under; ip netns del stranger; ip netns del under"); /* a namespace takes its time */
	close(f->right.mounts);
	close(f->right.netns);
	free(f);
	return 0;
}

/* ─── tests ─── */

static long fragments(struct stretch *f)
{
	cleanup_free char *text = machine_run(
		"{ cat /proc/net/snmp; nsenter --net=/proc/%d/fd/%d cat /proc/self/net/snmp; } | awk '/^Ip: [0-9]/ "
		"{ n += $20 } END { print n }'",
		getpid(), f->right.netns);

	return strtol(text, NULL, 10);
}

/* Neighbours and the world, by both families, whoever began; a packet as large as the network lets any be goes whole.
 */
static void guests_of_two_machines_talk(void **state)
{
	struct stretch *f = *state;
	struct talk talk;
	long before;

	assert_true(talks(f->a->netns, f->b->netns, "192.168.122.10", "192.168.122.11"));
	assert_true(talks(f->b->netns, f->a->netns, "fd00:122::11", "fd00:122::10"));
	assert_true(talks(f->b->netns, f->m->world, "192.168.122.11", "203.0.113.1"));
	assert_true(talks(f->d->netns, f->m->world, "fd00:122::13", "2001:db8::1"));
	assert_true(tcp_open(&talk, f->a->netns, f->b->netns, "192.168.122.11", PORT));
	assert_string_equal(talk.seen, "192.168.122.10");
	assert_true(tcp_say(talk.client, talk.server, "over the tunnel"));
	tcp_close(&talk);
	before = fragments(f);
	peer_do(f->a, "ping -c1 -W10 -q -M do -s %d 192.168.122.11", MTU - 28);
	peer_do(f->b, "ping -c1 -W10 -q -M do -s %d 192.168.122.10", MTU - 28);
	peer_do(f->b, "! ping -c1 -W1 -q -M do -s %d 192.168.122.10", MTU - 27);
	assert_int_equal(fragments(f), before);
	/* Had the network a byte more, it would not go whole: so this MTU is the largest. */
	machine_do("ip -n nestvisor-far-test link set lan~0 mtu %d; ip -n nestvisor-far-test link set lan mtu %d; "
		   "ip -n nestvisor-far-test link set a-0 mtu %d",
		   MTU + 1, MTU + 1, MTU + 1);
	peer_do(f->a, "ip link set eth0 mtu %d; ! ping -c1 -W1 -q -M do -s %d 192.168.122.11", MTU + 1, MTU - 27);
	assert_int_equal(fragments(f), before);
	peer_do(f->a, "ip route flush cache; ping -c1 -W1 -q -M dont -s %d 192.168.122.11 || true", MTU - 27);
	assert_true(fragments(f) > before);
}

/* A link in the middle is smaller than those at the ends, and only whoever sends learns that. */
static void the_path_is_as_wide_as_its_narrowest_link(void **state)
{
	struct stretch *f = *state;
	const char *const far[] = {"10.9.0.9", "fd00:9::9"};
	struct ip to, from;
	unsigned mtu;

	machine_do("set -e; ip netns add router; ip netns add beyond\n"
		   "ip link add near type veth peer name near netns router\n"
		   "ip -n router link add far type veth peer name far netns beyond\n"
		   "ip addr add 10.8.0.1/24 dev near; ip addr add fd00:8::1/64 dev near nodad; ip link set near up\n"
		   "ip -n router addr add 10.8.0.2/24 dev near; ip -n router addr add fd00:8::2/64 dev near nodad\n"
		   "ip -n router addr add 10.9.0.2/24 dev far; ip -n router addr add fd00:9::2/64 dev far nodad\n"
		   "ip -n router link set near up; ip -n router link set far mtu 1410 up\n"
		   "ip -n beyond addr add 10.9.0.9/24 dev far; ip -n beyond addr add fd00:9::9/64 dev far nodad\n"
		   "ip -n beyond link set far mtu 1410 up\n"
		   "ip netns exec router sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; "
		   "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'\n"
		   "ip -n beyond route add default via 10.9.0.2; ip -n beyond -6 route add default via fd00:9::2\n"
		   "ip route add 10.9.0.0/24 via 10.8.0.2; ip -6 route add fd00:9::/64 via fd00:8::2\n"
		   "ping -c1 -W10 -q 10.9.0.9; ping -c1 -W10 -q fd00:9::9");
	for (size_t i = 0; i < 2; i++) {
		testlab_set(ip_parse(far[i], &to));
		OK(net_path(&to, &from, &mtu, &problem));
		assert_int_equal(mtu, 1410);
	}
	testlab_set(ip_parse("10.0.0.2", &to));
	OK(net_path(&to, &from, &mtu, &problem));
	assert_int_equal(mtu, UNDERLAY_MTU);
	assert_int_equal(from.bytes[3], 1);
	testlab_set(ip_parse("fd00:77::1", &to));
	machine_do("ip -6 route add unreachable fd00:77::/64");
	assert_int_equal(net_path(&to, &from, &mtu, NULL), -EHOSTUNREACH);
	machine_do(
		"ip -6 route del unreachable fd00:77::/64; ip link del near; ip netns del router; ip netns del beyond");
	(void)f;
}

static void right_has_a_bridge_and_nothing_else(void **state)
{
	struct stretch *f = *state;

	right_do(f, "test -z \"$(ip -n nestvisor-far-test -br addr show lan | awk '{print $3}')\"");
	right_do(f, "test -z \"$(ip -n nestvisor-far-test route; ip -n nestvisor-far-test -6 route)\"");
	right_do(f, "! ls /run/test | grep dnsmasq");
}

static void notice(struct side *side, void *data)
{
	bool same = true;

	OK(net_check_rules(side->net, &same, &problem));
	assert_false(same);
	make_net(side, data);
}

static void what_guards_a_tunnel_is_looked_after(void **state)
{
	struct stretch *f = *state;

	machine_do("nft flush table inet nestvisor-far-test/tunnel");
	on(&f->home, notice, NULL);
	right_do(f, "nft delete table inet nestvisor-far-test/tunnel");
	on(&f->right, notice, NULL);
	machine_do("ip -n nestvisor-far-test link del lan~0");
	on(&f->home, make_net, NULL);
	assert_true(talks(f->a->netns, f->b->netns, "192.168.122.10", "192.168.122.11"));
}

static void forge_udp(struct frame *f, const struct peer *to, const uint8_t mac[6], const char *from, const char *text)
{
	frame_udp4(f, to->mac, mac, from, "192.168.122.12", 9, PORT, text);
}

/* Somebody has taken right over and thrown its rules away; then it can be its own guests, and nobody else. */
static void a_machine_is_its_own_guests_only(void **state)
{
	struct stretch *f = *state;
	static const uint8_t unknown[6] = {2, 9, 9, 9, 9, 9};
	uint8_t gateway[6];
	struct frame frame;

	/* Honest: held by its tap already. */
	forge_udp(&frame, f->c, f->b->mac, "192.168.122.10", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	right_do(f, "nsenter --net=/run/netns/nestvisor-far-test nft flush ruleset");
	forge_udp(&frame, f->c, f->b->mac, "192.168.122.11", "ITSELF");
	assert_true(frame_passes(f->b, f->c, &frame, "ITSELF"));
	forge_udp(&frame, f->c, f->d->mac, "192.168.122.13", "ITS OTHER");
	assert_true(frame_passes(f->b, f->c, &frame, "ITS OTHER"));
	forge_udp(&frame, f->c, f->b->mac, "192.168.122.10", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	forge_udp(&frame, f->c, f->b->mac, "192.168.122.13", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	forge_udp(&frame, f->c, f->a->mac, "192.168.122.10", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	forge_udp(&frame, f->c, unknown, "192.168.122.11", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	forge_udp(&frame, f->c, f->b->mac, "192.168.122.1", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	forge_udp(&frame, f->c, f->b->mac, "198.51.100.7", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	machine_do("ip -n nestvisor-far-test -br link show lan | awk '{print $3}' > /run/test-mac");
	{
		cleanup_free char *text = machine_run("tr -d '\\n' < /run/test-mac");

		assert_true(mac_parse(text, gateway));
	}
	forge_udp(&frame, f->c, gateway, "192.168.122.1", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	frame_arp(&frame, f->b->mac, f->b->mac, "192.168.122.10", "192.168.122.12", ARPOP_REPLY, "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	frame_arp(&frame, f->b->mac, f->b->mac, "192.168.122.13", "192.168.122.12", ARPOP_REPLY, "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	frame_arp(&frame, f->b->mac, f->b->mac, "192.168.122.1", "192.168.122.12", ARPOP_REPLY, "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	frame_udp6(&frame, f->c->mac, f->b->mac, "fd00:122::13", "fd00:122::12", 9, PORT, "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	frame_udp6(&frame, f->c->mac, f->b->mac, "fd00:122::11", "fd00:122::12", 9, PORT, "SIX");
	assert_true(frame_passes(f->b, f->c, &frame, "SIX"));
	frame_advert(&frame, f->b, "fd00:122::11", "fd00:122::10", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	frame_advert(&frame, f->b, "fd00:122::11", "fd00:122::13", "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	frame_advert(&frame, f->b, "fd00:122::11", "fd00:122::11", "MINE");
	assert_true(frame_passes(f->b, f->c, &frame, "MINE"));
	frame_advert(&frame, f->b, "fe80::1", NULL, "FORGED"); /* a router's */
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
	frame_udp4(&frame, f->c->mac, f->b->mac, "192.168.122.11", "192.168.122.12", 67, 68, "FORGED");
	assert_false(frame_passes(f->b, f->c, &frame, "FORGED"));
}

static struct peer *new_stranger(struct stretch *f)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	machine_do("set -e; ip -n stranger link add tunnel type vxlan id %d dstport 4789 remote 10.0.0.1\n"
		   "ip -n stranger link set tunnel up",
		   VNI);
	peer->netns = netns_of("stranger");
	return peer;
}

static void stranger_says(const struct peer *stranger, const struct peer *to, const uint8_t mac[6], const char *text)
{
	char source[MAC_TEXT_SIZE], target[MAC_TEXT_SIZE];

	peer_do(stranger,
		"ip link set tunnel address %s; ip addr replace 192.168.122.11/24 dev tunnel; "
		"ip neigh replace 192.168.122.12 lladdr %s dev tunnel; "
		"bash -c 'echo -n %s > /dev/udp/192.168.122.12/%d'",
		mac_format(mac, source), mac_format(to->mac, target), text, PORT);
}

/* Whether a frame comes out of home's tunnel before one of an honest guest's. */
static bool comes_out(struct stretch *f, const struct peer *stranger, const uint8_t mac[6])
{
	cleanup_close int lab = netns_of("nestvisor-far-test");
	int fd = frame_listen_on(lab, "lan~0");
	struct frame fence;
	bool seen;

	stranger_says(stranger, f->c, mac, "STRANGE");
	frame_arp(&fence, f->b->mac, f->b->mac, "0.0.0.0", "192.168.122.250", ARPOP_REQUEST, "FENCE");
	frame_send(f->b, fence.bytes, fence.length);
	seen = frame_seen_before(fd, "STRANGE", "FENCE");
	close(fd);
	return seen;
}

/* Who is no peer is not listened to, and where he is (no guard), he is nobody's guest. */
static void strangers_are_not_heard(void **state)
{
	static const uint8_t unknown[6] = {2, 9, 9, 9, 9, 9};
	struct stretch *f = *state;
	struct peer *stranger = new_stranger(f);

	assert_false(comes_out(f, stranger, unknown));
	assert_false(comes_out(f, stranger, f->b->mac));
	machine_do("nft flush table inet nestvisor-far-test/tunnel");
	assert_true(comes_out(f, stranger, unknown)); /* else the first two say nothing */
	assert_false(comes_out(f, stranger, f->b->mac));
	/* Another number on the same port is somebody else's. */
	on(&f->home, make_net, NULL);
	machine_do("set -e; ip link add other type vxlan id 77 dstport 4789 remote 10.0.0.3\n"
		   "ip addr add 10.77.0.1/24 dev other; ip link set other up\n"
		   "ip -n stranger link add other type vxlan id 77 dstport 4789 remote 10.0.0.1\n"
		   "ip -n stranger addr add 10.77.0.3/24 dev other; ip -n stranger link set other up\n"
		   "ping -c1 -W10 -q 10.77.0.3; ip link del other");
	close(stranger->netns);
	free(stranger);
}

/* ─── isolation ─── */

struct switching {
	const char *guest;
	struct isolation_setting setting;
};

static void switch_side(struct side *side, void *data)
{
	const struct switching *s = data;
	struct isolation *before = side->now ? side->now : isolation_new(side->lab), *after = isolation_copy(before);
	const struct guest *guest = lab_find_guest(side->lab, s->guest);
	struct net_switched switched;
	size_t flows;

	if (guest)
		isolation_set(after, guest, &s->setting);
	net_set_isolation(side->net, before);
	OK(net_isolate(side->net, after, &switched, &problem));
	assert_false(switched.reloaded);
	OK(net_end_flows(side->net, before, after, &flows, &problem));
	isolation_free(before);
	side->now = after;
}

static void switch_to(struct stretch *f, const char *guest, struct isolation_setting setting)
{
	struct switching s = {guest, setting};

	on(&f->home, switch_side, &s);
	on(&f->right, switch_side, &s);
}

/* The fence is d's, on the same machine and served after b. */
static bool gets_out(struct stretch *f, const char *source, const char *to)
{
	int family = strchr(to, ':') ? AF_INET6 : AF_INET;
	int world = udp_bind(f->m->world, family, NULL, PORT), client = udp_bind(f->b->netns, family, source, 0);
	int honest = udp_bind(f->d->netns, family, NULL, 0);
	bool reached;

	/* Both know their gateway's Ethernet address then, and nothing has to wait for it. */
	peer_do(f->b, "ping -c1 -W10 -q %s", family == AF_INET ? "192.168.122.1" : "fd00:122::1");
	peer_do(f->d, "ping -c1 -W10 -q %s", family == AF_INET ? "192.168.122.1" : "fd00:122::1");
	udp_send(client, to, PORT, "out");
	assert_int_equal(udp_send(honest, to, PORT, "fence"), 0);
	reached = udp_seen_before(world, "out", "fence");
	close(world);
	close(client);
	close(honest);
	return reached;
}

/* The connection may be over: what it went through has been forgotten. */
static bool nothing_came(int fd)
{
	char buffer[64];

	return recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) <= 0;
}

static void a_guest_there_is_cut(void **state)
{
	struct stretch *f = *state;
	struct talk out, in;

	assert_true(tcp_open(&out, f->b->netns, f->m->world, "203.0.113.1", PORT));
	assert_true(tcp_say(out.client, out.server, "before"));
	assert_true(gets_out(f, "192.168.122.11", "203.0.113.1"));
	assert_true(gets_out(f, "fd00:122::11", "2001:db8::1"));
	/* An administrator's session, from home's namespace as `nestvisor ssh` has it. */
	{
		cleanup_close int lab = netns_of("nestvisor-far-test");

		assert_true(tcp_open(&in, lab, f->b->netns, "192.168.122.11", 22));
	}
	switch_to(f, "b", (struct isolation_setting){.world = WORLD_CUT});
	assert_true(send(out.client, "after", 5, MSG_NOSIGNAL) == 5);
	assert_true(send(out.server, "back", 4, MSG_NOSIGNAL) == 4 || errno == ECONNRESET);
	assert_false(gets_out(f, "192.168.122.11", "203.0.113.1"));
	assert_false(gets_out(f, "fd00:122::11", "2001:db8::1"));
	assert_true(nothing_came(out.server));
	assert_true(nothing_came(out.client));
	assert_true(tcp_say(in.client, in.server, "still here"));
	assert_true(tcp_say(in.server, in.client, "as am I"));
	assert_true(talks(f->b->netns, f->a->netns, "192.168.122.11", "192.168.122.10"));
	assert_true(talks(f->c->netns, f->b->netns, "fd00:122::12", "fd00:122::11"));
	/* Its machine taken over: home holds it by itself. */
	right_do(f, "nsenter --net=/run/netns/nestvisor-far-test nft flush ruleset");
	assert_false(gets_out(f, "192.168.122.11", "203.0.113.1"));
	assert_false(gets_out(f, "fd00:122::11", "2001:db8::1"));
	assert_true(nothing_came(out.server));
	/* And open again. */
	{
		struct switching s = {"b", {.world = WORLD_OPEN}};

		on(&f->home, switch_side, &s);
	}
	assert_true(gets_out(f, "192.168.122.11", "203.0.113.1"));
	tcp_close(&out);
	tcp_close(&in);
}

static bool ping(const struct peer *from, const char *to, const char *how)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	bool answered;

	assert_int_equal(setns(from->netns, CLONE_NEWNET), 0);
	answered = machine_try("ping %s -q %s", how, to);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	return answered;
}

/* Who has not been found a moment ago is looked for again after a second. */
static bool pings(const struct peer *from, const char *to)
{
	return ping(from, to, "-c1 -W10");
}

static bool is_held(const struct peer *from, const char *to)
{
	return !ping(from, to, "-c1 -W0.3");
}

static void a_guest_there_is_alone(void **state)
{
	struct stretch *f = *state;

	assert_true(pings(f->b, "192.168.122.10"));
	switch_to(f, "b", (struct isolation_setting){.world = WORLD_CUT, .neighbours = NEIGHBOURS_DROP});
	/* Its host, though it must ask for its address first; and nobody else, whoever begins. */
	peer_do(f->b, "ip neigh flush dev eth0");
	assert_true(pings(f->b, "192.168.122.1"));
	assert_true(pings(f->b, "fd00:122::1"));
	machine_do("ip netns exec nestvisor-far-test ping -c1 -W10 -q 192.168.122.11");
	assert_true(is_held(f->b, "192.168.122.10"));
	assert_true(is_held(f->b, "192.168.122.13"));
	assert_true(is_held(f->a, "192.168.122.11"));
	assert_true(is_held(f->d, "192.168.122.11"));
	assert_true(pings(f->a, "192.168.122.13"));
	/* What it says to everybody its gateway alone hears. */
	{
		struct frame frame;
		int fd = frame_listen(f->a->netns);

		frame_arp(&frame, f->b->mac, f->b->mac, "192.168.122.11", "192.168.122.99", ARPOP_REQUEST, "HELLO");
		frame_send(f->b, frame.bytes, frame.length);
		frame_arp(&frame, f->d->mac, f->d->mac, "192.168.122.13", "192.168.122.99", ARPOP_REQUEST, "FENCE");
		frame_send(f->d, frame.bytes, frame.length);
		assert_false(frame_seen_before(fd, "HELLO", "FENCE"));
		close(fd);
	}
	switch_to(f, "b", (struct isolation_setting){.world = WORLD_OPEN});
	assert_true(pings(f->b, "192.168.122.10"));
}

/* Only those that are cut, too; of another machine none, for who is cut there is not known. */
static void a_guest_there_is_strictly_cut(void **state)
{
	struct stretch *f = *state;

	switch_to(f, "b", (struct isolation_setting){.world = WORLD_CUT, .neighbours = NEIGHBOURS_CUT});
	assert_true(pings(f->b, "192.168.122.1"));
	assert_true(is_held(f->b, "192.168.122.10"));
	assert_true(is_held(f->b, "192.168.122.13"));
	assert_true(is_held(f->a, "192.168.122.11"));
	switch_to(f, "d", (struct isolation_setting){.world = WORLD_CUT});
	assert_true(pings(f->b, "192.168.122.13"));
	assert_true(pings(f->d, "192.168.122.11"));
	assert_true(pings(f->d, "192.168.122.10"));
}

static void a_guest_there_is_sealed(void **state)
{
	struct stretch *f = *state;

	switch_to(f, "b", (struct isolation_setting){.world = WORLD_SEALED});
	assert_true(is_held(f->b, "192.168.122.1"));
	assert_true(is_held(f->a, "192.168.122.11"));
	assert_true(is_held(f->d, "192.168.122.11"));
	assert_true(pings(f->d, "192.168.122.10"));
	/* By each machine alone, too. */
	right_do(f, "nsenter --net=/run/netns/nestvisor-far-test nft flush ruleset");
	assert_true(pings(f->d, "192.168.122.11"));
	assert_true(is_held(f->b, "192.168.122.1"));
	assert_true(is_held(f->a, "192.168.122.11"));
}

/* One at home does not reach those elsewhere either. */
static void a_guest_at_home_is_held_from_those_there(void **state)
{
	struct stretch *f = *state;

	switch_to(f, "a", (struct isolation_setting){.world = WORLD_CUT, .neighbours = NEIGHBOURS_DROP});
	assert_true(is_held(f->a, "192.168.122.11"));
	assert_true(is_held(f->b, "192.168.122.10"));
	switch_to(f, "a", (struct isolation_setting){.world = WORLD_CUT});
	assert_true(pings(f->a, "192.168.122.11"));
	assert_true(pings(f->b, "192.168.122.10"));
	switch_to(f, "a", (struct isolation_setting){.world = WORLD_SEALED});
	assert_true(is_held(f->b, "192.168.122.10"));
}

static int tests(void)
{
	const struct CMUnitTest list[] = {
		cmocka_unit_test_setup_teardown(guests_of_two_machines_talk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(right_has_a_bridge_and_nothing_else, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_path_is_as_wide_as_its_narrowest_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_guards_a_tunnel_is_looked_after, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_machine_is_its_own_guests_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(strangers_are_not_heard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_guest_there_is_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_guest_there_is_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_guest_there_is_strictly_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_guest_there_is_sealed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_guest_at_home_is_held_from_those_there, set_up, tear_down),
	};

	return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
	return machine_main(tests);
}
