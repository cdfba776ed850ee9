/* What net/ derives from the model without a kernel: ways through the layers, names, dnsmasq's configuration. */
#include "../netns/testlab.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "model/isolation.h"
#include "net/dnsmasq.h"
#include "net/link.h"
#include "net/net_internal.h"
#include "net/outside.h"
#include "net/reach.h"
#include "net/rules.h"
#include "net/tracking.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

/* L0: lab ─ hv1 ─ inner ─ hv2 ─ core ─ c. hv1 has a second network, hidden. */
struct fixture {
	struct lab *lab;
	struct network *lab_network, *inner, *hidden, *core;
	struct guest *hv1, *hv2, *c, *h;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct host *one, *two;

	f->lab = testlab_new("first", "", 0);
	f->lab_network = testlab_network(f->lab, f->lab->root, "lab", "192.168.122.0/24", "fd00:122::/64", UPLINK_NAT);
	f->hv1 = testlab_guest(f->lab, f->lab->root, "hv1");
	testlab_nic(f->lab, f->hv1, f->lab_network, "192.168.122.191", NULL);
	testlab_nic(f->lab, f->hv1, f->lab_network, "192.168.122.192", "fd00:122::192");
	one = testlab_host(f->lab, f->hv1);
	f->inner = testlab_network(f->lab, one, "inner", "192.168.124.0/24", "fd00:124::/64", UPLINK_ROUTE);
	f->hidden = testlab_network(f->lab, one, "hidden", "192.168.125.0/24", NULL, UPLINK_NAT);
	f->hv2 = testlab_guest(f->lab, one, "hv2");
	testlab_nic(f->lab, f->hv2, f->inner, "192.168.124.2", NULL);
	f->h = testlab_guest(f->lab, one, "h");
	testlab_nic(f->lab, f->h, f->hidden, "192.168.125.9", NULL);
	two = testlab_host(f->lab, f->hv2);
	f->core = testlab_network(f->lab, two, "core", "10.7.0.0/16", "fd00:7::/64", UPLINK_ROUTE);
	f->c = testlab_guest(f->lab, two, "c");
	testlab_nic(f->lab, f->c, f->core, "10.7.0.9", "fd00:7::9");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	lab_free(f->lab);
	free(f);
	return 0;
}

static void ways_through_the_layers(void **state)
{
	struct fixture *f = *state;
	const struct host *root = f->lab->root;

	assert_ptr_equal(reach_entry(root, f->lab_network, AF_INET), f->lab_network);
	assert_ptr_equal(reach_entry(root, f->inner, AF_INET), f->lab_network);
	assert_ptr_equal(reach_entry(root, f->inner, AF_INET6), f->lab_network);
	assert_ptr_equal(reach_entry(root, f->core, AF_INET), f->lab_network);
	assert_null(reach_entry(root, f->hidden, AF_INET)); /* translated by hv1 */
	assert_null(reach_entry(root, f->core, AF_INET6));  /* hv2 has no IPv6 address to send it to */
	assert_ptr_equal(reach_entry(f->hv1->host, f->core, AF_INET), f->inner);
	assert_ptr_equal(reach_nic(f->hv1, AF_INET), &f->hv1->nics[0]);
	assert_ptr_equal(reach_nic(f->hv1, AF_INET6), &f->hv1->nics[1]);
	assert_null(reach_nic(f->hv2, AF_INET6));
	f->inner->uplink = UPLINK_NONE;
	assert_null(reach_entry(root, f->core, AF_INET)); /* no further than the first that does not route */
}

static void link_local_follows_the_mac(void **state)
{
	const uint8_t mac[6] = {0x02, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f};
	struct ip ip = link_local(mac);
	char text[IP_TEXT_SIZE];

	assert_string_equal(ip_format(&ip, text), "fe80::1b:2cff:fe3d:4e5f");
}

static void names_come_from_the_lab(void **state)
{
	static const char *const bad[] = {"",	 "a/b",	 "..\n",
					  "a b", "x\"y", "01234567890123456789012345678901234567890"};
	struct net_names names;
	char id[ID_TEXT_SIZE];

	assert_int_equal(net_names_of("first", &names, NULL), 0);
	model_derive_id("first", "", id);
	assert_string_equal(names.netns, "nestvisor-first");
	assert_string_equal(names.mark, "nestvisor:first:");
	assert_memory_equal(names.veth, "nv", 2);
	assert_memory_equal(names.veth + 2, id, 8);
	assert_string_equal(names.veth + 10, "w");
	assert_int_equal(net_names_of("0123456789012345678901234567890123456789", &names, NULL), 0);
	assert_int_equal(strlen(names.netns), 50);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct error *err = NULL;

		assert_int_equal(net_names_of(bad[i], &names, &err), -EINVAL);
		error_free(err);
	}
}

