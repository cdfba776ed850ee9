#include "isolation_lab.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct fixture *fixture_new(unsigned layer)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct host *root, *host;

	f->m = machine_new();
	machine_forward(true);
	f->lab = testlab_new("iso-test", layer ? "top" : "", layer);
	root = f->lab->root;
	f->lan = testlab_network(f->lab, root, "lan", "192.168.122.0/24", "fd00:122::/64",
				 layer ? UPLINK_ROUTE : UPLINK_NAT);
	f->other = testlab_network(f->lab, root, "other", "192.168.123.0/24", "fd00:123::/64", UPLINK_NAT);
	f->a = testlab_guest(f->lab, root, "a");
	testlab_nic(f->lab, f->a, f->lan, "192.168.122.10", "fd00:122::10");
	f->b = testlab_guest(f->lab, root, "b");
	testlab_nic(f->lab, f->b, f->lan, "192.168.122.11", "fd00:122::11");
	f->hv = testlab_guest(f->lab, root, "hv");
	testlab_nic(f->lab, f->hv, f->lan, "192.168.122.20", "fd00:122::20");
	f->dhcp = testlab_guest(f->lab, root, "dhcp");
	testlab_nic(f->lab, f->dhcp, f->lan, NULL, NULL);
	f->strange = testlab_guest(f->lab, root, "strange");
	f->strange->seed = SEED_NONE;
	testlab_nic(f->lab, f->strange, f->lan, "192.168.122.12", "fd00:122::12");
	f->far = testlab_guest(f->lab, root, "far");
	testlab_nic(f->lab, f->far, f->other, "192.168.123.10", "fd00:123::10");
	host = testlab_host(f->lab, f->hv);
	f->inner = testlab_network(f->lab, host, "inner", "192.168.124.0/24", "fd00:124::/64", UPLINK_ROUTE);
	f->deep = testlab_guest(f->lab, host, "deep");
	testlab_nic(f->lab, f->deep, f->inner, "192.168.124.91", "fd00:124::91");
	f->core = testlab_network(f->lab, testlab_host(f->lab, f->deep), "core", "10.7.0.0/16", "fd00:7::/64",
				  UPLINK_ROUTE);
	f->lan->dhcp = true;
	OK(net_open(f->lab, f->m->run, &f->net, &problem));
	return f;
}

int isolation_set_up(void **state)
{
	*state = fixture_new(0);
	return 0;
}

int isolation_set_up_nested(void **state)
{
	*state = fixture_new(1);
	return 0;
}

int isolation_tear_down(void **state)
{
	struct fixture *f = *state;

	net_set_isolation(f->net, NULL);
	isolation_free(f->now);
	net_close(f->net);
	OK(net_remove_all("iso-test", f->m->run, &problem));
	lab_free(f->lab);
	machine_free(f->m);
	machine_try("ip link del under 2>/dev/null; ip netns del right 2>/dev/null");
	free(f);
	return 0;
}

static void stretch(struct fixture *f, struct network *network, uint32_t vni)
{
	network->encapsulation = ENCAP_VXLAN;
	network->vni = vni;
	network->peers = arena_alloc(f->lab->arena, sizeof(*network->peers));
	testlab_set(ip_parse("10.0.0.2", &network->peers[network->peer_count++]));
	network->far = arena_alloc(f->lab->arena, 8 * sizeof(*network->far));
}

static void add_far(struct fixture *f, const struct nic *nic)
{
	static const char *const subnets[] = {"192.168.124.0/24", "fd00:124::/64", "10.7.0.0/16", "fd00:7::/64"};
	struct far_nic *far = &nic->network->far[nic->network->far_count++];

	*far = (struct far_nic){.address4 = nic->address4,
				.address6 = nic->address6,
				.machine = nic->network->peers[0],
				.guest = nic->guest};
	memcpy(far->mac, nic->mac, sizeof(far->mac));
	far->behind = arena_alloc(f->lab->arena, 4 * sizeof(*far->behind));
	for (size_t i = 0; nic->guest == f->hv && i < 4; i++)
		testlab_set(prefix_parse(subnets[i], &far->behind[far->behind_count++]));
}

void isolation_move(struct fixture *f, struct guest *guest)
{
	machine_do(
		"set -e; ip netns add right; ip link add under type veth peer name under netns right\n"
		"ip link set under addrgenmode none mtu 1600 up; ip addr add 10.0.0.1/24 dev under\n"
		"ip -n right link set under addrgenmode none mtu 1600 up; ip -n right addr add 10.0.0.2/24 dev under");
	stretch(f, f->lan, 0x1001);
	stretch(f, f->other, 0x1002);
	guest->machine = (struct lab_machine *)(void *)f; /* whichever: another one */
	for (size_t i = 0; i < guest->nic_count; i++)
		add_far(f, &guest->nics[i]);
}

struct peer *isolation_plug(struct fixture *f, const struct nic *nic)
{
	return nic->guest->machine ? peer_new_elsewhere(f->m, "right", nic, true)
				   : peer_new_on(f->m, f->net, nic, true);
}

