/* Asking a host for its facts over a transport: the script of facts/ goes there, one stream comes back. */
#ifndef NESTVISOR_CLI_COLLECT_H
#define NESTVISOR_CLI_COLLECT_H

#include "cli/command.h"
#include "facts/collection.h"
#include "model/lab.h"

enum { COLLECT_MS = 60000 }; /* long enough for a guest of an emulated guest */

/* One that can be asked: a host, or the network of a lab on a host. */
struct collect_target {
	const char *name;	   /* in a bundle: "l0", "hv1.a", "hv1-lab-first", "server.example.org" */
	const struct lab *lab;	   /* of guest and namespace */
	const struct guest *guest; /* NULL: this machine, or ssh */
	bool namespace;		   /* the lab's network namespace on that host, and only what belongs to one */
	const char *ssh;	   /* "user@host:port"; NULL: not by ssh */
};

/*
 * What a word on the command line means: "L0" (this machine), a guest's path, ssh://[user@]host[:port]. `lab` may be
 * NULL where no guest is named. EXIT_DONE, or the status to return.
 */
int collect_target(struct invocation *inv, struct arena *arena, const struct lab *lab, const char *word,
		   struct collect_target *ret);
/* The lab's own network on this target, where it has one: *ret_any. */
void collect_namespace(struct arena *arena, const struct lab *lab, const struct collect_target *target,
		       struct collect_target *ret, bool *ret_any);

struct collect_result {
	struct arena *arena; /* of the collection */
	struct collection collection;
	struct error *err; /* NULL: it answered */
};

/* Asks all of them at the same time, telling the reporter. What arrived before a connection broke or the time was over
 * counts. */
void collect_all(struct invocation *inv, const struct collect_target *targets, size_t count, int timeout_ms,
		 struct collect_result *results);
void collect_clear(struct collect_result *results, size_t count);

#endif