static void resolvers_but_the_machines_own(void **state)
{
	struct ip found[3];
	char text[IP_TEXT_SIZE];

	assert_int_equal(dnsmasq_resolvers("", found, 3), 0);
	assert_int_equal(dnsmasq_resolvers("nameserver 127.0.0.53\nnameserver ::1\noptions edns0\n", found, 3), 0);
	assert_int_equal(
		dnsmasq_resolvers("# nameserver 9.9.9.9\nsearch x\nnameserver\t10.0.0.1\nnameserver fe80::1%eth0\n"
				  "nameserver 2001:db8::53",
				  found, 3),
		2);
	assert_string_equal(ip_format(&found[0], text), "10.0.0.1");
	assert_string_equal(ip_format(&found[1], text), "2001:db8::53");
	assert_int_equal(
		dnsmasq_resolvers("nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n",
				  found, 3),
		3);
}

static char *configuration(struct fixture *f, const struct network *network)
{
	struct strbuf sb = {0};
	struct ip upstream;

	ip_parse("10.0.0.1", &upstream);
	dnsmasq_format(f->lab, network, "/run/x/dnsmasq-lab", "nobody", &upstream, 1, &sb);
	return strbuf_steal(&sb);
}

static void dnsmasq_for_names_only(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *text = NULL;

	f->lab_network->dns = true;
	text = configuration(f, f->lab_network);
	assert_string_equal(text,
			    "# The network lab of the lab first. Written by nestvisor: changes are lost.\n"
			    "interface=lab\nexcept-interface=lo\nbind-interfaces\nno-hosts\nno-resolv\nuser=nobody\npid-file=\n"
			    "log-facility=/run/x/dnsmasq-lab.log\n"
			    "domain-needed\nlocalise-queries\nlocal=/first/\n"
			    "host-record=hv1.first,hv1,192.168.122.191,fd00:122::192\n"
			    "host-record=hv2.hv1.first,192.168.124.2\n"
			    "host-record=c.hv2.hv1.first,10.7.0.9\n"
			    "conntrack\nserver=10.0.0.1\n");
}

/* Nobody in the world is asked; names of leases are asked of the one that gives them. */
static void dnsmasq_for_the_cut(void **state)
{
	struct fixture *f = *state;
	cleanup_strbuf struct strbuf fixed = {0}, leases = {0};

	f->lab_network->dns = true;
	dnsmasq_format_for_cut(f->lab, f->lab_network, "/run/x/names-lab", "nobody", &fixed);
	assert_string_equal(fixed.text,
			    "# The network lab of the lab first. Written by nestvisor: changes are lost.\n"
			    "interface=lab\nexcept-interface=lo\nbind-interfaces\nno-hosts\nno-resolv\nuser=nobody\npid-file=\n"
			    "log-facility=/run/x/names-lab.log\nport=54\ncache-size=0\n"
			    "domain-needed\nlocalise-queries\nlocal=/first/\n"
			    "host-record=hv1.first,hv1,192.168.122.191,fd00:122::192\n"
			    "host-record=hv2.hv1.first,192.168.124.2\n"
			    "host-record=c.hv2.hv1.first,10.7.0.9\n");
	f->lab_network->dhcp = true;
	dnsmasq_format_for_cut(f->lab, f->lab_network, "/run/x/names-lab", "nobody", &leases);
	assert_non_null(strstr(leases.text, "\nserver=/first/192.168.122.1\n"));
	assert_null(strstr(leases.text, "dhcp"));
}

