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

/* What nestvisor makes on a host, and somebody else may change there. */
enum host_part {
	HOST_NAMESPACE = 1,
	HOST_RULES = 2, /* isolation and forwarding */
	HOST_NETWORKS = 4, /* bridges and their addresses */
	HOST_ROUTES = 8, /* to the networks of deeper hosts */
	HOST_UPLINK = 16, /* addresses, routes and rules of the way out */
	HOST_PUBLISH = 32, /* the way in for published ports */
	HOST_SYSCTLS = 64, /* forwarding, rp_filter and the like of the lab's namespace */
};
enum { HOST_PART_COUNT = 7 };

/*
 * What somebody else has changed of a guest that another program defines for nestvisor (libvirt: virsh, virt-manager).
 * `up` overwrites it only when it is told to.
 */
struct guest_drift {
	const char *const *changes; /* in that program's words: "<vcpu>2</vcpu> → <vcpu>4</vcpu>" */
	size_t count;
	bool of_machine;     /* of the machine that runs, too: starting it anew undoes it */
	const char *unknown; /* why it is not known; or NULL */
};

struct guest_status {
	enum guest_state state;
	const char *accelerator; /* "kvm", "tcg", or NULL */
	pid_t pid;               /* of its QEMU, in its host's numbering; 0: none */
	long long since;         /* seconds since the epoch when it was started; 0: not known */
	const char *note;        /* why, for a guest that is dead or unknown; or NULL */
	unsigned changed;         /* of a guest that is a host and runs: what is not, there, as the lab says (enum host_part) */
	const char *not_in_force; /* a host where what holds for it is not, or not known to be: its path, "L0"; or NULL */
	struct guest_drift drift;
};

struct lab_status {
	const struct lab *lab;
	struct guest_status *guests; /* lab_index_count entries: of a machine, `changed` and, where it did not answer, `note` */
	const char *hostname, *accelerator, *accelerator_why; /* of the host this program runs on */
	const char *interrupted;     /* what a killed run was doing, or NULL */
	const struct isolation *isolation; /* NULL: what the lab file says */
	unsigned changed; /* what is not, at this host, as the lab says (enum host_part) */
};

/* How far a guest may reach; status may be NULL. */
enum world status_world(const struct lab_status *status, const struct guest *guest);

/* "rules": of one of the parts, by its place from 0 on. */
const char *host_part_name(unsigned place);

const char *guest_state_name(enum guest_state state);

#endif
