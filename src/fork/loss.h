/* Snapshots lie where their guest's disk does, and go with it. */
#ifndef NESTVISOR_FORK_LOSS_H
#define NESTVISOR_FORK_LOSS_H

struct error;
struct plan;
struct session;

/* Says in the plan's changes how many snapshots go with guests of this host that are removed, made anew or moved. What
 * other hosts would lose they say themselves, when they are to carry out their part. */
void loss_tell(const struct session *session, struct plan *plan);

/* -EEXIST: the plan would remove snapshots, and session->discard_snapshots is not set. */
int loss_check(const struct session *session, const struct plan *plan, struct error **err);

/* The same of all that a lab has on this host. */
int loss_check_lab(const char *lab, struct error **err);

#endif
