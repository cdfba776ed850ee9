/* What the transports that start a process here share. */
#ifndef NESTVISOR_TRANSPORT_TRANSPORT_INTERNAL_H
#define NESTVISOR_TRANSPORT_TRANSPORT_INTERNAL_H

struct cancel;
struct error;
struct process_spec;

/* Runs a child that has its descriptors itself, to its end. On cancel it is ended: SIGTERM, later SIGKILL; -ECANCELED.
 */
int run_attached(const struct process_spec *spec, struct cancel *cancel, int *ret_status, struct error **err);

#endif
