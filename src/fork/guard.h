/* What can have a snapshot. */
#ifndef NESTVISOR_FORK_GUARD_H
#define NESTVISOR_FORK_GUARD_H

struct error;
struct guest;
struct session;

/* -EOPNOTSUPP for adopted guests, for hosts, and for guests of a user's own libvirt, with what to do instead. */
int guard_kind(const struct session *session, const struct guest *guest, struct error **err);

#endif
