/*
 * Published ports on their way through the hosts. A host knows those of the guests below it by a port of its own: the
 * host above sends there, and the host sends on to the guest, or to its guest that leads there. These ports follow from
 * the lab alone, so that both agree without asking; they hardly change when others come and go. They lie above those
 * that Linux gives to clients (net.ipv4.ip_local_port_range) and any service is likely to have.
 */
#ifndef NESTVISOR_MODEL_PUBLISH_H
#define NESTVISOR_MODEL_PUBLISH_H

#include "model/lab.h"

enum { PUBLISH_FIRST = 61000, PUBLISH_ROOM = 65536 - PUBLISH_FIRST };

struct published {
	const struct guest *guest;
	const struct publish *publish;
	uint16_t port; /* by which the host knows it */
};

/* Those of all guests below a host, by their paths, at most PUBLISH_ROOM; freed by the caller with free(3).
 * None at the root of the part of a further machine of L0: ports are published at home. */
size_t published_below(const struct lab *lab, const struct host *host, struct published **ret);

/* Where it is to be reached at the lab's root: 127.0.0.1 and the guest's own port where the file says nothing. */
struct ip publish_address(const struct publish *publish);
uint16_t publish_as(const struct publish *publish);

/* Every address of the family: what the host below is told. */
static inline bool publish_is_any(const struct ip *address)
{
	static const struct ip none;

	return __builtin_memcmp(address->bytes, none.bytes, sizeof(none.bytes)) == 0;
}

#endif
