/* What snapshot, restore and snapshots have in common: choosing guests, and asking the hosts of deeper ones. */
#ifndef NESTVISOR_CLI_SNAPSHOTTING_H
#define NESTVISOR_CLI_SNAPSHOTTING_H

#include "apply/session.h"
#include "cli/command.h"
#include "fork/snapshot.h"

#define SNAPSHOTTING_ALL                                                                                               \
	{                                                                                                              \
		"all", .help = "all guests of the lab, at every layer, one after the other"                            \
	}

struct snapshotting {
	struct invocation *inv;
	struct arena *arena;
	struct lab *lab;
	struct session session; /* opened, with its lock, once a guest of this host is met */
	json_t *answers;	/* one object for each guest that it was done for */
	bool failed;
};

/*
 * Calls `act` for each guest of this host and machine that was chosen, and runs `nestvisor COMMAND --json OPTIONS GUEST
 * -- NAME` in the host of each deeper one; what that answers in its `key` is taken over. A guest that fails is told and
 * the next one comes. `skip`: how many operands GUEST is (0 with --all). Returns the exit status.
 */
typedef int snapshotting_act(struct snapshotting *s, const struct guest *guest, const char *name, json_t **ret,
			     struct error **err);
int snapshotting_run(struct snapshotting *s, const char *name, const char *key, const char *const options[],
		     snapshotting_act *act);
void snapshotting_end(struct snapshotting *s);
#define cleanup_snapshotting __attribute__((cleanup(snapshotting_end)))

/* What a snapshot is, in answers. */
json_t *snapshotting_json(const struct snapshot *snapshot);
/* "memory, UEFI variables, TPM", in the same words everywhere; in the arena. */
const char *snapshotting_parts(struct arena *arena, const json_t *snapshot);

/* Warns of what a guest of this host stands still for until `up`: a snapshot or restore that was killed. */
void snapshotting_warn(struct invocation *inv, const struct session *session);

/* Runs nestvisor in the guest of this host that leads to a deeper one, for that, and takes `key` of its answer. */
int snapshotting_ask(struct snapshotting *s, const struct guest *guest, const char *command,
		     const char *const options[], const char *const argv[], const char *key, json_t **ret,
		     struct error **err);

#endif
