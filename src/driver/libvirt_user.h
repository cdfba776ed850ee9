/*
 * The libvirt of a user who is not root: libvirtd in his session, whose QEMUs are his. What root makes for such a guest
 * (taps, disks, FIFOs, folders) has to be his to use.
 */
#ifndef NESTVISOR_DRIVER_LIBVIRT_USER_H
#define NESTVISOR_DRIVER_LIBVIRT_USER_H

#include "driver/driver.h"

struct arena;
struct error;

/*
 * Whose it is: *ret_user is 0 for root's, which is the system's. Root has no session: libvirt answers him
 * qemu:///session by the system's, so it is here that of the user who became root by sudo, by its socket. *ret_uri, in
 * the arena, is the URI to connect to. -ENOENT where there is no such socket.
 */
int libvirt_user_of(struct arena *arena, const char *uri, const char **ret_uri, unsigned *ret_user, struct error **err);

/*
 * Gives guest->user what his QEMU opens: the disks that lie where nestvisor keeps things (base/places.h; through the
 * lab's folders on the way he may pass), the FIFOs, the taps, and <run_dir>/user, where his libvirt makes the console's
 * socket and log; links in run_dir lead there.
 */
int libvirt_user_give(const struct driver_guest *guest, struct error **err);

/* Where console and log of the guest are made: run_dir, or a folder in it. */
const char *libvirt_user_folder(struct arena *arena, const struct driver_guest *guest);

/* Removes that folder, where there is one. */
void libvirt_user_forget(const char *run_dir);

#endif