void isolation_make_all(struct fixture *f)
{
	OK(net_make_namespace(f->net, &problem));
	OK(net_make_rules(f->net, &problem));
	OK(net_make_uplink(f->net, NULL, &problem));
	OK(net_make_network(f->net, f->lan, &problem));
	OK(net_make_network(f->net, f->other, &problem));
	OK(net_make_routes(f->net, &problem));
	f->pa = isolation_plug(f, &f->a->nics[0]);
	f->pb = peer_new(f->m, f->net, f->b);
	f->phv = isolation_plug(f, &f->hv->nics[0]);
	f->pd = isolation_plug(f, &f->dhcp->nics[0]);
	f->ps = peer_new(f->m, f->net, f->strange);
	f->pf = peer_new(f->m, f->net, f->far);
	/* hv routes for deep and a guest of that, who live in the same namespace. */
	peer_do(f->phv,
		"ip addr add 192.168.124.91/32 dev lo; ip addr add fd00:124::91/128 dev lo nodad;"
		"ip addr add 10.7.0.9/32 dev lo; ip addr add fd00:7::9/128 dev lo nodad;"
		/* The kernel makes what it receives with an IPv6 address work a moment after the address. */
		"timeout 20 sh -c 'until ip -6 route show table local | grep -q \"^local fd00:124::91 \" && "
		"ip -6 route show table local | grep -q \"^local fd00:7::9 \"; do read x < /proc/uptime; done'");
}

void isolation_switch(struct fixture *f, const struct guest *guest, struct isolation_setting setting)
{
	struct isolation *before = f->now ? f->now : isolation_new(f->lab), *after = isolation_copy(before);

	isolation_set(after, guest, &setting);
	net_set_isolation(f->net, before);
	OK(net_isolate(f->net, after, &f->last, &problem));
	assert_false(f->last.reloaded); /* elements, and nothing else */
	OK(net_end_flows(f->net, before, after, &f->flows, &problem));
	isolation_free(before);
	f->now = after;
}

void isolation_switch_world(struct fixture *f, const struct guest *guest, enum world world)
{
	isolation_switch(f, guest, (struct isolation_setting){.world = world});
}

/* Frames */

const uint8_t frame_everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void frame_put(struct frame *f, const void *data, size_t length)
{
	assert_true(f->length + length <= sizeof(f->bytes));
	memcpy(f->bytes + f->length, data, length);
	f->length += length;
}

void frame_ethernet(struct frame *f, const uint8_t to[6], const uint8_t from[6], uint16_t type)
{
	type = htons(type);
	f->length = 0;
	frame_put(f, to, 6);
	frame_put(f, from, 6);
	frame_put(f, &type, 2);
}

void frame_ip4(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from, const char *to,
	       uint8_t protocol, const void *payload, size_t length)
{
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .ttl = 64,
			   .protocol = protocol,
			   .tot_len = htons((uint16_t)(sizeof(ip) + length)),
			   .saddr = inet_addr(from),
			   .daddr = inet_addr(to)};

	ip.check = checksum_fold(checksum_add(&ip, sizeof(ip), 0));
	frame_ethernet(f, to_mac, from_mac, ETH_P_IP);
	frame_put(f, &ip, sizeof(ip));
	frame_put(f, payload, length);
}

void frame_udp4(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from, const char *to,
		uint16_t sport, uint16_t dport, const char *text)
{
	uint8_t payload[256];
	size_t length = sizeof(struct udphdr) + strlen(text);
	/* no checksum: allowed in IPv4 */
	struct udphdr udp = {.source = htons(sport), .dest = htons(dport), .len = htons((uint16_t)length)};

	assert_true(length <= sizeof(payload));
	memcpy(payload, &udp, sizeof(udp));
	memcpy(payload + sizeof(udp), text, strlen(text));
	frame_ip4(f, to_mac, from_mac, from, to, IPPROTO_UDP, payload, length);
}

void frame_ip6(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from, const char *to,
	       uint8_t protocol, const void *payload, size_t length)
{
	struct ip6_hdr ip = {.ip6_plen = htons((uint16_t)length), .ip6_nxt = protocol, .ip6_hlim = 255};

	ip.ip6_vfc = 0x60;
	assert_int_equal(inet_pton(AF_INET6, from, &ip.ip6_src), 1);
	assert_int_equal(inet_pton(AF_INET6, to, &ip.ip6_dst), 1);
	frame_ethernet(f, to_mac, from_mac, ETH_P_IPV6);
	frame_put(f, &ip, sizeof(ip));
	frame_put(f, payload, length);
}

void frame_udp6(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from, const char *to,
		uint16_t sport, uint16_t dport, const char *text)
{
	uint8_t payload[256];
	size_t length = sizeof(struct udphdr) + strlen(text);
	struct udphdr udp = {.source = htons(sport), .dest = htons(dport), .len = htons((uint16_t)length)};

	memcpy(payload, &udp, sizeof(udp));
	memcpy(payload + sizeof(udp), text, strlen(text));
	frame_ip6(f, to_mac, from_mac, from, to, IPPROTO_UDP, payload, length);
	udp.check = checksum_fold(checksum_add(f->bytes + ETH_HLEN + 8, 32 + length, (uint32_t)length + IPPROTO_UDP));
	memcpy(f->bytes + ETH_HLEN + sizeof(struct ip6_hdr), &udp, sizeof(udp));
}

