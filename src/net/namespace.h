/* Named network namespaces as iproute2 keeps them (ip-netns(8)): a bind mount of the namespace on /run/netns/<name>. */
#ifndef NESTVISOR_NET_NAMESPACE_H
#define NESTVISOR_NET_NAMESPACE_H

#include "base/netns.h"

#include <stdbool.h>
#include <stdint.h>

struct error;

/* The namespace of that name; -ENOENT where there is none. */
int netns_open(const char *name, int *ret_fd, struct error **err);

/* Makes it where it is missing. It gets its name only once it is set up, so a named one is never half made. */
int netns_make(const char *name, int *ret_fd, struct error **err);

/* Whether its sysctls are those that netns_make sets, which it does each time it is called. */
int netns_check(int netns, bool *ret_same, struct error **err);

/* Takes the name away; the namespace goes with its last user. None of that name is success. */
int netns_remove(const char *name, struct error **err);

/* Writes a file under /proc/sys/net as seen from the namespace. */
int netns_poke(int netns, const char *path, const char *text, struct error **err);

/* A number that no other namespace has or had since the machine booted (SO_NETNS_COOKIE); 0: not known. */
uint64_t netns_cookie(int netns_socket);

#endif
