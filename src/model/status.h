/* What runs of a lab at one moment: one entry per guest of the lab, in the lab's order. Filled by apply/, drawn by render/. */
#ifndef NESTVISOR_MODEL_STATUS_H
#define NESTVISOR_MODEL_STATUS_H

#include "model/isolation.h"
#include "model/lab.h"

#include <sys/types.h>

enum guest_state {
	GUEST_ABSENT,   /* not started */
	GUEST_STARTING, /* its machine runs; its agent has not answered yet */
	GUEST_RUNNING,
	GUEST_DEAD,     /* was started, and is gone */
	GUEST_UNKNOWN,  /* the host that would know did not answer */
};

struct guest_status {
	enum guest_state state;
	const char *accelerator; /* "kvm", "tcg", or NULL */
	pid_t pid;               /* of its QEMU, in its host's numbering; 0: none */
	long long since;         /* seconds since the epoch when it was started; 0: not known */
	const char *note;        /* why, for a guest that is dead or unknown; or NULL */
	const char *not_in_force; /* a host where what holds for it is not, or not known to be: its path, "L0"; or NULL */
};

struct lab_status {
	const struct lab *lab;
	struct guest_status *guests; /* lab->guest_count entries */
	const char *hostname, *accelerator, *accelerator_why; /* of the host this program runs on */
	const char *interrupted;     /* what a killed run was doing, or NULL */
	const struct isolation *isolation; /* NULL: what the lab file says */
	bool publish_missing; /* the way in for published ports is not, at this host, as the lab says */
};

/* How far a guest may reach; status may be NULL. */
enum world status_world(const struct lab_status *status, const struct guest *guest);

const char *guest_state_name(enum guest_state state);

#endif
