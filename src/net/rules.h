/* The rules of a lab's namespace as text for nftables (nft(8)). Pure: a function of its arguments. */
#ifndef NESTVISOR_NET_RULES_H
#define NESTVISOR_NET_RULES_H

#include "base/ip.h"
#include "base/strbuf.h"

#include <stddef.h>

struct isolation;

/*
 * `above`: on a host that is itself a guest of the lab, the subnets that this host is attached to; its guests that are
 * cut from the world may still talk to these. Ignored at L0, where everything behind the uplink is the world.
 *
 * Guests that are open for a while stand in it as remarks with the time at which that ends, so that the text is the
 * same however much of it is left; the commands that open them, with what is left, are the other function's.
 */
void rules_format(const struct isolation *isolation, const struct prefix *above, size_t above_count,
		  struct strbuf *out);
void rules_format_openings(const struct isolation *isolation, struct strbuf *out);

#endif
