/*
 * A lab on a machine of its own (machine.h) for the tests of isolation, and frames that a guest which does as it likes
 * may put on its cable.
 */
#ifndef NESTVISOR_TESTS_ISOLATION_LAB_H
#define NESTVISOR_TESTS_ISOLATION_LAB_H

#include "machine.h"
#include "testlab.h"

#include "model/isolation.h"

enum { PORT = 7000 };

/*
 * L0: lan (nat): a, b with fixed addresses; hv, a host; dhcp without an address; strange, whose system nestvisor did
 * not make. other (nat): far. hv: inner (route): deep. Behind hv's tap the test speaks for deep, too.
 */
struct fixture {
	struct machine *m;
	struct lab *lab;
	struct net *net;
	struct network *lan, *other, *inner;
	struct guest *a, *b, *hv, *dhcp, *strange, *deep, *far;
	struct network *core;
	struct peer *pa, *pb, *phv, *pd, *ps, *pf;
	struct isolation *now;	  /* since the first isolation_switch */
	struct net_switched last; /* what that took, */
	size_t flows;		  /* and what it ended */
};

int isolation_set_up(void **state);	   /* cmocka's: *state is a struct fixture */
int isolation_set_up_nested(void **state); /* the same lab below a guest: this machine is L1 */
int isolation_tear_down(void **state);

/* Namespace, rules, uplink, networks, routes, and a peer for each guest of this host. */
void isolation_make_all(struct fixture *f);

/* Before that: the guest, with the NICs that it has, is on another machine, in other hands and without rules; its two
 * networks reach over there. */
void isolation_move(struct fixture *f, struct guest *guest);
/* The guest's NIC, here or there. */
struct peer *isolation_plug(struct fixture *f, const struct nic *nic);

/* At run time, as `cut`, `open` and `seal` do: the rules, then the flows. */
void isolation_switch(struct fixture *f, const struct guest *guest, struct isolation_setting setting);
void isolation_switch_world(struct fixture *f, const struct guest *guest, enum world world);

struct frame {
	uint8_t bytes[FRAME_SIZE];
	size_t length;
};

extern const uint8_t frame_everyone[6];

void frame_put(struct frame *f, const void *data, size_t length);
void frame_ethernet(struct frame *f, const uint8_t to[6], const uint8_t from[6], uint16_t type);
void frame_ip4(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from, const char *to,
	       uint8_t protocol, const void *payload, size_t length);
void frame_udp4(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from, const char *to,
		uint16_t sport, uint16_t dport, const char *text);
void frame_ip6(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from, const char *to,
	       uint8_t protocol, const void *payload, size_t length);
void frame_udp6(struct frame *f, const uint8_t to_mac[6], const uint8_t from_mac[6], const char *from, const char *to,
		uint16_t sport, uint16_t dport, const char *text);
void frame_arp(struct frame *f, const uint8_t from_mac[6], const uint8_t sender_mac[6], const char *sender,
	       const char *target, uint16_t op, const char *text);
/* A neighbour or router advertisement; target NULL for the latter. The text is behind it, in an option nobody knows. */
void frame_advert(struct frame *f, const struct peer *peer, const char *from, const char *target, const char *text);
/* "Go that way instead" (RFC 4861, section 4.5), which only a router may say. */
void frame_redirect(struct frame *f, const struct peer *peer, const char *from, const char *text);

/* Whether a frame that one guest puts on its cable comes out at another's. The fence is an honest frame behind it. */
bool frame_passes(const struct peer *from, const struct peer *to, const struct frame *frame, const char *text);

/* Whether a datagram `text` came to a socket before the datagram `fence` did, which must come. At most 15 bytes each.
 */
bool udp_seen_before(int fd, const char *text, const char *fence);

/*
 * Whether a datagram from a guest gets to the world. The fence is one of an open guest, far, whose tap the relay serves
 * last. The sender knows its gateway's Ethernet address by then, so its datagram does not wait for anything and is
 * ahead.
 */
bool reaches_world(struct fixture *f, const struct peer *from, const char *source, const char *to, uint16_t port);
/* A question and its answer between two namespaces; fails the test where they do not arrive. */
bool talks(int from, int to, const char *source, const char *address);

#endif
