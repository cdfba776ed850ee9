/*
 * Desired minus actual = steps. The changes are told for the whole lab, at every depth; the steps are those of this
 * program's own host. What changes below one of its guests becomes one step, "part", in which that guest's own
 * nestvisor does the same for its part.
 */
#ifndef NESTVISOR_PLAN_PLAN_H
#define NESTVISOR_PLAN_PLAN_H

#include "model/change.h"
#include "model/lab.h"
#include "model/status.h"
#include "plan/state.h"

#include <stdbool.h>
#include <stddef.h>

/* What was found on this host; the guests of all depths come as a lab_status. */
struct plan_actual {
	const struct lab_status *status;
	const struct lab *applied; /* as the last run remembered it; NULL: there was none */
	bool namespace_exists, uplink_exists;
	bool rules_same;
	bool uplink_differs, routes_differ;
	bool sysctls_differ; /* of the lab's namespace */
	bool publish_same; /* the way in for published ports is as the lab says, also where there are none */
	const bool *isolation_lags; /* by guest->index: a host that does not know what was said at run time; NULL: none */
	const char *const *machine_parts; /* by the machines of the lab: what each is to be told, as a text that is the same as
					     long as that is; it is remembered as "part" in its resource */
	const char (*interfaces)[INTERFACE_NAME_SIZE]; /* in the lab's namespace */
	size_t interface_count;
};

/* The resource that is there from the beginning of a run until all of its steps are done. */
#define PLAN_UNFINISHED "unfinished"

enum step_kind {
	STEP_NAMESPACE,
	STEP_UPLINK,
	STEP_PUBLISH,
	STEP_NETWORK, /* network */
	STEP_RULES,
	STEP_ROUTES,
	STEP_DHCP,	     /* network */
	STEP_REMOVE_NETWORK, /* path, name */
	STEP_PROBE,
	STEP_IMAGE,	  /* name: the image */
	STEP_STOP,	  /* path, name */
	STEP_RESTORE,	  /* guest: it is defined again as nestvisor defined it */
	STEP_REMOVE_DISK, /* path, name */
	STEP_START,	  /* guest */
	STEP_READY,	  /* guest */
	STEP_PART,	  /* guest, also what stands for a further machine of L0 */
	STEP_LEAVE,	  /* path: a further machine of L0 that has no guests of the lab any more */
	STEP_RECORD,	  /* guest: its spec changed in a way that other steps make real */
};

struct step {
	enum step_kind kind;
	const char *id;	  /* "start hv1/a": names it in the journal and in messages */
	const char *path; /* of the guest or network; NULL where there is none */
	const char *name; /* of the guest at this host, the network's bridge, or the image */
	const struct guest *guest;
	const struct network *network;
	size_t *after; /* indexes of the steps that must be done first */
	size_t after_count;
};

struct plan {
	struct arena *arena;
	struct plan_change *changes;
	size_t change_count;
	struct step *steps;
	size_t step_count;
};

/*
 * Where the policy is another than that of the lab as it was applied, what is to be said of it in ret; a change without
 * a step, since a policy is what is proved and changes nothing that runs.
 */
bool plan_policy(struct arena *arena, const struct lab *lab, const struct lab *applied, struct plan_change *ret);

int plan_build(const struct lab *lab, struct state *state, const struct plan_actual *actual, struct plan *ret,
	       struct error **err);
void plan_clear(struct plan *plan);
#define cleanup_plan __attribute__((cleanup(plan_clear)))

/* "guest:<path>", "network:<path>", "machine:<name>": the keys of the state. */
const char *resource_key(struct arena *arena, const char *what, const char *path);

#endif
