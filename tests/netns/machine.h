/*
 * A machine of its own for a test, inside this one: process, mount and network namespaces that go with the test however
 * it ends. It has an interface eth0 (203.0.113.2/24, 2001:db8::2/64) with default routes over a veth to a second
 * network namespace, the world (203.0.113.1, 2001:db8::1), and a /run of its own, so that labs of the real machine are
 * neither seen nor touched.
 *
 * Guests are network namespaces, each on a tap: the test holds the descriptors that a lab's QEMU would, and a thread
 * carries frames between the lab's tap and the guest's. So packets take the way that those of virtual machines take.
 */
#ifndef NESTVISOR_TESTS_MACHINE_H
#define NESTVISOR_TESTS_MACHINE_H

#include "model/lab.h"
#include "net/net.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Fails the test with the error's message; the call names its error `problem`. */
#define OK(call)                                                                                                       \
	do {                                                                                                           \
		struct error *problem = NULL;                                                                          \
		if ((call) < 0)                                                                                        \
			fail_msg("%s: %s", #call, problem ? problem->message : "?");                                   \
	} while (0)

/* Runs the tests inside; to be returned from main. 77 with the reason printed where there is no root or no namespace.
 */
int machine_main(int (*tests)(void));

enum { FRAME_SIZE = 2048 };

struct peer {
	char name[16];
	int netns;
	int lab_tap;   /* the descriptor that net_make_tap gave */
	int guest_tap; /* of eth0 inside the guest */
	uint8_t mac[6];
};

struct machine {
	int home, world; /* network namespaces */
	char run[64];	 /* a folder for run_dir */
	struct peer *peers[32];
	size_t peer_count;
	struct relay *relay;
};

/* Makes eth0 and the world anew, without forwarding. Fails the test where it cannot. */
struct machine *machine_new(void);
void machine_free(struct machine *m); /* ends the relay and all guests; labs are the test's own */

/* In the machine: a shell command for setting up and looking (the text is the test's own). Output freed by the caller.
 */
char *machine_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
void machine_do(const char *format, ...) __attribute__((format(printf, 1, 2))); /* fails the test unless it succeeds */
bool machine_try(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether this machine forwards, for both families. */
void machine_forward(bool on);

/*
 * All that a lab must not change: addresses, routes, rules, links, sysctls under net of the machine's namespace, and
 * the names of namespaces; but for the given interface and what is called after the lab ("" for none). Freed by the
 * caller.
 */
char *machine_picture(const char *interface, const char *lab);
/* Fails the test with the lines that differ. */
void machine_same(const char *before, const char *after);

/* A guest on its tap: addresses and default routes of its first nic's network are set. */
struct peer *peer_new(struct machine *m, struct net *net, const struct guest *guest);
struct peer *peer_new_on(struct machine *m, struct net *net, const struct nic *nic, bool configure);
/*
 * A guest on another machine, a network namespace that is 10.0.0.2 to this one's 10.0.0.1: on a bridge there, with a
 * tunnel here, and no rules.
 */
struct peer *peer_new_elsewhere(struct machine *m, const char *machine, const struct nic *nic, bool configure);
void peer_unplug(struct machine *m, struct peer *peer); /* closes the lab's tap, as QEMU's end would */
/* In the guest: ip(8) and such. */
void peer_do(const struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Network namespaces */
int netns_of(const char *name); /* "/run/netns/<name>" */
int socket_in(int netns, int domain, int type, int protocol);

/* UDP: a socket bound in a namespace; NULL address: any of that family. */
int udp_bind(int netns, int family, const char *address, uint16_t port);
/* Sends; -errno where the kernel refuses at once (no route). */
int udp_send(int fd, const char *to, uint16_t port, const char *text);
/* Waits for a datagram (10 s), checks its text and gives its sender as "address port". */
void udp_expect(int fd, const char *text, char from[80]);
/* The same, and answers the sender, whoever that is. */
void udp_answer(int fd, const char *text, const char *answer, char from[80]);
/* Nothing has come. Only after something that was sent later has arrived. */
bool udp_silent(int fd);

/* TCP: connects from one namespace to another; false where it does not come about within 10 s or is refused. */
struct talk {
	int client, server;
	char seen[80]; /* the client's address as the server sees it */
};
bool tcp_open(struct talk *talk, int from, int to, const char *address, uint16_t port);
/* The same where the client knows the server by another address and port. */
bool tcp_open_by(struct talk *talk, int from, const char *outside, uint16_t as, int to, const char *address,
		 uint16_t port);
bool tcp_say(int from, int to, const char *text); /* false unless it arrives within 10 s */
void tcp_close(struct talk *talk);

/* The internet checksum: RFC 1071. */
uint32_t checksum_add(const void *data, size_t length, uint32_t start);
uint16_t checksum_fold(uint32_t total);

/* Raw frames of a guest, put on its cable as they are: by a guest that does as it likes. */
void frame_send(const struct peer *peer, const void *frame, size_t length);
/* A socket that sees all frames that arrive in a namespace's eth0. */
int frame_listen(int netns);
int frame_listen_on(int netns, const char *interface);
/* Reads frames until one holds `fence` somewhere (10 s); true if one before it held `text`. */
bool frame_seen_before(int fd, const char *text, const char *fence);

#endif
