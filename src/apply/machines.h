/*
 * The further machines of layer 0 (model/lab.h, struct lab_machine): what they have, and which guests they get. Every
 * machine runs nestvisor: what it has is what `nestvisor room` says there, over ssh.
 */
#ifndef NESTVISOR_APPLY_MACHINES_H
#define NESTVISOR_APPLY_MACHINES_H

#include "apply/folders.h"
#include "base/json.h"
#include "model/lab.h"

struct arena;
struct cancel;
struct error;
struct reporter;
struct state;
struct transport;

/* Of this machine. */
struct machine_room {
	unsigned cpus;
	uint64_t memory; /* bytes that programs can have without swapping: MemAvailable of proc_meminfo(5) */
};

/* What `nestvisor room` answers: the room, who this machine is, and how its packets get to those addresses. */
json_t *machines_room(const struct machine_room *room, const struct ip *to, size_t count);

/* This machine, for people its host name, for machines_same its machine-id(5); lives in the arena. */
const char *machines_this(struct arena *arena);

/* Whether two such names are of the same machine: the host name may be another by now. */
bool machines_same(const char *one, const char *other);

/*
 * Settles what the lab file leaves open: where each guest of layer 0 runs, at which addresses the machines reach each
 * other, and the MTU of networks that do not say theirs. What was settled when the lab was applied stays; only where
 * something is new the machines are asked, all at once. One that does not answer gets no new guests, which is reported.
 * Nothing is changed on failure, and nothing at all in a lab without further machines.
 *
 * A guest that the lab had before counts as one that has its memory.
 */
int machines_settle(struct lab *lab, const struct machine_room *own, struct reporter *reporter, struct cancel *cancel,
		    struct error **err);

/* A part that somebody else's lab of the same name would be lost by is refused: -EEXIST. `applied` may be NULL. */
int machines_check_part(const struct lab *part, const struct lab *applied, struct error **err);

int machines_open(struct arena *arena, const struct folders *folders, const struct lab *lab,
		  const struct lab_machine *machine, struct transport **ret, struct error **err);

/* What a status of 127 and the like of its nestvisor means: the error, with what mends it. */
int machines_fail(const struct lab_machine *machine, int status, const char *err_text, struct error **err);

/* What the machine is told, as a text that is the same as long as that is. Lives in the arena. */
const char *machines_part_digest(struct arena *arena, const struct lab *lab, const struct lab_machine *machine);

/* What the state keeps of a machine that has, or may have, a part of the lab: enough to take it away by. */
json_t *machines_state(const struct lab *lab, const struct lab_machine *machine);

/* A lab with that machine alone, of what the state keeps of it. */
int machines_load_kept(const char *lab, const char *name, const json_t *kept, struct lab **ret, struct error **err);

/*
 * What the home knows of its machines outlasts its reboot, as their guests do (machines_kept.c). `lab` is the lab as
 * applied (config_part), `resources` all that the state knows, or is about to.
 */
int machines_keep(const struct folders *folders, const json_t *lab, const json_t *resources, struct error **err);

/* After a reboot, before the lab is applied again: what was kept becomes part of the state; *ret is the lab as it was
 * applied last (NULL where nothing is kept). Both do nothing at any other time. */
int machines_recall(const struct folders *folders, struct state *state, struct error **err);
int machines_load_hosts(const struct folders *folders, struct lab **ret, struct error **err);

/* No machine has a part any more, but each guest's disk is where it was. */
int machines_stay(const struct folders *folders, struct error **err);

/* Takes the lab's part on a machine away, by what the state keeps of it. flags: those of apply_down. */
int machines_leave(const struct folders *folders, const char *name, const json_t *kept, unsigned flags,
		   struct reporter *reporter, struct cancel *cancel, struct error **err);

#endif
