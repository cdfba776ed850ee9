/*
 * One command's work on one lab on this host: its lab, its folders, its lock, its state, its network. Commands that
 * only look open it without the lock.
 */
#ifndef NESTVISOR_APPLY_SESSION_H
#define NESTVISOR_APPLY_SESSION_H

#include "apply/folders.h"
#include "model/lab.h"
#include "model/status.h"
#include "plan/plan.h"
#include "plan/state.h"

#include <stdbool.h>

struct cancel;
struct error;
struct isolation;
struct net;
struct reporter;

struct session {
	struct arena *arena;
	struct folders folders;
	const struct lab *lab;
	struct state *state;
	struct net *net;
	const struct libvirt_adopted *adopted; /* NULL: the lab is nestvisor's, or libvirt did not answer */
	const char *adopted_problem;	       /* why it did not */
	struct isolation *isolation;	       /* as it was when the session was opened */
	struct reporter *reporter;
	struct cancel *cancel;
	int lock;		/* -1: only looking */
	bool unsure;		/* session_plan did not learn of all of it how it is, which it reported */
	bool overwrite;		/* also what somebody else has changed of guests (model/status.h, guest_drift) */
	bool discard_snapshots; /* where they go with their guest's disk (fork/loss.h) */
};

enum session_mode {
	SESSION_LOOK,	    /* no lock */
	SESSION_CHANGE,	    /* waits for the lock */
	SESSION_CHANGE_NOW, /* -EBUSY when another holds it */
};

/* what: the command, for whoever has to wait for us: "up first". The lab must outlive the session. */
int session_open(const struct lab *lab, enum session_mode mode, const char *what, struct reporter *reporter,
		 struct cancel *cancel, struct session *ret, struct error **err);
void session_close(struct session *session);
#define cleanup_session __attribute__((cleanup(session_close)))

/*
 * What runs of the lab, at every depth, and what of each host's network somebody else has changed. Guests of this host
 * are looked at; what is below them their hosts are asked for, by `nestvisor status`. A host that does not answer in
 * time (three seconds; ten where it asks hosts or a libvirt of its own) makes what is below it unknown. Lives in the
 * session's arena.
 */
int session_status(struct session *session, struct lab_status *ret, struct error **err);

/* The lab as it was applied last; NULL where it was not, or what is kept of it cannot be read. Freed by the caller. */
struct lab *session_applied(const struct session *session);

/* What is there and what is to be done. The plan is cleared by the caller. */
int session_plan(struct session *session, struct plan *ret, struct error **err);

#endif
