/* A tap that outlives its makers until somebody opens it (TUNSETPERSIST, tun(4)'s ioctls in linux/if_tun.h). */
#ifndef NESTVISOR_DRIVER_LIBVIRT_TAP_H
#define NESTVISOR_DRIVER_LIBVIRT_TAP_H

#include <stdbool.h>
#include <sys/types.h>

struct error;

/*
 * Makes a tap that a QEMU holds end with it, by way of the QEMU's own descriptor (pidfd_getfd(2), Linux 5.6): a tap has
 * one user. -ENODEV where that process does not hold it; else what the kernel says.
 */
int libvirt_tap_let_go(pid_t qemu, const char *tap, struct error **err);

/* Lets that user open it: a tap that no QEMU holds yet, made for one queue or for several. */
int libvirt_tap_give(const char *tap, bool several_queues, unsigned user, struct error **err);

#endif