static void dnsmasq_for_leases(void **state)
{
	struct fixture *f = *state;
	cleanup_free char *text = NULL, *fixed = NULL;

	f->lab_network->dhcp = true;
	f->lab_network->uplink = UPLINK_NONE;
	f->lab_network->mtu = 1400;
	memcpy(f->hv1->nics[0].mac, (uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
	memcpy(f->hv1->nics[1].mac, (uint8_t[]){2, 0, 0, 0, 0, 2}, 6);
	text = configuration(f, f->lab_network);
	assert_non_null(strstr(text, "\nport=0\n"));
	assert_null(strstr(text, "server="));
	assert_non_null(strstr(text, "\ndhcp-range=192.168.122.128,192.168.122.254,255.255.255.0,12h\n"));
	assert_non_null(strstr(text, "\ndhcp-option=option:router,192.168.122.1\n"));
	assert_non_null(strstr(text, "\ndhcp-option=option:mtu,1400\n"));
	assert_non_null(strstr(text, "\ndhcp-option=option:dns-server\n"));
	assert_non_null(strstr(text, "\ndhcp-range=fd00:122::1000,fd00:122::1fff,64,12h\n"));
	assert_non_null(strstr(text, "\ndhcp-host=02:00:00:00:00:01,192.168.122.191,hv1\n"));
	assert_non_null(strstr(text, "\ndhcp-host=02:00:00:00:00:02,192.168.122.192,[fd00:122::192],hv1\n"));
	assert_non_null(strstr(text, "\ndomain=first\n"));
	prefix_parse("10.0.0.0/30", &f->lab_network->subnet4);
	f->lab_network->dhcp_first = f->lab_network->dhcp_last = (struct ip){0};
	fixed = configuration(f, f->lab_network);
	assert_non_null(strstr(fixed, "\ndhcp-range=10.0.0.0,static,255.255.255.252,12h\n"));
}

/* hv1's own part, as the nestvisor inside it sees it. */
static void names_on_a_deeper_host(void **state)
{
	struct lab *lab = testlab_new("first", "hv1", 1);
	struct network *inner = testlab_network(lab, lab->root, "inner", "192.168.124.0/24", NULL, UPLINK_ROUTE);
	struct fixture f = {.lab = lab};
	cleanup_free char *text = NULL;

	testlab_nic(lab, testlab_guest(lab, lab->root, "a"), inner, "192.168.124.91", NULL);
	inner->dns = true;
	text = configuration(&f, inner);
	assert_non_null(strstr(text, "\nlocal=/hv1.first/\n"));
	assert_non_null(strstr(text, "\nhost-record=a.hv1.first,a,a.first,192.168.124.91\n"));
	assert_non_null(strstr(text, "\nserver=10.0.0.1\n"));
	lab_free(lab);
}

static void chains_that_drop(void **state)
{
	struct outside none = {0}, some = {0}, both = {0};

	outside_find_drops("", &none);
	outside_find_drops(
		"table inet a {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n"
		"\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n\t}\n}\n"
		"table bridge b {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n",
		&none);
	assert_string_equal(none.chain4, "");
	assert_string_equal(none.chain6, "");
	outside_find_drops("table ip nat {\n\tchain DOCKER {\n\t}\n}\ntable ip filter {\n\tchain DOCKER-USER {\n\t}\n"
			   "\tchain FORWARD {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n",
			   &some);
	assert_string_equal(some.chain4, "ip filter FORWARD");
	assert_string_equal(some.chain6, "");
	outside_find_drops(
		"table inet fw {\n\tchain fwd {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n",
		&both);
	assert_string_equal(both.chain4, "inet fw fwd");
	assert_string_equal(both.chain6, "inet fw fwd");
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void format(const struct lab *lab, struct strbuf *out)
{
	cleanup_isolation struct isolation *isolation = isolation_new(lab);

	rules_format(isolation, NULL, 0, out);
}

/* Guests are elements of sets: however many there are, the chains are as long. */
static void rules_do_not_grow_with_guests(void **state)
{
	struct fixture *f = *state;
	cleanup_strbuf struct strbuf few = {0}, many = {0};

	format(f->lab, &few);
	for (int i = 0; i < 40; i++) {
		char name[16], address[32];

		snprintf(name, sizeof(name), "g%d", i);
		snprintf(address, sizeof(address), "192.168.122.%d", 10 + i);
		testlab_nic(f->lab, testlab_guest(f->lab, f->lab->root, name), f->lab_network, address, NULL);
	}
	format(f->lab, &many);
	assert_int_equal(count(few.text, "\n"), count(many.text, "\n"));
	assert_non_null(strstr(many.text, "\"g39-0\" . 192.168.122.49"));
}

static void rules_know_what_is_behind_a_guest(void **state)
{
	struct fixture *f = *state;
	cleanup_strbuf struct strbuf sb = {0};

	f->hv2->world = WORLD_CUT;
	f->h->world = WORLD_CUT; /* hidden: cannot be told from hv1 here */
	format(f->lab, &sb);
	assert_non_null(strstr(sb.text, "\"hv1-0\" . 192.168.122.191, \"hv1-1\" . 192.168.122.192"));
	assert_non_null(strstr(sb.text, "\"hv1-0\" . 192.168.124.0/24, \"hv1-0\" . 10.7.0.0/16, "
					"\"hv1-1\" . 192.168.124.0/24, \"hv1-1\" . 10.7.0.0/16"));
	assert_non_null(strstr(sb.text, "map from4 {\n\t\ttype ipv4_addr : verdict\n\t\tsize 10\n"
					"\t\telements = { 10.7.0.9 : jump from_cut, 192.168.124.2 : jump from_cut }"));
	assert_non_null(strstr(sb.text, "map from_net4 {\n\t\ttype ipv4_addr : verdict\n\t\tflags interval\n"
					"\t\telements = { 10.7.0.0/16 : jump net_from_cut }"));
	assert_null(strstr(sb.text, "192.168.125.2 : "));
	assert_null(strstr(sb.text, "192.168.125"));
}

static void tracked(const char *line, const char *expected)
{
	struct flow flow;
	char text[512] = "", *at = text;

	if (!tracking_parse(line, &flow)) {
		assert_null(expected);
		return;
	}
	for (const struct side *side = &flow.original; side; side = side == &flow.original ? &flow.reply : NULL) {
		char from[IP_TEXT_SIZE], to[IP_TEXT_SIZE];

		at += sprintf(at, "%s%u %s:%u > %s:%u (%u.%u)", side == &flow.reply ? ", " : "", side->protocol,
			      ip_format(&side->source, from), side->source_port, ip_format(&side->destination, to),
			      side->destination_port, side->icmp_type, side->icmp_code);
	}
	assert_string_equal(text, expected);
}

/* As Linux 6.18 writes them. */
static void tracked_flows(void **state)
{
	tracked("ipv4     2 tcp      6 431999 ESTABLISHED src=192.168.122.10 dst=203.0.113.1 sport=40000 dport=443 "
		"src=203.0.113.1 dst=100.64.0.2 sport=443 dport=1025 [ASSURED] mark=0 zone=0 use=2",
		"6 192.168.122.10:40000 > 203.0.113.1:443 (0.0), 6 203.0.113.1:443 > 100.64.0.2:1025 (0.0)");
	tracked("ipv6     10 udp      17 29 src=fd00:0122:0000:0000:0000:0000:0000:0010 "
		"dst=2001:0db8:0000:0000:0000:0000:0000:0001 sport=9 dport=53 packets=1 bytes=60 [UNREPLIED] "
		"src=2001:0db8:0000:0000:0000:0000:0000:0001 dst=fd00:0122:0000:0000:0000:0000:0000:0010 sport=53 "
		"dport=9 packets=0 bytes=0 mark=256 zone=0 use=2",
		"17 fd00:122::10:9 > 2001:db8::1:53 (0.0), 17 2001:db8::1:53 > fd00:122::10:9 (0.0)");
	tracked("ipv4     2 icmp     1 29 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=513 src=10.0.0.2 dst=10.0.0.1 "
		"type=0 code=0 id=513 mark=0 use=2",
		"1 10.0.0.1:513 > 10.0.0.2:513 (8.0), 1 10.0.0.2:513 > 10.0.0.1:513 (0.0)");
	tracked("ipv4     2 gre      47 29 timeout=30, stream_timeout=180 src=10.0.0.1 dst=10.0.0.2 srckey=0x0 "
		"dstkey=0x1f src=10.0.0.2 dst=10.0.0.1 srckey=0x1f dstkey=0x0 mark=0 use=2",
		"47 10.0.0.1:0 > 10.0.0.2:31 (0.0), 47 10.0.0.2:31 > 10.0.0.1:0 (0.0)");
	tracked("ipv4     2 unknown  99 599 src=10.0.0.1 dst=10.0.0.2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 use=2",
		"99 10.0.0.1:0 > 10.0.0.2:0 (0.0), 99 10.0.0.2:0 > 10.0.0.1:0 (0.0)");
	tracked("ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2", NULL);
	tracked("ipv4     2 tcp      6 9 CLOSE src=10.0.0.x dst=10.0.0.2 src=10.0.0.2 dst=10.0.0.1", NULL);
	tracked("", NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest all[] = {
		TEST(ways_through_the_layers),
		cmocka_unit_test(link_local_follows_the_mac),
		cmocka_unit_test(names_come_from_the_lab),
		cmocka_unit_test(resolvers_but_the_machines_own),
		TEST(dnsmasq_for_names_only),
		TEST(dnsmasq_for_the_cut),
		TEST(dnsmasq_for_leases),
		cmocka_unit_test(names_on_a_deeper_host),
		cmocka_unit_test(chains_that_drop),
		TEST(rules_do_not_grow_with_guests),
		TEST(rules_know_what_is_behind_a_guest),
		cmocka_unit_test(tracked_flows),
	};

	return cmocka_run_group_tests_name("net_text", all, NULL, NULL);
}
