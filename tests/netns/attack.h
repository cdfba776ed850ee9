/*
 * Ways out of a guest, as somebody tries them who is root in it. Each is tried first by a guest that is open, to show
 * that the attack is one, and then by the same guest cut. What gets out is not asked of the guest: it is counted where
 * it would arrive, with packet sockets (packet(7)) in the world, at the lab's end in the machine, and at a neighbour's.
 */
#ifndef NESTVISOR_TESTS_ATTACK_H
#define NESTVISOR_TESTS_ATTACK_H

#include "isolation_lab.h"

struct way;

struct attack {
	struct fixture *f;
	const struct peer *from, *second;  /* its cables; the second may be NULL */
	const char *ip4, *ip6;		   /* its addresses */
	char gateway_local[64], local[64]; /* link-local ones: the host's, and the guest's own */
	char transit[64];		   /* the machine's end of the uplink */
	uint8_t gateway_mac[6];
	char word[32]; /* what this attempt sends, and nobody else: fit for a DNS label */
	int fds[2];    /* what `begin` leaves to `go`; -1: none */
	/* In a real guest (tests/nested) the world is out of the test's hands and serves by itself: TCP, and UDP that
	 * says "tell". */
	bool world_serves;
};

enum way_kind {
	WAY_OUT,	  /* works when open, and not when cut */
	WAY_NEVER,	  /* not even when open; `note` says what stops it */
	WAY_BY_NEIGHBOUR, /* works as long as open neighbours are kept: `cut --strict` ends it */
	WAY_TO_NEIGHBOUR, /* what a neighbour must not see, open or cut */
};

/* Who can try it. */
enum {
	FIXED = 1,  /* a guest with fixed addresses */
	FREE = 2,   /* one without, which gives itself any */
	DEEP = 4,   /* one behind another host, which routes for it */
	HELPED = 8, /* needs the test at other places, so nobody who is alone in a real guest */
	DIRECT = FIXED | FREE,
	ANYBODY = FIXED | FREE | DEEP,
};

struct way {
	const char *name;
	enum way_kind kind;
	int who;
	void (*go)(struct attack *a, const struct way *way);
	int number;	/* for `go`: a port, a protocol, a type */
	const char *to; /* for `go`: where to */
	const char *note;
	void (*begin)(struct attack *a, const struct way *way); /* while it is open; or NULL */
};

struct ways {
	const struct way *list;
	size_t count;
};

extern const struct ways ways_by_packet; /* attack_packet.c: what a guest sends with its own addresses */
extern const struct ways ways_by_frame;	 /* attack_frame.c: what it puts on its cable */

#define WORLD4 "203.0.113.1"
#define WORLD6 "2001:db8::1"

static inline bool is_six(const char *address)
{
	return strchr(address, ':') != NULL;
}

static inline const char *own(const struct attack *a, const char *to)
{
	return is_six(to) ? a->ip6 : a->ip4;
}

#endif
