/*
 * Unix sockets at paths of any length. sun_path holds 107 characters (unix(7)); a longer path is reached through its
 * folder's descriptor, "/proc/self/fd/N/name". Only a name that is itself too long is refused (-ENAMETOOLONG).
 */
#ifndef NESTVISOR_TRANSPORT_UNIX_SOCKET_H
#define NESTVISOR_TRANSPORT_UNIX_SOCKET_H

struct error;

/* Binds and listens, replacing a socket file that was there; mode 0600. */
int unix_listen(const char *path, int *ret_fd, struct error **err);

/* Connects; non-blocking. -ENOENT and -ECONNREFUSED tell that nobody listens. */
int unix_connect(const char *path, int *ret_fd, struct error **err);

#endif
