/* Carrying out a plan, and taking everything away again. */
#ifndef NESTVISOR_APPLY_UP_H
#define NESTVISOR_APPLY_UP_H

#include "apply/session.h"
#include "base/json.h"

/*
 * Makes the plan real. Every step is journalled before it is taken, so a killed run can be run again and ends in the
 * same state. What fails does not stop what does not depend on it. The session must hold the lock. -EEXIST, with nothing
 * done, where it would overwrite what somebody else has changed and session->overwrite is not set.
 */
int apply_plan(struct session *session, const struct plan *plan, struct error **err);

/*
 * Starts a guest of this host that does not run, with the network and the rules there are: it boots and is waited for,
 * or, with what driver.h's `save` wrote, goes on from there. What runs of it is then what the state says.
 */
int apply_start(struct session *session, const struct guest *guest, const char *saved, struct error **err);

/* -EEXIST where somebody else has changed the guest in its libvirt and session->overwrite is not set; -EIO: unknown. */
int apply_check_drift(const struct session *session, const struct guest *guest, const char *run_dir, struct error **err);

/*
 * In a hypervisor guest of an image of ours: waits until its drivers are in. The agent answers before that, so that the
 * layer above need not wait for both.
 */
int apply_wait_for_host(const struct cancel *cancel, struct error **err);

/*
 * What a host answers to `nestvisor apply`: {"lab", "resources": the state's, "error": null or {"message", "hint"}}.
 * The layer above takes the resources over as they are. problem may be NULL.
 */
json_t *apply_answer(const struct session *session, const struct error *problem);

enum {
	DOWN_KEEP_DISKS = 1, /* the overlays stay */
	DOWN_FORCE = 2,	     /* guests whose libvirt does not answer are ended without it */
	DOWN_FORGET_HOSTS = 4, /* further machines of L0 that do not answer are left as they are */
};

/*
 * Removes everything of a lab on this host: guests, networks, folders. Needs only the lab's name. Waits for whoever
 * holds the lab. Further machines of L0 that have, or may have, a part of it are told first; where one does not answer
 * nothing else is taken away, but with DOWN_FORGET_HOSTS.
 */
int apply_down(const char *lab, unsigned flags, bool *ret_was_there, struct reporter *reporter, struct cancel *cancel, struct error **err);

#endif
