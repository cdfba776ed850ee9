/* The configuration of a network's dnsmasq(8) as text. Pure: a function of its arguments. */
#ifndef NESTVISOR_NET_DNSMASQ_H
#define NESTVISOR_NET_DNSMASQ_H

#include "base/ip.h"
#include "base/strbuf.h"

#include <stddef.h>

struct lab;
struct network;

/*
 * `files`: what its own files are called, without their endings (.leases, .log). `upstream`: the resolvers of the
 * world, asked for names that are not the lab's where the network's uplink lets packets out. `user`: whom it becomes,
 * "" for nobody else.
 */
void dnsmasq_format(const struct lab *lab, const struct network *network, const char *files, const char *user,
		    const struct ip *upstream, size_t upstream_count, struct strbuf *out);

/*
 * The addresses behind "nameserver" in the text of a resolv.conf(5); loopback and link-local ones are left out, for
 * inside the namespace they are somebody else's. Returns how many of at most `max`.
 */
size_t dnsmasq_resolvers(const char *resolv_conf, struct ip *ret, size_t max);

#endif
