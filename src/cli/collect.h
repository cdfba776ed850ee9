/*
 * Asking hosts for their facts, all at the same time. A host that has nestvisor is asked by running `nestvisor facts
 * --json` there, which asks its kernel; one that is a host of the lab answers for all of the lab below it, too. Any
 * other gets the script of facts/. This machine is asked directly.
 *
 * What hosts are called, where a lab is asked: L0 is the lab's own network on this machine, where `nestvisor exec L0`
 * runs, and L0-root the machine itself; a guest is called by its path, and where it is a host, PATH-lab-NAME is the
 * lab's own network on it. A further machine of L0 is NAME-root, and NAME is the lab's network on it. Without a lab L0 is
 * this machine.
 */
#ifndef NESTVISOR_CLI_COLLECT_H
#define NESTVISOR_CLI_COLLECT_H

#include "cli/command.h"
#include "facts/collection.h"
#include "model/lab.h"

enum { COLLECT_MS = 60000 }; /* long enough for a guest of an emulated guest */

enum collect_kind {
	COLLECT_NETWORK, /* facts of the network alone */
	COLLECT_FACTS,	 /* all facts */
	COLLECT_TEXTS,	 /* what the script collects, as text */
};

/* One that can be asked: a host, or the network of a lab on a host. */
struct collect_target {
	const char *name;		 /* "L0", "hv1/a", "hv1-lab-first", "server.example.org" */
	const char *alias, *machine;	 /* as facts have them; or NULL */
	const struct lab *lab;		 /* of guest and namespace */
	const struct guest *guest;	 /* NULL: this machine, or ssh */
	bool namespace;			 /* the lab's network namespace on that host, and only what belongs to one */
	bool below;			 /* the guest answers for all of the lab below it, too */
	const struct collect_ends *ends; /* of the guests below it without guests of their own; NULL: all */
	const char *ssh;		 /* "user@host:port"; NULL: not by ssh */
	const char *netns;		 /* a network namespace of this machine; NULL: none */
};

/*
 * Where packets begin and end that are asked about: guests' paths and addresses. A guest that has no guests and one
 * network card passes nothing on, so it decides nothing about packets but its own: only those that are among the ends
 * are asked.
 */
struct collect_ends {
	const char *const *words;
	size_t count;
};

struct collect_list {
	struct arena *arena;
	struct collect_target *targets;
	size_t count;
	const struct collect_ends *ends; /* of a whole lab; NULL: all guests matter */
};

/*
 * Adds who is meant by a word on the command line, and behind it the other half of that host, where it has one: the
 * machine of a lab's network, the lab's network on a machine. `lab` may be NULL where no guest is named. EXIT_DONE, or
 * the status to return.
 */
int collect_add(struct collect_list *list, struct invocation *inv, const struct lab *lab, const char *word);
/* A guest, without a lab's network on it. */
void collect_add_guest(struct collect_list *list, const struct lab *lab, const struct guest *guest);
/* All of a lab: this machine and every guest. `grouped`: a guest that is a host answers for those below it. */
void collect_add_lab(struct collect_list *list, const struct lab *lab, bool grouped);

struct collect_result {
	struct arena *arena;	      /* of the collection */
	struct bundle *bundle;	      /* of one host, or several; NULL for texts */
	struct collection collection; /* of texts */
	struct error *err;	      /* NULL: it answered */
};

/* Asks all of them at the same time. What a script told before a connection broke or the time was over counts. */
void collect_all(struct invocation *inv, enum collect_kind kind, const struct collect_target *targets, size_t count,
		 int timeout_ms, struct collect_result *results);
void collect_clear(struct collect_result *results, size_t count);

/*
 * The cables of a lab as links.json has them, of those hosts that are among `names`: which tap is which guest's NIC,
 * by its MAC. A new reference.
 */
json_t *collect_cables(const struct lab *lab, const char *const *names, size_t count);

#endif
