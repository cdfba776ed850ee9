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
 * The one for guests that are cut: it answers on a port of its own (below those that dnsmasq asks others from), knows
 * the lab's names, those of leases by asking the other one for names of the lab only, and refuses all others. It keeps
 * no answers, so nobody finds in it what somebody else has asked.
 */
enum { DNSMASQ_CUT_PORT = 54 };
void dnsmasq_format_for_cut(const struct lab *lab, const struct network *network, const char *files, const char *user,
			    struct strbuf *out);

/*
 * The addresses behind "nameserver" in the text of a resolv.conf(5); loopback and link-local ones are left out, for
 * inside the namespace they are somebody else's. Returns how many of at most `max`.
 */
size_t dnsmasq_resolvers(const char *resolv_conf, struct ip *ret, size_t max);

#endif
