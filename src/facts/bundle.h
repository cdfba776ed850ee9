/*
 * A bundle: the facts of several hosts, and how they hang together. It is a folder with one folder per host, directly
 * or under hosts/, in each the output of standard commands in files named after them (ip-addr.txt, iptables-save.txt),
 * and where the cabling is known a links.json: [["l0", "tap0", "l1", "eth0"], ["l0", "eth0", null, null], …], where
 * null is an end that was not captured; an interface may also be named by its MAC. A folder that holds such files
 * itself is one host; so is a single file. In a host's folder a folder root/ may hold files under their own paths
 * (root/proc/cpuinfo), and capture.json says what could not be collected, and what the host is called where that is no
 * name for a folder. All of it may come as a tar archive.
 */
#ifndef NESTVISOR_FACTS_BUNDLE_H
#define NESTVISOR_FACTS_BUNDLE_H

#include "base/json.h"
#include "facts/facts.h"

struct error;

enum relation_kind {
	RELATION_NONE,
	RELATION_CABLE, /* links.json says so, or it is one veth: what one end sends the other receives */
	RELATION_TAP, /* a tap and the NIC of the guest behind it: their MACs say so (libvirt: fe:… and 52:54:00…) */
	RELATION_LEARNED,   /* a bridge learned the second end's MAC on the first, its port */
	RELATION_NEIGHBOUR, /* the first end's host knows the second's MAC as a neighbour: on one link */
	RELATION_MIRRORED,  /* WSL2 in mirrored mode: two interfaces are one, with the same addresses; Windows' first */
	RELATION_SUBNET,    /* addresses in one subnet: probably on one link */
};

struct relation_end {
	const char *host;      /* NULL: outside what was captured */
	const char *interface; /* NULL: not known */
	struct ip address;     /* of subnets */
};

struct relation {
	enum relation_kind kind;
	struct relation_end *ends; /* two; of a subnet two or more */
	size_t end_count;
	struct prefix subnet;
	const char *why;
	struct origin *evidence;
	size_t evidence_count;
};

struct bundle {
	struct arena *arena;
	struct facts **hosts; /* in the order of their names */
	size_t host_count;
	struct relation *relations;
	size_t relation_count;
	struct note *notes;
	size_t note_count;
	struct bundle **parts; /* whose hosts these are; see bundle_join() */
	size_t part_count;
};

/*
 * Loads a bundle: a folder, a tar archive of one, one file of captured text, or a JSON document that bundle_json()
 * made. What is in a file is never an error, it only becomes a note; that nothing can be read at all is one.
 */
int bundle_load(const char *path, struct bundle **ret, struct error **err);
/* A tar archive in memory; `name` is what origins of a single host in it call it. */
int bundle_from_archive(const char *name, const char *data, size_t length, struct bundle **ret, struct error **err);
struct bundle *bundle_new(void); /* empty, with an arena */
/* One host from one text, as if it were the content of a file of that name. */
struct bundle *bundle_from_text(const char *source, const char *text, size_t length);
/* One host from several texts: `name` says what one is, as a file in a bundle is called, `source` is cited for it. */
struct capture_text {
	const char *source, *name, *text;
	size_t length;
};
struct bundle *bundle_from_texts(const char *host, const struct capture_text *texts, size_t count);
/*
 * One bundle of the hosts of several, which it takes over (NULL: left out). How the hosts hang together is found out
 * anew, with `links` as links.json would say it (NULL: nobody says it) and what is cited for it.
 */
struct bundle *bundle_join(struct bundle *const *parts, size_t count, const json_t *links, const char *source);
void bundle_free(struct bundle *bundle); /* NULL is fine */

static inline void bundle_freep(struct bundle **bundle)
{
	bundle_free(*bundle);
}
#define cleanup_bundle __attribute__((cleanup(bundle_freep)))

/* By its name, else by its other word, letters' case aside; NULL: none. */
struct facts *bundle_host(const struct bundle *bundle, const char *name);
/*
 * The machine of a host that is only a lab's network on it: `capture` makes a host of its own of the network namespace.
 * It says so itself, or is called MACHINE-lab-NAME. NULL: it is a machine itself.
 */
struct facts *bundle_machine(const struct bundle *bundle, const struct facts *host);

#endif
