/* One difference between what a lab file wants and what there is: what plan/ finds, apply/ does and render/ shows. */
#ifndef NESTVISOR_MODEL_CHANGE_H
#define NESTVISOR_MODEL_CHANGE_H

#include <stdbool.h>

enum plan_action {
	PLAN_CREATE,
	PLAN_CHANGE,
	PLAN_REMOVE,
	PLAN_RESTART, /* a change that a guest only sees once it is started again */
};

struct plan_change {
	enum plan_action action;
	const char *what; /* "guest", "network", "uplink", … */
	const char *path; /* "hv1/a"; "" for L0 itself */
	const char *why;  /* "memory 1G → 2G"; "" where the action says it all */
	bool overwrites;  /* what somebody else has changed (model/status.h, guest_drift): `why` says what */
	const char *host; /* of a guest in a lab with several machines: the one that runs it, or "L0"; NULL */
};

#endif
