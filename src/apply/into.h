/* Into guests, at any depth: a transport for the guests of this host, and nestvisor's own command line for all below.
 */
#ifndef NESTVISOR_APPLY_INTO_H
#define NESTVISOR_APPLY_INTO_H

#include "apply/folders.h"
#include "base/process.h"
#include "model/lab.h"
#include "transport/transport.h"

struct arena;
struct cancel;
struct error;

/* The transport of a guest of lab->root; of one that another machine of L0 runs, and of lab_machine.guest, that machine's. */
int into_open(struct arena *arena, const struct folders *folders, const struct lab *lab, const struct guest *guest,
	      struct cancel *cancel, struct transport **ret, struct error **err);

/* Ends what ssh leaves running for a minute for a guest of this host, if anything. Thread-safe. */
void into_end_master(const char *run_dir);

/*
 * Where a command for `target` must be run from here: the guest of this host that is the target or leads to it, and
 * the argv to run there. For a deeper target, or one on another machine of L0, the argv is `nestvisor <command> --lab <lab> <options…> <path> [--
 * argv…]`.
 */
struct into_way {
	const struct guest *first;
	bool direct;
	const char *const *argv;
};
int into_way(struct arena *arena, const struct lab *lab, const struct guest *target, const char *command,
	     const char *const options[], const char *const argv[], struct into_way *ret, struct error **err);

#endif
