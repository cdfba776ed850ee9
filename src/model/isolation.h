/*
 * How far each guest of a lab may reach at this moment: what the lab file says (`world:`), and what was said since at
 * run time in its place (`cut`, `open`, `seal`). The lab itself never changes; this does. Pure: who keeps it where is
 * apply/isolate.h.
 *
 * A timed opening lifts whatever else is set for a while. The kernel ends it by itself (an element of a set with a
 * timeout, nft(8)), so it is measured as the kernel does: by CLOCK_MONOTONIC as long as the machine runs, by the wall
 * clock after a reboot.
 */
#ifndef NESTVISOR_MODEL_ISOLATION_H
#define NESTVISOR_MODEL_ISOLATION_H

#include "base/ip.h"
#include "base/json.h"
#include "model/lab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct error;

/* Other guests of the lab, for one that is cut. In the order of their strictness. */
enum neighbours {
	NEIGHBOURS_KEEP, /* as if it were not cut */
	NEIGHBOURS_CUT,	 /* only those that are cut or sealed themselves: no open one can be its relay */
	NEIGHBOURS_DROP, /* none; whoever is above it still reaches it */
};

/* By what a guest is held at the host that runs it. */
enum isolation_method {
	ISOLATION_NFT,	    /* the lab's own rules */
	ISOLATION_NWFILTER, /* a filter of libvirt's on its interfaces; of libvirt's guests only */
};
const char *isolation_method_name(enum isolation_method method);

/* A place of the world that a cut guest keeps. */
struct allowance {
	struct prefix to;
	uint8_t protocol;  /* IPPROTO_*; 0: any, and then no port */
	uint16_t port;	   /* 0: any */
	const char *asked; /* the name that it came from, or NULL */
};

/* What is set for one guest, apart from what it lies in. */
struct isolation_setting {
	enum world world; /* during a timed opening: what it goes back to */
	enum neighbours neighbours;
	enum isolation_method method;
	struct allowance *allowed;
	size_t allowed_count;
	long long
		open_until; /* the end of a timed opening in seconds since the epoch, also one that is over; 0: none */
	long long open_deadline; /* the same in ms of CLOCK_MONOTONIC, which is what counts */
	bool at_run_time;	 /* replaces what the lab file says */
	long long since;	 /* seconds since the epoch; 0: since the lab came up */
	const char *by;		 /* who said it, or NULL */
	uint64_t serial;	 /* of the change that said it; 0: the lab file */
};

struct isolation {
	struct arena *arena;
	const struct lab *lab;
	uint64_t serial;		    /* of the last change on this host */
	uint64_t above;			    /* of the last change that the layer above has said */
	struct isolation_setting *settings; /* lab->guest_count, by guest->index */
};

struct isolation_clock {
	long long wall;	     /* seconds since the epoch */
	long long monotonic; /* ms */
	char boot[40];	     /* which run of the kernel the latter counts in */
};
void isolation_clock_read(struct isolation_clock *ret);

/* What the lab file says. */
struct isolation *isolation_new(const struct lab *lab);
struct isolation *isolation_copy(const struct isolation *from);
void isolation_free(struct isolation *isolation); /* NULL is fine */
static inline void isolation_freep(struct isolation **isolation)
{
	isolation_free(*isolation);
}
#define cleanup_isolation __attribute__((cleanup(isolation_freep)))

/* What holds for a guest, those that it lies in included: a host that is cut takes all below it along. */
struct isolation_effect {
	enum world world;     /* without regard to timed openings */
	long long open_until; /* the end of a timed opening, also of one that is over; 0: none */
	long long open_ms;    /* > 0: all this is lifted for so long, from now on */
	enum neighbours neighbours;
	const struct allowance *allowed;
	size_t allowed_count;
};
struct isolation_effect isolation_effect(const struct isolation *isolation, const struct guest *guest);
/* The same, of those settings alone that the lab's own rules carry out. */
struct isolation_effect isolation_rules_effect(const struct isolation *isolation, const struct guest *guest);
/* In one word: as it is now. */
enum world isolation_world(const struct isolation *isolation, const struct guest *guest);

/* Who keeps the guest from others: it, or the outermost one around it that is not open; NULL: nobody. `among`: from
 * those of its lab, who are its neighbours or above it. */
const struct guest *isolation_keeps(const struct isolation *isolation, const struct guest *guest, bool among);

/* A setting in place of the present one. The allowances are copied. One that says what the lab file says is the file's.
 */
void isolation_set(struct isolation *isolation, const struct guest *guest, const struct isolation_setting *setting);
bool isolation_same_setting(const struct isolation_setting *a, const struct isolation_setting *b);

/*
 * What was said at run time, as an object: "serial", and "guests" by their paths. `below`: only guests below this host.
 * Reading takes the place of all that was said at run time; guests that the lab does not have are left out. Remaining
 * times are only exact in the same run of the kernel; for another host (`portable`) they are told as what is left.
 */
json_t *isolation_json(const struct isolation *isolation, const struct host *below, const struct isolation_clock *clock,
		       bool portable);
int isolation_read(struct isolation *isolation, const json_t *json, const struct isolation_clock *clock,
		   struct error **err);

const char *neighbours_name(enum neighbours neighbours);
/* "198.51.100.7:443/tcp", "10.0.0.0/8" */
enum { ALLOWANCE_TEXT_SIZE = PREFIX_TEXT_SIZE + 16 };
const char *allowance_format(const struct allowance *allowance, char text[ALLOWANCE_TEXT_SIZE]);
/* HOST or CIDR, with ":PORT", ":PORT/udp" behind it; an IPv6 address with a port in brackets. False where it is none
 * of these. */
bool allowance_parse(const char *text, struct allowance *ret);

#endif