void frame_arp(struct frame *f, const uint8_t from_mac[6], const uint8_t sender_mac[6], const char *sender,
	       const char *target, uint16_t op, const char *text)
{
	const struct arphdr header = {
		.ar_hrd = htons(ARPHRD_ETHER), .ar_pro = htons(ETH_P_IP), .ar_hln = 6, .ar_pln = 4, .ar_op = htons(op)};
	uint32_t ip = inet_addr(sender);

	frame_ethernet(f, frame_everyone, from_mac, ETH_P_ARP);
	frame_put(f, &header, sizeof(header));
	frame_put(f, sender_mac, 6);
	frame_put(f, &ip, 4);
	ip = inet_addr(target);
	frame_put(f, frame_everyone, 6);
	frame_put(f, &ip, 4);
	frame_put(f, text, strlen(text)); /* padding, by which it is known again */
}

void frame_advert(struct frame *f, const struct peer *peer, const char *from, const char *target, const char *text)
{
	uint8_t payload[64] = {target ? ND_NEIGHBOR_ADVERT : ND_ROUTER_ADVERT, 0, 0, 0, target ? 0x20 : 64};
	size_t length = target ? 24 : 16;

	if (target)
		assert_int_equal(inet_pton(AF_INET6, target, payload + 8), 1);
	payload[length] = 200;
	payload[length + 1] = 2;
	memcpy(payload + length + 2, text, strlen(text) < 14 ? strlen(text) : 14);
	length += 16;
	frame_ip6(f, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, peer->mac, from, "ff02::1", IPPROTO_ICMPV6, payload,
		  length);
	*(uint16_t *)(void *)(f->bytes + ETH_HLEN + sizeof(struct ip6_hdr) + 2) =
		checksum_fold(checksum_add(f->bytes + ETH_HLEN + 8, 32 + length, (uint32_t)length + IPPROTO_ICMPV6));
}

void frame_redirect(struct frame *f, const struct peer *peer, const char *from, const char *text)
{
	uint8_t payload[56] = {ND_REDIRECT};

	payload[40] = 200;
	payload[41] = 2;
	memcpy(payload + 42, text, strlen(text) < 14 ? strlen(text) : 14);
	frame_ip6(f, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, peer->mac, from, "ff02::1", IPPROTO_ICMPV6, payload,
		  sizeof(payload));
	*(uint16_t *)(void *)(f->bytes + ETH_HLEN + sizeof(struct ip6_hdr) + 2) = checksum_fold(
		checksum_add(f->bytes + ETH_HLEN + 8, 32 + sizeof(payload), sizeof(payload) + IPPROTO_ICMPV6));
}

bool frame_passes(const struct peer *from, const struct peer *to, const struct frame *frame, const char *text)
{
	int fd = frame_listen(to->netns);
	struct frame fence;
	bool seen;

	frame_arp(&fence, from->mac, from->mac, "0.0.0.0", "192.168.122.250", ARPOP_REQUEST, "FENCE");
	frame_send(from, frame->bytes, frame->length);
	frame_send(from, fence.bytes, fence.length);
	seen = frame_seen_before(fd, text, "FENCE");
	close(fd);
	return seen;
}

bool udp_seen_before(int fd, const char *text, const char *fence)
{
	const struct timeval patience = {.tv_sec = 10};
	char buffer[16] = "";
	bool seen = false;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (strcmp(buffer, fence) != 0) {
		ssize_t n = recv(fd, buffer, sizeof(buffer) - 1, 0);

		if (n < 0)
			fail_msg("the fence did not arrive");
		buffer[n] = '\0';
		seen |= strcmp(buffer, text) == 0;
	}
	return seen;
}

bool reaches_world(struct fixture *f, const struct peer *from, const char *source, const char *to, uint16_t port)
{
	int family = strchr(to, ':') ? AF_INET6 : AF_INET;
	int world = udp_bind(f->m->world, family, NULL, port), client = udp_bind(from->netns, family, source, 0);
	int honest = udp_bind(f->pf->netns, family, NULL, 0);
	bool reached;

	peer_do(from, "ping -c1 -W10 -q %s", family == AF_INET ? "192.168.122.1" : "fd00:122::1");
	peer_do(f->pf, "ping -c1 -W10 -q %s", family == AF_INET ? "192.168.123.1" : "fd00:123::1");
	udp_send(client, to, port, "out");
	assert_int_equal(udp_send(honest, to, port, "fence"), 0);
	reached = udp_seen_before(world, "out", "fence");
	close(world);
	close(client);
	close(honest);
	return reached;
}

bool talks(int from, int to, const char *source, const char *address)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET;
	int client = udp_bind(from, family, source, 0), server = udp_bind(to, family, address, PORT);
	char seen[80];

	assert_int_equal(udp_send(client, address, PORT, "ask"), 0);
	udp_answer(server, "ask", "tell", seen);
	udp_expect(client, "tell", NULL);
	close(client);
	close(server);
	return true;
}
