/* Asking a host for its facts over a transport: the script of facts/ goes there, one stream comes back. */
#ifndef NESTVISOR_CLI_COLLECT_H
#define NESTVISOR_CLI_COLLECT_H

#include "cli/command.h"
#include "facts/collection.h"
#include "model/lab.h"

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

/* Asks it; lives in the arena. What arrived before the connection broke counts. */
int collect(struct arena *arena, const struct collect_target *target, int timeout_ms, struct cancel *cancel,
	    struct collection *ret, struct error **err);

#endif
