/* The rules of a lab's namespace as text for nftables (nft(8)). Pure: a function of its arguments. */
#ifndef NESTVISOR_NET_RULES_H
#define NESTVISOR_NET_RULES_H

#include "base/ip.h"
#include "base/strbuf.h"

#include <stddef.h>

struct lab;

/*
 * `above`: on a host that is itself a guest of the lab, the subnets that this host is attached to; its guests that are
 * cut from the world may still talk to these. Ignored at L0, where everything behind the uplink is the world.
 */
void rules_format(const struct lab *lab, const struct prefix *above, size_t above_count, struct strbuf *out);

#endif
